"""Streams: what a signal emits, for `async for`. A signal makes them: see `Signal.stream`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Any, Self, cast
from weakref import ref

from ._implementation import WeakCallable

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from .signals import Signal

__all__ = ["Event", "Stream"]


class Event(tuple[Any, ...]):
    """What a stream gives for one emit: the positional arguments, as a tuple."""

    kwargs: dict[str, Any]
    """the keyword arguments"""
    sender: Any
    """who emitted it, if known"""

    def __new__(
        cls, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None, sender: Any = None
    ) -> Self:
        self = super().__new__(cls, args)
        self.kwargs = {} if kwargs is None else kwargs
        self.sender = sender
        return self

    def __repr__(self) -> str:
        shown = [repr(argument) for argument in self]
        shown += [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{type(self).__name__}({', '.join(shown)})"


def _resolve(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Stream:
    """The events of a signal, for `async for`; made by `Signal.stream`.

    The signal holds it weakly: it goes with its last consumer. Any number of tasks, in any
    loops, can take from it, each event goes to one of them. After `close()`, or when the
    signal goes or disconnects all, it gives the events that are there already, and ends.

    All operations are thread-safe. To take an event is O(1); to put one takes time for each
    consumer that waits, for all are woken.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_counting",
        "_dropped",
        "_events",
        "_maxsize",
        "_overflow",
        "_source",
        "_waiters",
    )
    _source: ref[Any]  # the signal

    def __init__(self, signal: Signal[...], maxsize: int, overflow: str) -> None:
        if overflow not in ("drop_oldest", "drop_newest", "error"):
            raise ValueError(
                f"overflow must be 'drop_oldest', 'drop_newest' or 'error', not {overflow!r}"
            )
        if maxsize < 1:
            raise ValueError(f"maxsize must be at least 1, not {maxsize!r}")
        self._maxsize = maxsize
        self._overflow = overflow
        self._events: deque[Event] = deque()
        self._waiters: dict[Future[None], AbstractEventLoop] = {}
        self._closed = False
        self._dropped = 0
        self._counting = RLock()
        self._source = ref(signal, cast(Any, WeakCallable(self._end, if_dead="ignore")))
        cast(Any, signal).connect(self._put, via=feed)

    @property
    def dropped(self) -> int:
        """how many events were lost because there was no room"""
        return self._dropped

    def _put(self, event: Event) -> None:
        events = self._events
        events.append(event)
        if len(events) > self._maxsize:
            try:
                # Not under the lock: what is dropped here may run any code as it goes.
                _ = events.popleft() if self._overflow == "drop_oldest" else events.pop()
            except IndexError:  # all was taken meanwhile
                pass
            else:
                with self._counting:
                    self._dropped += 1
                if self._overflow == "error":
                    from asyncio import QueueFull  # takes long, and whoever waits has it

                    raise QueueFull(f"the stream has {self._maxsize} events waiting")
        self._wake()

    def _wake(self) -> None:
        waiters = self._waiters
        for _ in range(len(waiters)):  # and not those that come anew
            try:
                future, loop = waiters.popitem()
            except KeyError:
                return
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, future)

    def _end(self, _: object = None) -> None:
        self._closed = True
        self._wake()

    def close(self) -> None:
        """Disconnect it from the signal: it ends after the events that are there already."""
        signal = self._source()
        if signal is not None:
            signal.disconnect(self._put)
        self._end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        from asyncio import get_running_loop

        while True:
            closed = self._closed  # before the look whether anything is left
            try:
                return self._events.popleft()
            except IndexError:
                pass
            if closed:
                raise StopAsyncIteration
            loop = get_running_loop()
            future: Future[None] = loop.create_future()
            self._waiters[future] = loop
            try:
                if not self._events and not self._closed:  # nothing came since
                    await future
            finally:
                self._waiters.pop(future, None)


def feed(
    listener: object,
    target: Callable[[Event], None],
    sender: object,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    """How a signal has a stream's listener called: with the event instead of the arguments."""
    target(Event(args, dict(kwargs), sender))  # its own: others are called with these
