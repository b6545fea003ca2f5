"""The tour: scenes that run as they are shown, then the same work timed three ways.

`__main__.py` imports this only after it has found `rich`.
"""

import ast
import contextlib
import functools
import gc
import io
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from types import ModuleType
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from . import (
    WeakKeyDictionary,
    WeakSet,
    WeakValueDictionary,
    cache,
    cached_method,
    finalize,
    implementation,
)
from .installation import original
from .tracking._retention import encodable

__all__ = ["tour"]

# Where False, nothing dies before the collector has run.
COUNTS_REFERENCES = platform.python_implementation() == "CPython"


def tour(version: str, seconds: float) -> None:
    """Show everything on standard output; measure for about `seconds`."""
    console = Console(highlight=False, markup=False)
    console.print(Text(version, style="bold"))
    console.print("What you see below is run as you see it, and so is what it prints.")
    show_scenes(console)
    if seconds > 0:
        show_timings(console, seconds)
    show_next_steps(console)


def heading(console: Console, title: str, point: str) -> None:
    console.print()
    console.print(Text(title, style="bold cyan"))
    console.print(point)


# ------------------------------------------------------------------------- the scenes


@dataclass
class Scene:
    """A few lines that show one thing; what each statement prints follows it."""

    title: str
    point: str
    source: str


SCENES = [
    Scene(
        "A reference",
        "It reaches its object, and does not keep it alive.",
        """\
import weakly

class User:
    def __init__(self, name):
        self.name = name

alice = User("Alice")
reference = weakly.ref(alice)
print(reference().name)
del alice
print(reference())
""",
    ),
    Scene(
        "A cache of users: WeakValueDictionary",
        "An entry goes when its value dies, so nobody has to empty the cache.",
        """\
alice = User("Alice")
users = weakly.WeakValueDictionary()
users[17] = alice
print(users[17].name)
del alice
print(users.get(17))
""",
    ),
    Scene(
        "A proxy",
        "It is used like the object itself, while there is one.",
        """\
alice = User("Alice")
proxy = weakly.proxy(alice)
print(proxy.name)
del alice
try:
    print(proxy.name)
except ReferenceError as error:
    print("ReferenceError:", error)
""",
    ),
    Scene(
        "A callback on death",
        "A reference can say when its object goes.",
        """\
alice = User("Alice")
reference = weakly.ref(alice, lambda reference: print("Alice is gone"))
del alice
""",
    ),
    Scene(
        "Notes about objects of others: WeakKeyDictionary",
        "An entry goes when its key dies.",
        """\
alice, bob = User("Alice"), User("Bob")
visits = weakly.WeakKeyDictionary({alice: 3, bob: 5})
print(visits[alice], len(visits))
del alice
print(visits[bob], len(visits))
""",
    ),
    Scene(
        "Who is online: WeakSet",
        "A set that empties itself. A loop over it never fails, whoever goes meanwhile.",
        """\
users = [User("Alice"), User("Bob"), User("Carol")]
online = weakly.WeakSet(users)
for user in online:
    print(user.name, "is one of", len(online))
    del users[1:2]
""",
    ),
    Scene(
        "Clean-up: finalize",
        "Called once: when the object dies, when you call it, or at the program's exit.",
        """\
alice = User("Alice")
goodbye = weakly.finalize(alice, print, "closing Alice's files")
print(goodbye.alive)
del alice
print(goodbye.alive)
""",
    ),
]

SCENES.append(
    Scene(
        "Caches that cannot leak: cached_method and WeakCache",
        "lru_cache keeps every self; cached_method none. A WeakCache keeps its most useful values.",
        """\
import functools, gc, weakref

class OnLruCache:
    @functools.lru_cache(maxsize=None)
    def total(self):
        return 42

class OnWeakly:
    @weakly.cached_method
    def total(self):
        return 42

def left_of(cls):
    instances = [cls() for _ in range(1000)]
    alive = weakly.WeakSet(instances)
    for instance in instances:
        instance.total()
    del instance, instances
    gc.collect()
    return len(alive)

print(left_of(OnLruCache), "of 1000 instances leak with lru_cache")
print(left_of(OnWeakly), "of 1000 instances leak with cached_method")

bare, cache = weakref.WeakValueDictionary(), weakly.WeakCache(maxsize=2)
for number in range(5):
    bare[number] = User(f"user {number}")
    cache[number] = User(f"user {number}")
gc.collect()
print(len(bare), "users in WeakValueDictionary,", len(cache), "in WeakCache")
""",
    )
)

SCENES.append(
    Scene(
        "Listeners that do not leak: Signal. Deaths, read when you choose: ReferenceQueue",
        "A Signal holds methods weakly and functions strongly. A queue runs nothing at a death.",
        """\
class Button:
    clicked = weakly.Signal[str]()

class Label:
    def show(self, text):
        self.text = text

def left_of(connect):
    labels = [Label() for _ in range(1000)]
    alive = weakly.WeakSet(labels)
    for label in labels:
        connect(label.show)
    del label, labels
    return len(alive)

button, callbacks = Button(), []
print(left_of(callbacks.append), "of 1000 labels leak in a list of callbacks")
print(left_of(button.clicked.connect), "of 1000 labels leak in a Signal")
button.clicked.connect(lambda text: print("clicked by", text))
button.clicked.emit("Alice")

alice, queue = User("Alice"), weakly.ReferenceQueue()
queue.track(alice, "the files of Alice")
del alice
print("to be closed:", *queue.drain())
""",
    )
)

if implementation == "c":  # the Python tables cannot
    SCENES.append(
        Scene(
            "Values that refer to their keys: EphemeronDictionary",
            "In weakref such a value keeps its key for ever (CPython issue 88846); not here.",
            """\
import gc, weakref

def left_in(table):
    for number in range(1000):
        user = User(f"user {number}")
        table[user] = {"friend of": [user]}
    del user
    gc.collect()
    return len(table)

print(left_in(weakref.WeakKeyDictionary()), "of 1000 users leak in weakref")
print(left_in(weakly.EphemeronDictionary()), "of 1000 users leak in weakly")
""",
        )
    )


SCENES.append(
    Scene(
        "Why is this object still alive: why_alive",
        "What leads to it, as expressions to type, with a mark where to cut.",
        """\
import functools

BOOKS = {"Emma": 9, "Middlemarch": 14, "Villette": 11}

class Invoice:
    def __init__(self, titles: list[str]) -> None:
        self.titles = titles

    @functools.lru_cache(maxsize=10_000)
    def total(self) -> int:
        return sum(BOOKS[title] for title in self.titles)

invoice = Invoice(["Emma", "Villette"])
print(invoice.total())
reference = weakly.ref(invoice)
del invoice
print(weakly.why_alive(reference()))
""",
    )
)


def show_scenes(console: Console) -> None:
    module = ModuleType("tour")
    sys.modules["tour"] = module  # so that what is in it is found there
    try:
        show_each(console, vars(module))
    finally:
        del sys.modules["tour"]


def show_each(console: Console, namespace: dict[str, Any]) -> None:
    python = Syntax("", "python", theme="ansi_dark", background_color="default")
    arrow = "→" if console.encoding.startswith("utf") else ">"
    for number, scene in enumerate(SCENES, start=1):
        heading(console, f"{number}. {scene.title}", scene.point)
        console.print()
        for source, output in play(scene.source, namespace):
            for code in python.highlight(source).split("\n"):
                console.print(Text("    ") + code if code else code)
            for line in encodable(output, console.encoding).splitlines():
                console.print(Text(f"    {arrow} {line}", style="bold green"))


def play(source: str, namespace: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Run the top-level statements one by one; yield each and what it printed."""
    if not COUNTS_REFERENCES:
        source = source.replace("import weakly\n", "import gc\nimport weakly\n")
        source = re.sub(r"^( *)(del .*)", r"\1\2\n\1gc.collect()", source, flags=re.MULTILINE)
    lines = source.splitlines()
    start = 0
    for statement in ast.parse(source).body:
        end = statement.end_lineno or start
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(ast.Module([statement], []), "<tour>", "exec"), namespace)
        yield "\n".join(lines[start:end]), printed.getvalue()
        start = end


# ------------------------------------------------------------------------ the timings

SIZE = 1000

Measure = Callable[[], float]
"""Does the work once for SIZE objects; returns the seconds it took."""


@dataclass
class Work:
    """The same work on a strong container (where it has a meaning), on weakref, on weakly."""

    label: str
    strong: Measure | None
    stdlib: Measure
    ours: Measure


@dataclass
class Timing:
    """Nanoseconds for each object, and weakly's time as a part of the others'."""

    label: str
    strong: float | None
    stdlib: float
    ours: float
    of_stdlib: float
    of_strong: float | None


class Thing:
    """Something small to refer to."""

    __slots__ = ("__weakref__",)


def things() -> list[Thing]:
    return [Thing() for _ in range(SIZE)]


def works() -> list[Work]:
    """Everything that is measured. The standard library's classes are the real ones."""
    keyed: tuple[Any, ...] = (dict, original("WeakKeyDictionary"), WeakKeyDictionary)
    valued: tuple[Any, ...] = (dict, original("WeakValueDictionary"), WeakValueDictionary)
    sets: tuple[Any, ...] = (set, original("WeakSet"), WeakSet)
    found = [
        Work("table[key]", *map(look_up, keyed)),
        Work("key in table", *map(contains, keyed)),
        Work("item in set", *map(contains, sets)),
        Work('cache["name"]', *map(look_up_name, valued)),
        Work("for key in table", *map(iterate, keyed)),
        Work("fill table, drop it", *map(fill, keyed)),
        Work("fill cache, drop it", *map(fill_names, valued)),
        Work("table.copy()", *map(copy, keyed)),
    ]
    if COUNTS_REFERENCES:
        found.append(Work("all keys die", delete_all, *map(die, keyed[1:])))
    found.append(
        Work("finalize, detach", None, finalizers(original("finalize")), finalizers(finalize))
    )
    lru_cache = functools.lru_cache(maxsize=None)
    found.append(Work("cached(argument)", None, call(lru_cache), call(cache)))
    found.append(
        Work("obj.cached_method()", None, call_method(lru_cache), call_method(cached_method))
    )
    return found


def timed(run: Callable[[], object]) -> Measure:
    def measure() -> float:
        start = perf_counter()
        run()
        return perf_counter() - start

    return measure


def look_up(table_type: Any) -> Measure:
    keys = things()
    table = table_type(dict.fromkeys(keys, 1))

    def run() -> None:
        for key in keys:
            table[key]

    return timed(run)


def contains(table_or_set_type: Any) -> Measure:
    keys = things()
    table = table_or_set_type(dict.fromkeys(keys, 1))

    def run() -> None:
        for key in keys:
            key in table  # noqa: B015  # pyright: ignore[reportUnusedExpression]

    return timed(run)


def look_up_name(cache_type: Any) -> Measure:
    values = things()
    cache = cache_type({f"name {i}": value for i, value in enumerate(values)})
    names = list(cache)

    def run(_: object = values) -> None:  # which keeps the values alive
        for name in names:
            cache[name]

    return timed(run)


def iterate(table_type: Any) -> Measure:
    keys = things()
    table = table_type(dict.fromkeys(keys, 1))

    def run(_: object = keys) -> None:
        for _key in table:
            pass

    return timed(run)


def fill(table_type: Any) -> Measure:
    keys = things()

    def run() -> None:
        table = table_type()
        for key in keys:
            table[key] = 1

    return timed(run)


def fill_names(cache_type: Any) -> Measure:
    entries = [(f"name {i}", value) for i, value in enumerate(things())]

    def run() -> None:
        cache = cache_type()
        for name, value in entries:
            cache[name] = value

    return timed(run)


def copy(table_type: Any) -> Measure:
    keys = things()
    table = table_type(dict.fromkeys(keys, 1))

    def run(_: object = keys) -> None:
        table.copy()

    return timed(run)


def die(table_type: Any) -> Measure:
    def measure() -> float:
        keys = things()
        table = table_type(dict.fromkeys(keys, 1))
        start = perf_counter()
        keys.clear()
        elapsed = perf_counter() - start
        assert not table
        return elapsed

    return measure


def delete_all() -> float:
    """What a program with a `dict` has to do itself when its keys go."""
    keys = things()
    table = dict.fromkeys(keys, 1)
    start = perf_counter()
    while keys:
        del table[keys.pop()]
    return perf_counter() - start


def finalizers(finalize_type: Any) -> Measure:
    objects = things()

    def run() -> None:
        for thing in objects:
            finalize_type(thing, print).detach()

    return timed(run)


def answer(_: object) -> int:
    return 42


def call(decorator: Any) -> Measure:
    """Calls whose results are in the cache."""
    arguments = things()
    cached = decorator(answer)

    def run() -> None:
        for argument in arguments:
            cached(argument)

    return timed(run)


def call_method(decorator: Any) -> Measure:
    class Owner:
        cached = decorator(answer)

    owners = [Owner() for _ in range(SIZE)]

    def run() -> None:
        for owner in owners:
            owner.cached()

    return timed(run)


def measured(work: Work, seconds: float, tell: Callable[[float], None]) -> Timing:
    """Repeat the work for about `seconds`, all three by turns, so that noise hits all alike."""
    subjects = [subject for subject in (work.strong, work.stdlib, work.ours) if subject]
    rounds: list[list[float]] = []
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()  # when it runs is chance
    try:
        for subject in subjects:
            subject()  # warm up
        start = perf_counter()
        while len(rounds) < 3 or perf_counter() - start < seconds:
            rounds.append([subject() for subject in subjects])
            tell(perf_counter() - start)
    finally:
        if collecting:
            gc.enable()
    per_object = [median(times) * 1e9 / SIZE for times in zip(*rounds, strict=True)]
    return Timing(
        work.label,
        strong=per_object[0] if work.strong else None,
        stdlib=per_object[-2],
        ours=per_object[-1],
        of_stdlib=median(times[-1] / times[-2] for times in rounds),
        of_strong=median(times[-1] / times[0] for times in rounds) if work.strong else None,
    )


def show_timings(console: Console, seconds: float) -> None:
    heading(
        console,
        "How fast is it?",
        f"The same work on {SIZE:,} objects with dict and set, with the standard library's "
        "weakref (for the cached calls: its functools.lru_cache), and with weakly.",
    )
    timings = measure_all(console, seconds)
    console.print()
    console.print(timing_table(console, timings))
    if implementation == "python":
        console.print(
            "The C core is not there, so these are weakly's Python tables: the same behaviour, "
            "without its speed."
        )


def measure_all(console: Console, seconds: float) -> list[Timing]:
    if not console.is_terminal:
        console.print(f"Measuring for about {seconds:g} seconds.")
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    todo = works()
    share = seconds / len(todo)
    timings: list[Timing] = []
    with progress:
        task = progress.add_task("", total=seconds)
        for done, work in enumerate(todo):
            progress.update(task, description=f"{work.label:<19}")

            def tell(spent: float, before: float = done * share) -> None:
                progress.update(task, completed=before + min(spent, share))

            timings.append(measured(work, share, tell))
    return timings


def timing_table(console: Console, timings: list[Timing]) -> Table:
    with_times = console.width >= 78
    whole = console.width >= 54
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    table.add_column("", no_wrap=whole, overflow="fold")
    if with_times:
        table.caption = "Nanoseconds for each object; medians. Lower is better."
        for name in ("dict/set", "stdlib", "weakly"):
            table.add_column(name, justify="right")
    table.add_column("weakly\nvs stdlib", justify="right", no_wrap=whole)
    table.add_column("weakly\nvs dict/set", justify="right", no_wrap=whole)
    for timing in timings:
        times = (timing.strong, timing.stdlib, timing.ours)
        table.add_row(
            timing.label,
            *(Text("-" if time is None else f"{time:,.0f}") for time in times if with_times),
            ratio(timing.of_stdlib),
            Text("-") if timing.of_strong is None else ratio(timing.of_strong),
        )
    return table


def ratio(of_other: float) -> Text:
    """`of_other` (weakly's time over the other's) in words."""
    if 0.95 < of_other < 1.05:
        return Text("equal")
    factor, word, style = (
        (1 / of_other, "faster", "green") if of_other < 1 else (of_other, "slower", "yellow")
    )
    return Text(f"{factor:.{1 if factor < 10 else 0}f}x {word}", style=style)


def show_next_steps(console: Console) -> None:
    heading(console, "Next", "In your own code, in place of `import weakref`:")
    console.print("\n    import weakly as weakref\n", style="bold")
    console.print("Or run a program that uses weakref, unchanged:")
    console.print("\n    python -m weakly run your_program.py\n", style="bold")
    console.print("Or see what a program leaves alive, and why:")
    console.print("\n    python -m weakly leaks your_program.py\n", style="bold")
