"""How much objects keep: `retained_sizes()` and `heap_sizes()`, against a naive definition.

An object retains what nothing else leads to: naively, what can be reached from it and cannot be
from all roots when it is left out.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from itertools import pairwise
from types import CodeType, SimpleNamespace
from typing import Any

import pytest
from chains import few, modules
from hypothesis import given
from hypothesis import strategies as st
from plain_search import Heap, running_frames
from support import PYPY, Thing, check_runs, slow_on_pypy
from test_heap import Node, SlottedNode, chosen, held_by_c_code, link, make, numbers, some

from weakly._implementation import heap_sizes, implementation, retained_sizes

pytestmark = slow_on_pypy

sizes_are_known = pytest.mark.skipif(PYPY, reason="what objects consist of is not known there")

HOLDER = SimpleNamespace(held=[], small=list(range(-5, 257)))  # numbers that are there anyway


def naively(target: Any) -> dict[int, Any]:
    """What would go with it, by id. Only `HOLDER` may hold it, and what it would take along."""
    heap = Heap()
    kept = heap.reach([*modules(), HOLDER], without=target)
    reached = heap.reach([target])
    return {identity: one for identity, one in reached.items() if identity not in kept}


def size(objects: dict[int, Any]) -> int:
    return sum(map(sys.getsizeof, objects.values()))


def test_an_object_and_what_only_it_holds() -> None:
    inner = [bytearray(10_000), [bytearray(20_000)]]
    held = [[inner, inner, None, Thing]]
    expected = sum(map(sys.getsizeof, (held[0], inner, *inner, inner[1][0]))) if not PYPY else 0
    del inner
    got, count = retained_sizes(held, False)
    assert count == 5
    assert PYPY or got == expected


@pytest.mark.parametrize("shared", ["a variable", "a module", "another object"])
def test_what_others_hold_too_is_not_counted(shared: str) -> None:
    common: Any = bytearray(50_000)
    held = [[common, bytearray(10)]]
    other = [common]
    if shared != "a variable":
        del common
    if shared == "a module":
        HOLDER.held.append(other.pop())
    try:
        assert retained_sizes(held, False)[1] == 2
    finally:
        HOLDER.held.clear()
    assert shared == "a module" or other


@sizes_are_known
def test_what_c_code_holds_is_not_counted() -> None:
    held = [[Thing()]]
    assert retained_sizes(held, False)[1] >= 2
    with held_by_c_code(held[0][0]):
        assert retained_sizes(held, False)[1] == 1


@pytest.mark.parametrize("other", [dict, list, str, type, CodeType])
def test_a_method_for_the_size_of_other_objects_is_not_called(other: type) -> None:
    class Odd:
        __slots__ = ()
        __sizeof__ = other.__sizeof__

    class Plain:
        __slots__ = ()

    assert retained_sizes([Odd()], False) == retained_sizes([Plain()], False)


class Key(str):
    """Equal to nothing; in a dict it lies where another string is looked for."""

    __slots__ = ("calls",)
    calls: list[object]

    def __eq__(self, other: object) -> bool:
        self.calls.append(other)
        return False

    def __hash__(self) -> int:
        return hash("__sizeof__")


def test_no_key_of_the_program_is_compared() -> None:
    key = Key("attribute")
    key.calls = []
    odd: Any = type("Odd", (), {key: 1})
    key.calls.clear()
    retained_sizes([odd()], False)
    assert key.calls == []


@sizes_are_known
def test_the_dict_of_an_object_may_be_its_attribute_too() -> None:
    held = [Thing()]
    held[0].attribute = []
    plain, count = retained_sizes(held, False)
    if implementation == "python" and vars(held[0]) not in gc.get_referents(held[0]):
        pytest.skip("the interpreter does not show who has it (GH-130327)")
    held[0].attribute = vars(held[0])
    size, others = retained_sizes(held, False)
    assert (size, others) == (plain - sys.getsizeof([]) + sys.getsizeof(vars(held[0])), count)


def test_cycles_go_with_what_leads_to_them() -> None:
    one, other = [1], [2]
    one.append(other)  # type: ignore[arg-type]
    other.append(one)  # type: ignore[arg-type]
    held = [{"one": one}]
    del one, other
    assert retained_sizes(held, False)[1] == 3
    assert retained_sizes([held[0]["one"]], False)[1] == 2  # and it keeps itself


def test_untracked_objects() -> None:
    assert retained_sizes(["".join(["a", "b"] * 500)], False)[1] == 1
    assert retained_sizes([10**40], False)[1] == 1


def test_a_long_chain() -> None:
    chain: Any = None
    for _ in range(50_000):
        chain = [chain]
    held = [chain]
    del chain
    assert retained_sizes(held, False)[1] == 50_000


# Functions are left out: the code that makes them holds parts of them where nobody can look.
plain_graphs = st.tuples(
    st.lists(st.sampled_from([list, dict, Node, SlottedNode, deque]), min_size=1, max_size=12),
    st.lists(st.tuples(numbers, numbers), max_size=30),
)


@few
@given(plain_graphs, some, numbers)
@sizes_are_known
def test_random_graphs(graph: Any, roots: set[int], target: int) -> None:
    nodes = make(graph)
    held = [nodes[target % len(nodes)]]
    HOLDER.held = [*chosen(nodes, roots), held[0]]
    del nodes
    expected = naively(held[0])
    expected_size, expected_count = size(expected), len(expected)
    del expected
    HOLDER.held = [one for one in HOLDER.held if one is not held[0]]
    got = retained_sizes(held, False)
    HOLDER.held = []
    assert got == (expected_size, expected_count)


BIG = 20_000  # items, so that what is tested comes before what else there is


def big(graph: tuple[list[Any], list[tuple[int, int]]]) -> list[Any]:
    """The nodes of a graph, each with something large of its own."""
    makers, links = graph
    nodes = make((makers, []))
    for node in nodes:
        link(node, bytearray(BIG))
    for holder, held in links:
        link(nodes[holder % len(nodes)], nodes[held % len(nodes)])
    return nodes


@few
@given(plain_graphs, some)
@sizes_are_known
def test_the_dominators_of_random_graphs(graph: Any, roots: set[int]) -> None:
    nodes = big(graph)
    known = set(map(id, nodes))
    HOLDER.held = chosen(nodes, roots)
    del nodes
    gc.collect()
    top = heap_sizes(200, 100, [*modules(), HOLDER], [], [sys._getframe()], False)[2]
    try:
        sizes = [row[2] for row in top]
        assert sizes == sorted(sizes, reverse=True)
        places = [at for at, row in enumerate(top) if id(row[0]) in known]
        going = {at: naively(top[at][0]) for at in places}
        for at in places:
            one, own, retained, count, dominator, chain = top[at]
            assert own == sys.getsizeof(one)
            assert (retained, count) == (size(going[at]), len(going[at]))
            assert chain[0] in (HOLDER, *modules())
            assert chain[-1] is one
            dominating = [other for other in places if other != at and id(one) in going[other]]
            if dominating:
                # They dominate each other in turn: the nearest has the least.
                assert sizes[dominator] == min(sizes[other] for other in dominating)
            else:
                assert dominator not in places
    finally:
        HOLDER.held = []


def test_the_heap_of_this_process() -> None:
    gc.collect()
    roots = [*modules(), *running_frames()]
    (count, total, garbage, garbage_bytes), classes, top, statistics = heap_sizes(
        30, 100, roots, [], [sys._getframe()], False
    )
    assert count > 10_000
    assert (garbage, garbage_bytes) == (0, 0) or garbage < count // 50
    assert sum(row[1] for row in classes) == count - garbage
    assert sum(row[2] for row in classes) == total - garbage_bytes
    assert all(retained >= 0 for *_, retained in classes)
    assert len({id(row[0]) for row in classes}) == len(classes)
    assert len(top) == 30
    for at, (one, own, retained, number, dominator, chain) in enumerate(top):
        assert 0 < own <= retained <= total
        assert 0 < number <= count
        assert dominator != at
        if dominator >= 0:
            assert top[dominator][2] > retained
        if chain:
            assert chain[-1] is one
            for holder, held in pairwise(chain):
                assert Heap(running_frames()).refers(holder, held) or PYPY
    assert statistics[0] == count
    assert statistics[1] > count // 2
    assert PYPY or statistics[2] > 0


@sizes_are_known
def test_garbage_is_told_from_the_rest() -> None:
    program = """
        import gc, sys
        from weakly._implementation import heap_sizes
        gc.disable()
        class Page: pass
        for _ in range(1000):
            page = Page()
            page.itself = page
        del page
        def ask():
            return heap_sizes(3, 10, list(sys.modules.values()), [], [], False)
        (_, _, count, size), classes, _, _ = ask()
        pages = [row for row in classes if row[0] is Page]
        print(1000 <= count < 1100, size >= 1000 * sys.getsizeof(Page()), pages)
        del classes
        gc.collect()
        print(ask()[0][2] < 50)
    """
    assert check_runs(program).split() == ["True", "True", "[]", "True"]


def test_instances_inside_others_of_their_class_are_not_counted_twice() -> None:
    outer = Thing()
    outer.inner = Thing()
    outer.inner.inner = Thing()
    outer.inner.inner.content = bytearray(100_000)
    HOLDER.held = [outer]
    del outer
    rows = heap_sizes(1, 10, [*modules(), HOLDER], [], [], False)[1]
    HOLDER.held = []
    of_thing = next(row for row in rows if row[0] is Thing)
    assert of_thing[1] >= 3
    assert PYPY or 100_000 < of_thing[3] < 200_000


class Lying:
    """Its size is nobody's business."""

    def __sizeof__(self) -> int:
        raise SystemExit

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit


@sizes_are_known
def test_no_code_of_the_objects_runs() -> None:
    held = [Lying()]
    size, count = retained_sizes(held, False)
    assert count >= 1
    assert size >= object.__sizeof__(held[0])
    assert heap_sizes(3, 10, modules(), [], [], False)[0][0] > 0
