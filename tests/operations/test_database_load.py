"""Loading a backup's rows: by whom, and what is left when PostgreSQL will not take them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter
from redis.asyncio import Redis

from cluster.graph import init_world
from migrations.run import upgrade
from operations import restore
from operations.backup import make_backup
from operations.backup_files import BackupError, TableDigest
from operations.restore import restore_backup
from store.engine import make_engine
from tests.cluster.lasting import RULES
from tests.operations.test_dump_content import sql
from tests.store.rows import new_account

pytestmark = pytest.mark.services

WHO = """
CREATE FUNCTION who() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE super boolean;
BEGIN
  SELECT rolsuper OR rolcanlogin OR rolcreaterole INTO super FROM pg_roles WHERE rolname = current_user;
  RAISE EXCEPTION 'loaded by %, super %, reads files %', current_user, super,
    pg_has_role(current_user, 'pg_read_server_files', 'USAGE');
END $$
"""


async def test_rows_are_loaded_by_somebody_without_rights(
    redis: Redis, fresh_postgres_url: str, blank_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trigger that should not be there tells who loads, and how its failure leaves the database."""
    await init_world(redis, seed=1, shard_count=1)
    engine = make_engine(fresh_postgres_url)
    await new_account(engine)
    await engine.dispose()
    await make_backup(redis, fresh_postgres_url, tmp_path / "b")
    await redis.flushall()

    async def upgrade_and_spy(url: str, revision: str = "head") -> None:
        await upgrade(url, revision)
        trigger = "CREATE TRIGGER spy BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION who()"
        await sql(url, "GRANT USAGE ON SCHEMA public TO PUBLIC", WHO, trigger)

    monkeypatch.setattr(restore, "upgrade", upgrade_and_spy)
    said = r"rows of accounts: loaded by chunkcrawl_restore_\w+, super f, reads files f"
    with pytest.raises(BackupError, match=said):
        await restore_backup(redis, blank_postgres_url, tmp_path / "b", RULES)
    assert await sql(blank_postgres_url, "SELECT 1 FROM pg_roles WHERE rolname LIKE 'chunkcrawl_restore%'") == []
    assert await sql(blank_postgres_url, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []
    monkeypatch.undo()
    await restore_backup(redis, blank_postgres_url, tmp_path / "b", RULES)
    assert await sql(blank_postgres_url, "SELECT 1 FROM pg_roles WHERE rolname LIKE 'chunkcrawl_restore%'") == []


def test_a_digest_that_ends_in_zeroes_is_a_whole_number() -> None:
    """A Decimal writes it with an exponent, which manifests of earlier versions have."""
    read = TypeAdapter(TableDigest).validate_python
    assert read({"rows": 1, "digest": "1.2E+5"}) == read({"rows": 1, "digest": "120000"})
