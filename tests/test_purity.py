"""The purity check finds what it is there for, and lets the rest pass."""

from __future__ import annotations

import pytest

from tests.purity import impurities


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import redis", "imports redis"),
        ("from ray.util import metrics", "imports ray"),
        ("import time\ntime.monotonic()", "calls time.monotonic"),
        ("from time import time as now\nnow()", "calls time.time"),
        ("import random\nrandom.random()", "calls random.random"),
        ("import random\nrandom.Random()", "calls random.Random"),
        ("import numpy as np\nnp.random.shuffle([1])", "calls numpy.random.shuffle"),
        ("hash('a')", "calls hash"),
        ("open('f')", "calls open"),
        ("async def f(): pass", "is asynchronous"),
    ],
)
def test_found(source: str, what: str) -> None:
    assert [found for _, found in impurities(source)] == [what]


@pytest.mark.parametrize(
    "source",
    [
        "import hashlib\nhashlib.blake2b(b'a')",
        "import random\nrandom.Random(7)",
        "import numpy as np\nnp.random.default_rng(7)",
        "from world.ids import shard_of\nshard_of('a', 2)",
        "from .ids import shard_of",
        "class A:\n    def __hash__(self): return hash(self.a)",
        "self.time.time()",
    ],
)
def test_let_pass(source: str) -> None:
    assert list(impurities(source)) == []
