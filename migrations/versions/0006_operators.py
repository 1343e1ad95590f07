"""Operators with tokens of their own, the audit log of what they did, and bans

Revision: 0006, after 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "operators",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.text("now()")),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.CheckConstraint("role IN ('viewer', 'operator')", name="ck_operators_role"),
        sa.PrimaryKeyConstraint("operator_id", name="pk_operators"),
        sa.UniqueConstraint("prefix", name="uq_operators_prefix"),
    )
    op.create_table(
        "operator_audit",
        sa.Column("audit_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("at", MOMENT, nullable=False, server_default=sa.text("now()")),
        sa.Column("operator_id", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("details", JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint("outcome IN ('begun', 'done', 'refused', 'failed')", name="ck_operator_audit_outcome"),
        sa.PrimaryKeyConstraint("audit_id", name="pk_operator_audit"),
    )
    op.create_index("ix_operator_audit_subject_audit_id", "operator_audit", ["subject", "audit_id"])
    op.create_index("ix_operator_audit_operator_audit_id", "operator_audit", ["operator", "audit_id"])
    op.create_table(
        "bans",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False, server_default=sa.text("now()")),
        sa.Column("until", MOMENT, nullable=True),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('agent', 'account')", name="ck_bans_kind"),
        sa.PrimaryKeyConstraint("kind", "subject", name="pk_bans"),
    )


def downgrade() -> None:
    op.drop_table("bans")
    op.drop_table("operator_audit")
    op.drop_table("operators")
