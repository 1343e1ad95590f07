"""One HTTP client for all of an event loop, closed with its last user."""

from __future__ import annotations

import asyncio
import threading

from chunkcrawl import Agent, Watcher
from chunkcrawl.transport.http import Api
from chunkcrawl.transport.shared_api import SharedApi

BASE = "http://127.0.0.1:1"


async def test_agents_and_watchers_of_a_server_share_one() -> None:
    agents = [Agent.connect(f"{BASE}/", agent_id=f"a-{number}", api_key="dcw_x") for number in range(3)]
    watcher = Watcher.chunk(BASE, "demo", api_key="dcw_x")
    other = Agent.connect("http://127.0.0.1:2", agent_id="b", api_key="dcw_x")
    assert len({*(id(agent._api) for agent in agents), id(watcher._api)}) == 1
    assert other._api is not agents[0]._api


async def test_it_is_closed_with_the_last_and_made_anew_after_that() -> None:
    first, second = SharedApi.of(BASE), SharedApi.of(BASE)
    assert first is second
    first.enter()
    second.enter()
    await first.leave()
    open_between = not first.api.http.is_closed
    await second.leave()
    assert (open_between, first.api.http.is_closed) == (True, True)
    assert SharedApi.of(BASE) is not first


async def test_one_of_ones_own_is_left_open() -> None:
    api = Api(BASE)
    async with Watcher.chunk(BASE, "demo", api_key="dcw_x", api=api):
        pass
    assert not api.http.is_closed
    await api.aclose()


async def test_each_event_loop_has_its_own() -> None:
    found: list[SharedApi] = []

    async def other() -> None:
        found.append(SharedApi.of(BASE))

    thread = threading.Thread(target=lambda: asyncio.run(other()))
    thread.start()
    thread.join()
    assert found[0] is not SharedApi.of(BASE)


def test_without_a_loop_it_is_a_new_one() -> None:
    assert SharedApi.of(BASE) is not SharedApi.of(BASE)
