"""One object for all that are equal, of Interner, as the type checkers see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_type

from weakly import Interner


@dataclass(frozen=True)
class Point:
    x: int
    y: int


class Plane:
    def __init__(self) -> None:
        self._points: Interner[Point] = Interner()

    def at(self, x: int, y: int) -> Point:
        return self._points.intern(Point(x, y))


def main() -> None:
    plane = Plane()
    point = plane.at(1, 2)
    assert plane.at(1, 2) is point

    points = Interner[Point]()
    assert_type(points.intern(point), Point)
    assert_type(list(points), list[Point])
    assert_type(len(points), int)
    assert_type(point in points, bool)
    lenient = Interner[int].lenient()
    assert_type(lenient.intern(5), int)
    assert_type(lenient.strong_count(), int)


if __name__ == "__main__":
    main()
