from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from recordings.agent_page import AgentPage
from recordings.kept import KeptPast
from recordings.past_page import PastPage
from recordings.past_worker import AWAY, KEPT, PAGE, TICK, answer_to
from recordings.track import Catalog
from tests.recordings.away_store import AWAY_URL, FALTERING_URL
from tests.recordings.simulate import played, write


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("worker"), played(seed=6, shards=1, ticks=30))


def ask(directory: Path, url: str = "", **more: Any) -> bytes:
    known: dict[tuple[str, str], Catalog] = {}
    return answer_to({"directory": str(directory), "url": url, "chunk_id": "chunk-0", **more}, known)


def test_a_page(directory: Path) -> None:
    answer = ask(directory, first=10, last=20, limit=3)
    assert answer[:1] == PAGE
    page = PastPage.unpack(answer[1:])
    assert [delta.tick for delta in page.deltas] == [10, 11, 12]
    assert page.last == 12


def test_a_moment(directory: Path) -> None:
    answer = ask(directory, ms=1_000_000 + 15 * 200)
    assert answer[:1] == TICK
    assert 13 <= orjson.loads(answer[1:]) <= 16


def test_a_directory_of_another_node(tmp_path: Path) -> None:
    page = PastPage.unpack(ask(tmp_path / "nowhere", first=1, last=2, limit=3)[1:])
    assert (page.ended, page.last) == (True, 0)


def test_a_place_that_is_none(tmp_path: Path) -> None:
    assert ask(tmp_path, "nonsense://x", first=1, last=2, limit=3) == AWAY


@pytest.mark.parametrize("url", [AWAY_URL, FALTERING_URL])
@pytest.mark.parametrize("more", [{"first": 1, "last": 2, "limit": 3}, {"ms": 1_000_000}, {"kept": True}])
def test_a_place_that_is_away(tmp_path: Path, url: str, more: dict[str, Any]) -> None:
    assert ask(tmp_path, url, **more) == AWAY


def test_how_far_back(directory: Path) -> None:
    answer = ask(directory, kept=True)
    assert answer[:1] == KEPT
    found = KeptPast.unpack(answer[1:])
    assert (found.first, found.last) == (0, 30)


def test_a_page_of_an_agent(directory: Path) -> None:
    answer = ask(directory, agent_id="agent-0", first=5, limit=3)
    assert answer[:1] == PAGE
    page = AgentPage.unpack(answer[1:])
    assert (page.chunk.chunk_id, page.chunk.first) == ("chunk-0", 5)
    assert len(page.chunk.deltas) <= 3
