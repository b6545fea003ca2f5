"""`python -m tests.conformance [--pure | --core]`: one process for each implementation.

It ends with status 0 if every test of the interpreter passed but those in exceptions.py,
or if the interpreter ships none.
"""

import argparse
import os
import subprocess
import sys

SECONDS = 900
"""More than the tests take under a sanitizer in a debug interpreter; a hang ends here."""


def run_worker(pure: bool) -> bool:
    """Runs the tests on one implementation, output passed through; True if all went well."""
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.conformance.worker"]
    environment = {**os.environ, "WEAKLY_PURE": "1" if pure else "0"}
    name = "the Python tables" if pure else "the C core"
    try:
        status = subprocess.run(command, env=environment, timeout=SECONDS).returncode
    except subprocess.TimeoutExpired:
        print(f"the tests of {name} did not end in {SECONDS} seconds", file=sys.stderr)
        return False
    if status < 0:
        print(f"the tests of {name} crashed with signal {-status}", file=sys.stderr)
    return status == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--pure", action="store_true", help="the Python tables only")
    choice.add_argument("--core", action="store_true", help="the C core only")
    options = parser.parse_args()
    wanted = [True] if options.pure else [False] if options.core else [False, True]
    failed = [pure for pure in wanted if not run_worker(pure)]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
