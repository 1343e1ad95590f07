"""Journeys through a small world: over chunks, round others, bounded, cancelled, and how each ends."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

import chunkcrawl.journeys.journey as module
from chunkcrawl.errors import Busy, InvalidCommand, OutcomeUnknown, RanDry, TakenOver
from chunkcrawl.journeys.journey import Journey
from chunkcrawl.journeys.outcomes import (
    Arrived,
    Explored,
    Harvested,
    LostSight,
    NoGold,
    NoWay,
    Outcome,
    StillFollowing,
    TimedOut,
)
from chunkcrawl.wire.protocol import Completed
from tests.sdk.journeys.small_world import DEAD_END, SmallChunk, SmallWorld

pytestmark = pytest.mark.timeout(20)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", (0.0, 0.0))
    monkeypatch.setattr(module, "SIGHT_S", 0.05)


def row() -> SmallWorld:
    """Three chunks from west to east, all known to the map; the agent is back in ``a``."""
    world = SmallWorld(
        a=SmallChunk({"E": "b"}), b=SmallChunk({"W": "a", "E": "c"}), c=SmallChunk({"W": "b"}, gold={"g": 5})
    )
    asyncio.run(see_all(world))
    return world


async def see_all(world: SmallWorld) -> None:
    for x, y in ((6, 3), (6, 3), (1, 3), (0, 3), (1, 3), (0, 3), (3, 3)):
        await world.move_to(x, y)
    assert world.here == "a"
    world.commands.clear()


def journey(world: SmallWorld, **more: Any) -> Journey:
    return Journey(world, rng=random.Random(1), **more)


def test_go_to_passes_door_after_door() -> None:
    world = row()
    end = asyncio.run(journey(world).go_to("c", 2, 4, None))
    assert (end, world.here, world.cell) == (Arrived("c", 2, 4), "c", (2, 4))
    assert end.ok
    assert str(end) == "arrived at c:2,4"
    assert len(world.commands) == 3
    assert asyncio.run(journey(world).go_to("c", 2, 4, None)) == end
    assert len(world.commands) == 3


def test_go_to_turns_at_the_door_it_came_in_by() -> None:
    """Whoever has just come in stands on the door, which is one cell wide here, and steps inside first."""
    world = row()
    asyncio.run(world.move_to(6, 3))
    assert world.cell == (0, 3)
    assert asyncio.run(journey(world).go_to("a", 1, 1, None)) == Arrived("a", 1, 1)


def test_go_to_waits_for_a_door_to_be_free_and_plans_anew() -> None:
    world = row()
    world.chunks["a"].others = {"fat": (6, 3)}
    world.chunks["b"].others = {"fat": (3, 3)}
    world.show()
    tries = 0

    def before(_: int) -> None:
        nonlocal tries
        tries += 1

    world.before = before

    async def play() -> Outcome:
        going = asyncio.create_task(journey(world).go_to("b", 3, 3, None))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not going.done()
        world.chunks["a"].others = {}
        world.show()
        while world.here == "a":
            await asyncio.sleep(0)
        world.chunks["b"].others = {}
        world.show()
        return await going

    assert asyncio.run(play()) == Arrived("b", 3, 3)
    assert tries <= 6


@pytest.mark.parametrize("error", [Busy("busy"), OutcomeUnknown("lost")])
def test_what_may_go_better_is_tried_again(error: Exception) -> None:
    world = row()

    def before(number: int) -> None:
        if number == 0:
            world.commands.append(("failed",))
            raise error

    world.before = before
    assert asyncio.run(journey(world).go_to("a", 1, 1, None)) == Arrived("a", 1, 1)


@pytest.mark.parametrize("error", [TakenOver("gone"), InvalidCommand("invalid_cmd")])
def test_what_can_not_go_better_ends_it(error: Exception) -> None:
    world = row()

    def before(_: int) -> None:
        raise error

    world.before = before
    with pytest.raises(type(error)):
        asyncio.run(journey(world).go_to("c", 1, 1, None))


@pytest.mark.parametrize(
    ("chunk", "x", "y", "why"),
    [
        ("a", 0, 0, "wall"),
        ("a", 70, -3, "wall"),
        ("c", 0, 0, "wall"),
        ("a", 0, 3, "boundary"),
        ("nowhere", 1, 1, "unknown_chunk"),
    ],
)
def test_where_no_way_leads(chunk: str, x: int, y: int, why: str) -> None:
    end = asyncio.run(journey(row()).go_to(chunk, x, y, None))
    assert isinstance(end, NoWay)
    assert (end.why, end.ok) == (why, False)


def test_a_chunk_that_was_collected_is_no_aim() -> None:
    world = row()
    world.map.mark_gone("c")
    end = asyncio.run(journey(world).go_to("c", 1, 1, None))
    assert isinstance(end, NoWay)
    assert end.why == "chunk_gone"


def test_a_chunk_that_is_found_gone_on_the_way_is_no_aim() -> None:
    """The door in ``b`` leads to another chunk by the time the agent gets there."""
    world = row()
    world.chunks["b"].neighbors["E"] = "d"
    world.chunks["d"] = SmallChunk({"W": "b"})
    end = asyncio.run(journey(world).go_to("c", 1, 1, None))
    assert isinstance(end, NoWay)
    assert (end.why, end.chunk_id) == ("chunk_gone", "b")


def test_somebody_who_never_moves_is_a_crowd() -> None:
    world = row()
    world.chunks["a"].others = {"fat": (1, 1)}
    world.show()
    end = asyncio.run(journey(world).go_to("a", 1, 1, None))
    assert isinstance(end, NoWay)
    assert end.why == "crowded"
    assert "20 times" in str(end)


def test_the_time_is_a_limit() -> None:
    world = row()
    world.chunks["a"].others = {"fat": (1, 1)}
    world.show()
    assert asyncio.run(journey(world).go_to("a", 1, 1, 0.0)) == TimedOut("a", 3, 3)


def test_walks_are_no_longer_than_their_stride() -> None:
    world = row()
    asyncio.run(journey(world, stride=2).go_to("a", 1, 1, None))
    assert len(world.commands) == 2
    assert world.cell == (1, 1)


def test_explore_enters_new_chunks_nearest_first() -> None:
    world = row()
    end = asyncio.run(journey(world).explore(4, None))
    assert isinstance(end, Explored)
    assert len(set(end.found)) == 4
    assert set(end.found) == {chunk for chunk in world.chunks if chunk.startswith("new-")}
    assert (end.chunk_id, len(world.map.chunks)) == (end.found[-1], 7)
    assert len(world.commands) <= 10


def test_explore_ends_where_all_doors_are_known() -> None:
    world = SmallWorld(a=SmallChunk({"N": "b"}, ["#######", *DEAD_END[::-1][1:]]))
    world.chunks["a"].tiles = ["#######", "#.....#", "#.....#", "#.....#", "#.....#", "#.....#", "###.###"]
    world.chunks["b"] = SmallChunk({"S": "a"}, list(DEAD_END))
    world._enter()
    world.map.chunks.clear()
    world._enter()
    end = asyncio.run(journey(world).explore(2, None))
    assert isinstance(end, NoWay)
    assert (end.why, end.chunk_id) == ("closed", "b")


def test_explore_tells_what_it_found_before_the_time_was_up() -> None:
    world = row()
    walk = world.move_to

    async def stuck_after_two(x: int, y: int) -> Completed:
        if len(world.chunks) == 5:
            await asyncio.Event().wait()
        return await walk(x, y)

    world.move_to = stuck_after_two  # type: ignore[method-assign]
    end = asyncio.run(journey(world).explore(9, 0.2))
    assert isinstance(end, TimedOut)
    assert end.found == ("new-3", "new-4")


def test_gold_is_taken_from_the_nearest_node() -> None:
    world = SmallWorld(a=SmallChunk({}, gold={"g": 5}))
    assert asyncio.run(journey(world).harvest(None, None, explore=False)) == Harvested("a", 1, 1, 5)
    assert world.commands == [("move_to", 1, 1), ("harvest", "g")]


def test_no_more_gold_is_taken_than_was_asked_for() -> None:
    world = SmallWorld(a=SmallChunk({}, gold={"g": 50}))
    end = asyncio.run(journey(world).harvest(3, None, explore=False))
    assert isinstance(end, Harvested)
    assert 3 <= end.amount < 50


def test_gold_that_the_map_knows_of_is_fetched() -> None:
    world = row()
    assert asyncio.run(journey(world).harvest(4, None, explore=False)) == Harvested("c", 1, 1, world.gold)
    assert 4 <= world.gold <= 5


def test_gold_is_looked_for_in_new_chunks_if_one_says_so() -> None:
    world = SmallWorld(a=SmallChunk({}))
    world.make = lambda number: SmallChunk({}, gold={f"g{number}": 2})
    end = asyncio.run(journey(world).harvest(5, None, explore=True))
    assert isinstance(end, Harvested)
    assert end.amount in (5, 6)
    assert len(world.chunks) == 4


def test_where_somebody_else_took_the_last_of_it_gold_is_looked_for_elsewhere() -> None:
    world = SmallWorld(a=SmallChunk({}, gold={"g": 2}))
    world.make = lambda number: SmallChunk({}, gold={f"g{number}": 2})

    def before(_: int) -> None:
        if world.here == "a" and world.view.position == (1, 1) and world.chunks["a"].gold["g"]:
            world.chunks["a"].gold["g"] = 0
            world.show()
            raise RanDry("depleted")

    world.before = before
    assert asyncio.run(journey(world).harvest(2, None, explore=True)) == Harvested("new-1", 1, 1, 2)


def test_without_gold_it_says_what_was_taken() -> None:
    world = SmallWorld(a=SmallChunk({}, gold={"g": 2}))
    assert asyncio.run(journey(world).harvest(9, None, explore=False)) == NoGold("a", 1, 1, 2)


def test_follow_stays_near_and_goes_through_doors() -> None:
    world = row()
    world.chunks["a"].others = {"guide": (5, 5)}
    world.show()

    async def play() -> Outcome:
        following = asyncio.create_task(journey(world).follow("guide", 1, 2.0))
        while abs(world.cell[0] - 5) + abs(world.cell[1] - 5) > 1:
            await asyncio.sleep(0)
        world.chunks["a"].others = {"guide": (5, 3)}
        world.show()
        while abs(world.cell[0] - 5) + abs(world.cell[1] - 3) > 1:
            await asyncio.sleep(0)
        world.chunks["b"].others = {"guide": (3, 5)}
        world.chunks["a"].others = {}
        world.show()
        while (world.here, abs(world.cell[0] - 3) + abs(world.cell[1] - 5)) not in (("b", 0), ("b", 1)):
            await asyncio.sleep(0)
        return await following

    assert asyncio.run(play()) == StillFollowing("b", *world.cell, "guide")


@pytest.mark.parametrize("others", [{}, {"guide": (2, 2)}])
def test_somebody_who_vanishes_is_lost(others: dict[str, tuple[int, int]]) -> None:
    world = row()
    world.chunks["a"].others = others
    world.show()

    async def play() -> Outcome:
        following = asyncio.create_task(journey(world).follow("guide", 1, None))
        await asyncio.sleep(0.01)
        world.chunks["a"].others = {}
        world.show()
        return await following

    end = asyncio.run(play())
    assert isinstance(end, LostSight)
    assert "lost sight of guide" in str(end)


def test_a_journey_can_be_cancelled() -> None:
    world = row()
    world.chunks["a"].others = {"fat": (1, 1)}
    world.show()

    async def play() -> int:
        going = asyncio.create_task(journey(world).go_to("a", 1, 1, None))
        await asyncio.sleep(0)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        return len(world.commands)

    assert asyncio.run(play()) == 0
