"""An agent's past played and going on live: made-up stories whose recording ends anywhere, and readers who drop."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from config.errors import TryAgain
from recordings.agent_page import AFTER_DELTA, BEFORE_DELTA, AgentPage, OrderPlace, Told
from recordings.past_page import Gap, PastDelta, PastPage
from streaming.agent_rewind import AgentRewind, Start, Stay
from streaming.cursor import PlayedPlace, Position
from streaming.entry import INTERNAL_KINDS
from streaming.follow import Follow
from streaming.follower import Followed
from streaming.hub import Hub
from streaming.snapshot import Snapshots
from streaming.subscriber_queue import Closed, SubscriberQueue
from tests.streaming.wanderer import AGENT, Commit, Story, check_arrivals

DEADLINE_S = 20.0
FIRST = 12
UNTOLD = INTERNAL_KINDS | {"command_challenge"}


class Away(TryAgain):
    reason = "away"


class Film:
    """Pages of a few ticks out of a story's commits, as far as they are recorded."""

    def __init__(self, story: Story, upto: int, *, size: int = 7, gap: Gap | None = None) -> None:
        self.story = story
        self.upto = upto
        self.size = size
        self.gap = gap
        self.full = False
        self.playing_now = 0
        self.refusals = 0
        self.asked: list[tuple[str, int]] = []

    @contextmanager
    def playing(self) -> Iterator[bool]:
        self.playing_now += 1
        try:
            yield not self.full
        finally:
            self.playing_now -= 1

    async def agent_page(self, agent_id: str, chunk_id: str, first: int, limit: int) -> AgentPage:
        if self.refusals:
            self.refusals -= 1
            raise Away
        self.asked.append((chunk_id, first))
        chunk = PastPage(chunk_id, first, first - 1, static=orjson.dumps({"chunk_id": chunk_id}))
        if self.gap is not None and self.gap.first <= first <= self.gap.last:
            chunk.gap, chunk.last = Gap(first, self.gap.last, self.gap.reason), self.gap.last
        start, page = chunk.last + 1, AgentPage(chunk)
        end = min(self.upto, start + self.size - 1)
        if self.gap is not None and start < self.gap.first:
            end = min(end, self.gap.first - 1)
        before, here = None, False
        for commit in self.story.commits:
            if commit.tick < start:
                chunk.state = payload_of(commit, chunk_id) or chunk.state
                before = commit.chunk_id
                page.present = page.seen = here = before == chunk_id
            elif commit.tick <= end:
                here = self._take(page, commit, before, here=here)
                before = commit.chunk_id
                if page.left is not None:
                    chunk.last = page.left
                    return page
        chunk.last = max(chunk.last, end)
        chunk.ended = end >= self.upto
        return page

    def _take(self, page: AgentPage, commit: Commit, before: str | None, *, here: bool) -> bool:
        """Take a commit into the page; return whether the agent is in the chunk after it."""
        chunk_id, place = page.chunk.chunk_id, OrderPlace(commit.tick, BEFORE_DELTA if commit.deltas else AFTER_DELTA)
        ms = commit.tick
        if here:
            page.told += [
                Told(commit.tick, place, kind, "t", orjson.dumps(fields), ms)
                for kind, fields in commit.events
                if kind not in UNTOLD
            ]
        page.seen = page.seen or commit.chunk_id == chunk_id
        if here and commit.chunk_id != chunk_id:
            page.left = commit.tick
        elif commit.chunk_id == chunk_id and (payload := payload_of(commit, chunk_id)) is not None:
            page.chunk.deltas.append(PastDelta(commit.tick, payload, ms))
        return commit.chunk_id == chunk_id

    async def stay(self, tick: int) -> Stay | None:
        """Where the agent was then, or came next."""
        found: Stay | None = None
        for commit in self.story.commits:
            if found is not None and commit.tick > tick:
                break
            if commit.chunk_id is None:
                found = None
            elif found is None or found.chunk_id != commit.chunk_id:
                found = Stay(commit.chunk_id, commit.tick)
        return found


def payload_of(commit: Commit, chunk_id: str) -> bytes | None:
    return orjson.dumps(commit.deltas[chunk_id]) if chunk_id in commit.deltas else None


class Reader:
    """An owner who keeps what it is sent, and the last id."""

    def __init__(self, hub: Hub, redis: Redis, film: Film, *, first: int = FIRST) -> None:
        self.hub, self.redis, self.film = hub, redis, film
        self.first = first
        self.shown: list[Followed] = []
        self.last_event_id: str | None = None
        self.speed = 1e9
        self.queue = self._queue()

    def _queue(self) -> SubscriberQueue:
        return SubscriberQueue(10_000, "overflow_close")

    def _live(self, at: str | None) -> Follow:
        snapshots = Snapshots(self.redis)
        return Follow(self.hub, self.redis, snapshots, AGENT, self.queue, "conn", {"role": "x"}, last_event_id=at)

    async def view(self) -> AgentRewind | Follow:
        """As the endpoint makes it: live ids go on live."""
        self.queue = self._queue()
        last = self.last_event_id
        if last is not None and Position.parse(last) is not None:
            return self._live(last)
        seen = None if last is None else PlayedPlace.parse(last)
        stay = await self.film.stay(self.first - 1) if seen is None else Stay(seen.chunk_id, seen.tick)
        first = self.first if stay is None else stay.since if seen is not None else max(self.first, stay.since)
        page = None if stay is None else await self.film.agent_page(AGENT, stay.chunk_id, first, 100)
        return AgentRewind(
            self.film,
            self.film.stay,
            self.redis,
            self._live,
            self.queue,
            Start(first, page, seen),
            "conn",
            {"agent_id": AGENT, "role": "owner_spectator"},
            agent_id=AGENT,
            hz=5.0,
            speed=self.speed,
        )

    async def watch(self, until: Callable[[], bool] = lambda: False, *, most: int = 10**9) -> None:
        """Read until the condition holds or so many events with an id came; then drop the connection."""
        reading = asyncio.create_task(self._read(most))
        async with asyncio.timeout(DEADLINE_S):
            while not reading.done() and not until():
                await asyncio.sleep(0.002)
        if reading.done():
            reading.result()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, most: int) -> None:
        view = await self.view()
        async with aclosing(view.events()) as events:
            async for some in events:
                for shown in some:
                    self.shown.append(shown)
                    self.last_event_id = shown[1] or self.last_event_id
                    most -= shown[1] is not None
                    if most <= 0:
                        return

    @property
    def counts(self) -> list[int]:
        """The numbers of the agent's events that were shown."""
        fields = [event.fields() for event, _ in self.shown if event.kind != "command_challenge"]
        return [int(str(one["count"])) for one in fields if "count" in one]

    def deltas(self, upto: int) -> list[tuple[str, int]]:
        """The deltas that were shown under an id or as what an arrival shows, up to a tick."""
        found = []
        for event, _ in self.shown:
            if event.kind == "chunk_delta" and event.trace_id != "conn":
                fields = event.fields()
                if int(str(fields["tick"])) <= upto:
                    found.append((str(fields["chunk_id"]), int(str(fields["tick"]))))
        return found

    def states(self) -> list[Any]:
        return [event.fields()["state"] for event, _ in self.shown if event.kind == "playback"]


def expected_counts(story: Story, first: int) -> list[int]:
    events = [(commit.tick, kind, fields) for commit in story.commits for kind, fields in commit.events]
    return [fields["count"] for tick, kind, fields in events if tick >= first and kind not in UNTOLD]


def expected_deltas(story: Story, first: int, upto: int) -> list[tuple[str, int]]:
    return [
        (commit.chunk_id, commit.tick)
        for commit in story.commits
        if first <= commit.tick <= upto and commit.chunk_id in commit.deltas
    ]


async def told_story(redis: Redis, seed: int, steps: int, *, leaves: bool = True) -> Story:
    story = Story(redis, seed, leaves=leaves)
    await story.begin()
    await story.steps(steps)
    return story


def seeds(fast: int, most: int) -> list[Any]:
    """Numbers of stories, of which some are told always and the others where there is time."""
    return [seed if seed < fast else pytest.param(seed, marks=pytest.mark.slow) for seed in range(most)]


def all_shown(reader: Reader, story: Story) -> Callable[[], bool]:
    return lambda: reader.counts[-1:] == expected_counts(story, FIRST)[-1:]


@pytest.mark.parametrize("seed", seeds(2, 8))
async def test_past_then_present_each_once(hub: Hub, redis: Redis, seed: int) -> None:
    """The recording ends in the middle of what the streams have, and the story goes on while it is played."""
    story = await told_story(redis, seed, 60, leaves=seed % 2 == 0)
    film = Film(story, story.commits[40].tick)
    reader = Reader(hub, redis, film)
    going_on = asyncio.create_task(story.steps(20))
    await reader.watch(lambda: going_on.done() and "live" in reader.states() and all_shown(reader, story)())
    await going_on
    assert reader.counts == expected_counts(story, FIRST)
    check_arrivals(reader.shown)
    assert reader.deltas(film.upto) == expected_deltas(story, FIRST, film.upto)
    kinds = [event.kind for event, _ in reader.shown]
    assert kinds[:4] == ["session_ready", "playback", "chunk_static", "chunk_delta"]
    assert kinds.count("session_ready") == 1
    assert "resync_required" not in kinds
    states = reader.states()
    assert (states[0], states[-1], states.count("live")) == ("playing", "live", 1)


@pytest.mark.parametrize("seed", seeds(1, 6))
async def test_who_drops_and_comes_back_misses_nothing(hub: Hub, redis: Redis, seed: int) -> None:
    rng = random.Random(seed)
    story = await told_story(redis, seed + 20, 60)
    reader = Reader(hub, redis, Film(story, story.commits[45].tick, size=5))
    is_over = all_shown(reader, story)
    for _ in range(200):
        await reader.watch(is_over, most=rng.randint(1, 6))
        if is_over():
            break
    assert reader.counts == expected_counts(story, FIRST)
    assert "resync_required" not in [event.kind for event, _ in reader.shown]


async def test_every_event_has_an_id_of_its_own(hub: Hub, redis: Redis) -> None:
    story = await told_story(redis, 3, 60)
    reader = Reader(hub, redis, Film(story, story.commits[-1].tick))
    await reader.watch(all_shown(reader, story))
    ids = [event_id for _, event_id in reader.shown if event_id is not None]
    assert len(set(ids)) == len(ids) > 20
    private = [event_id for event, event_id in reader.shown if "count" in event.fields()]
    assert None not in private


async def test_it_is_played_at_its_pace(hub: Hub, redis: Redis) -> None:
    story = await told_story(redis, 1, 30, leaves=False)
    reader = Reader(hub, redis, Film(story, story.commits[-1].tick))
    reader.speed = 1e-3
    view = await reader.view()
    async with asyncio.timeout(DEADLINE_S), aclosing(view.events()) as events:
        beginning = list(itertools.chain(await anext(events), await anext(events)))
        assert [event.kind for event, _ in beginning] == [*("session_ready", "playback", "chunk_static", "chunk_delta")]
        reader.queue.beat()
        ((heartbeat, _),) = await anext(events)
        assert heartbeat.fields() == {
            "agent_id": AGENT,
            "chunk_id": beginning[0][0].fields()["chunk_id"],
            "tick": FIRST - 1,
            "agent_online": True,
        }
        reader.queue.close(4003, "revoked")
        with pytest.raises(Closed):
            await anext(events)


async def test_a_gap_is_told_and_the_agent_is_found_after_it(hub: Hub, redis: Redis) -> None:
    story = await told_story(redis, 4, 80, leaves=False)
    gap = Gap(story.commits[20].tick, story.commits[40].tick, "missing")
    reader = Reader(hub, redis, Film(story, story.commits[-1].tick, gap=gap))
    await reader.watch(all_shown(reader, story))
    (told,) = [event.fields() for event, _ in reader.shown if event.fields().get("state") == "gap"]
    assert (told["from_tick"], told["to_tick"], told["reason"]) == (gap.first, gap.last, "missing")
    before = [one for one in expected_counts(story, FIRST) if one not in expected_counts(story, gap.first)]
    assert reader.counts == before + expected_counts(story, gap.last + 1)
    assert reader.deltas(10**9) == [
        one for one in expected_deltas(story, FIRST, 10**9) if not gap.first <= one[1] <= gap.last
    ]


async def test_the_time_in_which_it_was_away_is_left_out(hub: Hub, redis: Redis) -> None:
    story = Story(redis, 5)
    await story.begin()
    await story.until(lambda commit: commit.chunk_id is None and commit.tick > FIRST)
    left = story.commits[-1].tick
    await story.until(lambda commit: commit.chunk_id is not None)
    came = story.commits[-1].tick
    await story.steps(10)
    reader = Reader(hub, redis, Film(story, story.commits[-1].tick))
    await reader.watch(all_shown(reader, story))
    away = [event.fields() for event, _ in reader.shown if event.fields().get("state") == "away"]
    assert (away[0]["from_tick"], away[0]["to_tick"]) == (left + 1, came - 1)
    assert reader.counts == expected_counts(story, FIRST)


async def test_from_where_nothing_is_recorded_yet(hub: Hub, redis: Redis) -> None:
    """The streams have it: what followed that moment comes at once."""
    story = await told_story(redis, 2, 20, leaves=False)
    at = next(commit for commit in reversed(story.commits) if commit.deltas.get(commit.chunk_id or ""))
    await story.steps(20)
    reader = Reader(hub, redis, Film(story, 0), first=at.tick + 1)
    await reader.watch(lambda: "live" in reader.states() and all_shown(reader, story)())
    assert reader.counts == expected_counts(story, at.tick + 1)
    kinds = [event.kind for event, _ in reader.shown]
    assert kinds[:4] == ["session_ready", "playback", "chunk_static", "chunk_delta"]
    assert reader.states() == ["playing", "live"]


async def test_what_neither_has_is_a_gap_and_then_the_present(hub: Hub, redis: Redis) -> None:
    story = await told_story(redis, 2, 20, leaves=False)
    reader = Reader(hub, redis, Film(story, 0), first=3)
    await reader.watch(lambda: "live" in reader.states() and reader.shown[-1][0].kind == "chunk_delta")
    assert reader.states() == ["playing", "gap", "live"]


async def test_an_agent_that_never_was_is_awaited(hub: Hub, redis: Redis) -> None:
    film = Film(Story(redis, 1), 0)
    reader = Reader(hub, redis, film)
    await reader.watch(lambda: "live" in reader.states())
    assert reader.states() == ["playing", "live"]
    assert reader.shown[0][0].fields()["agent_online"] is False


async def test_too_many_play(hub: Hub, redis: Redis) -> None:
    story = await told_story(redis, 1, 5)
    film = Film(story, 0)
    film.full = True
    with pytest.raises(TimeoutError):
        await Reader(hub, redis, film).watch()


async def test_a_page_that_can_not_be_had_is_asked_for_again(
    hub: Hub, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.playing.TRY_AGAIN_S", 0.0)
    story = await told_story(redis, 1, 30)
    reader = Reader(hub, redis, Film(story, story.commits[-1].tick))
    view = await reader.view()
    reader.film.refusals = 3
    async with asyncio.timeout(DEADLINE_S), aclosing(view.events()) as events:
        async for some in events:
            reader.shown += some
            if reader.counts[-1:] == expected_counts(story, FIRST)[-1:]:
                break
    assert reader.counts == expected_counts(story, FIRST)


async def test_what_is_not_recorded_yet_comes_at_its_pace_too(hub: Hub, redis: Redis) -> None:
    """A static bears the time at which it was read, and nothing waits for that."""
    story = await told_story(redis, 2, 40, leaves=False)
    reader = Reader(hub, redis, Film(story, story.commits[10].tick))
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1_000.0  # so that all of the story is due, and nothing of this century
        return now

    view = await reader.view()
    assert isinstance(view, AgentRewind)
    view._clock, view._speed = clock, 1.0
    async with asyncio.timeout(DEADLINE_S), aclosing(view.events()) as events:
        async for some in events:
            reader.shown += some
            if "live" in reader.states():
                break
    assert [event.kind for event, _ in reader.shown].count("chunk_transition") > 1
    assert reader.counts == expected_counts(story, FIRST)


async def test_it_counts_as_playing_until_it_has_come_to_the_present(hub: Hub, redis: Redis) -> None:
    """What is not recorded yet may take as long to show as what is."""
    story = await told_story(redis, 2, 40, leaves=False)
    reader = Reader(hub, redis, Film(story, story.commits[10].tick))
    counted: list[int] = []
    async with asyncio.timeout(DEADLINE_S), aclosing((await reader.view()).events()) as events:
        async for some in events:
            reader.shown += some
            counted.append(reader.film.playing_now)
            if "live" in reader.states():
                break
    assert reader.counts == expected_counts(story, FIRST)
    assert (set(counted[:-1]), counted[-1]) == ({1}, 0)
