"""Single flight: of many threads that ask a mapping for the same missing key, one makes the value.

A flight is one call of a factory. The others wait for it to land. No lock is held while
anybody's code runs, nor anywhere else: a collection can start finalizers, and a signal its
handler, between any two steps, and either may ask for a key itself. So what the threads share
are dicts and lists, and each step is one operation on one of them, which is atomic.
"""

import os
from _thread import LockType, allocate_lock, get_ident
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["fly"]

V = TypeVar("V")

_ABSENT: Any = object()


class _Place:
    """A key in a mapping, compared as the mapping compares it."""

    __slots__ = ("by_identity", "hash", "key", "left", "mapping")

    def __init__(self, mapping: Any, key: object, by_identity: bool) -> None:
        self.mapping = mapping
        self.key = key
        self.by_identity = by_identity
        self.hash = hash((id(mapping), id(key) if by_identity else key))
        self.left = False

    def leave(self) -> None:
        """From now on it equals only itself, so that it is found without anybody's code."""
        self.left = True

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, _Place) or self.mapping is not other.mapping:
            return False
        if self.left or other.left:
            return False
        if self.key is other.key:
            return True
        return not self.by_identity and bool(self.key == other.key)


class _Flight:
    """One call of a factory by one thread, and the threads that wait for it."""

    __slots__ = ("gates", "owner", "value")

    def __init__(self) -> None:
        self.owner = get_ident()
        self.value: Any = _ABSENT  # stays so if the flight fails
        self.gates: list[LockType | None] = []  # of those who wait; None: it has landed

    def land(self) -> None:
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
            raise RuntimeError(
                "get_or_create(): the factory asks for the very key whose value it is to make"
            )
        gate = allocate_lock()
        gate.acquire()
        outer = _waiting.get(me)  # of what a finalizer or a signal's handler has interrupted
        # This first, then the look: of the threads that close a cycle, the last one to come
        # here sees all the others.
        _waiting[me] = self
        try:
            if self._waits_for(me):
                raise RuntimeError(
                    "get_or_create(): waiting for this key would never end: the thread that "
                    "makes its value waits for a key whose value this thread is making"
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
        path: list[_Flight] = []
        flight: _Flight | None = self
        while flight is not None and flight not in path:
            path.append(flight)
            if flight.owner == thread:
                # Seen one after the other; what has not landed by now was there all the time.
                return not any(flight.landed for flight in path)
            flight = _waiting.get(flight.owner)
        return False


_flights: dict[_Place, _Flight] = {}
_waiting: dict[int, _Flight] = {}  # by thread


def fly(mapping: Any, key: object, factory: Callable[[], V], by_identity: bool) -> V:
    """Return the mapping's value for a key; if there is none, the factory's, which is stored.

    Whoever asks for the key meanwhile, in any thread, waits and gets the same. Raises what
    the factory raises; then one of those that wait calls its own factory.
    """
    place, flight = _Place(mapping, key, by_identity), _Flight()
    try:
        while (other := _flights.setdefault(place, flight)) is not flight:
            other.wait()
            if other.value is not _ABSENT:
                return other.value  # type: ignore[no-any-return]  # the mapping's
        value: V = mapping.get(key, _ABSENT)  # somebody may have been faster
        if value is _ABSENT:
            value = mapping.setdefault(key, factory())
        flight.value = value
        return value
    finally:
        place.leave()
        _flights.pop(place, None)
        flight.land()


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
