"""Both ends of the calls to a shard: what the caller packs and the shard unpacks, and the other way with the answers.

Between them is whatever carries bytes to a shard: Ray (``cluster.ray_clients``) or this process (``cluster.local``).

A call is made in the caller's version of the messages.  A shard of the release before refuses that without having read
anything, so the call is made once more in the older version, and those after it for a while too.  A shard answers in
the version of the question.  Calls that carry plain values keep their arguments; a new one comes last, has a default,
and is not given to a shard that may not know it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from cluster.messages import (
    CELL_ANSWERS,
    CELL_RELEASES,
    CELL_REQUESTS,
    COMMANDS,
    DECISIONS,
    HEALTH,
    JOIN_ANSWERS,
    JOIN_REQUESTS,
    OLDEST,
    VERSION,
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
    version_of,
)
from cluster.peers import Shard, ShardUnavailable

P = ParamSpec("P")
T = TypeVar("T")
Q = TypeVar("Q")

#: How long a shard is spoken to as to one of the release before; by then it may have been started anew.
OLDER_FOR_S: Final = 30.0


class ShardEndpoint(ABC):
    """The shard's end: ``cluster.peers.Shard`` with the bytes that travel; a carrier calls it."""

    @abstractmethod
    async def _up(self) -> Shard:
        """Return the shard, once it has come back to its last commit."""

    async def submit(self, commands: bytes) -> bytes:
        """See ``Shard.submit``."""
        decisions = await (await self._up()).submit(COMMANDS.unpack(commands))
        return DECISIONS.pack(decisions, version_of(commands))

    async def join(self, joins: bytes) -> bytes:
        """See ``Shard.join``."""
        return JOIN_ANSWERS.pack(await (await self._up()).join(JOIN_REQUESTS.unpack(joins)), version_of(joins))

    async def reserve(self, requests: bytes) -> bytes:
        """See ``Shard.reserve``."""
        answers = await (await self._up()).reserve(CELL_REQUESTS.unpack(requests))
        return CELL_ANSWERS.pack(answers, version_of(requests))

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
        """See ``Shard.health``.  Nobody says in which version it is asked, so it is one that both ends know."""
        return HEALTH.pack(await (await self._up()).health(), OLDEST)


class Spoken:
    """In which version each shard is spoken to: ours, or for a while the one before, when a shard knew no other."""

    def __init__(self) -> None:
        self._older_since: dict[int, float] = {}

    def version(self, shard: int) -> int:
        """Return the version for the next call."""
        since = self._older_since.get(shard)
        if since is None:
            return VERSION
        if time.monotonic() - since < OLDER_FOR_S:
            return OLDEST
        del self._older_since[shard]
        return VERSION

    def is_older(self, shard: int) -> None:
        """Note that a shard has refused our version."""
        self._older_since[shard] = time.monotonic()


class Carrier(Protocol):
    """Carries calls to the endpoints of shards."""

    spoken: Spoken

    @abstractmethod
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
        return self._unpacked(DECISIONS, await self._send(COMMANDS, list(commands), ShardEndpoint.submit))

    async def join(self, joins: Sequence[JoinRequest]) -> list[JoinAnswer]:
        """See ``Shard.join``."""
        return self._unpacked(JOIN_ANSWERS, await self._send(JOIN_REQUESTS, list(joins), ShardEndpoint.join))

    async def reserve(self, requests: Sequence[CellRequest]) -> list[CellAnswer]:
        """See ``Shard.reserve``."""
        return self._unpacked(CELL_ANSWERS, await self._send(CELL_REQUESTS, list(requests), ShardEndpoint.reserve))

    async def release(self, releases: Sequence[CellRelease]) -> None:
        """See ``Shard.release``."""
        await self._send(CELL_RELEASES, list(releases), ShardEndpoint.release)

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
        return self._unpacked(HEALTH, await self._call(ShardEndpoint.health))

    async def _send(self, packer: Packer[Q], value: Q, method: Callable[[Any, bytes], Coroutine[Any, Any, T]]) -> T:
        version = self._carrier.spoken.version(self._number)
        if version != OLDEST:
            try:
                return await self._call(method, packer.pack(value, version))
            except ForeignVersion:
                self._carrier.spoken.is_older(self._number)
        try:
            return await self._call(method, packer.pack(value, OLDEST))
        except ForeignVersion as error:
            raise self._unlike(error) from error

    def _unpacked(self, packer: Packer[T], packed: bytes) -> T:
        try:
            return packer.unpack(packed)
        except ForeignVersion as error:
            raise self._unlike(error) from error

    def _unlike(self, error: ForeignVersion) -> ShardUnavailable:
        return ShardUnavailable(f"shard {self._number}: {error}")

    async def _call(
        self, method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._carrier.call(self._number, self._timeout_s, method, *args, **kwargs)


class CarryingClient(Carrier):
    """A ``ShardClient`` that carries the calls itself."""

    def __init__(self) -> None:
        self.spoken = Spoken()

    def shard(self, number: int, *, timeout_s: float) -> Shard:
        """See ``ShardClient.shard``."""
        return ShardProxy(self, number, timeout_s)
