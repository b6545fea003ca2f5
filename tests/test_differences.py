"""The list of deliberate differences, docs/differences.md: it names tests, and they are there.

The tests of differences that have no better place are here as well.
"""

import re
from pathlib import Path

import pytest
from support import Member, gc_collect_harder, let_die

import weakly
from weakly import WeakSet, WeakValueDictionary

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parent / "docs" / "differences.md"


@pytest.mark.skipif(not DOCUMENT.exists(), reason="only in the repository")
def test_each_difference_names_a_test() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")][2:]
    for row in rows:
        files = re.findall(r"`(?:tests/)?([\w/]+\.py)(?:::(\w+))?`", row.split("|")[-2])
        assert files, f"no test: {row}"
        for file, test in files:
            assert (f"def {test}(" if test else "") in (
                TESTS / file.removeprefix("tests/")
            ).read_text(), row


def test_intersection_update_keeps_members_watched() -> None:
    kept, other = Member(1), Member(2)
    members = WeakSet([kept, other])
    members.intersection_update([kept])
    assert list(members) == [kept]
    del kept
    let_die()
    assert len(members) == 0


def test_assigning_the_same_value_keeps_its_reference() -> None:
    value, another = Member(1), Member(2)
    mapping: WeakValueDictionary[str, Member] = WeakValueDictionary(key=value)
    reference = mapping.data["key"]
    mapping["key"] = value
    if weakly.implementation == "c":  # the Python tables make a new one, as the stdlib does
        assert mapping.data["key"] is reference
    mapping["key"] = another
    assert mapping.data["key"] is not reference
    del value
    gc_collect_harder()
    assert mapping["key"] is another
