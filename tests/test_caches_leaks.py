"""What all caches must stand: much coming and going, results that refer back, code that re-enters,
and threads.

One row of `USERS` for each decorator; a test that is about one of them only is in its file.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import random
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from paths import paths as all_paths
from support import (
    C_CORE,
    COUNTS_REFERENCES,
    PYPY,
    Crew,
    EqualMember,
    Member,
    Thing,
    atomic_look_ups,
    collects,
    count_failures,
    durations,
    failing_allocations,
    gc_collect_harder,
    let_die,
    members,
    run_all,
    wait_until,
)

import weakly
from weakly import WeakCache, cache, cached_method, cached_property


class User(ABC):
    """Calls something cached about an object. `make` gives what a run gives for the object."""

    def __init__(self, make: Callable[[Any], Any] = lambda obj: [None]) -> None:
        self.make = make
        self.prepare()

    @abstractmethod
    def prepare(self) -> None: ...

    def new(self) -> Any:
        return Thing()

    @abstractmethod
    def __call__(self, obj: Any) -> Any: ...

    @abstractmethod
    def cached(self) -> Any:
        """What has `cache_info` and the like."""


class FunctionUser(User):
    options: dict[str, Any]

    def __init_subclass__(cls, **options: Any) -> None:
        cls.options = options

    def prepare(self) -> None:
        make = self.make

        @cache(**self.options)
        def function(obj: Any, *args: Any, **kwargs: Any) -> Any:
            return make(obj)

        self.function = function

    def __call__(self, obj: Any) -> Any:
        return self.function(obj)

    def cached(self) -> Any:
        return self.function


class ByEquality(FunctionUser):
    pass


class ByIdentity(FunctionUser, by="identity"):
    pass


class Bounded(FunctionUser, maxsize=100):
    pass


class Timed(FunctionUser, ttl=1000):
    pass


class Typed(FunctionUser, typed=True):
    pass


class TwoArguments(FunctionUser):
    """The other one lives on."""

    def prepare(self) -> None:
        super().prepare()
        self.other = Thing()

    def __call__(self, obj: Any) -> Any:
        return self.function(self.other, 5, obj)


class Keywords(FunctionUser):
    def prepare(self) -> None:
        make = self.make

        @cache
        def function(number: int, *, obj: Any) -> Any:
            return make(obj)

        self.function = function

    def __call__(self, obj: Any) -> Any:
        return self.function(5, obj=obj)


class MethodUser(User):
    options: ClassVar[dict[str, Any]] = {}

    def prepare(self) -> None:
        make = self.make

        class Class(Thing):
            @cached_method(**self.options)
            def compute(self, *args: Any) -> Any:
                return make(self)

            @cached_property
            def value(self) -> Any:
                return make(self)

            @classmethod
            @cached_method
            def of_class(cls, obj: Any) -> Any:
                return make(obj)

        self.cls: Any = Class

    def new(self) -> Any:
        return self.cls()

    def __call__(self, obj: Any) -> Any:
        return obj.compute()

    def cached(self) -> Any:
        return self.cls.compute


class BoundedMethodUser(MethodUser):
    options: ClassVar = {"maxsize": 2}


class MethodArgumentUser(MethodUser):
    """The instance lives, the argument comes and goes."""

    def prepare(self) -> None:
        make = self.make

        class Class(Thing):
            @cached_method
            def compute(self, obj: Any) -> Any:
                return make(obj)

        self.cls = Class
        self.instance = Class()

    def new(self) -> Any:
        return Thing()

    def __call__(self, obj: Any) -> Any:
        return self.instance.compute(obj)


class ItselfUser(MethodUser):
    """The instance is an argument too."""

    def __call__(self, obj: Any) -> Any:
        return obj.compute(obj, 5)


class ClassMethodUser(MethodUser):
    def new(self) -> Any:
        return Thing()

    def __call__(self, obj: Any) -> Any:
        return self.cls.of_class(obj)

    def cached(self) -> Any:
        return self.cls.of_class


class PropertyUser(MethodUser):
    def __call__(self, obj: Any) -> Any:
        return obj.value

    def cached(self) -> Any:
        return self.cls.value


USERS: list[type[User]] = [
    *(ByEquality, ByIdentity, Bounded, Timed, Typed, TwoArguments, Keywords),
    *(MethodUser, BoundedMethodUser, MethodArgumentUser, ItselfUser, ClassMethodUser),
    PropertyUser,
]
users = pytest.mark.parametrize("user_type", USERS, ids=lambda cls: cls.__name__)
MAIN = [ByEquality, ByIdentity, Bounded, MethodUser, MethodArgumentUser, PropertyUser]
main_users = pytest.mark.parametrize("user_type", MAIN, ids=lambda cls: cls.__name__)
lives = pytest.mark.parametrize(
    "count",
    [
        pytest.param(20_000 // len(USERS) // (4 if PYPY else 1), id="short"),
        pytest.param(1_000_000 // len(USERS), id="a million", marks=pytest.mark.slow),
    ],
)


def memory_of(turn: Callable[[int], object], count: int) -> int:
    """What is left of memory after so many turns, which is nothing, or little."""
    tracemalloc = pytest.importorskip("tracemalloc")  # PyPy has the module without its core
    turn(min(count, 2000))
    gc_collect_harder()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        turn(count)
        gc_collect_harder()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


# --- nothing is left of what comes and goes


@users
@lives
def test_instances_come_and_go(user_type: Any, count: int) -> None:
    """At once, where references are counted: the collector is off. Memory stays flat."""
    user = user_type()
    made = weakref.WeakSet[Any]()
    gc.disable()

    def turn(count: int) -> None:
        alive = []
        for number in range(count):
            obj = user.new()
            alive.append(obj)
            assert user(obj) is user(obj)
            if number % 100 == 0:
                made.add(obj)
            if len(alive) > 30:
                del alive[number % 30]

    if PYPY:
        turn(count)
    else:
        assert memory_of(turn, count) < 30_000
    let_die()
    assert user.cached().cache_info().currsize == 0
    assert len(made) == 0


@lives
def test_coroutine_functions_leave_nothing(count: int) -> None:
    class Class:
        @cached_method
        async def compute(self) -> list[int]:
            return [5]

        @cached_property
        async def value(self) -> list[int]:
            return [5]

    @cache
    async def function(obj: object) -> list[int]:
        return [5]

    def turn(count: int) -> None:
        async def main() -> None:
            for _ in range(count // 6):
                obj = Class()
                await asyncio.gather(obj.compute(), function(obj), obj.value)
                assert await obj.compute() is await obj.compute()
                assert await function(obj) is await function(obj)
                assert await obj.value is await obj.value

        asyncio.run(main())

    if PYPY:
        turn(count // 4)
    else:
        assert memory_of(turn, count) < 100_000
    gc_collect_harder()
    for cached in (Class.compute, Class.value, function):
        assert cached.cache_info().currsize == 0


@lives
def test_a_weak_cache_leaves_nothing(count: int) -> None:
    ends = itertools.count()
    weak_cache: Any = WeakCache(50, on_evict=lambda key, value, cause: next(ends))
    order = random.Random(5)

    def turn(count: int) -> None:
        held: list[Any] = []
        for number in range(count):
            key = order.choice((number, number % 70))
            held.append(weak_cache.get_or_create(key, lambda number=number: Member(number)))
            if number % 3:
                weak_cache[-number] = number
            if len(held) > 40:
                del held[order.randrange(40)]

    if PYPY:
        turn(count)
    else:
        assert memory_of(turn, count) < 30_000
    let_die()
    weak_cache._check()
    assert len(weak_cache) == weak_cache.window_weight <= 50


def test_functions_come_and_go() -> None:
    """Caches in closures, with entries whose arguments live on."""
    kept = members(20)

    def turn(count: int) -> None:
        for _ in range(count // 20):

            @cache
            def function(obj: object, x: int = 5) -> list[Any]:
                return [function, obj] if weakly.implementation == "c" else [obj]

            class Class(Thing):
                @cached_method
                def compute(self) -> list[Any]:
                    return [5]

                value = cached_property(lambda self: [5])

            some = [Class() for _ in range(3)]
            for obj in [*kept, *some]:
                function(obj)
            for one in some:
                one.compute()
                _ = one.value
            if weakly.implementation != "c":
                function.cache_clear()
            kept[0].other = some
        kept[0].other = None
        weakly.collect()

    if PYPY:
        turn(200)
    else:
        assert memory_of(turn, 1000) < 60_000
    gc_collect_harder()
    if COUNTS_REFERENCES:
        assert [weakref.getweakrefcount(obj) for obj in kept] == [0] * 20


# --- results that refer to what they were made from


# A coroutine is no result: it could be awaited only once.
paths = pytest.mark.parametrize(
    "path", [each for each in all_paths.args[1] if each.id != "frame of a coroutine"]
)


@collects
@pytest.mark.parametrize("user_type", [ByEquality, MethodUser, MethodArgumentUser, PropertyUser])
@paths
def test_a_result_does_not_keep_its_argument(user_type: Any, path: Any) -> None:
    """However it refers to it."""
    user = user_type(path)
    obj = user.new()
    assert user(obj) is user(obj)
    watch = weakref.ref(obj)
    weakly.collect()
    assert watch() is not None
    assert user.cached().cache_info().currsize == 1
    del obj
    weakly.collect()
    assert watch() is None
    assert user.cached().cache_info().currsize == 0


@paths
def test_a_held_result_keeps_its_argument(path: Any) -> None:
    """Nothing goes too early, in any implementation."""
    user = MethodUser(path)
    obj = user.new()
    result = user(obj)
    weakly.collect()
    assert user(obj) is result
    watch = weakref.ref(obj)
    del obj
    weakly.collect()
    again = watch()
    assert again is not None
    assert user(again) is result


class Chained(Thing):
    """Each way in which cached results of one instance can lead to others."""

    next: Any = None

    @cached_method
    def bound(self) -> Any:
        return self.bound

    @cached_method
    def of_itself(self) -> Any:
        return [self.bound(), self.of_argument(self), self.value, function_of(self)]

    @cached_method
    def of_argument(self, *args: Any) -> Any:
        return [self, args]

    @cached_method
    def of_next(self) -> Any:
        return [self.next, self.next.value]

    @cached_property
    def value(self) -> Any:
        return [self]

    @cached_property
    def descriptor(self) -> Any:
        return lambda: (self.value, self.descriptor, self.bound)


@cache
def function_of(*args: Any) -> Any:
    return args


CHAINS: dict[str, Callable[[Chained, Chained], Any]] = {
    "bound method": lambda one, two: one.bound(),
    "several results": lambda one, two: one.of_itself(),
    "property": lambda one, two: (one.value, one.descriptor, two.value),
    "argument": lambda one, two: one.of_argument(two),
    "arguments in a tuple": lambda one, two: one.of_argument((two, one)),
    "each other": lambda one, two: (one.of_argument(two), two.of_argument(one)),
    "next": lambda one, two: (one.of_next(), two.of_next()),
    "function": lambda one, two: (function_of(one, two), function_of(two, one)),
    "strong argument": lambda one, two: (function_of(one, (one,)), function_of((two, one), two)),
    "strong argument of a method": lambda one, two: one.of_argument(two, (one, two)),
}


@collects
@pytest.mark.parametrize("use", CHAINS.values(), ids=CHAINS)
@pytest.mark.parametrize("order", [(0, 1), (1, 0), None], ids=["forth", "back", "together"])
def test_results_that_lead_to_other_instances(use: Any, order: Any) -> None:
    """One that is held may hold the other by its results; without holders, both go."""
    held = dict(enumerate([Chained(), Chained()]))
    held[0].next, held[1].next = held[1], held[0]
    use(held[0], held[1])
    watches = [weakref.ref(obj) for obj in held.values()]
    held[0].next = held[1].next = None
    for first in order or ():
        weakly.collect()
        assert all(watches[at]() is obj for at, obj in held.items())
        del held[first]
    held.clear()
    weakly.collect()
    assert [watch() for watch in watches] == [None, None]
    assert function_of.cache_info().currsize == 0
    for cached in (Chained.bound, Chained.of_itself, Chained.of_argument, Chained.of_next):
        assert cached.cache_info().currsize == 0


@collects
def test_of_several_arguments_the_dead_one_decides() -> None:
    """The result refers to both; one is held."""
    function = cache(lambda *args: [args])
    for dies in (0, 1, 2):
        some: list[Any] = [Thing(), Thing(), Thing()]
        function(*some)
        watches = [weakref.ref(each) for each in some]
        weakly.collect()
        assert function.cache_info().currsize == 1
        del some[dies]
        weakly.collect()
        assert function.cache_info().currsize == 0
        assert [watch() is None for watch in watches] == [at == dies for at in range(3)]


@collects
def test_the_function_is_reached_from_an_argument_only() -> None:
    for _ in range(3):
        obj = Thing()
        obj.function = cache(lambda x: [x])
        obj.function(obj)
        obj.function((obj, 5))
        watch = weakref.ref(obj)
        del obj
        weakly.collect()
        assert watch() is None


@collects
def test_a_long_chain_of_results() -> None:
    @cache
    def follow(obj: Any) -> Any:
        return [obj.label, obj.other]

    first = None
    for label in range(3000):
        member = Member(label)
        member.other, first = first, member
        follow(member)
        member.other = None  # now only the result has the next
    watch = weakref.ref(member)
    del member
    weakly.collect()
    assert follow.cache_info().currsize == 3000
    del first
    weakly.collect()
    assert watch() is None
    assert follow.cache_info().currsize == 0


@collects
def test_asynchronous_results_that_refer_to_their_instance() -> None:
    class Class(Thing):
        @cached_method
        async def compute(self) -> Any:
            await asyncio.sleep(0)
            return [self]

        @cached_property
        async def value(self) -> Any:
            await asyncio.sleep(0)
            return lambda: self

    async def main() -> weakref.ref[Any]:
        obj = Class()
        await asyncio.gather(obj.compute(), obj.compute(), obj.value)
        assert await obj.value is await obj.value
        return weakref.ref(obj)

    watch = asyncio.run(main())
    weakly.collect()
    assert watch() is None


# --- code that re-enters


class Trap:
    """Does something once, the next time that it is sprung."""

    def __init__(self) -> None:
        self.action: Callable[[], object] | None = None

    def spring(self) -> None:
        action, self.action = self.action, None
        if action is not None:
            action()


class Trapped(Member):
    """Equal by label, hashes collide; asking, comparing or ending one springs the trap."""

    __slots__ = ("hook", "trap")

    def __init__(self, label: Any, trap: Trap, hook: str) -> None:
        super().__init__(label)
        self.trap = trap
        self.hook = hook

    def spring(self, hook: str) -> None:
        if self.hook == hook:
            self.trap.spring()

    def __eq__(self, other: object) -> bool:
        self.spring("eq")
        return isinstance(other, Trapped) and self.label == other.label

    def __hash__(self) -> int:
        self.spring("hash")
        return 5

    def __del__(self) -> None:
        self.spring("del")


class FunctionScene:
    """A cached function with six entries whose arguments are trapped."""

    def __init__(self, hook: str, **options: Any) -> None:
        self.trap = Trap()
        self.hook = hook

        @cache(**options)
        def function(obj: Any, *args: Any) -> Any:
            if hook == "call":
                self.trap.spring()
            trap = self.trap if hook == "result" else Trap()
            result = Trapped(("result", obj.label), trap, "del")
            result.other = obj.label
            return result

        self.function: Any = function
        self.kept = [self.key(label) for label in range(6)]
        for key in self.kept:
            function(key)

    def key(self, label: Any) -> Trapped:
        return Trapped(label, self.trap, self.hook)

    def use(self, label: Any) -> None:
        assert self.function(self.key(label)).other == label

    def end(self) -> None:
        self.trap.action = None
        self.function._check()
        for label in range(8):
            key = self.key(label)
            found = self.function(key)
            assert found.other == label
            assert self.function(key) is found
        self.function._check()
        del key
        if COUNTS_REFERENCES:
            let_die()
            assert self.function.cache_info().currsize <= len(self.kept)


ACTIONS: dict[str, Callable[[Any], object]] = {
    "clear": lambda scene: scene.function.cache_clear(),
    "discard the same": lambda scene: scene.function.cache_discard(scene.key(3)),
    "discard others": lambda scene: [
        scene.function.cache_discard(scene.key(label)) for label in (0, 2, 4)
    ],
    "use the same": lambda scene: suppressed(scene.use, 3),
    "use another": lambda scene: suppressed(scene.use, 4),
    "use new ones": lambda scene: [suppressed(scene.use, label) for label in range(100, 130)],
    "arguments die": lambda scene: scene.kept.clear(),
    "one argument dies": lambda scene: scene.kept.pop(3),
    "collect": lambda scene: gc.collect(),
    "clear and refill": lambda scene: [
        scene.function.cache_clear(),
        *(suppressed(scene.use, label) for label in range(6)),
    ],
    "info": lambda scene: scene.function.cache_info(),
}


def suppressed(use: Callable[..., object], *args: Any) -> None:
    """A call that is under way already may not be asked for again."""
    with contextlib.suppress(RuntimeError):
        use(*args)


OPERATIONS: dict[str, Callable[[Any], object]] = {
    "hit": lambda scene: scene.use(3),
    "identical": lambda scene: scene.function(scene.kept[3]),
    "miss": lambda scene: scene.use(7),
    "discard": lambda scene: scene.function.cache_discard(scene.key(3)),
    "discard none": lambda scene: scene.function.cache_discard(scene.key(7)),
    "clear": lambda scene: scene.function.cache_clear(),
}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
@pytest.mark.parametrize("hook", ["eq", "hash", "del", "call", "result"])
@pytest.mark.parametrize("options", [{}, {"maxsize": 4}], ids=["", "bounded"])
def test_code_in_the_middle_of_a_call(action: Any, hook: str, options: dict[str, Any]) -> None:
    for operation in OPERATIONS.values():
        scene = FunctionScene(hook, **options)
        scene.trap.action = lambda scene=scene: action(scene)
        operation(scene)
        scene.end()


@pytest.mark.parametrize("hook", ["eq", "hash", "call", "del", "result"])
def test_the_last_reference_to_the_function_goes_in_a_call(hook: str) -> None:
    for operation in ("hit", "miss", "discard"):
        scene = FunctionScene(hook)
        watch = weakref.ref(scene.function)
        key = scene.key(3 if operation == "hit" else 9)

        def drop(scene: Any = scene) -> None:
            scene.function = None
            let_die()

        scene.trap.action = drop
        if operation == "discard":
            scene.function.cache_discard(key)
        else:
            assert scene.function(key).other == key.label
        scene.trap.action = scene.function = None
        scene.kept.clear()
        del scene, drop
        gc_collect_harder()
        assert watch() is None


def test_deaths_of_results_that_use_the_cache() -> None:
    """A result that ends with its entry asks for that very entry, and for others."""
    ended = itertools.count()
    inside: list[int] = []

    class Last:
        def __init__(self, label: Any) -> None:
            self.label = label

        def __del__(self) -> None:
            next(ended)
            if not inside and isinstance(self.label, int):
                inside.append(self.label)
                function(EqualMember(self.label + 10))
                function(EqualMember(self.label))
                function(("strong", self.label))
                inside.clear()

    @cache(maxsize=30)
    def function(obj: Any) -> Any:
        return Last(obj.label if isinstance(obj, Member) else obj)

    for _ in range(3):
        some = [EqualMember(label) for label in range(20)]
        for each in some:
            function(each)
        del each, some[::2]
        function.cache_clear()
        del some
        let_die()
    function._check()
    assert next(ended) > 50
    function.cache_clear()


class PropertyTrap(Thing):
    @cached_property
    def value(self) -> Any:
        return Trapped("value", self.trap, "del")


def test_a_property_whose_value_s_end_uses_it() -> None:
    for action in (
        lambda obj: obj.value,
        lambda obj: obj.__class__.value.cache_clear(),
        lambda obj: setattr(obj, "value", 5),
        lambda obj: obj.__class__.value.cache_discard(obj),
    ):
        for end in (
            lambda obj: obj.__class__.value.cache_clear(),
            lambda obj: obj.__class__.value.cache_discard(obj),
            lambda obj: delattr(obj, "value"),
            lambda obj: setattr(obj, "value", 6),
        ):
            obj: Any = PropertyTrap()
            obj.trap = Trap()
            assert obj.value is obj.value
            obj.trap.action = lambda obj=obj, action=action: action(obj)
            end(obj)
            let_die()
            obj.trap.action = None
            assert obj.value is obj.value
            PropertyTrap.value.cache_clear()


CACHE_ACTIONS: dict[str, Callable[[Any], object]] = {
    "clear": lambda scene: scene.cache.clear(),
    "delete": lambda scene: scene.cache.pop(scene.key(3), None),
    "delete others": lambda scene: [scene.cache.pop(scene.key(n), None) for n in range(3)],
    "store": lambda scene: scene.cache.__setitem__(scene.key(3), scene.value(3)),
    "store many": lambda scene: [
        scene.cache.__setitem__(scene.key(n), scene.value(n)) for n in range(20, 50)
    ],
    "get": lambda scene: [scene.cache.get(scene.key(n)) for n in range(8)],
    "create": lambda scene: suppressed(
        lambda: scene.cache.get_or_create(scene.key(3), lambda: scene.value(3))
    ),
    "shrink": lambda scene: scene.cache.shrink(0),
    "expire": lambda scene: scene.cache.expire(),
    "values die": lambda scene: (scene.kept.clear(), let_die()),
    "list": lambda scene: list(scene.cache.items()),
    "collect": lambda scene: gc.collect(),
}
CACHE_OPERATIONS: dict[str, Callable[[Any], object]] = {
    "hit": lambda scene: scene.cache.get(scene.key(3)),
    "hit outside": lambda scene: scene.cache.get(scene.key(0)),
    "miss": lambda scene: scene.cache.get(scene.key(9)),
    "replace": lambda scene: scene.cache.__setitem__(scene.key(3), scene.value(3)),
    "store": lambda scene: scene.cache.__setitem__(scene.key(9), scene.value(9)),
    "delete": lambda scene: scene.cache.pop(scene.key(3), None),
    "create": lambda scene: scene.cache.get_or_create(scene.key(9), lambda: scene.made(9)),
    "setdefault": lambda scene: scene.cache.setdefault(scene.key(9), scene.value(9)),
    "shrink": lambda scene: scene.cache.shrink(1),
    "clear": lambda scene: scene.cache.clear(),
    "list": lambda scene: list(scene.cache),
    "compare": lambda scene: scene.cache == dict(scene.cache.items()),
}


class CacheScene:
    """A `WeakCache` with entries in the window and beyond."""

    def __init__(self, hook: str) -> None:
        self.hook = hook
        self.trap = Trap()
        self.cache: Any = WeakCache(4, weigh=self.weigh, on_evict=self.on_evict)
        self.kept = [self.value(label) for label in range(6)]
        self.ends: list[Any] = []
        for label, value in enumerate(self.kept):
            self.cache[self.key(label)] = value

    def key(self, label: Any) -> Trapped:
        return Trapped(label, self.trap, self.hook)

    def value(self, label: Any) -> Any:
        value = Trapped("value", self.trap, "del" if self.hook == "value" else "")
        value.other = label
        return value

    def made(self, label: Any) -> Any:
        if self.hook == "factory":
            self.trap.spring()
        return self.value(label)

    def weigh(self, value: Any) -> int:
        if self.hook == "weigh":
            self.trap.spring()
        return 1

    def on_evict(self, key: Any, value: Any, cause: str) -> None:
        self.ends.append((key.label, cause))
        if self.hook == "on_evict":
            self.trap.spring()

    def end(self) -> None:
        self.trap.action = None
        self.cache._check()
        assert self.cache.window_weight <= 4
        for key, value in self.cache.items():
            assert value.other == key.label
        for label in range(12):
            self.cache[self.key(label)] = self.value(label)
            assert self.cache[self.key(label)].other == label
        self.cache._check()
        self.cache.clear()
        assert len(self.cache) == self.cache.window_weight == 0
        assert {cause for _, cause in self.ends} <= {"dead", "size", "replaced", "deleted"}


@pytest.mark.parametrize("action", CACHE_ACTIONS.values(), ids=CACHE_ACTIONS)
@pytest.mark.parametrize("hook", ["eq", "hash", "del", "value", "weigh", "on_evict", "factory"])
def test_code_in_the_middle_of_an_operation(action: Any, hook: str) -> None:
    for operation in CACHE_OPERATIONS.values():
        scene = CacheScene(hook)
        scene.trap.action = lambda scene=scene: action(scene)
        operation(scene)
        scene.end()


def test_a_finalizer_in_a_collection_uses_the_caches() -> None:
    function = cache(lambda obj: [obj.label])
    weak_cache: Any = WeakCache(5)
    seen = []

    class Garbage(Member):
        def __del__(self) -> None:
            seen.append(function(self) == [self.label])
            weak_cache[self.label] = self
            assert weak_cache[self.label] is self

    for label in range(10):
        garbage = Garbage(label)
        garbage.other = garbage
    del garbage
    gc_collect_harder()
    assert seen == [True] * 10
    function._check()
    weak_cache._check()
    weak_cache.clear()
    gc_collect_harder()
    assert function.cache_info().currsize == 0 or PYPY
    assert len(weak_cache) == 0


# --- failing allocations

NO_MEMORY = """
import faulthandler, gc, sys
faulthandler.enable()
import weakly
from no_memory import attempts

length = int(sys.argv[1])

class Key:
    __slots__ = ("__weakref__",)
    @weakly.cached_method
    def method(self, x):
        return 5
    @weakly.cached_property
    def value(self):
        return 5

keys = [Key() for _ in range(20)]
spare = [Key() for _ in range(40)]
gc.disable()

def memo(**options):
    made = weakly.cache(lambda *args, **kwargs: 5, **options)
    for number, key in enumerate(keys[:10]):
        made(key), made(key, number, x=key), made(number)
    return made

def member(which):
    for key in keys[:10]:
        key.method(1), key.value
    return vars(Key)[which]

def weak_cache():
    made = weakly.WeakCache(8)
    for number, key in enumerate(keys[:10]):
        made[number] = key
        made["text", number] = number
    return made

def call(made, *args, **kwargs):
    assert made._store(args, kwargs, 5) == 5

# In functions without cells: CPython 3.11 cannot be without memory for those.
def call_all(made, arguments):
    for argument in arguments:
        call(made, argument)

def put_all(table, values):
    for number, value in enumerate(values):
        table[number] = value

def set_all(objects):
    for obj in objects:
        obj.value = 5

memos = [
    lambda f: f(keys[3]), lambda f: f(keys[3], 3, x=keys[3]), lambda f: f(4),
    lambda f: call(f, spare[0]), lambda f: call(f, spare[0], spare[1], 5, x=spare[2]),
    lambda f: call_all(f, spare), lambda f: call_all(f, range(40)),
    lambda f: f._find((spare[0], 5), {"x": 6}, None), lambda f: f._hash((spare[0],), {"x": 5}),
    lambda f: f._discard((keys[0],), {}, 5), lambda f: f.cache_discard(keys[0], 0, x=keys[0]),
    lambda f: f.cache_info(), lambda f: f.cache_parameters(), lambda f: f.cache_clear(),
    lambda f: repr(f),
]
methods = [
    lambda m: keys[0].method(1), lambda m: m(keys[0], 1), lambda m: m._memo(keys[0]),
    lambda m: m._memo(spare[0]), lambda m: m._memos(), lambda m: m.cache_info(),
    lambda m: m.cache_discard(keys[0], 1), lambda m: m.cache_clear(), lambda m: keys[0].method,
]
properties = [
    lambda p: keys[0].value, lambda p: setattr(keys[0], "value", 5),
    lambda p: setattr(spare[0], "value", 5), lambda p: delattr(keys[1], "value"),
    lambda p: set_all(spare), lambda p: p.cache_info(),
    lambda p: p.cache_discard(keys[0]), lambda p: p.cache_clear(),
]
caches = [
    lambda c: c.get(3), lambda c: c.get("absent"), lambda c: c.get(("text", 3)),
    lambda c: c.__setitem__("new", 5), lambda c: c.__setitem__("new", spare[0]),
    lambda c: c.__setitem__(3, spare[0]), lambda c: put_all(c, spare),
    lambda c: c._put("new", spare[0], 1000.0, 3, True), lambda c: c._put(3, 5, None, 3, False),
    lambda c: c.pop(3), lambda c: c.pop(("text", 9), None), lambda c: c.shrink(2),
    lambda c: c.shrink(0), lambda c: c.expire(), lambda c: len(c), lambda c: c._entries(),
    lambda c: c.cache_info(), lambda c: c.clear(),
]

failures = 0
for make, operations in (
    (memo, memos),
    (lambda: memo(maxsize=7, typed=True), memos[3:]),  # a call that misses is Python code
    (lambda: memo(by="identity", ttl=1000), memos),
    (lambda: member("method"), methods),
    (lambda: member("value"), properties),
    (weak_cache, caches),
):
    for operation in operations:
        for made, failed in attempts(make, operation, length):
            failures += failed
            if operations is memos or operations is caches:
                made._check()
            if operations is caches:
                for key, value in made.items():
                    assert isinstance(value, Key | int)
                made["after"] = 6
                assert made["after"] == 6
                made._check()
            elif operations is memos:
                assert made(keys[3]) == made(4) == made(keys[3], 3, x=keys[3]) == 5
                made._check()
            else:
                assert all(key.method(1) == key.value == 5 for key in keys)
            made.cache_clear()
            del made
print(failures)
"""


@collects
@failing_allocations
def test_every_allocation_of_the_core_can_fail(length: int) -> None:
    """MemoryError or success, and a sound cache either way."""
    assert count_failures(NO_MEMORY, length) > 20


# --- threads


def eager_switching() -> None:
    if not PYPY:
        sys.setswitchinterval(1e-5)


def ask_together(user_type: Any, make: Callable[[], Any], threads: int) -> tuple[Any, Any]:
    """What each of so many threads gets that ask for the same, and the counts afterwards. No run
    goes on before all have asked."""
    asked = itertools.count(1)
    all_in = threading.Event()

    def make_later(obj: Any) -> Any:
        wait_until(all_in.is_set)
        return make()

    user = user_type(make_later)
    obj = user.new()

    def ask() -> Any:
        if next(asked) == threads:
            all_in.set()
        return user(obj)

    return run_all(*[ask] * threads), user.cached().cache_info()


@main_users
def test_sixteen_threads_run_it_once(user_type: Any) -> None:
    runs: list[int] = []

    def make() -> Any:
        runs.append(1)
        return [5]

    results, info = ask_together(user_type, make, 16)
    assert len(runs) == 1
    assert results == [[5]] * 16
    assert all(result is results[0] for result in results)
    assert (info.hits, info.misses, info.currsize) == (15, 1, 1)


@main_users
def test_after_a_failure_one_of_those_that_wait_runs_it(user_type: Any) -> None:
    runs: list[int] = []

    def make() -> Any:
        runs.append(1)
        if len(runs) < 3:
            raise ZeroDivisionError
        return [5]

    results, _ = ask_together(user_type, make, 6)
    assert len(runs) == 3
    assert sum(isinstance(each, ZeroDivisionError) for each in results) == 2
    assert results.count([5]) == 4


@atomic_look_ups
@main_users
def test_many_keys_in_many_threads(user_type: Any) -> None:
    """No call is lost, none runs twice."""
    runs: list[Any] = []

    def make(obj: Any) -> Any:
        runs.append(obj.label)
        return [obj.label]

    user = user_type(make)
    some = [user.new() for _ in range(80)]
    for label, obj in enumerate(some):
        obj.label = label
    eager_switching()

    def ask(seed: int) -> Any:
        order = list(range(80))
        random.Random(seed).shuffle(order)
        for label in order:
            assert user(some[label]) == [label]
        return True

    assert run_all(*[lambda seed=seed: ask(seed) for seed in range(16)]) == [True] * 16
    assert sorted(runs) == list(range(80))
    info = user.cached().cache_info()
    assert (info.hits, info.misses, info.currsize) == (15 * 80, 80, 80)


def test_threads_that_wait_for_each_other() -> None:
    """At least one hears of it; then both calls end."""
    both = threading.Barrier(2, timeout=30)
    first = {"left": True, "right": True}

    def meet(name: str) -> None:
        if first.pop(name, False):
            both.wait()

    @cache
    def left(x: int) -> Any:
        meet("left")
        return right(x)

    @cache
    def right(x: int) -> Any:
        meet("right")
        return left(x)

    results = run_all(lambda: left(1), lambda: right(1))
    assert [type(each) for each in results] == [RuntimeError, RuntimeError]


@atomic_look_ups
@main_users
@durations
def test_threads_with_arguments_that_die(user_type: Any, seconds: float) -> None:
    user = user_type(lambda obj: [obj.label])
    steady = [user.new() for _ in range(20)]
    for label, obj in enumerate(steady):
        obj.label = label
    cached = user.cached()

    def use() -> None:
        for obj in steady:
            assert user(obj) == [obj.label]

    def come_and_go() -> None:
        for label in range(100, 130):
            obj = user.new()
            obj.label = label
            assert user(obj) == [label]
            assert user(obj) == [label]

    def cycles() -> None:
        for label in range(10):
            obj = user.new()
            obj.label, obj.me = label, obj
            assert user(obj) == [label]

    def discard() -> None:
        obj = user.new()
        obj.label = 5
        user(obj)
        cached.cache_discard(obj)
        cached.cache_info()

    def clear() -> None:
        cached.cache_clear()

    Crew(use, use, come_and_go, come_and_go, cycles, discard, clear, gc.collect).run(seconds)
    gc_collect_harder()
    if hasattr(cached, "_check"):
        cached._check()
    use()
    assert cached.cache_info().currsize == 20


@atomic_look_ups
@durations
def test_a_weak_cache_under_threads(seconds: float) -> None:
    ended: list[str] = []  # append is atomic

    def on_evict(key: Any, value: Any, cause: str) -> None:
        ended.append(cause)

    weak_cache: Any = WeakCache(30, weigh=lambda value: value.label % 3 + 1, on_evict=on_evict)
    held = members(10)
    for member in held:
        weak_cache[("held", member.label)] = member

    def read() -> None:
        for label in range(60):
            found = weak_cache.get(label)
            assert found is None or found.label == label
        if C_CORE:  # the Python tables can be seen in the middle of a change
            assert weak_cache.window_weight <= 30

    def create() -> None:
        for label in range(0, 60, 7):
            found = weak_cache.get_or_create(label, lambda label=label: Member(label))
            assert found.label == label

    def write() -> None:
        for label in range(60):
            weak_cache[label] = Member(label)
        for label in range(0, 60, 3):
            weak_cache.pop(label, None)

    def hold() -> None:
        mine = []
        for label in range(100, 140):
            mine.append(weak_cache.setdefault(label, Member(label)))
            assert mine[-1].label == label
        weak_cache.shrink(10)

    def look() -> None:
        for key, value in weak_cache.items():
            assert value.label == (key[1] if isinstance(key, tuple) else key)
        for member in held:
            assert weak_cache["held", member.label] is member

    def expire() -> None:
        for label in range(200, 220):
            weak_cache.store(label, Member(label), ttl=1e-5)
        weak_cache.expire()

    Crew(read, create, write, hold, look, expire, gc.collect).run(seconds)
    gc_collect_harder()
    weak_cache._check()
    look()
    assert len(weak_cache) >= 10
    assert weak_cache.window_weight <= 30
    weak_cache.clear()
    assert len(weak_cache) == weak_cache.window_weight == 0
    assert set(ended) <= {"dead", "size", "expired", "replaced", "deleted"}
