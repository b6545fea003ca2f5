"""What the engine of `why_alive` and `heap` must find, said as plainly as possible.

Searches breadth first and forward from the roots, by `gc.get_referents()`, one object after the
other, and knows nothing of the engine: the oracle of test_heap.py and its like. Slow.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection, Iterable
from types import CellType, FrameType
from typing import Any

from weakly._heap import get_referents

OPTIMIZED = 1  # of a code's flags: the variables are not in a dict

Cuts = Collection[tuple[int, int]]  # the ids of who refers and of what is referred to


class Heap:
    """What refers to what.

    `frames` are those of functions that run; what they hold is read at once. `hidden` are
    containers of the test's own, which are passed over.
    """

    def __init__(self, frames: Iterable[FrameType] = (), hidden: Iterable[object] = ()) -> None:
        cells = [one for one in gc.get_objects() if type(one) is CellType]
        self.held = {id(frame): held_by_frame(frame, cells) for frame in frames}
        ours = (self, vars(self), self.held, *self.held.values(), frames, hidden, *hidden)
        self.hidden = set(map(id, ours))

    def references(self, one: object) -> list[Any]:
        return get_referents(one) + self.held.get(id(one), [])

    def refers(self, one: object, other: object) -> bool:
        return any(each is other for each in self.references(one))

    def unseen(self, objects: list[Any], at: int) -> int:
        """How many references to an object of a list nothing shows: neither other objects nor the
        variables of this thread's functions."""
        identity = id(objects[at])
        seen = sum(
            sum(id(one) == identity for one in get_referents(holder)) for holder in gc.get_objects()
        )
        seen += sum(sum(id(one) == identity for one in held) for held in self.held.values())
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            if id(frame) not in self.held:
                seen += sum(id(one) == identity for one in held_by_frame(frame, []))
            frame = frame.f_back
        control = [object()]
        return sys.getrefcount(objects[at]) - sys.getrefcount(control[0]) + 1 - seen

    def distance(
        self,
        roots: Iterable[object],
        target: object,
        cuts: Cuts = (),
        depth: int = 1_000,
        barred: Collection[int] = (),
    ) -> int | None:
        """The length, in references, of the shortest chain from any root to the target.

        None if there is none, without the references that are cut and through nothing that is
        barred.
        """
        level = {id(one): one for one in roots if id(one) not in barred}
        seen = set(level)
        if id(target) in seen:
            return 0
        for length in range(1, depth + 1):
            further = {id(one): one for one in self.next_level(level, cuts)}
            if id(target) in further:
                return length
            level = {
                identity: further[identity]
                for identity in further.keys() - seen - self.hidden
                if identity not in barred
            }
            seen.update(level)
            if not level:
                break
        return None

    def next_level(self, level: dict[int, Any], cuts: Cuts) -> list[Any]:
        special = [one for identity, one in level.items() if identity in self.held]
        cut = [level[holder] for holder, _ in cuts if holder in level]
        for one in (*special, *cut):
            level.pop(id(one), None)
        found = [other for one in level.values() for other in get_referents(one)]
        for one in {id(one): one for one in (*special, *cut)}.values():
            found += [other for other in self.references(one) if (id(one), id(other)) not in cuts]
        return found

    def reach(
        self,
        roots: Iterable[object],
        without: object = None,
        cuts: Cuts = (),
        barred: Collection[int] = (),
    ) -> dict[int, Any]:
        """What the roots lead to, by id; not by way of an object that is left out or barred."""
        left_out = self.hidden.union(barred) | {id(without)}
        level = {id(one): one for one in roots if id(one) not in left_out}
        found = dict(level)
        while level:
            further = {id(one): one for one in self.next_level(level, cuts)}
            new = further.keys() - found.keys() - left_out
            level = {identity: further[identity] for identity in new}
            found.update(level)
        return found


def held_by_frame(frame: FrameType, cells: list[CellType]) -> list[Any]:
    """What a running function holds: its variables, some in cells, and what belongs to it."""
    code = frame.f_code
    held: list[Any] = [frame.f_globals, frame.f_builtins, code]
    if not code.co_flags & OPTIMIZED:
        return [*held, frame.f_locals]
    for name, value in dict(frame.f_locals).items():
        shared = name in code.co_cellvars or name in code.co_freevars
        held += [cell for cell in cells if contains(cell, value)] if shared else [value]
    if sys.version_info < (3, 13):
        frame.f_locals.clear()  # else what was copied there would stay
    return held


def contains(cell: CellType, value: object) -> bool:
    try:
        return cell.cell_contents is value
    except ValueError:  # it is empty
        return False


def running_frames() -> list[FrameType]:
    """Those of all threads, but not this function's own."""
    me = sys._getframe()
    frames = list(sys._current_frames().values())
    for frame in frames:
        if frame.f_back is not None:
            frames.append(frame.f_back)
    return [frame for frame in frames if frame is not me]
