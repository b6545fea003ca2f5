"""Clean-up after objects, of `finalize`, as the type checkers see it."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any, assert_type
from weakref import ref

from weakly import Cleaner, Cleanup, ReferenceQueue, TrackedRef, finalize

closed: list[str] = []


class Connection:
    def __init__(self, name: str) -> None:
        self.close = finalize(self, close, name, quiet=True)
        self.close.atexit = False

    @property
    def closed(self) -> bool:
        return not self.close.alive


def close(name: str, *, quiet: bool = False) -> None:
    if not quiet:
        print(f"closing {name}")
    closed.append(name)


def main() -> None:
    connection = Connection("one")
    assert_type(connection.closed, bool)
    assert_type(connection.close.atexit, bool)
    content = connection.close.peek()
    assert content is not None
    target, function, arguments, keywords = content
    assert_type(target, Connection)
    function(*arguments, **keywords)
    assert_type(arguments, tuple[Any, ...])
    assert_type(keywords, dict[str, Any])
    connection.close()
    assert connection.close.detach() is None
    assert closed == ["one", "one"]


def with_options() -> None:
    connection = Connection("two")
    with ThreadPoolExecutor(1) as executor:
        finalizer = finalize(connection, close, "two", executor=executor, in_child=True)
        assert_type(finalizer.in_child, bool)
        finalizer.in_child = False
        finalizer.detach()
    finalize(connection, close, "two", quiet=True, check=True).detach()
    loop = asyncio.new_event_loop()
    finalize(connection, close, "two", loop=loop).detach()
    loop.close()


def with_a_queue() -> None:
    queue: ReferenceQueue[str] = ReferenceQueue()
    connection = Connection("three")
    tracked = queue.track(connection, "three")
    assert_type(tracked, TrackedRef[Connection])
    assert_type(tracked(), Connection | None)
    reference: ref[Connection] = tracked
    assert reference() is connection
    assert_type(queue.poll(), str | None)
    assert_type(queue.poll(0), str | int)
    assert_type(queue.drain(max=3), list[str])
    assert_type(queue.tracked, int)
    assert_type(len(queue), int)
    assert_type(tracked.cancel(), bool)
    queue.track(connection, "gone")
    connection.close()
    del connection, reference
    gc.collect()  # PyPy frees objects only here

    async def consume() -> str:
        async for token in queue:
            assert_type(token, str)
            return token
        raise AssertionError("it never ends")

    assert_type(asyncio.run(consume()), str)
    queue.track(Connection("four"), "four")
    gc.collect()
    assert_type(queue.get(timeout=1.0), str)


def with_a_cleaner() -> None:
    connection = Connection("five")
    with Cleaner(name="mine", in_child=True) as cleaner:
        assert_type(cleaner, Cleaner)
        cleanup = cleaner.register(connection, close, "five", quiet=True)
        assert_type(cleanup, Cleanup)
        assert_type(cleanup.alive, bool)
        assert_type(cleanup.cancel(), bool)
        assert_type(cleaner.run_pending(max=1), int)
    cleaner.close(cancel=True)


if __name__ == "__main__":
    main()
    with_options()
    with_a_queue()
    with_a_cleaner()
