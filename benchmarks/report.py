"""The table of results, on the terminal and as Markdown."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.cases import DECORATORS, KINDS, STRONG
from benchmarks.limits import NANOSECONDS, Verdict, verdicts
from benchmarks.operations import BYTES, OPERATIONS, Row
from benchmarks.results import Results

KIND_NAMES = {
    "object": "instances of a slotted class, compared by identity",
    "python": "instances of a class with `__hash__` and `__eq__` in Python",
    "int": "integers",
    "str": "strings",
}


def quantity(value: float, unit: str) -> str:
    """A time or a size with its unit, in three digits."""
    if unit == BYTES:
        return f"{value:.0f} B"
    for name, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return (
                f"{value / scale:.3g} {name}"
                if value < 1000 * scale
                else f"{value / scale:.0f} {name}"
            )
    nanoseconds = value / 1e-9
    return f"{nanoseconds:.0f} ns" if nanoseconds >= 10 else f"{nanoseconds:.1f} ns"


_COUNTED = {
    "finalize": "objects",
    "WeakCallable": "objects",
    "Signal": "listeners",
    "ReferenceQueue": "objects",
}
"""What the number of entries counts, where there are none."""


def ratio(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def groups(rows: Iterable[Row]) -> Iterator[tuple[str, int, list[Row]]]:
    """The rows by family and number of entries."""
    for (family, entries), group in itertools.groupby(rows, lambda row: (row.family, row.entries)):
        yield family, entries, list(group)


def heading(family: str, entries: int) -> str:
    return f"{family}, {entries:,} {_COUNTED.get(family, 'entries')}"


def columns(family: str) -> list[str]:
    """The heads of a table's columns after the first."""
    if family not in STRONG:
        stdlib = _stdlib(family)
        return [stdlib, "weakly", f"weakly : {stdlib}"]
    strong = STRONG[family]
    return [strong, "weakref", "weakly", f"weakly : {strong}", "weakly : weakref"]


def _stdlib(family: str) -> str:
    return "functools" if family in DECORATORS else "weakref"


def cells(results: Results, row: Row) -> list[str]:
    """A row's cells after the first."""
    unit = row.operation.unit
    medians = [quantity(results.median(row, side), unit) for side in row.sides]
    ratios = [ratio(results.ratio(row, basis)) for basis in row.sides[:-1]]
    return medians + ratios


def print_table(results: Results, rows: Iterable[Row], console: Console) -> None:
    console.print(f"\n[bold]{results.title}[/bold]")
    for family, entries, group in groups(row for row in rows if row in results):
        table = Table(title=heading(family, entries), title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("operation")
        for name in columns(family):
            table.add_column(name, justify="right")
        for row in group:
            *values, last = cells(results, row)
            slower = (results.ratio(row, "stdlib") or 0) > 1
            table.add_row(_plain(row.label), *values, f"[{'red' if slower else 'green'}]{last}[/]")
        console.print(table)
    console.print(
        "A ratio below 1 is in weakly's favour. Kinds of key in brackets.\n", markup=False
    )


def print_verdicts(results: Results, rows: Iterable[Row], console: Console) -> bool:
    """Prints each limit with what was measured; tells whether all are kept."""
    table = Table(title=f"Limits, {results.title}", title_justify="left", box=box.SIMPLE_HEAD)
    for name, justify in (("", "left"), ("operation", "left"), ("ratio to", "left")):
        table.add_column(name, justify=justify)
    table.add_column("limit", justify="right")
    table.add_column("measured", justify="right")
    found = list(verdicts(results, rows))
    for verdict in found:
        row = verdict.row
        table.add_row(
            "[green]kept[/]" if verdict.kept else "[red]MISSED[/]",
            _plain(f"{row.family}, {row.entries:,}: {row.label}"),
            basis_name(verdict),
            f"{verdict.limit:.2f}",
            ratio(verdict.measured),
        )
    console.print(table)
    missed = [verdict for verdict in found if not verdict.kept]
    console.print(f"{len(found) - len(missed)} limits kept, {len(missed)} missed")
    return not missed


def basis_name(verdict: Verdict) -> str:
    if verdict.basis == NANOSECONDS:
        return "ns an entry"
    family = verdict.row.family
    return _stdlib(family) if verdict.basis == "stdlib" else STRONG[family]


SUMMARY = {
    "WeakKeyDictionary": ("lookup", "in", "iterate", "fill and drop", "copy", "death, one by one"),
    "WeakSet": ("in", "iterate", "fill and drop", "union (|)"),
    "WeakValueDictionary": ("lookup", "iterate", "fill and drop", "setdefault, present"),
    "EphemeronDictionary": ("lookup", "fill and drop"),
    "WeakIdKeyDictionary": ("lookup", "in", "fill and drop"),
    "WeakIdSet": ("in", "fill and drop"),
    "finalize": ("create", "detach"),
    "WeakCache": ("lookup", "fill and drop"),
    "WeakCallable": ("call",),
    "Signal": ("emit, each listener",),
    "ReferenceQueue": ("track", "death"),
}
"""The rows that the README shows."""


def summary(results: Results, rows: Sequence[Row]) -> str:
    """The README's table: a few rows of the interpreter, with their kinds of keys."""
    few = min(row.entries for row in rows)
    lines = [
        f"{results.title}, {few:,} entries, time for one; ratios are medians of rounds.",
        "",
        "| | strong | weakref | weakly | to strong | to weakref |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        shown = row.default_kind and row.label in SUMMARY.get(row.family, ())
        if row.entries == few and shown and row in results:
            times = [
                quantity(results.median(row, side), row.operation.unit) if side in row.sides else ""
                for side in ("strong", "stdlib", "weakly")
            ]
            ratios = [ratio(results.ratio(row, basis)) for basis in ("strong", "stdlib")]
            lines.append(f"| {row.family}: {_cell(row.label)} | {' | '.join(times + ratios)} |")
    return "\n".join(lines) + "\n"


def markdown(all_results: Sequence[Results], rows: Sequence[Row]) -> str:
    """The page docs/benchmarks.md: every result, how it was measured, what the rows run."""
    return "\n".join(
        [
            _INTRODUCTION,
            *_machines(all_results),
            *itertools.chain.from_iterable(_limits(results, rows) for results in all_results),
            *itertools.chain.from_iterable(_results(results, rows) for results in all_results),
            *_operations(),
        ]
    )


_INTRODUCTION = """\
# Benchmarks

Every operation of weakly's containers, timed against the strong container (`dict` or
`set`) and against the standard library's `weakref`, in one run. `python -m benchmarks`
writes this page and the plot.

![weakly, weakref and dict or set, operation by operation](benchmarks.svg)

## How it is measured

- Each operation is one line of Python, the same for the three (the list is at the end of
  the page). Its `for` loop is timed with it; only the cost of reading the clock, the
  thread's processor time, is taken off.
- A round times the three once each, in random order; the ratio is taken of each round, and
  the table shows the median of the rounds' ratios. So a ratio can differ a little from the
  quotient of the two times beside it, which are medians too. Rounds are repeated in several
  processes.
- Keys and values exist before the clock starts. The garbage collector is off while it
  runs, and has rows of its own: `gc.collect()` with the container and its referents alive,
  and with the rest of the process (in "table only" the referents too) frozen.
- "Death" is the last reference to a referent going away, oldest first or all in one
  `list.clear()`. The strong container keeps its objects alive: its time is that of removing
  the entry by hand and of the object's death after it.
- `EphemeronDictionary`, `WeakIdKeyDictionary`, `WeakIdSet` and `WeakCache` have no counterpart
  in `weakref`; beside them stands what comes nearest, `WeakKeyDictionary`, `WeakSet` or
  `WeakValueDictionary`. Beside the caching decorators stand `functools.cache` (`lru_cache` where
  a row says bounded) and `functools.cached_property`, which hold their arguments for ever.
- Beside `WeakCallable` and `Signal` stand the methods themselves, called in a loop over a list,
  and a loop over a list of `WeakMethod` that calls those that live; beside `ReferenceQueue`
  stands `finalize` with a function that does nothing. Each run also makes sure that the queue
  had every death, and each once.
- Bytes are what `tracemalloc` counts for a full container, without the keys and values.
- Times are for one entry, those of `gc.collect()` for one collection.
"""


def _machines(all_results: Sequence[Results]) -> Iterator[str]:
    yield "## Where\n"
    for results in all_results:
        metadata = results.metadata
        optimized = metadata.get("python_optimized") == "yes"
        yield (
            f"- **{results.title}** (weakly {metadata['weakly_version']}): "
            f"{metadata['cpu_count']} cores, {metadata.get('cpu_model_name', 'unknown')}; "
            f"{metadata['platform']}; Python compiled by {metadata['python_compiler']}, "
            f"{'with' if optimized else 'without'} profile-guided optimisation; "
            f"pyperf {metadata['perf_version']}; {results.date}; "
            "{} (a million entries) to {} rounds a row.".format(*results.rounds)
        )
    yield ""


def _limits(results: Results, rows: Sequence[Row]) -> Iterator[str]:
    found = list(verdicts(results, rows))
    missed = [verdict for verdict in found if not verdict.kept]
    yield f"## Limits, {results.title}\n"
    yield f"{len(found) - len(missed)} of {len(found)} limits are kept (`benchmarks/limits.py`)."
    if missed:
        yield "\n| missed | ratio to | limit | measured |\n| --- | --- | ---: | ---: |"
    for verdict in missed:
        row = verdict.row
        yield (
            f"| {row.family}, {row.entries:,}: {_cell(row.label)} | `{basis_name(verdict)}` "
            f"| {verdict.limit:.2f} | {ratio(verdict.measured)} |"
        )
    yield ""


def _results(results: Results, rows: Sequence[Row]) -> Iterator[str]:
    yield f"## {results.title}\n"
    for family, entries, group in groups(row for row in rows if row in results):
        names = columns(family)
        yield f"### {heading(family, entries)}\n"
        yield f"| operation | {' | '.join(names)} |"
        yield f"| --- | {' | '.join('---:' for _ in names)} |"
        for row in group:
            yield f"| {_cell(row.label)} | {' | '.join(cells(results, row))} |"
        yield ""


def _operations() -> Iterator[str]:
    yield "## What the rows run\n"
    yield "Keys, the first kind of each container unless the row says another:\n"
    for family, kinds in KINDS.items():
        yield f"- {family}: {'; '.join(f'{kind}: {KIND_NAMES[kind]}' for kind in kinds)}"
    yield ""
    for family, operations in OPERATIONS.items():
        yield f"### {family}\n"
        yield "| operation | not timed, before | timed |\n| --- | --- | --- |"
        for operation in operations:
            timed = _code(operation.code)
            if operation.strong_code:
                timed += f"; {STRONG[family]}: {_code(operation.strong_code)}"
            if operation.stdlib_code:
                timed += f"; {_stdlib(family)}: {_code(operation.stdlib_code)}"
            yield f"| {_cell(operation.name)} | {_code(operation.before)} | {timed} |"
        yield ""


def _code(lines: str) -> str:
    joined = "; ".join(line.strip() for line in lines.splitlines()).replace(":; ", ": ")
    return f"`{_cell(joined)}`" if joined else ""


def _cell(text: str) -> str:
    """Text that does not end a cell of a Markdown table."""
    return text.replace("|", r"\|")


def _plain(text: str) -> str:
    """Text with brackets that rich is not to take for markup."""
    return text.replace("[", r"\[")
