"""What the rows of the caching decorators are measured on: functions, methods, properties.

The standard library's side is `functools`, and both sides have the same functions.
"""

import functools
from collections.abc import Callable
from functools import cached_property
from typing import Any

import weakly
from benchmarks.cases import Thing


class Instance:
    """An object with a `__dict__`, as `functools.cached_property` needs it."""

    def __init__(self, number: int) -> None:
        self.number = number


def _number(obj: Any) -> int:
    result: int = obj.number
    return result


def _sum(obj: Any, number: int) -> int:
    result: int = obj.number + number
    return result


class CallCase:
    """What an operation's code may name; see `cases.Case`."""

    def __init__(self, family: str, side: str, kind: str, entries: int) -> None:
        self.family = family
        self.side = side
        self.n = entries

    # --- the decorators --------------------------------------------------------------

    def cached(self, function: Callable[..., Any], maxsize: int | None = None) -> Any:
        if self.side == "stdlib":
            return functools.lru_cache(maxsize)(function)
        return weakly.cache(maxsize=maxsize)(function)

    def new_class(self) -> type[Instance]:
        """A class with a cached property and cached methods."""
        weak = self.side == "weakly"
        method: Any = weakly.cached_method if weak else functools.cache
        make_property: Any = weakly.cached_property if weak else functools.cached_property

        class Cached(Instance):
            value = make_property(_number)
            get_value = method(_number)
            add = method(_sum)

        return Cached

    def new_objects(self) -> list[Any]:
        """Objects without anything cached."""
        make = self.new_class()
        return [make(number) for number in range(self.n)]

    def new_object(self) -> Any:
        return self.new_class()(0)

    def new_call(self) -> Any:
        """A function without anything cached."""
        return self.cached(_number)

    # --- functions whose results are cached ------------------------------------------

    @cached_property
    def keys(self) -> list[Any]:
        return [Thing(number) for number in range(self.n)]

    @cached_property
    def numbers(self) -> list[int]:
        return [int(str(1_000_000 + number)) for number in range(self.n)]

    @cached_property
    def call(self) -> Any:
        return self._filled(self.cached(_number), self.keys)

    @cached_property
    def bounded(self) -> Any:
        return self._filled(self.cached(_number, 2 * self.n), self.keys)

    @cached_property
    def call_with_number(self) -> Any:
        return self._filled(self.cached(str), self.numbers)

    @cached_property
    def call_with_two(self) -> Any:
        call = self.cached(_sum)
        for key in self.keys:
            call(key, 1)
        return call

    # --- instances whose results are cached ------------------------------------------

    @cached_property
    def objects(self) -> list[Any]:
        objects = self.new_objects()
        for obj in objects:
            obj.get_value()
            _ = obj.value
        return objects

    @cached_property
    def one(self) -> Any:
        obj = self.new_object()
        self._filled(obj.add, self.numbers)
        return obj

    @staticmethod
    def _filled(call: Any, arguments: list[Any]) -> Any:
        for argument in arguments:
            call(argument)
        return call
