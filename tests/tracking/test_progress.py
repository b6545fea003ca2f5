"""What takes long says how far it is: on standard error, on one line, which goes at the end."""

from __future__ import annotations

import gc
import os
from time import monotonic
from typing import Any

import pytest
from support import PYPY, Thing

import weakly
from weakly._progress import Progress, is_wanted


def steps(capfd: Any) -> list[str]:
    """What the line on standard error was, one after the other. It ends as it was."""
    out, err = capfd.readouterr()
    assert out == ""
    assert "\n" not in err
    lines = [line for line in err.split("\r") if line]
    assert all(len(lines[-1]) >= len(line) for line in lines)
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize("seconds", [0, 2])
@pytest.mark.parametrize("wish", [False, True])
def test_only_what_takes_long_is_shown(wish: bool, seconds: float, capfd: Any) -> None:
    progress = Progress(wish)
    progress._next -= seconds
    progress.show("the first")
    progress.show("not so soon")
    progress.clear()
    progress.clear()
    assert steps(capfd) == (["weakly: the first", ""] if wish and seconds else [])


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_a_terminal_shows_it() -> None:
    try:
        ends = os.openpty()
    except OSError:
        pytest.skip("there are no terminals")
    stderr = os.dup(2)
    try:
        os.dup2(ends[1], 2)
        on_terminal = is_wanted(None)
        os.close(2)
        closed = is_wanted(None)
        progress = Progress(True)
        progress._next -= 2
        progress.show("what nobody can see")
    finally:
        os.dup2(stderr, 2)
        for end in (stderr, *ends):
            os.close(end)
    assert on_terminal
    assert not closed


@pytest.mark.skipif(PYPY, reason="takes long there")
def test_a_large_heap(capfd: Any) -> None:
    gc.disable()  # it would go over all of it again and again
    held: list[Any] = []
    shown: list[str] = []
    while not shown:
        held += [[] for _ in range(max(1_000_000, len(held)))]
        start = monotonic()
        weakly.heap(progress=True)
        seconds = monotonic() - start
        shown = steps(capfd)
        assert seconds > 1 if shown else seconds < 5
    assert shown.pop() == ""
    assert all(line.startswith("weakly: ") and " objects" in line for line in shown)


@pytest.mark.skipif(PYPY, reason="takes long there")
def test_many_questions(capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = weakly.Tracker()
    things = [Thing() for _ in range(3)]
    for thing in things[1:]:
        tracker.watch(thing, "thing")
    monkeypatch.setattr(Progress, "_patience", -1.0)
    monkeypatch.setattr(Progress, "_pause", 0.0)
    tracker.watch(things[0], "a\nname\x1b[1m")
    tracker.report(why=2, progress=True)
    assert steps(capfd) == [
        "weakly: 1 of 2: why is thing alive?",
        "weakly: 2 of 2: why is thing alive?",
        "weakly: 1 of 1: why is a\ufffdname\ufffd[1m alive?",
        "",
    ]
