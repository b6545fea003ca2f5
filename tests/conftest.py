"""Fixtures, markers and switches of the whole suite.

One process tests one implementation; `WEAKLY_PURE` chooses it and the header names it.
"""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))  # for `support`, however pytest imports

from support import C_CORE, KINDS, PYPY, Kind, freeze

import weakly


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="run the long tests too")


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "c_core(reason): only the C core can pass, and why",
        "python_tables(reason): only the Python tables can pass, and why",
        "slow: takes long; runs with --run-slow",
    ):
        config.addinivalue_line("markers", line)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Sets up hypothesis, before a file that uses it is imported.

    Without it a collection on PyPy takes two thirds of the time, and most tests there wait for
    collections most of the time.
    """
    if not isinstance(collector, pytest.Module):
        return
    if "hypothesis" not in collector.path.read_text("utf-8"):
        return
    from hypothesis import HealthCheck, settings

    slow = collector.config.getoption("--run-slow")
    settings.register_profile(
        "weakly",
        deadline=None,
        max_examples=200 if slow else 8 if PYPY else 25,
        stateful_step_count=80 if slow else 25 if PYPY else 40,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("weakly")


def pytest_report_header() -> str:
    gil = "" if getattr(sys, "_is_gil_enabled", lambda: True)() else ", without the GIL"
    debug = ", debug build" if hasattr(sys, "gettotalrefcount") else ""
    where = Path(weakly.__file__).parent
    return f"weakly.implementation: {weakly.implementation!r}{gil}{debug}, from {where}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for name, runs in (("c_core", C_CORE), ("python_tables", not C_CORE)):
            marker = item.get_closest_marker(name)
            if marker is None:
                continue
            reason = marker.kwargs.get("reason")
            if not reason:
                raise pytest.UsageError(f"{item.nodeid}: {name} needs a reason")
            if not runs:
                item.add_marker(pytest.mark.skip(reason=f"{name}: {reason}"))
        if item.get_closest_marker("slow") and not config.getoption("--run-slow"):
            item.add_marker(pytest.mark.skip(reason="slow: runs with --run-slow"))


def pytest_collection_finish() -> None:
    freeze()  # the tests collect all the time


def pytest_runtest_logfinish() -> None:
    freeze()  # what pytest keeps of each test makes a tenfold of what a test makes


class Unraisable(NamedTuple):
    """What is kept of an unraisable exception: nothing that would keep objects alive."""

    type: type[BaseException]
    message: str


@pytest.fixture(autouse=True)
def _interpreter_state(request: pytest.FixtureRequest) -> Iterator[list[Unraisable]]:
    """No unraisable exception may come out of a test, and no setting outlives it.

    A test that expects unraisable exceptions takes the fixture `unraisable` and looks
    at them itself.
    """
    seen: list[Unraisable] = []

    def hook(args: Any) -> None:
        seen.append(Unraisable(args.exc_type, str(args.exc_value)))

    before = sys.unraisablehook
    restore = _restore_collector()
    sys.unraisablehook = hook
    try:
        yield seen
    finally:
        replaced = sys.unraisablehook is not hook
        sys.unraisablehook = before
        restore()
    assert not replaced, "sys.unraisablehook was not restored"
    if "unraisable" not in request.fixturenames:
        assert seen == []


def _restore_collector() -> Callable[[], None]:
    """Notes the settings of the collector and the threads; call what it returns to restore them."""
    enabled = gc.isenabled()
    if PYPY:  # has no more than that
        return gc.enable if enabled else gc.disable
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    interval = sys.getswitchinterval()

    def restore() -> None:
        (gc.enable if enabled else gc.disable)()
        gc.set_threshold(*thresholds)
        gc.callbacks[:] = callbacks  # weakly's own hook must arm itself again
        sys.setswitchinterval(interval)

    return restore


@pytest.fixture
def unraisable(_interpreter_state: list[Unraisable]) -> list[Unraisable]:
    """The unraisable exceptions so far, for a test that expects some."""
    return _interpreter_state


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each of the containers."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def app() -> Iterator[Any]:
    """A module of a program, by the name of `app`."""
    module: Any = types.ModuleType("app")
    sys.modules["app"] = module
    yield module
    del sys.modules["app"]
