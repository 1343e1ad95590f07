"""Options: what is wrong is named."""

from __future__ import annotations

from typing import Any

import pytest

from chunkcrawl_env.config import EnvConfig, make_config
from world.rules import Rules


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"agents": 0}, "agents must be a whole number of at least 1, not 0"),
        ({"agents": True}, "agents must be a whole number"),
        ({"max_steps": 1.5}, "max_steps must be a whole number"),
        ({"observation": "smell"}, "observation must be one of window, chunk, features"),
        ({"actions": "fly"}, "actions must be one of steps, cells"),
        ({"radius": 25}, "radius must be 24 at most"),
        ({"chunks": 3, "chunks_max": 2}, "chunks_max"),
        ({"agents": 65}, "raise chunks"),
    ],
)
def test_an_option_out_of_its_range_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_config(options)


def test_an_option_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(TypeError, match="no option is called agent; there are agents, chunks"):
        make_config({"agent": 3})


def test_capacity_makes_room() -> None:
    assert EnvConfig(agents=65, rules=Rules(spawn_chunk_capacity=65)).agents == 65
