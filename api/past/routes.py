"""A chunk's past over HTTP: ``GET /v1/chunks/{chunk_id}/history``, the deltas as its watchers were sent them."""

from __future__ import annotations

from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from api.accounts.auth import Session, require
from api.chunks import asked_chunk
from api.errors import ApiError
from api.fields import ChunkIdPath
from api.past.reader import PastReader
from api.responses import refusals
from api.services import Services
from recordings.past_page import DELTAS_MOST, PastPage, Reason
from recordings.segment import MS_MOST
from streaming import keys

router = APIRouter()

PAGE: Final = 100
#: Why a chunk's past is not shown.
PAST_REFUSALS: Final = (
    *("invalid_session", "banned", "not_local", "chunk_not_found"),
    *("rate_limited", "overloaded", "unavailable"),
)
#: Numbers from here on are Unix times in milliseconds: no world gets that old in ticks.
FIRST_MS: Final = 1_000_000_000_000
MOMENT_MOST: Final = MS_MOST


class PastGap(BaseModel):
    """Ticks that can't be shown."""

    from_tick: int
    to_tick: int
    reason: Reason = Field(
        description="`before_first`: older than what is kept. `missing`: lost or damaged. `other_rules`: made by"
        " another version of the rules. `not_yet_recorded`: ask again in some seconds. `not_recorded`: nothing is"
        " recorded here."
    )


class ChunkHistory(BaseModel):
    """A page of a chunk's past."""

    chunk_id: str
    from_tick: int
    to_tick: int = Field(description="How far this page goes, which may be less than was asked for.")
    gap: PastGap | None = Field(description="What of it can't be shown; it comes before everything else.")
    chunk_static: dict[str, Any] | None = Field(description="The chunk before the first delta; null: it was not there.")
    state: dict[str, Any] | None = Field(
        description="Its moving things then, as a `chunk_delta` without events; what was decided in that tick is in it."
    )
    deltas: list[dict[str, Any]] = Field(
        max_length=DELTAS_MOST, description="`chunk_delta` as they were sent, oldest first."
    )
    server_ts_ms: list[int] = Field(description="About when each was sent.")
    closed_tick: int | None = Field(description="When the chunk was removed.")
    ended: bool = Field(description="Whether nothing later is known yet.")
    next: int | None = Field(description="Pass it as `from` for what follows; null: all that was asked for is here.")


@router.get(
    "/v1/chunks/{chunk_id}/history",
    response_model=ChunkHistory,
    responses=refusals(*PAST_REFUSALS),
    tags=["chunks"],
)
async def chunk_history(
    chunk_id: ChunkIdPath,
    request: Request,
    session: Annotated[Session, Depends(require(operators=True))],
    first: Annotated[
        int, Query(alias="from", ge=0, le=MOMENT_MOST, description="A tick, or a Unix time in milliseconds.")
    ],
    last: Annotated[
        int | None, Query(alias="to", ge=0, le=MOMENT_MOST, description="The last one; without it, up to now.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=DELTAS_MOST, description="Deltas at most.")] = PAGE,
) -> Response:
    """Return what happened in the chunk, byte for byte as its watchers were told, a page at a time.

    A page goes over two minutes of rest at most; `next` leads on.  At most 16 questions wait for a gateway's reader of
    recordings; one more is 503 `overloaded`, to be asked again after `Retry-After`.
    """
    services: Services = request.app.state.services
    await services.limits.watching(request, session)
    wanted = asked_chunk(chunk_id)
    past = services.past
    start = await tick_of(past, wanted, first)
    end = MOMENT_MOST if last is None else await tick_of(past, wanted, last)
    page = await past.page(wanted, start, max(start, end), limit)
    if await is_unknown(services, page):
        raise ApiError("chunk_not_found")
    return Response(_json(page, max(start, end)), media_type="application/json", headers={"cache-control": "no-store"})


async def is_unknown(services: Services, page: PastPage) -> bool:
    """Return whether a page says nothing at all, of a chunk that is not in the world now either."""
    if page.state is not None or page.deltas or page.gap is not None or page.closed is not None:
        return False
    return not await services.redis.exists(keys.chunk(page.chunk_id))


async def tick_of(past: PastReader, chunk_id: str, moment: int) -> int:
    """Return the tick that is meant; 0 for a time before everything that is kept."""
    if moment < FIRST_MS:
        return moment
    return await past.tick_at(chunk_id, moment) or 0


def _json(page: PastPage, end: int) -> bytes:
    """Return the page as JSON; what watchers were sent stands in it as it was."""
    gap = page.gap
    head = {
        "chunk_id": page.chunk_id,
        "from_tick": page.first,
        "to_tick": page.last,
        "gap": gap and {"from_tick": gap.first, "to_tick": gap.last, "reason": gap.reason},
        "server_ts_ms": [delta.ms for delta in page.deltas],
        "closed_tick": page.closed,
        "ended": page.ended,
        "next": None if page.closed is not None or page.last >= end else page.last + 1,
    }
    return b'%b,"chunk_static":%b,"state":%b,"deltas":[%b]}' % (
        orjson.dumps(head)[:-1],
        page.static or b"null",
        page.state or b"null",
        b",".join(delta.payload for delta in page.deltas),
    )
