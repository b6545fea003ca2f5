"""Memory pressure: who looks when, what is compared, and who is told."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import check_runs, gc_collect_harder, let_die, run_python

import weakly
from weakly import memory
from weakly.memory import MemoryPressure, check_memory, on_memory_pressure

GB = 1 << 30

pushed_by_collections = pytest.mark.skipif(
    not hasattr(gc, "callbacks"), reason="there is no gc.callbacks here"
)
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def hooks() -> list[Any]:
    return [hook for hook in getattr(gc, "callbacks", []) if isinstance(hook, memory._Hook)]


def watcher_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "weakly memory watch"]


def wait_until(condition: Any, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    return bool(condition())


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
    memory._look_for_untimed()  # where a dead cache's hook goes
    assert not memory._watches
    assert not memory._caches
    assert hooks() == []
    assert wait_until(lambda: not watcher_threads())


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(memory, "_psutil", lambda: None)
    monkeypatch.setattr(memory, "_resident", machine.look)
    monkeypatch.setattr(memory, "_memory", lambda: machine.memory)
    monkeypatch.setattr(memory, "monotonic", lambda: machine.now)
    monkeypatch.setattr(memory, "_last_look", 0.0)
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


@pytest.mark.parametrize(("limit", "error"), [("1", TypeError), (0, ValueError), (2.0, ValueError)])
@pytest.mark.usefixtures("machine")
def test_bad_limit_of_a_check(limit, error):
    with pytest.raises(error):
        check_memory(limit=limit)


def test_without_psutil_it_says_what_to_install():
    out = check_runs("""
        import gc, sys
        import weakly
        from weakly import memory
        assert not {"psutil", "ctypes"} & set(sys.modules), "imported by weakly alone"
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
    ("limit", "in_bytes"), [(0.9, 9 * GB), (1.0, 10 * GB), (0.001, GB // 100), (7 * GB, 7 * GB)]
)
def test_a_share_or_bytes(machine, limit, in_bytes):
    machine.resident = in_bytes - 1
    assert check_memory(limit=limit) is None
    machine.resident = in_bytes
    assert check_memory(limit=limit) == MemoryPressure(resident=in_bytes, limit=in_bytes)


def test_nine_tenths_unless_told(machine):
    machine.resident = 9 * GB - 1
    assert check_memory() is None
    machine.resident = 9 * GB
    assert check_memory() == (9 * GB, 9 * GB)


class Groups:
    """Files as Linux has them about control groups."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.process = folder / "cgroup-of-process"
        monkeypatch.setattr(memory, "_CGROUP_OF_PROCESS", str(self.process))
        monkeypatch.setattr(memory, "_CGROUPS", str(folder / "cgroups"))
        monkeypatch.setattr(memory, "_machine_memory", lambda: 1000)

    def write(self, path: str, content: str) -> None:
        file = self.folder / "cgroups" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    return Groups(tmp_path, monkeypatch)


def test_no_groups(groups):
    assert memory._memory() == 1000


@pytest.mark.parametrize("smallest", ["a/b/c", "a/b", "a", "."])
def test_version_2_the_smallest_on_the_way_to_the_root(groups, smallest):
    groups.process.write_text("0::/a/b/c\n")
    for path in ("a/b/c", "a/b", "a", "."):
        groups.write(f"{path}/memory.max", "200\n" if path == smallest else "300\n")
    groups.write("other/memory.max", "1\n")
    assert memory._memory() == 200


@pytest.mark.parametrize("content", ["max\n", "", "nonsense\n", "-1\n", "0\n", "9" * 19, "²\n"])
def test_what_is_no_limit(groups, content):
    groups.process.write_text("0::/a\n")
    groups.write("a/memory.max", content)
    assert memory._memory() == 1000
    groups.write("memory.max", "500")
    assert memory._memory() == 500


def test_version_1(groups):
    groups.process.write_text("9:name=systemd:/a\n5:cpu,memory:/a/b\n2:cpuset:/a\n0::/\n")
    groups.write("memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert memory._memory() == 1000
    groups.write("memory/a/memory.limit_in_bytes", "400\n")
    assert memory._memory() == 400
    groups.write("memory/a/b/memory.limit_in_bytes", "300\n")
    assert memory._memory() == 300
    groups.write("cpuset/a/memory.limit_in_bytes", "1\n")
    assert memory._memory() == 300


def test_both_versions(groups):
    groups.process.write_text("4:memory:/a\n0::/b\n")
    groups.write("memory/a/memory.limit_in_bytes", "400\n")
    groups.write("b/memory.max", "600\n")
    assert memory._memory() == 400
    groups.write("b/memory.max", "200\n")
    assert memory._memory() == 200


def test_a_container_that_sees_only_its_own_root(groups):
    groups.process.write_text("4:memory:/docker/0123abc\n")
    groups.write("memory/memory.limit_in_bytes", "500\n")
    assert memory._memory() == 500


@pytest.mark.parametrize("content", ["", "\n", "nonsense", "0:", ":::::\n", "0::/a:b\n"])
def test_odd_lines(groups, content):
    groups.process.write_text(content)
    assert memory._memory() == 1000


def test_a_group_with_a_colon_in_its_name(groups):
    groups.process.write_text("0::/a:b\n")
    groups.write("a:b/memory.max", "100\n")
    assert memory._memory() == 100


# --------------------------------------------------------------------- callbacks and handles


def test_called_at_each_look_that_finds_pressure(machine):
    seen: list[MemoryPressure] = []
    with on_memory_pressure(seen.append, limit=100):
        machine.resident = 99
        check_memory()
        assert seen == []
        for resident in (100, 101, 101):
            machine.resident = resident
            check_memory()
    assert seen == [(100, 100), (101, 100), (101, 100)]


def test_the_record(machine):
    machine.resident = GB
    pressure = check_memory(limit=0.1)
    assert pressure is not None
    assert repr(pressure) == f"MemoryPressure(resident={GB}, limit={GB})"
    with pytest.raises(AttributeError):
        pressure.limit = 1  # type: ignore[misc]


def test_each_has_its_own_limit(machine):
    seen: list[str] = []
    low = on_memory_pressure(lambda _: seen.append("low"), limit=100)
    high = on_memory_pressure(lambda _: seen.append("high"), limit=0.5)
    machine.resident = 200
    assert check_memory() is None
    assert seen == ["low"]
    machine.resident = 5 * GB
    check_memory()
    assert seen == ["low", "low", "high"]
    low.cancel()
    high.cancel()


def test_cancelled_ones_are_not_called(machine):
    machine.resident = 100
    seen: list[object] = []
    watch = on_memory_pressure(seen.append, limit=1)
    with on_memory_pressure(seen.append, limit=1) as other:
        assert isinstance(other, memory.MemoryWatch)
        watch.cancel()
        watch.cancel()
        check_memory()
        assert len(seen) == 1
    check_memory()
    assert len(seen) == 1


def test_dropping_the_handle_cancels_nothing(machine):
    machine.resident = 100
    seen: list[object] = []
    on_memory_pressure(seen.append, limit=1)
    let_die()
    check_memory()
    assert len(seen) == 1
    memory._watches.clear()


def test_a_callback_may_cancel_itself_and_others(machine):
    machine.resident = 100
    seen: list[str] = []

    def callback(_: object) -> None:
        seen.append("called")
        for watch in watches:
            watch.cancel()

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

    with on_memory_pressure(callback, limit=1):
        check_memory()
    assert seen == [(100, 50)]


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
    machine.resident = 100
    seen: list[object] = []

    def callback(_: object) -> None:
        raise error("of the callback")

    with on_memory_pressure(callback, limit=1), on_memory_pressure(seen.append, limit=1):
        check_memory()
        check_memory()
    assert unraisable == [(error, "of the callback")] * 2
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
        assert unraisable == [(OSError, "no more files")]
        with pytest.raises(OSError, match="no more files"):
            check_memory()


def test_repr(machine):
    with (
        on_memory_pressure(print) as share,
        on_memory_pressure(print, limit=100) as in_bytes,
    ):
        assert repr(share) == "<MemoryWatch: <built-in function print> at 90%>"
        assert repr(in_bytes) == "<MemoryWatch: <built-in function print> at 100 bytes>"
    assert repr(share).endswith(" at 90% (cancelled)>")


# ------------------------------------------------------------------------------- growth


def test_at_most_one_look_in_50_ms(machine):
    machine.resident = 100
    seen: list[object] = []
    with on_memory_pressure(seen.append, limit=1):
        for expected, seconds in enumerate([1.0, 0.06, 1.0], start=1):
            grow(machine, seconds)
            for _ in range(100):
                grow(machine, 0.0004)
            assert machine.looks == len(seen) == expected


def test_caches_let_go_of_a_quarter_for_as_long_as_the_pressure_lasts(machine):
    cache, other = Cache(100), Cache(7)
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
    assert len(cache.shrunk_to) == 1
    with on_memory_pressure(lambda _: None, every=1):
        assert wait_until(lambda: len(cache.shrunk_to) == 2)
    if hasattr(gc, "callbacks"):
        gc.collect()
        assert len(cache.shrunk_to) == 3


def test_a_cache_is_held_weakly(machine):
    machine.resident = 10 * GB
    cache = Cache()
    memory._watch(cache)
    if hasattr(gc, "callbacks"):
        assert len(hooks()) == 1
    died: list[str] = []
    weakref.finalize(cache, died.append, "died")
    check_memory()
    del cache
    let_die()
    assert died == ["died"]
    assert len(memory._caches) == 0
    looks = machine.looks
    grow(machine)
    assert machine.looks == looks
    assert hooks() == []


def test_a_cache_that_fails_to_shrink(machine, unraisable):
    class Bad(Cache):
        def shrink(self, weight: int) -> int:
            raise ZeroDivisionError("of the cache")

    caches = [Cache(), Bad(), Cache()]
    for cache in caches:
        memory._watch(cache)
    machine.resident = 10 * GB
    check_memory()
    assert unraisable == [(ZeroDivisionError, "of the cache")]
    assert caches[0].shrunk_to == caches[2].shrunk_to == [75]
    check_memory()
    assert caches[2].shrunk_to == [75, 56]


def test_shrinking_that_looks_again_shrinks_once(machine):
    class Looking(Cache):
        def shrink(self, weight: int) -> int:
            check_memory()
            return super().shrink(weight)

    cache = Looking()
    memory._watch(cache)
    machine.resident = 10 * GB
    check_memory()
    assert cache.shrunk_to == [75]


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
        lambda cache, key: cache.get_or_create(key, lambda: "new"),
        lambda cache, key: cache.update({key: "new"}),
    ],
    ids=["[]", "setdefault", "store", "get_or_create", "update"],
)
def test_a_weak_cache_that_grows_looks(machine, insert):
    cache: weakly.WeakCache[object, str] = weakly.WeakCache(100, shrink_under_pressure=True)
    insert(cache, "first")
    assert machine.looks == 1
    insert(cache, "second")
    assert machine.looks == 1
    machine.resident = 10 * GB
    machine.now += 0.06
    insert(cache, "third")
    assert (machine.looks, cache.window_weight) == (2, 2)
    other: weakly.WeakCache[object, str] = weakly.WeakCache(100)
    machine.now += 1
    insert(other, "first")
    assert machine.looks == 2


def test_a_weak_cache_dies_as_if_nobody_watched(machine):
    cache: weakly.WeakCache[int, str] = weakly.WeakCache(8, shrink_under_pressure=True)
    cache[1] = "1"
    check_memory()
    reference = weakref.ref(cache)
    del cache
    let_die()
    assert reference() is None
    assert len(memory._caches) == 0


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
    machine.resident = 0
    for number in range(8):
        cache[number] = str(number)
    machine.resident = 10 * GB
    check_memory()
    cache._check()
    assert set(causes) == {"size"}


# -------------------------------------------------------------------------- collections


def collects_for_real() -> bool:
    """Not so inside the collector, where gc.collect() does nothing."""
    phases: list[str] = []

    def note(phase: str, _: object) -> None:
        phases.append(phase)

    gc.callbacks.append(note)
    gc.collect()
    gc.callbacks.remove(note)
    return phases == ["start", "stop"]


@pushed_by_collections
def test_the_hook_is_there_only_while_somebody_watches(machine):
    assert hooks() == []
    first = on_memory_pressure(print)
    second = on_memory_pressure(print)
    assert len(hooks()) == 1
    first.cancel()
    assert len(hooks()) == 1
    second.cancel()
    assert hooks() == []
    with on_memory_pressure(print, every=1000):
        assert hooks() == []


@pushed_by_collections
def test_a_full_collection_brings_a_look_when_it_is_over(machine):
    machine.resident = 100
    seen: list[object] = []

    def callback(_: object) -> None:
        seen.append((threading.current_thread(), collects_for_real()))

    def other_hook(phase: str, _: object) -> None:
        for _ in range(1000):  # whatever waits for the interpreter could come here
            len("x")

    with on_memory_pressure(callback, limit=1):
        for _ in range(3):
            gc.collect()
        gc.callbacks.append(other_hook)
        for _ in range(3):
            gc.collect()
        assert seen == [(threading.main_thread(), True)] * 6
        assert isinstance(gc.callbacks[-1], memory._Hook)
    assert gc.callbacks[-1] is other_hook


@pushed_by_collections
def test_other_hooks_are_called_in_every_phase(machine):
    machine.resident = 100
    phases: list[str] = []
    with on_memory_pressure(lambda _: None, limit=1):
        for name in "ab":
            gc.callbacks.append(lambda phase, _, name=name: phases.append(name + phase))
            gc.collect()
            gc.collect()
    one, both = ["astart", "astop"], ["astart", "bstart", "astop", "bstop"]
    assert phases == one * 2 + both * 2


@pushed_by_collections
@pytest.mark.skipif(memory._FULL < 2, reason="full collections cannot be told from others")
def test_a_young_collection_brings_none(machine):
    machine.resident = 100
    with on_memory_pressure(lambda _: None, limit=1):
        for generation in (0, 1, 0, 1):
            gc.collect(generation)
        assert machine.looks == 0
        gc.collect()
        assert machine.looks == 1


@pushed_by_collections
def test_where_any_collection_may_be_full_they_bring_one_in_50_ms(machine, monkeypatch):
    monkeypatch.setattr(memory, "_FULL", 0)
    with on_memory_pressure(print, limit=1 << 60):
        gc.collect(0)
        gc.collect(0)
        assert machine.looks == 1
        machine.now += 0.06
        gc.collect(0)
        assert machine.looks == 2


@pushed_by_collections
def test_in_another_thread_it_is_the_main_thread_that_looks(machine):
    machine.resident = 100
    seen: list[object] = []
    with on_memory_pressure(lambda _: seen.append(threading.current_thread()), limit=1):
        thread = threading.Thread(target=gc.collect)
        thread.start()
        thread.join()
        assert wait_until(lambda: seen)
    assert seen == [threading.main_thread()]


@pushed_by_collections
def test_a_callback_that_collects_does_not_call_itself(machine):
    machine.resident = 100
    seen: list[object] = []

    def callback(pressure: object) -> None:
        seen.append(pressure)
        gc.collect()

    with on_memory_pressure(callback, limit=1):
        gc.collect()
        for _ in range(1000):
            len("x")
        assert len(seen) == 1
        gc.collect()
        assert len(seen) == 2
        check_memory()
        for _ in range(1000):
            len("x")
        assert len(seen) == 3


@pushed_by_collections
def test_growth_inside_the_collector_is_looked_at_afterwards(machine):
    machine.resident = 100
    seen: list[object] = []
    looked_inside: list[int] = []

    class Growing:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            grow(machine)
            looked_inside.append(len(seen))

    with on_memory_pressure(lambda _: seen.append(collects_for_real()), limit=1):
        Growing()
        gc.collect(0)
        for _ in range(1000):
            len("x")
    assert looked_inside == [0]
    assert seen == [True]


@pushed_by_collections
def test_cancelled_inside_the_collector(machine):
    other_phases: list[str] = []

    def cancel(phase: str, _: object) -> None:
        watch.cancel()

    with on_memory_pressure(print, limit=1 << 60):
        gc.callbacks.append(cancel)
        watch = on_memory_pressure(print, limit=1 << 60)
    gc.callbacks.insert(0, cancel)
    gc.callbacks.append(lambda phase, _: other_phases.append(phase))
    gc.collect()
    assert other_phases == ["start", "stop"]
    gc.callbacks[:] = [hook for hook in gc.callbacks if hook is not cancel]
    memory._look_for_untimed()
    assert hooks() == []


@pushed_by_collections
@pytest.mark.parametrize("arms", ["registering", "growth", "another cache"])
def test_a_cleared_list_is_filled_again(machine, arms):
    cache = Cache()
    memory._watch(cache)
    gc.callbacks.clear()
    if arms == "registering":
        with on_memory_pressure(print):
            assert len(hooks()) == 1
    elif arms == "growth":
        grow(machine)
    else:
        memory._watch(another := Cache())  # noqa: F841
    assert len(hooks()) == 1
    looks = machine.looks
    gc.collect()
    assert machine.looks == looks + 1


@pushed_by_collections
def test_a_list_cleared_in_the_middle_of_a_collection(machine):
    class Clearing:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            gc.callbacks.clear()

    with on_memory_pressure(print, limit=1 << 60):
        Clearing()
        gc.collect()
        assert machine.looks == 0
        grow(machine)
        assert machine.looks == 1
        gc.collect()
        assert machine.looks == 2


@pushed_by_collections
def test_where_the_interpreter_cannot_be_asked_growth_brings_the_look(machine, monkeypatch):
    monkeypatch.setattr(memory, "_asks_when_it_dies", lambda: None)
    with on_memory_pressure(print, limit=1 << 60):
        grow(machine)
        assert machine.looks == 1
        gc.collect()
        assert machine.looks == 1
        grow(machine, 0.0001)  # although 50 ms have not passed
        assert machine.looks == 2
        grow(machine, 0.0001)
        assert machine.looks == 2


@pushed_by_collections
def test_in_a_subinterpreter():
    interpreters = pytest.importorskip(
        "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    )
    program = f"""if True:
        import gc, sys
        sys.path[:] = {sys.path!r}
        from weakly import memory
        memory._psutil = lambda: None
        memory._resident = memory._memory = lambda: 100
        seen = []
        with memory.on_memory_pressure(seen.append, limit=1):
            gc.collect()
            for _ in range(1000):
                len("x")
            assert seen == [], "a look by the main interpreter's main thread"
            memory._grown()
            assert seen == [(100, 1)], seen
        assert not any(isinstance(hook, memory._Hook) for hook in gc.callbacks)
        """
    interpreter = interpreters.create()
    try:
        assert interpreters.run_string(interpreter, program) is None
    finally:
        interpreters.destroy(interpreter)


# ---------------------------------------------------------------------------- the thread


@pytest.fixture
def pressure(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """There is pressure all the time, and the clock goes."""
    machine.resident = 10 * GB
    monkeypatch.setattr(memory, "monotonic", time.monotonic)
    return machine


@pytest.mark.usefixtures("pressure")
def test_no_thread_unless_asked_for():
    cache = Cache()
    memory._watch(cache)
    with on_memory_pressure(lambda _: None):
        check_memory()
        gc.collect()
        assert watcher_threads() == []


@pytest.mark.usefixtures("pressure")
def test_every_so_often_by_a_daemon_thread():
    seen: list[tuple[float, threading.Thread]] = []

    def callback(_: object) -> None:
        seen.append((time.monotonic(), threading.current_thread()))

    with on_memory_pressure(callback, every=0.02):
        assert wait_until(lambda: len(seen) >= 4)
        (thread,) = watcher_threads()
    assert thread.daemon
    assert {thread for _, thread in seen} == {thread}
    times = [when for when, _ in seen]
    assert all(later - earlier > 0.015 for earlier, later in pairwise(times))
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.usefixtures("pressure")
def test_one_thread_for_all_each_at_its_time():
    often: list[object] = []
    rarely: list[object] = []
    never: list[object] = []
    with (
        on_memory_pressure(never.append),
        on_memory_pressure(rarely.append, every=1000) as rare,
    ):
        assert wait_until(lambda: rarely)  # the first look is at once
        with on_memory_pressure(often.append, every=0.01):
            assert wait_until(lambda: len(often) >= 5)
            assert len(watcher_threads()) == 1
            assert len(rarely) == 1
        (thread,) = watcher_threads()
        rare.cancel()
        thread.join(60)
        assert not thread.is_alive()
        with on_memory_pressure(often.append, every=1000):
            assert len(watcher_threads()) == 1
    assert never == []


@pytest.mark.usefixtures("pressure")
def test_errors_in_the_thread(unraisable):
    seen: list[object] = []

    def callback(pressure: object) -> None:
        seen.append(pressure)
        raise SystemExit("of the callback")

    with on_memory_pressure(callback, every=0.01):
        assert wait_until(lambda: len(seen) >= 3)
    assert wait_until(lambda: not watcher_threads())
    assert unraisable == [(SystemExit, "of the callback")] * len(seen)


@pytest.mark.usefixtures("pressure")
def test_cancelled_by_its_own_callback():
    seen: list[object] = []

    def callback(pressure: object) -> None:
        seen.append(pressure)
        watch.cancel()

    watch = on_memory_pressure(lambda _: None, every=1000)
    watch.cancel()
    watch = on_memory_pressure(callback, every=0.01, limit=1)
    assert wait_until(lambda: not watcher_threads())
    assert len(seen) == 1


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
    assert called.wait(20)
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
                if not called.wait(30):
                    missed.append(number)
            with on_memory_pressure(seen.append):
                memory._grown()

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

def wait_until(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    assert condition()

def threads():
    return [t for t in threading.enumerate() if t.name == "weakly memory watch"]
"""


@forks
def test_a_forked_child_has_its_own_thread():
    out = check_runs(
        FAKES
        + """
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
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert len(threads()) == 1
watch.cancel()
wait_until(lambda: not threads())
child = os.fork()
if not child:
    os._exit(8 if not threads() else 9)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 8
print("done")
"""
    )
    assert out == "done\n"


@forks
def test_forked_in_a_callback():
    out = check_runs(
        FAKES
        + """
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
assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 7
print("done")
"""
    )
    assert out == "done\n"


@forks
def test_forked_in_a_callback_of_the_thread():
    out = check_runs(
        FAKES
        + """
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
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 7
wait_until(lambda: not threads())
print("done")
"""
    )
    assert out == "done\n"


@pytest.mark.parametrize("every", [None, 0.001])
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
    program = (
        FAKES
        + """
watch = memory.on_memory_pressure(lambda _: time.sleep(1000), every=0.01)
time.sleep(0.1)
"""
    )
    before = time.monotonic()
    result = run_python(program)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert time.monotonic() - before < 60


# ------------------------------------------------------------------------------- for real


def test_this_process():
    pytest.importorskip("psutil")
    size, available = memory._resident(), memory._memory()
    assert 1 << 20 < size < available < 1 << 60
    assert check_memory(limit=1 << 20) is not None
    assert check_memory(limit=1 << 60) is None


def test_real_allocations():
    pytest.importorskip("psutil")
    out = check_runs("""
        import gc, threading
        from weakly import memory
        MB = 1 << 20
        limit = memory._resident() + 100 * MB
        by_collection, by_thread = [], []
        called = threading.Event()
        def callback(pressure):
            by_thread.append(pressure)
            called.set()
        with (
            memory.on_memory_pressure(by_collection.append, limit=limit),
            memory.on_memory_pressure(callback, limit=limit, every=0.01),
        ):
            gc.collect()
            assert not called.wait(0.1) and not by_collection
            assert memory.check_memory(limit=limit) is None
            data = bytes(range(256)) * (200 * MB // 256)
            gc.collect()
            memory._grown()
            assert called.wait(20)
            assert memory.check_memory(limit=limit) is not None
        for pressure in (by_collection[0], by_thread[0]):
            assert pressure.limit == limit
            assert limit <= pressure.resident <= limit + 200 * MB, (pressure, limit)
        count = len(by_collection)
        assert memory.check_memory(limit=limit).resident >= limit
        assert len(by_collection) == count
        del data
        gc.collect()
        assert memory.check_memory(limit=limit) is None
        print("done")
    """)
    assert out == "done\n"


@forks
def test_a_forked_child_sees_its_own_size():
    pytest.importorskip("psutil")
    out = check_runs("""
        import os
        from weakly import memory
        before = memory._resident()
        child = os.fork()
        if not child:
            data = bytes(range(256)) * (1 << 20)
            os._exit(7 if memory._resident() > before + (200 << 20) else 8)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        print("done")
    """)
    assert out == "done\n"
