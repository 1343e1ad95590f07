"""A directory as a page: what is in it and nothing else, with headers that let no stranger in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from api.handlers import add_handlers
from api.static_page import HEADERS, files_of, page_router


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    (tmp_path / "page" / "js").mkdir(parents=True)
    (tmp_path / "page" / "index.html").write_text("<title>caf\u00e9</title>")
    (tmp_path / "page" / "js" / "app.js").write_text("export {}")
    (tmp_path / "page" / "notes.txt").write_text("not for readers")
    (tmp_path / "secret.js").write_text("outside")
    app = FastAPI()
    add_handlers(app)
    app.include_router(page_router("page", tmp_path / "page"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gate") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "media_type"),
    [("/page", "text/html; charset=utf-8"), ("/page/js/app.js", "text/javascript; charset=utf-8")],
)
async def test_a_file_with_its_type_and_the_headers(client: httpx.AsyncClient, path: str, media_type: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert HEADERS.items() <= dict(answer.headers).items()
    head = await client.head(path)
    assert head.headers["etag"] == answer.headers["etag"]
    assert head.content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/page/notes.txt",
        "/page/none.js",
        "/page/js",
        "/page/../secret.js",
        "/page/%2e%2e/secret.js",
        "/page/js/../app.js",
    ],
)
async def test_nothing_else_is_there(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert "outside" not in answer.text


async def test_a_slash_more_leads_back_behind_a_prefix_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/page/")
    assert answer.status_code == 308
    assert httpx.URL("http://proxy/game/page/").join(answer.headers["location"]).path == "/game/page"


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}'])
async def test_what_has_not_changed_is_not_sent_again(client: httpx.AsyncClient, form: str) -> None:
    etag = (await client.get("/page")).headers["etag"]
    again = await client.get("/page", headers={"if-none-match": form.format(etag)})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    assert (await client.get("/page", headers={"if-none-match": '"other"'})).status_code == 200


def test_files_are_named_by_their_path(tmp_path: Path) -> None:
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "a.css").write_text("a {}")
    (tmp_path / "README.md").write_text("no part of the page")
    assert list(files_of(tmp_path)) == ["css/a.css"]
