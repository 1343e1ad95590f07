"""Many worlds in one process are as many environments apart."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import chunkcrawl_env
from chunkcrawl_env.single import ChunkcrawlEnv
from tests.chunkcrawl_env.play import QUICK

OPTIONS: dict[str, Any] = {"company": 3, "max_steps": 12, "rules": QUICK, "chunks": 2}


@pytest.mark.parametrize("observation", ["window", "features", "chunk"])
def test_it_does_what_gymnasiums_own_does(observation: str) -> None:
    """To the same arrays, over the ends of episodes."""
    options = {**OPTIONS, "observation": observation}
    apart = SyncVectorEnv([lambda: ChunkcrawlEnv(**options) for _ in range(4)])
    together = chunkcrawl_env.vector_env(4, **options)
    assert together.metadata["autoreset_mode"] == apart.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert together.single_observation_space == apart.single_observation_space
    assert together.observation_space == apart.observation_space
    assert together.action_space == apart.action_space
    assert np.array_equal(together.reset(seed=3)[0], apart.reset(seed=3)[0])
    together.action_space.seed(1)
    for _ in range(40):
        actions = together.action_space.sample()
        one, other = together.step(actions), apart.step(actions)
        for mine, theirs in zip(one[:4], other[:4], strict=True):
            assert np.array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype


def test_worlds_with_several_agents() -> None:
    env = chunkcrawl_env.vector_env(12, agents=6, masks=True, render_mode="ansi")
    seen, infos = env.reset(seed=[4, 4])
    assert seen.shape == (12, 11, 11, 6)
    assert infos["action_mask"].shape == (12, 6)
    assert np.array_equal(seen[:6], seen[6:])
    assert len(env.render() or ()) == 2
    env.close()


def test_by_name() -> None:
    env = gymnasium.make_vec("Chunkcrawl/Harvest-v0", num_envs=3, vectorization_mode="vector_entry_point", company=1)
    seen, _ = env.reset(seed=1)
    assert env.observation_space.contains(seen)
    assert env.unwrapped.num_envs == 3
    env.close()


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="multiple of agents"):
        chunkcrawl_env.vector_env(5, agents=2)
    with pytest.raises(ValueError, match="3 seeds for 2 worlds"):
        chunkcrawl_env.vector_env(2).reset(seed=[1, 2, 3])
