"""A model plays over MCP while the gateway that plays its agent is killed: its session goes on at the other one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from chunkcrawl.embedded import EmbeddedWorld

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(420)]

mcp = pytest.importorskip("mcp")
httpx2 = pytest.importorskip("httpx2")

DEADLINE_S = 120.0


def gateways(world: EmbeddedWorld) -> list[dict[str, Any]]:
    """What the gateways say of themselves."""
    assert world._directory is not None
    words = [
        sys.executable,
        "-m",
        "chunkcrawl.commands.app",
        "status",
        "--json",
        "--data",
        str(world._directory / "data"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    found: list[dict[str, Any]] = [one for one in json.loads(done.stdout)["actors"].values() if "gateway" in one]
    return found


async def told(client: Any, tool: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """A tool's answer; a connection that was cut is tried again, as hosts do."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                result = await client.call_tool(tool, arguments)
            except (mcp.MCPError, httpx2.HTTPError) as error:
                print(f"again after {error!r}")
                await asyncio.sleep(0.2)
                continue
            return result.content[0].text, result.structured_content


async def test_a_session_goes_on_when_its_gateway_is_killed() -> None:
    from mcp.client.streamable_http import streamable_http_client

    with EmbeddedWorld(settings={"CHUNKCRAWL_GATEWAYS": "2", "CHUNKCRAWL_SHARDS": "1"}) as world:
        headers = {"authorization": f"Bearer {world.key}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(f"{world.base}/mcp", http_client=http)
            async with mcp.Client(transport, mode="legacy") as client:
                await told(client, "play_as", agent_id="survivor-1")
                _, before = await told(client, "harvest_until", amount=2)
                assert before["gold"] >= 2
                await told(client, "remember", name="plan", text="go on")
                for _ in range(2):
                    playing: list[dict[str, Any]] = []
                    async with asyncio.timeout(DEADLINE_S):
                        while len(playing) != 1:
                            there = await asyncio.to_thread(gateways, world)
                            playing = [one for one in there if one["models"]]
                            await asyncio.sleep(0.5)
                    os.kill(playing[0]["pid"], signal.SIGKILL)
                    text, fields = await told(client, "observe")
                    while fields["reason"] in ("outcome_unknown", "unavailable", "draining"):
                        text, fields = await told(client, "observe")
                    assert text.startswith("You are survivor-1 at "), text
                    assert fields["gold"] >= before["gold"]
                assert (await told(client, "recall"))[0] == "plan: go on"
                assert (await told(client, "map"))[1]["chunks"] >= 1
                _, after = await told(client, "harvest_until", amount=1)
                assert after["gold"] > before["gold"]
