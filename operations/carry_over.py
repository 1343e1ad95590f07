"""What a restore takes over from the database that it replaces: bans, what was revoked, the audit log.

A backup knows nothing of what was decided after it.  Who was kept out since then must not come back with it, and what
operators did stands in the log for good.  A ban that was ended after the backup comes back: better one too many.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from operations.schema_swap import OLD
from operations.table_digests import SCHEMA

_BAN: Final = 'kind, subject, reason, "by", at, until, changed'
_LINE: Final = "audit_id, at, operator_id, operator, role, address, action, subject, details, outcome, reason, ended_at"

#: By the table that has to be there: an older release's database lacks some of them.
STATEMENTS: Final = {
    "bans": f"INSERT INTO {SCHEMA}.bans ({_BAN}) SELECT {_BAN} FROM {OLD}.bans WHERE until IS NULL OR until > now()"
    " ON CONFLICT (kind, subject) DO UPDATE SET reason = excluded.reason, until = excluded.until,"
    " changed = greatest(bans.changed, excluded.changed)",
    "api_keys": f"UPDATE {SCHEMA}.api_keys k SET revoked_at = old.revoked_at FROM {OLD}.api_keys old"
    " WHERE old.key_id = k.key_id AND old.revoked_at IS NOT NULL AND k.revoked_at IS NULL",
    "operators": f"UPDATE {SCHEMA}.operators o SET revoked_at = old.revoked_at FROM {OLD}.operators old"
    " WHERE old.operator_id = o.operator_id AND old.revoked_at IS NOT NULL AND o.revoked_at IS NULL",
    "operator_audit": f"INSERT INTO {SCHEMA}.operator_audit ({_LINE}) SELECT {_LINE} FROM {OLD}.operator_audit"
    " ON CONFLICT (audit_id) DO NOTHING",
}


async def carry_over(engine: AsyncEngine) -> None:
    """Take it over, while the old schema stands beside the new one.  Raises ``SQLAlchemyError``."""
    async with engine.begin() as connection:
        for table, statement in STATEMENTS.items():
            if await connection.scalar(text("SELECT to_regclass(:name)"), {"name": f"{OLD}.{table}"}) is not None:
                await connection.execute(text(statement))
