"""Finding ``pg_dump``, and what its command line shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from operations import pg_tools
from operations.pg_tools import PgToolError, connection_words, execute, find

URL = "postgresql+asyncpg://me:p%40ss@db.example:6543/game"


def fake(directory: Path, version: str) -> str:
    path = directory / f"pg_dump-{version}"
    path.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found = [fake(tmp_path, version) for version in ("18.4", "15.18 (Debian 15.18-0)", "16.14", "16.2", "17beta1")]
    broken = tmp_path / "pg_dump-broken"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(pg_tools, "_candidates", lambda name: iter([*found, str(broken), str(tmp_path / "none")]))
    return found


@pytest.mark.parametrize(
    ("server", "version"), [(14, (15, 18)), (15, (15, 18)), (16, (16, 14)), (17, (17, 0)), (18, (18, 4))]
)
async def test_the_oldest_that_is_not_older_than_the_server(
    at_hand: list[str], server: int, version: tuple[int, int]
) -> None:
    assert (await find("pg_dump", server)).version == version


async def test_none_that_fits(at_hand: list[str]) -> None:
    with pytest.raises(PgToolError, match=r"no pg_dump for PostgreSQL 19: .*is 18\.4.*postgresql-client"):
        await find("pg_dump", 19)


async def test_the_wheel_has_what_its_servers_need() -> None:
    assert (await find("pg_dump", 16)).major >= 16
    assert (await find("pg_dump", 18)).major == 18


def test_the_password_is_in_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    words, environment = connection_words(URL + "?ssl=require")
    assert words == ["--no-password", "--dbname=game", "--host=db.example", "--port=6543", "--username=me"]
    assert environment["PGPASSWORD"] == "p@ss"
    assert environment["PGSSLMODE"] == "require"
    assert "PGHOST" not in environment


async def test_a_failure_says_what_the_program_said() -> None:
    with pytest.raises(PgToolError, match=r"sh failed \(3\): no luck"):
        await execute(["/bin/sh", "-c", "echo no luck >&2; exit 3"])
    with pytest.raises(PgToolError, match="sh was ended by signal 9"):
        await execute(["/bin/sh", "-c", "kill -9 $$"])
