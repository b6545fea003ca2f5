"""What it costs to be watched by a `Tracker`, beside the class tracker of Pympler:

    python -m benchmarks.tracker

`pympler` is not needed for anything else here: it is left out if it is missing. A round times each
side once, in random order, as the other benchmarks do (worker.py).
"""

import gc
import random
import statistics
import sys
import tracemalloc
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from time import thread_time
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

import weakly
from benchmarks.report import quantity

EACH = 5_000
"""Objects in a round."""
ROUNDS = 9
HEAP = 1_000_000
"""Objects in the process, for what looks at all of them."""

Run = Callable[[], float]
"""Does something; returns the seconds, or bytes, of one object."""


class _Subject:
    """Has a plain class of its own for each side."""

    def __init__(self, watch: Callable[[type], object] | None = None) -> None:
        class Subject:
            def __init__(self, number: int) -> None:
                self.number = number

        self.cls = Subject
        self.watch = watch  # whose tracker ends when nobody has it
        if watch is not None:
            watch(Subject)

    def make_and_drop(self) -> float:
        cls = self.cls
        start = thread_time()
        for number in range(EACH):
            cls(number)
        return (thread_time() - start) / EACH

    def make_and_keep(self) -> float:
        cls = self.cls
        start = thread_time()
        kept = [cls(number) for number in range(EACH)]
        seconds = (thread_time() - start) / EACH
        del kept
        return seconds

    def bytes_alive(self) -> float:
        """Of an object that lives, with all that is kept about it."""
        cls = self.cls
        cls(0)
        kept: list[Any] = [None] * EACH
        numbers = list(range(EACH))
        gc.collect()
        tracemalloc.start()
        for number in numbers:
            kept[number] = cls(number)
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size / EACH


def _by_weakly(**options: Any) -> Callable[[type], object]:
    tracker = weakly.Tracker()
    return lambda cls: tracker.watch_class(cls, **options)


def _by_pympler(cls: type) -> None:
    from pympler.classtracker import ClassTracker

    ClassTracker().track_class(cls)


def sides() -> dict[str, _Subject]:
    found = {
        "not watched": _Subject(),
        "watched": _Subject(_by_weakly()),
        "with 10 lines of traceback": _Subject(_by_weakly(traceback=10)),
    }
    if find_spec("pympler") is not None:
        found[f"Pympler {version('pympler')}"] = _Subject(_by_pympler)
    return found


def measure(runs: dict[str, Run]) -> dict[str, float]:
    """The median of each side."""
    for run in runs.values():
        run()
    values: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name in random.sample(list(runs), len(runs)):
            values[name].append(runs[name]())
    return {name: statistics.median(each) for name, each in values.items()}


def questions() -> dict[str, Callable[[], object]]:
    """What looks at the watched objects, or at the whole heap."""
    tracker = weakly.Tracker()
    subject = _Subject(tracker.watch_class)
    kept = [subject.cls(number) for number in range(1_000)]
    return {
        "counts(), 1,000 alive": tracker.counts,
        f"report(), 1,000 alive in a heap of {HEAP:,} objects": tracker.report,
        "for comparison, gc.collect() of that heap": lambda: (gc.collect(), kept)[0],
    }


def main() -> int:
    """Prints the tables."""
    title = f"Tracker, weakly {weakly.__version__} ({weakly.implementation})"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    columns = ("each object", "made and dropped", "made and kept", "bytes, alive")
    for name in columns:
        table.add_column(name, justify="left" if name == columns[0] else "right", no_wrap=True)
    subjects = sides()
    gc.disable()
    dropped = measure({name: each.make_and_drop for name, each in subjects.items()})
    kept = measure({name: each.make_and_keep for name, each in subjects.items()})
    sizes = {name: each.bytes_alive() for name, each in subjects.items()}
    for name in subjects:
        times = (quantity(each[name], "second") for each in (dropped, kept))
        table.add_row(name, *times, f"{sizes[name]:.0f}")
    console = Console(width=120)
    console.print(table)
    heap = [[number] for number in range(HEAP)]
    for name, ask in questions().items():
        ask()
        start = thread_time()
        ask()
        console.print(f"{name}: {quantity(thread_time() - start, 'second')}", highlight=False)
    del heap
    return 0


if __name__ == "__main__":
    sys.exit(main())
