"""The public containers: thin classes over the tables.

A table (`_implementation`) has the elementary operations: look up, insert, remove, iterate.
Everything that can be said in terms of these is written here, once, for the C core and
the Python tables alike.

All three keep insertion order and count only what lives. Iterating one never raises and
never copies it first, whatever dies or changes meanwhile: an iterator visits the entries
that were there when it was made and still live when it comes to them. Every single
operation on a table is atomic under threads; the operations made of several (`update`,
the set operators, comparisons) are not.
"""

# Programs need not be typed: operators and the like look at what they are given, and what
# they find by isinstance() or type() has no known parameters.
# pyright: reportUnnecessaryIsInstance=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSet, Set
from copy import deepcopy
from itertools import chain
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, TypeVar, overload
from weakref import ref

from ._implementation import KeyedRef, WeakKeyTable, WeakSetTable, WeakValueTable, own_methods

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem

__all__ = ["WeakKeyDictionary", "WeakSet", "WeakValueDictionary"]

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
# What an argument brings in.
K2 = TypeVar("K2")
V2 = TypeVar("V2")
T2 = TypeVar("T2")

# What a dictionary can be filled from.
_Source: TypeAlias = "SupportsKeysAndGetItem[K, V] | Iterable[tuple[K, V]]"

_ABSENT: Any = object()


class _NoIterations(set[Any]):
    """Takes the iteration guards of the standard library's containers and forgets them."""

    def add(self, guard: object) -> None:
        pass

    def remove(self, guard: object) -> None:
        pass


class _StdlibInternals:
    """Private attributes of the standard library's containers which programs reach for.

    There, removals wait while somebody iterates; here, none ever does.
    """

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
                self._remove_reference(wr)

        return remove


class _WeakMapping(_StdlibInternals, MutableMapping[K, V]):
    """What the weak dictionaries share; their table comes before it among the bases."""

    __slots__ = ()

    _plain: ClassVar[Any]  # the dictionary itself, whatever the subclass
    _extend: Callable[[list[Any], list[Any]], None]
    _merge: Callable[[Any], None]

    @classmethod
    def fromkeys(cls, iterable: Iterable[Any], value: Any = None, /) -> Any:
        """Return a new dictionary with the keys of `iterable`, all with the same value."""
        self = cls()
        for key in iterable:
            self[key] = value
        return self

    def update(self, other: _Source[K, V] | None = None, /, **kwargs: V) -> None:
        """Take over the entries of a mapping or of an iterable of pairs, then the keywords.

        Raises TypeError, and changes nothing, if one of the keys or values is of a type
        that this dictionary cannot hold. O(n).
        """
        if kwargs:
            if isinstance(self, WeakKeyTable):
                raise TypeError(
                    "Keyword arguments are not supported: "
                    "cannot create weak reference to 'str' object"
                )
        else:
            if other is None:
                return
            if getattr(type(other), "items", None) is self._plain.items:
                self._merge(other)
                return
        source: Any = {} if other is None else other if hasattr(other, "items") else dict(other)
        if type(source) is dict:
            pairs = source | kwargs if kwargs else source.copy()
            self._extend(list(pairs), list(pairs.values()))
        else:
            items = [*source.items(), *kwargs.items()]
            self._extend([key for key, _ in items], [value for _, value in items])

    def __or__(self, other: Mapping[K, V], /) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        new = self.copy()
        new.update(other)
        return new

    def __ror__(self, other: Mapping[K, V], /) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        new = self.__class__()
        new.update(other)
        new.update(self)
        return new

    def __ior__(self, other: _Source[K, V], /) -> Self:
        self.update(other)
        return self

    def copy(self) -> Any:
        """Return a new dictionary, of no subclass, with the same live entries. O(n)."""
        new = self._plain()
        new.update(self)
        return new

    def __copy__(self) -> Any:
        return self.copy()

    @recursive_repr()
    def __repr__(self) -> str:
        entries = ", ".join(f"{key!r}: {value!r}" for key, value in self.items())
        return f"<{type(self).__name__} at {id(self):#x}: {{{entries}}}>"


@own_methods
class WeakKeyDictionary(WeakKeyTable[K, V], _WeakMapping[K, V]):  # pyright: ignore[reportIncompatibleMethodOverride]  # no views
    """A dictionary that does not keep its keys alive: an entry goes when its key dies.

    Keys are compared by equality, an identical one without calling `__eq__`. A value that
    refers to its own key keeps it alive, as in the standard library.

    `dict` is a mapping or an iterable of pairs to start from. Raises TypeError for a key
    that cannot be weakly referenced or is not hashable.
    """

    def __init__(self, dict: _Source[K, V] | None = None) -> None:
        if len(self):
            self.clear()
        if dict is not None:
            self.update(dict)

    if TYPE_CHECKING:  # what those of the base give here

        @classmethod
        def fromkeys(
            cls,
            iterable: Iterable[K2],
            value: V2 = ...,  # pyright: ignore[reportInvalidTypeVarUse]  # the context tells
            /,
        ) -> WeakKeyDictionary[K2, V2]: ...
        def copy(self) -> WeakKeyDictionary[K, V]: ...
        def __or__(self, other: Mapping[K2, V2], /) -> WeakKeyDictionary[K | K2, V | V2]: ...
        def __ror__(self, other: Mapping[K2, V2], /) -> WeakKeyDictionary[K | K2, V | V2]: ...

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a dictionary with the same keys and copies of the values."""
        memo[id(self)] = new = self.__class__()
        for key, value in self.items():
            new[key] = deepcopy(value, memo)
        return new

    @property
    def data(self) -> _KeyData[K, V]:
        """The entries by reference to their key, as the standard library keeps them: live."""
        return _KeyData(self)

    def _remove_reference(self, wr: ref[K]) -> None:
        self.data.pop(wr, None)


WeakKeyDictionary._plain = WeakKeyDictionary  # pyright: ignore[reportPrivateUsage]  # ours


@own_methods
class WeakValueDictionary(WeakValueTable[K, V], _WeakMapping[K, V]):  # pyright: ignore[reportIncompatibleMethodOverride]  # no views
    """A dictionary that does not keep its values alive: an entry goes when its value dies.

    `other` is a mapping or an iterable of pairs to start from. Raises TypeError for a
    value that cannot be weakly referenced or a key that is not hashable.
    """

    @overload
    def __init__(self, other: _Source[K, V] = (), /) -> None: ...
    @overload
    def __init__(
        self: WeakValueDictionary[str, V2], other: _Source[str, V2] = (), /, **kw: V2
    ) -> None: ...
    def __init__(self, other: Any = (), /, **kw: Any) -> None:
        if len(self):
            self.clear()
        self.update(other, **kw)

    if TYPE_CHECKING:  # what those of the base give here

        @classmethod
        def fromkeys(
            cls,
            iterable: Iterable[K2],
            value: V2 = ...,  # pyright: ignore[reportInvalidTypeVarUse]  # the context tells
            /,
        ) -> WeakValueDictionary[K2, V2]: ...
        def copy(self) -> WeakValueDictionary[K, V]: ...
        def __or__(self, other: Mapping[K2, V2], /) -> WeakValueDictionary[K | K2, V | V2]: ...
        def __ror__(self, other: Mapping[K2, V2], /) -> WeakValueDictionary[K | K2, V | V2]: ...

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a dictionary with copies of the keys and the same values."""
        new: Self = self.__class__()
        memo[id(self)] = new
        for key, value in self.items():
            new[deepcopy(key, memo)] = value
        return new

    @property
    def data(self) -> _ValueData[K, V]:
        """The references to the values by key, as the standard library keeps them: live."""
        return _ValueData(self)

    def _remove_reference(self, wr: KeyedRef[K, V]) -> None:
        self.get(wr.key)  # an entry found dead is removed; one that lives is not for us


WeakValueDictionary._plain = WeakValueDictionary  # pyright: ignore[reportPrivateUsage]  # ours


@own_methods
class WeakSet(WeakSetTable[T], _StdlibInternals):
    """A set that does not keep its members alive: a member goes when it dies.

    Members are compared by equality, an identical one without calling `__eq__`. Whatever
    takes another set takes any iterable. Raises TypeError for a member that cannot be
    weakly referenced or is not hashable.
    """

    def __init__(self, data: Iterable[T] | None = None) -> None:
        if len(self):
            self.clear()
        if data is not None:
            self.update(data)

    def copy(self) -> Self:
        """Return a new set of this type with the same live members. O(n)."""
        return self.__class__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.__class__, (list(self),), self.__getstate__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a set with the same members, and copies of the attributes."""
        memo[id(self)] = new = self.copy()
        state: Any = deepcopy(self.__getstate__(), memo)
        for attributes in state if isinstance(state, tuple) else (state,):
            for name, value in (attributes or {}).items():
                setattr(new, name, value)
        return new

    @recursive_repr()
    def __repr__(self) -> str:
        members = ", ".join(map(repr, self))
        return f"{type(self).__name__}({{{members}}})" if members else f"{type(self).__name__}()"

    # Adding and removing many. Others are read whole before anything changes, so a member
    # of a wrong type changes nothing.

    def update(self, *others: Iterable[T]) -> None:
        """Add the members of all others. O(n)."""
        if type(self).add is not WeakSet.add:  # a subclass wants to hear of each
            for member in chain.from_iterable(others):
                self.add(member)
        elif len(others) != 1:
            self._extend(list(chain.from_iterable(others)))
        elif getattr(type(others[0]), "__iter__", None) is WeakSet.__iter__:
            self._merge(others[0])  # type: ignore[arg-type]  # has our table's iteration
        else:
            self._extend(list(others[0]))

    def __ior__(self, other: Iterable[T]) -> Self:  # type: ignore[override, misc]  # cannot widen
        self.update(other)
        return self

    def difference_update(self, *others: Iterable[Any]) -> None:
        """Remove the members of all others. O(n) in their sizes."""
        for member in list(chain.from_iterable(others)):
            self.discard(member)

    def __isub__(self, other: Iterable[Any]) -> Self:
        self.difference_update(other)
        return self

    def intersection_update(self, *others: Iterable[Any]) -> None:
        """Keep only the members that all others have too. O(n)."""
        for kept in [_members(other) for other in others]:
            for member in self:
                if member not in kept:
                    self.discard(member)

    def __iand__(self, other: Iterable[Any]) -> Self:
        self.intersection_update(other)
        return self

    def symmetric_difference_update(self, other: Iterable[T]) -> None:
        """Remove the members that both have and add those that only the other has. O(n)."""
        for member in list(_members(other)):
            if member in self:
                self.discard(member)
            else:
                self.add(member)

    def __ixor__(self, other: Iterable[T]) -> Self:  # type: ignore[override, misc]  # cannot widen
        self.symmetric_difference_update(other)
        return self

    # New sets

    def union(self, *others: Iterable[T2]) -> WeakSet[T | T2]:
        """Return a new set with the members of this one and of all others. O(n)."""
        new: WeakSet[T | T2] = self.copy()  # type: ignore[assignment]  # widened next
        new.update(*others)
        return new

    def difference(self, *others: Iterable[Any]) -> Self:
        """Return a new set with the members that none of the others has. O(n)."""
        new = self.copy()
        new.difference_update(*others)
        return new

    def intersection(self, *others: Iterable[Any]) -> Self:
        """Return a new set with the members that all others have too. O(n).

        Of two equal objects it holds the other's, like the standard library.
        """
        new = self
        for other in others:
            new = self.__class__(list(filter(new.__contains__, other)))
        return new if others else self.copy()

    def symmetric_difference(self, other: Iterable[T2]) -> WeakSet[T | T2]:
        """Return a new set with the members that exactly one of the two has. O(n)."""
        new: WeakSet[T | T2] = self.copy()  # type: ignore[assignment]  # widened next
        new.symmetric_difference_update(other)
        return new

    def __or__(self, other: Iterable[T2]) -> WeakSet[T | T2]:
        return self.union(other)

    def __sub__(self, other: Iterable[Any]) -> Self:
        return self.difference(other)

    def __and__(self, other: Iterable[Any]) -> Self:
        return self.intersection(other)

    def __xor__(self, other: Iterable[T2]) -> WeakSet[T | T2]:
        return self.symmetric_difference(other)

    def __ror__(self, other: Set[T]) -> Self:
        if not isinstance(other, Set):
            return NotImplemented
        return self.__class__(chain(other, self))

    def __rsub__(self, other: Set[T]) -> Self:
        if not isinstance(other, Set):
            return NotImplemented
        return self.__class__([member for member in other if member not in self])

    def __rand__(self, other: Set[T]) -> Self:
        return self.intersection(other) if isinstance(other, Set) else NotImplemented

    def __rxor__(self, other: Set[T]) -> WeakSet[T]:
        return self.symmetric_difference(other) if isinstance(other, Set) else NotImplemented

    # Comparing

    def isdisjoint(self, other: Iterable[Any]) -> bool:
        """Tell whether the two have no member in common. O(n) in the other's size."""
        return not any(map(self.__contains__, other))

    def issubset(self, other: Iterable[Any]) -> bool:
        """Tell whether the other has every member of this one. O(n)."""
        members = _members(other)
        return len(self) <= len(members) and all(map(members.__contains__, self))

    def issuperset(self, other: Iterable[Any]) -> bool:
        """Tell whether this one has every member of the other. O(n)."""
        return all(map(self.__contains__, _members(other)))

    def __le__(self, other: Iterable[Any]) -> bool:
        return self.issubset(other)

    def __lt__(self, other: Iterable[Any]) -> bool:
        members = _members(other)
        return len(self) < len(members) and all(map(members.__contains__, self))

    def __ge__(self, other: Iterable[Any]) -> bool:
        return self.issuperset(other)

    def __gt__(self, other: Iterable[Any]) -> bool:
        members = _members(other)
        return len(members) < len(self) and all(map(self.__contains__, members))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, self.__class__):
            return NotImplemented
        return len(self) == len(other) and self.issubset(other)

    __hash__: ClassVar[None]  # type: ignore[assignment]  # mutable, like set

    @property
    def data(self) -> _SetData[T]:
        """The references to the members, as the standard library keeps them: live."""
        return _SetData(self)

    def _remove_reference(self, wr: ref[T]) -> None:
        self.data.discard(wr)


MutableSet.register(WeakSet)  # pyright: ignore[reportAttributeAccessIssue]  # a protocol to it


def _members(other: Iterable[Any]) -> WeakSet[Any] | set[Any]:
    """The members of another set, which are held while they are compared.

    Raises TypeError if one is of a type that no weak set can hold.
    """
    if isinstance(other, WeakSet):
        return other
    members = set(other)
    for example in {type(member): member for member in members}.values():
        ref(example)
    return members


# The `data` attribute


def _referent(wr: Any) -> Any:
    """The live object that `wr` refers to, or None for whatever is no live reference."""
    return wr() if isinstance(wr, ref) else None


class _KeyData(MutableMapping[ref[K], V]):
    """A WeakKeyDictionary seen as the dict from references to values that the stdlib has."""

    __slots__ = ("_owner",)

    def __init__(self, owner: WeakKeyDictionary[K, V]) -> None:
        self._owner = owner

    def __len__(self) -> int:
        return len(self._owner)

    def __iter__(self) -> Iterator[ref[K]]:
        return iter(self._owner.keyrefs())

    def __getitem__(self, wr: ref[K]) -> V:
        key = _referent(wr)
        value: V = _ABSENT if key is None else WeakKeyTable.get(self._owner, key, _ABSENT)
        if value is _ABSENT:
            raise KeyError(wr)
        return value

    def __setitem__(self, wr: ref[K], value: V) -> None:
        key = wr()
        if key is not None:  # an entry for a dead key would go at once
            WeakKeyTable.__setitem__(self._owner, key, value)

    def __delitem__(self, wr: ref[K]) -> None:
        key = _referent(wr)
        if key is None or WeakKeyTable.pop(self._owner, key, _ABSENT) is _ABSENT:
            raise KeyError(wr)

    def __repr__(self) -> str:
        return repr(self._owner)


class _ValueData(MutableMapping[K, KeyedRef[K, V]]):
    """A WeakValueDictionary seen as the dict from keys to references that the stdlib has."""

    __slots__ = ("_owner",)

    def __init__(self, owner: WeakValueDictionary[K, V]) -> None:
        self._owner = owner

    def __len__(self) -> int:
        return len(self._owner)

    def __iter__(self) -> Iterator[K]:
        return WeakValueTable.__iter__(self._owner)

    def __getitem__(self, key: K) -> KeyedRef[K, V]:
        return self._owner._getref(key)  # pyright: ignore[reportPrivateUsage]  # ours

    def __setitem__(self, key: K, wr: ref[V]) -> None:
        value = wr()
        if value is not None:  # an entry for a dead value would go at once
            WeakValueTable.__setitem__(self._owner, key, value)

    def __delitem__(self, key: K) -> None:
        WeakValueTable.__delitem__(self._owner, key)

    def __repr__(self) -> str:
        return repr(self._owner)


class _SetData(MutableSet[ref[T]]):
    """A WeakSet seen as the set of references that the stdlib has."""

    __slots__ = ("_owner",)

    def __init__(self, owner: WeakSet[T]) -> None:
        self._owner = owner

    def __len__(self) -> int:
        return len(self._owner)

    def __iter__(self) -> Iterator[ref[T]]:
        return iter(self._owner._refs())  # pyright: ignore[reportPrivateUsage]  # ours

    def __contains__(self, wr: object) -> bool:
        member = _referent(wr)
        return member is not None and WeakSetTable.__contains__(self._owner, member)

    def add(self, wr: ref[T]) -> None:
        member = wr()
        if member is not None:  # a dead member would go at once
            WeakSetTable.add(self._owner, member)

    def discard(self, wr: ref[T]) -> None:
        member = _referent(wr)
        if member is not None:
            WeakSetTable.discard(self._owner, member)

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> Any:
        return set(it)  # `data | other` is a set of references, nobody's view

    def __repr__(self) -> str:
        return repr(self._owner)
