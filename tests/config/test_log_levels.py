from __future__ import annotations

import pytest

from config.log_levels import LevelTable, parse_levels


def test_levels_are_read_with_or_without_spaces() -> None:
    assert parse_levels("") == {}
    assert parse_levels(" api=warning, streaming.hub = debug ,") == {"api": 30, "streaming.hub": 10}


@pytest.mark.parametrize(
    "text", ["api", "api=", "=debug", "api=loud", "api=debug=info", "a b=info", "api.=info", "x;y=info"]
)
def test_what_is_no_level_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be like"):
        parse_levels(text)


def test_the_longest_part_of_a_name_counts() -> None:
    table = LevelTable(30, {"streaming": 20, "streaming.hub": 10})
    assert [table.of(name) for name in ("streaming.hub.x", "streaming.hubs", "streaming", "api", "")] == [
        10,
        20,
        20,
        30,
        30,
    ]
    assert table.least == 10
