"""Samples, plans and views for the tests of load testing."""

from __future__ import annotations

from typing import Any

from chunkcrawl.view.world_view import WorldView
from chunkcrawl.wire.messages import AgentView, ChunkDelta, ChunkStatic, NodeSpec
from loadtest.measures import Measures, Phase, Sample
from loadtest.plan import Plan

SIZE = 50


def plan(**changes: Any) -> Plan:
    """Ten agents and five spectators, unless said otherwise."""
    usual: dict[str, Any] = {
        "base": "http://127.0.0.1:1",
        "agents": 10,
        "spectators": 5,
        "duration_s": 10,
        "scenario": "wander",
        "seed": 1,
        "run_id": "abc123",
    }
    return Plan(**(usual | changes))


def sample(
    task: int = 0, second: int = 0, phase: Phase = "ready", *, rtt_s: tuple[float, ...] = (), **values: Any
) -> Sample:
    """A second of a generator; ``values`` are counts, or fields of the sample if it has such."""
    measures = Measures()
    for seconds in rtt_s:
        measures.times["rtt"].record(seconds)
    made = Sample(task, second, 1.0, phase, measures)
    for name, value in values.items():
        if hasattr(made, name):
            setattr(made, name, value)
        else:
            measures.counts[name.replace("__", ":")] = value
    return made


def hall(
    *others: tuple[int, int], at: tuple[int, int] = (25, 25), nodes: tuple[tuple[int, int], ...] = ()
) -> WorldView:
    """What an agent ``me`` knows of a chunk that is one empty hall with an exit in the north at x = 23..26."""
    grid = [[int(x in (0, SIZE - 1) or y in (0, SIZE - 1)) for x in range(SIZE)] for y in range(SIZE)]
    for x in range(23, 27):
        grid[SIZE - 1][x] = 0
    for x, y in nodes:
        grid[y][x] = 1
    view = WorldView("me")
    specs = [NodeSpec(f"n{number}", x, y, max_remaining=5) for number, (x, y) in enumerate(nodes)]
    view.feed(ChunkStatic(chunk_id="chunk-0", grid=grid, resource_nodes=specs))
    agents = [AgentView("me", *at), *(AgentView(f"a{number}", x, y) for number, (x, y) in enumerate(others))]
    view.feed(ChunkDelta(chunk_id="chunk-0", tick=7, agents=agents))
    return view
