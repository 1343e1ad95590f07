"""Who stands in the world, for operators: a list that is made when somebody asks, and given again for some seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from api import keys as gateway_keys
from api.accounts.auth import RedisCalls
from streaming import keys
from streaming.lua import load

ROWS: Final = load("api/operator/agent_rows.lua", gateway_keys)
AGENTS_AT_ONCE: Final = 500
FRESH_S: Final = 3.0


@dataclass(slots=True)
class AgentTable:
    """The agents in the world; many askers at once cost one reading."""

    redis: RedisCalls
    clock: Callable[[], float] = time.monotonic
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _fresh_until: float = float("-inf")
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def rows(self) -> list[dict[str, Any]]:
        """Return all of them, up to ``FRESH_S`` old; not to be changed.  Raises ``RedisError``."""
        async with self._reading:
            if self.clock() >= self._fresh_until:
                self._rows = await self._read()
                self._fresh_until = self.clock() + FRESH_S
            return self._rows

    async def _read(self) -> list[dict[str, Any]]:
        present = await self.redis.command("ZRANGE", keys.PRESENCE, 0, -1)
        found = []
        for first in range(0, len(present), AGENTS_AT_ONCE):
            ids = present[first : first + AGENTS_AT_ONCE]
            answers = await self.redis.run(ROWS(ids=ids))
            found += [_row(id_, *answer) for id_, answer in zip(ids, answers, strict=True) if answer[2] == b"1"]
        return found


def _row(
    agent_id: bytes, account: bytes, chunk: bytes, _here: bytes, busy: bytes, muted: bytes, channel: bytes
) -> dict[str, Any]:
    return {
        "agent_id": agent_id.decode(),
        "account_id": account.decode(),
        "chunk_id": chunk.decode(),
        "doing": busy.decode() or None,
        "muted": bool(muted),
        "connected": bool(channel),
    }
