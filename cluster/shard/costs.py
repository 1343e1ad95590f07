"""What each chunk costs its shard: counted while it works, split and smoothed once a second.

Timed is only the whole of a step, of a batch of decisions, of an encoding, of a commit, by two readings of a clock.
What of it a chunk has cost follows once a second from what was counted for each chunk meanwhile: agents shown, bytes
written, commands decided.  So the measuring costs a few additions for each delta and command, whatever the load.

The caller hands in readings of ``time.perf_counter_ns`` and ``time.process_time_ns``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from cluster.messages import ChunkLoad
from world.ids import ChunkId
from world.outputs import Output

#: How often what was counted is split and smoothed.
ROLL_S: Final = 1.0
#: The figures are those of about so long; of a chunk or shard that is younger, of all its time.
SMOOTH_S: Final = 10.0
#: Chunks that are told of one by one; what the others cost is told as a sum.
CHUNKS_MOST: Final = 256
#: Neighbours of a chunk that are told of: it has one on each side, and may have had others of late.
CROSSINGS_MOST: Final = 8
#: What a decided command adds to a commit, its ack, its result and the records with them, in bytes of a delta.
COMMAND_BYTES: Final = 600
#: Below this a chunk that nothing has happened in is forgotten.
FORGET_US: Final = 1.0
#: Below this a way that nobody has gone of late is forgotten.
CROSSING_LEAST_PER_S: Final = 0.001

PARTS: Final = ("step", "decide", "encode", "commit")


@dataclass(slots=True)
class _Happened:
    """What has happened in a chunk since the last roll."""

    shown: int = 0
    written: int = 0
    commands: int = 0
    crossings: dict[ChunkId, int] = field(default_factory=dict)


@dataclass(slots=True)
class _ChunkRates:
    """What a chunk costs and does a second, smoothed; ``since_ns``: when something first happened in it here."""

    since_ns: int
    cost_us: float = 0.0
    commit_us: float = 0.0
    written: float = 0.0
    commands: float = 0.0
    crossings: dict[ChunkId, float] = field(default_factory=dict)


class ChunkCosts:
    """The costs of one epoch of a shard; ``now_ns`` and ``cpu_ns`` are when it begins."""

    def __init__(self, now_ns: int, cpu_ns: int) -> None:
        #: Nanoseconds since the beginning, by part.
        self.spent_ns = dict.fromkeys(PARTS, 0)
        #: Share of a core that the process uses, smoothed.
        self.cpu = 0.0
        self._began_ns = self._rolled_ns = now_ns
        self._cpu_ns = cpu_ns
        self._rolled_spent = dict(self.spent_ns)
        self._counted: dict[ChunkId, _Happened] = {}
        self._rates: dict[ChunkId, _ChunkRates] = {}

    def age_s(self, now_ns: int) -> float:
        """Return the seconds since the beginning."""
        return (now_ns - self._began_ns) / 1e9

    # -- counting --

    def stepped(self, spent_ns: int) -> None:
        """Count a step of the world."""
        self.spent_ns["step"] += spent_ns

    def decided(self, chunk_ids: Iterable[ChunkId | None], spent_ns: int) -> None:
        """Count commands that were decided together, by the chunks of their agents (None: not here)."""
        self.spent_ns["decide"] += spent_ns
        for chunk_id in chunk_ids:
            if chunk_id is not None:
                self._of(chunk_id).commands += 1

    def committed(self, output: Output, written: Iterable[tuple[str, int]], *, encode_ns: int, commit_ns: int) -> None:
        """Count a commit: ``written`` has the bytes of each delta by chunk."""
        self.spent_ns["encode"] += encode_ns
        self.spent_ns["commit"] += commit_ns
        for delta in output.deltas:
            self._of(delta.chunk_id).shown += 1 + len(delta.payload["agents"])
        for chunk_id, size in written:
            self._of(ChunkId(chunk_id)).written += size
        for event in output.private:
            if event.kind == "chunk_transition":
                crossings = self._of(event.payload["from_chunk_id"]).crossings
                to_chunk = event.payload["to_chunk_id"]
                crossings[to_chunk] = crossings.get(to_chunk, 0) + 1

    def _of(self, chunk_id: ChunkId) -> _Happened:
        counted = self._counted.get(chunk_id)
        if counted is None:
            counted = self._counted[chunk_id] = _Happened()
        return counted

    # -- once a second --

    def roll(self, now_ns: int, cpu_ns: Callable[[], int], holds: Callable[[ChunkId], bool]) -> None:
        """Split and smooth what was counted, if a second is over; ``holds`` says which chunks are still here."""
        elapsed_s = (now_ns - self._rolled_ns) / 1e9
        if elapsed_s < ROLL_S:
            return
        used_ns = cpu_ns()
        self.cpu += (((used_ns - self._cpu_ns) / 1e9 / elapsed_s) - self.cpu) * _weight(
            elapsed_s, (now_ns - self._began_ns) / 1e9
        )
        spent_us = {part: (self.spent_ns[part] - self._rolled_spent[part]) / 1000 for part in PARTS}
        counted, self._counted = self._counted, {}
        costs, commits = _split(counted, spent_us)
        for chunk_id in counted.keys() - self._rates.keys():
            self._rates[chunk_id] = _ChunkRates(self._rolled_ns)
        nothing = _Happened()
        for chunk_id, rates in list(self._rates.items()):
            if not holds(chunk_id):
                del self._rates[chunk_id]
                continue
            weight = _weight(elapsed_s, (now_ns - rates.since_ns) / 1e9)
            _smooth(rates, counted.get(chunk_id, nothing), costs.get(chunk_id, 0.0), elapsed_s, weight)
            rates.commit_us += (commits.get(chunk_id, 0.0) / elapsed_s - rates.commit_us) * weight
            if chunk_id not in counted and rates.cost_us < FORGET_US:
                del self._rates[chunk_id]
        self._rolled_ns, self._cpu_ns, self._rolled_spent = now_ns, used_ns, dict(self.spent_ns)

    # -- telling --

    def costliest(self, population_of: Callable[[ChunkId], int]) -> tuple[list[ChunkLoad], int]:
        """Return the costliest chunks, at most ``CHUNKS_MOST``, and the microseconds a second of all others."""
        ordered = sorted(self._rates.items(), key=lambda item: (-item[1].cost_us, item[0]))
        loads = [_load(chunk_id, rates, population_of(chunk_id)) for chunk_id, rates in ordered[:CHUNKS_MOST]]
        return loads, round(sum(rates.cost_us for _, rates in ordered[CHUNKS_MOST:]))


def _weight(elapsed_s: float, age_s: float) -> float:
    """Return how much a new value counts beside the smoothed one: in the beginning the mean of all, later less."""
    return max(1 - math.exp(-elapsed_s / SMOOTH_S), min(1.0, elapsed_s / age_s) if age_s > 0 else 1.0)


def _split(
    counted: dict[ChunkId, _Happened], spent_us: dict[str, float]
) -> tuple[dict[ChunkId, float], dict[ChunkId, float]]:
    """Return the microseconds of each chunk, and those of commits, in which its shard mostly waits.

    What nothing was shown, written or decided for is nobody's.
    """
    shown = sum(one.shown for one in counted.values()) or 1
    commands = sum(one.commands for one in counted.values()) or 1
    written = sum(_bytes(one) for one in counted.values()) or 1
    per_shown, per_command = spent_us["step"] / shown, spent_us["decide"] / commands
    per_byte, waited_per_byte = spent_us["encode"] / written, spent_us["commit"] / written
    costs = {
        chunk_id: one.shown * per_shown + one.commands * per_command + _bytes(one) * per_byte
        for chunk_id, one in counted.items()
    }
    return costs, {chunk_id: _bytes(one) * waited_per_byte for chunk_id, one in counted.items()}


def _bytes(counted: _Happened) -> int:
    return counted.written + counted.commands * COMMAND_BYTES


def _smooth(rates: _ChunkRates, counted: _Happened, cost_us: float, elapsed_s: float, weight: float) -> None:
    rates.cost_us += (cost_us / elapsed_s - rates.cost_us) * weight
    rates.written += (counted.written / elapsed_s - rates.written) * weight
    rates.commands += (counted.commands / elapsed_s - rates.commands) * weight
    for to_chunk in rates.crossings.keys() | counted.crossings.keys():
        before = rates.crossings.get(to_chunk, 0.0)
        now = before + (counted.crossings.get(to_chunk, 0) / elapsed_s - before) * weight
        if now < CROSSING_LEAST_PER_S:
            rates.crossings.pop(to_chunk, None)
        else:
            rates.crossings[to_chunk] = now


def _load(chunk_id: ChunkId, rates: _ChunkRates, agents: int) -> ChunkLoad:
    ordered = sorted(rates.crossings.items(), key=lambda item: -item[1])[:CROSSINGS_MOST]
    return ChunkLoad(
        chunk_id=chunk_id,
        agents=agents,
        cost_us=round(rates.cost_us),
        commit_us=round(rates.commit_us),
        bytes_per_s=round(rates.written),
        commands_per_s=round(rates.commands, 2),
        crossings={to_chunk: round(rate, 3) for to_chunk, rate in ordered},
    )
