from __future__ import annotations

import pytest

from chunkcrawl.mcp.map_text import map_text
from chunkcrawl.view.world_map import KnownChunk, KnownNode, WorldMap

OPEN = ["##.##", "#...#", ".....", "#...#", "##.##"]


def world(chunks: int) -> WorldMap:
    """A row of chunks from west to east, with gold in each."""
    known = WorldMap()
    for number in range(chunks):
        neighbors: dict[str, str | None] = {}
        if number:
            neighbors["W"] = f"chunk-{number - 1}"
        if number < chunks - 1:
            neighbors["E"] = f"chunk-{number + 1}"
        nodes = {f"n-{n}": KnownNode(f"n-{n}", 0, n, 9, n) for n in range(7)}
        known.chunks[f"chunk-{number}"] = KnownChunk(f"chunk-{number}", list(OPEN), neighbors, nodes, seen_ms=1_000)
    return known


def test_the_nearest_come_first_with_the_way_there() -> None:
    lines = map_text(world(3), "chunk-1", 61_000, budget_tokens=1000).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "chunk-1 (here)",
        "chunk-2 (go E, seen 60 s ago)",
        "chunk-0 (go W, seen 60 s ago)",
    ]
    assert "doors N to unexplored, E to chunk-2, S to unexplored, W to chunk-0" in lines[0]
    assert "gold n-6 at 0,6 6 left, n-5 at 0,5 5 left, n-4 at 0,4 4 left, n-3 at 0,3 3 left and 2 more." in lines[0]


@pytest.mark.parametrize("budget", [0, 60, 100, 400])
def test_the_budget_holds_and_what_is_left_out_is_counted(budget: int) -> None:
    text = map_text(world(50), "chunk-0", 0, budget_tokens=budget, notice="STALE: x")
    assert len(text) <= 3 * max(60, budget)
    assert text.startswith("STALE: x\n")
    assert text.endswith("more chunks are known")


def test_nothing_is_known_at_first() -> None:
    assert map_text(WorldMap(), None, 0) == "Nothing is known yet."
    assert map_text(WorldMap(), "chunk-0", 0, notice="STALE") == "STALE\nNothing is known yet."
