"""Following an agent on a real Valkey: start, resume over chunk changes, offline, resync, and random drops."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
from redis.asyncio import Redis

from streaming.entry import SharedEvent, chunk_of
from streaming.follow import Follow
from streaming.follower import Followed
from streaming.hub import Hub
from streaming.snapshot import Snapshots
from streaming.subscriber_queue import FOLLOWER_CAPACITY, Overflowed, SubscriberQueue
from tests.streaming.wanderer import AGENT, Commit, Story, agent_ids, check_arrivals, check_order
from tests.streaming.writer import AgentWriter, ChunkWriter, cut_pubsub

DEADLINE_S = 10.0


class Owner:
    """Follows as a client does: keeps what it is sent, and the last id."""

    #: Far above what a real reader gets: the stories here move as fast as Redis takes them.
    CAPACITY = 20 * FOLLOWER_CAPACITY

    def __init__(self, hub: Hub, redis: Redis, *, keep_id: bool = True, **options: Any) -> None:
        self.hub = hub
        self.redis = redis
        self.options = options
        self.keep_id = keep_id
        self.shown: list[Followed] = []
        self.last_event_id: str | None = None
        self.queue = SubscriberQueue(self.CAPACITY, "overflow_close")

    async def follow(self, until: Callable[[], bool] | None = None, *, batches: int = 10**9) -> None:
        """Follow until the condition holds, or so many batches came; then drop the connection."""
        self.queue = SubscriberQueue(self.CAPACITY, "overflow_close")
        last = self.last_event_id if self.keep_id else None
        hello: dict[str, object] = {"role": "owner_spectator"}
        view = Follow(
            self.hub,
            self.redis,
            Snapshots(self.redis),
            AGENT,
            self.queue,
            "conn-1",
            hello,
            last_event_id=last,
            **self.options,
        )
        async with asyncio.timeout(DEADLINE_S), aclosing(view.events()) as events:
            async for some in events:
                for shown in some:
                    self.shown.append(shown)
                    self.last_event_id = shown[1] or self.last_event_id
                batches -= 1
                if batches <= 0 or (until is not None and until()):
                    return

    async def catch_up(self, story: Story) -> None:
        """Follow until everything that the story holds has been shown."""
        chunk = story.wanderer.chunk_id
        at = story.last[chunk] if chunk is not None else (0, 0)
        here = f"{chunk or '-'}:{at[0]}:{at[1]}:"

        def caught_up() -> bool:
            numbers = agent_ids(self.shown)
            if story.visible and (not numbers or numbers[-1] != story.visible[-1]):
                return False
            return chunk is None or any((id_ or "").startswith(here) for _, id_ in self.shown[-40:])

        if not caught_up():
            await self.follow(caught_up)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event, _ in self.shown]


async def story_of(redis: Redis, seed: int = 1, *, leaves: bool = False, steps: int = 0) -> Story:
    story = Story(redis, seed, leaves=leaves)
    await story.begin()
    await story.steps(steps)
    return story


def crosses(commit: Commit) -> bool:
    return any(kind == "chunk_transition" for kind, _ in commit.events)


def beyond_first(shown: list[Followed]) -> list[Followed]:
    return [item for item in shown if item[0].kind != "session_ready"]


async def test_a_new_owner_sees_the_present_and_then_everything(redis: Redis, hub: Hub) -> None:
    story = await story_of(redis, steps=5)
    owner = Owner(hub, redis)
    before = len(story.events)
    told = asyncio.Event()
    following = asyncio.create_task(
        owner.follow(lambda: told.is_set() and agent_ids(owner.shown)[-1] == story.visible[-1])
    )
    while len(owner.shown) < 3:
        await asyncio.sleep(0.005)
    await story.steps(100)
    await story.until(lambda commit: commit.events[-1:] != [])
    told.set()
    owner.queue.beat()
    await following
    assert owner.kinds[:3] == ["session_ready", "chunk_static", "chunk_delta"]
    ready = owner.shown[0][0].fields()
    assert ready["agent_online"] is True
    assert ready["role"] == "owner_spectator"
    assert ready["inventory"] == {"gold": 7}
    assert agent_ids(owner.shown) == [n for n in story.visible if n > before]
    check_order(owner.shown)
    check_arrivals(owner.shown)


@pytest.mark.parametrize("seed", range(12))
async def test_resuming_over_chunk_changes_gives_each_event_once(redis: Redis, hub: Hub, seed: int) -> None:
    rng = random.Random(seed)
    story = await story_of(redis, seed, leaves=True)
    owner = Owner(hub, redis)
    await owner.follow(batches=2)
    for _ in range(15):
        await story.steps(rng.randrange(12))
        await owner.follow(batches=rng.choice((1, 2))) if rng.random() < 0.6 else await owner.catch_up(story)
    await story.until(
        lambda commit: bool(commit.events) and commit.events[-1][0] not in ("agent_placed", "agent_removed")
    )
    await owner.catch_up(story)
    assert "resync_required" not in owner.kinds
    assert agent_ids(owner.shown) == story.visible
    check_arrivals(beyond_first(owner.shown))


async def test_resuming_in_the_same_chunk_replays_its_deltas_too(redis: Redis, hub: Hub) -> None:
    story = await story_of(redis)
    owner = Owner(hub, redis)
    await owner.follow(batches=2)
    while story.wanderer.chunk_id == "chunk-0":
        await story.step()
    await owner.catch_up(story)
    check_order([shown for shown in beyond_first(owner.shown) if shown[0].kind != "session_ready"])
    deltas = [event for event, _ in owner.shown if isinstance(event, SharedEvent) and event.key]
    first = [event for event in deltas if chunk_of(event) == "chunk-0"]
    assert len(first) > 1


@pytest.mark.parametrize("present_first", [True, False])
async def test_the_first_delta_shows_an_agent_that_has_just_come(redis: Redis, hub: Hub, present_first: bool) -> None:
    """No delta has shown it yet: the next that does is the first one, before what was missed."""
    chunk, agent = ChunkWriter(redis), AgentWriter(redis, AGENT)
    await chunk.create()
    await chunk.tick(agents=("bob",))
    for _ in range(100):
        await agent.event("command_result")
    await agent.place("chunk-0")
    reader = Owner(hub, redis, present_first=present_first, since=0)
    following = asyncio.create_task(reader.follow(lambda: agent_ids(reader.shown)[-1:] == [100]))
    while len(reader.shown) < 2:
        await asyncio.sleep(0.005)
    await chunk.tick(agents=("bob",))
    await asyncio.sleep(0.05)
    assert reader.kinds == ["session_ready", "chunk_static"]
    await chunk.tick(agents=(AGENT, "bob"))
    await following
    assert reader.kinds == ["session_ready", "chunk_static", "chunk_delta", *["command_result"] * 100]
    assert reader.shown[2][0].id == (3, 0)


async def test_an_agent_that_left_and_came_back_starts_with_a_delta_that_shows_it(redis: Redis, hub: Hub) -> None:
    """With an id, too: of what was missed, the deltas after its leaving are no beginning."""
    chunk, agent = ChunkWriter(redis), AgentWriter(redis, AGENT)
    await chunk.create()
    await chunk.tick(agents=(AGENT,))
    await agent.place("chunk-0")
    reader = Owner(hub, redis, present_first=True, since=0)
    await reader.follow(lambda: "chunk_delta" in reader.kinds)
    await agent.event("agent_removed", tick=2)
    await chunk.tick(agents=())
    await agent.event("agent_placed", tick=2, chunk_id="chunk-0")
    await chunk.tick(agents=(AGENT,))
    reader.shown.clear()
    await reader.follow(lambda: "chunk_delta" in reader.kinds)
    assert reader.kinds == ["session_ready", "chunk_static", "chunk_delta"]
    assert reader.shown[2][0].id == (3, 0)


async def test_an_agent_that_is_not_in_the_world_is_awaited(redis: Redis, hub: Hub) -> None:
    owner = Owner(hub, redis)
    following = asyncio.create_task(owner.follow(lambda: "chunk_delta" in owner.kinds))
    while not owner.shown:
        await asyncio.sleep(0.005)
    ready = owner.shown[0][0].fields()
    assert (ready["agent_online"], ready["chunk_id"], ready["inventory"]) == (False, None, None)
    owner.queue.beat()
    while "heartbeat" not in owner.kinds:
        await asyncio.sleep(0.005)
    story = await story_of(redis)
    story.wanderer.chunk_id = None
    await story.until(lambda commit: commit.chunk_id is not None)
    await following
    assert owner.kinds[:2] == ["session_ready", "heartbeat"]
    # On its coming it is said to be there, and its surroundings are shown.
    assert [kind for kind in owner.kinds[2:] if kind != "heartbeat"] == ["chunk_static", "chunk_delta"]


async def test_a_coming_that_nobody_told_is_found_with_the_next_heartbeat(redis: Redis, hub: Hub) -> None:
    story = await story_of(redis, seed=3)
    await redis.hset(f"agent:{AGENT}", "here", 0)
    owner = Owner(hub, redis)
    following = asyncio.create_task(owner.follow(lambda: "chunk_delta" in owner.kinds))
    while not owner.shown:
        await asyncio.sleep(0.005)
    await redis.hset(f"agent:{AGENT}", "here", 1)
    owner.queue.beat()
    await following
    assert owner.kinds == ["session_ready", "chunk_static", "chunk_delta", "heartbeat"]
    assert owner.shown[-1][0].fields()["chunk_id"] == story.wanderer.chunk_id


async def test_leaving_the_world_is_told_at_once(redis: Redis, hub: Hub) -> None:
    story = await story_of(redis, seed=3, leaves=True)
    owner = Owner(hub, redis)
    following = asyncio.create_task(owner.follow(lambda: owner.kinds[-1:] == ["heartbeat"]))
    while len(owner.shown) < 3:
        await asyncio.sleep(0.005)
    await story.until(lambda commit: commit.chunk_id is None)
    await following
    assert owner.shown[-1][0].fields()["agent_online"] is False
    assert hub.subscriber_count == 0


@pytest.mark.parametrize(
    "last_event_id",
    ["", "abc", "chunk-0:5:0", "chunk-0:999999:0:0", "chunk-0:11:0:999", "chunk-9:11:0:0", "x" * 10_000],
)
async def test_a_useless_id_is_a_resync(redis: Redis, hub: Hub, last_event_id: str) -> None:
    await story_of(redis, steps=3)
    owner = Owner(hub, redis)
    owner.last_event_id = last_event_id
    await owner.follow(lambda: len(owner.shown) >= 4)
    assert owner.kinds[:4] == ["session_ready", "resync_required", "chunk_static", "chunk_delta"]


async def test_out_of_the_window_the_agents_own_events_still_all_come(redis: Redis, hub: Hub) -> None:
    story = await story_of(redis, seed=5)
    owner = Owner(hub, redis)
    await owner.follow(batches=2)
    start = story.wanderer.tick
    while story.wanderer.tick < start + 700:
        await story.step()
    await redis.xtrim("stream:chunk:chunk-0", minid=f"{story.wanderer.tick - 300}-0", approximate=False)
    await story.until(lambda commit: bool(commit.events))
    await owner.catch_up(story)
    assert owner.kinds[3:7] == ["session_ready", "resync_required", "chunk_static", "chunk_delta"]
    assert agent_ids(owner.shown) == story.visible
    check_arrivals(beyond_first(owner.shown))


async def test_a_lost_agent_stream_is_a_resync(redis: Redis, hub: Hub) -> None:
    story = await story_of(redis, seed=2, steps=20)
    owner = Owner(hub, redis)
    following = asyncio.create_task(
        owner.follow(lambda: "resync_required" in owner.kinds and owner.kinds[-1] == "chunk_delta")
    )
    while len(owner.shown) < 3:
        await asyncio.sleep(0.005)
    await story.until(lambda commit: commit.events[-1:] != [])
    while not agent_ids(owner.shown):
        await asyncio.sleep(0.005)
    await redis.delete(f"stream:agent:{AGENT}")
    await cut_pubsub(redis)
    await following
    assert owner.kinds[owner.kinds.index("resync_required") :][:3] == ["resync_required", "chunk_static", "chunk_delta"]


async def test_a_slow_follower_is_closed_not_cut(redis: Redis, hub: Hub) -> None:
    story = await story_of(redis)
    queue = SubscriberQueue(8, "overflow_close")
    view = Follow(hub, redis, Snapshots(redis), AGENT, queue, "conn-1", {})
    async with aclosing(view.events()) as events:
        for _ in range(2):
            await anext(events)
        await story.steps(60)
        while not queue.overflowed:
            await asyncio.sleep(0.005)
        with pytest.raises(Overflowed):
            await anext(events)
    assert hub.subscriber_count == 0


class TestAgentsOrder:
    """What an agent's socket asks for: the present first, then what was missed, its own events before the deltas."""

    @staticmethod
    def agent(hub: Hub, redis: Redis, **options: Any) -> Owner:
        return Owner(hub, redis, present_first=True, **options)

    async def test_without_an_id_the_missed_events_follow_the_present(self, redis: Redis, hub: Hub) -> None:
        story = await story_of(redis, seed=4, steps=4)
        seen = len(story.events)
        await story.until(crosses)
        await story.until(lambda commit: bool(commit.events))
        agent = self.agent(hub, redis, since=seen, keep_id=False)
        await agent.catch_up(story)
        assert agent.kinds[:3] == ["session_ready", "chunk_static", "chunk_delta"]
        assert agent.shown[1][0].fields()["chunk_id"] == story.wanderer.chunk_id
        assert agent_ids(agent.shown) == [n for n in story.visible if n > seen]
        check_arrivals(agent.shown)

    async def test_with_an_id_deltas_are_resumed_exactly(self, redis: Redis, hub: Hub) -> None:
        story = await story_of(redis, seed=4)
        agent = self.agent(hub, redis)
        await agent.follow(lambda: "chunk_delta" in agent.kinds)
        seen = story.last["chunk-0"]
        for tick in range(1, 6):
            commit = Commit(seen[0] + tick, chunk_id="chunk-0")
            commit.deltas["chunk-0"] = {"chunk_id": "chunk-0", "tick": commit.tick, "agents": [{"id": AGENT}]}
            if tick == 3:
                commit.events.append(("command_result", {"agent_id": AGENT}))
            await story._commit(commit)
        mark = len(agent.shown)
        await agent.follow(lambda: agent.last_event_id == f"chunk-0:{seen[0] + 5}:0:1")
        base = seen[0]
        assert [(event.kind, id_) for event, id_ in agent.shown[mark:]] == [
            ("session_ready", None),
            ("chunk_static", None),
            ("chunk_delta", f"chunk-0:{base + 1}:0:0"),
            ("command_result", f"chunk-0:{base + 1}:0:1"),
            *(("chunk_delta", f"chunk-0:{base + n}:0:1") for n in range(2, 6)),
        ]

    async def test_nothing_missed_repeats_the_last_delta_under_its_own_id(self, redis: Redis, hub: Hub) -> None:
        await story_of(redis, seed=4)
        agent = self.agent(hub, redis)
        await agent.follow(lambda: "chunk_delta" in agent.kinds)
        first = agent.shown[-1][1]
        await agent.follow(lambda: agent.kinds.count("chunk_delta") == 2)
        assert agent.shown[-1][1] == first
        assert agent.kinds == ["session_ready", "chunk_static", "chunk_delta"] * 2

    @pytest.mark.parametrize("seed", range(6))
    async def test_random_drops_lose_no_event_and_double_none(self, redis: Redis, hub: Hub, seed: int) -> None:
        rng = random.Random(seed)
        story = await story_of(redis, seed, leaves=True)
        agent = self.agent(hub, redis)
        await agent.follow(batches=2)
        for _ in range(15):
            await agent.follow(batches=rng.choice((1, 2)))
            await story.steps(rng.randrange(10))
        await story.until(lambda commit: commit.events[-1:] != [] and commit.events[-1][0] == "command_ack")
        await agent.catch_up(story)
        assert agent_ids(agent.shown) == story.visible
        check_arrivals(agent.shown)


async def test_an_owner_who_drops_two_hundred_times_gets_what_a_steady_one_gets(redis: Redis, hub: Hub) -> None:
    rng = random.Random(23)
    story = await story_of(redis, seed=9, leaves=True)
    steady, flighty = Owner(hub, redis), Owner(hub, redis)
    told = asyncio.Event()

    def over() -> bool:
        return told.is_set() and agent_ids(steady.shown)[-1:] == story.visible[-1:]

    steadily = asyncio.create_task(steady.follow(over))
    await flighty.follow(batches=2)

    async def drop_and_resume() -> None:
        for _ in range(200):
            await flighty.follow(batches=rng.choice((1, 2, 2, 3)))
            await asyncio.sleep(rng.random() * 0.004)

    flightily = asyncio.create_task(drop_and_resume())
    while not flightily.done():
        # The story moves a hundred times as fast as the world; kept going without a connection it would outrun the
        # 512 events that an agent's stream holds.
        await hub.connected.wait()
        await story.step()
        if rng.random() < 0.01:
            await cut_pubsub(redis)
        await asyncio.sleep(rng.random() * 0.004)
    await flightily
    await story.until(lambda commit: commit.events[-1:] != [] and commit.events[-1][0] == "command_ack")
    told.set()
    steady.queue.beat()
    await steadily
    await flighty.catch_up(story)
    assert agent_ids(flighty.shown) == agent_ids(steady.shown) == story.visible
    check_order(steady.shown)
    check_arrivals(steady.shown)
