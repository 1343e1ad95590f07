"""Accounts, API keys and agents over HTTP (contract, "Endpoints")."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from api import ids
from api.accounts.auth import Principal
from api.accounts.principals import account, account_or_key
from api.accounts.tokens import new_account_token, new_api_key, new_id, sha256_hex
from api.errors import ApiError
from api.fields import AgentIdField, EmailField, LabelField, PasswordField
from api.responses import refusals
from api.services import Services
from store import accounts, agents, api_keys
from store import sessions as session_rows
from store.accounts import EmailTaken
from store.agents import OwnedAgent
from store.api_keys import KeyLimitReached, KeyRecord, PrefixTaken
from streaming.shared_clock import utc_now

router = APIRouter()

#: Ten years: longer than any key should live, and far from where dates end.
KEY_LIFE_MAX_S: Final = 315_360_000
PREFIX_TRIES: Final = 3
AGENTS_PAGE_MAX: Final = 1000


class SignupRequest(BaseModel):
    """Who signs up."""

    email: EmailField
    password: PasswordField


class SignupResponse(BaseModel):
    """A new account, with the only showing of its token."""

    account_id: str
    email: str = Field(description="In the normal form in which it is stored.")
    account_token: str = Field(description="Shown once; authorises account calls as a bearer token.")


class CreateKeyRequest(BaseModel):
    """What a new API key is to be."""

    account_id: str | None = Field(
        None, max_length=64, description="Whose key; the credentials say it too, so it may be left out."
    )
    label: LabelField | None = None
    expires_in_s: int | None = Field(None, ge=1, le=KEY_LIFE_MAX_S, description="Life of the key; null: no end.")


class KeyInfo(BaseModel):
    """An API key without the key itself."""

    key_id: str
    key_prefix: str
    label: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class CreateKeyResponse(KeyInfo):
    """A new API key, with the only showing of the key itself."""

    account_id: str
    api_key: str = Field(description="The key itself, shown once.")


class KeyList(BaseModel):
    """The API keys of an account."""

    keys: list[KeyInfo]


class AgentInfo(BaseModel):
    """An agent of the account."""

    agent_id: str
    created_at: datetime
    thoughts_public: bool = Field(description="Whether anybody may read what it thinks, on its public page.")


class AgentChange(BaseModel):
    """What is to be different about an agent."""

    thoughts_public: bool = Field(strict=True, description="Whether anybody may read what it thinks.")


class AgentList(BaseModel):
    """A page of an account's agents."""

    agents: list[AgentInfo]
    next: str | None = Field(description="Pass it as `after` for the next page; null: there is none.")


@router.post(
    "/v1/signup",
    status_code=201,
    responses=refusals("email_already_exists", "rate_limited", "overloaded"),
    tags=["accounts"],
)
async def signup(body: SignupRequest, request: Request) -> SignupResponse:
    """Open an account."""
    services: Services = request.app.state.services
    with services.passwords.place() as place:
        await services.limits.signup(request)
        # Asked first only to spare the hash; the constraint decides.
        if await accounts.exists(services.engine, body.email):
            raise ApiError("email_already_exists")
        password_hash = await place.hash(body.password)
    account_id, token = new_id("acc"), new_account_token()
    try:
        await accounts.create(
            services.engine,
            account_id=account_id,
            email=body.email,
            password_hash=password_hash,
            token_hash=sha256_hex(token),
        )
    except EmailTaken:
        raise ApiError("email_already_exists") from None
    return SignupResponse(account_id=account_id, email=body.email, account_token=token)


@router.post(
    "/v1/keys",
    status_code=201,
    responses=refusals(
        *("invalid_session", "invalid_credentials", "invalid_scope", "key_limit_reached", "rate_limited", "overloaded")
    ),
    tags=["accounts"],
)
async def create_key(
    body: CreateKeyRequest, request: Request, caller: Annotated[Principal, Depends(account)]
) -> CreateKeyResponse:
    """Make an API key; it is in the answer and nowhere else."""
    services: Services = request.app.state.services
    if body.account_id is not None and body.account_id != caller.account_id:
        raise ApiError("invalid_scope")
    life = body.expires_in_s
    expires_at = None if life is None else utc_now() + timedelta(seconds=life)
    for _ in range(PREFIX_TRIES):
        key = new_api_key()
        try:
            record = await api_keys.create(
                services.engine,
                key_id=new_id("key"),
                account_id=caller.account_id,
                prefix=key.prefix,
                key_hash=key.digest,
                label=body.label,
                expires_at=expires_at,
                limit=services.settings.account_keys_max,
            )
        except PrefixTaken:
            continue
        except KeyLimitReached:
            raise ApiError("key_limit_reached") from None
        return CreateKeyResponse(api_key=key.plain, account_id=caller.account_id, **_key_info(record).model_dump())
    raise ApiError("unavailable")


@router.get(
    "/v1/keys",
    responses=refusals("invalid_session", "invalid_credentials", "rate_limited", "overloaded"),
    tags=["accounts"],
)
async def list_keys(request: Request, caller: Annotated[Principal, Depends(account)]) -> KeyList:
    """List the account's keys, revoked and expired ones too; never a key itself."""
    services: Services = request.app.state.services
    return KeyList(keys=[_key_info(record) for record in await api_keys.list_of(services.engine, caller.account_id)])


@router.delete(
    "/v1/keys/{key_id}",
    responses=refusals("invalid_session", "invalid_credentials", "key_not_found", "rate_limited", "overloaded"),
    tags=["accounts"],
)
async def revoke_key(
    key_id: Annotated[str, Path(max_length=64)], request: Request, caller: Annotated[Principal, Depends(account)]
) -> KeyInfo:
    """Revoke a key: it opens no session any more, and those it has opened end.  Doing it again changes nothing."""
    services: Services = request.app.state.services
    revoked_at = await api_keys.revoke(services.engine, caller.account_id, key_id) if ids.is_cmd_id(key_id) else None
    if revoked_at is None:
        raise ApiError("key_not_found")
    services.key_ring.forget(key_id)
    await services.sessions.revoke_key(key_id)
    await session_rows.revoke_of_key(services.engine, key_id)
    records = await api_keys.list_of(services.engine, caller.account_id)
    return next(_key_info(record) for record in records if record.key_id == key_id)


@router.get(
    "/v1/agents",
    responses=refusals("invalid_session", "invalid_credentials", "invalid_api_key", "rate_limited", "overloaded"),
    tags=["accounts"],
)
async def list_agents(
    request: Request,
    caller: Annotated[Principal, Depends(account_or_key)],
    after: AgentIdField | None = None,
    limit: Annotated[int, Query(ge=1, le=AGENTS_PAGE_MAX)] = AGENTS_PAGE_MAX,
) -> AgentList:
    """List the account's agents by id, a page at a time."""
    services: Services = request.app.state.services
    found = await agents.list_of(services.engine, caller.account_id, after=after or "", limit=limit)
    return AgentList(
        agents=[_agent_info(agent) for agent in found],
        next=found[-1].agent_id if len(found) == limit else None,
    )


@router.patch(
    "/v1/agents/{agent_id}",
    responses=refusals(
        *("invalid_session", "invalid_credentials", "invalid_api_key", "agent_not_owned", "agent_not_found"),
        *("rate_limited", "overloaded"),
    ),
    tags=["accounts"],
)
async def change_agent(
    agent_id: Annotated[AgentIdField, Path()],
    body: AgentChange,
    request: Request,
    caller: Annotated[Principal, Depends(account_or_key)],
) -> AgentInfo:
    """Say whether anybody may read what an agent of the account thinks; at first nobody else may."""
    services: Services = request.app.state.services
    changed = await agents.show_thoughts(services.engine, agent_id, caller.account_id, public=body.thoughts_public)
    if changed is None:
        known = await agents.owner_of(services.engine, agent_id) is not None
        raise ApiError("agent_not_owned" if known else "agent_not_found")
    return _agent_info(changed)


def _agent_info(agent: OwnedAgent) -> AgentInfo:
    return AgentInfo(agent_id=agent.agent_id, created_at=agent.created_at, thoughts_public=agent.thoughts_public)


def _key_info(record: KeyRecord) -> KeyInfo:
    return KeyInfo(
        key_id=record.key_id,
        key_prefix=record.prefix,
        label=record.label,
        created_at=record.created_at,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
    )
