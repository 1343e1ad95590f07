from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from api.fields import AgentIdField, EmailField, LabelField, PasswordField


class Everything(BaseModel):
    agent_id: AgentIdField | None = None
    email: EmailField | None = None
    label: LabelField | None = None
    password: PasswordField = "12345678"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"agent_id": "a.b_c-9"}, "a.b_c-9"),
        ({"email": " A@X.org"}, "a@x.org"),
        ({"label": ""}, ""),
        ({"label": "\u65e5\u672c \U0001f511"}, "\u65e5\u672c \U0001f511"),
        ({"password": "12345678"}, "12345678"),
    ],
)
def test_what_fits_is_taken(given: dict[str, Any], taken: str) -> None:
    (name,) = given
    assert getattr(Everything(**given), name) == taken


@pytest.mark.parametrize(
    "given",
    [
        {"agent_id": "a\n"},
        {"agent_id": "a|b"},
        {"agent_id": ""},
        {"agent_id": 1},
        {"email": "nobody"},
        {"label": "a\u2028b"},
        {"label": "a\x07"},
        {"label": "\ud800"},
        {"label": "x" * 65},
        {"password": "1234567"},
        {"password": "\ud800" * 8},
    ],
)
def test_what_does_not_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Everything(**given)


def test_a_password_does_not_show_itself() -> None:
    assert "secret-password" not in repr(Everything(password="secret-password"))
