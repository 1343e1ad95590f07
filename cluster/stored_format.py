"""The format of what a world keeps in Redis: a number in its hash ``world``, so that no older code misreads it.

``FORMAT`` rises with the release that writes something which the release before can't read: a record with other fields,
a key of another shape.  That release still reads the format before, and writes it until no process of the release
before is left: only then the coordinator raises the world's number (``Coordinator``), and a process writes the format
that the world had when the process began.  So all releases in one cluster read all that is written.

Whoever finds a number above its own refuses to start.  See docs/decisions/0047-draining-and-upgrading.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from redis.asyncio import Redis

from config.errors import OperatorError
from streaming import keys

__all__ = ["FIELD", "FORMAT", "NewerWorld", "format_fault", "format_of", "raise_format", "refuse_newer"]

#: The newest format that this release reads and writes; 1 is what 0.1.0 writes, the first one.
FORMAT: Final = 1

#: Field of the hash ``world``; without it the format is 1.
FIELD: Final = "format"

DIGITS_MOST: Final = 6


class NewerWorld(OperatorError):
    """A newer release has written into this world what this one can't read."""

    reason = "newer_world"


def format_of(world: Mapping[str, str]) -> int:
    """Return the format of a world by its hash.

    Raises:
        ValueError: the field is no number.
    """
    found = world.get(FIELD, "1")
    if not (found.isascii() and found.isdigit() and len(found) <= DIGITS_MOST):
        raise ValueError(f"{FIELD} can't be {ascii(found)[:40]}")
    return int(found)


def refuse_newer(world_format: int) -> None:
    """Return when this release can read the world.

    Raises:
        NewerWorld: it can't.
    """
    if world_format > FORMAT:
        raise NewerWorld(
            f"{_newer(world_format)}: start that release again, or restore a backup from before the upgrade "
            "(`chunkcrawl restore DIR --force`)"
        )


async def raise_format(redis: Redis, formats: Iterable[int]) -> None:
    """Raise the world's format as far as all of its actors read, of which these are the newest that each reads."""
    known = min([FORMAT, *formats])
    if known > 1 and known > int(await redis.hget(keys.WORLD, FIELD) or 1):
        await redis.hset(keys.WORLD, FIELD, str(known))


def format_fault(world: Mapping[str, str]) -> str | None:
    """Return why a world from elsewhere, by its hash, can't be read here; None: it can."""
    try:
        found = format_of(world)
    except ValueError as error:
        return str(error)
    return _newer(found) if found > FORMAT else None


def _newer(world_format: int) -> str:
    return f"a newer release has written this world (format {world_format}, this one reads up to {FORMAT})"
