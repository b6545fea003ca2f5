"""The guides in docs: the code of each runs, from the first block to the last."""

import re
from pathlib import Path
from types import ModuleType

import pytest
from support import COUNTS_REFERENCES

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
GUIDES = ("caching", "cleanup", "finding-leaks", "observers", "testing")

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="only in the repository")


def test_every_guide_is_run() -> None:
    with_code = [path for path in DOCS.glob("*.md") if BLOCK.search(path.read_text("utf-8"))]
    assert sorted(path.stem for path in with_code) == list(GUIDES)


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="objects die when the collector comes")
@pytest.mark.parametrize("name", GUIDES)
def test_the_code_runs(name: str) -> None:
    guide = DOCS / f"{name}.md"
    text = guide.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) >= 3
    module = ModuleType("guide")  # where pickle and the decorators look names up
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        exec(compile("\n" * line + block[1], str(guide), "exec"), module.__dict__)
