"""Chunks coming to a shard and going from it, with everything that is under way in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from world.actors import Actor, Npc
from world.chunk import Chunk
from world.collection import remove_chunk
from world.crossing import approach, want_neighbor
from world.grid import SIDE_OF, STEP, cell_of, index_of
from world.harvest import watch_regrowth
from world.inputs import Decision, Done, Drop, Dropped, Load, Refusal
from world.records import AgentRecord, RunningCommand
from world.running import Activity, Harvesting, Moving, Saying, Ticket, harvest_fields
from world.spawn import nearest_free
from world.state import ShardState
from world.terrain import make_terrain

CHANGE_BY_LETTER: Final[Mapping[str, int]] = {str(side): change for side, change in STEP.items()}


def load(state: ShardState, order: Load) -> Done | Refusal:
    """Take a chunk in; its agents keep their cells and go on with what they were doing.

    Nobody joins by this: no ``agent_joined``, no change of members.
    """
    record = order.record
    if record.chunk_id in state.chunks:
        return Refusal("already_here")
    state.tick = max(state.tick, record.tick)  # a chunk's ticks only rise
    terrain = make_terrain(state.world_seed, record.number, record.entry, state.rules)
    chunk = Chunk(record, terrain)
    state.chunks[chunk.id] = chunk
    for npc in record.npcs:
        cell = cell_of(npc.x, npc.y)
        if cell is not None and chunk.walk[cell]:
            chunk.add_npc(Npc(npc))
    newcomers = [(_seat(state, chunk, agent), agent) for agent in sorted(order.agents, key=lambda one: one.agent_id)]
    for actor, agent in newcomers:
        if actor is not None and agent.running is not None:
            resume(state, actor, agent.running)
    _sort_runners(state)
    for node in chunk.nodes.values():
        watch_regrowth(state, chunk, node)
    if chunk.members:
        state.inhabited[chunk.id] = chunk
        chunk.idle_since = None
    else:
        if chunk.idle_since is None:
            chunk.idle_since = state.tick
        state.check_idle(chunk, chunk.idle_since)
    state.show(chunk)
    state.keep_chunk(chunk)
    state.out.statics.append(chunk.id)
    return Done()


def drop(state: ShardState, order: Drop) -> Dropped | Refusal:
    """Give a chunk away; nothing ends, and nothing of it is left here."""
    chunk = state.chunks.get(order.chunk_id)
    if chunk is None:
        return Refusal("chunk_not_here")
    agents = []
    for actor in chunk.ordered:
        agents.append(actor.to_record(state.tick))
        del state.agents[actor.id]
        state.runners.pop(actor.id, None)
        state.forget(actor)
    remove_chunk(state, chunk)
    return Dropped(chunk.to_record(state.tick), agents)


def _seat(state: ShardState, chunk: Chunk, agent: AgentRecord) -> Actor | None:
    """Put an agent on its cell, or on the nearest free one should that be taken."""
    if agent.agent_id in state.agents:
        return None
    cell = cell_of(agent.x, agent.y)
    if cell is None or not chunk.floor[cell] or cell in chunk.occupants:
        cell = nearest_free(chunk, (agent.x, agent.y))
    if cell is None:
        return None
    actor = Actor(agent, chunk, cell)
    chunk.seat(actor)
    state.agents[actor.id] = actor
    return actor


def _sort_runners(state: ShardState) -> None:
    """Bring the commands back into the order of acceptance, then of agent ids."""

    def order(actor: Actor) -> tuple[int, str]:
        return (actor.running.ticket.order if actor.running else 0, actor.id)

    ranked = sorted(state.runners.values(), key=order)
    state.runners = {actor.id: actor for actor in ranked}
    if ranked:
        state.accepted = max(state.accepted, order(ranked[-1])[0] + 1)


# ----- commands that go on


def resume(state: ShardState, actor: Actor, record: RunningCommand) -> None:
    """Let a recorded command go on from where the agent stands; one that can't ends as failed at once."""
    actor.decided[record.server_cmd_id] = Decision(accepted=True, started_tick=record.started_tick)
    running = _revive(actor, record)
    if isinstance(running, Moving):
        state.start(actor, running, "moving")
        if running.side is not None:
            want_neighbor(state, actor.chunk, running.side)
            if len(running.path) == 1:
                approach(state, actor, running)
    elif isinstance(running, Harvesting):
        state.start(actor, running, "harvesting")
        running.node.harvesters[actor.id] = actor
    elif running is not None:
        state.start(actor, running, "idle")
    elif record.kind == "harvest":
        end_recorded(state, actor, record, "depleted")
    else:
        actor.running = _saying(record)
        state.blocked(actor, _target(record) or actor.cell, None, detail="no_way")


def end_recorded(state: ShardState, actor: Actor, record: RunningCommand, reason: str) -> None:
    """Give a recorded command that does not go on its one result."""
    actor.running = _saying(record)  # a result needs no more than the ids, which every shape has
    details = harvest_fields(record.node_id, record.harvested) if record.kind == "harvest" else {}
    state.finish(actor, "failed", reason, **details)


def _revive(actor: Actor, record: RunningCommand) -> Activity | None:
    if record.kind == "say":
        return _saying(record)
    if record.kind == "harvest":
        node = actor.chunk.nodes.get(record.node_id) if record.node_id else None
        if node is None or node.state != "available" or record.due_tick is None:
            return None
        return Harvesting(Ticket.of(record), node, record.due_tick, record.harvested)
    target = _target(record)
    path = None if target is None else _rest_of_path(actor, record, target)
    if target is None or path is None:
        return None
    return Moving(Ticket.of(record), target, SIDE_OF[target], path)


def _saying(record: RunningCommand) -> Saying:
    return Saying(Ticket.of(record), record.text or "")


def _target(record: RunningCommand) -> int | None:
    return None if record.target is None else cell_of(*record.target)


def _rest_of_path(actor: Actor, record: RunningCommand, target: int) -> list[int] | None:
    """What is left of the recorded path from where the agent stands now; planned anew if it is not on it."""
    if record.origin is None:
        return actor.chunk.plan(actor.cell, target)
    cells = [index_of(*record.origin)]
    for letter in record.path:
        cells.append(cells[-1] + CHANGE_BY_LETTER.get(letter, 0))
    if cells[-1] != target or actor.cell not in cells:
        return actor.chunk.plan(actor.cell, target)
    if SIDE_OF[target] is not None and len(cells) == 1:
        return [target]
    rest = cells[cells.index(actor.cell) + 1 :]
    return rest[::-1]
