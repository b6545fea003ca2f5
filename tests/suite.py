"""Runs all tests: `python -m tests.suite`, with options for pytest.

The tests of `weakly.tracking` walk the whole heap. They have a process of their own, in which
there is less of it.
"""

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
TRACKING = TESTS / "tracking"

statuses = [
    subprocess.call([sys.executable, "-m", "pytest", *sys.argv[1:], *files])
    for files in ((f"--ignore={TRACKING}", TESTS), (TRACKING,))
]
sys.exit(any(statuses))
