"""The roots: what needs no reason to be alive, and what each is called.

Modules, the frames of all threads, threads, tasks, and the finalizers. Nothing is imported for
it and no lock is taken: this may run in a signal handler, or while other threads go on.
"""

# The objects are anybody's, of types that nobody knows.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportPrivateUsage=false

from __future__ import annotations

import sys
from _thread import get_ident
from collections.abc import Callable
from contextvars import copy_context
from inspect import CO_OPTIMIZED
from keyword import iskeyword
from types import CellType, FrameType
from typing import Any, NamedTuple
from weakref import ref

from .._implementation import (
    Finalizer,
    frame_variables,
    implementation,
    live_finalizers,
    running_frames,
)
from ._names import (
    describe_frame,
    detail_of,
    find_in_class,
    literal,
    module_of,
    printable,
    qualified_name,
    read,
    thread_name,
    value_of,
)

__all__ = ["Root", "Roots", "is_asking"]


class Root(NamedTuple):
    """What a path starts with."""

    text: str  # what it is called
    kind: str
    expression: str  # what the expressions start with; empty for frames


# Those who run tests or debug: their frames, and what these hold, are asked last of all.
_RUNNERS = {
    "IPython", "_pydevd_bundle", "_pytest", "bdb", "code", "debugpy", "doctest", "execnet",
    "ipykernel", "nose2", "pdb", "pluggy", "pydevd", "pytest", "pytest_asyncio", "unittest",
    "xdist",
}  # fmt: skip

_PACKAGE = __name__.partition(".")[0]

# Those who run programs, and so have their namespaces; and the parts of weakly that ask.
_STARTERS = {"runpy"} | {
    f"{_PACKAGE}.{name}" for name in ("__main__", "_heap", "_pytest_plugin", "_run", "testing")
}


def _module_name(frame: FrameType) -> str:
    """The name of the module whose code a frame runs; not `__main__` for what was started as a
    module."""
    spec = dict.get(frame.f_globals, "__spec__")
    name = value_of(spec, "name") or dict.get(frame.f_globals, "__name__")
    return name if type(name) is str else ""


def _is_runner(name: str) -> bool:
    return name.partition(".")[0] in _RUNNERS


def _is_own(name: str) -> bool:
    return name.partition(".")[0] == _PACKAGE


def _asks(name: str) -> bool:
    return name in _STARTERS or name.startswith(f"{_PACKAGE}.tracking")


def is_asking(obj: Any) -> bool:
    """Whether it is a frame of weakly's own: one that another thread has only just entered."""
    return type(obj) is FrameType and _asks(_module_name(obj))


def _contents_of(frame: FrameType) -> list[Any]:
    """The values of a frame's variables."""
    code = frame.f_code
    if implementation == "python" and (code.co_cellvars or code.co_freevars):
        return []  # finding the cells takes long there
    return [
        read(held, "cell_contents") if type(held) is CellType else held
        for _, held in frame_variables(frame)
    ]


class Roots:
    """All roots of now, as the engine asks for them. It holds them; `clear()` lets go."""

    def __init__(self) -> None:
        self.modules: dict[int, str] = {}  # by id: the names in sys.modules
        self.threads: dict[int, str] = {}  # of frames, by id: in which thread
        self.roots: list[Any] = []
        self.soft: list[Any] = []
        self.late: list[Any] = []
        self.own: list[FrameType] = []
        self.caller: FrameType | None = None
        self.is_runner: set[int] = set()
        self.named: dict[int, Root] = {}  # other roots, by id
        self._add_modules()
        self.roots.extend(live_finalizers())
        self._add_state()
        # In this order: what a module's function has in its globals, the module has.
        self._add_frames()
        self._add_threads_and_tasks()
        if self.late:
            self._add_what_runners_keep()

    def clear(self) -> None:
        for each in (self.roots, self.soft, self.late, self.own):
            each.clear()
        self.caller = None

    def _add_modules(self) -> None:
        """Those of the program before those of the standard library."""
        others: list[Any] = []
        modules: dict[Any, Any] = sys.modules  # anybody can put anything there
        for name, module in list(modules.items()):
            if module is None or type(name) is not str or id(module) in self.modules:
                continue
            if name == f"{_PACKAGE}._core":  # has what `gc` has
                continue
            self.modules[id(module)] = name
            standard = name.partition(".")[0] in sys.stdlib_module_names
            (others if standard else self.roots).append(module)
        self.roots.extend(others)

    def _add_state(self) -> None:
        """What the interpreter holds: for this thread, for others, for the program."""
        error = sys.exception()
        if error is not None:
            self._add_named(error, "<the exception that is being handled>", "sys.exception()")
        context = copy_context()
        if len(context):
            self._add_named(context, "<the current context>", "contextvars.copy_context()")
        others: Callable[[], dict[int, Any]] = getattr(sys, "_current_exceptions", dict)
        for thread, error in others().items():
            expression = f"sys._current_exceptions()[{thread}]"
            if type(error) is tuple:  # on 3.11
                error, expression = error[1], f"{expression}[1]"
            if error is not None and thread != get_ident():
                text = f"<the exception that thread {thread_name(thread)} handles>"
                self._add_named(error, text, expression)
        if "_signal" in sys.modules:
            self._add_signal_handlers(sys.modules["_signal"])

    def _add_signal_handlers(self, signal: Any) -> None:
        for name, number in list(vars(signal).items()):
            if type(name) is str and name.startswith("SIG") and name[3] != "_":
                handler = signal.getsignal(number)
                if handler is not None and type(handler) is not int:
                    expression = f"signal.getsignal(signal.{name})"
                    self._add_named(handler, f"<the handler of {name}>", expression)

    def _add_named(self, obj: Any, text: str, expression: str) -> None:
        self.named[id(obj)] = Root(text, "state", expression)
        self.roots.append(obj)

    def _add_frames(self) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and _is_own(_module_name(frame)):
            self.own.append(frame)
            frame = frame.f_back
        self.caller = frame
        mine = get_ident()
        names = {mine: ""}
        in_this_call = True
        tests: dict[int, list[FrameType]] = {}  # of each thread, inside the next runner's frame
        for at, thread in zip(*running_frames(), strict=True):
            if thread == mine and in_this_call:
                if at is not frame:
                    continue
                in_this_call = False
            if thread not in names:
                names[thread] = f", thread {thread_name(thread)}"
            self.threads[id(at)] = names[thread]
            module = _module_name(at)
            if _asks(module):
                self.own.append(at)
            elif _is_runner(module):
                self._add_late(at)
                for each in (at, *tests.pop(thread, ())):
                    self._add_objects_of_runners(each)
            else:
                self.roots.append(at)
                tests.setdefault(thread, []).append(at)

    def _add_objects_of_runners(self, frame: FrameType) -> None:
        """What a frame has of a test runner's own: its session, its fixtures."""
        for held in _contents_of(frame):
            if _is_runner(module_of(type(held))) and not issubclass(type(held), type):
                self._add_late(held)
                # If it is the test that runs, its fixtures, which have their values: there may be
                # ways to them past all these objects.
                fixtures = value_of(value_of(held, "_request"), "_fixture_defs")
                for each in list(fixtures.values()) if type(fixtures) is dict else ():
                    self._add_late(each)

    def _add_what_runners_keep(self) -> None:
        """What tests have logged, and how the last one failed, with its frames and theirs."""
        for name in ("last_exc", "last_value", "last_traceback"):
            failure: Any = vars(sys).get(name)
            if failure is not None:
                self._add_late(failure)
        logging: Any = sys.modules.get("logging")
        for handler in list(getattr(getattr(logging, "root", None), "handlers", ())):
            if _is_runner(module_of(type(handler))):
                self._add_late(handler)

    def _add_late(self, obj: Any) -> None:
        if id(obj) not in self.is_runner and id(obj) not in self.modules:
            self.is_runner.add(id(obj))
            self.late.append(obj)

    def _add_threads_and_tasks(self) -> None:
        threading: Any = sys.modules.get("threading")
        if threading is not None:
            self.soft.extend(list(getattr(threading, "_active", {}).values()))
        tasks: Any = sys.modules.get("asyncio.tasks")
        if tasks is None:
            return
        for name in ("_scheduled_tasks", "_eager_tasks", "_all_tasks"):
            some: Any = getattr(tasks, name, None)
            listed: list[Any] = list(getattr(some, "data", some) or ())
            for each in listed:
                task: Any = each() if issubclass(type(each), ref) else each
                # One that is done is alive by what holds it, as any object.
                if (read(task, "_state") or value_of(task, "_state")) == "PENDING":
                    self.soft.append(task)
        if sys.version_info >= (3, 14):  # they are listed for each loop
            for loop in self._loops():
                self.soft.extend(tasks.all_tasks(loop))

    def _loops(self) -> list[Any]:
        """The event loops that run: they are in frames of theirs."""
        found: list[Any] = []
        for frame in self.roots:
            if type(frame) is FrameType and frame.f_code.co_name == "run_forever":
                found += [held for name, held in frame_variables(frame) if name == "self"]
        return found

    def is_own_variable(self, chain: list[Any]) -> bool:
        """Whether a chain is but a variable of who asks, at the level of a module."""
        caller = self.caller
        return (
            caller is not None
            and not caller.f_code.co_flags & CO_OPTIMIZED
            and len(chain) == 3
            and chain[1] is caller.f_globals
            and id(chain[0]) in self.modules
        )

    def name(self, obj: Any, tier: int) -> Root:
        """What the first object of a chain is called."""
        runner = "runner" if id(obj) in self.is_runner else ""
        if type(obj) is FrameType:
            where = describe_frame(obj)
            if obj is self.caller and tier == 1:
                return Root(where, "caller", "")
            return Root(where + self.threads.get(id(obj), ""), runner or "local", "")
        if id(obj) in self.named:
            return self.named[id(obj)]
        module = self.modules.get(id(obj))
        if module is not None:
            parts = module.split(".")
            simple = all(part.isidentifier() and not iskeyword(part) for part in parts)
            expression = module if simple else f"sys.modules[{module!r}]"
            return Root(f"module {printable(module)}", runner or "module", expression)
        cls = type(obj)
        name = qualified_name(cls)
        if tier != 2:
            threading = sys.modules.get("threading")
            if issubclass(cls, getattr(threading, "Thread", ())):
                label = value_of(obj, "_name")
                return Root(f"<thread {label!r}>", runner or "thread", "thread")
            if issubclass(cls, Finalizer):
                text = "a finalizer, which is kept until its object dies"
                return Root(text, "finalizer", "finalizer")
            if find_in_class(cls, "get_coro") is not None:
                return Root(_describe_task(obj), runner or "task", "task")
        detail = detail_of(obj)
        about = f"{name} {detail}" if detail.endswith("()") else name
        return Root(f"{about} at {id(obj):#x}", runner or "unseen", "held")


def _describe_task(task: Any) -> str:
    name = read(task, "_name") or value_of(task, "_name")
    if name is None:
        found = find_in_class(type(task), "get_name")
        name = found(task) if type(find_in_class(type(task), "get_name")) is _METHOD else None
    coroutine = read(task, "_coro") or value_of(task, "_coro")
    frame = read(coroutine, "cr_frame")
    where = f", {describe_frame(frame)}" if type(frame) is FrameType else ""
    return f"<task {literal(name) or '?'}{where}>"


_METHOD = type(list.append)
