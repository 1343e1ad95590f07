from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from api.accounts.early_refusal import refuse_early
from api.accounts.passwords import Passwords

BASIC = (b"authorization", b"BASIC YUBiLm9yZzpw")
BEARER = (b"authorization", b"Bearer dca_x")


@pytest.fixture
def full() -> Iterator[Passwords]:
    passwords = Passwords("pepper", processes=1, queue_max=1)
    with ExitStack() as places:
        while not passwords.full:
            places.enter_context(passwords.place())
        yield passwords
    passwords.close()


@pytest.mark.parametrize(
    ("method", "path", "headers", "refused"),
    [
        ("POST", "/v1/signup", [], True),
        ("GET", "/v1/signup", [], False),
        ("POST", "/v1/signup/", [], False),
        ("GET", "/v1/keys", [BASIC], True),
        ("DELETE", "/v1/keys/key_1", [BASIC], True),
        ("GET", "/v1/agents", [(b"accept", b"*/*"), BASIC], True),
        ("GET", "/v1/keys", [BEARER], False),
        ("GET", "/v1/keys", [], False),
        ("GET", "/v1/chunks", [BASIC], False),
    ],
)
def test_only_what_would_need_a_hash_is_turned_away(
    full: Passwords, method: str, path: str, headers: list[Any], refused: bool
) -> None:
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    assert refuse_early(full, scope) == ("overloaded" if refused else None)


def test_nothing_is_while_there_is_room() -> None:
    passwords = Passwords("pepper")
    scope = {"type": "http", "method": "POST", "path": "/v1/signup", "headers": []}
    assert refuse_early(passwords, scope) is None
    passwords.close()
