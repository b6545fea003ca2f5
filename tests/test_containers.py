"""What holds for all containers alike: members, order, iteration, copies, subclasses.

Operations that only one of them has are in test_key_dictionary.py, test_value_dictionary.py
and test_set.py; what happens when user code re-enters is in test_reentrancy.py.
"""

from __future__ import annotations

import collections.abc
import copy
import functools
import inspect
import operator
import types
import weakref
from typing import Any

import pytest
from support import (
    C_CORE,
    COMPARING,
    DROP_IN,
    KINDS,
    PYPY,
    REPEATS,
    CollidingMember,
    EqualMember,
    Kind,
    Member,
    Unhashable,
    check_holds,
    gc_collect_harder,
    kinds,
    let_die,
    members,
)

import weakly

# --- members come, are found, go


def test_empty(kind: Kind) -> None:
    container = kind.cls()
    check_holds(kind, container, [])
    assert not container
    assert not kind.has(container, Member(1))


@pytest.mark.parametrize("make", [Member, EqualMember, CollidingMember])
def test_add_find_remove(kind: Kind, make: Any) -> None:
    some = members(50, make)
    container = kind.build(some)
    assert container
    check_holds(kind, container, some)
    for member in some[::2]:
        kind.remove(container, member)
        assert not kind.has(container, member)
    check_holds(kind, container, some[1::2])
    for member in some[::2]:
        kind.add(container, member)
    check_holds(kind, container, some[1::2] + some[::2])


def test_adding_again_changes_neither_length_nor_place(kind: Kind) -> None:
    some = members(5)
    container = kind.build(some)
    for member in reversed(some):
        kind.add(container, member)
    check_holds(kind, container, some)


def test_removing_what_is_not_there(kind: Kind) -> None:
    some = members(3)
    container = kind.build(some)
    with pytest.raises(KeyError):
        kind.remove(container, Member("absent"))
    check_holds(kind, container, some)


@pytest.mark.parametrize("count", [1, 2, 7, 100] if PYPY else [1, 2, 5, 6, 7, 8, 9, 100, 1000])
def test_members_die_one_by_one(kind: Kind, count: int) -> None:
    some = members(count)
    container = kind.build(some)
    step = 1 + count // (4 if PYPY else 10)
    while some:
        del some[len(some) // 2 : len(some) // 2 + step]
        let_die()
        check_holds(kind, container, some)
    assert not container


def test_members_die_at_once(kind: Kind) -> None:
    some = members(1000)
    container = kind.build(some)
    some.clear()
    let_die()
    check_holds(kind, container, [])


def test_members_die_in_a_garbage_cycle(kind: Kind) -> None:
    some = members(20)
    container = kind.build(some)
    for one, other in zip(some, some[1:] + some[:1], strict=True):
        one.other = other
    kept = Member("kept")
    kind.add(container, kept)
    some.clear()
    del one, other
    gc_collect_harder()
    check_holds(kind, container, [kept])


def test_a_member_that_dies_at_once_leaves_nothing(kind: Kind) -> None:
    container = kind.cls()
    for label in range(REPEATS):
        kind.add(container, Member(label))
        let_die()
    check_holds(kind, container, [])


def test_an_address_used_again_is_not_the_old_member(kind: Kind) -> None:
    container = kind.cls()
    for _ in range(REPEATS):
        member = Member("same label")
        kind.add(container, member)
        del member
        let_die()
        newer = Member("same label")  # CPython gives it the address of the dead one
        assert not kind.has(container, newer)
        del newer


def test_fill_and_empty_again_and_again(kind: Kind) -> None:
    container = kind.cls()
    for count in (3, 300, 7, 1000, 1):
        some = members(count)
        for member in some:
            kind.add(container, member)
        check_holds(kind, container, some)
        for member in some:
            kind.remove(container, member)
        check_holds(kind, container, [])


def test_queue_of_members(kind: Kind) -> None:
    """Old ones die as new ones come: the table must neither grow nor lose any."""
    container = kind.cls()
    alive: list[Any] = []
    for label in range(10 + REPEATS**2 // 5):
        alive.append(Member(label))
        kind.add(container, alive[-1])
        if len(alive) > 10:
            del alive[0]
            let_die()
    check_holds(kind, container, alive)


def test_pop_takes_the_newest_live_member(kind: Kind) -> None:
    some = members(10)
    container = kind.build(some)
    assert kind.pop(container) is some[9]
    del some[7:]
    let_die()
    assert kind.pop(container) is some[6]
    kind.add(container, some[0])
    assert kind.pop(container) is some[5]
    check_holds(kind, container, some[:5])


def test_pop_from_empty(kind: Kind) -> None:
    container = kind.cls()
    with pytest.raises(KeyError):
        kind.pop(container)
    kind.add(container, Member("dies"))
    let_die()
    with pytest.raises(KeyError):
        kind.pop(container)


def test_pop_until_empty(kind: Kind) -> None:
    some = members(300)
    container = kind.build(some)
    assert [kind.pop(container) for _ in some] == some[::-1]
    check_holds(kind, container, [])


def test_clear(kind: Kind) -> None:
    some = members(100)
    container = kind.build(some)
    assert container.clear() is None
    check_holds(kind, container, [])
    container.clear()
    kind.add(container, some[5])
    check_holds(kind, container, some[5:6])


def test_the_container_keeps_no_member_alive(kind: Kind) -> None:
    some = members(10)
    watches = [weakref.ref(member) for member in some]
    container = kind.build(some)
    for member in kind.iterate(container):
        assert kind.has(container, member)
    repr(container)
    copy.copy(container)
    del member
    some.clear()
    let_die()
    assert [watch() for watch in watches] == [None] * 10


def test_the_container_dies_before_its_members(kind: Kind) -> None:
    some = members(100)
    container = kind.build(some)
    watch = weakref.ref(container)
    before = [weakref.getweakrefcount(member) for member in some]
    assert before == [1] * 100
    del container
    let_die()
    assert watch() is None
    assert [weakref.getweakrefcount(member) for member in some] == [0] * 100


def test_one_member_in_many_containers(kind: Kind) -> None:
    some = members(5)
    containers = [kind.build(some) for _ in range(20)]
    del some[2]
    let_die()
    for container in containers:
        check_holds(kind, container, some)
    kind.remove(containers[0], some[0])
    check_holds(kind, containers[0], some[1:])
    check_holds(kind, containers[1], some)


def test_references_are_real_and_live(kind: Kind) -> None:
    some = members(5)
    container = kind.build(some)
    references = kind.references(container)
    assert all(isinstance(reference, weakref.ref) for reference in references)
    assert [reference() for reference in references] == some
    del some[0]
    let_die()
    assert [reference() for reference in references] == [None, *some]
    assert [reference() for reference in kind.references(container)] == some


# --- iteration


def test_iterating_gives_an_iterator(kind: Kind) -> None:
    container = kind.build(kept := members(3))
    iterator = kind.iterate(container)
    assert iter(iterator) is iterator
    assert next(iterator) is kept[0]
    assert list(iterator) == kept[1:]
    with pytest.raises(StopIteration):
        next(iterator)
    with pytest.raises(StopIteration):
        next(iterator)


def test_reversed(kind: Kind) -> None:
    some = members(10)
    container = kind.build(some)
    del some[3]
    let_die()
    iterator = reversed(container)
    assert iter(iterator) is iterator
    if kind.shape == "value":
        assert list(iterator) == [member.label for member in reversed(some)]
    else:
        assert list(iterator) == some[::-1]


def test_reversed_while_the_table_shrinks(kind: Kind) -> None:
    """A reversed iterator of CPython's own dict would read past the end of its memory."""
    some = members(20_000)
    container = kind.build(some)
    for member in some[:-5]:
        kind.remove(container, member)
    iterator = reversed(container)
    for label in range(40_000):
        kind.add(container, member := Member(f"new {label}"))
        kind.remove(container, member)
    assert len(list(iterator)) == 5


def test_iteration_skips_what_dies_meanwhile(kind: Kind) -> None:
    some = members(REPEATS)
    container = kind.build(some)
    seen = []
    for member in kind.iterate(container):
        seen.append(member.label)
        label = member.label
        del member
        some[label] = None
        if label + 1 < REPEATS:
            some[label + 1] = None
        let_die()
    assert seen == list(range(0, REPEATS, 2))
    let_die()
    check_holds(kind, container, [])


def test_iteration_while_it_is_cleared(kind: Kind) -> None:
    some = members(100)
    container = kind.build(some)
    seen = []
    for member in kind.iterate(container):
        container.clear()
        seen.append(member)
    assert seen[0] is some[0]
    assert len(seen) == len(set(seen)) <= 100
    check_holds(kind, container, [])


def test_a_loop_that_inserts_ends(kind: Kind) -> None:
    some = members(10)
    container = kind.build(some)
    newer = []
    seen = []
    for member in kind.iterate(container):
        seen.append(member)
        for _ in range(50):
            newer.append(Member(1000 + len(newer)))
            kind.add(container, newer[-1])
        assert len(seen) <= 10
    assert seen == some
    check_holds(kind, container, some + newer)


def test_a_loop_that_removes_and_inserts_ends(kind: Kind) -> None:
    some = members(10)
    container = kind.build(some)
    seen = []
    for member in kind.iterate(container):
        seen.append(member)
        kind.remove(container, member)
        kind.add(container, member)
        assert len(seen) <= 10
    # The Python tables promise no order while the table changes.
    assert (seen if C_CORE else sorted(seen, key=some.index)) == some
    check_holds(kind, container, some)


def test_a_loop_that_pops_and_inserts_ends(kind: Kind) -> None:
    """A place at the end that is used again is not what the iterator was made for."""
    some = members(10)
    container = kind.build(some)
    newer: list[Any] = []
    for member in kind.iterate(container):
        assert member in some
        kind.pop(container)
        newer.append(Member(1000 + len(newer)))
        kind.add(container, newer[-1])
    assert len(newer) <= 10
    check_holds(kind, container, [*some[:9], newer[-1]])


def test_a_loop_that_copies_and_iterates(kind: Kind) -> None:
    some = members(10)
    container = kind.build(some)
    for _ in kind.iterate(container):
        assert list(kind.iterate(container.copy())) == some
        assert list(kind.iterate(container)) == some


def test_many_iterators_at_once(kind: Kind) -> None:
    some = members(200)
    container = kind.build(some)
    iterators = []
    for at in range(0, 100, 50 if PYPY else 10):
        iterators.append(kind.iterate(container))
        for iterator in iterators:
            next(iterator)
        for label in range(at, at + 5):
            some[100 + label] = None
        let_die()
        kind.add(container, Member("dies"))
        let_die()
    alive = [member for member in some[100:] if member is not None]
    for iterator in iterators:
        assert list(iterator)[-len(alive) :] == alive
    check_holds(kind, container, [member for member in some if member is not None])


def test_abandoned_iterators(kind: Kind) -> None:
    some = members(20)
    container = kind.build(some)
    for steps in range(20):
        iterator = kind.iterate(container)
        for _ in range(steps):
            next(iterator)
        del iterator
        kind.remove(container, some[steps])
        kind.add(container, some[steps])
    let_die()
    check_holds(kind, container, some)
    watch = weakref.ref(container)
    del container
    let_die()
    assert watch() is None


def test_an_iterator_outlives_its_container(kind: Kind) -> None:
    some = members(20)
    iterator = kind.iterate(kind.build(some))
    begun = kind.iterate(kind.build(some))
    assert next(begun) is some[0]
    let_die()
    del some[10]
    let_die()
    assert list(iterator) == some
    assert list(begun) == some[1:]


def test_an_iterator_left_when_its_members_die_with_it(kind: Kind) -> None:
    some = members(20)
    iterator = kind.iterate(kind.build(some))
    next(iterator)
    some.clear()
    let_die()
    assert all(member.label == 0 for member in iterator)  # at most what it holds itself


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_iterators_in_reference_cycles_are_collected(kind: Kind, steps: int) -> None:
    some = members(3)
    container = kind.build(some)
    container.iterator = kind.iterate(container)
    for _ in range(steps):
        next(container.iterator)
    watch = weakref.ref(container)
    del container
    gc_collect_harder()
    assert watch() is None


def test_every_way_to_iterate_survives_deaths(kind: Kind) -> None:
    ways = ["__iter__", "__reversed__"]
    if kind.shape != "set":
        ways += ["keys", "values", "items"]
    if kind.shape == "value":
        ways += ["itervaluerefs"]
    for way in ways:
        some = members(50)
        container = kind.build(some)
        iterator = getattr(container, way)()
        next(iterator)
        del some[10:40]
        kind.add(container, newer := Member("newer"))
        let_die()
        rest = sum(1 for _ in iterator)
        assert rest == 19, way
        check_holds(kind, container, [*some, newer])


# --- copies


def _copies(kind: Kind) -> list[Any]:
    return [lambda c: c.copy(), copy.copy, copy.deepcopy, lambda c: kind.cls(c), lambda c: c | c]


@pytest.mark.parametrize("which", range(5), ids=["copy", "copy.copy", "deepcopy", "cls", "or"])
def test_a_copy_is_equal_and_independent(kind: Kind, which: int) -> None:
    if kind.shape == "value" and which == 2:
        pytest.skip("deepcopy of keys is in test_value_dictionary.py")
    make_copy = _copies(kind)[which]
    some = members(20)
    container = kind.build(some)
    twin = make_copy(container)
    assert type(twin) is kind.cls
    assert twin is not container
    assert twin == container
    check_holds(kind, twin, some)
    kind.remove(twin, some[0])
    kind.add(twin, extra := Member("extra"))
    check_holds(kind, container, some)
    check_holds(kind, twin, [*some[1:], extra])
    del some[5]
    let_die()
    check_holds(kind, container, some)
    check_holds(kind, twin, [*some[1:], extra])
    del container
    let_die()
    check_holds(kind, twin, [*some[1:], extra])


def test_a_copy_has_only_live_entries(kind: Kind) -> None:
    some = members(1000)
    container = kind.build(some)
    del some[1:999]
    let_die()
    check_holds(kind, container.copy(), some)


def test_copy_of_empty(kind: Kind) -> None:
    check_holds(kind, kind.cls().copy(), [])


# --- construction and types


def test_constructor_signature_is_that_of_the_stdlib(kind: Kind) -> None:
    def shape(function: Any) -> list[Any]:
        parameters = inspect.signature(function).parameters.values()
        return [(one.name, one.kind, one.default) for one in parameters]

    assert shape(kind.cls) == shape(kind.stdlib)


def test_constructor_takes_what_update_takes(kind: Kind) -> None:
    some = members(5)
    check_holds(kind, kind.cls(kind.content(some)), some)
    check_holds(kind, kind.cls(iter(kind.content(some))), some)
    check_holds(kind, kind.cls(kind.build(some)), some)
    theirs = kind.stdlib(kind.content(some))
    check_holds(kind, kind.cls(theirs), kind.iterate(theirs))


def test_constructor_without_content(kind: Kind) -> None:
    check_holds(kind, kind.cls(()), [])
    if kind.shape != "value":  # the stdlib's value dictionary alone treats None as nothing, too
        check_holds(kind, kind.cls(None), [])


def test_initialised_again(kind: Kind) -> None:
    """As with the stdlib's, it then holds the new content only."""
    some, others = members(5), members(10)[5:]
    container = kind.build(some)
    container.__init__(kind.content(others))
    check_holds(kind, container, others)
    container.__init__()
    check_holds(kind, container, [])
    some.clear()
    others.clear()
    let_die()
    check_holds(kind, container, [])


def test_wrong_argument_counts(kind: Kind) -> None:
    for arguments in [(1, 2), ((), (), ())]:
        with pytest.raises(TypeError):
            kind.cls(*arguments)
    with pytest.raises(TypeError):
        kind.cls().clear(1)
    with pytest.raises(TypeError):
        kind.cls().copy(1)
    if kind.shape != "value":
        with pytest.raises(TypeError):
            kind.cls(unknown=1)


def test_initialised_without_new_content_of_base(kind: Kind) -> None:
    """Made by __new__ alone, it is empty and works."""
    container = kind.cls.__new__(kind.cls)
    check_holds(kind, container, [])
    member = Member(1)
    kind.add(container, member)
    check_holds(kind, container, [member])


def test_name_and_home(kind: Kind) -> None:
    assert kind.cls.__name__ == kind.cls.__qualname__
    if kind.name in ("key", "value", "set"):
        assert kind.cls.__name__ == kind.stdlib.__name__
    assert getattr(weakly, kind.cls.__name__) is kind.cls
    assert kind.cls.__module__.partition(".")[0] == "weakly"
    assert kind.cls.__doc__


def test_abstract_base_classes(kind: Kind) -> None:
    container = kind.cls()
    for name in collections.abc.__all__:
        if name == "ByteString":  # looking at it warns
            continue
        abc = getattr(collections.abc, name)
        if isinstance(kind.stdlib(), abc):
            assert isinstance(container, abc), name
    expected = collections.abc.MutableSet if kind.shape == "set" else collections.abc.MutableMapping
    assert isinstance(container, expected)
    assert issubclass(kind.cls, expected)


def test_generic_alias(kind: Kind) -> None:
    arguments: Any = int if kind.shape == "set" else (str, int)
    alias = kind.cls[arguments]
    assert isinstance(alias, types.GenericAlias)
    assert alias.__origin__ is kind.cls
    member = Member(1)
    container = alias(kind.content([member]))
    assert type(container) is kind.cls
    check_holds(kind, container, [member])


def test_unhashable_like_the_strong_ones(kind: Kind) -> None:
    with pytest.raises(TypeError, match=kind.cls.__name__):
        hash(kind.cls())


def test_weakly_referenceable_and_has_attributes(kind: Kind) -> None:
    container = kind.cls()
    died = []
    reference = weakref.ref(container, died.append)
    container.anything = 5
    assert container.__dict__["anything"] == 5
    del container
    let_die()
    assert died == [reference]


@kinds(DROP_IN)
def test_methods_of_the_stdlib_are_all_there(kind: Kind) -> None:
    """Public names of the class; private ones of instances are tested on their own."""
    missing = [name for name in dir(kind.stdlib) if name[0] != "_" and not hasattr(kind.cls, name)]
    assert missing == []
    specials = set(dir(kind.stdlib)) - {"__abstractmethods__", "_abc_impl", "__weakref__"}
    assert [name for name in sorted(specials) if not hasattr(kind.cls(), name)] == []


# --- subclasses


def test_subclass_with_a_dictionary(kind: Kind) -> None:
    class Mine(kind.cls):  # type: ignore[name-defined, misc]
        def __init__(self, tag: str) -> None:
            super().__init__()
            self.tag = tag

    some = members(3)
    mine = Mine("tag")
    for member in some:
        kind.add(mine, member)
    check_holds(kind, mine, some)
    assert mine.tag == "tag"
    assert mine == kind.build(some)


def test_subclass_with_slots(kind: Kind) -> None:
    class Mine(kind.cls):  # type: ignore[name-defined, misc]
        __slots__ = ("x", "y")

    some = members(3)
    mine = Mine(kind.content(some))
    mine.x = [1]
    mine.z = [2]  # the containers have a __dict__, as the stdlib's
    check_holds(kind, mine, some)
    assert not hasattr(mine, "y")
    watch = weakref.ref(mine)
    del mine
    let_die()
    assert watch() is None


def test_subclass_that_overrides_insertion_hears_of_the_constructor(kind: Kind) -> None:
    """add() of a set subclass is called for each item, as in the stdlib."""
    if kind.shape != "set":
        pytest.skip("update() of the stdlib's dictionaries does not call __setitem__")
    heard = []

    class Mine(weakly.WeakSet[Any]):
        def add(self, item: Any) -> None:
            heard.append(item)
            super().add(item)

    some = members(3)
    check_holds(kind, Mine(some), some)
    assert heard == some


def test_subclass_in_a_cycle_through_its_attribute(kind: Kind) -> None:
    class Mine(kind.cls):  # type: ignore[name-defined, misc]
        pass

    mine = Mine(kind.content(kept := members(3)))
    mine.me = mine
    watch = weakref.ref(mine)
    class_watch = weakref.ref(Mine)
    del mine, Mine
    gc_collect_harder()
    assert watch() is None
    assert PYPY or class_watch() is None  # whose caches can hold a class for a while
    assert len(kept) == 3


def test_subclass_with_a_finalizer(kind: Kind) -> None:
    lengths = []

    class Mine(kind.cls):  # type: ignore[name-defined, misc]
        def __del__(self) -> None:
            lengths.append(len(self))
            self.clear()

    kept = members(3)
    mine = Mine(kind.content(kept))
    del mine
    gc_collect_harder()
    assert lengths == [3]


def test_subclass_whose_len_and_iter_lie(kind: Kind) -> None:
    class Liar(kind.cls):  # type: ignore[name-defined, misc]
        def __len__(self) -> int:
            return 10**6

    some = members(3)
    liar = Liar(kind.content(some))
    assert list(kind.iterate(kind.cls(liar))) == some
    assert list(kind.iterate(liar.copy())) == some


# --- what a person sees


def test_repr_shows_the_live_entries(kind: Kind) -> None:
    some = members(3)
    container = kind.build(some)
    text = repr(container)
    assert kind.cls.__name__ in text
    assert all(repr(member) in text for member in some)
    gone = repr(some.pop())
    let_die()
    assert gone not in repr(container)
    if kind.shape == "key":
        assert "'value'" in text


def test_repr_names_the_subclass(kind: Kind) -> None:
    class Mine(kind.cls):  # type: ignore[name-defined, misc]
        pass

    assert "Mine" in repr(Mine())


def test_repr_of_a_container_in_itself(kind: Kind) -> None:
    class Hashable(kind.cls):  # type: ignore[name-defined, misc]
        __hash__ = object.__hash__
        __eq__ = object.__eq__
        label = "self"

    container = Hashable()
    kind.add(container, container)
    assert "Hashable" in repr(container)
    member = Member("x")
    kind.add(container, member)
    assert "Member('x')" in repr(container)


def test_repr_that_fails_leaves_the_container_alone(kind: Kind) -> None:
    class Bad(Member):
        def __repr__(self) -> str:
            raise ZeroDivisionError

    container = kind.build(some := [Bad(1)])
    with pytest.raises(ZeroDivisionError):
        repr(container)
    with pytest.raises(ZeroDivisionError):
        repr(container)
    assert kind.has(container, some[0])


# --- the private attributes that programs reach for


@kinds(DROP_IN)
def test_data_is_a_live_view(kind: Kind) -> None:
    some = members(3)
    container = kind.build(some)
    data = container.data
    assert len(data) == 3
    keys = list(data)
    if kind.shape == "value":
        assert keys == [0, 1, 2]
        assert [data[key]() for key in keys] == some
    else:
        assert all(isinstance(key, weakref.ref) for key in keys)
        assert [key() for key in keys] == some
        assert kind.reference(some[1]) in data
        assert kind.reference(Member(0)) not in data
    kind.add(container, extra := Member("extra"))
    assert len(data) == 4
    assert (extra.label if kind.shape == "value" else kind.reference(extra)) in data
    del extra
    let_die()
    assert len(data) == 3
    assert len(container.data) == 3


@kinds(DROP_IN)
def test_private_attributes(kind: Kind) -> None:
    some = members(3)
    container = kind.build(some)
    assert len(container._pending_removals) == 0
    assert len(container._iterating) == 0
    assert callable(container._remove)
    assert container._commit_removals() is None
    iterator = kind.iterate(container)
    next(iterator)
    del some[0]
    let_die()
    assert container._commit_removals() is None
    assert len(container._pending_removals) == 0
    del iterator  # one written as a generator holds the last member that it yielded
    let_die()
    check_holds(kind, container, some)


@kinds(DROP_IN)
def test_remove_of_a_live_reference_keeps_newer_entries(kind: Kind) -> None:
    """_remove is what the stdlib calls back with a dead reference; a stale one does nothing."""
    member = Member("label")
    container = kind.build([member])
    (stale,) = kind.references(container)
    del member
    let_die()
    newer = Member("label")
    kind.add(container, newer)
    container._remove(stale)
    check_holds(kind, container, [newer])


# --- bad input: the stdlib's exception, a message with the type, nothing changed

VALUE = Member("value")  # that any dictionary takes

BAD: dict[str, list[tuple[str, Any, str]]] = {
    "key": [
        ("getitem", lambda c: c[1], "int"),
        ("setitem", lambda c: c.__setitem__(1, 2), "int"),
        ("delitem", lambda c: c.__delitem__("x"), "str"),
        ("get", lambda c: c.get(1), "int"),
        ("get default", lambda c: c.get((), 1), "tuple"),
        ("pop", lambda c: c.pop(1), "int"),
        ("pop default", lambda c: c.pop(1, None), "int"),
        ("setdefault", lambda c: c.setdefault(None, 1), "NoneType"),
        ("update", lambda c: c.update({1: 2}), "int"),
        ("update pairs", lambda c: c.update([(1, 2)]), "int"),
        ("update keywords", lambda c: c.update(name=2), "str"),
        ("update number", lambda c: c.update(5), "int"),
        ("or", lambda c: c | {1: 2}, "int"),
        ("ior", lambda c: c.__ior__({"x": 2}), "str"),
        ("ror", lambda c: {1.5: 2} | c, "float"),
        ("constructor", lambda c: type(c)({1: 2}), "int"),
        ("init again", lambda c: type(c)(c).__init__([(1, 2)]), "int"),
        ("unhashable getitem", lambda c: c[Unhashable()], "Unhashable"),
        ("unhashable setitem", lambda c: c.__setitem__(Unhashable(), VALUE), "Unhashable"),
        ("unhashable delitem", lambda c: c.__delitem__(Unhashable()), "Unhashable"),
        ("unhashable in", lambda c: Unhashable() in c, "Unhashable"),
        ("unhashable get", lambda c: c.get(Unhashable()), "Unhashable"),
        ("unhashable pop", lambda c: c.pop(Unhashable(), VALUE), "Unhashable"),
        ("unhashable setdefault", lambda c: c.setdefault(Unhashable(), VALUE), "Unhashable"),
        ("unhashable update", lambda c: c.update([(Unhashable(), VALUE)]), "Unhashable"),
    ],
    "value": [
        ("setitem", lambda c: c.__setitem__("x", 1), "int"),
        ("setdefault", lambda c: c.setdefault("x", 1), "int"),
        ("setdefault none", lambda c: c.setdefault("x"), "NoneType"),
        ("update", lambda c: c.update({"x": ()}), "tuple"),
        ("update pairs", lambda c: c.update([("x", "y")]), "str"),
        ("update keywords", lambda c: c.update(x=5), "int"),
        ("update number", lambda c: c.update(5), "int"),
        ("or", lambda c: c | {"x": 5}, "int"),
        ("ior", lambda c: c.__ior__({"x": 5}), "int"),
        ("ror", lambda c: {"x": 5} | c, "int"),
        ("constructor", lambda c: type(c)({"x": 5}), "int"),
        ("constructor keywords", lambda c: type(c)(x=5), "int"),
        ("unhashable getitem", lambda c: c[[]], "list"),
        ("unhashable setitem", lambda c: c.__setitem__([], Member), "list"),
        ("unhashable delitem", lambda c: c.__delitem__({}), "dict"),
        ("unhashable in", lambda c: [] in c, "list"),
        ("unhashable get", lambda c: c.get([]), "list"),
        ("unhashable pop", lambda c: c.pop([], 1), "list"),
        ("unhashable setdefault", lambda c: c.setdefault([], Member), "list"),
        ("unhashable update", lambda c: c.update([([], Member)]), "list"),
    ],
    "set": [
        ("add", lambda c: c.add(1), "int"),
        ("discard", lambda c: c.discard(1), "int"),
        ("remove", lambda c: c.remove("x"), "str"),
        ("update", lambda c: c.update([1]), "int"),
        ("update number", lambda c: c.update(5), "int"),
        ("constructor", lambda c: type(c)([1]), "int"),
        ("constructor number", lambda c: type(c)(5), "int"),
        ("union", lambda c: c.union([1]), "int"),
        ("or", lambda c: c | {1}, "int"),
        ("ior", lambda c: c.__ior__({1}), "int"),
        ("difference", lambda c: c.difference([1]), "int"),
        ("difference_update", lambda c: c.difference_update([1]), "int"),
        ("sub", lambda c: c - {1}, "int"),
        ("intersection_update", lambda c: c.intersection_update([1]), "int"),
        ("symmetric_difference", lambda c: c.symmetric_difference([1]), "int"),
        ("symmetric_difference_update", lambda c: c.symmetric_difference_update([1]), "int"),
        ("issubset", lambda c: c.issubset([1]), "int"),
        ("issuperset", lambda c: c.issuperset([1]), "int"),
        ("not iterable", lambda c: c.issubset(5), "int"),
        ("unhashable add", lambda c: c.add(Unhashable()), "Unhashable"),
        ("unhashable discard", lambda c: c.discard(Unhashable()), "Unhashable"),
        ("unhashable remove", lambda c: c.remove(Unhashable()), "Unhashable"),
        ("unhashable in", lambda c: Unhashable() in c, "Unhashable"),
        ("unhashable update", lambda c: c.update([Unhashable()]), "Unhashable"),
    ],
}

WRONG_CALLS: dict[str, list[tuple[str, Any]]] = {
    "key": [
        ("get nothing", lambda c: c.get()),
        ("get three", lambda c: c.get(Member(1), 2, 3)),
        ("pop nothing", lambda c: c.pop()),
        ("pop three", lambda c: c.pop(Member(1), 2, 3)),
        ("popitem one", lambda c: c.popitem(1)),
        ("setdefault nothing", lambda c: c.setdefault()),
        ("setdefault three", lambda c: c.setdefault(Member(1), 2, 3)),
        ("update two", lambda c: c.update({}, {})),
        ("update odd pair", lambda c: c.update([(1, 2, 3)])),
        ("update odd element", lambda c: c.update([5])),
        ("keys one", lambda c: c.keys(1)),
        ("keyrefs one", lambda c: c.keyrefs(1)),
        ("or list", lambda c: c | []),
        ("or number", lambda c: c | 5),
        ("number or", lambda c: 5 | c),
        ("less", lambda c: c < c),
        ("missing", lambda c: c[Member(1)]),
        ("delete missing", lambda c: c.__delitem__(Member(1))),
        ("pop missing", lambda c: c.pop(Member(1))),
        ("get without hash", lambda c: c.get(HashFails())),
    ],
    "value": [
        ("get nothing", lambda c: c.get()),
        ("get three", lambda c: c.get(1, 2, 3)),
        ("pop nothing", lambda c: c.pop()),
        ("popitem one", lambda c: c.popitem(1)),
        ("setdefault nothing", lambda c: c.setdefault()),
        ("setdefault three", lambda c: c.setdefault(1, 2, 3)),
        ("update two", lambda c: c.update({}, {})),
        ("update odd pair", lambda c: c.update([(1, 2, 3)])),
        ("update odd element", lambda c: c.update([5])),
        ("valuerefs one", lambda c: c.valuerefs(1)),
        ("or list", lambda c: c | []),
        ("missing", lambda c: c["absent"]),
        ("delete missing", lambda c: c.__delitem__("absent")),
        ("pop missing", lambda c: c.pop("absent")),
        ("get without hash", lambda c: c.get(HashFails())),
    ],
    "set": [
        ("add nothing", lambda c: c.add()),
        ("add two", lambda c: c.add(Member(1), Member(2))),
        ("remove missing", lambda c: c.remove(Member(1))),
        ("pop one", lambda c: c.pop(1)),
        ("less than a number", lambda c: c < 5),
        ("or number", lambda c: c | 5),
        ("number minus", lambda c: 5 - c),
        ("ior number", lambda c: c.__ior__(5)),
        ("in without hash", lambda c: HashFails() in c),
        ("add without hash", lambda c: c.add(HashFails())),
    ],
}


class HashFails:
    def __hash__(self) -> int:
        raise ZeroDivisionError("hash fails")


def _grid(table: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(kind, *case[1:], id=f"{kind.name}-{case[0]}")
        for kind in KINDS
        for case in table[kind.shape]
        if not kind.by_identity or "hash" not in case[0]
    ]


def _exception(operation: Any, container: Any) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the type is what is compared
        operation(container)
    return caught.value


@pytest.mark.parametrize(("kind", "operation", "name"), _grid(BAD))
def test_bad_input(kind: Kind, operation: Any, name: str) -> None:
    some = members(4)
    expected = _exception(operation, kind.build(some, kind.stdlib))
    container = kind.build(some)
    actual = _exception(operation, container)
    assert type(actual) is type(expected) is TypeError
    assert f"'{name}'" in str(actual)
    check_holds(kind, container, some)


@pytest.mark.parametrize(("kind", "operation"), _grid(WRONG_CALLS))
def test_wrong_calls(kind: Kind, operation: Any) -> None:
    some = members(4)
    expected = _exception(operation, kind.build(some, kind.stdlib))
    container = kind.build(some)
    assert type(_exception(operation, container)) is type(expected)
    check_holds(kind, container, some)


def test_membership_of_what_can_never_be_in(kind: Kind) -> None:
    if kind.shape == "value":
        pytest.skip("any hashable can be a key of a value dictionary")
    container = kind.build(kept := members(3))
    for never in (1, "x", None, (), 1.5, [], {}):
        assert (never in container) is False
    assert len(kept) == 3


@pytest.mark.parametrize("form", ["list", "iterator", "mapping", "ior", "keywords", "union"])
def test_update_with_good_and_bad_changes_nothing(kind: Kind, form: str) -> None:
    some, fresh = members(3), members(6)[3:]
    container = kind.build(some)
    content = kind.content(fresh)
    bad = {"key": (5, "value"), "value": ("bad", 5), "set": 5}[kind.shape]
    content.insert(2, bad)
    if form == "iterator":
        content = iter(content)
    elif form == "mapping" and kind.shape != "set":
        content = dict(content)
    if form == "ior":
        change = functools.partial(operator.ior, container, content)
    elif form == "keywords" and kind.shape == "value":
        change = functools.partial(container.update, good=fresh[0], bad=5)
    elif form == "keywords" and kind.shape == "key":
        change = functools.partial(container.update, [(fresh[0], 1)], bad=5)
    elif form == "union":
        content = dict(content) if kind.shape != "set" else content
        change = functools.partial(operator.or_, container, content)
    else:
        change = functools.partial(container.update, content)
    with pytest.raises(TypeError, match=r"'int'|'str'"):
        change()
    check_holds(kind, container, some)


@kinds(COMPARING)
def test_update_with_an_unhashable_among_good_changes_nothing(kind: Kind) -> None:
    some, fresh = members(3), members(6)[3:]
    container = kind.build(some)
    content = kind.content(fresh)
    bad = {"key": (Unhashable(), VALUE), "value": ([], fresh[0]), "set": Unhashable()}[kind.shape]
    content.insert(1, bad)
    with pytest.raises(TypeError, match=r"Unhashable|list"):
        container.update(content)
    check_holds(kind, container, some)


def test_update_from_an_iterator_that_fails(kind: Kind) -> None:
    some, fresh = members(3), members(6)[3:]
    container = kind.build(some)

    def broken() -> Any:
        yield from kind.content(fresh)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        container.update(broken())
    check_holds(kind, container, some)


def test_update_from_itself(kind: Kind) -> None:
    some = members(10)
    container = kind.build(some)
    container.update(container)
    container |= container
    check_holds(kind, container, some)


def test_update_from_the_other_library(kind: Kind) -> None:
    some, more = members(3), members(6)
    container = kind.build(some)
    theirs = kind.build(more[3:], kind.stdlib)
    container.update(theirs)
    check_holds(kind, container, [*some, *kind.iterate(theirs)])
    theirs.update(kind.build(some))
    assert len(theirs) == 6


@kinds(COMPARING)
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, TypeError, KeyboardInterrupt])
def test_exceptions_of_eq_and_hash_come_out(kind: Kind, error: type[BaseException]) -> None:
    class Picky(Member):
        fail = ""

        def __eq__(self, other: object) -> bool:
            if self.fail == "eq":
                raise error("eq")
            return self is other

        def __hash__(self) -> int:
            if self.fail == "hash":
                raise error("hash")
            return 3

    labels = [Picky(n) for n in range(3)]
    some = labels if kind.shape != "value" else [Member(label) for label in labels]
    container = kind.build(some)
    other = Member("other")
    operations: list[Any] = {
        "key": [
            lambda probe: container[probe],
            lambda probe: container.get(probe),
            lambda probe: container.setdefault(probe, other),
            lambda probe: container.pop(probe, 1),
            lambda probe: container.__setitem__(probe, other),
            lambda probe: container.__delitem__(probe),
            lambda probe: probe in container,
        ],
        "value": [
            lambda probe: container[probe],
            lambda probe: container.get(probe),
            lambda probe: container.setdefault(probe, other),
            lambda probe: container.pop(probe, 1),
            lambda probe: container.__setitem__(probe, other),
            lambda probe: container.__delitem__(probe),
            lambda probe: probe in container,
        ],
        "set": [
            lambda probe: container.add(probe),
            lambda probe: container.discard(probe),
            lambda probe: container.remove(probe),
            lambda probe: probe in container,
        ],
    }[kind.shape]
    for fail in ("eq", "hash"):
        for operation in operations:
            Picky.fail = fail
            with pytest.raises(error, match=fail):
                operation(Picky("probe"))
            Picky.fail = ""
            check_holds(kind, container, some)


def test_a_subclass_has_names_of_its_own(kind: Kind) -> None:
    """None that a user would think of is in the way of ours."""
    names = ("table", "members", "content", "empty", "made", "iteration", "plain", "lenient")
    names += ("extend", "merge", "state", "attributes", "copy", "key", "value", "by_identity")

    class Own(kind.cls):  # type: ignore[name-defined, misc]
        def __init__(self, *args: Any) -> None:
            for name in names:
                setattr(self, f"_{name}", [])
            super().__init__(*args)

    some = members(3)
    container = kind.build(some, Own)
    other = Own(container)
    other.update(container)
    assert other == container
    assert repr(other).startswith(("<Own", "Own"))
    for result in (container | other, container.copy(), copy.copy(container)):
        assert len(result) == 3
