"""``chunkcrawl backup`` and ``restore`` as an operator calls them, on data directories with and without servers."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from cli.backup import app
from cli.moves import app as moves_app
from cluster.graph import init_world
from cluster.snapshots import Snapshotter
from embedded.services import EmbeddedServices, ServiceUrls
from migrations.run import upgrade
from store import audit
from store.engine import make_engine
from streaming.connect import connect
from tests.store.rows import new_account

pytestmark = pytest.mark.services
NO_SERVERS = {"CHUNKCRAWL_DATABASE_URL": "", "CHUNKCRAWL_REDIS_URL": "", "CHUNKCRAWL_DATA_DIR": None}


@pytest.fixture
def room() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="chunkcrawl-backup-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def invoke(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words], env=NO_SERVERS)
    return result.exit_code, result.output


def work_on(urls: ServiceUrls, work: Callable[[Redis, AsyncEngine], Awaitable[object]]) -> None:
    async def run() -> None:
        redis, engine = connect(urls.redis_url), make_engine(urls.database_url)
        try:
            await work(redis, engine)
        finally:
            await redis.aclose()
            await engine.dispose()

    asyncio.run(run())


async def begin(redis: Redis, engine: AsyncEngine) -> None:
    """A world, an account, and a snapshot of the world."""
    await upgrade(engine.url.render_as_string(hide_password=False))
    await init_world(redis, seed=7, shard_count=2)
    await new_account(engine)
    await Snapshotter(redis, engine, keep=timedelta(days=3)).look()


@pytest.fixture
def system(room: Path) -> Path:
    """The data directory of a system that is stopped."""
    with EmbeddedServices(room / "system") as urls:
        work_on(urls, begin)
    return room / "system"


def test_there_and_back_between_stopped_systems(system: Path, room: Path) -> None:
    code, said = invoke("backup", room / "b", "--data", system)
    assert code == 0, said
    assert "1 chunks, 0 agents" in said
    assert invoke("backup", room / "b", "--data", system)[0] == 1
    code, said = invoke("backup", "--verify", room / "b", "--json")
    assert code == 0, said
    assert json.loads(said)["tables"]["accounts"] == 1
    code, said = invoke("restore", room / "b", "--data", room / "new")
    assert code == 0, said
    assert "not in the audit log" not in said
    code, said = invoke("restore", room / "b", "--data", room / "new")
    assert code == 1
    assert "this system is not empty: there is something in the database and in Redis" in said
    assert invoke("restore", room / "b", "--data", room / "new", "--force")[0] == 0
    assert not (room / "new" / "services.json").exists()  # nothing was left running
    found: list[tuple[str, str, str]] = []

    async def look(_: Redis, engine: AsyncEngine) -> None:
        found.extend(await lines(engine))

    with EmbeddedServices(room / "new") as urls:
        work_on(urls, look)
    assert [line for line in found if line[0] == "restore"] == [
        ("restore", str(room / "b"), outcome) for outcome in ("done", "refused", "done")
    ]


def test_a_broken_backup_is_neither_verified_nor_restored(system: Path, room: Path) -> None:
    assert invoke("backup", room / "b", "--data", system)[0] == 0
    path = room / "b" / "database.dump"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x20
    path.write_bytes(data)
    code, said = invoke("backup", "--verify", room / "b")
    assert code == 1
    assert said.startswith("error: database.dump is not what was written")
    assert invoke("restore", room / "b", "--data", room / "new")[0] == 1


async def lines(engine: AsyncEngine) -> list[tuple[str, str, str]]:
    """Action, subject and outcome of the lines in the audit log, the oldest first."""
    return [(line.action, line.subject, line.outcome) for line in reversed(await audit.lines(engine, limit=10))]


def test_servers_that_run_are_used_and_left_running(system: Path, room: Path) -> None:
    found: list[tuple[str, str, str]] = []

    async def look(_: Redis, engine: AsyncEngine) -> None:
        found.extend(await lines(engine))

    with EmbeddedServices(system) as urls:
        code, said = invoke("backup", room / "b", "--data", system)
        assert code == 0, said
        assert invoke("backup", room / "b", "--data", system)[0] == 1
        work_on(urls, look)
    assert found == [("back-up", str(room / "b"), "done"), ("back-up", str(room / "b"), "failed")]


@pytest.mark.slow
def test_what_is_done_to_a_stopped_world_is_written_down(system: Path) -> None:
    found: list[tuple[str, str, str]] = []

    async def look(_: Redis, engine: AsyncEngine) -> None:
        found.extend(await lines(engine))

    said = CliRunner().invoke(moves_app, ["pin", "chunk-0", "--data", str(system)], env=NO_SERVERS)
    assert (said.exit_code, said.output) == (0, "chunk-0 stays where it is.\n")
    with EmbeddedServices(system) as urls:
        work_on(urls, look)
    assert found == [("pin", "chunk-0", "done")]


def test_a_lost_redis_is_rebuilt(system: Path) -> None:
    found: list[tuple[str, str, str]] = []

    async def look(_: Redis, engine: AsyncEngine) -> None:
        found.extend(await lines(engine))

    code, said = invoke("restore", "--world-from-database", "--data", system)
    assert code == 1
    assert "Redis holds a world" in said
    with EmbeddedServices(system) as urls:
        work_on(urls, lambda redis, engine: redis.flushall())
        code, said = invoke("restore", "--world-from-database", "--data", system)
        assert code == 0, said
        assert "The world came back from the database's last snapshots: 1 chunks" in said
        assert invoke("restore", "--world-from-database", "--data", system)[0] == 1
        assert invoke("restore", "--world-from-database", "--data", system, "--force")[0] == 0
        work_on(urls, look)
    assert found == [("rebuild", "", outcome) for outcome in ("refused", "done", "refused", "done")]


def test_where_there_is_nothing(room: Path) -> None:
    code, said = invoke("backup", room / "b", "--data", room / "none")
    assert code == 1
    assert "there is no world in" in said
    code, said = invoke("restore", room / "b", "--data", room / "none")
    assert code == 1
    assert "manifest.json can't be read" in said
    code, said = invoke("restore", "--world-from-database", "--data", room / "none")
    assert code == 1
    assert not (room / "none").exists()


@pytest.mark.parametrize("words", [("restore",), ("restore", "b", "--world-from-database"), ("backup",)])
def test_wrong_usage(words: tuple[str, ...]) -> None:
    assert invoke(*words)[0] == 2
