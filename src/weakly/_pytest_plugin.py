"""What pytest has of weakly: the marker `no_leaks`, the option `--weakly-leaks` and the fixture
`weakly_tracker`.

    @pytest.mark.no_leaks(User)         # of a test, a class of tests, or a module by `pytestmark`
    pytest --weakly-leaks=myapp.User    # for all tests

A test fails at its teardown if an instance that was made in its time is alive after it, that is
after the teardown of all fixtures of its own. Not its fault is what fixtures of a wider scope make,
and what nobody but pytest keeps. Tests that have failed or were skipped are not looked at: the
traceback keeps what it likes.

A run that asks for none of this imports weakly itself, and no more is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .tracking._tracker import Tracker

_MARKER = "no_leaks"
_PLUGIN = "weakly-leaks"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("weakly", "objects that tests leave behind").addoption(
        "--weakly-leaks",
        action="append",
        default=[],
        metavar="CLASS,...",
        help="Fail each test that leaves instances of these classes alive (dotted names)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(CLASS, ...): fail if an instance of these classes that the test has made is "
        "alive after it (classes or dotted names)",
    )


class _NoLeaks(pytest.MarkDecorator):
    """`pytest.mark.no_leaks`, which takes a single class for an argument. Other marks take it for
    what they are to mark."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for arg in args:
            if isinstance(arg, FunctionType) or _has_tests(arg):
                raise TypeError(f"which classes? @pytest.mark.{_MARKER}(MyClass)")
        return self.with_args(*args, **kwargs)


def _has_tests(arg: Any) -> bool:
    if not isinstance(arg, type) or not arg.__name__.startswith("Test"):
        return False
    some = vars(arg).items()
    return any(name.startswith("test") and isinstance(each, FunctionType) for name, each in some)


def _replace_marker() -> None:
    """Have `pytest.mark.no_leaks` be ours, before any conftest uses it."""
    # Of a new generator, which knows of no configuration with strict markers.
    decorator: Any = getattr(type(pytest.mark)(_ispytest=True), _MARKER)
    ours = object.__new__(_NoLeaks)
    ours.__dict__.update(decorator.__dict__)
    setattr(pytest.mark, _MARKER, ours)


_replace_marker()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    options: list[str] = config.getoption("weakly_leaks") or []
    names = [name for option in options for name in option.split(",") if name]
    if names or any(item.get_closest_marker(_MARKER) for item in session.items):
        from .tracking._pytest_leaks import LeakChecker

        if not config.pluginmanager.has_plugin(_PLUGIN):
            checker = LeakChecker(names, in_worker=hasattr(config, "workerinput"))
            config.pluginmanager.register(checker, _PLUGIN)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Add the leaks of all tests up; with xdist, too, whose reports come from elsewhere."""
    tests: dict[str, int] = {}
    objects: dict[str, int] = {}
    for report in terminalreporter.stats.get("error", ()):
        for name, count in getattr(report, "weakly_leaks", {}).items():
            tests[name] = tests.get(name, 0) + 1
            objects[name] = objects.get(name, 0) + count
    if tests:
        terminalreporter.section("objects that tests leave behind")
        for name, count in objects.items():
            number = "1 test" if tests[name] == 1 else f"{tests[name]:,} tests"
            terminalreporter.write_line(f"{name}: {count:,} of {number}")


@pytest.fixture
def weakly_tracker() -> Iterator[Tracker]:
    """A `weakly.Tracker`, which is closed after the test."""
    from .tracking._tracker import Tracker

    with Tracker() as tracker:
        yield tracker
