"""An agent that walks as far as its chunk goes, in a process of its own: ``python -m tests.chaos.long_walk BASE``.

Says ``walking`` when the world shows it on its way, and then how the walk ended.
"""

from __future__ import annotations

import asyncio
import sys

from chunkcrawl import Agent, Api
from chunkcrawl.errors import ChunkcrawlError
from chunkcrawl.view.paths import is_boundary

#: Cells, and so ticks, of the walk at least.
FAR: int = 40


async def main(base: str) -> None:
    async with Api(base) as api:
        account = await api.signup("walker@example.com", "password-of-a-walker")
        key = (await api.create_key(account.account_id, auth=account.account_token)).api_key
        async with Agent.connect(base, agent_id="walker", api_key=key, api=api) as agent:
            reachable = agent.view.reachable()
            inside = {cell: far for cell, far in reachable.items() if not is_boundary(agent.view.grid, *cell)}
            start = max(inside, key=lambda cell: inside[cell])
            await agent.move_to(*start)
            reachable = agent.view.reachable()
            target = max(inside, key=lambda cell: reachable.get(cell, 0))
            print("far", reachable[target], flush=True)
            walk = asyncio.create_task(agent.move_to(*target))
            while agent.view.me is None or agent.view.me.activity_state != "moving":
                await asyncio.sleep(0.05)
            print("walking", flush=True)
            try:
                await walk
            except ChunkcrawlError as error:
                print("ended", type(error).__name__, error.reason, error, flush=True)
            else:
                print("completed", (agent.view.me.x, agent.view.me.y) == target, agent.connections, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
