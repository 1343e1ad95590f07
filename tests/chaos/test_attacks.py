"""Every attack for some time, by processes of their own, with honest agents beside it; prints what those noticed.

    ATTACK_SECONDS=20 .venv/bin/pytest -s -m slow tests/chaos/test_attacks.py

Before each attack the same agents play in peace for as long.  On a quiet machine their p99 at most doubles; here, where
others may take the CPU, it is only printed.  What is asserted does not depend on time: every command of theirs is
answered on the connection that they have.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass

import asyncpg
import httpx
import psutil
import pytest

from chunkcrawl import Agent, Api
from cluster.ray_clients import WorldActor
from tests.chaos.attacks import STRANGERS
from tests.chaos.honest import Figures, Honest
from tests.chaos.scene import Scene, scene, scratch, services_in
from tests.cluster.worlds import until

SECONDS = float(os.environ.get("ATTACK_SECONDS", "5"))
AGENTS = 20
#: So that the passwords are hashed, and not refused.
NO_LIMITS = {"limit_signups": "1000000+1000000/s", "limit_address_logins": "1000000+1000000/s"}
NO_LIMITS |= {"limit_account_logins": "1000000+1000000/s"}
#: An attack by four processes at once, where one does not fill its own core.
PROCESSES = {"endless_header": 4}
#: The attackers' interpreters start on this machine, which is no part of an attack.
STARTS_S = 1.0
#: Of each gateway; more than the attackers' descriptors are to be met by them.
FILES = 1_024

END_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'chunkcrawl'"

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Passed:
    """One attack."""

    name: str
    before: Figures
    during: Figures
    answers: Counter[str]

    def __str__(self) -> str:
        return f"{self.name}: {dict(self.answers)}\n    before: {self.before}\n    during: {self.during}"


async def attack(stage: Scene, name: str, *more: str) -> Counter[str]:
    """Run it in processes of its own, as strangers do; how it was answered."""
    address = f"127.0.0.1:{stage.deployment.settings.port}"
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.chaos.attacks", name, address, str(SECONDS), *more),
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(PROCESSES.get(name, 1))
    ]
    answers: Counter[str] = Counter()
    for process in processes:
        printed, _ = await process.communicate()
        assert process.returncode == 0
        answers.update(json.loads(printed))
    return answers


async def fill_postgres(stage: Scene) -> Counter[str]:
    """Take every connection that PostgreSQL has, the gateways' too; how those are answered who want to sign up."""
    held: list[asyncpg.Connection] = []
    answers: Counter[str] = Counter()
    url = stage.deployment.settings.database_url.replace("+asyncpg", "")
    end = asyncio.get_running_loop().time() + SECONDS
    async with httpx.AsyncClient(base_url=stage.base, timeout=30) as http:
        for number in itertools.count():
            with suppress(asyncpg.TooManyConnectionsError):
                while True:
                    held.append(await asyncpg.connect(url))
            await held[0].execute(END_OTHERS)
            with suppress(asyncpg.TooManyConnectionsError):
                while True:
                    held.append(await asyncpg.connect(url))
            body = {"email": f"full{number}@example.com", "password": "password-of-the-full"}
            answers[str((await http.post("/v1/signup", json=body)).status_code)] += 1
            if asyncio.get_running_loop().time() > end:
                break
    for connection in held:
        await connection.close()
    return answers


async def limit_files(stage: Scene) -> None:
    """As few open files as a shell allows by default, for gateways that are running."""
    for number in range(stage.deployment.settings.gateways):
        described = await stage.actors.call(f"gateway-{number}", 15, WorldActor.describe)
        psutil.Process(described["pid"]).rlimit(psutil.RLIMIT_NOFILE, (FILES, FILES))


async def run_all(stage: Scene) -> list[Passed]:
    passed = []
    async with Api(stage.base) as api:
        account = await api.signup("attacks@example.com", "password-of-attacks")
        key = (await api.create_key(account.account_id, auth=account.account_token)).api_key
        tiny = await api.open_session(key, "agent", "tiny")

        def connect(number: int) -> Agent:
            return Agent.connect(stage.base, agent_id=f"honest-{number}", api_key=key, api=api)

        async with Honest(connect, AGENTS, random.Random(stage.seed)) as honest:

            async def during(name: str, attacking: Awaitable[Counter[str]]) -> None:
                before = await honest.play(asyncio.sleep(SECONDS))
                task = asyncio.ensure_future(attacking)
                await asyncio.sleep(STARTS_S)
                found = await honest.play(task)
                passed.append(Passed(name, before, found, task.result()))
                print(passed[-1], flush=True)
                await until(stage.ready, "the world is ready again", 30)

            for name in STRANGERS:
                await during(name, attack(stage, name))
            more = ("--session-token", tiny.session_token, "--agent-id", "tiny")
            await during("tiny_frames", attack(stage, "tiny_frames", *more))
            await during("full_postgres", fill_postgres(stage))
            await limit_files(stage)
            for name in ("half_requests", "silent_connections", "connection_flood"):
                await during(name, attack(stage, name))
    return passed


def test_the_honest_play_on_through_every_attack() -> None:
    async def run() -> list[Passed]:
        with scratch() as directory:
            services = services_in(directory)
            try:
                async with scene(services, 6, shards=2, gateways=2, **NO_LIMITS) as stage:
                    return await run_all(stage)
            finally:
                services.stop()

    for one in asyncio.run(run()):
        assert one.during.sent, one
        assert one.during.answered == one.during.sent, one
        assert one.during.reconnects == 0, one
        assert not {"500", "502", "504"} & one.answers.keys(), one
