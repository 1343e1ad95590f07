"""The time line against ``chunkcrawl up`` as people start it: recordings, event log, and what is played of them."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import expect

from chunkcrawl import Agent, Blocked
from chunkcrawl.embedded import EmbeddedWorld
from chunkcrawl.errors import Unreachable
from tests.browser.chromium import DEADLINE_MS, OpenPage, Screen, needs_chromium
from tests.browser.looking import live, standing
from tests.browser.test_time_line import PHONE, SLIDER, at_tick, place, resting, seen

pytestmark = [
    needs_chromium,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

expect.set_options(timeout=DEADLINE_MS)


async def walk(me: Agent, x: int, y: int) -> tuple[int, int]:
    """Go there, or as near as others let it; returns the cell."""
    for _ in range(50):
        cell = me.view.next_free(x, y)
        if cell is None or cell == me.position:
            continue
        try:
            await me.move_to(*cell)
        except (Blocked, Unreachable):  # somebody of the demo stands there by now
            continue
        return cell
    raise AssertionError(f"no way to {x}, {y}")


async def test_a_moment_of_a_running_world(world: EmbeddedWorld, open_page: OpenPage) -> None:
    """Held, stepped through, linked, and played into the present."""
    screen: Screen = await open_page(width=1400, height=900, less_motion=True)
    page = screen.page
    async with world.agent("historian") as me:
        assert me.chunk_id is not None
        await page.goto(f"{world.base}/watch#/chunk/{me.chunk_id}")
        await live(page)
        slider = page.locator(SLIDER)
        await expect(slider).to_have_attribute("aria-disabled", "false")
        for x, y in ((21, 28), (24, 24), (20, 22)):
            where = await walk(me, x, y)
            if (x, y) == (24, 24):
                await me.say("I was here")
                there, then = where, me.view.tick  # it has stood there for a tick or more
        await standing(page, "historian", *where)
        # the event log is a second or two behind
        await expect(page.locator('.time-mark[data-kind="chat"]')).not_to_have_count(0)
        await screen.shot("past-live-light")

        # back, by the mouse, and then by keys to where it was
        await page.mouse.move(*await place(page, 0.9))
        await page.mouse.down()
        await page.mouse.move(*await place(page, 0.2))
        await page.mouse.up()
        await expect(page.locator("#connection")).to_have_attribute("data-phase", "past")
        await expect(page.locator("#chunk-name")).to_have_text(me.chunk_id)
        await page.goto(f"{world.base}/watch#/chunk/{me.chunk_id}@{then}")
        await at_tick(page, then)
        await standing(page, "historian", *there)
        for key, tick in ((".", then + 1), (",", then), (",", then - 1), (".", then)):
            await slider.press(key)
            await at_tick(page, tick)  # demo actors move at every tick
        await screen.shot("past-still-light")

        # a link to it, on a page that was not there
        other = await open_page(width=1400, height=900, less_motion=True)
        await other.page.goto(page.url)
        for one in (page, other.page):
            await at_tick(one, then)
            await standing(one, "historian", *there)
            await resting(one)
        pictures: list[dict[str, Any]] = []
        for _ in range(60):  # what happened at that moment takes a second or two to fade
            pictures = [await seen(one) for one in (page, other.page)]
            if pictures[0]["canvas"] == pictures[1]["canvas"]:
                break
            await asyncio.sleep(0.5)
        assert pictures[0]["agents"]
        for name in ("agents", "facts", "chunk"):
            assert pictures[0][name] == pictures[1][name], name
        await other.shot("past-linked-light")
        assert pictures[0]["canvas"] == pictures[1]["canvas"]

        # and on into the present, while it plays
        await page.locator("#time-speed").select_option("8")
        await page.locator("#time-play").click()
        await expect(page.locator("#connection")).to_have_attribute("data-phase", "live")
        await expect(page.locator("#time")).to_have_attribute("data-mode", "live")
        assert "@" not in page.url
        cell = await walk(me, 26, 26)
        await standing(page, "historian", *cell)

        for name, colours, options in (
            ("desktop-dark", "dark", {"width": 1400, "height": 900}),
            ("phone-light", "light", PHONE),
            ("phone-dark", "dark", PHONE),
        ):
            shown = await open_page(colours=colours, less_motion=True, **options)
            await shown.page.goto(f"{world.base}/watch#/chunk/{me.chunk_id}@{then}")
            await at_tick(shown.page, then)
            await standing(shown.page, "historian", *there)
            await shown.shot(f"past-{name}")
            await shown.page.locator("#time-live").click()
            await live(shown.page)
            await expect(shown.page.locator(".time-mark")).not_to_have_count(0)
            await shown.shot(f"past-live-{name}")
        await asyncio.sleep(0)
    await expect(page.locator("#agents")).not_to_contain_text("historian")
    await expect(page.locator("#time-said")).to_have_text(re.compile("Now"))
