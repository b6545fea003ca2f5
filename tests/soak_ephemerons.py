"""A long random life of ephemeron tables, in which no entry of a live key may be lost.

    python tests/soak_ephemerons.py [OPERATIONS [SEED]]

A million operations by default: keys come and go, are held in all the ways a program has
(lists, attributes, frames of generators that wait in the middle of a call, values of other
entries), entries are made, overwritten, looked up, removed, copied, and collections of all kinds
come between. A model of plain numbers knows what must live; every entry of it is looked at now
and then, and some at each operation. `test_ephemerons_soak.py` runs a short one.
"""

from __future__ import annotations

import gc
import random
import sys
import time
import weakref
from collections.abc import Iterator
from typing import Any

import weakly
from weakly import EphemeronDictionary, WeakIdKeyDictionary

KEYS = 300
"""About how many keys are held at a time."""


class Key:
    """Knows its number, and is compared by identity."""

    __slots__ = ("__weakref__", "holds", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.holds: list[Key] = []


def waiting(keys: list[Key]) -> Iterator[Any]:
    """Has its keys on the stack and in local variables, in the middle of a call."""
    first, *others = keys
    del keys
    print(first, others, (yield), first)


class Soak:
    """The tables, the holders, and what must be in them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.tables: list[Any] = [EphemeronDictionary(), WeakIdKeyDictionary()]
        self.made = 0
        # The program's holders by the numbers of the keys they hold, so that no reference in
        # here is in the way. A holder is a list, an object or a waiting generator.
        self.holders: list[tuple[Any, list[int]]] = []
        # What is in the tables: numbers of key and of the keys that the value reaches.
        self.entries: list[dict[int, list[int]]] = [{} for _ in self.tables]
        self.references: dict[int, weakref.ref[Key]] = {}

    # --- what the operations need

    def some_key(self) -> Key:
        """One that is held, and so must be there."""
        holder, numbers = self.random.choice(self.holders)
        number = self.random.choice(numbers)
        key = self.references[number]()
        assert key is not None, f"key {number} is held by {holder!r} and lost"
        return key

    def hold(self, keys: list[Key]) -> None:
        kind = self.random.randrange(3)
        holder: Any = list(keys)
        if kind == 1:
            holder = Key(-1)
            holder.holds = list(keys)
        elif kind == 2:
            holder = waiting(list(keys))
            next(holder)
        self.holders.append((holder, [key.number for key in keys]))

    def value_of(self, keys: list[Key]) -> Any:
        """Something that reaches the keys."""
        kind = self.random.randrange(5)
        if kind == 0:
            return list(keys)
        if kind == 1:
            return lambda: keys
        if kind == 2:
            holder = Key(-1)
            holder.holds = keys
            return holder
        if kind == 3:
            return {"keys": (keys, *keys)}
        frame = waiting(keys)
        next(frame)
        return frame

    # --- the operations

    def insert(self) -> None:
        """A new key, with a value that reaches it and some others, into one or all tables."""
        key = Key(self.made)
        self.made += 1
        self.references[key.number] = weakref.ref(key)
        self.hold([key])
        self.give_values(key, range(len(self.tables)))

    def give_values(self, key: Key, where: Any) -> None:
        keys = [key, *(self.some_key() for _ in range(self.random.randrange(3)))]
        for at in where:
            self.tables[at][key] = self.value_of(list(keys))
            self.entries[at][key.number] = [each.number for each in keys]

    def overwrite(self) -> None:
        self.give_values(self.some_key(), [self.random.randrange(len(self.tables))])

    def remove(self) -> None:
        key = self.some_key()
        at = self.random.randrange(len(self.tables))
        was_there = self.entries[at].pop(key.number, None) is not None
        value = self.tables[at].pop(key, None)
        assert (value is not None) == was_there, f"an entry of key {key.number}, which is held"

    def look_up(self) -> None:
        key = self.some_key()
        for table, entries in zip(self.tables, self.entries, strict=True):
            assert (key in table) == (key.number in entries), f"key {key.number} is held"

    def share(self) -> None:
        """One more holder for some keys."""
        self.hold([self.some_key() for _ in range(1 + self.random.randrange(3))])

    def let_go(self) -> None:
        if len(self.holders) > KEYS:
            at = self.random.randrange(len(self.holders))
            self.holders[at] = self.holders[-1]
            self.holders.pop()

    def copy(self) -> None:
        """The copy goes on in the table's place."""
        at = self.random.randrange(len(self.tables))
        self.tables[at] = self.tables[at].copy()

    # --- what must be

    def live(self) -> set[int]:
        """The keys that are held, or reached from values of entries with live keys."""
        found: set[int] = set()
        todo = [number for _, numbers in self.holders for number in numbers]
        while todo:
            number = todo.pop()
            if number not in found:
                found.add(number)
                for entries in self.entries:
                    todo.extend(entries.get(number, ()))
        return found

    def check(self, *, exactly: bool) -> None:
        """Every live key has its entries; `exactly`: and there are no others."""
        live = self.live()
        for number in live:
            key = self.references[number]()
            assert key is not None, f"key {number} must live, and is dead"
            for table, entries in zip(self.tables, self.entries, strict=True):
                assert (key in table) == (number in entries), f"key {number} must live"
        key = None
        for at, entries in enumerate(self.entries):
            self.tables[at]._check()
            self.entries[at] = kept = {n: keys for n, keys in entries.items() if n in live}
            found = {key.number for key in self.tables[at]}
            assert found >= kept.keys()
            assert not exactly or found == kept.keys(), f"left: {found - kept.keys()}"
        for number in self.references.keys() - live:
            if self.references[number]() is None:
                del self.references[number]

    def run(self, operations: int) -> None:
        for _ in range(KEYS):
            key = Key(self.made)
            self.made += 1
            self.references[key.number] = weakref.ref(key)
            self.hold([key])
        del key
        todo = [
            *(self.insert, self.overwrite, self.overwrite, self.remove, self.share),
            *([self.look_up] * 3),
            *([self.let_go] * 3),
        ]
        for done in range(operations):
            if done % 500 == 0:
                self.collect(done)
            self.random.choice(todo)()
        weakly.collect()
        weakly.collect()
        self.check(exactly=weakly.implementation == "c")

    def collect(self, done: int) -> None:
        if done % 5_000 == 0:
            weakly.collect()
            self.check(exactly=False)
            self.copy()
        else:
            gc.collect(self.random.choice([0, 1, 2]))


def soak(operations: int, seed: int) -> Soak:
    """Run so many operations; AssertionError if a live key or its entry is lost."""
    run = Soak(seed)
    run.run(operations)
    return run


def main() -> None:
    """Run as the command line says, and say what came of it."""
    operations = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    print(f"{operations:,} operations, seed {seed}, weakly on {weakly.implementation}", flush=True)
    start = time.perf_counter()
    run = soak(operations, seed)
    seconds = time.perf_counter() - start
    print(f"nothing was lost of {run.made:,} keys in {seconds:.0f} seconds")
    print(weakly.ephemeron_stats())


if __name__ == "__main__":
    main()
