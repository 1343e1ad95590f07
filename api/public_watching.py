"""A spectator's session for anybody, without a key, where ``CHUNKCRAWL_PUBLIC_WATCHING`` allows it."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request

from api.accounts.session_routes import SessionResponse, session_opened
from api.errors import ApiError
from api.responses import refusals
from api.services import Services
from store import accounts

#: Whose such sessions are; nobody can sign up under the reserved top-level name, or log in.
PUBLIC_ACCOUNT_ID: Final = "acc_public"
PUBLIC_EMAIL: Final = "public@chunkcrawl.invalid"

router = APIRouter()


@router.post(
    "/v1/spectate/session",
    status_code=201,
    responses=refusals("watching_not_public", "rate_limited"),
    tags=["watching"],
)
async def open_public_session(request: Request) -> SessionResponse:
    """Open a spectator's session for whoever asks, where the server's settings let anybody watch."""
    services: Services = request.app.state.services
    if not services.settings.public_watching:
        raise ApiError("watching_not_public")
    await services.limits.public_session(request)
    await accounts.ensure(services.engine, PUBLIC_ACCOUNT_ID, PUBLIC_EMAIL)
    opened = await services.sessions.open(
        role="spectator",
        account_id=PUBLIC_ACCOUNT_ID,
        agent_id=None,
        key_id=None,
        key_expires_at=None,
        now_s=services.now_s(),
    )
    return session_opened(services, opened)
