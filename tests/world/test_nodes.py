"""A node's state."""

from __future__ import annotations

from world.ids import ChunkId, Tick
from world.nodes import Node
from world.ores import NodeSpec
from world.records import NodeRecord


def test_versions_rise_and_views_are_replaced() -> None:
    node = Node(ChunkId("chunk-3"), NodeSpec(1, 5, 6, 9))
    first = node.view
    assert first == {"node_id": "chunk-3-node-1", "remaining": 9, "state": "available", "version": 0}
    node.set(8, "available")
    node.set(0, "depleted")
    assert node.view == {"node_id": "chunk-3-node-1", "remaining": 0, "state": "depleted", "version": 2}
    assert first["remaining"] == 9


def test_kept_and_restored() -> None:
    node = Node(ChunkId("chunk-3"), NodeSpec(1, 5, 6, 9))
    record = NodeRecord(node.id, 0, "regenerating", 7, Tick(40))
    node.restore(record)
    assert node.to_record() == record
    assert node.view["version"] == 7
