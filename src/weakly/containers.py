"""The public containers: thin classes over the tables.

A table (`_implementation`) has the elementary operations: look up, insert, remove, iterate.
Everything that can be said in terms of these is written here, once, for all containers and for
the C core and the Python tables alike. What is one container's own is in its class at the end.

All keep insertion order and count only what lives. Iterating one never raises and never copies
it first, whatever dies or changes meanwhile: an iterator visits the entries that were there
when it was made and still live when it comes to them. Looking up, storing and removing take
constant time on average. Every single operation on a table is atomic under threads; the
operations made of several (`update`, the set operators, comparisons) are not.

Two rules for all:

- What cannot be weakly referenced (`int`, `str`, `tuple`, `list`, `None`, ...) is refused with
  a TypeError where a container would refer to it weakly. One made by the classmethod
  `lenient()`, with the arguments of the constructor, holds such objects strongly instead;
  `strong_count()` tells how many, and so does the `repr`. Its copies and what its operators
  return are lenient too.
- A pickle holds the live entries. The container that comes out of it holds those whose
  weakly held objects something else keeps alive when loading is over, for example the rest of
  the same pickle. The others are gone: there never is a silent strong copy. As in a `dict`, a
  key whose `__hash__` needs its attributes cannot be in a cycle that is loaded before it has
  them; in a container that compares by identity it can.
"""

# Programs need not be typed: operators and the like look at what they are given, and what
# they find by isinstance() or type() has no known parameters.
# pyright: reportUnnecessaryIsInstance=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSet, Set
from copy import deepcopy
from copyreg import (  # type: ignore[attr-defined]  # what pickles name, missing from the stubs
    __newobj__,  # pyright: ignore
    __newobj_ex__,  # pyright: ignore
)
from itertools import chain, repeat
from operator import getitem, is_, itemgetter
from reprlib import recursive_repr
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Self,
    TypeAlias,
    TypeVar,
    cast,
    overload,
)
from weakref import ref

from ._attributes import set_attributes
from ._flights import ABSENT, Flight, KeyPlace
from ._implementation import (
    EphemeronTable,
    KeyedRef,
    WeakIdKeyTable,
    WeakIdSetTable,
    WeakKeyTable,
    WeakKeyValueTable,
    WeakSetTable,
    WeakValueTable,
    own_methods,
)
from ._internals import KeyData, SetData, StdlibInternals, ValueData

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem

__all__ = [
    "EphemeronDictionary",
    "WeakDefaultDictionary",
    "WeakIdKeyDictionary",
    "WeakIdSet",
    "WeakKeyDictionary",
    "WeakKeyValueDictionary",
    "WeakSet",
    "WeakValueDictionary",
]

C = TypeVar("C")
K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
# What an argument brings in.
K2 = TypeVar("K2")
V2 = TypeVar("V2")
T2 = TypeVar("T2")

# What a dictionary can be filled from.
_Source: TypeAlias = "SupportsKeysAndGetItem[K, V] | Iterable[tuple[K, V]]"


def _container(cls: type[C]) -> type[C]:
    """Makes a class one of the public containers."""
    cast(Any, cls)._weakly_plain = cls
    return own_methods(cls)


class _Container:
    """What all containers share; their table comes before it among the bases.

    Subclasses of users have attributes and methods of their own: names of ours that they should
    not meet begin with `_weakly`, and what the table has is called as a function of its class.
    """

    __slots__ = ()

    _weakly_plain: ClassVar[Any]  # the container itself, whatever the subclass
    _weakly_table: ClassVar[Any]  # its table
    _weakly_by_identity: ClassVar[bool] = False  # how keys or members compare
    _weakly_iteration: ClassVar[str]  # the method that shows all the entries

    if TYPE_CHECKING:  # the table's

        @property
        def _weakly_lenient(self) -> bool: ...
        def _weakly_hold_strongly(self) -> None: ...
        def strong_count(self) -> int: ...

    @classmethod
    def lenient(cls, /, *args: Any, **kwargs: Any) -> Any:
        """Return a new container that holds strongly what cannot be weakly referenced.

        Takes the arguments of the constructor. All else is as in a container made by it, but
        that `keyrefs()`, `valuerefs()` and `data` then have, for what is held strongly, objects
        that are no weak references: calling one gives what it holds. `fromkeys()` never makes a
        lenient dictionary.
        """
        self = cls.__new__(cls, *args, **kwargs)
        self._weakly_hold_strongly()
        self.__init__(*args, **kwargs)  # type: ignore[misc]  # as the class itself does
        return self

    def _weakly_made(self, cls: Any, *args: Any) -> Any:
        """A new container as lenient as this one."""
        return cls.lenient(*args) if self._weakly_lenient else cls(*args)

    def _weakly_can_merge(self, other: Any) -> bool:
        """Whether all of the other can be had from its table, and can be in ours."""
        cls: Any = type(other)
        return (
            isinstance(other, self._weakly_table)
            and getattr(cls, self._weakly_iteration)
            is getattr(cls._weakly_plain, self._weakly_iteration)
            and (self._weakly_lenient or not other._weakly_lenient)
        )

    def _weakly_content(self) -> tuple[list[Any], ...]:
        """What the table's `_extend` takes to put all the live entries into another."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        make: Any = __newobj_ex__ if hasattr(self, "__getnewargs_ex__") else __newobj__
        name = "__getnewargs_ex__" if make is __newobj_ex__ else "__getnewargs__"
        arguments: tuple[Any, ...] = getattr(self, name, tuple)()
        # The content is not among the arguments: an entry may refer to the container.
        state = (self._weakly_lenient, self._weakly_content(), self.__getstate__())
        return make, (type(self), *arguments), state, None, None, _restore

    def _weakly_strong_note(self) -> str:
        """For the `repr`."""
        count = self.strong_count() if self._weakly_lenient else 0
        return f" ({count} held strongly)" if count else ""


def _restore(container: Any, state: tuple[bool, tuple[list[Any], ...], Any]) -> None:
    """Fills a container that comes out of a pickle. Pickles name this function."""
    lenient, content, attributes = state
    if lenient:
        container._weakly_hold_strongly()
    set_attributes(container, attributes)
    container._weakly_table._extend(container, *content)


def _pairs(source: Any) -> Iterable[Any]:
    """The pairs of whatever a dictionary can be filled from."""
    if source is None:
        return ()
    if hasattr(source, "items"):
        items: Iterable[Any] = source.items()
        return items
    if hasattr(source, "keys"):
        keys = list(source.keys())
        return zip(keys, map(getitem, repeat(source), keys), strict=False)
    return cast(Iterable[Any], source)


class _WeakMapping(_Container, MutableMapping[K, V]):
    """What the dictionaries share."""

    __slots__ = ()

    _weakly_iteration = "items"
    _weakly_weak_keys: ClassVar[bool] = True
    _weakly_weak_values: ClassVar[bool] = False

    @classmethod
    def fromkeys(cls, iterable: Iterable[Any], value: Any = None, /) -> Any:
        """Return a new dictionary with the keys of `iterable`, all with the same value. O(n)."""
        self = cls()
        for key in iterable:
            self[key] = value
        return self

    def get_or_create(self, key: K, factory: Callable[[], V]) -> V:
        """Return the value for a key; if there is none, store and return `factory()`.

        Of many threads that ask for the same key, one calls its factory; the others wait and
        get the same value, also if the dictionary does not keep it alive. No lock is held
        meanwhile. A value that somebody else stores meanwhile wins. An exception of the factory
        goes to the caller and leaves nothing behind; one of those that wait then calls its own.

        Raises RuntimeError if the factory asks for the same key, and if threads would wait for
        each other's keys for ever; TypeError as storing does. O(1) if the key is there.
        """
        value: V = self.get(key, ABSENT)
        if value is not ABSENT:
            return value
        flight = Flight(KeyPlace(self, key, self._weakly_by_identity))
        try:
            value = flight.begin()
            if value is ABSENT:
                value = flight.store(factory())
            return value
        finally:
            flight.end()

    def update(self, other: _Source[K, V] | None = None, /, **kwargs: V) -> None:
        """Take over the entries of a mapping or of an iterable of pairs, then the keywords.

        Raises TypeError, and changes nothing, if one of the keys or values is of a type
        that this dictionary cannot hold. O(n).
        """
        if not kwargs and self._weakly_can_merge(other):
            self._weakly_table._merge(self, other)
        elif type(other) is dict:
            pairs: dict[Any, Any] = {**other, **kwargs} if kwargs else other.copy()
            self._weakly_table._extend(self, list(pairs), list(pairs.values()))
        else:
            items = [(key, value) for key, value in chain(_pairs(other), kwargs.items())]
            self._weakly_table._extend(
                self, [key for key, _ in items], [value for _, value in items]
            )

    def __or__(self, other: Mapping[Any, Any], /) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        new = self.copy()
        new.update(other)
        return new

    def __ror__(self, other: Mapping[Any, Any], /) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        new = self._weakly_empty(self.__class__)
        new.update(other)
        new.update(self)
        return new

    def __ior__(self, other: _Source[K, V], /) -> Self:  # type: ignore[misc]  # takes more
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        if not self._weakly_by_identity and not getattr(other, "_weakly_by_identity", False):
            return super().__eq__(other)
        finder, sought = (self, other) if self._weakly_by_identity else (other, self)
        items = list(sought.items())
        keys, values = map(itemgetter(0), items), list(map(itemgetter(1), items))
        try:
            found = list(map(finder.get, keys, repeat(ABSENT)))
        except TypeError:  # a key that cannot be there
            return False
        missing = len(finder) != len(values) or any(map(is_, found, repeat(ABSENT)))
        return not missing and found == values

    __hash__: ClassVar[None]  # type: ignore[assignment]  # mutable, like dict

    def copy(self) -> Any:
        """Return a new dictionary, of no subclass, with the same live entries. O(n)."""
        new = self._weakly_empty(self._weakly_plain)
        new.update(self)
        return new

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a dictionary with copies of what this one holds strongly and the same of what
        it refers to weakly."""
        new: Self = self._weakly_empty(self.__class__)
        memo[id(self)] = new
        for key, value in self.items():
            if not self._weakly_weak_keys:
                key = deepcopy(key, memo)
            if not self._weakly_weak_values:
                value = deepcopy(value, memo)
            new[key] = value
        return new

    def _weakly_empty(self, cls: Any) -> Any:
        """A new dictionary to put our entries into."""
        return self._weakly_made(cls)

    def _weakly_content(self) -> tuple[list[Any], ...]:
        items = list(self.items())
        return [key for key, _ in items], [value for _, value in items]

    @recursive_repr()
    def __repr__(self) -> str:
        entries = ", ".join(f"{key!r}: {value!r}" for key, value in self.items())
        shown = f"{self._weakly_repr_prefix()}{{{entries}}}{self._weakly_strong_note()}"
        return f"<{type(self).__name__} at {id(self):#x}: {shown}>"

    def _weakly_repr_prefix(self) -> str:
        return ""


class _KeyMapping(StdlibInternals, _WeakMapping[K, V]):
    """What the dictionaries share that refer to their keys weakly and hold their values."""

    __slots__ = ()

    def _weakly_begin_with(self, content: _Source[K, V] | None) -> None:
        if len(self):
            self.clear()
        if content is not None:
            self.update(content)

    @property
    def data(self) -> KeyData[K, V]:
        """The entries by reference to their key, as the standard library keeps them: live."""
        return KeyData(self, self._weakly_table)

    def _weakly_remove_reference(self, wr: ref[K]) -> None:
        self.data.pop(wr, None)


if TYPE_CHECKING:  # in truth the sets are only registered as such, and inherit nothing of it

    class _SetBase(MutableSet[T]): ...
else:
    _SetBase = Generic


class _WeakMembers(StdlibInternals, _Container, _SetBase[T]):
    """What the sets share."""

    __slots__ = ()

    _weakly_iteration = "__iter__"

    def _weakly_begin_with(self, members: Iterable[T] | None) -> None:
        if len(self):
            self.clear()
        if members is not None:
            self.update(members)

    def copy(self) -> Self:
        """Return a new set of this type with the same live members. O(n)."""
        new: Self = self._weakly_made(self.__class__, self)
        return new

    def __copy__(self) -> Self:
        """Return a set with the same members and attributes."""
        new = self.copy()
        set_attributes(new, self.__getstate__())
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a set with the same members, and copies of the attributes."""
        memo[id(self)] = new = self.copy()
        set_attributes(new, deepcopy(self.__getstate__(), memo))
        return new

    def _weakly_content(self) -> tuple[list[Any], ...]:
        return (list(self),)

    @recursive_repr()
    def __repr__(self) -> str:
        members = ", ".join(map(repr, self))
        shown = f"{{{members}}}{self._weakly_strong_note()}" if members else ""
        return f"{type(self).__name__}({shown})"

    # Adding and removing many. Others are read whole before anything changes, so a member
    # of a wrong type changes nothing.

    def update(self, *others: Iterable[T]) -> None:
        """Add the members of all others. O(n)."""
        if type(self).add is not self._weakly_plain.add:  # a subclass wants to hear of each
            for member in chain.from_iterable(others):
                self.add(member)
        elif len(others) == 1 and self._weakly_can_merge(others[0]):
            self._weakly_table._merge(self, others[0])
        else:
            self._weakly_table._extend(self, list(chain.from_iterable(others)))

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
        for kept in [self._weakly_members(other) for other in others]:
            for member in self:
                if member not in kept:
                    self.discard(member)

    def __iand__(self, other: Iterable[Any]) -> Self:
        self.intersection_update(other)
        return self

    def symmetric_difference_update(self, other: Iterable[T]) -> None:
        """Remove the members that both have and add those that only the other has. O(n)."""
        for member in list(self._weakly_members(other)):
            if member in self:
                self.discard(member)
            else:
                self.add(member)

    def __ixor__(self, other: Iterable[T]) -> Self:  # type: ignore[override, misc]  # cannot widen
        self.symmetric_difference_update(other)
        return self

    # New sets

    def union(self, *others: Iterable[Any]) -> Any:
        """Return a new set with the members of this one and of all others. O(n)."""
        new = self.copy()
        new.update(*others)
        return new

    def difference(self, *others: Iterable[Any]) -> Self:
        """Return a new set with the members that none of the others has. O(n)."""
        new = self.copy()
        new.difference_update(*others)
        return new

    def intersection(self, *others: Iterable[Any]) -> Self:
        """Return a new set with the members that all others have too. O(n).

        Of two that are equal, not the same, it holds the other's, like the standard library.
        """
        new = self
        for other in others:
            new = self._weakly_made(self.__class__, list(filter(new.__contains__, other)))
        return new if others else self.copy()

    def symmetric_difference(self, other: Iterable[Any]) -> Any:
        """Return a new set with the members that exactly one of the two has. O(n)."""
        new = self.copy()
        new.symmetric_difference_update(other)
        return new

    def __or__(self, other: Iterable[Any]) -> Any:
        return self.union(other)

    def __sub__(self, other: Iterable[Any]) -> Self:
        return self.difference(other)

    def __and__(self, other: Iterable[Any]) -> Self:
        return self.intersection(other)

    def __xor__(self, other: Iterable[Any]) -> Any:
        return self.symmetric_difference(other)

    def __ror__(self, other: Set[T]) -> Self:
        if not isinstance(other, Set):
            return NotImplemented
        new: Self = self._weakly_made(self.__class__, chain(other, self))
        return new

    def __rsub__(self, other: Set[T]) -> Self:
        if not isinstance(other, Set):
            return NotImplemented
        new: Self = self._weakly_made(self.__class__, [each for each in other if each not in self])
        return new

    def __rand__(self, other: Set[T]) -> Self:
        return self.intersection(other) if isinstance(other, Set) else NotImplemented

    def __rxor__(self, other: Set[Any]) -> Any:
        return self.symmetric_difference(other) if isinstance(other, Set) else NotImplemented

    # Comparing

    def isdisjoint(self, other: Iterable[Any]) -> bool:
        """Tell whether the two have no member in common. O(n) in the other's size."""
        return not any(map(self.__contains__, other))

    def issubset(self, other: Iterable[Any]) -> bool:
        """Tell whether the other has every member of this one. O(n)."""
        members = self._weakly_members(other)
        return len(self) <= len(members) and all(map(members.__contains__, self))

    def issuperset(self, other: Iterable[Any]) -> bool:
        """Tell whether this one has every member of the other. O(n)."""
        return all(map(self.__contains__, self._weakly_members(other)))

    def __le__(self, other: Iterable[Any]) -> bool:
        return self.issubset(other)

    def __lt__(self, other: Iterable[Any]) -> bool:
        members = self._weakly_members(other)
        return len(self) < len(members) and all(map(members.__contains__, self))

    def __ge__(self, other: Iterable[Any]) -> bool:
        return self.issuperset(other)

    def __gt__(self, other: Iterable[Any]) -> bool:
        members = self._weakly_members(other)
        return len(members) < len(self) and all(map(self.__contains__, members))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, self.__class__):
            return NotImplemented
        return len(self) == len(other) and self.issubset(other)

    __hash__: ClassVar[None]  # type: ignore[assignment]  # mutable, like set

    def _weakly_members(self, other: Iterable[Any]) -> Any:
        """The members of another set, compared as ours and held meanwhile.

        Raises TypeError if one is of a type that we cannot hold.
        """
        if isinstance(other, self._weakly_plain):
            return other
        members: Any = _Identities(other) if self._weakly_by_identity else set(other)
        if not self._weakly_lenient:
            for example in {type(member): member for member in members}.values():
                ref(example)
        return members

    @property
    def data(self) -> SetData[T]:
        """The references to the members, as the standard library keeps them: live."""
        return SetData(self, self._weakly_table)

    def _weakly_remove_reference(self, wr: ref[T]) -> None:
        self.data.discard(wr)


class _Identities:
    """Some objects as a set that tells them apart by identity."""

    __slots__ = ("_by_id",)

    def __init__(self, members: Iterable[Any]) -> None:
        self._by_id = {id(member): member for member in members}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._by_id.values())

    def __contains__(self, member: object) -> bool:
        return id(member) in self._by_id


# Dictionaries with weak keys


@_container
class WeakKeyDictionary(WeakKeyTable[K, V], _KeyMapping[K, V]):  # pyright: ignore[reportIncompatibleMethodOverride]  # no views
    """A dictionary that does not keep its keys alive: an entry goes when its key dies.

    Keys are compared by equality, an identical one without calling `__eq__`. A value that
    refers to its own key keeps it alive, as in the standard library; in an
    `EphemeronDictionary` it does not.

    `dict` is a mapping or an iterable of pairs to start from. Raises TypeError for a key
    that cannot be weakly referenced or is not hashable. Look-ups, stores and removals take
    constant time and are atomic under threads.
    """

    _weakly_table = WeakKeyTable

    def __init__(self, dict: _Source[K, V] | None = None) -> None:
        self._weakly_begin_with(dict)

    if TYPE_CHECKING:  # what those of the bases give here

        @classmethod
        def lenient(cls, dict: _Source[K2, V2] | None = None) -> WeakKeyDictionary[K2, V2]: ...
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


@_container
class EphemeronDictionary(EphemeronTable[K, V], _KeyMapping[K, V]):  # pyright: ignore[reportIncompatibleMethodOverride]  # no views
    """A dictionary with weak keys whose values do not keep their keys alive.

    An entry lives while its key can be reached through something else than its own value,
    however that refers to it, and than the values of other such entries with dead keys. What
    only keeps itself alive is found by full collections, automatic or explicit, and by
    `weakly.collect()`; any other entry goes at once when its key dies. (The Python tables
    cannot find it: there it stays, as in a `WeakKeyDictionary`.)

    All else is as in a `WeakKeyDictionary`: keys are compared by equality; `dict` is a mapping
    or an iterable of pairs to start from; raises TypeError for a key that cannot be weakly
    referenced or is not hashable. Look-ups, stores and removals take constant time and are
    atomic under threads.
    """

    _weakly_table = EphemeronTable

    def __init__(self, dict: _Source[K, V] | None = None) -> None:
        self._weakly_begin_with(dict)

    if TYPE_CHECKING:  # what those of the bases give here

        @classmethod
        def lenient(cls, dict: _Source[K2, V2] | None = None) -> EphemeronDictionary[K2, V2]: ...
        @classmethod
        def fromkeys(
            cls,
            iterable: Iterable[K2],
            value: V2 = ...,  # pyright: ignore[reportInvalidTypeVarUse]  # the context tells
            /,
        ) -> EphemeronDictionary[K2, V2]: ...
        def copy(self) -> EphemeronDictionary[K, V]: ...
        def __or__(self, other: Mapping[K2, V2], /) -> EphemeronDictionary[K | K2, V | V2]: ...
        def __ror__(self, other: Mapping[K2, V2], /) -> EphemeronDictionary[K | K2, V | V2]: ...


@_container
class WeakDefaultDictionary(EphemeronDictionary[K, V]):
    """An `EphemeronDictionary` that makes the value of a missing key, as `defaultdict` does.

    `table[key]` of a key that is not there stores and returns `default_factory()`; of several
    threads that do so at once all get the one value that was stored first. `get()`, `in` and
    `pop()` make nothing. If `default_factory` is None, the first argument and the attribute, a
    missing key raises KeyError. `dict` is a mapping or an iterable of pairs to start from.

    This is the one dictionary of weakly with default values. For a factory that needs the key,
    or that must be called once although threads compete, use `get_or_create()` of any.

    Raises TypeError for a factory that cannot be called, and for a key that cannot be weakly
    referenced or is not hashable. Look-ups, stores and removals take constant time, besides
    the factory's, and are atomic under threads.
    """

    default_factory: Callable[[], V] | None = None

    @overload
    def __init__(
        self, default_factory: Callable[[], V] | None = None, /, dict: None = None
    ) -> None: ...
    @overload
    def __init__(self, default_factory: Callable[[], V] | None, /, dict: _Source[K, V]) -> None: ...
    def __init__(
        self,
        default_factory: Callable[[], V] | None = None,
        /,
        dict: _Source[K, V] | None = None,
    ) -> None:
        if default_factory is not None and not callable(default_factory):
            raise TypeError(
                f"default_factory must be callable or None, not '{type(default_factory).__name__}'"
            )
        self.default_factory = default_factory
        self._weakly_begin_with(dict)

    def __missing__(self, key: K) -> V:
        if self.default_factory is None:
            raise KeyError(key)
        return self.setdefault(key, self.default_factory())

    def _weakly_empty(self, cls: Any) -> Any:
        return self._weakly_made(cls, self.default_factory)

    def _weakly_repr_prefix(self) -> str:
        return f"{self.default_factory!r}, "

    if TYPE_CHECKING:  # what those of the bases give here

        @classmethod
        def lenient(  # type: ignore[override]  # as the constructor
            cls,
            default_factory: Callable[[], V2] | None = None,
            /,
            dict: _Source[K2, V2] | None = None,
        ) -> WeakDefaultDictionary[K2, V2]: ...
        @classmethod
        def fromkeys(
            cls,
            iterable: Iterable[K2],
            value: V2 = ...,  # pyright: ignore[reportInvalidTypeVarUse]  # the context tells
            /,
        ) -> WeakDefaultDictionary[K2, V2]: ...
        def copy(self) -> WeakDefaultDictionary[K, V]: ...
        def __or__(self, other: Mapping[K2, V2], /) -> WeakDefaultDictionary[K | K2, V | V2]: ...
        def __ror__(self, other: Mapping[K2, V2], /) -> WeakDefaultDictionary[K | K2, V | V2]: ...


@_container
class WeakIdKeyDictionary(WeakIdKeyTable[K, V], _KeyMapping[K, V]):  # pyright: ignore[reportIncompatibleMethodOverride]  # no views
    """A dictionary from objects, told apart by identity, to data about them.

    Keys need not be hashable, and no `__hash__` or `__eq__` of a key is ever called: it serves
    to attach data to any object of others. Two are equal if they have the same keys with equal
    values; another mapping, too, is compared by the identity of its keys. `keyrefs()` returns
    `IdRef` objects.

    As in an `EphemeronDictionary`, an entry goes when its key dies, and a value does not keep
    its key alive.

    `dict` is a mapping or an iterable of pairs to start from. Raises TypeError for a key
    that cannot be weakly referenced. Look-ups, stores and removals take constant time and are
    atomic under threads.
    """

    _weakly_table = WeakIdKeyTable
    _weakly_by_identity = True

    def __init__(self, dict: _Source[K, V] | None = None) -> None:
        self._weakly_begin_with(dict)

    if TYPE_CHECKING:  # what those of the bases give here

        @classmethod
        def lenient(cls, dict: _Source[K2, V2] | None = None) -> WeakIdKeyDictionary[K2, V2]: ...
        @classmethod
        def fromkeys(
            cls,
            iterable: Iterable[K2],
            value: V2 = ...,  # pyright: ignore[reportInvalidTypeVarUse]  # the context tells
            /,
        ) -> WeakIdKeyDictionary[K2, V2]: ...
        def copy(self) -> WeakIdKeyDictionary[K, V]: ...
        def __or__(self, other: Mapping[K2, V2], /) -> WeakIdKeyDictionary[K | K2, V | V2]: ...
        def __ror__(self, other: Mapping[K2, V2], /) -> WeakIdKeyDictionary[K | K2, V | V2]: ...


# Dictionaries with weak values


@_container
class WeakValueDictionary(WeakValueTable[K, V], StdlibInternals, _WeakMapping[K, V]):  # pyright: ignore[reportIncompatibleMethodOverride]  # no views
    """A dictionary that does not keep its values alive: an entry goes when its value dies.

    `other` is a mapping or an iterable of pairs to start from; keywords are entries too.
    Raises TypeError for a value that cannot be weakly referenced or a key that is not hashable.
    Look-ups, stores and removals take constant time and are atomic under threads.
    """

    _weakly_table = WeakValueTable
    _weakly_weak_keys = False
    _weakly_weak_values = True

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

    if TYPE_CHECKING:  # what those of the bases give here

        @overload
        @classmethod
        def lenient(  # pyright: ignore[reportOverlappingOverload]  # as the constructor
            cls, other: _Source[K2, V2] = (), /
        ) -> WeakValueDictionary[K2, V2]: ...
        @overload
        @classmethod
        def lenient(
            cls, other: _Source[str, V2] = (), /, **kw: V2
        ) -> WeakValueDictionary[str, V2]: ...
        @classmethod
        def lenient(cls, other: Any = (), /, **kw: Any) -> Any: ...
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

    @property
    def data(self) -> ValueData[K, V]:
        """The references to the values by key, as the standard library keeps them: live."""
        return ValueData(self, self._weakly_table)

    def _weakly_remove_reference(self, wr: KeyedRef[K, V]) -> None:
        self.get(wr.key)  # an entry found dead is removed; one that lives is not for us


@_container
class WeakKeyValueDictionary(WeakKeyValueTable[K, V], _WeakMapping[K, V]):  # pyright: ignore[reportIncompatibleMethodOverride]  # no views
    """A dictionary that keeps neither its keys nor its values alive.

    An entry goes when one of the two dies. Keys are compared by equality, an identical one
    without calling `__eq__`. A deep copy has the same keys and values.

    `dict` is a mapping or an iterable of pairs to start from. Raises TypeError for a key
    or value that cannot be weakly referenced, and for a key that is not hashable. Look-ups,
    stores and removals take constant time and are atomic under threads.
    """

    _weakly_table = WeakKeyValueTable
    _weakly_weak_values = True

    def __init__(self, dict: _Source[K, V] | None = None) -> None:
        if len(self):
            self.clear()
        self.update(dict)

    if TYPE_CHECKING:  # what those of the bases give here

        @classmethod
        def lenient(cls, dict: _Source[K2, V2] | None = None) -> WeakKeyValueDictionary[K2, V2]: ...
        @classmethod
        def fromkeys(
            cls,
            iterable: Iterable[K2],
            value: V2 = ...,  # pyright: ignore[reportInvalidTypeVarUse]  # the context tells
            /,
        ) -> WeakKeyValueDictionary[K2, V2]: ...
        def copy(self) -> WeakKeyValueDictionary[K, V]: ...
        def __or__(self, other: Mapping[K2, V2], /) -> WeakKeyValueDictionary[K | K2, V | V2]: ...
        def __ror__(self, other: Mapping[K2, V2], /) -> WeakKeyValueDictionary[K | K2, V | V2]: ...


# Sets


@_container
class WeakSet(WeakSetTable[T], _WeakMembers[T]):
    """A set that does not keep its members alive: a member goes when it dies.

    Members are compared by equality, an identical one without calling `__eq__`. Whatever
    takes another set takes any iterable. `data` are the members to start with. Raises TypeError
    for a member that cannot be weakly referenced or is not hashable. Look-ups, insertions and
    removals take constant time and are atomic under threads.
    """

    _weakly_table = WeakSetTable

    def __init__(self, data: Iterable[T] | None = None) -> None:
        self._weakly_begin_with(data)

    if TYPE_CHECKING:  # what those of the bases give here

        @classmethod
        def lenient(cls, data: Iterable[T2] | None = None) -> WeakSet[T2]: ...
        def union(self, *others: Iterable[T2]) -> WeakSet[T | T2]: ...
        def symmetric_difference(self, other: Iterable[T2]) -> WeakSet[T | T2]: ...
        def __or__(self, other: Iterable[T2]) -> WeakSet[T | T2]: ...
        def __xor__(self, other: Iterable[T2]) -> WeakSet[T | T2]: ...
        def __rxor__(self, other: Set[T]) -> WeakSet[T]: ...


@_container
class WeakIdSet(WeakIdSetTable[T], _WeakMembers[T]):
    """A set of objects, told apart by identity, that does not keep its members alive.

    Members need not be hashable, and no `__hash__` or `__eq__` of one is ever called. Whatever
    takes another set takes any iterable, and looks for the very members of it. `data` are the
    members to start with. Raises TypeError for a member that cannot be weakly referenced.
    Look-ups, insertions and removals take constant time and are atomic under threads.
    """

    _weakly_table = WeakIdSetTable
    _weakly_by_identity = True

    def __init__(self, data: Iterable[T] | None = None) -> None:
        self._weakly_begin_with(data)

    if TYPE_CHECKING:  # what those of the bases give here

        @classmethod
        def lenient(cls, data: Iterable[T2] | None = None) -> WeakIdSet[T2]: ...
        def union(self, *others: Iterable[T2]) -> WeakIdSet[T | T2]: ...
        def symmetric_difference(self, other: Iterable[T2]) -> WeakIdSet[T | T2]: ...
        def __or__(self, other: Iterable[T2]) -> WeakIdSet[T | T2]: ...
        def __xor__(self, other: Iterable[T2]) -> WeakIdSet[T | T2]: ...
        def __rxor__(self, other: Set[T]) -> WeakIdSet[T]: ...


MutableSet.register(WeakSet)  # pyright: ignore[reportAttributeAccessIssue]  # a protocol to it
MutableSet.register(WeakIdSet)  # pyright: ignore[reportAttributeAccessIssue]
