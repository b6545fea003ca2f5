"""Ephemerons: the single pair, and the collection of entries that only keep themselves alive.

An ephemeron is a key and a value of which the value does not keep the key alive, however it
reaches it (Hayes, "Ephemerons: a new finalization mechanism", OOPSLA 1997). A whole table of
them is an `EphemeronDictionary` or a `WeakIdKeyDictionary`.

On the C core each full collection, explicit or automatic, begins with a walk from the values
of these tables, which drops the entries whose keys nothing else reaches. The Python tables
(`weakly.implementation == "python"`) cannot do that: there such entries stay, as in a
`WeakKeyDictionary`.

No entry goes too early. Some stay longer than they need, all because the walk cannot see who
holds what, and then takes it for held: an entry whose value reaches its key

- through an object that does not show the collector what it holds, or a tuple (before 3.14 a
  dict, too) that the collector no longer tracks because there is nothing to track in it;
- through a module, a function's globals, or, without the GIL, a class;
- through a generator or coroutine that holds the key twice (3.14 and later), or whose frame
  somebody else holds, be it by a traceback in itself;
- on early versions of 3.13 and 3.14, through an object whose `__dict__` somebody else holds.
"""

import gc
import time
from copy import deepcopy
from typing import Any, Generic, NamedTuple, Self, TypeVar

from ._implementation import WeakIdKeyTable, collect_ephemerons, collections, ephemeron_counts

__all__ = ["Ephemeron", "EphemeronStats", "collect", "ephemeron_stats"]

K = TypeVar("K")
V = TypeVar("V")


class Ephemeron(Generic[K, V]):
    """A key and a value: the key is not kept alive, not by the value either, and the value
    lives only while the key does.

    Raises TypeError for a key that cannot be weakly referenced. Keys need not be hashable.
    Each access is atomic under threads and takes constant time.
    """

    __slots__ = ("__weakref__", "_entry")

    def __init__(self, key: K, value: V) -> None:
        entry: WeakIdKeyTable[K, V] = WeakIdKeyTable()
        entry[key] = value
        self._entry = entry

    @property
    def key(self) -> K | None:
        """The key, or None once it is dead."""
        return next(iter(self._entry), None)

    @property
    def value(self) -> V | None:
        """The value, or None once the key is dead."""
        return next(self._entry.values(), None)

    def pair(self) -> tuple[K, V] | None:
        """Return the key and the value, or None once the key is dead."""
        return next(self._entry.items(), None)

    def __repr__(self) -> str:
        pair = self.pair()
        shown = "dead" if pair is None else f"key={pair[0]!r}, value=..."
        return f"<{type(self).__name__} at {id(self):#x}; {shown}>"

    def __copy__(self) -> Self:
        return self  # it never changes

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return an ephemeron of the same key and a copy of the value."""
        pair = self.pair()
        if pair is None:
            return self
        memo[id(self)] = new = type(self).__new__(type(self))
        new._entry = WeakIdKeyTable()
        new._entry[pair[0]] = deepcopy(pair[1], memo)
        return new

    def __reduce__(self) -> Any:
        raise TypeError(f"cannot pickle '{type(self).__name__}' object: its key would be lost")


class EphemeronStats(NamedTuple):
    """What the ephemeron tables of this interpreter are, and what their collection has cost."""

    tables: int
    """Tables (single ephemerons too) that exist and have ever had an entry."""
    entries: int
    """Entries in them."""
    walks: int
    """How often the values were walked, by full collections and by `collect()`."""
    objects: int
    """Objects met by all walks together."""
    dropped: int
    """Entries dropped by all walks together."""
    seconds: float
    """Time taken by all walks together."""
    overcounted: int
    """Objects met more often than their reference count allows, and therefore kept. Each is
    the error of some extension module."""


def ephemeron_stats() -> EphemeronStats:
    """Return what ephemeron tables there are and what their collection has cost so far.

    O(n) in the number of tables. On the Python tables all is zero.
    """
    return EphemeronStats(*ephemeron_counts())


def collect() -> int:
    """Collect all garbage and all dead entries of ephemeron tables; return how many were dropped.

    One `gc.collect()` can leave an entry to the next, because garbage that refers to its key
    is freed only after the entries were looked at. This repeats both until no entry goes any
    more, also while the automatic collector is disabled. The time is that of at least one full
    collection. While another thread collects, it waits for it; inside a collection (in a
    finalizer) it only drops entries. Entries that other threads' collections drop meanwhile
    are counted too, and while other threads remove entries it may repeat more often.
    """
    before = stats = ephemeron_stats()
    while True:
        started, inside = collections()
        gc.collect()
        runs = collections()[0] != started
        if not runs and not inside:  # another thread is collecting
            time.sleep(0.001)
            continue
        dropped = collect_ephemerons()
        entries, stats = stats.entries, ephemeron_stats()
        if not runs or not (dropped or stats.entries < entries):
            return stats.dropped - before.dropped
