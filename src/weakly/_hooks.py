"""Hooks in `gc.callbacks`, found by identity: those of others may equal everything, or nothing."""

import gc
from collections.abc import Callable

__all__ = ["Hook", "ensure", "remove"]

Hook = Callable[[str, dict[str, int]], object]


def ensure(hook: Hook) -> bool:
    """Puts a hook where it belongs unless it is there; returns whether it was missing.

    Programs and tests clear that list, so this is called again whenever the hook is needed.
    """
    for each in gc.callbacks:  # few: a loop is faster here than what is written in C
        if each is hook:
            return False
    gc.callbacks.append(hook)
    return True


def remove(hook: Hook) -> None:
    for index, each in enumerate(gc.callbacks):
        if each is hook:
            del gc.callbacks[index]
            return
