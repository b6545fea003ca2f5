"""Signals: what tells listeners of events without keeping them alive.

What happens when a signal is emitted is in the base (`_implementation`); here is who listens.

How it works. A signal has one `dict` of its listeners, from each to itself, for they are equal
if they were made for the same callable. `emit` goes through a tuple of them, the snapshot,
which is made when it is first needed and kept in a list of one, the cell. A change of the
listeners changes the `dict`, in one step, and then takes a new cell: so a snapshot that was
made meanwhile lands in a cell that nobody reads any more. Deaths, finalizers and threads may
come in between any two steps; only to connect a listener again takes a lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, suppress
from copy import deepcopy
from functools import partial
from threading import RLock
from types import CoroutineType
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    Self,
    TypeVar,
    cast,
    overload,
)
from weakref import ref

from ._implementation import SignalBase, WeakCallable
from ._unraisable import report
from .streams import Stream, feed

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from concurrent.futures import Executor
    from inspect import Signature

    from typing_extensions import ParamSpec  # which knows of defaults

    P = ParamSpec("P", default=...)
else:
    from typing import ParamSpec

    P = ParamSpec("P")

__all__ = ["Signal"]

R = TypeVar("R")

_OnError = Literal["raise", "report", "stop"] | Callable[[Exception, Any], object]
_Errors = list[tuple[WeakCallable[..., Any], BaseException]]

_NOTHING: Any = object()

# What `_state` of a listener can be.
_CALL, _ASK, _GONE = 0, 1, 2


# Listeners


class _SenderRef(ref[Any]):
    """A weak reference to a sender, which tells of its death."""

    __slots__ = ("key", "senders")
    key: int
    senders: ref[_Senders]


def _lose_sender(reference: _SenderRef) -> None:
    senders = reference.senders()
    if senders is None or reference() is not None:  # anybody may call this, at any time
        return
    # In this order: who adds a sender puts another listener in place after it.
    listener = senders.listener()
    if senders.get(reference.key) is reference:
        senders.pop(reference.key, None)
    if not senders and listener is not None:
        senders.forget(listener)


class _Senders(dict[int, _SenderRef]):
    """The senders that a listener listens to, by their id."""

    __slots__ = ("__weakref__", "forget", "listener")
    forget: WeakCallable[..., Any]  # of the signal
    listener: ref[Any]  # which makes no cycle

    def add(self, sender: object) -> None:
        try:
            reference = _SenderRef(sender, cast(Any, _lose_sender))
        except TypeError:
            raise TypeError(
                f"cannot create weak reference to '{type(sender).__name__}' object: a sender "
                "must be of a type that supports weak references"
            ) from None
        reference.key = id(sender)
        reference.senders = ref(self)
        self[id(sender)] = reference

    def take(self, others: _Senders) -> _Senders:
        added = [*others.values()]
        for reference in added:
            reference.senders = ref(self)
        self.update(others)
        for reference in added:
            _lose_sender(reference)  # if it has died meanwhile
        return self

    def has(self, sender: object) -> bool:
        reference = self.get(id(sender))
        return reference is not None and reference() is sender

    def any_alive(self) -> bool:
        return any(reference() is not None for reference in [*self.values()])


class _Options:
    """What is known of a listener that is not just to be called."""

    __slots__ = ("chances", "forget", "mutes", "priority", "senders", "via")
    forget: WeakCallable[..., Any]  # of the signal; only if there are chances

    def __init__(self) -> None:
        self.chances: list[None] | None = None  # of one that is called once: one, to be taken
        self.mutes: list[None] = []  # one for each `muted()`
        self.priority: float = 0
        self.senders: _Senders | None = None  # None: it listens to all
        self.via: _Via | None = None  # what calls it, instead of the signal


class _Listener(WeakCallable[..., Any]):
    # Not in slots: most listeners have neither.
    options: _Options | None = None
    successor: _Listener | None = None  # equal, and connected since

    def need_options(self) -> _Options:
        options: _Options = vars(self).setdefault("options", _Options())
        if self._state == _CALL:
            self._state = _ASK
        return options

    def latest(self) -> _Listener | None:
        """This listener, or the one that took its place; None if it is disconnected."""
        listener = self
        while listener.successor is not None:
            listener = listener.successor
        return None if listener._state == _GONE else listener

    def hand_over(self, to: _Listener) -> None:
        """Gives its place to one that is equal, and is not connected yet."""
        options = self.options
        if options is not None:
            theirs = to.need_options()
            theirs.mutes = options.mutes
            if theirs.senders is not None and options.senders is not None:
                theirs.senders = options.senders.take(theirs.senders)
                theirs.senders.listener = ref(to)
        if to.options is not None and (options is None or options.senders is None):
            to.options.senders = None
        self.successor = to
        self._state = _ASK
        if options is None and self.options is not None:  # it has been muted in between
            to.need_options().mutes = self.options.mutes

    def hears(self) -> bool:
        """Whether there is anything that could be delivered to it."""
        if self._state == _GONE or not self.alive:
            return False
        senders = None if self.options is None else self.options.senders
        return senders is None or senders.any_alive()

    def _deliver(
        self, signal: Any, sender: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Calls it as its options say; NotImplemented if it is not called now."""
        listener = self.latest()
        target = None if listener is None else listener.target
        if listener is None or target is None:
            return NotImplemented
        options = listener.options
        if options is None:
            return target(*args, **kwargs)
        if options.mutes or (options.senders is not None and not options.senders.has(sender)):
            return NotImplemented
        if options.chances is not None:
            try:
                options.chances.pop()
            except IndexError:
                return NotImplemented
        if options.via is None:
            if options.chances is not None:
                options.forget(listener)
            return target(*args, **kwargs)
        try:
            options.via(listener, target, sender, args, kwargs)
        except BaseException:
            if options.chances is not None:
                options.chances.append(None)
            raise
        return NotImplemented


# Where else than in the emitting call a listener can be called

_Via = Callable[[_Listener, Any, Any, tuple[Any, ...], dict[str, Any]], None]


def _call_later(listener: _Listener) -> Any:
    """What to call when the time has come; None if the listener has gone meanwhile."""
    latest = listener.latest()
    if latest is None:
        return None
    if latest.options is not None and latest.options.chances is not None:
        latest.options.forget(latest)
    return latest.target


# Loops do not keep the tasks that run in them. Those of a loop that was closed are never done.
_tasks: dict[AbstractEventLoop, set[Future[Any]]] = {}


def _tasks_of(loop: AbstractEventLoop) -> set[Future[Any]]:
    tasks = _tasks.get(loop)
    if tasks is None:
        for other in [*_tasks]:
            if other.is_closed():
                _tasks.pop(other, None)
        tasks = _tasks.setdefault(loop, set())
    return tasks


class _ViaLoop:
    __slots__ = ("_loop",)

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop

    def __call__(
        self,
        listener: _Listener,
        target: Any,
        sender: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._loop.call_soon_threadsafe(self._run, listener, args, kwargs)

    def _run(self, listener: _Listener, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        target = _call_later(listener)
        result = None if target is None else target(*args, **kwargs)
        if isinstance(result, Coroutine):
            task: Future[Any] = self._loop.create_task(cast(Any, result))
            _tasks_of(self._loop).add(task)
            task.add_done_callback(self._finish)

    def _finish(self, task: Future[Any]) -> None:
        tasks = _tasks_of(self._loop)
        tasks.discard(task)
        if not tasks:
            _tasks.pop(self._loop, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._loop.call_exception_handler(
                {"message": "a listener of a signal failed", "exception": error, "task": task}
            )


class _ViaExecutor:
    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __call__(
        self,
        listener: _Listener,
        target: Any,
        sender: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._executor.submit(_run_in_thread, listener, args, kwargs)


def _run_in_thread(listener: _Listener, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        target = _call_later(listener)
        result = None if target is None else target(*args, **kwargs)
        if type(result) is CoroutineType:
            result.close()
            raise TypeError(
                f"listener {target!r} returned a coroutine: connect coroutine functions with "
                "on_loop(), or call emit_async()"
            )
    except BaseException as error:  # the executor keeps them for nobody
        report(error, listener)


class Delivery(Generic[P]):
    """Where the listeners that are connected through it are called: see `Signal.on_loop`."""

    __slots__ = ("_signal", "_via")

    def __init__(self, signal: Signal[P], via: _Via) -> None:
        self._signal = signal
        self._via = via

    @overload
    def connect(
        self,
        listener: Callable[P, R],
        /,
        *,
        weak: bool | None = None,
        once: bool = False,
        priority: float = 0,
        sender: object = None,
    ) -> Callable[P, R]: ...
    @overload
    def connect(
        self,
        listener: None = None,
        /,
        *,
        weak: bool | None = None,
        once: bool = False,
        priority: float = 0,
        sender: object = None,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def connect(self, listener: Any = None, /, **options: Any) -> Any:
        """Connect a listener as `Signal.connect` does, to be called there."""
        return cast(Any, self._signal).connect(listener, via=self._via, **options)


# Signals


def _priority_of(listener: _Listener) -> float:
    return 0 if listener.options is None else listener.options.priority


class _Waiting:
    """A listener of `emit_async` whose result is to be awaited."""

    __slots__ = ("awaitable", "listener", "place", "task")

    def __init__(self, place: int, listener: WeakCallable[..., Any], awaitable: Any) -> None:
        self.place = place  # among the results
        self.listener = listener
        self.awaitable = awaitable
        self.task: Future[Any] | None = None

    def abandon(self) -> None:
        if self.task is None and hasattr(self.awaitable, "close"):  # a coroutine
            self.awaitable.close()


async def _wait_for(
    waiting: list[_Waiting], results: list[Any], errors: _Errors, stop_at_error: bool
) -> BaseException | None:
    """Runs all to their end, and notes their results and errors; nothing of them runs after it.

    Returns the error that is to be raised at once, if there is one.
    """
    from asyncio import ALL_COMPLETED, FIRST_EXCEPTION, CancelledError, ensure_future, wait

    fatal: BaseException | None = None
    error: BaseException | None = None
    tasks: list[Future[Any]] = []
    cancelled: set[Future[Any]] = set()
    try:
        for each in waiting:
            each.task = task = ensure_future(each.awaitable)
            tasks.append(task)
        try:
            await wait(tasks, return_when=FIRST_EXCEPTION if stop_at_error else ALL_COMPLETED)
        except CancelledError as interruption:
            fatal = interruption
        while running := [task for task in tasks if not task.done()]:
            cancelled.update(running)
            for task in running:
                task.cancel()
            try:
                await wait(running)
            except CancelledError as interruption:  # so they are, again, and waited for still
                fatal = interruption
        # What stopped the others comes before what they say to that.
        for each, task in sorted(zip(waiting, tasks, strict=True), key=lambda x: x[1] in cancelled):
            if task.cancelled():
                error = None if task in cancelled else CancelledError()
            else:
                error = task.exception()
                if error is None:
                    results[each.place] = task.result()
            if error is None:
                continue
            if fatal is None and (stop_at_error or not isinstance(error, Exception)):
                fatal = error
            else:
                errors.append((each.listener, error))
        return fatal
    except GeneratorExit:  # nobody can wait for them any more
        with suppress(RuntimeError):  # the loop is closed
            for task in tasks:
                task.cancel()
        raise
    finally:  # they refer to this frame
        fatal = error = None


# To connect a listener again takes several steps. Re-entrant, as finalizers may come in between.
_replacing = RLock()


def _after_fork() -> None:
    global _replacing
    _replacing = RLock()  # a thread that is not in the child may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Blocked:
    """What `Signal.blocked` returns."""

    __slots__ = ("_signal",)

    def __init__(self, signal: Signal[...]) -> None:
        self._signal = signal

    def __enter__(self) -> None:
        self._signal._blocks.append(None)  # pyright: ignore[reportPrivateUsage]  # of this module
        self._count()

    def __exit__(self, *_: object) -> None:
        self._signal._blocks.pop()  # pyright: ignore[reportPrivateUsage]  # of this module
        self._count()

    def _count(self) -> None:
        # Whoever writes last looks again, so that what stays is right, without a lock.
        signal: Any = self._signal
        while signal._blocked != len(signal._blocks):
            signal._blocked = len(signal._blocks)


class _Muted:
    """What `Signal.muted` returns."""

    __slots__ = ("_mutes",)

    def __init__(self, mutes: list[list[None]]) -> None:
        self._mutes = mutes

    def __enter__(self) -> None:
        for mutes in self._mutes:
            mutes.append(None)

    def __exit__(self, *_: object) -> None:
        for mutes in self._mutes:
            mutes.pop()


class _Doc:
    """The docstring of a signal, which may have its own, or of the class."""

    def __init__(self, doc: str | None) -> None:
        self._doc = doc

    def __get__(self, signal: Any, owner: object) -> str | None:
        own: str | None = None if signal is None else signal._doc
        return self._doc if own is None else own


def _restore(cls: type[Signal[...]], configuration: tuple[Any, ...]) -> Signal[...]:
    signal = cls.__new__(cls)
    signal._configure(*configuration)  # pyright: ignore[reportPrivateUsage]  # of this module
    return signal


class Signal(SignalBase, Generic[P]):
    """Calls its listeners when it is emitted, without keeping them alive.

    >>> import weakly
    >>> class Document:
    ...     saved = weakly.Signal[str]()  # one signal for each document
    >>> class Window:
    ...     def show(self, path):
    ...         print("saved as", path)
    >>> document, window = Document(), Window()
    >>> listener = document.saved.connect(window.show)
    >>> document.saved.emit("letter.txt")
    saved as letter.txt
    >>> del listener, window  # no need to disconnect
    >>> document.saved.has_listeners
    False

    `Signal[str, int]()` fixes how many arguments are emitted, and type checkers know their types;
    `Signal(function)`, also as a decorator, has the signature and the docstring of a function,
    which is never called (of one in a class, `self` is left out). `emit` raises TypeError for
    what does not fit, and calls nobody. `Signal()` takes anything.

    As an attribute of a class it is another signal for each instance, which is made when it is
    first asked for and goes with the instance, whose class must support weak references. The
    instance is the sender of what it emits. The signal of the class is that attribute of the
    class itself: listeners of it hear what all the instances emit, after their own listeners.
    No copy or pickle of an instance has its listeners, and none of a signal.

    - `connect(listener, /, *, weak=None, once=False, priority=0, sender=None)` returns the
      listener; without one, a decorator. Bound methods, and partials of them, are held weakly
      and everything else strongly; with `weak` true or false, everything weakly or strongly.
      Of `once`, it is disconnected before its first call. Listeners of higher priority are
      called first, others in the order in which they were connected. With a `sender`, which is
      held weakly, it hears only what that one emits, and goes when all its senders are dead. To
      connect a listener again replaces its options, but adds the sender to its senders. O(1).
    - `emit(...)` calls the listeners; `emit_from(sender, ...)` does so on behalf of a sender;
      `collect(...)` returns the list of their results; `await emit_async(...)` that of their
      results with coroutines awaited.

    Those that are connected during an emit are not called by it; those that are disconnected,
    or dead, before it is their turn are not called. If a listener raises an exception the
    others are still called, and then `on_error` says what comes of it: "raise", an
    ExceptionGroup of all such; "report", each goes to `sys.unraisablehook`; "stop", the first
    is raised at once; a callable is called with each exception and its listener. A
    BaseException that is no Exception is always raised at once. `emit` and `collect` close the
    coroutine that a listener returns: that is a TypeError of the listener.

    All operations are thread-safe, and hold no lock while they call anybody. To emit takes time
    for each listener.
    """

    __slots__ = (
        "_blocks",
        "_doc",
        "_moves",
        "_moving",
        "_name",
        "_on_error",
        "_signature",
        "_sorts",
    )
    _blocks: list[None]  # one for each `blocked()`
    _died: WeakCallable[..., Any] | None  # of `_forget`; so that no listener holds the signal
    _doc: str | None
    _listeners: dict[Any, _Listener]
    _moves: int  # how many listeners were connected again
    _moving: _Listener | None  # one that is just being connected again
    _name: str | None
    _on_error: _OnError
    _signature: Signature | tuple[Any, ...] | None
    _sorts: bool  # whether there ever was a listener with a priority

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            signature: None = None,
            /,
            *,
            name: str | None = None,
            on_error: _OnError = "raise",
        ) -> None: ...
        @overload
        def __init__(
            self,
            signature: Callable[P, Any],
            /,
            *,
            name: str | None = None,
            on_error: _OnError = "raise",
        ) -> None: ...

    def __init__(
        self,
        signature: Any = None,
        /,
        *,
        name: str | None = None,
        on_error: _OnError = "raise",
    ) -> None:
        if on_error not in ("raise", "report", "stop") and not callable(on_error):
            raise ValueError(
                f"on_error must be 'raise', 'report', 'stop' or callable, not {on_error!r}"
            )
        doc: str | None = None
        if signature is not None:
            if isinstance(signature, type) or not callable(signature):
                raise TypeError(
                    "Signal() takes a function for its signature, not "
                    f"{signature!r}: for types write Signal[int, str]()"
                )
            import inspect  # takes long, and few need it

            doc = inspect.getdoc(signature)
            name = getattr(signature, "__name__", None) if name is None else name
            signature = inspect.signature(signature)
        self._configure(signature, on_error, name, doc)

    def _configure(
        self,
        signature: Signature | tuple[Any, ...] | None,
        on_error: _OnError,
        name: str | None,
        doc: str | None,
    ) -> None:
        self._listeners = {}
        self._listener_type = _Listener
        self._cell = [None]
        self._blocks = []
        self._died = None
        self._sorts = False
        self._moves = 0
        self._moving = None
        self._name = name
        self._doc = doc
        self._on_error = on_error
        self._stop_at_error = on_error == "stop"
        self._set_signature(signature)

    def _set_signature(self, signature: Signature | tuple[Any, ...] | None) -> None:
        self._signature = signature
        if signature is None:
            self._arity = -1
        elif isinstance(signature, tuple):
            self._arity = len(signature)
        else:
            parameters = signature.parameters.values()
            simple = all(
                parameter.default is parameter.empty
                and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
                for parameter in parameters
            )
            self._arity = len(parameters) if simple else -2

    # `Signal[int, str]()` makes a signal and then tells it what it was made by.
    @property
    def __orig_class__(self) -> Any:
        raise AttributeError("__orig_class__")

    @__orig_class__.setter
    def __orig_class__(self, alias: Any) -> None:
        types: Any = alias.__args__[0]
        if self._signature is None and isinstance(types, tuple):
            self._set_signature(cast(Any, types))

    def __set_name__(self, owner: type, name: str) -> None:
        if self._name is None:
            self._name = name
        signature = self._signature
        if signature is not None and not isinstance(signature, tuple):
            # A function that stands in a class: the instance is no argument of the signal.
            parameters = list(signature.parameters.values())
            if parameters and parameters[0].name == "self":
                self._set_signature(signature.replace(parameters=parameters[1:]))

    @property
    def name(self) -> str | None:
        """what messages call the signal: that of the attribute or function, if not given"""
        return self._name

    @property
    def __signature__(self) -> Any:
        if isinstance(self._signature, tuple) or self._signature is None:
            raise AttributeError("__signature__")
        return self._signature

    def _expected(self) -> str:
        """What can be emitted, for messages."""
        signature = self._signature
        if signature is None:
            return "(...)"
        if not isinstance(signature, tuple):
            return str(signature.replace(return_annotation=signature.empty))
        import inspect  # takes long, and few need it

        return f"({', '.join(map(inspect.formatannotation, signature))})"

    def __repr__(self) -> str:
        name = "" if self._name is None else f" {self._name!r}"
        owner = None if self._owner is None else self._owner()
        of = "" if owner is None else f" of {type(owner).__name__!r} object at {id(owner):#x}"
        count = len(self._listeners)
        listeners = "1 listener" if count == 1 else f"{count} listeners"
        return f"<{type(self).__name__}{name}{self._expected()}{of}; {listeners}>"

    # What the base calls

    def _refresh(self) -> tuple[WeakCallable[..., Any], ...]:
        cell = self._cell
        while True:
            moves = self._moves
            try:
                listeners = [*self._listeners.values()]
            except RuntimeError:  # another thread changed it meanwhile
                continue
            moving = self._moving
            if moving is not None and moving not in listeners:
                listeners.append(moving)
            if moves == self._moves:
                break
        if self._sorts:
            listeners.sort(key=_priority_of, reverse=True)
        snapshot = tuple(listeners)
        if cell is not None:
            cell[0] = snapshot
        return snapshot

    def _check_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        signature = self._signature
        if isinstance(signature, tuple):
            if len(args) == len(signature) and not kwargs:
                return
            how = f"{len(args)} arguments" if len(args) != 1 else "1 argument"
            if kwargs:
                how += f" and the keywords {', '.join(kwargs)}"
            why = f"it got {how}"
        elif signature is not None:
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                why = str(error)
            else:
                return
        else:
            return
        name = "the signal" if self._name is None else f"the signal {self._name!r}"
        raise TypeError(f"{name} is emitted with {self._expected()}: {why}")

    def _failed(self, errors: _Errors) -> None:
        raised = [error for _, error in errors if isinstance(error, Exception)]
        if self._on_error == "report":
            self._interrupted(errors)
            return
        if callable(self._on_error):
            raised = self._handle(self._on_error, errors)
        if raised:
            name = "a signal" if self._name is None else f"the signal {self._name!r}"
            group = ExceptionGroup(f"listeners of {name} failed", raised)
            raised.clear()
            try:
                raise group
            finally:
                del group

    def _handle(self, on_error: Callable[..., object], errors: _Errors) -> list[Exception]:
        """Gives the errors to the handler and returns what it raises."""
        raised: list[Exception] = []
        while errors:  # and refer to them no more: what is raised again refers to this frame
            listener, error = errors.pop(0)
            try:
                on_error(error, listener.target)
            except Exception as another:
                raised.append(another)
            except BaseException:
                self._interrupted(errors)
                raise
            del listener, error
        return raised

    def _interrupted(self, errors: _Errors) -> None:
        for listener, error in errors:
            report(error, listener)

    def _make(self, obj: object) -> Self:
        signal = self._copy()
        signal._owner = ref(obj)
        signal._parent = self
        return signal

    def _forget(self, listener: Any) -> None:
        listener._state = _GONE
        listeners = self._listeners
        if listeners.get(listener) is listener:
            found = listeners.pop(listener, None)
            if found is not None and found is not listener:  # connected anew in between
                listeners.setdefault(found, found)
            self._cell = [None]

    # Listeners

    if TYPE_CHECKING:

        @overload  # type: ignore[override]  # the base takes any options, and passes them on
        def connect(
            self,
            listener: Callable[P, R],
            /,
            *,
            weak: bool | None = None,
            once: bool = False,
            priority: float = 0,
            sender: object = None,
        ) -> Callable[P, R]: ...
        @overload
        def connect(
            self,
            listener: None = None,
            /,
            *,
            weak: bool | None = None,
            once: bool = False,
            priority: float = 0,
            sender: object = None,
        ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
        # The base takes any options, and passes them on.
        def connect(  # pyright: ignore[reportIncompatibleMethodOverride]
            self, listener: Any = None, /, **options: Any
        ) -> Any: ...
        # As `connect`: the base takes any options.
        def disconnect(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
            self, listener: Callable[P, Any], /, *, sender: object = None
        ) -> bool: ...
        def emit(self, /, *args: P.args, **kwargs: P.kwargs) -> None: ...
        def emit_from(self, sender: object, /, *args: P.args, **kwargs: P.kwargs) -> None: ...
        def collect(self, /, *args: P.args, **kwargs: P.kwargs) -> list[Any]: ...

    def _connect(
        self,
        listener: Any = None,
        *,
        weak: bool | None = None,
        once: bool = False,
        priority: float = 0,
        sender: object = None,
        via: _Via | None = None,
    ) -> Any:
        if listener is None:
            # Not `connect`, which would warn that nobody holds the function yet.
            return partial(
                self._connect, weak=weak, once=once, priority=priority, sender=sender, via=via
            )
        died = self._died
        if died is None:
            died = self._died = WeakCallable(self._forget, if_dead="ignore")
        try:
            new = _Listener(listener, died, strong=None if weak is None else not weak)
        except TypeError as error:
            raise self._refusal(listener, error) from None
        if once or priority or sender is not None or via is not None:
            self._set_options(new, once, priority, sender, via)
        if self._listeners.setdefault(new, new) is not new:
            self._replace(new)
        self._cell = [None]
        return listener

    def _replace(self, new: _Listener) -> None:
        """Puts a listener at the end, in place of an equal one that is connected."""
        listeners = self._listeners
        with _replacing:
            while (old := listeners.setdefault(new, new)) is not new:
                self._moving = old  # who looks meanwhile finds it here
                taken = listeners.pop(new, None)
                if taken is not None:
                    taken.hand_over(new)
            self._moves += 1
            self._moving = None

    def _refusal(self, listener: object, error: TypeError) -> TypeError:
        if not callable(listener):
            return TypeError(f"a listener must be callable, not {type(listener).__name__!r} object")
        return TypeError(
            f"{str(error).partition(':')[0]}, as for the listener {listener!r}: add '__weakref__' "
            "to the __slots__ of its class, or connect it with weak=False"
        )

    def _set_options(
        self,
        listener: _Listener,
        once: bool,
        priority: float,
        sender: object,
        via: _Via | None,
    ) -> None:
        if not isinstance(cast(Any, priority), (int, float)):
            raise TypeError(f"priority must be a number, not {type(priority).__name__!r} object")
        options = listener.need_options()
        options.via = via
        options.priority = priority
        options.forget = cast(Any, self._died)
        if priority:
            self._sorts = True
        if once:
            options.chances = [None]
        if sender is not None:
            options.senders = senders = _Senders()
            senders.forget = options.forget
            senders.listener = ref(listener)
            senders.add(sender)

    def _find(self, listener: Any) -> _Listener | None:
        key: Any = WeakCallable(listener, strong=True)  # as that takes any callable
        while True:
            moves = self._moves
            found = self._listeners.get(key)
            if found is None and self._moving == key:
                found = self._moving
            if found is not None or moves == self._moves:
                return found

    def _disconnect(self, listener: Any, /, *, sender: object = None) -> bool:
        if sender is not None:
            return self._disconnect_sender(listener, sender)
        key: Any = WeakCallable(listener, strong=True)  # as that takes any callable
        while True:
            moves = self._moves
            found = self._listeners.pop(key, None)
            if found is not None:
                found._state = _GONE
                self._cell = [None]
                return True
            if self._moving == key:  # it is just being connected again, which comes after this
                return True
            if moves == self._moves:
                return False

    def _disconnect_sender(self, listener: Any, sender: object) -> bool:
        found = self._find(listener)
        senders = None if found is None or found.options is None else found.options.senders
        if found is None or senders is None or not senders.has(sender):
            return False
        senders.pop(id(sender), None)
        if not senders:
            self._forget(found)
        return True

    def disconnect_all(self) -> None:
        """Disconnect all listeners that are connected now; streams end. O(n)."""
        for listener in self._refresh():
            self._forget(cast(Any, listener))
            options = cast(_Listener, listener).options
            target: Any = listener.target
            if options is not None and options.via is feed and target is not None:
                target.__self__.close()

    def is_connected(self, listener: Callable[P, Any], /) -> bool:
        """Return whether a listener is connected, for any sender. O(1)."""
        found = self._find(listener)
        return found is not None and found.hears()

    @property
    def has_listeners(self) -> bool:
        """whether there is anybody to hear it, listeners of the signal of the class included"""
        parent: Any = self._parent
        heard = any(cast(_Listener, listener).hears() for listener in self._snapshot())
        return heard or (parent is not None and parent.has_listeners)

    def _snapshot(self) -> tuple[WeakCallable[..., Any], ...]:
        cell = self._cell
        snapshot = None if cell is None else cell[0]
        return self._refresh() if snapshot is None else snapshot

    # Silence

    def blocked(self) -> AbstractContextManager[None]:
        """Return a context manager during which nothing is delivered to anybody.

        What is emitted meanwhile is lost. The signal of a class blocks those of all instances.
        """
        return _Blocked(self)

    def muted(self, *listeners: Callable[P, Any]) -> AbstractContextManager[None]:
        """Return a context manager during which these listeners are not called.

        Raises ValueError if one of them is not connected.
        """
        return _Muted([mutes for each in listeners for mutes in self._mutes_of(each)])

    def _mutes_of(self, listener: Callable[P, Any]) -> list[list[None]]:
        found = self._find(listener)
        if found is None:
            raise ValueError(f"{listener!r} is not connected, so it cannot be muted")
        every = [found.need_options().mutes]
        while found.successor is not None:  # it is just being connected again
            found = found.successor
            every.append(found.need_options().mutes)
        return every

    # Elsewhere and later

    def on_loop(self, loop: AbstractEventLoop) -> Delivery[P]:
        """Return an object whose `connect` makes listeners be called in an event loop.

        They are called soon, from within the loop, if they are still connected and alive then.
        What a coroutine function returns runs there as a task. Their errors go to the loop's
        exception handler. Emitting when the loop is closed is an error of the listener.
        """
        return Delivery(self, _ViaLoop(loop))

    def on_thread(self, executor: Executor) -> Delivery[P]:
        """Return an object whose `connect` makes listeners be called by an executor.

        They are called there if they are still connected and alive then. Their errors go to
        `sys.unraisablehook`. Emitting after the executor's shutdown is an error of the listener.
        """
        return Delivery(self, _ViaExecutor(executor))

    def stream(
        self,
        maxsize: int = 1024,
        *,
        overflow: Literal["drop_oldest", "drop_newest", "error"] = "drop_oldest",
    ) -> Stream:
        """Return a `Stream` of what is emitted from now on, for `async for`.

        Not more than `maxsize` events wait to be taken. With more, the oldest is dropped, or
        the newest, or (overflow="error") the newest with `asyncio.QueueFull` as the error of a
        listener; `stream.dropped` counts them.
        """
        return Stream(self, maxsize, overflow)

    async def emit_async(self, /, *args: P.args, **kwargs: P.kwargs) -> list[Any]:
        """Emit, await the coroutines that listeners return, and return all results in order.

        All listeners are called first; then their coroutines run concurrently, until all are
        done. Their errors and those of the other listeners are dealt with together, as
        `on_error` says ("stop" cancels what still runs). Cancelling it cancels them.
        """
        if self._arity != -1 and (kwargs or len(args) != self._arity):
            self._check_call(args, kwargs)
        parent: Any = self._parent
        if self._blocked or (parent is not None and parent._blocked):
            return []
        sender = None if self._owner is None else self._owner()
        results: list[Any] = []
        errors: _Errors = []
        waiting: list[_Waiting] = []
        try:
            listeners = self._snapshot() + (() if parent is None else parent._snapshot())
            for listener in listeners:
                try:
                    self._start(listener, sender, args, kwargs, results, waiting)
                except Exception as error:
                    if self._stop_at_error:
                        raise
                    errors.append((listener, error))
            fatal = None
            if waiting:
                fatal = await _wait_for(waiting, results, errors, self._stop_at_error)
            if fatal is not None:
                raise fatal
        except BaseException:
            for each in waiting:
                each.abandon()
            if errors:
                self._interrupted(errors)
            raise
        else:
            if errors:
                self._failed(errors)
            return [result for result in results if result is not _NOTHING]
        finally:  # the errors refer to this frame
            errors.clear()
            waiting.clear()
            fatal = None

    def _start(
        self,
        listener: Any,
        sender: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        results: list[Any],
        waiting: list[_Waiting],
    ) -> None:
        """Calls a listener for `emit_async`, and notes the result or what to wait for."""
        if listener._state == _GONE:
            return
        if listener._state == _ASK:
            result = listener._deliver(self, sender, args, kwargs)
            if result is NotImplemented:
                return
        else:
            target = listener.target
            if target is None:
                return
            result = target(*args, **kwargs)
        from inspect import isawaitable  # takes long, and asyncio has it

        if isawaitable(result):
            waiting.append(_Waiting(len(results), listener, result))
            result = _NOTHING
        results.append(result)

    # Copies: they listen to nobody's listeners

    def _copy(self) -> Self:
        copied = type(self).__new__(type(self))
        copied._configure(self._signature, self._on_error, self._name, self._doc)
        if hasattr(self, "__dict__"):  # of a subclass
            vars(copied).update(vars(self))
        return copied

    def __copy__(self) -> Self:
        return self._copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = memo[id(self)] = self._copy()
        copied._on_error = deepcopy(self._on_error, memo)
        if hasattr(self, "__dict__"):
            vars(copied).update(deepcopy(vars(self), memo))
        return copied

    def __reduce__(self) -> Any:
        configuration = (self._signature, self._on_error, self._name, self._doc)
        return _restore, (type(self), configuration), getattr(self, "__dict__", None) or None


setattr(Signal, "__doc__", _Doc(Signal.__doc__))  # noqa: B010  # unknown to the type checkers
