"""Reads from the streams what the hub's live messages lack."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from streaming.channel import Channel
from streaming.entry import BadEntry, Entry, events_of, parse_stream_id
from streaming.gap_detector import GapDetector, Resync

log = structlog.get_logger(__name__)

#: Entries read at once while a gap is filled, and streams asked in one pipeline.
FILL_PAGE: Final = 256
FILL_STREAMS: Final = 64
AGAIN_AFTER_S: Final = 0.05
#: Fills in a row that found nothing new, after which held messages are taken for what they must be: no entries of the
#: stream, since an entry is in it before its message is sent.
FRUITLESS_MOST: Final = 6


class Backfill:
    """The reading of streams for channels: at the first subscription of their head, later of what is missing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._due: dict[bytes, Channel] = {}
        self._due_now = asyncio.Event()
        self._paused: dict[bytes, asyncio.TimerHandle] = {}
        self.resyncs = 0
        self.bad_entries = 0

    def want(self, channel: Channel) -> None:
        """Have the channel's stream read soon."""
        channel.filling = True
        self._due[channel.name] = channel
        self._due_now.set()

    def forget(self, channel: Channel) -> None:
        """Forget a channel: its stream need not be read any more."""
        self._due.pop(channel.name, None)
        if (pause := self._paused.pop(channel.name, None)) is not None:
            pause.cancel()

    def clear(self) -> None:
        """Forget all channels."""
        self._due.clear()
        for pause in self._paused.values():
            pause.cancel()
        self._paused.clear()

    async def run(self) -> None:
        """Fill for ever; what fails because Redis is away is tried again."""
        while True:
            await self._due_now.wait()
            self._due_now.clear()
            while self._due:
                some = [self._due.pop(name) for name in list(self._due)[:FILL_STREAMS]]
                try:
                    await self._fill_some(some)
                except (RedisError, OSError, TimeoutError) as error:
                    # The reading connection failed, the Pub/Sub one may live on: ask again.
                    log.warning("hub_fill_failed", error=repr(error))
                    for channel in some:
                        self._due.setdefault(channel.name, channel)
                    await asyncio.sleep(AGAIN_AFTER_S)

    async def _fill_some(self, channels: list[Channel]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        fresh, asked = [], []
        for channel in channels:
            detector = channel.detector
            assert detector is not None
            if channel.fruitless >= FRUITLESS_MOST:
                self._drop_foreign(channel, detector)
            asked.append(detector)
            # Of a stream never read before only the head matters: nobody has a place in it yet.
            fresh.append(not channel.started)
            since = "-" if detector.last is None else f"{detector.last[0]}-{detector.last[1]}"
            if not fresh[-1]:
                pipe.xrange(channel.key, since, "+", count=FILL_PAGE)
            pipe.xrevrange(channel.key, "+", "-", count=1)
        answers = iter(await pipe.execute(raise_on_error=False))
        for channel, is_fresh, detector in zip(channels, fresh, asked, strict=True):
            page = [] if is_fresh else next(answers)
            newest = next(answers)
            for answer in (page, newest):
                if isinstance(answer, ResponseError):
                    log.error("hub_stream_unreadable", key=channel.key, error=str(answer))
                elif isinstance(answer, Exception):
                    raise answer
            # A subscriber who left and came back meanwhile has made it a new detector, which asks for itself.
            current = channel.detector is detector and channel.sinks
            if current and isinstance(page, list) and isinstance(newest, list):
                self._filled(channel, page, newest, fresh=is_fresh)

    def _filled(self, channel: Channel, page: list[Any], newest: list[Any], *, fresh: bool) -> None:
        detector = channel.detector
        assert detector is not None
        before = detector.last
        channel.filling = False
        channel.started = True
        head = parse_stream_id(newest[0][0]) if newest else None
        if fresh:
            items = detector.started(head)
        else:
            entries: list[Entry] = []
            for id_, fields in page:
                try:
                    entries += events_of(channel.key, id_, fields[b"m"])
                except (BadEntry, KeyError) as error:
                    self.bad_entries += 1
                    log.error("hub_bad_entry", error=repr(error))
            items = detector.filled(entries, head)
        for item in items:
            self.resyncs += isinstance(item, Resync)
            for sink in channel.sinks:
                sink(item)
        if channel.unacked == 0 and channel.sinks:
            channel.in_force.set()
        channel.fruitless = 0 if detector.ready or detector.last != before else channel.fruitless + 1
        if not detector.ready:
            if detector.last != head:  # a page of a longer gap
                self.want(channel)
            else:
                self._pause(channel)

    def _pause(self, channel: Channel) -> None:
        """Read again a stream that has not got what is held back, but not at once."""
        channel.filling = True
        self.forget(channel)
        self._paused[channel.name] = asyncio.get_running_loop().call_later(AGAIN_AFTER_S, self._resume, channel)

    def _resume(self, channel: Channel) -> None:
        self._paused.pop(channel.name, None)
        self.want(channel)

    def _drop_foreign(self, channel: Channel, detector: GapDetector) -> None:
        """Give up held messages, before the stream is read once more, so that none of its own can be missed."""
        channel.fruitless = 0
        dropped = detector.drop_held()
        self.bad_entries += dropped
        log.error("hub_foreign_messages", channel=channel.key, dropped=dropped)
