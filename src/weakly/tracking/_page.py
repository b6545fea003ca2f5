"""The report of `python -m weakly leaks` as one HTML page, which needs nothing but itself.

All content is in the page as it is written here; the script in `page.html` only searches, sorts,
unfolds and draws the chart. Its policy forbids every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from datetime import datetime
from html import escape
from importlib.resources import files
from platform import python_implementation, python_version
from shutil import copymode
from typing import TYPE_CHECKING, Any

from .. import __version__, implementation
from ._drawing import to_svg
from ._leaks import Holder, Leak, Report, Sample, summary
from ._retention import fold, kind_of
from ._snapshot import readable

if TYPE_CHECKING:
    from ._retention import RetentionPath

__all__ = ["render", "write"]

_PAGE = files("weakly.tracking").joinpath("page.html").read_text(encoding="utf-8")
_ROWS = 300  # of classes, the largest ones, and all of the program's own
_SERIES = 12  # lines of the chart


def write(report: Report, path: str) -> None:
    """Write the page; whoever has the one before open sees that or this one, whole."""
    text = render(report).encode("utf-8", "xmlcharrefreplace")
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe, say
        with open(path, "wb") as file:
            file.write(text)
        return
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "xb") as file:
        try:
            file.write(text)
            file.close()
            if os.path.exists(path):
                copymode(path, temporary)
            os.replace(temporary, path)
        except BaseException:
            os.remove(temporary)
            raise


def render(report: Report) -> str:
    """The page's text."""
    script = _PAGE[_PAGE.rindex("<script>") + len("<script>") : _PAGE.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {
        "script-hash": f"sha256-{digest}",
        "title": escape(f"weakly leaks: {report.program}"),
        "headline": escape(summary(report)),
        "program": escape(report.program),
        "ended": escape(report.ended),
        "tiles": _tiles(report),
        "leaks": _leaks(report),
        "classes": _classes(report),
        "objects": _objects(report),
        "footer": _footer(report),
        "data": _data(report),
    }
    return re.sub("@([a-z-]+)@", lambda found: parts[found[1]], _PAGE)


def _tiles(report: Report) -> str:
    suspects = report.suspects
    first, last = report.samples[0], report.samples[-1]
    tiles = [
        ("Leaked objects", f"{sum(leak.alive for leak in suspects):,}", "of what was watched"),
        ("They retain", readable(sum(leak.retained for leak in suspects)), "by class, summed up"),
        ("Objects at the end", f"{report.heap.objects:,}", readable(report.heap.bytes)),
        ("It ran for", f"{last.seconds:,.1f} s", f"{len(report.samples):,} samples"),
    ]
    if last.resident:
        growth = readable(last.resident - first.resident, "+")
        tiles.append(
            ("Memory of the process", readable(last.resident), f"{growth} since its start")
        )
    return "".join(
        f"<div><dt>{name}</dt><dd>{escape(value)} <small>{escape(note)}</small></dd></div>"
        for name, value, note in tiles
    )


# ------------------------------------------------------------------------------- the leaks


def _leaks(report: Report) -> str:
    parts = [
        _leak(leak, report.samples, "open" if leak is report.leaks[0] else "")
        for leak in report.leaks
    ]
    if parts:
        parts.append(_none("details.leak", "Nothing of this matches.", hidden=True))
    else:
        parts.append('<p class="none">Nothing of what was watched is alive.</p>')
    parts += [
        f'<p class="note">No class is called <code>{escape(name)}</code>.</p>'
        for name in report.unknown
    ]
    return "\n".join(parts)


def _none(selector: str, text: str, hidden: bool) -> str:
    """What is shown while none of these elements is."""
    return f'<p class="none" data-of="{selector}"{" hidden" if hidden else ""}>{text}</p>'


def _leak(leak: Leak, samples: tuple[Sample, ...], is_open: str) -> str:
    path = leak.holders[0].retention.paths[0]
    others = len(leak.holders) - 1
    more = f" and in {others} other way{'s' if others > 1 else ''}" if others else ""
    growth = f"{leak.grown:+,} since the first quarter" if leak.grown else "not growing"
    kind = "suspect" if leak.suspect else "kept"
    note = "" if leak.suspect else "on purpose, as it seems: "
    parts = [_holder(holder, leak) for holder in leak.holders]
    if leak.sites:
        sites = "".join(f"<li><code>{escape(site)}</code></li>" for site in leak.sites)
        parts.append(f'<div class="holder">Where they were made:<ul>{sites}</ul></div>')
    return (
        f'<details class="card leak {kind}" data-item {is_open}><summary>'
        f"<div><h3><code>{escape(leak.name)}</code></h3>"
        f"<p>{note}held {_held(path)}{more}</p></div>"
        f"{_spark(leak.name, samples)}"
        f'<div class="count"><b>{leak.alive:,}</b><small>{growth}</small>'
        f"<small>{readable(leak.retained)} retained</small></div>"
        f"</summary>{''.join(parts)}</details>"
    )


def _held(path: RetentionPath) -> str:
    """How a path leads to the object, in a few words."""
    suspect = path.suspect
    if path.kind == "unseen":
        return f"from where Python cannot look, through <code>{escape(path.root)}</code>"
    if suspect is not None and "gc.get_referents" in suspect.expression:  # true, but unreadable
        return f"as {escape(suspect.name)}"
    return f"as <code>{escape(_short(str(path)))}</code>"


def _short(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:90]} … {text[-60:]}"


def _spark(name: str, samples: tuple[Sample, ...]) -> str:
    counts = [sample.counts.get(name, 0) for sample in samples]
    end, most = samples[-1].seconds or 1, max(counts) or 1
    points = " ".join(
        f"{100 * sample.seconds / end:.1f},{29 - 27 * count / most:.1f}"
        for sample, count in zip(samples, counts, strict=True)
    )
    return (
        '<svg class="spark" viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="M{points}"/></svg>'
    )


def _holder(holder: Holder, leak: Leak) -> str:
    retention = holder.retention
    looked = (
        f"<p>{holder.share} of {leak.looked_at} objects looked at are held like this one.</p>"
        if leak.looked_at > 1
        else ""
    )
    within = (
        f"<p>It is held by a <code>{escape(holder.within)}</code>, and goes with that.</p>"
        if holder.within
        else ""
    )
    first, *others = [_path(path) for path in retention.paths]
    more = (
        f"<details><summary>{len(others)} more way{'s' if len(others) > 1 else ''} to it</summary>"
        f"{''.join(others)}</details>"
        if others
        else ""
    )
    return (
        f'<div class="holder">{looked}{within}'
        f"<p><code>{escape(retention.target)}</code><br>{escape(retention.verdict)}</p>"
        f"{first}{more}"
        '<details><summary>Picture</summary><div class="picture">'
        # In a tree of its own, as its style and its identifiers are.
        '<template shadowrootmode="open"><style>svg { max-width: none !important }</style>'
        f"{to_svg(retention)}</template>"
        "</div></details></div>"
    )


def _path(path: RetentionPath) -> str:
    rows = [f"<li><code>{escape(path.root)}</code><span>{escape(path.type)}</span></li>"]
    for depth, step in enumerate(fold(path), start=1):
        row = f'style="--depth:{depth}"><code>'
        if isinstance(step, int):
            rows.append(f"<li {row}</code><span>{step:,} more steps</span></li>")
            continue
        name = step.name if step.name.startswith("<") else step.expression
        also = "" if step.expression.endswith(step.name) or name == step.name else f"{step.name}, "
        advice = f'<span class="advice">↳ {_code(step.advice)}</span>' if step.advice else ""
        cut = 'class="cut" ' if step.suspect else ""
        rows.append(
            f"<li {cut}{row}{escape(_short(name))}</code>"
            f"<span>{escape(also + kind_of(step))}</span>{advice}</li>"
        )
    return f'<ol class="path">{"".join(rows)}</ol>'


def _code(text: str) -> str:
    """With what is between backquotes as code."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(text))


# ------------------------------------------------------------------------------- the tables


def _classes(report: Report) -> str:
    rows = report.heap.classes
    shown = [row for at, row in enumerate(rows) if at < _ROWS or row.name in report.own]
    most = max((row.retained for row in rows), default=1) or 1
    body = "".join(
        f'<tr data-item data-own="{int(row.name in report.own)}">'
        f"<td><code>{escape(row.name)}</code></td>"
        f"{_number(row.objects)}{_size(row.bytes)}{_size(row.retained, row.retained / most)}</tr>"
        for row in shown
    )
    left = len(rows) - len(shown)
    note = f'<p class="none">and {left:,} more classes, which retain less</p>' if left else ""
    heads = _heads(Class="text", Objects="number", Bytes="number", Retained="number")
    return f"{_table(heads, body)}{_none('#classes tr', 'No class matches.', True)}{note}"


def _objects(report: Report) -> str:
    rows = report.heap.top
    most = max((row.retained for row in rows), default=1) or 1
    body = "".join(
        f"<tr data-item><td><code>{escape(_short(row.expression))}</code>"
        f"<small>{escape(_short(row.target))}</small></td>"
        f"{_number(row.objects)}{_size(row.bytes)}{_size(row.retained, row.retained / most)}</tr>"
        for row in rows
    )
    heads = _heads(Object="text", Objects="number", Bytes="number", Retained="number")
    return f"{_table(heads, body)}{_none('#objects tr', 'No object matches.', True)}"


def _heads(**kinds: str) -> str:
    return "".join(
        f'<th scope="col" data-sort="{kind}"{"" if name != "Retained" else down}>'
        f'<button type="button">{name}</button></th>'
        for name, kind in kinds.items()
        for down in [' aria-sort="descending"']
    )


def _table(heads: str, body: str) -> str:
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _number(value: int) -> str:
    return f'<td data-value="{value}">{value:,}</td>'


def _size(value: int, part: float | None = None) -> str:
    bar = "" if part is None else f' class="sized" style="--part:{part:.3f}"'
    return f'<td data-value="{value}"{bar}>{readable(value)}</td>'


def _footer(report: Report) -> str:
    core = "C core" if implementation == "c" else "Python tables"
    made = datetime.fromtimestamp(report.heap.time).astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return (
        f"Made {made} by weakly {__version__} ({core}) on {python_implementation()} "
        f"{python_version()}, in {report.seconds:.1f} s. This page asks nothing of any network."
    )


def _data(report: Report) -> str:
    names = [leak.name for leak in report.leaks[:_SERIES]]
    samples = report.samples
    data: dict[str, Any] = {
        "seconds": [round(sample.seconds, 4) for sample in samples],
        "resident": [sample.resident for sample in samples],
        "objects": [sample.objects for sample in samples],
        "series": [
            {"name": name, "counts": [sample.counts.get(name, 0) for sample in samples]}
            for name in names
        ],
    }
    return json.dumps(data).replace("<", "\\u003c")
