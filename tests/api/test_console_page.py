"""The console's files: served like the other pages', and nothing in them that could run what somebody wrote."""

from __future__ import annotations

import httpx
import pytest

from api import watch_page
from api.console_page import STATIC_DIR
from api.static_page import HEADERS, files_of
from tests.api.page_files import (
    NAMESPACES,
    addresses_in,
    ids_named_by,
    imports_of,
    looks_of,
    makes_markup,
    markup_of,
)

SCRIPTS = sorted(STATIC_DIR.rglob("*.js"))
#: What it shares with the page to watch, and what of that looks for elements by their id.
SHARED = [watch_page.STATIC_DIR / "js" / "ui" / name for name in ("announcer.js", "connection.js")]


@pytest.fixture
def fresh_postgres_url(postgres_url: str) -> str:
    """One database for all: nothing here reads it."""
    return postgres_url


async def test_it_is_served_and_so_is_all_that_it_links(http: httpx.AsyncClient) -> None:
    answer = await http.get("/console")
    assert answer.status_code == 200
    assert HEADERS.items() <= dict(answer.headers).items()
    for link in markup_of(STATIC_DIR).links:
        assert (await http.get(f"/{link}")).status_code == 200, link


def test_the_document_has_nothing_inline_and_every_element_that_scripts_name() -> None:
    markup = markup_of(STATIC_DIR)
    assert markup.faults == []
    assert len(markup.ids) == len(set(markup.ids))
    named = ids_named_by([*SCRIPTS, *SHARED])
    assert len(named) > 10
    assert named <= set(markup.ids)


def test_scripts_import_only_what_there_is_and_make_no_markup_of_text() -> None:
    assert len(SCRIPTS) > 15
    assert [path for script in SCRIPTS for path in imports_of(script) if not path.is_file()] == []
    assert [script.name for script in SCRIPTS if makes_markup(script)] == []


@pytest.mark.parametrize("name", files_of(STATIC_DIR))
def test_nothing_comes_from_elsewhere(name: str) -> None:
    assert addresses_in(STATIC_DIR / name) <= NAMESPACES


def test_dark_is_the_same_whether_the_system_or_the_reader_chose_it() -> None:
    light, system, chosen = looks_of(STATIC_DIR / "css" / "layout.css")
    assert system == chosen
    assert light.keys() == system.keys()
