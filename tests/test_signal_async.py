"""Signals and asyncio, loops and executors: `emit_async`, `on_loop`, `on_thread`, `stream`.

Every wait has a timeout, so that what hangs fails.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import itertools
import threading
import warnings
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from support import PYPY, gc_collect_harder, let_die, run_all, wait_until

from weakly import Signal, Stream

TIMEOUT = 20


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, TIMEOUT))


class Object:
    def __init__(self, heard: list[Any] | None = None) -> None:
        self.heard: list[Any] = [] if heard is None else heard

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError("compared")

    def __hash__(self) -> int:
        raise ZeroDivisionError("hashed")

    def hear(self, *args: Any) -> Any:
        self.heard.append(args)
        return args

    async def hear_later(self, *args: Any) -> Any:
        self.heard.append(("begins", *args))
        await asyncio.sleep(0)
        self.heard.append(("ends", *args))
        return args


class Model:
    changed: Any = Signal()


@pytest.fixture
def loop() -> Iterator[Any]:
    """A loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT)
        loop.close()


@pytest.fixture
def idle_loop() -> Iterator[Any]:
    """A loop that runs only when the test lets it: `turn`."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def turn(loop: Any) -> None:
    """Runs what is due, tasks to their end."""
    loop.run_until_complete(asyncio.wait_for(turns(), TIMEOUT))


@pytest.fixture
def executor() -> Iterator[concurrent.futures.ThreadPoolExecutor]:
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        yield executor


# --- emit_async


def test_emit_async_gives_the_results_of_both_kinds() -> None:
    signal = Signal()
    order: list[str] = []

    @signal.connect
    async def first(x: int) -> str:
        order.append("first")
        return f"first {x}"

    @signal.connect
    def second(x: int) -> str:
        order.append("second")
        return f"second {x}"

    @signal.connect
    async def third(x: int) -> str:
        await asyncio.sleep(0.001)
        order.append("third")
        return f"third {x}"

    @signal.connect
    def fourth(x: int) -> str:
        order.append("fourth")
        return f"fourth {x}"

    results = run(signal.emit_async(5))
    assert order == ["second", "fourth", "first", "third"]
    assert results == ["first 5", "second 5", "third 5", "fourth 5"]


def test_emit_async_with_nobody_and_with_plain_listeners() -> None:
    signal = Signal()
    assert run(signal.emit_async()) == []
    obj = Object()
    signal.connect(obj.hear)
    assert run(signal.emit_async(1, 2)) == [(1, 2)]
    with signal.blocked():
        assert run(signal.emit_async(3)) == []
    with signal.muted(obj.hear):
        assert run(signal.emit_async(4)) == []
    assert obj.heard == [(1, 2)]


def test_emit_async_passes_keywords() -> None:
    signal = Signal()

    @signal.connect
    async def listener(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    assert run(signal.emit_async(1, x=2, self=3)) == [((1,), {"x": 2, "self": 3})]


def test_emit_async_of_what_does_not_fit() -> None:
    signal = Signal[int, str](name="moved")
    obj = Object()
    signal.connect(obj.hear)

    async def send() -> None:
        with pytest.raises(TypeError, match=r"moved.*int.*str"):
            await signal.emit_async(1)  # type: ignore[call-arg]  # that is the test

    run(send())
    assert obj.heard == []


def test_coroutine_listeners_run_at_the_same_time() -> None:
    signal = Signal()
    running: list[int] = []
    most: list[int] = []

    def make(number: int) -> Any:
        async def listener() -> int:
            running.append(number)
            while len(running) < 10 and not most:
                await asyncio.sleep(0)
            most.append(len(running))
            return number

        return listener

    for number in range(10):
        signal.connect(make(number))
    assert run(signal.emit_async()) == list(range(10))
    assert most == [10] * 10


def test_emit_async_order_once_and_dying_listeners() -> None:
    signal = Signal()
    obj: Any = Object()
    heard = obj.heard
    signal.connect(obj.hear_later, once=True)
    signal.connect(obj.hear, priority=-1)

    async def die() -> None:
        nonlocal obj
        task = asyncio.ensure_future(signal.emit_async(1))
        while ("begins", 1) not in heard:
            await asyncio.sleep(0)
        obj = None
        gc_collect_harder()
        assert await task == [(1,), (1,)]

    run(die())
    assert heard == [(1,), ("begins", 1), ("ends", 1)]
    gc_collect_harder()
    assert not signal.has_listeners


def test_emit_async_of_an_instance() -> None:
    class Model:
        changed: Any = Signal()

    model = Model()
    mine, everyone = Object(), Object()
    model.changed.connect(mine.hear_later)
    Model.changed.connect(everyone.hear)
    Model.changed.connect(everyone.hear_later, sender=model)
    assert run(model.changed.emit_async(1)) == [(1,), (1,), (1,)]
    assert run(Model.changed.emit_async(2)) == [(2,)]


def test_emit_async_gathers_errors_of_both_kinds() -> None:
    signal = Signal()
    errors = [KeyError(number) for number in range(4)]
    ended: list[int] = []

    def plain(at: int) -> Any:
        def listener() -> None:
            raise errors[at]

        return listener

    def late(at: int) -> Any:
        async def listener() -> None:
            await asyncio.sleep(0)
            raise errors[at]

        return listener

    async def well() -> None:
        await asyncio.sleep(0.001)
        ended.append(1)

    for listener in (late(0), plain(1), well, late(2), plain(3)):
        signal.connect(listener)

    async def send() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            await signal.emit_async()
        assert sorted(caught.value.exceptions, key=str) == errors
        assert ended == [1]

    run(send())


def test_emit_async_reports_errors(unraisable: list[Any]) -> None:
    signal = Signal(on_error="report")

    async def late() -> None:
        raise ZeroDivisionError

    def plain() -> None:
        raise KeyError

    signal.connect(late)
    signal.connect(plain)
    signal.connect(lambda: 5)
    assert run(signal.emit_async()) == [5]
    assert sorted(each.type.__name__ for each in unraisable) == ["KeyError", "ZeroDivisionError"]


def test_emit_async_tells_a_function_of_errors() -> None:
    told: list[Any] = []
    signal = Signal(on_error=lambda error, listener: told.append((type(error), listener)))

    @signal.connect
    async def late() -> None:
        raise ZeroDivisionError

    assert run(signal.emit_async()) == []
    assert told == [(ZeroDivisionError, late)]


def test_emit_async_stops_at_an_error() -> None:
    signal = Signal(on_error="stop")
    heard: list[str] = []

    @signal.connect
    async def late() -> None:
        heard.append("late")

    @signal.connect
    def plain() -> None:
        raise ZeroDivisionError

    @signal.connect
    def after() -> None:
        heard.append("after")

    async def send() -> None:
        with pytest.raises(ZeroDivisionError):
            await signal.emit_async()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(send())
        gc_collect_harder()
    assert heard == []
    signal.disconnect(plain)
    run(signal.emit_async())
    assert heard == ["after", "late"]


def test_a_coroutine_that_stops_all() -> None:
    signal = Signal(on_error="stop")
    heard: list[str] = []

    @signal.connect
    async def fails() -> None:
        raise ZeroDivisionError

    @signal.connect
    async def waits() -> None:
        try:
            await asyncio.sleep(TIMEOUT)
        finally:
            heard.append("ended")

    async def send() -> None:
        with pytest.raises(ZeroDivisionError):
            await signal.emit_async()

    run(send())
    assert heard in ([], ["ended"])


def test_the_error_that_stops_all_is_raised(unraisable: list[Any]) -> None:
    """Raised was what a listener before it said to being cancelled, and the first was lost."""
    signal = Signal(on_error="stop")

    @signal.connect
    async def answers() -> None:
        try:
            await asyncio.sleep(TIMEOUT)
        except asyncio.CancelledError:
            raise KeyError from None

    @signal.connect
    async def fails() -> None:
        await turns()
        raise ZeroDivisionError

    async def send() -> None:
        with pytest.raises(ZeroDivisionError):
            await signal.emit_async()

    run(send())
    assert [each.type for each in unraisable] == [KeyError]


def test_cancelling_emit_async_cancels_its_listeners() -> None:
    signal = Signal()
    ended: list[Any] = []

    def make(number: int) -> Any:
        async def listener() -> None:
            try:
                await asyncio.sleep(TIMEOUT * 2)
            except asyncio.CancelledError:
                ended.append(number)
                raise

        return listener

    for number in range(5):
        signal.connect(make(number))

    async def cancel() -> None:
        task = asyncio.ensure_future(signal.emit_async())
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(ended) == list(range(5))
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert all(each.done() or each.get_coro().__name__ != "listener" for each in others)  # type: ignore[union-attr]  # tasks have one

    run(cancel())
    assert signal.has_listeners


def test_cancelling_emit_async_before_it_begins() -> None:
    signal = Signal()
    obj = Object()
    signal.connect(obj.hear_later)

    async def cancel() -> None:
        task = asyncio.ensure_future(signal.emit_async())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(cancel())
        gc_collect_harder()
    assert obj.heard == []


def test_cancelling_emit_async_again_waits_for_its_listeners() -> None:
    """Cancelled a second time, it was over while its listeners still ran."""
    signal = Signal()
    enough, ended = asyncio.Event(), []

    @signal.connect
    async def stubborn() -> None:
        while not enough.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await enough.wait()
        ended.append("stubborn")

    async def cancel() -> None:
        task = asyncio.ensure_future(signal.emit_async())
        try:
            for _ in range(3):
                await turns()
                task.cancel()
            await turns()
            assert not task.done()
        finally:
            enough.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["stubborn"]

    run(cancel())


def waits_for_ever(ended: list[str]) -> Any:
    async def listener() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("listener")

    return listener


def test_emit_async_closed_while_it_waits() -> None:
    """It went on to wait for its listeners, which a coroutine that is closed must not."""
    signal = Signal()
    ended: list[str] = []
    signal.connect(waits_for_ever(ended))

    async def close() -> None:
        coroutine = signal.emit_async()
        coroutine.send(None)
        await turns()
        coroutine.close()
        await turns()
        assert ended == ["listener"]

    run(close())


@pytest.mark.skipif(PYPY, reason="coroutines that are collected are not closed there")
def test_emit_async_of_a_loop_that_was_closed() -> None:
    """Its end, when it was collected, was a RuntimeError that nobody could catch."""
    signal = Signal()
    ended: list[str] = []
    signal.connect(waits_for_ever(ended))
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # of tasks that have not ended
    task = loop.create_task(signal.emit_async())
    turn(loop)
    loop.close()
    del task, loop
    gc_collect_harder()
    assert ended == ["listener"]


def test_emit_async_never_awaited() -> None:
    """Nobody is called, and no coroutine of a listener is left open."""
    signal = Signal()
    obj = Object()
    signal.connect(obj.hear_later)
    coroutine = signal.emit_async(5)
    coroutine.close()
    del coroutine
    gc_collect_harder()
    assert obj.heard == []


def test_listeners_that_change_the_signal_meanwhile() -> None:
    signal = Signal()
    heard: list[Any] = []

    @signal.connect
    async def first() -> None:
        signal.disconnect(second)
        signal.connect(third)
        heard.append("first")
        if len(heard) < 5:
            await signal.emit_async()

    @signal.connect
    async def second() -> None:
        heard.append("second")

    async def third() -> None:
        heard.append("third")

    run(signal.emit_async())
    assert heard.count("first") >= 2
    assert heard.count("third") >= 1
    assert not signal.is_connected(second)


def test_emit_async_in_several_loops_at_once() -> None:
    signal = Signal()
    loops: list[Any] = []  # append is atomic

    @signal.connect
    async def listener(x: int) -> int:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0.001)
        return x

    def work() -> list[Any]:
        async def send() -> list[Any]:
            return [await signal.emit_async(x) for x in range(20)]

        return run(send())  # type: ignore[no-any-return]  # run() is untyped

    assert run_all(*[work] * 4) == [[[x] for x in range(20)]] * 4
    assert len(set(map(id, loops))) == 4


# --- on_loop


def test_on_loop_calls_in_the_thread_of_the_loop(loop: Any) -> None:
    signal = Signal()
    heard: list[Any] = []

    def listener(*args: Any, **kwargs: Any) -> None:
        heard.append((args, kwargs, threading.current_thread()))

    assert signal.on_loop(loop).connect(listener) is listener
    assert signal.is_connected(listener)
    signal.emit(1, x=2)
    wait_until(lambda: heard)
    assert heard[0][:2] == ((1,), {"x": 2})
    assert heard[0][2] is not threading.current_thread()
    assert signal.disconnect(listener)
    signal.emit(2)
    done = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop)
    done.result(TIMEOUT)
    assert len(heard) == 1


def test_on_loop_as_decorator(idle_loop: Any) -> None:
    signal = Signal()
    heard: list[Any] = []

    @signal.on_loop(idle_loop).connect
    def first(x: int) -> None:
        heard.append(("first", x))

    @signal.on_loop(idle_loop).connect(priority=1, once=True)
    def second(x: int) -> None:
        heard.append(("second", x))

    signal.emit(1)
    signal.emit(2)
    assert heard == []
    turn(idle_loop)
    assert heard == [("second", 1), ("first", 1), ("first", 2)]


def test_on_loop_only_if_it_is_still_connected_and_alive(idle_loop: Any) -> None:
    signal = Signal()
    heard: list[Any] = []
    obj: Any = Object(heard)
    gone: Any = Object(heard)
    signal.on_loop(idle_loop).connect(obj.hear)
    signal.on_loop(idle_loop).connect(gone.hear)
    signal.emit(1)
    died = weakref.ref(gone)
    gone = None
    gc_collect_harder()
    assert died() is None  # what is pending keeps nobody
    turn(idle_loop)
    assert heard == [(1,)]
    signal.emit(2)
    signal.disconnect(obj.hear)
    turn(idle_loop)
    assert heard == [(1,)]
    assert not signal.has_listeners


def test_once_on_a_loop(idle_loop: Any) -> None:
    signal = Signal()
    obj = Object()
    signal.on_loop(idle_loop).connect(obj.hear, once=True)
    for x in range(3):
        signal.emit(x)
    turn(idle_loop)
    signal.emit(4)
    turn(idle_loop)
    assert obj.heard == [(0,)]
    assert not signal.has_listeners


def test_options_on_a_loop(idle_loop: Any) -> None:
    signal = Signal()
    sender = Object()
    obj = Object()
    strong: Any = Object()
    heard = strong.heard
    signal.on_loop(idle_loop).connect(obj.hear, sender=sender)
    signal.on_loop(idle_loop).connect(strong.hear, weak=False)
    strong = None
    gc_collect_harder()
    signal.emit(1)
    signal.emit_from(sender, 2)
    with signal.muted(obj.hear):
        signal.emit_from(sender, 3)
        turn(idle_loop)
    turn(idle_loop)
    assert obj.heard == [(2,)]
    assert heard == [(1,), (2,), (3,)]


def test_coroutine_listeners_on_a_loop(idle_loop: Any) -> None:
    signal = Signal()
    obj: Any = Object()
    heard = obj.heard
    signal.on_loop(idle_loop).connect(obj.hear_later)
    signal.emit(1)
    signal.emit(2)
    turn(idle_loop)
    assert heard == [("begins", 1), ("begins", 2), ("ends", 1), ("ends", 2)]


def test_tasks_of_listeners_are_kept_until_they_are_done(loop: Any) -> None:
    """A loop itself keeps its tasks only weakly."""
    signal = Signal()
    heard: list[str] = []
    woken: list[Any] = []

    @signal.on_loop(loop).connect
    async def listener() -> None:
        future = asyncio.get_running_loop().create_future()
        woken.append(weakref.ref(future))
        heard.append("begins")
        await future
        heard.append("ends")

    signal.emit()
    wait_until(lambda: heard)
    gc_collect_harder()
    future = woken[0]()
    assert future is not None
    loop.call_soon_threadsafe(future.set_result, None)
    wait_until(lambda: heard == ["begins", "ends"])


def test_tasks_of_closed_loops_do_not_stay() -> None:
    """They did, with the loop and the listener's object; now until another loop has one."""

    class Waiting:
        async def wait(self) -> None:
            await asyncio.get_running_loop().create_future()

    died: list[Any] = []
    for _ in range(3):
        signal, obj, loop = Signal(), Waiting(), asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)  # of tasks that have not ended
        signal.on_loop(loop).connect(obj.wait)
        signal.emit()
        turn(loop)
        loop.close()
        died.append((weakref.ref(obj), weakref.ref(loop)))
        del signal, obj, loop
    gc_collect_harder()
    assert [(obj(), loop()) for obj, loop in died[:-1]] == [(None, None)] * 2


@pytest.mark.parametrize("coroutine", [False, True])
def test_errors_on_a_loop_go_to_its_handler(idle_loop: Any, coroutine: bool) -> None:
    signal = Signal()
    told: list[Any] = []
    idle_loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))

    def plain() -> None:
        raise ZeroDivisionError

    async def late() -> None:
        raise ZeroDivisionError

    signal.on_loop(idle_loop).connect(late if coroutine else plain)
    obj = Object()
    signal.on_loop(idle_loop).connect(obj.hear)
    signal.emit()
    turn(idle_loop)
    gc_collect_harder()
    assert [type(each) for each in told] == [ZeroDivisionError]
    assert obj.heard == [()]


def test_a_listener_cancelled_on_its_loop(idle_loop: Any) -> None:
    signal = Signal()
    told: list[Any] = []
    idle_loop.set_exception_handler(lambda loop, context: told.append(context))

    @signal.on_loop(idle_loop).connect
    async def listener() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    signal.emit()
    turn(idle_loop)
    gc_collect_harder()
    assert told == []


@pytest.mark.parametrize("on_error", ["raise", "stop", "report", "call"])
def test_a_closed_loop_is_an_error_of_the_listener(on_error: str, unraisable: list[Any]) -> None:
    told: list[Any] = []
    signal = Signal(
        on_error=on_error if on_error != "call" else (lambda error, _: told.append(error))  # type: ignore[arg-type]  # one of them
    )
    loop = asyncio.new_event_loop()
    obj, other = Object(), Object()
    signal.on_loop(loop).connect(obj.hear)
    signal.connect(other.hear)
    loop.close()
    if on_error == "raise":
        with pytest.raises(ExceptionGroup) as caught:
            signal.emit(1)
        assert [type(each) for each in caught.value.exceptions] == [RuntimeError]
    elif on_error == "stop":
        with pytest.raises(RuntimeError, match="closed"):
            signal.emit(1)
    else:
        signal.emit(1)
        found = told if on_error == "call" else [each.type() for each in unraisable]
        assert [type(each) for each in found] == [RuntimeError]
    assert obj.heard == []
    assert other.heard == ([] if on_error == "stop" else [(1,)])


def test_a_loop_closed_with_deliveries_pending() -> None:
    signal = Signal()
    loop = asyncio.new_event_loop()
    obj: Any = Object()
    argument: Any = Object()
    died = weakref.ref(obj), weakref.ref(argument)
    signal.on_loop(loop).connect(obj.hear)
    signal.on_loop(loop).connect(obj.hear_later, once=True)
    signal.emit(argument)
    heard = obj.heard
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop.close()
        obj = argument = None
        gc_collect_harder()
    assert heard == []
    del loop
    gc_collect_harder()
    assert [each() for each in died] == [None, None]


def test_several_loops() -> None:
    signal = Signal()
    loops = [asyncio.new_event_loop() for _ in range(3)]
    objects = [Object() for _ in loops]
    for loop, obj in zip(loops, objects, strict=True):
        signal.on_loop(loop).connect(obj.hear)
    signal.emit(1)
    for number, loop in enumerate(loops):
        turn(loop)
        assert [bool(obj.heard) for obj in objects] == [at <= number for at in range(3)]
        loop.close()


def test_connecting_again_elsewhere(idle_loop: Any) -> None:
    """The same listener: where it is called is one of the options that are replaced."""
    signal = Signal()
    obj = Object()
    signal.on_loop(idle_loop).connect(obj.hear)
    signal.connect(obj.hear)
    signal.emit(1)
    assert obj.heard == [(1,)]
    signal.on_loop(idle_loop).connect(obj.hear)
    signal.emit(2)
    assert obj.heard == [(1,)]
    turn(idle_loop)
    assert obj.heard == [(1,), (2,)]


def test_emits_from_many_threads_to_one_loop(loop: Any) -> None:
    signal = Signal()
    heard: list[Any] = []
    signal.on_loop(loop).connect(lambda *args: heard.append(args))

    def work(number: int) -> None:
        for x in range(100):
            signal.emit(number, x)

    run_all(*[lambda number=number: work(number) for number in range(8)])
    wait_until(lambda: len(heard) == 800)
    assert len(set(heard)) == 800
    for number in range(8):
        assert [x for who, x in heard if who == number] == list(range(100))


def test_on_loop_of_an_instance(idle_loop: Any) -> None:
    class Model:
        changed: Any = Signal()

    model = Model()
    obj, everyone = Object(), Object()
    model.changed.on_loop(idle_loop).connect(obj.hear)
    Model.changed.on_loop(idle_loop).connect(everyone.hear, sender=model)
    model.changed.emit(1)
    Model.changed.emit(2)
    turn(idle_loop)
    assert obj.heard == everyone.heard == [(1,)]


# --- on_thread


def test_on_thread_calls_in_the_executor(executor: Any) -> None:
    signal = Signal()
    heard: list[Any] = []

    @signal.on_thread(executor).connect
    def listener(*args: Any, **kwargs: Any) -> None:
        heard.append((args, kwargs, threading.current_thread()))

    signal.emit(1, x=2)
    wait_until(lambda: heard)
    assert heard[0][:2] == ((1,), {"x": 2})
    assert heard[0][2] is not threading.current_thread()
    obj = Object()
    assert signal.on_thread(executor).connect(obj.hear, once=True) == obj.hear
    for x in range(3):
        signal.emit(x)
    wait_until(lambda: len(heard) == 4)
    wait_until(lambda: obj.heard)
    assert len(obj.heard) == 1
    assert not signal.is_connected(obj.hear)


class Later(concurrent.futures.Executor):
    """Runs what was submitted when the test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], object]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.due.append(lambda: fn(*args, **kwargs))
        return concurrent.futures.Future()

    def turn(self) -> None:
        while self.due:
            self.due.pop(0)()


def test_on_thread_only_if_it_is_still_connected_and_alive() -> None:
    signal = Signal()
    later = Later()
    heard: list[Any] = []
    obj: Any = Object(heard)
    gone: Any = Object(heard)
    once: Any = Object(heard)
    signal.on_thread(later).connect(obj.hear)
    signal.on_thread(later).connect(gone.hear)
    signal.on_thread(later).connect(once.hear, once=True)
    signal.emit(1)
    died = weakref.ref(gone), weakref.ref(once)
    gone = once = None
    gc_collect_harder()
    assert [each() for each in died] == [None, None]
    later.turn()
    assert heard == [(1,)]
    signal.emit(2)
    signal.disconnect(obj.hear)
    later.turn()
    assert heard == [(1,)]
    assert not signal.has_listeners


def test_once_that_could_not_be_handed_over_is_not_used_up() -> None:
    class Full(Later):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            if full:
                raise RuntimeError("full")
            return super().submit(fn, *args, **kwargs)

    full = [1]
    signal = Signal(on_error="stop")
    later = Full()
    obj = Object()
    signal.on_thread(later).connect(obj.hear, once=True)
    with pytest.raises(RuntimeError, match="full"):
        signal.emit(1)
    assert signal.is_connected(obj.hear)
    full.clear()
    signal.emit(2)
    signal.emit(3)
    later.turn()
    assert obj.heard == [(2,)]
    assert not signal.is_connected(obj.hear)


def test_once_elsewhere_from_eight_threads(executor: Any) -> None:
    for _ in range(20):
        signal = Signal()
        obj = Object()
        signal.on_thread(executor).connect(obj.hear, once=True)
        barrier = threading.Barrier(8, timeout=30)

        def emit(signal: Any = signal, barrier: Any = barrier) -> None:
            barrier.wait()
            signal.emit(5)

        assert run_all(*[emit] * 8) == [None] * 8
        wait_until(lambda obj=obj: obj.heard)
        executor.submit(int).result(TIMEOUT)
        assert obj.heard == [(5,)]


def test_a_coroutine_in_an_executor(executor: Any, unraisable: list[Any]) -> None:
    """Nobody would await it there: an error, and no coroutine is left open."""
    signal = Signal()
    obj = Object()
    signal.on_thread(executor).connect(obj.hear_later)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        signal.emit()
        wait_until(lambda: unraisable)
        gc_collect_harder()
    assert [each.type for each in unraisable] == [TypeError]
    assert obj.heard == []


def test_errors_in_an_executor_are_reported(executor: Any, unraisable: list[Any]) -> None:
    signal = Signal()

    @signal.on_thread(executor).connect
    def listener() -> None:
        raise ZeroDivisionError

    signal.emit()
    wait_until(lambda: unraisable)
    assert [each.type for each in unraisable] == [ZeroDivisionError]
    assert signal.is_connected(listener)


def test_an_executor_that_is_shut_down() -> None:
    signal = Signal()
    executor = concurrent.futures.ThreadPoolExecutor(1)
    obj, other = Object(), Object()
    signal.on_thread(executor).connect(obj.hear)
    signal.connect(other.hear)
    executor.shutdown()
    with pytest.raises(ExceptionGroup) as caught:
        signal.emit(1)
    assert [type(each) for each in caught.value.exceptions] == [RuntimeError]
    assert obj.heard == []
    assert other.heard == [(1,)]


def test_a_process_wide_crowd_in_an_executor(executor: Any) -> None:
    signal = Signal()
    heard: list[Any] = []
    objects = [Object(heard) for _ in range(20)]
    for obj in objects:
        signal.on_thread(executor).connect(obj.hear)
    for x in range(20):
        signal.emit(x)
    wait_until(lambda: len(heard) == 400)


# --- stream


def test_stream() -> None:
    signal = Signal()

    async def consume() -> list[Any]:
        events = []
        stream = signal.stream()
        assert isinstance(stream, Stream)
        assert signal.has_listeners
        asyncio.get_running_loop().call_later(0.001, lambda: [signal.emit(x) for x in range(5)])
        async for event in stream:
            events.append(event)
            if len(events) == 5:
                break
        return events

    events = run(consume())
    assert events == [(x,) for x in range(5)]
    assert all(isinstance(event, tuple) for event in events)
    gc_collect_harder()
    assert not signal.has_listeners


def test_events() -> None:
    model, sender = Model(), Object()

    async def consume() -> None:
        stream, everyone = model.changed.stream(), Model.changed.stream()
        model.changed.emit(1, 2, x=3)
        model.changed.emit_from(sender, 4)
        Model.changed.emit()
        for each in (stream, everyone):
            event = await anext(each)
            first, second = event
            assert (first, second) == (1, 2)
            assert event.kwargs == {"x": 3}
            assert event.sender is model
            event = await anext(each)
            assert event == (4,)
            assert event.kwargs == {}
            assert event.sender is sender
        event = await anext(everyone)
        assert event == ()
        assert event.sender is None
        assert repr(event)

    run(consume())


@pytest.mark.parametrize("later", [False, True], ids=["emit", "emit_async"])
def test_the_keywords_of_an_event_are_its_own(later: bool) -> None:
    """They were the emission's: who changed them changed what others were called with."""
    signal = Signal()

    async def consume() -> None:
        first, second = signal.stream(), signal.stream()
        if later:
            await signal.emit_async(x=1)
        else:
            signal.emit(x=1)
        (await anext(first)).kwargs.clear()
        assert (await anext(second)).kwargs == {"x": 1}

    run(consume())


def test_a_stream_waits_without_being_held_elsewhere() -> None:
    """Only the frame of the loop refers to it, and the collector runs."""
    signal = Signal()
    heard: list[Any] = []

    async def consume() -> None:
        async for event in signal.stream():
            heard.append(event)
            if event == (2,):
                return

    async def main() -> None:
        task = asyncio.ensure_future(consume())
        for x in range(3):
            for _ in range(3):
                await asyncio.sleep(0)
            gc_collect_harder()
            signal.emit(x)
        await task

    run(main())
    assert heard == [(0,), (1,), (2,)]
    gc_collect_harder()
    assert not signal.has_listeners


@pytest.mark.parametrize(
    ("overflow", "kept"), [("drop_oldest", [7, 8, 9]), ("drop_newest", [0, 1, 2])]
)
def test_overflow(overflow: Any, kept: list[int]) -> None:
    signal = Signal()
    stream = signal.stream(3, overflow=overflow)
    assert stream.dropped == 0
    for x in range(10):
        signal.emit(x)
    assert stream.dropped == 7

    async def consume() -> list[Any]:
        found = [await anext(stream) for _ in range(3)]
        signal.emit(10)
        found.append(await anext(stream))
        return found

    assert run(consume()) == [(x,) for x in [*kept, 10]]
    assert stream.dropped == 7


def test_overflow_as_an_error() -> None:
    signal = Signal()
    other = Object()
    stream = signal.stream(2, overflow="error")
    signal.connect(other.hear)
    signal.emit(1)
    signal.emit(2)
    with pytest.raises(ExceptionGroup) as caught:
        signal.emit(3)
    assert [type(each) for each in caught.value.exceptions] == [asyncio.QueueFull]
    assert other.heard == [(1,), (2,), (3,)]

    async def consume() -> list[Any]:
        return [await anext(stream) for _ in range(2)]

    assert run(consume()) == [(1,), (2,)]
    signal.emit(4)


def test_wrong_options_of_a_stream() -> None:
    signal = Signal()
    for wrong in ("", "drop", None, 5):
        with pytest.raises(ValueError, match="overflow"):
            signal.stream(overflow=wrong)  # type: ignore[arg-type]  # that is the test
    assert not signal.has_listeners


def test_default_size_of_a_stream() -> None:
    signal = Signal()
    stream = signal.stream()
    for x in range(1030):
        signal.emit(x)
    assert stream.dropped == 6


def test_closing_a_stream_ends_it() -> None:
    signal = Signal()

    async def main() -> None:
        stream = signal.stream()
        ended: list[Any] = []

        async def consume() -> None:
            async for event in stream:
                ended.append(event)
            ended.append("end")

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0)
        signal.emit(1)
        while not ended:
            await asyncio.sleep(0)
        stream.close()
        await task
        assert ended == [(1,), "end"]
        assert not signal.has_listeners
        signal.emit(2)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        stream.close()

    run(main())


def test_closing_a_stream_from_another_thread() -> None:
    signal = Signal()

    async def main() -> None:
        stream = signal.stream()
        threading.Timer(0.01, stream.close).start()
        assert [event async for event in stream] == []

    run(main())


def test_a_stream_that_is_dropped() -> None:
    signal = Signal()
    stream: Any = signal.stream()
    died = weakref.ref(stream)
    argument: Any = Object()
    signal.emit(argument)
    argument_died = weakref.ref(argument)
    stream = argument = None
    gc_collect_harder()
    assert died() is None
    assert argument_died() is None
    assert not signal.has_listeners
    signal.emit(2)


def test_a_consumer_that_is_cancelled() -> None:
    signal = Signal()

    async def consume() -> None:
        async for _ in signal.stream():
            pass

    async def main() -> None:
        tasks = [asyncio.ensure_future(consume()) for _ in range(10)]
        await asyncio.sleep(0.001)
        assert signal.has_listeners
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        tasks.clear()
        del task
        await asyncio.sleep(0)  # asyncio holds the errors until then
        gc_collect_harder()
        assert not signal.has_listeners

    run(main())


def test_cancelled_waits_lose_nothing() -> None:
    signal = Signal()

    async def main() -> None:
        stream = signal.stream()
        found: list[int] = []
        numbers = itertools.count()
        loop = asyncio.get_running_loop()
        while len(found) < 100:
            waiter = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            if len(found) % 3 == 0:
                loop.call_soon(lambda: signal.emit(next(numbers)))
            else:
                signal.emit(next(numbers))
            if len(found) % 2:
                loop.call_soon(waiter.cancel)
            else:
                waiter.cancel()
            try:
                found += await waiter
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                found += await anext(stream)
        assert found == list(range(len(found)))

    run(main())


def test_several_streams_of_one_signal() -> None:
    signal = Signal()

    async def main() -> None:
        streams = [signal.stream() for _ in range(3)]
        for x in range(4):
            signal.emit(x)
        for stream in streams:
            assert [await anext(stream) for _ in range(4)] == [(0,), (1,), (2,), (3,)]
        streams[0].close()
        signal.emit(5)
        assert await anext(streams[1]) == (5,)

    run(main())


def test_two_consumers_of_one_stream() -> None:
    """Each event goes to one of them."""
    signal = Signal()

    async def main() -> None:
        stream = signal.stream()
        found: list[Any] = []

        async def consume() -> None:
            async for event in stream:
                found.append(event)

        tasks = [asyncio.ensure_future(consume()) for _ in range(2)]
        for x in range(20):
            await asyncio.sleep(0)
            signal.emit(x)
            signal.emit(x + 100)
        while len(found) < 40:
            await asyncio.sleep(0)
        stream.close()
        await asyncio.gather(*tasks)
        assert len(set(found)) == 40

    run(main())


def test_a_stream_in_one_loop_after_the_other() -> None:
    signal = Signal()
    stream = signal.stream()
    for x in range(3):

        async def consume(x: int = x) -> None:
            asyncio.get_running_loop().call_soon(signal.emit, x)
            assert await anext(stream) == (x,)

        run(consume())
    assert signal.has_listeners


def test_a_loop_closed_while_a_consumer_waits() -> None:
    """The waiter is gone with its loop; the stream works on in another."""
    signal = Signal()
    stream = signal.stream()
    loop = asyncio.new_event_loop()

    async def consume() -> Any:
        return await anext(stream)

    task = loop.create_task(consume())
    turn(loop)
    loop.call_exception_handler = lambda context: None  # type: ignore[method-assign]  # it says that the task was pending
    loop.close()
    signal.emit(1)
    signal.emit(2)

    async def again() -> list[Any]:
        return [await anext(stream) for _ in range(2)]

    assert run(again()) == [(1,), (2,)]
    assert not task.done()
    task.get_coro().close()  # type: ignore[union-attr]  # it has one
    del task, loop
    gc_collect_harder()


def test_a_stream_fed_by_eight_threads() -> None:
    signal = Signal()

    async def main() -> list[Any]:
        stream = signal.stream(10_000)

        def work(number: int) -> None:
            for x in range(100):
                signal.emit(number, x)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        found = [await anext(stream) for _ in range(800)]
        for thread in threads:
            thread.join(TIMEOUT)
        assert stream.dropped == 0
        return found

    found = run(main())
    assert len(set(found)) == 800
    for number in range(8):
        assert [x for who, x in found if who == number] == list(range(100))


def test_overflow_under_threads() -> None:
    """What was emitted either came or was counted."""
    signal = Signal()
    stream = signal.stream(16)
    run_all(*[lambda: [signal.emit(x) for x in range(200)]] * 8)

    async def rest() -> int:
        count = 0
        while True:
            try:
                await asyncio.wait_for(anext(stream), 0.01)
            except TimeoutError:
                return count
            count += 1

    assert run(rest()) == 16
    assert stream.dropped == 1600 - 16


def test_a_stream_hears_what_a_listener_would_hear() -> None:
    signal = Signal[int]()
    stream = signal.stream()
    with signal.blocked():
        signal.emit(1)
    with pytest.raises(TypeError):
        signal.emit()  # type: ignore[call-arg]  # that is the test
    signal.emit(2)
    signal.disconnect_all()
    signal.emit(3)

    async def consume() -> Any:
        return await anext(stream)

    assert run(consume()) == (2,)


def test_a_stream_and_emit_async() -> None:
    signal = Signal()

    async def main() -> None:
        stream = signal.stream()
        signal.connect(lambda x: x + 1)
        assert 6 in await signal.emit_async(5)
        assert await anext(stream) == (5,)

    run(main())


def test_a_stream_with_a_listener_that_fails() -> None:
    signal = Signal()

    @signal.connect
    def fails(x: int) -> None:
        raise ZeroDivisionError

    stream = signal.stream()
    with pytest.raises(ExceptionGroup):
        signal.emit(5)

    async def consume() -> Any:
        return await anext(stream)

    assert run(consume()) == (5,)


def test_events_that_emit_again() -> None:
    signal = Signal()

    async def main() -> list[Any]:
        found = []
        async for event in (stream := signal.stream()):
            found.append(event[0])
            if event[0] < 10:
                signal.emit(event[0] + 1)
            else:
                stream.close()
        return found

    async def begin() -> Any:
        task = asyncio.ensure_future(main())
        await asyncio.sleep(0)
        signal.emit(0)
        return await task

    assert run(begin()) == list(range(11))


@pytest.mark.skipif(PYPY, reason="finalizers come late there")
def test_a_stream_that_dies_within_an_emit() -> None:
    signal = Signal()
    streams: list[Any] = []

    @signal.connect
    def first() -> None:
        streams.clear()
        let_die()

    streams.append(signal.stream())
    signal.emit()
    signal.emit()
    gc.collect()
    signal.disconnect(first)
    assert not signal.has_listeners
