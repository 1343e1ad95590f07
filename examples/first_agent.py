"""The README's first agent: walk a little, leave the first chunk in the north."""

import asyncio
import os

from chunkcrawl import Agent, CommandFailed, CommandRefused, default_base


async def main() -> None:
    key = os.environ["CHUNKCRAWL_API_KEY"]
    async with Agent.connect(default_base(), agent_id="scout-1", api_key=key) as me:
        for x, y in [(25, 30), (30, 25), (25, 49)]:  # the last one leaves chunk-0 in the north
            try:
                await me.move_to(x, y)
            except (CommandRefused, CommandFailed) as no:  # somebody stands there, or came into the way
                print("no:", no)
            print(me.chunk_id, me.position)


asyncio.run(main())
