"""The target shard's side of a crossing: cells kept for arrivals, and the arrivals themselves."""

from __future__ import annotations

from typing import Final

from world.actors import Actor
from world.chunk import Reservation
from world.grid import SIDE_OF, X_OF, Y_OF, cell_of
from world.inputs import Arrive, Done, Joined, Refusal, Release, Reserve, Reserved
from world.spawn import nearest_free
from world.state import SEATED_REMEMBERED, ShardState

NOT_HERE: Final = Refusal("chunk_not_here")


def reserve(state: ShardState, request: Reserve) -> Reserved | Refusal:
    """Keep a boundary cell for an arrival; the same handoff asking again gets the same answer."""
    chunk = state.chunks.get(request.chunk_id)
    if chunk is None:
        return NOT_HERE
    cell = cell_of(request.x, request.y)
    if cell is None or SIDE_OF[cell] is None or not chunk.floor[cell]:
        return Reserved(ok=False)
    if request.handoff_id in state.seated:
        return Reserved(ok=True)
    blocker = chunk.in_the_way(cell, request.handoff_id)
    if blocker is not None:
        return Reserved(ok=False, blocker=blocker)
    chunk.reserved[cell] = Reservation(request.handoff_id, request.agent_id)
    return Reserved(ok=True)


def release(state: ShardState, request: Release) -> Done:
    """Free a reserved cell: nobody will come.  A handoff that is not known any more is nothing to do."""
    chunk = state.chunks.get(request.chunk_id)
    if chunk is not None:
        for cell, reservation in list(chunk.reserved.items()):
            if reservation.handoff_id == request.handoff_id:
                del chunk.reserved[cell]
    return Done()


def arrive(state: ShardState, arrival: Arrive) -> Joined | Refusal:
    """Seat an agent that has left its old shard, once."""
    present = state.agents.get(arrival.record.agent_id)
    if present is not None:
        return Joined(X_OF[present.cell], Y_OF[present.cell])
    if arrival.handoff_id in state.seated:
        return Joined(arrival.x, arrival.y)
    chunk = state.chunks.get(arrival.chunk_id)
    if chunk is None:
        return NOT_HERE
    cell = cell_of(arrival.x, arrival.y)
    if cell is None or not chunk.free_for_arrival(cell, arrival.handoff_id):
        cell = nearest_free(chunk, (arrival.x, arrival.y))
    if cell is None:
        return Refusal("chunk_full")
    release(state, Release(arrival.handoff_id, arrival.chunk_id))
    state.seated[arrival.handoff_id] = None
    if len(state.seated) > SEATED_REMEMBERED:
        del state.seated[next(iter(state.seated))]
    actor = Actor(arrival.record, chunk.id, cell)
    state.enter(actor)
    return Joined(X_OF[cell], Y_OF[cell])
