"""Never early: live keys in the frames of suspended generators and coroutines.

From CPython 3.14 on such a frame shows the collector an object twice that it holds once, if
it lies on its stack beside a local variable; whoever believes that loses live keys. Here a
frame waits in the middle of every kind of expression that has the key on the stack, is reached
from the key's own value, and is the key's only holder or one of two.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import C_CORE, PYPY

import weakly
from weakly import EphemeronDictionary, WeakIdKeyDictionary

pytestmark = pytest.mark.skipif(PYPY, reason="its collector counts no references")


class Key:
    """Does in each kind of expression what it takes to be on the stack meanwhile."""

    def __enter__(self) -> Key:
        return self

    def __exit__(self, *_: object) -> None:
        """Does nothing."""

    def __iter__(self) -> Iterator[Any]:
        yield self
        yield self

    def __add__(self, other: object) -> Key:
        return self

    __eq__ = object.__eq__
    __hash__ = object.__hash__
    __lt__ = __getitem__ = method = __add__

    def __setitem__(self, where: object, what: object) -> None:
        """Takes anything."""


def take(*arguments: Any, **keywords: Any) -> tuple[Any, ...]:
    return arguments


# --- generators: each waits once, and yields its key at the end


def argument(key: Key) -> Any:
    result = take(key, (yield))
    yield result[0]


def arguments(key: Key) -> Any:
    result = take(key, key, key, (yield), key)
    yield result[0]


def nested_arguments(key: Key) -> Any:
    result = take(key, take(key, take(key, (yield))))
    yield result[0]


def keyword_argument(key: Key) -> Any:
    take(1, key=key, other=(yield))
    yield key


def starred_argument(key: Key) -> Any:
    result = take(*[key], *((yield) or ()))
    yield result[0]


def method_call(key: Key) -> Any:
    result = key.method((yield))
    yield result


def list_display(key: Key) -> Any:
    yield [key, (yield), key][0]


def dict_display(key: Key) -> Any:
    yield {1: key, 2: (yield)}[1]


def set_display(key: Key) -> Any:
    yield {key, (yield)} and key


def addition(key: Key) -> Any:
    yield key + (yield)


def comparison(key: Key) -> Any:
    yield key < (yield)


def identity(key: Key) -> Any:
    yield key is not (yield) and key


def subscription(key: Key) -> Any:
    yield key[(yield)]


def assignment_to_item(key: Key) -> Any:
    key[(yield)] = 5
    yield key


def assignment_of_the_key(key: Key) -> Any:
    items: dict[Any, Key] = {}
    items[(yield)] = key
    yield items[None]


def formatted(key: Key) -> Any:
    text = f"{key}{(yield)}"
    yield text and key


def with_block(key: Key) -> Any:
    with key as same:
        yield
    yield same


def loop(key: Key) -> Any:
    for same in key:
        yield
        yield same


def loop_over_a_tuple(key: Key) -> Any:
    for same in (key, 1):
        yield
        yield same


def only_on_the_stack(key: Key) -> Any:
    keys = [key]
    del key
    result = take(keys.pop(), (yield))
    yield result[0]


def overwritten_local(key: Key) -> Any:
    keys = [key]
    result = take(key, key := (yield))
    yield result[0] and keys.pop()


def deleted_local(key: Key) -> Any:
    def drop() -> None:
        nonlocal key
        del key

    result = take(key, drop(), (yield))
    yield result[0]


def cell(key: Key) -> Any:
    def same() -> Key:
        return key

    take(key, same, (yield))
    yield same()


def exception(key: Key) -> Any:
    try:
        raise ValueError(key)
    except ValueError as error:
        result = take(key, error, (yield))
        yield result[1].args[0]


def delegation(key: Key) -> Any:
    result = take(key, (yield from argument(key)))
    yield result[0]


def delegation_twice(key: Key) -> Any:
    yield from delegation(key)


def comprehension(key: Key) -> Any:
    result = [take(key, each) for each in [1, (yield)]]
    yield result[0][0]


def generator_expression(key: Key) -> Any:
    return (take(key, same)[0] for same in (None, key) if same is None or key)


# --- coroutines and asynchronous generators


class Suspend:
    """To be awaited: stops the coroutine once."""

    def __await__(self) -> Any:
        return (yield)


async def awaiting(key: Key) -> Key:
    result = take(key, await Suspend())
    return result[0]


async def awaiting_twice(key: Key) -> Key:
    result = take(key, take(key, await awaiting(key)), key)
    return result[0]


async def awaiting_in_method_call(key: Key) -> Key:
    return key.method(await Suspend())


class Asynchronous(Key):
    async def __aenter__(self) -> Asynchronous:
        await Suspend()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Does nothing."""

    async def __aiter__(self) -> Any:
        yield take(self, await Suspend())[0]


async def entering(key: Any) -> Key:
    async with key as same:
        return take(same, key)[0]


async def iterating(key: Any) -> Any:
    result = [take(key, same)[0] async for same in key]
    return result[0]


async def generating(key: Key) -> Any:
    result = take(key, (yield), await Suspend())
    yield result[0]


class Waiting:
    """A started generator or coroutine; `finish` lets it go on and gives what it says."""

    def __init__(self, started: Any, finish: Callable[[], Any]) -> None:
        self.frame = started
        self.finish = finish


def generator(function: Callable[[Key], Any]) -> Callable[[Any], Waiting]:
    def start(key: Key) -> Waiting:
        started = function(key)
        next(started)
        return Waiting(started, lambda: started.send(None))

    return start


def coroutine(function: Callable[[Key], Any]) -> Callable[[Any], Waiting]:
    def start(key: Key) -> Waiting:
        started = function(key)
        started.send(None)

        def finish() -> Any:
            with pytest.raises(StopIteration) as stop:
                started.send(None)
            return stop.value.value

        return Waiting(started, finish)

    return start


def async_generator_at_its_yield(key: Key) -> Waiting:
    started = generating(key)
    with pytest.raises(StopIteration):
        started.asend(None).send(None)

    def finish() -> Any:
        step = started.asend(None)
        step.send(None)
        with pytest.raises(StopIteration) as stop:
            step.send(None)
        return stop.value.value

    return Waiting(started, finish)


def async_generator_at_its_await(key: Key) -> Waiting:
    started = generating(key)
    with pytest.raises(StopIteration):
        started.asend(None).send(None)
    step = started.asend(None)
    step.send(None)

    def finish() -> Any:
        with pytest.raises(StopIteration) as stop:
            step.send(None)
        return stop.value.value

    return Waiting(started, finish)


GENERATORS = [
    *(argument, arguments, nested_arguments, keyword_argument, starred_argument, method_call),
    *(list_display, dict_display, set_display, addition, comparison, identity, subscription),
    *(assignment_to_item, assignment_of_the_key, formatted, with_block, loop, loop_over_a_tuple),
    *(only_on_the_stack, overwritten_local, deleted_local, cell, exception, delegation),
    *(delegation_twice, comprehension, generator_expression),
]
COROUTINES = [awaiting, awaiting_twice, awaiting_in_method_call, entering, iterating]
WAYS: dict[str, Callable[[Any], Waiting]] = {
    **{function.__name__: generator(function) for function in GENERATORS},
    **{function.__name__: coroutine(function) for function in COROUTINES},
    "async_generator_at_its_yield": async_generator_at_its_yield,
    "async_generator_at_its_await": async_generator_at_its_await,
}
ways = pytest.mark.parametrize("start", WAYS.values(), ids=WAYS)


def in_a_list(key: Key) -> Any:
    return [key]


def in_an_attribute(key: Key) -> Any:
    holder = Key()
    holder.held = key  # type: ignore[attr-defined]
    return holder


def in_a_closure(key: Key) -> Any:
    return lambda: key


def in_another_frame(key: Key) -> Any:
    return WAYS["nested_arguments"](key)


def nowhere_else(key: Key) -> Any:
    return None


HOLDERS = [nowhere_else, in_a_list, in_an_attribute, in_a_closure, in_another_frame]


@pytest.fixture(params=[EphemeronDictionary, WeakIdKeyDictionary], ids=lambda cls: cls.__name__)
def table(request: pytest.FixtureRequest) -> Any:
    return request.param()


def collect() -> None:
    for _ in range(2):
        gc.collect()
        weakly.collect()


@ways
@pytest.mark.parametrize("hold", HOLDERS)
def test_a_frame_that_is_held(table: Any, start: Any, hold: Any) -> None:
    """The program holds the frame, the value reaches it too, and one other may hold the key."""
    key = Asynchronous()
    watch = weakref.ref(key)
    waiting, holder = start(key), hold(key)
    table[key] = [waiting.frame, key]
    del key
    collect()
    assert len(table) == 1
    assert watch() is not None, "a live key was dropped"
    key = waiting.finish()
    assert key is watch()
    assert table[key] == [waiting.frame, key]
    table._check()
    assert holder is None or hold is not nowhere_else


@ways
@pytest.mark.parametrize("hold", HOLDERS[1:])
def test_a_frame_that_only_the_value_holds(table: Any, start: Any, hold: Any) -> None:
    """The frame counts as one holder at most: the other one keeps the key."""
    key = Asynchronous()
    watch = weakref.ref(key)
    holder = hold(key)
    table[key] = start(key)
    del key
    collect()
    assert len(table) == 1
    assert watch() is not None, "a live key was dropped"
    assert table[watch()].finish() is watch()
    table._check()
    del holder
    weakly.collect()  # the frame has gone on: what is left may go now or later
    table._check()


@ways
def test_many_frames_and_one_holder(table: Any, start: Any) -> None:
    """Each frame would take off one too many."""
    keys = [Asynchronous() for _ in range(3)]
    for key in keys:
        table[key] = [start(other) for other in keys for _ in range(3)]
    del key
    held = {"keys": keys}
    del keys
    collect()
    assert list(table) == held["keys"]
    for key in held["keys"]:
        assert [waiting.finish() for waiting in table[key]] == [
            other for other in held["keys"] for _ in range(3)
        ]


@pytest.mark.c_core(reason="the Python tables cannot collect ephemerons")
@pytest.mark.parametrize("name", ["argument", "method_call", "delegation", "awaiting"])
def test_a_frame_that_nobody_holds_goes(table: Any, name: str) -> None:
    """With the key, if it has come to its end."""
    key = Asynchronous()
    watch = weakref.ref(key)
    waiting = WAYS[name](key)
    table[key] = [waiting.frame, key]
    assert waiting.finish() is key
    waiting.frame.close()
    del key, waiting
    weakly.collect()
    assert watch() is None
    assert len(table) == 0


def test_a_frame_that_is_running(table: Any) -> None:
    """It collects while its key is a local variable and on its stack."""

    def run() -> Any:
        key = Key()
        table[key] = [own, key]
        yield
        take(key, collect(), key)
        assert table[key] == [own, key]
        yield key

    own: list[Any] = []
    own.append(run())
    next(own[0])
    assert next(own[0]) in table


def test_a_frame_that_waits_for_a_running_one(table: Any) -> None:
    """The inner generator collects; the outer holds the key on its stack."""

    def inner() -> Any:
        yield
        collect()
        yield
        return 5

    def outer() -> Any:
        key = Key()
        table[key] = [own, key]
        result = take(key, (yield from inner()))
        assert result == (key, 5)
        assert table[key] == [own, key]
        yield key

    own: list[Any] = []
    own.append(outer())
    for _ in range(2):
        next(own[0])
        assert len(table) == 1
    assert next(own[0]) in table
    assert len(table) == 1 or C_CORE
