"""weakly.why_alive: what it says of each situation, and that it leaves no trace."""

from __future__ import annotations

import asyncio
import atexit
import collections
import contextlib
import contextvars
import functools
import gc
import io
import json
import logging
import random
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from support import COUNTS_REFERENCES, PYPY, TIMEOUT, check_runs, gc_collect_harder, slow_on_pypy

import weakly
from weakly import Retention, why_alive

pytestmark = slow_on_pypy


class Thing:
    pass


class Holder:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


def kinds(retention: Retention) -> list[str]:
    return [path.kind for path in retention.paths]


# Who keeps it


def test_one_chain_and_what_would_break_it(app: Any) -> None:
    thing = Thing()
    app.cache = Holder(users={"alice": Holder(owner=thing)})
    retention = why_alive(thing)
    assert kinds(retention) == ["module", "caller"]
    path = retention.paths[0]
    assert path.root == "module app"
    assert path.expression == str(path) == "app.cache.users['alice'].owner"
    assert [step.name for step in path.steps] == [".cache", ".users", "['alice']", ".owner"]
    assert [step.suspect for step in path.steps] == [False, False, True, False]
    assert path.suspect is path.steps[2]
    assert path.steps[2].advice == "`del app.cache.users['alice']`"
    assert retention.verdict == (
        "Kept alive by 1 chain of references. Without the marked reference, and your own "
        "variable, it would go."
    )


def test_several_chains(app: Any) -> None:
    app.first, app.second = [Thing()], {}
    app.second["it"] = app.first[0]
    retention = why_alive(app.first[0])
    assert {path.expression for path in retention.paths} == {"app.first[0]", "app.second['it']"}
    assert "Kept alive by 2 chains" in retention.verdict
    assert "the marked references it would go" in retention.verdict
    app.third = [app.first[0]]
    assert why_alive(app.first[0], paths=2).verdict == "Kept alive by at least 2 chains of " \
        "references."  # fmt: skip


def test_a_chain_is_found_without_the_suspects_of_those_before_it(app: Any) -> None:
    thing = Thing()
    app.node = Holder(one=[thing], other=[thing])
    retention = why_alive(thing)
    assert {path.expression for path in retention.paths[:2]} == {
        "app.node.one[0]", "app.node.other[0]",
    }  # fmt: skip


def test_only_the_variable_of_who_asks() -> None:
    thing = Thing()
    retention = why_alive(thing)
    assert kinds(retention) == ["caller"]
    assert retention.verdict == "Kept alive by nothing but your own variable, with which it goes."
    step = retention.paths[0].steps[0]
    assert step.name.startswith(
        "<local 'thing' in test_only_the_variable_of_who_asks() at test_ver"
    )
    assert step.expression == "thing"


def test_a_variable_of_who_asks_in_a_cell() -> None:
    thing = Thing()

    def other() -> Thing:
        return thing

    del other
    assert kinds(why_alive(thing)) == ["caller"]


def test_a_variable_of_a_program_that_asks_at_its_top() -> None:
    check_runs(
        """
        import weakly
        class Thing: pass
        thing = Thing()
        retention = weakly.why_alive(thing)
        assert [path.kind for path in retention.paths] == ["caller"], retention
        assert str(retention.paths[0]) == "__main__.thing"
        assert "nothing but your own variable" in retention.verdict
        things = [thing]
        retention = weakly.why_alive(thing, paths=1)
        assert str(retention.paths[0]) == "__main__.things[0]", retention
        retention = weakly.why_alive(thing)
        assert [path.kind for path in retention.paths] == ["module", "caller"], retention
        """
    )


def test_the_variable_of_a_function_further_out() -> None:
    def ask(thing: Thing) -> Retention:
        return why_alive(thing)

    kept = Thing()
    retention = ask(kept)
    assert kinds(retention) == ["local", "caller"]
    line = f"at test_verdicts.py:{sys._getframe().f_lineno - 2}"
    path = retention.paths[0]
    name = "test_the_variable_of_a_function_further_out()"
    assert path.steps[0].name == f"<local 'kept' in {name} {line}>"
    assert str(path) == f"kept in {name} {line}"
    assert path.steps[0].advice == f"ends when {name} returns, or with `del kept`"


def test_a_collection_of_who_asks() -> None:
    things = [Thing()]
    retention = why_alive(things[0])
    assert [(path.kind, path.expression) for path in retention.paths] == [("local", "things[0]")]


def test_nothing() -> None:
    retention = why_alive(Thing())
    assert (retention.paths, retention.cycle) == ((), None)
    assert retention.verdict == "Kept alive by nothing but this call."


def test_a_cycle() -> None:
    gc.disable()
    thing: Any = Thing()
    thing.me = Holder(back=[thing])
    reference = weakref.ref(thing)
    del thing
    retention = why_alive(reference())
    assert retention.verdict == "Kept alive by nothing but a cycle: the collector will take it."
    assert retention.paths == ()
    assert retention.cycle is not None
    assert retention.cycle.expression == "obj.me.back[0]"
    del retention
    gc_collect_harder()
    assert reference() is None


def test_a_cycle_that_is_longer_than_asked_for() -> None:
    gc.disable()
    first = node = Holder()
    for _ in range(50):
        node.next = Holder()  # type: ignore[attr-defined]
        node = node.next  # type: ignore[attr-defined]
    node.next = first  # type: ignore[attr-defined]
    reference = weakref.ref(node)
    del first, node
    retention = why_alive(reference(), depth=20)
    assert retention.cycle is None
    assert retention.verdict == "Kept alive by nothing but a cycle: the collector will take it."
    retention = why_alive(reference())
    assert retention.cycle is not None


def test_a_cycle_far_off_takes_no_longer() -> None:
    gc.disable()
    thing = Thing()
    nested: Any = [thing]
    for _ in range(20_000):
        nested = [nested]
    nested.append(nested)
    reference = weakref.ref(thing)
    del thing, nested
    start = time.process_time()
    why_alive(Thing())
    one_walk = time.process_time() - start
    retention = why_alive(reference())
    assert retention.verdict == "Kept alive by nothing but a cycle: the collector will take it."
    assert time.process_time() - start < 30 * one_walk


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="needs reference counts")
def test_a_cycle_that_leads_to_it() -> None:
    gc.disable()
    thing, holder = Thing(), Holder()
    holder.me, holder.thing = holder, thing  # type: ignore[attr-defined]
    reference = weakref.ref(thing)
    del thing, holder
    retention = why_alive(reference())
    assert retention.verdict == "Kept alive by nothing but a cycle: the collector will take it."
    assert retention.cycle is not None
    assert retention.cycle.root.startswith("test_verdicts.Holder at 0x")
    assert [step.name for step in retention.cycle.steps] in ([".me", ".thing"], [".me"] * 2 + [
        ".thing"
    ])  # fmt: skip
    assert retention.to_svg()


def test_it_is_a_root_itself() -> None:
    assert why_alive(sys).verdict == "It is alive by itself: module sys."
    frame = sys._getframe()
    assert why_alive(frame).verdict.startswith("It is alive by itself: test_it_is_a_root_itself()")


@pytest.mark.skipif(PYPY or sys.version_info < (3, 12), reason="there are no immortal objects")
def test_it_is_immortal() -> None:
    assert why_alive(None).verdict == "It is immortal: the interpreter never frees it."


def test_a_thread(app: Any) -> None:
    end = threading.Event()

    def work(job: list[Thing]) -> None:
        del job
        end.wait(TIMEOUT)

    thread = threading.Thread(target=work, args=([Thing()],), name="mail", daemon=True)
    weakly_held = weakref.ref(thread._args[0][0])  # type: ignore[attr-defined]
    other = threading.Thread(target=end.wait, args=(TIMEOUT,), name="mail 2", daemon=True)
    other.job = [Thing()]  # type: ignore[attr-defined]
    reference = weakref.ref(other.job[0])  # type: ignore[attr-defined]
    other.start()
    del thread, other
    try:
        retention = why_alive(reference())
        assert kinds(retention) == ["thread"]
        path = retention.paths[0]
        assert (path.root, path.expression) == ("<thread 'mail 2'>", "thread.job[0]")
        assert str(path) == "thread.job[0] in <thread 'mail 2'>"
    finally:
        end.set()
    assert weakly_held() is None or PYPY


def test_a_variable_of_another_thread() -> None:
    ready, end = threading.Event(), threading.Event()

    def work(job: Thing) -> None:
        ready.set()
        end.wait(TIMEOUT)

    thing = Thing()
    thread = threading.Thread(target=work, args=(thing,), name="mail", daemon=True)
    thread.start()
    assert ready.wait(TIMEOUT)
    try:
        path = why_alive(thing, paths=9).paths
        names = [step.name for each in path for step in each.steps]
        assert any(name.startswith("<local 'job' in work() at test_verd") for name in names), names
        assert any(each.root.endswith(", thread 'mail'") for each in path)
    finally:
        end.set()
        thread.join(TIMEOUT)


def test_a_task(app: Any) -> None:
    async def fetch(job: Thing) -> None:
        await asyncio.Event().wait()

    async def main() -> Retention:
        thing = Thing()
        task = asyncio.create_task(fetch(thing), name="fetching")
        keeps = {task}
        await asyncio.sleep(0)
        del task
        retention = why_alive(thing)
        keeps.pop().cancel()
        return retention

    retention = asyncio.run(main())
    path = retention.paths[0]
    if path.kind == "task":
        assert path.root.startswith("<task 'fetching', fetch() at test_verdicts.py:")
    assert path.steps[-1].name.startswith("<local 'job' in suspended fetch() at test_verdicts.py:")


@pytest.mark.parametrize("kind", ["done", "failed", "cancelled"])
def test_a_task_that_is_over_is_held_by_who_holds_it(kind: str, app: Any) -> None:
    async def give() -> Any:
        if kind == "cancelled":
            await asyncio.sleep(TIMEOUT)  # until it is cancelled
        if kind == "failed":
            raise KeyError
        return Thing()

    async def main() -> Retention:
        app.tasks = [asyncio.create_task(give())]
        await asyncio.sleep(0)  # it begins
        if kind == "cancelled":
            app.tasks[0].cancel()
        with contextlib.suppress(KeyError, asyncio.CancelledError):
            await app.tasks[0]
        await asyncio.sleep(0)  # what has woken this one lets go of it
        return why_alive(app.tasks[0])

    paths = asyncio.run(main()).paths
    assert [path.expression for path in paths if path.kind == "module"] == ["app.tasks[0]"]
    assert "task" not in {path.kind for path in paths}
    app.tasks.clear()


def test_the_exception_that_another_thread_handles() -> None:
    ready, end = threading.Event(), threading.Event()
    weakly_held: list[Any] = []

    def fail() -> None:
        local = Thing()
        weakly_held.append(weakref.ref(local))
        raise KeyError

    def retry() -> None:
        try:
            fail()
        except KeyError:
            ready.set()
            end.wait(TIMEOUT)

    thread = threading.Thread(target=retry, name="again", daemon=True)
    thread.start()
    assert ready.wait(TIMEOUT)
    try:
        (path,) = why_alive(weakly_held[0]()).paths
        assert path.root == "<the exception that thread 'again' handles>"
        scope = {"sys": sys}
        assert eval(path.steps[0].expression, scope) is not None
    finally:
        end.set()
        thread.join(TIMEOUT)


def test_many_threads_at_once(app: Any) -> None:
    app.it = Thing()
    before = why_alive(app.it, paths=1)
    found: list[Retention] = []
    threads = [
        threading.Thread(target=lambda: found.append(why_alive(app.it, paths=1))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.paths[0].expression for each in found] == ["app.it"] * 6
    assert max(each.objects for each in found) < before.objects + 10_000


def test_the_exception_that_is_being_handled() -> None:
    class Failure(Exception):
        pass

    try:
        raise Failure([Thing()])
    except Failure:
        retention = why_alive(sys.exception().args[0][0])  # type: ignore[union-attr]
    assert kinds(retention)[0] == "state"
    assert retention.paths[0].expression == "sys.exception().args[0][0]"


def test_the_value_of_a_context_variable() -> None:
    variable = contextvars.ContextVar[list[Thing]]("request")
    token = variable.set([Thing()])
    try:
        retention = why_alive(variable.get()[0])
        assert kinds(retention)[0] == "state"
        assert retention.paths[0].steps[0].name == "value of the context variable 'request'"
    finally:
        variable.reset(token)


def test_a_finalizer(app: Any) -> None:
    app.document, thing = Thing(), Thing()
    finalizer = weakly.finalize(app.document, print, [thing])
    finalizers = {finalizer}
    del finalizer
    path = why_alive(thing).paths[0]
    finalizers.pop().detach()
    assert path.kind == "finalizer"
    assert path.steps[0].name == "argument 1 of the callback of a finalizer"


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="needs reference counts")
def test_held_by_C_code() -> None:
    thing = Thing()
    callback = functools.partial(print, thing)
    atexit.register(callback)
    del callback
    retention = why_alive(thing)
    assert kinds(retention) == ["unseen", "caller"]
    assert retention.verdict.startswith("Kept alive only from where Python cannot look")
    path = retention.paths[0]
    assert path.root.startswith(("functools.partial at 0x", "tuple at 0x"))
    assert path.suspect is not None
    assert "atexit" in path.suspect.advice
    for each in list(gc.get_referrers(thing)):
        if type(each) is tuple:
            for one in gc.get_referrers(each):
                if type(one) is functools.partial:
                    atexit.unregister(one)


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="needs reference counts")
def test_a_value_that_a_function_works_on() -> None:
    def answer(*args: Any) -> Retention:
        return why_alive(args[1]())

    thing = Thing()
    # The list is nobody's but the call's that is being prepared.
    retention = [[thing], answer(0, weakref.ref(thing))][1]
    assert isinstance(retention, Retention)
    assert kinds(retention)[0] in ("local", "unseen")


# Test runners


@pytest.fixture
def made_by_fixture() -> Thing:
    return Thing()


def test_a_fixture_is_not_blamed(made_by_fixture: Thing, app: Any) -> None:
    retention = why_alive(made_by_fixture)
    assert set(kinds(retention)) in ({"caller", "runner"}, {"runner"})
    assert retention.verdict.startswith("Kept alive only by ")
    assert retention.verdict.endswith("the test runner or debugger.")
    app.keeps = made_by_fixture
    retention = why_alive(made_by_fixture)
    assert retention.paths[0].expression == "app.keeps"
    assert retention.verdict.endswith("and by the test runner or debugger.")


def test_a_failure_before_is_not_blamed(
    made_by_fixture: Thing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pytest keeps of it leads to all that pytest has."""
    try:
        raise ValueError(made_by_fixture)
    except ValueError as error:
        for name in ("last_exc", "last_value"):
            monkeypatch.setattr(sys, name, error, raising=False)
    assert set(kinds(why_alive(made_by_fixture))) <= {"caller", "runner"}


def test_pytests_own_objects_are_not_blamed(
    made_by_fixture: Thing, request: Any, capsys: Any, monkeypatch: Any
) -> None:
    assert not set(kinds(why_alive(made_by_fixture))) & {"local", "module"}


def test_no_dict_is_made() -> None:
    class Inline:
        def __init__(self, value: Any) -> None:
            self.value = value

    thing = Thing()
    holder = Inline([thing])
    before = weakly.retained(holder)
    assert why_alive(thing).paths[0].expression == "holder.value[0]"
    assert weakly.retained(holder) == before


def test_the_test_itself_is_blamed(made_by_fixture: Thing) -> None:
    things = [made_by_fixture]
    assert why_alive(things[0]).paths[0].expression == "things[0]"


def test_what_pytest_keeps_of_the_log_is_not_blamed(caplog: Any) -> None:
    thing = Thing()
    logging.getLogger("test").warning("about %s", thing)
    assert "runner" in kinds(why_alive(thing))
    assert "module" not in kinds(why_alive(thing))


def test_debuggers_are_not_blamed() -> None:
    code = compile("def debug(thing, ask): return ask(thing)", "pdb.py", "exec")
    namespace: dict[str, Any] = {"__name__": "pdb"}
    exec(code, namespace)
    retention: Retention = namespace["debug"](Thing(), lambda thing: why_alive(thing))
    assert "runner" in kinds(retention)
    assert "local" not in kinds(retention)


# No trace


def state_of(thing: Any) -> tuple[int, int]:
    return sys.getrefcount(thing), len(gc.get_referrers(thing))


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="needs reference counts")
def test_nothing_is_kept_alive(app: Any) -> None:
    thing = Thing()
    app.cache = {"it": [thing]}
    why_alive(thing)  # what is made once is made
    before = state_of(thing), state_of(app.cache), state_of(app)
    retention = why_alive(thing)
    text = (str(retention), retention.to_svg(), retention.to_html(), retention.to_json())
    assert (state_of(thing), state_of(app.cache), state_of(app)) == before
    reference = weakref.ref(thing)
    del thing, app.cache
    assert reference() is None
    assert retention.paths
    assert all(text)


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="needs reference counts")
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_nothing_is_kept_alive_when_a_repr_fails(error: type[BaseException], app: Any) -> None:
    class Fails:
        def __repr__(self) -> str:
            raise error

    def ask() -> BaseException | None:
        local = [Thing(), Fails()]
        references.append(weakref.ref(local[0]))
        app.cache = {Fails(): local[1]}
        references.append(weakref.ref(local[1]))
        try:
            retention = why_alive(local[1])
        except KeyboardInterrupt as raised:
            return raised.with_traceback(None)
        assert "raised" in retention.target
        return None

    references: list[Any] = []
    assert (ask() is None) == (error is not KeyboardInterrupt)
    app.cache.clear()
    assert [reference() for reference in references] == [None, None]


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="needs reference counts")
@pytest.mark.parametrize("ask", [weakly.why_alive, lambda _: weakly.heap(), weakly.retained])
def test_no_frame_is_left_in_a_cycle(ask: Any) -> None:
    def function() -> Any:
        local = Thing()
        ask(local)
        return weakref.ref(local)

    gc.disable()
    assert function()() is None


def test_only_what_is_shown_is_looked_at(app: Any) -> None:
    class Shy:
        def __repr__(self) -> str:
            asked.append(self)
            return "<shy>"

    asked: list[Any] = []
    thing = Shy()
    app.things = [Holder(shy=Shy(), value=Holder(it=thing)), Shy(), {Shy(): Shy()}]
    why_alive(thing)
    assert all(one is thing for one in asked)


class Meta(type):
    """Of classes that raise whatever one asks."""

    def __getattribute__(cls, name: str) -> Any:
        raise SystemError(name)

    def __eq__(cls, other: object) -> bool:
        raise SystemError

    def __hash__(cls) -> int:
        raise SystemError

    def __instancecheck__(cls, instance: object) -> bool:
        raise SystemError

    def __subclasscheck__(cls, subclass: type) -> bool:
        raise SystemError


def fail(*args: Any) -> Any:
    raise SystemError


def make_hostile() -> Any:
    names = ["__getattribute__", "__eq__", "__repr__", "__len__", "__iter__", "__bool__"]
    names += ["__getattr__", "__get__", "__dir__", "__sizeof__", "__str__"]
    namespace: dict[str, Any] = dict.fromkeys(names, fail)
    namespace["__class__"] = property(fail)
    namespace["__hash__"] = lambda self: id(self)
    return Meta("Hostile", (), namespace)


def test_hostile_objects(app: Any) -> None:
    cls: Any = make_hostile()
    thing = type.__call__(cls)
    other = type.__call__(cls)
    del cls
    object.__setattr__(other, "value", [{0: thing}])
    app.hostile = {"key": other}
    app.by_key = {thing: 1}
    app.members = {other: thing}
    retention = why_alive(thing)
    expressions = [path.expression for path in retention.paths]
    assert set(expressions) <= {
        "app.hostile['key'].value[0][0]", "other.value[0][0]", "list(app.by_key)[0]",
        "list(app.members.values())[0]", "thing",
    }  # fmt: skip
    assert "raised SystemError" in retention.target
    assert "Hostile" in str(retention)
    assert retention.to_svg()


def test_hostile_containers(app: Any) -> None:
    names = ["__getitem__", "__iter__", "__len__", "keys", "values", "items", "get", "__eq__"]
    for base in (dict, list, set):
        cls = type("Hostile", (base,), dict.fromkeys(names, fail))
        thing = Thing()
        content: Any = {"a": thing} if base is dict else [thing]
        app.hostile = cls(content)
        del content
        path = why_alive(thing).paths[0]
        expected = {dict: "['a']", list: "[0]", set: "member"}[base]
        assert path.steps[-1].name.startswith(expected)
        assert str(why_alive(app.hostile))


def test_dead_proxies_and_objects_that_are_being_made(app: Any) -> None:
    thing = Thing()
    app.proxy = weakref.proxy(thing)
    app.things = [app.proxy, object.__new__(Holder), Holder.__new__(Holder), thing]
    proxy = app.proxy
    assert why_alive(thing).paths[0].expression == "app.things[3]"
    del app.things, thing
    gc_collect_harder()
    retention = why_alive(proxy)
    assert retention.paths[0].expression == "app.proxy"
    assert "weakproxy at" in retention.target


def test_modules_of_any_kind() -> None:
    thing = Thing()
    sys.modules["strange"] = [thing]  # type: ignore[assignment]
    sys.modules[3] = None  # type: ignore[assignment, index]
    try:
        assert why_alive(thing).paths[0].expression == "strange[0]"
    finally:
        del sys.modules["strange"], sys.modules[3]  # type: ignore[arg-type]


def test_nothing_is_imported() -> None:
    check_runs(
        """
        import sys
        import weakly
        class Thing: pass
        thing = Thing()
        before = set(sys.modules)
        print(weakly.why_alive(thing))
        found = {name.partition(".")[0] for name in set(sys.modules) - before}
        assert not found & {"asyncio", "json", "html", "rich", "traceback"}, found
        """
    )


def test_it_can_be_asked_anywhere() -> None:
    results: list[Any] = []

    class Dying:
        def __del__(self) -> None:
            results.append(why_alive(self))

    Dying()
    gc_collect_harder()
    thread = threading.Thread(target=lambda: results.append(why_alive(Thing())))
    thread.start()
    thread.join(TIMEOUT)
    assert len(results) == 2


# Arguments and what comes back


def test_arguments() -> None:
    with pytest.raises(ValueError, match="paths and depth must be at least 1"):
        why_alive(None, paths=0)
    with pytest.raises(ValueError, match="paths and depth must be at least 1"):
        why_alive(None, depth=0)


@pytest.mark.parametrize("wrong", ["3", 2.5, None])
def test_arguments_of_wrong_types(wrong: Any) -> None:
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        why_alive(None, paths=wrong)
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        why_alive(None, depth=wrong)


def test_large_arguments() -> None:
    thing = Thing()
    assert kinds(why_alive(thing, paths=10**30, depth=10**30)) == ["caller"]


class Equal:
    """Is in a set twice: the set holds two that are equal to nothing else."""

    def __init__(self, thing: Thing) -> None:
        self.thing = thing


def same_set(app: Any, thing: Thing) -> None:
    app.it = {Equal(thing), Equal(thing)}


def same_signal(app: Any, thing: Thing) -> None:
    app.it = weakly.Signal()
    app.it.connect(lambda: thing)
    app.it.connect(lambda: print(thing))


def same_dict(app: Any, thing: Thing) -> None:
    app.it = {Equal(Thing()): [thing], Equal(Thing()): [thing]}


def same_function(app: Any, thing: Thing) -> None:
    one = other = thing
    app.it = lambda: (one, other)


@pytest.mark.parametrize("make", [same_set, same_signal, same_dict, same_function])
def test_each_reference_that_is_to_be_broken_is_shown(make: Any, app: Any) -> None:
    thing = Thing()
    make(app, thing)
    retention = why_alive(thing)
    chains = 1 if make is same_function else 2
    assert kinds(retention) == ["module"] * chains + ["caller"]


def test_references_beside_each_other_are_counted(app: Any) -> None:
    thing = Thing()
    app.it = {"a": thing, "b": thing, thing: 1}
    suspect = why_alive(thing).paths[0].suspect
    assert suspect is not None
    assert suspect.advice == "remove all 3 references that `app.it` has to it"
    app.it = Holder(a=thing, b=thing)
    suspect = why_alive(thing).paths[0].suspect
    assert suspect is not None
    assert suspect.advice == "remove all 2 references that `app.it` has to it"


def test_large_collections_are_looked_at_but_a_little() -> None:
    class Counts:
        def __repr__(self) -> str:
            asked.append(self)
            return "it"

    asked: list[Any] = []
    some = [Counts() for _ in range(1000)]
    for make in (
        list, tuple, set, frozenset, collections.deque, collections.OrderedDict.fromkeys,
        dict.fromkeys, lambda some: dict.fromkeys(some).keys(), weakly.List,
        lambda some: collections.defaultdict(int, dict.fromkeys(some)),
    ):  # fmt: skip
        asked.clear()
        assert "it" in why_alive(make(some)).target
        assert 0 < len(asked) < 20
    assert len(why_alive(bytearray(10**6)).target) < 200
    assert len(why_alive("a" * 10**6).target) < 200
    assert len(why_alive(10**5000).target) < 200


def test_depth(app: Any) -> None:
    first = node = Holder()
    for _ in range(50):
        node.next = Holder()  # type: ignore[attr-defined]
        node = node.next  # type: ignore[attr-defined]
    app.first = first
    del first
    path = why_alive(node).paths[0]
    assert path.expression == "app.first" + ".next" * 50
    assert len(path.steps) == 51
    retention = why_alive(node, depth=20)
    assert kinds(retention) == ["caller"]
    assert retention.verdict == (
        "Kept alive by chains of more than 20 references: ask with a greater `depth`."
    )
    app.other = [node]
    assert why_alive(node, depth=20).verdict == (
        "Kept alive by 1 chain of references, and by longer ones: ask with a greater `depth`."
    )
    del app.other
    text = str(why_alive(node))
    assert "more steps" in text
    assert max(map(len, text.splitlines()[2:])) < 120


def test_text(app: Any) -> None:
    thing = Thing()
    app.cache = Holder(users={"alice": Holder(owner=thing)})
    lines = str(why_alive(thing)).splitlines()
    assert lines[0] == f"test_verdicts.Thing at {id(thing):#x}"
    assert lines[3:10] == [
        "1. module app",
        "   └ app.cache                             test_verdicts.Holder",
        "     └ app.cache.users                     dict, 1 item",
        " ▶     └ app.cache.users['alice']          test_verdicts.Holder",
        "         ⤷ `del app.cache.users['alice']`",
        "         └ app.cache.users['alice'].owner  test_verdicts.Thing",
        "",
    ]
    assert lines[-1].endswith(" MB") or lines[-1].endswith("slower than the C core")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_show_in_any_encoding(app: Any, encoding: str, monkeypatch: Any) -> None:
    app.it = {"\N{SNOWMAN}": Thing()}
    retention = why_alive(app.it["\N{SNOWMAN}"])
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    retention.show()
    stream.flush()
    assert b"app.it[" in written.getvalue()


def test_variables_that_are_in_no_function() -> None:
    check_runs(
        """
        import weakly
        class Thing: pass
        code = "thing = make(); found = why_alive(thing, paths=1)"
        namespace = {"make": Thing, "why_alive": weakly.why_alive}
        exec(code, namespace)
        [path] = namespace.pop("found").paths
        assert path.expression == "thing", path
        assert path.steps[0].advice == "`del thing`", path
        class Body:
            thing = Thing()
            found = weakly.why_alive(thing, paths=1)
        [path] = Body.found.paths
        assert path.expression == "thing", path
        assert path.steps[0].advice == "`del thing`", path
        """
    )


def test_notes(app: Any) -> None:
    def fail(big: Thing) -> None:
        raise ValueError

    thing = Thing()
    try:
        fail(thing)
    except ValueError as error:
        app.error = error
    app.generator = (one for one in [thing])
    next(app.generator)
    text = str(why_alive(thing))
    assert "<local 'big' in fail() at test_verdicts.py:" in text
    assert "<local 'one' in suspended <genexpr> at test_verdicts.py:" in text


def test_tree(app: Any) -> None:
    app.it = Thing()
    retention = why_alive(app.it)
    assert retention.tree().startswith("1. module app\n ▶ └ app.it")
    assert retention.tree() in str(retention)


def test_dictionary_and_json(app: Any) -> None:
    thing = Thing()
    app.it = {"\N{SNOWMAN}\n": thing}
    retention = why_alive(thing)
    found = json.loads(retention.to_json())
    assert found == json.loads(json.dumps(retention.to_dict()))
    path = found["paths"][0]
    assert path["expression"] == "app.it['\N{SNOWMAN}\\n']"
    assert path["kind"] == "module"
    assert path["steps"][1]["suspect"] is True
    assert set(found) == {
        "target", "verdict", "paths", "cycle", "objects", "references", "memory", "seconds",
    }  # fmt: skip


def test_results_are_frozen(app: Any) -> None:
    app.it = Thing()
    retention = why_alive(app.it)
    for each, name in [
        (retention, "verdict"), (retention.paths[0], "root"), (retention.paths[0].steps[0], "name"),
    ]:  # fmt: skip
        with pytest.raises(AttributeError):
            setattr(each, name, "other")
    assert repr(retention) == f"<Retention of {retention.target}: {retention.verdict}>"


results: list[Any] = []


def called(function: Any, argument: Any) -> Any:
    function(argument)
    return function


ADVICE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "item": (lambda it: {"a": it}, "`del app.it['a']`, or let `app.it` be a weakly.WeakValueDict"),
    "key": (lambda it: {it: 1}, "remove this entry of `app.it`, or let `app.it` be a weakly.WeakK"),
    "member": (lambda it: {it}, "`app.it.discard(...)`, or let `app.it` be a weakly.WeakSet"),
    "list": (lambda it: [it], "`del app.it[0]`, or let `app.it` be a weakly.WeakList"),
    "listener": (
        lambda it: [types.MethodType(print, it)],
        "`del app.it[0]`, or hold the listener weakly: weakly.weak(...)",
    ),
    "view": (lambda it: types.MappingProxyType({"a": it}), "drop `app.it`"),
    "view of keys": (lambda it: {"a": it}.values(), "drop `app.it`"),
    "key with a bracket": (lambda it: {"<b>": it}, "`del app.it['<b>']`, or let `app.it` be a"),
    "lru_cache of a function": (
        lambda it: called(functools.lru_cache(lambda a: None), it),
        "`app.it.cache_clear()`, or weakly.cache, which keeps no arguments",
    ),
    "lru_cache of a method": (
        lambda it: called(functools.lru_cache(lambda self: None), it),
        "`app.it.cache_clear()`, or weakly.cached_method, which keeps no arguments",
    ),
    "result in an lru_cache": (
        lambda it: called(functools.lru_cache(lambda a: results.pop()), results.append(it)),
        "`app.it.cache_clear()`, or weakly.cache, which keeps a result no longer than the argum",
    ),
    "attribute": (
        lambda it: Holder(parent=it), "`del app.it.parent`, or make the attribute weak: weakly.att",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ADVICE)
def test_advice(kind: str, app: Any) -> None:
    make, expected = ADVICE[kind]
    thing = Thing()
    app.it = make(thing)
    suspect = why_alive(thing).paths[0].suspect
    assert suspect is not None
    assert suspect.advice.startswith(expected)


class Slot:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


WRAPPERS: list[Callable[[Any], Any]] = [
    lambda it: [it],
    lambda it: [it, it],
    lambda it: {"a": it},
    lambda it: {"a": it, "b": it},
    lambda it: {Holder(): it, Holder(): it},
    lambda it: Holder(a=it),
    lambda it: Holder(a=it, b=it),
    lambda it: (it,),
    lambda it: lambda: it,
    lambda it: collections.deque([it]),
    lambda it: functools.partial(print, it),
    lambda it: {Slot(it), Slot(it)},
    Slot,
]


def break_reference(holder: Any, child: int) -> None:
    """All that an object has to another, by its id, as the advice says."""
    if isinstance(holder, (dict, types.ModuleType, Holder)):
        names = holder if isinstance(holder, dict) else vars(holder)
        for key in [key for key, value in names.items() if id(value) == child]:
            del names[key]
    elif isinstance(holder, (list, collections.deque)):
        kept = [one for one in holder if id(one) != child]
        holder.clear()
        holder.extend(kept)
    elif isinstance(holder, set):
        for one in [one for one in holder if id(one) == child]:
            holder.discard(one)
    else:
        assert isinstance(holder, Slot)
        del holder.value


@pytest.mark.parametrize("seed", range(25))
def test_without_the_suspects_it_goes(seed: int, app: Any) -> None:
    chance = random.Random(seed)
    kept = [Thing()]
    reference = weakref.ref(kept[0])
    app.pool = []
    for number in range(chance.randrange(1, 6)):
        held = kept[0]
        for _ in range(chance.randrange(4)):
            held = chance.choice(WRAPPERS)(held)
        if chance.random() < 0.5:
            setattr(app, f"name{number}", held)
        else:
            app.pool.append(held)
    held = None

    retention = why_alive(kept[0], paths=30)
    own = [path for path in retention.paths if path.expression == "kept[0]"]
    assert len(own) == 1
    suspects: list[tuple[int, int]] = []
    for path in retention.paths:
        at = path.address
        for step in path.steps:
            if step.suspect and path not in own:
                suspects.append((at, step.address))
            at = step.address
    objects = {id(one): one for one in gc.get_objects()}
    kept.clear()
    for holder, child in suspects:
        break_reference(objects[holder], child)
    objects.clear()
    gc_collect_harder()
    assert reference() is None, retention


def test_a_cache_is_named_once(app: Any) -> None:
    @functools.lru_cache
    def total(thing: Thing) -> int:
        return 0

    app.total = total
    thing = Thing()
    for number in range(3):
        total(thing)
        total(Holder(number=number))  # type: ignore[arg-type]
    del total
    retention = why_alive(thing)
    assert kinds(retention) == ["module", "caller"]
    suspect = retention.paths[0].suspect
    assert suspect is not None
    assert suspect.name == "'thing' of a call that the lru_cache of total() remembers"
    assert suspect.advice.startswith("`app.total.cache_clear()`")
