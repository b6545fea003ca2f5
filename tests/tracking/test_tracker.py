"""`Tracker`: what was made, where, and what lives of it; and that nobody notices."""

from __future__ import annotations

import abc
import copy
import gc
import inspect
import io
import pickle
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import pytest
from support import (
    COUNTS_REFERENCES,
    PYPY,
    check_runs,
    gc_collect_harder,
    let_die,
    run_all,
    slow_on_pypy,
)

from weakly import Tracker

T = TypeVar("T")

# ----------------------------------------------------------------- classes of all kinds


class Plain:
    pass


class WithInit:
    def __init__(self, value: int = 0, *others: int, key: str = "") -> None:
        self.value = value


class WithNew:
    def __new__(cls, value: int) -> WithNew:
        return super().__new__(cls)


class WithBoth:
    def __new__(cls, value: int) -> WithBoth:
        return super().__new__(cls)

    def __init__(self, value: int) -> None:
        self.value = value


class Slotted:
    __slots__ = ("__weakref__", "value")

    def __init__(self, value: int) -> None:
        self.value = value


@dataclass
class Data:
    value: int
    other: str = ""


@dataclass(slots=True, weakref_slot=True, frozen=True)
class FrozenData:
    value: int


class SubData(Data):
    pass


class Silent(WithInit):
    def __init__(self) -> None:
        pass  # and nothing of its base


class Mixin:
    def __init__(self, value: int) -> None:
        self.mixed = value


class Mixed(Mixin, Plain):
    """Whose `__init__` is that of a class that is not watched."""


class Error(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"value {value}")


class PlainError(Exception):
    pass


class Table(dict[str, int]):
    pass


class Abstract(abc.ABC):
    @abc.abstractmethod
    def method(self) -> None: ...


class Concrete(Abstract):
    def method(self) -> None:
        pass


class Of(Generic[T]):
    def __init__(self, value: T) -> None:
        self.value = value


class Meta(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


class WithMeta(metaclass=Meta):
    def __init__(self, value: int) -> None:
        self.value = value


class HostileMeta(type):
    def __eq__(cls, other: object) -> bool:
        raise AssertionError("__eq__ of a metaclass")

    def __hash__(cls) -> int:
        raise AssertionError("__hash__ of a metaclass")

    def __getattribute__(cls, name: str) -> Any:
        if name in ("__subclasses__", "__mro__", "__module__", "__qualname__"):
            raise AssertionError(name)
        return super().__getattribute__(name)

    def __setattr__(cls, name: str, value: Any) -> None:
        raise AssertionError("__setattr__ of a metaclass")

    def __instancecheck__(cls, instance: object) -> bool:
        raise AssertionError("__instancecheck__ of a metaclass")

    def __subclasscheck__(cls, subclass: type) -> bool:
        raise AssertionError("__subclasscheck__ of a metaclass")


class Hostile(metaclass=HostileMeta):
    def _no(self, *_: Any) -> Any:
        raise AssertionError("code of the object's own")

    __eq__ = __hash__ = __repr__ = __bool__ = __len__ = __getattr__ = __class__ = _no  # type: ignore[assignment]
    __class__ = property(_no)  # type: ignore[assignment]


class WithPartialInit:
    from functools import partialmethod

    def _begin(self, value: int, other: int) -> None:
        self.values = value, other

    __init__ = partialmethod(_begin, 1)  # type: ignore[assignment]


MAKERS: list[tuple[str, type, Callable[[], Any]]] = [
    ("Plain", Plain, lambda: Plain()),
    ("WithInit", WithInit, lambda: WithInit(1, 2, key="x")),
    ("WithNew", WithNew, lambda: WithNew(1)),
    ("WithBoth", WithBoth, lambda: WithBoth(1)),
    ("Slotted", Slotted, lambda: Slotted(1)),
    ("Data", Data, lambda: Data(1)),
    ("FrozenData", FrozenData, lambda: FrozenData(1)),
    ("SubData", SubData, lambda: SubData(1, "x")),
    ("Silent", Silent, lambda: Silent()),
    ("Mixed", Mixed, lambda: Mixed(1)),
    ("Error", Error, lambda: Error(1)),
    ("PlainError", PlainError, lambda: PlainError(1, 2)),
    ("Table", Table, lambda: Table(a=1)),
    ("Concrete", Concrete, lambda: Concrete()),
    ("Of", Of, lambda: Of[int](1)),
    ("WithMeta", WithMeta, lambda: WithMeta(1)),
    ("Hostile", Hostile, lambda: Hostile()),
    ("WithPartialInit", WithPartialInit, lambda: WithPartialInit(2)),
]
classes = pytest.mark.parametrize(
    ("cls", "make"), [pytest.param(cls, make, id=name) for name, cls, make in MAKERS]
)


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    with Tracker() as tracker:
        yield tracker


def counts(tracker: Tracker) -> tuple[int, int, int, int]:
    """Of the one thing that is watched."""
    (found,) = tracker.counts().values()
    return found


# ------------------------------------------------------------------ what a tracker sees


@classes
def test_each_creation_and_death_counts(tracker: Tracker, cls: type, make: Any) -> None:
    tracker.watch_class(cls)
    first, second = make(), make()
    assert counts(tracker) == (2, 2, 0, 2)
    del first
    let_die()
    assert counts(tracker) == (2, 1, 1, 2)
    assert [id(obj) for obj in tracker.alive()] == [id(second)]
    (row,) = tracker.report().classes
    assert (row.created, row.alive, row.dead, row.peak) == (2, 1, 1, 2)
    assert [(site.file, site.created, site.alive) for site in row.sites] == [(__file__, 2, 1)]


@classes
def test_a_class_is_left_as_it_was(cls: type, make: Any) -> None:
    def state() -> Any:
        return [(name, id(value)) for name, value in type.__dict__["__dict__"].__get__(cls).items()]

    make()
    before = state()
    first, second = Tracker(), Tracker()
    first.watch_class(cls)
    second.watch_class(cls)
    assert state() != before
    make()
    first.close()
    assert state() != before
    make()
    second.close()
    assert state() == before
    make()


@classes
def test_the_signature_stays(tracker: Tracker, cls: type, make: Any) -> None:
    def parameters() -> list[str] | None:
        try:
            return [str(each) for each in inspect.signature(cls).parameters.values()]
        except (ValueError, AssertionError):  # there is none
            return None

    before = parameters()
    tracker.watch_class(cls)
    assert before is None or parameters() == before


@pytest.mark.parametrize("arguments", [(1,), (1, 2, 3), ()], ids=len)
@classes
def test_wrong_arguments_are_refused_as_ever(
    tracker: Tracker, cls: type, make: Any, arguments: Any
) -> None:
    def outcome() -> Any:
        try:
            return type(cls(*arguments)) is cls
        except TypeError as error:
            return str(error).replace(f"{cls.__name__}.", "")

    before = outcome()
    tracker.watch_class(cls)
    assert outcome() == before


@pytest.mark.parametrize("watched", ["Proto", "Base", "Both", "Later"])
def test_protocols_find_the_init_behind_them(tracker: Tracker, watched: str) -> None:
    class Proto(Protocol):
        def method(self) -> None: ...

    class Base:
        def __init__(self, value: int) -> None:
            self.value = value

    class Both(Proto, Base):
        pass

    class Later(Both):
        pass

    cls: Any = locals()[watched]
    tracker.watch_class(cls)
    some = [Later(1), Both(2), Later(3)]
    assert [each.value for each in some] == [1, 2, 3]
    assert tracker.alive() == [each for each in some if cls in type(each).__mro__]
    with pytest.raises(TypeError, match="cannot be instantiated"):
        Proto()  # type: ignore[misc]
    tracker.close()
    assert [Later(4).value, Both(5).value] == [4, 5]


def test_object_refuses_arguments_as_ever(tracker: Tracker) -> None:
    class Base:
        pass

    class Giving(Base):
        def __init__(self, value: int) -> None:
            super().__init__(value)  # type: ignore[call-arg]

    tracker.watch_class(Base)
    with pytest.raises(TypeError, match=r"object.__init__\(\) takes"):
        Giving(1)


def test_subclasses(tracker: Tracker) -> None:
    class Later(WithInit):
        def __init__(self) -> None:
            super().__init__(1)

    tracker.watch_class(WithInit)
    some = [WithInit(1), Silent(), Later()]
    assert tracker.alive() == some
    assert tracker.alive(Silent) == some[1:2]
    only = Tracker()
    only.watch_class(WithInit, subclasses=False)
    more = [WithInit(1), Silent(), Later()]
    assert only.alive() == more[:1]
    only.close()


def test_a_subclass_made_later(tracker: Tracker) -> None:
    tracker.watch_class(WithInit)

    class Later(WithInit):
        def __init__(self) -> None:
            pass

    one = Later()
    assert counts(tracker).created == 0  # it has told nobody
    two = Later()  # but the question had it told
    assert counts(tracker).created == 1
    assert tracker.alive() == [two, one]
    row = tracker.report().classes[0]
    assert [site.where.partition(" at ")[0] for site in row.sites] == [
        "test_a_subclass_made_later()",
        "nobody seen: found on the heap",
    ]
    tracker.close()
    assert vars(Later)["__init__"].__qualname__.endswith("Later.__init__")
    Later()


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        lambda obj: pickle.loads(pickle.dumps(obj)),
        lambda obj: object.__new__(type(obj)),
    ],
    ids=["copy", "deepcopy", "pickle", "__new__"],
)
def test_what_is_made_without_init_is_found(tracker: Tracker, duplicate: Any) -> None:
    original = WithInit(1)
    tracker.watch_class(WithInit)
    other = duplicate(original)
    assert tracker.alive() == [other]
    assert counts(tracker) == (1, 1, 0, 1)
    del other
    let_die()
    assert tracker.alive() == []
    assert counts(tracker) == (1, 0, 1, 1)


def test_what_was_there_before_is_left_out(tracker: Tracker) -> None:
    before = WithInit(1)
    tracker.watch_class(WithInit)
    before.__init__(2)  # type: ignore[misc]
    assert tracker.alive() == []
    after = WithInit(3)
    assert tracker.alive() == [after]


def test_an_object_counts_once(tracker: Tracker) -> None:
    class Twice(WithInit):
        def __init__(self) -> None:
            super().__init__(1)
            self.__init__ = None  # type: ignore[assignment]
            WithInit.__init__(self, 2)

    class Only:
        one: Any = None

        def __new__(cls) -> Only:
            cls.one = cls.one or super().__new__(cls)
            return cls.one  # type: ignore[no-any-return]

    tracker.watch_class(WithInit)
    tracker.watch_class(Only, label="only")
    twice = Twice()
    assert Only() is Only()
    assert tracker.counts()["only"].created == 1
    assert tracker.alive() == [twice, Only.one]


def test_an_init_that_fails(tracker: Tracker) -> None:
    class Failing:
        def __init__(self) -> None:
            raise ValueError("no")

    tracker.watch_class(Failing)
    with pytest.raises(ValueError, match="no"):
        Failing()
    gc_collect_harder()
    assert counts(tracker) == (1, 0, 1, 1)


def test_several_watch_the_same_objects(tracker: Tracker) -> None:
    tracker.watch_class(WithInit)
    tracker.watch_class(Silent)
    other = Tracker()
    other.watch_class(WithInit, label="mine")
    obj = Silent()
    assert tracker.alive() == tracker.alive(Silent) == other.alive("mine") == [obj]
    assert [each.created for each in tracker.counts().values()] == [1, 1]
    other.close()
    more = Silent()
    assert other.alive() == [obj]  # what it has seen
    assert tracker.alive() == [obj, more]


def test_classes_that_cannot_be_changed(tracker: Tracker) -> None:
    tracker.watch_class(types.GeneratorType)
    one = (each for each in [1])
    assert any(obj is one for obj in tracker.alive())
    (row,) = tracker.report().classes
    assert row.note == "generator cannot be changed: its objects are seen when looked for"
    assert row.alive >= 1


def test_objects_that_cannot_be_weakly_referenced(tracker: Tracker) -> None:
    class Bare:
        __slots__ = ("value",)

        def __init__(self) -> None:
            self.value: Any = self

    class Free(Bare):
        pass

    tracker.watch_class(Bare)
    some = [Bare(), Bare(), Free()]
    assert tracker.alive() == ([some[2]] if not PYPY else tracker.alive())
    (row,) = tracker.report().classes
    if not PYPY:
        assert row.alive == 3
        assert "cannot be weakly referenced" in row.note


def test_watch_an_object(tracker: Tracker) -> None:
    one, two = Plain(), Plain()
    assert tracker.watch(one) is one
    assert tracker.watch(one) is one
    tracker.watch(two, "mine")
    assert tracker.alive() == [one, two]
    assert tracker.alive("mine") == [two]
    assert tracker.alive(Plain) == [one, two]
    assert list(tracker.counts()) == [f"{__name__}.Plain", "mine"]
    del two
    let_die()
    assert tracker.counts()["mine"] == (1, 0, 1, 1)
    (site,) = tracker.report().classes[1].sites
    assert site.where.startswith("test_watch_an_object() at test_tracker.py:")


# -------------------------------------------------------------------------- who made it


def line_of(text: str) -> int:
    """The line of this file that holds the text first."""
    lines = inspect.getsource(sys.modules[__name__]).splitlines()
    return next(at for at, line in enumerate(lines, 1) if text in line)


def sites(tracker: Tracker) -> list[tuple[str, int, int]]:
    return [
        (site.where.partition(" at ")[0], site.line, site.alive)
        for row in tracker.report().classes
        for site in row.sites
    ]


class Node:
    def __init__(self, depth: int) -> None:
        self.below = Node(depth - 1) if depth else None  # below


class SubNode(Node):
    def __init__(self) -> None:
        super().__init__(0)


class NewNode(Node):
    def __new__(cls, depth: int) -> NewNode:
        return super().__new__(cls)


def test_the_site_is_the_caller_of_the_class(tracker: Tracker) -> None:
    class Late(SubNode):
        def __init__(self) -> None:
            super().__init__()

    tracker.watch_class(Node)
    tracker.watch_class(WithMeta)
    some = [Node(1), SubNode(), Late(), NewNode(0), WithMeta(1)]  # all of them
    here = line_of("# all of them")
    assert sites(tracker) == [
        ("test_the_site_is_the_caller_of_the_class()", here, 4),
        ("Node.__init__()", line_of("# below"), 1),
        ("test_the_site_is_the_caller_of_the_class()", here, 1),
    ]
    del some


def test_sites_without_objects_come_last(tracker: Tracker) -> None:
    tracker.watch_class(Plain)
    Plain()
    kept = Plain()
    let_die()
    (row,) = tracker.report().classes
    assert [(site.created, site.alive) for site in row.sites] == [(1, 1), (1, 0)]
    assert row.sites[1].oldest is None
    del kept


def test_traceback(tracker: Tracker) -> None:
    def inner() -> Plain:
        return Plain()  # inner

    def outer() -> Plain:
        return inner()  # outer

    tracker.watch_class(Plain, traceback=2)
    kept = outer()
    (site,) = tracker.report().classes[0].sites
    first, second = site.traceback
    assert first.endswith(
        f"{line_of('# outer')} in test_traceback.<locals>.outer: return inner()  # outer"
    )
    assert second.endswith("inner: return Plain()  # inner")
    assert first in str(tracker.report())
    tracker.watch_class(Plain, traceback=True)
    more = outer()
    assert len(tracker.report().classes[0].sites[0].traceback) > 3
    del kept, more


def test_ages(tracker: Tracker) -> None:
    tracker.watch_class(Plain)
    first = Plain()
    between = tracker.report()
    second = Plain()
    after = tracker.report()
    assert 0 <= (between.classes[0].oldest or 0) <= between.seconds
    assert (after.classes[0].oldest or 0) >= (between.classes[0].oldest or 0)
    oldest = [site.oldest for site in after.classes[0].sites]
    assert oldest == sorted(oldest, key=lambda age: -(age or 0))
    assert tracker.alive() == [first, second]


# --------------------------------------------------------------------------- the report


def test_the_report_as_text(tracker: Tracker) -> None:
    tracker.watch_class(WithInit, label="things")
    kept: list[Any] = []
    for _ in range(3):
        kept.append(WithInit())
    WithInit()
    let_die()
    text = str(tracker.report())
    assert text.startswith("things: 3 alive (oldest ")
    assert " of 4 created, 1 dead, peak " in text
    assert "3 alive of 3 made by test_the_report_as_text" in text
    assert repr(tracker) == "<Tracker: 3 things alive>"
    assert str(Tracker().report()) == "Nothing is watched."
    del kept


@slow_on_pypy
def test_the_report_in_colours(tracker: Tracker) -> None:
    console = pytest.importorskip("rich.console")
    tracker.watch_class(WithInit, label="things [of mine]", traceback=1)
    kept = WithInit()
    tracker.watch_class(types.GeneratorType)
    out = console.Console(width=200, file=io.StringIO())
    out.print(tracker.report(why=1))
    shown = out.file.getvalue()
    for part in ("things [of mine]", "test_the_report_in_colours()", "cannot be changed", "kept"):
        assert part in shown
    del kept


@slow_on_pypy
def test_why(tracker: Tracker) -> None:
    tracker.watch_class(WithInit)
    holder = [WithInit()]  # noqa: F841
    assert tracker.report().classes[0].why == ()
    (retention,) = tracker.report(why=3).classes[0].why
    assert [path.expression for path in retention.paths] == ["holder[0]"]
    assert "holder[0]" in str(tracker.report(why=1))


@slow_on_pypy
def test_a_report_holds_nothing(tracker: Tracker) -> None:
    tracker.watch_class(WithInit, traceback=True)
    obj = WithInit()
    report = tracker.report(why=1)
    watch = weakref.ref(obj)
    del obj
    gc_collect_harder()
    assert watch() is None
    assert report.classes[0].alive == 1


# ------------------------------------------------------------------------------ the end


def test_unwatch(tracker: Tracker) -> None:
    tracker.watch_class(WithInit)
    one = tracker.watch(Plain())
    two = tracker.watch(Plain())
    tracker.watch(one, "mine")
    tracker.unwatch(one)
    assert tracker.alive() == [two]
    tracker.unwatch("mine")
    tracker.unwatch(WithInit)
    assert vars(WithInit)["__init__"].__code__.co_filename == __file__
    assert list(tracker.counts()) == [f"{__name__}.Plain"]
    for wrong in (WithInit, "mine", one, 1, None):
        with pytest.raises(ValueError, match="not watched"):
            tracker.unwatch(wrong)


def test_watching_again_replaces_the_options(tracker: Tracker) -> None:
    tracker.watch_class(WithInit)
    WithInit()
    tracker.watch_class(WithInit, subclasses=False, label="mine")
    kept = WithInit(), Silent()
    assert tracker.counts()["mine"][:2] == (1, 1)
    assert len(tracker.counts()) == 1
    del kept


def test_two_classes_of_one_name(tracker: Tracker) -> None:
    def make() -> type:
        class Same:
            pass

        return Same

    some = [make(), make()]
    for cls in some:
        tracker.watch_class(cls)
    kept = some[1]()
    first, second = tracker.counts().items()
    assert (second[0], second[1].alive) == (f"{first[0]} #2", 1)
    assert first[1].alive == 0
    del kept


def test_closed(tracker: Tracker) -> None:
    tracker.watch_class(WithInit)
    kept = WithInit()
    tracker.close()
    tracker.close()
    more = WithInit()
    assert tracker.alive() == [kept]
    assert tracker.report().classes[0].alive == 1
    for attempt in (lambda: tracker.watch(kept), lambda: tracker.watch_class(WithInit)):
        with pytest.raises(RuntimeError, match="closed"):
            attempt()
    del more


def test_wrong_arguments(tracker: Tracker) -> None:
    with pytest.raises(TypeError, match="'int'"):
        tracker.watch(1)
    with pytest.raises(TypeError, match="'int' object: no class"):
        tracker.watch_class(1)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="all objects"):
        tracker.watch_class(object)
    with pytest.raises(TypeError, match="a label is a str, not 'int'"):
        tracker.watch(Plain(), 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="negative"):
        tracker.watch_class(Plain, traceback=-1)
    with pytest.raises(ValueError, match="'nobody'"):
        tracker.alive("nobody")
    with pytest.raises(TypeError, match="a class or a label is required, not 'int'"):
        tracker.alive(1)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        tracker.report(why="all")  # type: ignore[arg-type]
    assert tracker.counts() == {}


def test_somebody_else_replaces_the_init() -> None:
    class Mine:
        def __init__(self) -> None:
            self.value = 1

    own = Mine.__init__
    tracker = Tracker()
    tracker.watch_class(Mine)
    telling = Mine.__init__

    def theirs(self: Mine) -> None:
        telling(self)
        self.value = 2

    Mine.__init__ = theirs  # type: ignore[method-assign]
    one = Mine()
    assert tracker.alive() == [one]
    tracker.close()
    assert vars(Mine)["__init__"] is theirs  # not taken away
    assert Mine().value == 2
    Mine.__init__ = telling  # type: ignore[method-assign]  # as mock.patch does at its end
    assert Mine().value == 1
    again = Tracker()
    again.watch_class(Mine)
    two = Mine()
    assert again.alive() == [two]
    again.close()
    assert vars(Mine)["__init__"] is own


# ------------------------------------------------------------------ nobody is kept alive


def test_nothing_is_kept_alive(tracker: Tracker) -> None:
    class Local:
        def __init__(self) -> None:
            self.me = self

    tracker.watch_class(Local, traceback=True)
    obj = Local()
    watches = [weakref.ref(obj), weakref.ref(Local)]
    assert tracker.alive(Local) == [obj]
    tracker.report()
    del obj, Local
    gc_collect_harder()
    assert [watch() for watch in watches] == [None, None]
    assert counts(tracker) == (1, 0, 1, 1)
    tracker.close()


def test_a_tracker_that_goes_without_close() -> None:
    class Local:
        pass

    tracker = Tracker()
    tracker.watch_class(Local)
    assert "__init__" in vars(Local)
    watch = weakref.ref(tracker)
    del tracker
    gc_collect_harder()
    assert watch() is None
    assert "__init__" not in vars(Local)


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="deaths come later")
def test_the_dead_are_not_heaped_up(tracker: Tracker) -> None:
    tracker.watch_class(Plain)
    for _ in range(1_000):
        Plain()
    (watch,) = tracker._watches.values()
    assert len(watch.alive) < 100
    assert counts(tracker) == (1_000, 0, 1_000, 1)


def test_no_python_code_runs_in_a_death(tracker: Tracker) -> None:
    tracker.watch_class(Plain)
    obj = Plain()
    (reference,) = [each for each in weakref.getweakrefs(obj) if each.__callback__]
    assert type(reference.__callback__) is types.BuiltinMethodType or PYPY


# ------------------------------------------------------------- threads and interruptions


def test_threads(tracker: Tracker) -> None:
    tracker.watch_class(Plain)
    kept: list[list[Any]] = [[], [], [], []]
    done = threading.Event()

    def make(at: int) -> None:
        for number in range(500):
            obj = Plain()
            if number % 5 == 0:
                kept[at].append(obj)

    def ask() -> None:
        while not done.is_set():
            tracker.counts()
            tracker.report()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert run_all(*(lambda at=at: make(at) for at in range(4))) == [None] * 4  # type: ignore[misc]
    finally:
        done.set()
        asking.join()
    gc_collect_harder()
    assert counts(tracker)[:3] == (2_000, 400, 1_600)


def test_finalizers_that_make_objects_and_ask(tracker: Tracker) -> None:
    kept: list[Any] = []

    class Reviving:
        def __del__(self) -> None:
            if len(kept) < 50:
                kept.append(Plain())
                tracker.counts()

    tracker.watch_class(Plain)
    tracker.watch_class(Reviving)
    for _ in range(50):
        obj = Reviving()
        obj.me = obj  # type: ignore[attr-defined]
        del obj
        Plain()
        gc.collect()
    gc_collect_harder()
    found = tracker.counts()
    assert found[f"{__name__}.Plain"].alive == len(kept) > 0
    assert tracker.alive(Plain) == kept


def test_nothing_is_left_at_exit() -> None:
    out = check_runs("""
        from weakly.tracking._tracker import Tracker

        class User:
            pass

        tracker = Tracker()
        tracker.watch_class(User)
        users = [User() for _ in range(3)]
        print(tracker.report().classes[0].alive)
    """)
    assert out == "3\n"
