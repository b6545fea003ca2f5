"""Hit rates of cache policies, and of `WeakCache` itself: python -m benchmarks.policies

Every trace (workloads.py) goes through every policy (simulators.py) with several sizes. The
column `WeakCache` is no simulator: it asks a real one. What it decides must be what its
simulator does, request by request; this fails if it is not, or if LRU is better by more than a
percentage point anywhere.

Takes two or three minutes; writes the table and the plot of docs/caching.md.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import weakly
from benchmarks.hit_plot import svg
from benchmarks.simulators import (
    Arc,
    Lfu,
    Lru,
    Policy,
    S3Fifo,
    Sieve,
    TinyLfu,
    Window,
    optimum,
)
from benchmarks.workloads import Trace, traces

TOP = Path(__file__).resolve().parent.parent
SIZES = (100, 300, 1_000, 3_000)
QUICK_REQUESTS, QUICK_SIZES = 20_000, (100, 1_000)
TOLERANCE = 0.01
"""How much better LRU may be: on traces where it is nearly optimal, learning that costs some."""

BEGIN, END = "<!-- hit rates -->\n", "<!-- end of hit rates -->\n"

POLICIES: dict[str, type[Policy]] = {
    "LRU": Lru,
    "LFU": Lfu,
    "SIEVE": Sieve,
    "S3-FIFO": S3Fifo,
    "ARC": Arc,
    "W-TinyLFU": TinyLfu,
}
COLUMNS = ("optimum", *POLICIES, "WeakCache")

Rates = dict[str, dict[int, dict[str, float]]]
"""Hit rates by trace, size and column."""


class Disagreement(Exception):
    """A real cache decided something else than the simulator of its policy."""


class RealCache:
    """A `WeakCache` as a policy."""

    def __init__(self, size: int) -> None:
        self.cache: weakly.WeakCache[int, bool] = weakly.WeakCache(size)

    def request(self, key: int) -> bool:
        # True cannot be weakly referenced: it is found in the window or not at all.
        if self.cache.get(key):
            return True
        self.cache[key] = True
        return False


def weak_cache_hits(trace: Trace, size: int) -> int:
    """The hits of a real cache; raises Disagreement if its simulator has others."""
    real, simulated = RealCache(size), Window(size)
    hits = 0
    for number, key in enumerate(trace.keys):
        hit = real.request(key)
        if hit != simulated.request(key):
            raise Disagreement(f"{trace.name}, {size} entries, request {number}: {hit}")
        hits += hit
    return hits


def hits(column: str, trace: Trace, size: int) -> int:
    if column == "optimum":
        return optimum(trace.keys, size)
    if column == "WeakCache":
        return weak_cache_hits(trace, size)
    return sum(map(POLICIES[column](size).request, trace.keys))


def measure(
    wanted: Sequence[Trace],
    sizes: Sequence[int],
    columns: Sequence[str] = COLUMNS,
    done: Callable[[str], None] = lambda name: None,
) -> Rates:
    """Every hit rate; calls `done` after each."""
    rates: Rates = {}
    for trace in wanted:
        for size in sizes:
            row = rates.setdefault(trace.name, {}).setdefault(size, {})
            for column in columns:
                row[column] = hits(column, trace, size) / len(trace.keys)
                done(f"{trace.name}, {size:,} entries: {column}")
    return rates


def worse_than_lru(rates: Rates) -> list[str]:
    """Where LRU is better by more than is allowed."""
    return [
        f"{name}, {size:,} entries: LRU {row['LRU']:.1%}, WeakCache {row['WeakCache']:.1%}"
        for name, by_size in rates.items()
        for size, row in by_size.items()
        if row["WeakCache"] < row["LRU"] - TOLERANCE
    ]


def markdown(rates: Rates, about: Sequence[Trace]) -> str:
    """The table for the docs, and what the traces are."""
    lines = [
        f"| trace | entries | {' | '.join(COLUMNS)} |",
        f"| --- | ---: | {' | '.join('---:' for _ in COLUMNS)} |",
    ]
    for name, by_size in rates.items():
        for size, row in by_size.items():
            best = max(row[column] for column in COLUMNS if column != "optimum")
            lines.append(f"| {name} | {size:,} | {' | '.join(_cells(row, best))} |")
    requests = max(len(trace.keys) for trace in about)
    lines += ["", f"Hits of 100 requests; the best but the optimum is bold; {requests:,} requests:"]
    lines += ["", *(f"- **{trace.name}**: {trace.about}." for trace in about), ""]
    return "\n".join(lines)


def _cells(row: dict[str, float], best: float) -> list[str]:
    cells = []
    for column, rate in row.items():
        cell = f"{100 * rate:.1f}"
        bold = column != "optimum" and best > 0 and cell == f"{100 * best:.1f}"
        cells.append(f"**{cell}**" if bold else cell)
    return cells


def write_docs(rates: Rates, about: Sequence[Trace], docs: Path) -> None:
    """The plot, and the table between its marks in the guide."""
    (docs / "hit-rates.svg").write_text(svg(rates), encoding="utf-8")
    guide = docs / "caching.md"
    before, begin, rest = guide.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{guide} has no marks for the table")
    guide.write_text(before + begin + markdown(rates, about) + end + after, encoding="utf-8")


def print_table(rates: Rates, console: Console) -> None:
    title = f"Hits of 100 requests; WeakCache of weakly {weakly.__version__} "
    table = Table(title=f"{title}({weakly.implementation})", box=box.SIMPLE_HEAD)
    table.add_column("trace")
    for name in ("entries", *COLUMNS):
        table.add_column(name, justify="right")
    for name, by_size in rates.items():
        for size, row in by_size.items():
            table.add_row(name, f"{size:,}", *(f"{100 * rate:.1f}" for rate in row.values()))
        table.add_section()
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; fails if LRU is better anywhere."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.policies",
        description="Compare hit rates; write the table and the plot of docs/caching.md.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="shorter traces; leaves the docs alone"
    )
    quick = parser.parse_args(arguments).quick
    console = Console(width=None if sys.stdout.isatty() else 110)
    about = traces(QUICK_REQUESTS) if quick else traces()
    sizes = QUICK_SIZES if quick else SIZES
    progress = Progress(
        *Progress.get_default_columns()[1:-1],
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=console,
    )
    with progress:
        bar = progress.add_task("", total=len(about) * len(sizes) * len(COLUMNS))
        rates = measure(
            about, sizes, done=lambda name: progress.update(bar, advance=1, description=name)
        )
    print_table(rates, console)
    if not quick:
        write_docs(rates, about, TOP / "docs")
        console.print("Wrote docs/caching.md, docs/hit-rates.svg", highlight=False)
    worse = worse_than_lru(rates)
    for line in worse:
        console.print(f"LRU is better: {line}", highlight=False)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
