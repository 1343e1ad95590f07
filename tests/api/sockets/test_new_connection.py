"""Connections before their first byte, on uvloop as in gateways: held, refused, ended."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from api.sockets import connection_limits
from api.sockets.connection_limits import HELD_S, AdmissionRules
from api.sockets.slow_addresses import BROKEN_MOST
from tests.api.sockets.test_http_protocol import Served, serve, status

RULES = AdmissionRules(connections=80, address_waiting=8, receive_s=5, answer_s=5)
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
BAD = b"GET / HTTP/1.1\r\n" + b"a" * 40_000


async def test_whoever_breaks_bounds_again_and_again_is_read_later_and_answered_as_ever() -> None:
    with serve(RULES) as served:
        clock = asyncio.get_running_loop().time
        assert [status(await served.ask(BAD)) for _ in range(BROKEN_MOST)] == [b"431"] * BROKEN_MOST
        began = clock()
        answers = await asyncio.gather(served.ask(BAD), served.ask(GET))
        assert clock() - began >= HELD_S - 0.05
        assert [status(answer) for answer in answers] == [b"431", b"200"]


async def test_a_flood_of_broken_bounds_costs_a_few_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of four connections at a time waits before its bound is looked at."""
    monkeypatch.setattr(connection_limits, "HELD_S", 0.4)
    with serve(RULES) as served:
        for _ in range(BROKEN_MOST):
            await served.ask(BAD)
        over = asyncio.get_running_loop().time() + 1.0
        answers: list[bytes] = []

        async def attack() -> None:
            while asyncio.get_running_loop().time() < over:
                answers.append(status(await served.ask(BAD)))

        await asyncio.gather(*(attack() for _ in range(4)))
        assert set(answers) == {b"431"}
        assert len(answers) <= 12


async def test_of_those_held_the_oldest_goes_on_for_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """So nobody is shut out: a flood from the own address only makes the wait shorter."""
    monkeypatch.setattr(connection_limits, "HELD_S", 600.0)
    async with slow() as served:
        first = asyncio.create_task(served.ask(GET))
        await _held(served, 1)
        others = [await served.open() for _ in range(RULES.held)]
        assert status(await first) == b"200"
        for _, writer in others:
            writer.close()


async def test_a_held_connection_that_is_reset_or_still_there_at_the_end_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_limits, "HELD_S", 0.3)
    async with slow() as served:
        _, gone = await served.open()
        await _held(served, 1)
        gone.transport.abort()
        async with asyncio.timeout(5):
            while len(served.admission):
                await asyncio.sleep(0.02)
        _, last = await served.open()
        await _held(served, 1)
        last.close()


async def test_who_finds_no_place_is_told_so_with_a_request_on_its_way() -> None:
    with serve(RULES) as served:
        crowd = [await served.open() for _ in range(RULES.address_waiting)]
        for _, writer in crowd:
            writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        while served.app.requests < len(crowd):
            await asyncio.sleep(0.01)
        for _ in range(5):
            answer = await served.ask(GET)
            assert status(answer) == b"503"
            assert b"retry-after: 1" in answer
        for _, writer in crowd:
            writer.close()


async def test_a_peer_that_leaves_while_it_is_opened_is_forgotten() -> None:
    with serve(RULES) as served:
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", served.port)) as client, suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.send(b"G")
        async with asyncio.timeout(5):
            while len(served.admission) or served.app.requests:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def slow() -> AsyncIterator[Served]:
    """A server for which the test's address is slow."""
    with serve(RULES) as served:
        for _ in range(BROKEN_MOST):
            await served.ask(BAD)
        while len(served.admission):
            await asyncio.sleep(0.01)
        yield served


async def _held(served: Served, count: int) -> None:
    async with asyncio.timeout(5):
        while len(served.admission.held) < count:
            await asyncio.sleep(0.01)
