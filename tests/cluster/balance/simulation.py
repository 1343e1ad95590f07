"""A simulated world for the planner: what chunks cost follows a script, and shards say of it what ours would.

What a shard says is smoothed as ``cluster.shard.costs`` does it: a chunk that has just come is unknown at first.  Costs
are microseconds of CPU a second; time is simulated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cluster.balance.moves import MoveRecord
from cluster.balance.picture import REMOTE_EXTRA_US, YOUNG_S, picture_of
from cluster.balance.planner import BalanceRules, Held, Planner, imbalance
from cluster.messages import ChunkLoad, ShardLoad
from cluster.shard.costs import SMOOTH_S
from world.ids import ChunkId, chunk_name, shard_of

PASS_S = 4.0
#: What a shard's process uses without chunks.
OWN_US = 15_000.0
#: How much of a chunk's CPU its shard has timed.
TIMED = 0.5
NOISE = 0.1

RULES = BalanceRules(1.2, 60)
NOTHING_HELD = Held()

Numbers: TypeAlias = NDArray[np.float64]
Costs: TypeAlias = Callable[[float], Numbers]


@dataclass
class Simulation:
    """So many shards and chunks; ``costs`` gives what each chunk costs at a time."""

    shards: int
    chunks: int
    costs: Costs
    rules: BalanceRules = RULES
    held: Held = NOTHING_HELD
    #: Crossings a second by pair of chunk numbers.
    traffic: Mapping[tuple[int, int], float] = field(default_factory=dict)
    seed: int = 1
    #: The seconds of a restart of the coordinator, which forgets everything but what was tried.
    restarts: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.names = [chunk_name(number) for number in range(self.chunks)]
        self.numbers = {name: number for number, name in enumerate(self.names)}
        self.owners = np.array([shard_of(name, self.shards) for name in self.names])
        self.told = np.zeros(self.chunks)
        self.since = np.zeros(self.chunks)
        self.cpu = np.zeros(self.shards)
        self.now = 0.0
        self.records: list[MoveRecord] = []
        #: (second, imbalance) of every pass, of what the shards really carry.
        self.course: list[tuple[float, float]] = []
        self.planner = Planner(self.rules)

    def run(self, seconds: float) -> Simulation:
        """Let so much time go by."""
        end = self.now + seconds
        while self.now < end:
            self.now += PASS_S
            self._measure()
            if any(self.now - PASS_S < at <= self.now for at in self.restarts):
                self.planner = Planner(self.rules, self.records)
            self._plan()
            self.course.append((self.now, imbalance(list(self.carried()))))
        return self

    def carried(self) -> Numbers:
        """What each shard really carries."""
        carried = OWN_US + np.bincount(self.owners, self.costs(self.now), self.shards).astype(np.float64)
        for (one, other), rate in self.traffic.items():
            if self.owners[one] != self.owners[other]:
                carried[[self.owners[one], self.owners[other]]] += rate * REMOTE_EXTRA_US
        return carried

    def _measure(self) -> None:
        costs = self.costs(self.now)
        noisy = costs * self.random.normal(1.0, NOISE, self.chunks)
        age = np.maximum(self.now - self.since, 1e-9)
        weight = np.maximum(1 - np.exp(-PASS_S / SMOOTH_S), np.minimum(1.0, PASS_S / age))
        self.told += (noisy - self.told) * weight
        begun = max(1 - np.exp(-PASS_S / SMOOTH_S), min(1.0, PASS_S / self.now))
        self.cpu += (self.carried() - self.cpu) * begun

    def _reports(self) -> list[ShardLoad]:
        chunks: list[list[ChunkLoad]] = [[] for _ in range(self.shards)]
        crossings: dict[int, dict[ChunkId, float]] = {}
        for (one, other), rate in self.traffic.items():
            crossings.setdefault(one, {})[self.names[other]] = rate
        for number, (owner, told) in enumerate(zip(self.owners.tolist(), self.told.tolist(), strict=True)):
            load = ChunkLoad(self.names[number], 0, int(told * TIMED), 0, 0.0, crossings.get(number, {}))
            chunks[owner].append(load)
        return [
            ShardLoad(number, self.now + YOUNG_S, cpu / 1e6, 0.0, 0.0, 0, len(chunks[number]), 0, chunks[number], 0)
            for number, cpu in enumerate(self.cpu.tolist())
        ]

    def _plan(self) -> None:
        owners = dict(zip(self.names, self.owners.tolist(), strict=True))
        for move in self.planner.plan(picture_of(owners, self.shards, self._reports()), self.held, self.now):
            number = self.numbers[move.chunk_id]
            assert self.owners[number] == move.from_shard != move.to_shard
            self.owners[number] = move.to_shard
            self.told[number], self.since[number] = 0.0, self.now
            at_ms = int(self.now * 1000)
            record = MoveRecord(at_ms, move.chunk_id, move.from_shard, move.to_shard, move.why, "", "moved", 1.0)
            self.records.append(record)
            self.planner.note(record)

    # -- judging --

    def moves_between(self, begin: float, end: float) -> list[MoveRecord]:
        """What moved in an interval."""
        return [record for record in self.records if begin * 1000 < record.at_ms <= end * 1000]

    def most_in_a_minute(self) -> int:
        """The most moves of any sixty seconds."""
        times = sorted(record.at_ms for record in self.records)
        return max((sum(1 for at in times if first <= at < first + 60_000) for first in times), default=0)

    def soonest_again_s(self) -> float:
        """The shortest time between two moves of one chunk."""
        last: dict[str, int] = {}
        soonest = float("inf")
        for record in self.records:
            if record.chunk_id in last:
                soonest = min(soonest, (record.at_ms - last[record.chunk_id]) / 1000)
            last[record.chunk_id] = record.at_ms
        return soonest

    def told_in_a_line(self, name: str) -> str:
        """What became of it, with moves per chunk and hour."""
        counts = Counter(record.chunk_id for record in self.records)
        rate = len(self.records) / self.chunks / (self.now / 3600)
        last = [value for at, value in self.course if at > self.now * 0.75]
        return (
            f"{name}: {self.shards} shards, {self.chunks} chunks, {self.now / 60:.0f} min: imbalance "
            f"{self.course[0][1]:.2f} -> {last[-1]:.2f} (worst of the last quarter {max(last):.2f}), "
            f"{len(self.records)} moves, {rate:.2f} a chunk and hour, a chunk at most {max(counts.values(), default=0)}"
        )
