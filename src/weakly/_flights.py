"""Single flight: of many threads that ask for the same missing value, one makes it.

A flight is one making of a value. The others wait for it to land. No lock is held while
anybody's code runs, nor anywhere else: a collection can start finalizers, and a signal its
handler, between any two steps, and either may ask for a value itself. So what the threads share
are dicts and lists, and each step is one operation on one of them, which is atomic.

Whoever makes a value calls the user's function itself, so that there are no frames of ours
between the two:

    flight = Flight(place)
    try:
        value = flight.begin()
        if value is ABSENT:
            value = flight.store(function())
        return value
    finally:
        flight.end()

Runs of coroutine functions (`_runs.py`) have the same places.
"""

import os
from _thread import LockType, allocate_lock, get_ident
from itertools import repeat
from types import CoroutineType
from typing import Any, cast
from weakref import ref

__all__ = [
    "ABSENT",
    "CallPlace",
    "Flight",
    "KeyPlace",
    "Place",
    "agree",
    "can_be_referenced",
]

ABSENT: Any = object()


class Place:
    """Where a value belongs. Two are equal if they are the same to what holds the value."""

    __slots__ = ("generation", "hash", "holder", "left")
    asks_for_itself: str  # what is wrong then
    holder: Any
    hash: int
    left: bool
    generation: int  # how often somebody had values of the holder forgotten, before

    def leave(self) -> None:
        """From now on it equals only itself, so that it is found without anybody's code."""
        self.left = True

    def find(self) -> Any:
        """The value that is there, or ABSENT."""
        raise NotImplementedError("a kind of place says how to find its value")

    def store(self, value: Any) -> Any:
        """Stores a value, unless there is one; returns the one that is there then."""
        raise NotImplementedError("a kind of place says how to store its value")

    def current_generation(self) -> int:
        """That of the holder, now."""
        return 0

    def forget(self, value: Any) -> None:
        """Takes a value out again that was stored."""
        raise NotImplementedError("a kind of place with generations says how to forget its value")

    def keep(self, value: Any) -> Any:
        """Stores a value that was just made, as `store` does; but not one that somebody had
        forgotten while it was being made: it may be out of date."""
        if type(value) is CoroutineType:
            value.close()
            raise TypeError(
                "a coroutine cannot be cached, because it can be awaited only once: decorate "
                "the `async def` function itself, below other decorators"
            )
        if self.generation != self.current_generation():
            return value
        stored = self.store(value)
        if self.generation != self.current_generation():
            self.forget(value)
        return stored

    def is_same(self, other: Any) -> bool:
        """Whether another one, in the same holder, is this place."""
        raise NotImplementedError("a kind of place says what it is the same as")

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Place) or self.holder is not other.holder:
            return False
        if self.left or other.left or self.hash != other.hash:
            return False
        if self.generation != other.generation:
            return False
        return self.is_same(other)


class KeyPlace(Place):
    """A key in a mapping, compared as the mapping compares it."""

    __slots__ = ("by_identity", "key")
    asks_for_itself = "get_or_create(): the factory asks for the very key whose value it is to make"

    def __init__(self, mapping: Any, key: object, by_identity: bool) -> None:
        self.holder = mapping
        self.key = key
        self.by_identity = by_identity
        self.hash = hash((id(mapping), id(key) if by_identity else key))
        self.left = False
        self.generation = 0

    def find(self) -> Any:
        return self.holder.get(self.key, ABSENT)

    def store(self, value: Any) -> Any:
        return self.holder.setdefault(self.key, value)

    def is_same(self, other: "KeyPlace") -> bool:
        return self.key is other.key or (not self.by_identity and bool(self.key == other.key))


class CallPlace(Place):
    """A call of a memoised function, compared as the memo compares it."""

    __slots__ = ("args", "kwargs")
    asks_for_itself = "a cached function asks for the result of the very call that is to make it"

    def __init__(self, memo: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.holder = memo
        self.args = args
        self.kwargs = kwargs
        self.hash = hash((id(memo), memo._hash(args, kwargs)))
        self.left = False
        self.generation = memo._generation

    def find(self) -> Any:
        return self.holder._find(self.args, self.kwargs, ABSENT)

    def store(self, value: Any) -> Any:
        return self.holder._store(self.args, self.kwargs, value)

    def current_generation(self) -> int:
        return cast(int, self.holder._generation)

    def forget(self, value: Any) -> None:
        self.holder._discard(self.args, self.kwargs, value)

    def is_same(self, other: "CallPlace") -> bool:
        if len(self.args) != len(other.args) or list(self.kwargs) != list(other.kwargs):
            return False
        parameters = self.holder.cache_parameters()
        typed, by_identity = parameters["typed"], parameters["by"] == "identity"
        mine = (*self.args, *self.kwargs.values())
        theirs = (*other.args, *other.kwargs.values())
        return all(map(agree, mine, theirs, repeat(typed), repeat(by_identity)))


def agree(mine: Any, theirs: Any, typed: bool, by_identity: bool) -> bool:
    """Whether two arguments are the same to a memo."""
    if mine is theirs:
        return True
    if typed and type(mine) is not type(theirs):
        return False
    if by_identity and (can_be_referenced(mine) or can_be_referenced(theirs)):
        return False
    return bool(mine == theirs)


def can_be_referenced(obj: object) -> bool:
    """Whether there can be weak references to an object."""
    try:
        ref(obj)
    except TypeError:
        return False
    return True


class Flight:
    """One making of a value by one thread, and the threads that wait for it."""

    __slots__ = ("gates", "owner", "place", "value")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.owner = get_ident()
        self.value: Any = ABSENT  # stays so if the flight fails
        self.gates: list[LockType | None] = []  # of those who wait; None: it has landed

    def begin(self) -> Any:
        """Returns the value that is there, that of another flight if there is one, or ABSENT:
        then it is for the caller to make."""
        while (other := _flights.setdefault(self.place, self)) is not self:
            other.wait()
            if other.value is not ABSENT:
                return other.value
        self.value = self.place.find()  # somebody may have been faster
        return self.value

    def store(self, value: Any) -> Any:
        """Stores the value that was made; returns that which is there then."""
        self.value = self.place.keep(value)
        return self.value

    def end(self) -> None:
        """Lands, also if it never began. Needs no deeper calls than `begin`: where that has
        succeeded, there is enough of the stack for this, too."""
        self.place.leave()
        _flights.pop(self.place, None)
        self.gates.append(None)
        for gate in self.gates:
            if gate is not None:
                gate.release()

    @property
    def landed(self) -> bool:
        return None in self.gates

    def wait(self) -> None:
        """Returns when it has landed. Raises RuntimeError where that could never be."""
        me = get_ident()
        if self.owner == me:
            raise RuntimeError(self.place.asks_for_itself)
        gate = allocate_lock()
        gate.acquire()
        outer = _waiting.get(me)  # of what a finalizer or a signal's handler has interrupted
        # This first, then the look: of the threads that close a cycle, the last one to come
        # here sees all the others.
        _waiting[me] = self
        try:
            if self._waits_for(me):
                raise RuntimeError(
                    "waiting for this value would never end: the thread that makes it waits for "
                    "a value that this thread is making"
                )
            self.gates.append(gate)
            if not self.landed:
                gate.acquire()
        finally:
            if outer is None:
                _waiting.pop(me, None)
            else:
                _waiting[me] = outer

    def _waits_for(self, thread: int) -> bool:
        """Whether it cannot land before this thread goes on."""
        path: list[Flight] = []
        flight: Flight | None = self
        while flight is not None and flight not in path:
            path.append(flight)
            if flight.owner == thread:
                # Seen one after the other; what has not landed by now was there all the time.
                return not any(flight.landed for flight in path)
            flight = _waiting.get(flight.owner)
        return False


_flights: dict[Place, Flight] = {}
_waiting: dict[int, Flight] = {}  # by thread


def _forget_other_threads() -> None:
    """In a forked process there is nobody to land them."""
    me = get_ident()
    for place, flight in list(_flights.items()):
        if flight.owner != me:
            place.leave()
            _flights.pop(place, None)
    _waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)
