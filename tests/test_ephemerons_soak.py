"""Runs `soak_ephemerons.py`: a short life of the tables, and the long one with --run-slow."""

from __future__ import annotations

import random

import pytest
from soak_ephemerons import soak
from support import PYPY, freeze


@pytest.mark.parametrize(
    "operations",
    [
        pytest.param(2_000 if PYPY else 20_000, id="short"),
        pytest.param(1_000_000, id="long", marks=pytest.mark.slow),
    ],
)
def test_no_live_key_is_lost(operations: int) -> None:
    freeze()
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # is shown if it fails
    soak(operations, seed)
