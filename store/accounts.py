"""Accounts in PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from config.errors import ServerError
from store.models import Account


class EmailTaken(ServerError):
    """Another account has this e-mail."""

    reason = "email_already_exists"


@dataclass(frozen=True, slots=True)
class Login:
    """What a login by password needs."""

    account_id: str
    password_hash: str = field(repr=False)


async def create(engine: AsyncEngine, *, account_id: str, email: str, password_hash: str, token_hash: str) -> None:
    """Add an account.  ``email`` must be in the normal form.

    Raises:
        EmailTaken: the constraint says so, whoever else is signing up at the same moment.
    """
    statement = (
        insert(Account)
        .values(account_id=account_id, email=email, password_hash=password_hash, token_hash=token_hash)
        .on_conflict_do_nothing(index_elements=[Account.email])
        .returning(Account.account_id)
    )
    async with engine.begin() as connection:
        if await connection.scalar(statement) is None:
            raise EmailTaken(email)


async def ensure(engine: AsyncEngine, account_id: str, email: str) -> None:
    """Make sure that an account exists that nobody can log in to."""
    values = {"account_id": account_id, "email": email, "password_hash": "!", "token_hash": f"!{account_id}"}
    async with engine.begin() as connection:
        await connection.execute(insert(Account).values(values).on_conflict_do_nothing())


async def exists(engine: AsyncEngine, email: str) -> bool:
    """Return whether an account has this e-mail."""
    async with engine.connect() as connection:
        return await connection.scalar(select(Account.account_id).where(Account.email == email)) is not None


async def login(engine: AsyncEngine, email: str) -> Login | None:
    """Return what a login needs of the account with this e-mail, which is in its normal form; None without one."""
    async with engine.connect() as connection:
        row = (
            await connection.execute(select(Account.account_id, Account.password_hash).where(Account.email == email))
        ).one_or_none()
    return None if row is None else Login(row.account_id, row.password_hash)


async def by_token_hash(engine: AsyncEngine, token_hash: str) -> str | None:
    """Return the account id that an account token (its SHA-256) belongs to."""
    async with engine.connect() as connection:
        found: str | None = await connection.scalar(select(Account.account_id).where(Account.token_hash == token_hash))
    return found


async def is_account(engine: AsyncEngine, account_id: str) -> bool:
    """Return whether there is such an account."""
    async with engine.connect() as connection:
        found = await connection.scalar(select(Account.account_id).where(Account.account_id == account_id))
    return found is not None
