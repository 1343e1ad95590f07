"""An agent's record and what it has missed, read in one moment: all of what it missed, or none of it."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from streaming import keys
from streaming.agent_record import StoredAgent, read_agent
from tests.streaming.writer import AgentWriter


async def agent_with(redis: Redis, events: int) -> AgentWriter:
    agent = AgentWriter(redis, "ada")
    await agent.place("chunk-1")
    for _ in range(events):
        await agent.event("command_ack")
    return agent


def numbers(stored: StoredAgent) -> list[int] | None:
    return None if stored.missed is None else [event.id[0] for event in stored.missed]


async def test_one_that_never_was_in_the_world(redis: Redis) -> None:
    assert await read_agent(redis, "ada") == StoredAgent(None, 0, None, [], None)
    assert numbers(await read_agent(redis, "ada", 0)) == []


async def test_where_it_stands_and_what_it_carries(redis: Redis) -> None:
    agent = await agent_with(redis, 2)
    await redis.hset(keys.agent("ada"), "rec", b'{"gold":12}')
    stored = await read_agent(redis, "ada")
    assert (stored.chunk_id, stored.seq, stored.gold, stored.missed) == ("chunk-1", 2, 12, [])
    await agent.place("chunk-1", here=False)
    assert (await read_agent(redis, "ada")).chunk_id is None


@pytest.mark.parametrize("since", [0, 1, 4, 5])
async def test_all_events_after_a_number_and_the_one_with_it(redis: Redis, since: int) -> None:
    await agent_with(redis, 5)
    stored = await read_agent(redis, "ada", since)
    assert numbers(stored) == list(range(since + 1, 6))
    assert (stored.last_seen.id if stored.last_seen else None) == ((since, 0) if since else None)


@pytest.mark.parametrize("since", [6, 10**12])
async def test_a_number_ahead_of_the_stream_gets_nothing(redis: Redis, since: int) -> None:
    await agent_with(redis, 5)
    stored = await read_agent(redis, "ada", since)
    assert stored.missed is None
    assert stored.last_seen is None


async def test_trimmed_events_are_not_passed_over(redis: Redis) -> None:
    agent = await agent_with(redis, 5)
    await redis.xtrim(agent.key, minid="3-0", approximate=False)
    assert numbers(await read_agent(redis, "ada", 1)) is None
    kept = await read_agent(redis, "ada", 2)
    assert numbers(kept) == [3, 4, 5]
    assert kept.last_seen is None


async def test_a_hole_is_not_passed_over(redis: Redis) -> None:
    agent = await agent_with(redis, 5)
    await redis.xdel(agent.key, "4-0")
    assert numbers(await read_agent(redis, "ada", 2)) is None


@pytest.mark.parametrize("fields", [{b"m": b"nothing of ours"}, {b"m": b"2-0 chunk_delta 1 t\n{}"}])
async def test_a_stream_with_foreign_entries_gives_nothing(redis: Redis, fields: dict[bytes, bytes]) -> None:
    agent = await agent_with(redis, 2)
    await redis.xadd(agent.key, fields, id="3-0")  # type: ignore[arg-type]
    await redis.hset(keys.agent("ada"), "seq", 3)
    assert numbers(await read_agent(redis, "ada", 1)) is None
