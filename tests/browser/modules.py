"""A page on which the watch page's modules can be run one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, Request, Route

from api import sdk_files, watch_page
from api.static_page import files_of
from tests.browser.chromium import browsing

ORIGIN = "http://modules.test"


async def _serve(route: Route, request: Request) -> None:
    place, _, name = request.url.removeprefix(f"{ORIGIN}/").partition("/")
    directory = sdk_files.STATIC_DIR if place == "sdk" else watch_page.STATIC_DIR
    found = files_of(directory).get(name)
    if found is None:
        await route.fulfill(status=200, body="<!doctype html><title>nothing</title>", content_type="text/html")
    else:
        await route.fulfill(status=200, body=found.body, content_type=found.media_type)


@asynccontextmanager
async def module_page(browser: Browser) -> AsyncIterator[Page]:
    """An empty page, from which every module can be imported."""
    async with browsing(browser) as context:
        page = await context.new_page()
        await page.route(f"{ORIGIN}/**", _serve)
        await page.goto(f"{ORIGIN}/")
        yield page


async def run(page: Page, module: str, body: str, argument: Any = None) -> Any:
    """What ``body`` returns, with the module as ``m`` and ``argument`` as ``given``."""
    code = f"async (given) => {{ const m = await import('/watch/js/{module}'); {body} }}"
    return await page.evaluate(code, argument)
