"""Names of variables: one with a slip is refused with the nearest, what others read is left alone."""

from __future__ import annotations

import re

import pytest

from config.settings import Settings, SettingsError, load_settings
from config.variables import unknown_names
from tests.docs.blocks import ROOT

pytestmark = pytest.mark.usefixtures("no_environment")

_VARIABLE = re.compile(r"\bCHUNKCRAWL_[A-Z0-9_]*[A-Z0-9]\b")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("CHUNKCRAWL_ENVIRONMNET", "the nearest is CHUNKCRAWL_ENVIRONMENT"),
        ("chunkcrawl_prot", "the nearest is CHUNKCRAWL_PORT"),
        ("CHUNKCRAWL_APIKEY", "the nearest is CHUNKCRAWL_API_KEY"),
        ("CHUNKCRAWL_QQQQQQ", "README.md lists all"),
    ],
)
def test_a_name_with_a_slip_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch, name: str, says: str) -> None:
    monkeypatch.setenv(name, "prod")
    with pytest.raises(SettingsError, match=f"^{name}: there is no such variable; {says}$"):
        load_settings()


def test_what_others_read_is_no_slip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHUNKCRAWL_API_KEY", "dcw_x")
    monkeypatch.setenv("CHUNKCRAWL_SITE", ":80")
    # As Kubernetes has it in each container beside services called chunkcrawl-redis and chunkcrawl-web.
    monkeypatch.setenv("CHUNKCRAWL_REDIS_PORT", "tcp://10.0.0.1:6379")
    monkeypatch.setenv("CHUNKCRAWL_WEB_PORT_8000_TCP_ADDR", "10.0.0.1")
    monkeypatch.setenv("CHUNKCRAWL_WEB_SERVICE_PORT_HTTP", "8000")
    assert load_settings().port == 8000
    monkeypatch.setenv("CHUNKCRAWL_PORT", "tcp://10.0.0.1:8000")
    with pytest.raises(SettingsError, match="^CHUNKCRAWL_PORT: must be a number; .*enableServiceLinks: false$"):
        load_settings()


def test_every_variable_that_we_read_is_known() -> None:
    """A new one belongs into ``config.variables.OTHERS`` when it is no setting."""
    rooms = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in ("tests", "docs", "web", "build")]
    files = [path for room in rooms if room.name[0] != "." for path in room.rglob("*") if path.is_file()]
    files = [path for path in (*files, *ROOT.glob("*.yaml")) if path.suffix in (".py", "", ".yml", ".yaml")]
    found = {name for file in files for name in _VARIABLE.findall(file.read_text(errors="ignore"))}
    assert len(found) > 10
    assert unknown_names(dict.fromkeys(found, ""), Settings.model_fields) == []
