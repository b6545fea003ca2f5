"""CPython's own tests of `weakref`, on the implementation under test (see tests/conformance)."""

import subprocess
import sys
from pathlib import Path

import pytest

import weakly


def test_the_interpreters_own_tests_pass() -> None:
    which = {"c": "--core", "python": "--pure"}[weakly.implementation]
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance", which],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    if "not shipped" in done.stdout:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
