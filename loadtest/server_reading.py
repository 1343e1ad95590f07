"""What one look at the server's metrics page says about its load, and what two of them say about the time between.

Pure.  All that grows is taken as it stands, so that of a row of readings any may be left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from loadtest.server_page import ServerPage

__all__ = ["KINDS", "Durations", "LoadStep", "Reading", "between", "kind_of", "reading_of", "steps_of", "thinned"]

#: The most readings of a run that are kept: twenty minutes of one every two seconds.
READINGS_MAX: Final = 600
#: Two readings closer than this say nothing about rates.
STEP_LEAST_S: Final = 0.2

VALKEY, POSTGRESQL = "Valkey", "PostgreSQL"
#: The kinds of processes in the order in which they are shown.
KINDS: Final = ("gateway", "shard", "coordinator", "archiver", VALKEY, POSTGRESQL)
_SERVERS: Final = {"redis": VALKEY, "postgresql": POSTGRESQL}

#: Gauges of what waits, by what it is called in the report.
QUEUES: Final = {
    "commands undecided": "commands_waiting",
    "calls to shards": "shard_calls_waiting",
    "calls to Valkey": "redis_calls_waiting",
    "for readers": "reader_events_waiting",
    "for a commit": "commits_waiting",
    "for the event log": "archive_entries_waiting",
}


@dataclass(frozen=True, slots=True)
class Durations:
    """A histogram as it stands: how many, their sum, and how many were at most as long as each bound."""

    count: float = 0.0
    total_s: float = 0.0
    #: Pairs of upper bound in seconds and count, rising; the last bound is infinite.
    buckets: tuple[tuple[float, float], ...] = ()

    def since(self, earlier: Durations) -> Durations:
        """Return what came since ``earlier``."""
        before = dict(earlier.buckets)
        rest = tuple((bound, max(0.0, count - before.get(bound, 0.0))) for bound, count in self.buckets)
        return Durations(max(0.0, self.count - earlier.count), max(0.0, self.total_s - earlier.total_s), rest)

    @property
    def mean_ms(self) -> float | None:
        """The mean; None of nothing."""
        return self.total_s / self.count * 1000 if self.count else None

    def quantile_ms(self, share: float) -> float | None:
        """Return a quantile, evenly within its bucket; in the last bucket its lower bound.  None of nothing."""
        wanted, below, passed = self.count * share, 0.0, 0.0
        for bound, upto in self.buckets if self.count else ():
            if upto >= wanted and upto > passed:
                if bound == float("inf"):
                    return below * 1000
                return (below + (bound - below) * (wanted - passed) / (upto - passed)) * 1000
            below, passed = bound, upto
        return None


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the page."""

    #: When, in seconds of the run, as ``Sample.second`` counts.
    second: float
    #: When the server gathered it, by a clock of the server's; differences are what counts.
    at: float
    #: Processor time by process: actors by their names, Valkey, PostgreSQL.
    cpu_s: dict[str, float] = field(default_factory=dict)
    #: How long the threads of the actors' event loops had to wait for a processor.
    wait_s: dict[str, float] = field(default_factory=dict)
    tick: Durations = Durations()
    commit: Durations = Durations()
    #: What waits now, by ``QUEUES``.
    queues: dict[str, float] = field(default_factory=dict)
    #: Ticks that were run or skipped, in all shards.
    ticks: float = 0.0
    shards: int = 0


@dataclass(frozen=True, slots=True)
class LoadStep:
    """The time between two readings."""

    #: The later reading's.
    second: float
    seconds: float
    #: Processors used, by process.
    cores: dict[str, float]
    #: The share of the time that an event loop had to wait for a processor, by actor.
    waits: dict[str, float]
    tick: Durations
    commit: Durations
    #: What waited at its end.
    queues: dict[str, float]
    ticks: float
    shards: int

    def by_kind(self) -> dict[str, float]:
        """Return processors used by kind of process."""
        found: dict[str, float] = {}
        for name, cores in self.cores.items():
            found[kind_of(name)] = found.get(kind_of(name), 0.0) + cores
        return found

    @property
    def tick_interval_ms(self) -> float | None:
        """How long after another a shard's ticks were due; None where there were none."""
        return self.seconds * self.shards / self.ticks * 1000 if self.ticks and self.shards else None


def kind_of(process: str) -> str:
    """Return the kind of a process: ``shard`` of ``shard-3``."""
    return process.partition("-")[0]


def reading_of(page: ServerPage, second: float, now: float) -> Reading:
    """Return what the page says.

    Args:
        second: See ``Reading.second``.
        now: The present time by any clock, for a page that does not say when it was gathered.
    """
    servers = {_SERVERS.get(name, name): value for name, value in page.by("server_cpu_seconds", "server").items()}
    return Reading(
        second=second,
        at=page.total("metrics_gathered_at_seconds") or now,
        cpu_s=page.by("process_cpu_seconds_total", "actor") | servers,
        wait_s=page.by("event_loop_wait_seconds_total", "actor"),
        tick=_durations(page, "tick_seconds"),
        commit=_durations(page, "commit_seconds"),
        queues={words: page.total(name) for words, name in QUEUES.items() if page.has(name)},
        ticks=page.total("ticks_total") + page.total("tick_skipped_total"),
        shards=len(page.by("shard_tick", "shard")),
    )


def _durations(page: ServerPage, name: str) -> Durations:
    bounds = {float(bound): count for bound, count in page.by(f"{name}_bucket", "le").items() if bound}
    return Durations(page.total(f"{name}_count"), page.total(f"{name}_sum"), tuple(sorted(bounds.items())))


def between(earlier: Reading, later: Reading) -> LoadStep | None:
    """Return the step from one reading to another; None where too little time lies between."""
    seconds = later.at - earlier.at
    if seconds < STEP_LEAST_S:
        return None
    return LoadStep(
        second=later.second,
        seconds=seconds,
        cores=_per_s(earlier.cpu_s, later.cpu_s, seconds),
        waits=_per_s(earlier.wait_s, later.wait_s, seconds),
        tick=later.tick.since(earlier.tick),
        commit=later.commit.since(earlier.commit),
        queues=later.queues,
        ticks=max(0.0, later.ticks - earlier.ticks),
        shards=later.shards,
    )


def _per_s(earlier: dict[str, float], later: dict[str, float], seconds: float) -> dict[str, float]:
    """Return rates of those in both readings; a server's count that has begun anew is left out."""
    return {
        name: (value - earlier[name]) / seconds
        for name, value in later.items()
        if name in earlier and value >= earlier[name]
    }


def steps_of(readings: Sequence[Reading]) -> list[LoadStep]:
    """Return the steps between neighbours."""
    return [step for pair in pairwise(readings) if (step := between(*pair)) is not None]


def thinned(readings: list[Reading]) -> list[Reading]:
    """Return at most ``READINGS_MAX`` of them, the first and the last included."""
    if len(readings) <= READINGS_MAX:
        return readings
    return [*readings[:-1:2], readings[-1]]
