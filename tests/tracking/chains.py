"""Asks the engine of `why_alive`, and checks what it says against plain_search.py."""

from __future__ import annotations

import sys
from collections import deque
from functools import partial
from itertools import pairwise
from types import CellType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from hypothesis import settings
from plain_search import Heap, running_frames
from support import PYPY

from weakly._heap import get_referents
from weakly._implementation import find_chains

COLLECTIONS: tuple[type, ...] = (dict, list, set, deque)
FIXED: tuple[type, ...] = (tuple, frozenset, MethodType, CellType, FunctionType, partial)
DEPTH = 100
few = settings(max_examples=settings().max_examples // 4)  # for each walks the whole heap
RUNNERS = {"_pytest", "pluggy", "pytest", "hypothesis"}


class Question(NamedTuple):
    """What the engine is given."""

    held: list[Any]
    roots: list[Any]
    soft: list[Any]
    late: list[Any]
    own: list[FrameType]
    caller: FrameType | None = None


class Answer(NamedTuple):
    chains: list[tuple[int, list[Any], int]]
    cycle: list[Any]
    statistics: tuple[int, int, int, float]


def modules() -> list[Any]:
    found = {id(module): module for module in list(sys.modules.values()) if module is not None}
    return list(found.values())


def question(
    held: list[Any], caller: FrameType | None = None, soft: list[Any] | None = None
) -> Question:
    """With all modules and frames as roots; those of the test runner come last."""
    me = sys._getframe()
    roots, late = modules(), []
    for frame in running_frames():
        if frame is me:
            continue
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        (late if name in RUNNERS else roots).append(frame)
    return Question(held, roots, [], late, [], caller)


def ask(asked: Question, count: int = 3, depth: int = DEPTH) -> Answer:
    return Answer(
        *find_chains(
            asked.held,
            count,
            depth,
            asked.roots,
            asked.soft,
            asked.late,
            [*asked.own, sys._getframe()],
            asked.caller,
            COLLECTIONS,
            FIXED,
            False,
        )
    )


def containers(asked: Question, answer: Answer) -> list[object]:
    """All that holds the target only because it was asked for."""
    return [
        asked,
        *asked,
        answer,
        *answer,
        *answer.chains,
        *[objects for _, objects, _ in answer.chains],
    ]


def check(asked: Question, answer: Answer, count: int = 3, depth: int = DEPTH) -> None:
    """Every chain is real, starts at a root, is the shortest, and is cut at the right place."""
    target = asked.held[0]
    frames = [one for one in (*asked.roots, *asked.late) if type(one) is FrameType]
    heap = Heap(frames, containers(asked, answer))
    assert len(answer.chains) <= count
    late = set(map(id, asked.late))
    roots = set(map(id, asked.roots)) - late
    soft = set(map(id, asked.soft)) - late
    uses = own_uses(asked, heap)
    cuts: set[tuple[int, int]] = set()
    last = 0
    for tier, objects, cut in answer.chains:
        shown = [type(one).__name__ for one in objects]
        assert objects[-1] is target
        assert len(set(map(id, objects))) == len(objects), shown
        one = other = None
        for one, other in pairwise(objects):
            if id(one) in heap.held and not heap.refers(one, other):
                # A value that a running function works on, which is in no variable.
                assert heap.unseen(objects, 1) > 0, shown
                heap.held[id(one)].append(other)
            assert heap.refers(one, other), (shown, type(one), type(other))
            assert (id(one), id(other)) not in cuts, shown
        assert tier >= last, "the tiers come one after the other"
        last = tier
        assert_shortest(asked, heap, tier, objects, cuts, uses)
        if tier == 0:
            assert id(objects[0]) in roots | soft, shown
            assert late.isdisjoint(map(id, objects)), shown
        elif tier == 1:
            assert id(objects[0]) in roots | soft | late, shown
        else:
            assert tier == 2
            del one, other
            assert heap.unseen(objects, 0) > 0, shown
            assert id(objects[0]) not in roots | late, shown
        assert cut == expected_cut(objects), (shown, cut)
        if cut >= 0:
            cuts.add((id(objects[cut]), id(objects[cut + 1])))
    if len(answer.chains) < count and not PYPY:
        others = [one for one in (*asked.roots, *asked.late) if one is not target]
        rest = heap.distance(others, target, cuts, depth)
        assert rest is None, rest
    assert not (answer.chains and answer.cycle)
    check_cycle(heap, target, answer.cycle)


def own_uses(asked: Question, heap: Heap) -> set[tuple[int, int]]:
    """The caller's own variables that are the target."""
    if asked.caller is None:
        return set()
    target, caller = asked.held[0], asked.caller
    return {
        (id(caller), id(one))
        for one in heap.held[id(caller)]
        if one is target or (type(one) is CellType and heap.refers(one, target))
    }


def assert_shortest(
    asked: Question,
    heap: Heap,
    tier: int,
    objects: list[Any],
    cuts: set[tuple[int, int]],
    uses: set[tuple[int, int]],
) -> None:
    if PYPY:
        return  # frames are objects like others there: the search sees its own
    target = asked.held[0]
    length = len(objects) - 1
    late = set(map(id, asked.late))
    first = [one for one in asked.roots if id(one) not in late]
    reached = heap.reach(first, target, cuts | uses, late) if asked.soft else {}
    roots = [*asked.roots, *[one for one in asked.soft if id(one) in reached]]
    if length:  # else it is a root itself, which is found first
        roots = [one for one in roots if one is not target]
    if tier == 0:
        shortest = heap.distance(roots, target, cuts | uses, barred=late)
        assert shortest == length, [type(one) for one in objects]
        return
    assert heap.distance(roots, target, cuts | uses, barred=late) is None
    shortest = heap.distance((*roots, *asked.late), target, cuts)
    if tier == 1:
        assert shortest == length, [type(one) for one in objects]
    else:
        assert shortest is None


def check_cycle(heap: Heap, target: object, cycle: list[Any]) -> None:
    """One that leads to the target: round, and then there."""
    if cycle:
        assert cycle[-1] is target
        assert any(one is cycle[0] for one in cycle[1:])
        for one, other in pairwise(cycle):
            assert heap.refers(one, other), (type(one), type(other))


def expected_cut(objects: list[Any]) -> int:
    """The last reference out of a collection; else out of what can be changed; else the last."""
    last = len(objects) - 2
    for at in range(last, -1, -1):
        if isinstance_of(objects[at], COLLECTIONS) and not is_namespace(objects, at):
            return at
    for at in range(last, -1, -1):
        if not isinstance_of(objects[at], FIXED):
            return at
    return last


def isinstance_of(one: object, types: tuple[type, ...]) -> bool:
    return any(cls in types for cls in type(one).__mro__)


def is_namespace(objects: list[Any], at: int) -> bool:
    if at == 0 or type(objects[at]) is not dict:
        return False
    holder: Any = objects[at - 1]
    if isinstance_of(holder, (ModuleType,)):
        return True
    if type(holder) is FrameType:
        return (
            objects[at] in (holder.f_globals, holder.f_builtins) or objects[at] is holder.f_locals
        )
    if isinstance(holder, type):
        return True
    if type(holder) is FunctionType:
        return objects[at] is holder.__globals__ or objects[at] is holder.__dict__
    return getattr(holder, "__dict__", None) is objects[at]


def names(objects: list[Any]) -> list[str]:
    return [type(one).__name__ for one in objects]


# What can be broken ------------------------------------------------------------------------------


def break_reference(holder: Any, held: Any) -> bool:
    """Takes the one object from the other; says whether it can."""
    kind = type(holder)
    if issubclass(kind, dict):
        for key, value in list(holder.items()):
            if key is held or value is held:
                del holder[key]
    elif issubclass(kind, list | deque):
        while any(one is held for one in holder):
            for at, one in enumerate(holder):
                if one is held:
                    del holder[at]
                    break
    elif issubclass(kind, set):
        holder.discard(held)
    elif kind is CellType:
        del holder.cell_contents
    elif kind.__module__ in ("leak_corpus", "types") and hasattr(holder, "__dict__"):
        for name, value in list(vars(holder).items()):
            if value is held:
                delattr(holder, name)
    else:
        return False
    return not any(one is held for one in get_referents(holder))
