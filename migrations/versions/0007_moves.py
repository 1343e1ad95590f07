"""The event log by an agent's moves, so that where it was is found without its many other facts

Revision: 0007, after 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_event_logs_moves",
        "event_logs",
        ["agent_id", "at"],
        postgresql_where=sa.text("kind IN ('join', 'crossing', 'leave')"),
    )


def downgrade() -> None:
    op.drop_index("ix_event_logs_moves", "event_logs")
