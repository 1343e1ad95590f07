"""The audit log of operators' actions: a line before the action is tried, its outcome after it.

A process that dies in between leaves the line ``begun``: whether the action took effect is then unknown, and the line
says that it was tried.  Lines are never changed afterwards and never deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from store.models import AuditRow

Outcome = Literal["begun", "done", "refused", "failed"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("begun", "done", "refused", "failed")

#: Tries for a number, with many actions in one microsecond.
TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who does what, from where, to whom."""

    operator_id: str | None
    operator: str
    role: str
    address: str
    action: str
    subject: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditLine:
    """A line of the log."""

    audit_id: int
    at: datetime
    operator: str
    role: str
    address: str
    action: str
    subject: str
    details: Mapping[str, Any]
    outcome: str
    reason: str | None
    ended_at: datetime | None


_LINE: Final = (
    AuditRow.audit_id,
    AuditRow.at,
    AuditRow.operator,
    AuditRow.role,
    AuditRow.address,
    AuditRow.action,
    AuditRow.subject,
    AuditRow.details,
    AuditRow.outcome,
    AuditRow.reason,
    AuditRow.ended_at,
)


async def begin(
    engine: AsyncEngine, entry: AuditEntry, now_us: int, *, outcome: Outcome = "begun", reason: str | None = None
) -> int:
    """Write a line and return its number: ``now_us``, or the next free one.

    Args:
        outcome: another one for what is over already, because it was refused.
    """
    values = {
        "operator_id": entry.operator_id,
        "operator": entry.operator,
        "role": entry.role,
        "address": entry.address,
        "action": entry.action,
        "subject": entry.subject,
        "details": dict(entry.details),
        "outcome": outcome,
        "reason": reason,
        "ended_at": None if outcome == "begun" else func.now(),
    }
    for attempt in range(TRIES):
        try:
            async with engine.begin() as connection:
                await connection.execute(insert(AuditRow).values(audit_id=now_us + attempt, **values))
            return now_us + attempt
        except IntegrityError:
            if attempt == TRIES - 1:
                raise
    raise AssertionError  # the last try has returned or raised


async def end(engine: AsyncEngine, audit_id: int, outcome: Outcome, reason: str | None = None) -> None:
    """Write the outcome of a line that was begun; one that has an outcome keeps it."""
    statement = (
        update(AuditRow)
        .where(AuditRow.audit_id == audit_id, AuditRow.outcome == "begun")
        .values(outcome=outcome, reason=reason, ended_at=func.now())
    )
    async with engine.begin() as connection:
        await connection.execute(statement)


async def lines(
    engine: AsyncEngine,
    *,
    before: int | None = None,
    operator: str | None = None,
    action: str | None = None,
    subject: str | None = None,
    outcome: str | None = None,
    limit: int,
) -> list[AuditLine]:
    """Return lines, newest first; ``before``: only those with a lower number."""
    statement = select(*_LINE).order_by(AuditRow.audit_id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(AuditRow.audit_id < before)
    wanted = {"operator": operator, "action": action, "subject": subject, "outcome": outcome}
    for name, value in wanted.items():
        if value is not None:
            statement = statement.where(getattr(AuditRow, name) == value)
    async with engine.connect() as connection:
        return [AuditLine(*row) for row in await connection.execute(statement)]
