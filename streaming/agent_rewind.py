"""The view of an owner who follows an agent's past over chunks, played, and then what happens now, without a seam.

The pages are those of the chunks in which the agent was, with its own events among the deltas.  What is shown where it
goes into another chunk is what ``streaming.follower`` shows: the transition, the chunk's static, its first delta with
the agent in it, then everything else.  When the recording has nothing more, ``streaming.follow.Follow`` goes on as for
a reader who comes back with the place that was reached (``streaming.agent_seam``): what it has missed is shown at that
pace, and once that is the present, what happens now.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Protocol

import orjson
from redis.asyncio import Redis

from recordings.agent_page import DELTA, AgentPage, OrderPlace, Told
from recordings.past_page import PastDelta, Reason
from streaming.agent_seam import entry_upto, ms_of, reached
from streaming.arrival import ARRIVAL_SLACK_TICKS
from streaming.catching_up import by_time
from streaming.cursor import NOWHERE, PlayedPlace, Position
from streaming.entry import BEFORE_FIRST, EventId, PrivateEvent, SharedEvent, chunk_of, notice
from streaming.follow import Follow
from streaming.follower import Followed, shows
from streaming.gap_detector import Item
from streaming.newest_deltas import newest_upto, page_of_stream
from streaming.playback import Playback
from streaming.playing import PAGE_DELTAS, READ_AHEAD_S, CountsPlaying, asked_again, until_due
from streaming.shared_clock import now_ms
from streaming.subscriber_queue import SubscriberQueue

#: Chunks of which it is remembered when they were left.
LEFT_MOST: Final = 64
#: So many ticks after a moment every shard has come to it.
AFTER_BEGINNING: Final = 2
#: What happened less than this ago is shown at once: the present.
NEARLY_MS: Final = 1_000
MS_HZ: Final = 1_000.0
#: An event id that is none: whoever has it is resynced.
LOST: Final = "lost"


@dataclass(frozen=True, slots=True)
class Stay:
    """An agent's time in a chunk, from a tick on."""

    chunk_id: str
    since: int


class AgentPages(CountsPlaying, Protocol):
    """Where pages come from."""

    async def agent_page(self, agent_id: str, chunk_id: str, first: int, limit: int) -> AgentPage:
        """Return what happened to the agent in the chunk from the tick ``first`` on."""
        ...


@dataclass(frozen=True, slots=True)
class Start:
    """Where playing begins: ``first`` is a tick, ``page`` what is shown from there on.

    ``page`` None: the agent is in no chunk then, nor later.  ``seen``: what a reader who comes back has seen.
    """

    first: int
    page: AgentPage | None
    seen: PlayedPlace | None = None


class AgentRewind:
    """One owner's view of the past of an agent.

    Args:
        past: where pages come from.
        stay: returns where the agent was after a tick, or where it came into the world next; None: it did not.
        live: makes the view that goes on after an event id (None: with the present state).
        recorded: whether this server records.
    """

    def __init__(
        self,
        past: AgentPages,
        stay: Callable[[int], Awaitable[Stay | None]],
        redis: Redis,
        live: Callable[[str | None], Follow],
        queue: SubscriberQueue,
        start: Start,
        trace_id: str,
        hello: dict[str, object],
        *,
        agent_id: str,
        hz: float,
        speed: float,
        recorded: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._past = past
        self._stay = stay
        self._redis = redis
        self._live = live
        self._start = start
        self._trace_id = trace_id
        self._hello = hello
        self._clock = clock
        self._hz, self._speed = hz, speed
        self._unknown: Reason = "not_yet_recorded" if recorded else "not_recorded"
        self._follow: Follow | None = None
        self.agent_id = agent_id
        self.queue = queue
        #: The tick up to which everything was shown.
        self.at = start.first - 1
        self.chunk_id = None if start.page is None else start.page.chunk.chunk_id
        #: Whether nothing of the chunk was shown yet; events that wait for its first delta with the agent in it.
        self._entering = start.seen is None
        self._held: list[Told] = []
        self._moved_to: str | None = None
        #: The tick by which it must have arrived there.
        self._awaited_until = -1
        self._left: dict[str, int] = {}
        #: Since when it is known where the agent was.
        self._began = start.first
        #: The agent's last event that was shown.
        self._last_told: Told | None = None
        seen = start.seen or PlayedPlace(self.chunk_id or NOWHERE, start.first, 0, whole=True)
        self._place = replace(seen, told=0)
        #: What a reader who comes back knows: up to this place in its chunk, and so many events after it.
        self._known = None if seen.whole else OrderPlace(seen.tick, DELTA)
        self._skip = seen.told

    def at_once(self, item: Item) -> Followed | tuple[()] | None:
        """See ``Follow.at_once``; while it plays, nothing is."""
        return None if self._follow is None else self._follow.at_once(item)

    async def events(self) -> AsyncGenerator[list[Followed], None]:
        """Yield what to send, a list at a time, as ``Follow.events`` does.

        Raises:
            Overflowed, Closed: see ``streaming.subscriber_queue``.
            HubUnavailable, RedisError, OSError, TimeoutError: the past or Redis is away; the reader should come back.
        """
        with self._past.playing() as granted:
            if not granted:
                raise TimeoutError("too many play")
            yield [self._ready(), self._playback("playing")]
            async with aclosing(self._played()) as played:
                async for shown in played:
                    yield shown
            shown, last_event_id = await self._to_live()
            yield shown
            async with aclosing(self._caught_up(last_event_id)) as newest:
                async for some in newest:
                    yield some
                    last_event_id = next((event_id for _, event_id in reversed(some) if event_id), last_event_id)
        yield [self._playback("live")]
        self._follow = self._live(last_event_id)
        async with aclosing(self._follow.events()) as live:
            await anext(live)  # its session_ready
            async for followed in live:
                yield followed
                del followed

    # -- the past --

    async def _played(self) -> AsyncGenerator[list[Followed], None]:
        """Yield the past up to what is recorded."""
        page = self._start.page
        pace = Playback(self._start.first, self._clock(), self._hz, self._speed)
        while page is not None:
            gap, elsewhere = page.chunk.gap, False
            going_on: Stay | None = None
            if gap is not None:
                pace = pace.after_gap(gap.last + 1, self._clock())
                self.at, self._entering = max(self.at, gap.last), True
                yield [self._gap(gap.first, gap.last, gap.reason)]
                here = Stay(page.chunk.chunk_id, self.at + 1)
                going_on = here if page.present else await self._elsewhere()
                elsewhere = going_on != here
            if not elsewhere:
                async with aclosing(self._page_played(page, pace)) as played:
                    async for shown in played:
                        yield shown
                going_on = await self._after(page)
            if going_on is None:
                return
            if going_on.since > self.at + 1:
                yield [self._playback("away", from_tick=self.at + 1, to_tick=going_on.since - 1)]
                pace = pace.after_gap(going_on.since, self._clock())
            async with aclosing(self._until(pace, going_on.since, READ_AHEAD_S)) as waited:
                async for shown in waited:
                    yield shown
            page = await self._page(going_on)

    async def _page_played(self, page: AgentPage, pace: Playback) -> AsyncGenerator[list[Followed], None]:
        """Yield what a page has, each thing when it is due."""
        chunk = page.chunk
        if self._entering and page.present and chunk.state is not None:
            state = SharedEvent("chunk_delta", chunk.state, now_ms(), self._trace_id)
            yield self._enter(chunk.static, state, None)
        for place, item in page.items():
            async with aclosing(self._until(pace, place.tick)) as waited:
                async for shown in waited:
                    yield shown
            yield self._show(place, item, page)
        self.at = max(self.at, chunk.last)

    async def _after(self, page: AgentPage) -> Stay | None:
        """Return where it goes on after a page; None: nothing more is recorded, or the agent is away since."""
        chunk_id = page.chunk.chunk_id
        if page.left is not None:
            self._known = None
            self._left[chunk_id] = page.left
            if len(self._left) > LEFT_MOST:
                del self._left[next(iter(self._left))]
            if self._moved_to is None:
                self._entering = True
                return await self._elsewhere()
            # Shards' clocks may differ; an earlier visit, also one before playing began, is not taken for this one.
            unknown = max(self._left.get(self._moved_to, -1) + 1, self._began + AFTER_BEGINNING)
            first = min(page.left, max(page.left - ARRIVAL_SLACK_TICKS, unknown))
            self.chunk_id, self._moved_to = self._moved_to, None
            self._awaited_until = page.left + ARRIVAL_SLACK_TICKS
            return Stay(self.chunk_id, first)
        if page.chunk.ended and not page.told and not page.chunk.deltas:
            return None
        if not page.seen and page.chunk.last < self._awaited_until:
            return Stay(chunk_id, page.chunk.last + 1)
        if not page.seen:
            return await self._elsewhere()
        return Stay(chunk_id, self.at + 1)

    async def _elsewhere(self) -> Stay | None:
        """Return where the agent is after what was shown, by the event log."""
        after = self.at + 1
        found = await asked_again(lambda: self._stay(self.at))
        self.chunk_id, self._began = None if found is None else found.chunk_id, after
        return None if found is None else Stay(found.chunk_id, max(found.since, after))

    async def _page(self, stay: Stay) -> AgentPage:
        return await asked_again(lambda: self._past.agent_page(self.agent_id, stay.chunk_id, stay.since, PAGE_DELTAS))

    async def _until(self, pace: Playback, tick: int, early_s: float = 0.0) -> AsyncGenerator[list[Followed], None]:
        """Wait until a tick is due; yield what is to be sent meanwhile."""
        waiting = until_due(self.queue, lambda: pace.wait_s(tick, self._clock()) - early_s, self._heartbeat)
        async with aclosing(waiting) as meanwhile:
            async for said in meanwhile:
                yield [(event, None) for event in said]

    # -- what is shown --

    def _show(self, place: OrderPlace, item: Told | PastDelta, page: AgentPage) -> list[Followed]:
        """Return what an item shows a reader who has seen everything before it."""
        before = self._known is not None and place <= self._known
        if isinstance(item, Told):
            return [] if self._is_known(item, before=before) else self._show_told(item)
        self.at = max(self.at, item.tick)
        event = SharedEvent("chunk_delta", item.payload, item.ms, f"tick-{item.tick}")
        if self._entering:
            return self._enter(page.chunk.static, event, item.tick) if shows(event, self.agent_id) else []
        if before or self._skip:
            return []
        self._place = PlayedPlace(page.chunk.chunk_id, item.tick, 0)
        return [(event, self._place.event_id)]

    def _is_known(self, item: Told, *, before: bool) -> bool:
        """Return whether a reader who has come back has seen an event of the agent's, and count it."""
        if before:
            self._last_told = item
        elif self._skip:
            self._skip -= 1
            self._tell(item)
        else:
            return False
        return True

    def _show_told(self, item: Told) -> list[Followed]:
        if self._entering and item.kind != "chunk_transition":
            self._held.append(item)
            return []
        return [*self._held_back(), self._tell(item)]

    def _enter(self, static: bytes | None, delta: SharedEvent, tick: int | None) -> list[Followed]:
        """Return a chunk's static, its first delta, of ``tick`` if it is one that was sent, and what waits for it."""
        self._entering = False
        if self._skip:  # a reader who has come back has seen what came later
            return []
        shown: list[Followed] = []
        if static is not None:
            shown.append((SharedEvent("chunk_static", static, delta.ts_ms, delta.trace_id), None))
        event_id: EventId | None = None
        if tick is not None and not self._held:  # else the place is before what has waited
            self._place = PlayedPlace(self.chunk_id or NOWHERE, tick, 0)
            event_id = self._place.event_id
        return [*shown, (delta, event_id), *self._held_back()]

    def _held_back(self) -> list[Followed]:
        held, self._held = self._held, []
        return [self._tell(item) for item in held]

    def _tell(self, item: Told) -> Followed:
        """Return an event of the agent's, which counts as shown."""
        self._last_told = item
        if item.kind == "chunk_transition":
            self._moved_to = str(orjson.loads(item.payload)["to_chunk_id"])
            self._entering = True
        self._place = replace(self._place, told=self._place.told + 1)
        return PrivateEvent(item.kind, item.payload, item.ms, item.trace_id), self._place.event_id

    # -- the seam --

    async def _to_live(self) -> tuple[list[Followed], str | None]:
        """Return what is still to be shown, and after which event id the live view goes on; None: with the present."""
        chunk_id, last, shown = self.chunk_id, self._last_told, []
        if chunk_id is None and last is None:
            return [], None
        if self._entering and chunk_id is not None and (last is None or last.kind != "chunk_transition"):
            shown = await self._newest(chunk_id)
            if self._entering:
                to_tick = max(self.at + 1, await self._newest_tick(chunk_id))
                return [self._gap(self.at + 1, to_tick, self._unknown)], None
        ms = 0
        if last is None and chunk_id is not None:
            ms = await ms_of(self._redis, chunk_id, (self._start.first - 1 + self.at) // 2, self._hz)
        found = await reached(self._redis, self.agent_id, last, ms)
        if found is None:
            return shown, LOST
        if found.move is not None and found.move.chunk_id != chunk_id:  # it went there since, unrecorded
            return shown, str(Position(found.move.chunk_id, BEFORE_FIRST, found.number))
        at = BEFORE_FIRST
        if chunk_id is not None and not self._entering:
            at = await entry_upto(self._redis, chunk_id, self.at)
        return shown, str(Position(chunk_id, at, found.number))

    async def _caught_up(self, last_event_id: str | None) -> AsyncGenerator[list[Followed], None]:
        """Yield what the streams have after a place, at its pace, until that is the present."""
        place = None if last_event_id is None else Position.parse(last_event_id)
        while place is not None:
            missed = await self._missed(place)
            # A static's time is that of reading it.
            began = min((event.ts_ms for event, event_id in missed if event_id is not None), default=now_ms())
            if began >= now_ms() - NEARLY_MS or any(event.kind == "resync_required" for event, _ in missed):
                return
            pace = Playback(began, self._clock(), MS_HZ, self._speed)
            for event, event_id in by_time(missed, place):
                due = began if event_id is None else event.ts_ms
                async with aclosing(self._until(pace, due)) as waited:
                    async for shown in waited:
                        yield shown
                if event.kind == "chunk_delta":
                    self.chunk_id, self.at = chunk_of(event), event.id[0]
                yield [(event, event_id)]
                place = place if event_id is None else Position.parse(event_id)

    async def _missed(self, place: Position) -> list[Followed]:
        """Return what the live view would begin with after a place."""
        missed: list[Followed] = []
        async with aclosing(self._live(str(place)).events(stay=False)) as events:
            await anext(events)  # its session_ready
            async for some in events:
                missed += some
        self.queue.forget()
        return missed

    async def _newest(self, chunk_id: str) -> list[Followed]:
        """Return the chunk as its stream has it after what was shown: nothing of that is recorded yet."""
        page = await page_of_stream(self._redis, chunk_id, self.at + 1, self.at + 1, 1)
        if page is None or page.state is None:
            return []
        state = SharedEvent("chunk_delta", page.state, now_ms(), self._trace_id)
        return self._enter(page.static, state, None) if shows(state, self.agent_id) else []

    async def _newest_tick(self, chunk_id: str) -> int:
        newest = await newest_upto(self._redis, chunk_id)
        return 0 if newest is None else newest.id[0]

    # -- what is said --

    def _ready(self) -> Followed:
        page = self._start.page
        fields: dict[str, object] = {
            **self._hello,
            "chunk_id": self.chunk_id,
            "agent_online": page is not None and page.present,
            "inventory": None if page is None or page.gold is None else {"gold": page.gold},
        }
        return notice("session_ready", fields, now_ms(), self._trace_id), None

    def _heartbeat(self) -> SharedEvent:
        fields: dict[str, object] = {
            "agent_id": self.agent_id,
            "chunk_id": self.chunk_id,
            "tick": self.at,
            "agent_online": self.chunk_id is not None,
        }
        return notice("heartbeat", fields, now_ms(), self._trace_id)

    def _playback(self, state: str, **more: object) -> Followed:
        fields: dict[str, object] = {"chunk_id": self.chunk_id, "state": state, "tick": self.at + 1}
        fields |= {"speed": 1.0 if state == "live" else self._speed} | more
        return notice("playback", fields, now_ms(), self._trace_id), None

    def _gap(self, first: int, last: int, reason: Reason) -> Followed:
        return self._playback("gap", from_tick=first, to_tick=last, reason=reason)
