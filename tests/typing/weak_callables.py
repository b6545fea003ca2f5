"""Weak references to callables, as the type checkers see them."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_type

from weakly import WeakCallable, weak


class Clock:
    def __init__(self) -> None:
        self.ticks = 0

    def tick(self, by: int = 1) -> int:
        self.ticks += by
        return self.ticks


def double(x: int) -> str:
    return str(2 * x)


class Timer:
    """Calls what is still there."""

    def __init__(self) -> None:
        self._calls: list[WeakCallable[[int], object]] = []

    def add(self, call: Callable[[int], object]) -> None:
        self._calls.append(WeakCallable(call, self._calls.remove))

    def fire(self) -> int:
        for call in [*self._calls]:
            call(2)
        return len(self._calls)


def main() -> None:
    clock = Clock()
    tick = WeakCallable(clock.tick)
    assert_type(tick(), int)
    assert_type(tick(by=2), int)
    assert_type(tick.alive, bool)
    assert_type(tick.strong, bool)
    target = tick.target
    assert target is not None
    assert_type(target(), int)

    text = weak(double)
    typed: WeakCallable[[int], str] = text
    assert_type(typed(5), str)
    assert_type(text(5), str)
    lenient = weak(double, if_dead="ignore")
    assert_type(lenient(5), str | None)
    kept = weak(lambda: 5, strong=True)
    assert_type(kept(), int)
    assert text == lenient
    assert {text: 1}[weak(double)] == 1

    timer = Timer()
    timer.add(clock.tick)
    timer.add(double)
    assert timer.fire() == 2


def mistakes(clock: Clock) -> None:
    WeakCallable(clock.tick)("5")  # type: ignore[arg-type]
    weak(double)()  # type: ignore[call-arg]
    WeakCallable(5)  # type: ignore[call-overload]
    WeakCallable(double, if_dead="maybe")  # type: ignore[call-overload]
    length: int = weak(double)(5)  # type: ignore[assignment]
    print(length)


if __name__ == "__main__":
    main()
