"""Threads that finalizers may start and leave work to, whatever locks the program holds.

A finalizer, or the callback of a weak reference, runs between any two steps of whatever the
thread was at, which may hold any lock that is not reentrant: the one of a `queue.Queue`, of an
executor, of the `threading` module itself. So what it calls must take none. Here:

- `Worker.start()` begins with a bare thread, and leaves it to that one to start a proper
  `threading.Thread`, for which it has to wait for locks;
- `later()` puts a call into a queue whose `put()` can be interrupted by itself; one thread
  takes the calls out and makes them.
"""

import atexit
import os
import sys
from _thread import allocate_lock, get_ident, start_new_thread
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeAlias, cast

from ._unraisable import report

__all__ = ["Worker", "finish", "later", "putter"]

_Call: TypeAlias = Callable[[], object]
_Calls: TypeAlias = "SimpleQueue[_Call | None]"  # None ends who takes from it


class Worker:
    """A daemon thread, which can be started from within a finalizer."""

    __slots__ = ("_begun", "_ident", "_name", "_over", "_run", "_starter")

    def __init__(self, run: Callable[["Worker"], object], name: str) -> None:
        self._run = run
        self._name = name
        self._ident: int | None = None
        self._starter: int | None = get_ident()  # who is still to start it
        self._begun = allocate_lock()
        self._over = allocate_lock()
        self._over.acquire()

    def start(self) -> bool:
        """Start it, once; False where that is not possible, as when the interpreter ends."""
        try:
            start_new_thread(self._begin, ())
            self._starter = None
        except RuntimeError:
            self._over.release()
            return False
        return True

    def _begin(self) -> None:
        try:
            Thread(target=self._work, name=self._name, daemon=True).start()
        except (RuntimeError, MemoryError):  # there are interpreters that want no daemon threads
            self._work()

    def _work(self) -> None:
        if not self._begun.acquire(blocking=False):
            return  # the thread was started, and only then the memory was missing
        self._ident = get_ident()
        try:
            self._run(self)
        except BaseException as error:
            report(error, self._run)
        finally:
            self._over.release()

    def wait(self) -> None:
        """Wait until it has ended, unless this is it, or is in the middle of starting it."""
        if get_ident() not in (self._ident, self._starter):
            with self._over:
                pass

    def is_this_thread(self) -> bool:
        return self._ident == get_ident()


# ------------------------------------------------------------------- where calls are left


class _LockFreeQueue:
    """One that can be put into from everywhere, and from which one thread takes."""

    def __init__(self) -> None:
        self._items: deque[_Call | None] = deque()
        self._bell = allocate_lock()

    def put(self, item: _Call | None) -> None:
        self._items.append(item)
        with suppress(RuntimeError):  # it has rung already
            self._bell.release()

    def get(self) -> _Call | None:
        while not self._items:
            self._bell.acquire()
        return self._items.popleft()

    def get_nowait(self) -> _Call | None:
        try:
            return self._items.popleft()
        except IndexError:
            raise Empty from None


# That of the standard library takes a lock where it is written in Python.
_new_calls: Callable[[], _Calls] = cast(
    Any, SimpleQueue if sys.implementation.name == "cpython" else _LockFreeQueue
)

# ------------------------------------------------------- calls that are left to one thread

_THE = "the worker"  # at most one, so that setdefault() tells who is first
_workers: dict[str, Worker] = {}
_calls: _Calls = _new_calls()
_ended = False


def later(call: _Call) -> None:
    """Have the thread make a call; its exceptions go to `sys.unraisablehook`.

    Takes no lock, and so may be called from everywhere.
    """
    _calls.put(call)
    _have_worker()


def putter() -> Callable[[_Call], object]:
    """What `later` does, as a function that runs no Python code."""
    _have_worker()
    return _calls.put


def finish() -> None:
    """Return when all calls that were left so far have been made."""
    worker = _workers.get(_THE)
    if worker is None or worker.is_this_thread():
        _make_calls(_calls)
    else:
        done = allocate_lock()
        done.acquire()
        _calls.put(done.release)
        done.acquire()


def _have_worker() -> None:
    if _THE in _workers or _ended:
        return
    calls = _calls

    def serve(_: Worker) -> None:
        while (call := calls.get()) is not None:
            _make(call)
            del call  # nothing is kept while it waits

    worker = Worker(serve, "weakly finalizers")
    if _workers.setdefault(_THE, worker) is worker and not worker.start():
        _workers.pop(_THE, None)


def _make(call: _Call) -> None:
    try:
        call()
    except BaseException as error:
        report(error, call)


def _make_calls(calls: _Calls) -> None:
    while True:
        try:
            call = calls.get_nowait()
        except Empty:
            return
        if call is not None:
            _make(call)


def _after_fork() -> None:
    """The calls that were left in the parent are its business, and its thread is not here."""
    global _calls
    _calls = _new_calls()
    _workers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _end() -> None:
    """Nothing of this runs while the interpreter is taken apart."""
    global _ended
    _ended = True
    worker = _workers.get(_THE)
    if worker is not None and not worker.is_this_thread():
        _calls.put(None)
        worker.wait()
    _workers.clear()
    _make_calls(_calls)
