"""A line on standard error that says how far something is, if that takes long."""

import os
from contextlib import suppress
from time import monotonic

__all__ = ["Progress", "is_wanted"]


def is_wanted(wish: bool | None) -> bool:
    """Whether to say how far something is: as wished, and by default on a terminal."""
    return os.isatty(2) if wish is None else wish


_WIDTH = 60  # of what is said


class Progress:
    """Shows nothing in the first second.

    Writes past `sys.stderr`, which may be anybody's object.
    """

    _patience, _pause = 1.0, 0.1  # seconds

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
            self._next = monotonic() + self._pause
            self._shown = True
            _write(f"\rweakly: {text[:_WIDTH]:{_WIDTH}}")

    def clear(self) -> None:
        """Leave the line as it was."""
        if self._shown:
            self._shown = False
            _write(f"\r{'':{len('weakly: ') + _WIDTH}}\r")


def _write(text: str) -> None:
    with suppress(OSError):
        os.write(2, text.encode(errors="backslashreplace"))
