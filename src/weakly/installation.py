"""`install` and `uninstall`: the standard library's `weakref`, answered by weakly.

Nothing is patched but module attributes, and what was there is kept to be put back.
"""

import _weakrefset
import threading
import weakref
from types import ModuleType
from typing import Any

from .containers import WeakKeyDictionary, WeakSet, WeakValueDictionary
from .finalization import finalize
from .references import KeyedRef, WeakMethod

__all__ = ["install", "uninstall"]

_REPLACEMENTS: dict[tuple[ModuleType, str], Any] = {
    (weakref, "WeakKeyDictionary"): WeakKeyDictionary,
    (weakref, "WeakValueDictionary"): WeakValueDictionary,
    (weakref, "WeakSet"): WeakSet,
    (weakref, "WeakMethod"): WeakMethod,
    (weakref, "finalize"): finalize,
    (weakref, "KeyedRef"): KeyedRef,
    (_weakrefset, "WeakSet"): WeakSet,
}

# What stood in place of each replacement; empty while nothing is installed.
_originals: dict[tuple[ModuleType, str], Any] = {}
# Reentrant: a signal handler or a finalizer may call in while its own thread is inside.
_lock = threading.RLock()


def install() -> None:
    """Make the standard library's `weakref` hand out weakly's classes, process-wide.

    From then on `weakref.WeakKeyDictionary`, `WeakValueDictionary`, `WeakSet`, `WeakMethod`,
    `finalize` and `KeyedRef` are weakly's, in `weakref` and in `_weakrefset`; `ref` and
    `proxy` are the same objects anyway. Call it at the top of a program, before anything
    says `from weakref import ...`, because a name once imported stays what it was:

        import weakly
        weakly.install()

        import the_rest_of_the_program

    Objects made earlier stay what they were and go on working. A second call changes
    nothing. `python -m weakly run SCRIPT` does this for a program that you cannot change.
    """
    with _lock:
        if _originals:
            return
        _register_exit_hook(weakref.finalize)
        for (module, name), replacement in _REPLACEMENTS.items():
            _originals[module, name] = getattr(module, name)
            setattr(module, name, replacement)


def uninstall() -> None:
    """Put back, attribute by attribute, the very objects that `install` replaced.

    Objects of weakly's made meanwhile stay what they are. Without an `install` before, it
    does nothing.
    """
    with _lock:
        for (module, name), original in _originals.items():
            setattr(module, name, original)
        _originals.clear()


def original(name: str) -> Any:
    """The standard library's own `weakref.<name>`, whether weakly is installed or not."""
    with _lock:
        return _originals.get((weakref, name)) or getattr(weakref, name)


def _register_exit_hook(stdlib_finalize: Any) -> None:
    """Let the replaced `finalize` do once, now, what its first creation would do.

    Whoever has imported it already goes on using it, and its code notes on the class that
    it finds in `weakref` that its exit hook is registered. Were that ours, each finalizer
    made would register the hook again.
    """
    stdlib_finalize(stdlib_finalize, int).detach()
