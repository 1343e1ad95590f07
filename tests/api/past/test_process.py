"""The process that reads recordings: it answers, is started again, and ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.past.process import PastProcess, PastUnavailable
from recordings.past_page import PastPage
from tests.recordings.simulate import played, write


@pytest.fixture
def process() -> Iterator[PastProcess]:
    process = PastProcess()
    yield process
    process.close()


def request(directory: Path) -> dict[str, Any]:
    return {"directory": str(directory), "url": "", "chunk_id": "chunk-0", "first": 5, "last": 9, "limit": 100}


def test_it_answers_and_is_started_again(process: PastProcess, tmp_path: Path) -> None:
    asked = request(write(tmp_path / "recorded", played(seed=6, shards=1, ticks=20)))
    answer = process.ask(asked)
    assert [delta.tick for delta in PastPage.unpack(answer[1:]).deltas] == [5, 6, 7, 8, 9]
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert process.ask(asked) == answer
    assert process.pid != first
    process.close()
    with pytest.raises(PastUnavailable):
        process.ask(asked)


def test_one_that_can_not_be_started(process: PastProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "nothing"))
    with pytest.raises(PastUnavailable):
        process.ask(request(tmp_path))
