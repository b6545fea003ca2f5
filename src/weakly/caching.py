"""Caches that cannot leak: `cache`, `cached_method`, `cached_property`, `WeakCache`, and
`Interner`, which keeps one of each.

Look-ups that hit are the business of the caches proper (`_implementation`): a `Memo`, a
`CachedMethod`, a `CachedProperty` or a `CacheTable`. What they call on a miss is here: it sees
to it that of all who ask for the same result, in whatever thread, one makes it (`_flights.py`,
for coroutine functions `_runs.py`).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import (
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterator,
    Mapping,
    MutableMapping,
)
from copy import deepcopy
from math import isnan
from numbers import Real
from reprlib import recursive_repr
from types import MethodType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Self,
    TypeVar,
    cast,
    overload,
)

from ._attributes import set_attributes
from ._flights import ABSENT, CallPlace, Flight, KeyPlace
from ._implementation import CachedMethod, CachedProperty, CacheTable, Memo, WeakSetTable

if TYPE_CHECKING:
    from functools import _CacheInfo  # pyright: ignore[reportPrivateUsage]

    from ._core import CacheParameters

__all__ = ["Interner", "WeakCache", "cache", "cached_method", "cached_property"]

C = TypeVar("C")
K = TypeVar("K")
P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")
V = TypeVar("V")
D = TypeVar("D")
I = TypeVar("I", bound="Interner[Any]")  # noqa: E741 - an interner

_By = Literal["equality", "identity"]


# Memoised functions


@overload
def cache(
    function: Callable[P, R],
    /,
    *,
    maxsize: int | None = None,
    ttl: float | None = None,
    typed: bool = False,
    by: _By = "equality",
) -> Memo[P, R]: ...
@overload
def cache(
    function: None = None,
    /,
    *,
    maxsize: int | None = None,
    ttl: float | None = None,
    typed: bool = False,
    by: _By = "equality",
) -> Callable[[Callable[P, R]], Memo[P, R]]: ...
def cache(
    function: Callable[..., Any] | None = None,
    /,
    *,
    maxsize: int | None = None,
    ttl: float | None = None,
    typed: bool = False,
    by: _By = "equality",
) -> Any:
    """Make a function remember its results, without keeping its arguments alive.

    A decorator, with and without parameters:

    >>> import weakly
    >>> class Document:
    ...     pass
    >>> @weakly.cache
    ... def words(document):
    ...     return ["some", "words"]
    >>> document = Document()
    >>> words(document) is words(document)
    True
    >>> words.cache_info().currsize
    1
    >>> del document
    >>> words.cache_info().currsize
    0

    An argument that can be weakly referenced is held weakly, and a result is forgotten when one
    of the arguments it was made from dies. Others (numbers, strings, tuples) are held. All are
    compared by equality and must be hashable, as for `functools.lru_cache`, and the order of
    keywords matters; with `by="identity"`, those that are held weakly are told apart by
    identity and need not be hashable. Mind objects that are made for the call: one of a class
    without `__slots__`, a `frozenset` or a lambda dies with its result right after it.

    A result that refers to an argument does not keep it alive (on the Python tables it does).

    - `maxsize`: how many results to keep at most; more, and the least recently used goes.
      None, unlike in `functools`, is the default: no bound.
    - `ttl`: for how many seconds to keep a result.
    - `typed`: whether equal arguments of different types are different.

    The function that comes out has `cache_info()`, `cache_clear()` and `cache_parameters()`, as
    `functools` has them, and `cache_discard(...)`: it forgets the result of one call and tells
    whether there was one. `misses` counts the runs of the function. `__wrapped__` is the
    function itself.

    Of many threads that make the same call, one runs the function; the others wait and get the
    same, and no lock is held meanwhile. What the function raises goes to the caller and is not
    remembered; one of those that wait then runs it again. A function that makes the very call
    that it is to answer gets a RuntimeError.

    For a coroutine function, what is remembered is what the coroutine returns. Concurrent
    callers, also in other threads' event loops, share one run, a task of the first one's loop,
    which is cancelled when the last of them is. An exception reaches all of them; neither that
    nor a cancelled run is remembered.

    Raises TypeError or ValueError for parameters of a wrong type or value. A call takes O(1)
    for a result that is there, besides hashing and comparing the arguments.
    """
    _check_parameters(maxsize, ttl, by)
    if function is None:
        return functools.partial(cache, maxsize=maxsize, ttl=ttl, typed=typed, by=by)
    _require_callable("cache", function)
    is_async = _is_coroutine_function(function)
    miss = _miss_of(function, is_async)
    memo: Memo[Any, Any] = Memo(miss, maxsize, ttl, bool(typed), by == "identity", is_async)
    return _decorated(memo, function, is_async)


def _miss_of(function: Callable[..., Any], is_async: bool) -> Callable[..., Any]:
    """What a Memo calls on a miss, with the instance at the end if it is that of a method."""
    if is_async:
        from ._runs import share  # asyncio takes long to import

        def miss_async(
            memo: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *instance: Any
        ) -> Any:
            place = CallPlace(memo, args, kwargs)
            return share(place, memo._count, function, (*instance, *args), kwargs)

        return miss_async

    def miss(memo: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *instance: Any) -> Any:
        flight = Flight(CallPlace(memo, args, kwargs))
        try:
            value = flight.begin()
            memo._count(value is not ABSENT)
            if value is ABSENT:
                value = flight.store(function(*instance, *args, **kwargs))
            return value
        finally:
            flight.end()

    return miss


# Methods


@overload
def cached_method(
    function: Callable[Concatenate[S, P], R],
    /,
    *,
    maxsize: int | None = None,
    ttl: float | None = None,
    typed: bool = False,
    by: _By = "equality",
) -> CachedMethod[S, P, R]: ...
@overload
def cached_method(
    function: None = None,
    /,
    *,
    maxsize: int | None = None,
    ttl: float | None = None,
    typed: bool = False,
    by: _By = "equality",
) -> Callable[[Callable[Concatenate[S, P], R]], CachedMethod[S, P, R]]: ...
def cached_method(
    function: Any = None,
    /,
    *,
    maxsize: int | None = None,
    ttl: float | None = None,
    typed: bool = False,
    by: _By = "equality",
) -> Any:
    """Make a method remember its results, each instance its own, for as long as that lives.

    A decorator, with and without parameters, which are those of `cache` (`maxsize` is for each
    instance):

    >>> import weakly
    >>> class Page:
    ...     def __init__(self, text):
    ...         self.text = text
    ...     @weakly.cached_method
    ...     def count(self, word):
    ...         return self.text.split().count(word)
    >>> page = Page("to be or not to be")
    >>> page.count("be"), page.count("be")
    (2, 2)
    >>> page.count.cache_info().hits
    1

    The results are kept outside of the instance, which is found by its identity: it need not be
    hashable, equal instances share nothing, and its pickles and copies have none of it. It must
    be possible to refer to it weakly: a class with `__slots__` needs `__weakref__` among them.
    The results go when the instance does, and do not keep it alive, also where they refer to it
    (on the Python tables they then do).

    What the arguments are to `cache`, those after the instance are here; so is all that is said
    there of threads, of exceptions and of coroutine functions. `obj.method.cache_info()` and
    the others are about the cache of that instance; those of `Class.method` are about the
    caches of all that live, and `Class.method.cache_discard()` takes the instance first.

    With `@classmethod`, put that outside: each class then has a cache of its own.
    `Class.method.cache_info()` and the others are about those of all subclasses, too, and
    `Class.method.cache_discard()` takes the class first.

    Raises TypeError or ValueError for parameters of a wrong type or value. A call raises
    TypeError for an instance that cannot be weakly referenced. It takes O(1) for a result that
    is there, besides hashing and comparing the arguments.
    """
    _check_parameters(maxsize, ttl, by)
    if function is None:
        return functools.partial(cached_method, maxsize=maxsize, ttl=ttl, typed=typed, by=by)
    if isinstance(function, classmethod):
        raise TypeError(
            "cached_method() takes a function, not a classmethod: put @classmethod outside, "
            "above @cached_method"
        )
    if isinstance(function, staticmethod):
        raise TypeError(
            "cached_method() takes a function that has an instance, not a staticmethod: use "
            "@weakly.cache, below @staticmethod"
        )
    if isinstance(function, property):
        raise TypeError(
            "cached_method() takes a function, not a property: use @weakly.cached_property "
            "instead of both"
        )
    _require_callable("cached_method", function)
    is_async = _is_coroutine_function(function)
    miss = _miss_of(function, is_async)
    method: CachedMethod[Any, Any, Any] = CachedMethod(
        miss, _bind, maxsize, ttl, bool(typed), by == "identity", is_async
    )
    return _decorated(method, function, is_async)


def _bind(method: CachedMethod[Any, P, R], instance: Any) -> Any:
    """What `instance.method` is."""
    if isinstance(instance, type) and not _is_of_metaclass(method, instance):
        # By a classmethod, before Python 3.13. From then on, that binds without asking.
        return MethodType(method, instance)
    return BoundMethod(method, instance)


def _is_of_metaclass(method: CachedMethod[Any, ..., Any], cls: type) -> bool:
    return any(vars(base).get(method.__name__) is method for base in type.mro(type(cls)))


class BoundMethod(functools.partial[R], Generic[P, R]):
    """What `obj.method` is: a method with its instance, and that instance's cache.

    A `partial`, as that calls without a frame of ours; for users it is a method.
    """

    if TYPE_CHECKING:  # it is made as `types.MethodType` is

        def __new__(cls, function: CachedMethod[Any, P, R], instance: Any, /) -> Self: ...
        def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @property
    def __func__(self) -> Any:  # the CachedMethod
        return self.func

    @property
    def __self__(self) -> Any:
        return self.args[0]

    def __get__(self, obj: object, owner: type | None = None) -> Self:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.func, name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BoundMethod):
            return NotImplemented
        theirs: Any = cast(Any, other)
        return self.__self__ is theirs.__self__ and self.__func__ is theirs.__func__

    def __hash__(self) -> int:
        return hash((id(self.__self__), self.__func__))

    @property
    def __module__(self) -> str:  # type: ignore[override]  # not to be assigned
        module: str = self.func.__module__
        return module

    def __repr__(self) -> str:
        name = getattr(self.__func__, "__qualname__", "?")
        return f"<bound cached method {name} of {self.__self__!r}>"

    def __reduce__(self) -> Any:
        return getattr, (self.__self__, self.__name__)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(self.__func__, deepcopy(self.__self__, memo))

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]  # not to be assigned
        doc: str | None = self.__func__.__doc__
        return doc

    @property
    def __signature__(self) -> Any:
        import inspect

        signature = inspect.signature(self.__func__)
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    def cache_info(self) -> _CacheInfo:
        """Return the numbers of this instance's hits and misses, the bound and the number of
        its results."""
        memo: Memo[P, R] | None = self.__func__._memo(self.__self__)
        if memo is None:  # an empty one
            memo = Memo(None, self.cache_parameters()["maxsize"], None, False, False, False)
        return memo.cache_info()

    def cache_clear(self) -> None:
        """Forget this instance's results and counts."""
        memo: Memo[P, R] | None = self.__func__._memo(self.__self__)
        if memo is not None:
            memo.cache_clear()

    def cache_parameters(self) -> CacheParameters:
        """Return maxsize, ttl, typed and by as they were given."""
        parameters: CacheParameters = self.__func__.cache_parameters()
        return parameters

    def cache_discard(self, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Forget the result of one call; return whether there was one."""
        found: bool = self.__func__.cache_discard(self.__self__, *args, **kwargs)
        return found


# Properties


@overload
def cached_property(
    function: Callable[[Any], Coroutine[Any, Any, T]], /
) -> CachedProperty[Awaitable[T], T]: ...
@overload
def cached_property(function: Callable[[Any], T], /) -> CachedProperty[T, T]: ...
def cached_property(function: Any, /) -> Any:
    """Make a method an attribute that is computed once for each instance.

    >>> import weakly
    >>> class Circle:
    ...     __slots__ = ("__weakref__", "radius")
    ...     def __init__(self, radius):
    ...         self.radius = radius
    ...     @weakly.cached_property
    ...     def area(self):
    ...         return 3 * self.radius**2
    >>> circle = Circle(2)
    >>> circle.area
    12
    >>> del circle.area  # to be computed anew
    >>> circle.radius = 3
    >>> circle.area
    27

    The value is kept outside of the instance, as the results of a `cached_method` are, and all
    that is said there holds here: the instance needs no `__dict__` and no hash, must be weakly
    referenceable, and is not kept alive. Assigning to the attribute stores a value; `del`
    forgets it, and raises AttributeError if there is none.

    `Class.name.cache_info()`, `cache_clear()` and `cache_parameters()` are about all instances;
    `cache_discard(obj)` forgets a value and tells whether there was one.

    Of many threads that read it at once, one computes the value. Each reading of one that is a
    coroutine function gives a new awaitable object; all that are awaited share one run, as
    with `cache`.

    Raises TypeError for what cannot be called, and for one that gets two names in a class.
    """
    _require_callable("cached_property", function)
    is_async = _is_coroutine_function(function)
    miss = _miss_of_coroutine_property(function) if is_async else _miss_of_property(function)
    found: CachedProperty[Any, Any] = CachedProperty(miss, is_async)
    return _decorated(found, function, False)


class _PropertyPlace(KeyPlace):
    __slots__ = ("owner",)
    asks_for_itself = "a cached property asks for the very value that it is to make"

    def __init__(self, owner: CachedProperty[Any, Any], instance: Any) -> None:
        super().__init__(owner._table, instance, True)
        self.owner = owner
        self.generation = owner._generation

    def current_generation(self) -> int:
        return self.owner._generation

    def forget(self, value: Any) -> None:
        self.owner.cache_discard(self.key)


def _miss_of_property(function: Callable[..., Any]) -> Callable[..., Any]:
    def miss(owner: CachedProperty[Any, Any], instance: Any) -> Any:
        flight = Flight(_PropertyPlace(owner, instance))
        try:
            value = flight.begin()
            owner._count(value is not ABSENT)
            if value is ABSENT:
                value = flight.store(function(instance))
            return value
        finally:
            flight.end()

    return miss


def _miss_of_coroutine_property(function: Callable[..., Any]) -> Callable[..., Any]:
    def miss(owner: CachedProperty[Any, Any], instance: Any) -> Any:
        return _Reading(owner, function, instance)

    return miss


class _Reading:
    """What reading an asynchronous property gives: nothing runs before it is awaited."""

    __slots__ = ("_function", "_instance", "_owner")

    def __init__(
        self, owner: CachedProperty[Any, Any], function: Callable[..., Any], instance: Any
    ) -> None:
        self._owner = owner
        self._function = function
        self._instance = instance

    def __await__(self) -> Generator[Any, Any, Any]:
        from ._runs import share  # asyncio takes long to import

        owner, instance = self._owner, self._instance
        place = _PropertyPlace(owner, instance)
        return share(place, owner._count, self._function, (instance,), {}).__await__()


# What the decorators share

_OURS = ("cache_info", "cache_clear", "cache_parameters", "cache_discard")


def _decorated(wrapper: C, function: Any, is_async: bool) -> C:
    functools.update_wrapper(cast(Any, wrapper), function)
    for name in _OURS:  # of another cache's, which the function may be
        vars(wrapper).pop(name, None)
    if is_async:
        from ._runs import mark_as_coroutine_function

        mark_as_coroutine_function(wrapper)
    return wrapper


def _is_coroutine_function(function: Any) -> bool:
    import inspect

    if inspect.iscoroutinefunction(function):
        return True
    call = getattr(cast(Any, type(function)), "__call__", None)  # noqa: B004 - of which kind it is
    if inspect.iscoroutinefunction(call):
        return True
    coroutines = sys.modules.get("asyncio.coroutines")  # that of 3.11 knows more
    if sys.version_info >= (3, 12) or coroutines is None:
        return False
    return bool(coroutines.iscoroutinefunction(function))


def _require_callable(name: str, function: object) -> None:
    if not callable(function):
        hint = f"; write @weakly.{name}(maxsize={function})" if isinstance(function, int) else ""
        raise TypeError(f"{name}() takes a callable, not '{type(function).__name__}'{hint}")


def _check_parameters(maxsize: object, ttl: object, by: object) -> None:
    if maxsize is not None:
        _check_maxsize(maxsize)
    _check_ttl(ttl)
    if by not in ("equality", "identity"):
        raise ValueError(f'by must be "equality" or "identity", not {by!r}')


def _check_maxsize(maxsize: object) -> None:
    if not isinstance(maxsize, int):
        hint = ""
        if callable(maxsize):
            hint = "; a function goes before the parameters"
        raise TypeError(f"maxsize must be an int, not '{type(maxsize).__name__}'{hint}")
    if maxsize < 1:
        raise ValueError(f"maxsize must be at least 1, not {maxsize}")


def _check_ttl(ttl: object) -> None:
    if ttl is None:
        return
    if not isinstance(ttl, Real):
        raise TypeError(f"ttl must be a number of seconds or None, not '{type(ttl).__name__}'")
    if isnan(ttl) or ttl <= 0:
        raise ValueError(f"ttl must be more than 0 seconds, not {ttl}")


def _check_callable(name: str, function: object) -> None:
    if function is not None and not callable(function):
        raise TypeError(f"{name} must be callable or None, not '{type(function).__name__}'")


# The cache with weak values


class WeakCache(CacheTable[K, V], MutableMapping[K, V]):
    """A mapping that keeps its most useful recent values alive, and finds all that still live.

    >>> import weakly
    >>> class Image:
    ...     def __init__(self, name):
    ...         self.name = name
    >>> images = weakly.WeakCache(2)
    >>> for name in ["one", "two", "three"]:
    ...     images[name] = Image(name)
    >>> len(images)
    2

    The values in its *window* are held strongly. One that has left the window is held weakly:
    it is still found for as long as anybody else holds it, and comes back into the window when
    it is. One that cannot be weakly referenced goes when it leaves. A value that was stored
    stays at least until the next is, unless it is heavier than the window. Keys are hashable
    and held.

    - `maxsize`: how much the window holds at most: the sum of the weights.
    - `ttl`: for how many seconds an entry stays.
    - `weigh(value)`: the weight of a value, an int that is not negative; without it, each
      weighs 1. A value that is heavier than `maxsize` never enters the window.
    - `on_evict(key, value, cause)`: called once for each entry that has gone, with the cause:
      `"dead"` (its value has died outside of the window; `value` is None), `"size"` (it has
      left the window and nobody else held the value), `"expired"`, `"replaced"` (`value` is the
      old one) or `"deleted"`. It may use the cache. What it raises goes to
      `sys.unraisablehook`.
    - `shrink_under_pressure`: whether the coldest values shall leave the window when memory
      runs short (see `on_memory_pressure`).

    What stays in the window is decided as by W-TinyLFU (Einziger, Friedman and Manes, ACM
    Transactions on Storage 13, 2017): a new value stays if it has been asked for more often
    than that which would have to leave for it. So one scan over many values does not flush it.
    The share of the window that is for new values adapts itself to what is asked for.

    It has the methods of a dictionary. `len()` counts the live entries; iterating goes over a
    copy of them, in no particular order. `cache_info()` counts as hits and misses what `[]`,
    `get` and `get_or_create` find and do not find.

    Looking up, storing and removing take constant time, besides the time of `weigh`, and are
    atomic under threads; no lock is held while any code of users runs. A cache cannot be copied
    or pickled.

    Raises TypeError or ValueError for parameters of a wrong type or value.
    """

    def __init__(
        self,
        maxsize: int = 128,
        *,
        ttl: float | None = None,
        weigh: Callable[[V], int] | None = None,
        on_evict: Callable[[K, V | None, str], object] | None = None,
        shrink_under_pressure: bool = False,
    ) -> None:
        _check_maxsize(maxsize)
        _check_ttl(ttl)
        _check_callable("weigh", weigh)
        _check_callable("on_evict", on_evict)
        self._weakly_grown: Callable[[], object] | None = None
        if shrink_under_pressure:
            from . import memory

            memory._watch(self)  # pyright: ignore[reportPrivateUsage]  # ours
            self._weakly_grown = memory._grown  # pyright: ignore[reportPrivateUsage]  # ours
            weigh = _looking(self._weakly_grown, weigh)
        self._configure(maxsize, ttl, weigh, on_evict)
        self._weakly_parameters: dict[str, Any] = {"maxsize": maxsize, "ttl": ttl}

    def __iter__(self) -> Iterator[K]:
        return iter([key for key, _ in self._entries()])

    def keys(self) -> Iterator[K]:  # type: ignore[override]  # as the other containers
        """Return an iterator over the keys of the live entries. O(n)."""
        return iter(self)

    def values(self) -> Iterator[V]:  # type: ignore[override]  # as keys()
        """Return an iterator over the values of the live entries. O(n)."""
        return iter([value for _, value in self._entries()])

    def items(self) -> Iterator[tuple[K, V]]:  # type: ignore[override]  # as keys()
        """Return an iterator over the live entries as (key, value). O(n)."""
        return iter(self._entries())

    @overload
    def setdefault(self: WeakCache[K, D | None], key: K, default: None = None) -> D | None: ...
    @overload
    def setdefault(self, key: K, default: V) -> V: ...
    def setdefault(self, key: K, default: Any = None) -> Any:
        """Return the value for a key, which is set to the default if it is not there. O(1)."""
        return self._put(key, default, None, None, True)

    def popitem(self) -> tuple[K, V]:
        """Remove and return a live entry as (key, value), any of them. Raise KeyError if there
        is none. O(n)."""
        for key, _ in self._entries():
            value: V = self.pop(key, ABSENT)
            if value is not ABSENT:
                return key, value
        raise KeyError("popitem(): the cache is empty")

    def store(
        self, key: K, value: V, *, ttl: float | None = None, weight: int | None = None
    ) -> None:
        """Store a value with a time to live and a weight of its own. O(1).

        `ttl` is in seconds, `math.inf` for ever; None stands for those of the cache. Raises
        TypeError or ValueError for one of a wrong type or value.
        """
        _check_ttl(ttl)
        self._put(key, value, ttl, weight, False)
        if weight is not None:
            self._weakly_look()

    def get_or_create(
        self,
        key: K,
        factory: Callable[[], V],
        *,
        ttl: float | None = None,
        weight: int | None = None,
    ) -> V:
        """Return the value for a key; if there is none, store and return `factory()`.

        Of many threads that ask for the same key, one calls its factory; the others wait and
        get the same value. No lock is held meanwhile. A value that somebody else stores
        meanwhile wins. An exception of the factory goes to the caller and leaves nothing
        behind; one of those that wait then calls its own.

        `ttl` and `weight` are those of a value that is stored, as in `store()`. Raises
        RuntimeError if the factory asks for the same key, and if threads would wait for each
        other's keys for ever. O(1) if the key is there.
        """
        value = cast(V, self.get(key, ABSENT))
        if value is not ABSENT:
            return value
        _check_ttl(ttl)
        flight = Flight(_CachePlace(self, key, ttl, weight))
        try:
            value = flight.begin()
            if value is ABSENT:
                value = flight.store(factory())
        finally:
            flight.end()
        if weight is not None:
            self._weakly_look()
        return value

    def _weakly_look(self) -> None:
        """Look how much memory there is, if that is wanted: the cache has grown. Where the
        weight is not given, the function that weighs does so."""
        if self._weakly_grown is not None:
            self._weakly_grown()

    def cache_parameters(self) -> dict[str, Any]:
        """Return maxsize and ttl as they were given."""
        return dict(self._weakly_parameters)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        theirs: Any = cast(Any, other)
        return dict(self.items()) == dict(theirs.items())

    __hash__: ClassVar[None]  # type: ignore[assignment]  # mutable, like dict

    @recursive_repr()
    def __repr__(self) -> str:
        entries = ", ".join(f"{key!r}: {value!r}" for key, value in self.items())
        return f"<{type(self).__name__} at {id(self):#x}: {{{entries}}}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            f"cannot copy or pickle '{type(self).__name__}' object: make a new one and update() it"
        )


def _looking(
    look: Callable[[], object], weigh: Callable[[Any], int] | None
) -> Callable[[Any], int]:
    """A function that weighs, and is thereby called before each value is stored."""

    def look_and_weigh(value: Any) -> int:
        look()
        return 1 if weigh is None else weigh(value)

    return look_and_weigh


class _CachePlace(KeyPlace):
    """A key in a WeakCache, and what its value is to be stored with."""

    __slots__ = ("ttl", "weight")
    holder: WeakCache[Any, Any]

    def __init__(
        self, table: WeakCache[Any, Any], key: object, ttl: float | None, weight: int | None
    ) -> None:
        super().__init__(table, key, False)
        self.generation = table._generation
        self.ttl = ttl
        self.weight = weight

    def current_generation(self) -> int:
        return self.holder._generation

    def forget(self, value: Any) -> None:
        self.holder.cache_discard(self.key)

    def find(self) -> Any:
        return self.holder._find(self.key, ABSENT)  # the miss that led here was counted

    def store(self, value: Any) -> Any:
        return self.holder._put(self.key, value, self.ttl, self.weight, True)


class Interner(Generic[T]):
    """Keeps one of all objects that are equal, for as long as somebody uses it.

    >>> import weakly
    >>> class Tag(str):
    ...     pass
    >>> tags = weakly.Interner()
    >>> a, b = tags.intern(Tag("x")), tags.intern(Tag("x"))
    >>> a is b
    True

    Objects are compared by equality, as the members of a `WeakSet`, and are held weakly: one
    that nobody uses any more goes, and the next that equals it takes its place. They must be
    hashable and must not change what they are compared by.

    `len()` counts the live objects; iterating visits those that were there when it began and
    still live, never raises and copies nothing; `in` tells whether an equal object is there.
    All take constant time, but for iterating and `clear()`; all are atomic under threads: of
    equal objects interned at the same time, all callers get the same one.

    `copy.copy` and `copy.deepcopy` make another interner of the same objects. A pickle holds
    the live objects; the interner that comes out of it holds those that something else keeps
    alive when loading is over.
    """

    _table: WeakSetTable[T]

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._table = WeakSetTable()
        return self

    def __init__(self) -> None:
        self.clear()

    @classmethod
    def lenient(cls: Callable[P, C], /, *args: P.args, **kwargs: P.kwargs) -> C:
        """Return a new interner that takes what cannot be weakly referenced and holds it
        strongly, until `clear()`. Takes the arguments of the constructor."""
        self: Any = cast(Any, cls).__new__(cls, *args, **kwargs)
        self._table._weakly_hold_strongly()
        self.__init__(*args, **kwargs)
        return cast(C, self)

    def intern(self, obj: T) -> T:
        """Return the object here that equals `obj`; `obj` itself, from now on, if none does.

        Raises TypeError if it cannot be weakly referenced (and the interner is not lenient)
        or is not hashable. O(1), atomic.
        """
        return self._table._intern(obj)  # pyright: ignore[reportPrivateUsage]  # ours

    def clear(self) -> None:
        """Forget all objects. O(n)."""
        self._table.clear()

    def strong_count(self) -> int:
        """Return how many objects are held strongly: none, unless it is lenient. O(n)."""
        return self._table.strong_count()

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[T]:
        return iter(self._table)

    def __contains__(self, obj: object) -> bool:
        return obj in self._table

    @recursive_repr()
    def __repr__(self) -> str:
        count = self.strong_count()
        note = f" ({count} held strongly)" if count else ""
        return f"<{type(self).__name__} of {{{', '.join(map(repr, self))}}}{note}>"

    # Copies and pickles

    def __getstate__(self) -> Any:
        """Return the attributes of a subclass's instance, without the objects."""
        state: Any = super().__getstate__()
        found, slots = cast(
            "tuple[dict[str, Any], Any]", state if isinstance(state, tuple) else (state, None)
        )
        attributes = {name: value for name, value in found.items() if name != "_table"}
        return (attributes, slots) if slots else attributes

    def __reduce__(self) -> tuple[Any, ...]:
        # The objects are not among the arguments: one of them may refer to the interner.
        state = (list(self), self.__getstate__())
        return _new, (type(self), self._weakly_lenient), state, None, None, _restore

    def __copy__(self) -> Self:
        """Return an interner of the same objects, with the same attributes."""
        new: Self = _new(type(self), self._weakly_lenient)
        _restore(new, (list(self), self.__getstate__()))
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return an interner of the same objects, with copies of the attributes."""
        memo[id(self)] = new = _new(type(self), self._weakly_lenient)
        _restore(new, (list(self), deepcopy(self.__getstate__(), memo)))
        return new

    @property
    def _weakly_lenient(self) -> bool:
        return self._table._weakly_lenient  # pyright: ignore[reportPrivateUsage]  # ours


def _new(cls: type[I], lenient: bool) -> I:
    """One without objects. Pickles name this function."""
    self = cls.__new__(cls)
    if lenient:
        self._table._weakly_hold_strongly()  # pyright: ignore[reportPrivateUsage]  # ours
    return self


def _restore(interner: Interner[T], state: tuple[list[T], Any]) -> None:
    """Fills one. Pickles name this function."""
    objects, attributes = state
    set_attributes(interner, attributes)
    interner._table._extend(objects)  # pyright: ignore[reportPrivateUsage]  # ours
