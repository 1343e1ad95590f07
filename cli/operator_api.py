"""The operators' API from the command line: where it is, with which token, and how refusals end a command."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import httpx
import typer

from chunkcrawl.commands.common import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE
from chunkcrawl.transport.address import BASE_VARIABLE, checked_base, default_base
from config.errors import OperatorError
from config.settings import SettingsError
from operations.operator_redis import stopped_here
from operations.printable import printable

TOKEN_VARIABLE: Final = "CHUNKCRAWL_OPERATOR_TOKEN"
#: Of a server in dev, and only from its own machine.
DEV_TOKEN: Final = "test-operator-token"
TIMEOUT_S: Final = 15.0
TOKEN_FILE_BYTES_MOST: Final = 1_000

#: What to do about it, where the server says no more than the reason.
REMEDIES: Final = {
    "agent_not_found": "no agent of that id has been in this world; `chunkcrawl operate get agents` lists those in it",
    "not_banned": "there is no such ban; `chunkcrawl operate get bans` lists them",
    "rate_limited": "too many calls; try again in a minute",
    "unavailable": "a store or the coordinator gives the server no answer; try again, or `chunkcrawl doctor` there",
    "backup_not_found": "`chunkcrawl operate get backups` lists those of the server",
}
WHICH: Final = "--url names the server, --data the stores of this machine"

UrlOption = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="The server; else CHUNKCRAWL_BASE, or this machine's.")
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help=f"A file with an operator's token; else {TOKEN_VARIABLE}."),
]


class NoAnswer(OperatorError):
    """No server, none of ours, or one that can't answer now; the text says what to do."""

    reason = "no_answer"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and the file with the token, if there is one."""

    url: str | None
    token_file: Path | None


def wants_api(url: str | None, token_file: Path | None, data: str | None = None) -> bool:
    """Return whether a command is to go through a server instead of the stores.

    It is when it was told so, by --url or --token-file; and with a token in the environment, unless --data names the
    stores, or the world of this machine is stopped and no server is named.
    """
    if url is not None or token_file is not None:
        if data is not None:
            raise _ended("--data is for the stores of this machine, --url for a server: give one of them", EXIT_USAGE)
        return True
    if data is not None or not os.environ.get(TOKEN_VARIABLE):
        return False
    try:
        return bool(os.environ.get(BASE_VARIABLE)) or not stopped_here()
    except SettingsError as error:
        raise _ended(str(error), EXIT_USAGE) from None


def server_of(url: str | None, token_file: Path | None, data: str | None) -> Server | None:
    """Return the server that a command is to go through; None: it goes to the stores.  See ``wants_api``."""
    return Server(url, token_file) if wants_api(url, token_file, data) else None


def segment(word: str) -> str:
    """Return a word as one segment of a path."""
    return quote(word, safe="")


def call(
    method: str, path: str, url: str | None, token_file: Path | None, body: Any = None, **query: Any
) -> dict[str, Any]:
    """Return the answer of ``/v1/operator`` + ``path``.  Ends the command, in one line, when there is none."""
    try:
        return _asked(method, path, url, token_file, body, query)
    except NoAnswer as error:
        raise _ended(str(error)) from None


def get(server: Server, path: str, **query: Any) -> dict[str, Any]:
    """Return what a GET answers; ends the command like ``call``."""
    return call("GET", path, server.url, server.token_file, **query)


def post(server: Server, path: str, body: Any = None) -> dict[str, Any]:
    """Return what a POST answers; ends the command like ``call``."""
    return call("POST", path, server.url, server.token_file, {} if body is None else body)


def get_or_none(server: Server, path: str) -> dict[str, Any] | None:
    """Return what a GET answers, or None while nobody can answer it: a gateway or the coordinator is being moved."""
    try:
        return _asked("GET", path, server.url, server.token_file, None, {})
    except NoAnswer:
        return None


def _asked(
    method: str, path: str, url: str | None, token_file: Path | None, body: Any, query: dict[str, Any]
) -> dict[str, Any]:
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
        raise NoAnswer(f"{base} gives no answer ({type(error).__name__}): {WHICH}") from None
    except ValueError:
        raise NoAnswer(f"{base} is no server of ours: HTTP {answer.status_code}; {WHICH}") from None
    if answer.is_success and isinstance(found, dict):
        return found
    if answer.status_code >= 500:
        raise NoAnswer(_told(answer.status_code, found))
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
    return _ended(_told(status, found), EXIT_FAILED)


def _told(status: int, found: Any) -> str:
    """Return a refusal in one line, with its remedy."""
    body = found if isinstance(found, dict) else {}
    reason = str(body.get("detail", status))
    words = body.get("text") or "; ".join(f"{one['field']} {one['rule']}" for one in body.get("fields", []))
    words = printable(str(words or REMEDIES.get(reason, "")))
    return f"{reason}: {words}" if words else reason


def _ended(words: str, code: int = EXIT_UNREACHABLE) -> typer.Exit:
    typer.echo(f"error: {words}", err=True)
    return typer.Exit(code)
