"""Memory pressure: who looks when, what is compared, and who is told."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import EqualToAll, check_runs, gc_collect_harder, let_die, run_python, wait_until

import weakly
from weakly import memory
from weakly.memory import MemoryPressure, check_memory, on_memory_pressure

GB = 1 << 30
NEVER = 1 << 60  # a limit

HOOKS = hasattr(gc, "callbacks")
pushed_by_collections = pytest.mark.skipif(not HOOKS, reason="there is no gc.callbacks here")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def hooks() -> int:
    return sum(each is memory._hook for each in gc.callbacks) if HOOKS else 0


def watcher_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "weakly memory watch"]


class Machine:
    """What the process seems to be and to have; and a clock that stands still."""

    def __init__(self) -> None:
        self.resident = 0
        self.memory = 10 * GB
        self.now = 1000.0
        self.looks = 0

    def look(self) -> int:
        self.looks += 1
        return self.resident


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    if memory._caches:  # in a cycle, or on PyPy
        gc_collect_harder()
    assert not memory._watches
    assert not memory._caches
    wait_until(lambda: not watcher_threads())


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(memory, "_psutil", lambda: None)
    monkeypatch.setattr(memory, "_resident", machine.look)
    monkeypatch.setattr(memory, "_memory", lambda: machine.memory)
    monkeypatch.setattr(memory, "monotonic", lambda: machine.now)
    monkeypatch.setattr(memory, "_last_look", 0.0)
    if HOOKS:
        gc.disable()  # looks are counted
    return machine


class Cache:
    """As much of a WeakCache as is watched."""

    def __init__(self, window_weight: int = 100) -> None:
        self.window_weight = window_weight
        self.shrunk_to: list[int] = []

    def shrink(self, weight: int) -> int:
        self.shrunk_to.append(weight)
        self.window_weight = weight
        return 1


def grow(machine: Machine, seconds: float = 1.0) -> None:
    """Let that much time pass, and a cache grow."""
    machine.now += seconds
    memory._grown()


# ---------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"callback": None}, TypeError, "the callback must be callable, not 'NoneType'"),
        ({"limit": "90%"}, TypeError, "limit must be a float .* or an int .*, not 'str'"),
        ({"limit": None}, TypeError, "limit must be"),
        ({"limit": True}, TypeError, "limit must be .*not 'bool'"),
        ({"limit": 0}, ValueError, "limit must be a positive number of bytes, not 0"),
        ({"limit": -1}, ValueError, "limit must be a positive number of bytes, not -1"),
        ({"limit": 0.0}, ValueError, "above 0 and at most 1, not 0.0"),
        ({"limit": 1.5}, ValueError, "above 0 and at most 1, not 1.5"),
        ({"limit": float("nan")}, ValueError, "above 0 and at most 1, not nan"),
        ({"every": "1"}, TypeError, "every must be a number or None, not 'str'"),
        ({"every": True}, TypeError, "every must be a number or None, not 'bool'"),
        ({"every": 0}, ValueError, "every must be a positive, finite number of seconds, not 0"),
        ({"every": -1.0}, ValueError, "every must be"),
        ({"every": float("nan")}, ValueError, "every must be"),
        ({"every": float("inf")}, ValueError, "every must be"),
    ],
)
@pytest.mark.usefixtures("machine")
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        on_memory_pressure(**{"callback": print} | arguments)
    assert not memory._watches
    if "limit" in arguments:
        with pytest.raises(error, match=message):
            check_memory(**arguments)


def test_without_psutil_it_says_what_to_install():
    out = check_runs("""
        import gc, sys
        import weakly
        from weakly import memory
        assert "psutil" not in sys.modules, "imported by weakly alone"
        sys.modules["psutil"] = None
        class Cache: pass
        cache = Cache()
        before = list(getattr(gc, "callbacks", []))
        for ask in (
            lambda: memory.on_memory_pressure(print),
            lambda: memory.on_memory_pressure(print, every=1),
            lambda: memory._watch(cache),
            memory.check_memory,
        ):
            try:
                ask()
            except ImportError as error:
                print(error)
        assert not memory._watches and not memory._caches and not memory._thread
        assert before == list(getattr(gc, "callbacks", []))
    """)
    message = "watching memory needs psutil, which is not installed: pip install weakly[memory]"
    assert out.splitlines() == [message] * 4


# ------------------------------------------------------------------------ what is compared


@pytest.mark.parametrize(
    ("arguments", "in_bytes"),
    [
        ({}, 9 * GB),
        ({"limit": 1.0}, 10 * GB),
        ({"limit": 0.001}, GB // 100),
        ({"limit": 7 * GB}, 7 * GB),
    ],
)
def test_a_share_or_bytes(machine, arguments, in_bytes):
    machine.resident = in_bytes - 1
    assert check_memory(**arguments) is None
    machine.resident = in_bytes
    pressure = check_memory(**arguments)
    assert pressure == MemoryPressure(resident=in_bytes, limit=in_bytes)
    assert repr(pressure) == f"MemoryPressure(resident={in_bytes}, limit={in_bytes})"


V1, V2 = "memory.limit_in_bytes", "memory.max"
NESTED = {f"{group}{V2}": "300\n" for group in ("a/b/c/", "a/b/", "a/", "")}
TWO = "4:memory:/a\n0::/b\n"
THREE = "9:name=systemd:/a\n5:cpu,memory:/a/b\n2:cpuset:/a\n0::/\n"
INNER = {f"memory/a/{V1}": "400\n", f"cpuset/a/{V1}": "1\n"}


@pytest.mark.parametrize(
    ("process", "files", "expected"),
    [
        (None, {}, 1000),
        # version 2: the smallest on the way to the root
        *(("0::/a/b/c\n", NESTED | {path: "200\n", f"d/{V2}": "1\n"}, 200) for path in NESTED),
        ("0::/a:b\n", {f"a:b/{V2}": "100\n"}, 100),
        # what is no limit
        *(
            ("0::/a\n", {f"a/{V2}": content, V2: "500"}, 500)
            for content in ("max\n", "", "nonsense\n", "-1\n", "0\n", "9" * 19, "²\n")
        ),
        # lines that say nothing
        *((line, {}, 1000) for line in ("", "\n", "nonsense", "0:", ":::::\n")),
        # version 1
        (THREE, {f"memory/{V1}": "9223372036854771712\n"}, 1000),
        (THREE, INNER, 400),
        (THREE, INNER | {f"memory/a/b/{V1}": "300\n"}, 300),
        ("4:memory:/docker/0123abc\n", {f"memory/{V1}": "500\n"}, 500),  # only its root
        # both versions
        (TWO, INNER | {f"b/{V2}": "600\n"}, 400),
        (TWO, INNER | {f"b/{V2}": "200\n"}, 200),
    ],
)
def test_control_groups(tmp_path, monkeypatch, process, files, expected):
    monkeypatch.setattr(memory, "_CGROUP_OF_PROCESS", str(tmp_path / "process"))
    monkeypatch.setattr(memory, "_CGROUPS", str(tmp_path / "groups"))
    monkeypatch.setattr(memory, "_machine_memory", lambda: 1000)
    if process is not None:
        (tmp_path / "process").write_text(process)
    for path, content in files.items():
        file = Path(tmp_path, "groups", path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    assert memory._memory() == expected


# --------------------------------------------------------------------- callbacks and handles


def test_called_at_each_look_that_finds_its_limit_reached(machine):
    low: list[MemoryPressure] = []
    high: list[MemoryPressure] = []
    with on_memory_pressure(low.append, limit=100), on_memory_pressure(high.append, limit=0.5):
        for resident in (99, 100, 101, 101, 5 * GB):
            machine.resident = resident
            assert check_memory() is None
    assert low == [(100, 100), (101, 100), (101, 100), (5 * GB, 100)]
    assert high == [(5 * GB, 5 * GB)]


def test_cancelling_ends_it_and_dropping_the_handle_does_not(machine):
    machine.resident = 100
    seen: list[object] = []
    watch = on_memory_pressure(seen.append, limit=1)
    with on_memory_pressure(seen.append, limit=1):
        watch.cancel()
        watch.cancel()
        check_memory()
        assert len(seen) == 1
    check_memory()
    assert len(seen) == 1
    on_memory_pressure(seen.append, limit=1)
    let_die()
    check_memory()
    assert len(seen) == 2
    memory._watches.clear()


def test_a_callback_may_cancel_itself_and_others(machine):
    def callback(_: object) -> None:
        seen.append("called")
        for watch in watches:
            watch.cancel()

    machine.resident = 100
    seen: list[str] = []
    watches = [on_memory_pressure(callback, limit=1) for _ in range(3)]
    check_memory()
    check_memory()
    assert seen == ["called"]


def test_a_callback_that_looks_is_not_called_by_that(machine):
    machine.resident = 100
    seen: list[object] = []

    def callback(_: object) -> None:
        seen.append(check_memory(limit=50))
        grow(machine)
        gc.collect()

    looks = [check_memory, lambda: grow(machine)] + [gc.collect] * HOOKS
    with on_memory_pressure(callback, limit=1):
        for look in looks:
            look()
    assert seen == [(100, 50)] * len(looks)


def test_a_callback_under_way_in_another_thread_is_not_called(machine):
    machine.resident = 100
    entered, leave = threading.Event(), threading.Event()
    seen: list[object] = []

    def callback(pressure: object) -> None:
        seen.append(pressure)
        entered.set()
        assert leave.wait(60)

    with on_memory_pressure(callback, limit=1):
        thread = threading.Thread(target=check_memory)
        thread.start()
        assert entered.wait(60)
        check_memory()
        leave.set()
        thread.join()
        assert len(seen) == 1
        check_memory()
        assert len(seen) == 2


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_errors_go_to_the_unraisable_hook(machine, unraisable, error):
    machine.resident = 10 * GB
    seen: list[object] = []

    def fail(_: object) -> None:
        raise error("of a callback")

    class Bad(Cache):
        def shrink(self, weight: int) -> int:
            raise error("of a cache")

    caches = [Cache(), Bad(), Cache()]
    for cache in caches:
        memory._watch(cache)
    with on_memory_pressure(fail, limit=1), on_memory_pressure(seen.append, limit=1):
        check_memory()
        grow(machine)
    assert unraisable == [(error, "of a cache"), (error, "of a callback")] * 2
    assert caches[0].shrunk_to == caches[2].shrunk_to == [75, 56]
    assert len(seen) == 2


def test_errors_are_printed_unless_there_is_a_hook(machine, monkeypatch, capsys):
    machine.resident = 100

    def callback(_: object) -> None:
        raise ZeroDivisionError("of the callback")

    def bad_hook(_: object) -> None:
        raise KeyError("of the hook")

    with monkeypatch.context() as patch, on_memory_pressure(callback, limit=1):
        patch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
        check_memory()
        lines = capsys.readouterr().err.splitlines()
        assert lines[:2] == [
            f"Exception ignored in: {callback!r}",
            "Traceback (most recent call last):",
        ]
        assert lines[-1] == "ZeroDivisionError: of the callback"
        patch.setattr(sys, "unraisablehook", bad_hook)
        check_memory()
        printed = capsys.readouterr().err
        assert "KeyError: 'of the hook'" in printed
        assert printed.endswith("ZeroDivisionError: of the callback\n")


def test_a_look_that_fails(machine, monkeypatch, unraisable):
    def fail() -> int:
        raise OSError("no more files")

    monkeypatch.setattr(memory, "_resident", fail)
    with on_memory_pressure(print):
        grow(machine)
        if HOOKS:
            gc.collect()
        assert unraisable == [(OSError, "no more files")] * (1 + HOOKS)
        with pytest.raises(OSError, match="no more files"):
            check_memory()


def test_repr(machine):
    with on_memory_pressure(print) as share, on_memory_pressure(print, limit=100) as in_bytes:
        assert repr(share) == "<MemoryWatch: <built-in function print> at 90%>"
        assert repr(in_bytes) == "<MemoryWatch: <built-in function print> at 100 bytes>"
    assert repr(share).endswith(" at 90% (cancelled)>")


# ------------------------------------------------------------------------------- growth


@pytest.mark.parametrize(
    "happens",
    [memory._grown, pytest.param(lambda: gc.collect(0), marks=pushed_by_collections)],
    ids=["growth", "young collections"],
)
def test_at_most_one_look_in_50_ms(machine, happens):
    machine.resident = 100
    seen: list[object] = []
    with on_memory_pressure(seen.append, limit=1):
        for expected, seconds in enumerate([1.0, 0.06, 1.0], start=1):
            machine.now += seconds
            for _ in range(100):
                happens()
                machine.now += 0.0004
            assert machine.looks == len(seen) == expected


def test_caches_let_go_of_a_quarter_for_as_long_as_the_pressure_lasts(machine):
    class Looking(Cache):
        def shrink(self, weight: int) -> int:
            check_memory()  # which does not shrink once more
            return super().shrink(weight)

    cache, other = Looking(100), Cache(7)
    memory._watch(cache)
    memory._watch(other)
    machine.resident = 9 * GB - 1
    grow(machine)
    assert cache.shrunk_to == other.shrunk_to == []
    machine.resident = 9 * GB
    for _ in range(3):
        grow(machine)
    assert cache.shrunk_to == [75, 56, 42]
    assert other.shrunk_to == [5, 3, 2]
    for _ in range(20):
        grow(machine)
    assert cache.window_weight == other.window_weight == 0
    machine.resident = GB
    grow(machine)
    assert len(cache.shrunk_to) == 23


def test_caches_are_shrunk_by_every_kind_of_look(machine):
    cache = Cache(1 << 20)
    memory._watch(cache)
    machine.resident = 10 * GB
    check_memory(limit=20 * GB)
    gc.collect()
    assert len(cache.shrunk_to) == 1 + HOOKS
    with on_memory_pressure(lambda _: None, every=1):
        wait_until(lambda: len(cache.shrunk_to) == 2 + HOOKS)


@pytest.mark.parametrize("make", [Cache, lambda: weakly.WeakCache(8, shrink_under_pressure=True)])
def test_a_cache_is_held_weakly(machine, make):
    machine.resident = 10 * GB
    cache = make()
    if isinstance(cache, Cache):
        memory._watch(cache)
    else:
        cache[1] = "1"
    check_memory()
    reference = weakref.ref(cache)
    del cache
    let_die()
    assert reference() is None
    assert len(memory._caches) == 0
    looks = machine.looks
    grow(machine)
    gc.collect()
    assert machine.looks == looks


def test_a_weak_cache_lets_go_of_the_coldest(machine):
    cache: weakly.WeakCache[int, str] = weakly.WeakCache(8, shrink_under_pressure=True)
    for number in range(8):
        cache[number] = str(number)
    for _ in range(3):
        assert cache[7] == "7"
    machine.resident = 9 * GB
    for weight in (6, 4, 3, 2, 1):
        check_memory()
        assert cache.window_weight == len(cache) == weight
        cache._check()
    assert list(cache) == [7]
    plain: weakly.WeakCache[int, str] = weakly.WeakCache(8)
    plain[1] = "1"
    check_memory()
    assert (list(plain), list(cache)) == ([1], [])


@pytest.mark.parametrize(
    "insert",
    [
        lambda cache, key: cache.__setitem__(key, "new"),
        lambda cache, key: cache.setdefault(key, "new"),
        lambda cache, key: cache.store(key, "new"),
        lambda cache, key: cache.store(key, "new", weight=1),
        lambda cache, key: cache.get_or_create(key, lambda: "new"),
        lambda cache, key: cache.get_or_create(key, lambda: "new", weight=1),
        lambda cache, key: cache.update({key: "new"}),
    ],
)
def test_a_weak_cache_that_grows_looks(machine, insert):
    cache, other = weakly.WeakCache(9, shrink_under_pressure=True), weakly.WeakCache(9)
    insert(cache, "first")
    insert(cache, "second")
    assert (machine.looks, cache.window_weight) == (1, 2)
    machine.resident = 10 * GB
    machine.now += 0.06
    insert(cache, "third")
    assert (machine.looks, cache.window_weight) == (2, 2)
    machine.now += 1
    insert(other, "first")
    assert machine.looks == 2


def test_a_callback_that_fills_the_cache_it_shrinks(machine):
    def fill(key: int, value: str | None, cause: str) -> None:
        causes.append(cause)
        if len(causes) < 50:
            machine.now += 1
            cache[key + 100] = "more"

    causes: list[str] = []
    cache: weakly.WeakCache[int, str] = weakly.WeakCache(
        8, shrink_under_pressure=True, on_evict=fill
    )
    for number in range(8):
        cache[number] = str(number)
    machine.resident = 10 * GB
    check_memory()
    cache._check()
    assert set(causes) == {"size"}


# -------------------------------------------------------------------------- collections


@pushed_by_collections
def test_collections_bring_no_look_unless_somebody_needs_it(machine):
    with on_memory_pressure(print, every=1000):
        assert hooks() == 0
        wait_until(lambda: machine.looks == 1)
        with on_memory_pressure(print), on_memory_pressure(print):
            assert hooks() == 1
            gc.collect()
            assert machine.looks == 2
        gc.collect()
        assert machine.looks == 2


@pushed_by_collections
def test_full_collections_bring_looks_in_the_thread_that_collects(machine):
    machine.resident = 100
    seen: list[threading.Thread] = []
    with on_memory_pressure(lambda _: seen.append(threading.current_thread()), limit=1):
        gc.collect()
        thread = threading.Thread(target=lambda: [gc.collect() for _ in range(2)])
        thread.start()
        thread.join()
    assert seen == [threading.current_thread(), thread, thread]


@pushed_by_collections
@pytest.mark.parametrize("ends", ["nothing", "a watch", "a cache"])
def test_other_hooks_are_called_in_every_phase(machine, ends):
    """Once, whoever came after a hook that was taken away missed the "stop"."""
    machine.resident = 10 * GB
    phases: list[str] = []
    if ends == "a cache":
        memory._watch(Cache())  # and it dies
    else:
        watch = on_memory_pressure(lambda _: ends == "a watch" and watch.cancel())
    for name in "ab":
        gc.callbacks.append(lambda phase, _, name=name: phases.append(name + phase))
    for _ in range(2):
        gc.collect()
    assert phases == ["astart", "bstart", "astop", "bstop"] * 2
    if ends == "nothing":
        watch.cancel()


@pushed_by_collections
@pytest.mark.parametrize(
    "arms",
    [lambda: on_memory_pressure(print).cancel(), memory._grown, lambda: memory._watch(Cache())],
    ids=["registering", "growth", "another cache"],
)
@pytest.mark.parametrize("others", [[], [EqualToAll()]], ids=["none", "equal to all"])
def test_a_cleared_list_is_filled_again(machine, arms, others):
    cache = Cache()
    memory._watch(cache)
    gc.callbacks[:] = others
    arms()
    assert hooks() == 1
    looks = machine.looks
    gc.collect()
    assert machine.looks == looks + 1


@pushed_by_collections
def test_looks_in_the_middle_of_all_that_a_cache_does(machine, monkeypatch):
    monkeypatch.setattr(memory, "_INTERVAL", 0.0)
    machine.resident = 10 * GB
    gone: list[str] = []
    cache: weakly.WeakCache[int, Any] = weakly.WeakCache(
        50, shrink_under_pressure=True, on_evict=lambda *event: gone.append(event[2])
    )
    gc.set_threshold(3)
    gc.enable()
    for number in range(300):
        cache[number % 70] = weakly.Box(number)
        cache.get_or_create(number % 50, lambda number=number: [[number]])
        cache.pop(number % 30, None)
        cache.get(number % 40)
        cache.shrink(len(list(cache)) // 2)
    gc.disable()
    cache._check()
    assert machine.looks > 300
    assert "size" in gone


# ---------------------------------------------------------------------------- the thread


@pytest.fixture
def pressure(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """There is pressure all the time, and the clock goes."""
    machine.resident = 10 * GB
    monkeypatch.setattr(memory, "monotonic", time.monotonic)
    return machine


@pytest.mark.usefixtures("pressure")
def test_every_so_often_by_a_daemon_thread():
    seen: list[tuple[float, threading.Thread]] = []

    def callback(_: object) -> None:
        seen.append((time.monotonic(), threading.current_thread()))

    begin = time.monotonic()
    with on_memory_pressure(callback, every=0.02):
        wait_until(lambda: len(seen) >= 4)
        (thread,) = watcher_threads()
    assert thread.daemon
    assert {thread for _, thread in seen} == {thread}
    # Each can come late, and the next be in time.
    assert all(when - begin > number * 0.015 for number, (when, _) in enumerate(seen))


@pytest.mark.usefixtures("pressure")
def test_one_thread_for_all_each_at_its_time():
    often: list[object] = []
    rarely: list[object] = []
    never: list[object] = []
    with on_memory_pressure(never.append):
        assert watcher_threads() == []  # unless asked for
        with on_memory_pressure(rarely.append, every=1000):
            wait_until(lambda: rarely)  # the first look is at once
            with on_memory_pressure(often.append, every=0.01):
                wait_until(lambda: len(often) >= 5)
                assert len(watcher_threads()) == 1
            (thread,) = watcher_threads()
        thread.join(60)
        assert not thread.is_alive()
        with on_memory_pressure(often.append, every=1000):
            assert len(watcher_threads()) == 1
    assert len(rarely) == 1
    assert never == []


@pytest.mark.usefixtures("pressure")
def test_callbacks_in_the_thread_that_fail_and_that_cancel(unraisable):
    seen: list[object] = []

    def callback(pressure: object) -> None:
        seen.append(pressure)
        if len(seen) == 3:
            watch.cancel()
        raise SystemExit("of the callback")

    on_memory_pressure(lambda _: None, every=1000).cancel()
    watch = on_memory_pressure(callback, every=0.01, limit=NEVER)
    watch.cancel()
    watch = on_memory_pressure(callback, every=0.01, limit=1)
    wait_until(lambda: not watcher_threads())
    assert unraisable == [(SystemExit, "of the callback")] * 3


@pytest.mark.usefixtures("pressure")
def test_a_thread_that_cannot_start(monkeypatch):
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(memory, "Thread", NoThread)
        with pytest.raises(RuntimeError, match="can't start"):
            on_memory_pressure(print, every=1)
    assert not memory._watches
    with on_memory_pressure(lambda _: None, every=1):
        assert len(watcher_threads()) == 1


@pytest.mark.usefixtures("pressure")
def test_who_comes_when_the_thread_is_about_to_end(monkeypatch):
    late: list[memory.MemoryWatch] = []
    called = threading.Event()

    class Threads(dict[str, threading.Thread]):
        def pop(self, *key: Any) -> Any:  # what the thread does when nobody is left
            if not late:
                late.append(on_memory_pressure(lambda _: called.set(), every=1000))
            return super().pop(*key)

    monkeypatch.setattr(memory, "_thread", Threads())
    on_memory_pressure(lambda _: None, every=1000).cancel()
    assert called.wait(60)
    assert len(watcher_threads()) == 1
    late[0].cancel()


@pytest.mark.usefixtures("pressure")
def test_many_threads_come_and_go():
    seen: list[object] = []
    missed: list[int] = []

    def come_and_go(number: int) -> None:
        for turn in range(30):
            called = threading.Event()
            every = 1000.0 if turn % 2 else 0.001
            with on_memory_pressure(lambda _, called=called: called.set(), every=every):
                if not called.wait(60):
                    missed.append(number)
            with on_memory_pressure(seen.append):
                memory._grown()

    gc.enable()
    threads = [threading.Thread(target=come_and_go, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missed == []


# ------------------------------------------------------------------- processes of their own

FAKES = """
import gc, os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside a thread
from weakly import memory
memory._psutil = lambda: None
memory._resident = memory._memory = lambda: 100
if hasattr(gc, "callbacks"):
    gc.disable()

def wait_until(condition):
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    assert condition()

def threads():
    return [t for t in threading.enumerate() if t.name == "weakly memory watch"]

def ends_well(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""

HAS_ITS_OWN_THREAD = """
seen = []
watch = memory.on_memory_pressure(lambda _: seen.append(os.getpid()), every=0.01)
wait_until(lambda: seen)
child = os.fork()
if not child:
    seen.clear()
    wait_until(lambda: len(seen) > 2)
    assert set(seen) == {os.getpid()} and len(threads()) == 1
    watch.cancel()
    wait_until(lambda: not threads())
    with memory.on_memory_pressure(seen.append, every=1000):
        assert len(threads()) == 1
    os._exit(7)
assert ends_well(child)
assert len(threads()) == 1
watch.cancel()
wait_until(lambda: not threads())
child = os.fork()
if not child:
    os._exit(8 if threads() else 7)
assert ends_well(child)
"""

FORKED_IN_A_CALLBACK = """
children, seen = [], []
def callback(_):
    if children:
        seen.append(os.getpid())
    else:
        children.append(os.fork())
with memory.on_memory_pressure(callback):
    memory.check_memory()
    assert not seen
    memory.check_memory()
    assert seen == [os.getpid()]
if not children[0]:
    os._exit(7)
assert ends_well(children[0])
"""

FORKED_IN_THE_THREAD = """
parent, children, seen = os.getpid(), [], []
def callback(_):
    if os.getpid() != parent:
        seen.append(threading.current_thread())
    elif not children:
        children.append(os.fork())
        if os.getpid() != parent:
            try:
                wait_until(lambda: len(seen) > 2)
                others = {thread is not threading.current_thread() for thread in seen}
                os._exit(7 if others == {True} else 8)
            finally:
                os._exit(9)
with memory.on_memory_pressure(callback, every=0.01):
    wait_until(lambda: children)
    assert ends_well(children[0])
wait_until(lambda: not threads())
"""


@forks
@pytest.mark.parametrize(
    "program", [HAS_ITS_OWN_THREAD, FORKED_IN_A_CALLBACK, FORKED_IN_THE_THREAD]
)
def test_forked_children(program):
    assert check_runs(FAKES + program + "print('done')") == "done\n"


@pytest.mark.parametrize("every", [None, 0.001])
# While collections go on, in the main thread or in the other.
@pytest.mark.parametrize("ends", ["", "sys.exit(0)", "time.sleep(0.05)"])
def test_the_end_of_the_process(every, ends):
    out = check_runs(
        FAKES
        + f"""
class Cache:
    window_weight = 4
    def shrink(self, weight): pass
class Cycle:
    def __init__(self): self.cycle = self
    def __del__(self): pass
gc.enable()
cache = Cache()
memory._watch(cache)
junk = [Cycle() for _ in range(1000)]
junk[0].watch = memory.on_memory_pressure(lambda _: time.sleep(0.002), every={every})
sys.cache = cache  # outlives the modules
threading.Thread(target=lambda: [gc.collect() for _ in range(1000)], daemon=True).start()
print("done", flush=True)
{ends}
"""
    )
    assert out == "done\n"


def test_a_callback_under_way_delays_the_end_little():
    before = time.monotonic()
    result = run_python(
        FAKES
        + """
called = threading.Event()
memory.on_memory_pressure(lambda _: called.set() or time.sleep(1000), every=0.01)
assert called.wait(60)
"""
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert time.monotonic() - before < 60


# ------------------------------------------------------------------------------- for real


def test_real_allocations():
    pytest.importorskip("psutil")
    assert 1 << 20 < memory._resident() < memory._memory() < NEVER
    out = check_runs("""
        import gc, os, threading
        from weakly import memory
        MB = 1 << 20
        def fill():
            return bytes(range(256)) * (200 * MB // 256)
        limit = memory._resident() + 100 * MB
        by_collection, by_thread = [], []
        called = threading.Event()
        def callback(pressure):
            by_thread.append(pressure)
            called.set()
        if hasattr(os, "fork"):  # a child's size is its own
            child = os.fork()
            if not child:
                data = fill()
                os._exit(7 if memory.check_memory(limit=limit) else 8)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        with (
            memory.on_memory_pressure(by_collection.append, limit=limit),
            memory.on_memory_pressure(callback, limit=limit, every=0.01),
        ):
            gc.collect()
            assert not called.wait(0.1) and not by_collection
            assert memory.check_memory(limit=limit) is None
            data = fill()
            gc.collect()
            memory._grown()
            assert called.wait(60)
            assert memory.check_memory(limit=limit) is not None
        for pressure in (by_collection[0], by_thread[0]):
            assert pressure.limit == limit
            assert limit <= pressure.resident <= limit + 200 * MB, (pressure, limit)
        print("done")
    """)
    assert out == "done\n"
