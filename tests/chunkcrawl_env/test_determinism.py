"""The same seed gives the same bytes in every process.  Pitfall B15."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.chunkcrawl_env.play import digests

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("play.py")


def test_three_hash_seeds() -> None:
    """Observations, masks, rewards and states, whatever PYTHONHASHSEED says, and as in this process."""
    runs = [
        subprocess.Popen(
            [sys.executable, SCRIPT, "7"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "12345", "random")
    ]
    printed = [json.loads(run.communicate(timeout=100)[0]) for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert printed == [digests(7)] * 3


def test_another_seed_is_another_play() -> None:
    one, other = digests(1, 20), digests(3, 20)
    assert all(one[name]["state-0"] != other[name]["state-0"] for name in one)
    assert all(one[name]["observations"] != other[name]["observations"] for name in one)
