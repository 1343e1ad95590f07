"""A world with many learning agents, as PettingZoo's ``ParallelEnv``."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Space
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from chunkcrawl_env.config import EnvConfig
from chunkcrawl_env.rendering import RENDER_FPS, RENDER_MODES, RenderMode, draw_picture, draw_text
from chunkcrawl_env.spaces import action_space, observation_space
from chunkcrawl_env.worlds import Worlds

#: A value for each agent, by its id.
ByAgent = dict[str, Any]
Infos = dict[str, dict[str, Any]]


class ChunkcrawlParallelEnv(ParallelEnv[str, NDArray[Any], int]):
    """All agents act in each step, and all are cut off (``truncated``) after ``max_steps``; nobody dies.

    The same seed and actions give the same arrays in every process.  ``reset(seed=...)`` plays in the world of that
    seed; ``reset()`` after it in one that follows from it.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "chunkcrawl_v0",
        "render_modes": list(RENDER_MODES),
        "render_fps": RENDER_FPS,
        "is_parallelizable": True,
    }

    def __init__(self, config: EnvConfig, render_mode: RenderMode | None = None) -> None:
        self.config = config
        self.render_mode = render_mode
        self.worlds = Worlds(config)
        self.possible_agents = list(self.worlds.names)
        self.agents: list[str] = []
        self.observation_spaces = {agent: observation_space(config) for agent in self.possible_agents}
        self.action_spaces = {agent: action_space(self.worlds.codes) for agent in self.possible_agents}
        self._steps = 0

    def observation_space(self, agent: str) -> Space[Any]:
        """Return the space of an agent's observations, one object for each agent."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[Any]:
        """Return the space of an agent's actions, one object for each agent."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[ByAgent, Infos]:
        """Begin an episode; ``options`` are not used."""
        del options
        if seed is not None:
            self.worlds.seed(0, seed)
        self.worlds.reset()
        self.agents = list(self.possible_agents)
        self._steps = 0
        return dict(zip(self.agents, self.worlds.observe(), strict=True)), self._infos()

    def step(self, actions: ByAgent) -> tuple[ByAgent, dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Let each agent do its action (one that has none waits), and the world go on.

        Raises:
            RuntimeError: the episode is over, or none has begun.
        """
        agents, wait = self.agents, self.worlds.codes.wait
        if not agents:
            raise RuntimeError("the episode is over: call reset()")
        rewards = self.worlds.step([int(actions.get(agent, wait)) for agent in agents]).tolist()
        self._steps += 1
        over = self._steps >= self.config.max_steps
        observations = dict(zip(agents, self.worlds.observe(), strict=True))
        infos = self._infos()
        if over:
            self.agents = []
        return (
            observations,
            dict(zip(agents, rewards, strict=True)),
            dict.fromkeys(agents, False),
            dict.fromkeys(agents, over),
            infos,
        )

    def _infos(self) -> Infos:
        if not self.config.masks:
            return {agent: {} for agent in self.agents}
        masks = self.worlds.masks()
        return {agent: {"action_mask": mask} for agent, mask in zip(self.agents, masks, strict=True)}

    def render(self) -> NDArray[np.uint8] | str | None:
        """Return the chunk in which the first agent stands, as ``render_mode`` says; None without one."""
        if self.render_mode is None:
            return None
        chunk = self.worlds.first_chunk()
        return draw_text(chunk) if self.render_mode == "ansi" else draw_picture(chunk)

    def state(self) -> NDArray[np.uint8]:
        """Return the chunks in which agents stand, one for each agent; shape (agents, 50, 50, 6)."""
        return self.worlds.chunks()

    def close(self) -> None:
        """End the world, and its recording."""
        self.worlds.close()
