"""Calls over sockets: answers, errors, what a broken, silent or strange connection does, and when Ray carries them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest

from cluster import shard_calls, shard_socket
from cluster.messages import (
    ADDRESS,
    JOIN_REQUESTS,
    OLDEST,
    VERSION,
    ForeignVersion,
    JoinAnswer,
    JoinRequest,
    ShardAddress,
    ShardHealth,
)
from cluster.peers import Shard, ShardUnavailable, WorldReloaded
from cluster.shard_calls import ShardEndpoint, Spoken
from cluster.shard_socket import CALLS_MOST, FRAME_MOST_BYTES, HEAD, STRANGERS_MOST, ShardListener, SocketShardClient
from world.ids import AgentId, ChunkId

P = ParamSpec("P")
T = TypeVar("T")

HOST = "127.0.0.1"
WAIT_S = 10.0


def joins(*names: str) -> list[JoinRequest]:
    return [JoinRequest(AgentId(name), ChunkId("chunk-0")) for name in names]


class Runtime:
    """A shard that seats whoever it is asked to, once ``open`` is set, or fails."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.asked: list[list[str]] = []
        self.error: Exception | None = None
        self.working = self.worked_at_once = 0

    async def join(self, requests: list[JoinRequest]) -> list[JoinAnswer]:
        self.asked.append([str(one.agent_id) for one in requests])
        self.working += 1
        self.worked_at_once = max(self.worked_at_once, self.working)
        try:
            await self.open.wait()
        finally:
            self.working -= 1
        if self.error is not None:
            raise self.error
        return [JoinAnswer("seated", one.chunk_id) for one in requests]

    async def release(self, _: object) -> None:
        self.asked.append(["release"])

    async def health(self) -> ShardHealth:
        return ShardHealth(stalled=False, last_tick_age_s=0.1)


class Endpoint(ShardEndpoint):
    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    async def _up(self) -> Shard:
        shard: Shard = self.runtime
        return shard


class OverRay:
    """Carries what sockets do not, and introduces."""

    def __init__(self, listener: ShardListener) -> None:
        self.listener = listener
        self.spoken = Spoken()
        self.carried: list[str] = []
        self.introduced = 0
        self.port: int | None = None
        self.unknown: Exception | None = None

    async def call(
        self,
        shard: int,
        timeout_s: float,
        method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        self.carried.append(method.__name__)
        return await method(self.listener.endpoint, *args, **kwargs)

    async def introduce(self, _shard: int, _timeout_s: float) -> bytes:
        self.introduced += 1
        if self.unknown is not None:
            raise self.unknown
        at = ADDRESS.unpack(await self.listener.address(HOST))
        return ADDRESS.pack(ShardAddress(at.host, self.port or at.port, at.token))


class Scene:
    def __init__(self) -> None:
        self.runtime = Runtime()
        self.listener = ShardListener(Endpoint(self.runtime))
        self.ray = OverRay(self.listener)
        self.client = SocketShardClient(self.ray, self.ray.introduce)

    def shard(self, timeout_s: float = WAIT_S) -> Shard:
        return self.client.shard(0, timeout_s=timeout_s)

    async def address(self) -> ShardAddress:
        return ADDRESS.unpack(await self.listener.address(HOST))

    async def stranger(self, first: bytes) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection(HOST, (await self.address()).port)
        writer.write(first)
        return reader


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    scene.client.close()
    await scene.listener.close()


async def over(reader: asyncio.StreamReader) -> bool:
    """Whether the other side has ended the connection without a word."""
    async with asyncio.timeout(WAIT_S):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


async def nobody(listener: ShardListener) -> None:
    """Wait until every stranger is forgotten."""
    async with asyncio.timeout(WAIT_S):
        while listener.strangers:
            await asyncio.sleep(0.01)


async def test_calls_have_their_own_answers_over_one_connection(scene: Scene) -> None:
    names = [f"agent-{number}" for number in range(200)]
    answers = await asyncio.gather(*(scene.shard().join(joins(name, name)) for name in names))
    assert answers == [[JoinAnswer("seated", ChunkId("chunk-0"))] * 2] * len(names)
    assert sorted(scene.runtime.asked) == sorted([name, name] for name in names)
    assert (scene.ray.introduced, scene.ray.carried) == (1, [])
    assert scene.runtime.worked_at_once <= CALLS_MOST
    await scene.shard().release([])
    assert scene.runtime.asked[-1] == ["release"]


async def test_what_is_not_for_sockets_goes_over_ray(scene: Scene) -> None:
    assert (await scene.shard().health()).stalled is False
    assert scene.ray.carried == ["health"]


@pytest.mark.parametrize("error", [WorldReloaded(), ShardUnavailable("another"), ValueError("secret")])
async def test_errors_come_through_as_what_a_caller_knows(scene: Scene, error: Exception) -> None:
    scene.runtime.error = error
    expected = WorldReloaded if isinstance(error, WorldReloaded) else ShardUnavailable
    with pytest.raises(expected) as caught:
        await scene.shard().join(joins("ada"))
    assert "secret" not in str(caught.value)
    scene.runtime.error = None
    assert await scene.shard().join(joins("ada"))
    assert scene.ray.introduced == 1, "the connection lived on"


async def test_a_shard_that_ends_fails_its_calls_at_once_and_is_asked_for_anew(scene: Scene) -> None:
    scene.runtime.open.clear()
    call = asyncio.create_task(scene.shard().join(joins("ada")))
    while not scene.runtime.working:
        await asyncio.sleep(0)
    await scene.listener.close()
    with pytest.raises(ShardUnavailable):
        await asyncio.wait_for(call, WAIT_S)
    scene.runtime.open.set()
    scene.listener = scene.ray.listener = ShardListener(Endpoint(scene.runtime))
    assert await scene.shard().join(joins("ada"))
    assert scene.ray.introduced == 2


async def test_a_call_without_an_answer_ends_its_connection_and_the_shard_finishes_it(scene: Scene) -> None:
    scene.runtime.open.clear()
    with pytest.raises(ShardUnavailable, match="no answer to join"):
        await scene.shard(0.05).join(joins("ada"))
    assert scene.runtime.working == 1, "what has begun is not taken back: it may be half committed"
    scene.runtime.open.set()
    assert await scene.shard().join(joins("bea"))
    assert scene.ray.introduced == 2
    assert scene.runtime.working == 0


async def test_where_no_connection_can_be_made_ray_carries_everything(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))  # nobody listens
        scene.ray.port = taken.getsockname()[1]
        for name in ("ada", "bea"):
            assert await scene.shard().join(joins(name))
    assert (scene.ray.carried, scene.ray.introduced) == (["join", "join"], 1)
    scene.ray.port = None
    monkeypatch.setattr(shard_socket, "TRY_AGAIN_AFTER_S", 0.0)
    scene.client._over_ray_until.clear()
    assert await scene.shard().join(joins("cid"))
    assert scene.ray.carried == ["join", "join"], "it is tried again"


async def test_a_shard_of_a_release_without_sockets_or_with_others_is_reached_over_ray(scene: Scene) -> None:
    scene.ray.unknown = ForeignVersion("9")
    for name in ("ada", "bea"):
        assert await scene.shard().join(joins(name))
    assert (scene.ray.carried, scene.ray.introduced) == (["join", "join"], 1)


async def test_a_shard_that_knows_no_messages_of_our_version_is_asked_in_the_one_before(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_calls, "VERSION", VERSION + 1)
    assert await scene.shard().join(joins("ada"))
    assert scene.client.spoken.version(0) == OLDEST
    assert (scene.ray.carried, scene.ray.introduced) == ([], 1), "over the same connection"


@pytest.mark.parametrize(
    "first", [b"wrong" * 10, b"\0" * 400, b"GET / HTTP/1.1\r\nHost: x\r\nX: yyyyyyyyyyyyyyy\r\n\r\n"]
)
async def test_who_does_not_know_the_token_calls_nothing(scene: Scene, first: bytes) -> None:
    call = HEAD.pack(0, 1, 1)
    assert await over(await scene.stranger(first + call))
    await nobody(scene.listener)
    assert scene.runtime.asked == []


async def test_who_says_nothing_is_cut_off_and_too_many_are_not_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_socket, "TOKEN_WITHIN_S", 0.3)
    readers = [await scene.stranger(b"x") for _ in range(STRANGERS_MOST + 5)]
    assert all(await asyncio.gather(*map(over, readers)))
    await nobody(scene.listener)
    assert await scene.shard().join(joins("ada"))


async def test_a_frame_beyond_the_bound_ends_the_connection(scene: Scene) -> None:
    token = (await scene.address()).token
    assert await over(await scene.stranger(token + HEAD.pack(FRAME_MOST_BYTES + 1, 1, 0)))


async def test_frames_that_come_in_pieces_and_together_are_the_same(scene: Scene) -> None:
    body = JOIN_REQUESTS.pack(joins("ada"))
    method = shard_socket.METHODS.index("join")
    wire = (await scene.address()).token + b"".join(HEAD.pack(len(body), n, method) + body for n in range(5))
    _, writer = await asyncio.open_connection(HOST, (await scene.address()).port)
    for byte in wire:
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    async with asyncio.timeout(WAIT_S):
        while len(scene.runtime.asked) < 5:
            await asyncio.sleep(0.01)
    writer.close()
    assert scene.runtime.asked == [["ada"]] * 5
