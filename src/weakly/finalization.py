"""Clean-up after objects: `finalize`, and what it does when the interpreter exits."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, TypeVar
from weakref import ref

from ._implementation import Finalizer, finalizers_created, live_finalizers, stop_finalizers

__all__ = ["finalize"]


P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)


class _Info(SimpleNamespace):
    """What the standard library's registry keeps for a finalizer."""

    weakref: ref[Any] | None
    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any] | None
    atexit: bool
    index: int


class _Registry:
    """`finalize._registry`: the live finalizers and their contents, oldest first."""

    def __get__(self, instance: object, owner: object) -> dict[finalize[..., Any], _Info]:
        registry: dict[finalize[..., Any], _Info] = {}
        for index, finalizer in enumerate(live_finalizers()):
            content = finalizer.peek()
            if content is not None and isinstance(finalizer, finalize):
                obj, func, args, kwargs = content
                registry[finalizer] = _Info(
                    weakref=ref(obj),
                    func=func,
                    args=args,
                    kwargs=kwargs or None,
                    atexit=finalizer.atexit,
                    index=index,
                )
        return registry


class finalize(Finalizer, Generic[P, T_co]):
    """Call `func(*args, **kwargs)` once `obj` dies, or earlier when the finalizer is called.

    A finalizer keeps itself, the function and its arguments alive until it has been called
    or detached; they must not refer to `obj`, or it never dies. Those that are still alive
    when the program exits are called then, newest first, unless `atexit` is false.
    Exceptions of a call that a death caused go to `sys.unraisablehook`.

    Raises TypeError if `obj` cannot be weakly referenced. All operations are O(1) and
    thread-safe: the function runs once, however many threads ask.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # the base knows no parameters

        def __init__(
            self, obj: T_co, func: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
        ) -> None: ...
        def detach(
            self,
        ) -> tuple[T_co, Callable[P, Any], tuple[Any, ...], dict[str, Any]] | None: ...
        def peek(
            self,
        ) -> tuple[T_co, Callable[P, Any], tuple[Any, ...], dict[str, Any]] | None: ...

    _shutdown: ClassVar[bool] = False
    _registry: ClassVar[Any] = _Registry()

    @classmethod
    def _select_for_exit(cls) -> list[Finalizer]:
        return [finalizer for finalizer in live_finalizers() if finalizer.atexit]

    @classmethod
    def _exitfunc(cls) -> None:
        """Call what is left, newest first, including what these calls create."""
        collecting = gc.isenabled()
        # A collection could fire a finalizer that is about to be called, out of order.
        gc.disable()
        try:
            created = -1
            pending: list[Finalizer] = []
            while True:
                if created != finalizers_created():
                    created = finalizers_created()
                    pending = cls._select_for_exit()
                if not pending:
                    break
                try:
                    pending.pop()()
                except Exception as error:
                    sys.excepthook(type(error), error, error.__traceback__)
        finally:
            finalize._shutdown = True
            stop_finalizers()
            if collecting:
                gc.enable()
