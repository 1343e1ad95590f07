"""The way of an agent, for its owner: ``GET /v1/agents/{agent_id}/path``, in which chunk it was from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from api.accounts.auth import Principal
from api.accounts.principals import OWNERS_REFUSALS, agents_owner, check_owner
from api.fields import AgentIdField, EntryIdField
from api.past.routes import FIRST_MS, MOMENT_MOST
from api.past.whereabouts import AgentWhereabouts, run_of
from api.responses import refusals
from api.services import Services
from store import agent_moves
from store.agent_moves import AgentMove, Moment

router = APIRouter()

PAGE: Final = 100
PAGE_MAX: Final = 500
MS_PER_S: Final = 1_000


class PathStay(BaseModel):
    """A time in one chunk."""

    chunk_id: str
    from_tick: int | None = Field(description="When it came; null: before what is kept.")
    to_tick: int | None = Field(description="When it left; null: not up to `to`.")
    came: datetime | None
    left: datetime | None
    how: Literal["crossing", "leave"] | None = Field(
        description="How it left: into another chunk, or out of the world; null: not yet, or it is not known."
    )
    history: str = Field(description="Where the chunk's past of that time is read.")


class AgentPath(BaseModel):
    """A page of an agent's way, oldest first."""

    agent_id: str
    stays: list[PathStay]
    next: str | None = Field(description="Pass it as `after` for what came later; null: there is nothing.")


@router.get(
    "/v1/agents/{agent_id}/path",
    responses=refusals(*OWNERS_REFUSALS),
    tags=["accounts"],
)
async def path(
    agent_id: Annotated[AgentIdField, Path()],
    request: Request,
    caller: Annotated[Principal, Depends(agents_owner)],
    first: Annotated[
        int, Query(alias="from", ge=0, le=MOMENT_MOST, description="A tick, or a Unix time in milliseconds.")
    ] = 0,
    last: Annotated[
        int, Query(alias="to", ge=0, le=MOMENT_MOST, description="The last one; without it, up to now.")
    ] = MOMENT_MOST,
    after: Annotated[EntryIdField | None, Query(description="Only what came after this entry.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Comings and goings at most.")] = PAGE,
) -> AgentPath:
    """Return in which chunk an agent of the caller's was from which tick to which; a second or so behind the game.

    Its owner may ask, by account, API key, or a session for this agent.  Each stay names where the chunk's past of that
    time is read; `GET /v1/owner/stream` with `from_tick` plays it, with the agent's own events.  At most four ask at
    once; one more is 503 `overloaded`.
    """
    services: Services = request.app.state.services
    await services.limits.history(caller.account_id)
    await check_owner(services, agent_id, caller)
    run_id, engine = await run_of(services), services.engine
    start, end = _moment(first), _moment(last)
    later: AgentMove | None = None
    async with services.past.reading_moves():
        if after is None:
            before = await agent_moves.last_before(engine, run_id, agent_id, start)
        else:
            before = await agent_moves.entry(engine, run_id, agent_id, after)
        moves = await agent_moves.between(engine, run_id, agent_id, start, end, after, limit + 1)
        if nowhere := before is None and not moves and after is None:
            later = await agent_moves.first_from(engine, run_id, agent_id, start)
    more = len(moves) > limit
    stays = stays_of(before, moves[:limit])
    if more and stays and stays[-1].left is None:
        stays.pop()  # the next page begins with it
    if nowhere:
        around = await AgentWhereabouts(services, agent_id).around(later)
        stays = [Visit(around.chunk_id)] if around is not None and (later is None or later.kind != "join") else []
    return AgentPath(
        agent_id=agent_id,
        stays=[_shown(one, first) for one in stays],
        next=moves[limit - 1].entry_id if more else None,
    )


@dataclass(slots=True)
class Visit:
    """A time in one chunk, between two moves; None: not known, or not yet."""

    chunk_id: str
    came: AgentMove | None = None
    left: AgentMove | None = None


def stays_of(before: AgentMove | None, moves: Sequence[AgentMove]) -> list[Visit]:
    """Return the stays between moves, ``before`` being the one before them.

    The log may have lost some: a stay ends where the agent is known to be elsewhere.
    """
    stays: list[Visit] = []
    here = None if before is None or before.there is None else Visit(before.there, before)
    for move in moves:
        if move.kind != "join" and move.chunk_id is not None and (here is None or here.chunk_id != move.chunk_id):
            if here is not None:
                stays.append(here)
            here = Visit(move.chunk_id)
        if here is not None:
            here.left = move
            stays.append(here)
        here = None if move.there is None else Visit(move.there, move)
    return stays if here is None else [*stays, here]


def _moment(moment: int) -> Moment:
    return moment if moment < FIRST_MS else datetime.fromtimestamp(moment / MS_PER_S, UTC)


def _shown(stay: Visit, first: int) -> PathStay:
    came, left = stay.came, stay.left
    start = first if came is None else came.tick
    end = "" if left is None else f"&to={left.tick}"
    return PathStay(
        chunk_id=stay.chunk_id,
        from_tick=None if came is None else came.tick,
        to_tick=None if left is None else left.tick,
        came=None if came is None else came.at,
        left=None if left is None else left.at,
        how=left.kind if left is not None and left.kind != "join" else None,
        history=f"/v1/chunks/{stay.chunk_id}/history?from={start}{end}",
    )
