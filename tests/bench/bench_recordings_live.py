"""What recordings cost a world in which agents play: cores by role without and with them, in turn.

Each run is a fresh world without demo, as `chunkcrawl up` starts it, and the client of `make bench-cost`.  The recorder
is a part of the archiver's process: what the two runs of a pair differ by in ``archiver`` is its price, in ``shards``
that of making entries, in ``valkey`` that of taking them along.  Only CPU counts; a quiet machine makes pairs alike.

    PYTHONPATH=. python tests/bench/bench_recordings_live.py [--agents 200] [--think 1] [--duration 60] [--pairs 3]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.cost.comparing import ALL, compare, shares
from tests.bench.cost.runs import Plan, Run, measure
from tests.bench.cost.world import HERE, CostError, Tree

TARGET = 0.03
RECORDER = "archiver, with the recorder"


def measure_pairs(plan: Plan, pairs: int, progress: Console) -> tuple[list[Run], list[Run]]:
    """Play a plan without and with recordings, in turn; every second pair begins with them, for a machine drifts.

    Raises:
        CostError: A world does not start, or the client fails.
    """
    found: tuple[list[Run], list[Run]] = ([], [])
    tree = Tree(HERE, Path(sys.executable))
    for number in range(pairs):
        pair = [*zip((False, True), found, strict=True)]
        for kind, runs in pair[:: -1 if number % 2 else 1]:
            progress.print(f"pair {number + 1} of {pairs}, {'with' if kind else 'without'} recordings ...")
            runs.append(measure(replace(tree, variables={"CHUNKCRAWL_RECORDINGS": str(kind).lower()}), plan))
    return found


def print_pairs(console: Console, without: list[Run], beside: list[Run]) -> None:
    """Print all runs, the medians by role, and the share."""
    differences = compare(without, beside)
    table = Table("cores", "without", "with", "difference", title=f"{without[0].agents} agents")
    for one in differences:
        name = RECORDER if one.role == "archiver" else one.role
        table.add_row(name, *(f"{cores:.4f}" for cores in (one.without, one.beside, one.cores)))
    console.print(table)
    by_pair = shares(without, beside)
    for number, (share, *runs) in enumerate(zip(by_pair, without, beside, strict=True)):
        said = "; ".join(f"{run.whole:.4f} cores, {run.commands_per_s:.1f} commands/s" for run in runs)
        console.print(f"pair {number + 1}: {said}: {share:+.1%}", highlight=False)
    whole = differences[-1]
    assert whole.role == ALL
    console.print(
        f"Recordings take {whole.cores / whole.beside:.1%} of what the world uses ({min(by_pair):+.1%} to "
        f"{max(by_pair):+.1%} by pair); wanted are at most {TARGET:.0%}.",
        highlight=False,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=200, help="how many play")
    parser.add_argument("--think", type=float, default=1.0, help="pause between commands, seconds")
    parser.add_argument("--duration", type=int, default=60, help="seconds of each run that are measured")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each kind")
    parser.add_argument("--seed", type=int, default=1, help="of what the agents do")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    given = parser.parse_args()
    console, progress = Console(width=None if sys.stdout.isatty() else 140), Console(stderr=True)
    plan = Plan(given.agents, given.think, given.duration, given.seed, None)
    try:
        without, beside = measure_pairs(plan, max(1, given.pairs), progress)
        if given.json:
            runs = {"without": [asdict(run) for run in without], "with": [asdict(run) for run in beside]}
            print(json.dumps(runs | {"shares": shares(without, beside)}))
        else:
            print_pairs(console, without, beside)
    except (CostError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
