"""lenient(): containers that hold what cannot be weakly referenced, and say so."""

from __future__ import annotations

import copy
import pickle
import weakref
from typing import Any

import pytest
from support import (
    KINDS,
    PYPY,
    Kind,
    Member,
    Unhashable,
    check_holds,
    gc_collect_harder,
    kinds,
    let_die,
    members,
)

from weakly import WeakDefaultDictionary, WeakIdSet, WeakKeyDictionary, WeakValueDictionary

# Hashable ones, equal to none of the others.
THINGS: list[Any] = [5, "text", (1, (2,)), None, 2.5, True, b"bytes", (), Ellipsis, "", 0, -1]


def add(kind: Kind, container: Any, thing: Any) -> None:
    if kind.shape == "value":
        container[thing] = thing
    else:
        kind.add(container, thing)


def content(kind: Kind, things: list[Any]) -> Any:
    return [(thing, thing) for thing in things] if kind.shape == "value" else kind.content(things)


def has(kind: Kind, container: Any, thing: Any) -> bool:
    if kind.shape == "value":
        return bool(container[thing] is thing) if thing in container else False
    return kind.has(container, thing)


def test_things_are_held_counted_and_found(kind: Kind) -> None:
    container = kind.cls.lenient()
    assert type(container) is kind.cls
    assert container.strong_count() == 0
    for count, thing in enumerate(THINGS, 1):
        assert not has(kind, container, thing)
        add(kind, container, thing)
        add(kind, container, thing)
        assert has(kind, container, thing)
        assert len(container) == container.strong_count() == count
    container._check()
    assert [*kind.iterate(container)] == THINGS
    assert [*reversed(container)] == THINGS[::-1]


def test_what_can_be_weakly_referenced_still_is(kind: Kind) -> None:
    some = members(5)
    container = kind.cls.lenient(kind.content(some))
    check_holds(kind, container, some)
    assert container.strong_count() == 0
    add(kind, container, "text")
    del some[1:4]
    let_die()
    assert len(container) == 3
    assert container.strong_count() == 1
    assert all(isinstance(ref, weakref.ref) for ref in kind.references(container)[:2])
    container._check()


def test_the_default_stays_the_error(kind: Kind) -> None:
    container = kind.cls()
    with pytest.raises(TypeError, match="cannot create weak reference to 'int' object"):
        add(kind, container, 5)
    assert container.strong_count() == len(container) == 0
    with pytest.raises(TypeError):
        container.update(kind.cls.lenient(content(kind, [5])))
    assert len(container) == 0


def test_constructor_arguments_are_those_of_the_container(kind: Kind) -> None:
    assert len(kind.cls.lenient(content(kind, THINGS))) == len(THINGS)
    assert len(kind.cls.lenient(iter(content(kind, THINGS)))) == len(THINGS)
    assert len(kind.cls.lenient(kind.cls.lenient(content(kind, THINGS)))) == len(THINGS)
    with pytest.raises(TypeError):
        kind.cls.lenient(1, 2, 3)
    assert dict(WeakValueDictionary.lenient({"a": 1}, b=2)) == {"a": 1, "b": 2}


def test_things_come_and_go(kind: Kind) -> None:
    container = kind.cls.lenient(content(kind, THINGS))
    if kind.shape == "set":
        container.remove("text")
        container.discard(5)
        container.discard("absent")
        with pytest.raises(KeyError):
            container.remove("absent")
        assert container.pop() == THINGS[-1]
    else:
        del container["text"]
        assert container.pop(5) == (5 if kind.shape == "value" else kind.content([5])[0][1])
        assert container.pop(True, None) is not None
        assert container.pop("absent", None) is None
        with pytest.raises(KeyError):
            container["absent"]
        assert container.popitem()[0] == THINGS[-1]
        add(kind, container, True)
    container._check()
    expected = [each for each in THINGS[:-1] if each not in (5, "text")]
    assert sorted(map(repr, kind.iterate(container))) == sorted(map(repr, expected))
    container.clear()
    assert container.strong_count() == len(container) == 0
    container.__init__(content(kind, [7]))
    assert container.strong_count() == 1


def test_things_are_released(kind: Kind) -> None:
    class Load(Member):
        pass

    load = Load(1)
    watch = weakref.ref(load)
    container = kind.cls.lenient()
    thing = (load,)
    add(kind, container, thing)
    del load, thing
    let_die()
    assert watch() is not None
    container.clear()
    let_die()
    assert watch() is None


def test_things_that_hold_their_container_are_collected(kind: Kind) -> None:
    class Hashable(kind.cls):  # type: ignore[name-defined, misc]
        __hash__ = object.__hash__
        __eq__ = object.__eq__

    container = Hashable.lenient()
    add(kind, container, (container,))
    watch = weakref.ref(container)
    del container
    gc_collect_harder()
    assert watch() is None


@pytest.mark.parametrize(
    "way", ["copy", "copy.copy", "deepcopy", "or", "ror", "ior", "pickle", "class"]
)
def test_what_comes_of_a_lenient_one_is_lenient(kind: Kind, way: str) -> None:
    container = kind.cls.lenient(content(kind, THINGS))
    more = content(kind, ["more"])
    more = set(more) if kind.shape == "set" else dict(more)
    twin: Any = {
        "copy": lambda: container.copy(),
        "copy.copy": lambda: copy.copy(container),
        "deepcopy": lambda: copy.deepcopy(container),
        "or": lambda: container | more,
        "ror": lambda: more | container,
        "ior": lambda: container.__ior__(more),
        "pickle": lambda: pickle.loads(pickle.dumps(container)),
        "class": lambda: kind.cls.lenient(container),
    }[way]()
    let_die()
    assert type(twin) is kind.cls
    twin._check()
    expected = len(THINGS) + (way in ("or", "ror", "ior"))
    # Where values are held strongly, a pickle keeps them; one weak side is enough to lose one.
    if way == "pickle" and kind.name == "key-value":
        assert len(twin) == 0
    else:
        assert twin.strong_count() == len(twin) == expected
    add(kind, twin, "another")
    assert has(kind, twin, "another")


@kinds(kind for kind in KINDS if kind.shape == "set")
def test_set_results_are_lenient(kind: Kind) -> None:
    some = kind.cls.lenient([1, 2, 3])
    for result, expected in [
        (some | [4], [1, 2, 3, 4]),
        (some & [2, 3, 4], [2, 3]),
        (some - [1], [2, 3]),
        (some ^ [3, 4], [1, 2, 4]),
        ({4} | some, [4, 1, 2, 3]),
        ({3, 4} & some, [3]),
        ({3, 4} - some, [4]),
        ({3, 4} ^ some, [1, 2, 4]),
        (some.union([4], [5]), [1, 2, 3, 4, 5]),
        (some.intersection([1, 2], [2]), [2]),
    ]:
        assert list(result) == expected
        assert result.strong_count() == len(expected)
        result.add("another")
    assert some <= {1, 2, 3}
    assert some.issuperset([1, 2])
    assert some < {1, 2, 3, 4}
    assert some == kind.cls.lenient([3, 2, 1])
    some.intersection_update([1, 2, 7])
    some.symmetric_difference_update([2, 8])
    assert list(some) == [1, 8]


def test_repr_tells_how_many(kind: Kind) -> None:
    container = kind.cls.lenient()
    assert "strongly" not in repr(container)
    kind.add(container, kept := Member("kept"))
    assert "strongly" not in repr(container)
    add(kind, container, 5)
    add(kind, container, "text")
    assert "(2 held strongly)" in repr(container)
    assert repr(kept) in repr(container)
    assert "strongly" not in repr(kind.cls(kind.content([kept])))


def test_references_of_what_is_held(kind: Kind) -> None:
    container = kind.cls.lenient(content(kind, [5, None]))
    references = kind.references(container)
    assert [reference() for reference in references] == [5, None]
    assert not any(isinstance(reference, weakref.ref) for reference in references)
    if kind.drop_in:
        keys = list(container.data)
        if kind.shape == "value":
            assert keys == [5, None]
            assert container.data[None]() is None
            del container.data[5]
        elif kind.shape == "key":
            assert [container.data[key] for key in keys] == ["value"] * 2
            del container.data[keys[0]]
        else:
            assert all(key in container.data for key in keys)
            container.data.discard(keys[0])
        assert list(kind.iterate(container)) == [None]


@kinds(kind for kind in KINDS if kind.shape != "value")
def test_unhashable_things(kind: Kind) -> None:
    """Are refused where a container compares by equality, and found by identity elsewhere."""
    container: Any = kind.cls.lenient()
    things: list[Any] = [[], {}, [1], bytearray()]
    for thing in things:
        if kind.by_identity:
            kind.add(container, thing)
        else:
            with pytest.raises(TypeError, match="unhashable type"):
                kind.add(container, thing)
            with pytest.raises(TypeError, match="unhashable type"):
                assert thing in container
            with pytest.raises(TypeError, match="unhashable type"):
                container.update(kind.content([Member(1), thing]))
    container._check()
    if kind.by_identity:
        assert all(kind.has(container, thing) for thing in things)
        assert not any(kind.has(container, thing.copy()) for thing in things)
        assert len(container) == container.strong_count() == 4
    else:
        assert len(container) == 0
        with pytest.raises(TypeError):
            kind.add(container, Unhashable())


@kinds(kind for kind in KINDS if kind.shape == "key" and not kind.by_identity)
def test_keys_are_compared_as_in_a_dict(kind: Kind) -> None:
    class LikeFive(Member):
        def __eq__(self, other: object) -> bool:
            return other == 5

        def __hash__(self) -> int:
            return hash(5)

    container: Any = kind.cls.lenient()
    value, other = Member("value"), Member("other")
    nan = float("nan")
    container[5] = container[nan] = value
    assert container[5.0] is container[nan] is value
    assert PYPY or float("nan") not in container  # where two of them are one object
    weak = LikeFive(1)
    assert container[weak] is value
    container[weak] = other
    assert len(container) == container.strong_count() == 2
    assert container[5] is other
    del container[weak]
    container[weak] = value
    assert container[5] is value
    container[5] = other
    assert container.strong_count() == 1  # the key that came first stays
    del weak
    let_die()
    assert 5 not in container
    container._check()


@kinds(kind for kind in KINDS if kind.weak_values)
def test_a_value_is_replaced_by_one_of_the_other_sort(kind: Kind) -> None:
    container = kind.cls.lenient()
    key = Member("key")
    first, second = Member("first"), Member("second")
    container[key] = first
    container[key] = 5
    reference = container.valuerefs()[0]
    del first
    let_die()
    assert container[key] == reference() == 5
    assert container.strong_count() == 1
    container[key] = second
    assert container.strong_count() == 0
    container._check()
    del second
    let_die()
    assert key not in container
    container[key] = None
    assert container[key] is None
    assert container.get(key, "default") is None
    assert container.setdefault(key, 5) is None
    assert container.pop(key) is None
    assert len(container) == 0


def test_either_side_of_a_pair_can_be_held() -> None:
    kind = next(kind for kind in KINDS if kind.name == "key-value")
    key, value = Member("key"), Member("value")
    container = kind.cls.lenient([(1, 1), (key, 2), (3, value), (key, 4), (Member(0), 5)])
    let_die()
    assert list(container.items()) == [(1, 1), (key, 4), (3, value)]
    assert container.strong_count() == 3
    del key
    let_die()
    assert list(container) == [1, 3]
    del value
    let_die()
    assert list(container) == [1]
    container._check()


def test_subclasses_and_the_default_dictionary() -> None:
    class Mine(WeakKeyDictionary[Any, Any]):
        def __init__(self, tag: str, *, flag: bool = False) -> None:
            super().__init__({"in the constructor": tag})
            self.flag = flag

    mine = Mine.lenient("tag", flag=True)
    assert type(mine) is Mine
    assert mine["in the constructor"] == "tag"
    assert mine.flag
    default = WeakDefaultDictionary.lenient(list, {1: [2]})
    default["new"].append(3)
    default[1].append(4)
    assert dict(default) == {1: [2, 4], "new": [3]}
    assert default.strong_count() == 2
    assert default.copy()["another"] == []
    assert repr(default).endswith("list'>, {1: [2, 4], 'new': [3]} (2 held strongly)>")


def test_making_one_lenient_that_is_made_by_a_metaclass_or_new() -> None:
    class Made(WeakIdSet[Any]):
        def __new__(cls, *args: Any) -> Any:
            self = super().__new__(cls, *args)
            self.made = True
            return self

    some: Any = Made.lenient([1])
    assert some.made
    assert list(some) == [1]
