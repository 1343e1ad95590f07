"""PettingZoo's own checks, and what they do not look at."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

import chunkcrawl_env
from tests.chunkcrawl_env.play import QUICK

KINDS: list[dict[str, Any]] = [
    {"observation": "window", "masks": True},
    {"observation": "chunk", "actions": "cells", "masks": True, "sayings": ("hello",)},
    {"observation": "features", "company": 4, "ticks_per_step": 2},
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["observation"])
def test_its_own_checks(kind: dict[str, Any]) -> None:
    options = {"agents": 4, "chunks": 2, "max_steps": 40, "rules": QUICK, **kind}
    parallel_api_test(chunkcrawl_env.parallel_env(**options), num_cycles=100)
    parallel_seed_test(partial(chunkcrawl_env.parallel_env, **options), num_cycles=8)


def test_everybody_is_cut_off_together() -> None:
    env = chunkcrawl_env.parallel_env(agents=3, max_steps=2)
    env.reset(seed=1)
    for over in (False, True):
        _, _, terminations, truncations, _ = env.step(dict.fromkeys(env.agents, 0))
        assert set(truncations.values()) == {over}
        assert not any(terminations.values())
    assert env.agents == []
    with pytest.raises(RuntimeError, match="reset"):
        env.step({})
    env.reset()
    assert env.agents == env.possible_agents


def test_masks_and_state() -> None:
    env = chunkcrawl_env.parallel_env(agents=3, masks=True)
    observations, infos = env.reset(seed=1)
    assert [infos[agent]["action_mask"].shape for agent in env.agents] == [(6,)] * 3
    assert env.state().shape == (3, 50, 50, 6)
    assert all(env.observation_space(agent).contains(observations[agent]) for agent in env.agents)


def test_an_agent_without_an_action_waits() -> None:
    one, other = (chunkcrawl_env.parallel_env(agents=2) for _ in range(2))
    for env in (one, other):
        env.reset(seed=1)
    one.step({"agent_1": 1})
    other.step({"agent_0": 0, "agent_1": 1})
    assert one.worlds.state_digest() == other.worlds.state_digest()


@pytest.mark.parametrize(("mode", "kind"), [("ansi", str), ("rgb_array", np.ndarray), (None, type(None))])
def test_pictures(mode: Any, kind: type) -> None:
    env = chunkcrawl_env.parallel_env(agents=2, render_mode=mode)
    env.reset(seed=1)
    assert isinstance(env.render(), kind)
    env.close()
