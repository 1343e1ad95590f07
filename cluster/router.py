"""The gateway's way to the shards: ``api.ports.World`` over a ``ShardClient``.

Where an agent is, its record says; who owns that place, the chunk's hash says.  The router remembers both and is put
right by a shard that answers ``moved``.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.ports import JoinOutcome, ShardAnswer, SubmittedCommand, WorldFull, WorldUnavailable
from cluster import graph
from cluster.batcher import CommandBatcher, JoinBatcher
from cluster.graph import CLAIM, CLAIM_PRESENCE_MS, LOCATE, Located
from cluster.messages import JoinRequest, ShardCommand, ShardDecision, pack_cmd
from cluster.peers import ClusterClient, ShardClient, ShardUnavailable, WorldReloaded
from cluster.spawning import SpawnPlan
from streaming import keys
from streaming.batch import RedisBatch
from streaming.retry_pause import RetryPause
from world.ids import AgentId, ChunkId, ServerCmdId

log = structlog.get_logger(__name__)

JOIN_TIMEOUT_S: Final = 10.0
SUBMIT_TIMEOUT_S: Final = 3.0
PAUSE_FIRST_S: Final = 0.02
PAUSE_MOST_S: Final = 0.25
ROUTES_MOST: Final = 50_000
PROBLEM_TIMEOUT_S: Final = 0.8
TICK_AGE_MOST_S: Final = 3.0


class Router:
    """Joins agents and submits their commands, wherever their shard is at the moment."""

    def __init__(
        self,
        redis: Redis,
        batch: RedisBatch,
        peers: ShardClient,
        *,
        spawn_capacity: int,
        cluster: ClusterClient | None = None,
    ) -> None:
        self._redis = redis
        self._batch = batch
        self._peers = peers
        self._cluster = cluster
        self._batcher = CommandBatcher(peers)
        self._joins = JoinBatcher(peers)
        self._spawn = SpawnPlan(redis, spawn_capacity)
        self._routes: OrderedDict[str, int] = OrderedDict()

    async def close(self) -> None:
        """End what is under way."""
        await self._batcher.close()
        await self._joins.close()

    @property
    def waiting(self) -> int:
        """How many commands and joins wait for a call to their shard."""
        return self._batcher.waiting + self._joins.waiting

    # -- joining --

    async def join(self, agent_id: str, account_id: str, trace_id: str) -> JoinOutcome:
        """Put the agent into the world, as ``api.ports.World.join`` says."""
        deadline = time.monotonic() + JOIN_TIMEOUT_S
        pause = RetryPause(PAUSE_FIRST_S, PAUSE_MOST_S)
        full: set[str] = set()
        while time.monotonic() < deadline:
            try:
                outcome = await self._try_join(agent_id, full)
            except (ShardUnavailable, WorldReloaded, RedisError, OSError, TimeoutError) as error:
                log.info("join_tried_again", agent_id=agent_id, trace_id=trace_id, error=repr(error))
                outcome = None
            if outcome is not None:
                return outcome
            await pause.wait()
        raise WorldUnavailable(f"no shard seated {agent_id} within {JOIN_TIMEOUT_S} s")

    async def _try_join(self, agent_id: str, full: set[str]) -> JoinOutcome | None:
        at = await self._locate(agent_id)
        if at.chunk_id and at.owner is not None and at.chunk_id not in full:
            return await self._seat(agent_id, at.chunk_id, at.owner, full)
        chunk_id = await self._spawn.choose(full)
        if chunk_id is None:
            raise WorldFull("no chunk has room and none can be made")
        agent, presence_ms = keys.agent(agent_id), CLAIM_PRESENCE_MS
        call = CLAIM(agent=agent, before=at.chunk_id, chunk=chunk_id, id=agent_id, presence_ms=presence_ms)
        answer = await self._batch.run(call)
        if answer[0] != b"ok":
            self._spawn.forget()
            return None
        return await self._seat(agent_id, chunk_id, int(answer[1]), full)

    async def _seat(self, agent_id: str, chunk_id: str, shard: int, full: set[str]) -> JoinOutcome | None:
        answer = await self._joins.send(shard, JoinRequest(AgentId(agent_id), ChunkId(chunk_id)))
        if answer.outcome in ("here", "seated"):
            self._remember(agent_id, shard)
            return JoinOutcome(chunk_id=chunk_id, resumed=answer.outcome == "here")
        if answer.outcome == "full":
            full.add(chunk_id)
            self._spawn.is_full(chunk_id)
        return None

    # -- commands --

    async def submit(self, command: SubmittedCommand) -> ShardAnswer:
        """Have a command decided, as ``api.ports.World.submit`` says."""
        agent_id = command.agent_id
        message = shard_command(command)
        deadline = time.monotonic() + SUBMIT_TIMEOUT_S
        pause = RetryPause(PAUSE_FIRST_S, PAUSE_MOST_S)
        why = "no shard answered"
        while time.monotonic() < deadline:
            try:
                shard = await self._route(agent_id, command.trace_id)
                found = await self._batcher.send(shard, message)
                if not found.moved:
                    return ShardAnswer(found.accepted, found.reason, found.started_tick, found.retry_after_ms)
                why = f"shard {shard} does not hold the agent"
            except (ShardUnavailable, WorldReloaded, RedisError, OSError, TimeoutError) as error:
                why = repr(error)
            self._routes.pop(agent_id, None)
            await pause.wait()
        raise WorldUnavailable(why)

    def submit_at_once(self, command: SubmittedCommand, decided: Callable[[bool | None], None]) -> bool:
        """See ``api.ports.World.submit_at_once``: where the agent is known to be, and there is room in the queue."""
        shard = self._routes.get(command.agent_id)
        if shard is None:
            return False

        def answered(found: ShardDecision | None) -> None:
            if found is None or found.moved:
                self._routes.pop(command.agent_id, None)
                decided(None)
            else:
                decided(found.accepted)

        return self._batcher.post(shard, shard_command(command), answered)

    async def _route(self, agent_id: str, trace_id: str) -> int:
        shard = self._routes.get(agent_id)
        if shard is not None:
            return shard
        at = await self._locate(agent_id)
        if at.owner is None or not at.here:
            # The world has let it go while its socket lived on (an outage longer than the grace time).
            await self.join(agent_id, "", trace_id)
            at = await self._locate(agent_id)
        if at.owner is None:
            raise ShardUnavailable(f"{agent_id} is nowhere")
        self._remember(agent_id, at.owner)
        return at.owner

    async def _locate(self, agent_id: str) -> Located:
        return graph.located(await self._batch.run(LOCATE(agent=keys.agent(agent_id))))

    def _remember(self, agent_id: str, shard: int) -> None:
        self._routes[agent_id] = shard
        self._routes.move_to_end(agent_id)
        if len(self._routes) > ROUTES_MOST:
            self._routes.popitem(last=False)

    # -- state --

    async def problems(self) -> list[str]:
        """Return why the world can't serve: shards that don't answer, stand still or wait for Redis."""
        info = await graph.read_world(self._redis)
        if info is None:
            return ["world_missing"]
        found = await asyncio.gather(*(self._problem(shard) for shard in range(info.shard_count)))
        return [problem for problem in found if problem]

    async def _problem(self, shard: int) -> str | None:
        try:
            health = await self._peers.shard(shard, timeout_s=PROBLEM_TIMEOUT_S).health()
        except (ShardUnavailable, WorldReloaded):
            return f"shard_{shard}_unavailable"
        if health.stalled:
            return f"shard_{shard}_waits_for_redis"
        age = health.last_tick_age_s
        return f"shard_{shard}_does_not_tick" if age is None or age > TICK_AGE_MOST_S else None

    async def metrics(self) -> bytes:
        """Return metrics, as ``api.ports.World.metrics`` says."""
        if self._cluster is None:
            raise WorldUnavailable("nobody gathers metrics")
        try:
            return await self._cluster.metrics()
        except ShardUnavailable as error:
            raise WorldUnavailable(str(error)) from error


def shard_command(command: SubmittedCommand) -> ShardCommand:
    """Return the message that takes a command to its shard."""
    return ShardCommand(
        AgentId(command.agent_id),
        ServerCmdId(command.server_cmd_id),
        command.client_cmd_id,
        pack_cmd(command.cmd),
        command.trace_id,
        command.deadline_ms,
        command.challenge,
        command.issued_ms,
    )
