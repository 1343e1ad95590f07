"""What operators may look at: ``GET /v1/operator/...``, for the roles ``viewer`` and ``operator``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.errors import ApiError
from api.fields import AgentIdField, ChunkIdPath
from api.ids import is_chunk_id
from api.operator import models
from api.operator.agent_page import agent_page
from api.operator.callers import operator_token
from api.operator.chunk_table import chunk_row
from api.operator.cluster_state import actor_rows
from api.operator.console import console_of
from api.operator.feed import FeedView
from api.operator.gate import OperatorRoute, caller_of
from api.operator.paging import PAGE, PAGE_MAX, cursor_after, natural, offset_of, page
from api.operator.rows import audit_row, ban_row, operator_row
from api.responses import refusals
from api.services import Services
from api.sockets.sse import SseResponse
from api.sockets.streams import streams_of, trace_of
from store import audit, bans, operators
from streaming import keys
from streaming.shared_clock import now_ms
from streaming.subscriber_queue import WATCHER_CAPACITY, SubscriberQueue

#: What any call may be refused for.
GATE: Final = ("invalid_token", "operators_closed", "invalid_scope", "not_local", "rate_limited")
MEMBERS_SHOWN: Final = 500
MOVES_MAX: Final = 1_000
NO_STORE: Final = {"cache-control": "no-store"}

router = APIRouter(prefix="/v1/operator", tags=["operators"], route_class=OperatorRoute, dependencies=[operator_token])

Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
Cursor = Annotated[str | None, Query(max_length=32, description="`next` of the page before.")]
Order = Annotated[Literal["asc", "desc"], Query()]


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json", headers=NO_STORE)


@router.get("/me", response_model=models.Me, responses=refusals(*GATE))
async def me(request: Request) -> Response:
    """Return who calls."""
    caller = caller_of(request)
    return _json({"name": caller.name, "role": caller.role, "expires_at_ms": caller.expires_at_ms})


@router.get("/overview", response_model=models.Overview, responses=refusals(*GATE))
async def overview(request: Request) -> Response:
    """Return how the world is, and was in the last hour."""
    figures = console_of(request).figures
    found = await figures.overview(await figures.status(), await figures.marks())
    return _json({**found, "hour": await figures.hour()})


@router.get("/status", response_model=dict[str, Any], responses=refusals(*GATE))
async def status(request: Request) -> Response:
    """Return what the coordinator has last written down, as `chunkcrawl status --json` prints it."""
    return _json(await console_of(request).figures.status())


@router.get("/nodes", response_model=models.Nodes, responses=refusals(*GATE))
async def nodes(request: Request) -> Response:
    """List the nodes of the cluster."""
    figures = console_of(request).figures
    return _json({"rows": await figures.nodes(await figures.status())})


@router.get("/actors", response_model=models.Actors, responses=refusals(*GATE))
async def actors(request: Request) -> Response:
    """List the processes of the world."""
    return _json({"rows": actor_rows(await console_of(request).figures.status())})


@router.get("/shards", response_model=models.Shards, responses=refusals(*GATE))
async def shards(request: Request) -> Response:
    """List the shards with the times of their ticks and commits."""
    figures = console_of(request).figures
    return _json({"rows": figures.shards(await figures.status(), await figures.marks())})


_CHUNK_SORTS: Final[dict[str, Callable[[tuple[str, Any]], Any]]] = {
    "chunk": lambda item: natural(item[0]),
    "shard": lambda item: (item[1][0], natural(item[0])),
    "agents": lambda item: (item[1][1], natural(item[0])),
    "cost": lambda item: (item[1][2], natural(item[0])),
    "commands": lambda item: (item[1][3], natural(item[0])),
    "watchers": lambda item: (item[1][4], natural(item[0])),
}


@router.get("/chunks", response_model=models.Chunks, responses=refusals(*GATE))
async def chunks(
    request: Request,
    sort: Annotated[Literal["chunk", "shard", "agents", "cost", "commands", "watchers"], Query()] = "chunk",
    order: Order = "asc",
    shard: Annotated[int | None, Query(ge=0, le=100_000)] = None,
    frozen: Annotated[bool | None, Query(description="Only those that are frozen, or are not.")] = None,
    q: Annotated[str | None, Query(max_length=64, description="Part of the id.")] = None,
    min_agents: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """List chunks, a second or so old: sorted, filtered, a page at a time."""
    console, offset = console_of(request), offset_of(cursor)
    marks, cells = await console.marks_and_cells()
    held = set(marks["frozen"])
    found = [
        item
        for item in cells.items()
        if (shard is None or item[1][0] == shard)
        and item[1][1] >= min_agents
        and (q is None or q in item[0])
        and (frozen is None or (marks["world_frozen"] or item[0] in held) is frozen)
    ]
    rows = page(found, _CHUNK_SORTS[sort], descending=order == "desc", offset=offset, limit=limit)
    return _json(
        {
            "rows": [chunk_row(chunk_id, one, marks) for chunk_id, one in rows],
            "total": len(found),
            "next": cursor_after(offset, len(rows), len(found)),
        }
    )


@router.get("/chunks/{chunk_id}", response_model=models.ChunkInfo, responses=refusals(*GATE, "chunk_not_found"))
async def chunk(chunk_id: ChunkIdPath, request: Request) -> Response:
    """Return a chunk, its neighbours and who stands in it."""
    console = console_of(request)
    marks, cells = await console.marks_and_cells()
    if not is_chunk_id(chunk_id) or chunk_id not in cells:
        raise ApiError("chunk_not_found")
    redis = console.services.batch
    sides = await redis.command("HMGET", keys.chunk(chunk_id), *"NESW")
    members = sorted(name.decode() for name in await redis.command("SMEMBERS", keys.members(chunk_id)))
    neighbors = {side: None if one is None else one.decode() for side, one in zip("NESW", sides, strict=True)}
    row = chunk_row(chunk_id, cells[chunk_id], marks)
    return _json({**row, "neighbors": neighbors, "members": members[:MEMBERS_SHOWN]})


@router.get("/map", response_model=models.MapColumns, responses=refusals(*GATE))
async def chunk_map(request: Request) -> Response:
    """Return all chunks on a grid, as columns."""
    console = console_of(request)
    marks, cells = await console.marks_and_cells()
    places = await console.map.places()
    shown = [(chunk_id, one, places[chunk_id]) for chunk_id, one in cells.items() if chunk_id in places]
    return _json(
        {
            "at_ms": now_ms(),
            "ids": [chunk_id for chunk_id, _, _ in shown],
            "shard": [one[0] for _, one, _ in shown],
            "agents": [one[1] for _, one, _ in shown],
            "cost_us": [one[2] for _, one, _ in shown],
            "x": [place[0] for _, _, place in shown],
            "y": [place[1] for _, _, place in shown],
            "frozen": marks["frozen"],
            "pinned": marks["pinned"],
        }
    )


_AGENT_SORTS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "agent": lambda row: row["agent_id"],
    "chunk": lambda row: (natural(row["chunk_id"]), row["agent_id"]),
    "doing": lambda row: (row["doing"] or "", row["agent_id"]),
}


@router.get("/agents", response_model=models.Agents, responses=refusals(*GATE))
async def agents(
    request: Request,
    sort: Annotated[Literal["agent", "chunk", "doing"], Query()] = "agent",
    order: Order = "asc",
    chunk: Annotated[str | None, Query(max_length=64)] = None,
    q: Annotated[str | None, Query(max_length=128, description="Part of the agent's or the account's id.")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """List who stands in the world, some seconds old: sorted, filtered, a page at a time."""
    offset = offset_of(cursor)
    found = [
        row
        for row in await console_of(request).figures.agents.rows()
        if (chunk is None or row["chunk_id"] == chunk) and (q is None or q in row["agent_id"] or q in row["account_id"])
    ]
    rows = page(found, _AGENT_SORTS[sort], descending=order == "desc", offset=offset, limit=limit)
    return _json({"rows": rows, "total": len(found), "next": cursor_after(offset, len(rows), len(found))})


@router.get("/agents/{agent_id}", response_model=models.AgentDetails, responses=refusals(*GATE, "agent_not_found"))
async def agent(agent_id: Annotated[AgentIdField, Path()], request: Request) -> Response:
    """Return one agent: where it is, what it does, owns and did, its sessions, how it stands."""
    return _json(await agent_page(request, agent_id))


@router.get("/moderation", response_model=models.Standings, responses=refusals(*GATE))
async def moderation(request: Request, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
    """List agents that were given a strike or muted of late, the last one first."""
    offset = offset_of(cursor)
    rows, total = await console_of(request).figures.standings(offset, limit)
    return _json({"rows": rows, "total": total, "next": cursor_after(offset, len(rows), total)})


@router.get("/bans", response_model=models.Bans, responses=refusals(*GATE))
async def list_bans(request: Request, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
    """List the bans in force, the newest first."""
    services: Services = request.app.state.services
    offset = offset_of(cursor)
    found, total = await bans.newest(services.engine, offset=offset, limit=limit)
    rows = [ban_row(ban) for ban in found]
    return _json({"rows": rows, "total": total, "next": cursor_after(offset, len(rows), total)})


@router.get("/moves", response_model=models.Moves, responses=refusals(*GATE))
async def moves(request: Request, limit: Annotated[int, Query(ge=1, le=MOVES_MAX)] = PAGE) -> Response:
    """List the chunks that move and have moved, the newest first, and what is pinned."""
    operating = console_of(request).figures.operating
    under_way, rows = await operating.moves(limit)
    return _json({"under_way": under_way, "rows": rows, "pinned": await operating.pins()})


@router.get("/backups", response_model=models.Backups, responses=refusals(*GATE))
async def backups(request: Request) -> Response:
    """List the backups in the directory of the gateway that answers."""
    operating = console_of(request).figures.operating
    running = [job for job in await operating.jobs() if job["state"] == "running"]
    return _json({"rows": await operating.backups(), "job": running[0] if running else None})


@router.get("/jobs", response_model=models.Jobs, responses=refusals(*GATE))
async def jobs(request: Request) -> Response:
    """List the newest backups and checks that were begun here, with how far they are."""
    return _json({"rows": await console_of(request).figures.operating.jobs()})


@router.get("/audit", response_model=models.Audit, responses=refusals(*GATE))
async def audit_log(
    request: Request,
    operator: Annotated[str | None, Query(max_length=128)] = None,
    action: Annotated[str | None, Query(max_length=64)] = None,
    subject: Annotated[str | None, Query(max_length=200)] = None,
    outcome: Annotated[Literal["begun", "done", "refused", "failed"] | None, Query()] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """List what operators did, the newest first, also what was refused or has failed."""
    services: Services = request.app.state.services
    found = await audit.lines(
        services.engine,
        before=_number(cursor),
        operator=_stored(operator),
        action=_stored(action),
        subject=_stored(subject),
        outcome=outcome,
        limit=limit,
    )
    following = f"a{found[-1].audit_id}" if len(found) == limit else None
    return _json({"rows": [audit_row(line) for line in found], "next": following})


@router.get("/operators", response_model=models.Operators, responses=refusals(*GATE))
async def list_operators(request: Request) -> Response:
    """List the operators, never with a token."""
    services: Services = request.app.state.services
    return _json({"rows": [operator_row(one) for one in await operators.list_all(services.engine)]})


@router.get(
    "/stream",
    response_class=SseResponse,
    status_code=200,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The figures."},
        **refusals(*GATE, "draining"),
    },
)
async def stream(request: Request) -> Response:
    """Stream all figures of the console as server-sent events: everything first, then what changes."""
    streams, console, caller = streams_of(request), console_of(request), caller_of(request)
    hello = {"name": caller.name, "role": caller.role, "period_ms": round(console.feed.period_s * 1000)}
    queue = SubscriberQueue(WATCHER_CAPACITY, "drop_and_resync")
    view = FeedView(console.feed, queue, hello, trace_of(request))
    return SseResponse(view, streams.connections.open("operator_sse", caller, queue))


def _number(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    digits = cursor.removeprefix("a")
    if digits == cursor or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        raise ApiError("bad_request", words="cursor must be what `next` of the page before was")
    return int(digits)


def _stored(word: str | None) -> str | None:
    """Return a word as the audit log would have it: without what PostgreSQL can't hold."""
    return None if word is None else "".join(char if char.isprintable() else "?" for char in word)
