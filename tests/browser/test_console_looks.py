"""The console for everybody: contrast in light and dark, fingers, small screens, the keyboard; and pictures of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.chromium import DEADLINE_MS, OpenPage, Screen, needs_chromium
from tests.browser.scripted import agent, gold
from tests.browser.scripted_operators import MINUTE_MS, OPERATOR, MadeUpWorld, backup, job, made_up, now_ms
from tests.browser.test_looks import FOCUSED, MEASURE, POINTER_PX, SMALL, TEXT_LEAST, WIDE

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

expect.set_options(timeout=DEADLINE_MS)

PAGES = ("overview", "map", "map/chunk-0", "chunks", "machines", "agents", "agent/trader-2")
MORE_PAGES = ("moderation", "operations", "audit")
#: In tables; elsewhere it is as on the page to watch.
FINGER_PX = 36


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[MadeUpWorld]:
    async with made_up(chunks=400, agents=260, shards=8) as world:
        world.add_chunk("chunk-0", gold("g-0", 22, 30), gold("g-1", 31, 21), E="chunk-1")
        world.delta("chunk-0", 100, [agent("scout-5", 25, 25), agent("miner-1", 20, 27), agent("trader-2", 28, 20)])
        for name, strikes in (("trader-2", 3), ("walker-8", 2), ("singer-4", 1)):
            world.strike(name, strikes)
        world.standings["trader-2"] |= {"muted_by": "strikes", "muted_ms": 8 * MINUTE_MS}
        ban = {"kind": "agent", "subject": "miner-6", "reason": "floods the chat", "by": "alice", "until_ms": None}
        world.bans["agent", "miner-6"] = ban | {"at_ms": now_ms() - 60 * MINUTE_MS}
        world.backups.append(backup("2026-11-29T0300Z", now_ms() - 2_000 * MINUTE_MS))
        world.jobs += [job("backup", "2026-11-30T1400Z", "alice") | {"percent": 62, "step": "database"}]
        world.marks |= {"frozen": ["chunk-45", "chunk-46"], "pinned": ["chunk-90"], "moving": ["chunk-5"]}
        for number, (action, subject) in enumerate([("ban-agent", "miner-6"), ("drain", "node-2"), ("back-up", None)]):
            line = {
                "audit_id": number,
                "at_ms": now_ms() - number * 9 * MINUTE_MS,
                "action": action,
                "subject": subject,
            }
            who: dict[str, Any] = {
                "operator": "alice",
                "role": "operator",
                "address": "10.0.0.9",
                "details": {},
                "reason": None,
            }
            world.audit.append(line | who | {"outcome": ("done", "refused", "begun")[number], "ended_ms": now_ms()})
        yield world


async def opened(world: MadeUpWorld, open_page: OpenPage, **options: Any) -> Screen:
    screen = await open_page(less_motion=True, **options)
    page = screen.page
    await page.goto(f"{world.base}/console")
    await page.locator("#gate-token").fill(OPERATOR)
    await page.locator("#gate-go").click()
    await expect(page.locator('[data-tile="agents"] .tile-value')).to_have_text("260")
    return screen


async def show(page: Page, route: str) -> None:
    await page.evaluate("route => { location.hash = `#/${route}` }", route)
    await expect(page.locator("#page h1")).to_be_visible()
    if route == "map/chunk-0":
        await expect(page.locator(".chips a").first).to_be_visible()
    elif route in ("chunks", "agents", "audit", "moderation"):
        await expect(page.locator(".table-body .tr").first).to_be_visible()
    elif route.startswith("agent/"):
        await expect(page.locator(".history .line").first).to_be_visible()
    elif route == "operations":
        await expect(page.locator(".table-body .tr").nth(2)).to_be_visible()


async def small(page: Page, least: int) -> list[str]:
    """What is too small to be hit, but for links in running text, and in rows that are themselves pressed."""
    found: list[str] = await page.evaluate(SMALL, least)
    return [one for one in found if not one.startswith(" ")]


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_everything_can_be_read_in_light_and_dark(world: MadeUpWorld, open_page: OpenPage, colours: str) -> None:
    screen = await opened(world, open_page, width=1400, height=900, colours=colours)
    for route in (*PAGES, *MORE_PAGES):
        await show(screen.page, route)
        found = await screen.page.evaluate(MEASURE)
        assert len(found["texts"]) > 10
        assert [text for text in found["texts"] if text[2] < TEXT_LEAST] == [], route
        await screen.shot(f"console-{colours}-{route.replace('/', '-')}")
        assert await small(screen.page, POINTER_PX) == [], route


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_a_phone_has_room_for_fingers_and_nothing_beside_the_screen(
    world: MadeUpWorld, open_page: OpenPage, colours: str
) -> None:
    screen = await opened(world, open_page, width=390, height=844, phone=True, colours=colours)
    for route in (*PAGES, *MORE_PAGES):
        await show(screen.page, route)
        assert await screen.page.evaluate(WIDE) <= 0, route
        assert await small(screen.page, FINGER_PX) == [], route
        tables = await screen.page.locator(".table-scroll").evaluate_all(
            "all => all.map((a) => a.scrollWidth - a.clientWidth)"
        )
        assert [beyond for beyond in tables if beyond > 0] == [], route
        await screen.shot(f"console-phone-{colours}-{route.replace('/', '-')}")


@pytest.mark.parametrize(("width", "height"), [(320, 568), (844, 390), (1000, 760), (1920, 1080)])
async def test_nothing_is_beside_the_screen_at_any_size(
    world: MadeUpWorld, open_page: OpenPage, width: int, height: int
) -> None:
    page = (await opened(world, open_page, width=width, height=height)).page
    for route in (*PAGES, *MORE_PAGES):
        await show(page, route)
        assert await page.evaluate(WIDE) <= 0, route


async def test_the_keyboard_reaches_everything_and_shows_where_it_is(world: MadeUpWorld, open_page: OpenPage) -> None:
    page = (await opened(world, open_page)).page
    await show(page, "moderation")
    await page.locator(".skip").focus()
    await page.keyboard.press("Tab")
    reached = []
    while (stop := await page.evaluate(FOCUSED))["name"] != "BODY":
        reached.append(stop)
        await page.keyboard.press("Tab")
    assert [stop["name"] for stop in reached if not stop["seen"]] == []
    assert len(reached) > 20

    # from row to row with the arrows, then into the agent, and through the dialog and back
    first = page.locator(".table-body .tr").first
    await first.get_by_role("link").focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".table-body .tr").nth(1).get_by_role("link")).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await expect(page.locator("#page h1")).to_contain_text("trader-2")
    unmute = page.get_by_role("button", name="Unmute", exact=True)
    await unmute.press("Enter")
    await expect(page.locator("#confirm-dialog")).to_be_visible()
    await expect(page.locator("#confirm-cancel")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator("#confirm-dialog")).to_be_hidden()
    await expect(unmute).to_be_focused()
