"""One run: a client plays in a fresh world, and what the world's processes used meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.cost.fit import Cost, Point, fit
from tests.bench.cost.processes import ROLES, cores, memory_mb
from tests.bench.cost.world import HERE, CostError, Look, Tree, World, running

__all__ = ["Plan", "Run", "Series", "measure", "measure_idle"]

IDLE_S = 5.0
LONG_IDLE_S = 20.0
SETTLE_S = 2.0
CLIENT_MARGIN_S = 300.0
WARMUP_S = 3
COMMANDS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Plan:
    """One run that is wanted."""

    agents: int
    think_s: float
    duration_s: int
    seed: int
    #: A file that takes the options of ``players``; None for our own.
    client: Path | None


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one plan."""

    agents: int
    think_s: float
    joined: int
    joins_per_s: float
    commands_per_s: float
    messages_per_s: float
    bytes_per_message: float
    rtt_p50_ms: float
    rtt_p99_ms: float
    #: Cores by role before anybody had joined.
    idle: dict[str, float]
    #: The same while the agents played.
    cores: dict[str, float]
    #: By Valkey command: calls for each accepted command of an agent, and microseconds of a call.
    valkey: dict[str, tuple[float, float]]
    client: dict[str, Any]
    #: Chunks with agents in them, on the average.
    chunks: float = 0.0
    facts_per_s: float = 0.0
    commits_per_s: float = 0.0
    #: Of all commands since the world began.
    crossings_per_command: float = 0.0
    entry_bytes: float = 0.0
    #: Memory by role before anybody had joined, and while the agents played; Valkey's is that of its data.
    idle_mb: dict[str, float] = field(default_factory=dict)
    memory_mb: dict[str, float] = field(default_factory=dict)
    valkey_out_bytes_per_s: float = 0.0

    @property
    def whole(self) -> float:
        """Cores of all roles."""
        return sum(self.cores.values())


@dataclass(frozen=True, slots=True)
class Series:
    """All runs of one checkout."""

    tree: str
    runs: list[Run]

    def costs(self) -> dict[str, Cost | None]:
        """Least squares by role, and for ``all`` of them; worlds without agents are points too."""
        found: dict[str, Cost | None] = {}
        for role in (*ROLES, "all"):
            points = []
            for run in self.runs:
                idle, used = (sum(one.values()) if role == "all" else one[role] for one in (run.idle, run.cores))
                points += [Point(0.0, 0.0, idle), Point(run.commands_per_s, run.messages_per_s, used)]
            found[role] = fit(points)
        return found

    def as_json(self) -> dict[str, Any]:
        """Everything, for a machine."""
        costs = {role: None if cost is None else asdict(cost) for role, cost in self.costs().items()}
        return {"tree": self.tree, "runs": [asdict(run) for run in self.runs], "costs": costs}


def measure(tree: Tree, plan: Plan) -> Run:
    """Play one plan in a world of its own.

    Raises:
        CostError: The world does not start, or the client fails.
    """
    with running(tree) as world:
        time.sleep(SETTLE_S)
        before = world.look()
        time.sleep(IDLE_S)
        after = world.look()
        idle = cores(before.processes, after.processes, after.at - before.at)
        told, ended = _play(world, plan)
        first, last = world.between(ended - plan.duration_s, ended)
        counts, entry_bytes = world.counts(), world.entry_bytes()
    deltas = float(told.get("deltas_per_s") or told["deltas_per_agent_s"]["median"] * told["agents"])
    commands = float(told["acks_per_s"] or 0.0)
    seconds = last.at - first.at
    return Run(
        agents=plan.agents,
        think_s=plan.think_s,
        joined=int(told["agents"]),
        joins_per_s=round(told["agents"] / max(told["ramp_s"], 1e-3), 1),
        commands_per_s=commands,
        messages_per_s=round(deltas, 1),
        bytes_per_message=round(told["mb_per_s"] * 1e6 / deltas) if deltas else 0,
        rtt_p50_ms=told["rtt_ms"]["p50"],
        rtt_p99_ms=told["rtt_ms"]["p99"],
        idle=idle,
        cores=cores(first.processes, last.processes, seconds),
        valkey=_valkey_commands(first.commandstats, last.commandstats, commands * seconds),
        client=told,
        chunks=(first.chunks + last.chunks) / 2,
        facts_per_s=round((last.facts - first.facts) / seconds, 1),
        commits_per_s=round((last.commits - first.commits) / seconds, 1),
        crossings_per_command=_crossings(counts),
        entry_bytes=round(entry_bytes),
        idle_mb=_memory(after),
        memory_mb=_memory(last),
        valkey_out_bytes_per_s=round((last.valkey_out_bytes - first.valkey_out_bytes) / seconds),
    )


def measure_idle(tree: Tree, shards: int) -> dict[str, float]:
    """Cores by role of a world of so many shards in which nobody is.

    Raises:
        CostError: It does not start.
    """
    with running(tree, shards) as world:
        time.sleep(SETTLE_S)
        before = world.look()
        time.sleep(LONG_IDLE_S)
        after = world.look()
        return cores(before.processes, after.processes, after.at - before.at)


def _memory(look: Look) -> dict[str, float]:
    return {name: round(mb, 2) for name, mb in (memory_mb(look.processes) | {"valkey": look.valkey_mb}).items()}


def _crossings(counts: dict[str, float]) -> float:
    ended = counts.get("command_completed_total", 0.0) + counts.get("command_failed_total", 0.0)
    return round(counts.get("crossing_total", 0.0) / max(1.0, ended), 4)


def _play(world: World, plan: Plan) -> tuple[dict[str, Any], float]:
    """Run the client.  Returns what it printed, and when that was."""
    words = [str(plan.client)] if plan.client else ["-m", "tests.bench.cost.players"]
    options = {
        "base": world.base,
        "agents": plan.agents,
        "duration": plan.duration_s,
        "warmup": WARMUP_S,
        "think": plan.think_s,
        "seed": plan.seed,
    }
    argv = [sys.executable, *words, *(f"--{name}={value}" for name, value in options.items())]
    client = subprocess.Popen(argv, cwd=HERE, stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    try:
        line = client.stdout.readline()
        ended = time.monotonic()
        if not line:
            raise CostError(f"the client ended without a result (exit code {client.wait()}); what it says is above")
        told: dict[str, Any] = json.loads(line)
        client.wait(CLIENT_MARGIN_S)
        return told, ended
    except ValueError:
        raise CostError(f"the client printed no JSON: {line[:200]!r}") from None
    finally:
        client.kill()
        client.wait()
        client.stdout.close()


def _valkey_commands(
    before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], commands: float
) -> dict[str, tuple[float, float]]:
    """The costliest first."""
    found = {}
    for name, (calls, usec) in after.items():
        calls_before, usec_before = before.get(name, (0, 0))
        if calls > calls_before:
            found[name] = (calls - calls_before, usec - usec_before)
    dearest = sorted(found.items(), key=lambda item: -item[1][1])[:COMMANDS_SHOWN]
    return {name: (round(calls / max(commands, 1e-9), 3), round(usec / calls, 1)) for name, (calls, usec) in dearest}
