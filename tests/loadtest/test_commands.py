"""One simulated agent's commands, without sockets: what is sent, timed and counted."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import pytest

from chunkcrawl.bots.rules import Action, Harvest, Move, Rest
from chunkcrawl.transport.http import Api, Session
from chunkcrawl.view.world_view import WorldView
from loadtest.commands import ANSWER_TIMEOUT_S, PARSE_EVERY, RESULT_TIMEOUT_S, Commands
from loadtest.group import AgentGroup
from tests.loadtest.makers import hall, plan

GRID = hall().grid
Behaving = Any


class Wire:
    """Stands for a ``Line``: keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, frame: str) -> None:
        self.sent.append(json.loads(frame))


class Talk:
    """An agent and its server, by hand."""

    def __init__(self, behaviour: Behaving, *, timed: bool = True) -> None:
        self.group = AgentGroup(plan(think_s=0.0), Api("http://127.0.0.1:1"), "dcw_x")
        self.commands = Commands(self.group, "me", behaviour, random.Random(1), timed=timed)
        self.events = 0
        self.tick = 1
        self.wire = Wire()

    def open(self, channel: str = "ch_1") -> Wire:
        self.wire = Wire()
        self.commands.opened(self.wire, Session("sess_x", "jti_x", "agent", "secret"))  # type: ignore[arg-type]
        self.say("session_ready", agent_id="me", channel_id=channel, chunk_id="chunk-0", role="agent")
        self.say("chunk_static", chunk_id="chunk-0", grid=GRID, resource_nodes=[], neighbors={})
        self.state()
        return self.wire

    def say(self, kind: str, event_id: str | None = None, **payload: Any) -> None:
        message = {"type": kind, "trace_id": "t", "server_ts_ms": 1, "payload": payload}
        text = json.dumps(message | ({"event_id": event_id} if event_id else {}), separators=(",", ":"))
        self.commands.heard(text.encode(), time.perf_counter())

    def lasting(self, kind: str, **payload: Any) -> None:
        self.events += 1
        self.say(kind, f"e{self.events}", **payload)

    def state(self, activity: str = "idle") -> None:
        self.tick += 1
        me = {"id": "me", "x": 25, "y": 25, "activity_state": activity}
        self.say("chunk_delta", f"chunk-0:{self.tick}:0", chunk_id="chunk-0", tick=self.tick, agents=[me], npcs=[])

    async def asked(self) -> dict[str, Any]:
        """The next request."""
        async with asyncio.timeout(5):
            while not self.wire.sent or self.wire.sent[-1]["type"] != "command_req":
                await asyncio.sleep(0.001)
        payload: dict[str, Any] = self.wire.sent[-1]["payload"]
        return payload

    def challenge(self, name: str, channel: str = "ch_1", difficulty: int = 1) -> None:
        about = {"client_cmd_id": name, "server_cmd_id": f"s-{name}", "channel_id": channel}
        self.lasting("command_challenge", **about, nonce="n", expires_at=9, difficulty=difficulty)

    def ack(self, name: str, **more: Any) -> None:
        self.lasting("command_ack", client_cmd_id=name, server_cmd_id=f"s-{name}", **({"accepted": True} | more))

    def result(self, name: str, **more: Any) -> None:
        about = {"client_cmd_id": name, "server_cmd_id": f"s-{name}", "ended_tick": 9}
        self.lasting("command_result", **about, **({"status": "completed"} | more))

    async def carried_out(self) -> str:
        name: str = (await self.asked())["client_cmd_id"]
        self.challenge(name)
        self.ack(name)
        return name

    def count(self, name: str) -> int:
        return self.group.measures.counts[name]


def walk(view: WorldView, rng: random.Random) -> Action:
    return Move(25, 26)


def dig(view: WorldView, rng: random.Random) -> Action:
    return Harvest("n0")


async def test_a_command_from_request_to_result() -> None:
    talk = Talk(walk)
    talk.open()
    request = await talk.asked()
    assert request["cmd"] == {"type": "move_to", "x": 25, "y": 26}
    talk.challenge(request["client_cmd_id"])
    answer = talk.wire.sent[-1]
    assert answer["type"] == "command_answer"
    assert len(answer["payload"]["sig"]) == 43
    talk.ack(request["client_cmd_id"])
    assert talk.group.measures.times["rtt"].count == 1
    assert talk.group.measures.times["decision"].max_s <= talk.group.measures.times["rtt"].max_s
    assert talk.commands.pending
    talk.result(request["client_cmd_id"])
    assert not talk.commands.pending
    assert [talk.count(name) for name in ("requests", "acks", "results", "completed:none")] == [1, 1, 1, 1]
    assert talk.group.proof_s > 0
    assert (await talk.asked())["client_cmd_id"] != request["client_cmd_id"]


async def test_refusals_and_failures_by_reason() -> None:
    talk = Talk(walk)
    talk.open()
    name = (await talk.asked())["client_cmd_id"]
    talk.challenge(name)
    talk.ack(name, accepted=False, reason="unreachable")
    talk.wire.sent.clear()
    name = await talk.carried_out()
    talk.result(name, status="failed", reason="blocked", blocked_at={"x": 1, "y": 2}, blocker={"id": "b"})
    counted = ("refusals", "refused:unreachable", "acks", "results", "failed:blocked")
    assert [talk.count(name) for name in counted] == [1] * 5
    assert talk.group.measures.times["rtt"].count == 1, "a refusal is no round trip"


async def test_a_line_that_breaks_before_the_answer() -> None:
    talk = Talk(walk)
    talk.open()
    await talk.asked()
    talk.commands.lost()
    assert talk.count("unanswered") == 1
    assert not talk.commands.pending
    talk.open("ch_2")
    assert await talk.asked()


async def test_an_ack_over_a_reconnect_counts_and_is_not_timed() -> None:
    talk = Talk(walk)
    talk.open()
    name = (await talk.asked())["client_cmd_id"]
    talk.challenge(name)
    talk.commands.lost()
    assert list(talk.commands.pending) == [name]
    talk.open("ch_2")
    talk.ack(name)
    talk.result(name)
    assert [talk.count(name) for name in ("acks", "results", "unanswered")] == [1, 1, 0]
    assert talk.group.measures.times["rtt"].count == 0


async def test_repeats_of_a_resumed_stream_are_no_second_results() -> None:
    talk = Talk(walk)
    talk.open()
    name = await talk.carried_out()
    talk.result(name)
    talk.events -= 1
    talk.result(name)
    assert (talk.count("results"), talk.count("results_twice")) == (1, 0)
    talk.result(name)
    assert (talk.count("results"), talk.count("results_twice")) == (1, 1)


async def test_a_harvest_is_interrupted_by_a_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.commands.INTERRUPT_SHARE", 1.0)
    monkeypatch.setattr("loadtest.commands.INTERRUPT_AFTER_S", (0.0, 0.0))
    talk = Talk(dig)
    talk.open()
    harvest = await talk.carried_out()
    talk.wire.sent.clear()
    assert (await talk.asked())["cmd"]["type"] == "move_to"
    walking = await talk.carried_out()
    talk.result(harvest, status="failed", reason="interrupted_by_new_command")
    talk.result(walking)
    assert (talk.count("results"), talk.count("failed:interrupted_by_new_command")) == (2, 1)


async def test_nobody_answers() -> None:
    talk = Talk(walk)
    talk.open()
    await talk.asked()
    now = time.perf_counter()
    talk.commands.sweep(now + ANSWER_TIMEOUT_S - 1)
    assert talk.count("timeouts") == 0
    talk.commands.sweep(now + ANSWER_TIMEOUT_S + 1)
    assert talk.count("timeouts") == 1
    talk.wire.sent.clear()
    assert await talk.asked()


async def test_a_command_whose_result_was_lost_is_given_up_when_its_agent_has_stood_idle() -> None:
    talk = Talk(walk)
    talk.open()
    name = await talk.carried_out()
    now = time.perf_counter()

    def idle_for(seconds: float) -> None:
        nonlocal now
        talk.commands.sweep(now)
        now += seconds
        talk.commands.sweep(now)

    talk.state("moving")
    idle_for(10 * RESULT_TIMEOUT_S)
    assert name in talk.commands.pending, "it runs"
    talk.state("idle")
    idle_for(RESULT_TIMEOUT_S - 1)
    talk.commands.lost()
    idle_for(10 * RESULT_TIMEOUT_S)
    assert name in talk.commands.pending, "without a connection nothing is lost"
    talk.open("ch_2")
    idle_for(RESULT_TIMEOUT_S + 1)
    assert name not in talk.commands.pending
    assert [talk.count(what) for what in ("acks", "results", "timeouts")] == [1, 0, 0]
    assert (await talk.asked())["client_cmd_id"] != name
    talk.result(name)
    assert [talk.count(what) for what in ("results", "results_twice")] == [1, 0], "late, and there after all"


async def test_a_result_that_nobody_waits_for_any_more_is_no_second_one() -> None:
    talk = Talk(walk)
    talk.open()
    await talk.asked()
    (name,) = talk.commands.pending
    talk.commands.sweep(time.perf_counter() + ANSWER_TIMEOUT_S + 1)
    talk.ack(name)
    talk.result(name)
    assert [talk.count(name) for name in ("acks", "results", "results_twice")] == [0, 0, 0]


async def test_what_runs_is_not_given_up() -> None:
    talk = Talk(walk)
    talk.open()
    name = await talk.carried_out()
    talk.commands.sweep(time.perf_counter() + 10 * ANSWER_TIMEOUT_S)
    assert list(talk.commands.pending) == [name]


async def test_most_deltas_are_counted_and_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk(lambda view, rng: Rest(60))
    talk.open()
    await asyncio.sleep(0.01)
    talk.state("moving")
    parsed: list[Any] = []
    monkeypatch.setattr(WorldView, "feed", lambda self, event: parsed.append(event))
    before = talk.count("deliveries")
    for _ in range(5 * PARSE_EVERY):
        talk.state("moving")
    assert talk.count("deliveries") - before == 5 * PARSE_EVERY
    assert len(parsed) == 5
    assert talk.group.measures.times["tick_gap"].count == 5 * PARSE_EVERY


async def test_a_slow_agents_times_are_its_own() -> None:
    talk = Talk(walk, timed=False)
    talk.open()
    talk.result(await talk.carried_out())
    talk.state("moving")
    talk.state("moving")
    assert not any(histogram.count for histogram in talk.group.measures.times.values())
    assert (talk.count("acks"), talk.count("results")) == (1, 1)


ODD_DELTA = b'{"type":"chunk_delta","payload":{"tick":"x"}}'


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff\xff", b"{", ODD_DELTA[:20], ODD_DELTA, b"[" * 9999])
async def test_what_is_no_message_is_counted(raw: bytes) -> None:
    talk = Talk(lambda view, rng: Rest(60))
    talk.open()
    talk.commands._wants_state = True
    talk.commands.heard(raw, time.perf_counter())
    assert talk.count("unusable") == 1
    assert talk.group.defect is None


async def test_errors_are_counted_by_reason_and_the_command_goes_on() -> None:
    talk = Talk(walk)
    talk.open()
    await talk.asked()
    talk.say("error", reason="rate_limited")
    assert (talk.count("error:rate_limited"), talk.count("unanswered")) == (1, 1)


async def test_a_fault_of_ours_is_kept_for_the_generator() -> None:
    def broken(view: WorldView, rng: random.Random) -> Action:
        raise ZeroDivisionError

    talk = Talk(broken)
    talk.open()
    async with asyncio.timeout(5):
        while talk.group.defect is None:
            await asyncio.sleep(0.001)
    assert isinstance(talk.group.defect, ZeroDivisionError)


async def test_nothing_is_asked_when_it_is_over() -> None:
    talk = Talk(walk)
    talk.open()
    talk.group.going = False
    await asyncio.sleep(0.02)
    assert talk.wire.sent == []


async def test_terrain_is_shared() -> None:
    group = AgentGroup(plan(), Api("http://127.0.0.1:1"), "dcw_x")
    views = []
    for _ in range(2):
        talk = Talk(walk)
        talk.group = group
        talk.commands._group = group
        talk.open()
        views.append(talk.commands._view)
    assert views[0].grid is views[1].grid
