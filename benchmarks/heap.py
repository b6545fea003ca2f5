"""What it takes to walk the heap: `why_alive()`, `heap()` and `retained()` beside `gc.collect()`.

    python -m benchmarks.heap [objects]

A heap of that many objects, a million if not said: instances with attributes, lists, dicts and
tuples, all tracked by the collector. A round does each thing once, in random order; ratios are
of the two times of one round. The extra memory is what the engine says it has allocated, and by
how much the peak of the resident set has grown, where the system tells that.
"""

import gc
import random
import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

import weakly
from benchmarks.report import quantity, ratio
from weakly.tracking import heap, retained, why_alive

OBJECTS = 1_000_000
GROUP = 20
"""How many of them refer to the same list, as members of it."""
ROUNDS = 7
LIMITS = {"why_alive()": 3.0, "heap()": 10.0}
"""How many times as long as `gc.collect()` they may take."""


class Account:
    """An object of the program: with an attribute of its own, and one that others have too."""

    def __init__(self, number: int, group: "list[Account]") -> None:
        self.history = [(number, group), {"number": group}]
        self.group = group


def populate(count: int) -> list[list[Account]]:
    """Makes about so many objects that the collector tracks: 4 for each account."""
    groups: list[list[Account]] = []
    for number in range(count // 4):
        if number % GROUP == 0:
            groups.append([])
        groups[-1].append(Account(number, groups[-1]))
    return groups


def times(work: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Seconds of each, by round."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name in random.sample(list(work), len(work)):
            start = perf_counter()
            work[name]()
            seconds[name].append(perf_counter() - start)
    return seconds


def resident() -> int | None:
    """The most memory that this process has had, in bytes; None where nobody says."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(arguments: list[str]) -> int:
    """Prints the table; fails if a limit is missed."""
    count = int(arguments[0]) if arguments else OBJECTS
    groups = populate(count)
    gc.collect()
    gc.disable()
    tracked = len(gc.get_objects())
    target = groups[len(groups) // 2][GROUP // 2]
    memory: dict[str, tuple[int, int | None]] = {}
    work: dict[str, Callable[[], Any]] = {
        "gc.collect()": gc.collect,
        "why_alive()": lambda: why_alive(target),
        "retained()": lambda: retained(target),
        "heap()": lambda: heap(progress=False),
    }
    before = resident()
    for name in ("why_alive()", "heap()"):  # a peak is seen if it is higher than those before
        found = work[name]()
        after = resident()
        grown = None if before is None or after is None else after - before
        memory[name] = found.memory, grown
        del found
    seconds = times(work)
    title = f"{tracked:,} objects, weakly {weakly.__version__} ({weakly.implementation})"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("what", "takes", "of gc.collect()", "memory", "peak"):
        table.add_column(column, justify="left" if column == "what" else "right")
    kept = True
    for name, each in seconds.items():
        share = statistics.median(
            one / other for one, other in zip(each, seconds["gc.collect()"], strict=True)
        )
        kept = kept and share <= LIMITS.get(name, float("inf"))
        own, peak = memory.get(name, (None, None))
        table.add_row(
            name,
            quantity(statistics.median(each), "second"),
            ratio(share),
            "" if own is None else f"{own / 1e6:.0f} MB",
            "" if peak is None else f"{peak / 1e6:.0f} MB",
        )
    Console(width=100).print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
