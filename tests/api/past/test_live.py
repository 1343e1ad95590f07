"""A world that lives: what its watchers were sent is what the recording gives, and the two join."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.past.reader import PastReader
from cluster.local import LocalWorld
from cluster.recorder import Recorder
from cluster.shard.config import ShardConfig
from config.settings import Settings
from recordings.chunk_past import read_past
from recordings.past_worker import answer_to
from recordings.places import Directory
from recordings.track import Catalog
from streaming import keys
from streaming.connect import connect
from streaming.entry import events_of
from tests.cluster.worlds import player
from world.rules import Rules

#: More ticks than the test takes at 25 Hz on any machine: the stream keeps all of them, to compare with.
WINDOW = 100_000


@pytest.mark.slow
async def test_the_past_of_a_live_world(redis: Any, valkey_url: str, tmp_path: Path) -> None:
    client = connect(valkey_url)
    config = ShardConfig(tick_hz=25.0, replay_window_ticks=WINDOW)
    async with LocalWorld(client, shards=2, rules=Rules(demo=False), config=config) as world:
        ada, ben = await player(world, "ada"), await player(world, "ben")
        await ada.move(24, 30)
        await ben.submit({"type": "say", "text": "hello"})
        await ben.result()
        await ada.move(25, 49)
        await ada.move(25, 1)
        recorder = Recorder(redis, tmp_path, segment_s=600, keep_days=7, bytes_most=10**9)
        while await recorder.step():
            pass
        await recorder.flush()
        await ben.move(24, 27)
        await ben.move(26, 24)
    chunks = [name.decode()[len(keys.CHUNK_STREAM_PREFIX) :] for name in await redis.keys(keys.chunk_stream("*"))]
    assert len(chunks) > 1
    catalog = Catalog(Directory(tmp_path))
    for chunk_id in chunks:
        key: Any = keys.chunk_stream(chunk_id)
        sent = [event for id_, fields in await redis.xrange(key) for event in events_of(key, id_, fields[b"m"])]
        page = read_past(catalog, chunk_id, 0, 10**14)
        assert page.ended
        assert page.gap is None
        assert page.deltas
        assert [(delta.tick, delta.payload) for delta in page.deltas] == [
            (event.id[0], event.payload) for event in sent if event.kind == "chunk_delta" and event.id[0] <= page.last
        ]
    reader = PastReader(
        redis,
        Settings(environment="test", recordings_dir=str(tmp_path), database_url="postgresql://x/x"),
        lambda request: answer_to(request, {}),
    )
    joined = await reader.page("chunk-0", 0, 10**14)
    key = keys.chunk_stream("chunk-0")
    assert [delta.tick for delta in joined.deltas] == [
        int(id_.partition(b"-")[0]) for id_, _ in await redis.xrange(key)
    ]
    reader.close()
    await client.aclose()
