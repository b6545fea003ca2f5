"""What can be weakly referenced: the question, and the types that make it so."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest
from support import COUNTS_REFERENCES, PYPY, let_die

from weakly import Box, Bytearray, Dict, List, WeakSet, supports_weakrefs


class Slotted:
    __slots__ = ()


class Referenceable:
    __slots__ = ("__weakref__",)


def function() -> None:
    pass


@pytest.mark.parametrize(
    "obj",
    [None, 5, 1.5, "text", b"bytes", (), [], {}, bytearray(), object(), range(3)],
    ids=repr,
)
def test_cannot(obj: Any) -> None:
    assert supports_weakrefs(obj) is False
    with pytest.raises(TypeError):
        weakref.ref(obj)


@pytest.mark.skipif(PYPY, reason="PyPy can refer to instances of any class")
def test_cannot_without_a_slot_for_it() -> None:
    test_cannot(Slotted())


@pytest.mark.parametrize(
    "obj",
    [
        Referenceable(),
        Referenceable,
        function,
        int,
        pytest,
        set(),
        frozenset(),
        Box(None).__eq__,
        List(),
        Dict(),
        Bytearray(),
        Box(5),
        type("Error", (ValueError,), {})(),
    ],
    ids=lambda obj: type(obj).__name__,
)
def test_can(obj: Any) -> None:
    assert supports_weakrefs(obj) is True
    assert weakref.ref(obj)() is obj


def test_asking_leaves_nothing_behind() -> None:
    one = Referenceable()
    assert supports_weakrefs(one)
    let_die()
    assert weakref.getweakrefcount(one) == 0


# List, Dict, Bytearray

READY_MADE: list[Any] = [
    (List, list, [1, [2], 3]),
    (Dict, dict, {1: [2], "three": 4}),
    (Bytearray, bytearray, b"bytes"),
]
ready_made = pytest.mark.parametrize(
    ("cls", "base", "content"), READY_MADE, ids=[cls.__name__ for cls, _, _ in READY_MADE]
)


@ready_made
def test_is_its_base(cls: Any, base: Any, content: Any) -> None:
    one, plain = cls(content), base(content)
    assert isinstance(one, base)
    assert one == plain
    assert plain == one
    assert len(one) == len(plain)
    assert list(one) == list(plain)
    assert cls() == base()
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
    with pytest.raises(AttributeError):
        one.attribute = 1  # nothing but a __weakref__


@ready_made
def test_dies_and_tells(cls: Any, base: Any, content: Any) -> None:
    one = cls(content)
    watch = weakref.ref(one)
    assert watch() is one
    del one
    let_die()
    assert watch() is None


@ready_made
def test_copies_keep_the_type(cls: Any, base: Any, content: Any) -> None:
    one = cls(content)
    copies = [one.copy(), copy.copy(one), copy.deepcopy(one)]
    copies += [
        pickle.loads(pickle.dumps(one, protocol))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ]
    for other in copies:
        assert type(other) is cls
        assert other == one
        assert other is not one
    copies[0].clear()
    assert len(one) == len(content)


@pytest.mark.parametrize("make", [List, Dict], ids=lambda make: make.__name__)
def test_copies_that_contain_themselves(make: Any) -> None:
    one = make()
    one.append(one) if make is List else one.update(key=one)
    for other in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert type(other) is make
        assert other is not one
        assert (other[0] if make is List else other["key"]) is other


def test_shallow_copies_share_what_they_contain() -> None:
    inner = [2]
    assert List([inner]).copy()[0] is inner
    assert Dict(key=inner).copy()["key"] is inner


def test_classes_derived_from_them_keep_their_type() -> None:
    class Row(List[int]):
        pass

    row = Row([1, 2])
    row.name = "row"  # type: ignore[attr-defined]
    assert type(row.copy()) is Row
    assert copy.copy(row).name == "row"  # type: ignore[attr-defined]


# Box


def test_a_box_equals_and_hashes_as_its_value() -> None:
    for value in (5, "text", None, (1, 2), 1.5):
        box = Box(value)
        assert box == value
        assert value == box
        assert box == Box(value)
        assert (box != value) is (box != Box(value)) is False
        assert box != Box("other")
        assert box != "other"
        assert hash(box) == hash(value)
        assert {box: 1}[value] == {value: 1}[box] == 1  # type: ignore[index]
        assert box.value is value
    assert Box([1]) == [1]
    assert Box(Box(5)) == 5
    assert Box(Box(5)) == Box(5)
    nan = float("nan")
    assert Box(nan) != Box(nan)
    assert (Box(nan) == nan) is False


def test_a_box_of_something_unhashable_is_unhashable() -> None:
    with pytest.raises(TypeError, match="unhashable type: 'list'"):
        hash(Box([1]))


def test_comparing_asks_the_value() -> None:
    class Vector:
        def __eq__(self, other: object) -> Any:
            return ["compared with", other]

    assert (Box(Vector()) == 5) == ["compared with", 5]
    with pytest.raises(ZeroDivisionError):
        Box(5) == Box(Failing())  # noqa: B015


class Failing:
    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    __hash__ = None  # type: ignore[assignment]


def test_the_value_cannot_be_exchanged() -> None:
    box = Box(5)
    with pytest.raises(AttributeError):
        box.value = 6  # type: ignore[misc]
    with pytest.raises(AttributeError):
        box.other = 6  # type: ignore[attr-defined]


def test_box_repr_and_matching() -> None:
    class Parcel(Box[int]):
        pass

    assert repr(Box([1, "a"])) == "Box([1, 'a'])"
    assert repr(Parcel(5)) == "Parcel(5)"
    inner: list[Any] = []
    box = Box(inner)
    inner.append(box)
    assert repr(box) == "Box([...])"
    match Box(5):
        case Box(value):
            assert value == 5


def test_a_box_of_itself_is_copied_and_pickled() -> None:
    inner: list[Any] = [1]
    box = Box(inner)
    inner.append(box)
    assert copy.copy(box).value is inner
    others = [copy.deepcopy(box)]
    others += [
        pickle.loads(pickle.dumps(box, protocol))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ]
    for other in others:
        assert type(other) is Box
        assert other.value[0] == 1
        assert other.value[1] is other


def test_boxes_in_a_weak_set() -> None:
    five, six = Box(5), Box(6)
    numbers = WeakSet([five, six])
    assert Box(5) in numbers
    assert 5 not in numbers  # an int is no member of a weak set, whatever it equals
    del five
    let_die()
    assert list(numbers) == [six]


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="counts references")
def test_a_box_holds_its_value_and_nothing_holds_the_box() -> None:
    value = Referenceable()
    watch = weakref.ref(value)
    box = Box(value)
    box_watch = weakref.ref(box)
    del value
    assert watch() is box.value
    del box
    assert (watch(), box_watch()) == (None, None)
    # in a cycle, too
    inner: list[Any] = []
    inner.append(Box(inner))
    watch = weakref.ref(inner[0])
    del inner
    gc.collect()
    assert watch() is None
