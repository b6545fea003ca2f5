"""What a death calls waits for a lock that is held by whom it interrupts: with the standard
library a program hangs, with a `Cleaner`, a `ReferenceQueue` or an executor it does not.

The same programs run with each; one that hangs is ended after a while, and says where it hangs.
Those that hang do so side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from textwrap import dedent

import pytest
from support import FREE_THREADED, PYPY, TIMEOUT, run_python

pytestmark = pytest.mark.skipif(PYPY or FREE_THREADED, reason="nobody knows when objects die there")

PATIENCE = 4.0  # seconds, after which a program hangs

# How `watch(obj, function, *args)` has something called after the death of an object; what has
# died meanwhile is seen to by `settle()`, where the program holds no lock.
WAYS = {
    "a callback of weakref.ref": """
        references = []
        def watch(obj, function, *args):
            references.append(weakref.ref(obj, lambda _: function(*args)))
        """,
    "weakref.finalize": "watch = weakref.finalize",
    "a queue of deaths": """
        deaths = weakly.ReferenceQueue()
        def watch(obj, function, *args):
            deaths.track(obj, (function, args))
        def settle():
            for function, args in deaths.drain():
                function(*args)
        """,
    "a cleaner": """
        cleaner = weakly.Cleaner()
        watch, settle = cleaner.register, cleaner.close
        """,
    "an executor": """
        executor = ThreadPoolExecutor(1)
        def watch(obj, function, *args):
            # A function of its own: a logger's takes any keyword.
            weakly.finalize(obj, lambda: function(*args), executor=executor)
        """,
}
HANG = ["a callback of weakref.ref", "weakref.finalize"]
DO_NOT = ["a queue of deaths", "a cleaner", "an executor"]

START = """
import faulthandler, gc, logging, queue, sys, threading, weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import weakly

class Thing:
    pass

def garbage():
    thing = Thing()
    thing.me = thing
    return thing

def settle():
    pass
"""

BEGIN = """
print("begun", flush=True)
faulthandler.dump_traceback_later({patience}, exit=True)
"""
END = """
settle()
faulthandler.cancel_dump_traceback_later()
print("end")
"""

PROGRAMS = {
    # A comparison makes an object; one or other of them makes the collector start.
    "queue.Queue, the collector": """
        @dataclass
        class Comparison:
            one: object
            other: object

        @dataclass
        class Item:
            name: str
            number: int
            def __lt__(self, other):
                comparisons.append(Comparison(self, other))
                return self.number < other.number

        comparisons = []
        items = queue.PriorityQueue()
        for number in range(5000, 0, -1):
            watch(garbage(), items.put, Item("a thing has gone", number))
            items.put(Item("work", number))
        """,
    # The usual way to empty a queue.
    "queue.Queue, the last reference": """
        items = queue.Queue()
        thing = Thing()
        watch(thing, items.put, "a thing has gone")
        items.put(thing)
        del thing
        with items.mutex:
            items.queue.clear()
        """,
    # One thread holds a lock and logs; the other logs, and is interrupted by what wants the lock.
    "logging": """
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        gc.disable()  # not before the locks are held
        lock, locked, logging_now = threading.Lock(), threading.Event(), threading.Event()
        closed = []

        def note():
            with lock:
                closed.append("a thing")

        class Shown:
            def __str__(self):
                logging_now.set()
                locked.wait()
                gc.collect()  # as could happen here by itself
                return "shown"

        watch(garbage(), note)
        thread = threading.Thread(target=logging.warning, args=("it is %s", Shown()), daemon=True)
        thread.start()
        logging_now.wait()
        with lock:
            locked.set()
            logging.warning("in the other thread")
        thread.join()
        """,
    "a logger that puts records into a queue": """
        from logging.handlers import QueueHandler
        records = queue.Queue()
        logger = logging.getLogger()
        logger.addHandler(QueueHandler(records))
        thing = Thing()
        watch(thing, logger.warning, "a thing has gone")
        records.put(thing)
        del thing
        with records.mutex:
            records.queue.clear()
        """,
    "any lock": """
        lock, closed = threading.Lock(), []
        def note():
            with lock:
                closed.append("a thing")
        thing = Thing()
        watch(thing, note)
        with lock:
            del thing
        """,
}


# What waits for the lock, and how often it is in the traceback: put() is interrupted by put().
HANGS_IN = {
    "queue.Queue, the collector": ("put", 2),
    "queue.Queue, the last reference": ("put", 1),
    "logging": ("note", 1),
    "a logger that puts records into a queue": ("put_nowait", 1),
    "any lock": ("note", 1),
}


GUIDE = Path(__file__).parent.parent / "docs" / "cleanup.md"


def program(name: str, way: str, patience: float) -> str:
    begin = BEGIN.format(patience=patience)
    return "\n".join(map(dedent, [START, WAYS[way], begin, PROGRAMS[name], END]))


def program_in_the_guide() -> str:
    _, _, rest = GUIDE.read_text("utf-8").partition("\n```\n")
    code, _, _ = rest.partition("\n```\n")
    return "import faulthandler\n" + BEGIN.format(patience=PATIENCE) + code


Run = Callable[[str], CompletedProcess[str]]


@pytest.fixture(scope="module")
def run_one_that_hangs() -> Iterator[Run]:
    """Starts all programs that hang with the first, as each takes its time to no purpose."""
    codes = [program(name, way, PATIENCE) for name in PROGRAMS for way in HANG]
    if GUIDE.exists():
        codes.append(program_in_the_guide())
    with ThreadPoolExecutor(len(codes)) as pool:
        running = {code: pool.submit(run_python, code) for code in codes}
        yield lambda code: running[code].result()


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("way", HANG)
def test_hangs(name: str, way: str, run_one_that_hangs: Run) -> None:
    result = run_one_that_hangs(program(name, way, PATIENCE))
    assert (result.returncode, result.stdout) == (1, "begun\n")
    assert "Timeout" in result.stderr
    function, count = HANGS_IN[name]
    # 3.15 shows no more than where the collector began.
    assert result.stderr.count(f" in {function}\n") == count or "<invalid frame>" in result.stderr


@pytest.mark.skipif(not GUIDE.exists(), reason="only in the repository")
def test_the_program_in_the_guide_hangs(run_one_that_hangs: Run) -> None:
    result = run_one_that_hangs(program_in_the_guide())
    assert result.returncode == 1
    assert " in put\n" in result.stderr


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("way", DO_NOT)
def test_does_not_hang(name: str, way: str) -> None:
    result = run_python(program(name, way, TIMEOUT), timeout=2 * TIMEOUT)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("begun\n")
    assert result.stdout.endswith("end\n")
