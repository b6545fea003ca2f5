"""The tour: its scenes say what they promise, and it fits wherever it is printed."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from types import ModuleType

import pytest
from programs import EXAMPLES, output, python
from support import C_CORE, PYPY

import weakly

needs_rich = pytest.mark.skipif(find_spec("rich") is None, reason="rich is not installed")

SCENES = [
    ["Alice", "None"],
    ["Alice", "None"],
    ["Alice", "ReferenceError: weakly-referenced object no longer exists"],
    ["Alice is gone"],
    ["3 2", "5 1"],
    ["Alice is one of 3", "Carol is one of 2"],
    ["True", "closing Alice's files", "False"],
    [
        "1000 of 1000 instances leak with lru_cache",
        "0 of 1000 instances leak with cached_method",
        "0 users in WeakValueDictionary, 2 in WeakCache",
    ],
    [
        "1000 of 1000 labels leak in a list of callbacks",
        "0 of 1000 labels leak in a Signal",
        "clicked by Alice",
        "to be closed: the files of Alice",
    ],
    *([["1000 of 1000 users leak in weakref", "0 of 1000 users leak in weakly"]] * C_CORE),
    [
        "20",
        "tour.Invoice at 0x",
        "Kept alive by 1 chain of references. Without the marked reference it would go.",
        "",
        "1. module tour",
        "   └ tour.Invoice                                    class tour.Invoice",
        "     └ tour.Invoice.total                            functools._lru_cache_wrapper",
        " ▶     └ gc.get_referents(tour.Invoice.total)[1][0]  tour.Invoice",
        "         'self' of a call that the lru_cache of Invoice.total() remembers",
        "         ⤷ `tour.Invoice.total.cache_clear()`, or weakly.cached_method, "
        "which keeps no arguments",
        "",
        "objects and references",
    ],
]
if PYPY:
    del SCENES[-1][2:-1]

WORKS = [
    "table[key]",
    "key in table",
    "item in set",
    'cache["name"]',
    "for key in table",
    "fill table, drop it",
    "fill cache, drop it",
    "table.copy()",
    "finalize, detach",
    "cached(argument)",
    "obj.cached_method()",
]


def tour(seconds: float = 0, **environment: str) -> str:
    return output(python("-m", "weakly", "tour", "--seconds", seconds, **environment))


def as_recorded(text: str) -> list[str]:
    """Without what is not the same on each machine."""
    text = text.replace("weakly referenced object", "weakly-referenced object")  # PyPy's words
    text = re.sub(r"at 0x[0-9a-f]+", "at 0x", text)
    text = re.sub(r"[0-9,]+ objects and [0-9,]+ references.*", "objects and references", text)
    if PYPY:  # where lru_cache is written in Python, and has other parts
        text = re.sub(r"(?s)(at 0x\n).*(objects and references)", r"\1\2", text)
    return text.splitlines()


@needs_rich
def test_scenes_show_what_they_promise(monkeypatch):
    from weakly import _tour

    module = ModuleType("tour")
    monkeypatch.setitem(sys.modules, "tour", module)
    assert len(_tour.SCENES) == len(SCENES)
    count = -1 if PYPY else None  # there, a test's heap takes the last too long
    for scene, expected in zip(_tour.SCENES[:count], SCENES[:count], strict=True):
        pieces = list(_tour.play(scene.source, vars(module)))
        printed = "".join(printed for _, printed in pieces)
        assert as_recorded(printed) == expected
        shown = "\n".join(source for source, _ in pieces)
        assert lines_of_all(shown) == lines_of_all(scene.source)


@needs_rich
def test_the_leak_is_one_of_the_example():
    from weakly import _tour

    source = _tour.SCENES[-1].source
    cls = source[source.index("class Invoice") : source.index("\ninvoice =")]
    assert "lru_cache" in cls
    assert cls in (EXAMPLES / "leaky_app.py").read_text(encoding="utf-8")


def lines_of_all(source: str) -> list[str]:
    """Without what is put in where nothing dies before a collection."""
    put_in = r" *(import gc|gc.collect\(\))"
    return [line for line in source.splitlines() if not re.fullmatch(put_in, line)]


@needs_rich
def test_output_stands_below_what_printed_it():
    text = tour(COLUMNS="150")
    assert "    print(reference().name)\n    → Alice\n" in text
    assert "    print(reference())\n    → None\n" in text
    assert "    print(users.get(17))\n    → None\n" in text
    printed = [line[6:].rstrip() for line in text.splitlines() if line.startswith("    → ")]
    assert as_recorded("\n".join(printed)) == [line for scene in SCENES for line in scene]


@needs_rich
def test_timings_are_a_table():
    text = tour(0.05)
    core = "C core" if weakly.implementation == "c" else "Python tables"
    assert text.startswith(f"weakly {weakly.__version__} ({core}, ")
    for label in WORKS:
        (row,) = [line for line in text.splitlines() if line.strip().startswith(label)]
        assert len(re.findall(r"[\d.]+x faster|[\d.]+x slower|equal", row)) in (1, 2)
    assert ("The C core is not there" in text) == (weakly.implementation == "python")


@needs_rich
def test_no_seconds_no_timings():
    assert "How fast is it?" not in tour(0)


@needs_rich
@pytest.mark.parametrize("columns", [40, 60, 80, 140])
def test_fits_the_width(columns):
    text = tour(0.02, COLUMNS=str(columns))
    assert max(map(len, text.splitlines())) <= columns
    assert not re.search(r"\w…", text)  # what is cut; expressions are shortened otherwise
    assert all(label in text for label in WORKS) or columns < 60
    assert ("dict/set   stdlib" in re.sub(" +", "   ", text)) == (columns >= 80)


@needs_rich
def test_no_escape_codes_where_the_output_is_no_terminal():
    assert "\x1b" not in tour(0.02)


@needs_rich
def test_colour_and_progress_on_a_terminal():
    text = tour(0.02, FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[1;36m1. A reference" in text
    assert "━" in text


@needs_rich
def test_no_color_is_respected():
    text = tour(0.02, FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color")
    assert re.findall(r"\x1b\[[\d;]*?(?:3\d|4\d|9\d)[\d;]*m", text) == []


@needs_rich
def test_ascii_terminal():
    text = tour(0.02, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert text.isascii()
    assert "    > Alice\n" in text


@needs_rich
def test_the_standard_library_is_timed_even_where_weakly_is_installed():
    program = """
import weakref
real = {name: getattr(weakref, name) for name in dir(weakref)}
import weakly
weakly.install()
from weakly import _tour

built = []
def spy(table_type):
    built.append(table_type)
    return lambda: 0.0
for name in ("look_up", "contains", "look_up_name", "iterate", "fill", "fill_names", "copy",
             "die", "finalizers"):
    setattr(_tour, name, spy)
_tour.works()
for name in ("WeakKeyDictionary", "WeakValueDictionary", "WeakSet", "finalize"):
    assert real[name] in built and getattr(weakly, name) in built, name
"""
    assert output(python("-c", program)) == ""


@needs_rich
@pytest.mark.parametrize(
    ("of_other", "words"),
    [(0.25, "4.0x faster"), (0.96, "equal"), (1.0, "equal"), (1.04, "equal"), (16.2, "16x slower")],
)
def test_ratio_in_words(of_other, words):
    from weakly import _tour

    assert _tour.ratio(of_other).plain == words


def test_without_rich_it_says_what_to_install():
    program = (
        "import runpy, sys; sys.modules['rich'] = None; sys.argv[1:] = ['tour']; "
        "runpy.run_module('weakly', run_name='__main__')"
    )
    process = python("-c", program)
    assert process.returncode == 1
    assert process.stderr == (
        "The tour is drawn with rich, which is not installed: pip install 'weakly[tour]'\n"
    )
