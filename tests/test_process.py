"""Whole processes: exit, fork, subinterpreters, and the choice of the implementation."""

from __future__ import annotations

import os
import sys
import textwrap

import pytest
from support import (
    C_CORE,
    DEBUG_BUILD,
    FREE_THREADED,
    PYPY,
    check_runs,
    environment,
    run_python,
)

# --- exit

TABLES = """
import weakly
from weakly import WeakKeyDictionary, WeakSet, WeakValueDictionary, WeakMethod, finalize, ref
class Thing:
    def method(self):
        pass
things = [Thing() for _ in range(100)]
keys = WeakKeyDictionary((thing, [thing]) for thing in things)
values = WeakValueDictionary(enumerate(things))
items = WeakSet(things)
open_ones = [iter(keys), keys.items(), values.values(), values.itervaluerefs(), iter(items)]
for each in open_ones:
    next(each)
references = keys.keyrefs() + values.valuerefs() + list(items.data)
method = WeakMethod(things[0].method, print)
"""


def test_exit_with_everything_alive() -> None:
    assert check_runs(TABLES + "print('end')") == "end\n"


@pytest.mark.parametrize("options", [["-X", "dev"], ["-O"], ["-X", "importtime"], ["-I"]])
def test_exit_under_options(options: list[str]) -> None:
    if options == ["-I"]:
        code = f"import sys; sys.path[:0] = {environment()['PYTHONPATH'].split(os.pathsep)!r}\n"
    else:
        code = ""
    result = run_python(code + TABLES + "print('end')", options=options)
    assert (result.returncode, result.stdout) == (0, "end\n")
    if options == ["-X", "dev"] and C_CORE:
        assert result.stderr == ""


def test_exit_with_everything_in_cycles() -> None:
    code = """
for table in keys, values, items:
    table.me = table
    table.things = things
    table.open = open_ones
things.append(globals())
import builtins
builtins.keep = (keys, values, items, open_ones)
print("end")
"""
    assert check_runs(TABLES + code) == "end\n"


def test_exit_while_finalizers_and_destructors_use_the_tables() -> None:
    code = """
class Late:
    def __init__(self, tables):
        self.tables = tables
    def __del__(self):
        keys, values, items = self.tables
        keys[self] = values["late"] = self
        items.add(self)
        list(keys.items()), list(values.items()), list(items)
        len(keys), len(values), len(items)
        keys._check(), values._check(), items._check()
        print("late")
late = Late((keys, values, items))
in_a_cycle = Late((keys, values, items))
in_a_cycle.me = in_a_cycle
import sys
sys.modules["late"] = Late((keys, values, items))
finalize(things[0], lambda: print("finalizer", len(keys), len(values), len(items)))
"""
    output = check_runs(TABLES + code).split("\n")
    assert output[0] == "finalizer 100 100 100"
    if not PYPY:
        assert output.count("late") >= 2


def test_exit_with_threads_running() -> None:
    code = """
import threading, time
def work():
    while True:
        thing = Thing()
        keys[thing] = values["new"] = thing
        items.add(thing)
        list(items)
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
print("end")
"""
    assert check_runs(TABLES + code) == "end\n"


def test_callbacks_during_exit_see_no_half_dismantled_table() -> None:
    code = """
class Watcher:
    def __call__(self, _):
        print(sum(1 for _ in values), 5 in values)
watch = ref(things[5], Watcher())
del keys, references, open_ones, method
import sys
print("end")
"""
    output = check_runs(TABLES + code).split()
    assert output[0] == "end"


# --- the choice of the implementation


def implementation(pure: str | None, *options: str, code: str = "") -> tuple[int, str, str]:
    code += "import weakly; print(weakly.implementation)"
    result = run_python(code, options=options, env=environment(WEAKLY_PURE=pure))
    return result.returncode, result.stdout.strip(), result.stderr


# Makes the C core look missing, whether there is one or not.
MISSING = "import sys; sys.modules['weakly._core'] = None; "


def test_pure_is_obeyed() -> None:
    assert implementation("1") == (0, "python", "")
    assert implementation("1", "-X", "dev") == (0, "python", "")


@pytest.mark.c_core(reason="there must be a C core to choose")
def test_c_core_is_obeyed_and_the_default() -> None:
    for pure in ("0", "", None):
        assert implementation(pure) == (0, "c", "")
        assert implementation(pure, "-X", "dev", "-W", "error") == (0, "c", "")


@pytest.mark.skipif(PYPY, reason="PyPy has no C core to miss")
def test_a_missing_c_core_falls_back() -> None:
    assert implementation(None, code=MISSING) == (0, "python", "")


@pytest.mark.skipif(PYPY, reason="PyPy has no C core to miss")
def test_a_missing_c_core_is_told_in_dev_mode() -> None:
    status, output, errors = implementation(None, "-X", "dev", code=MISSING)
    assert (status, output) == (0, "python")
    assert "RuntimeWarning" in errors
    assert "weakly" in errors


def test_a_missing_c_core_that_is_required() -> None:
    status, _, errors = implementation("0", code=MISSING)
    assert status == 1
    assert "ImportError" in errors
    assert "WEAKLY_PURE=0" in errors


def test_nonsense_is_refused() -> None:
    status, _, errors = implementation("yes")
    assert status == 1
    assert "ImportError" in errors
    assert "'yes'" in errors


# --- import


def test_import_leaves_weakref_alone() -> None:
    code = """
    import weakref, _weakrefset
    before = dict(vars(weakref)), dict(vars(_weakrefset))
    import weakly
    assert (dict(vars(weakref)), dict(vars(_weakrefset))) == before
    """
    check_runs(code)


def test_import_twice() -> None:
    """Modules removed from sys.modules and imported again live side by side."""
    code = """
    import sys, weakly
    first = weakly
    class Thing: pass
    thing = Thing()
    table = first.WeakKeyDictionary({thing: 1})
    for name in [name for name in sys.modules if name.partition(".")[0] == "weakly"]:
        del sys.modules[name]
    import weakly
    assert weakly is not first
    other = weakly.WeakKeyDictionary(table)
    other.update(table)
    first.finalize(thing, print, "first")
    weakly.finalize(thing, print, "second")
    del thing
    import gc; gc.collect()
    print(len(table), len(other))
    del first, table
    gc.collect()
    """
    output = check_runs(code).split()
    assert sorted(output) == ["0", "0", "first", "second"]


# --- fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.skipif(sys.platform == "darwin", reason="forking there is asking for trouble")
def test_fork_with_tables() -> None:
    code = """
import os, gc, threading
gone = things.pop()
pid = os.fork()
if pid == 0:
    del gone
    gc.collect()
    for table in keys, values, items:
        table._check()
    for each in things:
        assert each in keys and each in items
    del keys[things[0]]
    values["new"] = things[0]
    keys.clear()
    finalize(things[1], print, "child", flush=True)
    list(open_ones[1])
    os._exit(17 if len(keys) == 0 and len(items) == 100 - (len(items) == 99) else 1)
_, status = os.waitpid(pid, 0)
print(os.waitstatus_to_exitcode(status), len(keys), len(values), len(items))
for table in keys, values, items:
    table._check()
"""
    output = check_runs(TABLES + code).split()
    assert output == ["17", "100", "100", "100"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_finalizers_of_the_parent_in_a_forked_child() -> None:
    """A child that exits by itself runs the exit functions too, as with the stdlib."""
    code = """
    import os, sys
    from {package} import finalize
    class Thing: pass
    thing = Thing()
    finalize(thing, lambda: print("ran in", "child" if child else "parent", flush=True))
    pid = os.fork()
    child = pid == 0
    if not child:
        os.waitpid(pid, 0)
    """
    ours = check_runs(textwrap.dedent(code).format(package="weakly"))
    theirs = check_runs(textwrap.dedent(code).format(package="weakref"))
    assert sorted(ours.splitlines()) == sorted(theirs.splitlines())


# --- subinterpreters

INSIDE = """
import gc, weakly
class Thing:
    pass
things = [Thing() for _ in range(50)]
tables = [
    weakly.WeakKeyDictionary.fromkeys(things),
    weakly.WeakValueDictionary(enumerate(things)),
    weakly.WeakSet(things),
]
iterators = [iter(table) for table in tables]
for iterator in iterators:
    next(iterator)
things[0].me = things[0]
del things[:25]
gc.collect()
for table in tables:
    table._check()
    assert len(table) == 25, len(table)
weakly.finalize(things[0], lambda: None)
assert not weakly.finalize(Thing(), int).alive
assert weakly.implementation == {implementation!r}
tables[0].me = tables
"""

RUNNER = """
import sys, threading, weakly
inside = {inside!r}
own_gil = {own_gil}

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

def make():
    if hasattr(interpreters, "new_config"):
        return interpreters.create("isolated" if own_gil else "legacy", reqrefs=True)
    return interpreters.create(isolated=own_gil)

def run(where):
    if hasattr(interpreters, "exec"):
        failed = interpreters.exec(where, inside)
        if failed:
            raise SystemExit(f"inside: {{failed}}")
    else:
        interpreters.run_string(where, inside)

def destroy(where):
    interpreters.destroy(where)

class Thing: pass
thing = Thing()
mine = weakly.WeakKeyDictionary({{thing: 1}})
for _ in range(3):
    where = make()
    run(where)
    run(where)
    mine._check()
    destroy(where)
errors = []
def whole():
    try:
        where = make()
        run(where)
        destroy(where)
    except BaseException as error:
        errors.append(error)
threads = [threading.Thread(target=whole) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(1000):
    mine[Thing()] = 1
for thread in threads:
    thread.join()
assert not errors, errors
assert len(mine) == 1
print("end")
"""


@pytest.mark.skipif(PYPY, reason="PyPy has no subinterpreters")
@pytest.mark.parametrize("own_gil", [False, True], ids=["shared GIL", "own GIL"])
def test_subinterpreters(own_gil: bool) -> None:
    if own_gil and sys.version_info < (3, 12):
        pytest.skip("interpreters share the GIL before 3.12")
    for module in ("_interpreters", "_xxsubinterpreters"):
        try:
            __import__(module)
            break
        except ImportError:
            continue
    else:
        pytest.skip("no module for subinterpreters")
    inside = INSIDE.format(implementation="c" if C_CORE else "python")
    result = run_python(RUNNER.format(inside=inside, own_gil=own_gil))
    assert (result.returncode, result.stdout) == (0, "end\n"), result.stderr[-3000:]


def test_this_interpreter_is_what_the_header_says() -> None:
    """The constants that other tests branch on."""
    assert hasattr(sys, "gettotalrefcount") == DEBUG_BUILD
    if FREE_THREADED and C_CORE:  # importing the core must not have turned the GIL on
        assert not sys._is_gil_enabled() or os.environ.get("PYTHON_GIL") == "1"
