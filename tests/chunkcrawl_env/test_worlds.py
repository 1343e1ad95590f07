"""Worlds stepped together: what the arrays show is what is there, whatever happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkcrawl_env.config import EnvConfig
from chunkcrawl_env.planes import AGENT, CREATURE, EXIT, FLOOR, GOLD, LAYERS, NODE
from chunkcrawl_env.rewards import WorldEvent
from chunkcrawl_env.worlds import Worlds
from tests.chunkcrawl_env.play import QUICK, play
from world.dice import Dice
from world.grid import SIDE_OF, X_OF, Y_OF
from world.recording import verify

BUSY: dict[str, Any] = {"agents": 10, "chunks": 3, "company": 8, "rules": QUICK}
WAIT, NORTH, EAST, DIG = 0, 1, 2, 5


def seen_slowly(worlds: Worlds, number: int, learner: int) -> np.ndarray[Any, Any]:
    """A window made cell by cell from the core's state."""
    radius = worlds.config.radius
    chunks = worlds.world(number).shard.state.chunks
    actor = worlds.world(number).shard.state.agents[worlds.names[learner]]  # type: ignore[index]
    chunk = chunks[actor.chunk_id]
    wide = 2 * radius + 1
    window = np.zeros((wide, wide, len(LAYERS)), dtype=np.uint8)
    for down in range(wide):
        for right in range(wide):
            x, y = X_OF[actor.cell] + right - radius, Y_OF[actor.cell] + down - radius
            if not (0 <= x < 50 and 0 <= y < 50):
                continue
            cell = y * 50 + x
            window[down, right, FLOOR] = chunk.floor[cell]
            window[down, right, EXIT] = bool(chunk.floor[cell]) and SIDE_OF[cell] is not None
            for node in chunk.nodes.values():
                if node.cell == cell:
                    window[down, right, NODE] = 1
                    window[down, right, GOLD] = node.remaining if node.state == "available" else 0
            window[down, right, AGENT] = any(one.cell == cell for one in chunk.members.values())
            window[down, right, CREATURE] = any(npc.cell == cell for npc in chunk.npcs)
    return window


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_windows_show_what_is_there_after_every_step(seed: int) -> None:
    """While agents dig, cross, and chunks come and go: as made cell by cell."""
    worlds = Worlds(EnvConfig(**BUSY, radius=3), 2)
    for number in (0, 1):
        worlds.seed(number, seed + number)
    worlds.reset()
    dice = Dice("test", seed)
    for _ in range(25):
        masks = worlds.masks()
        worlds.step([dice.pick([a for a, one in enumerate(mask) if one]) for mask in masks.tolist()])
        windows = worlds.observe()
        for learner in (0, dice.below(10)):
            for number in (0, 1):
                assert (windows[number * 10 + learner] == seen_slowly(worlds, number, learner)).all()


def test_agents_cross_dig_and_chunks_come_and_go() -> None:
    """What the play of these tests reaches, so that they say something."""
    seen: set[str] = set()

    def watch(event: WorldEvent) -> tuple[tuple[str, float], ...]:
        seen.add(event["type"])
        return ()

    worlds = Worlds(EnvConfig(**BUSY, reward=watch, private_events=True), 1)
    play(worlds.config, 5, 150, worlds)
    assert {"resource_harvest", "resource_depleted", "resource_regenerated", "blocked"} <= seen
    assert {"neighbor_linked", "neighbor_unlinked", "chunk_transition", "command_ack", "command_result"} <= seen


def test_a_step_into_a_side_moves_by_one_cell() -> None:
    worlds = Worlds(EnvConfig(agents=1))
    worlds.reset()
    before = worlds.world().shard.agents(worlds.world().shard.chunk_ids[0])[0]
    worlds.step([NORTH])
    worlds.step([EAST])
    after = worlds.world().shard.agents(worlds.world().shard.chunk_ids[0])[0]
    assert (after.x - before.x, after.y - before.y) == (1, 1)


def test_masks_say_what_is_accepted() -> None:
    """A step that the mask allows is accepted, one that it forbids is refused."""
    asked: list[bool] = []

    def decided(event: WorldEvent) -> tuple[tuple[str, float], ...]:
        if event["type"] == "command_ack":
            asked.append(event["accepted"])
        return ()

    worlds = Worlds(EnvConfig(agents=1, reward=decided, private_events=True, rules=QUICK))
    dice = Dice("masks", 1)
    worlds.reset()
    refused = 0
    for _ in range(300):
        [mask] = worlds.masks().tolist()
        side = 1 + dice.below(4)
        asked.clear()
        worlds.step([side])
        assert asked == [bool(mask[side])]
        refused += not mask[side]
    assert refused > 10


def test_digging_again_goes_on_digging() -> None:
    """An agent that says dig in every step gets all units of the node, as if it had said so once."""
    worlds = Worlds(EnvConfig(agents=1, actions="cells", rules=QUICK))
    worlds.seed(0, 3)
    worlds.reset()
    dig = worlds.codes.dig
    chunk = worlds.first_chunk()
    cells = [cell for cell, one in enumerate(chunk.ground) if one and _near_a_node(chunk, cell)]
    while worlds.first_chunk().ordered[0].cell != cells[0]:
        worlds.step([cells[0]])
    total = sum(float(worlds.step([dig])[0]) for _ in range(8))
    assert total == worlds.gold()[0] >= 1
    assert not worlds.masks()[0, dig]


def _near_a_node(chunk: Any, cell: int) -> bool:
    near = [n for n in chunk.nodes.values() if abs(X_OF[n.cell] - X_OF[cell]) + abs(Y_OF[n.cell] - Y_OF[cell]) <= 1]
    return bool(near)


def test_the_world_is_that_of_the_seed_and_the_next_one_follows_from_it() -> None:
    worlds = Worlds(EnvConfig(agents=2))
    seeds = []
    for _ in range(2):
        worlds.seed(0, 12)
        for _ in range(3):
            worlds.reset()
            seeds.append(worlds.world().seed)
    assert seeds[0] == 12
    assert seeds[:3] == seeds[3:]
    assert len(set(seeds)) == 3


def test_two_that_were_given_no_seed_differ() -> None:
    one, other = Worlds(EnvConfig(), 1), Worlds(EnvConfig(), 1)
    one.reset()
    other.reset()
    assert one.world().seed != other.world().seed


def test_a_quiet_world_goes_as_one_that_is_heard() -> None:
    quiet = play(EnvConfig(**BUSY), 4, 60)
    heard = play(EnvConfig(**BUSY, private_events=True), 4, 60)
    assert quiet == heard


def test_recordings_run_again(tmp_path: Path) -> None:
    worlds = Worlds(EnvConfig(**BUSY, record_dir=tmp_path), 2)
    digests = play(worlds.config, 9, 30, worlds)
    worlds.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    for number, file in enumerate(files):
        with file.open() as lines:
            verdict = verify(lines)
        assert verdict.same
        assert verdict.complete
        assert verdict.state == digests[f"state-{number}"]


def test_a_step_before_a_reset_says_so() -> None:
    with pytest.raises(RuntimeError, match="reset"):
        Worlds(EnvConfig()).step([WAIT] * 8)


def test_many_agents_begin_in_all_chunks_or_in_the_hall() -> None:
    for spawn, most in (("spread", 5), ("hall", 20)):
        worlds = Worlds(EnvConfig(agents=20, chunks=4, spawn=spawn))  # type: ignore[arg-type]
        worlds.reset()
        shard = worlds.world().shard
        assert shard.population_of(shard.chunk_ids[0]) == most
