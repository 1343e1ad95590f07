"""Shards without their loops: nothing happens but what a test does, so it can put anything between two steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import orjson
from redis.asyncio import Redis

from api.ports import SubmittedCommand
from cluster import graph
from cluster.local import LocalShards
from cluster.messages import JoinAnswer, JoinRequest, ShardCommand, ShardDecision
from cluster.peers import ShardUnavailable
from cluster.router import shard_command
from cluster.shard.config import ShardConfig
from cluster.shard.runtime import ShardRuntime
from operations.fsck import Problem, check, read_dump
from streaming import keys
from streaming.lua import Script, run_all
from tests.streaming.writer import read_events
from world.ids import AgentId, ChunkId
from world.records import AgentRecord
from world.rules import Rules

HALL, EAST = "chunk-0", "chunk-1"
SOURCE, TARGET = 0, 1

#: Where one stands before the last two steps to the east, the boundary cell, and where one arrives.
START, DOOR, ARRIVAL = (47, 24), (49, 24), (0, 24)

Hook = Callable[[], Awaitable[None]]


class MeddledRedis:
    """A Redis client in which something may happen before or after a script, or instead of its answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._before: dict[str, Hook] = {}
        self._after: dict[str, Hook] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)

    def before(self, script: Script, hook: Hook) -> None:
        """Do something once, just before ``script`` is sent."""
        self._before[script.sha] = hook

    def after(self, script: Script, hook: Hook) -> None:
        """Do something once, when ``script`` has run and its answer is still under way."""
        self._after[script.sha] = hook

    async def execute_all(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        return await run_all(self._redis, list(commands))

    async def execute_command(self, *words: Any, **options: Any) -> Any:
        """A script comes by its hash, and again with its source if the server does not know it."""
        sha = Script("", words[1]).sha if words[0] == "EVAL" else words[1]
        if hook := self._before.pop(sha, None):
            await hook()
        answer = await cast("Any", self._redis).execute_command(*words, **options)
        if hook := self._after.pop(sha, None):
            await hook()
        return answer


def command(agent_id: str, server_cmd_id: str, cmd: object, deadline_ms: int = 0) -> ShardCommand:
    """A command as a gateway sends it."""
    return shard_command(
        SubmittedCommand(agent_id, server_cmd_id, f"c-{server_cmd_id}", cmd, "trace", deadline_ms=deadline_ms)
    )


class Wires(LocalShards):
    """Calls between shards, some of which never arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.cut: set[str] = set()

    async def call(self, shard: int, timeout_s: float, method: Any, *args: Any, **kwargs: Any) -> Any:
        if method.__name__ in self.cut:
            raise ShardUnavailable(f"{method.__name__} was lost")
        return await super().call(shard, timeout_s, method, *args, **kwargs)


async def seat(runtime: ShardRuntime, agent_id: str, chunk_id: str) -> JoinAnswer:
    """Let one agent join."""
    [answer] = await runtime.seating.join([JoinRequest(AgentId(agent_id), ChunkId(chunk_id))])
    return answer


class Stage:
    """``chunk-0`` on shard 0 and ``chunk-1``, its neighbour to the east, on shard 1."""

    def __init__(self, redis: Redis, *, rules: Rules | None = None, config: ShardConfig | None = None) -> None:
        self.redis: Any = redis
        self.rules = rules or Rules(demo=False)
        self.config = config or ShardConfig()
        self.wires = Wires()
        self.meddled: dict[int, MeddledRedis] = {}

    async def build(self) -> Stage:
        """Make the world and begin both shards' epochs."""
        await graph.init_world(self.redis, seed=1, shard_count=2)
        await self.redis.hset(keys.chunk(HALL), "shard", SOURCE)
        assert await graph.ensure_neighbor(self.redis, HALL, "E") == EAST
        await self.redis.hset(keys.chunk(EAST), "shard", TARGET)
        for shard in (SOURCE, TARGET):
            await self.begin(shard)
        await self.settle()
        return self

    async def begin(self, shard: int) -> ShardRuntime:
        """A new epoch of a shard; the old one, if any, goes on without being reached any more."""
        self.meddled[shard] = MeddledRedis(self.redis)
        redis = cast("Redis", self.meddled[shard])
        runtime = await ShardRuntime.start(redis, shard, self.rules, self.config, self.wires)
        self.wires.runtimes[shard] = runtime
        return runtime

    @property
    def source(self) -> ShardRuntime:
        return self.wires.runtimes[SOURCE]

    @property
    def target(self) -> ShardRuntime:
        return self.wires.runtimes[TARGET]

    async def tick(self, *shards: int, times: int = 1) -> None:
        """Run the next tick on these shards (on both if none is named), and what it has begun beside it."""
        for _ in range(times):
            for shard in shards or (SOURCE, TARGET):
                runtime = self.wires.runtimes[shard]
                await runtime._run_tick(runtime.tick + 1)
            await self.settle()

    async def settle(self) -> None:
        """Wait until nothing runs beside the ticks."""
        while tasks := [task for runtime in self.wires.runtimes.values() for task in runtime.background.tasks]:
            await asyncio.wait(tasks)

    async def stand(self, agent_id: str, x: int, y: int) -> None:
        """An agent that has come into ``chunk-0`` at a cell."""
        kept = AgentRecord(AgentId(agent_id), ChunkId(HALL), x, y)
        fields = {"chunk": HALL, "rec": orjson.dumps(kept.to_json())}
        await self.redis.hset(keys.agent(agent_id), mapping=fields)
        assert await seat(self.source, agent_id, HALL) == JoinAnswer("seated", ChunkId(HALL))
        assert self.place(agent_id) == (HALL, x, y)

    async def submit(
        self, agent_id: str, server_cmd_id: str, cmd: dict[str, Any], deadline_ms: int = 0
    ) -> ShardDecision:
        """Have the shard in whose memory the agent is decide a command."""
        runtime = next(rt for rt in self.wires.runtimes.values() if AgentId(agent_id) in rt.world.agent_ids)
        [decision] = await runtime.submit([command(agent_id, server_cmd_id, cmd, deadline_ms)])
        return decision

    async def walk_east(self, agent_id: str = "a", server_cmd_id: str = "cmd-1") -> None:
        """Accept a move through the eastern border."""
        decision = await self.submit(agent_id, server_cmd_id, {"type": "move_to", "x": DOOR[0], "y": DOOR[1]})
        assert decision.accepted

    def place(self, agent_id: str) -> tuple[str, int, int] | None:
        """Chunk and cell by the memory of the one shard that has the agent; None when none has it."""
        found = [rt.world.agent(AgentId(agent_id)) for rt in self.wires.runtimes.values()]
        places = [(record.chunk_id, record.x, record.y) for record in found if record is not None]
        assert len(places) <= 1, f"{agent_id} is in the memory of two shards"
        return places[0] if places else None

    async def results(self, agent_id: str = "a") -> list[tuple[str, str]]:
        """(command, status) of every result in the agent's stream."""
        payloads = [payload for kind, payload in await self.events(agent_id) if kind == "command_result"]
        return [(payload["server_cmd_id"], payload["status"]) for payload in payloads]

    async def events(self, agent_id: str = "a") -> list[tuple[str, dict[str, Any]]]:
        """(kind, payload) of everything in the agent's stream."""
        return [(event.kind, event.fields()) for event in await read_events(self.redis, agent_id)]

    async def findings(self, *agent_ids: str) -> list[Problem]:
        """What the checker finds."""
        return check(await read_dump(self.redis, list(agent_ids)))
