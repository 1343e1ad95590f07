"""What the page shows besides the chunk: leaderboard, an agent's page, search, trails, neighbours, what was before."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect
from sqlalchemy.ext.asyncio import AsyncEngine

from chunkcrawl import Agent, Api
from cluster.archiver import Archiver
from config.settings import Settings
from store.engine import make_engine
from tests.browser.chromium import DEADLINE_MS, OpenPage, Screen, needs_chromium
from tests.browser.looking import live, row, standing
from tests.browser.play import Play, playing

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module"), pytest.mark.services]

expect.set_options(timeout=DEADLINE_MS)

SIZES: dict[str, dict[str, Any]] = {
    "desk": {"width": 1400, "height": 900},
    "phone": {"width": 390, "height": 844, "phone": True},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def play(postgres_url: str, valkey_url: str) -> AsyncIterator[Play]:
    settings = Settings(environment="test", database_url=postgres_url, redis_url=valkey_url, grace_s=1)
    async with playing(settings) as play:
        yield play


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(postgres_url)
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def digger(play: Play, engine: AsyncEngine) -> AsyncIterator[Agent]:
    """Somebody who has harvested, spoken, thought aloud and come back from a chunk that it discovered."""
    async with play.agent("Digger-1") as me:
        gold = me.view.nearest_gold()
        assert gold is not None
        node, cell = gold
        await me.move_to(*cell)
        await me.harvest(node)
        await me.say("<i>gold</i> in the south")
        async with Api(play.base) as api:
            key = await play.key()
            await api.show_thoughts("Digger-1", True, auth=key)
            thought = {"text": "North looks rich", "doing": "go_to"}
            answer = await api.http.post(
                f"{play.base}/v1/agents/Digger-1/thoughts", json=thought, headers={"authorization": f"Bearer {key}"}
            )
            assert answer.status_code == 201, answer.text
        await me.move_to(25, 49)
        await me.move_to(25, 0)
        await Archiver(play.redis, engine).drain()
        yield me


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guest(play: Play, digger: Agent) -> AsyncIterator[Agent]:
    """Somebody who stays in the chunk in the north, so that it stays too."""
    async with play.agent("guest") as me:
        await me.move_to(24, 49)
        assert me.chunk_id != "chunk-0"
        yield me


async def watching(play: Play, open_page: OpenPage, path: str = "", **options: Any) -> Screen:
    screen = await open_page(**options)
    await screen.page.goto(f"{play.base}/watch{path}")
    await live(screen.page)
    return screen


async def test_from_the_leaderboard_to_an_agent_and_to_where_it_is(
    play: Play, digger: Agent, open_page: OpenPage
) -> None:
    screen = await watching(play, open_page)
    page = screen.page
    await page.locator("#leaders-button").click()
    sheet = page.locator("#leaders-dialog")
    first = sheet.locator(".place-row").first
    await expect(first).to_have_attribute(
        "aria-label", re.compile(r"^1\. Digger-1: \d+ gold, 1 chunk, .+, in the world$")
    )
    await sheet.get_by_role("button", name="Time alive").click()
    await expect(page).to_have_url(re.compile(r"#/leaders/alive/day$"))
    await sheet.get_by_role("button", name="Ever").click()
    await expect(page).to_have_url(re.compile(r"#/leaders/alive/all$"))
    await first.click()
    about = page.locator("#about-dialog")
    await expect(page.locator("#about-title")).to_have_text("Digger-1")
    await expect(page.locator("#about-where")).to_have_text(re.compile(r"^in chunk-0 at "))
    await expect(page.locator("#about-says bdi").first).to_have_text("<i>gold</i> in the south")
    await expect(page.locator("#about-thinks bdi").first).to_have_text("North looks rich")
    await expect(page.locator('#about-sums [data-period="all"] td').nth(1)).to_have_text("1")
    assert await page.locator("#about-says i").count() == 0
    await page.locator("#about-visit").click()
    await expect(about).to_be_hidden()
    await expect(page.locator("#chosen-name")).to_have_text("Digger-1")
    await page.locator("#chosen-about").click()
    await expect(about).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(about).to_be_hidden()
    await expect(page.locator("#chunk-name")).to_have_text("chunk-0")
    await live(page)


@pytest.mark.slow
async def test_an_agents_page_has_an_address_and_says_what_is_not_shown(
    play: Play, digger: Agent, open_page: OpenPage
) -> None:
    page = (await watching(play, open_page, "#/about/nobody")).page
    await expect(page.locator("#about-problem")).to_have_text("Nobody of that name has been in this world.")
    await page.locator("#about-dialog .sheet-close").click()
    await expect(page.locator("#chunk-name")).to_have_text("chunk-0")
    async with Api(play.base) as api:
        await api.show_thoughts("Digger-1", False, auth=await play.key())
    await page.goto(f"{play.base}/watch#/about/Digger-1")
    await expect(page.locator("#about-thinks")).to_have_attribute(
        "data-note", "Its owner does not show what it thinks."
    )
    await expect(page.locator("#about-thinks > li")).to_have_count(0)
    async with Api(play.base) as api:
        await api.show_thoughts("Digger-1", True, auth=await play.key())
    await expect(page.locator("#about-thinks > li")).to_have_count(1)


async def test_an_agent_is_found_wherever_it_is(play: Play, digger: Agent, guest: Agent, open_page: OpenPage) -> None:
    page = (await watching(play, open_page, f"#/chunk/{guest.chunk_id}")).page
    await expect(page.locator("#chunk-name")).to_have_text(str(guest.chunk_id))
    await page.locator("#find-name").fill("digg")
    found = page.locator('#found button.row[data-agent="Digger-1"]')
    await expect(found).to_contain_text("in chunk-0")
    await page.locator("#find-name").press("Enter")
    await expect(page.locator("#chunk-name")).to_have_text("chunk-0")
    await expect(page.locator("#chosen-name")).to_have_text("Digger-1")
    await page.locator("#find-name").fill("nobody-of-that-name")
    await expect(page.locator("#find-note")).to_have_text("Nobody whose name begins so.")
    await page.locator("#find-name").fill("%")
    await expect(page.locator("#find-note")).to_contain_text("letters, digits")


async def test_news_and_trails_begin_with_what_was_before(play: Play, open_page: OpenPage) -> None:
    async with play.agent("early") as me:
        said = f"before anybody looked {me.agent_id}"
        await me.say(said)
        start = me.view.next_free(20, 22)
        assert start is not None
        await me.move_to(*start)
        cell = me.view.next_free(28, 22)
        assert cell is not None
        await me.move_to(*cell)
        page = (await watching(play, open_page)).page
        await expect(page.locator("#news .news-chat", has_text=said)).to_have_count(1)
        await standing(page, "early", *cell)
        colour = await page.locator(f"{row('early')} .token").evaluate("token => token.style.backgroundColor")
        await page.locator(f"{row('early')} .row").click()
        await expect(page.locator("#chosen-name")).to_have_text("early")
        await expect_trail(page, colour)


LIKE = """
(canvas, [r, g, b]) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    // Towards its colour, from floor and walls, which are grey.
    const [dr, dg, db] = [data[i] - r, data[i + 1] - g, data[i + 2] - b];
    if (dr * dr + dg * dg + db * db < 9000) count += 1;
  }
  return count;
}
"""


async def expect_trail(page: Page, colour: str) -> None:
    """Wait until more than a token is drawn in a colour."""
    numbers = [int(part) for part in re.findall(r"\d+", colour)]
    await page.locator("#zoom-fit").click()
    async with asyncio.timeout(DEADLINE_MS / 1000):
        while await page.locator("#canvas").evaluate(LIKE, numbers) < 600:
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_neighbours_are_drawn_dimly(play: Play, guest: Agent, open_page: OpenPage) -> None:
    page = (await watching(play, open_page)).page
    await expect(page.locator(".door-N")).to_be_enabled()
    for _ in range(3):
        await page.locator("#zoom-out").click()
    # In the north, above the chunk, is floor of another one.
    above = """canvas => {
      const ctx = canvas.getContext("2d"), ratio = canvas.width / canvas.clientWidth;
      const { data } = ctx.getImageData(0, 0, canvas.width, Math.round(canvas.height * 0.2));
      const colours = new Map();
      for (let i = 0; i < data.length; i += 4) {
        const colour = `${data[i]},${data[i + 1]},${data[i + 2]}`;
        colours.set(colour, (colours.get(colour) ?? 0) + 1);
      }
      return [...colours.values()].filter((count) => count > 2000 * ratio).length;
    }"""
    async with asyncio.timeout(DEADLINE_MS / 1000):
        while await page.locator("#canvas").evaluate(above) < 2:
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
async def test_it_looks_well(
    play: Play, digger: Agent, guest: Agent, open_page: OpenPage, size: str, colours: str
) -> None:
    screen = await watching(play, open_page, colours=colours, **SIZES[size])
    page = screen.page
    wide = "document.documentElement.scrollWidth - innerWidth"
    name = f"watchers-{size}-{colours}"
    await expect(page.locator(row("Digger-1"))).to_be_attached()
    await page.locator(f"{row('Digger-1')} .row").click()
    await expect(page.locator("#news > li")).not_to_have_count(0)
    await asyncio.sleep(1.0)
    await page.locator("#zoom-fit").click()
    await asyncio.sleep(1.0)
    await screen.shot(f"{name}-map")
    for _ in range(2):
        await page.locator("#zoom-out").click()
    await asyncio.sleep(1.0)
    await screen.shot(f"{name}-far")
    if size == "phone":
        await page.locator('.tabs button[data-tab="chunks"]').tap()
        await expect(page.locator("#atlas")).to_be_visible()
    await page.locator("#find-name").fill("dig")
    await expect(page.locator("#found button.row")).to_have_count(1)
    await screen.shot(f"{name}-world")
    assert await page.evaluate(wide) <= 0
    await page.locator("#leaders-button").click()
    await expect(page.locator("#leaders .place-row")).not_to_have_count(0)
    await screen.shot(f"{name}-leaders")
    assert await page.evaluate(wide) <= 0
    await page.locator("#leaders .place-row").first.click()
    await expect(page.locator("#about-known")).to_be_visible()
    await screen.shot(f"{name}-about")
    assert await page.evaluate(wide) <= 0
