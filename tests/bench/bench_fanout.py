"""What the reading side costs: from XADD + PUBLISH to readers' queues, and to clients of a listening gateway.

1.  ``hub``: one process with a hub; another commits deltas of 50 agents in pipelines.  Entries and deliveries a second
   at full speed, and the CPU that the real load (5 Hz) would take of one core.
2.  ``idle``: memory of a gateway process with N idle spectators over SSE.
3.  ``live``: N spectators over SSE and as many over WebSocket on one chunk that moves at 5 Hz: deltas a second that
   each gets, the time from commit to client, and the gateway's CPU.  The clients run in a process of their own.

    python tests/bench/bench_fanout.py [--readers 1000] [--idle 2000] [--seconds 8]

Prints one JSON line per part.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import socket
import sys
import tempfile
import time
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson
import psutil
import structlog
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from redis.asyncio import Redis

from streaming.connect import connect

# Run as a script, this folder is on the path instead of the checkout.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cluster.gateway import GatewayServer, wait_started
from config.settings import Settings
from embedded.valkey import EmbeddedValkey
from streaming import keys
from streaming.hub import Hub
from streaming.subscriber_queue import SubscriberQueue
from tests.streaming.writer import APPEND

if TYPE_CHECKING:
    from cluster.peers import ClusterClient, ShardClient

DEV_TOKEN = "test-spectator-token"
PIPELINE = 200
HZ = 5


def payload(chunk_id: str, tick: int, agents: int = 50) -> bytes:
    shown = [{"id": f"agent-{n}", "x": n, "y": n, "activity_state": "moving"} for n in range(agents)]
    return orjson.dumps(
        {"chunk_id": chunk_id, "tick": tick, "agents": shown, "npcs": [], "resources": [], "events": []}
    )


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# -- the hub alone --


def write_flat_out(url: str, chunks: int, ticks: int) -> None:
    """Commit ``ticks`` deltas to each of ``chunks`` streams as fast as Redis takes them."""

    async def run() -> None:
        redis = connect(url)
        sha = await redis.script_load(APPEND)
        for tick in range(1, ticks + 1):
            for start in range(0, chunks, PIPELINE):
                pipe = redis.pipeline(transaction=False)
                for number in range(start, min(chunks, start + PIPELINE)):
                    chunk_id = f"chunk-{number}"
                    head = f"{tick - 1}-0 chunk_delta {time.time_ns() // 1_000_000} t\n".encode()
                    body = head + payload(chunk_id, tick)
                    pipe.evalsha(sha, 1, keys.chunk_stream(chunk_id), f"{tick}-0", body, "0")
                await pipe.execute()
        await redis.aclose()

    uvloop.run(run())


async def hub_part(url: str, chunks: int, readers: int, ticks: int) -> dict[str, Any]:
    redis = connect(url)
    await redis.flushall()
    hub = Hub(redis)
    hub.start()
    await hub.connected.wait()
    boxes: list[SubscriberQueue] = []
    for number in range(chunks):
        for _ in range(readers):
            boxes.append(SubscriberQueue(ticks + 1))
            hub.subscribe(keys.chunk_stream(f"chunk-{number}"), boxes[-1].put)
    while not all(channel.in_force.is_set() for channel in hub._channels.values()):
        await asyncio.sleep(0.01)
    writer = multiprocessing.get_context("spawn").Process(target=write_flat_out, args=(url, chunks, ticks))
    writer.start()
    while hub.messages == 0:
        await asyncio.sleep(0.001)
    began, used = time.perf_counter(), cpu_s()
    expected = chunks * readers * ticks
    while hub.deliveries < expected:
        await asyncio.sleep(0.005)
    wall, cpu = time.perf_counter() - began, cpu_s() - used
    await asyncio.to_thread(writer.join)
    assert all(len(box) == ticks for box in boxes)
    await hub.close()
    await redis.aclose()
    entries = chunks * ticks
    return {
        "part": "hub",
        "chunks": chunks,
        "readers_each": readers,
        "entries_per_s": round(entries / wall),
        "deliveries_per_s": round(expected / wall),
        "cpu_us_per_entry": round(cpu / entries * 1e6, 1),
        "cpu_share_at_5_hz": round(cpu / entries * chunks * HZ, 3),
    }


async def both_parts(url: str, chunks: int, ticks: int, readers: int, seconds: float) -> dict[str, float]:
    """What a message costs a gateway, and what a delivery to a spectator does; and the memory of one who is idle."""
    hub = await hub_part(url, chunks, 1, ticks)
    idle, *live = await gateway_part(url, readers, readers, seconds)
    return {
        "message_us": hub["cpu_us_per_entry"],
        "delivery_us": sum(one["gateway_us_per_delivery"] for one in live) / len(live),
        "idle_kb": idle["kb_each"],
    }


def measure_readers(chunks: int, ticks: int, readers: int, seconds: float) -> dict[str, float]:
    """``both_parts`` on a server of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))
    with tempfile.TemporaryDirectory() as folder:
        valkey = EmbeddedValkey(Path(folder), "bench", durable=False)
        try:
            return uvloop.run(both_parts(valkey.start(), chunks, ticks, readers, seconds))
        finally:
            valkey.stop()


# -- a gateway that listens --


def serve_gateway(url: str, port: int, pipe: Pipe) -> None:
    """A gateway process; answers each message with its CPU seconds and resident MB."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))

    async def run() -> None:
        nowhere = "postgresql+asyncpg://nobody@127.0.0.1:1/none"  # a spectator with the dev token needs no database
        settings = Settings(
            environment="test", redis_url=url, database_url=nowhere, port=port, address_waiting_max=10_000, drain_s=0
        )
        # Nor does it need shards.
        server = GatewayServer(settings, cast("ShardClient", None), cast("ClusterClient", None))
        serving = asyncio.create_task(server.serve())
        await wait_started(server)
        pipe.send("started")
        while await asyncio.to_thread(pipe.recv) != "stop":
            pipe.send((cpu_s(), psutil.Process().memory_info().rss / 1e6))
        await server.stop()
        await serving

    uvloop.run(run())


class Clients:
    """Raw readers: SSE over plain sockets, WebSockets over picows.  They look for a delta's time and count."""

    MARK = b'"sent_ns":'

    def __init__(self, port: int) -> None:
        self.port = port
        self.counts: list[int] = []
        self.late_ms: list[float] = []
        self.measuring = False
        self.tasks: list[asyncio.Task[None]] = []
        self.sockets: list[WSTransport] = []

    def got(self, number: int, data: bytes) -> None:
        if not self.measuring:
            return
        now = time.time_ns()
        at = data.find(self.MARK)
        while at >= 0:
            self.counts[number] += 1
            sent = int(data[at + len(self.MARK) : data.index(b",", at)])
            self.late_ms.append((now - sent) / 1e6)
            at = data.find(self.MARK, at + 1)

    async def sse(self, chunk_id: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        request = f"GET /v1/spectate/stream?chunk_id={chunk_id} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
        writer.write(f"{request}Authorization: Bearer {DEV_TOKEN}\r\n\r\n".encode())
        await reader.readuntil(b"event: chunk_delta")
        number = len(self.counts)
        self.counts.append(0)
        self.tasks.append(asyncio.create_task(self._read(number, reader, writer)))

    async def _read(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            rest = b""
            while data := await reader.read(1 << 16):
                # A mark that is torn by the end of a read is counted with the next.
                cut = data.rfind(b"\n\n")
                whole, rest = (rest + data[:cut], data[cut:]) if cut >= 0 else (b"", rest + data)
                if whole:
                    self.got(number, whole)
        finally:
            writer.close()

    async def ws(self, chunk_id: str) -> None:
        clients, number = self, len(self.counts)
        self.counts.append(0)

        class Listener(WSListener):
            def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
                if frame.msg_type == WSMsgType.PING:
                    transport.send_pong(frame.get_payload_as_bytes())
                else:
                    clients.got(number, frame.get_payload_as_bytes())

        headers = {"Authorization": f"Bearer {DEV_TOKEN}"}
        url = f"ws://127.0.0.1:{self.port}/v1/spectate/ws?chunk_id={chunk_id}"
        transport, _ = await ws_connect(Listener, url, extra_headers=headers)
        self.sockets.append(transport)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for transport in self.sockets:
            transport.disconnect()


async def moving(redis: Redis, chunk_id: str, stop: asyncio.Event) -> None:
    """A chunk at 5 Hz; each delta holds the time of its commit."""
    tick, due = 10, time.monotonic()
    while not stop.is_set():
        tick += 1
        body = payload(chunk_id, tick)[:-1] + b',"sent_ns":%d,"end":0}' % time.time_ns()
        head = f"{tick - 1}-0 chunk_delta {time.time_ns() // 1_000_000} t\n".encode()
        await redis.eval(APPEND, 1, keys.chunk_stream(chunk_id), f"{tick}-0", head + body, "0")
        due += 1 / HZ
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def gateway_part(url: str, idle: int, readers: int, seconds: float) -> list[dict[str, Any]]:
    redis = connect(url)
    await redis.flushall()
    for chunk_id in ("chunk-0", "chunk-1"):
        static = {"chunk_id": chunk_id, "grid": [[0] * 50] * 50, "tiles": ["." * 50] * 50}
        await redis.set(keys.chunk_static(chunk_id), orjson.dumps(static))
        body = b"9-0 chunk_delta 1 t\n" + payload(chunk_id, 10)
        await redis.eval(APPEND, 1, keys.chunk_stream(chunk_id), "10-0", body, "0")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve_gateway,
        args=(url, port, theirs),
        daemon=True,  # gone with a bench that fails
    )
    process.start()

    async def figures() -> tuple[float, float]:
        ours.send("figures")
        cpu, mb = await asyncio.to_thread(ours.recv)
        return float(cpu), float(mb)

    assert await asyncio.to_thread(ours.recv) == "started"
    results = []
    warm = Clients(port)
    await many(warm.sse, "chunk-1", 20)
    await warm.close()
    await asyncio.sleep(1)
    _, before = await figures()
    sleepers = Clients(port)
    began = time.perf_counter()
    await many(sleepers.sse, "chunk-1", idle)
    opened = time.perf_counter() - began
    await asyncio.sleep(2)
    cpu_before, after = await figures()
    await asyncio.sleep(3)
    cpu_after, _ = await figures()
    results.append(
        {
            "part": "idle",
            "readers": idle,
            "opened_per_s": round(idle / opened),
            "mb": round(after - before, 1),
            "kb_each": round((after - before) / max(1, idle) * 1e3, 1),
            "cpu_share": round((cpu_after - cpu_before) / 3, 3),
        }
    )
    await sleepers.close()
    results += [await live_part(redis, port, kind, readers, seconds, figures) for kind in ("sse", "ws")]
    ours.send("stop")
    await asyncio.to_thread(process.join, 10)
    process.kill()
    await redis.aclose()
    return results


async def live_part(redis: Redis, port: int, kind: str, readers: int, seconds: float, figures: Any) -> dict[str, Any]:
    stop = asyncio.Event()
    await redis.delete(keys.chunk_stream("chunk-0"))
    body = b"9-0 chunk_delta 1 t\n" + payload("chunk-0", 10)
    await redis.eval(APPEND, 1, keys.chunk_stream("chunk-0"), "10-0", body, "0")
    clients = Clients(port)
    await many(clients.sse if kind == "sse" else clients.ws, "chunk-0", readers)
    mover = asyncio.create_task(moving(redis, "chunk-0", stop))
    await asyncio.sleep(1.5)
    clients.measuring = True
    cpu_before, _ = await figures()
    own, began = cpu_s(), time.perf_counter()
    await asyncio.sleep(seconds)
    clients.measuring = False
    wall = time.perf_counter() - began
    cpu_after, _ = await figures()
    own = cpu_s() - own
    stop.set()
    await mover
    await clients.close()
    await asyncio.sleep(1)
    rates, late = sorted(count / wall for count in clients.counts), sorted(clients.late_ms)
    return {
        "part": "live",
        "kind": kind,
        "readers": readers,
        "deltas_per_s": {"min": round(rates[0], 2), "median": round(rates[len(rates) // 2], 2)},
        "commit_to_client_ms": {
            "p50": round(late[len(late) // 2], 1),
            "p99": round(late[int(len(late) * 0.99)], 1),
        },
        "gateway_cpu_share": round((cpu_after - cpu_before) / wall, 3),
        "gateway_us_per_delivery": round((cpu_after - cpu_before) / max(1, sum(clients.counts)) * 1e6, 1),
        "clients_cpu_share": round(own / wall, 2),
    }


async def many(connect: Any, chunk_id: str, count: int, at_once: int = 32) -> None:
    gate = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with gate:
            await connect(chunk_id)

    await asyncio.gather(*(one() for _ in range(count)))


async def main(readers: int, idle: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        valkey = EmbeddedValkey(Path(folder), "bench", durable=False)
        url = valkey.start()
        try:
            for chunks, each, ticks in ((1, 1_000, 300), (200, 5, 40), (1_000, 2, 10)):
                print(json.dumps(await hub_part(url, chunks, each, ticks)), flush=True)
            for result in await gateway_part(url, idle, readers, seconds):
                print(json.dumps(result), flush=True)
        finally:
            valkey.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=1_000)
    parser.add_argument("--idle", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=8)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    uvloop.run(main(arguments.readers, arguments.idle, arguments.seconds))
