"""Joining and leaving the world."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from world.actors import Actor
from world.commands import rule_named, rule_of
from world.grid import X_OF, Y_OF, cell_of
from world.inputs import Join, Joined, Leave, Refusal
from world.records import AgentRecord
from world.spawn import seat_for
from world.state import ShardState

DISCONNECTED: Final = "disconnected"


def join(state: ShardState, request: Join) -> Joined | Refusal:
    """Seat an agent on a free cell, or say that it is here already."""
    present = state.agents.get(request.record.agent_id)
    if present is not None:
        return Joined(X_OF[present.cell], Y_OF[present.cell])
    chunk = state.chunks.get(request.chunk_id)
    if chunk is None:
        return Refusal("chunk_not_here")
    near = request.near if request.near is not None and cell_of(*request.near) is not None else None
    cell = seat_for(chunk, near) if len(chunk.members) < state.rules.spawn_chunk_capacity else None
    if cell is None:
        return Refusal("chunk_full")
    actor = Actor(request.record, chunk.id, cell)
    state.enter(actor)
    state.show_soon(chunk)
    if request.record.running is not None:
        # It went without leaving: the command that its record still shows has had no result.
        running = request.record.running
        rule_named(running.kind).end_recorded(state, actor, running, DISCONNECTED)
    state.inventory(actor)
    state.fact("join", chunk.id, actor.id, x=X_OF[cell], y=Y_OF[cell])
    return Joined(X_OF[cell], Y_OF[cell])


def leave(state: ShardState, request: Leave) -> AgentRecord | Refusal:
    """Take an agent out of the world; what it owns is in its record."""
    actor = state.agents.get(request.agent_id)
    if actor is None:
        return Refusal("agent_not_here")
    end_disconnected(state, actor)
    state.exit(actor)
    state.forget(actor)
    record = replace(actor.to_record(state.tick), running=None)
    state.out.agents[actor.id] = record
    state.fact("leave", record.chunk_id, actor.id, x=record.x, y=record.y, gold=record.gold)
    return record


def end_disconnected(state: ShardState, actor: Actor) -> None:
    """End whatever runs, and give back what it was reserved."""
    if actor.running is not None:
        rule_of(actor.running).stop(state, actor, actor.running, DISCONNECTED)
