"""Signals and their listeners, as the type checkers see them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, assert_type

from weakly import Event, Signal, Stream


class Player:
    moved = Signal[int, int]()

    @Signal
    @staticmethod
    def said(text: str, *, loud: bool = False) -> None:
        """The player says something."""


class Board:
    def __init__(self) -> None:
        self.moves: list[tuple[int, int]] = []

    def move(self, x: int, y: int) -> None:
        self.moves.append((x, y))


@Signal
def stopped(reason: str, code: int = 0) -> None:
    """The program stops."""


anything = Signal(name="anything", on_error="report")


def count(x: int, y: int) -> int:
    return x + y


@stopped.connect
def note(reason: str, code: int = 0) -> None:
    print(reason, code)


@stopped.connect(once=True, priority=5)
def first(reason: str, code: int = 0) -> None:
    print(reason, code)


async def listen(stream: Stream) -> None:
    async for event in stream:
        assert_type(event, Event)
        x, y = event
        assert_type(x, Any)
        assert_type(event.kwargs, dict[str, Any])
        print(x, y, event.sender)


async def run(player: Player, board: Board) -> None:
    with ThreadPoolExecutor(1) as executor:
        player.moved.on_thread(executor).connect(board.move)
        player.moved.on_loop(asyncio.get_running_loop()).connect(count, once=True)
        stream = player.moved.stream(10, overflow="drop_newest")
        assert_type(stream, Stream)
        assert_type(await player.moved.emit_async(1, 2), list[Any])
        stream.close()
        await listen(stream)
        assert_type(stream.dropped, int)


def main() -> None:
    player, board = Player(), Board()
    assert_type(Player.moved, Signal[int, int])
    assert_type(player.moved, Signal[int, int])

    player.moved.connect(board.move)
    player.moved.connect(count, weak=True, sender=player)
    player.moved.emit(1, 2)
    player.moved.emit_from(player, 3, 4)
    assert_type(player.moved.collect(5, 6), list[Any])
    assert_type(player.moved.has_listeners, bool)
    assert_type(player.moved.is_connected(count), bool)
    assert_type(player.moved.disconnect(count, sender=player), bool)
    with player.moved.blocked(), player.moved.muted(board.move):
        player.moved.emit(7, 8)

    player.said.emit("hello")
    player.said.emit("hello", loud=True)
    note("called as ever", 5)
    stopped.emit("done")
    stopped.emit("failed", code=1)
    assert_type(stopped.name, str | None)

    anything.connect(note)
    anything.connect(first)
    anything.emit("text", 5)
    anything.disconnect_all()

    asyncio.run(run(player, board))
    assert board.moves == [(1, 2), (3, 4), (5, 6), (1, 2)]


def mistakes(player: Player, board: Board) -> None:
    player.moved.emit("1", 2)  # type: ignore[arg-type]
    player.moved.emit(1)  # type: ignore[call-arg]
    player.moved.emit(1, 2, 3)  # type: ignore[call-arg]
    player.said.emit("hello", quiet=True)  # type: ignore[call-arg]
    stopped.emit(5)  # type: ignore[arg-type]
    player.moved.connect(note)  # type: ignore[arg-type]
    stopped.connect(board.move)  # type: ignore[arg-type]
    player.moved.connect(count, often=True)  # type: ignore[call-overload]
    player.moved.stream(overflow="wait")  # type: ignore[arg-type]
    Signal(on_error="ignore")  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
