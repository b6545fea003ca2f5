"""Data about objects of others, kept in a WeakKeyDictionary, as the type checkers see it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import assert_type
from weakref import ref

from weakly import WeakKeyDictionary


class Node:
    """A class whose attributes we must not touch."""


class Leaf(Node):
    pass


class Annotations:
    def __init__(self) -> None:
        self._notes: WeakKeyDictionary[Node, list[str]] = WeakKeyDictionary()

    def add(self, node: Node, note: str) -> None:
        self._notes.setdefault(node, []).append(note)

    def of(self, node: Node) -> list[str]:
        return self._notes.get(node, [])

    def __iter__(self) -> Iterator[tuple[Node, list[str]]]:
        yield from self._notes.items()


def count(table: MutableMapping[Node, int], node: Node) -> int:
    table[node] = table.get(node, 0) + 1
    return table[node]


def main() -> None:
    node, leaf = Node(), Leaf()
    sizes = WeakKeyDictionary({node: 1})
    assert_type(sizes, WeakKeyDictionary[Node, int])
    assert_type(WeakKeyDictionary([(leaf, 1.5)]), WeakKeyDictionary[Leaf, float])

    assert_type(sizes[node], int)
    assert_type(sizes.get(node), int | None)
    assert_type(sizes.get(node, "none"), int | str)
    assert_type(sizes.setdefault(leaf, 2), int)
    assert_type(sizes.pop(leaf), int)
    assert_type(sizes.pop(leaf, None), int | None)
    assert_type(node in sizes, bool)
    assert_type(len(sizes), int)
    assert_type(list(sizes), list[Node])
    assert_type(list(reversed(sizes)), list[Node])
    assert_type(list(sizes.keys()), list[Node])
    assert_type(list(sizes.values()), list[int])
    assert_type(list(sizes.items()), list[tuple[Node, int]])
    assert_type(sizes.keyrefs(), list[ref[Node]])
    assert_type(sizes.copy(), WeakKeyDictionary[Node, int])
    assert_type(sizes | {node: 2}, WeakKeyDictionary[Node, int])
    assert_type(sizes | {node: "two"}, WeakKeyDictionary[Node, int | str])
    assert_type({node: 2} | sizes, WeakKeyDictionary[Node, int])
    sizes |= {node: 3}
    sizes.update([(leaf, 4)])
    sizes.update(sizes.copy())
    assert_type(sizes, WeakKeyDictionary[Node, int])
    assert_type(sizes.popitem(), tuple[Node, int])

    assert_type(count(sizes, node), int)
    annotations = Annotations()
    annotations.add(node, "root")
    assert_type(annotations.of(node), list[str])
    assert_type(dict(annotations), dict[Node, list[str]])


if __name__ == "__main__":
    main()
