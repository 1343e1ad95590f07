"""Requests with a password, refused by their head while the queue of passwords to be hashed is full."""

from __future__ import annotations

from typing import Final

from starlette.types import Scope

from api.accounts.passwords import Passwords

__all__ = ["refuse_early"]

SIGNUP: Final = "/v1/signup"
#: Below these HTTP Basic is one of the ways to authenticate; elsewhere such a header means nothing to us.
WITH_BASIC: Final = ("/v1/keys", "/v1/agents")


def refuse_early(passwords: Passwords, scope: Scope) -> str | None:
    """Return ``overloaded`` for a request that would be refused as that later, at a multiple of the cost; else None."""
    if passwords.full and (_signs_up(scope) or _has_password(scope)):
        return "overloaded"
    return None


def _signs_up(scope: Scope) -> bool:
    return bool(scope["path"] == SIGNUP and scope["method"] == "POST")


def _has_password(scope: Scope) -> bool:
    return scope["path"].startswith(WITH_BASIC) and any(
        name == b"authorization" and value[:6].lower() == b"basic " for name, value in scope["headers"]
    )
