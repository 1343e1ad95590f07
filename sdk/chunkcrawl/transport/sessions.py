"""Keeping a session alive: opened when needed, refreshed before it ends, replaced when it is dead."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from chunkcrawl.errors import ApiError, InvalidSession, ServerUnreachable
from chunkcrawl.transport.backoff import Backoff
from chunkcrawl.transport.http import Api, Role, Session

__all__ = ["SessionKeeper"]

#: Share of the lifetime after which a session is refreshed; jitter of a tenth keeps many clients apart.
REFRESH_AT: Final = 0.6

#: The shortest wait for a refresh: a session whose key expires gets ever shorter, and would be refreshed ever faster.
REFRESH_AFTER_MIN_S: Final = 0.5


class SessionKeeper:
    """Hands out a live session.

    Args:
        api: Where sessions are refreshed and ended.
        open_session: Opens a new one; None when there is only the given ``session``, which then can't be replaced.
        session: A session that somebody else opened.
    """

    def __init__(
        self,
        api: Api,
        open_session: Callable[[], Awaitable[Session]] | None,
        *,
        session: Session | None = None,
        rng: random.Random,
    ) -> None:
        if open_session is None and session is None:
            raise ValueError("either a session or a way to open one is needed")
        self._api = api
        self._open = open_session
        self._session = session
        self._owned = session is None
        self._rng = rng
        self.opened = 0

    @classmethod
    def of_role(
        cls,
        api: Api,
        role: Role,
        agent_id: str | None,
        *,
        api_key: str | None,
        session: Session | None = None,
        rng: random.Random,
    ) -> SessionKeeper:
        """Make a keeper for sessions of one role: opened with the key, or the given one.

        Raises:
            ValueError: Neither is given.
        """
        if session is not None:
            return cls(api, None, session=session, rng=rng)
        if api_key is None:
            raise ValueError("either api_key or session is needed")
        key = api_key

        async def open_session() -> Session:
            return await api.open_session(key, role, agent_id)

        return cls(api, open_session, rng=rng)

    async def current(self) -> Session:
        """Return the session, opened now if there is none.

        Raises:
            InvalidSession: It is dead and can't be replaced, or the API key is.
            ApiError, ServerUnreachable: It could not be opened.
        """
        if self._session is None:
            if self._open is None:
                raise InvalidSession(401, "invalid_session")
            self._session = await self._open()
            self.opened += 1
        return self._session

    def dead(self, session: Session) -> None:
        """Note that the server does not know this session any more; ``current`` opens another."""
        if self._session is not None and self._session.session_token == session.session_token:
            self._session = None

    async def keep(self, session: Session) -> None:
        """Refresh ``session`` again and again; returns when it is dead.  Run it beside the connection that uses it."""
        while True:
            share = REFRESH_AT + 0.1 * self._rng.random()
            await asyncio.sleep(max(REFRESH_AFTER_MIN_S, session.lifetime_s * share))
            try:
                session = await self._refreshed(session, session.lifetime_s * (1 - share))
            except ApiError:
                self.dead(session)
                return

    async def _refreshed(self, session: Session, within_s: float) -> Session:
        backoff = Backoff(self._rng, cap_s=max(1.0, within_s / 4))
        while True:
            try:
                fresh = await self._api.refresh_session(session)
            except ServerUnreachable:
                await asyncio.sleep(backoff.next_delay())
            except ApiError as error:
                if error.status < 500 and error.status != 429:
                    raise
                await asyncio.sleep(backoff.next_delay(at_least_s=error.retry_after_s or 0.0))
            else:
                if self._session is not None and self._session.session_token == session.session_token:
                    self._session = fresh
                return fresh

    async def end(self) -> None:
        """Revoke the session if this keeper opened it.

        Raises:
            ApiError, ServerUnreachable: It could not be revoked; it ends by itself.
        """
        session, self._session = self._session, None
        if session is not None and self._owned:
            await self._api.end_session(session)
