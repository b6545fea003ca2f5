"""Ephemerons, identity and the other containers of weakly's own, as the type checkers see them."""

from __future__ import annotations

from collections.abc import MutableMapping, MutableSet
from typing import assert_type
from weakref import ref

from weakly import (
    EphemeronDictionary,
    IdRef,
    WeakDefaultDictionary,
    WeakIdKeyDictionary,
    WeakIdSet,
    WeakKeyValueDictionary,
    WeakSet,
    WeakValueDictionary,
)


class Node:
    pass


class Leaf(Node):
    pass


def first(nodes: MutableSet[Node]) -> Node:
    return next(iter(nodes))


def name_of(names: MutableMapping[Node, str], node: Node) -> str:
    return names.setdefault(node, "none")


def main() -> None:
    node, leaf = Node(), Leaf()

    values = EphemeronDictionary({node: [node]})
    assert_type(values, EphemeronDictionary[Node, list[Node]])
    assert_type(values[node], list[Node])
    assert_type(values.copy(), EphemeronDictionary[Node, list[Node]])
    assert_type(values | {leaf: 1}, EphemeronDictionary[Node | Leaf, list[Node] | int])
    assert_type(values.get_or_create(node, list), list[Node])
    assert_type(values.keyrefs(), list[ref[Node]])

    names: WeakIdKeyDictionary[Node, str] = WeakIdKeyDictionary()
    names[node] = "node"
    assert_type(names.get_or_create(leaf, lambda: "leaf"), str)
    assert_type(names.keyrefs(), list[IdRef[Node]])
    assert_type(name_of(names, node), str)
    assert_type(WeakIdKeyDictionary.fromkeys([node], 1), WeakIdKeyDictionary[Node, int])

    nodes = WeakIdSet([node])
    assert_type(nodes, WeakIdSet[Node])
    assert_type(nodes | [leaf], WeakIdSet[Node | Leaf])
    assert_type(nodes & [leaf], WeakIdSet[Node])
    assert_type(first(nodes), Node)
    nodes |= [leaf]

    pairs = WeakKeyValueDictionary({node: leaf})
    assert_type(pairs, WeakKeyValueDictionary[Node, Leaf])
    assert_type(pairs.valuerefs(), list[ref[Leaf]])
    assert_type(pairs.get(node), Leaf | None)

    lists: WeakDefaultDictionary[Node, list[int]] = WeakDefaultDictionary(list)
    lists[node].append(1)
    assert_type(lists[node], list[int])
    assert_type(WeakDefaultDictionary(int, {node: 1}), WeakDefaultDictionary[Node, int])

    reference = IdRef(node)
    assert_type(reference, IdRef[Node])
    assert_type(reference(), Node | None)
    assert_type(reference.refers_to(leaf), bool)

    lenient = WeakSet.lenient([node])
    assert_type(lenient, WeakSet[Node])
    assert_type(lenient.strong_count(), int)
    anything: WeakSet[Node | int] = WeakSet.lenient()
    anything.add(1)
    assert_type(WeakIdKeyDictionary.lenient({"text": 1}), WeakIdKeyDictionary[str, int])
    assert_type(WeakValueDictionary.lenient({1: "text"}), WeakValueDictionary[int, str])
    assert_type(WeakValueDictionary.lenient(one=1), WeakValueDictionary[str, int])
    assert_type(WeakDefaultDictionary.lenient(int, {node: 1}), WeakDefaultDictionary[Node, int])


if __name__ == "__main__":
    main()
