"""weakly's caches beside those of other packages, and beside `functools`:

    python -m benchmarks.against_caches

`cachetools`, `methodtools` and `wrapt` are not needed for anything else here and are not
installed with it: those that are missing are left out. A round times each side once, in random
order, as the other benchmarks do (worker.py). All caches have the same bound, and nothing
leaves them: what is timed is the hit.
"""

import functools
import gc
import random
import statistics
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from time import thread_time
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

import weakly
from benchmarks.calls import Instance
from benchmarks.report import quantity, ratio

ENTRIES = 1_000
BOUND = 2 * ENTRIES
ROUNDS = 25
LOOPS = 10
LEAST_GAINS = {
    "cachetools.cachedmethod": 3.0,
    "methodtools.lru_cache": 3.0,
    "cachetools.LRUCache": 3.0,
}
"""How many times as fast weakly has to be."""

Run = Callable[[], float]
"""Goes over all entries some times; returns the seconds of one hit."""


def method_hits(decorate: Callable[[Any], Any], cache: Any = None) -> Run:
    """Of a method with one number, on one instance, which has `cache` for its decorator."""

    class Cached(Instance):
        @decorate
        def add(self, number: int) -> int:
            return self.number + number

    obj: Any = Cached(0)
    obj.cache = cache
    numbers = _numbers()

    def run() -> float:
        start = thread_time()
        for _ in range(LOOPS):
            for number in numbers:
                obj.add(number)
        return (thread_time() - start) / LOOPS / ENTRIES

    return run


def mapping_hits(table: Any) -> Run:
    numbers = _numbers()
    for number in numbers:
        table[number] = Instance(number)

    def run() -> float:
        start = thread_time()
        for _ in range(LOOPS):
            for number in numbers:
                table[number]
        return (thread_time() - start) / LOOPS / ENTRIES

    return run


def _numbers() -> list[int]:
    return [int(str(1_000_000 + number)) for number in range(ENTRIES)]


def sides() -> dict[str, dict[str, Run]]:
    """Of each row, the sides whose packages are here; weakly's is the last."""
    methods: dict[str, Run] = {"functools.lru_cache": method_hits(functools.lru_cache(BOUND))}
    mappings: dict[str, Run] = {}
    if cachetools := _package("cachetools"):
        decorate = cachetools.cachedmethod(lambda self: self.cache)
        methods["cachetools.cachedmethod"] = method_hits(decorate, cachetools.LRUCache(BOUND))
        mappings["cachetools.LRUCache"] = mapping_hits(cachetools.LRUCache(BOUND))
    for name in ("methodtools", "wrapt"):
        package = _package(name)
        if hasattr(package, "lru_cache"):
            methods[f"{name}.lru_cache"] = method_hits(package.lru_cache(maxsize=BOUND))
    methods["weakly.cached_method"] = method_hits(weakly.cached_method(maxsize=BOUND))
    mappings["weakly.WeakCache"] = mapping_hits(weakly.WeakCache(BOUND))
    return {"method, one number": methods, "mapping, lookup": mappings}


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


def measure(runs: dict[str, Run]) -> dict[str, list[float]]:
    """Seconds of a hit, by side and round."""
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name in random.sample(list(runs), len(runs)):
            seconds[name].append(runs[name]())
    return seconds


def _with_version(name: str) -> str:
    try:
        return f"{name} {version(name.partition('.')[0])}"
    except PackageNotFoundError:
        return name


def main() -> int:
    """Prints the table; fails if a limit is missed."""
    title = f"Hits, weakly {weakly.__version__} ({weakly.implementation}), {ENTRIES:,} entries"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("what", "with", "a hit", "weakly is faster by"):
        table.add_column(name, justify="left" if name in ("what", "with") else "right")
    kept = True
    gc.disable()
    for row, runs in sides().items():
        seconds = measure(runs)
        ours = seconds[next(reversed(runs))]
        for name, theirs in seconds.items():
            gain = statistics.median(one / other for one, other in zip(theirs, ours, strict=True))
            kept = kept and gain >= LEAST_GAINS.get(name, 0)
            shown = "" if theirs is ours else ratio(gain)
            table.add_row(
                row, _with_version(name), quantity(statistics.median(theirs), "second"), shown
            )
    Console(width=100).print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
