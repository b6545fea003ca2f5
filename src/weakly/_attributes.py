"""The attributes that instances of a user's subclass have, for copies and pickles of containers."""

# What __getstate__() gives has no known type.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from typing import Any

__all__ = ["set_attributes"]


def set_attributes(obj: Any, state: Any) -> None:
    """Set what `obj.__getstate__()` gave, for this or another object, as `pickle` does."""
    if state is None:
        return
    if hasattr(obj, "__setstate__"):
        obj.__setstate__(state)
        return
    attributes: dict[str, Any] | None
    slots: dict[str, Any] | None
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    if attributes:
        obj.__dict__.update(attributes)
    for name, value in (slots or {}).items():
        setattr(obj, name, value)
