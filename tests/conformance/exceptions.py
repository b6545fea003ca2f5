"""The tests of CPython that cannot apply to any replacement of `weakref`, with the reasons.

An entry belongs here only if the test asks for something other than behaviour that a program
can rely on. A listed test that passes is reported as stale and fails the run.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Exempt:
    """One test that is expected to fail, for the implementations named."""

    test: str
    reason: str
    implementations: tuple[str, ...] = ("c", "python")


EXEMPT = [
    Exempt(
        "test.test_weakref.ModuleTestCase.test_names",
        "It checks that each name's __module__ is 'weakref', the module being replaced.",
    ),
    Exempt(
        "test.test_weakref.MappingTestCase.test_weak_keyed_cascading_deletes",
        "It counts the calls of a user's __eq__ for a key identical to the stored one. A table "
        "that compares identity first, as dict does, makes none.",
        implementations=("c",),
    ),
]
