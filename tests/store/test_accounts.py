from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from store import accounts
from store.accounts import EmailTaken
from store.models import Account
from tests.store.rows import new_account


async def test_an_account_is_found_by_email_and_by_token(engine: AsyncEngine) -> None:
    await accounts.create(engine, account_id="acc_x", email="x@x.org", password_hash="p", token_hash="t")
    login = await accounts.login(engine, "x@x.org")
    assert login is not None
    assert (login.account_id, login.password_hash) == ("acc_x", "p")
    assert await accounts.by_token_hash(engine, "t") == "acc_x"
    assert await accounts.exists(engine, "x@x.org")


async def test_nobody_is_found_by_what_nobody_has(engine: AsyncEngine) -> None:
    assert await accounts.login(engine, "none@x.org") is None
    assert await accounts.by_token_hash(engine, "none") is None
    assert not await accounts.exists(engine, "none@x.org")


async def test_of_twenty_signups_at_once_the_constraint_lets_one_through(engine: AsyncEngine) -> None:
    """Nineteen are told so, one row is there, and the pool has no connection in a failed transaction (pitfall B26)."""
    outcomes = await asyncio.gather(
        *(new_account(engine, "same@example.com") for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, str) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, EmailTaken) for outcome in outcomes) == 19
    async with engine.connect() as connection:
        statement = select(func.count()).where(Account.email == "same@example.com")
        assert await connection.scalar(statement) == 1
    for _ in range(50):
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1


async def test_an_ensured_account_can_be_ensured_again_and_not_logged_in_to(engine: AsyncEngine) -> None:
    for _ in range(2):
        await accounts.ensure(engine, "acc_dev", "dev@chunkcrawl.invalid")
    login = await accounts.login(engine, "dev@chunkcrawl.invalid")
    assert login is not None
    assert login.password_hash == "!"


async def test_an_account_does_not_show_its_hash(engine: AsyncEngine) -> None:
    await new_account(engine, "shy@example.com")
    assert "argon2" not in repr(await accounts.login(engine, "shy@example.com"))


async def test_a_taken_id_is_an_error_that_quotes_no_values(engine: AsyncEngine) -> None:
    """Parameters stay out of error texts, which end up in logs."""
    await accounts.create(engine, account_id="acc_y", email="y@x.org", password_hash="secret-hash", token_hash="ty")
    with pytest.raises(Exception, match="IntegrityError|UniqueViolation") as caught:
        await accounts.create(engine, account_id="acc_y", email="z@x.org", password_hash="secret-hash", token_hash="tz")
    assert "secret-hash" not in str(caught.value)
