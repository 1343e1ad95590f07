"""The world's identifiers as types, its directions, and the hash that routes by them.

Ids are opaque strings to everybody but the function that makes them.  Nothing here uses
``hash()``, which is salted per process for strings.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Literal, NewType

ChunkId = NewType("ChunkId", str)
AgentId = NewType("AgentId", str)
NodeId = NewType("NodeId", str)
HandoffId = NewType("HandoffId", str)
ServerCmdId = NewType("ServerCmdId", str)
#: Number of a step of world time; one tick is 0.2 s at the default 5 Hz.
Tick = NewType("Tick", int)

Direction = Literal["N", "E", "S", "W"]

DIRECTIONS: Final[tuple[Direction, ...]] = ("N", "E", "S", "W")
OPPOSITE: Final[dict[Direction, Direction]] = {"N": "S", "S": "N", "E": "W", "W": "E"}

#: The pinned chunk in which the world starts.
HALL: Final = ChunkId("chunk-0")


def stable_hash(text: str) -> int:
    """Return the 64-bit hash of a text, the same in every process: BLAKE2b-64 of its UTF-8, big endian."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def shard_of(chunk_id: str, shard_count: int) -> int:
    """Return the shard (0 .. ``shard_count`` - 1) on which a chunk starts its life."""
    return stable_hash(chunk_id) % shard_count


def chunk_name(number: int) -> ChunkId:
    """Return ``chunk-<number>``; numbers come from a counter and are never used twice."""
    return ChunkId(f"chunk-{number}")


def node_name(chunk_id: ChunkId, index: int) -> NodeId:
    """Return ``<chunk_id>-node-<index>``, index counting from 0 within the chunk."""
    return NodeId(f"{chunk_id}-node-{index}")


def handoff_name(agent_id: AgentId, server_cmd_id: ServerCmdId) -> HandoffId:
    """Return the id of the crossing that a command makes; a command crosses once, so asking again gives the same.

    Hashed, so that its length is bounded whatever the ids are; the lengths keep ("a", "bc") and ("ab", "c") apart.
    """
    text = f"{len(agent_id)}:{agent_id}:{server_cmd_id}"
    return HandoffId("ho-" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest())
