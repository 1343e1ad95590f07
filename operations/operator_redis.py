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

from config.errors import OperatorError
from config.redis_url import normal_form
from config.settings import SettingsError, raw_setting
from embedded.services import DEFAULT_DATA_DIR, EmbeddedServices, ServiceError
from operations.operator_services import running_urls

__all__ = ["EXIT_UNREACHABLE", "FoundRedis", "NoWorld", "find_redis", "one_line_errors"]

REDIS_URL_VARIABLE: Final = "CHUNKCRAWL_REDIS_URL"
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3


class NoWorld(OperatorError):
    """No Redis to ask, or no world in it; the text says what to do."""

    reason = "no_world"


@dataclass(frozen=True, slots=True)
class FoundRedis:
    """The URL of a world's Redis, which holds a password: never print it."""

    url: str
    #: Nobody but us has it running: the world is stopped.
    stopped: bool = False


@contextlib.contextmanager
def find_redis(data_dir: str | None, *, stopped_too: bool) -> Iterator[FoundRedis]:
    """Yield the world's Redis, running for as long as the block.  Main thread only, outside an event loop.

    Args:
        data_dir: Data directory of ``chunkcrawl up``; None: as the environment says.
        stopped_too: Start the Redis of a stopped world.

    Raises:
        SettingsError: the environment names one that can't be used.
        NoWorld: nobody names one.
        ServiceError: that of the stopped world does not start.
    """
    named = raw_setting("redis_url")
    if named:
        try:
            found = FoundRedis(normal_form(named))
        except ValueError as error:
            raise SettingsError(f"{REDIS_URL_VARIABLE}: {error}") from None
        yield found
        return
    directory = Path(data_dir or raw_setting("data_dir") or DEFAULT_DATA_DIR)
    running = running_urls(directory)
    if running is not None:
        yield FoundRedis(running.redis_url)
    elif stopped_too and (directory / "valkey").is_dir():
        with EmbeddedServices(directory, redis_alone=True) as urls:
            yield FoundRedis(urls.redis_url, stopped=True)
    else:
        raise NoWorld(
            f"no world runs in {directory}: start one with `chunkcrawl up`, name another directory with --data, or "
            f"a Redis with {REDIS_URL_VARIABLE}"
        )


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End a command that can't reach its world: in one line, with 2 for bad settings, 3 for the rest."""
    try:
        yield
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from None
    except (NoWorld, ServiceError, RedisError, OSError) as error:
        typer.echo(f"error: {' '.join(str(error).split()) or type(error).__name__}", err=True)
        raise typer.Exit(EXIT_UNREACHABLE) from None
