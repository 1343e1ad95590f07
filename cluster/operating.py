"""What operators may do with the cluster over HTTP: ``api.operator.port.Operating`` over what stands in Redis.

All of it are wishes, which a pass of the coordinator carries out, this one's or another's: it goes on whatever becomes
of the gateway that was asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio import Redis

from api.operator.port import CantDo, JobKind, Row
from cluster import move_log, operator_jobs, pins
from cluster.drain import drained
from cluster.drain.nodes import CantDrain, ClusterNode, find_node, nodes_in, refuse_drain
from config.settings import Settings
from streaming import keys
from streaming.shared_clock import now_ms

#: How long the wish to balance at once stands.
REBALANCE_S: Final = 60


class ClusterOperating:
    """The operating of the world in this Redis."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings

    async def pin(self, name: str) -> bool:
        """See ``Operating.pin``."""
        try:
            return await pins.pin(self._redis, name)
        except pins.NothingToPin as error:
            raise CantDo(str(error)) from None

    async def unpin(self, name: str) -> bool:
        """See ``Operating.unpin``."""
        return await pins.unpin(self._redis, name)

    async def pins(self) -> list[str]:
        """See ``Operating.pins``."""
        found = await pins.read_pins(self._redis)
        return [*sorted(found.chunks), *(f"{pins.SHARD_PREFIX}{shard}" for shard in sorted(found.shards))]

    async def drain(self, status: Row, node: str) -> str:
        """See ``Operating.drain``."""
        chosen, nodes = _node(status, node)
        if chosen.drained:
            return str(chosen)
        try:
            others = refuse_drain(chosen, nodes)
        except CantDrain as error:
            raise CantDo(str(error)) from None
        if not await drained.drain(self._redis, chosen.id, [one.id for one in others], "operator"):
            raise CantDo(f"{chosen} has become the last node that is not drained, a moment ago")
        return str(chosen)

    async def undrain(self, status: Row, node: str) -> str:
        """See ``Operating.undrain``."""
        chosen, _ = _node(status, node)
        if not await drained.undrain(self._redis, [chosen.id]):
            raise CantDo(f"{chosen} is not drained")
        return str(chosen)

    def node_id(self, status: Row, node: str) -> str | None:
        """See ``Operating.node_id``."""
        try:
            return _node(status, node)[0].id
        except CantDo:
            return None

    async def scale(self, status: Row, shards: int) -> None:
        """See ``Operating.scale``."""
        bounds = status.get("bounds") or []
        if bounds and not bounds[0] <= shards <= bounds[1]:
            raise CantDo(f"this world scales by itself, between {bounds[0]} and {bounds[1]} shards")
        if not await self._redis.hexists(keys.WORLD, "shard_count"):
            raise CantDo("this Redis holds no world")
        await self._redis.hset(keys.WORLD, keys.WANTED_SHARDS, str(shards))

    async def rebalance(self) -> None:
        """See ``Operating.rebalance``."""
        await self._redis.set(keys.REBALANCE, str(now_ms()), ex=REBALANCE_S)

    async def moves(self, most: int) -> tuple[list[Row], list[Row]]:
        """See ``Operating.moves``."""
        under_way, ended = await asyncio.gather(
            move_log.read_under_way(self._redis), move_log.read_moves(self._redis, most)
        )
        return [_move(record, None) for record in under_way], [_move(one, one.outcome) for one in ended]

    async def begin_job(self, kind: JobKind, name: str, *, by: str, audit_id: int) -> Row:
        """See ``Operating.begin_job``."""
        return await operator_jobs.begin(self._redis, self._settings, kind, name, by=by, audit_id=audit_id)

    async def jobs(self) -> list[Row]:
        """See ``Operating.jobs``."""
        return await operator_jobs.read_jobs(self._redis)

    async def backups(self) -> list[Row]:
        """See ``Operating.backups``."""
        return list(await asyncio.to_thread(operator_jobs.list_backups, self._settings))


def _node(status: Mapping[str, Any], word: str) -> tuple[ClusterNode, list[ClusterNode]]:
    try:
        nodes = nodes_in(status)
        return find_node(nodes, word), nodes
    except CantDrain as error:
        raise CantDo(str(error), "node_not_found") from None


def _move(record: Any, outcome: str | None) -> Row:
    return {
        "at_ms": record.at_ms,
        "chunk_id": record.chunk_id,
        "from_shard": record.from_shard,
        "to_shard": record.to_shard,
        "why": record.why,
        "reason": record.words,
        "outcome": outcome,
        "pause_ms": record.pause_ms,
    }
