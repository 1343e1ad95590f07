"""Backups: made while the game runs, broken off at every point, checked to the last byte."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cluster.archiver import Archiver
from cluster.backup_age import read_age
from cluster.graph import init_world
from cluster.local import LocalWorld
from cluster.snapshots import Snapshotter
from operations import backup as module
from operations import backup_files
from operations.backup import make_backup, verify_backup
from operations.backup_files import FILES, MANIFEST, SUMS, WORLD, BackupError, Manifest
from store.engine import make_engine
from tests.cluster.lasting import KEEP, QUICK, RULES, empty_redis, playing
from tests.cluster.worlds import until
from tests.store.rows import new_account, new_key


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    async with empty_redis(valkey_url) as client:
        await init_world(client, seed=1, shard_count=2)
        yield client


@pytest.fixture
async def engine(fresh_postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(fresh_postgres_url)
    yield engine
    await engine.dispose()


async def test_a_backup_of_a_system_that_plays_is_whole(
    redis: Redis, engine: AsyncEngine, fresh_postgres_url: str, tmp_path: Path
) -> None:
    account = await new_account(engine, "müller@example.com")
    await new_key(engine, account, label="鍵 🔑")
    async with LocalWorld(redis, shards=2, rules=RULES, config=QUICK) as world, playing(world, 6):
        await asyncio.sleep(0.5)
        await Archiver(redis, engine).drain()
        await Snapshotter(redis, engine, keep=KEEP).look()
        await asyncio.sleep(0.5)  # facts that no archiver has taken
        made = await make_backup(redis, fresh_postgres_url, tmp_path / "b")
    manifest = (await verify_backup(tmp_path / "b")).manifest
    assert manifest == made.manifest
    assert manifest.tables["accounts"].rows == 1
    assert manifest.tables["event_logs"].rows >= 6
    assert manifest.counts["facts"] > 0
    assert manifest.counts["agents_in_world"] == 6
    assert names(tmp_path) == ["b"]
    age = await read_age(redis)
    assert age is not None
    assert age < 60
    assert made.bytes == check_as_an_operator(tmp_path / "b")


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def check_as_an_operator(directory: Path) -> int:
    """The sums by a program that knows nothing of us, and who may read the files; returns their size."""
    subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=directory, check=True)
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
    assert directory.stat().st_mode & 0o777 == 0o700
    return sum(path.stat().st_size for path in directory.iterdir())


async def test_no_secret_of_a_session_is_in_it(redis: Redis, fresh_postgres_url: str, tmp_path: Path) -> None:
    secrets = {"sess:abc": "SECRET-cmd", "chal:1": "SECRET-nonce", "jti:x": "SECRET-jti", "conn:a": "SECRET-channel"}
    for key, value in secrets.items():
        await redis.hset(key, mapping={"secret": value})
    await make_backup(redis, fresh_postgres_url, tmp_path / "b")
    with gzip.open(tmp_path / "b" / WORLD) as file:
        lines = file.read()
    assert b"chunk-0" in lines
    assert b"SECRET" not in lines


async def test_the_password_is_on_no_command_line(
    redis: Redis, engine: AsyncEngine, fresh_postgres_url: str, tmp_path: Path
) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE"))
        backing = asyncio.create_task(make_backup(redis, fresh_postgres_url, tmp_path / "b"))
        dumping = await pg_dump_that_waits(engine)
        words = " ".join(dumping.cmdline())
    assert str(engine.url.password) not in words
    await backing


# -- broken off --


async def pg_dump_that_waits(engine: AsyncEngine) -> psutil.Process:
    """Our ``pg_dump``, once it waits for a lock: in the middle of its work, and staying there."""

    async def waits() -> psutil.Process | None:
        async with engine.connect() as connection:
            waiting = await connection.scalar(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump'"
                    " AND wait_event_type = 'Lock' AND datname = current_database()"
                )
            )
        ours = [child for child in psutil.Process().children() if child.name() == "pg_dump"]
        return ours[0] if waiting and ours else None

    found: psutil.Process = await until(waits, "pg_dump waits for a lock")
    return found


async def test_pg_dump_killed_in_the_middle(
    redis: Redis, engine: AsyncEngine, fresh_postgres_url: str, tmp_path: Path
) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE"))
        backing = asyncio.create_task(make_backup(redis, fresh_postgres_url, tmp_path / "b"))
        (await pg_dump_that_waits(engine)).send_signal(signal.SIGKILL)
        with pytest.raises(BackupError, match="pg_dump was ended by signal 9"):
            await backing
    assert names(tmp_path) == []
    assert await read_age(redis) is None
    await make_backup(redis, fresh_postgres_url, tmp_path / "b")
    await verify_backup(tmp_path / "b")


async def test_cancelled_it_leaves_neither_name_nor_process(
    redis: Redis, engine: AsyncEngine, fresh_postgres_url: str, tmp_path: Path
) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE"))
        backing = asyncio.create_task(make_backup(redis, fresh_postgres_url, tmp_path / "b"))
        dumping = await pg_dump_that_waits(engine)
        backing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await backing
    assert not dumping.is_running()
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", [*FILES, SUMS])
async def test_a_full_disk_at_each_file(
    redis: Redis, fresh_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = os.fsync

    def full(fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(name):
            raise OSError(28, "No space left on device")
        real(fd)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        await make_backup(redis, fresh_postgres_url, tmp_path / "b")
    assert names(tmp_path) == []


async def test_what_a_killed_backup_left_is_written_anew(redis: Redis, fresh_postgres_url: str, tmp_path: Path) -> None:
    partial = tmp_path / "b.partial"
    partial.mkdir()
    (partial / WORLD).write_bytes(b"half")
    with pytest.raises(BackupError, match="broke off"):
        await verify_backup(partial)
    await make_backup(redis, fresh_postgres_url, tmp_path / "b")
    await verify_backup(tmp_path / "b")
    assert not partial.exists()


async def test_nothing_is_written_over(redis: Redis, fresh_postgres_url: str, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(BackupError, match="never written over"):
        await make_backup(redis, fresh_postgres_url, tmp_path / "b")
    (tmp_path / "c.partial").mkdir()
    (tmp_path / "c.partial" / "thesis.txt").write_text("mine")
    with pytest.raises(BackupError, match=r"thesis\.txt"):
        await make_backup(redis, fresh_postgres_url, tmp_path / "c")
    assert (tmp_path / "c.partial" / "thesis.txt").read_text() == "mine"


async def test_two_backups_to_one_name(redis: Redis, fresh_postgres_url: str, tmp_path: Path) -> None:
    results = await asyncio.gather(
        *(make_backup(redis, fresh_postgres_url, tmp_path / "b") for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results].count(BackupError) == 2
    await verify_backup(tmp_path / "b")


async def test_without_a_world_there_is_no_backup(redis: Redis, fresh_postgres_url: str, tmp_path: Path) -> None:
    await redis.flushall()
    with pytest.raises(BackupError, match="no world"):
        await make_backup(redis, fresh_postgres_url, tmp_path / "b")
    assert names(tmp_path) == []


async def test_without_a_fitting_pg_dump_it_says_what_to_install(
    redis: Redis, fresh_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def newer(_: object) -> int:
        return 99

    monkeypatch.setattr(module, "server_major", newer)
    with pytest.raises(BackupError, match=r"no pg_dump for PostgreSQL 99: .*Install"):
        await make_backup(redis, fresh_postgres_url, tmp_path / "b")


# -- checking --


@pytest.fixture(scope="module")
def made_backup(valkey_url: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a world without anybody, made once."""
    directory = tmp_path_factory.mktemp("made") / "b"

    async def make() -> None:
        async with empty_redis(valkey_url) as redis:
            await init_world(redis, seed=1, shard_count=2)
            engine = make_engine(postgres_url)
            await new_account(engine)
            await engine.dispose()
            await make_backup(redis, postgres_url, directory)

    asyncio.run(make())
    return directory


@pytest.fixture
def whole_backup(made_backup: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_backup, tmp_path / "b"))


@pytest.mark.parametrize("where", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("name", [*FILES, SUMS])
async def test_a_flipped_bit_is_found(whole_backup: Path, name: str, where: float) -> None:
    path = whole_backup / name
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 1
    path.write_bytes(data)
    with pytest.raises(BackupError):
        await verify_backup(whole_backup)


@pytest.mark.parametrize("name", [*FILES, SUMS])
async def test_a_missing_or_cut_file_is_found(whole_backup: Path, name: str) -> None:
    path = whole_backup / name
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(BackupError):
        await verify_backup(whole_backup)
    path.unlink()
    with pytest.raises(BackupError):
        await verify_backup(whole_backup)


def sign_anew(directory: Path) -> None:
    """Sums that fit again: the content alone is wrong."""
    (directory / SUMS).unlink()
    backup_files._write_sums(directory)


async def test_a_world_that_does_not_fit_the_manifest_is_found(whole_backup: Path) -> None:
    manifest = backup_files.read_manifest(whole_backup)
    (whole_backup / MANIFEST).write_bytes(replace(manifest, counts=manifest.counts | {"chunks": 7}).to_json())
    sign_anew(whole_backup)
    with pytest.raises(BackupError, match="the manifest says"):
        await verify_backup(whole_backup)


async def test_a_world_that_is_not_whole_is_found(whole_backup: Path) -> None:
    dump = backup_files.read_world(whole_backup)
    dump.chunks["chunk-0"].fields["N"] = "chunk-1"
    (whole_backup / WORLD).unlink()
    backup_files.write_world(whole_backup / WORLD, dump)
    sign_anew(whole_backup)
    with pytest.raises(BackupError, match="one_sided_link"):
        await verify_backup(whole_backup)


async def test_a_dump_without_a_table_is_found(whole_backup: Path) -> None:
    manifest = backup_files.read_manifest(whole_backup)
    tables = manifest.tables | {"strangers": manifest.tables["accounts"]}
    (whole_backup / MANIFEST).write_bytes(replace(manifest, tables=tables).to_json())
    sign_anew(whole_backup)
    with pytest.raises(BackupError, match="no table strangers"):
        await verify_backup(whole_backup)


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
@pytest.mark.parametrize("name", [*FILES, SUMS])
async def test_only_regular_files_are_opened(whole_backup: Path, tmp_path: Path, name: str, kind: str) -> None:
    """A link leads to what its maker can't read, a pipe holds a nightly check up for ever."""
    path = whole_backup / name
    path.rename(tmp_path / "elsewhere")
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(BackupError, match=f"{name} (can't be read|is no regular file)"):
        await asyncio.wait_for(verify_backup(whole_backup), 10)


async def test_sums_of_other_files_are_refused(whole_backup: Path) -> None:
    with (whole_backup / SUMS).open("a") as file:
        file.write(f"{'0' * 64}  ../../../etc/passwd\n")
    with pytest.raises(BackupError, match="nothing else"):
        await verify_backup(whole_backup)


@pytest.mark.parametrize("line", [b" " * (1 << 20), b"{}" + b" " * (1 << 16) + b"\n"])
async def test_a_world_packed_to_fill_the_memory(whole_backup: Path, line: bytes) -> None:
    first = gzip.decompress((whole_backup / WORLD).read_bytes())
    with gzip.open(whole_backup / WORLD, "wb", 9) as file:
        file.write(first)
        for _ in range((200 << 20) // len(line)):
            file.write(line)
    sign_anew(whole_backup)
    with pytest.raises(BackupError, match="longer than|unpacks to more|not a dump"):
        await verify_backup(whole_backup)


async def test_a_manifest_without_end(whole_backup: Path) -> None:
    with (whole_backup / MANIFEST).open("ab") as file:
        file.write(b" " * (2 << 20))
    sign_anew(whole_backup)
    with pytest.raises(BackupError, match="longer than"):
        await verify_backup(whole_backup)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"format":1}', b'{"format":2}', b"\xff", b"null"])
def test_other_manifests_are_refused(data: bytes) -> None:
    with pytest.raises(BackupError):
        Manifest.from_json(data)
