"""A chunk's whole state after a crash: its record, brought up to its last delta.

Deltas are committed in every tick that changes something, records only when something changes that a delta
does not show, so of what both hold the delta is the newer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from world.ids import AgentId, Tick
from world.records import AgentRecord, ChunkRecord, NodeRecord, NpcRecord


def recover(
    record: ChunkRecord, delta: Mapping[str, Any] | None, agents: Iterable[AgentRecord], tick: Tick
) -> tuple[ChunkRecord, list[AgentRecord]]:
    """Return the records to ``Load``.

    Args:
        record: The chunk's last record.
        delta: The payload of its last ``chunk_delta``; None if it never had one.
        agents: The records of those who are in the chunk now (arrivals that are not seated yet are not among
            them); one that the delta does not show keeps its record's place.
        tick: The shard's last committed tick, if that is later than what the chunk says.
    """
    if delta is None:
        return replace(record, tick=max(tick, record.tick)), list(agents)
    nodes = {node.node_id: node for node in record.nodes}
    shown = tuple(
        NodeRecord(
            node_id=view["node_id"],
            remaining=view["remaining"],
            state=view["state"],
            version=view["version"],
            regen_at=nodes[view["node_id"]].regen_at if view["node_id"] in nodes else None,
        )
        for view in delta["resources"]
    )
    chunk = replace(
        record,
        tick=max(tick, record.tick, Tick(delta["tick"])),
        nodes=shown,
        npcs=tuple(NpcRecord(view["id"], view["x"], view["y"], view["kind"]) for view in delta["npcs"]),
        events=(),
    )
    places: dict[AgentId, tuple[int, int]] = {view["id"]: (view["x"], view["y"]) for view in delta["agents"]}
    return chunk, [_placed(agent, places.get(agent.agent_id), Tick(delta["tick"])) for agent in agents]


def _placed(agent: AgentRecord, place: tuple[int, int] | None, tick: Tick) -> AgentRecord:
    """Return the agent where the delta shows it, unless its record is the later one (it joined after that delta)."""
    if place is None or agent.at > tick:
        return agent
    return replace(agent, x=place[0], y=place[1])
