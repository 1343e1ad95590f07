"""The same commands give the same state in an environment, in a live shard, and in the replay of its recording."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from chunkcrawl_env.one_world import OneWorld
from chunkcrawl_env.sites import ChunkSites
from cluster import graph
from cluster.messages import JoinAnswer
from cluster.shard.config import ShardConfig
from cluster.shard.runtime import ShardRuntime
from streaming import keys
from tests.chunkcrawl_env.play import QUICK
from tests.cluster.shard.stage import Wires, command, seat
from tests.cluster.shard.test_runtime import verify_only_file
from tests.world.play import RUBBISH
from world.actors import Actor
from world.dice import Dice
from world.grid import X_OF, Y_OF, distance
from world.ids import AgentId, ChunkId, ServerCmdId
from world.inputs import Join, Joined, Leave, Submit
from world.outputs import Output
from world.recording import state_digest
from world.records import AgentRecord
from world.shard import ShardWorld

SEED, AGENTS, CHUNKS = 7, 20, 4
#: Of the agents, how many are given a command before each tick.
A_TICK = 8


class Both:
    """An environment's world and a live shard, told the same."""

    def __init__(self, redis: Redis, runtime: ShardRuntime) -> None:
        self.redis: Any = redis
        self.runtime = runtime
        self.world = OneWorld(SEED, QUICK, chunks=CHUNKS, heard=False)
        self.names = [f"agent-{number}" for number in range(AGENTS)]
        self.seen: Counter[str] = Counter()

    async def join(self, name: str, chunk_id: ChunkId, x: int, y: int) -> None:
        """Seat an agent near a cell."""
        record = AgentRecord(AgentId(name), chunk_id, x, y)
        fields = {"chunk": chunk_id, "rec": orjson.dumps(record.to_json())}
        await self.redis.hset(keys.agent(name), mapping=fields)
        assert await seat(self.runtime, name, chunk_id) == JoinAnswer("seated", chunk_id)
        assert isinstance(self.world.shard.apply(Join(record, chunk_id, (x, y))), Joined)

    async def submit(self, *commands: tuple[str, str, Any]) -> None:
        """Give agents commands (agent, id, command); both decide alike."""
        answers = await self.runtime.submit([command(*one) for one in commands])
        for (name, cmd_id, cmd), live in zip(commands, answers, strict=True):
            mine = self.world.shard.apply(Submit(AgentId(name), ServerCmdId(cmd_id), f"c-{cmd_id}", cmd, "trace"))
            assert (live.accepted, live.reason) == (mine.accepted, mine.reason), cmd
            self.seen[f"{cmd.get('type') if isinstance(cmd, dict) else cmd}:{mine.reason or 'accepted'}"] += 1
        await self.settle()

    async def tick(self) -> None:
        """Move both by a tick."""
        await self.runtime._run_tick(self.world.shard.tick + 1)
        await self.settle()
        self.count(self.world.step())

    async def settle(self) -> None:
        """Wait until the shard has carried out what its core asked for."""
        while tasks := self.runtime.background.tasks:
            await asyncio.wait(list(tasks))

    def count(self, outputs: list[Output]) -> None:
        """Note what has happened."""
        for output in outputs:
            for delta in output.deltas:
                self.seen.update(event["type"] for event in delta.payload["events"])

    def draw(self, dice: Dice, name: str) -> Any:
        """What an agent does next: digs, goes to gold, leaves, goes anywhere, talks, gives, or talks rubbish."""
        actor = self.world.shard.state.agents[AgentId(name)]
        sites = ChunkSites(self.world.shard.state.chunks[actor.chunk_id], 0)
        draw = dice.below(100)
        node = sites.node_at(actor.cell)
        if draw < 4:
            return dice.pick(RUBBISH)
        if draw < 10:
            return {"type": "say", "text": f"hello {draw}"}
        if node is not None and draw < 80:
            return {"type": "harvest", "node_id": node.id}
        beside = self._beside(actor)
        if draw < 13 or (beside and actor.gold and draw < 40):
            return {"type": "give", "agent_id": dice.pick(beside or self.names), "amount": 1}
        return self._move(actor, sites, dice, draw)

    def _move(self, actor: Actor, sites: ChunkSites, dice: Dice, draw: int) -> dict[str, Any]:
        beside = sites.beside_gold()
        if draw < 30:
            cell = dice.pick(sorted(sites.doors, key=lambda door: distance(door, actor.cell))[:6])
        elif draw < 75 and beside:
            cell = dice.pick(beside)
        else:
            cell = dice.pick(sites.inner) if draw < 90 else dice.below(2500)
        return {"type": "move_to", "x": X_OF[cell], "y": Y_OF[cell]}

    def _beside(self, actor: Actor) -> list[str]:
        agents = self.world.shard.state.chunks[actor.chunk_id].ordered
        return [other.id for other in agents if distance(other.cell, actor.cell) == 1]


def leaves(cmd: Any) -> bool:
    """Whether a command is a walk out of the chunk."""
    return isinstance(cmd, dict) and cmd.get("type") == "move_to" and (cmd["x"] in (0, 49) or cmd["y"] in (0, 49))


async def live_shard(redis: Redis, directory: Path) -> ShardRuntime:
    """A shard that ticks when it is told to, with the chunks that an environment begins with."""
    await graph.init_world(redis, seed=SEED, shard_count=1, rules=QUICK.of_world)
    plan = OneWorld(SEED, QUICK, chunks=CHUNKS).shard.state.chunks
    for number in range(1, CHUNKS):
        [(source, side)] = [
            (one.id, side)
            for one in plan.values()
            for side, other in one.neighbors.items()
            if other == f"chunk-{number}" and one.number < number
        ]
        assert await graph.ensure_neighbor(redis, source, side) == f"chunk-{number}"
    # So slow that its own clock stays at tick 0.
    return await ShardRuntime.start(redis, 0, QUICK, ShardConfig(tick_hz=0.001, record_dir=str(directory)), Wires())


@pytest.mark.parametrize("commands", [800, pytest.param(4_000, marks=pytest.mark.slow)])
async def test_random_commands_of_twenty_agents(redis: Redis, tmp_path: Path, commands: int) -> None:
    """After each tick, whatever happens: the same state; and the recording runs again to it."""
    runtime = await live_shard(redis, tmp_path)
    both = Both(redis, runtime)
    dice = Dice("parity", 1)
    chunks = both.world.shard.chunk_ids
    for number, name in enumerate(both.names):
        await both.join(name, chunks[number % CHUNKS], *dice.pick([(2, 24), (47, 25), (24, 2), (25, 47)]))
    for turn in range(commands // A_TICK):
        drawn = [(name, f"cmd-{turn}", both.draw(dice, name)) for name in dice.shuffled(both.names)[:A_TICK]]
        await both.submit(*(one for one in drawn if not leaves(one[2])))
        # One by one: of two new chunks that are asked for at once, either may be the first.
        for one in drawn:
            if leaves(one[2]):
                await both.submit(one)
        await both.tick()
        assert both.world.state_digest() == state_digest(runtime.world)
    digest, population = state_digest(runtime.world), runtime.world.population
    runtime.memory.close()
    verdict = verify_only_file(tmp_path)
    assert verdict.same
    assert verdict.complete
    assert verdict.state == digest
    assert population == AGENTS
    happened = {"resource_depleted", "resource_regenerated", "resource_given", "blocked", "chat", "neighbor_linked"}
    assert happened | {"neighbor_unlinked", "agent_left", "harvest:accepted", "move_to:unreachable"} <= both.seen.keys()
    assert both.seen["agent_left"] > commands / 100


@pytest.mark.parametrize("quiet", [False, True])
def test_leaving_is_the_same_whoever_hears_of_it(quiet: bool) -> None:
    """The play above has no leaving, for environments have none."""
    world = OneWorld(SEED, QUICK, heard=not quiet)
    world.join("a")
    world.submit("a", "cmd", {"type": "move_to", "x": 25, "y": 40})
    world.step()
    assert isinstance(world.shard.apply(Leave(AgentId("a"))), AgentRecord)
    world.step()
    fresh = ShardWorld(QUICK, SEED, 0)
    assert state_digest(world.shard) != state_digest(fresh)
    assert world.shard.population == 0
