"""Challenges in Redis: issue, look up, consume, refuse, each one Lua script (``api.challenge.scripts``).

Whatever an agent is told about a command goes through its stream, so that owners see it and a reconnect replays it;
each script therefore also appends the message.  A script's outcome is a small named tuple here, never a raw answer.

    chal:{server_cmd_id}   the challenge; 10 s, longer once it is consumed (until its decision, for a resubmit)
    inflight:{agent}       the agent's pending or submitted command; its expiry frees the slot by itself
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, cast

from api.accounts.auth import RedisCalls, Session
from api.challenge.challenge import Challenge, State, Verdict
from api.challenge.cooldown import CooldownRules
from api.challenge.difficulty import SET_LEVEL, DifficultyRules, next_level, stale_fields, state_from_redis
from api.challenge.scripts import CONSUME, GIVE_UP, ISSUE, LOOK_UP, REFUSE_ANSWER, REFUSE_REQUEST, RESUME
from api.keys import difficulty as difficulty_key
from api.limits.strikes import StrikeRules
from config.limit import Limit

#: What moderation says of a message.
Chat = Literal["clean", "banned"]


@dataclass(frozen=True, slots=True)
class ChallengeRules:
    """Times and limits of commands.

    ``agent_commands``: beyond, a request is refused as ``rate_limited``; beyond twice that, not even the refusal is
    written (it would push results out of the agent's stream).  ``account_commands``: over all agents of an account.
    ``decide_within_ms``: by then a shard must have accepted a consumed command, which is kept ``consumed_ttl_ms``.
    """

    ttl_s: int = 5
    record_ttl_ms: int = 10_000
    consumed_ttl_ms: int = 30_000
    decide_within_ms: int = 6_000
    chat_interval_ms: int = 2_000
    agent_commands: Limit = field(default_factory=lambda: Limit.parse("10+10/s"))
    account_commands: Limit = field(default_factory=lambda: Limit.parse("10000+5000/s"))
    busy_retry_ms: int = 500
    difficulty: DifficultyRules = field(default_factory=DifficultyRules)
    cooldown: CooldownRules = field(default_factory=CooldownRules)
    strikes: StrikeRules = field(default_factory=StrikeRules)


@dataclass(frozen=True, slots=True)
class Draft:
    """The parts of a challenge that are known before Redis is asked."""

    server_cmd_id: str
    cmd_json: str
    cmd_hash: str
    nonce: str


class Issued(NamedTuple):
    """``outcome``: ``issued``; ``refused``, and an ack is in the stream; ``flood``, untold; ``dead``: no session.

    ``limit``: which one it was when the reason is ``rate_limited``.
    """

    outcome: str
    difficulty: int
    reason: str
    retry_after_ms: int
    limit: str = ""


class LookedUp(NamedTuple):
    """A challenge, or None; and for how long the agent still is in a cooldown."""

    challenge: Challenge | None
    cooldown_ms: int


class Consumed(NamedTuple):
    """``outcome``: ``consumed``; ``lost`` to another answer; ``gone``; ``dead``: no session.

    Of a message that may not be said, and told so: ``chat``: too soon; ``muted``; ``struck``: it breaks the rules;
    ``struck_out``: and that has muted the agent.
    """

    outcome: str
    counts: list[bytes]


class Refused(NamedTuple):
    """``outcome``: ``refused``, and an ack is in the stream; ``decided``: its ack was given; ``flood``, untold."""

    outcome: str
    cooldowns: int
    counts: list[bytes]


class ChallengeStore:
    """The scripts as methods.  Each raises ``redis.exceptions.RedisError`` when Redis does not answer.

    Args:
        redis: batched calls.
        rules: times and limits.
    """

    def __init__(self, redis: RedisCalls, rules: ChallengeRules) -> None:
        self._redis = redis
        self.rules = rules

    async def issue(
        self, session: Session, channel_id: str, client_cmd_id: str, trace_id: str, draft: Draft, now_ms: int
    ) -> Issued:
        """Store a challenge and send it to the agent, or refuse: cooldown, rate, one command in flight."""
        rules = self.rules
        expires_at = now_ms // 1000 + rules.ttl_s
        pending_ms = (expires_at + 1) * 1000 - now_ms
        args = (
            *(session.agent_id or "", session.jti, now_ms, trace_id, draft.server_cmd_id, client_cmd_id, channel_id),
            *(draft.cmd_json, draft.cmd_hash, draft.nonce, expires_at),
            *(max(rules.record_ttl_ms, pending_ms), pending_ms),
            *(rules.difficulty.start, rules.busy_retry_ms),
            *(rules.agent_commands.burst, rules.agent_commands.interval_us, session.account_id),
            *(rules.account_commands.burst, rules.account_commands.interval_us),
        )
        outcome, level, reason, retry, limit = await self._redis.eval(ISSUE, (), args)
        return Issued(outcome.decode(), level, reason.decode(), retry, limit.decode())

    async def look_up(self, agent_id: str, server_cmd_id: str) -> LookedUp:
        cooldown_ms, fields = await self._redis.eval(LOOK_UP, (), (agent_id, server_cmd_id))
        return LookedUp(_challenge(server_cmd_id, fields), max(0, cooldown_ms))

    async def consume(
        self, challenge: Challenge, *, token: str, trace_id: str, chat: Chat | None, now_ms: int
    ) -> Consumed:
        """The one step ``ISSUED -> CONSUMED``.  Sent again with the same ``token`` it gives the same outcome.

        ``chat``: of a message, whether it may be said; None for any other command.
        The command's deadline is fixed here, so that every gateway that submits it gives up at the same time.
        """
        slow = now_ms - challenge.issued_ms > self.rules.difficulty.slow_ms
        strikes = self.rules.strikes
        args = (
            *(challenge.agent_id, challenge.session_jti, challenge.server_cmd_id, token, now_ms, trace_id),
            *(self.rules.consumed_ttl_ms, int(slow), now_ms + self.rules.decide_within_ms),
            *(chat or "", self.rules.chat_interval_ms, strikes.strikes_max, strikes.memory_ms, strikes.mute_ms),
        )
        outcome, counts = await self._redis.eval(CONSUME, (), args)
        return Consumed(outcome.decode(), counts)

    async def refuse_answer(
        self, agent_id: str, server_cmd_id: str, trace_id: str, verdict: Verdict | None, now_ms: int, retry_ms: int = 0
    ) -> Refused:
        """Tell the agent why its answer does not count.  ``verdict`` None: a cooldown, for ``retry_ms`` more."""
        cooldown = self.rules.cooldown
        reason = "rate_limited" if verdict is None else verdict.reason
        limit = self.rules.agent_commands
        args = (
            *(agent_id, server_cmd_id, now_ms, trace_id, reason, "" if verdict is None else verdict.value),
            *(retry_ms or "", int(reason == "auth_failed"), limit.burst, limit.interval_us),
            *(cooldown.failures_max, cooldown.window_ms, cooldown.cooldown_ms, cooldown.memory_ms),
        )
        return _refused(await self._redis.eval(REFUSE_ANSWER, (), args))

    async def refuse_request(
        self, agent_id: str, client_cmd_id: str, trace_id: str, reason: str, code: str, now_ms: int
    ) -> Refused:
        """Refuse a ``command_req`` for what is in it; no challenge was made."""
        limit = self.rules.agent_commands
        args = (agent_id, client_cmd_id, now_ms, trace_id, reason, code, limit.burst, limit.interval_us)
        return _refused(await self._redis.eval(REFUSE_REQUEST, (), args))

    async def give_up(self, challenge: Challenge, now_ms: int, retry_ms: int) -> Refused:
        """Refuse (``busy``) a consumed command that no shard decided, unless one has by now."""
        args = (challenge.agent_id, challenge.server_cmd_id, challenge.client_cmd_id, now_ms, challenge.trace_id)
        return _refused(await self._redis.eval(GIVE_UP, (), (*args, retry_ms)))

    async def resume(self, agent_id: str, channel_id: str) -> tuple[Challenge, int] | None:
        """The agent's consumed, undecided challenge and its deadline (ms), if there is one.

        A challenge that an older channel left open is dropped, so that the agent is free.
        """
        answer = await self._redis.eval(RESUME, (), (agent_id, channel_id))
        if not answer:
            return None
        *fields, deadline_ms = answer[1]
        challenge = _challenge(answer[0].decode(), fields)
        return (challenge, int(deadline_ms)) if challenge is not None and deadline_ms is not None else None

    async def adjust_difficulty(self, agent_id: str, counts: list[bytes], now_ms: int) -> int | None:
        """Apply the rules to the counts that ``consume`` or ``refuse_answer`` gave; the new level if it moved."""
        rules = self.rules.difficulty
        state = state_from_redis(counts, rules)
        level, stale = next_level(state, rules, now_ms), stale_fields(state, rules, now_ms)
        if level == state.level and not stale:
            return None
        wanted: str | int = level if level != state.level else ""
        args = (wanted, state.changed_ms, now_ms, *stale)
        moved = await self._redis.eval(SET_LEVEL, (difficulty_key(agent_id),), args)
        return level if moved else None


def _challenge(server_cmd_id: str, fields: list[Any]) -> Challenge | None:
    if None in fields:  # there is none, or only the mark of one that was given up after its time
        return None
    state, client, agent, jti, channel, cmd, digest, nonce, issued, expires_at, level, trace = (
        value.decode() for value in fields
    )
    return Challenge(
        server_cmd_id=server_cmd_id,
        client_cmd_id=client,
        agent_id=agent,
        session_jti=jti,
        channel_id=channel,
        cmd_json=cmd,
        cmd_hash=digest,
        nonce=nonce,
        issued_ms=int(issued),
        expires_at=int(expires_at),
        difficulty=int(level),
        trace_id=trace,
        state=cast(State, state),
    )


def _refused(answer: list[Any]) -> Refused:
    return Refused(answer[0].decode(), answer[1], answer[2])
