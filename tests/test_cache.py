"""`@weakly.cache` on plain functions: what is found, what goes when, and what is refused.

Methods and properties are in `test_cached_method.py`, coroutine functions in
`test_cached_async.py`; leaks, re-entrancy and threads of all of them in
`test_caches_leaks.py`.
"""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
import math
import pickle
import random
import sys
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
from support import (
    C_CORE,
    COUNTS_REFERENCES,
    PYPY,
    TIMEOUT,
    EqualMember,
    Member,
    Unhashable,
    check_runs,
    let_die,
    let_expire,
    members,
    wait_until,
)

import weakly


def fresh(**options: Any) -> Any:
    """A cached function whose result tells which run of it this was. It keeps no argument."""
    runs = itertools.count()

    @weakly.cache(**options)
    def function(*args: Any, **kwargs: Any) -> Member:
        return Member(next(runs))

    return function


def counts(function: Any) -> tuple[int, int, int]:
    info = function.cache_info()
    return info.hits, info.misses, info.currsize


def check_size(function: Any, size: int) -> None:
    """What is dead is gone, and the cache is sound."""
    let_die()
    function._check()
    assert function.cache_info().currsize == size


@weakly.cache
def documented(number: int, /, *, twice: bool = False) -> int:
    """Gives a number."""
    return number * (1 + twice)


@weakly.cache(maxsize=5)
def bounded(number: int) -> list[int]:
    return [number]


# --- the decorator


@pytest.mark.parametrize(
    "decorate",
    [weakly.cache, weakly.cache(), weakly.cache(maxsize=None), weakly.cache(maxsize=3, ttl=60)],
    ids=["plain", "empty", "unbounded", "bounded"],
)
def test_with_and_without_parentheses(decorate: Any) -> None:
    def original(number: int) -> list[int]:
        """Gives a list."""
        return [number]

    original.mark = "mine"
    function = decorate(original)
    assert function(1) is function(1)
    assert function(1) is not function(2)
    for name in ("__module__", "__name__", "__qualname__", "__doc__", "mark"):
        assert getattr(function, name) == getattr(original, name)
    assert function.__wrapped__ is original
    assert inspect.signature(function) == inspect.signature(original)
    assert counts(function) == (2, 2, 2)


def test_the_wrapped_function_knows_no_cache() -> None:
    function = fresh()
    assert function(1) is not function.__wrapped__(1)
    assert counts(function) == (0, 1, 1)


def test_attributes_of_its_own() -> None:
    function = fresh()
    function.note = [1]
    assert function.note == [1]
    assert vars(function)["note"] == [1]
    watch = weakref.ref(function)
    assert watch() is function
    assert callable(function)
    assert "function" in repr(function)


class Doubles:
    def __call__(self, number: int) -> list[int]:
        return [number, number]


@pytest.mark.parametrize(
    ("original", "argument"),
    [
        pytest.param(sorted, "text", id="builtin"),
        pytest.param(Member, 5, id="class"),
        pytest.param(functools.partial(dict, x=1), (), id="partial"),
        pytest.param(Doubles(), 5, id="instance"),
        pytest.param((1,).__add__, (2,), id="method"),
        pytest.param(lambda x: [x], 5, id="lambda"),
    ],
)
def test_anything_that_can_be_called(original: Any, argument: object) -> None:
    function = weakly.cache(original)
    assert function.__wrapped__ is original
    assert original(argument) is not original(argument)
    assert function(argument) is function(argument)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"maxsize": "5"}, TypeError),
        ({"maxsize": 1.5}, TypeError),
        ({"maxsize": len}, TypeError),
        ({"maxsize": 0}, ValueError),
        ({"maxsize": -1}, ValueError),
        ({"ttl": "5"}, TypeError),
        ({"ttl": [1]}, TypeError),
        ({"ttl": 0}, ValueError),
        ({"ttl": -0.5}, ValueError),
        ({"ttl": math.nan}, ValueError),
        ({"by": "equal"}, ValueError),
        ({"by": ""}, ValueError),
        ({"size": 5}, TypeError),
    ],
    ids=repr,
)
@pytest.mark.parametrize("decorate", [weakly.cache, weakly.cached_method])
def test_options_that_make_no_sense(
    decorate: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=next(iter(options))):
        decorate(**options)
    with pytest.raises(error, match=next(iter(options))):
        decorate(len, **options)


@pytest.mark.parametrize("decorate", [weakly.cache, weakly.cached_method, weakly.cached_property])
@pytest.mark.parametrize("wrong", [5, "text", [len]])
def test_what_cannot_be_called(decorate: Any, wrong: object) -> None:
    with pytest.raises(TypeError, match="callable"):
        decorate(wrong)
    if decorate is not weakly.cached_property:
        with pytest.raises(TypeError, match="callable"):
            decorate(maxsize=5)(wrong)


def test_options_are_keywords() -> None:
    with pytest.raises(TypeError):
        weakly.cache(len, 5)


def test_parameters() -> None:
    given = {"maxsize": 7, "ttl": 60, "typed": True, "by": "identity"}
    function = fresh(**given)
    assert function.cache_parameters() == given
    function.cache_parameters()["maxsize"] = 5
    assert function.cache_parameters() == given
    usual = {"maxsize": None, "ttl": None, "typed": False, "by": "equality"}
    assert fresh().cache_parameters() == usual


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy])
def test_a_copy_is_the_function_itself(clone: Any) -> None:
    for function in (documented, fresh()):
        assert clone(function) is function


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickled_by_name(protocol: int) -> None:
    for function in (documented, bounded):
        assert pickle.loads(pickle.dumps(function, protocol)) is function
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(fresh(), protocol)


# --- what is the same call


def test_hits_by_equality() -> None:
    function = fresh()
    first = EqualMember("x")
    result = function(first)
    assert function(first) is result
    assert function(EqualMember("x")) is result
    assert function(EqualMember("y")) is not result
    check_size(function, 1)


def test_hits_by_identity() -> None:
    function = fresh(by="identity")
    first, second = EqualMember("x"), EqualMember("x")
    result = function(first)
    assert function(first) is result
    assert function(second) is not result
    assert function(5, "text") is function(5, "te" + "xt"[:])
    check_size(function, 3)


def test_by_identity_runs_no_code_of_the_arguments() -> None:
    class Strict:
        def __eq__(self, other: object) -> bool:
            raise AssertionError

        def __hash__(self) -> int:
            raise AssertionError

        __bool__ = __len__ = __hash__

    function = fresh(by="identity")
    some = [Strict() for _ in range(20)]
    results = [function(one, key=one) for one in some]
    assert [function(one, key=one) for one in some] == results
    assert function.cache_discard(some[0], key=some[0])
    assert function(some[0], key=some[0]) is not results[0]


def test_an_identical_argument_need_not_equal_itself() -> None:
    function = fresh()
    assert function(math.nan) is function(math.nan)

    class Never(Member):
        def __eq__(self, other: object) -> bool:
            return False

        __hash__ = Member.__hash__

    never = Never(1)
    assert function(never, 1) is function(never, 1)


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    ((1,), {}),
    ((2,), {}),
    ((1, 2), {}),
    ((2, 1), {}),
    (((1, 2),), {}),
    ((None,), {}),
    (("a", 1), {}),
    ((), {"a": 1}),
    ((("a", 1),), {}),
    ((1,), {"a": 1}),
    ((1, "a", 1), {}),
    ((), {"b": 1}),
    ((), {"a": 1, "b": 2}),
    ((), {"b": 2, "a": 1}),  # as in functools
    ((), {"a": 2, "b": 1}),
    ((), {"self": 1}),
    ((), {"function": 1, "memo": 2, "args": 3, "kwargs": 4, "key": 5, "instance": 6, "value": 7}),
]


@pytest.mark.parametrize("options", [{}, {"typed": True}, {"by": "identity"}, {"maxsize": 100}])
@pytest.mark.parametrize("weak", [False, True], ids=["strong", "with a weak one"])
def test_different_calls(options: dict[str, Any], weak: bool) -> None:
    """Positional and keyword arguments are told apart, and so is their order."""
    function = fresh(**options)
    first: tuple[Any, ...] = (Member("first"),) if weak else ()
    calls = [((*first, *args), kwargs) for args, kwargs in CALLS]
    results = [function(*args, **kwargs) for args, kwargs in calls]
    assert len(set(results)) == len(calls)
    assert [function(*args, **kwargs) for args, kwargs in calls] == results
    assert counts(function) == (len(calls), len(calls), len(calls))
    for left, (args, kwargs) in enumerate(calls, 1 - len(calls)):
        assert function.cache_discard(*args, **kwargs)
        assert not function.cache_discard(*args, **kwargs)
        assert counts(function)[2] == -left
    check_size(function, 0)


def test_weak_arguments_in_every_place() -> None:
    function = fresh()
    a, b = EqualMember("a"), EqualMember("b")
    calls: list[Any] = [
        ((a,), {}),
        ((b,), {}),
        ((a, a), {}),
        ((a, b), {}),
        ((b, a), {}),
        ((a, 1, b), {}),
        ((1, a, b), {}),
        ((a, b, 1), {}),
        ((), {"x": a}),
        ((), {"x": b}),
        ((), {"x": a, "y": b}),
        ((), {"y": b, "x": a}),
        ((a,), {"x": b}),
        ((a,), {"x": 1}),
        (("x", a), {}),
    ]
    results = [function(*args, **kwargs) for args, kwargs in calls]
    assert len(set(results)) == len(calls)
    assert [function(*args, **kwargs) for args, kwargs in calls] == results
    check_size(function, len(calls))


def test_typed() -> None:
    class Mine(EqualMember):
        __slots__ = ()

    plain, typed = fresh(), fresh(typed=True)
    weak, mine = EqualMember(1), Mine(1)
    for call in (
        lambda function, number: function(number),
        lambda function, number: function(number, "x"),
        lambda function, number: function(x=number),
    ):
        for function, different in ((plain, 1), (typed, 3)):
            assert len({call(function, number) for number in (1, 1.0, True)}) == different
    assert plain(weak) is plain(mine)
    assert typed(weak) is not typed(mine)
    assert typed(weak) is typed(EqualMember(1))
    assert typed((1,)) is typed((1.0,))  # not what is in them, as in functools


@pytest.mark.parametrize("value", [None, False, 0, (), NotImplemented, Ellipsis], ids=repr)
def test_results_that_are_not_true_are_results(value: object) -> None:
    runs = []
    function = weakly.cache(lambda argument: (runs.append(1), value)[1])
    weak = Member("weak")
    for argument in (1, weak):
        assert function(argument) is value
        assert function(argument) is value
    assert len(runs) == 2


@pytest.mark.parametrize("argument", [len, Member, math, lambda: None, weakref.ref(Member)])
def test_other_things_that_can_be_weakly_referenced(argument: object) -> None:
    function = fresh()
    assert function(argument) is function(argument)
    check_size(function, 1)


# --- entries and their arguments


@pytest.mark.parametrize("options", [{}, {"by": "identity"}, {"maxsize": 50}, {"ttl": 60}])
@pytest.mark.parametrize("dies", ["first", "middle", "last", "keyword"])
def test_an_entry_goes_with_any_of_its_arguments(options: dict[str, Any], dies: str) -> None:
    function = fresh(**options)
    alive = {name: Member(name) for name in ("first", "middle", "last", "keyword")}

    def call() -> Any:
        return function(
            alive["first"], 1, alive["middle"], "text", alive["last"], keyword=alive["keyword"]
        )

    other = function(alive["last" if dies == "first" else "first"])
    result = weakref.ref(call())
    assert call() is result() is not None
    check_size(function, 2)
    argument = weakref.ref(alive.pop(dies))
    check_size(function, 1)
    assert argument() is None
    assert result() is None
    assert function(alive.get("first", alive.get("last"))) is other


def test_the_cache_holds_strongly_what_it_cannot_hold_weakly() -> None:
    function = fresh()
    inner = Member("inner")
    watch = weakref.ref(inner)
    result = function((inner, 5), "text")
    let_die()
    assert function((inner, 5), "text") is result
    del inner
    let_die()
    assert watch() is not None
    function.cache_clear()
    let_die()
    assert watch() is None


def test_the_entry_goes_with_the_argument_that_made_it() -> None:
    """An equal one does not take its place."""
    function = fresh()
    first, second = EqualMember("x"), EqualMember("x")
    result = function(first)
    assert function(second) is result
    del first
    check_size(function, 0)
    assert function(second) is not result
    check_size(function, 1)


def test_many_weak_arguments_of_one_call() -> None:
    function = fresh()
    for count in (1, 2, 3, 5, 17, 40):
        for dies in {0, count // 2, count - 1}:
            some = members(count)
            assert function(*some) is function(*some)
            del some[dies]
            check_size(function, 0)


def test_the_same_argument_in_many_entries() -> None:
    function = fresh()
    shared = Member("shared")
    others = members(30)
    for number, other in enumerate(others):
        function(shared, other)
        function(shared, number)
        function(number, shared)
    check_size(function, 90)
    del other, others[:10]
    check_size(function, 80)
    del shared
    check_size(function, 0)


def test_entries_go_in_a_crowd() -> None:
    function = fresh()
    kept: list[Any] = []
    order = random.Random(5)
    for label in range(500):
        member = EqualMember(label)
        function(member, label % 7)
        kept.append(member)
        if len(kept) > 20:
            del kept[order.randrange(20)]
    del member
    check_size(function, len(kept))
    before = counts(function)
    for member in kept:
        function(EqualMember(member.label), member.label % 7)
    assert counts(function) == (before[0] + len(kept), before[1], len(kept))


def test_a_result_may_be_its_argument() -> None:
    function = weakly.cache(lambda argument: argument)
    member = Member("x")
    assert function(member) is member
    assert function(member) is member
    function.cache_clear()
    watch = weakref.ref(member)
    del member
    let_die()
    assert watch() is None


def test_the_cache_goes_with_its_function() -> None:
    function = fresh()
    member = Member("kept")
    watches = [weakref.ref(function(member)), weakref.ref(function(1)), weakref.ref(function)]
    assert all(watch() for watch in watches)
    del function
    let_die()
    assert [watch() for watch in watches] == [None] * 3
    if COUNTS_REFERENCES:
        assert weakref.getweakrefcount(member) == 0


# --- bound and time to live


@pytest.mark.parametrize("maxsize", [1, 2, 7, 40])
@pytest.mark.parametrize("weak", [False, True], ids=["strong", "weak"])
def test_the_least_recently_used_goes(maxsize: int, weak: bool) -> None:
    """Against a model, on a random trace with discards."""
    order = random.Random(maxsize)
    some: list[Any] = members(60) if weak else list(range(60))
    function = fresh(maxsize=maxsize)
    model: OrderedDict[int, Member] = OrderedDict()
    hits = misses = 0
    for _ in range(1500):
        number = min(order.randrange(60), order.randrange(60))
        if order.random() < 0.05:
            assert function.cache_discard(some[number]) is (model.pop(number, None) is not None)
            continue
        result = function(some[number])
        if number in model:
            hits += 1
            assert result is model[number]
            model.move_to_end(number)
        else:
            misses += 1
            model[number] = result
            if len(model) > maxsize:
                model.popitem(last=False)
        assert counts(function) == (hits, misses, len(model))
    function._check()
    assert function.cache_info().maxsize == maxsize


def test_what_was_evicted_is_let_go() -> None:
    function = fresh(maxsize=2)
    results = [weakref.ref(function(n)) for n in range(5)]
    let_die()
    assert [result() is None for result in results] == [True] * 3 + [False] * 2


def test_dead_entries_make_room() -> None:
    function = fresh(maxsize=3)
    kept = members(2)
    results = [function(member) for member in kept]
    for label in range(10):
        member = Member(label)
        function(member)
        del member
        let_die()
    assert [function(member) for member in kept] == results
    check_size(function, 2)


def test_time_to_live() -> None:
    short, long = fresh(ttl=0.005), fresh(ttl=60)
    member = Member("x")
    for argument in (1, member):
        before = [short(argument), long(argument)]
        let_expire(0.005)
        assert short(argument) is not before[0]
        assert long(argument) is before[1]
    short._check()
    let_die()
    assert short.cache_info().misses == 4


def test_time_to_live_begins_with_the_store() -> None:
    """A hit does not make it longer, and the time that the function takes does not count."""
    function = fresh(ttl=0.1)
    begin = time.monotonic()
    first = function(1)
    wait_until(lambda: function(1) is not first)
    assert time.monotonic() - begin >= 0.1

    slow = weakly.cache(lambda: let_expire(0.3) or Member("slow"), ttl=0.3)
    assert slow() is slow()


@pytest.mark.parametrize("ttl", [math.inf, 10**9, 1e30])
def test_a_very_long_time_to_live(ttl: float) -> None:
    function = fresh(ttl=ttl)
    assert function(1) is function(1)


# --- info, clear, discard


def test_info_is_that_of_functools() -> None:
    function = fresh(maxsize=5)
    info = function.cache_info()
    assert type(info) is type(functools.lru_cache(len).cache_info())
    assert info == (0, 0, 5, 0)
    function(1)
    function(1)
    function(2)
    assert function.cache_info() == (1, 2, 5, 2)
    assert fresh().cache_info() == (0, 0, None, 0)


def test_clear() -> None:
    function = fresh()
    member = Member("x")
    results = [weakref.ref(function(1)), weakref.ref(function(member))]
    function.cache_clear()
    assert function.cache_info() == (0, 0, None, 0)
    let_die()
    assert [result() for result in results] == [None, None]
    function(1)
    function(member)
    assert counts(function) == (0, 2, 2)


def test_discard() -> None:
    function = fresh()
    member = EqualMember("x")
    function(member, 1, key="value")
    assert not function.cache_discard()
    assert not function.cache_discard(member)
    assert not function.cache_discard(member, 1)
    assert not function.cache_discard(member, 1, key="other")
    assert counts(function) == (0, 1, 1)
    assert function.cache_discard(EqualMember("x"), 1, key="value")
    assert counts(function) == (0, 1, 0)
    with pytest.raises(TypeError, match="unhashable"):
        function.cache_discard([])


# --- functions that fail, recur or re-enter


@pytest.mark.parametrize(
    "error", [ZeroDivisionError, KeyError, StopIteration, KeyboardInterrupt, GeneratorExit]
)
@pytest.mark.parametrize("weak", [False, True], ids=["strong", "weak"])
def test_an_exception_is_not_cached(error: type[BaseException], weak: bool) -> None:
    fails = [True]

    @weakly.cache
    def function(argument: object) -> list[int]:
        if fails:
            raise error("from the function")
        return [5]

    argument = Member("x") if weak else 1
    for _ in range(2):
        with pytest.raises(error, match="from the function"):
            function(argument)
    assert counts(function) == (0, 2, 0)
    fails.clear()
    assert function(argument) is function(argument)
    assert counts(function) == (1, 3, 1)


def test_a_failed_call_keeps_nothing() -> None:
    @weakly.cache
    def function(argument: object) -> None:
        raise ZeroDivisionError

    member = Member("x")
    with pytest.raises(ZeroDivisionError):
        function(member)
    watch = weakref.ref(member)
    del member
    let_die()
    assert watch() is None


RECURSION = """
import sys
import weakly

assert sys.getrecursionlimit() == 1000

@weakly.cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

class Fib:
    @weakly.cached_method
    def at(self, n):
        return n if n < 2 else self.at(n - 1) + self.at(n - 2)

class Number:
    def __init__(self, n):
        self.n = n
        self.previous = Number(n - 1) if n else None
    @weakly.cached_property
    def sum(self):
        return self.n + self.previous.sum if self.n else 0

@weakly.cache(maxsize=None, ttl=100)
def keywords(*, n):
    return n and 1 + keywords(n=n - 1)

depth = int(sys.argv[1])
print(fib(depth), Fib().at(depth), Number(depth).sum, keywords(n=depth))
print(*fib.cache_info()[:2])
"""


def test_recursion_as_deep_as_with_functools() -> None:
    """Python tables whose interpreter counts their calls of C functions get half as far."""
    depth = 300 if C_CORE or (sys.version_info >= (3, 12) and not PYPY) else 150
    numbers = [0, 1]
    while len(numbers) <= depth:
        numbers.append(numbers[-1] + numbers[-2])
    found = [int(word) for word in check_runs(RECURSION, str(depth)).split()]
    total = depth * (depth + 1) // 2
    assert found == [numbers[depth], numbers[depth], total, depth, depth - 2, depth + 1]


@pytest.mark.parametrize("weak", [False, True], ids=["strong", "weak"])
def test_a_function_that_asks_for_its_own_call(weak: bool) -> None:
    argument: Any = EqualMember("x") if weak else 5

    @weakly.cache
    def function(argument: object) -> Any:
        return function(EqualMember("x") if weak else 5)

    for _ in range(2):
        with pytest.raises(RuntimeError):
            function(argument)
    assert function.cache_info().currsize == 0

    @weakly.cache
    def careful(argument: object) -> Any:
        with pytest.raises(RuntimeError):
            careful(argument)
        return [argument]

    assert careful(argument) is careful(argument)
    assert counts(careful) == (1, 1, 1)


def test_functions_that_ask_each_other_for_ever() -> None:
    @weakly.cache
    def one(number: int) -> Any:
        return other(number)

    @weakly.cache
    def other(number: int) -> Any:
        return one(number)

    with pytest.raises(RuntimeError):
        one(5)
    assert counts(one)[2] == counts(other)[2] == 0


def test_by_identity_an_equal_argument_is_another_call() -> None:
    @weakly.cache(by="identity")
    def function(argument: Any) -> Any:
        return function(EqualMember("end")) if argument.label == "x" else argument.label

    assert function(EqualMember("x")) == "end"


@pytest.mark.parametrize("action", ["cache_clear", "cache_discard"])
def test_a_function_that_clears_its_cache(action: str) -> None:
    @weakly.cache
    def function(argument: Any) -> Any:
        getattr(function, action)(*([] if action == "cache_clear" else [argument]))
        return [argument]

    member = Member("x")
    for argument in (5, member):
        assert function(argument) == [argument]
        assert function(argument) == [argument]
    function._check()


# --- arguments that are refused

PROXIED = Member("proxied")


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [
        (([],), {}),
        (({},), {}),
        ((1, [2]), {}),
        ((Member("x"), [2]), {}),
        ((([],),), {}),
        ((), {"x": {}}),
        ((Unhashable(),), {}),
        ((1,), {"x": Unhashable()}),
        ((weakref.proxy(PROXIED),), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_arguments_that_cannot_be_held(
    arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    runs = []
    function = weakly.cache(lambda *args, **kwargs: runs.append(1))
    function(1)
    before = function.cache_info()
    with pytest.raises(TypeError, match="unhashable"):
        function(*arguments, **keywords)
    with pytest.raises(TypeError, match="unhashable"):
        function.cache_discard(*arguments, **keywords)
    assert function.cache_info() == before
    assert len(runs) == 1
    function._check()


def test_by_identity_unhashable_objects_are_fine() -> None:
    function = fresh(by="identity")
    one, other = Unhashable(), weakly.List([1])
    assert function(one) is function(one) is not function(other)
    assert function(other, key=one) is function(other, key=one)
    with pytest.raises(TypeError, match="unhashable"):
        function([])


@pytest.mark.parametrize("method", ["__hash__", "__eq__"])
def test_arguments_that_fail_to_be_compared(method: str) -> None:
    fails = []

    class Fails(EqualMember):
        def __hash__(self) -> int:
            return self.check("__hash__", 5)

        def __eq__(self, other: object) -> bool:
            return self.check("__eq__", super().__eq__(other))

        def check(self, name: str, result: Any) -> Any:
            if name in fails:
                raise ZeroDivisionError
            return result

    function = fresh()
    one = Fails("x")
    result = function(one)
    before = function.cache_info()
    fails.append(method)
    with pytest.raises(ZeroDivisionError):
        function(Fails("x"))
    with pytest.raises(ZeroDivisionError):
        function.cache_discard(Fails("x"))
    assert function.cache_info() == before
    fails.clear()
    assert function(Fails("x")) is result
    function._check()


# --- as a method


def test_cache_on_a_method_compares_self_by_equality_and_pins_nothing() -> None:
    class Row(EqualMember):
        @weakly.cache
        def compute(self, number: int) -> Member:
            return Member(number)

        @staticmethod
        @weakly.cache
        def static(number: int) -> Member:
            return Member(number)

    row = Row("x")
    result = row.compute(5)
    assert row.compute(5) is Row("x").compute(5) is Row.compute(row, 5) is result
    assert row.compute(6) is not result
    assert row.static(5) is Row.static(5)
    assert Row.compute.cache_info().currsize == 2
    watch = weakref.ref(row)
    del row
    let_die()
    assert watch() is None
    assert Row.compute.cache_info().currsize == 0


def test_stacked() -> None:
    """Decorators over and under it see an ordinary function."""

    def twice(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args), function(*args)

        return wrapper

    over = twice(weakly.cache(lambda x: [x]))
    first, second = over(1)
    assert first is second
    under = weakly.cache(twice(lambda x: [x]))
    first, second = under(1)
    assert first is not second
    assert under(1) is under(1)


# --- forgetting what is being made


class Slow:
    """Makes values from what it knows at the time, when it is told to go on."""

    def __init__(self) -> None:
        self.knows = "old"
        self.begun, self.goes_on = threading.Event(), threading.Event()

    def make(self, *_: object) -> list[str]:
        made = [self.knows]
        self.begun.set()
        assert self.goes_on.wait(TIMEOUT)
        return made


@pytest.mark.parametrize(
    "way", ["clear", "discard", "method", "property", "delete", "get_or_create"]
)
def test_what_is_forgotten_while_it_is_made_is_not_stored(way: str) -> None:
    """Nor is it given to who asks later, though its maker gets it."""
    slow = Slow()
    function = weakly.cache(lambda x: slow.make())
    weak_cache: Any = weakly.WeakCache(5)

    class Owner:
        method = weakly.cached_method(lambda self: slow.make())
        value: Any = weakly.cached_property(lambda self: slow.make())

    owner: Any = Owner()

    def delete() -> None:
        with pytest.raises(AttributeError):
            del owner.value

    ways: dict[str, tuple[Callable[[], Any], Callable[[], object]]] = {
        "clear": (lambda: function(1), function.cache_clear),
        "discard": (lambda: function(1), lambda: function.cache_discard(1)),
        "method": (owner.method, owner.method.cache_clear),
        "property": (lambda: owner.value, Owner.value.cache_clear),
        "delete": (lambda: owner.value, delete),
        "get_or_create": (
            lambda: weak_cache.get_or_create(1, slow.make),
            lambda: weak_cache.pop(1, None),
        ),
    }
    asked, forget = ways[way]
    first: list[Any] = []
    thread = threading.Thread(target=lambda: first.append(asked()))
    thread.start()
    assert slow.begun.wait(TIMEOUT)
    slow.knows = "new"
    forget()
    slow.goes_on.set()
    assert asked() == ["new"]
    thread.join(TIMEOUT)
    assert first == [["old"]]
    assert asked() == ["new"]


def test_a_coroutine_is_no_result() -> None:
    async def work() -> int:
        return 5

    function = weakly.cache(lambda x: work())
    with pytest.raises(TypeError, match="coroutine"):
        function(1)
    assert function.cache_info().currsize == 0
