"""Names of the Redis keys that only the gateways use; the shared ones are in ``streaming.keys``.

Every key here has an expiry, set in the same script that makes it.
"""

from __future__ import annotations


def sessions_of_key(key_id: str) -> str:
    """zset: jti -> expiry (ms) of the sessions opened with an API key."""
    return f"keysess:{key_id}"


def revoked_key(key_id: str) -> str:
    """string: the API key is revoked; no session may be opened with it, whatever a cache says."""
    return f"revoked:{key_id}"


def difficulty(agent_id: str) -> str:
    """hash: level, when it changed, counts of answers (``api.difficulty``)."""
    return f"diff:{agent_id}"


def failures(agent_id: str) -> str:
    """list: times (ms) of the newest auth failures (``api.cooldown``)."""
    return f"fails:{agent_id}"


def cooldown(agent_id: str) -> str:
    """string: while it exists, the agent is ``rate_limited``."""
    return f"cool:{agent_id}"


def cooldowns(agent_id: str) -> str:
    """string: number of cooldowns of late."""
    return f"cools:{agent_id}"


def request_rate(agent_id: str) -> str:
    """string: ``command_req`` of the present window."""
    return f"rate:{agent_id}"


def chat(agent_id: str) -> str:
    """string: while it exists, the agent may not ``say``."""
    return f"chat:{agent_id}"
