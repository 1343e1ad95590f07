"""How long a random moment of the past takes, from the question to the page, over a recording without servers.

It records a play as ``bench_recordings`` does (``--keep DIR`` keeps it, and takes one that is there), and asks for
random ticks of random chunks.  What a gateway does beside it is a pipe and a line of JSON.

    PYTHONPATH=. python tests/bench/bench_rewind.py [--agents 200] [--hours 1] [--shards 2] [--keep DIR]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from recordings.chunk_past import read_past
from recordings.places import Directory
from recordings.track import Catalog
from tests.bench.bench_recordings import HZ, record

SEEKS = 200
PAGE = 100


def questions(catalog: Catalog, hours: float, count: int) -> tuple[list[float], list[float], int]:
    """Return how long random questions took, in wall-clock and CPU milliseconds, and how many deltas came."""
    dice, deltas = random.Random(3), 0
    walls: list[float] = []
    cpus: list[float] = []
    last = int(hours * 3600 * HZ)
    for _ in range(count):
        first = dice.randrange(last)
        began, cpu = time.perf_counter(), time.process_time()
        page = read_past(catalog, f"chunk-{dice.randrange(8)}", first, last, PAGE)
        walls.append((time.perf_counter() - began) * 1_000)
        cpus.append((time.process_time() - cpu) * 1_000)
        deltas += len(page.deltas)
    return sorted(walls), sorted(cpus), deltas


def first_deltas(catalog: Catalog, hours: float, count: int) -> list[float]:
    """Return how long it takes to the state and first delta of a random tick: what somebody who drags a line waits."""
    dice = random.Random(4)
    walls: list[float] = []
    for _ in range(count):
        first = dice.randrange(int(hours * 3600 * HZ))
        began = time.perf_counter()
        read_past(catalog, "chunk-0", first, first + 5, 1)
        walls.append((time.perf_counter() - began) * 1_000)
    return sorted(walls)


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
        catalog = Catalog(Directory(directory))
        print(f"{chosen.agents} agents, {chosen.hours} h of world time, {chosen.shards} shards")
        began = time.perf_counter()
        read_past(catalog, "chunk-0", int(chosen.hours * 1800 * HZ), int(chosen.hours * 1800 * HZ) + 5, 1)
        print(f"  the very first question, nothing known: {(time.perf_counter() - began) * 1_000:.0f} ms")
        walls = first_deltas(catalog, chosen.hours, SEEKS)
        print(f"  seeking a random tick: p50 {walls[SEEKS // 2]:.0f} ms, p99 {walls[SEEKS * 99 // 100]:.0f} ms")
        walls, cpus, deltas = questions(catalog, chosen.hours, SEEKS)
        print(
            f"  a page of {PAGE} deltas: p50 {walls[SEEKS // 2]:.0f} ms, p99 {walls[SEEKS * 99 // 100]:.0f} ms "
            f"(CPU p50 {cpus[SEEKS // 2]:.0f} ms), {deltas / SEEKS:.0f} deltas on average"
        )


if __name__ == "__main__":
    main()
