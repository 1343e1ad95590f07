"""The time line of the page before a scripted server: dragging, keys, playing, what is missing, links."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.chromium import DEADLINE_MS, OpenPage, Screen, needs_chromium
from tests.browser.looking import live, row, standing
from tests.browser.scripted import ScriptedServer, agent, gold, scripted
from tests.browser.scripted_past import ScriptedPast
from tests.browser.test_looks import MEASURE, SHAPE_LEAST, TEXT_LEAST

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=DEADLINE_MS)

NEWEST = 2_000
PHONE: dict[str, Any] = {"width": 390, "height": 844, "phone": True}
SLIDER = "#time-slider"
slow = pytest.mark.slow


def x_at(tick: int) -> int:
    """Where ada stands."""
    return 15 + tick // 100


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[ScriptedServer]:
    """Ada goes a cell to the east every 20 s, and says so; everything since tick 1 is kept."""
    async with scripted() as server:
        server.add_chunk("chunk-0", gold("g", 30, 30), N="chunk-5")
        server.add_chunk("chunk-5", S="chunk-0")
        for chunk_id in ("chunk-0", "chunk-5"):
            past = server.past[chunk_id] = ScriptedPast(server.chunks[chunk_id], NEWEST)
            for tick in range(1, NEWEST + 1):
                said = [{"type": "chat", "from": "ada", "text": f"at {tick}"}] if tick % 100 == 10 else []
                past.tell(tick, [agent("ada", x_at(tick), 25)], said)
            past.marks = [{"tick": tick, "kind": "chat", "count": 1} for tick in range(110, NEWEST, 100)]
            server.deltas[chunk_id] = past.deltas[NEWEST] | {"events": [], "server_ts_ms": past.ms_of(NEWEST)}
        yield server


@pytest.fixture
def past(server: ScriptedServer) -> ScriptedPast:
    return server.past["chunk-0"]


async def watching(server: ScriptedServer, open_page: OpenPage, route: str = "", **screen: Any) -> Screen:
    opened = await open_page(less_motion=True, **screen)
    await opened.page.goto(f"{server.base}/watch{route}")
    await expect(opened.page.locator(SLIDER)).to_have_attribute("aria-disabled", "false")
    return opened


async def held_at(page: Page) -> int:
    """Wait until the moment that is held stands in the address, too; return its tick."""
    async with asyncio.timeout(DEADLINE_MS / 1000):
        while True:
            tick = await page.locator(SLIDER).get_attribute("aria-valuenow")
            if page.url.endswith(f"#/chunk/chunk-0@{tick}"):
                return int(str(tick))
            await asyncio.sleep(0.05)


async def at_tick(page: Page, tick: int | re.Pattern[str]) -> None:
    """Wait until a moment is shown."""
    wanted = str(tick) if isinstance(tick, int) else tick
    await expect(page.locator(SLIDER)).to_have_attribute("aria-valuenow", wanted)
    await expect(page.locator("#time")).not_to_have_class(re.compile("busy"))


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is so at the server."""
    async with asyncio.timeout(DEADLINE_MS / 1000):
        while not true():
            await asyncio.sleep(0.02)


async def place(page: Page, part: float) -> tuple[float, float]:
    """Where on the screen a part of the line is."""
    box = await page.locator(f"{SLIDER} .time-track").bounding_box()
    assert box is not None
    return box["x"] + part * box["width"], box["y"] + box["height"] / 2


async def seen(page: Page) -> dict[str, Any]:
    """What the page shows of a moment."""
    found: dict[str, Any] = await page.evaluate(
        """() => ({
          canvas: document.querySelector("#canvas").toDataURL(),
          facts: document.querySelector("#chunk-facts").textContent,
          chunk: document.querySelector("#chunk-name").textContent,
          agents: [...document.querySelectorAll("#agents > li")].map((one) => ({ ...one.dataset })),
          news: [...document.querySelectorAll("#news > li")].map((one) => one.textContent),
        })"""
    )
    return found


BOXES = """(selectors) => selectors.flatMap((selector) => [...document.querySelectorAll(selector)])
  .map((node) => node.getBoundingClientRect()).map(({ x, y, width }) => ({ x, y, width }))"""


async def boxes(page: Page, *selectors: str, count: int) -> list[dict[str, float]]:
    """Wait until so many elements are drawn; return where, all of one moment: they are made anew by each answer."""
    async with asyncio.timeout(DEADLINE_MS / 1000):
        while True:
            found: list[dict[str, float]] = await page.evaluate(BOXES, selectors)
            if len(found) == count and all(box["width"] > 0 for box in found):
                return found
            await asyncio.sleep(0.1)


async def resting(page: Page) -> None:
    """Wait until bubbles are gone and lists are drawn: the picture is that of the moment alone."""
    await expect(page.locator(".bubble")).to_have_count(0)
    await page.wait_for_timeout(600)


async def test_dragging_shows_what_was_then(server: ScriptedServer, past: ScriptedPast, open_page: OpenPage) -> None:
    page = (await watching(server, open_page)).page
    await live(page)
    await standing(page, "ada", x_at(NEWEST), 25)
    await expect(page.locator("#time-live")).to_have_attribute("aria-pressed", "true")
    await page.mouse.move(*await place(page, 0.9))
    await page.mouse.down()
    for part in (0.8, 0.6, 0.4, 0.3, 0.25):
        await page.mouse.move(*await place(page, part))
    await expect(page.locator("#time-tip")).to_be_visible()
    await page.mouse.up()
    tick = await held_at(page)
    assert 400 < tick < 600
    await at_tick(page, tick)
    await standing(page, "ada", x_at(tick), 25)

    # that it is not the present is said, and everything shows that moment
    await expect(page.locator("#connection")).to_have_attribute("data-phase", "past")
    await expect(page.locator("#connection")).to_contain_text(re.compile(r"Past\s*\d\d:\d\d:\d\d · \d+ (s|min) ago"))
    await expect(page.locator("#time-said")).to_contain_text("ago")
    await expect(page.locator("#agents-title")).to_have_text(re.compile(r"then"))
    assert await page.locator("#agents-title .now").is_hidden()
    words = [f"at {said}" for said in range(10, tick + 1, 100)]
    await expect(page.locator("#news > li").first).to_contain_text(words[-1])
    texts = await page.locator("#news > li").all_text_contents()
    assert all(any(word in text for word in words) for text in texts)
    assert len(past.asked) < 20
    assert await page.locator(row("ada")).locator(".row-follow").is_hidden()

    # what comes meanwhile changes nothing: the page has left the live stream
    await until(lambda: server.watching("chunk-0") == 0)
    server.delta("chunk-0", NEWEST + 1, [agent("ada", 1, 1)])
    await standing(page, "ada", x_at(tick), 25)

    await page.locator("#time-live").click()
    await live(page)
    await standing(page, "ada", 1, 1)
    assert "@" not in page.url
    await page.go_back()
    await at_tick(page, tick)
    await standing(page, "ada", x_at(tick), 25)


@slow
async def test_keys(server: ScriptedServer, past: ScriptedPast, open_page: OpenPage) -> None:
    page = (await watching(server, open_page)).page
    slider = page.locator(SLIDER)
    await expect(slider).to_have_attribute("role", "slider")
    await expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^Live, tick \d+$"))
    await slider.press("Home")
    await at_tick(page, 1)
    await standing(page, "ada", x_at(1), 25)
    await expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^\d\d:\d\d:\d\d, \d+ min ago, tick 1$"))
    await expect(slider).to_have_attribute("aria-valuemin", "1")
    await slider.press("ArrowRight")
    await at_tick(page, 26)
    await slider.press("Shift+ArrowRight")
    await at_tick(page, 326)
    await standing(page, "ada", x_at(326), 25)
    await slider.press("ArrowLeft")
    await at_tick(page, 301)
    asked = len(past.asked)
    for key, tick in ((".", 302), (".", 303), (",", 302), (",", 301), (",", 300)):
        await slider.press(key)
        await at_tick(page, tick)
    assert {first for first, _ in past.asked[asked:]} <= {200}, "steps within a block need no request"
    await slider.press("ArrowLeft")
    await slider.press("Home")
    await slider.press("ArrowLeft")
    await at_tick(page, 1)
    await slider.press("l")
    await live(page)
    assert await page.evaluate("document.activeElement.id") == "time-slider"
    outline = await slider.evaluate("node => getComputedStyle(node).outlineStyle")
    assert outline != "none"

    # on the map, too; its arrows lead through doors
    stage = page.locator("#stage")
    await stage.press(" ")
    await expect(page.locator("#time")).to_have_attribute("data-mode", "still")
    await stage.press("Home")
    await at_tick(page, 1)
    await stage.press("Shift+ArrowRight")
    await at_tick(page, 301)
    await stage.press("ArrowUp")
    await expect(page.locator("#chunk-name")).to_have_text("chunk-5")
    await at_tick(page, 301)
    assert page.url.endswith("#/chunk/chunk-5@301")
    await page.locator("#follow-id").press("l")
    assert await page.locator("#follow-id").input_value() == "l"
    await stage.press("End")
    await live(page)


@slow
async def test_a_late_picture_takes_the_place_of_no_later_one(
    server: ScriptedServer, past: ScriptedPast, open_page: OpenPage
) -> None:
    page = (await watching(server, open_page, "#/chunk/chunk-0@350")).page
    await at_tick(page, 350)
    await until(lambda: (200, 299) in past.asked)  # the block before is read, too
    past.go.clear()
    asked = len(past.asked)
    slider = page.locator(SLIDER)
    await slider.press("Shift+ArrowRight")
    await expect(page.locator("#time")).to_have_class(re.compile("busy"))
    await until(lambda: (600, 699) in past.asked)
    await slider.press("Shift+ArrowLeft")
    await at_tick(page, 350)
    await standing(page, "ada", x_at(350), 25)
    assert past.asked[asked:] == [(600, 699)]
    async with page.expect_response(lambda answer: "history?from=600&" in answer.url) as late:
        past.go.set()
    await (await late.value).finished()
    await at_tick(page, 350)
    await standing(page, "ada", x_at(350), 25)
    await slider.press("Shift+ArrowRight")
    await at_tick(page, 650)
    await standing(page, "ada", x_at(650), 25)
    assert past.asked.count((600, 699)) == 1, "it was kept"


@slow
async def test_a_server_that_is_busy_is_asked_again(
    server: ScriptedServer, past: ScriptedPast, open_page: OpenPage
) -> None:
    past.refuses = [503, 429]
    page = (await watching(server, open_page, "#/chunk/chunk-0@777")).page
    await at_tick(page, 777)
    await standing(page, "ada", x_at(777), 25)
    assert past.refuses == []
    await expect(page.locator("#time-note")).to_be_hidden()


@slow
async def test_what_is_missing_is_drawn_and_said(
    server: ScriptedServer, past: ScriptedPast, open_page: OpenPage
) -> None:
    past.gaps = [(500, 699, "missing"), (900, 999, "<img src=x onerror=alert(1)>")]
    past.oldest = 200
    page = (await watching(server, open_page, "#/chunk/chunk-0@650")).page
    curtain = page.locator("#curtain")
    await expect(curtain).to_contain_text("lost")
    longer, shorter = await boxes(page, ".time-gap", count=2)
    assert longer["width"] == pytest.approx(2 * shorter["width"], abs=3)
    assert shorter["x"] > longer["x"] + longer["width"] > longer["x"] + 20
    await expect(page.locator("#agents > li")).to_have_count(0)
    await page.locator(SLIDER).press("Shift+ArrowRight")
    await expect(curtain).to_contain_text("<img src=x")
    await page.locator(SLIDER).press("Home")
    await at_tick(page, 200)
    await expect(curtain).to_be_hidden()
    await standing(page, "ada", x_at(200), 25)
    await page.mouse.move(*await place(page, (600 - 200) / (NEWEST - 200)))
    await expect(page.locator("#time-tip")).to_contain_text("lost")


@slow
async def test_an_older_link_than_what_is_kept(server: ScriptedServer, past: ScriptedPast, open_page: OpenPage) -> None:
    past.oldest = 1_000
    past.gaps = [(0, 999, "before_first")]
    page = (await watching(server, open_page, "#/chunk/chunk-0@50")).page
    await expect(page.locator("#curtain")).to_contain_text("CHUNKCRAWL_RECORDINGS_KEEP_DAYS")
    await page.locator("#curtain button").click()
    await live(page)


@slow
async def test_nothing_to_look_back_at(server: ScriptedServer, past: ScriptedPast, open_page: OpenPage) -> None:
    past.oldest = None
    page = (await open_page(less_motion=True)).page
    await page.goto(f"{server.base}/watch")
    note = page.locator("#time-note")
    await expect(note).to_contain_text("Nothing is kept yet")
    await expect(page.locator(SLIDER)).to_have_attribute("aria-disabled", "true")
    await expect(page.locator("#time-play")).to_be_disabled()
    past.recorded = False
    await page.reload()
    await expect(note).to_contain_text("CHUNKCRAWL_RECORDINGS=true")
    past.oldest = 1_900
    await page.reload()
    await expect(page.locator(SLIDER)).to_have_attribute("aria-disabled", "false")
    await expect(note).to_be_hidden()
    await page.locator("#time-play").click()
    await expect(note).to_contain_text("only the last minute")


@slow
async def test_playing_goes_on_into_the_present(
    server: ScriptedServer, past: ScriptedPast, open_page: OpenPage
) -> None:
    start = NEWEST - 60
    past.pace_s = 0.01
    page = (await watching(server, open_page, f"#/chunk/chunk-0@{start}")).page
    await at_tick(page, start)
    await page.locator("#time-speed").select_option("8")
    assert past.played == []
    past.go.clear()
    play = page.locator("#time-play")
    await expect(play).to_have_attribute("aria-label", "Play")
    await play.click()
    await expect(play).to_have_attribute("aria-label", "Pause")
    await expect(page.locator("#connection")).to_have_attribute("data-phase", "past")
    past.go.set()
    await expect(page.locator("#connection")).to_have_attribute("data-phase", "live")
    assert past.played == [(start + 1, 8.0)]
    await standing(page, "ada", x_at(NEWEST), 25)
    await expect(page.locator("#time")).to_have_attribute("data-mode", "live")
    assert page.url.endswith("#/chunk/chunk-0")
    streams = len(server.resumed)
    server.delta("chunk-0", NEWEST + 1, [agent("ada", 3, 3)])
    await standing(page, "ada", 3, 3)
    assert len(server.resumed) == streams, "it is the same stream"


@slow
async def test_playing_is_held_and_its_speed_changed(
    server: ScriptedServer, past: ScriptedPast, open_page: OpenPage
) -> None:
    past.pace_s = 0.05
    page = (await watching(server, open_page, "#/chunk/chunk-0@1000")).page
    await at_tick(page, 1000)
    await page.locator(SLIDER).press(" ")
    await expect(page.locator("#time")).to_have_attribute("data-mode", "playing")
    await at_tick(page, re.compile(r"^1(0[1-9]|[1-9]\d)\d$"))
    await page.locator("#time-speed").select_option("0.5")
    await expect(page.locator("#connection")).to_have_attribute("data-phase", "past")
    await until(lambda: len(past.played) == 2)
    (first, speed), (second, slower) = past.played
    assert (first, speed, slower) == (1001, 1.0, 0.5)
    assert second > 1001
    await page.locator(SLIDER).press(" ")
    await expect(page.locator("#time")).to_have_attribute("data-mode", "still")
    tick = await held_at(page)
    assert tick >= second - 1
    await at_tick(page, tick)
    await standing(page, "ada", x_at(tick), 25)


@slow
async def test_a_link_shows_the_same_picture_on_another_page(
    server: ScriptedServer, past: ScriptedPast, open_page: OpenPage
) -> None:
    one = (await watching(server, open_page)).page
    await one.context.grant_permissions(["clipboard-read", "clipboard-write"])
    slider = one.locator(SLIDER)
    await slider.press("Home")
    await slider.press("ArrowRight")
    for _ in range(3):
        await slider.press("Shift+ArrowRight")
    for key in (".", ".", ".", ",", "ArrowRight", "."):
        await slider.press(key)
    tick = 26 + 3 * 300 + 3 - 1 + 25 + 1
    await at_tick(one, tick)
    await one.locator("#time-link").click()
    await expect(one.locator("#toasts")).to_contain_text("copied")
    link = await one.evaluate("navigator.clipboard.readText()")
    assert link == f"{server.base}/watch#/chunk/chunk-0@{tick}"
    other = (await open_page(less_motion=True)).page
    await other.goto(link)
    await at_tick(other, tick)
    for page in (one, other):
        await standing(page, "ada", x_at(tick), 25)
        await expect(page.locator("#news > li")).to_have_count(2)  # the block before is read, too
        await resting(page)
    # on a slow machine lists are drawn later than that
    async with asyncio.timeout(DEADLINE_MS / 1000):
        while await seen(one) != await seen(other):
            await asyncio.sleep(0.1)


@slow
async def test_marks_and_how_much_the_line_shows(
    server: ScriptedServer, past: ScriptedPast, open_page: OpenPage
) -> None:
    page = (await watching(server, open_page)).page
    marks = page.locator(".time-mark")
    await expect(marks).to_have_count(len(past.marks))
    first, box, last = await boxes(page, *(f'.time-mark[data-tick="{tick}"]' for tick in (110, 1010, 1910)), count=3)
    assert last["x"] - first["x"] > 100
    assert box["x"] == pytest.approx((first["x"] + last["x"]) / 2, abs=4)
    await page.mouse.move(box["x"] + 1, (await place(page, 0))[1])
    await expect(page.locator("#time-tip")).to_contain_text("1 message")
    await page.locator("#time-span").select_option("Infinity")
    await expect(marks).to_have_count(len(past.marks))
    past.marks_from, past.marks = None, []
    await page.locator("#time-span").select_option("10")
    await expect(page.locator("#time-note")).to_contain_text("What happened when")


@slow
async def test_fingers(server: ScriptedServer, past: ScriptedPast, open_page: OpenPage) -> None:
    page = (await watching(server, open_page, **PHONE)).page
    await page.touchscreen.tap(*await place(page, 0.5))
    await expect(page.locator("#connection")).to_have_attribute("data-phase", "past")
    tick = await held_at(page)
    assert 800 < tick < 1200
    await standing(page, "ada", x_at(tick), 25)
    await page.locator("#time-back").tap()
    await at_tick(page, tick - 1)
    await page.locator("#time-live").tap()
    await live(page)


@slow
async def test_who_follows_an_agent_comes_back_to_it(
    server: ScriptedServer, past: ScriptedPast, open_page: OpenPage
) -> None:
    server.homes["ada"] = "chunk-0"
    page = (await watching(server, open_page, "#/agent/ada")).page
    await expect(page.locator("#followed-name")).to_have_text("ada")
    await page.locator(SLIDER).press("Home")
    await at_tick(page, 1)
    await standing(page, "ada", x_at(1), 25)
    await expect(page.locator("#followed")).to_be_hidden()
    await page.locator("#time-live").click()
    await expect(page.locator("#followed-name")).to_have_text("ada")
    assert page.url.endswith("#/agent/ada")
    await live(page)


@slow
async def test_a_sheet_over_a_moment_comes_and_goes(
    server: ScriptedServer, past: ScriptedPast, open_page: OpenPage
) -> None:
    page = (await watching(server, open_page, "#/chunk/chunk-0@350")).page
    await standing(page, "ada", x_at(350), 25)
    await page.locator(SLIDER).press(".")
    await at_tick(page, 351)
    await page.locator("#leaders-button").click()
    await expect(page.locator("#leaders-dialog")).to_be_visible()
    await page.locator("#leaders-dialog .sheet-close").click()
    await expect(page.locator("#leaders-dialog")).to_be_hidden()
    assert page.url.endswith("#/chunk/chunk-0@351")
    await at_tick(page, 351)
    await expect(page.locator("#time")).to_have_attribute("data-mode", "still")
    assert past.asked.count((300, 399)) == 1


# -- for everybody --

SMALL = """(least) => [...document.querySelectorAll("button, input, select, [role=slider]")]
  .filter((node) => node.checkVisibility() && !node.closest("dialog:not([open])"))
  .map((node) => [node.id || node.className, node.getBoundingClientRect()])
  .filter(([, box]) => box.width < least || box.height < least)
  .map(([name, box]) => `${name} ${Math.round(box.width)} x ${Math.round(box.height)}`)"""
OUTSIDE = """() => {
  const bar = document.querySelector("#time").getBoundingClientRect();
  const all = document.querySelectorAll("#time button, #time select, #time-slider, #time-said");
  const parts = [...all].filter((node) => node.checkVisibility());
  const boxes = parts.map((node) => [node.id, node.getBoundingClientRect()]);
  const out = (box) => box.left < bar.left - 1 || box.right > bar.right + 1 || box.bottom > bar.bottom + 1;
  const outside = boxes.filter(([, box]) => out(box));
  const over = boxes.flatMap(([one, a], i) => boxes.slice(i + 1)
    .filter(([, b]) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
    .map(([other]) => `${one} on ${other}`));
  const wide = document.documentElement.scrollWidth - innerWidth;
  return { outside: outside.map(([id]) => id), over, bottom: bar.bottom, wide };
}"""
SIZES: dict[str, dict[str, Any]] = {
    "desktop": {"width": 1400, "height": 900},
    "small desktop": {"width": 1180, "height": 700},
    "tablet": {"width": 1000, "height": 760},
    "phone": PHONE,
    "small phone": {"width": 320, "height": 568, "phone": True},
    "flat phone": {"width": 844, "height": 390, "phone": True},
}


@slow
@pytest.mark.parametrize("name", SIZES)
async def test_there_is_room_for_it_at_any_size(
    server: ScriptedServer, past: ScriptedPast, open_page: OpenPage, name: str
) -> None:
    size = SIZES[name]
    page = (await watching(server, open_page, **size)).page
    await live(page)
    for held in (False, True):
        if held:
            await page.locator("#time-play").click()
            await expect(page.locator("#time")).to_have_attribute("data-mode", "still")
            await expect(page.locator("#chunk-name")).to_have_text("chunk-0")
        found = await page.evaluate(OUTSIDE)
        assert (found["outside"], found["over"]) == ([], [])
        assert found["wide"] <= 0
        assert found["bottom"] <= size["height"]
        least = 44 if name == "phone" else 24
        assert await page.evaluate(SMALL, least) == []
        stage = await page.locator("#stage").bounding_box()
        assert stage is not None
        assert min(stage["width"], stage["height"]) >= 240


@slow
@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("name", ["desktop", "phone"])
async def test_it_can_be_read_in_light_and_dark(
    server: ScriptedServer, past: ScriptedPast, open_page: OpenPage, name: str, colours: str
) -> None:
    past.gaps = [(1_400, 1_550, "missing")]
    past.marks += [
        {"tick": tick, "kind": kind, "count": 1}
        for kind, every in (("crossing", 130), ("harvest", 37), ("join", 410), ("leave", 470))
        for tick in range(every, NEWEST, every)
    ]
    screen = await watching(server, open_page, colours=colours, **SIZES[name])
    page = screen.page
    await live(page)
    await expect(page.locator(".time-mark")).not_to_have_count(0)
    await screen.shot(f"time-live-{name}-{colours}")
    for route in ("", "#/chunk/chunk-0@913", "#/chunk/chunk-0@1500"):
        if route:
            await page.goto(f"{server.base}/watch{route}")
            await at_tick(page, int(route.rpartition("@")[2]))
            await expect(page.locator("#connection")).to_have_attribute("data-phase", "past")
            if name == "desktop":
                await page.mouse.move(*await place(page, 0.45))
            await page.wait_for_timeout(700)
            await screen.shot(f"time-{route.rpartition('@')[2]}-{name}-{colours}")
        found = await page.evaluate(MEASURE)
        assert [text for text in found["texts"] if text[2] < TEXT_LEAST] == []
        bar = {pair: ratio for pair, ratio in found["pairs"].items() if pair.endswith("/bar")}
        assert any("mark-harvest" in pair for pair in bar)
        hollow = "time-live-mark/bar"  # a ring while it is not live
        assert {pair: ratio for pair, ratio in bar.items() if ratio < SHAPE_LEAST and pair != hollow} == {}
