"""Between applying and committing: whatever comes there, memory and journal agree in the end."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from unittest.mock import patch

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from cluster.peers import ShardUnavailable, WorldReloaded
from cluster.shard import gathering
from streaming import keys
from streaming.journal import CommitRefused, Fenced, Journal
from tests.cluster.shard.parts import Ground, stand
from tests.cluster.shard.stage import EAST, HALL, SOURCE, START, Stage, command
from world.ids import AgentId, ServerCmdId
from world.inputs import Submit

WALK = {"type": "move_to", "x": 30, "y": 24}


class SlowJournal:
    """Holds a shard's commits back until told."""

    def __init__(self, journal: Journal) -> None:
        self._real = journal.commit
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        self.patch = patch.object(journal, "commit", self._commit)

    async def _commit(self, batch: Any) -> None:
        self.reached.set()
        await self.go.wait()
        await self._real(batch)


@pytest.fixture
async def ground() -> Ground:
    """Commits without Redis, and an agent to decide something about."""
    made = Ground()
    stand(made.memory, "a")
    return made


def say(ground: Ground, text: str) -> None:
    """Apply something that is to be committed."""
    order = Submit(AgentId("a"), ServerCmdId(f"cmd-{text}"), "c", {"type": "say", "text": text})
    assert ground.memory.world.apply(order).accepted


async def test_nothing_to_commit_is_no_commit(ground: Ground) -> None:
    await ground.commits.flush()
    assert ground.journal.batches == []
    assert len(ground.told) == 1


async def test_what_is_applied_while_a_commit_is_under_way_shares_the_next(ground: Ground) -> None:
    say(ground, "one")
    first = asyncio.create_task(ground.commits.flush())
    while not ground.commits.lock.locked():
        await asyncio.sleep(0)
    ground.commits.next.additions.seated("chunk-0", (0, 24), "ho-1")
    ground.commits.next.additions.seated("chunk-0", (0, 25), "ho-2")
    later = [asyncio.create_task(ground.commits.flush()) for _ in range(3)]
    await asyncio.gather(first, *later)
    assert len(ground.journal.batches) == 2
    assert ground.journal.batches[1].ops.count("Z") == 2


async def test_under_load_decisions_wait_for_each_other_and_a_tick_for_nobody(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "APART_S", 0.5)
    ground.commits.next.additions.seated("chunk-0", (0, 1), "ho-0")
    await ground.commits.gather(1_000)  # the first waits for nobody, and begins a busy time
    later = []
    for n in range(1, 6):
        ground.commits.next.additions.seated("chunk-0", (0, n), f"ho-{n}")
        later.append(asyncio.create_task(ground.commits.gather(1)))
        await asyncio.sleep(0)
    assert len(ground.journal.batches) == 1
    await ground.commits.flush()
    assert [batch.ops.count("Z") for batch in ground.journal.batches] == [1, 5]
    await asyncio.gather(*later)
    assert len(ground.journal.batches) == 2


async def test_a_decision_that_waits_for_others_is_told_of_a_world_that_went_back(ground: Ground) -> None:
    await ground.commits.gather(1_000)
    ground.commits.next.additions.seated("chunk-0", (0, 1), "ho-1")
    await ground.commits.flush()
    ground.commits.next.additions.seated("chunk-0", (0, 2), "ho-2")
    waiting = asyncio.create_task(ground.commits.gather(1))
    await asyncio.sleep(0)
    ground.memory.begin_anew(2)
    with pytest.raises(WorldReloaded):
        await waiting


async def test_who_waits_is_told_when_the_shard_ends_before_its_commit_has_begun(ground: Ground) -> None:
    say(ground, "one")
    waiting = asyncio.create_task(ground.commits.flush())
    await asyncio.sleep(0)
    assert len(ground.tasks.tasks) == 1, "a task that has not run yet"
    await ground.tasks.end()
    with pytest.raises(ShardUnavailable):
        await asyncio.wait_for(waiting, 10)
    assert ground.journal.batches == []


async def test_a_bug_beside_a_commit_ends_the_epoch_and_leaves_nobody_waiting(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("not foreseen")

    monkeypatch.setattr(ground.commits, "_tell", fail)
    say(ground, "one")
    with pytest.raises(ShardUnavailable):
        await asyncio.wait_for(ground.commits.flush(), 10)
    with pytest.raises(RuntimeError):
        await ground.epoch.ended


async def test_work_between_commits_finds_everything_committed(ground: Ground) -> None:
    say(ground, "one")

    async def work() -> int:
        assert ground.commits.lock.locked()
        return len(ground.journal.batches)

    assert await ground.commits.between(work) == 1


async def test_work_between_commits_is_not_run_on_a_world_that_went_back(ground: Ground) -> None:
    say(ground, "one")
    ground.journal.errors.append(CommitRefused("behind", []))
    with pytest.raises(WorldReloaded):
        await ground.commits.between(_never)
    async with ground.commits.lock:
        waiting = asyncio.create_task(ground.commits.between(_never))
        await asyncio.sleep(0)
        ground.memory.begin_anew(2)
    with pytest.raises(WorldReloaded):
        await waiting


async def _never() -> None:
    raise AssertionError("run all the same")


async def test_an_error_of_the_journal_ends_the_epoch_and_nothing_comes_of_the_commit(ground: Ground) -> None:
    say(ground, "one")
    ground.journal.errors.append(Fenced("another epoch has begun"))
    with pytest.raises(ShardUnavailable):
        await ground.commits.flush()
    with pytest.raises(ShardUnavailable):
        await ground.commits.flush()
    assert ground.told == []
    with pytest.raises(Fenced):
        await ground.epoch.ended


async def test_a_caller_that_gives_up_waiting_takes_nothing_with_it(stage: Stage) -> None:
    await stage.stand("a", *START)
    slow = SlowJournal(stage.source.journal)
    with slow.patch:
        caller = asyncio.create_task(stage.submit("a", "cmd-1", WALK))
        await slow.reached.wait()
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        slow.go.set()
        await stage.source.commits.flush()
    assert [kind for kind, _ in await stage.events()] == ["agent_private_delta", "agent_placed", "command_ack"]


async def test_what_was_decided_before_a_reload_is_not_answered_as_decided(stage: Stage) -> None:
    await stage.stand("a", *START)
    real = stage.source.arrivals.seat

    async def seat_while_the_world_goes_back() -> None:
        await real()
        async with stage.source.commits.lock:
            await stage.source.reload()

    commands = [command("a", "cmd-1", WALK), command("nobody", "cmd-2", WALK)]
    with (
        patch.object(stage.source.arrivals, "seat", seat_while_the_world_goes_back),
        pytest.raises(WorldReloaded),
    ):
        await stage.source.submit(commands)
    assert (await stage.source.submit(commands))[0].accepted
    assert [kind for kind, _ in await stage.events()].count("command_ack") == 1


async def test_a_reload_waits_for_redis_and_is_whole_when_it_ends(stage: Stage) -> None:
    await stage.stand("a", *START)
    real, tries = stage.source.loader.load_owned, []

    async def fails_twice() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise RedisConnectionError("away")
        await real()

    with patch.object(stage.source.loader, "load_owned", fails_twice):
        async with stage.source.commits.lock:
            await stage.source.reload()
    assert len(tries) == 3
    assert stage.place("a") == (HALL, *START)


async def test_an_output_that_cannot_be_written_ends_the_epoch(stage: Stage) -> None:
    await stage.stand("a", *START)
    running = asyncio.create_task(stage.source.run())
    with patch("cluster.shard.next_commit.encode_output", side_effect=KeyError("chunk-9")):
        with pytest.raises(ShardUnavailable):
            await stage.submit("a", "cmd-1", WALK)
        with pytest.raises(KeyError):
            await running
    with pytest.raises(ShardUnavailable):
        await stage.submit("a", "cmd-2", WALK)
    assert "command_ack" not in [kind for kind, _ in await stage.events()]


async def test_a_late_copy_of_a_refused_commit_is_fenced(stage: Stage) -> None:
    await stage.stand("a", *START)
    await stage.walk_east()
    await stage.tick()
    [(cell, reservation)] = (await stage.redis.hgetall(keys.reservations(EAST))).items()
    await stage.redis.hdel(keys.reservations(EAST), cell)
    sent: list[tuple[Any, ...]] = []
    real = stage.redis.execute_command

    async def keeps_a_copy(*words: Any, **options: Any) -> Any:
        if words[0] == "EVALSHA" and words[3] == keys.shard(SOURCE):
            sent.append(words)
        return await real(*words, **options)

    with patch.object(stage.redis, "execute_command", keeps_a_copy):
        await stage.tick(SOURCE)
    assert stage.source.stats.reloads == 1
    refused = next(
        words for words in sent if any(b"chunk_transition" in word for word in words if isinstance(word, bytes))
    )
    await stage.redis.hset(keys.reservations(EAST), cell, reservation)
    answer = await real(*refused)
    assert answer[0] == b"fenced"
    await stage.tick(times=2)
    assert await stage.results() == [("cmd-1", "completed")]


async def test_a_journal_that_has_lost_commits_takes_the_world_back(stage: Stage) -> None:
    await stage.stand("a", *START)
    before = await stage.redis.hgetall(keys.shard(SOURCE))
    kept = await stage.redis.dump(keys.agent("a"))
    assert (await stage.submit("a", "cmd-1", WALK)).accepted
    await stage.redis.hset(keys.shard(SOURCE), mapping={name: before[name] for name in (b"seq", b"tick")})
    await stage.redis.restore(keys.agent("a"), 0, kept, replace=True)
    await stage.tick(SOURCE)
    assert stage.source.stats.reloads == 1
    record = stage.source.world.agent(AgentId("a"))
    assert record is not None
    assert record.running is None


async def test_a_command_that_its_gateway_has_refused_is_not_accepted_any_more(stage: Stage) -> None:
    await stage.stand("a", *START)
    deadline_ms = int(time.time() * 1000) + 60_000
    await stage.redis.hset(keys.challenge("cmd-1"), "state", "CONSUMED")
    slow = SlowJournal(stage.source.journal)
    with slow.patch:
        submitting = asyncio.create_task(stage.submit("a", "cmd-1", WALK, deadline_ms))
        await slow.reached.wait()
        await stage.redis.hset(keys.challenge("cmd-1"), "state", "REFUSED")
        slow.go.set()
        with pytest.raises(WorldReloaded):
            await submitting
    assert "command_ack" not in [kind for kind, _ in await stage.events()]
    record = stage.source.world.agent(AgentId("a"))
    assert record is not None
    assert record.running is None


async def test_a_command_without_a_challenge_or_with_a_consumed_one_is_accepted(stage: Stage) -> None:
    await stage.stand("a", *START)
    deadline_ms = int(time.time() * 1000) + 60_000
    assert (await stage.submit("a", "dev-1", {"type": "say", "text": "hi"}, deadline_ms)).accepted
    await stage.tick(SOURCE)
    await stage.redis.hset(keys.challenge("cmd-1"), "state", "CONSUMED")
    assert (await stage.submit("a", "cmd-1", WALK, deadline_ms)).accepted


async def test_a_shard_whose_lease_was_taken_ends_even_when_it_only_reloads(stage: Stage) -> None:
    running = asyncio.create_task(stage.source.run())
    await Journal.acquire(stage.redis, SOURCE)
    with pytest.raises(ShardUnavailable):
        async with stage.source.commits.lock:
            await stage.source.reload()
    with pytest.raises(Fenced):
        await running


async def test_stop_ends_the_loops_though_the_last_commit_was_refused(stage: Stage) -> None:
    await stage.stand("a", *START)
    await stage.walk_east()
    await stage.tick()
    await stage.redis.delete(keys.reservations(EAST))
    stage.source.world.step(stage.source.tick + 1)  # it goes, on a reservation that has gone
    running = asyncio.create_task(stage.source.run())
    await stage.source.stop()
    await asyncio.wait_for(running, 5)


async def test_a_life_that_is_cut_off_ends_though_its_loops_wait_for_a_commit(stage: Stage) -> None:
    await stage.stand("a", *START)
    await stage.redis.zadd(keys.PRESENCE, {"a": 1})
    slow = SlowJournal(stage.source.journal)
    with slow.patch, patch.object(stage.source.presence, "pause", lambda: None):
        running = asyncio.create_task(stage.source.run())
        await slow.reached.wait()
        sweeping = [asyncio.create_task(stage.source.presence.loop()) for _ in range(3)]
        await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.wait_for(asyncio.gather(running, return_exceptions=True), 5)
        for task in sweeping:
            task.cancel()
        await asyncio.wait_for(asyncio.gather(*sweeping, return_exceptions=True), 5)
    with pytest.raises(ShardUnavailable):
        await stage.source.commits.flush()
