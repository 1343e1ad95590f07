"""Sessions in Redis: opened, refreshed, revoked, each by one script.

    sess:{sha256 of the token}   the session with its secret; expires with it
    jti:{jti}                    its sess: key, to see whether it lives
    keysess:{key_id}             jtis of the sessions that an API key has open
    revoked:{key_id}             the key is revoked: a race with `POST /v1/sessions` is decided by this

A revocation reaches open connections over ``ctl:sessions`` (``jti <jti>`` or ``key <key_id>``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from api import keys
from api.accounts.auth import RedisCalls, Role, Session
from api.accounts.tokens import new_cmd_secret, new_jti, new_session_token, sha256_hex
from api.errors import ApiError
from streaming.keys import SESSIONS_CHANNEL
from streaming.lua import Script

#: Longer than any request that began before the revocation, and than the cache of keys.
REVOKED_MS: Final = 3_600_000
SESSIONS_PER_KEY_MAX: Final = 50_000
DROP_BATCH: Final = 500

_INDEX: Final = """
local function note_in_index(key_id, jti, exp, ttl_ms)
  local index = 'keysess:' .. key_id
  redis.call('ZADD', index, exp, jti)
  if redis.call('PTTL', index) < ttl_ms then redis.call('PEXPIRE', index, ttl_ms) end
end
"""

OPEN: Final = Script(
    "session_open",
    _INDEX
    + """
local hash, jti, role, account, agent, key_id, secret = unpack(ARGV, 1, 7)
local exp, ttl_ms, key_exp, now, most = ARGV[8], tonumber(ARGV[9]), ARGV[10], ARGV[11], tonumber(ARGV[12])
if key_id ~= '' then
  if redis.call('EXISTS', 'revoked:' .. key_id) == 1 then return 'revoked' end
  local index = 'keysess:' .. key_id
  if redis.call('ZCARD', index) >= most then
    redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
    if redis.call('ZCARD', index) >= most then return 'too_many' end
  end
  note_in_index(key_id, jti, exp, ttl_ms)
end
local key = 'sess:' .. hash
redis.call('HSET', key, 'jti', jti, 'role', role, 'account', account, 'agent', agent, 'key', key_id, 'secret', secret,
  'exp', exp, 'kexp', key_exp)
redis.call('PEXPIRE', key, ttl_ms)
redis.call('SET', 'jti:' .. jti, key, 'PX', ttl_ms)
return 'ok'
""",
)

REFRESH: Final = Script(
    "session_refresh",
    _INDEX
    + """
local key, now, ttl = 'sess:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local found = redis.call('HMGET', key, 'jti', 'key', 'kexp', 'exp')
if not found[1] then return 0 end
local exp = math.max(now + ttl, tonumber(found[4]))
if found[3] ~= '' then exp = math.min(exp, tonumber(found[3])) end
if exp <= now then return 0 end
local ttl_ms = (exp - now) * 1000
redis.call('HSET', key, 'exp', string.format('%d', exp))
redis.call('PEXPIRE', key, ttl_ms)
redis.call('SET', 'jti:' .. found[1], key, 'PX', ttl_ms)
if found[2] ~= '' then note_in_index(found[2], found[1], string.format('%d', exp), ttl_ms) end
return exp
""",
)

REVOKE: Final = Script(
    "session_revoke",
    f"""
local jti = redis.call('HGET', 'sess:' .. ARGV[1], 'jti')
if not jti then return 0 end
redis.call('DEL', 'sess:' .. ARGV[1], 'jti:' .. jti)
if ARGV[2] ~= '' then redis.call('ZREM', 'keysess:' .. ARGV[2], jti) end
redis.call('PUBLISH', CHANNELS .. '{SESSIONS_CHANNEL}', 'jti ' .. jti)
return 1
""",
)

#: Ends up to ARGV[2] sessions of a key; returns how many it took from the index.
DROP: Final = Script(
    "session_drop",
    """
local taken = redis.call('ZPOPMIN', 'keysess:' .. ARGV[1], ARGV[2])
for i = 1, #taken, 2 do
  local jti_key = 'jti:' .. taken[i]
  local key = redis.call('GET', jti_key)
  if key then redis.call('DEL', key, jti_key) end
end
return #taken / 2
""",
)


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session at the only moment when its token is known."""

    session: Session
    token: str = field(repr=False)


class SessionStore:
    """The scripts as methods.  Each raises ``redis.exceptions.RedisError`` when Redis does not answer."""

    def __init__(self, redis: RedisCalls, *, ttl_s: int) -> None:
        self._redis = redis
        self._ttl_s = ttl_s

    async def open(
        self,
        *,
        role: Role,
        account_id: str,
        agent_id: str | None,
        key_id: str | None,
        key_expires_at: int | None,
        now_s: int,
    ) -> OpenedSession:
        """Open a session; it ends with its key at the latest.

        Raises:
            ApiError: ``invalid_api_key``: the key was revoked meanwhile or has expired; ``too_many_sessions``.
        """
        expires_at = now_s + self._ttl_s
        if key_expires_at is not None:
            expires_at = min(expires_at, key_expires_at)
        if expires_at <= now_s:
            raise ApiError("invalid_api_key")
        token = new_session_token()
        session = Session(new_jti(), role, account_id, agent_id, key_id, new_cmd_secret(), expires_at)
        args = (
            *(sha256_hex(token), session.jti, role, account_id, agent_id or "", key_id or "", session.cmd_secret),
            *(expires_at, (expires_at - now_s) * 1000, "" if key_expires_at is None else key_expires_at),
            *(now_s, SESSIONS_PER_KEY_MAX),
        )
        outcome = await self._redis.eval(OPEN, (), args)
        if outcome == b"revoked":
            raise ApiError("invalid_api_key")
        if outcome == b"too_many":
            raise ApiError("too_many_sessions")
        return OpenedSession(session, token)

    async def refresh(self, session: Session, token: str, now_s: int) -> Session:
        """Put off a session's end.  Raises ``ApiError`` (``invalid_session``) when it has ended meanwhile."""
        expires_at = await self._redis.eval(REFRESH, (), (sha256_hex(token), now_s, self._ttl_s))
        if not expires_at:
            raise ApiError("invalid_session")
        return replace(session, expires_at=expires_at)

    async def revoke(self, session: Session, token: str) -> None:
        """End one session and tell every gateway."""
        await self._redis.eval(REVOKE, (), (sha256_hex(token), session.key_id or ""))

    async def revoke_key(self, key_id: str) -> None:
        """End all sessions of an API key, let none be opened any more, and tell every gateway."""
        await self._redis.command("SET", keys.revoked_key(key_id), 1, "PX", REVOKED_MS)
        while await self._redis.eval(DROP, (), (key_id, DROP_BATCH)) == DROP_BATCH:
            pass
        await self._redis.command("PUBLISH", SESSIONS_CHANNEL, f"key {key_id}")
