"""A cache that keeps nothing alive, of a WeakValueDictionary, as the type checkers see it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, assert_type

from weakly import KeyedRef, WeakValueDictionary

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Image:
    def __init__(self, name: str) -> None:
        self.name = name


class Cache(Generic[K, V]):
    """One object for each key, for as long as somebody uses it."""

    def __init__(self, make: Callable[[K], V]) -> None:
        self._make = make
        self._made: WeakValueDictionary[K, V] = WeakValueDictionary()

    def __getitem__(self, key: K) -> V:
        found = self._made.get(key)
        if found is None:
            found = self._made.setdefault(key, self._make(key))
        return found


class Defaulting(WeakValueDictionary[str, Image]):
    def __missing__(self, name: str) -> Image:
        image = self[name] = Image(name)
        return image


def main() -> None:
    cache = Cache(Image)
    assert_type(cache, Cache[str, Image])
    logo = cache["logo"]
    assert_type(logo, Image)

    images = WeakValueDictionary({"logo": logo})
    assert_type(images, WeakValueDictionary[str, Image])
    assert_type(WeakValueDictionary([(len("logo"), logo)]), WeakValueDictionary[int, Image])
    assert_type(WeakValueDictionary(logo=logo), WeakValueDictionary[str, Image])

    assert_type(images["logo"], Image)
    assert_type(images.get("icon"), Image | None)
    assert_type(images.get("icon", 0), Image | int)
    assert_type(images.pop("icon", None), Image | None)
    assert_type(list(images), list[str])
    assert_type(list(images.values()), list[Image])
    assert_type(list(images.items()), list[tuple[str, Image]])
    assert_type(list(images.itervaluerefs()), list[KeyedRef[str, Image]])
    assert_type(images.valuerefs()[0].key, str)
    assert_type(images.valuerefs()[0](), Image | None)
    assert_type(images.copy(), WeakValueDictionary[str, Image])
    assert_type(images | {"logo": logo}, WeakValueDictionary[str, Image])
    assert_type({len("logo"): logo} | images, WeakValueDictionary[int | str, Image])
    images.update(icon=logo)
    images |= {"banner": logo}
    assert_type(images, WeakValueDictionary[str, Image])
    assert_type(images.popitem(), tuple[str, Image])
    assert_type(Defaulting()["any"], Image)


if __name__ == "__main__":
    main()
