"""The registry of long-lived connections: beats, stalls, closing, cutting off, draining; no server, no Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from api.accounts.auth import Session
from api.sockets import connections as module
from api.sockets.connections import CLOSE_POLICY, CLOSE_RESTART, CLOSE_TOO_SLOW, Connection, Connections
from streaming.connect import connect
from streaming.hub import Hub
from streaming.subscriber_queue import Closed, SubscriberQueue
from tests.streaming.writer import delta


class Sessions:
    """Says who lives; ``dead`` do not."""

    def __init__(self) -> None:
        self.dead: set[str] = set()

    async def still_alive(self, jtis: Iterable[str]) -> set[str]:
        return set(jtis) - self.dead


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture
def registry(sessions: Sessions) -> Connections:
    hub = Hub(connect("redis://127.0.0.1:1"))  # never started
    return Connections(hub, sessions, heartbeat_s=15)


def session(jti: str = "jti_1", key_id: str | None = "key_1") -> Session:
    return Session(jti, "spectator", "acc_1", None, key_id, "", 2_000_000_000)


async def read_on(queue: SubscriberQueue) -> None:
    while True:
        await queue.take()
        queue.heartbeat_due = False


async def served(connection: Connection) -> Closed:
    """Serve a connection until it is closed; returns why."""
    async with connection:
        with pytest.raises(Closed) as closed:
            await read_on(connection.queue)
    return closed.value


def why_closed(connection: Connection) -> str | None:
    closed = connection.queue.closed
    return None if closed is None else f"{closed.code} {closed.reason}"


async def stuck(connection: Connection) -> None:
    """Serve a connection whose peer does not read: it never looks into its queue."""
    async with connection:
        await asyncio.get_running_loop().create_future()


def open_one(registry: Connections, jti: str = "jti_1", key_id: str | None = "key_1") -> Connection:
    return registry.open("spectator_sse", session(jti, key_id), SubscriberQueue(4, "overflow_close"))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_session_and_a_key_close_what_is_theirs(registry: Connections) -> None:
    one, other = open_one(registry, "jti_1", "key_1"), open_one(registry, "jti_2", "key_2")
    dev = open_one(registry, "jti_3", None)
    tasks = [asyncio.create_task(served(connection)) for connection in (one, other, dev)]
    await settle()
    registry.close_jti("jti_1")
    registry.close_key("key_2")
    registry.close_jti("jti_unknown")
    assert [(await task).code for task in tasks[:2]] == [CLOSE_POLICY, CLOSE_POLICY]
    assert len(registry) == 1
    registry.close_jti("jti_3")
    assert (await tasks[2]).reason == "invalid_session"
    assert len(registry) == 0
    assert not registry._by_jti


@pytest.mark.parametrize(
    ("message", "closed"),
    [(b"jti jti_1", True), (b"key key_1", True), (b"jti jti_2", False), (b"\xff", False), (b"", False)],
)
async def test_control_messages(registry: Connections, message: bytes, closed: bool) -> None:
    connection = open_one(registry)
    task = asyncio.create_task(served(connection))
    await settle()
    registry._heard(message)
    assert (connection.queue.closed is not None) is closed
    connection.close(CLOSE_POLICY, "over")
    await task


async def test_one_that_is_stuck_is_cut_off(registry: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CUT_OFF_AFTER_S", 0.02)
    connection = open_one(registry)
    task = asyncio.create_task(stuck(connection))
    await settle()
    connection.close(CLOSE_TOO_SLOW, "too_slow")
    await asyncio.wait_for(task, 5)  # ends as if it had returned
    assert not task.cancelled()
    assert len(registry) == 0


async def test_a_cancellation_from_elsewhere_stays_one(registry: Connections) -> None:
    task = asyncio.create_task(stuck(open_one(registry)))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(registry) == 0


async def test_two_untaken_heartbeats_close(registry: Connections) -> None:
    connection = open_one(registry)
    task = asyncio.create_task(stuck(connection))
    await settle()
    connection.beat()
    connection.beat()
    assert why_closed(connection) is None
    connection.queue.heartbeat_due = False  # it was taken after all
    for _ in range(2):
        connection.beat()
    assert why_closed(connection) is None
    connection.beat()
    assert why_closed(connection) == f"{CLOSE_TOO_SLOW} too_slow"
    connection.cut_off()
    await task


async def test_a_full_queue_closes_at_once_though_nobody_takes(registry: Connections) -> None:
    connection = open_one(registry)
    task = asyncio.create_task(stuck(connection))
    await settle()
    for tick in range(1, 7):
        connection.queue.put(delta("chunk-0", (tick, 0), (tick - 1, 0)))
    assert connection.queue.closed is not None
    assert connection.queue.closed.reason == "too_slow"
    connection.cut_off()
    await task


async def test_every_connection_beats(registry: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK_S", 0.01)
    waiting = {open_one(registry, f"jti_{n}") for n in range(40)}
    tasks = [asyncio.create_task(stuck(connection)) for connection in waiting]
    await settle()
    assert max(len(slot) for slot in registry._wheel) <= 3  # spread over the round, not all at once
    registry.start()
    async with asyncio.timeout(10):
        while waiting:
            await asyncio.sleep(0.005)
            waiting = {connection for connection in waiting if not connection.queue.heartbeat_due}
    await registry.close()
    await asyncio.gather(*tasks)


async def test_who_was_banned_between_being_let_in_and_being_served_is_closed(registry: Connections) -> None:
    registry.bars = lambda account_id, agent_id: (account_id, agent_id) == ("acc_1", None)
    closed = await served(open_one(registry))
    assert (closed.code, closed.reason) == (CLOSE_POLICY, "banned")
    assert len(registry) == 0


async def test_expired_sessions_are_swept(sessions: Sessions) -> None:
    registry = Connections(Hub(connect("redis://127.0.0.1:1")), sessions, revoke_within_s=1)
    kept, swept = open_one(registry, "jti_1"), open_one(registry, "jti_2")
    tasks = [asyncio.create_task(served(connection)) for connection in (kept, swept)]
    await settle()
    sessions.dead.add("jti_2")
    registry.start()
    assert (await asyncio.wait_for(tasks[1], 5)).reason == "invalid_session"
    assert len(registry) == 1
    kept.close(CLOSE_POLICY, "over")
    await tasks[0]
    await registry.close()


async def test_draining_is_spread_and_waits_for_all(registry: Connections) -> None:
    connections = [open_one(registry, f"jti_{n}") for n in range(10)]
    tasks = [asyncio.create_task(served(connection)) for connection in connections]
    await settle()
    began = asyncio.get_running_loop().time()
    await registry.drain(0.5)
    assert registry.draining
    assert asyncio.get_running_loop().time() - began >= 0.4
    assert {task.result().code for task in tasks} == {CLOSE_RESTART}
    assert len(registry) == 0


async def test_draining_nobody_takes_no_time(registry: Connections) -> None:
    async with asyncio.timeout(1):
        await registry.drain(10)
