"""A weak reference reaches its object and does not keep it alive."""

import gc

import weakly


class User:
    def __init__(self, name: str) -> None:
        self.name = name


user = User("Alice")
reference = weakly.ref(user)

found = reference()
assert found is user
print("alive:", found.name)

del user, found
gc.collect()  # PyPy frees objects only here; CPython has done so at `del`
print("gone: ", reference())
