"""README agent, commands, demo, scenarios and MCP against the real world, as their users start them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from chunkcrawl.embedded import EmbeddedWorld
from embedded.children import free_port
from tests.cluster.hosted.stub import StubPlay
from tests.sdk.bad_line import BadLine

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]


def environment(world: EmbeddedWorld, config: Path, *, key: bool = True) -> dict[str, str]:
    own = {"CHUNKCRAWL_BASE": world.base, "CHUNKCRAWL_CONFIG_DIR": str(config)}
    return os.environ | own | ({"CHUNKCRAWL_API_KEY": world.key} if key else {})


def run(
    world: EmbeddedWorld, config: Path, *arguments: str, key: bool = True, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chunkcrawl.commands.app", *arguments],
        env=environment(world, config, key=key),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )


def test_the_readmes_agent_runs_as_it_stands(world: EmbeddedWorld, tmp_path: Path) -> None:
    readme = re.search(r"## Play in it\n.*?```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    example = (ROOT / "examples" / "first_agent.py").read_text()
    assert readme
    assert example.endswith(readme[1])
    mine = example.replace("http://127.0.0.1:8000", world.base).replace('"scout-1"', f'"scout-{secrets.token_hex(4)}"')
    for _ in range(2):  # a second time it is in another chunk, and no less well
        done = subprocess.run(
            [sys.executable, "-c", mine],
            env=environment(world, tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        if "no:" not in done.stdout:
            assert re.fullmatch(r"chunk-[1-9]\d* \(25, 0\)", done.stdout.splitlines()[-1])


def test_from_signup_to_talking(world: EmbeddedWorld, tmp_path: Path) -> None:
    email = f"cli-{secrets.token_hex(4)}@example.com"
    signed_up = run(world, tmp_path, "signup", "--email", email, "--password-stdin", key=False, stdin="long enough\n")
    assert signed_up.returncode == 0, signed_up.stderr
    assert run(world, tmp_path, "key", "create", "--label", "test", key=False).returncode == 0
    name = f"cli-{secrets.token_hex(4)}"
    said = run(world, tmp_path, "say", name, "hello", "--json", key=False)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["chunk_id"]
    assert run(world, tmp_path, "say", name, " ", key=False).returncode == 1
    for _ in range(20):  # the log is a second or so behind
        history = run(world, tmp_path, "history", name, "--kind", "chat", key=False)
        if history.stdout:
            break
    assert history.stdout.rstrip().endswith(f"{name:<16} chat        text=hello")
    assert run(world, tmp_path, "session", "--role", "agent", "--agent", name, key=False).stdout.startswith("sess_")
    listed = [json.loads(line) for line in run(world, tmp_path, "key", "list", "--json", key=False).stdout.splitlines()]
    assert [key["label"] for key in listed] == ["test"]


def test_watching_prints_the_stream(world: EmbeddedWorld, tmp_path: Path) -> None:
    watched = run(world, tmp_path, "watch", "demo", "--json", "--seconds", "3")
    assert watched.returncode == 0, watched.stderr
    kinds = [json.loads(line)["type"] for line in watched.stdout.splitlines()]
    assert kinds[:3] == ["session_ready", "chunk_static", "chunk_delta"]
    assert run(world, tmp_path, "watch", "chunk-999999", "--json").returncode == 1


def test_a_bot_plays_and_its_owner_watches(world: EmbeddedWorld, tmp_path: Path) -> None:
    name = f"cli-{secrets.token_hex(4)}"
    playing = subprocess.Popen(
        [sys.executable, "-m", "chunkcrawl.commands.app", "play", name, "--bot", "wander", "--seconds", "7", "--json"],
        env=environment(world, tmp_path),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert playing.stdout is not None
    assert json.loads(playing.stdout.readline())
    owner = run(world, tmp_path, "watch", "--owner", name, "--json", "--seconds", "3")
    events = [json.loads(line) for line in playing.stdout]
    assert playing.wait(30) == 0
    assert owner.returncode == 0, owner.stderr
    assert "command_result" in {event["type"] for event in events}
    assert {"session_ready", "chunk_static", "chunk_delta"} <= {
        json.loads(line)["type"] for line in owner.stdout.splitlines()
    }


def test_the_example_scenario_runs(world: EmbeddedWorld, tmp_path: Path) -> None:
    done = run(world, tmp_path, "scenario", "examples/leaving_north.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "ok    leaving in the north"


@pytest.mark.slow
def test_demo_agents_play_again_and_again_and_leave_within_two_seconds(world: EmbeddedWorld, tmp_path: Path) -> None:
    """The second run finds the account of the first, to whom the agents belong."""
    kept = tmp_path / "demo.json"
    for number in (1, 2):
        demo = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "chunkcrawl.bots.demo",
                "--base",
                world.base,
                "--agents",
                "4",
                "--credentials",
                str(kept),
            ],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        watched = run(world, tmp_path, "watch", "demo", "--json", "--seconds", "7")
        deltas = [json.loads(line) for line in watched.stdout.splitlines()]
        walkers = {
            agent["id"]
            for delta in deltas
            for agent in delta.get("agents", [])
            if agent["id"].startswith("demo-walker") and agent["activity_state"] != "idle"
        }
        began = time.monotonic()
        demo.send_signal(signal.SIGTERM)
        _, errors = demo.communicate(timeout=10)
        assert demo.returncode == 0, errors
        assert time.monotonic() - began < 2.0
        assert len(walkers) >= 2, f"run {number}"
        assert errors == ""
    assert kept.stat().st_mode & 0o777 == 0o600


async def play_by_tools(host: Any, name: str) -> None:
    """Look, walk a step and be refused one, as a model would."""
    seen = (await host.call_tool("observe", {})).content[0].text
    assert seen.startswith(f"You are {name} at ")
    assert re.search(r"Gold (\S+): stand at (\d+),(\d+)", seen)
    place = re.search(r" at (\d+),(\d+)", seen)
    assert place
    x, y = int(place[1]), int(place[2])
    # Somebody may stand beside it, hardly on all sides.
    steps = ((x + 1, y), (x, y + 1), (x - 1, y), (x, y - 1))
    told = [(await host.call_tool("move_to", {"x": x, "y": y})).content[0].text for x, y in steps]
    assert any(text.startswith(f"You are at {x},{y}") for text, (x, y) in zip(told, steps, strict=True))
    refused = (await host.call_tool("move_to", {"x": 50, "y": 0})).content[0].text
    assert refused.startswith("out_of_bounds: ")


async def test_a_model_plays_over_mcp_from_a_process(world: EmbeddedWorld, tmp_path: Path) -> None:
    mcp = pytest.importorskip("mcp")
    name = f"mcp-{secrets.token_hex(4)}"
    server = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-m", "chunkcrawl.commands.app", "mcp", name],
        env=environment(world, tmp_path),
        cwd=str(ROOT),
    )
    async with asyncio.timeout(60), mcp.Client(mcp.stdio_client(server)) as host:
        assert host.server_info.version == version("chunkcrawl")
        await play_by_tools(host, name)
        await see_the_past_by_tools(world, host, name)


async def see_the_past_by_tools(world: EmbeddedWorld, host: Any, name: str) -> None:
    """Another client takes the agent over while the model waits: each tool says at once that it shows the past."""
    waiting = asyncio.create_task(host.call_tool("wait_for_events", {"seconds": 30}))
    async with world.agent(name):
        texts = [(await waiting).content[0].text]
        while not texts[-1].startswith("STALE"):  # it was woken by news before
            texts.append((await host.call_tool("wait_for_events", {"seconds": 30})).content[0].text)
        texts = [texts[-1], (await host.call_tool("observe", {})).content[0].text]
        assert all(text.startswith("STALE: another client plays this agent") for text in texts)
        assert (await host.call_tool("move_to", {"x": 25, "y": 25})).content[0].text.startswith("taken_over: STALE")


@pytest.mark.slow
async def test_a_model_is_told_that_its_server_is_away_and_back(world: EmbeddedWorld, tmp_path: Path) -> None:
    mcp = pytest.importorskip("mcp")
    async with BadLine(world.base).running() as line:
        server = mcp.StdioServerParameters(
            command=sys.executable,
            args=["-m", "chunkcrawl.commands.app", "mcp", f"mcp-{secrets.token_hex(4)}", "--base", line.base],
            env=environment(world, tmp_path),
            cwd=str(ROOT),
        )
        async with asyncio.timeout(150), mcp.Client(mcp.stdio_client(server)) as host:

            async def told(tool: str, **arguments: Any) -> str:
                text: str = (await host.call_tool(tool, arguments)).content[0].text
                return text

            assert (await told("observe")).startswith("You are ")
            line.freeze()
            while not (seen := await told("wait_for_events", seconds=3)).startswith("STALE"):
                assert "Nothing" in seen
            began = time.monotonic()
            assert "Nothing was done, and nothing will be." in await told("move_to", x=25, y=30)
            assert time.monotonic() - began < 45
            line.thaw()
            line.cut()
            while not (seen := await told("observe")).startswith("You are "):
                assert seen.startswith("STALE")
                await asyncio.sleep(0.5)
            assert " idle" in seen, "the walk that was given up does not come after all"


async def test_a_model_plays_over_mcp_by_http(world: EmbeddedWorld, tmp_path: Path) -> None:
    mcp = pytest.importorskip("mcp")
    name, port = f"mcp-{secrets.token_hex(4)}", free_port()
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chunkcrawl.commands.app", "mcp", name, "--http", f"127.0.0.1:{port}"),
        env=environment(world, tmp_path),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    assert server.stderr is not None
    try:
        async with asyncio.timeout(60):
            line = (await server.stderr.readline()).decode().strip()
            assert line == f"agent {name} is played over MCP at http://127.0.0.1:{port}/mcp"
            async with mcp.Client(f"http://127.0.0.1:{port}/mcp") as host:
                await play_by_tools(host, name)
            async with mcp.Client(f"http://127.0.0.1:{port}/mcp") as host:  # the agent outlives its host
                assert (await host.call_tool("observe", {})).content[0].text.startswith(f"You are {name} at ")
    finally:
        server.terminate()
        await server.wait()
    assert server.returncode in (0, 130, 143, -signal.SIGTERM)


@pytest.mark.slow
def test_the_stub_model_finds_gold(world: EmbeddedWorld, tmp_path: Path) -> None:
    script = [sys.executable, "examples/model_agent.py", "--base", world.base, "--turns", "4"]
    arguments = ["--agent", f"thinker-{secrets.token_hex(4)}"]
    env = environment(world, tmp_path) | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(script + arguments, env=env, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "> harvest_until " in done.stdout
    assert re.search(r"You carry [1-9]\d* gold", done.stdout)


@asynccontextmanager
async def hosted(world: EmbeddedWorld) -> AsyncIterator[Any]:
    """A model's client of the world's own MCP server: a URL and a key."""
    mcp, httpx2 = pytest.importorskip("mcp"), pytest.importorskip("httpx2")
    from mcp.client.streamable_http import streamable_http_client

    headers = {"authorization": f"Bearer {world.key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=180) as http,
        mcp.Client(streamable_http_client(f"{world.base}/mcp", http_client=http)) as client,
    ):
        yield client


async def test_a_model_plays_over_mcp_with_a_url_and_a_key(world: EmbeddedWorld) -> None:
    async with asyncio.timeout(60), hosted(world) as client:
        name = f"hosted-{secrets.token_hex(4)}"
        seen = await client.call_tool("play_as", {"agent_id": name})
        assert seen.content[0].text.startswith(f"You are {name} at ")
        await play_by_tools(client, name)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_stub_gets_25_gold_sees_a_second_chunk_and_talks_in_ten_calls(world: EmbeddedWorld) -> None:
    async with hosted(world) as client:
        stub = StubPlay(client)
        await stub.play(f"hosted-{secrets.token_hex(4)}", 25, seconds=120)
    print(f"{len(stub.answers)} calls, {stub.tokens:.0f} tokens")
    assert len(stub.answers) <= 10, stub.answers
    assert stub.tokens <= 1500, stub.answers
