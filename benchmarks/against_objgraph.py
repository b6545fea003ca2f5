"""`why_alive()` beside objgraph's search for the same answer:

    python -m benchmarks.against_objgraph [objects]

`objgraph` (the dependency group "rivals") is not needed for anything else here. Both look for the
chain of references from a module to one of a million objects (benchmarks/heap.py); a round does
each once. objgraph goes back from the object and looks through the whole heap for each object
that it comes to. So what it takes depends on how many refer to those on the way: one in a chain
of objects that nothing else refers to is the least that there can be, and a few times what one
walk takes; a member of a group whose members know the group is what programs have.
"""

import gc
import statistics
import sys
from functools import partial
from importlib import import_module
from typing import Any
from weakref import ref

from rich import box
from rich.console import Console
from rich.table import Table

import weakly
from benchmarks.heap import GROUP, OBJECTS, populate, times
from benchmarks.report import quantity, ratio
from weakly.tracking import why_alive

ROUNDS = 3
LEAST_GAIN = 20.0
"""How many times as fast as objgraph weakly has to be, for the member of a group."""

kept_alive: dict[str, Any] = {}
"""Where the chains start."""


def main(arguments: list[str]) -> int:
    """Prints the table; fails if the limit is missed."""
    try:
        objgraph = import_module("objgraph")
    except ImportError:
        print("objgraph is not installed")
        return 1
    count = int(arguments[0]) if arguments else OBJECTS
    groups = populate(count)
    first = last = Session()
    for _ in range(5):
        last.next = Session()
        last = last.next
    kept_alive.update(groups=groups, first=first)
    # By weak references: what this function holds would be a shorter answer.
    targets = {
        "value in a dict of a module": ref(first),
        "five objects further": ref(last),
        "member of a group": ref(groups[len(groups) // 2][GROUP // 2]),
    }
    del groups, first, last
    gc.collect()
    gc.disable()
    tracked = len(gc.get_objects())
    title = f"{tracked:,} objects, weakly {weakly.__version__} ({weakly.implementation})"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("chain", "with", "takes", "weakly is faster by"):
        table.add_column(column, justify="left" if column in ("chain", "with") else "right")
    kept = True
    for name, target in targets.items():
        seconds = times(
            {
                f"objgraph {objgraph.__version__}": partial(search, objgraph, target),
                "weakly": lambda target=target: why_alive(target(), paths=1),
            },
            ROUNDS,
        )
        ours = seconds["weakly"]
        for side, each in seconds.items():
            gain = statistics.median(one / other for one, other in zip(each, ours, strict=True))
            is_limited = name == "member of a group" and side != "weakly"
            kept = kept and (gain >= LEAST_GAIN or not is_limited)
            shown = "" if side == "weakly" else ratio(gain)
            table.add_row(name, side, quantity(statistics.median(each), "second"), shown)
    Console(width=100).print(table)
    return 0 if kept else 1


def search(objgraph: Any, target: "ref[Any]") -> object:
    return objgraph.find_backref_chain(target(), objgraph.is_proper_module)


class Session:
    """One of a chain."""

    next: "Session | None" = None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
