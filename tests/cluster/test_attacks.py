"""Each attack of a stranger for a moment, with honest agents beside it, who notice nothing; ``make chaos`` has it long.

A gateway and two shards in a thread of their own, with bounds that are soon met.  Nothing is judged by time: every
command of the honest is answered on the connection that they have, and whoever wants to come in meanwhile does.  The
figures are printed.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
import uvloop

from api.sockets import connection_limits
from api.sockets.slow_addresses import BROKEN_MOST
from chunkcrawl import Agent, Api
from chunkcrawl.errors import NotReady, ServerUnreachable
from cluster.gateway import GatewayServer, wait_started
from cluster.local import LocalWorld
from config.settings import Settings
from embedded.children import free_port
from streaming.connect import connect
from tests.chaos import attacks
from tests.chaos.honest import Honest

SECONDS = 0.5
#: Of attacks by patience: past the time in which a request has to arrive; on a busy machine past the first answer.
PATIENT_S = 2.0
PATIENT = ("half_requests", "silent_connections")
AGENTS = 3
TRIES = 20
#: Of each attack, answers by which its bound is seen to have been met, and no other one.
MET = {
    "endless_header": ["431"],
    "many_headers": ["431"],
    "endless_target": ["414"],
    "endless_body": ["413"],
    "endless_handshake": ["431"],
    "half_requests": ["408", "503", "closed"],
    "silent_connections": ["503", "closed"],
    "connection_flood": ["taken"],
    "pipelined_requests": ["200", "closed"],
    "signups": ["201", "503"],
    "logins": ["401", "503"],
    "tiny_frames": ["101"],
}
#: Attacks by four connections at a time that find their address slow, and how many tries that leaves them at most.
SLOWED = ("endless_target", "endless_body", "endless_handshake", "pipelined_requests")
SLOWED_MOST = BROKEN_MOST + 2 * 4


class Running:
    """A world and its one gateway, in a thread."""

    def __init__(self, settings: Settings) -> None:
        self.base = f"http://127.0.0.1:{settings.port}"
        self._settings = settings
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()), name="world")
        self._thread.start()
        assert self._started.wait(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)

    async def _run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        redis = connect(self._settings.redis_url)
        await redis.flushall()
        async with LocalWorld(redis) as world:
            self.server = GatewayServer(self._settings, world.shards, world)
            serving = asyncio.create_task(self.server.serve())
            await wait_started(self.server)
            self._started.set()
            await self._over.wait()
            await self.server.stop()
            await serving
        await redis.aclose()


@pytest.fixture
def running(postgres_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(connection_limits, "HELD_S", SECONDS)
    settings = Settings(
        environment="test",
        database_url=postgres_url,
        redis_url=valkey_url,
        port=free_port(),
        drain_s=1,
        request_timeout_s=1,
        limit_signups="100000+100000/s",
        limit_address_logins="100000+100000/s",
        limit_account_logins="100000+100000/s",
    )
    world = Running(settings)
    yield world
    world.stop()


async def come_in(base: str, key: str) -> None:
    """Open a session, in some tries: from the attacker's own address not every connection finds a place."""
    for _ in range(TRIES):
        async with Api(base) as newcomer:
            try:
                await newcomer.open_session(key, "spectator")
            except (ServerUnreachable, NotReady):
                await asyncio.sleep(SECONDS / TRIES)
            else:
                return
    raise AssertionError("nobody can come in")


async def attack_all(running: Running, key: str, tiny: attacks.Attack) -> dict[str, Counter[str]]:
    """One after the other; and during each somebody comes in anew."""
    answers: dict[str, Counter[str]] = {}
    for what, attack in {**attacks.STRANGERS, "tiny_frames": tiny}.items():
        host, _, port = running.base.removeprefix("http://").partition(":")
        seconds = PATIENT_S if what in PATIENT else SECONDS
        attacking = asyncio.create_task(attacks.run(attack, host, int(port), seconds, MET[what]))
        await asyncio.sleep(seconds / 2)
        await come_in(running.base, key)
        answers[what] = await attacking
    return answers


@pytest.mark.timeout(240)
async def test_the_honest_notice_no_attack(running: Running) -> None:
    async with Api(running.base) as api:
        account = await api.signup("attacks@example.com", "password-of-attacks")
        key = (await api.create_key(account.account_id, auth=account.account_token)).api_key
        session = await api.open_session(key, "agent", "tiny")
        tiny = attacks.tiny_frames(session.session_token, "tiny")

        def connect_to(number: int) -> Agent:
            return Agent.connect(running.base, agent_id=f"honest-{number}", api_key=key, api=api)

        async with Honest(connect_to, AGENTS) as honest:
            before = await honest.play(asyncio.sleep(SECONDS))
            attacking = asyncio.ensure_future(attack_all(running, key, tiny))
            during = await honest.play(attacking)
            answers = attacking.result()
    print(f"before: {before}", f"during: {during}", *answers.items(), sep="\n")
    assert during.sent
    assert during.answered == during.sent
    assert during.reconnects == 0
    for what, met in MET.items():
        assert set(met) & answers[what].keys(), (what, answers[what])
        # 408: a busy machine took longer over a request than a whole one may take to arrive.
        assert answers[what].keys() <= {*met, "408", "open", "refused", "closed"}, (what, answers[what])
    for what in SLOWED:
        assert answers[what].total() <= SLOWED_MOST, (what, answers[what])
