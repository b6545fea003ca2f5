"""The guide to caches, docs/caching.md: its code runs, from the first block to the last."""

import re
from pathlib import Path
from types import ModuleType

import pytest
from support import COUNTS_REFERENCES

GUIDE = Path(__file__).parent.parent / "docs" / "caching.md"


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="objects die when the collector comes")
@pytest.mark.skipif(not GUIDE.exists(), reason="only in the repository")
def test_the_code_runs() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))
    assert len(blocks) >= 6
    module = ModuleType("guide")  # where pickle and the decorators look names up
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        exec(compile("\n" * line + block[1], str(GUIDE), "exec"), module.__dict__)
