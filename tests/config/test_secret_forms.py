"""Secrets of ours are known by their form, wherever they stand; other ids are left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from api.accounts.tokens import new_account_token, new_api_key, new_cmd_secret, new_jti, new_session_token
from config.secret_forms import HIDDEN, hide_secrets_in, holds_secret


@pytest.mark.parametrize("make", [new_session_token, new_account_token, new_cmd_secret, lambda: new_api_key().plain])
def test_a_secret_is_found_wherever_it_stands(make: Callable[[], str]) -> None:
    for _ in range(200):
        secret = make()
        assert hide_secrets_in(f'agent "{secret}", x') == f'agent "{HIDDEN}", x'
        assert holds_secret(f"trace:{secret}")


@pytest.mark.parametrize(
    "text",
    [
        "4bf92f3577b34da6a3ce929d0e0e4736",  # a W3C trace id, a UUID, an id of ours, names that people give
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "8f14e45f-ceea-467f-ad0c-8c3b2b9d9a11",
        pytest.param(new_jti(), id="jti"),
        "dcw_0123456789ab",
        "sess_1",
        "my-very-long-agent-name-with-43-characters",
        "Agent.Of.The.Very-Long-Name" * 3,
        "chunk-12:345:0:6789",
        "dev-0123456789abcdef",
    ],
)
def test_what_is_no_secret_is_left(text: str) -> None:
    assert hide_secrets_in(text) == text
    assert not holds_secret(text)
