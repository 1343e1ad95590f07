"""Which run the world in Redis is (``store.runs``): every restored world is a new one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from store import runs
from streaming import keys
from streaming.connect import as_text
from streaming.lua import load, run
from world.rules import WORLD_RULES

#: Field of the hash ``world``.
RUN: Final = "run"

#: Fields of it that a lost Redis gets back out of PostgreSQL, beside the seed.
RUN_INFO: Final = ("epoch_ms", "shard_count", "next_chunk", *WORLD_RULES)

ENSURE_RUN: Final = load("cluster/ensure_run.lua", RUN=RUN)


def new_run_id() -> str:
    """Make a run's id."""
    return f"run_{secrets.token_hex(8)}"


async def ensure_run(redis: Redis, engine: AsyncEngine) -> str:
    """Return the run that the world in Redis is; begun now if the world has none.

    Raises:
        RedisError, SQLAlchemyError, OSError: one of the two is away, or Redis holds no world (yet).
    """
    flat = await run(redis, ENSURE_RUN(world=keys.WORLD, run=new_run_id()))
    if not flat:
        raise RedisError("this Redis holds no world")
    world = {as_text(name): as_text(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
    await begin_run(engine, world[RUN], world)
    return world[RUN]


async def begin_run(engine: AsyncEngine, run_id: str, world: Mapping[str, str]) -> None:
    """Write the run into PostgreSQL with what the hash ``world`` says now, and end every other run."""
    await runs.begin(engine, run_id, int(world["seed"]), run_info(world))
    await runs.end_all_but(engine, run_id)


def run_info(world: Mapping[str, str]) -> dict[str, int]:
    """Return what a lost Redis is to get back of the ``world`` hash."""
    return {name: int(world[name]) for name in RUN_INFO if name in world}
