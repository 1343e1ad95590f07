"""Leaving a chunk: at once into a chunk of the same shard, by a reserved cell into another shard's.

The last step of such a walk enters a boundary cell, which is only passed through: the agent comes to stand
on the mirrored cell of the neighbour.  All or nothing: until it goes it stands where it stood.

The cell is asked for when the agent comes to stand before its last step, not earlier: a tick (200 ms) is
ample for the answer, so the crossing keeps full speed, and no cell is kept for somebody who may be
blocked on the way.  Source: docs/decisions/0002-command-order.md, "Crossing".
"""

from __future__ import annotations

from world.actors import Actor
from world.chunk import Chunk
from world.grid import X_OF, Y_OF, mirrored
from world.ids import ChunkId, Direction, HandoffId, handoff_name
from world.inputs import Denied, Done, Granted, Occupant, Refusal
from world.outputs import Departure, NeighborWanted, ReleaseWanted, ReserveWanted
from world.running import Crossing, Handoff
from world.state import ShardState

# -- from the walk --


def want_neighbor(state: ShardState, chunk: Chunk, side: Direction) -> None:
    """Ask for a neighbour, once a side until it is answered."""
    if chunk.neighbors[side] is None and side not in chunk.wanted:
        chunk.wanted[side] = state.tick
        state.out.requests.append(NeighborWanted(chunk.id, side))


def approach(state: ShardState, actor: Actor, crossing: Crossing) -> None:
    """Ask for what the last step will need: the agent stands before it."""
    neighbor = state.chunk_of(actor).neighbors[crossing.side]
    if neighbor is None:
        want_neighbor(state, state.chunk_of(actor), crossing.side)
    elif neighbor not in state.chunks:
        _ask(state, actor, crossing, neighbor)


def cross(state: ShardState, actor: Actor, crossing: Crossing) -> None:
    """Do the last step: go, wait for an answer, or end ``failed(blocked)``."""
    chunk, door = state.chunk_of(actor), crossing.door
    body = chunk.occupants.get(door)
    if body is not None and body is not actor:
        give_up_handoff(state, crossing)
        state.blocked(actor, door, body.occupant())
        return
    neighbor = chunk.neighbors[crossing.side]
    if neighbor is not None and neighbor in state.chunks:
        _cross_here(state, actor, crossing, state.chunks[neighbor])
    elif crossing.no_neighbor is not None:
        state.blocked(actor, door, None, detail=crossing.no_neighbor or "no_neighbor")
    elif neighbor is not None and crossing.handoff is not None and crossing.handoff.denied is not None:
        _blocked_beyond(state, actor, crossing, neighbor, crossing.handoff.denied.blocker)
    elif neighbor is not None and _may_go(state, crossing, neighbor):
        _depart(state, actor, crossing)
    else:
        _wait(state, actor, crossing)


def _cross_here(state: ShardState, actor: Actor, crossing: Crossing, target: Chunk) -> None:
    """Cross into a chunk of this same shard, as one atomic change."""
    door = crossing.door
    cell = mirrored(door)
    handoff = handoff_name(actor.id, crossing.ticket.server_cmd_id)
    blocker = target.in_the_way(cell, handoff)
    if blocker is not None or not target.floor[cell]:
        _blocked_beyond(state, actor, crossing, target.id, blocker)
        return
    target.reserved.pop(cell, None)  # asked for while the target was another shard's
    source = state.chunk_of(actor)
    state.exit(actor)
    actor.place(target.id, cell)
    state.enter(actor)
    _tell(state, actor, crossing, source.id, target.id)


def _depart(state: ShardState, actor: Actor, crossing: Crossing) -> None:
    """Hand the agent over to the other shard, which has reserved the cell."""
    handoff = crossing.handoff
    assert handoff is not None
    source, cell = state.chunk_of(actor), handoff.cell
    state.exit(actor)
    _tell(state, actor, crossing, source.id, handoff.to_chunk)
    state.forget(actor)
    record = actor.to_record(state.tick, handoff.to_chunk, cell)
    state.out.departures.append(Departure(handoff.id, record, source.id, handoff.to_chunk, record.x, record.y))


def _tell(state: ShardState, actor: Actor, crossing: Crossing, source: ChunkId, target: ChunkId) -> None:
    """Tell the agent: the transition first, then the result, as every client is used to."""
    door = crossing.door
    cell = mirrored(door)
    payload = {
        "agent_id": actor.id,
        "from_chunk_id": source,
        "to_chunk_id": target,
        "from": {"x": X_OF[door], "y": Y_OF[door]},
        "to": {"x": X_OF[cell], "y": Y_OF[cell]},
        "direction": crossing.side,
        "tick": state.tick,
    }
    state.private(actor, "chunk_transition", payload, crossing.ticket.trace_id)
    state.finish(actor, "completed")
    state.fact("crossing", source, actor.id, to_chunk_id=target, x=X_OF[cell], y=Y_OF[cell])


def _blocked_beyond(
    state: ShardState, actor: Actor, crossing: Crossing, to_chunk: ChunkId, blocker: Occupant | None
) -> None:
    """End as blocked by who is on the arrival cell: the blocker's cell is the neighbour's, the blocked one ours."""
    give_up_handoff(state, crossing)
    state.blocked(actor, crossing.door, blocker, blocker_chunk_id=to_chunk)


# -- waiting and asking --


def _ask(state: ShardState, actor: Actor, crossing: Crossing, to_chunk: ChunkId) -> None:
    """Ask another shard to keep the arrival cell; the same request each time."""
    cell = mirrored(crossing.door)
    handoff = crossing.handoff
    if handoff is None or handoff.to_chunk != to_chunk:
        give_up_handoff(state, crossing)
        name = handoff_name(actor.id, crossing.ticket.server_cmd_id)
        crossing.handoff = handoff = Handoff(name, to_chunk, cell, state.tick)
    handoff.asked_at = state.tick
    handoff.asks += 1
    handoff.granted = False
    state.out.requests.append(ReserveWanted(handoff.id, actor.id, actor.chunk_id, to_chunk, X_OF[cell], Y_OF[cell]))


def _may_go(state: ShardState, crossing: Crossing, neighbor: ChunkId) -> bool:
    handoff = crossing.handoff
    return (
        handoff is not None
        and handoff.to_chunk == neighbor
        and handoff.granted
        and (handoff.until is None or state.tick <= handoff.until)
    )


def _wait(state: ShardState, actor: Actor, crossing: Crossing) -> None:
    """Stand before the boundary; ask again now and then, give up at the cap (``Rules.handoff_cap_ticks``)."""
    chunk, rules = state.chunk_of(actor), state.rules
    if crossing.waiting_since is None:
        crossing.waiting_since = state.tick
    if state.tick - crossing.waiting_since >= rules.handoff_cap_ticks:
        chunk.wanted.pop(crossing.side, None)  # unanswered: whoever comes next may ask anew
        give_up_handoff(state, crossing)
        state.blocked(actor, crossing.door, None, detail="no_answer")
        return
    neighbor, handoff = chunk.neighbors[crossing.side], crossing.handoff
    if neighbor is None:
        want_neighbor(state, chunk, crossing.side)
    elif (
        handoff is None
        or handoff.to_chunk != neighbor
        or handoff.granted  # too late to use
        or state.tick - handoff.asked_at >= rules.handoff_retry_ticks
    ):
        _ask(state, actor, crossing, neighbor)


def give_up_handoff(state: ShardState, crossing: Crossing) -> None:
    """Give up the cell that was asked for: nobody will come to it."""
    handoff = crossing.handoff
    if handoff is not None:
        crossing.handoff = None
        # A first request that was denied left nothing behind; of several another may have been granted.
        if handoff.denied is None or handoff.asks > 1:
            state.out.requests.append(ReleaseWanted(handoff.id, handoff.to_chunk))


# -- answers --


def granted(state: ShardState, answer: Granted) -> Done | Refusal:
    """Take the answer that the cell is kept: the next step goes.  Too late an answer gives the cell back."""
    actor = state.agents.get(answer.agent_id)
    if actor is None:
        # Gone: if it departed with this very handoff the cell is its own, else the reservation runs out by itself.
        return Refusal("agent_not_here")
    handoff = _handoff(actor, answer.handoff_id)
    if handoff is not None:
        handoff.granted = True
        handoff.until = answer.until_tick
        handoff.denied = None
    return Done()


def denied(state: ShardState, answer: Denied) -> Done | Refusal:
    """Take the answer that the cell is taken: the next step ends the move."""
    actor = state.agents.get(answer.agent_id)
    if actor is None:
        return Refusal("agent_not_here")
    handoff = _handoff(actor, answer.handoff_id)
    if handoff is not None:
        handoff.denied = answer
        handoff.granted = False
    return Done()


def _handoff(actor: Actor, handoff_id: HandoffId) -> Handoff | None:
    """Return the agent's request that an answer is for; None when it has been given up."""
    crossing = actor.running.crossing if actor.running is not None else None
    handoff = crossing.handoff if crossing is not None else None
    return handoff if handoff is not None and handoff.id == handoff_id else None
