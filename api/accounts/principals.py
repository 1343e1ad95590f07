"""Account credentials: the account token, e-mail and password by HTTP Basic, or an API key."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Final

from fastapi import Security
from fastapi.openapi.models import HTTPBase as HTTPBaseModel
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection, Request

from api.accounts.auth import Principal, authorization, session_token
from api.accounts.passwords import MAX_CHARS as PASSWORD_MAX_CHARS
from api.accounts.tokens import API_KEY_PREFIX_LENGTH, is_token, sha256_hex
from api.errors import ApiError
from api.services import Services
from store import accounts, agents
from store.email_address import BadEmail, normal_form

MAX_BASIC_CHARS: Final = 2048
#: Why an endpoint refuses that is for an agent's owner (``agents_owner``, ``check_owner``) and has a limit.
OWNERS_REFUSALS: Final = (
    *("invalid_session", "invalid_credentials", "invalid_api_key", "invalid_scope", "agent_mismatch"),
    *("agent_not_owned", "agent_not_found", "rate_limited", "overloaded"),
)


class _Scheme(SecurityBase):
    """Shows a way to authenticate in the OpenAPI document; the endpoint's dependency reads the header itself."""

    def __init__(self, name: str, model: Any) -> None:
        self.scheme_name = name
        self.model = model

    async def __call__(self, connection: HTTPConnection) -> str | None:
        return connection.headers.get("authorization")


account_token = _Scheme("account", HTTPBearerModel(description="`account_token` of `POST /v1/signup`"))
password = _Scheme("password", HTTPBaseModel(scheme="basic", description="E-mail and password"))
api_key = _Scheme("key", HTTPBearerModel(description="An API key, `dcw_...`"))


async def account(
    request: Request,
    header: Annotated[str | None, Security(account_token)],
    _: Annotated[str | None, Security(password)],
) -> Principal:
    """Return the account that calls, by its token or by e-mail and password.

    Raises:
        ApiError: ``invalid_session``: no credentials, or a token that is none; ``invalid_credentials``: a wrong
            e-mail or password, not saying which; ``rate_limited``: too many of these; ``overloaded``.
    """
    services: Services = request.app.state.services
    parsed = authorization(header)
    if parsed is None:
        raise ApiError("invalid_session")
    scheme, credentials = parsed
    if scheme == "basic":
        return await _by_password(services, request, credentials)
    if scheme == "bearer" and is_token(credentials):
        account_id = await accounts.by_token_hash(services.engine, sha256_hex(credentials))
        if account_id is not None:
            return Principal(account_id)
    await services.limits.bad_token(request)
    raise ApiError("invalid_session")


async def account_or_key(
    request: Request,
    header: Annotated[str | None, Security(account_token)],
    basic: Annotated[str | None, Security(password)],
    _: Annotated[str | None, Security(api_key)],
) -> Principal:
    """Return the account as ``account`` does, or by one of its API keys (``invalid_api_key``)."""
    parsed = authorization(header)
    if parsed is not None and parsed[0] == "bearer" and _looks_like_key(parsed[1]):
        services: Services = request.app.state.services
        key = await services.limits.prove_key(services.key_ring, request, parsed[1])
        return Principal(key.account_id)
    return await account(request, header, basic)


async def agents_owner(
    request: Request,
    header: Annotated[str | None, Security(account_token)],
    basic: Annotated[str | None, Security(password)],
    key: Annotated[str | None, Security(api_key)],
    token: Annotated[str | None, Security(session_token)],
) -> Principal:
    """Return the account as ``account_or_key`` does, or by a session of role ``agent`` or ``owner_spectator``.

    A spectator's session is refused as ``invalid_scope``.
    """
    services: Services = request.app.state.services
    try:
        session = await services.auth.authenticate(token)
    except ApiError:
        return await account_or_key(request, header, basic, key)
    if session.agent_id is None:
        raise ApiError("invalid_scope")
    return Principal(session.account_id, session.agent_id)


async def check_owner(services: Services, agent_id: str, caller: Principal) -> None:
    """Let the owner of an agent pass.

    Raises:
        ApiError: ``agent_mismatch``: a session of another agent; ``agent_not_found``: nobody has played it;
            ``agent_not_owned``.
    """
    if caller.agent_id is not None:  # a session: whose the agent is was looked at when it was opened
        if caller.agent_id != agent_id:
            raise ApiError("agent_mismatch")
        return
    owner = await agents.owner_of(services.engine, agent_id)
    if owner is None:
        raise ApiError("agent_not_found")
    if owner != caller.account_id:
        raise ApiError("agent_not_owned")


def basic_credentials(credentials: str) -> tuple[str, str] | None:
    """Return e-mail and password of an HTTP Basic header (RFC 7617, UTF-8); None when it is malformed."""
    if len(credentials) > MAX_BASIC_CHARS:
        return None
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    email, colon, secret = text.partition(":")
    return (email, secret) if colon else None


async def _by_password(services: Services, request: Request, credentials: str) -> Principal:
    parsed = basic_credentials(credentials)
    email = None if parsed is None else _email(parsed[0])
    with services.passwords.place() as place:
        async with services.limits.login(request, email):
            if parsed is None or len(parsed[1]) > PASSWORD_MAX_CHARS:
                raise ApiError("invalid_credentials")
            login = None if email is None else await accounts.login(services.engine, email)
            matches = await place.matches(None if login is None else login.password_hash, parsed[1])
            if login is None or not matches:
                raise ApiError("invalid_credentials")
            return Principal(login.account_id)


def _email(text: str) -> str | None:
    try:
        return normal_form(text)
    except BadEmail:
        return None


def _looks_like_key(credentials: str) -> bool:
    return credentials.startswith("dcw_") and len(credentials) > API_KEY_PREFIX_LENGTH
