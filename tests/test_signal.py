"""Signal: who is called, in which order, with what; errors, re-entrancy and threads.

Delivery elsewhere (loops, threads, streams, `emit_async`) is in test_signal_async.py, what is
let go in test_signal_leaks.py.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import inspect
import itertools
import pickle
import random
import sys
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support import (
    FREE_THREADED,
    PYPY,
    check_runs,
    count_failures,
    failing_allocations,
    forks_with_threads,
    gc_collect_harder,
    let_die,
    run_all,
)

import weakly
from weakly import Signal, WeakCallable


class Object:
    """With listeners that note what they hear; whoever compares or hashes one fails."""

    def __init__(self, name: Any = "object", heard: list[Any] | None = None) -> None:
        self.name = name
        self.heard: list[Any] = [] if heard is None else heard

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError("compared")

    def __hash__(self) -> int:
        raise ZeroDivisionError("hashed")

    def hear(self, *args: Any, **kwargs: Any) -> Any:
        self.heard.append((self.name, *args, *([kwargs] if kwargs else [])))
        return self.name

    def __call__(self, *args: Any) -> Any:
        return self.hear(*args)


class Sender:
    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError("compared")

    def __hash__(self) -> int:
        raise ZeroDivisionError("hashed")


def listeners(heard: list[Any], count: int) -> list[Any]:
    """Functions that note their number and give it back."""

    def make(number: int) -> Any:
        def listener(*args: Any, **kwargs: Any) -> int:
            heard.append(number)
            return number

        return listener

    return [make(number) for number in range(count)]


def raises(error: BaseException) -> Any:
    def listener(*args: Any, **kwargs: Any) -> None:
        raise error

    return listener


def echo(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


# --- emit, emit_from, collect


def test_emit() -> None:
    signal = Signal()
    heard: list[Any] = []

    def listener(*args: Any, **kwargs: Any) -> int:
        heard.append((args, kwargs))
        return 5

    assert signal.connect(listener) is listener
    assert signal.emit() is None
    signal.emit(1, 2)
    signal.emit(1, x=2)
    signal.emit(self=1, sender=2, signal=3, args=4, listener=5)
    assert heard == [
        ((), {}),
        ((1, 2), {}),
        ((1,), {"x": 2}),
        ((), {"self": 1, "sender": 2, "signal": 3, "args": 4, "listener": 5}),
    ]


def test_emit_from() -> None:
    signal = Signal()
    signal.connect(echo)
    heard: list[Any] = []
    signal.connect(lambda *args, **kwargs: heard.append((args, kwargs)))
    sender = Sender()
    assert signal.emit_from(sender, 1, sender=2) is None
    signal.emit_from([])  # needs no weak reference
    assert heard == [((1,), {"sender": 2}), ((), {})]
    with pytest.raises(TypeError):
        signal.emit_from()  # type: ignore[call-arg]  # that is the test


def test_collect() -> None:
    signal = Signal()
    assert signal.collect(5) == []
    some = listeners([], 5)
    for listener in some:
        signal.connect(listener)
    assert signal.collect(5, x=6) == [0, 1, 2, 3, 4]
    signal.connect(some[1])
    signal.connect(echo, priority=1)
    assert signal.collect(5, x=6) == [((5,), {"x": 6}), 0, 2, 3, 4, 1]
    signal.connect(lambda *args, **kwargs: None, priority=2)
    assert signal.collect()[0] is None


def test_nobody_listens() -> None:
    signal = Signal()
    assert signal.emit() is None
    assert signal.emit(1, 2, x=3) is None
    assert signal.emit_from(Sender(), 1) is None
    assert signal.collect(1) == []
    assert signal.has_listeners is False
    assert signal.disconnect(echo) is False
    assert signal.is_connected(echo) is False
    assert signal.disconnect_all() is None


@pytest.mark.parametrize("count", [1, 2, 10, 1000])
def test_all_are_called_in_the_order_of_connection(count: int) -> None:
    signal = Signal()
    heard: list[Any] = []
    some = listeners(heard, count)
    for listener in some:
        signal.connect(listener)
    signal.emit()
    assert heard == list(range(count))
    for listener in some[::2]:
        assert signal.disconnect(listener)
    heard.clear()
    signal.emit()
    assert heard == list(range(count))[1::2]


def test_each_kind_of_listener() -> None:
    signal = Signal()
    obj, some = Object(), deque()

    class Class:
        made: ClassVar[list[Any]] = []

        def __init__(self, x: int) -> None:
            self.made.append(x)

        @classmethod
        def of_class(cls, x: int) -> None:
            cls.made.append(("class", x))

        @staticmethod
        def static(x: int) -> None:
            Class.made.append(("static", x))

    plain: list[Any] = []
    kept: list[Any] = [
        obj.hear,
        obj,
        some.append,
        plain.append,
        Class,
        Class.of_class,
        Class.static,
        functools.partial(plain.append),
        functools.partial(obj.hear, "partial"),
        lambda x: plain.append(("lambda", x)),
    ]
    for listener in kept:
        assert signal.connect(listener) is listener
        assert signal.is_connected(listener)
    signal.emit(5)
    assert obj.heard == [("object", 5), ("object", 5), ("object", "partial", 5)]
    assert list(some) == [5]
    assert plain == [5, 5, ("lambda", 5)]
    assert Class.made == [5, ("class", 5), ("static", 5)]
    for listener in kept:
        assert signal.disconnect(listener) is True
        assert not signal.is_connected(listener)
        assert signal.disconnect(listener) is False
    signal.emit(6)
    assert len(plain) == 3
    assert not signal.has_listeners


def test_listeners_are_told_apart_by_identity() -> None:
    signal = Signal()
    first, second = deque([1]), deque([1])
    assert first == second
    for _ in range(3):
        signal.connect(first.append)
    signal.connect(second.append)
    signal.emit(5)
    assert list(first) == list(second) == [1, 5]
    assert signal.disconnect(first.append)
    signal.emit(6)
    assert list(first) == [1, 5]
    assert list(second) == [1, 5, 6]
    assert not signal.is_connected(first.append)
    assert signal.is_connected(second.append)
    obj = Object()
    one, two = functools.partial(obj.hear, 1), functools.partial(obj.hear, 1)
    signal.connect(one)
    assert not signal.is_connected(two)
    assert not signal.disconnect(two)
    assert signal.disconnect(one)


# --- connect


def test_connect_as_decorator() -> None:
    signal = Signal()

    @signal.connect
    def first() -> int:
        return 1

    @signal.connect(priority=1)
    def second() -> int:
        return 2

    @signal.connect()
    def third() -> int:
        return 3

    assert first() == 1
    assert second() == 2
    assert signal.collect() == [2, 1, 3]


@pytest.mark.parametrize("wrong", [5, "text", [], object()])
def test_what_cannot_listen(wrong: Any) -> None:
    signal = Signal()
    with pytest.raises(TypeError, match=type(wrong).__name__):
        signal.connect(wrong)
    with pytest.raises(TypeError):
        signal.connect(echo, None)  # type: ignore[call-arg,arg-type]  # that is the test
    with pytest.raises(TypeError):
        signal.connect(echo, other=5)  # type: ignore[call-overload]  # that is the test
    assert not signal.has_listeners


def test_asked_about_what_cannot_listen() -> None:
    signal = Signal()
    signal.connect(echo)
    slots = Slots()
    assert not signal.is_connected([].append)
    assert not signal.disconnect([].append)
    assert not signal.is_connected(slots.method)
    assert not signal.disconnect(slots.method)
    assert signal.has_listeners


class Slots:
    __slots__ = ()

    def method(self) -> int:
        return 5


def test_bound_methods_are_held_weakly_the_rest_strongly() -> None:
    signal = Signal()
    heard: list[Any] = []
    obj: Any = Object("weak", heard)
    instance: Any = Object("strong", heard)
    some: Any = deque()
    died = weakref.ref(obj), weakref.ref(some)
    signal.connect(obj.hear)
    signal.connect(functools.partial(obj.hear, 1))
    signal.connect(some.append)
    signal.connect(instance)
    signal.connect(lambda *args: heard.append("lambda"))
    signal.connect(functools.partial(heard.append))
    del instance
    gc.collect()
    signal.emit(5)
    assert heard == [("weak", 5), ("weak", 1, 5), ("strong", 5), "lambda", 5]
    heard.clear()
    obj = some = None
    gc_collect_harder()
    assert [each() for each in died] == [None, None]
    signal.emit(6)
    assert heard == [("strong", 6), "lambda", 6]


def test_weak_listeners() -> None:
    signal = Signal()
    heard: list[Any] = []
    some = listeners(heard, 2)
    instance: Any = Object("instance", heard)
    partial: Any = functools.partial(lambda: heard.append("partial"))
    for listener in (*some, instance, partial, instance.hear):
        signal.connect(listener, weak=True)
    signal.emit()
    assert heard == [0, 1, ("instance",), "partial", ("instance",)]
    heard.clear()
    del some[0], listener
    instance = partial = None
    gc_collect_harder()
    signal.emit()
    assert heard == [1]
    assert signal.has_listeners
    some.clear()
    gc_collect_harder()
    assert not signal.has_listeners
    signal.emit()
    assert heard == [1]


def test_strong_listeners() -> None:
    signal = Signal()
    heard: list[Any] = []
    obj: Any = Object("strong", heard)
    some: Any = deque()
    signal.connect(obj.hear, weak=False)
    signal.connect(some.append, weak=False)
    signal.connect(Slots().method, weak=False)
    died = weakref.ref(obj)
    obj = None
    gc_collect_harder()
    assert signal.has_listeners
    method = died().hear  # type: ignore[union-attr]  # it lives
    assert signal.is_connected(method)
    assert signal.disconnect(method)
    del method
    gc_collect_harder()
    assert died() is None


def test_methods_of_what_cannot_be_weakly_referenced() -> None:
    signal = Signal()
    heard: list[Any] = []
    signal.connect(heard.append)
    signal.connect({}.get)
    signal.emit(5)
    assert heard == [5]
    assert signal.is_connected(heard.append)
    assert signal.disconnect(heard.append)


@pytest.mark.skipif(PYPY, reason="all objects can be weakly referenced there")
def test_methods_of_slots_without_weak_references() -> None:
    signal = Signal()
    heard: list[Any] = []
    slots = Slots()
    with pytest.raises(TypeError, match=r"Slots.*__weakref__.*__slots__.*weak=False"):
        signal.connect(slots.method)
    for listener in (heard.append, slots.method):
        with pytest.raises(TypeError):
            signal.connect(listener, weak=True)
    signal.connect(slots.method, weak=False)
    assert signal.is_connected(slots.method)
    assert signal.disconnect(slots.method)


@pytest.mark.c_core(reason="only there it can be seen that nobody else holds it")
@pytest.mark.skipif(PYPY or FREE_THREADED, reason="reference counts say less there")
def test_a_warning_for_what_would_die_at_once() -> None:
    signal = Signal()
    with pytest.warns(RuntimeWarning, match="lambda") as seen:
        signal.connect(lambda: 5, weak=True)
    assert seen[0].filename == __file__
    assert not signal.has_listeners
    function = listeners([], 1)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        signal.connect(lambda: 5)
        signal.connect(lambda: 5, weak=False)
        signal.connect(function, weak=True)
        signal.connect(Object("dead").hear)


def test_no_warning_for_asking() -> None:
    """A temporary that is only asked about is not going to be held."""
    signal = Signal()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not signal.disconnect(lambda: 5)
        assert not signal.is_connected(functools.partial(echo))
        assert not signal.disconnect(Object())
        with pytest.raises(ValueError, match="not connected"):
            signal.muted(lambda: 5).__enter__()


def test_priority() -> None:
    signal = Signal()
    some = listeners([], 8)
    for listener, priority in zip(some, [0, 5, -1, 5, 0, 10, -1, 5], strict=True):
        signal.connect(listener, priority=priority)
    assert signal.collect() == [5, 1, 3, 7, 0, 4, 2, 6]
    signal.connect(some[1], priority=5)  # to the end of its own
    assert signal.collect() == [5, 3, 7, 1, 0, 4, 2, 6]
    signal.connect(some[5])
    assert signal.collect() == [3, 7, 1, 0, 4, 5, 2, 6]
    signal.disconnect(some[7])
    signal.connect(some[7], priority=5)
    assert signal.collect() == [3, 1, 7, 0, 4, 5, 2, 6]


def test_connected_once_whatever_is_done() -> None:
    signal = Signal()
    obj = Object()
    for _ in range(3):
        signal.connect(obj.hear)
    signal.emit(1)
    assert obj.heard == [("object", 1)]
    assert signal.disconnect(obj.hear) is True
    assert signal.disconnect(obj.hear) is False
    signal.emit(2)
    assert len(obj.heard) == 1


def test_connecting_again_replaces_the_options() -> None:
    signal = Signal()
    obj: Any = Object()
    signal.connect(obj.hear, once=True, priority=5)
    signal.connect(obj.hear)
    signal.emit(1)
    signal.emit(2)
    assert len(obj.heard) == 2
    signal.connect(obj.hear, once=True)
    signal.emit(3)
    signal.emit(4)
    assert len(obj.heard) == 3
    signal.connect(obj.hear, weak=False)
    signal.connect(obj.hear)
    died = weakref.ref(obj)
    obj = None
    gc_collect_harder()
    assert died() is None  # weakly now
    obj = Object()
    signal.connect(obj.hear)
    signal.connect(obj.hear, weak=False)
    died = weakref.ref(obj)
    obj = None
    gc_collect_harder()
    assert died() is not None
    signal.emit(5)
    assert died().heard == [("object", 5)]


# --- once


def test_once() -> None:
    signal = Signal()
    heard: list[Any] = []
    first, second, third = listeners(heard, 3)
    signal.connect(first)
    signal.connect(second, once=True)
    signal.connect(third)
    signal.emit()
    assert heard == [0, 1, 2]
    assert not signal.is_connected(second)
    signal.emit()
    assert heard == [0, 1, 2, 0, 2]
    signal.connect(second, once=True)
    assert signal.disconnect(second)
    signal.emit()
    assert heard == [0, 1, 2, 0, 2, 0, 2]


def test_once_is_gone_before_it_is_called() -> None:
    signal = Signal()
    heard: list[Any] = []

    @signal.connect(once=True)
    def listener(x: int) -> None:
        heard.append((x, signal.is_connected(listener), signal.has_listeners))
        if x:
            signal.emit(x - 1)

    signal.emit(5)
    assert heard == [(5, False, False)]


def test_once_that_connects_itself_again() -> None:
    signal = Signal()
    heard: list[int] = []

    @signal.connect(once=True)
    def listener(x: int) -> None:
        heard.append(x)
        signal.connect(listener, once=True)

    for x in range(3):
        signal.emit(x)
    assert heard == [0, 1, 2]


def test_once_that_raises() -> None:
    signal = Signal(on_error="stop")
    listener = raises(ZeroDivisionError())
    signal.connect(listener, once=True)
    with pytest.raises(ZeroDivisionError):
        signal.emit()
    assert not signal.is_connected(listener)
    signal.emit()


def test_once_is_not_used_up_by_what_it_does_not_hear() -> None:
    signal = Signal()
    sender = Sender()
    obj = Object()
    signal.connect(obj.hear, once=True, sender=sender)
    signal.emit(1)
    signal.emit_from(Sender(), 2)
    with signal.blocked():
        signal.emit_from(sender, 3)
    with signal.muted(obj.hear):
        signal.emit_from(sender, 4)
    assert obj.heard == []
    assert signal.is_connected(obj.hear)
    signal.emit_from(sender, 5)
    signal.emit_from(sender, 6)
    assert obj.heard == [("object", 5)]


def test_once_dies_unheard() -> None:
    signal = Signal()
    obj: Any = Object()
    signal.connect(obj.hear, once=True)
    obj = None
    gc_collect_harder()
    signal.emit()
    assert not signal.has_listeners


# --- sender


def test_sender() -> None:
    signal = Signal()
    heard: list[Any] = []
    obj, everything = Object("one", heard), Object("all", heard)
    sender, other = Sender(), Sender()
    signal.connect(obj.hear, sender=sender)
    signal.connect(everything.hear)
    signal.emit_from(sender, 1)
    signal.emit_from(other, 2)
    signal.emit(3)
    assert heard == [("one", 1), ("all", 1), ("all", 2), ("all", 3)]


def test_several_senders() -> None:
    signal = Signal()
    obj = Object()
    first, second, third = Sender(), Sender(), Sender()
    signal.connect(obj.hear, sender=first)
    signal.connect(obj.hear, sender=second)

    def heard() -> list[int]:
        obj.heard.clear()
        for number, sender in enumerate((first, second, third)):
            signal.emit_from(sender, number)
        return [each[1] for each in obj.heard]

    assert heard() == [0, 1]
    assert signal.disconnect(obj.hear, sender=third) is False
    assert signal.disconnect(obj.hear, sender=first) is True
    assert signal.disconnect(obj.hear, sender=first) is False
    assert signal.is_connected(obj.hear)
    assert heard() == [1]
    signal.connect(obj.hear, sender=first)
    assert heard() == [0, 1]
    signal.connect(obj.hear)
    assert heard() == [0, 1, 2]
    assert signal.disconnect(obj.hear) is True
    assert heard() == []
    signal.connect(obj.hear, sender=third)
    assert heard() == [2]
    assert signal.disconnect(obj.hear, sender=third) is True
    assert not signal.is_connected(obj.hear)
    assert not signal.has_listeners
    assert signal.disconnect(obj.hear, sender=third) is False


def test_disconnect_with_a_sender_never_heard_of() -> None:
    signal = Signal()
    sender = Sender()
    assert signal.disconnect(echo, sender=sender) is False
    signal.connect(echo, sender=sender)
    assert signal.disconnect(echo, sender=[]) is False
    assert signal.is_connected(echo)


def test_senders_are_told_apart_by_identity() -> None:
    class Equal:
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 5

    signal = Signal()
    one, other = Equal(), Equal()
    assert one == other
    signal.connect(echo, sender=one)
    signal.emit_from(other)
    assert signal.collect() == []
    obj = Object()
    signal.connect(obj.hear, sender=one)
    signal.emit_from(other, 1)
    signal.emit_from(one, 2)
    assert obj.heard == [("object", 2)]


def test_a_sender_that_dies_takes_its_listeners() -> None:
    signal = Signal()
    heard: list[Any] = []
    some = listeners(heard, 3)
    first: Any = Sender()
    second: Any = Sender()
    died = weakref.ref(first)
    signal.connect(some[0], sender=first)
    signal.connect(some[1], sender=first)
    signal.connect(some[1], sender=second)
    signal.connect(some[2])
    first = None
    let_die()
    gc.collect()
    assert died() is None
    assert [signal.is_connected(listener) for listener in some] == [False, True, True]
    listener = weakref.ref(some.pop(0))
    gc_collect_harder()
    assert listener() is None
    signal.emit_from(second)
    assert heard == [1, 2]
    second = None
    gc_collect_harder()
    assert not signal.is_connected(some[0])
    signal.disconnect(some[1])
    assert not signal.has_listeners


def test_a_new_sender_at_the_old_address() -> None:
    signal = Signal()
    obj, everything = Object(), Object()
    signal.connect(everything.hear)
    for _ in range(100):
        sender = Sender()
        signal.connect(obj.hear, sender=sender)
        del sender
        sender = Sender()
        signal.emit_from(sender)
        del sender
    assert obj.heard == []
    assert len(everything.heard) == 100


@pytest.mark.parametrize("wrong", [5, "text"] if PYPY else [[], 5, "text", Slots()])
def test_what_cannot_be_a_sender(wrong: Any) -> None:
    signal = Signal()
    with pytest.raises(TypeError, match=type(wrong).__name__):
        signal.connect(echo, sender=wrong)
    assert not signal.has_listeners


# --- disconnect_all, has_listeners


def test_disconnect_all() -> None:
    signal = Signal()
    heard: list[Any] = []
    some = listeners(heard, 10)
    obj = Object("object", heard)
    for listener in some:
        signal.connect(listener)
    signal.connect(obj.hear, once=True)
    assert signal.has_listeners is True
    assert signal.disconnect_all() is None
    assert signal.has_listeners is False
    signal.emit()
    assert heard == []
    assert not any(signal.is_connected(listener) for listener in (*some, obj.hear))
    signal.connect(some[0])
    signal.emit()
    assert heard == [0]
    with pytest.raises(AttributeError):
        signal.has_listeners = True  # type: ignore[misc]  # that is the test


def test_disconnect_does_not_search() -> None:
    """The time to disconnect one does not grow with the number of listeners."""
    signal = Signal()
    some = listeners([], 20_000)
    for listener in some:
        signal.connect(listener)
    for listener in reversed(some):
        assert signal.disconnect(listener)  # quadratic would take minutes
    for listener in some:
        signal.connect(listener)
        signal.disconnect(listener)
    assert not signal.has_listeners


# --- blocked, muted


def test_blocked() -> None:
    signal = Signal()
    obj = Object()
    signal.connect(obj.hear)
    with signal.blocked():
        signal.emit(1)
        signal.emit_from(Sender(), 2)
        assert signal.collect(3) == []
        with signal.blocked():
            signal.emit(4)
        signal.emit(5)
        assert signal.has_listeners
    signal.emit(6)
    assert obj.heard == [("object", 6)]


def test_blocked_ends_with_an_error() -> None:
    signal = Signal()
    obj = Object()
    signal.connect(obj.hear)
    with pytest.raises(ZeroDivisionError), signal.blocked():
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), signal.muted(obj.hear):
        raise ZeroDivisionError
    signal.emit(1)
    assert obj.heard == [("object", 1)]


def test_blocked_in_an_order_of_its_own() -> None:
    """Two that do not nest: it is open again when both have ended."""
    signal = Signal()
    obj = Object()
    signal.connect(obj.hear)
    first, second = signal.blocked(), signal.blocked()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    signal.emit(1)
    second.__exit__(None, None, None)
    signal.emit(2)
    assert obj.heard == [("object", 2)]


def test_changes_while_blocked() -> None:
    signal = Signal()
    heard: list[Any] = []
    first, second = listeners(heard, 2)
    signal.connect(first)
    with signal.blocked():
        signal.connect(second)
        signal.disconnect(first)
        signal.emit()
    signal.emit()
    assert heard == [1]


def test_muted() -> None:
    signal = Signal()
    heard: list[Any] = []
    some = listeners(heard, 3)
    obj = Object("object", heard)
    for listener in (*some, obj.hear):
        signal.connect(listener)
    with signal.muted(some[0], obj.hear):
        assert signal.collect() == [1, 2]
        with signal.muted(some[0], some[1]):
            assert signal.collect() == [2]
        assert signal.collect() == [1, 2]
        assert signal.is_connected(some[0])
    assert signal.collect() == [0, 1, 2, "object"]
    with signal.muted():
        assert signal.collect() == [0, 1, 2, "object"]
    with signal.muted(some[0], some[0]):
        assert signal.collect() == [1, 2, "object"]
    assert signal.collect() == [0, 1, 2, "object"]


def test_muted_with_all_their_options() -> None:
    signal = Signal()
    sender = Sender()
    heard: list[Any] = []
    once, filtered, plain = listeners(heard, 3)
    signal.connect(once, once=True)
    signal.connect(filtered, sender=sender, priority=5)
    signal.connect(plain)
    with signal.muted(once, filtered):
        signal.emit_from(sender)
        assert heard == [2]
    signal.emit_from(sender)
    assert heard == [2, 1, 0, 2]
    signal.emit_from(sender)
    assert heard == [2, 1, 0, 2, 1, 2]


def test_muted_and_connected_again_meanwhile() -> None:
    signal = Signal()
    obj = Object()
    signal.connect(obj.hear)
    with signal.muted(obj.hear):
        signal.connect(obj.hear, priority=5)
        signal.emit(1)
        assert obj.heard == []
    signal.emit(2)
    assert obj.heard == [("object", 2)]


def test_muted_what_is_not_connected() -> None:
    signal = Signal()
    heard: list[Any] = []
    first, second = listeners(heard, 2)
    signal.connect(first)
    with pytest.raises(ValueError, match="listener"), signal.muted(first, second):
        raise AssertionError("it was entered")
    signal.emit()
    assert heard == [0]  # not muted halfway


def test_muted_that_goes_meanwhile() -> None:
    signal = Signal()
    heard: list[Any] = []
    obj: Any = Object("object", heard)
    (listener,) = listeners(heard, 1)
    signal.connect(obj.hear)
    signal.connect(listener)
    with signal.muted(obj.hear, listener):
        died = weakref.ref(obj)
        obj = None
        gc_collect_harder()
        assert died() is None
        signal.disconnect(listener)
        signal.emit()
    signal.emit()
    assert heard == []
    signal.connect(listener)
    signal.emit()
    assert heard == [0]


# --- what can be emitted


def test_signal_of_types() -> None:
    signal = Signal[int, str](name="moved")
    obj = Object()
    signal.connect(obj.hear)
    signal.emit(1, "a")
    signal.emit_from(Sender(), 2, "b")
    signal.collect(3, "c")
    assert [each[1:] for each in obj.heard] == [(1, "a"), (2, "b"), (3, "c")]
    for args, kwargs in (((), {}), ((1,), {}), ((1, "a", 2), {}), ((1,), {"b": "a"})):
        for send in (signal.emit, signal.collect, functools.partial(signal.emit_from, Sender())):
            with pytest.raises(TypeError, match=r"moved.*int.*str"):
                send(*args, **kwargs)  # type: ignore[call-arg,arg-type]  # that is the test
    assert len(obj.heard) == 3


def test_signal_of_nothing() -> None:
    signal = Signal[[]](name="closed")
    obj = Object()
    signal.connect(obj.hear)
    signal.emit()
    with pytest.raises(TypeError, match="closed"):
        signal.emit(1)  # type: ignore[call-arg]  # that is the test
    with pytest.raises(TypeError, match="closed"):
        signal.emit(x=1)  # type: ignore[call-arg]  # that is the test
    assert obj.heard == [("object",)]


def test_signal_of_anything() -> None:
    for signal in (Signal(), Signal[...]()):
        signal.connect(echo)
        assert signal.collect(1, 2, x=3) == [((1, 2), {"x": 3})]
        assert signal.collect() == [((), {})]


def test_signal_of_one_type_and_of_a_list() -> None:
    one = Signal[int](name="one")
    one.connect(echo)
    assert one.collect(5) == [((5,), {})]
    with pytest.raises(TypeError, match=r"one.*int"):
        one.emit()  # type: ignore[call-arg]  # that is the test
    two = Signal[[int, str]](name="two")
    with pytest.raises(TypeError, match=r"two.*int.*str"):
        two.emit(1)  # type: ignore[call-arg]  # that is the test


def resized(width: int, height: int = 5, *, animate: bool = False) -> None:
    """The window has a new size."""


def test_signal_of_a_signature() -> None:
    signal = Signal(resized)
    signal.connect(echo)
    assert signal.collect(1, 2) == [((1, 2), {})]
    assert signal.collect(1) == [((1,), {})]
    assert signal.collect(1, animate=True) == [((1,), {"animate": True})]
    assert signal.collect(width=1, height=2) == [((), {"width": 1, "height": 2})]
    for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"other": 5}), ((1,), {"width": 1})):
        with pytest.raises(TypeError, match=r"resized.*width"):
            signal.emit(*args, **kwargs)
    assert signal.__doc__ == "The window has a new size."


def test_signal_as_decorator() -> None:
    @Signal
    def saved(path: str, /, size: int) -> None:
        """A file was written."""

    assert isinstance(saved, Signal)
    assert saved.__doc__ == "A file was written."
    saved.connect(echo)
    assert saved.collect("a", size=5) == [(("a",), {"size": 5})]
    with pytest.raises(TypeError, match="saved"):
        saved.emit(path="a", size=5)  # type: ignore[call-arg]  # that is the test

    @Signal
    def two(first: int, second: int) -> None: ...

    assert two.collect(1, 2) == []
    with pytest.raises(TypeError, match="two"):
        two.emit(1)  # type: ignore[call-arg]  # that is the test


def test_signal_as_decorator_in_a_class() -> None:
    """The instance is no argument of the signal."""

    class Model:
        @Signal
        def changed(self, value: int) -> None:
            """The value is another."""

    model: Any = Model()
    model.changed.connect(echo)
    assert model.changed.collect(5) == [((5,), {})]
    with pytest.raises(TypeError, match="changed"):
        model.changed.emit()
    assert Model.changed.__doc__ == model.changed.__doc__ == "The value is another."


def test_what_does_not_fit_is_refused_even_if_nobody_listens_or_it_is_blocked() -> None:
    signal = Signal[int]()
    with pytest.raises(TypeError):
        signal.emit()  # type: ignore[call-arg]  # that is the test


def test_name_and_repr() -> None:
    assert "moved" in repr(Signal(name="moved"))
    assert "Signal" in repr(Signal())
    assert "changed" in repr(Model.changed)
    assert "changed" in repr(Model().changed)


@pytest.mark.parametrize("wrong", ["Raise", "", 5, ()])
def test_a_wrong_on_error(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="on_error"):
        Signal(on_error=wrong)


# --- errors of listeners


def failing(signal: Any, *errors: BaseException | None) -> list[Any]:
    """Connects listeners that raise these, or note themselves for None."""
    heard: list[Any] = []
    for number, error in enumerate(errors):
        if error is None:
            listener = functools.partial(lambda number, *_: heard.append(number) or number, number)
        else:
            listener = functools.partial(
                lambda number, error, *_: (heard.append(number), raises(error)()), number, error
            )
        signal.connect(listener)
    return heard


FIRST, SECOND = KeyError("first"), ZeroDivisionError("second")


@pytest.fixture(autouse=True)
def _forget_tracebacks() -> Iterator[None]:
    """What they were raised in is not kept for the tests to come."""
    yield
    for error in (FIRST, SECOND):
        error.__traceback__ = error.__context__ = None


@pytest.mark.parametrize("send", ["emit", "collect", "emit_from"])
def test_all_errors_are_raised_at_the_end(send: str) -> None:
    signal = Signal()
    heard = failing(signal, None, FIRST, None, SECOND, None)
    call = getattr(signal, send)
    for _ in range(2):
        with pytest.raises(ExceptionGroup) as caught:
            call(*([5] if send == "emit_from" else []))
        assert caught.value.exceptions == (FIRST, SECOND)
        assert heard == [0, 1, 2, 3, 4]
        heard.clear()


def test_a_single_error_is_a_group_too() -> None:
    signal = Signal(name="moved")
    failing(signal, FIRST)
    with pytest.raises(ExceptionGroup, match="moved") as caught:
        signal.emit()
    assert caught.value.exceptions == (FIRST,)
    assert caught.value.exceptions[0].__traceback__ is not None


def test_a_group_raised_by_a_listener() -> None:
    signal = Signal()
    group = ExceptionGroup("of its own", [FIRST, SECOND])
    failing(signal, group)
    with pytest.raises(ExceptionGroup) as caught:
        signal.emit()
    assert caught.value.exceptions == (group,)


def test_errors_are_reported(unraisable: list[Any]) -> None:
    signal = Signal(on_error="report")
    heard = failing(signal, FIRST, None, SECOND, None)
    signal.emit()
    assert heard == [0, 1, 2, 3]
    assert [each.type for each in unraisable] == [KeyError, ZeroDivisionError]
    assert signal.collect() == [1, 3]
    assert len(unraisable) == 4


def test_the_first_error_stops() -> None:
    signal = Signal(on_error="stop")
    heard = failing(signal, None, FIRST, None, SECOND)
    for send in (signal.emit, signal.collect):
        with pytest.raises(KeyError) as caught:
            send()
        assert caught.value is FIRST
        assert heard == [0, 1]
        heard.clear()


def test_errors_go_to_a_function() -> None:
    told: list[Any] = []
    heard: list[Any] = []

    def on_error(error: Exception, listener: Any) -> None:
        told.append((error, listener))
        heard.append("told")

    signal = Signal(on_error=on_error)
    obj = Object("object", heard)
    first, second = raises(FIRST), raises(SECOND)
    for listener in (first, obj.hear, second):
        signal.connect(listener)
    signal.emit()
    assert told == [(FIRST, first), (SECOND, second)]
    assert sorted(map(str, heard)) == ["('object',)", "told", "told"]
    told.clear()
    assert signal.collect() == ["object"]
    assert [each[0] for each in told] == [FIRST, SECOND]

    class Fails:
        def method(self) -> None:
            raise FIRST

    fails = Fails()
    signal.disconnect_all()
    signal.connect(fails.method)
    told.clear()
    signal.emit()
    assert told == [(FIRST, fails.method)]


@pytest.mark.parametrize("on_error", ["raise", "report", "stop", print])
@pytest.mark.parametrize("error", [KeyboardInterrupt("now"), SystemExit(5), GeneratorExit("x")])
def test_what_is_no_exception_comes_through_at_once(
    on_error: Any, error: BaseException, unraisable: list[Any]
) -> None:
    signal = Signal(on_error=on_error)
    heard = failing(signal, None, error, None)
    for send in (signal.emit, signal.collect):
        with pytest.raises(type(error)) as caught:
            send()
        assert caught.value is error
        assert heard == [0, 1]
        heard.clear()
    assert unraisable == []
    signal.disconnect_all()
    heard = failing(signal, FIRST, None, error, None)
    if on_error != "stop":
        with pytest.raises(type(error)) as caught:
            signal.emit()
        assert caught.value is error
        assert heard == [0, 1, 2]
        assert [each.type for each in unraisable] == [KeyError]


def test_a_coroutine_that_nobody_awaits() -> None:
    made: list[Any] = []

    async def coroutine() -> None:
        raise AssertionError("it ran")

    def gives() -> Any:
        made.append(coroutine())
        return made[-1]

    signal = Signal(name="moved")
    heard: list[Any] = []
    signal.connect(coroutine)
    signal.connect(gives)
    signal.connect(*listeners(heard, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for send in (signal.emit, signal.collect):
            with pytest.raises(ExceptionGroup) as caught:
                send()
            assert [type(each) for each in caught.value.exceptions] == [TypeError, TypeError]
            assert all("emit_async" in str(each) for each in caught.value.exceptions)
        gc_collect_harder()
    assert heard == [0, 0]
    assert [inspect.getcoroutinestate(each) for each in made] == [inspect.CORO_CLOSED] * 2
    stops = Signal(on_error="stop")
    stops.connect(coroutine)
    with pytest.raises(TypeError, match="on_loop"):
        stops.emit()


# --- what listeners do during an emit

SIZE = 5


class Scene:
    """A signal with listeners 0 to 4; the one at `at` does something when it is called."""

    def __init__(self, at: int, weak: bool) -> None:
        self.at = at
        self.heard: list[Any] = []
        self.signal: Any = Signal()
        self.act: Callable[[], object] = list
        self.depth = 0
        scene = self

        class Listener:
            def __init__(self, number: int) -> None:
                self.number = number

            def hear(self, *args: Any) -> Any:
                scene.heard.append(self.number)
                if self.number == scene.at and not scene.depth:
                    scene.depth += 1
                    scene.act()
                return self.number

        self.make = Listener
        self.objects: dict[int, Any] = {number: Listener(number) for number in range(SIZE)}
        for obj in self.objects.values():
            self.signal.connect(obj.hear, weak=weak)

    def emit(self) -> list[Any]:
        self.heard.clear()
        self.signal.emit()
        return self.heard

    def again(self) -> list[Any]:
        self.depth = 1  # nothing is done any more
        return self.emit()


ALL = list(range(SIZE))
positions = pytest.mark.parametrize("at", ALL)
weakness = pytest.mark.parametrize("weak", [True, False])


@positions
@weakness
def test_connect_during_an_emit(at: int, weak: bool) -> None:
    scene = Scene(at, weak)
    new = scene.make("new")

    def act() -> None:
        scene.signal.connect(new.hear, priority=10)
        scene.signal.connect(lambda: scene.heard.append("newer"))

    scene.act = act
    assert scene.emit() == ALL
    assert scene.again() == ["new", *ALL, "newer"]


@positions
@weakness
@pytest.mark.parametrize("which", ALL)
def test_disconnect_during_an_emit(at: int, which: int, weak: bool) -> None:
    scene = Scene(at, weak)
    scene.act = lambda: scene.signal.disconnect(scene.objects[which].hear)
    left = [number for number in ALL if number != which]
    assert scene.emit() == (left if which > at else ALL)
    assert scene.again() == left


@positions
@pytest.mark.parametrize("which", ALL)
def test_die_during_an_emit(at: int, which: int) -> None:
    scene = Scene(at, True)

    def act() -> None:
        del scene.objects[which]
        let_die()

    scene.act = act
    left = [number for number in ALL if number != which]
    assert scene.emit() == (left if which > at else ALL)
    let_die()
    assert scene.again() == left


@positions
@weakness
@pytest.mark.parametrize("which", ALL)
def test_connect_again_during_an_emit(at: int, which: int, weak: bool) -> None:
    """It was connected when the emit began and is when its turn comes: called, and once."""
    scene = Scene(at, weak)
    scene.act = lambda: scene.signal.connect(scene.objects[which].hear, weak=weak)
    assert scene.emit() == ALL
    assert scene.again() == [*(number for number in ALL if number != which), which]


@positions
@weakness
def test_disconnect_all_during_an_emit(at: int, weak: bool) -> None:
    scene = Scene(at, weak)
    scene.act = scene.signal.disconnect_all
    assert scene.emit() == ALL[: at + 1]
    assert scene.again() == []


@positions
def test_all_die_during_an_emit(at: int) -> None:
    scene = Scene(at, True)

    def act() -> None:
        scene.objects.clear()
        gc_collect_harder()

    scene.act = act
    assert scene.emit() == ALL[: at + 1]
    gc_collect_harder()
    assert scene.again() == []
    assert not scene.signal.has_listeners


@positions
@weakness
def test_emit_during_an_emit(at: int, weak: bool) -> None:
    scene = Scene(at, weak)
    scene.act = scene.signal.emit
    assert scene.emit() == ALL[: at + 1] + ALL + ALL[at + 1 :]


@positions
@weakness
def test_collect_garbage_during_an_emit(at: int, weak: bool) -> None:
    scene = Scene(at, weak)

    def act() -> None:
        for _ in range(10):
            obj = Object()
            obj.name = obj
            scene.signal.connect(obj.hear)
        del obj
        gc_collect_harder()

    scene.act = act
    assert scene.emit() == ALL
    assert scene.again() == ALL


@positions
@weakness
def test_raise_during_an_emit(at: int, weak: bool) -> None:
    scene = Scene(at, weak)
    scene.act = raises(FIRST)
    with pytest.raises(ExceptionGroup):
        scene.emit()
    assert scene.heard == ALL
    assert scene.again() == ALL


@positions
@weakness
@pytest.mark.parametrize("which", ALL)
def test_mute_during_an_emit(at: int, which: int, weak: bool) -> None:
    scene = Scene(at, weak)
    with contextlib.ExitStack() as stack:
        scene.act = lambda: stack.enter_context(scene.signal.muted(scene.objects[which].hear))
        left = [number for number in ALL if number != which]
        assert scene.emit() == (left if which > at else ALL)
        assert scene.again() == left
    assert scene.again() == ALL


@positions
@weakness
def test_block_during_an_emit(at: int, weak: bool) -> None:
    scene = Scene(at, weak)

    def act() -> None:
        with scene.signal.blocked():
            scene.signal.emit()

    scene.act = act
    assert scene.emit() == ALL


@positions
@weakness
def test_everything_goes_during_an_emit(at: int, weak: bool) -> None:
    """The signal itself too."""
    scene: Any = Scene(at, weak)
    signal = scene.signal
    died = weakref.ref(signal)
    heard = scene.heard

    def act() -> None:
        nonlocal scene, signal
        scene.objects.clear()
        del scene.signal, scene.act
        scene = signal = None
        gc_collect_harder()

    scene.act = act
    emit = signal.emit
    del act
    emit()
    assert heard == (ALL[: at + 1] if weak else ALL)
    del emit
    gc_collect_harder()
    assert died() is None


def test_emits_without_end() -> None:
    signal = Signal(on_error="stop")
    signal.connect(lambda: signal.emit())
    with pytest.raises(RecursionError):
        signal.emit()
    signal.disconnect_all()
    signal.connect(echo)
    assert signal.collect() == [((), {})]


def test_a_callback_of_a_death_that_changes_the_signal() -> None:
    """Finalizers and callbacks of listeners that die connect, disconnect and emit."""
    signal = Signal()
    heard: list[Any] = []
    steady = Object("steady", heard)
    signal.connect(steady.hear)

    class Last:
        def __init__(self, left: int) -> None:
            self.left = left

        def hear(self, *args: Any) -> None:
            heard.append(self.left)

        def __del__(self) -> None:
            signal.disconnect(self.hear)
            signal.emit("last")
            if self.left:
                new = Last(self.left - 1)
                keep.append(new)
                signal.connect(new.hear)
            signal.disconnect(steady.hear)
            signal.connect(steady.hear)

    keep: list[Any] = []
    first = Last(5)
    signal.connect(first.hear)
    del first
    for _ in range(10):
        let_die()
        keep.clear()
    let_die()
    assert [each for each in heard if each == ("steady", "last")] == [("steady", "last")] * 6
    heard.clear()
    signal.emit("after")
    assert heard == [("steady", "after")]


def test_a_listener_of_a_replaced_method() -> None:
    """The function of a method dies while its object lives."""

    class Class:
        def method(self, x: int) -> None:
            heard.append(("old", x))

    heard: list[Any] = []
    obj = Class()
    signal = Signal()
    signal.connect(obj.method)
    signal.emit(1)
    Class.method = lambda self, x: heard.append(("new", x))  # type: ignore[method-assign]  # the test
    gc_collect_harder()
    signal.emit(2)
    assert heard == [("old", 1)]
    assert not signal.has_listeners
    signal.connect(obj.method)
    signal.emit(3)
    assert heard == [("old", 1), ("new", 3)]


# --- as an attribute of a class


class Model:
    changed = Signal[int]()
    closed: Any = Signal(on_error="stop")

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError("compared")

    def __hash__(self) -> int:
        raise ZeroDivisionError("hashed")


@pytest.fixture
def model_class() -> Any:
    """Each test its own: it connects listeners to the class."""

    class Model:
        changed: Any = Signal()

        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError("compared")

        def __hash__(self) -> int:
            raise ZeroDivisionError("hashed")

    return Model


def test_each_instance_has_its_own(model_class: Any) -> None:
    first, second = model_class(), model_class()
    obj = Object()
    first.changed.connect(obj.hear)
    first.changed.emit(1)
    second.changed.emit(2)
    model_class.changed.emit(3)
    assert obj.heard == [("object", 1)]
    assert first.changed is first.changed
    assert first.changed is not second.changed
    assert first.changed.is_connected(obj.hear)
    assert not second.changed.has_listeners
    assert isinstance(first.changed, Signal)
    assert model_class.changed is model_class.changed
    assert model_class.changed is vars(model_class)["changed"]


def test_it_is_the_same_while_anybody_could_tell(model_class: Any) -> None:
    model = model_class()
    heard: list[Any] = []
    model.changed.connect(heard.append)
    gc_collect_harder()
    model.changed.emit(5)
    assert heard == [5]
    blocked = model.changed.blocked()
    with blocked:
        gc_collect_harder()
        model.changed.emit(6)
    assert heard == [5]
    kept = model.changed
    gc_collect_harder()
    assert model.changed is kept
    reference = weakref.ref(kept)
    del kept
    gc_collect_harder()
    assert reference() is None or reference() is model.changed


def test_configuration_of_the_instances_signal() -> None:
    model = Model()
    with pytest.raises(TypeError, match=r"changed.*int"):
        model.changed.emit()  # type: ignore[call-arg]  # that is the test
    model.changed.emit(5)
    model.closed.connect(raises(FIRST))
    with pytest.raises(KeyError):
        model.closed.emit()


def test_not_kept_in_the_instance(model_class: Any) -> None:
    model = model_class()
    model.changed.connect(echo)
    assert vars(model) == {}

    class WithSlots:
        __slots__ = ("__weakref__",)
        changed: Any = Signal()

    slots = WithSlots()
    slots.changed.connect(echo)
    assert slots.changed.collect(5) == [((5,), {})]


@pytest.mark.skipif(PYPY, reason="all objects can be weakly referenced there")
def test_an_instance_that_cannot_be_weakly_referenced() -> None:
    class Bare:
        __slots__ = ()
        changed: Any = Signal()

    with pytest.raises(TypeError, match=r"Bare.*__weakref__"):
        _ = Bare().changed
    Bare.changed.connect(echo)


def test_it_cannot_be_assigned_or_deleted(model_class: Any) -> None:
    model = model_class()
    with pytest.raises(AttributeError):
        model.changed = 5
    with pytest.raises(AttributeError):
        del model.changed
    assert isinstance(model.changed, Signal)


def test_the_classes_listeners_hear_of_all_instances(model_class: Any) -> None:
    heard: list[Any] = []
    own, everyone = Object("own", heard), Object("all", heard)
    model, other = model_class(), model_class()
    model_class.changed.connect(everyone.hear, priority=100)
    model.changed.connect(own.hear, priority=-100)
    model.changed.emit(1)
    other.changed.emit(2)
    model_class.changed.emit(3)
    assert heard == [("own", 1), ("all", 1), ("all", 2), ("all", 3)]
    assert model.changed.collect() == ["own", "all"]
    late = model_class()
    late.changed.emit(4)
    assert heard[-1] == ("all", 4)
    model_class.changed.disconnect(everyone.hear)
    heard.clear()
    for each in (model, other, late, model_class):
        each.changed.emit(5)
    assert heard == [("own", 5)]


def test_the_sender_is_the_instance(model_class: Any) -> None:
    model, other = model_class(), model_class()
    obj = Object()
    model_class.changed.connect(obj.hear, sender=model)
    model.changed.emit(1)
    other.changed.emit(2)
    model_class.changed.emit(3)
    other.changed.emit_from(model, 4)
    model.changed.emit_from(other, 5)
    model_class.changed.emit_from(model, 6)
    assert [each[1] for each in obj.heard] == [1, 4, 6]
    own = Object()
    model.changed.connect(own.hear, sender=model)
    model.changed.emit(7)
    assert own.heard == [("object", 7)]


def test_blocking_the_class_blocks_all(model_class: Any) -> None:
    heard: list[Any] = []
    own, everyone = Object("own", heard), Object("all", heard)
    model, other = model_class(), model_class()
    model.changed.connect(own.hear)
    model_class.changed.connect(everyone.hear)
    with model_class.changed.blocked():
        model.changed.emit(1)
        other.changed.emit(2)
        model_class.changed.emit(3)
        assert model.changed.collect(4) == []
        with model.changed.blocked():
            pass
        model.changed.emit(5)
    assert heard == []
    with model.changed.blocked():
        model.changed.emit(6)
        assert heard == []
        other.changed.emit(7)
        assert heard == [("all", 7)]
    heard.clear()
    with model_class.changed.muted(everyone.hear):
        model.changed.emit(8)
        other.changed.emit(9)
    assert heard == [("own", 8)]


def test_once_on_the_class(model_class: Any) -> None:
    obj = Object()
    models = [model_class() for _ in range(3)]
    model_class.changed.connect(obj.hear, once=True)
    for model in models:
        model.changed.emit(1)
    assert len(obj.heard) == 1


@pytest.mark.parametrize("send", ["emit", "collect", "emit_async"])
def test_the_class_is_connected_to_during_an_emit(model_class: Any, send: str) -> None:
    """Not called by that emit, as on one signal."""
    heard: list[Any] = []
    model = model_class()

    def everyone() -> None:
        heard.append("all")

    @model.changed.connect
    def own() -> None:
        heard.append("own")
        model_class.changed.connect(everyone)

    result = getattr(model.changed, send)()
    if inspect.iscoroutine(result):
        with contextlib.suppress(StopIteration):
            result.send(None)
    assert heard == ["own"]
    model.changed.emit()
    assert heard == ["own", "own", "all"]
    model.changed.disconnect(own)
    heard.clear()
    model.changed.connect(lambda: model_class.changed.disconnect(everyone))
    model.changed.emit()
    assert heard == []


@pytest.mark.skipif(PYPY, reason="its weak references are dead by then")
def test_emitted_by_the_finalizer_of_the_instance() -> None:
    heard: list[Any] = []

    class Model:
        closed: Any = Signal()

        def __del__(self) -> None:
            self.closed.emit("last words")

    model = Model()
    model.closed.connect(lambda x: heard.append(("own", x)))
    Model.closed.connect(lambda x: heard.append(("all", x)))
    del model
    assert heard == [("own", "last words"), ("all", "last words")]


def test_errors_of_both(model_class: Any) -> None:
    model = model_class()
    model.changed.connect(raises(FIRST))
    model_class.changed.connect(raises(SECOND))
    with pytest.raises(ExceptionGroup) as caught:
        model.changed.emit()
    assert caught.value.exceptions == (FIRST, SECOND)


def test_it_does_not_pin_the_instance(model_class: Any) -> None:
    model: Any = model_class()
    obj = Object()
    model.changed.connect(obj.hear)
    kept = model.changed
    died = weakref.ref(model)
    model = None
    gc_collect_harder()
    assert died() is None
    kept.emit(5)  # usable still
    assert obj.heard == [("object", 5)]


def test_the_instances_listeners_go_with_it(model_class: Any) -> None:
    model: Any = model_class()
    listener: Any = Object()
    died = weakref.ref(listener)
    model.changed.connect(listener)  # strongly
    listener = None
    gc_collect_harder()
    assert died() is not None
    model = None
    gc_collect_harder()
    assert died() is None


def test_instances_at_the_same_address(model_class: Any) -> None:
    heard: list[Any] = []
    for _ in range(100):
        model = model_class()
        assert not model.changed.has_listeners
        model.changed.connect(heard.append)
        del model
    assert heard == []


def test_inheritance(model_class: Any) -> None:
    class Sub(model_class):  # type: ignore[misc]  # the fixture is untyped
        pass

    class Own(model_class):  # type: ignore[misc]  # the fixture is untyped
        changed: Any = Signal()

    heard: list[Any] = []
    model_class.changed.connect(heard.append)
    assert Sub.changed is model_class.changed
    Sub().changed.emit(1)
    Own().changed.emit(2)
    assert heard == [1]
    own = Own()
    super(Own, own).changed.connect(lambda x: heard.append(("super", x)))
    super(Own, own).changed.emit(3)
    own.changed.emit(4)
    assert heard == [1, ("super", 3), 3]


def test_two_signals_of_one_class() -> None:
    class Model:
        opened: Any = Signal()
        closed: Any = Signal()

    model = Model()
    obj = Object()
    model.opened.connect(obj.hear)
    model.closed.emit(1)
    model.opened.emit(2)
    assert obj.heard == [("object", 2)]
    assert "opened" in repr(model.opened)
    assert "closed" in repr(Model.closed)


def test_a_signal_kept_in_an_instance_is_only_a_value() -> None:
    class Model:
        def __init__(self) -> None:
            self.changed = Signal()

    first, second = Model(), Model()
    first.changed.connect(echo)
    assert first.changed.collect() == [((), {})]
    assert second.changed.collect() == []


@pytest.mark.parametrize("how", ["copy", "deepcopy", "pickle"])
def test_copies_of_the_instance_carry_none(how: str) -> None:
    duplicate: Callable[[Any], Any] = {
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
        "pickle": lambda obj: pickle.loads(pickle.dumps(obj)),
    }[how]
    model = Model()
    model.text = "kept"  # type: ignore[attr-defined]  # an attribute of its own
    model.changed.connect(echo)
    other = duplicate(model)
    assert other.text == "kept"
    assert model.changed.has_listeners
    assert not other.changed.has_listeners
    assert other.changed is not model.changed
    other.changed.emit(5)


def test_first_access_from_threads(model_class: Any) -> None:
    for _ in range(50):
        model = model_class()
        barrier = threading.Barrier(8, timeout=30)

        def access(model: Any = model, barrier: Any = barrier) -> Any:
            barrier.wait()
            return model.changed

        found = run_all(*[access] * 8)
        assert all(each is model.changed for each in found), found


# --- copies, pickles, subclasses


DUPLICATES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda each: pickle.loads(pickle.dumps(each)),
    lambda each: pickle.loads(pickle.dumps(each, 2)),
]


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_a_copy_has_the_configuration_and_no_listeners(duplicate: Any) -> None:
    signal = Signal(resized, name="its name", on_error="stop")
    signal.connect(echo)
    other = duplicate(signal)
    assert type(other) is Signal
    assert other is not signal
    assert not other.has_listeners
    assert signal.has_listeners
    with pytest.raises(TypeError, match=r"its name.*width"):
        other.emit()
    other.connect(raises(FIRST))
    with pytest.raises(KeyError):
        other.emit(5)
    assert signal.collect(5) == [((5,), {})]


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_copies_of_other_signals(duplicate: Any) -> None:
    typed = duplicate(Signal[int, str](name="typed"))
    with pytest.raises(TypeError, match=r"typed.*int.*str"):
        typed.emit(1)
    typed.emit(1, "a")
    anything = duplicate(Signal())
    anything.emit(1, x=2)
    called = duplicate(Signal(on_error=print))
    called.emit()
    instance = Model()
    instance.changed.connect(echo)
    other = duplicate(instance.changed)
    assert not other.has_listeners
    other.emit(5)
    with pytest.raises(TypeError):
        other.emit()


class Holder:
    def __init__(self) -> None:
        self.signal = Signal[int]()
        self.heard: list[int] = []
        self.signal.connect(self.hear)

    def hear(self, x: int) -> None:
        self.heard.append(x)


@pytest.mark.parametrize("duplicate", DUPLICATES[1:])
def test_deep_copies_of_an_object_with_a_signal(duplicate: Any) -> None:
    holder = Holder()
    holder.signal.emit(1)
    other = duplicate(holder)
    assert other.signal is not holder.signal
    other.signal.emit(2)
    assert other.heard == [1]
    holder.signal.emit(3)
    assert holder.heard == [1, 3]


def test_a_copy_while_blocked_and_muted() -> None:
    signal = Signal()
    signal.connect(echo)
    with signal.blocked(), signal.muted(echo):
        other = copy.copy(signal)
    assert other.collect() == []
    with signal.blocked():
        other = copy.deepcopy(signal)
        other.connect(echo)
        assert other.collect() == [((), {})]


def test_subclass() -> None:
    class Logged(Signal[int]):
        def __init__(self) -> None:
            super().__init__(name="logged")
            self.log: list[Any] = []

        def emit(self, *args: Any, **kwargs: Any) -> None:
            self.log.append(args)
            super().emit(*args, **kwargs)

    signal = Logged()
    obj = Object()
    signal.connect(obj.hear)
    signal.emit(5)
    assert signal.log == [(5,)]
    assert obj.heard == [("object", 5)]
    died = weakref.ref(signal)
    del signal
    gc_collect_harder()
    assert died() is None


def test_weakly_referenceable() -> None:
    signal: Any = Signal()
    signal.connect(echo)
    died = weakref.ref(signal)
    del signal
    let_die()
    gc.collect()
    assert died() is None


def test_a_signal_is_a_listener() -> None:
    first, second = Signal(), Signal()
    second.connect(echo)
    obj = Object()
    second.connect(obj.hear)
    first.connect(second.emit)
    first.emit(5)
    assert obj.heard == [("object", 5)]
    del second
    gc_collect_harder()
    first.emit(6)
    assert obj.heard == [("object", 5)]


def test_a_weak_callable_is_a_listener() -> None:
    signal = Signal()
    obj: Any = Object()
    weak = WeakCallable(obj.hear, if_dead="ignore")
    signal.connect(weak)
    signal.emit(5)
    assert obj.heard == [("object", 5)]
    died = weakref.ref(obj)
    obj = None
    gc_collect_harder()
    assert died() is None
    signal.emit(6)


# --- against a model


class Plan:
    """What the model knows of a connected listener."""

    def __init__(self) -> None:
        self.once = False
        self.priority = 0
        self.senders: set[int] | None = set()  # None: all
        self.place = 0


class Listening(RuleBasedStateMachine):
    """Random operations on a signal and on a model that is a dictionary.

    Listeners 0 to 5 are methods held weakly, 6 to 9 functions held strongly.
    """

    numbers = st.integers(0, 9)
    some_senders = st.integers(-1, 2)

    def __init__(self) -> None:
        super().__init__()
        self.signal: Any = Signal()
        self.heard: list[Any] = []
        self.senders: dict[int, Any] = {number: Sender() for number in range(3)}
        self.objects: dict[int, Any] = {number: self.new(number) for number in range(6)}
        self.functions = listeners(self.heard, 10)
        self.model: dict[int, Plan] = {}
        self.places = itertools.count()
        self.blocks: list[Any] = []

    def new(self, number: int) -> Any:
        class Listener:
            def hear(self, *args: Any) -> int:
                heard.append(number)
                return number

        heard = self.heard
        return Listener()

    def listener(self, number: int) -> Any:
        return self.objects[number].hear if number < 6 else self.functions[number]

    def expected(self, sender: int) -> list[int]:
        order = sorted(self.model.items(), key=lambda item: (-item[1].priority, item[1].place))
        result = []
        for number, plan in order:
            if plan.senders is None or sender in plan.senders:
                result.append(number)
                if plan.once:
                    del self.model[number]
        return result

    @rule(number=numbers, sender=some_senders, once=st.booleans(), priority=st.integers(-1, 1))
    def connect(self, number: int, sender: int, once: bool, priority: int) -> None:
        listener = self.listener(number)
        options = {"sender": self.senders[sender]} if sender >= 0 else {}
        assert self.signal.connect(listener, once=once, priority=priority, **options) is listener
        plan = self.model.setdefault(number, Plan())
        plan.once, plan.priority, plan.place = once, priority, next(self.places)
        if sender < 0:
            plan.senders = None
        elif plan.senders is not None:
            plan.senders.add(sender)

    @rule(number=numbers)
    def disconnect(self, number: int) -> None:
        expected = self.model.pop(number, None) is not None
        assert self.signal.disconnect(self.listener(number)) is expected

    @rule(number=numbers, sender=st.integers(0, 2))
    def disconnect_sender(self, number: int, sender: int) -> None:
        plan = self.model.get(number)
        expected = plan is not None and plan.senders is not None and sender in plan.senders
        found = self.signal.disconnect(self.listener(number), sender=self.senders[sender])
        assert found is expected
        if expected:
            assert plan is not None
            assert plan.senders is not None
            plan.senders.discard(sender)
            if not plan.senders:
                del self.model[number]

    @rule(rare=st.integers(0, 9))
    def disconnect_all(self, rare: int) -> None:
        if rare == 0:
            self.signal.disconnect_all()
            self.model.clear()

    @rule(sender=some_senders, how=st.booleans())
    def emit(self, sender: int, how: bool) -> None:
        self.heard.clear()
        expected = [] if self.blocks else self.expected(sender)
        if sender >= 0:
            self.signal.emit_from(self.senders[sender], 5)
        elif how:
            assert self.signal.collect(5) == expected
        else:
            self.signal.emit(5)
        assert self.heard == expected

    @rule(muted=st.lists(numbers, max_size=4), sender=st.integers(0, 2))
    def emit_muted(self, muted: list[int], sender: int) -> None:
        self.heard.clear()
        some = [number for number in muted if number in self.model]
        aside = {number: self.model.pop(number) for number in set(some)}
        expected = [] if self.blocks else self.expected(sender)
        self.model.update(aside)
        with self.signal.muted(*[self.listener(number) for number in some]):
            self.signal.emit_from(self.senders[sender])
        assert self.heard == expected

    @rule()
    def block(self) -> None:
        self.blocks.append(self.signal.blocked())
        self.blocks[-1].__enter__()

    @precondition(lambda self: self.blocks)
    @rule(at=st.integers(0, 3))
    def unblock(self, at: int) -> None:
        self.blocks.pop(min(at, len(self.blocks) - 1)).__exit__(None, None, None)

    @rule(number=st.integers(0, 5))
    def die(self, number: int) -> None:
        del self.objects[number]
        let_die()
        self.objects[number] = self.new(number)
        self.model.pop(number, None)

    @rule(sender=st.integers(0, 2))
    def sender_dies(self, sender: int) -> None:
        del self.senders[sender]
        let_die()
        self.senders[sender] = Sender()
        for number, plan in list(self.model.items()):
            if plan.senders is not None:
                plan.senders.discard(sender)
                if not plan.senders:
                    del self.model[number]

    @invariant()
    def agrees(self) -> None:
        assert self.signal.has_listeners is bool(self.model)
        for number in range(10):
            assert self.signal.is_connected(self.listener(number)) is (number in self.model)


TestListening = Listening.TestCase


class Crowd:
    """A signal whose listeners do at random what listeners should not."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.signal: Any = Signal(on_error=lambda error, listener: None)
        self.called: list[Any] = []
        self.actors: dict[int, Actor] = {}
        self.turns = itertools.count()
        self.labels = itertools.count()
        self.depth = 0

    def add(self) -> None:
        actor = Actor(self, next(self.labels))
        self.actors[actor.label] = actor
        priority, once = self.chance.randint(-2, 2), self.chance.random() < 0.1
        self.signal.connect(actor.act, priority=priority, once=once)

    def emit(self) -> None:
        if self.depth < 3:
            self.depth += 1
            self.signal.emit(next(self.turns))
            self.depth -= 1


class Actor:
    def __init__(self, crowd: Crowd, label: int) -> None:
        self.crowd, self.label = crowd, label

    def act(self, turn: int) -> None:
        crowd, chance = self.crowd, self.crowd.chance
        crowd.called.append((turn, self.label))
        what = chance.random()
        if what < 0.2 and len(crowd.actors) < 30:
            crowd.add()
        elif what < 0.4:
            crowd.signal.disconnect(chance.choice([*crowd.actors.values()]).act)
        elif what < 0.6 and len(crowd.actors) > 2:
            del crowd.actors[chance.choice([*crowd.actors])]
        elif what < 0.65:
            crowd.emit()
        elif what < 0.7:
            raise ZeroDivisionError
        elif what < 0.75:
            with crowd.signal.blocked():
                crowd.emit()


@pytest.mark.skipif(PYPY, reason="who dies there acts on, and the crowd grows")
@pytest.mark.parametrize("seed", range(30))
def test_random_actors_during_emits(seed: int) -> None:
    """Whatever listeners do while they are called, each is called at most once an emit."""
    crowd = Crowd(seed)
    for _ in range(20):
        while len(crowd.actors) < 10:
            crowd.add()
        crowd.emit()
    assert crowd.called
    assert len(crowd.called) == len(set(crowd.called))
    crowd.signal.disconnect_all()
    crowd.called.clear()
    crowd.emit()
    assert crowd.called == []


# --- threads


def eager_switching() -> None:
    if not PYPY:
        sys.setswitchinterval(1e-5)


def test_once_is_called_once_by_eight_threads() -> None:
    eager_switching()
    for _ in range(100):
        signal = Signal()
        called: list[int] = []  # append is atomic
        signal.connect(lambda called=called: called.append(1), once=True)
        barrier = threading.Barrier(8, timeout=30)

        def emit(signal: Any = signal, barrier: Any = barrier) -> None:
            barrier.wait()
            signal.emit()

        assert run_all(*[emit] * 8) == [None] * 8
        assert called == [1]
        assert not signal.has_listeners


def test_no_connection_is_lost_among_threads() -> None:
    eager_switching()
    signal = Signal()
    some = [listeners([], 50) for _ in range(8)]

    def connect(mine: list[Any]) -> None:
        for listener in mine:
            signal.connect(listener)
            signal.emit()

    assert run_all(*[functools.partial(connect, mine) for mine in some]) == [None] * 8
    assert len(signal.collect()) == 400
    found = run_all(
        *[lambda mine=mine: [signal.disconnect(each) for each in mine] for mine in some]
    )
    assert found == [[True] * 50] * 8
    assert not signal.has_listeners


def test_one_disconnect_wins() -> None:
    eager_switching()
    for _ in range(50):
        signal = Signal()
        signal.connect(echo)
        barrier = threading.Barrier(8, timeout=30)

        def disconnect(signal: Any = signal, barrier: Any = barrier) -> bool:
            barrier.wait()
            return signal.disconnect(echo)  # type: ignore[no-any-return]  # signal is untyped here

        assert sorted(run_all(*[disconnect] * 8)) == [False] * 7 + [True]


def test_a_listener_connected_again_is_always_connected() -> None:
    """Other threads see it connected while it is connected anew."""
    eager_switching()
    signal = Signal()
    obj = Object()
    signal.connect(obj.hear)
    done = threading.Event()

    def connect() -> None:
        for _ in range(2000):
            signal.connect(obj.hear)
        done.set()

    def look() -> int:
        missed = 0
        while not done.is_set():
            missed += not signal.is_connected(obj.hear)
            missed += signal.collect() != ["object"]
        return missed

    assert run_all(connect, look, look) == [None, 0, 0]


def test_blocked_and_muted_in_threads() -> None:
    """The counts are exact: afterwards it is open, and meanwhile never."""
    eager_switching()
    signal = Signal()
    obj = Object()
    signal.connect(obj.hear)
    hold = signal.blocked()
    with hold:

        def block() -> None:
            for _ in range(200):
                with signal.blocked():
                    signal.emit()
                with signal.muted(obj.hear):
                    signal.emit()

        assert run_all(*[block] * 8) == [None] * 8
        signal.emit()
        assert obj.heard == []
    signal.emit(5)
    assert obj.heard == [("object", 5)]


def test_everything_in_eight_threads() -> None:
    eager_switching()
    signal: Any = Signal()
    senders = [Sender() for _ in range(3)]
    steady: list[int] = []

    @signal.connect
    def always(x: int) -> None:
        steady.append(x)

    def emit() -> int:
        for x in range(100):
            signal.emit(x)
            signal.emit_from(senders[x % 3], x)
        return 200

    def come_and_go() -> int:
        for _ in range(100):
            obj = Object()
            signal.connect(obj.hear)
            signal.connect(obj.hear, sender=senders[0], once=True)
            signal.disconnect(obj.hear)
            signal.connect(obj.hear, priority=1)
            del obj
        return 0

    def mute() -> int:
        for _ in range(50):
            obj = Object()
            signal.connect(obj.hear)
            with signal.muted(obj.hear):
                signal.emit(-1)
            signal.disconnect(obj.hear)
        return 50

    def cycles() -> int:
        for _ in range(50):
            obj = Object()
            obj.name = obj
            signal.connect(obj.hear)
            sender = Sender()
            signal.connect(obj.hear, sender=sender)
            del obj, sender
        gc.collect()
        return 0

    results = run_all(emit, emit, come_and_go, come_and_go, mute, mute, cycles, cycles)
    assert results == [200, 200, 0, 0, 50, 50, 0, 0]
    assert len(steady) == 500
    gc_collect_harder()
    signal.disconnect(always)
    assert not signal.has_listeners


def test_senders_that_die_in_threads() -> None:
    eager_switching()
    signal: Any = Signal()

    def work() -> None:
        for _ in range(100):
            sender = Sender()
            heard: list[int] = []
            signal.connect(heard.append, sender=sender)
            signal.emit_from(sender, 5)
            assert heard == [5]

    assert run_all(*[work] * 8) == [None] * 8
    gc_collect_harder()
    assert not signal.has_listeners


@forks_with_threads
def test_fork_while_a_thread_connects_again() -> None:
    """The child never could: it waited for the lock that the thread had held in the parent."""
    code = """
import os, signal, sys, threading, warnings
from weakly import Signal
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside a thread
begun, go_on = threading.Event(), threading.Event()
changed = Signal()
changed.connect(print)
def stop(frame, event, _):
    if frame.f_code.co_name == "hand_over":
        begun.set()
        go_on.wait()
def connect():
    sys.settrace(stop)
    changed.connect(print)
thread = threading.Thread(target=connect)
thread.start()
assert begun.wait(60), "it does not get there"
pid = os.fork()
if not pid:
    signal.alarm(10)
    other = Signal()
    other.connect(print)
    other.connect(print, priority=1)
    os._exit(len(other.collect()) - 1)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
go_on.set()
thread.join()
assert status == 0, status
"""
    assert check_runs(code) == "\n"


# --- between any two bytecodes, where finalizers and other threads come in

HOME = str(Path(weakly.__file__).parent)
TOOL = 4  # of sys.monitoring; no other one has this number


def interrupt(operation: Callable[[], object], action: Callable[[], object], place: int) -> bool:
    """Runs an operation and, before its bytecode of that number in weakly, an action.

    Returns whether the operation has so many.
    """
    left = place

    def arrive() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            stop()
            action()

    if sys.version_info >= (3, 12):  # where tracing misses some
        monitoring = sys.monitoring

        def see(code: Any, offset: int) -> Any:
            return arrive() if code.co_filename.startswith(HOME) else monitoring.DISABLE

        def stop() -> None:
            monitoring.set_events(TOOL, 0)

        monitoring.use_tool_id(TOOL, "tests")
        monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, see)
        monitoring.set_events(TOOL, monitoring.events.INSTRUCTION)
        try:
            operation()
        finally:
            stop()
            monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, None)
            monitoring.free_tool_id(TOOL)
    else:
        before = sys.gettrace()

        def trace(frame: Any, event: str, _: object) -> Any:
            if not frame.f_code.co_filename.startswith(HOME):
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                arrive()
            return trace

        def stop() -> None:
            sys.settrace(None)

        sys.settrace(trace)
        try:
            operation()
        finally:
            sys.settrace(before)
    return left == 0


def connected(**options: Any) -> tuple[Any, Any, list[Any]]:
    signal = Signal()
    heard: list[Any] = []
    (listener,) = listeners(heard, 1)
    signal.connect(listener, **options)
    return signal, listener, heard


# Each gives an operation, what comes in between, what is to be found afterwards, and it.
Scenario = tuple[Callable[[], object], Callable[[], object], Any, Callable[[], object]]


def again_and_emit() -> Scenario:
    signal, listener, heard = connected()
    return lambda: signal.connect(listener, priority=1), signal.emit, [0], lambda: heard


def again_and_again() -> Scenario:
    signal, listener, heard = connected()

    def use() -> list[Any]:
        signal.emit()
        signal.disconnect(listener)
        signal.emit()
        return heard

    return (
        lambda: signal.connect(listener, priority=1),
        lambda: signal.connect(listener, priority=2),
        [0],
        use,
    )


def again_and_disconnect() -> Scenario:
    signal, listener, _ = connected()
    found: list[bool] = []
    return (
        lambda: signal.connect(listener, priority=1),
        lambda: found.append(signal.disconnect(listener)),
        [True],
        lambda: found,
    )


def disconnect_and_again() -> Scenario:
    """It is being connected again by another thread, which comes to its end in between."""
    signal, listener, _ = connected()
    begun, go_on = threading.Event(), threading.Event()
    found: list[bool] = []

    def stop(frame: Any, event: str, _: object) -> None:
        if frame.f_code.co_name == "hand_over":
            begun.set()
            go_on.wait(60)

    def connect() -> None:
        sys.settrace(stop)
        signal.connect(listener)

    def finish() -> list[bool]:
        go_on.set()
        thread.join(60)
        return found

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    assert begun.wait(60)
    return lambda: found.append(signal.disconnect(listener)), finish, [True], finish


def again_and_look() -> Scenario:
    signal, listener, _ = connected()
    found: list[bool] = []
    return (
        lambda: signal.connect(listener, priority=1),
        lambda: found.extend([signal.is_connected(listener), signal.has_listeners]),
        [True, True],
        lambda: found,
    )


def again_and_mute(**options: Any) -> Scenario:
    signal, listener, heard = connected(**options)
    stack = contextlib.ExitStack()

    def use() -> tuple[int, int]:
        with stack:
            signal.emit()
            muted = len(heard)
        signal.emit()
        return muted, len(heard)

    return (
        lambda: signal.connect(listener),
        lambda: stack.enter_context(signal.muted(listener)),
        (0, 1),
        use,
    )


def again_and_mute_with_options() -> Scenario:
    return again_and_mute(priority=1)


def mute_and_disconnect() -> Scenario:
    signal, listener, heard = connected()

    def mute() -> None:
        with contextlib.suppress(ValueError), signal.muted(listener):
            pass

    def use() -> list[Any]:
        signal.emit()
        return heard

    return mute, lambda: signal.disconnect(listener), [], use


def sender_and_sender() -> Scenario:
    senders = [Sender() for _ in range(3)]
    signal, listener, heard = connected(sender=senders[0])

    def use() -> list[Any]:
        for sender in senders:
            signal.emit_from(sender)
        return heard

    return (
        lambda: signal.connect(listener, sender=senders[1]),
        lambda: signal.connect(listener, sender=senders[2]),
        [0, 0, 0],
        use,
    )


def sender_and_disconnect() -> Scenario:
    old, new = Sender(), Sender()
    signal, listener, heard = connected(sender=old)
    found: list[bool] = []

    def use() -> tuple[list[bool], list[Any]]:
        signal.emit_from(old)
        return found, heard

    return (
        lambda: signal.connect(listener, sender=new),
        lambda: found.append(signal.disconnect(listener, sender=old)),
        ([True], []),
        use,
    )


def sender_and_death(dies_first: bool = False) -> Scenario:
    old, new = [Sender()], Sender()
    signal, listener, heard = connected(sender=old[0])

    def connect() -> None:
        signal.connect(listener, sender=new)

    def use() -> list[Any]:
        signal.emit_from(new)
        return heard

    return (old.clear, connect, [0], use) if dies_first else (connect, old.clear, [0], use)


def death_and_sender() -> Scenario:
    return sender_and_death(dies_first=True)


def sender_and_deaths() -> Scenario:
    old, new = [Sender()], [Sender()]
    signal, listener, _ = connected(sender=old[0])

    def use() -> str:
        new.clear()
        let_die()
        return repr(signal)[-13:]

    return lambda: signal.connect(listener, sender=new[0]), old.clear, " 0 listeners>", use


def once_and_emit() -> Scenario:
    signal, _, heard = connected(once=True)
    return signal.emit, signal.emit, [0], lambda: heard


def emit_and_connect() -> Scenario:
    signal, _, heard = connected()

    def use() -> list[Any]:
        signal.connect(lambda: heard.append(1))
        heard.clear()
        signal.emit()
        return heard

    return signal.emit, lambda: signal.connect(lambda: heard.append(2), priority=1), [2, 0, 1], use


def blocked_and_blocked() -> Scenario:
    signal, _, heard = connected()

    def block() -> None:
        with signal.blocked():
            signal.emit()

    def use() -> list[Any]:
        signal.emit()
        return heard

    return block, block, [0], use


@pytest.mark.skipif(PYPY, reason="it does not tell of each bytecode")
@pytest.mark.parametrize(
    "scenario",
    [
        again_and_emit,
        again_and_again,
        again_and_disconnect,
        disconnect_and_again,
        again_and_look,
        again_and_mute,
        again_and_mute_with_options,
        mute_and_disconnect,
        sender_and_sender,
        sender_and_disconnect,
        sender_and_death,
        sender_and_deaths,
        death_and_sender,
        once_and_emit,
        emit_and_connect,
        blocked_and_blocked,
    ],
    ids=lambda scenario: scenario.__name__.replace("_", " "),
)
def test_between_any_two_bytecodes(scenario: Callable[[], Scenario]) -> None:
    """Of a listener that was being connected again, disconnect() found nothing to disconnect,
    and muted() muted only what was replaced."""
    for place in itertools.count(1):
        operation, action, expected, find = scenario()
        interrupted = interrupt(operation, action, place)
        found = find()
        if not interrupted:
            break
        assert found == expected, place
    assert place > 20, "they are not seen"


# --- failing allocations

NO_MEMORY = """
import faulthandler, functools, gc, sys, types
faulthandler.enable()
from weakly import Signal
from _testcapi import set_nomemory, remove_mem_hooks

length = int(sys.argv[1])
gc.disable()

class Object:
    changed = Signal()
    def method(self, *args, **kwargs):
        return 5

class Sender:
    pass

def function(*args, **kwargs):
    return 5

def make():
    scene = types.SimpleNamespace(signal=Signal(), objects=[Object() for _ in range(5)])
    for obj in scene.objects:
        scene.signal.connect(obj.method)
        obj.changed.connect(obj.method)
    Object.changed.connect(function)
    scene.new = Object()
    return scene

def dies(scene):
    scene.objects[3] = None

operations = [
    lambda s: s.signal.emit(),
    lambda s: s.signal.emit(1, 2, x=3),
    lambda s: s.signal.emit_from(s.new, 1),
    lambda s: s.signal.collect(1, 2),
    lambda s: s.objects[0].changed.emit(1),
    lambda s: s.objects[0].changed.collect(1, x=2),
    lambda s: s.new.changed,
    dies,
]

failures = 0
for operation in operations:
    for at in range(1, 300):
        scene = make()
        failed = False
        set_nomemory(at, at + length if length else 0)
        try:
            operation(scene)
        except MemoryError:
            failed = True
        except ExceptionGroup as group:  # of the listeners, which are Python
            failed = group.split(MemoryError)[1] is None
            assert failed
        finally:
            remove_mem_hooks()
        failures += failed
        alive = [obj for obj in scene.objects if obj is not None]
        assert scene.signal.collect() == [5] * len(alive)
        assert alive[0].changed.collect() == [5, 5]
        assert scene.new.changed.collect() == [5]
        del scene, alive
        if not failed:
            break
    else:
        raise SystemExit("never succeeded")
print(failures)
"""


@pytest.mark.c_core(reason="Python code may be torn anywhere by a failing allocation")
@failing_allocations
def test_every_allocation_can_fail(length: int) -> None:
    """MemoryError or success; the signal works afterwards."""
    assert count_failures(NO_MEMORY, length) > 5


# --- what only C code, and who reaches into a signal, can hand over


@pytest.mark.parametrize("wrong", [weakly.IdRef, object, 5, None])
def test_a_listener_type_that_is_none(wrong: Any) -> None:
    """What is not a WeakCallable must not be made as if it were."""
    signal: Any = Signal()
    signal.connect(bool)
    signal._listener_type = wrong
    signal.connect(int)
    assert [type(each) for each in signal._snapshot()] == [type(signal._snapshot()[0])] * 2
    assert signal.collect() == [False, 0]
    assert signal.disconnect(int)


@pytest.mark.c_core(reason="calls in C")
def test_called_without_an_array_of_arguments() -> None:
    """Only the sanitizer sees that nothing is copied from NULL."""
    call = pytest.importorskip("_testcapi").pyobject_vectorcall
    signal: Any = Signal()
    signal.connect(bool)
    call(signal.emit, None, None)
    assert call(signal.collect, None, None) == [False]
    call(signal.connect, None, None)(int)
    assert call(signal.collect, None, None) == [False, 0]
    assert call(WeakCallable(signal.collect), None, None) == [False, 0]


CONNECT_WITHOUT_MEMORY = """
import faulthandler, functools, gc, sys, types
faulthandler.enable()
from weakly import Signal
from no_memory import attempts

length = int(sys.argv[1])
gc.disable()

class Object:
    def method(self, *args):
        return 5

def function(*args):
    return 5

class Scene:
    def __init__(self):
        self.new, self.signal = Object(), Signal()
        self.objects = [Object() for _ in range(count)]
        for obj in self.objects:
            self.signal.connect(obj.method)
        self.listener = kinds[kind](self.new)

    def connect(self):
        self.signal.connect(self.listener)

    def disconnect(self):
        assert self.signal.disconnect(self.listener)

def connected():
    scene = Scene()
    scene.connect()
    return scene

def check(scene, connected):
    assert scene.signal.is_connected(scene.listener) == connected
    assert scene.signal.collect(1) == [5] * (count + connected)

kinds = {
    "function": lambda obj: function,
    "method": lambda obj: obj.method,
    "made": lambda obj: types.MethodType(lambda self, x: 5, obj),
    "partial": lambda obj: functools.partial(obj.method, 1),
}
failures = 0
for kind in kinds:
    for count in range(1, 12):  # listeners that are there before; the dict of them grows
        for scene, failed in attempts(Scene, Scene.connect, length):
            check(scene, not failed)
            if failed:
                failures += 1
                scene.connect()
                check(scene, True)
        for scene, failed in attempts(connected, Scene.disconnect, length):
            check(scene, failed)
            if failed:
                failures += 1
                scene.disconnect()
                check(scene, False)
print(failures)
"""


@pytest.mark.c_core(reason="Python code may be torn anywhere by a failing allocation")
@failing_allocations
def test_every_allocation_of_connect_can_fail(length: int) -> None:
    """MemoryError, and the listener is not connected, or disconnected, or success."""
    assert count_failures(CONNECT_WITHOUT_MEMORY, length) > 100
