"""``move_to {x, y}``: planned when it is accepted, one cell a tick after that, out of the chunk on a boundary cell.

Source: docs/protocol.md, "Playing"; order within a tick: docs/decisions/0002-command-order.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from world.actors import ActivityState, Actor
from world.command import INVALID, CommandRule, whole_number
from world.crossing import approach, cross, give_up_handoff, want_neighbor
from world.grid import SIDE_OF, STEP, STEP_LETTER, WIDTH, X_OF, Y_OF, cell_of, index_of
from world.inputs import Refusal, Submit
from world.records import RunningCommand
from world.rules import Rules
from world.running import Crossing, Running, Ticket
from world.state import ShardState

OUT_OF_BOUNDS: Final = Refusal("out_of_bounds")
CHANGE_BY_LETTER: Final[Mapping[str, int]] = {str(side): change for side, change in STEP.items()}


@dataclass(frozen=True, slots=True)
class MoveTo:
    """Walk to a cell of the chunk; a boundary cell leaves it on that side."""

    KIND: ClassVar[str] = "move_to"

    x: int
    y: int

    def to_json(self) -> dict[str, Any]:
        """Return the command as sent."""
        return {"type": self.KIND, "x": self.x, "y": self.y}


@dataclass(slots=True)
class Moving(Running):
    """On the way to a cell."""

    KIND: ClassVar[str] = MoveTo.KIND

    target: int
    #: The cells still to step on, the next one last.
    path: list[int]
    #: How it ends when the target is a boundary cell; None for an inner one.
    crossing: Crossing | None = None

    @classmethod
    def to(cls, ticket: Ticket, target: int, path: list[int]) -> Moving:
        """Return a walk along ``path`` (the next cell last); a ``target`` on the boundary leaves the chunk."""
        side = SIDE_OF[target]
        leaving = None if side is None else Crossing(ticket, side, target, at_door=len(path) == 1)
        return cls(ticket, target, path, leaving)

    def details(self, cell: int) -> dict[str, Any]:
        """Return target, place and the rest of the path, from ``cell`` on as letters N, E, S, W."""
        letters = []
        here = cell
        for there in reversed(self.path):
            letters.append(STEP_LETTER.get(there - here, ""))
            here = there
        return {
            "target": [X_OF[self.target], Y_OF[self.target]],
            "origin": [X_OF[cell], Y_OF[cell]],
            "path": "".join(letters),
        }

    def asked(self) -> dict[str, Any]:
        """Return the cell it goes to."""
        return {"x": X_OF[self.target], "y": Y_OF[self.target]}


class MoveToRule(CommandRule[MoveTo, Moving]):
    """The rule of ``move_to``."""

    KIND = MoveTo.KIND
    FIELDS = frozenset({"x", "y"})
    SHOWN: ClassVar[ActivityState] = "moving"

    def read(self, cmd: Mapping[str, Any], rules: Rules) -> MoveTo | Refusal:
        """Read two whole numbers; ``out_of_bounds`` for those off the grid."""
        del rules
        x, y = whole_number(cmd["x"]), whole_number(cmd["y"])
        if x is None or y is None:
            return INVALID
        if not (0 <= x < WIDTH and 0 <= y < WIDTH):
            return OUT_OF_BOUNDS
        return MoveTo(x, y)

    def plan(self, state: ShardState, actor: Actor, command: MoveTo, submit: Submit) -> Moving | Refusal:
        """Plan a walk; a wall, a taken cell or a place without a way to it is ``unreachable``, with what is in the way.

        A move to the agent's own inner cell has nothing to walk and completes in the next step: the agent is
        where it was told to be.
        """
        target = index_of(command.x, command.y)
        chunk = state.chunk_of(actor)
        path = chunk.plan(actor.cell, target)
        if path is None:
            return Refusal("unreachable", chunk.obstacle(actor.cell, target))
        return Moving.to(state.ticket(submit), target, path)

    def begin(self, state: ShardState, actor: Actor, running: Moving) -> None:
        """Ask early for a neighbour that the walk will need, and for its cell if that is the next step."""
        if running.crossing is not None:
            want_neighbor(state, state.chunk_of(actor), running.crossing.side)
            if running.crossing.at_door:
                approach(state, actor, running.crossing)

    def step(self, state: ShardState, actor: Actor, running: Moving) -> None:
        """Do one tick of a walk: a step, an arrival, a crossing, a wait at the boundary, or the end at an obstacle."""
        path = running.path
        if not path:
            state.finish(actor, "completed")
            return
        cell = path[-1]
        chunk = state.chunk_of(actor)
        if chunk.walk[cell]:
            path.pop()
            chunk.step(actor, cell)
            if not chunk.changed:
                state.show(chunk)
            if not path:
                state.finish(actor, "completed")
            elif len(path) == 1 and running.crossing is not None:
                running.crossing.at_door = True
                approach(state, actor, running.crossing)
        elif running.crossing is not None and running.crossing.at_door:
            cross(state, actor, running.crossing)
        else:
            state.blocked(actor, cell, chunk.occupants[cell].occupant())

    def stop(self, state: ShardState, actor: Actor, running: Moving, reason: str) -> None:
        """End it as failed; a cell that was asked for is given back."""
        if running.crossing is not None:
            give_up_handoff(state, running.crossing)
        super().stop(state, actor, running, reason)

    def busy_ms(self, state: ShardState, running: Moving) -> int:
        """Return the time for the rest of the way."""
        return max(len(running.path), 1) * state.rules.tick_ms

    def revive(self, state: ShardState, actor: Actor, record: RunningCommand) -> Moving | None:
        """Return the rest of the recorded way; None when there is none any more."""
        target = _cell(record, "target")
        path = None if target is None else _rest_of_path(state, actor, record, target)
        return None if target is None or path is None else Moving.to(Ticket.of(record), target, path)

    def not_revived(self, state: ShardState, actor: Actor, record: RunningCommand) -> None:
        """End it as ``blocked``: there is no way any more."""
        target = _cell(record, "target")
        self.set_aside(actor, record)
        state.blocked(actor, actor.cell if target is None else target, None, detail="no_way")

    def recorded_asked(self, record: RunningCommand) -> dict[str, Any]:
        """Return the cell it went to."""
        x, y = record.details.get("target") or (None, None)
        return {"x": x, "y": y}


def _cell(record: RunningCommand, name: str) -> int | None:
    place = record.details.get(name)
    return None if place is None else cell_of(*place)


def _rest_of_path(state: ShardState, actor: Actor, record: RunningCommand, target: int) -> list[int] | None:
    """Return what is left of the recorded path from where the agent stands now; planned anew if it is not on it."""
    origin = record.details.get("origin")
    if origin is None:
        return state.chunk_of(actor).plan(actor.cell, target)
    cells = [index_of(*origin)]
    for letter in record.details.get("path", ""):
        cells.append(cells[-1] + CHANGE_BY_LETTER.get(letter, 0))
    if cells[-1] != target or actor.cell not in cells:
        return state.chunk_of(actor).plan(actor.cell, target)
    if SIDE_OF[target] is not None and len(cells) == 1:
        return [target]
    rest = cells[cells.index(actor.cell) + 1 :]
    return rest[::-1]
