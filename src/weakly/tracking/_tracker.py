"""`Tracker`: which objects were made, where, and which of them are still alive.

How the instances of a class are seen: its `__init__` is replaced by one that tells the tracker and
then does what the class did, and so is that of each subclass that has its own. That can be undone
without a trace, which a `__new__` that a class did not have cannot: on CPython, such a class never
again is as it was. Instances that are made without `__init__` (copies, unpickled ones), those of
classes that cannot be changed, and of subclasses that came later, are found by a look at the heap,
when somebody asks.

A death runs no Python code: the callback of the weak reference is `deque.append`. What that
leaves is settled at the next creation or question. Neither waits for a lock: each change is one
operation on a dict or deque, which is atomic.
"""

from __future__ import annotations

import gc
import sys
import typing
from _thread import RLock, allocate_lock
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import update_wrapper
from itertools import compress
from operator import index as as_index
from sys import _getframe  # pyright: ignore[reportPrivateUsage]
from time import monotonic
from types import CellType, CodeType, FrameType, FunctionType
from typing import Any, NamedTuple, Self, TypeVar, cast, overload
from weakref import getweakrefcount, getweakrefs, ref

from .._implementation import frame_variables
from .._progress import Progress
from ..containers import WeakIdSet
from ..referents import supports_weakrefs
from ._names import (
    describe_frame,
    find_in_class,
    module_of,
    mro_of,
    namespace_of,
    printable,
    qualified_name,
)
from ._retention import Retention, why_alive

__all__ = ["TrackedClass", "TrackedCounts", "TrackedSite", "Tracker", "TrackerReport"]

T = TypeVar("T")

_DEEPEST = 100  # frames of a traceback, where no number was given
_UNSETTLED = 50  # deaths, with more of which a creation settles them
_SHOWN = 10  # places that the text of a report names for each class


# ------------------------------------------------------------------------------ what is found


class TrackedCounts(NamedTuple):
    """How many objects there are, and were."""

    created: int
    """Since they are watched; of those made without `__init__`, those that were found."""
    alive: int
    dead: int
    peak: int
    """The most that were alive at the same time."""


class TrackedSite(NamedTuple):
    """A place in the program that has made objects."""

    where: str
    """For people: `login() at app.py:41`."""
    file: str
    """Empty if it is not known."""
    line: int
    created: int
    alive: int
    oldest: float | None
    """Seconds since the oldest that is alive was made, or found; None if none is."""
    traceback: tuple[str, ...]
    """How that one came to be made, the outermost call first, if that was asked for."""


class TrackedClass(NamedTuple):
    """What is known of a class that is watched, or of the objects with a label."""

    name: str
    created: int
    alive: int
    dead: int
    peak: int
    oldest: float | None
    """Seconds since the oldest that is alive was made, or found; None if none is."""
    sites: tuple[TrackedSite, ...]
    """The places that made them: those of the oldest that are alive first."""
    why: tuple[Retention, ...]
    """What keeps the oldest alive, if that was asked for."""
    note: str
    """What the numbers do not say, as for classes that cannot be watched; else empty."""

    def __str__(self) -> str:
        oldest = "" if self.oldest is None else f" (oldest {_duration(self.oldest)})"
        lines = [
            f"{self.name}: {self.alive:,} alive{oldest} of {self.created:,} created, "
            f"{self.dead:,} dead, peak {self.peak:,}"
        ]
        if self.note:
            lines.append(f"  ({self.note})")
        alive = [site for site in self.sites if site.alive]
        for site in alive[:_SHOWN]:
            lines.append(f"  {_alive_at(site)}")
            lines += [f"      {line}" for line in site.traceback]
        if len(alive) > _SHOWN:
            rest = sum(site.alive for site in alive[_SHOWN:])
            lines.append(f"  {rest:,} alive of {len(alive) - _SHOWN:,} other places")
        for retention in self.why:
            lines += [f"  {line}" for line in str(retention).splitlines()]
        return "\n".join(lines)


class TrackerReport(NamedTuple):
    """What a tracker has seen so far. Holds text and numbers, no objects."""

    seconds: float
    """Since the tracker was made."""
    classes: tuple[TrackedClass, ...]

    def __str__(self) -> str:
        if not self.classes:
            return "Nothing is watched."
        return "\n".join(map(str, self.classes))

    def __rich__(self) -> Any:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("")
        for name in ("alive", "oldest", "created", "dead", "peak"):
            table.add_column(name, justify="right")
        for row in self.classes:
            age = "" if row.oldest is None else _duration(row.oldest)
            numbers = f"{row.created:,}", f"{row.dead:,}", f"{row.peak:,}"
            alive = Text(f"{row.alive:,}", style="bold red" if row.alive else "green")
            table.add_row(Text(row.name, style="bold"), alive, age, *numbers)
            if row.note:
                table.add_row(Text(f"  {row.note}", style="dim"))
            for site in row.sites[:_SHOWN]:
                age = "" if site.oldest is None else _duration(site.oldest)
                place = Text(
                    "\n".join((f"  {site.where}", *(f"    {at}" for at in site.traceback)))
                )
                dead = f"{site.created - site.alive:,}"
                table.add_row(place, f"{site.alive:,}", age, f"{site.created:,}", dead)
        if not any(row.why for row in self.classes):
            return table
        from rich.console import Group

        return Group(table, *(retention for row in self.classes for retention in row.why))


def _alive_at(site: TrackedSite) -> str:
    age = "" if site.oldest is None else f", oldest {_duration(site.oldest)}"
    return f"{site.alive:,} alive of {site.created:,} made by {site.where}{age}"


def _duration(seconds: float) -> str:
    if seconds < 0.0995:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


# ------------------------------------------------------------------------------- the records


class _Site:
    """A call that makes objects. Holds code, and no frame, which would hold its variables."""

    __slots__ = ("code", "dead", "file", "line", "where")

    def __init__(self, where: str, code: CodeType | None = None, line: int = 0) -> None:
        self.where = where
        self.code = code
        self.file = "" if code is None else code.co_filename
        self.line = line
        self.dead = 0


class _Record(ref[T]):
    """A weak reference to an object, with when and where it was made."""

    __slots__ = ("site", "time", "trace")
    site: _Site
    time: float
    trace: tuple[tuple[CodeType, int | None], ...]


_SELF_CALL = _Site("a call by the object's own constructor")  # look at the one who called that
_NO_TRACE: tuple[tuple[CodeType, int | None], ...] = ()


class _Watch:
    """The objects with a label: instances of a class, or those given one by one."""

    __slots__ = (
        "_found", "_known", "_places", "_settling", "_sites", "_subclasses", "_uncounted",
        "alive", "cls", "dead", "died", "label", "note", "owners", "peak", "traced",
    )  # fmt: skip

    def __init__(
        self, label: str, cls: type | None = None, subclasses: bool = True, traced: int = 0
    ) -> None:
        self.label = label
        self.cls: Callable[[], type | None] = _none if cls is None else ref(cls)
        self.traced = traced
        self.alive: dict[int, _Record[Any]] = {}  # by the id of the record, oldest first
        self.dead: deque[_Record[Any]] = deque()  # and not yet taken out of `alive`
        self.died = self.dead.append
        self.peak = 0
        self.note = ""
        self.owners: list[tuple[ref[type], ref[_Patch]]] = []  # classes that tell
        self._subclasses = subclasses
        self._known: WeakIdSet[Any] | None = None  # were there before
        self._settling = allocate_lock()
        self._places: dict[tuple[int, int | None], _Site] = {}  # by code and line
        self._sites: dict[tuple[int, int], _Site] = {}  # the same, by code and instruction
        self._found = _Site("nobody seen: found on the heap")
        self._uncounted = 0  # instances that cannot be weakly referenced, at the last look

    # --- what happens

    def made(self, obj: object, frame: FrameType | None) -> None:
        """Hear of an object, from the `__init__` of one of the classes."""
        kind = type(obj)
        if kind is not self.cls() and not self.is_about(kind):
            return
        if getweakrefcount(obj) and self.record_of(obj) is not None:
            return  # several classes of its family tell
        if self._known is not None and obj in self._known:
            return
        try:  # suppress() takes as long as all this
            self.add(obj, frame)
            if getweakrefcount(obj) > 1:
                self._count_once(obj)
        except TypeError:
            pass  # it cannot be weakly referenced, and is counted by looks

    def add(self, obj: Any, frame: FrameType | None) -> None:
        site = self._found
        while frame is not None:
            place = self._sites.get((id(frame.f_code), frame.f_lasti))
            if place is None:
                place = self._new_site(obj, frame)
            if place is not _SELF_CALL:
                site = place
                break
            frame = frame.f_back
        record: _Record[Any] = _Record(obj, self.died)
        record.site = site
        record.time = monotonic()
        record.trace = _trace(frame, self.traced) if self.traced else _NO_TRACE
        alive, dead = self.alive, self.dead
        alive[id(record)] = record
        if len(dead) > _UNSETTLED:
            self.settle()
        count = len(alive) - len(dead)
        if count > self.peak:
            self.peak = count

    def _count_once(self, obj: object) -> None:
        """Forget what a look has found while another thread has told of it, or found it."""
        found = [self.alive.get(id(each)) for each in getweakrefs(obj)]
        records = sorted(filter(None, found), key=lambda one: (one.site is self._found, id(one)))
        for record in records[1:]:  # the same one stays, whoever does this
            self.forget(record)

    def _new_site(self, obj: Any, frame: FrameType) -> _Site:
        code, line = frame.f_code, frame.f_lineno
        if _constructs(obj, frame):
            site = _SELF_CALL
            self._places.setdefault((id(code), None), _Site("", code))  # it may not go
        else:
            site = self._places.get((id(code), line)) or self._places.setdefault(
                (id(code), line), _Site(describe_frame(frame), code, line)
            )
        return self._sites.setdefault((id(code), frame.f_lasti), site)

    def settle(self) -> None:
        """Take those that have died out."""
        if not self._settling.acquire(blocking=False):
            return  # whoever has it does this
        try:
            while self.dead:
                record = self.dead.popleft()
                if self.alive.pop(id(record), None) is not None:
                    record.site.dead += 1
        finally:
            self._settling.release()

    def forget(self, record: _Record[Any]) -> None:
        self.alive.pop(id(record), None)

    # --- what is asked

    def is_about(self, kind: type) -> bool:
        cls = self.cls()
        if kind is cls:
            return True
        return cls is not None and self._subclasses and type.__subclasscheck__(cls, kind)

    def record_of(self, obj: Any) -> _Record[Any] | None:
        for reference in getweakrefs(obj):
            record = self.alive.get(id(reference))
            if record is not None:
                return record
        return None

    def records(self) -> list[_Record[Any]]:
        """Those of live objects, oldest first."""
        self.settle()
        records: list[_Record[Any]] = []
        for record in _values(self.alive):
            if record() is not None:
                records.append(record)
            elif id(record) in self.alive:  # there are collections that call nobody back
                self.dead.append(record)
        self.settle()
        return records

    def counts(self) -> TrackedCounts:
        self.settle()
        alive = len(self.records())
        dead = sum(site.dead for site in self.places())
        alive += self._uncounted
        self.peak = max(self.peak, alive)
        return TrackedCounts(alive + dead, alive, dead, self.peak)

    def places(self) -> list[_Site]:
        return [self._found, *(site for site in _values(self._places) if site.where)]

    # --- classes

    def family(self) -> list[type]:
        """The class and its subclasses."""
        cls = self.cls()
        if cls is None:
            return []
        family = {id(cls): cls}
        pending = [cls] if self._subclasses else []
        while pending:
            kinds: list[type] = type.__subclasses__(pending.pop())  # whatever a metaclass says
            for kind in kinds:
                if id(kind) not in family:
                    family[id(kind)] = kind
                    pending.append(kind)
        return list(family.values())

    def listen(self) -> list[type]:
        """Have all classes of the family tell; return the family."""
        family = self.family()
        ids = set(map(id, family))
        for kind in family:
            definer = next(base for base in mro_of(kind) if "__init__" in namespace_of(base))
            # Elsewhere than in the family, it is for others too.
            if (definer is kind or id(definer) not in ids) and not self._hears(kind):
                self._listen_to(kind)
        return family

    def _hears(self, kind: type) -> bool:
        patch = _Patch.of(kind)
        return patch is not None and self in patch.watches

    def _listen_to(self, kind: type) -> None:
        try:
            patch = _Patch.tell(kind, self)
        except TypeError:
            name = qualified_name(kind)
            self.note = f"{name} cannot be changed: its objects are seen when looked for"
        else:
            self.owners.append((ref(kind), ref(patch)))

    def stop(self) -> None:
        """Have the classes as they were."""
        while self.owners:
            owner_ref, patch_ref = self.owners.pop()
            owner, patch = owner_ref(), patch_ref()
            if owner is not None and patch is not None:
                patch.end(owner, self)
        self._known = None

    def know(self, instances: Iterable[object]) -> None:
        """Leave out what is there already."""
        known: WeakIdSet[Any] = WeakIdSet()
        for obj in instances:
            kind = type(obj)
            if self.is_about(kind):
                with suppress(TypeError):
                    known.add(obj)
        self._known = known if known else None

    def look_at(self, instances: Iterable[object], all_of_them: bool = True) -> None:
        """Take those in that nobody told of."""
        uncounted = 0
        for obj in instances:
            kind = type(obj)
            if not self.is_about(kind):
                continue
            if self.record_of(obj) is None and (self._known is None or obj not in self._known):
                try:
                    self.add(obj, None)
                    self._count_once(obj)
                except TypeError:
                    uncounted += 1
        if all_of_them:
            self._uncounted = uncounted
        if uncounted:
            self.note = "some cannot be weakly referenced: only counted, when looked for"


def _none() -> None:
    """In place of a reference to the class, of a watch that has none."""


def _values(table: dict[Any, T]) -> list[T]:
    while True:
        try:
            return list(table.values())
        except RuntimeError:  # another thread has changed it
            continue


def promotions() -> int | None:
    """How many collections have made objects old: while that stays, what is new is young. None
    where it cannot be told."""
    if sys.implementation.name != "cpython" or sys.version_info >= (3, 14):
        return None
    return sum(int(each["collections"]) for each in gc.get_stats()[1:])


def _instances(kinds: Iterable[type], young: bool = False) -> list[Any]:
    """The objects of exactly these classes that the collector knows, or only the young ones."""
    ids = set(map(id, kinds))
    if young:
        objects = gc.get_objects(generation=0) + gc.get_objects(generation=1)
    else:
        objects = gc.get_objects()
    # By `id`, and all in C: neither do the classes' `__hash__` or `__eq__` run, nor others' code.
    found = list(compress(objects, map(ids.__contains__, map(id, map(type, objects)))))
    return [obj for obj in found if obj is not ids]


def _constructs(obj: object, frame: FrameType) -> bool:
    """Whether a frame is a part of the making of the object, and not who wanted it."""
    code = frame.f_code
    kind = type(obj)
    meta: type[Any] = type(kind)
    for owner, name in ((kind, "__new__"), (meta, "__call__")):
        for base in mro_of(owner):
            found = namespace_of(base).get(name)
            found = found.__func__ if type(found) is staticmethod else found
            if type(found) is FunctionType and found.__code__ is code:
                return True
    if code.co_name == "__call__" and frame.f_globals.get("__name__") == "typing":
        return True  # Class[int]() of a generic class
    if code.co_name == "__init__" and code.co_argcount:
        # The name alone says nothing: there are trees whose nodes make nodes.
        value: Any = dict(frame_variables(frame)).get(code.co_varnames[0])
        if type(value) is CellType:
            with suppress(ValueError):
                value = value.cell_contents
        return value is obj
    return False


def _trace(frame: FrameType | None, depth: int) -> tuple[tuple[CodeType, int | None], ...]:
    frames: list[tuple[CodeType, int | None]] = []
    while frame is not None and len(frames) < depth:
        frames.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(frames)


def _lines(trace: Iterable[tuple[CodeType, int | None]]) -> tuple[str, ...]:
    from linecache import getline

    lines: list[str] = []
    for code, line in trace:
        source = getline(code.co_filename, line or 0).strip()
        text = f"{code.co_filename}:{line} in {code.co_qualname}"
        lines.append(f"{text}: {source}" if source else text)
    return tuple(reversed(lines))


# -------------------------------------------------------------------- classes that tell


class _Patch:
    """The `__init__` of a class that tells of each instance, for as long as anybody listens."""

    __slots__ = ("__weakref__", "own", "watches")
    changing = RLock()  # reentrant: a finalizer may make or close a tracker

    def __init__(self, own: Any) -> None:
        self.own = own  # what the class itself had, or _NOTHING
        self.watches: tuple[_Watch, ...] = ()

    @staticmethod
    def of(owner: type) -> _Patch | None:
        """That of the class itself, if it has one."""
        function = namespace_of(owner).get("__init__")
        # The code proves it: others copy all attributes of a function that they wrap.
        if type(function) is FunctionType and function.__code__ is _CODE:
            return vars(function)["_weakly_patch"]  # type: ignore[no-any-return]
        return None

    @classmethod
    def tell(cls, owner: type, watch: _Watch) -> _Patch:
        """Have a watch hear of the instances. Raises TypeError if the class is immutable."""
        with cls.changing:
            patch = cls.of(owner)
            if patch is None:
                patch = cls(namespace_of(owner).get("__init__", _NOTHING))
                function = _telling_init(owner, patch)
                _dress(function, owner, patch.own)
                vars(function)["_weakly_patch"] = patch
                type.__setattr__(owner, "__init__", function)
            patch.watches += (watch,)
            return patch

    def end(self, owner: type, watch: _Watch) -> None:
        """Tell the watch no more; the last one leaves the class as it was."""
        with self.changing:
            self.watches = tuple(other for other in self.watches if other is not watch)
            if self.watches or self.of(owner) is not self:  # somebody has replaced it
                return
            if self.own is _NOTHING:
                type.__delattr__(owner, "__init__")
            else:
                type.__setattr__(owner, "__init__", self.own)


_NOTHING: Any = object()


def _telling_init(owner: type, patch: _Patch) -> Callable[..., Any]:
    own = _NOTHING if patch.own is _PROTOCOL_INIT else patch.own
    is_function = type(own) is FunctionType

    def __init__(self: object, /, *args: Any, **kwargs: Any) -> Any:
        watches = patch.watches
        if watches:
            frame = _getframe(1)
            for watch in watches:
                watch.made(self, frame)
            del frame
        if is_function:
            return own(self, *args, **kwargs)
        kind = type(self)
        if own is not _NOTHING:
            return own.__get__(self, kind)(*args, **kwargs)
        inherited: Any = super(cast(Any, owner), kind).__init__
        if patch.own is _PROTOCOL_INIT or inherited is _PROTOCOL_INIT:
            inherited = _after_protocols(owner, kind)
        if inherited is not object.__init__:
            return inherited(self, *args, **kwargs)
        if args or kwargs:
            _take_as_object_does(self, args, kwargs)
        return None

    return __init__


# A protocol's `__init__` looks for the one to call by itself, and does not find it where a class
# has ours.
_PROTOCOL_INIT: Any = vars(typing).get("_no_init_or_replace_init", object())


def _after_protocols(owner: type, kind: type[Any]) -> Any:
    if find_in_class(kind, "_is_protocol"):
        return _PROTOCOL_INIT  # which raises an error
    mro = mro_of(kind)
    at = next(at for at, base in enumerate(mro) if base is owner)
    for base in mro[at + 1 :]:
        init = namespace_of(base).get("__init__", _PROTOCOL_INIT)
        if init is not _PROTOCOL_INIT:
            return init.__get__(None, kind)
    return object.__init__


_CODE = cast(FunctionType, _telling_init(object, _Patch(None))).__code__


def _take_as_object_does(self: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """What arguments do where nobody but `object` has an `__init__`."""
    kind = type(self)
    definer = next(base for base in mro_of(kind) if "__init__" in namespace_of(base))
    patch = _Patch.of(definer)
    if patch is None or patch.own is not _NOTHING:
        object.__init__(self, *args, **kwargs)  # a subclass gives them: an error
    elif find_in_class(kind, "__new__") is vars(object)["__new__"]:
        raise TypeError(f"{kind.__name__}() takes no arguments")


_qualname_of: Any = vars(type)["__qualname__"].__get__  # whatever a metaclass says


def _dress(function: Callable[..., Any], owner: type, own: Any) -> None:
    """Have the function look like what it stands for; `inspect` follows `__wrapped__`."""
    if own is not _NOTHING:
        update_wrapper(function, own if type(own) is FunctionType else own.__get__(None, owner))
        return
    function.__annotations__ = {}
    function.__qualname__ = f"{_qualname_of(owner)}.__init__"
    function.__module__ = module_of(owner)
    from_object = True
    for name in ("__init__", "__new__"):
        inherited = find_in_class(owner, name)
        if inherited is vars(object)[name]:
            continue
        from_object = False
        inherited = inherited.__func__ if type(inherited) is staticmethod else inherited
        if type(inherited) is FunctionType:
            vars(function)["__wrapped__"] = inherited
            return
    if from_object:
        vars(function)["__wrapped__"] = _without_parameters


def _without_parameters(self: object) -> None:
    """Has the signature of a class with neither `__new__` nor `__init__`."""


_without_parameters.__annotations__ = {}


# -------------------------------------------------------------------------------- Tracker


class Tracker:
    """Counts the objects that are made and die, and knows which live, how long, and who made them.

    `watch_class(User)` watches the instances of a class from now on, `watch(obj, label)` one
    object; `report()` tells of them, `alive()` gives them, `close()` or the end of a `with` block
    leaves the classes as they were, as does the end of the tracker. What was seen can be asked for
    after `close()`, too.

    Objects are held weakly. A watched class has an `__init__` that tells the tracker. What that
    does not see is found on the heap by `alive()` and `report()`: copies and unpickled instances,
    those of classes that cannot be changed, as those written in C, and those of subclasses that
    were made after `watch_class()`, until the first question. Of such objects only those are
    counted that live when somebody asks.

    Thread-safe; creations and deaths wait for no lock, and all can be called from finalizers and
    signal handlers. Each creation takes O(1) time more; docs/testing.md has the numbers.
    """

    __slots__ = ("__weakref__", "_closed", "_started", "_watches")

    def __init__(self) -> None:
        self._watches: dict[str, _Watch] = {}  # by label
        self._started = monotonic()
        self._closed = False

    def watch(self, obj: T, label: str | None = None) -> T:
        """Watch an object, as one of those with the label, by default the name of its class.

        Returns the object. O(1). Raises TypeError if it cannot be weakly referenced, and
        RuntimeError if the tracker is closed.
        """
        self._require_open()
        _require_label(label)
        if not supports_weakrefs(obj):
            raise TypeError(
                f"cannot watch {type(obj).__name__!r} object, which cannot be weakly referenced"
            )
        label = qualified_name(type(obj)) if label is None else label
        watch = self._watches.get(label) or self._watches.setdefault(label, _Watch(label))
        if watch.record_of(obj) is None:
            watch.add(obj, _getframe(1))
        return obj

    def watch_class(
        self,
        cls: type[T],
        *,
        subclasses: bool = True,
        traceback: bool | int = False,
        label: str | None = None,
    ) -> type[T]:
        """Watch all instances of a class that are made from now on, and of its subclasses.

        The place that calls the class is always noted; `traceback` asks for all calls that led to
        it, or for that many. The label is by default the class's name. To watch the class again
        replaces the options. Returns the class.

        O(n) in the objects of the heap, which is looked at for instances that are there already.
        Raises TypeError if `cls` is no class, or `object`, ValueError for a negative `traceback`,
        and RuntimeError if the tracker is closed.
        """
        self._require_open()
        self._watch_classes([cls], subclasses, traceback, label)
        return cls

    def _watch_classes(
        self,
        classes: list[type[Any]],
        subclasses: bool = True,
        traceback: bool | int = False,
        label: str | None = None,
    ) -> None:
        _require_label(label)
        depth = _DEEPEST if traceback is True else as_index(traceback)
        if depth < 0:
            raise ValueError(f"traceback must not be negative, and is {depth}")
        for cls in classes:
            meta: type[Any] = type(cls)
            if not issubclass(meta, type):
                raise TypeError(
                    f"cannot watch instances of {type(cls).__name__!r} object: no class"
                )
            if cls is object:
                raise TypeError("cannot watch all objects: name a class of your own")
        watches: list[_Watch] = []
        for cls in classes:
            watch = self._watch_of(cls)
            if watch is not None:
                self._drop(watch)
            name = self._free_label(label or qualified_name(cls))
            watch = _Watch(name, cls, subclasses, depth)
            self._watches[name] = watch
            watches.append(watch)
        families = {id(kind): kind for watch in watches for kind in watch.listen()}
        instances = _instances(families.values())
        for watch in watches:
            watch.know(instances)

    def unwatch(self, what: object) -> None:
        """Watch a class, the objects with a label, or an object no more, and forget all of it.

        O(1), or in the number of subclasses. Raises ValueError if it is not watched.
        """
        watch = self._watches.get(what) if type(what) is str else self._watch_of(what)
        if watch is not None:
            self._drop(watch)
            return
        records = [(watch, watch.record_of(what)) for watch in _values(self._watches)]
        if not any(record for _, record in records):
            raise ValueError(f"{type(what).__name__!r} object is not watched")
        for watch, record in records:
            if record is not None:
                watch.forget(record)

    @overload
    def alive(self, what: type[T]) -> list[T]: ...
    @overload
    def alive(self, what: str | None = None) -> list[Any]: ...
    def alive(self, what: type[Any] | str | None = None) -> list[Any]:
        """Return the objects that are alive, oldest first: all, those with a label, or the
        instances of a class and its subclasses.

        O(n) in the objects of the heap. Garbage that waits for the collector is alive. Raises
        ValueError for a label that is not known, and TypeError for anything else.
        """
        label = what if type(what) is str else None
        cls: Any = what if label is None else None
        if cls is not None and not issubclass(type(cls), type):
            raise TypeError(f"a class or a label is required, not {type(what).__name__!r} object")
        if label is not None and label not in self._watches:
            raise ValueError(f"nothing is watched as {label!r}")
        found: dict[int, Any] = {}
        for record in self._records(label):
            obj = record()
            kind = type(cast(object, obj))
            if obj is not None and (cls is None or type.__subclasscheck__(cls, kind)):
                found[id(obj)] = obj
        return list(found.values())

    def _records(self, label: str | None = None, young: bool = False) -> list[_Record[Any]]:
        """Those of live objects, oldest first, after a look at the heap."""
        self._look(young)
        records = [
            record
            for watch in _values(self._watches)
            if label is None or watch.label == label
            for record in watch.records()
        ]
        records.sort(key=_time)
        return records

    def counts(self) -> dict[str, TrackedCounts]:
        """Return how many objects of each label there are and were, without a look at the heap.

        O(n) in the objects that are alive, of those watched.
        """
        for watch in self._open_watches():
            watch.listen()
        return {label: watch.counts() for label, watch in list(self._watches.items())}

    def report(self, *, why: int = 0, progress: bool | None = None) -> TrackerReport:
        """Return all that was seen; `print()` shows it.

        `why` asks what keeps the oldest of each class alive, as many as that, each of which takes
        a `why_alive()`; `progress` is as there. Without that, O(n) in the objects of the heap.
        """
        why, line = as_index(why), Progress(progress)
        self._look()
        now = monotonic()
        try:
            watches = _values(self._watches)
            classes = tuple(_class_report(watch, now, why, line) for watch in watches)
        finally:
            line.clear()
        return TrackerReport(now - self._started, classes)

    def close(self) -> None:
        """Watch no more, and have the classes as they were. Closing again does nothing."""
        self._closed = True
        for watch in _values(self._watches):
            watch.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(AttributeError):  # it was not even made
            self.close()

    def __repr__(self) -> str:
        counts = [f"{len(watch.records())} {watch.label}" for watch in _values(self._watches)]
        return f"<{type(self).__name__}: {', '.join(counts) or 'nothing'} alive>"

    def _require_open(self) -> None:
        if self._closed:
            raise RuntimeError("the tracker is closed: it watches nothing any more")

    def _watch_of(self, cls: object) -> _Watch | None:
        if cls is None:
            return None
        for watch in _values(self._watches):
            if watch.cls() is cls:
                return watch
        return None

    def _free_label(self, label: str) -> str:
        free, number = label, 1
        while free in self._watches:
            number += 1
            free = f"{label} #{number}"
        return free

    def _drop(self, watch: _Watch) -> None:
        self._watches.pop(watch.label, None)
        watch.stop()

    def _open_watches(self) -> list[_Watch]:
        return [] if self._closed else _values(self._watches)

    def _look(self, young: bool = False) -> None:
        """Find what nobody told of, on the whole heap or among its young objects."""
        watches = self._open_watches()
        families = {id(kind): kind for watch in watches for kind in watch.listen()}
        if families:
            instances = _instances(families.values(), young)
            for watch in watches:
                watch.look_at(instances, not young)


def _require_label(label: object) -> None:
    if label is not None and type(label) is not str:
        raise TypeError(f"a label is a str, not {type(label).__name__!r} object")


def _time(record: _Record[Any]) -> float:
    return record.time


def _class_report(watch: _Watch, now: float, why: int, line: Progress) -> TrackedClass:
    counts = watch.counts()
    records = watch.records()
    oldest: dict[int, tuple[_Site, _Record[Any], int]] = {}  # by site
    for record in records:
        site, first, count = oldest.get(id(record.site), (record.site, record, 0))
        oldest[id(site)] = (site, first, count + 1)
    sites = [
        TrackedSite(
            *(site.where, site.file, site.line, site.dead + count, count),
            now - first.time,
            _lines(first.trace),
        )
        for site, first, count in oldest.values()
    ]
    others = [site for site in watch.places() if site.dead and id(site) not in oldest]
    others.sort(key=lambda site: -site.dead)
    sites += [TrackedSite(s.where, s.file, s.line, s.dead, 0, None, ()) for s in others]
    age = now - records[0].time if records else None
    retentions: list[Retention] = []
    for number, record in enumerate(records[:why], 1):
        line.show(f"{number} of {len(records[:why])}: why is {printable(watch.label)} alive?")
        retentions += _why(record)
    return TrackedClass(watch.label, *counts, age, tuple(sites), tuple(retentions), watch.note)


def _why(record: _Record[Any]) -> list[Retention]:
    obj = record()
    return [] if obj is None else [why_alive(obj, progress=False)]
