"""Deciding commands, without Redis."""

from __future__ import annotations

import asyncio
import time
from typing import cast

import msgspec
import pytest

from cluster.messages import ShardDecision
from cluster.peers import ShardUnavailable, WorldReloaded
from cluster.shard.arrivals import Arrivals
from cluster.shard.stats import ShardStats
from cluster.shard.submissions import Submissions
from streaming.journal import CommitRefused
from streaming.shared_clock import now_ms
from tests.cluster.shard.parts import Ground, stand
from tests.cluster.shard.stage import command

WALK = {"type": "move_to", "x": 30, "y": 24}


class NobodyArrives:
    """An inbox that is looked into; what comes of a look is up to the test."""

    def __init__(self) -> None:
        self.looks = 0

    async def seat(self) -> None:
        self.looks += 1


class Scene:
    def __init__(self) -> None:
        self.ground = Ground()
        self.inbox = NobodyArrives()
        self.stats = ShardStats()
        self.submissions = Submissions(
            self.ground.memory, self.ground.epoch, cast("Arrivals", self.inbox), self.ground.commits, self.stats
        )
        stand(self.ground.memory, "a")


@pytest.fixture
async def scene() -> Scene:
    return Scene()


def told(events: bytes) -> list[str]:
    """The kinds of an agent's events as the journal is given them; none of anything else."""
    return [head.split(" ")[0] for head in events.decode().split("\n")[::2] if head.startswith("command_")]


async def test_a_decision_is_answered_when_the_journal_has_it(scene: Scene) -> None:
    answering = asyncio.create_task(scene.submissions.submit([command("a", "cmd-1", WALK)]))
    await asyncio.sleep(0)
    assert scene.ground.journal.batches == []
    assert not answering.done()
    [decision] = await answering
    assert (decision.accepted, decision.moved) == (True, False)
    [batch] = scene.ground.journal.batches
    assert [told(word) for word in batch.ops if isinstance(word, bytes) and told(word)] == [["command_ack"]]


async def test_commands_are_decided_in_their_order_and_in_one_commit(scene: Scene) -> None:
    commands = [command("a", "cmd-1", WALK), command("a", "cmd-2", {"type": "nonsense"}), command("a", "cmd-1", WALK)]
    first, odd, again = await scene.submissions.submit(commands)
    assert (first.accepted, odd.accepted, odd.reason) == (True, False, "invalid_cmd")
    assert again.started_tick == first.started_tick
    assert len(scene.ground.journal.batches) == 1


async def test_who_is_not_here_has_moved_after_a_look_into_the_inbox(scene: Scene) -> None:
    decisions = await scene.submissions.submit([command("nobody", "cmd-1", WALK), command("a", "cmd-2", WALK)])
    assert decisions[0] == ShardDecision(False, moved=True)
    assert decisions[1].accepted
    assert scene.inbox.looks == 1


async def test_a_challenge_is_written_with_the_decision_and_not_again(scene: Scene) -> None:
    challenged = msgspec.structs.replace(command("a", "cmd-1", WALK), challenge=b"{}", issued_ms=77)
    elsewhere = msgspec.structs.replace(command("nobody", "cmd-2", WALK), challenge=b"{}", issued_ms=78)
    await scene.submissions.submit([challenged, elsewhere])
    await scene.submissions.submit([challenged])
    [batch] = scene.ground.journal.batches
    [events] = [word for word in batch.ops if isinstance(word, bytes) and told(word)]
    assert told(events) == ["command_challenge", "command_ack"]
    assert events.startswith(b"command_challenge 77 trace\n{}\n")
    assert scene.ground.commits.next.challenges == {}


async def test_what_comes_after_its_deadline_is_not_taken(scene: Scene) -> None:
    [decision] = await scene.submissions.submit([command("a", "cmd-1", WALK, deadline_ms=int(now_ms()) - 1)])
    assert decision.moved
    assert scene.ground.journal.batches == []


async def test_a_decision_with_a_deadline_holds_only_if_its_gateway_has_not_refused_it(scene: Scene) -> None:
    deadline_ms = int(now_ms()) + 60_000
    await scene.submissions.submit([command("a", "cmd-1", WALK, deadline_ms), command("a", "cmd-2", WALK)])
    [batch] = scene.ground.journal.batches
    assert batch.conditions == ["C", "cmd-1", str(deadline_ms), ""]


async def test_a_refused_commit_takes_the_decisions_back(scene: Scene) -> None:
    scene.ground.journal.errors.append(CommitRefused("cond", ["cmd-1"]))
    with pytest.raises(WorldReloaded):
        await scene.submissions.submit([command("a", "cmd-1", WALK)])
    assert scene.ground.reloads == 1
    assert scene.ground.told == []


async def test_nothing_is_taken_while_the_journal_stands_still(scene: Scene) -> None:
    scene.ground.journal.stalled_since = time.monotonic() - 5
    with pytest.raises(ShardUnavailable):
        await scene.submissions.submit([command("a", "cmd-1", WALK)])
    assert not scene.ground.memory.world.take().private


async def test_a_refused_harvest_is_counted_once_and_a_refused_gift_is_none(scene: Scene) -> None:
    harvest, gift = {"type": "harvest", "node_id": "nowhere"}, {"type": "give", "agent_id": "nobody", "amount": 1}
    commands = [command("a", "cmd-1", harvest), command("a", "cmd-2", gift), command("a", "cmd-1", harvest)]
    decisions = await scene.submissions.submit(commands)
    assert [decision.accepted for decision in decisions] == [False] * 3
    assert scene.stats.harvest_failures == {"node_not_found": 1}
