"""The trained policy that lies beside its example."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkcrawl_env import EnvConfig, Worlds

EXAMPLE = Path(__file__).parents[2] / "examples" / "training"
STEPS, WORLDS = 300, 4


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The example's module."""
    monkeypatch.syspath_prepend(EXAMPLE)
    yield importlib.import_module("policy")
    sys.modules.pop("policy")


def gold_of(module: Any, network: Any) -> float:
    """What all agents dig in worlds of other seeds than those that it was trained in."""
    worlds = Worlds(EnvConfig(**module.OPTIONS, agents=8, chunks=3, masks=True), WORLDS)
    for number in range(WORLDS):
        worlds.seed(number, 2_000_000 + number)
    worlds.reset()
    dice = np.random.default_rng(1)
    for _ in range(STEPS):
        worlds.step(network.act(worlds.observe(), worlds.masks(), dice).tolist())
    return float(worlds.gold().sum())


def test_it_digs_more_than_three_times_what_a_random_one_does(policy: Any) -> None:
    trained = policy.Policy.load(EXAMPLE / "harvester.npz")
    assert trained.layers[0][0].shape[1] == 24
    random = policy.Policy([(np.zeros((6, 24)), np.zeros(6))])
    # As much as one unit for each agent, should a random one dig nothing at all.
    assert gold_of(policy, trained) > 3 * max(gold_of(policy, random), 8 * WORLDS)


def test_what_is_saved_is_what_is_loaded(policy: Any, tmp_path: Path) -> None:
    dice = np.random.default_rng(1)
    one = policy.Policy([(dice.normal(size=(5, 24)), dice.normal(size=5)), (dice.normal(size=(6, 5)), np.zeros(6))])
    one.save(tmp_path / "policy.npz")
    seen, masks = dice.random((3, 24)), np.array([[1, 0, 0, 0, 0, 0]] * 3)
    assert np.array_equal(policy.Policy.load(tmp_path / "policy.npz").values(seen), one.values(seen))
    assert one.act(seen, masks, dice).tolist() == [0, 0, 0]
