"""Operators in PostgreSQL: names, roles, and hashes of their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from store.api_keys import PrefixTaken
from store.models import OperatorRow

#: Operators that there may ever be, revoked ones included.
OPERATORS_MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class OperatorRecord:
    """An operator without the token."""

    operator_id: str
    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class OperatorProof:
    """What it takes to accept a token."""

    operator_id: str
    name: str
    role: str
    token_hash: str = field(repr=False)
    expires_at: datetime | None
    revoked_at: datetime | None


_RECORD: Final = (
    OperatorRow.operator_id,
    OperatorRow.name,
    OperatorRow.role,
    OperatorRow.created_at,
    OperatorRow.expires_at,
    OperatorRow.revoked_at,
)


async def create(
    engine: AsyncEngine,
    *,
    operator_id: str,
    name: str,
    role: str,
    prefix: str,
    token_hash: str,
    expires_at: datetime | None,
) -> None:
    """Add an operator.

    Raises:
        PrefixTaken: chance, or hardly; try again with another token.
    """
    values = {
        "operator_id": operator_id,
        "name": name,
        "role": role,
        "prefix": prefix,
        "token_hash": token_hash,
        "expires_at": expires_at,
    }
    statement = insert(OperatorRow).values(values).on_conflict_do_nothing(index_elements=[OperatorRow.prefix])
    async with engine.begin() as connection:
        if (await connection.execute(statement.returning(OperatorRow.operator_id))).one_or_none() is None:
            raise PrefixTaken(prefix)


async def find(engine: AsyncEngine, prefix: str) -> OperatorProof | None:
    """Return the operator whose token has this prefix, dead ones included; None when there is none."""
    columns = (
        OperatorRow.operator_id,
        OperatorRow.name,
        OperatorRow.role,
        OperatorRow.token_hash,
        OperatorRow.expires_at,
        OperatorRow.revoked_at,
    )
    async with engine.connect() as connection:
        row = (await connection.execute(select(*columns).where(OperatorRow.prefix == prefix))).one_or_none()
    return None if row is None else OperatorProof(*row)


async def any_alive(engine: AsyncEngine) -> bool:
    """Return whether there is an operator whose token is good."""
    statement = select(OperatorRow.operator_id).where(*_alive()).limit(1)
    async with engine.connect() as connection:
        return await connection.scalar(statement) is not None


async def alive(engine: AsyncEngine, operator_ids: Sequence[str]) -> set[str]:
    """Return those of these operators whose tokens are good."""
    statement = select(OperatorRow.operator_id).where(OperatorRow.operator_id.in_(operator_ids), *_alive())
    async with engine.connect() as connection:
        return set(await connection.scalars(statement))


async def list_all(engine: AsyncEngine) -> list[OperatorRecord]:
    """Return all operators, oldest first."""
    statement = select(*_RECORD).order_by(OperatorRow.created_at, OperatorRow.operator_id).limit(OPERATORS_MOST)
    async with engine.connect() as connection:
        return [OperatorRecord(*row) for row in await connection.execute(statement)]


async def revoke(engine: AsyncEngine, word: str) -> list[OperatorRecord]:
    """End the token with this id, or all tokens of this name, for good; return what was alive of them."""
    statement = (
        update(OperatorRow)
        .where(or_(OperatorRow.operator_id == word, OperatorRow.name == word), OperatorRow.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(*_RECORD)
    )
    async with engine.begin() as connection:
        return [OperatorRecord(*row) for row in await connection.execute(statement)]


def _alive() -> tuple[ColumnElement[bool], ...]:
    return (
        OperatorRow.revoked_at.is_(None),
        or_(OperatorRow.expires_at.is_(None), OperatorRow.expires_at > func.now()),
    )
