"""WeakMethod, KeyedRef, and the primitives that are the interpreter's own."""

from __future__ import annotations

import contextlib
import copy
import gc
import weakref
from typing import Any

import pytest
from support import COUNTS_REFERENCES, PYPY, Member, gc_collect_harder, let_die

import weakly
from weakly import KeyedRef, WeakMethod

# --- what the package offers


@pytest.mark.parametrize(
    "name",
    [
        "CallableProxyType",
        "ProxyType",
        "ProxyTypes",
        "ReferenceType",
        "getweakrefcount",
        "getweakrefs",
        "proxy",
        "ref",
    ],
)
def test_primitives_are_the_interpreters_own(name: str) -> None:
    assert getattr(weakly, name) == getattr(weakref, name)
    if name != "ProxyTypes":
        assert getattr(weakly, name) is getattr(weakref, name)


def test_every_name_of_weakref_is_there() -> None:
    assert set(weakref.__all__) <= set(weakly.__all__)
    for name in weakly.__all__:
        assert hasattr(weakly, name)
    assert sorted(weakly.__all__) == sorted(set(weakly.__all__))
    assert weakly.implementation in ("c", "python")
    assert isinstance(weakly.__version__, str)


def test_star_import() -> None:
    names: dict[str, Any] = {}
    exec("from weakly import *", names)
    assert set(weakref.__all__) <= set(names)


def test_ours_are_not_the_stdlibs() -> None:
    for name in ("WeakKeyDictionary", "WeakValueDictionary", "WeakSet", "WeakMethod", "finalize"):
        assert getattr(weakly, name).__module__.startswith("weakly")


# --- WeakMethod


class Object:
    """Compared by identity, or by `value` where it is given."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if self.value is None:
            return self is other
        return isinstance(other, Object) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value) if self.value is not None else id(self) >> 4

    def method(self) -> str:
        return f"called {self.value}"

    def other(self) -> str:
        return "other"


class Sub(Object):
    def method(self) -> str:
        return "sub"


def with_own_method() -> Any:
    """A class of its own, whose function can die."""

    class Own:
        def method(self) -> str:
            return "own"

    return Own


def test_method_alive() -> None:
    thing = Object(1)
    reference = WeakMethod(thing.method)
    assert isinstance(reference, weakref.ReferenceType)
    assert isinstance(reference, weakref.ref)
    bound = reference()
    assert bound is not None
    assert type(bound) is type(thing.method)
    assert bound.__self__ is thing
    assert bound.__func__ is Object.method
    assert bound() == "called 1"


def test_method_does_not_keep_its_object() -> None:
    thing = Object(1)
    reference = WeakMethod(thing.method)
    assert reference() is not None
    del thing
    let_die()
    assert reference() is None
    assert reference() is None


def test_method_whose_function_dies() -> None:
    own = with_own_method()
    thing = own()
    reference = WeakMethod(thing.method)
    assert reference()() == "own"
    del own.method
    gc_collect_harder()
    assert reference() is None


@pytest.mark.parametrize("what", ["object", "function", "both"])
def test_callback_once_with_itself(what: str) -> None:
    calls: list[Any] = []
    own = with_own_method()
    thing: Any = own()
    reference = WeakMethod(thing.method, calls.append)
    if what in ("function", "both"):
        del own.method
        gc_collect_harder()
    if what in ("object", "both"):
        thing = None
        let_die()
        gc_collect_harder()
    assert len(calls) == 1
    assert calls[0] is reference
    assert reference() is None
    del thing
    let_die()
    assert len(calls) == 1


def test_no_callback_when_the_reference_is_gone() -> None:
    calls: list[Any] = []
    thing = Object(1)
    reference = WeakMethod(thing.method, calls.append)
    del reference
    let_die()
    del thing
    let_die()
    assert calls == []


def test_exception_in_the_callback(unraisable: list[Any]) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError("callback")

    thing = Object(1)
    reference = WeakMethod(thing.method, fail)
    del thing
    let_die()
    assert [each.message for each in unraisable] == ["callback"]
    assert reference() is None


def test_no_cycle_without_the_collector() -> None:
    """As for any reference: dropping it frees it at once."""
    gc.disable()
    calls: list[Any] = []
    thing = Object(1)
    for callback in (None, calls.append):
        reference = WeakMethod(thing.method, callback)
        watch = weakref.ref(reference)
        del reference
        if COUNTS_REFERENCES:
            let_die()
            assert watch() is None
    gc.enable()


def test_a_reference_in_its_own_callback_is_collected() -> None:
    thing = Object(1)
    holder = Member("holder")
    reference = WeakMethod(thing.method, lambda _, kept=holder: kept)  # type: ignore[misc]
    holder.other = reference
    watch = weakref.ref(reference)
    del reference, holder
    gc_collect_harder()
    assert watch() is None
    assert thing.method() == "called 1"


def test_equality() -> None:
    one, equal, different = Object(1), Object(1), Object(2)
    a, b, c = WeakMethod(one.method), WeakMethod(equal.method), WeakMethod(different.method)
    d = WeakMethod(one.other)
    again = WeakMethod(one.method)
    assert a == again
    assert a == b
    assert not a != b  # noqa: SIM202 - != has its own method
    sub = Sub(1)
    for other in (c, d, WeakMethod(sub.method), 5, None, one.method):
        assert a != other
        assert not a == other  # noqa: SIM201


def test_equality_of_the_dead() -> None:
    one, two = Object(1), Object(1)
    a, b, c = WeakMethod(one.method), WeakMethod(one.method), WeakMethod(two.method)
    assert a == b == c
    del one
    let_die()
    assert a == a
    assert not a != a  # noqa: SIM202
    assert a != b
    assert a != c
    assert c != a


def test_hash_is_that_of_the_object_and_outlives_it() -> None:
    one, two = Object(1), Object(1)
    a, b = WeakMethod(one.method), WeakMethod(two.method)
    c = WeakMethod(one.method)
    assert hash(a) == hash(b) == hash(one)
    assert {a: "found"}[b] == "found"
    del one, two
    let_die()
    assert hash(a) == hash(b)
    with pytest.raises(TypeError):  # as of any reference that was not hashed in time
        hash(c)


@pytest.mark.parametrize("wrong", [len, int, 5, None, Object.method, lambda: None])
def test_not_a_bound_method(wrong: Any) -> None:
    with pytest.raises(TypeError, match=type(wrong).__name__):
        WeakMethod(wrong)


def test_wrong_arguments() -> None:
    thing = Object(1)
    for arguments in ((), (thing.method, None, None)):
        with pytest.raises(TypeError):
            WeakMethod(*arguments)
    with pytest.raises(TypeError):
        WeakMethod(thing.method)(1)


@pytest.mark.skipif(PYPY, reason="PyPy can refer weakly to nearly everything")
def test_objects_that_cannot_be_referenced() -> None:
    class Slotted:
        __slots__ = ()

        def method(self) -> None:
            pass

    with pytest.raises(TypeError, match="'Slotted'"):
        WeakMethod(Slotted().method)


def test_class_methods() -> None:
    class Own:
        @classmethod
        def method(cls) -> str:
            return cls.__name__

    reference = WeakMethod(Own.method)
    assert reference()() == "Own"
    del Own
    gc_collect_harder()
    assert reference() is None


def test_subclass_of_weak_method() -> None:
    class Mine(WeakMethod):  # type: ignore[type-arg]
        tag = "mine"

    thing = Object(1)
    reference = Mine(thing.method)
    assert type(reference) is Mine
    reference.extra = 5
    assert reference == WeakMethod(thing.method)
    assert reference().__self__ is thing


def test_weak_reference_to_a_weak_method() -> None:
    thing = Object(1)
    reference = WeakMethod(thing.method)
    assert weakref.ref(reference)() is reference


def test_copies_are_itself() -> None:
    """As references in general: atomic."""
    reference = WeakMethod(Object.__init__.__get__(thing := Object(1)))
    del thing
    for make in (copy.copy, copy.deepcopy):
        with contextlib.suppress(TypeError):  # the stdlib's raises; nothing is promised
            assert make(reference) is reference


# --- KeyedRef


def test_keyed_ref() -> None:
    calls: list[Any] = []
    member = Member(1)
    reference = KeyedRef(member, calls.append, "the key")
    assert isinstance(reference, weakref.ref)
    assert reference() is member
    assert reference.key == "the key"
    assert reference == weakref.ref(member)
    assert hash(reference) == hash(member)
    del member
    let_die()
    assert calls == [reference]
    assert reference() is None
    assert reference.key == "the key"


def test_keyed_ref_without_a_callback() -> None:
    member = Member(1)
    one, other = KeyedRef(member, None, 1), KeyedRef(member, None, 2)
    assert one is not other
    assert (one.key, other.key) == (1, 2)
    assert weakref.ref(member) not in (None, 5)
    assert type(weakref.ref(member)) is weakref.ref


@pytest.mark.parametrize("arguments", [(), (Member,), (Member, None), (Member, None, 1, 2)])
def test_keyed_ref_wrong_arguments(arguments: Any) -> None:
    with pytest.raises(TypeError):
        KeyedRef(*arguments)


def test_keyed_ref_to_what_cannot_be_referenced() -> None:
    with pytest.raises(TypeError, match="'int'"):
        KeyedRef(5, None, "key")


def test_keyed_ref_in_a_cycle_with_its_key() -> None:
    member = Member(1)
    key: list[Any] = []
    reference = KeyedRef(member, None, key)
    key.append(reference)
    holder = Member("holder")
    key.append(holder)
    watch = weakref.ref(holder)
    del key, reference, holder
    gc_collect_harder()
    assert watch() is None
    assert member.label == 1


def test_keyed_ref_subclass() -> None:
    class Mine(KeyedRef):  # type: ignore[type-arg]
        pass

    member = Member(1)
    reference = Mine(member, None, "key")
    assert type(reference) is Mine
    assert reference.key == "key"
    assert reference() is member
