"""What came as nobody gave it is named; what was given and taken takes little memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Final

import pytest

from recordings.custody import Custody
from world.ids import AgentId, ChunkId, ServerCmdId, Tick
from world.inputs import Join
from world.records import AgentRecord
from world.rules import Rules
from world.shard import ShardWorld

GIVEN: Final = 1_000
CHUNK: Final = ChunkId("chunk-0")


def agent(number: int) -> AgentRecord:
    """Without any object that another one has."""
    recent = tuple(ServerCmdId(f"command-{number}-{at}") for at in range(8))
    return AgentRecord(AgentId("a"), CHUNK, 3, 4, gold=number, recent=recent)


@pytest.fixture
def world() -> ShardWorld:
    return ShardWorld(Rules(), 1, 0)


def come(custody: Custody, world: ShardWorld, record: AgentRecord, tick: int) -> None:
    world.state.tick = Tick(tick)
    custody.came(world, Join(record, CHUNK, near=None), "a segment")


@pytest.mark.parametrize(
    "other",
    [
        replace(agent(7), gold=8),
        replace(agent(7), recent=agent(7).recent[:-1]),
        replace(agent(7), recent=(ServerCmdId("\ud800"), ServerCmdId(str(2**80)))),
    ],
)
def test_what_came_otherwise_is_named(world: ShardWorld, other: AgentRecord) -> None:
    custody = Custody()
    come(custody, world, agent(1), tick=1)  # nobody's gift
    custody.gives(agent(7))
    come(custody, world, agent(7), tick=2)
    assert list(custody.wrong()) == []
    come(custody, world, other, tick=3)
    [wrong] = custody.wrong()
    assert (wrong.field, wrong.tick, wrong.segment) == ("agents[a]", 3, "a segment")
    assert f"with {other.gold} gold" in wrong.text
    custody.gives(replace(other))
    assert list(custody.wrong()) == []


def test_it_keeps_little_of_what_was_given_and_taken(world: ShardWorld) -> None:
    """Eight ids of commands are most of an agent's record; a recording has as many records as crossings."""
    custody = Custody()
    tracemalloc.start()
    for number in range(GIVEN):
        custody.gives(agent(number))
        come(custody, world, agent(number), tick=number + 2)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(custody) == GIVEN
    assert kept / GIVEN < 1_000
