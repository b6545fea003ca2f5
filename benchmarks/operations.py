"""What is measured: for each family of containers, each operation as a line of Python.

The line is run as it stands, once a measurement, between two readings of the clock. A
`for` loop is part of what is timed, the same for the three sides, and is not subtracted:
an operation in a program is reached by Python code too. Names in a line are
the attributes of a `Case`, bound to local variables beforehand.
"""

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.calls import CallCase
from benchmarks.cases import DECORATORS, FEW_ONLY, KINDS, LISTENERS, SIDES, STRONG, Case
from benchmarks.observers import ListenerCase, QueueCase

SECONDS = "second"
BYTES = "byte"

AnyCase = Case | CallCase | ListenerCase | QueueCase

CASES: dict[str, type[AnyCase]] = {
    **dict.fromkeys(DECORATORS, CallCase),
    **dict.fromkeys(LISTENERS, ListenerCase),
    "ReferenceQueue": QueueCase,
}
"""What the operations of a family name, where that is not what a `Case` has."""


@dataclass(frozen=True)
class Operation:
    """One row of the table, for each kind of key and number of entries it is run with."""

    name: str
    code: str
    """What is timed."""
    before: str = ""
    """Run each time before the clock is read."""
    after: str = ""
    """Run each time after it."""
    strong_code: str = ""
    """What the strong container has to do instead, where that is something else."""
    stdlib_code: str = ""
    """What the standard library's has to do instead."""
    every_kind: bool = False
    """Run with every kind of key (and in a fast run with the many entries too)."""
    needs_equal: bool = False
    """Only for keys that can be equal without being the same object."""
    whole: bool = False
    """The result is that of the whole table, not of one entry; run with many entries only."""
    unit: str = SECONDS

    def code_of(self, side: str) -> str:
        return {"strong": self.strong_code, "stdlib": self.stdlib_code}.get(side) or self.code


@dataclass(frozen=True)
class Row:
    """An operation with a kind of key and a number of entries: what has one result a side."""

    family: str
    operation: Operation
    kind: str
    entries: int

    @property
    def name(self) -> str:
        """The name of its benchmark in the results' files."""
        return f"{self.family}, {self.kind} keys, {self.entries:,}: {self.operation.name}"

    @property
    def default_kind(self) -> bool:
        return self.kind == KINDS[self.family][0]

    @property
    def label(self) -> str:
        """The operation, with its kind of key unless that is the family's default."""
        return self.operation.name if self.default_kind else f"{self.operation.name} [{self.kind}]"

    @property
    def sides(self) -> tuple[str, ...]:
        return SIDES if self.family in STRONG else SIDES[1:]

    def case(self, side: str) -> AnyCase:
        """The objects that the operation is run on; rows of one kind and size can share them."""
        return CASES.get(self.family, Case)(self.family, side, self.kind, self.entries)

    def _names(self, side: str) -> set[str]:
        operation = self.operation
        texts = (operation.code_of(side), operation.before, operation.after)
        nodes = (node for text in texts for node in ast.walk(ast.parse(text)))
        return {node.id for node in nodes if isinstance(node, ast.Name)}

    def compiled(self, side: str, case: object) -> Callable[[int, Callable[[], float]], float]:
        """The function that runs the operation `loops` times and returns what the clock says.

        Each side gets code of its own: the interpreter specialises code for the types it
        meets, and code that met three would be fast for none.
        """
        names = sorted(
            name for name in self._names(side) if hasattr(type(case), name) or name in vars(case)
        )
        lines = [
            f"def run(loops, clock, {', '.join(names)}):",
            "    total = 0",
            "    for _loop in range(loops):",
            *(f"        {line}" for line in self.operation.before.splitlines()),
            "        start = clock()",
            *(f"        {line}" for line in self.operation.code_of(side).splitlines()),
            "        total += clock() - start",
            *(f"        {line}" for line in self.operation.after.splitlines()),
            "    return total",
        ]
        scope: dict[str, Any] = {}
        exec("\n".join(lines), scope)
        run, arguments = scope["run"], {name: getattr(case, name) for name in names}
        return lambda loops, clock: run(loops, clock, **arguments)


def _mapping(each: str, store: str, change: str) -> tuple[Operation, ...]:
    """The operations of a dictionary.

    `each` is the head of the loop that inserts, `store` the expression of the value that
    is inserted, `change` what has to happen before a value is overwritten.
    """
    fill = f"{each}: table[key] = {store}"
    return (
        Operation("lookup", "for key in keys: table[key]", every_kind=True),
        Operation(
            "lookup, equal key", "for key in equal: table[key]", every_kind=True, needs_equal=True
        ),
        Operation(
            "lookup, absent",
            "for key in absent:\n    try: table[key]\n    except KeyError: pass",
        ),
        Operation("get", "for key in keys: table.get(key)"),
        Operation("get, absent", "for key in absent: table.get(key)", every_kind=True),
        Operation("in", "for key in keys: key in table", every_kind=True),
        Operation("in, absent", "for key in absent: key in table", every_kind=True),
        Operation("overwrite", fill, before=change, every_kind=True),
        Operation("setdefault, present", f"{each}: table.setdefault(key, {store})"),
        Operation(
            "setdefault, absent",
            f"{each}: new.setdefault(key, {store})",
            before="new = make()",
            after="del new",
        ),
        Operation("fill", f"{each}: new[key] = {store}", before="new = make()", after="del new"),
        Operation(
            "fill and drop",
            f"new = make()\n{each}: new[key] = {store}\ndel new",
            every_kind=True,
        ),
        Operation("del", "for key in keys: del new[key]", before="new = filled()", every_kind=True),
        Operation("pop", "for key in keys: new.pop(key)", before="new = filled()"),
        Operation("popitem", "for _ in keys: new.popitem()", before="new = filled()"),
        Operation("clear", "new.clear()", before="new = filled()"),
        Operation("iterate", "for key in table: pass", every_kind=True),
        Operation("values", "for value in table.values(): pass"),
        Operation("items", "for key, value in table.items(): pass", every_kind=True),
        Operation("list(keys)", "list(table)"),
        Operation("len", "for _ in keys: len(table)"),
        Operation("copy", "new = table.copy()", after="del new", every_kind=True),
        Operation("make from dict", "new = make(strong_copy)", after="del new"),
        Operation("update", "new.update(table)", before="new = make()", after="del new"),
        Operation("or (|)", "new = table | table", after="del new"),
        Operation("equal (==)", "table == table"),
    )


def _deaths(one: str, every: str, all_at_once: str) -> tuple[Operation, ...]:
    """A referent's last reference goes, and its entry with it.

    A strong container has to be told: `one` and `all_at_once` are its lines, `every` the
    head of its loop.
    """
    return (
        Operation(
            "death, one by one",
            "for _ in range(n): oldest()",
            before="held = deque(fresh())\nnew = filled(held)\noldest = held.popleft",
            strong_code=f"{every}: {one}",
            after="del new, held, oldest",
            every_kind=True,
        ),
        Operation(
            "death, all at once",
            "held.clear()",
            before="held = fresh()\nnew = filled(held)",
            strong_code=f"held.clear()\n{all_at_once}",
            after="del new, held",
            every_kind=True,
        ),
    )


_STANDING = (
    Operation("bytes an entry", "new = filled()", after="del new", every_kind=True, unit=BYTES),
    # The rest of the process is frozen: only the table, and in the first of the rows its
    # referents, are the collector's work.
    Operation(
        "gc.collect()",
        "collect()",
        before="freeze()\nheld = fresh()\nnew = filled(held)\ncollect()",
        after="del new, held\nunfreeze()",
        whole=True,
    ),
    Operation(
        "gc.collect(), table only",
        "collect()",
        before="freeze()\nnew = filled()\ncollect()",
        after="del new\nunfreeze()",
        whole=True,
    ),
)

_SET = (
    Operation("in", "for key in keys: key in table", every_kind=True),
    Operation(
        "in, equal item", "for key in equal: key in table", every_kind=True, needs_equal=True
    ),
    Operation("in, absent", "for key in absent: key in table", every_kind=True),
    Operation("add, present", "for key in keys: table.add(key)", every_kind=True),
    Operation("fill", "for key in keys: new.add(key)", before="new = make()", after="del new"),
    Operation(
        "fill and drop",
        "new = make()\nfor key in keys: new.add(key)\ndel new",
        every_kind=True,
    ),
    Operation("remove", "for key in keys: new.remove(key)", before="new = filled()"),
    Operation(
        "discard", "for key in keys: new.discard(key)", before="new = filled()", every_kind=True
    ),
    Operation("discard, absent", "for key in absent: table.discard(key)"),
    Operation("pop", "for _ in keys: new.pop()", before="new = filled()"),
    Operation("clear", "new.clear()", before="new = filled()"),
    Operation("iterate", "for key in table: pass", every_kind=True),
    Operation("list(set)", "list(table)"),
    Operation("len", "for _ in keys: len(table)"),
    Operation("copy", "new = table.copy()", after="del new", every_kind=True),
    Operation("make from list", "new = make(keys)", after="del new"),
    Operation("make from set", "new = make(strong_copy)", after="del new"),
    Operation("update", "new.update(table)", before="new = make()", after="del new"),
    Operation("union (|)", "new = table | half", after="del new"),
    Operation("intersection (&)", "new = table & half", after="del new"),
    Operation("difference (-)", "new = table - half", after="del new"),
    Operation("either (^)", "new = table ^ half", after="del new"),
    Operation("subset (<=)", "table <= table"),
    Operation("equal (==)", "table == table"),
    Operation("isdisjoint", "table.isdisjoint(absent)"),
)

_EPHEMERONS = (
    # Beside the walk stands one collection of the same objects in a dict and in a
    # WeakKeyDictionary. (A collection of an EphemeronDictionary has a walk before it.)
    Operation(
        "walk, values that refer to their keys",
        "walk()",
        before="freeze()\nheld = fresh()\nnew = noted(held)\ncollect()",
        after="del new, held\ncollect()\nunfreeze()",
        whole=True,
    ),
    Operation(
        "walk, values that are numbers",
        "walk()",
        before="freeze()\nheld = fresh()\nnew = numbered(held)\ncollect()",
        after="del new, held\ncollect()\nunfreeze()",
        whole=True,
    ),
    Operation(
        "100 collections of 10,000 objects, none in use",
        "for _ in range(100): collect()",
        before="freeze()\nheld = fresh()[:10_000]\nuse_for_a_moment()\ncollect()",
        after="del held\nunfreeze()",
        whole=True,
    ),
)

_FINALIZE = (
    # First, while the registry has not yet grown.
    Operation(
        "bytes a finalizer",
        "new = attached(keys)",
        after="for finalizer in new: finalizer.detach()\ndel finalizer, new",
        every_kind=True,
        unit=BYTES,
    ),
    Operation(
        "create",
        "for obj in held: make(obj, clean_up)",
        before="held = fresh()",
        after="del obj, held",
        every_kind=True,
    ),
    Operation(
        "create, with an argument",
        "for obj in held: make(obj, clean_up_name, 'name')",
        before="held = fresh()",
        after="del obj, held",
    ),
    Operation(
        "detach",
        "for finalizer in new: finalizer.detach()",
        before="held = fresh()\nnew = attached(held)",
        after="del finalizer, new, held",
        every_kind=True,
    ),
    Operation(
        "fire at a death",
        "held.clear()",
        before="held = fresh()\nattached(held)",
        every_kind=True,
    ),
    Operation(
        "call",
        "for finalizer in new: finalizer()",
        before="held = fresh()\nnew = attached(held)",
        after="del finalizer, new, held",
    ),
    Operation(
        "alive",
        "for finalizer in new: finalizer.alive",
        before="held = fresh()\nnew = attached(held)",
        after="del finalizer, new, held",
    ),
)


_CACHE = (
    Operation("hit, one object", "for key in keys: call(key)"),
    Operation("hit, one object, bounded", "for key in keys: bounded(key)"),
    Operation("hit, one number", "for number in numbers: call_with_number(number)"),
    Operation("hit, an object and a number", "for key in keys: call_with_two(key, 1)"),
    Operation(
        "miss, one object",
        "for key in keys: new(key)",
        before="new = new_call()",
        after="del new",
    ),
)

_CACHED_METHOD = (
    Operation("hit, no argument", "for obj in objects: obj.get_value()"),
    Operation("hit, one number", "for number in numbers: one.add(number)"),
    Operation(
        "miss, no argument",
        "for obj in new: obj.get_value()",
        before="new = new_objects()",
        after="del new, obj",
    ),
    Operation(
        "miss, one number",
        "for number in numbers: new.add(number)",
        before="new = new_object()",
        after="del new",
    ),
)

_CACHED_PROPERTY = (
    Operation("read", "for obj in objects: obj.value"),
    Operation(
        "first read",
        "for obj in new: obj.value",
        before="new = new_objects()",
        after="del new, obj",
    ),
)

_WEAK_CALLABLE = (
    Operation(
        "call",
        "for call in references: call(1)",
        strong_code="for obj in objects: obj.hear(1)",
        stdlib_code="for reference in references: reference()(1)",
    ),
    Operation(
        "make and drop",
        "for obj in objects: WeakCallable(obj.hear)",
        strong_code="for obj in objects: obj.hear",
        stdlib_code="for obj in objects: WeakMethod(obj.hear)",
    ),
)

_CALL_IF_ALIVE = """\
    listener = reference()
    if listener is not None: listener(1)"""

_SIGNAL = (
    Operation(
        "emit, each listener",
        "signal.emit(1)",
        strong_code="for listener in methods: listener(1)",
        stdlib_code=f"for reference in references:\n{_CALL_IF_ALIVE}",
    ),
    Operation(
        "emit, one listener",
        "for one in signals: one.emit(1)",
        strong_code="for one in signals:\n    for listener in one: listener(1)",
        stdlib_code="for one in signals:\n    for reference in one:\n"
        + "\n".join(f"    {line}" for line in _CALL_IF_ALIVE.splitlines()),
    ),
)

_REFERENCE_QUEUE = (
    Operation(
        "bytes a tracked object",
        "watch(held)",
        before="held = fresh()",
        after="del held\nsettle()",
        every_kind=True,
        unit=BYTES,
    ),
    Operation(
        "track",
        "for obj in held: queue.track(obj, 1)",
        before="held = fresh()",
        stdlib_code="for obj in held: make(obj, clean_up)",
        after="del obj, held\nqueue.drain()",
    ),
    Operation(
        "death",
        "held.clear()",
        before="held = fresh()\nwatch(held)",
        after="settle()",
        every_kind=True,
    ),
    Operation(
        "death, token taken",
        "held.clear()\nfor token in queue.drain(): pass",
        before="held = fresh()\nwatch(held)",
        stdlib_code="held.clear()",
        every_kind=True,
    ),
    Operation(
        "all die in one gc.collect()",
        "held = None\ncollect()",
        before="freeze()\nheld = cycles()\nwatch(held)",
        after="settle()\nunfreeze()",
        whole=True,
    ),
)

# The rows of a mapping that a cache is used for.
_AS_CACHE = (
    "lookup",
    "lookup, absent",
    "get",
    "get, absent",
    "in",
    "overwrite",
    "fill",
    "fill and drop",
)

_BY_KEY = (
    *_mapping("for key in keys", store="None", change=""),
    *_deaths("del new[oldest()]", "for _ in range(n)", "new.clear()"),
    *_STANDING,
)

_OF_MEMBERS = (
    *_SET,
    *_deaths("new.remove(oldest())", "for _ in range(n)", "new.clear()"),
    *_STANDING,
)

_OF_VALUES = (
    *_mapping(
        "for key, value in zip(keys, values)",
        store="value",
        change="values, others = others, values",
    ),
    *_deaths("del new[key]; oldest()", "for key in keys", "new.clear()"),
    *_STANDING,
)

OPERATIONS: dict[str, tuple[Operation, ...]] = {
    "WeakKeyDictionary": _BY_KEY,
    "WeakSet": _OF_MEMBERS,
    "WeakValueDictionary": _OF_VALUES,
    "EphemeronDictionary": (*_BY_KEY, *_EPHEMERONS),
    "WeakIdKeyDictionary": _BY_KEY,
    "WeakIdSet": _OF_MEMBERS,
    "finalize": _FINALIZE,
    "WeakCache": tuple(operation for operation in _OF_VALUES if operation.name in _AS_CACHE),
    "cache": _CACHE,
    "cached_method": _CACHED_METHOD,
    "cached_property": _CACHED_PROPERTY,
    "WeakCallable": _WEAK_CALLABLE,
    "Signal": _SIGNAL,
    "ReferenceQueue": _REFERENCE_QUEUE,
}


def rows(sizes: Sequence[int], *, fast: bool) -> Iterator[Row]:
    """Every row of a run, in the table's order; a fast run has fewer with many entries."""
    many = max(sizes)
    for family, operations in OPERATIONS.items():
        for entries in sizes:
            if entries == many and family in FEW_ONLY and len(sizes) > 1:
                continue
            for kind in KINDS[family]:
                for operation in operations:
                    if _is_row(operation, kind == KINDS[family][0], entries == many, fast) and not (
                        operation.needs_equal and kind == "object"
                    ):
                        yield Row(family, operation, kind, entries)


def _is_row(operation: Operation, default_kind: bool, many: bool, fast: bool) -> bool:
    if operation.whole:
        return many and default_kind
    if many and fast:
        return operation.every_kind and default_kind
    return operation.every_kind or default_kind
