"""The part of the pytest plugin that looks at tests, where any are to be looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import replace
from importlib import import_module
from typing import Any
from weakref import ref

import pytest

# pyright: reportPrivateUsage=false
from ..containers import WeakIdSet
from ..testing import about, collect_all, is_collectable
from ._names import name_of, qualified_name
from ._retention import RetentionPath, why_alive
from ._tracker import Tracker, promotions

__all__ = ["LeakChecker", "Leaked"]

_LOOKED_AT = 20  # instances that a test has left, for who holds them
_SHOWN = 3
_ASKED = 6  # paths, of which some may be pytest's own
_PYTEST = (
    *("_pytest.", "pluggy.", "pytest_asyncio.", "xdist.", "execnet.", "anyio.pytest_plugin."),
    *("unittest.case.", "unittest.async_case.", "unittest.suite."),
)


_Failed: Any = pytest.fail.Exception


class Leaked(_Failed):  # type: ignore[misc]
    """The failure of a test that leaves objects behind."""

    __module__ = "builtins"  # as that of pytest's own, for a short name
    leaks: dict[str, int]  # by the name of the class


class LeakChecker:
    """Looks at each test that is to be looked at, from its setup to its teardown."""

    def __init__(self, names: Iterable[str], *, in_worker: bool = False) -> None:
        self._error = ""
        self._always = Tracker()  # for the whole run
        self._marked: Tracker | None = None  # for this test
        self._exempt: WeakIdSet[Any] = WeakIdSet()  # instances that are not this test's
        self._failed = False
        self._promotions: int | None = None  # before the test
        try:
            self._always._watch_classes([class_named(name) for name in names])
        except Exception as error:  # a module that cannot be imported may raise anything
            self._error = f"--weakly-leaks: {_message(error)}"
        if self._error and not in_worker:  # where that would be an internal error
            raise pytest.UsageError(self._error)

    @pytest.hookimpl(wrapper=True, trylast=True)  # it may fail, and others have to begin before
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self._failed = False
        self._promotions = promotions()
        if self._error:
            pytest.fail(self._error, pytrace=False)
        classes = _marked_classes(item)
        if classes:
            self._marked = Tracker()
            self._marked._watch_classes(classes)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
        if fixturedef.scope == "function":
            return (yield)
        before: WeakIdSet[Any] = WeakIdSet(self._alive())
        try:
            return (yield)
        finally:  # what others will use as well
            self._exempt.update(obj for obj in self._alive() if obj not in before)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
        report = yield
        if call.excinfo is not None:
            self._failed = True
            if isinstance(call.excinfo.value, Leaked):
                report.weakly_leaks = call.excinfo.value.leaks
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, Any]:
        try:
            result = yield
            failure = None if self._failed else self._look()
        finally:
            if self._marked is not None:
                self._marked.close()
                self._marked = None
            if self._failed:
                self._exempt.update(self._alive())
        if failure is not None:
            raise failure
        return result

    def pytest_unconfigure(self) -> None:
        self._always.close()

    def _trackers(self) -> list[Tracker]:
        return [self._always] if self._marked is None else [self._always, self._marked]

    def _alive(self) -> list[Any]:
        return [obj for tracker in self._trackers() for obj in tracker.alive()]

    def _look(self) -> Leaked | None:
        """What there is to say of the test that has ended."""
        # To look at the young objects only takes nearly nothing.
        young = self._promotions is not None and self._promotions == promotions()
        records = {
            id(obj): record
            for tracker in self._trackers()
            for record in tracker._records(young=young)
            if (obj := record()) is not None and obj not in self._exempt
        }
        obj = None
        references = list(records.values())
        if not references or collect_all(references):
            return None
        failure = _failure([each for each in references if each() is not None])
        self._exempt.update(obj for each in references if (obj := each()) is not None)
        return failure


def _failure(references: list[ref[Any]]) -> Leaked | None:
    counts: Counter[str] = Counter()
    shown: list[tuple[Any, list[str]]] = []
    for reference in references[:_LOOKED_AT]:
        obj = reference()
        if obj is None:
            continue
        retention = why_alive(obj, paths=_ASKED)
        paths = tuple(path for path in retention.paths if not _is_pytests(path))
        if paths or retention.cycle is not None:
            counts[qualified_name(type(obj))] += 1
            manner = [[step.type for step in path.steps] for path in paths]
            if len(shown) < _SHOWN and manner not in [other for other, _ in shown]:
                shown.append((manner, about(reference, replace(retention, paths=paths[:_SHOWN]))))
        del obj
    if not shown:
        return None
    for reference in references[_LOOKED_AT:]:
        obj = reference()
        if obj is not None:
            counts[qualified_name(type(obj))] += 1
        del obj
    number = counts.total()
    objects = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    lines = [f"{objects} made by this test {'is' if number == 1 else 'are'} alive after it"]
    for _, text in shown:
        lines += ["", *text]
    if number > len(shown):
        lines += ["", f"... and {number - len(shown):,} more"]
    failure = Leaked("\n".join(lines), pytrace=False)
    failure.leaks = dict(counts)
    return failure


def _is_pytests(path: RetentionPath) -> bool:
    """Whether it is pytest that keeps an object so: by fixtures, items, reports."""
    if path.kind in ("runner", "caller"):
        return True
    return any(name.startswith(_PYTEST) for name in (path.type, *(s.type for s in path.steps)))


def _marked_classes(item: pytest.Item) -> list[type]:
    classes: dict[int, type] = {}
    for marker in item.iter_markers("no_leaks"):
        if marker.kwargs or not marker.args:
            pytest.fail("no_leaks takes one or more classes, or their dotted names", pytrace=False)
        for one in marker.args:
            error = ""
            try:
                cls = class_named(one)
                classes[id(cls)] = cls
            except Exception as exception:
                error = _message(exception)
            if error:
                pytest.fail(f"no_leaks: {error}", pytrace=False)
    return list(classes.values())


def _message(error: Exception) -> str:
    """What went wrong in looking for a class; with the type if the module has raised it."""
    if isinstance(error, TypeError | ImportError | AttributeError) and str(error):
        return str(error)
    return f"{name_of(type(error))}: {error}"


def class_named(name: Any) -> type:
    """The class with a dotted name (`a.b.C`, `a.b:C`), whose module is imported; or the class
    itself.

    Raises TypeError if it is none that can be watched, ImportError or AttributeError if there
    is none, and whatever the module raises when it is imported.
    """
    found: Any = name
    if isinstance(name, str):
        module, _, attribute = name.strip().replace(":", ".").rpartition(".")
        attributes = [attribute]
        found = None
        if not module:
            found = import_module("builtins")
            if not hasattr(found, attribute):
                raise TypeError(f"{name!r} is no class: give its module, too, as in myapp.User")
        while found is None:
            try:
                found = import_module(module)
            except ModuleNotFoundError as error:
                if not module or not f"{module}.".startswith(f"{error.name}.") or "." not in module:
                    raise
                module, _, attribute = module.rpartition(".")
                attributes.insert(0, attribute)
        for attribute in attributes:
            found = getattr(found, attribute)
    if not issubclass(type(found), type):
        raise TypeError(f"{name!r} is no class")
    is_collectable(found)
    return found  # type: ignore[no-any-return]
