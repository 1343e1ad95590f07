"""What agents see, by configuration."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from chunkcrawl_env.config import EnvConfig, Observation
from chunkcrawl_env.observations import FEATURES, sight_of
from chunkcrawl_env.worlds import Worlds
from tests.chunkcrawl_env.play import QUICK
from world.dice import Dice


@pytest.mark.parametrize(
    ("options", "shape", "dtype"),
    [
        ({"observation": "window", "radius": 4}, (9, 9, 6), np.uint8),
        ({"observation": "chunk"}, (50, 50, 7), np.uint8),
        ({"observation": "features"}, (len(FEATURES),), np.float32),
    ],
)
def test_shape_type_and_range(options: dict[str, Any], shape: tuple[int, ...], dtype: type) -> None:
    config = EnvConfig(agents=5, chunks=2, company=3, rules=QUICK, **options)
    sight = sight_of(config)
    assert (sight.shape, sight.dtype) == (shape, dtype)
    worlds = Worlds(config)
    worlds.reset()
    dice = Dice("test", 1)
    for _ in range(30):
        worlds.step([dice.below(6) for _ in range(5)])
        seen = worlds.observe()
        assert seen.shape == (5, *shape)
        assert seen.dtype == dtype
        assert seen.min() >= sight.least
        assert seen.max() <= sight.most


def test_an_array_is_not_changed_by_the_next_step() -> None:
    """Learners keep them."""
    for kind in get_args(Observation):
        worlds = Worlds(EnvConfig(agents=2, observation=kind))
        worlds.reset()
        before = worlds.observe()
        kept = before.copy()
        for _ in range(3):
            worlds.step([1, 2])
        assert (before == kept).all()
        assert (worlds.observe() != kept).any()


def test_whoever_goes_where_it_is_nearer_gets_to_gold_and_digs_it() -> None:
    """The features are enough to harvest by."""
    nearer = FEATURES.index("N is nearer to it")
    can_dig = FEATURES.index("can dig")
    worlds = Worlds(EnvConfig(agents=1, observation="features"))
    worlds.seed(0, 2)
    worlds.reset()
    total = 0.0
    for _ in range(120):
        [seen] = worlds.observe().tolist()
        ways = [1 + side for side in range(4) if seen[nearer + side]]
        total += float(worlds.step([5 if seen[can_dig] else (ways or [0])[0]])[0])
    assert total >= 5
    assert seen[FEATURES.index("is harvesting")] + seen[FEATURES.index("is idle")] == 1
