"""What is particular to WeakValueDictionary; `dict` and the stdlib's own are the oracles."""

from __future__ import annotations

import collections
import copy
import gc
import types
import weakref
from typing import Any

import pytest
from support import PYPY, REPEATS, CollidingMember, Member, gc_collect_harder, let_die, members

from weakly import KeyedRef, WeakValueDictionary

one, two, three, four = (Member(name) for name in ("one", "two", "three", "four"))


class Key:
    """A key compared by its name, whose hashes collide."""

    def __init__(self, name: Any) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.name == other.name

    def __hash__(self) -> int:
        return 3

    def __repr__(self) -> str:
        return f"Key({self.name!r})"


OPERATIONS: dict[str, Any] = {
    "getitem": lambda m: m["a"],
    "get": lambda m: m.get("b"),
    "get missing": lambda m: m.get("d"),
    "get default": lambda m: m.get("d", 5),
    "get found, default given": lambda m: m.get("a", 5),
    "in": lambda m: ("a" in m, "d" in m, 1 in m, None in m, () in m),
    "setitem new": lambda m: m.__setitem__("d", four),
    "setitem old": lambda m: m.__setitem__("b", four),
    "setitem same": lambda m: m.__setitem__("b", two),
    "delitem": lambda m: m.__delitem__("b"),
    "delitem missing": lambda m: m.__delitem__("d"),
    "getitem missing": lambda m: m["d"],
    "getitem missing tuple": lambda m: m[(1, 2)],
    "pop": lambda m: m.pop("b"),
    "pop default": lambda m: m.pop("d", 5),
    "pop found, default given": lambda m: m.pop("a", 5),
    "pop missing": lambda m: m.pop("d"),
    "popitem": lambda m: m.popitem(),
    "popitem twice": lambda m: (m.popitem(), m.popitem()),
    "setdefault old": lambda m: m.setdefault("a", four),
    "setdefault new": lambda m: m.setdefault("d", four),
    "clear": lambda m: m.clear(),
    "keys": lambda m: list(m.keys()),
    "values": lambda m: list(m.values()),
    "items": lambda m: list(m.items()),
    "iter": lambda m: list(m),
    "reversed": lambda m: list(reversed(m)),
    "len": lambda m: len(m),
    "bool": lambda m: bool(m),
    "update dict": lambda m: m.update({"d": four, "a": two}),
    "update pairs": lambda m: m.update([("d", four), ("d", one)]),
    "update generator": lambda m: m.update((key, four) for key in "ad"),
    "update mapping": lambda m: m.update(collections.ChainMap({"d": four})),
    "update proxy": lambda m: m.update(types.MappingProxyType({"d": four})),
    "update stdlib": lambda m: m.update(weakref.WeakValueDictionary({"d": four})),
    "update ours": lambda m: m.update(WeakValueDictionary({"d": four, "a": four})),
    "update keywords": lambda m: m.update(d=four, other=one, self=two),
    "update both": lambda m: m.update({"d": four, "a": two}, a=three, e=one),
    "update nothing": lambda m: m.update(),
    "or dict": lambda m: list((m | {"d": four, "a": two}).items()),
    "or ours": lambda m: list((m | WeakValueDictionary({"d": four})).items()),
    "ror dict": lambda m: list(({"d": four, "a": two} | m).items()),
    "ior dict": lambda m: list(m.__ior__({"d": four}).items()),
    "ior pairs": lambda m: list(m.__ior__([("d", four)]).items()),
    "eq dict": lambda m: (m == {"a": one, "b": two, "c": three}, m == {"a": one}),
    "eq other order": lambda m: m == {"c": three, "b": two, "a": one},
    "eq other thing": lambda m: (m == 5, m != 5, m == ["a", "b", "c"]),
    "copy": lambda m: list(m.copy().items()),
}
CONTENT = {"a": one, "b": two, "c": three}


def outcome(operation: Any, mapping: Any) -> Any:
    try:
        result = operation(mapping)
    except Exception as error:
        result = (type(error), error.args if isinstance(error, KeyError) else None)
    return result, list(mapping.items())


@pytest.mark.parametrize("name", OPERATIONS)
def test_like_dict(name: str) -> None:
    mapping = WeakValueDictionary(CONTENT)
    actual = outcome(OPERATIONS[name], mapping)
    assert actual == outcome(OPERATIONS[name], dict(CONTENT))
    mapping._check()


@pytest.mark.parametrize("name", OPERATIONS)
def test_like_dict_on_empty(name: str) -> None:
    mapping: Any = WeakValueDictionary()
    actual = outcome(OPERATIONS[name], mapping)
    if name.startswith("popitem"):  # dict's message is its own
        assert actual[0][0] is KeyError
    else:
        assert actual == outcome(OPERATIONS[name], {})
    mapping._check()


@pytest.mark.parametrize("name", [name for name in OPERATIONS if "reversed" not in name])
def test_like_the_stdlib(name: str) -> None:
    actual = outcome(OPERATIONS[name], WeakValueDictionary(CONTENT))
    assert actual == outcome(OPERATIONS[name], weakref.WeakValueDictionary(CONTENT))


def test_missing_value_makes_a_missing_key() -> None:
    mapping: Any = WeakValueDictionary()
    mapping["k"] = Member("dies")
    let_die()
    assert "k" not in mapping
    assert mapping.get("k") is None
    for operation in (mapping.__getitem__, mapping.__delitem__, mapping.pop, mapping._getref):
        with pytest.raises(KeyError) as caught:
            operation("k")
        assert caught.value.args == ("k",)
    assert mapping.pop("k", 5) == 5
    assert mapping.setdefault("k", one) is one
    mapping._check()


# --- keys


def test_keys_are_strong_and_freed_with_the_entry() -> None:
    class Name(Member):
        pass

    values = members(5)
    names = [Name(label) for label in range(5)]
    watches = [weakref.ref(name) for name in names]
    mapping = WeakValueDictionary(zip(names, values, strict=True))
    del names[:]
    let_die()
    assert all(watch() is not None for watch in watches)
    values[0] = None
    let_die()
    del mapping[watches[1]()]
    mapping.pop(watches[2]())
    mapping.popitem()
    let_die()
    assert [watch() is None for watch in watches] == [True, True, True, False, True]
    mapping.clear()
    let_die()
    assert watches[3]() is None


def test_equal_keys_of_different_types() -> None:
    mapping: Any = WeakValueDictionary({1: one})
    assert mapping[1.0] is mapping[True] is one
    mapping[True] = two
    assert list(mapping.items()) == [(1, two)]
    assert type(next(iter(mapping))) is int
    mapping._check()


@pytest.mark.parametrize(
    "key", ["", "text", "é", 0, -1, 2**70, 1.5, None, (), (1, "x"), b"x", frozenset(), int, Key(1)]
)
def test_kinds_of_keys(key: Any) -> None:
    mapping: Any = WeakValueDictionary()
    mapping[key] = one
    assert mapping[key] is one
    assert mapping.get(key) is one
    assert key in mapping
    assert list(mapping.items()) == [(key, one)]
    assert mapping.valuerefs()[0].key is key
    assert mapping.pop(key) is one
    mapping._check()


def test_string_keys_that_are_equal_not_identical() -> None:
    values = members(100)
    mapping = WeakValueDictionary((f"key{n}", value) for n, value in enumerate(values))
    for n, value in enumerate(values):
        assert mapping["".join(["k", "ey", str(n)])] is value
    mapping[5] = one  # no longer strings alone
    for n, value in enumerate(values):
        assert mapping["".join(["k", "ey", str(n)])] is value

    class Text(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return False

        __hash__ = str.__hash__

    assert Text("key5") not in mapping
    mapping._check()


def test_colliding_keys() -> None:
    values = members(30)
    mapping: Any = WeakValueDictionary((Key(n), value) for n, value in enumerate(values))
    assert [mapping[Key(n)] for n in range(30)] == values
    del values[10:20]
    let_die()
    assert [key.name for key in mapping] == [*range(10), *range(20, 30)]
    assert Key(15) not in mapping
    mapping._check()


def test_an_equal_key_keeps_the_first_one_and_its_place() -> None:
    keys = [Key(n) for n in range(3)]
    mapping: Any = WeakValueDictionary((key, one) for key in keys)
    mapping[Key(1)] = two
    assert all(key is first for key, first in zip(mapping, keys, strict=True))
    assert list(mapping.values()) == [one, two, one]


# --- values


def test_one_value_under_many_keys() -> None:
    value = Member("shared")
    mapping: Any = WeakValueDictionary(dict.fromkeys(range(100), value))
    assert len(mapping) == 100
    del mapping[5]
    assert len(mapping) == 99
    del value
    let_die()
    assert len(mapping) == 0
    mapping._check()


def test_an_overwritten_value_dies_without_taking_the_entry() -> None:
    """bpo-28427 and its like: the old reference must not remove the newer entry."""
    mapping: Any = WeakValueDictionary()
    old, new = Member("old"), Member("new")
    mapping["k"] = old
    kept = mapping.valuerefs()
    mapping["k"] = new
    del old
    let_die()
    assert mapping["k"] is new
    assert kept[0]() is None
    assert kept[0].key == "k"
    mapping._check()


def test_a_removed_value_dies_without_taking_a_newer_entry() -> None:
    mapping: Any = WeakValueDictionary()
    for remove in (mapping.pop, mapping.__delitem__, lambda _: mapping.clear()):
        old, new = Member("old"), Member("new")
        old.other = old
        mapping["k"] = old
        kept = mapping.valuerefs()
        remove("k")
        mapping["k"] = new
        del old
        gc_collect_harder()
        assert mapping["k"] is new
        assert kept[0]() is None
        mapping._check()


def test_values_compared_by_equality_are_still_told_apart() -> None:
    first, second = CollidingMember(1), CollidingMember(1)
    mapping: Any = WeakValueDictionary(a=first, b=second)
    assert mapping["a"] is first
    assert mapping["b"] is second
    del first
    let_die()
    assert list(mapping.items()) == [("b", second)]


def test_unhashable_values_are_welcome() -> None:
    class Bag(set):  # type: ignore[type-arg]
        pass

    bag = Bag()
    mapping: Any = WeakValueDictionary(bag=bag)
    assert mapping["bag"] is bag
    del bag
    let_die()
    assert len(mapping) == 0


# --- references


def test_valuerefs() -> None:
    mapping = WeakValueDictionary(CONTENT)
    references = mapping.valuerefs()
    assert type(references) is list
    assert all(isinstance(reference, KeyedRef) for reference in references)
    assert [(ref.key, ref()) for ref in references] == list(CONTENT.items())
    assert mapping._getref("a") is references[0]
    references.clear()
    assert len(mapping) == 3


def test_itervaluerefs() -> None:
    values = members(5)
    mapping = WeakValueDictionary(enumerate(values))
    iterator = mapping.itervaluerefs()
    assert iter(iterator) is iterator
    first = next(iterator)
    assert isinstance(first, KeyedRef)
    assert (first.key, first()) == (0, values[0])
    del values[3]
    let_die()
    assert [reference.key for reference in iterator] == [1, 2, 4]


def test_a_reference_outlives_its_entry_and_table() -> None:
    mapping: Any = WeakValueDictionary({("a", "key"): one})
    (reference,) = mapping.valuerefs()
    del mapping[("a", "key")]
    assert reference() is one
    assert reference.key == ("a", "key")
    mapping[("a", "key")] = one
    (second,) = mapping.valuerefs()
    del mapping
    let_die()
    assert second() is one
    assert second.key == ("a", "key")
    assert weakref.getweakrefs(one).count(second) >= 1


def test_a_kept_reference_keeps_the_key_alive() -> None:
    key = Key("k")
    watch = weakref.ref(key)
    mapping: Any = WeakValueDictionary({key: one})
    (reference,) = mapping.valuerefs()
    del key, mapping
    let_die()
    assert reference.key is watch()
    del reference
    let_die()
    assert watch() is None


# --- more operations


def test_missing() -> None:
    class Making(WeakValueDictionary[Any, Any]):
        def __missing__(self, key: Any) -> Any:
            self[key] = value = Member(key)
            return value

    mapping = Making()
    made = mapping["x"]
    assert mapping["x"] is made
    del made
    let_die()
    assert mapping.get("x") is None
    assert "x" not in mapping
    assert mapping["x"].label == "x"
    with pytest.raises(TypeError, match="'list'"):
        mapping[[]]


def test_fromkeys() -> None:
    mapping = WeakValueDictionary.fromkeys("abc", one)
    assert type(mapping) is WeakValueDictionary
    assert list(mapping.items()) == [("a", one), ("b", one), ("c", one)]
    assert len(WeakValueDictionary.fromkeys([])) == 0
    with pytest.raises(TypeError, match="'NoneType'"):
        WeakValueDictionary.fromkeys("abc")


def test_constructor_keywords() -> None:
    mapping: Any = WeakValueDictionary(self=one, other=two, dict=three)
    assert mapping == {"self": one, "other": two, "dict": three}
    mapping = WeakValueDictionary({"a": one}, a=two, b=three)
    assert list(mapping.items()) == [("a", two), ("b", three)]


def test_setdefault_needs_a_value() -> None:
    mapping: Any = WeakValueDictionary(a=one)
    assert mapping.setdefault("a") is one  # never looks at the default
    assert mapping.setdefault("a", 5) is one
    with pytest.raises(TypeError, match="'NoneType'"):
        mapping.setdefault("b")
    assert list(mapping) == ["a"]
    assert mapping.setdefault("b", default=two) is two
    assert mapping.get("c", default=three) is three
    assert mapping.get(key="b") is two


def test_unions_are_of_our_type() -> None:
    mapping = WeakValueDictionary(a=one)
    for union in (mapping | mapping, mapping | {"b": two}, {"b": two} | mapping):
        assert type(union) is WeakValueDictionary
        union._check()
    theirs = weakref.WeakValueDictionary(b=two)
    assert dict(mapping | theirs) == dict(theirs | mapping) == {"a": one, "b": two}
    for other in (5, [], "x", None):
        assert mapping.__or__(other) is NotImplemented
        assert mapping.__ror__(other) is NotImplemented


def test_deepcopy_copies_keys_not_values() -> None:
    class Mine(WeakValueDictionary[Any, Any]):
        pass

    keys = [Key([1]), Key([2])]
    mapping = Mine({keys[0]: one, keys[1]: two})
    twin = copy.deepcopy(mapping)
    assert type(twin) is Mine
    assert list(twin) == keys
    assert all(copied is not key for copied, key in zip(twin, keys, strict=True))
    assert list(twin.values()) == [one, two]
    twin._check()


def test_copy_of_a_subclass_is_the_base_as_in_the_stdlib() -> None:
    class Mine(WeakValueDictionary[Any, Any]):
        pass

    assert type(Mine(a=one).copy()) is WeakValueDictionary


def test_iterating_keys_hands_out_keys_of_live_values_only() -> None:
    values = members(REPEATS)
    mapping: Any = WeakValueDictionary(enumerate(values))
    seen = []
    for key in mapping:
        seen.append(key)
        if key + 1 < REPEATS:
            values[key + 1] = None
        let_die()
    assert seen == list(range(0, REPEATS, 2))


# --- data, the private view


def test_data_by_key() -> None:
    values = members(3)
    mapping: Any = WeakValueDictionary(zip("abc", values, strict=True))
    data = mapping.data
    assert data["a"]() is values[0]
    assert isinstance(data["a"], KeyedRef)
    assert data["a"].key == "a"
    with pytest.raises(KeyError):
        data["absent"]
    data["a"] = KeyedRef(values[1], mapping._remove, "a")
    assert mapping["a"] is values[1]
    data["d"] = KeyedRef(values[2], mapping._remove, "d")
    assert mapping["d"] is values[2]
    del data["b"]
    assert list(mapping) == list(data) == ["a", "c", "d"]
    assert "b" not in data
    del values[2]
    let_die()
    assert list(data) == ["a"]
    assert [key for key, _ in data.items()] == ["a"]
    mapping._check()


@pytest.mark.skipif(PYPY, reason="PyPy's collector has no such view")
def test_the_collector_sees_the_keys_that_the_table_owns() -> None:
    key = Key("visible")
    mapping = WeakValueDictionary({key: one})
    seen: list[Any] = [mapping]
    for level in range(4):
        seen += [each for each in gc.get_referents(*seen[level:]) if each is not None]
        if any(each is key for each in seen):
            return
    pytest.fail("the key cannot be reached through tp_traverse: a cycle through it would leak")


@pytest.mark.parametrize("change", ["clear", "delete", "pop", "overwrite", "init", "table dies"])
@pytest.mark.parametrize("grown", [False, True])
def test_references_met_by_an_iterator_have_their_key(change: str, grown: bool) -> None:
    """Whether an entry removed meanwhile is visited is open; a reference without its key is not."""
    values = members(10)
    mapping: Any = WeakValueDictionary(enumerate(values))
    iterators = [mapping.itervaluerefs() for _ in range(3)]
    next(iterators[1])
    if grown:
        mapping.update(dict.fromkeys(range(100, 1000), values[0]))
    if change == "clear":
        mapping.clear()
    elif change == "init":
        mapping.__init__()
    elif change == "table dies":
        del mapping
        let_die()
    else:
        for key in range(10):
            if change == "delete":
                del mapping[key]
            elif change == "pop":
                mapping.pop(key)
            else:
                mapping[key] = values[9 - key]
    for iterator in iterators:
        for reference in iterator:
            value = reference()
            assert value is not None
            assert reference.key in (value.label, 9 - value.label)
