"""Runs the interpreter's tests of `weakref` in this process and prints what came of them.

The implementation is the one that WEAKLY_PURE asks for. `__main__` starts this module in a
process of its own, because the replacement must be in place before anything else says
`from weakref import ...`, and because a crash must not take the report with it.
"""

import importlib
import os
import platform
import sys
import unittest
from collections.abc import Callable, Iterable
from typing import Any

import weakly

from .exceptions import EXEMPT

TEST_MODULES = ("test.test_weakref", "test.test_weakset")
REPLACED = ("WeakKeyDictionary", "WeakValueDictionary", "WeakSet", "WeakMethod", "finalize")
NAMES = {"c": "C core", "python": "Python tables"}


class Outcome(unittest.TestResult):
    """Sorts the tests by what became of them, each under its id."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: set[str] = set()
        self.problems: dict[str, str] = {}

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        if test.id() not in self.problems:
            self.passed.add(test.id())

    def collect_problems(self) -> None:
        """A test with failing subtests counts once, under the id of the whole test."""
        for test, traceback in self.errors + self.failures:
            whole = getattr(test, "test_case", test)
            self.problems.setdefault(whole.id(), traceback)
        for unexpected in self.unexpectedSuccesses:
            self.problems.setdefault(unexpected.id(), "passed, although marked to fail")
        self.passed -= self.problems.keys()


def load_tests() -> unittest.TestSuite | None:
    """The interpreter's tests with `weakref` answered by weakly; None if it ships none."""
    try:
        # The decorators that ask for a resource do so while a test module is imported.
        support: Any = importlib.import_module("test.support")
        support.use_resources = ["cpu"]
        answer_children(importlib.import_module("test.support.script_helper"))
        weakly.install()
        modules = [importlib.import_module(name) for name in TEST_MODULES]
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "test":
            raise
        return None
    check_replaced(*modules)
    loader = unittest.TestLoader()
    return unittest.TestSuite(loader.loadTestsFromModule(module) for module in modules)


def answer_children(script_helper: Any) -> None:
    """Has weakly replace `weakref` in the interpreters that the tests start with `-c`, too.

    They run isolated, without this directory and PYTHONPATH, so they are told the path.
    """
    start: Callable[..., Any] = script_helper.run_python_until_end
    root = os.path.dirname(os.path.dirname(os.path.abspath(weakly.__file__)))
    prelude = f"import sys; sys.path.insert(0, {root!r}); import weakly; weakly.install()\n"

    def start_with_weakly(*arguments: str, **environment: Any) -> Any:
        if "-c" in arguments:
            code = arguments.index("-c") + 1
            arguments = (*arguments[:code], prelude + arguments[code], *arguments[code + 1 :])
        return start(*arguments, **environment)

    script_helper.run_python_until_end = start_with_weakly


def check_replaced(weakref_tests: Any, weakset_tests: Any) -> None:
    """Refuses to run tests that would test the standard library instead of weakly."""
    seen = {name: getattr(weakref_tests.weakref, name) for name in REPLACED}
    kept = [name for name, value in seen.items() if value is not getattr(weakly, name)]
    if weakset_tests.WeakSet is not weakly.WeakSet:
        kept.append("WeakSet of test_weakset")
    if kept:
        raise SystemExit(f"these tests would not test weakly: {', '.join(kept)}")


def run(tests: unittest.TestSuite) -> Outcome:
    outcome = Outcome()
    outcome.startTestRun()
    tests.run(outcome)
    outcome.stopTestRun()
    outcome.collect_problems()
    return outcome


def report(outcome: Outcome, title: str) -> bool:
    """Prints the summary; True if all is as it should be."""
    exempt = {e.test: e.reason for e in EXEMPT if weakly.implementation in e.implementations}
    expected = sorted(outcome.problems.keys() & exempt.keys())
    failed = sorted(outcome.problems.keys() - exempt.keys())
    stale = sorted(outcome.passed & exempt.keys())
    for test in failed:
        print(f"{'=' * 70}\nFAILED {test}\n{'-' * 70}\n{outcome.problems[test]}")
    for test in stale:
        print(f"STALE {test}: passes, so it does not belong in exceptions.py")
    counts = [
        f"{outcome.testsRun} run",
        f"{len(outcome.passed)} passed",
        f"{len(outcome.skipped)} skipped",
        f"{len(expected)} expected to fail",
        f"{len(failed)} failed",
        *plural_if_any(stale, "stale entry", "stale entries"),
    ]
    print(f"{title}: {', '.join(counts)}")
    for test in expected:
        print(f"  expected: {test}\n    {exempt[test]}")
    return not failed and not stale and outcome.testsRun > 0


def plural_if_any(things: Iterable[str], one: str, many: str) -> list[str]:
    count = len(list(things))
    return [f"{count} {one if count == 1 else many}"] if count else []


def main() -> int:
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    title = f"{interpreter}, {NAMES[weakly.implementation]}"
    tests = load_tests()
    if tests is None:
        print(f"{title}: CPython's tests of weakref are not shipped with this interpreter")
        return 0
    return 0 if report(run(tests), title) else 1


if __name__ == "__main__":
    sys.exit(main())
