"""The one place that decides between the C core and the Python tables.

`WEAKLY_PURE=1` forces the Python tables and `WEAKLY_PURE=0` requires the C core; unset
or empty takes the C core where there is one. Everything above imports the tables from
here and never asks which they are.
"""

import os
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "CacheTable",
    "CachedMethod",
    "CachedProperty",
    "EphemeronTable",
    "Finalizer",
    "IdRef",
    "KeyedRef",
    "Memo",
    "ReferenceQueueBase",
    "SignalBase",
    "TrackedRef",
    "WeakAttribute",
    "WeakCallable",
    "WeakIdKeyTable",
    "WeakIdSetTable",
    "WeakKeyTable",
    "WeakKeyValueTable",
    "WeakSetTable",
    "WeakValueTable",
    "collect_ephemerons",
    "collections",
    "ephemeron_counts",
    "finalizers_created",
    "find_chains",
    "frame_variables",
    "heap_sizes",
    "implementation",
    "live_finalizers",
    "own_methods",
    "retained_sizes",
    "running_frames",
    "stop_finalizers",
]

implementation: str
"""`"c"` or `"python"`: which tables this process uses."""


def _use_c_core() -> bool:
    wish = os.environ.get("WEAKLY_PURE", "")
    if wish not in ("", "0", "1"):
        raise ImportError(f"WEAKLY_PURE must be 0, 1 or unset, not {wish!r}")
    if wish == "1":
        return False
    try:
        import_module("._core", __package__)
    except ImportError as error:
        if wish == "0":
            raise ImportError(
                "WEAKLY_PURE=0 requires the C core of weakly, which cannot be imported: "
                "reinstall weakly where a C compiler is found, or unset WEAKLY_PURE"
            ) from error
        if sys.implementation.name == "cpython" and sys.flags.dev_mode:
            warnings.warn(
                f"weakly runs on its Python tables, slower: no C core ({error})",
                RuntimeWarning,
                stacklevel=2,
            )
        return False
    return True


if TYPE_CHECKING or _use_c_core():
    from ._core import (
        CachedMethod,
        CachedProperty,
        CacheTable,
        EphemeronTable,
        Finalizer,
        IdRef,
        KeyedRef,
        Memo,
        ReferenceQueueBase,
        SignalBase,
        TrackedRef,
        WeakAttribute,
        WeakCallable,
        WeakIdKeyTable,
        WeakIdSetTable,
        WeakKeyTable,
        WeakKeyValueTable,
        WeakSetTable,
        WeakValueTable,
        collect_ephemerons,
        collections,
        ephemeron_counts,
        finalizers_created,
        find_chains,
        frame_variables,
        heap_sizes,
        live_finalizers,
        own_methods,
        retained_sizes,
        running_frames,
        stop_finalizers,
    )

    implementation = "c"
else:
    from ._attribute import WeakAttribute
    from ._caches import CachedMethod, CachedProperty, CacheTable, Memo
    from ._heap import (
        find_chains,
        frame_variables,
        heap_sizes,
        retained_sizes,
        running_frames,
    )
    from ._listeners import SignalBase, WeakCallable
    from ._queues import ReferenceQueueBase, TrackedRef
    from ._tables import (
        EphemeronTable,
        Finalizer,
        IdRef,
        KeyedRef,
        WeakIdKeyTable,
        WeakIdSetTable,
        WeakKeyTable,
        WeakKeyValueTable,
        WeakSetTable,
        WeakValueTable,
        collect_ephemerons,
        collections,
        ephemeron_counts,
        finalizers_created,
        live_finalizers,
        own_methods,
        stop_finalizers,
    )

    implementation = "python"
