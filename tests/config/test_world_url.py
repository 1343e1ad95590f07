"""The name of a world in the URL of its Redis."""

from __future__ import annotations

import pytest

from config.settings import SettingsError, load_settings
from config.world_url import split_world
from streaming.connect import connect


def test_the_name_is_taken_out_of_the_url() -> None:
    assert split_world("redis://:p%40@h:1/2?world=blue&db=3") == ("redis://:p%40@h:1/2?db=3", "blue")
    assert split_world("redis://h/0") == ("redis://h/0", "")
    assert split_world("unix:///run/redis.sock?db=1&world=a") == ("unix:///run/redis.sock?db=1", "a")


@pytest.mark.parametrize("name", ["", "Blue", "a b", "a:b", "a*", "x" * 33, "é", "a&world=b"])
def test_names_are_plain(name: str) -> None:
    url = f"redis://:secret@127.0.0.1:1/0?world={name}"
    with pytest.raises(ValueError, match="not one name"):
        connect(url)
    with pytest.raises(SettingsError, match="^CHUNKCRAWL_REDIS_URL: world= is not one name") as refused:
        load_settings(redis_url=url)
    assert "secret" not in str(refused.value)
