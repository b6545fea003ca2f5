"""Readers, writers, deleters and a thread that collects without pause, on one table.

About a second in all; several seconds each with --run-slow. A thread that fails stops
the others and its exception fails the test.
"""

from __future__ import annotations

import contextlib
import gc
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from support import (
    C_CORE,
    COMPARING,
    PYPY,
    Crew,
    Kind,
    Member,
    durations,
    gc_collect_harder,
    kinds,
    members,
)

from weakly import WeakKeyDictionary, WeakValueDictionary, finalize


def collect() -> None:
    gc.collect()
    if PYPY:
        time.sleep(0.001)  # its collector does not let other threads run by itself


@durations
def test_everything_at_once(kind: Kind, seconds: float) -> None:
    steady = [Member(("steady", n)) for n in range(50)]
    container = kind.build(steady)
    steady_labels = [member.label for member in steady]
    rounds: list[None] = []  # of writing; grows before the container does

    def read() -> None:
        for member in steady:
            assert kind.has(container, member), f"{member} was lost"
        assert 50 <= len(container) <= 50 + 200 * len(rounds)

    def iterate() -> None:
        labels = [member.label for member in kind.iterate(container)]
        seen = [label for label in labels if label[0] == "steady"]
        # The Python tables promise no order while the table changes.
        assert (seen if C_CORE else sorted(seen)) == steady_labels

    def write() -> None:
        rounds.append(None)
        # New labels each time: copy() below may put an old member back under its own.
        some = [Member(("new", object())) for _ in range(random.randrange(1, 200))]
        for member in some:
            kind.add(container, member)
        for member in some:
            assert kind.has(container, member)
        for member in some[::2]:
            kind.remove(container, member)
        for member in some[1::2]:  # its fellows go by dying
            assert kind.has(container, member)

    def cycles() -> None:
        rounds.append(None)
        for _ in range(20):
            member = Member(("garbage", object()))
            member.other = member
            kind.add(container, member)

    def copy() -> None:
        copied = container.copy()
        for member in steady:
            assert kind.has(copied, member)
        container.update(copied)
        list(reversed(container))

    Crew(read, iterate, write, write, cycles, copy, collect).run(seconds)
    gc_collect_harder()
    container._check()
    if kind.shape == "key":
        assert all(container[member] == kind.content([member])[0][1] for member in steady)
    assert list(kind.iterate(container)) == steady
    assert len(container) == 50


@durations
def test_pop_and_clear(kind: Kind, seconds: float) -> None:
    """Each member is popped by one thread only."""
    container = kind.cls()
    count = 0
    lock = threading.Lock()
    popped: set[Any] = set()

    def write() -> None:
        nonlocal count
        with lock:
            count += 20
            start = count
        some = [Member(start + n) for n in range(20)]
        for member in some:
            kind.add(container, member)
        list(kind.iterate(container))

    def pop() -> None:
        try:
            member = kind.pop(container)
        except KeyError:
            return
        with lock:
            assert member.label not in popped
            popped.add(member.label)

    def clear() -> None:
        container.clear()
        time.sleep(0.001)

    Crew(write, write, pop, pop, clear, collect).run(seconds)
    gc_collect_harder()
    container._check()
    container.clear()
    assert len(container) == 0


@durations
def test_setdefault_gives_all_threads_the_same(seconds: float) -> None:
    workers = 4
    keys = members(1)
    results: list[Any] = [None] * workers
    key_table: Any = WeakKeyDictionary()
    value_table: Any = WeakValueDictionary()
    gate = threading.Barrier(workers)
    ends = time.monotonic() + seconds

    def work(at: int) -> None:
        while True:
            fresh = Member(at)
            gate.wait(60)
            results[at] = (
                key_table.setdefault(keys[0], fresh),
                value_table.setdefault("k", fresh),
                fresh,
            )
            if gate.wait(60) == 0:
                assert len({id(result[0]) for result in results}) == 1
                assert len({id(result[1]) for result in results}) == 1
                key_table.clear()
                value_table.clear()
                keys[0] = Member(0)
                if time.monotonic() > ends:
                    keys[0] = None
            gate.wait(60)
            if keys[0] is None:
                return

    errors: list[BaseException] = []

    def guarded(at: int) -> None:
        try:
            work(at)
        except BaseException as error:
            gate.abort()
            errors.append(error)

    if not PYPY:
        sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=guarded, args=(at,)) for at in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next((e for e in errors if isinstance(e, AssertionError)), errors[0])


@durations
def test_a_cache_of_values(seconds: float) -> None:
    """The classical use: get, else make and set; the object got is always the right one."""
    cache: Any = WeakValueDictionary()

    def use() -> None:
        kept = []
        for _ in range(100):
            label = random.randrange(50)
            found = cache.get(label)
            if found is None:
                found = cache.setdefault(label, Member(label))
            assert found.label == label
            kept.append(found)
            if len(kept) > 10:
                kept.pop(0)

    def look() -> None:
        for key, value in cache.items():
            assert value.label == key
        for reference in cache.valuerefs():
            value = reference()
            assert value is None or value.label == reference.key
        assert 0 <= len(cache) <= 50

    Crew(use, use, use, look, collect).run(seconds)
    gc_collect_harder()
    cache._check()
    assert len(cache) == 0


@kinds(COMPARING)
@durations
def test_keys_with_slow_comparisons(kind: Kind, seconds: float) -> None:
    """Other threads change the table while __eq__ and __hash__ run Python code."""

    class Slow(Member):
        def __eq__(self, other: object) -> bool:
            time.sleep(0)
            return isinstance(other, Slow) and self.label == other.label

        def __hash__(self) -> int:
            return hash(self.label) % 4

    steady_keys = [Slow(n) for n in range(8)]
    steady = members(8) if kind.shape == "value" else steady_keys
    container: Any = kind.cls()

    def insert(key: Any, member: Any) -> None:
        if kind.shape == "value":
            container[key] = member
        else:
            kind.add(container, key)

    for key, member in zip(steady_keys, steady, strict=True):
        insert(key, member)

    def read() -> None:
        for n in range(8):
            assert Slow(n) in container

    def write() -> None:
        label = 100 + random.randrange(8)
        key, member = Slow(label), Member(label)
        insert(key, member)
        assert Slow(500) not in container
        if label % 2:
            if kind.shape == "set":
                container.discard(Slow(label))
            else:
                container.pop(Slow(label), None)

    Crew(read, read, write, write, collect).run(seconds)
    gc_collect_harder()
    container._check()
    assert list(kind.iterate(container)) == steady


@durations
def test_threads_share_iterators(kind: Kind, seconds: float) -> None:
    """No more is promised than that nothing breaks and nothing is yielded twice."""
    kept = members(300)
    container = kind.build(kept)
    shared = [kind.iterate(container)]

    def step() -> None:
        try:
            next(shared[0])
        except StopIteration:
            shared[0] = kind.iterate(container)
        except ValueError:  # a generator that is running already says so
            assert not C_CORE

    def change() -> None:
        member = Member(random.randrange(1000, 2000))
        kind.add(container, member)

    Crew(step, step, step, change, collect).run(seconds)
    shared.clear()
    gc_collect_harder()
    container._check()
    assert list(kind.iterate(container)) == kept


@durations
def test_containers_die_while_members_die(kind: Kind, seconds: float) -> None:
    """Each side goes in its own thread: the callback and the table's end race."""
    pairs: list[Any] = []

    def make() -> None:
        if len(pairs) < 50:
            some = members(20)
            pairs.append([kind.build(some), some])

    def drop(at: int) -> Callable[[], None]:
        def drop_one() -> None:
            try:
                pair = pairs[random.randrange(len(pairs) or 1)]
            except IndexError:
                return
            pair[at] = None
            if pair == [None, None]:
                with contextlib.suppress(ValueError):
                    pairs.remove(pair)

        return drop_one

    Crew(make, make, drop(0), drop(1), collect).run(seconds)


@durations
def test_finalizers_fire_once(seconds: float) -> None:
    fired: list[Any] = []
    shared: list[Any] = []
    made = 0

    def make() -> None:
        nonlocal made
        if len(shared) < 100:
            member = Member(made)
            made += 1
            shared.append((member, finalize(member, fired.append, made)))

    def call() -> None:
        with contextlib.suppress(IndexError):
            shared[random.randrange(len(shared) or 1)][1]()

    def drop() -> None:
        with contextlib.suppress(IndexError):
            shared.pop(random.randrange(len(shared) or 1))

    before = len(fired)
    Crew(make, call, call, drop, collect).run(seconds)
    shared.clear()
    gc_collect_harder()
    assert before == 0
    assert len(fired) == len(set(fired)) == made
