"""The three sides of every measurement, and the objects they are measured on.

A case is one side (strong, stdlib or weakly) of one container with one kind of key. The
sides never share a key or a value: a weak reference of one would be in the way of the
other's, and each must find its objects in memory laid out alike.
"""

import gc
import itertools
import tracemalloc
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from typing import Any

import weakly
from weakly._implementation import collect_ephemerons

SIDES = ("strong", "stdlib", "weakly")
"""The order of the columns, everywhere."""

KINDS = {
    "WeakKeyDictionary": ("object", "python"),
    "WeakSet": ("object", "python"),
    "WeakValueDictionary": ("int", "str", "python"),
    "EphemeronDictionary": ("object",),
    "WeakIdKeyDictionary": ("object",),
    "WeakIdSet": ("object",),
    "finalize": ("object",),
    "WeakCache": ("int", "str"),
    "cache": ("object",),
    "cached_method": ("object",),
    "cached_property": ("object",),
    "WeakCallable": ("object",),
    "Signal": ("object",),
    "ReferenceQueue": ("object",),
}
"""The kinds of key of each family, the default first."""

STRONG = {
    "WeakKeyDictionary": "dict",
    "WeakSet": "set",
    "WeakValueDictionary": "dict",
    "EphemeronDictionary": "dict",
    "WeakIdKeyDictionary": "dict",
    "WeakIdSet": "set",
    "WeakCache": "dict",
    "WeakCallable": "method",
    "Signal": "list",
}
"""What a program without weak references would use; nothing does the work of finalize and
of a queue of deaths, and for the caching decorators that is `functools` itself."""

NEAREST = {
    "EphemeronDictionary": "WeakKeyDictionary",
    "WeakIdKeyDictionary": "WeakKeyDictionary",
    "WeakIdSet": "WeakSet",
    "WeakCache": "WeakValueDictionary",
    "WeakCallable": "WeakMethod",
    "Signal": "WeakMethod",
    "ReferenceQueue": "finalize",
}
"""What comes nearest in the standard library, where it has nothing of that name."""

DECORATORS = ("cache", "cached_method", "cached_property")
"""The families that are measured on calls (calls.py), beside `functools`."""

LISTENERS = ("WeakCallable", "Signal")
"""The families that call listeners (observers.py)."""

FEW_ONLY = ("WeakCache", *DECORATORS, *LISTENERS)
"""The families that are measured with the few entries only."""

_STRONG_TYPES: dict[str, type] = {"dict": dict, "set": set}


class Thing:
    """The default referent and key: a slotted class that compares by identity, in C."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int) -> None:
        self.number = number


class Named(Thing):
    """A key that compares by value, in Python."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(self.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and self.number == other.number


class Note:
    """A value that refers to its key."""

    __slots__ = ("about",)

    def __init__(self, about: object) -> None:
        self.about = about


# Fresh text and fresh integers: no two of them, and no two sides' keys, are one object.
_KEY_MAKERS: dict[str, Callable[[int], Any]] = {
    "object": Thing,
    "python": Named,
    "int": lambda number: int(str(1_000_000 + number)),
    "str": lambda number: f"key {number}",
}


def container(family: str, side: str) -> Any:
    """The class that `side` uses for `family`."""
    if side == "strong":
        return _STRONG_TYPES[STRONG[family]]
    if side == "weakly":
        return getattr(weakly, family)
    name = NEAREST.get(family, family)
    original = getattr(weakref, name)
    if original.__module__ not in ("weakref", "_weakrefset"):
        raise RuntimeError(f"weakref.{name} is not the standard library's: {original!r}")
    return original


def clean_up() -> None:
    """What a finalizer runs here: nothing."""


def clean_up_name(name: str) -> None:
    """What a finalizer with an argument runs: nothing."""


class Case:
    """What an operation's code may name; each thing is made when one first does.

    The names are the attributes below; `operations.py` uses them as local variables.
    """

    def __init__(self, family: str, side: str, kind: str, entries: int) -> None:
        self.family = family
        self.side = side
        self.make = container(family, side)
        if family == "WeakCache" and side == "weakly":
            self.make = partial(weakly.WeakCache, 2 * entries)  # none leaves
        self.n = entries
        self._make_key = _KEY_MAKERS[kind]
        self._of_values = family in ("WeakValueDictionary", "WeakCache")

    # --- the objects -----------------------------------------------------------------

    @cached_property
    def keys(self) -> list[Any]:
        return [self._make_key(number) for number in range(self.n)]

    @cached_property
    def equal(self) -> list[Any]:
        """Keys equal to `keys` and not the same objects."""
        return [self._make_key(number) for number in range(self.n)]

    @cached_property
    def absent(self) -> list[Any]:
        """Keys that are in no table."""
        return [self._make_key(number) for number in range(self.n, 2 * self.n)]

    @cached_property
    def values(self) -> list[Any]:
        return [Thing(number) for number in range(self.n)]

    @cached_property
    def others(self) -> list[Any]:
        """Other values, to overwrite with."""
        return [Thing(number) for number in range(self.n)]

    def fresh(self) -> list[Any]:
        """New referents that only the caller holds: keys, items or values of a table."""
        make = Thing if self._of_values else self._make_key
        return [make(number) for number in range(self.n)]

    # --- the tables ------------------------------------------------------------------

    @cached_property
    def table(self) -> Any:
        """A full table; an operation leaves it as it was."""
        return self.filled()

    @cached_property
    def half(self) -> Any:
        """A table of as many entries, half of them those of `table`."""
        middle = self.n // 2
        return self.make(itertools.chain(self.keys[middle:], self.absent[:middle]))

    @cached_property
    def strong_copy(self) -> Any:
        """What is in `table`, in a dict or a set."""
        plain = _STRONG_TYPES[STRONG[self.family]]
        return plain(self.table.items() if plain is dict else self.table)

    def filled(self, referents: Iterable[Any] | None = None) -> Any:
        """A new table of `referents`, by default of the objects above."""
        table = self.make()
        if STRONG[self.family] == "set":
            for item in self.keys if referents is None else referents:
                table.add(item)
        elif self._of_values:
            values = self.values if referents is None else referents
            for key, value in zip(self.keys, values, strict=True):
                table[key] = value
        else:
            for key in self.keys if referents is None else referents:
                table[key] = None
        return table

    def noted(self, referents: Iterable[Any]) -> Any:
        """A new table whose values refer to their keys."""
        table = self.make()
        for key in referents:
            table[key] = Note(key)
        return table

    def numbered(self, referents: Iterable[Any]) -> Any:
        """A new table whose values are numbers, all but one."""
        table = self.make()
        for number, key in enumerate(referents):
            table[key] = number
        table[key] = Note(key)
        return table

    def attached(self, referents: Iterable[Any]) -> list[Any]:
        """A new finalizer for each of `referents`."""
        return [self.make(referent, clean_up) for referent in referents]

    # --- what operations call --------------------------------------------------------

    @property
    def walk(self) -> Callable[[], int]:
        """The walk that finds dead ephemerons; for the others, what it is compared with: one
        garbage collection of the same objects."""
        return collect_ephemerons if self.side == "weakly" else gc.collect

    def use_for_a_moment(self) -> None:
        """Leaves in gc.callbacks what a table leaves there that is gone: weakly's, something."""
        gc.callbacks.clear()
        table, key = self.make(), self._make_key(0)
        table[key] = None

    clean_up = staticmethod(clean_up)
    clean_up_name = staticmethod(clean_up_name)
    collect = staticmethod(gc.collect)
    deque = deque
    freeze = staticmethod(gc.freeze)
    unfreeze = staticmethod(gc.unfreeze)


def traced_bytes() -> int:
    """The bytes now held, as tracemalloc counts them: the clock of the memory rows."""
    return tracemalloc.get_traced_memory()[0]
