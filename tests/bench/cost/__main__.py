"""What the world costs: cores by role while agents play, and what a command and a message take of them.

For each number of agents and each pause between their commands a fresh world without demo is started, as
`chunkcrawl up` starts it, looked at while it idles, and played in.  Printed are:

- cores of gateways, shards, Valkey and everything else (user and system time of the processes, from /proc);
- microseconds of each for an accepted command and for a delivered delta, by least squares over all runs, which is why
  there should be runs with few and with many commands (two values of --think);
- round trips (request to ack), joins a second, and Valkey's own statistics by command;
- the floor: a plain websockets server on uvloop that broadcasts as many messages of the same size to as many clients.

The client is a generator of `chunkcrawl load` in one process of its own: it knows nothing but the wire, so every
checkout is measured with the same one. --client takes another file with the same options (see players.py); what its
agents do decides what a command costs, so compare only runs of one client.

Examples:

    make bench-cost                                         # 200, 400 and 800 agents, thinking 1 and 4 s: ten minutes
    make bench-cost ARGS="--agents 200 --json"
    make bench-cost ARGS="--tree . --tree /tmp/before --agents 400"   # a checkout of before in turn with this one
    git worktree add /tmp/before v0.1.0                     # ... which is made like this

Only CPU is to be trusted on a machine that does something else meanwhile; round trips and joins want a quiet one.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.bench.cost.floor import measure_floor
from tests.bench.cost.report import print_series
from tests.bench.cost.runs import Plan, Run, Series, measure
from tests.bench.cost.world import HERE, CostError, Tree

FLOOR_S = 8.0


def tree_of(directory: str, python: str | None) -> Tree:
    """The checkout there, run by the Python that is named, by its own, or by ours."""
    where = Path(directory).resolve()
    own = where / ".venv" / "bin" / "python"
    # Not resolved: a virtual environment is known by the name of its interpreter.
    return Tree(where, Path(python).absolute() if python else own if own.exists() else Path(sys.executable))


def floors(runs: list[Run]) -> list[dict[str, float]]:
    """For each run the floor of what it delivered; zeroes where it delivered nothing."""
    nothing = {"cores": 0.0, "message_us": 0.0, "messages_per_s": 0.0}
    return [
        measure_floor(run.joined, run.joined / run.messages_per_s, int(run.bytes_per_message), FLOOR_S)
        if run.joined and run.messages_per_s
        else nothing
        for run in runs
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, nargs="+", default=[200, 400, 800], help="how many play, one run each")
    parser.add_argument("--think", type=float, nargs="+", default=[1.0, 4.0], help="pauses between commands, seconds")
    parser.add_argument("--duration", type=int, default=15, help="seconds that are measured")
    parser.add_argument("--seed", type=int, default=1, help="of what the agents do")
    parser.add_argument("--tree", action="append", metavar="DIR", help="a checkout; repeat it to measure several")
    parser.add_argument("--python", metavar="BIN", help="runs the trees; by default a tree's own .venv, else this one")
    parser.add_argument("--client", type=Path, metavar="PATH", help="another load client")
    parser.add_argument("--no-floor", action="store_true", help="leave the plain broadcaster out")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    given = parser.parse_args()
    # Where there is no terminal a line may be as long as the tables are.
    console = Console(width=None if sys.stdout.isatty() else 140)
    progress = Console(stderr=True)
    trees = [tree_of(directory, given.python) for directory in given.tree or [str(HERE)]]
    series = [Series(str(tree.directory), []) for tree in trees]
    try:
        for tree in trees:
            tree.check()
        for agents in given.agents:
            for think_s in given.think:
                # In turn, so that what else the machine does meets all of them alike.
                for tree, one in zip(trees, series, strict=True):
                    progress.print(f"{tree.directory}: {agents} agents, thinking {think_s:g} s ...", highlight=False)
                    plan = Plan(agents, think_s, given.duration, given.seed, given.client)
                    one.runs.append(measure(tree, plan))
        beside = [] if given.no_floor else [floors(one.runs) for one in series]
    except CostError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if given.json:
        found: list[dict[str, Any]] = [one.as_json() for one in series]
        for shown, floor in zip(found, beside, strict=False):
            shown["floor"] = floor
        print(json.dumps(found if len(found) > 1 else found[0]))
        return 0
    for number, one in enumerate(series):
        print_series(console, one, beside[number] if beside else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
