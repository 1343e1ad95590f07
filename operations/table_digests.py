"""A digest of every table, to hold a restored database against the one that was dumped."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from operations.backup_files import TableDigest
from store.event_log import BEYOND, beyond
from store.models import Base

SCHEMA: Final = "public"

VERSION_TABLE: Final = "alembic_version"
#: Our tables, each behind those that it refers to; partitions count as their parent.
TABLES: Final = tuple(table.name for table in Base.metadata.sorted_tables)

THERE: Final = text(
    "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname = ANY(:names)"
    " ORDER BY 1"
)


async def digests(connection: AsyncConnection, run_id: str | None, archived: str) -> dict[str, TableDigest]:
    """Return the digest of every table of ours that is there, by name, partitions with their parent.

    Of the event log without what ``run_id`` logged after the entry ``archived``.  The hash is MD5 over a row's text,
    summed up, so it depends neither on order nor on the server's version; the session must be in UTC.
    """
    names = await connection.scalars(THERE, {"schema": SCHEMA, "names": [*TABLES, VERSION_TABLE]})
    return {name: await _digest(connection, name, run_id, archived) for name in list(names)}


async def _digest(connection: AsyncConnection, table: str, run_id: str | None, archived: str) -> TableDigest:
    where, parameters = "", dict[str, Any]()
    if table == "event_logs" and run_id is not None:
        where, parameters = f"WHERE NOT ({BEYOND})", beyond(run_id, archived)
    row = (
        await connection.execute(
            text(
                "SELECT count(*), coalesce(sum(('x' || left(md5(CAST(t AS text)), 15))\\:\\:bit(60)\\:\\:bigint), 0)"
                f' FROM "{SCHEMA}"."{table}" t {where}'
            ),
            parameters,
        )
    ).one()
    # A Decimal writes trailing zeroes as an exponent.
    return TableDigest(int(row[0]), str(int(row[1])))
