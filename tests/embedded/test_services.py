"""The embedded servers: what they are, that they come back, and that nothing of them is left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis

from embedded import children
from embedded.services import EmbeddedServices, ServiceError, ServiceUrls

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0

# A process that starts the services and waits: what `chunkcrawl up` is to them.
HOLDER = """
import sys, time
from pathlib import Path
from embedded.services import EmbeddedServices
urls = EmbeddedServices(Path(sys.argv[1])).start()
print(urls.database_url, urls.redis_url, flush=True)
time.sleep(600)
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="chunkcrawl-services-"))
    yield path / "data"
    for process in servers_in(path / "data"):
        process.kill()
    shutil.rmtree(path)


def servers_in(data_dir: Path) -> list[psutil.Process]:
    return [
        *children.leftovers("postgres", data_dir / "postgres"),
        *children.leftovers("valkey-server", data_dir / "valkey"),
    ]


def server_names(data_dir: Path) -> set[str]:
    return {process.name() for process in servers_in(data_dir)}


def wait_until_none(data_dir: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while left := servers_in(data_dir):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)


def hold(data_dir: Path) -> tuple[subprocess.Popen[str], ServiceUrls]:
    """Start the services in a process of their own."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data_dir)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    database_url, redis_url = process.stdout.readline().split()
    process.stdout.close()
    return process, ServiceUrls(database_url, redis_url)


async def query(urls: ServiceUrls, sql: str) -> object:
    connection = await asyncpg.connect(urls.database_url.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def ask(urls: ServiceUrls, *command: str) -> object:
    client: Redis = Redis.from_url(urls.redis_url, decode_responses=True)
    try:
        return await client.execute_command(*command)  # type: ignore[no-untyped-call]
    finally:
        await client.aclose()


async def test_data_is_kept_between_runs(data_dir: Path) -> None:
    with EmbeddedServices(data_dir) as urls:
        await query(urls, "CREATE TABLE kept (n integer)")
        await query(urls, "INSERT INTO kept VALUES (7)")
        await ask(urls, "SET", "kept", "seven")
    with EmbeddedServices(data_dir) as urls:
        assert await query(urls, "SELECT n FROM kept") == 7
        assert await ask(urls, "GET", "kept") == "seven"
    assert servers_in(data_dir) == []


async def test_servers_are_set_up_for_a_world(data_dir: Path) -> None:
    with EmbeddedServices(data_dir) as urls:
        assert urls.database_url.startswith("postgresql+asyncpg://chunkcrawl:")
        assert await query(urls, "SHOW timezone") == "UTC"
        assert await query(urls, "SHOW listen_addresses") == "127.0.0.1"
        assert await query(urls, "SELECT lower('ÄЖ')") == "äж"
        config = await ask(urls, "CONFIG", "GET", "append*", "maxmemory-policy", "bind")
        assert isinstance(config, dict)
        assert config["appendonly"] == "yes"
        assert config["appendfsync"] == "everysec"
        assert config["maxmemory-policy"] == "noeviction"
        assert config["bind"] == "127.0.0.1"


async def test_both_servers_want_their_password(data_dir: Path) -> None:
    with EmbeddedServices(data_dir) as urls:
        wrong = ServiceUrls(_with_password(urls.database_url, "wrong"), _with_password(urls.redis_url, "wrong"))
        with pytest.raises(asyncpg.InvalidPasswordError):
            await query(wrong, "SELECT 1")
        with pytest.raises(Exception, match=r"WRONGPASS|invalid username-password"):
            await ask(wrong, "PING")


def _with_password(url: str, password: str) -> str:
    head, _, tail = url.rpartition("@")
    return f"{head.rpartition(':')[0]}:{password}@{tail}"


LOOK = """
import os, sys
os.setgroups([]); os.setgid(12345); os.setuid(12345)
for folder, folders, files in os.walk(sys.argv[1]):
    print("listed", folder)
for path in sys.argv[2:]:
    try:
        open(path, "rb").close(); print("read", path)
    except OSError:
        pass
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_user_lists_and_reads_nothing(data_dir: Path) -> None:
    before = os.umask(0)
    try:
        with EmbeddedServices(data_dir):
            files = [str(path) for path in data_dir.rglob("*") if path.is_file()]
            found = subprocess.run(
                [sys.executable, "-c", LOOK, str(data_dir), *files], capture_output=True, text=True, check=True
            )
    finally:
        os.umask(before)
    assert len(files) > 100
    assert found.stdout == ""


def test_passwords_are_readable_by_the_owner_only_and_not_printed(data_dir: Path) -> None:
    with EmbeddedServices(data_dir) as urls:
        kept = json.loads((data_dir / "secrets.json").read_text())
        for name in ("secrets.json", "services.json", "lock", "valkey/valkey.conf"):
            assert stat.S_IMODE((data_dir / name).stat().st_mode) == 0o600, name
        for password in kept.values():
            assert len(password) == 48
            assert password not in repr(urls)
            for process in servers_in(data_dir):
                assert password not in " ".join(process.cmdline())
            for log in (data_dir / "postgres.log", data_dir / "valkey/valkey.log"):
                assert password not in log.read_text()


async def test_lost_password_file_is_made_anew(data_dir: Path) -> None:
    with EmbeddedServices(data_dir) as urls:
        await query(urls, "CREATE TABLE kept (n integer)")
    (data_dir / "secrets.json").unlink()
    with EmbeddedServices(data_dir) as urls:
        assert await query(urls, "SELECT count(*) FROM kept") == 0


def test_second_run_on_the_same_directory_is_refused(data_dir: Path) -> None:
    with EmbeddedServices(data_dir):
        with pytest.raises(ServiceError, match=rf"in use by another run \(process {os.getpid()}\).*--data DIR"):
            EmbeddedServices(data_dir).start()
        assert server_names(data_dir) == {"postgres", "valkey-server"}


async def test_long_path_is_no_obstacle(data_dir: Path) -> None:
    long_dir = data_dir / ("a directory with a long name " * 4) / ("b" * 100)
    with EmbeddedServices(long_dir) as urls:
        assert len(str(long_dir)) > 200
        assert await query(urls, "SELECT 1") == 1
        assert await ask(urls, "PING") is True
    assert servers_in(long_dir) == []


def test_given_urls_are_used_and_nothing_is_started(data_dir: Path) -> None:
    with EmbeddedServices(data_dir, database_url="postgresql+asyncpg://db/x", redis_url="redis://r/0") as urls:
        assert urls == ServiceUrls("postgresql+asyncpg://db/x", "redis://r/0")
        assert not data_dir.exists()


def test_one_given_url_leaves_the_other_server_to_us(data_dir: Path) -> None:
    with EmbeddedServices(data_dir, database_url="postgresql+asyncpg://db/x") as urls:
        assert urls.database_url == "postgresql+asyncpg://db/x"
        assert server_names(data_dir) == {"valkey-server"}


def test_failed_start_leaves_nothing_running(data_dir: Path) -> None:
    (data_dir / "valkey").mkdir(parents=True)
    (data_dir / "valkey" / "appendonlydir").write_text("in the way")
    with pytest.raises(ServiceError, match="Valkey does not start"):
        EmbeddedServices(data_dir).start()
    assert servers_in(data_dir) == []
    (data_dir / "valkey" / "appendonlydir").unlink()
    with EmbeddedServices(data_dir):  # the lock has been given up
        pass


def test_half_made_cluster_is_made_anew(data_dir: Path) -> None:
    (data_dir / "postgres.new" / "base").mkdir(parents=True)
    (data_dir / "postgres.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedServices(data_dir):
        assert not (data_dir / "postgres.new").exists()


def test_cluster_of_an_unknown_version_is_refused(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(ServiceError, match="no PostgreSQL 12"):
        EmbeddedServices(data_dir).start()


async def test_killed_run_leaves_no_server_and_next_start_works(data_dir: Path) -> None:
    process, urls = hold(data_dir)
    await ask(urls, "SET", "before", "kill")
    process.send_signal(signal.SIGKILL)
    process.wait()
    if sys.platform == "linux":
        wait_until_none(data_dir)
    with EmbeddedServices(data_dir) as again:
        assert await ask(again, "GET", "before") == "kill"
        assert server_names(data_dir) == {"postgres", "valkey-server"}


async def test_servers_that_outlived_their_run_are_replaced(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without the kernel's signal: nobody holds the lock, both servers are still there."""
    monkeypatch.setattr(children, "_die_with_parent", lambda _: None)
    first = EmbeddedServices(data_dir)
    first.start()
    orphans = {process.pid for process in servers_in(data_dir)}
    assert first._lock_fd is not None
    os.close(first._lock_fd)
    first._lock_fd = None
    with EmbeddedServices(data_dir) as urls:
        assert await query(urls, "SELECT 1") == 1
        assert orphans.isdisjoint(process.pid for process in servers_in(data_dir))
    first.stop()


async def test_killed_servers_are_revived_at_their_address(data_dir: Path) -> None:
    services = EmbeddedServices(data_dir)
    urls = services.start()
    await query(urls, "CREATE TABLE kept (n integer)")
    assert services.revive() == []
    for process in servers_in(data_dir):
        process.kill()
    wait_until_none(data_dir)
    assert services.revive() == ["PostgreSQL", "Valkey"]
    assert await query(urls, "SELECT count(*) FROM kept") == 0
    assert await ask(urls, "PING") is True
    services.stop()
    assert servers_in(data_dir) == []


async def test_stale_postmaster_pid_of_a_living_stranger_does_not_block(data_dir: Path) -> None:
    with EmbeddedServices(data_dir):
        pass
    stale = f"{os.getpid()}\n{data_dir}/postgres\n1\n5432\n\n127.0.0.1\n\nready\n"
    (data_dir / "postgres" / "postmaster.pid").write_text(stale)
    with EmbeddedServices(data_dir) as urls:
        assert await query(urls, "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand the cluster to another account")
def test_root_does_not_run_postgres(data_dir: Path) -> None:
    with EmbeddedServices(data_dir):
        postgres = children.leftovers("postgres", data_dir / "postgres")
        assert postgres
        assert all(process.uids().effective != 0 for process in postgres)
