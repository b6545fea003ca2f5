"""weakly.heap, weakly.retained and what they return."""

from __future__ import annotations

import gc
import json
import sys
import weakref
from typing import Any

import pytest
from support import COUNTS_REFERENCES, PYPY, gc_collect_harder, slow_on_pypy

import weakly
from weakly import HeapGrowth, HeapSnapshot, heap, retained
from weakly.tracking._snapshot import ClassRow, ObjectRow, readable

pytestmark = slow_on_pypy

SIZE = 1_000_000  # bytes, more than anything else here has


class Big:
    def __init__(self, count: int = 1) -> None:
        self.data = [bytes(SIZE // 100) for _ in range(100 * count)]


class Small:
    pass


def row_of(snapshot: HeapSnapshot, cls: type) -> ClassRow:
    return next(
        row for row in snapshot.classes if row.name == f"{cls.__module__}.{cls.__qualname__}"
    )


def top_of(snapshot: HeapSnapshot, expression: str) -> ObjectRow:
    return next(row for row in snapshot.top if row.expression == expression)


def test_what_retains_the_most(app: Any) -> None:
    app.cache = {"home": Big(3), "other": Big()}
    snapshot = heap(top=100)
    whole = top_of(snapshot, "app.cache")
    home = top_of(snapshot, "app.cache['home']")
    assert whole.retained > home.retained > 3 * SIZE
    assert home.type == "test_heap_snapshot.Big"
    assert home.target == f"test_heap_snapshot.Big at {id(app.cache['home']):#x}"
    assert home.bytes < 1000
    assert home.objects >= 300
    assert home.dominator is not None
    assert snapshot.top[home.dominator] == whole
    retained_sizes = [row.retained for row in snapshot.top]
    assert retained_sizes == sorted(retained_sizes, reverse=True)


def test_classes(app: Any) -> None:
    app.things = [Big(), Small(), Small()]
    snapshot = heap()
    assert row_of(snapshot, Big).objects == 1
    assert row_of(snapshot, Big).retained > SIZE
    assert row_of(snapshot, Small).objects == 2
    assert row_of(snapshot, Small).retained < 1000
    assert snapshot.objects >= sum(row.objects for row in snapshot.classes) > 1000
    assert snapshot.bytes >= SIZE
    assert snapshot.references > 1000
    assert snapshot.seconds > 0
    assert snapshot.memory > 0


def test_classes_of_the_same_name_are_one_row(app: Any) -> None:
    app.things = [type("Twin", (), {"__module__": "app"})() for _ in range(3)]
    rows = [row for row in heap().classes if row.name == "app.Twin"]
    assert [row.objects for row in rows] == [3]


def test_shared_is_not_retained(app: Any) -> None:
    shared = [bytes(SIZE)]
    app.one, app.other = Small(), Small()
    app.one.data = app.other.data = shared
    assert retained(app.one).bytes < 10_000
    del app.other.data, shared
    assert retained(app.one).bytes > SIZE


def test_retained(app: Any) -> None:
    app.it = Big()
    kept = retained(app.it)
    assert kept.bytes > SIZE
    assert kept.objects in (102, 103)  # the instance, the list, the bytes; maybe a __dict__
    assert str(kept).startswith("1.0 MB in 10")
    assert str(retained([])) == f"{sys.getsizeof([])} B in 1 object" or PYPY
    with pytest.raises(AttributeError):
        kept.bytes = 0  # type: ignore[misc]


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="needs reference counts")
def test_garbage(app: Any) -> None:
    gc_collect_harder()
    gc.disable()
    before = heap()
    things: Any = [Big() for _ in range(3)]
    things.append(things)
    del things
    after = heap()
    assert after.garbage_objects >= before.garbage_objects + 300
    assert after.garbage_bytes >= before.garbage_bytes + 3 * SIZE
    assert "wait for the collector" in str(after)


def test_growth(app: Any) -> None:
    app.things = [Small()]
    before = heap()
    app.things += [Small() for _ in range(1000)]
    app.big = Big()
    growth = heap() - before
    assert isinstance(growth, HeapGrowth)
    rows = {row.name: row for row in growth.classes}
    assert rows["test_heap_snapshot.Small"].objects == 1000
    assert rows["test_heap_snapshot.Small"].bytes > 16_000
    assert rows["test_heap_snapshot.Big"].retained > SIZE
    assert growth.objects > 1000
    assert growth.bytes > SIZE
    assert growth.seconds > 0
    assert not any(row.name.startswith("weakly.tracking") for row in growth.classes)
    assert growth.classes[0].name == "bytes"
    app.things.clear()
    shrunk = heap() - before
    assert {row.name: row for row in shrunk.classes}["test_heap_snapshot.Small"].objects == -1
    text = str(growth)
    assert text.startswith(f"{growth.objects:+,} objects, +")
    assert "+1,000" in text
    with pytest.raises(TypeError):
        before - 1  # type: ignore[operator]


def test_text(app: Any) -> None:
    app.cache = {"home": Big(3)}
    lines = str(heap(top=100)).splitlines()
    assert lines[0].endswith("MB") or "wait for the collector" in lines[0]
    assert lines[3].split() == ["retained", "objects", "own", "class", "as"]
    assert any("app.cache['home']" in line for line in lines[4:104])
    assert "Classes" in lines
    assert " references in " in lines[-1]


def test_other_forms(app: Any) -> None:
    app.cache = {"<b>": Big(3)}
    snapshot = heap(top=100)
    growth = snapshot - snapshot
    assert json.loads(snapshot.to_json())["top"][0].keys() == set(ObjectRow.__dataclass_fields__)
    assert json.loads(growth.to_json())["objects"] == 0
    assert growth.classes == ()
    page = snapshot._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert repr(snapshot) == f"<HeapSnapshot: {snapshot.objects:,} objects, " \
        f"{readable(snapshot.bytes)}>"  # fmt: skip
    assert repr(growth) == "<HeapGrowth: +0 objects, +0 B>"
    console = pytest.importorskip("rich.console").Console(width=200, record=True)
    with console.capture():
        console.print(snapshot)
        console.print(growth)


def test_readable() -> None:
    sizes = [0, 7, 999, 1000, 1234, 9949, 9960, 123_456, 999_600, 5_600_000_000, -1500]
    assert [readable(size) for size in sizes] == [
        "0 B", "7 B", "999 B", "1.0 kB", "1.2 kB", "9.9 kB", "10 kB", "123 kB", "1.0 MB",
        "5.6 GB", "-1.5 kB",
    ]  # fmt: skip
    assert readable(5e12) == "5000 GB"
    assert readable(1500, "+") == "+1.5 kB"


def test_arguments() -> None:
    assert heap(top=0).top == ()
    for wrong in (-1, 10**12):
        with pytest.raises(ValueError, match="top must be from 0 to 10000"):
            heap(top=wrong)
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        heap(top="3")  # type: ignore[arg-type]


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="needs reference counts")
def test_nothing_is_kept_alive(app: Any) -> None:
    app.it = Big()
    heap()
    before = sys.getrefcount(app.it), sys.getrefcount(app), sys.getrefcount(Big)
    snapshot = heap()
    assert (sys.getrefcount(app.it), sys.getrefcount(app), sys.getrefcount(Big)) == before
    reference = weakref.ref(app.it)
    del app.it
    assert reference() is None
    assert snapshot.top


def test_hostile_objects(app: Any) -> None:
    def fail(*args: Any) -> Any:
        raise SystemError

    names = ["__repr__", "__eq__", "__sizeof__", "__len__", "__getattribute__", "__iter__"]
    cls = type("Hostile", (), dict.fromkeys(names, fail) | {"__hash__": lambda self: 1})
    app.hostile = [cls(), {cls(): [bytes(SIZE) for _ in range(30)]}]
    snapshot = heap(top=50)
    assert retained(app.hostile).bytes > 30 * SIZE
    assert any(row.name.endswith("Hostile") for row in snapshot.classes)
    assert weakly.retained(app.hostile[0]).objects >= 1
