"""Sessions of a client: opened when needed, refreshed in time, replaced when dead, ended by whoever opened them."""

from __future__ import annotations

import asyncio
import random
from typing import Any, cast

import pytest

from chunkcrawl.errors import ApiError, InvalidSession, NotReady, ServerUnreachable
from chunkcrawl.transport import sessions
from chunkcrawl.transport.backoff import Backoff
from chunkcrawl.transport.http import Api, Session
from chunkcrawl.transport.sessions import SessionKeeper


class FakeApi:
    """Opens and refreshes sessions one after the other; ``troubles`` are raised first."""

    def __init__(self) -> None:
        self.opened: list[tuple[Any, ...]] = []
        self.refreshed: list[str] = []
        self.ended: list[str] = []
        self.troubles: list[Exception] = []

    async def open_session(self, *asked: Any) -> Session:
        self.opened.append(asked)
        return Session(f"sess_{len(self.opened)}", lifetime_s=0.0)

    async def refresh_session(self, session: Session) -> Session:
        if self.troubles:
            raise self.troubles.pop(0)
        self.refreshed.append(session.session_token)
        return Session(f"{session.session_token}+", lifetime_s=0.0)

    async def end_session(self, session: Session) -> None:
        self.ended.append(session.session_token)


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


def keeper(api: FakeApi, **how: Any) -> SessionKeeper:
    how = {"api_key": "dcw_1"} | how
    return SessionKeeper.of_role(cast(Api, api), "agent", "ada", rng=random.Random(1), **how)


async def test_one_is_opened_when_it_is_needed_and_kept(api: FakeApi) -> None:
    keeping = keeper(api)
    assert api.opened == []
    assert await keeping.current() is await keeping.current()
    assert (api.opened, keeping.opened) == ([("dcw_1", "agent", "ada")], 1)


async def test_a_dead_one_is_replaced_and_news_of_an_older_one_changes_nothing(api: FakeApi) -> None:
    keeping = keeper(api)
    first = await keeping.current()
    keeping.dead(first)
    second = await keeping.current()
    assert second.session_token == "sess_2"
    keeping.dead(first)
    assert await keeping.current() is second


async def test_one_that_was_given_can_not_be_replaced_and_is_not_ended(api: FakeApi) -> None:
    given = Session("sess_given")
    keeping = keeper(api, api_key=None, session=given)
    assert await keeping.current() is given
    await keeping.end()
    assert api.ended == []
    with pytest.raises(InvalidSession):
        await keeping.current()


def test_neither_key_nor_session_is_an_error_at_once(api: FakeApi) -> None:
    with pytest.raises(ValueError, match="api_key or session"):
        keeper(api, api_key=None)


async def test_whoever_opened_it_ends_it_once(api: FakeApi) -> None:
    keeping = keeper(api)
    await keeping.current()
    await keeping.end()
    await keeping.end()
    assert api.ended == ["sess_1"]


async def test_it_is_refreshed_over_troubles_that_pass_until_it_is_dead(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "REFRESH_AFTER_MIN_S", 0.0)
    monkeypatch.setattr(Backoff, "next_delay", lambda self, at_least_s=0.0: 0.0)
    keeping = keeper(api)
    session = await keeping.current()
    api.troubles = [ServerUnreachable("away"), NotReady(503, "unavailable"), ApiError(429, "rate_limited")]
    refreshing = asyncio.create_task(keeping.keep(session))
    async with asyncio.timeout(10):
        while not api.refreshed:
            await asyncio.sleep(0)
    assert (await keeping.current()).session_token.startswith("sess_1+")
    api.troubles = [InvalidSession(401, "invalid_session")]
    await asyncio.wait_for(refreshing, 10)
    assert (await keeping.current()).session_token == "sess_2"
