"""A cache that never keeps anything alive: `WeakValueDictionary`.

Whoever asks for a user gets the one that is in use, and the last to let go of it frees it.
"""

import gc

import weakly


class User:
    def __init__(self, name: str) -> None:
        self.name = name
        print("loading", name)


cache: weakly.WeakValueDictionary[str, User] = weakly.WeakValueDictionary()


def load(name: str) -> User:
    user = cache.get(name)
    if user is None:
        user = cache[name] = User(name)
    return user


alice = load("Alice")
again = load("Alice")
print("the same user:", alice is again)
print("in the cache: ", list(cache))

del alice, again
gc.collect()  # PyPy frees objects only here; CPython has done so at `del`
print("in the cache: ", list(cache))
print(cache.get("Alice"))

alice = load("Alice")
