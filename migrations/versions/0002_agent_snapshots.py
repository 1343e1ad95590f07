"""The newest record of each agent, so that what it owns outlives a lost Redis

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


def downgrade() -> None:
    op.drop_table("agent_snapshots")
