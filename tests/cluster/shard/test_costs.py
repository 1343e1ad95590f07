"""What a chunk costs its shard: the whole is split by what was done for each, and smoothed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cluster.local import LocalWorld
from cluster.messages import SHARD_LOAD, ChunkLoad
from cluster.shard.config import ShardConfig
from cluster.shard.costs import CHUNKS_MOST, CROSSINGS_MOST, SMOOTH_S, ChunkCosts
from tests.cluster.worlds import player, until
from world.ids import AgentId, ChunkId, Tick
from world.outputs import ChunkDelta, Output, PrivateEvent
from world.rules import Rules

SECOND = 1_000_000_000
MS = 1_000_000
HERE, THERE, FAR = ChunkId("chunk-0"), ChunkId("chunk-1"), ChunkId("chunk-2")


def output(agents: dict[ChunkId, int], crossings: Sequence[tuple[ChunkId, ChunkId]] = ()) -> Output:
    """A tick in which so many agents are shown in each chunk, and some cross."""
    deltas = [ChunkDelta(name, Tick(1), {"agents": [{}] * count}) for name, count in agents.items()]
    events = [
        PrivateEvent(AgentId("a"), "chunk_transition", {"from_chunk_id": source, "to_chunk_id": target}, "t")
        for source, target in crossings
    ]
    return Output(Tick(1), deltas=deltas, private=events)


class Shard:
    """Costs with a clock that the test moves on."""

    def __init__(self) -> None:
        self.now = self.cpu = 0
        self.costs = ChunkCosts(0, 0)
        self.held: Callable[[ChunkId], bool] = lambda _: True

    def second(self, agents: dict[ChunkId, int], *, step_ms: int = 0, commit_ms: int = 0, **more: Any) -> None:
        """A second in which each of these agents is shown once."""
        self.costs.stepped(step_ms * MS)
        sizes = [(name, 100 * count) for name, count in agents.items()]
        self.costs.committed(output(agents, **more), sizes, encode_ns=0, commit_ns=commit_ms * MS)
        self.pass_by()

    def pass_by(self, cpu_ms: int = 0) -> None:
        self.now += SECOND
        self.cpu += cpu_ms * MS
        self.costs.roll(self.now, lambda: self.cpu, self.held)

    def loads(self) -> dict[ChunkId, ChunkLoad]:
        return {load.chunk_id: load for load in self.costs.costliest(lambda _: 0)[0]}


def test_a_step_and_a_commit_are_split_by_what_they_showed_and_wrote() -> None:
    shard = Shard()
    shard.second({HERE: 29, THERE: 9}, step_ms=4, commit_ms=38)
    loads = shard.loads()
    assert (loads[HERE].cost_us, loads[HERE].commit_us) == (3_000, 29_000)
    assert (loads[THERE].cost_us, loads[THERE].commit_us) == (1_000, 9_000)
    assert (loads[HERE].bytes_per_s, loads[THERE].bytes_per_s) == (2_900, 900)


def test_decisions_are_split_by_commands_and_those_of_nobody_here_count_for_no_chunk() -> None:
    shard = Shard()
    shard.costs.decided([HERE, HERE, HERE, THERE, None], 8 * MS)
    shard.pass_by()
    loads = shard.loads()
    assert (loads[HERE].cost_us, loads[THERE].cost_us) == (6_000, 2_000)
    assert (loads[HERE].commands_per_s, loads[THERE].commands_per_s) == (3, 1)


def test_the_sum_over_chunks_is_what_was_spent() -> None:
    shard = Shard()
    for number in range(20):
        shard.costs.decided([HERE] * (number % 3) + [THERE], 2 * MS)
        shard.second({HERE: 1 + number % 5, THERE: 3, FAR: number % 2}, step_ms=5, commit_ms=3)
    assert sum(load.cost_us for load in shard.loads().values()) == pytest.approx(7_000, abs=3)
    assert sum(load.commit_us for load in shard.loads().values()) == pytest.approx(3_000, abs=3)


def test_crossings_are_counted_at_the_chunk_that_is_left_by_where_they_lead() -> None:
    shard = Shard()
    shard.second({HERE: 1, THERE: 1}, crossings=[(HERE, THERE), (HERE, THERE), (HERE, FAR), (THERE, HERE)])
    loads = shard.loads()
    assert loads[HERE].crossings == {THERE: 2, FAR: 1}
    assert loads[THERE].crossings == {HERE: 1}


def test_a_young_chunk_has_the_mean_of_all_its_time_and_an_old_one_that_of_late() -> None:
    shard = Shard()
    for spent_ms in (10, 20, 30):
        shard.second({HERE: 1}, step_ms=spent_ms)
    assert shard.loads()[HERE].cost_us == pytest.approx(20_000, rel=0.1)
    for _ in range(int(5 * SMOOTH_S)):
        shard.second({HERE: 1}, step_ms=60)
    assert shard.loads()[HERE].cost_us == pytest.approx(60_000, rel=0.02)


def test_a_chunk_that_was_given_away_or_in_which_nothing_happens_any_more_is_forgotten() -> None:
    shard = Shard()
    shard.second({HERE: 5, THERE: 5}, step_ms=4, crossings=[(HERE, THERE)])
    shard.held = lambda name: name != THERE
    shard.second({HERE: 5}, step_ms=4)
    assert set(shard.loads()) == {HERE}
    for _ in range(int(20 * SMOOTH_S)):
        shard.pass_by()
    assert shard.loads() == {}


def test_the_share_of_a_core_is_that_of_the_process() -> None:
    shard = Shard()
    for _ in range(int(5 * SMOOTH_S)):
        shard.pass_by(cpu_ms=250)
    assert shard.costs.cpu == pytest.approx(0.25)
    assert shard.costs.age_s(shard.now) == 5 * SMOOTH_S


def test_a_report_is_bounded_and_what_is_left_out_is_told_as_a_sum() -> None:
    shard = Shard()
    names = [ChunkId(f"chunk-{number}") for number in range(CHUNKS_MOST + 100)]
    ways = [(name, ChunkId(f"chunk-{number}")) for name in names for number in range(20)]
    shard.second(dict.fromkeys(names, 9), step_ms=1_000, crossings=ways)
    listed, rest_us = shard.costs.costliest(lambda _: 9)
    assert len(listed) == CHUNKS_MOST
    assert rest_us == pytest.approx(1_000_000 * 100 / len(names), rel=0.01)
    assert max(len(load.crossings) for load in listed) == CROSSINGS_MOST


async def test_a_shard_tells_what_its_chunks_cost_and_where_their_agents_go(redis: Any) -> None:
    async with LocalWorld(redis, shards=1, seed=1, config=ShardConfig(tick_hz=50.0), rules=Rules(demo=False)) as world:
        walkers = [await player(world, f"a{number}") for number in range(3)]
        for number, one in enumerate(walkers):
            await one.move(25, 40 + number)
        assert (await walkers[0].move(25, 49))["status"] == "completed"  # into another chunk
        runtime = world.shards.runtimes[0]

        async def rolled() -> bool:
            return any(chunk.crossings for chunk in runtime.load_report().costliest)

        await until(rolled, "the second that is over in which one has crossed")
        load = SHARD_LOAD.unpack(SHARD_LOAD.pack(runtime.load_report()))
        assert (load.shard, load.agents, load.chunks) == (0, 3, 2)
        assert load.age_s > 0
        assert load.tick_p99_ms > 0
        assert load.lag_p99_ms > 0
        chunks = {chunk.chunk_id: chunk for chunk in load.costliest}
        assert set(chunks[HERE].crossings) == set(chunks) - {HERE}
        assert chunks[HERE].cost_us > 0
        assert chunks[HERE].commands_per_s > 0
        assert (chunks[HERE].agents, sum(chunk.agents for chunk in load.costliest)) == (2, 3)
