"""The page for everybody: contrast, keyboard, fingers, small screens, less motion."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from chunkcrawl import Agent
from config.settings import Settings
from tests.browser.chromium import DEADLINE_MS, OpenPage, Screen, needs_chromium
from tests.browser.looking import drawn, live, row, standing
from tests.browser.play import Play, playing

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module"), pytest.mark.services, pytest.mark.slow]

expect.set_options(timeout=DEADLINE_MS)

MEASURE = (Path(__file__).parent / "measure.js").read_text().partition("\n")[2]
#: WCAG 2.2 AA: text, and what else has to be seen.
TEXT_LEAST = 4.5
SHAPE_LEAST = 3.0
#: Of the map's numbers, large only when zoomed in.
TEXT_PAIRS = {"label/label-halo", "gold-ink/gold"}
#: A finger's width; WCAG 2.2 AA asks for 24.
FINGER_PX = 44
POINTER_PX = 24

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def play(postgres_url: str, valkey_url: str) -> AsyncIterator[Play]:
    settings = Settings(environment="test", database_url=postgres_url, redis_url=valkey_url, grace_s=1)
    async with playing(settings) as play:
        yield play


@pytest_asyncio.fixture(loop_scope="module")
async def me(play: Play) -> AsyncIterator[Agent]:
    """Somebody new in chunk-0 for each test."""
    async with play.agent(f"somebody-{next(_numbers)}") as agent:
        yield agent


async def walk(me: Agent, x: int, y: int) -> tuple[int, int]:
    """Go there, or beside who stands there; returns the cell."""
    cell = me.view.next_free(x, y)
    assert cell is not None
    if cell != me.position:
        await me.move_to(*cell)
    return cell


async def watching(play: Play, me: Agent, open_page: OpenPage, **options: Any) -> Screen:
    screen = await open_page(**options)
    await screen.page.goto(f"{play.base}/watch")
    await live(screen.page)
    await expect(screen.page.locator(row(me.agent_id))).to_be_attached()
    await expect(screen.page.locator("#chunks button")).not_to_have_count(0)
    return screen


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_everything_can_be_read_in_light_and_dark(
    play: Play, me: Agent, open_page: OpenPage, colours: str
) -> None:
    screen = await watching(play, me, open_page, colours=colours)
    page = screen.page
    await me.say("can you read me?")
    await expect(page.locator(".bubble")).to_be_visible()
    await page.locator(f"{row(me.agent_id)} .row").click()
    for state in ("chunk", "owner", "help", "access"):
        if state == "owner":
            await page.locator("#chosen-follow").click()
            await expect(page.locator("#followed-place")).to_have_text("in chunk-0")
            await walk(me, 24, 24)
            await expect(page.locator("#commands > li").first).to_have_attribute("data-state", "completed")
        elif state != "chunk":
            await page.locator(f"#{state}-button").click()
        found = await page.evaluate(MEASURE)
        assert len(found["texts"]) > 10
        assert [text for text in found["texts"] if text[2] < TEXT_LEAST] == [], state
        if state in ("help", "access"):
            await page.keyboard.press("Escape")
    low = {
        name: ratio
        for name, ratio in found["pairs"].items()
        if ratio < (TEXT_LEAST if name in TEXT_PAIRS else SHAPE_LEAST)
    }
    assert low == {}


async def test_colours_chosen_by_hand_hold_and_are_kept(play: Play, me: Agent, open_page: OpenPage) -> None:
    page = (await watching(play, me, open_page, colours="light")).page

    async def ground() -> str:
        found: str = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        return found

    light = await ground()
    button = page.locator("#theme-button")
    await button.click()
    assert await button.get_attribute("aria-label") == "Colours: light"
    await button.click()
    assert await button.get_attribute("aria-label") == "Colours: dark"
    dark = await ground()
    assert dark != light
    await page.reload()
    assert await ground() == dark
    await page.locator("#theme-button").click()
    assert await ground() == light


FOCUSED = """() => {
  const node = document.activeElement, style = getComputedStyle(node), box = node.getBoundingClientRect();
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const inside = box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight;
  return { name: node.id || node.className || node.tagName, seen: seen && inside };
}"""


async def test_everything_is_reached_with_the_keyboard_in_order_and_shows_it(
    play: Play, me: Agent, open_page: OpenPage
) -> None:
    page = (await watching(play, me, open_page)).page
    reached = []
    await page.keyboard.press("Tab")
    while (stop := await page.evaluate(FOCUSED))["name"] != "BODY":
        reached.append(stop)
        await page.keyboard.press("Tab")
    assert [stop["name"] for stop in reached if not stop["seen"]] == []
    names = [stop["name"] for stop in reached]
    wanted = ["skip", "theme-button", "access-button", "help-button", "stage", "zoom-in", "zoom-out", "zoom-fit"]
    assert [name for name in names if name in wanted] == wanted
    assert names.index("zoom-fit") < names.index("row") < names.index("follow-id") < names.index("row-follow")

    await page.locator("#help-button").press("Enter")
    await expect(page.locator("#help-dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#help-dialog")).to_be_hidden()
    assert await page.evaluate("document.activeElement.id") == "help-button"

    # choosing and letting go
    await page.locator(f"{row(me.agent_id)} .row").press("Enter")
    await expect(page.locator("#chosen-name")).to_have_text(me.agent_id)
    await page.keyboard.press("Escape")
    await expect(page.locator("#chosen")).to_be_hidden()


async def test_keys_of_the_map_work_on_the_map_alone(play: Play, me: Agent, open_page: OpenPage) -> None:
    page = (await watching(play, me, open_page)).page
    await standing(page, me.agent_id, *await walk(me, 25, 25))
    await asyncio.sleep(0.5)
    small = (await drawn(page, me.agent_id))["count"]
    await page.locator("#follow-id").press("+")
    assert await page.locator("#follow-id").input_value() == "+"
    await page.locator("#stage").press("+")
    await asyncio.sleep(1.0)
    assert (await drawn(page, me.agent_id))["count"] > 1.5 * small
    await page.locator("#stage").press("0")
    await asyncio.sleep(1.0)
    assert (await drawn(page, me.agent_id))["count"] == pytest.approx(small, rel=0.1)


SMALL = """(least) => [...document.querySelectorAll("button, input, a, summary")]
  .filter((node) => node.checkVisibility() && !node.closest(".skip, dialog:not([open])"))
  .map((node) => [node.id || node.className, node.getBoundingClientRect()])
  .filter(([, box]) => box.width < least || box.height < least)
  .map(([name, box]) => `${name} ${Math.round(box.width)} x ${Math.round(box.height)}`)"""
WIDE = "document.documentElement.scrollWidth - innerWidth"


async def test_a_phone_shows_one_panel_at_a_time_with_room_for_fingers(
    play: Play, me: Agent, open_page: OpenPage
) -> None:
    await me.move_to(49, 25)  # a door in the west of where it is then
    await walk(me, 25, 25)
    screen = await open_page(width=390, height=844, phone=True)
    page = screen.page
    await page.goto(f"{play.base}/watch#/chunk/{me.chunk_id}")
    await live(page)
    await expect(page.locator(".door-W")).to_be_visible()
    for name in ("chunks", "news", "follow", "agents"):
        await page.locator(f'.tabs button[data-tab="{name}"]').tap()
        await expect(page.locator(f"#panel-{name}")).to_be_visible()
        assert await page.locator(".panel:visible").count() == 1
        assert await page.evaluate(SMALL, FINGER_PX) == [], name
    await screen.shot("watch-phone")
    assert await page.evaluate(WIDE) <= 0

    # a tap on the map chooses who stands there
    await asyncio.sleep(0.5)
    at = await drawn(page, me.agent_id)
    await page.locator("#canvas").tap(position={"x": at["x"] / 2, "y": at["y"] / 2})
    await expect(page.locator("#chosen-name")).to_have_text(me.agent_id)
    await page.locator("#chosen-follow").tap()
    await expect(page.locator("#followed-name")).to_have_text(me.agent_id)
    assert await page.evaluate(SMALL, FINGER_PX) == []


@pytest.mark.parametrize(("width", "height"), [(320, 568), (844, 390), (1000, 760), (1920, 1080)])
async def test_nothing_is_cut_off_at_any_size(
    play: Play, me: Agent, open_page: OpenPage, width: int, height: int
) -> None:
    page = (await watching(play, me, open_page, width=width, height=height)).page
    assert await page.evaluate(WIDE) <= 0
    assert await page.evaluate(SMALL, POINTER_PX) == []
    box = await page.locator("#stage").bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 240
    assert box["y"] + box["height"] <= height


async def places_seen(page: Page, me: Agent, x: int) -> list[float]:
    """Where the token was drawn during a walk to the east, in cells from where it began."""
    await asyncio.sleep(0.5)
    start = (await drawn(page, me.agent_id))["x"]
    began = me.position
    assert began is not None
    walking = asyncio.create_task(me.move_to(x, began[1]))
    seen = []
    while not walking.done():
        seen.append((await drawn(page, me.agent_id))["x"] - start)
    await walking
    await standing(page, me.agent_id, x, began[1])
    await asyncio.sleep(0.5)
    cell = ((await drawn(page, me.agent_id))["x"] - start) / (x - began[0])
    return [place / cell for place in seen]


@pytest.mark.parametrize("less_motion", [False, True])
async def test_agents_glide_unless_motion_is_unwelcome(
    play: Play, me: Agent, open_page: OpenPage, less_motion: bool
) -> None:
    start = await walk(me, 20, 18)
    page = (await watching(play, me, open_page, less_motion=less_motion)).page
    await standing(page, me.agent_id, *start)
    places = await places_seen(page, me, start[0] + 8)
    between = [place for place in places if abs(place - round(place)) > 0.15]
    assert len(places) > 5
    assert (len(between) == 0) is less_motion, places
    if less_motion:
        assert await page.evaluate("document.getAnimations().length") == 0
