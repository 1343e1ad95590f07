"""The event log by who was given something, so that an agent's history has what it received

Revision: 0003, after 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_event_logs_gifts",
        "event_logs",
        [sa.text("(payload ->> 'to')"), "at"],
        postgresql_where=sa.text("kind = 'give'"),
    )


def downgrade() -> None:
    op.drop_index("ix_event_logs_gifts", "event_logs")
