"""The benchmarks: a tiny run of everything, and what is made from its results.

How fast anything is, is not tested here: `python -m benchmarks --check` does that.
"""

import io
import itertools
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("pyperf")
rich_console = pytest.importorskip("rich.console")
if sys.implementation.name != "cpython":
    pytest.skip("the benchmarks are for CPython", allow_module_level=True)

from benchmarks import __main__ as command  # noqa: E402 - after the skips
from benchmarks import (  # noqa: E402 - after the skips
    against_signals,
    hit_plot,
    limits,
    plot,
    policies,
    report,
)
from benchmarks.cases import STRONG  # noqa: E402 - after the skips
from benchmarks.operations import Row, rows  # noqa: E402 - after the skips
from benchmarks.results import Results, saved  # noqa: E402 - after the skips
from benchmarks.workloads import traces  # noqa: E402 - after the skips

TINY = command.Settings(
    few=command.Effort(1, 2, budget=0.0), many=command.Effort(1, 1), sizes=(4, 12)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The saved results of a tiny run, as one interpreter's."""
    folder = tmp_path_factory.mktemp("results")
    console = rich_console.Console(quiet=True)
    results = command.measure(TINY.rows(), TINY, console)
    results.save(folder / "cpython-3.13.0", TINY.rows())
    return folder


@pytest.fixture
def results(folder: Path) -> Results:
    (results,) = saved(folder)
    return results


def test_every_row_has_a_value_a_round_and_side(results: Results) -> None:
    for row in TINY.rows():
        effort = TINY.few if row.entries == TINY.sizes[0] else TINY.many
        rounds = 1 if row.operation.unit == "byte" else effort.rounds
        for side in row.sides:
            assert len(results.values(row, side)) == effort.processes * rounds, row.name
        assert (results.ratio(row, "stdlib") or 0) > 0
        assert (results.ratio(row, "strong") is None) == (row.family not in STRONG)


def test_another_process_adds_its_rounds(results: Results, folder: Path) -> None:
    row = TINY.rows()[0]
    once = results.values(row, "weakly")
    results.add(folder / "cpython-3.13.0")
    assert results.values(row, "weakly") == once + once


def test_names_tell_rows_apart() -> None:
    every = list(rows((1_000, 1_000_000), fast=False))
    assert len({row.name for row in every}) == len(every)
    fast = {row.name for row in rows((1_000, 1_000_000), fast=True)}
    assert fast < {row.name for row in every}


def test_pyperf_compares_the_saved_files(folder: Path) -> None:
    sides = [str(folder / "cpython-3.13.0" / f"{side}.json") for side in ("stdlib", "weakly")]
    done = subprocess.run(
        [sys.executable, "-m", "pyperf", "compare_to", "--table", *sides],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "WeakKeyDictionary, object keys, 4: lookup" in done.stdout


def test_saved_files_name_no_host_and_no_folder(folder: Path) -> None:
    for path in folder.glob("*/*.json"):
        metadata = json.loads(path.read_text())["metadata"]
        assert not {"hostname", "python_executable", "python_config_args"} & set(metadata)


def test_the_table_has_every_row(results: Results) -> None:
    console = rich_console.Console(width=120, record=True, file=io.StringIO())
    command.print_table(results, TINY.rows(), console)
    text = console.export_text()
    for row in TINY.rows():
        assert row.label in text


def test_the_docs_have_every_row_of_every_interpreter(results: Results, tmp_path: Path) -> None:
    command.write_docs([results, results], TINY.rows(), tmp_path)
    page = (tmp_path / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    for label, group in itertools.groupby(sorted(TINY.rows(), key=label_of), key=label_of):
        wanted = 2 * len(list(group))
        head = "| " + label.replace("|", r"\|") + " |"
        timed = [line for line in lines if line.startswith(head) and re.search(r"\d \|$", line)]
        assert len(timed) == wanted, label
    for table in re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def label_of(row: Row) -> str:
    return row.label


def test_the_plot_is_svg_with_every_row_it_shows(results: Results, tmp_path: Path) -> None:
    command.write_docs([results], TINY.rows(), tmp_path)
    text = (tmp_path / "docs" / "benchmarks.svg").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text
    root = ElementTree.fromstring(text)
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for family, operations in plot.SHOWN.items():
        assert family in words
        for operation in operations:
            assert operation in words


def test_the_readme_gets_its_table_between_the_marks(results: Results, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- benchmarks -->\nold\n<!-- end of benchmarks -->\nafter\n")
    for _ in range(2):
        command.write_docs([results], TINY.rows(), tmp_path)
        text = readme.read_text(encoding="utf-8")
        assert text.startswith("before\n<!-- benchmarks -->\n")
        assert text.endswith("\n<!-- end of benchmarks -->\nafter\n")
        assert "old" not in text
        for family, labels in report.SUMMARY.items():
            for label in labels:
                assert text.count("| {}: {} |".format(family, label.replace("|", r"\|"))) == 1


def test_each_limit_covers_some_row_and_a_miss_is_told(results: Results) -> None:
    every = list(rows((1_000, 1_000_000), fast=False))
    for limit in limits.LIMITS:
        assert any(limit.covers(row, limit.versions[0]) for row in every), limit
    console = rich_console.Console(width=140, record=True, file=io.StringIO())
    kept = command.print_verdicts(results, TINY.rows(), console)
    text = console.export_text()
    assert ("MISSED" not in text) == kept
    promised = [row for row in TINY.rows() if row.family not in limits.NO_PROMISE]
    assert all(row.label in text for row in promised)
    assert "first read" not in text


# Signals of other packages


@pytest.mark.parametrize("kind", against_signals.LISTENERS)
@pytest.mark.parametrize("package", against_signals.PACKAGES, ids=lambda package: package.name)
def test_what_is_compared_delivers(package: against_signals.Package, kind: str) -> None:
    if find_spec(package.module) is None:
        pytest.skip(f"{package.name} is not installed")
    setup = package.setup.replace("return None", "heard.append(value)")
    make = f"listener = {against_signals.LISTENERS[kind]}"
    heard: list[int] = []
    lines = (setup, make, package.connect, package.emit, package.disconnect, package.emit)
    exec("\n".join(lines), {"heard": heard})
    assert heard == [1]


def test_the_comparison_of_signals_runs(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(against_signals, "EMISSIONS", {1: 2, 3: 2})
    monkeypatch.setattr(against_signals, "OTHERS", (0, 2))
    monkeypatch.setattr(against_signals, "CONNECTIONS", 3)
    monkeypatch.setattr(against_signals, "ROUNDS", 2)
    assert against_signals.main() in (0, 1)  # nothing so short can be judged
    shown = capsys.readouterr().out
    for row in ("emit, methods: 3", "connect, disconnect, functions: 1 beside 2", "WeakCallable"):
        assert row in shown


# Hit rates


@pytest.fixture(scope="module")
def rates() -> policies.Rates:
    """Of short traces; WeakCache is compared with its simulator on the way."""
    columns = ("optimum", "LRU", "WeakCache")
    return policies.measure(traces(15_000), (100, 1_000), columns)


def test_a_weak_cache_is_as_good_as_lru_and_far_better_on_scans(rates: policies.Rates) -> None:
    assert not policies.worse_than_lru(rates)
    assert rates["scans"][100]["WeakCache"] > 1.25 * rates["scans"][100]["LRU"]
    assert rates["short loop"][1_000]["LRU"] == 0
    assert rates["short loop"][1_000]["WeakCache"] > 0.25


def test_no_policy_is_better_than_the_optimum() -> None:
    short = [trace for trace in traces(3_000) if trace.name in ("names", "scans", "short loop")]
    for by_size in policies.measure(short, (1, 2, 100)).values():
        for row in by_size.values():
            assert row["optimum"] >= max(row.values())


def test_a_worse_policy_is_told(monkeypatch: pytest.MonkeyPatch, rates: policies.Rates) -> None:
    class Nothing(policies.RealCache):
        def request(self, key: int) -> bool:
            return False

    monkeypatch.setattr(policies, "RealCache", Nothing)
    with pytest.raises(policies.Disagreement):
        policies.measure(traces(3_000), (100,), ("WeakCache",))
    poor = {"names": {100: {**rates["names"][100], "WeakCache": 0.0}}}
    assert len(policies.worse_than_lru(poor)) == 1


def test_the_guide_gets_its_table_and_plot(tmp_path: Path) -> None:
    about = traces(300)
    rates = policies.measure(about, (10, 30))
    guide = tmp_path / "caching.md"
    guide.write_text(f"before\n{policies.BEGIN}previous\n{policies.END}after\n")
    for _ in range(2):
        policies.write_docs(rates, about, tmp_path)
    text = guide.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{policies.BEGIN}")
    assert text.endswith(f"{policies.END}after\n")
    assert "previous" not in text
    for trace in about:
        assert text.count(f"| {trace.name} | 30 |") == 1
        assert f"- **{trace.name}**" in text
    root = ElementTree.fromstring((tmp_path / "hit-rates.svg").read_text(encoding="utf-8"))
    lines = root.findall("{*}polyline")
    assert len(lines) == len(hit_plot.SHOWN) * (len(about) + 1)  # and the legend


def test_the_quick_mode_runs(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(policies, "QUICK_REQUESTS", 500)
    monkeypatch.setattr(policies, "QUICK_SIZES", (20,))
    assert policies.main(["--quick"]) in (0, 1)  # such short ones are too noisy to judge
    shown = capsys.readouterr().out
    assert all(trace.name in shown for trace in traces(1))
