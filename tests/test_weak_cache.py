"""`WeakCache`: what its window keeps, what is found beyond it, and what it reports of each end.

The window's policy is held against a model of plain lists, operation by operation: the C core
and the Python tables both must do what it does, so they agree. A state machine looks at
everything else that a mapping with losses promises.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import itertools
import math
import pickle
import random
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support import (
    COUNTS_REFERENCES,
    PYPY,
    EqualMember,
    Member,
    let_die,
    let_expire,
    run_all,
    wait_until,
)

import weakly
from weakly import WeakCache


class Log(list[tuple[Any, Any, str]]):
    """The events of a cache, as its `on_evict`. Keeps no value but what is compared by value."""

    def __call__(self, key: Any, value: Any, cause: str) -> None:
        self.append((key, getattr(value, "label", value), cause))

    def take(self) -> list[tuple[Any, Any, str]]:
        events = list(self)
        self.clear()
        return events


# --- the policy

MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)


def spread(key: object, row: int) -> int:
    x = hash(key) * MULTIPLIERS[row] % 2**64
    return x ^ x >> 32


class Sketch:
    """Counts of uses by hash, approximate, that fade."""

    def __init__(self) -> None:
        self.rows = [[0] * 16 for _ in MULTIPLIERS]
        self.adds = 0

    @property
    def width(self) -> int:
        return len(self.rows[0])

    def places(self, key: object) -> Iterator[tuple[list[int], int]]:
        for number, row in enumerate(self.rows):
            yield row, spread(key, number) % self.width

    def count(self, key: object) -> int:
        return min(row[at] for row, at in self.places(key))

    def add(self, key: object) -> None:
        least = self.count(key)
        for row, at in self.places(key):
            if row[at] == least and least < 15:
                row[at] += 1
        self.adds += 1
        if self.adds >= 5 * self.width:
            self.rows = [[count // 2 for count in row] for row in self.rows]
            self.adds //= 2


class Policy:
    """Which keys are in the window; each of the lists runs from oldest to newest."""

    def __init__(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.fresh: list[int] = []
        self.probation: list[int] = []
        self.protected: list[int] = []
        self.weights: dict[int, int] = {}
        self.sketch = Sketch()
        self.ghosts: list[tuple[str, int] | None] = [None] * 8
        self.recency = 512
        self.credit = 0

    @property
    def fresh_cap(self) -> int:
        return max(1, self.maxsize * self.recency // 1024)

    @property
    def protected_cap(self) -> int:
        return (self.maxsize - self.fresh_cap) * 80 // 100

    def weight(self, *lists: list[int]) -> int:
        return sum(self.weights[key] for each in lists for key in each)

    def lists(self) -> tuple[list[int], ...]:
        return self.probation, self.protected, self.fresh  # as they leave

    def window(self) -> list[int]:
        return [key for each in self.lists() for key in each]

    def drop_coldest(self, but: int | None = None) -> int:
        key = next(key for key in self.window() if key != but)
        self.discard(key)
        return key

    def hit(self, key: int) -> None:
        self.sketch.add(key)
        if key in self.probation:
            self.probation.remove(key)
            self.protect(key)
        for each in self.fresh, self.protected:
            if key in each:
                each.remove(key)
                each.append(key)

    def protect(self, key: int) -> None:
        self.protected.append(key)
        while self.weight(self.protected) > self.protected_cap:
            self.probation.append(self.protected.pop(0))

    def insert(self, key: int, weight: int) -> None:
        self.weights[key] = weight
        self.sketch.add(key)
        if weight > self.maxsize:
            return
        self.grow()
        if self.comes_back(key) and weight <= self.protected_cap:
            self.protect(key)
        else:
            self.fresh.append(key)
        while self.weight(self.fresh) > self.fresh_cap and len(self.fresh) > 1:
            self.admit(self.fresh.pop(0), key)
        while self.weight(*self.lists()) > self.maxsize:
            self.remember("evicted", self.drop_coldest(but=key))

    def grow(self) -> None:
        while self.sketch.width < 2 * (len(self.window()) + 1):
            self.sketch.rows = [row + row for row in self.sketch.rows]
            before, self.ghosts = self.ghosts, [None] * (self.sketch.width // 2)
            for ghost in filter(None, before):
                self.remember(*ghost)

    def remember(self, kind: str, key: int) -> None:
        self.ghosts[spread(key, 0) % len(self.ghosts)] = (kind, key)

    def comes_back(self, key: int) -> bool:
        """Whether it left not long ago, which is learnt from."""
        at = spread(key, 0) % len(self.ghosts)
        ghost = self.ghosts[at]
        if ghost is None or hash(ghost[1]) != hash(key):
            return False
        kinds = [each[0] for each in self.ghosts if each is not None]
        step = min(25, max(1, 5 * len(kinds) // (2 * kinds.count(ghost[0]))))
        self.recency += step if ghost[0] == "refused" else -step
        self.recency = max(16, min(1024, self.recency))
        self.ghosts[at] = None
        return self.recency >= 64

    def admit(self, candidate: int, newcomer: int) -> None:
        """Into PROBATION, in place of others, if it is asked for more often than these."""
        room = self.maxsize - self.weight(self.fresh) - self.weights[candidate]
        while self.weight(self.probation, self.protected) > room:
            rest = self.probation or self.protected
            if not rest:
                return self.remember("evicted", candidate)
            if rest[0] == newcomer:
                return self.remember("refused", candidate)
            if self.sketch.count(candidate) <= self.sketch.count(rest[0]):
                self.credit += self.recency
                if self.credit < 1024:
                    return self.remember("refused", candidate)
                self.credit -= 1024
                self.remember("evicted", rest[0])
            rest.pop(0)
        return self.probation.append(candidate)

    def shrink(self, weight: int) -> None:
        while self.weight(*self.lists()) > weight:
            self.drop_coldest()

    def discard(self, key: int) -> None:
        for each in self.lists():
            if key in each:
                each.remove(key)


def uniform(order: random.Random, size: int) -> Iterator[int]:
    while True:
        yield order.randrange(3 * size)


def skewed(order: random.Random, size: int) -> Iterator[int]:
    while True:
        yield int(order.paretovariate(0.8)) % (20 * size)


def scans(order: random.Random, size: int) -> Iterator[int]:
    """A few keys asked again and again, and long runs of keys asked once."""
    fresh = itertools.count(-1, -1)
    while True:
        for _ in range(3 * size):
            yield int(order.expovariate(2 / size))
        yield from itertools.islice(fresh, 2 * size)


def loop(order: random.Random, size: int) -> Iterator[int]:
    while True:
        yield from range(size + size // 4 + 1)


TRACES = [uniform, skewed, scans, loop]


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.__name__)
@pytest.mark.parametrize("size", [1, 2, 5, 24, 100])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_the_policy_is_the_documented_one(trace: Any, size: int, weighted: bool) -> None:
    """The same keys are in the window after each operation; values are of the kind that goes."""
    order = random.Random(size)
    cache: Any = WeakCache(size)
    model = Policy(size)
    for step, key in enumerate(itertools.islice(trace(order, size), 300 if PYPY else 800)):
        chance = order.random()
        if chance < 0.01:
            keep = order.randrange(size + 1)
            before = len(model.window())
            model.shrink(keep)
            assert cache.shrink(keep) == before - len(model.window())
        elif chance < 0.03:
            assert cache.cache_discard(key) is (key in model.window())
            model.discard(key)
        elif key in model.window():
            model.hit(key)
            assert cache[key] == key
        else:
            assert key not in cache
            weight = order.choice((0, 1, 1, 2, 3, size // 3, size + 1)) if weighted else 1
            model.insert(key, weight)
            cache.store(key, key, weight=weight)
        assert len(cache) == len(model.window())
        assert cache.window_weight == model.weight(*model.lists())
        if step % 20 == 0 or size < 10:
            assert set(cache) == set(model.window())
    assert set(cache) == set(model.window())
    cache._check()


def hits_on(cache: Any, trace: Iterator[int], count: int) -> int:
    for key in itertools.islice(trace, count):
        if cache.get(key) is None:
            cache[key] = key
    return cache.cache_info().hits


def test_a_scan_does_not_flush_what_is_useful() -> None:
    """What the policy is for: LRU, of the same size, finds far less."""
    size, count = 50, 6000
    recent = weakly.cache(lambda key: key, maxsize=size)
    for key in itertools.islice(scans(random.Random(1), size), count):
        recent(key)
    by_lru = recent.cache_info().hits
    assert hits_on(WeakCache(size), scans(random.Random(1), size), count) > by_lru * 1.15


def test_a_loop_longer_than_the_window_finds_something() -> None:
    order = random.Random(1)
    assert hits_on(WeakCache(40), loop(order, 40), 5000) > 5000 // 3


# --- a mapping


def test_mapping() -> None:
    cache: WeakCache[str, int] = WeakCache(10)
    assert isinstance(cache, MutableMapping)
    assert (len(cache), list(cache), bool(cache)) == (0, [], False)
    cache["a"] = 1
    cache["b"] = 2
    assert (len(cache), bool(cache)) == (2, True)
    assert cache["a"] == cache.get("a") == cache.get("a", 5) == 1
    assert cache.get("c") is None
    assert cache.get("c", 5) == 5
    assert "a" in cache
    assert "c" not in cache
    with pytest.raises(KeyError, match="'c'"):
        cache["c"]
    with pytest.raises(KeyError, match="'c'"):
        del cache["c"]
    assert cache.setdefault("a", 7) == 1
    assert cache.setdefault("c", 3) == 3
    assert sorted(cache) == sorted(cache.keys()) == ["a", "b", "c"]
    assert sorted(cache.values()) == [1, 2, 3]
    assert dict(cache.items()) == {"a": 1, "b": 2, "c": 3}
    del cache["a"]
    assert cache.pop("b") == 2
    assert cache.pop("b", None) is None
    with pytest.raises(KeyError, match="'b'"):
        cache.pop("b")
    assert cache.popitem() == ("c", 3)
    with pytest.raises(KeyError):
        cache.popitem()
    cache.update({"x": 1}, y=2)
    cache.update([("z", 3)])
    assert dict(cache) == {"x": 1, "y": 2, "z": 3}
    cache.clear()
    assert len(cache) == 0
    assert cache.get("x") is None
    cache._check()


def test_equality_is_that_of_mappings() -> None:
    cache: Any = WeakCache()
    cache.update(a=1, b=2)
    other: Any = WeakCache(5, ttl=60)
    other.update(b=2, a=1)
    assert cache == other == {"a": 1, "b": 2} == cache
    other["a"] = 5
    assert cache != other
    assert cache != 5
    with pytest.raises(TypeError, match="unhashable"):
        hash(cache)


def test_iterators() -> None:
    """Of the entries that there are: changes meanwhile do not disturb them."""
    cache: Any = WeakCache(100)
    cache.update(zip("abcdef", range(6), strict=True))
    for iterate in (cache.__iter__, cache.keys, cache.values, cache.items):
        iterator = iterate()
        assert iter(iterator) is iterator
        seen = [next(iterator)]
        cache.pop("a", None)
        cache["new"] = 5
        seen += iterator
        assert len(set(seen)) == len(seen) >= 5
        cache["a"] = 0
        cache.pop("new")


def test_generic_and_weakly_referenceable() -> None:
    cache = WeakCache[int, str](5)
    cache[1] = "x"
    assert weakref.ref(cache)() is cache
    assert "WeakCache" in repr(cache)

    class Mine(WeakCache[int, str]):
        pass

    mine = Mine(3)
    mine[1] = "x"
    assert mine == cache


def test_a_cache_in_itself() -> None:
    cache: Any = WeakCache(5)
    cache["itself"] = cache
    assert isinstance(repr(cache), str)
    watch = weakref.ref(cache)
    del cache
    weakly.collect()
    gc.collect()
    assert watch() is None


@pytest.mark.parametrize("key", [None, (), "text", 1.5, frozenset([1]), Member("key")], ids=repr)
def test_keys_are_held_strongly(key: Any) -> None:
    cache: Any = WeakCache()
    cache[key] = [5]
    assert cache[key] == [5]
    assert list(cache) == [key]
    member = EqualMember("x")
    cache[member] = 5
    del member
    let_die()
    assert cache[EqualMember("x")] == 5


@pytest.mark.parametrize("value", [None, False, 0, (), NotImplemented], ids=repr)
def test_values_that_are_not_true_are_values(value: object) -> None:
    cache: Any = WeakCache()
    cache["key"] = value
    assert "key" in cache
    assert cache["key"] is value
    assert cache.get("key", 5) is value
    assert cache.setdefault("key", 5) is value
    assert cache.get_or_create("key", pytest.fail) is value
    assert cache.pop("key", 5) is value


OPERATIONS: list[Any] = [
    lambda cache, key: cache[key],
    lambda cache, key: cache.__setitem__(key, 5),
    lambda cache, key: cache.__delitem__(key),
    lambda cache, key: key in cache,
    lambda cache, key: cache.get(key),
    lambda cache, key: cache.pop(key, None),
    lambda cache, key: cache.setdefault(key, 5),
    lambda cache, key: cache.store(key, 5),
    lambda cache, key: cache.get_or_create(key, lambda: pytest.fail("called")),
    lambda cache, key: cache.cache_discard(key),
    lambda cache, key: cache.update([(key, 5)]),
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_unhashable_keys(operation: Any) -> None:
    cache: Any = WeakCache()
    cache["x"] = 5
    with pytest.raises(TypeError, match="unhashable"):
        operation(cache, [])
    assert cache["x"] == 5
    cache._check()


def test_no_copies_and_no_pickles() -> None:
    cache: Any = WeakCache()
    for clone in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="WeakCache"):
            clone(cache)


# --- options


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"maxsize": "5"}, TypeError),
        ({"maxsize": 1.5}, TypeError),
        ({"maxsize": 0}, ValueError),
        ({"maxsize": -3}, ValueError),
        ({"ttl": "5"}, TypeError),
        ({"ttl": 0}, ValueError),
        ({"ttl": -1}, ValueError),
        ({"ttl": math.nan}, ValueError),
        ({"weigh": 5}, TypeError),
        ({"on_evict": 5}, TypeError),
        ({"size": 5}, TypeError),
    ],
    ids=repr,
)
def test_options_that_make_no_sense(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        WeakCache(**options)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ttl": "5"}, TypeError),
        ({"ttl": 0}, ValueError),
        ({"ttl": -1}, ValueError),
        ({"ttl": math.nan}, ValueError),
        ({"weight": "5"}, TypeError),
        ({"weight": 1.5}, TypeError),
        ({"weight": -1}, ValueError),
    ],
    ids=repr,
)
def test_options_of_an_entry_that_make_no_sense(options: dict[str, Any], error: Any) -> None:
    log = Log()
    cache: Any = WeakCache(on_evict=log)
    cache["key"] = "before"
    with pytest.raises(error):
        cache.store("key", "other", **options)
    with pytest.raises(error):
        cache.get_or_create("new", lambda: "other", **options)
    assert dict(cache) == {"key": "before"}
    assert log == []
    cache._check()


def test_parameters() -> None:
    assert WeakCache().cache_parameters() == {"maxsize": 128, "ttl": None}
    assert WeakCache(5, ttl=60).cache_parameters() == {"maxsize": 5, "ttl": 60}


def test_info() -> None:
    cache: Any = WeakCache(5)
    info = cache.cache_info()
    assert type(info) is type(functools.lru_cache(len).cache_info())
    assert info == (0, 0, 5, 0)
    cache["a"] = 1
    cache["a"]
    cache.get("a")
    cache.get("b")
    with pytest.raises(KeyError):
        cache["b"]
    assert "a" in cache  # does not count
    assert "b" not in cache
    assert cache.cache_info() == (2, 2, 5, 1)
    cache.get_or_create("a", pytest.fail)
    assert cache.get_or_create("c", lambda: 3) == 3
    assert cache.cache_info() == (3, 3, 5, 2)
    cache.clear()
    assert cache.cache_info() == (3, 3, 5, 0)
    cache["a"] = 1
    cache.cache_clear()
    assert cache.cache_info() == (0, 0, 5, 0)
    cache["a"] = 1
    assert cache.cache_discard("a")
    assert not cache.cache_discard("a")
    assert len(cache) == 0


# --- weights


def test_weights() -> None:
    cache: Any = WeakCache(10, weigh=len)
    cache["a"] = "four"
    assert cache.window_weight == 4
    cache["a"] = "seven.."
    assert cache.window_weight == 7
    cache.store("b", "no matter how long", weight=2)
    assert cache.window_weight == 9
    cache["c"] = ""
    assert cache.window_weight == 9
    assert len(cache) == 3
    cache["d"] = "xx"
    assert cache.window_weight <= 10
    assert cache["d"] == "xx"
    cache.clear()
    assert cache.window_weight == 0


def test_weights_beyond_machine_words() -> None:
    cache: Any = WeakCache(5)
    held = Member("held")
    for weight in (2**31, 2**62, 2**63, 2**64 + 1, 2**200):
        with contextlib.suppress(OverflowError):
            cache.store("key", held, weight=weight)
            assert cache["key"] is held
        assert cache.window_weight == 0
        cache._check()
    with contextlib.suppress(OverflowError):
        enormous: Any = WeakCache(2**70)
        for number in range(4):
            enormous.store(number, number, weight=2**69)
            assert enormous.get(number) in (number, None)
        enormous._check()


def test_a_value_heavier_than_the_window_never_enters_it() -> None:
    log = Log()
    cache: Any = WeakCache(5, weigh=lambda value: value.label, on_evict=log)
    cache["small"] = Member(3)
    heavy = Member(6)
    cache["heavy"] = heavy
    assert cache["heavy"] is heavy  # found for as long as it is held
    assert cache.window_weight == 3
    assert cache["small"].label == 3
    assert log.take() == []
    del heavy
    let_die()
    assert "heavy" not in cache
    assert log.take() == [("heavy", None, "dead")]
    assert cache.get_or_create("heavy", lambda: Member(7)).label == 7
    let_die()
    assert "heavy" not in cache
    cache.store("number", 5, weight=6)
    assert "number" not in cache
    assert cache.get_or_create("number", lambda: 5, weight=6) == 5
    assert cache["small"].label == 3
    cache._check()


@pytest.mark.parametrize(
    ("weigh", "error"),
    [
        (lambda value: "1", TypeError),
        (lambda value: 1.0, TypeError),
        (lambda value: None, TypeError),
        (lambda value: -1, ValueError),
        (lambda value: 1 // 0, ZeroDivisionError),
        (lambda: 5, TypeError),
    ],
)
def test_weights_that_make_no_sense(weigh: Any, error: type[Exception]) -> None:
    log = Log()
    cache: Any = WeakCache(10, weigh=weigh, on_evict=log)
    cache.store("key", "before", weight=1)
    for attempt in (
        lambda: cache.__setitem__("key", "other"),
        lambda: cache.__setitem__("new", "other"),
        lambda: cache.store("new", "other"),
        lambda: cache.setdefault("new", "other"),
        lambda: cache.get_or_create("new", lambda: "other"),
        lambda: cache.update(new="other"),
    ):
        with pytest.raises(error):
            attempt()
    assert dict(cache) == {"key": "before"}
    assert cache.window_weight == 1
    assert log == []
    cache._check()


def test_the_stored_value_stays_until_the_next() -> None:
    for size in (1, 2, 5, 30):
        cache: Any = WeakCache(size)
        order = random.Random(size)
        for number in range(200):
            weight = order.randrange(size + 1)
            cache.store(number, number, weight=weight)
            assert cache[number] == number
            assert cache.window_weight <= size


# --- beyond the window


def test_what_has_left_the_window_is_found_while_it_is_held() -> None:
    log = Log()
    cache: Any = WeakCache(10, on_evict=log)
    held, other = Member("held"), Member("other")
    cache.update(held=held, other=other, text="text", free=Member("free"))
    assert cache.shrink(0) == 4
    let_die()
    assert cache.window_weight == 0
    assert len(cache) == 2
    if COUNTS_REFERENCES:
        assert sorted(log.take()) == [("free", "free", "size"), ("text", "text", "size")]
    log.clear()
    assert cache["held"] is held  # and is in the window again
    assert cache.window_weight == 1
    assert cache.get("other") is other
    assert cache.window_weight == 2
    watch = weakref.ref(held)
    del held
    let_die()
    assert cache["held"] is watch() is not None
    cache.shrink(0)
    let_die()
    assert watch() is None
    assert "held" not in cache
    assert [key for key, _, _ in log.take()] == ["held"]
    del other
    let_die()
    assert log.take() == [("other", None, "dead")]
    assert len(cache) == 0
    cache._check()


def test_looking_is_no_use() -> None:
    cache: Any = WeakCache(10)
    held = Member("held")
    cache["held"] = held
    cache.shrink(0)
    assert "held" in cache
    assert list(cache) == ["held"]
    assert list(cache.values()) == [held]
    assert len(cache) == 1
    assert cache.window_weight == 0
    assert cache.cache_info()[:2] == (0, 0)


@pytest.mark.parametrize(
    "use",
    [
        lambda cache: cache["held"],
        lambda cache: cache.get("held"),
        lambda cache: cache.setdefault("held", 5),
        lambda cache: cache.get_or_create("held", pytest.fail),
    ],
    ids=["[]", "get", "setdefault", "get_or_create"],
)
def test_a_hit_brings_back(use: Any) -> None:
    cache: Any = WeakCache(10, weigh=lambda value: 3)
    held = Member("held")
    cache["held"] = held
    cache.shrink(0)
    assert use(cache) is held
    assert cache.window_weight == 3
    del held
    let_die()
    assert cache["held"].label == "held"


def test_shrink() -> None:
    log = Log()
    cache: Any = WeakCache(100, on_evict=log)
    cache.update((number, number) for number in range(50))
    assert cache.shrink(100) == 0
    assert cache.shrink(50) == 0
    assert cache.shrink(20) == 30
    assert (len(cache), cache.window_weight) == (20, 20)
    assert Counter(cause for _, _, cause in log.take()) == {"size": 30}
    assert cache.shrink(0) == 20
    assert (len(cache), cache.window_weight) == (0, 0)
    cache["x"] = 5
    assert cache["x"] == 5


# --- time


def test_time_to_live() -> None:
    log = Log()
    cache: Any = WeakCache(10, ttl=0.005, on_evict=log)
    held = Member("held")
    cache["held"], cache["number"] = held, 5
    cache.store("long", 6, ttl=60)
    let_expire(0.005)
    assert cache.get("held") is None
    assert "number" not in cache
    assert "held" not in cache
    assert cache["long"] == 6
    assert ([*cache], [*cache.items()]) == (["long"], [("long", 6)])
    cache.expire()
    assert cache.expire() == 0
    assert len(cache) == 1
    assert sorted(log.take()) == [("held", "held", "expired"), ("number", 5, "expired")]
    cache["held"] = held
    assert cache["held"] is held
    cache._check()


def test_expire_counts() -> None:
    log = Log()
    cache: Any = WeakCache(100, on_evict=log)
    for number in range(30):
        cache.store(number, number, ttl=0.2 if number % 3 else 60)
    let_expire(0.2)
    assert cache.expire() == 20
    assert sorted(log) == [(number, number, "expired") for number in range(30) if number % 3]
    assert len(cache) == cache.window_weight == 10
    assert cache.expire() == 0


def test_a_hit_does_not_prolong_and_a_store_does() -> None:
    cache: Any = WeakCache(10, ttl=0.1)
    begin = time.monotonic()
    cache["key"] = 5
    wait_until(lambda: cache.get("key") != 5)
    assert time.monotonic() - begin >= 0.1
    cache.store("key", 5, ttl=0.005)
    cache.store("key", 6, ttl=60)
    let_expire(0.005)
    assert cache["key"] == 6


def test_an_expired_entry_is_no_entry() -> None:
    """For whatever asks."""
    for operation, found in (
        (lambda cache: cache.pop("key", "none"), "none"),
        (lambda cache: cache.setdefault("key", "new"), "new"),
        (lambda cache: cache.get_or_create("key", lambda: "new"), "new"),
        (lambda cache: cache.cache_discard("key"), False),
        (lambda cache: dict(cache), {}),
    ):
        log = Log()
        cache: Any = WeakCache(10, on_evict=log)
        cache.store("key", "old", ttl=0.001)
        let_expire(0.001)
        assert operation(cache) == found
        cache.expire()
        assert log == [("key", "old", "expired")]
        cache._check()


# --- events


@pytest.mark.parametrize(
    ("end", "event"),
    [
        (lambda cache: cache.__setitem__("key", "new"), ("key", "old", "replaced")),
        (lambda cache: cache.store("key", "new"), ("key", "old", "replaced")),
        (lambda cache: cache.update(key="new"), ("key", "old", "replaced")),
        (lambda cache: cache.__delitem__("key"), ("key", "old", "deleted")),
        (lambda cache: cache.pop("key"), ("key", "old", "deleted")),
        (lambda cache: cache.popitem(), ("key", "old", "deleted")),
        (lambda cache: cache.clear(), ("key", "old", "deleted")),
        (lambda cache: cache.cache_clear(), ("key", "old", "deleted")),
        (lambda cache: cache.cache_discard("key"), ("key", "old", "deleted")),
        (lambda cache: cache.shrink(0), ("key", "old", "size")),
        (lambda cache: [cache.__setitem__(n, n) for n in range(60)], ("key", "old", "size")),
    ],
)
@pytest.mark.parametrize("held", [False, True], ids=["text", "held"])
def test_causes(end: Any, event: tuple[str, str, str], held: bool) -> None:
    log = Log()
    cache: Any = WeakCache(5, on_evict=log)
    value: Any = Member("old") if held else "old"
    cache["key"] = value
    end(cache)
    of_key = [each for each in log if each[0] == "key"]
    if held and event[2] == "size":  # somebody has it: it is still there
        assert of_key == []
        assert cache["key"] is value
        cache.shrink(0)
        del value
        let_die()
        assert log[-1] == ("key", None, "dead")
    else:
        assert of_key == [event]
    cache._check()


def test_storing_the_same_value_again() -> None:
    log = Log()
    cache: Any = WeakCache(5, on_evict=log)
    value = Member("x")
    cache["key"] = value
    cache["key"] = value
    assert cache["key"] is value
    assert cache.window_weight == 1
    assert log in ([], [("key", "x", "replaced")])
    cache._check()


def test_replacing_what_has_left_the_window() -> None:
    log = Log()
    cache: Any = WeakCache(5, on_evict=log)
    old = Member("old")
    cache["key"] = old
    cache.shrink(0)
    cache["key"] = "new"
    assert log.take() == [("key", "old", "replaced")]
    del old
    let_die()
    assert log == []
    assert cache["key"] == "new"
    cache.clear()
    assert log == [("key", "new", "deleted")]


def test_exceptions_of_on_evict_are_reported(unraisable: Any) -> None:
    def fails(key: object, value: object, cause: str) -> None:
        raise ZeroDivisionError(cause)

    cache: Any = WeakCache(2, on_evict=fails)
    held = Member("held")
    cache["held"] = held
    cache["a"] = 1
    cache["a"] = 2
    del cache["a"]
    cache["b"] = 1
    cache.shrink(0)
    del held
    let_die()
    assert [(each.type, each.message) for each in unraisable] == [
        (ZeroDivisionError, cause) for cause in ("replaced", "deleted", "size", "dead")
    ]
    unraisable.clear()
    cache._check()


def test_events_come_when_the_cache_is_consistent() -> None:
    """`on_evict` sees the cache as it is afterwards, and may use it."""
    seen: list[Any] = []

    def on_evict(key: Any, value: Any, cause: str) -> None:
        cache._check()
        seen.append((key, cause, cache.get(key), len(cache), cache.window_weight))

    cache: Any = WeakCache(3, on_evict=on_evict)
    cache["a"] = 1
    cache["a"] = 2
    assert seen.pop() == ("a", "replaced", 2, 1, 1)
    del cache["a"]
    assert seen.pop() == ("a", "deleted", None, 0, 0)
    cache["b"] = 3
    cache.shrink(0)
    assert seen.pop() == ("b", "size", None, 0, 0)
    cache.update(a=1, b=2)
    cache.clear()
    assert sorted(seen) == [("a", "deleted", None, 0, 0), ("b", "deleted", None, 0, 0)]


def test_nothing_is_said_of_a_cache_that_dies() -> None:
    log = Log()
    cache: Any = WeakCache(3, on_evict=log)
    held = Member("held")
    cache["held"], cache["x"] = held, 5
    watch = weakref.ref(cache)
    del cache
    let_die()
    assert watch() is None
    del held
    let_die()
    assert log == []


# --- get_or_create


def test_get_or_create() -> None:
    cache: Any = WeakCache(5)
    runs: list[int] = []

    def factory() -> list[int]:
        runs.append(1)
        assert "key" not in cache
        return [5]

    first = cache.get_or_create("key", factory)
    assert cache.get_or_create("key", factory) is first is cache["key"]
    cache.get_or_create("short", lambda: 5, ttl=0.001, weight=3)
    assert cache.window_weight == 4
    let_expire(0.001)
    assert "short" not in cache
    assert len(runs) == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, KeyboardInterrupt])
def test_a_factory_that_fails(error: type[BaseException]) -> None:
    cache: Any = WeakCache(5)

    def factory() -> Any:
        raise error("from the factory")

    for _ in range(2):
        with pytest.raises(error, match="from the factory"):
            cache.get_or_create("key", factory)
    assert len(cache) == 0
    assert cache.get_or_create("key", lambda: 5) == 5


def test_a_factory_that_asks_for_the_same_key() -> None:
    cache: Any = WeakCache(5)
    with pytest.raises(RuntimeError):
        cache.get_or_create("key", lambda: cache.get_or_create("key", lambda: 5))
    assert len(cache) == 0
    nested = cache.get_or_create("key", lambda: cache.get_or_create("other", lambda: 5) + 1)
    assert (nested, cache["other"]) == (6, 5)


def test_a_value_stored_by_the_factory_itself_wins() -> None:
    cache: Any = WeakCache(5)
    found = cache.get_or_create("key", lambda: [cache.__setitem__("key", "stored"), "made"])
    assert found == cache["key"] == "stored"


def test_threads_make_a_value_once() -> None:
    cache: Any = WeakCache(5)
    asked = itertools.count(1)
    runs: list[int] = []
    all_in = threading.Event()

    def factory() -> Member:
        runs.append(1)
        wait_until(all_in.is_set)
        return Member("made")

    def ask() -> Any:
        if next(asked) == 16:
            all_in.set()
        return cache.get_or_create("key", factory)

    results = run_all(*[ask] * 16)
    assert len(set(results)) == len(runs) == 1
    assert cache["key"] is results[0]
    info = cache.cache_info()
    assert info.misses + info.hits == 17


# --- everything, against a model


class Entry:
    """What the model knows of one; its value is a number, or has one and can be referred to."""

    def __init__(self, key: int, value: Any, weight: int, expires: bool) -> None:
        self.key = key
        self.number = number_of(value)
        self.weight = weight
        self.expires = expires
        self.watch = weakref.ref(value) if isinstance(value, Member) else lambda: value


def number_of(value: Any) -> Any:
    return value.label if isinstance(value, Member) else value


class CacheMachine(RuleBasedStateMachine):
    """What is found was stored last and is not reported gone; each end is reported once."""

    keys = st.integers(0, 9)
    maxsize = 7

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self.cache: Any = WeakCache(self.maxsize, on_evict=self.log)
        self.numbers = itertools.count()
        self.entries: dict[int, Entry] = {}  # by number
        self.owned: dict[int, Member] = {}  # the values that are held elsewhere

    # The model

    def entry(self, key: int) -> Entry | None:
        """The one that is to be found."""
        found = [each for each in self.entries.values() if each.key == key and not each.expires]
        return found[-1] if found else None  # a dead one may be reported late

    def ended(self, **causes: int | None) -> None:
        """Takes note of what was reported; `causes` are those that the operation explains, with
        the number of the only entry of which it may be said, or None for any."""
        for key, number, cause in self.log.take():
            if cause == "dead":
                assert number is None
                dead = [e for e in self.entries.values() if e.key == key and e.watch() is None]
                assert dead, "a death was reported of what lives, or twice"
                number = dead[0].number
            entry = self.entries.pop(number, None)
            assert entry is not None, "an end was reported twice, or of what was never there"
            assert entry.key == key
            if cause == "expired":
                assert entry.expires
            elif cause in ("size", "dead"):
                assert number not in self.owned, "somebody has it"
            else:
                assert causes.get(cause, -1) in (number, None)

    @invariant()
    def sound(self) -> None:
        self.cache._check()
        length = len(self.cache)  # may drop what has expired
        self.ended()
        found = {key: number_of(value) for key, value in self.cache.items()}
        expected = {e.key: e.number for e in self.entries.values() if not e.expires}
        assert found.items() <= expected.items()
        for key in expected.keys() - found.keys():
            assert not COUNTS_REFERENCES, "an entry was lost without a report"
            assert self.entries[expected[key]].watch() is None
        assert len(found) <= length <= len(self.entries)
        unowned = [e.weight for e in self.entries.values() if e.number not in self.owned]
        assert self.cache.window_weight <= self.maxsize
        if COUNTS_REFERENCES:  # else some may be dead
            assert sum(unowned) <= self.cache.window_weight

    def new(self, own: bool, plain: bool) -> Any:
        number = next(self.numbers)
        value = number if plain else Member(number)
        if own and not plain:
            self.owned[number] = value
        return value

    def enter(self, key: int, value: Any, weight: int = 1, expires: bool = False) -> None:
        entry = Entry(key, value, weight, expires)
        self.entries[entry.number] = entry

    # Operations

    @rule(
        key=keys,
        own=st.booleans(),
        plain=st.booleans(),
        weight=st.sampled_from((1, 1, 1, 0, 2, 3, 7, 8)),
    )
    def store(self, key: int, own: bool, plain: bool, weight: int) -> None:
        before = self.entry(key)
        value = self.new(own, plain)
        self.enter(key, value, weight)
        self.cache.store(key, value, weight=weight)
        del value
        self.ended(replaced=before.number if before else -1)
        assert before is None or before.number not in self.entries

    @rule(key=keys, own=st.booleans(), plain=st.booleans())
    def store_for_a_moment(self, key: int, own: bool, plain: bool) -> None:
        before = self.entry(key)
        value = self.new(own, plain)
        self.enter(key, value, expires=True)
        self.cache.store(key, value, ttl=1e-7)
        del value
        let_expire(1e-7)
        self.ended(replaced=before.number if before else -1)

    @rule(key=keys, way=st.sampled_from(("setdefault", "get_or_create")), plain=st.booleans())
    def find_or_store(self, key: int, way: str, plain: bool) -> None:
        before = self.entry(key)
        values = [self.new(False, plain)]
        number = number_of(values[0])
        if before is None or before.watch() is None:
            self.enter(key, values[0])
            before = None
        if way == "setdefault":
            found = number_of(self.cache.setdefault(key, values.pop()))
        else:
            found = number_of(self.cache.get_or_create(key, values.pop))
        assert found == (before.number if before else number)
        values.clear()
        self.ended()

    @rule(key=keys)
    def find(self, key: int) -> None:
        entry = self.entry(key)
        value = self.cache.get(key)
        if value is None:
            assert entry is None or (not COUNTS_REFERENCES and entry.watch() is None)
        else:
            assert entry is not None
            assert number_of(value) == entry.number
        del value
        self.ended()

    @precondition(lambda self: self.owned)
    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        del self.owned[data.draw(st.sampled_from(sorted(self.owned)))]
        self.ended()

    @rule(key=keys, way=st.sampled_from(("del", "pop", "discard")))
    def delete(self, key: int, way: str) -> None:
        entry = self.entry(key)
        if way == "del":
            try:
                del self.cache[key]
                found = True
            except KeyError:
                found = False
        elif way == "pop":
            found = self.cache.pop(key, None) is not None
        else:
            found = self.cache.cache_discard(key)
        assert found is (entry is not None) or not COUNTS_REFERENCES
        self.ended(deleted=entry.number if entry else -1)
        assert entry is None or entry.number not in self.entries or not COUNTS_REFERENCES

    @rule()
    def popitem(self) -> None:
        try:
            key, value = self.cache.popitem()
        except KeyError:
            assert all(e.expires for e in self.entries.values()) or not COUNTS_REFERENCES
        else:
            entry = self.entry(key)
            assert entry is not None
            assert entry.number == number_of(value)
            self.ended(deleted=entry.number)
            assert entry.number not in self.entries

    @rule(weight=st.integers(0, maxsize))
    def shrink(self, weight: int) -> None:
        self.cache.shrink(weight)
        assert self.cache.window_weight <= weight
        self.ended()

    @rule()
    def expire(self) -> None:
        dropped = self.cache.expire()
        before = sum(e.expires for e in self.entries.values())
        self.ended()
        assert dropped == before - sum(e.expires for e in self.entries.values()) or PYPY
        assert not any(e.expires for e in self.entries.values()) or PYPY

    @rule(way=st.sampled_from(("clear", "cache_clear")))
    def clear(self, way: str) -> None:
        getattr(self.cache, way)()
        assert len(self.cache) == self.cache.window_weight == 0
        self.ended(deleted=None)
        assert not self.entries or not COUNTS_REFERENCES
        self.entries.clear()

    @rule()
    def collect(self) -> None:
        let_die()
        self.ended()


TestCacheMachine = CacheMachine.TestCase
