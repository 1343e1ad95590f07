"""Making the view of an owner who follows an agent's past (``GET /v1/owner/stream`` with ``from_tick``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.requests import Request

from api.accounts.auth import Session
from api.errors import ApiError
from api.past.routes import tick_of
from api.past.whereabouts import AgentWhereabouts, EventLogAway, recent_tick
from api.services import Services
from streaming.agent_rewind import AgentRewind, Start, Stay
from streaming.cursor import PlayedPlace
from streaming.follow import Follow
from streaming.playing import PAGE_DELTAS
from streaming.subscriber_queue import SubscriberQueue

#: Any chunk will do to find a moment's tick: all shards count the same ones.
ANY_CHUNK: Final = "chunk-0"


async def agent_rewind(
    request: Request,
    session: Session,
    agent_id: str,
    seen: PlayedPlace | None,
    from_tick: int,
    speed: float,
    *,
    live: Callable[[str | None], Follow],
    queue: SubscriberQueue,
    trace_id: str,
    hello: dict[str, object],
) -> AgentRewind:
    """Return the view of what happened to an agent from a moment on.

    Args:
        seen: what a reader who comes back has seen.
        from_tick: a tick, or a Unix time in milliseconds.
        live: makes the view that goes on after an event id.

    Raises:
        ApiError: ``rate_limited``; ``overloaded``: too many play, or ask; ``unavailable``: the recordings or the
            database are away.
    """
    services: Services = request.app.state.services
    past = services.past
    await services.limits.watching(request, session)
    if past.full:
        raise ApiError("overloaded")
    where = AgentWhereabouts(services, agent_id)
    if seen is None:
        recent = await recent_tick(services, agent_id, from_tick)
        first = await tick_of(past, ANY_CHUNK, from_tick) if recent is None else recent
        stay = await _stay(where, first - 1)
        first = first if stay is None else max(first, stay.since)
    else:
        first, stay = seen.tick, Stay(seen.chunk_id, seen.tick)
    page = None if stay is None else await past.agent_page(agent_id, stay.chunk_id, first, PAGE_DELTAS)
    return AgentRewind(
        past,
        where.stay,
        services.redis,
        live,
        queue,
        Start(first, page, seen),
        trace_id,
        hello,
        agent_id=agent_id,
        hz=services.settings.tick_hz,
        speed=speed,
        recorded=services.settings.recordings,
    )


async def _stay(where: AgentWhereabouts, tick: int) -> Stay | None:
    try:
        return await where.stay(tick)
    except EventLogAway:
        raise ApiError("unavailable") from None
