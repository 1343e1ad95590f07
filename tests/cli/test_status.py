"""``chunkcrawl status``: what its table shows, however narrow the terminal is."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

import pytest
from rich.console import Console

from cli.status import _table
from world.rules import WorldRules

SHARD = {
    "tick": 12_345_678,
    "stalled": False,
    "chunks": 1_234,
    "agents": 12_345,
    "tick_ms": {"p50": 101.1, "p99": 199.9},
    "commit_ms": {"p50": 101.1, "p99": 199.9},
}
NAMES = [*(f"shard-{number}" for number in (0, 127)), "gateway-100", "archiver-0", "a-name-that-is-rather-long"]


def status() -> dict[str, Any]:
    actors: dict[str, Any] = dict.fromkeys(NAMES, SHARD) | {"gateway-100": {"connections": 10_000}}
    actors["archiver-0"] = {"error": "no answer within [2] s"}
    return {
        "rules": asdict(WorldRules()),
        "shards": 128,
        "nodes": [{"alive": True}],
        "moving": {"to_move": 0, "moved": 0},
        "actors": actors,
    }


@pytest.mark.parametrize("width", [80, 100, 200])
def test_nothing_is_cut_off(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(_table(status()))
    text = out.getvalue()
    assert "…" not in text
    for name in NAMES:
        assert any(line.split()[:1] == [name] for line in text.splitlines()), text
    assert max(map(len, text.splitlines())) <= width
    assert "Made with 5 ticks a second, 3 to 6 gold nodes a chunk" in " ".join(text.split())
