"""Whether something leads to an object: what `finalize(check=True)` asks.

A search by identity, breadth first, which runs no code of users. It follows what a function, a
bound method, a `functools.partial`, a container or an instance holds, and stops after a number
of objects: it finds the mistakes that people make, and is no proof that there is none.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from types import (
    BuiltinMethodType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, TypeAlias, cast

__all__ = ["path_to"]

_LIMIT = 5_000  # objects, more than which are not looked at

# These hold nothing, or nothing that is searched: modules, classes and numbers.
_LEAVES = (ModuleType, type, str, bytes, int, float, complex, type(None))

_DESCRIPTORS = (GetSetDescriptorType, MemberDescriptorType)

_Edges: TypeAlias = Iterator[tuple[str, Any]]


def path_to(obj: object, roots: list[tuple[str, Any]]) -> str | None:
    """Return how the first of the named roots that leads to `obj` does so, as an expression.

    None if none of them does, as far as the search goes.
    """
    found: dict[int, object] = {}  # by id; holds them, so that no id is used again
    queue = deque[tuple[str, Any]]()
    edges: _Edges = iter(roots)
    seen = count(1)
    while True:
        for path, one in edges:
            if one is obj:
                return path
            if next(seen) == _LIMIT:
                return None
            if id(one) not in found and not issubclass(type(one), _LEAVES):
                found[id(one)] = one
                queue.append((path, one))
        if not queue:
            return None
        path, one = queue.popleft()
        edges = _edges(path, one)


def _edges(path: str, one: Any) -> _Edges:
    """What an object holds, each with the expression for it."""
    # Not isinstance(), which believes, and so runs, a `__class__` of the object's own.
    for kinds, names in _ATTRIBUTES:
        if issubclass(type(one), kinds):
            for name in names:
                yield f"{path}.{name}", getattr(one, name)
    for kinds, items in _ITEMS:
        if issubclass(type(one), kinds):
            with suppress(RuntimeError):  # another thread has changed it
                yield from items(path, one)
    for cls in type(one).__mro__:
        attributes = vars(cls).get("__dict__")
        if isinstance(attributes, _DESCRIPTORS):  # and not a property of the class's own
            with suppress(AttributeError, RuntimeError):
                for name, value in list(cast(Any, dict).items(attributes.__get__(one))):
                    yield f"{path}.{name}", value
        for name, slot in list(vars(cls).items()):
            if isinstance(slot, MemberDescriptorType) and name[:2] != "__":
                with suppress(AttributeError):  # it is not set
                    yield f"{path}.{name}", slot.__get__(one)


def _cells(path: str, function: FunctionType) -> _Edges:
    for index, cell in enumerate(function.__closure__ or ()):
        with suppress(ValueError):  # it is empty
            yield f"{path}.__closure__[{index}].cell_contents", cell.cell_contents


def _elements(cls: Any, path: str, container: Any) -> _Edges:
    for index, element in enumerate(cls.__iter__(container)):
        yield f"{path}[{index}]", element


def _members(cls: Any, path: str, container: Any) -> _Edges:
    for index, member in enumerate(cls.__iter__(container)):
        yield f"list({path})[{index}]", member


def _pairs(path: str, container: Any) -> _Edges:
    for index, (key, value) in enumerate(cast(Any, dict).items(container)):
        yield f"list({path})[{index}]", key
        shown = repr(key) if type(key) in (str, int) else f"list({path})[{index}]"
        yield f"{path}[{shown}]", value


_ATTRIBUTES: list[tuple[Any, list[str]]] = [
    (MethodType, ["__self__", "__func__"]),
    (BuiltinMethodType, ["__self__"]),
    (type([].__len__), ["__self__"]),
    (FunctionType, ["__defaults__", "__kwdefaults__"]),
    (partial, ["func", "args", "keywords"]),
]
_ITEMS: list[tuple[Any, Callable[[str, Any], _Edges]]] = [
    (FunctionType, _cells),
    *[(cls, partial(_elements, cls)) for cls in (list, tuple, deque)],
    *[(cls, partial(_members, cls)) for cls in (set, frozenset)],
    (dict, _pairs),
]
