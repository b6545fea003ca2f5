"""The C engine of `why_alive` and `heap`: what only it does, or does without asking Python.

Frames are read from the interpreter's own records, sizes from the types; the dominators are
compared with their definition on random graphs.
"""

from __future__ import annotations

import array
import asyncio
import collections
import gc
import io
import random
import re
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from support import FREE_THREADED, Thing, check_runs, count_failures, failing_allocations

from weakly._implementation import find_chains, frame_variables, heap_sizes, retained_sizes

pytestmark = pytest.mark.c_core(reason="of the C engine alone")

COLLECTIONS = (list, dict, set, frozenset, collections.deque)
FIXED = (tuple, frozenset)
counted = pytest.mark.skipif(FREE_THREADED, reason="sizes are reckoned there")


def chains(
    held: list[Any], roots: list[Any], late: list[Any] | None = None, depth: int = 1_000_000
) -> tuple[list[tuple[int, list[Any]]], list[Any]]:
    """The tiers and chains from these roots, or from where nobody can look; and the cycle."""
    found, cycle, _ = find_chains(
        held, 9, depth, roots, [], late or [], [sys._getframe()], None, COLLECTIONS, FIXED, False
    )
    return [(tier, chain) for tier, chain, _ in found], cycle


def ways(holder: Any, target: Any) -> list[tuple[int, list[Any]]]:
    """The chains to an object without those that start with the test's own frames."""
    found, _ = chains([target], [holder])
    return [(tier, chain) for tier, chain in found if type(chain[0]) is not FrameType]


# --------------------------------------------------------------------------------------- frames


def parts(frame: FrameType) -> dict[str, Any]:
    """A frame's variables, with the contents of cells."""
    return {
        name: held.cell_contents if type(held) is types.CellType else held
        for name, held in frame_variables(frame)
    }


def test_a_frame_has_its_variables() -> None:
    first, second = Thing(), [1]

    def inner(argument: Any, *rest: Any, named: int = 1, **more: Any) -> FrameType:
        local = (first, argument)
        del local
        return sys._getframe()

    frame = inner(second, 2, other=3)
    assert parts(frame) == {
        "argument": second, "rest": (2,), "named": 1, "more": {"other": 3}, "first": first,
    }  # fmt: skip
    assert "second" in parts(sys._getframe())


def suspended(kind: str, made: Any) -> Any:
    def generate() -> Iterator[Any]:
        first = made()
        again, several = first, [first, first]
        yield None
        print(again, several)

    async def wait() -> None:
        first = made()
        again, several = first, [first, first]
        await pause()
        print(again, several)

    async def generate_async() -> Any:
        first = made()
        again, several = first, [first, first]
        yield await pause()
        print(again, several)

    if kind == "generator":
        generator = generate()
        next(generator)
        return generator
    if kind == "coroutine":
        coroutine = wait()
        coroutine.send(None)
        return coroutine
    async_generator = generate_async()
    async_generator.asend(None).send(None)
    return async_generator


@types.coroutine
def pause() -> Iterator[None]:
    yield


KINDS = ["generator", "coroutine", "async generator"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:coroutine")
def test_what_a_suspended_function_holds_more_than_once_is_all_seen(kind: str) -> None:
    made: list[Thing] = []
    holder = suspended(kind, lambda: made.append(Thing()) or made[0])
    target = [made.pop()]
    found, _ = chains(target, [holder])
    assert all(tier == 0 for tier, _ in found)  # nothing is left that nobody explains
    assert [len(chain) for _, chain in found if chain[0] is holder] == [2, 3]


@pytest.mark.parametrize("kind", ["running", "suspended", "ended", "cleared"])
def test_frames_in_all_states(kind: str) -> None:
    def generate() -> Iterator[Any]:
        thing = Thing()
        del thing
        kept = Thing()
        yield sys._getframe()
        yield (kept, [type(one).__name__ for _, one in frame_variables(sys._getframe())])

    generator = generate()
    frame = next(generator)
    if kind == "running":
        assert next(generator)[1] == ["Thing"]
    elif kind == "ended":
        list(generator)
    elif kind == "cleared":
        list(generator)
        frame.clear()
    assert [name for name, _ in frame_variables(frame)] == ([] if kind == "cleared" else ["kept"])


def test_a_frame_of_a_traceback_has_what_it_had() -> None:
    def fail() -> None:
        thing = Thing()
        raise ValueError(thing)

    with pytest.raises(ValueError) as caught:  # noqa: PT011
        fail()
    frame = caught.value.__traceback__.tb_next.tb_frame  # type: ignore[union-attr]
    assert parts(frame) == {"thing": caught.value.args[0]}


def test_what_runs_in_a_generator_is_a_variable_of_its_frame() -> None:
    def generate() -> Iterator[Any]:
        thing = Thing()
        yield ways(None, thing)
        yield thing

    def frames_only(generator: Any) -> list[tuple[int, list[Any]]]:
        return [one for one in next(generator) if types.GeneratorType in map(type, one[1])]

    assert frames_only(generate()) == []


@pytest.mark.parametrize("trace", [False, True])
def test_a_function_that_runs_explains_what_it_holds(trace: bool) -> None:
    def function(thing: Thing) -> list[tuple[int, list[Any]]]:
        same = thing  # noqa: F841
        return chains([thing], [])[0]

    before = sys.gettrace()
    if trace:
        sys.settrace(lambda *_: None)
    try:
        found = function(Thing())
    finally:
        sys.settrace(before)
    assert [(tier, len(chain)) for tier, chain in found if tier != 2 or len(chain) > 1] == [(0, 2)]


# --------------------------------------------------------------------------------------- chains


def nested(depth: int) -> tuple[list[Any], list[Any]]:
    bottom: list[Any] = []
    top = bottom
    for _ in range(depth):
        top = [top]
    return top, bottom


def unravel(top: Any) -> None:
    while top:
        top = top.pop()


def test_a_chain_of_a_million_references() -> None:
    top, bottom = nested(1_000_000)
    found, _ = chains([bottom], [top])
    assert [len(chain) for _, chain in found if chain[0] is top] == [1_000_001]
    del found
    unravel(top)


def test_a_chain_that_is_too_long_is_no_cycle() -> None:
    top, bottom = nested(50)
    held = [bottom]
    del bottom
    found, cycle = chains(held, [top], depth=10)
    assert cycle == []
    assert all(chain[0] is not top for _, chain in found)


def test_the_target_may_be_late() -> None:
    target = Thing()
    holder = [target]
    found, _ = chains([target], [holder], late=[target])
    assert (0, [holder, target]) in found
    assert (1, [target]) in found


def test_code_that_frees_objects_and_keeps_them_is_no_trouble() -> None:
    async def wait() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            await future

    asyncio.run(wait())
    for _ in range(3):
        top = heap_sizes(65_535, 9, list(sys.modules.values()), [], [], False)[2]
        assert all(sys.getrefcount(row[0]) > 1 for row in top)
        del top
    gc.collect()


def test_no_import_of_the_program_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    calls: list[str] = []
    real = builtins.__import__

    def imports(name: str, *rest: Any) -> Any:
        calls.append(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", imports)
    retained_sizes([Thing()], False)
    assert calls == []


# ---------------------------------------------------------------------------------------- sizes


class Slots:
    __slots__ = ("a", "b")


class Meta(type):
    pass


class Sized(metaclass=Meta):
    def __sizeof__(self) -> int:
        raise AssertionError("called")


class ManyItems(tuple[int, ...]):
    def __sizeof__(self) -> int:
        raise AssertionError("called")


class Table(dict[str, int]):
    pass


def objects_of_all_kinds() -> list[Any]:
    generator = (one for one in range(3))
    next(generator)
    frame = sys._getframe()
    return [
        2**100, "a" * 99, "\xe9" * 99, "\u1234" * 99, "\U0001f600" * 99, b"abc" * 9, bytearray(99),
        [None] * 99, [*range(5)], {}, {"a": 1}, {1: 2}, dict.fromkeys(range(99)), set(range(99)),
        frozenset(range(9)), (1, 2, 3), Thing(), Slots(), Table(a=1), Meta, Sized, generator, frame,
        frame.f_code, array.array("i", range(99)), io.BytesIO(b"abc" * 99), re.compile("a"),
        collections.deque(range(99)), collections.OrderedDict(a=1), collections.Counter("abc"),
        types.SimpleNamespace(), memoryview(b"abc"), range(9), 1.5, 1j, object(), iter([]),
        sys.version_info, objects_of_all_kinds, type("New", (), {}), suspended("coroutine", Thing),
    ]  # fmt: skip


# In a process of its own: in a heap as large as the whole suite's, what is asked about would not
# be among those that retain most.


@counted
def test_sizes_are_those_of_getsizeof() -> None:
    check_runs("import test_heap_core; test_heap_core.check_sizes()")


def check_sizes() -> None:
    warnings.simplefilter("ignore")  # a coroutine is never awaited
    kinds = {id(one): one for one in objects_of_all_kinds()}
    sizes = heap_sizes(65_535, 9, [[*kinds.values()], *sys.modules.values()], [], [], False)[2]
    found = {id(row[0]): row[1] for row in sizes if id(row[0]) in kinds}
    assert {type(kinds[one]).__name__: size for one, size in found.items()} == {
        type(kinds[one]).__name__: sys.getsizeof(kinds[one]) if type(kinds[one]) is not Sized else 0
        for one in found
    }
    assert len(found) > len(kinds) / 2


@counted
def test_no_sizeof_of_the_program_is_called() -> None:
    assert retained_sizes([Sized()], False)[0] == sys.getsizeof(Thing())
    assert retained_sizes([ManyItems((1, 2))], False)[0] > tuple.__sizeof__(ManyItems((1, 2)))


def test_no_collection_starts_while_sizes_are_counted() -> None:
    """On 3.11 that of an `io.BytesIO` makes a tracked object, of which there is none to be had."""
    check_runs("import test_heap_core; test_heap_core.count_sizes_while_objects_go()")


def count_sizes_while_objects_go() -> None:
    thing = Thing()
    thing.buffer = io.BytesIO()
    thing.buffer.write(b"x" * 1000)
    strings: list[str] = []
    thing.strings = strings

    def overwrite(*_: Any) -> None:
        if strings:
            strings.clear()
            [b"\xff" * 150 for _ in range(3000)]

    gc.callbacks.append(overwrite)
    for threshold in range(1, 100):
        gc.collect()
        strings.extend(f"{one}" * 50 for one in range(2_000))
        gc.set_threshold(threshold)
        retained_sizes([thing], False)
        gc.set_threshold(10_000)


@pytest.mark.filterwarnings("ignore:coroutine")
def test_no_size_is_absurd() -> None:
    kept = objects_of_all_kinds()
    total = heap_sizes(0, 9, [kept], [], [], False)[0]
    assert 0 < total[1] < 1 << 40


def test_all_objects_are_in_the_rows_of_the_classes() -> None:
    (objects, size, garbage, lost), classes, _, _ = heap_sizes(0, 9, [], [], [], False)
    assert sum(row[1] for row in classes) == objects - garbage
    assert sum(row[2] for row in classes) == size - lost


# ----------------------------------------------------------------------------------- dominators


class Node:
    """An object that refers to nothing but other nodes, its class aside."""

    __slots__ = ("to",)

    def __init__(self) -> None:
        self.to: list[Node] = []


def reach(start: Node, without: Node | None) -> set[int]:
    found: set[int] = set()
    queue = [] if start is without else [start]
    while queue:
        node = queue.pop()
        if id(node) not in found:
            found.add(id(node))
            queue.extend(one for one in node.to if one is not without)
    return found


def test_what_nodes_retain_is_what_goes_without_them() -> None:
    check_runs("import test_heap_core; [test_heap_core.check_nodes(seed) for seed in range(8)]")


def check_nodes(seed: int) -> None:
    choice = random.Random(seed)
    nodes = [Node() for _ in range(choice.choice([2, 5, 20, 60]))]
    for _ in range(int(len(nodes) * choice.choice([0.8, 1.2, 2.0]))):
        choice.choice(nodes).to.append(choice.choice(nodes))  # to itself, and more than once, too
    root = nodes[0]
    expected: dict[int, set[int]] = {}
    for node in nodes:
        if id(node) in reach(root, None):
            expected[id(node)] = reach(root, None) - reach(root, node)
    known = set(expected)
    nodes.clear()
    del node
    top = heap_sizes(65_535, 9, [root], [], [], False)[2]
    rows = {id(row[0]): row for row in top if type(row[0]) is Node}
    assert rows.keys() == known
    for one, row in rows.items():
        # Each node has its list.
        assert row[3] == 2 * len(expected[one]), seed
        nearest = row[4]
        while nearest >= 0 and type(top[nearest][0]) is not Node:
            nearest = top[nearest][4]
        above = [other for other, gone in expected.items() if one in gone and other != one]
        if above:
            assert id(top[nearest][0]) == min(above, key=lambda other: len(expected[other]))


def test_the_size_retained_is_that_of_the_tree() -> None:
    check_runs("import test_heap_core; test_heap_core.check_retained_size()")


def check_retained_size() -> None:
    holder = [Node() for _ in range(3)]
    for node in holder:
        node.to.append(Node())
    del node
    top = heap_sizes(65_535, 9, [holder], [], [], False)[2]
    sizes = next((row[2], row[3]) for row in top if row[0] is holder[0])
    del top
    assert retained_sizes([holder[0]], False) == sizes


# ----------------------------------------------------------------------------------- out of memory

NO_MEMORY = """
    import gc, sys
    from no_memory import fails
    from weakly._core import find_chains, frame_variables, heap_sizes, retained_sizes

    class Thing: pass
    thing = Thing()
    thing.cycle = [thing]
    modules = list(sys.modules.values())
    calls = [
        lambda _: find_chains([thing], 3, 99, modules, [], [], [], None, (list,), (tuple,), False),
        lambda _: heap_sizes(5, 99, modules, [], [], False),
        lambda _: retained_sizes([thing], False),
        lambda _: frame_variables(sys._getframe()),
    ]
    gc.collect()
    count = 0
    for call in calls:
        for at in (*range(1, 60), *range(60, 4_000, 333)):
            count += fails(call, None, at=at, length=int(sys.argv[1]))
        gc.collect()  # which would stumble over a head that is not what it was
    print(count)
"""


@failing_allocations
def test_without_memory_the_heap_stays_as_it_is(length: int) -> None:
    assert count_failures(NO_MEMORY, length) > 9


ODD: list[Callable[[], Any]] = [
    lambda: find_chains([], 1, 1, [], [], [], [], None, (), (), False),
    lambda: find_chains([1], -1, 1, [], [], [], [], None, (), (), False),
    lambda: find_chains([1], 1, 1, [], [], [], [], None, (1,), (), False),  # type: ignore[arg-type]
    lambda: heap_sizes(-1, 1, [], [], [], False),
    lambda: retained_sizes([], False),
    lambda: frame_variables(1),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("call", ODD)
def test_odd_arguments(call: Callable[[], Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        call()


def test_odd_numbers_are_no_trouble() -> None:
    for depth in (-1, 0, sys.maxsize):
        assert find_chains([1], 0, depth, [1], [1], [1], [], None, (), (), False)[0] == []
    roots: list[Any] = [1, None, "a", Thing, Thing]
    assert heap_sizes(3, -5, roots, roots, [], False)[0][0] > 0
