"""The README's explorer: ten new chunks, 100 gold, and home again."""

import asyncio
import os

from chunkcrawl import Agent, default_base


async def main() -> None:
    key = os.environ["CHUNKCRAWL_API_KEY"]
    async with Agent.connect(default_base(), agent_id="scout-2", api_key=key, map_file="scout-2.map") as me:
        me.on("chat", lambda said: print(f"{said['from']}: {said['text']}"))
        home, (x, y) = me.chunk_id, me.view.next_free(*me.position)
        print(await me.explore(10, timeout_s=1200))
        print(await me.harvest_nearest(100, explore=True, timeout_s=1200))
        print(await me.go_to(home, x, y, timeout_s=1200))
        print(len(me.map.chunks), "chunks known,", me.view.inventory_gold, "gold owned")


asyncio.run(main())
