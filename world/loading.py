"""Chunks coming to a shard and going from it, with everything that is under way in them."""

from __future__ import annotations

from world.actors import Actor, Npc
from world.chunk import Chunk
from world.collection import remove_chunk
from world.commands import rule_named
from world.grid import cell_of
from world.inputs import Decision, Done, Drop, Dropped, Load, Refusal
from world.records import AgentRecord, RunningCommand
from world.regrowth import watch_regrowth
from world.spawn import nearest_free
from world.state import ShardState
from world.terrain import make_terrain


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
    actor = Actor(agent, chunk.id, cell)
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


# -- commands that go on --


def resume(state: ShardState, actor: Actor, record: RunningCommand) -> None:
    """Let a recorded command go on from where the agent stands; one that can't ends as failed at once.

    Raises:
        UnknownCommand: a newer version wrote the record.
    """
    rule = rule_named(record.kind)
    actor.decided[record.server_cmd_id] = Decision(accepted=True, started_tick=record.started_tick)
    running = rule.revive(state, actor, record)
    if running is None:
        rule.not_revived(state, actor, record)
        return
    state.start(actor, running, rule.SHOWN)
    rule.begin(state, actor, running)
