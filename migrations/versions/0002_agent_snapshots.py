"""The newest record of each agent, so that what it owns outlives a lost Redis; the event log by chunk and time

Revision: 0002, after 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agent_snapshots",
        sa.Column("agent_id", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.Column("state", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("agent_id", name="pk_agent_snapshots"),
    )
    op.create_index("ix_event_logs_chunk_id_at", "event_logs", ["chunk_id", "at"])
    op.create_index(
        "ix_event_logs_arrivals",
        "event_logs",
        [sa.text("(payload ->> 'to_chunk_id')"), "at"],
        postgresql_where=sa.text("kind = 'crossing'"),
    )


def downgrade() -> None:
    op.drop_index("ix_event_logs_arrivals", "event_logs")
    op.drop_index("ix_event_logs_chunk_id_at", "event_logs")
    op.drop_table("agent_snapshots")
