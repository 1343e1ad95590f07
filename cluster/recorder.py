"""The recorder: from ``stream:recording`` onto the disk, every entry exactly once, beside the game.

What happens to entries, and what a death at each point leaves:

1. they are read and put into blocks in memory - Redis has them still;
2. the blocks are written and on the disk (``flush``) - the commit point; what was torn is cut off by the next recorder;
3. their digests are told to watchers - again after a death, which changes nothing;
4. they are taken out of Redis - before that they are read again, and left out by what stands in the last block.

While the disk is full or the recorder away, the stream grows up to the journal's ``RECORDING_MAXLEN``; the game never
waits.  A clean stop waits for the thread that writes: two would write each entry twice.  See
docs/decisions/0090-recordings.md.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVarTuple

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from cluster.in_thread import in_thread
from config.errors import OperatorError
from recordings.digests import one_line
from recordings.entry import BadRecording, Header, RecordedUpTo, read_entry, unpack
from recordings.lane import Given
from recordings.names import SegmentName
from recordings.places import Directory, Kept, SegmentPlace
from recordings.retention import to_remove
from recordings.writer import RecordingWriter
from streaming import keys
from streaming.connect import as_text
from streaming.digests import KEPT
from streaming.retry_pause import RetryPause

log = structlog.get_logger(__name__)

BATCH: Final = 1_000
BLOCK_MS: Final = 1_000
#: Between two reads, so that they are of many entries, as long as a read finds all that there are.
GATHER_S: Final = 2.0
#: How long entries stay in Redis alone; larger blocks are smaller together.
FLUSH_S: Final = 15.0
#: Entries taken that are not on the disk, at most; then they are written at once.
FLUSH_ENTRIES: Final = 20_000
#: Entries whose digests wait to be told, at most: what a flush may have, and only more if Redis gives but takes none.
DIGESTS_MOST: Final = FLUSH_ENTRIES + BATCH
PAUSE_FIRST_S: Final = 0.2
PAUSE_MOST_S: Final = 10.0
MEASURE_EVERY_S: Final = 2.0
TIDY_EVERY_S: Final = 60.0
DIGESTS_TTL_S: Final = 86_400
BEGINNING: Final = "0-0"
#: What Redis answers to a digest that was told before.
TOLD_BEFORE: Final = "equal or smaller than the target stream top item"

Ts = TypeVarTuple("Ts")

Away = (RedisError, OSError, TimeoutError)


class Recorder:
    """One recorder.  ``run`` for ever; ``step``, ``flush`` and ``tidy`` are its parts.

    Args:
        directory: Where segments are written.
        place: Where whole ones go from there; None: they stay.
        segment_s: What one spans.
        keep_days: How far back they go.
        bytes_most: How many bytes there may be.
    """

    def __init__(
        self,
        redis: Redis,
        directory: Path,
        *,
        segment_s: int,
        keep_days: int,
        bytes_most: int,
        place: SegmentPlace | None = None,
    ) -> None:
        self._redis: Any = redis  # its types have no list of ids
        self._directory = directory
        self._elsewhere = place
        self._segment_s = segment_s
        self._keep_days = keep_days
        self._bytes_most = bytes_most
        self._writer: RecordingWriter | None = None
        #: Id of the last entry read, and of the last on the disk.
        self._read = BEGINNING
        self._safe = BEGINNING
        self._pending = 0
        self._flush_at = 0.0
        self._digests: list[tuple[RecordedUpTo, bytes]] = []
        #: Headers of lives that Redis does not have yet, by shard.
        self._untold: dict[str, bytes] = {}
        self._counts: dict[str, int] = {"entries": 0, "repeated": 0, "missing": 0}
        self._waiting = 0
        self._lag_s = 0.0
        self._bytes: int | None = None
        #: Segments here that have been whole elsewhere; where they are there no more, they were cut.
        self._sent: set[SegmentName] = set()
        self._trouble: str | None = None
        self._writing = asyncio.Lock()

    # -- for ever --

    async def run(self) -> None:
        """Record, measure and tidy until cancelled; what is lost meanwhile (Redis, the disk) is waited for."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._record_on(), name="record")
            group.create_task(self._every(MEASURE_EVERY_S, self.measure), name="record-measure")
            group.create_task(self._every(TIDY_EVERY_S, self.tidy), name="record-tidy")

    async def _record_on(self) -> None:
        pause = RetryPause(PAUSE_FIRST_S, PAUSE_MOST_S)
        while True:
            try:
                taken = await self.step(BLOCK_MS)
            except (*Away, OperatorError) as error:
                self._note_trouble(error)
                await pause.wait()
            else:
                self._trouble = None
                pause.reset()
                if taken < BATCH:
                    await asyncio.sleep(GATHER_S)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (*Away, OperatorError) as error:
                self._note_trouble(error)
            await asyncio.sleep(seconds)

    def _note_trouble(self, error: BaseException) -> None:
        if self._trouble is None:
            log.warning("recorder_waits", error=repr(error) if isinstance(error, OSError) else type(error).__name__)
        self._trouble = type(error).__name__

    # -- parts --

    async def step(self, block_ms: int | None = None) -> int:
        """Take a batch of entries, waiting up to ``block_ms`` for it (None: not at all); return its size.

        Raises:
            RedisError, OSError: what is not on the disk is read again by the next step.
        """
        async with self._writing:
            try:
                return await self._step(block_ms)
            except OSError:
                await self._begin_again()
                raise

    async def _step(self, block_ms: int | None) -> int:
        writer = await self._opened()
        found = await self._redis.xread({keys.RECORDING_STREAM: self._read}, count=BATCH, block=block_ms)
        given = [one for entry in (found[0][1] if found else []) if (one := _given(*entry)) is not None]
        if found and found[0][1]:
            await self._write(self._add, writer, given)
            if self._untold:  # of an earlier try too: the writer names a life's header once
                await self._redis.hset(keys.RECORDING_HEADERS, mapping=self._untold)
                self._untold = {}
            self._read = as_text(found[0][1][-1][0])
            self._pending += len(given)
            self._keep_digests(given)
        if time.monotonic() >= self._flush_at or self._pending >= FLUSH_ENTRIES:
            await self._flush(writer)
        return len(given)

    async def flush(self) -> None:
        """Return when everything read is on the disk and taken out of Redis.  Raises as ``step``."""
        async with self._writing:
            if self._writer is not None:
                try:
                    await self._flush(self._writer)
                except OSError:
                    await self._begin_again()
                    raise

    async def _flush(self, writer: RecordingWriter) -> None:
        if self._read != self._safe:
            await self._write(writer.flush)
            await self._tell_digests()
            await self._redis.xtrim(keys.RECORDING_STREAM, minid=_next(self._read), approximate=False)
            self._safe, self._pending = self._read, 0
        self._flush_at = time.monotonic() + FLUSH_S

    async def drain(self) -> None:
        """Take everything that waits and end all segments.  Raises as ``step``."""
        while await self.step():
            pass
        await self.flush()
        async with self._writing:
            writer, self._writer = self._writer, None
            if writer is not None:
                await in_thread(writer.close)
                self._counts = self._total(writer)
        await self.tidy()

    async def _opened(self) -> RecordingWriter:
        if self._writer is not None:
            return self._writer
        oldest = await self._redis.xrange(keys.RECORDING_STREAM, count=1)
        waiting = as_text(oldest[0][0]) if oldest else None
        known = await self._redis.hgetall(keys.RECORDING_HEADERS)
        return await in_thread(self._open, waiting, known)

    def _open(self, waiting: str | None, known: Mapping[bytes, bytes]) -> RecordingWriter:
        """Open the directory, in a thread; also a caller that was cancelled finds it open, for it is locked then."""
        writer = RecordingWriter(self._directory, segment_s=self._segment_s, waiting=waiting)
        for shard, header in known.items():
            try:
                writer.headers[int(shard)] = Header.from_json(orjson.loads(header))
            except (BadRecording, ValueError) as error:
                log.error("recording_header_unreadable", shard=as_text(shard), error=str(error))
        self._read = self._safe = BEGINNING
        self._writer = writer
        return writer

    def _add(self, writer: RecordingWriter, given: Sequence[Given]) -> None:
        """Give entries to the writer, in a thread; also a caller that was cancelled keeps the headers of lives."""
        begun = writer.add(given)
        self._untold |= {str(shard): orjson.dumps(header.to_json()) for shard, header in begun.items()}

    async def _write(self, function: Callable[[*Ts], None], *args: *Ts) -> None:
        """Let the writer do something in a thread; if cancelled, begin again once it has ended."""
        try:
            await in_thread(function, *args)
        except asyncio.CancelledError:
            await self._begin_again()  # whether it went well is not known
            raise

    async def _begin_again(self) -> None:
        """Drop what is not on the disk: it is read again."""
        writer, self._writer = self._writer, None
        self._digests, self._pending = [], 0
        if writer is not None:
            self._counts = self._total(writer)
            await in_thread(writer.abandon)

    def _total(self, writer: RecordingWriter) -> dict[str, int]:
        return {name: self._counts[name] + count for name, count in writer.counts().items()}

    def _keep_digests(self, given: Sequence[Given]) -> None:
        """Keep what is to be told; beyond ``DIGESTS_MOST`` the oldest are dropped, for watchers alone."""
        self._digests += [(one.position, body) for one in given if (body := _with_digests(one.message))]
        if len(self._digests) > DIGESTS_MOST:
            log.warning("recording_digests_untold", entries=len(self._digests) - DIGESTS_MOST)
            del self._digests[:-DIGESTS_MOST]

    async def _tell_digests(self) -> None:
        """Put the digests where gateways find them; told twice, the second is refused by its id.

        Raises:
            RedisError: some may not be told; all of them are told again with the next flush.
        """
        pipe = self._redis.pipeline(transaction=False)
        for position, body in self._digests:
            try:
                entry = read_entry(position.chain, body)
            except BadRecording:
                continue  # the writer has said so
            for chunk_id, parts in entry.digests.items():
                key = keys.chunk_digests(chunk_id)
                fields = {"digest": one_line(parts), "chain": position.chain, "entry": position.text}
                pipe.xadd(key, fields, id=f"{max(entry.tick, 0)}-1", maxlen=KEPT, approximate=True)
                pipe.expire(key, DIGESTS_TTL_S)
        for answer in await pipe.execute(raise_on_error=False):  # a lost connection is raised even so
            if isinstance(answer, ResponseError) and TOLD_BEFORE not in str(answer):
                raise answer  # no memory, read only: not for good
        self._digests = []

    async def measure(self) -> None:
        """Look how much waits in Redis.  Raises ``RedisError``, ``OSError``."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.xlen(keys.RECORDING_STREAM)
        pipe.xrange(keys.RECORDING_STREAM, count=1)
        pipe.time()
        self._waiting, oldest, (seconds, micros) = await pipe.execute()
        now_ms = seconds * 1_000 + micros // 1_000
        self._lag_s = max(0, now_ms - int(oldest[0][0].partition(b"-")[0])) / 1_000 if oldest else 0.0

    async def tidy(self) -> None:
        """Send whole segments where they belong, and take away what is too old or too much.

        Cancelled, it ends with the segment that is just being sent.  Raises ``OSError``.
        """
        ends = threading.Event()
        await in_thread(self._tidy, ends, on_cancel=ends.set)

    def _tidy(self, ends: threading.Event) -> None:
        here = Directory(self._directory)
        if not self._directory.is_dir():
            return
        kept = here.segments()
        if self._elsewhere is not None:
            self._send([one for one in kept if one.name.finished], here, self._elsewhere, ends)
            kept = self._elsewhere.segments()
        place = self._elsewhere or here
        going = self._too_much(kept)
        for name in going:
            if ends.is_set():
                return
            place.remove(name)
        if going:
            log.info("recordings_removed", segments=len(going))
        gone = set(going)
        self._bytes = sum(one.size for one in kept if one.name not in gone)

    def _send(self, whole: list[Kept], here: Directory, place: SegmentPlace, ends: threading.Event) -> None:
        """Send each whole segment once, if there is room for it; keep only the newest of each shard here.

        It goes no further once ``ends`` is set.  A kill on the way leaves one that is sent again.
        """
        listed = place.segments()
        there = {one.name: one.size for one in listed}
        absent = [one for one in whole if one.name not in there]
        no_room = set(self._too_much([*listed, *absent]))
        # The next recorder reads in the newest what need not be written again.
        newest = {one.name.shard: one.name for one in whole}
        for one in whole:
            if ends.is_set():
                return
            if one.name in there:
                # Of another size: whoever sent it was killed on the way, where a place shows what has come so far.
                wanted = there[one.name] != one.size
            else:
                wanted = one.name not in self._sent and one.name not in no_room
            if wanted:
                place.put(self._directory / str(one.name))
            if wanted or one.name in there:
                self._sent.add(one.name)
            if one.name != newest[one.name.shard]:
                here.remove(one.name)
        self._sent &= set(newest.values())

    def _too_much(self, kept: Sequence[Kept]) -> list[SegmentName]:
        """Return the segments that are too old by now, or for which there is no room."""
        now_ms = time.time_ns() // 1_000_000
        return to_remove(kept, now_ms=now_ms, days=self._keep_days, bytes_most=self._bytes_most)

    def describe(self) -> dict[str, Any]:
        """Return figures for status and metrics; answers at once, whatever is away."""
        counts = self._counts if self._writer is None else self._total(self._writer)
        return {
            "recording_lag_s": round(self._lag_s, 3),
            "recording_waiting": self._waiting,
            "recording_bytes": self._bytes,
            "recorded": counts["entries"],
            "recording_repeated": counts["repeated"],
            "recording_missing": counts["missing"],
            "recording_trouble": self._trouble,
        }


def _given(id_: bytes, fields: dict[bytes, bytes]) -> Given | None:
    """Return an entry of the stream; None, and a line in the log, for what no shard of ours has written."""
    try:
        position = RecordedUpTo.read(as_text(fields[b"p"]))
        if position is None:
            raise ValueError("no position")
        return Given(as_text(id_), int(fields[b"s"]), position, fields[b"m"])
    except (KeyError, ValueError) as error:
        log.error("recording_entry_unreadable", entry_id=as_text(id_), error=repr(error))
        return None


def _with_digests(message: bytes) -> bytes | None:
    """Return the body of an entry that may have digests."""
    try:
        _, body, _ = unpack(message)
    except BadRecording:
        return None
    return body if b'"d":{' in body else None


def _next(id_: str) -> str:
    """Return the least id above one."""
    ms, _, seq = id_.partition("-")
    return f"{ms}-{int(seq) + 1}"
