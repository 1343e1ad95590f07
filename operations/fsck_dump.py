"""One look at the whole world in Redis, for the checker (``operations.fsck``)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from cluster.chunk_dump import agent_ids_of
from streaming import keys
from streaming.lua import load, run

CHUNK_FIELDS: Final = ("shard", "N", "E", "S", "W")
AGENT_FIELDS: Final = ("here", "chunk", "busy", "rec")

LOOK: Final = load("operations/look_at_world.lua")


@dataclass(slots=True)
class Dump:
    """The world's keys at one moment, as plain values."""

    world: dict[str, str] = field(default_factory=dict)
    population: dict[str, str] = field(default_factory=dict)
    chunks: dict[str, dict[str, Any]] = field(default_factory=dict)
    agents: dict[str, dict[str, str]] = field(default_factory=dict)
    #: The lease of every shard that owns a chunk; empty text: there never was such a shard.
    shards: dict[str, str] = field(default_factory=dict)
    #: The time by Redis' clock; 0: not a look at a running world, so there are no reservations to judge.
    now_ms: int = 0


async def read_dump(redis: Redis, agent_ids: list[str] | None = None) -> Dump:
    """Return everything in one look.  ``agent_ids``: agents to look at besides those that some chunk names."""
    world, population, chunks, agents, shards, now_ms = await run(redis, LOOK(others=agent_ids or []))
    return Dump(
        world=_pairs(world),
        population=_pairs(population),
        chunks={_text(chunk_id): _chunk(*parts) for chunk_id, *parts in chunks},
        agents={_text(agent_id): _named(AGENT_FIELDS, values) for agent_id, values in agents},
        shards={_text(shard): _text(epoch) for shard, epoch in shards},
        now_ms=int(now_ms),
    )


def _chunk(fields: list[Any], members: list[bytes], inbox: list[bytes], resv: list[bytes], last: bytes) -> Any:
    return {
        "fields": _named(CHUNK_FIELDS, fields),
        "members": [_text(member) for member in members],
        "inbox": _pairs(inbox),
        "resv": _pairs(resv),
        "last": _text(last),
    }


def _pairs(flat: list[bytes]) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _named(names: tuple[str, ...], values: list[bytes | None]) -> dict[str, str]:
    return {name: _text(value) for name, value in zip(names, values, strict=True) if value is not None}


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


async def agents_in_world(redis: Redis) -> list[str]:
    """Return every agent that stands in the world by its own record, whatever chunks say: for ``read_dump``."""
    found = []
    async for page in _pages(agent_ids_of(redis)):
        pipe = redis.pipeline(transaction=False)
        for agent_id in page:
            pipe.hget(keys.agent(agent_id), "here")
        answers = await pipe.execute(raise_on_error=False)
        found += [agent_id for agent_id, here in zip(page, answers, strict=True) if here == b"1"]
    return found


async def _pages(found: AsyncIterator[str], size: int = 1_000) -> AsyncIterator[list[str]]:
    page: list[str] = []
    async for agent_id in found:
        page.append(agent_id)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page
