"""The weak attribute in Python: what `weakly.attribute` stands on where the C core is missing.

Same name and same contract as in `_core` (see `_core.pyi`).
"""

# What is in store is looked up by a name that no type checker knows.
# pyright: reportUnknownVariableType=false

from types import GenericAlias
from typing import Any, NoReturn
from weakref import ref

__all__ = ["WeakAttribute"]

_load = object.__getattribute__
_store = object.__setattr__
_remove = object.__delattr__

_NOTHING: Any = object()


class WeakAttribute:
    """A descriptor that keeps what is assigned as a weak reference.

    The reference is in the instance, under a name of its own (`_storage`); None in its place
    stands for an attribute that was assigned None.
    """

    __slots__ = ("_fallback", "_name", "_ref_type", "_storage")
    _fallback: Any  # what is read without a live object; _NOTHING to raise
    _name: str | None
    _storage: str
    _ref_type: type[ref[Any]]

    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias:
        """See PEP 585."""
        return GenericAlias(cls, item)

    def __init__(self, default: Any = None, *, required: bool = False) -> None:
        if required and default is not None:
            raise TypeError("attribute() takes a default or required=True, not both")
        self._fallback = _NOTHING if required else default
        self._name = None
        self._storage = ""

    def _bind(self, owner: type, name: str, storage: str, ref_type: type[ref[Any]], /) -> None:
        """Tell the attribute its class, its name, and how and where instances keep references."""
        self._name = name
        self._storage = storage
        self._ref_type = ref_type

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self._seen_from_class(owner)
        try:
            stored: Any = _load(obj, self._storage)
        except AttributeError:
            self._require_bound()
            stored = None
        if isinstance(stored, ref):
            referent: Any = stored()
            if referent is not None:
                return referent
        elif stored is not None:
            raise TypeError(
                f"'{type(obj).__name__}' object has '{type(stored).__name__}' object instead of "
                f"a weak reference in '{self._storage}', the place of its weak attribute "
                f"'{self._name}'"
            )
        if self._fallback is not _NOTHING:
            return self._fallback
        if stored is None:
            raise ReferenceError(
                f"the weak attribute '{self._name}' of '{type(obj).__name__}' object was "
                "assigned nothing"
            )
        raise ReferenceError(
            f"what was assigned to the weak attribute '{self._name}' of "
            f"'{type(obj).__name__}' object is dead"
        )

    def __set__(self, obj: Any, value: Any) -> None:
        self._require_bound()
        # Dataclasses and attrs assign the attribute itself as the default of their fields.
        if value is None or value is self or value is self._fallback:
            stored = None
        else:
            try:
                stored = self._ref_type(value)
            except TypeError:
                if not self._is_default_again(value):
                    self._refuse(value)
                stored = None
        try:
            if isinstance(obj, type):  # whose own __setattr__ must be used
                raise AttributeError
            _store(obj, self._storage, stored)
        except AttributeError:
            raise TypeError(
                f"'{type(obj).__name__}' object has no room for its weak attribute "
                f"'{self._name}': add '{self._storage}' to the __slots__ of the class"
            ) from None

    def __delete__(self, obj: Any) -> None:
        self._require_bound()
        try:
            _remove(obj, self._storage)
        except AttributeError:
            raise AttributeError(
                f"'{type(obj).__name__}' object has no attribute '{self._name}'"
            ) from None

    def _seen_from_class(self, owner: Any) -> Any:
        raise NotImplementedError("what its class shows is for `weakly.attribute` to say")

    def _require_bound(self) -> None:
        if self._name is None:
            raise TypeError(
                "a weak attribute has no name: assign it in the body of a class, or call its "
                "__set_name__(cls, name)"
            )

    def _is_default_again(self, value: Any) -> bool:
        """Whether a value is the default, but copied or out of a pickle."""
        return type(value) is type(self._fallback) and bool(value == self._fallback)

    def _refuse(self, value: Any) -> NoReturn:
        raise TypeError(
            f"cannot create weak reference to '{type(value).__name__}' object: what is assigned "
            f"to the weak attribute '{self._name}' must be of a type that supports weak references"
        ) from None
