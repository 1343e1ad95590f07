"""Settings: where they come from, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from config.settings import DEV_ORIGIN, DEV_SECRET, Settings, SettingsError, load_settings, raw_setting

SECRET = "s" * 32

pytestmark = pytest.mark.usefixtures("no_environment")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("session_ttl_s", 900),
        ("challenge_ttl_s", 5),
        ("challenge_record_ttl_s", 10),
        ("chat_interval_s", 2),
        ("replay_window_ticks", 300),
        ("heartbeat_s", 15),
        ("collect_idle_s", 60),
        ("dead_after_s", 40),
        ("late_ticks_max", 5),
        ("revoke_within_s", 5),
        ("drain_s", 15),
        ("grace_s", 30),
        ("tick_hz", 5),
        ("difficulty_start", 2),
        ("auth_failures_max", 5),
        ("auth_cooldown_s", 30),
    ],
)
def test_defaults_are_the_contracts(name: str, value: int) -> None:
    assert getattr(Settings(), name) == value


def test_environment_is_read_and_arguments_go_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHUNKCRAWL_PORT", "9001")
    monkeypatch.setenv("CHUNKCRAWL_SHARDS", "3")
    settings = load_settings(port=9002, shards=None)
    assert (settings.port, settings.shards) == (9002, 3)


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHUNKCRAWL_TRUSTED_PROXIES", "10.0.0.1, 10.1.0.0/16,")
    assert load_settings().trusted_proxies == ("10.0.0.1", "10.1.0.0/16")


def test_secrets_may_lie_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chunkcrawl_secret_pepper").write_text(f"{SECRET}\n")
    (tmp_path / "chunkcrawl_redis_url").write_text("redis://from-file/0\n")
    monkeypatch.setenv("CHUNKCRAWL_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("CHUNKCRAWL_REDIS_URL", "redis://from-environment/0")
    settings = load_settings()
    assert settings.secret_pepper == SECRET
    assert settings.redis_url == "redis://from-environment/0"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgres://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql+asyncpg://h/d", "postgresql+asyncpg://h/d"),
        ("", ""),
    ],
)
def test_database_url_gets_the_driver(given: str, kept: str) -> None:
    assert load_settings(database_url=given).database_url == kept


@pytest.mark.parametrize(
    ("overrides", "variable"),
    [
        ({"port": 0}, "CHUNKCRAWL_PORT"),
        ({"port": "http"}, "CHUNKCRAWL_PORT"),
        ({"environment": "production"}, "CHUNKCRAWL_ENVIRONMENT"),
        ({"database_url": "mysql://h/d"}, "CHUNKCRAWL_DATABASE_URL"),
        ({"redis_url": "http://h"}, "CHUNKCRAWL_REDIS_URL"),
        ({"redis_url": "redis+sentinel://h/master"}, "CHUNKCRAWL_REDIS_URL"),
        ({"database_url": "postgres://h/d?pgbouncer=true"}, "CHUNKCRAWL_DATABASE_URL"),
        ({"host": ""}, "CHUNKCRAWL_HOST"),
        ({"ray_address": "ray://h:10001"}, "CHUNKCRAWL_RAY_ADDRESS"),
        ({"ray_address": "h"}, "CHUNKCRAWL_RAY_ADDRESS"),
        ({"ray_address": ":6379"}, "CHUNKCRAWL_RAY_ADDRESS"),
        ({"ray_address": ""}, "CHUNKCRAWL_RAY_ADDRESS"),
        ({"challenge_record_ttl_s": 4}, "CHUNKCRAWL_CHALLENGE_RECORD_TTL_S"),
        ({"dead_after_s": 15}, "CHUNKCRAWL_DEAD_AFTER_S"),
        ({"environment": "prod"}, "CHUNKCRAWL_SECRET_PEPPER"),
        ({"environment": "prod", "secret_pepper": "short"}, "CHUNKCRAWL_SECRET_PEPPER"),
        ({"environment": "prod", "secret_pepper": DEV_SECRET}, "CHUNKCRAWL_SECRET_PEPPER"),
        ({"environment": "prod", "secret_pepper": SECRET, "demo": True}, "CHUNKCRAWL_DEMO"),
    ],
)
def test_unusable_settings_are_named_by_their_variable(overrides: dict[str, Any], variable: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**overrides)
    assert str(caught.value).startswith(variable)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["missing", "file", "binary", "slip"])
def test_a_directory_of_secrets_with_something_wrong_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    place = tmp_path / "secrets"
    if kind == "file":
        place.write_text(SECRET)
    elif kind != "missing":
        place.mkdir()
        name, content = {
            "binary": ("chunkcrawl_redis_url", b"\xff\xfe" + SECRET.encode()),
            "slip": ("chunkcrawl_secret_peper", SECRET.encode()),
        }[kind]
        (place / name).write_bytes(content)
        (place / "chunkcrawl_secret_pepper.bak").write_text(SECRET)
    monkeypatch.setenv("CHUNKCRAWL_SECRETS_DIR", str(place))
    for read in (load_settings, lambda: raw_setting("redis_url")):
        with pytest.raises(SettingsError, match="^CHUNKCRAWL_SECRETS_DIR: ") as caught:
            read()
        assert SECRET not in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
    if kind == "slip":
        assert str(caught.value).endswith("the nearest is chunkcrawl_secret_pepper")


def test_one_setting_alone_is_read_as_all_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert raw_setting("redis_url") == ""
    (tmp_path / "chunkcrawl_redis_url").write_text("redis://from-file/0\n")
    monkeypatch.setenv("CHUNKCRAWL_SECRETS_DIR", str(tmp_path))
    assert (raw_setting("redis_url"), raw_setting("data_dir")) == ("redis://from-file/0", "")
    monkeypatch.setenv("CHUNKCRAWL_REDIS_URL", "redis://from-environment/0")
    assert raw_setting("redis_url") == "redis://from-environment/0"


def test_errors_do_not_show_what_was_given() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(database_url="mysql://user:hunter2@h/d", environment="prod", secret_pepper="hunter3")
    assert "hunter" not in str(caught.value)


def test_secrets_are_not_in_the_repr() -> None:
    settings = load_settings(
        secret_pepper="hunter2" * 5, redis_url="redis://:hunter2@h/0", database_url="postgres://hunter2@h"
    )
    assert "hunter2" not in repr(settings)


def test_prod_has_no_demo_and_no_development_origin() -> None:
    prod = load_settings(environment="prod", secret_pepper=SECRET, cors_origins="https://a.example")
    assert not prod.demo_enabled
    assert prod.allowed_origins == ("https://a.example",)
    dev = load_settings(cors_origins="https://a.example")
    assert dev.demo_enabled
    assert dev.allowed_origins == ("https://a.example", DEV_ORIGIN)
    assert not load_settings(demo=False).demo_enabled


def test_settings_reach_a_worker_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(port=9001, cors_origins="https://a.example")
    packed = pickle.dumps(settings)
    monkeypatch.setenv("CHUNKCRAWL_PORT", "9002")  # the worker's own environment does not count
    assert pickle.loads(packed) == settings


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_settings_of_another_release_are_taken_up_with_defaults_for_what_it_did_not_know() -> None:
    import copy

    sent = Settings(shards=5)
    state = copy.deepcopy(sent.__getstate__())
    del state["__dict__"]["gateways_max"]
    state["__dict__"]["of_a_newer_release"] = 1
    taken = Settings.__new__(Settings)
    taken.__setstate__(state)
    assert (taken.shards, taken.gateways_max) == (5, Settings().gateways_max)
    assert pickle.loads(pickle.dumps(sent)) == sent
