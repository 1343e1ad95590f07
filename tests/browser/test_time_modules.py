"""The time line's pure modules, each by itself, in the engine that runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.chromium import needs_chromium
from tests.browser.modules import module_page, run
from tests.browser.scripted import agent, gold, terrain
from tests.browser.scripted_past import ScriptedPast

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]

NEWEST = 350


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    async with module_page(browser) as page:
        yield page


@pytest.fixture
def past() -> ScriptedPast:
    """Somebody walks to and fro, a gold node shrinks, and a chunk in the north opens at tick 130."""
    sides = {"N": None, "E": None, "S": None, "W": None}
    static = {
        "chunk_id": "chunk-0",
        "tiles": terrain(),
        "resource_nodes": [gold("g", 30, 30)],
        "neighbors": sides,
    }
    past = ScriptedPast(static, NEWEST)
    for tick in range(1, NEWEST + 1):
        events: list[dict[str, Any]] = [{"type": "chat", "from": "ada", "text": str(tick)}] if tick % 10 == 0 else []
        if tick == 130:
            events.append({"type": "neighbor_linked", "dir": "N", "chunk_id": "chunk-5"})
        left = [{"node_id": "g", "remaining": 20 - tick // 20, "state": "available", "version": tick}]
        past.tell(tick, [agent("ada", 20 + tick % 10, 25)], events, resources=left)
    return past


# -- pages --

PAGES = """
const asked = [];
const known = new Map(given.pages);
const pages = new m.PastPages("chunk-0", async (id, from, to) => {
  asked.push([from, to]);
  const page = known.get(from);
  if (!page) throw new Error(`nothing from ${from}`);
  return page;
});
"""


def pages_of(past: ScriptedPast, *firsts: tuple[int, int]) -> list[list[Any]]:
    return [[first, past.page(first, last, 500)] for first, last in firsts]


async def test_a_block_is_asked_for_once(page: Page, past: ScriptedPast) -> None:
    body = (
        PAGES
        + """
    const blocks = [];
    for (const tick of [105, 199, 100]) {
      const known = pages.known(tick);
      const block = known ?? await pages.read(tick);
      blocks.push([known !== null, block.upto, block.whole, m.lookUp(block, tick).what]);
    }
    return { asked, blocks, beside: pages.known(200) };
    """
    )
    found = await run(page, "time/pages.js", body, {"pages": pages_of(past, (100, 199))})
    assert found["asked"] == [[100, 199]]
    assert found["blocks"] == [[False, 199, True, "shown"], [True, 199, True, "shown"], [True, 199, True, "shown"]]
    assert found["beside"] is None


async def test_what_still_grows_is_asked_for_again(page: Page, past: ScriptedPast) -> None:
    body = (
        PAGES
        + """
    await pages.read(340);
    return { upto: pages.known(350)?.upto, later: pages.known(351), asked };
    """
    )
    found = await run(page, "time/pages.js", body, {"pages": pages_of(past, (300, 399))})
    assert found == {"upto": 350, "later": None, "asked": [[300, 399]]}


async def test_gaps_and_what_was_not_there(page: Page, past: ScriptedPast) -> None:
    past.gaps = [(120, 150, "missing")]
    del past.deltas[100]
    body = (
        PAGES
        + """
    const block = await pages.read(110);
    const none = { state: null, chunk_static: null, gap: null };
    const before = { parts: [{ ...given.pages[0][1], ...none }], upto: 199, whole: true };
    const gone = { parts: [{ ...given.pages[0][1], closed_tick: 105 }], upto: 105, whole: true };
    return {
      asked,
      looks: [110, 119, 120, 150, 151].map((tick) => m.lookUp(block, tick)).map(({ what, reason }) => reason ?? what),
      odd: [m.lookUp(before, 110).what, m.lookUp(gone, 104).what, m.lookUp(gone, 105).what],
    };
    """
    )
    found = await run(page, "time/pages.js", body, {"pages": pages_of(past, (100, 199), (120, 199))})
    assert found["asked"] == [[100, 199], [120, 199]]
    assert found["looks"] == ["shown", "shown", "missing", "missing", "shown"]
    assert found["odd"] == ["absent", "shown", "closed"]


async def test_what_is_not_written_yet_is_not_kept(page: Page, past: ScriptedPast) -> None:
    past.gaps = [(320, 340, "not_yet_recorded")]
    body = PAGES + "const block = await pages.read(330); return [m.lookUp(block, 330).reason, pages.known(330)];"
    found = await run(page, "time/pages.js", body, {"pages": pages_of(past, (300, 399), (320, 399))})
    assert found == ["not_yet_recorded", None]


async def test_blocks_are_bounded_and_servers_that_lead_nowhere_too(page: Page) -> None:
    body = """
    const part = (from, to, more) => ({ from_tick: from, to_tick: to, gap: null, chunk_static: {}, state: {},
      deltas: [],
      server_ts_ms: [], closed_tick: null, ended: false, next: null, ...more });
    const pages = new m.PastPages("c", async (id, from, to) => part(from, to));
    for (let at = 0; at < 60; at += 1) await pages.read(at * m.BLOCK_TICKS);
    let kept = 0;
    for (let at = 0; at < 60; at += 1) kept += pages.known(at * m.BLOCK_TICKS) ? 1 : 0;
    let asked = 0;
    const liar = new m.PastPages("c", async (id, from) => part(from, from, { next: (asked += 1, from) }));
    await liar.read(0);
    return { kept, most: m.BLOCKS_MAX, asked };
    """
    found = await run(page, "time/pages.js", body)
    assert found["kept"] == found["most"]
    assert found["asked"] <= 8


async def test_steps(page: Page, past: ScriptedPast) -> None:
    del past.deltas[151], past.deltas[152]
    body = (
        PAGES
        + """
    const block = await pages.read(150);
    const of = (tick, way) => m.stepFrom(block, tick, way);
    return [of(150, 1), of(153, -1), of(199, 1), of(100, -1), m.stepFrom(null, 5, 1)];
    """
    )
    found = await run(page, "time/pages.js", body, {"pages": pages_of(past, (100, 199))})
    assert found == [153, 150, 200, 99, 6]


# -- moments --

SEEN = """
const seen = (view) => ({ chunk: view.chunkId, tick: view.tick, agents: [...view.agents.values()],
  gold: view.gold, north: view.neighbors.N });
"""


async def test_a_moment_is_the_same_however_one_comes_there(page: Page, past: ScriptedPast) -> None:
    body = (
        SEEN
        + """
    const [part] = given;
    const at = (ticks) => {
      const moment = new m.Moment();
      const near = ticks.map((tick) => moment.show(part, tick));
      return { near, seen: seen(moment.view) };
    };
    return [at([140]), at([101, 102, 103, 120, 140]), at([199, 140]), at([128, 129, 130, 131])];
    """
    )
    part = past.page(100, 199, 500)
    one, other, back, linked = await run(page, "time/moment.js", body, [part])
    assert one["seen"] == other["seen"] == back["seen"]
    assert one["seen"]["agents"][0]["x"] == 20
    assert one["seen"]["gold"] == 13
    assert one["seen"]["tick"] == 140
    assert one["seen"]["north"] == linked["seen"]["north"] == "chunk-5"
    assert other["near"] == [False, True, True, False, False]
    assert linked["near"] == [False, True, True, True]
    live = past.deltas[140]["agents"]
    assert [(seen["id"], seen["x"], seen["y"]) for seen in one["seen"]["agents"]] == [
        (there["id"], there["x"], there["y"]) for there in live
    ]


async def test_a_story_ends_with_the_moment_and_begins_after_a_hole(page: Page, past: ScriptedPast) -> None:
    past.gaps = [(150, 160, "missing")]
    body = """
    const blocks = given.map((parts) => ({ parts }));
    const events = (tick) => m.eventsOf(m.storyOf(blocks, tick));
    const texts = (tick) => events(tick).filter(({ event }) => event.type === "chat").map(({ event }) => event.text);
    return [texts(120), texts(185), events(100).map(({ tick, index, at }) => [tick, index, at])];
    """
    blocks = [[past.page(0, 99, 500)], [past.page(100, 199, 500), past.page(150, 199, 500)]]
    found = await run(page, "time/moment.js", body, blocks)
    assert found[0] == [str(tick) for tick in range(10, 121, 10)]
    assert found[1] == ["170", "180"]
    assert found[2][-1] == [100, 0, past.ms_of(100)]


# -- scale --


async def test_ticks_and_times(page: Page) -> None:
    body = """
    const scale = new m.Scale([[100, 1000], [200, 21000], [201, 100000]], 5);
    return { ms: [50, 100, 150, 200, 201, 206].map((tick) => scale.msOf(tick)),
      tick: [1000, 11000, 60500, 101000].map((ms) => scale.tickAt(ms)),
      none: new m.Scale([], 5).msOf(1) };
    """
    found = await run(page, "time/scale.js", body)
    assert found["ms"] == [-9000, 1000, 11000, 21000, 100000, 101000]
    assert found["tick"] == [100, 150, 201, 206]
    assert found["none"] is None


async def test_what_the_line_shows(page: Page) -> None:
    body = """
    const of = (at, ticks, before = null) => m.windowOf({ oldest: 1000, live: 9000, at, ticks }, before);
    const middle = of(4000, 3000);
    return [of(9000, 3000), of(6000, 3000), middle, of(5400, 3000, middle), of(2400, 3000, middle), of(1000, 3000),
      of(9000, Infinity), of(2000, Infinity)].map(({ from, to }) => [from, to]);
    """
    found = await run(page, "time/scale.js", body)
    assert found == [
        *([6000, 9000], [6000, 9000], [2500, 5500], [2500, 5500], [1000, 4000], [1000, 4000]),
        *([1000, 9000], [1000, 9000]),
    ]


async def test_words_for_times_and_marks(page: Page) -> None:
    body = """
    const marks = [{ tick: 10, kind: "chat", count: 2 }, { tick: 12, kind: "chat", count: 1 },
      { tick: 12, kind: "leave", count: 1 },
      { tick: 90, kind: "harvest", count: 4 }, { tick: 12, kind: "<b>", count: 1 },
      { tick: 12, kind: "constructor", count: 1 }];
    return { ago: [0, 59_000, 61_000, 3_700_000, 3_600_000, 90_000_000, 172_800_000, -5].map(m.agoText),
      marks: [m.marksText(marks, 11, 3), m.marksText(marks, 90, 0), m.marksText(marks, 50, 5)] };
    """
    found = await run(page, "time/scale.js", body)
    assert found["ago"] == [
        *("0 s ago", "59 s ago", "1 min ago", "1 h 1 min ago", "1 h ago", "1 d 1 h ago", "2 d ago", "0 s ago"),
    ]
    assert found["marks"] == ["3 messages, 1 left the world", "4 harvests", ""]


async def test_addresses_of_moments(page: Page) -> None:
    body = """
    return { to: [m.momentHash("chunk-3", null), m.momentHash("chunk-3", 77)],
      of: ["#/chunk/chunk-3@77", "#/chunk/chunk-3@", "#/chunk/c@1@2", "#/chunk/c@-1", "#/agent/ada@7",
        "#/chunk/c@999999999999999"].map(m.routeOf) };
    """
    found = await run(page, "route.js", body)
    first = {"chunkId": "demo", "agentId": None, "tick": None}
    assert found["to"] == ["#/chunk/chunk-3", "#/chunk/chunk-3@77"]
    assert found["of"] == [{"chunkId": "chunk-3", "agentId": None, "tick": 77}, *[first] * 5]


# -- where in time the page is --

LINE = """
const told = [];
const answer = { recorded: true, now_ms: Date.now(), tick_hz: 5, oldest_tick: 100, newest_tick: 5000,
  points: [[100, Date.now() - 980_000], [5000, Date.now()]],
  gaps: [], gaps_from: 100, marks: [], marks_from: 0, ...given };
const asked = [];
const api = { timeline: async (...what) => (asked.push(what), answer) };
const time = new m.TimeLine(api, {
  lookBack: (tick) => { told.push(["look", tick]); time.still("c", tick); },
  play: (tick, speed) => { told.push(["play", tick, speed]); time.playing("c", tick); },
  live: () => { told.push(["live"]); time.present(); },
  stepTo: (way) => time.at + 10 * way,
  note: (tick, anew) => told.push(["note", tick, anew]),
}, () => {});
time.arrived("c", 5000, Date.now());
const known = async () => {
  while (time.known === null) await new Promise((resolve) => setTimeout(resolve, 5));
};
await known();
"""


async def test_moments_are_held_within_what_is_kept(page: Page) -> None:
    body = (
        LINE
        + """
    time.seek(3000);
    time.seek(7);
    time.step(1);
    time.step(-1);
    time.step(-1);
    const { oldest, mode, at } = time;
    time.seek(9999);
    return { told, oldest, mode, at, after: time.mode };
    """
    )
    found = await run(page, "time/time_line.js", body, {})
    assert found["told"] == [
        *(["look", 3000], ["note", 3000, True], ["look", 100], ["note", 100, False]),
        *(["look", 110], ["note", 110, False], ["look", 100], ["note", 100, False]),
        *(["look", 100], ["note", 100, False], ["live"]),
    ]
    assert (found["oldest"], found["mode"], found["at"], found["after"]) == (100, "still", 100, "live")


async def test_who_drags_is_shown_some_of_it_and_the_end(page: Page) -> None:
    body = (
        LINE
        + """
    for (let tick = 4000; tick > 1000; tick -= 30) time.seek(tick, true);
    const during = told.length;
    const shown = { ...time.window };
    time.seek(1000);
    await new Promise((resolve) => setTimeout(resolve, 200));
    return { during, told, shown };
    """
    )
    found = await run(page, "time/time_line.js", body, {})
    assert found["told"][:2] == [["look", 4000], ["note", 4000, True]]
    assert found["during"] < 20
    assert found["told"][-2:] == [["look", 1000], ["note", 1000, False]]
    assert found["shown"]["to"] >= 5000, "the line stands still under the pointer"


async def test_it_plays_and_is_held(page: Page) -> None:
    body = (
        LINE
        + """
    time.seek(2000);
    time.toggle();
    const waits = time.busyNow;
    time.played(1999);
    time.played(2003);
    time.setSpeed(4);
    time.played(2010);
    time.toggle();
    const held = [time.mode, time.at];
    time.toggle();
    time.reached("c");
    return { told: told.slice(2), waits, held, mode: time.mode };
    """
    )
    found = await run(page, "time/time_line.js", body, {})
    assert found["waits"] is True
    assert found["told"] == [
        *(["play", 2000, 1], ["play", 2003, 4], ["look", 2010], ["note", 2010, False]),
        *(["play", 2010, 4], ["note", None, False]),
    ]
    assert found["held"] == ["still", 2010]
    assert found["mode"] == "live"


async def test_without_a_past_nothing_can_be_done(page: Page) -> None:
    body = (
        LINE
        + """
    time.seek(3);
    time.toggle();
    time.step(-1);
    time.seekBy(-5);
    time.toLive();
    return { told, reachable: time.reachable };
    """
    )
    found = await run(page, "time/time_line.js", body, {"oldest_tick": None, "points": []})
    assert found == {"told": [], "reachable": False}


async def test_the_answer_to_an_earlier_chunk_is_not_taken(page: Page) -> None:
    body = """
    const answers = [];
    const api = { timeline: (chunkId) => new Promise((resolve) => answers.push([chunkId, resolve])) };
    const answer = (oldest_tick) => ({ recorded: true, now_ms: Date.now(), tick_hz: 5, oldest_tick, newest_tick: 50,
      points: [[1, 1000]], gaps: [], gaps_from: 0, marks: [], marks_from: 0 });
    const time = new m.TimeLine(api, {}, () => {});
    time.arrived("a", 50, Date.now());
    time.arrived("b", 51, Date.now());
    answers[1][1](answer(20));
    answers[0][1](answer(10));
    await new Promise((resolve) => setTimeout(resolve, 20));
    return { asked: answers.map(([chunkId]) => chunkId).slice(0, 2), oldest: time.oldest };
    """
    found = await run(page, "time/time_line.js", body)
    assert found == {"asked": ["a", "b"], "oldest": 20}


async def test_looks_of_a_moment_do_not_depend_on_what_was_seen_before(page: Page, past: ScriptedPast) -> None:
    for tick in range(100, 200):
        past.tell(tick, [agent(f"a-{number}", number, 25) for number in range(1, 12) if tick < 150 or number % 2])
    past.tell(170, [agent("late", 1, 25)])
    body = """
    const { comingsOf } = await import("/watch/js/time/moment.js");
    const of = (before, part, ticks) => {
      const looks = new m.Looks();
      for (const ids of before) looks.update(ids.map((id) => ({ id, name: id })));
      for (const tick of ticks) {
        looks.startOver();
        for (const everybody of comingsOf(part, tick)) looks.update(everybody);
        looks.update([{ id: "a-1", name: "a-1" }, { id: "late", name: "late" }]);
      }
      return comingsOf(part, 180).at(-1).map(({ id }) => looks.of(id));
    };
    const cut = { ...given, deltas: given.deltas.filter(({ tick }) => tick <= 180) };
    return [of([], given, [180]), of([["a-9", "z"], ["a-11", "a-3", "q"], ["a-3"]], cut, [190, 100, 150, 180])];
    """
    one, other = await run(page, "state/looks.js", body, past.page(100, 199, 500))
    assert len(one) == 13  # ada was there before
    assert len({(look["fill"], look["mark"]) for look in one}) == 13
    assert one == other


async def test_who_stands_looks_where_it_went_whether_one_saw_it_or_not(page: Page) -> None:
    body = """
    const bodies = (motion) => [...motion.bodies].map(([id, { x, y, dx, dy, fromX }]) => [id, x, y, dx, dy, fromX]);
    const ways = [[[1, 1], [5, 5]], [[2, 1], [5, 5]], [[2, 1]], [[2, 2]], [[2, 2]]];
    const things = ways.map((cells) => cells.map(([x, y], i) => ({ id: String(i), x, y })));
    const seen = new m.Motion(), come = new m.Motion();
    things.forEach((all, i) => seen.update(all, 1000 * i, i === 0));
    come.update(things.at(-1), 5000, true, things.slice(0, -1));
    const moves = [seen.advance(9000), come.advance(5000)];
    return [bodies(seen), bodies(come), moves];
    """
    seen, come, moves = await run(page, "map/motion.js", body)
    assert [one[:5] for one in seen] == [one[:5] for one in come] == [["0", 2, 2, 0, 1]]
    assert come[0][5] == 2
    assert moves == [False, False]


async def test_time_goes_on_where_a_chunk_rests(page: Page) -> None:
    body = (
        LINE
        + """
    time.arrived("c", 100, Date.now() - 100_000);
    const { live } = time;
    time.seek(300);
    time.toggle();
    time.played(120);
    return { live, at: time.at, told };
    """
    )
    found = await run(page, "time/time_line.js", body, {})
    assert 600 <= found["live"] < 1_000
    assert 300 <= found["at"] < 400, "the state of a chunk that rests is older than the moment"
