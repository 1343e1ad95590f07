"""Dev routes: sessions without a key and moves without a challenge; dead in prod (contract, "Endpoints")."""

from __future__ import annotations

import secrets
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from api.accounts.auth import DEV_ACCOUNT_ID, Role, Session, require
from api.accounts.session_routes import SessionResponse, session_opened
from api.errors import ApiError
from api.fields import AgentIdField
from api.ids import trace_id_or_new
from api.ports import SubmittedCommand, WorldUnavailable
from api.responses import refusals
from api.services import Services
from store import accounts
from streaming import keys
from streaming.shared_clock import now_ms

DEMO_AGENT_ID: Final = "demo-player"
#: Under the reserved top-level name, so nobody can sign up with it.
DEV_EMAIL: Final = "dev@chunkcrawl.invalid"


class DevOwnerRequest(BaseModel):
    """The agent to be followed."""

    agent_id: AgentIdField = DEMO_AGENT_ID


class DevMoveRequest(BaseModel):
    """An agent and where it is to go."""

    agent_id: AgentIdField
    x: int = Field(strict=True, ge=-(2**53 - 1), le=2**53 - 1)
    y: int = Field(strict=True, ge=-(2**53 - 1), le=2**53 - 1)


class DevMoveResponse(BaseModel):
    """What was decided about the move."""

    server_cmd_id: str
    accepted: bool
    reason: str | None = None
    started_tick: int | None = None


def only_for_developers(request: Request) -> None:
    """Refuse (``dev_routes_disabled``, ``not_local``) in prod and to foreign pages, before all else is looked at."""
    services: Services = request.app.state.services
    if services.settings.is_prod:
        raise ApiError("dev_routes_disabled")
    services.local_only.check(request)


router = APIRouter(prefix="/v1/dev", dependencies=[Depends(only_for_developers)], tags=["dev"])
#: Those that existing pages also know under ``/api/v1``.
aliased = APIRouter(prefix="/v1/dev", dependencies=[Depends(only_for_developers)], tags=["dev"])


@router.post("/spectator-session", status_code=201, responses=refusals("dev_routes_disabled", "not_local"))
async def spectator_session(request: Request) -> SessionResponse:
    """Open a spectator's session, without a key."""
    return await _dev_session(request, "spectator", None)


@aliased.post("/owner-session", status_code=201, responses=refusals("dev_routes_disabled", "not_local"))
async def owner_session(request: Request, body: DevOwnerRequest | None = None) -> SessionResponse:
    """Open an owner's session for any agent, without a key."""
    return await _dev_session(request, "owner_spectator", DEMO_AGENT_ID if body is None else body.agent_id)


@aliased.post(
    "/agent/move-to",
    responses=refusals("dev_routes_disabled", "not_local", "invalid_session", "banned", "agent_not_found"),
)
async def move_to(body: DevMoveRequest, request: Request, _: Annotated[Session, Depends(require())]) -> DevMoveResponse:
    """Move an agent that stands in the world, without a challenge."""
    services: Services = request.app.state.services
    if await services.batch.command("HGET", keys.agent(body.agent_id), "here") != b"1":
        raise ApiError("agent_not_found")
    server_cmd_id = f"dev-{secrets.token_hex(8)}"
    command = SubmittedCommand(
        agent_id=body.agent_id,
        server_cmd_id=server_cmd_id,
        client_cmd_id=server_cmd_id,
        cmd={"type": "move_to", "x": body.x, "y": body.y},
        trace_id=trace_id_or_new(request.state.trace_id),
        deadline_ms=now_ms() + services.ingress.rules.decide_within_ms,
    )
    try:
        decision = await services.world.submit(command)
    except WorldUnavailable as error:
        raise ApiError(error.reason) from None
    return DevMoveResponse(
        server_cmd_id=server_cmd_id,
        accepted=decision.accepted,
        reason=decision.reason,
        started_tick=decision.started_tick,
    )


async def _dev_session(request: Request, role: Role, agent_id: str | None) -> SessionResponse:
    services: Services = request.app.state.services
    await accounts.ensure(services.engine, DEV_ACCOUNT_ID, DEV_EMAIL)
    opened = await services.sessions.open(
        role=role,
        account_id=DEV_ACCOUNT_ID,
        agent_id=agent_id,
        key_id=None,
        key_expires_at=None,
        now_s=services.now_s(),
    )
    return session_opened(services, opened)
