"""What the leaderboard is read from, what agents said, and whether their thoughts may be read

What the log still has is counted; who is in the world is known at its next join.

Revision: 0005, after 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
ZERO = sa.text("0")

#: Of chunks that are there already nobody knows who came first, unless the log has it.
KNOWN_CHUNKS = """
INSERT INTO discoveries (chunk_id, agent_id, at, entry_id)
SELECT DISTINCT ON (payload ->> 'to_chunk_id') payload ->> 'to_chunk_id', agent_id, at, entry_id FROM event_logs
WHERE kind = 'crossing' AND agent_id IS NOT NULL AND payload ->> 'to_chunk_id' <> 'chunk-0'
ORDER BY payload ->> 'to_chunk_id', at
"""
OLD_CHUNKS = """
INSERT INTO discoveries (chunk_id, at) SELECT chunk_id, min(taken_at) FROM snapshots GROUP BY chunk_id
ON CONFLICT (chunk_id) DO NOTHING
"""
SUMS = """
WITH periods (period, starts) AS (VALUES
    ('day', date_trunc('day', now(), 'UTC')), ('week', date_trunc('week', now(), 'UTC')),
    ('all', timestamptz '1970-01-01 00:00+00')),
stays AS (
    SELECT agent_id, at, kind, lag(at) OVER whose AS came, lag(kind) OVER whose AS before FROM event_logs
    WHERE kind IN ('join', 'leave') AND agent_id IS NOT NULL
    WINDOW whose AS (PARTITION BY agent_id ORDER BY at)),
parts AS (
    SELECT agent_id, at, 0 AS gold, 0 AS chunks, CAST(NULL AS timestamptz) AS came FROM event_logs
        WHERE kind = 'join' AND agent_id IS NOT NULL
    UNION ALL SELECT agent_id, at, CAST(payload ->> 'amount' AS bigint), 0, NULL FROM event_logs
        WHERE kind = 'harvest' AND agent_id IS NOT NULL
    UNION ALL SELECT agent_id, at, 0, 1, NULL FROM discoveries WHERE agent_id IS NOT NULL
    UNION ALL SELECT agent_id, at, 0, 0, came FROM stays WHERE kind = 'leave' AND before = 'join')
INSERT INTO standings (period, starts, agent_id, gold, chunks, alive_ms, away_rank)
SELECT period, starts, agent_id, sum(gold), sum(chunks), alive_ms, alive_ms FROM (
    SELECT period, starts, agent_id, gold, chunks, CAST(sum(GREATEST(0, CASE WHEN came IS NULL THEN 0
        ELSE extract(epoch FROM at - GREATEST(came, starts)) * 1000 END))
        OVER (PARTITION BY period, agent_id) AS bigint) AS alive_ms
    FROM parts JOIN periods ON at >= starts) AS counted
GROUP BY period, starts, agent_id, alive_ms
"""


def upgrade() -> None:
    op.create_table(
        "standings",
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("starts", TIME, nullable=False),
        sa.Column("agent_id", sa.Text, nullable=False),
        sa.Column("gold", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("chunks", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("alive_ms", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("since_ms", sa.BigInteger),
        sa.Column("away_rank", sa.BigInteger),
        sa.Column("here_rank", sa.BigInteger),
        sa.PrimaryKeyConstraint("period", "starts", "agent_id", name="pk_standings"),
    )
    op.create_table(
        "discoveries",
        sa.Column("chunk_id", sa.Text, nullable=False),
        sa.Column("agent_id", sa.Text),
        sa.Column("at", TIME, nullable=False),
        sa.Column("entry_id", sa.Text),
        sa.PrimaryKeyConstraint("chunk_id", name="pk_discoveries"),
    )
    op.create_index("ix_discoveries_at", "discoveries", ["at"])
    op.create_table(
        "standings_clock",
        sa.Column("day", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("day", name="pk_standings_clock"),
    )
    for statement in (KNOWN_CHUNKS, OLD_CHUNKS, SUMS):
        op.execute(statement)
    for name, column in (("gold", "gold"), ("chunks", "chunks"), ("away", "away_rank"), ("here", "here_rank")):
        op.create_index(f"ix_standings_{name}", "standings", ["period", "starts", column, "agent_id"])
    op.create_index(
        "ix_standings_names",
        "standings",
        [sa.func.lower(sa.literal_column("agent_id")).label("name")],
        postgresql_ops={"name": "text_pattern_ops"},
        postgresql_where=sa.text("period = 'all'"),
    )
    op.create_index(
        "ix_event_logs_said", "event_logs", ["agent_id", "at"], postgresql_where=sa.text("kind = 'chat'")
    )
    op.add_column("agents", sa.Column("thoughts_public", sa.Boolean, nullable=False, server_default=sa.text("false")))


def downgrade() -> None:
    op.drop_column("agents", "thoughts_public")
    op.drop_index("ix_event_logs_said", "event_logs")
    for table in ("standings_clock", "discoveries", "standings"):
        op.drop_table(table)
