"""The agents' socket, through a gateway that listens, over a real world in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any
from unittest.mock import patch

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from api.accounts.sessions import OpenedSession
from api.challenge.command_handler import AgentCommandHandler
from api.ports import JoinOutcome, WorldFull, WorldUnavailable
from api.sockets import seats
from api.sockets.agent_socket import Patience
from api.sockets.frames import CommandAnswer, CommandReq
from cluster.local import LocalWorld
from config.settings import Settings
from streaming import keys
from streaming.connect import connect
from tests.api.gates import DEADLINE_S, Gate, close_code, receive, receive_until, running
from tests.api.support import FakeWorld, answer_to, frame_text
from tests.cluster.worlds import Player, newest_delta, player, until
from tests.relay import relay_to
from tests.streaming.writer import AgentWriter, cut_pubsub

AGENT = "ada"
SOCKET = f"/v1/agent/ws?agent_id={AGENT}"
START = ["session_ready", "chunk_static", "chunk_delta"]


@pytest.fixture
async def local_world(redis: Redis, valkey_url: str) -> AsyncIterator[LocalWorld]:
    client = connect(valkey_url)
    async with LocalWorld(client, shards=1) as world:
        yield world
    await client.aclose()


@pytest.fixture
async def gate(settings: Settings, local_world: LocalWorld) -> AsyncIterator[Gate]:
    async with running(settings, local_world.router) as gate:
        yield gate


@pytest.fixture
async def me(gate: Gate) -> OpenedSession:
    return await gate.session("agent", AGENT)


def own_events(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the agent's own stream."""
    return [
        m
        for m in messages
        if m["type"].startswith("command_") or m["type"] in ("chunk_transition", "agent_private_delta")
    ]


async def say(ws: ClientConnection, kind: str, **payload: Any) -> None:
    await ws.send(frame_text(kind, **payload))


async def challenged(ws: ClientConnection, cmd: dict[str, Any], client_cmd_id: str = "c-1") -> dict[str, Any]:
    await say(ws, "command_req", client_cmd_id=client_cmd_id, cmd=cmd)
    challenge: dict[str, Any] = (await receive_until(ws, "command_challenge"))[-1]["payload"]
    return challenge


async def accepted(ws: ClientConnection, me: OpenedSession, cmd: dict[str, Any], client_cmd_id: str = "c-1") -> None:
    challenge = await challenged(ws, cmd, client_cmd_id)
    await say(ws, "command_answer", **answer_to(me.session, challenge, cmd))
    ack = (await receive_until(ws, "command_ack"))[-1]["payload"]
    assert ack["accepted"] is True, ack


async def place(redis: Redis) -> tuple[int, int]:
    record = json.loads((await redis.hget(keys.agent(AGENT), "rec")) or b"{}")
    return record["x"], record["y"]


async def free_cell(ws: ClientConnection, steps: int = 1) -> dict[str, Any]:
    """A move to a floor cell so many steps from where the agent is."""
    messages = await receive_until(ws, "chunk_delta")
    static = next(m for m in messages if m["type"] == "chunk_static")["payload"]
    delta = messages[-1]["payload"]
    while AGENT not in [agent["id"] for agent in delta["agents"]]:
        delta = (await receive_until(ws, "chunk_delta"))[-1]["payload"]
    (here,) = [agent for agent in delta["agents"] if agent["id"] == AGENT]
    for dx, dy in ((steps, 0), (-steps, 0), (0, steps), (0, -steps)):
        x, y = here["x"] + dx, here["y"] + dy
        way = [(here["x"] + dx * n // steps, here["y"] + dy * n // steps) for n in range(steps + 1)]
        if all(0 < cx < 49 and 0 < cy < 49 and static["grid"][cy][cx] == 0 for cx, cy in way):
            return {"type": "move_to", "x": x, "y": y}
    raise AssertionError("no straight way")


async def present_until(redis: Redis) -> float:
    """Seconds from now until which the agent may stand in the world without news."""
    score = await redis.zscore(keys.PRESENCE, AGENT)
    seconds, micros = await redis.time()
    assert score is not None
    return float(score) / 1000 - seconds - micros / 1e6


async def test_a_command_from_request_to_result(gate: Gate, me: OpenedSession, redis: Redis) -> None:
    async with gate.ws(SOCKET, me.token) as ws:
        cmd = await free_cell(ws)
        await accepted(ws, me, cmd)
        result = (await receive_until(ws, "command_result"))[-1]
        assert (result["payload"]["status"], result["payload"]["client_cmd_id"]) == ("completed", "c-1")
        assert await place(redis) == (cmd["x"], cmd["y"])
        assert 30 < await present_until(redis) <= 45
    await gate.idle()
    assert 28 < await present_until(redis) <= 30
    assert await redis.get(keys.connection(AGENT)) is None


async def test_the_start_and_the_ids(gate: Gate, me: OpenedSession) -> None:
    async with gate.ws(SOCKET, me.token) as ws:
        messages = [await receive(ws) for _ in range(3)]
        assert [m["type"] for m in messages] == START
        ready = messages[0]["payload"]
        assert ready["agent_id"] == AGENT
        assert ready["role"] == "agent"
        assert ready["resumed"] is False
        assert ready["channel_id"].startswith("ch_")
        assert ready["chunk_id"] == messages[1]["payload"]["chunk_id"] == messages[2]["payload"]["chunk_id"]
        assert messages[2]["event_id"].startswith(ready["chunk_id"] + ":")
        await say(ws, "ping")
        beat = (await receive_until(ws, "heartbeat"))[-1]
        assert beat["trace_id"] == "t-1"


async def test_who_may_not(gate: Gate, me: OpenedSession) -> None:
    cases = [
        ("none", SOCKET, 401, "invalid_session"),
        (await gate.token("spectator"), SOCKET, 403, "invalid_scope"),
        (await gate.token("owner_spectator", AGENT), SOCKET, 403, "invalid_scope"),
        (me.token, "/v1/agent/ws?agent_id=bob", 403, "agent_mismatch"),
        (me.token, "/v1/agent/ws?agent_id=a%7Cb", 422, "invalid_request"),
        (me.token, "/v1/agent/ws", 422, "invalid_request"),
        (me.token, SOCKET + "&token=x", 400, "token_in_url"),
    ]
    for token, path, status, reason in cases:
        assert await gate.denied(path, token) == (status, reason), path
    assert len(gate.streams.connections) == 0


HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "binary": (b'{"type":"ping"}', "binary_not_supported"),
    "empty": ("", "bad_json"),
    "null": ("null", "bad_shape"),
    "array": ("[]", "bad_shape"),
    "no type": ("{}", "bad_shape"),
    "type 42": ('{"type":42}', "bad_shape"),
    "unknown": ('{"type":"nope"}', "unsupported_message_type"),
    "server's": ('{"type":"command_ack","payload":{}}', "unsupported_message_type"),
    "NaN": ('{"type":NaN}', "bad_shape"),
    "nested": ("[" * 15_000, "bad_json"),
    "long int": ('{"type":"ping","n":' + "9" * 5_000, "bad_json"),
    "rubbish after": ('{"type":"ping"}x', "bad_json"),
    "bom": ('\ufeff{"type":"ping"}', "bad_json"),
    "over 16 KiB": ('{"type":"ping","x":"' + "x" * 20_000 + '"}', "message_too_large"),
}


async def test_hostile_frames_are_answered_and_the_socket_lives_on(gate: Gate, me: OpenedSession) -> None:
    async with gate.ws(SOCKET, me.token) as ws:
        for said, reason in HOSTILE.values():
            await ws.send(said)
            assert (await receive_until(ws, "error"))[-1]["payload"]["reason"] == reason
        await say(ws, "ping")
        await receive_until(ws, "heartbeat")


async def test_too_many_of_them_close_it(gate: Gate, me: OpenedSession) -> None:
    async with gate.ws(SOCKET, me.token) as ws:
        with suppress(ConnectionClosed):
            for _ in range(gate.services.settings.bad_frames_max + 1):
                await ws.send("nonsense")
        assert await close_code(ws) == (1008, "too_many_bad_frames")
    await gate.idle()


async def test_what_is_far_too_big_is_cut_off_by_the_server(gate: Gate, me: OpenedSession) -> None:
    async with gate.ws(SOCKET, me.token) as ws:
        await receive_until(ws, "chunk_delta")
        await ws.send("x" * 70_000)
        assert (await close_code(ws))[0] == 1009
    await gate.idle()


def test_patience_forgets() -> None:
    patience = Patience(3)
    assert [patience.ends() for _ in range(4)] == [False, False, False, True]
    patience._at -= 60.0
    assert not patience.ends()


async def test_a_bug_in_handling_a_whole_frame_ends_that_socket_alone(
    gate: Gate, me: OpenedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise RuntimeError("not foreseen")

    async with gate.ws(SOCKET, me.token) as ws:
        await challenged(ws, {"type": "move_to", "x": 1, "y": 1})  # which the parser has seen, and all before it
        monkeypatch.setattr(AgentCommandHandler, "at_once", fail)
        await say(ws, "command_req", client_cmd_id="c-2", cmd={"type": "move_to", "x": 1, "y": 1})
        assert await close_code(ws) == (1011, "internal_error")
    monkeypatch.undo()
    async with gate.ws(SOCKET, me.token) as ws:
        await receive_until(ws, "chunk_delta")


async def test_commands_go_on_over_frames_that_come_whole(gate: Gate, me: OpenedSession, redis: Redis) -> None:
    """The first of a lease is for the task, the others are not."""
    handled: list[bool] = []
    real = AgentCommandHandler.at_once

    def counted(self: AgentCommandHandler, frame: CommandReq | CommandAnswer) -> bool:
        handled.append(real(self, frame))
        return handled[-1]

    with patch.object(AgentCommandHandler, "at_once", counted):
        async with gate.ws(SOCKET, me.token) as ws:
            await receive_until(ws, "chunk_delta")
            for n in range(4):
                x, y = await place(redis)
                cmd = {"type": "move_to", "x": x, "y": y}
                await accepted(ws, me, cmd, f"c-{n}")
                await receive_until(ws, "command_result")
    assert True in handled


@asynccontextmanager
async def walkers(world: LocalWorld) -> AsyncIterator[None]:
    """Two that walk to and fro: their chunk has a delta in every tick, so that a join can't be shown at once."""
    others = [await player(world, f"walker-{number}") for number in range(2)]
    going = True

    async def walk(other: Player, y: int) -> None:
        x = 20
        while going:
            x = 45 - x
            if (await other.submit({"type": "move_to", "x": x, "y": y})).accepted:
                await other.result()

    walking = [asyncio.create_task(walk(other, 24 + number)) for number, other in enumerate(others)]
    try:
        yield
    finally:
        going = False
        await asyncio.gather(*walking)


@pytest.mark.parametrize("busy", [False, True], ids=["quiet", "busy"])
class TestFirstDelta:
    """The first delta shows the agent, whoever looks and however it has come."""

    ROUNDS = 3

    async def enter(self, gate: Gate, me: OpenedSession, last_event_id: str = "") -> str:
        """Connect, look at the first delta, leave; gives its id."""
        query = f"&last_event_id={last_event_id}" if last_event_id else ""
        async with gate.ws(SOCKET + query, me.token) as ws:
            messages = await receive_until(ws, "chunk_delta")
        await gate.idle()
        assert [m["type"] for m in messages] == START
        self.assert_shows(messages[-1]["payload"])
        event_id: str = messages[-1]["event_id"]
        return event_id

    @staticmethod
    def assert_shows(delta: dict[str, Any]) -> None:
        assert AGENT in [agent["id"] for agent in delta["agents"]]

    @staticmethod
    async def leave_the_world(redis: Redis, world: LocalWorld) -> None:
        """Be out of it, and out of its newest delta."""
        await redis.zadd(keys.PRESENCE, {AGENT: 1})
        await asyncio.sleep(0.01)
        await world.shards.runtimes[0].presence.sweep()
        assert await redis.hget(keys.agent(AGENT), "here") in (b"0", None)

        async def unseen() -> bool:
            delta = await newest_delta(redis, "chunk-0")
            return bool(delta) and AGENT not in [agent["id"] for agent in delta["agents"]]

        await until(unseen, "a delta without the agent")

    async def test_of_the_agent(
        self, busy: bool, gate: Gate, me: OpenedSession, redis: Redis, local_world: LocalWorld
    ) -> None:
        """Joining, coming back within the grace time and after it, with an id and without."""
        async with walkers(local_world) if busy else nullcontext():
            for _ in range(self.ROUNDS):
                await self.leave_the_world(redis, local_world)
                last = await self.enter(gate, me)
                await self.enter(gate, me)
                await self.enter(gate, me, last)
                await self.leave_the_world(redis, local_world)
                await self.enter(gate, me, last)

    async def test_of_a_takeover_right_after_the_join(
        self, busy: bool, gate: Gate, me: OpenedSession, redis: Redis, local_world: LocalWorld
    ) -> None:
        async with walkers(local_world) if busy else nullcontext():
            for _ in range(self.ROUNDS):
                await self.leave_the_world(redis, local_world)
                async with gate.ws(SOCKET, me.token), gate.ws(SOCKET, me.token) as newer:
                    messages = await receive_until(newer, "chunk_delta")
                    assert messages[0]["payload"]["resumed"] is True
                    self.assert_shows(messages[-1]["payload"])
                await gate.idle()

    async def test_of_an_owner_who_looks_while_the_agent_joins(
        self, busy: bool, gate: Gate, me: OpenedSession, redis: Redis, local_world: LocalWorld
    ) -> None:
        """Whenever the stream is opened, before, during or after: once it shows a delta, it shows the agent."""
        owner = await gate.token("owner_spectator", AGENT)

        async def look(after_s: float) -> None:
            await asyncio.sleep(after_s)
            async with gate.sse(f"/v1/owner/stream?agent_id={AGENT}", owner) as stream:
                self.assert_shows((await stream.until("chunk_delta"))[-1].data)

        async with walkers(local_world) if busy else nullcontext():
            for _ in range(self.ROUNDS):
                await self.leave_the_world(redis, local_world)
                looking = [asyncio.create_task(look(0.01 * number)) for number in range(8)]
                async with gate.ws(SOCKET, me.token) as ws:
                    await receive_until(ws, "chunk_delta")
                    await asyncio.gather(*looking)
                await gate.idle()


class TestTakeover:
    async def test_a_hundred_times_the_newest_has_the_agent(
        self, gate: Gate, me: OpenedSession, redis: Redis, local_world: LocalWorld
    ) -> None:
        old = await gate.ws(SOCKET, me.token)
        await receive_until(old, "chunk_delta")
        before = await redis.hgetall("population")
        for _ in range(100):
            new = await gate.ws(SOCKET, me.token)
            assert (await receive(new))["payload"]["resumed"] is True
            assert await close_code(old) == (4001, "taken_over")
            old = new
        await say(old, "ping")
        await receive_until(old, "heartbeat")
        async with asyncio.timeout(DEADLINE_S):
            while len(gate.streams.seats) > 1 or len(gate.streams.connections) > 1:
                await asyncio.sleep(0.01)
        assert await redis.hgetall("population") == before
        assert await present_until(redis) > 30
        assert await redis.get(keys.connection(AGENT)) is not None
        await old.close()
        await gate.idle()

    async def test_of_five_at_once_one_stays(self, gate: Gate, me: OpenedSession) -> None:
        for _ in range(5):
            sockets = await asyncio.gather(*(gate.ws(SOCKET, me.token) for _ in range(5)))
            async with asyncio.timeout(DEADLINE_S):
                while len(gate.streams.connections) > 1:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert len(gate.streams.connections) == 1
            living = []
            for ws in sockets:
                with suppress(ConnectionClosed):
                    await say(ws, "ping")
                    await receive_until(ws, "heartbeat")
                    living.append(ws)
            assert len(living) == 1
            await living[0].close()
            await gate.idle()

    async def test_over_two_gateways(
        self, gate: Gate, settings: Settings, local_world: LocalWorld, me: OpenedSession
    ) -> None:
        async with running(settings, local_world.router) as other, gate.ws(SOCKET, me.token) as old:
            await receive_until(old, "chunk_delta")
            async with other.ws(SOCKET, me.token) as new:
                await receive_until(new, "chunk_delta")
                assert await close_code(old) == (4001, "taken_over")
                await say(new, "ping")
                await receive_until(new, "heartbeat")

    async def test_a_takeover_whose_message_was_lost_is_found(
        self, gate: Gate, me: OpenedSession, redis: Redis
    ) -> None:
        async with gate.ws(SOCKET, me.token) as old:
            await receive_until(old, "chunk_delta")
            await redis.set(keys.connection(AGENT), "ch_somebody-newer")
            await cut_pubsub(redis)
            assert await close_code(old) == (4001, "taken_over")
        await gate.idle()
        assert await redis.get(keys.connection(AGENT)) == b"ch_somebody-newer"


class TestComingBack:
    async def test_what_was_missed_comes_once_after_the_present(
        self, gate: Gate, me: OpenedSession, redis: Redis
    ) -> None:
        async with gate.ws(SOCKET, me.token) as ws:
            cmd = await free_cell(ws, steps=3)
            await accepted(ws, me, cmd)
            ws.transport.abort()
        await gate.idle()
        async with asyncio.timeout(DEADLINE_S):
            while await place(redis) != (cmd["x"], cmd["y"]):
                await asyncio.sleep(0.05)
        async with gate.ws(SOCKET, me.token) as ws:
            messages = await receive_until(ws, "command_result")
            assert [m["type"] for m in messages][:3] == START
            assert messages[0]["payload"]["resumed"] is True
            results = [m for m in messages if m["type"] == "command_result"]
            assert [m["payload"]["client_cmd_id"] for m in results] == ["c-1"]
            await ws.close()
        await gate.idle()
        async with gate.ws(SOCKET, me.token) as ws:
            # It closed in order and had read everything: nothing is told twice.
            await receive_until(ws, "chunk_delta")
            await say(ws, "ping")
            assert own_events(await receive_until(ws, "heartbeat")) == []

    async def test_an_id_resumes_exactly(self, gate: Gate, me: OpenedSession) -> None:
        async with gate.ws(SOCKET, me.token) as ws:
            cmd = await free_cell(ws, steps=3)
            challenge = await challenged(ws, cmd)
            await say(ws, "command_answer", **answer_to(me.session, challenge, cmd))
            ack = (await receive_until(ws, "command_ack"))[-1]
            ws.transport.abort()
        await gate.idle()
        await asyncio.sleep(1.0)
        async with gate.ws(f"{SOCKET}&last_event_id={ack['event_id']}", me.token) as ws:
            messages = await receive_until(ws, "command_result")
            assert [m["type"] for m in messages][:3] == START
            assert "command_ack" not in [m["type"] for m in messages]
            deltas = [m for m in messages if m["type"] == "chunk_delta"]
            chunk, tick, *_ = ack["event_id"].split(":")
            first = [int(part) for part in deltas[0]["event_id"].split(":")[1:3]]
            assert messages[0]["payload"]["chunk_id"] == chunk
            assert first[0] > int(tick)

    async def test_challenges_of_an_earlier_socket_are_not_shown_again(self, gate: Gate, me: OpenedSession) -> None:
        async with gate.ws(SOCKET, me.token) as ws:
            cmd = await free_cell(ws)
            await challenged(ws, cmd)
            ws.transport.abort()
        await gate.idle()
        async with gate.ws(SOCKET, me.token) as ws:
            await receive_until(ws, "chunk_delta")
            await say(ws, "ping")
            assert own_events(await receive_until(ws, "heartbeat")) == []

    async def test_an_answered_ping_says_what_arrived(
        self, settings: Settings, local_world: LocalWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(seats, "REFRESH_EVERY_TICKS", 1)
        options = {"ws_ping_interval": 0.3, "ws_ping_timeout": 5.0}
        async with running(settings, local_world.router, **options) as gate:
            me = await gate.session("agent", AGENT)
            async with gate.ws(SOCKET, me.token) as ws:
                await accepted(ws, me, await free_cell(ws))
                result = (await receive_until(ws, "command_result"))[-1]
                number = int(result["event_id"].split(":")[3])
                async with asyncio.timeout(DEADLINE_S):
                    while int(await gate.services.redis.get(f"agentpos:{AGENT}") or 0) < number:
                        await asyncio.sleep(0.05)
                ws.transport.abort()
            await gate.idle()
            async with gate.ws(SOCKET, me.token) as ws:
                await receive_until(ws, "chunk_delta")
                await say(ws, "ping")
                assert own_events(await receive_until(ws, "heartbeat")) == []

    async def test_after_the_grace_time_it_has_left_and_comes_back(
        self, gate: Gate, me: OpenedSession, redis: Redis, local_world: LocalWorld
    ) -> None:
        async with gate.ws(SOCKET, me.token) as ws:
            await receive_until(ws, "chunk_delta")
        await gate.idle()
        runtime = local_world.shards.runtimes[0]
        await redis.zadd(keys.PRESENCE, {AGENT: 1})
        await asyncio.sleep(0.05)
        await runtime.presence.sweep()
        assert await redis.hget(keys.agent(AGENT), "here") == b"0"
        async with gate.ws(SOCKET, me.token) as ws:
            messages = await receive_until(ws, "chunk_delta")
            assert messages[0]["payload"]["resumed"] is False


class TestDeadAndSlow:
    async def test_a_line_that_went_dead_is_found(
        self, settings: Settings, local_world: LocalWorld, redis: Redis
    ) -> None:
        options = {"ws_ping_interval": 0.3, "ws_ping_timeout": 0.4}
        async with running(settings, local_world.router, **options) as gate, relay_to(gate.port) as relay:
            me = await gate.session("agent", AGENT)
            through = Gate(gate.services, gate.streams, gate.models, relay.port)
            ws = await through.ws(SOCKET, me.token, ping_interval=None)
            cmd = await free_cell(ws, steps=3)
            await accepted(ws, me, cmd)
            relay.frozen = True
            await gate.idle()
            assert await present_until(redis) <= 30
            async with gate.ws(SOCKET, me.token) as again:
                messages = await receive_until(again, "command_result")
                assert messages[0]["payload"]["resumed"] is True
                assert messages[-1]["payload"]["status"] == "completed"
            ws.transport.abort()

    async def test_one_that_only_answers_pings_stays(self, settings: Settings, local_world: LocalWorld) -> None:
        options = {"ws_ping_interval": 0.1, "ws_ping_timeout": 0.4}
        async with running(settings, local_world.router, **options) as gate:
            me = await gate.session("agent", AGENT)
            async with gate.ws(SOCKET, me.token, ping_interval=None) as ws:
                await receive_until(ws, "chunk_delta")
                await asyncio.sleep(1.5)
                await say(ws, "ping")
                await receive_until(ws, "heartbeat")

    async def test_one_that_does_not_read_is_closed_and_gets_it_all_later(
        self, gate: Gate, me: OpenedSession, redis: Redis
    ) -> None:
        ws = await gate.ws(SOCKET, me.token, max_queue=1)
        await receive_until(ws, "chunk_delta")
        agent = AgentWriter(redis, AGENT)
        agent.last = (int(await redis.hget(keys.agent(AGENT), "seq") or 0), 0)
        written = 0
        while len(gate.streams.connections):
            written += 1
            await agent.event("command_ack", filler="x" * 30_000)
            await asyncio.sleep(0)
            assert written < 5_000
        assert await close_code(ws) == (4002, "too_slow")
        async with gate.ws(SOCKET, me.token) as ws:
            numbers = [int(m["event_id"].split(":")[3]) for m in own_events(await receive_until(ws, "command_ack"))]
            while numbers[-1] < agent.last[0]:
                numbers.append(int((await receive_until(ws, "command_ack"))[-1]["event_id"].split(":")[3]))
        assert numbers == list(range(numbers[0], agent.last[0] + 1))
        assert len(numbers) >= min(written, 300)


class TestClosingFromHere:
    async def test_a_revoked_session_loses_its_socket(self, gate: Gate, me: OpenedSession, redis: Redis) -> None:
        async with gate.ws(SOCKET, me.token) as ws:
            await receive_until(ws, "chunk_delta")
            await redis.delete(keys.session_by_jti(me.session.jti))
            await redis.publish("ctl:sessions", f"jti {me.session.jti}")
            assert await close_code(ws) == (1008, "invalid_session")
        await gate.idle()

    async def test_draining_keeps_the_agent_in_the_world(self, gate: Gate, me: OpenedSession, redis: Redis) -> None:
        async with gate.ws(SOCKET, me.token) as ws:
            await receive_until(ws, "chunk_delta")
            await gate.streams.drain(0.1)
            assert await close_code(ws) == (1012, "draining")
        await gate.idle()
        assert 25 < await present_until(redis) <= 30
        assert await redis.hget(keys.agent(AGENT), "here") == b"1"


@pytest.mark.parametrize(("trouble", "reason"), [(WorldFull, "world_full"), (WorldUnavailable, "unavailable")])
async def test_a_world_without_room_or_answer_is_said_before_the_handshake(
    settings: Settings, world: FakeWorld, trouble: type[Exception], reason: str
) -> None:
    async def join(agent_id: str, account_id: str, trace_id: str) -> JoinOutcome:
        raise trouble

    world.join = join  # type: ignore[method-assign]
    async with running(settings, world) as gate:
        assert await gate.denied(SOCKET, await gate.token("agent", AGENT)) == (503, reason)
        assert len(gate.streams.seats) == 0


async def test_one_that_was_taken_out_under_a_living_socket_is_sent_back_in(
    gate: Gate, me: OpenedSession, redis: Redis, local_world: LocalWorld
) -> None:
    async with gate.ws(SOCKET, me.token) as ws:
        await receive_until(ws, "chunk_delta")
        await redis.zadd(keys.PRESENCE, {AGENT: 1})
        await asyncio.sleep(0.05)
        await local_world.shards.runtimes[0].presence.sweep()
        assert await close_code(ws) == (1013, "left_the_world")
    async with gate.ws(SOCKET, me.token) as ws:
        await receive_until(ws, "chunk_delta")


@pytest.mark.slow
async def test_five_seconds_without_redis_lose_nothing(gate: Gate, me: OpenedSession, redis: Redis) -> None:
    owner_token, spectator_token = await gate.token("owner_spectator", AGENT), await gate.token("spectator")
    async with gate.ws(SOCKET, me.token) as ws:
        cmd = await free_cell(ws, steps=4)
        async with (
            gate.sse(f"/v1/owner/stream?agent_id={AGENT}", owner_token) as owner,
            gate.sse("/v1/spectate/stream?chunk_id=chunk-0", spectator_token) as spectator,
        ):
            await owner.until("chunk_delta")
            await spectator.until("chunk_delta")
            await accepted(ws, me, cmd)
            await redis.execute_command("CLIENT", "PAUSE", 5_000, "ALL")  # type: ignore[no-untyped-call]
            results = [m for m in await receive_until(ws, "command_result") if m["type"] == "command_result"]
            assert [m["payload"]["status"] for m in results] == ["completed"]
            events = await owner.until("command_result")
            assert [event.kind for event in events].count("command_ack") == 1
            x, y = cmd["x"], cmd["y"]
            ticks = []
            while True:
                (event,) = await spectator.take(1)
                if event.kind == "chunk_delta":
                    ticks.append(event.data["tick"])
                    if {"x": x, "y": y} == {k: v for k, v in event.data["agents"][0].items() if k in "xy"}:
                        break
            assert ticks == sorted(set(ticks))
        await say(ws, "ping")
        assert own_events(await receive_until(ws, "heartbeat")) == []
