"""The page before a server that says odd things, late things and nothing: what stands where, what is still shown."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.chromium import DEADLINE_MS, OpenPage, needs_chromium
from tests.browser.looking import live, row
from tests.browser.scripted import ScriptedServer, agent, gold, scripted

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=DEADLINE_MS)

PHONE: dict[str, Any] = {"width": 390, "height": 844, "phone": True}
SMALL_PHONE: dict[str, Any] = {"width": 320, "height": 568, "phone": True}
FLAT_PHONE: dict[str, Any] = {"width": 844, "height": 390, "phone": True}
DESKTOP: dict[str, Any] = {"width": 1280, "height": 800}
TABLET: dict[str, Any] = {"width": 1000, "height": 760}
SCREENS = {"desktop": DESKTOP, "tablet": TABLET, "phone": PHONE, "small phone": SMALL_PHONE, "flat phone": FLAT_PHONE}

#: Beside every opening, where doors would come to lie.
GOLD = [gold(f"g-{number}", *cell) for number, cell in enumerate([(22, 47), (27, 2), (2, 22), (47, 27), (22, 49)])]
LONG = "colony-of-the-northern-lights-scout-000"


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted() as server:
        server.add_chunk("chunk-0", *GOLD, N="chunk-113", E="chunk-100", S="chunk-18", W=None)
        server.add_chunk("chunk-113", S="chunk-0", open_sides="S")
        server.delta("chunk-0", 100, [agent("ada", 25, 25), agent("bob", 20, 25)])
        server.delta("chunk-113", 90, [agent("eve", 25, 25)])
        yield server


async def watching(server: ScriptedServer, open_page: OpenPage, route: str = "", **screen: Any) -> Page:
    page = (await open_page(less_motion=True, **screen)).page
    await page.goto(f"{server.base}/watch{route}")
    await live(page)
    await expect(page.locator("#chunk-facts")).to_contain_text("agent")
    await expect(page.locator("#chunks button")).not_to_have_count(0)
    return page


# -- doors --

SEEN = """
const visible = (node) => node.checkVisibility({ visibilityProperty: true });
const seen = (query) => [...document.querySelectorAll(query)].filter(visible);
const box = (node) => { const b = node.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; };
"""
BOXES = f"""() => {{
  {SEEN}
  const all = (query) => seen(query).map((node) => [node.className || node.id, box(node)]);
  const stage = box(document.querySelector("#stage"));
  return {{ stage, doors: all(".door"), others: all(".place, .legend, .zoom, .chosen") }};
}}"""


def overlap(one: list[float], other: list[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


async def covered(page: Page) -> list[tuple[str, str]]:
    """Doors that lie upon something else, or out of the stage."""
    found = await page.evaluate(BOXES)
    stage = found["stage"]
    faults = [(door, name) for door, box in found["doors"] for name, other in found["others"] if overlap(box, other)]
    for door, box in found["doors"]:
        if box[0] < stage[0] - 1 or box[1] < stage[1] - 1 or box[2] > stage[2] + 1 or box[3] > stage[3] + 1:
            faults.append((door, "outside"))
    return faults


GOLD_UNDER_DOORS = f"""() => {{
  {SEEN}
  const doors = seen(".door").map(box), canvas = document.querySelector("#canvas"), [left, top] = box(canvas);
  const {{ data, width, height }} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const ratio = canvas.width / canvas.clientWidth;
  const gold = getComputedStyle(document.documentElement).getPropertyValue("--map-gold").trim();
  const [r, g, b] = [1, 3, 5].map((from) => Number.parseInt(gold.slice(from, from + 2), 16));
  let pixels = 0, under = 0;
  for (let i = 0; i < width * height; i += 1) {{
    if (data[4 * i] !== r || data[4 * i + 1] !== g || data[4 * i + 2] !== b) continue;
    const [x, y] = [left + (i % width) / ratio, top + Math.floor(i / width) / ratio];
    pixels += 1;
    under += doors.some((door) => x > door[0] && x < door[2] && y > door[1] && y < door[3]);
  }}
  return {{ pixels, under }};
}}"""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ("desktop", "phone") else [pytest.mark.slow]) for name in SCREENS]
)
async def test_doors_cover_neither_words_nor_gold_at_any_size(
    server: ScriptedServer, open_page: OpenPage, name: str
) -> None:
    server.delta(
        "chunk-0", 101, [agent("ada", 25, 25), agent("bob", 20, 25), *(agent(f"n-{i}", i, 25) for i in range(9))]
    )
    page = await watching(server, open_page, **SCREENS[name])
    assert len((await page.evaluate(BOXES))["doors"]) == 4
    assert await covered(page) == []
    found = await page.evaluate(GOLD_UNDER_DOORS)
    assert found["pixels"] > 30
    assert found["under"] == 0
    for _ in range(3):
        await page.locator("#zoom-in").click()
        await asyncio.sleep(0.15)
        assert await covered(page) == []
        assert (await page.evaluate(GOLD_UNDER_DOORS))["under"] == 0


async def drag(page: Page, dx: int, dy: int) -> None:
    box = await page.locator("#canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x + dx, y + dy, steps=8)
    await page.mouse.up()
    await asyncio.sleep(0.15)


async def test_doors_move_with_the_map_and_are_away_with_their_openings(
    server: ScriptedServer, open_page: OpenPage
) -> None:
    page = await watching(server, open_page, **DESKTOP)
    north = page.locator(".door-N")
    await expect(north).to_be_visible()
    await page.locator("#zoom-in").click()
    await expect(north).to_be_hidden()
    await drag(page, 0, 2000)
    await expect(north).to_be_visible()
    before = await north.bounding_box()
    assert before is not None
    await drag(page, 60, 0)
    after = await north.bounding_box()
    assert after is not None
    assert after["x"] - before["x"] == pytest.approx(60, abs=8)
    assert after["y"] == pytest.approx(before["y"], abs=1)
    assert await covered(page) == []
    await drag(page, -2000, 0)  # the opening is under the title then, or out of sight
    assert await covered(page) == []
    await north.evaluate("door => door.click()")
    await expect(page.locator("#chunk-name")).to_have_text("chunk-113")


# -- news --


async def news(page: Page) -> list[str]:
    texts = await page.locator("#news > li .news-text").all_text_contents()
    return [" ".join(text.split()) for text in texts]


def said(text: str, who: str = "ada") -> dict[str, Any]:
    return {"type": "chat", "from": who, "text": text}


async def test_news_are_in_order_and_told_once_also_after_a_replay(server: ScriptedServer, open_page: OpenPage) -> None:
    server.homes["ada"] = "chunk-0"
    page = await watching(server, open_page, "#/agent/ada", **DESKTOP)
    move = {"agent_id": "ada", "from_chunk_id": "chunk-0", "to_chunk_id": "chunk-113", "tick": 120}
    deltas = [server.deltas["chunk-0"] | {"tick": tick, "events": [said(f"at {tick}")]} for tick in (105, 110, 115)]
    # An owner that comes back is told the agent's own events first, then what happened around it meanwhile.
    for _ in range(2):
        server.send("agent ada", "chunk_transition", move | {"to_chunk_id": "chunk-0", "from_chunk_id": "chunk-9"})
        for delta in deltas:
            server.send("agent ada", "chunk_delta", delta)
        server.send("agent ada", "resync_required", {"chunk_id": "chunk-0"})
        server.send("agent ada", "chunk_static", server.chunks["chunk-0"])
        server.send("agent ada", "chunk_delta", deltas[-1])
    await expect(page.locator("#news > li")).to_have_count(5)
    assert await news(page) == [
        "ada went from chunk-9 to chunk-0",
        "Caught up with the present; what was missed is no longer kept",
        "ada at 115",
        "ada at 110",
        "ada at 105",
    ]


async def test_who_comes_back_to_a_chunk_is_not_told_its_last_news_again(
    server: ScriptedServer, open_page: OpenPage
) -> None:
    page = await watching(server, open_page, **DESKTOP)
    server.delta("chunk-0", 101, events=[said("hello")])
    await expect(page.locator("#news > li")).to_have_count(1)
    await page.locator(".door-N").click()
    await expect(page.locator("#chunk-name")).to_have_text("chunk-113")
    await expect(page.locator("#news")).to_have_class(re.compile("empty"))
    await page.locator(".door-S").click()
    await expect(page.locator("#chunk-name")).to_have_text("chunk-0")
    await expect(page.locator("#news > li")).to_have_count(1)
    await asyncio.sleep(0.3)
    assert await news(page) == ["ada hello"]


# -- what is not there --


async def nothing_is_shown(page: Page) -> None:
    await expect(page.locator("#agents > li")).to_have_count(0)
    await expect(page.locator("#news > li")).to_have_count(0)
    for panel in ("agents", "news"):
        await expect(page.locator(f"#{panel}")).to_have_attribute("data-note", "No chunk is shown.")
    await expect(page.locator("#agents-count")).to_have_text("")
    await expect(page.locator(".door:visible")).to_have_count(0)
    await expect(page.locator(".bubble:visible")).to_have_count(0)
    assert "gold" not in await page.locator("#chunk-facts").inner_text()


@pytest.mark.parametrize("screen", ["desktop", "phone"])
async def test_a_chunk_that_is_not_there_shows_nothing_of_the_one_before(
    server: ScriptedServer, open_page: OpenPage, screen: str
) -> None:
    page = await watching(server, open_page, **SCREENS[screen])
    server.delta("chunk-0", 101, events=[said("hello")])
    await expect(page.locator("#news > li")).to_have_count(1)
    await page.evaluate("location.hash = '#/chunk/chunk-77'")
    await expect(page.locator("#curtain")).to_contain_text("There is no such chunk.")
    await expect(page.locator("#chunk-name")).to_have_text("chunk-77")
    await expect(page.locator("#chunk-facts")).to_have_text("does not exist")
    await nothing_is_shown(page)
    assert await page.title() == "chunk-77 · Chunkcrawl"
    await expect(page.locator("#announcer")).to_contain_text("chunk-77 is not there")
    await page.get_by_role("button", name="Watch chunk-0").click()
    await expect(page.locator(row("ada"))).to_be_attached()
    await expect(page.locator("#curtain")).to_be_hidden()
    await expect(page.locator("#news > li")).to_have_count(1)


async def test_a_removed_chunk_is_emptied(server: ScriptedServer, open_page: OpenPage) -> None:
    page = await watching(server, open_page, "#/chunk/chunk-113", **DESKTOP)
    server.delta("chunk-113", 101, events=[said("hello")])
    await expect(page.locator("#news > li")).to_have_count(1)
    server.send("chunk-113", "chunk_closed", {"chunk_id": "chunk-113"})
    await expect(page.locator("#curtain")).to_contain_text("chunk-113 is gone")
    await expect(page.locator("#chunk-facts")).to_have_text("removed")
    await nothing_is_shown(page)


async def test_an_agent_that_may_not_be_followed_shows_nothing_and_says_why(
    server: ScriptedServer, open_page: OpenPage
) -> None:
    server.agents_refused["nobody"] = "agent_not_owned"
    page = await watching(server, open_page, **DESKTOP)
    await page.evaluate("location.hash = '#/agent/nobody'")
    await expect(page.locator("#curtain")).to_contain_text("nobody can't be followed")
    await nothing_is_shown(page)
    await expect(page.locator("#follow-problem")).to_be_visible()
    await expect(page.locator("#follow-id")).to_have_value("nobody")


async def test_an_agent_that_leaves_takes_its_surroundings_along(server: ScriptedServer, open_page: OpenPage) -> None:
    server.homes["ada"] = "chunk-0"
    page = await watching(server, open_page, "#/agent/ada", **DESKTOP)
    server.send("agent ada", "heartbeat", {"agent_id": "ada", "agent_online": False})
    await expect(page.locator("#curtain")).to_contain_text("ada is not in the world")
    await nothing_is_shown(page)
    server.send("agent ada", "chunk_static", server.chunks["chunk-0"])
    server.send("agent ada", "chunk_delta", server.deltas["chunk-0"])
    await expect(page.locator("#curtain")).to_be_hidden()
    await expect(page.locator(row("ada"))).to_be_attached()
    await expect(page.locator(".door-N")).to_be_visible()


async def test_before_a_server_that_does_not_answer_the_page_says_so_and_goes_on_by_itself(
    server: ScriptedServer, open_page: OpenPage
) -> None:
    server.away = True
    page = (await open_page(**DESKTOP)).page
    await page.goto(f"{server.base}/watch")
    await expect(page.locator("#curtain")).to_contain_text("does not answer")
    await expect(page.locator("#chunk-name")).to_have_text("chunk-0")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Escape")
    button = page.locator("#curtain-buttons").get_by_text("Try now")
    await expect(button).to_be_visible()
    server.away = False
    # Not by the mouse: the page goes on by itself, and may have done so while the mouse is on its way.
    await button.evaluate("button => button.click()")
    await expect(page.locator("#curtain")).to_be_hidden()
    await expect(page.locator(row("ada"))).to_be_attached()


async def test_a_device_that_is_offline_says_so_and_comes_back_at_once(
    server: ScriptedServer, open_page: OpenPage
) -> None:
    page = await watching(server, open_page, **DESKTOP)
    await page.context.set_offline(True)
    await page.evaluate("location.hash = '#/chunk/chunk-113'")
    await expect(page.locator("#curtain")).to_contain_text("This device is offline")
    await nothing_is_shown(page)
    await page.context.set_offline(False)
    await expect(page.locator("#curtain")).to_be_hidden()
    await expect(page.locator(row("eve"))).to_be_attached()


# -- who is who --


async def test_agents_in_sight_look_different_and_the_chosen_ones_whole_name_is_shown(
    server: ScriptedServer, open_page: OpenPage
) -> None:
    names = [f"{LONG}{number}" for number in range(8)]
    server.delta("chunk-0", 101, [agent(name, 18 + place, 25) for place, name in enumerate(names)])
    page = await watching(server, open_page, **DESKTOP)
    await expect(page.locator("#agents > li")).to_have_count(8)
    tokens = page.locator("#agents .token")
    assert len(set(await tokens.all_text_contents())) == 8
    assert len(set(await tokens.evaluate_all("nodes => nodes.map((node) => node.style.backgroundColor)"))) == 8
    shown = await page.locator("#agents .row-name").all_inner_texts()
    assert len(set(shown)) == 8
    cut = "nodes => nodes.filter((node) => node.scrollWidth > node.clientWidth).length"
    assert await page.locator("#agents .row-name").evaluate_all(cut) == 0
    await page.locator(f"{row(names[3])} .row").click()
    await expect(page.locator("#chosen-name")).to_have_text(names[3])
    await expect(page.locator(f"{row(names[3])} .row-name")).to_have_text(names[3])
    assert await page.locator("#chosen-name").evaluate_all(cut) == 0
    assert await covered(page) == []


HOSTILE = '<img src=x onerror="document.title=1">\u202e{{7*7}}\u001b[2J'


async def test_names_and_texts_of_strangers_stay_text(server: ScriptedServer, open_page: OpenPage) -> None:
    odd = ["__proto__", "constructor", "toString"]
    agents = [agent(agent_id, 20 + place, 25) for place, agent_id in enumerate(odd)]
    agents += [agent("eve", 25, 25, HOSTILE, HOSTILE), agent("__proto__x", 26, 25, "__proto__")]
    server.add_chunk("chunk-0", gold("__proto__", 22, 47), gold("constructor", 27, 47), N="chunk-113")
    spent = [{"node_id": "__proto__", "remaining": 5, "state": "available"}]
    server.delta("chunk-0", 101, agents, [said(HOSTILE, "eve"), said("__proto__", "__proto__")], resources=spent)
    page = await watching(server, open_page, **DESKTOP)
    await expect(page.locator("#agents > li")).to_have_count(5)
    await expect(page.locator("#chunk-facts")).to_have_text("5 agents · 0 creatures · 25 gold")
    await expect(page.locator("#news > li")).to_have_count(2)
    await expect(page.locator("#news")).to_contain_text("onerror")
    assert await page.locator("#agents img, #news img, #bubbles img").count() == 0
    assert await page.title() == "chunk-0 · Chunkcrawl"
    await page.locator(f"{row('__proto__')} .row").click()
    await expect(page.locator("#chosen-name")).to_have_text("__proto__")
    server.homes["__proto__"] = "chunk-0"
    await page.locator(f"{row('__proto__')} .row-follow").click()
    await expect(page.locator("#followed-name")).to_have_text("__proto__")
    await expect(page.locator("#stat-gold")).to_have_text("7")
    echo = {"type": "say", "text": HOSTILE}
    ack = {"server_cmd_id": "__proto__", "accepted": True, "started_tick": 1, "echo": echo}
    server.send("agent __proto__", "command_ack", ack)
    server.send("agent __proto__", "command_ack", {"server_cmd_id": "b", "accepted": False, "reason": "constructor"})
    commands = page.locator("#commands > li")
    await expect(commands).to_have_count(2)
    await expect(commands.last.locator(".command-what")).to_contain_text("onerror")
    await expect(commands.first.locator(".command-more")).to_have_text("constructor")


# -- behind a proxy --


async def test_the_page_works_below_a_path(open_page: OpenPage) -> None:
    async with scripted("/games/chunk.crawl") as server:
        server.add_chunk("chunk-0", N="chunk-1")
        server.add_chunk("chunk-1", S="chunk-0")
        server.delta("chunk-0", 5, [agent("ada", 25, 25)])
        server.homes["ada"] = "chunk-0"
        screen = await open_page(**DESKTOP)
        page = screen.page
        await page.goto(f"{server.base}/watch/")  # a slash too many
        await live(page)
        assert page.url.removesuffix("#").endswith("/games/chunk.crawl/watch")
        await expect(page.locator(row("ada"))).to_be_attached()
        await expect(page.locator("#chunks button")).to_have_count(2)
        await page.locator(f"{row('ada')} .row-follow").click()
        await expect(page.locator("#followed-place")).to_have_text("in chunk-0")
        await page.locator("#unfollow").click()
        await page.locator(".door-N").click()
        await expect(page.locator("#chunk-name")).to_have_text("chunk-1")
        assert [url for url in screen.requests if not url.startswith(server.base)] == []
