"""The plot of docs/caching.md: a panel a trace, a line a policy, the hit rate by the size."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from benchmarks.plot import STYLE, text

SHOWN = {
    "optimum": "bound",
    "LRU": "lru",
    "LFU": "lfu",
    "S3-FIFO": "fifo",
    "W-TinyLFU": "tiny",
    "WeakCache": "own",
}
"""The columns of the table that have a line here, and its style (none of plot.py's, which fill);
the last is on top."""

_COLUMNS = 3
_WIDTH, _PANEL, _HEIGHT, _GAP, _LEFT, _TOP = 860, 230, 150, 50, 50, 92
_BELOW = 58

_LINES = """\
  polyline { fill: none; stroke-width: 1.6 } .frame { fill: none; stroke: #d1d9e0 }
  polyline.bound { stroke: #6e7781; stroke-dasharray: 4 3 } polyline.lru { stroke: #cf5c00 }
  polyline.lfu { stroke: #bf8700 } polyline.fifo { stroke: #8250df }
  polyline.tiny { stroke: #1a7f37 } polyline.own { stroke: #0969da; stroke-width: 3 }
  @media (prefers-color-scheme: dark) {
    .frame { stroke: #2b323b }
    polyline.bound { stroke: #9198a1 } polyline.lru { stroke: #f0883e }
    polyline.lfu { stroke: #d4a72c } polyline.fifo { stroke: #b087f5 }
    polyline.tiny { stroke: #4ac26b } polyline.own { stroke: #58a6ff }
  }"""


def svg(rates: dict[str, dict[int, dict[str, float]]]) -> str:
    """The plot of hit rates (0 to 1) by trace, size and policy."""
    rows = math.ceil(len(rates) / _COLUMNS)
    height = _TOP + rows * (_HEIGHT + _BELOW)
    title = "Hit rate by the number of entries that a cache may hold"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-label="{escape(title)}">',
        f"<style>\n{STYLE}\n{_LINES}\n</style>",
        f'<rect class="page" width="{_WIDTH}" height="{height}" rx="8"/>',
        text(20, 30, title, "title"),
        *_legend(),
    ]
    for number, (name, by_size) in enumerate(rates.items()):
        row, column = divmod(number, _COLUMNS)
        x, y = _LEFT + column * (_PANEL + _GAP), _TOP + row * (_HEIGHT + _BELOW)
        parts += _panel(name, by_size, x, y)
    return "\n".join([*parts, "</svg>", ""])


def _legend() -> list[str]:
    parts: list[str] = []
    x = 20
    for name, style in SHOWN.items():
        parts.append(f'<polyline class="{style}" points="{x},50 {x + 24},50"/>')
        parts.append(text(x + 30, 54, name))
        x += 56 + 8 * len(name)
    return parts


def _panel(name: str, by_size: dict[int, dict[str, float]], x: int, y: int) -> list[str]:
    sizes = list(by_size)
    places = {size: _along(size, sizes, x) for size in sizes}
    parts = [
        f'<rect class="frame" x="{x}" y="{y}" width="{_PANEL}" height="{_HEIGHT}"/>',
        text(x, y - 8, name, "panel"),
        *(text(at, y + _HEIGHT + 16, f"{size:,}", "tick", "middle") for size, at in places.items()),
    ]
    for percent in (0, 25, 50, 75, 100):
        at = y + _HEIGHT * (1 - percent / 100)
        if 0 < percent < 100:
            parts.append(f'<line class="grid" x1="{x}" x2="{x + _PANEL}" y1="{at}" y2="{at}"/>')
        if percent % 50 == 0:
            parts.append(text(x - 6, at + 4, f"{percent}%", "tick", "end"))
    for policy, style in SHOWN.items():
        points = " ".join(
            f"{places[size]:g},{y + _HEIGHT * (1 - rates[policy]):.1f}"
            for size, rates in by_size.items()
        )
        parts.append(f'<polyline class="{style}" points="{points}"/>')
    return parts


def _along(size: int, sizes: Sequence[int], x: int) -> float:
    """The place of a size, from left to right, on a logarithmic scale."""
    low, high = math.log(min(sizes)), math.log(max(sizes))
    share = (math.log(size) - low) / (high - low) if high > low else 0.5
    return round(x + 14 + share * (_PANEL - 28), 1)
