"""Who is ahead: ``GET /v1/leaderboard``, for any role, from sums that the archiver keeps (``store.standings``)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, cast

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from api.accounts.auth import Session, require
from api.kept_answers import KeptAnswers
from api.responses import refusals
from api.services import Services
from store import standings
from store.standings import Measure, Period, PeriodSums
from streaming.shared_clock import utc_now

router = APIRouter()

PLACES: Final = 20
PLACES_MAX: Final = 100
#: How long a board is given again.
TTL_S: Final = 2.0


class PlaceInfo(BaseModel):
    """An agent and what it has in the period."""

    rank: int = Field(description="From 1 on; those who have the same share one.")
    agent_id: str
    gold: int = Field(description="Harvested by itself; what it was given does not count.")
    chunks: int = Field(description="Chunks that it came into before everybody else.")
    alive_s: int = Field(description="Seconds in the world.")
    here: bool = Field(description="Whether it is in the world now; then its time goes on.")


class Leaderboard(BaseModel):
    """The first of a period."""

    by: Measure
    period: Period
    since: datetime | None = Field(description="When the day or the week (Monday) began, in UTC; null for `all`.")
    places: list[PlaceInfo] = Field(max_length=PLACES_MAX)


@router.get(
    "/v1/leaderboard",
    response_model=Leaderboard,
    responses=refusals("invalid_session", "banned", "not_local", "rate_limited"),
    tags=["watching"],
)
async def leaderboard(
    request: Request,
    session: Annotated[Session, Depends(require(operators=True))],
    by: Annotated[Measure, Query(description="What decides.")] = "gold",
    period: Annotated[Period, Query(description="The day or week that it is in UTC, or all time.")] = "day",
    limit: Annotated[int, Query(ge=1, le=PLACES_MAX)] = PLACES,
) -> Response:
    """Return who is ahead, up to some seconds behind the game."""
    services: Services = request.app.state.services
    await services.limits.watching(request, session)
    kept = cast(KeptAnswers | None, getattr(request.app.state, "leaderboards", None))
    if kept is None:
        kept = request.app.state.leaderboards = KeptAnswers(TTL_S)

    async def read() -> bytes:
        now = utc_now()
        found = await standings.board(services.engine, by, period, limit, now)
        since = None if period == "all" else standings.starts_of(now)[period]
        return Leaderboard(by=by, period=period, since=since, places=_places(found, by)).model_dump_json().encode()

    body = await kept.get((by, period, limit), read)
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})


def _places(found: Sequence[PeriodSums], by: Measure) -> list[PlaceInfo]:
    places: list[PlaceInfo] = []
    for number, one in enumerate(found, 1):
        place = PlaceInfo(
            rank=number,
            agent_id=one.agent_id,
            gold=one.gold,
            chunks=one.chunks,
            alive_s=one.alive_ms // 1000,
            here=one.here,
        )
        field = "alive_s" if by == "alive" else by
        if places and getattr(places[-1], field) == getattr(place, field):
            place.rank = places[-1].rank
        places.append(place)
    return places
