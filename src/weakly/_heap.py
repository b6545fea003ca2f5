"""The engine of `why_alive`, `heap` and `retained` in Python: the twin of the C core's.

The heap is walked once, with `gc.get_objects()` and `gc.get_referents()`, into lists of indices;
all questions are then answered on these lists, breadth first. Objects are only ever compared by
identity and asked for their real types, so none of their own code runs. The walk sees the lists
and frames that it is made of itself: they are left out by identity, and the references that they
hold count as explained.

While it runs, the automatic collector is off: it would go over our own lists again and again.
"""

# The objects are anybody's, of types that nobody knows.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

import gc
import heapq
import os
import sys
import time
from _thread import RLock
from collections.abc import Callable, Iterable
from contextlib import suppress
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR, CO_OPTIMIZED
from types import (
    AsyncGeneratorType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodDescriptorType,
    ModuleType,
    TracebackType,
)
from typing import Any, TypeAlias, cast

from ._progress import Progress

__all__ = [
    "find_chains",
    "frame_variables",
    "get_referents",
    "heap_sizes",
    "retained_sizes",
    "running_frames",
]

_PYPY = sys.implementation.name == "pypy"
_getrefcount: Callable[[object], int] | None = getattr(sys, "getrefcount", None)

_SUSPENDABLE = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR
_GENERATORS: dict[int, tuple[Any, Any]] = {  # by id: types can have a hash of their own
    id(cls): (vars(cls)[running], vars(cls)[frame])
    for cls, running, frame in [
        (GeneratorType, "gi_running", "gi_frame"),
        (CoroutineType, "cr_running", "cr_frame"),
        (AsyncGeneratorType, "ag_running", "ag_frame"),
    ]
}
# From 3.14 on, a suspended generator visits an object twice that it counts once.
_VISITS_TWICE = not _PYPY and sys.version_info >= (3, 14)

# From 3.14 on, the collector shows the dict of the interned strings, which it does not own.
_INTERNED_ARE_TRACKED = not _PYPY and sys.version_info >= (3, 14)
_NAME = sys.intern("a string that weakly has interned")

_PATIENCE = 60  # seconds

_Statistics: TypeAlias = tuple[int, int, int, float]
_Chain: TypeAlias = tuple[int, list[Any], int]
_Edge: TypeAlias = tuple[int, int]


if _PYPY or sys.version_info[:2] != (3, 12):
    get_referents = gc.get_referents
else:

    def get_referents(one: object, /) -> list[Any]:  # type: ignore[misc]
        """As that of `gc`: there _asyncio shows what it has freed and keeps for its next use, to
        be freed a second time."""
        if type(one) is ModuleType:
            namespace = object.__getattribute__(one, "__dict__")
            name = namespace.get("__name__")
            if type(name) is str and name == "_asyncio":
                return [namespace]
        return gc.get_referents(one)


# Frames --------------------------------------------------------------------------------------


def running_frames() -> tuple[list[FrameType], list[int]]:
    """The frames of the functions that are running now, thread by thread, each before the one
    that it returns to; and for each the number of its thread.

    Without this function's own: it would keep the list, and be in it.
    """
    frames: list[FrameType] = []
    threads: list[int] = []
    frame: FrameType | None
    for thread, frame in sys._current_frames().items():  # pyright: ignore[reportPrivateUsage]
        while frame is not None:
            if frame.f_code is not running_frames.__code__:
                frames.append(frame)
                threads.append(thread)
            frame = frame.f_back
    return frames, threads


def frame_variables(frame: FrameType) -> list[tuple[str, Any]]:
    """What a frame holds: the name and the object of each variable that is set.

    The object is the cell where a variable is shared with other functions. A module's or a
    class's frame holds its namespace instead (`f_locals`, `f_globals`), and gives nothing here.
    """
    frames = _Frames([frame], [])
    frames.find_cells()
    return list(frames.found[id(frame)].items())


class _Frames:
    """The variables of frames: those of running functions are seen by nobody but the frame.

    `f_locals` gives contents. The cells between are found by these: those of the function's own
    closure, those that the functions made here have, or the only one with this content.
    """

    def __init__(self, frames: Iterable[FrameType], roots: list[Any]) -> None:
        self.frames = list(frames)
        known = {id(_namespace(one)) for one in roots if issubclass(type(one), ModuleType)}
        self.found: dict[int, dict[str, Any]] = {}
        self.others: dict[int, list[Any]] = {}  # what else a frame holds
        copies: list[dict[str, Any]] = []  # of variables, which PyPy keeps in the frame
        for frame in self.frames:
            variables, namespace = _contents(frame, copies)
            self.found[id(frame)] = variables
            others = [frame.f_code, frame.f_globals, frame.f_builtins, *namespace]
            # What modules have is theirs.
            self.others[id(frame)] = [one for one in others if id(one) not in known]
        self.unsure: set[int] = set()  # cells that some frame's variable may be
        _clear_unshared(copies)

    def containers(self) -> list[Any]:
        found, others = self.found, self.others
        return [self, self.frames, self.unsure, found, others, *found.values(), *others.values()]

    def held(self, frame: FrameType) -> list[Any]:
        """What a running frame refers to, as far as Python can tell."""
        held = list(self.found[id(frame)].values())
        seen = set(map(id, held))
        for one in (*get_referents(frame), *self.others[id(frame)]):
            if id(one) not in seen:
                seen.add(id(one))
                held.append(one)
        return held

    def find_cells(self) -> None:
        """Look for the cells of variables, which take the place of their contents."""
        frames = [
            frame for frame in self.frames if frame.f_code.co_cellvars or frame.f_code.co_freevars
        ]
        if not frames:
            return
        codes = {id(frame.f_code) for frame in frames}
        for frame in frames:
            codes.update(map(id, _inner_codes(frame)))
        functions: dict[int, list[FunctionType]] = {}  # by code
        cells: dict[int, list[CellType]] = {}  # by content
        for one in gc.get_objects():
            if type(one) is FunctionType and id(one.__code__) in codes:
                functions.setdefault(id(one.__code__), []).append(one)
            elif type(one) is CellType:
                with suppress(ValueError):  # it is empty
                    cells.setdefault(id(one.cell_contents), []).append(one)
        for frame in frames:
            variables = self.found[id(frame)]
            variables.update(self._cells_of(frame, variables, functions, cells))

    def _cells_of(
        self,
        frame: FrameType,
        variables: dict[str, Any],
        functions: dict[int, list[FunctionType]],
        cells: dict[int, list[CellType]],
    ) -> dict[str, CellType]:
        code = frame.f_code
        found: dict[str, CellType] = {}
        seen = [one for one in get_referents(frame) if type(one) is CellType]
        running = functions.get(id(code), [])
        inner = [one for code in _inner_codes(frame) for one in functions.get(id(code), [])]
        for name, value in variables.items():
            candidates: list[CellType] = []
            if name in code.co_freevars:
                candidates = _closure_cells(running, name, value) or _with_content(seen, value)
            elif name in code.co_cellvars:
                candidates = (
                    _with_content(seen, value)
                    or _closure_cells(inner, name, value)
                    or cells.get(id(value), [])
                )
            if len(set(map(id, candidates))) == 1:
                found[name] = candidates[0]
            else:
                self.unsure.update(map(id, candidates))
        return found


def _namespace(module: ModuleType) -> Any:
    return vars(ModuleType)["__dict__"].__get__(module)


def _inner_codes(frame: FrameType) -> list[CodeType]:
    """Those of the functions that are defined in the one that runs."""
    return [one for one in frame.f_code.co_consts if type(one) is CodeType]


def _contents(
    frame: FrameType, copies: list[dict[str, Any]] | None = None
) -> tuple[dict[str, Any], list[Any]]:
    """The variables of a frame, without the cells, and its namespace where it has one."""
    code = frame.f_code
    content: Any = frame.f_locals  # a proxy from 3.13 on, else a dict that stays with the frame
    variables: dict[str, Any] = {}
    if not code.co_flags & CO_OPTIMIZED:
        return variables, [content]
    for name in (*code.co_varnames, *code.co_cellvars, *code.co_freevars):
        if name in content:
            variables[name] = content[name]
    if type(content) is not dict:
        return variables, []
    if _getrefcount is None:
        if copies is None:
            _clear_unshared([content])
        else:
            copies.append(content)
        return variables, []
    if _getrefcount(content) > 3:  # the frame's, this one's, the argument: somebody has it
        return variables, [content]
    content.clear()
    return variables, []


def _clear_unshared(copies: list[dict[str, Any]]) -> None:
    """Empty the dicts that nothing but their frames has, where references are not counted."""
    known = {id(one) for one in (copies, *copies)}
    shared: set[int] = set()
    for holder in gc.get_referrers(*copies) if copies else ():
        if type(holder) is not FrameType and id(holder) not in known:
            held = [id(one) for one in get_referents(holder) if id(one) in known]
            if type(holder) is not tuple or len(held) < len(copies):  # the arguments
                shared.update(held)
    for content in copies:
        if id(content) not in shared and id(content) not in map(id, content.values()):
            content.clear()


def _closure_cells(functions: list[FunctionType], name: str, value: Any) -> list[CellType]:
    """The cells by this name and with this content in the functions' closures."""
    cells: list[CellType] = []
    for function in functions:
        names = function.__code__.co_freevars
        if name in names and function.__closure__:
            cells.append(function.__closure__[names.index(name)])
    return _with_content(cells, value)


def _with_content(cells: list[CellType], value: Any) -> list[CellType]:
    found: list[CellType] = []
    for cell in cells:
        with suppress(ValueError):
            if cell.cell_contents is value:
                found.append(cell)
    return found


# The graph -----------------------------------------------------------------------------------


class _Graph:
    """The heap as lists of indices, when it was walked.

    `objects` keeps all of them alive, and is dropped with the graph. Objects that refer to
    nothing are in it only if asked for (`leaves`).
    """

    def __init__(self, progress: bool) -> None:
        self.start = time.perf_counter()
        self.progress = Progress(progress)
        self.objects: list[Any] = []
        self.index: dict[int, int] = {}
        self.referrers: list[list[int]] = []
        self._referents: list[list[int]] = []
        self.references = 0
        self.explained: dict[int, int] = {}  # references of our own, by id
        self.frames = _Frames((), [])

    def walk(
        self,
        targets: list[Any],
        roots: list[Any],
        frames: list[FrameType],
        own: list[FrameType],
        ours: list[Any],
        leaves: bool,
    ) -> None:
        """Make the graph. What is `ours` is not in it, nor what the frames in `own` refer to."""
        self.frames = _Frames([*frames, *own], roots)
        hidden = [targets, roots, frames, own, ours, *ours, *self.frames.containers()]
        mine = [self, self.progress, self.objects, self.index, self.referrers, self._referents]
        mine += [self.explained, hidden]
        skipped = set(map(id, (*mine, *hidden)))
        skipped.update((id(mine), id(skipped)))
        for one in gc.get_objects():
            if _INTERNED_ARE_TRACKED and type(one) is dict and _is_interned(one):
                skipped.add(id(one))
            if id(one) not in skipped:
                self._add(one)
        for one in (*targets, *roots, *frames, *own):
            self._add(one)
        one = None  # else it would have a reference more
        self.referrers += [[] for _ in self.objects]
        self.frames.find_cells()
        explained: set[int] = set()
        for holder in hidden:
            if id(holder) not in explained:
                explained.add(id(holder))
                self.explain(get_referents(holder))
        for frame in own:
            self.explain(self.frames.found[id(frame)].values())
            skipped.add(id(frame))
        self._walk(frames, skipped, leaves)

    def say(self, what: str) -> None:
        """What is done, if all that takes long."""
        self.progress.show(f"{len(self.objects):,} objects: {what}")

    def clear(self) -> None:
        """Let go of everything, before another thread's walk comes upon it."""
        self.progress.clear()
        self.objects.clear()
        self.index.clear()
        self.referrers.clear()
        self._referents.clear()
        self.explained.clear()
        self.frames = _Frames((), [])

    def _add(self, one: Any) -> int:
        at = self.index.get(id(one))
        if at is None:
            at = self.index[id(one)] = len(self.objects)
            self.objects.append(one)
        return at

    def _walk(self, frames: list[FrameType], skipped: set[int], leaves: bool) -> None:
        objects, index, referrers = self.objects, self.index, self.referrers
        own_globals = globals()  # of the frames that run this, which PyPy shows
        held = {id(frame): self.frames.held(frame) for frame in frames}
        suspendable = {id(frame): frame for frame in frames if frame.f_code.co_flags & _SUSPENDABLE}
        for at, one in enumerate(objects):  # which grows meanwhile
            if id(one) in skipped or (type(one) is FrameType and one.f_globals is own_globals):
                continue
            refers = held.get(id(one))
            if refers is None:
                refers = get_referents(one)
            if id(type(one)) in _GENERATORS:
                refers = _held_by_generator(one, refers, suspendable, held)
            for other in refers:
                to = index.get(id(other))
                if to is None:
                    if not (leaves and _can_go(other)) and not get_referents(other):
                        continue
                    if id(other) in skipped:
                        continue
                    to = index[id(other)] = len(objects)
                    objects.append(other)
                    referrers.append([])
                referrers[to].append(at)
            self.references += len(refers)
            if not at & 0xFFFF:
                self.progress.show(f"walked {at:,} of {len(objects):,} objects")
            del one

    def explain(self, objects: Iterable[Any]) -> None:
        """Take these references for our own."""
        for one in objects:
            self.explained[id(one)] = self.explained.get(id(one), 0) + 1

    def indices(self, objects: Iterable[Any]) -> set[int]:
        return {self.index[id(one)] for one in objects if id(one) in self.index}

    def unexplained(self, at: int) -> int:
        """How many references to an object are held where the walk cannot look."""
        if _getrefcount is None:
            return 0
        identity = id(self.objects[at])
        if identity in self.frames.unsure:  # a running function may hold it
            return 0
        explained = len(self.referrers[at]) + self.explained.get(identity, 0)
        return _count(self.objects, at) - _OURS - explained

    def referents(self) -> list[list[int]]:
        """What each object refers to."""
        if not self._referents:
            self._referents = [[] for _ in self.objects]
            for to, referrers in enumerate(self.referrers):
                for at in referrers:
                    self._referents[at].append(to)
        return self._referents

    def held_unseen(self, reached: set[int]) -> set[int]:
        """What has references that the walk has not met.

        Where they are not counted, what is neither reached nor garbage must have some: the
        collector there shows no garbage.
        """
        if _getrefcount is None:
            roots = self.indices((*sys.modules.values(), *self.frames.frames))
            return roots.union(set(range(len(self.objects))) - reached)
        return {at for at in range(len(self.objects)) if self.unexplained(at) > 0}

    def chain(self, leading: dict[int, int], at: int, depth: int) -> list[Any]:
        path = _path(leading, at) if at in leading else []
        return [self.objects[one] for one in reversed(path)] if len(path) <= depth + 1 else []

    def statistics(self) -> _Statistics:
        # Reckoned: the lists and their numbers; twice, and those of the dominators, for sizes.
        each, times = (500, 2) if self._referents else (170, 1)
        memory = len(self.objects) * each + self.references * 8 * times
        seconds = time.perf_counter() - self.start
        return len(self.objects), self.references, memory, seconds


def _is_interned(one: dict[Any, Any]) -> bool:
    """Whether a dict is that of the interned strings: each is there for itself."""
    with suppress(RuntimeError):  # another thread has changed it
        for key, value in one.items():
            if key is not value:
                break
            if key is _NAME:
                return True
    return False


def _can_go(one: Any) -> bool:
    """Whether an object is not immortal."""
    return _getrefcount is None or _getrefcount(one) < 1 << 31


def _count(objects: list[Any], at: int) -> int:
    return 0 if _getrefcount is None else _getrefcount(objects[at])


_OURS = _count([object()], 0)  # how many of the references that are counted are the list's and ours


def _held_by_generator(
    one: Any,
    refers: list[Any],
    suspendable: dict[int, FrameType],
    held: dict[int, list[Any]],
) -> list[Any]:
    running, frame = _GENERATORS[id(type(one))]
    if suspendable and running.__get__(one):
        # What it holds is its running frame's, to which it leads anyhow.
        frame = frame.__get__(one)
        if id(frame) in suspendable:
            variables = set(map(id, held[id(frame)]))
            return [other for other in refers if id(other) not in variables]
    if _VISITS_TWICE:
        return list({id(other): other for other in refers}.values())
    return refers


_lock = RLock()  # a signal handler may ask while this thread does


def _forget_other_threads() -> None:
    """In a child that was forked while one of them held it."""
    global _lock
    _lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)


class _Walking:
    """For one thread at a time: a walk would go over all that others have made for theirs.

    Keeps the automatic collector from starting; and an exception's traceback from what the
    functions that it has ended had.
    """

    def __enter__(self) -> None:
        self.lock = _lock
        self.locked = self.lock.acquire(timeout=_PATIENCE)  # else slowly, but not never
        self.was_on = gc.isenabled()
        gc.disable()

    def __exit__(self, _: object, error: object, traceback: TracebackType | None) -> None:
        while traceback is not None:
            with suppress(RuntimeError):  # it runs: the one who asks
                traceback.tb_frame.clear()
            traceback = traceback.tb_next
        if self.was_on:
            gc.enable()
        if self.locked:
            self.lock.release()


# Chains --------------------------------------------------------------------------------------


def find_chains(
    held: list[Any],
    count: int,
    depth: int,
    roots: list[Any],
    soft: list[Any],
    late: list[Any],
    own: list[FrameType],
    caller: FrameType | None,
    collections: tuple[type, ...],
    fixed: tuple[type, ...],
    progress: bool,
) -> tuple[list[_Chain], list[Any], _Statistics]:
    """The shortest chains of references to the object that `held` holds, up to `count`.

    Each is `(tier, objects, cut)`: tier 0 from `roots` or `soft`; 1 from `late` or the caller's
    own variables; 2 from an object that has references which nothing explains. The next one is
    the shortest that does without the references at the cuts of those before it. Then, if there
    is none at all, a cycle that leads to the object. At last what it took: objects, references,
    bytes, seconds.
    """
    all_roots = [*roots, *soft, *late]  # as long as references are counted, so no temporary list
    ours: list[Any] = [held, roots, soft, late, own, collections, fixed]
    frames = list({
        id(one): one
        for one in (*roots, *late, *([] if caller is None else [caller]))
        if type(one) is FrameType
    }.values())  # fmt: skip
    ours.append(frames)
    with _Walking():
        graph = _Graph(progress)
        chains: list[_Chain] = []
        try:
            graph.walk(held, all_roots, frames, own, ours, False)
            graph.say("what leads there")
            search = _Search(graph, held, depth, roots, soft, late, caller)
            while len(chains) < count:
                found = search.next()
                if found is None:
                    break
                tier, path = found
                objects = [graph.objects[at] for at in path]
                cut = _cut(objects, collections, fixed)
                chains.append((tier, objects, cut))
                graph.explain(objects)
                search.leave_out(path, cut)
            cycle = [] if chains else [graph.objects[at] for at in search.cycle()]
            return chains, cycle, graph.statistics()
        except BaseException:
            chains.clear()
            raise
        finally:
            graph.clear()


class _Search:
    """Walks back from the target, level by level, until something is reason enough."""

    def __init__(
        self,
        graph: _Graph,
        held: list[Any],
        depth: int,
        roots: list[Any],
        soft: list[Any],
        late: list[Any],
        caller: FrameType | None,
    ) -> None:
        self.graph = graph
        self.depth = depth
        self.target = graph.index[id(held[0])]
        self.late = graph.indices(late)
        self.roots = graph.indices(roots) - self.late
        self.soft = graph.indices(soft) - self.late - {self.target}
        self.callers: set[_Edge] = set()  # the caller's references to the target
        if caller is not None:
            at = graph.index[id(caller)]
            for one in graph.frames.found[id(caller)].values():
                if one is held[0] or (type(one) is CellType and _with_content([one], held[0])):
                    self.callers.add((at, graph.index[id(one)]))
        self.order = {graph.index[id(one)]: at for at, one in enumerate((*roots, *soft, *late))}
        self.cut: set[_Edge] = set()
        self.used = False  # the target itself, as a root
        self.tier = 0

    def next(self) -> tuple[int, list[int]] | None:
        """The tier and the indices of the next chain."""
        while self.tier < 3:
            path = self._back(self.target, self._is_reason, self.depth)
            if path is not None:
                return self.tier, path
            self.tier += 1
        return None

    def leave_out(self, path: list[int], cut: int) -> None:
        """Find no more chains that use this reference of one that was found."""
        if cut < 0:
            self.used = True
        else:
            self.cut.add((path[cut], path[cut + 1]))

    def _is_reason(self, at: int) -> bool:
        if at == self.target and self.used:
            return False
        if self.tier == 2:
            return self.graph.unexplained(at) > 0
        if self.tier == 1 and at in self.late:
            return True
        return at in self.roots or (at in self.soft and self._is_reached(at))

    def _is_reached(self, soft: int) -> bool:
        """Whether the roots lead to something, and not by way of the target only."""
        return self._back(soft, self.roots.__contains__, -1, past=False) is not None

    def _back(
        self, start: int, is_reason: Callable[[int], bool], depth: int, past: bool = True
    ) -> list[int] | None:
        """A shortest path from what is a reason; of several, from the first of the roots."""
        referrers = self.graph.referrers
        seen = {start: -1}
        barred = self.late if self.tier == 0 else set[int]()
        if not past:
            barred = barred | {self.target}
        cut = self.cut | self.callers if self.tier == 0 else self.cut
        level = [start]
        reasons = level if is_reason(start) else []
        while level and depth and not reasons:
            depth -= 1
            further: list[int] = []
            for at in level:
                for referrer in referrers[at]:
                    if (
                        referrer not in seen
                        and referrer not in barred
                        and (referrer, at) not in cut
                    ):
                        seen[referrer] = at
                        further.append(referrer)
            level = further
            reasons = list(filter(is_reason, level))
        if not reasons:
            return None
        return _path(seen, min(reasons, key=lambda at: self.order.get(at, -1)))

    def cycle(self) -> list[int]:
        """A shortest cycle through the target; else one that leads to it, which comes first."""
        around, leading = self._around(self.target)
        if around:
            return around
        start = self._on_a_cycle()
        return [] if start is None else [*self._around(start)[0][:-1], *_path(leading, start)]

    def _around(self, start: int) -> tuple[list[int], dict[int, int]]:
        """A shortest cycle through an object, if there is one; and else the ways that lead to it,
        by what comes next."""
        referrers = self.graph.referrers
        seen = {start: -1}
        order = [start]
        for at in order:
            for referrer in referrers[at]:
                if referrer == start:
                    return [start, *_path(seen, at)], seen
                if referrer not in seen:
                    seen[referrer] = at
                    order.append(referrer)
        return [], seen

    def _on_a_cycle(self) -> int | None:
        """An object on a cycle that leads to the target: the first that a search back, depth
        first, comes to a second time on its way."""
        referrers = self.graph.referrers
        is_on_way = {self.target: True}
        way = [(self.target, iter(referrers[self.target]))]
        while way:
            at, further = way[-1]
            for referrer in further:
                if is_on_way.get(referrer):
                    return referrer
                if referrer not in is_on_way:
                    is_on_way[referrer] = True
                    way.append((referrer, iter(referrers[referrer])))
                    break
            else:
                is_on_way[at] = False
                way.pop()
        return None


def _path(following: dict[int, int], at: int) -> list[int]:
    path: list[int] = []
    while at >= 0:
        path.append(at)
        at = following[at]
    return path


def _cut(objects: list[Any], collections: tuple[type, ...], fixed: tuple[type, ...]) -> int:
    """Which reference of a chain is the suspect."""
    last = len(objects) - 2
    for at in range(last, -1, -1):
        if issubclass(type(objects[at]), collections) and not _is_namespace(objects, at):
            return at
    for at in range(last, -1, -1):
        if not issubclass(type(objects[at]), fixed):
            return at
    return last


def _is_namespace(objects: list[Any], at: int) -> bool:
    """Whether a dict of a chain is the one in which its owner before it has its attributes."""
    one: Any = objects[at]
    if not issubclass(type(one), dict) or not at:
        return False
    owner: Any = objects[at - 1]
    kind = type(owner)
    if issubclass(kind, (ModuleType, type)):
        return True
    if kind is FrameType:
        return one is owner.f_globals or one is owner.f_builtins or at == 1
    if issubclass(kind, FunctionType) and one is FunctionType.__globals__.__get__(owner):
        return True
    return _is_attributes(owner, one)


def _is_attributes(owner: Any, one: dict[Any, Any]) -> bool:
    """Whether a dict is an object's `__dict__`, which must not be asked for: that would make it.

    If it is, what it has for a name that no class of the object has is what the object has.
    """
    with suppress(RuntimeError):  # another thread has changed it
        for name, value in dict.items(one):
            if type(name) is str and not any(name in _vars(cls) for cls in _mro(type(owner))):
                try:
                    return object.__getattribute__(owner, name) is value
                except AttributeError:
                    return False
    return False


def _mro(cls: type) -> tuple[type, ...]:
    return cast("tuple[type, ...]", type.__dict__["__mro__"].__get__(cls))


def _vars(cls: type) -> Any:
    return type.__dict__["__dict__"].__get__(cls)


# Sizes ---------------------------------------------------------------------------------------


def heap_sizes(
    top: int,
    depth: int,
    roots: list[Any],
    soft: list[Any],
    own: list[FrameType],
    progress: bool,
) -> tuple[
    tuple[int, int, int, int],
    list[tuple[type, int, int, int]],
    list[tuple[Any, int, int, int, int, list[Any]]],
    _Statistics,
]:
    """What the heap consists of, and what keeps how much of it.

    Returns the objects and bytes of all, and of those that are garbage; the objects, bytes and
    retained bytes of each class; of the `top` objects that retain most, the object, its bytes,
    its retained bytes and objects, which of them dominates it and the chain from a root to it;
    and what it took, as `find_chains`. What only the frames in `own` hold is none of those.
    """
    frames = [one for one in (*roots, *own) if type(one) is FrameType]
    all_roots = [*roots, *soft, *own]
    ours: list[Any] = [roots, soft, own, frames]
    with _Walking():
        graph = _Graph(progress)
        try:
            graph.walk([], all_roots, frames, [], ours, True)
            starts = graph.indices((*roots, *own))
            reached = _reached(graph.referents(), starts)
            starts |= {at for at in graph.indices(soft) if at in reached}
            graph.say("what keeps which")
            tree = _Dominators(graph, starts | graph.held_unseen(reached))
            graph.say("what keeps the most")
            largest = heapq.nlargest(
                top, tree.not_dominated_by(graph.indices(own)), tree.retained.__getitem__
            )
            places = {number: place for place, number in enumerate(largest)}
            leading = _leading(graph.referents(), starts)
            return (
                tree.totals(),
                tree.classes(),
                [
                    (
                        graph.objects[tree.order[at]],
                        tree.sizes[tree.order[at]],
                        tree.retained[at],
                        tree.counts[at],
                        _nearest(tree.dominators, at, places),
                        graph.chain(leading, tree.order[at], depth),
                    )
                    for at in largest
                ],
                graph.statistics(),
            )
        finally:
            graph.clear()


def retained_sizes(held: list[Any], progress: bool) -> tuple[int, int]:
    """The bytes and the number of the objects that would go with the one that `held` holds."""
    with _Walking():
        graph = _Graph(progress)
        try:
            running = running_frames()[0] if _getrefcount is None else []
            frames = [one for one in running if one.f_globals is not globals()]  # not our own
            graph.walk(held, [], frames, [], [], True)
            target = graph.index[id(held[0])]
            graph.say("what it leads to")
            referents = graph.referents()
            reached = _reached(referents, {target})
            graph.say("what others keep")
            kept = _reached(referents, graph.held_unseen(reached) - {target}, barred=target)
            gone = reached - kept
            size = _sizer()
            return sum(size(graph.objects[at]) for at in gone), len(gone)
        finally:
            graph.clear()


def _reached(referents: list[list[int]], starts: Iterable[int], barred: int = -1) -> set[int]:
    """What can be reached, not by way of an object that is barred."""
    found = set(starts)
    queue = list(found)
    for at in queue:
        for to in referents[at]:
            if to not in found and to != barred:
                found.add(to)
                queue.append(to)
    return found


def _leading(referents: list[list[int]], starts: set[int]) -> dict[int, int]:
    """What comes before each object on a shortest way from any of the starts."""
    leading = dict.fromkeys(starts, -1)
    queue = list(starts)
    for at in queue:
        for to in referents[at]:
            if to not in leading:
                leading[to] = at
                queue.append(to)
    return leading


class _Dominators:
    """What goes with what: an object's dominator is the nearest through which all ways to it lead.

    The method is semi-NCA (Georgiadis, Tarjan and Werneck, "Finding dominators in practice",
    2006). Objects are numbered in the order in which a search depth first comes to them; number 0
    stands above all that the search starts from. The numbers of what dominates are less.
    """

    def __init__(self, graph: _Graph, starts: set[int]) -> None:
        self.graph = graph
        size = _sizer()
        self.sizes = [size(one) for one in graph.objects]
        self.order = [-1]
        self.numbers = [0] * len(graph.objects)
        self.parents = [0]
        self._number(starts)
        self.dominators = self._dominators(starts)
        self.retained = [0, *(self.sizes[at] for at in self.order[1:])]
        self.counts = [1] * len(self.order)
        for at in range(len(self.order) - 1, 0, -1):
            self.retained[self.dominators[at]] += self.retained[at]
            self.counts[self.dominators[at]] += self.counts[at]

    def _number(self, starts: Iterable[int]) -> None:
        referents = self.graph.referents()
        for start in starts:
            stack = [(0, iter((start,)))]
            while stack:
                parent, edges = stack[-1]
                for to in edges:
                    if not self.numbers[to]:
                        number = self.numbers[to] = len(self.order)
                        self.order.append(to)
                        self.parents.append(parent)
                        stack.append((number, iter(referents[to])))
                        break
                else:
                    stack.pop()

    def _dominators(self, starts: set[int]) -> list[int]:
        numbers, referrers = self.numbers, self.graph.referrers
        semi = list(range(len(self.order)))
        labels = semi.copy()  # the least semidominator's on the way up the compressed forest
        up = self.parents.copy()
        for at in range(len(self.order) - 1, 0, -1):
            node = self.order[at]
            least = 0 if node in starts else self.parents[at]
            for referrer in referrers[node]:
                number = numbers[referrer]
                if number:
                    least = min(least, semi[_least(number, at, up, labels, semi)])
            semi[at] = least
        dominators = self.parents.copy()
        for at in range(1, len(self.order)):
            dominator = dominators[at]
            while dominator > semi[at]:
                dominator = dominators[dominator]
            dominators[at] = dominator
        return dominators

    def not_dominated_by(self, those: set[int]) -> list[int]:
        """The numbers of all but these objects and what goes with them."""
        numbers: list[int] = []
        dominated = {self.numbers[one] for one in those}
        for at in range(1, len(self.order)):
            if at not in dominated:
                if self.dominators[at] in dominated:
                    dominated.add(at)
                else:
                    numbers.append(at)
        return numbers

    def totals(self) -> tuple[int, int, int, int]:
        garbage = [at for at, number in enumerate(self.numbers) if not number]
        return (
            len(self.sizes),
            sum(self.sizes),
            len(garbage),
            sum(self.sizes[at] for at in garbage),
        )

    def classes(self) -> list[tuple[type, int, int, int]]:
        rows: dict[int, list[Any]] = {}
        for at in self.order[1:]:  # garbage is in none
            one = self.graph.objects[at]
            row = rows.setdefault(id(type(one)), [type(one), 0, 0, 0])
            row[1] += 1
            row[2] += self.sizes[at]
        dominated: list[list[int]] = [[] for _ in self.order]
        for at in range(1, len(self.order)):
            dominated[self.dominators[at]].append(at)
        open_rows: set[int] = set()  # of the classes whose instances we are in
        stack = [(0, iter(dominated[0]))]
        while stack:
            _, edges = stack[-1]
            for at in edges:
                kind = id(type(self.graph.objects[self.order[at]]))
                if kind not in open_rows:
                    open_rows.add(kind)
                    rows[kind][3] += self.retained[at]
                else:
                    kind = 0
                stack.append((kind, iter(dominated[at])))
                break
            else:
                open_rows.discard(stack.pop()[0])
        return [(kind, count, size, retained) for kind, count, size, retained in rows.values()]


def _least(number: int, linked: int, up: list[int], labels: list[int], semi: list[int]) -> int:
    """The one with the least semidominator on the way up from a number, as far as it is linked:
    what comes after `linked`."""
    if number <= linked:
        return number
    path: list[int] = []
    at = number
    while up[at] > linked:
        path.append(at)
        at = up[at]
    least = labels[at]
    for one in reversed(path):
        if semi[labels[one]] > semi[least]:
            labels[one] = least
        least = labels[one]
        up[one] = up[at]
    return labels[number]


def _nearest(dominators: list[int], at: int, places: dict[int, int]) -> int:
    """The place of the nearest of some numbers that dominates one; -1: none does."""
    while at:
        at = dominators[at]
        if at in places:
            return places[at]
    return -1


_HAS_HEAD = 1 << 14  # Py_TPFLAGS_HAVE_GC
_HAS_PREHEADER = 1 << 3 | 1 << 4  # Py_TPFLAGS_MANAGED_WEAKREF, Py_TPFLAGS_MANAGED_DICT


class _Plain:
    """To see what precedes an object."""


def _sizer() -> Callable[[Any], int]:
    """A function for the bytes of an object, without what it refers to and without asking it."""
    if _PYPY:
        return cast(Any, gc).get_rpy_memory_usage  # type: ignore[no-any-return]
    head = sys.getsizeof([]) - [].__sizeof__()
    plain = _Plain()
    preheader = sys.getsizeof(plain) - object.__sizeof__(plain) - head
    kinds: dict[int, tuple[Any, int]] = {}

    def size(one: Any) -> int:
        kind = kinds.get(id(type(one)))
        if kind is None:
            flags: int = type.__dict__["__flags__"].__get__(type(one))
            before = (head if flags & _HAS_HEAD else 0) + (
                preheader if flags & _HAS_PREHEADER else 0
            )
            kind = kinds[id(type(one))] = _sizeof(type(one)), before
        return int(kind[0](one)) + kind[1]

    return size


_SIZEOF = sys.intern("__sizeof__")


def _sizeof(cls: type) -> Any:
    """The first `__sizeof__` of a class that is no Python code, and for such objects."""
    for base in _mro(cls):
        for name, method in list(_vars(base).items()):  # a key looked up may have an `__eq__`
            if (
                name is _SIZEOF
                and type(method) is MethodDescriptorType
                and any(known is method.__objclass__ for known in _mro(cls))
            ):
                return method
    return object.__sizeof__
