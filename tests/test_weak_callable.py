"""WeakCallable, and WeakMethod for methods of types made in C.

What signals do with their listeners is in test_signal.py.
"""

from __future__ import annotations

import array
import contextlib
import copy
import functools
import gc
import pickle
import re
import types
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from callables import (
    CALLABLE,
    LIVING,
    METHODS,
    OTHERS,
    PARTIALS,
    CallableObject,
    Case,
    Deque,
    MadeMethod,
    Object,
    WithDecorated,
    WithMadeMethods,
    bystander,
    closure,
    own_class,
    own_function,
)
from support import (
    COUNTS_REFERENCES,
    FREE_THREADED,
    PYPY,
    REPEATS,
    count_failures,
    failing_allocations,
    gc_collect_harder,
    let_die,
    run_all,
)

import weakly
from weakly import WeakCallable, WeakMethod

# PyPy makes no difference between methods of types in C and others.
methods_of_c = pytest.mark.skipif(PYPY, reason="its methods all have a function")
refused = pytest.mark.skipif(PYPY, reason="all objects can be weakly referenced there")
counted = pytest.mark.skipif(not COUNTS_REFERENCES, reason="no addresses are reused there")


def cases(some: list[Case]) -> Any:
    return pytest.mark.parametrize("case", some, ids=lambda case: case.name)


def every_case(function: Any) -> Any:
    return cases(METHODS + PARTIALS + OTHERS)(function)


@contextlib.contextmanager
def no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def drop(held: list[Any]) -> None:
    held.clear()
    gc_collect_harder()  # classes are in cycles


# --- what it refers to, and how


def test_two_names() -> None:
    assert weakly.weak is WeakCallable
    assert {"weak", "WeakCallable"} <= set(weakly.__all__)


@every_case
def test_calls_its_target_and_does_not_keep_it(case: Case) -> None:
    held = [case.make()]
    with no_warning():
        callable_ = case.get(held[0])
        weak = WeakCallable(callable_)
    died = weakref.ref(held[0])
    assert type(weak) is WeakCallable
    assert weak.alive is True
    assert weak.strong is False
    assert callable(weak.target)
    del callable_
    gc.collect()
    assert weak.alive
    assert weak.target is not None
    drop(held)
    assert died() is None
    assert weak.alive is False
    assert weak.target is None
    with pytest.raises(ReferenceError):
        weak()


@every_case
def test_strong_keeps_it(case: Case) -> None:
    held = [case.make()]
    with no_warning():
        weak = WeakCallable(case.get(held[0]), strong=True)
    died = weakref.ref(held[0])
    drop(held)
    assert weak.alive is True
    assert weak.strong is True
    assert weak.target is not None
    assert died() is not None
    del weak
    gc_collect_harder()
    assert died() is None


@every_case
def test_callback_once_with_itself(case: Case) -> None:
    calls: list[Any] = []
    held = [case.make()]
    callable_ = case.get(held[0])

    def callback(died: Any) -> None:
        calls.append((died, died.alive, died.target))
        with pytest.raises(ReferenceError):
            died()

    weak = WeakCallable(callable_, callback)
    del callable_
    gc.collect()
    assert calls == []
    drop(held)
    assert len(calls) == 1
    assert calls[0][0] is weak
    assert calls[0][1:] == (False, None)
    gc_collect_harder()
    assert len(calls) == 1


@every_case
def test_no_callback_after_its_own_death(case: Case) -> None:
    calls: list[Any] = []
    held = [case.make()]
    callable_ = case.get(held[0])
    weak = WeakCallable(callable_, calls.append)
    del weak, callable_
    let_die()
    drop(held)
    assert calls == []


@every_case
def test_strong_never_calls_back(case: Case) -> None:
    calls: list[Any] = []
    held = [case.make()]
    weak = WeakCallable(case.get(held[0]), calls.append, strong=True)
    drop(held)
    del weak
    gc_collect_harder()
    assert calls == []


@every_case
def test_in_a_cycle_with_its_callback(case: Case) -> None:
    """The callback refers to the WeakCallable: all of it goes."""
    held = [case.make()]
    callable_ = case.get(held[0])
    cycle = Member()
    cycle.weak = WeakCallable(callable_, lambda _, me=cycle: me)
    died = weakref.ref(cycle)
    del cycle
    gc_collect_harder()
    assert died() is None
    del callable_
    drop(held)


class Member:
    weak: Any
    me: Any


@every_case
def test_when_both_are_garbage(case: Case) -> None:
    """Target and WeakCallable in one cycle: all goes."""
    calls: list[Any] = []
    held = case.make()
    callable_ = case.get(held)
    try:
        held.me = held
    except AttributeError:
        pytest.skip("has no attributes")
    held.weak = WeakCallable(callable_, calls.append)
    died = weakref.ref(held)
    del held, callable_
    gc_collect_harder()
    assert died() is None
    assert len(calls) <= 1  # the collector may tell of one death before the other


def test_passes_everything_through() -> None:
    obj = Object()
    weak = WeakCallable(obj.method)
    assert weak() == ("method", (), {})
    assert weak(1, 2) == ("method", (1, 2), {})
    assert weak(1, x=3, if_dead=4, strong=5) == (
        "method",
        (1,),
        {"x": 3, "if_dead": 4, "strong": 5},
    )
    function = own_function()
    assert WeakCallable(function)(1, self=2) == ("function", (1,), {"self": 2})
    some: deque[int] = deque()
    assert WeakCallable(some.append)(5) is None
    assert list(some) == [5]
    assert WeakCallable(obj.of_class)(3) == ("of class", "Object", 3)
    assert WeakCallable(Object.of_class)(x=4) == ("of class", "Object", 4)
    assert WeakCallable(obj.static)(4) == ("static", 4)
    assert WeakCallable(obj.cached)(6) == ("cached", 6)
    assert WeakCallable(obj.with_five)(6, y=7) == ("method", (5, 6), {"y": 7})
    assert WeakCallable(obj.__repr__)() == object.__repr__(obj)
    made = WithMadeMethods()
    assert WeakCallable(made.made)(1) == ("made", (1,))
    decorated_one = WithDecorated()
    assert WeakCallable(decorated_one.method)(1) == ("decorated", (1,))
    assert WeakCallable(decorated_one.fresh)(6) == ("called", (decorated_one, 5, 6), {})
    instance = CallableObject()
    assert WeakCallable(instance)(1, x=2) == ("called", (1,), {"x": 2})
    assert type(WeakCallable(Object)()) is Object
    assert WeakCallable(len)([1, 2]) == 2
    assert WeakCallable(dict.fromkeys)("ab") == {"a": None, "b": None}
    assert WeakCallable(re.compile("a+").match, strong=True)("aab")[0] == "aa"
    partial = functools.partial(obj.method, 1, x=2)
    assert WeakCallable(partial)(3, x=4) == ("method", (1, 3), {"x": 4})


def test_what_the_target_raises_comes_through() -> None:
    def function() -> None:
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        WeakCallable(function)()

    def dead() -> None:
        raise ReferenceError("its own")

    with pytest.raises(ReferenceError, match="its own"):
        WeakCallable(dead, if_dead="ignore")()
    with pytest.raises(TypeError):
        WeakCallable(dead)(1)


def test_the_method_is_made_anew() -> None:
    obj = Object()
    weak = WeakCallable(obj.method)
    assert type(weak.target) is types.MethodType
    assert weak.target.__self__ is obj
    assert weak.target.__func__ is Object.method
    some: deque[int] = deque()
    assert WeakCallable(some.append).target == some.append
    function = own_function()
    assert WeakCallable(function).target is function
    partial = functools.partial(obj.method, 1, x=2)
    target: Any = WeakCallable(partial).target
    assert target() == ("method", (1,), {"x": 2})


def test_a_method_whose_function_dies() -> None:
    own = own_class()
    obj = own()
    calls: list[Any] = []
    weak = WeakCallable(obj.method, calls.append)
    assert weak(1) == ("own", (1,))
    del own.method
    gc_collect_harder()
    assert not weak.alive
    assert weak.target is None
    assert calls == [weak]
    with pytest.raises(ReferenceError):
        weak()
    del obj
    let_die()
    assert calls == [weak]


def test_a_replaced_method_is_still_the_old_one_while_it_lives() -> None:
    own = own_class()
    obj = own()
    function = own.method
    weak = WeakCallable(obj.method)
    own.method = lambda self: "new"
    assert weak() == ("own", ())
    assert weak.target.__func__ is function
    obj.method = lambda: "newer"
    assert weak() == ("own", ())


@pytest.mark.parametrize("if_dead", ["raise", "ignore"])
def test_a_fresh_function_lives_as_long_as_its_object(if_dead: Any) -> None:
    """partialmethod of a callable that is no descriptor makes a function each time."""
    obj = WithDecorated()
    weak = WeakCallable(obj.fresh, if_dead=if_dead)
    gc_collect_harder()
    assert weak(6)[0] == "called"
    also = WeakCallable(types.MethodType(lambda self, x: x + 1, obj))
    gc_collect_harder()
    assert also(6) == 7
    del obj
    gc_collect_harder()
    assert not weak.alive
    assert not also.alive


@pytest.mark.c_core(reason="the Python tables hold such a function strongly")
def test_a_fresh_function_that_refers_to_its_object() -> None:
    obj: Any = Object()
    holds: Any = [obj]
    weak = WeakCallable(types.MethodType(lambda self: len(holds), obj))
    died = weakref.ref(obj)
    assert weak() == 1
    obj = holds = None
    weakly.collect()
    assert died() is None
    assert not weak.alive


def test_a_partial_releases_its_arguments_at_death() -> None:
    obj, argument, named = Object(), Object(), Object()
    weak = WeakCallable(functools.partial(obj.method, argument, x=named))
    gone = [weakref.ref(argument), weakref.ref(named)]
    del argument, named
    gc.collect()
    assert all(each() is not None for each in gone)
    assert weak(3)[1] == (gone[0](), 3)
    del obj
    gc_collect_harder()
    assert not weak.alive
    assert [each() for each in gone] == [None, None]


def test_a_partial_outlives_the_partial_object() -> None:
    obj = Object()
    calls: list[Any] = []
    partial = functools.partial(obj.method, 1)
    weak = WeakCallable(partial, calls.append)
    del partial
    gc_collect_harder()
    assert weak.alive
    assert weak(2) == ("method", (1, 2), {})
    assert calls == []


def test_other_partials_are_held_weakly_themselves() -> None:
    partial = functools.partial(divmod, 7)
    weak = WeakCallable(partial)
    assert weak(2) == (3, 1)
    assert weak.target is partial
    del partial
    let_die()
    assert not weak.alive


@methods_of_c
def test_a_method_that_is_not_to_be_had_by_name() -> None:
    """`super().append` of a class that overrides it: held as an object, for want of a name."""

    class Special(deque[Any]):
        def append(self, item: Any) -> None:
            super().append([item])

        def hidden(self) -> Any:
            return super().append

    some = Special()
    hidden = some.hidden()
    weak = WeakCallable(hidden)
    weak(5)
    assert list(some) == [5]
    del hidden
    let_die()
    assert not weak.alive
    weak = WeakCallable(some.append)
    weak(6)
    assert list(some) == [5, [6]]


@pytest.mark.parametrize("name", [None, 5, "absent", "__class__"])
def test_a_self_without_a_name_is_no_method(name: Any) -> None:
    obj = Object()
    callable_ = MadeMethod(obj, name)
    weak = WeakCallable(callable_)
    assert weak.target is callable_
    assert weak() == (name, ())
    del callable_
    let_die()
    assert not weak.alive
    assert obj is not None


@pytest.mark.parametrize("self_", [None, types])
def test_a_self_that_is_none_or_a_module_is_no_method(self_: Any) -> None:
    callable_ = MadeMethod(self_, "made")
    weak = WeakCallable(callable_)
    assert weak.target is callable_
    del callable_
    let_die()
    assert not weak.alive


def test_a_weak_callable_of_a_weak_callable() -> None:
    obj = Object()
    calls: list[Any] = []
    first = WeakCallable(obj.method, calls.append)
    second = WeakCallable(first, if_dead="ignore")
    strong = WeakCallable(first, strong=True)
    assert second == first == strong
    assert second is not first
    assert (first.strong, second.strong, strong.strong) == (False, False, True)
    assert second.target.__self__ is obj
    assert second(1) == strong(1) == ("method", (1,), {})
    died = weakref.ref(obj)
    del obj, first
    gc_collect_harder()
    assert died() is not None
    weak_again = WeakCallable(strong)
    assert weak_again.strong is False
    del strong
    gc_collect_harder()
    assert died() is None
    assert second() is None
    assert not weak_again.alive
    assert calls == []  # first had gone


# --- what it refuses, and how it says so


@pytest.mark.parametrize("what", [5, None, "text", [], object()])
@pytest.mark.parametrize("strong", [False, True])
def test_what_cannot_be_called(what: Any, strong: bool) -> None:
    with pytest.raises(TypeError, match=type(what).__name__):
        WeakCallable(what, strong=strong)


class Slots:
    __slots__ = ()

    def __call__(self) -> int:
        return 5

    def method(self) -> int:
        return 6


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: [].append, "list"),
        (lambda: {}.get, "dict"),
        (lambda: "text".upper, "str"),
        pytest.param(lambda: Slots(), "Slots", marks=refused),
        pytest.param(lambda: Slots().method, "Slots", marks=refused),
        pytest.param(lambda: functools.partial(Slots().method, 1), "Slots", marks=refused),
        (lambda: functools.partial([].append, 1), "list"),
    ],
)
def test_what_cannot_be_weakly_referenced(make: Any, named: str) -> None:
    callable_ = make()
    with pytest.raises(TypeError, match=rf"\b{named}\b.*strong=True"):
        WeakCallable(callable_)
    weak = WeakCallable(callable_, strong=True)
    assert weak.alive


def test_wrong_arguments() -> None:
    function = own_function()
    for wrong in ("Raise", "", None, 0, True):
        with pytest.raises(ValueError, match="if_dead"):
            WeakCallable(function, if_dead=wrong)  # type: ignore[arg-type]  # that is the test
    for args, kwargs in (
        ((), {}),
        ((function, None, True), {}),
        ((function,), {"callback": None}),
        ((), {"f": function}),
        ((function,), {"other": 5}),
    ):
        with pytest.raises(TypeError):
            WeakCallable(*args, **kwargs)  # type: ignore[arg-type]  # that is the test
    with no_warning():
        assert WeakCallable(function, None).alive


@pytest.mark.parametrize("if_dead", ["raise", "ignore"])
@every_case
def test_a_call_when_dead(case: Case, if_dead: Any) -> None:
    held = [case.make()]
    callable_ = case.get(held[0])
    weak = WeakCallable(callable_, if_dead=if_dead)
    del callable_
    drop(held)
    if if_dead == "ignore":
        assert weak() is None
        assert weak(1, x=2) is None
    else:
        with pytest.raises(ReferenceError):
            weak()
        with pytest.raises(ReferenceError):
            weak(1, x=2)


def test_the_error_names_who_died() -> None:
    obj: Any = own_class("Customer")()
    method = WeakCallable(obj.method)
    some: Any = deque()
    of_c = WeakCallable(some.append)
    function = own_function()
    of_function = WeakCallable(function)
    instance: Any = CallableObject()
    of_instance = WeakCallable(instance)
    del obj, some, function, instance
    gc_collect_harder()
    for weak, named in (
        (method, r"Customer|Own\.method"),
        (of_c, "deque"),
        (of_function, "function"),
        (of_instance, "CallableObject"),
    ):
        with pytest.raises(ReferenceError, match=named):
            weak()


def test_repr_before_and_after() -> None:
    obj: Any = own_class("Customer")()
    weak = WeakCallable(obj.method)
    assert "WeakCallable" in repr(weak)
    assert "Customer" in repr(weak)
    assert "method" in repr(weak)
    alive = repr(weak)
    del obj
    gc_collect_harder()
    assert "WeakCallable" in repr(weak)
    assert repr(weak) != alive
    assert "dead" in repr(weak)


@pytest.mark.c_core(reason="only there it can be seen that nobody else holds it")
@pytest.mark.skipif(PYPY or FREE_THREADED, reason="reference counts say less there")
@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: lambda: 5, "lambda"),
        (closure, "lambda"),
        (own_function, "function"),
        (CallableObject, "CallableObject"),
        (lambda: functools.partial(divmod, 5), "partial"),
    ],
)
def test_a_warning_for_what_would_die_at_once(make: Any, named: str) -> None:
    with pytest.warns(RuntimeWarning, match=named) as seen:
        weak = WeakCallable(make())
    assert len(seen) == 1
    assert seen[0].filename == __file__
    let_die()
    assert not weak.alive
    with pytest.warns(RuntimeWarning, match=named):
        weakly.weak(make())
    with no_warning():
        assert WeakCallable(make(), strong=True).alive
        assert WeakCallable(WeakCallable(make(), strong=True), strong=True).alive


@pytest.mark.c_core(reason="only there it can be seen that nobody else holds it")
@pytest.mark.skipif(PYPY or FREE_THREADED, reason="reference counts say less there")
def test_the_warning_as_an_error() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="lambda"):
            WeakCallable(lambda: 5)


def test_no_warning_for_what_somebody_holds() -> None:
    function, instance = own_function(), CallableObject()
    some = [own_function()]
    spaces = types.SimpleNamespace(function=own_function())
    with no_warning():
        held = [
            WeakCallable(function),
            WeakCallable(instance),
            WeakCallable(some[0]),
            WeakCallable(spaces.function),
            WeakCallable(len),
            WeakCallable(Object),
            WeakCallable(own_function),
            WeakCallable(Object.method),
            WeakCallable(functools.partial(instance.__call__, 5)),
        ]
        argument(function)
        fresh = own_function()
        held.append(WeakCallable(fresh))
    assert all(weak.alive for weak in held)


def argument(function: Any) -> None:
    assert WeakCallable(function).alive


# --- equality and hash


@every_case
def test_equality_and_hash_last(case: Case) -> None:
    held = [case.make()]
    callable_ = case.get(held[0])
    weak, same = WeakCallable(callable_), WeakCallable(callable_, id, if_dead="ignore")
    strong = WeakCallable(callable_, strong=True)
    others = [WeakCallable(bystander), WeakCallable(LIVING.append), WeakCallable(CALLABLE)]
    found = {weak: "found"}
    before = hash(weak)
    assert weak == same == strong
    assert (weak != same) is False
    assert hash(weak) == hash(same) == hash(strong)
    assert all(weak != other and (weak == other) is False for other in others)
    del strong, callable_
    drop(held)
    assert not weak.alive
    assert weak == same
    assert weak == weak
    assert hash(weak) == hash(same) == before
    assert found[weak] == found[same] == "found"
    assert all(weak != other for other in others)


def test_hash_asked_for_only_after_death() -> None:
    obj = Object()
    weak, same = WeakCallable(obj.method), WeakCallable(obj.method)
    del obj
    gc_collect_harder()
    assert hash(weak) == hash(same)
    assert weak == same


def test_parts_are_compared_by_identity() -> None:
    first, second = deque([1]), deque([1])
    assert first == second
    assert WeakCallable(first.append) == WeakCallable(first.append)
    assert WeakCallable(first.append) != WeakCallable(second.append)
    assert WeakCallable(first.append) != WeakCallable(first.pop)
    obj = Object()
    assert WeakCallable(obj.method) == WeakCallable(obj.method)
    assert WeakCallable(obj.method) != WeakCallable(Object().method)
    assert WeakCallable(obj.method) != WeakCallable(obj.other)
    assert WeakCallable(obj.of_class) == WeakCallable(Object.of_class)
    assert WeakCallable(obj.static) == WeakCallable(Object.static)
    partial = functools.partial(obj.method, 1)
    assert WeakCallable(partial) == WeakCallable(partial)
    assert WeakCallable(partial) != WeakCallable(functools.partial(obj.method, 1))
    assert WeakCallable(partial) != WeakCallable(obj.method)
    made = WithMadeMethods()
    assert WeakCallable(made.made) == WeakCallable(made.made)


def test_not_equal_to_anything_else() -> None:
    obj = Object()
    weak = WeakCallable(obj.method)
    assert weak.__eq__(5) is NotImplemented
    assert weak.__ne__(5) is NotImplemented
    function = own_function()
    assert WeakCallable(function) != function
    assert WeakCallable(function) != weakref.ref(function)

    class Anything:
        def __eq__(self, other: object) -> bool:
            return True

    assert weak == Anything()
    with pytest.raises(TypeError):
        weak < weak  # type: ignore[operator]  # noqa: B015  # that is the test


@counted
@pytest.mark.parametrize("what", ["method", "function", "C method", "instance", "partial"])
def test_an_address_used_again(what: str) -> None:
    """The dead one is never equal to one for who lives there now."""
    make: Callable[[], Any] = {
        "method": Object,
        "function": own_function,
        "C method": deque,
        "instance": CallableObject,
        "partial": lambda: functools.partial(divmod, 5),
    }[what]

    def weaken(held: Any) -> Any:
        if what == "method":
            return WeakCallable(held.method)
        return WeakCallable(held.append if what == "C method" else held)

    reused = 0
    for _ in range(200):
        first = make()
        dead, address = weaken(first), id(first)
        table = {dead: "dead"}
        del first
        second = make()
        live = weaken(second)
        reused += id(second) == address
        assert dead != live
        assert live not in table
        assert table[dead] == "dead"
        del second
    if not reused:
        pytest.skip("no address was used again: the memory is kept by a sanitizer, or busy")


@counted
def test_a_partial_whose_address_is_used_again() -> None:
    obj = Object()
    reused = 0
    for _ in range(200):
        partial = functools.partial(obj.method, 1)
        weak, address = WeakCallable(partial), id(partial)
        del partial
        again = functools.partial(obj.method, 1)
        reused += id(again) == address
        assert WeakCallable(again) != weak
        assert weak.alive
        del again
    if not reused:
        pytest.skip("no address was used again: the memory is kept by a sanitizer, or busy")


@counted
def test_a_function_whose_address_is_used_again() -> None:
    """The object lives, and a new function stands where the old one was."""
    own = own_class()
    obj = own()
    for _ in range(100):
        own.method = own_function()
        weak = WeakCallable(obj.method)
        del own.method
        gc.collect(0)
        own.method = own_function()
        new = WeakCallable(obj.method)
        assert new.alive
        assert weak.alive or weak != new


# --- as an object


def test_copies_are_itself() -> None:
    obj = Object()
    weak = WeakCallable(obj.method)
    assert copy.copy(weak) is weak
    assert copy.deepcopy(weak) is weak
    assert copy.deepcopy([weak])[0] is weak


@pytest.mark.parametrize("strong", [False, True])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_cannot_be_pickled(protocol: int, strong: bool) -> None:
    with pytest.raises(TypeError, match="WeakCallable"):
        pickle.dumps(WeakCallable(bystander, strong=strong), protocol)


@pytest.mark.parametrize("name", ["alive", "target", "strong"])
def test_its_attributes_are_read_only(name: str) -> None:
    weak = WeakCallable(bystander)
    with pytest.raises(AttributeError):
        setattr(weak, name, True)
    with pytest.raises(AttributeError):
        delattr(weak, name)
    with pytest.raises(AttributeError):
        weak.other = 5  # type: ignore[attr-defined]  # that is the test


def test_weakly_referenceable() -> None:
    weak: Any = WeakCallable(bystander)
    reference = weakref.ref(weak)
    assert reference() is weak
    table = weakly.WeakKeyDictionary({weak: 5})
    del weak
    let_die()
    assert reference() is None
    assert len(table) == 0


def test_subclass() -> None:
    class Named(WeakCallable[..., Any]):
        __slots__ = ("name",)
        name: str

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return (self.name, super().__call__(*args, **kwargs))

    calls: list[Any] = []
    obj = Object()
    weak: Any = Named(obj.me, calls.append)
    weak.name = "its name"
    assert weak() == ("its name", obj) or weak()[1] is obj
    assert isinstance(weak, WeakCallable)
    assert type(weak) is Named
    assert weak == WeakCallable(obj.me)
    assert hash(weak) == hash(WeakCallable(obj.me))
    again = Named(weak)
    assert type(again) is Named
    assert again == weak
    del obj
    gc_collect_harder()
    assert calls == [weak]
    assert not weak.alive

    class Plain(WeakCallable[..., Any]):
        pass

    plain: Any = Plain(bystander)
    plain.anything = plain  # a cycle
    died = weakref.ref(plain)
    del plain
    gc_collect_harder()
    assert died() is None


def test_subclass_with_its_own_constructor() -> None:
    class Logged(WeakCallable[..., Any]):
        def __new__(cls, name: str, function: Any) -> Any:
            return super().__new__(cls, function, if_dead="ignore")

        def __init__(self, name: str, function: Any) -> None:
            self.name = name

    obj = Object()
    weak: Any = Logged("this one", obj.method)
    assert weak.name == "this one"
    assert weak(1) == ("method", (1,), {})
    del obj
    let_die()
    assert weak() is None


def test_generic() -> None:
    assert WeakCallable[[int], str] is not None
    assert WeakCallable[[int], str](bystander) == WeakCallable(bystander)  # type: ignore[arg-type]  # any will do


# --- callbacks, re-entrancy, what the interpreter lets users do


def test_an_exception_of_the_callback(unraisable: list[Any]) -> None:
    def callback(weak: Any) -> None:
        raise ZeroDivisionError("of the callback")

    after: list[Any] = []
    obj = Object()
    some = [
        WeakCallable(obj.method, after.append),
        WeakCallable(obj.method, callback),
        WeakCallable(obj.method, after.append),
    ]
    del obj
    gc_collect_harder()
    assert [each.type for each in unraisable] == [ZeroDivisionError]
    assert unraisable[0].message == "of the callback"
    assert len(after) == 2
    assert not any(weak.alive for weak in some)


def test_a_callback_that_makes_another() -> None:
    made: list[Any] = []
    obj: Any = Object()
    other: Any = Object()

    def callback(died: Any) -> None:
        made.append(WeakCallable(other.method, made.append))
        made.append(WeakCallable(died, if_dead="ignore"))
        gc.collect()

    weak = WeakCallable(obj.method, callback)
    del obj
    gc_collect_harder()
    assert len(made) == 2
    assert made[0].alive
    assert made[1] == weak
    assert made[1]() is None
    other = None
    gc_collect_harder()
    assert made[2] is made[0]


def test_what_a_callback_makes_of_the_dead_is_dead() -> None:
    """Though 3.15 clears references without callbacks after it has called those of others."""
    made: list[tuple[Any, bool, Any]] = []

    def callback(died: Any) -> None:
        copied = WeakCallable(died, if_dead="ignore")
        made.append((copied, copied.alive, copied()))

    obj: Any = Object()
    obj.other = obj
    weak = WeakCallable(obj.method, callback)
    del obj
    gc_collect_harder()
    assert made == [(weak, False, None)]


def test_the_target_dies_during_its_call() -> None:
    held: list[Any] = []

    class Suicidal:
        def method(self) -> Any:
            held.clear()
            gc.collect()
            return type(self).__name__

    held.append(Suicidal())
    weak = WeakCallable(held[0].method)
    assert weak() == "Suicidal"
    let_die()
    assert not weak.alive


def test_the_weak_callable_goes_during_its_call() -> None:
    held: list[Any] = []

    def function(x: int) -> int:
        held.clear()
        gc.collect()
        return x

    held.append(WeakCallable(function))
    assert held[0](5) == 5


@methods_of_c
def test_a_name_that_is_looked_up_with_side_effects() -> None:
    """Methods of C types are called by name: what the look-up raises comes through."""

    class Fickle(deque[Any]):
        def __getattribute__(self, name: str) -> Any:
            if name == "append" and fails:
                raise ZeroDivisionError
            return super().__getattribute__(name)

    fails: list[int] = []
    some = Fickle()
    weak = WeakCallable(some.append)
    weak(5)
    fails.append(1)
    with pytest.raises(ZeroDivisionError):
        weak(6)
    fails.clear()
    weak(7)
    assert list(some) == [5, 7]


@every_case
def test_callbacks_called_by_hand(case: Case) -> None:
    """Somebody calls the callbacks of the references while the target lives."""
    calls: list[Any] = []
    held = [case.make()]
    callable_ = case.get(held[0])
    weak = WeakCallable(callable_, calls.append)
    references = weakref.getweakrefs(held[0]) + weakref.getweakrefs(callable_)
    function = getattr(callable_, "__func__", None)
    if isinstance(function, types.FunctionType):
        references += weakref.getweakrefs(function)
    for reference in references:
        callback = getattr(reference, "__callback__", None)
        if callback is not None:
            callback(reference)
    assert calls == []
    assert weak.alive
    del callable_, function
    drop(held)
    assert calls == [weak]
    for reference in references:
        callback = getattr(reference, "__callback__", None)
        if callback is not None:  # which others may still hold
            callback(reference)
    assert calls == [weak]
    del weak
    let_die()


@every_case
def test_references_that_outlive_the_weak_callable(case: Case) -> None:
    held = [case.make()]
    callable_ = case.get(held[0])
    weak = WeakCallable(callable_, id)
    references = weakref.getweakrefs(held[0])
    callbacks = [getattr(each, "__callback__", None) for each in references]
    del weak
    let_die()
    for callback, reference in zip(callbacks, references, strict=True):
        if callback is not None:
            callback(reference)
    del callable_
    drop(held)
    for callback, reference in zip(callbacks, references, strict=True):
        if callback is not None:
            callback(reference)


def test_many_of_one_object() -> None:
    obj = Object()
    calls: list[Any] = []
    some = [WeakCallable(obj.method, calls.append) for _ in range(1000)]
    assert len(set(some)) == 1
    del some[::2]
    let_die()
    del obj
    gc_collect_harder()
    assert len(calls) == len(some) == 500
    assert {id(weak) for weak in calls} == {id(weak) for weak in some}


# --- threads


def test_calls_from_threads_while_it_dies() -> None:
    for _ in range(REPEATS // 2):
        held = [Object()]
        calls: list[Any] = []
        weak = WeakCallable(held[0].other, calls.append)
        quiet = WeakCallable(held[0].other, if_dead="ignore")

        def call(weak: Any = weak, quiet: Any = quiet) -> Any:
            results = []
            for _ in range(50):
                try:
                    results.append(weak())
                except ReferenceError:
                    results.append("dead")
                results.append(quiet())
            return results

        def die(held: list[Any] = held) -> Any:
            held.clear()
            gc_collect_harder()
            return []

        results = run_all(call, call, call, die, call, call, call, call)
        for result in results:
            assert isinstance(result, list), result
            assert set(result) <= {"other", "dead", None}
        gc_collect_harder()
        assert calls == [weak]


# --- WeakMethod of methods of C types (CPython issue 72052)


@pytest.mark.parametrize("make", [Deque, deque, set, lambda: array.array("i")])
def test_weak_method_of_a_c_type(make: Any) -> None:
    calls: list[Any] = []
    obj = make()
    name = "add" if isinstance(obj, set) else "append"
    reference: Any = WeakMethod(getattr(obj, name), calls.append)
    assert isinstance(reference, weakref.ref)
    assert reference() == getattr(obj, name)
    reference()(5)
    assert list(obj) == [5]
    assert reference().__self__ is obj
    assert calls == []
    del obj
    let_die()
    assert reference() is None
    assert calls == [reference]


def test_weak_methods_of_c_types_compared() -> None:
    first, second = Deque(), Deque([1])
    assert WeakMethod(first.append) == WeakMethod(first.append)
    assert hash(WeakMethod(first.append)) == hash(WeakMethod(first.append))
    assert WeakMethod(first.append) != WeakMethod(first.pop)
    assert WeakMethod(first.append) != WeakMethod(second.append)
    dead, also = WeakMethod(first.append), WeakMethod(first.append)
    del first
    let_die()
    assert dead() is None
    assert dead == dead
    assert dead != also


def test_weak_method_of_a_method_wrapper() -> None:
    own = own_class()
    obj = own()
    reference: Any = WeakMethod(obj.__repr__)
    assert reference()() == repr(obj)
    del obj
    let_die()
    assert reference() is None


@pytest.mark.parametrize(
    "what",
    [
        len,
        bystander,
        CALLABLE,
        Object,
        5,
        None,
        [].append,
        functools.partial(len),
        functools.partial(Deque().append, 1),
    ],
)
def test_what_weak_method_still_refuses(what: Any) -> None:
    with pytest.raises(TypeError):
        WeakMethod(what)


# --- failing allocations

NO_MEMORY = """
import faulthandler, functools, gc, sys, types
faulthandler.enable()
from collections import deque
from weakly import WeakCallable, WeakMethod
from _testcapi import set_nomemory, remove_mem_hooks

length = int(sys.argv[1])
gc.disable()

class Object:
    def method(self, *args, **kwargs):
        return 5

class Own:
    def __call__(self, *args):
        return 5

def function(*args, **kwargs):
    return 5

def make():
    return types.SimpleNamespace(obj=Object(), some=deque(), own=Own())

def dies(s):
    s.weak = WeakCallable(s.obj.method, id)
    s.obj = None

operations = [
    lambda s: WeakCallable(s.obj.method),
    lambda s: WeakCallable(s.obj.method, id, if_dead="ignore"),
    lambda s: WeakCallable(types.MethodType(lambda self: 5, s.obj), id),
    lambda s: WeakCallable(s.some.append, id),
    lambda s: WeakCallable(functools.partial(s.obj.method, 1, x=2), id),
    lambda s: WeakCallable(s.own, id),
    lambda s: WeakCallable(function)(1, x=2),
    lambda s: WeakCallable(s.obj.method)(1, x=2),
    lambda s: WeakCallable(s.some.append)(1),
    lambda s: WeakCallable(functools.partial(s.obj.method, 1, x=2))(1, x=3),
    lambda s: WeakCallable(s.obj.method, strong=True).target,
    lambda s: WeakCallable(s.obj.method).target,
    lambda s: WeakCallable(functools.partial(s.obj.method, 1, x=2)).target,
    lambda s: WeakCallable(s.obj.method) == WeakCallable(s.obj.method),
    lambda s: hash(WeakCallable(WeakCallable(s.obj.method))),
    lambda s: repr(WeakCallable(s.obj.method)),
    dies,
]

failures = 0
for operation in operations:
    for at in range(1, 300):
        scene = make()
        failed = False
        set_nomemory(at, at + length if length else 0)
        try:
            operation(scene)
        except MemoryError:
            failed = True
        finally:
            remove_mem_hooks()
        failures += failed
        del scene
        if not failed:
            break
    else:
        raise SystemExit("never succeeded")
print(failures)
"""


@pytest.mark.c_core(reason="Python code may be torn anywhere by a failing allocation")
@failing_allocations
def test_every_allocation_can_fail(length: int) -> None:
    """MemoryError or success, and no crash."""
    assert count_failures(NO_MEMORY, length) > 20
