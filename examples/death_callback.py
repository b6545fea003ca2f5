"""A reference can call back when its object dies, with itself: the object is gone by then."""

import gc

import weakly


class Connection:
    pass


def closed(reference: weakly.ref[Connection]) -> None:
    open_connections.remove(reference)
    print("a connection closed,", len(open_connections), "left")


first, second = Connection(), Connection()
open_connections = [weakly.ref(first, closed), weakly.ref(second, closed)]
print(len(open_connections), "open")

del first
gc.collect()  # PyPy frees objects only here; CPython has done so at `del`
del second
gc.collect()
