"""Kept accounts: private, whole, per server."""

from __future__ import annotations

from pathlib import Path

import pytest

from chunkcrawl.transport.credentials import Credentials, CredentialsFile, config_dir

BASE = "http://127.0.0.1:8000"


def test_what_was_saved_is_loaded_per_server(tmp_path: Path) -> None:
    file = CredentialsFile(tmp_path / "deep" / "c.json")
    file.save(BASE + "/", Credentials(email="a@example.com", api_key="dcw_1"))
    file.save("http://other", Credentials(api_key="dcw_2"))
    again = CredentialsFile(tmp_path / "deep" / "c.json")
    assert again.load(BASE).api_key == "dcw_1"
    assert again.load("http://OTHER").api_key == "dcw_2"
    assert again.load("http://third") == Credentials()


def test_file_and_directory_are_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "dir" / "c.json"
    CredentialsFile(path).save(BASE, Credentials(api_key="dcw_1"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [found.name for found in path.parent.iterdir()] == ["c.json"]


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    file = CredentialsFile(tmp_path / "c.json")
    file.save(BASE, Credentials(api_key="dcw_1"))
    file.path.chmod(0o644)
    assert file.load(BASE).api_key == "dcw_1"
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("not json")
    with pytest.raises(ValueError, match="no credentials file"):
        CredentialsFile(path).save(BASE, Credentials(api_key="dcw_1"))
    assert path.read_text() == "not json"


def test_a_representation_hides_the_secrets() -> None:
    kept = Credentials("a@example.com", "acc", "hidden", "hidden", "key", "hidden")
    assert "hidden" not in repr(kept)


def test_the_directory_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHUNKCRAWL_CONFIG_DIR", str(tmp_path))
    assert config_dir() == tmp_path
    monkeypatch.delenv("CHUNKCRAWL_CONFIG_DIR")
    assert config_dir().name == "chunkcrawl"
