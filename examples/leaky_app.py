"""A bookshop's server with five leaks, each of a kind that every large program has had.

    python -m weakly leaks --watch "leaky_app.*" --report leaks.html examples/leaky_app.py

names all five, and what holds them. What an object needs is dropped, the program is right, and
yet none of these is ever freed:

- an `Invoice`, which a method's cache keeps as the method's `self`;
- a `Display`, which listens to the prices and is closed without saying so;
- an `Order`, which the function that would cancel it remembers;
- a `Catalogue`, whose database holds one of its methods, in C, where the collector cannot look;
- a `Request`, which its thread keeps until the next one comes, if one does.
"""

# ruff: noqa: B019 - a cached method is what this shows

import functools
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from queue import Queue

BOOKS = {"Emma": 9, "Middlemarch": 14, "Villette": 11}


class Prices:
    """What books cost, and who wants to hear of it."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[str, int], None]] = []

    def change(self, title: str, price: int) -> None:
        for listener in self.listeners:
            listener(title, price)


prices = Prices()  # of these there is one, on purpose
undo: list[Callable[[], None]] = []


class Invoice:
    def __init__(self, titles: list[str]) -> None:
        self.titles = titles

    @functools.lru_cache(maxsize=10_000)
    def total(self) -> int:
        return sum(BOOKS[title] for title in self.titles)


class Display:
    def __init__(self) -> None:
        self.shown: dict[str, int] = dict(BOOKS)
        prices.listeners.append(self.show)

    def show(self, title: str, price: int) -> None:
        self.shown[title] = price


class Order:
    def __init__(self, title: str) -> None:
        self.title = title
        self.cancelled = False


def order(title: str) -> None:
    placed = Order(title)

    def cancel() -> None:
        placed.cancelled = True

    undo.append(cancel)


class Catalogue:
    """The books in a database, which finds them however they are spelt."""

    def __init__(self) -> None:
        self.database = sqlite3.connect(":memory:", check_same_thread=False)
        self.database.create_function("folded", 1, self.folded)
        self.database.execute("CREATE TABLE books (title TEXT)")
        self.database.executemany("INSERT INTO books VALUES (?)", [(title,) for title in BOOKS])

    def folded(self, title: str) -> str:
        return title.casefold()

    def find(self, text: str) -> str:
        query = "SELECT title FROM books WHERE folded(title) = ?"
        found: str = self.database.execute(query, [text.casefold()]).fetchone()[0]
        return found


class Request:
    def __init__(self, text: str) -> None:
        self.text = text
        self.page = bytearray(10_000)


current = threading.local()  # so that whatever logs can say for which request


def serve(request: Request) -> None:
    current.request = request
    title = Catalogue().find(request.text)
    Invoice([title, "Emma"]).total()
    order(title)
    Display()


def work(requests: "Queue[Request]") -> None:
    while True:
        serve(requests.get())
        requests.task_done()


def main(count: int = 60, workers: int = 3) -> None:
    requests: Queue[Request] = Queue()
    for number in range(workers):
        threading.Thread(target=work, args=[requests], name=f"worker {number}", daemon=True).start()
    for number in range(count):
        requests.put(Request(["EMMA", "middlemarch", "Villette"][number % 3]))
        time.sleep(0.005)
    requests.join()
    prices.change("Emma", 10)
    print(f"{count} requests served, {len(prices.listeners)} displays hear of a new price")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
