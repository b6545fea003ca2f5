"""Listeners that may go at any time, of WeakSet and WeakMethod, as the type checkers see it."""

from __future__ import annotations

from collections.abc import Callable, MutableSet
from typing import assert_type

from weakly import WeakMethod, WeakSet


class Listener:
    def heard(self, message: str) -> int:
        return len(message)


class Loud(Listener):
    pass


class Channel:
    def __init__(self) -> None:
        self._listeners: WeakSet[Listener] = WeakSet()
        self._hooks: list[WeakMethod[Callable[[str], int]]] = []

    def attach(self, listener: Listener) -> None:
        self._listeners.add(listener)

    def call(self, hook: Callable[[str], int]) -> None:
        self._hooks.append(WeakMethod(hook))

    def send(self, message: str) -> int:
        total = sum(listener.heard(message) for listener in self._listeners)
        for weak in self._hooks:
            hook = weak()
            if hook is not None:
                total += hook(message)
        return total


def forget(listeners: MutableSet[Listener], listener: Listener) -> None:
    listeners.discard(listener)


def main() -> None:
    listener, loud = Listener(), Loud()
    listeners = WeakSet([listener])
    assert_type(listeners, WeakSet[Listener])
    louds = WeakSet({loud})
    assert_type(louds, WeakSet[Loud])

    assert_type(list(listeners), list[Listener])
    assert_type(len(listeners), int)
    assert_type(listener in listeners, bool)
    assert_type(listeners.copy(), WeakSet[Listener])
    assert_type(louds | listeners, WeakSet[Loud | Listener])
    assert_type(louds.union([listener], {listener}), WeakSet[Loud | Listener])
    assert_type(listeners & louds, WeakSet[Listener])
    assert_type(listeners.intersection([loud], louds), WeakSet[Listener])
    assert_type(listeners - louds, WeakSet[Listener])
    assert_type(louds ^ listeners, WeakSet[Loud | Listener])
    assert_type(louds <= listeners, bool)
    assert_type(louds == listeners, bool)
    assert_type(louds.isdisjoint(listeners), bool)
    listeners |= louds
    listeners.update(louds, [listener])
    assert_type(listeners, WeakSet[Listener])
    assert_type(listeners.pop(), Listener)
    forget(listeners, loud)

    channel = Channel()
    channel.attach(loud)
    channel.call(loud.heard)
    assert_type(channel.send("hello"), int)
    method = WeakMethod(loud.heard, lambda gone: print(gone))
    hook = method()
    assert hook is not None
    assert_type(hook("hello"), int)


if __name__ == "__main__":
    main()
