"""What is particular to WeakSet; `set` and the stdlib's own are the oracles."""

from __future__ import annotations

import copy
import itertools
import operator
import weakref
from typing import Any

import pytest
from support import CollidingMember, EqualMember, Member, let_die, members

from weakly import WeakSet

pool = [EqualMember(label) for label in range(6)]
CASES = [
    ([], []),
    ([0, 1, 2], []),
    ([], [0, 1]),
    ([0, 1, 2], [0, 1, 2]),
    ([0, 1, 2], [2, 1, 0]),
    ([0, 1, 2, 3], [1, 2]),
    ([1, 2], [0, 1, 2, 3]),
    ([0, 1, 2], [2, 3, 4]),
    ([0, 1], [2, 3]),
]
FORMS: dict[str, Any] = {
    "WeakSet": WeakSet,
    "stdlib": weakref.WeakSet,
    "set": set,
    "frozenset": frozenset,
    "list": list,
    "twice": lambda items: [*items, *items],
    "iterator": lambda items: iter(list(items)),
    "dict": dict.fromkeys,
    "twins": lambda items: KeptTwins(items),
}


class KeptTwins(list):  # type: ignore[type-arg]
    """A list of objects equal to the given ones, not identical."""

    def __init__(self, items: Any) -> None:
        super().__init__(EqualMember(item.label) for item in items)


METHODS = ["union", "intersection", "difference", "symmetric_difference"]
UPDATES = ["update", "intersection_update", "difference_update", "symmetric_difference_update"]
TESTS = ["issubset", "issuperset", "isdisjoint"]


def pick(labels: Any) -> list[Any]:
    return [pool[label] for label in labels]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", METHODS)
def test_new_sets(method: str, form: str) -> None:
    for mine, others in CASES:
        weak = WeakSet(pick(mine))
        argument = FORMS[form](pick(others))
        result = getattr(weak, method)(argument)
        assert type(result) is WeakSet
        assert set(result) == getattr(set(pick(mine)), method)(pick(others))
        assert list(weak) == pick(mine)
        result._check()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", UPDATES)
def test_updates(method: str, form: str) -> None:
    for mine, others in CASES:
        weak, strong = WeakSet(pick(mine)), set(pick(mine))
        argument = FORMS[form](pick(others))
        assert getattr(weak, method)(argument) is None
        getattr(strong, method)(pick(others))
        assert set(weak) == strong
        assert len(weak) == len(strong)
        weak._check()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", TESTS)
def test_questions(method: str, form: str) -> None:
    for mine, others in CASES:
        weak = WeakSet(pick(mine))
        argument = FORMS[form](pick(others))
        assert getattr(weak, method)(argument) is getattr(set(pick(mine)), method)(pick(others))


OPERATORS = ["or_", "and_", "sub", "xor", "ior", "iand", "isub", "ixor", "lt", "le", "gt", "ge"]


@pytest.mark.parametrize("form", ["WeakSet", "stdlib", "set", "frozenset"])
@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str, form: str) -> None:
    for mine, others in CASES:
        weak = WeakSet(pick(mine))
        argument = FORMS[form](pick(others))
        result = getattr(operator, name)(weak, argument)
        expected = getattr(operator, name)(set(pick(mine)), set(pick(others)))
        if isinstance(expected, bool):
            assert result is expected
        else:
            assert type(result) is WeakSet
            assert set(result) == expected
            assert (result is weak) == name.startswith("i")


@pytest.mark.parametrize("form", ["stdlib", "set", "frozenset", "dict keys"])
@pytest.mark.parametrize("name", ["or_", "and_", "sub", "xor"])
def test_reflected_operators(name: str, form: str) -> None:
    """`set | WeakSet`, `set - WeakSet` and so on."""
    for mine, others in CASES:
        kept = pick(others)
        left = {}.fromkeys(kept).keys() if form == "dict keys" else FORMS[form](kept)
        result = getattr(operator, name)(left, WeakSet(pick(mine)))
        assert set(result) == getattr(operator, name)(set(kept), set(pick(mine)))


@pytest.mark.parametrize("name", ["ior", "iand", "isub", "ixor"])
def test_a_strong_set_updated_in_place(name: str) -> None:
    for mine, others in CASES:
        result = getattr(operator, name)(set(pick(others)), WeakSet(pick(mine)))
        assert set(result) == getattr(operator, name)(set(pick(others)), set(pick(mine)))


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "eq", "ne"])
def test_a_strong_set_compared(name: str) -> None:
    """Like the stdlib's; equality is never between a WeakSet and another kind of set."""
    for mine, others in CASES:
        expected = getattr(operator, name)(set(pick(others)), weakref.WeakSet(pick(mine)))
        assert getattr(operator, name)(set(pick(others)), WeakSet(pick(mine))) is expected


def test_variadic() -> None:
    """As set's own: any number of others, none included."""
    for count in range(4):
        for labels in itertools.product(([0, 1], [1, 2], [4], []), repeat=count):
            others = [pick(some) for some in labels]
            for method in ("union", "intersection", "difference"):
                weak = WeakSet(pick([0, 1, 2, 3]))
                expected = getattr(set(pick([0, 1, 2, 3])), method)(*others)
                assert set(getattr(weak, method)(*others)) == expected
            for method in ("update", "intersection_update", "difference_update"):
                weak, strong = WeakSet(pick([0, 1, 2, 3])), set(pick([0, 1, 2, 3]))
                getattr(weak, method)(*map(iter, others))
                getattr(strong, method)(*others)
                assert set(weak) == strong
                weak._check()


def test_without_others_a_new_set() -> None:
    weak = WeakSet(pool)
    for method in ("union", "intersection", "difference"):
        result = getattr(weak, method)()
        assert result is not weak
        assert list(result) == pool


@pytest.mark.parametrize("method", [*METHODS, *UPDATES, *TESTS])
def test_with_itself(method: str) -> None:
    weak, strong = WeakSet(pool), set(pool)
    result, expected = getattr(weak, method)(weak), getattr(strong, method)(strong)
    assert (set(result) if isinstance(result, WeakSet) else result) == expected
    assert set(weak) == strong
    weak._check()


@pytest.mark.parametrize("name", [*OPERATORS, "eq", "ne"])
def test_operators_with_itself(name: str) -> None:
    weak, strong = WeakSet(pool), set(pool)
    result = getattr(operator, name)(weak, weak)
    expected = getattr(operator, name)(strong, strong)
    assert (set(result) if isinstance(result, WeakSet) else result) == expected


def test_equality() -> None:
    assert WeakSet(pool) == WeakSet(pool[::-1])
    assert WeakSet(pool) == WeakSet(kept := KeptTwins(pool))
    assert WeakSet(pool) != WeakSet(kept[1:])
    assert WeakSet() == WeakSet()
    for other in (set(pool), frozenset(pool), pool, 5, None):
        assert (WeakSet(pool) == other) is (weakref.WeakSet(pool) == other)
        assert (WeakSet(pool) != other) is (weakref.WeakSet(pool) != other)


def test_results_are_of_the_subclass() -> None:
    class Mine(WeakSet[Any]):
        pass

    mine = Mine(pool)
    for method in METHODS:
        assert type(getattr(mine, method)(pool)) is Mine
    assert type(mine.copy()) is type(mine | mine) is type(mine & pool) is Mine
    assert mine == mine.copy()


def test_other_types_are_refused_by_operators() -> None:
    weak = WeakSet(pool)
    for name in ("or_", "and_", "sub", "xor", "lt", "le", "gt", "ge"):
        for arguments in ((weak, 5), (5, weak), (weak, None)):
            with pytest.raises(TypeError):
                getattr(operator, name)(*arguments)
    assert list(weak) == pool


def test_temporaries_count_as_long_as_they_are_seen() -> None:
    """Objects that nothing else holds are members of the other all the same."""
    weak = WeakSet(pool)
    strangers = [EqualMember(label) for label in range(50, 55)]
    assert not weak.issuperset(EqualMember(label) for label in range(50, 55))
    assert not weak >= strangers
    assert not weak >= [EqualMember(99)]
    assert not weak > (EqualMember(label) for label in (0, 1, 99))
    assert weak.issuperset(EqualMember(label) for label in range(6))
    assert weak.issubset(EqualMember(label) for label in range(6))
    assert weak <= (EqualMember(label) for label in range(7))
    assert weak < (EqualMember(label) for label in range(7))
    assert not weak < (EqualMember(label) for label in range(6))
    assert not weak.isdisjoint(EqualMember(label) for label in (5, 6))
    assert list(weak.intersection(strangers + pool)) == pool
    weak.intersection_update(EqualMember(label) for label in (0, 1, 99))
    assert list(weak) == pool[:2]
    weak.difference_update(EqualMember(label) for label in (0, 99))
    assert list(weak) == pool[1:2]
    weak.symmetric_difference_update(EqualMember(label) for label in (1, 99))
    let_die()
    assert list(weak) == []
    weak._check()


# --- members one by one


@pytest.mark.parametrize("make", [EqualMember, CollidingMember])
def test_an_equal_member_keeps_the_first_one(make: Any) -> None:
    some = members(10, make)
    weak = WeakSet(some)
    for label in range(10):
        weak.add(make(label))
        assert make(label) in weak
    weak.update(kept := members(10, make))
    let_die()
    assert all(one is other for one, other in zip(weak, some, strict=True))
    weak.discard(kept[3])
    weak.remove(kept[4])
    assert [member.label for member in weak] == [0, 1, 2, 5, 6, 7, 8, 9]
    weak._check()


def test_remove_and_discard() -> None:
    weak = WeakSet(pool)
    assert weak.discard(pool[0]) is None
    assert weak.discard(pool[0]) is None
    assert weak.remove(pool[1]) is None
    with pytest.raises(KeyError) as caught:
        weak.remove(pool[1])
    assert caught.value.args[0] is pool[1]
    assert weak.add(pool[1]) is None
    assert list(weak) == [*pool[2:], pool[1]]


def test_pop_says_what_is_empty() -> None:
    with pytest.raises(KeyError, match=r"empty"):
        WeakSet().pop()


def test_copies_keep_attributes() -> None:
    class Slotted(WeakSet[Any]):
        __slots__ = ("x", "y")

    class Plain(WeakSet[Any]):
        pass

    for cls in (WeakSet, Plain, Slotted):
        weak: Any = cls(pool)
        weak.x, weak.z = ["x"], ["z"]
        twin = copy.copy(weak)
        assert type(twin) is cls
        assert twin is not weak
        assert twin == weak
        assert twin.x is weak.x
        assert twin.z is weak.z
        assert not hasattr(twin, "y")
        deep = copy.deepcopy(weak)
        assert type(deep) is cls
        assert list(deep) == pool
        assert all(one is other for one, other in zip(deep, pool, strict=True))
        assert deep.x == weak.x
        assert deep.x is not weak.x
        assert deep.z == weak.z
        assert deep.z is not weak.z
        assert not hasattr(deep, "y")
        deep.clear()
        assert list(weak) == list(twin) == pool


def test_data_holds_references() -> None:
    some = members(3)
    weak = WeakSet(some)
    data = weak.data
    assert weakref.ref(some[0]) in data
    assert weakref.ref(Member(0)) not in data
    assert 5 not in data
    assert {reference() for reference in data} == set(some)
    assert len(data) == 3
    del some[1]
    let_die()
    assert len(data) == 2
    data.discard(weakref.ref(some[0]))
    data.add(weakref.ref(some[0]))
    assert list(weak) == some[::-1]
    dead = weakref.ref(Member(9))
    let_die()
    data.add(dead)
    assert dead not in data
    assert len(weak) == 2
    weak._check()


def test_symmetric_difference_of_repeated_items() -> None:
    for mine in ([], [0], [0, 1]):
        repeated = pick([0, 0, 2, 2, 2])
        expected = set(pick(mine)).symmetric_difference(repeated)
        assert set(WeakSet(pick(mine)).symmetric_difference(repeated)) == expected
        assert set(WeakSet(pick(mine)) ^ repeated) == expected
