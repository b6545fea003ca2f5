"""`@weakly.cached_method` and `@weakly.cached_property`: one cache for each instance.

What a call's arguments mean is tested with `@weakly.cache` in `test_cache.py`; here it is whose
cache it is, on every kind of class, and what a method and a property need to be besides.
"""

from __future__ import annotations

import abc
import copy
import dataclasses
import functools
import gc
import inspect
import itertools
import pickle
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from support import COUNTS_REFERENCES, PYPY, EqualMember, Member, let_die, let_expire, members

import weakly
from weakly import cached_method, cached_property


class Result(Member):
    """Tells by its identity which run it is from."""

    __slots__ = ()


class Computing:
    """A method and a property of all the classes below."""

    __slots__ = ()

    @cached_method
    def compute(self, *args: Any, **kwargs: Any) -> Result:
        """Computes."""
        return Result(len(args))

    @cached_property
    def value(self) -> Result:
        """The value."""
        return Result("value")


class Plain(Computing):
    pass


class Slotted(Computing):
    __slots__ = ("__weakref__", "x")


class Same(Computing):
    """All are equal."""

    __slots__ = ("__weakref__",)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same)

    def __hash__(self) -> int:
        return 5


class NotHashable(Computing):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, NotHashable)

    __hash__ = None


class Hostile(Computing):
    """Nobody may ask it anything."""

    def fails(self, *args: object) -> Any:
        raise AssertionError

    __hash__ = __eq__ = __bool__ = __len__ = __getattr__ = fails


@dataclasses.dataclass(slots=True, weakref_slot=True)
class Row(Computing):
    number: int = 5


@dataclasses.dataclass(frozen=True)
class Frozen(Computing):
    number: int = 5


class Empty(Computing, dict):
    """Not true, equal to all others, not hashable, a mapping."""


class Text(Computing, str):
    pass


class Error(Computing, Exception):
    pass


CLASSES: list[Any] = [
    *(Plain, Slotted, Same, NotHashable, Hostile, Row, Frozen, Empty, Text, Error)
]
classes = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def use_method(obj: Any) -> Any:
    return obj.compute()


def use_argument(obj: Any) -> Any:
    return obj.compute(1, "text", x=2)


def use_property(obj: Any) -> Any:
    return obj.value


uses = pytest.mark.parametrize("use", [use_method, use_argument, use_property])


def descriptor(use: Any) -> Any:
    return Computing.value if use is use_property else Computing.compute


class Unreferable(Computing):
    __slots__ = ()


# --- the cache of an instance


@classes
@uses
def test_computed_once_for_each_instance(cls: Any, use: Any) -> None:
    some = [cls() for _ in range(5)]
    results = [use(obj) for obj in some]
    assert len(set(results)) == 5  # CPython's issue 127750: equal ones do not share
    assert [use(obj) for obj in some] == results
    assert all(one is other for one, other in zip(results, map(use, some), strict=True))


@classes
@uses
def test_the_cache_goes_with_its_instance(cls: Any, use: Any) -> None:
    gc.disable()  # by reference count
    obj, other = cls(), cls()
    results = [weakref.ref(use(obj)), weakref.ref(use(other))]
    watch = weakref.ref(obj)
    assert use(obj) is results[0]() is not None
    del obj
    let_die()
    assert watch() is None
    assert results[0]() is None
    assert use(other) is results[1]() is not None


@classes
@uses
def test_nothing_is_left_on_the_instance(cls: Any, use: Any) -> None:
    obj = cls()
    attributes = getattr(obj, "__dict__", None)
    before = copy.copy(attributes)
    use(obj)
    assert getattr(obj, "__dict__", None) is attributes
    assert attributes == before


@pytest.mark.skipif(PYPY, reason="every class there has weak references")
@uses
def test_an_instance_that_cannot_be_weakly_referenced(use: Any) -> None:
    obj = Unreferable()
    with pytest.raises(TypeError, match=r"'Unreferable'.*'?__weakref__'?.*__slots__"):
        use(obj)
    with pytest.raises(TypeError, match="'Unreferable'"):
        Unreferable.value.__set__(obj, 5)
    with pytest.raises(TypeError, match="'int'"):
        Computing.compute(5)


def test_a_number_of_instances_come_and_go() -> None:
    """Addresses are used again; results are not."""
    kept = []
    for label in range(300):
        obj = Slotted()
        obj.x = label
        results = (obj.compute(), obj.compute(label), obj.value)
        for result in results:
            result.other = label if result.other is None else pytest.fail("another's result")
        if label % 10 == 0:
            kept.append(obj)
    for obj in kept:
        assert obj.compute().other == obj.compute(obj.x).other == obj.value.other == obj.x


# --- methods


class Options:
    @cached_method(maxsize=2)
    def bounded(self, x: int) -> Result:
        return Result(x)

    @cached_method(ttl=0.005)
    def short(self) -> Result:
        return Result("short")

    @cached_method(typed=True)
    def typed(self, x: float) -> Result:
        return Result(x)

    @cached_method(by="identity")
    def identity(self, x: object) -> Result:
        return Result("identity")

    @cached_method()
    def equality(self, x: object) -> Result:
        return Result("equality")


def test_the_bound_is_each_instance_s() -> None:
    some = [Options() for _ in range(3)]
    results = [[obj.bounded(x) for x in range(3)] for obj in some]
    for obj, (first, second, third) in zip(some, results, strict=True):
        assert obj.bounded(2) is third
        assert obj.bounded(1) is second
        assert obj.bounded.cache_info() == (2, 3, 2, 2)
        assert obj.bounded(0) is not first
    assert Options.bounded.cache_info().currsize == 6


def test_options() -> None:
    obj = Options()
    first = obj.short()
    let_expire(0.005)
    assert obj.short() is not first
    assert obj.typed(1) is not obj.typed(1.0)
    one, other = EqualMember("x"), EqualMember("x")
    assert obj.identity(one) is not obj.identity(other)
    assert obj.equality(one) is obj.equality(other)
    assert obj.equality(1) is obj.equality(1.0)
    given = {"maxsize": None, "ttl": None, "typed": False, "by": "equality"}
    assert obj.equality.cache_parameters() == Options.equality.cache_parameters() == given
    assert Options.bounded.cache_parameters() == {**given, "maxsize": 2}
    assert obj.short.cache_parameters() == {**given, "ttl": 0.005}
    assert obj.typed.cache_parameters() == {**given, "typed": True}
    assert obj.identity.cache_parameters() == {**given, "by": "identity"}


def test_arguments_are_held_weakly() -> None:
    obj = Plain()
    a, b = EqualMember("a"), EqualMember("b")
    result = weakref.ref(obj.compute(a, 1, key=b))
    assert obj.compute(EqualMember("a"), 1, key=EqualMember("b")) is result() is not None
    assert obj.compute.cache_info().currsize == 1
    del a
    let_die()
    assert result() is None
    assert obj.compute.cache_info().currsize == 0
    itself = obj.compute(obj)
    assert obj.compute(obj) is itself


def test_names_of_arguments_are_free() -> None:
    obj = Plain()
    first = obj.compute(instance=1, method=2, args=3, kwargs=4, memo=5)
    assert obj.compute(instance=1, method=2, args=3, kwargs=4, memo=5) is first
    assert obj.compute.cache_discard(instance=1, method=2, args=3, kwargs=4, memo=5)
    assert not Plain.compute.cache_discard(obj, instance=1, method=2, args=3, kwargs=4, memo=5)


def test_called_through_the_class() -> None:
    obj = Plain()
    assert Plain.compute(obj, 1) is obj.compute(1)
    assert Computing.compute is Plain.compute
    with pytest.raises(TypeError):
        Plain.compute()


def test_counts() -> None:
    class Counted(Computing):
        @cached_method
        def compute(self, *args: Any) -> Result:
            return Result(args)

    some = [Counted() for _ in range(3)]
    assert some[0].compute.cache_info() == (0, 0, None, 0)
    assert not some[0].compute.cache_discard()
    some[0].compute.cache_clear()
    for number, obj in enumerate(some):
        for _ in range(2):
            for argument in range(number):
                obj.compute(argument)
    assert [obj.compute.cache_info()[::3] for obj in some] == [(0, 0), (1, 1), (2, 2)]
    assert type(some[0].compute.cache_info()) is type(functools.lru_cache(len).cache_info())
    assert Counted.compute.cache_info() == (3, 3, None, 3)
    assert some[2].compute.cache_discard(1)
    assert not some[2].compute.cache_discard(1)
    assert Counted.compute.cache_discard(some[2], 0)
    assert not Counted.compute.cache_discard(some[2], 0)
    assert not Counted.compute.cache_discard(Counted(), 0)
    assert Counted.compute.cache_info() == (3, 3, None, 1)
    some[2].compute.cache_clear()
    assert some[2].compute.cache_info() == (0, 0, None, 0)
    result = some[1].compute(0)
    some[1].compute.cache_clear()
    assert some[1].compute(0) is not result
    Counted.compute.cache_clear()
    assert Counted.compute.cache_info() == (0, 0, None, 0)
    assert [obj.compute.cache_info() for obj in some] == [(0, 0, None, 0)] * 3
    some[2].compute(5)
    assert Counted.compute.cache_info() == (0, 1, None, 1)
    del obj, some[2]
    let_die()
    assert Counted.compute.cache_info().currsize == 0


def test_what_it_says_of_itself() -> None:
    obj = Plain()
    for method in (Plain.compute, obj.compute):
        assert method.__name__ == "compute"
        assert method.__qualname__ == "Computing.compute"
        assert method.__doc__ == "Computes."
        assert "compute" in repr(method)
    assert Plain.compute.__module__ == __name__
    original = Computing.compute.__wrapped__
    assert isinstance(original, types.FunctionType)
    assert inspect.signature(Plain.compute) == inspect.signature(original)
    assert list(inspect.signature(obj.compute).parameters) == ["args", "kwargs"]
    assert original(obj) is not original(obj)
    assert "compute" in dir(obj)
    assert callable(obj.compute)


def test_bound() -> None:
    obj, equal = Same(), Same()
    bound = obj.compute
    assert bound.__self__ is obj
    assert bound.__func__ is Same.compute
    assert bound.__wrapped__ is not None
    assert bound == obj.compute
    assert hash(bound) == hash(obj.compute)
    assert bound != equal.compute
    assert bound != Options().bounded
    assert bound != 5
    assert (bound == Same.compute) is False
    assert {bound: 1}[obj.compute] == 1
    assert equal.compute not in {bound: 1}
    result = bound(1)
    assert bound(1) is obj.compute(1) is result
    watch = weakref.ref(obj)
    del obj
    let_die()
    assert watch() is not None  # as by any method
    assert bound(1) is result
    del bound
    let_die()
    assert watch() is None


def test_bound_of_what_is_not_hashable() -> None:
    obj = NotHashable()
    assert hash(obj.compute) == hash(obj.compute)
    assert obj.compute != NotHashable().compute


def test_a_bound_method_as_an_attribute_of_its_instance_makes_an_ordinary_cycle() -> None:
    obj = Plain()
    obj.bound = obj.compute
    obj.bound(1)
    watch = weakref.ref(obj)
    del obj
    weakly.collect()
    gc.collect()
    assert watch() is None


def test_inheritance() -> None:
    class Child(Slotted):
        @cached_method
        def compute(self, *args: Any, **kwargs: Any) -> Any:
            return [super().compute(*args, **kwargs)]

        @cached_property
        def value(self) -> Any:
            return [super().value]

    class Grandchild(Child):
        @cached_method
        def compute(self, *args: Any, **kwargs: Any) -> Any:
            return {"grand": super().compute(*args, **kwargs)}

    child, grand = Child(), Grandchild()
    first = child.compute(1)
    assert child.compute(1) is first
    assert first[0] is Slotted.compute(child, 1) is super(Child, child).compute(1)
    assert grand.compute(1) is grand.compute(1)
    assert grand.compute(1)["grand"] is Child.compute(grand, 1)
    assert grand.compute(1)["grand"][0] is not first[0]
    assert child.value is child.value
    assert child.value[0] is super(Child, child).value
    child.compute.cache_clear()
    assert child.compute(1) is not first
    assert child.compute(1)[0] is first[0]
    watches = [weakref.ref(child), weakref.ref(first[0])]
    del child, first
    let_die()
    assert [watch() for watch in watches] == [None, None]


def test_two_names_for_one_method() -> None:
    class Twice:
        @cached_method
        def one(self) -> Result:
            return Result("x")

        two = one

    obj = Twice()
    assert obj.one() is obj.two()


def test_added_to_a_class_later() -> None:
    class Late:
        __slots__ = ("__weakref__",)

    Late.method = cached_method(lambda self: [self.__class__])
    Late.property = cached_property(lambda self: [self.__class__])
    obj: Any = Late()
    assert obj.method() is obj.method()
    assert obj.property is obj.property


def test_as_a_function() -> None:
    function = cached_method(lambda obj, x: [x])
    one, other = Member(1), Member(2)
    assert function(one, 1) is function(one, 1) is not function(other, 1)


def test_on_a_metaclass() -> None:
    class Meta(type):
        @cached_method
        def fields(cls) -> list[str]:
            return [*vars(cls)]

    class One(metaclass=Meta):
        a = 1

    class Two(One):
        b = 2

    assert One.fields() is One.fields()
    assert "b" in Two.fields()
    assert "b" not in One.fields()


def test_abstract() -> None:
    class Abstract(abc.ABC):
        @cached_method
        @abc.abstractmethod
        def method(self) -> int: ...

        @cached_property
        @abc.abstractmethod
        def value(self) -> int: ...

    assert Abstract.__abstractmethods__ == {"method", "value"}
    with pytest.raises(TypeError):
        Abstract()


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        (classmethod(len), "@classmethod"),
        (staticmethod(len), r"@weakly\.cache"),
        (property(len), "property"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("options", [{}, {"maxsize": 5}])
def test_over_another_descriptor(wrong: object, advice: str, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=advice):
        cached_method(**options)(wrong) if options else cached_method(wrong)


@pytest.mark.parametrize("error", [ZeroDivisionError, AttributeError, KeyboardInterrupt])
@uses
def test_an_exception_is_not_cached(error: type[BaseException], use: Any) -> None:
    fails = [True]

    class Failing(Plain):
        @cached_method
        def compute(self, *args: Any, **kwargs: Any) -> Result:
            if fails:
                raise error("from the method")
            return Result("x")

        @cached_property
        def value(self) -> Result:
            return self.compute.__wrapped__.__get__(self)()  # the same, not cached

    obj = Failing()
    Failing.compute.cache_clear()
    for _ in range(2):
        with pytest.raises(error, match="from the method"):
            use(obj)
    fails.clear()
    assert use(obj) is use(obj)


@uses
def test_one_that_asks_for_itself(use: Any) -> None:
    class Asks(Plain):
        @cached_method
        def compute(self, *args: Any, **kwargs: Any) -> Any:
            return use(self)

        @cached_property
        def value(self) -> Any:
            return self.value

    obj = Asks()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            use(obj)


def test_one_that_asks_an_equal_instance() -> None:
    class Pair(Same):
        other: Any = None

        @cached_method
        def compute(self, *args: Any, **kwargs: Any) -> Any:
            return [self.other and self.other.compute()]

    pair, pair.other = (made := Pair()), Pair()
    assert pair is made
    assert pair.compute() == [[None]]


# --- class methods


class Maker:
    @classmethod
    @cached_method
    def make(cls, *args: Any) -> Any:
        return [cls, *args]

    @classmethod
    @cached_method(maxsize=1)
    def bounded(cls, x: int) -> Any:
        return [cls, x]


def test_class_methods() -> None:
    class Child(Maker):
        @classmethod
        @cached_method
        def own(cls) -> Any:
            return [super().make(5)]

    first = Maker.make(1)
    assert first == [Maker, 1]
    assert Maker.make(1) is Maker().make(1) is first
    assert Child.make(1) == [Child, 1]
    assert Child.make(1) is Child().make(1)
    assert Child.own() == [[Child, 5]]
    assert Child.own()[0] is Child.make(5)
    assert Maker.bounded(1) is Maker.bounded(1)
    before = Maker.bounded(1), Child.bounded(1)
    assert Maker.bounded(2) is not None
    assert Maker.bounded(1) is not before[0]
    assert Child.bounded(1) is before[1]
    assert Maker.make.__name__ == "make"
    Maker.make.cache_clear()
    assert Maker.make(1) is not first


def test_the_cache_of_a_class_goes_with_it() -> None:
    class Child(Maker):
        pass

    watches = [weakref.ref(Child)]
    Child.make(Member("x"))
    if PYPY or weakly.implementation == "python":
        Maker.make.cache_clear()  # its result refers to it
    del Child
    weakly.collect()
    gc.collect()
    gc.collect()
    assert watches[0]() is None


# --- pickles and copies


@dataclasses.dataclass
class Document(Computing):
    text: str = "text"
    words: Any = None


def used(obj: Any) -> Any:
    obj.compute()
    obj.compute(5)
    _ = obj.value
    return obj


@pytest.mark.parametrize(
    "clone",
    [
        copy.copy,
        copy.deepcopy,
        *(
            functools.partial(lambda protocol, obj: pickle.loads(pickle.dumps(obj, protocol)), n)
            for n in range(2, pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
)
@pytest.mark.parametrize("cls", [Document, Plain, Slotted, Row, Empty, Text, Error])
def test_a_copy_carries_no_cache(cls: Any, clone: Any) -> None:
    new, obj = clone(cls()), used(cls())
    size = Computing.compute.cache_info().currsize
    cloned = clone(obj)
    assert type(cloned) is cls
    assert Computing.compute.cache_info().currsize == size
    assert cloned.compute.cache_info() == (0, 0, None, 0)
    assert not Computing.value.cache_discard(cloned)
    assert getattr(cloned, "__dict__", None) == getattr(new, "__dict__", None)
    assert cloned.compute() is not obj.compute()
    assert cloned.value is not obj.value


def test_the_pickle_is_as_long_as_without_a_cache() -> None:
    assert pickle.dumps(used(Document())) == pickle.dumps(Document())


def test_pickled_methods() -> None:
    obj = Document()
    bound = pickle.loads(pickle.dumps(used(obj).compute))
    assert bound.__self__ == obj
    assert bound.__self__ is not obj
    assert bound == bound.__self__.compute
    assert copy.copy(obj.compute) == obj.compute
    assert copy.deepcopy(obj.compute).__self__ is not obj
    pair = copy.deepcopy([obj, obj.compute])
    assert pair[1].__self__ is pair[0] is not obj
    for clone in (copy.copy, copy.deepcopy):
        assert clone(Document.compute) is Document.compute
        assert clone(Computing.value) is Computing.value
    assert pickle.loads(pickle.dumps(Computing.compute)) is Computing.compute
    assert pickle.loads(pickle.dumps(Computing.value)) is Computing.value


# --- properties


def test_property_on_the_class_is_the_descriptor() -> None:
    assert Plain.value is Computing.value is vars(Computing)["value"]
    assert Plain.value.__doc__ == "The value."
    assert Plain.value.__name__ == "value"
    assert callable(Plain.value.__wrapped__)
    assert inspect.isdatadescriptor(Plain.value)
    assert "value" in repr(Plain.value)


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls is not Frozen])
def test_set_and_delete(cls: Any) -> None:
    obj, other = cls(), cls()
    with pytest.raises(AttributeError):
        del obj.value
    first = obj.value
    del obj.value
    with pytest.raises(AttributeError):
        del obj.value
    second = obj.value
    assert second is not first
    obj.value = 5
    assert obj.value == 5
    obj.value = None
    assert obj.value is None
    del obj.value
    assert isinstance(obj.value, Result)
    other.value = 7
    assert other.value == 7
    assert obj.value is obj.value


def test_a_frozen_class_stays_frozen() -> None:
    obj = Frozen()
    first = obj.value
    with pytest.raises(dataclasses.FrozenInstanceError):
        obj.value = 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        del obj.value
    assert obj.value is first


@pytest.mark.parametrize("value", [None, False, 0, [], NotImplemented], ids=repr)
def test_values_that_are_not_true_are_values(value: object) -> None:
    runs = []

    class Falsy(Slotted):
        @cached_property
        def value(self) -> Any:
            runs.append(1)
            return value

    obj = Falsy()
    assert obj.value is value
    assert obj.value is value
    assert len(runs) == 1


def test_counts_of_a_property() -> None:
    class Counted:
        @cached_property
        def value(self) -> Result:
            return Result("x")

    one, other = Counted(), Counted()
    assert Counted.value.cache_info() == (0, 0, None, 0)
    assert Counted.value.cache_parameters()["maxsize"] is None
    assert one.value is one.value
    assert Counted.value.cache_info() == (1, 1, None, 1)
    other.value = 5
    assert other.value == 5
    assert Counted.value.cache_info() == (2, 1, None, 2)
    assert Counted.value.cache_discard(one)
    assert not Counted.value.cache_discard(one)
    assert not Counted.value.cache_discard(Counted())
    assert Counted.value.cache_info() == (2, 1, None, 1)
    Counted.value.cache_clear()
    assert Counted.value.cache_info() == (0, 0, None, 0)
    assert isinstance(other.value, Result)
    del other
    let_die()
    assert Counted.value.cache_info().currsize == 0


def test_a_property_under_two_names() -> None:
    """TypeError; before 3.12 the interpreter wraps what __set_name__ raises."""
    shared = cached_property(lambda self: 5)
    with pytest.raises((TypeError, RuntimeError)) as raised:
        type("Two", (), {"one": shared, "two": shared})
    error = raised.value if isinstance(raised.value, TypeError) else raised.value.__cause__
    assert isinstance(error, TypeError)
    assert "'one'" in str(error)
    assert "'two'" in str(error)


def test_a_property_under_one_name_in_two_classes() -> None:
    shared = cached_property(lambda self: [self])
    one = type("One", (), {"same": shared})()
    two = type("Two", (), {"same": shared})()
    assert one.same == [one]
    assert two.same == [two]


def test_an_attribute_error_of_a_property_is_one() -> None:
    class Missing:
        @cached_property
        def value(self) -> int:
            raise AttributeError("not now")

        def __getattr__(self, name: str) -> str:
            return f"instead of {name}"

    assert Missing().value == "instead of value"


def test_a_property_set_by_its_own_function() -> None:
    class Sets(Slotted):
        @cached_property
        def value(self) -> Any:
            self.value = Result("stored")
            return Result("returned")

    obj = Sets()
    first = obj.value
    assert obj.value is obj.value
    assert first.label in ("stored", "returned")


def test_order_of_deaths_and_reads() -> None:
    """A property read in a finalizer of its instance computes, and pins nothing."""
    seen = itertools.count()

    class Last(Plain):
        def __del__(self) -> None:
            if self.compute(1) is self.compute(1) and self.value is self.value:
                next(seen)

    watches = []
    for _ in range(10):
        obj = Last()
        obj.compute(1)
        watches.append(weakref.ref(obj))
    del obj
    let_die()
    let_die()
    assert [watch() for watch in watches] == [None] * 10
    assert next(seen) == 10
    assert not COUNTS_REFERENCES or sys.getrefcount(Last) < 50


def test_deaths_of_many_arguments_of_many_instances() -> None:
    some = [Plain() for _ in range(20)]
    arguments = members(20)
    for obj in some:
        for argument in arguments:
            obj.compute(argument)
    del argument, arguments[::2]
    let_die()
    assert [obj.compute.cache_info().currsize for obj in some] == [10] * 20


def test_type_of_decorators() -> None:
    """Without parentheses and with, a function too."""
    both: list[Callable[..., Any]] = [cached_method, cached_method()]
    for decorate in both:
        assert type(decorate(lambda self: 5)) is type(Computing.compute)
