"""Mistakes that the type checkers must see: one that they miss is reported as not needed."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from weakly import (
    Cleaner,
    ReferenceQueue,
    WeakCache,
    WeakKeyDictionary,
    WeakMethod,
    WeakSet,
    WeakValueDictionary,
    cache,
    cached_method,
    cached_property,
    finalize,
)


class Key:
    pass


def close(name: str) -> None:
    print(name)


@cache
def square(x: int) -> str:
    return str(x * x)


class Page:
    @cached_method
    def line(self, number: int) -> str:
        return str(number)

    @cached_property
    def length(self) -> int:
        return 5


def mistakes_with_caches(page: Page) -> None:
    square("3")  # type: ignore[arg-type]
    square.cache_discard()  # type: ignore[call-arg]
    number: int = square(3)  # type: ignore[assignment]
    page.line("3")  # type: ignore[arg-type]
    page.line.cache_discard(number, 4)  # type: ignore[call-arg]
    number = page.line(3)  # type: ignore[assignment]
    Page.line(3)  # type: ignore[call-arg, arg-type]
    page.length = "5"  # type: ignore[assignment]
    cache(5)  # type: ignore[call-overload]
    cache(by="id")  # type: ignore[call-overload]
    table: WeakCache[str, int] = WeakCache("5")  # type: ignore[arg-type]
    table[5] = 5  # type: ignore[index]
    table.get_or_create("a", str)  # type: ignore[arg-type]


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

    finalize(key, close, 1)  # type: ignore[call-overload]
    finalize(key, close)  # type: ignore[call-overload]
    finalize(key, close, "name", check="yes")  # type: ignore[call-arg]

    queue: ReferenceQueue[str] = ReferenceQueue()
    queue.track(key, 1)  # type: ignore[call-overload]
    number: int = queue.get()  # type: ignore[assignment]
    with Cleaner() as cleaner:
        cleaner.register(key, close, number)  # type: ignore[arg-type]
        cleaner.register(key, close)  # type: ignore[call-arg]
    WeakMethod(1)  # type: ignore[type-var]
