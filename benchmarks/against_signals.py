"""weakly's signals beside those of other packages:

    python -m benchmarks.against_signals

`psygnal`, `blinker` and `PyDispatcher` (the dependency group "rivals") are not needed for anything
else here: those that are missing are left out. Each is used as its documentation says, and
delivers one number to listeners that do nothing with it. A round times each side once, in random
order, as the other benchmarks do (worker.py).
"""

import gc
import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from time import thread_time
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

import weakly
from benchmarks.report import quantity, ratio

EMISSIONS = {1: 2_000, 10: 500, 1_000: 5}
"""How often to emit in a round, by the number of listeners."""
OTHERS = (0, 1_000)
"""How many listeners there are besides the one that is connected and disconnected."""
CONNECTIONS = 100
"""How many are connected and disconnected in a round, one after the other."""
ROUNDS = 25

Run = Callable[[], float]
"""Does something some times; returns the seconds of one time."""


@dataclass(frozen=True)
class Package:
    """How a package spells what is measured; each line is run as it stands."""

    name: str
    module: str
    setup: str
    """Makes a signal, and what can listen: a class Listener with `hear`, `new_function()`."""
    emit: str
    connect: str
    disconnect: str
    least_gain: float
    """How many times as fast as this package weakly has to be."""

    @property
    def title(self) -> str:
        """The name, with the version and how it was built where that is known."""
        try:
            title = f"{self.name} {version(self.name)}"
        except PackageNotFoundError:
            title = f"{self.name} {weakly.__version__}"
        is_psygnal = self.name == "psygnal" and find_spec("psygnal") is not None
        found = find_spec("psygnal._signal") if is_psygnal else None
        compiled = found is not None and not str(found.origin).endswith(".py")
        return f"{title} (compiled)" if compiled else title


_HEAR = """
class Listener:
    def hear(self, value): return None
def new_function():
    def hear(value): return None
    return hear
"""

PACKAGES = (
    Package(
        "psygnal",
        "psygnal",
        "from psygnal import Signal\nclass Source:\n    changed = Signal(int)\nsource = Source()\n"
        + _HEAR,
        "source.changed.emit(1)",
        "source.changed.connect(listener)",
        "source.changed.disconnect(listener)",
        1.0,
    ),
    Package(
        "blinker",
        "blinker",
        "from blinker import Signal\nclass Source:\n    changed = Signal()\nsource = Source()\n"
        + _HEAR.replace("value", "sender, value"),
        "source.changed.send(source, value=1)",
        "source.changed.connect(listener)",
        "source.changed.disconnect(listener)",
        3.0,
    ),
    Package(
        "PyDispatcher",
        "pydispatch",
        "from pydispatch import dispatcher\nclass Source:\n    pass\nsource = Source()\n"
        "changed = object()\n" + _HEAR,
        "dispatcher.send(signal=changed, sender=source, value=1)",
        "dispatcher.connect(listener, signal=changed, sender=dispatcher.Any)",
        "dispatcher.disconnect(listener, signal=changed, sender=dispatcher.Any)",
        1.0,
    ),
    Package(
        "weakly",
        "weakly",
        "from weakly import Signal\nclass Source:\n    changed = Signal[int]()\n"
        "source = Source()\n" + _HEAR,
        "source.changed.emit(1)",
        "source.changed.connect(listener)",
        "source.changed.disconnect(listener)",
        0.0,
    ),
)
"""weakly's is the last."""

LISTENERS = {"methods": "Listener().hear", "functions": "new_function()"}
"""What makes a listener, by what the rows call it."""

PLAIN_CALL = "the method itself"
LEAST_GAINS = {
    **{package.title: package.least_gain for package in PACKAGES},
    PLAIN_CALL: 1 / 3,
}


def _timed(setup: str, loop: str, body: str, each: int) -> Run:
    """The run that times `body` in a loop, `each` times; code of its own for each side."""
    lines = [
        "def run():",
        "    start = clock()",
        f"    {loop}:",
        *(f"        {line}" for line in body.splitlines()),
        "    return clock() - start",
    ]
    scope: dict[str, Any] = {"clock": thread_time}
    exec("\n".join((setup, *lines)), scope)
    run: Run = scope["run"]
    return lambda: run() / each


def emissions(package: Package, kind: str, listeners: int) -> Run:
    setup = (
        f"{package.setup}\nheld = [{LISTENERS[kind]} for _ in range({listeners})]\n"
        f"for listener in held: {package.connect}"
    )
    times = EMISSIONS[listeners]
    return _timed(setup, f"for _ in range({times})", package.emit, times)


def connections(package: Package, kind: str, others: int) -> Run:
    setup = (
        f"{package.setup}\nheld = [{LISTENERS[kind]} for _ in range({others})]\n"
        f"for listener in held: {package.connect}\n"
        f"new = [{LISTENERS[kind]} for _ in range({CONNECTIONS})]"
    )
    both = f"{package.connect}\n{package.disconnect}"
    return _timed(setup, "for listener in new", both, CONNECTIONS)


def calls() -> dict[str, Run]:
    """Of the methods of some objects: called as they are, and through a WeakCallable."""
    setup = (
        f"from weakly import WeakCallable\n{_HEAR}\n"
        "objects = [Listener() for _ in range(1_000)]\n"
        "weak = [WeakCallable(obj.hear) for obj in objects]"
    )
    return {
        PLAIN_CALL: _timed(setup, "for obj in objects", "obj.hear(1)", 1_000),
        "weakly.WeakCallable": _timed(setup, "for hear in weak", "hear(1)", 1_000),
    }


def sides() -> dict[str, dict[str, Run]]:
    """Of each row, the sides whose packages are here; weakly's is the last."""
    here = [package for package in PACKAGES if find_spec(package.module)]
    rows: dict[str, dict[str, Run]] = {}
    for kind in LISTENERS:
        for listeners in EMISSIONS:
            rows[f"emit, {kind}: {listeners:,}"] = {
                package.title: emissions(package, kind, listeners) for package in here
            }
    for kind in LISTENERS:
        for others in OTHERS:
            rows[f"connect, disconnect, {kind}: 1 beside {others:,}"] = {
                package.title: connections(package, kind, others) for package in here
            }
    rows["call of a method"] = calls()
    return rows


def measure(runs: dict[str, Run]) -> dict[str, list[float]]:
    """Seconds, by side and round."""
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name in random.sample(list(runs), len(runs)):
            seconds[name].append(runs[name]())
    return seconds


def main() -> int:
    """Prints the table; fails if a limit is missed."""
    title = f"Signals, weakly {weakly.__version__} ({weakly.implementation})"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("what", "with", "once", "weakly is faster by", "limit"):
        left = name in ("what", "with")
        table.add_column(name, justify="left" if left else "right", no_wrap=left)
    kept = True
    gc.disable()
    for row, runs in sides().items():
        seconds = measure(runs)
        ours = seconds[next(reversed(runs))]
        for name, theirs in seconds.items():
            gain = statistics.median(one / other for one, other in zip(theirs, ours, strict=True))
            limit = LEAST_GAINS.get(name, 0)
            kept = kept and gain >= limit
            style = "" if gain >= limit else "[red]"
            shown = "" if theirs is ours else style + ratio(gain)
            once = quantity(statistics.median(theirs), "second")
            table.add_row(row, name, once, shown, f"{limit:.2f}" if limit else "")
    Console(width=120).print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
