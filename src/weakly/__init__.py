"""Weak references for Python, done properly: a drop-in for `weakref` at near-`dict` speed."""

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
    "Signal",
    "Stream",
    "TrackedRef",
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
    "implementation",
    "install",
    "on_memory_pressure",
    "proxy",
    "ref",
    "supports_weakrefs",
    "uninstall",
    "weak",
]
