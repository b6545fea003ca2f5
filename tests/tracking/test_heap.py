"""The engine of `why_alive`, `heap` and `retained`, against the plain search.

On both implementations: the C core's and its Python twin.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from chains import Question, ask, break_reference, check, few, names, question
from hypothesis import given
from hypothesis import strategies as st
from leak_corpus import Leak, corpus
from plain_search import Heap
from support import PYPY, Thing, check_runs, gc_collect_harder

from weakly import _heap
from weakly._implementation import heap_sizes

COUNT = 6  # of chains that are asked for, which is more than the programs make


def built(leak: Leak) -> tuple[list[Any], Any]:
    """The target, in a list, and what ends the leak."""
    target, undo = leak.build()
    return [target], undo


@corpus
def test_chains_are_real_shortest_and_cut_so_that_the_object_goes(leak: Leak) -> None:
    held, undo = built(leak)
    try:
        gc.collect()
        asked = question(held)
        answer = ask(asked, COUNT)
        check(asked, answer, COUNT)
        assert answer.chains or PYPY
        if not leak.goes:
            return
        assert len(answer.chains) < COUNT
        reference = weakref.ref(held[0])
        broken = [
            cut >= 0 and break_reference(objects[cut], objects[cut + 1])
            for _, objects, cut in answer.chains
        ]
        shown = [names(objects) for _, objects, _ in answer.chains]
        del asked, answer
        held.clear()
        gc_collect_harder()
        if broken and all(broken):
            assert reference() is None, shown
    finally:
        undo()
    gc_collect_harder()
    assert reference() is None, shown


@contextmanager
def held_by_c_code(one: object, count: int = 1) -> Iterator[None]:
    address = ctypes.c_void_p(id(one))
    del one
    for _ in range(count):
        ctypes.pythonapi.Py_IncRef(address)
    try:
        yield
    finally:
        for _ in range(count):
            ctypes.pythonapi.Py_DecRef(address)


def test_of_two_chains_as_long_the_one_from_the_first_root_is_taken() -> None:
    held: list[Any] = [object()]
    first, second = {"a": held[0]}, {"a": held[0]}
    for roots in ([first, second], [second, first]):
        asked = question(held)._replace(roots=roots, late=[])
        assert ask(asked, 1).chains[0][1][0] is roots[0]


@pytest.mark.skipif(PYPY, reason="references are not counted there")
def test_the_plain_search_sees_all_references_to_an_ordinary_object() -> None:
    objects: list[Any] = [Thing()]
    holder = {"a": objects[0]}
    assert Heap().unseen(objects, 0) == 0
    with held_by_c_code(objects[0]):
        assert Heap().unseen(objects, 0) == 1
    assert holder


def test_an_interned_string_is_not_held_by_being_interned() -> None:
    held = [sys.intern("".join(["interned", " by a test"]))]
    holder = {1: held[0]}
    asked = question(held)._replace(roots=[holder], late=[])
    chains = ask(asked, 5).chains
    assert [objects for _, objects, _ in chains] == [[holder, held[0]]]


def leaves_out_interned() -> None:
    """Prints whether the dict of the interned strings is among the dicts that retain most."""
    held = gc.get_objects()
    rows = heap_sizes(9, 99, [held], [], [], False)[2]
    assert held
    print([len(row[0]) for row in rows if type(row[0]) is dict and leads_to_itself(row[0])])


def leads_to_itself(one: dict[Any, Any]) -> bool:
    return len(one) > 100 and all(key is value for key, value in list(one.items()))


def test_who_holds_all_objects_does_not_hold_the_interned_strings() -> None:
    assert check_runs("import test_heap; test_heap.leaves_out_interned()") == "[]\n"


def thing_that_holds(held: Any) -> Thing:
    thing = Thing()
    thing.itself, thing.held = thing, held
    return thing


@pytest.mark.skipif(PYPY, reason="references are not counted there")
@pytest.mark.parametrize("count", [0, 1, 2])
def test_c_code_may_hold_the_dict_of_an_object(count: int) -> None:
    held = [Thing()]
    attributes = vars(thing_that_holds(held[0]))
    if held[0] not in gc.get_referents(attributes):
        pytest.skip("the interpreter does not show what it holds (GH-130327)")
    with held_by_c_code(attributes, count):
        del attributes
        chains = ask(Question(held, [], [], [], [sys._getframe()]), COUNT).chains
        found = [(tier, list(map(type, objects))) for tier, objects, _ in chains]
        assert found == ([(2, [dict, Thing])] if count else [])


@pytest.mark.skipif(PYPY, reason="references are not counted there")
@pytest.mark.parametrize("is_soft", [False, True])
def test_c_code_may_hold_what_is_a_root_only_if_others_lead_to_it(is_soft: bool) -> None:
    held = [Thing()]
    holder = thing_that_holds(held[0])
    with held_by_c_code(holder):
        soft = [holder] if is_soft else []
        del holder
        chains = ask(Question(held, [], soft, [], [sys._getframe()]), COUNT).chains
        assert {(tier, type(objects[0])) for tier, objects, _ in chains} == {(2, Thing)}


@pytest.mark.skipif(PYPY, reason="frames that are running keep more there")
@pytest.mark.parametrize("at", [0, 50, 5_000])
@pytest.mark.parametrize("name", ["find_chains", "heap_sizes", "retained_sizes"])
def test_a_walk_in_python_that_is_interrupted_keeps_nothing(
    name: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [Thing()]
    reference, left = weakref.ref(held[0]), count(at, -1)

    def interrupted(one: object) -> list[Any]:
        if next(left) == 0:
            raise KeyboardInterrupt
        return gc.get_referents(one)

    monkeypatch.setattr(_heap, "get_referents", interrupted)
    calls: dict[str, Callable[[], object]] = {
        "find_chains": lambda: _heap.find_chains(
            held, 3, 99, [sys], [], [], [], None, (), (), False
        ),
        "heap_sizes": lambda: _heap.heap_sizes(3, 99, [sys], [], [], False),
        "retained_sizes": lambda: _heap.retained_sizes(held, False),
    }
    with pytest.raises(KeyboardInterrupt) as caught:
        calls[name]()
    held.clear()
    assert reference() is None
    assert gc.isenabled()
    assert caught.value.__traceback__ is not None


# Random graphs -----------------------------------------------------------------------------------


class Node:
    """With a dict of attributes."""


NAMES = ("a", "b", "c", "d")


class SlottedNode:
    __slots__ = NAMES


def new_function() -> Any:
    content: Any = None

    def function() -> Any:
        return content

    return function


def link(holder: Any, held: Any) -> None:
    """One more reference, of one of the kinds that such an object can have."""
    kind = type(holder)
    if kind is list:
        holder.append(held)
    elif kind is dict:
        holder[len(holder)] = held
    elif kind in (Node, SlottedNode):
        free = [name for name in NAMES if not hasattr(holder, name)]
        setattr(holder, free[0] if free else NAMES[0], held)
    elif kind is deque:
        holder.append(held)
    else:
        holder.__closure__[0].cell_contents = held


MAKERS = [list, dict, Node, SlottedNode, deque, new_function]
numbers = st.integers(0, 11)


graphs = st.tuples(
    st.lists(st.sampled_from(MAKERS), min_size=1, max_size=12),
    st.lists(st.tuples(numbers, numbers), max_size=40),
)
some = st.sets(numbers, max_size=4)


def make(graph: tuple[list[Any], list[tuple[int, int]]]) -> list[Any]:
    makers, links = graph
    nodes = [maker() for maker in makers]
    for holder, held in links:
        link(nodes[holder % len(nodes)], nodes[held % len(nodes)])
    return nodes


def chosen(nodes: list[Any], indices: set[int]) -> list[Any]:
    return [nodes[at] for at in sorted(indices) if at < len(nodes)]


@few
@given(graphs, some, some, some, numbers, st.integers(1, 6))
def test_random_graphs(
    graph: Any, roots: set[int], soft: set[int], late: set[int], target: int, count: int
) -> None:
    nodes = make(graph)
    target %= len(nodes)
    asked = Question(
        [nodes[target]],
        [SimpleNamespace(nodes=chosen(nodes, roots))],
        chosen(nodes, soft),
        chosen(nodes, late - {target}),
        [sys._getframe()],
    )
    check(asked, ask(asked, count), count)
