"""A browser for each module, new pages for each test, and where their pictures are."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from chunkcrawl.embedded import EmbeddedWorld
from tests.browser.chromium import OpenPage, Screen, browsing, launched, taken


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if taken:
        terminalreporter.section("screenshots")
        for path in dict.fromkeys(taken):
            terminalreporter.write_line(str(path))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright, launched(playwright) as browser:
        yield browser


@pytest.fixture(scope="module")
def world() -> Iterator[EmbeddedWorld]:
    """A world with demo agents, as ``chunkcrawl up`` starts it, or the one that is named."""
    with EmbeddedWorld(base=os.environ.get("CHUNKCRAWL_TEST_BASE"), demo=True) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """Opens pages that share nothing; afterwards nothing may have gone wrong in any of them."""
    screens: list[Screen] = []
    async with AsyncExitStack() as stack:

        async def opened(**options: Any) -> Screen:
            context = await stack.enter_async_context(browsing(browser, **options))
            screens.append(Screen(await context.new_page()))
            return screens[-1]

        yield opened
    assert [fault for screen in screens for fault in screen.faults] == []
