"""Walking: planning when a ``move_to`` is accepted, one cell a tick after that.

Source: docs/protocol.md, "Playing"; order within a tick: docs/decisions/0002-command-order.md.
"""

from __future__ import annotations

from world.actors import Actor
from world.commands import MoveTo
from world.crossing import approach, cross
from world.grid import SIDE_OF, index_of
from world.inputs import Refusal, Submit
from world.running import Moving
from world.state import ShardState


def plan_move(state: ShardState, actor: Actor, command: MoveTo, submit: Submit) -> Moving | Refusal:
    """Plan a walk; a wall, a taken cell or a place without a way to it is ``unreachable``, with what is in the way.

    A move to the agent's own inner cell has nothing to walk and completes in the next step: the agent is
    where it was told to be.
    """
    target = index_of(command.x, command.y)
    path = actor.chunk.plan(actor.cell, target)
    if path is None:
        return Refusal("unreachable", actor.chunk.obstacle(actor.cell, target))
    return Moving(
        state.ticket(submit),
        target=target,
        side=SIDE_OF[target],
        path=path,
    )


def walk(state: ShardState, actor: Actor, running: Moving) -> None:
    """One tick of a walk: a step, an arrival, a crossing, a wait at the boundary, or the end at an obstacle."""
    path = running.path
    if not path:
        state.finish(actor, "completed")
        return
    cell = path[-1]
    chunk = actor.chunk
    if chunk.walk[cell]:
        path.pop()
        chunk.step(actor, cell)
        if not chunk.changed:
            state.show(chunk)
        if not path:
            state.finish(actor, "completed")
        elif len(path) == 1 and running.side is not None:
            approach(state, actor, running)
    elif len(path) == 1 and running.side is not None:
        cross(state, actor, running)
    else:
        state.blocked(actor, cell, chunk.occupants[cell].occupant())
