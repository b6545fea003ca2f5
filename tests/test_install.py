"""`install` and `uninstall`: what they replace, restore and leave alone."""

from __future__ import annotations

import _weakrefset
import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from programs import output, python
from support import PYPY

import weakly
from weakly.installation import original

NAMES = (
    "WeakKeyDictionary",
    "WeakValueDictionary",
    "WeakSet",
    "WeakMethod",
    "finalize",
    "KeyedRef",
)


class Thing:
    def method(self) -> str:
        return "called"


@pytest.fixture(autouse=True)
def stdlib() -> Iterator[dict[str, object]]:
    """The module's content before the test; after it, it must be the same again."""
    before = dict(vars(weakref))
    before_set = _weakrefset.WeakSet
    yield before
    weakly.uninstall()
    assert dict(vars(weakref)) == before
    assert _weakrefset.WeakSet is before_set


def test_install_replaces_every_class_of_ours():
    weakly.install()
    for name in NAMES:
        assert getattr(weakref, name) is getattr(weakly, name)
    assert _weakrefset.WeakSet is weakly.WeakSet


def test_install_changes_nothing_else(stdlib):
    weakly.install()
    changed = {name for name, value in vars(weakref).items() if value is not stdlib[name]}
    assert changed == set(NAMES)
    assert vars(weakref).keys() == stdlib.keys()


def test_all_public_names_of_weakref_are_ours_or_the_interpreter_s():
    weakly.install()
    for name in weakref.__all__:
        assert getattr(weakref, name) is getattr(weakly, name)


def test_second_install_changes_nothing(stdlib):
    weakly.install()
    installed = dict(vars(weakref))
    weakly.install()
    assert dict(vars(weakref)) == installed
    weakly.uninstall()
    assert all(getattr(weakref, name) is stdlib[name] for name in NAMES)


def test_uninstall_restores_the_very_objects(stdlib):
    weakly.install()
    weakly.uninstall()
    assert all(value is stdlib[name] for name, value in vars(weakref).items())
    assert _weakrefset.WeakSet is stdlib["WeakSet"]


def test_uninstall_restores_what_somebody_else_had_put_there(monkeypatch):
    theirs = type("WeakSet", (), {})
    monkeypatch.setattr(weakref, "WeakSet", theirs)
    weakly.install()
    weakly.uninstall()
    assert weakref.WeakSet is theirs
    assert _weakrefset.WeakSet is not theirs


def test_uninstall_alone_does_nothing(stdlib):
    weakly.uninstall()
    assert dict(vars(weakref)) == stdlib


def test_install_and_uninstall_can_be_repeated(stdlib):
    for _ in range(3):
        weakly.install()
        assert weakref.WeakSet is weakly.WeakSet
        weakly.uninstall()
        assert weakref.WeakSet is stdlib["WeakSet"]


@pytest.mark.parametrize("name", NAMES)
def test_original_is_the_standard_library_s_always(stdlib, name):
    assert original(name) is stdlib[name]
    weakly.install()
    assert original(name) is stdlib[name]


def test_later_imports_get_ours():
    weakly.install()
    namespace: dict[str, object] = {}
    exec("from weakref import *\nfrom _weakrefset import WeakSet as inner", namespace)
    assert namespace["WeakValueDictionary"] is weakly.WeakValueDictionary
    assert namespace["inner"] is weakly.WeakSet


def test_containers_made_before_go_on_working(stdlib):
    things = [Thing() for _ in range(3)]
    by_value = weakref.WeakValueDictionary({0: things[0]})
    by_key = weakref.WeakKeyDictionary({things[0]: 0})
    members = weakref.WeakSet(things[:1])
    weakly.install()
    by_value[1] = things[1]
    by_value.setdefault(2, things[2])
    by_key[things[1]] = 1
    members.update(things)
    assert type(by_value) is stdlib["WeakValueDictionary"]
    assert dict(by_value) == dict(enumerate(things))
    assert dict(by_value.copy()) == dict(by_value)
    assert dict(by_key.copy()) == dict(by_key)
    del things[1:]
    gc.collect()
    assert (len(by_value), len(by_key), len(members)) == (1, 1, 1)


def test_weak_methods_made_before_stay_equal():
    thing = Thing()
    one, other = weakref.WeakMethod(thing.method), weakref.WeakMethod(thing.method)
    weakly.install()
    assert one == other


def test_finalizers_of_a_class_imported_before_work_and_leave_ours_alone():
    program = """
import atexit, gc
from weakref import finalize
import weakly

class Thing: pass
weakly.install()
hooks = getattr(atexit, "_ncallbacks", lambda: 0)  # CPython's
before = hooks()
things = [Thing() for _ in range(3)]
for number, thing in enumerate(things):
    finalize(thing, print, number)
assert hooks() == before
del things[0]
gc.collect()
weakly.finalize(things[0], print, "ours")
del thing
print("end")
"""
    lines = output(python("-c", program)).splitlines()
    assert lines[:2] == ["0", "end"]
    assert sorted(lines[2:]) == ["1", "2", "ours"]


def test_objects_of_ours_outlive_uninstall():
    weakly.install()
    thing = Thing()
    table = weakref.WeakValueDictionary({"thing": thing})
    weakly.uninstall()
    assert table["thing"] is thing
    del thing
    gc.collect()
    assert len(table) == 0


def test_threads_agree(stdlib):
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for _ in range(100 if not PYPY else 20):
            weakly.install()
            weakly.uninstall()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(vars(weakref)) == stdlib
