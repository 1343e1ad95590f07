"""A policy sees a live world as it saw the one it was trained in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chunkcrawl.view.world_view import WorldView
from chunkcrawl.wire.messages import ChunkDelta, ChunkStatic
from chunkcrawl_env import EnvConfig, LiveEyes, Worlds
from tests.chunkcrawl_env.play import QUICK
from world.dice import Dice
from world.ids import AgentId

KINDS: list[dict[str, Any]] = [
    {"observation": "window"},
    {"observation": "chunk"},
    {"observation": "features"},
    {"observation": "features", "actions": "cells"},
]


def view_of(worlds: Worlds, agent_id: str) -> WorldView:
    """The SDK's view of an agent's chunk, fed with what the wire would carry."""
    import msgspec

    shard = worlds.world().shard
    agent = shard.agent(AgentId(agent_id))
    assert agent is not None
    view = WorldView(agent_id)
    view.feed(msgspec.convert(shard.chunk_static(agent.chunk_id), ChunkStatic))
    view.feed(msgspec.convert(shard.chunk_delta(agent.chunk_id), ChunkDelta))
    return view


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(kind.values()))
def test_observations_masks_and_commands_are_those_of_training(kind: dict[str, Any]) -> None:
    config = EnvConfig(agents=3, chunks=2, company=6, rules=QUICK, **kind)
    worlds = Worlds(config)
    worlds.seed(0, 6)
    worlds.reset()
    dice, eyes = Dice("live", 1), LiveEyes(config)
    for _ in range(40):
        masks = worlds.masks()
        worlds.step([dice.pick([a for a, one in enumerate(mask) if one]) for mask in masks.tolist()])
        seen, allowed = worlds.observe(), worlds.masks()
        for number, name in enumerate(worlds.names):
            view = view_of(worlds, name)
            assert np.array_equal(eyes.observe(view), seen[number])
            assert np.array_equal(eyes.mask(view), allowed[number])


def test_commands() -> None:
    config = EnvConfig(agents=1, observation="features", rules=QUICK)
    worlds = Worlds(config)
    worlds.seed(0, 2)
    worlds.reset()
    eyes = LiveEyes(config)
    view = view_of(worlds, "agent_0")
    x, y = view.position or (0, 0)
    assert eyes.command(view, 1) == {"type": "move_to", "x": x, "y": y + 1}
    assert eyes.command(view, 0) is None
    assert eyes.command(view, 5) is None
    dug = 0
    for _ in range(80):
        seen = eyes.observe(view)
        action = 5 if seen[9] else 1 + int(seen[12:16].argmax())
        command = eyes.command(view, action)
        dug += command is not None and command["type"] == "harvest" and command["node_id"] in view.gold
        worlds.step([action])
        view = view_of(worlds, "agent_0")
    assert dug >= 1
    assert worlds.gold()[0] >= 1


def test_an_agent_that_is_nowhere_sees_nothing() -> None:
    with pytest.raises(LookupError, match="ready"):
        LiveEyes(EnvConfig()).observe(WorldView("a"))
