"""A gateway with a cluster made up behind it, and operators of both roles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path

import pytest
from redis.asyncio import Redis

from api.accounts.tokens import new_id, new_operator_token
from api.services import Services
from cluster.operating import ClusterOperating
from config.settings import Settings
from store import operators
from tests.api.people import bearer
from tests.api.support import FakeWorld

Headers = dict[str, str]
NewOperator = Callable[..., Awaitable[tuple[str, Headers]]]


@pytest.fixture
def settings(fresh_postgres_url: str, valkey_url: str, tmp_path: Path) -> Settings:
    # In prod, so that nothing but an operator's token opens anything.
    return Settings(
        environment="prod",
        secret_pepper="x" * 40,
        database_url=fresh_postgres_url,
        redis_url=valkey_url,
        backup_dir=str(tmp_path / "backups"),
        limit_operator_calls="10000+1000/s",
    )


@pytest.fixture
async def services(settings: Settings, world: FakeWorld, redis: Redis) -> AsyncIterator[Services]:
    services = Services.build(settings, world, operating=ClusterOperating(redis, settings))
    services.start()
    yield services
    await services.close()


@pytest.fixture
def new_operator(services: Services) -> NewOperator:
    """Make an operator; gives back the id and the header with the token."""

    async def make(name: str, role: str, expires_at: datetime | None = None) -> tuple[str, Headers]:
        token, operator_id = new_operator_token(), new_id("opr")
        await operators.create(
            services.engine,
            operator_id=operator_id,
            name=name,
            role=role,
            prefix=token.prefix,
            token_hash=token.digest,
            expires_at=expires_at,
        )
        return operator_id, bearer(token.plain)

    return make


@pytest.fixture
async def operator(new_operator: NewOperator) -> Headers:
    return (await new_operator("alice", "operator"))[1]


@pytest.fixture
async def viewer(new_operator: NewOperator) -> Headers:
    return (await new_operator("vera", "viewer"))[1]
