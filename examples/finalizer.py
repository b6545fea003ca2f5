"""`finalize` cleans up once: when the object dies, on demand, or when the program exits."""

import gc

import weakly


class Workspace:
    """Owns something outside Python that must be given back."""

    def __init__(self, name: str) -> None:
        # The function and its arguments must not refer to the workspace: it would never die.
        self.close = weakly.finalize(self, print, "cleaning up after", name)


forgotten = Workspace("the forgotten one")
closed = Workspace("the closed one")
lasting = Workspace("the lasting one")

del forgotten
gc.collect()  # PyPy frees objects only here; CPython has done so at `del`

closed.close()
closed.close()  # does nothing more
print("still open:", closed.close.alive)

print("the program ends")
