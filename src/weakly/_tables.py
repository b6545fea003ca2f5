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
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count
from operator import itemgetter
from types import GenericAlias
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast, overload
from weakref import ref

# Removes a key from a dict if it maps to a dead reference, as one atomic step.
from _weakref import _remove_dead_weakref as _remove_if_dead

if TYPE_CHECKING:
    from typing import Generic
else:

    class Generic:
        """Nothing at run time: `typing.Generic` would stand among the bases of every
        container and count its type arguments, which the stdlib's containers do not."""

        def __class_getitem__(cls, _):
            return object


__all__ = [
    "Finalizer",
    "KeyedRef",
    "WeakKeyTable",
    "WeakSetTable",
    "WeakValueTable",
    "live_finalizers",
    "stop_finalizers",
]

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")
_D = TypeVar("_D")

# Typed as what it stands in for, which keeps the signatures below readable.
_MISSING: Any = object()

_next_era = count(1).__next__


# Callbacks that CPython skips. From 3.14.3 on, a reference made by a finalizer in a garbage
# cycle to an object of that cycle is cleared without its callback. A table that was inserted
# into during a collection is therefore suspect: it looks for dead entries before it counts.

_CALLBACKS_CAN_BE_SKIPPED = sys.implementation.name == "cpython" and sys.version_info >= (3, 14)
_collecting = False


def _note_collection(phase: str, _: dict[str, int]) -> None:
    global _collecting
    _collecting = phase == "start"


def _callback_may_be_skipped() -> bool:
    """Whether a reference made now may be cleared without its callback."""
    if not _CALLBACKS_CAN_BE_SKIPPED:
        return False
    if _note_collection not in gc.callbacks:  # the first time, or a program cleared the list
        gc.callbacks.append(_note_collection)
        return True
    return _collecting


def _require_referenceable(obj: object) -> None:
    try:
        ref(obj)
    except TypeError:
        raise TypeError(
            f"cannot create weak reference to '{type(obj).__name__}' object: "
            "use an object of a class that has a __weakref__ slot"
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
        super().__init__(ob, cast(Any, callback))


class _KeyEntry(ref[_T]):
    __slots__ = ("era",)
    era: int


class _ValueEntry(KeyedRef[_K, _T]):
    __slots__ = ("era",)
    era: int


_Item: TypeAlias = tuple[Any, Any]


class _Entries(Generic[_K, _V]):
    """The entries of a table; the subclasses know which side of them is weak."""

    __slots__ = ("__weakref__", "era", "forget", "index", "suspect")
    weak_side: int
    index: dict[Any, Any]
    # Called with the reference of an entry whose referent has died. It knows its entries
    # through a weak reference, or it would make a cycle of every table.
    forget: Callable[[Any], None]

    def __init__(self) -> None:
        self.index = {}
        self.era = 0
        self.suspect = False

    def __len__(self) -> int:
        if self.suspect:
            self.drop_dead()
        return len(self.index)

    def references(self) -> list[Any]:
        raise NotImplementedError

    def drop_dead(self) -> None:
        """Removes the entries whose references died without their callbacks."""
        # First, so that an insertion from within a collection meanwhile is not forgotten.
        self.suspect = _callback_may_be_skipped()
        for reference in self.references():
            if reference() is None:
                self.forget(reference)

    def live_references(self) -> list[Any]:
        return [reference for reference in self.references() if reference() is not None]

    def walk(
        self, direction: Callable[[Iterable[_Item]], Iterator[_Item]] = iter
    ) -> Iterator[tuple[_K, _V, Any]]:
        """Iterates over (key, value, reference) of the entries that are here now and live
        when reached, whatever happens meanwhile; `direction` is `iter` or `reversed`."""
        era = self.era = _next_era()
        items = direction(cast(Iterable[_Item], self.index.items()))
        # Not before `items` was made: too high costs a copy, too low could lose an entry.
        return self._visit(direction, items, len(self.index), era)

    def _visit(
        self,
        direction: Callable[[Iterable[_Item]], Iterator[_Item]],
        items: Iterator[_Item],
        expected: int,
        era: int,
    ) -> Iterator[tuple[_K, _V, Any]]:
        weak_side = self.weak_side
        passed: list[object] = []
        in_hand: list[tuple[_K, _V, Any]] = []
        item = key = value = reference = referent = None
        for item in chain(_until_changed(items), self._rest(direction, passed, expected)):
            key, value = item
            reference = item[weak_side]
            if reference.era >= era:
                continue
            passed.append(key)
            referent = reference()
            if referent is None:
                continue
            if weak_side:
                in_hand.append((key, referent, reference))
            else:
                in_hand.append((referent, value, reference))
            # A suspended iterator keeps nothing alive that the loop has let go.
            item = key = value = reference = referent = None
            yield in_hand.pop()

    def _rest(
        self,
        direction: Callable[[Iterable[_Item]], Iterator[_Item]],
        passed: list[object],
        expected: int,
    ) -> Iterator[_Item]:
        """The items not passed yet, once walking the dict has come to its end.

        Comparing numbers also sees what the dict's iterator does not: entries that it
        jumped over because as many were inserted as removed, and the dict moved them.
        """
        if len(passed) < expected:
            known = set(map(id, passed))
            rest = [item for item in _copy_of(self.index.items()) if id(item[0]) not in known]
            yield from direction(rest)

    def check(self) -> None:
        """Verifies the invariants; for tests."""
        index = self.index
        for key, value in _copy_of(index.items()):
            reference = (key, value)[self.weak_side]
            shown = f"{key!r}: {value!r} in {index!r}, era {self.era}, suspect {self.suspect}"
            assert reference.era <= self.era, f"entry from the future: {shown}"
            if reference() is not None:
                assert reference.__callback__ is self.forget, f"entry not watched: {shown}"
                assert key in index, f"entry not found by its key: {shown}"
            if self.weak_side:
                assert reference.key is key, f"entry with another key: {shown}"
        assert len(self.live_references()) <= len(self) <= len(index), f"wrong length: {index!r}"


def _until_changed(items: Iterator[_Item]) -> Iterator[_Item]:
    try:
        yield from items
    except RuntimeError:  # "dictionary changed size during iteration"
        return


def _copy_of(items: Iterable[_Item]) -> list[_Item]:
    while True:
        try:
            return list(items)
        except RuntimeError:  # the tuples made a collection start, which changed the dict
            continue


class _KeyEntries(_Entries[_K, _V]):
    """From references of keys to values: dead references equal nothing but themselves, so a
    lookup never meets one, and a dead entry is found by its very reference."""

    __slots__ = ()
    weak_side = 0
    index: dict[ref[_K], _V]

    def __init__(self) -> None:
        super().__init__()

        def forget(entry: _KeyEntry[_K], owner: ref[_KeyEntries[_K, _V]] = ref(self)) -> None:
            entries = owner()
            # Anybody can reach this function by `__callback__` and call it at any time.
            if entries is not None and entry() is None:
                entries.index.pop(entry, None)

        self.forget = forget

    def references(self) -> list[Any]:
        return list(self.index)

    def _entry(self, key: _K) -> _KeyEntry[_K]:
        if _callback_may_be_skipped():
            self.suspect = True
        entry = _KeyEntry(key, self.forget)
        entry.era = self.era
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
            return self.index.get(ref(key), _MISSING)
        except TypeError:
            _require_referenceable(key)
            raise

    def put(self, key: _K, value: _V) -> None:
        try:
            self.index[self._entry(key)] = value
        except TypeError:
            _require_referenceable(key)
            raise

    def put_default(self, key: _K, default: _V) -> _V:
        value = self.find(key)
        if value is _MISSING:
            value = self.index.setdefault(self._entry(key), default)
        return value

    def take(self, key: _K) -> _V:
        """Removes the entry and returns its value, or _MISSING."""
        try:
            return self.index.pop(ref(key), _MISSING)
        except TypeError:
            _require_referenceable(key)
            raise

    def take_newest(self) -> tuple[_K, _V]:
        """Removes the newest live entry and returns it; KeyError if there is none."""
        while True:
            entry, value = self.index.popitem()
            key = entry()
            if key is not None:
                return key, value

    def extend(self, keys: list[_K], values: Iterable[_V]) -> None:
        for key in keys:
            _require_referenceable(key)
            _require_hashable(key)
        for key, value in zip(keys, values, strict=False):
            self.put(key, value)


class _ValueEntries(_Entries[_K, _V]):
    """From keys to references of values. A dead reference can be met under its key."""

    __slots__ = ()
    weak_side = 1
    index: dict[_K, _ValueEntry[_K, _V]]

    def __init__(self) -> None:
        super().__init__()

        def forget(
            entry: _ValueEntry[_K, _V], owner: ref[_ValueEntries[_K, _V]] = ref(self)
        ) -> None:
            entries = owner()
            if entries is not None:
                _remove_if_dead(entries.index, entry.key)

        self.forget = forget

    def references(self) -> list[Any]:
        return list(self.index.values())

    def _entry(self, key: _K, value: _V) -> _ValueEntry[_K, _V]:
        if _callback_may_be_skipped():
            self.suspect = True
        try:  # past the constructor, which is for users and several times slower
            entry: _ValueEntry[_K, _V] = ref.__new__(_ValueEntry, value, self.forget)
        except TypeError:
            _require_referenceable(value)
            raise
        entry.key = key
        entry.era = self.era
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

    def find_reference(self, key: _K) -> _ValueEntry[_K, _V] | None:
        return None if self.find(key) is _MISSING else self.index.get(key)

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

    def take_newest(self) -> tuple[_K, _V]:
        """Removes the newest live entry and returns it; KeyError if there is none."""
        while True:
            key, entry = self.index.popitem()
            value = entry()
            if value is not None:
                return key, value

    def extend(self, keys: list[_K], values: list[_V]) -> None:
        for value in values:
            _require_referenceable(value)
        for key in keys:
            _require_hashable(key)
        for key, value in zip(keys, values, strict=False):
            self.put(key, value)


_first, _second, _third, _pair = itemgetter(0), itemgetter(1), itemgetter(2), itemgetter(0, 1)


class _MappingTable(Generic[_K, _V]):
    """What the two mappings share."""

    # One attribute, with a name that no subclass of a container uses by chance.
    __slots__ = ("__weakref__", "_weak_entries")
    _weak_entries: "_KeyEntries[_K, _V] | _ValueEntries[_K, _V]"

    __class_getitem__ = classmethod(GenericAlias)

    def __len__(self) -> int:
        return len(self._weak_entries)

    def __getitem__(self, key: _K, /) -> _V:
        value = self._weak_entries.find(key)
        if value is _MISSING:
            missing = getattr(type(self), "__missing__", None)
            if missing is None:
                raise KeyError(key)
            return cast(_V, missing(self, key))
        return value

    def __setitem__(self, key: _K, value: _V, /) -> None:
        self._weak_entries.put(key, value)

    def __delitem__(self, key: _K, /) -> None:
        if self._weak_entries.take(key) is _MISSING:
            raise KeyError(key)

    def __contains__(self, key: object, /) -> bool:
        return self._weak_entries.contains(key)

    def __iter__(self) -> Iterator[_K]:
        return map(_first, self._weak_entries.walk())

    def __reversed__(self) -> Iterator[_K]:
        return map(_first, self._weak_entries.walk(cast(Any, reversed)))

    def keys(self) -> Iterator[_K]:
        """Return an iterator over the keys, in insertion order."""
        return map(_first, self._weak_entries.walk())

    def values(self) -> Iterator[_V]:
        """Return an iterator over the values, in insertion order."""
        return map(_second, self._weak_entries.walk())

    def items(self) -> Iterator[tuple[_K, _V]]:
        """Return an iterator over the (key, value) pairs, in insertion order."""
        return map(_pair, self._weak_entries.walk())

    @overload
    def get(self, key: _K, default: None = None) -> _V | None: ...
    @overload
    def get(self, key: _K, default: _D) -> _V | _D: ...
    def get(self, key: _K, default: Any = None) -> Any:
        """Return the value of the key, or default if the key is absent."""
        value = self._weak_entries.find(key)
        return default if value is _MISSING else value

    def setdefault(self, key: _K, default: _V = cast(Any, None)) -> _V:
        """Return the value of the key; if it is absent, insert it with default first."""
        return self._weak_entries.put_default(key, default)

    @overload
    def pop(self, key: _K, /) -> _V: ...
    @overload
    def pop(self, key: _K, default: _D, /) -> _V | _D: ...
    def pop(self, key: _K, default: Any = _MISSING, /) -> Any:
        """Remove the key and return its value.

        If the key is absent, return default if given, otherwise raise KeyError.
        """
        value = self._weak_entries.take(key)
        if value is not _MISSING:
            return value
        if default is _MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[_K, _V]:
        """Remove and return the newest (key, value) pair; raise KeyError if there is none."""
        return self._weak_entries.take_newest()

    def clear(self) -> None:
        """Remove all entries."""
        self._weak_entries.index.clear()

    def _extend(self, keys: list[_K], values: list[_V], /) -> None:
        self._weak_entries.extend(keys, values)

    def _check(self) -> None:
        self._weak_entries.check()


class WeakKeyTable(_MappingTable[_K, _V]):
    """A mapping whose entries live as long as their keys."""

    __slots__ = ()
    _weak_entries: _KeyEntries[_K, _V]

    def __new__(cls, *args: Any, **kwargs: Any) -> "WeakKeyTable[_K, _V]":
        self = super().__new__(cls)
        self._weak_entries = _KeyEntries()
        return self

    def keyrefs(self) -> list[ref[_K]]:
        """Return a list of weak references to the keys."""
        return self._weak_entries.live_references()

    def _merge(self, other: "WeakKeyTable[_K, _V]", /) -> None:
        for key, value, _ in other._weak_entries.walk():
            self._weak_entries.put(key, value)


class WeakValueTable(_MappingTable[_K, _V]):
    """A mapping whose entries live as long as their values."""

    __slots__ = ()
    _weak_entries: _ValueEntries[_K, _V]

    def __new__(cls, *args: Any, **kwargs: Any) -> "WeakValueTable[_K, _V]":
        self = super().__new__(cls)
        self._weak_entries = _ValueEntries()
        return self

    def valuerefs(self) -> list[KeyedRef[_K, _V]]:
        """Return a list of weak references to the values."""
        return self._weak_entries.live_references()

    def itervaluerefs(self) -> Iterator[KeyedRef[_K, _V]]:
        """Return an iterator over weak references to the values."""
        return map(_third, self._weak_entries.walk())

    def _getref(self, key: _K, /) -> KeyedRef[_K, _V]:
        reference = self._weak_entries.find_reference(key)
        if reference is None:
            raise KeyError(key)
        return reference

    def _merge(self, other: "WeakValueTable[_K, _V]", /) -> None:
        for key, value, _ in other._weak_entries.walk():
            self._weak_entries.put(key, value)


class WeakSetTable(Generic[_T]):
    """A set whose items leave it when they die: the keys of a table without values."""

    __slots__ = ("__weakref__", "_weak_entries")
    _weak_entries: _KeyEntries[_T, None]

    __class_getitem__ = classmethod(GenericAlias)

    def __new__(cls, *args: Any, **kwargs: Any) -> "WeakSetTable[_T]":
        self = super().__new__(cls)
        self._weak_entries = _KeyEntries()
        return self

    def __len__(self) -> int:
        return len(self._weak_entries)

    def __contains__(self, item: object, /) -> bool:
        return self._weak_entries.contains(item)

    def __iter__(self) -> Iterator[_T]:
        return map(_first, self._weak_entries.walk())

    def __reversed__(self) -> Iterator[_T]:
        return map(_first, self._weak_entries.walk(cast(Any, reversed)))

    def add(self, item: _T, /) -> None:
        """Add the item; nothing changes if the set has an equal one."""
        self._weak_entries.put_default(item, None)

    def discard(self, item: _T, /) -> None:
        """Remove the item if the set has it."""
        self._weak_entries.take(item)

    def remove(self, item: _T, /) -> None:
        """Remove the item; raise KeyError if the set does not have it."""
        if self._weak_entries.take(item) is _MISSING:
            raise KeyError(item)

    def pop(self) -> _T:
        """Remove and return the newest item; raise KeyError if the set is empty."""
        try:
            return self._weak_entries.take_newest()[0]
        except KeyError:
            raise KeyError("pop from empty WeakSet") from None

    def clear(self) -> None:
        """Remove all items."""
        self._weak_entries.index.clear()

    def _refs(self) -> list[ref[_T]]:
        return self._weak_entries.live_references()

    def _extend(self, items: list[_T], /) -> None:
        for item in items:
            _require_referenceable(item)
            _require_hashable(item)
        for item in items:
            self._weak_entries.put_default(item, None)

    def _merge(self, other: "WeakSetTable[_T]", /) -> None:
        for item, _, _ in other._weak_entries.walk():
            self._weak_entries.put_default(item, None)

    def _check(self) -> None:
        self._weak_entries.check()


# By id, because a subclass may define equality; being here is what "alive" means.
_finalizers: "dict[int, Finalizer]" = {}
_registered_with_atexit = False
_stopped = False

_Call: TypeAlias = tuple[Any, Any, tuple[Any, ...], dict[str, Any]]


class Finalizer:
    """A call that is made once, when an object dies or when it is asked for."""

    __slots__ = ("_args", "_atexit", "_func", "_kwargs", "_reference")
    _reference: ref[Any] | None

    def __init__(self, obj: Any, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        global _registered_with_atexit
        if not _registered_with_atexit and hasattr(type(self), "_exitfunc"):
            _registered_with_atexit = True
            atexit.register(cast(Any, type(self))._exitfunc)
        try:
            self._reference = ref(obj, self)
        except TypeError:
            _require_referenceable(obj)
            raise
        self._func = func
        self._args = args
        self._kwargs = kwargs
        self._atexit = True
        _finalizers[id(self)] = self

    def _release(self) -> _Call | None:
        """Makes it dead and returns what it was to call; None if it was dead already.

        Of two threads that try, one gets the call.
        """
        if _finalizers.pop(id(self), None) is None:
            return None
        reference = self._reference
        obj = None if reference is None else reference()
        call = (obj, self._func, self._args, self._kwargs)
        self._reference = self._func = None
        self._args, self._kwargs = (), {}
        return call

    def __call__(self, _: Any = None) -> Any:
        """If alive, mark as dead and return func(*args, **kwargs); otherwise return None."""
        call = self._release()
        if call is None or _stopped:
            return None
        _, func, args, kwargs = call
        del call  # the object must not live on for as long as the function runs
        return func(*args, **kwargs)

    def detach(self) -> _Call | None:
        """If alive, mark as dead and return (obj, func, args, kwargs); otherwise return None."""
        return None if self.peek() is None else self._release()

    def peek(self) -> _Call | None:
        """If alive, return (obj, func, args, kwargs); otherwise return None."""
        reference = self._reference
        obj = None if reference is None else reference()
        if obj is None or not self.alive:
            return None
        return obj, self._func, self._args, self._kwargs

    @property
    def alive(self) -> bool:
        """Whether the finalizer is alive: not called and not detached."""
        return id(self) in _finalizers

    @property
    def atexit(self) -> bool:
        """Whether the finalizer is called at exit if it is still alive."""
        return self.alive and self._atexit

    @atexit.setter
    def atexit(self, value: bool) -> None:
        if self.alive:
            self._atexit = bool(value)

    def __repr__(self) -> str:
        call = self.peek()
        name = f"{type(self).__name__} object at {id(self):#x}"
        if call is None:
            return f"<{name}; dead>"
        return f"<{name}; for {type(call[0]).__name__!r} at {id(call[0]):#x}>"


def live_finalizers() -> list[Finalizer]:
    """Return the live finalizers, oldest first."""
    return list(_finalizers.values())


def stop_finalizers() -> None:
    """From now on a finalizer that is called dies without calling its function."""
    global _stopped
    _stopped = True
