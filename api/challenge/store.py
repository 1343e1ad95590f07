"""The part of the handshake that lies in Redis: leases, refusals, turns to speak, commands given up.

None of its scripts runs for a command that goes its usual way, but for a lease now and then.

Whatever an agent is told about a command goes through its stream, so that owners see it and a reconnect replays it;
each refusal therefore also appends the message, and before it the challenge that it is about, if the stream has not got
it.  (A challenge whose command is decided is appended by the shard's commit.)

    chal:{server_cmd_id}   what became of a command that its gateway refused: for the shards, and to ask again
    inflight:{agent}       a command that a connection left behind undecided
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from api import keys
from api.accounts.auth import RedisCalls, Session
from api.challenge.challenge import Challenge
from api.challenge.cooldown import CooldownRules
from api.challenge.difficulty import STATE_TTL_MS, DifficultyRules
from api.limits.strikes import StrikeRules
from config.limit import Limit
from streaming.lua import load

#: How long shards find that a command was given up: longer than they may still commit it (``REFUSAL_KNOWN_MS``).
REFUSED_KEPT_MS: Final = 600_000

LEASE: Final = load("api/challenge/lease.lua", keys, STATE_TTL_MS=STATE_TTL_MS)
LEAVE: Final = load("api/challenge/leave.lua", keys, STATE_TTL_MS=STATE_TTL_MS)
NOTE: Final = load("api/challenge/note.lua")
SET_LEVEL: Final = load("api/challenge/set_level.lua", keys, STATE_TTL_MS=STATE_TTL_MS)
REFUSE: Final = load("api/challenge/refuse.lua", keys)
SPEAK: Final = load("api/challenge/speak.lua", keys)
GIVE_UP: Final = load("api/challenge/give_up.lua", REFUSED_KEPT_MS=REFUSED_KEPT_MS)

#: What moderation says of a message.
Chat = Literal["clean", "banned"]


@dataclass(frozen=True, slots=True)
class ChallengeRules:
    """Times and limits of commands.

    ``agent_commands``: beyond, a request is refused as ``rate_limited``; beyond twice that, not even the refusal is
    written (it would push results out of the agent's stream).  ``account_commands``: over all agents of an account.
    ``decide_within_ms``: by then a shard must have accepted a consumed command.
    """

    ttl_s: int = 5
    record_ttl_ms: int = 10_000
    outcome_ttl_ms: int = 30_000
    decide_within_ms: int = 6_000
    chat_interval_ms: int = 2_000
    agent_commands: Limit = field(default_factory=lambda: Limit.parse("10+10/s"))
    account_commands: Limit = field(default_factory=lambda: Limit.parse("10000+5000/s"))
    busy_retry_ms: int = 500
    difficulty: DifficultyRules = field(default_factory=DifficultyRules)
    cooldown: CooldownRules = field(default_factory=CooldownRules)
    strikes: StrikeRules = field(default_factory=StrikeRules)


class Lease(NamedTuple):
    """What a lease gives.

    ``alive``: the session is.  ``wait_ms``: until there is a token, if there was none; ``counts``: flat.
    """

    alive: bool
    tokens: int
    wait_ms: int
    cooldown_ms: int
    may_be_busy: bool
    counts: list[bytes]


@dataclass(frozen=True, slots=True)
class RefusalNotice:
    """What an agent is told when its message is refused.  ``paid``: a token was taken for that message."""

    client_cmd_id: str
    trace_id: str
    reason: str
    code: str = ""
    server_cmd_id: str = ""
    retry_ms: int = 0
    paid: bool = False


class Refused(NamedTuple):
    """What became of a refusal.

    ``outcome``: ``refused``, and an ack is in the stream; ``decided``: its ack was given; ``flood``, untold.

    ``cooldowns``: how many of late, if this refusal began one; ``cooldown_ms``: it was refused for one.
    """

    outcome: str
    cooldowns: int = 0
    cooldown_ms: int = 0


class ChallengeStore:
    """The scripts as methods.  Each raises ``redis.exceptions.RedisError`` when Redis does not answer.

    Args:
        redis: batched calls.
        rules: times and limits.
    """

    def __init__(self, redis: RedisCalls, rules: ChallengeRules) -> None:
        self._redis = redis
        self.rules = rules

    # -- connections --

    async def lease(self, session: Session, most: int, counts: Mapping[str, int], forgotten: Iterable[str]) -> Lease:
        """Take up to ``most`` of the agent's tokens, hand over its counts, and learn how it stands."""
        limit = self.rules.agent_commands
        call = LEASE(
            id=session.agent_id or "",
            jti=session.jti,
            burst=limit.burst,
            interval_us=limit.interval_us,
            most=most,
            counts=[*counts.items(), *((name, "") for name in forgotten)],
        )
        outcome, tokens, wait_ms, cooldown_ms, may_be_busy, found = await self._redis.run(call)
        return Lease(outcome == b"ok", tokens, wait_ms, cooldown_ms, bool(may_be_busy), found)

    async def leave(
        self, agent_id: str, tokens: int, counts: Mapping[str, int], undecided: str, undecided_ms: int
    ) -> None:
        """Write back what is left of an agent whose last connection here is over.

        ``undecided``: the command that it leaves behind, for ``undecided_ms``.
        """
        limit = self.rules.agent_commands
        call = LEAVE(
            id=agent_id,
            burst=limit.burst,
            interval_us=limit.interval_us,
            tokens=tokens,
            server_cmd_id=undecided,
            undecided_ms=undecided_ms,
            counts=counts.items(),
        )
        await self._redis.run(call)

    async def note(self, challenge: Challenge) -> None:
        """Append a challenge that nobody answered to the agent's stream, for its owner."""
        call = NOTE(
            id=challenge.agent_id,
            issued_ms=challenge.issued_ms,
            trace=challenge.trace_id,
            challenge=challenge.message,
        )
        await self._redis.run(call)

    async def set_level(self, agent_id: str, level: int, changed_ms: int, now_ms: int) -> tuple[int, int]:
        """Move the agent's difficulty unless it was moved since ``changed_ms``; return the level and when it moved."""
        start = self.rules.difficulty.start
        call = SET_LEVEL(id=agent_id, level=level, changed_ms=changed_ms, now_ms=now_ms, start=start)
        level, changed_ms = await self._redis.run(call)
        return level, changed_ms

    # -- refusals --

    async def refuse(self, agent_id: str, refusal: RefusalNotice, challenge: Challenge | None, now_ms: int) -> Refused:
        """Tell the agent why its message does not count, ``challenge`` (if it is not None) before it."""
        return await self._refuse(agent_id, refusal, challenge, now_ms, "", "")

    async def refuse_if_busy(self, agent_id: str, refusal: RefusalNotice, submitted: str, now_ms: int) -> Refused:
        """Refuse a request as busy if ``submitted`` is undecided, something runs, or something was left behind."""
        return await self._refuse(agent_id, refusal, None, now_ms, self.rules.busy_retry_ms, submitted)

    async def _refuse(
        self,
        agent_id: str,
        refusal: RefusalNotice,
        challenge: Challenge | None,
        now_ms: int,
        busy_ms: int | str,
        submitted: str,
    ) -> Refused:
        cooldown, limit = self.rules.cooldown, self.rules.agent_commands
        call = REFUSE(
            id=agent_id,
            server_cmd_id=refusal.server_cmd_id,
            client_cmd_id=refusal.client_cmd_id,
            now_ms=now_ms,
            trace=refusal.trace_id,
            reason=refusal.reason,
            code=refusal.code,
            retry_ms=refusal.retry_ms or "",
            paid=int(refusal.paid),
            burst=limit.burst,
            interval_us=limit.interval_us,
            busy_ms=busy_ms,
            submitted=submitted,
            issued_ms="" if challenge is None else challenge.issued_ms,
            challenge_trace="" if challenge is None else challenge.trace_id,
            challenge="" if challenge is None else challenge.message,
            failures_max=cooldown.failures_max,
            window_ms=cooldown.window_ms,
            cooldown_ms=cooldown.cooldown_ms,
            memory_ms=cooldown.memory_ms,
        )
        outcome, cooldowns, cooldown_ms = await self._redis.run(call)
        return Refused(outcome.decode(), cooldowns, cooldown_ms)

    # -- answered challenges --

    async def speak(self, challenge: Challenge, *, trace_id: str, chat: Chat, unsaid: bool, now_ms: int) -> str:
        """Return whether a message may be said: ``said``, or another word, and the agent is told so.

        ``chat``: too soon; ``muted``; ``struck``: it breaks the rules; ``struck_out``: and that has muted the agent.
        ``unsaid``: the stream has not got the challenge.
        """
        strikes = self.rules.strikes
        call = SPEAK(
            id=challenge.agent_id,
            server_cmd_id=challenge.server_cmd_id,
            client_cmd_id=challenge.client_cmd_id,
            now_ms=now_ms,
            trace=trace_id,
            keep_ms=self.rules.outcome_ttl_ms,
            chat=chat,
            chat_ms=self.rules.chat_interval_ms,
            strikes_max=strikes.strikes_max,
            strike_memory_ms=strikes.memory_ms,
            mute_ms=strikes.mute_ms,
            issued_ms=challenge.issued_ms,
            challenge_trace=challenge.trace_id,
            challenge=challenge.message if unsaid else "",
        )
        outcome: bytes = await self._redis.run(call)
        return outcome.decode()

    async def give_up(self, challenge: Challenge, now_ms: int, retry_ms: int, *, unsaid: bool) -> bool:
        """Refuse (``busy``) a consumed command that no shard decided; return False when it is decided or given up."""
        call = GIVE_UP(
            id=challenge.agent_id,
            server_cmd_id=challenge.server_cmd_id,
            client_cmd_id=challenge.client_cmd_id,
            now_ms=now_ms,
            trace=challenge.trace_id,
            retry_ms=retry_ms,
            issued_ms=challenge.issued_ms,
            challenge=challenge.message if unsaid else "",
        )
        outcome: bytes = await self._redis.run(call)
        return outcome == b"refused"
