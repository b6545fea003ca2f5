"""What references are called: each kind, as people write it and as an expression to type."""

from __future__ import annotations

import asyncio
import collections
import contextvars
import ctypes
import functools
import gc
import itertools
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import pytest
from support import PYPY

import weakly
from weakly.installation import original
from weakly.tracking._names import dict_of, read
from weakly.tracking._retention import RetentionPath, _named
from weakly.tracking._roots import Root


class Thing:
    """What is held."""


class Plain:
    pass


class Slotted:
    __slots__ = ("__mangled", "value")

    def hide(self, value: Any) -> None:
        self.__mangled = value


class SlottedChild(Slotted):
    pass


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass
class Record:
    field: Any


class WithProperty:
    @property
    def value(self) -> int:
        return 1

    @value.setter
    def value(self, value: Any) -> None:
        vars(self)["value"] = value


class Keyed:
    def __repr__(self) -> str:
        return "<a key>"


class ListChild(list[Any]):
    pass


class DictChild(dict[Any, Any]):
    pass


def shortest(start: Any, end: Any) -> list[Any]:
    """A chain of references, by the plainest of searches."""
    if PYPY:
        gc.collect()
    before: dict[int, tuple[Any, Any]] = {id(start): (start, None)}
    queue = collections.deque([start])
    while queue:
        one = queue.popleft()
        for other in gc.get_referents(one):
            if id(other) in before or type(other) is types.ModuleType:
                continue
            before[id(other)] = (other, one)
            if other is end:
                chain: list[Any] = [other]
                while (previous := before[id(chain[0])][1]) is not None:
                    chain.insert(0, previous)
                return chain
            queue.append(other)
    raise AssertionError("there is no way")


def path_from(holder: Any, target: Any) -> RetentionPath:
    """The path from an object, which is called `holder`."""
    return _named(shortest(holder, target), Root("holder", "module", "holder"), -1)


def attributes(names: Any = (), **some: Any) -> Any:
    obj = Plain()
    vars(obj).update(names, **some)
    return obj


def with_attribute(obj: Any, value: Any, name: str = "value") -> Any:
    setattr(obj, name, value)
    return obj


def hidden(value: Any) -> Any:
    obj = Slotted()
    obj.hide(value)
    return obj


def function_with_cell(value: Any) -> Callable[[], Any]:
    def on_click() -> Any:
        return value

    return on_click


def function_with_default(value: Any) -> Any:
    def function(first: int, second: Any = value) -> None: ...

    return function


def function_with_keyword(value: Any) -> Any:
    def function(*, second: Any = value) -> None: ...

    return function


def function_with_annotation(value: Any) -> Any:
    def function(first) -> None: ...  # type: ignore[no-untyped-def]

    function.__annotations__["first"] = value
    return function


def function_with_globals(value: Any) -> Any:
    namespace = {"held": value, "__name__": "somewhere"}
    exec("def function(): pass", namespace)
    return namespace.pop("function")


def class_with(value: Any) -> Any:
    return type("Owner", (), {"value": value})


def class_with_base(value: Any) -> Any:
    return type("Owner", (type("Base", (), {"value": value}),), {})


def class_of(**some: Any) -> Any:
    return type("Owner", (), some)


def generator(value: Any) -> Iterator[Any]:
    def count() -> Iterator[Any]:
        local = value
        yield
        print(local)

    made = count()
    next(made)
    return made


def coroutine(value: Any) -> Any:
    async def fetch(job: Any) -> None: ...

    return fetch(value)


def waiting_coroutine(value: Any) -> Any:
    class Pause:
        def __await__(self) -> Iterator[None]:
            yield

    async def inner(job: Any) -> None:
        await Pause()
        print(job)

    async def outer(inner: Any) -> None:
        await inner

    made = outer(inner(value))
    made.send(None)
    return made


def async_generator(value: Any) -> Any:
    async def stream(job: Any) -> Any:
        yield job

    return stream(value)


def raised(value: Any) -> BaseException:
    def fail(job: Any) -> None:
        raise ValueError

    try:
        fail(value)
    except ValueError as error:
        del value
        return error
    raise AssertionError


def with_context(value: Any) -> BaseException:
    return with_attribute(ValueError(), ValueError(value), "__context__")  # type: ignore[no-any-return]


def frame_of(value: Any) -> Any:
    def finished(job: Any) -> Any:
        return sys._getframe()

    return finished(value)


def local_of_thread(value: Any) -> Any:
    local = threading.local()
    local.user = value
    return local


def context_with(value: Any) -> Any:
    variable = contextvars.ContextVar[Any]("request")
    context = contextvars.copy_context()
    context.run(variable.set, value)
    return context


def token_with(value: Any) -> Any:
    variable = contextvars.ContextVar[Any]("request", default=None)

    def change() -> Any:
        variable.set(value)
        return variable.set(None)

    return contextvars.Context().run(change)


def cached_keyword(value: Any) -> Any:
    @functools.lru_cache
    def total(first: Any, **named: Any) -> int:
        return 1

    total(1, other=2, user=value)
    return total


def cached_argument(value: Any) -> Any:
    @functools.cache
    def total(first: Any, second: Any) -> int:
        return 0

    total(1, value)
    return total


def cached_result(value: Any) -> Any:
    results = [value]

    @functools.lru_cache(maxsize=3)
    def total(first: Any) -> Any:
        return results.pop()

    total(1)
    return total


def finalizer(value: Any) -> Any:
    made = weakly.finalize(Thing, print, 1, value)
    made.atexit = False
    return made


def of_stdlib(value: Any) -> Any:
    return weakref.ref(Thing, function_with_cell(value))


def filled(cls: Any, key: Any, value: Any) -> Any:
    container = cls()
    container[key] = value
    return container


def loop_of(make: Callable[[Any], Any]) -> Any:
    loop = asyncio.new_event_loop()
    try:
        return make(loop)
    finally:
        loop.close()


def future_with_callback(value: Any) -> Any:
    future = loop_of(lambda loop: loop.create_future())
    future.add_done_callback(functools.partial(print, 1))
    future.add_done_callback(function_with_cell(value))
    return future


def future_with_result(value: Any) -> Any:
    future = loop_of(lambda loop: loop.create_future())
    future.set_result(value)
    return future


def signal_with(value: Any) -> Any:
    signal = weakly.Signal()
    signal.connect(function_with_cell(value))
    return signal


def memoised(value: Any) -> Any:
    results = [value]

    @weakly.cache
    def summary(key: Any) -> Any:
        return results.pop()

    summary(KEY)
    return summary


def cached_of_class(value: Any) -> Any:
    results = [value]

    class Page:
        @weakly.cached_method
        def count(self) -> Any:
            return results.pop()

    PAGES.append(page := Page())
    page.count()
    return vars(Page)["count"]


def stdlib_finalizer(value: Any) -> Any:
    finalizer = original("finalize")(KEY, print, value)
    finalizer.atexit = False
    info = finalizer._registry[finalizer]
    finalizer.detach()
    return info


def moved(value: Any) -> Any:
    found = collections.OrderedDict([(0, 1), (KEY, value)])
    found.move_to_end(0)
    return found


def thread_with(value: Any) -> Any:
    return threading.Thread(target=print, args=(value,))


KEY = Keyed()
PAGES: list[Any] = []

# What holds the thing, what the last step is called, and the whole expression: None if there is
# none that gives the thing.
CASES: dict[str, tuple[Callable[[Any], Any], str, str | None]] = {
    "attribute": (lambda it: attributes(name=it), ".name", "holder.name"),
    "inline attribute": (lambda it: with_attribute(Plain(), it), ".value", "holder.value"),
    "dataclass": (Record, ".field", "holder.field"),
    "namespace": (lambda it: types.SimpleNamespace(a=it), ".a", "holder.a"),
    "attribute with a strange name": (
        lambda it: attributes(**{"a b": it}), ".__dict__['a b']", "vars(holder)['a b']",
    ),
    "keyword as attribute": (
        lambda it: attributes(**{"class": it}), ".__dict__['class']", "vars(holder)['class']",
    ),
    "object as name of an attribute": (
        lambda it: attributes({KEY: it}), ".__dict__[<a key>]",
        "list(vars(holder).values())[0]",
    ),
    "behind a property": (
        lambda it: with_attribute(WithProperty(), it),
        ".__dict__['value']", "vars(holder)['value']",
    ),
    "module": (
        lambda it: with_attribute(types.ModuleType("other"), it, "cache"), ".cache", "holder.cache",
    ),
    "slot": (lambda it: with_attribute(Slotted(), it), ".value", "holder.value"),
    "mangled slot": (hidden, "._Slotted__mangled", "holder._Slotted__mangled"),
    "slot of a base": (lambda it: with_attribute(SlottedChild(), it), ".value", "holder.value"),
    "beside slots": (lambda it: with_attribute(SlottedChild(), it, "own"), ".own", "holder.own"),
    "list": (lambda it: [0, it], "[1]", "holder[1]"),
    "list of a subclass": (lambda it: ListChild([it]), "[0]", "holder[0]"),
    "attribute of a list": (lambda it: with_attribute(ListChild(), it), ".value", "holder.value"),
    "tuple": (lambda it: (0, it), "[1]", "holder[1]"),
    "named tuple": (lambda it: Point(0, it), ".y", "holder.y"),
    "deque": (lambda it: collections.deque([0, it]), "[1]", "holder[1]"),
    "set": (lambda it: {it}, "member <it>", "next(iter(holder))"),
    "larger set": (lambda it: {0, it}, "member <it>", "list(holder)[...]"),
    "frozenset": (lambda it: frozenset([it]), "member <it>", "next(iter(holder))"),
    "dict": (lambda it: {"alice": it}, "['alice']", "holder['alice']"),
    "number as key": (lambda it: {-1.5: it}, "[-1.5]", "holder[-1.5]"),
    "tuple as key": (lambda it: {(1, ("a", None)): it}, "[(1, ('a', None))]",
                     "holder[(1, ('a', None))]"),
    "object as key": (lambda it: {KEY: it}, "[<a key>]", "list(holder.values())[0]"),
    "nan as key": (lambda it: {float("nan"): it}, "[nan]", "list(holder.values())[0]"),
    "key": (lambda it: {0: 1, it: 2}, "key <it>", "list(holder)[1]"),
    "dict of a subclass": (lambda it: DictChild(a=it), "['a']", "holder['a']"),
    "OrderedDict": (lambda it: collections.OrderedDict(a=it), "['a']", "holder['a']"),
    "object as key of an OrderedDict": (
        moved, "[<a key>]", "list(dict.values(holder))[*]",
    ),
    "defaultdict": (lambda it: collections.defaultdict(int, a=it), "['a']", "holder['a']"),
    "default_factory": (
        lambda it: collections.defaultdict(it), ".default_factory", "holder.default_factory",
    ),
    "ChainMap": (lambda it: collections.ChainMap({"a": it}), "['a']", "holder.maps[0]['a']"),
    "nested": (
        lambda it: attributes(users={"a": [it]}), "[0]", "holder.users['a'][0]",
    ),
    "closure": (
        function_with_cell, "closure cell 'value' of on_click",
        "holder.__closure__[0].cell_contents",
    ),
    "cell": (lambda it: types.CellType(it), ".cell_contents", "holder.cell_contents"),
    "default": (function_with_default, "default of 'second' of function", "holder.__defaults__[0]"),
    "keyword default": (
        function_with_keyword, "default of 'second' of function",
        "holder.__kwdefaults__['second']",
    ),
    "annotation": (
        function_with_annotation, "annotation 'first' of function",
        "holder.__annotations__['first']",
    ),
    "global": (
        function_with_globals, "global 'held' of function", "holder.__globals__['held']",
    ),
    "attribute of a function": (
        lambda it: with_attribute(function_with_cell(0), it), ".value", "holder.value",
    ),
    "bound method": (lambda it: types.MethodType(print, it), ".__self__", "holder.__self__"),
    "function of a method": (lambda it: types.MethodType(it, 1), ".__func__", "holder.__func__"),
    "method in C": (lambda it: [it].append, "[0]", "holder.__self__[0]"),
    "wrapper in C": (lambda it: [it].__len__, "[0]", "holder.__self__[0]"),
    "function of a partial": (lambda it: functools.partial(it), ".func", "holder.func"),
    "argument of a partial": (
        lambda it: functools.partial(print, it), ".args[0]", "holder.args[0]",
    ),
    "keyword of a partial": (
        lambda it: functools.partial(print, end=it), ".keywords['end']", "holder.keywords['end']",
    ),
    "partialmethod": (lambda it: functools.partialmethod(it), ".func", "holder.func"),
    "property": (lambda it: property(it), ".fget", "holder.fget"),
    "staticmethod": (lambda it: staticmethod(it), ".__func__", "holder.__func__"),
    "classmethod": (lambda it: classmethod(it), ".__func__", "holder.__func__"),
    "cached_property": (lambda it: functools.cached_property(it), ".func", "holder.func"),
    "singledispatch": (
        lambda it: functools.singledispatch(it), ".__wrapped__", "holder.__wrapped__",
    ),
    "class attribute": (class_with, ".value", "holder.value"),
    "attribute of a base": (class_with_base, ".value", "holder.__base__.value"),
    "property of a class": (
        lambda it: class_of(total=property(it)), ".fget", "holder.total.fget",
    ),
    "staticmethod of a class": (
        lambda it: class_of(total=staticmethod(it)), ".__func__", "vars(holder)['total'].__func__",
    ),
    "class": (lambda it: class_with(it)(), ".value", "type(holder).value"),
    "generator": (
        generator, "<local 'local' in suspended count() at *>",
        "holder.gi_frame.f_locals['local']",
    ),
    "coroutine": (
        coroutine, "<local 'job' in suspended fetch() at *>", "holder.cr_frame.f_locals['job']",
    ),
    "awaited coroutine": (
        waiting_coroutine, "<local 'job' in suspended inner() at *>",
        "holder.cr_await.cr_frame.f_locals['job']",
    ),
    "asynchronous generator": (
        async_generator, "<local 'job' in suspended stream() at *>",
        "holder.ag_frame.f_locals['job']",
    ),
    "frame": (lambda it: [frame_of(it)], "<local 'job' in finished() at *>",
              "holder[0].f_locals['job']"),
    "traceback": (
        raised, "<local 'job' in fail() at *>",
        "holder.__traceback__.tb_next.tb_frame.f_locals['job']",
    ),
    "argument of an exception": (lambda it: ValueError(0, it), ".args[1]", "holder.args[1]"),
    "context": (with_context, ".args[0]", "holder.__context__.args[0]"),
    "cause": (
        lambda it: with_attribute(ValueError(), ValueError(it), "__cause__"), ".args[0]",
        "holder.__cause__.args[0]",
    ),
    "attribute of an exception": (
        lambda it: with_attribute(ValueError(), it, "user"), ".user", "holder.user",
    ),
    "member of an exception": (lambda it: AttributeError(obj=it), ".obj", "holder.obj"),
    "callback of a reference": (
        of_stdlib, "closure cell 'value' of on_click",
        "holder.__callback__.__closure__[0].cell_contents",
    ),
    "mappingproxy": (lambda it: types.MappingProxyType({"a": it}), "['a']", "holder['a']"),
    "view": (lambda it: {"a": it}.values(), "['a']", "holder.mapping['a']"),
    "iterator": (lambda it: iter([it]), "[0]", "gc.get_referents(holder)[...][0]"),
    "map": (lambda it: map(it, []), "the function of map()", "gc.get_referents(holder)[...]"),
    "enumerate": (lambda it: enumerate([it]), "[0]", "..."),
    "chain": (lambda it: itertools.chain([it]), "[0]", "..."),
    "memoryview": (
        lambda it: memoryview(with_attribute(type("B", (bytearray,), {})(b"a"), it)), ".value",
        "holder.obj.value",
    ),
    "slice": (lambda it: slice(it), ".stop", "holder.stop"),
    "super": (lambda it: super(Thing, it), ".__self__", "holder.__self__"),
    "alias": (lambda it: types.GenericAlias(list, it), "[0]", "holder.__args__[0]"),
    "thread-local": (local_of_thread, ".user of this thread", "holder.user"),
    "context variable": (
        context_with, "value of the context variable 'request'", "list(holder.values())[...]",
    ),
    "default of a context variable": (
        lambda it: contextvars.ContextVar("request", default=it),
        "default of the context variable 'request'", "gc.get_referents(holder)[...]",
    ),
    "token": (token_with, ".old_value", "holder.old_value"),
    "argument in an lru_cache": (
        cached_argument, "'second' of a call that the lru_cache of total() remembers",
        "gc.get_referents(...",
    ),
    "keyword in an lru_cache": (
        cached_keyword,
        "'user' of a call that the lru_cache of total() remembers", "gc.get_referents(...",
    ),
    "result in an lru_cache": (
        cached_result,
        "what the lru_cache of total() remembers", "gc.get_referents(...",
    ),
    "finalizer": (finalizer, "argument 2 of the callback of a finalizer", "holder.peek()[2][1]"),
    "WeakKeyDictionary": (
        lambda it: filled(weakly.WeakKeyDictionary, KEY, it), "[<a key>]",
        "list(holder.values())[0]",
    ),
    "WeakIdKeyDictionary": (
        lambda it: filled(weakly.WeakIdKeyDictionary, KEY, it), "[<a key>]",
        "list(holder.values())[0]",
    ),
    "EphemeronDictionary": (
        lambda it: filled(weakly.EphemeronDictionary, KEY, it), "[<a key>]",
        "list(holder.values())[0]",
    ),
    "WeakCache": (
        lambda it: filled(functools.partial(weakly.WeakCache, maxsize=3), "a", it), "['a']",
        "holder['a']",
    ),
    "WeakCallable": (
        lambda it: weakly.weak(function_with_cell(it), strong=True),
        "closure cell 'value' of on_click", "holder.target.__closure__[0].cell_contents",
    ),
    "callback of a future": (
        future_with_callback, "closure cell 'value' of on_click",
        "holder._callbacks[1][0].__closure__[0].cell_contents",
    ),
    "result of a future": (future_with_result, "._result", "holder._result"),
    "handle": (
        lambda it: loop_of(lambda loop: loop.call_later(9, print, it)), "[0]", "holder._args[0]",
    ),
    "thread": (thread_with, "[0]", "holder._args[0]"),
    "weakref.WeakKeyDictionary": (
        lambda it: original("WeakKeyDictionary")({KEY: it}), "*", "list(holder.data.values())[0]",
    ),
    "key of a WeakValueDictionary": (
        lambda it: weakly.WeakValueDictionary({it: KEY}), "key <it>", "list(holder)[0]",
    ),
    "Ephemeron": (lambda it: weakly.Ephemeron(KEY, it), ".value", "holder.value"),
    "Box": (weakly.Box, ".value", "holder.value"),
    "List": (lambda it: weakly.List([it]), "[0]", "holder[0]"),
    "Dict": (lambda it: weakly.Dict(a=it), "['a']", "holder['a']"),
    "signal": (
        signal_with, "closure cell 'value' of on_click", "*.target.__closure__[0].cell_contents",
    ),
    "cache": (memoised, "what summary remembers", "gc.get_referents(*"),
    "cached_method": (cached_of_class, "what Page.count remembers", "gc.get_referents(*"),
    "finalizer of the standard library": (
        stdlib_finalizer, "[0]", "holder.args[0]",
    ),
    "ctypes": (lambda it: ctypes.py_object(it), "._objects", "holder._objects"),
}  # fmt: skip


class It(Thing):
    """Is anything: can be called, iterated over, and more."""

    def __repr__(self) -> str:
        return "<it>"

    def __call__(self, *args: Any) -> None: ...


def like(text: str, pattern: str) -> bool:
    """Whether they are the same, but for what `...` or `*` stands for."""
    import re

    return (
        re.fullmatch(re.escape(pattern).replace(r"\.\.\.", ".*").replace(r"\*", ".*"), text)
        is not None
    )


# What these consist of is another matter there.
OTHERS_ON_PYPY = {
    "alias", "argument in an lru_cache", "awaited coroutine", "context variable", "ctypes",
    "default of a context variable", "keyword in an lru_cache", "result in an lru_cache", "token",
    "traceback",
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(CASES.keys() - (OTHERS_ON_PYPY if PYPY else set())))
def test_name(case: str) -> None:
    make, name, expression = CASES[case]
    it = It()
    if case == "super":
        it = Thing()  # type: ignore[assignment]
    holder = make(it)
    path = path_from(holder, it)
    step = path.steps[-1]
    assert like(step.name.replace("test_names.", ""), name), path
    assert expression is not None
    assert like(step.expression, expression), path
    assert eval(step.expression, {"holder": holder, "gc": gc}) is it
    if asyncio.iscoroutine(holder):
        holder.close()


class EqualType(type):
    """Of classes that are taken for any other if one compares."""

    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return 1


class Getter(metaclass=EqualType):
    calls: ClassVar[list[object]] = []

    def __get__(self, obj: object, cls: object = None) -> str:
        self.calls.append(obj)
        return "called"


def test_only_what_is_written_in_c_is_read() -> None:
    holder = type("Holder", (), {"attribute": Getter(), "__dict__": Getter()})()
    assert read(holder, "attribute") is None
    assert dict_of(holder) is None
    assert Getter.calls == []
