"""What the shards of a world carry at one moment, as the planner sees it: made of their reports and of who owns what.

Loads are microseconds of CPU a second, so a million is a core.  What a shard's process uses is measured as a whole;
its chunks' own measurements say how that is to be divided among them.  What it would use without them counts for
nothing: no move changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cluster.messages import ShardLoad
from world.ids import ChunkId

CORE_US: Final = 1_000_000.0
#: What any chunk counts for, so that chunks in which nothing happens are spread evenly when they have to go somewhere.
CHUNK_US: Final = 10.0
#: Of the CPU of a shard so many times what was timed is put down to its chunks (calls, event loop and garbage come with
#: them); the rest it would use without them.
OVERHEAD_MOST: Final = 4.0
#: What a shard says before it is this old is of too little time.
YOUNG_S: Final = 10.0
#: What a crossing costs within a shard, and how many times that between two.
CROSSING_US: Final = 1_000.0
REMOTE_TIMES: Final = 3.0
#: What one crossing a second costs each of two shards more than it would cost within one.
REMOTE_EXTRA_US: Final = CROSSING_US * (REMOTE_TIMES - 1) / 2


@dataclass(slots=True)
class Picture:
    """Who owns what, and what it costs.  The planner changes it as if its moves were carried out."""

    owners: dict[ChunkId, int]
    #: How many shards there are to be: those with a higher number are to be empty.
    shard_count: int
    #: What each shard carries; those that have said nothing, or not for long enough, are missing.
    loads: dict[int, float]
    #: What would move with a chunk; what is missing costs nothing to speak of.
    costs: dict[ChunkId, float] = field(default_factory=dict)
    #: Crossings a second between two chunks, both directions together, from each to the other.
    traffic: dict[ChunkId, dict[ChunkId, float]] = field(default_factory=dict)

    def cost(self, chunk_id: ChunkId) -> float:
        """Return what would move with the chunk."""
        return self.costs.get(chunk_id, CHUNK_US)

    def after(self, chunk_id: ChunkId, to_shard: int) -> tuple[float, float]:
        """Return the loads of the giving and of the taking shard as they would be after a move.

        What crosses between the chunk and its neighbours gets dearer or cheaper by it, half of that on each side.
        """
        from_shard, cost = self.owners[chunk_id], self.cost(chunk_id)
        giving, taking = self.loads.get(from_shard, 0.0) - cost, self.loads.get(to_shard, 0.0) + cost
        for neighbor, rate in self.traffic.get(chunk_id, {}).items():
            owner, extra = self.owners.get(neighbor), rate * REMOTE_EXTRA_US
            giving += extra if owner == from_shard else -extra
            taking += -extra if owner == to_shard else extra
        return giving, taking

    def saved(self, chunk_id: ChunkId, to_shard: int) -> float:
        """Return how much less a second both shards together would use after a move; negative: more."""
        from_shard = self.owners[chunk_id]
        giving, taking = self.after(chunk_id, to_shard)
        return self.loads.get(from_shard, 0.0) + self.loads.get(to_shard, 0.0) - giving - taking

    def move(self, chunk_id: ChunkId, to_shard: int) -> None:
        """Change owner and loads as if the chunk had moved."""
        from_shard = self.owners[chunk_id]
        giving, taking = self.after(chunk_id, to_shard)
        if from_shard in self.loads:
            self.loads[from_shard] = giving
        if to_shard in self.loads:
            self.loads[to_shard] = taking
        self.owners[chunk_id] = to_shard


def picture_of(owners: Mapping[ChunkId, int], shard_count: int, reports: Iterable[ShardLoad]) -> Picture:
    """Return what the reports show; a chunk told of by a shard that does not own it (any more) costs nothing."""
    picture = Picture(dict(owners), shard_count, {})
    for report in reports:
        if report.age_s >= YOUNG_S:
            _add(picture, report)
    return picture


def _add(picture: Picture, report: ShardLoad) -> None:
    timed = sum(chunk.cost_us for chunk in report.costliest) + report.rest_us
    used = report.cpu * CORE_US
    share = min(used, timed * OVERHEAD_MOST) / timed if timed > 0 else 0.0
    picture.loads[report.shard] = timed * share
    for chunk in report.costliest:
        if picture.owners.get(chunk.chunk_id) != report.shard:
            continue
        picture.costs[chunk.chunk_id] = chunk.cost_us * share + CHUNK_US
        for neighbor, rate in chunk.crossings.items():
            _add_traffic(picture, chunk.chunk_id, neighbor, rate)
            _add_traffic(picture, neighbor, chunk.chunk_id, rate)


def _add_traffic(picture: Picture, from_chunk: ChunkId, to_chunk: ChunkId, rate: float) -> None:
    row = picture.traffic.setdefault(from_chunk, {})
    row[to_chunk] = row.get(to_chunk, 0.0) + rate
