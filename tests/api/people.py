"""People of the HTTP tests: accounts, keys and sessions by the endpoints themselves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import httpx

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    account_id: str
    email: str
    account_token: str

    @property
    def bearer(self) -> dict[str, str]:
        return bearer(self.account_token)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def signed_up(http: httpx.AsyncClient, email: str | None = None) -> Person:
    email = email or f"person{next(_numbers)}@example.com"
    answer = await http.post("/v1/signup", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    return Person(**answer.json())


async def keyed(http: httpx.AsyncClient, person: Person, **more: Any) -> dict[str, Any]:
    """A new API key, as the endpoint gives it."""
    answer = await http.post("/v1/keys", json={"account_id": person.account_id} | more, headers=person.bearer)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def session(
    http: httpx.AsyncClient, api_key: str, role: str = "agent", agent_id: str | None = "a-1"
) -> dict[str, Any]:
    answer = await http.post("/v1/sessions", json={"api_key": api_key, "role": role, "agent_id": agent_id})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def playing(http: httpx.AsyncClient, agent_id: str = "a-1") -> dict[str, Any]:
    """An agent's session of a fresh account."""
    key = await keyed(http, await signed_up(http))
    return await session(http, key["api_key"], agent_id=agent_id)


def refused(answer: httpx.Response, status: int, reason: str) -> None:
    """Assert that ``answer`` is this refusal, in the one form there is."""
    assert (answer.status_code, answer.json()["detail"]) == (status, reason), answer.text
