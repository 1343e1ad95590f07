"""The JavaScript SDK's own tests, ``*.test.mjs`` beside this file, in Node; one process for each."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.sdk_js.node import ROOT, needs_node, program

HERE = Path(__file__).parent
FILES = sorted(HERE.rglob("*.test.mjs"))

pytestmark = needs_node


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HERE)))
def test_it_passes_in_node(file: Path) -> None:
    argv = [program(), "--test", "--test-reporter=tap", str(file)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = next(line for line in done.stdout.splitlines() if line.startswith("# pass "))
    assert int(counted.removeprefix("# pass ")) > 0


def test_there_are_some() -> None:
    assert FILES
