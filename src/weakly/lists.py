"""`WeakList`: a sequence of weak references.

How it works. The members are the values of one table with weak values, under numbers that grow:
a number is given once and belongs to one place in the list, so duplicates are no special case,
and the table drops the dead in constant time, counts, and iterates as it does for the
containers. Appending and removing are single operations of the table, which decide who got a
member and who did not.

As long as members are only added at the end the table's order is the list's. Inserting, sorting
and the like leave the table as it is and lay down an `_Arrangement`: the numbers in another
order, from which afterwards at most the dead are taken. What the table has beyond it comes after
it, in the order of the table; so no change of order can lose or bring back a member, whatever
happens to the table meanwhile. An arrangement replaces the one it was made from in one atomic
step, or is made anew if another came first. There are no locks: user code can run anywhere.
"""

# Programs need not be typed: operators look at what they are given.
# pyright: reportUnnecessaryIsInstance=false, reportUnknownVariableType=false

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from contextlib import suppress
from copy import copy, deepcopy
from functools import partial
from itertools import count, filterfalse, islice, repeat
from reprlib import recursive_repr
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    ParamSpec,
    Self,
    SupportsIndex,
    TypeVar,
    cast,
    overload,
)

from ._attributes import set_attributes
from ._implementation import WeakValueTable

if TYPE_CHECKING:
    from _typeshed import SupportsRichComparison

__all__ = ["WeakList"]

C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")
T2 = TypeVar("T2")

_next_number = count(1).__next__

# In place of a member that is gone; a lenient list can have None as a member.
_GONE: Any = object()
_is_there: Callable[[object], bool] = partial(operator.is_not, _GONE)

_NEAR = 4  # so few places from an end, a member is found without knowing all the order


class _Arrangement:
    """An order of numbers; each replaces the one that it was made from."""

    __slots__ = ("_next", "numbers")

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self.numbers = dict.fromkeys(numbers)  # quick to ask
        self._next: dict[None, _Arrangement] = {}

    def newest(self) -> _Arrangement:
        """The last of those that replaced one another."""
        arrangement = self
        while arrangement._next:
            arrangement = arrangement._next[None]
        return arrangement

    def replace(self, by: _Arrangement) -> bool:
        """Of several threads that try, one succeeds."""
        return self._next.setdefault(None, by) is by


class WeakList(MutableSequence[T]):
    """A list that does not keep its members alive: a member goes when it dies.

    Order, duplicates, indexes and slices are as in a `list` of those members that live: a
    death moves those behind it one place forward. Members are compared as in `list`, by
    identity, then by equality; they need not be hashable. A WeakList equals a WeakList or a
    `list` with equal members; its slices, copies and sums are WeakLists.

    `iterable` has the members to start with. Raises TypeError for a member that cannot be
    weakly referenced; a list made by `lenient()` holds such members strongly instead.

    Appending, taking the last, the length and each death take constant time. So does
    indexing, but for the first after a change, which takes O(n), except near the ends. All
    other operations take O(n). (Where the C core is missing, so does looking at the ends, and
    taking the last of a list whose order was changed by an insertion or the like.)

    Iterators never raise, whatever dies or changes meanwhile: they visit the members that
    were there when they were made and still live when they come to them, each once; one that
    was removed meanwhile may or may not be visited. Operations on one member are atomic under
    threads. Those on many, or on the order, lose nothing and bring nothing twice, but others
    may see them half done: new members at the end first, then in their places, then the old
    ones gone.

    `copy.copy` and `copy.deepcopy` share the members. A pickle holds the live members; the
    list that comes out of it holds those that something else keeps alive when loading is over.
    """

    __slots__ = ("__weakref__", "_arrangement", "_numbers", "_table")
    _table: WeakValueTable[int, T]
    _arrangement: _Arrangement
    # The numbers in order, once somebody needed them. A change puts an empty list here when it
    # is done, so that what somebody found before goes into one that nobody reads. It puts one
    # here at its start, too: what is known might look right before the change is done.
    _numbers: list[list[int]]

    __hash__: ClassVar[None]  # type: ignore[assignment]  # mutable, like list

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._table = WeakValueTable()
        self._arrangement = _Arrangement()
        self._numbers = []
        return self

    def __init__(self, iterable: Iterable[T] = ()) -> None:
        if len(self):
            self.clear()
        self.extend(iterable)

    @classmethod
    def lenient(cls: Callable[P, C], /, *args: P.args, **kwargs: P.kwargs) -> C:
        """Return a new list that holds strongly what cannot be weakly referenced.

        Takes the arguments of the constructor. All else is as in a list made by it; its
        slices, copies and sums are lenient, too.
        """
        self: Any = cast(Any, cls).__new__(cls, *args, **kwargs)
        self._table._weakly_hold_strongly()
        self.__init__(*args, **kwargs)
        return cast(C, self)

    def strong_count(self) -> int:
        """Return how many members are held strongly: none, unless the list is lenient. O(n)."""
        return self._table.strong_count()

    @property
    def _weakly_lenient(self) -> bool:
        return self._table._weakly_lenient  # pyright: ignore[reportPrivateUsage]  # ours

    def _like(self, members: Iterable[T2]) -> WeakList[T2]:
        """A list, of no subclass, as lenient as this one."""
        new: WeakList[T2] = _new(WeakList, self._weakly_lenient)
        new.extend(members)
        return new

    def _get(self, number: int) -> T:
        """The member of a number; _GONE if there is none."""
        return cast(T, self._table.get(number, _GONE))

    def _take(self, number: int) -> T:
        """The same, and removes it."""
        member: T = self._table.pop(number, _GONE)
        return member

    # The order

    def _order(self) -> _Arrangement:
        newest = self._arrangement = self._arrangement.newest()
        return newest

    def _find_order(self) -> list[int]:
        # Counted first: if one dies meanwhile, those beyond the arrangement are looked for.
        length = len(self._table)
        arranged = self._order().numbers
        numbers = list(filter(self._table.__contains__, list(arranged)))
        if len(numbers) < length:
            numbers += filterfalse(arranged.__contains__, self._table)
        return numbers

    def _in_order(self) -> list[int]:
        """The numbers of the live members, in order; not to be changed. O(1) if known."""
        known = self._numbers
        if known and len(known[0]) == len(self._table):
            return known[0]  # nothing came since then, and as many are left: so all
        known = self._numbers = []
        numbers = self._find_order()
        known.append(numbers)
        if len(self._order().numbers) > 2 * len(numbers) + 8:
            self._arrange(list)  # most are dead
        return numbers

    def _arrange(self, change: Callable[[list[int]], list[int]]) -> None:
        """Gives the members the order that `change`, which runs no user code, makes of theirs."""
        while True:
            order = self._order()
            arrangement = _Arrangement(change(self._find_order()))
            self._numbers = []
            if order.replace(arrangement):
                self._numbers = []
                return

    def _number_at(self, position: int) -> int | None:
        """The number at a position, from the back if negative; None if there is none."""
        # Without knowing all the numbers, for a list that changes and is read at its ends. The
        # newest of the table are the last, unless they have been arranged.
        if -_NEAR <= position < _NEAR:
            arranged = self._order().numbers
            if position < 0:
                last = list(islice(reversed(self._table), -position))
                if arranged.keys().isdisjoint(last):
                    return last[-1] if len(last) == -position else None
                if position == -1:
                    return self._last_of(arranged)
            elif not arranged:
                return next(islice(self._table, position, None), None)
        numbers = self._in_order()
        return numbers[position] if -len(numbers) <= position < len(numbers) else None

    def _last_of(self, arranged: dict[int, None]) -> int | None:
        """The last number that lives; the dead behind it go, so that nobody meets them again."""
        while arranged:
            with suppress(RuntimeError):  # somebody else does the same
                last = next(reversed(arranged), None)
                if last in self._table:
                    return last
                arranged.pop(cast(int, last), None)
        return None

    def _at(self, position: int, ask: Callable[[int], T2], message: str) -> T2:
        """What `ask` gives for the number at a position, or for the one that is there now if
        that one is gone: `ask` gives _GONE then. Raises IndexError if there is none."""
        while True:
            number = self._number_at(position)
            if number is None:
                raise IndexError(message)
            found = ask(number)
            if found is not _GONE:
                return found
            self._numbers = []  # the order that is known, if it was that, is an old one

    # Reading

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[T]:
        if self._order().numbers:
            return self._visit(self._in_order())
        return self._table.values()

    def __reversed__(self) -> Iterator[T]:
        """Return an iterator over the live members, last first."""
        in_table = not self._order().numbers
        return self._visit(reversed(self._table if in_table else self._in_order()))

    def _visit(self, numbers: Iterable[int]) -> Iterator[T]:
        # No generator: suspended, it would keep alive the member that it gave last.
        members: Iterator[T] = map(cast(Any, self._table.get), numbers, repeat(_GONE))
        return filter(_is_there, members)

    @overload
    def __getitem__(self, index: SupportsIndex) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> WeakList[T]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> T | WeakList[T]:
        if isinstance(index, slice):
            return self._like(self._visit(self._in_order()[index]))
        return self._at(_subscript(index), self._get, "list index out of range")

    def __contains__(self, value: object) -> bool:
        members: Iterator[Any] = iter(self)
        return value in members

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex | None = None) -> int:
        """Return the position of the first member that is or equals `value`, of those from
        position `start` to before `stop`. Raises ValueError if there is none. O(n)."""
        members = list(self)
        return members.index(value, start, len(members) if stop is None else stop)

    def count(self, value: Any) -> int:
        """Return how many members are or equal `value`. O(n)."""
        return list(self).count(value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WeakList | list):
            return NotImplemented
        return list(self) == list(cast("Iterable[Any]", other))

    @recursive_repr()
    def __repr__(self) -> str:
        count = self.strong_count() if self._weakly_lenient else 0
        note = f" ({count} held strongly)" if count else ""
        members = ", ".join(map(repr, self))
        shown = f"[{members}]{note}" if members else ""
        return f"{type(self).__name__}({shown})"

    # Adding

    def _add(self, members: list[T]) -> list[int]:
        """Puts members at the end, all or none, and returns their numbers."""
        numbers = [_next_number() for _ in members]
        self._numbers = []
        self._table._extend(numbers, members)  # pyright: ignore[reportPrivateUsage]  # ours
        self._numbers = []
        return numbers

    def append(self, value: T) -> None:
        """Put a member at the end. O(1)."""
        self._numbers = []
        self._table[_next_number()] = value
        self._numbers = []

    def extend(self, values: Iterable[T]) -> None:
        """Put the members of `values` at the end: all, or none if one of them cannot be here.
        O(k) in their number."""
        self._add(list(values))

    def __iadd__(self, values: Iterable[T]) -> Self:  # type: ignore[misc]  # cannot widen
        self.extend(values)
        return self

    def insert(self, index: SupportsIndex, value: T) -> None:
        """Put a member before the one at a position. O(n)."""
        position = operator.index(index)
        numbers = self._add([value])
        if position < len(self) - 1:
            self._arrange(lambda found: _replaced(found, slice(position, position), numbers)[0])

    @overload
    def __setitem__(self, index: SupportsIndex, value: T) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[T]) -> None: ...
    def __setitem__(self, index: SupportsIndex | slice, value: Any) -> None:
        if isinstance(index, slice):
            # Of plain ints, so that nothing can be wrong with it when the members are here.
            bounds = (index.start, index.stop, index.step)
            ints = [None if bound is None else operator.index(bound) for bound in bounds]
            self._set_slice(slice(*ints), list(value))
            return

        def replace(number: int) -> object:
            return self._table._replace(number, value) or _GONE  # pyright: ignore[reportPrivateUsage]  # ours

        self._at(_subscript(index), replace, "list assignment index out of range")

    def _set_slice(self, places: slice, members: list[T]) -> None:
        new = self._add(members)
        old: list[int] = []

        def change(found: list[int]) -> list[int]:
            nonlocal old
            numbers, old = _replaced(found, places, new)
            return numbers

        try:
            self._arrange(change)
        except BaseException:  # such as ValueError: too many or too few for an extended slice
            old = new
            raise
        finally:
            self._remove(old)

    # Removing

    def _remove(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._table.pop(number, None)

    def clear(self) -> None:
        """Remove all members. O(n)."""
        self._table.clear()
        if self._order().numbers:
            self._arrange(list)

    def pop(self, index: SupportsIndex = -1) -> T:
        """Remove and return the member at a position, the last if not given.

        Raises IndexError if there is none. O(1) for the last, else O(n).
        """
        position = operator.index(index)
        if position == -1 and not self._order().numbers:
            with suppress(KeyError):
                return self._table.popitem()[1]
        message = "pop index out of range" if len(self) else "pop from empty list"
        return self._at(position, self._take, message)

    def remove(self, value: Any) -> None:
        """Remove the first member that is or equals `value`. Raises ValueError if there is
        none. O(n)."""
        while True:
            for number in self._in_order():
                member = self._get(number)
                if member is not _GONE and (member is value or member == value):
                    break
            else:
                raise ValueError("list.remove(x): x not in list")
            # The comparison may have run anything, so that it may be gone.
            if self._take(number) is not _GONE:
                return
            self._numbers = []

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        if isinstance(index, slice):
            self._remove(self._in_order()[index])
            return
        self._at(_subscript(index), self._take, "list assignment index out of range")

    # Changing the order

    def reverse(self) -> None:
        """Reverse the order. O(n)."""
        self._arrange(lambda found: found[::-1])

    def sort(
        self,
        *,
        key: Callable[[T], SupportsRichComparison] | None = None,
        reverse: bool = False,
    ) -> None:
        """Sort by the members or by what `key` gives for each, as `list.sort`: stable.

        Members that others add meanwhile come last. O(n log n).
        """
        found = [(number, self._get(number)) for number in self._in_order()]
        pairs: list[tuple[int, Any]] = [pair for pair in found if pair[1] is not _GONE]

        def by(pair: tuple[int, Any]) -> Any:
            return pair[1] if key is None else key(pair[1])

        pairs.sort(key=by, reverse=reverse)
        numbers = [number for number, _ in pairs]
        self._arrange(lambda found: numbers)

    # New lists

    def copy(self) -> WeakList[T]:
        """Return a new list, of no subclass, with the same live members. O(n)."""
        return self._like(self)

    def __add__(self, other: WeakList[T2] | list[T2]) -> WeakList[T | T2]:
        if not isinstance(other, WeakList | list):
            return NotImplemented
        return self._like([*self, *other])

    def __radd__(self, other: list[T2]) -> WeakList[T | T2]:
        if not isinstance(other, list):
            return NotImplemented
        return self._like([*other, *self])

    def __mul__(self, times: SupportsIndex) -> WeakList[T]:
        return self._like(list(self) * times)

    __rmul__ = __mul__

    def __imul__(self, times: SupportsIndex) -> Self:
        more = operator.index(times) - 1
        if more < 0:
            self.clear()
        else:
            self.extend(list(self) * more)
        return self

    # Copies and pickles

    def __getstate__(self) -> Any:
        """Return the attributes of the instance, without the members."""
        state: Any = super().__getstate__()
        attributes, slots = cast("tuple[Any, dict[str, Any]]", state)
        slots = {name: slots[name] for name in slots if name not in WeakList.__slots__}
        return (attributes, slots) if slots else attributes

    def __reduce__(self) -> tuple[Any, ...]:
        # The members are not among the arguments: one of them may refer to the list.
        return _new, (type(self), self._weakly_lenient), self.__getstate__(), iter(list(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a list with the same members, and copies of the attributes."""
        memo[id(self)] = new = copy(self)
        set_attributes(new, deepcopy(self.__getstate__(), memo))
        return new

    def _check(self) -> None:
        """Verify every invariant; for tests."""
        self._table._check()  # pyright: ignore[reportPrivateUsage]  # ours
        numbers = self._find_order()
        shown = f"{numbers} of {list(self._table)}, arranged {self._order().numbers}"
        assert sorted(numbers) == sorted(self._table), f"wrong members: {shown}"
        assert self._in_order() == numbers, f"wrong order known: {self._in_order()}; {shown}"
        arranged = [number in self._order().numbers for number in self._table]
        assert arranged == sorted(arranged, reverse=True), f"arranged behind others: {shown}"


def _new(cls: type[WeakList[T]], lenient: bool) -> WeakList[T]:
    """An empty list. Pickles name this function."""
    self = cls.__new__(cls)
    if lenient:
        self._table._weakly_hold_strongly()  # pyright: ignore[reportPrivateUsage]  # ours
    return self


def _subscript(index: SupportsIndex) -> int:
    if not hasattr(type(index), "__index__"):
        raise TypeError(f"list indices must be integers or slices, not '{type(index).__name__}'")
    return operator.index(index)


def _replaced(numbers: list[int], places: slice, new: list[int]) -> tuple[list[int], list[int]]:
    """The numbers, with the new ones (already among them) in place of others, and those others.

    The others stay until they are removed, at the end.
    """
    if new and numbers[-len(new) :] == new:  # as it is, unless somebody came between
        others = numbers[: -len(new)]
    else:
        added = set(new)
        others = [number for number in numbers if number not in added]
    old = others[places]
    others[places] = new
    return others, old
