"""Connections to Redis (or Valkey), made in one way everywhere."""

from __future__ import annotations

from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from config.world_url import split_world
from streaming.cancellable import make_cancellable
from streaming.namespace import put_into

SOCKET_TIMEOUT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 2.0
POOL_SIZE: Final = 16
POOL_WAIT_S: Final = 5.0


def as_text(value: bytes | str) -> str:
    """Return what Redis gave as text; our clients get bytes, whatever the types say."""
    return value.decode() if isinstance(value, bytes) else value


def connect(url: str, *, socket_timeout_s: float | None = SOCKET_TIMEOUT_S, pool_size: int = POOL_SIZE) -> Redis:
    """Make a client for the world at ``url`` that gives bytes and never repeats a command by itself.

    Its keys and channels are the world's (``streaming.namespace``).

    A command whose answer was lost may have run, so only the caller knows whether it may be sent again (the
    journal numbers its commits for that).  At most ``pool_size`` connections; a caller waits up to
    ``POOL_WAIT_S`` for a free one and then gets ``redis.exceptions.ConnectionError``.

    Raises:
        ValueError: no URL of a Redis, or no name of a world in it.
    """
    server, world = split_world(url)
    pool = BlockingConnectionPool.from_url(
        server,
        max_connections=pool_size,
        timeout=POOL_WAIT_S,
        socket_timeout=socket_timeout_s,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    make_cancellable(pool)
    put_into(pool, world)
    return Redis.from_pool(pool)  # which closes the pool with the client
