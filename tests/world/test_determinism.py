"""The same seed gives the same world in every process.  Pitfall B15."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.world.play import digests

ROOT = Path(__file__).parents[2]


def test_three_hash_seeds() -> None:
    """Terrain and a long play of two shards: byte-identical whatever PYTHONHASHSEED says, and as in this process."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.world.play", "11"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "12345", "random")
    ]
    printed = [json.loads(run.communicate(timeout=100)[0]) for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert printed == [digests(11)] * 3


def test_another_seed_is_another_world() -> None:
    one, other = digests(1), digests(2)
    assert all(one[name] != other[name] for name in one)
