"""The wish that nodes be empty, in Redis (``cluster:drained``): node id -> who wished it, and when.

Writing it is the commit point of a drain: from then on every pass of a coordinator, this one or another, moves off what
is there.  An entry goes with ``undrain``, or once its node has left the cluster; Ray never gives an id twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final, Literal

import orjson
from redis.asyncio import Redis

from streaming import keys
from streaming.connect import as_text
from streaming.lua import load, run
from streaming.shared_clock import now_ms

DRAIN: Final = load("cluster/drain/drain_node.lua")

#: Version of an entry.
VERSION: Final = 1

#: An operator, or the coordinator, which empties nodes that are not needed.
Who = Literal["operator", "scale"]


async def drain(redis: Redis, node_id: str, others: Iterable[str], by: Who) -> bool:
    """Note a node as drained; return False, and change nothing, when all ``others`` are drained too.

    Args:
        others: the nodes that can take what runs there.
    """
    note = orjson.dumps({"v": VERSION, "by": by, "at_ms": now_ms()})
    answer: bytes = await run(redis, DRAIN(node=node_id, note=note, others=list(others)))
    return answer == b"ok"


async def undrain(redis: Redis, node_ids: Collection[str]) -> bool:
    """Take the notes away; return whether there was one."""
    client: Any = redis  # its types have no list of names
    return bool(node_ids) and bool(await client.hdel(keys.DRAINED, *node_ids))


async def read_drained(redis: Redis) -> dict[str, Who]:
    """Return the nodes noted as drained, and who has wished it; an entry that can't be read is an operator's."""
    found = await redis.hgetall(keys.DRAINED)
    return {as_text(node): _who(note) for node, note in found.items()}


def _who(note: bytes | str) -> Who:
    try:
        return "scale" if orjson.loads(note)["by"] == "scale" else "operator"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "operator"
