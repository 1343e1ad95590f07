"""An actor's one coroutine: its failure ends the process, its cancelling does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cluster.actor_loop import EXIT_FAILED
from tests.docs.blocks import ROOT

PROGRAM = """
import asyncio
from cluster.actor_loop import run_or_exit

async def work():
    {work}

async def main():
    task = run_or_exit("shard-0", work())
    await asyncio.sleep(0)
    {then}
    await asyncio.sleep(0.05)
    print("still here")

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("work", "then", "code", "said"),
    [
        ("raise RuntimeError('the lease is gone')", "", EXIT_FAILED, "the lease is gone"),
        ("raise SystemExit(0)", "", EXIT_FAILED, "actor_ended"),
        ("await asyncio.sleep(9)", "task.cancel()", 0, "still here"),
        ("pass", "", 0, "still here"),
    ],
    ids=["it fails", "it exits", "it is cancelled", "it is over"],
)
def test_how_it_ends(work: str, then: str, code: int, said: str) -> None:
    program = PROGRAM.format(work=work, then=then)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
