"""Weak references for Python, done properly: a drop-in for `weakref` at near-`dict` speed."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from ._implementation import implementation
from .caching import Interner, WeakCache, cache, cached_method, cached_property
from .containers import (
    EphemeronDictionary,
    WeakDefaultDictionary,
    WeakIdKeyDictionary,
    WeakIdSet,
    WeakKeyDictionary,
    WeakKeyValueDictionary,
    WeakSet,
    WeakValueDictionary,
)
from .ephemerons import Ephemeron, EphemeronStats, collect, ephemeron_stats
from .finalization import Cleaner, Cleanup, ReferenceQueue, TrackedRef, finalize
from .installation import install, uninstall
from .lists import WeakList
from .memory import MemoryPressure, MemoryWatch, check_memory, on_memory_pressure
from .references import (
    CallableProxyType,
    IdRef,
    KeyedRef,
    ProxyType,
    ProxyTypes,
    ReferenceType,
    WeakCallable,
    WeakMethod,
    getweakrefcount,
    getweakrefs,
    proxy,
    ref,
    weak,
)
from .referents import Box, Bytearray, Dict, List, attribute, supports_weakrefs
from .signals import Signal
from .streams import Event, Stream

if _TYPE_CHECKING:
    from . import testing as testing
    from . import tracking as tracking
    from .testing import assert_collected
    from .tracking import (
        HeapGrowth,
        HeapSnapshot,
        Retained,
        Retention,
        RetentionPath,
        Step,
        Tracker,
        TrackerReport,
        heap,
        retained,
        why_alive,
    )

__version__ = "0.1.0"

__all__ = [
    "Box",
    "Bytearray",
    "CallableProxyType",
    "Cleaner",
    "Cleanup",
    "Dict",
    "Ephemeron",
    "EphemeronDictionary",
    "EphemeronStats",
    "Event",
    "HeapGrowth",
    "HeapSnapshot",
    "IdRef",
    "Interner",
    "KeyedRef",
    "List",
    "MemoryPressure",
    "MemoryWatch",
    "ProxyType",
    "ProxyTypes",
    "ReferenceQueue",
    "ReferenceType",
    "Retained",
    "Retention",
    "RetentionPath",
    "Signal",
    "Step",
    "Stream",
    "TrackedRef",
    "Tracker",
    "TrackerReport",
    "WeakCache",
    "WeakCallable",
    "WeakDefaultDictionary",
    "WeakIdKeyDictionary",
    "WeakIdSet",
    "WeakKeyDictionary",
    "WeakKeyValueDictionary",
    "WeakList",
    "WeakMethod",
    "WeakSet",
    "WeakValueDictionary",
    "assert_collected",
    "attribute",
    "cache",
    "cached_method",
    "cached_property",
    "check_memory",
    "collect",
    "ephemeron_stats",
    "finalize",
    "getweakrefcount",
    "getweakrefs",
    "heap",
    "implementation",
    "install",
    "on_memory_pressure",
    "proxy",
    "ref",
    "retained",
    "supports_weakrefs",
    "uninstall",
    "weak",
    "why_alive",
]

# What looks for leaks is imported when it is first asked for: most programs never do.
_LATE = {
    "testing": "",
    "tracking": "",
    "assert_collected": "testing",
    "HeapGrowth": "tracking",
    "HeapSnapshot": "tracking",
    "Retained": "tracking",
    "Retention": "tracking",
    "RetentionPath": "tracking",
    "Step": "tracking",
    "Tracker": "tracking",
    "TrackerReport": "tracking",
    "heap": "tracking",
    "retained": "tracking",
    "why_alive": "tracking",
}


def __getattr__(name: str) -> _Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _import_module(f".{_LATE[name] or name}", __name__)
    value = getattr(module, name) if _LATE[name] else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
