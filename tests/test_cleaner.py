"""`Cleaner`: what is registered is called once, never from within a death, whatever happens."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support import (
    FREE_THREADED,
    PYPY,
    REPEATS,
    TIMEOUT,
    Member,
    check_runs,
    collect_until,
    forks_with_threads,
    gc_collect_harder,
    let_die,
    members,
    run_all,
    run_python,
    wait_until,
)

from weakly import Cleaner, Cleanup


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def without_thread() -> Cleaner:
    """A cleaner whose loop never runs: nothing happens but what the test asks for."""
    loop = asyncio.new_event_loop()
    loop.close()
    return Cleaner(loop=loop)


@pytest.fixture
def calls() -> list[Any]:
    return []


# --- register


def test_called_when_the_object_has_died(calls: list[Any]) -> None:
    with Cleaner() as cleaner:
        member = Member(1)
        cleanup = cleaner.register(member, calls.append, 1)
        assert type(cleanup) is Cleanup
        assert cleanup.alive
        del member
        let_die()
        wait_until(lambda: calls == [1])
        wait_until(lambda: not cleanup.alive)
    assert calls == [1]


def test_arguments_are_passed(calls: list[Any]) -> None:
    def function(*args: Any, **kwargs: Any) -> None:
        calls.append((args, kwargs))

    with Cleaner() as cleaner:
        cleaner.register(Member(1), function, 1, 2, f=3, obj=4, self=5)
        let_die()
        wait_until(lambda: calls == [((1, 2), {"f": 3, "obj": 4, "self": 5})])


def test_called_in_a_thread_of_that_name(calls: list[Any]) -> None:
    with Cleaner(name="my cleaner") as cleaner:
        assert threads_named("my cleaner") == []
        cleaner.register(Member(1), lambda: calls.append(threading.current_thread()))
        let_die()
        wait_until(lambda: calls)
        assert calls == threads_named("my cleaner")
        assert calls[0].daemon
    wait_until(lambda: not threads_named("my cleaner"))


def test_never_from_within_the_death(calls: list[Any]) -> None:
    """The lock that the one who lets go holds can be taken by what is called."""
    lock = threading.Lock()

    def function() -> None:
        with lock:
            calls.append(1)

    with Cleaner() as cleaner:
        for label in range(REPEATS):
            member = Member(label)
            member.other = member
            cleaner.register(member, function)
            with lock:
                del member
                gc.collect()
        wait_until(lambda: len(calls) == REPEATS)


def test_many_for_one_object(calls: list[Any]) -> None:
    cleaner = without_thread()
    member = Member(1)
    some = [cleaner.register(member, calls.append, label) for label in range(10)]
    some[3].cancel()
    some[5]()
    del member
    let_die()
    assert cleaner.run_pending() == 8
    assert sorted(calls) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    cleaner.close()


@pytest.mark.parametrize("wrong", [1, "x", None, (), [], object()])
def test_object_that_cannot_be_referenced(wrong: Any) -> None:
    with Cleaner() as cleaner:
        with pytest.raises(TypeError, match=f"'{type(wrong).__name__}'"):
            cleaner.register(wrong, print)
        assert repr(cleaner) == "<Cleaner 'weakly cleaner': 0 registered>"


def test_wrong_arguments() -> None:
    with Cleaner() as cleaner:
        with pytest.raises(TypeError):
            cleaner.register()  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            cleaner.register(Member(1))  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="-1"):
            cleaner.run_pending(-1)


# --- Cleanup


def test_cancel(calls: list[Any]) -> None:
    with Cleaner() as cleaner:
        member = Member(1)
        cleanup = cleaner.register(member, calls.append, 1)
        assert cleanup.cancel()
        assert not cleanup.cancel()
        assert not cleanup.alive
        assert cleanup() is None
        del member
        let_die()
    assert calls == []


def test_call_makes_it_now_and_once(calls: list[Any]) -> None:
    with Cleaner() as cleaner:
        member = Member(1)
        cleanup = cleaner.register(member, lambda: calls.append(threading.get_ident()) or "result")
        assert cleanup() == "result"
        assert cleanup() is None
        assert not cleanup.cancel()
        assert not cleanup.alive
        del member
        let_die()
    assert calls == [threading.get_ident()]


def test_exception_of_a_call_comes_out() -> None:
    with Cleaner() as cleaner:
        member = Member(1)
        cleanup = cleaner.register(member, divmod, 1, 0)
        with pytest.raises(ZeroDivisionError):
            cleanup()
        assert not cleanup.alive


def test_cancelled_after_the_death(calls: list[Any]) -> None:
    cleaner = without_thread()
    cleanup = cleaner.register(Member(1), calls.append, 1)
    let_die()
    assert cleanup.alive
    assert cleanup.cancel()
    assert cleaner.run_pending() == 0
    cleaner.close()
    assert calls == []


def test_repr() -> None:
    cleaner = without_thread()
    member = Member(1)
    cleanup = cleaner.register(member, print)
    assert repr(cleanup) == "<Cleanup: calls <built-in function print>>"
    assert repr(cleaner) == "<Cleaner 'weakly cleaner': 1 registered>"
    cleanup.cancel()
    assert repr(cleanup) == "<Cleanup: done>"
    cleaner.close()
    assert repr(cleaner) == "<Cleaner 'weakly cleaner': closed>"


# --- run_pending


def test_run_pending(calls: list[Any]) -> None:
    cleaner = without_thread()
    for label in range(10):
        cleaner.register(Member(label), calls.append, label)
        let_die()
    assert cleaner.run_pending(0) == 0
    assert cleaner.run_pending(3) == 3
    assert calls == [0, 1, 2]
    assert cleaner.run_pending(max=4) == 4
    assert cleaner.run_pending() == 3
    assert cleaner.run_pending() == 0
    assert calls == list(range(10))
    cleaner.close()


# --- close


def test_close_runs_what_is_due_then_the_others_newest_first(calls: list[Any]) -> None:
    cleaner = without_thread()
    some = members(6)
    for member in some:
        cleaner.register(member, calls.append, member.label)
    del member
    for label in 1, 4:
        some[label] = None
        let_die()
    cleaner.close()
    assert calls == [1, 4, 5, 3, 2, 0]
    cleaner.close()
    assert len(calls) == 6


def test_close_that_cancels(calls: list[Any]) -> None:
    cleaner = without_thread()
    kept = Member(1)
    cleanup = cleaner.register(kept, calls.append, 1)
    cleaner.register(Member(2), calls.append, 2)
    let_die()
    cleaner.close(cancel=True)
    assert calls == [2]
    assert not cleanup.alive
    del kept
    let_die()
    assert calls == [2]


@pytest.mark.parametrize("used", [False, True])
def test_registering_after_close(calls: list[Any], used: bool) -> None:
    cleaner = Cleaner()
    if used:
        cleaner.register(Member(1), calls.append, 1)
        let_die()
    cleaner.close()
    assert calls == [1] * used
    with pytest.raises(RuntimeError, match="closed"):
        cleaner.register(Member(1), calls.append, 2)
    assert cleaner.run_pending() == 0
    with cleaner:
        pass
    assert calls == [1] * used


def test_close_waits_for_what_the_thread_is_at(calls: list[Any]) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        go_on.wait(TIMEOUT)
        calls.append("slow")

    cleaner = Cleaner()
    kept = Member(1)
    cleaner.register(kept, calls.append, "kept")
    cleaner.register(Member(2), slow)
    let_die()
    assert begun.wait(TIMEOUT)
    closing = threading.Thread(target=cleaner.close)
    closing.start()
    wait_until(lambda: "closed" in repr(cleaner))
    assert calls == []
    go_on.set()
    closing.join(TIMEOUT)
    assert calls == ["slow", "kept"]


def test_close_from_within_a_cleanup(calls: list[Any]) -> None:
    cleaner = Cleaner(name="closing")
    kept = Member(1)
    cleaner.register(kept, calls.append, "kept")
    cleaner.register(Member(2), lambda: (cleaner.close(), calls.append("closed")))
    let_die()
    wait_until(lambda: calls == ["kept", "closed"])
    wait_until(lambda: not threads_named("closing"))


def test_cleanups_that_register_while_it_is_closed(calls: list[Any], unraisable: list[Any]) -> None:
    cleaner = without_thread()
    kept = Member(1)
    cleaner.register(kept, lambda: cleaner.register(kept, calls.append, 1))
    cleaner.close()
    assert calls == []
    assert [each.type for each in unraisable] == [RuntimeError]


def test_with_block_that_raises(calls: list[Any]) -> None:
    kept = Member(1)
    cleaner = Cleaner()
    cleaner.register(kept, calls.append, 1)
    with pytest.raises(ZeroDivisionError), cleaner:
        divmod(1, 0)
    assert calls == [1]


# --- exceptions


def test_exceptions_go_to_unraisablehook_and_stop_nothing(
    calls: list[Any], unraisable: list[Any]
) -> None:
    def fail(error: type[BaseException], label: int) -> None:
        calls.append(label)
        raise error(label)

    errors = [ValueError, KeyError, RuntimeError]
    with Cleaner() as cleaner:
        for label, error in enumerate([*errors, SystemExit, KeyboardInterrupt]):
            cleaner.register(Member(label), fail, error, label)
            let_die()
        wait_until(lambda: len(calls) == len(unraisable) == 5)
        kept = Member(5)
        cleaner.register(kept, fail, OSError, 5)
    assert sorted(calls) == [0, 1, 2, 3, 4, 5]
    assert {each.type for each in unraisable} == {
        *errors,
        SystemExit,
        KeyboardInterrupt,
        OSError,
    }


def test_an_interrupt_in_close_loses_nothing(calls: list[Any]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    cleaner = without_thread()
    kept = Member(1)
    cleaner.register(kept, calls.append, 1)
    cleaner.register(kept, interrupt)
    with pytest.raises(KeyboardInterrupt):
        cleaner.close()
    assert calls == []
    cleaner.close()
    assert calls == [1]


# --- what lives and what does not


def test_function_and_arguments_go_when_it_is_over() -> None:
    class Function:
        def __call__(self, argument: Any) -> None:
            pass

    for end in "death", "call", "cancel", "close", "drop":
        cleaner = without_thread() if end != "death" else Cleaner()
        member, argument, function = Member(1), Member(2), Function()
        watches = weakref.ref(argument), weakref.ref(function)
        cleanup = cleaner.register(member, function, argument)
        del argument, function
        gc_collect_harder()
        assert all(watch() is not None for watch in watches)
        if end == "death":
            del member
            let_die()
            wait_until(lambda: not cleanup.alive)  # noqa: B023  # called at once
        elif end == "call":
            cleanup()
        elif end == "cancel":
            cleanup.cancel()
        else:
            cleaner.close(cancel=end == "drop")
        wait_until(lambda: let_die() or watches[0]() is watches[1]() is None)  # noqa: B023
        cleaner.close()


def test_a_cleaner_that_nobody_holds_goes_on_until_its_last_object_has_died(
    calls: list[Any],
) -> None:
    cleaner = Cleaner(name="left alone")
    some = members(2)
    for member in some:
        cleaner.register(member, calls.append, member.label)
    watch = weakref.ref(cleaner)
    del cleaner, member
    let_die()
    assert watch() is None
    some.pop()
    let_die()
    wait_until(lambda: calls == [1])
    assert threads_named("left alone")
    some.pop()
    let_die()
    wait_until(lambda: calls == [1, 0])
    wait_until(lambda: not threads_named("left alone"))


@pytest.mark.parametrize("end", ["dropped", "cancelled"])
def test_an_idle_cleaner_that_is_dropped_leaves_nothing(end: str) -> None:
    cleaner = Cleaner(name="idle")
    member = Member(1)
    cleanup = cleaner.register(member, print)
    watches = weakref.ref(cleaner), weakref.ref(cleaner._work)
    if end == "dropped":
        cleanup.cancel()
        del cleaner
    else:
        del cleaner
        let_die()
        wait_until(lambda: threads_named("idle"))
        cleanup.cancel()
    del cleanup
    let_die()
    wait_until(lambda: not threads_named("idle"))
    wait_until(lambda: gc.collect() is None or not any(watch() for watch in watches))


def test_many_cleaners_come_and_go() -> None:
    watches = []
    for label in range(REPEATS):
        cleaner = Cleaner(name="one of many")
        cleaner.register(Member(label), int)
        let_die()
        watches.append(weakref.ref(cleaner._work))
        if label % 2:
            cleaner.close()
        del cleaner
    let_die()
    wait_until(lambda: not threads_named("one of many"))
    wait_until(lambda: gc.collect() is None or not any(watch() for watch in watches))


# --- a model of it


class Machine(RuleBasedStateMachine):
    """Each call is made once, for the dead in the order of their deaths."""

    def __init__(self) -> None:
        super().__init__()
        self.cleaner = without_thread()
        self.calls: list[int] = []
        self.expected: list[int] = []
        self.alive: dict[int, Member] = {}
        self.registered: dict[int, Cleanup] = {}
        self.due: list[int] = []
        self.next = 0

    @rule(cycle=st.booleans())
    def register(self, cycle: bool) -> None:
        self.next += 1
        member = Member(self.next)
        if cycle:
            member.other = member
        self.registered[self.next] = self.cleaner.register(member, self.calls.append, self.next)
        self.alive[self.next] = member

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def kill(self, data: Any) -> None:
        label = data.draw(st.sampled_from(list(self.alive)))
        del self.alive[label]
        gc.collect()
        let_die()
        if label in self.registered:
            self.due.append(label)

    @precondition(lambda self: self.registered)
    @rule(data=st.data(), call=st.booleans())
    def take(self, data: Any, call: bool) -> None:
        label = data.draw(st.sampled_from(list(self.registered)))
        cleanup = self.registered.pop(label)
        if label in self.due:
            self.due.remove(label)
        if call:
            cleanup()
            self.expected.append(label)
        else:
            assert cleanup.cancel()

    @rule(count=st.none() | st.integers(0, 3))
    def run_pending(self, count: int | None) -> None:
        some = self.due[: len(self.due) if count is None else count]
        assert self.cleaner.run_pending(count) == len(some)
        self._ran(some)

    @rule(cancel=st.booleans())
    def close(self, cancel: bool) -> None:
        self.cleaner.close(cancel=cancel)
        self._ran(list(self.due))
        self._ran([] if cancel else list(reversed(self.registered)))
        self.registered.clear()
        self.cleaner = without_thread()

    def _ran(self, labels: list[int]) -> None:
        self.expected += labels
        for label in labels:
            del self.registered[label]
            if label in self.due:
                self.due.remove(label)

    @invariant()
    def same(self) -> None:
        assert self.calls == self.expected
        assert all(cleanup.alive for cleanup in self.registered.values())

    def teardown(self) -> None:
        self.cleaner.close(cancel=True)


TestMachine = Machine.TestCase


# --- re-entrancy and threads


def test_cleanups_that_use_the_cleaner(calls: list[Any]) -> None:
    kept: list[Any] = []
    with Cleaner() as cleaner:

        def again(depth: int) -> None:
            calls.append(depth)
            if depth:
                cleaner.register(Member(depth), again, depth - 1)
                member = Member(0)
                kept.append(member)
                cleaner.register(member, calls.append, "never").cancel()
                let_die()
                cleaner.run_pending()

        cleaner.register(Member(0), again, 20)
        let_die()
        wait_until(lambda: len(calls) == 21)
    assert calls == list(range(20, -1, -1))


def test_registered_by_destructors_in_the_middle_of_everything(calls: list[Any]) -> None:
    with Cleaner() as cleaner:

        class Late(Member):
            def __del__(self) -> None:
                cleaner.register(Member(0), calls.append, self.label)

        if not PYPY:
            gc.set_threshold(1)
        for label in range(300):
            member = Late(label)
            member.other = member
        del member
        collect_until(lambda: len(calls) == 300)
    assert sorted(calls) == list(range(300))


def test_registering_in_many_threads() -> None:
    count = 100 if PYPY or FREE_THREADED else 1000
    done: dict[tuple[str, int], int] = {}

    def note(name: str, label: int) -> None:
        done[name, label] = done.get((name, label), 0) + 1

    cancelled: set[Any] = set()
    with Cleaner() as cleaner:

        def work(name: str) -> None:
            for label in range(count):
                member = Member(label)
                cleanup = cleaner.register(member, note, name, label)
                if label % 3 == 0:
                    member.other = member
                del member
                if label % 5 == 0 and cleanup.cancel():
                    cancelled.add((name, label))
                if label % 7 == 0:
                    cleaner.run_pending()

        results = run_all(*[lambda name=name: work(name) for name in "abcd"])
        assert results == [None] * 4
    assert set(done.values()) == {1}
    assert done.keys() | cancelled == {(name, label) for name in "abcd" for label in range(count)}
    assert not done.keys() & cancelled


def test_closing_against_registering(calls: list[Any]) -> None:
    """What register() has accepted is called, what it has refused is not."""
    for _ in range(30):
        calls.clear()
        cleaner = Cleaner()
        kept = members(50)

        def register(cleaner: Cleaner = cleaner, kept: list[Any] = kept) -> int:
            for member in kept:
                try:
                    cleaner.register(member, calls.append, member.label)
                except RuntimeError:
                    return int(member.label)
            return len(kept)

        accepted, _, _ = run_all(register, cleaner.close, cleaner.close)
        cleaner.close()
        wait_until(lambda: sorted(calls) == list(range(accepted)))  # noqa: B023


def test_call_cancel_and_death_at_the_same_time(calls: list[Any]) -> None:
    with Cleaner() as cleaner:
        for label in range(5 * REPEATS):
            kept = [Member(label)]
            cleanup = cleaner.register(kept[0], calls.append, label)
            _, cancelled, _ = run_all(kept.clear, cleanup.cancel, cleanup)
            let_die()
            assert not cleanup.alive
            if cancelled:
                assert label not in calls
            else:
                wait_until(lambda: calls.count(label) == 1)  # noqa: B023  # called at once
    assert len(calls) == len(set(calls))


def test_closed_in_the_middle_of_registering() -> None:
    """By a signal handler, before the thread was started, for which it waited for ever."""
    code = """
import faulthandler, itertools
from pathlib import Path
import weakly
faulthandler.dump_traceback_later(50, exit=True)
home = str(Path(weakly.__file__).parent)
def trace(frame, event, _):
    global left
    if not frame.f_code.co_filename.startswith(home):
        return None
    if event == "line":
        left -= 1
        if left == 0:
            sys.settrace(None)
            cleaner.close()
    return trace
for place in itertools.count(1):
    cleaner, calls, left = Cleaner(), [], place
    sys.settrace(trace)
    try:
        cleaner.register(things[0], calls.append, 1)
    except RuntimeError:
        calls.append("refused")
    finally:
        sys.settrace(None)
    if left:
        break
    assert calls in ([1], ["refused"]), (place, calls)
cleaner.close()
say(place > 20)
"""
    assert at_exit(code) == ["True"]


# --- in a loop


def test_called_by_the_loop(calls: list[Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        cleaner = Cleaner(loop=loop)

        def function(label: int) -> None:
            calls.append((label, threading.get_ident()))
            assert asyncio.get_running_loop() is loop
            if len(calls) == 250:
                done.set()

        def kill() -> None:
            for label in range(250):
                cleaner.register(Member(label), function, label)
            let_die()

        await loop.run_in_executor(None, kill)
        await asyncio.wait_for(done.wait(), TIMEOUT)
        cleaner.close()

    asyncio.run(main())
    assert sorted(calls) == [(label, threading.get_ident()) for label in range(250)]


def test_first_registered_in_many_threads_at_once(calls: list[Any]) -> None:
    """The loop is told of a death once, however many threads were the first."""

    class Counting:
        def __init__(self) -> None:
            self.told = 0

        def call_soon_threadsafe(self, function: Any) -> None:
            self.told += 1
            function()

        def is_closed(self) -> bool:
            return False

    for _ in range(2 if PYPY else 10):
        calls.clear()
        loop: Any = Counting()
        cleaner = Cleaner(loop=loop)
        kept = members(4)
        barrier = threading.Barrier(4)

        def register(
            member: Any,
            cleaner: Cleaner = cleaner,
            barrier: threading.Barrier = barrier,
        ) -> None:
            barrier.wait()
            cleaner.register(member, calls.append, member.label)

        run_all(*[lambda at=at: register(kept[at]) for at in range(4)])  # noqa: B023
        for died in range(1, 5):
            kept.pop()
            let_die()
            wait_until(lambda: len(calls) == died)  # noqa: B023  # called at once
            assert loop.told <= died  # two can be seen to at once
        cleaner.close()


def test_the_loop_has_its_turn_between_many(calls: list[Any]) -> None:
    async def main() -> None:
        cleaner = Cleaner(loop=asyncio.get_running_loop())
        for label in range(1000):
            cleaner.register(Member(label), calls.append, label)
        let_die()
        seen = set()
        while len(calls) < 1000:
            seen.add(len(calls))
            await asyncio.sleep(0)
        assert len(seen) > 5
        cleaner.close()

    asyncio.run(main())


def test_a_loop_closed_with_work_pending(calls: list[Any]) -> None:
    loop = asyncio.new_event_loop()
    cleaner = Cleaner(loop=loop)
    kept = Member("kept")
    cleaner.register(kept, calls.append, "kept")
    cleaner.register(Member(1), calls.append, "before")
    let_die()
    loop.close()
    cleaner.register(Member(2), calls.append, "after")
    let_die()
    assert calls == []
    cleaner.close()
    assert calls == ["before", "after", "kept"]


def test_errors_in_the_loop(unraisable: list[Any]) -> None:
    async def main() -> None:
        cleaner = Cleaner(loop=asyncio.get_running_loop())
        done = asyncio.Event()
        cleaner.register(Member(1), divmod, 1, 0)
        let_die()
        cleaner.register(Member(2), done.set)
        let_die()
        await asyncio.wait_for(done.wait(), TIMEOUT)
        cleaner.close()

    asyncio.run(main())
    assert [each.type for each in unraisable] == [ZeroDivisionError]


def test_a_cleaner_of_a_loop_leaves_nothing() -> None:
    async def main() -> list[weakref.ref[Any]]:
        cleaner = Cleaner(loop=asyncio.get_running_loop())
        done = asyncio.Event()
        cleaner.register(Member(1), done.set)
        watch = weakref.ref(cleaner._work)
        del cleaner
        let_die()
        await asyncio.wait_for(done.wait(), TIMEOUT)
        return [watch]

    watches = asyncio.run(main())
    wait_until(lambda: gc.collect() is None or not watches[0]())


# --- exit


PROGRAM = """
import asyncio, gc, os, sys, threading, time, warnings
from weakly import Cleaner, finalize
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside a thread
class Thing: pass
def say(*words):  # in one piece, whoever else says something
    os.write(1, " ".join(map(str, words)).encode() + b"\\n")
things = [Thing() for _ in range(4)]
"""


def at_exit(code: str) -> list[str]:
    return check_runs(PROGRAM + code, timeout=TIMEOUT).splitlines()


def test_exit_runs_everything_newest_first() -> None:
    code = """
one, two = Cleaner(), Cleaner()
for label in range(3):
    one.register(things[label], say, "one", label)
    two.register(things[label], say, "two", label)
say("end")
"""
    assert at_exit(code) == [
        "end",
        *[f"two {label}" for label in (2, 1, 0)],
        *[f"one {label}" for label in (2, 1, 0)],
    ]


def test_exit_runs_what_has_just_died() -> None:
    code = """
cleaner = Cleaner()
for label in range(100):
    cleaner.register(Thing(), say, label)
gc.collect()
"""
    assert sorted(map(int, at_exit(code))) == list(range(100))


def test_exit_of_a_cleaner_that_nobody_holds() -> None:
    code = """
def use():
    Cleaner().register(things[0], say, "cleaned")
use()
gc.collect()
say("end")
"""
    assert at_exit(code) == ["end", "cleaned"]


@pytest.mark.parametrize("first", ["finalizer", "cleaner"])
def test_exit_beside_finalizers(first: str) -> None:
    """What was used last comes first, and each can use the other."""
    lines = [
        'finalize(things[0], lambda: cleaner.register(Thing(), say, "from a finalizer"))',
        'cleaner.register(things[1], lambda: finalize(Thing(), say, "from the cleaner"))',
    ]
    code = "cleaner = Cleaner()\n" + "\n".join(lines if first == "finalizer" else lines[::-1])
    result = run_python(PROGRAM + code, timeout=TIMEOUT)
    assert result.returncode == 0
    if first == "finalizer":  # the cleaner is closed when the finalizer runs
        assert result.stdout.splitlines() == ["from the cleaner"]
        assert "the cleaner is closed" in result.stderr
    else:
        assert result.stdout.splitlines() == ["from a finalizer"]


def test_exit_with_exceptions() -> None:
    code = """
cleaner = Cleaner()
cleaner.register(things[0], say, "still called")
cleaner.register(things[1], divmod, 1, 0)
"""
    result = run_python(PROGRAM + code, timeout=TIMEOUT)
    assert (result.returncode, result.stdout) == (0, "still called\n")
    assert "ZeroDivisionError" in result.stderr


def test_exit_with_a_cleanup_that_exits() -> None:
    """SystemExit came through: what was left of that cleaner and of the others was not called."""
    code = """
one, two = Cleaner(), Cleaner()
one.register(things[0], say, "one")
two.register(things[1], say, "two")
two.register(things[2], sys.exit, "exits")
"""
    result = run_python(PROGRAM + code, timeout=TIMEOUT)
    assert (result.returncode, result.stdout) == (0, "two\none\n")
    assert "SystemExit: exits" in result.stderr


def test_exit_while_the_thread_is_at_something() -> None:
    code = """
cleaner = Cleaner()
begun = threading.Event()
def slow():
    begun.set()
    time.sleep(0.2)
    say("slow")
cleaner.register(things[0], say, "kept")
cleaner.register(Thing(), slow)
gc.collect()
begun.wait()
"""
    assert at_exit(code) == ["slow", "kept"]


def test_first_registered_while_the_interpreter_exits() -> None:
    code = """
import atexit
cleaner = Cleaner()
cleaner.register(things[1], say, "two").cancel()
def late():
    other = Cleaner()
    other.register(things[0], say, "late")
    other.close()
atexit.register(late)
"""
    assert at_exit(code) == ["late"]


def test_exit_with_a_loop_that_runs_no_more() -> None:
    code = """
async def main():
    global cleaner
    cleaner = Cleaner(loop=asyncio.get_running_loop())
    cleaner.register(things.pop(), say, "died later")
    cleaner.register(things.pop(), say, "never died")
    kept.append(things.pop())
kept = []
asyncio.run(main())
"""
    assert sorted(at_exit(code)) == ["died later", "never died"]


# --- fork


@forks_with_threads
@pytest.mark.parametrize("kept", [False, True], ids=["", "in_child"])
def test_fork(kept: bool) -> None:
    code = f"""
cleaner = Cleaner(in_child={kept})
cleanup = cleaner.register(things[0], say, "zero")
cleaner.register(things[1], say, "one")
pid = os.fork()
if pid:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    say("parent", cleanup.alive)
    cleaner.close()
else:
    say("child", cleanup.alive)
    things[1] = None
    gc.collect()
    cleaner.run_pending() if not {kept} else None
    things[2], died = None, threading.Event()
    thing = Thing()
    cleaner.register(thing, died.set)
    del thing
    gc.collect()
    assert died.wait(60), "no thread"
"""
    child = ["child True", "one", "zero"] if kept else ["child False"]
    assert at_exit(code) == [*child, "parent True", "one", "zero"]


@forks_with_threads
def test_fork_while_the_thread_is_at_something() -> None:
    """The parent's call is not made by the child, and no lock of the parent's hangs it."""
    code = """
cleaner = Cleaner(in_child=True)
begun, go_on = threading.Event(), threading.Event()
def slow():
    begun.set()
    go_on.wait()
    say("slow")
cleaner.register(things[0], say, "kept")
cleaner.register(Thing(), slow)
gc.collect()
begun.wait()
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
    go_on.set()
"""
    assert at_exit(code) == ["kept", "slow", "kept"]


@forks_with_threads
def test_fork_in_a_cleanup() -> None:
    code = """
cleaner = Cleaner()
forked = threading.Event()
def fork():
    pid = os.fork()
    if not pid:
        say("child")
        cleaner.close()
        os._exit(0)
    os.waitpid(pid, 0)
    forked.set()
cleaner.register(things[0], say, "kept")
cleaner.register(Thing(), fork)
gc.collect()
assert forked.wait(60)
"""
    assert at_exit(code) == ["child", "kept"]
