"""One process of a run: times the three sides in turns and saves pyperf's JSON.

Noise on a shared machine comes in seconds-long waves. So a round times each side once, in
random order, within milliseconds, and the ratio is taken of each round by itself. Rounds
are repeated in one process and the processes repeated too, for each has its own hash seed
and its own layout of memory.

The clock is the thread's processor time. By the clock on the wall the longest of the three
would also pay most for other programs, because only it lasts long enough to be interrupted.
What reading the clock costs (a system call) is taken off, for the shortest of operations
take no longer than that.

The collector is off while the clock runs (a full collection would hit whichever side is
being timed): its work has its own rows.
"""

import gc
import itertools
import json
import random
import statistics
import sys
import sysconfig
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from time import thread_time
from typing import Any

import pyperf

import weakly
from benchmarks.cases import SIDES, traced_bytes
from benchmarks.operations import BYTES, AnyCase, Row, rows

_KEPT_METADATA = (
    "aslr",
    "cpu_count",
    "cpu_model_name",
    "date",
    "perf_version",
    "platform",
    "python_cflags",
    "python_compiler",
    "python_implementation",
    "python_version",
)
"""What is saved of the machine; names of hosts and folders are nobody's business."""


_MANY = 10_000
"""With more entries than this, one pass is a measurement."""

_LEAST = 1e-9
"""What a pass takes at least: pyperf knows no results of zero."""


def environment() -> dict[str, Any]:
    """The machine and the versions, for the results' files."""
    metadata = pyperf.Run([1.0], collect_metadata=True).get_metadata()
    found = {name: metadata[name] for name in _KEPT_METADATA if name in metadata}
    build = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return {
        **found,
        "python_optimized": "yes" if "--enable-optimizations" in build else "no",
        "timer": "time.thread_time()",
        "weakly_version": weakly.__version__,
        "weakly_implementation": weakly.implementation,
    }


def measure(row: Row, cases: dict[str, AnyCase], rounds: int, budget: float) -> dict[str, Any]:
    """The values of each side, and the loops they were taken with.

    One round of all sides, its preparations included, takes about `budget` seconds.
    """
    run = {side: row.compiled(side, cases[side]) for side in row.sides}
    per_loop = 1 if row.operation.whole else row.entries
    if row.operation.unit == BYTES:
        tracemalloc.start()
        try:
            values = {side: [run[side](1, traced_bytes) / per_loop] for side in row.sides}
        finally:
            tracemalloc.stop()
        return {"loops": 1, "inner_loops": per_loop, "values": values}

    # A pass over many entries is long enough, and warms itself up on the first of them.
    loops = 1 if row.entries > _MANY else _loops(list(run.values()), budget)
    clock_cost = _clock_cost()
    values = {side: [] for side in row.sides}
    for _ in range(rounds):
        for side in random.sample(row.sides, len(row.sides)):
            seconds = run[side](loops, thread_time) - loops * clock_cost
            values[side].append(max(seconds, _LEAST) / (loops * per_loop))
    return {"loops": loops, "inner_loops": per_loop, "values": values}


def _clock_cost() -> float:
    """The time between two readings of the clock with nothing between them."""
    readings = [thread_time() for _ in range(201)]
    return statistics.median(after - before for before, after in itertools.pairwise(readings))


def _loops(runs: list[Callable[[int, Callable[[], float]], float]], budget: float) -> int:
    """How often to run all of `runs` so that they fill `budget`, their preparations included."""
    seconds = 0.0
    for _ in range(6):  # the interpreter specialises code as it runs: only the last counts
        start = pyperf.perf_counter()
        for run in runs:
            run(1, thread_time)
        seconds = pyperf.perf_counter() - start
    return max(1, round(budget / seconds))


def work(tasks: Iterable[Row], rounds: int, budget: float, output: Path) -> None:
    """Measure rows of one family, kind and size; write one file of results a side."""
    known = environment()
    benchmarks: dict[str, list[pyperf.Benchmark]] = {side: [] for side in SIDES}
    cases: dict[str, AnyCase] = {}
    gc.disable()
    for row in tasks:
        if not cases:
            cases = {side: row.case(side) for side in row.sides}
        measured = measure(row, cases, rounds, budget)
        for side, values in measured["values"].items():
            metadata = {
                **known,
                "name": row.name,
                "unit": row.operation.unit,
                "loops": measured["loops"],
                "inner_loops": measured["inner_loops"],
                "side": side,
            }
            run = pyperf.Run(values, metadata=metadata, collect_metadata=False)
            benchmarks[side].append(pyperf.Benchmark([run]))
        print(row.name, flush=True)
    output.mkdir(parents=True, exist_ok=True)
    for side, measured in benchmarks.items():
        if measured:
            pyperf.BenchmarkSuite(measured).dump(str(output / f"{side}.json"), replace=True)


def main(arguments: list[str]) -> None:
    """`python -m benchmarks.worker`: not for people, `python -m benchmarks` starts it."""
    task = json.loads(arguments[0])
    wanted = set(task["names"])
    mine = [row for row in rows(task["sizes"], fast=False) if row.name in wanted]
    work(mine, task["rounds"], task["budget"], Path(task["output"]))


if __name__ == "__main__":
    main(sys.argv[1:])
