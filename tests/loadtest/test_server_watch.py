"""Looking at the server's page while a run goes on."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from loadtest import server_watch
from loadtest.server_page import MetricsPages, NoPage, ServerPage
from loadtest.server_watch import GIVE_UP_AFTER, ServerWatch
from tests.loadtest.server_pages import page_text


class Pages:
    """A server that may refuse."""

    def __init__(self) -> None:
        self.asked = 0
        self.trouble = ""

    async def read(self) -> ServerPage:
        self.asked += 1
        if self.trouble:
            raise NoPage(self.trouble)
        return ServerPage(page_text(float(self.asked), {"shard-0": float(self.asked)}))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_watch, "EVERY_S", 0.0)


def watch_of(pages: Pages, second: float | None = 5.0) -> ServerWatch:
    return ServerWatch(cast(MetricsPages, pages), lambda: second)


async def until_asked(pages: Pages, times: int) -> None:
    async with asyncio.timeout(5):
        while pages.asked < times:
            await asyncio.sleep(0)


async def test_readings_have_the_runs_second() -> None:
    pages = Pages()
    watch = watch_of(pages, 5.0)
    watch.start()
    await until_asked(pages, 3)
    await watch.stop()
    assert len(watch.readings) >= 2
    assert {reading.second for reading in watch.readings} == {5.0}
    assert watch.trouble == ""


async def test_before_the_run_has_seconds_nothing_is_kept_but_the_page() -> None:
    watch = watch_of(Pages(), None)
    assert await watch.look() is watch.newest
    assert watch.readings == []


async def test_a_server_that_refuses_is_not_asked_for_ever() -> None:
    pages = Pages()
    pages.trouble = "/metrics wants a token"
    watch = watch_of(pages)
    watch.start()
    await until_asked(pages, GIVE_UP_AFTER)
    for _ in range(20):
        await asyncio.sleep(0)
    await watch.stop()
    assert (pages.asked, watch.trouble) == (GIVE_UP_AFTER, "/metrics wants a token")


async def test_one_that_was_there_is_asked_on() -> None:
    pages = Pages()
    watch = watch_of(pages)
    await watch.look()
    pages.trouble = "/metrics gave no answer (ReadTimeout)"
    watch.start()
    await until_asked(pages, GIVE_UP_AFTER + 5)
    assert watch.trouble == pages.trouble
    pages.trouble = ""
    await until_asked(pages, pages.asked + 2)
    await watch.stop()
    assert watch.trouble == ""
    assert len(watch.readings) >= 2
