"""Creatures that nobody plays: a slime slides to a free cell beside it now and then.

Where to follows from the world's seed, the chunk, the creature and the tick alone.  They only move where
somebody is there to see it, and never onto a boundary cell.
"""

from __future__ import annotations

from world.dice import Dice
from world.grid import STEP
from world.ids import DIRECTIONS
from world.state import ShardState


def wander(state: ShardState) -> None:
    """Move the creatures of the inhabited chunks, each at most one cell."""
    if state.tick % state.rules.npc_step_ticks:
        return
    for chunk in state.inhabited.values():
        for npc in chunk.npcs:
            dice = Dice("npc", state.world_seed, chunk.number, npc.id, state.tick)
            cell = npc.cell + STEP[dice.pick(DIRECTIONS)]
            if chunk.walk[cell]:
                chunk.step_npc(npc, cell)
                state.show(chunk)
