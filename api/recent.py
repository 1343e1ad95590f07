"""What happened in a chunk of late, for pages that begin to watch it: ``GET /v1/chunks/{chunk_id}/recent``."""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from api.accounts.auth import Session, require
from api.chunks import asked_chunk
from api.errors import ApiError
from api.fields import ChunkIdPath
from api.kept_answers import KeptAnswers
from api.responses import refusals
from api.services import Services
from streaming import keys
from streaming.recent import EVENTS_MAX, read_recent

router = APIRouter()

#: How long an answer is given again, and of how many chunks; one may have some hundred kilobytes.
TTL_S: Final = 2.0
CHUNKS_MAX: Final = 64


class RecentEvent(BaseModel):
    """An event of a delta that was."""

    tick: int
    index: int = Field(description="Its number among those of the tick.")
    at: int = Field(description="When it was, in milliseconds of Unix time.")
    event: dict[str, Any] = Field(description="As in `chunk_delta.events`.")


class RecentChunk(BaseModel):
    """What the replay window of a chunk holds, oldest first."""

    chunk_id: str
    from_tick: int | None = Field(description="The first tick that is known; null: nothing has happened.")
    to_tick: int | None
    events: list[RecentEvent] = Field(max_length=EVENTS_MAX)
    trails: dict[str, list[tuple[int, int, int]]] = Field(
        description="By agent: tick, x and y, whenever it stood somewhere else than before."
    )


@router.get(
    "/v1/chunks/{chunk_id}/recent",
    response_model=RecentChunk,
    responses=refusals("invalid_session", "banned", "not_local", "chunk_not_found", "rate_limited"),
    tags=["chunks"],
)
async def recent(
    chunk_id: ChunkIdPath,
    request: Request,
    session: Annotated[Session, Depends(require(operators=True))],
) -> Response:
    """Return what happened in the chunk in the ticks of the replay window, up to two seconds old.

    The id ``demo`` stands for ``chunk-0``.
    """
    services: Services = request.app.state.services
    await services.limits.watching(request, session)
    wanted = asked_chunk(chunk_id)
    kept = cast(KeptAnswers | None, getattr(request.app.state, "recent_chunks", None))
    if kept is None:
        kept = request.app.state.recent_chunks = KeptAnswers(TTL_S, CHUNKS_MAX)

    async def read() -> bytes:
        if not await services.batch.command("EXISTS", keys.chunk_static(wanted)):
            raise ApiError("chunk_not_found")
        return orjson.dumps(await read_recent(services.redis, wanted))

    body = await kept.get(wanted, read)
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})
