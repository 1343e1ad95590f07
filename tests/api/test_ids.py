from __future__ import annotations

from collections.abc import Callable

import pytest

from api.accounts.tokens import new_account_token, new_api_key, new_cmd_secret, new_session_token
from api.ids import is_agent_id, is_chunk_id, is_cmd_id, trace_id_or_new

BAD = ["", "a b", "a|b", "a\n", "a\n ", "\u00e9", "a\0", "\uff41", "a/b"]


@pytest.mark.parametrize("text", ["a", "A-Z_0.9", "x" * 128])
def test_agent_ids(text: str) -> None:
    assert is_agent_id(text)


@pytest.mark.parametrize("text", [*BAD, "x" * 129, "a:b"])
def test_no_agent_ids(text: str) -> None:
    assert not is_agent_id(text)


@pytest.mark.parametrize("text", ["a", "A-Z_0.9:", "x" * 64])
def test_command_ids(text: str) -> None:
    assert is_cmd_id(text)


@pytest.mark.parametrize("text", [*BAD, "x" * 65])
def test_no_command_ids(text: str) -> None:
    assert not is_cmd_id(text)


@pytest.mark.parametrize("text", [*BAD, "x" * 65, "a.b", "a:b"])
def test_no_chunk_ids(text: str) -> None:
    assert not is_chunk_id(text)
    assert is_chunk_id("chunk-0")


@pytest.mark.parametrize("given", [None, 7, "", "a b", "x" * 65, ["a"]])
def test_an_unusable_trace_id_is_replaced_by_a_fresh_one(given: object) -> None:
    assert is_cmd_id(trace_id_or_new(given))
    assert trace_id_or_new(given) != trace_id_or_new(given)
    assert trace_id_or_new("t:1") == "t:1"


@pytest.mark.parametrize("make", [new_session_token, new_account_token, new_cmd_secret, lambda: new_api_key().plain])
def test_a_secret_is_no_trace_id(make: Callable[[], str]) -> None:
    secret = make()
    cut = secret[:-8] if secret.startswith(("sess_", "dca_", "dcw_")) else secret  # known by its prefix, or whole alone
    for text in (secret, f"t:{secret}"[:64], cut):
        assert trace_id_or_new(text) != text
