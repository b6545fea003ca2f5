"""Single references: the interpreter's own primitives, and `WeakMethod` made of them.

`ref` and `proxy` are re-exported: only the interpreter can tell of a death.
"""

import weakref
from abc import ABCMeta
from collections.abc import Callable
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

from ._implementation import IdRef, KeyedRef

__all__ = [
    "CallableProxyType",
    "IdRef",
    "KeyedRef",
    "ProxyType",
    "ProxyTypes",
    "ReferenceType",
    "WeakMethod",
    "getweakrefcount",
    "getweakrefs",
    "proxy",
    "ref",
]

F = TypeVar("F", bound=Callable[..., Any])

_ref: type[ref[Any]] = ref  # for calling its methods: those of a bare `ref` have no known types
_new = _ref.__new__
_referent = _ref.__call__
_equal = _ref.__eq__


class WeakMethod(ref[F], metaclass=ABCMeta):
    """A weak reference to a bound method, which outlives any single bound method object.

    Calling it gives the method anew while both its object and its function live, else
    None. `callback`, if given, is called once with the WeakMethod when the first of the
    two dies. Two are equal while they live if their objects and functions are equal, after
    that only if they are the same. Raises TypeError for anything but a bound method.
    """

    __slots__ = ("__weakref__", "_callback", "_func_ref", "_meth_type")

    _func_ref: ref[Any]
    _meth_type: Callable[[Any, Any], F]
    _callback: Callable[[Any], Any] | None

    def __new__(
        cls, meth: F, callback: Callable[["WeakMethod[F]"], Any] | None = None
    ) -> "WeakMethod[F]":
        try:
            obj: Any = meth.__self__  # type: ignore[attr-defined]  # if it is one
            func: Any = meth.__func__  # type: ignore[attr-defined]  # if it is one
        except AttributeError:
            raise TypeError(
                f"argument should be a bound method, not {type(meth).__name__!r}: "
                "use ref() for anything else"
            ) from None
        if callback is None:
            self = _new(cls, obj)
            self._func_ref = ref(func)
        else:

            def died(_: object) -> None:
                self = selfref()
                # taken out before it is called: the second death finds nothing
                if self is not None and self._callback is not None:
                    call, self._callback = self._callback, None
                    call(self)

            self = _new(cls, obj, died)
            self._func_ref = ref(func, died)
            selfref = ref(self)  # weak, so that the callbacks make no cycle
        self._callback = callback
        self._meth_type = type(meth)
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
