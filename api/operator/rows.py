"""Rows of the operators' API that are made of records of the store."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from api.limits.strikes import Standing
from store.audit import AuditLine
from store.bans import Ban
from store.operators import OperatorRecord


def moment_ms(at: datetime | None) -> int | None:
    """Return a moment as Unix milliseconds."""
    return None if at is None else int(at.timestamp() * 1000)


def ban_row(ban: Ban) -> dict[str, Any]:
    """Return a ban."""
    return {
        "kind": ban.kind,
        "subject": ban.subject,
        "reason": ban.reason,
        "by": ban.by,
        "at_ms": moment_ms(ban.at),
        "until_ms": moment_ms(ban.until),
    }


def standing_row(agent_id: str, standing: Standing) -> dict[str, Any]:
    """Return where an agent stands."""
    return {"agent_id": agent_id, **asdict(standing)}


def audit_row(line: AuditLine) -> dict[str, Any]:
    """Return a line of the audit log."""
    return {
        "audit_id": line.audit_id,
        "at_ms": moment_ms(line.at),
        "operator": line.operator,
        "role": line.role,
        "address": line.address,
        "action": line.action,
        "subject": line.subject,
        "details": dict(line.details),
        "outcome": line.outcome,
        "reason": line.reason,
        "ended_ms": moment_ms(line.ended_at),
    }


def operator_row(record: OperatorRecord) -> dict[str, Any]:
    """Return an operator, without anything of the token."""
    return {
        "operator_id": record.operator_id,
        "name": record.name,
        "role": record.role,
        "created_at_ms": moment_ms(record.created_at),
        "expires_at_ms": moment_ms(record.expires_at),
        "revoked_at_ms": moment_ms(record.revoked_at),
    }
