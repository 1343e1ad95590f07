"""The page of endpoints: everything it needs is here, and it trusts nobody."""

from __future__ import annotations

import re

import httpx
import pytest

from api.docs_page import STATIC_DIR
from api.static_page import CONTENT_SECURITY_POLICY, files_of
from tests.api.people import refused


async def test_the_page_comes_from_here_alone(http: httpx.AsyncClient) -> None:
    answer = await http.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    for name, found in files_of(STATIC_DIR).items():
        assert b"://" not in found.body, name
    # As a browser finds them, behind a path prefix too.
    for link in re.findall(r'(?:href|src)="([^"]+)"', answer.text):
        for prefix in ("", "/game"):
            place = httpx.URL(f"http://proxy{prefix}/docs").join(link).path
            assert place.startswith(f"{prefix}/")
            assert (await http.get(place.removeprefix(prefix))).status_code == 200, link


async def test_what_it_draws_is_there(http: httpx.AsyncClient) -> None:
    assert "/v1/keys" in (await http.get("/openapi.json")).json()["paths"]


@pytest.mark.parametrize("path", ["/docs/../app.py", "/docs/%2e%2e/app.py", "/docs/none.js", "/redoc"])
async def test_nothing_else_is_there(http: httpx.AsyncClient, path: str) -> None:
    refused(await http.get(path), 404, "not_found")


async def test_a_slash_more_leads_back(http: httpx.AsyncClient) -> None:
    answer = await http.get("/docs/")
    assert answer.status_code == 308
    assert str(httpx.URL("http://proxy/game/docs/").join(answer.headers["location"])) == "http://proxy/game/docs"
