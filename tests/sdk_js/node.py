"""Node, where there is one that the SDK supports; and the mark for tests that need it."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
OLDEST: Final = 20


@cache
def node() -> str | None:
    """The program, None where there is none or it is too old."""
    program = shutil.which("node")
    if program is None:
        return None
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
    major = done.stdout.strip().removeprefix("v").partition(".")[0]
    return program if major.isdigit() and int(major) >= OLDEST else None


NO_NODE: Final = f"no Node {OLDEST} or newer (.ci/node build/node brings one)"

needs_node = pytest.mark.skipif(node() is None, reason=NO_NODE)


def javascript(example: str) -> str:
    """The text of an example, for a file that lies elsewhere."""
    here = '"../sdk-js/src/index.js"'
    assert here in example
    return example.replace(here, f'"{ROOT}/sdk-js/src/index.js"')


def program() -> str:
    """The program, where ``needs_node`` let a test pass."""
    found = node()
    assert found is not None
    return found
