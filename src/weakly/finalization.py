"""Clean-up after objects: `finalize`, `ReferenceQueue` and `Cleaner`, also when the program exits.

What an object's death calls runs inside of whatever the thread was at, under any lock that it
holds. So nothing here that a death calls takes a lock; what users give to `finalize` runs there,
unless it is handed over to an executor or loop, and what they give to a `Cleaner` never does.
What threads share are dicts, and each step is one operation on one of them, which is atomic.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import warnings
from _thread import TIMEOUT_MAX, allocate_lock
from collections.abc import Callable
from functools import partial
from time import monotonic
from types import SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, Self, TypeVar, cast, overload
from weakref import ref

from ._implementation import (
    Finalizer,
    ReferenceQueueBase,
    TrackedRef,
    finalizers_created,
    live_finalizers,
    stop_finalizers,
)
from ._reach import path_to
from ._unraisable import report
from ._workers import Worker, finish, later, putter

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from concurrent.futures import Executor

__all__ = ["Cleaner", "Cleanup", "ReferenceQueue", "TrackedRef", "finalize"]


P = ParamSpec("P")
D = TypeVar("D")
Obj = TypeVar("Obj")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_Content = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

# ------------------------------------------------------------------------------- finalize


class _Info(SimpleNamespace):
    """What the standard library's registry keeps for a finalizer."""

    weakref: ref[Any] | None
    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any] | None
    atexit: bool
    index: int


class _Registry:
    """`finalize._registry`: the live finalizers and their contents, oldest first."""

    def __get__(self, instance: object, owner: object) -> dict[finalize[..., Any], _Info]:
        registry: dict[finalize[..., Any], _Info] = {}
        for index, finalizer in enumerate(live_finalizers()):
            content = finalizer.peek()
            if content is not None and isinstance(finalizer, finalize):
                obj, func, args, kwargs = content
                registry[finalizer] = _Info(
                    weakref=ref(obj),
                    func=func,
                    args=args,
                    kwargs=kwargs or None,
                    atexit=finalizer.atexit,
                    index=index,
                )
        return registry


class finalize(Finalizer, Generic[P, T_co]):
    """Call `func(*args, **kwargs)` once `obj` dies, or earlier when the finalizer is called.

    A finalizer keeps itself, the function and its arguments alive until it has been called
    or detached; they must not refer to `obj`, or it never dies. Those that are still alive
    when the program exits are called then, newest first, unless `atexit` is false.
    Exceptions of a call that a death caused go to `sys.unraisablehook`.

    Four keywords are options, unless `func` takes one of that name (or any keyword, or has no
    signature that `inspect` knows), which then gets it:

    - `check=True`: a RuntimeWarning if the function or its arguments lead to `obj`, which so
      could never die. They are searched to some depth, by identity, without running any code.
    - `executor` or `loop`: when `obj` dies the call is handed over, without waiting for any
      lock, and is made in a thread of the executor, or by the event loop. Where that takes it
      no more, a thread of weakly's own makes it; what it took and never made, as a loop that is
      closed, is made at exit. What is called by hand or at exit is called in place. The
      executor's threads must be in this process.
    - `in_child`: whether the finalizer lives on in a child that is forked, where a second
      process would do the same. By default it does, as in the standard library, but not if any
      of the other options is given. It is an attribute, too.

    Raises TypeError if `obj` cannot be weakly referenced, or if there are both an executor and
    a loop. All operations are O(1) and thread-safe: the function runs once, however many
    threads ask.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # the base knows no parameters

        @overload
        def __init__(
            self, obj: T_co, func: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
        ) -> None: ...
        @overload
        def __init__(
            self,
            obj: T_co,
            func: Callable[P, Any],
            /,
            *args: Any,
            check: bool,
            in_child: bool = ...,
            executor: Executor | None = ...,
            loop: AbstractEventLoop | None = ...,
            **kwargs: Any,
        ) -> None: ...
        @overload
        def __init__(
            self,
            obj: T_co,
            func: Callable[P, Any],
            /,
            *args: Any,
            in_child: bool,
            executor: Executor | None = ...,
            loop: AbstractEventLoop | None = ...,
            **kwargs: Any,
        ) -> None: ...
        @overload
        def __init__(
            self,
            obj: T_co,
            func: Callable[P, Any],
            /,
            *args: Any,
            executor: Executor | None,
            loop: AbstractEventLoop | None = ...,
            **kwargs: Any,
        ) -> None: ...
        @overload
        def __init__(
            self,
            obj: T_co,
            func: Callable[P, Any],
            /,
            *args: Any,
            loop: AbstractEventLoop | None,
            **kwargs: Any,
        ) -> None: ...
        def __init__(self, obj: Any, func: Any, /, *args: Any, **kwargs: Any) -> None: ...
        def detach(
            self,
        ) -> tuple[T_co, Callable[P, Any], tuple[Any, ...], dict[str, Any]] | None: ...
        def peek(
            self,
        ) -> tuple[T_co, Callable[P, Any], tuple[Any, ...], dict[str, Any]] | None: ...

    _shutdown: ClassVar[bool] = False
    _registry: ClassVar[Any] = _Registry()

    def _parse(
        self, obj: object, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[dict[str, Any], Callable[..., object] | None]:
        """Take the options from the keywords; return the others, and what a death calls with
        the function, its arguments and its keywords instead of calling the function."""
        passed = _keywords_of(func)
        options = {name: kwargs[name] for name in _OPTIONS & kwargs.keys() - passed}
        kwargs = {name: value for name, value in kwargs.items() if name not in options}
        executor, loop = options.get("executor"), options.get("loop")
        if executor is not None and loop is not None:
            raise TypeError("finalize() takes an executor or a loop, not both")
        if options:
            self.in_child = bool(options.get("in_child", False))
        if options.get("check"):
            _warn_if_reached(obj, func, args, kwargs)
        if executor is not None:
            return kwargs, partial(_hand_over, executor.submit)
        if loop is not None:
            return kwargs, partial(_hand_over, loop.call_soon_threadsafe)
        return kwargs, None

    @classmethod
    def _select_for_exit(cls) -> list[Finalizer]:
        return [finalizer for finalizer in live_finalizers() if finalizer.atexit]

    @classmethod
    def _exitfunc(cls) -> None:
        """Call what is left, newest first, including what these calls create."""
        collecting = gc.isenabled()
        # A collection could fire a finalizer that is about to be called, out of order.
        gc.disable()
        try:
            _finish_handing_over()
            created = -1
            pending: list[Finalizer] = []
            while True:
                if created != finalizers_created():
                    created = finalizers_created()
                    pending = cls._select_for_exit()
                if not pending:
                    break
                try:
                    pending.pop()()
                except Exception as error:
                    sys.excepthook(type(error), error, error.__traceback__)
            _finish_handing_over()
        finally:
            finalize._shutdown = True
            stop_finalizers()
            if collecting:
                gc.enable()


_OPTIONS = {"check", "executor", "in_child", "loop"}


def _keywords_of(func: Any) -> set[str]:
    """Those of the options' names that are keywords of the function."""
    from inspect import Parameter, signature  # takes long, and is needed by few

    try:
        parameters = signature(func).parameters
    except (TypeError, ValueError):
        return _OPTIONS
    if any(each.kind is Parameter.VAR_KEYWORD for each in parameters.values()):
        return _OPTIONS
    return _OPTIONS & {
        name for name, each in parameters.items() if each.kind is not Parameter.POSITIONAL_ONLY
    }


def _warn_if_reached(obj: object, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    roots = [
        ("func", func),
        *[(f"args[{index}]", argument) for index, argument in enumerate(args)],
        *[(f"kwargs[{name!r}]", argument) for name, argument in kwargs.items()],
    ]
    path = path_to(obj, roots)
    if path is not None:
        warnings.warn(
            f"finalize(obj, func, *args, **kwargs): {path} is obj, a '{type(obj).__name__}' "
            "object, which this finalizer so keeps alive: it can only run when the program exits",
            RuntimeWarning,
            stacklevel=_frames_of_weakly(),
        )


def _frames_of_weakly() -> int:
    """How many frames of this package the caller's is the last of."""
    from inspect import currentframe

    count = 0
    frame = currentframe()
    while frame is not None and frame.f_globals.get("__package__") == __package__:
        frame, count = frame.f_back, count + 1
    return count


class _Handover:
    """The call of a finalizer on its way to an executor or loop."""

    __slots__ = ("_send",)

    def __init__(self, send: Callable[[Callable[[], None]], object]) -> None:
        self._send = send

    def send(self) -> None:
        try:
            self._send(self.make)
        except Exception:  # it is shut down, or closed
            self.make()

    def make(self) -> None:
        content = _handed_over.pop(self, None)
        if content is not None:
            try:
                _call_and_report(content)
            except BaseException as error:  # an executor would keep it to itself
                report(error, content[0])


_handed_over: dict[_Handover, _Content] = {}


def _hand_over(
    send: Callable[[Callable[[], None]], object],
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    handover = _Handover(send)
    _handed_over[handover] = (func, args, kwargs)
    later(handover.send)


def _finish_handing_over() -> None:
    """Make the calls here that nobody else has begun to make, nor will: the executors were
    shut down before this, and the loops run no more."""
    finish()
    for handover in list(_handed_over):
        handover.make()


def _call_and_report(content: _Content) -> None:
    func, args, kwargs = content
    try:
        func(*args, **kwargs)
    except Exception as error:
        report(error, func)


# -------------------------------------------------------------------------- ReferenceQueue

_NOTHING: Any = object()


class ReferenceQueue(ReferenceQueueBase, Generic[T]):
    """The deaths of objects, for the program to look at when it is convenient.

    `track(obj, token)` has the token put into the queue when the object dies, which takes no
    lock and runs no code of the program. The tokens come out in the order of the deaths, each
    once, by `poll()`, `drain()` or `get()`, or asynchronously: `async for token in queue`, in
    any number of tasks and loops, which never ends by itself.

    `len(queue)` is the number of tokens that wait, `queue.tracked` that of the objects that are
    tracked and alive. The queue holds the tokens, which must not refer to their objects. An
    object whose queue is gone is tracked no more.

    All operations are O(1) but `drain()`, and are thread-safe; they take no lock but `get()`,
    and can be called from finalizers and signal handlers. A forked child starts with what the
    parent had: both hear of an object that both have.
    """

    __slots__ = ()

    def __init__(self) -> None:
        pass  # all is done; the base would take any arguments

    if TYPE_CHECKING:  # the base knows no parameters

        @overload  # type: ignore[override]  # the base takes any token
        def track(self, obj: Obj, /) -> TrackedRef[Obj]: ...
        @overload
        def track(self, obj: Obj, token: T, /) -> TrackedRef[Obj]: ...
        def track(self, obj: Any, token: Any = None, /) -> TrackedRef[Any]: ...
        @overload
        def poll(self, default: None = None, /) -> T | None: ...
        @overload
        def poll(self, default: D, /) -> T | D: ...
        def poll(self, default: Any = None, /) -> Any: ...
        def drain(self, max: int | None = None) -> list[T]: ...

    def get(self, timeout: float | None = None) -> T:
        """Take the next token; wait for it if there is none.

        Raises TimeoutError if there is none for `timeout` seconds, and ValueError if that is
        negative. Each death wakes all who wait, of whom one gets the token.
        """
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout must not be negative, nor not a number: {timeout}")
        end = None if timeout is None else monotonic() + timeout
        while (token := self.poll(_NOTHING)) is _NOTHING:
            rest = TIMEOUT_MAX if end is None else min(end - monotonic(), TIMEOUT_MAX)
            if rest <= 0:
                raise TimeoutError(f"no tracked object has died for {timeout} seconds")
            bell = allocate_lock()
            bell.acquire()
            ring = bell.release
            if self._wake(ring):
                try:
                    bell.acquire(timeout=rest)
                finally:
                    self._unwake(ring)
        return cast(T, token)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """Take the next token; wait for it if there is none. Who is cancelled takes none."""
        from asyncio import get_running_loop

        loop = get_running_loop()
        while (token := self.poll(_NOTHING)) is _NOTHING:
            woken: Future[None] = loop.create_future()
            ring = partial(putter(), partial(_call_soon, loop, partial(_set, woken)))
            if self._wake(ring):
                try:
                    await woken
                finally:
                    self._unwake(ring)
        return cast(T, token)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.tracked} tracked, {len(self)} dead>"


def _set(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _call_soon(loop: AbstractEventLoop, function: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:
        if not loop.is_closed():
            raise


# --------------------------------------------------------------------------------- Cleaner


class Cleanup:
    """A call that a `Cleaner` makes when an object has died; what `register()` returns."""

    __slots__ = ("__weakref__", "_work")

    def __init__(self, work: _Work) -> None:
        self._work = work

    def __call__(self) -> Any:
        """Make the call now, and here, unless it has been made or cancelled; return its result."""
        content = self._work.take(self)
        if content is None:
            return None
        func, args, kwargs = content
        return func(*args, **kwargs)

    def cancel(self) -> bool:
        """Never make the call; return False if it has been made or cancelled before."""
        return self._work.take(self) is not None

    @property
    def alive(self) -> bool:
        """Whether the call is still to be made."""
        return self in self._work.registered

    def __repr__(self) -> str:
        entry = self._work.registered.get(self)
        state = "done" if entry is None else f"calls {entry[1][0]!r}"
        return f"<{type(self).__name__}: {state}>"


class Cleaner:
    """Makes calls when objects have died, in a thread of its own, or in an event loop.

    `register(obj, f, *args, **kwargs)` has `f(*args, **kwargs)` called once `obj` has died.
    Unlike what `finalize` and the callbacks of weak references call, it is not called from
    within the death, but by a daemon thread, which is started by the first `register()`, or by
    the `loop`; so it may take any lock, log, and use queues. What it raises goes to
    `sys.unraisablehook`.

    `close()`, the end of a `with` block, or the exit of the interpreter make all calls that are
    left. A cleaner that nobody holds any more goes on until the last of its objects has died.
    In a forked child it starts with nothing registered or, if `in_child`, with all that was,
    and in a thread of the child's; a loop does not run there, so its calls wait for `close()`.
    If the loop has been closed, too.

    All operations are O(1) but `run_pending()` and `close()`, and are thread-safe; they take no
    lock, but `close()` waits for the thread. All but `close()` can be called from finalizers.
    """

    __slots__ = ("__weakref__", "_work")

    def __init__(
        self,
        *,
        loop: AbstractEventLoop | None = None,
        in_child: bool = False,
        name: str = "weakly cleaner",
    ) -> None:
        self._work = _Work(self, loop, in_child, name)

    def register(
        self, obj: object, f: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> Cleanup:
        """Call `f(*args, **kwargs)` once `obj` has died.

        What is called must not refer to `obj`, or it never dies. Raises TypeError if `obj`
        cannot be weakly referenced, and RuntimeError if the cleaner is closed.
        """
        work = self._work
        work.require_open()
        cleanup = Cleanup(work)
        work.registered[cleanup] = work.queue.track(obj, cleanup), (f, args, kwargs)
        work.start()
        if work.closed and cleanup.cancel():  # closed meanwhile, which has not made the call
            work.require_open()
        work.settle()
        return cleanup

    def run_pending(self, max: int | None = None) -> int:
        """Make the calls for objects that have died, here and now; return how many were made.

        `max` limits them. Calls that the cleaner's thread has begun are not waited for.
        """
        if max is not None and max < 0:
            raise ValueError(f"max must not be negative, not {max}")
        return self._work.run_due(max)

    def close(self, *, cancel: bool = False) -> None:
        """End it: make the calls for objects that have died, then those for all others, the
        newest first, as if these had died; if `cancel`, forget the latter instead.

        The calls are made here, after the thread has finished the one that it was at. Closing
        again does nothing.
        """
        self._work.close(cancel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        work = self._work
        state = "closed" if work.closed else f"{len(work.registered)} registered"
        return f"<{type(self).__name__} {work.name!r}: {state}>"


class _Work:
    """What a cleaner has to do. It outlives the cleaner as long as anything is registered."""

    def __init__(
        self, cleaner: Cleaner, loop: AbstractEventLoop | None, in_child: bool, name: str
    ) -> None:
        self.queue = ReferenceQueueBase()  # of clean-ups
        self.registered: dict[Cleanup, tuple[TrackedRef[Any], _Content]] = {}  # oldest first
        self.closed = False
        self.loop = loop
        self.in_child = in_child
        self.name = name
        # One at most: setdefault() tells who is first. That of a loop is never used.
        self.started: dict[str, Worker] = {}
        self.ring: Callable[[], object] = _do_nothing  # wakes the thread, or the loop
        self.cleaner = ref(cleaner, self.settle)

    def require_open(self) -> None:
        if self.closed:
            raise RuntimeError("the cleaner is closed: it registers nothing any more")

    def take(self, cleanup: Cleanup) -> _Content | None:
        """Take the call of a clean-up, to make it or not; None if somebody else has."""
        entry = self.registered.pop(cleanup, None)
        if entry is None:
            return None
        tracked, content = entry
        tracked.cancel()
        self.settle()
        return content

    def is_over(self) -> bool:
        return self.closed or (not self.registered and self.cleaner() is None)

    def settle(self, _: object = None) -> None:
        """See whether it is over: let the thread end, and let go of what holds this."""
        if not self.is_over():
            return
        if not self.registered:
            _works.pop(self, None)
        # Who takes the waker out is the one who calls it.
        if self.queue._unwake(self.ring) and self.loop is None:
            self.ring()

    def start(self) -> None:
        """Have the thread or the loop see to it."""
        if self.started:
            return
        worker = Worker(self.serve, self.name)
        if self.started.setdefault("by", worker) is not worker:
            return
        _works[self] = None
        _close_at_exit()
        if self.loop is not None:
            self.ring = partial(putter(), partial(_call_soon, self.loop, self.serve_in_loop))
            self.listen()
        elif not worker.start():
            self.started.clear()  # the next one may have more luck; at exit it is closed anyway

    def serve(self, worker: Worker) -> None:
        while self.started.get("by") is worker:  # not so in a child that a clean-up has forked
            try:
                self.run_due(None)
            except BaseException as error:
                report(error, self.serve)
                del error
            bell = allocate_lock()
            bell.acquire()
            self.ring = ring = bell.release
            if self.queue._wake(ring):
                # In this order: who ends it meanwhile is seen here, or rings.
                if self.is_over():
                    self.queue._unwake(ring)
                else:
                    bell.acquire()
            if self.is_over():
                break
        if self.started.get("by") is worker:
            self.started.clear()

    def listen(self) -> None:
        if not self.queue._wake(self.ring):
            self.ring()

    def serve_in_loop(self) -> None:
        try:
            self.run_due(_AT_ONCE)
        finally:
            if not self.is_over():
                self.listen()

    def run_due(self, max: int | None) -> int:
        count = 0
        while count != max:
            cleanup: Cleanup | None = self.queue.poll()
            if cleanup is None:
                break
            content = self.take(cleanup)
            if content is not None:
                count += 1
                _call_and_report(content)
        return count

    def close(self, cancel: bool) -> None:
        self.closed = True
        worker = self.started.get("by")
        self.settle()
        if worker is not None and self.loop is None:
            worker.wait()
        self.run_due(None)
        while self.registered:
            try:
                _, (_, content) = self.registered.popitem()
            except KeyError:  # taken meanwhile
                break
            if not cancel:
                _call_and_report(content)
        self.queue._cancel_all()
        self.settle()

    def after_fork(self) -> None:
        """In the child, where there is neither the thread nor a running loop."""
        self.queue._unwake(self.ring)
        self.started.clear()
        if not self.in_child:
            _works.pop(self, None)
            self.registered.clear()
            self.queue._cancel_all()
        elif self.loop is None and self.registered:
            self.start()


_AT_ONCE = 100  # calls, after which the loop has its turn

_works: dict[_Work, None] = {}  # those that are started and not over, oldest first
_exit: dict[str, bool] = {}


def _do_nothing() -> None:
    pass


def _close_at_exit() -> None:
    # As late as this, so that it comes before what was registered earlier.
    if _exit.setdefault("registered", False) is False:
        _exit["registered"] = True
        atexit.register(_close_all)


def _close_all() -> None:
    while _works:
        work, _ = _works.popitem()
        try:
            work.close(cancel=False)
        except BaseException as error:  # such as SystemExit of a clean-up
            report(error, work.close)
            if work.registered:
                _works[work] = None  # the others are made


def _after_fork() -> None:
    """In the child: forget what is the parent's business."""
    _handed_over.clear()
    for finalizer in live_finalizers():
        if not finalizer.in_child:
            # If its object has just died in another thread, it cannot be detached.
            finalizer.atexit = False
            finalizer.detach()
    for work in list(_works):
        work.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
