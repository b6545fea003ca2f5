"""`python -m weakly leaks`: watches classes while a program runs, and says what it leaves alive.

The program is to notice nothing. Its classes are not touched: a thread counts objects by their
real types, now and then, in one call that runs no Python code, so that nothing dies in that thread
which should have died in the program's. All the rest is done when the program has ended, or on a
signal.
"""

from __future__ import annotations

import _thread
import atexit
import gc
import os
import re
import sys
import threading
from _thread import LockType, allocate_lock, start_new_thread
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, partial
from itertools import chain, tee
from time import monotonic, sleep, thread_time
from types import FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple, NoReturn, TypeVar, cast
from weakref import ref

from .. import _hooks
from .._progress import Progress
from .._run import CannotRun
from .._unraisable import report as report_unraisable
from ..ephemerons import collect
from ._names import module_of, mro_of, name_of, namespace_of, qualified_name
from ._retention import Retention, encodable, why_alive
from ._snapshot import HeapSnapshot, heap, readable
from ._tracker import Tracker

T = TypeVar("T")

__all__ = ["Holder", "Leak", "Report", "Sample", "Watch"]

_INTERVAL = 0.01  # seconds between two samples, at first
_SAMPLES = 400  # with more, every second one goes, and the interval doubles
_SHARE = 0.05  # of the time is for sampling, at most
_LOOKED_AT = 8  # instances of a class, at most: for each, the heap is walked
_PATIENCE = 5.0  # seconds, after which it is one of each class
_CLASSES = 12  # are looked at where none is named
_SITES = 5  # that made objects of a class are named


class Sample(NamedTuple):
    """What a look at the running program has seen."""

    seconds: float
    resident: int  # bytes; 0 where that is not known
    objects: int
    counts: dict[str, int]  # by class


@dataclass(frozen=True, slots=True)
class Holder:
    """What holds some instances of a class."""

    share: int  # of those looked at
    retention: Retention  # of one of them
    within: str  # the class of another leak, on the way to this one, or ""


@dataclass(frozen=True, slots=True)
class Leak:
    """The instances of a class that are alive."""

    name: str
    alive: int
    grown: int  # since the first quarter of the program's time
    looked_at: int
    retained: int  # bytes that would go with them
    suspect: bool  # or held on purpose, as it seems
    holders: tuple[Holder, ...]
    sites: tuple[str, ...]  # that made them, if that was asked for


@dataclass(frozen=True, slots=True)
class Report:
    """All that was seen. Holds text and numbers only."""

    program: str
    ended: str  # how; or that it has not
    samples: tuple[Sample, ...]
    leaks: tuple[Leak, ...]  # suspects first
    heap: HeapSnapshot
    own: frozenset[str]  # the program's own classes, of those alive
    unknown: tuple[str, ...]  # patterns that no class was called by
    seconds: float  # that all this took

    @property
    def suspects(self) -> list[Leak]:
        return [leak for leak in self.leaks if leak.suspect]

    def __str__(self) -> str:
        lines = [f"{self.program} {self.ended}", summary(self)]
        for leak in self.suspects:
            lines += ["", headline(leak)]
            for number, holder in enumerate(leak.holders):
                if number:
                    lines.append("")
                if len(leak.holders) > 1:
                    lines.append(f"  {holder.share} of {leak.looked_at} looked at:")
                if holder.within:
                    lines.append(f"  It is held by a {holder.within}, and goes with that.")
                retention = holder.retention
                tree = retention.tree().splitlines()
                lines += [f"  {retention.target}", f"  {retention.verdict}", ""]
                lines += [f"  {line}".rstrip() for line in tree]
            lines += [f"  {site}" for site in leak.sites]
        kept = [leak for leak in self.leaks if not leak.suspect]
        if kept:
            lines += ["", "Alive as well, on purpose as it seems:"]
            lines += [f"  {leak.alive:,} {leak.name}: {expressions(leak)}" for leak in kept]
        lines += [f"No class is called {pattern}." for pattern in self.unknown]
        return "\n".join(lines)


def summary(report: Report) -> str:
    suspects = report.suspects
    if not suspects:
        return "Nothing leaks of what was watched."
    alive = sum(leak.alive for leak in suspects)
    classes = "1 class leaks" if len(suspects) == 1 else f"{len(suspects)} classes leak"
    return f"{classes}: {alive:,} {'object is' if alive == 1 else 'objects are'} alive"


def headline(leak: Leak) -> str:
    grown = f" ({leak.grown:+,} after the first quarter of the run)" if leak.grown > 0 else ""
    return f"{leak.alive:,} {leak.name}{grown}, retaining {readable(leak.retained)}"


def expressions(leak: Leak) -> str:
    return ", ".join(str(holder.retention.paths[0]) for holder in leak.holders)


# ----------------------------------------------------------------------- which classes


# The folders of the standard library and of weakly.
_FOREIGN = tuple(
    os.path.join(os.path.dirname(path), "") for path in (os.__file__, os.path.dirname(__file__))
)


@cache
def is_own(module: str) -> bool:
    """Whether this module is the program's: neither of the standard library nor installed."""
    if module == "__main__":
        return True
    file = _variables(sys.modules.get(module)).get("__file__")
    if type(file) is not str or file.startswith(_FOREIGN):
        return False
    return not re.search(r"[\\/](site|dist)-packages[\\/]", file)


def _variables(owner: object) -> dict[str, Any]:
    if issubclass(type(owner), type):  # isinstance() would ask for its `__class__`
        return dict(namespace_of(owner))
    if not issubclass(type(owner), ModuleType):
        return {}
    return cast(dict[str, Any], ModuleType.__getattribute__(cast(ModuleType, owner), "__dict__"))


class Classes:
    """Which classes are watched: those that patterns name, or the program's own."""

    def __init__(self, patterns: Iterable[str], program: str) -> None:
        self.patterns = list(patterns)
        self._globs: list[tuple[str, str]] = []  # and the patterns that they come from
        for pattern in self.patterns:
            name = pattern.replace(":", ".")
            self._globs.append((name, pattern))
            if "." not in name:
                self._globs.append((f"*.{name}", pattern))
            if program and name.startswith(f"{program}."):
                self._globs.append((f"__main__.{name.removeprefix(program)[1:]}", pattern))
        self._met: set[str] = set()  # the patterns that have met a class
        self._resolved: dict[str, ref[type]] = {}
        self._known: dict[int, tuple[ref[type], str | None]] = {}
        self._new: list[ref[type]] = []  # those that are watched, and were not asked for yet

    def learn(self, types: dict[int, type]) -> None:
        """Decide on these classes, given by their ids, unless that is done."""
        for key, cls in types.items():
            if not self.knows(key):
                name = self._name(cls)
                self._known[key] = (ref(cls), name)
                if name is not None:
                    self._new.append(ref(cls))

    def knows(self, key: int) -> bool:
        known = self._known.get(key)
        return known is not None and known[0]() is not None  # else another may have its id

    def name(self, key: int) -> str | None:
        """What the class of this id is called if it is watched."""
        return self._known[key][1] if self.knows(key) else None

    def take_new(self) -> list[type]:
        """The classes that are watched, each once."""
        found, self._new = self._new, []
        return [cls for reference in found if (cls := reference()) is not None]

    def unknown(self) -> list[str]:
        return [pattern for pattern in self.patterns if pattern not in self._met]

    def _name(self, cls: type) -> str | None:
        if not self.patterns:
            return qualified_name(cls) if is_own(module_of(cls)) else None
        wanted = [found() for found in self._resolved.values()]
        for base in mro_of(cls):
            name = qualified_name(base)
            for glob, pattern in self._globs:
                if fnmatchcase(name, glob):
                    self._met.add(pattern)
                    return qualified_name(cls)
            if any(base is one for one in wanted):
                return qualified_name(cls)
        return None

    def resolve(self) -> None:
        """Find what patterns without `*` name by way of a module that only imports the class."""
        for glob, pattern in self._globs:
            if glob not in self._resolved and not re.search(r"[*?[]", glob):
                cls = _find_class(glob)
                if cls is not None:
                    self._resolved[glob] = ref(cls)
                    self._met.add(pattern)
                    self._known.clear()


def _find_class(name: str) -> type | None:
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:count]))
        if found is not None:
            for part in parts[count:]:
                found = _variables(found).get(part)
            return cast(type, found) if issubclass(type(found), type) else None
    return None


# ------------------------------------------------------------------------ how many objects


def _all_types() -> Iterator[type]:
    """The type of each object, which is not held when its type is out.

    In one call that runs through this no other thread's turn comes: nothing can lose its last
    other reference meanwhile, and die here.
    """
    return map(type, chain.from_iterable(map(gc.get_objects, (None,))))


def types_by_id() -> dict[int, type]:
    """The types of all objects."""
    keys, types = tee(_all_types())
    return dict(zip(map(id, keys), types, strict=True))


def count_objects() -> Counter[int]:
    """How many objects there are of each class, by its id."""
    return Counter(map(id, _all_types()))


def by_name(counts: Counter[int], classes: Classes) -> dict[str, int]:
    """How many there are of each class that is watched."""
    classes.resolve()
    if not all(map(classes.knows, counts)):
        classes.learn(types_by_id())
    found: Counter[str] = Counter()
    for key, count in counts.items():
        name = classes.name(key)
        if name is not None:
            found[name] += count
    return dict(found)


def resident() -> int:
    """This process's resident size in bytes, where that costs nothing to know; else 0."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError, ValueError, IndexError):
        return 0


def count_threads() -> int:
    """How many threads the system counts in this process; it warns who forks beside others."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return _thread._count()  # pyright: ignore[reportPrivateUsage] - as threading does


class Sampler:
    """Counts objects now and then, in a thread that `threading` does not know of."""

    def __init__(self, classes: Classes, tracker: Tracker | None = None) -> None:
        self.samples: list[Sample] = []
        self._classes = classes
        self._tracker = tracker
        self._started = monotonic()
        self._interval = _INTERVAL
        self._running: list[tuple[LockType, LockType]] = []  # what ends each thread, and its end

    def seconds(self) -> float:
        return monotonic() - self._started

    def take(self) -> None:
        seconds = self.seconds()
        counts = count_objects()
        named = by_name(counts, self._classes)
        self.samples.append(Sample(seconds, resident(), counts.total(), named))
        if len(self.samples) > _SAMPLES:
            del self.samples[1::2]
            self._interval *= 2
        if self._tracker is not None:
            for cls in self._classes.take_new():
                with suppress(TypeError):
                    self._tracker.watch_class(cls, subclasses=False)

    def start(self) -> None:
        if self._running:
            return
        stop, ended = allocate_lock(), allocate_lock()
        stop.acquire()
        ended.acquire()
        with suppress(RuntimeError):  # there are no threads, or no more
            start_new_thread(self._run, (stop, ended))
            self._running.append((stop, ended))

    def stop(self) -> None:
        """Returns when the thread has gone, as far as can be told; soon, in any case: it may be
        in a callback of the collector's that waits for the one who calls this."""
        threads = count_threads() if self._running else 0
        with suppress(IndexError):  # a signal handler may have come between
            while self._running:
                stop, ended = self._running.pop()
                stop.release()
                ended.acquire(timeout=1)
        end = monotonic() + 0.1
        while 0 < threads <= count_threads() and monotonic() < end:
            sleep(0.0002)

    def _run(self, stop: LockType, ended: LockType) -> None:
        cost = 0.0
        try:
            while not stop.acquire(timeout=max(self._interval, cost / _SHARE)):
                start = thread_time()  # waiting for a turn costs nothing
                self.take()
                cost = thread_time() - start
        finally:
            ended.release()


# -------------------------------------------------------------------- what keeps them alive


def instances(classes: Classes) -> dict[str, list[object]]:
    """Those of the classes that are watched, by class."""
    found: dict[str, list[object]] = {}
    objects = gc.get_objects()
    for key, obj in zip(map(id, map(type, objects)), objects, strict=True):
        name = classes.name(key)
        if name is not None:
            found.setdefault(name, []).append(obj)
    return found


def grown(samples: list[Sample], name: str) -> int:
    """How many more there are than there were at least in the second quarter of the time."""
    now = samples[-1]
    early = [each for each in samples if each.seconds <= now.seconds / 4][-1:] or samples[:1]
    early += [each for each in samples if now.seconds / 4 < each.seconds <= now.seconds / 2]
    return now.counts.get(name, 0) - min(each.counts.get(name, 0) for each in early)


def evenly(some: list[object], count: int) -> list[object]:
    """That many of them, the first and the last among them."""
    if len(some) <= count:
        return some
    return [some[index * (len(some) - 1) // (count - 1)] for index in range(count)]


_LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"|\b0x[0-9a-f]+|\b\d+\b")


def kind_of_path(retention: Retention) -> str:
    """What the first path has in common with those of other instances held alike."""
    if not retention.paths:
        return ""
    path = retention.paths[0]
    return _LITERAL.sub("_", " ".join([path.root, *(step.name for step in path.steps)]))


_PLAIN = {"attribute", "class attribute", "local", "temporary"}


def is_plain(retention: Retention) -> bool:
    """Whether only attributes lead there from a module or from a variable of a running function."""
    if not retention.paths:
        return True
    path = retention.paths[0]
    return path.kind in ("module", "local") and all(step.kind in _PLAIN for step in path.steps)


def is_suspect(retentions: list[Retention], named: bool, growth: int) -> bool:
    """Whether objects held like that leak. Who names a class says that it is not to be there."""
    return (named or growth > 1) and not all(map(is_plain, retentions))


def holders(name: str, retentions: list[Retention], leaks: Iterable[str]) -> tuple[Holder, ...]:
    """The retentions of instances of a class, one for those that are alike."""
    kinds: dict[str, list[Retention]] = {}
    for retention in retentions:
        kinds.setdefault(kind_of_path(retention), []).append(retention)
    found: list[Holder] = []
    for alike in sorted(kinds.values(), key=len, reverse=True):
        passed = [step.type for step in alike[0].paths[0].steps[:-1]]
        within = [leak for leak in leaks if leak != name and leak in passed]
        found.append(Holder(len(alike), alike[0], within[0] if within else ""))
    return tuple(found)


def study(
    classes: Classes, samples: list[Sample], tracker: Tracker | None
) -> tuple[tuple[Leak, ...], HeapSnapshot]:
    """Look at what is alive; with a line on the terminal that says how far it is."""
    progress = Progress(None)
    try:
        return _study(classes, samples, tracker, progress)
    finally:
        progress.clear()


def _study(
    classes: Classes, samples: list[Sample], tracker: Tracker | None, progress: Progress
) -> tuple[tuple[Leak, ...], HeapSnapshot]:
    sites = sites_of(tracker) if tracker is not None else {}
    found = instances(classes)
    growth = {name: grown(samples, name) for name in found}
    alive = {name: len(some) for name, some in found.items()}
    names = sorted(found, key=lambda name: (-growth[name], -alive[name], name))
    if not classes.patterns:
        del names[_CLASSES:]
    chosen = {name: evenly(found[name], _LOOKED_AT) for name in names}
    del found
    total = sum(map(len, chosen.values()))
    retentions: dict[str, list[Retention]] = {name: [] for name in names}
    for turn in range(_LOOKED_AT):
        for name, some in chosen.items():
            if not some or (turn and progress.seconds() > _PATIENCE):
                continue
            done = total - sum(map(len, chosen.values()))
            progress.show(f"{done} of {total}: why is {name} alive?")
            retention = why_alive(some.pop(0), progress=False)
            if retention.paths:  # else it has gone, or will
                retentions[name].append(retention)
    chosen.clear()
    progress.show("how much memory keeps what?")
    snapshot = heap(progress=False)
    retained = {row.name: row.retained for row in snapshot.classes}
    suspects = {
        name for name in names if is_suspect(retentions[name], bool(classes.patterns), growth[name])
    }
    leaks = [
        Leak(
            name,
            alive[name],
            growth[name],
            len(retentions[name]),
            retained.get(name, 0),
            name in suspects,
            holders(name, retentions[name], suspects),
            sites.get(name, ()),
        )
        for name in names
        if retentions[name]
    ]
    leaks.sort(key=lambda leak: (not leak.suspect, bool(leak.holders[0].within)))
    return tuple(leaks), snapshot


def sites_of(tracker: Tracker) -> dict[str, tuple[str, ...]]:
    """Where the objects of each class were made, as far as they were seen being made."""
    return {
        row.name: tuple(
            f"{site.alive:,} alive of {site.created:,} made by {site.where}"
            for site in row.sites[:_SITES]
            if site.alive and site.file
        )
        for row in tracker.report().classes
    }


def in_colour(text: str) -> str:
    """With what is most important marked for a terminal."""
    text = re.sub(r"(?m)^[\d,]+ \S+.* retaining .*$", "\x1b[1m\\g<0>\x1b[0m", text)
    text = re.sub(r"(?m)^ +▶.*$", "\x1b[31m\\g<0>\x1b[0m", text)
    return re.sub(r"(?m)⤷ .*$", "\x1b[33m\\g<0>\x1b[0m", text)


def is_terminal() -> bool:
    with suppress(Exception):  # the program may have put anything there, or closed it
        return bool(sys.stderr.isatty())
    return False


# ------------------------------------------------------------------------- with the program

_DEFAULT = 0  # signal.SIG_DFL
_WELL = "ended well"


def _call(what: Callable[[], T]) -> T:
    return what()


# The same as a function that is not weakly's. That one is then taken for who asks, and not the
# function of the program that a signal has interrupted, whose variables count.
_ask: Any = FunctionType(_call.__code__, {"__name__": "nobody"})


class Watch:
    """Watches from `start()` until the program's end, and reports then, in this process only."""

    def __init__(
        self,
        program: list[str],  # its command line
        patterns: list[str],
        page: str | None,
        signal: int | None,
        fail: bool,
        sites: bool,
    ) -> None:
        self._program = " ".join(program)
        self._page = page and os.path.abspath(page)
        self._signal = signal
        self._fail = fail
        name = program[1] if program[0] == "-m" else os.path.basename(program[0])
        self._classes = Classes(patterns, name.removesuffix(".py"))
        self._tracker = Tracker() if sites else None
        # What is needed at the end is imported now: imports run code that makes the interpreter,
        # before 3.13, forget that it is to die of SIGINT.
        if page is not None:
            from ._page import write

            self._write = write
        self._sampler = Sampler(self._classes, self._tracker)
        self._process = os.getpid()
        self._exit = os._exit
        self._ended = ""
        self._done = False
        self._busy = False
        self._leaks = False
        self._hook: _hooks.Hook = self._go_on
        self._forked = False

    def __enter__(self) -> None:
        self._sampler.take()
        # What is registered later is called earlier: this comes when the program has cleaned up.
        atexit.register(self._at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before_fork,
                after_in_parent=self._after_fork_in_parent,
                after_in_child=self._after_fork_in_child,
            )
        self._handle_signals(self._end_by_signal, _DEFAULT)
        if self._signal is not None:
            import signal

            signal.signal(self._signal, self._report_on_signal)
        os._exit = self._exit_at_once
        self._sampler.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        """Take down how the program has ended; its threads may be running yet.

        Only before the interpreter begins to end can the status be another one. So then its
        threads and exit functions, ours among them, have their turn here.
        """
        if kind is CannotRun:
            self._finish()
        elif error is None:
            self._ended = _WELL
        elif isinstance(error, SystemExit):
            status = error.code if isinstance(error.code, int) else error.code is not None
            self._ended = f"ended with status {int(status)}" if status else _WELL
        else:
            self._ended = f"ended with a {name_of(type(error))}"
        if self._fail and self._ended == _WELL and os.getpid() == self._process:
            for end in (cast(Any, threading)._shutdown, cast(Any, atexit)._run_exitfuncs):
                try:
                    end()
                except BaseException as interrupt:
                    report_unraisable(interrupt, end)
            if self._leaks:
                raise SystemExit(1) from None

    # Each way of ending.

    def _at_exit(self) -> None:
        if not self._finish():
            return
        # What ended the program is no leak: the traceback, and all that its functions held.
        for name in ("last_exc", "last_type", "last_value", "last_traceback"):
            with suppress(AttributeError):
                delattr(sys, name)
        report = self._report(self._ended)
        self._leaks = report is not None and bool(report.suspects)

    def _exit_at_once(self, status: int) -> NoReturn:
        if self._finish():
            self._report(f"called os._exit({status})")
        self._exit(status)

    def _handle_signals(self, ending: Any, before: Any) -> None:
        """Handle those that end the program so, if they were handled so before."""
        import signal

        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == before:
                with suppress(ValueError):  # that is for the main thread
                    signal.signal(number, ending)

    def _end_by_signal(self, number: int, _frame: FrameType | None) -> None:
        import signal

        signal.signal(number, signal.SIG_DFL)
        if not self._busy and self._finish():
            self._report(f"was ended by {signal.Signals(number).name}")
        os.kill(os.getpid(), number)

    def _report_on_signal(self, number: int, _frame: FrameType | None) -> None:
        from signal import Signals

        # One at a time: handlers interrupt each other. Those that come meanwhile are left out.
        if not (self._done or self._busy) and os.getpid() == self._process:
            self._busy = True
            self._sampler.stop()
            try:
                self._report(f"runs on, and was sent {Signals(number).name}")
            finally:
                self._sampler.start()
                self._busy = False

    def _finish(self) -> bool:
        """Whether there is something to report on, and this is the first to do so."""
        if self._done or os.getpid() != self._process:
            return False
        self._done = True
        self._sampler.stop()
        return True

    # A child would not have the thread, but the locks that it holds; and who forks beside other
    # threads is warned, only after what is called here. So the thread comes back later: when
    # there is so much new that the collector comes. A signal that the child gets before it can
    # handle it is lost, so it has no handlers.

    def _before_fork(self) -> None:
        if not self._done:
            self._busy = True
            self._sampler.stop()
            self._handle_signals(_DEFAULT, self._end_by_signal)

    def _after_fork_in_parent(self) -> None:
        if self._done:
            return
        self._busy = False
        self._handle_signals(self._end_by_signal, _DEFAULT)
        if hasattr(gc, "callbacks"):
            self._forked = True
            _hooks.ensure(self._hook)
        else:
            self._sampler.start()

    def _go_on(self, _phase: str, _info: dict[str, int]) -> None:
        """Stays in `gc.callbacks`: if it went, the collector would pass over the next one."""
        if self._forked and not self._done:
            self._forked = False
            self._sampler.start()

    def _after_fork_in_child(self) -> None:
        self._done = True

    # The report.

    def _report(self, ended: str) -> Report | None:
        """None if that fails, of which the program is to notice nothing."""
        try:
            report = self._study(ended)
            text = str(report)
            tell(in_colour(text) if is_terminal() and not os.environ.get("NO_COLOR") else text)
            if self._page is not None:
                try:
                    self._write(report, self._page)
                except OSError as error:
                    tell(f"cannot write {self._page}: {error.strerror}")
                else:
                    tell(f"The page: {self._page}")
            return report
        except KeyboardInterrupt:
            tell("interrupted, so there is no report")
        except Exception as error:
            report_unraisable(error, self._report)
        return None

    def _study(self, ended: str) -> Report:
        start = monotonic()
        collect()
        if sys.implementation.name == "pypy":  # finalizers first, then their objects
            for _ in range(3):
                gc.collect()
        self._sampler.take()
        samples = self._sampler.samples
        leaks, snapshot = _ask(partial(study, self._classes, samples, self._tracker))
        # A class without instances is one of that name, too.
        self._classes.learn(
            {id(cls): cls for cls in gc.get_objects() if issubclass(type(cls), type)}
        )
        types = types_by_id().values()
        own = frozenset(qualified_name(cls) for cls in types if is_own(module_of(cls)))
        return Report(
            self._program,
            f"{ended} after {samples[-1].seconds:.1f} s",
            tuple(samples),
            leaks,
            snapshot,
            own,
            tuple(self._classes.unknown()),
            monotonic() - start,
        )


def tell(text: str) -> None:
    """Write on standard error, also if a signal has interrupted the program in doing so."""
    text = f"weakly leaks: {text}\n"
    try:
        sys.stderr.write(encodable(text, getattr(sys.stderr, "encoding", None) or "utf-8"))
        sys.stderr.flush()
    except RuntimeError:
        os.write(2, text.encode(errors="backslashreplace"))
    except Exception:  # the program may have put anything there, or closed it
        pass


def signal_number(name: str) -> int:
    """The signal that is called so, with or without SIG. Raises ValueError."""
    import signal

    number = getattr(signal, "SIG" + name.upper().removeprefix("SIG"), None)
    if not isinstance(number, signal.Signals):
        raise ValueError(f"there is no signal {name} here")
    if number.name in ("SIGKILL", "SIGSTOP") or signal.getsignal(number) is None:
        raise ValueError(f"{name} is a signal that cannot be handled")
    return number
