"""What operators do, over a cluster made up in Redis."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from redis.asyncio import Redis

from api.services import Services
from cluster import operator_jobs
from cluster.operator_jobs import list_backups
from cluster.pins import read_pins
from store import audit
from streaming import keys
from streaming.frozen import Frozen, read_frozen
from tests.api.operator.conftest import Headers, NewOperator
from tests.api.operator.status import NODE_ID, make_up
from tests.api.people import refused

PREFIX = "/v1/operator"


@pytest.fixture(autouse=True)
async def made_up(redis: Redis, services: Services) -> None:
    await make_up(redis, agents=2)


async def act(
    http: httpx.AsyncClient, path: str, headers: Headers, body: dict[str, Any] | None = None, status: int = 200
) -> dict[str, Any]:
    answer = await http.post(PREFIX + path, headers=headers, json=body or {})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_mute_and_unmute(http: httpx.AsyncClient, services: Services, operator: Headers) -> None:
    done = await act(http, "/agents/a-0/mute", operator, {"minutes": 2})
    assert done["standing"]["muted_by"] == "operator"
    assert 0 < done["standing"]["muted_ms"] <= 120_000
    listed = (await http.get(f"{PREFIX}/moderation", headers=operator)).json()
    assert [row["agent_id"] for row in listed["rows"]] == ["a-0"]
    done = await act(http, "/agents/a-0/unmute", operator)
    assert done["standing"]["muted_by"] is None
    assert (await http.get(f"{PREFIX}/moderation", headers=operator)).json()["rows"] == []


async def test_ban_and_unban_are_known_here_at_once(
    http: httpx.AsyncClient, services: Services, operator: Headers
) -> None:
    done = await act(http, "/agents/a-0/ban", operator, {"reason": "spam", "minutes": 5})
    assert (done["ban"]["reason"], done["ban"]["by"]) == ("spam", "alice")
    assert services.bans.bars("acc_1", "a-0")
    assert not services.bans.bars("acc_1", "a-1")
    await act(http, "/agents/a-0/unban", operator)
    assert not services.bans.bars("acc_1", "a-0")
    refused(await http.post(f"{PREFIX}/agents/a-0/unban", headers=operator), 404, "not_banned")
    refused(await http.post(f"{PREFIX}/accounts/acc_x/ban", headers=operator, json={}), 404, "account_not_found")
    refused(await http.post(f"{PREFIX}/agents/nobody/ban", headers=operator, json={}), 404, "agent_not_found")


async def test_freeze_and_thaw_tell_and_are_noted(http: httpx.AsyncClient, redis: Redis, operator: Headers) -> None:
    assert (await act(http, "/chunks/chunk-1/freeze", operator))["changed"] is True
    assert (await act(http, "/chunks/chunk-1/freeze", operator))["changed"] is False
    await act(http, "/world/freeze", operator)
    assert await read_frozen(redis) == Frozen(world=True, chunks=frozenset({"chunk-1"}))
    await act(http, "/world/thaw", operator)
    assert (await act(http, "/chunks/chunk-1/thaw", operator))["changed"] is True
    assert await read_frozen(redis) == Frozen()
    refused(await http.post(f"{PREFIX}/chunks/chunk-99/freeze", headers=operator), 404, "chunk_not_found")


async def test_pins_scale_rebalance_and_drain_are_wishes_in_redis(
    http: httpx.AsyncClient, services: Services, redis: Redis, operator: Headers
) -> None:
    await act(http, "/pins/chunk-1", operator)
    await act(http, "/pins/shard-1", operator)
    assert await read_pins(redis) is not None
    assert (await http.delete(f"{PREFIX}/pins/chunk-1", headers=operator)).json()["changed"] is True
    pins = await read_pins(redis)
    assert (set(pins.chunks), set(pins.shards)) == (set(), {1})
    answer = await http.post(f"{PREFIX}/pins/chunk-99", headers=operator)
    refused(answer, 409, "refused")
    assert "chunk-99" in answer.json()["text"]
    await act(http, "/scale", operator, {"shards": 3})
    assert await redis.hget(keys.WORLD, keys.WANTED_SHARDS) == b"3"
    await act(http, "/rebalance", operator)
    assert await redis.exists(keys.REBALANCE)
    answer = await http.post(f"{PREFIX}/nodes/3f2a/drain", headers=operator)
    refused(answer, 409, "refused")  # the only one
    assert "last node" in answer.json()["text"]
    refused(await http.post(f"{PREFIX}/nodes/none/drain", headers=operator), 404, "node_not_found")
    await redis.hset(keys.DRAINED, NODE_ID, orjson.dumps({"v": 1, "by": "operator", "at_ms": 1}))
    await act(http, "/nodes/3f2a/undrain", operator)
    lines = await audit.lines(services.engine, subject=NODE_ID, limit=10)
    assert [(line.action, line.outcome) for line in lines] == [("undrain", "done"), ("drain", "refused")]
    assert not await redis.exists(keys.DRAINED)


async def test_out_of_bounds_is_refused_in_one_line(http: httpx.AsyncClient, redis: Redis, operator: Headers) -> None:
    await make_up(redis, bounds=[2, 4])
    answer = await http.post(f"{PREFIX}/scale", headers=operator, json={"shards": 9})
    refused(answer, 409, "refused")
    assert "between 2 and 4" in answer.json()["text"]
    await make_up(redis, balance={"on": False})
    refused(await http.post(f"{PREFIX}/rebalance", headers=operator), 409, "refused")


async def test_sessions_are_revoked(
    http: httpx.AsyncClient, services: Services, operator: Headers, redis: Redis
) -> None:
    from datetime import UTC, datetime

    from store import accounts
    from store.sessions import SessionRecord
    from streaming.shared_clock import utc_now

    await accounts.ensure(services.engine, "acc_1", "one@example.org")
    opened = await services.sessions.open(
        role="agent", account_id="acc_1", agent_id="a-0", key_id=None, key_expires_at=None, now_s=services.now_s()
    )
    ends = datetime.fromtimestamp(opened.session.expires_at, UTC)
    services.session_log.put(SessionRecord(opened.session.jti, "h", "acc_1", None, "agent", "a-0", utc_now(), ends))
    assert (await act(http, "/agents/a-1/revoke-sessions", operator))["revoked"] == 0
    assert await services.auth.still_alive([opened.session.jti]) == {opened.session.jti}
    assert (await act(http, "/agents/a-0/revoke-sessions", operator))["revoked"] == 1
    assert await services.auth.still_alive([opened.session.jti]) == set()
    assert (await act(http, "/accounts/acc_1/revoke-sessions", operator))["revoked"] == 0


async def test_one_backup_or_check_at_a_time(
    http: httpx.AsyncClient, redis: Redis, operator: Headers, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(operator_jobs, "_start", nothing)
    done = await act(http, "/backups", operator, {"name": "first"}, status=202)
    assert (done["job"]["name"], done["job"]["state"]) == ("first", "running")
    answer = await http.post(f"{PREFIX}/fsck", headers=operator)
    refused(answer, 409, "refused")
    listed = (await http.get(f"{PREFIX}/backups", headers=operator)).json()
    assert listed["job"]["job_id"] == done["job"]["job_id"]
    refused(await http.post(f"{PREFIX}/backups/none/verify", headers=operator), 404, "backup_not_found")
    for name in ("../x", ".x", "a/b", ""):
        assert (await http.post(f"{PREFIX}/backups", headers=operator, json={"name": name})).status_code == 422
    assert list_backups(services.settings) == []


async def test_a_revoked_operator_is_out(http: httpx.AsyncClient, operator: Headers, new_operator: NewOperator) -> None:
    operator_id, other = await new_operator("bob", "operator")
    assert (await http.get(f"{PREFIX}/me", headers=other)).status_code == 200
    await act(http, f"/operators/{operator_id}/revoke", operator)
    refused(await http.get(f"{PREFIX}/me", headers=other), 401, "invalid_token")
    refused(await http.post(f"{PREFIX}/operators/{operator_id}/revoke", headers=operator), 404, "operator_not_found")
