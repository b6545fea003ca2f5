"""The queue of deaths in Python: `ReferenceQueueBase` and `TrackedRef` where there is no C core.

Same names and same contract as `_core` (see `_core.pyi`). A death is recorded from within the
death of the object, so in any thread and between any two steps of any other operation on the
same queue. There is no lock: each step is one operation on one dict or deque, which is atomic,
and who removes something from a dict is the one whose business it is from then on.
"""

# pyright: reportPrivateUsage=false
# The two classes are one thing.

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, Self, TypeVar, cast
from weakref import ref

from . import _hooks
from ._tables import _callback_may_be_skipped

__all__ = ["ReferenceQueueBase", "TrackedRef"]

_T = TypeVar("_T")

_new_reference: Any = cast(Any, ref).__new__


class TrackedRef(ref[_T]):
    """A weak reference to an object whose death a `ReferenceQueue` records."""

    __slots__ = ("_queue", "_token")
    _queue: "ref[ReferenceQueueBase]"
    _token: Any

    def __new__(cls, *_: object, **__: object) -> NoReturn:
        raise TypeError(f"{cls.__name__} objects are made by ReferenceQueue.track()")

    @property
    def token(self) -> Any:
        """what the queue gives out when the object has died"""
        return self._token

    def cancel(self) -> bool:
        """Track the object no more; return False if it was not tracked: its death has been
        recorded, or this has been cancelled before."""
        queue = self._queue()
        return queue is not None and queue._forget(self)


class ReferenceQueueBase:
    """The deaths of the objects it tracks, in the order in which they died."""

    __slots__ = ("__weakref__", "_deaths", "_suspects", "_tracked", "_wakers")
    _tracked: dict[int, TrackedRef[Any]]  # by id: the references compare as their objects do
    _suspects: dict[int, TrackedRef[Any]]  # those of the tracked whose callback may be skipped
    _deaths: deque[Any]  # the tokens
    _wakers: dict[int, Callable[[], object]]

    def __new__(cls, *_: Any, **__: Any) -> Self:
        self = super().__new__(cls)
        self._tracked = {}
        self._suspects = {}
        self._deaths = deque()
        self._wakers = {}
        return self

    def track(self, obj: _T, token: Any = None, /) -> TrackedRef[_T]:
        """Record the death of `obj`: then `token` can be taken from the queue, once.

        The queue holds the token, which must not refer to the object, or it never dies; and
        it holds the reference that is returned, whose `cancel()` ends the tracking. An object
        that is tracked several times is recorded as often. Raises TypeError if it cannot be
        weakly referenced.
        """
        tracked: TrackedRef[_T] = _new_reference(TrackedRef, obj, _died)
        tracked._queue = ref(self)
        tracked._token = token
        if _callback_may_be_skipped():
            self._suspects[id(tracked)] = tracked
            _suspicious[id(self)] = tracked._queue
            _hooks.ensure(_after_collection)
        self._tracked[id(tracked)] = tracked
        return tracked

    def poll(self, default: Any = None, /) -> Any:
        """Take the token of the object that died first of those recorded; `default` if there
        are none."""
        self._look_at_suspects()
        try:
            return self._deaths.popleft()
        except IndexError:
            return default

    def drain(self, max: int | None = None) -> list[Any]:
        """Take the tokens that are there now, or only the first `max` of them."""
        if max is not None and max < 0:
            raise ValueError(f"max must not be negative, not {max}")
        count = len(self)
        tokens: list[Any] = []
        with suppress(IndexError):  # another thread took some
            for _ in range(count if max is None else min(count, max)):
                tokens.append(self._deaths.popleft())
        return tokens

    def __len__(self) -> int:
        """How many deaths are recorded and not yet taken."""
        self._look_at_suspects()
        return len(self._deaths)

    @property
    def tracked(self) -> int:
        """how many objects are tracked and alive"""
        self._look_at_suspects()
        return len(self._tracked)

    def _wake(self, waker: Callable[[], object], /) -> bool:
        self._wakers[id(waker)] = waker
        # In this order: a death before the first step is seen here, one after it calls.
        return not (len(self) and self._unwake(waker))

    def _unwake(self, waker: Callable[[], object], /) -> bool:
        return self._wakers.pop(id(waker), None) is not None

    def _cancel_all(self) -> None:
        self._suspects.clear()
        self._tracked.clear()
        self._deaths.clear()
        self._wakers.clear()

    def _forget(self, tracked: TrackedRef[Any]) -> bool:
        self._suspects.pop(id(tracked), None)
        return self._tracked.pop(id(tracked), None) is not None

    def _record(self, tracked: TrackedRef[Any]) -> None:
        if not self._forget(tracked):
            return
        self._deaths.append(tracked._token)
        for _ in range(len(self._wakers)):  # and not those that come anew
            try:
                _, waker = self._wakers.popitem()
            except KeyError:  # taken meanwhile
                return
            waker()

    def _look_at_suspects(self) -> None:
        if self._suspects:
            certain = not _callback_may_be_skipped()
            for key, tracked in list(self._suspects.items()):
                if tracked() is None:
                    self._record(tracked)
                elif certain:  # it has lived through the collection
                    self._suspects.pop(key, None)

    def _check(self) -> None:
        """Verify the structure."""
        for key, tracked in list(self._tracked.items()):
            assert key == id(tracked)
            assert tracked._queue() is self
        for key, waker in list(self._wakers.items()):
            assert key == id(waker)
            assert callable(waker)


_suspicious: dict[int, "ref[ReferenceQueueBase]"] = {}  # queues that have suspects, by id


def _after_collection(phase: str, info: object) -> None:
    """Has those woken who wait for a death that nobody told of."""
    if phase == "stop":
        for key, reference in list(_suspicious.items()):
            _suspicious.pop(key, None)
            queue = reference()
            if queue is not None:
                queue._look_at_suspects()  # pyright: ignore[reportPrivateUsage]  # of this module


def _died(tracked: Any) -> None:
    if tracked() is not None:
        return  # anybody can find this function in the reference, and call it
    queue = tracked._queue()
    if queue is not None:
        queue._record(tracked)
