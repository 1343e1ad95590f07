"""Accounts, keys, agents, sessions; runs, event log, snapshots

Revision: 0001, the first
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("token_hash", sa.Text, nullable=False),
        sa.Column("agent_count", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("account_id", name="pk_accounts"),
        sa.UniqueConstraint("email", name="uq_accounts_email"),
        sa.UniqueConstraint("token_hash", name="uq_accounts_token_hash"),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("key_hash", sa.Text, nullable=False),
        sa.Column("label", sa.Text),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("expires_at", TIME),
        sa.Column("revoked_at", TIME),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
        sa.UniqueConstraint("prefix", name="uq_api_keys_prefix"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name="fk_api_keys_account_id_accounts", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_api_keys_account_id_created_at", "api_keys", ["account_id", "created_at"])
    op.create_table(
        "agents",
        sa.Column("agent_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("agent_id", name="pk_agents"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name="fk_agents_account_id_accounts", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_agents_account_id_agent_id", "agents", ["account_id", "agent_id"])
    _create_sessions()
    _create_logs()


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("jti", sa.Text, nullable=False),
        sa.Column("token_hash", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("agent_id", sa.Text),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME),
        sa.PrimaryKeyConstraint("jti", name="pk_sessions"),
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.account_id"], name="fk_sessions_account_id_accounts", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["key_id"], ["api_keys.key_id"], name="fk_sessions_key_id_api_keys", ondelete="CASCADE"
        ),
        sa.CheckConstraint("role IN ('agent', 'owner_spectator', 'spectator')", name=op.f("ck_sessions_role")),
    )
    op.create_index("ix_sessions_account_id_role_expires_at", "sessions", ["account_id", "role", "expires_at"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_index("ix_sessions_key_id", "sessions", ["key_id"])


def _create_logs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("started_at", TIME, nullable=False, server_default=NOW),
        sa.Column("ended_at", TIME),
        sa.Column("info", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
    )
    op.create_table(
        "event_logs",
        sa.Column("at", TIME, nullable=False),
        sa.Column("entry_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("tick", sa.BigInteger, nullable=False),
        sa.Column("chunk_id", sa.Text),
        sa.Column("agent_id", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("payload", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("at", "entry_id", name="pk_event_logs"),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("ix_event_logs_run_id_tick", "event_logs", ["run_id", "tick"])
    op.create_index("ix_event_logs_chunk_id_tick", "event_logs", ["chunk_id", "tick"])
    op.create_index("ix_event_logs_agent_id_at", "event_logs", ["agent_id", "at"])
    # Catches what no day's partition covers, so that an insert never fails for want of one.
    op.execute("CREATE TABLE event_logs_default PARTITION OF event_logs DEFAULT")
    op.create_table(
        "snapshots",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("chunk_id", sa.Text, nullable=False),
        sa.Column("tick", sa.BigInteger, nullable=False),
        sa.Column("taken_at", TIME, nullable=False, server_default=NOW),
        sa.Column("state", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "chunk_id", "tick", name="pk_snapshots"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_snapshots_run_id_runs", ondelete="CASCADE"),
    )
    op.create_index("ix_snapshots_chunk_id_tick", "snapshots", ["chunk_id", "tick"])


def downgrade() -> None:
    for table in ("snapshots", "event_logs", "runs", "sessions", "agents", "api_keys", "accounts"):
        op.drop_table(table)
