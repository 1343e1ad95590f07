"""Measures the coefficients of `chunkcrawl estimate` anew, and holds the estimate against other worlds.

    make costs                      # both, and the tables of docs/scaling.md: a quarter of an hour
    make costs ARGS="--only fit"    # the coefficients; `--only check` the worlds that they are held against

The coefficients are fitted to worlds of --agents and --think, and to an idle one with more shards; the rest comes from
`bench_cluster_commit`, `bench_fanout` and `bench_archive`.  Written are operations/sizing/coefficients.json,
tests/bench/cost/points.json, prototype.json beside it, and the tables of docs/scaling.md.

CPU is all that counts here, but for the facts that the archiver takes in a second; that one wants a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from config.settings import default
from operations.sizing.coefficients import FILE, Coefficients, RoleCost, load_coefficients
from tests.bench import bench_archive, bench_cluster_commit, bench_fanout
from tests.bench.cost.fit import Point
from tests.bench.cost.pages import PAGE, POINTS, PROTOTYPE, Measured, with_tables
from tests.bench.cost.processes import ROLES
from tests.bench.cost.runs import Plan, Run, measure, measure_idle
from tests.bench.cost.sharing import fit_shared
from tests.bench.cost.world import HERE, CostError, Tree

SHARDS, MORE_SHARDS = 2, 16
DURATION_S = 15
COMMITS = 3_000
FACTS = 20_000
#: Chunks and ticks for a hub; readers, and seconds for a gateway.
READERS = (200, 40, 500, 5.0)


def our_tree() -> Tree:
    """This checkout, run by this Python."""
    return Tree(HERE, Path(sys.executable))


# -- measuring --


def play(tree: Tree, agents: Sequence[int], think_s: Sequence[float], seed: int, progress: Console) -> list[Run]:
    """One run for each number of agents and pause."""
    runs = []
    for count in agents:
        for pause in think_s:
            progress.print(f"{count} agents, thinking {pause:g} s ...", highlight=False)
            runs.append(measure(tree, Plan(count, pause, DURATION_S, seed, None)))
    return runs


def micro(progress: Console) -> dict[str, Any]:
    """What whole worlds do not show."""
    progress.print("commits, crossings and copies ...")
    found: dict[str, Any] = {"cluster": bench_cluster_commit.measure_all(COMMITS)}
    progress.print("readers ...")
    found["readers"] = bench_fanout.measure_readers(*READERS)
    progress.print("the archiver ...")
    found["facts_per_s"] = bench_archive.facts_per_s(FACTS)
    return found


# -- putting together --


def idle_worlds(tree: Tree, progress: Console) -> list[dict[str, float]]:
    """Cores by role of idle worlds of ``SHARDS`` and of ``MORE_SHARDS``."""
    found = []
    for shards in (SHARDS, MORE_SHARDS):
        progress.print(f"an idle world of {shards} shards ...", highlight=False)
        found.append(measure_idle(tree, shards))
    return found


def coefficients(
    runs: Sequence[Run], idle: Sequence[dict[str, float]], found: dict[str, Any], measured: str
) -> Coefficients:
    """What the model takes, of runs, of ``idle_worlds``, and of what ``micro`` found."""
    cluster = found["cluster"]
    commands = sum(run.commands_per_s for run in runs)
    few, many = idle
    single, partition = cluster["commits"]["single"], cluster["commits"]["partition"]
    each_us = {role: round(_above(many[role] - few[role]) / (MORE_SHARDS - SHARDS) * 1e6, 1) for role in ROLES}
    per_chunk = round(_mean([run.joined / run.chunks for run in runs]), 1)
    delta_us = round(_above(single["a_tick"] - single["nothing"]) / DELTAS_OF_A_TICK, 1)
    # What small benches have found of a delta is not left to how commands and deltas of whole worlds go together.
    least_message_us = {"gateways": found["readers"]["delivery_us"], "valkey": delta_us / per_chunk, "shards": STEP_US}
    return Coefficients(
        measured=measured,
        roles=_roles(runs, least_message_us, round(found["facts_per_s"])),
        shards=SHARDS,
        actors=SHARDS + 3,  # a gateway, the archiver, the coordinator
        tick_hz=TICK_HZ,
        commands_per_agent_s=COMMANDS_PER_AGENT_S,
        agents_per_chunk=per_chunk,
        facts_per_command=round(sum(run.facts_per_s for run in runs) / commands, 3),
        entries_per_command=ENTRIES_PER_COMMAND,
        crossings_per_command=round(_mean([run.crossings_per_command for run in runs]), 4),
        hub_message_us=found["readers"]["message_us"],
        valkey_copy_us=round(cluster["copy_us"], 2),
        valkey_commit_us=round(single["nothing"], 1),
        valkey_delta_us=delta_us,
        coordinator_actor_us=each_us["coordinator"],
        others_actor_us=each_us["others"],
        archiver_facts_per_s=round(found["facts_per_s"]),
        message_bytes=round(_mean([run.bytes_per_message for run in runs])),
        entry_bytes=round(_mean([run.entry_bytes for run in runs])),
        gateway_mb=round(_mean([run.idle_mb["gateways"] for run in runs]), 1),
        gateway_agent_kb=_each_kb(runs, "gateways"),
        gateway_spectator_kb=found["readers"]["idle_kb"],
        shard_mb=round(_mean([run.idle_mb["shards"] for run in runs]) / SHARDS, 1),
        shard_agent_kb=_each_kb(runs, "shards"),
        valkey_mb=round(_mean([run.idle_mb["valkey"] for run in runs]), 1),
        valkey_agent_kb=VALKEY_AGENT_KB,
        postgres_mb=round(max(run.memory_mb["postgres"] for run in runs) + SHARED_BUFFERS_MB, 1),
        others_mb=round(_mean([run.idle_mb["others"] for run in runs]), 1),
        partition_commit_factor=round(max(1.0, _ratio(partition, single)), 3),
        crossing_us=round(cluster["crossing_us"], 1),
        crossing_source_us=round(cluster["crossing_source_us"], 1),
        crossing_target_us=round(cluster["crossing_target_us"], 1),
    )


TICK_HZ = float(default("tick_hz"))
#: Where commands share work: by default in one process.
LANES = {"shards": SHARDS, "valkey": SHARDS}
#: An agent that walks for a second and thinks for another.
COMMANDS_PER_AGENT_S = 0.5
#: Of a moving agent and tick, by `bench_world` (docs/performance.md).
STEP_US = 1.3
#: Of `bench_commit`'s a_tick.
DELTAS_OF_A_TICK = 5
#: What the embedded PostgreSQL shares between its processes.
SHARED_BUFFERS_MB = 64.0
#: Of the agent's stream: challenge and ack, and the result.
ENTRIES_PER_COMMAND = 2.0
#: Record, seat, position and buckets of an agent; its stream is counted by its bytes.
VALKEY_AGENT_KB = 2.0


def _roles(runs: Sequence[Run], least_message_us: dict[str, float], archived_per_s: float) -> dict[str, RoleCost]:
    """The costs of all roles; worlds without agents are points too."""
    found = {}
    for role in ROLES:
        points = [Point(0.0, 0.0, run.idle[role]) for run in runs]
        points += [Point(run.commands_per_s, run.messages_per_s, run.cores[role]) for run in runs]
        found[role] = fit_shared(points, LANES.get(role, 1), least_message_us.get(role, 0.0))
    for role in ("archiver", "postgres"):  # facts are shared in batches, which another bench has measured full
        found[role] = replace(found[role], shared_upto=archived_per_s)
    return found


def _ratio(these: dict[str, float], those: dict[str, float]) -> float:
    """How much dearer these commits are, all kinds together."""
    return sum(these.values()) / sum(those.values())


def _each_kb(runs: Sequence[Run], role: str) -> float:
    """What an agent adds to a role's memory, by the largest run."""
    largest = max(runs, key=lambda run: run.joined)
    return round(_above(largest.memory_mb[role] - largest.idle_mb[role]) / largest.joined * 1e3, 1)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _above(value: float) -> float:
    """What can't be below nothing, but for the noise."""
    return max(0.0, value)


def words(runs: Sequence[Run], remark: str) -> str:
    """Where, when and of what it was measured."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout
    sizes = ", ".join(str(agents) for agents in sorted({run.agents for run in runs}))
    pauses = " and ".join(f"{pause:g}" for pause in sorted({run.think_s for run in runs}))
    return (
        f"{datetime.now(UTC):%Y-%m-%d} at {commit.strip() or 'an unknown commit'}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}; worlds of {sizes} agents that think {pauses} s{remark}"
    )


# -- the command --


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("fit", "check", "pages"), help="the coefficients, the check, or the tables")
    parser.add_argument("--agents", type=int, nargs="+", default=[50, 200, 400, 800], help="worlds to fit to")
    parser.add_argument("--think", type=float, nargs="+", default=[1.0, 4.0], help="pauses to fit to, seconds")
    parser.add_argument("--check-agents", type=int, nargs="+", default=[100, 300, 600], help="worlds to check with")
    parser.add_argument("--check-think", type=float, default=2.0, help="their pause, seconds")
    parser.add_argument("--remark", default="", help="to add to what is said of the measuring, such as `; busy`")
    given = parser.parse_args()
    progress, tree = Console(stderr=True), our_tree()
    try:
        if given.only in (None, "fit"):
            runs = play(tree, given.agents, given.think, 1, progress)
            idle = idle_worlds(tree, progress)
            found = micro(progress)
            known = coefficients(runs, idle, found, words(runs, given.remark))
            PROTOTYPE.write_text(json.dumps(found["cluster"], indent=2) + "\n")
            FILE.write_text(json.dumps(known.to_json(), indent=2) + "\n")
        if given.only in (None, "check"):
            checked = play(tree, given.check_agents, [given.check_think], 2, progress)
            points = [Measured.of(run).to_json() for run in checked]
            POINTS.write_text(json.dumps({"measured": words(checked, given.remark), "points": points}, indent=2) + "\n")
    except CostError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    PAGE.write_text(with_tables(PAGE.read_text(), load_coefficients()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
