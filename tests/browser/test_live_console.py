"""The console against ``chunkcrawl up`` as people start it: an operator's bad day in a world that runs."""

from __future__ import annotations

import secrets

import pytest
from playwright.async_api import expect

from chunkcrawl import Agent, Api
from chunkcrawl.embedded import EmbeddedWorld
from chunkcrawl.errors import BannedWords, ChunkcrawlError
from tests.browser.chromium import DEADLINE_MS, OpenPage, needs_chromium
from tests.browser.test_console import button, confirmed, go, row

pytestmark = [
    needs_chromium,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

expect.set_options(timeout=DEADLINE_MS)
SPAMMER = "spammer-1"


async def key(base: str) -> str:
    async with Api(base) as api:
        account = await api.signup(f"spam-{secrets.token_hex(4)}@example.com", "a long password")
        return (await api.create_key(account.account_id, auth=account.account_token)).api_key


async def test_a_bad_day_in_a_world_that_runs(world: EmbeddedWorld, open_page: OpenPage) -> None:
    screen = await open_page(less_motion=True)
    page = screen.page
    api_key = await key(world.base)
    async with Agent.connect(world.base, agent_id=SPAMMER, api_key=api_key) as agent:
        with pytest.raises(BannedWords):
            await agent.say("fuck you all")
        await page.goto(f"{world.base}/console")
        await page.locator("#gate-token").fill("test-operator-token")
        await page.locator("#gate-go").click()
        await expect(page.locator(".bars").first.locator("li")).to_have_count(2)
        await expect(page.locator('[data-tile="agents"] .tile-value')).not_to_have_text("–")
        await screen.shot("console-live")

        # live, close up
        await page.locator('#rail [data-page="chunks"]').click()
        await page.get_by_role("link", name="chunk-0", exact=True).click()
        await expect(page.locator(".live-note")).to_be_hidden()

        # the spammer: muted, then banned
        await go(page, "moderation")
        await row(page, "Strikes and mutes", SPAMMER).get_by_role("link").click()
        await button(page, "Mute").click()
        await confirmed(page, f"Mute {SPAMMER}?")
        await expect(page.locator("#page .badges").first).to_contain_text("muted")
        await button(page, "Ban").click()
        await confirmed(page, f"Ban {SPAMMER}?", reason="floods the chat")
        await expect(page.locator(".banner")).to_contain_text("floods the chat")
    with pytest.raises(ChunkcrawlError) as refused:
        async with Agent.connect(world.base, agent_id=SPAMMER, api_key=api_key):
            pass
    assert refused.value.reason == "banned"

    # the only node can't be drained, and it says what to do
    await go(page, "machines")
    await page.get_by_role("table", name="Nodes").get_by_role("button", name="Drain").click()
    await page.locator("#confirm-go").click()
    await expect(page.locator("#confirm-problem")).to_contain_text("ray start")
    await page.keyboard.press("Escape")

    await go(page, "audit")
    lines = page.get_by_role("table", name="Audit log").get_by_role("row")
    wanted = (("drain", "refused"), ("ban", "done"), ("mute", "done"))
    for place, (action, outcome) in enumerate(wanted, 1):
        await expect(lines.nth(place)).to_contain_text(action)
        await expect(lines.nth(place)).to_contain_text(outcome)
