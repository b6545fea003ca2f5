"""What is told apart by identity: IdRef, and what WeakIdKeyDictionary and WeakIdSet do unlike
their equality twins. What they do like them is in the tests of all containers."""

from __future__ import annotations

import copy
import operator
import weakref
from collections.abc import Callable
from typing import Any
from unittest.mock import ANY

import pytest
from support import C_CORE, PYPY, Member, Unhashable, gc_collect_harder, let_die

from weakly import IdRef, WeakIdKeyDictionary, WeakIdSet, WeakKeyDictionary, WeakSet


class Touchy:
    """Nobody may hash it, compare it or ask for its truth."""

    def __init__(self, label: Any = None) -> None:
        self.label = label

    def _forbidden(self, *_: object) -> Any:
        raise AssertionError("a user's special method was called")

    __eq__ = __ne__ = __hash__ = __bool__ = __lt__ = _forbidden  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Touchy({self.label})"


def touchies(count: int) -> list[Any]:
    return [Touchy(label) for label in range(count)]


# --- IdRef


def test_id_ref_is_a_weak_reference() -> None:
    thing: Any = Touchy()
    died = []
    reference = IdRef(thing, died.append)
    assert isinstance(reference, weakref.ref)
    assert reference() is thing
    assert reference.refers_to(thing)
    assert not reference.refers_to(Touchy())
    del thing
    let_die()
    assert reference() is None
    assert len(died) == 1
    assert died[0] is reference


def test_id_refs_to_one_object_are_equal_before_and_after_its_death() -> None:
    thing: Any = Unhashable()
    one, other = IdRef(thing), IdRef(thing, lambda _: None)
    assert one == other
    assert (one != other) is False
    assert hash(one) == hash(other)
    assert len({one, other, IdRef(thing)}) == 1
    before = hash(one)
    table = {one: "found"}
    del thing
    let_die()
    assert one() is other() is None
    assert one == other
    assert hash(one) == hash(other) == before
    assert table[other] == "found"


def test_id_refs_to_equal_objects_differ() -> None:
    class Equal:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    one, other = Equal(), Equal()
    assert IdRef(one) != IdRef(other)
    assert (IdRef(one) == IdRef(other)) is False
    assert len({IdRef(one), IdRef(other)}) == 2


def test_an_id_ref_never_equals_one_to_a_later_object_at_the_address() -> None:
    dead = []
    for label in range(100):
        thing: Any = Member(label)
        reference = IdRef(thing)
        assert reference not in dead
        dead.append(reference)
        del thing, reference
        let_die() if label % 10 == 0 else None
    assert len(set(dead)) == 100


def test_an_id_ref_equals_no_other_kind_of_reference() -> None:
    thing = Member("x")
    reference = IdRef(thing)
    for stranger in (weakref.ref(thing), weakref.ref(thing, lambda _: None), thing, None, 5):
        assert reference != stranger
        assert stranger != reference
        assert (reference == stranger) is False
        assert (stranger == reference) is False
    assert len({reference, weakref.ref(thing)}) == 2


def test_refers_to_of_a_dead_one() -> None:
    reference = IdRef(Member("dies"))
    let_die()
    for anything in (None, Member("x"), 5, reference):
        assert reference.refers_to(anything) is False


def test_refers_to_makes_no_strong_reference() -> None:
    """Which could be the last, so that a finalizer runs in the middle of the question."""
    thing = Member("x")
    reference = IdRef(thing)
    before = weakref.getweakrefcount(thing)
    assert reference.refers_to(thing)
    assert weakref.getweakrefcount(thing) == before


def test_id_ref_arguments() -> None:
    thing = Member("x")
    assert IdRef(obj=thing, callback=None) == IdRef(thing)
    for wrong in ((), (5,), (thing, None, None), (None,)):
        with pytest.raises(TypeError):
            IdRef(*wrong)
    with pytest.raises(TypeError):
        operator.lt(IdRef(thing), IdRef(thing))


def test_subclass_of_id_ref() -> None:
    class Mine(IdRef[Any]):
        __slots__ = ("label",)

    thing = Member("x")
    mine = Mine(thing)
    mine.label = 5
    assert mine == IdRef(thing)
    assert hash(mine) == hash(IdRef(thing))
    del thing
    let_die()
    assert mine() is None
    assert mine.label == 5


# --- no user code runs

KEY_OPERATIONS: dict[str, Callable[[Any, Any], object]] = {
    "getitem": lambda c, key: c[key],
    "setitem": lambda c, key: c.__setitem__(key, 5),
    "delitem": lambda c, key: c.__delitem__(key),
    "in": lambda c, key: key in c,
    "get": lambda c, key: c.get(key),
    "pop": lambda c, key: c.pop(key),
    "setdefault": lambda c, key: c.setdefault(key, 1),
    "get_or_create": lambda c, key: c.get_or_create(Touchy(), lambda: key),
    "update pairs": lambda c, key: c.update([(key, 1), (Touchy(), 2)]),
    "update mapping": lambda c, key: c.update(WeakIdKeyDictionary([(key, 1)])),
    "or": lambda c, key: c | WeakIdKeyDictionary([(key, 1)]),
    "eq": lambda c, key: c == c.copy(),
    "ne": lambda c, key: c != WeakIdKeyDictionary([(key, 1), (Touchy(), 2)]),
    "fromkeys": lambda c, key: type(c).fromkeys([key, key], 1),
    "copy": lambda c, key: c.copy(),
    "deepcopy": lambda c, key: copy.deepcopy(c),
    "iterate": lambda c, key: [*c, *reversed(c), *c.items(), *c.values()],
    "popitem": lambda c, key: c.popitem(),
    "repr": lambda c, key: repr(c),
    "data": lambda c, key: c.data[IdRef(key)],
    "keyrefs": lambda c, key: set(c.keyrefs()),
    "clear": lambda c, key: c.clear(),
}
SET_OPERATIONS: dict[str, Callable[[Any, Any], object]] = {
    "in": lambda c, key: key in c,
    "add": lambda c, key: c.add(key),
    "discard": lambda c, key: c.discard(key),
    "remove": lambda c, key: c.remove(key),
    "pop": lambda c, key: c.pop(),
    "data": lambda c, key: IdRef(key) in c.data,
    "copy": lambda c, key: copy.copy(c),
    "repr": lambda c, key: repr(c),
    "eq": lambda c, key: c == c.copy(),
    **{
        name: lambda c, key, name=name: getattr(c, name)([key, Touchy()])
        for name in (
            *("union", "intersection", "difference", "symmetric_difference", "update"),
            *("intersection_update", "difference_update", "symmetric_difference_update"),
            *("issubset", "issuperset", "isdisjoint"),
        )
    },
    **{
        name: lambda c, key, name=name: getattr(operator, name)(c, WeakIdSet([key, Touchy()]))
        for name in ("or_", "and_", "sub", "xor", "le", "lt", "ge", "gt", "eq", "ne")
    },
}


@pytest.mark.parametrize("operation", KEY_OPERATIONS)
def test_no_special_method_of_a_key_is_called(operation: str) -> None:
    keys = touchies(10)
    table: Any = WeakIdKeyDictionary((key, key.label) for key in keys)
    KEY_OPERATIONS[operation](table, keys[3])
    table._check()
    del keys[::2]
    let_die()
    table._check()


@pytest.mark.parametrize("operation", SET_OPERATIONS)
def test_no_special_method_of_a_member_is_called(operation: str) -> None:
    members = touchies(10)
    some: Any = WeakIdSet(members)
    SET_OPERATIONS[operation](some, members[3])
    some._check()
    del members[::2]
    let_die()
    some._check()


# --- dictionaries


def test_equal_keys_are_two_entries() -> None:
    one, other = (1, 2), (3, 4)

    class Key(Member):
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    one, other = Key(1), Key(2)
    table = WeakIdKeyDictionary({one: "one"})
    assert other not in table
    table[other] = "other"
    assert (table[one], table[other]) == ("one", "other")
    assert len(table) == 2
    del table[one]
    assert list(table.items()) == [(other, "other")]


def test_keyrefs_are_id_refs() -> None:
    keys = touchies(3)
    table = WeakIdKeyDictionary((key, None) for key in keys)
    references = table.keyrefs()
    assert all(type(reference) is IdRef for reference in references)
    assert references == [IdRef(key) for key in keys]
    del keys[0]
    let_die()
    assert references[0]() is None
    assert table.keyrefs() == [IdRef(key) for key in keys]


def test_comparing_dictionaries() -> None:
    keys = [Unhashable() for _ in range(3)]
    values = [[1], [2], [3]]
    table = WeakIdKeyDictionary(zip(keys, values, strict=True))
    twin = WeakIdKeyDictionary(zip(reversed(keys), [[3], [2], [1]], strict=True))
    assert table == twin  # whatever the order, by the values' equality
    twin[keys[0]] = [5]
    assert table != twin
    del twin[keys[0]]
    assert table != twin
    assert table != 5
    assert table != list(table.items())


def test_comparing_with_other_mappings_is_by_identity_from_both_sides() -> None:
    class Equal(Member):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        def __hash__(self) -> int:
            return 1

    key, equal = Equal(1), Equal(2)
    table = WeakIdKeyDictionary({key: 1})
    for make in (dict, WeakKeyDictionary):
        assert table == make({key: 1})
        assert make({key: 1}) == table
        assert table != make({equal: 1})
        assert make({equal: 1}) != table


def test_a_dictionary_of_unhashable_keys_into_a_dict_like_with_keys_only() -> None:
    class Source:
        def __init__(self, keys: list[Any]) -> None:
            self._keys = keys

        def keys(self) -> list[Any]:
            return self._keys

        def __getitem__(self, key: Any) -> str:
            return f"value of {key.label}"

    keys = touchies(3)
    table: Any = WeakIdKeyDictionary(Source(keys))
    assert list(table.values()) == ["value of 0", "value of 1", "value of 2"]


def test_keys_given_twice() -> None:
    keys = touchies(2)
    table = WeakIdKeyDictionary([(keys[0], 1), (keys[1], 2), (keys[0], 3)])
    assert list(table.values()) == [3, 2]


def test_a_copy_has_the_same_keys_and_a_deep_copy_has_copied_values() -> None:
    keys = touchies(2)
    table = WeakIdKeyDictionary((key, [key.label]) for key in keys)
    assert table.copy()[keys[0]] is table[keys[0]]
    deep = copy.deepcopy(table)
    assert deep == table
    assert deep[keys[0]] is not table[keys[0]]


@pytest.mark.c_core(reason="the Python tables cannot collect ephemerons")
def test_a_value_does_not_keep_its_key_alive() -> None:
    key = Touchy("key")
    table: Any = WeakIdKeyDictionary()
    table[key] = [key]
    watch = weakref.ref(key)
    del key
    gc_collect_harder()
    assert watch() is None
    assert len(table) == 0


# --- sets


def test_set_results_keep_type_and_identity() -> None:
    one, two, three = ([Unhashable()] for _ in range(3))
    a, b, c = one[0], two[0], three[0]
    some = WeakIdSet([a, b])
    for result, expected in [
        (some | [c], [a, b, c]),
        (some & [b, c], [b]),
        (some - [b], [a]),
        (some ^ [b, c], [a, c]),
        (some.union([c], [a]), [a, b, c]),
        (some.intersection([a, b], [b]), [b]),
    ]:
        assert type(result) is WeakIdSet
        assert [id(member) for member in result] == [id(member) for member in expected]
    assert some == WeakIdSet([b, a])
    assert some != WeakIdSet([a, c])
    assert some < WeakIdSet([a, b, c])
    assert some <= [a, b]
    assert some > WeakIdSet([a])
    assert some >= [a, b, b]
    assert some.isdisjoint([c])


def test_set_operators_with_sets_from_the_left() -> None:
    a, b, c = Member("a"), Member("b"), Member("c")
    some = WeakIdSet([a, b])
    for result, expected in [
        ({b, c} | some, {a, b, c}),
        ({b, c} & some, {b}),
        ({b, c} - some, {c}),
        ({b, c} ^ some, {a, c}),
    ]:
        assert type(result) is WeakIdSet
        assert set(result) == expected


def test_an_id_set_and_a_weak_set_are_never_equal() -> None:
    member = Member(1)
    assert WeakIdSet([member]) != WeakSet([member])
    assert WeakIdSet([member]) != {member}
    assert WeakIdSet([member]) <= WeakSet([member])
    assert WeakSet([member]) <= WeakIdSet([member])


def test_updating_from_dictionaries_takes_the_keys_only() -> None:
    """Not the values, which the set would keep alive."""
    keys = touchies(3)
    value = Member("value")
    watch = weakref.ref(value)
    table = WeakIdKeyDictionary((key, value) for key in keys)
    some = WeakIdSet(table)
    assert len(some) == 3
    del value, table
    let_die()
    assert watch() is None
    some._check()
    weak = Member("key")
    others: Any = WeakSet(WeakKeyDictionary({weak: (value := Member("value"))}))
    watch = weakref.ref(value)
    del value
    let_die()
    assert watch() is None
    assert list(others) == [weak]


@pytest.mark.skipif(PYPY, reason="PyPy counts references otherwise")
def test_the_entries_cost_one_reference_each() -> None:
    key = Member(1)
    table = WeakIdKeyDictionary({key: 1})
    some = WeakIdSet([key])
    assert weakref.getweakrefcount(key) == 2
    for reference in weakref.getweakrefs(key):
        callback: Any = reference.__callback__
        callback(reference)  # anybody can; the key lives
    assert key in table
    assert key in some
    assert C_CORE or all(ref == ref for ref in weakref.getweakrefs(key))


def test_comparing_with_other_keys_that_have_values_equal_to_anything() -> None:
    one, other = Member(1), Member(2)
    mine = WeakIdKeyDictionary({one: 1})
    assert mine == {one: ANY}
    assert mine != {other: ANY}
    assert {other: ANY} != mine
    assert mine != {5: ANY}  # what it could not hold
    assert mine != {one: ANY, 5: ANY}
