"""Agents that come back to a world that was away."""

from __future__ import annotations

import asyncio
import random

import orjson

from chunkcrawl import Agent
from chunkcrawl.bots.driver import drive
from chunkcrawl.bots.rules import make_bot


async def plays_on(base: str, key: str, name: str, record_text: str) -> None:
    """An agent comes back to where its record has it, with what it has, talks and walks."""
    record = orjson.loads(record_text)
    async with Agent.connect(base, agent_id=name, api_key=key, retries=30) as agent:
        await agent.wait_until(lambda view: view.ready and view.me is not None, 20.0)
        if record["running"] is None:
            assert agent.chunk_id == record["chunk_id"]
            assert agent.position == (record["x"], record["y"])
        assert (agent.view.inventory_gold or 0) >= record["gold"]
        await agent.say("back again")
        await walk(agent)


async def walk(agent: Agent) -> None:
    """One step to some free neighbouring cell, unless somebody stands all around."""
    bot, rng = make_bot("wander"), random.Random(1)
    task = asyncio.create_task(drive(agent, bot, rng))
    start = (agent.chunk_id, agent.position)
    moved = await agent.wait_until(lambda view: (view.chunk_id, view.position) != start, 20.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert moved, f"{agent.agent_id} has not moved from {start}"
