"""What agents think, and what they want to remember

Revision: 0004, after 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "thoughts",
        sa.Column("thought_id", sa.BigInteger, nullable=False),
        sa.Column("agent_id", sa.Text, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("tick", sa.BigInteger, nullable=False),
        sa.Column("chunk_id", sa.Text),
        sa.Column("doing", sa.Text),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "thought_id", name="pk_thoughts"),
    )
    op.create_index("ix_thoughts_agent_id_at_thought_id", "thoughts", ["agent_id", "at", "thought_id"])
    op.create_index("ix_thoughts_at", "thoughts", ["at"])
    op.create_table(
        "notes",
        sa.Column("agent_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "name", name="pk_notes"),
    )


def downgrade() -> None:
    op.drop_table("notes")
    op.drop_table("thoughts")
