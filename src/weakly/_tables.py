"""The tables in Python: what the containers stand on where the C core is missing.

Same names and same contract as `_core` (see `_core.pyi`). The public names are at the end.

How it works. A table is one `dict`, and every operation on it is one call into that `dict`:
from a reference of the key to the value (key and set tables), from the key to a reference of
the value (value tables), from the one reference to the other (tables with both sides weak), or
from the id of the key to a reference of it (tables by identity). So an operation is atomic
against other threads, against deaths and against what `__eq__`, `__hash__` and `__del__` do to
the same table, without any lock (holding one while user code runs invites a deadlock, and user
code can run anywhere: the collector starts finalizers between any two steps). The `dict` keeps
the insertion order too. (PyPy's dict has a hole: docs/differences.md.)

Iteration walks the `dict` itself and copies it only if it changes meanwhile: then it goes on
with what a copy holds beyond the entries already passed. An entry knows the era it was made
in, and each iterator starts a new era: entries of its own era or later came after it.

A lenient table holds what cannot be weakly referenced by a `StrongRef`, which stands where
other entries have their weak reference.

Only the C core can find the entries whose values alone keep their keys alive: here an
`EphemeronTable` is a `WeakKeyTable`, and nothing is ever collected.
"""

import atexit
import sys

# Removes a key from a dict if it maps to a dead reference, in one atomic step.
from _weakref import (  # type: ignore[attr-defined]  # private, missing from the stubs
    _remove_dead_weakref as _remove_if_dead,  # pyright: ignore
)
from collections.abc import Callable, Iterator, Sequence
from itertools import compress, count
from operator import is_, itemgetter, setitem
from types import GenericAlias
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, TypeVar, cast, overload
from weakref import ref

from . import _hooks

if TYPE_CHECKING:
    from typing import Generic
else:

    class Generic:
        """Subscripts, and no more: `typing.Generic` would count the type arguments and return
        an alias of its own kind, unlike the classes of the standard library and the C core."""

        __slots__ = ()

        def __class_getitem__(cls, item):
            """See PEP 585."""
            return cls if cls is Generic else GenericAlias(cls, item)


__all__ = [
    "EphemeronTable",
    "Finalizer",
    "IdRef",
    "KeyedRef",
    "StrongRef",
    "WeakIdKeyTable",
    "WeakIdSetTable",
    "WeakKeyTable",
    "WeakKeyValueTable",
    "WeakSetTable",
    "WeakValueTable",
    "collect_ephemerons",
    "collections",
    "ephemeron_counts",
    "finalizers_created",
    "live_finalizers",
    "stop_finalizers",
]

_C = TypeVar("_C")
_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")
_D = TypeVar("_D")

# Typed as what it stands in for, which keeps the signatures below readable.
_MISSING: Any = object()

_next_era = count(1).__next__


# Callbacks that CPython skips. From 3.14.3 on, and in late versions of 3.13, a reference made
# by a finalizer in a garbage cycle to an object of that cycle is cleared without its callback.
# A table that was inserted into during a collection is therefore suspect: it looks for dead
# entries before it counts.

_CALLBACKS_CAN_BE_SKIPPED = sys.implementation.name == "cpython" and sys.version_info >= (3, 13)
_collecting = False


def _note_collection(phase: str, _: dict[str, int]) -> None:
    global _collecting
    _collecting = phase == "start"


if _CALLBACKS_CAN_BE_SKIPPED:
    _hooks.ensure(_note_collection)


def _callback_may_be_skipped() -> bool:
    """Whether a reference made now may be cleared without its callback."""
    global _collecting
    if not _CALLBACKS_CAN_BE_SKIPPED:
        return False
    if _hooks.ensure(_note_collection):
        _collecting = True  # for all we know, until the next collection is over
    return _collecting


def _require_referenceable(obj: object, role: str) -> None:
    try:
        ref(obj)
    except TypeError:
        raise TypeError(
            f"cannot create weak reference to '{type(obj).__name__}' object: "
            f"{role} must be of a type that supports weak references"
        ) from None


def _require_hashable(obj: object) -> None:
    if cast(Any, type(obj).__hash__) is None:
        raise TypeError(f"unhashable type: '{type(obj).__name__}'")


class KeyedRef(ref[_T], Generic[_K, _T]):
    """A weak reference that carries the key its referent has in a WeakValueDictionary."""

    __slots__ = ("key",)
    key: _K

    def __new__(
        cls, ob: _T, callback: "Callable[[KeyedRef[_K, _T]], Any] | None", key: _K
    ) -> "KeyedRef[_K, _T]":
        self = super().__new__(cls, ob, cast(Any, callback))
        self.key = key
        return self

    def __init__(
        self, ob: _T, callback: "Callable[[KeyedRef[_K, _T]], Any] | None", key: _K
    ) -> None:
        pass  # all is done; the base's would refuse the key


class IdRef(ref[_T]):
    """A weak reference that hashes and compares by the identity of its referent.

    Two are equal if they were made for the same object, also after its death; no other
    kind of reference is equal to one. Its hash stays the same as well.
    """

    # All that live share the interpreter's one reference to the object: an address alone
    # would be the same for a later object.
    __slots__ = ("_anchor", "_hash")
    _anchor: ref[_T]
    _hash: int

    def __new__(cls, obj: _T, callback: Callable[[Self], Any] | None = None) -> Self:
        self = super().__new__(cls, obj, cast(Any, callback))
        self._anchor = ref(obj)
        self._hash = object.__hash__(obj)
        return self

    def __init__(self, obj: _T, callback: Callable[[Self], Any] | None = None) -> None:
        pass  # all is done; the base's would refuse keywords

    def refers_to(self, obj: object, /) -> bool:
        """Tell whether the referent is this very object: False once it has died.

        Makes no strong reference to the referent.
        """
        try:
            return self._anchor is ref(obj)
        except TypeError:
            return False

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ref):
            return NotImplemented
        if not isinstance(other, IdRef):
            return False  # the base would compare the referents
        return self._anchor is cast(Any, other)._anchor

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal


class StrongRef(Generic[_T]):
    """What a lenient table has in place of a weak reference: calling it gives the object."""

    __slots__ = ("_object", "era", "key")
    _object: _T
    era: int
    key: Any

    def __init__(self, obj: _T) -> None:
        self._object = obj

    def __call__(self) -> _T:
        return self._object

    def __hash__(self) -> int:
        return hash(self._object)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StrongRef):
            theirs = cast(Any, other)._object
        elif isinstance(other, ref):
            theirs = cast(Any, other)()
            if theirs is None:
                return False
        else:
            return NotImplemented
        return self._object is theirs or self._object == theirs

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x}; to {self._object!r}>"


class _StrongIdRef(StrongRef[_T]):
    """The same in a table by identity."""

    __slots__ = ("value",)
    value: Any


def _is_dead(reference: Any) -> bool:
    return reference() is None and not isinstance(reference, StrongRef)


class _KeyEntry(ref[_T]):
    __slots__ = ("era",)
    era: int


class _IdEntry(ref[_T]):
    """The key's in a table by identity; `key` is the id of the key."""

    __slots__ = ("era", "key", "value")
    era: int
    key: int
    value: Any


class _ValueEntry(KeyedRef[_K, _T]):
    __slots__ = ("era",)
    era: int


class _PairEntry(ref[_T]):
    """The value's in a table with both sides weak; `key` is the reference of the key."""

    __slots__ = ("era", "key")
    era: int
    key: Any


def _remove_dead_value(index: dict[Any, Any], key: object) -> None:
    """Removes a key if it maps to a dead reference, in one atomic step."""
    try:
        _remove_if_dead(index, key)
    except TypeError:
        if not isinstance(index.get(key), StrongRef):  # which is no weak reference
            raise


def _new_dict() -> dict[Any, Any]:
    """An empty dict whose `setdefault` is atomic.

    PyPy's, on a dict that was always empty, hashes the key and then stores without another look:
    where another thread has stored an equal key meanwhile, both get their own.
    """
    new: dict[Any, Any] = {}
    if sys.implementation.name == "pypy":
        new[None] = None
        del new[None]
    return new


_Item: TypeAlias = tuple[Any, Any]
_Resolved: TypeAlias = tuple[Any, Any, Any]

# From (key, value, reference)
_key, _value, _reference = itemgetter(0), itemgetter(1), itemgetter(2)
_pair, _key_and_reference = itemgetter(0, 1), itemgetter(0, 2)


class _Entries(Generic[_K, _V]):
    """The entries of a table; the subclasses know which side of an entry is weak."""

    __slots__ = ("__weakref__", "era", "forget", "index", "lenient", "newest", "suspect")
    reference_side: int  # of an item of the index: the reference that knows its era
    role: str  # of the weak side, for messages
    index: dict[Any, Any]

    def __init__(self, forget: Callable[[Any], None]) -> None:
        self.index = _new_dict()
        self.era = 0  # of the newest iterator
        self.newest = 0  # the era of the newest entry
        self.suspect = False
        self.lenient = False
        # Called with the reference of an entry when its referent has died.
        self.forget = forget

    def __len__(self) -> int:
        if self.suspect:
            self.drop_dead()
        return len(self.index)

    def clear(self) -> None:
        # Not by dict.clear(): where `__eq__` clears the dict that is being searched, the
        # interpreter (3.11, 3.13) can insert the key in a place where it never finds it again.
        # What is under way on the old dict counts as done before this.
        self.index = _new_dict()

    def put(self, key: _K, value: _V) -> None:
        raise NotImplementedError

    def references(self) -> list[Any]:
        raise NotImplementedError

    def resolve(self, item: _Item) -> _Resolved | None:
        """The live key, value and reference of an item of the index; None if it is dead."""
        raise NotImplementedError

    def require_types(self, keys: Sequence[_K], values: Sequence[_V]) -> None:
        """Raises TypeError if one of them is of a type that cannot be here."""
        raise NotImplementedError

    def hold(self, obj: Any, role: str) -> Any:
        """What a lenient table has for an object that cannot be weakly referenced."""
        if not self.lenient:
            _require_referenceable(obj, role)
        return StrongRef(obj)

    def strong_count(self) -> int:
        return sum(isinstance(reference, StrongRef) for reference in self.references())

    def take_newest(self) -> tuple[_K, _V] | None:
        """Removes the newest live entry and returns it."""
        while True:
            try:
                resolved = self.resolve(self.index.popitem())
            except KeyError:
                return None
            if resolved is not None:
                return resolved[0], resolved[1]

    def extend(self, keys: Sequence[_K], values: Sequence[_V]) -> None:
        """Puts all, or none if one of them is of a type that cannot be here."""
        self.require_types(keys, values)
        for key, value in zip(keys, values, strict=True):
            self.put(key, value)

    def merge(self, other: "_Entries[_K, _V]") -> None:
        for key, value in other.walk(_pair):
            self.put(key, value)

    def drop_dead(self) -> None:
        """Removes the entries whose references died without their callbacks."""
        # In this order, so that an insertion from within a collection is never forgotten.
        self.suspect = False
        if _callback_may_be_skipped():
            self.suspect = True
        for reference in self.references():
            if _is_dead(reference):
                self.forget(reference)

    def walk(self, pick: Callable[..., Any], direction: Callable[..., Any] = iter) -> Iterator[Any]:
        """Iterates over what `pick` picks from (key, value, reference), for the entries that
        are here now and live when reached; `direction` is `iter` or `reversed`."""
        index = self.index
        era = self.era = _next_era()
        # Backwards only a copy is walked: CPython reads past the end of a dict that shrinks
        # under its reversed iterator.
        items = iter(index.items()) if direction is iter else iter(())
        # Not before `items` was made: too high costs a copy, too low could lose an entry.
        return self._visit(pick, direction, index, items, len(index), era)

    def _visit(
        self,
        pick: Callable[..., Any],
        direction: Callable[..., Any],
        index: dict[Any, Any],
        items: Iterator[_Item],
        expected: int,
        era: int,
    ) -> Iterator[Any]:
        side = self.reference_side
        passed: list[object] = []
        in_hand: list[Any] = []
        rest = _rest(direction, index, passed, expected)
        for walks_index, source in ((True, _until_changed(items)), (False, rest)):
            for item in source:
                # Entries may have been moved, if as many were removed. No matter when that is
                # seen: it is for the order only that it should be soon.
                if walks_index and self.newest >= era:
                    break
                if item[side].era >= era:
                    continue
                passed.append(item[0])
                resolved = self.resolve(item)
                if resolved is not None:
                    in_hand.append(pick(resolved))
                    # Suspended, it keeps nothing alive that the loop lets go.
                    del item, resolved
                    yield in_hand.pop()

    def check(self) -> None:
        """Verifies the invariants; for tests."""
        index = self.index
        for item in list(index.items()):
            reference = item[self.reference_side]

            def shown(item: object = item) -> str:
                return f"{item!r} in {index!r}, era {self.era}, suspect {self.suspect}"

            assert reference.era <= self.era, f"entry from the future: {shown()}"
            if isinstance(reference, StrongRef):
                assert self.lenient, f"entry held strongly: {shown()}"
            elif reference() is not None:
                assert reference.__callback__ is self.forget, f"entry not watched: {shown()}"
            if self.resolve(item) is not None:
                assert item[0] in index, f"entry not found by its key: {shown()}"
            if self.reference_side:
                assert reference.key is item[0], f"entry with another key: {shown()}"
        live = sum(1 for _ in self.walk(_key))
        assert live <= len(self) <= len(index), f"wrong length: {index!r}"


def _until_changed(items: Iterator[_Item]) -> Iterator[_Item]:
    try:
        yield from items
    except RuntimeError:  # "dictionary changed size during iteration"
        return


def _rest(
    direction: Callable[..., Any], index: dict[Any, Any], passed: list[object], expected: int
) -> Iterator[_Item]:
    """The items of a copy that an iterator has not passed, once it is done with the index."""
    if len(passed) < expected:
        known = set(map(id, passed))
        while True:
            try:
                copy = list(index.items())
                break
            except RuntimeError:  # the pairs made a collection start, which changed the index
                continue
        yield from direction([item for item in copy if id(item[0]) not in known])


class _KeyEntries(_Entries[_K, _V]):
    """From references of keys to values: dead references equal nothing but themselves, so a
    lookup never meets one, and a dead entry is found by its very reference."""

    __slots__ = ()
    reference_side = 0
    role = "keys of a weak dictionary"
    index: dict[Any, Any]

    def __init__(self) -> None:
        super().__init__(_forgets_keys(self))

    def references(self) -> list[Any]:
        return list(self.index)

    def resolve(self, item: _Item) -> _Resolved | None:
        reference, value = item
        key = reference()
        if key is None and _is_dead(reference):
            return None
        return key, value, reference

    def require_types(self, keys: Sequence[_K], values: Sequence[_V]) -> None:
        for key in keys:
            if not self.lenient:
                _require_referenceable(key, self.role)
            _require_hashable(key)

    def _entry(self, key: _K) -> Any:
        if _callback_may_be_skipped():
            self.suspect = True
        try:
            entry: Any = _KeyEntry(key, self.forget)
        except TypeError:
            entry = self.hold(key, self.role)
        entry.era = self.newest = self.era
        return entry

    def contains(self, key: object) -> bool:
        try:
            probe = ref(key)
        except TypeError:
            if not self.lenient:
                return False
            probe = self.hold(key, self.role)
        return probe in self.index

    def find(self, key: _K) -> _V:
        """The value, or _MISSING."""
        try:
            probe: Any = ref(key)
        except TypeError:
            probe = self.hold(key, self.role)
        return cast(_V, self.index.get(probe, _MISSING))

    def put(self, key: _K, value: _V) -> None:
        self.index[self._entry(key)] = value

    def put_default(self, key: _K, default: _V) -> _V:
        value = self.find(key)
        if value is _MISSING:
            value = self.index.setdefault(self._entry(key), default)
        return value

    def take(self, key: _K) -> _V:
        """Removes the entry and returns its value, or _MISSING."""
        try:
            probe: Any = ref(key)
        except TypeError:
            probe = self.hold(key, self.role)
        return cast(_V, self.index.pop(probe, _MISSING))


class _MemberEntries(_KeyEntries[_K, Any]):
    """From references of members to themselves, so that the one that is here can be had."""

    __slots__ = ()
    role = "members of a weak set"

    def put(self, key: _K, value: object) -> None:
        entry = self._entry(key)
        self.index.setdefault(entry, entry)

    def intern(self, member: _K) -> _K:
        """Returns the member that is equal to this one, which is added if there is none."""
        entry = self._entry(member)
        while True:
            found = self.index.setdefault(entry, entry)
            present = found()
            if present is not None or not _is_dead(found):
                return cast(_K, present)
            self.forget(found)


class _KeyedEntries(_Entries[_K, _V]):
    """From what references know as their `key` to the references. A dead one can be met there."""

    __slots__ = ()
    reference_side = 1

    def __init__(self) -> None:
        super().__init__(_forgets_values(self))

    def references(self) -> list[Any]:
        return list(self.index.values())


class _ValueEntries(_KeyedEntries[_K, _V]):
    """From keys to references of values."""

    __slots__ = ()
    role = "values of a weak dictionary"
    entry_type: type[ref[Any]] = _ValueEntry
    index: dict[Any, Any]

    def resolve(self, item: _Item) -> _Resolved | None:
        key, reference = item
        value = reference()
        if value is None and _is_dead(reference):
            return None
        return key, value, reference

    def require_types(self, keys: Sequence[_K], values: Sequence[_V]) -> None:
        for value in values:
            if not self.lenient:
                _require_referenceable(value, self.role)
        for key in keys:
            _require_hashable(key)

    def _entry(self, key: Any, value: _V) -> Any:
        if _callback_may_be_skipped():
            self.suspect = True
        try:  # past the constructor, which is for users and several times slower
            entry: Any = cast(Any, ref).__new__(self.entry_type, value, self.forget)
        except TypeError:
            entry = self.hold(value, self.role)
        entry.key = key
        entry.era = self.newest = self.era
        return entry

    def contains(self, key: object) -> bool:
        return self.find(cast(_K, key)) is not _MISSING

    # From here on, `key` is what the index has for it.

    def find(self, key: _K) -> _V:
        """The value, or _MISSING."""
        entry = self.index.get(key)
        if entry is None:
            return cast(_V, _MISSING)
        value = entry()
        if value is None and _is_dead(entry):
            _remove_dead_value(self.index, key)
            return cast(_V, _MISSING)
        return cast(_V, value)

    def put(self, key: _K, value: _V) -> None:
        entry = self._entry(key, value)
        index = self.index
        while (found := index.setdefault(key, entry)) is not entry:
            place = found.key
            if _is_dead(found):
                _remove_dead_value(index, place)
                continue
            # It takes over the entry: its place, its key and, for iterators, its age.
            entry.key = place
            entry.era = found.era
            index[place] = entry
            if self.key_lives(place):
                return
            index.pop(place, None)  # the key had died before, so nothing else would do it
            entry.key = key
            entry.era = self.newest = self.era

    def key_lives(self, key: Any) -> bool:
        return True

    def put_default(self, key: _K, default: _V) -> _V:
        value: Any = cast(Any, _ValueEntries).find(self, key)
        if value is not _MISSING:
            return cast(_V, value)
        entry = self._entry(key, default)
        while (found := self.index.setdefault(key, entry)) is not entry:
            live = found()
            if live is not None or not _is_dead(found):
                return cast(_V, live)
            _remove_dead_value(self.index, found.key)
        return default

    def take(self, key: _K) -> _V:
        """Removes the entry and returns its value, or _MISSING."""
        entry = self.index.pop(key, None)
        if entry is None:
            return cast(_V, _MISSING)
        value = entry()
        return cast(_V, _MISSING) if value is None and _is_dead(entry) else cast(_V, value)


class _PairEntries(_ValueEntries[_K, _V]):
    """From references of keys to references of values: an entry goes with either."""

    __slots__ = ("forget_key",)
    key_role = _KeyEntries.role
    entry_type = _PairEntry

    def __init__(self) -> None:
        super().__init__()
        self.forget_key = _forgets_keys(self)

    def resolve(self, item: _Item) -> _Resolved | None:
        key = item[0]()
        if key is None and _is_dead(item[0]):
            return None
        resolved = super().resolve(item)
        return resolved and (key, resolved[1], resolved[2])

    def require_types(self, keys: Sequence[_K], values: Sequence[_V]) -> None:
        for key in keys:
            if not self.lenient:
                _require_referenceable(key, self.key_role)
        super().require_types(keys, values)

    def strong_count(self) -> int:
        return sum(
            isinstance(reference, StrongRef) or isinstance(reference.key, StrongRef)
            for reference in self.references()
        )

    def drop_dead(self) -> None:
        super().drop_dead()
        for reference in list(self.index):
            if _is_dead(reference):
                self.forget_key(reference)

    def key_lives(self, key: Any) -> bool:
        return not _is_dead(key)

    def _key_entry(self, key: _K) -> Any:
        try:
            return _KeyEntry(key, self.forget_key)
        except TypeError:
            return self.hold(key, self.key_role)

    def _probe(self, key: _K) -> Any:
        try:
            return ref(key)
        except TypeError:
            return self.hold(key, self.key_role)

    def contains(self, key: object) -> bool:
        try:
            probe: Any = ref(key)
        except TypeError:
            if not self.lenient:
                return False
            probe = self.hold(key, self.key_role)
        return super().find(probe) is not _MISSING

    def find(self, key: _K) -> _V:
        return super().find(self._probe(key))

    def put(self, key: _K, value: _V) -> None:
        super().put(self._key_entry(key), value)

    def put_default(self, key: _K, default: _V) -> _V:
        return super().put_default(self._key_entry(key), default)

    def take(self, key: _K) -> _V:
        return super().take(self._probe(key))


class _IdKeyEntries(_KeyedEntries[_K, _V]):
    """From the ids of keys to their references, which hold the values. A dead reference can be
    met under the id of a later object.

    Not from references that compare by identity: their `__eq__` would be Python code, and the
    dict of PyPy misses or loses keys that are there if another thread makes it grow, from a
    hundred or two, during a comparison.
    """

    __slots__ = ()
    role = _KeyEntries.role
    index: dict[int, Any]

    def resolve(self, item: _Item) -> _Resolved | None:
        reference = item[1]
        key = reference()
        if key is None and _is_dead(reference):
            return None
        return key, reference.value, reference

    def require_types(self, keys: Sequence[_K], values: Sequence[_V]) -> None:
        for key in keys:
            self._require_type(key)

    def _require_type(self, key: object) -> None:
        if not self.lenient:
            _require_referenceable(key, self.role)

    def live_references(self) -> list[Any]:
        return [
            reference if isinstance(reference, StrongRef) else IdRef(key)
            for key, reference in self.walk(_key_and_reference)
        ]

    def _entry(self, key: _K, value: _V) -> Any:
        if _callback_may_be_skipped():
            self.suspect = True
        try:
            entry: Any = _IdEntry(key, self.forget)
        except TypeError:
            self._require_type(key)
            entry = _StrongIdRef(key)
        entry.key = id(key)
        entry.value = value
        entry.era = self.newest = self.era
        return entry

    def contains(self, key: object) -> bool:
        entry = self.index.get(id(key))
        return entry is not None and entry() is key

    def find(self, key: _K) -> _V:
        """The value, or _MISSING."""
        entry = self.index.get(id(key))
        if entry is not None and entry() is key:
            return cast(_V, entry.value)
        self._require_type(key)
        return cast(_V, _MISSING)

    def _add(self, entry: Any) -> Any:
        """Puts an entry unless there is a live one for its key; returns the one that is here."""
        index = self.index
        while _is_dead(found := index.setdefault(entry.key, entry)):
            _remove_dead_value(index, entry.key)
        return found

    def put(self, key: _K, value: _V) -> None:
        entry = self._entry(key, value)
        found = self._add(entry)
        if found is not entry:
            # It takes over the entry: its place, its key and, for iterators, its age.
            entry.key = found.key
            entry.era = found.era
            self.index[entry.key] = entry

    def put_default(self, key: _K, default: _V) -> _V:
        value = self.find(key)
        return cast(_V, self._add(self._entry(key, default)).value) if value is _MISSING else value

    def take(self, key: _K) -> _V:
        """Removes the entry and returns its value, or _MISSING."""
        entry = self.index.pop(id(key), None)
        if entry is not None and entry() is key:
            return cast(_V, entry.value)
        self._require_type(key)
        return cast(_V, _MISSING)


class _IdMemberEntries(_IdKeyEntries[_K, Any]):
    """From the ids of members to their references."""

    __slots__ = ()
    role = _MemberEntries.role

    def put(self, key: _K, value: object) -> None:
        self._add(self._entry(key, value))

    def intern(self, member: _K) -> _K:
        """Adds a member if it is not here; there is no other that it could be equal to."""
        self.put(member, None)
        return member


# The callbacks of the references. The owner is a default argument, not in a closure, and a weak
# one: no table is in a cycle. Anybody can reach one by `__callback__` and call it at any time.


def _forgets_keys(entries: _Entries[Any, Any]) -> Callable[[Any], None]:
    weakly: ref[Any] = ref(entries)

    def forget(entry: object, *, owner: ref[Any] = weakly) -> None:
        entries = owner()
        if entries is not None and isinstance(entry, _KeyEntry) and entry() is None:
            entries.index.pop(entry, None)

    return forget


def _forgets_values(entries: _Entries[Any, Any]) -> Callable[[Any], None]:
    weakly: ref[Any] = ref(entries)

    def forget(entry: object, *, owner: ref[Any] = weakly) -> None:
        entries = owner()
        if entries is not None and isinstance(entry, _ValueEntry | _PairEntry | _IdEntry):
            _remove_dead_value(entries.index, cast(Any, entry).key)

    return forget


class _Table(Generic[_K, _V]):
    """What all tables share."""

    # Names that no subclass of a container uses by chance.
    __slots__ = ("__weakref__", "_weak_entries")
    _weak_entries: Any
    _type_of_weak_entries: ClassVar[Any]

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._weak_entries = cls._type_of_weak_entries()
        return self

    def __len__(self) -> int:
        return len(self._weak_entries)

    def __contains__(self, key: object, /) -> bool:
        found: bool = self._weak_entries.contains(key)
        return found

    def __iter__(self) -> Iterator[_K]:
        return cast(Iterator[_K], self._weak_entries.walk(_key))

    def __reversed__(self) -> Iterator[_K]:
        """Return an iterator over the live keys or members, newest first."""
        return cast(Iterator[_K], self._weak_entries.walk(_key, reversed))

    def __getstate__(self) -> Any:
        """Return the attributes of the instance, without the entries."""
        state: Any = super().__getstate__()
        if isinstance(state, tuple):
            attributes, slots = cast(tuple[Any, dict[str, Any]], state)
            slots = {name: slots[name] for name in slots if name != "_weak_entries"}
            return (attributes, slots) if slots else attributes
        return state

    def clear(self) -> None:
        """Remove all entries."""
        self._weak_entries.clear()

    def strong_count(self) -> int:
        """Return how many entries hold an object that cannot be weakly referenced. O(n)."""
        count: int = self._weak_entries.strong_count()
        return count

    @property
    def _weakly_lenient(self) -> bool:
        """whether such objects are held instead of refused"""
        lenient: bool = self._weak_entries.lenient
        return lenient

    def _weakly_hold_strongly(self) -> None:
        """From now on hold what cannot be weakly referenced. To be called while empty."""
        self._weak_entries.lenient = True

    def _merge(self, other: Any, /) -> None:
        """Store the live entries of another such table."""
        theirs: Any = getattr(other, "_weak_entries", None)
        if type(theirs) is not type(self._weak_entries):
            raise TypeError(f"expected a table of the same kind, not '{type(other).__name__}'")
        self._weak_entries.merge(theirs)

    def _check(self) -> None:
        """Verify every invariant of the table."""
        self._weak_entries.check()


class _MappingTable(_Table[_K, _V]):
    """What the mappings share."""

    __slots__ = ()

    def __getitem__(self, key: _K, /) -> _V:
        value = self._weak_entries.find(key)
        if value is _MISSING:
            if not hasattr(type(self), "__missing__"):
                raise KeyError(key)
            return cast(_V, cast(Any, self).__missing__(key))
        return cast(_V, value)

    def __setitem__(self, key: _K, value: _V, /) -> None:
        self._weak_entries.put(key, value)

    def __delitem__(self, key: _K, /) -> None:
        if self._weak_entries.take(key) is _MISSING:
            raise KeyError(key)

    def keys(self) -> Iterator[_K]:
        """Return an iterator over the live keys."""
        return cast(Iterator[_K], self._weak_entries.walk(_key))

    def values(self) -> Iterator[_V]:
        """Return an iterator over the values of live entries."""
        return cast(Iterator[_V], self._weak_entries.walk(_value))

    def items(self) -> Iterator[tuple[_K, _V]]:
        """Return an iterator over the live entries as (key, value)."""
        return cast(Iterator[tuple[_K, _V]], self._weak_entries.walk(_pair))

    @overload
    def get(self, key: _K, default: None = None) -> _V | None: ...
    @overload
    def get(self, key: _K, default: _D) -> _V | _D: ...
    def get(self, key: _K, default: Any = None) -> Any:
        """Return the value for a key if it is there, else the default. O(1)."""
        value = self._weak_entries.find(key)
        return default if value is _MISSING else value

    def setdefault(self, key: _K, default: Any = None) -> _V:
        """Return the value for a key, which is set to the default if it is not there. O(1)."""
        return cast(_V, self._weak_entries.put_default(key, default))

    @overload
    def pop(self, key: _K, /) -> _V: ...
    @overload
    def pop(self, key: _K, default: _D, /) -> _V | _D: ...
    def pop(self, key: _K, default: Any = _MISSING, /) -> Any:
        """Remove a key and return its value, or the default if given, else raise KeyError."""
        value = self._weak_entries.take(key)
        if value is not _MISSING:
            return value
        if default is _MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[_K, _V]:
        """Remove and return the newest live entry as (key, value). Raise KeyError if there is
        none."""
        item: tuple[_K, _V] | None = self._weak_entries.take_newest()
        if item is None:
            raise KeyError("popitem(): the dictionary is empty")
        return item

    def _extend(self, keys: list[_K], values: list[_V], /) -> None:
        """Store lists of keys and values: all, or none if one is of a type that this
        dictionary cannot hold."""
        self._weak_entries.extend(keys, values)


class WeakKeyTable(_MappingTable[_K, _V]):
    """The table of a dictionary with weak keys."""

    __slots__ = ()
    _type_of_weak_entries = _KeyEntries

    def keyrefs(self) -> list[ref[_K]]:
        """Return a list of the references to the live keys. O(n)."""
        return list(self._weak_entries.walk(_reference))


class EphemeronTable(WeakKeyTable[_K, _V]):
    """The table of a dictionary whose values do not keep their keys alive; these here do."""

    __slots__ = ()


class WeakIdKeyTable(_MappingTable[_K, _V]):
    """The table of a dictionary with weak keys told apart by identity."""

    __slots__ = ()
    _type_of_weak_entries = _IdKeyEntries

    def keyrefs(self) -> list[IdRef[_K]]:
        """Return a list of new references to the live keys. O(n)."""
        references: list[IdRef[_K]] = self._weak_entries.live_references()
        return references


class WeakValueTable(_MappingTable[_K, _V]):
    """The table of a dictionary with weak values."""

    __slots__ = ()
    _type_of_weak_entries = _ValueEntries

    def valuerefs(self) -> list[KeyedRef[_K, _V]]:
        """Return a list of the references to the live values. O(n)."""
        return list(self._weak_entries.walk(_reference))

    def itervaluerefs(self) -> Iterator[KeyedRef[_K, _V]]:
        """Return an iterator over the references to the live values."""
        return cast("Iterator[KeyedRef[_K, _V]]", self._weak_entries.walk(_reference))

    def _getref(self, key: _K, /) -> KeyedRef[_K, _V]:
        """Return the reference to the value for a key."""
        entries: _ValueEntries[_K, _V] = self._weak_entries
        reference = None if entries.find(key) is _MISSING else entries.index.get(key)
        if reference is None:
            raise KeyError(key)
        return cast("KeyedRef[_K, _V]", reference)

    def _replace(self, key: _K, value: _V, /) -> bool:
        """Store a value if the key is there with a live one; return whether it was."""
        entries = self._weak_entries
        index: dict[Any, Any] = entries.index
        while (found := index.get(key)) is not None:
            place = found.key
            old = found()  # held, so that it does not die before its successor has its place
            if old is None and _is_dead(found):
                _remove_dead_value(index, place)
                continue
            entry = entries._entry(place, value)
            entry.era = found.era
            # A dict cannot compare and swap. But `list` runs this without a step of the
            # interpreter: it is atomic under the GIL, where keys compare without user code.
            same = map(is_, map(index.get, [place]), [found])
            if list(map(setitem, [index], [place], compress([entry], same))):
                return True
        return False


class WeakKeyValueTable(_MappingTable[_K, _V]):
    """The table of a dictionary with weak keys and weak values."""

    __slots__ = ()
    _type_of_weak_entries = _PairEntries

    def keyrefs(self) -> list[ref[_K]]:
        """Return a list of the references to the keys of live entries. O(n)."""
        return [reference.key for reference in self._weak_entries.walk(_reference)]

    def valuerefs(self) -> list[ref[_V]]:
        """Return a list of references to the values of live entries. O(n)."""
        return list(self.itervaluerefs())

    def itervaluerefs(self) -> Iterator[ref[_V]]:
        """Return an iterator over references to the values of live entries."""
        return cast("Iterator[ref[_V]]", self._weak_entries.walk(_reference))


class _SetTable(_Table[_T, None]):
    """What the sets share: members are keys without values."""

    __slots__ = ()

    def add(self, member: _T, /) -> None:
        """Add a member, unless it is there. O(1)."""
        self._weak_entries.put(member, None)

    def discard(self, member: _T, /) -> None:
        """Remove a member if it is there. O(1)."""
        self._weak_entries.take(member)

    def remove(self, member: _T, /) -> None:
        """Remove a member; raise KeyError if it is not there. O(1)."""
        if self._weak_entries.take(member) is _MISSING:
            raise KeyError(member)

    def pop(self) -> _T:
        """Remove and return the newest live member. Raise KeyError if there is none."""
        item = self._weak_entries.take_newest()
        if item is None:
            raise KeyError("pop from an empty weak set")
        return cast(_T, item[0])

    def _intern(self, obj: _T, /) -> _T:
        """Return the member that is equal to an object, which is added if there is none."""
        return cast(_T, self._weak_entries.intern(obj))

    def _extend(self, members: list[_T], /) -> None:
        """Add a list of members: all, or none if one is of a type that a set cannot hold."""
        self._weak_entries.extend(members, [None] * len(members))


class WeakSetTable(_SetTable[_T]):
    """The table of a set of weakly referenced members."""

    __slots__ = ()
    _type_of_weak_entries = _MemberEntries

    def _refs(self) -> list[ref[_T]]:
        """Return a list of the references to live members."""
        return list(self._weak_entries.walk(_reference))


class WeakIdSetTable(_SetTable[_T]):
    """The table of a set of weakly referenced members told apart by identity."""

    __slots__ = ()
    _type_of_weak_entries = _IdMemberEntries

    def _refs(self) -> list[IdRef[_T]]:
        """Return a list of new references to live members."""
        references: list[IdRef[_T]] = self._weak_entries.live_references()
        return references


def collect_ephemerons() -> int:
    """Return how many entries of ephemeron tables were dropped: none, by these tables."""
    return 0


_count_collections = count(1).__next__


def collections() -> tuple[int, bool]:
    """Return how many collections have started, and whether one is under way in this thread.

    Nobody here has to wait for another thread's: each call looks like one more.
    """
    return _count_collections(), False


def ephemeron_counts() -> tuple[int, int, int, int, int, float, int]:
    """Return the counts of `weakly.ephemeron_stats()`, which only the C core has."""
    return 0, 0, 0, 0, 0, 0.0, 0


# The live finalizers, oldest first. By id, because a subclass may define equality.
_finalizers: "dict[int, Finalizer]" = {}
_created = count(1).__next__
_finalizers_created = 0
_exit_registered = False
_stopped = False

_Content: TypeAlias = tuple[Any, tuple[Any, ...], dict[str, Any]]
_Call: TypeAlias = tuple[Any, Any, tuple[Any, ...], dict[str, Any]]
# Makes, somewhere else, the call that a death asks for.
_Deliver: TypeAlias = Callable[[Any, tuple[Any, ...], dict[str, Any]], object]

_OPTIONS = frozenset(["check", "executor", "in_child", "loop"])


class Finalizer:
    """A call that waits for the death of an object."""

    # The reference calls the finalizer: they and the registry keep each other alive until
    # the finalizer is dead. Then `_content` is (None, (), {}).
    __slots__ = ("_atexit", "_content", "_deliver", "_reference", "in_child")
    _reference: ref[Any] | None
    _content: _Content
    _deliver: _Deliver | None
    in_child: bool

    def __new__(cls, *_: Any, **__: Any) -> Self:
        self = super().__new__(cls)
        self.in_child = True
        return self

    def __init__(self, obj: Any, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        global _exit_registered, _finalizers_created
        # As late as this, so that it is called before what was registered earlier.
        if not _exit_registered:
            atexit.register(cast(Any, type(self))._exitfunc)
            _exit_registered = True
        if self.alive:
            raise TypeError("a live finalizer cannot be initialized again")
        self._deliver = None
        if not _OPTIONS.isdisjoint(kwargs):
            kwargs, self._deliver = cast(Any, self)._parse(obj, func, args, kwargs)
        self._reference = ref(obj, self)
        self._content = (func, args, kwargs)
        self._atexit = True
        _finalizers_created = _created()
        _finalizers[id(self)] = self

    def _take(self) -> _Content | None:
        """Makes it dead and returns its content; None if it was dead already.

        Of two threads that try, one gets the content.
        """
        if _finalizers.pop(id(self), None) is None:
            return None
        content = self._content
        self._reference = self._deliver = None
        self._content = (None, (), {})
        return content

    def __call__(self, _: Any = None) -> Any:
        by_death = _ is not None and self.alive and _ is self._reference
        deliver = self._deliver if by_death else None
        content = self._take()
        if content is None or _stopped:
            return None
        func, args, kwargs = content
        if deliver is not None:
            return deliver(func, args, kwargs)
        return func(*args, **kwargs)

    def detach(self) -> _Call | None:
        """If alive then mark as dead and return (obj, func, args, kwargs), else return None."""
        call = self.peek()
        return None if call is None or self._take() is None else call

    def peek(self) -> _Call | None:
        """If alive then return (obj, func, args, kwargs), else return None."""
        if not self.alive:
            return None
        reference, content = self._reference, self._content
        obj = None if reference is None else reference()
        return None if obj is None else (obj, *content)

    @property
    def alive(self) -> bool:
        """whether the function is still to be called"""
        return id(self) in _finalizers

    @property
    def atexit(self) -> bool:
        """whether the function is called when the program exits; always false once dead"""
        return self.alive and self._atexit

    @atexit.setter
    def atexit(self, value: bool) -> None:
        if self.alive:
            self._atexit = bool(value)

    def __repr__(self) -> str:
        call = self.peek()
        shown = f"{type(self).__name__} object at {id(self):#x}"
        if call is None:
            return f"<{shown}; dead>"
        return f"<{shown}; for '{type(call[0]).__name__}' at {id(call[0]):#x}>"


def finalizers_created() -> int:
    """Return how many finalizers have been created so far."""
    return _finalizers_created


def live_finalizers() -> list[Finalizer]:
    """Return the live finalizers, oldest first."""
    return list(_finalizers.values())


def stop_finalizers() -> None:
    """From now on a finalizer that is called dies without calling its function."""
    global _stopped
    _stopped = True


def own_methods(cls: type[_C], /) -> type[_C]:
    """Leave the class as it is: only the C core's methods are faster when they are its own."""
    return cls
