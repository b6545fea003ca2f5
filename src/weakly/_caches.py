"""The caches in Python: what `caching` stands on where the C core is missing.

Same names and same contract as `_core` (see `_core.pyi`). The public names are at the end.

How it works. The entries of a cache are one `dict`, from each entry to itself, so that looking
up, storing and removing are one call into that `dict` each, atomic against other threads,
against deaths and against what `__eq__`, `__hash__` and `__del__` do to the same cache (as in
`_tables.py`). An entry that is being removed equals nothing but itself: removing runs nobody's
code.

The order of the entries (the window) cannot be kept in single steps, and a lock must not be
held where a finalizer, which can run between any two steps, might ask for it. So what is to be
done to the window is put into a queue, and whoever finds nobody at it works the queue off. No
code of users runs meanwhile, save for finalizers, and these only queue more. What has left the
window is let go afterwards.
"""

# The classes here know each other.
# pyright: reportPrivateUsage=false

import operator
import sys
import time
from _thread import allocate_lock
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from functools import _CacheInfo
from math import inf
from types import MethodType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast
from weakref import ref

from ._flights import agree, can_be_referenced
from ._tables import (
    WeakIdKeyTable,
    _callback_may_be_skipped,
    _new_dict,
)
from ._unraisable import report

if TYPE_CHECKING:
    from typing import Generic
else:
    from ._tables import Generic

__all__ = ["CacheTable", "CachedMethod", "CachedProperty", "Memo"]

_K = TypeVar("_K")
_V = TypeVar("_V")

_ABSENT: Any = object()

_Listener = Callable[[Any, Any, str], object]


# The window: which entries are held, and in which order they leave; the very policy of
# `core/window.h`, where it is explained. First the sketch: how often each hash was asked for
# lately, roughly and in little space.

_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
_WORD = 2**64 - 1
_MOST = 15
_SPAN = 5  # additions for each counter of a row until all are halved
_HALVED = bytes(count // 2 for count in range(256))


def _spread(hash: int, factor: int) -> int:
    mixed = hash * factor & _WORD
    return mixed ^ mixed >> 32


class _Sketch:
    """Rows of counters, found by hashes, of which the least counts."""

    __slots__ = ("additions", "rows", "width")

    def __init__(self) -> None:
        self.width = 16
        self.rows = [bytearray(self.width) for _ in _FACTORS]
        self.additions = 0

    def grow(self) -> None:
        self.width *= 2
        self.rows = [row * 2 for row in self.rows]

    def places(self, hash: int) -> list[int]:
        return [_spread(hash, factor) & (self.width - 1) for factor in _FACTORS]

    def count(self, hash: int) -> int:
        return min(row[place] for row, place in zip(self.rows, self.places(hash), strict=True))

    def add(self, hash: int) -> None:
        places = self.places(hash)
        least = min(row[place] for row, place in zip(self.rows, places, strict=True))
        if least < _MOST:
            for row, place in zip(self.rows, places, strict=True):
                if row[place] == least:
                    row[place] += 1
        self.additions += 1
        if self.additions >= _SPAN * self.width:
            self.rows = [row.translate(_HALVED) for row in self.rows]
            self.additions //= 2


_NONE, _REFUSED, _EVICTED = range(3)


class _Ghosts:
    """The hashes of some items that have left, and why they did."""

    __slots__ = ("counts", "slots")

    def __init__(self, size: int) -> None:
        self.slots = [(_NONE, 0)] * size
        self.counts = [size, 0, 0]

    def place(self, hash: int) -> int:
        return _spread(hash, _FACTORS[0]) & (len(self.slots) - 1)

    def add(self, kind: int, hash: int) -> None:
        place = self.place(hash)
        self.counts[self.slots[place][0]] -= 1
        self.counts[kind] += 1
        self.slots[place] = (kind, hash)

    def take(self, hash: int) -> tuple[int, int]:
        """Forgets one; returns its kind and how many of it there were."""
        place = self.place(hash)
        kind, found = self.slots[place]
        if kind == _NONE or found != hash:
            return _NONE, 0
        count = self.counts[kind]
        self.add(_NONE, hash)
        return kind, count

    def grown(self) -> "_Ghosts":
        new = _Ghosts(2 * len(self.slots))
        for kind, hash in self.slots:
            if kind != _NONE:
                new.add(kind, hash)
        return new


class _Item:
    """What the window has of an entry, and what the entry holds."""

    __slots__ = ("__weakref__", "deadline", "gone", "hash", "segment", "value", "weight")

    def __init__(self, hash: int, value: Any, weight: int, deadline: float) -> None:
        self.hash = hash
        self.value = value
        self.weight = weight
        self.deadline = deadline
        self.segment: _Segment | None = None  # of the window; None: outside
        self.gone = False  # it was removed from the cache


class _Segment:
    """Some items, from the oldest to the newest. Never compares them."""

    __slots__ = ("items", "weight")

    def __init__(self) -> None:
        self.items: OrderedDict[int, Any] = OrderedDict()  # by id
        self.weight = 0

    def oldest(self, other_than: Any = None) -> Any:
        """The oldest item, None if there is none."""
        for item in self.items.values():
            if item is not other_than:
                return item
        return None

    def add(self, item: Any) -> None:
        self.items[id(item)] = item
        self.weight += item.weight
        item.segment = self

    def remove(self, item: Any) -> None:
        del self.items[id(item)]
        self.weight -= item.weight
        item.segment = None

    def use(self, item: Any) -> None:
        self.items.move_to_end(id(item))


_RECENCY_WHOLE = 1024
_RECENCY_LEAST = 16
_RECENCY_STEP = 5
_RECENCY_TRUSTS = 64
_PROTECTED_SHARE = 80  # percent


class _Window:
    """At most so much weight of items. Unless it adapts, the least recently used leave."""

    __slots__ = (
        "adapts",
        "busy",
        "credit",
        "fresh",
        "fresh_limit",
        "ghosts",
        "left",
        "maxsize",
        "probation",
        "protected",
        "protected_limit",
        "queue",
        "recency",
        "segments",
        "sketch",
    )

    def __init__(self, maxsize: int, adapts: bool) -> None:
        self.maxsize = maxsize
        self.adapts = adapts
        self.fresh, self.probation, self.protected = _Segment(), _Segment(), _Segment()
        self.segments = (self.probation, self.protected, self.fresh)  # as they leave
        self.sketch = _Sketch()
        self.ghosts = _Ghosts(self.sketch.width // 2)
        self.credit = 0
        self._share(_RECENCY_WHOLE // 2 if adapts else _RECENCY_WHOLE)
        self.queue: deque[tuple[Callable[..., None], Any]] = deque()
        self.left: deque[Any] = deque()  # items that have left and are to be let go
        self.busy = allocate_lock()

    def _share(self, recency: int) -> None:
        self.recency = recency
        self.fresh_limit = max(1, self.maxsize * recency // _RECENCY_WHOLE)
        self.protected_limit = (self.maxsize - self.fresh_limit) * _PROTECTED_SHARE // 100

    @property
    def weight(self) -> int:
        return self.fresh.weight + self.probation.weight + self.protected.weight

    def __len__(self) -> int:
        return sum(len(segment.items) for segment in self.segments)

    # What can be done to it.

    def hit(self, item: Any) -> None:
        self._do(_Window._hit, item)

    def come_back(self, item: Any, value: Any) -> None:
        """As `hit`; an item that has left comes back, with its value."""
        self._do(_Window._come_back, (item, value))

    def insert(self, item: Any) -> None:
        self._do(_Window._insert, item)

    def remove(self, item: Any) -> None:
        self._do(_Window._remove, item)

    def shrink(self, weight: int) -> None:
        self._do(_Window._shrink, weight)

    def _do(self, step: Callable[..., None], argument: Any) -> None:
        self.queue.append((step, argument))
        while self.queue and self.busy.acquire(blocking=False):
            try:
                while self.queue:
                    step, argument = self.queue.popleft()
                    step(self, argument)
            finally:
                self.busy.release()

    # The steps, one at a time.

    def _come_back(self, returning: tuple[Any, Any]) -> None:
        item, value = returning
        self._hit(item)
        if not item.gone:
            # This after that: whoever lets go of the item in another thread looks at its
            # segment once the value is taken away.
            item.value = value

    def _hit(self, item: Any) -> None:
        if item.segment is None:
            self._insert(item)
            return
        if self.adapts:
            self.sketch.add(item.hash)
        if item.segment is not self.probation:
            item.segment.use(item)
            return
        self.probation.remove(item)
        self._protect(item)

    def _protect(self, item: Any) -> None:
        self.protected.add(item)
        while self.protected.weight > self.protected_limit:
            oldest = self.protected.oldest()
            self.protected.remove(oldest)
            self.probation.add(oldest)

    def _insert(self, item: Any) -> None:
        if item.gone or item.segment is not None:
            return  # removed, or asked for by somebody else, since this was queued
        if self.adapts:
            self.sketch.add(item.hash)
        if item.weight > self.maxsize:
            self.left.append(item)
            return
        if self.adapts and self._comes_back(item):
            self._protect(item)
        else:
            self.fresh.add(item)
        while self.fresh.weight > self.fresh_limit and len(self.fresh.items) > 1:
            candidate = self.fresh.oldest()
            self.fresh.remove(candidate)
            if self._make_room_for(candidate, item):
                self.probation.add(candidate)
            else:
                self.left.append(candidate)
        while self.weight > self.maxsize:
            oldest = self._coldest(item)
            self._remember(_EVICTED, oldest)
            oldest.segment.remove(oldest)
            self.left.append(oldest)

    def _comes_back(self, item: Any) -> bool:
        """Whether it left by mistake, which is learnt from."""
        while self.sketch.width < 2 * (len(self) + 1):
            self.sketch.grow()
            self.ghosts = self.ghosts.grown()
        ghosts = self.ghosts.counts[_REFUSED] + self.ghosts.counts[_EVICTED]
        kind, count = self.ghosts.take(item.hash)
        if kind == _NONE:
            return False
        # The rarer a kind is, the more it says.
        change = min(max(1, _RECENCY_STEP * ghosts // (2 * count)), 5 * _RECENCY_STEP)
        recency = self.recency + (change if kind == _REFUSED else -change)
        self._share(min(max(_RECENCY_LEAST, recency), _RECENCY_WHOLE))
        return self.recency >= _RECENCY_TRUSTS and bool(item.weight <= self.protected_limit)

    def _remember(self, kind: int, item: Any) -> None:
        if self.adapts:
            self.ghosts.add(kind, item.hash)

    def _coldest(self, newcomer: Any) -> Any:
        """The next to leave, other than one."""
        found = (segment.oldest(newcomer) for segment in self.segments)
        return next(item for item in found if item is not None)

    def _make_room_for(self, candidate: Any, newcomer: Any) -> bool:
        """Whether the candidate stays, for whom others, but not the newcomer, may have to
        leave."""
        while self.weight + candidate.weight > self.maxsize:
            segment = self.probation if self.probation.items else self.protected
            victim = segment.oldest()
            if victim is None:
                self._remember(_EVICTED, candidate)
                return False
            loses = self.sketch.count(candidate.hash) <= self.sketch.count(victim.hash)
            if loses and victim is not newcomer:
                self.credit += self.recency
                if self.credit >= _RECENCY_WHOLE:
                    self.credit -= _RECENCY_WHOLE
                    self._remember(_EVICTED, victim)
                    loses = False
            if loses or victim is newcomer:
                self._remember(_REFUSED, candidate)
                return False
            segment.remove(victim)
            self.left.append(victim)
        return True

    def _remove(self, item: Any) -> None:
        if item.segment is not None:
            item.segment.remove(item)

    def _shrink(self, weight: int) -> None:
        for segment in self.segments:
            while self.weight > weight and (oldest := segment.oldest()) is not None:
                segment.remove(oldest)
                self.left.append(oldest)

    def check(self) -> None:
        assert self.weight <= self.maxsize, f"{self.weight} in a window of {self.maxsize}"
        for segment in self.segments:
            weight = sum(item.weight for item in segment.items.values())
            assert weight == segment.weight, f"{weight} counted as {segment.weight}"
            for item in segment.items.values():
                assert item.segment is segment, "an item in a segment that is not its own"
                assert not item.gone, "a removed item in the window"


# Memoised functions


class _Decorated:
    """What is in place of a function, with the options of `cache`. It is pickled by its
    qualified name and not copied, as functions are."""

    # All ours is in slots: __dict__ is for what functools.update_wrapper() puts there.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_always_miss",
        "_by_identity",
        "_maxsize",
        "_miss",
        "_ttl",
        "_typed",
    )
    __qualname__: str

    def __init__(
        self,
        miss: Callable[..., Any] | None,
        maxsize: int | None,
        ttl: float | None,
        typed: bool,
        by_identity: bool,
        always_miss: bool,
    ) -> None:
        self._miss: Any = miss  # None: nobody calls it, a CachedMethod's memo
        self._maxsize = maxsize
        self._ttl = ttl
        self._typed = typed
        self._by_identity = by_identity
        self._always_miss = always_miss

    def cache_parameters(self) -> dict[str, Any]:
        """Return maxsize, ttl, typed and by as they were given."""
        return {
            "maxsize": self._maxsize,
            "ttl": self._ttl,
            "typed": self._typed,
            "by": "identity" if self._by_identity else "equality",
        }

    def __reduce__(self) -> str:
        return self.__qualname__

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __repr__(self) -> str:
        cls = type(self)
        name = getattr(self, "__qualname__", "?")
        return f"<{cls.__module__}.{cls.__name__} of {name} at {id(self):#x}>"


class _Argument(ref[Any]):
    """The reference of a call to an argument; when that dies, the call goes."""

    __slots__ = ("call",)
    call: "ref[_Call]"  # no cycle: the cache holds the call


class _Call(_Item):
    """A call: what is looked up and, in a memo, the entry with its result.

    In what is looked up the arguments are themselves, in an entry those that can be weakly
    referenced are by an `_Argument`.
    """

    __slots__ = ("arguments", "by_identity", "names", "typed")

    def __init__(self, memo: "Memo", args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        by_identity = memo._by_identity
        arguments = (*args, *kwargs.values()) if kwargs else args
        names = tuple(kwargs)
        hashes = [
            object.__hash__(argument)
            if by_identity and can_be_referenced(argument)
            else hash(argument)
            for argument in arguments
        ]
        super().__init__(hash((*hashes, *names)), _ABSENT, 1, inf)
        self.arguments: Sequence[Any] = arguments
        self.names = names
        self.by_identity = by_identity
        self.typed = memo._typed

    def watch(self, callback: Callable[[Any], None]) -> None:
        """Makes it one for an entry."""
        watched: list[Any] = []
        for argument in self.arguments:
            try:
                argument = _Argument(argument, callback)
            except TypeError:
                pass
            else:
                argument.call = ref(self)
            watched.append(argument)
        self.arguments = watched

    def is_dead(self) -> bool:
        return any(type(each) is _Argument and each() is None for each in self.arguments)

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, _Call) or self.gone or other.gone:
            return False
        if self.hash != other.hash or self.names != other.names:
            return False
        if len(self.arguments) != len(other.arguments):
            return False
        return all(map(self._agree, self.arguments, other.arguments))

    def _agree(self, mine: Any, theirs: Any) -> bool:
        if type(mine) is _Argument and (mine := mine()) is None:
            return False
        if type(theirs) is _Argument and (theirs := theirs()) is None:
            return False
        return agree(mine, theirs, self.typed, self.by_identity)


class Memo(_Decorated):
    """A function that remembers its results by the arguments."""

    __slots__ = (
        "_calls",
        "_earliest",
        "_forget",
        "_generation",
        "_hits",
        "_misses",
        "_suspect",
        "_unswept",
        "_window",
    )
    _calls: "dict[_Call, _Call]"
    _earliest: float  # no entry expires before that
    _hits: int
    _misses: int
    _unswept: int  # stores since expired entries were looked for
    _window: "_Window | None"

    def __init__(self, miss: Callable[..., Any] | None, *options: Any) -> None:
        super().__init__(miss, *options)
        self._forget = _forgets_calls(self)
        self._calls = _new_dict()
        self._window = None if self._maxsize is None else _Window(self._maxsize, adapts=False)
        self._earliest = inf
        self._unswept = 0
        self._suspect = False
        self._generation = 0
        self._hits = self._misses = 0

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if not self._always_miss:
            value = self._find(args, kwargs, _ABSENT)
            if value is not _ABSENT:
                self._hits += 1
                return value
        return self._miss(self, args, kwargs)

    def __get__(self, obj: object, owner: type | None = None) -> Any:
        return self if obj is None else MethodType(self, obj)

    def _hash(self, args: tuple[Any, ...], kwargs: dict[str, Any], /) -> int:
        """Return the hash of a call."""
        return _Call(self, args, kwargs).hash

    def _find(self, args: tuple[Any, ...], kwargs: dict[str, Any], default: Any, /) -> Any:
        """Return the result that is here for a call, or the default. Counts nothing."""
        call: _Call | None = self._calls.get(_Call(self, args, kwargs))
        if call is None:
            return default
        if call.deadline < inf and call.deadline <= time.monotonic():
            self._drop(call)
            return default
        if self._window is not None:
            self._window.hit(call)
        return call.value

    def _store(self, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any, /) -> Any:
        """Store the result of a call; return it, or the one that is there already."""
        new = _Call(self, args, kwargs)
        new.watch(self._forget)
        new.value = value
        if self._ttl is not None:
            new.deadline = time.monotonic() + self._ttl
            self._earliest = min(self._earliest, new.deadline)
        if _callback_may_be_skipped():
            self._suspect = True
        while True:
            calls = self._calls
            found = calls.setdefault(new, new)
            if found is new:
                if calls is self._calls or new.gone:
                    break
                continue  # cleared meanwhile, too early for this one
            if found.deadline > time.monotonic():
                return found.value
            self._drop(found)
        if self._window is not None:
            self._window.insert(new)
            self._let_go()
        self._unswept += 1
        if self._earliest < inf and self._unswept > len(self._calls) // 2:
            self._sweep()  # entries that nobody asks for expire, too
        return value

    def _let_go(self) -> None:
        left = cast(_Window, self._window).left
        while left:
            try:
                self._drop(left.popleft())
            except IndexError:  # somebody else has taken the last
                return

    def _drop(self, call: _Call) -> bool:
        """Removes an entry; returns whether it was there."""
        call.gone = True
        removed = self._calls.pop(call, None) is not None
        if self._window is not None:
            self._window.remove(call)
        return removed

    def _sweep(self) -> None:
        now = time.monotonic()
        # In this order, so that what is stored meanwhile is not forgotten.
        self._earliest = inf
        self._unswept = 0
        self._suspect = False
        if _callback_may_be_skipped():
            self._suspect = True
        for call in list(self._calls):
            if call.deadline <= now or call.is_dead():
                self._drop(call)
            else:
                self._earliest = min(self._earliest, call.deadline)

    def _discard(self, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any, /) -> bool:
        """Remove the entry of a call if its result is this; return whether it was."""
        call = self._calls.get(_Call(self, args, kwargs))
        return call is not None and call.value is value and self._drop(call)

    def _count(self, hit: bool, /) -> None:
        """Count a hit or a miss."""
        # CPython never switches threads within one of these.
        if hit:
            self._hits += 1
        else:
            self._misses += 1

    def cache_info(self) -> _CacheInfo:
        """Return the numbers of hits and misses, the bound and the number of entries."""
        if self._suspect or self._earliest <= time.monotonic():
            self._sweep()
        return _CacheInfo(self._hits, self._misses, self._maxsize, len(self._calls))

    def cache_clear(self) -> None:
        """Forget all results and counts."""
        self._generation += 1
        # Not by dict.clear(), see _tables.py.
        calls, self._calls = self._calls, _new_dict()
        for call in list(calls):
            call.gone = True
            if self._window is not None:
                self._window.remove(call)
        self._hits = self._misses = 0

    def cache_discard(self, /, *args: Any, **kwargs: Any) -> bool:
        """Forget the result of one call; return whether there was one."""
        self._generation += 1
        call = self._calls.get(_Call(self, args, kwargs))
        if call is None:
            return False
        expired = call.deadline <= time.monotonic()
        return self._drop(call) and not expired

    def _check(self) -> None:
        """Verify every invariant."""
        calls = list(self._calls)
        assert len(calls) == len(self._calls)
        for call in calls:
            assert not call.gone, f"a removed call is there: {call.arguments}"
            assert call.deadline >= self._earliest, "a call that expires too early"
            if not call.is_dead():
                assert self._calls.get(call) is call, f"a call that is not found: {call.arguments}"
            for argument in call.arguments:
                if type(argument) is _Argument:
                    assert argument.call() is call, "an argument of another call"
                    assert argument() is None or argument.__callback__ is self._forget
        if self._window is not None:
            self._window.check()
            assert len(self._window) == len(calls), "the window has other calls"


def _forgets_calls(memo: Memo) -> Callable[[Any], None]:
    """The callback of the references to arguments. Does not keep the memo alive."""
    weakly: ref[Any] = ref(memo)

    def forget(argument: object, *, owner: ref[Any] = weakly) -> None:
        memo = owner()
        if memo is not None and isinstance(argument, _Argument) and argument() is None:
            call = argument.call()
            if call is not None:
                memo._drop(call)

    return forget


def _require_instance(instance: object) -> None:
    """Raises TypeError for one that cannot have a cache."""
    if not can_be_referenced(instance):
        name = type(instance).__name__
        raise TypeError(
            f"cannot create weak reference to '{name}' object: what caches by instance needs "
            f"instances that support weak references: add '__weakref__' to the __slots__ of the "
            f"class"
        )


class CachedMethod(_Decorated):
    """A method that remembers its results, each instance's in a memo of its own."""

    __slots__ = ("_bind", "_options", "_table")

    def __init__(
        self, miss: Callable[..., Any], bind: Callable[[Any, Any], Any], *options: Any
    ) -> None:
        super().__init__(miss, *options)
        self._bind = bind
        self._options = options
        self._table: WeakIdKeyTable[Any, Memo] = WeakIdKeyTable()

    def __call__(self, instance: Any, /, *args: Any, **kwargs: Any) -> Any:
        memo = self._memo(instance)
        if memo is None:
            memo = self._table.setdefault(instance, Memo(None, *self._options))
        if not self._always_miss:
            value = memo._find(args, kwargs, _ABSENT)
            if value is not _ABSENT:
                memo._count(True)
                return value
        return self._miss(memo, args, kwargs, instance)

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        return self if obj is None else self._bind(self, obj)

    def _memo(self, instance: Any, /) -> Memo | None:
        """Return the memo of an instance, None if it has none."""
        _require_instance(instance)
        return self._table.get(instance)

    def _memos(self) -> tuple[Memo, ...]:
        """Return the memos of all live instances."""
        return tuple(self._table.values())

    def cache_info(self) -> _CacheInfo:
        """Return the sums of what the live instances' caches have, and the bound of each."""
        infos = [memo.cache_info() for memo in self._memos()]
        return _CacheInfo(
            sum(info.hits for info in infos),
            sum(info.misses for info in infos),
            self._maxsize,
            sum(info.currsize for info in infos),
        )

    def cache_clear(self) -> None:
        """Forget the results and counts of all instances."""
        for memo in self._memos():
            memo.cache_clear()

    def cache_discard(self, instance: Any, /, *args: Any, **kwargs: Any) -> bool:
        """Forget the result of one call; return whether there was one."""
        memo = self._memo(instance)
        return memo is not None and memo.cache_discard(*args, **kwargs)


class CachedProperty(_Decorated):
    """An attribute that is computed once for each instance and kept outside of it."""

    __slots__ = ("_generation", "_hits", "_misses", "_name", "_table")

    def __init__(self, miss: Callable[[Any, Any], Any], always_miss: bool) -> None:
        super().__init__(miss, None, None, False, True, always_miss)
        self._name: str | None = None
        self._table: WeakIdKeyTable[Any, Any] = WeakIdKeyTable()
        self._generation = 0
        self._hits = self._misses = 0

    def __set_name__(self, owner: type, name: str) -> None:
        if self._name is None:
            self._name = name
        elif self._name != name:
            raise TypeError(
                f"cannot assign the same cached_property to two different names "
                f"({self._name!r} and {name!r})"
            )

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self
        _require_instance(obj)
        if not self._always_miss:
            value = self._table.get(obj, _ABSENT)
            if value is not _ABSENT:
                self._hits += 1
                return value
        return self._miss(self, obj)

    def __set__(self, obj: Any, value: Any) -> None:
        _require_instance(obj)
        self._generation += 1
        self._table[obj] = value

    def __delete__(self, obj: Any) -> None:
        if not self.cache_discard(obj):
            name = self._name or getattr(self, "__name__", "cached property")
            raise AttributeError(
                f"'{type(obj).__name__}' object has no value of {name!r} to forget",
                name=name,
                obj=obj,
            )

    _count = Memo._count

    def cache_info(self) -> _CacheInfo:
        """Return the numbers of hits and misses, None, and the number of entries."""
        return _CacheInfo(self._hits, self._misses, None, len(self._table))

    def cache_clear(self) -> None:
        """Forget all values and counts."""
        self._generation += 1
        self._table.clear()
        self._hits = self._misses = 0

    def cache_discard(self, instance: Any, /) -> bool:
        """Forget the value of an instance; return whether there was one."""
        _require_instance(instance)
        self._generation += 1
        return self._table.pop(instance, _ABSENT) is not _ABSENT


# WeakCache


def _count_references(holder: list[Any]) -> int:
    return sys.getrefcount(holder[0])


# What that gives where the list alone holds the object; None: nobody knows.
_ALONE = _count_references([object()]) if sys.implementation.name == "cpython" else None


class _Key:
    """A key: what is looked up and, in a cache, the entry. It holds one item at a time, and
    none once it was removed."""

    __slots__ = ("__weakref__", "hash", "item", "key")

    def __init__(self, key: Any, item: Any) -> None:
        self.key = key
        self.hash = hash(key)
        self.item: Any = item

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, _Key) or self.hash != other.hash:
            return False
        if self.item is None or other.item is None:
            return False
        return self.key is other.key or bool(self.key == other.key)


class _CachedValue(ref[Any]):
    """The reference to a value that has been outside of the window."""

    __slots__ = ("item",)
    item: "ref[_CachedItem]"


class _CachedItem(_Item):
    """A value under a key. It does not hold the key, which holds it."""

    __slots__ = ("entry", "reference")
    value: Any  # _ABSENT while it is outside of the window

    def __init__(self, entry: _Key, value: Any, weight: int, deadline: float) -> None:
        super().__init__(entry.hash, value, weight, deadline)
        self.entry: ref[_Key] = ref(entry)
        self.reference: _CachedValue | None = None

    def get(self) -> Any:
        """The value, or _ABSENT if it is dead."""
        value = self.value
        if value is _ABSENT and self.reference is not None:
            value = self.reference()
            if value is None:  # None itself cannot be referenced
                value = _ABSENT
        return value


class CacheTable(Generic[_K, _V]):
    """The table of a WeakCache."""

    __slots__ = (
        "__weakref__",
        "_earliest",
        "_entries_by_key",
        "_events",
        "_forget",
        "_generation",
        "_hits",
        "_maxsize",
        "_misses",
        "_on_evict",
        "_suspect",
        "_ttl",
        "_unswept",
        "_weigh",
        "_window",
    )
    _earliest: float  # no entry expires before that
    _entries_by_key: dict[_Key, _Key]
    _events: deque[tuple[Any, Any, str]]  # what on_evict is still to be told
    _forget: Callable[[Any], None]
    _generation: int
    _hits: int
    _misses: int
    _suspect: bool  # there may be dead entries
    _unswept: int  # stores since expired entries were looked for

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._entries_by_key = _new_dict()
        self._events = deque()
        self._forget = _forgets_values(self)
        self._earliest = inf
        self._hits = self._misses = self._unswept = 0
        self._suspect = False
        self._generation = 0
        self._configure(1, None, None, None)
        return self

    def _configure(
        self,
        maxsize: int,
        ttl: float | None,
        weigh: Callable[[Any], int] | None,
        on_evict: _Listener | None,
    ) -> None:
        """Say how it works. To be called before anything is stored."""
        if self._entries_by_key:
            raise RuntimeError("a cache in use cannot be initialized again")
        self._maxsize = maxsize
        self._ttl = ttl
        self._weigh = weigh
        self._on_evict = on_evict
        self._window = _Window(maxsize, adapts=True)

    # Elementary steps

    def _live(self, key: Any) -> tuple[_CachedItem, Any]:
        """The item and the value for a key, or (None, _ABSENT)."""
        entry = self._entries_by_key.get(_Key(key, True))
        item: _CachedItem | None = None if entry is None else entry.item
        if entry is not None and item is not None:
            value = item.get()
            if value is _ABSENT:
                self._remove(entry, item, "dead")
            elif item.deadline < inf and item.deadline <= time.monotonic():
                self._remove(entry, item, "expired", value)
            else:
                return item, value
        return cast(Any, None), _ABSENT

    def _remove(self, entry: _Key, item: _CachedItem, cause: str, value: Any = None) -> bool:
        """Removes an item with its entry; returns whether it was there."""
        # Of those who try, one gets it: CPython switches threads at calls and loops only.
        if entry.item is item:
            entry.item = None
        else:
            return False
        self._entries_by_key.pop(entry, None)
        self._retire(entry, item, cause, value)
        return True

    def _retire(self, entry: _Key, item: _CachedItem, cause: str, value: Any) -> None:
        item.gone = True
        self._window.remove(item)
        if self._on_evict is not None and cause:
            self._events.append((entry.key, value, cause))

    def _settle(self) -> None:
        """Lets go of what has left the window, and tells who wants to know of what is gone."""
        left = self._window.left
        while left:
            try:
                item = left.popleft()
            except IndexError:  # somebody else has taken the last
                break
            self._let_go(item)
        while self._events:
            try:
                key, value, cause = self._events.popleft()
            except IndexError:
                break
            on_evict = self._on_evict
            if on_evict is not None:
                try:
                    on_evict(key, value, cause)
                except BaseException as error:
                    report(error, on_evict)

    def _let_go(self, item: _CachedItem) -> None:
        """From now on the value is held weakly."""
        entry = item.entry()
        value = item.value
        if entry is None or item.gone or item.segment is not None or value is _ABSENT:
            return
        if item.reference is None:
            if _callback_may_be_skipped():
                self._suspect = True
            try:
                reference = _CachedValue(value, self._forget)
            except TypeError:
                self._remove(entry, item, "size", value)
                return
            reference.item = ref(item)
            item.reference = reference
        item.value = _ABSENT
        if item.segment is not None:  # somebody has asked for it meanwhile
            item.value = value
            return
        holder = [value]
        del value
        if _ALONE is not None and _count_references(holder) == _ALONE:
            self._remove(entry, item, "size", holder[0])

    def _use(self, item: _CachedItem, value: Any) -> None:
        self._window.come_back(item, value)

    # What it is for

    def _lookup(self, key: Any) -> Any:
        item, value = self._live(key)
        if value is _ABSENT:
            self._misses += 1
        else:
            self._hits += 1
            self._use(item, value)
        self._settle()
        return value

    def _put(
        self, key: Any, value: Any, ttl: float | None, weight: int | None, absent_only: bool, /
    ) -> Any:
        """Store a value, unless there is one and `absent_only`; return what is stored then."""
        if weight is None and self._weigh is None:
            weight = 1
        else:
            weight = _checked_weight(cast(Any, self._weigh)(value) if weight is None else weight)
        if ttl is None:
            ttl = self._ttl
        deadline = inf if ttl is None else time.monotonic() + ttl
        new = _Key(key, True)
        item = _CachedItem(new, value, min(weight, self._maxsize + 1), deadline)
        if absent_only:
            there, found = self._live(key)
            if found is not _ABSENT:
                self._use(there, found)
                self._settle()
                return found
        new.item = item
        while True:
            entries = self._entries_by_key
            entry = entries.setdefault(new, new)
            if entry is new:
                if entries is self._entries_by_key or new.item is None:
                    break
                continue  # cleared meanwhile, too early for this one
            old: _CachedItem | None = entry.item
            if old is None:  # somebody is at removing it
                self._entries_by_key.pop(entry, None)
                continue
            before = old.get()
            if absent_only and before is not _ABSENT and old.deadline > time.monotonic():
                self._use(old, before)
                self._settle()
                return before
            item.entry = ref(entry)
            if entry.item is old:  # nothing can come between this and the next
                entry.item = item
            else:
                continue
            cause = "dead" if before is _ABSENT else "" if before is value else "replaced"
            self._retire(entry, old, cause, None if before is _ABSENT else before)
            break
        self._earliest = min(self._earliest, deadline)
        self._unswept += 1
        if self._earliest < inf and self._unswept > len(self._entries_by_key) // 2:
            self._sweep()  # entries that nobody asks for expire, too
        self._window.insert(item)
        self._settle()
        return value

    def _sweep(self) -> int:
        """Removes what has expired or is dead; returns how many have expired."""
        now = time.monotonic()
        expired = 0
        # In this order, so that what is stored meanwhile is not forgotten.
        self._earliest = inf
        self._unswept = 0
        self._suspect = False
        if _callback_may_be_skipped():
            self._suspect = True
        for entry in list(self._entries_by_key):
            item = entry.item
            if item is None:
                continue
            value = item.get()
            if value is _ABSENT:
                self._remove(entry, item, "dead")
            elif item.deadline <= now:
                expired += self._remove(entry, item, "expired", value)
            else:
                self._earliest = min(self._earliest, item.deadline)
        return expired

    def _entries(self) -> list[tuple[Any, Any]]:
        """Return the live entries as (key, value)."""
        now = time.monotonic()
        entries: list[tuple[Any, Any]] = []
        for entry in list(self._entries_by_key):
            item = entry.item
            if item is not None and item.deadline > now:
                value = item.get()
                if value is not _ABSENT:
                    entries.append((entry.key, value))
        return entries

    def __len__(self) -> int:
        if self._suspect or self._earliest <= time.monotonic():
            self._sweep()
            self._settle()
        return len(self._entries_by_key)

    def __contains__(self, key: object, /) -> bool:
        return self._find(key, _ABSENT) is not _ABSENT

    def _find(self, key: Any, default: Any, /) -> Any:
        """Return the value for a key, or the default. Counts nothing, and is no use of it."""
        value = self._live(key)[1]
        self._settle()
        return default if value is _ABSENT else value

    def cache_discard(self, key: Any, /) -> bool:
        """Remove a key; return whether it was there. O(1)."""
        return self._take(key) is not _ABSENT

    def __getitem__(self, key: Any, /) -> Any:
        value = self._lookup(key)
        if value is _ABSENT:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Any, value: Any, /) -> None:
        self._put(key, value, None, None, False)

    def __delitem__(self, key: Any, /) -> None:
        if self._take(key) is _ABSENT:
            raise KeyError(key)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value for a key if it is there, else the default. O(1)."""
        value = self._lookup(key)
        return default if value is _ABSENT else value

    def pop(self, key: Any, default: Any = _ABSENT, /) -> Any:
        """Remove a key and return its value, or the default if given, else raise KeyError."""
        value = self._take(key)
        if value is not _ABSENT:
            return value
        if default is _ABSENT:
            raise KeyError(key)
        return default

    def _take(self, key: Any) -> Any:
        self._generation += 1
        while True:
            item, value = self._live(key)
            entry = None if value is _ABSENT else item.entry()
            if entry is None or self._remove(entry, item, "deleted", value):
                self._settle()
                return value

    def clear(self) -> None:
        """Remove all entries."""
        self._generation += 1
        # Not by dict.clear(), see _tables.py.
        entries, self._entries_by_key = self._entries_by_key, _new_dict()
        for entry in list(entries):
            item: _CachedItem | None = entry.item
            if item is not None:
                value = item.get()
                dead = value is _ABSENT
                self._remove(entry, item, "dead" if dead else "deleted", None if dead else value)
        self._settle()

    def expire(self) -> int:
        """Drop the entries whose time is over; return how many there were. O(n)."""
        expired = self._sweep()
        self._settle()
        return expired

    def shrink(self, weight: int, /) -> int:
        """Let the coldest values leave the window until it weighs at most this; return how
        many left it. Those that somebody else holds stay in the cache."""
        if weight < 0:
            raise ValueError(f"a window cannot weigh less than nothing: {weight}")
        before = len(self._window)
        self._window.shrink(operator.index(weight))
        left = before - len(self._window)
        self._settle()
        return left

    @property
    def window_weight(self) -> int:
        """the weight of what is in the window"""
        return self._window.weight

    def cache_info(self) -> _CacheInfo:
        """Return the numbers of hits and misses, the bound and the number of entries."""
        return _CacheInfo(self._hits, self._misses, self._maxsize, len(self))

    def cache_clear(self) -> None:
        """Remove all entries and forget the counts."""
        self.clear()
        self._hits = self._misses = 0

    def __iter__(self) -> Iterator[Any]:
        return iter([key for key, _ in self._entries()])

    def _check(self) -> None:
        """Verify every invariant of the table."""
        entries = list(self._entries_by_key)
        held = 0
        for entry in entries:
            item = entry.item
            assert item is not None, f"a removed entry is there: {entry.key!r}"
            assert self._entries_by_key.get(entry) is entry, f"not found: {entry.key!r}"
            assert item.entry() is entry, f"an item of another entry: {entry.key!r}"
            assert not item.gone, f"a removed item is there: {entry.key!r}"
            assert item.deadline >= self._earliest, f"expires too early: {entry.key!r}"
            outside = item.segment is None
            assert outside == (item.value is _ABSENT), f"held outside, or not inside: {entry.key!r}"
            if outside:
                assert item.reference is not None, f"without a value: {entry.key!r}"
                reference = item.reference
                assert reference() is None or reference.__callback__ is self._forget
            held += not outside
        self._window.check()
        assert held == len(self._window), "the window has other entries"


def _checked_weight(weight: Any) -> int:
    if not isinstance(weight, int):
        raise TypeError(f"the weight of a value must be an int, not '{type(weight).__name__}'")
    if weight < 0:
        raise ValueError(f"the weight of a value must not be negative: {weight}")
    return weight


def _forgets_values(table: CacheTable[Any, Any]) -> Callable[[Any], None]:
    """The callback of the references to values. Does not keep the table alive."""
    weakly: ref[Any] = ref(table)

    def forget(reference: object, *, owner: ref[Any] = weakly) -> None:
        table = owner()
        if table is not None and isinstance(reference, _CachedValue) and reference() is None:
            item = reference.item()
            entry = None if item is None else item.entry()
            if item is not None and entry is not None and item.reference is reference:
                table._remove(entry, item, "dead")
                table._settle()

    return forget
