"""One HTTP client for all agents and watchers of an event loop that play on one server."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final
from weakref import WeakKeyDictionary

from chunkcrawl.transport.http import Api

__all__ = ["SharedApi"]

API_CLOSE_TIMEOUT_S: Final = 2.0

_SHARED: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedApi]]] = WeakKeyDictionary()


class SharedApi:
    """Counts who uses an ``Api``, and closes it with the last of them.

    A thousand agents of a process thus keep the connections of one.  ``of`` gives what is there for the running event
    loop and server, ``enter`` counts a user, ``leave`` takes it off again.
    """

    def __init__(self, api: Api) -> None:
        self.api = api
        self._users = 0

    @classmethod
    def of(cls, base: str) -> SharedApi:
        """Return the one of this event loop for ``base``; without a running loop a new one.

        Raises:
            UnusableProxy: The environment names a proxy that can't be used.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return cls(Api(base))
        there = _SHARED.setdefault(loop, {})
        api = there.get(base.rstrip("/"))
        if api is None:
            api = there[base.rstrip("/")] = cls(Api(base))
        return api

    @classmethod
    def own(cls, api: Api) -> SharedApi:
        """Return one for a client that somebody else has made, and closes."""
        shared = cls(api)
        shared.enter()
        return shared

    def enter(self) -> None:
        """Count one user more."""
        self._users += 1

    async def leave(self) -> None:
        """Count one user less; the last one closes the connections."""
        self._users -= 1
        if self._users:
            return
        there = _SHARED.get(asyncio.get_running_loop(), {})
        if there.get(self.api.base) is self:
            del there[self.api.base]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.api.aclose(), API_CLOSE_TIMEOUT_S)
