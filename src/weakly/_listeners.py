"""Listeners in Python: what `WeakCallable` and signals stand on where the C core is missing.

Same names and same contract as in `_core` (see `_core.pyi`). `SignalBase` is the part of a
signal that runs when it is emitted; all else is in `signals.py`, for both.
"""

import sys
from collections.abc import Callable
from functools import partial
from operator import is_
from types import CodeType, CoroutineType, FunctionType, GenericAlias, MethodType, ModuleType
from typing import Any, NoReturn, Self, cast
from weakref import ref

from ._tables import WeakIdKeyTable, WeakIdSetTable

__all__ = ["SignalBase", "WeakCallable"]

_NOTHING: Any = object()


# WeakCallable


class _Watch(ref[Any]):
    """A weak reference to a part of a callable; `owner` refers to the WeakCallable weakly."""

    __slots__ = ("owner",)
    owner: ref[Any]


def _hear_death(watch: _Watch) -> None:
    owner: WeakCallable | None = watch.owner()
    if owner is None or watch() is not None:  # anybody may call this, at any time
        return
    callback = owner._empty()  # pyright: ignore[reportPrivateUsage]  # of this module
    if callback is not None:
        callback(owner)


def _anchor(part: Any) -> Any:
    """What tells a part from all others, also after its death: its plain weak reference, of
    which the interpreter makes only one, or itself if it cannot be weakly referenced."""
    try:
        return ref(part)
    except TypeError:
        return part


def _is_method_by_name(function: Any) -> bool:
    """Whether a callable is had from its `__self__` again, under its name."""
    obj = getattr(function, "__self__", None)
    if obj is None or isinstance(obj, ModuleType):
        return False
    name = getattr(function, "__name__", None)
    if type(name) is not str:
        return False
    return bool(getattr(obj, name, _NOTHING) == function)


def _is_of_python(method: Any) -> bool:
    """Whether a method is one of a class in Python. On PyPy, all methods are of one type."""
    if type(method) is not MethodType:
        return False
    return type(getattr(method.__func__, "__code__", None)) in (CodeType, type(None))


def _count_references(method: Any) -> int:
    return sys.getrefcount(method.__func__)


def _nothing(_: object) -> None: ...


# What that gives of a function that the method alone holds; None: nobody knows.
_ALONE = (
    _count_references(MethodType(FunctionType(_nothing.__code__, {}), object()))
    if sys.implementation.name == "cpython"
    else None
)


_kept: WeakIdSetTable[Any] = WeakIdSetTable()  # functions that WeakCallables hold


def _is_held(method: MethodType) -> bool:
    """Whether somebody else than a method and other WeakCallables holds its function."""
    if method.__func__ in _kept:
        return False
    if _ALONE is not None:
        return _count_references(method) > _ALONE
    function, owner = method.__func__, method.__self__
    name = getattr(function, "__name__", "")
    for cls in (*getattr(owner, "__mro__", ()), *type(owner).__mro__):
        found = vars(cls).get(name)
        if function is found or function is getattr(found, "__func__", None):
            return True
    return False


class WeakCallable:
    """A weak reference to any callable, which is called as the callable is.

    Of a bound method the object and the function are held weakly, each by itself; methods of
    types in C are found by name again; of a `functools.partial` of a method, the method weakly
    and the arguments until it dies. Anything else is weakly referenced itself, and dies at once
    if nobody else holds it, unless `strong` is true. With `strong` None, methods and partials
    of methods are held weakly and all else strongly.

    Once the target is dead, a call raises ReferenceError, or returns None if `if_dead` is
    "ignore". `callback`, if any, is called once with the WeakCallable when the target dies.

    Two are equal if they were made for the same target, before its death and after; nothing of
    the target is called for that. Raises TypeError for what is not callable or cannot be weakly
    referenced. All operations are O(1) and thread-safe.
    """

    __slots__ = (
        "__weakref__",
        "_arguments",
        "_function",
        "_held",
        "_ignores_death",
        "_name",
        "_object",
        "_parts",
        "_state",
        "_to_call",
    )
    _arguments: tuple[Any, Any] | None  # that a partial of a method passes
    _function: Any  # of a method: a reference to it, or itself; its name; None if there is none
    _held: Any  # the callable, if it is held strongly; else _NOTHING
    _ignores_death: bool
    _name: str  # for messages
    _object: ref[Any]  # of a method; otherwise to the callable
    _parts: tuple[Any, ...]  # the anchors: what is compared
    _state: int
    _to_call: list[Any]  # the callback, until it is called

    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias:
        """See PEP 585."""
        return GenericAlias(cls, item)

    def __new__(
        cls,
        f: Any,
        callback: Callable[[Any], Any] | None = None,
        /,
        *,
        strong: bool | None = False,
        if_dead: str = "raise",
    ) -> Self:
        if if_dead not in ("raise", "ignore"):
            raise ValueError(f"if_dead must be 'raise' or 'ignore', not {if_dead!r}")
        if callback is not None and not callable(callback):
            raise TypeError(
                "the callback of a WeakCallable must be callable, not "
                f"{type(callback).__name__!r} object"
            )
        self = super().__new__(cls)
        self._state = 0
        self._ignores_death = if_dead == "ignore"
        self._to_call = [] if callback is None else [callback]
        if isinstance(f, WeakCallable):
            original, f = f, f.target
            if f is None:
                self._die_as(original)
                return self
            self._aim(f, strong)
            self._parts = original._parts  # a partial may have been made anew
        else:
            self._aim(f, strong)
        return self

    def _aim(self, f: Any, strong: bool | None) -> None:
        if not callable(f):
            raise TypeError(
                f"{type(self).__name__}() takes a callable, not {type(f).__name__!r} object"
            )
        self._held = _NOTHING
        self._arguments = None
        method: Any = f
        if type(f) is partial:
            inner: Any = cast(Any, f).func
            if type(inner) is MethodType or _is_method_by_name(inner):
                method = inner
                self._arguments = (cast(Any, f).args, dict(cast(Any, f).keywords))
        function: Any = None  # as `_function` has it
        subject = method
        if type(method) is MethodType:
            subject, function = method.__self__, _anchor(method.__func__)
            self._parts = (_anchor(subject), function)
        elif method is not f or _is_method_by_name(method):
            subject, function = method.__self__, sys.intern(method.__name__)
            self._parts = (_anchor(subject), function)
        else:
            self._parts = (_anchor(subject),)
        if method is not f:
            self._parts = (ref(f),)
        self._function = function
        self._name = self._describe(method, subject)
        if strong is None:
            strong = subject is method or (
                not isinstance(_anchor(subject), ref) and not _is_of_python(method)
            )
        if strong:
            self._held = f
            self._arguments = None
            return
        if isinstance(function, ref) and not _is_held(method):
            self._function = method.__func__
            _kept.add(method.__func__)
        self._watch(subject)

    def _watch(self, subject: Any) -> None:
        owner = ref(self)
        try:
            watch = self._object = _Watch(subject, _hear_death)
        except TypeError:
            raise TypeError(
                f"cannot create weak reference to '{type(subject).__name__}' object: add "
                "'__weakref__' to the __slots__ of its class, or pass strong=True to hold the "
                "callable strongly"
            ) from None
        watch.owner = owner
        function: Any = self._function
        if isinstance(function, ref):
            function = cast(Any, function)()
            watch = self._function = _Watch(function, _hear_death)
            watch.owner = owner

    def _die_as(self, other: "WeakCallable") -> None:
        self._held = _NOTHING
        self._arguments = None
        self._function, self._name = other._function, other._name
        self._object, self._parts = other._object, other._parts

    @staticmethod
    def _describe(method: Any, subject: Any) -> str:
        name: Any = getattr(method, "__qualname__", None)
        if type(name) is not str:
            name = type(method).__qualname__
        return name if subject is method else f"{name} of {type(subject).__name__!r} object"

    def _empty(self) -> Any:
        """Releases what is held for the living; returns the callback, to the first only."""
        self._arguments = None
        if not isinstance(self._function, (ref, str)):
            self._function = None
        try:
            return self._to_call.pop()
        except IndexError:
            return None

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        target = self.target
        if target is not None:
            return target(*args, **kwargs)
        if self._ignores_death:
            return None
        raise ReferenceError(f"the target of this WeakCallable is dead: {self._name}")

    @property
    def target(self) -> Any:
        """the callable, a bound method anew; None once it is dead"""
        if self._held is not _NOTHING:
            return self._held
        arguments, function = self._arguments, self._function
        target: Any = self._object()
        if target is None or function is None:
            return target
        if type(function) is str:
            target = getattr(target, function)
        else:
            if isinstance(function, _Watch):
                function = function()
            if function is None:
                return None
            target = MethodType(function, target)
        if len(self._parts) == 2:
            return target
        whole = self._parts[0]()  # the partial, unless it has gone
        if whole is None and arguments is not None:
            whole = partial(target, *arguments[0], **arguments[1])
        return whole

    @property
    def alive(self) -> bool:
        """whether the target lives"""
        if self._held is not _NOTHING:
            return True
        function = self._function
        return self._object() is not None and not (
            isinstance(function, _Watch) and function() is None
        )

    @property
    def strong(self) -> bool:
        """whether the target is held strongly"""
        return self._held is not _NOTHING

    def __hash__(self) -> int:
        return hash(tuple(map(id, self._parts)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WeakCallable):
            return NotImplemented
        mine, theirs = self._parts, other._parts
        return len(mine) == len(theirs) and all(map(is_, mine, theirs))

    def __repr__(self) -> str:
        dead = "" if self.alive else "; dead"
        return f"<{type(self).__name__} at {id(self):#x}; to {self._name}{dead}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {self!r}: weak references cannot be pickled")


# SignalBase


class SignalBase:
    """The part of a signal that runs when it is emitted."""

    __slots__ = (
        "__weakref__",
        "_arity",
        "_blocked",
        "_cell",
        "_died",
        "_instances",
        "_listener_type",
        "_listeners",
        "_owner",
        "_parent",
        "_stop_at_error",
    )
    _arity: int  # how many positional arguments it takes; -1: any; -2: ask
    _blocked: int
    _cell: list[tuple[WeakCallable, ...] | None] | None  # the listeners in order, or None: ask
    _died: WeakCallable | None  # what a listener calls when it dies
    _instances: dict[str, WeakIdKeyTable[Any, Any]]  # "table": the signals of the instances
    _listener_type: type[WeakCallable]
    _listeners: dict[Any, WeakCallable]
    _owner: ref[Any] | None  # the instance
    _parent: Any  # the signal of the class
    _stop_at_error: bool

    # What the signal proper defines.
    _check_call: Any
    _connect: Any
    _disconnect: Any
    _failed: Any
    _forget: Any
    _interrupted: Any
    _make: Any
    _refresh: Any
    _snapshot: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._arity = -1
        self._blocked = 0
        self._cell = self._owner = self._parent = None
        self._instances = {}
        self._stop_at_error = False
        return self

    def connect(self, listener: Any = None, /, **options: Any) -> Any:
        """Call a listener from the next emit on; return it. Without one: a decorator. O(1).

        The options are those that `Signal` explains. Raises TypeError if the listener is not
        callable, or if it or the sender is to be held weakly and cannot be.
        """
        return self._connect(listener, **options)

    def disconnect(self, listener: Any, /, **options: Any) -> bool:
        """Call a listener no more; return whether it was connected. O(1).

        With a sender, it only stops to listen to that one.
        """
        return bool(self._disconnect(listener, **options))

    def emit(self, /, *args: Any, **kwargs: Any) -> None:
        """Call the listeners with these arguments."""
        self._run(_NOTHING, args, kwargs, None)

    def emit_from(self, sender: Any, /, *args: Any, **kwargs: Any) -> None:
        """Call the listeners with these arguments, as emitted by `sender`."""
        self._run(sender, args, kwargs, None)

    def collect(self, /, *args: Any, **kwargs: Any) -> list[Any]:
        """Call the listeners with these arguments and return their results in order."""
        results: list[Any] = []
        self._run(_NOTHING, args, kwargs, results)
        return results

    def _run(
        self, sender: Any, args: tuple[Any, ...], kwargs: dict[str, Any], results: list[Any] | None
    ) -> None:
        if self._arity != -1 and (kwargs or len(args) != self._arity):
            self._check_call(args, kwargs)
        parent = self._parent
        if self._blocked or (parent is not None and parent._blocked):
            return
        if sender is _NOTHING:
            sender = None if self._owner is None else self._owner()
        errors: list[tuple[WeakCallable, BaseException]] = []
        listeners = [(self, listener) for listener in self._snapshot()]
        if parent is not None:
            listeners += [(parent, listener) for listener in parent._snapshot()]
        for signal, listener in listeners:
            try:
                result = self._call(signal, listener, sender, args, kwargs)
            except Exception as error:
                if self._stop_at_error:
                    raise
                errors.append((listener, error))
            except BaseException:
                if errors:
                    self._interrupted(errors)
                    errors.clear()
                raise
            else:
                if results is not None and result is not _NOTHING:
                    results.append(result)
        if errors:
            try:
                self._failed(errors)
            finally:
                errors.clear()  # they refer to this frame

    def _call(
        self,
        signal: Any,
        listener: Any,
        sender: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Calls a listener of a signal; _NOTHING if it is not to be called."""
        if listener._state == 0:
            target = listener.target
            if target is None:
                signal._forget(listener)
                return _NOTHING
            result = target(*args, **kwargs)
        elif listener._state == 1:
            result = listener._deliver(self, sender, args, kwargs)
            if result is NotImplemented:
                return _NOTHING
        else:
            return _NOTHING
        if type(result) is CoroutineType:
            result.close()
            raise TypeError(
                f"{result!r} is a coroutine, which emit() and collect() do not await: use "
                "emit_async(), or connect through on_loop()"
            )
        return result

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self
        table = self._instances.get("table")
        if table is None:
            table = self._instances.setdefault("table", WeakIdKeyTable())
        try:
            signal = table.get(obj)
        except TypeError:
            raise TypeError(
                f"cannot create weak reference to '{type(obj).__name__}' object: a signal in a "
                "class needs instances that support weak references: add '__weakref__' to the "
                "__slots__ of the class"
            ) from None
        return table.setdefault(obj, self._make(obj)) if signal is None else signal

    def __set__(self, obj: Any, value: Any) -> NoReturn:
        raise AttributeError(f"a signal of {type(obj).__name__!r} object cannot be assigned")

    def __delete__(self, obj: Any) -> NoReturn:
        raise AttributeError(f"a signal of {type(obj).__name__!r} object cannot be deleted")
