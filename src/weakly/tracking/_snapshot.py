"""How much memory what keeps: `retained()` and `heap()`."""

# The objects are anybody's, of types that nobody knows.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .._implementation import heap_sizes, implementation, retained_sizes
from .._progress import is_wanted
from ._names import describe, qualified_name
from ._retention import path_of, shorten
from ._roots import Roots

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = ["ClassGrowth", "ClassRow", "HeapGrowth", "HeapSnapshot", "ObjectRow", "Retained"]
__all__ += ["heap", "retained"]


@dataclass(frozen=True, slots=True)
class Retained:
    """What would go if an object went; returned by `retained()`."""

    bytes: int
    objects: int

    def __str__(self) -> str:
        plural = "" if self.objects == 1 else "s"
        return f"{readable(self.bytes)} in {self.objects:,} object{plural}"


def retained(obj: object, *, progress: bool | None = None) -> Retained:
    """Say how much memory would be freed if an object went, with all that only it keeps.

    Counts the object itself. What also somebody else refers to is not counted, wherever that is.
    `progress` is as in `why_alive()`.
    O(n) for n objects and references in the process. Runs no code of the program.

    >>> retained([bytes(1000), bytes(1000)]).objects
    3
    """
    size, objects = retained_sizes([obj], is_wanted(progress))
    return Retained(size, objects)


class _Tables:
    """What is shown as tables."""

    __slots__ = ()

    def __str__(self) -> str:
        return _text(self._tables())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return _rich(self._tables())

    def _repr_html_(self) -> str:
        return _html(self._tables())

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as dictionaries, lists, strings and numbers."""
        return asdict(cast(Any, self))

    def to_json(self) -> str:
        """Return all of it as JSON: an object with the names of the attributes."""
        import json

        return json.dumps(self.to_dict(), indent=2)

    def _tables(self) -> list[_Table]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ClassRow:
    """The objects of a class."""

    name: str
    """qualified name of the class"""
    objects: int
    bytes: int
    """of the objects alone"""
    retained: int
    """bytes that would go with all of them"""


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One of the objects that retain the most."""

    expression: str
    """what one could type for it, as the nearest root leads to it"""
    target: str
    """its class and address, and its `repr()`"""
    type: str
    """qualified name of its class"""
    bytes: int
    """of the object alone"""
    retained: int
    """bytes that would go with it"""
    objects: int
    """objects that would go with it"""
    dominator: int | None
    """the place of the nearest of these rows without which it would go; None if there is none"""


@dataclass(frozen=True, slots=True, repr=False)
class HeapSnapshot(_Tables):
    """What is in memory; returned by `heap()`. Holds text and numbers only.

    `print()` shows it as tables, in colours with `rich`; `later - earlier` is what has grown.
    """

    objects: int
    bytes: int
    garbage_objects: int
    """objects in cycles that nothing holds, which the collector has not taken yet"""
    garbage_bytes: int
    classes: tuple[ClassRow, ...]
    """all classes, without the garbage, that which retains the most first"""
    top: tuple[ObjectRow, ...]
    """the objects that retain the most, the largest first"""
    references: int
    """references that were followed"""
    memory: int
    """bytes that were needed for it"""
    seconds: float
    """how long it took"""
    time: float
    """when it was taken, as `time.time()`"""

    def __sub__(self, earlier: HeapSnapshot) -> HeapGrowth:
        if not isinstance(earlier, HeapSnapshot):  # pyright: ignore[reportUnnecessaryIsInstance]
            return NotImplemented
        before = {row.name: row for row in earlier.classes}
        after = {row.name: row for row in self.classes}
        none = ClassRow("", 0, 0, 0)
        rows = [
            ClassGrowth(
                name,
                after.get(name, none).objects - before.get(name, none).objects,
                after.get(name, none).bytes - before.get(name, none).bytes,
                after.get(name, none).retained - before.get(name, none).retained,
            )
            for name in {**before, **after}
        ]
        # Not what the earlier snapshot itself consists of.
        rows = [row for row in rows if not row.name.startswith(f"{__package__}.")]
        rows.sort(key=lambda row: (-row.bytes, -row.objects, row.name))
        changed = tuple(row for row in rows if row.objects or row.bytes)
        return HeapGrowth(
            self.objects - earlier.objects,
            self.bytes - earlier.bytes,
            changed,
            self.time - earlier.time,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.objects:,} objects, {readable(self.bytes)}>"

    def _tables(self) -> list[_Table]:
        garbage = ""
        if self.garbage_objects:
            garbage = (
                f", of them {self.garbage_objects:,} ({readable(self.garbage_bytes)}) wait for "
                "the collector"
            )
        note = "" if implementation == "c" else "; in Python, which is slower than the C core"
        memory = f", with {self.memory / 1e6:,.1f} MB" if self.memory else ""
        objects = _Table(
            f"{self.objects:,} objects, {readable(self.bytes)}{garbage}\n\n"
            "What retains the most",
            ["retained", "objects", "own", "class", "as"],
            [
                [readable(row.retained), f"{row.objects:,}", readable(row.bytes), row.type,
                 _indent(self.top, at) + shorten(row.expression)]
                for at, row in enumerate(self.top)
            ],
        )  # fmt: skip
        rows = self.classes[:_CLASSES]
        classes = _Table(
            "Classes",
            ["retained", "objects", "own", "class"],
            [
                [readable(row.retained), f"{row.objects:,}", readable(row.bytes), row.name]
                for row in rows
            ],
            f"{_and_more(len(self.classes) - len(rows))}"
            f"{self.references:,} references in {self.seconds:.2f} s{memory}{note}",
        )
        return [objects, classes]


def _and_more(count: int) -> str:
    return f"and {count:,} more classes; " if count > 0 else ""


def _indent(rows: tuple[ObjectRow, ...], at: int) -> str:
    """How deep an object is within others of the list, which retain it."""
    depth = 0
    dominator = rows[at].dominator
    while dominator is not None and depth < len(rows):
        dominator = rows[dominator].dominator
        depth += 1
    return "  " * (depth - 1) + "└ " if depth else ""


@dataclass(frozen=True, slots=True)
class ClassGrowth:
    """How a class has grown between two snapshots; negative where it has shrunk."""

    name: str
    objects: int
    bytes: int
    retained: int


@dataclass(frozen=True, slots=True, repr=False)
class HeapGrowth(_Tables):
    """What has changed between two snapshots: `later - earlier`."""

    objects: int
    bytes: int
    classes: tuple[ClassGrowth, ...]
    """those that have changed, that which has grown the most first"""
    seconds: float
    """between the snapshots"""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.objects:+,} objects, {readable(self.bytes, '+')}>"

    def _tables(self) -> list[_Table]:
        rows = self.classes[:_CLASSES]
        return [
            _Table(
                f"{self.objects:+,} objects, {readable(self.bytes, '+')} "
                f"in {self.seconds:,.1f} s",
                ["own", "objects", "retained", "class"],
                [
                    [readable(row.bytes, "+"), f"{row.objects:+,}", readable(row.retained, "+"),
                     row.name]
                    for row in rows
                ],
                _and_more(len(self.classes) - len(rows)).rstrip("; "),
            )
        ]  # fmt: skip


_MOST = 10_000


def heap(*, top: int = 20, progress: bool | None = None) -> HeapSnapshot:
    """Take a snapshot: how many objects there are, of which classes, and what retains the most.

    An object retains what would go with it: what every chain of references from the roots comes
    through it to. `top` is how many of the objects that retain the most to name. `progress` is
    as in `why_alive()`.

    Raises ValueError if `top` is negative or above 10,000. O(n log n) for n objects and references
    in the process, which it stops for so long. It runs no code of the program but the `__repr__`
    of what is shown, and keeps nothing alive.
    """
    top = index(top)
    if not 0 <= top <= _MOST:
        raise ValueError(f"top must be from 0 to {_MOST}, not {top}")
    roots = Roots()
    largest: list[tuple[Any, int, int, int, int, list[Any]]] = []
    by_class: list[tuple[type, int, int, int]] = []
    try:
        totals, by_class, largest, costs = heap_sizes(
            top,
            1000,
            [*roots.roots, *roots.late],
            roots.soft,
            roots.own,
            is_wanted(progress),
        )
        rows = [
            ObjectRow(
                str(path_of(chain, roots)) if chain else describe(obj),
                describe(obj),
                qualified_name(type(obj)),
                size,
                kept,
                objects,
                None if dominator < 0 else dominator,
            )
            for obj, size, kept, objects, dominator, chain in largest
        ]
        return HeapSnapshot(
            *totals, _merged(by_class), tuple(rows), *costs[1:], time.time(),
        )  # fmt: skip
    finally:
        # What is raised in here has this frame, and must not keep anything else.
        roots.clear()
        for *_, chain in largest:
            chain.clear()
        largest.clear()
        by_class.clear()


def _merged(found: Iterable[tuple[type, int, int, int]]) -> tuple[ClassRow, ...]:
    """The classes by name: two of the same name are one row."""
    rows: dict[str, ClassRow] = {}
    for cls, objects, size, kept in found:
        name = qualified_name(cls)
        row = rows.get(name, ClassRow(name, 0, 0, 0))
        rows[name] = ClassRow(name, row.objects + objects, row.bytes + size, row.retained + kept)
    return tuple(sorted(rows.values(), key=lambda row: (-row.retained, -row.bytes, row.name)))


# --------------------------------------------------------------------------------- the tables

_CLASSES = 25  # that are shown


def readable(size: float, sign: str = "") -> str:
    """A number of bytes: `512 B`, `1.2 kB`, `35 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 999.5 or unit == "GB":
            digits = 1 if abs(size) < 9.95 and unit != "B" else 0
            return f"{size:{sign}.{digits}f} {unit}"
        size /= 1000
    raise AssertionError


class _Table(NamedTuple):
    title: str
    heads: list[str]
    rows: list[list[str]]
    note: str = ""


_NUMBERS = 3  # the first columns, in all tables


def _text(tables: list[_Table]) -> str:
    lines: list[str] = []
    for table in tables:
        if lines:
            lines.append("")
        lines += table.title.split("\n")
        widths = [
            max(len(row[column]) for row in [table.heads, *table.rows])
            for column in range(len(table.heads))
        ]
        for row in [table.heads, *table.rows] if table.rows else []:
            cells = [
                cell.rjust(width) if column < _NUMBERS else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        lines += [table.note] if table.note else []
    return "\n".join(lines)


def _rich(tables: list[_Table]) -> RenderResult:
    from rich.table import Table
    from rich.text import Text

    for table in tables:
        yield Text(table.title, "bold")
        shown = Table(box=None, pad_edge=False)
        for column, head in enumerate(table.heads):
            number = column < _NUMBERS
            shown.add_column(
                head, justify="right" if number else "left", no_wrap=number, style="" if number
                else "green" if head == "class" else "", overflow="fold",
            )  # fmt: skip
        for row in table.rows:
            shown.add_row(*map(Text, row))
        yield shown
        yield Text(table.note, "dim")


def _html(tables: list[_Table]) -> str:
    from html import escape

    parts: list[str] = []
    for table in tables:
        for line in filter(None, table.title.split("\n")):
            parts.append(f"<p><strong>{escape(line)}</strong></p>")
        heads = "".join(f"<th>{escape(head)}</th>" for head in table.heads)
        parts.append(f"<table><thead><tr>{heads}</tr></thead><tbody>")
        for row in table.rows:
            cells = "".join(
                f'<td style="text-align:{"right" if column < _NUMBERS else "left"}">'
                f"{escape(cell)}</td>"
                for column, cell in enumerate(row)
            )
            parts.append(f"<tr>{cells}</tr>")
        parts.append(f"</tbody></table><p><small>{escape(table.note)}</small></p>")
    return "".join(parts)
