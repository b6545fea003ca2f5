"""A list of those who still listen, of WeakList, as the type checkers see it."""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence
from typing import assert_type

from weakly import WeakList


class Listener:
    def __init__(self, rank: int = 0) -> None:
        self.rank = rank


class Loud(Listener):
    pass


def first(listeners: MutableSequence[Listener]) -> Listener:
    return listeners[0]


class Ranked(WeakList[Listener]):
    def by_rank(self) -> Iterator[Listener]:
        self.sort(key=lambda listener: listener.rank)
        return iter(self)


def main() -> None:
    one, two, loud = Listener(), Listener(1), Loud()
    listeners = WeakList([one, two])
    assert_type(listeners, WeakList[Listener])
    assert_type(listeners[0], Listener)
    assert_type(listeners[:1], WeakList[Listener])
    assert_type(list(listeners), list[Listener])
    assert_type(list(reversed(listeners)), list[Listener])
    assert_type(first(listeners), Listener)
    listeners.append(loud)
    listeners[0] = loud
    listeners[1:] = [one, loud]
    listeners += [two]
    assert_type(listeners, WeakList[Listener])
    assert_type(listeners.pop(), Listener)
    assert_type(listeners.index(loud), int)
    assert_type(listeners.copy(), WeakList[Listener])
    assert_type(WeakList([loud]) + listeners, WeakList[Loud | Listener])
    assert_type(listeners * 2, WeakList[Listener])
    assert_type(WeakList[int].lenient([1, 2]), WeakList[int])
    assert_type(listeners.strong_count(), int)
    ranked = Ranked([two, one])
    assert_type(list(ranked.by_rank()), list[Listener])
    assert_type(Ranked.lenient([one]), Ranked)


if __name__ == "__main__":
    main()
