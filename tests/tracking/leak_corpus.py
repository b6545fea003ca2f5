"""Small programs that leak, each by one kind of root or reference, for test_why_alive.py.

Each makes an object that ought to be gone when it returns, and is not. It returns the object, and
a function that ends the leak, and does not hold the object.
"""

from __future__ import annotations

import asyncio
import atexit
import collections
import concurrent.futures
import contextlib
import contextvars
import ctypes
import dataclasses
import enum
import functools
import itertools
import logging
import queue
import signal
import sys
import threading
import types
import unittest
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import pytest
from support import C_CORE, PYPY, TIMEOUT

import weakly

Undo = Callable[[], object]
Build = Callable[[], tuple[Any, Undo]]


@dataclasses.dataclass(frozen=True)
class Leak:
    """A program, and what the first path to its object must look like."""

    name: str
    build: Build
    kind: str  # of the root
    expression: str  # a regular expression, for all of it
    goes: bool  # with undo(): else it never goes, or cannot be seen to

    def __repr__(self) -> str:
        return self.name


LEAKS: dict[str, Leak] = {}


def leak(
    kind: str, expression: str, *, goes: bool = True, runs: bool = True
) -> Callable[[Build], Build]:
    """Registers a program, if it can run here."""

    def register(build: Build) -> Build:
        if runs:
            LEAKS[build.__name__] = Leak(build.__name__, build, kind, expression, goes)
        return build

    return register


class User:
    """What leaks."""

    def __init__(self, name: str = "alice") -> None:
        self.name = name

    def greet(self, *_: object) -> str:
        return self.name


def forget(name: str) -> Undo:
    """Takes a variable from this module."""
    return functools.partial(globals().pop, name, None)


def keep(name: str, holder: object) -> Undo:
    globals()[name] = holder
    return forget(name)


# Module ----------------------------------------------------------------------------------------


@leak("module", r"leak_corpus\.current_user")
def module_attribute():
    user = User()
    return user, keep("current_user", user)


@leak("module", r"leak_corpus\.teams\['red'\]\[0\]\['lead'\]")
def nested_containers():
    user = User()
    return user, keep("teams", {"red": [{"lead": user}]})


@leak("module", r"leak_corpus\.users\['alice'\]")
def dict_value():
    user = User()
    return user, keep("users", {"alice": user, "bob": None})


@leak("module", r".*leak_corpus\.logins.*")
def dict_key():
    user = User()
    return user, keep("logins", {"nobody": 0, user: 3})


@leak("module", r"leak_corpus\.waiting\[2\]")
def list_item():
    user = User()
    return user, keep("waiting", [1, 2, user])


@leak("module", r"leak_corpus\.pair\[1\]")
def tuple_item():
    user = User()
    return user, keep("pair", (None, user))


@leak("module", r".*leak_corpus\.online.*")
def set_member():
    user = User()
    return user, keep("online", {user, 1, 2})


@leak("module", r".*leak_corpus\.admins.*")
def frozenset_member():
    user = User()
    return user, keep("admins", frozenset([user]))


@leak("module", r"leak_corpus\.recent\[1\]")
def deque_item():
    user = User()
    return user, keep("recent", collections.deque([None, user], 10))


@leak("module", r"leak_corpus\.ordered\['alice'\]")
def ordered_dict_value():
    user = User()
    return user, keep("ordered", collections.OrderedDict(alice=user))


@leak("module", r"leak_corpus\.groups\['red'\]\[0\]")
def defaultdict_value():
    user = User()
    groups = collections.defaultdict(list)
    groups["red"].append(user)
    return user, keep("groups", groups)


@leak("module", r"leak_corpus\.greetings\.default_factory\.__self__")
def defaultdict_factory():
    user = User()
    return user, keep("greetings", collections.defaultdict(user.greet))


@leak("module", r"leak_corpus\.layers\.maps\[1\]\['user'\]")
def chain_map():
    user = User()
    return user, keep("layers", collections.ChainMap({}, {"user": user}))


@leak("module", r"leak_corpus\.settings\['user'\]|.*leak_corpus\.settings.*'user'.*")
def mapping_proxy():
    user = User()
    return user, keep("settings", types.MappingProxyType({"user": user}))


@leak("module", r"leak_corpus\.mailbox\.queue\[0\]")
def queue_item():
    user = User()
    waiting: Any = queue.Queue()
    waiting.put(user)
    return user, keep("mailbox", waiting)


@leak("module", r"leak_corpus\.stack\..*")
def exit_stack():
    user = User()
    stack = contextlib.ExitStack()
    stack.callback(user.greet)
    return user, keep("stack", stack)


@leak("module", r".*leak_corpus\.long_name.*", goes=False)
def text_in_a_tuple():
    text = "".join(["a long name", "!" * 100])
    return text, keep("long_name", (text,))


@leak("module", r".*leak_corpus\.numbers\[1\]", goes=False)
def number_in_a_list():
    number = int("12345678901234567890")
    return number, keep("numbers", [0, number])


# Instances and classes --------------------------------------------------------------------------


class Account:
    def __init__(self, owner: Any) -> None:
        self.number = 1
        self.owner = owner


class SlottedAccount:
    __slots__ = ("number", "owner")

    def __init__(self, owner: Any) -> None:
        self.number = 1
        self.owner = owner


@leak("module", r"leak_corpus\.account\.owner")
def instance_attribute():
    user = User()
    return user, keep("account", Account(user))


@leak("module", r"leak_corpus\.written_account\.owner")
def instance_dict():
    """An instance whose `__dict__` somebody has asked for."""
    user = User()
    account = Account(None)
    vars(account)["other"] = 1
    vars(account)["owner"] = user
    return user, keep("written_account", account)


@leak("module", r"leak_corpus\.registry\.users\['alice'\]")
def dict_of_an_instance():
    user = User()
    registry = types.SimpleNamespace(name="all")
    registry.users = {"alice": user}
    return user, keep("registry", registry)


class Directory:
    def __init__(self) -> None:
        self.users: dict[str, Any] = {}


@leak("module", r"leak_corpus\.directory\.users\['alice'\]")
def dict_of_an_instance_of_a_class():
    user = User()
    directory = Directory()
    directory.users["alice"] = user
    return user, keep("directory", directory)


@leak("module", r"leak_corpus\.slotted\.owner")
def slot():
    user = User()
    return user, keep("slotted", SlottedAccount(user))


@dataclasses.dataclass
class Profile:
    owner: Any
    likes: list[Any]


@leak("module", r"leak_corpus\.profile\.likes\[0\]")
def dataclass_field():
    user = User()
    return user, keep("profile", Profile(None, [user]))


class Entry(NamedTuple):
    key: str
    owner: Any


@leak("module", r"leak_corpus\.entry\.owner")
def named_tuple_field():
    user = User()
    return user, keep("entry", Entry("a", user))


class Last:
    user: ClassVar[Any] = None


@leak("module", r"leak_corpus\.Last\.user")
def class_attribute():
    user = User()
    Last.user = user
    return user, lambda: setattr(Last, "user", None)


class Colour(enum.Enum):
    RED = 1


@leak("module", r"leak_corpus\.Colour\..*RED.*\.fan")
def enum_member_attribute():
    user = User()
    Colour.RED.fan = user  # type: ignore[attr-defined]
    return user, lambda: vars(Colour.RED).pop("fan", None)


class Counting(type):
    instances: ClassVar[list[Any]] = []

    def __call__(cls, *args: Any) -> Any:
        made = super().__call__(*args)
        cls.instances.append(made)
        return made


class Visitor(User, metaclass=Counting):
    pass


@leak("module", r"leak_corpus\.Counting\.instances\[0\]")
def metaclass_registry():
    return Visitor(), lambda: Counting.instances.clear()


class Plugin:
    plugins: ClassVar[list[type]] = []

    def __init_subclass__(cls) -> None:
        Plugin.plugins.append(cls)


@leak("module", r"leak_corpus\.Plugin\.plugins\[0\]")
def subclass_registry():
    class Leaking(Plugin):
        pass

    return Leaking, lambda: Plugin.plugins.clear()


@leak("module", r"leak_corpus\.Labelled\.label.*")
def property_closure():
    user = User()

    class Labelled:
        @property
        def label(self) -> str:
            return user.name

    Labelled.__qualname__ = "Labelled"
    return user, keep("Labelled", Labelled)


@leak("module", r"leak_corpus\.suite\._tests\[0\]\.user")
def test_case_attribute():
    user = User()

    class Case(unittest.TestCase):
        def test(self) -> None: ...

    case = Case("test")
    case.user = user  # type: ignore[attr-defined]
    suite = unittest.TestSuite()
    suite.addTest(case)
    return user, keep("suite", suite)


# Functions --------------------------------------------------------------------------------------


def closing_over(user: Any) -> Callable[[], Any]:
    def on_click() -> Any:
        return user

    return on_click


@leak("module", r"leak_corpus\.on_click\.__closure__\[0\]\.cell_contents|.*on_click.*'user'.*")
def closure():
    user = User()
    return user, keep("on_click", closing_over(user))


@leak("module", r"leak_corpus\.handlers\[0\].*")
def lambda_in_a_list():
    user = User()
    handlers = [lambda: user.name]
    return user, keep("handlers", handlers)


@leak("module", r"leak_corpus\.traced\..*")
def decorator_wrapper():
    user = User()

    def trace(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(user, *args)

        return wrapper

    return user, keep("traced", trace(User.greet))


@leak("module", r"leak_corpus\.with_default\.__defaults__\[0\]")
def default_argument():
    user = User()

    def function(user: Any = user) -> Any: ...

    return user, keep("with_default", function)


@leak("module", r"leak_corpus\.with_keyword\.__kwdefaults__\['user'\]")
def keyword_default():
    user = User()

    def function(*, user: Any = user) -> Any: ...

    return user, keep("with_keyword", function)


@leak("module", r"leak_corpus\.function\.owner")
def function_attribute():
    user = User()

    def function() -> None: ...

    function.owner = user  # type: ignore[attr-defined]
    return user, keep("function", function)


@leak("module", r"leak_corpus\.callback\.__self__")
def bound_method():
    user = User()
    return user, keep("callback", user.greet)


@leak("module", r"leak_corpus\.append\.__self__")
def builtin_method():
    users = weakly.List()
    return users, keep("append", users.append)


@leak("module", r"leak_corpus\.job\.args\[0\]")
def partial():
    user = User()
    return user, keep("job", functools.partial(print, user, end=""))


@leak("module", r"leak_corpus\.named_job\.keywords\['user'\]")
def partial_keyword():
    user = User()
    return user, keep("named_job", functools.partial(print, user=user))


@leak("module", r".*leak_corpus\.lookup.*")
def lru_cache_result():
    @functools.lru_cache
    def lookup(name: str) -> User:
        return User(name)

    return lookup("alice"), keep("lookup", lookup)


class Page:
    @functools.lru_cache  # noqa: B019 -- the mistake
    def words(self, least: int) -> int:
        return least


@leak("module", r".*leak_corpus\.Page\.words.*")
def cached_method():
    page = Page()
    page.words(3)
    return page, lambda: Page.words.cache_clear()


class Shop:
    @functools.cached_property
    def owner(self) -> User:
        return User()


@leak("module", r"leak_corpus\.shop\.owner")
def cached_property():
    shop = Shop()
    return shop.owner, keep("shop", shop)


@leak("module", r".*leak_corpus\.reader.*")
def memory_view():
    class Buffer(bytearray):
        pass

    buffer = Buffer(10)
    return buffer, keep("reader", memoryview(buffer))


@leak("module", r".*leak_corpus\.iterator.*")
def list_iterator():
    user = User()
    return user, keep("iterator", iter([user]))


@leak("module", r".*leak_corpus\.pairs.*")
def zip_iterator():
    user = User()
    return user, keep("pairs", zip([user], itertools.count(), strict=False))


# What is suspended, or runs ---------------------------------------------------------------------


@leak("module", r".*leak_corpus\.generator.*user.*")
def suspended_generator():
    def names(user: Any) -> Iterator[str]:
        yield "first"
        yield user.name

    user = User()
    generator = names(user)
    next(generator)
    return user, keep("generator", generator)


@types.coroutine
def suspension() -> Iterator[None]:
    yield


@leak("module", r".*leak_corpus\.coroutine.*user.*")
def suspended_coroutine():
    async def wait(user: Any) -> Any:
        await suspension()
        return user

    user = User()
    coroutine = wait(user)
    coroutine.send(None)
    return user, keep("coroutine", coroutine)


@leak("module", r".*leak_corpus\.stream.*user.*")
def suspended_async_generator():
    async def names(user: Any) -> Any:
        yield "first"
        yield user.name

    user = User()
    stream = names(user)
    with contextlib.suppress(StopIteration):
        stream.__anext__().send(None)
    return user, keep("stream", stream)


@leak("module", r".*leak_corpus\.transaction.*user.*")
def context_manager():
    @contextlib.contextmanager
    def transaction(user: Any) -> Iterator[str]:
        yield user.name

    user = User()
    manager = transaction(user)
    manager.__enter__()
    return user, keep("transaction", manager)


def in_thread(work: Callable[..., Any], *args: Any) -> Undo:
    """Starts a thread; it is to call a function that it is given, which waits for the end."""
    running, end = threading.Event(), threading.Event()

    def wait() -> None:
        running.set()
        end.wait(TIMEOUT)

    thread = threading.Thread(target=work, args=(wait, *args), name="worker", daemon=True)
    thread.start()
    running.wait(TIMEOUT)

    def undo() -> None:
        end.set()
        thread.join(TIMEOUT)

    return undo


def as_local(wait: Callable[[], None], made: list[Any]) -> None:
    job = User()
    made.append(job)
    del made
    wait()
    del job


@leak("local", r"job( in as_local\(\) at leak_corpus\.py:\d+.*)?")
def local_of_a_thread():
    made: list[Any] = []
    undo = in_thread(as_local, made)
    return made.pop(), undo


def as_temporary(wait: Callable[[], None], made: list[Any]) -> None:
    for _ in made_in_a_loop(made):
        wait()


def made_in_a_loop(made: list[Any]) -> list[Any]:
    user = User()
    made.append(user)
    return [1, user]


@leak("(local|unseen)", r".*", runs=not PYPY)
def list_of_a_running_loop():
    """No variable has it: only the loop's iterator."""
    made: list[Any] = []
    undo = in_thread(as_temporary, made)
    return made.pop(), undo


@leak("thread", r".*_args\[\d\].*")
def argument_of_a_thread():
    def work(wait: Callable[[], None], *_: Any) -> None:
        del _
        wait()

    user = User()
    return user, in_thread(work, user)


THREAD_LOCAL = threading.local()


def as_thread_local(wait: Callable[[], None], made: list[Any]) -> None:
    THREAD_LOCAL.user = User()
    made.append(THREAD_LOCAL.user)
    wait()


@leak("(module|unseen|thread)", r".*")
def thread_local():
    made: list[Any] = []
    undo = in_thread(as_thread_local, made)
    return made.pop(), undo


@leak("(thread|module)", r".*args\[0\]")
def timer():
    user = User()
    waiting = threading.Timer(TIMEOUT, print, [user])
    waiting.daemon = True
    waiting.start()

    def undo() -> None:
        waiting.cancel()
        waiting.join(TIMEOUT)

    return user, undo


def as_loop(wait: Callable[[], None], made: list[Any], begin: Any) -> None:
    """An event loop that runs in a thread."""

    async def main() -> None:
        made.append(begin(made))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        made.clear()
        await asyncio.get_running_loop().run_in_executor(None, wait)

    asyncio.run(main())


def in_loop(begin: Callable[[list[Any]], Any]) -> tuple[Any, Undo]:
    """What `begin` makes in a running event loop, which holds what `begin` returns."""
    found: list[Any] = []

    def start(made: list[Any]) -> Any:
        kept, user = begin(made)
        found.append(user)
        return kept

    undo = in_thread(as_loop, [], start)
    return found.pop(), undo


@leak("task", r".*user.*")
def local_of_a_task():
    async def serve(user: Any) -> None:
        await asyncio.sleep(TIMEOUT)
        print(user)

    def begin(_: list[Any]) -> Any:
        user = User()
        return asyncio.get_running_loop().create_task(serve(user)), user

    return in_loop(begin)


@leak("(module|local|unseen|task)", r".*")
def callback_of_a_timer():
    def begin(_: list[Any]) -> Any:
        user = User()
        return asyncio.get_running_loop().call_later(TIMEOUT, user.greet), user

    return in_loop(begin)


@leak("module", r".*leak_corpus\.answer.*")
def callback_of_a_future():
    user = User()
    future: Any = concurrent.futures.Future()
    future.add_done_callback(user.greet)
    return user, keep("answer", future)


@leak("module", r".*leak_corpus\.promise.*")
def callback_of_an_asyncio_future():
    user = User()
    loop = asyncio.new_event_loop()
    future: Any = loop.create_future()
    future.add_done_callback(user.greet)
    forget = keep("promise", future)

    def undo() -> None:
        forget()
        loop.close()

    return user, undo


@leak("module", r".*leak_corpus\.context.*")
def context_variable():
    context = contextvars.Context()
    variable: Any = contextvars.ContextVar("user")
    user = User()
    context.run(variable.set, user)
    return user, keep("context", context)


CURRENT: contextvars.ContextVar[Any] = contextvars.ContextVar("current", default=None)


@leak("(unseen|state)", r".*", goes=False)
def variable_of_the_current_context():
    user = User()
    token = CURRENT.set(user)
    return user, functools.partial(CURRENT.reset, token)


# Exceptions -------------------------------------------------------------------------------------


def failing(user: Any) -> None:
    raise ValueError(user.name)


def caught() -> tuple[Any, Exception]:
    user = User()
    try:
        failing(user)
    except ValueError as error:
        return user, error
    raise AssertionError


@leak("module", r".*leak_corpus\.error.*tb_frame.*user.*")
def traceback_frame():
    user, error = caught()
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next  # of failing() only
    return user, keep("error", error)


@leak("runner", r"held\.__traceback__.*user.*")  # in a test run, whoever runs it has set that
def last_value():
    user, error = caught()
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    sys.last_value = error
    return user, lambda: delattr(sys, "last_value")


class UserError(Exception):
    def __init__(self, user: Any) -> None:
        super().__init__("no such user")
        self.user = user


@leak("module", r"leak_corpus\.outer_error\.__context__\.user")
def exception_context():
    user = User()
    inner, outer = UserError(user), KeyError("x")
    outer.__context__ = inner
    return user, keep("outer_error", outer)


@leak("module", r"leak_corpus\.argument_error\.args\[0\]")
def exception_argument():
    user = User()
    return user, keep("argument_error", ValueError(user))


# The standard library's, and C's ------------------------------------------------------------------


class Alert(logging.Handler):
    def __init__(self, user: Any) -> None:
        super().__init__()
        self.user = user

    def emit(self, record: Any) -> None: ...


@leak("module", r"leak_corpus\.LOGGER\.handlers\[0\]\.user|logging\..*handlers\[0\]\.user")
def logging_handler():
    user = User()
    handler = Alert(user)
    LOGGER.addHandler(handler)
    del handler
    return user, lambda: LOGGER.handlers.clear()


LOGGER = logging.getLogger("leak_corpus")


@leak("(unseen|module)", r".*")
def exit_function():
    user = User()
    atexit.register(user.greet)

    def undo() -> None:
        atexit.unregister(AnyMethod())

    return user, undo


class AnyMethod:
    """Equal to a user's method."""

    def __eq__(self, other: object) -> bool:
        return getattr(other, "__func__", None) is User.greet

    __hash__ = None  # type: ignore[assignment]


@leak("state", r"signal\.getsignal\(signal\.SIGUSR1\)\.__self__", runs=hasattr(signal, "SIGUSR1"))
def signal_handler():
    user = User()
    signal.signal(signal.SIGUSR1, user.greet)
    return user, lambda: signal.signal(signal.SIGUSR1, signal.SIG_DFL)


@leak("module", r"leak_corpus\.watch\.__callback__\.__self__", runs=not PYPY)
def weakref_callback():
    user = User()
    return user, keep("watch", weakref.ref(Last, user.greet))


@leak("module", r".*(_registry|weakref).*args\[0\]")
def stdlib_finalizer():
    user = User()
    finalizer = weakref.finalize(Last, print, user)
    finalizer.atexit = False
    return user, finalizer.detach


@leak("(finalizer|unseen|module)", r".*")
def finalizer_argument():
    user = User()
    finalizer = weakly.finalize(Last, print, user)
    finalizer.atexit = False
    return user, finalizer.detach


class Document:
    changed: Any = weakly.Signal[str]()


@leak("module", r".*leak_corpus\.(document|Document).*")
def listener():
    user = User()
    document = Document()
    document.changed.connect(lambda text: user.greet())
    return user, keep("document", document)


@leak("module", r".*leak_corpus\.by_user.*")
def weak_key_of_its_own_value():
    user = User()
    by_user = weakref.WeakKeyDictionary({user: [user]})
    return user, keep("by_user", by_user)


# From 3.14 on, not every variable of a function that runs is counted, which Python code cannot
# tell: its count is then too low to see one reference more.
@leak("unseen", r".*", runs=C_CORE or (not PYPY and sys.version_info < (3, 14)))
def counted_by_c():
    user = User()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(user))
    address = id(user)
    return user, lambda: ctypes.pythonapi.Py_DecRef(
        ctypes.cast(ctypes.c_void_p(address), ctypes.py_object)
    )


@leak("module", r".*leak_corpus\.pointer.*", runs=not PYPY)
def ctypes_object():
    user = User()
    return user, keep("pointer", ctypes.py_object(user))


@leak("module", r".*leak_corpus\.c_callback.*", runs=not PYPY)
def ctypes_callback():
    user = User()
    return user, keep("c_callback", ctypes.CFUNCTYPE(None)(user.greet))


@leak("(unseen|module)", r".*")
def sqlite_function():
    sqlite3 = pytest.importorskip("sqlite3")
    user = User()
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.create_function("greet", 1, user.greet)
    forget = keep("connection", connection)

    def undo() -> None:
        connection.close()
        forget()

    return user, undo


@leak(".*", r".*", goes=False)
def singleton():
    return None, int


@leak(".*", r".*", goes=False)
def small_number():
    return 1, int


@leak("module", r"sys|leak_corpus|.*", goes=False)
def module_itself():
    return sys.modules[__name__], int


@leak("module", r"leak_corpus\.User", goes=False)
def class_itself():
    return User, int


# The engine takes seconds on PyPy: there, most of them run with the slow tests.
corpus = pytest.mark.parametrize(
    "leak",
    [
        pytest.param(each, id=name, marks=[pytest.mark.slow] if PYPY and number % 8 else [])
        for number, (name, each) in enumerate(LEAKS.items())
    ],
)
