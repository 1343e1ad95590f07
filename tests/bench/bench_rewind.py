"""How long a random moment of the past takes, from the question to the page, over a recording without servers.

It records a play as ``bench_recordings`` does (``--keep DIR`` keeps it, and takes one that is there), and asks the
process that a gateway asks for random ticks of random chunks.

    PYTHONPATH=. python tests/bench/bench_rewind.py [--agents 200] [--hours 1] [--shards 2] [--keep DIR]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from api.past.process import PastProcess
from recordings.past_page import PastPage
from recordings.past_worker import PAGE as PAGE_ANSWER
from tests.bench.bench_recordings import HZ, record

SEEKS = 200
PAGE = 100
PAUSE_S = 0.15
#: Of web/watch/js/net/past_api.js.
BLOCK_TICKS, BLOCK_DELTAS = 100, 500


class Reader:
    """The process that reads the past for a gateway, asked as a gateway does."""

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self._process = PastProcess()

    def ask(self, chunk_id: str, first: int, last: int, limit: int) -> tuple[PastPage, float]:
        """Return a page, and how long it took (ms)."""
        question = {"chunk_id": chunk_id, "first": first, "last": last, "limit": limit}
        began = time.perf_counter()
        answer = self._process.ask({"directory": self._directory, "url": "", **question})
        took = (time.perf_counter() - began) * 1_000
        assert answer[:1] == PAGE_ANSWER
        time.sleep(PAUSE_S)  # it tidies up; nobody asks again in the same moment
        return PastPage.unpack(answer[1:]), took

    def close(self) -> None:
        """End it."""
        self._process.close()


def pages(reader: Reader, hours: float, count: int) -> tuple[list[float], int]:
    """Return how long pages of random chunks and ticks took (ms), and how many deltas came."""
    dice, deltas = random.Random(3), 0
    took: list[float] = []
    last = int(hours * 3600 * HZ)
    for _ in range(count):
        page, ms = reader.ask(f"chunk-{dice.randrange(8)}", dice.randrange(last), last, PAGE)
        took.append(ms)
        deltas += len(page.deltas)
    return sorted(took), deltas


def blocks(reader: Reader, hours: float, count: int) -> list[float]:
    """Return how long (ms) the block of ticks takes that the page to watch asks for when somebody drags its line."""
    dice = random.Random(5)
    took: list[float] = []
    for _ in range(count):
        first = dice.randrange(int(hours * 3600 * HZ)) // BLOCK_TICKS * BLOCK_TICKS
        _, ms = reader.ask("chunk-0", first, first + BLOCK_TICKS - 1, BLOCK_DELTAS)
        took.append(ms)
    return sorted(took)


def first_deltas(reader: Reader, hours: float, count: int) -> list[float]:
    """Return how long (ms) it takes to the state and first delta of a random tick: what one who drags a line waits."""
    dice = random.Random(4)
    took: list[float] = []
    for _ in range(count):
        first = dice.randrange(int(hours * 3600 * HZ))
        page, ms = reader.ask("chunk-0", first, first + 5, 1)
        assert page.state is not None
        took.append(ms)
    return sorted(took)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = chosen.keep or Path(name)
        if not any(directory.glob("*.ccrec")):
            record(directory, chosen.agents, chosen.hours, chosen.shards)
        print(f"{chosen.agents} agents, {chosen.hours} h of world time, {chosen.shards} shards")
        reader = Reader(directory)
        at = int(chosen.hours * 1800 * HZ)
        _, ms = reader.ask("chunk-0", at, at + 5, 1)
        print(f"  the very first question, with the start of the process: {ms:.0f} ms")
        took = first_deltas(reader, chosen.hours, SEEKS)
        print(f"  seeking a random tick: {spread(took)}")
        took = blocks(reader, chosen.hours, SEEKS)
        print(f"  the {BLOCK_TICKS} ticks around it, as the page asks for them: {spread(took)}")
        took, deltas = pages(reader, chosen.hours, SEEKS)
        print(f"  a page of {PAGE} deltas: {spread(took)}, {deltas / SEEKS:.0f} deltas on average")
        reader.close()


def spread(took: list[float]) -> str:
    """Return the middle, the 99th of a hundred and the last as words."""
    return f"p50 {took[len(took) // 2]:.0f} ms, p99 {took[len(took) * 99 // 100]:.0f} ms, most {took[-1]:.0f} ms"


if __name__ == "__main__":
    main()
