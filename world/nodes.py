"""Resource nodes as they stand in a loaded chunk."""

from __future__ import annotations

from typing import Any

from world.grid import index_of
from world.ids import AgentId, ChunkId, NodeId, Tick, node_name
from world.ores import NodeSpec
from world.records import NodeRecord, NodeStatus


class Node:
    """A gold node: what is left of it, who digs at it."""

    __slots__ = ("cell", "harvesters", "id", "regen_at", "remaining", "spec", "state", "version", "view")

    def __init__(self, chunk_id: ChunkId, spec: NodeSpec) -> None:
        self.id: NodeId = node_name(chunk_id, spec.index)
        self.spec = spec
        self.cell = index_of(spec.x, spec.y)
        self.remaining = spec.max_remaining
        self.state: NodeStatus = "available"
        self.version = 0
        self.regen_at: Tick | None = None
        #: Who digs at it, in the order in which they came.
        self.harvesters: dict[AgentId, None] = {}
        self.view = self._view()

    def set(self, remaining: int, state: NodeStatus) -> None:
        """Change it; the version rises by one."""
        self.remaining = remaining
        self.state = state
        self.version += 1
        self.view = self._view()

    def restore(self, record: NodeRecord) -> None:
        """Take over a record's values."""
        self.remaining = record.remaining
        self.state = record.state
        self.version = record.version
        self.regen_at = record.regen_at
        self.view = self._view()

    def to_record(self) -> NodeRecord:
        """Return what is kept of it."""
        return NodeRecord(self.id, self.remaining, self.state, self.version, self.regen_at)

    def _view(self) -> dict[str, Any]:
        return {"node_id": self.id, "remaining": self.remaining, "state": self.state, "version": self.version}
