"""For programs that tests run: operations during which allocations fail.

An allocation fails that has some number, counted from 1, and with it as many in a row as a
`length` says; 0 stands for all that come after it.
"""

from _testcapi import remove_mem_hooks, set_nomemory
from collections.abc import Callable, Iterator
from typing import Any


def fails(operation: Callable[..., object], *arguments: Any, at: int, length: int) -> bool:
    """Whether an operation raises MemoryError when its allocation `at` fails."""
    set_nomemory(at - 1, at - 1 + length if length else 0)  # whose first argument succeeds
    try:
        operation(*arguments)
    except MemoryError:
        return True
    finally:
        remove_mem_hooks()
    return False


def attempts(
    make: Callable[[], Any], operation: Callable[[Any], object], length: int
) -> Iterator[tuple[Any, bool]]:
    """Lets the first allocation of an operation fail, then the second, until it succeeds: yields
    what it was given, newly made each time, and whether it failed."""
    for at in range(1, 400):
        made = make()
        failed = fails(operation, made, at=at, length=length)
        yield made, failed
        del made
        if not failed:
            return
    raise SystemExit("never succeeded")
