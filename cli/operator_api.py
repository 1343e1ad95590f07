"""The operators' API from the command line: where it is, with which token, and how refusals end a command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer

from chunkcrawl.commands.common import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE
from chunkcrawl.transport.address import checked_base, default_base

TOKEN_VARIABLE: Final = "CHUNKCRAWL_OPERATOR_TOKEN"
#: Of a server in dev, and only from its own machine.
DEV_TOKEN: Final = "test-operator-token"
TIMEOUT_S: Final = 15.0
TOKEN_FILE_BYTES_MOST: Final = 1_000

UrlOption = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="The server; else CHUNKCRAWL_BASE, or this machine's.")
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help=f"A file with an operator's token; else {TOKEN_VARIABLE}."),
]


def wants_api(url: str | None, token_file: Path | None) -> bool:
    """Return whether a command was told to go through a server instead of the database."""
    return url is not None or token_file is not None or TOKEN_VARIABLE in os.environ


def call(
    method: str, path: str, url: str | None, token_file: Path | None, body: Any = None, **query: Any
) -> dict[str, Any]:
    """Return the answer of ``/v1/operator`` + ``path``.  Ends the command, in one line, when there is none."""
    try:
        base = default_base() if url is None else checked_base(url)
    except ValueError as error:
        raise _ended(str(error), EXIT_USAGE) from None
    headers = {"authorization": f"Bearer {_token(token_file)}"}
    given = {name: value for name, value in query.items() if value is not None}
    try:
        answer = httpx.request(
            method, f"{base}/v1/operator{path}", headers=headers, json=body, params=given, timeout=TIMEOUT_S
        )
        found = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _ended(f"{base} gives no answer ({type(error).__name__}): is it the server's address?") from None
    except ValueError:
        raise _ended(f"{base} is no server of ours: HTTP {answer.status_code}") from None
    if answer.is_success and isinstance(found, dict):
        return found
    raise _refused(answer.status_code, found)


def _token(token_file: Path | None) -> str:
    if token_file is None:
        return os.environ.get(TOKEN_VARIABLE) or DEV_TOKEN
    try:
        with token_file.open(encoding="ascii") as file:
            return file.read(TOKEN_FILE_BYTES_MOST).strip()
    except (OSError, ValueError) as error:
        raise _ended(f"{token_file} can't be read: {error}", EXIT_USAGE) from None


def _refused(status: int, found: Any) -> typer.Exit:
    body = found if isinstance(found, dict) else {}
    reason = str(body.get("detail", status))
    if status in (401, 403) and reason in ("invalid_token", "operators_closed", "not_local"):
        return _ended(f"{reason}: `chunkcrawl operator create` on the server makes a token, for {TOKEN_VARIABLE}")
    if reason == "invalid_scope":
        return _ended("invalid_scope: this token is a viewer's, who may look and not act", EXIT_FAILED)
    words = body.get("text") or "; ".join(f"{one['field']} {one['rule']}" for one in body.get("fields", []))
    return _ended(f"{reason}: {words}" if words else reason, EXIT_UNREACHABLE if status >= 500 else EXIT_FAILED)


def _ended(words: str, code: int = EXIT_UNREACHABLE) -> typer.Exit:
    typer.echo(f"error: {words}", err=True)
    return typer.Exit(code)
