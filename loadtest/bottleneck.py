"""What kept a run from going faster, by a rule with reasons.  Pure.

The first that holds is named:

1. the generators used their whole processor: nothing can be said about the server;
2. a process that works in one thread used nearly all of a processor: that process;
3. event loops had to wait for a processor: the machine;
4. ticks take nearly as long as they may: the commit if most of it is that, else the shards' own work;
5. a queue grew from the beginning to the end: whoever is to empty it;
6. nothing: the rate is what the agents ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from loadtest.server_reading import POSTGRESQL, VALKEY, LoadStep, kind_of

__all__ = ["Bottleneck", "MeasuredLoad", "name_bottleneck"]

Where: TypeAlias = Literal["unknown", "generators", "process", "machine", "commit", "shards", "queue", "nothing"]

#: Of one processor.  An event loop that is busier answers late; Valkey runs commands in one thread.
BUSY_CORE: Final = 0.85
#: The share of the time that an event loop that works has to wait for a processor, from which on the machine is full.
WAITING_SHARE: Final = 0.15
#: One that hardly works says nothing about it.
WORKING_CORE: Final = 0.05
#: The part of the interval between two ticks that a slow tick (p99) may take.
TICK_SHARE: Final = 0.8
#: The part of a tick from which on the commit is what takes its time.
COMMIT_SHARE: Final = 0.5
#: A queue has grown if its last third has so many more than its first, and is so many times as long.
GROWN_BY, GROWN_TIMES = 50.0, 3.0

#: Whose queue it is.
EMPTIED_BY: Final = {
    "commands undecided": "the shards",
    "calls to shards": "the shards",
    "calls to Valkey": "Valkey",
    "for readers": "the gateways",
    "for a commit": "the commit to Valkey",
    "for the event log": "the archiver, or PostgreSQL",
}
REMEDIES: Final = {
    "gateway": "more gateways (CHUNKCRAWL_GATEWAYS) spread it",
    "shard": "more shards (`chunkcrawl scale`) spread it, if its agents are in more than one chunk",
    VALKEY: "nothing but fewer or smaller commits helps it",
    "coordinator": "it is asked for too many pages, or watches too many actors",
    "archiver": "the event log is behind, the game is not",
    POSTGRESQL: "",
}


@dataclass(frozen=True, slots=True)
class MeasuredLoad:
    """What the seconds that were measured add up to."""

    #: Processors used on average, by process.
    cores: Mapping[str, float] = field(default_factory=dict)
    #: The share of the time that event loops had to wait for a processor, by actor.
    waits: Mapping[str, float] = field(default_factory=dict)
    tick_mean_ms: float | None = None
    tick_p99_ms: float | None = None
    commit_mean_ms: float | None = None
    tick_interval_ms: float | None = None
    #: What waited, by queue: on average in the first and in the last third.
    queues: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, whole: LoadStep, steps: Sequence[LoadStep]) -> MeasuredLoad:
        """Return it for the measured time as a whole, and for each of its steps."""
        third = max(1, len(steps) // 3)
        return cls(
            cores=whole.cores,
            waits=whole.waits,
            tick_mean_ms=whole.tick.mean_ms,
            tick_p99_ms=whole.tick.quantile_ms(0.99),
            commit_mean_ms=whole.commit.mean_ms,
            tick_interval_ms=whole.tick_interval_ms,
            queues={
                name: (_mean(steps[:third], name), _mean(steps[-third:], name))
                for name in whole.queues
                if len(steps) > 1
            },
        )


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What it is (``name``: the process or queue), and why."""

    where: Where
    name: str
    text: str
    reasons: tuple[str, ...] = ()


def name_bottleneck(load: MeasuredLoad | None, *, why_not: str, saturated: int, generators: int) -> Bottleneck:
    """Name the bottleneck.

    Args:
        load: None where the server's figures are not known.
        why_not: Why they are not.
        saturated: How many generators used their whole processor.
        generators: How many there were.
    """
    if saturated:
        text = f"The generators: {saturated} of {generators} used their whole processor."
        return Bottleneck("generators", "generators", text, ("what the server could do beyond that is not known",))
    if load is None or not load.cores:
        return Bottleneck("unknown", "", f"Not known: {why_not or 'nothing was measured'}.")
    for rule in (_full_process, _full_machine, _slow_ticks, _grown_queue):
        found = rule(load)
        if found is not None:
            return found
    busiest = max(load.cores, key=lambda name: load.cores[name])
    reasons = [f"the busiest process, {busiest}, used {_percent(load.cores[busiest])} of a processor"]
    if load.tick_p99_ms is not None and load.tick_interval_ms is not None:
        reasons.append(f"slow ticks (p99) took {load.tick_p99_ms:.0f} of {load.tick_interval_ms:.0f} ms")
    return Bottleneck("nothing", "", "None of the server's: the rate is what these agents ask for.", tuple(reasons))


def _full_process(load: MeasuredLoad) -> Bottleneck | None:
    # PostgreSQL works in many processes, so more than one processor of it says nothing.
    one_thread = {name: cores for name, cores in load.cores.items() if name != POSTGRESQL}
    name = max(one_thread, key=lambda one: one_thread[one], default="")
    if not name or one_thread[name] < BUSY_CORE:
        return None
    reasons = [f"it works in one thread, and used {_percent(one_thread[name])} of a processor"]
    reasons += [f"{other} used {_percent(one_thread[other])}" for other in _next_to(name, one_thread)]
    reasons += [REMEDIES[kind_of(name)]] if REMEDIES.get(kind_of(name)) else []
    return Bottleneck("process", name, f"{name}: its processor is full.", tuple(reasons))


def _next_to(name: str, cores: Mapping[str, float]) -> list[str]:
    return sorted((other for other in cores if other != name), key=lambda other: -cores[other])[:1]


def _full_machine(load: MeasuredLoad) -> Bottleneck | None:
    working = {name: share for name, share in load.waits.items() if load.cores.get(name, 0.0) >= WORKING_CORE}
    name = max(working, key=lambda one: working[one], default="")
    if not name or working[name] < WAITING_SHARE:
        return None
    largest = sorted(load.cores, key=lambda one: -load.cores[one])[:3]
    users = ", ".join(f"{one} {load.cores[one]:.2f}" for one in largest)
    reasons = (
        f"{name} was ready and had to wait for a processor {_percent(working[name])} of the time",
        f"processors were used by {users}; and by whatever else runs there, generators among it",
    )
    return Bottleneck("machine", "processors", "The machine: all its processors are taken.", reasons)


def _slow_ticks(load: MeasuredLoad) -> Bottleneck | None:
    slow, interval = load.tick_p99_ms, load.tick_interval_ms
    if slow is None or interval is None or slow < TICK_SHARE * interval:
        return None
    reasons = [f"slow ticks (p99) took {slow:.0f} of the {interval:.0f} ms that they have"]
    commit, tick = load.commit_mean_ms, load.tick_mean_ms
    if commit is not None and tick and commit >= COMMIT_SHARE * tick:
        reasons.append(f"of a tick's {tick:.1f} ms (mean) a commit takes {commit:.1f}")
        if VALKEY in load.cores:
            reasons.append(f"Valkey used {_percent(load.cores[VALKEY])} of a processor: its disk or the way there")
        return Bottleneck("commit", VALKEY, "The commit to Valkey: ticks wait for it.", tuple(reasons))
    if commit is not None and tick:
        reasons.append(f"a tick takes {tick:.1f} ms (mean), a commit {commit:.1f}")
    return Bottleneck("shards", "shards", "The shards: their ticks take as long as they may.", tuple(reasons))


def _grown_queue(load: MeasuredLoad) -> Bottleneck | None:
    grown = {
        name: last
        for name, (first, last) in load.queues.items()
        if last - first >= GROWN_BY and last >= GROWN_TIMES * first
    }
    name = max(grown, key=lambda one: grown[one], default="")
    if not name:
        return None
    first, last = load.queues[name]
    whose = EMPTIED_BY.get(name, name)
    reasons = (f'the queue "{name}" grew from {first:,.0f} to {last:,.0f}',)
    return Bottleneck("queue", name, f"{whose[0].upper()}{whose[1:]}: more comes than is done.", reasons)


def _mean(steps: Sequence[LoadStep], queue: str) -> float:
    values = [step.queues.get(queue, 0.0) for step in steps]
    return sum(values) / len(values) if values else 0.0


def _percent(share: float) -> str:
    return f"{share:.0%}"
