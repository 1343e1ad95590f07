"""``Agent`` against a small server over real sockets: commands, lost lines, takeover, sessions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from chunkcrawl import Agent
from chunkcrawl.errors import (
    AgentClosed,
    BannedWords,
    Blocked,
    Busy,
    CommandDropped,
    Forbidden,
    InvalidCommand,
    InvalidSession,
    Muted,
    OutcomeUnknown,
    RateLimited,
    ServerUnreachable,
    StillRunning,
    TakenOver,
)
from chunkcrawl.transport import connection
from chunkcrawl.wire.messages import CommandResult
from tests.sdk.fake_server import FakeServer, Speaker


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer().running() as running:
        yield running


@pytest.fixture(autouse=True)
def quick_reconnects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "RESTART_SPREAD_S", 0.05)


class Quick(random.Random):
    """Jitter of nothing: tries follow at once."""

    def uniform(self, a: float, b: float) -> float:
        return a


def agent(server: FakeServer, *, key: str = "dcw_good", retries: int = 5, open_timeout_s: float = 5.0) -> Agent:
    return Agent.connect(
        server.base,
        agent_id="scout",
        api_key=key,
        api=server.api(),
        retries=retries,
        open_timeout_s=open_timeout_s,
        rng=Quick(1),
    )


async def test_it_enters_with_terrain_and_place_known(server: FakeServer) -> None:
    async with agent(server) as me:
        assert me.position == (1, 1)
        assert me.chunk_id == "chunk-0"
        states = [me.connected]
    states.append(me.connected)
    assert states == [True, False]
    assert server.live_tokens == set()


@pytest.mark.parametrize("difficulty", [0, 2, 3])
async def test_a_move_is_signed_solved_and_seen(server: FakeServer, difficulty: int) -> None:
    server.difficulty = difficulty
    async with agent(server) as me:
        completed = await me.move_to(3, 3)
        assert me.position == (3, 3)
        assert completed.ended_tick == me.view.tick
        assert me.ack_s is not None
    assert server.commands == [{"type": "move_to", "x": 3, "y": 3}]


async def test_text_beyond_ascii_is_signed_as_it_is_sent(server: FakeServer) -> None:
    async with agent(server) as me:
        await me.say("h\u00e9llo\u2028\U0001f600\x7f")
    assert server.commands == [{"type": "say", "text": "h\u00e9llo\u2028\U0001f600\x7f"}]


async def test_calls_from_many_tasks_take_turns(server: FakeServer) -> None:
    async with agent(server, retries=0) as me:
        await asyncio.gather(*(me.say(str(number)) for number in range(10)))
    assert [cmd["text"] for cmd in server.commands] == [str(number) for number in range(10)]


async def test_busy_is_tried_again_after_the_servers_time(server: FakeServer) -> None:
    server.faults = ["busy", "busy"]
    async with agent(server) as me:
        await me.move_to(2, 2)
    assert len(server.commands) == 1


async def test_tries_are_bounded_and_can_be_switched_off(server: FakeServer) -> None:
    server.faults = ["busy"] * 3
    async with agent(server, retries=2) as me:
        with pytest.raises(Busy) as caught:
            await me.move_to(2, 2)
    assert caught.value.retry_after_ms == 20
    server.faults = ["busy"]
    async with agent(server, retries=0) as me:
        with pytest.raises(Busy):
            await me.move_to(2, 2)


async def test_a_mute_is_told_at_once(server: FakeServer) -> None:
    server.faults = ["mute"]
    async with agent(server) as me:
        with pytest.raises(RateLimited) as caught:
            await me.say("hello")
    assert caught.value.retry_after_ms == 600_000
    assert isinstance(caught.value, Muted)


async def test_banned_words_are_told_with_how_many_more_mute(server: FakeServer) -> None:
    server.faults = ["ban", "ban"]
    async with agent(server) as me:
        texts = []
        for _ in range(2):
            with pytest.raises(InvalidCommand) as caught:
                await me.say("badword")
            assert isinstance(caught.value, BannedWords)
            assert (caught.value.reason, caught.value.code) == ("invalid_cmd", "banned_words")
            texts.append(str(caught.value))
    assert "1 more such message mutes this agent" in texts[0]
    assert "muted now, for 600 s" in texts[1]
    assert server.commands == []


async def test_a_blocked_move_is_an_error_with_the_place(server: FakeServer) -> None:
    server.faults = ["block"]
    async with agent(server) as me:
        with pytest.raises(Blocked) as caught:
            await me.move_to(2, 3)
    assert caught.value.blocked_at == (2, 3)


@pytest.mark.parametrize("fault", ["drop_after_request", "drop_before_ack", "drop_before_result"])
async def test_a_lost_line_does_not_lose_or_double_a_command(server: FakeServer, fault: str) -> None:
    server.faults = [fault]
    async with agent(server) as me:
        await me.move_to(3, 1)
        assert me.connections == 2
        await me.move_to(1, 3)
    assert [(cmd["x"], cmd["y"]) for cmd in server.commands] == [(3, 1), (1, 3)]


async def test_a_reconnect_says_where_it_was(server: FakeServer) -> None:
    async with agent(server) as me:
        await me.move_to(3, 1)
        server.sockets[0].transport.abort()
        await me.move_to(1, 1)
    assert server.resumes == [None, "e-3"]


async def test_a_resume_shows_each_event_once(server: FakeServer) -> None:
    server.faults = ["drop_before_result"]
    async with agent(server) as me:
        events = me.events()
        await me.move_to(3, 1)
        await me.move_to(1, 1)
    results = [event.event_id async for event in events if isinstance(event, CommandResult)]
    assert len(results) == len(set(results)) == 2


async def test_the_newer_connection_wins_and_the_older_says_so(server: FakeServer) -> None:
    async with agent(server) as me:
        events = me.events()
        await server.sockets[0].close(4001)
        with pytest.raises(TakenOver):
            await me.move_to(2, 2)
        with pytest.raises(TakenOver):
            async for _ in events:
                pass
    assert len(server.sockets) == 1


async def test_a_takeover_during_a_command_reaches_its_caller(server: FakeServer) -> None:
    async with agent(server) as me:
        harvest = asyncio.create_task(me.harvest("g-1"))
        await me.wait_until(lambda _: bool(server.commands), 5)
        await server.sockets[0].close(4001)
        with pytest.raises(TakenOver):
            await harvest


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, 4002])
async def test_other_close_codes_mean_come_back(server: FakeServer, code: int) -> None:
    async with agent(server) as me:
        await server.sockets[0].close(code)
        await me.move_to(2, 2)
        assert me.connections == 2
    assert server.sessions == 1


async def test_a_policy_close_gets_a_new_session(server: FakeServer) -> None:
    async with agent(server) as me:
        await server.sockets[0].close(1008)
        await me.move_to(2, 2)
    assert server.sessions == 2


async def test_a_dead_session_is_replaced_when_reconnecting(server: FakeServer) -> None:
    async with agent(server) as me:
        server.live_tokens.clear()
        server.sockets[0].transport.abort()
        await me.move_to(2, 2)
    assert server.sessions == 2


async def test_a_session_is_refreshed_before_it_ends(server: FakeServer) -> None:
    server.session_lifetime_s = 1
    async with agent(server) as me:
        async with asyncio.timeout(10):
            while server.refreshes < 2:
                await asyncio.sleep(0.05)
        await me.move_to(2, 2)
    assert (server.sessions, me.connections) == (1, 1)


async def test_a_server_that_is_not_ready_is_waited_for(server: FakeServer) -> None:
    server.refuse_sockets = [503, 401]
    async with agent(server) as me:
        await me.move_to(2, 2)
    assert server.sessions == 2


async def test_refusals_for_good_are_told_on_entering(server: FakeServer) -> None:
    server.refuse_sockets = [403]
    with pytest.raises(Forbidden, match="agent_not_owned"):
        async with agent(server):
            pass
    server.refuse_sockets = [401] * 5
    with pytest.raises(InvalidSession):
        async with agent(server):
            pass
    assert len(server.refuse_sockets) == 2
    with pytest.raises(InvalidSession, match="invalid_api_key"):
        async with agent(server, key="dcw_bad"):
            pass


async def test_nobody_there_is_told_after_the_given_time() -> None:
    nobody = FakeServer()
    nobody.base = "http://127.0.0.1:9"
    with pytest.raises(ServerUnreachable):
        async with agent(nobody, open_timeout_s=0.3):
            pass


async def test_a_harvest_lets_the_next_command_pass(server: FakeServer) -> None:
    async with agent(server) as me:
        harvest = asyncio.create_task(me.harvest("g-1"))
        await me.wait_until(lambda _: bool(server.commands), 5)
        await me.move_to(2, 2)
        assert not harvest.done()
        server.harvest_ends.set()
        await harvest
    assert [cmd["type"] for cmd in server.commands] == ["harvest", "move_to"]


async def test_silence_before_the_answer_is_asked_again_and_after_it_is_unknown(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults = ["silent"]
    monkeypatch.setattr("chunkcrawl.transport.conversation.REPLY_TIMEOUT_S", 0.05)
    async with agent(server) as me:
        await me.move_to(2, 2)
        assert len(server.commands) == 1

        async def no_answer(*_: object) -> None:
            return

        monkeypatch.setattr("tests.sdk.fake_server.Speaker.answered", no_answer)
        with pytest.raises(OutcomeUnknown):
            await me.move_to(3, 3)


# -- every wait has a bound --


@pytest.mark.parametrize("fault", ["lose_history", "lose_result"])
@pytest.mark.parametrize("harvest", [False, True])
async def test_a_command_whose_result_is_lost_ends_as_unknown(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, fault: str, harvest: bool
) -> None:
    """History that is lost is told by ``resync_required`` and settles at once, else what the world shows does."""
    monkeypatch.setattr("chunkcrawl.transport.conversation.LOST_AFTER_S", 0.05)
    monkeypatch.setattr("chunkcrawl.transport.conversation.RESULT_TIMEOUT_S", 0.3 if fault == "lose_result" else 600.0)
    server.faults = [fault]
    async with agent(server) as me, asyncio.timeout(10):
        with pytest.raises(OutcomeUnknown, match="result was lost"):
            await (me.harvest("g-1") if harvest else me.move_to(2, 2))
        await me.move_to(3, 3)
    assert len(server.commands) == 2


async def test_what_the_world_shows_running_is_waited_for_over_lost_history(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chunkcrawl.transport.conversation.LOST_AFTER_S", 0.05)
    monkeypatch.setattr("chunkcrawl.transport.conversation.RESULT_TIMEOUT_S", 0.05)
    async with agent(server) as me:
        harvest = asyncio.create_task(me.harvest("g-1"))
        assert await me.wait_until(lambda _: me.me is not None and me.me.activity_state == "harvesting", 5)
        await Speaker(server, server.sockets[0], "ch_1", "jti_1").say("resync_required", {"reason": "history_lost"})
        await asyncio.sleep(0.5)
        assert not harvest.done()
        server.harvest_ends.set()
        await harvest


async def test_a_command_is_withdrawn_when_its_time_is_up(server: FakeServer) -> None:
    server.faults = ["silent"]
    async with agent(server) as me, asyncio.timeout(10):
        with pytest.raises(CommandDropped, match="nothing will happen"):
            await me.move_to(2, 2, timeout_s=0.1)
        with pytest.raises(StillRunning) as caught:
            await me.harvest("g-1", timeout_s=0.5)
        await me.move_to(3, 3)
    assert caught.value.client_cmd_id
    assert [cmd["type"] for cmd in server.commands] == ["harvest", "move_to"]


async def test_work_for_a_command_that_was_given_up_ends(server: FakeServer) -> None:
    """A proof that takes too long, or can't be found at all, must not go on in its thread."""
    server.difficulty = 40
    async with agent(server) as me:
        with pytest.raises(CommandDropped):
            await me.move_to(2, 2, timeout_s=0.2)
        await asyncio.sleep(0.1)
        assert not me._conversation._proofs
        server.difficulty = 1
        await me.move_to(3, 3)
    assert len(server.commands) == 1


async def test_a_command_does_not_wait_for_a_server_that_is_away(server: FakeServer) -> None:
    async with agent(server) as me:
        server.refuse_sockets = [503] * 1_000
        server.sockets[0].transport.abort()
        await me.wait_until(lambda _: not me.connected, 0.2)
        with pytest.raises(ServerUnreachable, match="not sent"):
            await me.move_to(2, 2, timeout_s=0.2)
        assert me.away_s is not None
        server.refuse_sockets.clear()
        assert await me.wait_until(lambda _: me.connected, 10)
        assert [me.away_s, me.problem, me.ended] == [None, None, None]
    assert server.commands == []


async def test_a_connection_that_stays_away_ends_the_agent_for_all_who_wait(server: FakeServer) -> None:
    me = Agent.connect(server.base, agent_id="scout", api_key="dcw_good", api=server.api(), away_timeout_s=0.3)
    async with me:
        events = me.events()
        server.refuse_sockets = [503] * 10_000
        server.sockets[0].transport.abort()
        waiting = [me.move_to(2, 2), me.say("hello"), me.wait_until(lambda _: False), _count(events)]
        async with asyncio.timeout(10):
            ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [ServerUnreachable] * 4
        assert isinstance(me.ended, ServerUnreachable)


async def test_a_peer_that_takes_nothing_is_left(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SEND_TIMEOUT_S", 0.1)
    async with agent(server) as me:
        socket = me._connection._socket
        assert socket is not None

        async def never(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(socket, "send", never)
        async with asyncio.timeout(10):
            await me.move_to(2, 2)
        assert me.connections == 2


async def test_a_cancelled_call_leaves_the_agent_usable(server: FakeServer) -> None:
    server.faults = ["silent"]
    async with agent(server) as me:
        call = asyncio.create_task(me.move_to(2, 2))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await me.move_to(3, 3)
    assert server.commands == [{"type": "move_to", "x": 3, "y": 3}]


async def test_closing_ends_listeners_and_later_calls(server: FakeServer) -> None:
    async with agent(server) as me:
        events = me.events()
        reader = asyncio.create_task(_count(events))
        await me.move_to(2, 2)
    assert await reader > 0
    with pytest.raises(AgentClosed):
        await me.move_to(3, 3)


async def _count(events: AsyncIterator[object]) -> int:
    return len([event async for event in events])


async def test_silence_of_the_line_makes_it_reconnect(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PING_AFTER_S", 0.1)
    monkeypatch.setattr(connection, "SILENCE_MAX_S", 0.4)

    async def deaf(*_: object) -> None:
        return

    async with agent(server) as me:
        await asyncio.sleep(0.8)
        assert me.connections == 1, "a server that answers pings is alive"
        monkeypatch.setattr("tests.sdk.fake_server.Speaker.hear", deaf)
        async with asyncio.timeout(5):
            while me.connections == 1:
                await asyncio.sleep(0.05)


async def test_a_session_handed_in_is_used_and_left_alone(server: FakeServer) -> None:
    api = server.api()
    session = await api.open_session("dcw_good", "agent", "scout")
    async with Agent.connect(server.base, agent_id="scout", session=session, api=api) as me:
        await me.move_to(2, 2)
    assert server.live_tokens == {session.session_token}


def test_credentials_are_needed() -> None:
    with pytest.raises(ValueError, match="api_key or session"):
        Agent.connect("http://127.0.0.1:9", agent_id="scout", api=FakeServer().api())
