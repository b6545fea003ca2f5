"""Memory pressure: watching the process's resident size, so that caches let go in time.

Compared are the process's resident size and the memory that it may use: the machine's, or the
limit of a Linux control group that it is in, whichever is smaller. A group counts the pages of
all its processes, and those of files they have read, which the kernel takes back by itself;
what a cache can do something about is its own process's resident size, and so that alone is
compared. Elsewhere than on Linux there are no such groups.

When anybody looks:

- at the end of a full collection (of others, at most once in 50 ms), in the thread that
  collected. PyPy has no hook for that.
- when a cache that shrinks under pressure grows, at most once in 50 ms, in the thread that
  makes it grow.
- in a thread of its own, for those who ask for it by `every`.
- in `check_memory()`.

Nothing here waits for a lock that a program could hold: finalizers and signal handlers may call
all of it. What the threads share are dicts, and each step is one operation on one of them, which
is atomic.
"""

import atexit
import gc
import math
import os
from _thread import allocate_lock
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from posixpath import join
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from time import monotonic
from typing import Any, NamedTuple, Self

from . import _hooks
from ._unraisable import report
from .containers import WeakIdSet

__all__ = ["MemoryPressure", "MemoryWatch", "check_memory", "on_memory_pressure"]

_LIMIT = 0.9  # of the caches
_INTERVAL = 0.05  # seconds, between two looks that nobody asked for by themselves
_LONGEST_WAIT = 3600.0  # seconds; some clocks take no more than weeks


class MemoryPressure(NamedTuple):
    """What was seen at a look, in bytes."""

    resident: int
    """The process's resident size."""
    limit: int
    """What it has reached."""


class _Watch:
    """A callback, and when it wants to be called."""

    __slots__ = ("busy", "callback", "every", "limit", "next_look")

    def __init__(
        self, callback: Callable[[MemoryPressure], object], limit: float, every: float | None
    ) -> None:
        self.callback = callback
        self.limit = limit
        self.every = every
        self.next_look = monotonic()  # if there is an `every`
        self.busy = allocate_lock()

    def serve(self, resident: int, memory: int) -> None:
        limit = _in_bytes(self.limit, memory)
        busy = self.busy  # a process forked in the callback gets another
        if resident < limit or self not in _watches or not busy.acquire(blocking=False):
            return  # cancelled by now, or under way: in another thread, or further up in this
        try:
            self.callback(MemoryPressure(resident, limit))
        except BaseException as error:
            report(error, self.callback)
        finally:
            busy.release()


class MemoryWatch:
    """What `on_memory_pressure()` returns: ends the watch when it is cancelled.

    A context manager, too, that cancels at its end. Dropping the object cancels nothing.
    """

    __slots__ = ("__weakref__", "_watch")

    def __init__(self, watch: _Watch) -> None:
        self._watch = watch

    def cancel(self) -> None:
        """Stop watching; a call that has begun in another thread is not waited for. O(1)."""
        _watches.pop(self._watch, None)
        _settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def __repr__(self) -> str:
        watch = self._watch
        limit = f"{watch.limit} bytes" if isinstance(watch.limit, int) else f"{watch.limit:.0%}"
        state = "" if watch in _watches else " (cancelled)"
        return f"<{type(self).__name__}: {watch.callback!r} at {limit}{state}>"


def on_memory_pressure(
    callback: Callable[[MemoryPressure], object],
    *,
    limit: float = 0.9,
    every: float | None = None,
) -> MemoryWatch:
    """Call `callback(pressure)` when the process's resident size has reached a limit.

    A float `limit`, above 0 and at most 1, is a share of the memory that the process may use:
    the machine's, or the limit of its control group (cgroup) if that is smaller. An int is a
    number of bytes. `pressure` is a `MemoryPressure`: the resident size and the limit, in bytes.

    The callback is called at each look that finds the limit reached, not only at the first.
    By default there is a look at the end of each full collection (of others at most every 50 ms),
    and one, at most every 50 ms, when a `WeakCache` that shrinks under pressure grows. There is
    no thread, and hence no look while neither happens; on PyPy, collections bring none. With
    `every`, a number of seconds, a daemon thread looks that often and calls the callback
    itself; all watches share it, and it ends with the last. A forked child has a thread of its
    own. `check_memory()` looks at any time.

    The callback runs in the middle of a program that knows nothing of it, as a finalizer does:
    it must not wait for a lock that the interrupted code could hold, and inside a collection
    `gc.collect()` does nothing. It is never called while a call of it is under way. Its
    exceptions go to `sys.unraisablehook`. It is held strongly until the watch is cancelled; a
    bound method holds its object.

    Needs psutil; raises ImportError without it, TypeError or ValueError for bad arguments.
    O(1); thread-safe.
    """
    if not callable(callback):
        raise TypeError(f"the callback must be callable, not '{type(callback).__name__}'")
    watch = _Watch(callback, _checked_limit(limit), _checked_every(every))
    _psutil()
    _watches[watch] = None
    if every is None:
        _arm()
    else:
        try:
            _start_thread()
        except BaseException:
            _watches.pop(watch, None)
            raise
    return MemoryWatch(watch)


def check_memory(*, limit: float = 0.9) -> MemoryPressure | None:
    """Look now: return the pressure if the process's resident size has reached `limit`.

    Calls the callbacks of all watches whose own limits it has reached, too, and shrinks the
    caches that shrink under pressure. Returns None if `limit`, which is meant as in
    `on_memory_pressure()`, has not been reached.

    Needs psutil; raises ImportError without it, TypeError or ValueError for a bad limit, and
    what psutil raises if it cannot look.
    """
    limit = _checked_limit(limit)
    resident, memory = _resident(), _memory()
    _serve(list(_watches), resident, memory)
    in_bytes = _in_bytes(limit, memory)
    return MemoryPressure(resident, in_bytes) if resident >= in_bytes else None


def _checked_limit(limit: Any) -> float:
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise TypeError(
            f"limit must be a float (a share) or an int (bytes), not '{type(limit).__name__}'"
        )
    if isinstance(limit, int):
        if limit <= 0:
            raise ValueError(f"limit must be a positive number of bytes, not {limit}")
    elif not 0 < limit <= 1:
        raise ValueError(f"a limit that is a float must be above 0 and at most 1, not {limit}")
    return limit


def _checked_every(every: Any) -> float | None:
    if every is None:
        return None
    if isinstance(every, bool) or not isinstance(every, int | float):
        raise TypeError(f"every must be a number or None, not '{type(every).__name__}'")
    if not 0 < every < math.inf:
        raise ValueError(f"every must be a positive, finite number of seconds, not {every}")
    return every


def _in_bytes(limit: float, memory: int) -> int:
    return limit if isinstance(limit, int) else int(limit * memory)


# ------------------------------------------------------------------- what there is to see


def _psutil() -> Any:
    try:
        return import_module("psutil")
    except ImportError as error:
        raise ImportError(
            "watching memory needs psutil, which is not installed: pip install weakly[memory]"
        ) from error


@cache
def _process(_pid: int) -> Any:
    return _psutil().Process()


def _resident() -> int:
    """This process's resident size in bytes."""
    return int(_process(os.getpid()).memory_info().rss)  # a fork must not see its parent's


@cache
def _machine_memory() -> int:
    return int(_psutil().virtual_memory().total)


def _memory() -> int:
    """How many bytes this process may use."""
    return min([_machine_memory(), *_cgroup_limits()])


_CGROUP_OF_PROCESS = "/proc/self/cgroup"
_CGROUPS = "/sys/fs/cgroup"


def _cgroup_limits() -> Iterator[int]:
    """The limits of this process's control groups and of those that they are in.

    "max", or a number above all memory, is no limit; nor is what cannot be read.
    """
    for line in _read(_CGROUP_OF_PROCESS).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:  # version 2
            folder, name = _CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = join(_CGROUPS, "memory"), "memory.limit_in_bytes"
        else:
            continue
        # In a container the path can be the host's, of which only the root is to be seen.
        groups = [group for group in path.split("/") if group]
        for depth in range(len(groups), -1, -1):
            limit = _read(join(folder, *groups[:depth], name)).strip()
            if limit.isdecimal() and int(limit) > 0:
                yield int(limit)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


# ------------------------------------------------------------------------------- looking

_watches: dict[_Watch, None] = {}
_caches: WeakIdSet[Any] = WeakIdSet()
_shrinking = allocate_lock()
_last_look = -math.inf  # that neither a thread nor a program has asked for


def _watch(cache: Any) -> None:  # pyright: ignore[reportUnusedFunction]  # WeakCache's
    """Shrink this cache under pressure, for as long as somebody else holds it."""
    _psutil()
    _caches.add(cache)
    _arm()


def _grown() -> None:  # pyright: ignore[reportUnusedFunction]  # WeakCache's
    """A watched cache has grown: look, unless somebody has just done so."""
    if monotonic() - _last_look >= _INTERVAL:
        _look_for_untimed()


def _timed() -> list[tuple[float, _Watch]]:
    return [(watch.every, watch) for watch in list(_watches) if watch.every is not None]


def _untimed() -> list[_Watch]:
    return [watch for watch in list(_watches) if watch.every is None]


def _look_for_untimed() -> None:
    global _last_look
    _last_look = monotonic()
    watches = _untimed()
    if watches or _caches:
        _arm()
        _look(watches)


def _look(watches: list[_Watch]) -> None:
    """Look on behalf of these watches, and of the caches. Raises nothing."""
    try:
        resident, memory = _resident(), _memory()
    except Exception as error:
        report(error, _look)
    else:
        _serve(watches, resident, memory)


def _serve(watches: Iterable[_Watch], resident: int, memory: int) -> None:
    if resident >= _in_bytes(_LIMIT, memory):
        _shrink()
    for watch in watches:
        watch.serve(resident, memory)


def _shrink() -> None:
    """Let go of a quarter of each window, the coldest part; the next look takes more."""
    busy = _shrinking
    if not busy.acquire(blocking=False):
        return  # another look is at it
    try:
        for cache in _caches:
            try:
                cache.shrink(cache.window_weight * 3 // 4)
            except BaseException as error:
                report(error, cache.shrink)
    finally:
        busy.release()


# ---------------------------------------------------------------- at a collection's end


def _hook(phase: str, info: dict[str, int]) -> None:
    """In `gc.callbacks` from the first watch on."""
    if phase == "start":
        return
    if info["generation"] == 2 or monotonic() - _last_look >= _INTERVAL:
        _look_for_untimed()


def _arm() -> None:
    """Have the hook in its place.

    It stays there when nobody watches any more. Who removes a hook while a collection goes
    through the list, as a callback that cancels its watch would, makes it pass over the next.
    """
    if hasattr(gc, "callbacks"):
        _hooks.ensure(_hook)


def _settle() -> None:
    """Let the thread end if nobody needs it any more."""
    if not _timed() and _thread:
        _wake.put(None)


# ---------------------------------------------------------------------------- the thread

_THE = "the thread"  # at most one, so that setdefault() tells who is first
_thread: dict[str, Thread] = {}
_wake: SimpleQueue[None] = SimpleQueue()  # its put() can be interrupted by itself


def _start_thread() -> None:
    """Have the thread see to the watches that there are now."""
    thread = Thread(target=_keep_looking, args=(_wake,), name="weakly memory watch", daemon=True)
    if _thread.setdefault(_THE, thread) is not thread:
        _wake.put(None)
        return
    try:
        thread.start()
    except BaseException:
        _thread.pop(_THE, None)
        raise


def _keep_looking(wake: SimpleQueue[None]) -> None:
    me = current_thread()
    while _thread.get(_THE) is me:  # not so in a process forked by a callback
        timed = _timed()
        if not timed:
            _thread.pop(_THE, None)
            if _timed():  # somebody has come meanwhile, and may have relied on this thread
                _thread.setdefault(_THE, me)
            continue
        now = monotonic()
        due = [(every, watch) for every, watch in timed if watch.next_look <= now]
        if due:
            for every, watch in due:
                watch.next_look = now + every
            _look([watch for _, watch in due])
        else:
            wait = min(watch.next_look for _, watch in timed) - now
            del timed, due  # nothing is kept while it waits
            with suppress(Empty):
                wake.get(timeout=min(wait, _LONGEST_WAIT))


def _after_fork() -> None:
    """In the child, where no other thread is there to finish what it has begun."""
    global _shrinking, _wake
    _shrinking = allocate_lock()
    _wake = SimpleQueue()
    _thread.clear()
    for watch in list(_watches):
        watch.busy = allocate_lock()
    if _timed():
        _start_thread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _end() -> None:
    """Nothing of this runs while the interpreter is taken apart."""
    thread = _thread.get(_THE)
    _watches.clear()
    _caches.clear()
    _settle()
    if hasattr(gc, "callbacks"):
        _hooks.remove(_hook)
    if thread is not None and thread is not current_thread():
        thread.join(1)  # it may be in a callback that takes long
