"""A proxy is used like the object itself: here, a child that knows its parent.

A strong reference back to the parent would make a cycle, freed only by the collector.
"""

import gc

import weakly


class Parent:
    def __init__(self, name: str) -> None:
        self.name = name
        self.children: list[Child] = []

    def add(self, name: str) -> "Child":
        child = Child(name, self)
        self.children.append(child)
        return child


class Child:
    def __init__(self, name: str, parent: Parent) -> None:
        self.name = name
        self.parent = weakly.proxy(parent)

    def describe(self) -> str:
        try:
            return f"{self.name}, child of {self.parent.name}"
        except ReferenceError:
            return f"{self.name}, an orphan"


parent = Parent("Alice")
child = parent.add("Bob")
print(child.describe())

del parent
gc.collect()  # PyPy frees objects only here; CPython has done so at `del`
print(child.describe())
