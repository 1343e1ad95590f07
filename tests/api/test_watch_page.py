from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from api.static_page import MEDIA_TYPES, files_of
from api.watch_page import STATIC_DIR
from tests.api.page_files import (
    NAMESPACES,
    Markup,
    addresses_in,
    ids_named_by,
    imports_of,
    looks_of,
    makes_markup,
    markup_of,
)
from tests.api.people import refused
from tests.api.support import exposition

SCRIPTS = sorted(STATIC_DIR.rglob("*.js"))
FILE_MOST_BYTES = 64 * 1024


@pytest.fixture
def fresh_postgres_url(postgres_url: str) -> str:
    """One database for all: nothing here reads it."""
    return postgres_url


def policy(answer: httpx.Response) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer.headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in parts}


async def test_the_page_needs_no_session_and_trusts_nobody(http: httpx.AsyncClient) -> None:
    answer = await http.get("/watch")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text.startswith("<!doctype html>")
    assert policy(answer) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("name", files_of(STATIC_DIR))
async def test_every_file_is_served_under_its_type_and_the_same_policy(http: httpx.AsyncClient, name: str) -> None:
    answer = await http.get(f"/watch/{name}")
    assert answer.status_code == 200
    assert answer.content == (STATIC_DIR / name).read_bytes()
    assert answer.headers["content-type"] == MEDIA_TYPES["." + name.rpartition(".")[2]]
    assert policy(answer)["default-src"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.content) < FILE_MOST_BYTES


@pytest.mark.parametrize("prefix", ["", "/game"])
async def test_the_root_leads_to_the_page_behind_a_prefix_too(http: httpx.AsyncClient, prefix: str) -> None:
    answer = await http.get("/")
    assert answer.status_code == 307
    assert str(httpx.URL(f"http://proxy{prefix}/").join(answer.headers["location"])) == f"http://proxy{prefix}/watch"
    assert policy(answer)["default-src"] == "'none'"
    assert (await http.head("/")).status_code == 307
    refused(await http.post("/"), 405, "method_not_allowed")


async def test_what_has_not_changed_is_not_sent_again(http: httpx.AsyncClient) -> None:
    first = await http.get("/watch/js/main.js")
    assert first.headers["cache-control"] == "no-cache"
    for tag in (first.headers["etag"], f'"other", W/{first.headers["etag"]}'):
        again = await http.get("/watch/js/main.js", headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    changed = await http.get("/watch/js/main.js", headers={"if-none-match": '"other"'})
    assert changed.status_code == 200


async def test_head_gives_the_size_alone(http: httpx.AsyncClient) -> None:
    answer = await http.head("/watch")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == len((STATIC_DIR / "index.html").read_bytes())
    assert (await http.post("/watch")).status_code == 405


async def test_a_slash_too_many_leads_back(http: httpx.AsyncClient) -> None:
    answer = await http.get("/watch/?next=//evil.example")
    assert answer.status_code == 308
    assert answer.headers["location"] == "../watch"
    assert str(answer.url.join(answer.headers["location"])) == "http://localhost/watch"


@pytest.mark.parametrize(
    "name",
    [
        "nothing.js",
        "../settings.py",
        "..%2f..%2fsettings.py",
        "%2e%2e/%2e%2e/app.py",
        "/etc/passwd",
        "js",
        "js/",
        "%00",
    ],
)
async def test_nothing_else_is_served(http: httpx.AsyncClient, name: str) -> None:
    refused(await http.get(f"/watch/{name}"), 404, "not_found")


async def test_paths_make_no_new_series(http: httpx.AsyncClient) -> None:
    for number in range(5):
        await http.get(f"/watch/js/unheard-of-{number}.js")
    assert b"unheard-of" not in exposition()


async def test_the_page_is_not_part_of_the_api(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert not [path for path in paths if path.startswith("/watch")]


# -- the files --


@pytest.fixture(scope="module")
def markup() -> Markup:
    return markup_of(STATIC_DIR)


def test_the_document_has_nothing_inline_and_links_only_what_there_is(markup: Markup) -> None:
    assert markup.faults == []
    assert markup.links
    assert {link.removeprefix("watch/") for link in markup.links} <= set(files_of(STATIC_DIR))
    assert len(markup.ids) == len(set(markup.ids))


def test_scripts_find_every_element_that_they_name(markup: Markup) -> None:
    named = ids_named_by(SCRIPTS)
    assert named
    assert named <= set(markup.ids)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_import_only_what_there_is_and_make_no_markup_of_text(script: Path) -> None:
    for imported in imports_of(script):
        assert imported.is_file(), imported
    assert not makes_markup(script)


@pytest.mark.parametrize("name", files_of(STATIC_DIR))
def test_nothing_comes_from_elsewhere(name: str) -> None:
    assert addresses_in(STATIC_DIR / name) <= NAMESPACES


def test_no_token_gets_near_an_address() -> None:
    for script in SCRIPTS:
        for line in script.read_text().splitlines():
            if "location" in line or "history." in line or "v1/" in line:
                assert not re.search(r"[?&](token|api_key|key)=|\$\{(token|secret|session)", line), (script.name, line)


def test_dark_is_the_same_whether_the_system_or_the_reader_chose_it() -> None:
    """Style sheets have no way to say it once; light has the same names."""
    light, system, chosen = looks_of(STATIC_DIR / "css" / "tokens.css")
    assert len(system) > 30
    assert system == chosen
    assert light.keys() >= system.keys()
