"""A pool of open files, to which what its users forget comes back: `Cleaner`.

A `Lease` is what a user holds; nobody has to close it. When it is gone, the cleaner's thread
gives the open file back, for which it takes the pool's lock and writes to the log. From within
a garbage collection it could do neither: the collector may run while this very thread holds
that lock.
"""

import gc
import logging
import sys
import tempfile
import threading
from pathlib import Path
from typing import BinaryIO

import weakly

logging.basicConfig(stream=sys.stdout, format="%(threadName)s: %(message)s", level=logging.INFO)


class Lease:
    """An open file, for as long as somebody holds this."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.neighbour: Lease | None = None

    def read(self) -> str:
        self._file.seek(0)
        return self._file.read().decode()


class Pool:
    """Keeps some files open that nobody uses: each once, and at most `most`."""

    def __init__(self, most: int) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._most = most
        self._idle: dict[Path, BinaryIO] = {}
        self._used = 0
        self._cleaner = weakly.Cleaner(name="pool cleaner")

    def open(self, path: Path) -> Lease:
        with self._changed:
            file = self._idle.pop(path, None)
            self._used += 1
        if file is None:
            logging.info("opening %s", path.name)
            file = path.open("rb")
        lease = Lease(file)
        # Neither the function nor its arguments refer to the lease.
        self._cleaner.register(lease, self._give_back, path, file)
        return lease

    def _give_back(self, path: Path, file: BinaryIO) -> None:
        with self._changed:
            if len(self._idle) < self._most and path not in self._idle:
                logging.info("keeping %s", path.name)
                self._idle[path] = file
            else:
                logging.info("closing %s", path.name)
                file.close()
            self._used -= 1
            self._changed.notify_all()

    def report(self) -> None:
        with self._changed:
            gc.collect()  # as the interpreter may do here, or anywhere, by itself
            print(f"{self._used} in use, {len(self._idle)} idle")

    def wait_until_used_by(self, count: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._used <= count)

    def close(self) -> None:
        """Close all files, also those in use."""
        self._most = 0
        self._cleaner.close()
        for path, file in self._idle.items():
            logging.info("closing %s", path.name)
            file.close()


with tempfile.TemporaryDirectory() as folder:
    one, two = Path(folder, "one.txt"), Path(folder, "two.txt")
    one.write_text("this is one")
    two.write_text("this is two")
    pool = Pool(most=1)

    lease = pool.open(one)
    print(lease.read())
    del lease
    gc.collect()  # PyPy frees objects only here; CPython has done so at `del`
    pool.wait_until_used_by(0)

    lasting = pool.open(one)  # is open still
    print(lasting.read())

    lease = pool.open(two)
    print(lease.read())
    lease.neighbour = lease  # a cycle, which waits for the collector
    del lease
    pool.report()  # the lease goes while this thread holds the lock
    pool.wait_until_used_by(1)
    pool.report()

    pool.close()
