"""The view of somebody who watches a chunk's past, played, and then what happens now, without a seam.

A page is read, shown at its pace, and the next is read after it.  When a page has nothing more, everything up to the
present was shown; from there ``streaming.watch.Watch`` goes on as for a reader who comes back with its last event id:
it subscribes first and reads the stream after that id, so nothing is missing and nothing is shown twice.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Protocol

from redis.asyncio import Redis

from recordings.past_page import NO_END, Gap, PastDelta, PastPage
from streaming import keys
from streaming.entry import EventId, SharedEvent, notice, parse_stream_id
from streaming.gap_detector import Item
from streaming.playback import Playback
from streaming.playing import PAGE_DELTAS, READ_AHEAD_S, CountsPlaying, asked_again, until_due
from streaming.shared_clock import now_ms
from streaming.subscriber_queue import SubscriberQueue
from streaming.watch import Shown, Watch


class PastPages(CountsPlaying, Protocol):
    """Where pages come from."""

    async def page(self, chunk_id: str, first: int, last: int, limit: int) -> PastPage:
        """Return what happened from the tick ``first`` on."""
        ...


class Rewind:
    """One reader's view of the past of a chunk.

    Args:
        past: where pages come from.
        live: makes the view that goes on after an event id (None: with the present state).
        first_page: the first page, already read.
        shown_upto: the tick of the last delta that the reader has seen; None: it has seen nothing.
    """

    def __init__(
        self,
        past: PastPages,
        redis: Redis,
        live: Callable[[str | None], Watch],
        queue: SubscriberQueue,
        first_page: PastPage,
        trace_id: str,
        hello: dict[str, object],
        *,
        hz: float,
        speed: float,
        shown_upto: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._past = past
        self._redis = redis
        self._live = live
        self._first_page = first_page
        self._trace_id = trace_id
        self._hello = hello
        self._clock = clock
        self._hz, self._speed = hz, speed
        self._has_state = shown_upto is not None
        self._watch: Watch | None = None
        self.chunk_id = first_page.chunk_id
        self.queue = queue
        #: The tick up to which everything was shown.
        self.at = first_page.first - 1

    def at_once(self, item: Item) -> Shown | None:
        """See ``Watch.at_once``; while it plays, nothing is."""
        return None if self._watch is None else self._watch.at_once(item)

    async def events(self) -> AsyncGenerator[list[Shown], None]:
        """Yield what to send, a list at a time, as ``Watch.events`` does.

        Raises:
            Closed: somebody closed the queue.
            HubUnavailable, RedisError, OSError, TimeoutError: the past or Redis is away; the reader should come back.
        """
        with self._past.playing() as granted:
            if not granted:
                raise TimeoutError("too many play")
            yield [self._say("session_ready", self._hello | {"chunk_id": self.chunk_id})]
            yield [self._playback("playing")]
            async with aclosing(self._played()) as played:
                async for shown in played:
                    yield shown
                    if any(event.kind == "chunk_closed" for event, _ in shown):
                        return
        self._watch = self._live(await self._last_event_id())
        yield [self._playback("live")]
        async with aclosing(self._watch.events()) as live:
            async for shown in live:
                yield shown
                del shown

    async def _played(self) -> AsyncGenerator[list[Shown], None]:
        """Yield the past up to the present."""
        page = self._first_page
        pace = Playback(page.first, self._clock(), self._hz, self._speed)
        while True:
            if page.gap is not None:
                pace = pace.after_gap(page.gap.last + 1, self._clock())
                self._has_state = False
                yield [self._gap(page.gap)]
            if page.state is not None and not self._has_state:
                self._has_state = True
                yield self._state(page)
            for delta in page.deltas:
                async with aclosing(self._until(pace, delta.tick)) as waited:
                    async for shown in waited:
                        yield shown
                self.at = delta.tick
                yield [self._delta(delta)]
            self.at = page.last
            if page.closed is not None:
                yield [self._say("chunk_closed", {"chunk_id": self.chunk_id})]
                return
            if page.ended and not page.deltas:
                return
            async with aclosing(self._until(pace, page.last + 1, READ_AHEAD_S)) as waited:
                async for shown in waited:
                    yield shown
            page = await asked_again(lambda: self._past.page(self.chunk_id, self.at + 1, NO_END, PAGE_DELTAS))

    async def _until(self, pace: Playback, tick: int, early_s: float = 0.0) -> AsyncGenerator[list[Shown], None]:
        """Wait until a tick is due; yield what is to be sent meanwhile."""
        waiting = until_due(self.queue, lambda: pace.wait_s(tick, self._clock()) - early_s, self._heartbeat)
        async with aclosing(waiting) as meanwhile:
            async for said in meanwhile:
                yield [(event, None) for event in said]

    async def _last_event_id(self) -> str | None:
        """Return the id of the last delta shown, as the stream has it; None: the stream has none.  Raises as Redis."""
        key = keys.chunk_stream(self.chunk_id)
        found: Any = await self._redis.xrevrange(key, f"{self.at}-{2**64 - 1}", "-", count=1)
        if not found:
            return None
        tick, seq = parse_stream_id(found[0][0])
        return f"{self.chunk_id}:{tick}:{seq}"

    # -- what is said --

    def _say(self, kind: str, fields: dict[str, object]) -> Shown:
        return notice(kind, fields, now_ms(), self._trace_id), None

    def _heartbeat(self) -> SharedEvent:
        return notice("heartbeat", {"chunk_id": self.chunk_id, "tick": self.at}, now_ms(), self._trace_id)

    def _playback(self, state: str, **more: object) -> Shown:
        fields: dict[str, object] = {"chunk_id": self.chunk_id, "state": state, "tick": self.at + 1}
        return self._say("playback", fields | {"speed": 1.0 if state == "live" else self._speed} | more)

    def _gap(self, gap: Gap) -> Shown:
        return self._playback("gap", from_tick=gap.first, to_tick=gap.last, reason=gap.reason)

    def _state(self, page: PastPage) -> list[Shown]:
        shown: list[Shown] = []
        for kind, payload in (("chunk_static", page.static), ("chunk_delta", page.state)):
            if payload is not None:
                shown.append((SharedEvent(kind, payload, now_ms(), self._trace_id), None))
        return shown

    def _delta(self, delta: PastDelta) -> Shown:
        event = SharedEvent("chunk_delta", delta.payload, delta.ms, f"tick-{delta.tick}")
        return event, EventId(f"{self.chunk_id}:{delta.tick}:0")
