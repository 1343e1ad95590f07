"""The audit log of what the command line does to the stores itself, without a server.

As over HTTP: a line before the action, which is not tried when the line can't be written, and the outcome after it.
Killed in between, the line stays ``begun``.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import typer
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from config.errors import OperatorError
from operations.operator_redis import DATABASE_URL_VARIABLE, NoAuditLog
from operations.printable import printable
from store import audit
from store.audit import AuditEntry, Outcome
from store.engine import make_engine
from streaming.shared_clock import now_ms

T = TypeVar("T")

#: What stands for the address of somebody who is on the machine itself.
LOCAL: Final = "local"
WORD_CHARS_MOST: Final = 200
REASON_CHARS_MOST: Final = 1_000
#: SQLSTATE of a table that is not there.
NO_SUCH_TABLE: Final = "42P01"
AWAY: Final = (SQLAlchemyError, OSError, TimeoutError)


def at_the_keyboard() -> str:
    """Return who gives the command, as far as the machine knows: ``cli:<user>@<host>``."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "somebody"
    return f"cli:{user}@{socket.gethostname()}"


async def audited(
    database_url: str, action: str, subject: str, details: Mapping[str, Any], work: Callable[[], Awaitable[T]]
) -> T:
    """Do ``work`` with its line in the audit log; where no database is known, do it and say that it has no line.

    Raises:
        NoAuditLog: the line can't be written; nothing was done.
    """
    if not database_url:
        done = await work()
        _tell(f"{DATABASE_URL_VARIABLE} names no database")
        return done
    engine = make_engine(database_url)
    try:
        async with audit_line(engine, action, subject, details):
            return await work()
    finally:
        await engine.dispose()


@contextlib.asynccontextmanager
async def audit_line(
    engine: AsyncEngine,
    action: str,
    subject: str,
    details: Mapping[str, Any],
    *,
    refusals: tuple[type[Exception], ...] = (OperatorError,),
) -> AsyncIterator[None]:
    """Write a line before the block, and its outcome after it: ``refused`` for ``refusals``, else done or failed.

    A database without an audit log, new or of a release that had none, gets the line after the block, if the block has
    made one; else that there is none is said.

    Raises:
        NoAuditLog: the line can't be written; the block is not entered.
    """
    word = printable(subject)[:WORD_CHARS_MOST]
    entry = AuditEntry(None, at_the_keyboard(), "operator", LOCAL, action, word, details)
    audit_id = await _begin(engine, entry)
    if audit_id is None:
        yield
        await _afterwards(engine, entry)
        return
    outcome: Outcome = "failed"
    reason: str | None = "broken_off"
    try:
        yield
        outcome, reason = "done", None
    except refusals as error:
        outcome, reason = "refused", _words(error)
        raise
    except Exception as error:
        reason = _words(error) if isinstance(error, OperatorError) else type(error).__name__
        raise
    finally:
        # The line stands there as begun when this fails: that it was tried is known.
        with contextlib.suppress(*AWAY):
            await asyncio.shield(audit.end(engine, audit_id, outcome, reason))


async def _begin(engine: AsyncEngine, entry: AuditEntry) -> int | None:
    try:
        return await audit.begin(engine, entry, now_ms() * 1000)
    except AWAY as error:
        if getattr(getattr(error, "orig", None), "sqlstate", None) == NO_SUCH_TABLE:
            return None
        raise NoAuditLog(
            f"nothing was done, for it can't be written into the audit log: PostgreSQL gives no answer "
            f"({type(error).__name__}). Start it, or mend {DATABASE_URL_VARIABLE}; `chunkcrawl doctor` looks at it"
        ) from None


async def _afterwards(engine: AsyncEngine, entry: AuditEntry) -> None:
    """Write the line of what is done, where it has made the log itself."""
    try:
        audit_id = await _begin(engine, entry)
        if audit_id is None:
            _tell("the database has none yet: `chunkcrawl up` of this release makes it")
        else:
            await audit.end(engine, audit_id, "done")
    except (*AWAY, NoAuditLog):
        _tell("PostgreSQL gives no answer any more")


def _tell(why: str) -> None:
    typer.echo(f"note: not in the audit log, for {why}", err=True)


def _words(error: Exception) -> str:
    return printable(" ".join(str(error).split()))[:REASON_CHARS_MOST] or type(error).__name__
