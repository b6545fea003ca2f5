"""Single flight of coroutines: those who await the same missing value share one run.

A run is a task of the event loop of whoever came first. Who comes later waits for it, in any
thread's loop. When the last who waits is cancelled, so is the run. The result is stored, and
a failed or cancelled run is forgotten, before anybody hears of it.

Apart from `_flights.py`, because it needs `asyncio`, which is slow to import.
"""

import asyncio
import os
import sys
from asyncio import AbstractEventLoop, CancelledError, Task
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import ContextVar
from threading import RLock
from types import TracebackType
from typing import Any
from weakref import ref

from ._flights import ABSENT, Place

__all__ = ["mark_as_coroutine_function", "share"]

# How often, in seconds, those who wait in another loop look whether that of the run has stopped:
# then nobody goes on with it.
_PATIENCE = 0.5


async def share(
    place: Place,
    count: Callable[[bool], object],
    function: Callable[..., Coroutine[Any, Any, Any]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Return the value for a place; if there is none, that of a run of the function."""
    loop = asyncio.get_running_loop()
    while True:
        value = place.find()
        if value is not ABSENT:
            count(True)
            return value
        mine = _Run(place, loop)
        run = _runs.setdefault(place, mine)
        if run is mine:
            run.start(count, function, args, kwargs)
        elif not run.join(loop):
            run.forget()
            continue
        await run.wait(loop)
        if run.value is not ABSENT:
            if run is not mine:
                count(True)
            return run.value
        error, traceback = run.error, run.traceback
        if error is not None:
            del run, mine  # they have the error, and its traceback will have this frame
            try:
                raise error.with_traceback(traceback)  # not that of another who waited
            finally:
                del error, traceback
        if run.loop is loop:
            raise CancelledError
        # It went down with its loop, which is no business of this one.


class _Run:
    """One call of a coroutine function, and who waits for it."""

    __slots__ = (
        "__weakref__",
        "abandoned",
        "awaits",
        "complaint",
        "error",
        "future",
        "lock",
        "loop",
        "place",
        "task",
        "traceback",
        "value",
        "waiters",
    )

    def __init__(self, place: Place, loop: AbstractEventLoop) -> None:
        self.place: Place | None = place
        self.complaint = place.asks_for_itself
        self.loop = loop
        self.task: Task[None] | None = None
        self.value: Any = ABSENT  # stays so if the run fails
        self.error: Exception | None = None
        self.traceback: TracebackType | None = None  # of the error, before anybody raises it
        self.waiters = 1
        self.abandoned = False  # nobody waits for it any more
        self.lock = RLock()  # of the last two; no code of users runs under it
        self.awaits: list[_Run] = []  # the runs that this one waits for
        # Done when the run is. It tells only that: what it could carry it would convert.
        self.future: Future[None] = Future()
        self.future.set_running_or_notify_cancel()  # no waiter can cancel it

    def start(
        self,
        count: Callable[[bool], object],
        function: Callable[..., Coroutine[Any, Any, Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        try:
            assert self.place is not None
            self.value = self.place.find()  # somebody may have been faster
            if self.value is not ABSENT:
                count(True)
                self.land()
                return
            count(False)
            task = self.task = self.loop.create_task(self._go(function, args, kwargs))
            task.add_done_callback(self.land)  # if it is cancelled before it has begun
        except BaseException:
            self.land()
            raise

    async def _go(
        self,
        function: Callable[..., Coroutine[Any, Any, Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        _inside.set(ref(self))
        try:
            value = await function(*args, **kwargs)
            assert self.place is not None
            self.value = self.place.keep(value)
        except Exception as error:
            self.error = error
            self.traceback = error.__traceback__
        finally:
            self.land()
            del self  # the error's traceback has this frame

    def land(self, _: object = None) -> None:
        """Tells all who wait. From then on it has nothing but its outcome."""
        self.forget()
        self.task = self.place = None
        with suppress(InvalidStateError):  # it was told before
            self.future.set_result(None)

    def forget(self) -> None:
        place = self.place
        if place is not None:
            place.leave()
            _runs.pop(place, None)

    def join(self, loop: AbstractEventLoop) -> bool:
        """Whether one can wait for it in a loop."""
        if loop is not self.loop and not self.loop.is_running():
            return False
        with self.lock:
            self.waiters += not self.abandoned
            return not self.abandoned

    async def wait(self, loop: AbstractEventLoop) -> None:
        """Returns when it is over. Raises RuntimeError where that could never be."""
        inside = _inside.get()()
        if inside is not None:
            inside.awaits.append(self)
        try:
            # This after that: of the runs that close a cycle, the last one sees all the others.
            if inside is not None and self._leads_to(inside):
                raise RuntimeError(self.complaint)
            over = asyncio.wrap_future(self.future, loop=loop)
            if loop is self.loop:
                await over
            while not over.done():
                await asyncio.wait([over], timeout=_PATIENCE)
                if self.loop.is_closed():
                    self.land()
                elif not self.loop.is_running():
                    break
        except CancelledError:
            if not self._leave() or loop is not self.loop:
                raise
            await self._cancelled()
        except BaseException:
            self._leave()
            raise
        else:
            self._leave()
        finally:
            if inside is not None:
                inside.awaits.remove(self)

    async def _cancelled(self) -> None:
        """Who cancels the function itself hears of it when that has cleaned up, and gets what
        it then returns or raises; the last who waits for a run does so, too."""
        while not self.future.done():
            try:
                await asyncio.wrap_future(self.future)
            except CancelledError:
                self._cancel()

    def _leads_to(self, run: "_Run") -> bool:
        """Whether it waits, over others, for a run."""
        seen: list[_Run] = []
        rest: list[_Run] = [self]
        while rest:
            each = rest.pop()
            if each.future.done() or each in seen:
                continue
            if each is run:
                return True
            seen.append(each)
            rest.extend(each.awaits)
        return False

    def _leave(self) -> bool:
        """Waits no more; whether it was the last one, so that the run is cancelled."""
        with self.lock:
            self.waiters -= 1
            self.abandoned = not (self.waiters or self.future.done())
        if self.abandoned:
            self.forget()
            self._cancel()
        return self.abandoned

    def _cancel(self) -> None:
        task = self.task
        if task is None:
            return  # it is over
        if asyncio._get_running_loop() is self.loop:
            task.cancel()
        else:
            with suppress(RuntimeError):  # it was closed
                self.loop.call_soon_threadsafe(task.cancel)


_runs: dict[Place, _Run] = {}


def _nothing() -> None:
    return None


# What the code that runs is part of.
# Weakly: what is begun inside of a run, and may outlive it, has a copy of its context.
_inside: ContextVar[Callable[[], _Run | None]] = ContextVar("weakly_run", default=_nothing)


def _forget_all() -> None:
    """A forked process has no running loops."""
    global _runs
    _runs = {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def mark_as_coroutine_function(wrapper: Any) -> None:
    """Make `inspect.iscoroutinefunction`, or before 3.12 that of `asyncio`, see one."""
    if sys.version_info >= (3, 12):
        from inspect import markcoroutinefunction

        markcoroutinefunction(wrapper)
    else:
        coroutines: Any = asyncio.coroutines
        wrapper._is_coroutine = coroutines._is_coroutine
