"""Random graphs of objects with ephemeron tables in them, against plain reachability.

A plan says what there is: nodes of many kinds, which refers to which, which entries the tables
have and which nodes the program holds. What must live follows from the plan alone, by a
fixpoint written here as the contract says it. The plan is then built from real objects,
collected, and compared: exactly on the C core; on the Python tables, nothing that must live is
lost.
"""

from __future__ import annotations

import functools
import gc
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from support import C_CORE, FREE_THREADED, freeze

import weakly
from weakly import Ephemeron, EphemeronDictionary, WeakIdKeyDictionary, WeakKeyDictionary

# --- the plan


class Plan(NamedTuple):
    """Nodes are numbers; the tables come last among them."""

    kinds: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    """Which node refers strongly to which; more than once, perhaps."""
    weak_edges: tuple[tuple[int, int], ...]
    """And which weakly, which changes nothing."""
    entries: dict[tuple[int, int], int]
    """The value by table and key."""
    held: frozenset[int]
    """The nodes that the program holds."""

    def numbers(self) -> range:
        return range(len(self.kinds))


EPHEMERAL = {
    "EphemeronDictionary": EphemeronDictionary,
    "WeakIdKeyDictionary": WeakIdKeyDictionary,
}
"""The tables whose values do not keep their keys; a "pair" is a list of single ephemerons."""

TABLES = [*EPHEMERAL, "pairs", "WeakKeyDictionary"]
PLAIN = [
    *("object", "slots", "list", "dict", "set", "deque", "closure", "partial", "generator"),
    *("method", "tuple inside", "dict inside", "exception", "suspended call"),
]


@st.composite
def plans(draw: st.DrawFn, tables: list[str] = TABLES) -> Plan:
    plain = draw(st.lists(st.sampled_from(PLAIN), min_size=1, max_size=12))
    kinds = (*plain, *draw(st.lists(st.sampled_from(tables), min_size=1, max_size=4)))
    number = st.integers(0, len(kinds) - 1)
    key = st.integers(0, len(plain) - 1)
    table = st.integers(len(plain), len(kinds) - 1)
    return Plan(
        kinds,
        tuple(draw(st.lists(st.tuples(key, number), max_size=20))),
        tuple(draw(st.lists(st.tuples(key, number), max_size=4))),
        draw(st.dictionaries(st.tuples(table, number), number, max_size=16)),
        draw(st.frozensets(number, max_size=3)),
    )


# --- what the contract says


def reached(plan: Plan, start: set[int], entries: dict[tuple[int, int], int]) -> set[int]:
    """What is reachable: over the edges, and to a value once its table and key are."""
    found = set(start)
    while True:
        more = {to for whence, to in plan.edges if whence in found} | {
            value
            for (table, key), value in entries.items()
            # A WeakKeyDictionary holds its values, like the standard library's.
            if table in found and (key in found or plan.kinds[table] == "WeakKeyDictionary")
        }
        if more <= found:
            return found
        found |= more


def expected(plan: Plan) -> tuple[set[int], dict[tuple[int, int], int]]:
    """The nodes that live in the end, and the entries left in the live tables."""
    entries = plan.entries
    while True:
        live = reached(plan, set(plan.held), entries)
        left = {at: value for at, value in entries.items() if live.issuperset(at)}
        if left == entries:
            return live, entries
        entries = left  # values of a WeakKeyDictionary go when their keys have gone


def has_garbage_from_elsewhere(plan: Plan) -> bool:
    """Is there garbage that no ephemeron's value reaches, and that is a key or leads to what such
    a value reaches? Only then may one gc.collect() leave something to the next. (For plans
    without a WeakKeyDictionary.)"""
    live, _ = expected(plan)
    inside = reached(plan, set(plan.entries.values()), {})
    elsewhere = set(plan.numbers()) - live - inside
    return any(whence in elsewhere and to in inside for whence, to in plan.edges) or any(
        not elsewhere.isdisjoint(at) for at in plan.entries
    )


# --- the real objects; all can be weakly referenced, and be keys of any table


class Object:
    """With attributes, and compared by identity."""

    def method(self) -> None:
        """Does nothing."""


class Slots:
    __slots__ = ("__weakref__", "others")


class List(list[Any]):
    __hash__ = object.__hash__
    __eq__ = object.__eq__


class Dict(dict[Any, Any]):
    __hash__ = object.__hash__
    __eq__ = object.__eq__


class Set(set[Any]):
    __hash__ = object.__hash__
    __eq__ = object.__eq__


class Deque(deque[Any]):
    __hash__ = object.__hash__
    __eq__ = object.__eq__


class Pairs(List):
    """Single ephemerons."""


def attributes(node: Any, others: list[Any]) -> None:
    for at, other in enumerate(others):
        setattr(node, f"other{at}", other)


def closure() -> tuple[Any, Any]:
    cell: list[Any] = []
    return (lambda: cell), cell


def waiting(cell: list[Any]) -> Iterator[Any]:
    yield
    yield cell


def calling(cell: list[Any]) -> Iterator[Any]:
    yield
    for each in cell:
        print(each, each, (yield))


def tables_hashed_by_identity() -> dict[str, Callable[[], Any]]:
    """To be keys of tables that compare by equality, tables have to be hashable."""
    return {
        cls.__name__: type(
            cls.__name__, (cls,), {"__hash__": object.__hash__, "__eq__": object.__eq__}
        )
        for cls in (EphemeronDictionary, WeakIdKeyDictionary, WeakKeyDictionary)
    } | {"pairs": Pairs}


def make(kind: str) -> tuple[Any, Callable[[list[Any]], object]]:
    """A node, and the function that makes it refer to others."""
    node: Any
    cell: list[Any] = []
    if kind == "object":
        node = Object()
        return node, functools.partial(attributes, node)
    if kind == "slots":
        node = Slots()
        return node, lambda others: setattr(node, "others", others)
    if kind in ("list", "deque"):
        node = List() if kind == "list" else Deque()
        return node, node.extend
    if kind == "dict":
        node = Dict()
        return node, lambda others: node.update(enumerate(others))
    if kind == "set":
        node = Set()
        return node, node.update
    if kind == "closure":
        return (lambda: cell), cell.extend
    if kind == "partial":
        return functools.partial(print, cell), cell.extend
    if kind == "method":
        node = Object()
        cell.append(node.method)
        return node, lambda others: attributes(node, [cell, others])
    if kind == "tuple inside":
        node = Object()
        return node, lambda others: attributes(node, [(tuple(others),)])
    if kind == "dict inside":
        node = List()
        return node, lambda others: node.append({"inside": dict.fromkeys(map(Wrapped, others))})
    if kind == "exception":
        node = Object()
        return node, lambda others: attributes(node, [ValueError(*others)])
    node = (waiting if kind == "generator" else calling)(cell)
    next(node)

    def fill(others: list[Any]) -> None:
        cell.extend(others)
        if cell and kind == "suspended call":
            next(node)  # has come to the middle of a call, the first of the others on the stack

    return node, fill


class Wrapped:
    """A key of a plain dict."""

    def __init__(self, content: Any) -> None:
        self.content = content


HASHED = tables_hashed_by_identity()


class Built(NamedTuple):
    """The real thing; only `held` keeps any of it."""

    held: list[Any]
    watches: list[weakref.ref[Any]]


def build(plan: Plan) -> Built:
    nodes: list[Any] = []
    fill: list[Any] = []
    for kind in plan.kinds:
        if kind in HASHED:
            nodes.append(HASHED[kind]())
            fill.append(None)
        else:
            node, filler = make(kind)
            nodes.append(node)
            fill.append(filler)
    for (table, key), value in plan.entries.items():
        if plan.kinds[table] == "pairs":
            nodes[table].append(Ephemeron(nodes[key], nodes[value]))
        else:
            nodes[table][nodes[key]] = nodes[value]
    for number in plan.numbers():
        others = [nodes[to] for whence, to in plan.edges if whence == number]
        others += [weakref.ref(nodes[to]) for whence, to in plan.weak_edges if whence == number]
        if others:
            fill[number](others)
    return Built([nodes[number] for number in plan.held], [weakref.ref(node) for node in nodes])


def items(table: Any) -> list[tuple[Any, Any]]:
    if isinstance(table, Pairs):
        return [pair.pair() for pair in table if pair.pair() is not None]
    table._check()
    return list(table.items())


def compare(plan: Plan, built: Built, *, exactly: bool) -> None:
    live, entries = expected(plan)
    alive = {number for number in plan.numbers() if built.watches[number]() is not None}
    lost = live - alive
    assert not lost, f"live nodes were lost: {lost}"
    if exactly:
        assert alive == live, f"garbage was left: {alive - live}"
    for number in live:
        if plan.kinds[number] in HASHED:
            table = built.watches[number]()
            content = {id(key): id(value) for key, value in items(table)}
            wanted = {
                id(built.watches[key]()): id(built.watches[value]())
                for (where, key), value in entries.items()
                if where == number
            }
            assert content == wanted if exactly else content.items() >= wanted.items()
            del table


# --- the tests


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Collections come when the test says so, and are short."""
    gc.disable()
    freeze()


@given(plans())
def test_collect_leaves_what_lives_and_nothing_else(plan: Plan) -> None:
    built = build(plan)
    weakly.collect()
    compare(plan, built, exactly=C_CORE)
    assert weakly.collect() == 0
    compare(plan, built, exactly=C_CORE)


@pytest.mark.c_core(reason="the Python tables cannot collect ephemerons")
@pytest.mark.skipif(FREE_THREADED, reason="not every collection has a walk there")
@given(plans([*EPHEMERAL, "pairs"]))
def test_one_collection_is_enough_without_garbage_from_elsewhere(plan: Plan) -> None:
    built = build(plan)
    gc.collect()
    elsewhere = has_garbage_from_elsewhere(plan)
    event("garbage from elsewhere" if elsewhere else "none")
    compare(plan, built, exactly=not elsewhere)
    weakly.collect()
    compare(plan, built, exactly=True)


@given(plans(), st.lists(st.integers(0, 15), max_size=4))
def test_holders_let_go_one_by_one(plan: Plan, order: list[int]) -> None:
    """A collection after each; what lived on then is compared with what should."""
    built = build(plan)
    held = list(plan.held)
    weakly.collect()
    compare(plan, built, exactly=C_CORE)
    for turn in order:
        if held:
            at = turn % len(held)
            del held[at], built.held[at]
            plan = plan._replace(held=frozenset(held))
            weakly.collect()
            compare(plan, built, exactly=C_CORE)
