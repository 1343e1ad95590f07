"""How long the console takes to open on 10,000 chunks and 5,000 agents, made up, in Chromium.

From the navigation, signed in already, until the rows of the table (or all of the map) are drawn with figures of the
stream; the median and the worst of so many times, each in a fresh page.  And how long a sort and a filter take.

    python tests/bench/bench_console.py [--chunks 10000] [--agents 5000] [--times 5]

Prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

# Run as a script, this folder is on the path instead of the checkout.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.browser.chromium import browsing, launched
from tests.browser.scripted_operators import OPERATOR, MadeUpWorld, made_up

#: What has to be there on each page; the map's canvas is known by a pixel that is not its ground's.
DRAWN = {
    "overview": "document.querySelector('[data-tile=agents] .tile-value')?.textContent === given.agents",
    "chunks": "document.querySelector('.table-count')?.textContent === `${given.chunks} rows`"
    " && document.querySelector('.table-body .tr')",
    "map": "document.querySelector('.shard-key') && document.querySelector('.map-side .line')",
    "agents": "document.querySelector('.table-count')?.textContent === `500 of ${given.agents} rows`",
}


async def opening_ms(browser: Browser, world: MadeUpWorld, name: str) -> float:
    """Open a page in a browser with nothing in it but the token, until it is drawn."""
    async with browsing(browser, width=1400, height=900) as context:
        await context.add_init_script(f"sessionStorage.setItem('chunkcrawl.operator', '{OPERATOR}')")
        page = await context.new_page()
        given = {"agents": f"{len(world.agents):,}", "chunks": f"{len(world.ids):,}"}
        began = time.perf_counter()
        await page.goto(f"{world.base}/console#/{name}", wait_until="commit")
        await page.wait_for_function(f"given => {DRAWN[name]}", arg=given, polling="raf")
        return (time.perf_counter() - began) * 1000


async def sorting_ms(page: Page) -> float:
    """Sort the table of chunks by a click, until the frame after it."""
    click = """() => new Promise((done) => {
      const began = performance.now();
      document.querySelector(".th-button").click();
      requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
    })"""
    took: float = await page.evaluate(click)
    return took


async def measure(chunks: int, agents: int, times: int) -> dict[str, object]:
    async with (
        made_up(chunks=chunks, agents=agents, shards=16) as world,
        async_playwright() as playwright,
        launched(playwright) as browser,
    ):
        found: dict[str, object] = {"chunks": chunks, "agents": agents}
        for name in DRAWN:
            took = [await opening_ms(browser, world, name) for _ in range(times)]
            found[f"{name}_ms"] = {"median": round(statistics.median(took)), "worst": round(max(took))}
        async with browsing(browser, width=1400, height=900) as context:
            await context.add_init_script(f"sessionStorage.setItem('chunkcrawl.operator', '{OPERATOR}')")
            page = await context.new_page()
            await page.goto(f"{world.base}/console#/chunks")
            await page.wait_for_selector(".table-body .tr")
            found["sort_ms"] = round(statistics.median([await sorting_ms(page) for _ in range(times)]))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--agents", type=int, default=5_000)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(measure(given.chunks, given.agents, given.times))))


if __name__ == "__main__":
    main()
