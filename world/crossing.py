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
from world.ids import ChunkId, Direction, handoff_name
from world.inputs import Denied, Done, Granted, Occupant, Refusal
from world.outputs import Departure, NeighborWanted, ReleaseWanted, ReserveWanted
from world.running import Handoff, Moving
from world.state import ShardState

# ----- from the walk


def want_neighbor(state: ShardState, chunk: Chunk, side: Direction) -> None:
    """Ask for a neighbour, once a side until it is answered."""
    if chunk.neighbors[side] is None and side not in chunk.wanted:
        chunk.wanted[side] = state.tick
        state.out.requests.append(NeighborWanted(chunk.id, side))


def approach(state: ShardState, actor: Actor, running: Moving) -> None:
    """The agent stands before its last step: ask for what that step will need."""
    assert running.side is not None
    neighbor = actor.chunk.neighbors[running.side]
    if neighbor is None:
        want_neighbor(state, actor.chunk, running.side)
    elif neighbor not in state.chunks:
        _ask(state, actor, running, neighbor)


def cross(state: ShardState, actor: Actor, running: Moving) -> None:
    """The last step: go, wait for an answer, or end ``failed(blocked)``."""
    chunk, door = actor.chunk, running.path[-1]
    assert running.side is not None
    body = chunk.occupants.get(door)
    if body is not None and body is not actor:
        give_up_handoff(state, running)
        state.blocked(actor, door, body.occupant())
        return
    neighbor = chunk.neighbors[running.side]
    if neighbor is not None and neighbor in state.chunks:
        _cross_here(state, actor, running, state.chunks[neighbor])
    elif running.no_neighbor is not None:
        state.blocked(actor, door, None, detail=running.no_neighbor or "no_neighbor")
    elif neighbor is not None and running.handoff is not None and running.handoff.denied is not None:
        _blocked_beyond(state, actor, running, neighbor, running.handoff.denied.blocker)
    elif neighbor is not None and _may_go(state, running, neighbor):
        _depart(state, actor, running)
    else:
        _wait(state, actor, running)


def _cross_here(state: ShardState, actor: Actor, running: Moving, target: Chunk) -> None:
    """Both chunks are this shard's: one atomic change."""
    door = running.path[-1]
    cell = mirrored(door)
    handoff = handoff_name(actor.id, running.ticket.server_cmd_id)
    blocker = target.in_the_way(cell, handoff)
    if blocker is not None or not target.floor[cell]:
        _blocked_beyond(state, actor, running, target.id, blocker)
        return
    target.reserved.pop(cell, None)  # asked for while the target was another shard's
    source = actor.chunk
    state.exit(actor)
    actor.place(target, cell)
    state.enter(actor)
    _tell(state, actor, running, source.id, target.id)


def _depart(state: ShardState, actor: Actor, running: Moving) -> None:
    """The reserved cell is another shard's: hand the agent over."""
    handoff = running.handoff
    assert handoff is not None
    source, cell = actor.chunk, handoff.cell
    state.exit(actor)
    _tell(state, actor, running, source.id, handoff.to_chunk)
    state.forget(actor)
    record = actor.to_record(state.tick, handoff.to_chunk, cell)
    state.out.departures.append(Departure(handoff.id, record, source.id, handoff.to_chunk, record.x, record.y))


def _tell(state: ShardState, actor: Actor, running: Moving, source: ChunkId, target: ChunkId) -> None:
    """Transition first, then the result, as every client is used to."""
    door = running.path[-1]
    cell = mirrored(door)
    payload = {
        "agent_id": actor.id,
        "from_chunk_id": source,
        "to_chunk_id": target,
        "from": {"x": X_OF[door], "y": Y_OF[door]},
        "to": {"x": X_OF[cell], "y": Y_OF[cell]},
        "direction": running.side,
        "tick": state.tick,
    }
    state.private(actor, "chunk_transition", payload, running.ticket.trace_id)
    state.finish(actor, "completed")
    state.fact("crossing", source, actor.id, to_chunk_id=target, x=X_OF[cell], y=Y_OF[cell])


def _blocked_beyond(
    state: ShardState, actor: Actor, running: Moving, to_chunk: ChunkId, blocker: Occupant | None
) -> None:
    """The arrival cell is taken: the blocker's cell is the neighbour's, the blocked one the boundary cell here."""
    give_up_handoff(state, running)
    state.blocked(actor, running.path[-1], blocker, blocker_chunk_id=to_chunk)


# ----- waiting and asking


def _ask(state: ShardState, actor: Actor, running: Moving, to_chunk: ChunkId) -> None:
    """Ask another shard to keep the arrival cell; the same request each time."""
    cell = mirrored(running.path[-1])
    handoff = running.handoff
    if handoff is None or handoff.to_chunk != to_chunk:
        give_up_handoff(state, running)
        name = handoff_name(actor.id, running.ticket.server_cmd_id)
        running.handoff = handoff = Handoff(name, to_chunk, cell, state.tick)
    handoff.asked_at = state.tick
    handoff.asks += 1
    handoff.granted = False
    state.out.requests.append(ReserveWanted(handoff.id, actor.id, actor.chunk.id, to_chunk, X_OF[cell], Y_OF[cell]))


def _may_go(state: ShardState, running: Moving, neighbor: ChunkId) -> bool:
    handoff = running.handoff
    return (
        handoff is not None
        and handoff.to_chunk == neighbor
        and handoff.granted
        and (handoff.until is None or state.tick <= handoff.until)
    )


def _wait(state: ShardState, actor: Actor, running: Moving) -> None:
    """Stand before the boundary; ask again now and then, give up at the cap (``Rules.handoff_cap_ticks``)."""
    assert running.side is not None
    chunk, rules = actor.chunk, state.rules
    if running.waiting_since is None:
        running.waiting_since = state.tick
    if state.tick - running.waiting_since >= rules.handoff_cap_ticks:
        chunk.wanted.pop(running.side, None)  # unanswered: whoever comes next may ask anew
        give_up_handoff(state, running)
        state.blocked(actor, running.path[-1], None, detail="no_answer")
        return
    neighbor, handoff = chunk.neighbors[running.side], running.handoff
    if neighbor is None:
        want_neighbor(state, chunk, running.side)
    elif (
        handoff is None
        or handoff.to_chunk != neighbor
        or handoff.granted  # too late to use
        or state.tick - handoff.asked_at >= rules.handoff_retry_ticks
    ):
        _ask(state, actor, running, neighbor)


def give_up_handoff(state: ShardState, running: Moving) -> None:
    """Nobody will come to the cell that was asked for."""
    handoff = running.handoff
    if handoff is not None:
        running.handoff = None
        # A first request that was denied left nothing behind; of several another may have been granted.
        if handoff.denied is None or handoff.asks > 1:
            state.out.requests.append(ReleaseWanted(handoff.id, handoff.to_chunk))


# ----- answers


def granted(state: ShardState, answer: Granted) -> Done | Refusal:
    """The cell is kept: the next step goes.  Too late an answer gives the cell back."""
    actor = state.agents.get(answer.agent_id)
    if actor is None:
        # Gone: if it departed with this very handoff the cell is its own, else the promise runs out by itself.
        return Refusal("agent_not_here")
    running = actor.running
    if isinstance(running, Moving) and running.handoff is not None and running.handoff.id == answer.handoff_id:
        running.handoff.granted = True
        running.handoff.until = answer.until_tick
        running.handoff.denied = None
    return Done()


def denied(state: ShardState, answer: Denied) -> Done | Refusal:
    """The cell is taken: the next step ends the move."""
    actor = state.agents.get(answer.agent_id)
    if actor is None:
        return Refusal("agent_not_here")
    running = actor.running
    if isinstance(running, Moving) and running.handoff is not None and running.handoff.id == answer.handoff_id:
        running.handoff.denied = answer
        running.handoff.granted = False
    return Done()
