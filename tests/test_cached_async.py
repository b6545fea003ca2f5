"""The caches on `async def`: concurrent callers share one run, and what ends it early.

Each test runs on a function, a method and a property. Every wait has a timeout, so that what
hangs fails.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import sys
import threading
import traceback
import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest
from support import (
    PYPY,
    Member,
    atomic_look_ups,
    gc_collect_harder,
    let_die,
    let_expire,
    members,
    run_all,
    wait_until,
)

import weakly

TIMEOUT = 20


class Scene(ABC):
    """A cached coroutine function and what its runs do: `body` is replaced by each test."""

    shape: str

    def __init__(self, **options: Any) -> None:
        self.runs = itertools.count()
        self.begun = 0
        self.ended: list[str] = []
        self.make(options)

    @abstractmethod
    def make(self, options: dict[str, Any]) -> None: ...

    @abstractmethod
    def ask(self) -> Awaitable[Any]: ...

    @abstractmethod
    def info(self) -> Any: ...

    @abstractmethod
    def forget(self) -> bool: ...

    async def body(self) -> Any:
        await asyncio.sleep(0.001)
        return Member("result")

    async def run(self) -> Any:
        self.begun += 1
        try:
            result = await self.body()
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("well")
        return result

    def check(self, hits: int, misses: int, size: int) -> None:
        assert self.info()[::3] == (hits, size)
        assert self.info()[1] == misses == self.begun


class FunctionScene(Scene):
    shape = "function"

    def make(self, options: dict[str, Any]) -> None:
        @weakly.cache(**options)
        async def function(argument: object, /, *, key: object = None) -> Any:
            return await self.run()

        self.function = function
        self.argument = Member("argument")

    def ask(self) -> Awaitable[Any]:
        return self.function(self.argument, key=1)

    def info(self) -> Any:
        return self.function.cache_info()

    def forget(self) -> bool:
        return self.function.cache_discard(self.argument, key=1)


class MethodScene(Scene):
    shape = "method"

    def make(self, options: dict[str, Any]) -> None:
        scene = self

        class Class:
            __slots__ = ("__weakref__",)

            @weakly.cached_method(**options)
            async def method(self, argument: object) -> Any:
                return await scene.run()

        self.argument = Class()

    def ask(self) -> Awaitable[Any]:
        return self.argument.method(5)

    def info(self) -> Any:
        return self.argument.method.cache_info()

    def forget(self) -> bool:
        return self.argument.method.cache_discard(5)


class PropertyScene(Scene):
    shape = "property"

    def make(self, options: dict[str, Any]) -> None:
        scene = self

        class Class:
            __slots__ = ("__weakref__",)

            @weakly.cached_property
            async def value(self) -> Any:
                return await scene.run()

        self.argument = Class()

    def ask(self) -> Awaitable[Any]:
        return self.argument.value

    def info(self) -> Any:
        return type(self.argument).value.cache_info()

    def forget(self) -> bool:
        return type(self.argument).value.cache_discard(self.argument)


SCENES = [FunctionScene, MethodScene, PropertyScene]


@pytest.fixture(params=SCENES, ids=lambda scene: scene.shape)
def scene(request: pytest.FixtureRequest) -> Scene:
    return request.param()


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No "exception was never retrieved", no "task was destroyed"; no coroutine left over."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
    assert [str(each.message) for each in caught if each.category is RuntimeWarning] == []


def run(main: Coroutine[Any, Any, Any], **options: Any) -> Any:
    """What it gives, in a loop of its own that nothing outlives."""

    async def limited() -> Any:
        result = await asyncio.wait_for(main, TIMEOUT)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left over"
        return result

    return asyncio.run(limited(), **options)


async def asks(scene: Scene) -> Any:
    return await scene.ask()


def task(scene: Scene) -> asyncio.Task[Any]:
    return asyncio.create_task(asks(scene))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not condition():
            await asyncio.sleep(0)


async def settle() -> None:
    """Lets everybody come to where they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


async def outcomes(*tasks: Awaitable[Any]) -> list[Any]:
    """What they give, or the types of what they raise."""
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [type(each) if isinstance(each, BaseException) else each for each in results]


class Gated(Member):
    """A body that waits until it is let go on."""

    __slots__ = ("error", "event")

    def __init__(self, scene: Scene) -> None:
        super().__init__("gated result")
        self.event = asyncio.Event()
        self.error: BaseException | None = None
        scene.body = self

    async def __call__(self) -> Any:
        await self.event.wait()
        if self.error is not None:
            raise self.error
        return self


# --- results


def test_one_run_after_the_other(scene: Scene) -> None:
    async def main() -> None:
        first = await scene.ask()
        assert isinstance(first, Member)
        for _ in range(3):
            assert await scene.ask() is first
        scene.check(3, 1, 1)
        assert scene.forget()
        assert not scene.forget()
        assert await scene.ask() is not first
        scene.check(3, 2, 1)

    run(main())


@pytest.mark.parametrize(
    "together",
    [
        lambda scene: asyncio.gather(*(scene.ask() for _ in range(10))),
        lambda scene: asyncio.gather(*(task(scene) for _ in range(10))),
        lambda scene: asyncio.gather(*(asyncio.ensure_future(scene.ask()) for _ in range(10))),
        lambda scene: asyncio.gather(*(asyncio.wait_for(scene.ask(), 9) for _ in range(10))),
    ],
    ids=["gather", "create_task", "ensure_future", "wait_for"],
)
def test_concurrent_callers_share_one_run(scene: Scene, together: Any) -> None:
    async def main() -> None:
        results = await together(scene)
        assert len(results) == 10
        assert len(set(results)) == 1
        scene.check(9, 1, 1)

    run(main())


def test_a_call_is_a_coroutine() -> None:
    """For create_task() and the like; a property's is another kind of awaitable."""

    async def main() -> None:
        for scene in FunctionScene(), MethodScene():
            result = asyncio.create_task(scene.ask())
            assert await scene.ask() is await result

    run(main())


def test_an_unused_property_warns_of_nothing() -> None:
    scene = PropertyScene()

    async def main() -> None:
        first, second = scene.ask(), scene.ask()
        assert first is not second
        assert not asyncio.iscoroutine(first)
        del first, second
        await scene.ask()
        assert scene.ask() is not scene.ask()

    run(main())
    scene.check(0, 1, 1)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks before 3.12")
def test_eager_tasks(scene: Scene) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        first, *others = await asyncio.gather(*(task(scene) for _ in range(5)))
        assert others == [first] * 4
        scene.check(4, 1, 1)
        assert await task(scene) is first

    run(main())


def test_a_body_that_waits_for_nothing(scene: Scene) -> None:
    async def body() -> Any:
        return None

    scene.body = body

    async def main() -> None:
        assert await asyncio.gather(*(scene.ask() for _ in range(5))) == [None] * 5
        assert await scene.ask() is None
        scene.check(5, 1, 1)

    run(main())


def test_a_result_is_good_in_any_loop(scene: Scene) -> None:
    first = run(asks(scene))
    assert run(asks(scene)) is first
    scene.check(1, 1, 1)


def test_options() -> None:
    async def main() -> None:
        for cls in FunctionScene, MethodScene:
            scene = cls(maxsize=1, ttl=0.005)
            first = await scene.ask()
            assert scene.info().maxsize == 1
            let_expire(0.005)
            assert await scene.ask() is not first

    run(main())


def test_the_entry_goes_with_its_argument(scene: Scene) -> None:
    watches = [weakref.ref(run(asks(scene))), weakref.ref(scene.argument)]
    assert watches[0]() is not None
    del scene.argument
    let_die()
    gc_collect_harder()  # loops and their tasks are in cycles
    assert [watch() for watch in watches] == [None, None]


def test_arguments_that_cannot_be_held() -> None:
    scene = FunctionScene()

    async def main() -> None:
        with pytest.raises(TypeError, match="unhashable"):
            await scene.function([])
        with pytest.raises(TypeError, match="argument"):
            await scene.function()
        with pytest.raises(TypeError, match="argument"):
            await scene.function(1, wrong=2)
        assert await scene.ask() is await scene.ask()

    run(main())
    assert scene.begun == 1
    assert scene.info().currsize == 1


# --- failure


def test_a_failure_is_everybody_s_and_is_not_cached(scene: Scene) -> None:
    async def main() -> None:
        gate = Gated(scene)
        gate.error = ZeroDivisionError()
        tasks = [task(scene) for _ in range(4)]
        await settle()
        gate.event.set()
        assert await outcomes(*tasks) == [ZeroDivisionError] * 4
        assert scene.begun == 1
        assert scene.info().currsize == 0
        gate.error = None
        assert await scene.ask() is gate
        assert scene.begun == 2

    run(main())


def test_a_body_that_cancels_itself(scene: Scene) -> None:
    async def main() -> None:
        gate = Gated(scene)
        gate.error = asyncio.CancelledError()
        tasks = [task(scene) for _ in range(3)]
        await settle()
        gate.event.set()
        assert await outcomes(*tasks) == [asyncio.CancelledError] * 3
        assert scene.info().currsize == 0
        gate.error = None
        assert await scene.ask() is gate

    run(main())


def test_a_failure_that_nobody_waits_for_any_more(scene: Scene) -> None:
    """Is not complained of."""

    async def main() -> None:
        async def body() -> None:
            try:
                await asyncio.sleep(TIMEOUT)
            finally:
                raise ZeroDivisionError

        scene.body = body
        only = task(scene)
        await settle()
        only.cancel()
        with pytest.raises((asyncio.CancelledError, ZeroDivisionError)):
            await only
        await settle()
        assert scene.ended == ["ZeroDivisionError"]

    run(main())


# --- cancellation


@pytest.mark.parametrize("which", [0, 1, 3], ids=["first", "second", "last"])
def test_cancelling_one_caller(scene: Scene, which: int) -> None:
    async def main() -> None:
        gate = Gated(scene)
        tasks = [task(scene) for _ in range(4)]
        await settle()
        tasks[which].cancel()
        await settle()
        assert tasks[which].cancelled()
        assert scene.ended == []
        late = task(scene)
        await settle()
        gate.event.set()
        del tasks[which]
        assert await asyncio.gather(*tasks, late) == [gate] * 4
        assert (scene.begun, scene.ended) == (1, ["well"])
        assert await scene.ask() is gate

    run(main())


@pytest.mark.parametrize("count", [1, 4])
def test_cancelling_all_callers_cancels_the_run(scene: Scene, count: int) -> None:
    async def main() -> None:
        gate = Gated(scene)
        tasks = [task(scene) for _ in range(count)]
        await settle()
        for each in tasks:
            assert scene.ended == []
            each.cancel()
            await settle()
        assert await outcomes(*tasks) == [asyncio.CancelledError] * count
        await settle()
        assert scene.ended == ["CancelledError"]
        assert scene.info().currsize == 0
        gate.event.set()
        assert await scene.ask() is gate
        assert scene.begun == 2

    run(main())


def test_cancelled_before_it_began(scene: Scene) -> None:
    async def main() -> None:
        tasks = [asyncio.ensure_future(scene.ask()) for _ in range(3)]
        for each in tasks:
            each.cancel()
        assert await outcomes(*tasks) == [asyncio.CancelledError] * 3
        await settle()
        assert scene.info().currsize == 0
        assert await scene.ask() is await scene.ask()

    run(main())


def test_a_caller_that_waits_no_longer(scene: Scene) -> None:
    async def main() -> None:
        gate = Gated(scene)
        patient = task(scene)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(scene.ask(), 0.01)
        assert scene.ended == []
        gate.event.set()
        assert await patient is gate
        assert (scene.begun, scene.info().currsize) == (1, 1)

    run(main())


def test_all_time_out(scene: Scene) -> None:
    async def main() -> None:
        Gated(scene)
        timed = [asyncio.wait_for(scene.ask(), 0.01) for _ in range(3)]
        assert await outcomes(*timed) == [TimeoutError] * 3
        await settle()
        assert scene.ended == ["CancelledError"]

    run(main())


def test_a_new_caller_while_a_cancelled_run_cleans_up(scene: Scene) -> None:
    """It does not belong to those who cancelled, so it gets a run of its own."""

    async def main() -> None:
        cleaned = asyncio.Event()

        async def body() -> Any:
            if scene.begun > 1:
                return "second"
            try:
                await asyncio.sleep(TIMEOUT)
            except asyncio.CancelledError:
                await cleaned.wait()
                raise

        scene.body = body
        first = task(scene)
        await settle()
        first.cancel()
        await settle()
        second = task(scene)
        await settle()
        cleaned.set()
        assert await outcomes(second) == ["second"]
        assert await outcomes(first) == [asyncio.CancelledError]
        assert await scene.ask() == "second"
        assert scene.begun == 2
        await settle()

    run(main())


def test_a_run_that_finishes_although_it_is_cancelled(scene: Scene) -> None:
    async def main() -> None:
        async def body() -> Any:
            try:
                await asyncio.sleep(TIMEOUT)
            except asyncio.CancelledError:
                return "nevertheless"

        scene.body = body
        first = task(scene)
        await settle()
        first.cancel()
        (outcome,) = await outcomes(first)
        assert outcome in (asyncio.CancelledError, "nevertheless")
        await settle()
        scene.body = Scene.body.__get__(scene)
        assert await scene.ask() is not None

    run(main())


def test_cancelled_in_the_very_step_in_which_it_ends(scene: Scene) -> None:
    async def main() -> None:
        for turns in range(8):
            gate = Gated(scene)
            tasks = [task(scene) for _ in range(3)]
            await settle()
            gate.event.set()
            for _ in range(turns):
                await asyncio.sleep(0)
            tasks[0].cancel()
            found = await outcomes(*tasks)
            assert found[0] in (gate, asyncio.CancelledError)
            assert found[1:] == [gate, gate]
            assert await scene.ask() is gate
            scene.forget()

    run(main())


# --- one that asks for itself


@pytest.mark.parametrize(
    "ask",
    [lambda awaitable: awaitable, asyncio.gather, asyncio.ensure_future],
    ids=["await", "gather", "task"],
)
def test_one_that_asks_for_its_own_call(scene: Scene, ask: Any) -> None:
    async def body() -> Any:
        return await ask(scene.ask())

    async def main() -> None:
        scene.body = body
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await asyncio.wait_for(scene.ask(), TIMEOUT / 2)
        assert scene.info().currsize == 0
        scene.body = Scene.body.__get__(scene)
        assert await scene.ask() is await scene.ask()

    run(main())


def test_functions_that_ask_each_other_for_ever(scene: Scene) -> None:
    @weakly.cache
    async def other() -> Any:
        return await scene.ask()

    async def main() -> None:
        scene.body = other
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(scene.ask(), TIMEOUT / 2)

    run(main())


def test_two_that_ask_each_other_at_the_same_time() -> None:
    """At least one hears of it, and none waits for ever."""

    async def main() -> None:
        both = asyncio.Barrier(2)

        @weakly.cache
        async def one() -> Any:
            await both.wait()
            return await other()

        @weakly.cache
        async def other() -> Any:
            await both.wait()
            return await one()

        calls = asyncio.gather(one(), other(), return_exceptions=True)
        results = await asyncio.wait_for(calls, TIMEOUT / 2)
        assert any(isinstance(each, RuntimeError) for each in results)

    run(main())


def test_recursion() -> None:
    @weakly.cache
    async def fib(n: int) -> int:
        return n if n < 2 else sum(await asyncio.gather(fib(n - 1), fib(n - 2)))

    @weakly.cache
    async def depth(n: int) -> int:
        return n and 1 + await depth(n - 1)

    assert run(fib(50)) == 12586269025
    assert fib.cache_info().misses == 51
    assert run(depth(100)) == 100
    assert run(depth(200)) == 200


# --- loops and threads


def test_a_loop_that_ends_while_a_run_is_on(scene: Scene) -> None:
    """asyncio.run() cancels what is left; the next loop begins anew."""

    async def leaves() -> None:
        Gated(scene)
        task(scene)
        await settle()

    asyncio.run(leaves())
    assert scene.ended == ["CancelledError"]
    scene.body = Scene.body.__get__(scene)
    assert run(asks(scene)) is run(asks(scene))


def test_a_loop_that_is_closed_while_a_run_is_on(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Without cancelling anything: nobody waits for a run that never ends."""
    loop = asyncio.new_event_loop()

    async def leaves() -> Any:
        Gated(scene)
        left = task(scene)
        await settle()
        return left

    left = loop.run_until_complete(leaves())
    loop.close()
    scene.body = Scene.body.__get__(scene)
    result = run(asks(scene))
    assert run(asks(scene)) is result
    assert scene.begun == 2
    with caplog.at_level(logging.CRITICAL + 1, "asyncio"):  # it says that a task was left
        del left
        gc_collect_harder()


def in_threads(count: int, main: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
    return run_all(*[lambda: run(main())] * count)


def test_several_loops_share_one_run(scene: Scene) -> None:
    go_on = threading.Event()

    async def body() -> Any:
        while not go_on.is_set():
            await asyncio.sleep(0.001)
        return Member("shared")

    scene.body = body
    asked = itertools.count(1)

    async def main() -> Any:
        waiting = [task(scene) for _ in range(3)]
        await settle()
        if next(asked) == 6:
            go_on.set()
        return await asyncio.gather(*waiting)

    results = in_threads(6, main)
    assert len({result for some in results for result in some}) == 1
    scene.check(17, 1, 1)


def test_a_failure_is_everybody_s_in_several_loops(scene: Scene) -> None:
    go_on = threading.Event()

    async def body() -> Any:
        while not go_on.is_set():
            await asyncio.sleep(0.001)
        raise ZeroDivisionError

    scene.body = body
    asked = itertools.count(1)

    async def main() -> Any:
        waiting = task(scene)
        await settle()
        if next(asked) == 4:
            go_on.set()
        return await outcomes(waiting)

    assert in_threads(4, main) == [[ZeroDivisionError]] * 4
    assert scene.info().currsize == 0


@pytest.mark.parametrize("ends", ["cancelled", "closed"])
def test_the_loop_of_a_run_ends_while_another_waits_for_it(
    scene: Scene,
    ends: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other makes the result itself."""
    monkeypatch.setattr("weakly._runs._PATIENCE", 0.02)
    waits = threading.Event()
    begun = threading.Event()

    async def never() -> Any:
        begun.set()
        await asyncio.sleep(TIMEOUT)

    scene.body = never

    async def owner() -> Any:
        left = task(scene)
        while not waits.is_set():
            await asyncio.sleep(0.001)
        scene.body = Scene.body.__get__(scene)
        return left

    def own() -> Any:
        if ends == "cancelled":
            asyncio.run(owner())
        else:
            loop = asyncio.new_event_loop()
            left = loop.run_until_complete(owner())
            loop.close()
            return left
        return None

    async def other() -> Any:
        waiting = task(scene)
        await settle()
        waits.set()
        return (await outcomes(waiting))[0]

    def wait() -> Any:
        assert begun.wait(TIMEOUT)
        return run(other())

    left, result = run_all(own, wait)
    assert isinstance(result, Member), result
    with caplog.at_level(logging.CRITICAL + 1, "asyncio"):
        del left
        gc_collect_harder()


def test_the_caller_that_began_is_cancelled_and_another_loop_waits_on(scene: Scene) -> None:
    go_on = threading.Event()

    async def body() -> Any:
        while not go_on.is_set():
            await asyncio.sleep(0.001)
        return "result"

    scene.body = body
    waits = threading.Event()

    async def owner() -> Any:
        first = task(scene)
        while not waits.is_set():
            await asyncio.sleep(0.001)
        first.cancel()
        await settle()
        assert scene.ended == []
        go_on.set()
        found = await outcomes(first)
        async with asyncio.timeout(TIMEOUT):
            while not scene.ended:  # the run is in this loop
                await asyncio.sleep(0.001)
        return found

    async def other() -> Any:
        waiting = task(scene)
        await settle()
        waits.set()
        return await outcomes(waiting)

    def wait() -> Any:
        wait_until(lambda: scene.begun)
        return run(other())

    assert run_all(lambda: run(owner()), wait) == [[asyncio.CancelledError], ["result"]]
    assert scene.begun == 1


def test_many_keys_in_many_loops() -> None:
    """None is lost, none runs twice."""
    runs: list[int] = []
    keys = members(30)

    @weakly.cache
    async def function(key: Member) -> Any:
        runs.append(key.label)
        await asyncio.sleep(0)
        return [key.label]

    async def main() -> Any:
        return await asyncio.gather(*(function(key) for key in keys))

    results = in_threads(6, main)
    assert sorted(runs) == list(range(30))
    assert results == [[[label] for label in range(30)]] * 6
    for some in results:
        assert all(one is other for one, other in zip(some, results[0], strict=True))
    assert function.cache_info() == (150, 30, None, 30)


@atomic_look_ups
def test_threads_and_loops_on_one_argument_that_dies() -> None:
    @weakly.cache
    async def function(key: Member) -> Any:
        await asyncio.sleep(0)
        return key.label

    async def main() -> None:
        for label in range(40):
            key = Member(label)
            assert await asyncio.gather(function(key), function(key)) == [label, label]

    assert in_threads(4, main) == [None] * 4
    gc_collect_harder()
    assert function.cache_info() == (160, 160, None, 0)
    function._check()


@pytest.mark.skipif(PYPY, reason="objects die when the collector comes")
def test_what_a_run_has_begun_does_not_pin_the_instance() -> None:
    """A timer, and whatever else copies the context, outlives the run."""

    class Owner:
        @weakly.cached_method
        async def method(self) -> list[Any]:
            asyncio.get_running_loop().call_later(3600, print)
            return [1]

    async def main() -> None:
        owner = Owner()
        await owner.method()
        watch = weakref.ref(owner)
        del owner
        assert watch() is None

    asyncio.run(main())


def test_the_traceback_of_a_shared_error_does_not_grow() -> None:
    @weakly.cache
    async def function(x: int) -> None:
        await asyncio.sleep(0.001)
        raise ValueError(x)

    async def main() -> None:
        errors = await asyncio.gather(*(function(1) for _ in range(50)), return_exceptions=True)
        assert all(type(error) is ValueError for error in errors)
        assert len(traceback.extract_tb(errors[-1].__traceback__)) < 10

    asyncio.run(main())


def test_a_loop_that_was_stopped_in_the_middle_of_a_run() -> None:
    """Who asks in another loop does not wait for it to go on."""

    @weakly.cache
    async def function(x: int) -> int:
        await asyncio.sleep(0.02)
        return x

    first = asyncio.new_event_loop()
    try:
        waiting = first.create_task(function(1))
        first.run_until_complete(asyncio.sleep(0.005))
        assert asyncio.run(asyncio.wait_for(function(1), TIMEOUT)) == 1
        assert first.run_until_complete(waiting) == 1
    finally:
        first.close()
