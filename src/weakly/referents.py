"""What weak references can refer to, and the attribute that is one.

The interpreter's oldest limitation is that most built-in types cannot be weakly referenced.
Here are the question, the answers (`List`, `Dict`, `Bytearray` and, for all the rest, `Box`),
and `attribute`, the back-reference of a tree or any other owned object.
"""

# What a box holds, and what copies and pickles bring, has no known type.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import sys
from copy import deepcopy
from reprlib import recursive_repr
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar
from weakref import ref

from ._implementation import WeakAttribute

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    D = TypeVarWithDefault("D", default=None)
else:
    D = TypeVar("D")

__all__ = ["Box", "Bytearray", "Dict", "List", "attribute", "supports_weakrefs"]

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


def supports_weakrefs(obj: object) -> bool:
    """Return whether an object can be weakly referenced. O(1).

    It depends on the type: `int`, `str`, `tuple`, `list`, `dict` and `None` cannot, nor can
    instances of a class with `__slots__` that has no `__weakref__` among them. What weakly's
    containers refuse with a TypeError is what this is false for.
    """
    try:
        ref(obj)
    except TypeError:
        return False
    return True


class List(list[T]):
    """A list that can be weakly referenced. All else is as in `list`.

    `copy()`, `copy.copy()` and pickles give a List; slices and operators a `list`.
    """

    __slots__ = ("__weakref__",)

    def copy(self) -> Self:
        """Return a shallow copy, of the same type. O(n)."""
        return type(self)(self)


class Dict(dict[K, V]):
    """A dictionary that can be weakly referenced. All else is as in `dict`.

    `copy()`, `copy.copy()` and pickles give a Dict; operators a `dict`.
    """

    __slots__ = ("__weakref__",)

    def copy(self) -> Self:
        """Return a shallow copy, of the same type. O(n)."""
        return type(self)(self)


class Bytearray(bytearray):
    """A bytearray that can be weakly referenced. All else is as in `bytearray`.

    `copy()`, `copy.copy()` and pickles give a Bytearray; slices and operators a `bytearray`.
    """

    __slots__ = ("__weakref__",)

    def copy(self) -> Self:
        """Return a copy, of the same type. O(n)."""
        return type(self)(self)


class Box(Generic[T_co]):
    """A holder of one value, whatever it is, that can be weakly referenced.

    It equals its value and other boxes of an equal value, and hashes as its value does (so
    it is unhashable, too, if the value is). A box lives as long as somebody holds the box:
    that its value lives elsewhere does not keep it. The value cannot be exchanged. Safe to
    share between threads if the value is.
    """

    __slots__ = ("__weakref__", "_value")
    __match_args__ = ("value",)
    _value: T_co

    def __init__(self, value: T_co) -> None:
        self._value = value

    @property
    def value(self) -> T_co:
        """what is in the box"""
        return self._value

    def __eq__(self, other: object) -> Any:
        return self._value == _unboxed(other)

    def __ne__(self, other: object) -> Any:
        return self._value != _unboxed(other)

    def __hash__(self) -> int:
        return hash(self._value)

    @recursive_repr()
    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._value!r})"


def _unboxed(obj: Any) -> Any:
    return obj.value if isinstance(obj, Box) else obj


class _AttributeRef(ref[T]):
    """What an instance has in store for a weak attribute.

    Copied deeply or pickled it takes its referent along, as a strong reference would, but
    does not hold what comes out.
    """

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> _AttributeRef[T] | None:
        return _refer(deepcopy(self(), memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return _refer, (self(),)


def _refer(referent: T | None) -> _AttributeRef[T] | None:
    """What to have in store for an object that came out of a copy or a pickle."""
    return None if referent is None else _AttributeRef(referent)


class _Keeper:
    """Puts an attribute back that was replaced by a slot of its name.

    `dataclass(slots=True)` and attrs make a class anew with a slot for each field. They carry
    over what is no field: this, which lies in the class beside the attribute.
    """

    __slots__ = ("_attribute", "_name")

    def __init__(self, attribute: attribute[Any, Any], name: str) -> None:
        self._attribute = attribute
        self._name = name

    def __set_name__(self, owner: type, _: str) -> None:
        slot = vars(owner).get(self._name)
        if isinstance(slot, MemberDescriptorType):
            setattr(owner, _storage_name(self._name), slot)
            setattr(owner, self._name, self._attribute)
            self._attribute.__set_name__(owner, self._name)


def _storage_name(name: str) -> str:
    # From a private name, mangled already, comes the mangled form of `__name_ref`.
    return f"{name}_ref" if name.startswith("_") else f"_{name}_ref"


class attribute(WeakAttribute[T, D]):
    """An attribute that does not keep alive what is assigned to it.

    For the reference back that makes most cycles:

    >>> import weakly
    >>> class Node:
    ...     parent = weakly.attribute["Node"]()
    ...
    ...     def __init__(self):
    ...         self.children = []
    ...
    ...     def add(self, child):
    ...         self.children.append(child)
    ...         child.parent = self
    >>> root, leaf = Node(), Node()
    >>> root.add(leaf)
    >>> leaf.parent is root
    True
    >>> del root
    >>> print(leaf.parent)  # with CPython, at once: there is no cycle
    None

    It is assigned an object and read as that object while it lives. Before the first
    assignment, after the death and after None was assigned, it is read as `default`, or
    raises ReferenceError if `required` is true. Deleting it raises AttributeError if nothing
    was assigned; assigning what cannot be weakly referenced raises TypeError and leaves what
    was there. All take constant time; each is atomic under threads. In a finalizer that the
    collector calls, the interpreter may have cleared the reference already.

    The instance keeps the reference under the name of the attribute with `_` before, unless it
    begins with one, and `_ref` behind. A class with `__slots__` needs a slot of that name, here
    `_parent_ref`
    (without, assigning raises TypeError and says so); it needs `__weakref__` only to be
    referred to itself. From a slot it is read twice as fast as from a `__dict__`.

    Annotated in a dataclass or a class of attrs, it is a field, with slots (the field's own
    is used) or frozen or as it is, also in dataclasses' `field(default=attribute(), ...)`:

        parent: weakly.attribute[Node] = weakly.attribute()

    It never learns of its class in attrs' own `field()`, in a class of attrs that is frozen
    without slots, and in a dataclass with slots derived from one without: do not use it there.
    Read from a class, it is itself; annotated in a class that is neither, it raises
    AttributeError there, without which attrs would drop it.

    The copy of an object made by `copy.copy` refers to the same object. `copy.deepcopy` and
    `pickle` take the referent along as they would behind a strong reference, so children
    refer to the copied parent; what nothing else in the same copy or pickle holds is gone
    when that is complete, as after any death. To leave the parent out of the copy of a part,
    leave it out in `__getstate__`.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self, default: D = ..., *, required: bool = ...) -> None: ...

    def __set_name__(self, owner: type, name: str) -> None:
        if self._name not in (None, name):
            raise TypeError(
                f"cannot use one weak attribute under two names ({self._name!r} and {name!r})"
            )
        storage = _storage_name(name)
        for cls in owner.__mro__:
            for other in vars(cls).values():
                if (
                    isinstance(other, attribute)
                    and other._storage == storage
                    and other._name != name
                ):
                    raise TypeError(
                        f"weak attributes {other._name!r} and {name!r} of class "
                        f"'{owner.__name__}' would be kept in one place: rename one"
                    )
        self._bind(owner, name, storage, _AttributeRef)
        setattr(owner, f"{storage}_keeper", _Keeper(self, name))

    def _seen_from_class(self, owner: type) -> Self:
        # attrs deletes from a class without slots whatever it can read under a field's name.
        # Later it is known by its own attribute, and a dataclass is from the beginning.
        is_made = not {"__attrs_attrs__", "__dataclass_params__"}.isdisjoint(vars(owner))
        if not is_made and self._name in _annotations(owner):
            raise AttributeError(f"type object '{owner.__name__}' has no attribute '{self._name}'")
        return self

    def __repr__(self) -> str:
        return f"<weakly.attribute {self._name!r}>"


def _annotations(cls: type) -> dict[str, Any]:
    """The annotations in the body of a class, whatever they refer to."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations

        return get_annotations(cls, format=Format.FORWARDREF)
    own: dict[str, Any] = vars(cls).get("__annotations__", {})
    return own
