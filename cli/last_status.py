"""The coordinator's last status, as a command reads it: in Redis, or at a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from redis.asyncio import Redis

from cli.operator_api import Server, get_or_none
from operations.operator_redis import NoWorld
from streaming import keys

Status = dict[str, Any]
#: Returns the last status; None: there is none at the moment.
ReadStatus = Callable[[], Awaitable[Status | None]]

POLL_S: Final = 0.5
#: How long the coordinator's next status may take; while it is moved itself there is none.
STATUS_WAIT_S: Final = 15.0


def in_redis(redis: Redis) -> ReadStatus:
    """Return how to read it in Redis."""

    async def read() -> Status | None:
        found = await redis.get(keys.STATUS)
        decoded: Status | None = orjson.loads(found) if found else None
        return decoded

    return read


def at_server(server: Server) -> ReadStatus:
    """Return how to read it at a server.  A refusal, for want of a good token for one, ends the command."""

    async def read() -> Status | None:
        return await asyncio.to_thread(get_or_none, server, "/status")

    return read


async def first_status(read: ReadStatus) -> Status:
    """Return the next status.

    Raises:
        NoWorld: there was none within ``STATUS_WAIT_S``.
    """
    end = time.monotonic() + STATUS_WAIT_S
    while (found := await read()) is None:
        if time.monotonic() > end:
            raise NoWorld("the coordinator has written no status in the last seconds: is the world up?")
        await asyncio.sleep(POLL_S)
    return found
