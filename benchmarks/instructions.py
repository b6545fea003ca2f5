"""Instructions of each operation, counted by valgrind: for work on the C core.

    python -m benchmarks.instructions [--entries N] [REGEX]

A count repeats exactly on the same build, where times on a busy machine do not: it shows
what a change of a few instructions did. What it cannot show: misses of the cache and the
branch predictor, and so the difference between a small table and a huge one.

One process under callgrind runs every matching operation; callgrind writes a profile each
time the process reads the clock, before and after the line that is counted. Hash seed and
layout of memory are fixed. Needs valgrind and an interpreter with its symbols.
"""

import argparse
import gc
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.operations import BYTES, Row, rows
from benchmarks.report import groups, heading, ratio

TOP = Path(__file__).resolve().parent.parent

_CLOCK = "time_perf_counter"
"""The C function of `time.perf_counter`: callgrind writes a profile when it is entered."""

_WARM_UP = 20


def chosen(pattern: str, entries: int) -> list[Row]:
    """The rows of `entries` whose names match; memory and whole-table rows are not counted."""
    return [
        row
        for row in rows((entries, 2 * entries), fast=False)
        if row.entries == entries
        and row.operation.unit != BYTES
        and not row.operation.whole
        and re.search(pattern, row.name)
    ]


def work(wanted: Sequence[Row]) -> None:
    """What runs under callgrind: each row and side, warmed up, then once between two clocks."""
    gc.disable()
    for row in wanted:
        for side in row.sides:
            case = row.case(side)  # keeps the keys alive
            run = row.compiled(side, case)
            run(_WARM_UP, _no_time)
            run(1, time.perf_counter)


def _no_time() -> float:
    return 0.0


def count(pattern: str, entries: int, folder: Path) -> list[int]:
    """The instructions of every row and side, in the order of `work`."""
    profile = folder / "profile"
    command = [
        "valgrind",
        "--tool=callgrind",
        f"--dump-before={_CLOCK}",
        f"--callgrind-out-file={profile}",
        sys.executable,
        "-m",
        "benchmarks.instructions",
        "--entries",
        str(entries),
        "--worker",
        pattern,
    ]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    # Profiles are numbered from 1; each ends where a clock is read, every second one a
    # measurement's.
    profiles = sorted(folder.glob("profile.*"), key=lambda path: int(path.suffix[1:]))
    return [_total(path) for path in profiles[1::2]]


def _total(profile: Path) -> int:
    found = re.search(r"^(?:totals|summary): (\d+)", profile.read_text(), flags=re.MULTILINE)
    assert found is not None, profile
    return int(found[1])


def show(wanted: Sequence[Row], counts: Sequence[int], console: Console) -> None:
    """Prints the counts of one entry, and their ratios."""
    left = iter(counts)
    for family, entries, group in groups(wanted):
        sides = group[0].sides
        table = Table(title=heading(family, entries), title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("instructions an entry")
        for name in (*sides, *(f"weakly : {side}" for side in sides[:-1])):
            table.add_column(name, justify="right")
        for row in group:
            each = [next(left) / entries for _ in sides]
            ratios = [ratio(each[-1] / other) for other in each[:-1]]
            label = row.label.replace("[", r"\[")
            table.add_row(label, *(f"{number:.0f}" for number in each), *ratios)
        console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions")
    parser.add_argument("pattern", nargs="?", default="", help="of the rows' names; default: all")
    parser.add_argument("--entries", type=int, default=1_000)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    wanted = chosen(options.pattern, options.entries)
    if options.worker:
        work(wanted)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        counts = count(options.pattern, options.entries, Path(folder))
    expected = sum(len(row.sides) for row in wanted)
    if len(counts) < expected:
        raise SystemExit(f"no profiles: has {sys.executable} lost its symbols ({_CLOCK})?")
    show(wanted, counts, Console(width=None if sys.stdout.isatty() else 110))
    return 0


if __name__ == "__main__":
    sys.exit(main())
