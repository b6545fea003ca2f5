"""`why_alive()`: on programs that leak, each in one way, and wherever it is called from."""

from __future__ import annotations

import asyncio
import gc
import re
import signal
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from leak_corpus import Leak, corpus
from support import (
    C_CORE,
    COUNTS_REFERENCES,
    FREE_THREADED,
    PYPY,
    Crew,
    Thing,
    check_runs,
    count_failures,
    failing_allocations,
    gc_collect_harder,
    let_die,
    run_all,
    slow_on_pypy,
)

from weakly.tracking import RetentionPath, heap, retained, why_alive

pytestmark = slow_on_pypy

# What asks and what runs the test holds everything, and is named after what keeps it alive.
ASKING = ("caller", "runner")


def blamed(paths: tuple[RetentionPath, ...]) -> list[RetentionPath]:
    return [path for path in paths if path.kind not in ASKING]


@corpus
def test_paths_are_named_as_a_person_would_and_can_be_typed(leak: Leak) -> None:
    target, undo = leak.build()
    try:
        retention = why_alive(target)
        first = next(path for path in retention.paths if re.fullmatch(leak.kind, path.kind))
        assert {path.kind for path in retention.paths[: retention.paths.index(first)]} <= {*ASKING}
        assert re.fullmatch(leak.expression, first.expression), first
        assert first.root in str(retention)
        for path in retention.paths:
            suspects = [step for step in path.steps if step.suspect]
            assert len(suspects) == (1 if path.steps else 0)
            assert all(step.advice == "" or step.suspect for step in path.steps)
            assert all(step.advice for step in suspects) or not leak.goes, suspects
            # What a thread has for itself can be typed there only.
            if path.kind == "module" and leak.name != "thread_local":
                check_expressions(path)
                assert not path.steps or evaluated(path.expression) is target
    finally:
        undo()


def check_expressions(path: RetentionPath) -> None:
    """Each step's leads to what it says."""
    for step in path.steps:
        found = evaluated(step.expression)
        assert id(found) == step.address, step
        assert type(found).__qualname__ in step.type


def evaluated(expression: str) -> Any:
    names: dict[str, Any] = {
        name: module for name, module in sys.modules.items() if "." not in name
    }
    return eval(expression, names)


# From wherever it is called -----------------------------------------------------------------------

KEPT: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    yield
    KEPT.clear()


def check_finds_it(target: object) -> None:
    """`KEPT` is among what keeps it; those who call this have it in variables."""
    found = [path.expression for path in why_alive(target, paths=10).paths]
    assert "test_why_alive.KEPT['it']" in found


@pytest.fixture
def held_by_a_fixture() -> Thing:
    return Thing()


def test_fixtures_and_the_runner_are_not_blamed(held_by_a_fixture: Thing) -> None:
    retention = why_alive(held_by_a_fixture)
    assert [path.kind for path in retention.paths if path.kind not in ASKING] == []
    KEPT["it"] = held_by_a_fixture
    retention = why_alive(held_by_a_fixture)
    assert [path.expression for path in blamed(retention.paths)] == ["test_why_alive.KEPT['it']"]


def test_in_a_signal_handler() -> None:
    if not hasattr(signal, "SIGUSR1"):
        pytest.skip("no such signal")
    it = KEPT["it"] = Thing()
    seen: list[str] = []

    def handle(number: int, frame: Any) -> None:
        seen.extend(path.expression for path in why_alive(it).paths)

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert "test_why_alive.KEPT['it']" in seen


@pytest.mark.skipif(PYPY, reason="there are no such callbacks")
def test_in_a_callback_of_the_collector() -> None:
    it = KEPT["it"] = Thing()
    phases: list[str] = []

    def callback(phase: str, info: object) -> None:
        check_finds_it(it)
        heap()
        phases.append(phase)

    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)
    assert phases == ["start", "stop"]


def test_in_the_callback_of_a_weak_reference() -> None:
    it = KEPT["it"] = Thing()
    seen: list[bool] = []

    def callback(_: object) -> None:
        check_finds_it(it)
        seen.append(True)

    other = Thing()
    reference = weakref.ref(other, callback)
    del other
    let_die()
    assert seen == [True]
    assert reference() is None


def test_in_a_finalizer_about_the_object_that_dies() -> None:
    seen: list[Any] = []

    class Dying:
        def __del__(self) -> None:
            seen.append(why_alive(self).paths)
            seen.append(retained(self).objects)

    Dying()
    let_die()
    cycle = Dying()
    cycle.itself = cycle  # type: ignore[attr-defined]
    del cycle
    gc_collect_harder()
    assert len(seen) == 4


def test_of_an_object_that_is_being_made() -> None:
    seen: list[Any] = []

    class Made:
        def __new__(cls) -> Any:
            made = super().__new__(cls)
            seen.append(why_alive(made))
            return made

        def __init__(self) -> None:
            seen.append(why_alive(self))
            self.complete = True

    class Slotted:
        __slots__ = ("missing",)

        def __init__(self) -> None:
            seen.append(why_alive(self))

    class Meta(type):
        def __init__(cls, *rest: Any) -> None:
            seen.append(why_alive(cls))
            super().__init__(*rest)

    Made()
    Slotted()
    Meta("Class", (), {})
    assert len(seen) == 4
    assert all(str(each) for each in seen)


def test_a_tuple_that_is_not_yet_filled() -> None:
    """tuple() makes it, and grows it, while an iterator runs."""
    seen: list[Any] = []

    def items() -> Iterator[Any]:
        for number in range(30):
            thing = Thing()
            yield thing
            if number in (3, 20):
                seen.append(why_alive(thing))
                seen.append(heap(top=3))

    assert len(tuple(items())) == 30
    assert len(seen) == 4


def test_in_a_task() -> None:
    it = KEPT["it"] = Thing()

    async def ask() -> None:
        check_finds_it(it)
        await asyncio.sleep(0)
        check_finds_it(it)

    async def main() -> None:
        await asyncio.gather(ask(), ask())

    asyncio.run(main())


def test_in_other_threads() -> None:
    it = KEPT["it"] = Thing()
    assert run_all(lambda: check_finds_it(it)) == [None]
    found = run_all(*[lambda: why_alive(it).paths] * 3)  # at the same time
    assert all(isinstance(paths, tuple) and paths for paths in found), found


def test_while_other_threads_change_everything() -> None:
    it = KEPT["it"] = Thing()
    numbers = iter(range(10**9))

    def change() -> None:
        number = next(numbers)
        KEPT[str(number)] = [[Thing()] for _ in range(number % 7)]
        KEPT.pop(str(number - 50), None)
        thing = Thing()
        thing.itself = thing
        setattr(thing, f"a{number % 11}", {number: thing})

    def ask() -> None:
        assert blamed(why_alive(it).paths)
        assert retained(it).objects >= 1
        assert heap(top=3).objects > 0

    Crew(change, change, ask).run(0.5 if PYPY or FREE_THREADED else 1.5)


def test_near_the_recursion_limit() -> None:
    it = KEPT["it"] = Thing()
    outcomes: list[str] = []

    def descend() -> None:
        with suppress(RecursionError):
            descend()
        if outcomes.count("found") < 2:
            try:
                assert blamed(why_alive(it).paths)
                outcomes.append("found")
            except RecursionError:
                outcomes.append("too deep")

    descend()
    assert "found" in outcomes


def test_a_deeply_nested_object() -> None:
    inner = Thing()
    nested: Any = inner
    for _ in range(50_000):
        nested = [nested]
    KEPT["it"] = nested
    del nested
    retention = why_alive(inner)
    assert retention.verdict
    assert str(retention)


# What it must not do ------------------------------------------------------------------------------


def calls_trapped() -> tuple[type, list[str]]:
    """A class whose instances and itself record all code of theirs that runs."""
    calls: list[str] = []

    def trap(name: str) -> Callable[..., Any]:
        def method(self: object, *rest: object) -> Any:
            calls.append(name)
            raise SystemError(name)

        return method

    names = [
        "__eq__", "__ne__", "__hash__", "__bool__", "__len__", "__iter__", "__contains__",
        "__getattribute__", "__getattr__", "__sizeof__", "__dir__", "__call__", "__instancecheck__",
        "__subclasscheck__", "__get__", "__set__", "__str__", "__format__", "__index__",
        "__reduce_ex__", "__enter__", "__next__", "__del__", "__lt__", "__getitem__",
        "__subclasshook__", "__prepare__", "__set_name__", "__length_hint__", "__await__",
    ]  # fmt: skip
    of_class = [
        "__eq__", "__hash__", "__bool__", "__len__", "__iter__", "__getattribute__",
        "__getattr__", "__call__", "__instancecheck__", "__subclasscheck__", "__sizeof__", "mro_",
    ]  # fmt: skip
    meta = type("Meta", (type,), {})
    trapped = type.__new__(
        meta, "Trapped", (), {name: trap(name) for name in names if name != "__del__"}
    )
    for name in of_class:
        type.__setattr__(meta, name, trap(f"class {name}"))
    return trapped, calls


def test_no_code_of_any_object_runs() -> None:
    trapped, calls = calls_trapped()
    one, two = object.__new__(trapped), object.__new__(trapped)
    object.__setattr__(one, "other", two)
    KEPT["it"] = one
    KEPT["key"] = {1: two}
    retention = why_alive(two)
    str(retention), retention.to_svg(), retention.to_json()
    retained(one)
    heap(top=5)
    assert [name for name in calls if name != "__repr__"] == []
    KEPT.clear()


def test_dead_proxies_and_what_lies_about_its_class() -> None:
    class Lying:
        @property
        def __class__(self) -> Any:
            raise SystemError

        def __repr__(self) -> str:
            raise SystemError

    thing = Thing()
    proxy = weakref.proxy(thing)
    del thing
    let_die()
    lying = Lying()
    for target in (proxy, lying):
        KEPT["it"] = target
        check_finds_it(target)
        assert retained(target).objects >= 1
    heap(top=5)


def everything(target: object) -> None:
    str(why_alive(target))
    retained(target)
    str(heap(top=5))


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="references are not counted there")
def test_reference_counts_are_as_before() -> None:
    class Holder:
        pass

    holder, thing = Holder(), Thing()
    holder.thing = thing  # type: ignore[attr-defined]
    function = lambda: thing  # noqa: E731
    KEPT["it"] = [holder, function, (thing,), {"thing": thing}]
    generator = (each for each in [thing])
    next(generator)
    watched = [
        holder, thing, function, generator, Holder, Thing, KEPT, KEPT["it"], sys.modules,
        sys.modules[__name__], sys._getframe(), type(generator),
    ]  # fmt: skip
    everything(thing)
    before = [sys.getrefcount(one) for one in watched]
    for _ in range(5 if C_CORE else 2):
        everything(thing)
    after = [sys.getrefcount(one) for one in watched]
    assert after == before


@pytest.mark.skipif(PYPY, reason="objects cannot be counted there")
def test_nothing_is_left_behind() -> None:
    thing = KEPT["it"] = Thing()
    everything(thing)
    gc_collect_harder()
    before = len(gc.get_objects())
    everything(thing)
    first = len(gc.get_objects())  # until 3.12, frames have dicts from then on
    for _ in range(5 if C_CORE else 2):
        everything(thing)
    assert len(gc.get_objects()) - first < 5  # no garbage either
    gc_collect_harder()
    assert len(gc.get_objects()) <= before + 5


def test_nothing_is_kept_alive() -> None:
    thing = Thing()
    thing.other = Thing()
    references = [weakref.ref(thing), weakref.ref(thing.other)]
    KEPT["it"] = thing
    results = [why_alive(thing), why_alive(thing.other), retained(thing), heap(top=100)]
    KEPT.clear()
    del thing
    let_die()
    assert [reference() for reference in references] == [None, None]
    assert len(results) == 4


def test_a_local_variable_is_let_go() -> None:
    """A running function's variables are read, and not copied where they would stay."""
    thing = Thing()
    reference = weakref.ref(thing)
    why_alive(thing)
    del thing
    let_die()
    assert reference() is None


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="locals() is a copy there")
def test_what_locals_has_given_out_stays() -> None:
    thing = Thing()
    given = locals()
    given["note"] = 1
    why_alive(thing)
    assert given["thing"] is thing
    assert given["note"] == 1


@pytest.mark.parametrize("enabled", [True, False])
def test_settings_are_as_before(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    callbacks = [] if PYPY else list(gc.callbacks)
    threshold = None if PYPY else gc.get_threshold()
    limit, interval = sys.getrecursionlimit(), sys.getswitchinterval()
    everything(Thing())
    assert gc.isenabled() is enabled
    assert PYPY or (list(gc.callbacks), gc.get_threshold()) == (callbacks, threshold)
    assert (sys.getrecursionlimit(), sys.getswitchinterval()) == (limit, interval)
    assert sys.gettrace() is None or "coverage" in sys.modules


def test_frozen_objects_are_seen() -> None:
    if PYPY:
        pytest.skip("objects cannot be frozen there")
    program = """
        import gc
        import weakly
        from weakly.tracking import why_alive
        class Page: pass
        kept = [Page()]
        gc.freeze()
        print(why_alive(kept[0]).paths[0].expression)
    """
    assert check_runs(program).strip() == "__main__.kept[0]"


@pytest.mark.c_core(reason="the Python engine allocates all the time")
@failing_allocations
@pytest.mark.parametrize("what", ["chains", "heap", "retained"])
def test_without_memory(what: str, length: int) -> None:
    program = """
        import sys
        from no_memory import fails
        from weakly._implementation import find_chains, heap_sizes, retained_sizes

        what, length = sys.argv[1], int(sys.argv[2])
        class Page: pass
        kept = [Page()]
        modules = list(sys.modules.values())

        def ask(held):
            if what == "chains":
                return find_chains(
                    held, 3, 100, modules, [], [], [], None, (dict, list), (tuple,), False
                )
            if what == "heap":
                return heap_sizes(3, 10, modules, [], [], False)
            return retained_sizes(held, False)

        expected = len(str(ask([kept[0]])[0])) > 0
        count = sys.getrefcount(kept[0])
        failures = sum(fails(ask, [kept[0]], at=at, length=length) for at in range(1, 150))
        assert sys.getrefcount(kept[0]) == count, (sys.getrefcount(kept[0]), count)
        assert ask([kept[0]])
        print(failures)
    """
    assert count_failures(program, what, length) > 3
