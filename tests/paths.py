"""The ways in which a value can refer to its key, or a result to its argument."""

from __future__ import annotations

import collections
import contextvars
import functools
import itertools
import operator
import queue
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import PYPY, Member, Thing, enters_types

import weakly


def caught(key: object) -> BaseException:
    """An exception whose traceback has this frame, and so the key."""
    try:
        raise ValueError
    except ValueError as error:
        return error


def generated(key: object) -> Iterator[object]:
    yield
    yield key


def started(generator: Iterator[object]) -> Iterator[object]:
    next(generator)
    return generator


@types.coroutine
def suspend() -> Any:
    return (yield)


async def awaited(key: object) -> object:
    await suspend()
    return key


async def generated_asynchronously(key: object) -> Any:
    yield
    yield key


def begun(awaitable: Any) -> Any:
    """A coroutine that has come to where it waits."""
    awaitable.send(None)
    return awaitable


def come_to_its_yield(generator: Any) -> Any:
    with pytest.raises(StopIteration):
        generator.__anext__().send(None)
    return generator


def with_attribute(key: object) -> Thing:
    thing = Thing()
    thing.key = key
    return thing


def with_slot(key: object) -> Member:
    member = Member("holder")
    member.other = key
    return member


def with_default(key: object) -> Callable[..., object]:
    return lambda key=key: key


def with_keyword_default(key: object) -> Callable[..., object]:
    return lambda *, key=key: key


def function_with_attribute(key: object) -> Callable[[], None]:
    def function() -> None: ...

    function.key = key
    return function


def remembering(key: object) -> Callable[[], object]:
    remembered = functools.lru_cache(lambda: key)
    remembered()
    return remembered


def context_with(key: object) -> contextvars.Context:
    context = contextvars.Context()
    context.run(contextvars.ContextVar[object]("key").set, key)
    return context


def queue_of(key: object) -> Any:
    some: Any = queue.SimpleQueue()
    some.put(key)
    return some


def advanced(iterator: Iterator[Any]) -> Iterator[Any]:
    next(iterator)
    return iterator


def in_weak_values(key: object) -> list[Any]:
    """As a strong key of a table with weak values."""
    thing = Thing()
    return [thing, weakly.WeakValueDictionary({key: thing})]


def in_weak_keys(key: object) -> list[Any]:
    """As a strong value of a table with weak keys."""
    thing = Thing()
    return [thing, weakly.WeakKeyDictionary({thing: key})]


def in_callback(key: object) -> list[Any]:
    """In the callback of a weak reference to something that lives as long."""
    thing = Thing()
    return [thing, weakref.ref(thing, lambda _: key)]


PATHS: dict[str, Callable[[Any], Any]] = {
    "directly": lambda key: key,
    "list": lambda key: [key],
    "tuple": lambda key: (key,),
    "value of a dict": lambda key: {"key": key},
    "key of a dict": lambda key: {key: 1},
    "set": lambda key: {key},
    "frozenset": lambda key: frozenset([key]),
    "deque": lambda key: collections.deque([key]),
    "ordered dict": lambda key: collections.OrderedDict(key=key),
    "default dict": lambda key: collections.defaultdict(lambda: key),
    "chain map": lambda key: collections.ChainMap({}, {1: key}),
    "nested containers": lambda key: [({"a": [frozenset([(key,)])]},)],
    "namespace": lambda key: types.SimpleNamespace(key=key),
    "mapping proxy": lambda key: types.MappingProxyType({1: key}),
    "view of a dict": lambda key: {1: key}.values(),
    "generic alias": lambda key: list[key],
    "instance attribute": with_attribute,
    "slot": with_slot,
    "closure": lambda key: lambda: key,
    "default argument": with_default,
    "keyword-only default": with_keyword_default,
    "attribute of a function": function_with_attribute,
    "bound method": lambda key: key.method,
    "bound method of a holder": lambda key: with_attribute(key).method,
    "method of a slot": lambda key: key.__str__,
    "partial": lambda key: functools.partial(print, key),
    "keyword of a partial": lambda key: functools.partial(print, key=key),
    "method caller": lambda key: operator.methodcaller("method", key),
    "lru_cache": remembering,
    "property": lambda key: property(lambda self: key),
    "static method": lambda key: staticmethod(key.method),
    "weak values": in_weak_values,
    "weak keys": in_weak_keys,
    "callback": in_callback,
    "context": context_with,
    "queue": queue_of,
    "exception": lambda key: ValueError(key),
    "frame of a traceback": caught,
    "iterator": lambda key: iter([key]),
    "map": lambda key: map(str, [key]),
    "zip": lambda key: zip([key], [1], strict=True),
    "cycle": lambda key: advanced(itertools.cycle([key])),
    "chain": lambda key: advanced(itertools.chain([1], [key])),
    "generator": generated,
    "frame of a generator": lambda key: started(generated(key)),
    "generator expression": lambda key: started(key for _ in range(3)),
    "frame of a coroutine": lambda key: begun(awaited(key)),
    "frame of an async generator": lambda key: come_to_its_yield(generated_asynchronously(key)),
    "class": lambda key: type("Class", (), {"key": key}),
    "instance of a class": lambda key: type("Class", (), {"key": key})(),
}
if PYPY:  # where the value is held, by whatever path it leads to its key
    for name in list(PATHS):
        if name not in ("directly", "list", "closure", "weak values", "weak keys", "callback"):
            del PATHS[name]
paths = pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=name, marks=[enters_types] if "class" in name else [])
        for name, path in PATHS.items()
    ],
)
