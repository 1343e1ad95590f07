"""``say {text}``: heard by everyone in the chunk in the next step.

How often an agent may speak, and moderation, are decided before a command comes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from world.actors import Actor
from world.command import INVALID, CommandRule
from world.inputs import Refusal, Submit
from world.records import RunningCommand
from world.rules import Rules
from world.running import Running, Ticket
from world.state import ShardState
from world.text import normalise


@dataclass(frozen=True, slots=True)
class Say:
    """Say a line to everyone in the chunk; ``text`` is in its normal form."""

    KIND: ClassVar[str] = "say"

    text: str

    def to_json(self) -> dict[str, Any]:
        """Return the command with its text as it will be heard."""
        return {"type": self.KIND, "text": self.text}


@dataclass(slots=True)
class Saying(Running):
    """A line that is heard in the next step."""

    KIND: ClassVar[str] = Say.KIND

    text: str

    def details(self, cell: int) -> dict[str, Any]:
        """Return the text."""
        del cell
        return {"text": self.text}

    def asked(self) -> dict[str, Any]:
        """Return the text."""
        return {"text": self.text}


class SayRule(CommandRule[Say, Saying]):
    """The rule of ``say``."""

    KIND = Say.KIND
    FIELDS = frozenset({"text"})

    def read(self, cmd: Mapping[str, Any], rules: Rules) -> Say | Refusal:
        """Read a text of 1 to ``chat_max_chars`` code points in its normal form (``world.text``)."""
        text = cmd["text"]
        if type(text) is not str:
            return INVALID
        heard = normalise(text)
        return INVALID if heard is None or len(heard) > rules.chat_max_chars else Say(heard)

    def plan(self, state: ShardState, actor: Actor, command: Say, submit: Submit) -> Saying:
        """Return a line to be said in the next step."""
        del actor
        return Saying(state.ticket(submit), command.text)

    def step(self, state: ShardState, actor: Actor, running: Saying) -> None:
        """Let the chunk hear it."""
        state.event(state.chunk_of(actor), "chat", **{"from": actor.id, "text": running.text})
        state.fact("chat", actor.chunk_id, actor.id, text=running.text)
        state.finish(actor, "completed")

    def revive(self, state: ShardState, actor: Actor, record: RunningCommand) -> Saying:
        """Return the line that is still to be said."""
        del state, actor
        return Saying(Ticket.of(record), record.details.get("text") or "")

    def recorded_asked(self, record: RunningCommand) -> dict[str, Any]:
        """Return the text."""
        return {"text": record.details.get("text") or ""}
