"""An agent's stream over its pieces: where it was while each event was written is known where it is now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from streaming import keys
from tests.bench.partitions.partition import Partition

__all__ = ["PIECES_MOST", "Unreadable", "pieces_of", "read_agent"]

#: Visits that are remembered; a reader who wants more of them than that has to start over.
PIECES_MOST: Final = 16


class Unreadable(Exception):
    """What was asked for is not there any more: the reader starts over with the present state."""


def pieces_of(text: str) -> list[tuple[int, Partition]]:
    """Read ``1:p3,8:p5``: from which number on which partition has the stream."""
    found = []
    for piece in text.split(",")[-PIECES_MOST:]:
        first, _, partition = piece.partition(":")
        found.append((int(first), Partition(int(partition[1:]))))
    return found


async def read_agent(
    client_of: Callable[[Partition], Any], agent_id: str, at: Partition, after: int
) -> list[tuple[int, bytes]]:
    """Entries with events above number ``after``, oldest first: one read of each partition that has any.

    An entry's number is that of its last event.

    Raises:
        Unreadable: some are gone, or the agent is not ``at`` this partition any more.
    """
    text = await client_of(at).hget(at.key(keys.agent(agent_id)), "pieces")
    if text is None:
        raise Unreadable("it has gone on: ask where it is")
    pieces = pieces_of(text.decode())
    ends = [first - 1 for first, _ in pieces[1:]] + [2**53]
    found: list[tuple[int, bytes]] = []
    seen = after
    for (first, partition), last in zip(pieces, ends, strict=True):
        if last > after:
            key = partition.key(keys.agent_stream(agent_id))
            for id_, fields in await client_of(partition).xrange(key, f"{max(first, after + 1)}-0", f"{last}-0"):
                message: bytes = fields[b"m"]
                if int(message.partition(b"-")[0]) > seen:
                    raise Unreadable("a piece has been trimmed")
                seen = int(id_.partition(b"-")[0])
                found.append((seen, message))
    return found
