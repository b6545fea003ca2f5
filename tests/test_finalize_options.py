"""The options of `finalize`: check, executor, loop and in_child."""

from __future__ import annotations

import asyncio
import functools
import threading
import warnings
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import (
    FREE_THREADED,
    PYPY,
    TIMEOUT,
    Member,
    check_runs,
    collect_until,
    forks_with_threads,
    gc_collect_harder,
    let_die,
    members,
    run_all,
    run_python,
    wait_until,
)

import weakly.finalization
from weakly import finalize


@pytest.fixture
def calls() -> list[Any]:
    return []


class Direct:
    """An executor that is no executor: it calls at once, where it is told to."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def submit(self, function: Callable[[], object]) -> None:
        self.threads.append(threading.current_thread())
        function()


# --- which keywords are options


def keywords(**kwargs: Any) -> Any:
    return kwargs


def one_of_them(loop: Any = None) -> Any:
    return {"loop": loop}


def keyword_only(*, executor: Any = None, check: Any = 1) -> Any:
    return {"executor": executor, "check": check}


class Odd:
    """Has no signature that anybody could make sense of."""

    __signature__ = "odd"

    def __call__(self, **kwargs: Any) -> Any:
        return kwargs


class Method:
    def close(self, in_child: Any) -> Any:
        return {"in_child": in_child}


@pytest.mark.parametrize(
    ("function", "own"),
    [
        (keywords, {"check": 1, "executor": 2, "loop": 3, "in_child": 4}),
        (Odd(), {"check": 1, "executor": 2, "loop": 3, "in_child": 4}),
        (one_of_them, {"loop": 5}),
        (keyword_only, {"executor": 6, "check": 7}),
        (functools.partial(keywords, loop=1), {"loop": 2, "check": 3}),
        (Method().close, {"in_child": 8}),
    ],
)
def test_what_the_function_takes_is_no_option(function: Any, own: Any) -> None:
    member = Member(1)
    finalizer = finalize(member, function, **own)
    assert finalizer.peek()[3] == own  # type: ignore[index]  # it is alive
    assert finalizer.in_child
    assert finalizer() == own


def test_the_others_are(calls: list[Any]) -> None:
    member = Member(1)
    finalizer = finalize(member, one_of_them, loop=5, in_child=False)
    assert finalizer.peek()[3] == {"loop": 5}  # type: ignore[index]  # it is alive
    assert not finalizer.in_child
    assert finalizer() == {"loop": 5}

    def positional(check: int, /) -> int:
        return check

    finalizer = finalize(member, positional, 3, check=False)
    assert finalizer() == 3


def test_the_functions_keywords_are_passed_beside_options(calls: list[Any]) -> None:
    def function(one: int, *, two: int) -> None:
        calls.append((one, two))

    finalize(Member(1), function, 1, two=2, executor=Direct(), check=True)
    let_die()
    wait_until(lambda: calls == [(1, 2)])


def test_wrong_options() -> None:
    before = len(finalize._registry)
    member = Member(1)
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(TypeError, match="not both"):
        finalize(member, print, executor=Direct(), loop=loop)
    with pytest.raises(AttributeError, match="submit"):
        finalize(member, print, executor=5)
    with pytest.raises(AttributeError, match="call_soon_threadsafe"):
        finalize(member, print, loop=5)
    with pytest.raises(TypeError, match="unexpected keyword"):
        finalize(member, keyword_only, other=1, check=2)()
    assert len(finalize._registry) == before


def test_a_subclass_with_options(calls: list[Any]) -> None:
    class Mine(finalize[..., Any]):
        __slots__ = ("name",)

        def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.name = name

    finalizer = Mine("mine", Member(1), calls.append, 1, executor=Direct())
    let_die()
    wait_until(lambda: calls == [1])
    assert finalizer.name == "mine"
    assert not finalizer.alive


def test_initialised_again_with_options() -> None:
    member = Member(1)
    finalizer = finalize(member, print, in_child=False)
    with pytest.raises(TypeError, match="again"):
        finalizer.__init__(member, print, check=True)  # type: ignore[misc]
    assert finalizer.detach() == (member, print, (), {})


# --- in_child


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, True),
        ({"in_child": True}, True),
        ({"in_child": False}, False),
        ({"check": True}, False),
        ({"check": False}, False),
        ({"executor": None}, False),
        ({"loop": None}, False),
        ({"executor": Direct(), "in_child": True}, True),
        ({"check": True, "in_child": 1}, True),
    ],
)
def test_in_child_by_default(options: Any, expected: bool) -> None:
    member = Member(1)
    finalizer = finalize(member, len if "loop" in options else one_of_them, **options)
    assert finalizer.in_child is expected
    finalizer.in_child = not expected
    assert finalizer.in_child is not expected
    finalizer.detach()


FORK = """
import asyncio, gc, os, threading, time, warnings
from concurrent.futures import ThreadPoolExecutor
from weakly import finalize
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside a thread
class Thing: pass
def say(*words):  # in one piece, whoever else says something
    os.write(1, " ".join(map(str, ("child" if child else "parent", *words))).encode() + b"\\n")
child = False
def fork():
    global child
    pid = os.fork()
    if pid:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    else:
        child = True
things = [Thing() for _ in range(5)]
"""


def run_forking(code: str) -> list[str]:
    return check_runs(FORK + code, timeout=TIMEOUT).splitlines()


@forks_with_threads
def test_fork() -> None:
    code = """
plain = finalize(things[0], say, "plain")
kept = finalize(things[1], say, "kept", in_child=True, check=True)
dropped = finalize(things[2], say, "dropped", in_child=False)
checked = finalize(things[3], say, "checked", check=True)
changed = finalize(things[4], say, "changed")
changed.in_child = False
fork()
say(*[each.alive for each in (plain, kept, dropped, checked, changed)])
if child:
    things.clear()
    gc.collect()
    new = Thing()
    finalize(new, say, "new", in_child=False)
"""
    output = run_forking(code)
    assert sorted(output[1:3]) == ["child kept", "child plain"]  # they died together
    del output[1:3]
    assert output == [
        "child True True False False False",
        "child new",
        "parent True True True True True",
        "parent changed",
        "parent checked",
        "parent dropped",
        "parent kept",
        "parent plain",
    ]


@forks_with_threads
def test_fork_with_calls_on_their_way() -> None:
    """Those of the parent are made by the parent; the child has a thread of its own."""
    code = """
begun, go_on = threading.Event(), threading.Event()
class Slow:
    def submit(self, function):
        begun.set()
        go_on.wait()
        function()
class Direct:
    def submit(self, function):
        function()
def slow():
    finalize(Thing(), say, "handed over", executor=Slow())
    gc.collect()
slow()
begun.wait()
done = threading.Event()
things[0] = Thing()
finalize(things[0], done.set, executor=Direct(), in_child=True)
fork()
if not child:
    go_on.set()
things[0] = None
gc.collect()
assert done.wait(60)
say("end")
"""
    assert sorted(run_forking(code)) == ["child end", "parent end", "parent handed over"]


# --- check


class Holder:
    def __init__(self, held: Any) -> None:
        self.held = held

    def method(self) -> None:
        pass

    def __call__(self) -> None:
        pass


class Slotted:
    __slots__ = ("_Slotted__private", "__dict__", "held", "unset")

    def __init__(self, held: Any, private: Any) -> None:
        self.held = held
        self.__private = private


class Fields(dict[Any, Any]):
    pass


def closure(obj: Any) -> Any:
    return lambda: obj


def default(obj: Any) -> Any:
    def function(obj: Any = obj) -> Any:
        return obj

    return function


def keyword_default(obj: Any) -> Any:
    def function(*, obj: Any = obj) -> Any:
        return obj

    return function


def attribute(obj: Any) -> Any:
    def function() -> None:
        pass

    function.obj = obj  # type: ignore[attr-defined]  # functions take any
    return function


WAYS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda obj: obj,
    "instance": Holder,
    "bound method": lambda obj: Holder(obj).method,
    "slot": lambda obj: Slotted(obj, None),
    "private slot": lambda obj: Slotted(None, obj),
    "namespace": lambda obj: SimpleNamespace(obj=obj),
    "closure": closure,
    "default": default,
    "keyword default": keyword_default,
    "attribute of a function": attribute,
    "partial": lambda obj: functools.partial(print, obj),
    "keyword of a partial": lambda obj: functools.partial(print, end=obj),
    "function of a partial": lambda obj: functools.partial(closure(obj)),
    "method of a list": lambda obj: [1, obj].append,
    "method wrapper": lambda obj: [obj].__len__,
    "list": lambda obj: [1, obj],
    "tuple": lambda obj: ("x", (None, obj)),
    "deque": lambda obj: deque([1, 2, obj]),
    "set": lambda obj: {obj},
    "frozenset": lambda obj: frozenset({obj, 1}),
    "value": lambda obj: {"x": 1, "key": obj},
    "value of an odd key": lambda obj: {(1, 2): obj},
    "key": lambda obj: {1: 2, obj: 3},
    "dictionary": lambda obj: Fields(x=OrderedDict(y=defaultdict(list, {1: [obj]}))),
    "deep": lambda obj: functools.reduce(lambda inner, _: [inner], range(300), obj),
}


def reaching(obj: Any, function: Any, *args: Any, **kwargs: Any) -> list[str]:
    """The warnings of a check, which must not have kept it from being registered."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        finalizer = finalize(obj, function, *args, check=True, **kwargs)
    assert finalizer.alive
    finalizer.detach()
    assert all(each.category is RuntimeWarning for each in caught)
    assert all(each.filename == __file__ for each in caught)
    return [str(each.message) for each in caught]


def path_in(message: str, func: Any, args: Any, kwargs: Any) -> Any:
    """What the expression in a warning stands for."""
    _, _, rest = message.partition(": ")
    path, found, _ = rest.partition(" is obj, ")
    assert found
    return eval(path, {"func": func, "args": args, "kwargs": kwargs})


@pytest.mark.parametrize("way", WAYS)
def test_check_finds(way: str) -> None:
    member = Member(1)
    holder = WAYS[way](member)
    (message,) = reaching(member, print, 0, holder)
    assert "'Member'" in message
    assert path_in(message, print, (0, holder), {}) is member
    (message,) = reaching(member, keyword_only_x, x=holder)
    assert path_in(message, None, (), {"x": holder}) is member
    if callable(holder):
        (message,) = reaching(member, holder)
        assert path_in(message, holder, (), {}) is member


def keyword_only_x(*, x: Any) -> None:
    pass


def test_check_of_a_class() -> None:
    class Local:
        pass

    (message,) = reaching(Local, print, [Local])
    assert path_in(message, print, ([Local],), {}) is Local


def test_check_of_the_objects_own_method() -> None:
    holder = Holder(None)
    (message,) = reaching(holder, holder.method)
    assert "func.__self__ is obj" in message
    (message,) = reaching(holder, print, holder.__dict__, holder)
    assert "args[1] is obj" in message


@pytest.mark.parametrize("way", WAYS)
def test_check_finds_nothing_where_there_is_nothing(way: str) -> None:
    member, other = Member(1), Member(2)
    holder = WAYS[way](other)
    assert reaching(member, print, holder, weakref.ref(member), 1, None) == []
    assert reaching(member, print, weakly.WeakIdKeyDictionary({member: 1}), holder) == []


def test_check_goes_through_no_module_nor_globals() -> None:
    member = globals()["kept"] = Member(1)
    try:
        assert reaching(member, test_check_finds, weakly, print, Member) == []
    finally:
        del globals()["kept"]


def test_check_of_cycles_and_of_much_ends() -> None:
    member = Member(1)
    cycle: list[Any] = []
    cycle.append([cycle, {"x": cycle}])
    assert reaching(member, print, cycle) == []
    much = [list(range(100_000)), [[label] for label in range(100_000)]]
    assert reaching(member, print, much, [[[member]]]) == []  # it gives up before
    assert len(reaching(member, print, much, [member])) == 1  # not so deep


def test_check_runs_no_code_of_users() -> None:
    class Hostile:
        def fail(self, *_: Any) -> Any:
            raise AssertionError("called")

        __eq__ = __hash__ = __iter__ = __len__ = __getattr__ = __bool__ = __repr__ = fail
        __getitem__ = __contains__ = __get__ = fail

        def __call__(self) -> None:
            self.fail()

    class HostileList(list[Any]):
        __iter__ = __getitem__ = __len__ = Hostile.fail

    class HostileDict(dict[Any, Any]):
        __iter__ = items = keys = values = __getitem__ = Hostile.fail  # type: ignore[assignment]

    hostile = Hostile()
    some = HostileList([hostile]), HostileDict(x=hostile), Slotted(hostile, hostile)
    finalizer = finalize(Member(1), keywords_of_none, hostile, *some, check=True)
    finalizer.detach()
    (message,) = reaching(hostile, keywords_of_none, 1, some[1])
    assert "args[1]['x'] is obj" in message


class OtherClass:
    @property
    def __class__(self) -> Any:  # type: ignore[override]  # it is one to be had
        raise AssertionError("called")


class OtherDictionary:
    @property
    def __dict__(self) -> Any:  # type: ignore[override]  # it is one to be had
        raise AssertionError("called")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(functools.partial(Mock, spec=dict), id="dict"),
        pytest.param(functools.partial(Mock, spec=list), id="list"),
        pytest.param(OtherClass, id="__class__"),
        pytest.param(OtherDictionary, id="__dict__"),
    ],
)
def test_check_asks_nobody_what_they_are(make: Callable[[], Any]) -> None:
    """What a mock or a property said of the class, or of the attributes, was believed, and run."""
    assert reaching(Member(1), keywords_of_none, make()) == []


def keywords_of_none(*args: Any) -> None:
    pass


def test_check_as_an_error_registers_nothing() -> None:
    before = len(finalize._registry)
    member = Member(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match=r"args\[0\] is obj"):
            finalize(member, print, member, check=True)
    assert len(finalize._registry) == before
    watch = weakref.ref(member)
    del member
    gc_collect_harder()
    assert watch() is None


def test_without_check_nothing_is_said() -> None:
    member = Member(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finalize(member, print, member).detach()
        finalize(member, print, member, check=False).detach()


@given(
    st.recursive(
        st.sampled_from(["target", "other", 1, None]),
        lambda inner: (
            st.tuples(st.sampled_from(list(WAYS)), inner)
            | st.tuples(st.sampled_from(["list", "tuple", "dict"]), inner, inner)
        ),
        max_leaves=12,
    )
)
def test_check_against_what_was_built(shape: Any) -> None:
    target, other = Member("target"), Member("other")
    reaches = False

    def build(shape: Any) -> Any:
        nonlocal reaches
        if shape == "target":
            reaches = True
            return target
        if shape == "other":
            return other
        if not isinstance(shape, tuple):
            return shape
        kind, *inner = shape
        built = [build(each) for each in inner]
        if len(built) == 1:
            try:
                return WAYS[kind](built[0])
            except TypeError:  # not hashable
                return built
        return {"list": list, "tuple": tuple, "dict": lambda some: dict(enumerate(some))}[kind](
            built
        )

    holder = build(shape)
    messages = reaching(target, print, holder)
    assert len(messages) == reaches
    for message in messages:
        assert path_in(message, print, (holder,), {}) is target


# --- executor


def test_executor_makes_the_call(calls: list[Any]) -> None:
    with ThreadPoolExecutor(1, "mine") as executor:
        member = Member(1)
        finalizer = finalize(
            member, lambda: calls.append(threading.current_thread().name), executor=executor
        )
        assert finalizer.atexit
        del member
        let_die()
        wait_until(lambda: calls)
        assert calls[0].startswith("mine")
        assert not finalizer.alive
        assert finalizer() is None


def test_handed_over_by_a_thread_of_its_own(calls: list[Any]) -> None:
    executor = Direct()
    finalize(Member(1), calls.append, 1, executor=executor)
    let_die()
    wait_until(lambda: calls == [1])
    assert executor.threads[0] is not threading.current_thread()
    assert executor.threads[0].daemon


def test_called_by_hand_it_is_called_in_place(calls: list[Any]) -> None:
    executor = Direct()
    member = Member(1)
    for argument in (), (None,), (weakref.ref(member),), (1,):
        finalizer = finalize(member, lambda: threading.get_ident(), executor=executor)
        assert finalizer(*argument) == threading.get_ident()
        assert not finalizer.alive
    finalizer = finalize(member, divmod, 1, 0, executor=executor)
    with pytest.raises(ZeroDivisionError):
        finalizer()
    assert executor.threads == []


def test_peek_and_detach_with_an_executor() -> None:
    member = Member(1)
    finalizer = finalize(member, print, 1, executor=Direct(), end="")
    assert finalizer.peek() == finalizer.detach() == (member, print, (1,), {"end": ""})
    assert not finalizer.alive


def test_no_lock_is_waited_for(calls: list[Any]) -> None:
    """Neither one of the executor, nor one that starting a thread takes."""

    class Locked:
        lock = threading.Lock()

        def submit(self, function: Callable[[], object]) -> None:
            with self.lock:
                function()

    def kill() -> None:
        with Locked.lock, threading._active_limbo_lock:  # type: ignore[attr-defined]  # private
            for label in range(100):
                member = Member(label)
                finalize(member, calls.append, label, executor=Locked())
                if label % 2:
                    member.other = member
                del member
            let_die()

    assert run_all(kill) == [None]
    collect_until(lambda: sorted(calls) == list(range(100)))


def test_the_first_thread_is_started_without_a_lock() -> None:
    code = """
    import faulthandler, gc, threading, time
    from weakly import finalize
    faulthandler.dump_traceback_later(20, exit=True)
    class Thing: pass
    class Direct:
        def submit(self, function):
            function()
    with threading._active_limbo_lock:
        finalize(Thing(), print, "called", executor=Direct())
        gc.collect()
    """
    assert check_runs(code) == "called\n"


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_errors_in_the_executor(unraisable: list[Any], error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    with ThreadPoolExecutor(1) as executor:
        finalize(Member(1), fail, executor=executor)
        let_die()
        wait_until(lambda: unraisable)
    assert [each.type for each in unraisable] == [error]


@pytest.mark.parametrize("error", [RuntimeError, OSError])
def test_an_executor_that_takes_no_more(calls: list[Any], error: type[Exception]) -> None:
    class Closed:
        def submit(self, function: Callable[[], object]) -> None:
            raise error("closed")

    finalize(Member(1), lambda: calls.append(threading.get_ident()), executor=Closed())
    let_die()
    wait_until(lambda: calls)
    assert calls[0] != threading.get_ident()


def test_an_executor_that_was_shut_down(calls: list[Any], unraisable: list[Any]) -> None:
    executor = ThreadPoolExecutor(1)
    some = members(3)
    for member in some:
        finalize(member, calls.append, member.label, executor=executor)
    finalize(some[0], divmod, 1, 0, executor=executor)
    del member
    executor.shutdown()
    some.clear()
    let_die()
    wait_until(lambda: sorted(calls) == [0, 1, 2] and unraisable)
    assert [each.type for each in unraisable] == [ZeroDivisionError]


def test_objects_that_die_in_the_executor(calls: list[Any]) -> None:
    with ThreadPoolExecutor(3) as executor:

        def again(depth: int) -> None:
            calls.append(depth)
            if depth:
                for _ in range(2):
                    finalize(Member(depth), again, depth - 1, executor=executor)
                let_die()

        finalize(Member(0), again, 6, executor=executor)
        let_die()
        wait_until(lambda: len(calls) == 2**7 - 1)


def test_deaths_in_many_threads() -> None:
    count = 50 if PYPY or FREE_THREADED else 500
    done: dict[Any, int] = {}

    def note(name: str, label: int) -> None:
        done[name, label] = done.get((name, label), 0) + 1

    with ThreadPoolExecutor(2) as executor:

        def work(name: str) -> None:
            for label in range(count):
                member = Member(label)
                finalize(member, note, name, label, executor=executor)
                if label % 3 == 0:
                    member.other = member

        assert run_all(*[lambda name=name: work(name) for name in "abcd"]) == [None] * 4
        collect_until(lambda: len(done) == 4 * count)
    assert set(done.values()) == {1}


def test_nothing_is_left() -> None:
    class Function:
        def __call__(self, argument: Any) -> None:
            pass

    before = len(finalize._registry)
    watches = []
    with ThreadPoolExecutor(1) as executor:
        for label in range(100):
            function, argument = Function(), Member(label)
            watches += [weakref.ref(function), weakref.ref(argument)]
            finalize(Member(0), function, argument, executor=executor)
            del function, argument
        let_die()
        wait_until(lambda: let_die() or not any(watch() for watch in watches))
    assert len(finalize._registry) == before
    assert weakly.finalization._handed_over == {}


# --- loop


def test_loop_makes_the_call(calls: list[Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def function(*args: Any) -> None:
            calls.append((asyncio.get_running_loop() is loop, *args))
            done.set()

        member = Member(1)
        finalizer = finalize(member, function, 1, 2, loop=loop)
        kept = [member]
        del member
        await loop.run_in_executor(None, lambda: (kept.clear(), let_die()))
        await asyncio.wait_for(done.wait(), TIMEOUT)
        assert not finalizer.alive

    asyncio.run(main())
    assert calls == [(True, 1, 2)]


def test_errors_in_the_loop(unraisable: list[Any]) -> None:
    async def main() -> None:
        finalize(Member(1), divmod, 1, 0, loop=asyncio.get_running_loop())
        let_die()
        while not unraisable:
            await asyncio.sleep(0.001)

    asyncio.run(main())
    assert [each.type for each in unraisable] == [ZeroDivisionError]


def test_a_loop_that_was_closed(calls: list[Any]) -> None:
    loop = asyncio.new_event_loop()
    member = Member(1)
    finalize(member, calls.append, 1, loop=loop)
    loop.close()
    del member
    let_die()
    wait_until(lambda: calls == [1])


# --- exit

PROGRAM = """
import asyncio, gc, os, threading, time
from concurrent.futures import ThreadPoolExecutor
from weakly import finalize
class Thing: pass
def say(*words):  # in one piece, whoever else says something
    os.write(1, " ".join(map(str, words)).encode() + b"\\n")
class Direct:
    def submit(self, function):
        function()
"""


def at_exit(code: str) -> list[str]:
    return check_runs(PROGRAM + code, timeout=TIMEOUT).splitlines()


def test_exit_calls_the_living_in_place_newest_first() -> None:
    code = """
executor = ThreadPoolExecutor(1)
loop = asyncio.new_event_loop()
loop.close()
things = [Thing() for _ in range(4)]
def where(label):
    say(label, threading.current_thread() is threading.main_thread())
finalize(things[0], where, 0, executor=executor)
finalize(things[1], where, 1)
finalize(things[2], where, 2, loop=loop)
finalize(things[3], where, 3, executor=executor).atexit = False
say("end")
"""
    assert at_exit(code) == ["end", "2 True", "1 True", "0 True"]


def test_exit_after_deaths_that_were_just_handed_over() -> None:
    code = """
executor = ThreadPoolExecutor(1)
for label in range(200):
    finalize(Thing(), say, label, executor=executor)
gc.collect()
"""
    assert sorted(map(int, at_exit(code))) == list(range(200))


def test_exit_while_the_executor_is_slow() -> None:
    code = """
executor = ThreadPoolExecutor(1)
begun = threading.Event()
def slow():
    begun.set()
    time.sleep(0.2)
    say("slow")
finalize(Thing(), slow, executor=executor)
gc.collect()
begun.wait()
finalize(Thing(), say, "after it", executor=executor)
gc.collect()
"""
    assert sorted(at_exit(code)) == ["after it", "slow"]


def test_exit_with_a_loop_closed_while_calls_are_pending() -> None:
    """The loop has taken the call, and will never make it."""
    code = """
loop = asyncio.new_event_loop()
class Noting:
    def call_soon_threadsafe(self, function):
        loop.call_soon_threadsafe(function)
        taken.set()
taken = threading.Event()
finalize(Thing(), say, "called", loop=Noting())
gc.collect()
taken.wait()
loop.close()
say("end")
"""
    assert at_exit(code) == ["end", "called"]


def test_exit_with_an_executor_that_drops_its_work() -> None:
    code = """
executor = ThreadPoolExecutor(1)
begun, go_on = threading.Event(), threading.Event()
executor.submit(lambda: (begun.set(), go_on.wait()))
begun.wait()
class Noting:
    def submit(self, function):
        executor.submit(function)
        taken.set()
taken = threading.Event()
finalize(Thing(), say, "called", executor=Noting())
gc.collect()
taken.wait()
executor.shutdown(wait=False, cancel_futures=True)
go_on.set()
say("end")
"""
    assert at_exit(code) == ["end", "called"]


def test_deaths_in_exit_functions() -> None:
    code = """
executor = ThreadPoolExecutor(1)
executor.submit(int)
thing = Thing()
other = Thing()
finalize(other, say, "other", executor=executor)
def kill():
    global other
    del other
    gc.collect()
    say("killed")
finalize(thing, kill)
"""
    assert sorted(at_exit(code)) == ["killed", "other"]


def test_exceptions_at_exit() -> None:
    code = """
thing = Thing()
finalize(thing, say, "still called", executor=Direct())
finalize(thing, divmod, 1, 0, executor=Direct())
"""
    result = run_python(PROGRAM + code, timeout=TIMEOUT)
    assert (result.returncode, result.stdout) == (0, "still called\n")
    assert "ZeroDivisionError" in result.stderr
