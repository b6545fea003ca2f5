"""`ReferenceQueue`: every death once, in order, to whoever asks and however."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
import weakref
from collections import deque
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support import (
    COUNTS_REFERENCES,
    FREE_THREADED,
    PYPY,
    TIMEOUT,
    Member,
    Unhashable,
    check_runs,
    gc_collect_harder,
    let_die,
    members,
    run_all,
    wait_until,
)

from weakly import ReferenceQueue, TrackedRef

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
in_order = pytest.mark.skipif(not COUNTS_REFERENCES, reason="deaths have no order there")


@pytest.fixture
def queue() -> ReferenceQueue[Any]:
    return ReferenceQueue()


# --- one thread


def test_a_death_gives_the_token_once(queue: ReferenceQueue[Any]) -> None:
    member = Member(1)
    tracked = queue.track(member, "token")
    assert (queue.tracked, len(queue), queue.poll()) == (1, 0, None)
    del member
    let_die()
    assert (queue.tracked, len(queue)) == (0, 1)
    assert queue.poll() == "token"
    assert queue.poll() is None
    assert queue.poll("nothing") == "nothing"
    assert tracked.token == "token"
    queue._check()


def test_the_reference(queue: ReferenceQueue[Any]) -> None:
    member = Member(1)
    tracked = queue.track(member, "token")
    assert type(tracked) is TrackedRef
    assert isinstance(tracked, weakref.ref)
    assert tracked() is member
    assert tracked == weakref.ref(member)
    assert tracked.token == "token"
    with pytest.raises(AttributeError):
        tracked.token = 1
    del member
    let_die()
    assert tracked() is None


def test_references_are_made_by_queues_only() -> None:
    with pytest.raises(TypeError):
        TrackedRef(Member(1))


@in_order
def test_tokens_come_in_the_order_of_the_deaths(queue: ReferenceQueue[Any]) -> None:
    some = members(100)
    for member in some:
        queue.track(member, member.label)
    order = [*range(50, 100), *range(49, -1, -1)]
    for label in order:
        some[label] = None
        member = None
    assert queue.drain() == order


def test_without_a_token(queue: ReferenceQueue[Any]) -> None:
    queue.track(Member(1))
    let_die()
    assert len(queue) == 1
    assert queue.poll("default") is None
    assert queue.poll("default") == "default"


def test_tracked_several_times_is_recorded_as_often(queue: ReferenceQueue[Any]) -> None:
    member = Member(1)
    some = [queue.track(member, label) for label in "abca"]
    assert len(set(map(id, some))) == 4
    some[1].cancel()
    assert queue.tracked == 3
    del member
    let_die()
    assert sorted(queue.drain()) == ["a", "a", "c"]


def test_cancel(queue: ReferenceQueue[Any]) -> None:
    member = Member(1)
    tracked = queue.track(member, "token")
    assert tracked.cancel()
    assert not tracked.cancel()
    assert queue.tracked == 0
    assert tracked() is member
    del member
    let_die()
    assert len(queue) == 0


def test_cancel_comes_too_late(queue: ReferenceQueue[Any]) -> None:
    tracked = queue.track(Member(1), "token")
    let_die()
    assert not tracked.cancel()
    assert queue.poll() == "token"


def test_drain(queue: ReferenceQueue[Any]) -> None:
    for label in range(10):
        queue.track(Member(label), label)
        let_die()
    assert queue.drain(0) == []
    assert queue.drain(3) == [0, 1, 2]
    assert queue.drain(max=1) == [3]
    assert queue.drain(100) == [4, 5, 6, 7, 8, 9]
    assert queue.drain() == queue.drain(5) == queue.drain(None) == []


@pytest.mark.parametrize("wrong", [1, "x", None, (), [], object()])
def test_object_that_cannot_be_tracked(queue: ReferenceQueue[Any], wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"'{type(wrong).__name__}'"):
        queue.track(wrong, "token")
    assert queue.tracked == 0
    queue._check()


def test_wrong_arguments(queue: ReferenceQueue[Any]) -> None:
    with pytest.raises(TypeError):
        queue.track()  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        queue.track(Member(1), 2, 3)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        ReferenceQueue(1)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"at least 0|negative"):
        queue.drain(-1)
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            queue.get(wrong)


def test_unhashable_object(queue: ReferenceQueue[Any]) -> None:
    queue.track(Unhashable(), "token").token  # noqa: B018  # no error
    let_die()
    assert queue.drain() == ["token"]


def test_repr_shows_the_numbers(queue: ReferenceQueue[Any]) -> None:
    member = Member(1)
    queue.track(member)
    queue.track(Member(2))
    let_die()
    assert repr(queue) == "<ReferenceQueue: 1 tracked, 1 dead>"


def test_subclass_with_attributes() -> None:
    class Mine(ReferenceQueue[str]):
        def __init__(self, name: str) -> None:
            self.name = name

    queue = Mine("mine")
    queue.track(Member(1), "token")
    let_die()
    assert (queue.name, queue.get(0)) == ("mine", "token")
    assert repr(queue) == "<Mine: 0 tracked, 0 dead>"


def test_callback_called_by_hand_records_nothing(queue: ReferenceQueue[Any]) -> None:
    member = Member(1)
    tracked: Any = queue.track(member, "token")
    if tracked.__callback__ is not None:
        tracked.__callback__(tracked)
    assert (queue.tracked, len(queue)) == (1, 0)
    queue._check()


# --- what lives and what does not


def test_token_lives_until_it_is_taken(queue: ReferenceQueue[Any]) -> None:
    member, token = Member(1), Member("token")
    watch = weakref.ref(token)
    queue.track(member, token)
    del token
    gc_collect_harder()
    assert watch() is not None
    del member
    let_die()
    assert watch() is not None
    assert queue.poll().label == "token"
    let_die()
    assert watch() is None


def test_token_goes_when_its_tracking_is_cancelled(queue: ReferenceQueue[Any]) -> None:
    member, token = Member(1), Member("token")
    watch = weakref.ref(token)
    queue.track(member, token).cancel()
    del token
    let_die()
    assert watch() is None


def test_token_that_refers_to_the_object_keeps_it(queue: ReferenceQueue[Any]) -> None:
    member = Member(1)
    watch = weakref.ref(member)
    tracked = queue.track(member, [member])
    del member
    gc_collect_harder()
    assert watch() is not None
    tracked.cancel()
    del tracked
    gc_collect_harder()
    assert watch() is None


def test_does_not_need_the_reference_to_be_kept(queue: ReferenceQueue[Any]) -> None:
    member = Member(1)
    queue.track(member, "token")
    gc_collect_harder()
    del member
    let_die()
    assert queue.drain() == ["token"]


def test_a_queue_that_goes_takes_its_tokens_along() -> None:
    queue: ReferenceQueue[Any] = ReferenceQueue()
    member, tokens = Member(1), members(3)
    watches = [weakref.ref(token) for token in tokens]
    queue.track(member, tokens.pop())
    tracked = queue.track(member)
    queue.track(Member(2), tokens.pop())
    let_die()
    watch = weakref.ref(queue)
    del queue, tokens
    gc_collect_harder()
    assert watch() is None
    assert not any(each() for each in watches)
    assert not tracked.cancel()
    del member
    let_die()
    assert tracked() is None


def test_a_queue_in_a_garbage_cycle_with_its_object() -> None:
    queue: ReferenceQueue[Any] = ReferenceQueue()
    member = Member(1)
    member.other = queue
    queue.track(member, queue)
    watches = weakref.ref(queue), weakref.ref(member)
    del queue, member
    gc_collect_harder()
    # The token is the queue, which the object leads to: a cycle, and nothing else.
    assert [each() for each in watches] == [None, None]


def test_objects_in_garbage_cycles(queue: ReferenceQueue[Any]) -> None:
    some = members(1000)
    for member in some:
        member.other = some
        queue.track(member, member.label)
    del some, member
    gc_collect_harder()
    assert sorted(queue.drain()) == list(range(1000))
    assert queue.tracked == 0


def test_object_that_is_resurrected_by_its_destructor(queue: ReferenceQueue[Any]) -> None:
    """It dies twice where the interpreter clears the references after the destructor."""
    kept: list[Any] = []

    class Phoenix:
        def __del__(self) -> None:
            kept.append(self)

    queue.track(Phoenix(), "token")
    let_die()
    assert len(kept) == 1
    kept.clear()
    let_die()
    assert queue.drain() == ["token"]


def test_tracked_by_a_destructor_in_a_garbage_cycle(queue: ReferenceQueue[Any]) -> None:
    """CPython 3.14.3 and later clear such a reference without calling back."""

    class Late(Member):
        def __del__(self) -> None:
            queue.track(self.other, "late")

    for label in range(20):
        one, two = Late(label), Member(label)
        one.other, two.other = two, one
        del one, two
        gc_collect_harder()
    assert queue.tracked == 0
    assert queue.drain() == ["late"] * 20
    queue._check()


def test_a_hundred_thousand_leave_nothing(queue: ReferenceQueue[Any]) -> None:
    for _ in range(3):
        some = members(30_000)
        for member in some:
            queue.track(member, member.label)
        some[0].other = some
        del some, member
        gc_collect_harder()
        assert sorted(queue.drain()) == list(range(30_000))
        assert (queue.tracked, len(queue)) == (0, 0)
    queue._check()


@pytest.mark.slow
def test_a_million_deaths_in_one_collection(queue: ReferenceQueue[Any]) -> None:
    count = 1_000_000
    some = members(count)
    for member in some:
        member.other = some
        queue.track(member, member.label)
    del some, member
    gc_collect_harder()
    assert len(queue) == count
    assert sorted(queue.drain()) == list(range(count))


# --- a model of it


class Machine(RuleBasedStateMachine):
    """Whatever is done, the tokens of the dead come out as from a list."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: ReferenceQueue[int] = ReferenceQueue()
        self.alive: dict[int, Member] = {}
        self.tracked: dict[int, TrackedRef[Any]] = {}
        self.dead: list[int] = []
        self.next = 0

    @rule(cycle=st.booleans())
    def make(self, cycle: bool) -> None:
        self.next += 1
        member = Member(self.next)
        if cycle:
            member.other = member
        self.tracked[self.next] = self.queue.track(member, self.next)
        self.alive[self.next] = member

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def kill(self, data: Any) -> None:
        label = data.draw(st.sampled_from(list(self.alive)))
        del self.alive[label]
        gc.collect()
        let_die()
        if label in self.tracked:
            del self.tracked[label]
            self.dead.append(label)

    @precondition(lambda self: self.tracked)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        assert self.tracked.pop(data.draw(st.sampled_from(list(self.tracked)))).cancel()

    @rule()
    def poll(self) -> None:
        expected = self.dead.pop(0) if self.dead else None
        assert self.queue.poll() == expected

    @precondition(lambda self: self.dead)
    @rule()
    def get(self) -> None:
        assert self.queue.get(0) == self.dead.pop(0)

    @rule(count=st.none() | st.integers(0, 4))
    def drain(self, count: int | None) -> None:
        end = len(self.dead) if count is None else count
        assert self.queue.drain(count) == self.dead[:end]
        del self.dead[:end]

    @invariant()
    def same(self) -> None:
        self.queue._check()
        assert len(self.queue) == len(self.dead)
        assert self.queue.tracked == len(self.tracked)


TestMachine = Machine.TestCase


# --- re-entrancy


@pytest.mark.parametrize("action", ["poll", "drain", "track", "cancel", "len", "die", "check"])
def test_used_from_within_deaths(queue: ReferenceQueue[Any], action: str) -> None:
    taken: list[Any] = []
    others = deque(members(200))
    tracked = deque(queue.track(other, ("other", other.label)) for other in others)
    cancelled: list[Any] = []

    class Actor(Member):
        def __del__(self) -> None:
            if action == "poll":
                taken.extend(filter(None, [queue.poll()]))
            elif action == "drain":
                taken.extend(queue.drain(2))
            elif action == "track":
                queue.track(Member("new"), ("new", self.label))
            elif action == "cancel":
                reference = tracked.pop()
                cancelled.append(reference.token)
                assert reference.cancel()
            elif action == "len":
                assert len(queue) + queue.tracked >= 0
            elif action == "die":
                others.popleft()
            else:
                queue._check()

    for label in range(100):
        actor = Actor(label)
        if label % 2:
            actor.other = actor
        queue.track(actor, ("actor", label))
        del actor
    gc_collect_harder()
    queue._check()
    others.clear()
    gc_collect_harder()
    taken += queue.drain()
    expected = [("actor", label) for label in range(100)]
    expected += [("other", label) for label in range(200)]
    if action == "track":
        expected += [("new", label) for label in range(100)]
    assert sorted(taken) == sorted(set(expected) - set(cancelled))
    assert queue.tracked == 0


def test_the_collector_in_the_middle_of_everything(queue: ReferenceQueue[Any]) -> None:
    if not PYPY:
        gc.set_threshold(1)
    taken: list[int] = []
    for label in range(2000):
        member = Member(label)
        member.other = member
        queue.track(member, label)
        taken += queue.drain(3)
    del member
    gc_collect_harder()
    taken += queue.drain()
    assert sorted(taken) == list(range(2000))


def test_tokens_whose_destructors_use_the_queue(queue: ReferenceQueue[Any]) -> None:
    class Token:
        def __del__(self) -> None:
            queue.track(Member(0), "late")
            queue.poll()
            queue._check()

    for label in range(50):
        member = Member(label)
        tracked = queue.track(member, Token())
        if label % 2:
            tracked.cancel()
        del member, tracked
    gc_collect_harder()
    queue.drain()
    gc_collect_harder()
    queue.drain()
    queue._check()
    assert queue.tracked == 0


# --- get


def test_get_takes_what_is_there(queue: ReferenceQueue[Any]) -> None:
    queue.track(Member(1), "token")
    let_die()
    assert queue.get() == "token"


@pytest.mark.parametrize("timeout", [0, 0.0, 0.02])
def test_get_times_out(queue: ReferenceQueue[Any], timeout: float) -> None:
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match=str(timeout)):
        queue.get(timeout)
    assert time.monotonic() - begin >= timeout
    with pytest.raises(TimeoutError):
        queue.get(timeout=timeout)


@pytest.mark.parametrize("timeout", [None, 30, 1e300, float("inf")])
def test_get_waits_for_a_death(queue: ReferenceQueue[Any], timeout: float | None) -> None:
    kept = [Member(1)]
    queue.track(kept[0], "token")
    waits = threading.Event()

    def wait() -> Any:
        waits.set()
        return queue.get(timeout)

    def kill() -> None:
        waits.wait()
        time.sleep(0.01)  # it may well wait by now
        kept.clear()
        let_die()

    assert run_all(wait, kill)[0] == "token"


@pytest.mark.parametrize("timeout", [None, 0.0005])
def test_many_who_wait(queue: ReferenceQueue[Any], timeout: float | None) -> None:
    """None lost, none twice, and nobody sleeps on while there is something to take."""
    waiters, count = 4, 400 if PYPY or FREE_THREADED else 4000
    done = object()

    def take() -> list[Any]:
        taken = []
        while True:
            try:
                token = queue.get(timeout)
            except TimeoutError:
                continue
            if token is done:
                return taken
            taken.append(token)

    def kill() -> None:
        for label in range(count):
            queue.track(Member(label), label)
            if label % 100 == 0:
                let_die()
        let_die()
        for _ in range(waiters):
            queue.track(Member(0), done)
        let_die()

    taken = run_all(kill, *[take] * waiters)[1:]
    assert sorted(token for each in taken for token in each) == list(range(count))
    queue._check()


def test_one_death_at_a_time_to_many_who_wait(queue: ReferenceQueue[Any]) -> None:
    """Each has to be awake by itself: nothing but the one death wakes anybody."""
    count = 20 if PYPY or FREE_THREADED else 500
    taken: list[int] = []

    def take() -> None:
        while (token := queue.get()) is not None:
            taken.append(token)

    def kill() -> None:
        for label in range(count):
            queue.track(Member(label), label)
            let_die()
            wait_until(lambda: len(taken) > label)  # noqa: B023  # called at once
        for _ in range(3):
            queue.track(Member(0), None)
        let_die()

    run_all(kill, take, take, take)
    assert taken == list(range(count))


@pytest.mark.skipif(sys.platform == "win32", reason="signals interrupt no lock there")
def test_get_is_interrupted() -> None:
    code = """
    import os, signal, threading, time
    from weakly import ReferenceQueue
    class Thing: pass
    queue = ReferenceQueue()
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for timeout in None, 30:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            queue.get(timeout)
        except KeyboardInterrupt:
            print("interrupted")
    queue.track(Thing(), "token")
    import gc; gc.collect()
    print(queue.get(1))
    queue._check()
    """
    assert check_runs(code) == "interrupted\ninterrupted\ntoken\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals interrupt no lock there")
def test_a_signal_handler_kills_what_get_waits_for() -> None:
    code = """
    import gc, signal
    from weakly import ReferenceQueue
    class Thing: pass
    queue = ReferenceQueue()
    things = [Thing()]
    queue.track(things[0], "token")
    def handler(*_):
        things.clear()
        gc.collect()
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    print(queue.get())
    """
    assert check_runs(code) == "token\n"


# --- threads


def test_deaths_in_many_threads(queue: ReferenceQueue[Any]) -> None:
    count = 200 if PYPY or FREE_THREADED else 3000
    cancelled: list[Any] = []

    def live(name: str) -> None:
        for label in range(count):
            member = Member(label)
            tracked = queue.track(member, (name, label))
            if label % 3 == 0:
                assert tracked.cancel()
                cancelled.append((name, label))
            if label % 5 == 0:
                member.other = member

    taken: list[Any] = []

    def take() -> None:
        for _ in range(count):
            taken.extend(queue.drain(7))
            taken.extend(filter(None, [queue.poll()]))
            len(queue), queue.tracked, repr(queue)

    names = "abc"
    results = run_all(*[lambda name=name: live(name) for name in names], take, take)
    assert results == [None] * 5
    gc_collect_harder()
    taken += queue.drain()
    expected = {(name, label) for name in names for label in range(count)} - set(cancelled)
    assert sorted(taken) == sorted(expected)
    queue._check()


def test_cancel_against_death(queue: ReferenceQueue[Any]) -> None:
    """Either it is cancelled or its token comes: never both, never neither."""
    rounds = 20 if PYPY or FREE_THREADED else 500
    for label in range(rounds):
        kept = [Member(label)]
        tracked = queue.track(kept[0], label)
        both = threading.Barrier(2)

        def kill(kept: list[Any] = kept, both: threading.Barrier = both) -> None:
            both.wait()
            kept.clear()

        def cancel(tracked: TrackedRef[Any] = tracked, both: threading.Barrier = both) -> bool:
            both.wait()
            return tracked.cancel()

        cancelled = run_all(kill, cancel)[1]
        let_die()
        assert queue.drain() == ([] if cancelled else [label])


# --- async for


async def take(queue: ReferenceQueue[Any], count: int) -> list[Any]:
    taken = []
    async for token in queue:
        taken.append(token)
        if len(taken) == count:
            break
    return taken


def test_async_iteration(queue: ReferenceQueue[Any]) -> None:
    count = 20 if PYPY else 100

    async def main() -> None:
        taking = asyncio.create_task(take(queue, count))
        for label in range(count):
            queue.track(Member(label), label)
            let_die()
            if label % 10 == 0:
                await asyncio.sleep(0)
        assert sorted(await asyncio.wait_for(taking, TIMEOUT)) == list(range(count))

    asyncio.run(main())


def test_async_iteration_wakes_for_deaths_in_other_threads(queue: ReferenceQueue[Any]) -> None:
    count = 20 if PYPY or FREE_THREADED else 200

    async def main() -> None:
        taken: list[Any] = []

        async def consume() -> None:
            async for token in queue:
                taken.append(token)

        def kill() -> None:
            for label in range(count):
                queue.track(Member(label), label)
                let_die()
                wait_until(lambda: len(taken) > label)  # noqa: B023  # called at once

        consumers = [asyncio.create_task(consume()) for _ in range(3)]
        await asyncio.get_running_loop().run_in_executor(None, kill)
        assert taken == list(range(count))
        for each in consumers:
            each.cancel()
        results = await asyncio.gather(*consumers, return_exceptions=True)
        assert [type(each) for each in results] == [asyncio.CancelledError] * 3

    asyncio.run(main())
    queue._check()


def test_several_loops(queue: ReferenceQueue[Any]) -> None:
    def consume() -> list[Any]:
        return asyncio.run(take(queue, 10))

    def kill() -> None:
        for label in range(30):
            queue.track(Member(label), label)
            let_die()

    results = run_all(consume, consume, kill, consume)
    assert sorted(results[0] + results[1] + results[3]) == list(range(30))


def test_cancelled_consumers_lose_nothing(queue: ReferenceQueue[Any]) -> None:
    count = 20 if PYPY or FREE_THREADED else 300

    async def main() -> None:
        taken: list[Any] = []

        async def one() -> None:
            taken.append(await anext(queue))

        for label in range(count):
            task = asyncio.create_task(one())
            for _ in range(label % 4):
                await asyncio.sleep(0)
            queue.track(Member(label), label)
            let_die()
            for _ in range(label % 3):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        taken += queue.drain()
        assert sorted(taken) == list(range(count))

    asyncio.run(main())
    queue._check()


def test_anext_with_a_timeout(queue: ReferenceQueue[Any]) -> None:
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(queue), 0.01)
        queue.track(Member(1), "token")
        let_die()
        assert await asyncio.wait_for(anext(queue), TIMEOUT) == "token"

    asyncio.run(main())


def test_a_loop_that_is_closed_while_somebody_waits(queue: ReferenceQueue[Any]) -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(take(queue, 1))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    queue.track(Member(1), "token")  # wakes somebody who is not there
    let_die()
    assert queue.get(0) == "token"
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is, on purpose
    task.get_coro().close()  # type: ignore[union-attr]  # it has one
    queue._check()


def test_waiting_does_not_keep_the_queue() -> None:
    async def main() -> weakref.ref[Any]:
        queue: ReferenceQueue[Any] = ReferenceQueue()
        task = asyncio.create_task(take(queue, 1))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(TimeoutError):
            queue.get(0.001)
        return weakref.ref(queue)

    watch = asyncio.run(main())
    gc_collect_harder()
    assert watch() is None


# --- fork, exit


@forks
def test_a_forked_child_has_what_the_parent_had() -> None:
    code = """
    import gc, os, threading, warnings
    from weakly import ReferenceQueue
    warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside a thread
    class Thing: pass
    queue = ReferenceQueue()
    things = [Thing() for _ in range(3)]
    for label, thing in enumerate(things):
        queue.track(thing, label)
    del thing
    threading.Thread(target=queue.get, daemon=True).start()
    things.pop()
    gc.collect()
    while len(queue):  # the thread gets it
        pass
    things.pop()
    gc.collect()
    pid = os.fork()
    things.clear()
    gc.collect()
    assert queue.drain() == [1, 0]
    queue._check()
    if pid == 0:
        queue.track(Thing(), "new")
        gc.collect()
        os._exit(17 if queue.get(5) == "new" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 17
    """
    check_runs(code)


def test_exit_while_threads_and_tasks_wait() -> None:
    code = """
    import asyncio, threading, time
    from weakly import ReferenceQueue
    class Thing: pass
    queue = ReferenceQueue()
    things = [Thing() for _ in range(100)]
    for thing in things:
        queue.track(thing, queue)
    async def consume():
        async for token in queue:
            pass
    for target in queue.get, lambda: queue.get(1000), lambda: asyncio.run(consume()):
        threading.Thread(target=target, daemon=True).start()
    time.sleep(0.1)
    print("end")
    """
    assert check_runs(code) == "end\n"
