"""Helpers for the tests of the gateway: a clock to turn, a world that decides at once, an agent that answers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from redis.asyncio import Redis

from api import metrics
from api.accounts.auth import Session
from api.challenge.challenge import Challenge, hash_of, proof_hash, sign
from api.challenge.command_handler import AgentCommandHandler, CommandReply
from api.challenge.ingress import Ingress
from api.exposition import render
from api.ports import JoinOutcome, ShardAnswer, SubmittedCommand, WorldUnavailable
from api.sockets.frames import CommandAnswer, CommandReq, Frame, parse_frame
from streaming import keys
from streaming.entry import PrivateEvent
from tests.streaming.writer import read_events

MOVE = {"type": "move_to", "x": 3, "y": 4}


@dataclass
class FakeClock:
    """Milliseconds of Unix time that pass only when told to."""

    now_ms: int = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, ms: int) -> None:
        self.now_ms += ms


@dataclass
class FakeWorld:
    """A ``World`` that notes what it is given.  ``answer``: what ``submit`` gives or raises."""

    submitted: list[SubmittedCommand] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    answer: Callable[[SubmittedCommand], Awaitable[ShardAnswer]] | None = None
    trouble: list[str] = field(default_factory=list)
    redis: Redis | None = None
    #: Whether ``submit_at_once`` takes commands, and what it was given.
    takes_at_once: bool = False
    at_once: list[tuple[SubmittedCommand, Callable[[bool | None], None]]] = field(default_factory=list)

    async def join(self, agent_id: str, account_id: str, trace_id: str) -> JoinOutcome:
        self.joined.append(agent_id)
        return JoinOutcome("chunk-0", resumed=False)

    async def submit(self, command: SubmittedCommand) -> ShardAnswer:
        self.submitted.append(command)
        decision = ShardAnswer(True, started_tick=7) if self.answer is None else await self.answer(command)
        if self.redis is not None:
            # What a shard's commit does: the decided command frees its slot.
            await self.redis.delete(keys.inflight(command.agent_id))
        return decision

    def submit_at_once(self, command: SubmittedCommand, decided: Callable[[bool | None], None]) -> bool:
        if not self.takes_at_once:
            return False
        self.at_once.append((command, decided))
        return True

    def unavailable_times(self, count: int) -> Callable[[SubmittedCommand], Awaitable[ShardAnswer]]:
        """An ``answer`` that fails ``count`` times before it accepts."""
        left = count

        async def answer(_: SubmittedCommand) -> ShardAnswer:
            nonlocal left
            left -= 1
            if left >= 0:
                raise WorldUnavailable
            return ShardAnswer(True)

        return answer

    def unavailable_until(
        self, clock: FakeClock, *, ms_per_call: int
    ) -> Callable[[SubmittedCommand], Awaitable[ShardAnswer]]:
        """An ``answer`` that never comes; each try takes ``ms_per_call`` of the clock."""

        async def answer(_: SubmittedCommand) -> ShardAnswer:
            clock.advance(ms_per_call)
            raise WorldUnavailable

        return answer

    async def problems(self) -> list[str]:
        return self.trouble

    async def metrics(self) -> bytes:
        return exposition()


def exposition() -> bytes:
    """This process's metrics alone, in Prometheus text form."""
    return render(metrics.families())


def new_session(agent_id: str = "a-1", *, role: Any = "agent") -> Session:
    jti = "jti_" + secrets.token_hex(4)
    return Session(jti, role, "acc_1", agent_id, "key_1", secrets.token_urlsafe(32), 2_000_000_000)


async def enlist(redis: Redis, session: Session) -> Session:
    """Let the session count as alive."""
    await redis.set(keys.session_by_jti(session.jti), "sess:x", px=600_000)
    return session


async def agent_messages(redis: Redis, agent_id: str) -> list[tuple[str, dict[str, Any]]]:
    """What the agent's stream holds: kinds and payloads, oldest first."""
    return [(event.kind, event.fields()) for event in await read_events(redis, agent_id)]


async def last_message(redis: Redis, agent_id: str) -> tuple[str, dict[str, Any]]:
    return (await agent_messages(redis, agent_id))[-1]


def frame_text(kind: str, *, trace_id: str = "t-1", **payload: Any) -> str:
    return json.dumps({"type": kind, "trace_id": trace_id, "payload": payload})


def frame(kind: str, *, trace_id: str = "t-1", **payload: Any) -> Frame:
    parsed = parse_frame(frame_text(kind, trace_id=trace_id, **payload))
    assert not hasattr(parsed, "reason"), parsed
    return parsed


def solve(nonce: str, cmd_hash: str, difficulty: int) -> str:
    number = 0
    while not proof_hash(nonce, cmd_hash, str(number)).startswith("0" * difficulty):
        number += 1
    return str(number)


def unsolved(nonce: str, cmd_hash: str, difficulty: int) -> str:
    """A proof nonce that misses."""
    number = 0
    while proof_hash(nonce, cmd_hash, str(number)).startswith("0" * difficulty):
        number += 1
    return str(number)


def canonical(cmd: object) -> str:
    return json.dumps(cmd, sort_keys=True, separators=(",", ":"))


def answer_to(session: Session, challenge: dict[str, Any], cmd: object = MOVE, **other: Any) -> dict[str, Any]:
    """The payload of a right ``command_answer``.  ``other`` replaces what is signed (``channel_id=...``)."""
    cmd_hash = hash_of(canonical(cmd))
    told = {"jti": session.jti, "agent_id": session.agent_id, "cmd_secret": session.cmd_secret} | challenge | other
    signed = "|".join(
        str(part)
        for part in (
            *("v1", told["jti"], told["channel_id"], told["agent_id"], told["server_cmd_id"], told["client_cmd_id"]),
            *(cmd_hash, told["nonce"], told["expires_at"], told["difficulty"]),
        )
    )
    return {
        "server_cmd_id": challenge["server_cmd_id"],
        "sig": sign(told["cmd_secret"], signed),
        "proof": {"proof_nonce": solve(told["nonce"], cmd_hash, told["difficulty"])},
    }


def challenge_to(cmd: object = MOVE, server_cmd_id: str = "cmd_1", now_ms: int = 1_800_000_000_250) -> Challenge:
    """A challenge of agent ``a-1``, issued now."""
    return Challenge(
        server_cmd_id=server_cmd_id,
        client_cmd_id="c-1",
        agent_id="a-1",
        session_jti="jti_1",
        channel_id="ws-1",
        cmd_json=canonical(cmd),
        cmd_hash=hash_of(canonical(cmd)),
        nonce="n",
        issued_ms=now_ms,
        expires_at=now_ms // 1000 + 5,
        difficulty=0,
        trace_id="t-1",
        state="ISSUED",
    )


class Handler(AgentCommandHandler):
    """One whose challenges are kept in ``told``, as a socket's queue would have them.

    ``AT_ONCE``: what can be is handled without a task, as a socket does with a frame that comes whole.
    """

    AT_ONCE: ClassVar[bool] = False

    def __init__(self, ingress: Ingress, session: Session, channel_id: str) -> None:
        self.told: list[PrivateEvent] = []
        super().__init__(ingress, session, channel_id, self.told.append)

    async def handle(self, frame: Frame) -> CommandReply | None:
        if self.AT_ONCE and isinstance(frame, CommandReq | CommandAnswer) and self.at_once(frame):
            return None
        return await super().handle(frame)

    @property
    def challenge(self) -> dict[str, Any]:
        """The newest one."""
        fields: dict[str, Any] = self.told[-1].fields()
        return fields


async def request(handler: AgentCommandHandler, cmd: object = MOVE, client_cmd_id: str = "c-1") -> CommandReply | None:
    return await handler.handle(frame("command_req", client_cmd_id=client_cmd_id, cmd=cmd))


async def answer(handler: AgentCommandHandler, payload: dict[str, Any]) -> CommandReply | None:
    return await handler.handle(frame("command_answer", **payload))
