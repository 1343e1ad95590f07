"""Sessions over HTTP: open, refresh, revoke (contract, "Endpoints")."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from api import metrics
from api.accounts.auth import DEV_TOKEN_JTI, Role, Session, connection_token, require
from api.accounts.ownership import claim_agent
from api.accounts.sessions import OpenedSession
from api.accounts.tokens import sha256_hex
from api.errors import ApiError
from api.fields import AgentIdField
from api.responses import refusals
from api.services import Services
from store.sessions import SessionRecord
from streaming.shared_clock import utc_now

router = APIRouter()


class SessionRequest(BaseModel):
    """Which session is to be opened."""

    api_key: str = Field(max_length=128, repr=False)
    role: Role
    agent_id: AgentIdField | None = Field(None, description="Needed for every role but `spectator`.")


class SessionState(BaseModel):
    """A session without its secrets."""

    session_jti: str
    role: Role
    agent_id: str | None
    expires_at: int = Field(description="Unix time in seconds.")
    expires_in_s: int = Field(description="Seconds from this answer to that moment, whatever clocks say.")


class SessionResponse(SessionState):
    """A new session, with the only showing of its token and command secret."""

    session_token: str = Field(description="Shown once; goes into `Authorization: Bearer`.")
    cmd_secret: str = Field(description="Shown once; signs commands.")


class SessionRevoked(BaseModel):
    """The session that was ended."""

    session_jti: str
    revoked: bool = True


@router.post(
    "/v1/sessions",
    status_code=201,
    responses=refusals(
        *("agent_id_required", "invalid_api_key", "agent_not_owned", "agent_limit_reached"),
        *("banned", "rate_limited", "too_many_sessions"),
    ),
    tags=["sessions"],
)
async def open_session(body: SessionRequest, request: Request) -> SessionResponse:
    """Open a session with an API key.  An agent id that nobody has becomes the key's account's."""
    services: Services = request.app.state.services
    agent_id = None if body.role == "spectator" else body.agent_id
    if agent_id is None and body.role != "spectator":
        raise ApiError("agent_id_required")
    key = await services.limits.prove_key(services.key_ring, request, body.api_key)
    await services.limits.session(key.account_id)
    await services.bans.check(key.account_id, agent_id)
    if agent_id is not None:
        await claim_agent(services.agent_claims, services.batch, agent_id, key.account_id)
    opened = await services.sessions.open(
        role=body.role,
        account_id=key.account_id,
        agent_id=agent_id,
        key_id=key.key_id,
        key_expires_at=None if key.expires_at is None else int(key.expires_at.timestamp()),
        now_s=services.now_s(),
    )
    return session_opened(services, opened)


@router.post("/v1/sessions/refresh", responses=refusals("invalid_session", "banned", "not_local"), tags=["sessions"])
async def refresh_session(request: Request, session: Annotated[Session, Depends(require())]) -> SessionState:
    """Extend the caller's session to its full life from now; never beyond the end of its API key."""
    services: Services = request.app.state.services
    if session.jti != DEV_TOKEN_JTI:
        token = connection_token(request) or ""
        session = await services.sessions.refresh(session, token, services.now_s())
        services.session_log.put(_record(session, token))
    return SessionState(
        session_jti=session.jti,
        role=session.role,
        agent_id=session.agent_id,
        expires_at=session.expires_at,
        expires_in_s=max(0, session.expires_at - services.now_s()),
    )


@router.delete("/v1/sessions", responses=refusals("invalid_session", "banned", "not_local"), tags=["sessions"])
async def revoke_session(request: Request, session: Annotated[Session, Depends(require())]) -> SessionRevoked:
    """End the caller's session; its sockets and streams are closed."""
    services: Services = request.app.state.services
    if session.jti == DEV_TOKEN_JTI:
        # The fixed token stands for no session that could end.
        return SessionRevoked(session_jti=session.jti, revoked=False)
    token = connection_token(request) or ""
    await services.sessions.revoke(session, token)
    services.session_log.put(_record(session, token, revoked=True))
    return SessionRevoked(session_jti=session.jti)


def session_opened(services: Services, opened: OpenedSession) -> SessionResponse:
    """Return the answer for a new session; its row is on its way to PostgreSQL."""
    session = opened.session
    services.session_log.put(_record(session, opened.token))
    metrics.SESSIONS_OPENED.labels(session.role).inc()
    return SessionResponse(
        session_token=opened.token,
        session_jti=session.jti,
        role=session.role,
        agent_id=session.agent_id,
        cmd_secret=session.cmd_secret,
        expires_at=session.expires_at,
        expires_in_s=max(0, session.expires_at - services.now_s()),
    )


def _record(session: Session, token: str, *, revoked: bool = False) -> SessionRecord:
    now = utc_now()
    return SessionRecord(
        jti=session.jti,
        token_hash=sha256_hex(token),
        account_id=session.account_id,
        key_id=session.key_id,
        role=session.role,
        agent_id=session.agent_id,
        created_at=now,
        expires_at=datetime.fromtimestamp(session.expires_at, UTC),
        revoked_at=now if revoked else None,
    )
