"""What the tests share: referents, the containers seen alike, collection, subprocesses.

Nothing here is a test and nothing asserts about one operation only; a helper that one
test file uses stays in that file.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import weakly

PYPY = sys.implementation.name == "pypy"
C_CORE = weakly.implementation == "c"
DEBUG_BUILD = hasattr(sys, "gettotalrefcount")
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
REPEATS = 5 if PYPY else 10 if FREE_THREADED else 40  # of what needs a collection each time
DEPTH = 40_000  # of objects, whose recursion in C would overflow the stack
ROUNDS = 100  # of what must leave nothing, for which `counts` looks
TIMEOUT = 60  # seconds, of what must not hang
COUNTS_REFERENCES = not PYPY  # an object without references is gone at once, or nearly so

# Forks beside other threads: where there are none, or where the child can crash (PyPy) or hang in
# the allocator (AddressSanitizer), whatever is tested.
forks_with_threads = pytest.mark.skipif(
    PYPY or not hasattr(os, "fork") or "asan" in os.environ.get("LD_PRELOAD", ""),
    reason="a child of a process with threads does not work there",
)

# PyPy's dict can be changed by another thread in the middle of a look-up that compares keys in
# Python: there the caches promise no more than to stay usable (docs/caching.md).
atomic_look_ups = pytest.mark.skipif(PYPY, reason="look-ups in a dict are not atomic there")
# A walk of the heap takes 20 seconds there beside pytest; tracking/test_heap.py makes some.
# Elsewhere a mark that does nothing: as a decorator and in `pytestmark`, pytest takes marks only.
slow_on_pypy = pytest.mark.slow if PYPY else pytest.mark.skipif(False, reason="it is not slow")
collects = pytest.mark.c_core(reason="the Python tables cannot collect ephemerons")
enters_types = pytest.mark.skipif(FREE_THREADED, reason="types count as live there")
durations = pytest.mark.parametrize(
    "seconds",
    [pytest.param(0.25, id="short"), pytest.param(5.0, id="long", marks=pytest.mark.slow)],
)


def gc_collect_harder() -> None:
    """Collects until nothing more can be found dead.

    One collection is not enough where finalizers run first and their objects are freed by
    the next one, or where the collector is incremental.
    """
    for _ in range(4):
        gc.collect()


def counts() -> tuple[int, int]:
    """How many references and allocated blocks there are, when all garbage is collected."""
    gc_collect_harder()
    # Which keep the names of attributes that pickles have brought.
    getattr(sys, "_clear_internal_caches", getattr(sys, "_clear_type_cache", int))()
    total = sys.gettotalrefcount() if DEBUG_BUILD else 0
    return total, sys.getallocatedblocks()


def freeze() -> None:
    """Takes what there is so far out of the collector's sight, which makes it fast."""
    if not PYPY:
        gc.collect()
        gc.freeze()


def let_die() -> None:
    """To be called after the last reference to something that is in no cycle was dropped."""
    if PYPY:
        gc.collect()  # slow there; two rounds are enough for one with a finalizer
        gc.collect()
    elif FREE_THREADED:
        gc.collect()


class Member:
    """A referent with a label, compared by identity."""

    __slots__ = ("__weakref__", "label", "other")

    def __init__(self, label: Any) -> None:
        self.label = label
        self.other: Any = None  # for cycles

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label!r})"


class EqualMember(Member):
    """A referent compared by its label."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EqualMember) and self.label == other.label

    def __hash__(self) -> int:
        return hash(self.label)


class CollidingMember(EqualMember):
    """A referent compared by its label whose hashes collide all the time."""

    __slots__ = ()

    __eq__ = EqualMember.__eq__

    def __hash__(self) -> int:
        return self.label % 2 if isinstance(self.label, int) else 7


class Unhashable:
    """Weakly referenceable, not hashable."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


class EqualToAll:
    """A hook of the collector that is taken for any other if one compares."""

    def __eq__(self, other: object) -> bool:
        return True

    def __call__(self, *arguments: object) -> None:
        pass


class Thing:
    """A key or a holder: compared by identity, with attributes and a method."""

    def method(self) -> None:
        """Does nothing."""


def members(count: int, make: Callable[[Any], Member] = Member) -> list[Any]:
    return [make(label) for label in range(count)]


class Kind:
    """One of the containers, seen through its members: the objects it refers to weakly.

    Lets one test run on all. `shape` says how its operations are spelt: those of a dictionary
    whose members are the keys ("key") or the values ("value"), or of a set ("set").
    """

    name: str
    shape: str
    cls: type[Any]
    stdlib: type[Any]  # whose API it has
    drop_in = True  # with its private attributes
    by_identity = False  # no user code compares its members
    weak_values = False

    def __repr__(self) -> str:
        return self.name

    def build(self, some: Iterable[Any] = (), cls: type[Any] | None = None) -> Any:
        container = (cls or self.cls)()
        for member in some:
            self.add(container, member)
        return container

    def content(self, some: Iterable[Any]) -> Any:
        """What to give the constructor or update() to insert these members."""
        raise NotImplementedError

    def add(self, container: Any, member: Any) -> None:
        raise NotImplementedError

    def has(self, container: Any, member: Any) -> bool:
        raise NotImplementedError

    def remove(self, container: Any, member: Any) -> None:
        raise NotImplementedError

    def pop(self, container: Any) -> Any:
        raise NotImplementedError

    def iterate(self, container: Any) -> Iterator[Any]:
        raise NotImplementedError

    def references(self, container: Any) -> list[weakref.ref[Any]]:
        raise NotImplementedError

    def reference(self, member: Any) -> weakref.ref[Any]:
        """One that is equal to what `references` gives for this member."""
        return weakly.IdRef(member) if self.by_identity else weakref.ref(member)


class KeyKind(Kind):
    name = "key"
    shape = "key"
    cls = weakly.WeakKeyDictionary
    stdlib = weakref.WeakKeyDictionary
    value: Any = "value"  # of each entry

    def content(self, some: Iterable[Any]) -> Any:
        return [(member, self.value) for member in some]

    def add(self, container: Any, member: Any) -> None:
        container[member] = self.value

    def has(self, container: Any, member: Any) -> bool:
        return member in container

    def remove(self, container: Any, member: Any) -> None:
        del container[member]

    def pop(self, container: Any) -> Any:
        return container.popitem()[0]

    def iterate(self, container: Any) -> Iterator[Any]:
        return container.keys()  # type: ignore[no-any-return]

    def references(self, container: Any) -> list[weakref.ref[Any]]:
        return container.keyrefs()  # type: ignore[no-any-return]


class EphemeronKind(KeyKind):
    name = "ephemeron"
    cls = weakly.EphemeronDictionary


class IdKeyKind(KeyKind):
    name = "id-key"
    cls = weakly.WeakIdKeyDictionary
    by_identity = True


class KeyValueKind(KeyKind):
    """Seen through its keys."""

    name = "key-value"
    cls = weakly.WeakKeyValueDictionary
    drop_in = False
    weak_values = True
    value = Member("value")


class ValueKind(Kind):
    name = "value"
    shape = "value"
    cls = weakly.WeakValueDictionary
    stdlib = weakref.WeakValueDictionary
    weak_values = True

    def content(self, some: Iterable[Any]) -> Any:
        return [(member.label, member) for member in some]

    def add(self, container: Any, member: Any) -> None:
        container[member.label] = member

    def has(self, container: Any, member: Any) -> bool:
        return container.get(member.label) is member

    def remove(self, container: Any, member: Any) -> None:
        del container[member.label]

    def pop(self, container: Any) -> Any:
        return container.popitem()[1]

    def iterate(self, container: Any) -> Iterator[Any]:
        return container.values()  # type: ignore[no-any-return]

    def references(self, container: Any) -> list[weakref.ref[Any]]:
        return container.valuerefs()  # type: ignore[no-any-return]


class SetKind(Kind):
    name = "set"
    shape = "set"
    cls = weakly.WeakSet
    stdlib = weakref.WeakSet

    def content(self, some: Iterable[Any]) -> Any:
        return list(some)

    def add(self, container: Any, member: Any) -> None:
        container.add(member)

    def has(self, container: Any, member: Any) -> bool:
        return member in container

    def remove(self, container: Any, member: Any) -> None:
        container.remove(member)

    def pop(self, container: Any) -> Any:
        return container.pop()

    def iterate(self, container: Any) -> Iterator[Any]:
        return iter(container)

    def references(self, container: Any) -> list[weakref.ref[Any]]:
        return list(container.data)


class IdSetKind(SetKind):
    name = "id-set"
    cls = weakly.WeakIdSet
    by_identity = True


ALL_KINDS: list[Kind] = [
    KeyKind(),
    ValueKind(),
    SetKind(),
    EphemeronKind(),
    IdKeyKind(),
    KeyValueKind(),
    IdSetKind(),
]
KINDS = ALL_KINDS
if PYPY:
    # A collection takes 50 ms there and most tests need some: it has only what runs code that
    # nothing else there runs. Of the Python tables, which are tested with all kinds on CPython, an
    # ephemeron dictionary is a key dictionary, and a set by identity is what a set and a
    # dictionary by identity are made of. Likewise in callables.py and paths.py.
    KINDS = [kind for kind in KINDS if kind.name not in ("ephemeron", "id-set")]
COMPARING = [kind for kind in KINDS if not kind.by_identity]
DROP_IN = [kind for kind in KINDS if kind.drop_in]


def kinds(some: Iterable[Kind]) -> Any:
    """Runs a test on these kinds only."""
    return pytest.mark.parametrize("kind", list(some), ids=lambda kind: kind.name)


def check_holds(kind: Kind, container: Any, expected: Iterable[Any]) -> None:
    """The container is sound and holds exactly these members, in this order."""
    expected = list(expected)
    container._check()
    assert len(container) == len(expected)
    found = list(kind.iterate(container))
    assert len(found) == len(expected)
    assert all(one is other for one, other in zip(found, expected, strict=True)), (found, expected)
    for member in expected:
        assert kind.has(container, member), member


def run_all(*work: Callable[[], object]) -> list[Any]:
    """What each gives or raises, run in threads that all end."""
    results: list[Any] = [None] * len(work)

    def run(at: int) -> None:
        try:
            results[at] = work[at]()
        except BaseException as error:
            results[at] = error

    threads = [threading.Thread(target=run, args=(at,), daemon=True) for at in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return results


class Crew:
    """Threads that start together, run until told to stop, and report what they raised."""

    def __init__(self, *work: Callable[[], object]) -> None:
        self.stop = threading.Event()
        self.errors: list[BaseException] = []
        self.barrier = threading.Barrier(len(work))
        self.threads = [
            threading.Thread(target=self.repeat, args=(each,), daemon=True) for each in work
        ]

    def repeat(self, work: Callable[[], object]) -> None:
        try:
            self.barrier.wait(TIMEOUT)
            while not self.stop.is_set():
                work()
        except BaseException as error:
            self.errors.append(error)
            self.stop.set()

    def run(self, seconds: float) -> None:
        if not PYPY:
            sys.setswitchinterval(1e-5)
        for thread in self.threads:
            thread.start()
        self.stop.wait(seconds)
        self.stop.set()
        deadline = time.monotonic() + 60
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert not any(thread.is_alive() for thread in self.threads), "a thread hangs"
        if self.errors:
            raise self.errors[0]


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.001)  # others are to bring it about


def collect_until(condition: Callable[[], object]) -> None:
    """Also while other threads run: `gc.collect()` does nothing while one of them collects."""

    def holds() -> object:
        gc.collect()
        return condition()

    wait_until(holds)


def let_expire(ttl: float) -> None:
    """Returns when what was stored before, with this time to live, has expired."""
    end = time.monotonic() + ttl
    wait_until(lambda: time.monotonic() > end)


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment with the weakly under test on the path, wherever one stands."""
    home = str(Path(weakly.__file__).resolve().parent.parent)
    env = dict(os.environ)
    tests = Path(__file__).resolve().parent
    paths = [home, str(tests), str(tests / "tracking"), env.get("PYTHONPATH")]
    env["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    for name, value in changes.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return env


def run_python(
    code: str,
    *arguments: str,
    options: Iterable[str] = (),
    env: dict[str, str] | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Runs a program in a fresh interpreter with the same implementation of weakly."""
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code), *arguments],
        env=environment() if env is None else env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def check_runs(code: str, *arguments: str, **how: Any) -> str:
    """Runs a program that must end well and say nothing on stderr; returns its output."""
    result = run_python(code, *arguments, **how)
    assert (result.returncode, result.stderr) == (0, ""), (
        f"exit status {result.returncode}\n{result.stdout}\n{result.stderr}"
    )
    return result.stdout


def failing_allocations(test: Any) -> Any:
    """Runs a test with the two lengths that `no_memory.py` is tried with."""
    test = pytest.mark.parametrize("length", [1, 0], ids=["one", "all from there"])(test)
    skip = pytest.mark.skipif(FREE_THREADED, reason="_testcapi cannot replace the allocators there")
    return skip(test)


def count_failures(program: str, *arguments: object) -> int:
    """Runs a program that lets allocations fail and prints how often one mattered."""
    pytest.importorskip("_testcapi")
    result = run_python(program, *map(str, arguments))
    assert result.returncode == 0, f"{result.returncode}\n{result.stdout}\n{result.stderr[-3000:]}"
    return int(result.stdout.split()[-1])
