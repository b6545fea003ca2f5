"""Weak references for Python, done properly: a drop-in for `weakref` at near-`dict` speed."""

from ._implementation import implementation
from .containers import WeakKeyDictionary, WeakSet, WeakValueDictionary
from .finalization import finalize
from .installation import install, uninstall
from .references import (
    CallableProxyType,
    KeyedRef,
    ProxyType,
    ProxyTypes,
    ReferenceType,
    WeakMethod,
    getweakrefcount,
    getweakrefs,
    proxy,
    ref,
)

__version__ = "0.1.0"

__all__ = [
    "CallableProxyType",
    "KeyedRef",
    "ProxyType",
    "ProxyTypes",
    "ReferenceType",
    "WeakKeyDictionary",
    "WeakMethod",
    "WeakSet",
    "WeakValueDictionary",
    "finalize",
    "getweakrefcount",
    "getweakrefs",
    "implementation",
    "install",
    "proxy",
    "ref",
    "uninstall",
]
