"""The page against a running world: what it shows of agents, how it goes on after losses, who may see what."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from playwright.async_api import expect

from chunkcrawl import Agent, Blocked
from config.settings import Settings
from streaming import keys
from tests.browser.chromium import DEADLINE_MS, OpenPage, Screen, needs_chromium
from tests.browser.looking import drawn, live, row, standing
from tests.browser.play import Play, playing
from tests.relay import relay_to

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module"), pytest.mark.services]

expect.set_options(timeout=DEADLINE_MS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def play(postgres_url: str, valkey_url: str) -> AsyncIterator[Play]:
    settings = Settings(environment="test", database_url=postgres_url, redis_url=valkey_url, grace_s=1)
    async with playing(settings) as play:
        yield play


PLAYS = """
async (apiKey) => {
  const { Agent, Unreachable } = await import("/sdk/index.js");
  const me = await Agent.connect(location.origin, { agentId: "in-a-browser", apiKey });
  const cell = me.view.nextFree(me.position.x + 1, me.position.y);
  await me.moveTo(cell.x, cell.y);
  const stands = me.position.x === cell.x && me.position.y === cell.y;
  const refused = await me.moveTo(0, 0).catch((error) => [error instanceof Unreachable, error.detail]);
  const away = await me.goTo("chunk-999", 1, 1);
  me.dropConnection();
  await me.say("from a browser");
  const { connections } = me;
  await me.close();
  return { stands, refused, why: away.why, connections, ended: me.ended.reason };
}
"""


async def test_an_agent_plays_within_a_browser(play: Play, open_page: OpenPage) -> None:
    """By the modules that gateways serve, under the page's policy, over the browser's own WebSocket."""
    page = (await open_page()).page
    await page.goto(f"{play.base}/watch")
    found = await page.evaluate(PLAYS, await play.key())
    assert found == {
        "stands": True,
        "refused": [True, "wall"],
        "why": "unknown_chunk",
        "connections": 2,
        "ended": "agent_closed",
    }


async def test_an_agent_walks_talks_and_changes_chunks(play: Play, open_page: OpenPage) -> None:
    screen: Screen = await open_page()
    page = screen.page
    async with play.agent("walker") as me:
        await page.goto(f"{play.base}/watch")
        await live(page)
        await expect(page.locator("#chunk-name")).to_have_text("chunk-0")
        await me.move_to(25, 25)
        await standing(page, "walker", 25, 25)
        await asyncio.sleep(0.4)  # the last glide
        before = await drawn(page, "walker")
        assert before["count"] > 20

        # walking, north is up
        moving = asyncio.create_task(me.move_to(25, 40))
        await expect(page.locator(row("walker"))).to_have_attribute("data-activity", "moving")
        await moving
        await standing(page, "walker", 25, 40)
        await asyncio.sleep(0.4)
        after = await drawn(page, "walker")
        assert after["y"] < before["y"] - 100
        assert abs(after["x"] - before["x"]) < 3

        # talking: text stays text
        said = "<b>gold</b> & <img src=x onerror=alert(1)> ahead"
        await me.say(said)
        bubble = page.locator('.bubble[data-agent="walker"] span')
        await expect(bubble).to_have_text(said)
        assert await bubble.locator("*").count() == 0
        await expect(page.locator("#news .news-chat .news-text", has_text="walker")).to_contain_text(said)
        await expect(page.locator("#announcer")).to_contain_text(f"walker says: {said}")
        assert await page.locator("#news img, #bubbles img").count() == 0
        await screen.shot("watch-desktop")

        # changing chunks
        door = page.locator(".door-N")
        await expect(door).to_be_disabled()
        await me.move_to(25, 49)
        there = str(me.chunk_id)
        assert there != "chunk-0"
        await expect(door).to_be_enabled()
        await expect(door).to_have_attribute("aria-label", re.compile(f"north: {there}"))
        await expect(page.locator(row("walker"))).to_have_count(0)
        await expect(page.locator(f'#chunks button[data-chunk="{there}"]')).to_have_attribute(
            "aria-label", f"{there}, 1 agent"
        )
        await door.click()
        await expect(page.locator("#chunk-name")).to_have_text(there)
        await standing(page, "walker", 25, 0)
        await expect(page.locator("#summary")).to_contain_text(f"{there}: 1 agent")
        await page.keyboard.press("ArrowDown")
        await expect(page.locator("#chunk-name")).to_have_text("chunk-0")


async def test_after_the_gateway_is_lost_the_page_goes_on_and_has_missed_nothing(
    play: Play, open_page: OpenPage
) -> None:
    screen: Screen = await open_page()
    page = screen.page
    async with play.agent("speaker") as me:
        await page.goto(f"{play.base}/watch")
        await live(page)
        await me.say("before")
        # What others said before is there, too.
        await expect(page.locator("#news .news-chat", has_text="speaker")).to_have_count(1)
        await play.lose_gate()
        await expect(page.locator("#connection")).to_have_attribute("data-phase", "waiting")
        await expect(page.locator("#connection")).to_contain_text("Connection lost")
        await screen.shot("watch-lost")
        await asyncio.sleep(2.0)  # of the chat's own limit
        await me.say("meanwhile")
        await play.open_gate()
        await live(page)
        await asyncio.sleep(2.0)
        await me.say("afterwards")
        said = page.locator("#news .news-chat .news-text", has_text="speaker")
        await expect(said).to_have_count(3)
        assert [text.split()[-1] for text in await said.all_text_contents()] == ["afterwards", "meanwhile", "before"]
        await expect(page.locator("#news .news-connection")).to_have_count(0)


@pytest.mark.slow
async def test_what_is_no_longer_kept_is_said_and_the_present_shown(play: Play, open_page: OpenPage) -> None:
    screen: Screen = await open_page()
    page = screen.page
    async with play.agent("speaker") as me:
        await page.goto(f"{play.base}/watch")
        await live(page)
        await me.move_to(25, 25)
        await standing(page, "speaker", 25, 25)
        await play.lose_gate()
        await me.move_to(28, 25)
        await play.redis.xtrim(keys.chunk_stream("chunk-0"), maxlen=1, approximate=False)
        await play.open_gate()
        await standing(page, "speaker", 28, 25)
        await expect(page.locator("#news .news-connection")).to_contain_text("no longer kept")


@pytest.mark.slow
async def test_the_owner_sees_commands_inventory_and_every_chunk(play: Play, open_page: OpenPage) -> None:
    screen: Screen = await open_page(colours="dark")
    page = screen.page
    async with AsyncExitStack() as stack:
        me: Agent = await stack.enter_async_context(play.agent("digger"))
        other: Agent = await stack.enter_async_context(play.agent("other"))
        await other.move_to(36, 24)
        await me.move_to(22, 25)
        await page.goto(f"{play.base}/watch")
        await page.locator(f"{row('digger')} .row-follow").click()
        await expect(page.locator("#followed-name")).to_have_text("digger")
        await expect(page.locator("#followed-place")).to_have_text("in chunk-0")
        await live(page)
        await expect(page.locator("#stat-gold")).to_have_text("0")  # known before it first changes
        commands = page.locator("#commands > li")

        # a walk, and one that ends before somebody
        await me.move_to(20, 25)
        await expect(commands.first).to_have_attribute("data-state", "completed")
        await expect(commands.first.locator(".command-what")).to_have_text("Walk to 20, 25")
        walking = asyncio.create_task(me.move_to(36, 25))
        await expect(commands.first).to_have_attribute("data-state", "running")
        await other.move_to(36, 25)
        with pytest.raises(Blocked):
            await walking
        await expect(commands.first).to_have_attribute("data-state", "failed")
        await expect(commands.first.locator(".command-more")).to_contain_text("blocked by other · at 36, 25")
        await expect(page.locator("#news .news-blocked")).to_contain_text("digger was blocked by other")

        # gold
        found = me.view.nearest_gold()
        assert found is not None
        node, cell = found
        await me.move_to(*cell)
        await me.harvest(node)
        await expect(page.locator("#stat-gold")).to_have_text(str(node.remaining))
        await expect(commands.first).to_have_attribute("data-type", "harvest")
        await expect(commands.first.locator(".command-more")).to_contain_text(f"{node.remaining} gold")
        await screen.shot("watch-owner-dark")

        # along into the next chunk, without a new stream
        streams = [url for url in screen.requests if "/v1/owner/stream" in url]
        await me.move_to(0, 25)
        await expect(page.locator("#chunk-name")).to_have_text(str(me.chunk_id))
        await expect(page.locator("#followed-place")).to_have_text(f"in {me.chunk_id}")
        await standing(page, "digger", 49, 25)
        await expect(page.locator("#news .news-crossed")).to_contain_text(f"went from chunk-0 to {me.chunk_id}")
        assert [url for url in screen.requests if "/v1/owner/stream" in url] == streams
        await page.locator("#unfollow").click()
        await expect(page.locator("#follow-form")).to_be_visible()


@pytest.mark.slow
async def test_an_agent_that_is_away_is_waited_for(play: Play, open_page: OpenPage) -> None:
    screen: Screen = await open_page()
    page = screen.page
    await page.goto(f"{play.base}/watch#/agent/latecomer")
    await expect(page.locator("#curtain")).to_contain_text("latecomer is not in the world")
    async with play.agent("latecomer"):
        await expect(page.locator("#curtain")).to_be_hidden()
        await expect(page.locator(row("latecomer"))).to_be_attached()
    await expect(page.locator("#curtain")).to_contain_text("latecomer is not in the world")
    await expect(page.locator("#followed-place")).to_have_text("not in the world now")


@pytest.mark.slow
async def test_a_removed_chunk_says_so_and_leads_back(play: Play, open_page: OpenPage) -> None:
    screen: Screen = await open_page()
    page = screen.page
    async with play.agent("visitor") as me:
        await me.move_to(49, 24)
        there = str(me.chunk_id)
        await page.goto(f"{play.base}/watch#/chunk/{there}")
        await expect(page.locator("#chunk-name")).to_have_text(there)
        await me.move_to(0, 24)
        assert me.chunk_id == "chunk-0"
        await expect(page.locator("#curtain")).to_contain_text(f"{there} is gone")
        await page.locator("#curtain-buttons button").click()
        await expect(page.locator("#chunk-name")).to_have_text("chunk-0")
        await page.goto(f"{play.base}/watch#/chunk/{there}")
        await expect(page.locator("#curtain")).to_contain_text("There is no such chunk.")


# -- who may see what --


@pytest_asyncio.fixture(loop_scope="module")
async def prod(postgres_url: str, valkey_url: str, play: Play) -> AsyncIterator[Play]:
    """The same world behind gateways in prod."""
    settings = Settings(
        environment="prod",
        database_url=postgres_url,
        redis_url=valkey_url,
        secret_pepper="p" * 40,
        demo=False,
    )
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(relay_to())
        strict = Play(play.redis, play.world, door, settings, await play.key())
        stack.push_async_callback(strict.close)
        await strict.open_gate()
        yield strict


async def test_in_prod_a_key_opens_sessions_and_stays_in_memory(prod: Play, open_page: OpenPage) -> None:
    screen: Screen = await open_page()
    page = screen.page
    async with prod.agent("mine") as me:
        await me.move_to(20, 20)
        await page.goto(f"{prod.base}/watch")
        dialog = page.locator("#access-dialog")
        await expect(dialog).to_be_visible()
        await screen.shot("watch-access")
        await dialog.locator("#access-secret").fill("dcw_wrong-key")
        await dialog.get_by_role("button", name="Watch").click()
        await expect(dialog.locator("#access-problem")).to_contain_text("does not know this API key")
        await dialog.locator("#access-secret").fill(await prod.key())
        await dialog.get_by_role("button", name="Watch").click()
        await expect(dialog).to_be_hidden()
        await standing(page, "mine", 20, 20)

        # one's own agents may be followed, and nobody else's; a wrong name becomes nobody's
        await page.locator("#follow-id").fill("not-mine")
        await page.locator("#follow-form button").click()
        await expect(page.locator("#curtain")).to_contain_text("not this account's")
        await page.get_by_role("button", name="Watch chunk-0").click()
        await page.locator(f"{row('mine')} .row-follow").click()
        await expect(page.locator("#followed-place")).to_have_text("in chunk-0")
        async with prod.agent("not-mine"):
            pass

        assert not [url for url in screen.requests if "dcw_" in url or "sess_" in url]
        kept = await page.evaluate("JSON.stringify([{ ...sessionStorage }, { ...localStorage }])")
        assert kept == "[{},{}]"
        await page.reload()
        await expect(dialog).to_be_visible()


@pytest.mark.slow
async def test_in_prod_a_session_token_may_be_kept_for_the_tab(prod: Play, open_page: OpenPage) -> None:
    screen: Screen = await open_page()
    page = screen.page
    assert prod.gate is not None
    session = await prod.gate.session("spectator")
    await page.goto(f"{prod.base}/watch")
    dialog = page.locator("#access-dialog")
    await dialog.locator("#access-secret").fill(session.token)
    await dialog.locator("#access-keep").check()
    await dialog.get_by_role("button", name="Watch").click()
    await expect(dialog).to_be_hidden()
    await live(page)
    await page.reload()
    await live(page)
    assert session.token not in page.url
    assert not [url for url in screen.requests if "sess_" in url]

    # an owner's view needs another session
    await page.evaluate("location.hash = '#/agent/mine'")
    await expect(dialog).to_be_visible()
    await expect(dialog.locator("#access-problem")).to_contain_text("not made for that")
    await dialog.locator("#access-cancel").click()

    # revoked: asked again, and nothing is kept
    await page.evaluate("location.hash = '#/chunk/chunk-0'")
    await live(page)
    await prod.gate.services.sessions.revoke(session.session, session.token)
    await expect(dialog).to_be_visible()
    await expect(dialog.locator("#access-problem")).to_contain_text("session has ended")
    assert await page.evaluate("sessionStorage.length") == 0


@pytest.mark.slow
async def test_an_owners_token_leads_to_its_agent(prod: Play, open_page: OpenPage) -> None:
    screen: Screen = await open_page()
    page = screen.page
    assert prod.gate is not None
    async with prod.agent("mine") as me:
        session = await prod.gate.session("owner_spectator", "mine")
        await page.goto(f"{prod.base}/watch")
        await page.locator("#access-secret").fill(session.token)
        await page.locator("#access-form").get_by_role("button", name="Watch").click()
        await expect(page.locator("#followed-name")).to_have_text("mine")
        await me.move_to(24, 24)
        await expect(page.locator("#stat-cell")).to_have_text("24, 24")
        agent = await prod.gate.session("agent", "mine")
        await page.locator("#access-button").click()
        await page.locator("#access-secret").fill(agent.token)
        await page.locator("#access-form").get_by_role("button", name="Watch").click()
        await expect(page.locator("#access-problem")).to_contain_text("not made for that")
