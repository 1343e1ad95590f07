"""Alembic's door: runs the revisions on the connection that ``migrations.run`` hands over.

There is no other way in: a migration without the lock of ``migrations.run`` could meet a second one.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from store.models import Base

connection: Connection | None = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("Run `python -m migrations.run`, which holds the lock, instead of alembic itself.")

context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
