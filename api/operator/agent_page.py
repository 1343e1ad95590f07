"""One agent, for operators: where it is and what it does, owns and did, who it belongs to, and how it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.requests import Request

from api import keys as gateway_keys
from api.errors import ApiError
from api.operator.rows import ban_row, moment_ms, standing_row
from api.services import Services
from api.sockets.connections import Connections
from store import agents, event_log, sessions
from streaming import keys

HISTORY_SHOWN: Final = 50
SESSIONS_SHOWN: Final = 50


async def agent_page(request: Request, agent_id: str) -> dict[str, Any]:
    """Return all that is known of an agent.  Raises ``ApiError``: ``agent_not_found``."""
    services: Services = request.app.state.services
    fields, channel, difficulty, standing, owner, rows, page = await asyncio.gather(
        services.batch.command("HGETALL", keys.agent(agent_id)),
        services.batch.command("GET", keys.connection(agent_id)),
        services.batch.command("HGET", gateway_keys.difficulty(agent_id), "level"),
        services.strikes.standing(agent_id),
        agents.owner_of(services.engine, agent_id),
        sessions.of_agent(services.engine, agent_id, limit=SESSIONS_SHOWN),
        event_log.history(services.engine, agent_id, limit=HISTORY_SHOWN),
    )
    known = _text(fields)
    ban = services.bans.of("agent", agent_id)
    if not known and owner is None and ban is None:
        raise ApiError("agent_not_found")
    account_id = known.get("account") or owner
    account_ban = services.bans.of("account", account_id)
    record = orjson.loads(known["rec"]) if known.get("rec") else {}
    alive = await services.auth.still_alive([row.jti for row in rows])
    here = known.get("here") == "1"
    return {
        "agent_id": agent_id,
        "account_id": account_id,
        "chunk_id": known.get("chunk") or None,
        "here": here,
        "x": record.get("x"),
        "y": record.get("y"),
        "doing": known.get("busy") or None,
        "tick": int(known["at"]) if known.get("at") else None,
        "inventory": {"gold": record.get("gold", 0)},
        "connected": channel is not None,
        "connections": _connections(request, agent_id),
        "sessions": [
            {
                "session_jti": row.jti,
                "role": row.role,
                "created_at_ms": moment_ms(row.created_at),
                "expires_at_ms": moment_ms(row.expires_at),
                "revoked": row.revoked_at is not None,
                "alive": row.jti in alive,
            }
            for row in rows
        ],
        "standing": standing_row(agent_id, standing),
        "ban": None if ban is None else ban_row(ban),
        "account_ban": None if account_ban is None else ban_row(account_ban),
        "difficulty": None if difficulty is None else int(difficulty),
        "history": [
            {
                "entry_id": event.entry_id,
                "at_ms": moment_ms(event.at),
                "tick": event.tick,
                "chunk_id": event.chunk_id,
                "kind": event.kind,
                "details": dict(event.payload),
            }
            for event in page.events
        ],
    }


def _connections(request: Request, agent_id: str) -> list[dict[str, Any]]:
    connections: Connections = request.app.state.streams.connections
    return [
        {"kind": connection.kind, "session_jti": connection.jti, "open_s": round(connection.open_s, 1)}
        for connection in connections.of_agent(agent_id)
    ]


def _text(found: Any) -> dict[str, str]:
    pairs = found.items() if isinstance(found, Mapping) else zip(found[::2], found[1::2], strict=True)
    return {name.decode(): value.decode() for name, value in pairs}
