"""Agents that a script plays, so that a learner is not alone: they dig, walk about and cross."""

from __future__ import annotations

from typing import Any

from chunkcrawl_env.actions import MOVES
from chunkcrawl_env.sites import ChunkSites
from world.actors import Actor
from world.dice import Dice

#: Of 100 turns of an agent that stands and is not digging: how many it uses, and what for.
ACTS, DIGS, SEEKS_GOLD, LEAVES = 50, 90, 70, 80


class Company:
    """The script of all scripted agents of a world; what they do follows from its seed, their ids and the tick."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def command(self, actor: Actor, sites: ChunkSites, tick: int) -> dict[str, Any] | None:
        """Return what an agent that stands does now, None for nothing."""
        dice = Dice("company", self._seed, actor.id, tick)
        if dice.below(100) >= ACTS:
            return None
        node = sites.node_at(actor.cell)
        if node is not None and dice.below(100) < DIGS:
            return {"type": "harvest", "node_id": node.id}
        return MOVES[self._target(actor.cell, sites, dice)]

    def _target(self, cell: int, sites: ChunkSites, dice: Dice) -> int:
        draw = dice.below(100)
        beside = sites.beside_gold()
        if draw < SEEKS_GOLD and beside:
            return dice.pick(beside)
        if draw < LEAVES and sites.doors:
            return dice.pick(sites.doors)
        return dice.pick(sites.inner) if sites.inner else cell
