"""What an environment is made with."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

from chunkcrawl_env.moments import read_moment
from chunkcrawl_env.rewards import Reward, gold_harvested
from world.moment import Moment
from world.rules import Rules

Observation = Literal["window", "chunk", "features"]
Actions = Literal["steps", "cells"]
Spawn = Literal["spread", "hall"]

RADIUS_MOST: Final = 24
#: The rules of a live world by default.
LIVE_RULES: Final = Rules()


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """The options of every environment.

    Raises:
        ValueError: an option is out of its range (the message names it).
    """

    #: Learning agents in each world.
    agents: int = 8
    #: Chunks at the start; ``chunk-0``, the hall, is the first.
    chunks: int = 1
    #: Chunks a world may have; where another one would be made, a walk ends ``blocked``.  None: any number, as live.
    chunks_max: int | None = None
    #: Agents in each world that a script plays: they dig, walk about and cross.
    company: int = 0
    #: Steps until an episode is cut off (``truncated``).
    max_steps: int = 500
    #: Ticks of the world (0.2 s of a live one) that one step takes.
    ticks_per_step: int = 1
    #: ``window``: cells around the agent; ``chunk``: the whole chunk; ``features``: some two dozen numbers.
    observation: Observation = "window"
    #: Cells that a window reaches to each side.
    radius: int = 5
    #: ``steps``: one cell to a side; ``cells``: a ``move_to`` to any cell of the chunk.
    actions: Actions = "steps"
    #: What agents may say, an action each.
    sayings: tuple[str, ...] = ()
    #: Whether infos have an ``action_mask``.
    masks: bool = False
    #: ``spread``: agents begin in all chunks in turn; ``hall``: in ``chunk-0`` while there is room, as live.
    spawn: Spawn = "spread"
    #: What an event is worth to whom.
    reward: Reward = gold_harvested
    #: Whether ``reward`` is also asked about what agents are told in private (acks, results, transitions).  Slower.
    private_events: bool = False
    rules: Rules = LIVE_RULES
    #: Directory for recordings, one file a world and episode, that ``chunkcrawl replay`` runs again.  Slower.
    record_dir: Path | str | None = None
    #: A moment of a live world to begin with: what ``chunkcrawl fork`` has made, or a ``world.moment.Moment``.  Seed,
    #: rules and chunks are the moment's then; ``chunks``, ``rules`` and a reset's seed say nothing of the world.
    begin_from: Moment | Path | str | None = None
    #: Whom learners play there; without: those who stand there, by id.  Where they are too few, new agents join.
    plays: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")
        if self.radius > RADIUS_MOST:
            raise ValueError(f"radius must be {RADIUS_MOST} at most, not {self.radius}")
        if self.chunks_max is not None and self.chunks_max < self.chunks:
            raise ValueError(f"chunks_max ({self.chunks_max}) must not be below chunks ({self.chunks})")
        if self.begin_from is not None:
            self._begin_there(self.begin_from)
            return
        if self.plays:
            raise ValueError("plays needs begin_from: nobody stands in a new world")
        room = self.chunks * self.rules.spawn_chunk_capacity
        if self.agents + self.company > room:
            raise ValueError(
                f"{self.agents + self.company} agents do not fit into {self.chunks} chunks at the start, "
                f"{self.rules.spawn_chunk_capacity} in each: raise chunks, or rules.spawn_chunk_capacity"
            )

    def _begin_there(self, place: Moment | Path | str) -> None:
        """Take the moment's rules, and the moment itself in the place of its file."""
        if self.record_dir is not None:
            raise ValueError(
                "record_dir can't be combined with begin_from: such a recording begins with an empty world"
            )
        moment = place if isinstance(place, Moment) else read_moment(place)
        object.__setattr__(self, "begin_from", moment)
        object.__setattr__(self, "rules", moment.rules)

    @property
    def moment(self) -> Moment | None:
        """The moment to begin with, read; None: a new world."""
        assert self.begin_from is None or isinstance(self.begin_from, Moment)  # since ``__post_init__``
        return self.begin_from

    @property
    def heard(self) -> bool:
        """Whether the world has to tell everything, not only what changed in its chunks."""
        return self.private_events or self.record_dir is not None


_LEAST: Final = {"agents": 1, "chunks": 1, "company": 0, "max_steps": 1, "ticks_per_step": 1, "radius": 1}
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "observation": get_args(Observation),
    "actions": get_args(Actions),
    "spawn": get_args(Spawn),
}


def make_config(options: dict[str, Any]) -> EnvConfig:
    """Return the configuration of keyword arguments.

    Raises:
        TypeError: there is no such option (the message names those that there are).
        ValueError: see ``EnvConfig``.
    """
    known = [field.name for field in fields(EnvConfig)]
    unknown = sorted(options.keys() - set(known))
    if unknown:
        raise TypeError(f"no option is called {', '.join(unknown)}; there are {', '.join(known)}")
    return EnvConfig(**options)
