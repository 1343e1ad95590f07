"""Agents that cross between two partitions of a real cluster while the process that moves them is killed."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from streaming import keys
from streaming.connect import connect
from streaming.lua import run
from tests.bench.partitions.crossing import (
    POINTS,
    THERE,
    TTL_MS,
    Crossing,
    Side,
    faults,
    fill,
    handoff_of,
    reservation_of,
)
from tests.bench.partitions.journal import Journal, Refused
from tests.bench.partitions.mover import FENCED
from tests.bench.partitions.nodes import ThreeNodes
from tests.bench.partitions.partition import WITHDRAW, Partition
from tests.bench.partitions.reading import Unreadable, read_agent

pytestmark = [pytest.mark.slow, pytest.mark.services]

AGENTS = ("ada", "bob")
PLACES = [f"{point}:{when}" for point in POINTS for when in ("before", "at", "after")]
#: A second kill, of whoever takes up what the first has left; some of the many pairs.
TWICE = [("ask:after", "go:at"), ("reserve:at", "ask:at"), ("go:at", "deliver:at"), ("go:after", "seat:at")]
TWICE += [("deliver:at", "deliver:at"), ("deliver:after", "forget:at"), ("seat:at", "forget:before")]
NO_COMMIT_LEFT = ("go:at", "deliver:before", "deliver:at", "seat:at", "forget:at")
ROOT = Path(__file__).parents[3]

_numbers = itertools.count(1)


class Pair:
    """Two partitions on different nodes, with agents that want to cross from one to the other."""

    def __init__(self, nodes: ThreeNodes) -> None:
        self.urls = nodes.urls
        self.source = Partition(next(_numbers))
        self.target = next(other for n in _numbers if (other := Partition(n)).node != self.source.node)
        self._connect()

    def _connect(self) -> None:
        both = (self.source, self.target)
        # Any: redis-py's types do not know that our clients give bytes.
        self.clients: list[Any] = [connect(self.urls[partition.node]) for partition in both]
        self.here, self.there = (Side(*one) for one in zip(self.clients, both, strict=True))

    async def reconnect(self) -> None:
        await self.close()
        self._connect()

    def client_of(self, partition: Partition) -> Any:
        return self.clients[0] if partition.node == self.source.node else self.clients[1]

    async def journals(self) -> tuple[Journal, Journal]:
        source = await Journal.acquire(self.clients[0], self.source)
        return source, await Journal.acquire(self.clients[1], self.target)

    async def recover(self) -> None:
        await Crossing(*await self.journals()).run()

    def mover(self, place: str, *, pause: bool = False) -> subprocess.Popen[bytes]:
        asked = {
            "source_url": self.urls[self.source.node],
            "target_url": self.urls[self.target.node],
            "source": self.source.number,
            "target": self.target.number,
            "place": place,
            "pause": pause,
        }
        argv = [sys.executable, "-m", "tests.bench.partitions.mover", orjson.dumps(asked).decode()]
        return subprocess.Popen(argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'sdk'}"})

    async def faults(self, *, ended: bool) -> list[str]:
        return await faults(self.here, self.there, AGENTS, ended=ended)

    async def close(self) -> None:
        for client in self.clients:
            await client.aclose()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeNodes]:
    with ThreeNodes(tmp_path_factory.mktemp("nodes")) as nodes:
        yield nodes


@pytest.fixture
async def pair(nodes: ThreeNodes) -> AsyncIterator[Pair]:
    pair = Pair(nodes)
    source, _ = await pair.journals()
    await fill(source, AGENTS)
    yield pair
    await pair.close()


async def test_nobody_is_killed(pair: Pair) -> None:
    assert await pair.faults(ended=False) == []
    assert len(await pair.faults(ended=True)) > 3  # nothing has happened yet
    await pair.recover()
    assert await pair.faults(ended=True) == []


@pytest.mark.parametrize("place", PLACES)
async def test_whoever_is_killed_leaves_nothing_lost_and_nothing_twice(pair: Pair, place: str) -> None:
    assert await asyncio.to_thread(pair.mover(place).wait, 60) == -signal.SIGKILL
    assert await pair.faults(ended=False) == []
    await pair.recover()
    assert await pair.faults(ended=True) == []


@pytest.mark.parametrize(("first", "second"), TWICE)
async def test_nor_does_the_next_one(pair: Pair, first: str, second: str) -> None:
    assert await asyncio.to_thread(pair.mover(first).wait, 60) == -signal.SIGKILL
    assert await asyncio.to_thread(pair.mover(second).wait, 60) == -signal.SIGKILL
    assert await pair.faults(ended=False) == []
    await pair.recover()
    assert await pair.faults(ended=True) == []


@pytest.mark.parametrize("place", [f"{point}:{when}" for point in POINTS for when in ("before", "at")])
async def test_whoever_wakes_up_after_another_has_gone_on_does_nothing_more(pair: Pair, place: str) -> None:
    sleeper = pair.mover(place, pause=True)
    await asyncio.to_thread(wait_stopped, sleeper.pid)
    await pair.recover()
    assert await pair.faults(ended=True) == []
    sleeper.send_signal(signal.SIGCONT)
    ended = await asyncio.to_thread(sleeper.wait, 60)
    # A commit that it still sends is refused; where it has none to send any more it ends by itself.
    assert ended == FENCED or (ended == 0 and place in NO_COMMIT_LEFT)
    assert await pair.faults(ended=True) == []


def wait_stopped(pid: int) -> None:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- freeing a cell --


async def withdraw(pair: Pair, agent_id: str, attempt: int, *, given_up: bool = True) -> bytes:
    source = pair.source
    call = WITHDRAW(
        intents=source.key("intents"),
        outbox=source.key(f"outbox:{pair.target}"),
        handoff=handoff_of(agent_id),
        attempt=attempt,
        reservation=reservation_of(agent_id, attempt, source),
        given_up="1" if given_up else "0",
    )
    answer: bytes = await run(pair.clients[0], call)
    return answer


async def intend(source: Journal, attempt: int) -> None:
    batch = source.batch()
    batch.intend(handoff_of("ada"), attempt, TTL_MS)
    await source.commit("ask", batch)


async def leave(pair: Pair, source: Journal, attempt: int) -> None:
    batch = source.batch()
    batch.only_if_intended(handoff_of("ada"), attempt)
    reservation = reservation_of("ada", attempt, pair.source)
    batch.go(pair.target, handoff_of("ada"), reservation, "ada", THERE, b"{}")
    await source.commit("go", batch)


async def test_a_cell_that_was_freed_takes_nobody(pair: Pair) -> None:
    source, _ = await pair.journals()
    await intend(source, 1)
    assert await withdraw(pair, "ada", 1, given_up=False) == b"alive"
    assert await withdraw(pair, "ada", 1) == b"free"
    with pytest.raises(Refused, match="cond"):
        await leave(pair, source, 1)
    assert await pair.faults(ended=False) == []


async def test_whoever_has_left_keeps_its_cell(pair: Pair) -> None:
    source, _ = await pair.journals()
    await intend(source, 1)
    await leave(pair, source, 1)
    assert await withdraw(pair, "ada", 1) == b"gone"


async def test_the_answer_to_an_earlier_attempt_is_worth_nothing(pair: Pair) -> None:
    source, _ = await pair.journals()
    await intend(source, 1)
    assert await withdraw(pair, "ada", 1) == b"free"
    await intend(source, 2)
    assert await withdraw(pair, "ada", 1) == b"alive"
    with pytest.raises(Refused, match="cond"):
        await leave(pair, source, 1)
    source, _ = await pair.journals()
    await leave(pair, source, 2)


async def test_attempts_are_never_numbered_alike(pair: Pair) -> None:
    intents = pair.source.key("intents")
    assert await asyncio.to_thread(pair.mover("reserve:before").wait, 60) == -signal.SIGKILL
    first = int((await pair.clients[0].hget(intents, handoff_of("ada"))).split()[0])
    assert await withdraw(pair, "ada", first) == b"free"
    assert await asyncio.to_thread(pair.mover("go:before").wait, 60) == -signal.SIGKILL
    source, _ = await pair.journals()
    with pytest.raises(Refused, match="cond"):
        await leave(pair, source, first)


async def test_what_came_and_was_forgotten_is_found_in_the_inbox(pair: Pair) -> None:
    assert await asyncio.to_thread(pair.mover("seat:before").wait, 60) == -signal.SIGKILL
    source, _ = await pair.journals()
    batch = source.batch()
    batch.forget(pair.target, len(AGENTS))
    await source.commit("forget", batch)
    # Nothing is left of it in the source, so whoever frees a cell must look into its own inbox after this answer.
    assert await withdraw(pair, "ada", 1) == b"free"
    assert await pair.clients[1].hlen(pair.target.key(keys.inbox(THERE))) == len(AGENTS)
    assert await pair.faults(ended=False) == []
    await pair.recover()
    assert await pair.faults(ended=True) == []


async def test_what_a_gateway_has_refused_goes_with_the_agent(pair: Pair) -> None:
    await pair.clients[0].hset(pair.source.key(keys.agent("ada")), "refused", "cmd-7")
    await pair.recover()
    assert await pair.clients[1].hget(pair.target.key(keys.agent("ada")), "refused") == b"cmd-7"


# -- reading --


async def test_an_agents_stream_is_read_over_its_pieces_from_any_number_on(pair: Pair) -> None:
    await pair.recover()
    whole = await read_agent(pair.client_of, "ada", pair.target, 0)
    assert [number for number, _ in whole] == [1, 3, 4]  # transition and result are one entry
    for after in range(5):
        expected = [entry for entry in whole if entry[0] > after]
        assert await read_agent(pair.client_of, "ada", pair.target, after) == expected
    with pytest.raises(Unreadable, match="gone on"):
        await read_agent(pair.client_of, "ada", pair.source, 0)
    await pair.clients[0].xtrim(pair.source.key(keys.agent_stream("ada")), maxlen=1, approximate=False)
    with pytest.raises(Unreadable, match="trimmed"):
        await read_agent(pair.client_of, "ada", pair.target, 0)
    assert await read_agent(pair.client_of, "ada", pair.target, 3) == whole[2:]


async def test_what_a_partition_publishes_is_what_stands_in_its_stream(pair: Pair) -> None:
    stream = pair.target.key(keys.chunk_stream(THERE))
    # The connection puts a world's name before a channel, as its scripts do.
    pool = pair.clients[1].connection_pool
    connection = pool.connection_class(**{**pool.connection_kwargs, "protocol": 2})
    await connection.connect()
    await connection.send_command("SSUBSCRIBE", f"0:{stream}")
    assert (await connection.read_response())[0] == b"ssubscribe"
    await pair.recover()
    kind, channel, message = await connection.read_response()
    [(id_, fields)] = await pair.clients[1].xrange(stream)
    assert (kind, channel) == (b"smessage", f"0:{stream}".encode())
    assert message == id_ + b" " + fields[b"m"]
    await connection.disconnect()


# -- nodes --


async def test_a_node_that_is_killed_and_comes_back_has_what_it_answered(tmp_path: Path) -> None:
    with ThreeNodes(tmp_path, durable=True, fsync="always") as nodes:
        for place in ("deliver:before", "seat:before", "forget:before"):
            pair = Pair(nodes)
            source, _ = await pair.journals()
            await fill(source, AGENTS)
            assert await asyncio.to_thread(pair.mover(place).wait, 60) == -signal.SIGKILL
            for partition in (pair.source, pair.target):
                node = nodes.nodes[partition.node]
                await asyncio.to_thread(node.kill)
                await asyncio.to_thread(node.ensure_running)
            await asyncio.to_thread(nodes.wait_formed)
            await pair.reconnect()
            assert await pair.faults(ended=False) == []
            await pair.recover()
            assert await pair.faults(ended=True) == []
            await pair.close()
