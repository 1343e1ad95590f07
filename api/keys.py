"""Names of the Redis keys that only the gateways use; the shared ones are in ``streaming.keys``.

Every key here has an expiry, set in the same script that makes it.
"""

from __future__ import annotations

from typing import Final

#: A zset: agent id -> when (ms) it was last given a strike or muted; the newest ``MODERATED_MOST``.
MODERATED: Final = "moderated"
MODERATED_MOST: Final = 1_000
#: How long it is kept after the last one.
MODERATED_MS: Final = 30 * 86_400_000


def sessions_of_key(key_id: str) -> str:
    """Return the key of a zset: jti -> expiry (ms) of the sessions opened with an API key."""
    return f"keysess:{key_id}"


def revoked_key(key_id: str) -> str:
    """Return the key of a string: the API key is revoked; no session may be opened with it, whatever a cache says."""
    return f"revoked:{key_id}"


def difficulty(agent_id: str) -> str:
    """Return the key of a hash: level, when it changed, counts of answers (``api.challenge.difficulty``)."""
    return f"diff:{agent_id}"


def failures(agent_id: str) -> str:
    """Return the key of a list: times (ms) of the newest auth failures (``api.challenge.cooldown``)."""
    return f"fails:{agent_id}"


def cooldown(agent_id: str) -> str:
    """Return the key of a string: while it exists, the agent is ``rate_limited``."""
    return f"cool:{agent_id}"


def cooldowns(agent_id: str) -> str:
    """Return the key of a string: number of cooldowns of late."""
    return f"cools:{agent_id}"


def chat(agent_id: str) -> str:
    """Return the key of a string: while it exists, the agent may not ``say``."""
    return f"chat:{agent_id}"


def limit_bucket(kind: str, who: str) -> str:
    """Return the key of a string: when a token bucket is full again (``api.limits.rate_limit``)."""
    return f"limit:{kind}:{who}"


def command_bucket(agent_id: str) -> str:
    """Return the key of the bucket of an agent's commands."""
    return f"limit:command_agent:{agent_id}"


def refusal_bucket(agent_id: str) -> str:
    """Return the key of the bucket that bounds how many refusals an agent is told of."""
    return f"limit:refusal:{agent_id}"


def strikes(agent_id: str) -> str:
    """Return the key of a list: when each newest strike of an agent is forgotten (ms), newest first."""
    return f"strikes:{agent_id}"


def mute(agent_id: str) -> str:
    """Return the key of a string: it exists while the agent is muted, by ``strikes`` or ``operator``."""
    return f"mute:{agent_id}"


def mcp_session(session_id: str) -> str:
    """Return the key of a hash: a model's session (``cluster.hosted.sessions``)."""
    return f"mcp:{session_id}"


def mcp_account(account_id: str) -> str:
    """Return the key of a zset: session id -> when it expires (ms), of an account's models."""
    return f"mcpaccount:{account_id}"


#: A zset: session id -> when it expires (ms), of all models.
MCP_SESSIONS: Final = "mcpsessions"


def mcp_map(agent_id: str) -> str:
    """Return the key of a string: what an agent's model has seen of the world, packed (``cluster.hosted``)."""
    return f"mcpmap:{agent_id}"


def mcp_control(gateway: str) -> str:
    """Return the channel of what other gateways ask of the one that plays a session (``cluster.hosted.relay``)."""
    return f"ctl:mcp:{gateway}"
