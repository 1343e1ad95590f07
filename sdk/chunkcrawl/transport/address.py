"""Where the server is, when nobody says: as the environment has it, else on this machine at the usual port."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

__all__ = ["BASE_VARIABLE", "USUAL_BASE", "checked_base", "default_base"]

BASE_VARIABLE: Final = "CHUNKCRAWL_BASE"
USUAL_BASE: Final = "http://127.0.0.1:8000"
ANY_ADDRESS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def default_base(environment: Mapping[str, str] = os.environ) -> str:
    """Return ``CHUNKCRAWL_BASE``; else a server on this machine at ``CHUNKCRAWL_HOST`` and ``CHUNKCRAWL_PORT``.

    Raises:
        ValueError: One of them is no address or port; the text names the variable.
    """
    named = environment.get(BASE_VARIABLE)
    if named:
        try:
            return checked_base(named)
        except ValueError as error:
            raise ValueError(f"{BASE_VARIABLE}: {error}") from None
    usual = urlsplit(USUAL_BASE)
    port = environment.get("CHUNKCRAWL_PORT") or str(usual.port)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"CHUNKCRAWL_PORT: a number of 1 to 65535 is needed, or {BASE_VARIABLE} with a whole address")
    host = environment.get("CHUNKCRAWL_HOST", "")
    host = ANY_ADDRESS.get(host, host)
    return f"http://{f'[{host}]' if ':' in host and '[' not in host else host}:{port}"


def checked_base(base: str) -> str:
    """Return ``base`` without a slash at its end.

    Raises:
        ValueError: It is no address of a server.
    """
    try:
        parts = urlsplit(base)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable or any(letter.isspace() for letter in base):
        raise ValueError(f"an address like {USUAL_BASE} is needed")
    return base.rstrip("/")
