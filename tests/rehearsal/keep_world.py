"""Keeps a small world of some version for ``test_upgrade.py``: plays in it, stops it, packs what lies in its directory.

    python -m tests.rehearsal.keep_world TREE MODULE OUT.tar.xz

TREE: a checkout of that version (``git archive REVISION | tar x -C TREE``), run with the Python that runs this; MODULE:
what its command was (``cluster.cli``, today ``chunkcrawl.commands.main``).  Packed are the data directory without
PostgreSQL's cluster, which is big and of one machine, and that database as SQL.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import httpx

from chunkcrawl import Agent, Api
from chunkcrawl.bots.driver import drive
from chunkcrawl.bots.rules import make_bot
from chunkcrawl.errors import CommandFailed, CommandRefused
from embedded.children import free_port
from embedded.postgres import DEFAULT_VERSION
from embedded.services import EmbeddedServices
from operations import pg_tools
from tests.cluster.lasting import DOORS

#: Not the defaults, so that a version that forgets them makes other chunks.
SETTINGS: Final = {
    "CHUNKCRAWL_GOLD_NODES_MIN": "7",
    "CHUNKCRAWL_GOLD_NODES_MAX": "9",
    "CHUNKCRAWL_GOLD_PER_NODE_MIN": "2",
    "CHUNKCRAWL_GOLD_PER_NODE_MAX": "4",
    "CHUNKCRAWL_WORLD_SEED": "7",
}
EMAIL: Final = "upgrade@example.com"
PASSWORD: Final = "an old pässword"
#: Of servers that listen on loopback while a test runs, and hold nothing else.
SERVER_PASSWORDS: Final = {"postgres": "throwaway-postgres", "valkey": "throwaway-valkey"}
AGENTS: Final = tuple(f"old-{number}" for number in range(6))
PLAY_S: Final = 15.0
READY_S: Final = 120.0
NOT_KEPT: Final = ("postgres", "postgres.log", "logs", "lock", "demo.log")


def main(tree: str, module: str, out: str) -> None:
    """Make the archive ``out``."""
    with tempfile.TemporaryDirectory(prefix="cckeep-") as place:
        room = Path(place)
        data = room / "data"
        data.mkdir()
        (data / "secrets.json").write_text(json.dumps(SERVER_PASSWORDS))
        known = asyncio.run(_play(Path(tree), module, data))
        (room / "known.json").write_text(json.dumps(known, ensure_ascii=False))
        with EmbeddedServices(data) as urls:
            (room / "database.sql").write_bytes(asyncio.run(_as_sql(urls.database_url)))
        with tarfile.open(out, "w:xz", preset=9) as archive:
            for name in ("known.json", "database.sql", "data"):
                archive.add(room / name, name, filter=_kept)


def _kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(entry.name).parts
    if len(parts) > 1 and (parts[1] in NOT_KEPT or parts[-1].endswith((".log", ".pid", ".sock"))):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


async def _play(tree: Path, module: str, data: Path) -> dict[str, Any]:
    """Let agents play in a world of that version, and end it while they do; return what they need to come back."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHUNKCRAWL_")}
    environment = clean | SETTINGS | {"PYTHONPATH": str(tree), "CHUNKCRAWL_SNAPSHOT_INTERVAL_S": "5"}
    words = ["up", "--no-demo", "--shards", "3", "--port", str(port), "--data", str(data)]
    running = await asyncio.to_thread(
        subprocess.Popen, [sys.executable, "-m", module, *words], cwd=data.parent, env=environment
    )
    try:
        await _until_ready(base, running)
        async with Api(base) as api:
            account = await api.signup(EMAIL, PASSWORD)
            key = (await api.create_key(account.account_id, auth=account.account_token, label="鍵")).api_key
        playing = [asyncio.create_task(_wander(base, name, key, seed)) for seed, name in enumerate(AGENTS)]
        await asyncio.sleep(PLAY_S)
        for task in playing:
            assert not task.done(), task
        running.send_signal(signal.SIGTERM)  # in the middle of their commands
        assert await asyncio.to_thread(running.wait, 90) == 0
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
    finally:
        running.kill()
    return {
        "email": EMAIL,
        "password": PASSWORD,
        "account_id": account.account_id,
        "api_key": key,
        "settings": SETTINGS,
        "agents": AGENTS,
    }


async def _until_ready(base: str, running: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + READY_S
    async with httpx.AsyncClient(trust_env=False) as client:
        while time.monotonic() < end:
            assert running.poll() is None, "it has ended"
            try:
                if (await client.get(f"{base}/readyz")).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.5)
    raise AssertionError(f"not ready within {READY_S} s")


async def _wander(base: str, name: str, key: str, seed: int) -> None:
    """Dig or walk through one door after the other."""
    rng = random.Random(seed)
    async with Agent.connect(base, agent_id=name, api_key=key) as agent:
        if seed % 2:
            await drive(agent, make_bot("gold"), rng)
        while True:
            try:
                await agent.move_to(*rng.choice(DOORS))
            except (CommandRefused, CommandFailed):
                await asyncio.sleep(0.3)


async def _as_sql(database_url: str) -> bytes:
    tool = await pg_tools.find("pg_dump", DEFAULT_VERSION)
    return await pg_tools.run(tool, database_url, ["--no-owner", "--no-privileges"])


if __name__ == "__main__":
    main(*sys.argv[1:])
