"""The README's first agent: make an account, walk a little, leave the first chunk in the north."""

import asyncio

from client import Agent, Api

BASE = "http://127.0.0.1:8000"


async def main() -> None:
    async with Api(BASE) as api:
        account = await api.signup("me@example.org", "a long password")
        key = await api.create_key(account.account_id, auth=account.account_token)
    async with Agent.connect(BASE, agent_id="scout-1", api_key=key.api_key) as me:
        for x, y in [(25, 30), (30, 25), (25, 49)]:  # the last one leaves chunk-0 in the north
            await me.move_to(x, y)  # raises client.Blocked when somebody stands in the way
            print(me.chunk_id, me.position)


asyncio.run(main())
