"""What a reference is called: the attribute, the item, the variable that holds an object.

Names are looked up in the objects themselves, by identity and without running code of theirs:
through the descriptors of the real type, and the methods of built-in base classes. What has been
changed meanwhile, by other threads, gets the name that says the least, and no error.
"""

# The objects are anybody's, of types that nobody knows.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportPrivateUsage=false

from __future__ import annotations

import sys
from _thread import _local, get_ident
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from functools import _lru_cache_wrapper, cached_property, partial
from inspect import CO_OPTIMIZED
from itertools import compress, count, islice, repeat
from keyword import iskeyword
from operator import is_
from types import (
    AsyncGeneratorType,
    BuiltinMethodType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    TracebackType,
)
from typing import Any, NamedTuple, cast
from weakref import ref

from .._heap import get_referents
from .._implementation import (
    CachedMethod,
    CachedProperty,
    Finalizer,
    Memo,
    SignalBase,
    WeakCallable,
    frame_variables,
)
from ..ephemerons import Ephemeron
from ..installation import original
from ..referents import Box

__all__ = [
    "Name",
    "count_references",
    "describe",
    "describe_frame",
    "detail_of",
    "local",
    "name_of",
    "name_step",
    "qualified_name",
    "shown",
]


class Name(NamedTuple):
    """What one step of a retention path is called."""

    text: str  # as a person would write it
    before: str  # the expression for what is held is that for its holder, between this
    after: str  # and this
    kind: str = "opaque"  # of the reference, for what would break it
    length: int = 1  # references that it covers


# ------------------------------------------------------------- looking without running code

_Namer = Callable[[list[Any], int], Name | None]

_DESCRIPTORS = (GetSetDescriptorType, MemberDescriptorType)

_type_attribute: dict[str, Callable[[Any], Any]] = {
    name: type.__dict__[name].__get__
    for name in ("__dict__", "__module__", "__mro__", "__name__", "__qualname__")
}


def mro_of(cls: Any) -> tuple[type, ...]:
    return _type_attribute["__mro__"](cls)  # type: ignore[no-any-return]


def namespace_of(cls: Any) -> MappingProxyType[str, Any]:
    return _type_attribute["__dict__"](cls)  # type: ignore[no-any-return]


def module_of(cls: Any) -> str:
    """The name of the module that a class says it is of; empty if that is no name."""
    try:
        module = _type_attribute["__module__"](cls)
    except AttributeError:  # somebody has deleted it
        return ""
    return module if type(module) is str else ""


def name_of(cls: Any) -> str:
    """The name of a class, whatever its metaclass has by that name."""
    name: str = _type_attribute["__name__"](cls)
    return name


def qualified_name(cls: Any) -> str:
    """The name of a class with its module, which is left out where it says nothing."""
    name = printable(str.__str__(_type_attribute["__qualname__"](cls)))
    module = printable(module_of(cls))
    return name if module in ("", "builtins") else f"{module}.{name}"


def printable(text: str) -> str:
    """The text without what a terminal or a file might not take."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def find_in_class(cls: Any, name: str) -> Any:
    """What a class and its bases define by a name; None if nothing."""
    for base in mro_of(cls):
        found = namespace_of(base).get(name)
        if found is not None:
            return found
    return None


def read(obj: Any, name: str) -> Any:
    """An attribute that is read by C code of its type; None if there is none."""
    descriptor: Any = find_in_class(type(obj), name)
    if position(type(descriptor), _DESCRIPTORS) is None:
        return None
    try:
        return descriptor.__get__(obj)
    except (AttributeError, ValueError, TypeError, RuntimeError):
        return None


def dict_of(obj: Any) -> Any:
    """The `__dict__` of an instance or a module; None if it has none."""
    for base in mro_of(type(obj)):
        descriptor = namespace_of(base).get("__dict__")
        # And not a property of the class's own.
        if position(type(descriptor), _DESCRIPTORS) is not None:
            found: Any = cast(Any, descriptor).__get__(obj)
            return found if issubclass(type(found), dict) else None
    return None


def value_of(obj: Any, name: str) -> Any:
    """What an instance has by a name that its class does not have; None if nothing.

    Unlike asking for its `__dict__`, this does not make one.
    """
    if find_in_class(type(obj), name) is not None:
        return None
    try:
        return object.__getattribute__(obj, name)
    except AttributeError:
        return None


def _names_in_methods(cls: Any) -> Iterable[str]:
    """The names that methods in Python use, of attributes among others."""
    for base in mro_of(cls):
        for method in list(namespace_of(base).values()):
            code = method.__code__ if type(method) is FunctionType else None
            if type(code) is CodeType:  # PyPy's own functions have others
                yield from code.co_names


def position(child: object, objects: Iterable[Any]) -> int | None:
    """Where it is among them, by identity; at the speed of C."""
    try:
        return next(compress(count(), map(is_, objects, repeat(child))), None)
    except RuntimeError:  # changed meanwhile, by another thread
        return None


def count_references(parent: Any, child: object) -> int:
    """How many references one object has to another."""
    cls = type(parent)
    held: list[Iterable[Any]]
    if issubclass(cls, dict):
        held = [dict.keys(parent), dict.values(parent)]
    elif position(cls, (list, tuple, deque)) is not None:
        held = [parent]
    elif position(cls, (GeneratorType, CoroutineType, AsyncGeneratorType)) is not None:
        return 1  # some say twice what they have once
    else:
        held = [get_referents(parent)]
    try:
        return max(1, sum(sum(map(is_, some, repeat(child))) for some in held))
    except RuntimeError:  # changed meanwhile, by another thread
        return 1


def key_of(child: object, mapping: Any) -> tuple[Any, int] | None:
    """The first key that a dictionary has it under, and at which position."""
    at = position(child, dict.values(mapping))
    if at is None:
        return None
    try:
        key, value = next(islice(dict.items(mapping), at, None))
    except (RuntimeError, StopIteration):  # changed meanwhile, by another thread
        return None
    return (key, at) if value is child else None


# --------------------------------------------------------------------------- showing objects

_LITERALS = (str, bytes, int, float, complex, bool, type(None), type(...))
_LONGEST = 60


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit * 2 // 3]}...{text[-limit // 4 :]}"


def literal(obj: Any, limit: int = _LONGEST) -> str | None:
    """An expression for an object of the simplest built-in types; None if there is none that
    is short."""
    cls = type(obj)
    if cls is tuple:
        if len(obj) > 4:
            return None
        parts = [literal(each, limit) for each in obj]
        if None in parts:
            return None
        text = f"({', '.join(map(str, parts))}{',' if len(parts) == 1 else ''})"
    elif cls is int:
        text = repr(obj) if obj.bit_length() <= 128 else ""
    elif cls is str or cls is bytes:
        text = repr(obj) if len(obj) <= limit else ""
    elif cls is float:
        text = repr(obj) if obj - obj == 0 else ""
    elif position(cls, _LITERALS) is not None:
        text = repr(obj)
    else:
        return None
    return text if text and len(text) <= limit else None


def shown(obj: Any, limit: int = _LONGEST) -> str:
    """What an object looks like, cut to a length, whatever its `__repr__` does."""
    return _clip(_look(obj, limit, 2), limit)


def _look(obj: Any, limit: int, depth: int) -> str:
    cls: Any = type(obj)
    looks: Any = find_in_class(cls, "__repr__")
    try:
        if cls is int and obj.bit_length() > 4 * limit:
            return f"<int of {obj.bit_length()} bits>"
        for kind in (str, bytes, bytearray):
            if looks is kind.__repr__:
                return repr(kind.__getitem__(obj, slice(limit + 1)))
        for kind, looks_so, start, end in _BRACKETS:
            if looks is looks_so:
                inner = _look_into(kind, obj, limit, depth - 1)
                name = f"{qualified_name(cls)}(" if cls is not kind else ""
                return f"{name}{start}{inner}{end}{name and ')'}"
        text: Any = repr(obj)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"<{qualified_name(cls)} at {id(obj):#x}; repr() raised {type(error).__name__}>"
    # Exactly a string, whatever repr() has given.
    return printable(" ".join(str.__str__(text).split()))


# Collections that may be large: those whose repr() is this function are looked into, but not far.
_BRACKETS: list[tuple[Any, Any, str, str]] = [
    (kind, kind.__repr__, start, end)
    for kind, start, end in cast(
        list[tuple[Any, str, str]],
        [
            (list, "[", "]"),
            (tuple, "(", ")"),
            (set, "{", "}"),
            (frozenset, "frozenset({", "})"),
            (deque, "deque([", "])"),
            (dict, "{", "}"),
            (OrderedDict, "OrderedDict({", "})"),
            (defaultdict, "defaultdict({", "})"),
            (type({}.keys()), "dict_keys([", "])"),
            (type({}.values()), "dict_values([", "])"),
            (type({}.items()), "dict_items([", "])"),
        ],
    )
]
_MOST = 4  # elements


def _look_into(kind: Any, some: Any, limit: int, depth: int) -> str:
    """The first elements, which are asked for as the built-in type has them."""
    if not kind.__len__(some):
        return ""
    if depth < 0:
        return "..."
    parts: list[str] = []
    for element in islice(
        kind.items(some) if issubclass(kind, dict) else kind.__iter__(some), _MOST
    ):
        if issubclass(kind, dict):
            key, value = element
            parts.append(f"{_look(key, limit, depth)}: {_look(value, limit, depth)}")
        else:
            parts.append(_look(element, limit, depth))
    if kind.__len__(some) > _MOST:
        parts.append("...")
    return ", ".join(parts) + ("," if kind is tuple and len(parts) == 1 else "")


def describe(obj: Any) -> str:
    """An object with its class and address, and its `__repr__` if its class has one."""
    cls = type(obj)
    name = qualified_name(cls)
    if issubclass(cls, type):
        return f"class {qualified_name(obj)}"
    if find_in_class(cls, "__repr__") is object.__dict__["__repr__"]:
        return f"{name} at {id(obj):#x}"
    text = shown(obj, 80)
    if f"{id(obj):x}" in text:
        return text
    return f"{name} at {id(obj):#x}: {text}"


def detail_of(obj: Any) -> str:
    """How many items a built-in collection has, or the name of a class, function or module;
    empty for other objects."""
    cls = type(obj)
    if issubclass(cls, type):
        return f"class {qualified_name(obj)}"
    if position(cls, (FunctionType, MethodType, BuiltinMethodType)) is not None:
        return f"{_called(obj)}()"
    for kind in (dict, list, tuple, set, frozenset, deque):
        if issubclass(type(obj), kind):
            length = kind.__len__(obj)
            return "1 item" if length == 1 else f"{length:,} items"
    return ""


def describe_frame(frame: FrameType) -> str:
    """`worker() at app.py:41`"""
    return f"{_function_name(frame.f_code)} at {_place(frame.f_code, frame.f_lineno)}"


def _function_name(code: CodeType) -> str:
    name = printable(code.co_qualname.rpartition("<locals>.")[2])
    if name == "<module>":
        return "module level"
    if not code.co_flags & CO_OPTIMIZED:
        return f"the body of class {name}"
    return name if name.startswith("<") else f"{name}()"


def _place(code: CodeType, line: int | None) -> str:
    file = code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f"{printable(file)}:{line or code.co_firstlineno}"


def _called(function: Any) -> str:
    """The name of a function, for people."""
    if type(function) is MethodType:
        function = function.__func__
    name = read(function, "__qualname__") or read(function, "__name__")
    if type(name) is not str:
        return qualified_name(type(function))
    return printable(name.rpartition("<locals>.")[2])


# ------------------------------------------------------------------------ kinds of reference


def attribute(obj: Any, name: Any, index: int, length: int) -> Name:
    """A reference by a name in the `__dict__` of an object, and that name's position there."""
    if (
        type(name) is str
        and name.isidentifier()
        and not iskeyword(name)
        and not _has(find_in_class(type(obj), name), "__set__")
    ):
        return Name(f".{name}", "", f".{name}", "attribute", length)
    return _in_namespace(name, index, "attribute", length)


def _in_namespace(key: Any, index: int, kind: str, length: int) -> Name:
    """What a `__dict__` has under a key."""
    text = literal(key)
    if text is not None:
        return Name(f".__dict__[{text}]", "vars(", f")[{text}]", kind, length)
    return Name(f".__dict__[{shown(key)}]", "list(vars(", f").values())[{index}]", kind, length)


def _has(obj: Any, name: str) -> bool:
    return obj is not None and find_in_class(type(obj), name) is not None


def _by_dict(chain: list[Any], at: int) -> Name | None:
    parent, child = chain[at], chain[at + 1]
    if not issubclass(type(parent), ModuleType):
        for name in _names_in_methods(type(parent)):
            if value_of(parent, name) is child and child is not None:
                return attribute(parent, name, 0, 1)
    own = dict_of(parent)
    if own is None:
        return None
    if own is child:
        if at + 2 < len(chain):
            found = key_of(chain[at + 2], own)
            if found is not None:
                return attribute(parent, *found, 2)
        return Name(".__dict__", "", ".__dict__", "attribute")
    found = key_of(child, own)
    return None if found is None else attribute(parent, *found, 1)


def _by_slot(chain: list[Any], at: int) -> Name | None:
    parent, child = chain[at], chain[at + 1]
    for base in mro_of(type(parent)):
        for name, slot in list(namespace_of(base).items()):
            if type(slot) is MemberDescriptorType and name != "__weakref__":
                try:
                    if slot.__get__(parent) is not child:
                        continue
                except (AttributeError, TypeError, ValueError):
                    continue
                if name[:2] == "__" == name[-2:] or name[:2] != "__":
                    return Name(f".{name}", "", f".{name}", "attribute")
                mangled = f"_{name_of(base).lstrip('_')}{name}"
                return Name(f".{mangled}", "", f".{mangled}", "attribute")
    return None


def _by_class(chain: list[Any], at: int) -> Name | None:
    if type(chain[at]) is chain[at + 1]:
        return Name("its class", "type(", ")", "class")
    return None


def item(key: Any, index: int, length: int = 1, before: str = "", after: str = ".values()") -> Name:
    """The value of a key; with what is before and after the mapping in an expression for all its
    values."""
    text = literal(key)
    if text is not None:
        return Name(f"[{text}]", "", f"[{text}]", "item", length)
    return Name(f"[{shown(key)}]", f"list({before}", f"{after})[{index}]", "value", length)


def _by_item(chain: list[Any], at: int) -> Name | None:
    parent, child = chain[at], chain[at + 1]
    found = key_of(child, parent)
    if found is not None:
        # A subclass can have them in another order.
        return item(*found) if type(parent) is dict else item(*found, 1, "dict.values(", ")")
    index = position(child, dict.keys(parent))
    if index is None:
        return None
    return Name(f"key {shown(child)}", "list(", f")[{index}]", "key")


def _by_index(cls: Any, chain: list[Any], at: int) -> Name | None:
    parent, child = chain[at], chain[at + 1]
    index = position(child, cls.__iter__(parent))
    if index is None:
        return None
    if cls is tuple:
        fields = find_in_class(type(parent), "_fields")
        if type(fields) is tuple and type(parent) is not tuple and index < len(fields):
            field = fields[index]
            if type(field) is str and field.isidentifier():
                return Name(f".{field}", "", f".{field}", "fixed")
        return Name(f"[{index}]", "", f"[{index}]", "fixed")
    return Name(f"[{index}]", "", f"[{index}]", "index")


def _by_membership(cls: Any, chain: list[Any], at: int) -> Name | None:
    parent, child = chain[at], chain[at + 1]
    index = position(child, cls.__iter__(parent))
    if index is None:
        return None
    kind = "fixed" if cls is frozenset else "member"
    if cls.__len__(parent) == 1:
        return Name(f"member {shown(child)}", "next(iter(", "))", kind)
    return Name(f"member {shown(child)}", "list(", f")[{index}]", kind)


def _by_read(names: tuple[str, ...], kind: str, chain: list[Any], at: int) -> Name | None:
    """Attributes that C code of a built-in type reads."""
    parent, child = chain[at], chain[at + 1]
    for name in names:
        if read(parent, name) is child:
            return Name(f".{name}", "", f".{name}", kind)
    return None


def _within(names: tuple[str, ...], kind: str, chain: list[Any], at: int) -> Name | None:
    """Items of a tuple or dictionary that an attribute is."""
    parent, inner = chain[at], chain[at + 1]
    if at + 2 >= len(chain):
        return None
    for name in names:
        if read(parent, name) is inner:
            found = (_by_item if type(inner) is dict else partial(_by_index, tuple))(chain, at + 1)
            if found is None:
                return None
            before, after = found.before, found.after
            if before:
                return Name(f".{name}{found.text}", before, f".{name}{after}", kind, 2)
            return Name(f".{name}{after}", "", f".{name}{after}", kind, 2)
    return None


# Functions


def _function(chain: list[Any], at: int) -> Name | None:
    function, child = chain[at], chain[at + 1]
    then = chain[at + 2] if at + 2 < len(chain) else None
    closure = function.__closure__
    called = _called(function)
    if child is closure and type(then) is CellType:
        index = position(then, closure)
        if index is not None:
            return _cell_of(called, function.__code__, index, chain, at + 2, 2)
    if type(child) is CellType and closure is not None:  # on PyPy there is no tuple between
        index = position(child, closure)
        if index is not None:
            return _cell_of(called, function.__code__, index, chain, at + 1, 1)
    if child is read(function, "__globals__"):
        if then is not None and (found := key_of(then, child)) is not None:
            text = literal(found[0]) or "..."
            return Name(f"global {text} of {called}", "", f".__globals__[{text}]", "global", 2)
        return Name(".__globals__", "", ".__globals__", "global")
    code = function.__code__
    # PyPy's functions refer to the defaults themselves.
    for held, length in ((then, 2), (child, 1)):
        defaults = read(function, "__defaults__")
        if type(defaults) is tuple and (length == 1 or child is defaults):
            index = position(held, defaults)
            if index is not None:
                text = _parameter(code, index - len(defaults))
                after = f".__defaults__[{index}]"
                return Name(f"default of {text} of {called}", "", after, "default", length)
        keywords = read(function, "__kwdefaults__")
        if type(keywords) is dict and (length == 1 or child is keywords):
            found = key_of(held, keywords)
            if found is not None:
                text = literal(found[0]) or "..."
                after = f".__kwdefaults__[{text}]"
                return Name(f"default of {text} of {called}", "", after, "default", length)
    other = _by_read(
        ("__closure__", "__defaults__", "__kwdefaults__", "__code__", "__builtins__",
         "__type_params__"), "fixed", chain, at,
    )  # fmt: skip
    if other is None and type(child) is dict and child is not dict_of(function):
        # By elimination: to ask could make them, and so run code.
        if then is not None and (found := key_of(then, child)) is not None:
            after = f".__annotations__[{literal(found[0]) or '...'}]"
            return Name(f"annotation {shown(found[0])} of {called}", "", after, "annotation", 2)
        return Name(".__annotations__", "", ".__annotations__", "annotation")
    return other


def _parameter(code: CodeType, place: int) -> str:
    """The name of a positional parameter, counted from the last."""
    place += code.co_argcount
    return repr(code.co_varnames[place]) if 0 <= place < code.co_argcount else "a parameter"


def _cell_of(
    called: str, code: CodeType, index: int, chain: list[Any], at: int, length: int
) -> Name:
    """The cell at this place of the chain, which is in a closure, and what is in it."""
    names = code.co_freevars
    name = names[index] if index < len(names) else str(index)
    text = f"closure cell {name!r} of {called}"
    after = f".__closure__[{index}]"
    if at + 1 < len(chain) and read(chain[at], "cell_contents") is chain[at + 1]:
        return Name(text, "", f"{after}.cell_contents", "closure", length + 1)
    return Name(text, "", after, "closure", length)


def _cell(chain: list[Any], at: int) -> Name | None:
    if read(chain[at], "cell_contents") is chain[at + 1]:
        return Name(".cell_contents", "", ".cell_contents", "closure")
    return None


# Frames, generators, exceptions


def local(frame: FrameType, chain: list[Any], at: int) -> tuple[str, int] | None:
    """The variable of a frame that leads on from this place of the chain, and by how many
    references."""
    child = chain[at + 1]
    for name, held in frame_variables(frame):
        if held is child:
            if (
                type(child) is CellType
                and at + 2 < len(chain)
                and read(child, "cell_contents") is chain[at + 2]
            ):
                return name, 2
            return name, 1
    return None


def _frame(chain: list[Any], at: int) -> Name | None:
    frame, child = chain[at], chain[at + 1]
    found = local(frame, chain, at)
    if found is not None:
        name, length = found
        return Name(
            f"<local {name!r} in {describe_frame(frame)}>",
            "", f".f_locals[{name!r}]", "frame", length,
        )  # fmt: skip
    then = chain[at + 2] if at + 2 < len(chain) else None
    if type(child) is dict and then is not None and (key := key_of(then, child)) is not None:
        text = literal(key[0]) or "..."
        if child is frame.f_globals:
            where = "f_globals"
            named = f"<global {text} of {describe_frame(frame)}>"
        elif child is frame.f_builtins:
            where = "f_builtins"
            named = f"<builtin {text} of {describe_frame(frame)}>"
        else:
            where = "f_locals"
            named = f"<local {text} in {describe_frame(frame)}>"
        return Name(named, "", f".{where}[{text}]", "frame", 2)
    return _by_read(
        ("f_back", "f_trace", "f_globals", "f_builtins", "f_code"), "attribute", chain, at
    )


_FRAMES = {
    GeneratorType: ("gi_frame", "gi_yieldfrom", "gi_code"),
    CoroutineType: ("cr_frame", "cr_await", "cr_code", "cr_origin"),
    AsyncGeneratorType: ("ag_frame", "ag_await", "ag_code"),
}


def _suspended(cls: Any, chain: list[Any], at: int) -> Name | None:
    generator = chain[at]
    frame_name, waits_for, *others = _FRAMES[cls]
    frame = read(generator, frame_name)
    if read(generator, waits_for) is chain[at + 1]:
        return Name(f".{waits_for}", "", f".{waits_for}", "suspended")
    if frame is not None:
        between = int(chain[at + 1] is frame and at + 2 < len(chain))  # so it is on PyPy
        found = local(frame, chain, at + between)
        if found is not None:
            name, length = found[0], found[1] + between
            return Name(
                f"<local {name!r} in {'' if _runs(generator, cls) else 'suspended '}"
                f"{describe_frame(frame)}>",
                "", f".{frame_name}.f_locals[{name!r}]", "suspended", length,
            )  # fmt: skip
    found_name = _by_read(tuple(others), "fixed", chain, at)
    if found_name is None and frame is not None:
        _, before, after, *_ = fallback(chain, at)
        return Name(f"<a value that {describe_frame(frame)} works on>", before, after, "suspended")
    return found_name


def _runs(generator: Any, cls: Any) -> bool:
    return bool(read(generator, _FRAMES[cls][0].replace("frame", "running")))


_EXCEPTION = ("__traceback__", "__context__", "__cause__", "args", "obj", "value", "exceptions")


def _exception(chain: list[Any], at: int) -> Name | None:
    found = _within(("args",), "exception", chain, at) or _by_read(
        _EXCEPTION, "exception", chain, at
    )
    if found is None:  # PyPy's exceptions refer to the arguments themselves
        index = position(chain[at + 1], read(chain[at], "args") or ())
        if index is not None:
            return Name(f".args[{index}]", "", f".args[{index}]", "exception")
    return found


def _traceback(chain: list[Any], at: int) -> Name | None:
    return _by_read(("tb_frame", "tb_next"), "exception", chain, at)


# Classes

# What a class gives as it is, although it has a `__get__`.
_GIVE_THEMSELVES = (FunctionType, property, cached_property, _lru_cache_wrapper)


def _class(chain: list[Any], at: int) -> Name | None:
    cls, child = chain[at], chain[at + 1]
    names = namespace_of(cls)
    if type(child) is dict and position(child, get_referents(names)) is not None:
        found = None if at + 2 == len(chain) else key_of(chain[at + 2], child)
        if found is None:
            return Name(".__dict__", "", ".__dict__", "attribute")
        return _class_attribute(*found, chain[at + 2], 2)
    fixed = _within(("__bases__", "__mro__"), "class", chain, at) or _by_read(
        ("__base__", "__bases__", "__mro__"), "class", chain, at
    )
    if fixed is None:  # PyPy's classes refer to what they have themselves
        index = position(child, list(names.values()))
        if index is not None:
            return _class_attribute(list(names)[index], index, child, 1)
    return fixed


def _class_attribute(name: Any, index: int, value: object, length: int) -> Name:
    found = _in_namespace(name, index, "class attribute", length)
    if type(name) is not str or not name.isidentifier():
        return found
    gives_other = position(type(value), _GIVE_THEMSELVES) is None and _has(value, "__get__")
    if iskeyword(name) or gives_other:
        return found._replace(text=f".{name}")
    return Name(f".{name}", "", f".{name}", "class attribute", length)


# Views, iterators and other types in C


def _proxy(chain: list[Any], at: int) -> Name | None:
    """A mappingproxy or a view of a dictionary: what it shows is no attribute."""
    child = chain[at + 1]
    if type(chain[at]) is MappingProxyType:
        if issubclass(type(child), dict) and at + 2 < len(chain):
            found = _by_item(chain, at + 1)
            if found is not None:
                return found._replace(kind="view", length=2)
        return Name("what it is a view of", *_referent(chain, at), "view")
    if issubclass(type(child), dict):
        found = _by_item(chain, at + 1) if at + 2 < len(chain) else None
        if found is not None:
            return found._replace(after=f".mapping{found.after}", kind="view", length=2)
        return Name(".mapping", "", ".mapping", "view")
    return None


def _memoryview(chain: list[Any], at: int) -> Name | None:
    exporter = read(chain[at], "obj")
    for length in (1, 2):
        if at + length < len(chain) and chain[at + length] is exporter:
            return Name(".obj", "", ".obj", "view", length)
    return None


_ITERATORS: list[Any] = [
    *map(type, [
        iter([]), iter(()), iter({}), iter({}.values()), iter({}.items()), iter(set()),
        reversed([]), reversed({}), reversed({}.values()), reversed({}.items()),
        iter(deque()), reversed(deque()), iter(OrderedDict()), iter(OrderedDict().values()),
        iter(""), iter(b""), iter(bytearray()), repeat(0),
    ]),
    zip, map, filter, enumerate, reversed, compress,
]  # fmt: skip


def _iterator(chain: list[Any], at: int) -> Name | None:
    kind = name_of(type(chain[at]))
    if type(chain[at]) in (map, filter) and callable_type(type(chain[at + 1])):
        return Name(f"the function of {kind}()", *_referent(chain, at), "iterator")
    return Name(f"what {kind} goes through", *_referent(chain, at), "iterator")


def callable_type(cls: type) -> bool:
    return find_in_class(cls, "__call__") is not None and find_in_class(cls, "__iter__") is None


def _weakref(chain: list[Any], at: int) -> Name | None:
    if read(chain[at], "__callback__") is chain[at + 1]:
        return Name("callback of a weak reference", "", ".__callback__", "callback")
    return None


def _future(chain: list[Any], at: int) -> Name | None:
    """Tasks and futures in C."""
    future = chain[at]
    found = _by_read(
        ("_coro", "_fut_waiter", "_result", "_exception", "_loop", "_source_traceback"),
        "future", chain, at,
    )  # fmt: skip
    if found is not None:
        if found.text == "._coro":
            return Name(".get_coro()", "", ".get_coro()", "task")
        return found
    callbacks: Any = read(future, "_callbacks") or ()
    for index, (callback, context) in enumerate(callbacks):
        for end in (at + 1, at + 3):  # the others than the first are in a list of pairs
            held = chain[end] if end < len(chain) else None
            after = f"._callbacks[{index}]"
            if held is callback:
                text = "callback of the future"
                return Name(text, "", f"{after}[0]", "future callback", end - at)
            if held is context:
                text = "context of a callback"
                return Name(text, "", f"{after}[1]", "future callback", end - at)
    return None


_HAMT = ("hamt", "hamt_bitmap_node", "hamt_array_node", "hamt_collision_node")


def _context(chain: list[Any], at: int) -> Name | None:
    end = at + 1
    while end < len(chain) - 1 and name_of(type(chain[end])) in _HAMT:
        end += 1
    for index, (variable, value) in enumerate(list(type(chain[at]).items(chain[at]))):
        name = read(variable, "name")
        if value is chain[end]:
            return Name(
                f"value of the context variable {name!r}",
                "list(", f".values())[{index}]", "context variable", end - at,
            )  # fmt: skip
        if variable is chain[end]:
            return Name(f"context variable {name!r}", "list(", f")[{index}]", "opaque", end - at)
    return None


def _context_variable(chain: list[Any], at: int) -> Name | None:
    name = read(chain[at], "name")
    if chain[at + 1] is name:
        return Name(".name", "", ".name", "fixed")
    return Name(f"default of the context variable {name!r}", *_referent(chain, at), "fixed")


def _thread_local(chain: list[Any], at: int) -> Name | None:
    """What a `threading.local` has for a thread: in a dictionary for each."""
    for middle in (at + 1, at + 2):  # there may be one of those dictionaries
        if middle + 1 >= len(chain) or type(chain[middle]) is not dict:
            return None
        found = key_of(chain[middle + 1], chain[middle])
        if found is not None and type(found[0]) is str:
            name = found[0]
            whose = _whose(chain[at], chain[middle])
            return Name(f".{name} of {whose}", "", f".{name}", "thread-local", middle + 1 - at)
    return None


def _whose(local: Any, values: dict[str, Any]) -> str:
    """Which thread these values of a `threading.local` are of, as far as one can tell."""
    others = sys._current_frames().keys() - {get_ident()}
    if not others:
        return "this thread"
    if find_in_class(type(local), "__init__") is not object.__dict__["__init__"]:
        return "some thread"  # to ask for the own ones could make them, by a call of that
    if _local.__getattribute__(local, "__dict__") is values:
        return "this thread"
    return f"thread {thread_name(others.pop())}" if len(others) == 1 else "another thread"


def thread_name(ident: int) -> str:
    """The name of a thread, without waiting for any lock."""
    threading: Any = sys.modules.get("threading")
    thread = None if threading is None else getattr(threading, "_active", {}).get(ident)
    name = value_of(thread, "_name")
    return repr(name) if type(name) is str else str(ident)


def _lru_cache(chain: list[Any], at: int) -> Name | None:
    function, child = chain[at], chain[at + 1]
    wrapped = (dict_of(function) or {}).get("__wrapped__")
    called = f"{_called(wrapped)}()"
    if child is wrapped:
        return Name(".__wrapped__", "", ".__wrapped__", "attribute")
    if child is dict_of(function):
        return None
    start = at + 1
    if type(child) is dict and at + 2 < len(chain):
        start = at + 2  # its table of results
    if name_of(type(chain[start])) == "_lru_list_elem" and start + 1 < len(chain):
        start += 1
    held, length = chain[start], start - at
    before, after = _through(chain, at, start)
    if type(held) is tuple and start + 1 < len(chain):
        index = position(chain[start + 1], held)
        if index is not None:
            name = f"argument {index + 1}"
            code = read(wrapped, "__code__")
            mark = next((at for at, each in enumerate(held) if type(each) is object), len(held))
            if index > mark + 1 and type(held[index - 1]) is str:  # the keyword arguments' names
                name = repr(held[index - 1])
            elif type(code) is CodeType and index < code.co_argcount:
                name = repr(code.co_varnames[index])
            return Name(
                f"{name} of a call that the lru_cache of {called} remembers",
                before, f"{after}[{index}]", "lru_cache", length + 1,
            )  # fmt: skip
    return Name(f"what the lru_cache of {called} remembers", before, after, "lru_cache", length)


# Of weakly

_PACKAGE = __name__.partition(".")[0]


def _inside(chain: list[Any], at: int) -> range:
    """The places in a chain that may be inside of one of weakly's objects, and behind."""
    return range(at + 1, min(at + 8, len(chain)))


def _weakly(chain: list[Any], at: int) -> Name | None:
    """What weakly's containers hold strongly, wherever inside of them it is."""
    container = chain[at]
    own = {
        name: namespace_of(base)[name]
        for base in reversed(mro_of(type(container)))
        for name in ("__iter__", "keys", "values")
        if name in namespace_of(base)
    }
    if not own or not all(_is_of_weakly(method) for method in own.values()):
        return None  # a subclass has others
    values: list[Any] = list(own["values"](container)) if "values" in own else []
    keys: list[Any] = list(own["keys" if values else "__iter__"](container))
    for end in _inside(chain, at):
        index = position(chain[end], values)
        if index is not None:
            return item(keys[index], index, end - at)
        index = position(chain[end], keys)
        if index is not None:
            kind = "key" if "values" in own else "member"
            text = f"{kind} {shown(chain[end])}"
            return Name(text, "list(", f")[{index}]", kind, end - at)
    return None


def _is_of_weakly(method: Any) -> bool:
    owner = read(method, "__objclass__")
    module = module_of(owner) if owner is not None else str(read(method, "__module__"))
    return module.partition(".")[0] == _PACKAGE


def _value(chain: list[Any], at: int) -> Name | None:
    """What a box or an ephemeron has."""
    value = chain[at].value
    for end in _inside(chain, at):
        if chain[end] is value:
            return Name(".value", "", ".value", "attribute", end - at)
    return None


def _is_ours(cls: Any) -> bool:
    return module_of(cls).partition(".")[0] == _PACKAGE


def _finalizer(chain: list[Any], at: int) -> Name | None:
    """What a finalizer calls, and with what."""
    content = type(chain[at]).peek(chain[at])
    if content is None:
        return None
    _, func, args, kwargs = content
    before, after = "", ".peek()"
    for end in _inside(chain, at):
        child, length = chain[end], end - at
        if child is func:
            return Name("callback of a finalizer", before, f"{after}[1]", "finalizer", length)
        index = position(child, args)
        if index is not None:
            return Name(f"argument {index + 1} of the callback of a finalizer", before,
                        f"{after}[2][{index}]", "finalizer", length)  # fmt: skip
        found = key_of(child, kwargs or {})
        if found is not None:
            return Name(f"argument {found[0]!r} of the callback of a finalizer", before,
                        f"{after}[3][{found[0]!r}]", "finalizer", length)  # fmt: skip
    return None


def _listener(chain: list[Any], at: int) -> Name | None:
    """What a `WeakCallable` holds strongly."""
    listener: Any = chain[at]
    if listener.target is chain[at + 1]:
        return Name(".target", "", ".target", "listener")
    return None


def _signal(chain: list[Any], at: int) -> Name | None:
    """The listeners of a signal, wherever inside of it they are."""
    for end in _inside(chain[:-1], at):
        if issubclass(type(chain[end]), WeakCallable) and chain[end].target is chain[end + 1]:
            before, after = _through(chain, at, end)
            text = f"listener {_called(chain[end + 1])} of the signal"
            return Name(text, before, f"{after}.target", "listener", end + 1 - at)
    return None


def _memory(chain: list[Any], at: int) -> Name | None:
    """What one of weakly's caches remembers, or its function."""
    memory = chain[at]
    wrapped = (dict_of(memory) or {}).get("__wrapped__") or read(memory, "__wrapped__")
    end = at + 1
    while end < len(chain) - 1 and chain[end] is not wrapped and _is_inside(chain[end]):
        end += 1
    if wrapped is not None and chain[end] is wrapped:
        return Name(".__wrapped__", "", ".__wrapped__", "fixed", end - at)
    called = _called(memory if wrapped is None else wrapped)
    return Name(f"what {called} remembers", *_through(chain, at, end), "memory", end - at)


def _is_inside(obj: Any) -> bool:
    """Whether an object is a part of what weakly is made of."""
    cls = type(obj)
    if cls is FunctionType:
        return str(read(obj, "__module__")).partition(".")[0] == _PACKAGE
    return _is_ours(cls) or position(cls, (dict, OrderedDict, tuple, CellType)) is not None


def _stdlib_finalizer(chain: list[Any], at: int) -> Name | None:
    """What `weakref.finalize` calls, and with what."""
    found = _by_slot(chain, at)
    if found is None or found.text not in (".func", ".args", ".kwargs"):
        return found
    return found._replace(text=f"{found.text} of a finalizer", kind="finalizer")


def _through(chain: list[Any], at: int, end: int) -> tuple[str, str]:
    """The expression for references that have no names."""
    before = after = ""
    for place in range(at, end):
        more = _referent(chain, place)
        before, after = more[0] + before, after + more[1]
    return before, after


# ---------------------------------------------------------------------------------- the table


def _namers() -> dict[int, list[_Namer]]:
    # By id: a metaclass may have a __hash__ and an __eq__ of its own.
    from contextvars import Context, ContextVar, Token

    table: dict[int, list[_Namer]] = {}

    def add(classes: Iterable[Any], *namers: _Namer) -> None:
        for cls in classes:
            table.setdefault(id(cls), []).extend(namers)

    add([FunctionType], _function)
    add([CellType], _cell)
    add([FrameType], _frame)
    add([BaseException], _exception)
    add([TracebackType], _traceback)
    add([type], _class)
    add([ref], _weakref)
    for cls in _FRAMES:
        add([cls], partial(_suspended, cls))
    views: list[Any] = [type({}.keys()), type({}.values()), type({}.items()), MappingProxyType]
    add(views, _proxy)
    add([memoryview], _memoryview)
    add([BuiltinMethodType, type([].__len__)], partial(_by_read, ("__self__",), "method"))
    add([MethodType], partial(_by_read, ("__self__", "__func__"), "method"))
    # Where these are members the slots would do; on PyPy they are not.
    add([property], partial(_by_read, ("fget", "fset", "fdel"), "attribute"))
    add([staticmethod, classmethod], partial(_by_read, ("__func__", "__wrapped__"), "attribute"))
    add([slice], partial(_by_read, ("start", "stop", "step"), "fixed"))
    add([super], partial(_by_read, ("__self__", "__thisclass__"), "fixed"))
    add([defaultdict], partial(_by_read, ("default_factory",), "attribute"))
    add([partial], partial(_within, ("args", "keywords"), "fixed"))
    add(_ITERATORS, _iterator)
    add([Context], _context)
    add([ContextVar], _context_variable)
    add([Token], partial(_by_read, ("var", "old_value"), "fixed"))
    add([_local], _thread_local)
    add([_lru_cache_wrapper], _lru_cache)
    add([Finalizer], _finalizer)
    add([WeakCallable], _listener)
    add([SignalBase], _signal)
    add([Box, Ephemeron], _value)
    add([CachedMethod, CachedProperty, Memo], _memory)
    add([original("finalize")._Info], _stdlib_finalizer)
    for cls in (list, deque, tuple):
        add([cls], partial(_by_index, cls))
    for cls in (set, frozenset):
        add([cls], partial(_by_membership, cls))
    add([dict], _by_item)
    return table


_table: dict[int, list[_Namer]] = {}


def _find_namers(cls: type) -> list[_Namer]:
    if not _table:
        _table.update(_namers())
    found: list[_Namer] = []
    ours: list[_Namer] = []
    for base in mro_of(cls):
        found += _table.get(id(base), ())
        if base is object:
            break
        if _is_ours(base):
            ours = [_weakly]
        if module_of(base) == "_asyncio":
            found.append(_future)
    first = [_by_dict, _by_slot] if not issubclass(cls, (type, ModuleType)) else []
    if issubclass(cls, ModuleType):
        return [_by_dict]
    if issubclass(cls, (dict, BaseException, FunctionType)) or ours:
        return [*found, *ours, _by_dict, _by_slot, _by_class]
    if position(id(cls), [id(each) for each in (list, tuple, set, frozenset)]) is not None:
        return found
    return [*found, *first, _by_class]


def _referent(chain: list[Any], at: int) -> tuple[str, str]:
    """The expression for a reference that has no name."""
    index = position(chain[at + 1], get_referents(chain[at]))
    return ("gc.get_referents(", f")[{index}]") if index is not None else ("<something in ", ">")


def fallback(chain: list[Any], at: int) -> Name:
    """What a reference is called that has no name."""
    cls = type(chain[at])
    return Name(f"<a reference inside the C object {qualified_name(cls)}>", *_referent(chain, at))


def name_step(chain: list[Any], at: int) -> Name:
    """What leads on from the object at this place of a chain, to the next or beyond."""
    try:
        for namer in _find_namers(type(chain[at])):
            name = namer(chain, at)
            if name is not None:
                return name
    except KeyboardInterrupt:
        raise
    except BaseException:
        pass
    return fallback(chain, at)
