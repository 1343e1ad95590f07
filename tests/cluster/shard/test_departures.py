"""Asking other shards for cells: one call at a time for each, and no answer is no reason to believe anything."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from cluster.messages import CellAnswer, CellRelease, CellRequest
from cluster.shard.arrivals import Arrivals
from cluster.shard.departures import Departures
from cluster.shard.neighbors import NeighborLinks
from streaming import keys
from tests.cluster.shard.parts import Ground, OtherShards
from world.ids import HALL, AgentId, ChunkId, HandoffId
from world.inputs import Denied, Granted, Input, Occupant
from world.outputs import ReleaseWanted, ReserveWanted

HERE, THERE, FAR = "chunk-1", "chunk-2", "chunk-3"


class Told:
    """A world that notes what it is told."""

    def __init__(self) -> None:
        self.inputs: list[Input] = []

    def apply(self, order: Input) -> None:
        self.inputs.append(order)


class OwnCells:
    """This shard's own cells, all of them free."""

    def __init__(self) -> None:
        self.asked: list[CellRequest] = []

    async def reserve(self, requests: Sequence[CellRequest]) -> list[CellAnswer]:
        self.asked += requests
        return [CellAnswer("reserved") for _ in requests]


class Links:
    def __init__(self) -> None:
        self.gone: list[str] = []

    def lost(self, request: ReserveWanted) -> None:
        self.gone.append(request.to_chunk)


class Scene:
    """``HERE`` is this shard's, ``THERE`` shard 1's, ``FAR`` shard 2's."""

    def __init__(self, redis: Redis, *, grant_usable_s: float = 5.0) -> None:
        self.ground = Ground()
        self.world = Told()
        self.ground.memory.world = cast("Any", self.world)
        self.own, self.links, self.others = OwnCells(), Links(), OtherShards()
        self.departures = Departures(
            redis,
            self.ground.memory,
            cast("Arrivals", self.own),
            cast("NeighborLinks", self.links),
            self.ground.tasks,
            self.others,
            reserve_timeout_s=1.0,
            grant_usable_s=grant_usable_s,
        )


@pytest.fixture
async def scene(redis: Redis) -> Scene:
    for shard, chunk_id in enumerate((HERE, THERE, FAR)):
        await cast("Any", redis).hset(keys.chunk(chunk_id), "shard", shard)
    return Scene(redis)


def wanted(number: int, to_chunk: str) -> ReserveWanted:
    return ReserveWanted(HandoffId(f"ho-{number}"), AgentId(f"a{number}"), HALL, ChunkId(to_chunk), 0, number)


async def test_requests_of_a_tick_go_in_one_call_to_each_shard_and_are_answered_each_on_its_own(scene: Scene) -> None:
    blocker = Occupant("b", 0, 3)
    scene.others.answers = {THERE: CellAnswer("reserved"), FAR: CellAnswer("blocked", blocker)}
    scene.departures.ask([wanted(1, THERE), wanted(2, THERE), wanted(3, FAR)])
    await scene.ground.settle()
    assert [(shard, len(cast("list[object]", cells))) for shard, cells in scene.others.asked] == [(1, 2), (2, 1)]
    assert scene.others.asked[1][1] == [CellRequest(HandoffId("ho-3"), AgentId("a3"), ChunkId(FAR), 0, 3)]
    assert scene.world.inputs == [
        Granted(HandoffId("ho-1"), AgentId("a1")),
        Granted(HandoffId("ho-2"), AgentId("a2")),
        Denied(HandoffId("ho-3"), AgentId("a3"), blocker),
    ]


async def test_a_chunk_that_has_come_to_this_shard_is_asked_here(scene: Scene) -> None:
    scene.departures.ask([wanted(1, HERE)])
    await scene.ground.settle()
    assert [request.chunk_id for request in scene.own.asked] == [HERE]
    assert scene.others.asked == []
    assert scene.world.inputs == [Granted(HandoffId("ho-1"), AgentId("a1"))]


async def test_a_chunk_that_has_gone_is_a_lost_link(scene: Scene) -> None:
    scene.others.answers = {THERE: CellAnswer("gone")}
    scene.departures.ask([wanted(1, "chunk-9"), wanted(2, THERE)])
    await scene.ground.settle()
    assert scene.links.gone == ["chunk-9", THERE]
    assert scene.world.inputs == []


async def test_no_answer_tells_the_core_nothing(scene: Scene) -> None:
    scene.departures.ask([wanted(1, THERE)])
    await scene.ground.settle()
    assert len(scene.others.asked) == 1
    assert scene.world.inputs == []


async def test_an_answer_that_is_too_old_is_not_built_on(redis: Redis, scene: Scene) -> None:
    late = Scene(redis, grant_usable_s=-1.0)
    late.others.answers = {THERE: CellAnswer("reserved")}
    late.departures.ask([wanted(1, THERE)])
    await late.ground.settle()
    assert len(late.others.asked) == 1
    assert late.world.inputs == []


async def test_an_answer_to_a_world_that_was_given_up_is_not_built_on(scene: Scene) -> None:
    scene.others.answers = {THERE: CellAnswer("reserved")}
    scene.others.go.clear()
    scene.departures.ask([wanted(1, THERE)])
    while not scene.others.asked:
        await asyncio.sleep(0.01)
    scene.ground.memory.outdate()
    scene.others.go.set()
    await scene.ground.settle()
    assert scene.world.inputs == []


async def test_what_is_asked_again_while_a_call_is_under_way_goes_once_in_the_next(scene: Scene) -> None:
    scene.others.answers = {THERE: CellAnswer("reserved")}
    scene.others.go.clear()
    scene.departures.ask([wanted(1, THERE)])
    while not scene.others.asked:
        await asyncio.sleep(0.01)
    for _ in range(3):
        scene.departures.ask([wanted(2, THERE)])
    while len(scene.ground.tasks.tasks) > 1:  # all but the call
        await asyncio.sleep(0.01)
    assert len(scene.others.asked) == 1
    scene.others.go.set()
    await scene.ground.settle()
    assert [len(cast("list[object]", cells)) for _, cells in scene.others.asked] == [1, 1]


async def test_a_release_goes_to_the_owner_and_never_to_ourselves(scene: Scene) -> None:
    await scene.departures.release(ReleaseWanted(HandoffId("ho-1"), ChunkId(THERE)))
    await scene.departures.release(ReleaseWanted(HandoffId("ho-2"), ChunkId(HERE)))
    await scene.departures.release(ReleaseWanted(HandoffId("ho-3"), ChunkId("chunk-9")))
    assert scene.others.asked == [(1, [CellRelease(HandoffId("ho-1"), ChunkId(THERE))])]


async def test_a_reload_drops_what_waits(scene: Scene) -> None:
    scene.others.answers = {THERE: CellAnswer("reserved")}
    scene.others.go.clear()
    scene.departures.ask([wanted(1, THERE)])
    while not scene.others.asked:
        await asyncio.sleep(0.01)
    scene.departures.ask([wanted(2, THERE)])
    while len(scene.ground.tasks.tasks) > 1:
        await asyncio.sleep(0.01)
    scene.departures.forget()
    scene.others.go.set()
    await scene.ground.settle()
    assert len(scene.others.asked) == 1
