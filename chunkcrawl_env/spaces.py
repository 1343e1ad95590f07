"""Gymnasium's spaces for a configuration."""

from __future__ import annotations

from typing import Any

from gymnasium.spaces import Box, Discrete

from chunkcrawl_env.actions import ActionCodes
from chunkcrawl_env.config import EnvConfig
from chunkcrawl_env.observations import sight_of


def observation_space(config: EnvConfig) -> Box:
    """Return the space of one agent's observations."""
    sight = sight_of(config)
    return Box(sight.least, sight.most, sight.shape, sight.dtype)


def action_space(codes: ActionCodes) -> Discrete[Any]:
    """Return the space of one agent's actions."""
    return Discrete(codes.count)
