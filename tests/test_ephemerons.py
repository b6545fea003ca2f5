"""Ephemerons: an entry goes once nothing but ephemerons' values leads to its key.

And never before: each way that a value may reach its key is tried with the key dropped and
with the key held. What suspended frames do has a file of its own, `test_ephemerons_frames.py`;
random graphs are in `test_ephemeron_graphs.py`, long random work in `soak_ephemerons.py`.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from paths import paths
from support import (
    C_CORE,
    COUNTS_REFERENCES,
    DEPTH,
    FREE_THREADED,
    PYPY,
    ROUNDS,
    Crew,
    EqualMember,
    Member,
    Thing,
    Unhashable,
    check_runs,
    collects,
    count_failures,
    counts,
    durations,
    enters_types,
    failing_allocations,
    freeze,
    gc_collect_harder,
    let_die,
    members,
)

import weakly
from weakly import Ephemeron, EphemeronDictionary, WeakIdKeyDictionary, ephemeron_stats

has_counts = pytest.mark.skipif(not COUNTS_REFERENCES, reason="nothing dies by itself there")


class Pairs:
    """Single ephemerons, used as a table is here, so that they run in the same tests."""

    def __init__(self) -> None:
        self.pairs: list[Ephemeron[Any, Any]] = []

    def __setitem__(self, key: object, value: object) -> None:
        self.pairs.append(Ephemeron(key, value))

    def __getitem__(self, key: object) -> Any:
        for pair in self.pairs:
            if pair.key is key:
                return pair.value
        raise KeyError(key)

    def __len__(self) -> int:
        return sum(pair.pair() is not None for pair in self.pairs)

    def _check(self) -> None:
        """Pairs have nothing to be checked."""


def collect_once() -> None:
    """One collection, which is enough where no garbage from elsewhere leads to a key.

    Without the GIL not every collection has a walk.
    """
    if FREE_THREADED:
        weakly.collect()
    else:
        gc.collect()


@pytest.fixture(params=[EphemeronDictionary, WeakIdKeyDictionary], ids=lambda cls: cls.__name__)
def table_type(request: pytest.FixtureRequest) -> Any:
    return request.param


HOLDER_TYPES = [EphemeronDictionary, WeakIdKeyDictionary, Pairs]


@pytest.fixture(
    params=HOLDER_TYPES,
    ids=["EphemeronDictionary", "WeakIdKeyDictionary", "Ephemeron"],
)
def holder_type(request: pytest.FixtureRequest) -> Any:
    """A table, or what does a table's work with single ephemerons."""
    return request.param


@pytest.fixture(params=[collect_once, lambda: weakly.collect()], ids=["gc.collect", "collect"])
def collect(request: pytest.FixtureRequest) -> Any:
    """Both ways to collect."""
    return request.param


def check_live(holder: Any, key: object, value: object) -> None:
    """The entry survives whatever collects."""
    for _ in range(1 if PYPY else 2):
        gc.collect()
        weakly.collect()
        assert holder[key] is value
    holder._check()


def check_empty(holder: Any, *watches: weakref.ref[Any]) -> None:
    """All are dead, and their entries gone with them."""
    assert [watch() for watch in watches] == [None] * len(watches)
    assert len(holder) == 0
    holder._check()


# --- the ways from a value to its key


@collects
@paths
def test_a_value_does_not_keep_its_key(holder_type: Any, path: Any, collect: Any) -> None:
    holder = holder_type()
    key = Thing()
    watch = weakref.ref(key)
    holder[key] = path(key)
    del key
    collect()
    check_empty(holder, watch)


@paths
def test_a_held_key_keeps_its_value(holder_type: Any, path: Any) -> None:
    holder = holder_type()
    key = Thing()
    holder[key] = value = path(key)
    check_live(holder, key, value)


@paths
def test_a_held_value_keeps_its_key(holder_type: Any, path: Any) -> None:
    holder = holder_type()
    key = Thing()
    watch = weakref.ref(key)
    holder[key] = value = path(key)
    del key
    gc.collect()
    weakly.collect()
    key = watch()
    assert key is not None
    check_live(holder, key, value)


@paths
def test_a_held_key_keeps_the_keys_that_its_value_reaches(holder_type: Any, path: Any) -> None:
    holder = holder_type()
    first, second, third = Thing(), Thing(), Thing()
    watches = [weakref.ref(second), weakref.ref(third)]
    # In the order in which one round over the entries finds least.
    holder[third] = 3
    holder[second] = path(third)
    holder[first] = path(second)
    del second, third
    gc.collect()
    weakly.collect()
    assert len(holder) == 3
    assert holder[watches[1]()] == 3
    holder._check()
    if C_CORE:
        del first
        weakly.collect()
        check_empty(holder, *watches)


# --- keys


@collects
@enters_types
@pytest.mark.parametrize(
    "value_of",
    [lambda cls: cls, lambda cls: cls(), lambda cls: cls().method, lambda cls: [cls.__mro__]],
    ids=["itself", "instance", "method", "bases"],
)
def test_a_class_whose_value_reaches_it(holder_type: Any, value_of: Any, collect: Any) -> None:
    class Class(Thing):
        def whoami(self) -> Any:
            return __class__  # type: ignore[name-defined]  # a cell of its own

    holder = holder_type()
    holder[Class] = value = value_of(Class)
    watch = weakref.ref(Class)
    check_live(holder, Class, value)
    del Class, value
    collect()
    check_empty(holder, watch)


@pytest.mark.parametrize("cls", [Unhashable, type("List", (list,), {}), type("Dict", (dict,), {})])
def test_unhashable_keys(cls: Any) -> None:
    table: Any = WeakIdKeyDictionary()
    key = cls()
    watch = weakref.ref(key)
    table[key] = value = [key]
    check_live(table, key, value)
    del key, value
    weakly.collect()
    if C_CORE:
        check_empty(table, watch)


@collects
def test_no_method_of_a_key_runs_in_a_collection(collect: Any) -> None:
    class Strict(Thing):
        quiet = False

        def __hash__(self) -> int:
            assert not Strict.quiet
            return 1

        def __eq__(self, other: object) -> bool:
            assert not Strict.quiet
            return self is other

        __bool__ = __len__ = __hash__

    table: Any = EphemeronDictionary()
    held = [Strict() for _ in range(5)]
    for key in [*held, *(Strict() for _ in range(5))]:
        table[key] = [key]
    del key
    Strict.quiet = True
    collect()
    assert len(table) == 5
    table._check()
    Strict.quiet = False
    assert all(table[key] == [key] for key in held)


def untracked_keys() -> list[Any]:
    """What can be weakly referenced and has no part in garbage collection."""
    return [
        pytest.param(lambda: compile("1", "<key>", "eval"), id="code object"),
        pytest.param(lambda: pytest.importorskip("numpy").zeros(3), id="numpy array"),
    ]


@pytest.mark.parametrize("make", untracked_keys())
def test_keys_that_the_collector_does_not_track(table_type: Any, make: Any) -> None:
    keys = [make() for _ in range(4)]
    assert PYPY or not any(map(gc.is_tracked, keys))
    table = table_type() if table_type is WeakIdKeyDictionary else WeakIdKeyDictionary()
    values: list[Any] = [[keys[0]], (keys[1],), {1: keys[2]}, keys[3]]
    for key, value in zip(keys, values, strict=True):
        table[key] = value
    for key, value in zip(keys, values, strict=True):
        check_live(table, key, value)
    watches = [weakref.ref(key) for key in keys]
    del key, keys, value, values
    weakly.collect()
    if C_CORE:
        # The others may be out of its sight too, and then stay.
        assert [watches[0](), watches[3]()] == [None, None]
    table._check()
    table.clear()
    let_die()
    check_empty(table, *watches)


@pytest.mark.parametrize(
    "value", [5, "text", None, (1, (2, "three")), {"a": 1}, 1.5, b"bytes", range(3)], ids=repr
)
def test_values_that_the_collector_does_not_track(holder_type: Any, value: Any) -> None:
    holder = holder_type()
    keys = [Thing() for _ in range(2 if PYPY else 10)]  # each is looked at after collections
    for key in keys:
        holder[key] = value
    for key in keys:
        check_live(holder, key, value)
    watches = [weakref.ref(key) for key in keys]
    del key, keys
    let_die()
    check_empty(holder, *watches)


def test_values_change_between_tracked_and_not(holder_type: Any) -> None:
    """The collector stops tracking tuples and dicts that it finds to hold nothing for it."""
    holder = holder_type()
    key, other = Thing(), Thing()
    watch = weakref.ref(other)
    value: dict[str, Any] = {"a": (1, 2)}
    holder[key] = value
    check_live(holder, key, value)
    value["other"] = other
    holder[other] = value
    del value, other
    gc.collect()
    weakly.collect()
    assert holder[key]["other"] is watch()
    del holder[key]["other"]
    let_die()
    assert watch() is None
    assert holder[key] == {"a": (1, 2)}


# --- several entries and several tables


def test_mutual_pairs_over_two_tables(table_type: Any, collect: Any) -> None:
    for held in ("first", "second", "neither"):
        one, two = table_type(), table_type()
        first, second = Thing(), Thing()
        watches = [weakref.ref(first), weakref.ref(second)]
        one[first] = [second]
        two[second] = [first]
        kept = {"first": first, "second": second}.get(held)
        del first, second
        collect()
        if held == "neither":
            if C_CORE:
                check_empty(one, *watches)
                check_empty(two)
        else:
            first, second = watches[0](), watches[1]()
            assert kept in (first, second)
            check_live(one, first, one[first])
            check_live(two, second, two[second])
            del first, second


@collects
def test_ring_of_tables(table_type: Any, collect: Any) -> None:
    """Every key is reached from the value in the table before; one holder keeps all of them."""
    tables = [table_type() for _ in range(10)]
    keys = [Thing() for _ in tables]
    for at, table in enumerate(tables):
        table[keys[at]] = [keys[(at + 1) % len(keys)]]
    watches = [weakref.ref(key) for key in keys]
    del keys[4:], keys[:3], table
    collect()
    assert None not in [watch() for watch in watches]
    assert [len(table) for table in tables] == [1] * 10
    keys.clear()
    collect()
    for table in tables:
        check_empty(table, *watches)


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_all_entries_of_a_key_that_is_found_late(table_type: Any, first: bool) -> None:
    """It is reached from the value of another key alone, and each of its values reaches more."""
    tables = [table_type() for _ in range(6)]
    head, key, others = Thing(), Thing(), members(6)
    tables[0 if first else -1][head] = [key]
    for table, other in zip(tables, others, strict=True):
        table[key] = [key, other]
        table[other] = [other]
    watch = weakref.ref(key)
    watches = [weakref.ref(other) for other in others]
    del key, table, other, others
    gc.collect()
    weakly.collect()
    for table, other in zip(tables, watches, strict=True):
        assert table[watch()] == [watch(), other()]
        assert table[other()] == [other()]


def chain(holder: Any, length: int, backwards: bool, value_of: Any) -> Any:
    """Entries whose values reach the next one's key; returns the first key and some watches."""
    keys = [Member(n) for n in range(length + 1)]
    pairs = list(itertools.pairwise(keys))
    for key, following in reversed(pairs) if backwards else pairs:
        holder[key] = value_of(key, following)
    holder[keys[-1]] = None
    return keys[0], [weakref.ref(keys[at]) for at in (0, 1, length // 2, length)]


@collects
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_long_chain_goes_in_one_collection(holder_type: Any, backwards: bool) -> None:
    """In either order of the entries, in linear time, without recursion."""
    holder = holder_type()
    head, watches = chain(holder, DEPTH, backwards, lambda key, following: (key, following))
    for _ in range(2):
        collect_once()
        assert None not in [watch() for watch in watches]
    assert len(holder) == DEPTH + 1
    holder._check()
    del head
    collect_once()
    check_empty(holder, *watches)


@pytest.mark.c_core(reason="callbacks in Python nest too deeply, as in the standard library")
@has_counts
def test_long_chain_dies_by_reference_counts(holder_type: Any) -> None:
    holder = holder_type()
    head, watches = chain(holder, DEPTH, False, lambda key, following: [following])
    gc.disable()
    assert len(holder) == DEPTH + 1
    del head
    if FREE_THREADED:
        let_die()
    check_empty(holder, *watches)


@has_counts
def test_long_chain_of_tables_dies_by_reference_counts(holder_type: Any) -> None:
    """Each but the first is the value of the one before; the keys are held."""
    key = Thing()
    first = last = holder_type()
    for _ in range(DEPTH):
        following = holder_type()
        last[key] = following
        last = following
    watch = weakref.ref(last)
    del last, following
    gc.collect()
    weakly.collect()
    assert watch() is not None
    del first
    let_die()
    assert watch() is None


@collects
def test_long_chain_of_tables_goes_in_one_collection(holder_type: Any) -> None:
    """Each but the first is reached from the value of the one before, with its key."""
    first = holder = holder_type()
    watches = []
    for number in range(20_000):
        key, following = Member(number), holder_type()
        holder[key] = (key, following)
        watches.append(weakref.ref(key))
        if number == 0:
            head = key
        else:
            first[head][0].other = (first[head][0].other, key)
        holder = following
    del key, following, holder
    collect_once()
    assert all(watch() is not None for watch in watches)
    head.other = None
    collect_once()  # keys behind the first have no holder now but the values of their own
    assert [watch() is not None for watch in watches[:3]] == [True, False, False]
    del head
    collect_once()
    check_empty(first, *watches)


def test_a_value_that_refers_to_its_table(holder_type: Any, collect: Any) -> None:
    holder = holder_type()
    key = Thing()
    watches = [weakref.ref(key), weakref.ref(holder)]
    holder[key] = value = [holder, key]
    check_live(holder, key, value)
    del value
    if C_CORE:
        del key
        collect()
        check_empty(holder, watches[0])
        key = Thing()
        holder[key] = [holder, key]
        watches[0] = weakref.ref(key)
    del holder
    collect()
    assert watches[0]() is key
    if C_CORE:
        assert watches[1]() is None
        del key
        let_die()
        assert watches[0]() is None


def test_table_that_only_its_own_value_holds(holder_type: Any, collect: Any) -> None:
    """The key is held; the table is not: there is no way to the value but through the table."""
    holder = holder_type()
    key = Thing()
    holder[key] = [holder]
    watch = weakref.ref(holder)
    del holder
    collect()
    assert watch() is None


def test_table_that_lives_only_in_another_tables_value(table_type: Any, collect: Any) -> None:
    outer = table_type()
    outer_key, inner_key = Thing(), Thing()
    outer[outer_key] = inner = table_type()
    inner[inner_key] = value = [inner_key, inner]
    watches = [weakref.ref(inner), weakref.ref(inner_key), weakref.ref(outer_key)]
    del inner
    check_live(outer[outer_key], inner_key, value)
    del value, inner_key
    collect()
    assert outer[outer_key] is watches[0]()
    if C_CORE:
        check_empty(outer[outer_key], watches[1])
    del outer_key
    collect()
    if C_CORE:
        check_empty(outer, *watches)


@collects
def test_table_whose_key_its_own_content_holds(table_type: Any, collect: Any) -> None:
    """Key of the outer entry in the inner table's value: it lives while somebody holds both
    the inner table and its key."""
    for held in ("key", "table", "both"):
        outer, inner = table_type(), table_type()
        outer_key, inner_key = Thing(), Thing()
        watches = [weakref.ref(outer_key), weakref.ref(inner), weakref.ref(inner_key)]
        outer[outer_key] = inner
        inner[inner_key] = [outer_key]
        kept = {"key": inner_key, "table": inner, "both": [inner_key, inner]}[held]
        del outer_key, inner, inner_key
        collect()
        alive = [watch() is not None for watch in watches]
        assert (
            alive
            == {
                "key": [False, False, True],
                "table": [False, True, False],
                "both": [True, True, True],
            }[held]
        )
        assert len(outer) == (held == "both")
        outer._check()
        del kept
        collect()
        check_empty(outer, *watches)


def test_key_in_two_tables(table_type: Any, collect: Any) -> None:
    for values in (([0], 1), ([0], [0]), (1, 1)):  # a list is to get the key
        one, two = table_type(), table_type()
        key = Thing()
        watch = weakref.ref(key)
        for table, value in zip((one, two), values, strict=True):
            table[key] = [key] if value == [0] else value
        check_live(one, key, one[key])
        check_live(two, key, two[key])
        del key, table, value
        collect()
        if C_CORE:
            check_empty(one, watch)
            check_empty(two)


def test_key_in_two_tables_and_held_by_a_live_entry(table_type: Any, collect: Any) -> None:
    """Both its values reach it; so does that of a live key, in a third entry."""
    one, two = table_type(), table_type()
    key, other = Thing(), Thing()
    watch = weakref.ref(key)
    one[key], two[key] = [key], {1: key}
    two[other] = (key,)
    del key
    collect()
    assert two[other] == (watch(),)
    assert one[watch()] == [watch()]
    assert two[watch()] == {1: watch()}
    if C_CORE:
        del other
        collect()
        check_empty(one, watch)
        check_empty(two)


def test_tables_of_both_kinds_together(collect: Any) -> None:
    by_equality: Any = EphemeronDictionary()
    by_identity: Any = WeakIdKeyDictionary()
    first, second = EqualMember(1), EqualMember(2)
    watches = [weakref.ref(first), weakref.ref(second)]
    by_equality[first] = Ephemeron(second, [first, by_identity])
    by_identity[second] = [second, by_equality]
    check_live(by_equality, EqualMember(1), by_equality[first])
    check_live(by_identity, second, by_identity[second])
    del first, second
    collect()
    if C_CORE:
        check_empty(by_equality, *watches)
        check_empty(by_identity)


@collects
def test_copies_hold_no_keys_either(table_type: Any, collect: Any) -> None:
    table = table_type()
    key, held = Thing(), Thing()
    watch = weakref.ref(key)
    table[key] = [key]
    table[held] = [held]
    others = [table.copy(), table_type(table), table | table]
    del key
    collect()
    for each in (table, *others):
        assert list(each.items()) == [(held, [held])]
        each._check()
    assert watch() is None


@collects
def test_overwritten_and_removed_values_count_no_more(table_type: Any, collect: Any) -> None:
    table = table_type()
    key, held = Thing(), Thing()
    watch = weakref.ref(key)
    table[held] = [key]
    table[key] = 5
    table[held] = 6
    table[key] = [key, held]
    table[held] = [held]
    del key
    collect()
    assert list(table.items()) == [(held, [held])]
    assert watch() is None
    table._check()


@collects
def test_lenient_tables(table_type: Any, collect: Any) -> None:
    """An object that is held strongly is a live key; what its value reaches, lives."""
    table = table_type.lenient()
    key, other = Thing(), Thing()
    watches = [weakref.ref(key), weakref.ref(other)]
    strong = "strong"
    table[strong] = [key]
    table[key] = [key, other]
    table[other] = [other]
    del key, other
    collect()
    assert len(table) == 3
    assert table[watches[1]()] == [watches[1]()]
    table._check()
    table[strong] = None
    collect()
    assert list(table.items()) == [("strong", None)]
    assert [watch() for watch in watches] == [None, None]
    table._check()


@collects
def test_a_lenient_table_is_no_root(table_type: Any, collect: Any) -> None:
    """What it holds strongly may reach the table itself."""

    class Strong:
        __slots__ = ("table",)

    table = table_type.lenient()
    strong = Strong()
    strong.table = table
    table[strong] = [table]
    watch = weakref.ref(table)
    del table, strong
    collect()
    assert watch() is None


# --- tables


@collects
def test_a_table_that_is_garbage_itself(table_type: Any, collect: Any) -> None:
    table = table_type()
    table.itself = table
    held, key = Thing(), Thing()
    table[held] = [held, table]
    table[key] = [key, table, held]
    cycle = [table, key]
    cycle.append(cycle)
    watches = [weakref.ref(table), weakref.ref(key)]
    del table, key, cycle
    collect()
    assert [watch() for watch in watches] == [None, None]


def test_subclass_with_attributes(table_type: Any, collect: Any) -> None:
    class Annotated(table_type):  # type: ignore[misc]
        def __init__(self, owner: object) -> None:
            super().__init__()
            self.owner = owner

    owner, key = Thing(), Thing()
    watches = [weakref.ref(owner), weakref.ref(key)]
    table = Annotated(owner)
    table[owner] = [owner, table]
    table[key] = [key, table, table_type]
    del owner, key
    collect()
    assert table[table.owner] == [table.owner, table]  # the attribute is a holder like any
    if C_CORE:
        assert watches[1]() is None
        assert len(table) == 1
        table._check()
        watches.append(weakref.ref(table))
        del table
        collect()
        assert [watch() for watch in watches] == [None] * 3


def test_table_that_only_an_iterator_holds(table_type: Any) -> None:
    for make in (iter, reversed, table_type.items, table_type.values):
        table = table_type()
        keys = [Thing() for _ in range(5)]
        for key in keys:
            table[key] = [key]
        iterator = make(table)
        del table, key
        gc.collect()
        weakly.collect()
        assert len(list(iterator)) == 5


@collects
def test_iterators_over_a_table_that_is_collected(table_type: Any, collect: Any) -> None:
    table = table_type()
    keys = [Thing() for _ in range(20)]
    for key in keys:
        table[key] = [key, keys[0]]
    del key
    iterators = [iter(table), table.items(), table.values(), reversed(table)]
    for iterator in iterators:
        next(iterator)
    del iterator
    del keys[15:], keys[5:10]
    collect()
    assert list(table) == keys
    table._check()
    assert list(iterators[0]) == keys[1:]
    assert list(iterators[1]) == [(key, [key, keys[0]]) for key in keys[1:]]
    assert list(iterators[2]) == [[key, keys[0]] for key in keys[1:]]
    assert list(iterators[3]) == keys[::-1]


@collects
def test_iterators_over_entries_that_a_table_left(table_type: Any) -> None:
    """A table that grows leaves its old entries to the iterators, which may still give them."""
    table = table_type()
    keys = [Thing() for _ in range(5)]
    watches = [weakref.ref(key) for key in keys]
    for key in keys:
        table[key] = [key]
    iterator = table.items()
    assert next(iterator) == (keys[0], [keys[0]])
    crowd = [Thing() for _ in range(1000)]
    for key in crowd:
        table[key] = [key]
    del keys[1:], key
    gc.collect()
    weakly.collect()
    for key, value in iterator:
        assert value == [key]
        assert table[key] == [key]
    del iterator, keys, crowd, key, value
    weakly.collect()
    check_empty(table, *watches)


def test_weak_key_dictionary_leaks_as_in_the_standard_library() -> None:
    for cls in (weakly.WeakKeyDictionary, weakref.WeakKeyDictionary):
        table: Any = cls()
        key = Thing()
        watch = weakref.ref(key)
        table[key] = [key]
        del key
        weakly.collect()
        gc_collect_harder()
        assert watch() is not None
        assert len(table) == 1
        table.clear()
        let_die()
        assert watch() is None


@collects
def test_strong_and_ephemeron_tables_together(table_type: Any) -> None:
    """What the values of a plain weak dictionary reach is held while the dictionary is."""
    strong: Any = weakly.WeakKeyDictionary()
    table = table_type()
    key, other = Thing(), Thing()
    watches = [weakref.ref(key), weakref.ref(other)]
    strong[other] = [key, other]
    table[key] = [key, other]
    del key, other
    weakly.collect()
    assert table[watches[0]()] == [watches[0](), watches[1]()]
    strong.clear()
    weakly.collect()
    check_empty(table, *watches)


# --- holders that the walk cannot see into


def test_key_in_a_ctypes_object(table_type: Any) -> None:
    table = table_type()
    keys = [Thing() for _ in range(3)]
    holders: Any = [ctypes.py_object(keys[0]), (ctypes.py_object * 2)(keys[1], keys[2])]
    for key in keys:
        table[key] = [key, holders]
    watches = [weakref.ref(key) for key in keys]
    del keys, key
    gc.collect()
    weakly.collect()
    for watch in watches:
        key = watch()
        assert key is not None
        check_live(table, key, table[key])
    assert table[holders[0].value] == [holders[0].value, holders]


@pytest.mark.skipif(PYPY, reason="there are no reference counts")
def test_key_that_only_c_code_holds(holder_type: Any) -> None:
    """A reference that nobody owns up to, as C code has it in its own memory."""
    holder = holder_type()
    key = Thing()
    watch = weakref.ref(key)
    holder[key] = [key]
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(key))
    del key
    gc.collect()
    weakly.collect()
    key = watch()
    assert key is not None
    check_live(holder, key, holder[key])
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(key))
    del key
    weakly.collect()
    if C_CORE:
        check_empty(holder, watch)


def test_key_in_a_numpy_array(holder_type: Any) -> None:
    """The collector does not see into arrays: what is in one lives as long as the array."""
    numpy = pytest.importorskip("numpy")
    holder = holder_type()
    outside, inside = Thing(), Thing()
    watches = [weakref.ref(outside), weakref.ref(inside)]
    array = numpy.array([outside, None], dtype=object)
    holder[outside] = [outside]
    holder[inside] = numpy.array([inside, None], dtype=object)
    del outside, inside
    for _ in range(2):
        gc.collect()
        weakly.collect()
    assert holder[array[0]] == [array[0]]
    assert holder[watches[1]()][0] is watches[1]()
    assert len(holder) == 2
    del array
    weakly.collect()
    assert (watches[0]() is None) == C_CORE


def test_key_in_the_frame_of_another_thread(holder_type: Any) -> None:
    holder = holder_type()
    ready, go = threading.Event(), threading.Event()
    found: list[Any] = []

    def hold() -> None:
        key = Thing()
        holder[key] = [key]
        ready.set()
        go.wait(60)
        found.append(holder[key] == [key])

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait(60)
    for _ in range(3):
        gc.collect()
        weakly.collect()
    go.set()
    thread.join()
    assert found == [True]


def test_key_on_the_evaluation_stack(holder_type: Any) -> None:
    holder = holder_type()

    def inserted() -> Thing:
        key = Thing()
        holder[key] = [key]
        return key

    def check(key: Thing, *_: object) -> None:
        assert holder[key] == [key]

    check(inserted(), gc.collect(), weakly.collect(), gc.collect())


def test_key_in_a_container_that_is_being_built(holder_type: Any) -> None:
    holder = holder_type()

    def inserted(also: object = None) -> Thing:
        key = Thing()
        holder[key] = [key]
        weakly.collect()
        return key

    keys = [inserted(), (inserted(), {1: inserted()}), *map(inserted, range(3))]
    assert len(holder) == 6
    for key in (keys[0], keys[1][0], keys[1][1][1], *keys[2:]):
        assert holder[key] == [key]


# --- garbage from elsewhere


@collects
def test_garbage_that_leads_to_a_key(table_type: Any) -> None:
    """A garbage cycle of its own makes the key look held until it is collected itself."""
    table = table_type()
    keys = members(3)
    watches = [weakref.ref(key) for key in keys]
    for key, other in zip(keys, [*keys[1:], None], strict=True):
        table[key] = [key]
        cycle: list[Any] = [key]
        cycle.append(cycle)
        if other is not None:
            table[key].append(other)
    del key, other, keys, cycle
    assert weakly.collect() == 3
    check_empty(table, *watches)


@collects
def test_garbage_behind_garbage(table_type: Any) -> None:
    """Entries that only become garbage with others': `collect` goes on until there is none."""
    table = table_type()
    strong: Any = weakly.WeakKeyDictionary()
    watches = []
    previous: Any = None
    for number in range(6):
        key, link = Member(number), Member(("link", number))
        link.other = [link, previous]  # a cycle, outside of the table, that leads to the next
        table[key] = [key]
        strong[link] = key  # goes when the link is collected
        watches += [weakref.ref(key), weakref.ref(link)]
        previous = link
    del key, link, previous
    weakly.collect()
    check_empty(table, *watches)
    assert len(strong) == 0


# --- finalizers


class Noisy(Member):
    """Tells when it is finalized."""

    __slots__ = ("on_death",)

    def __del__(self) -> None:
        self.on_death(self)


def noisy(label: Any, on_death: Callable[[Any], object]) -> Noisy:
    member = Noisy(label)
    member.on_death = on_death
    return member


@collects
def test_finalizers_see_the_whole_decision(table_type: Any, collect: Any) -> None:
    """No entry that is about to go is found by a finalizer of another."""
    one, two = table_type(), table_type()
    held = members(5)
    seen: list[Any] = []

    def look(dying: Any) -> None:
        one._check()
        two._check()
        seen.append((list(one), list(two), len(one), len(two)))

    for label in range(20):
        key, value = noisy(("key", label), look), noisy(("value", label), look)
        value.other = key
        one[key] = value
        two[key] = [value]
    for key in held:
        one[key] = two[key] = [key]
    del key, value
    collect()
    assert seen == [(held, held, 5, 5)] * 40
    seen.clear()


@collects
@pytest.mark.parametrize("value_of", [lambda key: key, lambda key: [key, [key]]])
def test_a_key_that_its_finalizer_resurrects(table_type: Any, collect: Any, value_of: Any) -> None:
    """It lives on without its entry, as after any finalizer, and may be inserted again."""
    table = table_type()
    graveyard: list[Any] = []
    key = noisy("key", graveyard.append)
    key.other = [key]
    table[key] = value_of(key)
    watch = weakref.ref(key)
    del key
    collect()
    assert [member.label for member in graveyard] == ["key"]
    assert len(table) == 0
    assert graveyard[0] not in table
    table[graveyard[0]] = value = value_of(graveyard[0])
    check_live(table, graveyard[0], value)
    del value
    key = weakref.ref(graveyard[0])
    graveyard.clear()
    weakly.collect()
    check_empty(table, watch, key)
    assert graveyard == []  # finalized once


@collects
def test_a_value_whose_finalizer_resurrects_the_key(table_type: Any, collect: Any) -> None:
    table = table_type()
    graveyard: list[Any] = []
    key = Member("key")
    value = noisy("value", lambda value: graveyard.append(value.other))
    value.other = key
    table[key] = value
    del key, value
    collect()
    assert [member.label for member in graveyard] == ["key"]
    assert len(table) == 0
    table[graveyard[0]] = 5
    assert list(table.items()) == [(graveyard[0], 5)]
    table._check()


@collects
def test_a_finalizer_that_reaches_another_key_through_a_weak_reference(table_type: Any) -> None:
    """It may find it alive or not; if alive, it is without its entry."""
    table = table_type()
    found: list[Any] = []
    keys = [Member(label) for label in range(10)]
    watches = [weakref.ref(key) for key in keys]

    def look(_: Any) -> None:
        found.extend(key for key in (watch() for watch in watches) if key is not None)

    for key in keys:
        value = noisy("value", look)
        value.other = key
        table[key] = value
    del key, keys, value
    weakly.collect()
    assert len(table) == 0
    for key in set(found):
        assert key not in table
        table[key] = [key]
    table._check()
    assert len(table) == len(set(found))
    found.clear()
    key = None
    weakly.collect()
    check_empty(table, *watches)


@collects
def test_a_finalizer_that_inserts_into_the_same_table(table_type: Any, collect: Any) -> None:
    """So many that the table grows while it is being emptied."""
    table = table_type()
    held: list[Any] = []

    def insert(dying: Any) -> None:
        for number in range(20):
            held.append(Member((dying.label, number)))
            table[held[-1]] = [held[-1]]
        table[dying] = [dying]  # resurrects it, for as long as that entry lives

    for label in range(10):
        key = noisy(label, insert)
        key.other = [key]
        table[key] = [key]
    del key
    collect()
    weakly.collect()
    assert len(held) == 200
    assert list(table) == held
    assert all(table[key] == [key] for key in held)
    table._check()


@collects
@pytest.mark.parametrize(
    "action",
    [gc.collect, lambda: weakly.collect(), lambda: gc.collect(0)],
    ids=["gc.collect", "collect", "young"],
)
def test_a_finalizer_that_collects(table_type: Any, collect: Any, action: Any) -> None:
    table = table_type()
    held = members(5)
    finalized: list[Any] = []

    def act(dying: Any) -> None:
        finalized.append(dying.label)
        fresh = Member("fresh")
        table[fresh] = [fresh]
        del fresh
        action()

    for key in held:
        table[key] = [key]
    for label in range(10):
        key = noisy(label, act)
        key.other = [key]
        table[key] = [key]
    del key
    collect()
    weakly.collect()
    assert sorted(finalized) == list(range(10))
    assert list(table) == held
    table._check()


@collects
@pytest.mark.parametrize("what", ["clear", "pop", "drop", "iterate", "raise"])
def test_a_finalizer_that_uses_the_table(
    table_type: Any, collect: Any, what: str, unraisable: list[Any]
) -> None:
    tables = [table_type()]
    held = members(30)
    seen: list[int] = []

    def act(dying: Any) -> None:
        if what == "clear":
            tables[0].clear()
        elif what == "pop":
            tables[0].popitem()
        elif what == "drop":
            tables.clear()
        elif what == "iterate":
            seen.append(len(list(tables[0].items())))
        else:
            raise ZeroDivisionError

    for key in held:
        tables[0][key] = [key]
    for label in range(10):
        key = noisy(label, act)
        tables[0][key] = [key, noisy("value", lambda _: None)]
    del key
    collect()
    left = {"clear": 0, "pop": 20}.get(what, 30)
    if what == "drop":
        assert tables == []
    else:
        assert list(tables[0]) == held[:left]
        tables[0]._check()
    assert seen == ([30] * 10 if what == "iterate" else [])
    assert [each.type for each in unraisable] == [ZeroDivisionError] * (10 * (what == "raise"))


@collects
def test_callbacks_and_finalize_of_a_key(holder_type: Any, collect: Any) -> None:
    called: list[str] = []
    holder = holder_type()
    key = Thing()
    reference = weakref.ref(key, lambda _: called.append("callback"))
    weakly.finalize(key, called.append, "finalize")
    holder[key] = [key]
    del key
    collect()
    assert sorted(called) == ["callback", "finalize"]
    check_empty(holder, reference)


def test_finalize_keeps_what_it_is_to_be_called_with(holder_type: Any) -> None:
    """The function of a live finalizer is held by the module, and the key by the function."""
    holder = holder_type()
    key, other = Thing(), Thing()
    holder[key] = [key]
    finalizer = weakly.finalize(other, print, key)
    watch = weakref.ref(key)
    del key
    gc.collect()
    weakly.collect()
    assert holder[watch()] == [watch()]
    finalizer.detach()


# --- the collector's ways


@collects
def test_collect_says_how_many_it_dropped(holder_type: Any) -> None:
    gc_collect_harder()
    weakly.collect()
    gc.disable()
    holder = holder_type()
    held = members(3)
    for key in [*held, *members(7)]:
        holder[key] = [key]
    del key
    assert weakly.collect() == 7
    assert weakly.collect() == 0
    assert len(holder) == 3
    held.clear()
    assert weakly.collect() == 3


def test_nothing_to_collect() -> None:
    weakly.collect()
    assert weakly.collect() == 0


@collects
def test_collector_disabled(holder_type: Any) -> None:
    gc.disable()
    holder = holder_type()
    key, held = Thing(), Thing()
    watch = weakref.ref(key)
    holder[key] = [key]
    holder[held] = [held]
    del key
    weakly.collect()
    assert not gc.isenabled()
    assert watch() is None
    assert holder[held] == [held]
    assert len(holder) == 1


@collects
def test_frozen_objects(collect: Any) -> None:
    """Frozen objects are out of the collector's sight; none is lost, and none is kept for good.

    All holders at once: what thaws are the tests and all that they use, too.
    """
    holders = [holder_type() for holder_type in HOLDER_TYPES]
    keys, held, fresh = ([Thing() for _ in holders] for _ in range(3))
    watches = [weakref.ref(key) for key in keys]
    for at, holder in enumerate(holders):
        holder[keys[at]] = [keys[at], held[at]]
        holder[held[at]] = [held[at]]
    gc.freeze()
    try:
        keys.clear()
        for at, holder in enumerate(holders):
            holder[fresh[at]] = [fresh[at], held[at]]
        collect()
        for at, holder in enumerate(holders):
            for key in (held[at], fresh[at]):
                assert key in holder[key]
            holder._check()
    finally:
        gc.unfreeze()
    weakly.collect()
    assert [watch() for watch in watches] == [None] * len(holders)
    assert [len(holder) for holder in holders] == [2] * len(holders)
    held.clear()
    fresh.clear()
    del key
    collect()
    for holder in holders:
        check_empty(holder)
    freeze()  # again what all the tests after this one need not look at


@collects
@pytest.mark.skipif(FREE_THREADED, reason="not every collection has a walk there")
def test_callbacks_of_the_collector_are_cleared(holder_type: Any) -> None:
    """A program or a test does so; the next insertion puts things right."""
    holder = holder_type()
    first = Thing()
    holder[first] = [first]
    gc.callbacks.clear()
    second = Thing()
    watches = [weakref.ref(first), weakref.ref(second)]
    holder[second] = [second]
    del first, second
    gc.collect()
    check_empty(holder, *watches)


@collects
def test_collect_needs_no_callbacks(holder_type: Any) -> None:
    holder = holder_type()
    key = Thing()
    watch = weakref.ref(key)
    holder[key] = [key]
    gc.callbacks.clear()
    del key
    weakly.collect()
    check_empty(holder, watch)


@collects
def test_callbacks_of_others_run(holder_type: Any) -> None:
    """Some raise and some use the tables."""
    holder = holder_type()
    held = Thing()
    seen: list[int] = []

    def callback(phase: str, info: dict[str, int]) -> None:
        holder[held] = [held]
        seen.append(len(holder))

    gc.callbacks.insert(0, callback)
    gc.callbacks.append(callback)
    key = Thing()
    watch = weakref.ref(key)
    holder[key] = [key]
    del key
    weakly.collect()
    gc.callbacks.remove(callback)
    gc.callbacks.remove(callback)
    assert watch() is None
    assert seen
    assert holder[held] == [held]


@collects
def test_automatic_collections(holder_type: Any) -> None:
    """Nobody calls gc.collect(): the program goes on, and the entries go."""
    holder = holder_type()
    keys = members(10)
    held = keys[0]
    watches = [weakref.ref(key) for key in keys]
    for key in keys:
        holder[key] = [key]
    gc.set_threshold(50, 2, 2)
    gc.enable()
    del key, keys
    deadline = time.monotonic() + 60
    while any(watch() is not None for watch in watches[1:]):
        assert time.monotonic() < deadline, "no automatic collection has dropped them"
        kept = [[] for _ in range(2000)]
        for each in kept:
            each.append(kept)  # garbage for the collector, so that it comes
    assert holder[held] == [held]
    assert len(holder) == 1


@collects
def test_young_collections_drop_nothing_that_lives(holder_type: Any) -> None:
    holder = holder_type()
    held = members(10)
    for key in held:
        holder[key] = [key]
        gc.collect(0)
        gc.collect(1)
    for key in held:
        assert holder[key] == [key]
    holder._check()


def test_stats() -> None:
    fields = {"tables", "entries", "walks", "objects", "seconds"}
    assert fields <= set(ephemeron_stats()._fields)
    if not C_CORE:
        assert not any(ephemeron_stats())
        return
    gc_collect_harder()
    weakly.collect()
    gc.disable()
    before = ephemeron_stats()
    held = members(10)
    tables = [EphemeronDictionary(), WeakIdKeyDictionary()]
    pair = Ephemeron(held[0], held)
    for table in tables:
        for key in [*held, *members(5)]:
            table[key] = [key]
    del key, table
    full = ephemeron_stats()
    assert full.tables == before.tables + 3
    assert full.entries == before.entries + 31
    assert full.walks == before.walks
    assert weakly.collect() == 10
    after = ephemeron_stats()
    assert (after.tables, after.entries) == (full.tables, full.entries - 10)
    assert after.walks > full.walks
    assert after.objects >= full.objects + 30
    assert full.seconds < after.seconds < full.seconds + 60
    del tables, pair
    end = ephemeron_stats()
    assert (end.tables, end.entries) == (before.tables, before.entries)


@collects
def test_without_tables_nothing_is_walked() -> None:
    program = """
    import gc
    import weakly
    tables = [weakly.WeakKeyDictionary(), weakly.WeakSet(), weakly.WeakValueDictionary()]
    for _ in range(3):
        gc.collect()
    print(weakly.collect(), weakly.ephemeron_stats().objects)
    """
    assert check_runs(program) == "0 0\n"


@collects
def test_tables_at_the_end_of_a_program() -> None:
    """Whatever is left, in a module that dies too: the interpreter ends in peace."""
    program = """
    import gc
    import sys
    import types
    import weakly
    class Key:
        def __del__(self):
            gc.collect()
    module = types.ModuleType("module")
    sys.modules["module"] = module
    for cls in (weakly.EphemeronDictionary, weakly.WeakIdKeyDictionary):
        table = cls()
        table.itself = table
        for number in range(100):
            key = Key()
            table[key] = [key, table]
            module.table = table
            module.iterator = iter(table)
            if number % 2:
                module.key = key
            setattr(module, f"pair{number}", weakly.Ephemeron(key, [key, module]))
    """
    assert check_runs(program) == ""


# --- threads


@pytest.mark.skipif(PYPY, reason="nothing is collected there, and all is looked at each time")
@durations
def test_collections_while_tables_change(table_type: Any, seconds: float) -> None:
    """Nothing that is held is lost, and what the threads leave behind goes."""
    table = table_type()
    other = table_type()
    steady = members(50)
    for at, key in enumerate(steady):
        table[key] = [key, steady[at - 1]]
        other[key] = (table, key)

    def read() -> None:
        for at, key in enumerate(steady):
            assert table[key][1] is steady[at - 1], "an entry of a live key was lost"
            assert other[key][1] is key

    def write() -> None:
        some = members(50)
        for at, key in enumerate(some):
            table[key] = [key, some[at - 1]]
            other[key] = lambda key=key: key
            key.other = table
        for at, key in enumerate(some):
            assert table[key][1] is some[at - 1], "an entry of a live key was lost"
            assert other[key]() is key
        for key in some[::3]:
            del table[key]
        other.pop(some[0])

    def pairs() -> None:
        keys = members(10)
        made = [Ephemeron(key, [key]) for key in keys]
        for key, pair in zip(keys, made, strict=True):
            assert pair.pair() == (key, [key])

    def iterate() -> None:
        for key, value in table.items():
            assert value[0] is key

    def turn_over() -> None:
        nested = table_type()
        key = Member("nested")
        nested[key] = [nested, key]
        table[key] = [key, nested]
        assert nested[key][1] is key

    work = [read, write, write, pairs, iterate, turn_over, gc.collect, lambda: weakly.collect()]
    Crew(*work).run(seconds)
    weakly.collect()
    gc_collect_harder()
    table._check()
    other._check()
    read()
    if C_CORE:
        assert list(table) == list(other) == steady


@collects
def test_collect_while_another_thread_collects(table_type: Any) -> None:
    """gc.collect() returns at once while another runs: that is not taken for an end."""
    freeze()
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            gc.collect()

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        for _ in range(20):
            table = table_type()
            key = Member("key")
            table[key] = [key]
            cycle: list[Any] = [key]
            cycle.append(cycle)
            watch = weakref.ref(key)
            del key, cycle
            weakly.collect()
            check_empty(table, watch)
    finally:
        stop.set()
        thread.join()


@collects
def test_threads_collect_together(table_type: Any) -> None:
    """Each entry is dropped once, whoever waits for whom."""
    freeze()
    gc.disable()
    for _ in range(10):
        table = table_type()
        for key in members(200):
            table[key] = [key]
        del key
        barrier = threading.Barrier(4)
        dropped: list[int] = []

        def work(barrier: Any = barrier, dropped: Any = dropped) -> None:
            barrier.wait(60)
            dropped.append(weakly.collect())

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(dropped) == 4
        assert max(dropped) <= 200 <= sum(dropped)  # others' are counted too
        check_empty(table)


# --- the single ephemeron


def test_ephemeron_gives_its_key_and_value() -> None:
    key, value = Thing(), [1]
    pair = Ephemeron(key, value)
    assert pair.key is key
    assert pair.value is value
    assert pair.pair() == (key, value)
    del key
    let_die()
    assert (pair.key, pair.value, pair.pair()) == (None, None, None)


@has_counts
def test_ephemeron_lets_its_value_go_with_its_key() -> None:
    key, value = Thing(), Thing()
    pair = Ephemeron(key, value)
    watch = weakref.ref(value)
    del value
    let_die()
    assert pair.value is watch() is not None
    del key
    let_die()
    assert watch() is None
    assert pair.pair() is None


def test_ephemeron_with_none_as_its_value() -> None:
    key = Thing()
    pair = Ephemeron(key, None)
    assert pair.pair() == (key, None)
    assert pair.value is None


def test_ephemeron_of_what_cannot_be_referred_to() -> None:
    with pytest.raises(TypeError, match="'int'"):
        Ephemeron(5, 5)


def test_ephemeron_of_an_unhashable_key() -> None:
    key = Unhashable()
    assert Ephemeron(key, 1).pair() == (key, 1)


@collects
def test_ephemeron_as_a_value_of_its_own(collect: Any) -> None:
    key = Thing()
    pair = Ephemeron(key, value := [key])
    value.append(pair)
    watches = [weakref.ref(key)]
    del value, key
    collect()
    assert pair.pair() is None
    assert watches[0]() is None


# --- the leaks of C


def collecting_round() -> None:
    """Every kind of death of entries, tables and iterators, once."""
    for cls in (EphemeronDictionary, WeakIdKeyDictionary):
        table: Any = cls()
        held = members(5)
        for key in [*held, *members(20)]:
            table[key] = [key, table, held[0], lambda table=table: table]
            key.other = Ephemeron(key, [key])
        nested: Any = cls()
        nested[held[1]] = [nested, cls({held[2]: table})]
        table.itself = table
        iterator = iter(table.items())
        next(iterator)
        weakly.collect()
        table._check()
        table.iterator = iterator


@collects
@pytest.mark.skipif(PYPY, reason="there are no reference counts")
def test_rounds_of_collections_leave_nothing() -> None:
    freeze()  # each round collects several times
    for _ in range(20):
        collecting_round()
    growth = []
    for _ in range(3):
        weakly.collect()
        before = counts()
        for _ in range(ROUNDS):
            collecting_round()
        weakly.collect()
        after = counts()
        growth.append(max(after[0] - before[0], after[1] - before[1]))
    assert sorted(growth)[1] <= ROUNDS // (2 if FREE_THREADED else 10), growth


NO_MEMORY = """
import faulthandler, gc, sys
faulthandler.enable()
import weakly
from no_memory import fails

class Key:
    pass

sys.unraisablehook = lambda _: None  # a callback of the collector can only complain
gc.disable()
gc.collect()
gc.freeze()
failures = 0
length = int(sys.argv[1])
for collect in (weakly.collect, gc.collect):
    for at in range(1, 300):
        held = [Key() for _ in range(20)]
        tables = [weakly.EphemeronDictionary(), weakly.WeakIdKeyDictionary()]
        for key in [*held, *(Key() for _ in range(20))]:
            for table in tables:
                table[key] = [key, table, (key,)]
        pair = weakly.Ephemeron(held[0], held)
        del key
        failed = fails(collect, at=at, length=length)
        failures += failed or len(tables[0]) > 20
        for table in tables:
            table._check()
            assert len(table) == len(list(table)) in range(20, 41)
            assert all(table[key] == [key, table, (key,)] for key in held)
        weakly.collect()
        assert [list(table) for table in tables] == [held, held]
        assert pair.pair() == (held[0], held)
        key = None
print(failures)
"""


@collects
@failing_allocations
def test_every_allocation_of_a_walk_can_fail(length: int) -> None:
    """Late is allowed then, early is not, and the tables stay sound."""
    assert count_failures(NO_MEMORY, length) > 0
