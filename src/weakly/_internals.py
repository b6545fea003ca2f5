"""What programs reach for inside the standard library's weak containers.

There, each is a dict or a set of references, `data`, with private attributes for removals that
wait while somebody iterates. Here there is no such dict, and no removal ever waits: the views
and attributes of this file show the tables as if. Nothing else in weakly uses them.
"""

# Programs need not be typed: these look at what they are given.
# pyright: reportUnnecessaryIsInstance=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Callable, Iterable, Iterator, MutableMapping, MutableSet
from typing import Any, ClassVar, TypeVar
from weakref import ref

from ._implementation import KeyedRef, WeakSetTable

__all__ = ["KeyData", "SetData", "StdlibInternals", "ValueData"]

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

_ABSENT: Any = object()


def _strong_ref_type() -> type[Any]:
    """The type of what a lenient table has for an object that cannot be weakly referenced."""
    table: WeakSetTable[Any] = WeakSetTable()
    table._weakly_hold_strongly()  # pyright: ignore[reportPrivateUsage]  # ours
    table.add(None)
    return type(table._refs()[0])  # pyright: ignore[reportPrivateUsage]  # ours


_StrongRef = _strong_ref_type()


def _resolve(reference: Any) -> Any:
    """The object that a reference refers to; _ABSENT if it is dead."""
    referent = reference()
    return _ABSENT if referent is None and not isinstance(reference, _StrongRef) else referent


def _referent(wr: Any) -> Any:
    """The same, and _ABSENT for what is no reference."""
    return _resolve(wr) if isinstance(wr, ref | _StrongRef) else _ABSENT


class _NoIterations(set[Any]):
    """Takes the iteration guards of the standard library's containers and forgets them."""

    def add(self, guard: object) -> None:
        pass

    def remove(self, guard: object) -> None:
        pass


class StdlibInternals:
    """The private attributes of the standard library's containers."""

    __slots__ = ()

    _dirty_len = False
    _iterating: ClassVar[set[Any]] = _NoIterations()

    @property
    def _pending_removals(self) -> list[Any]:
        return []

    def _commit_removals(self) -> None:
        pass

    def _scrub_removals(self) -> None:
        pass

    @property
    def _remove(self) -> Callable[[ref[Any]], None]:
        """The callback that the standard library gives to its references.

        Entries here need no help to go, so all that is left to do is what the name says.
        """
        selfref = ref(self)

        def remove(wr: ref[Any], selfref: Callable[[], Any] = selfref) -> None:
            self = selfref()
            if self is not None:
                self._weakly_remove_reference(wr)

        return remove


# The views ask the owner's table, past whatever a subclass of the container overrides.


class _View:
    __slots__ = ("_owner", "_table")

    def __init__(self, owner: Any, table: Any) -> None:
        self._owner = owner
        self._table = table  # the owner's base with the elementary operations

    def __len__(self) -> int:
        return len(self._owner)

    def __repr__(self) -> str:
        return repr(self._owner)


class KeyData(_View, MutableMapping[ref[K], V]):
    """A dictionary with weak keys, seen as one from references to values."""

    __slots__ = ()

    def __iter__(self) -> Iterator[ref[K]]:
        return iter(self._table.keyrefs(self._owner))

    def __getitem__(self, wr: ref[K]) -> V:
        key = _referent(wr)
        value: V = _ABSENT if key is _ABSENT else self._table.get(self._owner, key, _ABSENT)
        if value is _ABSENT:
            raise KeyError(wr)
        return value

    def __setitem__(self, wr: ref[K], value: V) -> None:
        key = _resolve(wr)
        if key is not _ABSENT:  # an entry for a dead key would go at once
            self._table.__setitem__(self._owner, key, value)

    def __delitem__(self, wr: ref[K]) -> None:
        key = _referent(wr)
        if key is _ABSENT or self._table.pop(self._owner, key, _ABSENT) is _ABSENT:
            raise KeyError(wr)


class ValueData(_View, MutableMapping[K, KeyedRef[K, V]]):
    """A dictionary with weak values, seen as one from keys to references."""

    __slots__ = ()

    def __iter__(self) -> Iterator[K]:
        keys: Iterator[K] = self._table.__iter__(self._owner)
        return keys

    def __getitem__(self, key: K) -> KeyedRef[K, V]:
        reference: KeyedRef[K, V] = self._table._getref(self._owner, key)
        return reference

    def __setitem__(self, key: K, wr: ref[V]) -> None:
        value = _resolve(wr)
        if value is not _ABSENT:  # an entry for a dead value would go at once
            self._table.__setitem__(self._owner, key, value)

    def __delitem__(self, key: K) -> None:
        self._table.__delitem__(self._owner, key)


class SetData(_View, MutableSet[ref[T]]):
    """A weak set, seen as the set of its references."""

    __slots__ = ()

    def __iter__(self) -> Iterator[ref[T]]:
        return iter(self._table._refs(self._owner))

    def __contains__(self, wr: object) -> bool:
        member = _referent(wr)
        return member is not _ABSENT and self._table.__contains__(self._owner, member)

    def add(self, wr: ref[T]) -> None:
        member = _resolve(wr)
        if member is not _ABSENT:  # a dead member would go at once
            self._table.add(self._owner, member)

    def discard(self, wr: ref[T]) -> None:
        member = _referent(wr)
        if member is not _ABSENT:
            self._table.discard(self._owner, member)

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> Any:
        return set(it)  # `data | other` is a set of references, nobody's view
