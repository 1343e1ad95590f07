"""New chunks, and the demo's population: records for the runtime to load and to join."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from world.dice import Dice
from world.grid import CENTRE
from world.ids import DIRECTIONS, HALL, AgentId, ChunkId, Direction, Tick, chunk_name
from world.records import AgentRecord, ChunkRecord, NpcRecord
from world.rules import Rules
from world.terrain import make_terrain

DEMO_PLAYER: Final = AgentId("demo-player")
_DEMO_AGENTS: Final = (
    (DEMO_PLAYER, "Demo Player", CENTRE),
    (AgentId("demo-user-1"), "Demo User 1", (21, 25)),
    (AgentId("demo-user-2"), "Demo User 2", (29, 25)),
    (AgentId("demo-user-3"), "Demo User 3", (25, 21)),
)
_DEMO_NPCS: Final = (NpcRecord("demo-npc-1", 20, 30, "slime"), NpcRecord("demo-npc-2", 30, 30, "slime"))


def new_chunk(
    world_seed: int,
    number: int,
    entry: Direction | None,
    rules: Rules,
    tick: Tick = Tick(0),  # noqa: B008 - an int
    neighbors: Mapping[Direction, ChunkId | None] | None = None,
) -> ChunkRecord:
    """Return the record of a chunk that nobody has been in, for ``Load``.

    Args:
        world_seed: The world's.
        number: From the world's counter, never used before; 0 is the pinned hall.
        entry: The side one comes in by; None for the hall.
        rules: The shard's.
        tick: The present tick; the chunk's idle time begins with it.
        neighbors: Those that it is linked to from the start.
    """
    sides = dict.fromkeys(DIRECTIONS) | dict(neighbors or {})
    return ChunkRecord(
        chunk_id=chunk_name(number),
        number=number,
        entry=entry,
        pinned=number == 0,
        neighbors=sides,
        tick=tick,
        npcs=_creatures(world_seed, number, entry, rules),
        idle_since=tick,
    )


def demo_population(rules: Rules) -> list[AgentRecord]:
    """Return the demo's agents, each with the cell of ``chunk-0`` to ``Join`` near; none without ``rules.demo``.

    The demo's creatures come with the hall's ``new_chunk``.
    """
    if not rules.demo:
        return []
    return [
        AgentRecord(agent_id=agent_id, chunk_id=HALL, x=cell[0], y=cell[1], name=name, kind="demo")
        for agent_id, name, cell in _DEMO_AGENTS
    ]


def _creatures(world_seed: int, number: int, entry: Direction | None, rules: Rules) -> tuple[NpcRecord, ...]:
    if not rules.demo:
        return ()
    if number == 0:
        return _DEMO_NPCS
    terrain = make_terrain(world_seed, number, entry, rules)
    inner = [(x, y) for y in range(1, 49) for x in range(1, 49) if terrain.floor[y, x]]
    cells = Dice("slimes", world_seed, number).shuffled(inner)[: rules.npcs_per_chunk]
    return tuple(NpcRecord(f"{chunk_name(number)}-npc-{k}", x, y, "slime") for k, (x, y) in enumerate(cells, start=1))
