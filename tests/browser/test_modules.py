"""The page's pure modules, each by itself, in the engine that runs them."""

from __future__ import annotations

import json
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


# -- server-sent events --

PARSE = """
const parser = new m.SseParser();
const events = given.flatMap((piece) => parser.feed(piece));
return { events, retry: parser.retryMs };
"""


async def parsed(page: Page, *pieces: str) -> Any:
    return await run(page, "net/sse.js", PARSE, list(pieces))


async def test_an_event_is_the_same_wherever_it_is_cut(page: Page) -> None:
    text = 'retry: 1500\r\n: note\r\nid: chunk-0:7:0\r\nevent: chunk_delta\r\ndata: {"tick":\r\ndata:7}\r\n\r\n'
    wanted = {"events": [{"type": "chunk_delta", "data": '{"tick":\n7}', "id": "chunk-0:7:0"}], "retry": 1500}
    assert await parsed(page, text) == wanted
    assert await parsed(page, *text) == wanted
    assert await parsed(page, *text.replace("\r\n", "\r")) == wanted
    assert await parsed(page, "\ufeff" + text.replace("\r\n", "\n")) == wanted


async def test_only_line_ends_end_lines(page: Page) -> None:
    said = "a\u2028b\u2029c\u0085d\x0b"
    found = await parsed(page, f"data: {said}\n\n")
    assert [event["data"] for event in found["events"]] == [said]


async def test_an_id_is_the_events_own_and_what_is_odd_is_ignored(page: Page) -> None:
    found = await parsed(page, "id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\nretry: 1x\nodd\nid: 3\n\ndata\n\n")
    assert found == {
        "events": [
            {"type": "message", "data": "a", "id": "1"},
            {"type": "message", "data": "b", "id": ""},
            {"type": "message", "data": "", "id": ""},
        ],
        "retry": None,
    }


async def test_an_event_has_a_greatest_size(page: Page) -> None:
    body = """
    const parser = new m.SseParser();
    const piece = "data: " + "x".repeat(1 << 20) + (given ? "\\n" : "");
    try { for (let i = 0; i < 6; i += 1) parser.feed(piece); } catch (error) { return error.name; }
    return "no end";
    """
    assert await run(page, "net/sse.js", body, True) == "RangeError"
    assert await run(page, "net/sse.js", body, False) == "RangeError"


# -- waiting --


async def test_waiting_grows_with_full_jitter_up_to_a_cap(page: Page) -> None:
    body = """
    const most = new m.Backoff(() => 0.999999), least = new m.Backoff(() => 0);
    const delays = Array.from({ length: 40 }, () => Math.round(most.next()));
    most.reset();
    return { delays, after: Math.round(most.next()), least: least.next(1200) };
    """
    found = await run(page, "net/backoff.js", body)
    assert found["delays"][:6] == [500, 1000, 2000, 4000, 8000, 15000]
    assert set(found["delays"][5:]) == {15000}
    assert found["after"] == 500
    assert found["least"] == 1200


# -- the view --

ROWS = ["####", "#..#", "#...", "#.##"]  # south first: a door in the south at x = 1 is none, one in the east at y = 2
WORLD_VIEW = """
const view = new m.WorldView(given.agent ?? null);
const told = given.events.map(([type, data]) => view.feed(type, data));
return {
  chunkId: view.chunkId, tick: view.tick, ready: view.ready, closed: view.closed, gold: view.gold,
  setBacks: view.setBacks,
  agents: [...view.agents.values()], npcs: [...view.npcs.values()], nodes: [...view.nodes.values()],
  neighbors: view.neighbors, exits: view.exits(), grid: view.grid, told,
};
"""


def static(chunk_id: str = "chunk-0", **more: Any) -> tuple[str, dict[str, Any]]:
    nodes = [{"node_id": "n-0", "type": "gold", "x": 2, "y": 0, "max_remaining": 9}]
    neighbors = {"N": None, "E": "chunk-1", "S": None, "W": None}
    return "chunk_static", {"chunk_id": chunk_id, "tiles": ROWS, "resource_nodes": nodes, "neighbors": neighbors} | more


def delta(tick: int, x: int = 1, chunk_id: str = "chunk-0", **more: Any) -> tuple[str, dict[str, Any]]:
    agents = [{"id": "ada", "x": x, "y": 1, "activity_state": "moving"}]
    return "chunk_delta", {"chunk_id": chunk_id, "tick": tick, "agents": agents, "npcs": [], "resources": []} | more


async def view_after(page: Page, *events: tuple[str, dict[str, Any]], agent: str | None = None) -> Any:
    return await run(
        page, "state/world_view.js", WORLD_VIEW, {"events": [list(event) for event in events], "agent": agent}
    )


async def test_the_world_view_holds_the_newest_delta_and_tells_each_event_once(page: Page) -> None:
    chat = {"type": "chat", "from": "ada", "text": "hi"}
    used = [{"node_id": "n-0", "remaining": 4, "state": "available", "version": 2}, {"node_id": "unknown"}]
    ready: tuple[str, dict[str, Any]] = ("session_ready", {})
    newest = delta(8, 2, events=[chat], resources=used)
    found = await view_after(page, static(), delta(7), newest, delta(6), newest, ready, static(), newest)
    assert (found["chunkId"], found["tick"], found["ready"], found["gold"]) == ("chunk-0", 8, True, 4)
    assert found["agents"] == [{"id": "ada", "x": 2, "y": 1, "activity": "moving", "name": "ada"}]
    assert found["told"] == [[], [], [chat], [], [], [], [], []]


async def test_ways_out_lie_where_the_boundary_is_floor(page: Page) -> None:
    found = await view_after(page, static())
    assert found["exits"] == {"N": [{"x": 1, "y": 3}], "E": [{"x": 3, "y": 2}], "S": [], "W": []}


async def test_links_change_while_one_looks(page: Page) -> None:
    events = [
        {"type": "neighbor_linked", "dir": "N", "chunk_id": "chunk-5"},
        {"type": "neighbor_unlinked", "dir": "E", "chunk_id": "chunk-1"},
        {"type": "neighbor_linked", "dir": "__proto__", "chunk_id": "chunk-6"},
    ]
    found = await view_after(page, static(), delta(1, events=events))
    assert found["neighbors"] == {"N": "chunk-5", "E": None, "S": None, "W": None}


async def test_a_world_put_back_from_a_backup_may_count_lower(page: Page) -> None:
    resync: tuple[str, dict[str, Any]] = ("resync_required", {"chunk_id": "chunk-0"})
    found = await view_after(page, static(), delta(900), resync, static(), delta(30, 2))
    assert (found["tick"], found["setBacks"]) == (30, 1)
    assert found["agents"][0]["x"] == 2


async def test_the_owner_is_led_along_but_never_back(page: Page) -> None:
    there: tuple[str, dict[str, Any]] = (
        "chunk_transition",
        {"agent_id": "ada", "from_chunk_id": "chunk-0", "to_chunk_id": "chunk-1", "tick": 9},
    )
    stale = (there[0], there[1] | {"to_chunk_id": "chunk-7", "tick": 3})
    other = (there[0], there[1] | {"agent_id": "bob", "to_chunk_id": "chunk-8", "tick": 99})
    arrived = (static("chunk-1"), delta(10, chunk_id="chunk-1"))
    found = await view_after(page, static(), delta(8), there, *arrived, delta(11, 3), stale, other, agent="ada")
    assert (found["chunkId"], found["tick"], found["agents"][0]["x"]) == ("chunk-1", 10, 1)


async def test_a_closed_chunk_is_empty(page: Page) -> None:
    found = await view_after(page, static(), delta(8), ("chunk_closed", {"chunk_id": "chunk-0"}))
    assert (found["closed"], found["agents"], found["nodes"], found["gold"]) == (True, [], [], 0)


@pytest.mark.parametrize("odd", [{"tiles": None}, {"tiles": ["##", "#"]}, {"grid": [[]]}, {"grid": [[0] * 300] * 300}])
async def test_terrain_of_no_sound_shape_is_none(page: Page, odd: dict[str, Any]) -> None:
    assert (await view_after(page, static(**odd), delta(1)))["grid"] == []


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
    seat = {"id": name, "x": 1, "y": 1, "activity_state": name}
    node = {"node_id": name, "type": "gold", "x": 2, "y": 0, "max_remaining": 9}
    odd = delta(1, agents=[seat], resources=[{"node_id": name, "remaining": 3, "state": "available"}])
    found = await view_after(page, static(resource_nodes=[node]), odd)
    assert (found["agents"][0]["name"], found["gold"]) == (name, 3)


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
    assert (found["zoom"], found["scale"]) == (1, 12)


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


# -- addresses and streams --


async def test_addresses_name_a_chunk_or_an_agent_and_nothing_else(page: Page) -> None:
    hashes = ["", "#/chunk/chunk-7", "#/agent/ada.b_c-1", "#/agent/a%20b", "#/chunk/../x", "#/chunk/<b>", "#stage"]
    found = await run(page, "route.js", "return given.map((hash) => m.routeOf(hash))", hashes)
    first = {"chunkId": "demo", "agentId": None}
    assert found == [
        first,
        {"chunkId": "chunk-7", "agentId": None},
        {"chunkId": None, "agentId": "ada.b_c-1"},
        *[first] * 4,
    ]


STREAM = """
const asked = [], phases = [], events = [], refused = [];
let cut = 0;
window.fetch = (url, { headers, signal }) => {
  asked.push([new URL(url).pathname + new URL(url).search, headers]);
  const answer = given.answers[Math.min(asked.length, given.answers.length) - 1];
  if (answer.fails) return Promise.reject(new TypeError("no"));
  const body = new ReadableStream({
    start(controller) {
      if (answer.text) controller.enqueue(new TextEncoder().encode(answer.text));
      if (answer.ends) controller.close();
      signal.addEventListener("abort", () => { cut += 1; try { controller.error(new Error("cut")); } catch {} });
    },
  });
  return Promise.resolve(new Response(body, { status: answer.status ?? 200, headers: answer.headers ?? {} }));
};
const get = async () => ({ token: `sess_${asked.length}` });
const sessions = { get, dead: (token) => events.push(["dead", token]) };
const stream = new m.EventStream("v1/spectate/stream?chunk_id=demo", null, sessions, {
  event: (type, data) => { events.push([type, data]); return type === "chunk_closed"; },
  phase: (phase) => phases.push(phase),
  refused: (error) => refused.push(error.reason),
});
window.stream = stream;
window.seen = () => ({ asked, phases, events, refused, cut });
stream.run();
"""


async def streaming(page: Page, *answers: dict[str, Any]) -> None:
    await page.clock.install()
    await page.goto(f"{ORIGIN}/")
    await run(page, "net/stream.js", STREAM, {"answers": list(answers)})
    await page.clock.run_for(100)


async def seen(page: Page) -> Any:
    return await page.evaluate("window.seen()")


async def test_a_lost_stream_is_resumed_where_it_was(page: Page) -> None:
    first = {"text": 'retry: 2000\n\nid: chunk-0:5:0\nevent: chunk_delta\ndata: {"tick":5}\n\n', "ends": True}
    await streaming(page, first, {"fails": True}, {"text": "event: heartbeat\ndata: {}\n\n"})
    await page.clock.run_for(60_000)
    found = await seen(page)
    assert [asked[0] for asked in found["asked"][:3]] == ["/v1/spectate/stream?chunk_id=demo"] * 3
    headers = [asked[1] for asked in found["asked"][:3]]
    assert headers[0] == {"accept": "text/event-stream", "authorization": "Bearer sess_0"}
    assert headers[1]["last-event-id"] == headers[2]["last-event-id"] == "chunk-0:5:0"
    assert found["phases"][:5] == ["connecting", "live", "waiting", "connecting", "waiting"]
    assert found["events"][:2] == [["chunk_delta", {"tick": 5}], ["heartbeat", {}]]


async def test_the_servers_hint_is_heeded(page: Page) -> None:
    await streaming(page, {"text": "retry: 9000\n\n", "ends": True})
    await page.clock.run_for(8_000)
    assert len((await seen(page))["asked"]) == 1
    await page.clock.run_for(2_000)
    assert len((await seen(page))["asked"]) == 2


async def test_silence_of_thirty_seconds_is_a_lost_connection(page: Page) -> None:
    await streaming(page, {"text": "event: heartbeat\ndata: {}\n\n"})
    await page.clock.run_for(29_000)
    assert (await seen(page))["cut"] == 0
    await page.clock.run_for(2_000)
    found = await seen(page)
    assert found["cut"] == 1
    assert found["phases"][:3] == ["connecting", "live", "waiting"]


async def test_the_end_and_refusals_for_good_end_it(page: Page) -> None:
    await streaming(page, {"text": "event: chunk_closed\ndata: {}\n\nevent: late\ndata: {}\n\n"})
    await page.clock.run_for(60_000)
    found = await seen(page)
    assert (len(found["asked"]), found["events"]) == (1, [["chunk_closed", {}]])
    await streaming(page, {"status": 404, "text": json.dumps({"detail": "chunk_not_found"}), "ends": True})
    await page.clock.run_for(60_000)
    found = await seen(page)
    assert (len(found["asked"]), found["refused"]) == (1, ["chunk_not_found"])


async def test_a_dead_session_gets_another_chance_but_not_for_ever(page: Page) -> None:
    await streaming(page, {"status": 401, "text": json.dumps({"detail": "invalid_session"}), "ends": True})
    await page.clock.run_for(120_000)
    found = await seen(page)
    assert found["events"] == [["dead", "sess_0"], ["dead", "sess_1"], ["dead", "sess_2"]]
    assert found["refused"] == ["invalid_session"]


async def test_what_is_no_message_is_passed_over(page: Page) -> None:
    text = 'data: nonsense\n\ndata: [1]\n\nid: x:1:0\nevent: chunk_delta\ndata: {"tick":1}\n\n'
    await streaming(page, {"text": text})
    found = await seen(page)
    assert found["events"] == [["chunk_delta", {"tick": 1}]]
    assert await page.evaluate("window.stream.lastEventId") == "x:1:0"


async def test_a_closed_stream_is_silent(page: Page) -> None:
    await streaming(page, {"text": "event: heartbeat\ndata: {}\n\n"})
    await page.evaluate("window.stream.close()")
    before = await seen(page)
    await page.clock.run_for(60_000)
    assert (await seen(page))["phases"] == before["phases"]


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
    assert await tried(page, "await sessions.get()") == {"error": ""}
    assert len(await page.evaluate("window.asked")) == 1


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
        error = away.get("detail", "unreachable")
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
