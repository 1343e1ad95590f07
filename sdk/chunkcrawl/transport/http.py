"""The HTTP side of the contract: accounts, keys, sessions, snapshots.  One ``Api`` serves any number of agents."""

from __future__ import annotations

import asyncio
import datetime as dt
import email.utils
import json
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from chunkcrawl.errors import ApiError, Fault, InvalidRequest, ProtocolViolation, api_error
from chunkcrawl.transport.proxies import Proxy, http_client, over, proxy_for, unreachable
from chunkcrawl.wire.codec import decode_snapshot
from chunkcrawl.wire.messages import Snapshot

__all__ = ["Account", "Api", "ApiKey", "KeyInfo", "OwnAgent", "Role", "Session", "bearer", "error_of", "websocket_url"]

Role: TypeAlias = Literal["agent", "owner_spectator", "spectator"]

TIMEOUT_S: Final = 15.0
#: How long a whole request may take, from the connection to the answer's last byte.
ANSWER_TIMEOUT_S: Final = 30.0

#: The lifetime of a session when the server does not say; the contract's default.
DEFAULT_LIFETIME_S: Final = 900.0
REASON_MAX_CHARS: Final = 200
FAULTS_MAX: Final = 20
#: Each watcher's stream occupies a connection for as long as it lasts.
NO_LIMIT: Final = httpx.Limits(max_connections=None, max_keepalive_connections=20)


class Account(msgspec.Struct, frozen=True):
    """A new account.  ``account_token`` authorises key management; keep it secret."""

    account_id: str
    email: str
    account_token: str = ""


class ApiKey(msgspec.Struct, frozen=True):
    """A new API key; the plain ``api_key`` is shown this once."""

    key_id: str
    api_key: str
    key_prefix: str = ""
    account_id: str = ""


class KeyInfo(msgspec.Struct, frozen=True):
    """A key in a list, without its secret.  Times are as the server writes them."""

    key_id: str
    key_prefix: str = ""
    label: str | None = None
    created_at: str | int | None = None
    expires_at: str | int | None = None
    revoked_at: str | int | None = None


class OwnAgent(msgspec.Struct, frozen=True):
    """An agent of the account.  ``thoughts_public``: whether anybody may read what it thinks."""

    agent_id: str
    created_at: str | int | None = None
    thoughts_public: bool = False


class Session(msgspec.Struct, frozen=True):
    """An open session.  ``cmd_secret`` signs commands and is empty for roles that only watch."""

    session_token: str
    session_jti: str = ""
    role: str = ""
    cmd_secret: str | None = None
    expires_at: str | int | float | None = None
    expires_in_s: int | float | None = None
    #: Seconds from the server's answer to ``expires_at``, by the server's own clock.
    lifetime_s: float = DEFAULT_LIFETIME_S

    def __repr__(self) -> str:
        """Without the secrets, since representations end up in logs."""
        return f"Session(session_jti={self.session_jti!r}, role={self.role!r}, expires_at={self.expires_at!r})"


class _Agents(msgspec.Struct):
    agents: list[OwnAgent]
    next: str | None = None


class _Refreshed(msgspec.Struct):
    expires_at: str | int | float | None = None
    expires_in_s: int | float | None = None


_Answer = TypeVar("_Answer")


class Api:
    """An HTTP client for one server.

    Every method raises ``ServerUnreachable`` when there is no answer, an ``ApiError`` for an answer other than 2xx, and
    ``ProtocolViolation`` for one that is not of the contract's shape.  No request takes longer than 30 s.
    """

    def __init__(self, base: str, *, http: httpx.AsyncClient | None = None, direct: bool = False) -> None:
        """Nothing is connected before the first request.

        Args:
            base: For instance ``http://127.0.0.1:8000``.
            http: An HTTP client of one's own, which is used and left open.
            direct: Use no proxy, whatever the environment says; to this machine itself none is used anyway.

        Raises:
            UnusableProxy: The environment names a proxy that can't be used.
        """
        self.base = base.rstrip("/")
        self.proxy: Proxy | None = None if direct or http is not None else proxy_for(self.base)
        self._owned = http is None
        self.http = http or http_client(self.proxy, timeout=TIMEOUT_S, limits=NO_LIMIT)

    async def __aenter__(self) -> Api:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, unless the HTTP client was handed in."""
        if self._owned:
            await self.http.aclose()

    # -- account --

    async def signup(self, email: str, password: str) -> Account:
        """Make an account; the password has 8..128 characters. 409 ``email_already_exists`` for a known e-mail."""
        return await self._post("/v1/signup", Account, {"email": email, "password": password})

    async def create_key(
        self, account_id: str | None = None, *, auth: httpx.Auth | tuple[str, str] | str, label: str | None = None
    ) -> ApiKey:
        """Make an API key.  ``auth`` is the account token, or (e-mail, password); it says whose, too."""
        body = ({"account_id": account_id} if account_id else {}) | ({"label": label} if label else {})
        return await self._post("/v1/keys", ApiKey, body, auth=auth)

    async def list_keys(self, *, auth: tuple[str, str] | str) -> list[KeyInfo]:
        """Return the account's keys."""
        answer = await self._send("GET", "/v1/keys", auth=auth)
        return _list_of(answer, KeyInfo, "keys")

    async def revoke_key(self, key_id: str, *, auth: tuple[str, str] | str) -> None:
        """Revoke a key; its sessions end too."""
        await self._send("DELETE", f"/v1/keys/{quote(key_id, safe='')}", auth=auth)

    async def agents(self, *, auth: tuple[str, str] | str) -> list[dict[str, Any]]:
        """Return the account's agents, as the server lists them.  ``auth`` may also be an API key."""
        answer = await self._send("GET", "/v1/agents", auth=auth)
        return _list_of(answer, dict[str, Any], "agents")

    async def own_agents(self, *, auth: tuple[str, str] | str) -> list[OwnAgent]:
        """Return all agents of the account.  ``auth`` may also be an API key."""
        found: list[OwnAgent] = []
        query: list[tuple[str, str]] = []
        while True:
            page = await self.get("/v1/agents", _Agents, auth=auth, query=query)
            found += page.agents
            if page.next is None:
                return found
            query = [("after", page.next)]

    async def show_thoughts(self, agent_id: str, public: bool, *, auth: tuple[str, str] | str) -> OwnAgent:
        """Let anybody read what an agent of the account thinks, or nobody else.  ``auth`` may also be an API key."""
        path = f"/v1/agents/{quote(agent_id, safe='')}"
        return _decoded(await self._send("PATCH", path, {"thoughts_public": public}, auth), OwnAgent, path)

    # -- sessions --

    async def open_session(self, api_key: str, role: Role, agent_id: str | None = None) -> Session:
        """Open a session; ``agent`` and ``owner_spectator`` need an ``agent_id``."""
        body = {"api_key": api_key, "role": role} | ({"agent_id": agent_id} if agent_id else {})
        return await self._session("/v1/sessions", body)

    async def refresh_session(self, session: Session) -> Session:
        """Extend a session and return it with its new end."""
        path = "/v1/sessions/refresh"
        answer = await self._send("POST", path, {}, session.session_token)
        news = _decoded(answer, _Refreshed, path)
        lifetime_s = _lifetime_s(news, answer)
        return msgspec.structs.replace(session, expires_at=news.expires_at, lifetime_s=lifetime_s)

    async def end_session(self, session: Session) -> None:
        """Revoke a session."""
        await self._send("DELETE", "/v1/sessions", auth=session.session_token)

    async def dev_spectator_session(self) -> Session:
        """Return a spectator session without a key; servers in production refuse it."""
        return await self._session("/v1/dev/spectator-session", {})

    async def dev_owner_session(self, agent_id: str) -> Session:
        """Return an owner session for any agent; servers in production refuse it."""
        return await self._session("/v1/dev/owner-session", {"agent_id": agent_id})

    async def snapshot(self, chunk_id: str, token: str) -> Snapshot:
        """Return a chunk's static and latest delta."""
        answer = await self._send("GET", f"/v1/chunks/{quote(chunk_id, safe='')}/snapshot", auth=token)
        try:
            return decode_snapshot(answer.content)
        except ValueError as error:
            raise ProtocolViolation(f"snapshot of {chunk_id}: {error}") from error

    async def get(
        self,
        path: str,
        answer_type: type[_Answer],
        *,
        auth: tuple[str, str] | str,
        query: Sequence[tuple[str, str]] = (),
    ) -> _Answer:
        """Return what stands under a path.  ``query``: names and values, in order; a name may come again."""
        words = f"?{urlencode(query)}" if query else ""
        return _decoded(await self._send("GET", path + words, auth=auth), answer_type, path)

    async def send(
        self,
        method: str,
        path: str,
        answer_type: type[_Answer],
        *,
        auth: tuple[str, str] | str,
        body: dict[str, Any] | None = None,
    ) -> _Answer:
        """Send a request that changes something under a path, and return what it answers."""
        return _decoded(await self._send(method, path, body, auth), answer_type, path)

    # -- private --

    async def _session(self, path: str, body: dict[str, Any]) -> Session:
        answer = await self._send("POST", path, body)
        session = _decoded(answer, Session, path)
        return msgspec.structs.replace(session, lifetime_s=_lifetime_s(session, answer))

    async def _post(
        self,
        path: str,
        answer_type: type[_Answer],
        body: dict[str, Any],
        auth: httpx.Auth | tuple[str, str] | str | None = None,
    ) -> _Answer:
        return _decoded(await self._send("POST", path, body, auth), answer_type, path)

    async def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        auth: httpx.Auth | tuple[str, str] | str | None = None,
    ) -> httpx.Response:
        headers = bearer(auth) if isinstance(auth, str) else {}
        login = auth if not isinstance(auth, str) else None
        # In ASCII: half a surrogate pair can be sent so, and it is the server that refuses it by the field's name.
        content = None if body is None else json.dumps(body).encode()
        headers |= {} if body is None else {"Content-Type": "application/json"}
        try:
            # The library's timeouts are of each step; an answer that trickles in would reset them for ever.
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer = await self.http.request(method, self.base + path, content=content, headers=headers, auth=login)
        except UnicodeEncodeError:
            text = "the e-mail, password or key that was given holds characters that can't be sent"
            raise InvalidRequest(400, "bad_request", note=f": {text}") from None
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise unreachable(f"{method} {self.base}{path}", error, self.proxy) from error
        if not answer.is_success:
            raise error_of(answer.status_code, answer.headers, answer.content, self.proxy)
        return answer


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token; tokens never go into a URL."""
    return {"Authorization": f"Bearer {token}"}


def websocket_url(base: str, path: str, query: dict[str, str]) -> str:
    """Return the ``ws://`` or ``wss://`` address of a path under ``base``."""
    scheme, _, rest = base.rstrip("/").partition("://")
    return f"{'wss' if scheme == 'https' else 'ws'}://{rest}{path}?{httpx.QueryParams(query)}"


def error_of(status: int, headers: Mapping[str, str], body: bytes, proxy: Proxy | None = None) -> ApiError:
    """Return the ``ApiError`` of an answer: ``{"detail": "<reason>"}``, or what a proxy put in its place."""
    reason, note = f"http_{status}", over(proxy)
    faults: tuple[Fault, ...] = ()
    try:
        answer = msgspec.json.decode(body, type=dict[str, Any])
    except ValueError:
        pass
    else:
        detail = answer.get("detail")
        if isinstance(detail, str) and detail:
            reason, note = detail[:REASON_MAX_CHARS], ""
        faults = _faults(answer.get("fields"))
    seconds = headers.get("retry-after", "")
    retry_after_s = float(seconds) if seconds.isascii() and seconds.isdigit() else None
    return api_error(status, reason, retry_after_s, faults=faults, note=note)


def _faults(fields: Any) -> tuple[Fault, ...]:
    """Return what the server says is wrong with a request, as far as it has the contract's shape."""
    found = fields[:FAULTS_MAX] if isinstance(fields, list) else []
    pairs = [(one.get("field"), one.get("rule")) for one in found if isinstance(one, dict)]
    return tuple(
        Fault(field[:REASON_MAX_CHARS], rule[:REASON_MAX_CHARS])
        for field, rule in pairs
        if isinstance(field, str) and isinstance(rule, str)
    )


def _decoded(answer: httpx.Response, answer_type: type[_Answer], path: str) -> _Answer:
    try:
        return msgspec.json.decode(answer.content, type=answer_type)
    except ValueError as error:
        # The text of msgspec's errors names fields and types, never values.
        raise ProtocolViolation(f"{path}: {error}") from error


def _list_of(answer: httpx.Response, item: type[_Answer], name: str) -> list[_Answer]:
    try:
        body = msgspec.json.decode(answer.content)
        return msgspec.convert(body[name] if isinstance(body, dict) else body, list[item])  # type: ignore[valid-type]
    except (ValueError, KeyError) as error:
        raise ProtocolViolation(f"the list of {name}: {error}") from error


def _lifetime_s(session: Session | _Refreshed, answer: httpx.Response) -> float:
    """Return how long a session lasts: as the server says, else by its answer's ``Date``: our clock may be wrong."""
    if session.expires_in_s is not None:
        return max(0.0, float(session.expires_in_s))
    end_s = _epoch_s(session.expires_at)
    if end_s is None:
        return DEFAULT_LIFETIME_S
    try:
        now_s = email.utils.parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (TypeError, ValueError):
        now_s = time.time()
    return max(0.0, end_s - now_s)


def _epoch_s(moment: str | float | None) -> float | None:
    """Return seconds since 1970 of an ISO text, of seconds or of milliseconds."""
    if moment is None:
        return None
    if isinstance(moment, str):
        try:
            when = dt.datetime.fromisoformat(moment)
        except ValueError:
            return None
        return (when if when.tzinfo else when.replace(tzinfo=dt.UTC)).timestamp()
    # Seconds pass 10**11 in the year 5138, milliseconds did in 1973.
    return moment / 1000 if moment > 1e11 else float(moment)
