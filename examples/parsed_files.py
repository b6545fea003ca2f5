"""Files are parsed once, however many parts of a program need them: `cache`, `cached_property`.

A `Source` stands for a file as it was at one time. Who asks for a path gets the one that is
in use, or a new one if the file has changed since. What was worked out from it hangs on it,
and goes with it: nothing is to be emptied.
"""

import gc
import os
import tempfile
import tomllib
from pathlib import Path

import weakly


class Source:
    def __init__(self, path: Path, changed: int) -> None:
        self.path = path
        self.changed = changed  # of the file, in nanoseconds

    @weakly.cached_property
    def content(self) -> dict[str, dict[str, str]]:
        print("parsing", self.path.name)
        return tomllib.loads(self.path.read_text())


@weakly.cache
def hosts(source: Source) -> list[str]:
    """Held for as long as the source, which the cache does not keep alive."""
    print("looking for hosts in", source.path.name)
    return sorted(section["host"] for section in source.content.values())


sources: weakly.WeakValueDictionary[tuple[Path, int], Source] = weakly.WeakValueDictionary()


def open_source(path: Path) -> Source:
    changed = path.stat().st_mtime_ns
    return sources.get_or_create((path, changed), lambda: Source(path, changed))


with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "servers.toml")
    path.write_text('[web]\nhost = "alpha"\n[mail]\nhost = "beta"\n')

    one, other = open_source(path), open_source(path)
    print("the same source:", one is other)
    print(hosts(one), hosts(other), sorted(other.content))

    path.write_text('[web]\nhost = "gamma"\n')
    os.utime(path, ns=(0, one.changed + 1_000_000_000))
    new = open_source(path)
    print("the same source:", new is one)
    print(hosts(new), "was", hosts(one))
    print(len(sources), "sources,", hosts.cache_info().currsize, "lists of hosts")

    del one, other
    gc.collect()  # PyPy frees objects only here; CPython has done so at `del`
    print(len(sources), "source,", hosts.cache_info().currsize, "list of hosts")
