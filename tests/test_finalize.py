"""`finalize`: what it promises while the program runs and when it exits."""

from __future__ import annotations

import contextlib
import gc
import sys
import weakref
from typing import Any

import pytest
from support import (
    COUNTS_REFERENCES,
    PYPY,
    Member,
    check_runs,
    gc_collect_harder,
    let_die,
    run_python,
)

from weakly import finalize


@pytest.fixture
def calls() -> list[Any]:
    return []


def add(*arguments: Any, **named: Any) -> Any:
    """Adds the sum of its numbers to a list and returns it."""
    target, *numbers = arguments
    total = sum(numbers) + sum(named.values())
    target.append(total)
    return total


# --- alive, call, detach, peek


def test_fires_when_its_object_dies(calls: list[Any]) -> None:
    member = Member(1)
    f = finalize(member, add, calls, 1, 2, x=4)
    assert f.alive
    assert f.atexit
    del member
    let_die()
    assert calls == [7]
    assert not f.alive
    assert not f.atexit
    assert f() is None
    assert f.peek() is None
    assert f.detach() is None
    assert calls == [7]


def test_call_runs_it_once_and_returns_its_result(calls: list[Any]) -> None:
    member = Member(1)
    f = finalize(member, add, calls, 1, 2, x=4)
    assert f() == 7
    assert f() is None
    assert not f.alive
    del member
    let_die()
    assert calls == [7]


def test_call_takes_one_argument_that_is_ignored(calls: list[Any]) -> None:
    """It is its own reference's callback in the stdlib."""
    member = Member(1)
    assert finalize(member, add, calls, 1)(None) == 1
    assert finalize(member, add, calls, 2)(_=weakref.ref(member)) == 2
    for arguments in ((1, 2), (1, 2, 3)):
        with pytest.raises(TypeError):
            finalize(member, add, calls, 3)(*arguments)
    for f in list(finalize._registry):
        if f.peek()[0] is member:
            f.detach()


def test_detach(calls: list[Any]) -> None:
    member = Member(1)
    f = finalize(member, add, calls, 1, x=2)
    assert f.detach() == (member, add, (calls, 1), {"x": 2})
    assert not f.alive
    assert f.detach() is None
    assert f() is None
    del member
    let_die()
    assert calls == []


def test_peek(calls: list[Any]) -> None:
    member = Member(1)
    f = finalize(member, add, calls, 1)
    for _ in range(3):
        obj, func, args, kwargs = f.peek()
        assert obj is member
        assert func is add
        assert args == (calls, 1)
        assert args[0] is calls
        assert kwargs == {}
        assert type(kwargs) is dict
        assert type(args) is tuple
    kwargs["x"] = 100  # a copy or not, the caller cannot break it
    assert f.alive
    del obj
    f.detach()


def test_keywords_are_passed(calls: list[Any]) -> None:
    member = Member(1)
    f = finalize(member, add, calls, a=1, b=2)
    assert f.peek()[3] == {"a": 1, "b": 2}
    assert f() == 3


def test_keywords_named_like_the_parameters(calls: list[Any]) -> None:
    def func(**named: Any) -> Any:
        return named

    member = Member(1)
    f = finalize(member, func, obj=1, func=2, self=3, callback=4, _=5)
    assert f() == {"obj": 1, "func": 2, "self": 3, "callback": 4, "_": 5}


@pytest.mark.parametrize("arguments", [(), (Member,)])
def test_wrong_argument_count(arguments: Any) -> None:
    with pytest.raises(TypeError):
        finalize(*arguments)
    with pytest.raises(TypeError):
        finalize(*arguments, obj=Member(1), func=len)


@pytest.mark.parametrize("wrong", [5, "x", None, (), [], {}, object()])
def test_object_that_cannot_be_referenced(wrong: Any) -> None:
    before = len(finalize._registry)
    with pytest.raises(TypeError, match=f"'{type(wrong).__name__}'"):
        finalize(wrong, print)
    assert len(finalize._registry) == before


def test_unhashable_object() -> None:
    class Own(set):  # type: ignore[type-arg]
        pass

    own = Own()
    f = finalize(own, len, "abc")
    assert f() == 3


def test_many_for_one_object(calls: list[Any]) -> None:
    member = Member(1)
    some = [finalize(member, calls.append, n) for n in range(10)]
    some[3].detach()
    some[5]()
    del member
    let_die()
    assert sorted(calls) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert not any(f.alive for f in some)


def test_kept_alive_by_nobody_but_the_registry(calls: list[Any]) -> None:
    member = Member(1)
    finalize(member, calls.append, 1)
    gc_collect_harder()
    assert calls == []
    del member
    let_die()
    assert calls == [1]


def test_keeps_function_and_arguments_alive_until_it_has_run() -> None:
    class Function:
        def __call__(self, argument: Any) -> None:
            pass

    for end in ("death", "call", "detach"):
        member, argument, function = Member(1), Member(2), Function()
        watches = weakref.ref(argument), weakref.ref(function)
        f = finalize(member, function, argument)
        del argument, function
        gc_collect_harder()
        assert watches[0]() is not None
        assert watches[1]() is not None
        if end == "death":
            del member
        elif end == "call":
            f()
        else:
            f.detach()
        let_die()
        assert watches[0]() is watches[1]() is None


def test_does_not_keep_its_object_alive(calls: list[Any]) -> None:
    member = Member(1)
    watch = weakref.ref(member)
    f = finalize(member, calls.append, 1)
    f.peek()
    repr(f)
    del member
    let_die()
    assert watch() is None


# --- atexit and repr


def test_atexit_can_be_set() -> None:
    member = Member(1)
    f = finalize(member, int)
    for value, expected in ((False, False), (True, True), (0, False), ("yes", True)):
        f.atexit = value
        assert f.atexit is expected
    f.atexit = False
    f.detach()
    assert f.atexit is False
    f.atexit = True
    assert f.atexit is False  # it is dead


def test_repr() -> None:
    member = Member(1)
    f = finalize(member, int)
    assert repr(f).startswith("<finalize object at 0x")
    assert f"for 'Member' at {id(member):#x}>" in repr(f)
    f.detach()
    assert repr(f).startswith("<finalize object at 0x")
    assert repr(f).endswith("; dead>")


def test_repr_like_the_stdlib() -> None:
    member = Member(1)
    ours, theirs = finalize(member, int), weakref.finalize(member, int)
    for _ in range(2):
        shown = repr(ours).replace(f"{id(ours):#x}", "X")
        assert shown == repr(theirs).replace(f"{id(theirs):#x}", "X")
        ours.detach()
        theirs.detach()


def test_compared_by_identity(calls: list[Any]) -> None:
    member = Member(1)
    a, b = finalize(member, int), finalize(member, int)
    assert a != b
    assert len({a, b, a}) == 2
    a.detach()
    b.detach()


# --- the registry


def test_registry_maps_finalizers_to_their_contents() -> None:
    before = len(finalize._registry)
    member = Member(1)
    f = finalize(member, add, 1, x=2)
    info = finalize._registry[f]
    assert info.weakref() is member
    assert info.func is add
    assert info.args == (1,)
    assert info.kwargs == {"x": 2}
    assert info.atexit is True
    assert f in finalize._registry
    assert len(finalize._registry) == before + 1
    g = finalize(member, int)
    order = [each for each in finalize._registry if each in (f, g)]
    assert order == [f, g]
    assert finalize._registry[g].index > info.index
    f.detach()
    g.detach()
    assert f not in finalize._registry
    assert len(finalize._registry) == before


# --- subclasses, cycles, exceptions, re-entrance


def test_subclass_with_attributes(calls: list[Any]) -> None:
    class Tagged(finalize):
        def __init__(self, obj: Any, tag: str, /, *args: Any) -> None:
            super().__init__(obj, *args)
            self.tag = tag

        def __call__(self, _: Any = None) -> Any:
            calls.append(("called", self.tag))
            return super().__call__(_)

    member = Member(1)
    f = Tagged(member, "tag", calls.append, 1)
    assert f.tag == "tag"
    assert "Tagged" in repr(f)
    assert f.alive
    f()
    assert calls == [("called", "tag"), 1]
    g = Tagged(member, "tag", int)
    assert g.detach()[0] is member


def test_subclass_whose_call_is_overridden_hears_of_the_death(calls: list[Any]) -> None:
    """The finalizer itself is the callback in the stdlib."""

    class Loud(finalize):
        def __call__(self, _: Any = None) -> Any:
            calls.append("loud")
            return super().__call__(_)

    member = Member(1)
    Loud(member, calls.append, "function")
    del member
    let_die()
    assert calls == ["loud", "function"]


def test_a_cycle_through_the_function_is_collected_with_its_object(calls: list[Any]) -> None:
    member = Member(1)
    argument: list[Any] = [calls]
    argument.append(argument)
    finalize(member, lambda a: a[0].append("called"), argument)
    member.other = member
    del member, argument
    gc_collect_harder()
    assert calls == ["called"]


def test_object_in_a_garbage_cycle(calls: list[Any]) -> None:
    for n in range(20):
        one, other = Member(n), Member(n)
        one.other, other.other = other, one
        finalize(one, calls.append, ("one", n))
        finalize(other, calls.append, ("other", n))
    del one, other
    gc_collect_harder()
    assert sorted(calls) == sorted((which, n) for n in range(20) for which in ("one", "other"))


def test_finalizer_referred_to_by_its_object(calls: list[Any]) -> None:
    """The usual way to keep it: self._finalizer = finalize(self, ...)."""
    member = Member(1)
    member.other = finalize(member, calls.append, 1)
    del member
    gc_collect_harder()
    assert calls == [1]
    member = Member(2)
    member.other = (member, finalize(member, calls.append, 2))
    del member
    gc_collect_harder()
    assert calls == [1, 2]


def test_argument_that_refers_to_the_object_keeps_it(calls: list[Any]) -> None:
    member = Member(1)
    watch = weakref.ref(member)
    f = finalize(member, calls.append, member)
    del member
    gc_collect_harder()
    assert watch() is not None
    f.detach()
    gc_collect_harder()
    assert watch() is None
    assert calls == []


def test_resurrected_object(calls: list[Any]) -> None:
    saved: list[Any] = []

    class Phoenix(Member):
        def __del__(self) -> None:
            saved.append(self)

    phoenix = Phoenix(1)
    f = finalize(phoenix, calls.append, 1)
    del phoenix
    let_die()
    assert len(saved) == 1
    if f.alive:  # as on CPython, where a plain death asks __del__ first
        assert f.peek()[0] is saved[0]
        assert calls == []
    saved.clear()
    gc_collect_harder()
    saved.clear()
    gc_collect_harder()
    assert calls == [1]


def test_exception_in_the_function_goes_to_unraisablehook(
    calls: list[Any], unraisable: list[Any]
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("in a finalizer")

    member = Member(1)
    finalize(member, calls.append, 1)
    f = finalize(member, fail)
    finalize(member, calls.append, 2)
    del member
    let_die()
    assert sorted(calls) == [1, 2]
    assert [(each.type, each.message) for each in unraisable] == [
        (ZeroDivisionError, "in a finalizer")
    ]
    assert not f.alive


def test_exception_of_a_call_comes_out() -> None:
    member = Member(1)
    f = finalize(member, divmod, 1, 0)
    with pytest.raises(ZeroDivisionError):
        f()
    assert not f.alive
    assert f() is None


def test_function_that_uses_its_own_finalizer(calls: list[Any]) -> None:
    member = Member(1)
    box: list[Any] = []

    def func() -> str:
        f = box[0]
        calls.append((f.alive, f(), f.detach(), f.peek(), f.atexit))
        f.atexit = True
        repr(f)
        return "result"

    box.append(finalize(member, func))
    assert box[0]() == "result"
    box.append(finalize(member, func))
    del box[0]
    del member
    let_die()
    assert calls == [(False, None, None, None, False)] * 2


def test_functions_that_make_and_drop_finalizers(calls: list[Any]) -> None:
    others = [Member(n) for n in range(100)]
    some = [finalize(other, calls.append, other.label) for other in others]

    def func() -> None:
        others.clear()
        let_die()
        for n in range(100, 200):
            others.append(Member(n))
            some.append(finalize(others[-1], calls.append, n))

    member = Member(1)
    finalize(member, func)
    del member
    let_die()
    assert sorted(calls) == list(range(100))
    others.clear()
    let_die()
    assert sorted(calls) == list(range(200))
    assert not any(f.alive for f in some)


def test_arguments_whose_del_uses_the_registry(calls: list[Any]) -> None:
    class Argument(Member):
        def __del__(self) -> None:
            calls.append(len(finalize._registry))
            other = Member("other")
            finalize(other, calls.append, "nested").detach()

    before = len(finalize._registry)
    member = Member(1)
    for end in ("detach", "call"):
        f = finalize(member, lambda *_: None, Argument(1))
        getattr(f, end if end == "detach" else "__call__")()
        let_die()
    assert calls == [before, before]


def test_initialised_again_is_one_finalizer(calls: list[Any]) -> None:
    """Nobody should; it must not crash, leak or fire for the first object too often."""
    one, two = Member(1), Member(2)
    f = finalize(one, calls.append, 1)
    with contextlib.suppress(TypeError, RuntimeError):
        f.__init__(two, calls.append, 2)  # type: ignore[misc]
    del one, two
    let_die()
    assert len(calls) <= 2
    assert not f.alive


def test_made_without_init() -> None:
    f = finalize.__new__(finalize)
    assert not f.alive
    assert f() is None
    assert f.peek() is None
    assert f.detach() is None
    assert f.atexit is False
    assert "dead" in repr(f)


def test_the_collector_in_the_middle(calls: list[Any]) -> None:
    if not PYPY:
        gc.set_threshold(1, 1, 1)
    for n in range(200):
        member = Member(n)
        member.other = member
        finalize(member, calls.append, n)
    del member
    gc_collect_harder()
    assert sorted(calls) == list(range(200))


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="there are no reference counts to compare")
def test_a_hundred_thousand_leave_nothing() -> None:
    def make(count: int) -> None:
        member = Member(1)
        for _ in range(count):
            finalize(member, int).detach()
        for _ in range(count):
            finalize(Member(2), int)
        for _ in range(count):
            finalize(member, int)()

    make(1000)
    gc_collect_harder()
    registered = len(finalize._registry)
    before = sys.getallocatedblocks()
    make(100_000)
    gc_collect_harder()
    assert len(finalize._registry) == registered
    # A leak would be a hundred thousand; the pools of other caches may move by some.
    assert sys.getallocatedblocks() - before < 1000


# --- at exit

PRELUDE = """
import sys, weakly
from weakly import finalize
class Thing: pass
thing = Thing()
"""


def at_exit(code: str) -> list[str]:
    return check_runs(PRELUDE + code).split()


def test_exit_order_is_newest_first() -> None:
    code = """
a = finalize(thing, print, 1)
b = finalize(thing, print, 2)
c = finalize(thing, print, 3)
d = finalize(thing, print, 4)
b.atexit = False
d.detach()
print("end")
"""
    assert at_exit(code) == ["end", "3", "1"]


def test_exit_runs_what_is_created_meanwhile() -> None:
    code = """
def make(n):
    print("make", n)
    if n:
        finalize(thing, make, n - 1)
finalize(thing, print, "first")
finalize(thing, make, 2)
"""
    assert at_exit(code) == ["make", "2", "make", "1", "make", "0", "first"]


def test_exit_with_the_collector_off_and_on_again() -> None:
    code = """
import gc
def look():
    print(gc.isenabled())
finalize(thing, look)
import atexit
atexit.register(lambda: None)
"""
    assert at_exit(code) == ["False"]


def test_exit_prints_exceptions_and_goes_on() -> None:
    code = """
finalize(thing, print, "last")
finalize(thing, divmod, 1, 0)
finalize(thing, print, "first")
"""
    result = run_python(PRELUDE + code)
    assert result.stdout.split() == ["first", "last"]
    assert "ZeroDivisionError" in result.stderr
    assert "Traceback" in result.stderr
    assert result.returncode == 0


def test_exit_uses_excepthook() -> None:
    code = """
sys.excepthook = lambda kind, value, trace: print("hook", kind.__name__)
finalize(thing, divmod, 1, 0)
"""
    assert at_exit(code) == ["hook", "ZeroDivisionError"]


def test_exit_before_atexit_functions_registered_earlier() -> None:
    code = """
import atexit
atexit.register(print, "registered before the first finalizer")
finalize(thing, print, "finalizer")
atexit.register(print, "registered after")
"""
    assert check_runs(PRELUDE + code).splitlines() == [
        "registered after",
        "finalizer",
        "registered before the first finalizer",
    ]


def test_nothing_runs_after_the_exit_functions() -> None:
    """What dies while the interpreter takes itself apart is not called back."""
    code = """
f = finalize(thing, print, "not at exit")
f.atexit = False
import atexit
class Late:
    def __del__(self):
        finalize(self, print, "made late")
late = Late()
print("end")
"""
    assert at_exit(code) == ["end"]


def test_exit_of_a_thing_that_dies_in_another_finalizer() -> None:
    code = """
other = Thing()
finalize(other, print, "other")
def kill():
    global other
    print("kill")
    del other
    import gc; gc.collect()
finalize(thing, kill)
"""
    assert at_exit(code) == ["kill", "other"]


def test_exit_with_a_system_exit_inside() -> None:
    """SystemExit is no Exception: it ends the exit functions, as with the stdlib's."""
    code = """
finalize(thing, print, "older")
finalize(thing, sys.exit, 3)
"""
    ours = run_python(PRELUDE + code)
    theirs = run_python(PRELUDE.replace("from weakly", "from weakref") + code)
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)


def test_exit_by_an_exception_and_by_os_exit() -> None:
    result = run_python(PRELUDE + 'finalize(thing, print, "ran")\n1 / 0\n')
    assert result.stdout.split() == ["ran"]
    assert result.returncode == 1
    result = run_python(
        PRELUDE + 'import os\nfinalize(thing, print, "ran", flush=True)\nos._exit(5)\n'
    )
    assert (result.stdout, result.returncode) == ("", 5)


def test_exit_with_a_subclass() -> None:
    code = """
class Mine(finalize):
    pass
Mine(thing, print, "subclass")
finalize(thing, print, "base")
"""
    assert at_exit(code) == ["base", "subclass"]


def test_exit_next_to_the_stdlibs() -> None:
    code = """
import weakref
weakref.finalize(thing, print, "theirs")
finalize(thing, print, "ours")
"""
    assert sorted(at_exit(code)) == ["ours", "theirs"]
