"""The target's side of a crossing: what is reserved stays reserved until Redis says that nobody can come."""

from __future__ import annotations

import asyncio
from unittest.mock import patch

import pytest

from cluster.messages import CellAnswer, CellRelease, CellRequest
from cluster.shard.arrivals import EXPIRE
from streaming import keys
from tests.cluster.shard.stage import ARRIVAL, EAST, SOURCE, START, TARGET, Stage
from world.ids import AgentId, ChunkId, ServerCmdId, handoff_name

HANDOFF = handoff_name(AgentId("a"), ServerCmdId("cmd-1"))
REQUEST = CellRequest(HANDOFF, AgentId("a"), ChunkId(EAST), *ARRIVAL)


async def at_the_border(stage: Stage) -> None:
    """``a`` stands before its last step, its cell is reserved and it has been told so."""
    await stage.stand("a", *START)
    await stage.walk_east()
    await stage.tick()


def due(stage: Stage) -> None:
    """Let the time of every reservation be up on the target's clock."""
    for reservation in stage.target.reservations:
        reservation.look_at = 0.0


async def run_out(stage: Stage) -> None:
    """Let the time of every reservation be up on Redis' clock."""
    for cell, reservation in (await stage.redis.hgetall(keys.reservations(EAST))).items():
        await stage.redis.hset(keys.reservations(EAST), cell, reservation.split(b" ")[0] + b" 1")


async def test_a_crossing_between_shards_leaves_nothing_behind(stage: Stage) -> None:
    await at_the_border(stage)
    await stage.tick()
    assert stage.place("a") == (EAST, *ARRIVAL)
    assert await stage.results() == [("cmd-1", "completed")]
    assert not await stage.redis.exists(keys.inbox(EAST), keys.reservations(EAST))
    assert len(stage.target.reservations) == 0
    assert await stage.findings("a") == []


async def test_a_reservation_renewed_while_the_old_one_is_looked_at_still_seats_its_arrival(stage: Stage) -> None:
    await at_the_border(stage)
    await run_out(stage)
    due(stage)

    async def ask_again() -> None:
        assert await stage.target.arrivals.reserve([REQUEST]) == [CellAnswer("reserved")]

    stage.meddled[TARGET].after(EXPIRE, ask_again)
    await stage.tick(TARGET)
    await stage.tick(SOURCE)
    await stage.tick(TARGET)
    assert stage.place("a") == (EAST, *ARRIVAL)
    assert await stage.findings("a") == []


async def test_a_reservation_that_is_not_in_the_journal_yet_is_not_looked_for_there(stage: Stage) -> None:
    await at_the_border(stage)
    await run_out(stage)
    due(stage)
    real, hold = stage.target.journal.commit, asyncio.Event()

    async def slow(batch: object) -> None:
        await hold.wait()
        await real(batch)  # type: ignore[arg-type]

    with patch.object(stage.target.journal, "commit", slow):
        renewing = asyncio.create_task(stage.target.arrivals.reserve([REQUEST]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        releasing = asyncio.create_task(stage.target.arrivals.release([CellRelease(HANDOFF, ChunkId(EAST))]))
        await asyncio.sleep(0.05)
        hold.set()
        await asyncio.gather(renewing, releasing)
    reserved = await stage.redis.hkeys(keys.reservations(EAST))
    assert len(reserved) == len(stage.target.reservations), "what Redis holds and what memory holds differ"


async def test_a_reservation_that_ran_out_is_freed_and_the_source_asks_again(stage: Stage) -> None:
    await at_the_border(stage)
    await run_out(stage)
    due(stage)
    await stage.tick(TARGET)
    assert len(stage.target.reservations) == 0
    assert not await stage.redis.exists(keys.reservations(EAST))
    await stage.tick(SOURCE)  # refused: it goes back and asks again
    assert stage.source.stats.reloads == 1
    await stage.tick(times=3)
    assert stage.place("a") == (EAST, *ARRIVAL)
    assert await stage.results() == [("cmd-1", "completed")]


async def test_a_reservation_whose_arrival_is_in_the_inbox_is_kept(stage: Stage) -> None:
    await at_the_border(stage)
    await stage.tick(SOURCE)
    await run_out(stage)
    for reservation in stage.target.reservations:
        await stage.target.arrivals._expire(reservation, given_up=True)
    assert len(stage.target.reservations) == 1
    await stage.tick(TARGET)
    assert stage.place("a") == (EAST, *ARRIVAL)


async def test_a_release_frees_only_the_chunk_that_it_names(stage: Stage) -> None:
    await at_the_border(stage)
    await stage.target.arrivals.release([CellRelease(HANDOFF, ChunkId("chunk-7"))])
    assert len(stage.target.reservations) == 1
    await stage.target.arrivals.release([CellRelease(HANDOFF, ChunkId(EAST))])
    assert len(stage.target.reservations) == 0
    assert not await stage.redis.exists(keys.reservations(EAST))


async def test_a_seat_clears_no_reservation_of_somebody_else(stage: Stage) -> None:
    await at_the_border(stage)
    await stage.tick(SOURCE)
    await stage.redis.hset(keys.reservations(EAST), "0,24", "another 99999999999999")
    await stage.tick(TARGET)
    assert await stage.redis.hkeys(keys.inbox(EAST)) == []
    assert await stage.redis.hkeys(keys.reservations(EAST)) == [b"0,24"]


@pytest.mark.parametrize("when", ["reserved", "under way", "seated"])
async def test_a_new_life_of_the_target_takes_up_reservations_and_arrivals(stage: Stage, when: str) -> None:
    await at_the_border(stage)
    if when != "reserved":
        await stage.tick(SOURCE)
    if when == "seated":
        await stage.tick(TARGET)
    await stage.begin(TARGET)
    await stage.tick()
    assert stage.place("a") == (EAST, *ARRIVAL)
    assert await stage.results() == [("cmd-1", "completed")]
    assert not await stage.redis.exists(keys.inbox(EAST), keys.reservations(EAST))
    assert await stage.findings("a") == []


@pytest.mark.parametrize("when", ["accepted", "asked", "granted", "gone"])
async def test_a_new_life_of_the_source_goes_on_with_the_crossing(stage: Stage, when: str) -> None:
    await stage.stand("a", *START)
    await stage.walk_east()
    if when == "asked":
        stage.wires.cut.add("reserve")
    if when != "accepted":
        await stage.tick()
    if when == "gone":
        await stage.tick(SOURCE)
    stage.wires.cut.clear()
    await stage.begin(SOURCE)
    await stage.tick(times=4)
    assert stage.place("a") == (EAST, *ARRIVAL)
    assert await stage.results() == [("cmd-1", "completed")]
    assert await stage.findings("a") == []
