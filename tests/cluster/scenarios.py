"""Scenarios: modules that run a Ray cluster in a process of their own and print what they found as one JSON line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[2]


def run_scenario(
    module: str, *words: str, limit_s: float, tree: Path = ROOT, within: Sequence[str] = ()
) -> dict[str, Any]:
    """Run a scenario to its end; what it found.

    Args:
        tree: The one that it runs from.
        within: A command that runs the one that follows it.
    """
    done = subprocess.run(
        [*within, sys.executable, "-m", module, *words],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found: dict[str, Any] = orjson.loads(done.stdout.strip().splitlines()[-1])
    return found
