"""The protocol of one agent connection, from ``command_req`` to the shard's decision, without the socket.

    request ─► challenge ─► answer ─► checks ─► ISSUED -> CONSUMED ─► World.submit

Everything an agent is told about a command goes through its stream (``api.challenge.store``, the shards' journal);
what ``AgentCommandHandler.handle`` returns is only what has no place there: ``error`` messages for this socket.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

import structlog

from api import metrics
from api.accounts.auth import Session
from api.challenge.challenge import Caller, Challenge, Verdict, canonical_json, check_claim, hash_of, proof_holds
from api.challenge.ingress import REDIS_FAILURES, Ingress
from api.challenge.store import Chat, Draft, Refused
from api.limits import limit_metrics
from api.sockets.frames import CommandAnswer, CommandReq, Frame, Ping
from world.commands import parse_command
from world.commands.say import Say
from world.inputs import Refusal

log = structlog.get_logger(__name__)

#: Messages a second that one connection may send for long, and how many at once.
FRAME_RATE_PER_S: Final = 50
FRAME_BURST: Final = 100

CONSUME_TRIES: Final = 3
PAUSE_S: Final = 0.25
UNAVAILABLE_RETRY_MS: Final = 1_000

#: Outcomes of a message that is not said (``api.challenge.store.Consumed``), and the reason that its agent is told.
REASON_OF_SILENCE: Final = {
    "chat": "rate_limited",
    "muted": "rate_limited",
    "struck": "invalid_cmd",
    "struck_out": "invalid_cmd",
}


@dataclass(frozen=True, slots=True)
class CommandReply:
    """An ``error`` message for this socket alone; ``close``: and then close it (1008)."""

    reason: str
    retry_after_ms: int | None = None
    server_cmd_id: str | None = None
    close: bool = False

    def payload(self) -> dict[str, object]:
        fields = {"retry_after_ms": self.retry_after_ms, "server_cmd_id": self.server_cmd_id}
        return {"reason": self.reason} | {name: value for name, value in fields.items() if value is not None}


@dataclass(slots=True)
class _Budget:
    """A token bucket for the messages of one connection."""

    tokens: float = FRAME_BURST
    at: float = field(default_factory=time.monotonic)

    def take(self) -> bool:
        now = time.monotonic()
        self.tokens = min(FRAME_BURST, self.tokens + (now - self.at) * FRAME_RATE_PER_S)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class AgentCommandHandler:
    """One agent connection's side of the protocol.  Call ``handle`` for one frame after the other.

    Args:
        ingress: shared by all handlers of the gateway (``services.ingress``).
        session: of role ``agent``.
        channel_id: this connection's own id; of the alphabet of command ids.
    """

    def __init__(self, ingress: Ingress, session: Session, channel_id: str) -> None:
        if session.agent_id is None:
            raise ValueError("a handler needs an agent's session")
        self._ingress = ingress
        self._store = ingress.store
        self._session = session
        self._agent_id = session.agent_id
        self._channel_id = channel_id
        self._caller = Caller(session.agent_id, session.jti, channel_id)
        self._budget = _Budget()
        self._refused_in_a_row = 0
        self._unanswered: tuple[str, int] | None = None

    async def handle(self, frame: Frame) -> CommandReply | None:
        """Deal with one frame.  Returns what to send on this very socket, if anything; never raises for its content.

        Returns once the agent's stream has what the frame led to (a challenge, a refusal), or the answer is consumed;
        the shard's decision comes later, through the stream.
        """
        if isinstance(frame, Ping):
            return None
        if not self._budget.take():
            return self._flood(UNAVAILABLE_RETRY_MS)
        try:
            if isinstance(frame, CommandReq):
                return await self._request(frame)
            return await self._answer(frame)
        except REDIS_FAILURES:
            return CommandReply("unavailable", UNAVAILABLE_RETRY_MS)

    async def resume_pending(self) -> None:
        """On connect: submit again what was consumed and never decided (the gateway died in between).

        Raises:
            redis.exceptions.RedisError: Redis did not answer.
        """
        pending = await self._store.resume(self._agent_id, self._channel_id)
        if pending is not None:
            self._ingress.submit(*pending)

    def close(self) -> None:
        """The connection is over; what was submitted goes on without it."""
        if self._unanswered is not None:
            metrics.CHALLENGE_EXPIRED.inc()
            self._unanswered = None

    # -- requests --

    async def _request(self, frame: CommandReq) -> CommandReply | None:
        self._count_expired()
        parsed = Refusal("invalid_cmd") if frame.cmd_fault else parse_command(frame.cmd)
        now_ms = self._ingress.clock()
        if isinstance(parsed, Refusal):
            metrics.COMMANDS_REFUSED.labels(parsed.reason).inc()
            refused = await self._store.refuse_request(
                self._agent_id, frame.client_cmd_id, frame.trace_id, parsed.reason, frame.cmd_fault or "", now_ms
            )
            return self._after_refusal(refused, limited=False)
        cmd_json = canonical_json(frame.cmd)
        draft = Draft("cmd_" + secrets.token_hex(12), cmd_json, hash_of(cmd_json), secrets.token_urlsafe(16))
        issued = await self._store.issue(
            self._session, self._channel_id, frame.client_cmd_id, frame.trace_id, draft, now_ms
        )
        if issued.outcome == "issued":
            self._refused_in_a_row = 0
            self._unanswered = (draft.server_cmd_id, now_ms // 1000 + self._ingress.rules.ttl_s)
            metrics.CHALLENGE_ISSUED.inc()
            metrics.CHALLENGE_DIFFICULTY.observe(issued.difficulty)
            return None
        if issued.outcome == "dead":
            return CommandReply("invalid_session", close=True)
        metrics.COMMANDS_REFUSED.labels(issued.reason).inc()
        if issued.reason == "rate_limited":
            limit_metrics.RATE_LIMITED.labels(issued.limit).inc()
        if issued.outcome == "flood":
            return self._flood(issued.retry_after_ms)
        return self._after_refusal(Refused("refused", 0, []), limited=issued.reason == "rate_limited")

    # -- answers --

    async def _answer(self, frame: CommandAnswer) -> CommandReply | None:
        found = await self._store.look_up(self._agent_id, frame.server_cmd_id)
        now_ms = self._ingress.clock()
        if found.cooldown_ms:
            limit_metrics.RATE_LIMITED.labels("cooldown").inc()
            metrics.COMMANDS_REFUSED.labels("rate_limited").inc()
            refused = await self._store.refuse_answer(
                self._agent_id, frame.server_cmd_id, frame.trace_id, None, now_ms, found.cooldown_ms
            )
            return self._after_refusal(refused, limited=True, server_cmd_id=frame.server_cmd_id)
        verdict = self._verify(found.challenge, frame, now_ms)
        challenge = found.challenge
        if verdict is Verdict.VALID and challenge is not None:
            return await self._consume(challenge, frame, now_ms)
        return await self._refuse_answer(frame, challenge, verdict, now_ms)

    def _verify(self, challenge: Challenge | None, frame: CommandAnswer, now_ms: int) -> Verdict:
        began = time.perf_counter()
        verdict = check_claim(challenge, frame, self._caller, self._session.cmd_secret, now_ms)
        if verdict is Verdict.VALID and challenge is not None:
            proof_began = time.perf_counter()
            if not proof_holds(challenge, frame.proof_nonce):
                verdict = Verdict.BAD_PROOF
            metrics.CHALLENGE_POW_VERIFY_MS.observe((time.perf_counter() - proof_began) * 1e3)
        metrics.CHALLENGE_VERIFY_MS.observe((time.perf_counter() - began) * 1e3)
        return verdict

    async def _consume(self, challenge: Challenge, frame: CommandAnswer, now_ms: int) -> CommandReply | None:
        token = secrets.token_hex(8)
        chat = self._moderate(challenge, frame)
        for attempt in range(CONSUME_TRIES):
            try:
                consumed = await self._store.consume(
                    challenge, token=token, trace_id=frame.trace_id, chat=chat, now_ms=now_ms
                )
                break
            except REDIS_FAILURES:
                # Whether it ran is unknown; with the same token it may be sent again.
                if attempt == CONSUME_TRIES - 1:
                    raise
                await asyncio.sleep(PAUSE_S)
        self._ingress.adjust(self._agent_id, consumed.counts)
        if consumed.outcome not in ("dead", "lost", "gone"):
            self._unanswered = None
            self._log(frame, challenge, Verdict.VALID)
            metrics.CHALLENGE_VALID.inc()
        if consumed.outcome == "consumed":
            self._ingress.submit(challenge, now_ms + self._ingress.rules.decide_within_ms)
        elif consumed.outcome in REASON_OF_SILENCE:
            self._count_silence(challenge, consumed.outcome)
        elif consumed.outcome == "dead":
            return CommandReply("invalid_session", close=True)
        else:
            verdict = Verdict.CONSUMED if consumed.outcome == "lost" else Verdict.UNKNOWN
            return await self._refuse_answer(frame, challenge, verdict, now_ms)
        return None

    def _moderate(self, challenge: Challenge, frame: CommandAnswer) -> Chat | None:
        """What a message is, by the list of banned words; None for any other command."""
        command = parse_command(challenge.cmd)
        if not isinstance(command, Say):
            return None
        line = self._ingress.find_banned(command.text)
        if line is None:
            return "clean"
        # The entry's line stands for the text, which must not be kept.
        log.info("message_banned", trace_id=frame.trace_id, agent_id=self._agent_id, list_line=line)
        return "banned"

    def _count_silence(self, challenge: Challenge, outcome: str) -> None:
        reason = REASON_OF_SILENCE[outcome]
        metrics.COMMANDS_REFUSED.labels(reason).inc()
        if reason == "rate_limited":
            limit_metrics.RATE_LIMITED.labels("mute" if outcome == "muted" else "chat").inc()
            return
        limit_metrics.MODERATION_REFUSED.inc()
        if outcome == "struck_out":
            limit_metrics.MODERATION_MUTES.inc()
            log.info("agent_muted", agent_id=self._agent_id, server_cmd_id=challenge.server_cmd_id, by="strikes")

    async def _refuse_answer(
        self, frame: CommandAnswer, challenge: Challenge | None, verdict: Verdict, now_ms: int
    ) -> CommandReply | None:
        metrics.CHALLENGE_INVALID.labels(verdict.value).inc()
        self._log(frame, challenge, verdict)
        if verdict is Verdict.CONSUMED:
            # Its ack is given, or on its way from the shard; a second one for the same command would confuse.
            return CommandReply(verdict.value, server_cmd_id=frame.server_cmd_id)
        if verdict is Verdict.EXPIRED:
            self._count_expired()
        refused = await self._store.refuse_answer(self._agent_id, frame.server_cmd_id, frame.trace_id, verdict, now_ms)
        self._ingress.adjust(self._agent_id, refused.counts)
        return self._after_refusal(refused, limited=False, server_cmd_id=frame.server_cmd_id)

    # -- keeping order --

    def _after_refusal(
        self, refused: Refused, *, limited: bool, server_cmd_id: str | None = None
    ) -> CommandReply | None:
        if refused.outcome == "flood":
            return self._flood(self._ingress.rules.agent_commands.interval_ms)
        if limited:
            self._refused_in_a_row += 1
        rules = self._ingress.rules.cooldown
        if rules.must_close(refused.cooldowns, self._refused_in_a_row):
            return CommandReply("rate_limited", rules.cooldown_ms, close=True)
        if refused.outcome == "decided":
            return CommandReply(Verdict.CONSUMED.value, server_cmd_id=server_cmd_id)
        return None

    def _flood(self, retry_after_ms: int) -> CommandReply:
        self._refused_in_a_row += 1
        close = self._ingress.rules.cooldown.must_close(0, self._refused_in_a_row)
        return CommandReply("rate_limited", max(1, retry_after_ms), close=close)

    def _count_expired(self) -> None:
        if self._unanswered is not None and self._ingress.clock() // 1000 > self._unanswered[1]:
            metrics.CHALLENGE_EXPIRED.inc()
            self._unanswered = None

    def _log(self, frame: CommandAnswer, challenge: Challenge | None, verdict: Verdict) -> None:
        log.info(
            "challenge_answer",
            trace_id=frame.trace_id,
            server_cmd_id=frame.server_cmd_id,
            agent_id=self._agent_id,
            session_jti=self._session.jti,
            channel_id=self._channel_id,
            difficulty=None if challenge is None else challenge.difficulty,
            verify_result=verdict.value,
        )
