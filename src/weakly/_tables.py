"""The tables in Python: what the containers stand on where the C core is missing.

Same names and same contract as `_core` (see `_core.pyi`). The public names are at the end.

How it works. A table is one `dict`, and every operation on it is one call into that `dict`:
from a reference of the key to the value (key and set tables), or from the key to a reference
of the value (value tables). So an operation is atomic against other threads, against deaths
and against what `__eq__`, `__hash__` and `__del__` do to the same table, without any lock
(holding one while user code runs invites a deadlock, and user code can run anywhere: the
collector starts finalizers between any two steps). The `dict` keeps the insertion order too.

Iteration walks the `dict` itself and copies it only if it changes meanwhile: then it goes on
with what a copy holds beyond the entries already passed. An entry knows the era it was made
in, and each iterator starts a new era: entries of its own era or later came after it.
"""

import atexit
import gc
import sys

# Removes a key from a dict if it maps to a dead reference, in one atomic step.
from _weakref import (  # type: ignore[attr-defined]  # private, missing from the stubs
    _remove_dead_weakref as _remove_if_dead,  # pyright: ignore
)
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, repeat
from operator import itemgetter
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, cast, overload
from weakref import ref

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
    "Finalizer",
    "KeyedRef",
    "WeakKeyTable",
    "WeakSetTable",
    "WeakValueTable",
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
    gc.callbacks.append(_note_collection)


def _callback_may_be_skipped() -> bool:
    """Whether a reference made now may be cleared without its callback."""
    global _collecting
    if not _CALLBACKS_CAN_BE_SKIPPED:
        return False
    if _note_collection not in gc.callbacks:  # programs and tests clear that list
        gc.callbacks.append(_note_collection)
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


class _KeyEntry(ref[_T]):
    __slots__ = ("era",)
    era: int


class _ValueEntry(KeyedRef[_K, _T]):
    __slots__ = ("era",)
    era: int


_Item: TypeAlias = tuple[Any, Any]

# From (key, value, reference)
_key, _value, _reference, _pair = itemgetter(0), itemgetter(1), itemgetter(2), itemgetter(0, 1)


class _Entries(Generic[_K, _V]):
    """The entries of a table; the subclasses know which side of an entry is weak."""

    __slots__ = ("__weakref__", "era", "forget", "index", "newest", "role", "suspect")
    weak_side: int
    index: dict[Any, Any]

    def __init__(self, forget: Callable[[Any], None], role: str) -> None:
        self.index = {}
        self.era = 0  # of the newest iterator
        self.newest = 0  # the era of the newest entry
        self.suspect = False
        # Called with the reference of an entry when its referent has died.
        self.forget = forget
        self.role = role  # of the weak side, for messages

    def __len__(self) -> int:
        if self.suspect:
            self.drop_dead()
        return len(self.index)

    def clear(self) -> None:
        # Not by dict.clear(): where `__eq__` clears the dict that is being searched, the
        # interpreter (3.11, 3.13) can insert the key in a place where it never finds it again.
        # What is under way on the old dict counts as done before this.
        self.index = {}

    def put(self, key: _K, value: _V) -> None:
        raise NotImplementedError

    def references(self) -> list[Any]:
        raise NotImplementedError

    def take_newest(self) -> tuple[_K, _V] | None:
        """Removes the newest live entry and returns it."""
        while True:
            try:
                item = self.index.popitem()
            except KeyError:
                return None
            referent = item[self.weak_side]()
            if referent is not None:
                return (item[0], referent) if self.weak_side else (referent, item[1])

    def extend(self, keys: Sequence[_K], values: Iterable[_V]) -> None:
        """Puts all, or none if one of them is of a type that cannot be here."""
        for referent in values if self.weak_side else keys:
            _require_referenceable(referent, self.role)
        for key in keys:
            _require_hashable(key)
        for key, value in zip(keys, values, strict=False):
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
            if reference() is None:
                self.forget(reference)

    def live_references(self) -> list[Any]:
        return [reference for reference in self.references() if reference() is not None]

    def walk(self, pick: Callable[..., Any], direction: Callable[..., Any] = iter) -> Iterator[Any]:
        """Iterates over what `pick` picks from (key, value, reference), for the entries that
        are here now and live when reached; `direction` is `iter` or `reversed`."""
        index = self.index
        era = self.era = _next_era()
        items = direction(index.items())
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
        weak_side = self.weak_side
        passed: list[object] = []
        in_hand: list[Any] = []
        rest = _rest(direction, index, passed, expected)
        for walks_index, source in ((True, _until_changed(items)), (False, rest)):
            for item in source:
                # Entries may have been moved, if as many were removed. No matter when that is
                # seen: it is for the order only that it should be soon.
                if walks_index and self.newest >= era:
                    break
                key, value = item
                reference = item[weak_side]
                if reference.era >= era:
                    continue
                passed.append(key)
                referent = reference()
                if referent is not None:
                    if weak_side:
                        in_hand.append(pick((key, referent, reference)))
                    else:
                        in_hand.append(pick((referent, value, reference)))
                    # Suspended, it keeps nothing alive that the loop lets go.
                    del item, key, value, reference, referent
                    yield in_hand.pop()

    def check(self) -> None:
        """Verifies the invariants; for tests."""
        index = self.index
        for key, value in list(index.items()):
            reference = (key, value)[self.weak_side]

            def shown(item: object = (key, value)) -> str:
                return f"{item!r} in {index!r}, era {self.era}, suspect {self.suspect}"

            assert reference.era <= self.era, f"entry from the future: {shown()}"
            if reference() is not None:
                assert reference.__callback__ is self.forget, f"entry not watched: {shown()}"
                assert key in index, f"entry not found by its key: {shown()}"
            if self.weak_side:
                assert reference.key is key, f"entry with another key: {shown()}"
        assert len(self.live_references()) <= len(self) <= len(index), f"wrong length: {index!r}"


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
    weak_side = 0
    index: dict[ref[_K], _V]

    def __init__(self, role: str = "keys of a weak dictionary") -> None:
        owner: ref[Any] = ref(self)

        # A default argument, not a closure, and a weak one: no table is in a cycle.
        def forget(entry: object, *, owner: ref[Any] = owner) -> None:
            entries = owner()
            # Anybody can reach this function by `__callback__` and call it at any time.
            if entries is not None and isinstance(entry, _KeyEntry) and entry() is None:
                entries.index.pop(entry, None)

        super().__init__(forget, role)

    def references(self) -> list[Any]:
        return list(self.index)

    def _entry(self, key: _K) -> _KeyEntry[_K]:
        if _callback_may_be_skipped():
            self.suspect = True
        entry = _KeyEntry(key, self.forget)
        entry.era = self.newest = self.era
        return entry

    def contains(self, key: object) -> bool:
        try:
            wanted = ref(key)
        except TypeError:
            return False
        return wanted in self.index

    def find(self, key: _K) -> _V:
        """The value, or _MISSING."""
        try:
            value: Any = self.index.get(ref(key), _MISSING)
            return cast(_V, value)
        except TypeError:
            _require_referenceable(key, self.role)
            raise

    def put(self, key: _K, value: _V) -> None:
        try:
            self.index[self._entry(key)] = value
        except TypeError:
            _require_referenceable(key, self.role)
            raise

    def put_default(self, key: _K, default: _V) -> _V:
        value = self.find(key)
        if value is _MISSING:
            value = self.index.setdefault(self._entry(key), default)
        return value

    def take(self, key: _K) -> _V:
        """Removes the entry and returns its value, or _MISSING."""
        try:
            value: Any = self.index.pop(ref(key), _MISSING)
            return cast(_V, value)
        except TypeError:
            _require_referenceable(key, self.role)
            raise


class _ValueEntries(_Entries[_K, _V]):
    """From keys to references of values. A dead reference can be met under its key."""

    __slots__ = ()
    weak_side = 1
    index: dict[_K, _ValueEntry[_K, _V]]

    def __init__(self) -> None:
        owner: ref[Any] = ref(self)

        def forget(entry: object, *, owner: ref[Any] = owner) -> None:
            entries = owner()
            if entries is not None and isinstance(entry, _ValueEntry):
                _remove_if_dead(entries.index, cast(Any, entry).key)

        super().__init__(forget, "values of a weak dictionary")

    def references(self) -> list[Any]:
        return list(self.index.values())

    def _entry(self, key: _K, value: _V) -> _ValueEntry[_K, _V]:
        if _callback_may_be_skipped():
            self.suspect = True
        try:  # past the constructor, which is for users and several times slower
            entry: _ValueEntry[_K, _V] = cast(Any, ref).__new__(_ValueEntry, value, self.forget)
        except TypeError:
            _require_referenceable(value, self.role)
            raise
        entry.key = key
        entry.era = self.newest = self.era
        return entry

    def contains(self, key: object) -> bool:
        return self.find(cast(_K, key)) is not _MISSING

    def find(self, key: _K) -> _V:
        """The value, or _MISSING."""
        entry = self.index.get(key)
        if entry is None:
            return cast(_V, _MISSING)
        value = entry()
        if value is None:
            _remove_if_dead(self.index, key)
            return cast(_V, _MISSING)
        return value

    def put(self, key: _K, value: _V) -> None:
        entry = self._entry(key, value)
        index = self.index
        while (found := index.setdefault(key, entry)) is not entry:
            if found() is None:
                _remove_if_dead(index, key)
                continue
            # It takes over the entry: its place, its key and, for iterators, its age.
            entry.key = found.key
            entry.era = found.era
            index[key] = entry
            return

    def put_default(self, key: _K, default: _V) -> _V:
        value = self.find(key)
        if value is not _MISSING:
            return value
        entry = self._entry(key, default)
        while (found := self.index.setdefault(key, entry)) is not entry:
            live = found()
            if live is not None:
                return live
            _remove_if_dead(self.index, key)
        return default

    def take(self, key: _K) -> _V:
        """Removes the entry and returns its value, or _MISSING."""
        entry = self.index.pop(key, None)
        value = None if entry is None else entry()
        return cast(_V, _MISSING) if value is None else value


class _Table(Generic[_K, _V]):
    """What all tables share."""

    # One attribute, with a name that no subclass of a container uses by chance.
    __slots__ = ("__weakref__", "_weak_entries")
    _weak_entries: "_KeyEntries[_K, _V] | _ValueEntries[_K, _V]"

    def __len__(self) -> int:
        return len(self._weak_entries)

    def __contains__(self, key: object, /) -> bool:
        return self._weak_entries.contains(key)

    def __iter__(self) -> Iterator[_K]:
        return self._weak_entries.walk(_key)

    def __reversed__(self) -> Iterator[_K]:
        """Return an iterator over the live keys or members, newest first."""
        return self._weak_entries.walk(_key, reversed)

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
    """What the two mappings share."""

    __slots__ = ()

    def __getitem__(self, key: _K, /) -> _V:
        value = self._weak_entries.find(key)
        if value is _MISSING:
            if not hasattr(type(self), "__missing__"):
                raise KeyError(key)
            return cast(_V, cast(Any, self).__missing__(key))
        return value

    def __setitem__(self, key: _K, value: _V, /) -> None:
        self._weak_entries.put(key, value)

    def __delitem__(self, key: _K, /) -> None:
        if self._weak_entries.take(key) is _MISSING:
            raise KeyError(key)

    def keys(self) -> Iterator[_K]:
        """Return an iterator over the live keys."""
        return self._weak_entries.walk(_key)

    def values(self) -> Iterator[_V]:
        """Return an iterator over the values of live entries."""
        return self._weak_entries.walk(_value)

    def _items(self) -> Iterator[tuple[_K, _V]]:
        return self._weak_entries.walk(_pair)

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
        return self._weak_entries.put_default(key, default)

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
        item = self._weak_entries.take_newest()
        if item is None:
            raise KeyError("popitem(): the dictionary is empty")
        return item

    def __reduce__(self) -> Any:
        raise TypeError(f"cannot pickle '{type(self).__name__}' object")

    def _extend(self, keys: list[_K], values: list[_V], /) -> None:
        """Store lists of keys and values: all, or none if one is of a type that this
        dictionary cannot hold."""
        self._weak_entries.extend(keys, values)


class WeakKeyTable(_MappingTable[_K, _V]):
    """The table of a dictionary with weak keys."""

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._weak_entries = _KeyEntries()
        return self

    # Not in the base: by it a container tells another of its kind from one of the other kind.
    def items(self) -> Iterator[tuple[_K, _V]]:
        """Return an iterator over the live entries as (key, value)."""
        return self._items()

    def keyrefs(self) -> list[ref[_K]]:
        """Return a list of the references to the live keys. O(n)."""
        return self._weak_entries.live_references()


class WeakValueTable(_MappingTable[_K, _V]):
    """The table of a dictionary with weak values."""

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._weak_entries = _ValueEntries()
        return self

    def items(self) -> Iterator[tuple[_K, _V]]:
        """Return an iterator over the live entries as (key, value)."""
        return self._items()

    def valuerefs(self) -> list[KeyedRef[_K, _V]]:
        """Return a list of the references to the live values. O(n)."""
        return self._weak_entries.live_references()

    def itervaluerefs(self) -> Iterator[KeyedRef[_K, _V]]:
        """Return an iterator over the references to the live values."""
        return self._weak_entries.walk(_reference)

    def _getref(self, key: _K, /) -> KeyedRef[_K, _V]:
        """Return the reference to the value for a key."""
        entries = cast("_ValueEntries[_K, _V]", self._weak_entries)
        reference = None if entries.find(key) is _MISSING else entries.index.get(key)
        if reference is None:
            raise KeyError(key)
        return reference


class WeakSetTable(_Table[_T, None]):
    """The table of a set of weakly referenced members: keys without values."""

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._weak_entries = _KeyEntries("members of a weak set")
        return self

    def add(self, member: _T, /) -> None:
        """Add a member, unless an equal one is there. O(1)."""
        self._weak_entries.put(member, None)

    def discard(self, member: _T, /) -> None:
        """Remove a member if it is there. O(1)."""
        self._weak_entries.take(member)

    def remove(self, member: _T, /) -> None:
        """Remove a member; raise KeyError if it is not there. O(1)."""
        if cast(Any, self._weak_entries).take(member) is _MISSING:
            raise KeyError(member)

    def pop(self) -> _T:
        """Remove and return the newest live member. Raise KeyError if there is none."""
        item = self._weak_entries.take_newest()
        if item is None:
            raise KeyError("pop from an empty weak set")
        return item[0]

    def _refs(self) -> list[ref[_T]]:
        """Return a list of the references to live members."""
        return self._weak_entries.live_references()

    def _extend(self, members: list[_T], /) -> None:
        """Add a list of members: all, or none if one is of a type that a set cannot hold."""
        self._weak_entries.extend(members, repeat(None))


# The live finalizers, oldest first. By id, because a subclass may define equality.
_finalizers: "dict[int, Finalizer]" = {}
_created = count(1).__next__
_finalizers_created = 0
_exit_registered = False
_stopped = False

_Content: TypeAlias = tuple[Any, tuple[Any, ...], dict[str, Any]]
_Call: TypeAlias = tuple[Any, Any, tuple[Any, ...], dict[str, Any]]


class Finalizer:
    """A call that waits for the death of an object."""

    # The reference calls the finalizer: they and the registry keep each other alive until
    # the finalizer is dead. Then `_content` is (None, (), {}).
    __slots__ = ("_atexit", "_content", "_reference")
    _reference: ref[Any] | None
    _content: _Content

    def __init__(self, obj: Any, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        global _exit_registered, _finalizers_created
        # As late as this, so that it is called before what was registered earlier.
        if not _exit_registered:
            atexit.register(cast(Any, type(self))._exitfunc)
            _exit_registered = True
        if self.alive:
            raise TypeError("a live finalizer cannot be initialized again")
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
        self._reference = None
        self._content = (None, (), {})
        return content

    def __call__(self, _: Any = None) -> Any:
        content = self._take()
        if content is None or _stopped:
            return None
        func, args, kwargs = content
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
