"""Records the traces in this folder: python -m benchmarks.traces.record

Two real programs, at work on the standard library's sources (those here: of CPython 3.11):

- names.xz: Python's tokenizer. Each identifier that it reads, in order: what an interner or a
  symbol table is asked for.
- pages.xz: SQLite. A table of these names with an index, and for each function defined in the
  first modules the query of an editor: where are the names that stand in it used? Each page
  of the file that SQLite reads, its own cache made as small as it will be. This needs `apsw`,
  with which files can be watched.

A trace is saved as the numbers of its keys, in the order in which they first come: 16 bits
each, little-endian, in an .xz file.
"""

import keyword
import lzma
import random
import sys
import sysconfig
import tempfile
import tokenize
from array import array
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
REQUESTS = 120_000
PACKAGES = (".", "asyncio", "email", "json")
PAGE = 4096


def names() -> Iterator[tuple[str, int, str]]:
    """Each name in the sources: its module, its line and itself."""
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(path for package in PACKAGES for path in (library / package).glob("*.py")):
        module = path.relative_to(library).as_posix()
        with tokenize.open(path) as lines:
            for token in tokenize.generate_tokens(lines.readline):
                if token.type == tokenize.NAME and not keyword.iskeyword(token.string):
                    yield module, token.start[0], token.string


def pages() -> list[int]:
    """The pages that SQLite reads, in order, while it answers."""
    import apsw

    read: list[int] = []

    class File(apsw.VFSFile):
        def xRead(self, amount: int, offset: int) -> bytes:
            if amount == PAGE:
                read.append(offset // PAGE)
            return bytes(super().xRead(amount, offset))

    class Files(apsw.VFS):
        def xOpen(self, name: object, flags: list[int]) -> File:
            return File("", name, flags)

    files = Files("watched", "")
    every = list(names())
    with tempfile.TemporaryDirectory() as folder:
        database = apsw.Connection(f"{folder}/names", vfs="watched")
        database.execute(f"PRAGMA page_size = {PAGE}")
        with database:
            database.execute("CREATE TABLE use (module TEXT, line INT, name TEXT)")
            database.executemany("INSERT INTO use VALUES (?, ?, ?)", every)
            database.execute("CREATE INDEX by_name ON use (name, module)")
        database.close()
        database = apsw.Connection(f"{folder}/names", vfs="watched")
        database.execute("PRAGMA cache_size = 1")
        read.clear()
        for name in questions(every):
            for _ in database.execute("SELECT line FROM use WHERE name = ? LIMIT 20", (name,)):
                pass
            if len(read) >= REQUESTS:
                break
        database.close()
    del files
    return read


def questions(every: list[tuple[str, int, str]]) -> Iterator[str]:
    """The names that somebody looks up who reads a function here, a function there."""
    rng = random.Random(1)
    while True:
        start = rng.randrange(len(every))
        for _, _, name in every[start : start + rng.randrange(20, 200)]:
            yield name


def save(name: str, keys: Iterable[Hashable]) -> None:
    numbers: dict[Hashable, int] = {}
    trace = array("H", [numbers.setdefault(key, len(numbers)) for key in keys][:REQUESTS])
    if sys.byteorder == "big":
        trace.byteswap()
    (FOLDER / f"{name}.xz").write_bytes(lzma.compress(trace.tobytes(), preset=9))
    print(f"{name}: {len(trace):,} requests for {len(set(trace)):,} keys")


if __name__ == "__main__":
    save("names", (name for _, _, name in names()))
    save("pages", pages())
