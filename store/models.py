"""The tables of PostgreSQL.

Times are ``timestamptz`` throughout.  Ids made by us are text with a prefix (``acc_``, ``key_``, ``jti_``).  Secrets
appear as hashes only: Argon2 for passwords, SHA-256 for random tokens (``api.accounts.tokens``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Text,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NOW: Final = text("now()")


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can drop it by name."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Text(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),
    }


class Account(Base):
    """Somebody who signed up.  ``email`` is in the one normal form (``store.email_address``)."""

    __tablename__ = "accounts"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    token_hash: Mapped[str] = mapped_column(unique=True)
    #: Kept by the statement that adds an agent, so that the limit holds exactly (``store.agents``).
    agent_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ApiKey(Base):
    """An API key: ``prefix`` finds it, ``key_hash`` (SHA-256 of the whole key) proves it."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("ix_api_keys_account_id_created_at", "account_id", "created_at"),)

    key_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.account_id", ondelete="CASCADE"))
    prefix: Mapped[str] = mapped_column(unique=True)
    key_hash: Mapped[str]
    label: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Agent(Base):
    """Which account an agent id belongs to: whose insert came first."""

    __tablename__ = "agents"
    __table_args__ = (Index("ix_agents_account_id_agent_id", "account_id", "agent_id"),)

    agent_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.account_id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    #: Whether anybody may read what it thinks; its owner says so.
    thoughts_public: Mapped[bool] = mapped_column(server_default=text("false"))


class SessionRow(Base):
    """A session as history; the living one, with its secret, is in Redis alone."""

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("role IN ('agent', 'owner_spectator', 'spectator')", name="role"),
        Index("ix_sessions_account_id_role_expires_at", "account_id", "role", "expires_at"),
        Index("ix_sessions_expires_at", "expires_at"),
        Index("ix_sessions_key_id", "key_id"),
    )

    jti: Mapped[str] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.account_id", ondelete="CASCADE"))
    key_id: Mapped[str | None] = mapped_column(ForeignKey("api_keys.key_id", ondelete="CASCADE"))
    role: Mapped[str]
    agent_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Run(Base):
    """A run: a world from its fresh seed, or its restoring, until it is thrown away or restored."""

    __tablename__ = "runs"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    seed: Mapped[int] = mapped_column(BigInteger)
    started_at: Mapped[datetime] = mapped_column(server_default=NOW)
    ended_at: Mapped[datetime | None]
    info: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))


class EventLog(Base):
    """What the archiver read from ``stream:archive``, each entry once.

    ``entry_id`` is the entry's id in that stream and ``at`` the time inside it, so writing an entry again conflicts
    with itself.  The table is partitioned by range over ``at``, which therefore opens the primary key.
    """

    __tablename__ = "event_logs"
    __table_args__ = (
        Index("ix_event_logs_run_id_tick", "run_id", "tick"),
        Index("ix_event_logs_chunk_id_tick", "chunk_id", "tick"),
        Index("ix_event_logs_chunk_id_at", "chunk_id", "at"),
        Index("ix_event_logs_agent_id_at", "agent_id", "at"),
        # Who came into a chunk: a crossing is logged under the chunk that was left.
        Index(
            "ix_event_logs_arrivals",
            text("(payload ->> 'to_chunk_id')"),
            "at",
            postgresql_where=text("kind = 'crossing'"),
        ),
        # What an agent was given: a gift is logged under the one who gave it.
        Index("ix_event_logs_gifts", text("(payload ->> 'to')"), "at", postgresql_where=text("kind = 'give'")),
        # What an agent said, among the many things it did.
        Index("ix_event_logs_said", "agent_id", "at", postgresql_where=text("kind = 'chat'")),
        # Where an agent went; ``store.agent_moves`` asks by these very kinds.
        Index(
            "ix_event_logs_moves",
            "agent_id",
            "at",
            postgresql_where=text("kind IN ('join', 'crossing', 'leave')"),
        ),
        {"postgresql_partition_by": "RANGE (at)"},
    )

    at: Mapped[datetime] = mapped_column(primary_key=True)
    entry_id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str]
    tick: Mapped[int] = mapped_column(BigInteger)
    chunk_id: Mapped[str | None]
    agent_id: Mapped[str | None]
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]]


class SnapshotRow(Base):
    """The world's state as it was at a tick; the newest of each chunk brings a lost Redis back."""

    __tablename__ = "snapshots"
    __table_args__ = (Index("ix_snapshots_chunk_id_tick", "chunk_id", "tick"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True)
    chunk_id: Mapped[str] = mapped_column(primary_key=True)
    tick: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    taken_at: Mapped[datetime] = mapped_column(server_default=NOW)
    state: Mapped[dict[str, Any]]


class AgentSnapshot(Base):
    """The newest record of each agent that was seen, in the world or not: what it owns outlives a lost Redis."""

    __tablename__ = "agent_snapshots"

    agent_id: Mapped[str] = mapped_column(primary_key=True)
    #: Number of the last event of its stream; an older state never replaces a newer one.
    seq: Mapped[int] = mapped_column(BigInteger)
    taken_at: Mapped[datetime] = mapped_column(server_default=NOW)
    state: Mapped[dict[str, Any]]


class ThoughtRow(Base):
    """What an agent thought when it did something (``store.thoughts``), for whoever may see it."""

    __tablename__ = "thoughts"
    __table_args__ = (
        Index("ix_thoughts_agent_id_at_thought_id", "agent_id", "at", "thought_id"),
        Index("ix_thoughts_at", "at"),
    )

    #: Made of its time and chance (``store.thoughts``): a sequence would be one more thing to back up and restore.
    thought_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    agent_id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    tick: Mapped[int] = mapped_column(BigInteger)
    chunk_id: Mapped[str | None]
    #: What it was about to do, in one word.
    doing: Mapped[str | None]
    text: Mapped[str]


class NoteRow(Base):
    """A note that an agent wrote to itself (``store.notes``)."""

    __tablename__ = "notes"

    agent_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    at: Mapped[datetime]


class StandingRow(Base):
    """What an agent did in a period, summed up (``store.standings``)."""

    __tablename__ = "standings"
    __table_args__ = (
        Index("ix_standings_gold", "period", "starts", "gold", "agent_id"),
        Index("ix_standings_chunks", "period", "starts", "chunks", "agent_id"),
        Index("ix_standings_away", "period", "starts", "away_rank", "agent_id"),
        Index("ix_standings_here", "period", "starts", "here_rank", "agent_id"),
        # For names by their beginning, whatever the server's collation.
        Index(
            "ix_standings_names",
            func.lower(literal_column("agent_id")).label("name"),
            postgresql_ops={"name": "text_pattern_ops"},
            postgresql_where=text("period = 'all'"),
        ),
    )

    #: ``day``, ``week`` or ``all``.
    period: Mapped[str] = mapped_column(primary_key=True)
    starts: Mapped[datetime] = mapped_column(primary_key=True)
    agent_id: Mapped[str] = mapped_column(primary_key=True)
    gold: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    chunks: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    alive_ms: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    #: Since when it is in the world, within the period; NULL: it is away.
    since_ms: Mapped[int | None] = mapped_column(BigInteger)
    #: Its time alive while it is away; NULL while it is here.
    away_rank: Mapped[int | None] = mapped_column(BigInteger)
    #: While it is here what its time alive is in any moment, that moment taken off: the order does not change with it.
    here_rank: Mapped[int | None] = mapped_column(BigInteger)


class Discovery(Base):
    """Who came first into a chunk, and by which fact; nobody knows of those that were there before we counted."""

    __tablename__ = "discoveries"
    __table_args__ = (Index("ix_discoveries_at", "at"),)

    chunk_id: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[str | None]
    at: Mapped[datetime]
    entry_id: Mapped[str | None]


class StandingsClock(Base):
    """One row: which day the standings are of, and when time was last noted."""

    __tablename__ = "standings_clock"

    day: Mapped[datetime] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime]


class OperatorRow(Base):
    """Somebody who may look at the world, or steer it; ``prefix`` finds the token, ``token_hash`` proves it."""

    __tablename__ = "operators"
    __table_args__ = (CheckConstraint("role IN ('viewer', 'operator')", name="role"),)

    operator_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    token_hash: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AuditRow(Base):
    """One action of an operator's: written before it is tried, ended when its outcome is known."""

    __tablename__ = "operator_audit"
    __table_args__ = (
        CheckConstraint("outcome IN ('begun', 'done', 'refused', 'failed')", name="outcome"),
        Index("ix_operator_audit_subject_audit_id", "subject", "audit_id"),
        Index("ix_operator_audit_operator_audit_id", "operator", "audit_id"),
    )

    #: Microseconds of Unix time at which it was written, or the next free number.
    audit_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(server_default=NOW)
    operator_id: Mapped[str | None]
    operator: Mapped[str]
    role: Mapped[str]
    address: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    outcome: Mapped[str]
    reason: Mapped[str | None]
    ended_at: Mapped[datetime | None]


class BanRow(Base):
    """An agent or account that may not come in.  ``changed`` rises with each change of the table (``store.bans``)."""

    __tablename__ = "bans"
    __table_args__ = (CheckConstraint("kind IN ('agent', 'account')", name="kind"),)

    kind: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=NOW)
    until: Mapped[datetime | None]
    changed: Mapped[int] = mapped_column(BigInteger)
