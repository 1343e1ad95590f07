"""``GET /v1/agents/{agent_id}/path``: stays out of moves, pages, whose it is."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from api.errors import ApiError
from api.past.agent_path import stays_of
from api.past.reader import MOVES_MOST
from api.past.whereabouts import AgentWhereabouts, recent_tick
from api.services import Services
from store import event_log
from store.agent_moves import AgentMove
from streaming import keys
from streaming.agent_rewind import Stay
from streaming.shared_clock import now_ms
from tests.api.people import bearer, keyed, refused, session, signed_up
from tests.store.test_agent_moves import MOVES, NOON, OTHERS, at
from tests.streaming.writer import delta_payload, message

PATH = "/v1/agents/a-1/path"


@pytest.fixture(autouse=True)
async def run(redis: Redis) -> None:
    await redis.hset(keys.WORLD, mapping={"seed": 1, "run": "run_1"})


async def owner(http: httpx.AsyncClient) -> str:
    key = await keyed(http, await signed_up(http))
    await session(http, key["api_key"])
    return str(key["api_key"])


async def stays(
    http: httpx.AsyncClient, key: str, **query: Any
) -> list[tuple[str, int | None, int | None, str | None]]:
    found = []
    after: dict[str, str] = {}
    while True:
        answer = await http.get(PATH, params=query | after, headers=bearer(key))
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += [(one["chunk_id"], one["from_tick"], one["to_tick"], one["how"]) for one in body["stays"]]
        if body["next"] is None:
            return found
        after = {"after": body["next"]}


WHOLE = [
    ("chunk-0", 10, 20, "crossing"),
    ("chunk-1", 20, 30, "crossing"),
    ("chunk-2", 30, 40, "leave"),
]


async def test_the_stays_of_an_agent_and_where_their_past_is(http: httpx.AsyncClient, services: Services) -> None:
    key = await owner(http)
    await event_log.insert(services.engine, MOVES + OTHERS)
    assert await stays(http, key) == WHOLE
    answer = (await http.get(PATH, headers=bearer(key))).json()
    assert answer["stays"][0] == {
        "chunk_id": "chunk-0",
        "from_tick": 10,
        "to_tick": 20,
        "came": "2026-03-01T12:00:02Z",
        "left": "2026-03-01T12:00:04Z",
        "how": "crossing",
        "history": "/v1/chunks/chunk-0/history?from=10&to=20",
    }
    for limit in (1, 2, 3):
        assert await stays(http, key, limit=limit) == WHOLE


async def test_a_span_by_ticks_or_by_times(http: httpx.AsyncClient, services: Services) -> None:
    key = await owner(http)
    await event_log.insert(services.engine, MOVES)
    ms = int(NOON.timestamp() * 1000)
    for first, last in ((21, 29), (ms + 21 * 200, ms + 29 * 200)):
        assert await stays(http, key, **{"from": first, "to": last}) == [("chunk-1", 20, None, None)]
    assert await stays(http, key, **{"from": 0, "to": 9}) == []
    assert await stays(http, key, **{"from": 41}) == []


async def test_one_that_has_stood_for_longer_than_moves_are_kept(http: httpx.AsyncClient, redis: Redis) -> None:
    key = await owner(http)
    assert await stays(http, key) == []
    await redis.hset(keys.agent("a-1"), mapping={"chunk": "chunk-7", "here": 1})
    assert await stays(http, key, **{"from": 3}) == [("chunk-7", None, None, None)]


async def test_whose_it_is(http: httpx.AsyncClient) -> None:
    await owner(http)
    other = await keyed(http, await signed_up(http))
    refused(await http.get(PATH), 401, "invalid_session")
    refused(await http.get(PATH, headers=bearer(other["api_key"])), 403, "agent_not_owned")
    unknown = await http.get("/v1/agents/nobody/path", headers=bearer(other["api_key"]))
    refused(unknown, 404, "agent_not_found")
    for query in ("?from=-1", "?limit=0", "?limit=501", "?after=x", f"?to={10**18}"):
        refused(await http.get(PATH + query, headers=bearer(other["api_key"])), 422, "invalid_request")


async def test_too_many_ask(http: httpx.AsyncClient, services: Services) -> None:
    key = await owner(http)
    await event_log.insert(services.engine, MOVES)
    async with AsyncExitStack() as stack:
        for _ in range(MOVES_MOST):
            await stack.enter_async_context(services.past.reading_moves())
        answer = await http.get(PATH, headers=bearer(key))
        refused(answer, 503, "overloaded")
        assert answer.headers["retry-after"] == "1"
        with pytest.raises(ApiError, match="overloaded"):
            await AgentWhereabouts(services, "a-1").stay(20)
    assert await stays(http, key) == WHOLE


def move(tick: int, kind: str, chunk: str, to: str | None = None) -> AgentMove:
    return AgentMove(f"{tick}-0", at(tick), tick, kind, chunk, to)


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([move(5, "crossing", "a", "b")], [("a", None, 5), ("b", 5, None)]),
        ([move(5, "leave", "a")], [("a", None, 5)]),
        ([move(5, "join", "a"), move(9, "crossing", "b", "c")], [("a", 5, None), ("b", None, 9), ("c", 9, None)]),
        ([move(5, "join", "a"), move(9, "join", "b")], [("a", 5, 9), ("b", 9, None)]),
        ([], []),
    ],
)
def test_moves_that_were_lost_from_the_log(
    moves: list[AgentMove], expected: list[tuple[str, int | None, int | None]]
) -> None:
    found = stays_of(None, moves)
    assert [(one.chunk_id, one.came and one.came.tick, one.left and one.left.tick) for one in found] == expected


@pytest.mark.parametrize(
    ("tick", "expected"),
    [
        (0, Stay("chunk-0", 10)),
        (10, Stay("chunk-0", 10)),
        (19, Stay("chunk-0", 10)),
        (20, Stay("chunk-1", 20)),
        (39, Stay("chunk-2", 30)),
        (40, None),
    ],
)
async def test_where_it_was_at_a_tick(services: Services, tick: int, expected: Stay | None) -> None:
    await event_log.insert(services.engine, MOVES + OTHERS)
    assert await AgentWhereabouts(services, "a-1").stay(tick) == expected


async def test_where_it_was_before_the_log(services: Services, redis: Redis) -> None:
    await event_log.insert(services.engine, MOVES[1:3])
    assert await AgentWhereabouts(services, "a-1").stay(3) == Stay("chunk-0", 0)
    await redis.hset(keys.agent("b-1"), mapping={"chunk": "chunk-7", "here": 1})
    assert await AgentWhereabouts(services, "b-1").stay(3) == Stay("chunk-7", 0)
    assert await AgentWhereabouts(services, "nobody").stay(3) is None


async def test_a_tick_of_the_last_minute(services: Services, redis: Redis) -> None:
    now = now_ms()
    assert await recent_tick(services, "a-1", now) is None
    await redis.hset(keys.agent("a-1"), mapping={"chunk": "chunk-0", "here": 1})
    assert await recent_tick(services, "a-1", now) is None
    entry = {"m": message((0, 0), "chunk_delta", delta_payload("chunk-0", 500), ts_ms=now)}
    await redis.xadd(keys.chunk_stream("chunk-0"), entry, id="500-0")  # type: ignore[arg-type]
    assert await recent_tick(services, "a-1", now - 4_000) == 480
    assert await recent_tick(services, "a-1", now + 1_000) == 505
    assert await recent_tick(services, "a-1", now - 3_600_000) is None
    assert await recent_tick(services, "a-1", 7) is None
