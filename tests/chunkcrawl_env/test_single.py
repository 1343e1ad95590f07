"""Gymnasium's own check of the registered environments."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from chunkcrawl_env.registration import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_its_own_check(name: str) -> None:
    check_env(gymnasium.make(name, render_mode="rgb_array", company=2).unwrapped)
    check_env(gymnasium.make(name, render_mode="ansi", company=0).unwrapped)


def test_an_episode_is_cut_off_and_seeded() -> None:
    env = gymnasium.make("Chunkcrawl/Harvest-v0", max_steps=3, masks=True)
    first, info = env.reset(seed=5)
    assert info["action_mask"].shape == (6,)
    ends = [env.step(0)[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    again, _ = env.reset(seed=5)
    assert np.array_equal(first, again)
    env.close()


def test_only_one_agent_learns() -> None:
    env = gymnasium.make("Chunkcrawl/Harvest-v0", company=5).unwrapped
    env.reset(seed=1)
    assert env.worlds.world().shard.population == 6
    assert env.render() is None
