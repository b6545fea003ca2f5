"""How Python code hands an exception that has nowhere to go to `sys.unraisablehook`."""

import sys
from types import SimpleNamespace
from typing import Any

__all__ = ["report"]


def report(error: BaseException, source: object) -> None:
    """Reports an exception that was raised by `source`, as the interpreter does."""
    import traceback  # takes long, and is hardly ever needed

    # The interpreter's own hook takes nothing that is made in Python: do what it does.
    if sys.unraisablehook is not sys.__unraisablehook__:
        unraisable: Any = SimpleNamespace(
            exc_type=type(error),
            exc_value=error,
            exc_traceback=error.__traceback__,
            err_msg=None,
            object=source,
        )
        try:
            sys.unraisablehook(unraisable)
        except Exception:
            traceback.print_exc()
        else:
            return
    print(f"Exception ignored in: {source!r}", file=sys.stderr)
    traceback.print_exception(error)
