from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from api.sdk_files import STATIC_DIR
from api.static_page import HEADERS, files_of
from tests.api.people import refused

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "sdk-js" / "src"
SCRIPTS = sorted(SOURCE.rglob("*.js"))


@pytest.fixture
def fresh_postgres_url(postgres_url: str) -> str:
    """One database for all: nothing here reads it."""
    return postgres_url


def test_it_is_the_sdk_as_it_stands_in_the_repository() -> None:
    assert {SOURCE / name for name in files_of(STATIC_DIR)} == set(SCRIPTS)


async def test_every_module_is_served_as_a_script_under_the_pages_policy(http: httpx.AsyncClient) -> None:
    for name in files_of(STATIC_DIR):
        answer = await http.get(f"/sdk/{name}")
        assert answer.status_code == 200
        assert answer.content == (SOURCE / name).read_bytes()
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert HEADERS.items() <= dict(answer.headers).items()


@pytest.mark.parametrize("name", ["", "index.html", "../package.json", "%2e%2e/package.json", "transport"])
async def test_nothing_else_is_served(http: httpx.AsyncClient, name: str) -> None:
    refused(await http.get(f"/sdk/{name}"), 404, "not_found")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.relative_to(SOURCE)))
def test_modules_import_one_another_and_make_no_code_or_markup_of_text(script: Path) -> None:
    text = script.read_text()
    imports = re.findall(r'^(?:import|export)\b[^;]*? from "([^"]+)";', text, re.MULTILINE)
    # What is Node's own is in the one file that browsers never load.
    own = [name for name in imports if not (script.name == "node_socket.js" and name.startswith("node:"))]
    for imported in own:
        assert (script.parent / imported).is_file(), imported
        assert SOURCE in (script.parent / imported).resolve().parents
    assert not re.search(r"innerHTML|outerHTML|document\.|\beval\(|new Function|DOMParser", text)
