"""A made-up history of one agent that walks between chunks, and the rules that whatever shows it must keep."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from redis.asyncio import Redis

from streaming import keys
from streaming.commit import AgentEvent, Batch
from streaming.entry import INTERNAL_KINDS, Event, StreamId, chunk_of, format_stream_id
from streaming.follower import Followed, shows
from streaming.journal import Journal
from tests.streaming.writer import delta_payload

AGENT = "ada"
CHUNKS = ("chunk-0", "chunk-1", "chunk-2")
BEGAN_MS = 1_000_000
TICK_MS = 200


@dataclass
class Commit:
    """One atomic commit: deltas by chunk, then the agent's events in order."""

    tick: int
    deltas: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    chunk_id: str | None = None


class Wanderer:
    """Makes commits: the agent acts, crosses, leaves the world and comes back; other things move too."""

    def __init__(self, seed: int, *, leaves: bool = True) -> None:
        self.rng = random.Random(seed)
        self.tick = 10
        self.chunk_id: str | None = CHUNKS[0]
        self.leaves = leaves
        self.count = 0

    def start(self) -> Commit:
        commit = Commit(self.tick, chunk_id=self.chunk_id)
        for chunk_id in CHUNKS:
            self._delta(commit, chunk_id)
        return commit

    def step(self) -> Commit:
        self.tick += self.rng.choice((1, 1, 1, 2, 5))
        commit = Commit(self.tick)
        for chunk_id in CHUNKS:
            if self.rng.random() < 0.5:
                self._delta(commit, chunk_id)
        chance = self.rng.random()
        if self.chunk_id is None:
            if chance < 0.4:
                self.chunk_id = self.rng.choice(CHUNKS)
                self._event(commit, "agent_placed", chunk_id=self.chunk_id)
                self._delta(commit, self.chunk_id)
        elif chance < 0.2:
            old, new = self.chunk_id, self.rng.choice([c for c in CHUNKS if c != self.chunk_id])
            self.chunk_id = new
            self._event(commit, "chunk_transition", from_chunk_id=old, to_chunk_id=new)
            self._event(commit, "command_result", status="completed")
            self._delta(commit, old)
            self._delta(commit, new)
        elif chance < 0.25 and self.leaves:
            old, self.chunk_id = self.chunk_id, None
            self._event(commit, "command_result", status="failed")
            self._event(commit, "agent_removed")
            self._delta(commit, old)
        elif chance < 0.6:
            self._event(commit, self.rng.choice(("command_ack", "command_challenge", "agent_private_delta")))
        for chunk_id in commit.deltas:
            commit.deltas[chunk_id] = self._payload(chunk_id)
        commit.chunk_id = self.chunk_id
        return commit

    def _event(self, commit: Commit, kind: str, **fields: Any) -> None:
        self.count += 1
        commit.events.append((kind, {"agent_id": AGENT, "tick": self.tick, "count": self.count, **fields}))

    def _delta(self, commit: Commit, chunk_id: str) -> None:
        commit.deltas[chunk_id] = self._payload(chunk_id)

    def _payload(self, chunk_id: str) -> dict[str, Any]:
        return delta_payload(chunk_id, self.tick, (AGENT,) if chunk_id == self.chunk_id else ())


def agent_ids(shown: Sequence[Followed]) -> list[int]:
    """The numbers of the agent's events among what was shown."""
    return [event.id[0] for event, _ in shown if event.key.startswith("stream:agent:")]


def check_order(shown: Sequence[Followed]) -> None:
    """Raises AssertionError unless ``shown`` keeps the contract's order.  See ``streaming/follower.py``."""
    showing: str | None = None
    last: Event | None = None
    before = ""
    for event, event_id in shown:
        if event.kind == "chunk_static":
            showing = str(orjson.loads(event.payload)["chunk_id"])
            last = None
        elif event.kind == "chunk_delta":
            assert chunk_of(event) == showing, f"a delta of {chunk_of(event)} while showing {showing}"
            assert last is None or event.prev == last.id, "a hole, or back in time"
            last = event
        elif event.kind == "chunk_transition":
            showing = None
        else:
            assert before != "chunk_transition" or event.kind in ("session_ready", "heartbeat"), "static must follow"
        assert (event_id is None) == (event.key == "")
        before = event.kind


def check_arrivals(shown: Sequence[Followed]) -> None:
    """After a transition come the destination's static and a delta with the agent in it, unless it moved on at once."""
    for index, (event, _) in enumerate(shown):
        if event.kind != "chunk_transition":
            continue
        to = event.fields()["to_chunk_id"]
        rest = [e for e, _ in shown[index + 1 : index + 3]]
        if "session_ready" in [e.kind for e in rest]:
            continue  # the connection was dropped in between
        if len(rest) > 0 and rest[0].kind != "chunk_transition":
            assert rest[0].kind == "chunk_static", [(e.kind, i) for e, i in shown[max(0, index - 4) : index + 5]]
            assert rest[0].fields()["chunk_id"] == to
        if len(rest) > 1 and rest[0].kind == "chunk_static" and rest[1].kind == "chunk_delta":
            assert shows(rest[1], AGENT)  # type: ignore[arg-type]


class Story:
    """A wanderer whose commits go to Redis through the journal, as a shard's do."""

    def __init__(self, redis: Redis, seed: int, *, leaves: bool = True) -> None:
        self.redis = redis
        self.wanderer = Wanderer(seed, leaves=leaves)
        self.last: dict[str, StreamId] = {}
        self.events: list[str] = []
        self.commits: list[Commit] = []
        self._journal: Journal | None = None

    async def begin(self) -> None:
        self._journal, _ = await Journal.acquire(self.redis, 0)
        for chunk_id in CHUNKS:
            static = orjson.dumps({"chunk_id": chunk_id, "neighbors": {}})
            await self.redis.set(keys.chunk_static(chunk_id), static)
        await self._commit(self.wanderer.start())

    async def step(self) -> None:
        await self._commit(self.wanderer.step())

    async def steps(self, count: int) -> None:
        for _ in range(count):
            await self.step()

    async def until(self, condition: Callable[[Commit], bool]) -> None:
        """Step until a commit satisfies ``condition``."""
        while True:
            commit = self.wanderer.step()
            await self._commit(commit)
            if condition(commit):
                return

    @property
    def visible(self) -> list[int]:
        """Numbers of the agent's events that a reader must get."""
        return [n + 1 for n, kind in enumerate(self.events) if kind not in INTERNAL_KINDS]

    async def _commit(self, commit: Commit) -> None:
        assert self._journal is not None
        self.commits.append(commit)
        batch, ts_ms = Batch(tick=commit.tick), BEGAN_MS + commit.tick * TICK_MS
        for chunk_id, payload in commit.deltas.items():
            prev = format_stream_id(self.last.get(chunk_id, (0, 0)))
            entry, minid = f"{commit.tick}-0", f"{max(0, commit.tick - 300)}-0"
            batch.chunk_entry(chunk_id, entry, prev, "chunk_delta", ts_ms, "t", orjson.dumps(payload), minid)
            self.last[chunk_id] = (commit.tick, 0)
        events = []
        for kind, fields in commit.events:
            events.append(AgentEvent(kind, ts_ms, "t", orjson.dumps(fields)))
            self.events.append(kind)
        here = commit.chunk_id is not None
        batch.agent_record(AGENT, commit.chunk_id or "", here=here, busy="", record=b'{"gold":7}', events=events)
        await self._journal.commit(batch)
