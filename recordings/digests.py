"""Digests of a chunk's state: what a replay is compared with, and what watchers are told."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import orjson

from world.ids import ChunkId
from world.shard import ShardWorld

#: What a digest consists of, in order: one part for each, so that a difference can be named.
PARTS: Final = ("agents", "nodes", "npcs", "chunk")
BYTES: Final = 8


def chunk_digest(world: ShardWorld, chunk_id: ChunkId) -> list[str]:
    """Return the digest of a chunk's present state, a part for each of ``PARTS``, 16 hex digits each.

    It is over records as canonical JSON, so the same wherever the same was done.  Cost: O(agents).

    Raises:
        KeyError: the chunk is not here.
    """
    record = world.chunk(chunk_id).to_json()
    parts = ([agent.to_json() for agent in world.agents(chunk_id)], record.pop("nodes"), record.pop("npcs"), record)
    return [_digest(part) for part in parts]


def one_line(parts: list[str]) -> str:
    """Return a digest as one text, as watchers are told it."""
    return "".join(parts)


def _digest(value: Any) -> str:
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=BYTES).hexdigest()
