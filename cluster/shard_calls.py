"""Both ends of the calls to a shard: what the caller packs and the shard unpacks, and the other way with the answers.

Between them is whatever carries bytes to a shard: Ray (``cluster.ray_clients``) or this process (``cluster.local``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from cluster.messages import (
    CELL_ANSWERS,
    CELL_RELEASES,
    CELL_REQUESTS,
    COMMANDS,
    DECISIONS,
    HEALTH,
    JOIN_ANSWERS,
    JOIN_REQUESTS,
    CellAnswer,
    CellRelease,
    CellRequest,
    ForeignVersion,
    JoinAnswer,
    JoinRequest,
    Packer,
    ShardCommand,
    ShardDecision,
    ShardHealth,
)
from cluster.peers import Shard, ShardUnavailable

P = ParamSpec("P")
T = TypeVar("T")


class ShardEndpoint(ABC):
    """The shard's end: ``cluster.peers.Shard`` with the bytes that travel; a carrier calls it."""

    @abstractmethod
    async def _up(self) -> Shard:
        """Return the shard, once it has come back to its last commit."""

    async def submit(self, commands: bytes) -> bytes:
        """See ``Shard.submit``."""
        return DECISIONS.pack(await (await self._up()).submit(COMMANDS.unpack(commands)))

    async def join(self, joins: bytes) -> bytes:
        """See ``Shard.join``."""
        return JOIN_ANSWERS.pack(await (await self._up()).join(JOIN_REQUESTS.unpack(joins)))

    async def reserve(self, requests: bytes) -> bytes:
        """See ``Shard.reserve``."""
        return CELL_ANSWERS.pack(await (await self._up()).reserve(CELL_REQUESTS.unpack(requests)))

    async def release(self, releases: bytes) -> None:
        """See ``Shard.release``."""
        await (await self._up()).release(CELL_RELEASES.unpack(releases))

    async def refresh(self, chunk_ids: list[str]) -> None:
        """See ``Shard.refresh``."""
        await (await self._up()).refresh(chunk_ids)

    async def give(self, chunk_id: str, to_shard: int) -> float | None:
        """See ``Shard.give``."""
        return await (await self._up()).give(chunk_id, to_shard)

    async def load(self, chunk_ids: list[str]) -> list[bool]:
        """See ``Shard.load``."""
        return await (await self._up()).load(chunk_ids)

    async def health(self) -> bytes:
        """See ``Shard.health``."""
        return HEALTH.pack(await (await self._up()).health())


class Carrier(Protocol):
    """Carries calls to the endpoints of shards."""

    async def call(
        self,
        shard: int,
        timeout_s: float,
        method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run ``method`` of ``ShardEndpoint`` on the endpoint of a shard and return its answer.

        Raises:
            ShardUnavailable, WorldReloaded: see ``cluster.peers.Shard``.
        """
        ...


class ShardProxy:
    """The caller's end, a ``Shard``."""

    def __init__(self, carrier: Carrier, number: int, timeout_s: float) -> None:
        self._carrier = carrier
        self._number = number
        self._timeout_s = timeout_s

    async def submit(self, commands: Sequence[ShardCommand]) -> list[ShardDecision]:
        """See ``Shard.submit``."""
        return await self._ask(DECISIONS, ShardEndpoint.submit, COMMANDS.pack(list(commands)))

    async def join(self, joins: Sequence[JoinRequest]) -> list[JoinAnswer]:
        """See ``Shard.join``."""
        return await self._ask(JOIN_ANSWERS, ShardEndpoint.join, JOIN_REQUESTS.pack(list(joins)))

    async def reserve(self, requests: Sequence[CellRequest]) -> list[CellAnswer]:
        """See ``Shard.reserve``."""
        return await self._ask(CELL_ANSWERS, ShardEndpoint.reserve, CELL_REQUESTS.pack(list(requests)))

    async def release(self, releases: Sequence[CellRelease]) -> None:
        """See ``Shard.release``."""
        await self._call(ShardEndpoint.release, CELL_RELEASES.pack(list(releases)))

    async def refresh(self, chunk_ids: Sequence[str]) -> None:
        """See ``Shard.refresh``."""
        await self._call(ShardEndpoint.refresh, list(chunk_ids))

    async def give(self, chunk_id: str, to_shard: int) -> float | None:
        """See ``Shard.give``."""
        return await self._call(ShardEndpoint.give, chunk_id, to_shard)

    async def load(self, chunk_ids: Sequence[str]) -> list[bool]:
        """See ``Shard.load``."""
        return await self._call(ShardEndpoint.load, list(chunk_ids))

    async def health(self) -> ShardHealth:
        """See ``Shard.health``."""
        return await self._ask(HEALTH, ShardEndpoint.health)

    async def _ask(
        self,
        answer: Packer[T],
        method: Callable[Concatenate[Any, P], Coroutine[Any, Any, bytes]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        packed = await self._call(method, *args, **kwargs)
        try:
            return answer.unpack(packed)
        except ForeignVersion as error:
            raise ShardUnavailable(f"shard {self._number}: {error}") from error

    async def _call(
        self, method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            return await self._carrier.call(self._number, self._timeout_s, method, *args, **kwargs)
        except ForeignVersion as error:
            raise ShardUnavailable(f"shard {self._number}: {error}") from error
