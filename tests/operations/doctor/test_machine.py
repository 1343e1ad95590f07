from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from config.settings import Settings, load_settings
from operations.doctor import machine
from operations.doctor.finding import Installation, Skipped
from operations.doctor.machine import enough_files, package_fits

GIB = 1024**3


def installation(**settings: object) -> Installation:
    return Installation(load_settings(**settings), "http://127.0.0.1:1")


async def reasons(settings: Mapping[str, object]) -> list[str]:
    return [finding.reason for finding in await machine.secrets(installation(**settings))]


@pytest.mark.parametrize(
    ("requirement", "found"),
    [
        ("typer", 0),
        ("typer>=0.1", 0),
        ("typer>=99", 1),
        ("no-such-package-of-ours", 1),
        ("no-such-package-of-ours; sys_platform == 'win32'", 0),
        ("no-such-package-of-ours; extra == 'dev'", 0),
        ("not a requirement !", 0),
    ],
)
def test_packages_are_compared_with_what_is_asked_for(requirement: str, found: int) -> None:
    assert len(list(package_fits(requirement))) == found


async def test_this_very_environment_has_what_is_asked_for() -> None:
    assert list(await machine.versions(installation())) == []


@pytest.mark.parametrize(("version", "found"), [((3, 10), 1), ((3, 11), 0), ((3, 13), 0), ((3, 14), 1)])
def test_pythons(version: tuple[int, int], found: int) -> None:
    assert len(list(machine._python(version))) == found


@pytest.mark.parametrize(
    ("total", "free", "found"),
    [(100 * GIB, 50 * GIB, 0), (100 * GIB, 1 * GIB, 1), (4 * GIB, 1 * GIB, 0), (1 * GIB, GIB // 8, 1)],
)
def test_room_on_the_disk(total: int, free: int, found: int) -> None:
    assert len(list(machine._room(Path("/x"), total, free))) == found


async def test_a_disk_of_another_machine_is_not_judged(tmp_path: Path) -> None:
    with pytest.raises(Skipped):
        await machine.disk(installation(data_dir=str(tmp_path / "none")))
    assert list(await machine.disk(installation(data_dir=str(tmp_path)))) == []


@pytest.mark.parametrize(("limit", "found"), [(1024, 1), (8192, 0), (1_048_576, 0), (-1, 0)])
def test_open_files(limit: int, found: int) -> None:
    assert len(list(enough_files("gateway-0", limit))) == found


async def test_a_developers_machine_has_no_open_doors() -> None:
    assert await reasons({}) == []


async def test_development_settings_before_strangers_are_found() -> None:
    found = await reasons({"host": "0.0.0.0"})
    assert len(found) == 2
    assert "dev routes" in found[0]
    assert "pepper" in found[1]


async def test_prod_with_everything_set_is_in_order() -> None:
    good = {
        "environment": "prod",
        "host": "0.0.0.0",
        "secret_pepper": "p" * 32,
        "metrics_token": "m" * 32,
        "redis_url": "redis://:word@redis:6379/0",
        "database_url": "postgresql://u:word@db/x",
    }
    assert await reasons(good) == []
    assert len(await reasons(good | {"metrics_token": ""})) == 1
    assert len(await reasons(good | {"redis_url": "redis://redis:6379/0", "database_url": "postgresql://u@db/x"})) == 2
    assert len(await reasons(good | {"redis_url": "redis://127.0.0.1:6379/0"})) == 0


async def test_secret_files_that_everybody_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "chunkcrawl_secret_pepper"
    path.write_text("p" * 32)
    monkeypatch.setenv("CHUNKCRAWL_SECRETS_DIR", str(tmp_path))
    path.chmod(0o644)
    [finding] = await machine.secrets(Installation(Settings(), "http://127.0.0.1:1"))
    assert str(path) in finding.reason
    path.chmod(0o600)
    assert list(await machine.secrets(Installation(Settings(), "http://127.0.0.1:1"))) == []


async def test_a_data_directory_that_everybody_writes_to(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    [reason] = await reasons({"data_dir": str(tmp_path)})
    assert "can write to the data directory" in reason
    os.chmod(tmp_path, 0o755)
    assert await reasons({"data_dir": str(tmp_path)}) == []


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("redis", False)]
)
def test_what_is_local(host: str, local: bool) -> None:
    assert machine.is_local(host) is local
