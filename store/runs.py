"""Runs: a world from its fresh seed, or its restoring, until it is thrown away or restored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from store.models import Run, SnapshotRow


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run.  ``info``: what is fixed for its world, as the archiver last saw it."""

    run_id: str
    seed: int
    info: Mapping[str, Any]


async def begin(engine: AsyncEngine, run_id: str, seed: int, info: Mapping[str, Any]) -> None:
    """Add the run; one that is there gets the newer ``info``."""
    statement = insert(Run).values(run_id=run_id, seed=seed, info=dict(info))
    statement = statement.on_conflict_do_update(index_elements=[Run.run_id], set_={"info": statement.excluded.info})
    async with engine.begin() as connection:
        await connection.execute(statement)


async def end_all_but(engine: AsyncEngine, run_id: str | None) -> None:
    """Mark every other run as ended."""
    statement = update(Run).where(Run.ended_at.is_(None)).values(ended_at=func.now())
    if run_id is not None:
        statement = statement.where(Run.run_id != run_id)
    async with engine.begin() as connection:
        await connection.execute(statement)


async def newest_with_snapshots(engine: AsyncEngine) -> RunRecord | None:
    """Return the run that was begun last of those that have a snapshot of a chunk; None when there is none."""
    kept = select(SnapshotRow.run_id).where(SnapshotRow.run_id == Run.run_id).exists()
    statement = select(Run.run_id, Run.seed, Run.info).where(kept).order_by(Run.started_at.desc()).limit(1)
    async with engine.connect() as connection:
        row = (await connection.execute(statement)).one_or_none()
    return None if row is None else RunRecord(*row)
