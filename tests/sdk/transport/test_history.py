"""Reading a history: pages one after the other, what is asked, and what odd answers become."""

from __future__ import annotations

import datetime as dt
from typing import Any

import httpx
import pytest

from chunkcrawl.errors import ProtocolViolation
from chunkcrawl.transport.history import read_history
from chunkcrawl.transport.http import Api

AT = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def entry(number: int) -> dict[str, Any]:
    fields = {"tick": number, "chunk_id": None, "agent_id": "a/b", "kind": "chat", "details": {"text": "hi"}}
    return {"entry_id": f"{number}-0", "at": "2026-03-01T12:00:00Z"} | fields


class Server:
    """Has entries 9..0 and gives them in pages of at most three."""

    def __init__(self) -> None:
        self.seen: list[httpx.URL] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request.url)
        asked = request.url.params
        first = int(asked["before"].partition("-")[0]) - 1 if "before" in asked else 9
        size = min(3, int(asked["limit"]))
        page = [entry(number) for number in range(first, max(first - size, -1), -1)]
        more = page and page[-1]["tick"] > 0
        return httpx.Response(
            200, json={"agent_id": "a", "entries": page, "next": page[-1]["entry_id"] if more else None}
        )

    @property
    def api(self) -> Api:
        return Api("http://test/", http=httpx.AsyncClient(transport=httpx.MockTransport(self)))


async def test_all_pages_are_read_newest_first() -> None:
    server = Server()
    found = [one async for one in read_history(server.api, "a", "token")]
    assert [one.tick for one in found] == list(range(9, -1, -1))
    assert (found[0].at, found[0].to_json()) == (AT, entry(9))
    assert len(server.seen) == 4


@pytest.mark.parametrize(("limit", "requests"), [(0, 0), (2, 1), (3, 1), (4, 2), (100, 4)])
async def test_no_more_is_read_than_was_asked_for(limit: int, requests: int) -> None:
    server = Server()
    found = [one async for one in read_history(server.api, "a", "token", limit=limit)]
    assert (len(found), len(server.seen)) == (min(limit, 10), requests)


async def test_what_is_asked_is_in_the_query() -> None:
    server = Server()
    naive = AT.replace(tzinfo=None)
    async for _ in read_history(server.api, "a/b", "token", since=naive, until=AT, kinds=("give", "chat"), limit=1):
        pass
    [url] = server.seen
    assert url.raw_path.startswith(b"/v1/agents/a%2Fb/history?")
    assert url.params.multi_items() == [
        ("since", "2026-03-01T12:00:00+00:00"),
        ("until", "2026-03-01T12:00:00+00:00"),
        ("kind", "give"),
        ("kind", "chat"),
        ("limit", "1"),
    ]


async def test_an_answer_of_another_shape_is_a_violation() -> None:
    odd = Api(
        "http://test", http=httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=[])))
    )
    with pytest.raises(ProtocolViolation):
        async for _ in read_history(odd, "a", "token"):
            pass
