"""A digest of every table, to hold a restored database against the one that was dumped."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cluster.backup_files import TableDigest
from store.event_log import BEYOND, beyond

SCHEMA: Final = "public"

TABLES = text(
    "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"
)


async def digests(connection: AsyncConnection, run_id: str | None, archived: str) -> dict[str, TableDigest]:
    """Every table of ours by name, partitions with their parent.

    Of the event log without what ``run_id`` logged after the entry ``archived``.  The hash is MD5 over a row's text,
    summed up, so it depends neither on order nor on the server's version; the session must be in UTC.
    """
    names = list(await connection.scalars(TABLES, {"schema": SCHEMA}))
    return {name: await _digest(connection, name, run_id, archived) for name in names}


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
    return TableDigest(int(row[0]), str(row[1]))
