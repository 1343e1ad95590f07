"""The console before a made-up world: what an operator does on a bad day, and what the page does on one of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.chromium import DEADLINE_MS, OpenPage, Screen, needs_chromium
from tests.browser.scripted_operators import OPERATOR, VIEWER, MadeUpWorld, job, made_up

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=DEADLINE_MS)

HOSTILE = '<img src=x onerror="document.title=1">\u202e<b>x'


@pytest_asyncio.fixture(loop_scope="module")
async def world() -> AsyncIterator[MadeUpWorld]:
    async with made_up() as world:
        yield world


async def signed_in(world: MadeUpWorld, open_page: OpenPage, token: str = OPERATOR, **options: Any) -> Screen:
    screen = await open_page(less_motion=True, **options)
    page = screen.page
    await page.goto(f"{world.base}/console")
    await page.locator("#gate-token").fill(token)
    await page.locator("#gate-go").click()
    await expect(page.locator("#connection")).to_have_attribute("data-phase", "live")
    await expect(page.locator('[data-tile="agents"] .tile-value')).to_have_text("40")
    return screen


async def go(page: Page, name: str) -> None:
    await page.locator(f'#rail [data-page="{name}"]').click()
    await expect(page.locator("#page h1")).to_be_visible()


def row(page: Page, table: str, name: str) -> Any:
    return page.get_by_role("table", name=table).get_by_role("row").filter(has_text=name)


def button(place: Any, name: str) -> Any:
    return place.get_by_role("button", name=name, exact=True)


async def confirmed(page: Page, title: str, **fields: str) -> None:
    """The dialog says what will happen; fill it in and say yes."""
    dialog = page.locator("#confirm-dialog")
    await expect(dialog.locator("h2")).to_have_text(title)
    await expect(dialog.locator("#confirm-text p").first).not_to_be_empty()
    for name, value in fields.items():
        await dialog.locator(f"[name={name}]").fill(value)
    await dialog.locator("#confirm-go").click()
    await expect(dialog).to_be_hidden()


async def test_a_bad_day(world: MadeUpWorld, open_page: OpenPage) -> None:
    world.strike("trader-2", 3)
    page = (await signed_in(world, open_page)).page

    # the slow shard stands first
    slow = page.locator(".bars").first.locator("li").first
    await expect(slow).to_contain_text("shard-2")
    await slow.get_by_role("link").click()
    await expect(page.get_by_role("table", name="Shards").get_by_role("row").nth(1)).to_contain_text("shard-2")

    # who spams: muted, and, as that does not help, banned
    await go(page, "moderation")
    await row(page, "Strikes and mutes", "trader-2").get_by_role("link").click()
    await expect(page.locator(".history")).to_contain_text("BUY GOLD")
    await button(page, "Mute").click()
    await confirmed(page, "Mute trader-2?")
    await expect(page.locator("#page .badges").first).to_contain_text("muted for 1 h")
    await button(page, "Ban").click()
    await confirmed(page, "Ban trader-2?", reason="floods the chat")
    await expect(page.locator(".banner")).to_contain_text("floods the chat")
    assert world.bans["agent", "trader-2"]["reason"] == "floods the chat"

    # a node that makes trouble is drained
    await go(page, "machines")
    await button(row(page, "Nodes", "node-3"), "Drain").click()
    await expect(page.locator("#confirm-text")).to_contain_text("shard-2")
    await confirmed(page, "Drain node-3?")
    await expect(row(page, "Nodes", "node-3")).to_contain_text("drained")

    # and all of it stands in the audit log, newest first
    await go(page, "audit")
    lines = page.get_by_role("table", name="Audit log").get_by_role("row")
    for place, (action, subject) in enumerate(
        (("drain", "node"), ("ban", "agent trader-2"), ("mute", "agent trader-2")), 1
    ):
        await expect(lines.nth(place)).to_contain_text(action)
        await expect(lines.nth(place)).to_contain_text(subject)
    assert OPERATOR not in page.url


@pytest.mark.slow
async def test_what_was_done_is_undone(world: MadeUpWorld, open_page: OpenPage) -> None:
    page = (await signed_in(world, open_page)).page
    await go(page, "operations")
    await button(page, "Freeze the world").click()
    await expect(page.locator("#confirm-text")).to_contain_text("40 agents")
    await confirmed(page, "Freeze the whole world?")
    await expect(button(page, "Thaw the world")).to_be_visible()
    assert world.marks["world_frozen"] is True
    await button(page, "Undo: thaw the world").click()
    await expect(button(page, "Freeze the world")).to_be_visible()
    assert world.marks["world_frozen"] is False


@pytest.mark.slow
async def test_no_is_no_and_a_refusal_says_what_to_do(world: MadeUpWorld, open_page: OpenPage) -> None:
    world.refuse["scale"] = (409, "refused", "At most 8 shards: --shards 2..8 was given to chunkcrawl up.")
    page = (await signed_in(world, open_page)).page
    await go(page, "operations")
    await button(page, "Scale").click()
    await button(page, "Cancel").click()
    assert not [asked for asked in world.requested if asked.startswith("POST")]
    await button(page, "Scale").click()
    await page.locator("#confirm-go").click()
    await expect(page.locator("#confirm-problem")).to_have_text(
        "At most 8 shards: --shards 2..8 was given to chunkcrawl up."
    )
    await page.keyboard.press("Escape")
    await expect(page.locator("#confirm-dialog")).to_be_hidden()


async def test_a_viewer_sees_why_nothing_may_be_done(world: MadeUpWorld, open_page: OpenPage) -> None:
    page = (await signed_in(world, open_page, VIEWER)).page
    await expect(page.locator("#who-role")).to_have_text("viewer")
    await go(page, "machines")
    drain = button(row(page, "Nodes", "node-1"), "Drain")
    await expect(drain).to_have_attribute("aria-disabled", "true")
    assert "--role operator" in (await drain.get_attribute("title") or "")
    # Playwright itself takes such a button for one that can't be pressed.
    await drain.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".notice")).to_contain_text("--role operator")
    assert not [asked for asked in world.requested if asked.startswith("POST")]


async def test_who_has_no_good_token_is_told_how_to_get_one(world: MadeUpWorld, open_page: OpenPage) -> None:
    page = (await open_page()).page
    await page.goto(f"{world.base}/console#/audit")
    await page.locator("#gate-token").fill("dco_nobody")
    await page.locator("#gate-token").press("Enter")
    await expect(page.locator("#gate-problem")).to_contain_text("chunkcrawl operator create")
    await page.locator("#gate-token").fill(OPERATOR)
    await page.locator("#gate-token").press("Enter")
    await expect(page.locator("#page h1")).to_have_text("Audit")
    await page.reload()
    await expect(page.locator("#page h1")).to_have_text("Audit")

    # revoked while one looks
    world.tokens.pop(OPERATOR)
    world.cut_operators()
    await expect(page.locator("#gate-problem")).to_contain_text("revoked")
    assert await page.locator("#page").text_content() == ""
    await page.reload()
    await expect(page.locator("#gate-token")).to_be_visible()
    assert await page.evaluate("sessionStorage.length") == 0


async def test_a_lost_stream_is_shown_and_goes_on(world: MadeUpWorld, open_page: OpenPage) -> None:
    page = (await signed_in(world, open_page)).page
    world.away = True
    world.cut_operators()
    await expect(page.locator("#connection")).to_have_attribute("data-phase", "waiting")
    assert (await page.locator("#page").get_attribute("data-as-of") or "").startswith("as of ")
    world.agents.pop("scout-5")
    world.away = False
    await page.locator("#retry-now").click()
    await expect(page.locator("#connection")).to_have_attribute("data-phase", "live")
    await expect(page.locator('[data-tile="agents"] .tile-value')).to_have_text("39")


async def test_nothing_that_somebody_wrote_becomes_markup(world: MadeUpWorld, open_page: OpenPage) -> None:
    world.agents[HOSTILE] = world.agents.pop("scout-5") | {
        "agent_id": HOSTILE,
        "chunk_id": "chunk-0",
        "account_id": HOSTILE,
    }
    world.strike(HOSTILE, 2)
    ban = {"kind": "agent", "subject": HOSTILE, "reason": HOSTILE, "by": HOSTILE, "at_ms": 1, "until_ms": None}
    world.bans["agent", HOSTILE] = ban
    world.jobs.append(job("backup", HOSTILE, HOSTILE))
    line = {"audit_id": 1, "at_ms": 1, "operator": HOSTILE, "role": "operator", "address": HOSTILE, "action": HOSTILE}
    world.audit.append(
        line | {"subject": HOSTILE, "details": {HOSTILE: HOSTILE}, "outcome": HOSTILE, "reason": HOSTILE}
    )
    page = (await signed_in(world, open_page)).page
    for name in ("agents", "moderation", "operations", "audit"):
        await go(page, name)
        await expect(page.locator("#page").get_by_text("<img").first).to_be_attached()
    await go(page, "moderation")
    await row(page, "Strikes and mutes", "<img").get_by_role("link").click()
    await expect(page.locator("#page h1")).to_contain_text("<img")
    await button(page, "Mute").click()
    await expect(page.locator("#confirm-title")).to_contain_text("<img")
    await confirmed(page, f"Mute {HOSTILE}?")
    await expect(page.locator(".notice")).to_contain_text("<img")
    assert await page.locator("img, #page b b").count() == 0
    assert "onerror" in await page.title()


async def test_ten_thousand_chunks_are_one_map_one_stream_and_forty_rows(open_page: OpenPage) -> None:
    async with made_up(chunks=10_000, agents=5_000, shards=16) as world:
        page = (await open_page(less_motion=True)).page
        await page.goto(f"{world.base}/console#/chunks")
        await page.locator("#gate-token").fill(OPERATOR)
        await page.locator("#gate-go").click()
        rows = page.get_by_role("table", name="Chunks").locator(".table-body > .tr")
        await expect(page.locator(".table-count")).to_have_text("10,000 rows")
        await expect(rows.first).to_be_visible()
        assert await rows.count() < 60

        await button(page, "Chunk").click()
        await expect(rows.first).to_contain_text("chunk-0")
        await page.locator(".table-scroll").evaluate("node => { node.scrollTop = node.scrollHeight }")
        await expect(page.get_by_role("link", name="chunk-9999", exact=True)).to_be_visible()
        assert await rows.count() < 60
        await page.locator(".filter-field").fill("chunk-77")
        await expect(page.locator(".table-count")).to_have_text("111 of 10,000 rows")

        await go(page, "map")
        await expect(page.locator(".shard-key")).to_have_count(12)
        await go(page, "agents")
        await expect(page.locator(".table-count")).to_have_text("500 of 5,000 rows")
        await page.locator(".table-scroll").evaluate("node => { node.scrollTop = node.scrollHeight }")
        await expect(page.locator(".table-count")).to_have_text("1,000 of 5,000 rows")
        await page.locator(".filter-field").fill("singer-4999")
        await expect(page.locator(".table-count")).to_have_text("1 row")
        asked = [path.partition("?")[0] for path in world.requested]
        assert asked.count("GET stream") == asked.count("GET map") == 1
        assert asked.count("GET agents") == 3


@pytest.mark.slow
async def test_a_backup_is_followed_to_its_end(world: MadeUpWorld, open_page: OpenPage) -> None:
    page = (await signed_in(world, open_page)).page
    await go(page, "operations")
    await expect(page.get_by_role("table", name="Backups")).to_contain_text("No backup lies here yet.")
    await button(page, "Back up now").click()
    await confirmed(page, "Back up the world now?", name="before-the-fair")
    progress = page.get_by_role("progressbar")
    await expect(progress).to_have_attribute("value", "10")
    world.advance_job(70)
    await expect(progress).to_have_attribute("value", "70")
    world.advance_job(100)
    await expect(progress).to_be_hidden()
    await expect(row(page, "Backups", "before-the-fair")).to_contain_text("48.3 MB")


async def test_where_watching_is_closed_the_operators_token_watches(open_page: OpenPage) -> None:
    """Close up in the console, and in the page to watch that a click opens."""
    async with made_up() as world:
        world.closed = True
        page = (await signed_in(world, open_page)).page
        await page.goto(f"{world.base}/console#/map/chunk-0")
        await expect(page.locator(".side-head h2")).to_have_text("chunk-0")
        await expect(page.locator(".live-note")).to_be_hidden()
        async with page.expect_popup() as opened:
            await page.locator(".side-head .panel-link").click()
        watching = await opened.value
        await expect(watching.locator("#connection")).to_have_attribute("data-phase", "live")
        assert OPERATOR not in watching.url
        assert set(world.watched_with) == {f"Bearer {OPERATOR}"}

        # who signs out of the console has signed out there, too
        await page.locator("#sign-out").click()
        await expect(watching.locator("#connection")).to_have_attribute("data-phase", "stopped")
        assert await watching.evaluate("sessionStorage.length") == 0
        await watching.reload()
        await expect(watching.locator("#connection")).to_have_attribute("data-phase", "stopped")
        assert set(world.watched_with) == {f"Bearer {OPERATOR}"}
        await watching.close()


async def test_a_click_on_the_map_shows_the_chunk_live(world: MadeUpWorld, open_page: OpenPage) -> None:
    screen = await signed_in(world, open_page)
    page = screen.page
    await go(page, "map")
    canvas = page.locator(".world-canvas")
    await expect(page.locator(".shard-key")).to_have_count(world.shards)
    box = await canvas.bounding_box()
    assert box is not None
    # chunk-0 is in the south west: found wherever the camera has put it
    side = min(box["width"], box["height"]) - 28
    cell = side / world.side
    left = (box["width"] - side) / 2
    low = (box["height"] + side) / 2 - cell * (world.side - -(-len(world.ids) // world.side))
    await expect(page.locator(".world-map")).to_be_visible()
    await canvas.click(position={"x": left + cell / 2, "y": low - cell / 2})
    await expect(page.locator(".side-head h2")).to_have_text("chunk-0")
    await expect(page.locator(".live-note")).to_be_hidden()
    await page.locator(".world-map").press("ArrowRight")
    await expect(page.locator(".side-head h2")).to_have_text("chunk-1")
    await button(page, "Freeze").click()
    await confirmed(page, "Freeze chunk-1?")
    await expect(button(page, "Thaw")).to_be_visible()
