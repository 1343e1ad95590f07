"""An agent's past, played by a gateway that listens; and against what an owner saw live of a world in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from api.past.reader import PLAYING_MOST, PastReader
from cluster.local import LocalWorld
from cluster.recorder import Recorder
from cluster.shard.config import ShardConfig
from config.settings import Settings
from recordings.past_worker import answer_to
from store import event_log
from store.event_log import LogRow
from streaming import keys
from streaming.agent_rewind import AgentRewind, Start, Stay
from streaming.connect import connect
from streaming.follow import Follow
from streaming.follower import Followed
from streaming.hub import Hub
from streaming.playing import PAGE_DELTAS
from streaming.snapshot import Snapshots
from streaming.subscriber_queue import SubscriberQueue
from tests.api.gates import Gate, SseEvent, running
from tests.api.support import FakeWorld
from tests.cluster.worlds import player, until
from tests.recordings.simulate import SourcedCluster, given_of, write
from tests.streaming.running_hub import running_hub
from tests.world.harness import QUIET
from world.rules import Rules

AGENT = "ada"
STREAM = f"/v1/owner/stream?agent_id={AGENT}"


class Walked:
    """A recording of an agent that leaves the first chunk, comes back, and leaves the world."""

    def __init__(self, directory: Path, shards: int) -> None:
        self.cluster = cluster = SourcedCluster(shards, QUIET, 1)
        cluster.join(AGENT, 25, 45)
        for x, y in ((25, 49), (25, 1), (25, 0)):
            cluster.move(AGENT, x, y)
            cluster.run_until_idle()
            cluster.run(2)
        cluster.submit(AGENT, {"type": "say", "text": "home again"})
        cluster.run(3)
        cluster.leave(AGENT)
        cluster.run(2)
        cluster.join("late", 25, 40)  # for so long that the tick of the leaving is over
        cluster.move("late", 25, 5)
        cluster.run_until_idle()
        self.directory = write(directory, list(given_of(cluster)))

    @property
    def told(self) -> list[tuple[str, dict[str, Any]]]:
        events = [event for event in self.cluster.private if event.agent_id == AGENT]
        return [(event.kind, json.loads(orjson.dumps(event.payload))) for event in events]

    def rows(self) -> list[LogRow]:
        return [
            LogRow(f"{1_772_366_400_000 + n}-1", "run_1", fact["tick"], fact["chunk_id"], AGENT, fact["fact"], payload)
            for n, fact in enumerate(self.cluster.facts)
            if fact["agent_id"] == AGENT
            for payload in [json.dumps({"to_chunk_id": fact["to_chunk_id"]} if fact["fact"] == "crossing" else {})]
        ]


@pytest.fixture
async def hub(redis: Redis) -> AsyncIterator[Hub]:
    async with running_hub(redis) as hub:
        yield hub


@pytest.fixture(scope="module", params=[1, 2], ids=["one shard", "two shards"])
def walked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    return Walked(tmp_path_factory.mktemp("walked"), request.param)


@pytest.fixture
def settings(fresh_postgres_url: str, valkey_url: str, walked: Walked) -> Settings:
    directory = str(walked.directory)
    return Settings(environment="test", database_url=fresh_postgres_url, redis_url=valkey_url, recordings_dir=directory)


@pytest.fixture
async def logged(redis: Redis, walked: Walked) -> list[LogRow]:
    await redis.hset(keys.WORLD, mapping={"seed": 1, "run": "run_1"})
    return walked.rows()


async def until_live(gate: Gate, path: str, last_event_id: str | None = None) -> list[SseEvent]:
    token = await gate.token("owner_spectator", AGENT)
    async with gate.sse(path, token, last_event_id=last_event_id) as reader:
        assert reader.response.status_code == 200
        events: list[SseEvent] = []
        while not events or events[-1].data.get("state") != "live":
            events += await reader.take(1)
        return events


def private(events: list[SseEvent]) -> list[tuple[str, dict[str, Any]]]:
    return [(event.kind, event.data["payload"]) for event in events if "payload" in event.data]


async def test_it_is_played_over_chunks_with_its_own_events(
    settings: Settings, world: FakeWorld, walked: Walked, logged: list[LogRow]
) -> None:
    async with running(settings, world) as gate:
        await event_log.insert(gate.services.engine, logged)
        events = await until_live(gate, f"{STREAM}&from_tick=0&speed=32")
        assert private(events) == walked.told
        assert [event.kind for event in events[:4]] == ["session_ready", "playback", "chunk_static", "chunk_delta"]
        statics = [event.data["chunk_id"] for event in events if event.kind == "chunk_static"]
        assert statics == ["chunk-0", "chunk-1", "chunk-0"]
        for at, event in enumerate(events):
            if event.kind == "chunk_transition":
                assert [one.kind for one in events[at + 1 : at + 3]] == ["chunk_static", "chunk_delta"]
                assert AGENT in [agent["id"] for agent in events[at + 2].data["agents"]]
        ids = [event.id for event in events if event.id is not None]
        assert all(one.startswith("~") for one in ids)
        for at in (3, len(ids) // 2, len(ids) - 2):
            rest = await until_live(gate, f"{STREAM}&from_tick=0&speed=32", ids[at])
            index = next(n for n, event in enumerate(events) if event.id == ids[at])
            assert private(rest) == private(events[index + 1 :])


async def test_who_may_not_and_how_many(settings: Settings, world: FakeWorld, logged: list[LogRow]) -> None:
    async with running(settings, world) as gate:
        for token, status, reason in (
            (await gate.token("owner_spectator", "bob"), 403, "agent_mismatch"),
            (await gate.token("spectator"), 403, "invalid_scope"),
            ("none", 401, "invalid_session"),
        ):
            async with gate.sse(f"{STREAM}&from_tick=1", token) as reader:
                body = json.loads(await reader.response.aread())
                assert (reader.response.status_code, body["detail"]) == (status, reason)
        token = await gate.token("owner_spectator", AGENT)
        for query in ("&from_tick=-1", "&from_tick=1&speed=33", "&from_tick=1&speed=nan"):
            async with gate.sse(STREAM + query, token) as reader:
                assert reader.response.status_code == 422, query
        gate.services.past._playing = PLAYING_MOST
        async with gate.sse(f"{STREAM}&from_tick=1", token) as reader:
            assert reader.response.status_code == 503
            assert reader.response.headers["retry-after"] == "1"
        gate.services.past._playing = 0


# -- against what was seen live --


class Seen:
    """What a view gave, while it lasted."""

    def __init__(self, view: Follow | AgentRewind) -> None:
        self.view = view
        self.shown: list[Followed] = []

    async def read(self) -> None:
        async with aclosing(self.view.events()) as events:
            async for some in events:
                self.shown += some

    @property
    def contents(self) -> list[tuple[str, bytes]]:
        """What is the same for everybody who saw it, the openings aside."""
        ours = ("session_ready", "playback", "heartbeat", "chunk_static")
        return [(event.kind, event.payload) for event, _ in self.shown if event.kind not in ours]

    def count(self, kind: str) -> int:
        return sum(event.kind == kind for event, _ in self.shown)

    @property
    def is_live(self) -> bool:
        return any(event.kind == "playback" and event.fields()["state"] == "live" for event, _ in self.shown)


async def moves_of(redis: Any) -> list[dict[str, Any]]:
    facts = [json.loads(fields[b"m"]) for _, fields in await redis.xrange(keys.ARCHIVE_STREAM)]
    return [one for one in facts if one["agent_id"] == AGENT and one["fact"] in ("join", "crossing", "leave")]


@pytest.mark.slow
async def test_what_an_owner_saw_live_is_what_is_played(hub: Hub, redis: Any, valkey_url: str, tmp_path: Path) -> None:
    client = connect(valkey_url)

    def following(at: str | None, queue: SubscriberQueue) -> Follow:
        return Follow(hub, redis, Snapshots(redis), AGENT, queue, "t", {"role": "owner_spectator"}, last_event_id=at)

    def new_queue() -> SubscriberQueue:
        return SubscriberQueue(100_000, "overflow_close")

    config = ShardConfig(tick_hz=25.0, replay_window_ticks=100_000)
    async with LocalWorld(client, shards=2, rules=Rules(demo=False), config=config) as world:
        ada, _ = await player(world, AGENT), await player(world, "ben")
        live = Seen(following(None, new_queue()))
        reading = asyncio.create_task(live.read())
        await until(lambda: _true(live.count("chunk_delta")), "the first delta")
        recorder = Recorder(redis, tmp_path, segment_s=600, keep_days=7, bytes_most=10**9)
        await ada.move(24, 30)
        first = (await moves_of(redis))[-1]["tick"] + 1
        for x, y in ((25, 49), (25, 1), (25, 0), (25, 40)):
            await ada.move(x, y)
        while await recorder.step():
            pass
        await recorder.flush()
        await ada.submit({"type": "say", "text": "not recorded yet"})
        await ada.result()
        await ada.move(25, 45)

        async def stay(tick: int) -> Stay | None:
            found = [one for one in await moves_of(redis) if one["tick"] <= tick][-1]
            return Stay(found.get("to_chunk_id") or found["chunk_id"], found["tick"])

        settings = Settings(environment="test", recordings_dir=str(tmp_path), database_url="postgresql://x/x")
        reader = PastReader(redis, settings, lambda request: answer_to(request, {}))
        begin = await stay(first)
        assert begin is not None
        queue = new_queue()
        start = Start(first, await reader.agent_page(AGENT, begin.chunk_id, first, PAGE_DELTAS))
        view = AgentRewind(
            *(reader, stay, redis, lambda at: following(at, queue), queue, start, "t"),
            {"role": "owner_spectator"},
            agent_id=AGENT,
            hz=25.0,
            speed=10_000.0,
        )
        played = Seen(view)
        playing = asyncio.create_task(played.read())
        await until(lambda: _true(played.is_live), "going on live")
        results = live.count("command_result")
        await ada.move(26, 45)
        await until(lambda: _true(live.count("command_result") >= results + 1), "the last result live")
        last = await ada.result()
        for one in (live, played):
            await until(lambda one=one: _true(_has(one, last)), "the last result")  # type: ignore[misc]
        for task in (reading, playing):
            task.cancel()
        await asyncio.gather(reading, playing, return_exceptions=True)
        reader.close()
    assert "resync_required" not in [event.kind for event, _ in played.shown]
    kinds = ("command_ack", "command_result", "chunk_transition", "agent_private_delta")
    told = [one for one in live.contents if one[0] in kinds]
    again = [one for one in played.contents if one[0] in kinds]
    assert again == told[len(told) - len(again) :]
    assert len(again) >= 12
    deltas = [payload for kind, payload in live.contents if kind == "chunk_delta"]
    shown = [payload for kind, payload in played.contents if kind == "chunk_delta"][1:]  # the first is a state
    end = min(deltas.index(shown[0]) + len(shown), len(deltas))
    assert shown[: end - deltas.index(shown[0])] == deltas[deltas.index(shown[0]) : end]
    transitions = [json.loads(payload)["to_chunk_id"] for kind, payload in again if kind == "chunk_transition"]
    assert len(transitions) >= 2
    await client.aclose()


async def _true(value: Any) -> Any:
    return value


def _has(seen: Seen, result: dict[str, Any]) -> bool:
    return any(event.kind == "command_result" and event.fields() == result for event, _ in seen.shown)
