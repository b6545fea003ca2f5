"""WeakList: `list` is the model, with members that die."""

from __future__ import annotations

import contextlib
import copy
import gc
import itertools
import operator
import pickle
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, MutableSequence
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support import (
    COUNTS_REFERENCES,
    PYPY,
    EqualMember,
    Member,
    Unhashable,
    gc_collect_harder,
    let_die,
    members,
)

from weakly import Box, WeakList
from weakly._implementation import WeakValueTable


def check_holds(weak: Any, expected: list[Any]) -> None:
    """The list is sound and holds exactly these members, in this order, however one looks."""
    weak._check()
    assert len(weak) == len(expected)
    for found, wanted in (
        (list(weak), expected),
        (list(reversed(weak)), expected[::-1]),
        (list(weak[:]), expected),
        ([weak[place] for place in range(len(expected))], expected),
        ([weak[~place] for place in range(len(expected))], expected[::-1]),
    ):
        assert len(found) == len(wanted)
        assert all(one is other for one, other in zip(found, wanted, strict=True)), (found, wanted)


def pair(count: int = 5, kind: Any = EqualMember) -> tuple[list[Any], WeakList[Any]]:
    """A list and a WeakList of the same members, in the table's order or not."""
    strong = members(count, kind)
    return strong, WeakList(strong)


def arranged(count: int = 5, kind: Any = EqualMember) -> tuple[list[Any], WeakList[Any]]:
    strong, weak = pair(count, kind)
    weak.reverse()
    weak.reverse()
    return strong, weak


each_order = pytest.mark.parametrize("make", [pair, arranged], ids=["as added", "arranged"])


# As a list


@each_order
def test_the_dead_go_and_the_rest_moves_up(make: Any) -> None:
    strong, weak = make()
    check_holds(weak, strong)
    del strong[1], strong[2]
    let_die()
    check_holds(weak, strong)
    del strong[:]
    let_die()
    check_holds(weak, [])
    assert not weak


def test_duplicates() -> None:
    one, two = members(2)
    weak = WeakList([one, two, one, one])
    check_holds(weak, [one, two, one, one])
    assert weak.count(one) == 3
    weak.remove(one)
    check_holds(weak, [two, one, one])
    weak[0] = one
    check_holds(weak, [one, one, one])
    del one
    let_die()
    check_holds(weak, [])


def outcome(action: Callable[[], Any]) -> Any:
    """What it returns, or the kind of exception that it raises."""
    try:
        return action()
    except (IndexError, ValueError, TypeError) as error:
        return type(error)


PLACES = [-7, -6, -5, -4, -2, -1, 0, 1, 3, 4, 5, 6, 7]
SLICES = [
    slice(*bounds)
    for bounds in itertools.product(
        [None, -9, -2, 0, 1, 4, 9], [None, -3, 0, 3, 9], [None, 1, 2, -1, -2]
    )
]


@each_order
@pytest.mark.parametrize("place", PLACES)
def test_one_place(make: Any, place: int) -> None:
    new = EqualMember("new")
    for action in (
        lambda these: these[place],
        lambda these: these.__setitem__(place, new),
        lambda these: these.__delitem__(place),
        lambda these: these.pop(place),
        lambda these: these.insert(place, new),
    ):
        strong, weak = make()
        kept = list(strong)
        expected = outcome(lambda action=action, strong=strong: action(strong))
        assert outcome(lambda action=action, weak=weak: action(weak)) is expected
        check_holds(weak, strong)
        del kept


@each_order
def test_slices(make: Any) -> None:
    new = members(3)
    for places in SLICES:
        strong, weak = make()
        kept = list(strong)
        found = weak[places]
        assert type(found) is WeakList
        check_holds(found, strong[places])
        del strong[places], weak[places]
        check_holds(weak, strong)
        for count in range(4):
            strong, weak = make()
            kept[:] = strong
            expected = outcome(
                lambda these=strong, places=places, count=count: operator.setitem(
                    these, places, new[:count]
                )
            )
            assert (
                outcome(
                    lambda these=weak, places=places, count=count: operator.setitem(
                        these, places, iter(new[:count])
                    )
                )
                is expected
            )
            check_holds(weak, strong)


def test_a_list_in_its_own_slice() -> None:
    strong, weak = pair()
    strong[1:2], weak[1:2] = strong, weak
    check_holds(weak, strong)
    strong.extend(strong)
    weak.extend(weak)
    check_holds(weak, strong)
    strong += strong
    weak += weak
    check_holds(weak, strong)


@each_order
def test_searching(make: Any) -> None:
    strong, weak = make()
    strong.append(twin := EqualMember(2))
    weak.append(twin)
    for value in (*strong, EqualMember(2), EqualMember(9), 2):
        assert weak.count(value) == strong.count(value)
        assert (value in weak) == (value in strong)
        for bounds in ((), (1,), (3,), (-2,), (0, 2), (1, -1), (9, 9)):
            assert outcome(
                lambda value=value, bounds=bounds: weak.index(value, *bounds)
            ) == outcome(lambda value=value, bounds=bounds: strong.index(value, *bounds))
    for value in (EqualMember(2), EqualMember(2), EqualMember(2), strong[0], 5):
        assert outcome(lambda value=value: weak.remove(value)) == outcome(
            lambda value=value: strong.remove(value)
        )
        check_holds(weak, strong)


def test_identity_comes_before_equality() -> None:
    class Nothing:
        def __eq__(self, other: object) -> bool:
            return False

        __hash__ = object.__hash__

    nothing = Nothing()
    weak = WeakList([nothing])
    assert nothing in weak
    assert weak.index(nothing) == 0
    assert weak.count(nothing) == 1
    weak.remove(nothing)
    check_holds(weak, [])


def test_members_need_not_be_hashable() -> None:
    strong = [Unhashable(), Unhashable()]
    weak = WeakList(strong)
    weak.reverse()
    check_holds(weak, strong[::-1])
    assert weak.index(strong[0]) == 1


@each_order
@pytest.mark.parametrize("reverse", [False, True])
def test_sorting(make: Any, reverse: bool) -> None:
    strong, weak = make(20)
    random.Random(5).shuffle(strong)
    weak[:] = strong
    for key in (lambda one: one.label, lambda one: one.label // 5, lambda one: 0):
        strong.sort(key=key, reverse=reverse)
        weak.sort(key=key, reverse=reverse)
        check_holds(weak, strong)
    with pytest.raises(TypeError, match="'<' not supported"):
        weak.sort()
    check_holds(weak, strong)
    numbers = WeakList([third := Box(3), first := Box(1), second := Box(2)])
    with pytest.raises(TypeError, match="'<' not supported"):
        numbers.sort()
    numbers.sort(key=lambda box: box.value)
    check_holds(numbers, [first, second, third])


def test_sums_and_products() -> None:
    strong, weak = pair(3)
    other = members(2)
    for sum_, expected in (
        (weak + WeakList(other), strong + other),
        (weak + other, strong + other),
        (other + weak, other + strong),
        (weak * 2, strong * 2),
        (3 * weak, 3 * strong),
        (weak * -1, []),
        (weak + weak[:0], strong),
    ):
        assert type(sum_) is WeakList
        check_holds(sum_, expected)
    for wrong in (5, "text", (strong[0],)):
        with pytest.raises(TypeError):
            weak + wrong
        with pytest.raises(TypeError):
            wrong + weak
    weak *= 3
    check_holds(weak, strong * 3)
    weak *= 1
    check_holds(weak, strong * 3)
    weak *= 0
    check_holds(weak, [])


def test_comparing() -> None:
    strong, weak = pair()
    twins = members(5, EqualMember)
    assert weak == WeakList(twins)
    assert weak == twins
    assert twins == weak
    assert weak != twins[:4]
    assert weak != WeakList(twins[::-1])
    assert weak != tuple(twins)
    assert weak != 5
    del strong[4]
    let_die()
    assert weak == twins[:4]
    with pytest.raises(TypeError, match="unhashable"):
        hash(weak)


def test_repr() -> None:
    strong, weak = pair(2)
    assert repr(weak) == "WeakList([EqualMember(0), EqualMember(1)])"
    assert repr(WeakList()) == "WeakList()"
    strong[0].label = weak
    assert repr(weak) == "WeakList([EqualMember(...), EqualMember(1)])"
    del strong[0]
    let_die()

    class Mine(WeakList[Any]):
        pass

    assert repr(Mine(strong)) == "Mine([EqualMember(1)])"


def test_what_it_is() -> None:
    assert issubclass(WeakList, MutableSequence)
    assert WeakList[int].__origin__ is WeakList  # type: ignore[attr-defined]
    weak: WeakList[Any] = WeakList()
    assert weakref.ref(weak)() is weak
    with pytest.raises(AttributeError):
        weak.attribute = 1  # type: ignore[attr-defined]
    strong, weak = arranged()
    WeakList.__init__(weak, strong[:2])
    check_holds(weak, strong[:2])


@each_order
def test_clear(make: Any) -> None:
    strong, weak = make()
    weak.clear()
    check_holds(weak, [])
    with pytest.raises(IndexError, match="pop from empty list"):
        weak.pop()
    weak.extend(strong)
    check_holds(weak, strong)


def test_growing_and_shrinking_at_the_ends() -> None:
    strong: list[Any] = []
    weak: WeakList[Any] = WeakList()
    some = members(40)
    moves = random.Random(7)
    for turn in range(400):
        move = moves.choice(["push", "push", "pop", "unshift", "shift", "middle"])
        one = some[turn % 40]
        if move == "push":
            strong.append(one)
            weak.append(one)
        elif move == "unshift":
            strong.insert(0, one)
            weak.insert(0, one)
        elif strong and move == "middle":
            place = moves.randrange(len(strong))
            assert weak.pop(place) is strong.pop(place)
        elif strong:
            place = -1 if move == "pop" else 0
            assert weak[place] is strong[place]
            assert weak.pop(place) is strong.pop(place)
        if turn % 20 == 0:
            check_holds(weak, strong)


# What cannot be a member


@each_order
def test_refuses_and_changes_nothing(make: Any) -> None:
    strong, weak = make()
    good = Member("good")
    for action in (
        lambda: weak.append(5),
        lambda: weak.extend([good, 5]),
        lambda: weak.insert(0, 5),
        lambda: operator.setitem(weak, 0, 5),
        lambda: operator.setitem(weak, slice(0, 2), [good, 5]),
        lambda: weak + [good, 5],  # noqa: RUF005
        lambda: WeakList([good, 5]),
    ):
        with pytest.raises(TypeError, match="cannot create weak reference to 'int' object"):
            action()
        check_holds(weak, strong)
    for action in (
        lambda: weak.extend(5),
        lambda: operator.setitem(weak, slice(0, 2), 5),
        lambda: weak.insert("0", good),
        lambda: weak.insert(1.0, good),
        lambda: weak.pop("0"),
        lambda: weak * "0",
        lambda: operator.imul(weak, "0"),
        lambda: weak["0":],
        lambda: operator.setitem(weak, slice("0", None), [good]),
        lambda: operator.setitem(weak, slice(None, None, 1.5), [good]),
        lambda: operator.delitem(weak, slice(None, "0")),
    ):
        with pytest.raises(TypeError):
            action()
        check_holds(weak, strong)
    for wrong in ("0", 1.5, None):
        for action in (
            lambda wrong=wrong: weak[wrong],
            lambda wrong=wrong: operator.setitem(weak, wrong, good),
            lambda wrong=wrong: operator.delitem(weak, wrong),
        ):
            message = f"must be integers or slices, not '{type(wrong).__name__}'"
            with pytest.raises(TypeError, match=message):
                action()
            check_holds(weak, strong)


def test_bounds_of_a_slice_are_asked_once_and_first() -> None:
    strong, weak = pair()
    asked: list[int] = []

    class Bound:
        def __index__(self) -> int:
            asked.append(len(weak))
            if len(asked) > 1:
                raise ZeroDivisionError
            return 3

    new = members(2)
    weak[Bound() :] = new
    assert asked == [5]
    check_holds(weak, strong[:3] + new)
    with pytest.raises(ZeroDivisionError):
        weak[Bound() :] = new
    check_holds(weak, strong[:3] + new)


def test_a_slice_that_cannot_be_placed_leaves_nothing(monkeypatch: Any) -> None:
    strong, weak = pair()
    new = members(2)

    def fail(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(WeakList, "_arrange", fail)
        with pytest.raises(KeyboardInterrupt):
            weak[1:3] = new
    check_holds(weak, strong)


def test_lenient() -> None:
    one, two = members(2)
    weak: WeakList[Any] = WeakList.lenient([one, 5, None])
    assert weak.strong_count() == 2
    check_holds(weak, [one, 5, None])
    weak.insert(0, None)
    weak[2] = "text"
    weak.append(two)
    check_holds(weak, [None, one, "text", None, two])
    assert repr(weak) == "WeakList([None, Member(0), 'text', None, Member(1)] (3 held strongly))"
    del one
    let_die()
    check_holds(weak, [None, "text", None, two])
    assert weak.index("text") == 1
    weak.remove(None)
    for other in (
        weak[:2],
        weak + [5],  # noqa: RUF005
        [5] + weak,  # noqa: RUF005
        weak * 2,
        weak.copy(),
        copy.copy(weak),
        copy.deepcopy(weak),
        pickle.loads(pickle.dumps(weak)),
    ):
        assert other.strong_count() >= 1
        other.append(6)
        assert other.pop() == 6
    assert [weak.pop(), weak.pop(), weak.pop()] == [two, None, "text"]
    assert (len(weak), weak.strong_count()) == (0, 0)
    assert WeakList([two]).strong_count() == 0

    class Named(WeakList[Any]):
        def __init__(self, some: Any, name: str) -> None:
            super().__init__(some)
            self.name = name

    named = Named.lenient([5], name="numbers")
    assert (list(named), named.name) == ([5], "numbers")

    class Classed(WeakList[Any]):
        def __init__(self, some: Any, cls: str) -> None:
            super().__init__(some)
            self.cls = cls

    for classed in (Classed([one_more := Box(1)], cls="first"), Classed.lenient([5], cls="first")):
        assert (len(classed), classed.cls) == (1, "first")
    del one_more


# Iterators


@each_order
@pytest.mark.parametrize("direction", [iter, reversed], ids=["iter", "reversed"])
def test_iterators_hold_nothing(make: Any, direction: Callable[[Any], Iterator[Any]]) -> None:
    strong, weak = make(6)
    iterator = direction(weak)
    first = weakref.ref(next(iterator))
    next(iterator)
    del strong[:]
    let_die()
    assert first() is None
    assert list(iterator) == []
    assert list(iterator) == []
    assert len(weak) == 0


@each_order
def test_a_loop_that_changes_the_list(make: Any) -> None:
    for change in (
        lambda weak, one: weak.append(one),
        lambda weak, one: weak.insert(0, one),
        lambda weak, one: weak.reverse(),
        lambda weak, one: weak.sort(key=lambda each: -each.label),
        lambda weak, one: operator.setitem(weak, slice(1, 1), [one, one]),
        lambda weak, one: weak.__imul__(2) if len(weak) < 100 else None,
    ):
        for direction in (iter, reversed):
            strong, weak = make()
            seen = []
            for one in direction(weak):  # type: ignore[operator]
                seen.append(one)
                change(weak, one)
            assert seen == list(direction(strong))  # type: ignore[operator]
            weak._check()


@each_order
def test_a_loop_that_empties_the_list(make: Any) -> None:
    for empty in (
        lambda weak: weak.clear(),
        lambda weak: weak.pop(),
        lambda weak: operator.delitem(weak, slice(None)),
    ):
        strong, weak = make()
        for _ in weak:
            if len(weak):
                empty(weak)
        check_holds(weak, strong[: len(weak)])


def test_the_list_can_go_before_its_iterator() -> None:
    for make in (pair, arranged):
        strong, weak = make()
        iterator, backwards = iter(weak), reversed(weak)
        assert next(iterator) is strong[0]
        del weak
        let_die()
        assert list(iterator) == strong[1:]
        assert list(backwards) == strong[::-1]


# User code in the midst


class Meddler(EqualMember):
    """Does something each time it is compared, and equals nothing."""

    deed: Callable[[], Any]

    def __eq__(self, other: object) -> bool:
        self.deed()
        return False

    __hash__ = None  # type: ignore[assignment]


@each_order
def test_comparing_changes_the_list(make: Any) -> None:
    new = Member("new")
    deeds: list[Callable[[Any], Any]] = [
        lambda weak: weak.clear(),
        lambda weak: weak.append(new),
        lambda weak: weak.insert(0, new),
        lambda weak: weak.pop(0) if len(weak) else None,
        lambda weak: weak.reverse(),
        lambda weak: operator.setitem(weak, slice(None), [new, new]),
        lambda weak: operator.delitem(weak, slice(0, 2)),
    ]
    for deed, ask in itertools.product(
        deeds,
        [
            lambda weak, value: weak.count(value),
            lambda weak, value: value in weak,
            lambda weak, value: weak == [value] * len(weak),
        ],
    ):
        _kept, weak = make()
        value = Meddler("meddler")
        budget = iter(range(20))
        value.deed = lambda deed=deed, weak=weak, budget=budget: (
            deed(weak) if next(budget, None) is not None else None
        )
        assert not ask(weak, value)
        weak._check()
    for deed, ask in itertools.product(deeds, [WeakList.index, WeakList.remove]):
        strong, weak = make(5, Meddler)
        budget = iter(range(20))
        for one in strong:
            one.deed = lambda deed=deed, weak=weak, budget=budget: (
                deed(weak) if next(budget, None) is not None else None
            )
        with pytest.raises(ValueError, match="not in list"):
            ask(weak, 5)
        weak._check()


def test_removing_what_another_removes_meanwhile() -> None:
    """The first equal member is taken away by the comparison that finds it."""
    strong, weak = pair(3)

    class Thief(EqualMember):
        def __eq__(self, other: object) -> bool:
            if len(weak) == 3:
                weak.pop(0)
            return True

        __hash__ = None  # type: ignore[assignment]

    weak.remove(Thief("thief"))
    check_holds(weak, strong[2:])


def test_sorting_while_the_list_changes() -> None:
    strong, weak = pair(6)
    late = EqualMember("late")

    def key(one: Any) -> Any:
        if one is strong[3]:
            weak.insert(0, late)
            weak.remove(strong[1])
        return -one.label if one is not late else 0

    weak.sort(key=key)
    check_holds(weak, [strong[5], strong[4], strong[3], strong[2], strong[0], late])

    def fail(one: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        weak.sort(key=fail)
    assert len(weak) == 6
    weak._check()


@each_order
def test_finalizers_change_the_list(make: Any) -> None:
    keeper = EqualMember("keeper")
    for deed in (
        lambda weak: weak.append(keeper),
        lambda weak: weak.insert(0, keeper),
        lambda weak: weak.clear(),
        lambda weak: weak.sort(key=repr),
        lambda weak: operator.setitem(weak, slice(None), [keeper]),
        lambda weak: weak.pop() if len(weak) else None,
        lambda weak: list(weak),
    ):
        for in_cycle in (False, True):
            strong, weak = make()

            class Dying(EqualMember):
                __slots__ = ()

                def __del__(self, deed: Any = deed, weak: Any = weak) -> None:
                    deed(weak)

            for place in (0, 2, 4):
                strong.insert(place, one := Dying("dying"))
                weak.insert(place, one)
                if in_cycle:
                    one.other = one
                del one
            strong[:] = [one for one in strong if type(one) is EqualMember]
            gc_collect_harder()
            assert all(type(one) is EqualMember for one in weak)
            check_holds(weak, list(weak))


def test_a_finalizer_puts_its_garbage_into_the_list() -> None:
    """From 3.14.3 on the interpreter then clears the references without calling back."""
    weak: WeakList[Any] = WeakList()

    class Dying(Member):
        __slots__ = ()

        def __del__(self) -> None:
            weak.append(self.other)
            weak.append(self)

    for _ in range(5):
        one, other = Dying(1), Member(2)
        one.other, other.other = other, one
        del one, other
        gc_collect_harder()
        gc_collect_harder()
        check_holds(weak, list(weak))
        assert len(weak) == 0 or PYPY
    weak.append(last := Member("last"))
    assert weak[-1] is last


def test_callbacks_change_the_list() -> None:
    strong, weak = pair()
    watches = [weakref.ref(strong[2], lambda _: weak.insert(0, strong[0]))]
    watches.append(weakref.ref(strong[3], lambda _: weak.reverse()))
    del strong[2:4]
    let_die()
    check_holds(weak, list(weak))
    assert sorted(one.label for one in weak) == [0, 0, 1, 4]
    assert len(watches) == 2


# Between two steps of an operation


class HookedTable(WeakValueTable[Any, Any]):
    """Calls back where a collection or another thread can come between."""

    before_extend: Callable[[], Any] | None = None
    after_extend: Callable[[], Any] | None = None
    after_contains: Callable[[], Any] | None = None
    asked = 0

    def _extend(self, keys: Any, values: Any, /) -> None:
        if self.before_extend is not None:
            self.before_extend()
        super()._extend(keys, values)
        if self.after_extend is not None:
            self.after_extend()

    def __contains__(self, key: object, /) -> bool:
        found = super().__contains__(key)
        if self.after_contains is not None:
            self.after_contains()
        return found

    def ask(self) -> None:
        self.asked += 1
        assert self.asked < 100, "asks for ever"

    def get(self, key: Any, default: Any = None) -> Any:
        self.ask()
        return super().get(key, default)

    def pop(self, key: Any, *default: Any) -> Any:
        self.ask()
        return super().pop(key, *default)

    def _replace(self, key: Any, value: Any, /) -> bool:
        self.ask()
        return super()._replace(key, value)


def hooked(some: list[Any]) -> tuple[Any, HookedTable]:
    weak: Any = WeakList()
    weak._table = table = HookedTable()
    weak.extend(some)
    return weak, table


@pytest.mark.parametrize("is_arranged", [False, True])
@pytest.mark.parametrize("reads_before", [False, True])
def test_a_known_order_that_got_old(is_arranged: bool, reads_before: bool) -> None:
    """As many die as come, so that the order known before has the right length."""
    other = Member("other")
    for use in (
        lambda weak: weak[12],
        lambda weak: operator.setitem(weak, 12, other),
        lambda weak: operator.delitem(weak, 12),
        lambda weak: weak.pop(12),
        lambda weak: weak.remove(weak[12]),
    ):
        strong = members(20)
        weak, table = hooked(strong)
        if is_arranged:
            weak.reverse()
            strong.reverse()
        assert weak[10] is strong[10]  # the order is known
        new = members(5)
        table.asked = 0

        def before(weak: Any = weak, strong: Any = strong) -> None:
            assert not reads_before or weak[10] is strong[10]

        def after(strong: Any = strong, use: Any = use, weak: Any = weak) -> None:
            del strong[10:15]
            let_die()
            use(weak)

        table.before_extend, table.after_extend = before, after
        weak.extend(new)
        table.before_extend = table.after_extend = None
        del before, after
        table.asked = -1000
        check_holds(weak, list(weak))
        assert weak[-5:] == new


def test_a_member_dies_while_the_order_is_looked_for() -> None:
    strong = members(3)
    weak, table = hooked(strong[:2])
    weak.reverse()
    weak.append(strong[2])
    answers = itertools.count(1)

    def die() -> None:
        if next(answers) == 2:
            strong[0] = None
            let_die()

    table.after_contains = die
    assert list(weak) == strong[1:]
    table.after_contains = None
    check_holds(weak, strong[1:])


@each_order
def test_a_place_goes_before_it_is_used(make: Any) -> None:
    class Hooked(WeakList[Any]):
        hook: Callable[[], Any] | None = None

        def _number_at(self, position: int) -> int | None:
            number = super()._number_at(position)
            hook, self.hook = self.hook, None
            if hook is not None:
                hook()
            return number

    strong, model = make()
    new = Member("new")
    for count, place in ((1, 0), (2, 0), (5, 0), (5, 2), (5, 3), (5, -1)):
        for action in (
            lambda these, place=place: these[place],
            lambda these, place=place: these.__setitem__(place, new),
            lambda these, place=place: these.__delitem__(place),
            lambda these, place=place: these.pop(place),
        ):
            for meddle in (
                lambda these, place=place: these.pop(place),
                lambda these: these.clear(),
            ):
                expected = strong[:count]
                weak = Hooked(expected)
                if model._order().numbers:
                    weak.reverse()
                    weak.reverse()
                weak.hook = lambda weak=weak, meddle=meddle: meddle(weak)
                found = outcome(lambda action=action, weak=weak: action(weak))
                if weak.hook is None:  # the last as added is taken in one step
                    meddle(expected)
                weak.hook = None
                assert found is outcome(lambda action=action, expected=expected: action(expected))
                check_holds(weak, expected)


@each_order
def test_setting_a_place_is_one_step(make: Any) -> None:
    """What is taken while the place is looked at does not come back, nor what replaces it."""

    class Hooked(WeakList[Any]):
        hook: Callable[[], Any] | None = None

        def _get(self, number: int) -> Any:
            member = super()._get(number)
            hook, self.hook = self.hook, None
            if hook is not None:
                hook()
            return member

    strong, model = make()
    new = Member("new")
    for place in (0, 2):
        weak = Hooked(strong)
        if model._order().numbers:
            weak.reverse()
            weak.reverse()
        weak.append(last := Member("last"))
        weak.hook = lambda weak=weak, place=place: weak.pop(place)
        weak[place] = new
        expected = [*strong, last]
        if weak.hook is None:
            del expected[place]
        weak.hook = None
        expected[place] = new
        check_holds(weak, expected)


def test_replacing_a_value_of_a_table() -> None:
    one, two, three = members(3)
    table: WeakValueTable[Any, Any] = WeakValueTable()
    assert not table._replace(1, one)
    assert len(table) == 0
    table[1], table[2] = one, two
    iterator = iter(table.items())
    assert table._replace(1, three) is True
    assert list(iterator) == list(table.items()) == [(1, three), (2, two)]
    with pytest.raises(TypeError, match="cannot create weak reference to 'int' object"):
        table._replace(1, 5)
    assert table[1] is three
    del three
    let_die()
    assert table._replace(1, one) is False
    table._check()
    assert list(table.items()) == [(2, two)]
    lenient: WeakValueTable[Any, Any] = WeakValueTable()
    lenient._weakly_hold_strongly()
    lenient[1] = None
    assert lenient._replace(1, 5)
    assert lenient._replace(1, one)
    assert lenient[1] is one
    assert lenient.strong_count() == 0
    lenient._check()


# Copies and pickles


class Named(WeakList[Any]):
    """A subclass with attributes of both kinds."""

    __slots__ = ("__dict__", "size")

    def __init__(self, some: Any, name: str) -> None:
        super().__init__(some)
        self.name = [name]
        self.size = [len(self)]


@each_order
def test_copies_share_the_members(make: Any) -> None:
    strong, weak = make()
    for other in (weak.copy(), copy.copy(weak), copy.deepcopy(weak)):
        check_holds(other, strong)
        other.pop()
        check_holds(weak, strong)
    named = Named(strong[::-1], "one")
    shallow, deep = copy.copy(named), copy.deepcopy(named)
    assert type(named.copy()) is type(named[:]) is WeakList
    for other in (shallow, deep):
        assert type(other) is Named
        check_holds(other, strong[::-1])
        assert (other.name, other.size) == (["one"], [5])
    assert shallow.name is named.name
    assert shallow.size is named.size
    assert deep.name is not named.name
    assert deep.size is not named.size
    named.name.append(named)
    deep = copy.deepcopy(named)
    assert deep.name[1] is deep


each_protocol = pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))


@each_protocol
def test_a_pickle_holds_what_lives(protocol: int) -> None:
    strong = members(5)
    weak = Named([*strong, strong[0]], "one")
    strong[3].other = weak  # a cycle
    weak.reverse()
    del strong[1]
    let_die()
    for order in (lambda pair: pair, lambda pair: pair[::-1]):
        one, two = order(pickle.loads(pickle.dumps(order((weak, strong)), protocol)))
        assert type(one) is Named
        assert (one.name, one.size) == (["one"], [6])
        check_holds(one, [two[0], *two[::-1]])
        assert two[2].other is one
    alone = pickle.loads(pickle.dumps(weak, protocol))
    gc_collect_harder()
    check_holds(alone, [])
    alone.extend(strong)
    check_holds(alone, strong)


def test_is_collected() -> None:
    weak = Named(members(3), "one")
    member = Member("member")
    weak.append(member)
    member.other = weak
    watches = [weakref.ref(weak), weakref.ref(member)]
    del weak, member
    gc_collect_harder()
    assert [watch() for watch in watches] == [None, None]


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="counts references")
def test_leaks_nothing() -> None:
    one = Member("one")
    before = sys.getrefcount(one)
    weak = WeakList([one] * 10)
    weak.insert(3, one)
    weak[2:5] = [one]
    weak.sort(key=lambda each: each.label)
    weak[0] = one
    assert next(iter(weak)) is next(reversed(weak)) is weak[0]
    assert sys.getrefcount(one) == before
    weak.clear()
    gc.collect()
    assert weakref.getweakrefcount(one) == 0


# Cost


def test_many_deaths_take_linear_time() -> None:
    def seconds(count: int) -> float:
        best = 60.0
        for _ in range(3):
            strong = members(count)
            weak = WeakList(strong)
            weak.insert(0, strong[-1])
            gc.collect()
            start = time.process_time()  # others may keep the machine busy
            while strong:
                strong.pop()
                len(weak)
            let_die()
            assert len(weak) == 0
            best = min(best, time.process_time() - start)
        return best

    small = 2000
    factor = 8
    seconds(small)
    assert seconds(small * factor) < seconds(small) * factor * 4  # quadratic would be factor * 8


# Threads


def test_threads_lose_nothing_and_bring_nothing_twice() -> None:
    weak: WeakList[Any] = WeakList()
    added: list[list[Any]] = [[] for _ in range(2)]
    taken: list[list[Any]] = [[] for _ in range(2)]
    errors: list[BaseException] = []
    stop = threading.Event()
    deadline = time.monotonic() + (1.0 if PYPY else 0.5)

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                while not stop.is_set() and time.monotonic() < deadline:
                    work()
            except BaseException as error:
                errors.append(error)
                stop.set()

        return run

    def add(mine: list[Any]) -> None:
        one, two, three, four = new = members(4)
        mine += new
        weak.append(one)
        weak.insert(len(weak) // 2, two)
        weak[1:1] = [three]
        weak.extend([four])
        if len(weak) > 60:
            time.sleep(0.001)

    def take(mine: list[Any]) -> None:
        for place in (-1, 0):
            try:
                mine.append(weak.pop(place))
            except IndexError:
                time.sleep(0)
        for one in weak:
            try:
                weak.remove(one)
            except ValueError:
                continue
            mine.append(one)
            break

    def arrange() -> None:
        weak.reverse()
        weak.sort(key=lambda one: id(one))

    def read() -> None:
        assert all(type(one) is Member for one in weak)
        assert None not in weak[1:3]
        with contextlib.suppress(IndexError):
            assert type(weak[len(weak) // 2]) is Member
        short_lived = members(3)
        weak.extend(short_lived)
        weak.insert(0, short_lived[0])

    interval = sys.getswitchinterval() if not PYPY else None
    if not PYPY:
        sys.setswitchinterval(1e-5)
    work = [lambda mine=mine: add(mine) for mine in added]
    work += [lambda mine=mine: take(mine) for mine in taken]
    threads = [threading.Thread(target=guarded(each)) for each in (*work, arrange, read)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        if interval is not None:
            sys.setswitchinterval(interval)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]
    let_die()
    weak._check()
    ours = set(map(id, added[0] + added[1]))
    gone = [id(one) for mine in taken for one in mine if id(one) in ours]
    left = [id(one) for one in weak if id(one) in ours]
    assert len(ours) == len(added[0]) + len(added[1])
    assert sorted(gone + left) == sorted(ours)
    assert len(ours) > 20


# Against a model


class Referent(EqualMember):
    __slots__ = ("token",)
    tokens = itertools.count()

    def __init__(self, label: int) -> None:
        super().__init__(label)
        self.token = next(self.tokens)

    __hash__ = None  # type: ignore[assignment]


class Place:
    """One place in the list: which referent is there, and whether the place is gone."""

    def __init__(self, token: int) -> None:
        self.token = token
        self.gone = False


class OpenIterator:
    """An iterator, the places that were there when it was made, and how far it can be."""

    def __init__(self, iterator: Iterator[Any], places: list[Place]) -> None:
        self.iterator = iterator
        self.places = places
        self.reached = {0}  # several, as some places have the same referent

    def visits(self, token: int) -> None:
        self.reached = {
            ahead + 1
            for start in self.reached
            for ahead in range(start, len(self.places))
            if self.places[ahead].token == token
            and all(place.gone for place in self.places[start:ahead])
        }
        assert self.reached, "visits what was not there, or skips or repeats what is"

    def ends(self) -> None:
        assert any(all(place.gone for place in self.places[start:]) for start in self.reached), (
            "ends before what is still there"
        )


LABELS = st.integers(0, 3)
ANYWHERE = st.integers(-12, 12)
BOUND = st.none() | ANYWHERE
SLICE = st.builds(slice, BOUND, BOUND, st.sampled_from([None, None, 1, 2, -1, -2]))


class ListMachine(RuleBasedStateMachine):
    """Every operation on a WeakList and on a list of places; the machine owns the referents."""

    def __init__(self) -> None:
        super().__init__()
        self.collecting = gc.isenabled()
        gc.disable()  # so that garbage cycles die when the rules say so
        self.owned: dict[int, Referent] = {}
        self.doomed: set[int] = set()  # in garbage cycles
        self.places: list[Place] = []
        self.weak: WeakList[Any] = WeakList()
        self.iterators: list[OpenIterator] = []

    def teardown(self) -> None:
        if self.collecting:
            gc.enable()

    # the model

    def new(self, label: int) -> Referent:
        referent = Referent(label)
        self.owned[referent.token] = referent
        return referent

    def change(self, change: Callable[[list[Any]], Any], act: Callable[[], Any]) -> None:
        """Does the same to the model and to the list: one may fail if both do."""
        before = self.places
        after = list(before)
        expected = outcome(lambda: change(after))
        found = outcome(act)
        if isinstance(expected, type) or isinstance(found, type):
            assert found is expected
        elif isinstance(expected, Place):
            assert found.token == expected.token
        self.places = after
        kept = set(map(id, after))
        for place in before:
            if id(place) not in kept:
                place.gone = True

    def drop_dead(self, dead: set[int]) -> None:
        for place in self.places:
            place.gone = place.gone or place.token in dead
        for each in self.iterators:
            for place in each.places:
                place.gone = place.gone or place.token in dead
        self.places = [place for place in self.places if not place.gone]

    # rules

    @rule(label=LABELS)
    def append(self, label: int) -> None:
        one = self.new(label)
        self.change(lambda these: these.append(Place(one.token)), lambda: self.weak.append(one))

    @rule(labels=st.lists(LABELS, max_size=4), way=st.sampled_from(["extend", "iadd"]))
    def extend(self, labels: list[int], way: str) -> None:
        some = [self.new(label) for label in labels]
        some += some[:1]
        act = self.weak.extend if way == "extend" else self.weak.__iadd__
        self.change(lambda these: these.extend(Place(one.token) for one in some), lambda: act(some))

    @rule(place=ANYWHERE, label=LABELS)
    def insert(self, place: int, label: int) -> None:
        one = self.new(label)
        self.change(
            lambda these: these.insert(place, Place(one.token)),
            lambda: self.weak.insert(place, one),
        )

    @rule(place=ANYWHERE, label=LABELS)
    def set_one(self, place: int, label: int) -> None:
        one = self.new(label)

        def change(these: list[Place]) -> None:
            these[place].token = one.token

        self.change(change, lambda: operator.setitem(self.weak, place, one))

    @rule(places=SLICE, labels=st.lists(LABELS, max_size=3))
    def set_slice(self, places: slice, labels: list[int]) -> None:
        some = [self.new(label) for label in labels]

        def change(these: list[Place]) -> None:
            these[places] = [Place(one.token) for one in some]

        self.change(change, lambda: operator.setitem(self.weak, places, some))

    @rule(place=ANYWHERE | SLICE)
    def delete(self, place: Any) -> None:
        self.change(
            lambda these: operator.delitem(these, place),
            lambda: operator.delitem(self.weak, place),
        )

    @rule(arguments=st.lists(ANYWHERE, max_size=1))
    def pop(self, arguments: list[int]) -> None:
        self.change(lambda these: these.pop(*arguments), lambda: self.weak.pop(*arguments))

    @rule(label=LABELS)
    def remove(self, label: int) -> None:
        def change(these: list[Place]) -> None:
            found = [one for one in these if self.owned_label(one) == label]
            if not found:
                raise ValueError
            these.remove(found[0])

        self.change(change, lambda: self.weak.remove(Referent(label)))

    def owned_label(self, place: Place) -> int:
        labels: dict[int, int] = {one.token: one.label for one in self.weak}
        return labels[place.token]

    @rule()
    def reverse(self) -> None:
        self.change(lambda these: these.reverse(), self.weak.reverse)

    @rule(reverse=st.booleans())
    def sort(self, reverse: bool) -> None:
        self.change(
            lambda these: these.sort(key=self.owned_label, reverse=reverse),
            lambda: self.weak.sort(key=lambda one: one.label, reverse=reverse),
        )

    @rule(times=st.integers(-1, 2))
    @precondition(lambda self: len(self.places) < 20)
    def multiply(self, times: int) -> None:
        def change(these: list[Place]) -> None:
            if times < 1:
                these.clear()
            else:
                these += [Place(one.token) for one in these * (times - 1)]

        self.change(change, lambda: self.weak.__imul__(times))

    @rule()
    @precondition(lambda self: len(self.places) > 6)
    def clear(self) -> None:
        self.change(lambda these: these.clear(), self.weak.clear)

    @rule(data=st.data(), in_cycle=st.booleans())
    @precondition(lambda self: self.owned)
    def let_go(self, data: st.DataObject, in_cycle: bool) -> None:
        token = data.draw(st.sampled_from(sorted(self.owned)))
        one = self.owned.pop(token)
        if in_cycle:
            one.other = one
            self.doomed.add(token)
            return
        del one
        let_die()
        if PYPY:  # which collected everything
            self.collect()
        self.drop_dead({token})

    @rule()
    def collect(self) -> None:
        gc_collect_harder()
        self.drop_dead(self.doomed)
        self.doomed = set()

    @rule(backwards=st.booleans())
    @precondition(lambda self: len(self.iterators) < 4)
    def open_iterator(self, backwards: bool) -> None:
        iterator = reversed(self.weak) if backwards else iter(self.weak)
        places = self.places[::-1] if backwards else list(self.places)
        self.iterators.append(OpenIterator(iterator, places))

    @rule(data=st.data(), steps=st.integers(1, 4))
    @precondition(lambda self: self.iterators)
    def advance(self, data: st.DataObject, steps: int) -> None:
        each = data.draw(st.sampled_from(self.iterators))
        for _ in range(steps):
            found = next(each.iterator, None)
            if found is None:
                each.ends()
                self.iterators.remove(each)
                return
            each.visits(found.token)

    @rule(places=SLICE, label=LABELS, bounds=st.lists(ANYWHERE, max_size=2))
    def look(self, places: slice, label: int, bounds: list[int]) -> None:
        strong = list(self.weak)
        assert self.weak[places] == strong[places]
        value = Referent(label)
        assert (value in self.weak) == (value in strong)
        assert self.weak.count(value) == strong.count(value)
        assert outcome(lambda: self.weak.index(value, *bounds)) == outcome(
            lambda: strong.index(value, *bounds)
        )

    @rule()
    def copies(self) -> None:
        for other in (self.weak.copy(), copy.copy(self.weak), copy.deepcopy(self.weak)):
            assert [one.token for one in other] == [place.token for place in self.places]

    @invariant()
    def is_the_same(self) -> None:
        weak, places = self.weak, self.places
        weak._check()
        assert len(weak) == len(places)
        assert [one.token for one in weak] == [place.token for place in places]
        for place in {0, 1, 5, len(places) // 2, len(places) - 1, -1, -3, -6, len(places)}:
            expected = outcome(lambda place=place: places[place].token)
            assert outcome(lambda place=place: weak[place].token) == expected


TestAgainstAModel = ListMachine.TestCase
