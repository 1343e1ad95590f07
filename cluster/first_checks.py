"""What ``chunkcrawl up`` checks before it starts anything: directories it is to write to, servers it is to use.

Each fault is one line that names the variable, where the first actor would fail on it in a way that nobody can read.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Final

from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from config.settings import ENV_PREFIX, Settings
from embedded.children import ServiceError
from store.pg_session import patient_engine
from streaming.connect import connect

ANSWER_S: Final = 15.0
RAY_ANSWER_S: Final = 5.0
WHY_MAX_CHARS: Final = 200
DIRECTORIES: Final = ("log_dir", "record_dir")


def check_directories(settings: Settings) -> None:
    """Make the directories that are missing, and check that all can be written to.

    Raises:
        ServiceError: One of them can't be written to.
    """
    for name in DIRECTORIES:
        path = getattr(settings, name)
        if not path:
            continue
        try:
            Path(path).mkdir(parents=True, exist_ok=True)
            usable = os.access(path, os.W_OK | os.X_OK)
            why = "not writable"
        except OSError as error:
            usable, why = False, (error.strerror or type(error).__name__).lower()
        if not usable:
            raise ServiceError(f"{ENV_PREFIX}{name.upper()}: {path} can't be used as a directory to write to: {why}.")


def check_ray_address(address: str) -> None:
    """Connect to a cluster that is to be joined, where Ray itself would try for more than a minute.

    Raises:
        ServiceError: Nothing answers there.
    """
    host, separator, port = address.rpartition(":")
    if not separator:
        return  # local, auto
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=RAY_ANSWER_S).close()
    except (OSError, ValueError) as error:
        raise ServiceError(
            f"{ENV_PREFIX}RAY_ADDRESS: no Ray cluster answers at {address}: {_why(error)}. Start it, or name the "
            "head node's address as `ray status` knows it; `local` starts one for this run."
        ) from None


async def check_stores(settings: Settings) -> None:
    """Ask both servers once.

    Raises:
        ServiceError: One does not answer, refuses us, or is of a kind that is not supported.
    """
    await _check_database(settings.database_url)
    await _check_redis(settings.redis_url)


async def _check_database(url: str) -> None:
    engine = patient_engine(url)
    try:
        async with asyncio.timeout(ANSWER_S), engine.connect() as connection:
            read_only = await connection.scalar(text("SELECT pg_is_in_recovery()"))
    except TimeoutError:
        raise ServiceError(f"{ENV_PREFIX}DATABASE_URL: PostgreSQL does not answer within {ANSWER_S:.0f} s.") from None
    except (SQLAlchemyError, OSError, ValueError) as error:
        raise ServiceError(f"{ENV_PREFIX}DATABASE_URL: PostgreSQL can't be used: {_why(error)}.") from None
    finally:
        await engine.dispose()
    if read_only:
        raise ServiceError(f"{ENV_PREFIX}DATABASE_URL: this PostgreSQL is a standby; name the primary.")


async def _check_redis(url: str) -> None:
    client = connect(url)
    try:
        async with asyncio.timeout(ANSWER_S):
            found = await client.info("cluster")
    except TimeoutError:
        raise ServiceError(f"{ENV_PREFIX}REDIS_URL: Redis does not answer within {ANSWER_S:.0f} s.") from None
    except (RedisError, OSError, ValueError) as error:
        raise ServiceError(f"{ENV_PREFIX}REDIS_URL: Redis can't be used: {_why(error)}.") from None
    finally:
        await client.aclose()
    if found.get("cluster_enabled"):
        raise ServiceError(f"{ENV_PREFIX}REDIS_URL: this is a Redis Cluster, which is not supported; name one server.")


def _why(error: Exception) -> str:
    """Return the driver's own words as a part of a line.  They hold host and account, never the password."""
    said = getattr(error, "orig", None) or error
    return " ".join(str(said).split())[:WHY_MAX_CHARS].rstrip(".") or type(said).__name__
