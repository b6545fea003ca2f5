"""Random operations, deaths and collections on each container, against a model.

The model owns strong references, or knows by the interpreter's own references whether
something else still holds an object; the table is compared with it after every step.
Iterators stay open across all of it and are advanced one step at a time.
"""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support import PYPY, Member, gc_collect_harder, let_die

from weakly import (
    EphemeronDictionary,
    WeakDefaultDictionary,
    WeakIdKeyDictionary,
    WeakIdSet,
    WeakKeyDictionary,
    WeakKeyValueDictionary,
    WeakSet,
    WeakValueDictionary,
)

LABELS = st.integers(0, 11)
CROWD = 1000  # labels from here on are for growing the table; they do not collide


class Referent(Member):
    """Compared by label; small labels share two hashes; `token` tells equal ones apart."""

    __slots__ = ("token",)
    tokens = itertools.count()

    def __init__(self, label: int) -> None:
        super().__init__(label)
        self.token = next(self.tokens)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Referent) and self.label == other.label

    def __hash__(self) -> int:
        return self.label % 2 if self.label < CROWD else self.label  # type: ignore[no-any-return]


class Label:
    """A strong key, made anew for each use; collides as the referents do."""

    def __init__(self, label: int) -> None:
        self.label = label

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Label) and self.label == other.label

    def __hash__(self) -> int:
        return self.label % 2 if self.label < CROWD else self.label


class Entry:
    """What the model knows of one entry: whose label, which referent now, which ever."""

    def __init__(self, referent: Referent, value: Any) -> None:
        self.label: int = referent.label
        self.tokens: set[int] = set()
        self.watches: list[weakref.ref[Referent]] = []
        self.refer_to(referent)
        self.value = value
        self.values = [value]

    def refer_to(self, referent: Referent) -> None:
        self.watch = weakref.ref(referent)
        self.token: int = referent.token
        self.tokens.add(referent.token)
        self.watches.append(self.watch)

    def alive(self) -> bool:
        return self.watch() is not None


class OpenIterator:
    """An iterator, and the entries that were there when it was made."""

    def __init__(self, what: str, iterator: Iterator[Any], entries: list[Entry]) -> None:
        self.what = what
        self.iterator = iterator
        self.entries = entries
        self.tokens = [entry.token for entry in entries]
        self.visited: list[Entry] = []


class ContainerMachine(RuleBasedStateMachine):
    """Rules for all; the subclasses say how an operation is spelt."""

    ways: tuple[str, ...]
    table: Any

    def __init__(self) -> None:
        super().__init__()
        self.collecting = gc.isenabled()
        gc.disable()  # so that garbage cycles die when the rules say so
        self.owned: dict[int, Referent] = {}  # by token
        self.entries: list[Entry] = []
        self.iterators: list[OpenIterator] = []
        self.cycles: list[set[int]] = []  # of tokens that only live together
        self.values = itertools.count()

    def teardown(self) -> None:
        if self.collecting:
            gc.enable()

    # how each container spells it

    def make(self) -> Any:
        raise NotImplementedError

    def put(self, referent: Referent, value: int) -> None:
        raise NotImplementedError

    def find(self, label: int) -> Any:
        """The token or value under this label; None if there is none."""
        raise NotImplementedError

    def remove(self, label: int) -> None:
        raise NotImplementedError

    def pop_last(self) -> Any:
        raise NotImplementedError

    def content(self, table: Any) -> list[Any]:
        raise NotImplementedError

    def shown(self, entry: Entry) -> Any:
        """The entry as `content` shows it."""
        raise NotImplementedError

    def pairs(self, referents: list[Referent], values: list[int]) -> Any:
        """What update() takes."""
        raise NotImplementedError

    replaces_referent = False  # only a value dictionary replaces what it refers to weakly
    by_identity = False

    # the model

    def live(self) -> list[Entry]:
        self.entries = [entry for entry in self.entries if self.is_alive(entry)]
        return self.entries

    def is_alive(self, entry: Entry) -> bool:
        return entry.alive()

    def mark(self, one: Entry | Referent) -> int:
        """The same for what the container takes for the same."""
        return one.token if self.by_identity else one.label  # type: ignore[no-any-return]

    def probe(self, label: int) -> Referent:
        """What finds the entry of this label, if there is one."""
        entry = self.entry_of(label) if self.by_identity else None
        found = None if entry is None else entry.watch()
        return Referent(label) if found is None else found

    def entry_of(self, label: int) -> Entry | None:
        return next((entry for entry in self.live() if entry.label == label), None)

    def entry_like(self, referent: Referent) -> Entry | None:
        mark = self.mark(referent)
        return next((entry for entry in self.live() if self.mark(entry) == mark), None)

    def model_put(self, referent: Referent, value: int) -> None:
        entry = self.entry_like(referent)
        if entry is None:
            self.entries.append(Entry(referent, value))
            return
        if self.replaces_referent:
            entry.refer_to(referent)
        entry.value = value
        entry.values.append(value)

    def referent(self, data: st.DataObject, label: int) -> Referent:
        """One of those owned with this label, or a new one."""
        same = [each for each in self.owned.values() if each.label == label]
        made = data.draw(st.sampled_from([None, *(each.token for each in same)]))
        if made is None:
            new = Referent(label)
            self.owned[new.token] = new
            return new
        return self.owned[made]

    # rules: changes

    @initialize()
    def begin(self) -> None:
        self.table = self.make()

    @rule(data=st.data(), label=LABELS)
    def insert(self, data: st.DataObject, label: int) -> None:
        referent, value = self.referent(data, label), next(self.values)
        self.put(referent, value)
        self.model_put(referent, value)

    @rule(label=LABELS)
    def insert_what_dies_at_once(self, label: int) -> None:
        referent, value = Referent(label), next(self.values)
        self.put(referent, value)
        self.model_put(referent, value)
        del referent
        let_die()

    @rule(labels=st.lists(LABELS, max_size=12))
    def update_with_many(self, labels: list[int]) -> None:
        referents = [Referent(label) for label in labels]
        values = [next(self.values) for _ in labels]
        # Equal keys in one mapping: the first key stays with the last value, as in dict.
        merged: dict[int, tuple[Referent, int]] = {}
        for referent, value in zip(referents, values, strict=True):
            first = merged.get(self.mark(referent), (referent, 0))[0]
            merged[self.mark(referent)] = (referent if self.replaces_referent else first, value)
            self.owned[referent.token] = referent
        self.table.update(self.pairs(referents, values))
        for referent, value in merged.values():
            self.model_put(referent, value)

    @rule(count=st.integers(20, 200))
    def update_with_hundreds_that_die(self, count: int) -> None:
        crowd = [Referent(CROWD + number) for number in range(count)]
        before = len(self.table)
        self.table.update(self.pairs(crowd, [next(self.values) for _ in crowd]))
        assert len(self.table) == before + count
        crowd.clear()
        let_die()

    @rule(label=LABELS)
    def remove_one(self, label: int) -> None:
        entry = self.entry_of(label)
        if entry is None:
            with pytest.raises(KeyError):
                self.remove(label)
        else:
            self.remove(label)
            self.entries.remove(entry)

    @rule()
    def pop_newest(self) -> None:
        if not self.live():
            with pytest.raises(KeyError):
                self.pop_last()
        else:
            expected = self.shown(self.entries.pop())
            assert self.pop_last() == expected
            let_die()

    @rule()
    def clear(self) -> None:
        self.table.clear()
        self.entries.clear()

    @rule()
    def replace_by_a_copy(self) -> None:
        """The old one goes, with iterators that may still be open on it."""
        self.table = self.table.copy()
        self.entries = [self.fresh(entry) for entry in self.live()]
        let_die()

    def fresh(self, entry: Entry) -> Entry:
        """The same entry in another table: open iterators do not visit it."""
        referent = entry.watch()
        assert referent is not None
        new = Entry(referent, entry.value)
        new.label = entry.label
        return new

    # rules: deaths

    @precondition(lambda self: self.owned)
    @rule(data=st.data(), cyclic=st.booleans())
    def drop_one(self, data: st.DataObject, cyclic: bool) -> None:
        token = data.draw(st.sampled_from(sorted(self.owned)))
        if cyclic:
            self.owned[token].other = self.owned[token]
        self.owned_dies(token)

    def owned_dies(self, token: int) -> None:
        watch = weakref.ref(self.owned[token])
        cyclic = self.owned[token].other is not None
        del self.owned[token]
        let_die()
        if watch() is not None and not cyclic and not PYPY:  # where frames can hold it for a while
            # Only an iterator written in Python may hold what it yielded last.
            assert any(token in entry.tokens for each in self.iterators for entry in each.visited)

    @precondition(lambda self: len(self.owned) > 1)
    @rule(data=st.data())
    def drop_a_cycle_of_many(self, data: st.DataObject) -> None:
        tokens = data.draw(st.lists(st.sampled_from(sorted(self.owned)), unique=True))
        self.cycles.append(set(tokens))
        some = [self.owned.pop(token) for token in tokens]
        for one, other in zip(some, some[1:] + some[:1], strict=True):
            one.other = other

    @rule()
    def drop_all(self) -> None:
        self.owned.clear()
        let_die()

    @rule()
    def collect(self) -> None:
        gc_collect_harder()
        # An iterator may hold what it yielded last, and that the others of its cycle.
        open_ones = {token for each in self.iterators for e in each.visited for token in e.tokens}
        for cycle in self.cycles:
            if cycle & open_ones:
                open_ones |= cycle
        for entry in self.live():
            assert PYPY or entry.token in self.owned or entry.token in open_ones

    # rules: iterators

    @rule(data=st.data())
    def open_an_iterator(self, data: st.DataObject) -> None:
        if len(self.iterators) < 5:
            what = data.draw(st.sampled_from(self.ways))
            iterator = getattr(self.table, what)()
            self.iterators.append(OpenIterator(what, iterator, list(self.live())))

    @precondition(lambda self: self.iterators)
    @rule(data=st.data(), steps=st.integers(1, 8))
    def advance_an_iterator(self, data: st.DataObject, steps: int) -> None:
        at = data.draw(st.integers(0, len(self.iterators) - 1))
        opened = self.iterators[at]
        for _ in range(steps):
            try:
                item = next(opened.iterator)
            except StopIteration:
                self.check_complete(opened)
                del self.iterators[at]
                break
            entry = self.visited_entry(opened, item)
            assert entry is not None, f"{item!r} was not there, or is visited twice"
            # One whose referent was replaced may be seen as it was.
            assert any(watch() is not None for watch in entry.watches)
            opened.visited.append(entry)
            del item

    def visited_entry(self, opened: OpenIterator, item: Any) -> Entry | None:
        fits = self.fits(opened.what, item)
        return next(
            (e for e in opened.entries if e not in opened.visited and fits(e)),
            None,
        )

    def fits(self, what: str, item: Any) -> Callable[[Entry], bool]:
        raise NotImplementedError

    def check_complete(self, opened: OpenIterator) -> None:
        """What was there all the time, unchanged, has been visited."""
        if self.replaces_referent and opened.what == "values":
            return  # the same object may stand for several entries
        live = self.live()
        for entry, token in zip(opened.entries, opened.tokens, strict=True):
            if entry in live and entry.token == token:
                assert entry in opened.visited, f"label {entry.label} was left out"

    @precondition(lambda self: self.iterators)
    @rule(data=st.data())
    def abandon_an_iterator(self, data: st.DataObject) -> None:
        del self.iterators[data.draw(st.integers(0, len(self.iterators) - 1))]
        let_die()

    # after each step

    @invariant()
    def same_as_the_model(self) -> None:
        if not hasattr(self, "table"):
            return
        self.table._check()
        before = [self.shown(entry) for entry in self.live()]
        actual = self.content(self.table)
        length = len(self.table)
        after = [self.shown(entry) for entry in self.live()]
        assert actual in (before, after)  # they differ where a collector runs when it likes
        assert length in (len(before), len(after))

    @rule(label=LABELS)
    def look_up(self, label: int) -> None:
        entry = self.entry_of(label)
        assert self.find(label) == (None if entry is None else self.shown(entry))


class KeyMachine(ContainerMachine):
    ways = ("keys", "values", "items", "__iter__", "__reversed__")

    def make(self) -> Any:
        return WeakKeyDictionary()

    def put(self, referent: Referent, value: int) -> None:
        self.table[referent] = self.stored(value)

    def stored(self, value: int) -> Any:
        """The value that the table is given for one of the model's."""
        return value

    def read(self, stored: Any) -> int:
        return stored  # type: ignore[no-any-return]

    def find(self, label: int) -> Any:
        probe = self.probe(label)
        value = self.table.get(probe)
        assert (probe in self.table) == (value is not None)
        if value is None:
            return None
        assert self.table[probe] == value
        entry = self.entry_of(label)
        return entry and (entry.token, self.read(value))

    def remove(self, label: int) -> None:
        del self.table[self.probe(label)]

    def pop_last(self) -> Any:
        key, value = self.table.popitem()
        return key.token, self.read(value)

    def content(self, table: Any) -> list[Any]:
        assert [key.token for key in reversed(table)][::-1] == [key.token for key in table]
        return [(key.token, self.read(value)) for key, value in table.items()]

    def shown(self, entry: Entry) -> Any:
        return entry.token, entry.value

    def pairs(self, referents: list[Referent], values: list[int]) -> Any:
        return list(zip(referents, map(self.stored, values), strict=True))

    def fits(self, what: str, item: Any) -> Callable[[Entry], bool]:
        if what == "values":
            return lambda entry: self.read(item) in entry.values
        if what == "items":
            return lambda entry: (
                item[0].token in entry.tokens and self.read(item[1]) in entry.values
            )
        return lambda entry: item.token in entry.tokens

    @rule(data=st.data(), label=LABELS)
    def setdefault(self, data: st.DataObject, label: int) -> None:
        referent, value = self.referent(data, label), next(self.values)
        entry = self.entry_like(referent)
        found = self.read(self.table.setdefault(referent, self.stored(value)))
        if entry is None:
            self.model_put(referent, value)
            assert found == value
        else:
            assert found == entry.value

    @rule(data=st.data(), label=LABELS)
    def get_or_create(self, data: st.DataObject, label: int) -> None:
        referent, value = self.referent(data, label), next(self.values)
        entry = self.entry_like(referent)
        found = self.read(self.table.get_or_create(referent, lambda: self.stored(value)))
        if entry is None:
            self.model_put(referent, value)
            assert found == value
        else:
            assert found == entry.value

    @rule(label=LABELS)
    def pop(self, label: int) -> None:
        entry = self.entry_of(label)
        found = self.table.pop(self.probe(label), None)
        assert (found and self.read(found)) == (entry and entry.value)
        if entry is not None:
            self.entries.remove(entry)

    @rule()
    def compare(self) -> None:
        twin = self.table.copy()
        assert twin == self.table == dict(self.table.items())
        twin._check()


class EphemeronMachine(KeyMachine):
    def make(self) -> Any:
        return EphemeronDictionary()


class DefaultMachine(KeyMachine):
    def make(self) -> Any:
        return WeakDefaultDictionary(self.fresh_value)

    def fresh_value(self) -> int:
        return next(self.values)

    @rule(data=st.data(), label=LABELS)
    def get_item(self, data: st.DataObject, label: int) -> None:
        referent = self.referent(data, label)
        entry = self.entry_like(referent)
        found = self.table[referent]
        if entry is None:
            self.model_put(referent, found)
        else:
            assert found == entry.value


class IdKeyMachine(KeyMachine):
    by_identity = True

    def make(self) -> Any:
        return WeakIdKeyDictionary()

    @rule(data=st.data(), label=LABELS)
    def an_equal_key_is_another(self, data: st.DataObject, label: int) -> None:
        assert Referent(label) not in self.table

    @rule()
    def compare(self) -> None:
        twin = self.table.copy()
        items = list(self.table.items())
        assert twin == self.table
        assert (twin == dict(items)) == (len(dict(items)) == len(items))
        assert sorted(ref().token for ref in twin.keyrefs()) == sorted(key.token for key in twin)
        twin._check()


class Number:
    """A value to be weakly referenced."""

    def __init__(self, number: int) -> None:
        self.number = number


class KeyValueMachine(KeyMachine):
    """Entries go with their values too."""

    ways = (*KeyMachine.ways, "itervaluerefs")

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[int, Number] = {}
        self.number_watches: dict[int, weakref.ref[Number]] = {}

    def make(self) -> Any:
        return WeakKeyValueDictionary()

    def stored(self, value: int) -> Number:
        number = Number(value)
        self.numbers[value] = number
        self.number_watches[value] = weakref.ref(number)
        return number

    def read(self, stored: Number) -> int:
        return stored.number

    def is_alive(self, entry: Entry) -> bool:
        return entry.alive() and self.number_watches[entry.value]() is not None

    def content(self, table: Any) -> list[Any]:
        assert [ref() for ref in table.keyrefs()] == list(table)
        assert [ref() for ref in table.valuerefs()] == list(table.values())
        return super().content(table)

    def fits(self, what: str, item: Any) -> Callable[[Entry], bool]:
        if what == "itervaluerefs":
            return lambda entry: item in [self.number_watches[each] for each in entry.values]
        return super().fits(what, item)

    @precondition(lambda self: self.numbers)
    @rule(data=st.data(), count=st.integers(1, 5))
    def drop_values(self, data: st.DataObject, count: int) -> None:
        for value in data.draw(st.lists(st.sampled_from(sorted(self.numbers)), max_size=count)):
            self.numbers.pop(value, None)
        let_die()

    @precondition(lambda self: self.numbers and self.owned)
    @rule(data=st.data())
    def a_value_that_goes_with_its_key(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.owned)))
        value = data.draw(st.sampled_from(sorted(self.numbers)))
        self.owned[token].other = self.numbers.pop(value)
        let_die()


class ValueMachine(ContainerMachine):
    ways = ("keys", "values", "items", "__iter__", "__reversed__", "itervaluerefs")
    replaces_referent = True

    def make(self) -> Any:
        return WeakValueDictionary()

    def put(self, referent: Referent, value: int) -> None:
        self.table[Label(referent.label)] = referent

    def find(self, label: int) -> Any:
        found = self.table.get(Label(label))
        assert (Label(label) in self.table) == (found is not None)
        if found is None:
            return None
        assert self.table[Label(label)] is found
        assert self.table._getref(Label(label))() is found
        return label, found.token

    def remove(self, label: int) -> None:
        del self.table[Label(label)]

    def pop_last(self) -> Any:
        key, referent = self.table.popitem()
        return key.label, referent.token

    def content(self, table: Any) -> list[Any]:
        assert [ref.key for ref in table.valuerefs()] == list(table)
        assert list(reversed(table))[::-1] == list(table)
        return [(key.label, referent.token) for key, referent in table.items()]

    def shown(self, entry: Entry) -> Any:
        return entry.label, entry.token

    def pairs(self, referents: list[Referent], values: list[int]) -> Any:
        return [(Label(referent.label), referent) for referent in referents]

    def fits(self, what: str, item: Any) -> Callable[[Entry], bool]:
        if what == "values":
            return lambda entry: item.token in entry.tokens
        if what == "items":
            return lambda entry: item[0].label == entry.label and item[1].token in entry.tokens
        if what == "itervaluerefs":
            return lambda entry: item.key.label == entry.label
        return lambda entry: item.label == entry.label

    @rule(data=st.data(), label=LABELS)
    def setdefault(self, data: st.DataObject, label: int) -> None:
        referent = self.referent(data, label)
        entry = self.entry_of(label)
        found = self.table.setdefault(Label(label), referent)
        if entry is None:
            self.model_put(referent, 0)
            assert found is referent
        else:
            assert found.token == entry.token

    @rule(label=LABELS)
    def pop(self, label: int) -> None:
        entry = self.entry_of(label)
        found = self.table.pop(Label(label), None)
        assert (found and found.token) == (entry and entry.token)
        if entry is not None:
            self.entries.remove(entry)

    @rule(data=st.data(), label=LABELS, other=LABELS)
    def one_value_twice(self, data: st.DataObject, label: int, other: int) -> None:
        """The same object under two labels: both entries go with it."""
        referent = self.referent(data, label)
        for each in (label, other):
            self.table[Label(each)] = referent
            entry = self.entry_of(each)
            if entry is None:
                entry = Entry(referent, 0)
                entry.label = each
                self.entries.append(entry)
            else:
                entry.refer_to(referent)


class SetMachine(ContainerMachine):
    ways = ("__iter__", "__reversed__")

    def make(self) -> Any:
        return WeakSet()

    def put(self, referent: Referent, value: int) -> None:
        self.table.add(referent)

    def find(self, label: int) -> Any:
        entry = self.entry_of(label)
        return entry.token if entry and self.probe(label) in self.table else None

    def remove(self, label: int) -> None:
        self.table.remove(self.probe(label))

    def pop_last(self) -> Any:
        return self.table.pop().token

    def content(self, table: Any) -> list[Any]:
        assert [each.token for each in reversed(table)][::-1] == [each.token for each in table]
        return [referent.token for referent in table]

    def shown(self, entry: Entry) -> Any:
        return entry.token

    def pairs(self, referents: list[Referent], values: list[int]) -> Any:
        return referents

    def fits(self, what: str, item: Any) -> Callable[[Entry], bool]:
        return lambda entry: item.token in entry.tokens

    @rule(label=LABELS)
    def discard(self, label: int) -> None:
        entry = self.entry_of(label)
        self.table.discard(self.probe(label))
        if entry is not None:
            self.entries.remove(entry)

    @rule(labels=st.lists(LABELS), name=st.sampled_from(["difference", "intersection"]))
    def update_with_others(self, labels: list[int], name: str) -> None:
        others = [self.probe(label) for label in labels]
        getattr(self.table, f"{name}_update")(others)
        keep = name == "intersection"
        theirs = set(map(self.mark, others))
        self.entries = [each for each in self.live() if (self.mark(each) in theirs) == keep]

    @rule(labels=st.lists(LABELS))
    def ask(self, labels: list[int]) -> None:
        others = [self.probe(label) for label in labels]
        mine = set(map(self.mark, self.live()))
        theirs = set(map(self.mark, others))
        assert self.table.issubset(others) == mine.issubset(theirs)
        assert self.table.issuperset(others) == mine.issuperset(theirs)
        assert self.table.isdisjoint(others) == mine.isdisjoint(theirs)
        assert set(map(self.mark, self.table ^ others)) == mine ^ theirs
        assert set(map(self.mark, self.table & others)) == mine & theirs
        assert set(map(self.mark, self.table | others)) == mine | theirs
        assert set(map(self.mark, self.table - others)) == mine - theirs


class IdSetMachine(SetMachine):
    by_identity = True

    def make(self) -> Any:
        return WeakIdSet()

    @rule(label=LABELS)
    def an_equal_member_is_another(self, label: int) -> None:
        assert Referent(label) not in self.table


TestKeyDictionary = KeyMachine.TestCase
TestEphemeronDictionary = EphemeronMachine.TestCase
TestDefaultDictionary = DefaultMachine.TestCase
TestIdKeyDictionary = IdKeyMachine.TestCase
TestKeyValueDictionary = KeyValueMachine.TestCase
TestValueDictionary = ValueMachine.TestCase
TestSet = SetMachine.TestCase
TestIdSet = IdSetMachine.TestCase
if PYPY:  # see KINDS in support.py
    del TestEphemeronDictionary, TestIdSet
