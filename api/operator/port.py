"""What the operators' API asks of the world's operating, as seen from its side; ``cluster.operating`` does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from config.errors import ServerError

JobKind = Literal["backup", "verify", "fsck"]
Row = Mapping[str, Any]


class CantDo(ServerError):
    """It can't be done as things are; the text says why, and what to do.

    ``code`` is one of ``api.errors``: ``refused``, ``node_not_found``, ``chunk_not_found``, ``backup_not_found``.
    """

    reason = "cant_do"

    def __init__(self, words: str, code: str = "refused") -> None:
        super().__init__(words)
        self.code = code


class Operating(Protocol):
    """Every method raises ``CantDo``, or ``RedisError`` while Redis is away."""

    async def pin(self, name: str) -> bool:
        """Pin a chunk or a shard; False: it was pinned."""
        ...

    async def unpin(self, name: str) -> bool:
        """Let it be balanced again; False: it was not pinned."""
        ...

    async def pins(self) -> list[str]:
        """Return what is pinned, by name."""
        ...

    async def drain(self, status: Row, node: str) -> str:
        """Note a node as drained; return what it is called.  ``status`` is the coordinator's last."""
        ...

    async def undrain(self, status: Row, node: str) -> str:
        """Let a node be used again; return what it is called."""
        ...

    def node_id(self, status: Row, node: str) -> str | None:
        """Return the whole id of the node that is meant; None: there is none, or more than one."""
        ...

    async def scale(self, status: Row, shards: int) -> None:
        """Wish for a number of shards."""
        ...

    async def rebalance(self) -> None:
        """Have the next pass of the coordinator balance at once, whatever it has moved of late."""
        ...

    async def moves(self, most: int) -> tuple[list[Row], list[Row]]:
        """Return the moves under way, and the newest that have ended."""
        ...

    async def begin_job(self, kind: JobKind, name: str, *, by: str, audit_id: int) -> Row:
        """Begin a backup or a check in a process of its own, and return the job; one at a time."""
        ...

    async def jobs(self) -> list[Row]:
        """Return the newest jobs, the newest first."""
        ...

    async def backups(self) -> list[Row]:
        """Return the backups that lie here, the newest first."""
        ...
