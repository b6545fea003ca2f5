"""What keeps one of each: `Interner`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from reprlib import recursive_repr
from typing import Any, Generic, ParamSpec, Self, TypeVar, cast

from ._attributes import set_attributes
from ._implementation import WeakSetTable

__all__ = ["Interner"]

C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")
I = TypeVar("I", bound="Interner[Any]")  # noqa: E741 - an interner


class Interner(Generic[T]):
    """Keeps one of all objects that are equal, for as long as somebody uses it.

    >>> import weakly
    >>> class Tag(str):
    ...     pass
    >>> tags = weakly.Interner()
    >>> a, b = tags.intern(Tag("x")), tags.intern(Tag("x"))
    >>> a is b
    True

    Objects are compared by equality, as the members of a `WeakSet`, and are held weakly: one
    that nobody uses any more goes, and the next that equals it takes its place. They must be
    hashable and must not change what they are compared by.

    `len()` counts the live objects; iterating visits those that were there when it began and
    still live, never raises and copies nothing; `in` tells whether an equal object is there.
    All take constant time, but for iterating and `clear()`; all are atomic under threads: of
    equal objects interned at the same time, all callers get the same one.

    `copy.copy` and `copy.deepcopy` make another interner of the same objects. A pickle holds
    the live objects; the interner that comes out of it holds those that something else keeps
    alive when loading is over.
    """

    _table: WeakSetTable[T]

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._table = WeakSetTable()
        return self

    def __init__(self) -> None:
        self.clear()

    @classmethod
    def lenient(cls: Callable[P, C], /, *args: P.args, **kwargs: P.kwargs) -> C:
        """Return a new interner that takes what cannot be weakly referenced and holds it
        strongly, until `clear()`. Takes the arguments of the constructor."""
        self: Any = cast(Any, cls).__new__(cls, *args, **kwargs)
        self._table._weakly_hold_strongly()
        self.__init__(*args, **kwargs)
        return cast(C, self)

    def intern(self, obj: T) -> T:
        """Return the object here that equals `obj`; `obj` itself, from now on, if none does.

        Raises TypeError if it cannot be weakly referenced (and the interner is not lenient)
        or is not hashable. O(1), atomic.
        """
        return self._table._intern(obj)  # pyright: ignore[reportPrivateUsage]  # ours

    def clear(self) -> None:
        """Forget all objects. O(n)."""
        self._table.clear()

    def strong_count(self) -> int:
        """Return how many objects are held strongly: none, unless it is lenient. O(n)."""
        return self._table.strong_count()

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[T]:
        return iter(self._table)

    def __contains__(self, obj: object) -> bool:
        return obj in self._table

    @recursive_repr()
    def __repr__(self) -> str:
        count = self.strong_count()
        note = f" ({count} held strongly)" if count else ""
        return f"<{type(self).__name__} of {{{', '.join(map(repr, self))}}}{note}>"

    # Copies and pickles

    def __getstate__(self) -> Any:
        """Return the attributes of a subclass's instance, without the objects."""
        state: Any = super().__getstate__()
        found, slots = cast(
            "tuple[dict[str, Any], Any]", state if isinstance(state, tuple) else (state, None)
        )
        attributes = {name: value for name, value in found.items() if name != "_table"}
        return (attributes, slots) if slots else attributes

    def __reduce__(self) -> tuple[Any, ...]:
        # The objects are not among the arguments: one of them may refer to the interner.
        state = (list(self), self.__getstate__())
        return _new, (type(self), self._weakly_lenient), state, None, None, _restore

    def __copy__(self) -> Self:
        """Return an interner of the same objects, with the same attributes."""
        new: Self = _new(type(self), self._weakly_lenient)
        _restore(new, (list(self), self.__getstate__()))
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return an interner of the same objects, with copies of the attributes."""
        memo[id(self)] = new = _new(type(self), self._weakly_lenient)
        _restore(new, (list(self), deepcopy(self.__getstate__(), memo)))
        return new

    @property
    def _weakly_lenient(self) -> bool:
        return self._table._weakly_lenient  # pyright: ignore[reportPrivateUsage]  # ours


def _new(cls: type[I], lenient: bool) -> I:
    """One without objects. Pickles name this function."""
    self = cls.__new__(cls)
    if lenient:
        self._table._weakly_hold_strongly()  # pyright: ignore[reportPrivateUsage]  # ours
    return self


def _restore(interner: Interner[T], state: tuple[list[T], Any]) -> None:
    """Fills one. Pickles name this function."""
    objects, attributes = state
    set_attributes(interner, attributes)
    interner._table._extend(objects)  # pyright: ignore[reportPrivateUsage]  # ours
