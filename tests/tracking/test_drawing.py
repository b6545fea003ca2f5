"""The pictures, pages and graphs of retention paths."""

from __future__ import annotations

import gc
import io
import re
import sys
import weakref
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import COUNTS_REFERENCES

from weakly import Retention, RetentionPath, Step, why_alive
from weakly.tracking._drawing import _Graph, _Layout

NASTY = '<script>alert("1")</script> & \']]> \x00\x1b\ud800 \N{SNOWMAN} \\ %s'


class Thing:
    pass


class Nasty:
    def __repr__(self) -> str:
        return NASTY


def make_retention(*paths: list[str], suspects: int = 1) -> Retention:
    """Of paths, each the names of objects from the root on; the last is the target."""
    found: list[RetentionPath] = []
    for path in paths:
        steps = tuple(
            Step(
                f".{name}", ".".join(path[: at + 1]), f"app.{name.title()}", "",
                hash(name), at == suspects, "`del it`" if at == suspects else "",
            )
            for at, name in enumerate(path) if at
        )  # fmt: skip
        found.append(RetentionPath(f"module {path[0]}", "module", steps, hash(path[0]), "module"))
    return Retention("app.Target at 0x1", "It is kept.", tuple(found), None, 1, 2, 3, 4.5)


SHAPES = {
    "one": [["app", "it"]],
    "long": [[*"abcdefghijklm", "it"]],
    "longer": [[f"x{number}" for number in range(500)]],
    "two": [["app", "a", "it"], ["other", "b", "it"]],
    "shared": [["app", "a", "b", "it"], ["app", "a", "c", "it"], ["app", "a", "d", "e", "it"]],
    "crossing": [["p", "a", "b", "it"], ["q", "b", "it"], ["r", "a", "it"], ["p", "c", "b", "it"]],
    "there and back": [["p", "a", "b", "it"], ["q", "b", "a", "it"]],
    "wide": [[f"root{at}", f"middle{at}", "it"] for at in range(12)],
    "nothing": [],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_boxes_and_edges(shape: str) -> None:
    retention = make_retention(*SHAPES[shape])
    root = ElementTree.fromstring(retention.to_svg())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    layout = _Layout(_Graph(retention))
    boxes = [node for node in layout.graph.nodes if node.kind != "pass"]
    assert len({id(node) for node in boxes}) == len({(node.title, node.hint) for node in boxes})
    for layer in layout.layers:
        for one, other in pairwise(layer):
            assert one.x + one.width / 2 < other.x - other.width / 2  # none covers another
        for node in layer:
            assert node.x - node.width / 2 >= 0
            assert node.x + node.width / 2 <= layout.width
    for edge in layout.graph.edges:
        assert edge.back or edge.source.layer < edge.goal.layer
        assert len(edge.passes) == max(0, edge.goal.layer - edge.source.layer - 1)
    assert any(edge.back for edge in layout.graph.edges) == (shape == "there and back")


def test_objects_that_paths_share_are_one_box() -> None:
    graph = _Graph(make_retention(*SHAPES["shared"]))
    assert {node.title for node in graph.nodes} == {"app", "A", "B", "C", "D", "E", "Target"}
    assert len(graph.nodes) == 7
    assert [node.kind for node in graph.nodes].count("target") == 1
    assert len(graph.edges) == 8


def test_no_needless_crossings() -> None:
    for shape in ("two", "shared", "wide"):
        layout = _Layout(_Graph(make_retention(*SHAPES[shape])))
        links = [
            (one, other)
            for edge in layout.graph.edges
            for stops in [[edge.source, *edge.passes, edge.goal]]
            for one, other in pairwise(stops)
        ]
        assert layout._crossings(links) == 0


def test_a_chain_is_straight() -> None:
    layout = _Layout(_Graph(make_retention(*SHAPES["long"])))
    assert len({round(node.x, 3) for node in layout.graph.nodes}) == 1


def test_suspects_are_numbered_and_explained() -> None:
    svg = make_retention(["app", "a", "it"], ["other", "b", "it"]).to_svg()
    text = re.sub(r"<[^>]*>", "|", svg)
    assert "|1|" in text
    assert "|2|" in text
    assert text.count("del it") == 2


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="needs reference counts")
def test_no_garbage_is_left() -> None:
    retention = make_retention(*SHAPES["there and back"], *SHAPES["shared"])
    retention.to_svg()
    gc.collect()
    gc.disable()
    retention.to_svg()
    retention.to_dot()
    assert gc.collect() == 0


def test_picture_of_a_cycle() -> None:
    thing: Any = Thing()
    thing.children = [thing]
    retention = why_alive(weakref.ref(thing)())
    loose = Retention("app.Node at 0x2", "A cycle.", (), RetentionPath(
        "app.Node at 0x2", "cycle", (
            Step(".child", "obj.child", "app.Node", "", 3),
            Step(".parent", "obj.child.parent", "app.Node", "", 2),
        ), 2, "app.Node",
    ), 0, 0, 0, 0.0)  # fmt: skip
    for each in (retention, loose):
        ElementTree.fromstring(each.to_svg())
    graph = _Graph(loose)
    assert [(edge.label, edge.back) for edge in graph.edges] == [
        (".child", False),
        (".parent", True),
    ]
    itself = Retention("app.Node at 0x2", "A cycle.", (), RetentionPath(
        "app.Node at 0x2", "cycle", (Step(".me", "obj.me", "app.Node", "", 2),), 2, "app.Node",
    ), 0, 0, 0, 0.0)  # fmt: skip
    ElementTree.fromstring(itself.to_svg())


def test_everything_is_escaped(app: Any) -> None:
    app.nasty = {NASTY: Nasty()}
    retention = why_alive(app.nasty[NASTY])
    svg = retention.to_svg()
    ElementTree.fromstring(svg)
    page = retention.to_html()
    for each in (svg, page, retention._repr_html_()):
        assert "<script" not in each
        assert "alert(" in each
        each.encode("utf-8")
    retention.to_dot().encode("utf-8")
    retention.to_json().encode("utf-8")


def test_page_loads_nothing() -> None:
    page = make_retention(*SHAPES["shared"]).to_html()
    assert page.startswith("<!DOCTYPE html>")
    assert not re.search(
        r"""(src|href)\s*=|url\(|@import|https?://(?!www\.w3\.org/2000/svg)""", page
    )
    assert "default-src 'none'" in page


def test_light_and_dark() -> None:
    svg = make_retention(["app", "it"]).to_svg()
    assert "@media(prefers-color-scheme:dark)" in svg
    # Only by name: what is written into the elements would be the same in both.
    body = svg.partition("</style>")[2]
    assert not re.search(r"#[0-9a-f]{3}", body)


def test_files(tmp_path: Path) -> None:
    retention = make_retention(*SHAPES["two"])
    assert retention.to_svg(tmp_path / "a.svg") == (tmp_path / "a.svg").read_text("utf-8")
    assert retention.to_html(str(tmp_path / "a.html")) == (tmp_path / "a.html").read_text("utf-8")


def test_notebooks() -> None:
    retention = make_retention(*SHAPES["two"])
    assert retention._repr_svg_() == retention.to_svg()
    assert retention.to_svg() in retention._repr_html_()


_STRING = r'"(?:[^"\\\n]|\\.)*"'
_ATTRIBUTES = rf"\[(?:\w+=(?:\w+|{_STRING})(?:, )?)+\]"
_DOT = re.compile(
    rf"digraph retention \{{\n(?:    (?:node|n\d+|n\d+ -> n\d+) {_ATTRIBUTES};\n)+\}}\n"
)


@pytest.mark.parametrize("shape", SHAPES)
def test_dot(shape: str) -> None:
    retention = make_retention(*SHAPES[shape])
    dot = retention.to_dot()
    assert _DOT.fullmatch(dot), dot
    assert dot.count(" -> ") == len(_Graph(retention).edges)


def test_dot_is_escaped(app: Any) -> None:
    app.nasty = {NASTY: Nasty()}
    assert _DOT.fullmatch(why_alive(app.nasty[NASTY]).to_dot())


def test_rich(app: Any) -> None:
    console = pytest.importorskip("rich.console")
    app.it = {"[bold]": Thing()}
    retention = why_alive(app.it["[bold]"])
    shown = console.Console(width=200, record=True, file=io.StringIO())
    shown.print(retention)
    text = shown.export_text()
    assert [line.rstrip() for line in text.splitlines()] == str(retention).splitlines()


def test_show(app: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    app.it = Thing()
    retention = why_alive(app.it)
    retention.show()
    assert "app.it" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "rich.console", None)
    retention.show()
    assert capsys.readouterr().out == f"{retention}\n"
