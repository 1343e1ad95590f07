"""An agent as everybody may see it: ``GET /v1/agents/{agent_id}/profile``; and finding one: ``GET /v1/find/agents``.

What is shown has been seen by whoever watched: where it is, what it harvested, was given and said.  What it thinks is
shown if its owner allows it (``PATCH /v1/agents/{agent_id}``, ``api.accounts.routes``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from api.accounts.auth import RedisCalls, Session, require
from api.errors import ApiError
from api.fields import AgentIdField
from api.responses import refusals
from api.services import Services
from api.thoughts import ThoughtInfo, shown
from store import agents, event_log, standings, thoughts
from store.event_log import Said
from store.standings import Period
from streaming import keys
from streaming.shared_clock import utc_now

router = APIRouter()

SAID_MAX: Final = 20
THOUGHTS_MAX: Final = 20
FOUND: Final = 10
FOUND_MAX: Final = 20


class AgentPlace(BaseModel):
    """An agent, and where it is."""

    agent_id: str
    here: bool = Field(description="Whether it is in the world.")
    chunk_id: str | None = Field(description="Where it is, or was when it left.")


class FoundAgents(BaseModel):
    """Agents whose ids begin with what was asked for."""

    agents: list[AgentPlace] = Field(max_length=FOUND_MAX, description="By name.")
    more: bool = Field(description="Whether there are others.")


class SaidLine(BaseModel):
    """Something that an agent said."""

    entry_id: str = Field(description="Unique, and higher the later it was.")
    at: datetime
    chunk_id: str | None
    text: str


class Sums(BaseModel):
    """What an agent has in a period."""

    gold: int = Field(description="Harvested by itself.")
    chunks: int = Field(description="Chunks that it came into before everybody else.")
    alive_s: int = Field(description="Seconds in the world.")


class AgentProfile(AgentPlace):
    """An agent as everybody may see it."""

    x: int | None
    y: int | None
    gold: int = Field(description="What it owns.")
    standing: dict[Period, Sums]
    says: list[SaidLine] = Field(max_length=SAID_MAX, description="What it said, newest first.")
    thinks: list[ThoughtInfo] | None = Field(
        max_length=THOUGHTS_MAX, description="What it thought, newest first; null: its owner does not show it."
    )


@router.get(
    "/v1/find/agents",
    responses=refusals("invalid_session", "banned", "not_local", "rate_limited"),
    tags=["watching"],
)
async def find_agents(
    request: Request,
    session: Annotated[Session, Depends(require(operators=True))],
    prefix: Annotated[AgentIdField, Query(description="What the id begins with, in upper or lower case.")],
    limit: Annotated[int, Query(ge=1, le=FOUND_MAX)] = FOUND,
) -> FoundAgents:
    """Find agents that have been in the world, wherever they are."""
    services: Services = request.app.state.services
    await services.limits.watching(request, session)
    names = await standings.find(services.engine, prefix, limit + 1)
    agents = [await _place(services.batch, name) for name in names[:limit]]
    return FoundAgents(agents=agents, more=len(names) > limit)


@router.get(
    "/v1/agents/{agent_id}/profile",
    responses=refusals("invalid_session", "banned", "not_local", "agent_not_found", "rate_limited"),
    tags=["watching"],
)
async def profile(
    agent_id: Annotated[AgentIdField, Path()],
    request: Request,
    session: Annotated[Session, Depends(require(operators=True))],
) -> AgentProfile:
    """Return an agent as everybody may see it; what it did is up to some seconds behind the game."""
    services: Services = request.app.state.services
    await services.limits.watching(request, session)
    found = await standings.of_agent(services.engine, agent_id, utc_now())
    where, record = await _record(services.batch, agent_id)
    if not found and where.chunk_id is None:
        raise ApiError("agent_not_found")
    said = await event_log.said(services.engine, agent_id, SAID_MAX)
    sums = {
        period: Sums(gold=one.gold, chunks=one.chunks, alive_s=one.alive_ms // 1000) for period, one in found.items()
    }
    return AgentProfile(
        **where.model_dump(),
        x=record.get("x") if where.here else None,
        y=record.get("y") if where.here else None,
        gold=record.get("gold", 0),
        standing=sums or {period: Sums(gold=0, chunks=0, alive_s=0) for period in ("day", "week", "all")},
        says=_lines(said, services.words.find),
        thinks=await _thoughts(services, agent_id),
    )


async def _place(redis: RedisCalls, agent_id: str) -> AgentPlace:
    return (await _record(redis, agent_id))[0]


async def _record(redis: RedisCalls, agent_id: str) -> tuple[AgentPlace, dict[str, Any]]:
    """Return where an agent is and its record, as Redis has them; nothing in it for one that Redis has not."""
    chunk, here, record = await redis.command("HMGET", keys.agent(agent_id), "chunk", "here", "rec")
    where = AgentPlace(agent_id=agent_id, here=here == b"1", chunk_id=chunk.decode() if chunk else None)
    return where, orjson.loads(record) if record else {}


async def _thoughts(services: Services, agent_id: str) -> list[ThoughtInfo] | None:
    if not await agents.thoughts_are_public(services.engine, agent_id):
        return None
    found = await thoughts.newest(services.engine, agent_id, limit=THOUGHTS_MAX)
    return [shown(one) for one in found if services.words.find(one.text) is None]


def _lines(said: Sequence[Said], find_banned: Callable[[str], int | None]) -> list[SaidLine]:
    """Return what may be shown: a word that was banned since is not."""
    return [
        SaidLine(entry_id=one.entry_id, at=one.at, chunk_id=one.chunk_id, text=one.text)
        for one in said
        if find_banned(one.text) is None
    ]
