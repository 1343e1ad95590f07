"""Let the policy that ``train.py`` has made play in a live world, through the SDK; needs neither Ray nor torch.

export CHUNKCRAWL_API_KEY=$(chunkcrawl key create --show)
python examples/training/play_live.py --agent-id harvester-1 --seconds 60
"""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path
from typing import Final

import numpy as np
from policy import OPTIONS, Policy

from chunkcrawl import Agent, CommandFailed, CommandRefused, default_base
from chunkcrawl_env import EnvConfig, LiveEyes

#: So long a step in which the agent waits lasts at most: two ticks.
WAIT_S: Final = 0.4


async def step(me: Agent, eyes: LiveEyes, policy: Policy, dice: np.random.Generator) -> None:
    """Look, choose, and do it; digging goes on until the node is empty."""
    await me.wait_until(lambda view: view.ready and view.me is not None)
    view, tick = me.view, me.view.tick
    command = eyes.command(view, int(policy.act(eyes.observe(view), eyes.mask(view), dice)))
    if command is None:
        await me.wait_until(lambda view: view.tick > tick, WAIT_S)
        return
    try:
        if command["type"] == "move_to":
            await me.move_to(command["x"], command["y"])
        else:
            await me.command(command)
    except (CommandRefused, CommandFailed) as no:  # somebody was quicker, or stands in the way
        print("no:", no)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=default_base())
    parser.add_argument("--agent-id", default="harvester-1")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--policy", type=Path, default=Path(__file__).with_name("harvester.npz"))
    arguments = parser.parse_args()
    policy, eyes = Policy.load(arguments.policy), LiveEyes(EnvConfig(**OPTIONS))
    key, dice = os.environ["CHUNKCRAWL_API_KEY"], np.random.default_rng()
    async with Agent.connect(arguments.base, agent_id=arguments.agent_id, api_key=key) as me:
        before = me.view.inventory_gold or 0
        try:
            async with asyncio.timeout(arguments.seconds):
                while True:
                    await step(me, eyes, policy, dice)
        except TimeoutError:
            print(f"{(me.view.inventory_gold or 0) - before} gold in {arguments.seconds:g} s")


if __name__ == "__main__":
    asyncio.run(main())
