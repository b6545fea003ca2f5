"""Single references: the interpreter's own primitives, `WeakMethod` made of them, and
`WeakCallable` for any callable.

`ref` and `proxy` are re-exported: only the interpreter can tell of a death.
"""

import weakref
from abc import ABCMeta
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar
from weakref import (
    CallableProxyType,
    ProxyType,
    ProxyTypes,
    ReferenceType,
    getweakrefcount,
    getweakrefs,
    proxy,
    ref,
)

from ._implementation import IdRef, KeyedRef, WeakCallable

__all__ = [
    "CallableProxyType",
    "IdRef",
    "KeyedRef",
    "ProxyType",
    "ProxyTypes",
    "ReferenceType",
    "WeakCallable",
    "WeakMethod",
    "getweakrefcount",
    "getweakrefs",
    "proxy",
    "ref",
    "weak",
]

weak = WeakCallable

F = TypeVar("F", bound=Callable[..., Any])

_ref: type[ref[Any]] = ref  # for calling its methods: those of a bare `ref` have no known types
_new = _ref.__new__
_referent = _ref.__call__
_equal = _ref.__eq__


class _Name(str):
    """The name of a method that has no function, in place of the reference to one."""

    __slots__ = ()

    def __call__(self) -> str:
        return self


def _by_name(name: str, obj: Any) -> Any:
    return getattr(obj, name)


def _name_of_c_method(meth: Any) -> _Name | None:
    """The name under which a method of a type in C is found again; None if it is none."""
    obj: Any = getattr(meth, "__self__", None)
    name: Any = getattr(meth, "__name__", None)
    if obj is None or isinstance(obj, ModuleType) or type(name) is not str:
        return None
    return _Name(name) if getattr(obj, name, None) == meth else None


class WeakMethod(ref[F], metaclass=ABCMeta):
    """A weak reference to a bound method, which outlives any single bound method object.

    Calling it gives the method anew while both its object and its function live, else None.
    A method of a type in C has no function and is found by its name again. `callback`, if
    given, is called once with the WeakMethod when the first of the two dies. Two are equal
    while they live if their objects and functions are equal, after that only if they are the
    same. Raises TypeError for anything but a bound method.
    """

    __slots__ = ("__weakref__", "_callback", "_func_ref", "_meth_type")

    _func_ref: Callable[[], Any]  # a reference, or a _Name
    _meth_type: Callable[[Any, Any], F]
    _callback: Callable[[Any], Any] | None

    def __new__(
        cls, meth: F, callback: Callable[["WeakMethod[F]"], Any] | None = None
    ) -> "WeakMethod[F]":
        obj: Any = getattr(meth, "__self__", None)
        func: Any = getattr(meth, "__func__", None)
        name = _name_of_c_method(meth) if func is None else None
        if obj is None or (func is None and name is None):
            raise TypeError(
                f"argument should be a bound method, not {type(meth).__name__!r}: "
                "use ref() for anything else"
            )

        def died(_: object) -> None:
            self = selfref()
            # taken out before it is called: the second death finds nothing
            if self is not None and self._callback is not None:
                call, self._callback = self._callback, None
                call(self)

        hear = None if callback is None else died
        self = _new(cls, obj, hear)
        self._func_ref = ref(func, hear) if name is None else name
        selfref = ref(self)  # weak, so that the callbacks make no cycle
        self._callback = callback
        self._meth_type = type(meth) if name is None else _by_name
        return self

    def __call__(self) -> F | None:
        obj = _referent(self)
        func = self._func_ref()
        if obj is None or func is None:
            return None
        return self._meth_type(func, obj)

    @property
    def _alive(self) -> bool:
        return _referent(self) is not None and self._func_ref() is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WeakMethod):
            return NotImplemented
        # Dead references are equal to themselves only; but two can share one to the function.
        return (
            _equal(self, other)  # pyright: ignore[reportUnknownArgumentType]  # isinstance() knows no parameters
            and self._func_ref == other._func_ref
            and (self is other or self._func_ref() is not None)
        )

    def __ne__(self, other: object) -> bool:  # ref has its own, which must not be found first
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    __hash__ = _ref.__hash__


# Those that the standard library made before `install()` compare themselves with this class.
WeakMethod.register(weakref.WeakMethod)
