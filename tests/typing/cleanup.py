"""Clean-up after objects, of `finalize`, as the type checkers see it."""

from __future__ import annotations

from typing import Any, assert_type

from weakly import finalize

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


if __name__ == "__main__":
    main()
