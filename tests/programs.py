"""Running programs in a Python of their own, which finds the same weakly as the tests do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import environment

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"


_PLAIN = {
    **dict.fromkeys(["FORCE_COLOR", "NO_COLOR", "COLUMNS", "PYTHON_COLORS", "PYTHONIOENCODING"]),
    "PYTHONUTF8": "1",
}


def python(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS`; what is given by name is set in its environment."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        env=environment(**_PLAIN | variables),
    )


def weakly_run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "weakly", "run", *arguments, **variables)


def result(process: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    """All that can be seen of a program from outside, to be compared."""
    return process.returncode, process.stdout, process.stderr


def output(process: subprocess.CompletedProcess[str]) -> str:
    """What a program that must succeed, and complain of nothing, has printed."""
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout
