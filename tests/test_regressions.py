"""A test for each bug that was found by reading rather than by the other tests."""

import contextlib
import functools
import gc
import sys
import threading
import time
import types
import warnings
import weakref
from typing import Any

import pytest
from support import (
    PYPY,
    EqualToAll,
    Member,
    check_runs,
    count_failures,
    failing_allocations,
    gc_collect_harder,
    let_die,
    run_python,
    wait_until,
)

import weakly
from weakly import (
    EphemeronDictionary,
    IdRef,
    Signal,
    WeakCallable,
    WeakKeyDictionary,
    WeakSet,
    WeakValueDictionary,
    _workers,
)

needs_hooks = pytest.mark.skipif(not hasattr(gc, "callbacks"), reason="no hooks of the collector")


class Colliding:
    """Equal by number, all with the same hash; `on_compare` runs once, inside `__eq__`."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.on_compare: Any = None

    def __hash__(self) -> int:
        return 3

    def __eq__(self, other: object) -> bool:
        if self.on_compare is not None:
            act, self.on_compare = self.on_compare, None
            act()
        return isinstance(other, Colliding) and self.number == other.number


def test_eq_that_removes_and_inserts_again_the_key_it_compares() -> None:
    """The new entry could be taken for the old one, with an index slot that was stale."""
    table: WeakKeyDictionary[Colliding, str] = WeakKeyDictionary()
    stored, equal = Colliding(1), Colliding(1)
    table[stored] = "before"

    def again() -> None:
        del table[stored]
        table[stored] = "again"

    stored.on_compare = again
    del table[equal]
    table._check()
    more = [Colliding(number) for number in range(5, 25)]
    for key in more:
        table[key] = "more"
    table._check()
    assert len(table) == len(more)


@pytest.mark.parametrize("removed", [False, True])
def test_rows_left_to_an_iterator_keep_no_key_alive(removed: bool) -> None:
    """They gave their references the keys, which the collector then could not see."""

    class Key:
        table: Any
        iterator: Any

    key, value = Key(), Member(0)
    table: WeakValueDictionary[Any, Member] = WeakValueDictionary()
    key.table = table
    table[key] = value
    key.iterator = iter(table.keys())
    others = [Member(number) for number in range(50)]
    table.update(enumerate(others))  # moves the rows
    if removed:
        del table[key]
    else:
        del key.iterator
    alive = weakref.ref(key)
    del key, table
    gc_collect_harder()
    assert alive() is None


def test_popping_all_while_an_iterator_is_open_takes_linear_time() -> None:
    def seconds(count: int) -> float:
        members = [Member(number) for number in range(count)]
        table = WeakSet(members)
        iterator = iter(table)
        next(iterator)
        start = time.thread_time()
        while table:
            table.pop()
        return time.thread_time() - start

    seconds(1000)
    assert min(seconds(40_000) for _ in range(3)) < 40 * min(seconds(4_000) for _ in range(3))


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_missing_that_is_no_plain_function(kind: Any) -> None:
    class WithMissing(WeakKeyDictionary[Any, Any]):
        __missing__ = kind(lambda *arguments: arguments)

    key = Member(1)
    expected = (key,) if kind is staticmethod else (WithMissing, key)
    assert WithMissing()[key] == expected


def test_keyed_ref_whose_key_is_the_callback_of_another_table() -> None:
    """It was looked up there, in rows of another shape."""
    keys = [Member(number) for number in range(5)]
    table = WeakKeyDictionary(dict.fromkeys(keys, 0))
    callback = weakref.getweakrefs(keys[0])[0].__callback__
    referent = Member(9)
    reference = weakly.KeyedRef(referent, None, callback)
    for key in keys:
        table[key] = reference  # type: ignore[assignment]  # so that its address is in a row
    try:
        assert reference.key is callback
    except AttributeError:
        assert weakly.implementation == "c"


@needs_hooks
def test_inserting_after_the_hooks_were_cleared_takes_linear_time() -> None:
    """While it is unknown whether a collection runs, a table may not be searched each time."""
    hooks = gc.callbacks[:]
    enabled = gc.isenabled()

    def seconds(count: int) -> float:
        members = [Member(number) for number in range(count)]
        table: WeakSet[Member] = WeakSet()
        gc.callbacks.clear()
        start = time.thread_time()
        for member in members:
            table.add(member)
        return time.thread_time() - start

    gc.disable()
    try:
        seconds(1000)
        assert min(seconds(20_000) for _ in range(3)) < 40 * min(seconds(2_000) for _ in range(3))
    finally:
        if enabled:
            gc.enable()
        gc.callbacks[:] = hooks
    let_die()


@needs_hooks
def test_a_hook_of_the_collector_that_equals_everything() -> None:
    """It was taken for ours, so that a finalizer's insertions were counted for ever."""

    class Cycle:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            table.add(self)

    table: WeakSet[Any] = WeakSet()
    hooks = gc.callbacks[:]
    gc.callbacks[:] = [EqualToAll()]
    try:
        for _ in range(20):
            Cycle()
        gc_collect_harder()
        assert len(table) == len(list(table)) == 0
    finally:
        gc.callbacks[:] = hooks


def test_pairs_that_are_used_again_have_their_own_hash() -> None:
    """Tuples know their hash from 3.14 on; a pair that got new items kept the old one."""
    keys = [Member(number) for number in range(4)]
    for table in (
        WeakKeyDictionary(zip(keys, range(4), strict=True)),
        WeakValueDictionary(zip(range(4), keys, strict=True)),
    ):
        pairs = list(table.items())
        assert list(map(hash, table.items())) == list(map(hash, pairs))
        wanted = set(pairs[1:])
        assert len(list(filter(wanted.__contains__, table.items()))) == 3


def test_the_class_of_an_entrys_reference_cannot_be_changed_to_escape_its_table() -> None:
    class Sub(weakly.KeyedRef[Any, Any]):
        pass

    value = Member(1)
    table = WeakValueDictionary({1: value})
    with contextlib.suppress(TypeError):
        table.data[1].__class__ = Sub
    del value
    let_die()
    assert len(table) == len(list(table)) == 0


def test_long_chains_of_keyed_references_are_freed() -> None:
    referent, reference = Member(1), None
    for _ in range(100_000):
        reference = weakly.KeyedRef(referent, None, reference)
    del reference
    let_die()


def test_a_finalizer_that_is_initialised_while_it_is_being_initialised() -> None:
    """It was in the registry twice, which then had no end."""
    program = """
        from weakly._implementation import Finalizer, live_finalizers

        asked = False

        class Thing:
            pass

        class ExitFunction:  # asked for when the process makes its first finalizer
            def __get__(self, instance, owner):
                global asked
                if not asked:
                    asked = True
                    finalizer.__init__(thing, print, "inner")
                return lambda: None

        class Reentrant(Finalizer):
            _exitfunc = ExitFunction()

        thing, finalizer = Thing(), Reentrant.__new__(Reentrant)
        try:
            finalizer.__init__(thing, print, "outer")
        except TypeError as error:
            print(error)
        print(len(live_finalizers()), finalizer.alive)
        """
    lines = check_runs(program).splitlines()
    assert lines[-1] == "1 True"


class Node:
    """A key or a value with a dict."""


@pytest.mark.parametrize("through", ["frame", "traceback"])
def test_a_key_that_is_reached_through_the_frame_of_a_suspended_generator(through: str) -> None:
    """A frame does not refer to its generator, but takes over what that holds."""
    caught: list[Any] = []

    def generator(key: Node) -> Any:
        if through == "traceback":
            try:
                raise ValueError
            except ValueError as error:
                caught.append(error)
        yield

    table: EphemeronDictionary[Node, Any] = EphemeronDictionary()
    key: Node | None = Node()
    watch = weakref.ref(key)
    suspended = generator(key)
    next(suspended)
    frame = suspended.gi_frame if through == "frame" else None
    table[key] = suspended
    del key, suspended
    weakly.collect()
    assert list(table) == [watch()]
    frame = frame or caught[0].__traceback__.tb_frame
    assert frame.f_locals["key"] is watch()


@pytest.mark.parametrize("shared", [False, True])
def test_a_key_that_is_reached_through_the_dict_of_the_value(shared: bool) -> None:
    """An object can have a dict whose values it visits itself (CPython GH-130327)."""
    table: EphemeronDictionary[Node, Node] = EphemeronDictionary()
    key, value, other = Node(), Node(), Node()
    watch = weakref.ref(key)
    value.key = key  # type: ignore[attr-defined]
    namespace = vars(value)
    if shared:
        other.__dict__ = namespace
        del namespace
    table[key] = value
    del key, value
    weakly.collect()
    assert list(table) == [watch()]
    assert vars(other)["key"] is watch() if shared else namespace["key"] is watch()


@pytest.mark.parametrize(
    "clear",
    [
        "",
        pytest.param("gc.callbacks.clear()", marks=needs_hooks),
    ],
)
def test_collect_in_a_finalizer_of_a_collection_whose_start_nobody_saw(clear: str) -> None:
    """It waited for ever for what it took for another thread's collection."""
    result = run_python(
        f"""
        import gc
        import weakly

        class Cycle:
            def __del__(self):
                weakly.collect()
                print("collected")

        {clear}
        cycle = Cycle()
        cycle.itself = cycle
        del cycle
        gc.collect()
        """,
        timeout=30,
    )
    assert (result.returncode, result.stdout) == (0, "collected\n"), result.stderr


def test_identity_references_of_a_subclass_with_a_comparison_of_its_own() -> None:
    class Ordered(IdRef[Member]):
        def __lt__(self, other: object) -> bool:
            return False

    member = Member(1)
    reference = Ordered(member)
    assert reference == reference
    assert reference == Ordered(member) == IdRef(member)
    assert Ordered(member) in {reference}


@pytest.mark.skipif(PYPY, reason="every class there has weak references")
def test_a_weak_attribute_whose_default_is_replaced_while_it_is_compared() -> None:
    class Default:
        __slots__ = ()  # cannot be weakly referenced

        def __eq__(self, other: object) -> bool:
            Owner.__dict__["other"].__init__(default=None)
            return True

        __hash__ = None  # type: ignore[assignment]

    class Owner:
        other: Any = weakly.attribute(Default())

    owner = Owner()
    owner.other = Default()
    assert owner.other is None


def test_a_key_that_the_collector_does_not_track_yet_is_of_a_type_that_it_knows() -> None:
    """Some versions leave frozen sets of atoms alone."""
    table: EphemeronDictionary[frozenset[int], Any] = EphemeronDictionary()
    key: Any = frozenset([1, 2, 3])
    table[key] = [key]
    del key
    weakly.collect()
    assert len(table) == (0 if weakly.implementation == "c" else 1)


def test_a_cache_that_dies_with_its_listener_does_not_call_it() -> None:
    """The collector had taken the function apart, and calling it crashed."""
    check_runs(
        """
        import gc
        import weakly

        class Value:
            pass

        def build(values):
            def on_evict(key, value, cause):
                print(key, cause)

            on_evict.holder = list(values)
            on_evict.cache = cache = weakly.WeakCache(1, on_evict=on_evict)
            for number, value in enumerate(values):
                cache[number] = value

        gc.disable()
        values = tuple(Value() for _ in range(3))
        gc.collect()
        build(values)
        del values
        gc.collect(0)
        """
    )


def test_a_cache_does_not_take_a_key_twice() -> None:
    """An __eq__ that stored the very key made a second entry for it."""
    cache: Any = weakly.WeakCache(100)
    stored, equal = Colliding(1), Colliding(2)
    cache[stored] = "other"

    def store_inside() -> None:
        cache[equal] = "inner"

    stored.on_compare = store_inside
    cache[equal] = "outer"
    cache._check()
    assert len(cache) == 2
    del cache[equal]
    assert equal not in cache


def test_a_cache_whose_comparisons_make_other_entries_come_and_go() -> None:
    """The search started again for ever, whatever entries it was that changed."""
    check_runs(
        """
        import weakly

        class Key:
            def __hash__(self):
                return 1

            def __eq__(self, other):
                if others:
                    function(object())
                    function(Other())
                return self is other

        class Other:
            pass

        others = False
        function = weakly.cache(maxsize=2)(lambda x: 1)
        first, second = Key(), Key()
        function(first)
        others = True
        function(second)
        """,
        timeout=30,
    )


@pytest.mark.c_core(reason="the Python tables cannot collect ephemerons")
def test_a_tuple_that_the_collector_does_not_track_holds_the_key() -> None:
    """Such tuples hold nothing that the collector knows, but the walk must look into them."""
    table: EphemeronDictionary[Any, Any] = EphemeronDictionary()
    results = weakly.cache(lambda code: (code, 1))
    for put in (lambda code: table.__setitem__(code, (code,)), results):
        code = compile("x", "name", "eval")
        watch = weakref.ref(code)
        put(code)
        gc.collect(0)
        gc.collect(0)
        del code
        weakly.collect()
        assert watch() is None


@pytest.mark.c_core(reason="the collector clears references that the Python tables consist of")
def test_a_cache_that_a_finalizer_saves_has_no_invisible_entries() -> None:
    """Their values had been in the window, but could not be held weakly any more."""
    saved: list[Any] = []

    class Saves:
        cache: Any

        def __del__(self) -> None:
            saved.append(self.cache)

    cache: Any = weakly.WeakCache(4)
    cache.saves = saves = Saves()
    saves.cache = cache
    for number in range(4):
        cache[number] = Member(number)
    del cache, saves
    gc_collect_harder()
    [cache] = saved
    held = [cache.get(number) for number in range(4)]
    for number in range(100, 140):
        cache[number] = Member(number)
        cache.get(number)
    assert len(cache) == len(list(cache.items()))
    del held
    let_die()
    assert len(cache) == len(list(cache.items()))
    cache._check()


# --- WeakCallable, Signal, ReferenceQueue


def test_a_function_made_for_a_method_is_kept_by_each_weak_callable() -> None:
    """Only the first kept it: the second died with the first."""

    class Own:
        pass

    def call_once(signal: Any) -> list[Any]:
        results = signal.collect()
        return [result for result in results if result == "called"]

    obj = Own()
    method = types.MethodType(lambda self: "called", obj)
    first, second = WeakCallable(method), WeakCallable(method)
    copied = WeakCallable(second)
    one, other = Signal(), Signal()
    one.connect(method)
    one.connect(method, priority=1)  # connected again
    other.connect(method)
    del method
    gc.collect()
    del first
    gc.collect()
    assert second() == "called"
    del second
    gc.collect()
    assert copied() == "called"
    del copied
    assert call_once(one) == ["called"]
    one.disconnect_all()
    gc.collect()
    assert call_once(other) == ["called"]
    died = weakref.ref(obj)
    del obj
    gc_collect_harder()
    assert died() is None
    assert not other.has_listeners


def test_a_weak_callable_that_is_half_made() -> None:
    """Seen by the collector's list, it had no name to be shown with, which crashed."""
    seen: list[Any] = []
    others = {id(each) for each in gc.get_objects()}

    class Callable:
        def __call__(self) -> None:
            pass

        @property
        def __self__(self) -> Any:
            for each in gc.get_objects():
                if type(each) is WeakCallable and id(each) not in others:
                    seen.append(repr(each))
                    with contextlib.suppress(ReferenceError):
                        each()
            raise AttributeError

    inner = functools.partial(Callable())
    weak = WeakCallable(inner)
    assert weak.target is inner
    assert seen or PYPY or weakly.implementation == "python"


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="counts references")
def test_a_failed_weak_callable_holds_nothing() -> None:
    """The function of a partial's method was never released."""

    class Fails:
        def __call__(self, *args: Any) -> None:
            pass

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError

    fails, obj = Fails(), Member("self")
    partial = functools.partial(types.MethodType(fails, obj))
    before = sys.getrefcount(fails)
    for _ in range(50):
        with contextlib.suppress(RuntimeError):
            WeakCallable(partial)
    gc.collect()
    assert sys.getrefcount(fails) < before + 10


def test_a_decorated_weak_listener_needs_no_warning() -> None:
    """The function was held by nobody yet when the decorator was called."""
    signal = Signal()
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        @signal.connect(weak=True)
        def listener() -> str:
            return "heard"

    assert signal.collect() == ["heard"]
    assert listener() == "heard"


def test_a_signal_of_instances_that_are_tuples() -> None:
    """The instance was taken for the arguments of the function that makes its signal."""
    try:

        class Pair(tuple[int, int]):
            __slots__ = ("__weakref__",)
            changed = Signal[int]()

    except TypeError:
        pytest.skip("tuples cannot be weakly referenced before 3.15")
    pair = Pair((1, 2))
    heard: list[int] = []
    pair.changed.connect(heard.append)
    pair.changed.emit(5)
    assert heard == [5]


def test_an_interrupt_while_a_listener_is_looked_at() -> None:
    """It was taken for "cannot be referenced so", and the listener was looked at again."""
    asked: list[int] = []

    class Callable:
        def __call__(self) -> None:
            pass

        @property
        def __self__(self) -> Any:
            asked.append(1)
            raise KeyboardInterrupt

    signal = Signal()
    signal.connect(bool)
    with pytest.raises(KeyboardInterrupt):
        signal.connect(Callable())
    assert len(asked) == 1
    assert len(signal.collect()) == 1


@pytest.mark.skipif(PYPY, reason="what a finalizer finds there may be dead already")
def test_somebody_waits_for_a_death_whose_callback_is_skipped() -> None:
    """Nobody was woken by the death of what a finalizer had tracked during a collection."""
    check_runs("""
        import gc, threading
        from weakly import ReferenceQueue

        queue = ReferenceQueue()

        class Other:
            pass

        class Node:
            def __init__(self):
                self.me, self.other = self, Other()
                self.other.node = self

            def __del__(self):
                queue.track(self.other, "other")

        taken = []
        thread = threading.Thread(target=lambda: taken.append(queue.get()), daemon=True)
        thread.start()
        thread.join(0.2)  # for it to wait
        Node()
        gc.collect()
        gc.collect()
        thread.join(60)
        assert taken == ["other"], taken
    """)


@pytest.mark.c_core(reason="subclasses of weakref.ref in Python are not safe from that")
@pytest.mark.parametrize("kind", ["TrackedRef", "KeyedRef"])
def test_references_on_their_way_out_are_out_of_sight(kind: str) -> None:
    """In a long chain they wait for their end, where the collector revived them, and crashed."""
    check_runs(
        """
        import gc, sys, weakref
        from weakly import KeyedRef, ReferenceQueue

        class Node:
            pass

        class Looks:
            def __del__(self):
                gc.collect()
                weakref.getweakrefs(other)

        queue, node, other = ReferenceQueue(), Node(), Node()
        node.me, held, references = node, None, []
        for number in range(300):
            for obj in node, other:
                if sys.argv[1] == "TrackedRef":
                    reference = queue.track(obj, held)
                else:
                    reference = KeyedRef(obj, id, held)
                references.append(reference)
                held = (Looks() if number % 10 == 0 else None, reference)
        for reference in references:
            if sys.argv[1] == "TrackedRef":
                reference.cancel()
        del reference, references
        gc.collect()
        del node, obj
        gc.disable()
        del held
        queue._check()
        """,
        kind,
    )


@pytest.mark.c_core(reason="one that is half made in Python lacks attributes")
def test_a_weak_callable_whose_references_are_being_made() -> None:
    """A collection could begin there in 3.11: who then called it crashed."""
    check_runs("""
        import gc, types
        from contextlib import suppress
        from weakly import WeakCallable

        class Object:
            def method(self):
                return 5

        def call_all(phase, info):
            for each in gc.get_objects():
                if type(each) is WeakCallable:
                    with suppress(ReferenceError):
                        assert each() == 5

        obj = Object()
        gc.collect()
        gc.callbacks.append(call_all)
        for method in obj.method, types.MethodType(lambda self: 5, obj):
            for threshold in range(1, 12):
                gc.collect()
                gc.set_threshold(threshold)
                weak = WeakCallable(method, id)
                gc.set_threshold(700)
                assert weak() == 5
    """)


@pytest.mark.c_core(reason="no memory for Python code, either")
@failing_allocations
def test_tracking_in_a_collection_without_memory(length: int) -> None:
    """What failed there beside the tracking itself made it return with an exception set."""
    program = """
        import gc, sys
        from no_memory import fails
        from weakly import ReferenceQueue

        length = int(sys.argv[1])

        class Object:
            pass

        def track(phase, info):
            if phase == "start":
                used.extend([] for _ in range(200))  # the interpreter has no spare lists now
                other.track(obj)
                for at in range(1, 20):
                    queues.append(ReferenceQueue())
                    results.append(fails(queues[-1].track, obj, at, at=at, length=length))
                    if not results[-1]:
                        break

        obj, other, queues, results, used = Object(), ReferenceQueue(), [], [], []
        gc.callbacks.append(track)
        gc.collect()
        gc.callbacks.remove(track)
        tracked = [queue.tracked for queue in queues]
        assert tracked == [not failed for failed in results], (tracked, results)
        del obj
        assert queues[-1].poll() == len(queues)
        print(len(queues))
    """
    assert count_failures(program, length) > 1


@pytest.mark.c_core(reason="no memory for Python code, either")
@failing_allocations
def test_what_drain_has_taken_is_not_lost(length: int) -> None:
    """Where others took tokens meanwhile, there was too much room: giving it back could fail."""
    program = """
        import gc, sys
        from no_memory import remove_mem_hooks, set_nomemory
        from weakly import ReferenceQueue

        length = int(sys.argv[1])

        class Object:
            pass

        def others_take(phase, info):
            if spots:
                for spot in spots.pop():
                    others[spot] = queue.poll()

        used = [[] for _ in range(200)]  # so that the interpreter has no spare lists
        spots, interrupted = [], 0
        gc.callbacks.append(others_take)
        for threshold in range(1, 8):
            for at in range(1, 20):
                queue, others = ReferenceQueue(), [None] * 20
                objects = [Object() for _ in range(60)]
                for number in range(60):
                    queue.track(objects.pop(), number)
                drain, tokens = queue.drain, []
                gc.collect()
                spots.append(range(20))
                gc.set_threshold(threshold)
                set_nomemory(at, at + length if length else 0)
                try:
                    tokens = drain()
                except MemoryError:
                    pass
                finally:
                    remove_mem_hooks()
                gc.set_threshold(700)
                spots.clear()
                tokens += queue.drain()
                taken = [token for token in others if token is not None]
                assert sorted(tokens + taken) == list(range(60))
                interrupted += bool(taken)
        print(interrupted)
    """
    count_failures(program, length)  # in some versions no collection begins in between


@pytest.mark.parametrize("has_started", [False, True])
def test_a_worker_without_memory_for_its_thread(monkeypatch, has_started):
    """It never ended, and so the program, at exit, neither."""

    class NoMemory(threading.Thread):
        def start(self):
            if has_started:
                super().start()
            raise MemoryError

    monkeypatch.setattr(_workers, "Thread", NoMemory)
    runs = []
    worker = _workers.Worker(runs.append, "without memory")
    assert worker.start()
    wait_until(lambda: runs)
    worker.wait()
    assert runs == [worker]
