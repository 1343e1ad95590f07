"""The page of endpoints in a browser that can reach nothing but us."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from playwright.async_api import expect

from api.app import create_app
from api.services import Services
from config.settings import Settings
from tests.api.support import FakeWorld
from tests.browser.chromium import DEADLINE_MS, OpenPage, Screen, needs_chromium
from tests.browser.scripted import listening

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=DEADLINE_MS)


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_endpoints_are_drawn_and_found(open_page: OpenPage, colours: str) -> None:
    screen: Screen = await open_page(colours=colours)
    page = screen.page
    nowhere = Settings(database_url="postgresql://nowhere/none", redis_url="redis://nowhere")
    outer = FastAPI()
    outer.mount("/game", create_app(Services.build(nowhere, FakeWorld())))
    async with listening(outer) as there:
        base = f"{there}/game"
        await page.goto(f"{base}/docs")
        keys = page.locator("#create_key_v1_keys_post")
        await expect(keys).to_be_visible()
        await keys.locator("summary").click()
        await expect(keys).to_contain_text("account_id")
        await expect(keys).to_contain_text("invalid_credentials")
        await screen.shot(f"docs-{colours}")
        await page.locator("#filter").fill("healthz")
        await expect(keys).to_be_hidden()
        await expect(page.locator("details:visible")).to_have_count(1)
    assert all(url.startswith(base) for url in screen.requests), screen.requests
