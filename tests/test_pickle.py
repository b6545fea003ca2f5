"""Pickles: the live entries go in, and those whose referents something else keeps come out."""

from __future__ import annotations

import concurrent.futures
import copyreg
import io
import multiprocessing
import pickle
import weakref
from typing import Any

import pytest
from support import (
    C_CORE,
    KINDS,
    PYPY,
    EqualMember,
    Kind,
    Member,
    check_holds,
    environment,
    gc_collect_harder,
    kinds,
    let_die,
    members,
)

import weakly
from weakly import (
    EphemeronDictionary,
    WeakDefaultDictionary,
    WeakIdKeyDictionary,
    WeakIdSet,
    WeakKeyDictionary,
    WeakKeyValueDictionary,
    WeakSet,
    WeakValueDictionary,
)

PROTOCOLS = pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
# As C code and as Python code.
PICKLERS = pytest.mark.parametrize("python", [False, True], ids=["C", "Python"])


def there_and_back(
    thing: Any, protocol: int = pickle.HIGHEST_PROTOCOL, python: bool = False
) -> Any:
    stream = io.BytesIO()
    (pickle._Pickler if python else pickle.Pickler)(stream, protocol).dump(thing)  # type: ignore[attr-defined]
    stream.seek(0)
    result = (pickle._Unpickler if python else pickle.Unpickler)(stream).load()  # type: ignore[attr-defined]
    let_die()
    return result


# Classes whose instances pickles can find by name.


class Node:
    """Something with a name, a dictionary and references to others."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.links: Any = None

    def __repr__(self) -> str:
        return f"Node({self.name!r})"


def build(kind: Kind, nodes: list[Node]) -> Any:
    if kind.shape == "set":
        return kind.cls(nodes)
    if kind.shape == "value":
        return kind.cls((node.name, node) for node in nodes)
    return kind.cls((node, node) for node in nodes)


class Tagged(WeakKeyDictionary[Any, Any]):
    __slots__ = ("x", "y")

    def __init__(self, tag: str, *, other: Any = None) -> None:
        super().__init__()
        self.tag = tag
        self.other = other


class TaggedSet(WeakSet[Any]):
    __slots__ = ("x", "y")

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.tag = tag


class OwnState(WeakValueDictionary[Any, Any]):
    lock: Any = "a lock, which no pickle takes"

    def __getstate__(self) -> Any:
        return {"kept": getattr(self, "kept", None)}

    def __setstate__(self, state: Any) -> None:
        self.kept = ["restored", state["kept"]]


class WithNewArguments(WeakIdSet[Any]):
    def __new__(cls, *args: Any) -> Any:
        if args != ("needed",):
            raise AssertionError(args)
        return super().__new__(cls)

    def __init__(self, _: str) -> None:
        super().__init__()

    def __getnewargs__(self) -> tuple[str]:
        return ("needed",)


class WithNewKeywords(WeakIdSet[Any]):
    def __new__(cls, *, needed: str) -> Any:
        self = super().__new__(cls)
        self.needed = needed
        return self

    def __init__(self, **_: Any) -> None:
        super().__init__()

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, str]]:
        return (), {"needed": self.needed}


class CallsOverridden(WeakKeyDictionary[Any, Any]):
    """Its methods need what is restored last; loading must not call them."""

    def __setitem__(self, key: Any, value: Any) -> None:
        self.log.append(key)
        super().__setitem__(key, value)

    def __len__(self) -> int:
        raise ZeroDivisionError


# --- the rule


@PROTOCOLS
@PICKLERS
def test_entries_whose_referents_are_in_the_same_pickle(
    kind: Kind, protocol: int, python: bool
) -> None:
    some = members(20)
    value = getattr(kind, "value", None)  # of an entry, which may be held weakly too
    container = kind.build(some)
    for order in ((0, 1), (1, 0)):
        pair = (some, container)
        both = there_and_back(([pair[at] for at in order], value), protocol, python)
        loaded = dict(zip(order, both[0], strict=True))
        assert type(loaded[1]) is kind.cls
        assert [member.label for member in loaded[0]] == list(range(20))
        check_holds(kind, loaded[1], loaded[0])
        assert not set(map(id, loaded[0])) & set(map(id, some))
        del loaded[0][::2]
        let_die()
        check_holds(kind, loaded[1], loaded[0])
    check_holds(kind, container, some)


@PROTOCOLS
@PICKLERS
def test_what_nothing_else_keeps_is_gone(kind: Kind, protocol: int, python: bool) -> None:
    some = members(20)
    container = kind.build(some)
    loaded = there_and_back(container, protocol, python)
    assert type(loaded) is kind.cls
    gc_collect_harder()
    check_holds(kind, loaded, [])
    value = getattr(kind, "value", None)
    part, loaded, value = there_and_back((some[5:8], container, value), protocol, python)
    check_holds(kind, loaded, part)
    kind.add(loaded, added := Member("added"))
    check_holds(kind, loaded, [*part, added])


def test_dead_entries_are_not_in_a_pickle(kind: Kind) -> None:
    some = members(5)
    container = kind.build(some)
    before = len(pickle.dumps((some, container)))
    del some[1:]
    let_die()
    assert len(pickle.dumps((some, container))) < before
    loaded, container = there_and_back((some, container))
    assert len(container) == 1 or kind.name == "key-value"
    assert len(loaded) == 1


def test_empty(kind: Kind) -> None:
    check_holds(kind, there_and_back(kind.cls()), [])


def test_pickling_leaves_the_container_alone(kind: Kind) -> None:
    some = members(5)
    container = kind.build(some)
    watches = [weakref.ref(each) for each in some]
    pickled = pickle.dumps(container)
    assert len(pickled) > 50
    check_holds(kind, container, some)
    some.clear()
    let_die()
    assert not any(watch() for watch in watches)


def test_protocols_0_and_1_work_too(kind: Kind) -> None:
    nodes = [Node(name) for name in "abc"]
    for protocol in (0, 1):
        loaded, container = there_and_back((nodes, build(kind, nodes)), protocol)
        assert list(kind.iterate(container)) == loaded
        container._check()


def test_a_referent_that_cannot_be_pickled(kind: Kind) -> None:
    container = kind.build(kept := [Member(lambda: None)])
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(container)
    check_holds(kind, container, kept)


# --- cycles

KEYED: list[Any] = [WeakKeyDictionary, EphemeronDictionary, WeakIdKeyDictionary]


@PROTOCOLS
@PICKLERS
@pytest.mark.parametrize("cls", KEYED)
def test_a_value_that_refers_to_its_container(cls: Any, protocol: int, python: bool) -> None:
    keys = [Node("one"), Node("two"), Node("three")]
    table = cls()
    table[keys[0]] = [table, keys[0]]
    table[keys[1]] = table
    table[keys[2]] = (table, keys)
    loaded, again = there_and_back((table, keys), protocol, python)
    assert list(loaded) == again
    assert loaded[again[0]][0] is loaded
    assert loaded[again[0]][1] is again[0]
    assert loaded[again[1]] is loaded
    assert loaded[again[2]] == (loaded, again)
    loaded._check()


@PROTOCOLS
@pytest.mark.parametrize("cls", KEYED)
@pytest.mark.parametrize("first", ["key", "container", "value"])
def test_a_key_that_refers_to_its_container(cls: Any, first: str, protocol: int) -> None:
    key = Node("key")
    table = cls({key: [key]})
    key.links = table
    pickled = {"key": key, "container": (table, key), "value": (table[key], key)}[first]
    loaded = there_and_back(pickled, protocol)
    key = loaded if first == "key" else loaded[1]
    assert list(key.links) == [key]
    assert key.links[key][0] is key
    if first == "container":
        assert loaded[0] is key.links


@PROTOCOLS
def test_containers_in_one_another(protocol: int) -> None:
    node = Node("node")
    outer: Any = WeakKeyDictionary({node: None})
    values: Any = WeakValueDictionary(outer=outer, node=node)
    some: Any = WeakSet([node])
    identity: Any = WeakIdSet([outer, values, some, node])
    pairs: Any = WeakKeyValueDictionary({node: values})
    identity.add(identity)
    values["values"] = values
    values["pairs"] = pairs
    outer[node] = [outer, values, some, identity, pairs]
    node_again, outer_again = there_and_back((node, outer), protocol)
    assert list(outer_again) == [node_again]
    again, values, some, identity, pairs = outer_again[node_again]
    assert again is outer_again
    assert dict(values) == {
        "outer": outer_again,
        "node": node_again,
        "values": values,
        "pairs": pairs,
    }
    assert list(some) == [node_again]
    assert identity == WeakIdSet([outer_again, values, some, node_again, identity])
    assert list(pairs.items()) == [(node_again, values)]


def test_a_set_that_its_member_refers_to() -> None:
    """Also one whose hash needs its attributes, as long as the set is loaded after them."""
    node = EqualMember("node")
    some: Any = WeakSet([node])
    node.other = [some]
    _, again = there_and_back((some, node))
    assert list(again.other[0]) == [again]
    ids: Any = WeakIdSet([node])
    node.other = ids
    again = there_and_back(node)
    assert list(again.other) == [again]


# --- subclasses


@PROTOCOLS
@PICKLERS
def test_subclass_with_attributes_slots_and_constructor_arguments(
    protocol: int, python: bool
) -> None:
    keys = [Node("one"), Node("two")]
    tagged: Any = Tagged("tag", other=[1])
    tagged.x, tagged.z = [2], keys
    tagged.other.append(tagged)
    tagged.update({keys[0]: "one", keys[1]: "two"})
    again = there_and_back(tagged, protocol, python)
    assert type(again) is Tagged
    assert (again.tag, again.x, again.other[0]) == ("tag", [2], 1)
    assert again.other[1] is again
    assert not hasattr(again, "y")
    assert list(again.items()) == [(again.z[0], "one"), (again.z[1], "two")]
    assert list(tagged) == keys

    some: Any = TaggedSet("tag")
    some.update(keys)
    some.y = keys
    again = there_and_back(some, protocol, python)
    assert type(again) is TaggedSet
    assert (again.tag, list(again)) == ("tag", again.y)
    assert not hasattr(again, "x")


def test_subclass_with_its_own_state() -> None:
    node = Node("node")
    own: Any = OwnState({"node": node})
    own.kept, own.lock = "attribute", lambda: None
    again, _node = there_and_back((own, node))
    assert again.kept == ["restored", "attribute"]
    assert list(again) == ["node"]
    assert again.lock == OwnState.lock


def test_subclass_with_arguments_of_new() -> None:
    node = Node("node")
    for some in (WithNewArguments("needed"), WithNewKeywords(needed="x")):
        some.add(node)
        again, node_again = there_and_back((some, node))
        assert type(again) is type(some)
        assert list(again) == [node_again]


def test_subclass_whose_overridden_methods_are_not_ready() -> None:
    node = Node("node")
    mine = CallsOverridden.__new__(CallsOverridden)
    mine.log = []
    mine[node] = 1
    again, node_again = there_and_back((mine, node))
    assert list(again.items()) == [(node_again, 1)]
    assert again.log == [node_again]


def test_default_factory() -> None:
    node = Node("node")
    table: Any = WeakDefaultDictionary(list)
    table[node].append(node)
    again, node_again = there_and_back((table, node))
    assert again.default_factory is list
    assert again[node_again] == [node_again]
    assert again[Node("new")] == []
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(WeakDefaultDictionary(lambda: 5))


def test_lenient_ones_stay_lenient(kind: Kind) -> None:
    kept = Member("kept")
    container = kind.cls.lenient(kind.content([kept]))
    value = getattr(kind, "value", None)
    again, kept, value = there_and_back((container, kept, value))
    check_holds(kind, again, [kept])
    again.add(5) if kind.shape == "set" else again.update({5: 5})
    assert again.strong_count() == 1


@pytest.mark.skipif(PYPY, reason="every class there has weak references")
def test_a_type_that_has_lost_its_weak_references_is_no_silent_strong_copy() -> None:
    """Nor half a container."""
    node = Node("node")
    pickled = pickle.dumps((node, WeakSet([node])))
    changed = pickled.replace(b"Node", b"Link")
    assert changed != pickled
    with pytest.raises(TypeError, match="cannot create weak reference to 'Link' object"):
        pickle.loads(changed)


class Link:
    """What Node may have become in another version of the program."""

    __slots__ = ("__dict__",)


# --- how programs use them


def test_the_shape_of_reduce_is_known_to_copyreg() -> None:
    table = WeakKeyDictionary()
    make, arguments, *_ = table.__reduce_ex__(4)
    assert make is copyreg.__newobj__  # type: ignore[attr-defined]
    assert arguments == (WeakKeyDictionary,)


def _grow(job: Any) -> Any:
    """Runs in another process: sees the container whole and sends it back with more."""
    nodes, container = job
    seen = len(container)
    nodes.append(Node("new"))
    if isinstance(container, WeakSet | WeakIdSet):
        container.add(nodes[-1])
    elif isinstance(container, WeakValueDictionary):
        container["new"] = nodes[-1]
    else:
        container[nodes[-1]] = nodes[-1]
    return seen, nodes, container, weakly.implementation


def test_through_a_pool_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    jobs = []
    for kind in KINDS:
        nodes = [Node(name) for name in ("a", "b")]
        jobs.append((nodes, build(kind, nodes)))
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        results = list(pool.map(_grow, jobs, timeout=120))
    for kind, (seen, nodes, container, implementation) in zip(KINDS, results, strict=True):
        assert seen == 2
        assert implementation == weakly.implementation
        assert type(container) is kind.cls
        assert [node.name for node in nodes] == ["a", "b", "new"]
        assert list(kind.iterate(container)) == nodes
        container._check()


@pytest.mark.c_core(reason="the Python tables cannot collect ephemerons")
@kinds(kind for kind in KINDS if kind.name in ("ephemeron", "id-key"))
def test_loaded_entries_are_ephemerons_again(kind: Kind) -> None:
    assert C_CORE
    node = Node("node")
    table = kind.cls({node: [node]})
    node, table = there_and_back((node, table))
    assert list(table) == [node]
    watch = weakref.ref(node)
    del node
    gc_collect_harder()
    assert watch() is None
    assert len(table) == 0
