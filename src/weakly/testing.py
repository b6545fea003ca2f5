"""For tests: that objects are collected, and if not, what keeps them alive.

`assert_collected` is for a block of a test, `collect_until` for what takes its time, and
`LeakTestMixin` for `unittest`. What pytest has of it, the marker `no_leaks`, the option
`--weakly-leaks` and the fixture `weakly_tracker`, comes with a plugin of its own.

All of them collect first, so a cycle is no leak. An error names the holder: its text is that of
`why_alive()`.
"""

from __future__ import annotations

# pyright: reportPrivateUsage=false
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from types import (
    BuiltinFunctionType,
    CellType,
    CoroutineType,
    FrameType,
    FunctionType,
    MethodType,
    TracebackType,
)
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast
from weakref import ref

from ._implementation import frame_variables
from .ephemerons import collect
from .tracking._names import describe, describe_frame, module_of, mro_of, qualified_name
from .tracking._retention import Retention, RetentionPath, why_alive
from .tracking._tracker import Tracker

if TYPE_CHECKING:
    from unittest import TestCase as _TestCase

    _Reference = Callable[[], Any]
else:
    _TestCase = object

__all__ = ["LeakTestMixin", "assert_collected", "collect_until", "collect_until_async"]

_COLLECTIONS = 4  # finalizers run in one, and what they held goes in the next
_TURNS = 4  # of the event loop, that tasks and callbacks need to end
_LOOKED_AT = 10  # objects, of many that are alive
_SHOWN = 3  # of these, if each is held in another way
_DELETE_FIRST = "`del {name}` before"
_DELETE_INSIDE = (
    "end the block with `del {name}`, or give assert_collected() a function that makes it"
)
_FUNCTIONS = (FunctionType, MethodType, BuiltinFunctionType, partial)


def collect_until(ref: Callable[[], Any], timeout: float = 5.0) -> None:
    """Collect garbage until the object of a weak reference is dead.

    For what ends in another thread, or with a timer. At least one attempt is made. Raises
    AssertionError, with what keeps the object alive, if it lives after `timeout` seconds, and
    TypeError for anything but a weak reference: whoever is given the object keeps it alive.
    """
    __tracebackhide__ = True
    references = [_reference(ref)]
    for pause in _attempts(references, timeout):
        time.sleep(pause)
    _fail_if_alive(references, _caller(), _DELETE_FIRST)


async def collect_until_async(ref: Callable[[], Any], timeout: float = 5.0) -> None:
    """Do what `collect_until()` does, with turns for the event loop of `asyncio` in between."""
    __tracebackhide__ = True
    references = [_reference(ref)]
    async for _ in _attempts_async(references, timeout):
        pass
    _fail_if_alive(references, _caller(), _DELETE_FIRST)


class assert_collected:
    """Assert that objects are collected at the end of a `with` block.

    ```
    with weakly.assert_collected(page):
        page.close()
        del page
    ```

    What is to be gone at the end:

    - of a class, each instance, its subclasses' too, that is made in the block;
    - of a function, a method or a `partial`, what it returns: it is called at the beginning, and
      its result kept by nobody but those that it has given it to;
    - of a weak reference, its object;
    - else the object itself, which is held weakly. The caller's own variable is the usual reason
      why it lives: the block has to end with `del page`. If need be, give a weak reference to a
      function or a class, to have itself looked at.

    Garbage is collected, also on PyPy, where nothing dies without that; with a `timeout`, again and
    again for so many seconds. Raises AssertionError, with what keeps the objects alive, and
    TypeError, at the beginning, for what cannot be weakly referenced, or RuntimeError for a second
    block. An exception of the block goes on as it is, and nothing is checked.

    `async with` gives the event loop of `asyncio` some turns, which tasks need to end, and awaits
    the result of a coroutine function. In the block, `references` are the weak references that are
    looked at. Takes the time of a full collection if anything lives at the end of the block, else
    O(1), but for classes O(n) in the objects of the heap.
    """

    __slots__ = (
        "__weakref__", "_classes", "_factories", "_timeout", "_tracker", "_used", "references",
    )  # fmt: skip

    def __init__(self, *targets: Any, timeout: float = 0.0) -> None:
        if not targets:
            raise TypeError("assert_collected() takes at least one object, class or function")
        self.references: list[_Reference] = []
        self._classes: list[type] = []
        self._factories: list[Callable[[], Any]] = []
        self._timeout = float(timeout)
        self._tracker: Tracker | None = None
        self._used = False
        for target in targets:
            kind = type(cast(object, target))
            if issubclass(kind, type):
                is_collectable(target)
                self._classes.append(target)
            elif issubclass(kind, ref):
                self.references.append(target)
            elif issubclass(kind, _FUNCTIONS):
                self._factories.append(target)
            else:
                self.references.append(_weak(target))

    def __enter__(self) -> Self:
        __tracebackhide__ = True
        self._begin()
        for factory in self._factories:
            result: Any = factory()
            if _is_coroutine(result):
                result.close()
                raise TypeError(f"{_name_of(factory)} returns a coroutine: use `async with`")
            self.references.append(_weak(result, factory))
            del result
        return self._start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        references = self._stop(exc_type is not None)
        for pause in _attempts(references, self._timeout):
            time.sleep(pause)
        _fail_if_alive(references, _caller(), _DELETE_INSIDE)

    async def __aenter__(self) -> Self:
        __tracebackhide__ = True
        self._begin()
        for factory in self._factories:
            result: Any = factory()
            if _is_coroutine(result):
                result = await result
            self.references.append(_weak(result, factory))
            del result
        return self._start()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        references = self._stop(exc_type is not None)
        async for _ in _attempts_async(references, self._timeout):
            pass
        _fail_if_alive(references, _caller(), _DELETE_INSIDE)

    def _begin(self) -> None:
        if self._used:
            raise RuntimeError("assert_collected() is for one block: make another")
        self._used = True

    def _start(self) -> Self:
        self._factories.clear()  # which may hold what they have made
        if self._classes:
            self._tracker = Tracker()
            self._tracker._watch_classes(self._classes)
        return self

    def _stop(self, failed: bool) -> list[_Reference]:
        """What is to be looked at, which is nothing after an exception."""
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            try:
                if not failed:
                    self.references += tracker._records()
            finally:
                tracker.close()
        return [] if failed else self.references


# ----------------------------------------------------------------------------------- unittest


class LeakTestMixin(_TestCase):
    """For test cases of `unittest`: `class TestPages(LeakTestMixin, unittest.TestCase)`.

    `no_leaks` names a class, or several: no instance that is made during a test, its `setUp()`
    included, may be alive after its clean-ups. What the test has set on `self` is deleted before
    that is checked. A test that fails, or is skipped, is not checked.
    """

    no_leaks: ClassVar[Iterable[type] | type] = ()

    _weakly_passed = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        bases = mro_of(cls)
        if any(module_of(base) == "unittest.case" for base in bases[: bases.index(LeakTestMixin)]):
            raise TypeError(f"{cls.__name__}: LeakTestMixin has to stand before the TestCase")

    def run(self, result: Any = None) -> Any:
        __tracebackhide__ = True
        some = self.no_leaks
        classes = (some,) if isinstance(some, type) else tuple(some)
        if classes:
            self._weakly_passed = False
            leaks = assert_collected(*classes)
            leaks.__enter__()
            # The clean-up that is registered first is the last one to be made.
            self.addCleanup(self._check_leaks, leaks, set(vars(self)))
            try:
                return super().run(result)
            finally:
                leaks._stop(True)  # for no clean-ups are made if it is skipped
        return super().run(result)

    def _callTestMethod(self, method: Any) -> None:
        __tracebackhide__ = True
        super()._callTestMethod(method)  # type: ignore[misc]
        outcome: Any = getattr(self, "_outcome", None)  # knows of failed subtests
        self._weakly_passed = outcome is None or outcome.success

    def _check_leaks(self, leaks: assert_collected, before: set[str]) -> None:
        __tracebackhide__ = True
        passed, self._weakly_passed = self._weakly_passed, False
        if passed:
            for name in set(vars(self)) - before - _UNITTEST:
                delattr(self, name)
        leaks.__exit__(None if passed else AssertionError, None, None)

    def assertCollected(self, *targets: Any, timeout: float = 0.0) -> assert_collected:
        """The context manager `assert_collected(*targets)`."""
        return assert_collected(*targets, timeout=timeout)

    def assertNoLeaks(self, *classes: type[Any], timeout: float = 0.0) -> assert_collected:
        """The same for classes only: no instance that is made in the block lives at its end."""
        for cls in classes:
            meta: type[Any] = type(cls)
            if not issubclass(meta, type):
                raise TypeError(f"assertNoLeaks() takes classes, not {type(cls).__name__!r} object")
        return assert_collected(*classes, timeout=timeout)


_UNITTEST = {"_outcome", "_subtest", "_cleanups", "_asyncioRunner", "_asyncioTestContext"}


# ---------------------------------------------------------------------------- what they share


def _weak(target: Any, maker: Any = None) -> _Reference:
    try:
        return ref(target)
    except TypeError:
        what = f"{type(target).__name__!r} object"
        if maker is not None:
            what = f"the {what} that {_name_of(maker)} has returned"
        raise TypeError(
            f"cannot tell whether {what} is collected, because it cannot be weakly referenced"
        ) from None


def _is_coroutine(result: object) -> bool:
    return type(result) is CoroutineType


def _name_of(function: Any) -> str:
    return getattr(function, "__qualname__", None) or describe(function)


def is_collectable(cls: type) -> None:
    """Raise TypeError for a class whose instances cannot be weakly referenced."""
    offset = type.__dict__.get("__weakrefoffset__")  # not in every implementation
    if offset is not None and not offset.__get__(cls):
        raise TypeError(
            f"cannot tell whether {qualified_name(cls)!r} objects are collected, because they "
            "cannot be weakly referenced: has the class __slots__ without '__weakref__'?"
        )


def _reference(reference: Any) -> _Reference:
    if not issubclass(type(reference), ref):
        raise TypeError(f"a weak reference is required, not {type(reference).__name__!r} object")
    return cast("_Reference", reference)


def _any_alive(references: Iterable[_Reference]) -> bool:
    return any(reference() is not None for reference in references)


def collect_all(references: Iterable[_Reference]) -> bool:
    """Whether all are dead, after as many collections as that takes."""
    for _ in range(_COLLECTIONS):
        if not _any_alive(references):
            return True
        collect()
    return not _any_alive(references)


def _attempts(references: list[_Reference], timeout: float) -> Iterator[float]:
    """Collect again and again until all are dead; gives the pauses in between."""
    end = time.monotonic() + timeout
    pause = 0.001
    while not collect_all(references):
        rest = end - time.monotonic()
        if rest <= 0:
            return
        yield min(pause, rest)
        pause = min(2 * pause, 0.1)


async def _attempts_async(references: list[_Reference], timeout: float) -> AsyncIterator[None]:
    from asyncio import sleep

    for _ in range(_TURNS):
        if not _any_alive(references):
            return
        await sleep(0)
        yield
    for pause in _attempts(references, timeout):
        await sleep(pause)
        yield


def _caller() -> FrameType | None:
    """The frame that has called weakly."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    return frame


def _fail_if_alive(references: list[_Reference], caller: FrameType | None, cure: str) -> None:
    __tracebackhide__ = True
    # The text alone: this frame is in the traceback, and must not keep the objects.
    text = _text(references, caller, cure)
    del caller
    if text:
        raise AssertionError(text)


def _text(references: Iterable[_Reference], caller: FrameType | None = None, cure: str = "") -> str:
    """What to say of the objects that are alive; empty if none is. The cure is what to do about
    a variable of the caller's."""
    alive = [reference for reference in references if reference() is not None]
    if not alive:
        return ""
    count = len(alive)
    lines = [
        "1 object was not collected" if count == 1 else f"{count:,} objects were not collected"
    ]
    shown: list[Any] = []
    for reference in alive[:_LOOKED_AT]:
        obj = reference()
        if obj is None:
            continue
        retention = why_alive(obj)
        mine = "" if caller is None else _variable(obj, caller)
        del obj
        manner = mine, [(path.root, _types(path)) for path in retention.paths]
        if manner in shown or len(shown) == _SHOWN:
            continue
        shown.append(manner)
        lines += ["", *about(reference, retention)]
        if mine and caller is not None:
            where = describe_frame(caller)
            lines.append(f"The variable {mine!r} of {where} refers to it: {cure.format(name=mine)}")
    if count > len(shown) > 0:
        lines += ["", f"... and {count - len(shown):,} more"]
    return "\n".join(lines)


def about(reference: _Reference, retention: Retention) -> list[str]:
    first, *others = str(retention).splitlines()
    site = getattr(reference, "site", None)  # of what a tracker has seen
    made = "" if site is None else f", made by {site.where}"
    return [first + made, *others]


def _types(path: RetentionPath) -> list[str]:
    return [step.type for step in path.steps]


def _variable(obj: Any, frame: FrameType) -> str:
    """The variable of a function that refers to an object, or nothing."""
    for name, value in frame_variables(frame):
        if type(value) is CellType:
            with suppress(ValueError):
                value = value.cell_contents
        if value is obj:
            return name
    return ""
