"""``give {agent_id, amount}``: gold to an agent beside the giver, at once and whole.

Both inventories change with the acceptance, in one commit, so gold is conserved whatever dies after it: an agent that
has left for another shard is not here any more and gets nothing.  The result follows in the next step.
Source: docs/protocol.md, "Playing".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from world.actors import Actor
from world.command import INVALID, CommandRule, plain_id, whole_number
from world.grid import distance
from world.ids import AgentId
from world.inputs import Refusal, Submit
from world.records import RunningCommand
from world.rules import Rules
from world.running import Running, Ticket
from world.state import ShardState

#: Manhattan distance between the two, no less and no more.
REACH: Final = 1
AMOUNT_MAX: Final = 10**9
AGENT_ID_MAX_CHARS: Final = 128

AGENT_NOT_FOUND: Final = Refusal("agent_not_found")
TOO_FAR: Final = Refusal("too_far")
INSUFFICIENT: Final = Refusal("insufficient")


@dataclass(frozen=True, slots=True)
class Give:
    """Give gold to an agent of the same chunk."""

    KIND: ClassVar[str] = "give"

    agent_id: AgentId
    amount: int

    def to_json(self) -> dict[str, Any]:
        """Return the command as sent."""
        return {"type": self.KIND, "agent_id": self.agent_id, "amount": self.amount}


@dataclass(slots=True)
class Giving(Running):
    """The gold has changed hands; the result is due."""

    KIND: ClassVar[str] = Give.KIND

    agent_id: AgentId
    amount: int

    def details(self, cell: int) -> dict[str, Any]:
        """Return who was given what."""
        del cell
        return {"agent_id": self.agent_id, "amount": self.amount}

    def asked(self) -> dict[str, Any]:
        """Return to whom, and how much."""
        return {"agent_id": self.agent_id, "amount": self.amount}

    def result_fields(self) -> dict[str, Any]:
        """Return who was given what."""
        return {"to": self.agent_id, "amount": self.amount}


class GiveRule(CommandRule[Give, Giving]):
    """The rule of ``give``."""

    KIND = Give.KIND
    FIELDS = frozenset({"agent_id", "amount"})

    def read(self, cmd: Mapping[str, Any], rules: Rules) -> Give | Refusal:
        """Read an agent's id and a whole number from 1 to ``AMOUNT_MAX``."""
        del rules
        agent_id, amount = plain_id(cmd["agent_id"], AGENT_ID_MAX_CHARS), whole_number(cmd["amount"])
        if agent_id is None or amount is None or not 1 <= amount <= AMOUNT_MAX:
            return INVALID
        return Give(AgentId(agent_id), amount)

    def plan(self, state: ShardState, actor: Actor, command: Give, submit: Submit) -> Giving | Refusal:
        """Check that the other stands beside the giver, and that there is enough."""
        other = state.chunk_of(actor).members.get(command.agent_id)
        if other is None:
            return AGENT_NOT_FOUND
        if distance(actor.cell, other.cell) != REACH:
            return TOO_FAR
        if actor.gold < command.amount:
            return INSUFFICIENT
        return Giving(state.ticket(submit), command.agent_id, command.amount)

    def accepted(self, state: ShardState, actor: Actor, running: Giving) -> None:
        """Move the gold, and tell both and everyone who watches."""
        chunk = state.chunk_of(actor)
        other = chunk.members[running.agent_id]
        actor.gold -= running.amount
        other.gold += running.amount
        given = {"from": actor.id, "to": other.id, "amount": running.amount}
        state.event(chunk, "resource_given", **given, resource="gold")
        state.fact("give", chunk.id, actor.id, to=other.id, amount=running.amount, gold=actor.gold)
        for party in (actor, other):
            state.keep(party)
            state.inventory(party, running.ticket.trace_id)

    def step(self, state: ShardState, actor: Actor, running: Giving) -> None:
        """Give the result."""
        del running
        state.finish(actor, "completed")

    def stop(self, state: ShardState, actor: Actor, running: Giving, reason: str) -> None:
        """Complete it, whatever the reason: the gold has changed hands."""
        del running, reason
        state.finish(actor, "completed")

    def revive(self, state: ShardState, actor: Actor, record: RunningCommand) -> Giving:
        """Return the gift whose result is still due."""
        del state, actor
        return Giving(Ticket.of(record), record.details["agent_id"], record.details["amount"])

    def end_recorded(self, state: ShardState, actor: Actor, record: RunningCommand, reason: str) -> None:
        """Complete it, whatever the reason: the gold has changed hands."""
        del reason
        self.set_aside(actor, record)
        state.finish(actor, "completed")

    def recorded_asked(self, record: RunningCommand) -> dict[str, Any]:
        """Return to whom, and how much."""
        return {"agent_id": record.details.get("agent_id"), "amount": record.details.get("amount")}

    def recorded_result_fields(self, record: RunningCommand) -> dict[str, Any]:
        """Return who was given what."""
        return {"to": record.details.get("agent_id"), "amount": record.details.get("amount")}
