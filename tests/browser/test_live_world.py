"""The page against ``chunkcrawl up`` as people start it: Ray actors, demo agents, and a gateway that is killed."""

from __future__ import annotations

import asyncio
import re

import psutil
import pytest
from playwright.async_api import expect

from chunkcrawl.embedded import EmbeddedWorld
from tests.browser.chromium import DEADLINE_MS, OpenPage, Screen, needs_chromium
from tests.browser.looking import live, row, standing

pytestmark = [
    needs_chromium,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

expect.set_options(timeout=DEADLINE_MS)
#: Until Ray and the coordinator have brought a killed gateway back.
BACK_MS = 90_000


def gateways(world: EmbeddedWorld) -> list[psutil.Process]:
    """The processes that listen at the world's address."""
    port = int(world.base.rpartition(":")[2])
    listening = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    there = [one for one in listening if one.laddr and one.laddr.port == port]
    return [psutil.Process(one.pid) for one in there if one.pid is not None]


async def test_demo_agents_play_before_ones_eyes(world: EmbeddedWorld, open_page: OpenPage) -> None:
    screen: Screen = await open_page()
    page = screen.page
    await page.goto(f"{world.base}/watch")
    await live(page)
    await expect(page.locator("#agents > li[data-agent^=demo-walker]")).not_to_have_count(0)
    await expect(page.locator('#agents > li[data-activity="moving"]')).not_to_have_count(0)
    await expect(page.locator("#chunk-facts")).to_contain_text(re.compile(r"[1-9]\d* creatures? · \d+ gold"))
    await expect(page.locator("#news > li")).not_to_have_count(0)
    await screen.shot("watch-demo")


async def test_a_killed_gateway_is_waited_for_and_the_stream_goes_on(world: EmbeddedWorld, open_page: OpenPage) -> None:
    if world.log is None:
        pytest.skip("the world given by CHUNKCRAWL_TEST_BASE is not ours to break")
    screen: Screen = await open_page(colours="dark")
    page = screen.page
    async with world.agent("survivor") as me:
        await page.goto(f"{world.base}/watch#/agent/survivor")
        await expect(page.locator("#followed-place")).to_have_text(f"in {me.chunk_id}")
        await live(page)
        killed = gateways(world)
        assert killed
        for process in killed:
            process.kill()
        await expect(page.locator("#connection")).to_have_attribute("data-phase", "waiting")
        await screen.shot("watch-killed")
        await expect(page.locator("#connection")).to_have_attribute("data-phase", "live", timeout=BACK_MS)
        cell = me.view.next_free(21, 28)
        assert cell is not None
        async with asyncio.timeout(BACK_MS / 1000):
            await me.move_to(*cell)
        await standing(page, "survivor", *cell)
        await expect(page.locator("#commands > li").first).to_have_attribute("data-state", "completed")
        await expect(page.locator(f"{row('survivor')}")).to_be_attached()
        assert {process.pid for process in gateways(world)}.isdisjoint(process.pid for process in killed)
