"""`make rehearsal`: a system that plays is backed up, lost, restored elsewhere, compared, and played on.

In order: agents play over WebSocket; a backup whose pg_dump is killed in the middle; a backup while they play; both
stores of a second, empty system restored from it and held against it, every table, chunk and agent; old password, old
API key; agents where they stood, who walk on; then that system's Redis is lost too and comes back from the snapshots.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from chunkcrawl import Agent, Api
from chunkcrawl.bots.driver import drive
from chunkcrawl.bots.rules import make_bot
from chunkcrawl.errors import ApiError, CommandFailed, CommandRefused, InvalidSession
from chunkcrawl.transport.http import Session
from operations import backup_files
from operations.backup_files import Manifest
from operations.fsck import check, read_dump
from operations.operator_services import open_services
from operations.table_digests import digests
from operations.world_dump import WorldDump, read_world
from store.pg_session import patient_engine
from streaming.connect import connect
from tests.cluster.lasting import DOORS, essence
from tests.cluster.worlds import until
from tests.rehearsal.players import plays_on, walk
from tests.rehearsal.system import System, begin, rows, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

EMAIL, PASSWORD = "rehearsal@example.com", "an old pässword"
AGENTS = [f"rehearsal-{number}" for number in range(8)]
PLAY_S = 6.0
#: Tables that a restore changes by its own rules (docs/decisions/0043-backup-and-restore.md).
CHANGED_BY_RULE = {"runs", "sessions", "event_logs", "operator_audit"}
#: And those in which it counts the facts that waited for the event log.
COUNTED = frozenset({"standings", "discoveries"})


@pytest.fixture
def room() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ccrehearsal-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def first(room: Path) -> Iterator[System]:
    system = System(room / "first")
    yield system
    system.stop()


@pytest.fixture
def second(room: Path) -> Iterator[System]:
    system = System(room / "second")
    yield system
    system.stop()


@asynccontextmanager
async def playing(system: System, api_key: str) -> AsyncIterator[None]:
    """All agents play by their bots while the block runs."""

    async def play(name: str, seed: int) -> None:
        async with Agent.connect(system.base, agent_id=name, api_key=api_key) as agent:
            if seed % 2:
                await drive(agent, make_bot("gold"), random.Random(seed))
            await explore(agent, random.Random(seed))

    tasks = [asyncio.create_task(play(name, seed)) for seed, name in enumerate(AGENTS)]
    try:
        yield
        for task in tasks:
            assert not task.done(), task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def explore(agent: Agent, rng: random.Random) -> None:
    """Through one door after the other, so that chunks are made and crossed."""
    while True:
        try:
            await agent.move_to(*rng.choice(DOORS))
        except (CommandRefused, CommandFailed):
            await asyncio.sleep(0.3)


async def killed_in_the_middle(system: System, directory: Path) -> None:
    """A backup whose pg_dump waits for a table, and is killed there."""
    async with system.database() as engine, engine.connect() as connection:
        await connection.exec_driver_sql("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        backing = begin("backup", directory, "--data", system.data)

        async def waits() -> psutil.Process | None:
            found = await rows(
                engine,
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'",
            )
            ours = [child for child in psutil.Process(backing.pid).children() if child.name() == "pg_dump"]
            return ours[0] if found and ours else None

        (await until(waits, "pg_dump in the middle of its work")).send_signal(signal.SIGKILL)
        said, _ = await asyncio.to_thread(backing.communicate)
    assert backing.returncode == 1, said
    assert "pg_dump was ended by signal 9" in said
    assert names_like(directory) == []


def names_like(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.parent.iterdir() if path.name.startswith(directory.name))


@dataclass(frozen=True, slots=True)
class Known:
    """What a user of the first system has: ids, a key, a session."""

    account_id: str
    key: str
    session: Session


async def play_and_back_up(first: System, directory: Path) -> Known:
    async with Api(first.base) as api:
        account = await api.signup(EMAIL, PASSWORD)
        key = (await api.create_key(account.account_id, auth=account.account_token, label="鍵")).api_key
        session = await api.open_session(key, "spectator")
    async with playing(first, key):
        await asyncio.sleep(PLAY_S)
        await killed_in_the_middle(first, directory)
        code, said = await asyncio.to_thread(run, "backup", directory, "--data", first.data)
        assert code == 0, said
        code, said = await asyncio.to_thread(run, "restore", directory, "--data", first.data)
        assert code == 1, said
        assert "a world runs on this system" in said
        await asyncio.sleep(2.0)  # the old system goes on after its backup
    return Known(account.account_id, key, session)


async def compare(urls: tuple[str, str], manifest: Manifest, world: WorldDump) -> None:
    """Every table, chunk and agent of a restored system that nobody has started yet."""
    engine, redis = patient_engine(urls[0]), connect(urls[1])
    try:
        async with engine.connect() as connection:
            found = await digests(connection, None, "0-0")
        assert found.keys() == manifest.tables.keys()
        # What waited for the event log is written by the restore, and counted.
        counted = COUNTED if world.facts else frozenset()
        for table in sorted(manifest.tables.keys() - CHANGED_BY_RULE - counted):
            assert found[table] == manifest.tables[table], table
        assert found["sessions"].rows == manifest.tables["sessions"].rows
        assert found["runs"].rows == manifest.tables["runs"].rows + 1
        assert found["operator_audit"].rows == manifest.tables["operator_audit"].rows + 1, "the restore itself"
        logged = await rows(engine, "SELECT entry_id FROM event_logs")
        waited = world.facts.keys() - {name for (name,) in logged}
        assert waited == set()
        assert manifest.tables["event_logs"].rows <= len(logged)
        assert len(logged) <= manifest.tables["event_logs"].rows + len(world.facts)
        again = await read_world(redis)
        assert again is not None
        assert essence(again) == essence(world)
        assert check(await read_dump(redis, list(world.agents))) == []
    finally:
        await engine.dispose()
        await redis.aclose()


async def play_on(system: System, known: Known, world: WorldDump) -> None:
    """Old password, old key, no old session; everybody stands where the backup has it, and can walk."""
    async with Api(system.base) as api:
        assert (await api.create_key(known.account_id, auth=(EMAIL, PASSWORD))).api_key != known.key
        with pytest.raises(ApiError):
            await api.create_key(known.account_id, auth=(EMAIL, "another password"))
        with pytest.raises(InvalidSession):
            await api.snapshot("chunk-0", known.session.session_token)
        assert {agent["agent_id"] for agent in await api.agents(auth=known.key)} == set(AGENTS)
    await asyncio.gather(*(plays_on(system.base, known.key, name, world.agents[name]["rec"]) for name in AGENTS))


def test_rehearsal(first: System, second: System, room: Path) -> None:
    began = time.monotonic()
    directory = room / "backups" / "b"

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}")

    first.start()
    tell("the first system serves")
    known = asyncio.run(play_and_back_up(first, directory))
    first.stop()
    tell("backed up while agents played, stopped")
    code, said = run("backup", "--verify", directory)
    assert code == 0, said
    code, said = run("restore", directory, "--data", second.data)
    assert code == 0, said
    tell(said.strip())
    manifest, world = backup_files.read_manifest(directory), backup_files.read_world(directory)
    assert world.counts()["agents_in_world"] == len(AGENTS)
    assert world.counts()["chunks"] > 1
    with open_services(str(second.data)) as settings:
        asyncio.run(compare((settings.database_url, settings.redis_url), manifest, world))
    tell("every table, chunk and agent compared")
    code, said = run("restore", directory, "--data", second.data)
    assert code == 1, said
    assert "is not empty" in said
    second.start()
    asyncio.run(play_on(second, known, world))
    code, said = run("history", "--agent", AGENTS[0], "--data", second.data, "--limit", "1000")
    assert code == 0
    assert said.count(" join ") >= 1
    tell("played on after the restore")
    time.sleep(3.0)  # a look of the snapshots
    second.stop()
    shutil.rmtree(second.data / "valkey")
    second.start()
    assert "The world came back from the database's last snapshots" in second.said
    asyncio.run(walk_again(second, known.key))
    tell("its Redis lost, the world back from the snapshots, walked")


async def walk_again(system: System, key: str) -> None:
    async with Agent.connect(system.base, agent_id=AGENTS[0], api_key=key) as agent:
        await agent.wait_until(lambda view: view.ready and view.me is not None, 20.0)
        await walk(agent)
