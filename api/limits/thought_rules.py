"""Moderation of what agents think: same words, violations and mutes as for what they say (``api.limits.strikes``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from api import keys
from api.accounts.auth import RedisCalls
from api.errors import ApiError
from api.limits import limit_metrics
from api.limits.strikes import StrikeRules
from streaming.lua import load

__all__ = ["ThoughtRules"]

log = structlog.get_logger(__name__)

JUDGE: Final = load("api/limits/judge.lua", keys)


class ThoughtRules:
    """Lets a thought pass or refuses it.

    Args:
        redis: batched calls.
        rules: how many violations mute, and for how long.
        find_banned: the line of the list of banned words that forbids a text, or None.
    """

    def __init__(self, redis: RedisCalls, rules: StrikeRules, find_banned: Callable[[str], int | None]) -> None:
        self._redis = redis
        self._rules = rules
        self._find_banned = find_banned

    async def check(self, agent_id: str, text: str, trace_id: str) -> None:
        """Let a thought pass.

        Raises:
            ApiError: ``banned_words``, which counts as a violation; ``muted``: the agent may not talk for now.
            redis.exceptions.RedisError: Redis did not answer: nothing passes.
        """
        line = self._find_banned(text)
        call = JUDGE(
            id=agent_id,
            line="clean" if line is None else "banned",
            strikes_max=self._rules.strikes_max,
            strike_memory_ms=self._rules.memory_ms,
            mute_ms=self._rules.mute_ms,
        )
        outcome, muted_ms = await self._redis.run(call)
        if outcome == b"muted":
            limit_metrics.RATE_LIMITED.labels("mute").inc()
            raise ApiError("muted", retry_after_s=muted_ms / 1000)
        if outcome == b"banned":
            # The entry's line stands for the text, which must not be kept.
            log.info("thought_banned", trace_id=trace_id, agent_id=agent_id, list_line=line)
            limit_metrics.MODERATION_REFUSED.inc()
            if muted_ms:
                limit_metrics.MODERATION_MUTES.inc()
                log.info("agent_muted", trace_id=trace_id, agent_id=agent_id, by="strikes")
            raise ApiError("banned_words")
