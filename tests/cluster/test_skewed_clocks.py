"""Shards and gateways on machines whose clocks are wrong: a world plays on as if nothing were."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from unittest.mock import patch

import pytest
from redis.asyncio import Redis

from cluster.local import LocalWorld
from config.settings import Settings
from streaming.connect import connect
from tests.api.gates import Gate, receive_until, running
from tests.api.support import answer_to, frame_text

AGENT = "ada"


@pytest.fixture
async def gate(redis: Redis, valkey_url: str, fresh_postgres_url: str) -> AsyncIterator[Gate]:
    settings = Settings(environment="test", database_url=fresh_postgres_url, redis_url=valkey_url)
    client = connect(valkey_url)
    async with LocalWorld(client, shards=1) as world, running(settings, world.router) as gate:
        yield gate
    await client.aclose()


@pytest.mark.parametrize("ahead_s", [12.0, -12.0, 86_400.0])
@pytest.mark.parametrize("clock", ["time", "time_ns"])
async def test_a_clock_that_is_set_wrong_refuses_nothing(gate: Gate, clock: str, ahead_s: float) -> None:
    """Of the two ways to read a machine's clock one is set: whoever goes by it differs from the others."""
    real = getattr(time, clock)
    ahead = ahead_s if clock == "time" else int(ahead_s * 1e9)
    with patch(f"time.{clock}", lambda: real() + ahead):
        me = await gate.session("agent", AGENT)
        async with gate.ws(f"/v1/agent/ws?agent_id={AGENT}", me.token) as ws:
            await receive_until(ws, "chunk_delta")
            cmd = {"type": "say", "text": "hello"}
            await ws.send(frame_text("command_req", client_cmd_id="c-1", cmd=cmd))
            challenge = (await receive_until(ws, "command_challenge"))[-1]["payload"]
            await ws.send(frame_text("command_answer", **answer_to(me.session, challenge, cmd)))
            ack = (await receive_until(ws, "command_ack"))[-1]["payload"]
            assert ack["accepted"] is True, ack
            result = (await receive_until(ws, "command_result"))[-1]["payload"]
            assert result["status"] == "completed"
