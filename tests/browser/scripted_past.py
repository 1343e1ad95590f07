"""The past of a scripted chunk: pages, time line and playback, as the server has them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

HZ = 5
Fields = dict[str, Any]


@dataclass
class ScriptedPast:
    """A chunk's past from ``oldest`` on; tick ``newest`` was when the test began."""

    static: Fields
    newest: int
    oldest: int | None = 1
    recorded: bool = True
    gaps: list[tuple[int, int, str]] = field(default_factory=list)
    marks: list[Fields] = field(default_factory=list)
    marks_from: int | None = 0
    deltas: dict[int, Fields] = field(default_factory=dict)
    #: ``from`` and ``to`` of each page that was asked for, in order.
    asked: list[tuple[int, int]] = field(default_factory=list)
    #: ``from_tick`` and ``speed`` of each playback.
    played: list[tuple[int, float]] = field(default_factory=list)
    #: Pages wait for it.
    go: asyncio.Event = field(default_factory=asyncio.Event)
    #: Seconds between two deltas of a playback.
    pace_s: float = 0.02
    #: Refusals that come before the next page, as statuses.
    refuses: list[int] = field(default_factory=list)
    began: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.go.set()

    def tell(self, tick: int, agents: list[Fields], events: list[Fields] | None = None, **more: Any) -> None:
        """Add a delta."""
        fields: Fields = {"chunk_id": self.static["chunk_id"], "tick": tick, "agents": agents, "events": events or []}
        self.deltas[tick] = {"npcs": [], "resources": []} | fields | more

    def ms_of(self, tick: int) -> int:
        return int((self.began - (self.newest - tick) / HZ) * 1000)

    def state_before(self, tick: int) -> Fields | None:
        before = [at for at in self.deltas if at < tick]
        if before:
            return {**self.deltas[max(before)], "events": []}
        # a chunk that is new: it begins with its first delta
        first = min(self.deltas, default=None)
        return None if first is None else {**self.deltas[first], "events": [], "tick": first - 1}

    def timeline(self, first: int, last: int) -> Fields:
        oldest = self.oldest
        points = [] if oldest is None else [[oldest, self.ms_of(oldest)], [self.newest, self.ms_of(self.newest)]]
        return {
            "chunk_id": self.static["chunk_id"],
            "recorded": self.recorded,
            "now_ms": int(time.time() * 1000),
            "tick_hz": HZ,
            "oldest_tick": oldest,
            "newest_tick": None if oldest is None else self.newest,
            "points": points,
            "gaps": [{"from_tick": low, "to_tick": high, "reason": why} for low, high, why in self.gaps],
            "gaps_from": oldest or 0,
            "marks": [mark for mark in self.marks if first <= mark["tick"] <= last],
            "marks_from": self.marks_from,
        }

    def page(self, first: int, last: int, limit: int) -> Fields:
        """A page, as ``GET /v1/chunks/{id}/history`` has it."""
        start = first
        gap: Fields | None = None
        for low, high, why in self.gaps:
            if low <= first <= high:
                gap = {"from_tick": first, "to_tick": min(high, last), "reason": why}
                start = high + 1
        end = min(last, self.newest, *(low - 1 for low, _, _ in self.gaps if low > start))
        shown = start <= last
        deltas = [self.deltas[tick] for tick in sorted(self.deltas) if shown and start <= tick <= end][:limit]
        if len(deltas) == limit:
            end = deltas[-1]["tick"]
        end = max(end, gap["to_tick"] if gap else first - 1)
        state = self.state_before(start) if shown else None
        return {
            "chunk_id": self.static["chunk_id"],
            "from_tick": first,
            "to_tick": end,
            "gap": gap,
            "chunk_static": self.static if state else None,
            "state": state,
            "deltas": deltas,
            "server_ts_ms": [self.ms_of(delta["tick"]) for delta in deltas],
            "closed_tick": None,
            "ended": end >= self.newest,
            "next": None if end >= last else end + 1,
        }

    async def playback(self, first: int) -> AsyncGenerator[tuple[str, Fields, str]]:
        """What a stream that plays sends until it is live: type, fields, event id."""
        chunk_id = self.static["chunk_id"]
        yield "playback", {"chunk_id": chunk_id, "state": "playing", "tick": first}, ""
        state = self.state_before(first)
        if state is not None:
            yield "chunk_static", self.static, ""
            yield "chunk_delta", state, ""
        for tick in sorted(self.deltas):
            if first <= tick <= self.newest:
                await asyncio.sleep(self.pace_s)
                await self.go.wait()
                yield "chunk_delta", {**self.deltas[tick], "server_ts_ms": self.ms_of(tick)}, f"{chunk_id}:{tick}:0"
        yield "playback", {"chunk_id": chunk_id, "state": "live", "tick": self.newest + 1}, ""
