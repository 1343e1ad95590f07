"""Random secrets, their forms and their hashes.

All of them are 256 random bits, so what is stored is one plain SHA-256: there is nothing to guess that a slow hash
would protect, and a session POST must not pay for one.  Passwords, which people choose, go through Argon2
(``api.accounts.passwords``).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final

API_KEY_PREFIX_LENGTH: Final = len("dcw_") + 12
_API_KEY: Final = re.compile(r"(dcw_[0-9a-f]{12})_([A-Za-z0-9_\-]{43})\Z")
_OPERATOR_TOKEN: Final = re.compile(r"(dco_[0-9a-f]{12})_([A-Za-z0-9_\-]{43})\Z")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.\-]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key at the only moment when it is known whole."""

    prefix: str
    plain: str
    digest: str

    def __repr__(self) -> str:
        return f"NewApiKey(prefix={self.prefix!r})"


def sha256_hex(secret: str) -> str:
    """Return the hex SHA-256 of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_session_token() -> str:
    """Make a session's token."""
    return "sess_" + secrets.token_urlsafe(32)


def new_account_token() -> str:
    """Make an account's token."""
    return "dca_" + secrets.token_urlsafe(32)


def new_jti() -> str:
    """Make a session's id."""
    return "jti_" + secrets.token_hex(16)


def new_cmd_secret() -> str:
    """Make the secret that signs a session's commands."""
    return secrets.token_urlsafe(32)


def new_id(kind: str) -> str:
    """Make an id like ``acc_...`` or ``key_...``: 128 random bits."""
    return f"{kind}_{secrets.token_hex(16)}"


def new_api_key() -> NewApiKey:
    """Make an API key."""
    prefix = "dcw_" + secrets.token_hex(6)
    plain = f"{prefix}_{secrets.token_urlsafe(32)}"
    return NewApiKey(prefix, plain, sha256_hex(plain))


def api_key_prefix(plain: str) -> str | None:
    """Return the stored part of a key, None when ``plain`` can't be a key of ours."""
    match = _API_KEY.match(plain)
    return match.group(1) if match else None


def is_token(text: str) -> bool:
    """Return whether ``text`` has the shape of a token; anything else is not worth a look-up."""
    return _TOKEN.match(text) is not None


def new_operator_token() -> NewApiKey:
    """Make an operator's token: found by its prefix and proved by its digest, like an API key."""
    prefix = "dco_" + secrets.token_hex(6)
    plain = f"{prefix}_{secrets.token_urlsafe(32)}"
    return NewApiKey(prefix, plain, sha256_hex(plain))


def operator_token_prefix(plain: str) -> str | None:
    """Return the prefix of an operator's token; None when ``plain`` can't be one."""
    match = _OPERATOR_TOKEN.match(plain)
    return match.group(1) if match else None
