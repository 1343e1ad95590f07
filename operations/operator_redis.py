"""How operator commands find a world's Redis, and how they end when they can't.

By the environment (or a secret file); else the Redis of the ``chunkcrawl up`` that uses the data directory; else, for
commands that make sense for a stopped world, its Redis alone is started for as long as the command needs it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer
from redis.exceptions import RedisError

from config import database_url as database_urls
from config.errors import OperatorError
from config.redis_url import normal_form
from config.settings import SettingsError, raw_setting
from embedded.services import DEFAULT_DATA_DIR, EmbeddedServices, ServiceError
from operations.operator_services import running_urls

__all__ = ["EXIT_UNREACHABLE", "FoundRedis", "NoAuditLog", "NoWorld", "find_redis", "one_line_errors", "stopped_here"]

REDIS_URL_VARIABLE: Final = "CHUNKCRAWL_REDIS_URL"
DATABASE_URL_VARIABLE: Final = "CHUNKCRAWL_DATABASE_URL"
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3


class NoWorld(OperatorError):
    """No Redis to ask, or no world in it; the text says what to do."""

    reason = "no_world"


class NoAuditLog(OperatorError):
    """An action can't be written down, so it is not done; the text says what to do."""

    reason = "no_audit_log"


@dataclass(frozen=True, slots=True)
class FoundRedis:
    """The URLs of a world's servers, which hold passwords: never print them."""

    url: str
    #: PostgreSQL, for the audit log; empty where nobody names one, and where it was not asked for.
    database_url: str = ""
    #: Nobody but us has it running: the world is stopped.
    stopped: bool = False


@contextlib.contextmanager
def find_redis(data_dir: str | None, *, stopped_too: bool, audit: bool = False) -> Iterator[FoundRedis]:
    """Yield the world's Redis, running for as long as the block.  Main thread only, outside an event loop.

    Args:
        data_dir: Data directory of ``chunkcrawl up``; None: as the environment says.
        stopped_too: Start the Redis of a stopped world.
        audit: Find its PostgreSQL too, and start that of a stopped world, for the audit log.

    Raises:
        SettingsError: the environment names one that can't be used.
        NoWorld: nobody names one.
        ServiceError: that of the stopped world does not start.
    """
    named = raw_setting("redis_url")
    if named:
        try:
            url = normal_form(named)
        except ValueError as error:
            raise SettingsError(f"{REDIS_URL_VARIABLE}: {error}") from None
        yield FoundRedis(url, _database_url() if audit else "")
        return
    directory = _directory(data_dir)
    running = running_urls(directory)
    if running is not None:
        yield FoundRedis(running.redis_url, running.database_url)
    elif stopped_too and (directory / "valkey").is_dir():
        database_url = _database_url() if audit else ""
        alone = not audit or not (database_url or (directory / "postgres").is_dir())
        with EmbeddedServices(directory, database_url=database_url or None, redis_alone=alone) as urls:
            yield FoundRedis(urls.redis_url, urls.database_url, stopped=True)
    else:
        raise NoWorld(
            f"no world runs in {directory}: start one with `chunkcrawl up`, name another directory with --data, or "
            f"a Redis with {REDIS_URL_VARIABLE}"
        )


def stopped_here(data_dir: str | None = None) -> bool:
    """Return whether this machine has the data of a world that nobody has running, and no other Redis is named."""
    if raw_setting("redis_url"):
        return False
    directory = _directory(data_dir)
    return (directory / "valkey").is_dir() and running_urls(directory) is None


def _directory(data_dir: str | None) -> Path:
    return Path(data_dir or raw_setting("data_dir") or DEFAULT_DATA_DIR)


def _database_url() -> str:
    named = raw_setting("database_url")
    try:
        return database_urls.normal_form(named) if named.strip() else ""
    except ValueError as error:
        raise SettingsError(f"{DATABASE_URL_VARIABLE}: {error}") from None


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End a command that can't reach its world: in one line, with 2 for bad settings, 3 for the rest."""
    try:
        yield
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from None
    except (NoWorld, NoAuditLog, ServiceError, RedisError, OSError) as error:
        typer.echo(f"error: {' '.join(str(error).split()) or type(error).__name__}", err=True)
        raise typer.Exit(EXIT_UNREACHABLE) from None
