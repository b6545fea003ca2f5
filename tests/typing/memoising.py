"""Functions, methods and properties that remember their results, as the type checkers see them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, assert_type

import weakly
from weakly import WeakCache, cache, cached_method, cached_property


class Document:
    def __init__(self, text: str) -> None:
        self.text = text


@cache
def words(document: Document, *, least: int = 1) -> list[str]:
    return [word for word in document.text.split() if len(word) >= least]


@weakly.cache(maxsize=10, ttl=60, typed=True, by="identity")
def square(x: int) -> str:
    return str(x * x)


@cache
async def fetch(address: str) -> bytes:
    return address.encode()


class Page:
    __slots__ = ("__weakref__", "name")

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_method
    def line(self, number: int, *, upper: bool = False) -> str:
        return f"{self.name} {number} {upper}"

    @cached_method(maxsize=5)
    def part(self, number: int) -> bytes:
        return bytes(number)

    @cached_method
    async def load(self, part: int) -> bytes:
        return bytes(part)

    @classmethod
    @cached_method
    def named(cls, name: str) -> Page:
        return cls(name)

    @staticmethod
    @cache
    def size(name: str) -> int:
        return len(name)

    @cached_property
    def length(self) -> int:
        return len(self.name)

    @cached_property
    async def content(self) -> bytes:
        return self.name.encode()

    @cache
    def of_all(self, number: int) -> float:
        return number / 2


class Row:
    def __init__(self, key: int) -> None:
        self.key = key


def evicted(key: int, row: Row | None, cause: str) -> None:
    print(key, row, cause)


async def use(page: Page) -> None:
    assert_type(await fetch("here"), bytes)
    task = asyncio.create_task(fetch("there"))
    assert_type(await task, bytes)
    assert_type(await page.load(3), bytes)
    assert_type(await asyncio.gather(page.load(1), page.load(2)), tuple[bytes, bytes])
    assert_type(await page.content, bytes)
    page.content = b"stored"
    maker: Callable[[int], Coroutine[Any, Any, bytes]] = page.load
    await maker(1)


def main() -> None:
    document = Document("one two")
    assert_type(words(document, least=3), list[str])
    assert_type(words.cache_discard(document, least=3), bool)
    assert_type(words.cache_info().hits, int)
    assert_type(words.cache_parameters()["maxsize"], int | None)
    words.cache_clear()
    assert_type(words.__wrapped__(document), list[str])
    assert_type(square(3), str)

    page = Page("page")
    assert_type(page.line(3, upper=True), str)
    assert_type(page.line.cache_discard(3, upper=True), bool)
    assert_type(page.line.cache_info().misses, int)
    assert_type(Page.line(page, 3), str)
    assert_type(Page.line.cache_discard(page, 3), bool)
    assert_type(Page.line.cache_info().currsize, int)
    assert_type(page.part(3), bytes)
    assert_type(Page.named("page"), Page)
    assert_type(Page.named.cache_discard(Page, "page"), bool)
    assert_type(page.named("page"), Page)
    assert_type(Page.size("page"), int)
    assert_type(page.of_all(3), float)
    lines: Callable[[int], str] = page.line
    lines(4)

    assert_type(page.length, int)
    page.length = 5
    del page.length
    assert_type(Page.length.cache_discard(page), bool)
    assert_type(Page.length.cache_info().currsize, int)

    rows: WeakCache[int, Row] = WeakCache(100, ttl=60, on_evict=evicted)
    rows[1] = Row(1)
    rows.store(2, Row(2), ttl=5, weight=3)
    assert_type(rows[1], Row)
    assert_type(rows.get(3), Row | None)
    assert_type(rows.get_or_create(4, lambda: Row(4), weight=2), Row)
    assert_type(rows.setdefault(5, Row(5)), Row)
    assert_type(rows.pop(5, None), Row | None)
    assert_type(rows.popitem(), tuple[int, Row])
    assert_type(list(rows), list[int])
    assert_type(list(rows.values()), list[Row])
    assert_type(list(rows.items()), list[tuple[int, Row]])
    assert_type(rows.expire(), int)
    assert_type(rows.shrink(rows.window_weight // 2), int)
    assert_type(rows.cache_discard(1), bool)
    assert_type(rows.cache_info().maxsize, int | None)
    texts: WeakCache[str, str] = WeakCache(1000, weigh=len)
    texts.update(one="1")
    asyncio.run(use(page))


if __name__ == "__main__":
    main()
