"""The page's pure modules, each by itself, in the engine that runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.chromium import needs_chromium
from tests.browser.modules import ORIGIN, module_page, run

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    async with module_page(browser) as page:
        yield page


# -- commands and news --

LOG = """
const log = new m.CommandLog();
const changed = given.map(([type, data]) => log.feed(type, data));
return { commands: log.newestFirst, running: log.running?.id ?? null, changed };
"""


async def test_commands_are_put_together_from_their_events(page: Page) -> None:
    move = {"type": "move_to", "x": 3, "y": 4}
    blocked = {"status": "failed", "reason": "blocked", "blocker": {"id": "bob"}, "blocked_at": {"x": 3, "y": 3}}
    events = [
        ["command_challenge", {"server_cmd_id": "a", "difficulty": 2}],
        ["command_ack", {"server_cmd_id": "a", "accepted": True, "started_tick": 7, "echo": move}],
        ["command_result", {"server_cmd_id": "a", "ended_tick": 9} | blocked],
        ["command_result", {"server_cmd_id": "a", "status": "completed", "ended_tick": 10}],
        ["command_challenge", {"server_cmd_id": "b", "difficulty": 2}],
        ["command_ack", {"server_cmd_id": "b", "accepted": False, "reason": "busy"}],
        ["command_result", {"server_cmd_id": "c", "status": "completed", "ended_tick": 11}],
        ["command_ack", {"server_cmd_id": 5, "accepted": True}],
        ["command_ack", {"server_cmd_id": "", "client_cmd_id": "x", "accepted": False, "reason": "rate_limited"}],
        ["command_ack", {"server_cmd_id": "", "client_cmd_id": "y", "accepted": False, "reason": "invalid_cmd"}],
        ["command_ack", {"server_cmd_id": "d", "accepted": True, "echo": {"type": "harvest", "node_id": "n"}}],
    ]
    found = await run(page, "state/commands.js", LOG, events)
    assert found["changed"] == [True, True, True, False, True, True, True, False, True, True, True]
    states = {command["id"]: (command["state"], command["reason"]) for command in found["commands"]}
    assert states == {
        "d": ("running", ""),
        "request y": ("refused", "invalid_cmd"),
        "request x": ("refused", "rate_limited"),
        "c": ("completed", ""),
        "b": ("refused", "busy"),
        "a": ("failed", "blocked"),
    }
    assert found["commands"][-1]["what"] == move
    assert found["running"] == "d"


async def test_logs_are_bounded(page: Page) -> None:
    events = [["command_challenge", {"server_cmd_id": f"c-{number}"}] for number in range(200)]
    commands = (await run(page, "state/commands.js", LOG, events))["commands"]
    assert len(commands) == await run(page, "state/commands.js", "return m.KEPT_MAX")
    assert commands[0]["id"] == "c-199"
    body = """
    const news = new m.News();
    const when = (tick) => ({ chunkId: "chunk-0", tick, at: tick });
    for (let i = 0; i < 3000; i += 1) news.tell({ type: "chat", from: "a", text: String(i) }, when(i));
    return { length: news.items.length, most: m.KEPT_MAX, first: news.items[0].text };
    """
    found = await run(page, "state/news.js", body)
    assert found == {"length": found["most"], "most": found["most"], "first": "2999"}


NEWS = """
const news = new m.News();
const isNew = given.map(([event, tick, more]) => event === "again"
  ? news.startAgain()
  : news.tell({ from: "a", ...event }, { chunkId: "chunk-0", tick, at: tick * 200, ...more }));
return { isNew, items: news.items.map(({ who, text, tick }) => [who, text, tick]) };
"""


async def told(page: Page, *events: Any) -> Any:
    return await run(page, "state/news.js", NEWS, [list(event) for event in events])


def said(text: str, tick: int, **more: Any) -> tuple[dict[str, Any], int, dict[str, Any]]:
    return {"type": "chat", "text": text}, tick, more


async def test_news_stand_in_the_order_in_which_they_happened_whenever_they_are_told(page: Page) -> None:
    late = {"at": 99_000_000}  # of a machine whose clock is ahead: ticks decide
    events = [said("3", 30), said("1", 10, **late), said("5", 50), said("2b", 20, index=1), said("2a", 20, index=0)]
    found = await told(page, *events, said("4", 40, chunkId="chunk-1"))
    assert [text for _, text, _ in found["items"]] == ["5", "4", "3", "2b", "2a", "1"]


async def test_what_is_replayed_is_not_told_twice(page: Page) -> None:
    once = [said("a", 10), said("b", 11), said("a", 11, index=1)]
    found = await told(page, *once, *once)
    assert found["isNew"] == [True] * 3 + [False] * 3
    assert [text for _, text, _ in found["items"]] == ["a", "b", "a"]


async def test_after_a_world_was_put_back_what_comes_is_newer(page: Page) -> None:
    found = await told(page, said("before", 900), ["again"], said("after", 30), said("before", 900))
    assert [text for _, text, _ in found["items"]] == ["before", "after", "before"]


async def test_gold_in_a_row_is_one_harvest_that_stays_where_it_began(page: Page) -> None:
    def unit(who: str, tick: int, **more: Any) -> tuple[dict[str, Any], int]:
        return {"type": "resource_harvest", "by": who, "node_id": "n"} | more, tick

    found = await told(page, unit("a", 10), unit("b", 12), unit("a", 20, amount=2), unit("a", 10), unit("a", 200))
    assert found["items"] == [["a", "took 1 gold", 200], ["b", "took 1 gold", 12], ["a", "took 3 gold", 10]]
    earlier = await told(page, unit("a", 20), said("x", 15), unit("a", 10))
    assert [item[1:] for item in earlier["items"]] == [["x", 15], ["took 2 gold", 10]]


@pytest.mark.parametrize("name", ["__proto__", "constructor", "toString", "<img src=x>"])
async def test_what_every_object_has_is_a_text_like_any_other(page: Page, name: str) -> None:
    body = """
    const { News } = await import("/watch/js/state/news.js");
    const news = new News(), when = { chunkId: given, tick: 1, at: 1 };
    news.tell({ type: "chat", from: given, text: given }, when);
    news.tell({ type: "neighbor_linked", dir: given, chunk_id: given }, when);
    return [m.reasonText(given), m.commandReason(given), m.activityText(given), ...news.items.map(({ text }) => text)];
    """
    texts = await run(page, "ui/words.js", body, name)
    spaced = name.replace("_", " ")
    assert texts == [f"The server says: {name}", spaced, name, f"{name} opened in the side", name]


# -- the map --


async def test_north_is_at_the_top_and_pixels_lead_back_to_cells(page: Page) -> None:
    body = """
    const camera = new m.Camera();
    Object.assign(camera, { width: 800, height: 600 });
    const north = camera.at(10, 49), south = camera.at(10, 0), east = camera.at(49, 0);
    camera.zoomBy(3, 200, 150);
    camera.jump();
    const held = camera.under(200, 150), place = camera.at(held.x, held.y);
    camera.panBy(5000, 5000);
    const corner = camera.under(0, 0);
    camera.zoomBy(0.001);
    camera.jump();
    return { north, south, east, place, corner, zoom: camera.zoom, scale: camera.scale };
    """
    found = await run(page, "map/camera.js", body)
    assert found["north"]["y"] < found["south"]["y"]
    assert found["south"]["x"] < found["east"]["x"]
    assert found["place"] == pytest.approx({"x": 200, "y": 150})
    assert found["corner"]["x"] == pytest.approx(-0.5)  # never beyond the chunk's edge
    # Out to most of the neighbouring chunks, and no farther.
    assert (found["zoom"], found["scale"]) == (0.4, pytest.approx(4.8))


async def test_outlines_of_rooms_holes_and_corners_that_touch(page: Page) -> None:
    body = """
    const cells = new Set(given), inside = (u, v) => cells.has(`${u},${v}`);
    return m.outlines(inside, { left: 0, top: 0, right: 5, bottom: 5 });
    """
    square = await run(page, "map/outline.js", body, ["1,1", "2,1", "1,2", "2,2"])
    assert [sorted(loop) for loop in square] == [[[1, 1], [1, 3], [3, 1], [3, 3]]]
    ring = await run(page, "map/outline.js", body, [f"{u},{v}" for u in range(3) for v in range(3) if (u, v) != (1, 1)])
    assert sorted(sorted(loop) for loop in ring) == [
        [[0, 0], [0, 3], [3, 0], [3, 3]],
        [[1, 1], [1, 2], [2, 1], [2, 2]],
    ]
    touching = await run(page, "map/outline.js", body, ["1,1", "2,2"])
    assert [len(loop) for loop in touching] == [4, 4]


async def test_things_glide_a_step_appear_far_away_and_fade_when_gone(page: Page) -> None:
    body = """
    const motion = new m.Motion(), x = () => motion.bodies.get("a")?.x ?? null;
    const to = (cell, now) => motion.update([{ id: "a", x: cell, y: 0 }], now, false);
    motion.update([{ id: "a", x: 0, y: 0 }], 0, true);
    to(1, 1000);
    const seen = [];
    for (const now of [1000, 1000 + m.GLIDE_MS / 2, 2000]) { motion.advance(now); seen.push(x()); }
    const rests = motion.advance(2000);
    to(20, 3000); motion.advance(3000); seen.push(x());
    motion.update([], 4000, false); motion.advance(4000 + m.FADE_MS / 2);
    const fading = m.opacity(motion.bodies.get("a"), 4000 + m.FADE_MS / 2);
    motion.advance(4000 + m.FADE_MS);
    return { seen, rests, fading, gone: x() };
    """
    found = await run(page, "map/motion.js", body)
    assert found == {"seen": [0, 0.5, 1, 20], "rests": False, "fading": pytest.approx(0.5), "gone": None}


async def test_without_motion_things_jump(page: Page) -> None:
    body = """
    const motion = new m.Motion();
    motion.smooth = false;
    motion.update([{ id: "a", x: 0, y: 0 }, { id: "b", x: 5, y: 5 }], 0, true);
    motion.update([{ id: "a", x: 1, y: 0 }], 1000, false);
    motion.advance(1000);
    return [...motion.bodies].map(([id, body]) => [id, body.x]);
    """
    assert await run(page, "map/motion.js", body) == [["a", 1]]


# -- addresses --


async def test_addresses_name_a_chunk_or_an_agent_and_nothing_else(page: Page) -> None:
    hashes = ["", "#/chunk/chunk-7", "#/agent/ada.b_c-1", "#/agent/a%20b", "#/chunk/../x", "#/chunk/<b>", "#stage"]
    found = await run(page, "route.js", "return given.map((hash) => m.routeOf(hash))", hashes)
    first = {"chunkId": "demo", "agentId": None, "tick": None}
    assert found == [
        first,
        {"chunkId": "chunk-7", "agentId": None, "tick": None},
        {"chunkId": None, "agentId": "ada.b_c-1", "tick": None},
        *[first] * 4,
    ]


async def test_addresses_name_what_lies_over_the_map(page: Page) -> None:
    hashes = ["#/leaders", "#/leaders/alive/week", "#/leaders/gold/year", "#/about/ada.1", "#/about/", "#/chunk/a", ""]
    found = await run(page, "route.js", "return given.map((hash) => m.sheetOf(hash))", hashes)
    assert found == [
        {"kind": "leaders", "by": "gold", "period": "day"},
        {"kind": "leaders", "by": "alive", "period": "week"},
        None,
        {"kind": "about", "agentId": "ada.1"},
        *[None] * 3,
    ]


# -- trails --


async def test_a_trail_has_each_step_once_and_ends_after_some_minutes(page: Page) -> None:
    body = """
    const trails = new m.Trails();
    trails.enter("chunk-0");
    const at = (tick, x) => trails.add(tick, [{ id: "ada", x, y: 3 }, { id: "__proto__", x: 1, y: 1 }]);
    at(100, 5); at(101, 6); at(102, 6); at(103, 7);
    trails.before("chunk-0", JSON.parse('{"ada": [[90, 3, 3], [99, 4, 3], [100, 5, 3]], "__proto__": [[9, 1, 1]]}'));
    trails.before("chunk-9", { ada: [[1, 1, 1]] });
    const early = trails.of("ada").map(({ tick, x }) => [tick, x]);
    at(95 + m.TRAIL_TICKS, 8);
    const late = trails.of("ada").map(({ tick }) => tick);
    const ages = trails.of("ada").map(({ age }) => age);
    trails.add(50, [{ id: "ada", x: 1, y: 1 }]);
    const setBack = trails.of("ada").map(({ tick }) => tick);
    trails.enter("chunk-1");
    return { early, late, ages, setBack, entered: trails.of("ada"), nobody: trails.of(null) };
    """
    found = await run(page, "state/trails.js", body)
    assert found["early"] == [[90, 3], [99, 4], [100, 5], [101, 6], [103, 7]]
    assert found["late"] == [99, 100, 101, 103, 1595]
    assert 0.99 < found["ages"][0] <= 1
    assert found["ages"][-1] == 0
    assert (found["setBack"], found["entered"], found["nobody"]) == ([50], [], [])


async def test_a_trail_is_bounded(page: Page) -> None:
    body = """
    const trails = new m.Trails();
    trails.enter("chunk-0");
    for (let tick = 1; tick <= 1200; tick += 1) trails.add(tick, [{ id: "ada", x: tick % 50, y: 1 }]);
    const steps = trails.of("ada").length;
    trails.add(1201, Array.from({ length: 400 }, (_, i) => ({ id: `a${i}`, x: 1, y: 1 })));
    return { steps, ada: trails.of("ada").length, last: trails.of("a399").length };
    """
    assert await run(page, "state/trails.js", body) == {"steps": 500, "ada": 0, "last": 1}


async def test_how_long_something_lasted(page: Page) -> None:
    seconds = [0, 59, 60, 61, 3_599, 3_600, 90_061, 864_000]
    found = await run(page, "ui/words.js", "return given.map((s) => m.lifeText(s))", seconds)
    assert found == ["0 s", "59 s", "1 min", "1 min 1 s", "59 min 59 s", "1 h", "1 d 1 h", "10 d"]


# -- sessions --

SESSIONS = """
const asked = [];
window.answers = given;
window.fetch = async (url, { method, headers, body }) => {
  const path = new URL(url).pathname, known = window.answers[`${method} ${path}`] ?? { status: 404 };
  asked.push([`${method} ${path}`, headers.authorization ?? null, body ? JSON.parse(body) : null]);
  if (known.away) throw new TypeError("away");
  const text = JSON.stringify(known.body ?? { detail: known.detail ?? "not_found" });
  return new Response(text, { status: known.status ?? 200 });
};
window.sessions = new m.Sessions();
window.asked = asked;
window.tried = async (work) => {
  try { return { is: await work(window.sessions) }; } catch (error) { return { error: error.why ?? error.reason }; }
};
"""
DEV, OWNER, REFRESH = "POST /v1/dev/spectator-session", "POST /v1/dev/owner-session", "POST /v1/sessions/refresh"
PUBLIC = "POST /v1/spectate/session"
FORBIDDEN = {"status": 403, "detail": "dev_routes_disabled"}
NOW_S = 1_800_000_000
NOTHING = {"is": None}


async def with_sessions(page: Page, answers: dict[str, Any]) -> None:
    await page.clock.install(time=NOW_S)
    await page.goto(f"{ORIGIN}/")
    await page.evaluate("sessionStorage.clear()")
    await run(page, "net/sessions.js", SESSIONS, answers)


async def tried(page: Page, work: str) -> Any:
    return await page.evaluate(f"window.tried(async (sessions) => {work})")


def opened(token: str, life_s: int = 900) -> dict[str, Any]:
    return {"status": 201, "body": {"session_token": token, "expires_at": NOW_S + life_s}}


async def test_a_development_session_is_opened_once_and_refreshed_in_time(page: Page) -> None:
    later = {"body": {"expires_at": NOW_S + 1800, "role": "spectator", "agent_id": None}}
    await with_sessions(page, {DEV: opened("sess_a"), OWNER: opened("sess_b"), REFRESH: later})
    both = "(await Promise.all([sessions.get(), sessions.get(), sessions.get('ada')])).map(({ token }) => token)"
    assert await tried(page, both) == {"is": ["sess_a", "sess_a", "sess_b"]}
    asked = await page.evaluate("window.asked")
    assert sorted(asked) == [[OWNER, None, {"agent_id": "ada"}], [DEV, None, None]]
    await page.clock.run_for(301_000)
    refreshed = (await page.evaluate("window.asked"))[2:]
    assert sorted(refreshed) == [[REFRESH, "Bearer sess_a", None], [REFRESH, "Bearer sess_b", None]]


@pytest.mark.parametrize("reason", ["dev_routes_disabled", "not_local"])
async def test_without_development_routes_a_person_is_asked(page: Page, reason: str) -> None:
    await with_sessions(page, {DEV: FORBIDDEN | {"detail": reason}})
    assert await tried(page, "await sessions.get()") == {"error": ""}
    assert await tried(page, "await sessions.get('ada')") == {"error": ""}
    assert [what for what, _, _ in await page.evaluate("window.asked")] == [DEV, PUBLIC]


async def test_where_anybody_may_watch_nobody_is_asked(page: Page) -> None:
    await with_sessions(page, {OWNER: FORBIDDEN, PUBLIC: opened("sess_p")})
    assert await tried(page, "await sessions.get('ada')") == {"error": ""}
    assert await tried(page, "(await sessions.get()).token") == {"is": "sess_p"}
    assert await tried(page, "sessions.followsAnyone") == {"is": False}


async def test_the_consoles_token_watches_where_nothing_else_does(page: Page) -> None:
    closed = {DEV: FORBIDDEN, PUBLIC: {"status": 403, "detail": "watching_not_public"}}
    await with_sessions(page, closed)
    assert await tried(page, "await sessions.get()") == {"error": ""}
    await page.evaluate("sessionStorage.setItem('chunkcrawl.operator', 'dco_one')")
    assert await tried(page, "(await sessions.get()).token") == {"is": "dco_one"}
    assert await tried(page, "[sessions.kind, sessions.followsAnyone]") == {"is": ["operator", False]}
    assert await tried(page, "await sessions.get('ada')") == {"error": ""}, "it follows nobody"
    await page.clock.run_for(400_000)
    assert [what for what, _, _ in await page.evaluate("window.asked")] == [DEV, PUBLIC], "and is not refreshed"
    assert await tried(page, "sessions.dead('dco_one')") == NOTHING
    assert await tried(page, "await sessions.get()") == {"error": ""}, "revoked"
    await page.evaluate("sessionStorage.setItem('chunkcrawl.operator', 'dco_two')")
    assert await tried(page, "(await sessions.get()).token") == {"is": "dco_two"}


async def test_a_key_opens_no_session_for_a_name_that_is_not_its_accounts(page: Page) -> None:
    agents = {"body": {"agents": [{"agent_id": "ada"}], "next": None}}
    answers = {DEV: FORBIDDEN, "POST /v1/sessions": opened("sess_k"), "GET /v1/agents": agents}
    await with_sessions(page, answers)
    assert await tried(page, "await sessions.use('dcw_key', true)") == NOTHING
    assert await tried(page, "await sessions.get('adda')") == {"error": "agent_not_owned"}
    assert await tried(page, "(await sessions.get('ada')).token") == {"is": "sess_k"}
    bodies = [body for what, _, body in await page.evaluate("window.asked") if what == "POST /v1/sessions"]
    assert [(body["role"], body["agent_id"]) for body in bodies] == [("spectator", None), ("owner_spectator", "ada")]
    assert await page.evaluate("sessionStorage.length") == 0


async def test_a_kept_token_outlives_a_server_that_is_away_and_not_its_own_end(page: Page) -> None:
    state = {"body": {"expires_at": NOW_S + 900, "role": "owner_spectator", "agent_id": "ada"}}
    await with_sessions(page, {REFRESH: state})
    assert await tried(page, "await sessions.use('sess_mine', true)") == NOTHING
    assert await tried(page, "(await sessions.get('ada')).token") == {"is": "sess_mine"}
    assert await tried(page, "await sessions.get(null)") == {"error": "invalid_scope"}

    for away in ({"away": True}, {"status": 503, "detail": "unavailable"}):
        await page.evaluate("([away, name]) => { window.answers = { [name]: away } }", [away, REFRESH])
        error = away.get("detail", "server_unreachable")
        assert await tried(page, "await sessions.restore()") == {"error": error}
        assert await page.evaluate("sessionStorage.length") == 1

    dead = {"status": 401, "detail": "invalid_session"}
    await page.evaluate("([dead, name]) => { window.answers = { [name]: dead } }", [dead, REFRESH])
    assert await tried(page, "await sessions.restore()") == NOTHING
    assert await page.evaluate("sessionStorage.length") == 0
    assert await tried(page, "sessions.anyToken") == NOTHING


async def test_an_agents_token_is_no_watchers(page: Page) -> None:
    state = {"body": {"expires_at": NOW_S + 900, "role": "agent", "agent_id": "ada"}}
    await with_sessions(page, {REFRESH: state})
    assert await tried(page, "await sessions.use('sess_agent', true)") == {"error": "invalid_scope"}
    assert await page.evaluate("sessionStorage.length") == 0
