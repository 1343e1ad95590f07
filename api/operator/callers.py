"""Who calls the operators' API: tokens of their own, proved by hash, and the fixed one of a developer's machine."""

from __future__ import annotations

import hmac
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, cast

import structlog
from fastapi import Security
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import HTTPConnection

from api.accounts.auth import OPERATOR_JTI, bearer_token
from api.accounts.local_only import LocalOnly, is_loopback
from api.accounts.tokens import operator_token_prefix, sha256_hex
from api.errors import ApiError
from api.limits.http_limits import HttpLimits
from store import operators
from store.operators import OperatorProof
from streaming.shared_clock import utc_now

__all__ = ["DEV_TOKEN", "Callers", "OperatorCaller", "OperatorRole", "operator_token"]

log = structlog.get_logger(__name__)

OperatorRole = Literal["viewer", "operator"]

#: The fixed token outside prod; it counts on the machine itself alone.
DEV_TOKEN: Final = "test-operator-token"
DEV_OPERATOR_ID: Final = "opr_dev"

#: How long a proof is believed: with the sweep of open streams it bounds how long a revoked token works.
CACHE_S: Final = 2.0
CACHED_MOST: Final = 200
#: How long it is believed that there is, or is not, an operator.
CLOSED_CACHE_S: Final = 2.0
#: When something was looked up that is to be looked up anew.
LONG_AGO: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class OperatorCaller:
    """An operator who calls.  The last four are what ``api.sockets.connections`` wants to know of a stream's owner."""

    operator_id: str
    name: str
    role: OperatorRole
    expires_at_ms: int | None
    account_id: str = ""
    agent_id: str | None = None
    key_id: str | None = None

    @property
    def jti(self) -> str:
        """By this the registry of connections asks whether the token is still good."""
        return OPERATOR_JTI + self.operator_id


class OperatorScheme(SecurityBase):
    """Shows the way to authenticate in the OpenAPI document; the route itself reads the header."""

    def __init__(self) -> None:
        self.model = HTTPBearerModel(description="A token of `chunkcrawl operator create`, `dco_...`")
        self.scheme_name = "operator"

    async def __call__(self, _: HTTPConnection) -> None:
        """Do nothing."""


operator_token: Final = Security(OperatorScheme())


class Callers:
    """Turns tokens into operators.

    Args:
        dev: whether the fixed token counts (never in prod).
    """

    def __init__(self, engine: AsyncEngine, limits: HttpLimits, local_only: LocalOnly, *, dev: bool) -> None:
        self._engine = engine
        self._limits = limits
        self._local_only = local_only
        self._dev = dev
        self._proofs: OrderedDict[str, tuple[float, OperatorProof]] = OrderedDict()
        self._there_are = (LONG_AGO, False)

    async def identify(self, connection: HTTPConnection) -> OperatorCaller:
        """Return the operator who calls by the header, their call counted.  Raises as ``prove``; ``rate_limited``."""
        caller = await self.prove(connection, bearer_token(connection.headers.get("authorization")))
        await self._limits.operator(caller.operator_id)
        return caller

    async def prove(self, connection: HTTPConnection, token: str | None) -> OperatorCaller:
        """Return whose token it is.

        A token whose prefix this gateway has not met is counted by address before the database is asked, apart from all
        other logins, and given back when it is good: a stranger's guesses cost the database no more than the limit, and
        whoever has worked here before is not kept out by them.

        Raises:
            ApiError: ``invalid_token``: none, unknown, expired or revoked; ``operators_closed``: likewise, in prod
                while there is no operator; ``not_local``: the fixed token from elsewhere; ``rate_limited``: too many
                bad ones from this address.
        """
        met = token is not None and self._has_met(token)
        caller = await self._caller(connection, token) if token is not None and met else None
        if caller is not None:
            return caller
        if not self._dev and not await self._any():
            raise ApiError("operators_closed")
        if token is None:
            raise ApiError("invalid_token")
        async with self._limits.operator_token(connection):
            caller = None if met else await self._caller(connection, token)
            if caller is None:
                raise ApiError("invalid_token")
            return caller

    def knows_form(self, token: str) -> bool:
        """Return whether a token looks like an operator's, so that nobody else is to be asked."""
        return (self._dev and token == DEV_TOKEN) or operator_token_prefix(token) is not None

    async def still_alive(self, jtis: Iterable[str]) -> set[str]:
        """Return those of these ``OperatorCaller.jti`` that are good now; all while the database does not answer."""
        wanted = {jti: jti.removeprefix(OPERATOR_JTI) for jti in jtis if jti.startswith(OPERATOR_JTI)}
        try:
            found = await operators.alive(self._engine, list(wanted.values())) if wanted else set()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("operators_not_looked_up", error=type(error).__name__)
            return set(wanted)
        return {jti for jti, id_ in wanted.items() if id_ in found or (self._dev and id_ == DEV_OPERATOR_ID)}

    def forget(self) -> None:
        """Let every proof be looked up anew: an operator was revoked here.  The prefixes stay known."""
        for prefix, (_, proof) in list(self._proofs.items()):
            self._proofs[prefix] = (LONG_AGO, proof)
        self._there_are = (LONG_AGO, False)

    def _has_met(self, token: str) -> bool:
        """Return whether the token's prefix was an operator's when it was last looked up, however long ago."""
        return (self._dev and token == DEV_TOKEN) or operator_token_prefix(token) in self._proofs

    async def _caller(self, connection: HTTPConnection, token: str) -> OperatorCaller | None:
        if self._dev and token == DEV_TOKEN:
            self._local_only.check(connection)
            peer = "" if connection.client is None else connection.client.host
            if not is_loopback(peer):
                raise ApiError("not_local")
            return OperatorCaller(DEV_OPERATOR_ID, "dev", "operator", None)
        prefix = operator_token_prefix(token)
        proof = None if prefix is None else await self._proof(prefix)
        if proof is None or not hmac.compare_digest(sha256_hex(token), proof.token_hash):
            return None
        if proof.revoked_at is not None or (proof.expires_at is not None and proof.expires_at <= utc_now()):
            return None
        ends_ms = None if proof.expires_at is None else int(proof.expires_at.timestamp() * 1000)
        return OperatorCaller(proof.operator_id, proof.name, cast("OperatorRole", proof.role), ends_ms)

    async def _proof(self, prefix: str) -> OperatorProof | None:
        cached = self._proofs.get(prefix)
        if cached is not None and time.monotonic() - cached[0] < CACHE_S:
            return cached[1]
        found = await operators.find(self._engine, prefix)
        if found is not None:
            self._proofs[prefix] = (time.monotonic(), found)
            self._proofs.move_to_end(prefix)
            if len(self._proofs) > CACHED_MOST:
                self._proofs.popitem(last=False)
        else:
            self._proofs.pop(prefix, None)
        return found

    async def _any(self) -> bool:
        looked_at, found = self._there_are
        if time.monotonic() - looked_at >= CLOSED_CACHE_S:
            found = await operators.any_alive(self._engine)
            self._there_are = (time.monotonic(), found)
        return found
