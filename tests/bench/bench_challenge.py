"""What a gateway's side of a command costs: full handshakes a second in one process, with a real Valkey.

A handshake is request, challenge, answer, checks, consumed, submitted, through ``AgentCommandHandler`` and its
leases: the same work as in a gateway, minus the socket and minus a real shard.  The world is faked by one that accepts
at once, and each result is said to have been shown, so this measures the ingress, not the game.  The agents' own work
(signature and proof of work) is done in this process too, but timed apart and taken out of the figure.  What Valkey
needs is read from its ``INFO commandstats``.

    python tests/bench/bench_challenge.py [--agents 1000] [--seconds 5] [--commands 100]
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import resource
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
import uvloop
from redis.asyncio import Redis

# Run as a script, this folder is on the path instead of the checkout.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from api.accounts.auth import Session
from api.challenge.ingress import Ingress
from api.challenge.store import ChallengeRules
from api.ports import JoinOutcome, ShardAnswer, SubmittedCommand
from api.sockets.frames import parse_frame
from embedded.valkey import EmbeddedValkey
from streaming import keys
from streaming.batch import RedisBatch
from streaming.connect import connect
from tests.api.support import MOVE, Handler, answer_to, frame_text

TARGET_PER_S = 2_500


class AcceptingWorld:
    """Accepts at once."""

    async def join(self, agent_id: str, account_id: str, trace_id: str) -> JoinOutcome:
        return JoinOutcome("chunk-0", resumed=False)

    async def submit(self, command: SubmittedCommand) -> ShardAnswer:
        return ShardAnswer(True, started_tick=1)

    def submit_at_once(self, command: SubmittedCommand, decided: Callable[[bool | None], None]) -> bool:
        asyncio.get_running_loop().call_soon(decided, True)
        return True

    async def problems(self) -> list[str]:
        return []

    async def metrics(self) -> bytes:
        return b""


class Bench:
    def __init__(self, redis: Redis, batch: RedisBatch, agents: int) -> None:
        self.redis = redis
        self.ingress = Ingress(batch, AcceptingWorld(), ChallengeRules())
        self.sessions = [
            Session(f"jti_{n}", "agent", "acc_1", f"bench-{n}", "key_1", secrets.token_urlsafe(32), 2**31)
            for n in range(agents)
        ]
        self.client_s = 0.0
        self.done = 0
        self.times_ms: list[float] = []

    async def enlist(self) -> None:
        async with self.redis.pipeline(transaction=False) as pipe:
            for session in self.sessions:
                pipe.set(keys.session_by_jti(session.jti), "sess:x", px=600_000)
            await pipe.execute()

    async def one(self, handler: Handler, session: Session, number: int) -> bytes:
        """One whole handshake; what its result would be."""
        began = time.perf_counter()
        text = frame_text("command_req", client_cmd_id=f"c-{number}", cmd=MOVE)
        await self.handle(handler, text)
        challenge = handler.challenge
        solving, solving_cpu = time.perf_counter(), time.thread_time()
        text = frame_text("command_answer", **answer_to(session, challenge))
        solved = time.perf_counter() - solving
        self.client_s += time.thread_time() - solving_cpu
        await self.handle(handler, text)
        result = handler.told.pop().payload
        self.done += 1
        self.times_ms.append((time.perf_counter() - began - solved) * 1e3)
        return result

    async def handle(self, handler: Handler, text: str) -> None:
        parsed = parse_frame(text)
        reply = await handler.handle(parsed)  # type: ignore[arg-type]
        if reply is not None:
            raise AssertionError(f"refused: {reply}")

    async def agent(self, session: Session, until: float, pause_s: float) -> None:
        handler = Handler(self.ingress, session, f"ws-{session.jti}")
        number = 0
        while time.perf_counter() < until:
            result = await self.one(handler, session, number)
            number += 1
            # Below the limit of 10 requests a second of one agent.
            await asyncio.sleep(pause_s)
            handler.saw("command_result", result)
        handler.close()

    async def throughput(self, seconds: float) -> None:
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(self.agent(session, began + seconds, 0.15) for session in self.sessions))
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        gateway_cpu = cpu - self.client_s
        print(
            f"handshakes: {self.done} by {len(self.sessions)} agents in {wall:.1f} s"
            f" = {self.done / wall:.0f}/s with the agents' own work in the same process\n"
            f"gateway CPU: {gateway_cpu / self.done * 1e6:.0f} us a handshake"
            f" = {self.done / gateway_cpu:.0f} handshakes/s per core (target {TARGET_PER_S})"
        )
        stats: Any = await self.redis.info("commandstats")
        scripts = stats["cmdstat_evalsha"]
        print(
            f"Valkey: {scripts['calls'] / self.done:.2f} scripts and {scripts['usec'] / self.done:.1f} us a handshake"
            f" ({scripts['usec_per_call']:.1f} us a script)"
        )

    async def round_trip(self, commands: int) -> None:
        """One agent alone on an idle system: request to consumed, the proof of work left out."""
        self.times_ms.clear()
        session = self.sessions[0]
        handler = Handler(self.ingress, session, "ws-alone")
        for number in range(commands):
            result = await self.one(handler, session, number)
            await asyncio.sleep(0.105)
            handler.saw("command_result", result)
        ranked = sorted(self.times_ms)
        print(
            f"one agent, idle system: p50 {statistics.median(ranked):.2f} ms,"
            f" p99 {ranked[int(len(ranked) * 0.99)]:.2f} ms from request to consumed"
        )


async def run(url: str, options: argparse.Namespace) -> None:
    redis = connect(url)
    batch = RedisBatch(redis)
    bench = Bench(redis, batch, options.agents)
    await bench.enlist()
    await bench.round_trip(options.commands)
    bench.client_s, bench.done = 0.0, 0
    await redis.config_resetstat()
    await bench.throughput(options.seconds)
    await bench.ingress.drain(5.0)
    await batch.close()
    await redis.aclose()
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--commands", type=int, default=100)
    options = parser.parse_args()
    # As in production: JSON lines, here to nowhere; the cost of making them counts.
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder, Path("/dev/null").open("w") as nowhere:
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(20),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.JSONRenderer(),
            ],
            logger_factory=structlog.PrintLoggerFactory(nowhere),
            cache_logger_on_first_use=True,
        )
        server = EmbeddedValkey(Path(folder) / "valkey", secrets.token_hex(8), durable=False)
        try:
            uvloop.run(run(server.start(), options))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
