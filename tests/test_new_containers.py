"""What EphemeronDictionary, WeakKeyValueDictionary and WeakDefaultDictionary do of their own.

What they do like all containers is in the tests of all; the collection of ephemerons is in
test_ephemerons.py.
"""

from __future__ import annotations

import collections
import copy
import gc
import inspect
import weakref
from typing import Any

import pytest
from support import (
    ALL_KINDS,
    C_CORE,
    KINDS,
    EqualMember,
    Member,
    gc_collect_harder,
    let_die,
    members,
)

import weakly
from weakly import (
    EphemeronDictionary,
    IdRef,
    WeakDefaultDictionary,
    WeakIdKeyDictionary,
    WeakKeyDictionary,
    WeakKeyValueDictionary,
    WeakValueDictionary,
)

# --- EphemeronDictionary


def test_it_is_a_key_dictionary_of_its_own_type() -> None:
    key = Member("key")
    table = EphemeronDictionary({key: 1})
    assert table == WeakKeyDictionary({key: 1}) == table
    assert type(table | WeakKeyDictionary({key: 2})) is EphemeronDictionary
    assert type(WeakKeyDictionary({key: 2}) | table) is WeakKeyDictionary
    assert not issubclass(EphemeronDictionary, WeakKeyDictionary)


@pytest.mark.parametrize("cls", [EphemeronDictionary, WeakIdKeyDictionary, WeakDefaultDictionary])
def test_a_value_that_reaches_its_key(cls: Any) -> None:
    """With the Python tables the entry stays until the value goes."""
    key = Member("key")
    table = cls()
    table[key] = [key]
    watch = weakref.ref(key)
    del key
    gc_collect_harder()
    assert (watch() is None) == (len(table) == 0) == C_CORE
    table.clear()
    gc_collect_harder()
    assert watch() is None


def test_a_weak_key_dictionary_keeps_the_standard_librarys_ways() -> None:
    key = Member("key")
    table: Any = WeakKeyDictionary()
    table[key] = [key]
    watch = weakref.ref(key)
    del key
    gc_collect_harder()
    assert watch() is not None
    assert len(table) == 1


# --- WeakKeyValueDictionary


def test_an_entry_goes_with_its_key_or_its_value() -> None:
    keys, values = members(4), members(4)
    table = WeakKeyValueDictionary(zip(keys, values, strict=True))
    assert len(table) == 4
    keys[0] = None
    let_die()
    assert list(table.values()) == values[1:]
    values[2] = None
    let_die()
    assert list(table.items()) == [(keys[1], values[1]), (keys[3], values[3])]
    assert keys[2] not in table
    table._check()
    keys.clear()
    values.clear()
    let_die()
    assert len(table) == 0
    table._check()


def test_key_and_value_may_be_one_object_or_die_together() -> None:
    one, key, value = Member("one"), Member("key"), Member("value")
    table = WeakKeyValueDictionary({one: one, key: value})
    key.other, value.other = value, key
    del one, key, value
    gc_collect_harder()
    assert len(table) == 0
    table._check()


def test_a_new_value_takes_the_place_and_the_first_key_stays() -> None:
    one, equal, other = EqualMember("same"), EqualMember("same"), EqualMember("other")
    values = members(3)
    table = WeakKeyValueDictionary({one: values[0], other: values[1]})
    table[equal] = values[2]
    assert list(table.items()) == [(one, values[2]), (other, values[1])]
    assert next(iter(table)) is one
    del values[0]
    let_die()
    assert len(table) == 2  # the old value is no matter any more
    table._check()
    del one
    let_die()
    assert equal not in table  # the key that the entry had is dead
    assert list(table) == [other]
    table._check()


def test_references_to_both_sides() -> None:
    keys, values = members(3), members(6)[3:]
    table = WeakKeyValueDictionary(zip(keys, values, strict=True))
    assert [ref() for ref in table.keyrefs()] == keys
    assert [ref() for ref in table.valuerefs()] == values
    assert [ref() for ref in table.itervaluerefs()] == values
    for reference in table.keyrefs() + table.valuerefs():
        assert isinstance(reference, weakref.ref)
        assert not isinstance(reference, IdRef)
    del values[1]
    let_die()
    assert [ref() for ref in table.keyrefs()] == [keys[0], keys[2]]
    del keys[0]
    let_die()
    assert [ref() for ref in table.valuerefs()] == values[1:]


def test_a_deep_copy_has_the_same_keys_and_values() -> None:
    key, value = Member("key"), Member("value")
    table = WeakKeyValueDictionary({key: value})
    for twin in (copy.deepcopy(table), copy.copy(table), table.copy()):
        assert type(twin) is WeakKeyValueDictionary
        ((key_again, value_again),) = twin.items()
        assert key_again is key
        assert value_again is value
        assert twin == table == {key: value}


def test_both_sides_must_be_weakly_referenceable() -> None:
    key, value = Member("key"), Member("value")
    table: Any = WeakKeyValueDictionary({key: value})
    for wrong in ({5: value}, {key: 5}, {Member(1): value, "x": value}, {Member(1): None}):
        with pytest.raises(TypeError, match="cannot create weak reference"):
            table.update(wrong)
        with pytest.raises(TypeError, match="cannot create weak reference"):
            WeakKeyValueDictionary(wrong)
    for operation in (
        lambda: table.__setitem__(key, 5),
        lambda: table.__setitem__(5, value),
        lambda: table.setdefault(Member(2), 5),
        lambda: table.get(5),
        lambda: table.pop("x", None),
    ):
        with pytest.raises(TypeError, match="cannot create weak reference"):
            operation()
    assert 5 not in table
    assert list(table.items()) == [(key, value)]
    table._check()


def test_the_old_value_dies_when_the_key_is_looked_up_again() -> None:
    class Value(Member):
        def __del__(self) -> None:
            seen.append(table.get(key, "none"))
            table[key] = second

    key, second = Member("key"), Member("second")
    seen: list[Any] = []
    table: Any = WeakKeyValueDictionary()
    table[key] = Value("first")
    let_die()
    gc_collect_harder()
    assert len(seen) == 1
    assert table[key] is second
    table._check()


def test_a_comparison_that_lets_the_value_or_the_stored_key_die() -> None:
    class Key(Member):
        def __eq__(self, other: object) -> bool:
            if self.label == "drop" or getattr(other, "label", None) == "drop":
                held.clear()
                let_die()
            return isinstance(other, Key)

        def __hash__(self) -> int:
            return 5

    for keep in ("key", "value"):
        for operation in ("setitem", "setdefault", "get", "pop", "delitem", "in"):
            stored, old, new = Key("stored"), Member("old"), Member("new")
            table: Any = WeakKeyValueDictionary({stored: old})
            held = [old] if keep == "key" else [stored]
            if keep == "key":
                del old
            else:
                del stored
            probe = Key("drop")
            if operation == "setitem":
                table[probe] = new
                assert list(table.values()) == [new] or len(table) == 0
            elif operation == "setdefault":
                assert table.setdefault(probe, new).label in ("old", "new")
            elif operation == "in":
                assert (probe in table) in (True, False)
            elif operation == "delitem":
                try:
                    del table[probe]
                except KeyError:
                    assert len(table) == 0
            else:
                found = getattr(table, operation)(probe, None)
                assert found is None or found.label == "old"
                del found
            let_die()
            table._check()
            assert len(table) == len(list(table))
            assert (len(table) == 0) or operation in ("setitem", "setdefault")


# --- WeakDefaultDictionary


def test_default_values() -> None:
    key, other = Member("key"), Member("other")
    table: Any = WeakDefaultDictionary(list)
    assert table.default_factory is list
    table[key].append(1)
    table[key].append(2)
    assert table[key] == [1, 2]
    assert other not in table
    assert table.get(other) is None
    assert table.pop(other, 5) == 5
    assert table.setdefault(other, 6) == 6
    assert dict(table) == {key: [1, 2], other: 6}
    del key
    let_die()
    assert list(table) == [other]
    table._check()


def test_constructor_is_that_of_defaultdict() -> None:
    keys = members(2)
    pairs = [(key, key.label) for key in keys]
    for arguments in [(), (None,), (list,), (None, pairs), (list, dict(pairs)), (int, iter(pairs))]:
        theirs = collections.defaultdict(*arguments)
        if arguments and hasattr(arguments[-1], "__next__"):
            arguments = (int, iter(pairs))
        ours: Any = WeakDefaultDictionary(*arguments)
        assert ours == theirs
        assert ours.default_factory is theirs.default_factory
    for wrong in [(5,), (pairs,), (dict(pairs),), (list, 5), (list, [], [])]:
        with pytest.raises(TypeError):
            collections.defaultdict(*wrong)
        with pytest.raises(TypeError):
            WeakDefaultDictionary(*wrong)
    parameters = list(inspect.signature(WeakDefaultDictionary).parameters.values())
    assert parameters[0].name == "default_factory"
    assert parameters[0].kind is inspect.Parameter.POSITIONAL_ONLY


def test_without_a_factory_a_missing_key_is_an_error() -> None:
    key = Member("key")
    table: Any = WeakDefaultDictionary()
    with pytest.raises(KeyError) as caught:
        table[key]
    assert caught.value.args == (key,)
    table.default_factory = lambda: "now"
    assert table[key] == "now"


def test_the_factory_fails_or_stores_or_asks() -> None:
    key = Member("key")
    table: Any = WeakDefaultDictionary(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        table[key]
    assert len(table) == 0

    def stores() -> str:
        table[key] = "stored first"
        return "made"

    table.default_factory = stores
    assert table[key] == "stored first"  # what is there wins, as with threads
    del table[key]
    table.default_factory = lambda: table[key]
    with pytest.raises(RecursionError):
        table[key]
    assert len(table) == 0


def test_copies_and_results_have_the_factory() -> None:
    key = Member("key")
    table: Any = WeakDefaultDictionary(list, {key: [1]})
    for twin in (
        table.copy(),
        copy.copy(table),
        copy.deepcopy(table),
        table | {},
        {} | table,
        table.lenient(list, table),
    ):
        assert type(twin) is WeakDefaultDictionary
        assert twin.default_factory is list
        assert twin == table
        new = Member("new")
        assert twin[new] == []
        assert new not in table
    assert copy.deepcopy(table)[key] is not table[key]
    assert WeakDefaultDictionary.fromkeys([key], 5).default_factory is None


def test_subclass_with_its_own_missing() -> None:
    class ByKey(WeakDefaultDictionary[Any, Any]):
        def __missing__(self, key: Any) -> Any:
            return self.setdefault(key, f"for {key.label}")

    key = Member("key")
    assert ByKey()[key] == "for key"
    assert isinstance(ByKey(), EphemeronDictionary)


def test_repr_shows_the_factory() -> None:
    key = Member("key")
    table: Any = WeakDefaultDictionary(list, {key: [1]})
    assert "<class 'list'>, {Member('key'): [1]}" in repr(table)
    table.default_factory = table.copy
    assert "..." in repr(table)  # a method of itself


def test_no_cycle_through_the_class_or_the_factory() -> None:
    table: Any = WeakDefaultDictionary(list)
    watch = weakref.ref(table)
    gc.collect()
    gc.disable()
    try:
        table[Member("dies")].append(1)
        del table
        let_die()
        assert watch() is None
    finally:
        gc.enable()


# --- all


def test_every_container_is_among_the_kinds_or_here() -> None:
    """So that none is left out of the tests of all containers."""
    from weakly import containers

    tested = {kind.cls.__name__ for kind in ALL_KINDS} | {"WeakDefaultDictionary"}
    assert set(containers.__all__) == tested
    assert all(getattr(weakly, name) is getattr(containers, name) for name in tested)


@pytest.mark.parametrize("source", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("target", KINDS, ids=lambda kind: kind.name)
def test_one_container_into_another(source: Any, target: Any) -> None:
    """Entries go over whatever the two tables are; nothing else does."""
    some = members(5)
    given = source.build(some)
    if (source.shape == "set") != (target.shape == "set"):
        if target.shape != "set":
            with pytest.raises(TypeError):
                target.cls(given)
            return
        expected = list(given)
        if source.shape == "value":
            with pytest.raises(TypeError):
                target.cls(given)
            return
    else:
        expected = list(given.items()) if source.shape != "set" else list(some)
    if target.shape == "key" and source.shape == "value":
        with pytest.raises(TypeError):
            target.cls(given)
        return
    if target.weak_values and not source.weak_values and source.shape == "key":
        with pytest.raises(TypeError):
            target.cls(given)
        return
    made = target.cls(given)
    made._check()
    assert list(made.items() if source.shape != "set" != target.shape else made) == expected
    del some[0], expected[0]
    given.clear()
    let_die()
    if not (target.shape == "value" and source.shape == "key"):
        assert len(made) == 4
    made._check()


def test_a_lenient_table_does_not_make_another_lenient() -> None:
    key = Member("key")
    lenient = EphemeronDictionary.lenient({key: 1})
    table = EphemeronDictionary(lenient)
    assert dict(table) == {key: 1}
    lenient["text"] = 2
    with pytest.raises(TypeError):
        table.update(lenient)
    assert dict(table) == {key: 1}
    values = WeakValueDictionary.lenient(a=5)
    with pytest.raises(TypeError):
        WeakValueDictionary(values)
