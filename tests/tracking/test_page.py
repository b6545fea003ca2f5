"""The page of `python -m weakly leaks`: what is in it, and how it is in a real browser."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import browser
import pytest
from programs import EXAMPLES, python
from support import PYPY

from weakly.tracking import _page

BROWSER = browser.find()
needs_browser = [
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium"),
    pytest.mark.skipif(os.name != "posix", reason="it is driven over pipes of POSIX"),
]
pytestmark = [
    pytest.mark.skipif(find_spec("sqlite3") is None, reason="there is no sqlite3"),
    pytest.mark.skipif(PYPY, reason="the tool takes long there; and the page is the same"),
]

NASTY = "</script><img src='http://weakly.invalid/x' onerror='document.title=1'>&amp;\u2028\ud800"


REQUESTS = 300  # so many that the classes are known before most of them


def leaks(folder: Path, program: Path, *options: str) -> Path:
    page = folder / "leaks.html"
    process = python("-m", "weakly", "leaks", *options, "--report", page, program, REQUESTS)
    assert process.returncode == 0, process.stderr
    return page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of the example with the five leaks."""
    folder = tmp_path_factory.mktemp("page")
    return leaks(folder, EXAMPLES / "leaky_app.py", "--watch", "leaky_app.*", "--sites")


@pytest.fixture(scope="module")
def nasty_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a program whose names are made to break a page."""
    folder = tmp_path_factory.mktemp("nasty")
    program = folder / "program.py"
    program.write_text(
        f"name = {NASTY!r}\n"
        "cls = type(name.replace('\\ud800', ''), (), {'__repr__': lambda self: name})\n"
        "kept = {name + str(number): cls() for number in range(3)}\n",
        encoding="ascii",
        errors="backslashreplace",
    )
    return leaks(folder, program, "--watch", "__main__.*")


# ---------------------------------------------------------------------------- as a file


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a page that is only a word."""
    monkeypatch.setattr(_page, "render", lambda _: "new")
    return lambda path: _page.write(cast(Any, None), str(path))


def test_a_link_stays_a_link_and_who_reads_the_old_page_reads_on(write, tmp_path):
    old, link = tmp_path / "old.html", tmp_path / "link.html"
    old.write_text("old")
    old.chmod(0o640)
    link.symlink_to(old)
    with open(old) as reader:
        write(link)
        assert reader.read() == "old"
    assert link.is_symlink()
    assert old.read_text() == "new"
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert {*os.listdir(tmp_path)} == {"old.html", "link.html"}


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_pipe_stays_a_pipe(write, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write(pipe)
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_link_that_somebody_has_put_there_is_not_followed(write, tmp_path):
    """Its name can be guessed, in a folder that all can write to."""
    other = tmp_path / "other"
    other.write_text("untouched")
    (tmp_path / f"page.html.{os.getpid()}").symlink_to(other)
    with pytest.raises(FileExistsError):
        write(tmp_path / "page.html")
    assert other.read_text() == "untouched"


class Elements(HTMLParser):
    """The elements of a page, with their attributes; all must be closed in order."""

    VOID = frozenset({"meta", "link", "input", "br", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("which", ["page", "nasty_page"])
def test_the_page_needs_nothing_but_itself(which, request):
    path: Path = request.getfixturevalue(which)
    assert {*os.listdir(path.parent)} <= {"leaks.html", "program.py"}
    text = path.read_text(encoding="utf-8")
    elements = Elements(text).found
    for tag, attributes in elements:
        for name in {"src", "href", "action", "data", "poster", "srcset"} & attributes.keys():
            value = attributes[name] or ""
            assert value.startswith("#") or value == "data:,", (tag, name, value)
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
    assert not re.search(r"url\(|@import", text)
    policy = next(each["content"] or "" for _, each in elements if "http-equiv" in each)
    assert "default-src 'none'" in policy
    (script,) = re.findall("<script>(.*?)</script>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert not [tag for tag, _ in elements if tag == "img"]


def test_the_data_are_the_samples(page):
    (data,) = re.findall(
        '<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8")
    )
    found = json.loads(data)
    count = len(found["seconds"])
    assert count >= 2
    assert found["seconds"] == sorted(found["seconds"])
    assert len(found["objects"]) == len(found["resident"]) == count
    series = {each["name"]: each["counts"] for each in found["series"]}
    assert all(len(counts) == count for counts in series.values())
    assert series["__main__.Invoice"][0] == 0
    assert series["__main__.Invoice"][-1] == REQUESTS


# -------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Tab]:
    assert BROWSER is not None
    with browser.browse(BROWSER, tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(chromium: browser.Tab, page: Path) -> Iterator[browser.Tab]:
    """The page, just opened; it must ask for nothing and complain of nothing."""
    chromium.requests.clear()
    chromium.complaints.clear()
    chromium.resize(1200, 900)
    chromium.colour_scheme("light")
    chromium.open(page)
    yield chromium
    chromium.evaluate("new Promise(requestAnimationFrame)")
    assert chromium.requests == [page.resolve().as_uri()]
    assert chromium.complaints == []


LEAKS = """
    [...document.querySelectorAll('details.leak')].filter(leak => !leak.hidden)
    .map(leak => leak.querySelector('h3').textContent.replace('__main__.', ''))
"""
OPEN = LEAKS.replace("!leak.hidden", "!leak.hidden && leak.open")
ROWS = """
    [...document.querySelectorAll('#classes tbody tr')].filter(row => !row.hidden)
    .map(row => row.cells[0].textContent)
"""


class TestInABrowser:
    pytestmark = needs_browser

    def test_shows(self, tab):
        assert re.fullmatch("[45] classes leak: [0-9,]+ objects are alive", text(tab, "h1"))
        assert {"Invoice", "Display", "Order", "Request", "Prices"} <= set(tab.evaluate(LEAKS))
        assert "serve() at leaky_app.py" in text(tab, "#leaks")
        legend = tab.evaluate(
            "[...document.querySelectorAll('.legend button')].map(b => b.textContent)"
        )
        assert f"__main__.Invoice {REQUESTS}" in legend
        assert tab.evaluate("document.querySelectorAll('.series').length") >= len(legend)
        height = "document.querySelector('#chart svg').getBoundingClientRect().height"
        assert tab.evaluate(height) > 100
        assert "__main__.Invoice" in tab.evaluate(ROWS)
        assert tab.evaluate("document.querySelectorAll('#objects tbody tr').length") > 5

    def test_unfolds_by_mouse_and_keyboard_down_to_the_picture(self, tab):
        first, second, *_ = tab.evaluate(LEAKS)
        assert tab.evaluate(OPEN) == [first]
        tab.evaluate("document.querySelectorAll('.leak > summary')[1].focus()")
        tab.press("Enter", 13, "\r")
        assert tab.evaluate(OPEN) == [first, second]
        picture = "document.querySelectorAll('.leak')[1].querySelector('.picture')"
        svg = f"{picture}.shadowRoot.querySelector('svg')"
        assert tab.evaluate(f"{svg}.checkVisibility()") is False
        tab.evaluate(f"{picture}.closest('details').querySelector('summary').click()")
        assert tab.evaluate(f"{svg}.checkVisibility()") is True
        assert tab.evaluate(f"{svg}.getBoundingClientRect().height") > 50
        assert second in tab.evaluate(f"{svg}.textContent")
        tab.evaluate("document.getElementById('unfold').click()")
        assert tab.evaluate(OPEN) == tab.evaluate(LEAKS)
        tab.evaluate("new Promise(done => setTimeout(done))")  # the toggles come later
        assert text(tab, "#unfold") == "Fold all"

    def test_searches(self, tab):
        everything = tab.evaluate(LEAKS), tab.evaluate(ROWS)
        opened = tab.evaluate(OPEN)
        tab.press("/", 191, "/")
        assert tab.evaluate("document.activeElement.id") == "search"
        tab.type("LISTENERS display")
        assert tab.evaluate(LEAKS) == ["Display"] == tab.evaluate(OPEN)
        assert tab.evaluate(ROWS) == []
        assert "No class matches." in text(tab, "#classes")
        assert re.fullmatch("[0-9]+ found", text(tab, "#found"))
        assert tab.evaluate("CSS.highlights.get('found').size") > 2
        tab.press("Escape", 27)
        assert (tab.evaluate(LEAKS), tab.evaluate(ROWS)) == everything
        assert tab.evaluate(OPEN) == opened
        assert text(tab, "#found") == ""

    def test_the_programs_own_classes(self, tab):
        tab.evaluate("document.getElementById('own').click()")
        rows = tab.evaluate(ROWS)
        assert "__main__.Invoice" in rows
        assert all(row.startswith("__main__.") for row in rows)
        tab.press("/", 191, "/")
        tab.type("invoice")
        assert tab.evaluate(ROWS) == ["__main__.Invoice"]

    def test_sorts(self, tab):
        rows = "[...document.querySelectorAll('#classes tbody tr')]"
        column = f"{rows}.map(row => +row.cells[1].dataset.value)"
        head = "document.querySelectorAll('#classes th')[1]"
        for backwards, order in ((True, "descending"), (False, "ascending")):
            tab.evaluate(f"{head}.querySelector('button').click()")
            values = tab.evaluate(column)
            assert values == sorted(values, reverse=backwards)
            assert tab.evaluate(f"{head}.getAttribute('aria-sort')") == order
        tab.evaluate("document.querySelector('#classes th button').click()")
        names = [name.lower() for name in tab.evaluate(ROWS)]
        assert names.index("function") < names.index("list") < names.index("tuple")

    def test_the_chart_is_used_by_keyboard(self, tab):
        legend = "document.querySelectorAll('.legend button')[0]"
        lines = "document.querySelectorAll('.series').length"
        before = tab.evaluate(lines)
        tab.evaluate(f"{legend}.focus()")
        tab.press(" ", 32, " ")
        assert tab.evaluate(f"{legend}.getAttribute('aria-pressed')") == "false"
        assert tab.evaluate(lines) == before - 1
        tab.evaluate("document.querySelector('#chart input').focus()")
        tab.press("Home", 36)
        assert text(tab, ".legend output") == "0"
        assert re.match(r"after 0(\.0\d*)? s: ", text(tab, ".readout"))
        tab.press("End", 35)
        assert text(tab, ".legend output") != "0"

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_is_readable_in_light_and_dark(self, tab, scheme):
        tab.colour_scheme(scheme)
        colours = tab.evaluate("""
            (() => {
              const style = getComputedStyle(document.documentElement), found = {};
              for (const name of ['ground', 'card', 'ink', 'soft', 'accent', 'warn', 'warn-ground'])
                found[name] = style.getPropertyValue('--' + name).trim();
              return found;
            })()
        """)
        for name in ("ink", "soft", "accent", "warn"):
            for ground in ("ground", "card"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        assert contrast(colours["warn"], colours["warn-ground"]) >= 4.5
        is_dark = luminance(colours["ground"]) < 0.2
        assert is_dark == (scheme == "dark")

    @pytest.mark.parametrize("width", [320, 600, 1000])
    def test_fits_the_width(self, tab, width):
        tab.resize(width, 800)
        tab.evaluate("document.getElementById('unfold').click()")
        tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert tab.evaluate("document.documentElement.scrollWidth") == width

    def test_names_cannot_break_it(self, chromium, nasty_page):
        chromium.requests.clear()
        chromium.complaints.clear()
        chromium.open(nasty_page)
        assert chromium.evaluate("document.images.length") == 0
        assert "<img" in text(chromium, ".leak h3")
        chromium.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert chromium.evaluate("document.title").startswith("weakly leaks: ")
        assert text(chromium, ".legend output") == "3"
        assert chromium.requests == [nasty_page.resolve().as_uri()]
        assert chromium.complaints == []

    def test_of_a_program_without_leaks(self, chromium, tmp_path):
        program = tmp_path / "program.py"
        program.write_text("print('fine')")
        chromium.complaints.clear()
        chromium.open(leaks(tmp_path, program))
        assert text(chromium, "h1") == "Nothing leaks of what was watched."
        assert "Nothing of what was watched is alive." in text(chromium, "#leaks")
        assert chromium.evaluate("document.getElementById('unfold').hidden")
        assert "No objects of these classes were seen." in text(chromium, "#chart")
        chromium.press("/", 191, "/")
        chromium.type("nothing like this")
        assert text(chromium, "#found") == "0 found"
        assert chromium.complaints == []

    def test_could_ask_for_nothing_if_it_wanted(self, chromium, page):
        chromium.open(page)
        asked = chromium.evaluate(
            "fetch('http://127.0.0.1:9/').then(() => 'answered', error => String(error))"
        )
        assert "Failed to fetch" in asked
        assert any("Content Security Policy" in each for each in chromium.complaints)


def text(tab: browser.Tab, selector: str) -> Any:
    return tab.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def luminance(colour: str) -> float:
    """By the definition of the Web Content Accessibility Guidelines."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)
