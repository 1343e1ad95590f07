from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.doctor import app, settings_of
from config.settings import load_settings
from operations.doctor.examine import CHECKS, examine
from operations.doctor.finding import Finding, Installation, Skipped


async def fine(_: Installation) -> Iterator[Finding]:
    return iter([])


async def bad(_: Installation) -> Iterator[Finding]:
    return iter([Finding("it is broken", "mend it")])


async def skipped(_: Installation) -> Iterator[Finding]:
    raise Skipped("it is not here")


async def breaks(_: Installation) -> Iterator[Finding]:
    raise KeyError("redis://:word@x")


async def test_every_check_is_made_whatever_the_others_do() -> None:
    installation = Installation(load_settings(), "http://127.0.0.1:1")
    results = await examine(installation, {"breaks": breaks, "skipped": skipped, "bad": bad, "fine": fine})
    assert [(one.check, one.to_json()["state"]) for one in results] == [
        ("breaks", "found"),
        ("skipped", "skipped"),
        ("bad", "found"),
        ("fine", "ok"),
    ]
    assert "word" not in json.dumps([one.to_json() for one in results])


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Settings of a machine on which nothing runs."""
    monkeypatch.setenv("CHUNKCRAWL_DATABASE_URL", "postgresql://u:word@127.0.0.1:1/x")
    monkeypatch.setenv("CHUNKCRAWL_REDIS_URL", "redis://:word@127.0.0.1:1/0")
    monkeypatch.setenv("CHUNKCRAWL_PORT", "1")
    return tmp_path


def test_on_a_machine_where_nothing_runs_each_finding_has_a_reason_and_a_remedy(nowhere: Path) -> None:
    done = CliRunner().invoke(app, ["--data", str(nowhere), "--json"])
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert [check["check"] for check in told["checks"]] == list(CHECKS)
    found = [finding for check in told["checks"] for finding in check["findings"]]
    assert told["findings"] == len(found) >= 3
    assert all(finding["reason"] and finding["remedy"] for finding in found)
    assert "word" not in done.stdout


def test_a_person_can_read_it(nowhere: Path) -> None:
    done = CliRunner().invoke(app, ["--data", str(nowhere)])
    assert done.exit_code == 1
    assert "database: PostgreSQL does not answer" in done.stdout
    assert "findings." in done.stdout


def test_settings_that_cannot_be_used_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHUNKCRAWL_PORT", "none")
    done = CliRunner().invoke(app, [])
    assert done.exit_code == 2
    assert "CHUNKCRAWL_PORT" in done.stderr


def test_a_running_world_is_found_by_its_data_but_the_environment_goes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CHUNKCRAWL_DATABASE_URL", "CHUNKCRAWL_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    left = {"database_url": "postgresql+asyncpg://left", "redis_url": "redis://left"}
    (tmp_path / "services.json").write_text(json.dumps(left))
    assert settings_of(str(tmp_path)).redis_url == "redis://left"
    monkeypatch.setenv("CHUNKCRAWL_REDIS_URL", "redis://named")
    settings = settings_of(str(tmp_path))
    assert (settings.redis_url, settings.database_url) == ("redis://named", left["database_url"])
