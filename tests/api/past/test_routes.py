"""A chunk's past over HTTP, and played by a gateway that listens."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from api.past.reader import PLAYING_MOST
from config.settings import Settings
from tests.api.gates import SseEvent, running
from tests.api.people import bearer, refused
from tests.api.support import FakeWorld
from tests.recordings.simulate import played, write
from tests.streaming.writer import ChunkWriter

DEV = bearer("test-spectator-token")
HISTORY = "/v1/chunks/chunk-0/history"
TICKS = 40


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("routes"), played(seed=6, shards=1, ticks=TICKS))


@pytest.fixture
def settings(fresh_postgres_url: str, valkey_url: str, recorded: Path) -> Settings:
    return Settings(
        environment="test", database_url=fresh_postgres_url, redis_url=valkey_url, recordings_dir=str(recorded)
    )


async def test_pages_lead_on_to_each_other(http: httpx.AsyncClient) -> None:
    """From the recording, through a real process of the gateway's."""
    ticks: list[int] = []
    first: int | None = 5
    pages = 0
    while first is not None and pages < 20:
        answer = await http.get(f"{HISTORY}?from={first}&to=30&limit=7", headers=DEV)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        body = answer.json()
        assert body["chunk_static"]["chunk_id"] == body["state"]["chunk_id"] == "chunk-0"
        assert len(body["deltas"]) == len(body["server_ts_ms"]) <= 7
        assert body["gap"] is None
        ticks += [delta["tick"] for delta in body["deltas"]]
        first = body["next"]
        pages += 1
    assert ticks == list(range(5, 31))
    assert pages == 4
    moment = await http.get("/v1/chunks/demo/history?from=1000000000000&limit=1", headers=DEV)
    assert moment.status_code == 200, moment.text
    refused(await http.get("/v1/chunks/chunk-99/history?from=3&to=9", headers=DEV), 404, "chunk_not_found")


async def test_who_may_not_and_what_is_no_question(http: httpx.AsyncClient) -> None:
    refused(await http.get(f"{HISTORY}?from=1"), 401, "invalid_session")
    refused(await http.get("/v1/chunks/%00/history?from=1", headers=DEV), 404, "chunk_not_found")
    for query in ("", "?from=-1", "?from=x", "?from=1&limit=0", "?from=1&limit=501", f"?from={10**18}"):
        refused(await http.get(HISTORY + query, headers=DEV), 422, "invalid_request")


async def test_it_is_played_and_goes_on_live(settings: Settings, world: FakeWorld, redis: Redis) -> None:
    """The recording ends where the stream goes on."""
    chunk = ChunkWriter(redis)
    await chunk.create()
    chunk.last = (TICKS, 0)
    for _ in range(3):
        await chunk.tick()
    async with running(settings, world) as gate:
        token = await gate.token("spectator")
        path = "/v1/spectate/stream?chunk_id=chunk-0&from_tick=30&speed=32"
        async with gate.sse(path, token) as reader:
            events: list[SseEvent] = []
            while not events or events[-1].id != f"chunk-0:{TICKS + 3}:0":
                events += await reader.take(1)
            assert [event.kind for event in events[:4]] == ["session_ready", "playback", "chunk_static", "chunk_delta"]
            live = events + await reader.until("playback")
            await chunk.tick()
            live += await reader.take(1)
            shown = [event.id for event in live if event.id is not None]
            assert shown == [f"chunk-0:{tick}:0" for tick in range(30, TICKS + 5)]
        async with gate.sse(path, token, last_event_id=f"chunk-0:{TICKS}:0") as reader:
            ready, playing, delta = await reader.take(3)
            assert (ready.kind, playing.kind, delta.id) == ("session_ready", "playback", f"chunk-0:{TICKS + 1}:0")
        for query in ("&speed=0.4", "&speed=33", "&speed=nan", "&from_tick=-1"):
            async with gate.sse(path + query, token) as reader:
                assert reader.response.status_code == 422, query
        gate.services.past._playing = PLAYING_MOST
        async with gate.sse(path, token) as reader:
            assert reader.response.status_code == 503
            assert reader.response.headers["retry-after"] == "1"
        gate.services.past._playing = 0
