"""``harvest {node_id}``: gold from a node at most one cell away, a unit now and then, until the node is empty.

Source: docs/protocol.md, "Playing".  How nodes grow back: ``world.regrowth``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from world.actors import ActivityState, Actor
from world.command import INVALID, CommandRule, plain_id
from world.grid import distance
from world.ids import NodeId, Tick
from world.inputs import Refusal, Submit
from world.nodes import Node
from world.records import RunningCommand
from world.regrowth import watch_regrowth
from world.rules import Rules
from world.running import Running, Ticket
from world.state import ShardState

#: Manhattan distance from which a node can be dug.
REACH: Final = 1
NODE_ID_MAX_CHARS: Final = 160

NODE_NOT_FOUND: Final = Refusal("node_not_found")
TOO_FAR: Final = Refusal("too_far")
DEPLETED: Final = Refusal("depleted")


@dataclass(frozen=True, slots=True)
class Harvest:
    """Dig at a node of the chunk, at most one cell away."""

    KIND: ClassVar[str] = "harvest"

    node_id: NodeId

    def to_json(self) -> dict[str, Any]:
        """Return the command as sent."""
        return {"type": self.KIND, "node_id": self.node_id}


@dataclass(slots=True)
class Harvesting(Running):
    """Digging at a node."""

    KIND: ClassVar[str] = Harvest.KIND

    node: Node
    #: The tick from which on the next unit comes.
    due: Tick
    harvested: int = 0

    def details(self, cell: int) -> dict[str, Any]:
        """Return the node, when its next unit is due, and the units so far."""
        del cell
        return {"node_id": self.node.id, "due_tick": self.due, "harvested": self.harvested}

    def asked(self) -> dict[str, Any]:
        """Return the node."""
        return {"node_id": self.node.id}

    def result_fields(self) -> dict[str, Any]:
        """Return where it was and what it took."""
        return _took(self.node.id, self.harvested)


class HarvestRule(CommandRule[Harvest, Harvesting]):
    """The rule of ``harvest``."""

    KIND = Harvest.KIND
    FIELDS = frozenset({"node_id"})
    SHOWN: ClassVar[ActivityState] = "harvesting"
    INTERRUPTIBLE = True

    def read(self, cmd: Mapping[str, Any], rules: Rules) -> Harvest | Refusal:
        """Read a node's id."""
        del rules
        node_id = plain_id(cmd["node_id"], NODE_ID_MAX_CHARS)
        return INVALID if node_id is None else Harvest(NodeId(node_id))

    def plan(self, state: ShardState, actor: Actor, command: Harvest, submit: Submit) -> Harvesting | Refusal:
        """Check the start conditions; another chunk's node is as unknown as one that never was."""
        node = state.chunk_of(actor).nodes.get(command.node_id)
        if node is None:
            return NODE_NOT_FOUND
        if distance(actor.cell, node.cell) > REACH:
            return TOO_FAR
        if node.state != "available":
            return DEPLETED
        due = Tick(state.next_tick + state.rules.harvest_ticks_per_unit - 1)
        return Harvesting(state.ticket(submit), node, due)

    def retry_ms(self, state: ShardState, actor: Actor, command: Harvest, refusal: Refusal) -> int | None:
        """Return, for a node that grows back, when it will be full."""
        if refusal.reason != "depleted":
            return None
        regen_at = state.chunk_of(actor).nodes[command.node_id].regen_at
        return None if regen_at is None else (regen_at - state.tick) * state.rules.tick_ms

    def begin(self, state: ShardState, actor: Actor, running: Harvesting) -> None:
        """Join those who dig at the node."""
        del state
        running.node.harvesters[actor.id] = None

    def step(self, state: ShardState, actor: Actor, running: Harvesting) -> None:
        """When a unit is due move it to the agent; the last one ends it for everybody."""
        if state.tick < running.due:
            return
        chunk, node = state.chunk_of(actor), running.node
        running.due = Tick(state.tick + state.rules.harvest_ticks_per_unit)
        running.harvested += 1
        actor.gold += 1
        state.event(chunk, "resource_harvest", node_id=node.id, by=actor.id, amount=1)
        state.fact("harvest", chunk.id, actor.id, node_id=node.id, amount=1, gold=actor.gold)
        state.keep(actor)
        if node.remaining > 1:
            node.set(node.remaining - 1, "available")
            chunk.show_resources()
            state.inventory(actor, running.ticket.trace_id)
        else:
            self._deplete(state, actor, running)

    def stop(self, state: ShardState, actor: Actor, running: Harvesting, reason: str) -> None:
        """End it as failed; what was dug stays with the agent."""
        running.node.harvesters.pop(actor.id, None)
        state.finish(actor, "failed", reason)
        state.inventory(actor, running.ticket.trace_id)

    def _deplete(self, state: ShardState, last: Actor, running: Harvesting) -> None:
        """End all harvests of an empty node: completed for who took the last unit, failed for the others in order."""
        chunk, node = state.chunk_of(last), running.node
        node.set(0, "depleted")
        if state.rules.regen_ticks:
            node.regen_at = Tick(state.tick + state.rules.regen_ticks)
            watch_regrowth(state, chunk, node)
        chunk.show_resources()
        state.event(chunk, "resource_depleted", node_id=node.id)
        state.keep_chunk(chunk)
        del node.harvesters[last.id]
        state.finish(last, "completed", "node_depleted")
        state.inventory(last, running.ticket.trace_id)
        for other_id in list(node.harvesters):
            other = chunk.members[other_id]
            if isinstance(other.running, Harvesting):
                self.stop(state, other, other.running, "depleted")

    def revive(self, state: ShardState, actor: Actor, record: RunningCommand) -> Harvesting | None:
        """Return the harvest as it was; None when the node has nothing left."""
        node = state.chunk_of(actor).nodes.get(record.details.get("node_id", ""))
        due = record.details.get("due_tick")
        if node is None or node.state != "available" or due is None:
            return None
        return Harvesting(Ticket.of(record), node, due, record.details.get("harvested", 0))

    def not_revived(self, state: ShardState, actor: Actor, record: RunningCommand) -> None:
        """End it as ``depleted``."""
        self.end_recorded(state, actor, record, "depleted")

    def recorded_asked(self, record: RunningCommand) -> dict[str, Any]:
        """Return the node."""
        return {"node_id": record.details.get("node_id")}

    def recorded_result_fields(self, record: RunningCommand) -> dict[str, Any]:
        """Return where it was and what it took."""
        return _took(record.details.get("node_id"), record.details.get("harvested", 0))


def _took(node_id: NodeId | None, units: int) -> dict[str, Any]:
    return {"node_id": node_id, "amount": units, "harvested": units}
