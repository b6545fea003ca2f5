"""A document model on the standard library's `weakref`, to be run as it is and on weakly:

    python examples/object_graph.py
    python -m weakly run examples/object_graph.py

A tree of nodes, as a browser, an editor or a game has it, leans on weak references for all
that must not keep a node alive: its parent, the index by name, the layout cache, the nodes
to draw again, and the clean-up of what each node holds outside. The program edits the tree
for a while and prints what it counted; the time it took goes to standard error. An argument
scales the work (10 by default).
"""

import gc
import random
import sys
import time
import weakref
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary


class Handles:
    """Stands for what a node holds outside of Python, and must give back."""

    opened = closed = 0

    @classmethod
    def open(cls):
        cls.opened += 1

    @classmethod
    def close(cls):
        cls.closed += 1


class Node:
    def __init__(self, document, name, parent=None):
        self.document = weakref.ref(document)
        self.name = name
        self.parent = weakref.ref(parent) if parent is not None else None
        self.children = []
        Handles.open()
        weakref.finalize(self, Handles.close)


class Document:
    def __init__(self):
        self.nodes = WeakValueDictionary()
        self.sizes = WeakKeyDictionary()
        self.dirty = WeakSet()
        self.names = 0
        self.root = None
        self.root = self.add(None)

    def add(self, parent):
        node = Node(self, f"node {self.names}", parent)
        self.names += 1
        self.nodes[node.name] = node
        if parent is not None:
            parent.children.append(node)
        self.touch(node)
        return node

    def touch(self, node):
        """The node and all above it have to be measured and drawn again."""
        while node is not None:
            self.dirty.add(node)
            self.sizes.pop(node, None)
            node = node.parent() if node.parent is not None else None

    def size(self, node):
        size = self.sizes.get(node)
        if size is None:
            size = 1 + sum(self.size(child) for child in node.children)
            self.sizes[node] = size
        return size

    def draw(self):
        drawn = sum(1 for node in self.dirty if node in self.sizes or self.size(node))
        self.dirty.clear()
        return drawn

    def remove(self, node):
        parent = node.parent()
        if node in parent.children:  # else it has been removed already
            parent.children.remove(node)
            self.touch(parent)


def edit(document, rounds, chance):
    """Grow and prune the tree, look nodes up by name, draw what has changed."""
    drawn = found = 0
    for _ in range(rounds):
        nodes = list(document.nodes.values())
        for _ in range(500):
            document.add(chance.choice(nodes))
        while document.size(document.root) > 4000:
            document.remove(chance.choice(nodes[1:]))
        del nodes
        gc.collect()  # PyPy frees objects only here; CPython has done so at once
        for number in range(document.names):
            node = document.nodes.get(f"node {number}")
            if node is not None and node in document.sizes:
                found += 1
        del node
        drawn += document.draw()
    return drawn, found


def main():
    scale = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    start = time.perf_counter()
    document = Document()
    drawn, found = edit(document, rounds=5 * scale, chance=random.Random(2024))

    print(f"{document.names} nodes made, {len(document.nodes)} in the tree")
    print(f"{drawn} drawn, {found} found by name")
    assert document.size(document.root) == len(document.nodes) == Handles.opened - Handles.closed
    print(f"{len(document.sizes)} sizes known, {len(document.dirty)} to be drawn")

    del document
    gc.collect()
    print(f"{Handles.closed} of {Handles.opened} handles given back")
    print(f"{time.perf_counter() - start:.2f} seconds", file=sys.stderr)


if __name__ == "__main__":
    main()
