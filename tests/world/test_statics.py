"""``chunk_static``, field by field."""

from __future__ import annotations

import json

from tests.world.harness import HALL, TinyCluster
from world.ids import ChunkId


def test_all_fields(world: TinyCluster) -> None:
    world.run(3)
    static = world.shards[0].chunk_static(HALL)
    assert set(static) == {
        "chunk_id",
        "size",
        "tiles",
        "grid",
        "legend",
        "resource_nodes",
        "render_hint",
        "neighbors",
        "tick_base",
    }
    assert static["chunk_id"] == "chunk-0"
    assert static["size"] == {"w": 50, "h": 50}
    assert static["legend"] == {"#": "wall", ".": "floor"}
    assert static["render_hint"] == {
        "cell_codes": {"0": "floor", "1": "wall"},
        "agent_overlay": "chunk_delta.agents",
        "npc_overlay": "chunk_delta.npcs",
        "resource_overlay": "chunk_delta.resources",
        "debug_move_default_agent_id": "demo-player",
    }
    assert static["neighbors"] == {"N": None, "E": None, "S": None, "W": None}
    assert static["tick_base"] == 3
    assert json.loads(json.dumps(static)) == static


def test_tiles_and_grid_agree(world: TinyCluster) -> None:
    """Both have y = 0 first; 0 is floor, 1 is wall."""
    chunk = world.add_chunk("S")
    static = world.home[chunk].chunk_static(chunk)
    assert len(static["tiles"]) == len(static["grid"]) == 50
    for row, codes in zip(static["tiles"], static["grid"], strict=True):
        assert [{"#": 1, ".": 0}[tile] for tile in row] == codes
    assert [static["grid"][0][x] for x in range(22, 28)] == [1, 0, 0, 0, 0, 1]


def test_nodes(world: TinyCluster) -> None:
    nodes = world.shards[0].chunk_static(HALL)["resource_nodes"]
    assert [node["node_id"] for node in nodes] == [f"chunk-0-node-{k}" for k in range(len(nodes))]
    for node in nodes:
        assert set(node) == {
            "node_id",
            "type",
            "x",
            "y",
            "max_remaining",
            "harvest_ticks_per_unit",
            "regen_ticks",
        }
        assert (node["type"], node["harvest_ticks_per_unit"], node["regen_ticks"]) == ("gold", 5, 300)


def test_what_is_handed_out_is_a_copy(world: TinyCluster) -> None:
    """Changing a payload changes nobody else's."""
    static = world.shards[0].chunk_static(HALL)
    static["legend"].clear()
    static["render_hint"]["cell_codes"].clear()
    static["neighbors"]["N"] = ChunkId("chunk-5")
    again = world.shards[0].chunk_static(HALL)
    assert again["legend"]
    assert again["render_hint"]["cell_codes"]
    assert again["neighbors"]["N"] is None
