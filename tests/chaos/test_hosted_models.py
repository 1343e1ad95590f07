"""A model plays over MCP while the gateway that plays its agent is killed: its session goes on at the other one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from chunkcrawl.embedded import EmbeddedWorld
from tests.cluster.hosted.test_endpoint import ACCEPT, HELLO, call, message

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(420)]

DEADLINE_S = 60.0


def gateways(world: EmbeddedWorld) -> list[dict[str, Any]]:
    """What the gateways say of themselves; nothing while the world has not yet written how it is."""
    assert world._directory is not None
    chunkcrawl = str(Path(sys.executable).with_name("chunkcrawl"))
    words = [chunkcrawl, "status", "--json", "--data", str(world._directory / "data")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    print(done.stderr, end="")
    if done.returncode != 0:
        return []
    found: list[dict[str, Any]] = [one for one in json.loads(done.stdout)["actors"].values() if "gateway" in one]
    return found


async def told(http: httpx.AsyncClient, tool: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """A tool's answer; a connection that was cut is tried again, as hosts do."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                answer = await http.post("/mcp", json=call(tool, **arguments))
                if answer.status_code == 200:
                    result = message(answer)["result"]
                    return result["content"][0]["text"], result["structuredContent"]
                print(f"again after {answer.status_code}")
            except (httpx.HTTPError, ValueError) as error:
                print(f"again after {error!r}")
            await asyncio.sleep(0.2)


async def test_a_session_goes_on_when_its_gateway_is_killed() -> None:
    """By plain HTTP: the MCP SDK's client itself ends when a connection is cut."""
    with EmbeddedWorld(settings={"CHUNKCRAWL_GATEWAYS": "2", "CHUNKCRAWL_SHARDS": "1"}) as world:
        headers = ACCEPT | {"authorization": f"Bearer {world.key}"}
        async with httpx.AsyncClient(base_url=world.base, headers=headers, timeout=60) as http:
            opened = await http.post("/mcp", json=HELLO)
            http.headers["mcp-session-id"] = opened.headers["mcp-session-id"]
            await told(http, "play_as", agent_id="survivor-1")
            _, before = await told(http, "harvest_until", amount=2)
            assert before["gold"] >= 2
            await told(http, "remember", name="plan", text="go on")
            playing: list[dict[str, Any]] = []
            async with asyncio.timeout(DEADLINE_S):
                while len(playing) != 1:
                    playing = [one for one in await asyncio.to_thread(gateways, world) if one["models"]]
                    await asyncio.sleep(0.5)
            os.kill(playing[0]["pid"], signal.SIGKILL)
            text, fields = await told(http, "observe")
            async with asyncio.timeout(DEADLINE_S):
                while fields["reason"] in ("outcome_unknown", "unavailable", "server_unreachable"):
                    await asyncio.sleep(0.2)
                    text, fields = await told(http, "observe")
            assert text.startswith("You are survivor-1 at "), text
            assert fields["gold"] >= before["gold"]
            assert (await told(http, "recall"))[0] == "plan: go on"
            assert (await told(http, "map"))[0].startswith("chunk-")
            _, after = await told(http, "harvest_until", amount=1)
            assert after["gold"] > before["gold"]
