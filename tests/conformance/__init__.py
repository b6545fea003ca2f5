"""CPython's own tests of `weakref`, run against weakly: `python -m tests.conformance`.

Nothing of CPython is copied here: the tests run are those the running interpreter ships.
`__main__` starts one process for each implementation, `worker` is what runs in it, and
`exceptions` lists the few tests that cannot apply to any replacement, each with its reason.
"""
