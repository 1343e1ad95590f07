"""Debian's Chromium, driven by Playwright, and what a test wants of a page."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright

CHROMIUM: Final = shutil.which("chromium") or "/usr/bin/chromium"
needs_chromium = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no chromium: apt-get install -y chromium")
FLAGS: Final = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: Where screenshots go; not part of the repository.
SHOTS: Final = Path(__file__).parents[2] / "build" / "screenshots"
taken: list[Path] = []

#: Long, for a busy machine draws slowly; nothing is asserted by the time it takes.
DEADLINE_MS: Final = 60_000

#: What Chromium says by itself of a request that failed (tests cut the connection), and of tests that look at pixels.
_EXPECTED = re.compile(r"Failed to load resource|net::ERR_|willReadFrequently")

#: Makes a page with these options: width, height, colours, whether it is a phone, whether motion is unwelcome.
OpenPage = Callable[..., Awaitable["Screen"]]


class Screen:
    """One page, and what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(DEADLINE_MS)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._said)
        page.on("request", lambda request: self.requests.append(request.url))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _EXPECTED.search(message.text):
            self.faults.append(message.text)

    async def shot(self, name: str) -> Path:
        """Keep a picture of the page under a name; one process for all tests prints their paths in the end."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        await self.page.screenshot(path=path)
        taken.append(path)
        return path

    async def text(self, selector: str) -> str:
        return (await self.page.locator(selector).text_content()) or ""


@asynccontextmanager
async def launched(playwright: Playwright) -> AsyncIterator[Browser]:
    """A Chromium."""
    browser = await playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
    try:
        yield browser
    finally:
        await browser.close()


@asynccontextmanager
async def browsing(
    browser: Browser,
    *,
    width: int = 1440,
    height: int = 900,
    colours: Literal["light", "dark"] = "light",
    phone: bool = False,
    less_motion: bool = False,
) -> AsyncIterator[BrowserContext]:
    """What is in a browser with nothing in it: no cookies, no cache, nothing stored."""
    options: dict[str, Any] = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2} if phone else {}
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=colours,
        reduced_motion="reduce" if less_motion else "no-preference",
        **options,
    )
    try:
        yield context
    finally:
        await context.close()
