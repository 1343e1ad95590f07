"""The floor of a fan-out: a plain ``websockets`` server on uvloop that broadcasts so many bytes to so many clients.

It has no world, no sessions, no replay and no queues: what it uses is what kernel, event loop and framing take.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import time
from multiprocessing.connection import Connection as Pipe

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from websockets.asyncio.server import ServerConnection, broadcast, serve

__all__ = ["measure_floor"]

JOINING = 32
WARMUP_S = 1.0


def measure_floor(clients: int, period_s: float, size: int, seconds: float) -> dict[str, float]:
    """Broadcast ``size`` bytes to all of ``clients`` every ``period_s``, for ``seconds``.

    Returns:
        ``cores`` of the server, ``message_us`` of a message to one client, and the ``messages_per_s`` that arrived.
    """
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(period_s, size, theirs), daemon=True)
    server.start()
    try:
        return uvloop.run(_listen(int(ours.recv()), clients, seconds, ours))
    finally:
        server.kill()
        server.join()


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _allow_many_sockets() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# -- the server's process --


def _serve(period_s: float, size: int, pipe: Pipe) -> None:
    """Tell the port, then answer each message with the CPU seconds used so far."""
    _allow_many_sockets()
    message = "x" * size
    connections: set[ServerConnection] = set()

    async def connected(connection: ServerConnection) -> None:
        connections.add(connection)
        await connection.wait_closed()
        connections.discard(connection)

    async def run() -> None:
        async with serve(connected, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
            pipe.send(server.sockets[0].getsockname()[1])
            asyncio.get_running_loop().add_reader(pipe.fileno(), lambda: pipe.send((pipe.recv(), _cpu_s())[1]))
            due = time.monotonic()
            while True:
                broadcast(connections, message)
                due += period_s
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    uvloop.run(run())


# -- the clients' --


class _Counting(WSListener):
    arrived = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            _Counting.arrived += 1


async def _listen(port: int, clients: int, seconds: float, pipe: Pipe) -> dict[str, float]:
    _allow_many_sockets()
    gate = asyncio.Semaphore(JOINING)

    async def join() -> None:
        async with gate:
            await ws_connect(_Counting, f"ws://127.0.0.1:{port}/")

    def cpu_s() -> float:
        pipe.send("cpu")
        return float(pipe.recv())

    await asyncio.gather(*(join() for _ in range(clients)))
    await asyncio.sleep(WARMUP_S)
    before, began, arrived = cpu_s(), time.monotonic(), _Counting.arrived
    await asyncio.sleep(seconds)
    used, wall, arrived = cpu_s() - before, time.monotonic() - began, _Counting.arrived - arrived
    return {"cores": used / wall, "message_us": used / max(1, arrived) * 1e6, "messages_per_s": arrived / wall}
