"""Chunkcrawl's world as an environment for reinforcement learning: the live world's rules, without server and clock.

``parallel_env`` makes a PettingZoo ``ParallelEnv``, ``vector_env`` a Gymnasium ``VectorEnv``, and ``gymnasium.make``
knows ``Chunkcrawl/Harvest-v0`` and others as soon as this is imported.  They need the extra: ``pip install
'chunkcrawl-env[rl]'``.  Without it there are ``Worlds`` and, for trained policies in a live world, ``LiveEyes``.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from chunkcrawl_env.config import EnvConfig, make_config
from chunkcrawl_env.live import LiveEyes
from chunkcrawl_env.rewards import Reward, WorldEvent, gold_harvested, gold_owned
from chunkcrawl_env.worlds import Worlds

if TYPE_CHECKING:
    from chunkcrawl_env.parallel import ChunkcrawlParallelEnv
    from chunkcrawl_env.rendering import RenderMode
    from chunkcrawl_env.vector import ChunkcrawlVectorEnv

__all__ = [
    "EnvConfig",
    "LiveEyes",
    "Reward",
    "WorldEvent",
    "Worlds",
    "gold_harvested",
    "gold_owned",
    "parallel_env",
    "vector_env",
]

__version__ = "0.1.0"

_MISSING: Final = "{} is missing: pip install 'chunkcrawl-env[rl]'"


def parallel_env(*, render_mode: RenderMode | None = None, **options: Any) -> ChunkcrawlParallelEnv:
    """Return a world with many learning agents, as a PettingZoo ``ParallelEnv``.

    Args:
        render_mode: ``ansi`` or ``rgb_array``: what ``render`` returns.
        options: See ``EnvConfig``.

    Raises:
        ImportError: gymnasium or pettingzoo is not installed.
        TypeError: there is no such option.
        ValueError: an option is out of its range.
    """
    _need("gymnasium", "pettingzoo")
    from chunkcrawl_env.parallel import ChunkcrawlParallelEnv

    return ChunkcrawlParallelEnv(make_config(options), render_mode)


def vector_env(num_envs: int, *, render_mode: RenderMode | None = None, **options: Any) -> ChunkcrawlVectorEnv:
    """Return ``num_envs`` learning agents, ``agents`` (by default 1) in each world, as a Gymnasium ``VectorEnv``.

    Raises:
        ImportError: gymnasium is not installed.
        TypeError: there is no such option.
        ValueError: an option is out of its range, or ``num_envs`` no multiple of ``agents``.
    """
    _need("gymnasium")
    from chunkcrawl_env.vector import ChunkcrawlVectorEnv

    return ChunkcrawlVectorEnv(num_envs, render_mode, **options)


def _need(*packages: str) -> None:
    for package in packages:
        if find_spec(package) is None:
            raise ImportError(_MISSING.format(package))


if find_spec("gymnasium") is not None:
    from chunkcrawl_env.registration import register_all

    register_all()
