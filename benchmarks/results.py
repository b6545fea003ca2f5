"""The saved measurements of one interpreter, and the ratios taken from them.

A folder of three files, one a side, in pyperf's own format and with the same benchmark
names in each, so that pyperf can compare sides as well as versions:

    pyperf compare_to --table FOLDER/stdlib.json FOLDER/weakly.json
"""

import platform
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyperf

from benchmarks.cases import SIDES
from benchmarks.operations import Row


def folder_name() -> str:
    """The name of the running interpreter's folder of results."""
    return f"{platform.python_implementation().lower()}-{platform.python_version()}"


@dataclass
class Results:
    """Benchmarks by side and name."""

    suites: dict[str, dict[str, pyperf.Benchmark]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> "Results":
        results = cls()
        results.add(folder)
        return results

    def add(self, folder: Path) -> None:
        """Adds the runs saved in `folder`: another process's, or another table's."""
        for side in SIDES:
            path = folder / f"{side}.json"
            if path.exists():
                known = self.suites.setdefault(side, {})
                for benchmark in pyperf.BenchmarkSuite.load(str(path)).get_benchmarks():
                    name = benchmark.get_name()
                    if name in known:
                        known[name].add_runs(benchmark)
                    else:
                        known[name] = benchmark

    def save(self, folder: Path, order: Iterable[Row]) -> None:
        """Writes the folder's three files, with the benchmarks of `order` in its order."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = list(order)
        for side, known in self.suites.items():
            benchmarks = [known[row.name] for row in rows if row.name in known]
            pyperf.BenchmarkSuite(benchmarks).dump(str(folder / f"{side}.json"), replace=True)

    # --- what was measured -----------------------------------------------------------

    def __contains__(self, row: Row) -> bool:
        return row.name in self.suites.get("weakly", {})

    def values(self, row: Row, side: str) -> list[float]:
        """Every value of a side, in the order of the rounds."""
        values: list[float] = []
        for run in self.suites[side][row.name].get_runs():
            values.extend(run.values)
        return values

    def median(self, row: Row, side: str) -> float:
        return statistics.median(self.values(row, side))

    def ratio(self, row: Row, basis: str) -> float | None:
        """weakly's time (or memory) over that of `basis`: the median of the rounds' ratios."""
        if basis not in row.sides:
            return None
        pairs = zip(self.values(row, "weakly"), self.values(row, basis), strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    # --- where -----------------------------------------------------------------------

    @property
    def metadata(self) -> dict[str, Any]:
        return dict(self._any_benchmark.get_metadata())

    @property
    def date(self) -> str:
        first, _ = self._any_benchmark.get_dates()
        return first.date().isoformat()

    @property
    def rounds(self) -> tuple[int, int]:
        """The smallest and the largest number of rounds that a row was measured in."""
        counts = [benchmark.get_nvalue() for benchmark in self.suites["weakly"].values()]
        return min(counts), max(counts)

    @property
    def _any_benchmark(self) -> pyperf.Benchmark:
        return next(iter(self.suites["weakly"].values()))

    @property
    def version(self) -> tuple[int, int]:
        """The interpreter's version, as (3, 13)."""
        major, minor = self.metadata["python_version"].split()[0].split(".")[:2]
        return int(major), int(minor)

    @property
    def title(self) -> str:
        """The interpreter and weakly's implementation, for headings."""
        metadata = self.metadata
        name = {"cpython": "CPython", "pypy": "PyPy"}[metadata["python_implementation"]]
        core = {"c": "C core", "python": "Python tables"}.get(
            metadata["weakly_implementation"], metadata["weakly_implementation"]
        )
        return f"{name} {metadata['python_version'].split()[0]}, weakly {core}"


def saved(folder: Path) -> list[Results]:
    """The results of every interpreter in `folder`, the newest version first."""
    found = [Results.load(path) for path in folder.glob("*-*") if (path / "weakly.json").exists()]
    return sorted(found, key=lambda results: results.version, reverse=True)
