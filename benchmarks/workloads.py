"""The traces on which policies are compared: sequences of keys, asked for one after another.

All but the recorded ones are made anew each time, from a fixed seed.
"""

import lzma
import random
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RECORDED = Path(__file__).parent / "traces"
REQUESTS = 120_000
_SEED = 2017


@dataclass(frozen=True)
class Trace:
    """A sequence of keys, and what it stands for."""

    name: str
    about: str
    keys: Sequence[int]


def traces(requests: int = REQUESTS) -> list[Trace]:
    """Every trace, of so many requests."""
    rng = random.Random(_SEED)
    return [
        Trace(
            "names",
            "recorded: the names that Python's tokenizer reads in the standard library",
            recorded("names")[:requests],
        ),
        Trace(
            "pages",
            "recorded: the pages that SQLite reads for queries about those names",
            recorded("pages")[:requests],
        ),
        *(
            Trace(
                f"Zipf {exponent}",
                f"20,000 keys; the n-th is asked for as often as 1 / n^{exponent}",
                zipf(rng, requests, exponent, 20_000),
            )
            for exponent in (0.7, 0.9, 1.1)
        ),
        Trace(
            "scans",
            "Zipf 0.9 of 10,000 keys; after each 3,000 requests, 2,000 keys asked for only once",
            scans(rng, requests),
        ),
        Trace("short loop", "1,100 keys, in turns", loop(requests, 1_100)),
        Trace("long loop", "5,000 keys, in turns", loop(requests, 5_000)),
        Trace(
            "moving",
            "nine of ten among 500 keys, of which another is the oldest every 20 requests",
            moving(rng, requests),
        ),
        Trace(
            "new favourites",
            "Zipf 1.0 of 10,000 keys, others every 20,000 requests",
            new_favourites(rng, requests),
        ),
    ]


def recorded(name: str) -> Sequence[int]:
    """A recorded trace (traces/record.py): numbers in the order in which they first come."""
    numbers = array("H")
    numbers.frombytes(lzma.decompress((RECORDED / f"{name}.xz").read_bytes()))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def zipf(rng: random.Random, requests: int, exponent: float, keys: int) -> list[int]:
    weights = [1 / number**exponent for number in range(1, keys + 1)]
    return rng.choices(range(keys), weights, k=requests)


def scans(rng: random.Random, requests: int) -> list[int]:
    popular = iter(zipf(rng, requests, 0.9, 10_000))
    once = iter(range(10_000, 10_000 + requests))
    return [next(popular if at % 5_000 < 3_000 else once) for at in range(requests)]


def loop(requests: int, keys: int) -> list[int]:
    return [at % keys for at in range(requests)]


def moving(rng: random.Random, requests: int) -> list[int]:
    others = 10**6
    return [
        at // 20 + rng.randrange(500) if rng.random() < 0.9 else others + rng.randrange(20_000)
        for at in range(requests)
    ]


def new_favourites(rng: random.Random, requests: int) -> list[int]:
    ranks = zipf(rng, requests, 1.0, 10_000)
    return [rank + 3_000 * (at // 20_000) for at, rank in enumerate(ranks)]
