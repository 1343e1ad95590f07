"""What the client's commands share: options, exit codes, output, and how errors become both."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer

from chunkcrawl.transport.address import checked_base, default_base

__all__ = [
    "CHECK_ADDRESS",
    "DEFAULT_BASE",
    "EXIT_FAILED",
    "EXIT_UNREACHABLE",
    "EXIT_USAGE",
    "BaseOption",
    "JsonOption",
    "api_key_for",
    "emit",
    "fail",
    "one_line",
    "perform",
]

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
EXIT_INTERRUPTED: Final = 130

#: Stands for ``chunkcrawl.transport.address.default_base``, which is asked when a command runs.
DEFAULT_BASE: Final = ""

CHECK_ADDRESS: Final = (
    "is the server up (`chunkcrawl up`), and is this its address? Another one: --base URL, CHUNKCRAWL_BASE, or "
    "CHUNKCRAWL_PORT for this machine"
)
_Result = TypeVar("_Result")


def _base(given: str) -> str:
    try:
        return checked_base(given) if given else default_base()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


BaseOption = Annotated[
    str,
    typer.Option(
        "--base",
        metavar="URL",
        help="The server's address.",
        show_default="CHUNKCRAWL_BASE, else this machine at CHUNKCRAWL_PORT or 8000",
        callback=_base,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


def perform(work: Coroutine[Any, Any, _Result], *, as_json: bool) -> _Result:
    """Run ``work`` to its end; what the server refuses becomes a line on stderr and an exit code.

    Exits with 1 when it was refused or failed, 3 when there is no reaching the server, 130 on Ctrl-C.
    """
    from chunkcrawl.errors import ChunkcrawlError, CommandRefused, ServerUnreachable, UnusableProxy

    try:
        return asyncio.run(work)
    except UnusableProxy as error:  # nobody has asked the server yet
        fail(error.reason, str(error), as_json=as_json, code=EXIT_UNREACHABLE)
    except ServerUnreachable as error:
        fail(error.reason, f"{error}; {CHECK_ADDRESS}", as_json=as_json, code=EXIT_UNREACHABLE)
    except CommandRefused as error:
        more = {name: getattr(error, name, None) for name in ("code", "retry_after_ms", "strikes_left", "muted_ms")}
        fail(error.reason, str(error), as_json=as_json, more=more)
    except ChunkcrawlError as error:
        fail(error.reason, str(error), as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # The reader of a pipe has had enough; the interpreter must not try to flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(EXIT_FAILED) from None


def fail(
    reason: str, text: str, *, as_json: bool, code: int = EXIT_FAILED, more: dict[str, Any] | None = None
) -> NoReturn:
    """Say on stderr what went wrong, as text or as ``{"error": reason, "detail": text}``, and exit.

    ``more`` are further fields of the JSON; those that are None are left out.
    """
    text = one_line(text)
    fields = {name: value for name, value in (more or {}).items() if value is not None}
    line = json.dumps({"error": reason, "detail": text} | fields) if as_json else f"error: {text}"
    typer.echo(line, err=True)
    raise typer.Exit(code)


def one_line(text: str) -> str:
    """Return a text as one line that moves no cursor, whatever it is made of (a server's answer, a library's error)."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def emit(fields: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print a result: one JSON object, or the text, in which nothing moves a cursor."""
    shown = "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
    typer.echo(json.dumps(fields) if as_json else shown)


def api_key_for(base: str, *, as_json: bool, needed: bool = True) -> str | None:
    """Return ``CHUNKCRAWL_API_KEY``, or the key that ``key create`` has kept for this server.

    Exits with 1 when one is needed and there is none.  Keys are never taken from the command line, where every other
    user of the machine could read them.
    """
    from chunkcrawl.transport.credentials import CredentialsFile

    named = os.environ.get("CHUNKCRAWL_API_KEY")
    if named:
        return named
    try:
        kept = CredentialsFile().load(base).api_key
    except (OSError, ValueError) as error:
        fail("credentials_unreadable", str(error), as_json=as_json)
    if not kept and needed:
        fail("no_api_key", f"no API key for {base}: run `chunkcrawl key create`", as_json=as_json)
    return kept or None
