"""The files that the type checkers read (`make lint`) also run, so that they promise no lies."""

import runpy
from pathlib import Path

import pytest

FILES = sorted(Path(__file__).with_name("typing").glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_runs(file: Path) -> None:
    runpy.run_path(str(file), run_name="__main__")
