"""Commands that run while the world loses the end of its history: Valkey is killed and its append-only file cut.

The server can't send a result that it does not know of; the SDK must not wait for it for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chunkcrawl import Agent, Api, Blocked, OutcomeUnknown
from tests.chaos.scene import Scene, scene, scratch, services_in

NEAR = [(x, y) for x in (23, 24, 25, 26) for y in (18, 32)] + [(18, 25), (32, 25)]
#: From each of the first to its far cell no other stands in the way.
FAR = [(x, y) for x in (23, 24, 25, 26) for y in (1, 48)] + [(1, 25), (48, 25)]

ALL_RETURN_WITHIN_S = 120.0


def append_only_file(directory: str) -> Path:
    """The one that is written to."""
    return max(Path(directory).rglob("*.incr.aof"), key=lambda path: path.stat().st_mtime_ns)


async def run_and_lose(stage: Scene, directory: str) -> list[object]:
    """Let ten agents walk, lose all that was written since they started, and see how their calls end."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Api(stage.base))
        account = await api.signup("lost@example.com", "password-of-the-lost")
        key = (await api.create_key(account.account_id, auth=account.account_token)).api_key
        agents = [
            await stack.enter_async_context(Agent.connect(stage.base, agent_id=f"lost-{n}", api_key=key, api=api))
            for n in range(len(FAR))
        ]
        for agent, cell in zip(agents, NEAR, strict=True):
            await agent.move_to(*cell)
        await asyncio.sleep(1.5)
        file = append_only_file(directory)
        before = file.stat().st_size
        walks = [asyncio.create_task(agent.move_to(*cell)) for agent, cell in zip(agents, FAR, strict=True)]
        await asyncio.sleep(2.0)
        assert sum(not walk.done() for walk in walks) >= 5, "too few are on their way"
        await stage.kill_valkey(lambda: os.truncate(file, before))
        async with asyncio.timeout(ALL_RETURN_WITHIN_S):
            ends = await asyncio.gather(*walks, return_exceptions=True)
        for agent in agents:  # and play on; who stands in somebody's way is told so, as ever
            cell = next(cell for cell, far in agent.view.reachable().items() if far == 1)
            with contextlib.suppress(Blocked):
                await agent.move_to(*cell)
        return list(ends)


async def lose() -> list[object]:
    with scratch() as directory:
        services = services_in(directory)
        try:
            async with scene(services, 7, shards=1, gateways=1) as stage:
                return await run_and_lose(stage, directory)
        finally:
            services.stop()


@pytest.mark.ray
@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_commands_whose_history_is_lost_return() -> None:
    ends = asyncio.run(lose())
    print([repr(end) for end in ends])
    assert all(not isinstance(end, BaseException) or isinstance(end, OutcomeUnknown | Blocked) for end in ends)
