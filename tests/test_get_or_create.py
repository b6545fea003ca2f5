"""get_or_create() of every dictionary: one call of a factory for each key, however many ask."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from support import (
    KINDS,
    PYPY,
    TIMEOUT,
    EqualMember,
    Kind,
    Member,
    Unhashable,
    check_runs,
    gc_collect_harder,
    kinds,
    let_die,
    members,
    run_all,
    wait_until,
)

from weakly import WeakDefaultDictionary, WeakIdKeyDictionary, WeakKeyDictionary, _flights

MAPPINGS = [kind for kind in KINDS if kind.shape != "set"]
mappings = kinds(MAPPINGS)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Any:
    yield
    assert _flights._flights == {}
    assert _flights._waiting == {}


class Scene:
    """A dictionary with a key that is not there, and a value to make for it."""

    def __init__(self, kind: Kind) -> None:
        self.table = kind.cls()
        self.key: Any = EqualMember("key") if kind.shape == "key" else "key"
        self.value = Member("value")

    def ask(self, factory: Callable[[], Any] | None = None) -> Any:
        return self.table.get_or_create(self.key, factory or (lambda: self.value))


def waiting() -> int:
    return len(_flights._waiting)


# --- one thread


@mappings
def test_creates_stores_and_returns(kind: Kind) -> None:
    scene = Scene(kind)
    calls = []

    def factory() -> Any:
        calls.append(1)
        assert scene.key not in scene.table
        return scene.value

    assert scene.ask(factory) is scene.value
    assert scene.table[scene.key] is scene.value
    assert scene.ask(factory) is scene.value
    assert len(calls) == len(scene.table) == 1
    scene.table._check()


@mappings
def test_a_key_that_is_there_asks_nobody(kind: Kind) -> None:
    scene = Scene(kind)
    scene.table[scene.key] = scene.value
    assert scene.table.get_or_create(scene.key, None) is scene.value


@pytest.mark.parametrize("value", [None, 0, [], False])
def test_values_that_are_not_true_are_values(value: object) -> None:
    key = Member("key")
    table = WeakKeyDictionary({key: value})
    assert table.get_or_create(key, lambda: "other") is value
    other = Member("other")
    assert table.get_or_create(other, lambda: value) is value
    assert other in table


@mappings
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, KeyboardInterrupt, GeneratorExit])
def test_an_exception_of_the_factory(kind: Kind, error: type[BaseException]) -> None:
    scene = Scene(kind)

    def fails() -> Any:
        raise error("from the factory")

    with pytest.raises(error, match="from the factory"):
        scene.ask(fails)
    assert len(scene.table) == 0
    assert scene.ask() is scene.value


def test_keys_that_cannot_be_here() -> None:
    table: Any = WeakKeyDictionary()
    for wrong in (5, "text", Unhashable()):
        with pytest.raises(TypeError):
            table.get_or_create(wrong, lambda: pytest.fail("the factory was called"))
    assert WeakIdKeyDictionary().get_or_create(Unhashable(), lambda: 5) == 5


@kinds(kind for kind in MAPPINGS if kind.weak_values)
def test_a_value_that_cannot_be_weakly_referenced(kind: Kind) -> None:
    scene = Scene(kind)
    with pytest.raises(TypeError, match="cannot create weak reference to 'int' object"):
        scene.ask(lambda: 5)
    assert len(scene.table) == 0
    assert kind.cls.lenient().get_or_create(scene.key, lambda: 5) == 5


@mappings
def test_a_value_stored_by_the_factory_itself_wins(kind: Kind) -> None:
    scene = Scene(kind)
    stored = Member("stored")

    def factory() -> Any:
        scene.table[scene.key] = stored
        return scene.value

    assert scene.ask(factory) is stored
    assert scene.table[scene.key] is stored


@mappings
def test_a_factory_that_asks_for_the_same_key(kind: Kind) -> None:
    scene = Scene(kind)
    with pytest.raises(RuntimeError, match="asks for the very key"):
        scene.ask(lambda: scene.ask())
    assert len(scene.table) == 0
    # It may see that itself, and make the value nevertheless.

    def careful() -> Any:
        with pytest.raises(RuntimeError):
            scene.ask()
        return scene.value

    assert scene.ask(careful) is scene.value


@mappings
def test_a_factory_that_asks_for_another_key_or_in_another_dictionary(kind: Kind) -> None:
    scene, other = Scene(kind), Scene(kind)
    key = Member(2) if kind.shape == "key" else 2
    value = Member("for another")

    def factory() -> Any:
        assert scene.table.get_or_create(key, lambda: value) is value
        assert other.ask() is other.value
        return scene.value

    assert scene.ask(factory) is scene.value
    assert len(scene.table) == 2


def test_an_equal_key_is_the_same_and_with_identity_it_is_not() -> None:
    def ask(table: Any) -> Any:
        keys.append(EqualMember("key"))
        depth = len(keys)
        return table.get_or_create(keys[-1], lambda: ask(table) if depth < 3 else depth)

    keys: list[Any] = []
    with pytest.raises(RuntimeError):
        ask(WeakKeyDictionary())
    keys = []
    table: Any = WeakIdKeyDictionary()
    assert ask(table) == 3
    assert list(table.values()) == [3, 3, 3]


def test_default_factory_is_another_thing() -> None:
    key = Member("key")
    table: Any = WeakDefaultDictionary(list)
    assert table.get_or_create(key, lambda: "made") == "made" == table[key]


def test_a_subclass_is_asked_by_its_own_methods() -> None:
    class ByLabel(WeakKeyDictionary[Any, Any]):
        """Whose keys stand for others."""

        known: ClassVar[dict[str, Member]] = {label: Member(label) for label in "ab"}

        def get(self, key: Any, default: Any = None) -> Any:
            return super().get(self.known[key], default)

        def setdefault(self, key: Any, default: Any = None) -> Any:
            return super().setdefault(self.known[key], default)

    table = ByLabel()
    assert table.get_or_create("a", lambda: 1) == 1
    assert table.get_or_create("a", lambda: 2) == 1
    assert list(table) == [ByLabel.known["a"]]


@kinds(kind for kind in MAPPINGS if not kind.by_identity)
def test_comparisons_that_fail_leave_nothing_behind(kind: Kind) -> None:
    """The keys of the calls under way are compared too; ending a call compares none."""

    class Key(Member):
        fails = False

        def __eq__(self, other: object) -> bool:
            if self.fails:
                raise ZeroDivisionError
            return self is other

        def __hash__(self) -> int:
            return 5

    table: Any = kind.cls()
    value = Member("value")
    one, other = Key(1), Key(2)

    def factory() -> Any:
        Key.fails = True
        with pytest.raises(ZeroDivisionError):
            table.get_or_create(other, lambda: value)
        return value

    assert table.get_or_create(one, factory) is value


# --- many threads


@mappings
def test_many_threads_one_call(kind: Kind) -> None:
    scene = Scene(kind)
    calls: list[int] = []

    def factory() -> Any:
        calls.append(threading.get_ident())
        wait_until(lambda: waiting() == 15)
        return scene.value

    assert run_all(*[lambda: scene.ask(factory)] * 16) == [scene.value] * 16
    assert len(calls) == 1
    scene.table._check()


@mappings
def test_all_get_a_value_that_nobody_keeps(kind: Kind) -> None:
    """A dictionary with weak values has it no more when the last of them returns."""
    table: Any = kind.cls()
    key: Any = EqualMember("key") if kind.shape == "key" else "key"

    def factory() -> Any:
        wait_until(lambda: waiting() == 7)
        return Member("made")

    values = run_all(*[lambda: table.get_or_create(key, factory)] * 8)
    assert len(set(values)) == 1
    assert values[0].label == "made"
    values.clear()
    gc_collect_harder()
    assert len(table) == (0 if kind.weak_values else 1)


@mappings
def test_different_keys_do_not_wait_for_each_other(kind: Kind) -> None:
    table: Any = kind.cls()
    some = members(4)
    both = threading.Barrier(4, timeout=TIMEOUT)

    def make(at: int) -> Any:
        key = some[at] if kind.shape == "key" else at
        return table.get_or_create(key, lambda: both.wait() < 9 and some[at])

    assert run_all(*[lambda at=at: make(at) for at in range(4)]) == some


@mappings
def test_after_a_failure_one_of_those_that_wait_makes_it(kind: Kind) -> None:
    scene = Scene(kind)
    calls: list[int] = []

    def factory() -> Any:
        calls.append(1)
        if len(calls) == 1:
            wait_until(lambda: waiting() == 5)
        if len(calls) < 3:
            raise ZeroDivisionError
        return scene.value

    results = run_all(*[lambda: scene.ask(factory)] * 6)
    assert len(calls) == 3
    assert sum(isinstance(each, ZeroDivisionError) for each in results) == 2
    assert results.count(scene.value) == 4


@mappings
def test_a_value_stored_meanwhile_wins(kind: Kind) -> None:
    scene = Scene(kind)
    stored = Member("stored")

    def factory() -> Any:
        wait_until(lambda: waiting() == 2)
        run_all(lambda: scene.table.__setitem__(scene.key, stored))
        return scene.value

    assert run_all(*[lambda: scene.ask(factory)] * 3) == [stored] * 3


def test_threads_that_wait_for_each_other() -> None:
    """Of two at least one hears of it; then both calls end."""
    keys = members(2)
    table: Any = WeakKeyDictionary()
    both = threading.Barrier(2, timeout=TIMEOUT)

    def make(at: int) -> Any:
        def factory() -> Any:
            both.wait()
            return table.get_or_create(keys[1 - at], lambda: f"inner {at}")

        return table.get_or_create(keys[at], factory)

    results = run_all(lambda: make(0), lambda: make(1))
    failed = [each for each in results if isinstance(each, RuntimeError)]
    assert failed
    assert all("never end" in str(each) for each in failed)
    assert all(isinstance(each, RuntimeError | str) for each in results)


def test_a_ring_of_threads_over_several_dictionaries() -> None:
    count = 5
    tables: list[Any] = [kind.cls() for kind in MAPPINGS[:2]] + [WeakIdKeyDictionary()] * 3
    key, value = EqualMember("key"), Member("value")
    keys: list[Any] = ["key" if type(t).__name__ == "WeakValueDictionary" else key for t in tables]
    keys[3], keys[4] = Unhashable(), Unhashable()
    all_in = threading.Barrier(count, timeout=TIMEOUT)

    def make(at: int) -> Any:
        following = (at + 1) % count

        def factory() -> Any:
            all_in.wait()
            return tables[following].get_or_create(keys[following], lambda: value)

        return tables[at].get_or_create(keys[at], factory)

    results = run_all(*[lambda at=at: make(at) for at in range(count)])
    assert any(isinstance(each, RuntimeError) for each in results)
    assert all(each is value or isinstance(each, RuntimeError) for each in results)


def test_a_long_chain_that_is_no_cycle_waits_to_its_end() -> None:
    keys = members(6)
    table: Any = WeakKeyDictionary()
    begun = [threading.Event() for _ in keys]

    def make(at: int) -> Any:
        def factory() -> Any:
            begun[at].set()
            if at + 1 == len(keys):
                wait_until(lambda: waiting() == len(keys) - 1)
                return "end"
            assert begun[at + 1].wait(TIMEOUT)
            return table.get_or_create(keys[at + 1], lambda: None)

        return table.get_or_create(keys[at], factory)

    assert run_all(*[lambda at=at: make(at) for at in range(6)]) == ["end"] * 6


def test_work_of_many_threads_on_few_keys() -> None:
    """Each value is made once for as long as it is there."""
    table: Any = WeakKeyDictionary()
    keys = members(5)
    made: list[int] = []
    removed: list[int] = []
    stop = time.monotonic() + 0.5

    def work() -> None:
        turn = 0
        while time.monotonic() < stop:
            turn += 1
            key = keys[turn % 5]
            value = table.get_or_create(key, lambda label=key.label: (made.append(1), label))
            assert value[1] == key.label
            if turn % 50 == 0 and table.pop(key, None) is not None:
                removed.append(1)

    if not PYPY:
        sys.setswitchinterval(1e-5)
    assert run_all(*[work] * 6) == [None] * 6
    assert len(made) == len(removed) + len(table)


def test_a_finalizer_that_asks_meanwhile() -> None:
    table: Any = WeakKeyDictionary()
    keys = members(2)
    seen: list[Any] = []

    class Asks(Member):
        def __del__(self) -> None:
            try:
                seen.append(table.get_or_create(keys[self.label], lambda: "by the finalizer"))
            except RuntimeError as error:
                seen.append(type(error))

    def factory() -> Any:
        for label in (0, 1):
            garbage = Asks(label)
            garbage.other = garbage
            del garbage
            gc.collect()
        let_die()
        return "by the factory"

    assert table.get_or_create(keys[0], factory) == "by the factory"
    assert seen == [RuntimeError, "by the finalizer"]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs pthread_kill")
def test_an_interrupt_while_waiting() -> None:
    scene = Scene(MAPPINGS[0])
    begun, go_on = threading.Event(), threading.Event()
    main = threading.get_ident()

    def factory() -> Any:
        begun.set()
        assert go_on.wait(TIMEOUT)
        return scene.value

    def interrupt() -> None:
        wait_until(lambda: waiting() == 1)
        while waiting():  # the first may come before the wait proper
            signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.05)

    maker = threading.Thread(target=lambda: scene.ask(factory), daemon=True)
    maker.start()
    assert begun.wait(TIMEOUT)
    threading.Thread(target=interrupt, daemon=True).start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            scene.ask()
    finally:
        signal.signal(signal.SIGINT, before)
    assert waiting() == 0
    go_on.set()
    maker.join(TIMEOUT)
    assert scene.ask() is scene.value


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_does_not_wait_for_threads_that_it_does_not_have() -> None:
    code = """
    import os, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # of fork() with threads
    from weakly import WeakKeyDictionary
    class Key: pass
    key, table = Key(), WeakKeyDictionary()
    begun, go_on = threading.Event(), threading.Event()
    def factory():
        begun.set()
        go_on.wait(60)
        return "of the parent"
    thread = threading.Thread(target=table.get_or_create, args=(key, factory))
    thread.start()
    begun.wait(60)
    child = os.fork()
    if child == 0:
        os._exit(7 if table.get_or_create(key, lambda: "mine") == "mine" else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    go_on.set()
    thread.join()
    print(table[key])
    """
    assert check_runs(code).split("\n")[:2] == ["7", "of the parent"]
