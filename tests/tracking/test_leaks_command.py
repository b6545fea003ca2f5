"""`python -m weakly leaks`: a program runs as under `python`, and what it leaves alive is named."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from _thread import allocate_lock
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from programs import EXAMPLES, python, result
from support import PYPY, environment

from weakly.tracking import _leaks
from weakly.tracking._leaks import (
    Classes,
    Sample,
    Sampler,
    grown,
    in_colour,
    is_own,
)

needs_sqlite = pytest.mark.skipif(find_spec("sqlite3") is None, reason="there is no sqlite3")
# The tool takes seconds there, for each program; and it is the same Python code.
not_on_pypy = pytest.mark.skipif(PYPY, reason="takes long there")
posix = pytest.mark.skipif(os.name != "posix", reason="signals and forks of POSIX")

SAYS = "weakly leaks: "


def cases(names: Any, some: Iterable[Any]) -> Any:
    """A test of each; on PyPy, of the first two."""
    return pytest.mark.parametrize(names, list(some)[: 2 if PYPY else None])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, source: str) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(dedent(source), encoding="utf-8")
    return path


def leaks(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "weakly", "leaks", *arguments, **variables)


def report(process: subprocess.CompletedProcess[str]) -> str:
    """What the tool says of a program that itself says nothing on standard error."""
    assert process.stderr.startswith(SAYS), process.stderr
    return process.stderr


def program_part(process: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    """All that can be seen of the program itself."""
    status, stdout, stderr = result(process)
    return status, stdout, stderr.partition(SAYS)[0]


def leaked(text: str) -> dict[str, int]:
    """The classes that are said to leak, and how many of each are alive."""
    suspects = text.partition("Alive as well")[0]
    rows = re.findall(r"^([\d,]+) (\S+)(?: \(.*\))?, retaining", suspects, flags=re.MULTILINE)
    return {name: int(count.replace(",", "")) for count, name in rows}


def part_of(text: str, name: str) -> str:
    """What is said of one class."""
    (found,) = re.findall(rf"^[\d,]+ {re.escape(name)}[ ,].*?(?=\n\n\S|\Z)", text, re.M | re.S)
    return found


# ------------------------------------------------------------------------ the five leaks

KEPT = """
class Kept:
    pass

kept = []
def keep(count=1):
    kept.extend(Kept() for _ in range(count))
"""


@needs_sqlite
def test_the_five_leaks_of_the_example_are_named(tmp_path):
    page = tmp_path / "leaks.html"
    process = leaks(EXAMPLES / "leaky_app.py", "--watch", "leaky_app.*", "--report", page)
    assert process.returncode == 0
    assert process.stdout == "60 requests served, 60 displays hear of a new price\n"
    text = report(process)
    expected = dict.fromkeys(["Invoice", "Display", "Order", "Catalogue"], 60) | {"Request": 3}
    if PYPY:
        del expected["Catalogue"]  # there the collector sees what sqlite3 holds
    assert leaked(text) == {f"__main__.{name}": count for name, count in expected.items()}
    holders = {
        "Invoice": "Invoice.total",
        "Display": "prices.listeners[",
        "Order": "].__closure__[0].cell_contents",
        "Catalogue": "Catalogue.folded",
        "Request": "current.request",
    }
    if PYPY:
        holders["Order"] = "undo["
    html = page.read_text(encoding="utf-8")
    for name in expected:
        assert holders[name] in part_of(text, f"__main__.{name}"), name
        assert f"<h3><code>__main__.{name}</code></h3>" in html
        (card,) = re.findall(rf"<h3><code>__main__.{name}</code>.*?</details></div>", html, re.S)
        assert holders[name].replace("'", "&#x27;") in card, name
    assert "on purpose" in text.partition("Alive as well")[2]
    assert "__main__.prices" in text.partition("Alive as well")[2]


@not_on_pypy
def test_what_is_used_as_it_should_be_is_not_blamed():
    write("fine.py", KEPT + "keep(10)\nkept.clear()\none = Kept()\n")
    text = report(leaks("--watch", "Kept", "fine.py"))
    assert leaked(text) == {}
    assert "Nothing leaks of what was watched." in text
    assert "  1 __main__.Kept: __main__.one\n" in text


# ---------------------------------------------------------------------- as under python

ENDINGS = {
    "returns": "print('done')",
    "arguments": "import sys; print(sys.argv, __name__, __file__, sys.path[0])",
    "exit 3": "import sys; sys.exit(3)",
    "exit with a message": "import sys; sys.exit('it went wrong')",
    "exit at once": "import os; print(1, flush=True); os._exit(5)",
    "an exception": """
        def outer():
            inner()
        def inner():
            raise ValueError("wrong")
        outer()
    """,
    "an exception while handling another": """
        try:
            {}["key"]
        except KeyError:
            [][1]
    """,
    "an import that fails": "import there_is_no_such_module",
    "a syntax error": "first = 1\nsecond = = 2\n",
    "an interrupt by a signal": """
        import signal
        def wait():
            signal.raise_signal(signal.SIGINT)
        wait()
    """,
    "an end by a signal": """
        import signal
        signal.raise_signal(signal.SIGTERM)
    """,
    "atexit": """
        import atexit
        atexit.register(print, "bye")
    """,
    "exit in atexit": "import atexit, sys; atexit.register(sys.exit, 4)",
    "threads that go on": """
        import threading, time
        def work():
            time.sleep(0.2)
            print("worked")
        threading.Thread(target=work).start()
        print(threading.active_count())
    """,
    "a fork": """
        import os, sys, warnings
        warnings.simplefilter("error")
        for _ in range(5):
            child = os.fork()
            if not child:
                sys.exit(7)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """,
    "a fork that is ended": """
        import os, signal, time
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(1)
        os.kill(child, signal.SIGTERM)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """,
}


@cases("name", ENDINGS)
def test_ends_as_under_python(name, tmp_path):
    if os.name != "posix" and re.search("signal|fork", ENDINGS[name]):
        pytest.skip("signals and forks of POSIX")
    write("program.py", ENDINGS[name])
    process = leaks("--report", "page.html", "program.py", "--flag", "x")
    assert program_part(process) == result(python("program.py", "--flag", "x"))
    assert process.stderr.count("The page: ") == 1
    assert "Traceback" not in process.stderr.partition(SAYS)[2]


@not_on_pypy
def test_a_module_runs_as_under_python():
    write("package/__main__.py", "import sys; print(sys.argv[1:], __package__); sys.exit(2)")
    process = leaks("-m", "package", "--", "-x", "--watch")
    assert program_part(process) == result(python("-m", "package", "--", "-x", "--watch"))


@pytest.mark.parametrize("arguments", [["nothing.py"], ["-m", "nothing"]])
def test_no_such_program(arguments):
    process = leaks(*arguments)
    assert process.returncode == (2 if arguments == ["nothing.py"] else 1)
    assert process.stderr.startswith("python -m weakly leaks: ")
    assert SAYS + "nothing" not in process.stderr
    assert process.stderr.count("\n") == 1


# --------------------------------------------------------------------------- the options

SHOW_ARGUMENTS = KEPT + "import sys\nkeep()\nprint(sys.argv[1:])\n"


@cases(
    ("line", "own"),
    [
        ("--watch Kept program.py", []),
        ("program.py --watch Kept", []),
        ("program.py a --b --watch=Kept --report=page.html", ["a", "--b"]),
        ("--watch Kept -- program.py --watch x", ["--watch", "x"]),
        ("--watch Kept program.py -- --watch x", ["--", "--watch", "x"]),
        ("--watch Kept program.py --watch", ["--watch"]),
        ("program.py --fail x --watch Kept", ["--fail", "x"]),
        ("-m program --x --watch Kept", ["--x"]),
        ("--watch Kept -- -m program --watch x", ["--watch", "x"]),
        ("--watch 'nobody, Kept,' program.py", []),
        ("--watch nobody --watch Kept program.py", []),
    ],
)
def test_the_programs_own_arguments(line, own):
    write("program.py", SHOW_ARGUMENTS)
    process = leaks(*shlex.split(line))
    assert process.stdout == f"{own}\n"
    assert leaked(report(process)) == {"__main__.Kept": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a SCRIPT or a -m MODULE to run"),
        (["--watch", "x"], "name a SCRIPT or a -m MODULE to run"),
        (["--report", "no/such/page.html", "program.py"], "there is no folder for no/such"),
        (["--report", ".", "program.py"], ". is a folder"),
        (["--signal", "NOTHING", "program.py"], "there is no signal NOTHING"),
        (["--signal", "KILL", "program.py"], "KILL is a signal that cannot be handled"),
    ],
)
def test_wrong_options(arguments, message):
    write("program.py", "print('it runs')")
    process = leaks(*arguments)
    assert (process.returncode, process.stdout) == (2, "")
    assert message in process.stderr


@cases(
    ("source", "status"),
    [
        ("keep()", 1),
        ("pass", 0),
        ("keep(); import sys; sys.exit(3)", 3),
        ("keep(); import atexit; atexit.register(kept.clear)", 0),
    ],
)
def test_fail(source, status):
    write("program.py", f"{KEPT}\nprint('printed')\n{source}\n")
    process = leaks("--fail", "--watch", "Kept", "program.py")
    assert (process.returncode, process.stdout) == (status, "printed\n")


@not_on_pypy
def test_who_fails_ends_as_a_program_does():
    source = """
        import atexit, threading
        atexit.register(print, "exit function")
        def late():
            threading.main_thread().join()
            keep()
            print("thread")
        threading.Thread(target=late).start()
        print("main")
    """
    write("program.py", KEPT + dedent(source))
    process = leaks("--fail", "--watch", "Kept", "program.py")
    assert (process.returncode, process.stdout) == (1, "main\nthread\nexit function\n")


@posix
def test_a_page_that_cannot_be_written():
    write("program.py", f"{KEPT}\nkeep()\nimport os; os.rmdir('gone')")
    os.mkdir("gone")
    process = leaks("--watch", "Kept", "--report", "gone/page.html", "program.py")
    text = report(process)
    assert process.returncode == 0
    assert leaked(text) == {"__main__.Kept": 1}
    assert "cannot write " in text
    assert "page.html: No such file or directory" in text


# -------------------------------------------------------------------------- the classes


@cases(
    "pattern",
    [
        "shop.models.User",
        "shop.models:User",
        "shop.User",  # which only imports it
        "shop.*",
        "*.User",
        "User",
        "shop.models:U*",
        "Us?r",
        "shop.models.Base",  # of which it is a subclass
    ],
)
def test_patterns(pattern):
    write("shop/__init__.py", "from .models import User")
    write("shop/models.py", "class Base: pass\nclass User(Base): pass\nclass Other: pass\n")
    # Imported late, as programs do.
    write("program.py", "kept = []\ndef run():\n  import shop\n  kept.append(shop.User())\nrun()")
    text = report(leaks("--watch", pattern, "program.py"))
    assert leaked(text) == {"shop.models.User": 1}
    assert "No class is called" not in text


@not_on_pypy
def test_a_class_that_there_is_not_is_said():
    write("program.py", KEPT)
    text = report(leaks("--watch", "program.Kepd,Kept,nothing.*", "program.py"))
    said = re.findall("No class is called (.*)\\.", text)
    assert said == ["program.Kepd", "nothing.*"]


@not_on_pypy
def test_the_programs_own_classes_that_grow_if_none_is_named():
    write("helper.py", "class Line: pass\n")
    source = """
        import argparse, collections, time
        from helper import Line
        class Once: pass
        once = Once()
        lines, parsers, many = [], [], [Once() for _ in range(50)]
        time.sleep(0.5)
        for _ in range(20):
            lines.append(Line())
            parsers.append(argparse.ArgumentParser())
            time.sleep(0.05)
    """
    write("program.py", source)
    text = report(leaks("program.py"))
    assert leaked(text) == {"helper.Line": 20}
    assert "argparse" not in text.partition("The page")[0]
    assert "program.py ended well" in text


@pytest.mark.c_core(reason="on the Python engine, fewer are looked at")
def test_each_way_to_be_held_is_told():
    source = """
        class Page: pass
        class Book: pass
        pages, books = [Page() for _ in range(5)], {}
        def reader(page):
            def show():
                return page
            return show
        readers = [reader(Page()) for _ in range(2)]
        books["one"] = Book()
        books["one"].page = Page()
    """
    write("program.py", source)
    text = report(leaks("--watch", "Page,Book", "program.py"))
    assert leaked(text) == {"__main__.Page": 8, "__main__.Book": 1}
    (page,) = re.findall(r"^8 __main__.Page.*?(?=^1 __main__.Book)", text, re.M | re.S)
    shares = re.findall(r"^  (\d) of (\d) looked at:", page, re.M)
    assert shares == [("5", "8"), ("2", "8"), ("1", "8")]
    assert "__main__.pages[" in page
    assert "closure cell 'page' of show" in page
    assert page.count("It is held by a __main__.Book, and goes with that.") == 1


# ---------------------------------------------------------- signals, threads and processes


@posix
@not_on_pypy
def test_after_a_fork_all_hooks_of_the_collector_are_called():
    source = """
        import gc, os
        gc.disable()
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        phases = []
        gc.callbacks.append(lambda phase, info: phases.append(phase))
        gc.collect()
        print(phases)
    """
    write("program.py", source)
    assert leaks("program.py").stdout == "['start', 'stop']\n"


@posix
def test_a_report_at_a_signal_and_another_at_the_end():
    source = f"""
        {KEPT}
        import time
        keep(2)
        print("ready", flush=True)
        while len(kept) < 3:
            time.sleep(0.01)
            input()
            keep()
        print("done")
    """
    write("program.py", "\n".join(line.removeprefix("        ") for line in source.split("\n")))
    command = ["-m", "weakly", "leaks", "--watch", "Kept", "--signal", "usr1"]
    process = subprocess.Popen(
        [sys.executable, *command, "--report", "page.html", "program.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGUSR1)
    end = time.monotonic() + 60
    while not Path("page.html").exists():
        assert time.monotonic() < end, "there is no report"
        time.sleep(0.05)
    assert "SIGUSR1" in Path("page.html").read_text("utf-8")
    stdout, stderr = process.communicate("\n", timeout=60)
    assert (process.returncode, stdout) == (0, "done\n")
    first, second = re.split("(?=^weakly leaks: program.py)", stderr, flags=re.M)[1:]
    assert "runs on, and was sent SIGUSR1" in first
    assert leaked(first) == {"__main__.Kept": 2}
    assert "__main__.kept[" in first
    assert "ended well" in second
    assert leaked(second) == {"__main__.Kept": 3}
    assert "ended well" in Path("page.html").read_text("utf-8")


@posix
def test_signals_in_a_row_and_while_the_program_writes():
    source = """
        import os, signal, sys, threading, time
        class Kept: pass
        kept = [Kept()]
        def work(kept):  # in use, as that of the main program
            time.sleep(60)
        threading.Thread(target=work, args=[Kept()], daemon=True).start()
        def main():
            mine = Kept()
            def send():
                for _ in range(30):
                    os.kill(os.getpid(), signal.SIGUSR1)
                    time.sleep(0.005)
            thread = threading.Thread(target=send)
            thread.start()
            while thread.is_alive():
                sys.stderr.write(".")
                sys.stderr.flush()
        main()
        print("done")
    """
    write("program.py", source)
    process = leaks("--watch", "Kept", "--signal", "USR1", "program.py")
    assert (process.returncode, process.stdout) == (0, "done\n")
    reports = re.split("weakly leaks: program.py ", process.stderr)[1:]
    assert len(reports) >= 2
    for text in reports:
        kinds = re.findall(r"^\W+1\. (\S+)", text, re.M)
        assert set(kinds) <= {"module", "main()", "work()", "<thread"}, text
        assert "which asks" not in text
        assert leaked(text) == {"__main__.Kept": 2 + ("was sent" in text)}
    assert "Traceback" not in process.stderr
    assert "ended well" in reports[-1]


@posix
@not_on_pypy
def test_what_a_running_function_works_on_is_not_blamed():
    source = """
        import signal
        class Job: pass
        def work():
            job = Job()
            signal.raise_signal(signal.SIGUSR1)
        work()
    """
    write("program.py", source)
    first, last = report(leaks("--watch", "Job", "--signal", "USR1", "program.py")).split(SAYS)[1:]
    assert leaked(first) == {}
    assert "1 __main__.Job: job in work() at program.py:6" in first
    assert "Job" not in last


@posix
def test_a_program_that_handles_its_signals_does_so():
    source = """
        import signal, sys
        print(signal.getsignal(signal.SIGINT))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
        signal.raise_signal(signal.SIGTERM)
    """
    write("program.py", source)
    process = leaks("program.py")
    assert program_part(process) == result(python("program.py"))
    assert process.returncode == 9
    assert "ended with status 9" in process.stderr


@not_on_pypy
def test_what_ended_the_program_is_not_blamed():
    write("program.py", KEPT + "def fail():\n  mine = Kept()\n  raise ValueError(mine)\nfail()\n")
    process = leaks("--watch", "Kept", "program.py")
    assert process.returncode == 1
    assert "ended with a ValueError" in process.stderr
    assert leaked(process.stderr) == {}


@not_on_pypy
def test_clean_up_at_exit_comes_before_the_report():
    source = """
        import atexit, weakref, weakly
        weakref.finalize(keep, kept.clear)
        keep()
        weakly.finalize(Kept, print, "cleaned up")
    """
    write("program.py", KEPT + dedent(source))
    process = leaks("--watch", "Kept", "program.py")
    assert process.stdout == "cleaned up\n"
    assert leaked(report(process)) == {}


@pytest.mark.skipif(PYPY, reason="they die in the thread in which the collector runs")
def test_objects_die_in_the_threads_of_the_program():
    """A count that held objects would let some die in the thread that counts."""
    source = """
        import threading, time
        class Mortal:
            def __del__(self):
                died.add(threading.get_ident())
        died = set()
        end = time.monotonic() + 1
        while time.monotonic() < end:
            [Mortal() for _ in range(100)]
        print(died == {threading.get_ident()})
    """
    write("program.py", source)
    assert leaks("program.py").stdout == "True\n"


@not_on_pypy
def test_no_code_of_the_program_runs():
    source = """
        import time
        ran = []
        class Meta(type):
            def __hash__(cls): ran.append("hash"); return 1
            def __eq__(cls, other): ran.append("eq"); return True
            def __getattribute__(cls, name): ran.append(name); raise SystemExit
            def __instancecheck__(cls, other): ran.append("instance"); return True
        class Wild(metaclass=Meta):
            def __getattribute__(self, name): ran.append(name); raise SystemExit
            def __eq__(self, other): ran.append("eq"); raise SystemExit
            def __hash__(self): ran.append("hash"); raise SystemExit
            def __sizeof__(self): ran.append("sizeof"); raise SystemExit
            __class__ = property(lambda self: ran.append("class"))
        class Lazy:
            def __getattribute__(self, name): ran.append(name); raise SystemExit
            __class__ = property(lambda self: ran.append("class"))
        settings = Lazy()
        kept = [Wild() for _ in range(5)]
        ran.clear()
        time.sleep(0.3)
        import atexit
        class Last:
            def __del__(self):
                print(ran)
        last = Last()
    """
    write("program.py", source)
    watch = "Wild,__main__.settings,__main__.settings.User"
    process = leaks("--watch", watch, "--report", "page.html", "program.py")
    assert process.stdout == "[]\n"
    assert leaked(report(process)) == {"__main__.Wild": 5}


# --------------------------------------------------------------------------- piece by piece


def test_colours_only_add_to_the_text():
    text = "2 app.User (+2 after the first quarter of the run), retaining 1 kB\n ▶ └ x  a\n   ⤷ y"
    colours = in_colour(text)
    assert colours.count("\x1b[0m") == 3
    assert re.sub(r"\x1b\[\d+m", "", colours) == text


def test_growth_is_what_came_after_the_first_quarter():
    def samples(*counts: int) -> list[Sample]:
        return [Sample(float(at), 0, 0, {"C": count}) for at, count in enumerate(counts)]

    assert grown(samples(0, 50, 50, 50, 50, 50, 50, 50, 50), "C") == 0
    assert grown(samples(0, 10, 20, 30, 40, 50, 60, 70, 80), "C") == 60
    assert grown(samples(0, 10, 90, 30, 90, 40, 90, 90, 80), "C") == 50  # garbage does not count
    assert grown(samples(0, 0), "C") == 0
    assert grown(samples(5), "C") == 0
    late = [Sample(seconds, 0, 0, {"C": count}) for seconds, count in ((3.0, 1), (4.0, 5))]
    assert grown(late, "C") == 4
    assert grown(samples(0, 1), "D") == 0


@not_on_pypy
def test_where_they_were_made():
    source = """
        import time
        class Kept: pass
        kept = [Kept()]
        time.sleep(1)
        def make():
            kept.append(Kept())
        for _ in range(5):
            make()
        try:
            Kept(1)
        except TypeError:
            print("as before")
    """
    write("program.py", source)
    process = leaks("--watch", "Kept", "--sites", "--report", "page.html", "program.py")
    assert process.stdout == "as before\n"
    assert leaked(report(process)) == {"__main__.Kept": 6}
    assert "  5 alive of 5 made by make() at program.py:7\n" in process.stderr
    assert "5 alive of 5 made by make() at program.py:7" in Path("page.html").read_text("utf-8")


def test_samples_stay_few(monkeypatch):
    monkeypatch.setattr(_leaks, "_SAMPLES", 10)
    monkeypatch.setattr(_leaks, "count_objects", Counter)
    sampler = Sampler(Classes([], ""))
    for _ in range(100):
        sampler.take()
    assert len(sampler.samples) <= 10
    times = [sample.seconds for sample in sampler.samples]
    assert times == sorted(times)


def test_a_sampler_that_could_not_be_stopped_in_time_stops_later(monkeypatch):
    sampler = Sampler(Classes([], ""))
    entered, leave = allocate_lock(), allocate_lock()
    entered.acquire()
    leave.acquire()
    takes = []

    def take() -> None:
        takes.append(1)
        entered.release()
        leave.acquire()

    monkeypatch.setattr(sampler, "take", take)
    sampler.start()
    entered.acquire()
    ((_, ended),) = sampler._running
    sampler.stop()
    leave.release()
    assert ended.acquire(timeout=10)
    assert takes == [1]


def test_whose_modules_are_the_programs_own():
    assert is_own("__main__")
    assert is_own(__name__)
    for name in ("builtins", "sys", "json", "_pytest.main", "pytest", "weakly", "weakly.tracking"):
        assert not is_own(name), name
    assert not is_own("there_is_no_such_module")
