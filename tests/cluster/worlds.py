"""Helpers to play in a ``LocalWorld``: agents without sockets, and reading what the streams hold."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from redis.asyncio import Redis

from api.ports import ShardAnswer, SubmittedCommand
from cluster.local import LocalWorld
from cluster.router import Router
from operations.fsck import Problem, check, read_dump
from streaming import keys
from tests.streaming.writer import read_events

_numbers = itertools.count(1)

DEADLINE_S = 30.0


async def until(condition: Callable[[], Awaitable[Any]], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Poll until ``condition`` gives something true, and return it."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        found = await condition()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {deadline_s} s: {what}")


class Player:
    """An agent that plays through the router, as a gateway would for it."""

    def __init__(self, redis: Redis, router: Router, agent_id: str) -> None:
        self.redis: Any = redis
        self.router = router
        self.agent_id = agent_id
        self.submitted: list[str] = []
        self.accepted: list[str] = []

    async def join(self) -> str:
        """Enter the world; returns the chunk."""
        await self.redis.zadd(keys.PRESENCE, {self.agent_id: time.time() * 1000 + 600_000})
        return (await self.router.join(self.agent_id, "acc", "t")).chunk_id

    async def submit(self, cmd: dict[str, Any], server_cmd_id: str | None = None) -> ShardAnswer:
        """Submit one command and note what was decided."""
        name = server_cmd_id or f"cmd-{next(_numbers)}"
        self.submitted.append(name)
        decision = await self.router.submit(SubmittedCommand(self.agent_id, name, f"c-{name}", cmd, "trace"))
        if decision.accepted:
            self.accepted.append(name)
        return decision

    async def events(self, kind: str | None = None) -> list[tuple[str, dict[str, Any]]]:
        """(kind, payload) of everything in the agent's stream, or of one kind."""
        events = await read_events(self.redis, self.agent_id)
        return [(event.kind, event.fields()) for event in events if kind in (None, event.kind)]

    async def result(self, server_cmd_id: str | None = None, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
        """The result of a command (the last submitted one), once it is there."""
        wanted = server_cmd_id or self.submitted[-1]

        async def look() -> dict[str, Any] | None:
            results = [payload for _, payload in await self.events("command_result")]
            mine = [payload for payload in results if payload["server_cmd_id"] == wanted]
            return mine[0] if mine else None

        found: dict[str, Any] = await until(look, f"the result of {wanted} of {self.agent_id}", deadline_s)
        return found

    async def move(self, x: int, y: int) -> dict[str, Any]:
        """Move and wait for the end; the command must be accepted."""
        decision = await self.submit({"type": "move_to", "x": x, "y": y})
        assert decision.accepted, decision
        return await self.result()

    async def place(self) -> tuple[str, int, int]:
        """Chunk and cell by the newest delta of the chunk that its record names."""

        async def look() -> tuple[str, int, int] | None:
            chunk_id = (await self.redis.hget(keys.agent(self.agent_id), "chunk") or b"").decode()
            delta = await newest_delta(self.redis, chunk_id)
            for agent in delta.get("agents", []):
                if agent["id"] == self.agent_id:
                    return chunk_id, agent["x"], agent["y"]
            return None

        found: tuple[str, int, int] = await until(look, f"{self.agent_id} stands somewhere")
        return found


async def newest_delta(redis: Any, chunk_id: str) -> dict[str, Any]:
    """Payload of the newest entry of a chunk's stream; empty when there is none."""
    newest = await redis.xrevrange(keys.chunk_stream(chunk_id), count=1)
    found: dict[str, Any] = orjson.loads(newest[0][1][b"m"].split(b"\n", 1)[1]) if newest else {}
    return found


async def whole(redis: Redis, agent_ids: list[str]) -> list[Problem]:
    """What the checker finds; it is asked until it finds nothing or time is up."""

    async def nothing() -> bool:
        return not check(await read_dump(redis, agent_ids))

    try:
        await until(nothing, "a whole world", 5)
    except AssertionError:
        return check(await read_dump(redis, agent_ids))
    return []


async def settled(world: LocalWorld, players: list[Player]) -> list[Problem]:
    """``whole`` for the players of a local world."""
    return await whole(world.redis, [player.agent_id for player in players])


async def player(world: LocalWorld, agent_id: str) -> Player:
    """A player who has joined."""
    made = Player(world.redis, world.router, agent_id)
    await made.join()
    return made
