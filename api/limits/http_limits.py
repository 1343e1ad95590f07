"""Which limits the HTTP endpoints have: signups, logins and session calls (docs/decisions/0042-rate-limits.md).

Addresses are counted as ``api.limits.client_address`` has them, accounts by id or, before one is proved, by a hash of
the e-mail; so an e-mail that nobody has behaves like one that somebody has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from api.accounts.auth import RedisCalls, Session
from api.accounts.key_ring import KeyRefused, KeyRing
from api.accounts.tokens import sha256_hex
from api.errors import ApiError
from api.limits.client_address import address_bucket, client_address
from api.limits.rate_limit import Bucket, RateLimiter
from config.limit import Limit
from config.networks import Networks, parse_networks
from config.settings import Settings
from store.api_keys import KeyProof


@dataclass(frozen=True, slots=True)
class HttpRules:
    """The limits, each over all gateways."""

    signups: Limit
    address_logins: Limit
    account_logins: Limit
    address_session_failures: Limit
    account_session_failures: Limit
    account_sessions: Limit
    address_watchers: Limit
    account_history: Limit
    account_writings: Limit
    watching: Limit
    account_model_calls: Limit
    operator_calls: Limit

    @classmethod
    def of(cls, settings: Settings) -> HttpRules:
        """Return the limits that the settings ask for."""
        return cls(
            signups=Limit.parse(settings.limit_signups),
            address_logins=Limit.parse(settings.limit_address_logins),
            account_logins=Limit.parse(settings.limit_account_logins),
            address_session_failures=Limit.parse(settings.limit_address_session_failures),
            account_session_failures=Limit.parse(settings.limit_account_session_failures),
            account_sessions=Limit.parse(settings.limit_account_sessions),
            address_watchers=Limit.parse(settings.limit_address_watchers),
            account_history=Limit.parse(settings.limit_account_history),
            account_writings=Limit.parse(settings.limit_account_writings),
            watching=Limit.parse(settings.limit_watching),
            account_model_calls=Limit.parse(settings.limit_account_model_calls),
            operator_calls=Limit.parse(settings.limit_operator_calls),
        )


class HttpLimits:
    """What an endpoint calls before, or after, what it limits.

    Every method raises ``ApiError`` (``rate_limited``) beyond the limit, and ``redis.exceptions.RedisError`` when
    Redis does not answer, which the app turns into 503 ``unavailable``: without a count nothing passes.
    """

    def __init__(self, redis: RedisCalls, settings: Settings) -> None:
        self._limiter = RateLimiter(redis)
        self._rules = HttpRules.of(settings)
        self._trusted: Networks = parse_networks(settings.trusted_proxies)

    def address_of(self, connection: HTTPConnection) -> str:
        """Return what the caller's address counts as."""
        peer = None if connection.client is None else connection.client.host
        forwarded = connection.headers.getlist("x-forwarded-for")
        return address_bucket(client_address(peer, forwarded, self._trusted))

    async def signup(self, connection: HTTPConnection) -> None:
        """Count a signup before it, whatever becomes of it."""
        await self._limiter.take([Bucket("signup", self.address_of(connection), self._rules.signups)])

    @asynccontextmanager
    async def login(self, connection: HTTPConnection, email: str | None) -> AsyncIterator[None]:
        """Count the check of a password around it; the block raises ``invalid_credentials`` when it is wrong.

        The tokens are taken before it and given back when it was not wrong: of two hundred guesses at once no more
        than the limit are checked at all.  ``email``: in its normal form; None when there is no usable one.
        """
        buckets = [Bucket("login_address", self.address_of(connection), self._rules.address_logins)]
        if email is not None:
            buckets.append(Bucket("login_account", sha256_hex(email), self._rules.account_logins))
        async with self._counted(buckets, "invalid_credentials"):
            yield

    @asynccontextmanager
    async def operator_token(self, connection: HTTPConnection) -> AsyncIterator[None]:
        """Count the look-up of an operator's token around it; the block raises ``invalid_token`` when it is none.

        The limit has the numbers of failed logins and buckets of its own: who fails to log in to an account keeps no
        operator out.
        """
        buckets = [Bucket("operator_token_address", self.address_of(connection), self._rules.address_logins)]
        async with self._counted(buckets, "invalid_token"):
            yield

    @asynccontextmanager
    async def _counted(self, buckets: list[Bucket], failure: str) -> AsyncIterator[None]:
        """Take the tokens before the block, and give them back unless it raises this failure."""
        await self._limiter.take(buckets)
        try:
            yield
        except ApiError as error:
            if error.reason != failure:
                await self._limiter.give_back(buckets)
            raise
        await self._limiter.give_back(buckets)

    async def bad_token(self, connection: HTTPConnection) -> None:
        """Count an account token that is none."""
        await self._limiter.take([Bucket("login_address", self.address_of(connection), self._rules.address_logins)])

    async def prove_key(self, ring: KeyRing, connection: HTTPConnection, plain: str) -> KeyProof:
        """Prove a key by ``KeyRing.prove``, with its failures counted.

        A key has 256 random bits, so there is nothing to guess and a good one always passes, also from an address
        that has failed too often; beyond the limit a bad one is ``rate_limited`` instead of ``invalid_api_key``.
        """
        try:
            return await ring.prove(plain)
        except KeyRefused as refused:
            address = self.address_of(connection)
            buckets = [Bucket("session_failure_address", address, self._rules.address_session_failures)]
            if refused.account_id is not None:
                limit = self._rules.account_session_failures
                buckets.append(Bucket("session_failure_account", refused.account_id, limit))
            await self._limiter.take(buckets)
            raise

    async def session(self, account_id: str) -> None:
        """Count a session before it is opened with a good key."""
        await self._limiter.take([Bucket("session", account_id, self._rules.account_sessions)])

    async def public_session(self, connection: HTTPConnection) -> None:
        """Count a session to watch before it is opened for somebody without a key."""
        await self._limiter.take([Bucket("watcher", self.address_of(connection), self._rules.address_watchers)])

    async def history(self, account_id: str) -> None:
        """Count a question to the event log before it is asked."""
        await self._limiter.take([Bucket("history", account_id, self._rules.account_history)])

    async def writings(self, account_id: str) -> None:
        """Count a thought or a note before it is kept."""
        await self._limiter.take([Bucket("writings", account_id, self._rules.account_writings)])

    async def watching(self, connection: HTTPConnection, session: Session) -> None:
        """Count a question of who watches before it is asked: by account, or by address for sessions without a key."""
        whose = self.address_of(connection) if session.key_id is None else session.account_id
        await self._limiter.take([Bucket("watching", whose, self._rules.watching)])

    async def model_call(self, account_id: str) -> None:
        """Count a request of a model before it is read."""
        await self._limiter.take([Bucket("model_call", account_id, self._rules.account_model_calls)])

    async def operator(self, operator_id: str) -> None:
        """Count a call of an operator's before it is carried out."""
        await self._limiter.take([Bucket("operator", operator_id, self._rules.operator_calls)])
