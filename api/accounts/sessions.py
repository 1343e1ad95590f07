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
from streaming.lua import load

#: Longer than any request that began before the revocation, and than the cache of keys.
REVOKED_MS: Final = 3_600_000
SESSIONS_PER_KEY_MAX: Final = 50_000
DROP_BATCH: Final = 500

OPEN: Final = load("api/accounts/open_session.lua", keys)
REFRESH: Final = load("api/accounts/refresh_session.lua", keys)
REVOKE: Final = load("api/accounts/revoke_session.lua", keys)
REVOKE_JTI: Final = load("api/accounts/revoke_jti.lua", keys)
DROP: Final = load("api/accounts/drop_sessions.lua", keys)


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
        call = OPEN(
            hash=sha256_hex(token),
            jti=session.jti,
            role=role,
            account=account_id,
            agent=agent_id or "",
            key_id=key_id or "",
            secret=session.cmd_secret,
            exp=expires_at,
            ttl_ms=(expires_at - now_s) * 1000,
            key_exp="" if key_expires_at is None else key_expires_at,
            now=now_s,
            most=SESSIONS_PER_KEY_MAX,
        )
        outcome = await self._redis.run(call)
        if outcome == b"revoked":
            raise ApiError("invalid_api_key")
        if outcome == b"too_many":
            raise ApiError("too_many_sessions")
        return OpenedSession(session, token)

    async def refresh(self, session: Session, token: str, now_s: int) -> Session:
        """Extend a session.  Raises ``ApiError`` (``invalid_session``) when it has ended meanwhile."""
        expires_at = await self._redis.run(REFRESH(hash=sha256_hex(token), now=now_s, ttl=self._ttl_s))
        if not expires_at:
            raise ApiError("invalid_session")
        return replace(session, expires_at=expires_at)

    async def revoke(self, session: Session, token: str) -> None:
        """End one session and tell every gateway."""
        await self._redis.run(REVOKE(hash=sha256_hex(token), key_id=session.key_id or ""))

    async def revoke_jti(self, jti: str) -> bool:
        """End one session by its id and tell every gateway; return whether it was alive."""
        return bool(await self._redis.run(REVOKE_JTI(jti=jti)))

    async def revoke_key(self, key_id: str) -> None:
        """End all sessions of an API key, let none be opened any more, and tell every gateway."""
        await self._redis.command("SET", keys.revoked_key(key_id), 1, "PX", REVOKED_MS)
        while await self._redis.run(DROP(key_id=key_id, most=DROP_BATCH)) == DROP_BATCH:
            pass
        await self._redis.command("PUBLISH", SESSIONS_CHANNEL, f"key {key_id}")
