"""Pictures of retention paths, without any program that draws.

The paths become one graph, in which an object that several of them go through is one box. Its
layout is the usual one for such graphs: objects in layers from the roots down to the target;
edges that pass a layer get a place in it; the order within the layers is improved until there
are few crossings; then each box moves towards its neighbours as far as the others let it.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._retention import Retention, RetentionPath, Step

__all__ = ["to_dot", "to_fragment", "to_page", "to_svg"]

# ---------------------------------------------------------------------------------- the graph


class _Node:
    """An object, or a place where an edge passes a layer."""

    def __init__(self, kind: str, title: str, detail: str, hint: str) -> None:
        self.kind = kind  # "root", "target", "object", "unseen", "gap" or "pass"
        self.title = title
        self.detail = detail
        self.hint = hint
        self.inward: list[_Edge] = []
        self.outward: list[_Edge] = []
        self.layer = 0
        self.x = 0.0  # of its middle
        self.width = 0.0


class _Edge:
    """A reference."""

    def __init__(self, source: _Node, goal: _Node, label: str, hint: str) -> None:
        self.source = source
        self.goal = goal
        self.label = label
        self.hint = hint
        self.advice = ""
        self.number = 0  # of the suspect
        self.back = False  # upwards
        self.passes: list[_Node] = []  # from source to goal
        self.leaves = 0.0  # the middle of the source, to the right by so much
        self.enters = 0.0


class _Graph:
    def __init__(self, retention: Retention) -> None:
        self.nodes: list[_Node] = []
        self.edges: list[_Edge] = []
        self.suspects: list[_Edge] = []
        self._by_key: dict[object, _Node] = {}
        self._by_name: dict[tuple[int, int, str], _Edge] = {}
        paths = list(retention.paths) + ([retention.cycle] if retention.cycle else [])
        target = 0
        for path in paths:
            target = path.steps[-1].address if path.steps else path.address
        self._target = target
        self._description = retention.target
        for path in paths:
            self._add_path(path)
        if not paths:
            self._node(target, "target", "", "", retention.target)

    def forget(self) -> None:
        """Leave no cycle of references behind."""
        for edge in self.edges:
            for node in (edge.source, edge.goal, *edge.passes):
                node.inward.clear()
                node.outward.clear()

    def _node(self, key: object, kind: str, title: str, detail: str, hint: str) -> _Node:
        node = self._by_key.get(key)
        if node is None:
            if key == self._target:
                kind, title, detail = "target", *_named(self._description)
                hint = self._description
            node = self._by_key[key] = _Node(kind, title, detail, hint)
            self.nodes.append(node)
        return node

    def _add_path(self, path: RetentionPath) -> None:
        from ._retention import fold

        if path.kind == "unseen":
            hidden = self._node(
                ("unseen", path.address), "unseen", "held where Python", "cannot look", ""
            )
            name = path.root.partition(" at 0x")[0].partition(" ")[2]
            title, detail = _named(path.type)
            node = self._node(path.address, "object", title, _clip(name, 34) or detail, path.root)
            self._edge(hidden, node, "", "", None)
        elif path.kind == "cycle":
            node = self._node(path.address, "object", *_named(path.type), path.root)
        else:
            node = self._node(path.address, "root", *_split_root(path), path.root)
        for step in fold(path):
            if isinstance(step, int):
                detail = f"{step:,} more objects"
                after = self._node(("gap", len(self.nodes)), "gap", "...", detail, detail)
                self._edge(node, after, "", "", None)
                node = after
                continue
            after = self._node(step.address, "object", *_lines(step), step.expression)
            self._edge(node, after, _label(step), step.expression, step)
            node = after

    def _edge(self, source: _Node, goal: _Node, label: str, hint: str, step: Step | None) -> None:
        key = (id(source), id(goal), label)
        edge = self._by_name.get(key)
        if edge is None:
            edge = self._by_name[key] = _Edge(source, goal, label, hint)
            edge.back = source is goal or _leads_to(goal, source)
            self.edges.append(edge)
            if not edge.back:
                source.outward.append(edge)
                goal.inward.append(edge)
        if step is not None and step.suspect and not edge.number:
            self.suspects.append(edge)
            edge.number = len(self.suspects)
            edge.advice = step.advice


def _leads_to(start: _Node, end: _Node) -> bool:
    waiting, seen = [start], {id(start)}
    while waiting:
        node = waiting.pop()
        if node is end:
            return True
        for edge in node.outward:
            if id(edge.goal) not in seen:
                seen.add(id(edge.goal))
                waiting.append(edge.goal)
    return False


def _lines(step: Step) -> tuple[str, str]:
    """What the box of an object says."""
    kind, space, name = step.detail.partition(" ")
    if kind == "class" and space:
        title, detail = _named(name)
        return title, f"class, {detail}" if detail else "class"
    title, detail = _named(step.type)
    return title, _clip(step.detail, 34) or detail


def _named(description: str) -> tuple[str, str]:
    """A class as two lines: its name, and its module or what else is said of the object."""
    head, _, text = description.partition(": ")
    name = head.partition(" at 0x")[0]
    if not name.replace(".", "").replace("<locals>", "").isidentifier():
        return _clip(description, 34), ""
    module, _, short = name.rpartition(".")
    outer, inner, last = name.rpartition("<locals>.")
    if inner:
        module, short = outer.rstrip("."), last
    return _clip(short, 34), _clip(text or module, 34)


def _split_root(path: RetentionPath) -> tuple[str, str]:
    kind, _, name = path.root.partition(" ")
    if path.kind == "module" and kind == "module":
        return _clip(name, 34), "module"
    function, at, place = path.root.partition(" at ")
    if at:
        return _clip(function, 34), _clip(place, 34)
    return _clip(path.root, 34), ""


def _label(step: Step) -> str:
    if step.name.startswith("<local "):
        return _clip(step.expression if step.expression.isidentifier() else step.name, 30)
    return _clip(step.name, 30)


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit * 2 // 3]}…{text[-limit // 3 + 1 :]}"


# --------------------------------------------------------------------------------- the layout

_HEIGHT = 46.0  # of a box
_BETWEEN = 64.0  # layers
_STUB = 28.0  # of an edge that goes far to the side: straight, for the label
_APART = 26.0  # boxes in a layer
_MARGIN = 24.0


class _Layout:
    """Where everything is: layers from above, and x of each node."""

    def __init__(self, graph: _Graph) -> None:
        self.graph = graph
        self._set_layers()
        self.layers = self._make_layers()
        for layer in self.layers:
            for node in layer:
                node.width = _width_of(node)
        self._order()
        self._place()

    def _set_layers(self) -> None:
        """Each as low as what it refers to lets it, so that edges are short."""
        order = _sorted_from_below(self.graph.nodes)
        for node in order:
            below = [edge.goal.layer for edge in node.outward]
            node.layer = min(below) - 1 if below else 0
        highest = min(node.layer for node in order)
        for node in order:
            node.layer -= highest

    def _make_layers(self) -> list[list[_Node]]:
        layers: list[list[_Node]] = [
            [] for _ in range(1 + max(node.layer for node in self.graph.nodes))
        ]
        for node in self.graph.nodes:
            layers[node.layer].append(node)
        for edge in self.graph.edges:
            if edge.back:
                continue
            for layer in range(edge.source.layer + 1, edge.goal.layer):
                node = _Node("pass", "", "", "")
                node.layer = layer
                if not edge.passes and _is_crowded(edge):
                    node.outward.append(edge)  # its label stands here
                edge.passes.append(node)
                layers[layer].append(node)
        return layers

    def _order(self) -> None:
        """Neighbours close to each other: by the mean place of those above, then of those below;
        the order with the fewest crossings stays."""
        links = [
            pair
            for edge in self.graph.edges
            if not edge.back
            for pair in pairwise([edge.source, *edge.passes, edge.goal])
        ]
        above: dict[int, list[_Node]] = {}
        below: dict[int, list[_Node]] = {}
        for one, other in links:
            above.setdefault(id(other), []).append(one)
            below.setdefault(id(one), []).append(other)
        self.above, self.below = above, below
        best = [list(layer) for layer in self.layers]
        fewest = self._crossings(links)
        for turn in range(8):
            if not fewest:
                break
            side, layers = (above, self.layers) if turn % 2 == 0 else (below, self.layers[::-1])
            for layer in layers:
                places = self._places()
                means = {
                    id(node): _mean([places[id(other)] for other in side.get(id(node), [node])])
                    for node in layer
                }
                layer.sort(key=lambda node: means[id(node)])
            crossings = self._crossings(links)
            if crossings < fewest:
                fewest, best = crossings, [list(layer) for layer in self.layers]
        self.layers = best

    def _places(self) -> dict[int, float]:
        return {
            id(node): place - (len(layer) - 1) / 2
            for layer in self.layers
            for place, node in enumerate(layer)
        }

    def _crossings(self, links: list[tuple[_Node, _Node]]) -> int:
        places = self._places()
        count = 0
        for at, (one, other) in enumerate(links):
            for third, fourth in links[at + 1 :]:
                if one.layer == third.layer:
                    left = places[id(one)] - places[id(third)]
                    right = places[id(other)] - places[id(fourth)]
                    count += left * right < 0
        return count

    def _place(self) -> None:
        for layer in self.layers:
            x = 0.0
            for node in layer:
                node.x = x + node.width / 2
                x += node.width + _APART
        for _ in range(8):
            for layer in self.layers:
                self._move(layer, self.above)
            for layer in reversed(self.layers):
                self._move(layer, self.below)
        left = min(node.x - node.width / 2 for layer in self.layers for node in layer)
        for layer in self.layers:
            for node in layer:
                node.x += _MARGIN - left
        for node in self.graph.nodes:
            self._set_ports(node)
        self.tops = [_MARGIN]
        for one, other in pairwise(range(len(self.layers))):
            bent = any(
                abs(x - goal_x) > _STUB
                for edge in self.graph.edges
                if not edge.back and edge.source.layer <= one and other <= edge.goal.layer
                for x, goal_x in [_sides(edge)[one - edge.source.layer]]
            )
            self.tops.append(self.tops[-1] + _HEIGHT + _BETWEEN + bent * _STUB)

    def _set_ports(self, node: _Node) -> None:
        """Where edges leave and enter a box, beside each other, in the order they come from."""
        inward = sorted(node.inward, key=lambda edge: [edge.source, *edge.passes][-1].x)
        outward = sorted(node.outward, key=lambda edge: [*edge.passes, edge.goal][0].x)
        room = _box_width(node) - 28
        for edge, at in zip(inward, _ports(room, len(inward)), strict=True):
            edge.enters = at
        for edge, at in zip(outward, _ports(room, len(outward)), strict=True):
            edge.leaves = at

    def _move(self, layer: list[_Node], neighbours: dict[int, list[_Node]]) -> None:
        """Each box of a layer towards the middle of its neighbours on one side."""
        wishes = [_mean([other.x for other in neighbours.get(id(node), [node])]) for node in layer]
        for node, x in zip(layer, _spread(layer, wishes), strict=True):
            node.x = x

    def top(self, node: _Node) -> float:
        return self.tops[node.layer]

    def is_bent(self, layer: int) -> bool:
        """Whether edges from this layer go far to the side."""
        return self.tops[layer + 1] - self.tops[layer] > _HEIGHT + _BETWEEN

    @property
    def width(self) -> float:
        ends = [node.x + node.width / 2 for layer in self.layers for node in layer]
        back = max((_text_width(edge.label, 12, True) + 70 for edge in self.graph.edges
                    if edge.back), default=0.0)  # fmt: skip
        return max(ends) + _MARGIN + back

    @property
    def height(self) -> float:
        return self.tops[-1] + _HEIGHT + _MARGIN


def _is_crowded(edge: _Edge) -> bool:
    """Whether both boxes have other edges at its side."""
    return len(edge.source.outward) > 1 and len(edge.goal.inward) > 1


def _sides(edge: _Edge) -> list[tuple[float, float]]:
    """From where to where an edge goes between layers, sideways."""
    stops = [edge.source.x + edge.leaves, *(node.x for node in edge.passes)]
    return list(pairwise([*stops, edge.goal.x + edge.enters]))


def _sorted_from_below(nodes: list[_Node]) -> list[_Node]:
    order: list[_Node] = []
    missing = {id(node): len(node.outward) for node in nodes}
    waiting = [node for node in nodes if not node.outward]
    while waiting:
        node = waiting.pop()
        order.append(node)
        for edge in node.inward:
            missing[id(edge.source)] -= 1
            if not missing[id(edge.source)]:
                waiting.append(edge.source)
    return order


def _spread(layer: list[_Node], wishes: list[float]) -> list[float]:
    """The places nearest to those that are wished for, by squares, in this order and apart.

    Without the distances it is a monotone regression, by pooling adjacent violators.
    """
    offsets = [0.0]
    for one, other in pairwise(layer):
        offsets.append(offsets[-1] + (one.width + other.width) / 2 + _APART)
    pools: list[tuple[float, int]] = []
    for wish, offset in zip(wishes, offsets, strict=True):
        mean, count = wish - offset, 1
        while pools and pools[-1][0] > mean:
            other_mean, other_count = pools.pop()
            mean = (mean * count + other_mean * other_count) / (count + other_count)
            count += other_count
        pools.append((mean, count))
    means = [mean for mean, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _ports(room: float, count: int) -> list[float]:
    gap = min(26.0, room / max(1, count - 1))
    return [gap * (at - (count - 1) / 2) for at in range(count)]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _text_width(text: str, size: float, mono: bool = False) -> float:
    """About how wide a text is, without a font at hand: rather too wide."""
    if mono:
        return 0.61 * size * len(text)
    return size * sum(
        0.32 if each in " .,:;'|!ijlft()[]" else 0.9 if each in "mwMW@%…" else
        0.7 if each.isupper() else 0.58
        for each in text
    )  # fmt: skip


def _box_width(node: _Node) -> float:
    return max(_text_width(node.title, 14.5), _text_width(node.detail, 11.5), 56.0) + 28


def _width_of(node: _Node) -> float:
    """How much room a box needs, with the label above or below that belongs to it alone."""
    if node.kind == "pass":
        return max([14.0, *(_label_width(edge) for edge in node.outward)])
    alone = [edges[0] for edges in (node.inward, node.outward) if len(edges) == 1]
    return max(_box_width(node), *(_label_width(edge) for edge in alone), 0.0)


def _label_width(edge: _Edge) -> float:
    """With the badge of a suspect, and as much on the other side."""
    return _text_width(edge.label, 12, True) + (48 if edge.number else 0)


# -------------------------------------------------------------------------------- the picture

_LIGHT = (
    "--bg:#fff;--box:#f6f8fa;--line:#c4cbd3;--edge:#8b949e;--text:#1f2328;--dim:#656d76;"
    "--root:#e7f1fe;--rootline:#6ea8ea;--goal:#e4f6e9;--goalline:#4ab06f;--cut:#cf222e;"
    "--cutbox:#fff1f0"
)
_DARK = (
    "--bg:#0f141a;--box:#1a2129;--line:#3d4650;--edge:#7d8791;--text:#e6edf3;--dim:#97a1ab;"
    "--root:#12273f;--rootline:#3b7dd8;--goal:#12301d;--goalline:#3fa765;--cut:#ff7b72;"
    "--cutbox:#331a1b"
)
_STYLE = (
    f".weakly{{{_LIGHT}}}"
    f"@media(prefers-color-scheme:dark){{.weakly{{{_DARK}}}}}"
    # Notebooks choose by themselves.
    f'[data-jp-theme-light="true"] .weakly{{{_LIGHT}}}'
    f'[data-jp-theme-light="false"] .weakly,.vscode-dark .weakly{{{_DARK}}}'
    ".weakly text{font:11.5px system-ui,-apple-system,'Segoe UI',Roboto,Ubuntu,sans-serif;"
    "fill:var(--dim)}"
    ".weakly .name{font-size:13.5px;font-weight:600;fill:var(--text)}"
    ".weakly .code{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',"
    "monospace;fill:var(--text)}"
    ".weakly .halo{paint-order:stroke;stroke:var(--bg);stroke-width:5px;stroke-linejoin:round}"
    ".weakly .cut{fill:var(--cut)}"
    ".weakly .number{fill:var(--bg);font-weight:700;font-size:11px}"
    ".weakly .advice{font-size:12.5px;fill:var(--text)}"
    ".weakly tspan{white-space:pre}"
)


def to_svg(retention: Retention) -> str:
    """The graph of the paths, as a picture of its own."""
    layout = _Layout(_Graph(retention))
    graph = layout.graph
    parts: list[str] = []
    for edge in graph.edges:
        parts += _draw_edge(layout, edge)
    for node in graph.nodes:
        parts += _draw_box(layout, node)
    for edge in graph.edges:
        parts += _draw_label(layout, edge)
    height, legend = layout.height, _draw_legend(layout)
    if legend:
        height += 26.0 * len(graph.suspects) + 6
    drawn = "".join(parts)
    width = max(layout.width, *(_advice_width(edge) for edge in graph.suspects), 240.0)
    graph.forget()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="weakly" role="img" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'style="max-width:100%;height:auto">'
        f"<title>{_escape(f'{retention.target}: {retention.verdict}')}</title>"
        f"<style>{_STYLE}</style>"
        f'<rect width="100%" height="100%" rx="10" fill="var(--bg)"/>'
        f"{drawn}{legend}</svg>"
    )


def _escape(text: str) -> str:
    """For XML, which knows no control characters."""
    return escape("".join(each if each.isprintable() else "\ufffd" for each in text))


def _draw_box(layout: _Layout, node: _Node) -> list[str]:
    fill, line = {
        "root": ("root", "rootline"), "target": ("goal", "goalline"), "unseen": ("bg", "dim"),
        "gap": ("bg", "line"),
    }.get(node.kind, ("box", "line"))  # fmt: skip
    dashed = ' stroke-dasharray="5 4"' if node.kind in ("unseen", "gap") else ""
    width = _box_width(node)
    x, top = node.x - width / 2, layout.top(node)
    parts = [
        f"<g><title>{_escape(node.hint)}</title>"
        f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{_HEIGHT:.0f}" rx="8" '
        f'fill="var(--{fill})" stroke="var(--{line})" stroke-width="1.4"{dashed}/>'
    ]
    middle = top + _HEIGHT / 2
    lines = [("name", node.title), ("", node.detail)] if node.detail else [("name", node.title)]
    for at, (style, text) in enumerate(lines):
        y = middle + 4.5 if len(lines) == 1 else middle - 4 + 17 * at
        parts.append(_text(node.x, y, text, style))
    return [*parts, "</g>"]


def _text(x: float, y: float, text: str, style: str, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">'
        f"{_escape(text)}</text>"
    )


_Curve = tuple[float, float, float, float]  # from x, y to x, y, and vertical at both ends


def _curves(layout: _Layout, edge: _Edge) -> list[_Curve]:
    """What an edge consists of; in between, and at the ends, it goes straight down."""
    start, end = _stub(layout, edge)
    curves: list[_Curve] = []
    nodes = [edge.source, *edge.passes, edge.goal]
    for (one, other), (x, goal_x) in zip(pairwise(nodes), _sides(edge), strict=True):
        y, goal_y = layout.top(one) + _HEIGHT, layout.top(other)
        if one is edge.source:
            y += start
        if other is edge.goal:
            goal_y -= max(end, 7)
        curves.append((x, y, goal_x, goal_y))
    return curves


def _stub(layout: _Layout, edge: _Edge) -> tuple[float, float]:
    """How far an edge goes straight at both ends, for the label: at that where it is alone."""
    if edge.passes and _is_crowded(edge):
        return 0, 0
    below = len(edge.goal.inward) == 1 or len(edge.source.outward) > 1
    if below and layout.is_bent(edge.goal.layer - 1):
        return 0, _STUB + 8
    if not below and layout.is_bent(edge.source.layer):
        return _STUB, 0
    return 0, 0


_BEND = 0.5


def _draw_edge(layout: _Layout, edge: _Edge) -> list[str]:
    if edge.back:
        return _draw_back(layout, edge)
    parts: list[str] = []
    top = layout.top(edge.goal)
    path = f"M{edge.source.x + edge.leaves:.1f},{layout.top(edge.source) + _HEIGHT:.1f}"
    for x, y, goal_x, goal_y in _curves(layout, edge):
        bend = (goal_y - y) * _BEND
        path += (
            f"L{x:.1f},{y:.1f}"
            f"C{x:.1f},{y + bend:.1f} {goal_x:.1f},{goal_y - bend:.1f} {goal_x:.1f},{goal_y:.1f}"
        )
    path += f"V{top - 7:.1f}"
    dashed = ' stroke-dasharray="5 4"' if edge.source.kind in ("unseen", "gap") else ""
    color, thick = ("cut", 2.4) if edge.number else ("edge", 1.5)
    parts.append(
        f'<path d="{path}" fill="none" stroke="var(--{color})" stroke-width="{thick}"{dashed}>'
        f"<title>{_escape(edge.hint)}</title></path>"
    )
    parts.append(_arrow(edge.goal.x + edge.enters, top, down=True, color=color))
    return parts


def _arrow(x: float, y: float, down: bool, color: str) -> str:
    """The head of an arrow that points down or to the left."""
    corners = (
        [(x, y - 0.5), (x - 4.8, y - 9), (x + 4.8, y - 9)]
        if down
        else [(x + 0.5, y), (x + 9, y - 4.8), (x + 9, y + 4.8)]
    )
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
    return f'<polygon points="{points}" fill="var(--{color})"/>'


def _back_place(layout: _Layout, edge: _Edge) -> tuple[float, float, float, float, float]:
    """Where an edge upwards leaves and enters, and how far to the right it goes."""
    source, goal = edge.source, edge.goal
    start, end = source.x + _box_width(source) / 2, goal.x + _box_width(goal) / 2
    from_y = layout.top(source) + _HEIGHT / 2 + (8 if source is goal else 0)
    to_y = layout.top(goal) + _HEIGHT / 2 - (8 if source is goal else 0)
    between = [
        node.x + node.width / 2
        for layer in layout.layers[goal.layer : source.layer + 1]
        for node in layer
    ]
    return start, from_y, end, to_y, max(between) + 26


def _draw_back(layout: _Layout, edge: _Edge) -> list[str]:
    start, from_y, end, to_y, far = _back_place(layout, edge)
    bend = min(22.0, abs(from_y - to_y) / 2)
    color = "cut" if edge.number else "edge"
    path = (
        f"M{start:.1f},{from_y:.1f}H{far - bend:.1f}Q{far:.1f},{from_y:.1f} {far:.1f},"
        f"{from_y - bend:.1f}V{to_y + bend:.1f}Q{far:.1f},{to_y:.1f} {far - bend:.1f},{to_y:.1f}"
        f"H{end + 7:.1f}"
    )
    return [
        f'<path d="{path}" fill="none" stroke="var(--{color})" stroke-width="1.5">'
        f"<title>{_escape(edge.hint)}</title></path>",
        _arrow(end, to_y, down=False, color=color),
    ]


def _draw_label(layout: _Layout, edge: _Edge) -> list[str]:
    if edge.back:
        _, from_y, _, to_y, far = _back_place(layout, edge)
        return [_text(far + 8, (from_y + to_y) / 2 + 4, edge.label, "code halo", "start")]
    if not edge.label and not edge.number:
        return []
    curves = _curves(layout, edge)
    start, end = _stub(layout, edge)
    if edge.passes and _is_crowded(edge):
        at, level = curves[0][2], curves[0][3] + _HEIGHT / 2 + 4
    elif start:
        at, level = curves[0][0], curves[0][1] - start / 2 + 6
    elif end:
        at, level = curves[-1][2], curves[-1][3] + (end - 7) / 2 + 1
    else:
        at, level = (curves[0][0] + curves[0][2]) / 2, (curves[0][1] + curves[0][3]) / 2 + 4
    parts = [_text(at, level, edge.label, f"code halo{' cut' if edge.number else ''}")]
    if edge.number:
        left = at - _text_width(edge.label, 12, True) / 2 - 14
        parts += _badge(left, level - 4, edge.number)
    return parts


def _badge(x: float, y: float, number: int) -> list[str]:
    return [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8.5" fill="var(--cut)" stroke="var(--bg)" '
        'stroke-width="2"/>',
        _text(x, y + 4, str(number), "number"),
    ]


def _phrases(advice: str) -> list[tuple[str, bool]]:
    """The parts of a sentence, and whether they are code, which is between backticks."""
    return [(part, at % 2 == 1) for at, part in enumerate(advice.split("`")) if part]


def _advice_width(edge: _Edge) -> float:
    text = sum(
        _text_width(part, 12 if code else 12.5, code) for part, code in _phrases(edge.advice)
    )
    return 2 * _MARGIN + 34 + text


def _draw_legend(layout: _Layout) -> str:
    """What would break each of the suspects."""
    parts: list[str] = []
    y = layout.height + 6
    for edge in layout.graph.suspects:
        parts += _badge(_MARGIN + 8, y, edge.number)
        phrases = "".join(
            f'<tspan class="{"code" if code else "advice"}">{_escape(part)}</tspan>'
            for part, code in _phrases(edge.advice)
        )
        parts.append(
            f'<text x="{_MARGIN + 26:.1f}" y="{y + 4:.1f}" xml:space="preserve">{phrases}</text>'
        )
        y += 26
    return "".join(parts)


# ----------------------------------------------------------------------------- pages and DOT

_PAGE_STYLE = (
    ".weakly-page{color-scheme:light dark;font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,"
    "Ubuntu,sans-serif}"
    ".weakly-page h1{font-size:1.25rem;margin:0 0 .3rem;overflow-wrap:anywhere}"
    ".weakly-page p{margin:.3rem 0 1rem}"
    ".weakly-page pre{overflow-x:auto;padding:1rem;border-radius:10px;border:1px solid #8884;"
    "font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}"
    ".weakly-page .picture{overflow-x:auto;border:1px solid #8884;border-radius:10px;"
    "padding:0;margin:0 0 1rem;width:fit-content;max-width:100%}"
    ".weakly-page .picture svg{display:block}"
    ".weakly-page summary{cursor:pointer}"
)


def to_fragment(retention: Retention) -> str:
    """The picture and the text, for a page of somebody else's."""
    return (
        f'<div class="weakly-page"><style>{_PAGE_STYLE}</style>'
        f"<h1>{_escape(retention.target)}</h1><p>{_escape(retention.verdict)}</p>"
        f'<div class="picture">{to_svg(retention)}</div>'
        f"<details><summary>As text</summary><pre>{escape(str(retention))}</pre></details></div>"
    )


def to_page(retention: Retention) -> str:
    """A page of its own, which loads nothing."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        f"<title>Why is {_escape(retention.target)} alive?</title>"
        "<style>body{margin:2rem auto;padding:0 1rem;max-width:70rem}</style></head>"
        f"<body>{to_fragment(retention).replace('<details>', '<details open>')}</body></html>"
    )


def to_dot(retention: Retention) -> str:
    """The graph of the paths, for Graphviz."""
    graph = _Graph(retention)
    names = {id(node): f"n{at}" for at, node in enumerate(graph.nodes)}
    lines = ["digraph retention {", '    node [shape=box, style=rounded, fontname="sans-serif"];']
    for node in graph.nodes:
        label = "\\n".join(_quoted(text) for text in (node.title, node.detail) if text)
        more = ', style="rounded,bold"' if node.kind in ("root", "target") else ""
        more = ', style="rounded,dashed"' if node.kind in ("unseen", "gap") else more
        lines.append(
            f'    {names[id(node)]} [label="{label}", tooltip="{_quoted(node.hint)}"{more}];'
        )
    for edge in graph.edges:
        more = ", color=red, fontcolor=red, penwidth=2" if edge.number else ""
        lines.append(
            f"    {names[id(edge.source)]} -> {names[id(edge.goal)]} "
            f'[label="{_quoted(edge.label)}", tooltip="{_quoted(edge.hint)}"{more}];'
        )
    graph.forget()
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    """Within the quotes of DOT."""
    text = "".join(each if each.isprintable() else "\ufffd" for each in text)
    return text.replace("\\", "\\\\").replace('"', '\\"')
