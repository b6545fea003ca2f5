"""`WeakIdKeyDictionary` beside PyTorch's, `torch.utils.weak.WeakIdKeyDictionary`.

    python -m benchmarks.against_torch

PyTorch is not needed for anything else here and is not installed with it: without it, this
says so and ends. A round times both, in turns, as the other benchmarks do (worker.py).
"""

import gc
import random
import statistics
import sys
from importlib.util import find_spec
from time import thread_time
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

import weakly
from benchmarks.cases import Thing
from benchmarks.operations import Row, rows
from benchmarks.report import quantity, ratio

ENTRIES = 1_000
ROUNDS = 15
LOOPS = 20
LEAST_GAIN = 5
"""How many times as fast lookups have to be."""

OPERATIONS = ("lookup", "get", "in", "in, absent", "overwrite", "fill and drop", "del", "iterate")


class Side:
    """The names that an operation's code uses, for one of the two classes."""

    def __init__(self, make: Any) -> None:
        self.make = make
        self.keys = [Thing(number) for number in range(ENTRIES)]
        self.absent = [Thing(number) for number in range(ENTRIES)]
        self.table = self.filled()

    def filled(self) -> Any:
        table = self.make()
        for key in self.keys:
            table[key] = None
        return table


def measure(row: Row, sides: list[Side]) -> list[list[float]]:
    """Seconds for one entry, by side and round."""
    runs = [row.compiled("weakly", side) for side in sides]  # type: ignore[arg-type]
    values: list[list[float]] = [[] for _ in sides]
    for run in runs:
        run(LOOPS, thread_time)
    for _ in range(ROUNDS):
        for at in random.sample(range(len(runs)), len(runs)):
            values[at].append(runs[at](LOOPS, thread_time) / LOOPS / ENTRIES)
    return values


def main() -> int:
    """Prints the table; fails if a lookup is less than 5 times as fast."""
    if find_spec("torch") is None:
        print("PyTorch is not installed: nothing to compare with")
        return 0
    import torch
    from torch.utils.weak import WeakIdKeyDictionary as TorchDictionary

    sides = [Side(TorchDictionary), Side(weakly.WeakIdKeyDictionary)]
    title = f"weakly {weakly.__version__} ({weakly.implementation}), torch {torch.__version__}"
    table = Table(title=f"{title}, {ENTRIES:,} entries", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("operation", "torch", "weakly", "times as fast"):
        table.add_column(name, justify="left" if name == "operation" else "right")
    gains = {}
    gc.disable()
    for row in rows((ENTRIES,), fast=False):
        if row.family == "WeakIdKeyDictionary" and row.operation.name in OPERATIONS:
            theirs, ours = measure(row, sides)
            gain = statistics.median(one / other for one, other in zip(theirs, ours, strict=True))
            gains[row.operation.name] = gain
            medians = [quantity(statistics.median(each), "second") for each in (theirs, ours)]
            table.add_row(row.label, *medians, ratio(gain))
    Console(width=100).print(table)
    return 0 if min(gains[name] for name in ("lookup", "get", "in")) >= LEAST_GAIN else 1


if __name__ == "__main__":
    sys.exit(main())
