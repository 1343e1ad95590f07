"""Carrying moves out: on shards of this process with agents that play, with failures, and with kills at each point."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from cluster import balancer as balancing
from cluster import graph, move_log
from cluster.balance.planner import BUSY_FOR_S, BalanceRules
from cluster.balancer import AT_ONCE, PAUSE_FIRST_S, Balancer
from cluster.local import LocalWorld
from cluster.messages import ChunkLoad, ShardLoad
from cluster.move_log import OVERDUE_MS
from cluster.peers import ShardUnavailable, WorldReloaded
from cluster.pins import pin, read_pins
from cluster.shard.config import ShardConfig
from streaming import keys
from tests.cluster.worlds import player, settled
from world.ids import ChunkId, chunk_name, shard_of
from world.rules import Rules

RULES = BalanceRules(1.2, 60)
CHUNKS = 12


class Clock:
    """The shared clock and the monotonic one, moved on by hand."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def now_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(balancing, "now_ms", made.now_ms)
    monkeypatch.setattr(balancing, "monotonic", made.monotonic)
    return made


class Shards:
    """Shards that give chunks in their hashes alone, unless told otherwise."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.given: list[tuple[int, str, int]] = []
        #: Is called instead of giving the next chunks, one each; what it returns is the answer.
        self.instead: list[Callable[[str, int], Any]] = []
        self.at_once = self.at_once_most = 0
        self._busy: set[int] = set()

    def shard(self, number: int, *, timeout_s: float) -> Any:
        assert timeout_s * 1000 < OVERDUE_MS
        shards = self

        class One:
            async def give(self, chunk_id: str, to_shard: int) -> float | None:
                return await shards._give(number, chunk_id, to_shard)

        return One()

    async def _give(self, number: int, chunk_id: str, to_shard: int) -> float | None:
        assert number not in self._busy, "one shard gives one after the other"
        self._busy.add(number)
        self.at_once += 1
        self.at_once_most = max(self.at_once_most, self.at_once)
        try:
            await asyncio.sleep(0.001)
            if self.instead:
                answer: float | None = await self.instead.pop(0)(chunk_id, to_shard)
                return answer
            return await self.give(number, chunk_id, to_shard)
        finally:
            self.at_once -= 1
            self._busy.discard(number)

    async def give(self, number: int, chunk_id: str, to_shard: int) -> float | None:
        self.given.append((number, chunk_id, to_shard))
        await self.redis.hset(keys.chunk(chunk_id), "shard", str(to_shard))
        return 0.0015


@pytest.fixture
async def world(redis: Redis) -> Redis:
    """Two shards; shard 0 has all chunks but one."""
    await graph.init_world(redis, seed=1, shard_count=2)
    for number in range(CHUNKS):
        await redis.sadd(keys.CHUNKS, chunk_name(number))
        await redis.hset(keys.chunk(chunk_name(number)), "shard", str(int(number == 0)))
    return redis


async def owners(redis: Redis) -> Counter[int]:
    return Counter((await graph.chunk_owners(redis)).values())


async def reports(redis: Redis, each_us: int = 50_000) -> list[ShardLoad]:
    """What shards would say of chunks that cost this much each."""
    found = await graph.chunk_owners(redis)
    loads = []
    for shard in sorted({0, 1, *found.values()}):
        chunks = [ChunkLoad(name, 9, each_us, 0, 0.0, {}) for name, owner in found.items() if owner == shard]
        cpu = sum(chunk.cost_us for chunk in chunks) / 1e6
        loads.append(ShardLoad(shard, 60.0, cpu, 0.0, 0.0, 0, len(chunks), 0, chunks, 0))
    return loads


async def passes(balancer: Balancer, redis: Redis, clock: Clock, seconds: float) -> None:
    """The coordinator's passes for so long."""
    end = clock.now_s + seconds
    while clock.now_s < end:
        await balancer.run(await reports(redis))
        clock.now_s += 2


async def test_a_busy_shard_gives_chunks_to_an_idle_one_and_each_is_explained(world: Redis, clock: Clock) -> None:
    shards = Shards(world)
    balancer = Balancer(world, shards, RULES)
    await passes(balancer, world, clock, BUSY_FOR_S + 4)
    assert sorted((await owners(world)).values()) in ([5, 7], [6, 6])
    records = await move_log.read_moves(world)
    assert {(record.chunk_id, record.from_shard, record.to_shard) for record in records} == {
        (chunk_id, giver, taker) for giver, chunk_id, taker in shards.given
    }
    assert {(record.why, record.outcome, record.pause_ms) for record in records} == {("load", "moved", 1.5)}
    assert all(record.words.startswith("chunks of shard-0 cost ") for record in records)
    assert not await world.exists(keys.MOVES_UNDER_WAY)
    families = {family.name: family.samples for family in balancer.families()}
    assert families["balance_moves_total"]['balance_moves_total{why="load",outcome="moved"}'] == len(records)
    assert balancer.window().count == len(records)
    described = balancer.describe()
    loads = described.pop("loads")
    assert described == {"on": True, "imbalance": 1.0, "paused_s": 0.0}
    assert loads == {"0": pytest.approx(0.3, abs=0.06), "1": pytest.approx(0.3, abs=0.06)}
    assert families["balance_load_cores"] == {
        f'balance_load_cores{{shard="{shard}"}}': load for shard, load in loads.items()
    }
    moved = len(shards.given)
    await passes(balancer, world, clock, 120)
    assert len(shards.given) == moved


async def test_an_operators_word_balances_at_once_and_after_a_failure_too(world: Redis, clock: Clock) -> None:
    shards = Shards(world)
    balancer = Balancer(world, shards, RULES)
    await world.set(keys.REBALANCE, "1")
    shards.instead = [reloaded]
    await balancer.run(await reports(world))
    assert balancer.describe()["paused_s"] == PAUSE_FIRST_S
    assert not await world.exists(keys.REBALANCE), "a word is for one round"
    await balancer.run(await reports(world))
    assert shards.given == []
    await world.set(keys.REBALANCE, "1")
    await balancer.run(await reports(world))
    assert len(shards.given) > 0


async def test_what_is_pinned_stays_and_pins_of_chunks_that_are_gone_are_forgotten(world: Redis, clock: Clock) -> None:
    shards = Shards(world)
    pinned = {chunk_name(number) for number in range(1, 9)}
    for name in pinned:
        await pin(world, name)
    await world.sadd(keys.PINS, "chunk-999")
    await passes(Balancer(world, shards, RULES), world, clock, BUSY_FOR_S + 4)
    assert shards.given
    assert not pinned & {chunk_id for _, chunk_id, _ in shards.given}
    assert (await read_pins(world)).chunks == pinned
    await pin(world, "shard-1")
    shards.given.clear()
    await passes(Balancer(world, shards, RULES), world, clock, 120)
    assert shards.given == []


async def test_a_closed_shard_is_given_nothing_and_gives_nothing(world: Redis, clock: Clock) -> None:
    shards = Shards(world)
    balancer = Balancer(world, shards, RULES)
    balancer.closed = [1]
    await passes(balancer, world, clock, 60)
    balancer.closed, balancer.emptied = [0], [0]
    await passes(balancer, world, clock, 60)
    assert shards.given == []


async def test_shards_beyond_the_number_and_those_to_be_emptied_give_all_a_few_at_once(
    redis: Redis, clock: Clock
) -> None:
    await graph.init_world(redis, seed=1, shard_count=3)
    for number in range(80):
        await redis.sadd(keys.CHUNKS, chunk_name(number))
        await redis.hset(keys.chunk(chunk_name(number)), "shard", str(number % 8))
    shards = Shards(redis)
    balancer = Balancer(redis, shards, RULES)
    balancer.emptied = [2]
    assert await balancer.misplaced() == 60
    await balancer.run([])
    clock.now_s += 2
    await balancer.run([])
    assert set(await owners(redis)) == {0, 1}
    assert await balancer.misplaced() == 0
    assert 1 < shards.at_once_most <= AT_ONCE
    assert balancer.progress.describe() == {"to_move": 0, "moved": 60, "refused": 0, "longest_pause_ms": 1.5}


async def test_without_balancing_chunks_are_where_the_hash_names(world: Redis, clock: Clock) -> None:
    shards = Shards(world)
    balancer = Balancer(world, shards, None)
    await pin(world, "chunk-3")
    wrong = {name for name, owner in (await graph.chunk_owners(world)).items() if owner != shard_of(name, 2)}
    assert await balancer.misplaced() == len(wrong - {"chunk-3"})
    await balancer.run(await reports(world))
    assert {chunk_id for _, chunk_id, _ in shards.given} == wrong - {"chunk-3"}
    assert await balancer.misplaced() == 0
    assert {record.why for record in await move_log.read_moves(world)} == {"hash"}
    assert balancer.describe()["on"] is False


async def unavailable(chunk_id: str, to_shard: int) -> float:
    raise ShardUnavailable("away")


async def reloaded(chunk_id: str, to_shard: int) -> float:
    raise WorldReloaded


async def not_its(chunk_id: str, to_shard: int) -> None:
    return None


@pytest.mark.parametrize("fails", [unavailable, reloaded])
async def test_after_a_failure_nothing_moves_for_a_while_and_each_time_for_longer(
    world: Redis, clock: Clock, fails: Any
) -> None:
    shards = Shards(world)
    balancer = Balancer(world, shards, RULES)
    await passes(balancer, world, clock, BUSY_FOR_S)
    shards.instead = [fails]
    await balancer.run(await reports(world))
    assert shards.given == [], "those that had not begun do not"
    assert balancer.describe()["paused_s"] == PAUSE_FIRST_S
    clock.now_s += PAUSE_FIRST_S - 1
    await balancer.run(await reports(world))
    assert shards.given == []
    clock.now_s += 1
    shards.instead = [fails]
    while not balancer.describe()["paused_s"]:
        clock.now_s += 2
        await balancer.run(await reports(world))
    assert balancer.describe()["paused_s"] == 2 * PAUSE_FIRST_S
    clock.now_s += 2 * PAUSE_FIRST_S
    await passes(balancer, world, clock, 30)
    assert sorted((await owners(world)).values()) in ([5, 7], [6, 6])
    failed = [record for record in await move_log.read_moves(world) if record.outcome == "failed"]
    assert len(failed) == 2
    assert not await world.exists(keys.MOVES_UNDER_WAY)


async def test_a_chunk_that_is_not_its_shards_any_more_holds_the_others_not_up(world: Redis, clock: Clock) -> None:
    shards = Shards(world)
    shards.instead = [not_its]
    balancer = Balancer(world, shards, RULES)
    await passes(balancer, world, clock, BUSY_FOR_S + 2)
    assert len(shards.given) >= 3
    assert balancer.describe()["paused_s"] == 0
    assert [record.outcome for record in await move_log.read_moves(world)].count("failed") == 1


async def test_a_chunk_that_was_given_though_nobody_answered_has_moved(world: Redis, clock: Clock) -> None:
    shards = Shards(world)

    async def given_but_not_loaded(chunk_id: str, to_shard: int) -> float:
        await shards.give(0, chunk_id, to_shard)
        raise ShardUnavailable("the taker has died")

    shards.instead = [given_but_not_loaded]
    balancer = Balancer(world, shards, RULES)
    await passes(balancer, world, clock, BUSY_FOR_S + 2)
    [record] = await move_log.read_moves(world)
    assert (record.outcome, record.pause_ms) == ("moved", None)
    assert balancer.describe()["paused_s"] > 0, "whoever was given it may be gone"


class Killed(BaseException):
    """The coordinator's process is gone."""


@pytest.mark.parametrize("when", ["written down", "asked, not given", "given", "given, end not written"])
async def test_a_coordinator_killed_in_the_middle_of_a_move_leaves_it_to_the_next(
    world: Redis, clock: Clock, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = Shards(world)
    killed = Balancer(world, shards, RULES)
    await passes(killed, world, clock, BUSY_FOR_S)

    async def dies(*_: Any) -> Any:
        raise Killed

    async def gives_and_dies(chunk_id: str, to_shard: int) -> float:
        await shards.give(0, chunk_id, to_shard)
        raise Killed

    if when == "written down":
        monkeypatch.setattr(shards, "_give", dies)
    elif when == "asked, not given":
        shards.instead = [dies]
    elif when == "given":
        shards.instead = [gives_and_dies]
    else:
        monkeypatch.setattr(move_log, "end", dies)
    with pytest.raises(Killed):
        await killed.run(await reports(world))
    monkeypatch.undo()
    monkeypatch.setattr(balancing, "now_ms", clock.now_ms)
    monkeypatch.setattr(balancing, "monotonic", clock.monotonic)
    given = list(shards.given)
    assert len(given) == ("given" in when and "not given" not in when)
    assert await world.hlen(keys.MOVES_UNDER_WAY) == 1

    after = Balancer(world, shards, RULES)
    await after.run(await reports(world))
    assert shards.given == given, "while it may still be carried out, nothing else is"
    clock.now_s += OVERDUE_MS / 1000
    await after.run(await reports(world))
    assert not await world.exists(keys.MOVES_UNDER_WAY)
    [record] = await move_log.read_moves(world)
    assert (record.outcome, record.pause_ms) == ("moved" if given else "failed", None)
    await passes(after, world, clock, 40)
    assert sorted((await owners(world)).values()) in ([5, 7], [6, 6])
    chunks = [chunk_id for _, chunk_id, _ in shards.given]
    assert len(chunks) == len(set(chunks)), "what had moved rests"


@pytest.mark.parametrize("lost", ["begin", "end"])
async def test_a_redis_that_goes_away_is_told_and_the_next_pass_finds_out(
    world: Redis, clock: Clock, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = Shards(world)
    balancer = Balancer(world, shards, RULES)
    await passes(balancer, world, clock, BUSY_FOR_S)

    async def away(*_: Any) -> None:
        raise RedisConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(move_log, lost, away)
        with pytest.raises(RedisConnectionError):
            await balancer.run(await reports(world))
    assert len(shards.given) == (lost == "end")
    await passes(balancer, world, clock, OVERDUE_MS / 1000 + 40)
    assert sorted((await owners(world)).values()) in ([5, 7], [6, 6])
    assert not await world.exists(keys.MOVES_UNDER_WAY)


async def test_agents_play_on_while_their_chunks_move(redis: Redis) -> None:
    """Real shards of this process; what they carry is told for them, so that chunks go to and fro all the time."""
    config = ShardConfig(tick_hz=50.0, presence_interval_s=0.1)
    async with LocalWorld(redis, shards=2, seed=1, rules=Rules(demo=False), config=config) as world:
        players = [await player(world, f"a{number}") for number in range(6)]
        targets = [(49, 23), (49, 24), (0, 24), (0, 25), (30, 30), (25, 49)]

        async def play(one: Any, target: tuple[int, int]) -> None:
            for x, y in (target, (25, 25), target):
                decision = await one.submit({"type": "move_to", "x": x, "y": y})
                if decision.accepted:
                    await one.result()

        playing = asyncio.gather(*(play(one, target) for one, target in zip(players, targets, strict=True)))
        to_shard, moved = 0, 0
        while not playing.done():
            balancer = Balancer(redis, world.shards, RULES)
            balancer.emptied = [to_shard]
            to_shard = 1 - to_shard
            await balancer.run([])
            moved += balancer.progress.moved
            await asyncio.sleep(0.05)
        await playing
        for one in players:
            results = Counter(payload["server_cmd_id"] for _, payload in await one.events("command_result"))
            assert results == Counter(one.accepted)
        assert await settled(world, players) == []
    assert moved > 3
    records: Sequence[Any] = await move_log.read_moves(redis)
    assert {record.why for record in records} == {"leaving"}
    assert all(record.pause_ms > 0 for record in records if record.pause_ms is not None)
    assert ChunkId("chunk-0") in {record.chunk_id for record in records}
