"""How operator commands find a world's Redis: by the environment, or by what ``chunkcrawl up`` left in its data."""

from __future__ import annotations

import json
import os
from pathlib import Path

from redis.asyncio import Redis

from cluster.services import DEFAULT_DATA_DIR
from streaming.connect import connect

REDIS_URL_VARIABLE = "CHUNKCRAWL_REDIS_URL"
DATA_DIR_VARIABLE = "CHUNKCRAWL_DATA_DIR"


class NoWorld(Exception):
    """No Redis to ask; the text says what to do."""


def redis_url(data_dir: str | None = None) -> str:
    """The URL of the world's Redis.  It holds a password: never print it.

    Raises:
        NoWorld: neither the environment nor the data directory names one.
    """
    named = os.environ.get(REDIS_URL_VARIABLE)
    if named:
        return named
    directory = Path(data_dir or os.environ.get(DATA_DIR_VARIABLE) or DEFAULT_DATA_DIR)
    try:
        found: str = json.loads((directory / "services.json").read_text())["redis_url"]
    except (OSError, ValueError, KeyError):
        raise NoWorld(
            f"no world runs in {directory}: start one with `chunkcrawl up`, or name its Redis with {REDIS_URL_VARIABLE}"
        ) from None
    return found


def open_redis(data_dir: str | None = None) -> Redis:
    """A client for the world's Redis.  Raises as ``redis_url``."""
    return connect(redis_url(data_dir))
