from __future__ import annotations

import pytest

from api.accounts.tokens import (
    API_KEY_PREFIX_LENGTH,
    api_key_prefix,
    is_token,
    new_account_token,
    new_api_key,
    new_cmd_secret,
    new_jti,
    new_session_token,
    sha256_hex,
)


def test_a_key_is_found_by_its_prefix_and_proved_by_its_hash() -> None:
    key = new_api_key()
    assert api_key_prefix(key.plain) == key.prefix
    assert len(key.prefix) == API_KEY_PREFIX_LENGTH
    assert key.digest == sha256_hex(key.plain)
    assert key.plain.startswith("dcw_")


def test_a_key_does_not_show_itself() -> None:
    key = new_api_key()
    assert key.plain not in repr(key)
    assert key.digest not in repr(key)


@pytest.mark.parametrize(
    "spoil", [lambda k: k[:-1], lambda k: k + "x", lambda k: k + "\n", lambda k: k.upper(), lambda k: ""]
)
def test_what_has_not_the_form_of_a_key_is_not_looked_up(spoil: object) -> None:
    assert callable(spoil)
    assert api_key_prefix(spoil(new_api_key().plain)) is None


def test_tokens_have_their_prefixes_and_never_repeat() -> None:
    makers = {"sess_": new_session_token, "dca_": new_account_token, "jti_": new_jti, "": new_cmd_secret}
    for prefix, make in makers.items():
        made = {make() for _ in range(50)}
        assert len(made) == 50
        assert all(token.startswith(prefix) and is_token(token) for token in made)


@pytest.mark.parametrize("text", ["", "a b", "a\n", "x" * 129, "\u00e9", "a|b"])
def test_what_can_not_be_a_token_is_told_without_a_look_up(text: str) -> None:
    assert not is_token(text)
