"""What a commit costs Valkey, by what it holds: the server's own CPU time of the script, and of what the script calls.

    python tests/bench/bench_commit.py [--commits 2000] [--inner]

A subscriber listens to all channels, as a gateway does.  The figures are those of ``INFO commandstats`` and
``INFO cpu``, of several rounds the cheapest: how long a client waits for the answer is another matter.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import orjson
from redis.asyncio import Redis

from embedded.valkey import EmbeddedValkey
from streaming import keys
from streaming.commit import AgentEvent, Batch
from streaming.connect import connect
from streaming.journal import Journal

WARM_UP = 100
REPLAY_TICKS = 300
AGENTS = 40
#: Of these the cheapest counts: what else the machine does makes the others dearer.
ROUNDS = 5
#: Among the commands: all that the server's process used.
PROCESS = "(process)"

ACK = {"server_cmd_id": "cmd_" + "a" * 26, "client_cmd_id": "c-000001", "accepted": True, "started_tick": 100_000}
RESULT = {"server_cmd_id": "cmd_" + "a" * 26, "client_cmd_id": "c-000001", "status": "completed", "ended_tick": 100_000}
CHALLENGE = {
    "server_cmd_id": "cmd_" + "a" * 26,
    "client_cmd_id": "c-000001",
    "nonce": "n" * 32,
    "expires_at": 10**12,
    "difficulty": 2,
    "channel_id": "c" * 30,
    "sig_alg": "HMAC-SHA256",
    "pow_alg": "sha256-leading-hex-zeroes",
}
TRACE = "t" * 32
RECORD = {
    "agent_id": "agt_" + "a" * 26,
    "chunk_id": "chunk-0",
    "x": 10,
    "y": 12,
    "gold": 3,
    "recent": [f"cmd_{n:026d}" for n in range(8)],
    "running": {"kind": "move_to", "x": 3, "y": 4, "server_cmd_id": "cmd_" + "a" * 26, "trace_id": "t" * 32},
}
ENTRY = b"0" * 32 + b"\n" + orjson.dumps({"n": 1, "t": 100_000, "o": [["Submit", {**ACK, "cmd": RECORD["running"]}]]})


def delta(chunk: int, agents: int) -> bytes:
    """A chunk's delta with so many agents."""
    shown = [{"id": f"agt_{n:026d}", "x": n % 64, "y": 7, "activity_state": "moving"} for n in range(agents)]
    return orjson.dumps({"chunk_id": f"chunk-{chunk}", "tick": 100_000, "agents": shown, "nodes": [], "events": []})


def show(batch: Batch, chunk: int, payload: bytes) -> None:
    """Add a delta of the batch's tick."""
    tick = batch.tick
    minid = str(tick - REPLAY_TICKS)
    batch.chunk_entry(
        f"chunk-{chunk}",
        f"{tick}-0",
        f"{tick - 1}-0",
        "chunk_delta",
        0,
        f"tick-{tick}",
        payload,
        minid,
    )


def decide(batch: Batch, agent: int) -> None:
    """Add an accepted command."""
    agent_id, server_cmd_id = f"agt_{agent:026d}", f"cmd_{batch.tick:026d}"
    batch.only_if_not_refused(server_cmd_id, 10**13)
    told = [event("command_challenge", CHALLENGE), event("command_ack", ACK)]
    keep(batch, agent_id, "move_to", told)


def end(batch: Batch, agent: int) -> None:
    """Add the result of a command."""
    agent_id = f"agt_{agent:026d}"
    keep(batch, agent_id, "", [event("command_result", RESULT)])
    batch.archive(orjson.dumps({"fact": "result", "tick": batch.tick, "agent_id": agent_id, **RESULT}))


def event(kind: str, payload: dict[str, Any]) -> AgentEvent:
    return AgentEvent(kind, 1, TRACE, orjson.dumps(payload))


def keep(batch: Batch, agent_id: str, busy: str, told: Sequence[AgentEvent]) -> None:
    record = orjson.dumps(RECORD)
    batch.agent_record(agent_id, "chunk-0", here=True, busy=busy, record=record, events=told, prolong=False)


def nothing(batch: Batch) -> None:
    """A commit that writes its number alone."""


def one_command(batch: Batch) -> None:
    """A command between ticks."""
    decide(batch, batch.tick % AGENTS)


def one_recorded(batch: Batch) -> None:
    """A command between ticks, with its entry of the recording."""
    decide(batch, batch.tick % AGENTS)
    batch.recorded(0, f"1 {batch.tick} {'0' * 32}", ENTRY)


def ten_commands(batch: Batch) -> None:
    """Ten of them."""
    for n in range(10):
        decide(batch, (batch.tick * 10 + n) % AGENTS)


def a_result(batch: Batch) -> None:
    """The end of a command, with its fact."""
    end(batch, batch.tick % AGENTS)


def a_tick(batch: Batch) -> None:
    """20 of 40 agents move in 5 chunks; nobody's record changes."""
    for chunk in range(5):
        show(batch, chunk, delta(chunk, AGENTS // 5))


def a_full_tick(batch: Batch) -> None:
    """The same with 320 agents, and ten results."""
    for chunk in range(5):
        show(batch, chunk, delta(chunk, 64))
    for n in range(10):
        end(batch, (batch.tick * 10 + n) % AGENTS)


VARIANTS: tuple[Callable[[Batch], None], ...] = (
    nothing,
    one_command,
    one_recorded,
    ten_commands,
    a_result,
    a_tick,
    a_full_tick,
)


async def stats(redis: Redis) -> dict[str, tuple[int, int]]:
    """Calls and microseconds by command."""
    found: dict[str, Any] = await redis.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): (one["calls"], one["usec"]) for name, one in found.items()}
    used: dict[str, Any] = await redis.info("cpu")
    return calls | {PROCESS: (0, round((used["used_cpu_user"] + used["used_cpu_sys"]) * 1e6))}


@contextlib.asynccontextmanager
async def gateway(url: str) -> AsyncIterator[None]:
    """Somebody who listens to every agent and chunk."""
    redis = connect(url)
    channels = [keys.agent_stream(f"agt_{n:026d}") for n in range(AGENTS)]
    channels += [keys.chunk_stream(f"chunk-{n}") for n in range(5)]
    pubsub = redis.pubsub()
    await pubsub.subscribe(*channels)

    async def listen() -> None:
        async for _ in pubsub.listen():
            pass

    task = asyncio.create_task(listen())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await pubsub.aclose()  # type: ignore[no-untyped-call]
        await redis.aclose()


async def measure(
    redis: Redis, journal: Journal, fill: Callable[[Batch], None], tick: int, commits: int
) -> dict[str, tuple[float, float]]:
    """Commit so often.  Returns by command: calls of a commit, and microseconds of a call."""
    before: dict[str, tuple[int, int]] = {}
    for n in range(commits + WARM_UP):
        if n == WARM_UP:
            before = await stats(redis)
        batch = Batch(tick=tick + n)
        fill(batch)
        await journal.commit(batch)
    after = await stats(redis)
    found = {}
    for name, (calls, usec) in after.items():
        calls_before, usec_before = before.get(name, (0, 0))
        if calls > calls_before and name != "info":
            found[name] = ((calls - calls_before) / commits, (usec - usec_before) / (calls - calls_before))
    found[PROCESS] = (1.0, (after[PROCESS][1] - before[PROCESS][1]) / commits)
    return found


async def run(url: str, commits: int, inner: bool) -> None:
    """Measure every variant and print it."""
    redis = connect(url)
    journal, _ = await Journal.acquire(redis, 0)
    tick = 1_000
    async with gateway(url):
        for fill in VARIANTS:
            rounds = []
            for _ in range(ROUNDS):
                rounds.append(await measure(redis, journal, fill, tick, commits // ROUNDS))
                tick += commits // ROUNDS + WARM_UP
            found = min(rounds, key=lambda one: one["evalsha"][1])
            batch = Batch(tick=tick)
            fill(batch)
            words = len(batch.ops) + len(batch.conditions)
            script_us, process_us = found["evalsha"][1], found[PROCESS][1]
            print(
                f"{fill.__name__:14} {words:4} words  {script_us:7.1f} us a commit, {process_us:7.1f} us of the process"
            )
            if inner:
                for name, (calls, usec) in sorted(found.items(), key=lambda item: -item[1][0] * item[1][1]):
                    if name not in ("evalsha", PROCESS):
                        print(f"    {name:24} {calls:6.2f} x {usec:5.2f} us = {calls * usec:7.1f}")
    await redis.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=2_000, help="of each kind")
    parser.add_argument("--inner", action="store_true", help="what the script calls, too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chunkcrawl-bench-") as directory:
        server = EmbeddedValkey(Path(directory), secrets.token_hex(16))
        try:
            asyncio.run(run(server.start(), given.commits, given.inner))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
