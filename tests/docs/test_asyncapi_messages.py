"""What the server says, held against the AsyncAPI document: every field of every message is in it, and is so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from api.accounts.sessions import OpenedSession
from cluster.local import LocalWorld
from cluster.shard.config import ShardConfig
from config.settings import Settings
from streaming import keys
from streaming.connect import connect
from streaming.watch import resync_required
from tests.api.gates import Gate, SseReader, running
from tests.api.support import answer_to, frame_text
from tests.cluster.worlds import Player, player, until
from tests.docs.asyncapi import DOCUMENT, payload_faults, sse_faults, ws_faults
from tests.world.harness import QUIET, TinyCluster
from tests.world.play import play_randomly
from world.rules import Rules

# -- the world's payloads, from a play of many agents without any server --


@pytest.fixture(scope="module")
def played() -> TinyCluster:
    return play_randomly(seed=5, shards=2, ticks=250, hand_overs=True).cluster


def test_all_that_happens_to_an_agent_in_the_world(played: TinyCluster) -> None:
    found = [fault for event in played.private for fault in payload_faults(event.kind, event.payload)]
    assert not found, found[:5]
    told = [event.payload for event in played.private]
    assert {payload["reason"] for payload in told if "reason" in payload} >= {
        *("blocked", "node_depleted", "depleted", "disconnected", "interrupted_by_new_command", "invalid_cmd"),
    }
    assert any(payload.get("detail") for payload in told)
    assert any(payload.get("blocker_chunk_id") for payload in told)
    assert {event.kind for event in played.private} == {
        "command_ack",
        "command_result",
        "chunk_transition",
        "agent_private_delta",
    }


def test_all_that_happens_in_a_chunk(played: TinyCluster) -> None:
    found = [fault for delta in played.deltas for fault in payload_faults("chunk_delta", delta.payload)]
    assert not found, found[:5]
    assert {event["type"] for delta in played.deltas for event in delta.payload["events"]} == {
        *("blocked", "chat", "resource_harvest", "resource_given", "resource_depleted", "resource_regenerated"),
        *("agent_joined", "agent_left", "neighbor_linked", "neighbor_unlinked"),
    }
    assert any(delta.payload["npcs"] for delta in played.deltas)


def test_the_ground_of_every_chunk(played: TinyCluster) -> None:
    for chunk_id, shard in played.home.items():
        assert not payload_faults("chunk_static", shard.chunk_static(chunk_id))


def test_a_field_that_the_document_lacks_is_found() -> None:
    """So that the tests here are ones."""
    world = TinyCluster(rules=QUIET)
    world.join("a", 25, 25)
    world.run()
    payload = world.deltas[-1].payload
    assert not payload_faults("chunk_delta", payload)
    assert payload_faults("chunk_delta", payload | {"weather": "fog"})
    assert payload_faults("chunk_delta", {name: value for name, value in payload.items() if name != "npcs"})
    agent = payload["agents"][0]
    assert payload_faults("chunk_delta", payload | {"agents": [agent | {"gold": 1}]})
    assert payload_faults("chunk_delta", payload | {"agents": [agent | {"x": 50}]})


@pytest.mark.parametrize("reason", ["unknown_event_id", "out_of_window", "too_slow", "history_lost"])
@pytest.mark.parametrize("chunk_id", ["chunk-0", None])
def test_every_reason_to_start_over(chunk_id: str | None, reason: str) -> None:
    assert not payload_faults("resync_required", resync_required(chunk_id, reason, "t-1").fields())


# -- all five channels of a gateway that listens, over a real world in this process --

AGENT = "ada"
RULES = Rules(demo=False, collect_idle_ticks=25, gold_per_node_min=2, gold_per_node_max=2, regen_ticks=5)
CONFIG = ShardConfig(tick_hz=25.0)


@pytest.fixture
async def local_world(redis: Redis, valkey_url: str) -> AsyncIterator[LocalWorld]:
    client = connect(valkey_url)
    async with LocalWorld(client, shards=2, rules=RULES, config=CONFIG) as world:
        yield world
    await client.aclose()


@pytest.fixture
async def gate(fresh_postgres_url: str, valkey_url: str, local_world: LocalWorld) -> AsyncIterator[Gate]:
    settings = Settings(environment="test", database_url=fresh_postgres_url, redis_url=valkey_url, heartbeat_s=1)
    async with running(settings, local_world.router) as gate:
        yield gate


NOTICE = 'notice {"notice":"announcement","text":"hello","chunk_id":null}'


class Readers:
    """Reads channels in the background, validates every message, and notes which kinds came where."""

    def __init__(self) -> None:
        self.seen: dict[str, set[str]] = {name: set() for name in DOCUMENT["channels"]}
        self.faults: list[str] = []
        self.told: dict[str, list[dict[str, Any]]] = {name: [] for name in DOCUMENT["channels"]}

    def take(self, channel: str, kind: str, payload: dict[str, Any], faults: list[str]) -> None:
        self.seen[channel].add(kind)
        self.told[channel].append({"type": kind, **payload})
        self.faults += [f"{channel}: {fault}" for fault in faults]
        if kind not in DOCUMENT["channels"][channel]["messages"]:
            self.faults.append(f"{channel}: a {kind} is not documented here")

    async def socket(self, channel: str, ws: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = json.loads(await ws.recv())
                self.take(channel, message["type"], message["payload"], ws_faults(message))

    async def stream(self, channel: str, reader: SseReader) -> None:
        while (event := await reader.next()) is not None:
            self.take(channel, event.kind, event.data, sse_faults(event.kind, event.id, event.data))

    async def wait_for(self, channel: str, kind: str, count: int = 1, **fields: Any) -> dict[str, Any]:
        """The ``count``-th event of a kind with these fields on a channel, once it is there."""

        async def look() -> dict[str, Any] | None:
            mine = [e for e in self.told[channel] if e["type"] == kind and fields.items() <= e.items()]
            return mine[count - 1] if len(mine) >= count else None

        found: dict[str, Any] = await until(look, f"{kind} {fields} on {channel}")
        return found


async def command(ws: ClientConnection, me: OpenedSession, readers: Readers, name: str, cmd: Any) -> dict[str, Any]:
    """Have a command decided; gives its ack."""
    await ws.send(frame_text("command_req", client_cmd_id=name, cmd=cmd))
    challenge = await readers.wait_for("agent", "command_challenge", client_cmd_id=name)
    await ws.send(frame_text("command_answer", **answer_to(me.session, challenge, cmd)))
    return await readers.wait_for("agent", "command_ack", client_cmd_id=name)


async def misbehave(ws: ClientConnection, readers: Readers) -> None:
    """Frames that are none, commands that are none, an answer to nothing."""
    bad_id = frame_text("command_req", client_cmd_id="c c", cmd={})
    frames: list[str | bytes] = ["{", "[]", '{"type":"dance","payload":{}}', bad_id, " " * 17_000, b"\x00"]
    for frame in frames:
        await ws.send(frame)
    for reason in ("bad_json", "bad_shape", "unsupported_message_type", "invalid_client_cmd_id"):
        await readers.wait_for("agent", "error", reason=reason)
    await readers.wait_for("agent", "error", reason="message_too_large")
    await readers.wait_for("agent", "error", reason="binary_not_supported")
    await ws.send('{"type":"command_req","payload":{"client_cmd_id":"twice","cmd":{"x":1,"x":2}}}')
    await readers.wait_for("agent", "command_ack", client_cmd_id="twice", code="duplicate_key")
    await ws.send(frame_text("command_answer", server_cmd_id="never", sig="a" * 43))
    await readers.wait_for("agent", "command_ack", server_cmd_id="never", code="unknown_challenge")
    await ws.send(frame_text("ping"))
    await readers.wait_for("agent", "heartbeat")


async def open_all(gate: Gate, stack: AsyncExitStack, readers: Readers) -> tuple[ClientConnection, OpenedSession]:
    """Read all five channels; gives the agent's socket and session."""
    me = await gate.session("agent", AGENT)
    owner, spectator = await gate.token("owner_spectator", AGENT), await gate.token("spectator")
    ws = await stack.enter_async_context(gate.ws(f"/v1/agent/ws?agent_id={AGENT}", me.token))
    owner_ws = await stack.enter_async_context(gate.ws(f"/v1/owner/ws?agent_id={AGENT}", owner))
    watch_ws = await stack.enter_async_context(gate.ws("/v1/spectate/ws?chunk_id=demo", spectator))
    owner_sse = await stack.enter_async_context(gate.sse(f"/v1/owner/stream?agent_id={AGENT}", owner))
    watch_sse = await stack.enter_async_context(gate.sse("/v1/spectate/stream?chunk_id=demo", spectator))
    group = await stack.enter_async_context(Reading())
    group.start(readers.socket("agent", ws))
    group.start(readers.socket("ownerSocket", owner_ws))
    group.start(readers.socket("spectatorSocket", watch_ws))
    group.start(readers.stream("ownerStream", owner_sse))
    group.start(readers.stream("spectatorStream", watch_sse))
    return ws, me


class Reading:
    """Background tasks that end with the block."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Reading:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))


async def watch_it_close(gate: Gate, stack: AsyncExitStack, readers: Readers, chunk_id: str) -> None:
    """Watch an empty chunk until it is collected."""
    token = await gate.token("spectator")
    closing = await stack.enter_async_context(gate.sse(f"/v1/spectate/stream?chunk_id={chunk_id}", token))
    closing_ws = await stack.enter_async_context(gate.ws(f"/v1/spectate/ws?chunk_id={chunk_id}", token))
    await asyncio.gather(
        readers.stream("spectatorStream", closing),
        readers.socket("spectatorSocket", closing_ws),
    )


async def resync(gate: Gate, stack: AsyncExitStack, readers: Readers) -> None:
    """Come back with ids that were never given."""
    owner, spectator = await gate.token("owner_spectator", AGENT), await gate.token("spectator")
    paths = {
        "ownerSocket": (f"/v1/owner/ws?agent_id={AGENT}", owner),
        "spectatorSocket": ("/v1/spectate/ws?chunk_id=demo", spectator),
        "ownerStream": (f"/v1/owner/stream?agent_id={AGENT}", owner),
        "spectatorStream": ("/v1/spectate/stream?chunk_id=demo", spectator),
        "agent": (f"/v1/agent/ws?agent_id={AGENT}", (await gate.session("agent", AGENT)).token),
    }
    group = await stack.enter_async_context(Reading())
    for channel, (path, token) in paths.items():
        path += "&last_event_id=chunk-9:1:0:x"
        if channel.endswith("Stream"):
            reader = await stack.enter_async_context(gate.sse(path, token))
            group.start(readers.stream(channel, reader))
        else:
            group.start(readers.socket(channel, await stack.enter_async_context(gate.ws(path, token))))
        await readers.wait_for(channel, "resync_required")


async def test_every_message_of_every_channel(gate: Gate, local_world: LocalWorld, redis: Redis) -> None:
    readers = Readers()
    async with AsyncExitStack() as stack:
        ws, me = await open_all(gate, stack, readers)
        await readers.wait_for("agent", "chunk_delta")
        await misbehave(ws, readers)
        assert (await command(ws, me, readers, "c-say", {"type": "say", "text": "hello"}))["accepted"]
        await readers.wait_for("agent", "command_result", client_cmd_id="c-say")
        assert (await command(ws, me, readers, "c-say-2", {"type": "say", "text": "again"}))["reason"] == "rate_limited"
        await command(ws, me, readers, "c-wall", {"type": "move_to", "x": 1, "y": 1})
        other = await player(local_world, "ben")
        await harvest(ws, me, readers)
        assert (await command(ws, me, readers, "c-north", {"type": "move_to", "x": 25, "y": 49}))["accepted"]
        moved = await readers.wait_for("ownerStream", "chunk_transition")
        await readers.wait_for("ownerSocket", "chunk_transition")
        # Back through the door that it came from; the chunk behind it is empty then and goes.
        left = moved["to_chunk_id"]
        assert (await command(ws, me, readers, "c-back", {"type": "move_to", "x": 25, "y": 0}))["accepted"]
        await readers.wait_for("agent", "chunk_transition", from_chunk_id=left)
        await watch_it_close(gate, stack, readers, left)
        await move_a_little(other)
        for channel in DOCUMENT["channels"]:
            await readers.wait_for(channel, "heartbeat")
        # As the recorder tells it; it comes with a heartbeat.
        told: dict[Any, Any] = {"digest": "0" * 64, "chain": "1" * 32, "entry": f"1 7 {'1' * 32}"}
        await redis.xadd(keys.chunk_digests("chunk-0"), told, id="7-1")
        for channel in ("spectatorSocket", "spectatorStream"):
            await readers.wait_for(channel, "chunk_digest", tick=7)
        # From a tick that is to come: it plays nothing and is live at once.
        group = await stack.enter_async_context(Reading())
        owner = await gate.token("owner_spectator", AGENT)
        for channel, path, token in (
            ("spectatorStream", "/v1/spectate/stream?chunk_id=demo", await gate.token("spectator")),
            ("ownerStream", f"/v1/owner/stream?agent_id={AGENT}", owner),
        ):
            rewinding = await stack.enter_async_context(gate.sse(f"{path}&from_tick=1000000", token))
            group.start(readers.stream(channel, rewinding))
            await readers.wait_for(channel, "playback", state="live")
        await gate.services.batch.command("PUBLISH", keys.OPERATORS_CHANNEL, NOTICE)
        for channel in DOCUMENT["channels"]:
            await readers.wait_for(channel, "operator_notice")
        await resync(gate, stack, readers)
    assert not readers.faults, readers.faults[:5]
    for name, channel in DOCUMENT["channels"].items():
        from_server = set(channel["messages"]) - {"ping", "command_req", "command_answer"}
        assert readers.seen[name] == from_server, name


async def harvest(ws: ClientConnection, me: OpenedSession, readers: Readers) -> None:
    """Walk to gold and take all of a node."""
    static = await readers.wait_for("agent", "chunk_static")
    node = static["resource_nodes"][0]
    around = [(node["x"] + dx, node["y"] + dy) for dx, dy in ((0, 1), (1, 0), (0, -1), (-1, 0))]
    x, y = next((x, y) for x, y in around if static["grid"][y][x] == 0)
    await command(ws, me, readers, "c-go", {"type": "move_to", "x": x, "y": y})
    await readers.wait_for("agent", "command_result", client_cmd_id="c-go", status="completed")
    await command(ws, me, readers, "c-dig", {"type": "harvest", "node_id": node["node_id"]})
    await readers.wait_for("agent", "command_result", client_cmd_id="c-dig", reason="node_depleted")


async def move_a_little(other: Player) -> None:
    """Somebody else moves in the hall, which its watchers see."""
    assert await other.redis.exists(keys.chunk("chunk-0"))
    _, x, y = await other.place()
    await other.submit({"type": "move_to", "x": x, "y": y})
