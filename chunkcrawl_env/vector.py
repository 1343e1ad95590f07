"""Many worlds in one process, as a Gymnasium ``VectorEnv``."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from chunkcrawl_env.config import make_config
from chunkcrawl_env.rendering import RENDER_FPS, RENDER_MODES, RenderMode, draw_picture, draw_text
from chunkcrawl_env.spaces import action_space, observation_space
from chunkcrawl_env.worlds import Worlds

Infos = dict[str, Any]
Array = NDArray[Any]


class ChunkcrawlVectorEnv(VectorEnv[Array, Array, Array]):
    """``num_envs`` learning agents, ``agents`` of them in each world; what they see is one array.

    With one agent in each world (the default) it does what ``SyncVectorEnv`` of ``ChunkcrawlEnv`` does, to the same
    arrays.  Worlds whose episodes are over begin anew in the next step (``AutoresetMode.NEXT_STEP``); actions for them
    are not looked at then.  Reset with a seed, world ``k`` plays in that of ``seed + k``.
    """

    def __init__(self, num_envs: int = 1, render_mode: RenderMode | None = None, **options: Any) -> None:
        self.config = make_config({"company": 7, "agents": 1, **options})
        if num_envs < 1 or num_envs % self.config.agents:
            raise ValueError(f"num_envs must be a multiple of agents ({self.config.agents}), not {num_envs}")
        self.metadata = {
            "render_modes": list(RENDER_MODES),
            "render_fps": RENDER_FPS,
            "autoreset_mode": AutoresetMode.NEXT_STEP,
        }
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.worlds = Worlds(self.config, num_envs // self.config.agents)
        self.single_observation_space = observation_space(self.config)
        self.single_action_space = action_space(self.worlds.codes)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._steps = 0
        self._over = False

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, Infos]:
        """Begin all episodes anew; with a list of seeds each world has its own.  ``options`` are not used."""
        del options
        count = self.worlds.count
        seeds = [seed + k for k in range(count)] if isinstance(seed, int) else seed or [None] * count
        if len(seeds) != count:
            raise ValueError(f"{len(seeds)} seeds for {count} worlds: give one for each")
        for number, one in enumerate(seeds):
            if one is not None:
                self.worlds.seed(number, one)
        self.worlds.reset()
        self._steps, self._over = 0, False
        return self.worlds.observe(), self._infos()

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, Infos]:
        """Let each agent do its action; or, where the episodes are over, begin new ones."""
        nobody = np.zeros(self.num_envs, dtype=np.bool_)
        if self._over:
            observations, infos = self.reset()
            return observations, np.zeros(self.num_envs), nobody, nobody.copy(), infos
        rewards = self.worlds.step(np.asarray(actions).tolist()).astype(np.float64)
        self._steps += 1
        self._over = self._steps >= self.config.max_steps
        return self.worlds.observe(), rewards, nobody, np.full(self.num_envs, self._over), self._infos()

    def _infos(self) -> Infos:
        return {"action_mask": self.worlds.masks()} if self.config.masks else {}

    def render(self) -> tuple[Any, ...] | None:
        """Return for each world the chunk in which its first agent stands, as ``render_mode`` says; None without."""
        if self.render_mode is None:
            return None
        draw = draw_text if self.render_mode == "ansi" else draw_picture
        return tuple(draw(self.worlds.first_chunk(number)) for number in range(self.worlds.count))

    def close_extras(self, **kwargs: Any) -> None:
        """End the worlds, and their recordings."""
        del kwargs
        self.worlds.close()
