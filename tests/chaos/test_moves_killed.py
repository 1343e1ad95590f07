"""The coordinator is killed before, at and after each commit point of a chunk's move, while agents play.

Its processes run from a copy of the tree in which the balancer ends itself at the point that the scenario names.  The
move has happened or it has not, the next coordinator finds out which and goes on, and nothing is lost or doubled.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.patched_tree import Patch, patched_tree
from tests.cluster.scenarios import run_scenario

LIMIT_S = 1_100
AGENTS = 20

BALANCER = "cluster/balancer.py"
PLANNER = "cluster/balance/planner.py"
ENDS_ITSELF = """

async def _may_end_here(redis: Redis, point: str, record: MoveRecord) -> None:
    if await redis.hdel("test:kill", f"{record.why} {point}"):
        await redis.set("test:killed", orjson.dumps(record.to_json()))
        os.kill(os.getpid(), signal.SIGKILL)


class Balancer:
"""
PATCHES = [
    Patch(BALANCER, "import asyncio\n", "import asyncio\nimport orjson\nimport os\nimport signal\n"),
    Patch(BALANCER, "\n\nclass Balancer:\n", ENDS_ITSELF),
    Patch(
        BALANCER,
        "        await move_log.begin(self._redis, record)\n",
        '        await _may_end_here(self._redis, "before", record)\n'
        "        await move_log.begin(self._redis, record)\n"
        '        await _may_end_here(self._redis, "begun", record)\n',
    ),
    Patch(
        BALANCER,
        "            pause_s = await giver.give(move.chunk_id, move.to_shard)\n",
        "            giving = asyncio.ensure_future(giver.give(move.chunk_id, move.to_shard))\n"
        "            await asyncio.sleep(0)  # it is on its way\n"
        '            await _may_end_here(self._redis, "giving", record)\n'
        "            pause_s = await giving\n"
        '            await _may_end_here(self._redis, "given", record)\n',
    ),
    Patch(
        BALANCER,
        "        await move_log.end(self._redis, record)\n",
        '        await move_log.end(self._redis, record)\n        await _may_end_here(self._redis, "ended", record)\n',
    ),
    # So that there is a move for balance in every round.
    Patch(PLANNER, "BUSY_FOR_S: Final = 15.0", "BUSY_FOR_S: Final = 3.0"),
    Patch(PLANNER, "SETTLE_S: Final = 12.0", "SETTLE_S: Final = 3.0"),
    Patch(PLANNER, "REST_S: Final = 600.0", "REST_S: Final = 0.0"),
]
#: What the next coordinator writes down of the move that was under way: nothing where it was not written down.
OUTCOMES: dict[str, list[list[str]]] = {
    "before": [[]],
    "begun": [["failed"]],
    "giving": [["moved"], ["failed"]],
    "given": [["moved"]],
    "ended": [["moved"]],
}


@pytest.mark.ray
@pytest.mark.chaos
@pytest.mark.timeout(LIMIT_S + 20)
def test_a_coordinator_killed_at_any_point_of_a_move_leaves_it_to_the_next(tmp_path: Path) -> None:
    tree = patched_tree(tmp_path / "tree", PATCHES)
    agents = os.environ.get("MOVES_AGENTS", str(AGENTS))
    found = run_scenario("tests.chaos.moves_killed_scenario", agents, *OUTCOMES, limit_s=LIMIT_S, tree=tree)
    seed = f"CHAOS_SEED={found['seed']}"
    rounds: list[dict[str, Any]] = found["rounds"]
    for one in rounds:
        print(*(f"{name}: {value}" for name, value in one.items()), sep="; ")
    print(f"{found['accepted']} commands accepted")
    assert [(one["why"], one["point"]) for one in rounds] == [
        (why, point) for point in OUTCOMES for why in ("leaving", "load")
    ], seed
    for one in rounds:
        assert one["noted"] in OUTCOMES[one["point"]], (one, seed)
        assert one["owner"] == one["to_shard" if one["noted"] == ["moved"] else "from_shard"], (one, seed)
        assert one["pid"] != one["pid_before"], (one, seed)
    assert found["accepted"] > 0, seed
    assert (found["unsettled"], found["holes"], found["findings"]) == ([], [], []), seed
    assert found["gold"][0] == found["gold"][1], seed
