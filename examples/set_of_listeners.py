"""Listeners that need not sign off: a `WeakSet` forgets those that nobody else uses.

A loop over the set never fails, even if listeners go and come while it runs.
"""

import gc

import weakly


class Listener:
    def __init__(self, name: str) -> None:
        self.name = name

    def hear(self, news: str) -> None:
        print(f"{self.name} hears: {news}")


listeners: weakly.WeakSet[Listener] = weakly.WeakSet()


def tell(news: str) -> None:
    for listener in listeners:
        listener.hear(news)


alice, bob = Listener("Alice"), Listener("Bob")
listeners.add(alice)
listeners.add(bob)
tell("good morning")

del bob
gc.collect()  # PyPy frees objects only here; CPython has done so at `del`
tell("Bob has left")
print(len(listeners), "listener")
