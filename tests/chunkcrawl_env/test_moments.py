"""Environments that begin with a moment of a live world."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from chunkcrawl_env.config import EnvConfig
from chunkcrawl_env.moments import FORK_FILE
from chunkcrawl_env.one_world import OneWorld
from chunkcrawl_env.worlds import Worlds
from operations import fork
from recordings.past import freeze
from tests.chunkcrawl_env.play import QUICK
from world.dice import Dice
from world.ids import AgentId, ChunkId
from world.moment import Moment

NAMES = ("ada", "bob", "cid", "dan")
WAIT, NORTH = 0, 1


def command(tick: int, name: str) -> dict[str, object]:
    dice = Dice("moment", tick, name)
    return {"type": "move_to", "x": dice.below(50), "y": dice.below(50)}


def play(world: OneWorld, ticks: int) -> None:
    for _ in range(ticks):
        tick = world.shard.tick
        for name in NAMES:
            world.submit(name, f"c{tick}", command(tick, name))
        world.step()


@pytest.fixture(scope="module")
def original() -> OneWorld:
    world = OneWorld(4, QUICK, chunks=3)
    for number, name in enumerate(NAMES):
        world.join(name, ChunkId(f"chunk-{number % 3}"))
    play(world, 30)
    return world


@pytest.fixture(scope="module")
def moment(original: OneWorld) -> Moment:
    return Moment(original.seed, original.rules, original.shard.tick, {0: freeze(original.shard)})


@pytest.fixture
def directory(moment: Moment, tmp_path: Path) -> Path:
    (tmp_path / FORK_FILE).write_bytes(gzip.compress(json.dumps(moment.to_json()).encode()))
    return tmp_path


def test_the_file_is_the_fork_s() -> None:
    assert fork.FORK_FILE == FORK_FILE


def test_it_begins_at_the_moment_every_time(directory: Path, moment: Moment) -> None:
    worlds = Worlds(EnvConfig(begin_from=directory, agents=2))
    assert worlds.names == ["ada", "bob"]
    worlds.reset()
    first = worlds.observe()
    digest = worlds.state_digest()
    assert worlds.world().shard.tick == moment.tick
    assert worlds.config.rules == QUICK
    worlds.step([NORTH, NORTH])
    worlds.step([NORTH, WAIT])
    assert worlds.state_digest() != digest
    worlds.seed(0, 99)
    worlds.reset()
    assert worlds.state_digest() == digest
    np.testing.assert_array_equal(worlds.observe(), first)


def test_the_same_commands_give_the_same_states(moment: Moment) -> None:
    """Whether everything is told or not, beside the world that goes on from the moment by itself."""
    ways = [OneWorld(0, QUICK, moment=moment, heard=heard) for heard in (True, False)]
    for _ in range(25):
        for world in ways:
            play(world, 1)
        assert ways[0].state_digest() == ways[1].state_digest()
    other = OneWorld(0, QUICK, moment=moment)
    for _ in range(25):
        other.step()
    assert other.state_digest() != ways[0].state_digest()


def test_it_goes_on_as_the_original_did(moment: Moment) -> None:
    again = OneWorld(4, QUICK, chunks=3)
    for number, name in enumerate(NAMES):
        again.join(name, ChunkId(f"chunk-{number % 3}"))
    play(again, 30)
    forked = OneWorld(0, QUICK, moment=moment)
    assert forked.state_digest() == again.state_digest()
    for _ in range(40):
        play(again, 1)
        play(forked, 1)
        assert forked.state_digest() == again.state_digest()


def test_whom_learners_play(directory: Path) -> None:
    worlds = Worlds(EnvConfig(begin_from=str(directory), agents=3, plays=("dan",), company=2))
    assert worlds.names == ["dan", "agent_0", "agent_1"]
    worlds.reset()
    there = worlds.world().shard.agent_ids
    assert set(there) == {*NAMES, "agent_0", "agent_1", "company_0", "company_1"}
    worlds.step([NORTH, WAIT, WAIT])
    assert worlds.world().shard.agent(AgentId("ada")) is not None


def test_what_is_wrong_is_named(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can't be read"):
        EnvConfig(begin_from=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="record_dir can't be combined"):
        EnvConfig(begin_from=directory, record_dir=tmp_path)
    with pytest.raises(ValueError, match="plays needs begin_from"):
        EnvConfig(plays=("ada",))
    with pytest.raises(ValueError, match="eve did not stand there"):
        Worlds(EnvConfig(begin_from=directory, plays=("eve",)))
    with pytest.raises(ValueError, match="1 at most"):
        Worlds(EnvConfig(begin_from=directory, agents=1, plays=("ada", "bob")))
