"""Why an object is alive: `why_alive()` and what it returns.

The engine finds chains of objects; here these get their names, and become text.
"""

# The objects are anybody's, of types that nobody knows.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import sys
from collections import deque
from contextvars import Context
from dataclasses import asdict, dataclass
from functools import partial
from operator import index as as_index
from types import (
    BuiltinMethodType,
    CellType,
    CodeType,
    FrameType,
    FunctionType,
    MethodType,
    ModuleType,
    TracebackType,
)
from typing import TYPE_CHECKING, Any, NamedTuple

from .._implementation import find_chains, implementation
from .._progress import is_wanted
from ..referents import supports_weakrefs
from ._names import (
    Name,
    count_references,
    describe,
    describe_frame,
    detail_of,
    dict_of,
    find_in_class,
    local,
    module_of,
    name_step,
    qualified_name,
)
from ._roots import Root, Roots, is_asking

if TYPE_CHECKING:
    from os import PathLike

    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = ["Retention", "RetentionPath", "Step", "why_alive"]

# What a cut is looked for in: what people put objects into, and what cannot be changed.
COLLECTIONS: tuple[type, ...] = (dict, list, set, deque)
FIXED: tuple[type, ...] = (
    tuple, frozenset, MethodType, BuiltinMethodType, FunctionType, CellType, CodeType, partial,
    property, staticmethod, classmethod, TracebackType,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """A reference of a retention path."""

    name: str
    """what the reference is called: `.profile`, `['alice']`, `closure cell 'self' of on_click`"""
    expression: str
    """the object that it leads to, from the path's root on"""
    type: str
    """the qualified name of that object's class"""
    detail: str = ""
    """of a built-in collection how many items it has; of a class or function its name"""
    address: int = 0
    """its `id()`"""
    suspect: bool = False
    """whether this is the reference that is to be broken, as far as one can tell"""
    advice: str = ""
    """what would break it; only of the suspect"""
    kind: str = ""
    """of what kind the reference is: `"attribute"`, `"item"`, `"closure"`, `"local"`, ..."""


@dataclass(frozen=True, slots=True)
class RetentionPath:
    """How a root leads to an object."""

    root: str
    """what the root is called: `module myapp`, `worker() at app.py:41`, `<thread 'mail'>`"""
    kind: str
    """`"module"`, `"local"` (a variable of a running function), `"thread"`, `"task"`, `"state"`
    (the exception that is being handled, the current context), `"finalizer"`, `"caller"` (a
    variable of the function that asks), `"runner"` (a test runner or debugger), `"unseen"` (held
    from where Python cannot look) or `"cycle"`"""
    steps: tuple[Step, ...]
    address: int = 0
    """the `id()` of the root"""
    type: str = ""
    """the qualified name of its class"""

    @property
    def expression(self) -> str:
        """The object itself, from the root on."""
        return self.steps[-1].expression if self.steps else self.root

    @property
    def suspect(self) -> Step | None:
        """The step that is to be broken; None if the path has no steps."""
        return next((step for step in self.steps if step.suspect), None)

    def __str__(self) -> str:
        if self.type == "module" or self.kind in ("unseen", "cycle") or not self.steps:
            return self.expression
        return f"{self.expression} in {self.root}"


@dataclass(frozen=True, slots=True, repr=False)
class Retention:
    """What keeps an object alive; returned by `why_alive()`.

    It holds text and numbers and no object, so it keeps nothing alive. `print()` shows it as a
    tree, as does `show()`, in colours where `rich` is installed; Jupyter shows a picture.
    """

    target: str
    """the object: its class, address and `repr()`"""
    verdict: str
    """what keeps it alive, in a sentence"""
    paths: tuple[RetentionPath, ...]
    """the shortest chains, of which none goes through the suspects of those before it"""
    cycle: RetentionPath | None
    """the cycle, if nothing else keeps it; None if it is longer than asked for"""
    objects: int
    """objects that were looked at"""
    references: int
    """references that were followed"""
    memory: int
    """bytes that were needed for it"""
    seconds: float
    """how long it took"""

    def __str__(self) -> str:
        return "\n".join(row.plain() for row in _rows(self))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.target}: {self.verdict}>"

    def tree(self) -> str:
        """Return the paths, or the cycle, as text: what `str()` gives, without the rest."""
        return "\n".join(row.plain() for row in _trees(self))

    def show(self) -> None:
        """Print it on standard output, in colours if `rich` is installed and it is a terminal;
        with signs that its encoding has."""
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        text = str(self)
        try:
            from rich.console import Console
        except ImportError:
            print(encodable(text, encoding))
        else:
            if encodable(text, encoding) == text:
                Console().print(self)
            else:
                print(encodable(text, encoding))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.padding import Padding
        from rich.text import Text

        for row in _rows(self):
            text = Text(no_wrap=not row.indent and len(row.parts) > 1, overflow="ellipsis")
            for part, style in row.parts:
                text.append(part, style)
            yield Padding(text, (0, 0, 0, row.indent))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as dictionaries, lists, strings and numbers."""
        found = asdict(self)
        for path, each in zip(self.paths, found["paths"], strict=True):
            each["expression"] = path.expression
        if self.cycle is not None:
            found["cycle"]["expression"] = self.cycle.expression
        return found

    def to_json(self) -> str:
        """Return all of it as JSON: an object with the names of the attributes."""
        import json

        return json.dumps(self.to_dict(), indent=2)

    def to_dot(self) -> str:
        """Return the graph of the paths in the language of Graphviz."""
        from ._drawing import to_dot

        return to_dot(self)

    def to_svg(self, path: str | PathLike[str] | None = None) -> str:
        """Return a picture of the paths, as SVG; write it to a file, too, if there is a path."""
        from ._drawing import to_svg

        return _written(to_svg(self), path)

    def to_html(self, path: str | PathLike[str] | None = None) -> str:
        """Return a page of its own with text and picture; write it to a file, too, if there is
        a path."""
        from ._drawing import to_page

        return _written(to_page(self), path)

    def _repr_svg_(self) -> str:
        return self.to_svg()

    def _repr_html_(self) -> str:
        from ._drawing import to_fragment

        return to_fragment(self)


_SIGNS = str.maketrans({"▶": ">", "└": "-", "⤷": "->", "…": "..."})


def encodable(text: str, encoding: str) -> str:
    """The text, or what is closest to it, in signs that an encoding has."""
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return text.translate(_SIGNS).encode("ascii", "backslashreplace").decode()
    return text


def _written(text: str, path: str | PathLike[str] | None) -> str:
    if path is not None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    return text


# ------------------------------------------------------------------------------- the question


_MOST_PATHS = 10_000
# Before 3.12, a call with `**arguments`, as a test runner makes, has references to them where
# nobody sees them.
_CALLS_HOLD_ARGUMENTS = sys.version_info < (3, 12)


def why_alive(
    obj: object, *, paths: int = 3, depth: int = 1000, progress: bool | None = None
) -> Retention:
    """Say what keeps an object alive.

    Returns the shortest chains of references that lead to it from what is alive by itself:
    modules, variables of running functions, threads, tasks. Each is to be cut at one reference,
    its suspect, and goes through none of the suspects of those before it: so if fewer than
    `paths` are found, the object would go without the suspects. The caller's own variable is
    not blamed while anything else holds the object; nor are test runners and debuggers. In
    expressions, `thread`, `task`, `finalizer`, `held` and, in a cycle, `obj` stand for what the
    path begins with.

    `depth` is the most references that a chain may have: longer ones are not named, and the
    verdict says that there are some. `progress` tells whether to write to standard error how far
    it is, if it takes more than a second; by default if that is a terminal.

    Raises ValueError if `paths` or `depth` is less than one. O(n) for n objects and references
    in the process; it stops the other threads for so long. It runs no code of the program but
    the `__repr__` of what is shown, and keeps nothing alive. It can be called from anywhere: a
    debugger, a signal handler, any thread.

    >>> class Page: pass
    >>> page = Page()
    >>> pages = {"home": page}
    >>> print(why_alive(page).verdict)  # doctest: +SKIP
    Kept alive by 1 chain of references. Without the marked reference it would go.
    """
    paths, depth = min(as_index(paths), _MOST_PATHS), as_index(depth)
    if paths < 1 or depth < 1:
        raise ValueError(f"paths and depth must be at least 1, not {paths} and {depth}")
    roots = Roots()
    chains: list[tuple[int, list[Any], int]] = []
    cycle: list[Any] = []
    count = paths + 2  # some are as good as the same
    try:
        while True:
            chains, cycle, costs = find_chains(
                [obj], count, sys.maxsize, roots.roots, roots.soft, roots.late, roots.own,
                roots.caller, COLLECTIONS, FIXED, is_wanted(progress),
            )  # fmt: skip
            named = _without_repetition(
                [
                    path_of(chain, roots, tier, cut)
                    for tier, chain, cut in chains
                    if len(chain) <= depth + 1 and not is_asking(chain[0])
                ]
            )
            if _CALLS_HOLD_ARGUMENTS and any(path.kind == "runner" for path in named):
                named = [path for path in named if path.steps or path.kind != "unseen"]
            if _CALLS_HOLD_ARGUMENTS:
                named = _without_arguments(named)
            found = [path for path in named if path.kind not in ("caller", "runner")]
            # Those of the later tiers come when there are no others any more.
            all_found = len(chains) < count or any(path.kind == "runner" for path in named)
            too_long = any(len(chain) > depth + 1 for _, chain, _ in chains)
            if len(found) >= paths or all_found or too_long or count > 4 * paths:
                break
            count *= 2
        all_found = all_found and len(found) <= paths
        found = found[:paths]
        if all_found and len(found) < paths:
            found += [path for path in named if path.kind == "runner"][:1]
        if all_found:
            found += [path for path in named if path.kind == "caller"]
        circle = _named_cycle(cycle, obj) if 0 < len(cycle) <= depth + 1 else None
        verdict = _verdict(found, bool(cycle), all_found, depth if too_long else 0, obj)
        return Retention(describe(obj), verdict, tuple(found), circle, *costs)
    finally:
        # What is raised in here has this frame, and must not keep anything else.
        roots.clear()
        for _, chain, _ in chains:
            chain.clear()
        cycle.clear()


def path_of(chain: list[Any], roots: Roots, tier: int = 0, cut: int = -1) -> RetentionPath:
    """The path that a chain of the engine is."""
    root = roots.name(chain[0], tier)
    if roots.is_own_variable(chain):
        root = root._replace(kind="caller")
    return _named(chain, root, cut)


def _named(chain: list[Any], root: Root, cut: int) -> RetentionPath:
    """The path that a chain is, with a name for each reference."""
    steps: list[Step] = []
    expression, at = root.expression, 0
    while at < len(chain) - 1:
        name = name_step(chain, at)
        if at == 0 and type(chain[0]) is FrameType:
            name = _local(chain, name)
        holder, expression = expression, name.before + expression + name.after
        end = at + name.length
        suspect = at <= cut < end
        steps.append(
            Step(
                name.text, expression, qualified_name(type(chain[end])), detail_of(chain[end]),
                id(chain[end]), suspect,
                _advice(name, chain, at, cut, holder, expression, root) if suspect else "",
                name.kind,
            )
        )  # fmt: skip
        at = end
    return RetentionPath(
        root.text, root.kind, tuple(steps), id(chain[0]), qualified_name(type(chain[0]))
    )


def _named_cycle(cycle: list[Any], obj: object) -> RetentionPath:
    """A cycle through the object, or one that leads to it."""
    before = next(at for at in range(1, len(cycle)) if cycle[at] is cycle[0]) - 1
    if cycle[0] is not obj and dict_of(cycle[before]) is cycle[0]:
        cycle.insert(0, cycle[before])  # whose `__dict__` it is
    first = cycle[0]
    expression = "obj" if first is obj else "held"
    return _named(cycle, Root(describe(first), "cycle", expression), -1)


def _without_repetition(paths: list[RetentionPath]) -> list[RetentionPath]:
    """Without those for which what broke one before them is to be done again: a cache, say, may
    hold an object by several references."""
    found: list[RetentionPath] = []
    seen: set[tuple[int, str]] = set()
    for path in paths:
        holder, once = path.address, path.kind if path.kind in ("thread", "task") else ""
        for step in path.steps:
            if step.suspect:
                once = step.kind if step.kind in ("lru_cache", "memory") else once
                break
            holder, once = step.address, ""
        if once and (holder, once) in seen:
            continue
        seen.add((holder, once))
        found.append(path)
    return found


def _without_arguments(paths: list[RetentionPath]) -> list[RetentionPath]:
    """Without those that begin with the arguments of a call that runs, if it has them from an
    object on another path, as that of a thread's function."""
    passed = {step.address for path in paths if path.kind == "thread" for step in path.steps}
    return [path for path in paths if path.kind != "unseen" or path.address not in passed]


def _local(chain: list[Any], name: Name) -> Name:
    """The variable of a running function, which has no expression for its holder."""
    found = local(chain[0], chain, 0)
    if found is not None:
        after = found[0] if found[0].isidentifier() else "held"  # a comprehension's is called .0
        return name._replace(before="", after=after, kind="local", length=found[1])
    if name.kind == "frame":  # of its namespaces
        key = name.after.partition("[")[2][:-1].strip("'\"")
        return name._replace(before="", after=key, kind="local")
    if name.kind == "opaque":
        where = describe_frame(chain[0])
        return name._replace(
            text=f"<a value that {where} works on>", before="", after="held", kind="temporary",
        )  # fmt: skip
    return name._replace(before="frame" + name.before)


# --------------------------------------------------------------------------------- the advice

_GIVEN_TO_C = (
    "was it given to C code, such as sqlite3, ctypes, atexit or signal? Take it back there"
)
_LISTENERS = (MethodType, BuiltinMethodType, FunctionType, partial)


def _advice(
    name: Name, chain: list[Any], at: int, cut: int, holder: str, expression: str, root: Root
) -> str:
    """What would break a reference."""
    end = at + name.length
    held, last = chain[end], end == len(chain) - 1
    kind = name.kind
    if at == 0 and root.kind == "unseen" and type(chain[0]) is Context:
        return "a thread runs in this context: reset the variable there, with its token"
    if at == 0 and root.kind == "unseen":
        return _GIVEN_TO_C
    if at == 0 and root.kind == "thread":
        cancel = find_in_class(type(chain[0]), "cancel") is not None
        return f"ends when the thread does{': `thread.cancel()`' if cancel else ''}"
    if at == 0 and root.kind == "task":
        return "ends when the task does: `task.cancel()`"
    weak = last and supports_weakrefs(held)
    owner = chain[at]
    listens = (
        not last
        and any(type(held) is each for each in _LISTENERS)
        and not issubclass(type(owner), (ModuleType, type))
    )
    remedy = f"`del {shorten(expression, 40)}`"
    holder = shorten(holder, 40)
    times = count_references(chain[cut], chain[cut + 1])
    if times > 1 and kind in ("item", "value", "key", "index", "attribute"):
        return f"remove all {times} references that `{holder}` has to it"
    if module_of(type(held)) == "asyncio.events" and find_in_class(type(held), "cancel"):
        return f"`{shorten(expression, 40)}.cancel()`"
    if kind in ("item", "value", "key", "index", "member"):
        if kind in ("value", "key"):
            remedy = f"remove this entry of `{holder}`"
        elif kind == "member":
            remedy = f"`{holder}.discard(...)`"
        if listens:
            return f"{remedy}, or hold the listener weakly: weakly.weak(...)"
        instead = {
            "item": "WeakValueDictionary", "value": "WeakValueDictionary",
            "key": "WeakKeyDictionary", "index": "WeakList", "member": "WeakSet",
        }[kind]  # fmt: skip
        if not weak:
            return remedy
        return f"{remedy}, or let `{holder}` be a weakly.{instead}"
    if kind == "attribute":
        if listens:
            return f"{remedy}, or hold the listener weakly: weakly.weak(...)"
        if weak and not issubclass(type(owner), (ModuleType, type)):
            return f"{remedy}, or make the attribute weak: weakly.attribute()"
        return remedy
    if kind == "class attribute":
        return f"`del {holder}{name.text}`" if name.text.startswith(".") else remedy
    if kind == "local" and not root.text.partition(" at ")[0].endswith((")", ">")):
        return remedy  # no function returns
    if kind == "local":
        return f"ends when {root.text.partition(' at ')[0]} returns, or with `del {expression}`"
    if kind == "temporary":
        return f"ends when {root.text.partition(' at ')[0]} goes on"
    if kind == "suspended" and any(find_in_class(type(each), "get_coro") for each in chain[:at]):
        return "ends when it returns, or with `cancel()` of its task"
    if kind == "suspended":
        return f"ends when it is finished or closed: `{holder}.close()`"
    if kind == "closure":
        return "let the function have a weak reference instead: weakly.ref(...)"
    if kind == "default":
        return "a default is kept for as long as its function: make it None"
    if kind == "exception":
        return f"drop the exception, or its traceback: `{holder}.__traceback__ = None`"
    if kind == "lru_cache":
        instead = "weakly.cache, which keeps a result no longer than the arguments"
        if name.text.startswith("'self'"):
            instead = "weakly.cached_method, which keeps no arguments"
        elif not name.text.startswith("what "):
            instead = "weakly.cache, which keeps no arguments"
        return f"`{holder}.cache_clear()`, or {instead}"
    if kind == "listener":
        return f"`{holder}.disconnect(...)`, or connect it with weak=True"
    if kind == "memory":
        return "it is kept for as long as the arguments live: `cache_clear()`"
    if kind == "thread-local":
        return "delete the attribute in that thread; it goes when the thread ends"
    if kind == "context variable":
        return "reset the variable with its token"
    if kind in ("finalizer", "callback"):
        return "what is called at an object's death must not refer to it"
    if kind == "future callback":
        return f"`{holder}.remove_done_callback(...)`, or let the future finish"
    if kind in ("task", "future"):
        return f"ends when the task does: `{holder}.cancel()`"
    if kind == "iterator":
        return "ends when the iterator is exhausted or dropped"
    if kind == "frame":
        return "the frame keeps its variables: `.clear()` it, or drop what holds it"
    if kind in ("annotation", "global"):
        return remedy
    if root.kind == "unseen":
        return _GIVEN_TO_C
    return f"drop `{holder}`" if holder else ""


# -------------------------------------------------------------------------------- the verdict


def _verdict(
    paths: list[RetentionPath],
    in_cycle: bool,
    all_found: bool,
    depth: int,  # if some chains are longer
    obj: object,
) -> str:
    for path in paths:
        if not path.steps and path.kind != "unseen":
            return f"It is alive by itself: {path.root}."
    if _is_immortal(obj):
        return "It is immortal: the interpreter never frees it."
    kinds = [path.kind for path in paths]
    known = [kind for kind in kinds if kind not in ("caller", "runner", "unseen")]
    if known:
        count = f"{len(known)} {'chain' if len(known) == 1 else 'chains'} of references"
        if depth:
            return f"Kept alive by {count}, and by longer ones: ask with a greater `depth`."
        if "unseen" in kinds:
            return f"Kept alive by {count}, and from where Python cannot look."
        if "runner" in kinds:
            return f"Kept alive by {count}, and by the test runner or debugger."
        if not all_found:
            return f"Kept alive by at least {count}."
        mine = ", and your own variable," if "caller" in kinds else ""
        marked = "the marked reference" if len(known) == 1 else "the marked references"
        return f"Kept alive by {count}. Without {marked}{mine} it would go."
    if depth:
        plural = "" if depth == 1 else "s"
        return (
            f"Kept alive by chains of more than {depth:,} reference{plural}: ask with a greater "
            "`depth`."
        )
    if "unseen" in kinds:
        return (
            "Kept alive only from where Python cannot look: by C code, or by a function that works "
            "on it just now."
        )
    if "runner" in kinds:
        mine = "your own variable and " if "caller" in kinds else ""
        return f"Kept alive only by {mine}the test runner or debugger."
    if "caller" in kinds:
        return "Kept alive by nothing but your own variable, with which it goes."
    if in_cycle:
        return "Kept alive by nothing but a cycle: the collector will take it."
    return "Kept alive by nothing but this call."


def _is_immortal(obj: object) -> bool:
    # Those have a count that no other object can have.
    count = getattr(sys, "getrefcount", None)
    return count is not None and sys.version_info >= (3, 12) and count(obj) >= 1 << 29


# ----------------------------------------------------------------------------------- the text


class _Row(NamedTuple):
    parts: list[tuple[str, str]]  # text and style
    indent: int = 0  # columns, if it is a sentence that may be long

    def plain(self) -> str:
        return (" " * self.indent + "".join(text for text, _ in self.parts)).rstrip()


WIDEST = 64  # columns of an expression
_FOLD = 14  # steps, more than which are shown folded


def shorten(text: str, limit: int = WIDEST) -> str:
    """The beginning and the end of a long expression."""
    return text if len(text) <= limit else f"{text[: limit // 2 - 1]} … {text[2 - limit // 2 :]}"


def fold(path: RetentionPath) -> list[Step | int]:
    """The steps that are shown; numbers for how many are not, in between."""
    steps = path.steps
    if len(steps) <= _FOLD:
        return list(steps)
    at = next((index for index, step in enumerate(steps) if step.suspect), 0)
    near = {0, 1, 2, 3, at - 1, at, at + 1, *range(len(steps) - 3, len(steps))}
    shown: list[Step | int] = []
    skipped = 0
    for index, step in enumerate(steps):
        if index not in near:
            skipped += 1
            continue
        if skipped:
            shown.append(skipped)
            skipped = 0
        shown.append(step)
    return shown


def _rows(retention: Retention) -> list[_Row]:
    note = "" if implementation == "c" else "; in Python, which is slower than the C core"
    memory = f", with {retention.memory / 1e6:,.1f} MB" if retention.memory else ""
    costs = (
        f"{retention.objects:,} objects and {retention.references:,} references in "
        f"{retention.seconds:.2f} s{memory}{note}"
    )
    return [
        _Row([(retention.target, "bold")]),
        _Row([(retention.verdict, "")]),
        _Row([]),
        *_trees(retention),
        _Row([(costs, "dim")]),
    ]


_INTRODUCED = {
    "caller": ", which asks",
    "runner": ", of the test runner or debugger",
    "unseen": ", held from where Python cannot look",
}


def _trees(retention: Retention) -> list[_Row]:
    """The paths, each followed by an empty line."""
    paths = [*retention.paths, *([retention.cycle] if retention.cycle else [])]
    return [
        row
        for number, path in enumerate(paths, 1)
        for row in [*_tree(path, f"{number}. " if retention.paths else ""), _Row([])]
    ]


def _tree(path: RetentionPath, label: str) -> list[_Row]:
    introduced = _INTRODUCED.get(path.kind, "")
    rows = [_Row([(label, "bold"), (f"{path.root}{introduced}", "bold cyan")])]
    shown = fold(path)
    lines = [_line(step, WIDEST - 2 * at) for at, step in enumerate(shown)]
    width = max((2 * at + len(line) for at, line in enumerate(lines)), default=0)
    for at, (step, line) in enumerate(zip(shown, lines, strict=True)):
        if isinstance(step, int):
            rows.append(_Row([(f"   {'  ' * at}└ {line}", "dim")]))
            continue
        room = 2 + width - 2 * at - len(line)
        kind = kind_of(step)
        rows.append(
            _Row(
                [
                    (" ▶ " if step.suspect else "   ", "bold red"),
                    (f"{'  ' * at}└ ", "dim"),
                    (line, "bold red" if step.suspect else ""),
                    (" " * room + shorten(kind, 40), "green"),
                ]
            )
        )
        if not step.expression.endswith(step.name) and not line.startswith("<local"):
            rows.append(_Row([(step.name, "dim")], 5 + 2 * at))
        if step.advice:
            rows.append(_Row([(f"⤷ {step.advice}", "yellow")], 5 + 2 * at))
    return rows


def kind_of(step: Step) -> str:
    """`dict, 3 items`, `function on_click()`, `class myapp.User`"""
    if not step.detail:
        return step.type
    if step.detail.startswith("class "):
        return step.detail
    return f"{step.type}{' ' if step.detail.endswith('()') else ', '}{step.detail}"


def _line(step: Step | int, limit: int) -> str:
    if isinstance(step, int):
        return f"... {step:,} more steps ..."
    if step.name.startswith("<local") and step.expression.isidentifier():
        return shorten(step.name, max(limit, 40))
    return shorten(step.expression, max(limit, 40))
