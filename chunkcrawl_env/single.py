"""A world with one learning agent and scripted company, as a Gymnasium ``Env``."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from chunkcrawl_env.config import make_config
from chunkcrawl_env.rendering import RENDER_FPS, RENDER_MODES, RenderMode, draw_picture, draw_text
from chunkcrawl_env.spaces import action_space, observation_space
from chunkcrawl_env.worlds import Worlds


class ChunkcrawlEnv(gymnasium.Env[NDArray[Any], int]):
    """One agent learns among ``company`` scripted ones; options are those of ``EnvConfig``, but for ``agents``.

    ``reset(seed=...)`` plays in the world of that seed; ``reset()`` after it in one that follows from it.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": list(RENDER_MODES), "render_fps": RENDER_FPS}

    def __init__(self, render_mode: RenderMode | None = None, **options: Any) -> None:
        self.config = make_config({"company": 7, **options, "agents": 1})
        self.render_mode = render_mode
        self.worlds = Worlds(self.config)
        self.observation_space = observation_space(self.config)
        self.action_space = action_space(self.worlds.codes)
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Begin an episode; ``options`` are not used."""
        super().reset(seed=seed, options=options)
        if seed is not None:
            self.worlds.seed(0, seed)
        self.worlds.reset()
        self._steps = 0
        return self.worlds.observe()[0], self._info()

    def step(self, action: int) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        """Do the action; the episode is cut off after ``max_steps``."""
        reward = float(self.worlds.step([int(action)])[0])
        self._steps += 1
        return self.worlds.observe()[0], reward, False, self._steps >= self.config.max_steps, self._info()

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self.worlds.masks()[0]} if self.config.masks else {}

    def render(self) -> NDArray[np.uint8] | str | None:
        """Return the chunk in which the agent stands, as ``render_mode`` says; None without one."""
        if self.render_mode is None:
            return None
        chunk = self.worlds.first_chunk()
        return draw_text(chunk) if self.render_mode == "ansi" else draw_picture(chunk)

    def close(self) -> None:
        """End the world, and its recording."""
        self.worlds.close()
