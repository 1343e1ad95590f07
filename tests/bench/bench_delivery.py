"""From the shard's commit to a client's socket, while others play: milliseconds by the envelope's ``server_ts_ms``.

Usage: python tests/bench/bench_delivery.py [--base http://127.0.0.1:8000] [--chunks 4] [--seconds 15]

Run it on the machine of the world, whose clock it compares with, beside a load client.  ``server_ts_ms`` is taken
just before the commit, so the commit itself is in the figure; its resolution is a millisecond.
"""

from __future__ import annotations

import argparse
import asyncio
import time

import httpx
import orjson

TOKEN = "test-spectator-token"


async def watch(http: httpx.AsyncClient, base: str, chunk_id: str, until: float, into: list[float]) -> None:
    """Note how late each delta of a chunk comes."""
    url = f"{base}/v1/spectate/stream"
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with http.stream("GET", url, params={"chunk_id": chunk_id}, headers=headers) as answer:
        answer.raise_for_status()
        shown = False
        async for line in answer.aiter_lines():
            if not line.startswith('data: {"type":"chunk_delta"'):
                continue
            now_ms = time.time() * 1000
            if shown:  # the first delta is the present state, which may be old
                into.append(now_ms - orjson.loads(line[6:])["server_ts_ms"])
            shown = True
            if time.monotonic() > until:
                return


async def measure(base: str, chunks: int, seconds: float) -> None:
    late: list[float] = []
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(timeout=30) as http:
        listed = (await http.get(f"{base}/v1/chunks", headers=headers)).raise_for_status().json()["chunks"]
        busiest = sorted(listed, key=lambda chunk: -chunk["agents"])[:chunks]
        until = time.monotonic() + seconds
        await asyncio.gather(*(watch(http, base, chunk["chunk_id"], until, late) for chunk in busiest))
    late.sort()
    p50, p99 = late[len(late) // 2], late[min(len(late) - 1, int(len(late) * 0.99))]
    agents = sum(chunk["agents"] for chunk in listed)
    print(f"{agents} agents, {len(late)} deltas of {len(busiest)} chunks: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="http://127.0.0.1:8000")
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=15)
    given = parser.parse_args()
    try:
        asyncio.run(measure(given.base, given.chunks, given.seconds))
    except httpx.ConnectError:
        print(f"not measured: no world at {given.base}; start one with `make run`, and a load client beside it")


if __name__ == "__main__":
    main()
