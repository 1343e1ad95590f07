"""Rules by which a simple agent decides what to do next.  Pure: view and seeded random generator in, action out.

The same view, state and generator give the same action, whatever the order of dictionaries and sets.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from chunkcrawl.view.paths import Point, is_boundary
from chunkcrawl.view.world_view import WorldView

__all__ = ["BOTS", "Action", "Bot", "BotName", "GoldSeeker", "Harvest", "Move", "Rest", "Say", "Wanderer", "make_bot"]

BotName: TypeAlias = Literal["wander", "gold"]

STROLL_MAX_STEPS: Final = 14
LINES: Final = (
    "Anyone seen gold around here?",
    "This corridor again.",
    "Mind your step.",
    "North is up. I think.",
    "Good tick to you.",
    "Careful, slimes ahead.",
    "I was here first!",
    "Off to the next chunk.",
)


@dataclass(frozen=True, slots=True)
class Move:
    """Walk to a cell."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Harvest:
    """Take from a node that is within reach."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Say:
    """Say a line."""

    text: str


@dataclass(frozen=True, slots=True)
class Rest:
    """Do nothing for so many seconds."""

    seconds: float


Action: TypeAlias = Move | Harvest | Say | Rest


class Bot(Protocol):
    """Something that decides."""

    def decide(self, view: WorldView, rng: random.Random) -> Action:
        """Return the next action, given what is known now."""
        ...


class Wanderer:
    """Strolls, chats now and then, and looks into the neighbouring chunks without getting lost.

    Args:
        chat: Share of decisions that are a line of chat.
        cross: Share that aim at an exit; away from home, as many again aim back.
        home: The chunk to come back to; None for the one it first decides in.
    """

    def __init__(self, *, chat: float = 0.06, cross: float = 0.1, home: str | None = None) -> None:
        self.chat, self.cross = chat, cross
        self._trail: list[str] = [home] if home else []

    def decide(self, view: WorldView, rng: random.Random) -> Action:
        """Return rest when there is nowhere to go, else chat, a crossing or a stroll."""
        self._note(view.chunk_id)
        steps = view.reachable()
        steps.pop(view.position or (-1, -1), None)
        if not steps:
            return Rest(1.0)
        dice = rng.random()
        if dice < self.chat:
            return Say(rng.choice(LINES))
        if dice < self.chat + self.cross:
            return self._exit(view, steps, rng, back=False)
        if len(self._trail) > 1 and dice < self.chat + 3 * self.cross:
            return self._exit(view, steps, rng, back=True)
        return self._stroll(view, steps, rng)

    def _note(self, chunk_id: str | None) -> None:
        if chunk_id is None:
            return
        if chunk_id in self._trail:
            del self._trail[self._trail.index(chunk_id) + 1 :]
        else:
            self._trail.append(chunk_id)

    def _exit(self, view: WorldView, steps: dict[Point, int], rng: random.Random, *, back: bool) -> Action:
        exits = view.exits()
        sides = sorted(exits)
        if back:
            sides = [side for side in sides if view.neighbors.get(side) == self._trail[-2]]
        cells = [cell for side in sides for cell in exits[side] if cell in steps]
        return Move(*rng.choice(cells)) if cells else self._stroll(view, steps, rng)

    @staticmethod
    def _stroll(view: WorldView, steps: dict[Point, int], rng: random.Random) -> Action:
        near = sorted(
            cell for cell, far in steps.items() if far <= STROLL_MAX_STEPS and not is_boundary(view.grid, *cell)
        )
        return Move(*rng.choice(near)) if near else Rest(1.0)


class GoldSeeker:
    """Goes to the nearest gold and takes it; where there is none left it looks for another chunk."""

    def __init__(self) -> None:
        self._search = Wanderer(chat=0.02, cross=0.6)

    def decide(self, view: WorldView, rng: random.Random) -> Action:
        """Harvest what is in reach, else walk to the nearest, else wander."""
        found = view.nearest_gold()
        if found is None:
            return self._search.decide(view, rng)
        node, cell = found
        return Harvest(node.node_id) if cell == view.position else Move(*cell)


BOTS: Final[dict[BotName, type[Wanderer] | type[GoldSeeker]]] = {"wander": Wanderer, "gold": GoldSeeker}


def make_bot(name: BotName) -> Bot:
    """Return a new bot of that name.

    Raises:
        KeyError: There is none; the names are the keys of ``BOTS``.
    """
    return BOTS[name]()
