"""References back to owners, of `attribute`, as the type checkers see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Never, assert_type

from weakly import Box, Bytearray, Dict, List, attribute, supports_weakrefs


class Node:
    parent = attribute["Node"]()

    def __init__(self, name: str) -> None:
        self.name = name
        self.children: list[Node] = []

    def add(self, child: Node) -> None:
        self.children.append(child)
        child.parent = self

    def ancestors(self) -> Iterator[Node]:
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


class Branch(Node):
    pass


NOWHERE = Node("nowhere")


class Leaf:
    __slots__ = ("_owner_ref", "_parent_ref", "_place_ref")
    parent: attribute[Node] = attribute()
    owner: attribute[Node, Never] = attribute(required=True)
    place: attribute[Node, Node] = attribute(NOWHERE)
    seen = attribute[Node, str]("never")


@dataclass(eq=False)
class Item:
    name: str
    box: attribute[Node] = attribute()  # noqa: RUF009 - one for all, as any descriptor
    maker: attribute[Node] = field(default=attribute(), repr=False, kw_only=True)


def main() -> None:
    root, branch = Node("root"), Branch("branch")
    root.add(branch)
    assert_type(branch.parent, Node | None)
    assert_type(list(branch.ancestors()), list[Node])
    branch.parent = None
    del branch.parent
    assert_type(Node.parent, attribute[Node])

    leaf = Leaf()
    leaf.owner = root
    assert_type(leaf.parent, Node | None)
    assert_type(leaf.owner, Node)
    assert_type(leaf.place, Node)
    assert_type(leaf.seen, Node | str)

    item = Item("one", root, maker=branch)
    assert_type(item.box, Node | None)
    item.box = branch
    assert Item("two").box is None

    names = List(["one"])
    assert_type(names, List[str])
    assert_type(names.copy(), List[str])
    sizes = Dict({"one": 1})
    assert_type(sizes, Dict[str, int])
    assert_type(sizes.copy(), Dict[str, int])
    assert_type(Bytearray(b"one").copy(), Bytearray)
    box = Box(5)
    assert_type(box, Box[int])
    assert_type(box.value, int)
    wide: Box[float] = box
    assert_type(supports_weakrefs(wide), bool)


if __name__ == "__main__":
    main()
