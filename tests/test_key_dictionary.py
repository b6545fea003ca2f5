"""What is particular to WeakKeyDictionary; `dict` and the stdlib's own are the oracles."""

from __future__ import annotations

import collections
import copy
import types
import weakref
from typing import Any

import pytest
from support import (
    C_CORE,
    REPEATS,
    CollidingMember,
    EqualMember,
    Member,
    gc_collect_harder,
    let_die,
    members,
)

import weakly
from weakly import WeakKeyDictionary


def made_of(*labels: int) -> tuple[list[Any], WeakKeyDictionary[Any, Any]]:
    keys = [EqualMember(label) for label in labels]
    return keys, WeakKeyDictionary((key, f"v{key.label}") for key in keys)


# --- each operation, next to dict

a, b, c, d = (EqualMember(label) for label in "abcd")  # `a` to `c` are in, `d` is not
twin_a = EqualMember("a")

OPERATIONS: dict[str, Any] = {
    "getitem": lambda m: m[a],
    "getitem equal": lambda m: m[twin_a],
    "get": lambda m: m.get(b),
    "get missing": lambda m: m.get(d),
    "get default": lambda m: m.get(d, 5),
    "get found, default given": lambda m: m.get(a, 5),
    "in": lambda m: (a in m, twin_a in m, d in m),
    "setitem new": lambda m: m.__setitem__(d, 4),
    "setitem old": lambda m: m.__setitem__(b, 9),
    "setitem equal": lambda m: m.__setitem__(twin_a, 9),
    "delitem": lambda m: m.__delitem__(b),
    "delitem equal": lambda m: m.__delitem__(twin_a),
    "delitem missing": lambda m: m.__delitem__(d),
    "getitem missing": lambda m: m[d],
    "pop": lambda m: m.pop(b),
    "pop equal": lambda m: m.pop(twin_a, 5),
    "pop default": lambda m: m.pop(d, 5),
    "pop missing": lambda m: m.pop(d),
    "popitem": lambda m: m.popitem(),
    "popitem twice": lambda m: (m.popitem(), m.popitem()),
    "setdefault old": lambda m: m.setdefault(a, 5),
    "setdefault new": lambda m: m.setdefault(d, 5),
    "setdefault nothing": lambda m: m.setdefault(d),
    "setdefault equal": lambda m: m.setdefault(twin_a, 5),
    "clear": lambda m: m.clear(),
    "keys": lambda m: list(m.keys()),
    "values": lambda m: list(m.values()),
    "items": lambda m: list(m.items()),
    "iter": lambda m: list(m),
    "reversed": lambda m: list(reversed(m)),
    "len": lambda m: len(m),
    "bool": lambda m: bool(m),
    "update dict": lambda m: m.update({d: 4, a: 1}),
    "update pairs": lambda m: m.update([(d, 4), (d, 5)]),
    "update generator": lambda m: m.update((key, 0) for key in (a, d)),
    "update mapping": lambda m: m.update(collections.ChainMap({d: 4})),
    "update user dict": lambda m: m.update(collections.UserDict({d: 4})),
    "update proxy": lambda m: m.update(types.MappingProxyType({d: 4})),
    "update stdlib": lambda m: m.update(weakref.WeakKeyDictionary({d: 4})),
    "update ours": lambda m: m.update(WeakKeyDictionary({d: 4, twin_a: 7})),
    "update nothing": lambda m: m.update(),
    "update empty": lambda m: m.update([]),
    "update keys only": lambda m: m.update(KeysAndGetitem()),
    "or dict": lambda m: list((m | {d: 4, a: 0}).items()),
    "or ours": lambda m: list((m | WeakKeyDictionary({d: 4})).items()),
    "ror dict": lambda m: list(({d: 4, a: 0} | m).items()),
    "ior dict": lambda m: list(m.__ior__({d: 4}).items()),
    "ior pairs": lambda m: list(m.__ior__([(d, 4)]).items()),
    "eq dict": lambda m: (m == {a: 1, b: 2, c: 3}, m == {a: 1}, m != {a: 1, b: 2, c: 3}),
    "eq other order": lambda m: m == {c: 3, b: 2, a: 1},
    "eq other thing": lambda m: (m == 5, m != 5, m == [a, b, c]),
    "copy": lambda m: list(m.copy().items()),
}


class KeysAndGetitem:
    """A mapping only as far as `dict` asks for; has items(), which the stdlib's asks for."""

    def items(self) -> Any:
        return [(d, 4)]

    def keys(self) -> Any:
        return [d]

    def __getitem__(self, key: Any) -> Any:
        return 4


def outcome(operation: Any, mapping: Any) -> Any:
    try:
        result = operation(mapping)
    except Exception as error:
        result = (type(error), error.args if isinstance(error, KeyError) else None)
    return result, list(mapping.items())


@pytest.mark.parametrize("name", OPERATIONS)
def test_like_dict(name: str) -> None:
    content = {a: 1, b: 2, c: 3}
    mapping = WeakKeyDictionary(content)
    actual = outcome(OPERATIONS[name], mapping)
    expected = outcome(OPERATIONS[name], dict(content))
    assert actual == expected
    assert [id(key) for key in mapping] == [id(key) for key, _ in expected[1]]
    mapping._check()


@pytest.mark.parametrize("name", OPERATIONS)
def test_like_dict_on_empty(name: str) -> None:
    mapping: Any = WeakKeyDictionary()
    actual = outcome(OPERATIONS[name], mapping)
    expected = outcome(OPERATIONS[name], {})
    if name.startswith("popitem"):  # dict's message is its own
        assert actual[0][0] is KeyError
    else:
        assert actual == expected
    mapping._check()


@pytest.mark.parametrize("name", [name for name in OPERATIONS if "reversed" not in name])
def test_like_the_stdlib(name: str) -> None:
    content = {a: 1, b: 2, c: 3}
    mapping, theirs = WeakKeyDictionary(content), weakref.WeakKeyDictionary(content)
    actual = outcome(OPERATIONS[name], mapping)
    expected = outcome(OPERATIONS[name], theirs)
    if name.endswith("missing") and isinstance(actual[0], tuple):
        # a deliberate difference: our KeyError carries the key, theirs a reference
        assert actual[0][0] is expected[0][0]
        assert actual[1] == expected[1]
    else:
        assert actual == expected


def test_key_error_carries_the_key() -> None:
    mapping: Any = WeakKeyDictionary()
    for operation in (mapping.__getitem__, mapping.__delitem__, mapping.pop):
        with pytest.raises(KeyError) as caught:
            operation(d)
        assert caught.value.args[0] is d


# --- keys


@pytest.mark.parametrize("make", [EqualMember, CollidingMember])
def test_an_equal_key_keeps_the_first_one_and_its_place(make: Any) -> None:
    keys = members(10, make)
    mapping = WeakKeyDictionary((key, key.label) for key in keys)
    for label in range(10):
        twin = make(label)
        mapping[twin] = -label
        assert mapping[twin] == mapping[keys[label]] == -label
        assert mapping.setdefault(make(label), 5) == -label
        assert make(label) in mapping
    del twin
    let_die()
    assert len(mapping) == 10
    assert all(one is other for one, other in zip(mapping, keys, strict=True))
    mapping._check()


def test_the_entry_goes_with_the_first_of_equal_keys() -> None:
    first, second = EqualMember(1), EqualMember(1)
    mapping = WeakKeyDictionary({first: "x"})
    mapping[second] = "y"
    del first
    let_die()
    assert second not in mapping
    assert len(mapping) == 0
    mapping[second] = "z"
    assert next(iter(mapping)) is second


def test_an_equal_key_after_the_death_is_a_new_entry() -> None:
    mapping: Any = WeakKeyDictionary()
    for _ in range(REPEATS):
        mapping[EqualMember("same")] = Member("value")
        let_die()
        assert len(mapping) == 0
        assert EqualMember("same") not in mapping


@pytest.mark.c_core(reason="the interpreter's references may compare identical referents by ==")
def test_an_identical_key_is_found_without_eq() -> None:
    calls = []

    class Key(Member):
        def __eq__(self, other: object) -> bool:
            calls.append(other)
            return False

        __hash__ = Member.__hash__

    key = Key(1)
    mapping: Any = WeakKeyDictionary({key: 1})
    mapping[key] = 2
    assert mapping[key] == 2
    assert mapping.get(key) == mapping.setdefault(key) == mapping.pop(key) == 2
    assert calls == []


def test_keys_without_reflexive_equality() -> None:
    class Nan(Member):
        def __eq__(self, other: object) -> bool:
            return False

        __hash__ = Member.__hash__

    one = Nan(1)
    mapping: Any = WeakKeyDictionary({one: 1})
    if C_CORE:
        assert mapping[one] == 1
    mapping[Nan(2)] = 2
    let_die()
    assert list(mapping) == [one] or len(mapping) == 1
    mapping._check()


@pytest.mark.parametrize(
    "key",
    [
        Member,
        len,
        Member.__init__,
        types.ModuleType("m"),
        test_key_error_carries_the_key,
        frozenset,
    ],
    ids=["class", "builtin", "function", "module", "this module's function", "type"],
)
def test_kinds_of_keys(key: Any) -> None:
    mapping: Any = WeakKeyDictionary()
    mapping[key] = "found"
    assert mapping[key] == "found"
    assert list(mapping) == [key]
    assert mapping.pop(key) == "found"
    mapping._check()


def test_classes_as_keys_are_collected() -> None:
    mapping: Any = WeakKeyDictionary()
    mapping[type("Temporary", (), {})] = 1
    gc_collect_harder()
    assert len(mapping) == 0
    mapping._check()


def test_sets_and_frozensets_as_keys() -> None:
    key = frozenset({1})
    mapping: Any = WeakKeyDictionary({key: 1})
    assert mapping[frozenset({1})] == 1
    with pytest.raises(TypeError, match="'set'"):
        mapping[{1}] = 2
    assert len(mapping) == 1


def test_huge_and_negative_hashes() -> None:
    class Hashed(Member):
        def __hash__(self) -> int:
            return self.label  # type: ignore[no-any-return]

        def __eq__(self, other: object) -> bool:
            return self is other

    hashes = [0, 1, -1, -2, 2**61 - 1, 2**62, -(2**62), 2**63, 2**32, *(1 << n for n in range(64))]
    keys = [Hashed(value) for value in hashes]
    mapping: Any = WeakKeyDictionary()
    for at, key in enumerate(keys):
        mapping[key] = at
    mapping._check()
    assert [mapping[key] for key in keys] == list(range(len(keys)))
    for key in keys[::2]:
        del mapping[key]
    assert list(mapping) == keys[1::2]
    mapping._check()


# --- values


def test_values_are_strong_and_freed_with_the_key() -> None:
    class Value(Member):
        pass

    values = [Value(label) for label in range(7)]
    watches = [weakref.ref(value) for value in values]
    keys = members(7)
    mapping: Any = WeakKeyDictionary(zip(keys, values, strict=True))
    values.clear()
    let_die()
    assert all(watch() is not None for watch in watches)
    mapping[keys[0]] = None
    del mapping[keys[1]]
    mapping.pop(keys[2])
    mapping.popitem()
    keys[3] = None
    mapping.update({keys[4]: 0})
    let_die()
    assert [watch() is None for watch in watches] == [True] * 5 + [False, True]
    mapping.clear()
    let_die()
    assert watches[5]() is None


def test_values_are_freed_with_the_dictionary() -> None:
    keys = members(10)
    value = Member("value")
    watch = weakref.ref(value)
    mapping = WeakKeyDictionary((key, value) for key in keys)
    iterator = iter(mapping.items())
    del value
    next(iterator)
    del mapping, iterator
    let_die()
    assert watch() is None


def test_any_value() -> None:
    key = Member(1)
    mapping: Any = WeakKeyDictionary()
    for value in (None, 0, "", [], mapping, NotImplemented, KeyError, weakref.ref(key)):
        mapping[key] = value
        assert mapping[key] is value
        assert mapping.get(key, 5) is value
        assert mapping.setdefault(key, 5) is value
        assert mapping.pop(key) is value
    mapping._check()


def test_a_value_that_refers_to_its_key_keeps_it() -> None:
    """As in the stdlib: the values are strong."""
    key: Any = Member("key")
    mapping: Any = WeakKeyDictionary()
    mapping[key] = [key]
    watch = weakref.ref(key)
    del key
    gc_collect_harder()
    assert len(mapping) == 1
    assert watch() is not None
    mapping.clear()
    gc_collect_harder()
    assert watch() is None


def test_defaults_by_keyword() -> None:
    """The stdlib's methods take them so."""
    mapping: Any = WeakKeyDictionary()
    assert mapping.get(a, default=5) == 5
    assert mapping.get(key=a, default=5) == 5
    assert mapping.setdefault(a, default=6) == 6
    assert mapping.setdefault(key=a) == 6
    assert WeakKeyDictionary(dict={a: 1})[a] == 1


# --- more operations


def test_missing() -> None:
    class Counting(WeakKeyDictionary[Any, Any]):
        def __missing__(self, key: Any) -> Any:
            return f"missing {key.label}"

    keys = members(2)
    mapping = Counting({keys[0]: 1})
    assert mapping[keys[0]] == 1
    assert mapping[keys[1]] == "missing 1"
    assert mapping.get(keys[1]) is None
    assert keys[1] not in mapping
    with pytest.raises(KeyError):
        del mapping[keys[1]]
    with pytest.raises(KeyError):
        mapping.pop(keys[1])
    assert mapping.setdefault(keys[1], 5) == 5
    with pytest.raises(TypeError, match="'int'"):
        mapping[5]


def test_missing_that_inserts_and_that_raises() -> None:
    class Default(WeakKeyDictionary[Any, Any]):
        def __missing__(self, key: Any) -> Any:
            self[key] = value = []
            return value

    key = Member(1)
    mapping = Default()
    mapping[key].append(1)
    mapping[key].append(2)
    assert mapping[key] == [1, 2]

    class Raising(WeakKeyDictionary[Any, Any]):
        def __missing__(self, key: Any) -> Any:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Raising()[key]


def test_fromkeys() -> None:
    keys = members(3)
    mapping = WeakKeyDictionary.fromkeys(keys)
    assert type(mapping) is WeakKeyDictionary
    assert list(mapping.items()) == [(key, None) for key in keys]
    assert list(WeakKeyDictionary.fromkeys(iter(keys), 5).values()) == [5] * 3

    class Mine(WeakKeyDictionary[Any, Any]):
        pass

    assert type(Mine.fromkeys(keys, 1)) is Mine
    with pytest.raises(TypeError, match="'int'"):
        WeakKeyDictionary.fromkeys([1])


def test_keyrefs() -> None:
    keys = members(3)
    mapping = WeakKeyDictionary.fromkeys(keys)
    references = mapping.keyrefs()
    assert type(references) is list
    assert [reference() for reference in references] == keys
    references.clear()
    assert len(mapping) == 3


def test_unions_are_of_our_type() -> None:
    keys, mapping = made_of(1, 2)
    for union in (mapping | mapping, mapping | {keys[0]: 0}, {keys[0]: 0} | mapping):
        assert type(union) is WeakKeyDictionary
        assert len(union) == 2
        union._check()
    assert ({keys[0]: 0} | mapping)[keys[0]] == "v1"
    assert (mapping | {keys[0]: 0})[keys[0]] == 0
    theirs = weakref.WeakKeyDictionary({keys[0]: 0})
    assert len(mapping | theirs) == len(theirs | mapping) == 2
    same = mapping
    mapping |= {keys[0]: 0}
    assert mapping is same


def test_union_with_what_is_no_mapping() -> None:
    _, mapping = made_of(1, 2)
    for other in (5, [], "x", None, {1, 2}):
        assert mapping.__or__(other) is NotImplemented
        assert mapping.__ror__(other) is NotImplemented


def test_update_with_keywords_names_their_type() -> None:
    _, mapping = made_of(1, 2)
    with pytest.raises(TypeError, match="'str'"):
        mapping.update(dict=5)
    mapping.update(None)
    assert len(mapping) == 2


def test_equality_between_kinds() -> None:
    keys, mapping = made_of(1, 2, 3)
    assert mapping == weakref.WeakKeyDictionary(mapping)
    assert weakref.WeakKeyDictionary(mapping) == mapping
    assert mapping == dict(mapping)
    assert dict(mapping) == mapping
    assert mapping == WeakKeyDictionary(dict(mapping))
    mapping[keys[0]] = "changed"
    assert mapping != WeakKeyDictionary(weakref.WeakKeyDictionary((key, 1) for key in keys))


def test_deepcopy_copies_values_not_keys() -> None:
    keys = members(2)
    values: list[Any] = [[1], {"shared": [2]}]
    mapping: Any = WeakKeyDictionary(zip(keys, values, strict=True))
    twin = copy.deepcopy(mapping)
    assert type(twin) is WeakKeyDictionary
    assert list(twin) == keys
    assert list(twin.values()) == values
    assert all(one is not other for one, other in zip(twin.values(), values, strict=True))


def test_deepcopy_keeps_the_type_and_shares_through_the_memo() -> None:
    class Mine(WeakKeyDictionary[Any, Any]):
        pass

    keys = members(2)
    shared: list[int] = []
    mine = Mine({keys[0]: shared, keys[1]: shared})
    twin, copied = copy.deepcopy((mine, shared))
    assert type(twin) is Mine
    assert twin[keys[0]] is twin[keys[1]] is copied


def test_deepcopy_of_a_dictionary_in_its_own_values() -> None:
    key = Member(1)
    mapping: Any = WeakKeyDictionary()
    mapping[key] = [mapping]
    twin = copy.deepcopy(mapping)
    assert twin[key][0] is twin
    mapping.clear()
    twin.clear()


def test_copy_of_a_subclass_is_the_base_as_in_the_stdlib() -> None:
    class Mine(WeakKeyDictionary[Any, Any]):
        pass

    assert type(Mine().copy()) is WeakKeyDictionary


# --- data, the private view by reference


def test_data_by_reference() -> None:
    keys, mapping = made_of(1, 2, 3)
    data = mapping.data
    assert data[weakref.ref(keys[0])] == "v1"
    assert data.get(weakref.ref(EqualMember(9))) is None
    with pytest.raises(KeyError):
        data[weakref.ref(EqualMember(9))]
    data[weakref.ref(keys[0])] = "new"
    assert mapping[keys[0]] == "new"
    del data[weakref.ref(keys[1])]
    assert list(mapping) == [keys[0], keys[2]]
    assert weakref.ref(keys[1]) not in data
    dead = weakref.ref(EqualMember(1))
    let_die()
    assert dead not in data
    data[dead] = 1
    assert len(mapping) == len(data) == 2
    data[weakref.ref(keys[1])] = "back"
    assert list(mapping) == [keys[0], keys[2], keys[1]]
    assert [(key(), value) for key, value in data.items()] == list(mapping.items())
    assert data == dict(zip(mapping.keyrefs(), mapping.values(), strict=True))
    data.clear()
    assert len(mapping) == 0
    mapping._check()


def test_data_keeps_nothing_alive_but_the_dictionary() -> None:
    keys, mapping = made_of(1, 2)
    data = mapping.data
    list(data.items())
    keys.clear()
    let_die()
    assert len(data) == len(mapping) == 0


def test_usable_as_weakref_itself() -> None:
    assert issubclass(weakly.WeakKeyDictionary, collections.abc.MutableMapping)
