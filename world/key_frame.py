"""Key frames: a shard's whole present state as plain JSON, and a world made of it that goes on alike.

Records (``world.records``) are enough to go on after a crash; a frame also holds what they leave out and a run from
here depends on: crossings under way, cells kept for arrivals, who digs where in which order, events not shown yet.  A
frame is taken right after ``ShardWorld.take``.  What requests to the cluster depend on alone (when a chunk was last
proposed for collecting) is kept only as far as a world that lives on needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from heapq import heappush
from typing import Any, Final

from world.actors import Actor, Npc
from world.chunk import Chunk, Reservation
from world.collection import MOST_NEIGHBORS
from world.commands import rule_named
from world.grid import cell_of
from world.ids import AgentId, ChunkId, HandoffId, Tick
from world.inputs import Denied, Occupant
from world.records import AgentRecord, ChunkRecord, RunningCommand
from world.regrowth import watch_regrowth
from world.resting import ChunksMadeOnUse, rests
from world.rules import Rules
from world.running import Crossing, Handoff
from world.shard import ShardWorld
from world.state import ShardState
from world.terrain import make_terrain

#: Handoffs in a frame that are recognised when told twice: an arrival is told twice within a commit or two.
SEATED_KEPT: Final = 256


class BadKeyFrame(ValueError):
    """The frame is not one of this version, or contradicts itself; the message says where."""


def freeze_shard(world: ShardWorld) -> dict[str, Any]:
    """Return what a frame holds besides its chunks; ``chunks`` are the ids of all of them, in order."""
    state = world.state
    return {
        "tick": state.tick,
        "accepted": state.accepted,
        "seated": list(state.seated)[-SEATED_KEPT:],
        "chunks": list(state.chunks),
        "inhabited": list(state.inhabited),
        "changed": [chunk.id for chunk in state.changed],
    }


def freeze_chunk(world: ShardWorld, chunk_id: ChunkId) -> dict[str, Any]:
    """Return one chunk of a frame, with its agents.

    Raises:
        KeyError: the chunk is not here.
    """
    chunk, tick = world.state.chunks[chunk_id], world.tick
    return {
        "record": chunk.to_record(tick).to_json(),
        "shown_at": chunk.shown_at,
        "asked": chunk.asked_collect,
        "wanted": dict(chunk.wanted),
        "reserved": [[cell, one.handoff_id, one.agent_id] for cell, one in chunk.reserved.items()],
        "agents": [actor.to_record(tick).to_json() for actor in chunk.ordered],
        "crossings": {actor.id: _crossing_json(found) for actor in chunk.ordered if (found := _crossing_of(actor))},
        "harvesters": {node.id: list(node.harvesters) for node in chunk.nodes.values() if node.harvesters},
    }


def rest_mark(world: ShardWorld, chunk_id: ChunkId) -> tuple[object, ...] | None:
    """Return what an empty chunk's frame depends on besides the tick: the same again means the same frame.

    None for an inhabited one, which changes all the time.  Cost: O(1).

    Raises:
        KeyError: the chunk is not here.
    """
    chunk = world.state.chunks[chunk_id]
    if chunk.members:
        return None
    return (
        *(chunk.shown_at, chunk.changed, chunk.idle_since, chunk.asked_collect, len(chunk.events)),
        *(tuple(chunk.reserved), tuple(chunk.wanted)),
    )


def thaw(
    rules: Rules,
    world_seed: int,
    shard: int,
    frame: Mapping[str, Any],
    chunks: Mapping[str, Mapping[str, Any]],
    *,
    quiet: bool = False,
    on_use: bool = False,
) -> ShardWorld:
    """Return a world in the state that was frozen.

    Args:
        frame: What ``freeze_shard`` gave.
        chunks: What ``freeze_chunk`` gave for each of its chunks; further ones are not looked at.
        quiet: As ``ShardWorld`` has it.
        on_use: Chunks that rest are made when something asks for them; one that is damaged raises only then, an
            error of any kind.

    Raises:
        BadKeyFrame: it can't be read, or a chunk is missing.
    """
    world = ShardWorld(rules, world_seed, shard, quiet=quiet)
    try:
        if on_use:
            # Made of these alone: a world that its own chunks refer to would not be freed with its last reference.
            world.state.chunks = ChunksMadeOnUse(partial(_made, world_seed, rules))
        _thaw_into(world.state, frame, chunks)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise BadKeyFrame(f"not a key frame of this release: {type(error).__name__}: {error}") from error
    return world


def _thaw_into(state: ShardState, frame: Mapping[str, Any], chunks: Mapping[str, Mapping[str, Any]]) -> None:
    state.tick = Tick(frame["tick"])
    state.out.tick = state.tick
    state.accepted = frame["accepted"]
    state.seated = dict.fromkeys(HandoffId(one) for one in frame["seated"])
    on_use = state.chunks if isinstance(state.chunks, ChunksMadeOnUse) else None
    awake = {*frame["inhabited"], *frame["changed"]}
    for chunk_id in frame["chunks"]:
        frozen = chunks[chunk_id]
        if on_use is not None and rests(frozen, awake):
            on_use.rest(frozen)
            _thaw_rest(state, frozen)
        else:
            _thaw_chunk(state, frozen)
    state.inhabited = {ChunkId(one): state.chunks[one] for one in frame["inhabited"]}
    for chunk_id in frame["changed"]:
        state.show(state.chunks[chunk_id])
    runners = sorted(state.runners.values(), key=_order)
    state.runners = {actor.id: actor for actor in runners}


def _order(actor: Actor) -> tuple[int, str]:
    return (actor.running.ticket.order if actor.running else 0, actor.id)


def _made(world_seed: int, rules: Rules, frozen: Mapping[str, Any]) -> Chunk:
    """Return a chunk without its agents and without what it is to be looked at for."""
    record = ChunkRecord.from_json(frozen["record"])
    chunk = Chunk(record, make_terrain(world_seed, record.number, record.entry, rules))
    chunk.shown_at = frozen["shown_at"]
    chunk.asked_collect = frozen["asked"]
    chunk.wanted = dict(frozen["wanted"])
    chunk.reserved = {cell: Reservation(HandoffId(one), AgentId(who)) for cell, one, who in frozen["reserved"]}
    for npc in record.npcs:
        chunk.add_npc(Npc(npc))
    return chunk


def _thaw_rest(state: ShardState, frozen: Mapping[str, Any]) -> None:
    """Have a chunk that rests looked at when it may have been idle for long enough.

    Not one that the graph needs: it would be left, and is looked at when a neighbour goes (``world.collection``).
    """
    record = frozen["record"]
    idle_since, neighbors = record["idle_since"], sum(one is not None for one in record["neighbors"].values())
    if idle_since is not None and not record["pinned"] and neighbors <= MOST_NEIGHBORS:
        due = max(idle_since, frozen["asked"]) + state.rules.collect_idle_ticks
        heappush(state.idle_checks, (Tick(due), ChunkId(record["chunk_id"])))


def _thaw_chunk(state: ShardState, frozen: Mapping[str, Any]) -> None:
    chunk = _made(state.world_seed, state.rules, frozen)
    state.chunks[chunk.id] = chunk
    for one in frozen["agents"]:
        _thaw_agent(state, chunk, AgentRecord.from_json(one))
    for agent_id, crossing in frozen["crossings"].items():
        _thaw_crossing(state.agents[agent_id], crossing)
    for node_id, who in frozen["harvesters"].items():
        chunk.nodes[node_id].harvesters = dict.fromkeys(AgentId(one) for one in who)
    for node in chunk.nodes.values():
        watch_regrowth(state, chunk, node)
    if chunk.idle_since is not None:
        state.check_idle(chunk, max(chunk.idle_since, chunk.asked_collect))


def _thaw_agent(state: ShardState, chunk: Chunk, record: AgentRecord) -> None:
    cell = cell_of(record.x, record.y)
    if cell is None or cell in chunk.occupants or record.agent_id in state.agents:
        raise BadKeyFrame(f"{record.agent_id} can't stand where it is said to stand")
    actor = Actor(record, chunk.id, cell)
    chunk.seat(actor)
    state.agents[actor.id] = actor
    if record.running is not None:
        _thaw_running(state, actor, record.running)


def _thaw_running(state: ShardState, actor: Actor, record: RunningCommand) -> None:
    rule = rule_named(record.kind)
    actor.running = rule.revive(state, actor, record)
    if actor.running is None:
        raise BadKeyFrame(f"the running command of {actor.id} can't go on")
    actor.state = rule.SHOWN
    actor.show()
    state.runners[actor.id] = actor


# -- crossings --


def _crossing_of(actor: Actor) -> Crossing | None:
    return actor.running.crossing if actor.running is not None else None


def _crossing_json(crossing: Crossing) -> dict[str, Any]:
    return {
        "at_door": crossing.at_door,
        "waiting_since": crossing.waiting_since,
        "no_neighbor": crossing.no_neighbor,
        "handoff": None if crossing.handoff is None else _handoff_json(crossing.handoff),
    }


def _handoff_json(handoff: Handoff) -> dict[str, Any]:
    denied = handoff.denied
    blocker = None if denied is None or denied.blocker is None else denied.blocker
    return {
        "id": handoff.id,
        "to_chunk": handoff.to_chunk,
        "cell": handoff.cell,
        "asked_at": handoff.asked_at,
        "asks": handoff.asks,
        "granted": handoff.granted,
        "until": handoff.until,
        "denied": denied is not None,
        "blocker": None if blocker is None else [blocker.id, blocker.x, blocker.y],
    }


def _thaw_crossing(actor: Actor, frozen: Mapping[str, Any]) -> None:
    crossing = _crossing_of(actor)
    if crossing is None:
        raise BadKeyFrame(f"{actor.id} crosses without walking")
    crossing.at_door = frozen["at_door"]
    crossing.waiting_since = frozen["waiting_since"]
    crossing.no_neighbor = frozen["no_neighbor"]
    if frozen["handoff"] is not None:
        crossing.handoff = _thaw_handoff(actor, frozen["handoff"])


def _thaw_handoff(actor: Actor, frozen: Mapping[str, Any]) -> Handoff:
    blocker = None if frozen["blocker"] is None else Occupant(*frozen["blocker"])
    denied = Denied(HandoffId(frozen["id"]), actor.id, blocker) if frozen["denied"] else None
    return Handoff(
        HandoffId(frozen["id"]),
        ChunkId(frozen["to_chunk"]),
        frozen["cell"],
        Tick(frozen["asked_at"]),
        asks=frozen["asks"],
        granted=frozen["granted"],
        until=frozen["until"],
        denied=denied,
    )


# -- comparing --


def difference(recorded: object, replayed: object, path: str = "") -> tuple[str, object, object] | None:
    """Return where two plain JSON values first differ (a path like ``agents[0].gold``), and both; None: nowhere."""
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        names: Iterable[Any] = sorted({*recorded, *replayed})
        pairs = [(f"{path}.{name}".lstrip("."), recorded.get(name), replayed.get(name)) for name in names]
    elif isinstance(recorded, list) and isinstance(replayed, list) and len(recorded) == len(replayed):
        pairs = [(f"{path}[{at}]", *both) for at, both in enumerate(zip(recorded, replayed, strict=True))]
    else:
        return None if recorded == replayed else (path, recorded, replayed)
    return next((found for at, one, other in pairs if (found := difference(one, other, at)) is not None), None)
