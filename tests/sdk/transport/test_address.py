"""Where the server is when nobody says."""

from __future__ import annotations

import pytest

from chunkcrawl.transport.address import checked_base, default_base


@pytest.mark.parametrize(
    ("environment", "base"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"CHUNKCRAWL_PORT": "9001"}, "http://127.0.0.1:9001"),
        ({"CHUNKCRAWL_PORT": "9001", "CHUNKCRAWL_BASE": "https://w.example/game/"}, "https://w.example/game"),
        ({"CHUNKCRAWL_HOST": "0.0.0.0"}, "http://127.0.0.1:8000"),
        ({"CHUNKCRAWL_HOST": "::", "CHUNKCRAWL_PORT": "1"}, "http://[::1]:1"),
        ({"CHUNKCRAWL_HOST": "10.0.0.7", "CHUNKCRAWL_BASE": ""}, "http://10.0.0.7:8000"),
    ],
)
def test_the_environment_says_where(environment: dict[str, str], base: str) -> None:
    assert default_base(environment) == base


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({"CHUNKCRAWL_PORT": "tcp://10.0.0.1:8000"}, "CHUNKCRAWL_PORT"),
        ({"CHUNKCRAWL_PORT": "99999"}, "CHUNKCRAWL_PORT"),
        ({"CHUNKCRAWL_BASE": "w.example"}, "CHUNKCRAWL_BASE"),
    ],
)
def test_what_can_not_be_used_is_named(environment: dict[str, str], variable: str) -> None:
    with pytest.raises(ValueError, match=f"^{variable}: "):
        default_base(environment)


@pytest.mark.parametrize(
    "base", ["", "w.example", "ftp://w.example", "http://", "http://h:port", "http://h:0", "http://a b"]
)
def test_no_address(base: str) -> None:
    with pytest.raises(ValueError, match="an address like"):
        checked_base(base)
