"""Commands on their way: in order, one call at a time per shard, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from cluster import batcher as batcher_module
from cluster.batcher import CommandBatcher, JoinBatcher
from cluster.messages import JoinAnswer, JoinRequest, ShardCommand, ShardDecision, pack_cmd
from cluster.peers import ShardUnavailable
from world.ids import AgentId, ChunkId, ServerCmdId


class Shards:
    """Answers with the id of each command; fails when told."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.errors: list[BaseException] = []

    def shard(self, number: int, *, timeout_s: float) -> Any:
        return self

    async def submit(self, commands: Sequence[ShardCommand]) -> list[ShardDecision]:
        self.calls.append([command.server_cmd_id for command in commands])
        await asyncio.sleep(0.01)
        if self.errors:
            raise self.errors.pop(0)
        return [ShardDecision(True, command.server_cmd_id, None, 1) for command in commands]

    async def join(self, joins: Sequence[JoinRequest]) -> list[JoinAnswer]:
        self.calls.append([join.agent_id for join in joins])
        await asyncio.sleep(0.01)
        return [JoinAnswer("seated", ChunkId(join.agent_id)) for join in joins]


def join(name: str) -> JoinRequest:
    return JoinRequest(AgentId(name), ChunkId("chunk-0"))


def command(name: str) -> ShardCommand:
    return ShardCommand(AgentId("a"), ServerCmdId(name), "c", pack_cmd({}), "t")


async def test_what_comes_while_a_call_is_under_way_goes_together_in_order() -> None:
    shards = Shards()
    batcher = CommandBatcher(shards)
    first = asyncio.create_task(batcher.send(0, command("1")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(batcher.send(0, command(name))) for name in "234"]
    answers = await asyncio.gather(first, *rest)
    assert [answer.reason for answer in answers] == ["1", "2", "3", "4"]
    assert shards.calls == [["1"], ["2", "3", "4"]]
    await batcher.close()


def tell(told: list[tuple[str, Any]], name: str, found: ShardDecision | None) -> None:
    told.append((name, found))


async def test_a_function_is_told_what_a_task_would_be() -> None:
    shards, told = Shards(), list[tuple[str, Any]]()
    batcher = CommandBatcher(shards)
    for name in "12":
        assert batcher.post(0, command(name), partial(tell, told, name))
    answer = await batcher.send(0, command("3"))
    assert [(name, found.reason) for name, found in told] == [("1", "1"), ("2", "2")]
    assert answer.reason == "3"
    assert shards.calls == [["1", "2", "3"]]
    shards.errors.append(ShardUnavailable("died"))
    assert batcher.post(0, command("4"), partial(tell, told, "4"))
    await asyncio.sleep(0)
    assert batcher.post(1, command("5"), partial(tell, told, "5"))
    await batcher.close()
    assert dict(told[2:]) == {"4": None, "5": None}


async def test_a_full_queue_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "WAITING_MOST", 1)
    batcher, told = CommandBatcher(Shards()), list[Any]()
    assert batcher.post(0, command("1"), told.append)
    assert not batcher.post(0, command("2"), told.append)
    with pytest.raises(ShardUnavailable):
        await batcher.send(0, command("3"))
    await batcher.close()
    assert told == [None]


@pytest.mark.parametrize("error", [RuntimeError("not foreseen"), ValueError("x"), ShardUnavailable("died")])
async def test_an_error_of_one_call_does_not_strand_those_behind_it(error: Exception) -> None:
    shards = Shards()
    shards.errors.append(error)
    batcher = CommandBatcher(shards)
    first = asyncio.create_task(batcher.send(0, command("1")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asyncio.create_task(batcher.send(0, command("2")))
    with pytest.raises(ShardUnavailable):
        await asyncio.wait_for(first, 2)
    assert (await asyncio.wait_for(second, 2)).reason == "2"
    await batcher.close()


async def test_closing_fails_what_waits() -> None:
    batcher = CommandBatcher(Shards())
    waiting = asyncio.create_task(batcher.send(0, command("1")))
    await asyncio.sleep(0)
    await batcher.close()
    with pytest.raises(ShardUnavailable):
        await asyncio.wait_for(waiting, 2)


async def test_joins_that_come_while_a_call_is_under_way_go_together() -> None:
    shards = Shards()
    batcher = JoinBatcher(shards)
    names = ["1", "2", "3"]
    first = asyncio.create_task(batcher.send(0, join(names[0])))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(batcher.send(0, join(name))) for name in names[1:]]
    assert [answer.chunk_id for answer in await asyncio.gather(first, *rest)] == names
    assert shards.calls == [["1"], ["2", "3"]]
    await batcher.close()
