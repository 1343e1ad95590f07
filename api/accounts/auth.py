"""Who is calling: tokens from headers or the WebSocket subprotocol, sessions from Redis, roles.

A session lives in Redis alone (``sess:{sha256 of the token}``, docs/architecture.md); the hot path never asks
PostgreSQL.  Account credentials are another matter: ``api.accounts.principals``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Protocol, cast

from fastapi import Security
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from api.accounts.tokens import is_token, sha256_hex
from api.errors import ApiError
from streaming import keys
from streaming.lua import Call, Script

Role = Literal["agent", "owner_spectator", "spectator"]
ROLES: Final[tuple[Role, ...]] = ("agent", "owner_spectator", "spectator")

#: What a browser offers, and what the server picks, to carry a token in ``Sec-WebSocket-Protocol``.
SUBPROTOCOL: Final = "bearer"

#: The fixed spectator token of non-prod environments (contract, "Endpoints").
DEV_TOKEN: Final = "test-spectator-token"
DEV_TOKEN_JTI: Final = "jti_dev-spectator-token"
DEV_ACCOUNT_ID: Final = "acc_dev"

#: What the ids of operators' streams begin with, where sessions' begin with ``jti_``.
OPERATOR_JTI: Final = "op_"

ALIVE_BATCH: Final = 500
#: When a session ends that never ends: 2038.
NEVER_S: Final = 2**31


@dataclass(frozen=True, slots=True)
class Session:
    """A live session.

    ``key_id`` is None for a session made by a dev route.  ``expires_at`` is in whole seconds of Unix time and may
    have been put off by a refresh since this was read.
    """

    jti: str
    role: Role
    account_id: str
    agent_id: str | None
    key_id: str | None
    cmd_secret: str = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True)
class Principal:
    """An account, known by its token, its e-mail and password, or one of its API keys.

    ``agent_id``: the one agent that it may speak for, where a session of that agent stands for it; else None.
    """

    account_id: str
    agent_id: str | None = None


class RedisCalls(Protocol):
    """The part of ``streaming.batch.RedisBatch`` that the gateway uses."""

    async def run(self, call: Call) -> Any:
        """Run a script."""

    async def eval(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int | float]) -> Any:
        """Run a script."""

    async def command(self, *words: str | bytes | int | float) -> Any:
        """Run a plain command."""


class OthersAlive(Protocol):
    """Who else has connections: ``api.operator.callers.Callers``."""

    async def still_alive(self, jtis: Iterable[str]) -> set[str]:
        """Return those of ``jtis`` that are theirs and good."""


class Operator(Protocol):
    """Whose token was proved: ``api.operator.callers.OperatorCaller``."""

    @property
    def jti(self) -> str:
        """By this the registry of connections asks whether the token is still good."""

    @property
    def account_id(self) -> str:
        """Of no account."""

    @property
    def expires_at_ms(self) -> int | None:
        """When it ends; None: it does not."""


class ProvesOperators(Protocol):
    """Who knows operators' tokens: ``api.operator.callers.Callers``."""

    def knows_form(self, token: str) -> bool:
        """Return whether it looks like one."""

    async def prove(self, connection: HTTPConnection, token: str) -> Operator:
        """Return whose it is, or refuse."""


class Authenticator:
    """Turns tokens into sessions.

    Args:
        redis: batched calls.
        dev: whether the fixed spectator token counts (never in prod).
    """

    def __init__(self, redis: RedisCalls, *, dev: bool) -> None:
        self._redis = redis
        self._dev = dev
        #: Asked about what is no session's.
        self.others: OthersAlive | None = None

    async def authenticate(self, token: str | None) -> Session:
        """Return the live session of ``token``.

        Raises:
            ApiError: ``invalid_session``: none, malformed, expired or revoked.
            redis.exceptions.RedisError: Redis did not answer.
        """
        if token is None or not is_token(token):
            raise ApiError("invalid_session")
        if self._dev and token == DEV_TOKEN:
            return Session(DEV_TOKEN_JTI, "spectator", DEV_ACCOUNT_ID, None, None, "", NEVER_S)
        session = session_from_redis(await self._redis.command("HGETALL", keys.session(sha256_hex(token))))
        if session is None:
            raise ApiError("invalid_session")
        return session

    async def still_alive(self, jtis: Sequence[str]) -> set[str]:
        """Return those of ``jtis`` whose sessions live now.  Raises ``RedisError`` when Redis does not answer."""
        others = [jti for jti in jtis if jti.startswith(OPERATOR_JTI)]
        wanted = [jti for jti in jtis if not jti.startswith(OPERATOR_JTI)]
        alive = {jti for jti in wanted if self._dev and jti == DEV_TOKEN_JTI}
        for start in range(0, len(wanted), ALIVE_BATCH):
            part = wanted[start : start + ALIVE_BATCH]
            answers = await self._redis.command("MGET", *(keys.session_by_jti(jti) for jti in part))
            alive.update(jti for jti, answer in zip(part, answers, strict=True) if answer is not None)
        if others and self.others is not None:
            alive |= await self.others.still_alive(others)
        return alive


def session_from_redis(answer: Any) -> Session | None:
    """Read a session from what HGETALL gives (a list of bytes, or a mapping under RESP3); None for an empty answer."""
    if not answer:
        return None
    pairs = answer.items() if isinstance(answer, Mapping) else zip(answer[::2], answer[1::2], strict=True)
    fields = {name.decode(): value.decode() for name, value in pairs}
    return Session(
        jti=fields["jti"],
        role=cast(Role, fields["role"]),
        account_id=fields["account"],
        agent_id=fields["agent"] or None,
        key_id=fields["key"] or None,
        cmd_secret=fields["secret"],
        expires_at=int(fields["exp"]),
    )


# Tokens in a request


def authorization(header: str | None) -> tuple[str, str] | None:
    """Return scheme (lower case) and credentials of an ``Authorization`` header; None when absent or malformed."""
    if header is None:
        return None
    scheme, _, credentials = header.partition(" ")
    credentials = credentials.strip()
    return (scheme.lower(), credentials) if scheme and credentials else None


def bearer_token(header: str | None) -> str | None:
    """Return the token of an ``Authorization`` header with the scheme Bearer; None without one."""
    parsed = authorization(header)
    return parsed[1] if parsed is not None and parsed[0] == "bearer" else None


def subprotocol_token(offered: Sequence[str]) -> str | None:
    """Return the token of the subprotocols ``bearer, <token>``: exactly these two, in this order; else None."""
    return offered[1] if len(offered) == 2 and offered[0] == SUBPROTOCOL else None


def connection_token(connection: HTTPConnection) -> str | None:
    """Return the token of a request or WebSocket handshake: the header first, then the subprotocol pair."""
    token = bearer_token(connection.headers.get("authorization"))
    if token is None and connection.scope["type"] == "websocket":
        token = subprotocol_token(connection.scope.get("subprotocols", []))
    return token


def chosen_subprotocol(connection: HTTPConnection) -> str | None:
    """Return what to pass to ``websocket.accept(subprotocol=...)``: who offered the pair needs ``bearer`` back."""
    return SUBPROTOCOL if subprotocol_token(connection.scope.get("subprotocols", [])) is not None else None


# Dependencies for endpoints


class SessionToken(SecurityBase):
    """Reads the session token, for HTTP and WebSocket endpoints alike, and shows the scheme in the OpenAPI document."""

    def __init__(self) -> None:
        self.model = HTTPBearerModel(description="`session_token` of `POST /v1/sessions`")
        self.scheme_name = "session"

    async def __call__(self, connection: HTTPConnection) -> str | None:
        """Return the token, None without one."""
        return connection_token(connection)


session_token = SessionToken()


def require(*roles: Role, operators: bool = False) -> Callable[..., Awaitable[Session]]:
    """Return a dependency that gives the caller's session, or refuses.

    Reasons: ``invalid_session`` (401), ``invalid_scope`` (403), ``banned`` (403), ``not_local`` (403, the fixed token
    of a foreign page).

    No role given: any will do.

    Args:
        operators: Whether an operator's token, of either role, does what a spectator's session does; ``rate_limited``
            (429) after too many bad ones.
    """
    allowed = frozenset(roles or ROLES)

    async def session_of_caller(
        connection: HTTPConnection, token: Annotated[str | None, Security(session_token)]
    ) -> Session:
        services = connection.app.state.services
        if operators and token is not None and services.operators.knows_form(token):
            return await _watching_operator(services.operators, connection, token)
        authenticator: Authenticator = services.auth
        session = await authenticator.authenticate(token)
        if session.jti == DEV_TOKEN_JTI:
            services.local_only.check(connection)  # everybody knows this token
        else:
            await services.bans.check(session.account_id, session.agent_id)
        if session.role not in allowed:
            raise ApiError("invalid_scope")
        return session

    return session_of_caller


async def _watching_operator(operators: ProvesOperators, connection: HTTPConnection, token: str) -> Session:
    """Return a spectator's session that lives as long as the operator's token."""
    try:
        who = await operators.prove(connection, token)
    except ApiError as error:
        if error.reason in ("invalid_token", "operators_closed"):
            raise ApiError("invalid_session") from None
        raise
    ends = NEVER_S if who.expires_at_ms is None else who.expires_at_ms // 1000
    return Session(who.jti, "spectator", who.account_id, None, None, "", ends)


def check_agent(session: Session, agent_id: str) -> None:
    """Refuse (``agent_mismatch``, 403) a session that is for another agent."""
    if session.agent_id != agent_id:
        raise ApiError("agent_mismatch")
