"""One agent's side of the conversation, without sockets, clocks or threads.

``AgentProtocol`` outlives connections: it knows which commands are in flight, answers challenges, matches acks and
results to commands, and drops what a resumed stream repeats.  The shell (``chunkcrawl.transport.connection``) owns the
socket:

- ``connected(keys)`` for each new connection, ``receive(frame)`` for each message, ``disconnected()`` when it is lost;
- ``request(cmd)`` to start a command, ``prove(server_cmd_id, proof)`` when a proof has been found;
- after each of these, ``take()`` gives what is to be done: frames to send, proofs to find, outcomes, events to show.

A command goes REQUESTED -> CHALLENGED -> ANSWERED -> ACCEPTED and ends with exactly one ``Settled``.  When the
connection is lost before an answer was sent, nothing can have happened, and it ends ``retry``; afterwards the server
alone knows, so it waits for the ack or result that the resumed stream brings.  Source: the wire contract, "Playing".
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from chunkcrawl.errors import ChunkcrawlError, CommandRefused, Unreachable, failure, refusal
from chunkcrawl.wire import signing
from chunkcrawl.wire.codec import decode_ws, encode
from chunkcrawl.wire.messages import Challenge, CommandAck, CommandResult, ErrorEvent, Event, SessionReady
from chunkcrawl.wire.repeats import Repeats

__all__ = [
    "Accepted",
    "AgentProtocol",
    "Completed",
    "NeedProof",
    "Output",
    "Send",
    "SessionKeys",
    "Settled",
    "Show",
    "Stage",
]


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What of a session goes into signatures."""

    session_jti: str
    cmd_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that reached its aim.  ``reason`` is for instance ``node_depleted``, mostly None.

    ``amount`` is what a harvest took, None for other commands.
    """

    client_cmd_id: str
    reason: str | None
    ended_tick: int | None
    amount: int | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """A text frame for the socket."""

    frame: str


@dataclass(frozen=True, slots=True)
class NeedProof:
    """A proof of work to find; hand it to ``prove``."""

    server_cmd_id: str
    nonce: str
    cmd_hash: str
    difficulty: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command was accepted and runs now."""

    client_cmd_id: str
    started_tick: int | None


@dataclass(frozen=True, slots=True)
class Settled:
    """A command is over.  ``retry``: it never reached the server's decision, and may be requested again."""

    client_cmd_id: str
    outcome: Completed | ChunkcrawlError | Literal["retry"]


@dataclass(frozen=True, slots=True)
class Show:
    """An event for the view and for whoever listens, each once."""

    event: Event


Output: TypeAlias = Send | NeedProof | Accepted | Settled | Show


class Stage(enum.Enum):
    """How far a command has come."""

    REQUESTED = "requested"
    CHALLENGED = "challenged"
    ANSWERED = "answered"
    ACCEPTED = "accepted"


@dataclass(slots=True)
class _Command:
    client_cmd_id: str
    cmd_hash: str
    stage: Stage = Stage.REQUESTED
    challenge: Challenge | None = None


class AgentProtocol:
    """The state of one agent's conversation, over any number of connections.

    Attributes:
        agent_id: The agent.
        channel_id: Of the present connection, None between connections.
        last_event_id: Where to resume from, None before the first event with an id.
        unusable_frames: How many frames were no messages at all.
    """

    def __init__(self, agent_id: str, *, id_prefix: str) -> None:
        """Begin without a connection.

        ``id_prefix`` makes this object's command ids its own: 1..48 of ``A-Z a-z 0-9 _ . : -``, say random hex.
        """
        self.agent_id = agent_id
        self.channel_id: str | None = None
        self.last_event_id: str | None = None
        self.unusable_frames = 0
        self._id_prefix = id_prefix
        self._count = 0
        self._keys: SessionKeys | None = None
        self._commands: dict[str, _Command] = {}
        self._repeats = Repeats()
        self._out: list[Output] = []

    # -- for the connection --

    def connected(self, keys: SessionKeys) -> None:
        """Go on over a socket that is open with this session; the server's ``session_ready`` is next."""
        self._keys = keys
        self.channel_id = None

    def disconnected(self) -> None:
        """Note that the socket is gone: commands not answered yet end as ``retry``, the others wait for the next."""
        self.channel_id = None
        self._keys = None
        for command in list(self._commands.values()):
            if command.stage in (Stage.REQUESTED, Stage.CHALLENGED):
                self._settle(command, "retry")

    def receive(self, frame: str | bytes) -> None:
        """Take one message.  What is no message of the contract is counted and otherwise ignored."""
        try:
            event = decode_ws(frame)
        except ValueError:
            self.unusable_frames += 1
            return
        if event.event_id:
            self.last_event_id = event.event_id
        if self._repeats.is_repeat(event):
            return
        if isinstance(event, SessionReady):
            self.channel_id = event.channel_id
        elif isinstance(event, Challenge):
            self._challenged(event)
        elif isinstance(event, CommandAck):
            self._acked(event)
        elif isinstance(event, CommandResult):
            self._ended(event)
        elif isinstance(event, ErrorEvent):
            self._unheard()
        self._out.append(Show(event))

    def take(self) -> list[Output]:
        """Hand over, and forget, what is to be done since the last call, in order."""
        out, self._out = self._out, []
        return out

    # -- for commands --

    def request(self, cmd: Mapping[str, Any]) -> str:
        """Start a command; ``channel_id`` must be known, i.e. a connection be ready.

        Args:
            cmd: For instance ``{"type": "move_to", "x": 3, "y": 4}``.

        Returns:
            The new ``client_cmd_id``; ``Settled`` will name it.

        Raises:
            ValueError: ``cmd`` can't be written as canonical JSON.
        """
        self._count += 1
        client_cmd_id = f"{self._id_prefix}-{self._count}"
        self._commands[client_cmd_id] = _Command(client_cmd_id, signing.command_hash(cmd))
        self._out.append(Send(encode("command_req", {"client_cmd_id": client_cmd_id, "cmd": dict(cmd)})))
        return client_cmd_id

    def prove(self, server_cmd_id: str, proof_nonce: str) -> None:
        """Answer a challenge with its proof; nothing happens when the command is not waiting for it any more."""
        for command in self._commands.values():
            challenge = command.challenge
            if command.stage is Stage.CHALLENGED and challenge and challenge.server_cmd_id == server_cmd_id:
                self._answer(command, challenge, proof_nonce)

    def forget(self, client_cmd_id: str) -> None:
        """Forget a command that nobody waits for.  A challenge of it stays unanswered; what runs goes on running."""
        self._commands.pop(client_cmd_id, None)

    def stage(self, client_cmd_id: str) -> Stage | None:
        """Return how far the command has come, None when it is over."""
        command = self._commands.get(client_cmd_id)
        return command.stage if command else None

    # -- private --

    def _challenged(self, challenge: Challenge) -> None:
        command = self._commands.get(challenge.client_cmd_id)
        # A challenge of an earlier connection can't be answered on this one: the channel is part of the signature.
        if command is None or command.stage is not Stage.REQUESTED or challenge.channel_id != self.channel_id:
            return
        command.stage, command.challenge = Stage.CHALLENGED, challenge
        need = NeedProof(challenge.server_cmd_id, challenge.nonce, command.cmd_hash, challenge.difficulty)
        self._out.append(need)

    def _unheard(self) -> None:
        """Find the command that an ``error`` is about: it names none, but only one can be waiting for a challenge."""
        for command in list(self._commands.values()):
            if command.stage is Stage.REQUESTED:
                self._settle(command, "retry")

    def _answer(self, command: _Command, challenge: Challenge, proof_nonce: str) -> None:
        if self._keys is None:
            return
        text = signing.signing_text(
            session_jti=self._keys.session_jti,
            channel_id=challenge.channel_id,
            agent_id=self.agent_id,
            server_cmd_id=challenge.server_cmd_id,
            client_cmd_id=command.client_cmd_id,
            cmd_hash=command.cmd_hash,
            nonce=challenge.nonce,
            expires_at=challenge.expires_at,
            difficulty=challenge.difficulty,
        )
        answer = {
            "server_cmd_id": challenge.server_cmd_id,
            "sig": signing.sign(self._keys.cmd_secret, text),
            "proof": {"proof_nonce": proof_nonce},
        }
        command.stage = Stage.ANSWERED
        self._out.append(Send(encode("command_answer", answer)))

    def _acked(self, ack: CommandAck) -> None:
        command = self._command_of(ack)
        if command is None:
            return
        if not ack.accepted:
            self._settle(command, _refusal(ack))
        elif command.stage is not Stage.ACCEPTED:
            command.stage = Stage.ACCEPTED
            self._out.append(Accepted(command.client_cmd_id, ack.started_tick))

    def _command_of(self, ack: CommandAck) -> _Command | None:
        if ack.client_cmd_id is not None:
            return self._commands.get(ack.client_cmd_id)
        for command in self._commands.values():
            if command.challenge is not None and command.challenge.server_cmd_id == ack.server_cmd_id:
                return command
        return None

    def _ended(self, result: CommandResult) -> None:
        command = self._commands.get(result.client_cmd_id)
        if command is None:
            return
        if result.status == "completed":
            self._settle(command, Completed(command.client_cmd_id, result.reason, result.ended_tick, result.amount))
            return
        self._settle(command, failure(result.reason or "unknown", result.ended_tick, *_obstacle(result)))

    def _settle(self, command: _Command, outcome: Completed | ChunkcrawlError | Literal["retry"]) -> None:
        del self._commands[command.client_cmd_id]
        self._out.append(Settled(command.client_cmd_id, outcome))


def _refusal(ack: CommandAck) -> CommandRefused:
    reason = ack.reason or "unknown"
    if reason == "unreachable":
        return Unreachable(reason, ack.retry_after_ms, ack.code, ack.detail, *_obstacle(ack))
    return refusal(reason, ack.retry_after_ms, ack.code, strikes_left=ack.strikes_left, muted_ms=ack.muted_ms)


def _obstacle(event: CommandAck | CommandResult) -> tuple[tuple[int, int] | None, dict[str, Any] | None]:
    """Return where something is in the way, and what."""
    at = (event.blocked_at.x, event.blocked_at.y) if event.blocked_at else None
    blocker = {"id": event.blocker.id, "x": event.blocker.x, "y": event.blocker.y} if event.blocker else None
    return at, blocker
