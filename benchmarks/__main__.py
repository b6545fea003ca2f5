"""The command line: `python -m benchmarks`, from the repository's top."""

import argparse
import itertools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from benchmarks.operations import Row, rows
from benchmarks.plot import svg
from benchmarks.report import markdown, print_table, print_verdicts, summary
from benchmarks.results import Results, folder_name, saved

TOP = Path(__file__).resolve().parent.parent
RESULTS = TOP / "benchmarks" / "results"
"""The full runs, one folder an interpreter: what the docs are made from."""
PARTIAL = TOP / "build" / "benchmarks"
"""The fast and the partial runs."""


@dataclass(frozen=True)
class Effort:
    """How often rows are measured: rounds in each of some processes."""

    processes: int
    rounds: int
    budget: float = 0.0
    """About how many seconds a round takes, where one pass is shorter."""


@dataclass(frozen=True)
class Settings:
    """What a run measures, and how thoroughly."""

    few: Effort
    many: Effort
    sizes: tuple[int, int] = (1_000, 1_000_000)
    fast: bool = False

    def rows(self) -> list[Row]:
        return list(rows(self.sizes, fast=self.fast))


FULL = Settings(few=Effort(3, 5, 0.03), many=Effort(1, 2))
FAST = Settings(few=Effort(2, 5, 0.02), many=Effort(1, 1), fast=True)


def measure(wanted: Sequence[Row], settings: Settings, console: Console) -> Results:
    """Runs the worker processes, one after another, and collects what they saved."""
    results = Results()
    tasks = [
        (effort, list(group))
        for (_, _, entries), group in itertools.groupby(
            wanted, lambda row: (row.family, row.kind, row.entries)
        )
        for effort in [settings.few if entries == settings.sizes[0] else settings.many]
    ]
    progress = Progress(
        *Progress.get_default_columns()[1:-1],
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=console,
    )
    with progress, tempfile.TemporaryDirectory() as folder:
        bar = progress.add_task("", total=sum(e.processes * len(group) for e, group in tasks))
        for number in range(max(settings.few.processes, settings.many.processes)):
            for effort, group in tasks:
                if number < effort.processes:
                    output = Path(folder) / f"{number} {group[0].name}"
                    for name in _work(group, effort, settings.sizes, output):
                        progress.update(bar, advance=1, description=name)
                    results.add(output)
    return results


def _work(
    group: Sequence[Row], effort: Effort, sizes: tuple[int, int], output: Path
) -> Iterator[str]:
    """One worker process; yields the name of each row that it has done."""
    task = {
        "names": [row.name for row in group],
        "sizes": sizes,
        "rounds": effort.rounds,
        "budget": effort.budget,
        "output": str(output),
    }
    command = [sys.executable, "-m", "benchmarks.worker", json.dumps(task)]
    with subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield line.strip()
    if process.returncode:
        raise SystemExit(f"a benchmark process failed with status {process.returncode}")


def write_docs(all_results: Sequence[Results], wanted: Sequence[Row], top: Path) -> None:
    """The page, the plot and the README's table; these two of the newest interpreter."""
    docs, readme = top / "docs", top / "README.md"
    docs.mkdir(exist_ok=True)
    (docs / "benchmarks.md").write_text(markdown(all_results, wanted), encoding="utf-8")
    (docs / "benchmarks.svg").write_text(svg(all_results[0], wanted), encoding="utf-8")
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    before, begin, rest = text.partition("<!-- benchmarks -->\n")
    _, end, after = rest.partition("<!-- end of benchmarks -->\n")
    if end:
        table = summary(all_results[0], wanted)
        readme.write_text(before + begin + table + end + after, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status tells whether the limits are kept, if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time weakly against dict/set and weakref; print the table and write "
        "docs/benchmarks.md and docs/benchmarks.svg.",
    )
    parser.add_argument(
        "--fast", action="store_true", help="in two or three minutes; leaves the docs alone"
    )
    parser.add_argument(
        "--only", metavar="REGEX", help="only the rows whose names match; leaves the docs alone"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare with the limits and fail if one is missed; alone, of the saved results",
    )
    parser.add_argument(
        "--render", action="store_true", help="measure nothing: the docs from the saved results"
    )
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 110)
    partial = options.fast or options.only is not None
    settings = FAST if options.fast else FULL
    wanted = settings.rows()
    if options.only is not None:
        wanted = [row for row in wanted if re.search(options.only, row.name)]
        if not wanted:
            parser.error(f"no row's name matches {options.only!r}")

    if (options.check or options.render) and not partial:
        all_results = saved(RESULTS)
        if not all_results:
            parser.error("there are no saved results: run `python -m benchmarks` first")
    else:
        results = measure(wanted, settings, console)
        folder = (PARTIAL if partial else RESULTS) / folder_name()
        results.save(folder, wanted)
        print_table(results, wanted, console)
        console.print(f"Saved for pyperf in {folder.relative_to(TOP)}", highlight=False)
        all_results = [results]
    if not partial and not (options.check and not options.render):
        write_docs(saved(RESULTS), wanted, TOP)
        console.print("Wrote docs/benchmarks.md, docs/benchmarks.svg, README.md", highlight=False)
    if options.check:
        kept = [print_verdicts(results, wanted, console) for results in all_results]
        return 0 if all(kept) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
