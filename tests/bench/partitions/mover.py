"""One crossing in a process of its own, which can be ended, or made to stand still, at each point.

    python -m tests.bench.partitions.mover '{"source_url": ..., "target_url": ..., "source": 1, "target": 2, ...}'

Exits with 0 when everybody has crossed, and with 3 when another process has taken a lease meanwhile.
"""

from __future__ import annotations

import asyncio
import sys

import orjson

from streaming.connect import connect
from tests.bench.partitions.crossing import Crossing
from tests.bench.partitions.journal import Journal, Refused, Stop
from tests.bench.partitions.partition import Partition

FENCED = 3


async def move(source_url: str, target_url: str, source: int, target: int, place: str, pause: bool) -> None:
    """Take both leases and let everybody cross."""
    stop = Stop(place, pause=pause)
    clients = [connect(url) for url in (source_url, target_url)]
    journals = [
        await Journal.acquire(client, Partition(number), stop)
        for client, number in zip(clients, (source, target), strict=True)
    ]
    await Crossing(*journals).run()
    for client in clients:
        await client.aclose()


if __name__ == "__main__":
    try:
        asyncio.run(move(**orjson.loads(sys.argv[1])))
    except Refused as refused:
        sys.exit(FENCED if str(refused) == "fenced" else 1)
