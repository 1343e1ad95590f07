"""The protocol of one agent connection, from ``command_req`` to the shard's decision, without the socket.

    request ─► lease ─► challenge ─► answer ─► checks ─► ISSUED -> CONSUMED ─► World.submit

All of it happens in this gateway's memory (``api.challenge.handshake``).  The agent is sent the challenge from here;
whatever else it is told about a command goes through its stream (``api.challenge.store``, the shards' journal), and
what ``AgentCommandHandler.handle`` returns is only what has no place there: ``error`` messages for this socket.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import structlog

from api import metrics
from api.accounts.auth import Session
from api.challenge.challenge import Caller, Challenge, Verdict, canonical_json, check_claim, hash_of, proof_holds
from api.challenge.command_trace import CommandTrace
from api.challenge.ingress import REDIS_FAILURES, Ingress
from api.challenge.store import Chat, RefusalNotice, Refused
from api.limits import limit_metrics
from api.sockets.frames import CommandAnswer, CommandReq, Frame, Ping
from config.logs import is_left_out
from streaming.entry import PrivateEvent
from world.command import Command
from world.commands import parse_command
from world.commands.say import Say
from world.inputs import Refusal

log = structlog.get_logger(__name__)

#: Messages a second that one connection may send for long, and how many at once.
FRAME_RATE_PER_S: Final = 50
FRAME_BURST: Final = 100

SPEAK_TRIES: Final = 3
PAUSE_S: Final = 0.25
UNAVAILABLE_RETRY_MS: Final = 1_000

#: Outcomes of a message that is not said (``ChallengeStore.speak``), and the reason that its agent is told.
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
        """Return the payload of the ``error`` message."""
        fields = {"retry_after_ms": self.retry_after_ms, "server_cmd_id": self.server_cmd_id}
        return {"reason": self.reason} | {name: value for name, value in fields.items() if value is not None}


class _Checked(NamedTuple):
    """What the checks said of an answer, and milliseconds: of the proof (None: it did not come to that), of all."""

    verdict: Verdict
    proof_ms: float | None
    ms: float

    def counted(self) -> Verdict:
        """Count how long they took; return what they said."""
        if self.proof_ms is not None:
            metrics.CHALLENGE_POW_VERIFY_MS.observe(self.proof_ms)
        metrics.CHALLENGE_VERIFY_MS.observe(self.ms)
        return self.verdict


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

    def give_back(self) -> None:
        self.tokens += 1


class AgentCommandHandler:
    """One agent connection's side of the protocol.  Call ``handle`` for one frame after the other.

    Args:
        ingress: shared by all handlers of the gateway (``services.ingress``).
        session: of role ``agent``.
        channel_id: this connection's own id; of the alphabet of command ids.
        tell: sends the agent a challenge, behind everything that it is being shown.
    """

    def __init__(
        self, ingress: Ingress, session: Session, channel_id: str, tell: Callable[[PrivateEvent], None]
    ) -> None:
        if session.agent_id is None:
            raise ValueError("a handler needs an agent's session")
        self._ingress = ingress
        self._store = ingress.store
        self._session = session
        self._agent_id = session.agent_id
        self._channel_id = channel_id
        self._tell = tell
        self._caller = Caller(session.agent_id, session.jti, channel_id)
        self._handshake = ingress.handshakes.enter(session.agent_id, session.account_id)
        self._budget = _Budget()
        self._refused_in_a_row = 0
        self._unanswered: tuple[str, int] | None = None
        self._closed = False

    # -- the connection --

    def begin(self) -> None:
        """Take the agent over: what another connection left open is dropped, for nobody could answer it."""
        challenge = self._handshake.challenge
        self._handshake.channel_id = self._channel_id
        if challenge is not None and challenge.channel_id != self._channel_id:
            self._ingress.note(self._handshake)

    async def handle(self, frame: Frame) -> CommandReply | None:
        """Handle one frame; return what to send on this very socket, if anything.  Never raises for its content.

        Returns once the challenge is on its way, the agent's stream has the refusal, or the answer is consumed; the
        shard's decision comes later, through the stream.
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

    def at_once(self, frame: CommandReq | CommandAnswer) -> bool:
        """Handle one frame in this turn of the loop, as ``handle`` would, if nobody need be asked for it.

        False: nothing was done, and the frame is for ``handle``: it is refused, or Redis has to be asked.  Not to be
        called while ``handle`` is under way.
        """
        if isinstance(frame, CommandReq):
            return self._request_at_once(frame)
        return self._answer_at_once(frame)

    def saw(self, kind: str, payload: bytes, ts_ms: int = 0) -> None:
        """Note that the agent has been sent an event of its stream; ``ts_ms`` is its envelope's."""
        self._handshake.saw(kind, payload, ts_ms)

    def close(self) -> None:
        """End with the connection; what was submitted goes on without it."""
        if self._closed:
            return
        self._closed = True
        if self._unanswered is not None:
            metrics.CHALLENGE_EXPIRED.inc()
        challenge = self._handshake.challenge
        if challenge is not None and challenge.channel_id == self._channel_id:
            self._ingress.note(self._handshake)
        if self._handshake.channel_id == self._channel_id:
            self._handshake.channel_id = ""
        self._ingress.leave(self._handshake)

    # -- requests --

    async def _request(self, frame: CommandReq) -> CommandReply | None:
        began_ns = 0 if self._ingress.tracing is None else self._ingress.tracing.now_ns()
        self._count_expired()
        command = Refusal("invalid_cmd") if frame.cmd_fault else parse_command(frame.cmd)
        if isinstance(command, Refusal):
            return await self._refuse_request(
                frame, command.reason, code=frame.cmd_fault or "", paid=self._handshake.take_token()
            )
        if not self._handshake.take_token():
            wait_ms = await self._lease()
            if wait_ms is None:
                return CommandReply("invalid_session", close=True)
            if wait_ms:
                return await self._limit_request(frame, "command_agent", wait_ms, paid=False)
        cooldown_ms = self._handshake.cooldown_ms(self._ingress.clock())
        if cooldown_ms > 0:
            return await self._limit_request(frame, "cooldown", cooldown_ms, paid=True)
        account = self._handshake.account
        wait_ms = 0 if account.take_held() else await account.take()
        if wait_ms:
            return await self._limit_request(frame, "command_account", wait_ms, paid=True)
        if await self._is_free(frame) and self._handshake.channel_id in ("", self._channel_id):
            self._issue(frame, command, began_ns)
        return None

    def _request_at_once(self, frame: CommandReq) -> bool:
        handshake, now_ms = self._handshake, self._ingress.clock()
        if not handshake.tokens or not handshake.account.held or handshake.cooldown_ms(now_ms) > 0:
            return False
        if handshake.submitted is not None or handshake.may_be_busy or handshake.is_open(now_ms):
            return False
        if handshake.channel_id not in ("", self._channel_id) or frame.cmd_fault:
            return False
        began_ns = 0 if self._ingress.tracing is None else self._ingress.tracing.now_ns()
        command = parse_command(frame.cmd)
        if isinstance(command, Refusal) or not self._budget.take():
            return False
        self._count_expired()
        handshake.take_token()
        handshake.account.take_held()
        self._issue(frame, command, began_ns)
        return True

    async def _lease(self) -> int | None:
        """Take a token, with more of them for the next commands.

        Returns 0, the milliseconds until there is one, or None: the session is over.
        """
        handshake = self._handshake
        async with handshake.leasing:
            if handshake.take_token():
                return 0
            if handshake.token_wait_ms:
                return handshake.token_wait_ms
            counts = handshake.difficulty.unsent()
            try:
                lease = await self._store.lease(self._session, handshake.tokens_most, counts, handshake.forgotten)
            except BaseException:
                handshake.difficulty.resend(counts)
                raise
            if not lease.alive:
                handshake.difficulty.resend(counts)
                return None
            handshake.forgotten = handshake.difficulty.read(lease.counts)
            handshake.may_be_busy |= lease.may_be_busy
            if lease.cooldown_ms:
                handshake.cool_down(self._ingress.clock(), lease.cooldown_ms)
            handshake.tokens += lease.tokens
            handshake.no_token_for(lease.wait_ms)
            return 0 if handshake.take_token() else max(1, lease.wait_ms)

    async def _is_free(self, frame: CommandReq) -> bool:
        """Return whether the agent has nothing in flight; if it has, it is told."""
        handshake, now_ms = self._handshake, self._ingress.clock()
        while not handshake.is_open(now_ms):
            if handshake.submitted is None and not handshake.may_be_busy:
                return True
            # What is known here may be out of date: the shard's commit counts.
            submitted = "" if handshake.submitted is None else handshake.submitted.server_cmd_id
            refusal = RefusalNotice(frame.client_cmd_id, frame.trace_id, "busy", paid=True)
            refused = await self._store.refuse_if_busy(self._agent_id, refusal, submitted, now_ms)
            if refused.outcome != "free":
                metrics.COMMANDS_REFUSED.labels("busy").inc()
                return False
            handshake.is_free(submitted)
        await self._refuse_request(frame, "busy", retry_ms=self._ingress.rules.busy_retry_ms, paid=True)
        return False

    def _issue(self, frame: CommandReq, command: Command, began_ns: int) -> None:
        now_ms = self._ingress.clock()
        cmd_json = canonical_json(frame.cmd)
        challenge = Challenge(
            server_cmd_id=self._ingress.handshakes.new_id(),
            client_cmd_id=frame.client_cmd_id,
            agent_id=self._agent_id,
            session_jti=self._session.jti,
            channel_id=self._channel_id,
            cmd_json=cmd_json,
            cmd_hash=hash_of(cmd_json),
            nonce=secrets.token_urlsafe(16),
            issued_ms=now_ms,
            expires_at=now_ms // 1000 + self._ingress.rules.ttl_s,
            difficulty=self._handshake.difficulty.level(now_ms),
            trace_id=frame.trace_id,
            state="ISSUED",
        )
        self._ingress.note(self._handshake)
        self._ingress.handshakes.issue(self._handshake, challenge, command)
        self._refused_in_a_row = 0
        self._unanswered = (challenge.server_cmd_id, challenge.expires_at)
        metrics.CHALLENGE_ISSUED.inc()
        metrics.CHALLENGE_DIFFICULTY.observe(challenge.difficulty)
        self._tell(PrivateEvent("command_challenge", challenge.message, now_ms, frame.trace_id))
        if self._ingress.tracing is not None:
            self._handshake.follow(CommandTrace.begin(self._ingress.tracing, challenge, command.KIND, began_ns))

    async def _limit_request(self, frame: CommandReq, limit: str, wait_ms: int, *, paid: bool) -> CommandReply | None:
        limit_metrics.RATE_LIMITED.labels(limit).inc()
        return await self._refuse_request(frame, "rate_limited", retry_ms=wait_ms, paid=paid)

    async def _refuse_request(
        self, frame: CommandReq, reason: str, *, code: str = "", retry_ms: int = 0, paid: bool
    ) -> CommandReply | None:
        metrics.COMMANDS_REFUSED.labels(reason).inc()
        refusal = RefusalNotice(frame.client_cmd_id, frame.trace_id, reason, code, retry_ms=retry_ms, paid=paid)
        refused = await self._store.refuse(self._agent_id, refusal, None, self._ingress.clock())
        return self._after_refusal(refused, limited=reason == "rate_limited", wait_ms=retry_ms)

    # -- answers --

    async def _answer(self, frame: CommandAnswer) -> CommandReply | None:
        if self._handshake.trace is not None:
            self._handshake.trace.heard()
        now_ms, handshakes = self._ingress.clock(), self._ingress.handshakes
        challenge = handshakes.find(frame.server_cmd_id, now_ms)
        if self._handshake.was_used(frame.server_cmd_id) or handshakes.is_foreign(frame.server_cmd_id):
            # Another gateway's may be decided yet: like any other it has its ack once.
            return await self._refuse_answer(frame, challenge, Verdict.CONSUMED, now_ms)
        cooldown_ms = self._handshake.cooldown_ms(now_ms)
        if cooldown_ms > 0:
            return await self._tell_refusal(frame, challenge, "rate_limited", retry_ms=cooldown_ms)
        verdict = self._verify(challenge, frame, now_ms)
        if verdict is Verdict.VALID and challenge is not None:
            return await self._consume(challenge, frame, now_ms)
        return await self._refuse_answer(frame, challenge, verdict, now_ms)

    def _answer_at_once(self, frame: CommandAnswer) -> bool:
        handshake, now_ms = self._handshake, self._ingress.clock()
        challenge = self._ingress.handshakes.find(frame.server_cmd_id, now_ms)
        if challenge is None or challenge is not handshake.challenge or isinstance(handshake.command, Say):
            return False
        if handshake.cooldown_ms(now_ms) > 0 or not self._budget.take():
            return False
        if handshake.trace is not None:
            handshake.trace.heard()
        checked = self._check(challenge, frame, now_ms)
        if checked.verdict is not Verdict.VALID:
            self._budget.give_back()
            return False
        checked.counted()
        self._submit(self._ingress.handshakes.consume(handshake, challenge), frame, now_ms)
        return True

    def _verify(self, challenge: Challenge | None, frame: CommandAnswer, now_ms: int) -> Verdict:
        """Return what the checks say, and count how long they took."""
        return self._check(challenge, frame, now_ms).counted()

    def _check(self, challenge: Challenge | None, frame: CommandAnswer, now_ms: int) -> _Checked:
        """Check an answer, uncounted: one that is wrong is checked once more on the way to its refusal."""
        began = time.perf_counter()
        verdict = check_claim(challenge, frame, self._caller, self._session.cmd_secret, now_ms)
        proof_ms: float | None = None
        if verdict is Verdict.VALID and challenge is not None:
            proof_began = time.perf_counter()
            if not proof_holds(challenge, frame.proof_nonce):
                verdict = Verdict.BAD_PROOF
            proof_ms = (time.perf_counter() - proof_began) * 1e3
        return _Checked(verdict, proof_ms, (time.perf_counter() - began) * 1e3)

    async def _consume(self, challenge: Challenge, frame: CommandAnswer, now_ms: int) -> CommandReply | None:
        handshake = self._handshake
        consumed = self._ingress.handshakes.consume(handshake, challenge)
        if isinstance(handshake.command, Say):
            # On its own: what Redis has allowed is submitted, or has been refused, even if the connection ends.
            return await asyncio.shield(self._ingress.start(self._say(challenge, consumed, handshake.command, frame)))
        self._submit(consumed, frame, now_ms)
        return None

    def _submit(self, consumed: Challenge, frame: CommandAnswer, now_ms: int) -> None:
        self._answered(consumed, frame, now_ms)
        self._ingress.submit(self._handshake, consumed, now_ms + self._ingress.rules.decide_within_ms)

    def _answered(self, challenge: Challenge, frame: CommandAnswer, now_ms: int) -> None:
        """Count a challenge that was answered rightly, whatever becomes of its command."""
        slow = now_ms - challenge.issued_ms > self._ingress.rules.difficulty.slow_ms
        self._handshake.difficulty.count(now_ms, slow=slow)
        self._ingress.adjust(self._handshake)
        self._unanswered = None
        self._log(frame, challenge, Verdict.VALID)
        metrics.CHALLENGE_VALID.inc()

    async def _say(
        self, challenge: Challenge, consumed: Challenge, command: Say, frame: CommandAnswer
    ) -> CommandReply | None:
        """Submit a message if it may be said.  If not, the agent is told, and the challenge is used up for nothing."""
        now_ms = self._ingress.clock()
        try:
            outcome = await self._ask_to_speak(challenge, command, frame, now_ms)
        except REDIS_FAILURES:
            self._ingress.reopen(self._handshake, challenge)
            return CommandReply("unavailable", UNAVAILABLE_RETRY_MS)
        if outcome == "said":
            self._submit(consumed, frame, now_ms)
            return None
        if self._handshake.has(challenge.server_cmd_id):
            self._handshake.unsaid = False
        self._answered(challenge, frame, now_ms)
        self._ingress.decided(self._handshake, challenge, accepted=False)
        self._count_silence(challenge, outcome)
        return None

    async def _ask_to_speak(self, challenge: Challenge, command: Say, frame: CommandAnswer, now_ms: int) -> str:
        chat, unsaid = self._moderate(command, frame), self._handshake.unsaid
        for attempt in range(SPEAK_TRIES):
            try:
                return await self._store.speak(
                    challenge, trace_id=frame.trace_id, chat=chat, unsaid=unsaid, now_ms=now_ms
                )
            except REDIS_FAILURES:
                # Whether it ran is unknown; asked again it gives the same outcome.
                if attempt == SPEAK_TRIES - 1:
                    raise
                await asyncio.sleep(PAUSE_S)
        raise AssertionError("unreachable")

    def _moderate(self, command: Say, frame: CommandAnswer) -> Chat:
        """Judge a message by the list of banned words."""
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
        if verdict.reason == "auth_failed":
            self._handshake.difficulty.count(now_ms, invalid=True)
            self._ingress.adjust(self._handshake)
        return await self._tell_refusal(frame, challenge, verdict.reason, code=verdict.value)

    async def _tell_refusal(
        self, frame: CommandAnswer, challenge: Challenge | None, reason: str, *, code: str = "", retry_ms: int = 0
    ) -> CommandReply | None:
        """Refuse an answer in the agent's stream, which gets the challenge before it if it is the agent's."""
        handshake, now_ms = self._handshake, self._ingress.clock()
        mine = challenge is not None and challenge.agent_id == self._agent_id
        refusal = RefusalNotice(
            challenge.client_cmd_id if challenge is not None and mine else "",
            *(frame.trace_id, reason, code, frame.server_cmd_id, retry_ms),
            paid=handshake.take_token(),
        )
        first = mine and handshake.unsaid
        if first:
            handshake.unsaid = False
        refused = await self._store.refuse(self._agent_id, refusal, challenge if first else None, now_ms)
        if first and refused.outcome != "refused":
            handshake.unsaid = True
        if refused.cooldowns:
            handshake.cool_down(now_ms, self._ingress.rules.cooldown.cooldown_ms)
        elif refused.cooldown_ms:
            handshake.cool_down(now_ms, refused.cooldown_ms)
        limited = reason == "rate_limited" or refused.cooldown_ms > 0
        if limited:
            limit_metrics.RATE_LIMITED.labels("cooldown").inc()
            metrics.COMMANDS_REFUSED.labels("rate_limited").inc()
        return self._after_refusal(refused, limited=limited, server_cmd_id=frame.server_cmd_id)

    # -- keeping order --

    def _after_refusal(
        self, refused: Refused, *, limited: bool, wait_ms: int = 0, server_cmd_id: str | None = None
    ) -> CommandReply | None:
        if refused.outcome == "flood":
            return self._flood(wait_ms or self._ingress.rules.agent_commands.interval_ms)
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
        if is_left_out(__name__, "challenge_answer", verdict.value):
            return
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
