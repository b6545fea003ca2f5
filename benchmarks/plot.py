"""The plot that the README shows: one row an operation, one dot a side, on a scale of time.

Drawn here as SVG, with the colours of the reader's light or dark mode.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.operations import SECONDS, Row
from benchmarks.report import quantity
from benchmarks.results import Results

SHOWN = {
    "WeakKeyDictionary": (
        "lookup",
        "in",
        "in, absent",
        "overwrite",
        "fill and drop",
        "iterate",
        "copy",
        "death, one by one",
    ),
    "WeakSet": ("in", "in, absent", "fill and drop", "iterate", "copy", "death, one by one"),
    "WeakValueDictionary": (
        "lookup",
        "in",
        "overwrite",
        "fill and drop",
        "iterate",
        "copy",
        "death, one by one",
    ),
    "EphemeronDictionary": ("lookup", "fill and drop", "death, one by one"),
    "WeakIdKeyDictionary": ("lookup", "in", "fill and drop", "iterate", "death, one by one"),
    "WeakIdSet": ("in", "fill and drop"),
    "finalize": ("create", "detach", "fire at a death"),
    "WeakCallable": ("call",),
    "Signal": ("emit, each listener",),
    "ReferenceQueue": ("track", "death"),
}
"""The rows of the plot, by the names in `operations.py`; the docs have them all."""

_WIDTH = 860
_LEFT, _RIGHT = 190, 640
_ROW, _PANEL, _TOP = 22, 40, 72
_DOTS = {"strong": "square", "stdlib": "circle", "weakly": "circle"}

STYLE = """\
  .page { fill: #ffffff } text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 17px; font-weight: 600 } .panel { font-weight: 600 }
  .note, .tick { fill: #59636e } .tick, .note { font-size: 12px }
  .grid { stroke: #d1d9e0 } .span { stroke: #afb8c1; stroke-width: 2 }
  .strong { fill: #6e7781 } .stdlib { fill: #cf5c00 } .weakly { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #f0f6fc }
    .note, .tick { fill: #9198a1 }
    .grid { stroke: #2b323b } .span { stroke: #4b535d }
    .strong { fill: #9198a1 } .stdlib { fill: #f0883e } .weakly { fill: #58a6ff }
  }"""


@dataclass(frozen=True)
class _Scale:
    """Seconds to places from left to right, logarithmic."""

    least: float
    most: float

    @classmethod
    def around(cls, values: Sequence[float]) -> "_Scale":
        """Whole powers of ten around `values`, or halves of them where that is enough."""
        low, high = (math.log10(extreme) for extreme in (min(values), max(values)))
        return cls(math.floor(low * 2) / 2, math.ceil(high * 2) / 2)

    def place(self, seconds: float) -> float:
        share = (math.log10(seconds) - self.least) / (self.most - self.least)
        return round(_LEFT + share * (_RIGHT - _LEFT), 1)

    def ticks(self) -> list[float]:
        powers = range(math.floor(self.least), math.ceil(self.most) + 1)
        ticks = [digit * 10.0**power for power in powers for digit in (1, 3)]
        return [tick for tick in ticks if self.least <= math.log10(tick) <= self.most]


def svg(results: Results, rows: Sequence[Row]) -> str:
    """The plot of one interpreter's results, with the fewest entries measured."""
    few = min(row.entries for row in rows)
    panels = [(family, _rows_of(family, few, results, rows)) for family in SHOWN]
    panels = [(family, shown) for family, shown in panels if shown]
    height = _TOP + sum(_PANEL + _ROW * len(shown) for _, shown in panels) + 44
    scale = _Scale.around(
        [results.median(row, side) for _, shown in panels for row in shown for side in row.sides]
    )
    title = f"weakly beside dict, set and the standard library's weakref, {few:,} entries"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-label="{escape(title)}">',
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="page" width="{_WIDTH}" height="{height}" rx="8"/>',
        text(20, 30, title, "title"),
        *_legend(results),
    ]
    y = _TOP
    for family, shown in panels:
        bottom = y + _PANEL + _ROW * len(shown)
        parts += _grid(scale, y + _PANEL - 12, bottom - 6)
        parts.append(text(20, y + 22, family, "panel"))
        for number, row in enumerate(shown):
            parts += _row(results, row, scale, y + _PANEL + _ROW * number + 4)
        y = bottom
    parts += [
        text(scale.place(tick), y + 12, quantity(tick, SECONDS), "tick", "middle")
        for tick in scale.ticks()
    ]
    parts.append(text(_LEFT, y + 32, "time of one entry, logarithmic; left is faster", "note"))
    return "\n".join([*parts, "</svg>", ""])


def _rows_of(family: str, entries: int, results: Results, rows: Sequence[Row]) -> list[Row]:
    candidates = {
        row.operation.name: row
        for row in rows
        if row.family == family and row.entries == entries and row.default_kind and row in results
    }
    return [candidates[name] for name in SHOWN[family] if name in candidates]


def _legend(results: Results) -> list[str]:
    parts: list[str] = []
    x = 20
    for side, name in (("strong", "strong"), ("stdlib", "weakref"), ("weakly", "weakly")):
        parts += [_dot(side, x + 6, 50), text(x + 18, 54, name)]
        x += 40 + 7 * len(name)
    parts.append(text(_WIDTH - 20, 54, results.title, "note", "end"))
    return parts


def _grid(scale: _Scale, top: float, bottom: float) -> list[str]:
    return [
        f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'
        for x in map(scale.place, scale.ticks())
    ]


def _row(results: Results, row: Row, scale: _Scale, y: float) -> list[str]:
    places = {side: scale.place(results.median(row, side)) for side in row.sides}
    faster = 1 / (results.ratio(row, "stdlib") or 1)
    parts = [
        text(_LEFT - 16, y + 4, row.operation.name, anchor="end"),
        f'<line class="span" x1="{min(places.values())}" x2="{max(places.values())}" '
        f'y1="{y}" y2="{y}"/>',
        *(_dot(side, x, y) for side, x in places.items()),
        text(_WIDTH - 20, y + 4, f"{faster:.1f} times weakref's speed", "note", "end"),
    ]
    return parts


def _dot(side: str, x: float, y: float) -> str:
    if _DOTS[side] == "square":
        return f'<rect class="{side}" x="{x - 4:g}" y="{y - 6:g}" width="8" height="12" rx="1"/>'
    return f'<circle class="{side}" cx="{x:g}" cy="{y:g}" r="5.5"/>'


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    attributes = f' class="{kind}"' if kind else ""
    if anchor != "start":
        attributes += f' text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}"{attributes}>{escape(words)}</text>'
