"""Chunks over HTTP: which there are, and one's present state for a resync (contract, "Endpoints")."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from api.accounts.auth import RedisCalls, Session, require
from api.errors import ApiError
from api.fields import ChunkIdPath
from api.ids import is_chunk_id
from api.responses import refusals
from api.services import Services
from streaming import keys
from streaming.digests import KEPT, read_digests
from streaming.snapshot import read_snapshot

DEMO_CHUNK: Final = "demo"
FIRST_CHUNK_ID: Final = "chunk-0"

#: How many chunks are listed at most, those with the most agents.
LISTED_MAX: Final = 500
#: How long a list is given again, so that any number of pages that watch cost one read a second.
LIST_TTL_S: Final = 1.0

router = APIRouter()


def asked_chunk(chunk_id: str) -> str:
    """Return the chunk that a request asks for: ``demo`` stands for ``chunk-0``, any other id for itself.

    Raises:
        ApiError: ``chunk_not_found``: it is no chunk's id.
    """
    wanted = FIRST_CHUNK_ID if chunk_id == DEMO_CHUNK else chunk_id
    if not is_chunk_id(wanted):
        raise ApiError("chunk_not_found")
    return wanted


class ChunkSnapshot(BaseModel):
    """A chunk's present state."""

    chunk_static: dict[str, Any]
    latest_delta: dict[str, Any] | None


class Neighbors(BaseModel):
    """The chunks beside a chunk."""

    N: str | None
    E: str | None
    S: str | None
    W: str | None


class ChunkEntry(BaseModel):
    """A chunk in the list."""

    chunk_id: str
    agents: int = Field(description="Agents in it; creatures do not count.")
    neighbors: Neighbors


class ChunkList(BaseModel):
    """The chunks with the most agents."""

    chunks: list[ChunkEntry] = Field(max_length=LISTED_MAX, description="Those with the most agents first.")
    total: int = Field(description="Chunks there are, also those beyond the end of the list.")


class ChunkDigest(BaseModel):
    """The digest of a chunk's state at a tick."""

    tick: int
    digest: str = Field(description="Over the chunk's records; four parts of 16 hex digits.")
    chain: str = Field(description="Hash chain over everything that the chunk's shard was told until then.")
    entry: str = Field(description="Epoch, number and chain of the entry of its shard's recording.")


class ChunkDigestList(BaseModel):
    """The newest digests of a chunk."""

    chunk_id: str
    digests: list[ChunkDigest] = Field(max_length=KEPT, description="Oldest first.")


@router.get(
    "/v1/chunks",
    response_model=ChunkList,
    responses=refusals("invalid_session", "banned", "not_local", "rate_limited"),
    tags=["chunks"],
)
async def list_chunks(request: Request, _: Annotated[Session, Depends(require(operators=True))]) -> Response:
    """List the chunks of the world, up to a second old, for any role."""
    state = request.app.state
    if not hasattr(state, "chunk_list"):
        state.chunk_list = ListedChunks(state.services.batch)
    listed: ListedChunks = state.chunk_list
    return Response(await listed.json(), media_type="application/json", headers={"cache-control": "no-store"})


@router.get(
    "/v1/chunks/{chunk_id}/snapshot",
    response_model=ChunkSnapshot,
    responses=refusals("invalid_session", "banned", "not_local", "chunk_not_found", "rate_limited"),
    tags=["chunks"],
)
async def snapshot(
    chunk_id: ChunkIdPath,
    request: Request,
    _: Annotated[Session, Depends(require(operators=True))],
) -> Response:
    """Return the chunk's static and its newest delta, both of one moment.  The id ``demo`` stands for ``chunk-0``."""
    services: Services = request.app.state.services
    found = await read_snapshot(services.redis, asked_chunk(chunk_id))
    if found is None:
        raise ApiError("chunk_not_found")
    # The bytes that readers of the stream get, as they are.
    return Response(found.json(), media_type="application/json", headers={"cache-control": "no-store"})


@router.get(
    "/v1/chunks/{chunk_id}/digests",
    response_model=ChunkDigestList,
    responses=refusals("invalid_session", "banned", "not_local", "chunk_not_found", "rate_limited"),
    tags=["chunks"],
)
async def digests(
    chunk_id: ChunkIdPath,
    request: Request,
    _: Annotated[Session, Depends(require(operators=True))],
) -> ChunkDigestList:
    """Return the newest digests of the chunk's state, oldest first, by which its recording can be proved later.

    They stay for a day after the chunk has gone.  Empty where nothing is recorded.
    """
    services: Services = request.app.state.services
    wanted = asked_chunk(chunk_id)
    found = await read_digests(services.redis, wanted)
    if not found and not await services.redis.exists(keys.chunk(wanted)):
        raise ApiError("chunk_not_found")
    return ChunkDigestList(chunk_id=wanted, digests=[ChunkDigest(**one.to_json()) for one in found])


class ListedChunks:
    """The answer of ``GET /v1/chunks``, kept for ``LIST_TTL_S``; many askers at once cost one read."""

    def __init__(self, redis: RedisCalls, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._clock = clock
        self._reading = asyncio.Lock()
        self._kept = b""
        self._fresh_until = float("-inf")

    async def json(self) -> bytes:
        """Return the list as JSON.  Raises ``RedisError`` when Redis does not answer."""
        async with self._reading:
            if self._clock() >= self._fresh_until:
                self._kept = (await self._read()).model_dump_json().encode()
                self._fresh_until = self._clock() + LIST_TTL_S
            return self._kept

    async def _read(self) -> ChunkList:
        there, counted = await asyncio.gather(
            self._redis.command("SMEMBERS", keys.CHUNKS), self._redis.command("HGETALL", keys.POPULATION)
        )
        pairs = counted.items() if isinstance(counted, Mapping) else zip(counted[::2], counted[1::2], strict=True)
        agents = {chunk_id.decode(): int(count) for chunk_id, count in pairs}
        ids = [chunk_id.decode() for chunk_id in there]
        # Equally full ones by age: numbers grow, and so do names.
        fullest = heapq.nsmallest(LISTED_MAX, ids, key=lambda name: (-agents.get(name, 0), len(name), name))
        links = await asyncio.gather(
            *(self._redis.command("HMGET", keys.chunk(name), "number", *"NESW") for name in fullest)
        )
        return ChunkList(
            chunks=[
                ChunkEntry(chunk_id=name, agents=max(0, agents.get(name, 0)), neighbors=_neighbors(link[1:]))
                for name, link in zip(fullest, links, strict=True)
                if link[0] is not None  # else it was removed between the two reads
            ],
            total=len(ids),
        )


def _neighbors(found: list[bytes | None]) -> Neighbors:
    north, east, south, west = (None if name is None else name.decode() for name in found)
    return Neighbors(N=north, E=east, S=south, W=west)
