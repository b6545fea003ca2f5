"""Callables of every kind, and how to get at them: for the tests of what refers to them."""

from __future__ import annotations

import array
import functools
import types
from collections import deque
from collections.abc import Callable
from typing import Any

from support import PYPY

from weakly import cached_method


class Object:
    """Whoever compares or hashes one fails."""

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError("compared")

    def __hash__(self) -> int:
        raise ZeroDivisionError("hashed")

    def method(self, *args: Any, **kwargs: Any) -> Any:
        return ("method", args, kwargs)

    def other(self) -> str:
        return "other"

    def me(self) -> Any:
        return self

    @classmethod
    def of_class(cls, x: int = 0) -> Any:
        return ("of class", cls.__name__, x)

    @staticmethod
    def static(x: int = 0) -> Any:
        return ("static", x)

    @cached_method(by="identity")
    def cached(self, x: int = 0) -> Any:
        return ("cached", x)

    with_five = functools.partialmethod(method, 5)


class CallableObject:
    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError("compared")

    def __hash__(self) -> int:
        raise ZeroDivisionError("hashed")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return ("called", args, kwargs)


class MadeMethod:
    """Like a bound method of Cython, Qt or wrapt: made anew each time, has a `__self__`."""

    def __init__(self, obj: object, name: str) -> None:
        self.__self__ = obj
        self.__name__ = name

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, MadeMethod)
            and self.__self__ is other.__self__
            and self.__name__ == other.__name__
        )

    def __hash__(self) -> int:
        return 5

    def __call__(self, *args: Any) -> Any:
        return (self.__name__, args)


class MethodMaker:
    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        return self if obj is None else MadeMethod(obj, self.name)


class WithMadeMethods:
    made = MethodMaker()


def decorated(function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class WithDecorated:
    @decorated
    def method(self, *args: Any) -> Any:
        return ("decorated", args)

    # partialmethod of what is no descriptor makes a function at each access.
    fresh = functools.partialmethod(CallableObject(), 5)


class Deque(deque[Any]):
    """Hashable, and its methods are still those of deque."""

    __hash__ = object.__hash__


def own_function() -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        return ("function", args, kwargs)

    return function


def closure() -> Any:
    cell = Object()
    return lambda: ("closure", type(cell).__name__)


def own_class(name: str = "Own") -> Any:
    class Own:
        def method(self, *args: Any) -> Any:
            return ("own", args)

        @classmethod
        def of_class(cls) -> str:
            return cls.__name__

    Own.__name__ = Own.__qualname__ = name
    return Own


def bystander() -> None:
    pass


CALLABLE = CallableObject()
LIVING: Any = Deque()


class Case:
    """How to get at a callable: `make` gives what it dies with, `get` the callable of that."""

    def __init__(self, name: str, make: Callable[[], Any], get: Callable[[Any], Any]) -> None:
        self.name, self.make, self.get = name, make, get


def itself(held: Any) -> Any:
    return held


METHODS = [
    Case("bound method", Object, lambda obj: obj.method),
    Case("class method", own_class, lambda cls: cls.of_class),
    Case("method of a C type", deque, lambda obj: obj.append),
    Case("method of a set", set, lambda obj: obj.add),
    Case("method of a subclass of a C type", Deque, lambda obj: obj.append),
    Case("method of an array", lambda: array.array("i"), lambda obj: obj.append),
    Case("method-wrapper", Object, lambda obj: obj.__repr__),
    Case("cached method", Object, lambda obj: obj.cached),
    Case("method made anew", WithMadeMethods, lambda obj: obj.made),
    Case("decorated method", WithDecorated, lambda obj: obj.method),
    Case("method of a fresh function", WithDecorated, lambda obj: obj.fresh),
    Case("bound callable instance", Object, lambda obj: types.MethodType(CALLABLE, obj)),
]
PARTIALS = [
    Case("partial of a method", Object, lambda obj: functools.partial(obj.method, 1, x=2)),
    Case("partialmethod", Object, lambda obj: obj.with_five),
    Case("partial of a C method", deque, lambda obj: functools.partial(obj.append, 1)),
    Case("partial of a made method", WithMadeMethods, lambda obj: functools.partial(obj.made, 1)),
]
OTHERS = [
    Case("function", own_function, itself),
    Case("lambda", lambda: lambda: 5, itself),
    Case("closure", closure, itself),
    Case("class", own_class, itself),
    Case("callable instance", CallableObject, itself),
    Case("partial", lambda: functools.partial(divmod, 5, 3), itself),
    Case("partial of a function", lambda: functools.partial(own_function()), itself),
]
if PYPY:  # where methods of types in C are like each other, and functions too
    ALIKE = ("method of a set", "method of an array", "partial of a C method", "lambda", "closure")
    METHODS, PARTIALS, OTHERS = (
        [case for case in some if case.name not in ALIKE] for some in (METHODS, PARTIALS, OTHERS)
    )
