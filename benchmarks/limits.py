"""What weakly promises of its speed and size, and whether measurements keep it.

The promises are ratios, for 1,000 entries of a slotted class unless they say otherwise.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.operations import Row
from benchmarks.results import Results

FEW = 1_000

_BY_KEY = (
    *("WeakKeyDictionary", "WeakSet"),
    *("EphemeronDictionary", "WeakIdKeyDictionary", "WeakIdSet"),
)
_EPHEMERONS = ("EphemeronDictionary",)
_CONTAINERS = (*_BY_KEY, "WeakValueDictionary")
_ANY = ("object", "python", "int", "str")

NANOSECONDS = "nanoseconds"
"""In place of a side: the limit is a time, for each entry."""


@dataclass(frozen=True)
class Limit:
    """The most that weakly may take in some rows: a ratio to one of the other sides, or a time."""

    families: tuple[str, ...]
    operations: tuple[str, ...]
    """Names of operations; a name stands for those that go on after a comma too."""
    basis: str
    most: float
    kinds: tuple[str, ...] = ()
    """Kinds of key; by default the family's first."""
    many: bool = False
    """For the many entries too, not only for the few."""
    versions: tuple[tuple[int, int], tuple[int, int]] = ((3, 11), (3, 99))
    """The first and the last Python version it holds for."""

    def covers(self, row: Row, version: tuple[int, int]) -> bool:
        name = row.operation.name
        return (
            row.family in self.families
            and any(name == known or name.startswith(f"{known},") for known in self.operations)
            and (row.kind in self.kinds if self.kinds else row.default_kind)
            and (self.many or row.entries <= FEW)
            and self.versions[0] <= version <= self.versions[1]
        )


LIMITS = (
    Limit(_BY_KEY, ("lookup", "get", "in"), "strong", 1.1),
    Limit(("WeakValueDictionary",), ("lookup",), "strong", 1.5, kinds=("int", "str")),
    Limit(_CONTAINERS, ("iterate", "values", "items"), "strong", 2.0),
    Limit(_CONTAINERS, ("fill and drop",), "strong", 3.5),
    Limit(_BY_KEY, ("fill and drop",), "stdlib", 0.55),
    Limit(("WeakValueDictionary",), ("fill and drop",), "stdlib", 0.25),
    Limit(_CONTAINERS, ("copy",), "stdlib", 0.25),
    Limit(_CONTAINERS, ("death",), "stdlib", 0.45, versions=((3, 11), (3, 11))),
    Limit(_CONTAINERS, ("death",), "stdlib", 0.6, versions=((3, 12), (3, 99))),
    Limit(("finalize",), ("create", "detach"), "stdlib", 0.3),
    Limit(_CONTAINERS, ("bytes an entry",), "stdlib", 1.05, kinds=_ANY, many=True),
    Limit(("finalize",), ("bytes a finalizer",), "stdlib", 1.05, many=True),
    Limit(_CONTAINERS, ("gc.collect()",), "stdlib", 0.5, many=True),
    Limit(_EPHEMERONS, ("walk, values that refer to their keys",), "strong", 1.5, many=True),
    Limit(_EPHEMERONS, ("walk, values that are numbers",), NANOSECONDS, 20, many=True),
    Limit(("cache", "cached_method"), ("hit",), "stdlib", 2.0),
    Limit(("WeakCallable",), ("call",), "strong", 3.0),
    Limit(
        ("ReferenceQueue",),
        ("track", "death", "all die in one gc.collect()"),
        "stdlib",
        0.3,
        many=True,
    ),
    Limit(_EPHEMERONS, ("100 collections of 10,000 objects",), "stdlib", 1.05, many=True),
)

NEVER_SLOWER = 1.0
"""And no operation takes longer than the standard library's, with any keys and entries."""

NO_PROMISE = ("cache", "cached_method", "cached_property")
"""But in these families, where the standard library does much less."""


@dataclass(frozen=True)
class Verdict:
    """A limit applied to a row."""

    row: Row
    basis: str
    limit: float
    measured: float

    @property
    def kept(self) -> bool:
        return self.measured <= self.limit


def verdicts(results: Results, rows: Iterable[Row]) -> Iterator[Verdict]:
    """Each limit for each row it covers, in the order of the rows."""
    version = results.version
    for row in rows:
        if row not in results:
            continue
        applying = [limit for limit in LIMITS if limit.covers(row, version)]
        bases = [(limit.basis, limit.most) for limit in applying]
        if row.family not in NO_PROMISE and not any(basis == "stdlib" for basis, _ in bases):
            bases.append(("stdlib", NEVER_SLOWER))
        for basis, most in bases:
            if basis == NANOSECONDS:
                seconds = results.median(row, "weakly")
                measured = seconds * 1e9 / (row.entries if row.operation.whole else 1)
            else:
                measured = results.ratio(row, basis)
            if measured is not None:
                yield Verdict(row, basis, most, measured)
