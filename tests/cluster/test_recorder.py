"""The recorder: from Redis' stream onto the disk, each entry once, whatever is lost meanwhile."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import orjson
import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError
from structlog.testing import capture_logs

from cluster import recorder as recorder_module
from cluster.recorder import Recorder
from cluster.recording_metrics import recording_families
from recordings.lane import Given
from recordings.places import Directory, SegmentPlace, place_of
from recordings.replay import entries_of
from recordings.segment import Segment, SegmentWriter
from recordings.verify import verify
from recordings.writer import RecordingWriter
from streaming import keys
from streaming.digests import ChunkDigests, ToldDigest, read_digests
from tests.recordings.away_store import AWAY_URL
from tests.recordings.simulate import played

DAYS = 7
BYTES = 10**9


@pytest.fixture(scope="module")
def given() -> list[Given]:
    return played(seed=9, shards=2, ticks=120)


def recorder(redis: Redis, directory: Path, place: SegmentPlace | None = None, *, bytes_most: int = BYTES) -> Recorder:
    return Recorder(redis, directory, segment_s=10, keep_days=10**6, bytes_most=bytes_most, place=place)


async def put(redis: Any, given: list[Given]) -> None:
    """Put entries into the stream under their ids, as commits do under Redis' own."""
    pipe = redis.pipeline(transaction=False)
    for one in given:
        fields = {"s": one.shard, "p": one.position.text, "m": one.message}
        pipe.xadd(keys.RECORDING_STREAM, fields, id=one.id)
    await pipe.execute()


def written(place: SegmentPlace) -> tuple[Counter[tuple[int, int]], Counter[tuple[int, int]]]:
    """Return how often each entry is in the files, and each key frame: by shard and number."""
    entries: Counter[tuple[int, int]] = Counter()
    frames: Counter[tuple[int, int]] = Counter()
    for kept in place.segments():
        with place.open(kept.name) as file:
            segment = Segment(file)
            for block in segment.blocks:
                entries.update((kept.name.shard, entry.n) for entry in entries_of(segment.data(block)))
                if block.frame is not None:
                    frames[kept.name.shard, block.entries[0]] += 1
    return entries, frames


async def test_everything_is_on_the_disk_before_it_leaves_redis(
    redis: Redis, given: list[Given], tmp_path: Path
) -> None:
    await put(redis, given)
    one = recorder(redis, tmp_path)
    while await one.step():
        pass
    await one.flush()
    assert await redis.xlen(keys.RECORDING_STREAM) == 0
    await one.measure()
    assert one.describe()["recorded"] == len(given)
    assert one.describe()["recording_waiting"] == 0
    families = {family.name: family.samples[0].value for family in recording_families(one.describe())}
    assert families["recording_entries"] == len(given)
    assert families["recording_lag_seconds"] == families["recording_entries_missing"] == 0
    assert sum(kept.size for kept in Directory(tmp_path).segments()) > 10_000
    verdict = verify(Directory(tmp_path))  # while it is written
    assert verdict.same
    await one.drain()
    verdict = verify(Directory(tmp_path))
    assert verdict.same
    assert verdict.entries == len(given)
    assert one.describe()["recording_bytes"] == sum(kept.size for kept in Directory(tmp_path).segments())


async def test_watchers_are_told_what_the_recording_proves(redis: Redis, given: list[Given], tmp_path: Path) -> None:
    await put(redis, given)
    one = recorder(redis, tmp_path)
    await one.drain()
    told = await read_digests(redis, "chunk-0")
    assert told
    assert [digest.tick for digest in told] == sorted({digest.tick for digest in told})
    newest = await ChunkDigests(redis).newest("chunk-0")
    assert newest == told[-10:]
    assert await redis.ttl(keys.chunk_digests("chunk-0")) > 80_000
    positions = {one.position.text for one in given}
    assert {digest.entry for digest in told} <= positions
    # Told again after a death: each still once.
    await put(
        redis, [Given(f"{one.ms + 10**9}-{n}", one.shard, one.position, one.message) for n, one in enumerate(given)]
    )
    await recorder(redis, tmp_path / "again").drain()
    assert await read_digests(redis, "chunk-0") == told


async def test_the_next_recorder_goes_on(redis: Redis, given: list[Given], tmp_path: Path) -> None:
    """The first read, wrote and was killed before it took anything out of Redis."""
    await put(redis, given)
    first = recorder(redis, tmp_path)
    first._flush_at = float("inf")
    await first.step()
    assert first._writer is not None
    first._writer.flush()
    first._writer.abandon()
    second = recorder(redis, tmp_path)
    await second.drain()
    described = second.describe()
    assert described["recording_repeated"] > 0
    assert described["recorded"] + described["recording_repeated"] == len(given)
    verdict = verify(Directory(tmp_path))
    assert verdict.same
    assert verdict.entries == len(given)


async def test_a_full_disk_is_waited_for(
    redis: Redis, given: list[Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(redis, given)
    one = recorder(redis, tmp_path)
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(RecordingWriter, "flush", full)
        with pytest.raises(OSError, match="No space"):
            await one.step()
    assert await redis.xlen(keys.RECORDING_STREAM) == len(given)
    await one.drain()
    assert verify(Directory(tmp_path)).same
    assert verify(Directory(tmp_path)).entries == len(given)


async def test_another_recorder_has_the_directory(redis: Redis, given: list[Given], tmp_path: Path) -> None:
    first, second = recorder(redis, tmp_path), recorder(redis, tmp_path)
    await put(redis, given)
    await first.step()
    with pytest.raises(OSError, match="another recorder"):
        await second.step()
    await first.drain()


async def test_headers_of_lives_are_kept_for_a_recorder_elsewhere(
    redis: Redis, given: list[Given], tmp_path: Path
) -> None:
    await put(redis, given[:500])
    await recorder(redis, tmp_path / "here").drain()
    kept = await redis.hgetall(keys.RECORDING_HEADERS)
    assert {orjson.loads(header)["shard"] for header in kept.values()} == {0, 1}
    await put(redis, given[500:])
    there = recorder(redis, tmp_path / "there")
    await there.drain()
    assert there.describe()["recorded"] == len(given) - 500
    assert there.describe()["recording_missing"] == 0


async def test_headers_that_redis_did_not_take_are_told_with_the_next_try(
    redis: Redis, given: list[Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(redis, given)
    one = recorder(redis, tmp_path)
    with monkeypatch.context() as patch:

        async def gone(*_: Any, **__: Any) -> int:
            raise RedisConnectionError("gone")

        patch.setattr(redis, "hset", gone)
        with pytest.raises(RedisConnectionError):
            await one.step()
    await one.drain()
    assert set(await redis.hgetall(keys.RECORDING_HEADERS)) == {b"0", b"1"}
    assert verify(Directory(tmp_path)).entries == len(given)


async def test_whole_segments_go_elsewhere(redis: Redis, given: list[Given], tmp_path: Path) -> None:
    url = "memory://recordings-of-a-test"
    await put(redis, given)
    place = place_of(url)
    one = recorder(redis, tmp_path, place)
    await one.drain()
    assert len(Directory(tmp_path).segments()) == 2, "the newest of each shard stays here, too"
    verdict = verify(place)
    assert verdict.same
    assert verdict.entries == len(given)
    assert one.describe()["recording_bytes"] == sum(kept.size for kept in place.segments())
    fsspec.filesystem("memory").rm("/recordings-of-a-test", recursive=True)


async def test_the_oldest_go_when_there_are_too_many_bytes(redis: Redis, given: list[Given], tmp_path: Path) -> None:
    await put(redis, given)
    one = recorder(redis, tmp_path, bytes_most=40_000)
    await one.drain()
    left = Directory(tmp_path).segments()
    assert 0 < sum(kept.size for kept in left) <= 40_000
    verdict = verify(Directory(tmp_path))
    assert verdict.same, "what is left begins with key frames"
    assert verdict.digests > 0


async def test_a_disk_that_takes_nothing_for_a_while_costs_nothing(
    redis: Redis, given: list[Given], tmp_path: Path
) -> None:
    """Also where the file that is given up can't be closed for the same reason."""
    await put(redis, given)
    one = recorder(redis, tmp_path)
    one._flush_at = float("inf")
    await one.step()
    assert one._writer is not None
    full = os.open("/dev/full", os.O_WRONLY)
    for lane in one._writer._lanes.values():
        assert lane._writer is not None
        os.dup2(full, lane._writer._file.fileno())
    os.close(full)
    with pytest.raises(OSError, match="No space"):
        await one.flush()
    await one.drain()
    verdict = verify(Directory(tmp_path))
    assert verdict.same
    assert verdict.entries == len(given)


async def test_what_was_half_sent_is_sent_again(redis: Redis, given: list[Given], tmp_path: Path) -> None:
    """The recorder was killed while it copied to a place that shows what has come so far."""
    there = tmp_path / "there"
    await put(redis, given)
    one = recorder(redis, tmp_path / "here", place_of(f"file://{there}"))
    await one.drain()
    newest = Directory(there).segments()[-1]
    path = there / str(newest.name)
    path.write_bytes(path.read_bytes()[: newest.size // 2])
    await recorder(redis, tmp_path / "here", place_of(f"file://{there}")).tidy()
    assert path.stat().st_size == newest.size
    assert verify(Directory(there)).entries == len(given)


async def test_the_newest_whole_segment_stays_here_while_the_next_is_empty(
    redis: Redis, given: list[Given], tmp_path: Path
) -> None:
    """A recorder was killed as it began a file; the next sends what is whole before it has opened the directory."""
    here, place = tmp_path / "here", place_of(f"file://{tmp_path / 'there'}")
    await put(redis, given)
    await recorder(redis, here, place).drain()
    stays = [one.name for one in Directory(here).segments()]
    for name in stays:
        (here / str(replace(name, began_ms=name.began_ms + 1, first=name.first + 1, finished=False))).touch()
    again = recorder(redis, here, place)
    await again.tidy()
    await redis.delete(keys.RECORDING_STREAM)
    await put(redis, given[-50:])  # they were not taken out yet
    await again.drain()
    assert {one.name for one in Directory(here).segments()} == set(stays)
    assert again.describe()["recording_missing"] == 0
    assert verify(place).entries == len(given)


async def test_what_was_cut_elsewhere_is_not_sent_again(
    redis: Redis, given: list[Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a shard where nothing happens, the newest segment stays here for long and is the oldest there."""
    here, place = tmp_path / "here", place_of(f"file://{tmp_path / 'there'}")
    sent: list[str] = []
    send = place.put

    def noted(path: Path) -> None:
        sent.append(path.name)
        send(path)

    monkeypatch.setattr(place, "put", noted)
    await put(redis, given)
    one = recorder(redis, here, place)
    await one.drain()
    stays = [kept.name for kept in Directory(here).segments()]
    assert len(sent) == len(set(sent)) > len(stays)
    sent.clear()
    place.remove(stays[0])
    await one.tidy()
    assert sent == [], "it is known to have been there"
    after_restart = recorder(redis, here, place, bytes_most=1)
    for _ in range(2):
        await after_restart.tidy()
    assert sent == [], "there is no room for it"
    assert place.segments() == []
    assert [kept.name for kept in Directory(here).segments()] == stays


class HeldWriter:
    """Holds the first call of a method of ``RecordingWriter`` in its thread until ``released``; counts overlaps."""

    def __init__(self, patch: pytest.MonkeyPatch, method: str) -> None:
        self.entered, self.released = threading.Event(), threading.Event()
        self.calls = self.overlaps = 0
        self._at_once = threading.Lock()
        self._real = getattr(RecordingWriter, method)
        patch.setattr(RecordingWriter, method, lambda *given, **named: self._call(*given, **named))

    def _call(self, *given: Any, **named: Any) -> Any:
        self.calls += 1
        if not self._at_once.acquire(blocking=False):
            self.overlaps += 1
            self.released.set()
            return self._real(*given, **named)
        try:
            self.entered.set()
            self.released.wait(10)
            return self._real(*given, **named)
        finally:
            self._at_once.release()


@pytest.mark.parametrize("method", ["add", "flush", "__init__"])
async def test_a_clean_stop_waits_for_the_thread_that_writes(
    redis: Redis, given: list[Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    await put(redis, given)
    await recorder(redis, tmp_path / "undisturbed").drain()
    await redis.delete(keys.RECORDING_STREAM, keys.RECORDING_HEADERS)
    await put(redis, given)
    one = recorder(redis, tmp_path / "stopped")
    held = HeldWriter(monkeypatch, method)
    step = asyncio.create_task(one.step())
    try:
        assert await asyncio.to_thread(held.entered.wait, 10)
        for _ in range(3):
            step.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        drain = asyncio.create_task(one.drain())
        await asyncio.sleep(0)
        assert not step.done()
    finally:
        held.released.set()
    await drain
    assert step.cancelled()
    assert held.overlaps == 0
    assert held.calls > 1 or method == "__init__"
    entries, frames = written(Directory(tmp_path / "stopped"))
    assert entries == Counter((one.shard, one.position.n) for one in given)
    assert set(frames.values()) == {1}
    assert set(frames) >= set(written(Directory(tmp_path / "undisturbed"))[1])
    assert verify(Directory(tmp_path / "stopped")).same
    assert set(await redis.hgetall(keys.RECORDING_HEADERS)) == {b"0", b"1"}


async def test_a_cancelled_add_that_failed_is_begun_again(
    redis: Redis, given: list[Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk was full for a block of it, and nobody was there to hear of it."""
    await put(redis, given)
    one = recorder(redis, tmp_path)
    entered, released = threading.Event(), threading.Event()

    def full(*_: object) -> None:
        entered.set()
        released.wait(10)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SegmentWriter, "write", full)
        step = asyncio.create_task(one.step())
        assert await asyncio.to_thread(entered.wait, 10)
        step.cancel()
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await step
    await one.drain()
    assert written(Directory(tmp_path))[0] == Counter((one.shard, one.position.n) for one in given)
    assert verify(Directory(tmp_path)).same


async def test_a_directory_is_not_locked_for_good_when_redis_goes_while_it_is_opened(
    redis: Redis, given: list[Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(redis, given)
    one = recorder(redis, tmp_path)
    with monkeypatch.context() as patch:

        async def gone(*_: Any, **__: Any) -> dict[bytes, bytes]:
            raise RedisConnectionError("gone")

        patch.setattr(redis, "hgetall", gone)
        with pytest.raises(RedisConnectionError):
            await one.step()
    assert await one.step() == len(given)
    await one.drain()


async def test_a_clean_stop_waits_for_no_more_than_the_segment_that_is_being_sent(
    redis: Redis, given: list[Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, place = tmp_path / "here", place_of(f"file://{tmp_path / 'there'}")
    await put(redis, given)
    await recorder(redis, here).drain()
    whole = Directory(here).segments()
    sending, released = threading.Event(), threading.Event()
    send = place.put

    def slowly(path: Path) -> None:
        sending.set()
        released.wait(10)
        send(path)

    monkeypatch.setattr(place, "put", slowly)
    tidying = asyncio.create_task(recorder(redis, here, place).tidy())
    try:
        assert await asyncio.to_thread(sending.wait, 10)
        tidying.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not tidying.done()
    finally:
        released.set()
    with pytest.raises(asyncio.CancelledError):
        await tidying
    assert len(place.segments()) == 1 < len(whole)
    await recorder(redis, here, place).tidy()
    assert [one.name for one in place.segments()] == [one.name for one in whole]


async def gone(*_: Any, **__: Any) -> list[Any]:
    raise RedisConnectionError("gone")


async def without_memory(pipe: Any, **_: Any) -> list[Any]:
    return [OutOfMemoryError("command not allowed when used memory > 'maxmemory'.") for _ in pipe.command_stack]


async def told_to_watchers(redis: Redis, given: list[Given], directory: Path) -> list[ToldDigest]:
    """Return what an undisturbed recorder tells of a chunk; Redis is empty after it."""
    await put(redis, given)
    await recorder(redis, directory).drain()
    told = await read_digests(redis, "chunk-0")
    await redis.flushdb()
    return told


@pytest.mark.parametrize("fault", [gone, without_memory])
async def test_digests_that_redis_did_not_take_are_told_with_the_next_flush(
    redis: Redis, given: list[Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    expected = await told_to_watchers(redis, given, tmp_path / "undisturbed")
    await put(redis, given)
    one = recorder(redis, tmp_path / "disturbed")
    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "execute", fault)
        with pytest.raises(RedisError):
            await one.step()
    assert await read_digests(redis, "chunk-0") == []
    assert await redis.xlen(keys.RECORDING_STREAM) == len(given)
    await one.flush()
    assert await read_digests(redis, "chunk-0") == expected
    assert await redis.xlen(keys.RECORDING_STREAM) == 0
    assert one.describe()["recording_repeated"] == 0


async def test_digests_that_redis_never_takes_are_bounded(
    redis: Redis, given: list[Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await told_to_watchers(redis, given, tmp_path / "undisturbed")
    await put(redis, given)
    monkeypatch.setattr(recorder_module, "BATCH", len(given) // 8)
    monkeypatch.setattr(recorder_module, "DIGESTS_MOST", 2)
    one = recorder(redis, tmp_path / "disturbed")
    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "execute", without_memory)
        for _ in range(8):
            with pytest.raises(RedisError):
                await one.step()
            assert len(one._digests) <= 2
    await one.drain()
    told = await read_digests(redis, "chunk-0")
    assert 0 < len(told) < len(expected)
    assert told == expected[-len(told) :]
    assert verify(Directory(tmp_path / "disturbed")).entries == len(given)


async def test_a_store_that_is_away_stops_no_recording(
    redis: Redis, given: list[Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client raises errors of its own.  The first tidying comes before the first entries."""
    await recorder(redis, tmp_path).drain()
    monkeypatch.setattr(recorder_module, "GATHER_S", 0.01)
    one = recorder(redis, tmp_path, place_of(AWAY_URL))
    with capture_logs() as logs:
        running = asyncio.create_task(one.run())
        try:
            async with asyncio.timeout(10):
                while not running.done() and not any(line["event"] == "recorder_waits" for line in logs):
                    await asyncio.sleep(0.01)
                await put(redis, given)
                while one.describe()["recorded"] < len(given) and not running.done():
                    await asyncio.sleep(0.01)
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.wait([running])
    [said] = [line for line in logs if line["event"] == "recorder_waits"]
    assert "EndpointGone" in said["error"]
    assert "secret" not in said["error"]
    assert one.describe()["recorded"] == len(given)
