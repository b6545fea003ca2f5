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

CLEAR = "\r\x1b[K"


@pytest.mark.parametrize("seconds", [0, 2])
@pytest.mark.parametrize("wish", [False, True])
def test_only_what_takes_long_is_shown(wish: bool, seconds: float, capfd: Any) -> None:
    progress = Progress(wish)
    progress._next -= seconds
    progress.show("the first")
    progress.show("not so soon")
    progress.clear()
    progress.clear()
    shown = f"{CLEAR}weakly: the first{CLEAR}" if wish and seconds else ""
    assert capfd.readouterr() == ("", shown)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_a_terminal_shows_it() -> None:
    stderr = os.dup(2)
    ends = os.openpty()
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
    shown = ""
    while not shown:
        held += [[] for _ in range(max(1_000_000, len(held)))]
        start = monotonic()
        weakly.heap(progress=True)
        seconds = monotonic() - start
        shown = capfd.readouterr().err
        assert seconds > 1 if shown else seconds < 5
    lines = shown.split(CLEAR)
    assert lines[0] == lines[-1] == ""
    assert all(line.startswith("weakly: ") and " objects" in line for line in lines[1:-1])


@pytest.mark.skipif(PYPY, reason="takes long there")
def test_many_questions(capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = weakly.Tracker()
    things = [Thing() for _ in range(3)]
    for thing in things:
        tracker.watch(thing, "thing")
    monkeypatch.setattr(Progress, "_patience", -1.0)
    tracker.report(why=2, progress=True)
    assert "weakly: why is thing alive? 1 of 2" in capfd.readouterr().err
