"""What the rows of listeners and deaths are measured on: methods, signals, queues.

The strong side calls the methods themselves. The standard library's side has what a program
does with a `WeakMethod`, and for a queue of deaths, a `finalize` that does nothing.
"""

import gc
import weakref
from collections.abc import Callable
from functools import cached_property
from typing import Any

import weakly
from benchmarks.cases import Thing, clean_up, container


class Listener(Thing):
    """A thing with a method to be called."""

    __slots__ = ()

    def hear(self, number: int) -> None:
        """What is timed is that it is called."""


class ListenerCase:
    """What an operation's code may name; see `cases.Case`."""

    def __init__(self, family: str, side: str, kind: str, entries: int) -> None:
        self.side = side
        self.n = entries

    @cached_property
    def objects(self) -> list[Listener]:
        return [Listener(number) for number in range(self.n)]

    WeakCallable = weakly.WeakCallable
    WeakMethod = weakref.WeakMethod

    @cached_property
    def references(self) -> list[Any]:
        """A weak reference of this side to the method of each object."""
        make: Any = weakly.WeakCallable if self.side == "weakly" else weakref.WeakMethod
        return [make(obj.hear) for obj in self.objects]

    @cached_property
    def methods(self) -> list[Callable[[int], None]]:
        return [obj.hear for obj in self.objects]

    @cached_property
    def signal(self) -> Any:
        """One signal with every object for a listener."""
        signal = weakly.Signal[int]()
        for obj in self.objects:
            signal.connect(obj.hear)
        return signal

    @cached_property
    def signals(self) -> list[Any]:
        """For each object a signal, or a list, that has only this one for a listener."""
        if self.side == "strong":
            return [[obj.hear] for obj in self.objects]
        if self.side == "stdlib":
            return [[weakref.WeakMethod(obj.hear)] for obj in self.objects]
        signals = [weakly.Signal[int]() for _ in self.objects]
        for signal, obj in zip(signals, self.objects, strict=True):
            signal.connect(obj.hear)
        return signals


class QueueCase:
    """What an operation's code may name; see `cases.Case`."""

    def __init__(self, family: str, side: str, kind: str, entries: int) -> None:
        self.side = side
        self.n = entries
        self.queue = weakly.ReferenceQueue()
        self.make = container("finalize", "stdlib")

    def fresh(self) -> list[Any]:
        """New objects that only the caller holds."""
        return [Thing(number) for number in range(self.n)]

    def cycles(self) -> list[Any]:
        """New objects that only the caller holds, and that only the collector can free."""
        objects: list[Any] = [Thing(number) for number in range(self.n)]
        for obj in objects:
            obj.number = obj
        return objects

    def watch(self, objects: list[Any]) -> None:
        """Has the death of each noted."""
        if self.side == "weakly":
            for number, obj in enumerate(objects):
                self.queue.track(obj, number)
        else:
            for obj in objects:
                self.make(obj, clean_up)

    def settle(self) -> None:
        """Makes sure that every death of the objects watched was noted, each once."""
        if self.side == "weakly":
            tokens = self.queue.drain()
            assert sorted(tokens) == list(range(self.n)), "a death was lost, or noted twice"
            assert not self.queue.tracked

    clean_up = staticmethod(clean_up)
    collect = staticmethod(gc.collect)
    freeze = staticmethod(gc.freeze)
    unfreeze = staticmethod(gc.unfreeze)
