from __future__ import annotations

import asyncio
import threading

import httpx
import pytest
from fastapi import FastAPI

from api.openapi_document import OpenApiDocument


async def test_it_describes_the_endpoints_and_not_itself(http: httpx.AsyncClient) -> None:
    answer = await http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert "/v1/keys" in answer.json()["paths"]
    assert "/openapi.json" not in answer.json()["paths"]


async def test_it_is_made_once_and_not_in_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def make() -> dict[str, str]:
        made.append(threading.get_ident())
        return {"openapi": "3.1.0"}

    app = FastAPI()
    monkeypatch.setattr(app, "openapi", make)
    document = OpenApiDocument(app)
    assert await asyncio.gather(*(document.body() for _ in range(3))) == [b'{"openapi":"3.1.0"}'] * 3
    assert len(made) == 1
    assert made[0] != threading.get_ident()
