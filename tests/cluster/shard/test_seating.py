"""Joining: an agent is seated where its record says, once, with what it owns."""

from __future__ import annotations

import asyncio
import json

import pytest

from cluster.graph import CLAIM
from cluster.messages import JoinAnswer, JoinRequest
from cluster.peers import WorldReloaded
from streaming import keys
from streaming.lua import run
from tests.cluster.shard.stage import ARRIVAL, EAST, HALL, SOURCE, START, Stage, seat
from tests.cluster.shard.test_commits import SlowJournal
from world.ids import AgentId, ChunkId
from world.inputs import Leave


async def test_an_agent_whose_record_names_another_chunk_is_not_seated(stage: Stage) -> None:
    await stage.stand("a", *START)
    await stage.walk_east()
    await stage.tick(times=2)
    assert await seat(stage.source, "a", HALL) == JoinAnswer("gone")
    assert stage.place("a") == (EAST, *ARRIVAL)
    assert await stage.findings("a") == []


async def test_an_agent_on_its_way_is_not_seated_where_it_came_from(stage: Stage) -> None:
    await stage.stand("a", *START)
    await stage.walk_east()
    await stage.tick()
    await stage.tick(SOURCE)  # gone, and not seated yet
    assert await seat(stage.source, "a", HALL) == JoinAnswer("gone")
    assert await seat(stage.target, "a", EAST) == JoinAnswer("here", ChunkId(EAST))
    assert await stage.findings("a") == []


async def test_who_is_here_is_told_its_own_chunk(stage: Stage) -> None:
    await stage.stand("a", *START)
    await stage.redis.hset(keys.chunk(EAST), "shard", SOURCE)
    assert await stage.source.loader.ensure(EAST)
    assert await seat(stage.source, "a", EAST) == JoinAnswer("here", ChunkId(HALL))


async def test_a_leave_that_is_not_committed_yet_is_seen_by_a_join(stage: Stage) -> None:
    await stage.stand("a", *START)
    await stage.walk_east()
    slow = SlowJournal(stage.source.journal)
    with slow.patch:
        stage.source.world.apply(Leave(AgentId("a")))
        leaving = asyncio.create_task(stage.source.commits.flush())
        await slow.reached.wait()
        joining = asyncio.create_task(seat(stage.source, "a", HALL))
        await asyncio.sleep(0.05)
        slow.go.set()
        await asyncio.gather(leaving, joining)
    assert await stage.results() == [("cmd-1", "failed")]
    assert await stage.findings("a") == []


async def test_two_joins_at_once_seat_once_and_say_so_once(stage: Stage) -> None:
    await stage.redis.hset(keys.agent("a"), "chunk", HALL)
    answers = await asyncio.gather(*(seat(stage.source, "a", HALL) for _ in range(5)))
    assert sorted(answer.outcome for answer in answers) == ["here"] * 4 + ["seated"]
    assert [kind for kind, _ in await stage.events()].count("agent_placed") == 1


async def test_a_seat_that_was_claimed_elsewhere_before_the_commit_is_given_up(stage: Stage) -> None:
    await stage.redis.hset(keys.agent("a"), "chunk", HALL)
    await stage.source.commits.flush()
    slow = SlowJournal(stage.source.journal)
    with slow.patch:
        joining = asyncio.create_task(seat(stage.source, "a", HALL))
        await slow.reached.wait()
        claim = CLAIM(agent=keys.agent("a"), before=HALL, chunk=EAST, id="a", presence_ms=60_000)
        claimed = await run(stage.redis, claim)
        slow.go.set()
        outcome = (await asyncio.gather(joining, return_exceptions=True))[0]
    assert claimed[0] == b"ok"
    assert isinstance(outcome, Exception)
    assert await seat(stage.target, "a", EAST) == JoinAnswer("seated", ChunkId(EAST))
    place = stage.place("a")
    assert place is not None
    assert place[0] == EAST
    assert await stage.findings("a") == []


async def test_who_stands_in_the_world_cannot_be_claimed_elsewhere(stage: Stage) -> None:
    await stage.stand("a", *START)
    claim = CLAIM(agent=keys.agent("a"), before=HALL, chunk=EAST, id="a", presence_ms=60_000)
    claimed = await run(stage.redis, claim)
    assert claimed[0] == b"here"
    assert await stage.redis.hget(keys.agent("a"), "chunk") == HALL.encode()


async def shown(stage: Stage) -> list[tuple[int, list[str], list[str]]]:
    """(tick, agents, those who joined) of every delta of the hall, as its stream has them."""
    entries = [json.loads(f[b"m"].split(b"\n", 1)[1]) for _, f in await stage.redis.xrange(keys.chunk_stream(HALL))]
    return [
        (
            delta["tick"],
            [agent["id"] for agent in delta["agents"]],
            [event["agent_id"] for event in delta["events"] if event["type"] == "agent_joined"],
        )
        for delta in entries
    ]


async def test_the_commit_that_seats_an_agent_shows_it(stage: Stage) -> None:
    """Another in the same tick is shown by the next: a chunk has one delta a tick."""
    await stage.tick(times=2)
    before, tick = len(await shown(stage)), stage.source.tick
    await stage.stand("a", *START)
    assert (await shown(stage))[before:] == [(tick, ["a"], ["a"])]
    await stage.stand("b", 40, 24)
    assert len(await shown(stage)) == before + 1
    await stage.tick()
    assert (await shown(stage))[before + 1 :] == [(tick + 1, ["a", "b"], ["b"])]


async def test_a_join_is_shown_once_though_its_shard_dies(stage: Stage) -> None:
    """A new epoch does not say again what the joining's own delta has said."""
    await stage.tick(times=2)
    await stage.stand("a", *START)
    await stage.begin(SOURCE)
    await stage.stand("b", 40, 24)
    await stage.tick()
    deltas = await shown(stage)
    assert [name for _, _, joined in deltas for name in joined] == ["a", "b"]
    ticks = [tick for tick, _, _ in deltas]
    assert ticks == sorted(set(ticks))
    assert await stage.findings("a", "b") == []


@pytest.mark.parametrize("agents", [3])
async def test_joins_are_not_remembered_for_ever(stage: Stage, agents: int) -> None:
    for number in range(agents):
        await stage.redis.hset(keys.agent(f"a{number}"), "chunk", HALL)
        await seat(stage.source, f"a{number}", HALL)
    assert len(stage.source.seating.joined_at) == agents
    for number in range(agents):
        stage.source.world.apply(Leave(AgentId(f"a{number}")))
    await stage.source.commits.flush()
    await stage.source.presence.sweep()
    assert len(stage.source.seating.joined_at) == 0
    assert stage.wires.runtimes[SOURCE] is stage.source


async def test_those_who_join_together_share_two_commits_and_each_has_an_answer(stage: Stage) -> None:
    await stage.stand("old", *START)
    for name in ("a", "b", "c"):
        await stage.redis.hset(keys.agent(name), "chunk", HALL)
    before = stage.source.stats.commits
    joins = [
        JoinRequest(AgentId(name), ChunkId(chunk_id))
        for name, chunk_id in (
            ("a", HALL),
            ("old", HALL),
            ("b", "chunk-99"),
            ("stranger", HALL),
            ("c", HALL),
            ("a", HALL),
        )
    ]
    answers = await stage.source.seating.join(joins)
    assert [answer.outcome for answer in answers] == ["seated", "here", "gone", "gone", "seated", "here"]
    assert stage.source.stats.commits <= before + 2
    assert await stage.findings("a", "c", "old") == []


async def test_a_seat_claimed_elsewhere_undoes_all_that_joined_with_it_and_they_may_try_again(stage: Stage) -> None:
    for name in ("a", "b"):
        await stage.redis.hset(keys.agent(name), "chunk", HALL)
    await stage.source.commits.flush()
    slow = SlowJournal(stage.source.journal)
    joins = [JoinRequest(AgentId(name), ChunkId(HALL)) for name in ("a", "b")]
    with slow.patch:
        joining = asyncio.create_task(stage.source.seating.join(joins))
        await slow.reached.wait()
        await stage.redis.hset(keys.agent("a"), "chunk", EAST)
        slow.go.set()
        with pytest.raises(WorldReloaded):
            await joining
    assert [answer.outcome for answer in await stage.source.seating.join(joins)] == ["gone", "seated"]
    assert await seat(stage.target, "a", EAST) == JoinAnswer("seated", ChunkId(EAST))
    assert await stage.findings("a", "b") == []
