"""Let a bot play an agent: decide, do, and take refusals as part of the game."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Final

from chunkcrawl.agent import Agent
from chunkcrawl.bots.rules import Action, Bot, Harvest, Move, Rest, Say
from chunkcrawl.errors import CommandDropped, CommandFailed, CommandRefused, OutcomeUnknown

__all__ = ["act", "drive"]

log = logging.getLogger("chunkcrawl.client")

PAUSE_S: Final = (0.2, 1.2)
AFTER_REFUSAL_S: Final = (0.5, 2.0)
READY_TIMEOUT_S: Final = 60.0


async def drive(agent: Agent, bot: Bot, rng: random.Random) -> None:
    """Play until cancelled.

    Raises:
        ChunkcrawlError: The connection has ended for good; refused and failed commands are only logged.
    """
    while True:
        if not await agent.wait_until(lambda view: view.ready and view.me is not None, READY_TIMEOUT_S):
            continue
        action = bot.decide(agent.view, rng)
        try:
            await act(agent, action)
        except (CommandRefused, CommandFailed, CommandDropped, OutcomeUnknown) as refused:
            log.debug("agent %s: %s: %s", agent.agent_id, action, refused)
            await asyncio.sleep(rng.uniform(*AFTER_REFUSAL_S))
        else:
            await asyncio.sleep(rng.uniform(*PAUSE_S))


async def act(agent: Agent, action: Action) -> None:
    """Carry out one action.

    Raises:
        ChunkcrawlError: As the agent's own methods.
    """
    match action:
        case Move(x, y):
            await agent.move_to(x, y)
        case Harvest(node_id):
            await agent.harvest(node_id)
        case Say(text):
            await agent.say(text)
        case Rest(seconds):
            await asyncio.sleep(seconds)
