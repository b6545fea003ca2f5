"""Signals and WeakCallables keep nothing that they should not: every kind of listener, for long.

One row of `ROWS` for each kind of listener.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from callables import METHODS, OTHERS, PARTIALS, Case, Deque
from support import (
    C_CORE,
    COUNTS_REFERENCES,
    FREE_THREADED,
    PYPY,
    Member,
    counts,
    gc_collect_harder,
    let_die,
)

import weakly
from weakly import Signal, WeakCallable, cached_method

pytestmark = pytest.mark.skipif(
    PYPY, reason="the Python tables are tested so on CPython; each collection takes long here"
)


class Heavy:
    """What listeners belong to."""

    def hear(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any) -> None:
        pass

    @cached_method
    def cached(self, *args: Any) -> None:
        pass

    partial = functools.partialmethod(hear, 1)


class CallableObject:
    def __call__(self, *args: Any) -> None:
        pass


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


class Decorated:
    @decorated
    def hear(self, *args: Any) -> None:
        pass

    fresh = functools.partialmethod(CallableObject(), 1)


class Later(concurrent.futures.Executor):
    """Runs what was submitted when the test says so."""

    def __init__(self) -> None:
        self.due: deque[Callable[[], object]] = deque()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.due.append(functools.partial(fn, *args, **kwargs))
        return concurrent.futures.Future()

    def turn(self) -> None:
        while self.due:
            self.due.popleft()()


class Scene:
    """A signal, what the program holds, and references to all that must go."""

    def __init__(self, signal: Any = None) -> None:
        self.signal: Any = Signal() if signal is None else signal
        self.held: list[Any] = []
        self.watched: list[weakref.ref[Any]] = []
        self.loop: Any = None
        self.executor: Any = None

    def hold(self, obj: Any) -> Any:
        self.held.append(obj)
        self.watched.append(weakref.ref(obj))
        return obj

    def connect(self, row: Row) -> None:
        self.listener = row.make(self)

    def emit(self) -> None:
        """With an argument that must go, from a sender that must go."""
        argument, sender = Member("argument"), Member("sender")
        self.signal.emit(argument)
        self.signal.emit_from(sender, argument)
        if self.loop is not None:

            async def wait() -> None:
                for _ in range(3):
                    await asyncio.sleep(0)

            self.loop.run_until_complete(wait())
        if self.executor is not None:
            self.executor.turn()
        self.watched += [weakref.ref(argument), weakref.ref(sender)]

    def drop(self) -> None:
        """The program lets go of all but the signal."""
        self.held.clear()
        self.listener = None
        gc_collect_harder()
        weakly.collect()

    def left(self) -> list[Any]:
        return [each() for each in self.watched if each() is not None]

    def close(self) -> None:
        if self.loop is not None:
            self.loop.close()


class Row:
    def __init__(self, make: Callable[[Scene], Any], weak: bool) -> None:
        self.make, self.weak = make, weak
        self.name = make.__name__

    def __repr__(self) -> str:
        return self.name


ROWS: list[Row] = []


def row(*, weak: bool) -> Any:
    def add(make: Callable[[Scene], Any]) -> Callable[[Scene], Any]:
        ROWS.append(Row(make, weak))
        return make

    return add


@row(weak=False)
def function(scene: Scene) -> Any:
    def listener(*args: Any) -> None:
        pass

    return scene.signal.connect(scene.hold(listener))


@row(weak=False)
def a_lambda(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(lambda *args: None))


@row(weak=False)
def closure(scene: Scene) -> Any:
    obj = scene.hold(Heavy())
    return scene.signal.connect(scene.hold(lambda *args: obj.hear()))


@row(weak=True)
def weak_function(scene: Scene) -> Any:
    obj = scene.hold(Heavy())
    return scene.signal.connect(scene.hold(lambda *args: obj.hear()), weak=True)


@row(weak=True)
def bound_method(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(Heavy()).hear)


@row(weak=False)
def strong_bound_method(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(Heavy()).hear, weak=False)


@row(weak=True)
def class_method(scene: Scene) -> Any:
    class Own:
        @classmethod
        def hear(cls, *args: Any) -> None:
            pass

    return scene.signal.connect(scene.hold(Own).hear)


@row(weak=False)
def static_method(scene: Scene) -> Any:
    class Own:
        @staticmethod
        def hear(*args: Any) -> None:
            pass

    return scene.signal.connect(scene.hold(Own.hear))


@row(weak=False)
def a_class(scene: Scene) -> Any:
    class Own:
        def __init__(self, *args: Any) -> None:
            pass

    return scene.signal.connect(scene.hold(Own))


@row(weak=True)
def partial_of_a_method(scene: Scene) -> Any:
    argument = Heavy()
    scene.watched.append(weakref.ref(argument))
    return scene.signal.connect(functools.partial(scene.hold(Heavy()).hear, argument, x=argument))


@row(weak=False)
def partial_of_a_function(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(functools.partial(lambda *args: None, Heavy())))


@row(weak=True)
def partialmethod(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(Heavy()).partial)


@row(weak=True)
def partialmethod_with_a_fresh_function(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(Decorated()).fresh)


@row(weak=True)
def method_of_a_c_type(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(Deque(maxlen=0)).append)


@row(weak=True)
def method_of_a_set(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(set[Any]()).discard)


@row(weak=False)
def method_of_a_list(scene: Scene) -> Any:
    class Own(list[Any]):
        pass

    some = scene.hold(Own())
    return scene.signal.connect(functools.partial(list.count, some))


@row(weak=False)
def callable_instance(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(CallableObject()))


@row(weak=True)
def decorated_method(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(Decorated()).hear)


@row(weak=True)
def method_with_a_cache(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(Heavy()).cached)


@row(weak=True)
def once(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(Heavy()).hear, once=True)


@row(weak=True)
def once_for_nobody(scene: Scene) -> Any:
    """Never called, since its sender says nothing."""
    obj = scene.hold(Heavy())
    return scene.signal.connect(obj.hear, once=True, sender=scene.hold(Member("sender")))


@row(weak=True)
def muted(scene: Scene) -> Any:
    listener = scene.signal.connect(scene.hold(Heavy()).hear)
    with scene.signal.muted(listener):
        scene.emit()
    return listener


@row(weak=True)
def filtered(scene: Scene) -> Any:
    """Held strongly: gone with its sender."""
    sender, other = scene.hold(Member("sender")), scene.hold(Member("other"))
    listener = scene.signal.connect(scene.hold(lambda *args: None), sender=sender)
    scene.signal.connect(listener, sender=other)
    scene.signal.emit_from(sender)
    return listener


@row(weak=True)
def with_priority(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(Heavy()).hear, priority=5)


@row(weak=True)
def connected_again(scene: Scene) -> Any:
    obj = scene.hold(Heavy())
    scene.signal.connect(obj.hear, weak=False, once=True, sender=scene.hold(Member("sender")))
    return scene.signal.connect(obj.hear)


@row(weak=True)
def on_loop(scene: Scene) -> Any:
    scene.loop = asyncio.new_event_loop()
    return scene.signal.on_loop(scene.loop).connect(scene.hold(Heavy()).hear)


@row(weak=False)
def coroutine_on_loop(scene: Scene) -> Any:
    scene.loop = asyncio.new_event_loop()
    obj = scene.hold(Heavy())

    async def listener(*args: Any) -> None:
        await asyncio.sleep(0)
        obj.hear()

    return scene.signal.on_loop(scene.loop).connect(scene.hold(listener))


@row(weak=True)
def on_thread(scene: Scene) -> Any:
    scene.executor = Later()
    return scene.signal.on_thread(scene.executor).connect(scene.hold(Heavy()).hear)


@row(weak=True)
def stream(scene: Scene) -> Any:
    scene.hold(scene.signal.stream(1))
    return None


@row(weak=False)
def another_signal(scene: Scene) -> Any:
    """Its `emit` is a method of a C type or a bound method; the closure holds it."""
    other = scene.hold(Signal())
    return scene.signal.connect(scene.hold(lambda *args: other.emit(*args)))


@row(weak=True)
def another_signals_emit(scene: Scene) -> Any:
    return scene.signal.connect(scene.hold(Signal()).emit)


def rows(some: list[Row]) -> Any:
    return pytest.mark.parametrize("row", some, ids=repr)


@pytest.fixture
def scene() -> Any:
    scene = Scene()
    yield scene
    scene.close()


# --- each kind of listener goes


@rows(ROWS)
def test_a_listener_goes_when_the_program_lets_go_of_it(scene: Scene, row: Row) -> None:
    scene.connect(row)
    scene.emit()
    scene.drop()
    if row.weak:
        assert scene.left() == []
        assert not scene.signal.has_listeners
    else:
        assert scene.left() != []
        assert scene.signal.has_listeners
        scene.emit()
        scene.signal.disconnect_all()
        scene.drop()
        assert scene.left() == []


@rows(ROWS)
def test_a_listener_goes_without_an_emit(scene: Scene, row: Row) -> None:
    scene.connect(row)
    if not row.weak:
        scene.signal.disconnect_all()
    scene.drop()
    assert scene.left() == []
    assert not scene.signal.has_listeners


@rows(ROWS)
def test_a_disconnected_listener_goes(scene: Scene, row: Row) -> None:
    scene.connect(row)
    scene.emit()
    if scene.listener is None:
        scene.held[0].close()
    else:
        assert scene.signal.disconnect(scene.listener) is (row is not ONCE)
    assert not scene.signal.has_listeners
    scene.emit()
    scene.drop()
    assert scene.left() == []


ONCE = next(row for row in ROWS if row.name == "once")


@rows(ROWS)
def test_a_listener_goes_with_the_signal(scene: Scene, row: Row) -> None:
    scene.connect(row)
    scene.emit()
    scene.watched.append(weakref.ref(scene.signal))
    scene.signal = None
    scene.drop()
    assert scene.left() == []


@rows(ROWS)
def test_a_signal_and_a_listener_in_a_cycle(scene: Scene, row: Row) -> None:
    scene.connect(row)
    signal = scene.signal
    scene.emit()
    for obj in scene.held:
        if hasattr(obj, "__dict__") and not isinstance(obj, type):
            obj.signal = signal
    signal.connect(lambda *args, signal=signal: signal)
    scene.watched.append(weakref.ref(signal))
    scene.signal = signal = obj = None
    scene.drop()
    assert scene.left() == []


@rows(ROWS)
def test_a_listener_of_an_instance_goes_with_it(row: Row) -> None:
    class Model:
        changed: Any = Signal()

    model: Any = Model()
    scene = Scene(model.changed)
    scene.connect(row)
    scene.emit()
    scene.watched.append(weakref.ref(model))
    model = scene.signal = None
    scene.drop()
    assert scene.left() == []
    scene.close()


@rows(ROWS)
def test_a_listener_of_a_class_does_not_pin_instances(row: Row) -> None:
    class Model:
        changed: Any = Signal()

    scene = Scene(Model.changed)
    scene.connect(row)
    for _ in range(3):
        model: Any = Model()
        model.changed.emit(Member("argument"))
        scene.watched.append(weakref.ref(model))
        model = None
    scene.emit()
    scene.signal.disconnect_all()
    scene.drop()
    assert scene.left() == []
    scene.close()


@rows(ROWS)
def test_a_signal_of_a_class_goes_with_it(row: Row) -> None:
    class Model:
        changed: Any = Signal()

    scene = Scene(Model.changed)
    scene.connect(row)
    scene.emit()
    scene.watched += [weakref.ref(Model), weakref.ref(Model.changed)]
    scene.signal = None
    del Model
    scene.drop()
    assert scene.left() == []
    scene.close()


@pytest.mark.c_core(reason="the Python tables cannot see through a value that refers to its key")
@rows(ROWS)
def test_a_strong_listener_of_an_instance_that_refers_to_it(row: Row) -> None:
    """No ordinary collector can tell: the signals of instances are ephemerons."""

    class Model:
        changed: Any = Signal()

    model: Any = Model()
    scene = Scene(model.changed)
    scene.connect(row)
    model.changed.connect(lambda *args, model=model: model)
    model.changed.connect(Heavy().hear, sender=model)
    model.holds = scene.held[:]
    scene.emit()
    scene.watched.append(weakref.ref(model))
    model = scene.signal = None
    scene.drop()
    assert scene.left() == []
    scene.close()


@pytest.mark.c_core(reason="the Python tables cannot see through a value that refers to its key")
def test_two_instances_that_listen_to_each_other_strongly() -> None:
    class Model:
        changed: Any = Signal()

        def hear(self) -> None:
            pass

    first: Any = Model()
    second: Any = Model()
    first.changed.connect(second.hear, weak=False)
    second.changed.connect(first.hear, weak=False)
    died = weakref.ref(first), weakref.ref(second)
    first.changed.emit()
    first = None
    weakly.collect()
    assert died[0]() is not None  # the other can still be reached, and calls it
    second = None
    weakly.collect()
    assert [each() for each in died] == [None, None]


def test_instances_that_listen_to_each_other_weakly() -> None:
    class Model:
        changed: Any = Signal()

        def hear(self) -> None:
            pass

    models = [Model() for _ in range(10)]
    for one in models:
        for other in models:
            one.changed.connect(other.hear)
        one.changed.connect(one.hear)
    died = [weakref.ref(model) for model in models]
    del one, other
    models.clear()
    gc_collect_harder()
    assert [each() for each in died] == [None] * 10


# --- what is emitted, collected and raised goes


def test_arguments_results_and_errors_go() -> None:
    signal = Signal(on_error=lambda error, listener: None)
    watched: list[Any] = []

    def watch(obj: Any) -> Any:
        watched.append(weakref.ref(obj))
        return obj

    @signal.connect
    def gives(*args: Any, **kwargs: Any) -> Any:
        return watch(Heavy())

    @signal.connect
    def fails(*args: Any, **kwargs: Any) -> Any:
        local = watch(Heavy())
        raise ZeroDivisionError(local)

    signal.emit(watch(Heavy()), x=watch(Heavy()))
    assert len(signal.collect(watch(Heavy()))) == 1
    signal.emit_from(watch(Heavy()))
    assert len(asyncio.run(signal.emit_async(watch(Heavy())))) == 1
    gc_collect_harder()
    assert len(watched) == 13
    assert [each() for each in watched if each() is not None] == []


@pytest.mark.parametrize("on_error", ["raise", "stop"])
def test_errors_go_when_they_are_handled(on_error: Any) -> None:
    signal = Signal(on_error=on_error)
    watched: list[Any] = []

    @signal.connect
    def fails() -> None:
        local = Heavy()
        watched.append(weakref.ref(local))
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises((ExceptionGroup, ZeroDivisionError)):
            signal.emit()
    gc_collect_harder()
    assert [each() for each in watched] == [None] * 3


def test_a_failed_connect_keeps_nothing() -> None:
    signal = Signal()
    listener: Any = Heavy()
    died = weakref.ref(listener)
    for options in ({"sender": []}, {"other": 5}):
        with pytest.raises(TypeError):
            signal.connect(listener, **options)
        with pytest.raises(TypeError):
            signal.connect(listener.hear, **options)
    listener = None
    gc_collect_harder()
    assert died() is None
    assert not signal.has_listeners


def test_a_context_that_was_left_holds_nobody() -> None:
    signal: Any = Signal()
    obj: Any = Heavy()
    signal.connect(obj.hear)
    died = weakref.ref(obj), weakref.ref(signal)
    mute, block = signal.muted(obj.hear), signal.blocked()
    with mute, block:
        pass
    obj = None
    gc_collect_harder()
    assert died[0]() is None
    signal = mute = block = None
    gc_collect_harder()
    assert died[1]() is None


def test_a_mute_that_is_never_left_does_not_pin_the_listener() -> None:
    signal = Signal()
    obj: Any = Heavy()
    signal.connect(obj.hear)
    context = signal.muted(obj.hear)
    context.__enter__()
    died = weakref.ref(obj)
    obj = None
    gc_collect_harder()
    assert died() is None
    assert not signal.has_listeners
    context.__exit__(None, None, None)


# --- many times over

counted = pytest.mark.skipif(not COUNTS_REFERENCES, reason="there are no blocks to compare")
ROUNDS = 60 if C_CORE else 25


def check_no_growth(turn: Callable[[], object], rounds: int = ROUNDS) -> None:
    """No growth of a tenth of a block a round, in two goes out of three."""
    for _ in range(10):
        turn()
    growth = []
    for _ in range(3):
        before = counts()
        for _ in range(rounds):
            turn()
        after = counts()
        growth.append((after[0] - before[0], after[1] - before[1]))
    allowed = max(6, rounds // 10) if not FREE_THREADED else rounds
    good = [each for each in growth if max(each) <= allowed]
    assert len(good) >= 2, f"growth of references and blocks in {rounds} rounds: {growth}"


@counted
@rows(ROWS)
def test_listeners_that_come_and_go_leave_nothing(row: Row) -> None:
    """To one signal that stays."""
    signal = Signal()

    def turn() -> None:
        scene = Scene(signal)
        scene.connect(row)
        scene.emit()
        if not row.weak:
            assert signal.disconnect(scene.listener)
        scene.held.clear()
        scene.listener = None
        scene.close()

    check_no_growth(turn)
    assert not signal.has_listeners


@counted
@rows(ROWS)
def test_signals_that_come_and_go_leave_nothing(row: Row) -> None:
    """As attributes of instances, with listeners connected."""

    class Model:
        changed: Any = Signal()

    def turn() -> None:
        model = Model()
        scene = Scene(model.changed)
        scene.connect(row)
        scene.emit()
        scene.close()

    check_no_growth(turn)


@counted
@pytest.mark.parametrize("case", METHODS + PARTIALS + OTHERS, ids=lambda case: case.name)
def test_weak_callables_that_come_and_go_leave_nothing(case: Case) -> None:
    def turn() -> None:
        held = case.make()
        callable_ = case.get(held)
        some = [
            WeakCallable(callable_),
            WeakCallable(callable_, id, if_dead="ignore"),
            WeakCallable(callable_, strong=True),
        ]
        some.append(WeakCallable(some[0]))
        assert len(set(some)) == 1
        assert all(weak.target is not None for weak in some)
        repr(some)
        del held, callable_, some[2]
        assert len(dict.fromkeys(some)) == 1

    check_no_growth(turn)


def failing_operations() -> None:
    signal = Signal[int]()
    heavy = Heavy()
    for wrong in (
        lambda: signal.connect(5),  # type: ignore[call-overload]  # that is the test
        lambda: signal.connect(heavy.hear, sender=[]),
        lambda: signal.emit(),  # type: ignore[call-arg]  # that is the test
        lambda: signal.emit(1, x=heavy),  # type: ignore[call-arg]  # that is the test
        lambda: signal.muted(heavy.hear).__enter__(),
        lambda: Signal(on_error="wrong"),  # type: ignore[call-overload]  # that is the test
        lambda: Signal(5),  # type: ignore[call-overload]  # that is the test
        lambda: WeakCallable(5),  # type: ignore[call-overload]  # that is the test
        lambda: WeakCallable([].append),
        lambda: WeakCallable(heavy.hear, if_dead="wrong"),  # type: ignore[call-overload]  # that is the test
        lambda: setattr(types.SimpleNamespace, "changed", 5),
    ):
        try:
            wrong()
        except (TypeError, ValueError):
            continue
        raise AssertionError("nothing was raised")


def errors() -> None:
    for on_error in ("raise", "stop"):
        signal: Any = Signal(on_error=on_error)
        signal.connect(lambda: 1 // 0)
        signal.connect(lambda: {}[5])
        for send in (signal.emit, signal.collect):
            try:
                send()
            except (ExceptionGroup, ZeroDivisionError):
                continue
            raise AssertionError("nothing was raised")


def during_an_emit() -> None:
    """Listeners that disconnect, connect and die while they are called."""
    signal = Signal()
    held = [Heavy() for _ in range(5)]

    def act() -> None:
        if held:
            held.pop()
            signal.disconnect(act)
            signal.connect(act)
            signal.emit()

    for heavy in held:
        signal.connect(heavy.hear)
        signal.connect(heavy.partial, once=True)
    signal.connect(act, priority=5)
    del heavy
    signal.emit()
    signal.disconnect_all()


def all_of_a_signal() -> None:
    signal = Signal(all_of_a_signal, name="all")
    heavy = Heavy()
    signal.connect(heavy.hear)
    with signal.blocked(), signal.muted(heavy.hear):
        signal.emit()
    asyncio.run(signal.emit_async())
    repr(signal)
    assert signal.is_connected(heavy.hear)
    assert signal.has_listeners
    signal.disconnect(heavy.hear, sender=heavy)
    signal.disconnect_all()


@counted
@pytest.mark.parametrize(
    "turn", [failing_operations, errors, during_an_emit, all_of_a_signal], ids=lambda f: f.__name__
)
def test_rounds_leave_nothing(turn: Callable[[], None]) -> None:
    check_no_growth(turn)


# --- a million listeners come and go


def methods_that_die(count: int) -> None:
    """No emit ever sweeps up after them."""
    signal = STEADY
    for _ in range(count):
        signal.connect(Heavy().hear)


def methods_that_are_called_and_die(count: int) -> None:
    signal = STEADY
    for _ in range(count):
        heavy = Heavy()
        signal.connect(heavy.hear)
        signal.emit(5)


def a_crowd_that_dies_at_once(count: int) -> None:
    signal = STEADY
    for _ in range(max(1, count // 1000)):
        crowd = [Heavy() for _ in range(1000)]
        for heavy in crowd:
            signal.connect(heavy.hear)
        signal.emit(5)
        del heavy
        crowd.clear()
        let_die()
        assert not signal.has_listeners


def functions_that_are_disconnected(count: int) -> None:
    signal = STEADY
    for _ in range(count):
        listener = signal.connect(lambda *args: None)
        assert signal.disconnect(listener)


def listeners_that_are_called_once(count: int) -> None:
    signal = STEADY
    for _ in range(count):
        signal.connect(lambda *args: None, once=True)
        signal.emit()


def senders_that_die(count: int) -> None:
    signal = STEADY
    for _ in range(count):
        signal.connect(lambda *args: None, sender=Member("sender"))
    let_die()
    assert not signal.has_listeners


def one_listener_of_many_senders(count: int) -> None:
    signal = STEADY
    heavy = Heavy()
    steady = Member("steady")
    signal.connect(heavy.hear, sender=steady)
    for _ in range(count):
        signal.connect(heavy.hear, sender=Member("sender"))
    assert signal.disconnect(heavy.hear, sender=steady)
    let_die()
    assert not signal.has_listeners


class Model:
    changed: Any = Signal()


def instances_with_listeners(count: int) -> None:
    for _ in range(count):
        model = Model()
        model.changed.connect(lambda *args: None)
        model.changed.emit(5)


def instances_that_only_look(count: int) -> None:
    for _ in range(count):
        assert not Model().changed.has_listeners


def streams_that_go(count: int) -> None:
    signal = STEADY
    for _ in range(count):
        stream = signal.stream(5)
        signal.emit(5)
        del stream


def one_listener_again_and_again(count: int) -> None:
    signal = STEADY
    heavy = Heavy()
    for _ in range(count):
        signal.connect(heavy.hear)
        with signal.muted(heavy.hear), signal.blocked():
            pass
    assert signal.disconnect(heavy.hear)


def weak_callables(count: int) -> None:
    heavy = Heavy()
    for _ in range(count):
        WeakCallable(heavy.hear, id)
        WeakCallable(Heavy().hear, id)


STEADY = Signal()
LOADS = [
    methods_that_die,
    methods_that_are_called_and_die,
    a_crowd_that_dies_at_once,
    functions_that_are_disconnected,
    listeners_that_are_called_once,
    senders_that_die,
    one_listener_of_many_senders,
    instances_with_listeners,
    instances_that_only_look,
    streams_that_go,
    one_listener_again_and_again,
    weak_callables,
]
loads = pytest.mark.parametrize("load", LOADS, ids=lambda load: load.__name__)


def check_memory_is_flat(load: Callable[[int], None], count: int) -> None:
    tracemalloc = pytest.importorskip("tracemalloc")  # PyPy has the module without its core
    load(max(200, count // 100))
    gc_collect_harder()
    tracemalloc.start()
    try:
        load(200)
        gc_collect_harder()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        load(count)
        peak = tracemalloc.get_traced_memory()[1]
        gc_collect_harder()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert not STEADY.has_listeners
    assert after - before < 20_000
    if not FREE_THREADED and load is not a_crowd_that_dies_at_once:
        assert peak - before < 400_000  # not even for a while


@loads
def test_listeners_come_and_go_and_memory_stays(load: Callable[[int], None]) -> None:
    check_memory_is_flat(load, 5_000 if C_CORE else 2_000)


@pytest.mark.slow
@loads
def test_a_million_listeners_come_and_go_and_memory_stays(load: Callable[[int], None]) -> None:
    """Of those that cost most, a hundred thousand."""
    check_memory_is_flat(load, 1_000_000 if LOADS.index(load) < 4 else 100_000)


@pytest.mark.skipif(PYPY, reason="finalizers come late there")
def test_a_chain_of_listeners_that_die_one_after_the_other() -> None:
    """Each death drops the next: no recursion without end."""
    signal = Signal()
    first: Any = None
    for _ in range(20_000 if sys.version_info >= (3, 12) else 5_000):
        heavy: Any = Heavy()
        heavy.next = first
        signal.connect(heavy.hear)
        first = heavy
    first = heavy = None
    gc.collect()
    assert not signal.has_listeners
