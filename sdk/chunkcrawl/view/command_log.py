"""An agent's commands as its owner sees them, put together from challenges, acks and results.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from chunkcrawl.view.plain import plain
from chunkcrawl.wire.messages import Challenge, CommandAck, CommandResult, Event

__all__ = ["CommandLog", "LoggedCommand"]

KEPT: Final = 50
ID_SHOWN_CHARS: Final = 6


@dataclass(slots=True)
class LoggedCommand:
    """One command: ``state`` is challenged, running, refused, completed or failed; ``more`` says how or why."""

    what: str = "command"
    state: str = "challenged"
    more: str = ""
    started_tick: int | None = None

    @property
    def line(self) -> str:
        """What and how far."""
        return f"{self.what}  {self.state}" + (f", {self.more}" if self.more else "")


class CommandLog:
    """The newest commands, at most ``KEPT``."""

    def __init__(self) -> None:
        self._commands: dict[str, LoggedCommand] = {}

    @property
    def newest_last(self) -> list[LoggedCommand]:
        """As they began."""
        return list(self._commands.values())

    def feed(self, event: Event) -> str | None:
        """Take an event; returns a line about it, None when it is no news of a command."""
        if isinstance(event, Challenge):
            return self._challenge(event)
        if isinstance(event, CommandAck):
            return self._ack(event)
        return self._result(event) if isinstance(event, CommandResult) else None

    def _challenge(self, event: Challenge) -> str:
        _, name = self._find(event.server_cmd_id, event.client_cmd_id)
        return f"{name}: challenge, difficulty {event.difficulty}"

    def _ack(self, event: CommandAck) -> str:
        command, name = self._find(event.server_cmd_id, event.client_cmd_id)
        if event.echo is not None:
            command.what = described(event.echo)
        command.started_tick = event.started_tick
        command.state, command.more = ("running", "") if event.accepted else ("refused", _why_refused(event))
        if event.accepted:
            return f"{name}: {command.what} accepted at tick {event.started_tick}"
        return f"{name}: {command.what} refused: {command.more}"

    def _result(self, event: CommandResult) -> str:
        command, name = self._find(event.server_cmd_id, event.client_cmd_id)
        command.state = "completed" if event.status == "completed" else "failed"
        command.more = _how_ended(event, command.started_tick)
        return f"{name}: {command.what} {command.state}" + (f", {command.more}" if command.more else "")

    def _find(self, server_id: str | None, client_id: str | None) -> tuple[LoggedCommand, str]:
        """Return the command and its name.  What was refused before its challenge has no id of the server's."""
        key = server_id or f"request {client_id}"
        if key not in self._commands:
            self._commands[key] = LoggedCommand()
            if len(self._commands) > KEPT:
                del self._commands[next(iter(self._commands))]
        return self._commands[key], f"command {plain(key[-ID_SHOWN_CHARS:])}"


def described(cmd: Any) -> str:
    """Return a command in a few words; whatever shape it has."""
    match cmd:
        case {"type": "move_to", "x": x, "y": y}:
            return plain(f"move_to {x},{y}")
        case {"type": "say", "text": text}:
            return plain(f'say "{text}"')
        case {"type": "harvest", "node_id": node_id}:
            return plain(f"harvest {node_id}")
        case {"type": "give", "agent_id": agent_id, "amount": amount}:
            return plain(f"give {amount} gold to {agent_id}")
        case {"type": kind}:
            return plain(kind)
    return "command"


def _why_refused(event: CommandAck) -> str:
    code = f" ({event.code})" if event.code and event.code != event.reason else ""
    again = f", again in {event.retry_after_ms} ms" if event.retry_after_ms else ""
    return plain(f"{event.reason or 'unknown'}{code}{again}")


def _how_ended(event: CommandResult, started_tick: int | None) -> str:
    parts = [event.reason] if event.reason else []
    if event.blocker is not None and event.blocker.id:
        parts[-1:] = [f"{event.reason} by {event.blocker.id}"]
    if event.blocked_at is not None:
        parts.append(f"at {event.blocked_at.x},{event.blocked_at.y}")
    if event.amount is not None:
        parts.append(f"{event.amount} gold")
    if started_tick is not None and event.ended_tick is not None and event.ended_tick > started_tick:
        ticks = event.ended_tick - started_tick
        parts.append(f"{ticks} tick" + ("s" if ticks > 1 else ""))
    return plain(", ".join(parts))
