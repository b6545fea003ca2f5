"""weakly.attribute: what it reads as, in every kind of class, copied and pickled."""

# ruff: noqa: RUF009 - an attribute is no default that instances could share

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any

import attrs
import pytest
from support import COUNTS_REFERENCES, PYPY, check_runs, gc_collect_harder, let_die

import weakly


class Plain:
    parent = weakly.attribute["Plain"]()

    def __init__(self, name: str = "", parent: Any = None) -> None:
        self.name = name
        self.children: list[Any] = []
        self.parent = parent


class Slotted:
    __slots__ = ("__weakref__", "_parent_ref", "children", "name")
    parent = weakly.attribute["Slotted"]()

    __init__ = Plain.__init__


class SlottedChild(Slotted):
    __slots__ = ()


class PlainChild(Slotted):
    """Has a slot from its base, and a dict."""


class Mixin:
    __slots__ = ()
    parent = weakly.attribute[Any]()


class SlotForMixin(Mixin):
    """The slot is in another class than the attribute, so it is not known beforehand."""

    __slots__ = ("__weakref__", "_parent_ref", "children", "name")

    __init__ = Plain.__init__


@dataclass(eq=False)
class Data:
    name: str = ""
    parent: weakly.attribute[Data] = weakly.attribute()
    children: list[Any] = field(default_factory=list)


@dataclass(eq=False, slots=True, weakref_slot=True)
class SlottedData:
    name: str = ""
    parent: weakly.attribute[SlottedData] = weakly.attribute()
    children: list[Any] = field(default_factory=list)


@dataclass(slots=True, weakref_slot=True)
class FieldData:
    name: str = ""
    parent: weakly.attribute[FieldData] = field(
        default=weakly.attribute(), compare=False, repr=False
    )
    children: list[Any] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class SlottedDataChild(SlottedData):
    size: int = 0


@dataclass(eq=False, frozen=True)
class FrozenData:
    name: str = ""
    parent: weakly.attribute[FrozenData] = weakly.attribute()
    children: list[Any] = field(default_factory=list)


@dataclass(eq=False, frozen=True, slots=True, weakref_slot=True)
class FrozenSlottedData:
    name: str = ""
    parent: weakly.attribute[FrozenSlottedData] = weakly.attribute()
    children: list[Any] = field(default_factory=list)


@attrs.define(eq=False)
class Defined:
    name: str = ""
    parent: weakly.attribute[Defined] = weakly.attribute()
    children: list[Any] = attrs.field(factory=list)


@attrs.define(eq=False)
class DefinedChild(Defined):
    size: int = 0


@attrs.define(eq=False, slots=False)
class PlainDefined:
    name: str = ""
    parent: weakly.attribute[PlainDefined] = weakly.attribute()
    children: list[Any] = attrs.field(factory=list)


@attrs.frozen(eq=False)
class FrozenDefined:
    name: str = ""
    parent: weakly.attribute[FrozenDefined] = weakly.attribute()
    children: list[Any] = attrs.field(factory=list)


FROZEN = [FrozenData, FrozenSlottedData, FrozenDefined]
CLASSES = [
    Plain,
    Slotted,
    SlottedChild,
    PlainChild,
    SlotForMixin,
    Data,
    SlottedData,
    FieldData,
    SlottedDataChild,
    Defined,
    DefinedChild,
    PlainDefined,
]
each_class = pytest.mark.parametrize("cls", CLASSES + FROZEN, ids=lambda cls: cls.__name__)
each_open_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def family(cls: Any) -> Any:
    """A root with two children, the second with one of its own."""
    root = cls("root")
    for name in ("a", "b"):
        root.children.append(cls(name, parent=root))
    root.children[1].children.append(cls("c", parent=root.children[1]))
    return root


def check_family(root: Any) -> None:
    a, b = root.children
    [c] = b.children
    assert [node.name for node in (root, a, b, c)] == ["root", "a", "b", "c"]
    assert root.parent is None
    assert a.parent is root
    assert b.parent is root
    assert c.parent is b


# Reading and assigning


@each_class
def test_reads_the_object_while_it_lives(cls: Any) -> None:
    root, other = cls("root"), cls("other")
    child = cls("child", parent=root)
    assert child.parent is root
    if cls not in FROZEN:
        child.parent = other
        assert child.parent is other
    del root, other
    let_die()
    assert child.parent is None


@each_class
def test_makes_no_cycle(cls: Any) -> None:
    root = family(cls)
    check_family(root)
    watch = weakref.ref(root)
    gc.disable()
    try:
        del root
        if COUNTS_REFERENCES:
            assert watch() is None
    finally:
        gc.enable()
    let_die()
    assert watch() is None


@each_class
def test_an_instance_holds_no_strong_reference(cls: Any) -> None:
    root = cls("root")
    child = cls("child", parent=root)
    held = gc.get_referents(child)
    if hasattr(child, "__dict__"):
        held += vars(child).values()
    assert not any(one is root for one in held)


@each_open_class
def test_assigning_none_and_deleting(cls: Any) -> None:
    root = cls("root")
    child = cls("child", parent=root)
    child.parent = None
    assert child.parent is None
    child.parent = root
    del child.parent
    assert child.parent is None
    with pytest.raises(AttributeError, match=f"'{cls.__name__}' object has no attribute 'parent'"):
        del child.parent
    child.parent = root
    assert child.parent is root


@pytest.mark.parametrize("value", [5, "text", (), [], {}], ids=repr)
@each_open_class
def test_what_cannot_be_referenced_is_refused_and_changes_nothing(cls: Any, value: Any) -> None:
    root = cls("root")
    child = cls("child", parent=root)
    with pytest.raises(
        TypeError,
        match=f"cannot create weak reference to '{type(value).__name__}'"
        " object: what is assigned to the weak attribute 'parent'",
    ):
        child.parent = value
    assert child.parent is root


def test_a_default() -> None:
    nowhere = Plain("nowhere")

    class Item:
        place = weakly.attribute[Plain, Plain](nowhere)
        seen = weakly.attribute[Plain, str](default="never")

    item, shop = Item(), Plain("shop")
    assert item.place is nowhere
    assert item.seen == "never"
    item.place = item.seen = shop
    assert item.place is item.seen is shop
    del shop
    let_die()
    assert item.place is nowhere
    assert item.seen == "never"
    item.place = None
    assert item.place is nowhere
    item.seen = "never"  # the default itself can be assigned, whatever it is
    assert item.seen == "never"
    with pytest.raises(TypeError, match="cannot create weak reference to 'str' object"):
        item.seen = "often"


def test_required() -> None:
    class Item:
        owner = weakly.attribute[Plain, Any](required=True)

    item, owner = Item(), Plain("owner")
    with pytest.raises(ReferenceError, match="'owner' of 'Item' object was assigned nothing"):
        item.owner  # noqa: B018
    item.owner = owner
    assert item.owner is owner
    del owner
    let_die()
    with pytest.raises(
        ReferenceError, match="assigned to the weak attribute 'owner' of 'Item' obj"
    ):
        item.owner  # noqa: B018
    item.owner = None
    with pytest.raises(ReferenceError, match="assigned nothing"):
        item.owner  # noqa: B018


def test_a_default_and_required_exclude_each_other() -> None:
    with pytest.raises(TypeError, match="not both"):
        weakly.attribute(5, required=True)
    weakly.attribute(None, required=True)


def test_the_referent_is_told_apart_by_identity_only() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

        __hash__ = None  # type: ignore[assignment]

    odd = Odd()
    child = Plain()
    child.parent = odd
    assert child.parent is odd


# Kinds of classes


def test_a_class_without_room_says_what_to_add() -> None:
    class Full:
        __slots__ = ("name",)
        parent = weakly.attribute[Any]()

    full = Full()
    assert full.parent is None
    for value in (Plain(), None):
        with pytest.raises(
            TypeError,
            match=r"'Full' object has no room for its weak attribute "
            r"'parent': add '_parent_ref' to the __slots__",
        ):
            full.parent = value
    with pytest.raises(AttributeError):
        del full.parent


def test_slots_without_weakref_can_have_a_parent_but_not_be_one() -> None:
    class Leaf:
        __slots__ = ("_parent_ref",)
        parent = weakly.attribute[Any]()

    leaf, root = Leaf(), Plain()
    leaf.parent = root
    assert leaf.parent is root
    if not PYPY:  # which can refer to anything that has slots
        with pytest.raises(TypeError, match="cannot create weak reference to 'Leaf' object"):
            root.parent = leaf


def test_private_names() -> None:
    class Node:
        __slots__ = ("__parent_ref", "_owner_ref")
        __parent = weakly.attribute[Any]()
        _owner = weakly.attribute[Any]()

        def both(self, one: Any) -> Any:
            self.__parent = one
            self._owner = one
            return self.__parent, self._owner

    root = Plain()
    assert Node().both(root) == (root, root)


def test_several_attributes_and_a_subclass_that_redefines_one() -> None:
    class Node(Plain):
        owner = weakly.attribute[Any]()
        parent = weakly.attribute[Any, Any](required=True)

    node, one, two = Node(), Plain(), Plain()
    node.owner, node.parent = one, two
    assert (node.owner, node.parent) == (one, two)
    assert Plain.parent.__get__(node, Node) is two
    node.parent = None
    with pytest.raises(ReferenceError):
        node.parent  # noqa: B018


def test_on_the_class_it_is_itself() -> None:
    for cls in (Plain, Slotted, SlottedChild, Data, SlottedData, Defined, PlainDefined):
        attribute = cls.parent
        assert isinstance(attribute, weakly.attribute)
        assert repr(attribute) == "<weakly.attribute 'parent'>"
        assert attribute.__get__(cls("one"), cls) is None


def test_an_annotated_one_is_hidden_until_its_class_is_made() -> None:
    class Node:
        parent: weakly.attribute[Node] = weakly.attribute()

    with pytest.raises(AttributeError, match="type object 'Node' has no attribute 'parent'"):
        Node.parent  # noqa: B018
    node, root = Node(), Plain()
    node.parent = root  # type: ignore[assignment]
    assert node.parent is root
    assert isinstance(attrs.define(slots=False)(Node).parent, weakly.attribute)


def test_without_a_name() -> None:
    class Node:
        pass

    Node.parent = weakly.attribute()  # type: ignore[attr-defined]
    node: Any = Node()
    for use in (lambda: node.parent, lambda: setattr(node, "parent", None)):
        with pytest.raises(TypeError, match="a weak attribute has no name"):
            use()
    with pytest.raises(TypeError, match="a weak attribute has no name"):
        del node.parent
    Node.__dict__["parent"].__set_name__(Node, "parent")
    root = node.parent = Plain()
    assert node.parent is root


def test_one_for_two_names_is_refused() -> None:
    shared = weakly.attribute[Any]()
    # before 3.12 what __set_name__() raises comes wrapped
    with pytest.raises((TypeError, RuntimeError)) as caught:

        class Node:
            parent = shared
            owner = shared

    error = caught.value if isinstance(caught.value, TypeError) else caught.value.__cause__
    assert "under two names ('parent' and 'owner')" in str(error)


def test_called_by_hand_on_other_objects() -> None:
    attribute = Slotted.__dict__["parent"]
    root = Plain()
    for stranger in (5, "text", Plain, None):
        if stranger is not None:
            assert attribute.__get__(stranger, type(stranger)) is None
        with pytest.raises(TypeError, match="has no room"):
            attribute.__set__(stranger, root)
    other = Plain()
    attribute.__set__(other, root)  # which has a dict
    assert attribute.__get__(other, Plain) is root


def test_something_else_in_its_place() -> None:
    for cls in (Plain, Slotted):
        node: Any = cls()
        node._parent_ref = "text"
        with pytest.raises(TypeError, match=f"'{cls.__name__}' object has 'str' object instead of"):
            node.parent  # noqa: B018
        node.parent = root = Plain()
        assert node.parent is root


def test_special_methods_of_the_class_are_not_asked() -> None:
    class Node:
        parent = weakly.attribute[Any]()

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

        def __setattr__(self, name: str, value: Any) -> None:
            assert name == "parent"
            object.__setattr__(self, name, value)

    node = Node()
    assert node.parent is None
    root = node.parent = Plain()
    assert node.parent is root


# Dataclasses and attrs


def test_a_field_of_dataclasses() -> None:
    for cls in (Data, SlottedData, FrozenData, FrozenSlottedData):
        assert [one.name for one in fields(cls)] == ["name", "parent", "children"]
        root = cls("root")
        child = cls("child", root, [])
        assert "parent=<" not in repr(root)
        assert repr(child).count(f"{cls.__qualname__}(name='root', parent=None") == 1
        other = replace(child, name="other")
        assert (other.name, other.parent) == ("other", root)
        assert asdict(child)["parent"] == {"name": "root", "parent": None, "children": []}


def test_frozen_classes_stay_frozen() -> None:
    for cls in FROZEN:
        child = cls("child", parent=(root := cls("root")))
        with pytest.raises((FrozenInstanceError, attrs.exceptions.FrozenInstanceError)):
            child.parent = None
        with pytest.raises((FrozenInstanceError, attrs.exceptions.FrozenInstanceError)):
            del child.parent
        assert child.parent is root


def test_equality_of_dataclasses_without_the_parent() -> None:
    one, two = family(FieldData), family(FieldData)
    assert one == two
    assert repr(one) == repr(two)
    two.children[0].name = "other"
    assert one != two


def test_required_in_a_dataclass() -> None:
    @dataclass
    class Item:
        owner: weakly.attribute[Plain, Any] = weakly.attribute(required=True)

    owner = Plain()
    assert Item(owner).owner is owner  # type: ignore[arg-type]
    with pytest.raises(ReferenceError):
        Item().owner  # noqa: B018


def test_slots_made_anew_need_no_dict() -> None:
    for cls in (
        SlottedData,
        FieldData,
        SlottedDataChild,
        FrozenSlottedData,
        Defined,
        FrozenDefined,
    ):
        assert not hasattr(cls("one"), "__dict__"), cls


def test_no_field_of_a_slotted_dataclass_has_no_room() -> None:
    @dataclass(slots=True)
    class Node:
        name: str
        parent = weakly.attribute[Any]()

    with pytest.raises(TypeError, match="has no room"):
        Node("one").parent = Plain()


# Copies and pickles: the same for all classes

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def pickled(obj: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(obj, protocol))


COPIES: list[Callable[[Any], Any]] = [
    copy.deepcopy,
    *(lambda obj, protocol=protocol: pickled(obj, protocol) for protocol in PROTOCOLS),
]
each_copy = pytest.mark.parametrize(
    "copied", COPIES, ids=["deepcopy", *(f"pickle{protocol}" for protocol in PROTOCOLS)]
)


@each_class
def test_a_copy_refers_to_the_same(cls: Any) -> None:
    root = family(cls)
    for one in (copy.copy(root.children[0]), copy.copy(copy.copy(root.children[0]))):
        assert one.parent is root
    orphan = cls("orphan", parent=cls("root"))
    let_die()
    assert copy.copy(orphan).parent is None


@each_copy
@each_class
def test_a_tree_is_copied_whole(cls: Any, copied: Any) -> None:
    root = family(cls)
    new = copied(root)
    check_family(new)
    check_family(root)
    assert not {id(root), *map(id, root.children)} & {id(new), *map(id, new.children)}
    if COUNTS_REFERENCES:
        watch = weakref.ref(new)
        del new
        let_die()
        assert watch() is None  # no cycle has come in


@each_copy
@each_class
def test_a_part_comes_without_what_only_it_refers_to(cls: Any, copied: Any) -> None:
    root = family(cls)
    new = copied(root.children[1])
    let_die()
    assert new.parent is None
    assert new.children[0].parent is new


@each_copy
@each_class
def test_the_order_in_a_copy_does_not_matter(cls: Any, copied: Any) -> None:
    root = family(cls)
    [c], a, new = copied([root.children[1].children, root.children[0], root])
    check_family(new)
    assert a is new.children[0]
    assert c is new.children[1].children[0]


@each_copy
@each_class
def test_the_dead_and_nothing_stay_nothing(cls: Any, copied: Any) -> None:
    orphan = cls("orphan", parent=cls("root"))
    let_die()
    assert copied(orphan).parent is None
    assert copied(cls("new")).parent is None


def test_references_to_and_fro() -> None:
    one, two = Plain("one"), Plain("two")
    one.parent, two.parent = two, one
    for copied in COPIES:
        new_one, new_two = copied((one, two))
        assert new_one.parent is new_two
        assert new_two.parent is new_one
        alone = copied(one)
        let_die()
        assert alone.parent is None


class WithDefault(Plain):
    parent = weakly.attribute[Any, Any]("nobody")


@attrs.define
class DefinedWithDefault:
    parent: weakly.attribute[Plain, list[int]] = weakly.attribute([1, 2])


@dataclass(slots=True)
class DataWithDefault:
    parent: weakly.attribute[Plain, list[int]] = weakly.attribute([1, 2])


def test_a_default_survives_copies() -> None:
    for cls, default in (
        (WithDefault, "nobody"),
        (DefinedWithDefault, [1, 2]),
        (DataWithDefault, [1, 2]),
    ):
        for copied in (copy.copy, *COPIES):
            node = cls()
            assert copied(node).parent == default
            node.parent = parent = Plain()
            if copied is copy.copy:
                assert copied(node).parent is parent


def test_a_state_of_ones_own() -> None:
    new = pickled(family(Detached).children[1])
    assert new.parent is None
    assert new.children[0].parent is None


class Detached(Plain):
    def __getstate__(self) -> Any:
        return {name: value for name, value in vars(self).items() if name != "_parent_ref"}


def test_a_pickle_is_loaded_elsewhere() -> None:
    check_runs(
        """
        import pickle, sys
        root = pickle.loads(bytes.fromhex(sys.argv[1]))
        assert [child.parent for child in root.children] == [root, root]
        """,
        pickle.dumps(family(Plain)).hex(),
    )


# Robustness


def test_the_class_can_go() -> None:
    def make() -> Any:
        class Node:
            parent = weakly.attribute["Node"]()

        @dataclass(slots=True, weakref_slot=True)
        class Item:
            parent: weakly.attribute[Item] = weakly.attribute()

        node, item = Node(), Item()
        node.parent, item.parent = node, item
        return [weakref.ref(cls) for cls in (Node, Item)]

    watches = make()
    gc_collect_harder()
    assert [watch() for watch in watches] == [None, None]


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="counts references")
def test_leaks_nothing() -> None:
    for cls in (Plain, Slotted, SlottedData):
        root = cls("root")
        child: Any = cls("child")
        before = sys.getrefcount(root)
        for _ in range(100):
            child.parent = root
            assert child.parent is root
            with pytest.raises(TypeError):
                child.parent = 5
            child.parent = None
            del child.parent
        gc.collect()
        assert sys.getrefcount(root) == before


def test_a_finalizer_reads_and_assigns() -> None:
    seen: list[Any] = []

    class Child(Plain):
        def __del__(self) -> None:
            seen.append(self.parent)
            self.parent = keeper
            seen.append(self.parent)

    keeper, root = Plain("keeper"), Plain("root")
    child: Any = Child("child", root)
    child.itself = child
    del child
    gc_collect_harder()
    # The interpreter clears references that are themselves garbage, sooner or later.
    assert seen[0] in (root, None)
    assert seen[1] is keeper


def test_threads_read_and_assign() -> None:
    rounds = 300 if PYPY else 3000
    for cls in (Plain, Slotted):
        parents = [cls(str(number)) for number in range(4)]
        child: Any = cls("child")
        failures: list[Any] = []
        ready = threading.Barrier(4)

        def work(
            number: int,
            child: Any = child,
            parents: list[Any] = parents,
            failures: list[Any] = failures,
            ready: threading.Barrier = ready,
            cls: Any = cls,
        ) -> None:
            ready.wait()
            for turn in range(rounds):
                if number % 2:
                    child.parent = parents[turn % 4] if turn % 3 else cls("short-lived")
                else:
                    found = child.parent
                    if found is not None and type(found) is not cls:
                        failures.append(found)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


def test_two_attributes_that_would_be_kept_in_one_place() -> None:
    with pytest.raises((TypeError, RuntimeError)) as raised:  # RuntimeError before 3.12

        class _Both:
            parent = weakly.attribute[Any]()
            _parent = weakly.attribute[Any]()

    error = raised.value if isinstance(raised.value, TypeError) else raised.value.__cause__
    assert "'parent' and '_parent'" in str(error)
