"""Interner: one object for all that are equal."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
import weakref
from typing import Any

import pytest
from support import PYPY, CollidingMember, EqualMember, Member, gc_collect_harder, let_die

from weakly import Box, Interner


class Text(str):
    """A string that can be weakly referenced."""


def check_holds(interner: Any, expected: list[Any]) -> None:
    assert len(interner) == len(expected)
    found = list(interner)
    assert len(found) == len(expected)
    assert all(one is other for one, other in zip(found, expected, strict=True))
    assert all(one in interner for one in expected)
    interner._table._check()


def test_returns_the_first_of_equal_objects() -> None:
    interner: Interner[EqualMember] = Interner()
    one, twin, other = EqualMember(1), EqualMember(1), EqualMember(2)
    assert interner.intern(one) is one
    assert interner.intern(twin) is one
    assert interner.intern(one) is one
    assert interner.intern(other) is other
    assert twin in interner
    assert EqualMember(3) not in interner
    assert 1 not in interner
    check_holds(interner, [one, other])


def test_holds_weakly() -> None:
    interner: Interner[EqualMember] = Interner()
    one, two, twin = EqualMember(1), EqualMember(2), EqualMember(1)
    interner.intern(one)
    interner.intern(two)
    assert interner.intern(twin) is one
    del one
    let_die()
    check_holds(interner, [two])
    assert interner.intern(twin) is twin
    check_holds(interner, [two, twin])


def test_objects_whose_hashes_collide() -> None:
    interner: Interner[CollidingMember] = Interner()
    kept = [CollidingMember(label) for label in range(50)]
    assert [interner.intern(one) for one in kept] == kept
    assert all(interner.intern(CollidingMember(one.label)) is one for one in kept)
    del kept[::2]
    let_die()
    check_holds(interner, kept)


def test_refuses_what_it_cannot_hold() -> None:
    interner: Interner[Any] = Interner()
    with pytest.raises(TypeError, match="cannot create weak reference to 'int' object"):
        interner.intern(5)
    with pytest.raises(TypeError, match="unhashable type: 'set'"):
        interner.intern(set())
    assert 5 not in interner
    check_holds(interner, [])
    with pytest.raises(TypeError):
        Interner([Member(1)])  # type: ignore[call-arg]


def test_an_interner_of_text() -> None:
    interner: Interner[str] = Interner()
    one = interner.intern(Text("name"))
    assert interner.intern(Text("name")) is one
    assert type(one) is Text


def test_lenient() -> None:
    interner: Interner[Any] = Interner.lenient()
    member = EqualMember(1)
    big, twin = 10**30, int("1" + 30 * "0")
    assert interner.intern(big) is big
    assert interner.intern(twin) is big
    assert interner.intern(None) is None
    assert interner.intern(member) is member
    assert (len(interner), interner.strong_count()) == (3, 2)
    assert twin in interner
    assert repr(interner) == f"<Interner of {{{big}, None, EqualMember(1)}} (2 held strongly)>"
    del member
    let_die()
    assert (len(interner), interner.strong_count()) == (2, 2)
    interner.clear()
    check_holds(interner, [])
    assert interner.intern(twin) is twin


def test_repr() -> None:
    interner: Interner[Any] = Interner()
    assert repr(interner) == "<Interner of {}>"
    one, box = EqualMember(1), Box(interner)
    interner.intern(one)
    assert repr(interner) == "<Interner of {EqualMember(1)}>"
    loop = EqualMember(box)
    interner.intern(loop)
    assert repr(interner) == "<Interner of {EqualMember(1), EqualMember(Box(...))}>"


def test_clear() -> None:
    interner: Interner[EqualMember] = Interner()
    one, twin = EqualMember(1), EqualMember(1)
    interner.intern(one)
    interner.clear()
    check_holds(interner, [])
    assert interner.intern(twin) is twin
    Interner.__init__(interner)
    check_holds(interner, [])


def test_iteration_survives_everything() -> None:
    interner: Interner[EqualMember] = Interner()
    kept = [interner.intern(EqualMember(label)) for label in range(20)]
    iterator = iter(interner)
    assert next(iterator) is kept[0]
    more = [interner.intern(EqualMember(label)) for label in range(20, 30)]
    del kept[1:10]
    let_die()
    assert [one.label for one in iterator] == list(range(10, 20))
    check_holds(interner, [*kept, *more])


# User code in the midst


class Meddler(EqualMember):
    """Does something each time it is compared."""

    def __init__(self, label: Any, deed: Any) -> None:
        super().__init__(label)
        self.deed = deed

    def __eq__(self, other: object) -> bool:
        self.deed()
        return super().__eq__(other)

    __hash__ = EqualMember.__hash__


def test_comparing_interns_clears_and_fails() -> None:
    interner: Interner[EqualMember] = Interner()
    one = interner.intern(EqualMember(1))
    twin, third = EqualMember(1), EqualMember(3)
    assert interner.intern(Meddler(1, lambda: interner.intern(third))) is one
    check_holds(interner, [one, third])
    meddler = Meddler(1, interner.clear)
    assert interner.intern(meddler) in (one, meddler)
    interner.clear()
    interner.intern(one)

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interner.intern(Meddler(1, fail))
    check_holds(interner, [one])
    assert interner.intern(twin) is one


def test_a_finalizer_interns() -> None:
    interner: Interner[EqualMember] = Interner()
    canonical: list[EqualMember] = []

    class Dying(EqualMember):
        def __del__(self) -> None:
            canonical.append(interner.intern(EqualMember(self.label)))

    interner.intern(Dying(1))
    gc_collect_harder()
    check_holds(interner, canonical)
    assert [one.label for one in canonical] == [1]  # the dying one itself, where it can be had


# Threads


def test_all_threads_get_the_same_object() -> None:
    count, rounds = 4, (10 if PYPY else 60)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(rounds):
            interner: Interner[EqualMember] = Interner()
            got: list[list[EqualMember]] = [[] for _ in range(count)]
            ready = threading.Barrier(count)

            def work(
                mine: list[EqualMember],
                interner: Interner[EqualMember] = interner,
                ready: threading.Barrier = ready,
            ) -> None:
                ready.wait()
                mine.extend(interner.intern(EqualMember(label)) for label in range(50))

            threads = [threading.Thread(target=work, args=(mine,)) for mine in got]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for objects in zip(*got, strict=True):
                assert len({id(one) for one in objects}) == 1, objects
            assert len(interner) == 50
    finally:
        sys.setswitchinterval(before)


# Copies and pickles


class Named(Interner[Any]):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = [name]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_copies_share_the_objects(copied: Any) -> None:
    interner = Named("one")
    one = interner.intern(EqualMember(1))
    other = copied(interner)
    assert type(other) is Named
    check_holds(other, [one])
    assert other.name == ["one"]
    assert (other.name is interner.name) == (copied is copy.copy)
    two = other.intern(EqualMember(2))
    check_holds(interner, [one])
    check_holds(other, [one, two])


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_holds_what_lives(protocol: int) -> None:
    interner = Named("one")
    kept = [interner.intern(EqualMember(label)) for label in range(3)]
    kept[1].other = interner  # a cycle
    other, objects = pickle.loads(pickle.dumps((interner, kept), protocol))
    assert type(other) is Named
    assert other.name == ["one"]
    check_holds(other, objects)
    assert objects[1].other is other
    assert other.intern(EqualMember(2)) is objects[2]

    alone = pickle.loads(pickle.dumps(interner, protocol))
    gc_collect_harder()
    check_holds(alone, [])


def test_a_lenient_one_stays_lenient() -> None:
    interner: Interner[Any] = Interner.lenient()
    interner.intern(5)
    for other in (
        copy.copy(interner),
        copy.deepcopy(interner),
        pickle.loads(pickle.dumps(interner)),
    ):
        check_holds(other, [5])
        assert other.strong_count() == 1
        other.intern(6)
        assert len(other) == 2


def test_is_collected() -> None:
    interner = Named("one")
    member = interner.intern(EqualMember(1))
    member.other = interner
    watches = [weakref.ref(interner), weakref.ref(member)]
    del interner, member
    gc.collect()
    gc_collect_harder()
    assert [watch() for watch in watches] == [None, None]


@pytest.mark.c_core(reason="the interpreter's own references compare identical referents, too")
def test_an_identical_object_is_found_without_eq() -> None:
    interner: Interner[EqualMember] = Interner()

    def fail() -> None:
        raise AssertionError("compared")

    meddler = Meddler(1, fail)
    assert interner.intern(meddler) is interner.intern(meddler)


class Slotted(Interner[Any]):
    __slots__ = ("extra", "itself")


def pickled(obj: Any) -> Any:
    return pickle.loads(pickle.dumps(obj))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_attributes_in_slots_are_copied(copied: Any) -> None:
    interner: Any = Slotted()
    interner.extra, interner.other = [1], [2]
    interner.itself = interner
    new = copied(interner)
    assert (new.extra, new.other) == ([1], [2])
    assert new.itself is (interner if copied is copy.copy else new)
