"""What every kind of command has to say about itself (``CommandRule``), whatever else it does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from world.actors import ActivityState, Actor
from world.inputs import Refusal, Submit
from world.records import RunningCommand
from world.rules import Rules
from world.running import Ending, Running, Ticket
from world.state import ShardState

INVALID: Final = Refusal("invalid_cmd")

#: The largest whole number about whose value all JSON readers agree.
SAFE_INTEGER: Final = 2**53 - 1


class Command(Protocol):
    """A command as an agent sent it: a frozen value with the fields of its kind."""

    #: ``type`` on the wire.
    KIND: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Return the command as it is echoed in its ack."""


C = TypeVar("C", bound=Command)
R = TypeVar("R", bound=Running)


class CommandRule(ABC, Generic[C, R]):
    """One kind of command: its fields, when it is accepted, what it does each tick, what is kept of it.

    A subclass stands in a module of its own in ``world.commands``, with its ``Command`` and its ``Running``, and is
    registered once, in ``world/commands/__init__.py``.  It holds no state.
    """

    #: The ``KIND`` of its ``Command`` and its ``Running``.
    KIND: ClassVar[str]
    #: The fields besides ``type``: all of them and no others.
    FIELDS: ClassVar[frozenset[str]]
    #: What everyone sees of an agent while it runs.
    SHOWN: ClassVar[ActivityState] = "idle"
    #: Whether a new command of the same agent ends it; else the new one is ``busy``.
    INTERRUPTIBLE: ClassVar[bool] = False

    # -- before it runs --

    @abstractmethod
    def read(self, cmd: Mapping[str, Any], rules: Rules) -> C | Refusal:
        """Read untrusted JSON that has exactly ``FIELDS``; never raises.  Types are taken literally."""

    @abstractmethod
    def plan(self, state: ShardState, actor: Actor, command: C, submit: Submit) -> R | Refusal:
        """Check what must be so at the start; returns what will run, or why it is refused.  Changes nothing else."""

    def retry_ms(self, state: ShardState, actor: Actor, command: C, refusal: Refusal) -> int | None:
        """Return after how long it may be tried again; None: nobody knows."""
        del state, actor, command, refusal
        return None

    # -- while it runs --

    def accepted(self, state: ShardState, actor: Actor, running: R) -> None:
        """Do what happens once, with the acceptance; its ack has been given."""

    def begin(self, state: ShardState, actor: Actor, running: R) -> None:
        """Take up what it needs while it runs: after the acceptance, and each time its chunk is loaded anew."""

    @abstractmethod
    def step(self, state: ShardState, actor: Actor, running: R) -> None:
        """Do one tick of it; ends with ``state.finish`` or ``state.blocked`` when it is over."""

    def stop(self, state: ShardState, actor: Actor, running: R, reason: str) -> None:
        """End it as failed, and give back what it holds."""
        del running
        state.finish(actor, "failed", reason)

    def busy_ms(self, state: ShardState, running: R) -> int:
        """Return when it will be over if nothing comes between."""
        del running
        return state.rules.tick_ms

    # -- what is kept of it --

    @abstractmethod
    def revive(self, state: ShardState, actor: Actor, record: RunningCommand) -> R | None:
        """Return what goes on from where the agent stands; None when it can't."""

    def not_revived(self, state: ShardState, actor: Actor, record: RunningCommand) -> None:
        """Give a recorded command that can't go on its one result."""
        self.end_recorded(state, actor, record, "interrupted")

    def end_recorded(self, state: ShardState, actor: Actor, record: RunningCommand, reason: str) -> None:
        """Give a recorded command that shall not go on its one result."""
        self.set_aside(actor, record)
        state.finish(actor, "failed", reason)

    def set_aside(self, actor: Actor, record: RunningCommand) -> None:
        """Have the agent run what only ends: a result needs the ticket and its fields, nothing else."""
        fields, asked = self.recorded_result_fields(record), self.recorded_asked(record)
        actor.running = Ending(Ticket.of(record), record.kind, fields, asked)

    def recorded_result_fields(self, record: RunningCommand) -> dict[str, Any]:
        """Return what ``Running.result_fields`` would have said."""
        del record
        return {}

    @abstractmethod
    def recorded_asked(self, record: RunningCommand) -> dict[str, Any]:
        """Return what ``Running.asked`` would have said."""


def whole_number(value: object) -> int | None:
    """Return a JSON whole number that every reader understands alike; ``true`` and ``1.0`` are none."""
    return value if type(value) is int and abs(value) <= SAFE_INTEGER else None


def plain_id(value: object, chars_max: int) -> str | None:
    """Return a text that may be an id: 1 to ``chars_max`` printable ASCII characters."""
    if type(value) is not str or not 1 <= len(value) <= chars_max:
        return None
    return value if value.isascii() and value.isprintable() else None
