from __future__ import annotations

import base64

import pytest

from api.accounts.principals import basic_credentials


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        (encoded("a@x.org:secret"), ("a@x.org", "secret")),
        (encoded("a@x.org:a:b:"), ("a@x.org", "a:b:")),
        (encoded("\u00e9@x.org:\U0001f600"), ("\u00e9@x.org", "\U0001f600")),
        (encoded(":"), ("", "")),
        (encoded("no colon"), None),
        ("", None),
        ("!!!!", None),
        ("YTpi\n", None),
        ("YTp", None),
        (base64.b64encode(b"\xff:\xff").decode(), None),
        ("\u00e9", None),
        ("QQ" * 2_000, None),
    ],
)
def test_basic_credentials(credentials: str, expected: tuple[str, str] | None) -> None:
    assert basic_credentials(credentials) == expected
