"""Mistakes that the type checkers must see: one that they miss is reported as not needed."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from weakly import WeakKeyDictionary, WeakMethod, WeakSet, WeakValueDictionary, finalize


class Key:
    pass


def close(name: str) -> None:
    print(name)


def mistakes(key: Key) -> None:
    table: WeakKeyDictionary[Key, int] = WeakKeyDictionary()
    table[key] = "one"  # type: ignore[assignment]
    table["key"] = 1  # type: ignore[index]
    name: str = table[key]  # type: ignore[assignment]
    table.update({key: "one"})  # type: ignore[arg-type]

    cache: WeakValueDictionary[str, Key] = WeakValueDictionary()
    cache[1] = key  # type: ignore[index]
    found: Key = cache.get(name)  # type: ignore[assignment]
    cache.update(found=1)  # type: ignore[arg-type]

    members: WeakSet[Key] = WeakSet()
    members.add(found.__class__)  # type: ignore[arg-type]
    members.update(["key"])  # type: ignore[list-item]

    finalize(key, close, 1)  # type: ignore[arg-type]
    finalize(key, close)  # type: ignore[call-arg]
    WeakMethod(1)  # type: ignore[type-var]
