"""How far back one can look, over HTTP."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy.exc import OperationalError

from api.kept_answers import KeptAnswers
from api.past import timeline
from api.services import Services
from config.settings import Settings
from store import event_log
from store.event_log import LogRow
from streaming import keys
from tests.api.people import bearer, refused
from tests.recordings.simulate import played, write
from tests.streaming.writer import ChunkWriter, twenty_ticks

DEV = bearer("test-spectator-token")
PATH = "/v1/chunks/chunk-0/timeline"
TICKS = 40


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("timeline"), played(seed=6, shards=1, ticks=TICKS))


@pytest.fixture(autouse=True)
async def run(redis: Redis) -> None:
    await redis.hset(keys.WORLD, mapping={"seed": 1, "run": "run_1"})


@pytest.fixture
def settings(fresh_postgres_url: str, valkey_url: str, recorded: Path) -> Settings:
    return Settings(
        environment="test", database_url=fresh_postgres_url, redis_url=valkey_url, recordings_dir=str(recorded)
    )


async def asked(http: httpx.AsyncClient, query: str = "", path: str = PATH) -> dict[str, Any]:
    answer = await http.get(path + query, headers=DEV)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_recording_and_what_happened_in_it(http: httpx.AsyncClient, services: Services) -> None:
    body = await asked(http, path="/v1/chunks/demo/timeline")
    assert body["chunk_id"] == "chunk-0"
    assert (body["oldest_tick"], body["newest_tick"], body["recorded"]) == (0, TICKS, True)
    assert (body["gaps"], body["gaps_from"], body["marks"], body["marks_from"]) == ([], 0, [], 0)
    assert body["points"][-1] == [TICKS, 1_000_000 + TICKS * 200]
    assert body["tick_hz"] == services.settings.tick_hz

    at = datetime.fromtimestamp(1_000, UTC) + timedelta(milliseconds=200 * 12)
    row = LogRow(f"{int(at.timestamp() * 1000)}-0", "run_1", 12, "chunk-0", "ada", "chat", '{"text": "secret"}')
    elsewhere = replace(row, entry_id="1002400-1", run_id="run_2")
    await event_log.insert(services.engine, [row, elsewhere])
    body = await asked(http, "?from=5&to=30&parts=3")
    assert body["marks"] == [{"tick": 12, "kind": "chat", "count": 1}]
    assert "secret" not in str(body)
    assert (await asked(http, "?from=13&to=30"))["marks"] == []


async def test_the_stream_alone(http: httpx.AsyncClient, redis: Redis, services: Services, tmp_path: Path) -> None:
    await twenty_ticks(redis)
    past = services.past
    past._places["directory"] = str(tmp_path / "nothing")
    services.settings = services.settings.model_copy(update={"recordings": False})
    body = await asked(http)
    assert (body["oldest_tick"], body["newest_tick"]) == (7, 20)
    assert body["gaps"] == []
    assert body["recorded"] is False
    page = (await http.get("/v1/chunks/chunk-0/history?from=7&to=9", headers=DEV)).json()
    assert page["gap"] is None
    assert page["state"]["tick"] == 6


async def test_between_recording_and_stream(http: httpx.AsyncClient, redis: Redis) -> None:
    chunk = ChunkWriter(redis)
    await chunk.create()
    chunk.last = (TICKS + 5, 0)
    await chunk.tick()
    body = await asked(http)
    assert body["gaps"] == [{"from_tick": TICKS + 1, "to_tick": TICKS + 5, "reason": "not_yet_recorded"}]
    assert body["newest_tick"] == TICKS + 6


async def test_nothing_is_kept(http: httpx.AsyncClient, redis: Redis, services: Services, tmp_path: Path) -> None:
    services.past._places["directory"] = str(tmp_path / "nothing")
    refused(await http.get(PATH, headers=DEV), 404, "chunk_not_found")
    await ChunkWriter(redis).create()
    body = await asked(http)
    assert (body["oldest_tick"], body["newest_tick"], body["points"], body["marks"]) == (None, None, [], [])


async def test_the_database_is_away(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any, **__: Any) -> None:
        raise OperationalError("", {}, OSError())

    monkeypatch.setattr(timeline, "read_marks", away)
    body = await asked(http)
    assert (body["marks"], body["marks_from"]) == ([], None)
    assert body["oldest_tick"] == 0


async def test_who_may_not_and_what_is_no_question(http: httpx.AsyncClient) -> None:
    refused(await http.get(PATH), 401, "invalid_session")
    refused(await http.get("/v1/chunks/%00/timeline", headers=DEV), 404, "chunk_not_found")
    for query in ("?from=-1", "?to=x", "?parts=0", "?parts=301", f"?to={10**18}"):
        refused(await http.get(PATH + query, headers=DEV), 422, "invalid_request")
    assert (await asked(http, f"?from=0&to={10**14}"))["marks"] == []
    turned = await asked(http, "?from=9&to=8")
    assert (turned["marks"], turned["marks_from"]) == ([], 9)


async def test_a_chunk_that_never_was_costs_no_process(
    http: httpx.AsyncClient, redis: Redis, services: Services
) -> None:
    await redis.hset(keys.WORLD, "next_chunk", "2")
    questions: list[dict[str, Any]] = []
    ask = services.past._ask

    def asked_of_process(request: dict[str, Any]) -> bytes:
        questions.append(request)
        return ask(request)

    services.past._ask = asked_of_process
    services.past._kept = KeptAnswers(1.0, clock=lambda: 0.0)
    for wanted in ("chunk-2", "chunk-01", "chunk-", "1", "nowhere", "chunk-" + "9" * 58):
        refused(await http.get(f"/v1/chunks/{wanted}/timeline", headers=DEV), 404, "chunk_not_found")
    assert questions == []
    for once in ("chunk-0", "chunk-1"):  # made, and of the same shard
        assert (await asked(http, path=f"/v1/chunks/{once}/timeline"))["oldest_tick"] == 0
    assert len(questions) == 1
