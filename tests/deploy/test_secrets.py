"""Pitfall B22 over a whole run of the real thing: every secret that came up is looked for in everything it left behind.

At level debug: the actors' logs, what the command printed, the servers' logs, Ray's session directory, the database's
files as they are, Valkey's append-only file, the metrics page, every answer, and a backup.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
import websockets

from chunkcrawl import Agent
from chunkcrawl.embedded import EmbeddedWorld
from chunkcrawl.errors import ChunkcrawlError
from tests.deploy.conftest import METRICS_TOKEN

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

PASSWORD = "Correct-Horse-0xC0FFEE-Battery"
WRONG_PASSWORD = "Wrong-Horse-0xBADBAD-Battery"
HUSHED = "what-was-said-too-soon-0xABCDEF"
QUERY_TOKEN = "sess_" + "Q" * 43
#: Of each secret this much is looked for: a log that cuts lines short is no excuse.
SHOWN = 20


@dataclass
class Run:
    """What one run brought up."""

    secrets: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)

    def heard(self, answer: httpx.Response) -> httpx.Response:
        self.answers.append(f"{answer.status_code} {answer.headers} {answer.text}")
        return answer


async def use(world: EmbeddedWorld) -> Run:
    run = Run({"password": PASSWORD, "wrong password": WRONG_PASSWORD, "token in a URL": QUERY_TOKEN})
    async with httpx.AsyncClient(base_url=world.base, timeout=30) as http:
        key = await sign_up(http, run)
        await err(http, run, key)
        body = {"api_key": key, "role": "agent", "agent_id": "secret-agent"}
        opened = (await http.post("/v1/sessions", json=body)).json()
        run.secrets |= {"session token": opened["session_token"], "command secret": opened["cmd_secret"]}
        await connect_in_many_ways(world, run, opened["session_token"])
        await play(world, run, key)
        run.heard(await http.get("/readyz"))
        run.heard(await http.get("/metrics"))
        run.heard(await http.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"}))
    run.secrets |= {"metrics token": METRICS_TOKEN, "hushed text": HUSHED}
    return run


async def sign_up(http: httpx.AsyncClient, run: Run) -> str:
    body = {"email": "secrets@example.org", "password": PASSWORD}
    account = (await http.post("/v1/signup", json=body)).json()
    headers = {"Authorization": f"Bearer {account['account_token']}"}
    made = (await http.post("/v1/keys", json={"account_id": account["account_id"]}, headers=headers)).json()
    run.secrets |= {
        "account token": account["account_token"],
        # Its prefix is public: it is how a key is told from another.
        "api key": made["api_key"].removeprefix(made["key_prefix"]),
    }
    run.heard(await http.get("/v1/keys", headers=headers))
    key: str = made["api_key"]
    return key


async def err(http: httpx.AsyncClient, run: Run, key: str) -> None:
    email = "secrets@example.org"
    for made in (
        http.post("/v1/signup", json={"email": email, "password": PASSWORD}),
        http.post("/v1/signup", json={"email": PASSWORD, "password": [PASSWORD]}),
        http.post("/v1/signup", content=PASSWORD),
        http.get("/v1/keys", auth=(email, WRONG_PASSWORD)),
        http.get("/v1/keys", headers={"Authorization": PASSWORD}),
        http.get("/v1/keys", headers={"Authorization": f"Basic {PASSWORD}"}),
        http.post("/v1/sessions", json={"api_key": key, "role": key}),
        http.post("/v1/sessions", json={"api_key": key + "x", "role": "spectator"}),
        http.get(f"/v1/spectate/stream?chunk_id=demo&token={QUERY_TOKEN}"),
        http.get(f"/v1/owner/stream?agent_id=secret-agent&session_token={QUERY_TOKEN}"),
        http.get(f"/v1/chunks/{QUERY_TOKEN}/snapshot", headers={"Authorization": f"Bearer {QUERY_TOKEN}"}),
    ):
        run.heard(await made)


async def connect_in_many_ways(world: EmbeddedWorld, run: Run, token: str) -> None:
    base = world.base.replace("http://", "ws://")
    for url, header in (
        (f"{base}/v1/agent/ws?agent_id=secret-agent&token={QUERY_TOKEN}", None),
        (f"{base}/v1/agent/ws?agent_id=secret-agent", f"Bearer {QUERY_TOKEN}"),
        (f"{base}/v1/agent/ws?agent_id=somebody-else", f"Bearer {token}"),
    ):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websockets.connect(url, additional_headers={"Authorization": header} if header else {}):
                pass
        run.answers.append(repr(refused.value.response))
    good = {"Authorization": f"Bearer {token}"}
    async with websockets.connect(f"{base}/v1/agent/ws?agent_id=secret-agent", additional_headers=good) as socket:
        run.secrets["handshake key"] = socket.request.headers["Sec-WebSocket-Key"] if socket.request else "-" * SHOWN
        await socket.send(json.dumps({"type": "command_req", "payload": {"client_cmd_id": "c-1", "cmd": PASSWORD}}))
        await socket.send(PASSWORD)
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                while True:
                    await socket.recv()


async def play(world: EmbeddedWorld, run: Run, key: str) -> None:
    async with Agent.connect(world.base, agent_id="secret-agent", api_key=key, retries=0) as me:
        await me.say("hello")
        with pytest.raises(ChunkcrawlError):
            await me.say(HUSHED)  # the second within 2 s
        for x in range(20, 31):
            with suppress(ChunkcrawlError):  # somebody may stand there
                await me.move_to(x, 27)
                return
    raise AssertionError("no cell was free")


def files_of(world: EmbeddedWorld) -> list[Path]:
    """Everything that the run has written, Ray's session too."""
    assert world.log is not None
    directory = world.log.parent
    found = [path for path in directory.rglob("*") if path.is_file()]
    for session in ray_sessions(directory):
        found += [path for path in session.rglob("*") if path.is_file() and not path.is_symlink()]
    return found


def ray_sessions(directory: Path) -> set[Path]:
    """The temporary directories of the Ray that runs under our own command."""
    sessions = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(directory / "data") in " ".join(process.cmdline()):
                for child in process.children(recursive=True):
                    for word in child.cmdline():
                        path = Path(word.partition("=")[2] or word)
                        sessions |= {part for part in (path, *path.parents) if part.name.startswith("ccray-")}
    return {path for path in sessions if path.is_dir()}


def leaks(run: Run, files: list[Path]) -> list[str]:
    found = []
    for path in files:
        content = path.read_bytes()
        for name, secret in run.secrets.items():
            if secret.encode()[:SHOWN] in content and not may_hold(path, name):
                found.append(f"{name} in {path}")
    for name, secret in run.secrets.items():
        found += [f"{name} in an answer" for answer in run.answers if secret[:SHOWN] in answer]
    return found


def output_of(argv: list[str]) -> str:
    """What an operator's command prints; a world just begun may not have written its status yet."""
    end = time.monotonic() + 60
    while True:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=90)
        if done.returncode == 0:
            return done.stdout + done.stderr
        assert time.monotonic() < end, done.stderr
        time.sleep(1)


def may_hold(path: Path, name: str) -> bool:
    """Redis alone knows what commands are signed with, and what a challenge is about until it is answered."""
    return "valkey" in path.parts and "appendonly" in str(path) and name in ("command secret", "hushed text")


async def test_no_secret_is_left_anywhere(world: EmbeddedWorld, tmp_path: Path) -> None:
    assert world.log is not None
    run = await use(world)
    data = world.log.parent / "data"
    chunkcrawl = str(Path(sys.executable).with_name("chunkcrawl"))
    for argv in (["status", "--json", "--data", str(data)], ["backup", str(tmp_path / "backup"), "--data", str(data)]):
        run.answers.append(await asyncio.to_thread(output_of, [chunkcrawl, *argv]))
    files = [*files_of(world), *(path for path in (tmp_path / "backup").rglob("*") if path.is_file())]
    logs = {path.name: path.read_text() for path in files if path.parent == data / "logs"}
    assert {"coordinator.log", "gateway-0.log", "gateway-1.log", "shard-0.log", "shard-1.log"} <= logs.keys()
    # At this level nothing is held back that could be said.
    assert "challenge_answer" in logs["gateway-0.log"] + logs["gateway-1.log"]
    assert "world_result" in logs["shard-0.log"] + logs["shard-1.log"]
    assert any("ccray-" in str(path) for path in files), "Ray's session was not found"
    assert (tmp_path / "backup").is_dir()
    assert leaks(run, files) == []


def test_a_leak_would_be_found(tmp_path: Path) -> None:
    """So that the test above is one."""
    (tmp_path / "gateway-0.log").write_text(f"GET /x?token={QUERY_TOKEN[:30]}...")
    run = Run({"token in a URL": QUERY_TOKEN}, [f"401 {QUERY_TOKEN}"])
    found = leaks(run, [tmp_path / "gateway-0.log"])
    assert found == [f"token in a URL in {tmp_path / 'gateway-0.log'}", "token in a URL in an answer"]
