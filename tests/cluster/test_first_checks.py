"""What ``chunkcrawl up`` finds out before it starts anything, each in a line that names the variable."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from redis.asyncio import Redis

from cluster import first_checks
from cluster.first_checks import check_directories, check_ray_address, check_stores
from config.settings import load_settings
from embedded.children import ServiceError, free_port

SECRET = "hunter2"


@pytest.mark.parametrize("name", ["log_dir", "record_dir"])
def test_a_directory_that_can_not_be_written_to(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ServiceError, match=f"^CHUNKCRAWL_{name.upper()}: {place} can't be used"):
            check_directories(load_settings(**{name: str(place)}))
    check_directories(load_settings(**{name: str(tmp_path / "new" / "one")}))
    assert (tmp_path / "new" / "one").is_dir()


def test_a_ray_cluster_that_is_not_there() -> None:
    for address in ("local", "auto"):
        check_ray_address(address)
    with pytest.raises(ServiceError, match=r"^CHUNKCRAWL_RAY_ADDRESS: no Ray cluster answers at 127\.0\.0\.1"):
        check_ray_address(f"127.0.0.1:{free_port()}")


async def test_servers_that_answer(postgres_url: str, valkey_url: str) -> None:
    await check_stores(load_settings(database_url=postgres_url, redis_url=valkey_url))


@pytest.mark.parametrize("fault", ["dead", "account", "database", "name", "certificate"])
async def test_a_database_that_can_not_be_used(postgres_url: str, valkey_url: str, fault: str) -> None:
    url = {
        "dead": f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/d",
        "account": postgres_url.replace("//chunkcrawl:", f"//nobody:{SECRET}"),
        "database": postgres_url + "_not_there",
        "name": f"postgresql://u:{SECRET}@nohost.invalid/d",
        "certificate": f"postgresql://u:{SECRET}@h/d?sslmode=verify-full&sslrootcert=/not/there",
    }[fault]
    with pytest.raises(ServiceError, match="^CHUNKCRAWL_DATABASE_URL: PostgreSQL can't be used: .") as caught:
        await check_stores(load_settings(database_url=url, redis_url=valkey_url))
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("fault", ["dead", "account", "name", "cluster"])
async def test_a_redis_that_can_not_be_used(
    postgres_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    url = {
        "dead": f"redis://:{SECRET}@127.0.0.1:{free_port()}",
        "account": f"redis://:{SECRET}@{valkey_url.rpartition('@')[2]}",
        "name": f"redis://:{SECRET}@nohost.invalid",
        "cluster": valkey_url,
    }[fault]
    if fault == "cluster":

        async def info(self: Redis, section: str) -> dict[str, int]:
            return {"cluster_enabled": 1}

        monkeypatch.setattr(Redis, "info", info)
    with pytest.raises(ServiceError, match="^CHUNKCRAWL_REDIS_URL: ") as caught:
        await check_stores(load_settings(database_url=postgres_url, redis_url=url))
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_a_server_that_says_nothing_is_not_waited_for(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_checks, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/d"
        with pytest.raises(ServiceError, match="PostgreSQL does not answer within 0 s"):
            await check_stores(load_settings(database_url=url, redis_url=valkey_url))
