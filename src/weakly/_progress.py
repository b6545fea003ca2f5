"""A line on standard error that says how far something is, if that takes long."""

import os
from contextlib import suppress
from time import monotonic

__all__ = ["Progress", "is_wanted"]


def is_wanted(wish: bool | None) -> bool:
    """Whether to say how far something is: as wished, and by default on a terminal."""
    if wish is not None:
        return wish
    with suppress(OSError):  # it is closed
        return os.isatty(2)
    return False


class Progress:
    """Shows nothing in the first second.

    Writes past `sys.stderr`, which may be anybody's object.
    """

    _patience = 1.0

    def __init__(self, wish: bool | None) -> None:
        self._wanted = is_wanted(wish)
        self._start = monotonic()
        self._next = self._start + self._patience
        self._shown = False

    def seconds(self) -> float:
        """How long it has taken so far."""
        return monotonic() - self._start

    def show(self, text: str) -> None:
        """Say this, if it is time to say something."""
        if self._wanted and monotonic() >= self._next:
            self._next = monotonic() + 0.1
            self._shown = True
            _write(f"\r\x1b[Kweakly: {text[:70]}")

    def clear(self) -> None:
        """Leave the line as it was."""
        if self._shown:
            self._shown = False
            _write("\r\x1b[K")


def _write(text: str) -> None:
    with suppress(OSError):
        os.write(2, text.encode(errors="backslashreplace"))
