"""Keys to commands, events to lines, and the loops that end when they should."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from rich.console import Console

from chunkcrawl import Agent, Watcher
from chunkcrawl.bots.driver import drive
from chunkcrawl.bots.rules import Action, Move, Say
from chunkcrawl.commands import screens
from chunkcrawl.commands.screens import Player, Screen, as_json_line, play
from chunkcrawl.errors import ChunkGone, NotReady, TakenOver
from chunkcrawl.view.world_view import WorldView
from tests.sdk.builders import delta, event, static
from tests.sdk.fake_server import FakeServer
from tests.sdk.test_watcher import READY, STATIC, Body, Script, tick


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().running() as running:
        yield running


def agent(server: FakeServer) -> Agent:
    return Agent.connect(server.base, agent_id="scout", api_key="dcw_good", api=server.api())


async def pressed(server: FakeServer, me: Agent, player: Player, *keys: str) -> None:
    """Press keys and wait until the command they make has been carried out."""
    before = len(server.commands)
    for key in keys:
        player.press(key)
    async with asyncio.timeout(5):
        while len(server.commands) == before:
            await asyncio.sleep(0.01)
    await me.wait_until(lambda view: view.tick >= server.tick, 5)


async def test_keys_walk_and_talk(server: FakeServer) -> None:
    async with agent(server) as me:
        player = Player(me)
        running = asyncio.create_task(player.run())
        await pressed(server, me, player, "d")
        await pressed(server, me, player, "up")
        await pressed(server, me, player, "t", "h", "i", "x", "backspace", "enter")
        running.cancel()
    assert server.commands == [
        {"type": "move_to", "x": 2, "y": 1},
        {"type": "move_to", "x": 2, "y": 2},
        {"type": "say", "text": "hi"},
    ]


async def test_while_typing_letters_are_text_and_escape_gives_up(server: FakeServer) -> None:
    async with agent(server) as me:
        player = Player(me)
        for key in ("t", "q", "w", "up"):
            player.press(key)
        assert player.status_line() == "say: qw_"
        player.press("escape")
        assert player.draft is None
        assert not player.over.is_set()
        player.press("q")
        assert player.over.is_set()


async def test_a_refusal_is_shown_and_the_next_key_works(server: FakeServer) -> None:
    async with agent(server) as me:
        player = Player(me)
        running = asyncio.create_task(player.run())
        server.faults = ["block"]
        await pressed(server, me, player, "d")
        async with asyncio.timeout(5):
            while player.status_line() != "failed: blocked":
                await asyncio.sleep(0.01)
        await pressed(server, me, player, "w")
        running.cancel()
    assert len(server.commands) == 2


async def test_playing_prints_events_as_lines_until_the_end(
    server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    playing = asyncio.create_task(play(agent(server), bot="wander", seed=1, as_json=True, keys=False))
    async with asyncio.timeout(10):
        while not server.commands:
            await asyncio.sleep(0.01)
    await server.sockets[0].close(4001)
    with pytest.raises(TakenOver):
        await playing
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"command_ack", "command_result"} <= {line["type"] for line in lines}


async def test_without_a_terminal_the_screen_prints_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chunkcrawl.commands.screens.FACTS_EVERY_S", 0.0)
    out = io.StringIO()
    view = WorldView("me")
    screen = Screen(view, lambda: "fine", console=Console(file=out, width=20, height=30, force_terminal=False))
    printing = asyncio.create_task(screen.run())
    said = {"type": "chat", "from": "bob", "text": "[b]a word[/b] that is longer than a terminal is wide"}
    for happened in (event("chunk_static", **static()), event("chunk_delta", **delta(1, events=[said]))):
        view.feed(happened)
        screen.note(happened)
    while "tick 1" not in out.getvalue():
        await asyncio.sleep(0)
    printing.cancel()
    assert out.getvalue().splitlines() == [f"bob: {said['text']}", "chunk-0  tick 1  0 agents"]


async def test_on_a_terminal_the_screen_draws() -> None:
    out = io.StringIO()
    view = WorldView("me")
    screen = Screen(view, lambda: "fine", console=Console(file=out, width=80, height=30, force_terminal=True))
    view.feed(event("chunk_static", **static()))
    screen.note(event("chunk_delta", **delta(1, events=[{"type": "chat", "from": "bob", "text": "hi"}])))
    drawing = asyncio.create_task(screen.run())
    while "fine" not in out.getvalue():
        await asyncio.sleep(0)
    drawing.cancel()
    assert "bob: hi" in out.getvalue()


async def test_an_owner_is_told_of_commands_with_and_without_a_terminal() -> None:
    fields = {"server_cmd_id": "cmd-1", "client_cmd_id": "c"}
    proof: dict[str, Any] = {"nonce": "n", "expires_at": 1, "difficulty": 2, "channel_id": "ch"}
    happened = [
        event("command_challenge", **fields, **proof),
        event("command_ack", **fields, accepted=True, started_tick=7, echo={"type": "move_to", "x": 3, "y": 4}),
        event("command_result", **fields, status="completed", ended_tick=9),
    ]
    for is_terminal in (False, True):
        out = io.StringIO()
        view = WorldView("me")
        view.feed(event("chunk_static", **static()))
        view.feed(event("chunk_delta", **delta(1, ("me", 1, 1))))
        console = Console(file=out, width=80, height=24, force_terminal=is_terminal)
        screen = Screen(view, lambda: "fine", console=console)
        for one in happened:
            screen.note(one)
        drawing = asyncio.create_task(screen.run())
        while "chunk-0" not in out.getvalue():
            await asyncio.sleep(0)
        drawing.cancel()
        if is_terminal:
            assert "move_to 3,4  completed, 2 ticks" in out.getvalue()
        else:
            assert out.getvalue().splitlines()[:3] == [
                "command cmd-1: challenge, difficulty 2",
                "command cmd-1: move_to 3,4 accepted at tick 7",
                "command cmd-1: move_to 3,4 completed, 2 ticks",
            ]


def test_a_line_is_flat_and_stays_a_line() -> None:
    said = {"type": "chat", "from": "bob", "text": "a\nb\u2028c"}
    line = as_json_line(event("chunk_delta", "chunk-0:1:0", **delta(1, events=[said])))
    assert line.isascii()
    assert len(line.splitlines()) == 1
    fields = json.loads(line)
    assert (fields["type"], fields["event_id"], fields["tick"]) == ("chunk_delta", "chunk-0:1:0", 1)
    assert fields["events"] == [said]


async def test_a_bot_goes_on_after_refusals(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Script:
        actions: tuple[Action, ...] = (Move(2, 1), Say("hi"), Move(1, 1))

        def __init__(self) -> None:
            self.asked = 0

        def decide(self, view: WorldView, rng: random.Random) -> Action:
            self.asked += 1
            return self.actions[min(self.asked, 3) - 1]

    monkeypatch.setattr("chunkcrawl.bots.driver.PAUSE_S", (0.0, 0.0))
    monkeypatch.setattr("chunkcrawl.bots.driver.AFTER_REFUSAL_S", (0.0, 0.0))
    server.faults = ["block", "mute"]
    async with agent(server) as me:
        driving = asyncio.create_task(drive(me, Script(), random.Random(1)))
        async with asyncio.timeout(10):
            while len(server.commands) < 3:
                await asyncio.sleep(0.01)
        driving.cancel()
    assert [cmd["type"] for cmd in server.commands[:2]] == ["move_to", "move_to"]


async def test_watching_says_that_the_server_is_gone_and_when_it_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script(Body(READY, STATIC, tick(1), cut=True), Body(READY, STATIC, tick(2)), 503, 404)
    watcher = Watcher.chunk("http://test", "chunk-0", api=script.api(), rng=Fixed())
    told = [screens.away_words(watcher)]
    sleep = asyncio.sleep

    async def hurried(seconds: float) -> None:
        if watcher.next_try_at is not None:
            told.append(screens.away_words(watcher))
            seconds = 0.0
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", hurried)

    async def looked() -> None:
        async for _ in watcher.events():
            assert watcher.connected
            assert screens.away_words(watcher) == ""

    with pytest.raises(ChunkGone):
        await looked()
    assert told == [
        "no answer from the server yet; trying now",
        "the server is gone (server_unreachable); next try in 7 s",
        "the server has ended the stream; next try in 7 s",
        "the server is gone (no); next try in 7 s",
    ]


async def test_without_a_view_it_is_said_on_stderr_once_a_try(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screens, "FRAMES_PER_S", 1000)
    watcher = Watcher.chunk("http://test", "chunk-0", api=Script().api())
    watcher.connections, watcher.problem = 1, NotReady(503, "draining \x1b[31m")
    watcher.next_try_at = asyncio.get_running_loop().time() + 60
    telling = asyncio.create_task(screens._tell_away(watcher))
    said = ""
    while "gone" not in said:
        await asyncio.sleep(0.001)
        said += capsys.readouterr().err
    watcher.connected, watcher.next_try_at = True, None
    while "back" not in said:
        await asyncio.sleep(0.001)
        said += capsys.readouterr().err
    telling.cancel()
    assert len(said.splitlines()) == 2
    assert "\x1b" not in said


class Fixed(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return 7.0
