"""What an agent has done, as the server has kept it: pages of ``GET /v1/agents/{agent_id}/history``."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from chunkcrawl.transport.http import Api

__all__ = ["HistoryEntry", "HistoryPage", "read_history"]

PAGE_MAX: Final = 1000


class HistoryEntry(msgspec.Struct, frozen=True):
    """One thing that an agent did, or that it was given.

    Attributes:
        entry_id: Unique, and higher the later it happened.
        at: When, in UTC.
        tick: The world's tick.
        kind: ``join``, ``leave``, ``result``, ``crossing``, ``harvest``, ``give``, ``chat``, ``thought``; more in newer
            servers.
        chunk_id: Where; for a crossing the chunk that was left.
        agent_id: Who did it: the giver, where this agent was given something.
        details: By kind.  Of a ``result``: ``command``, ``asked``, ``status``, ``reason``, ``client_cmd_id`` and
            ``server_cmd_id``; of a ``crossing`` ``to_chunk_id``, ``x``, ``y``; of a ``harvest`` ``node_id``,
            ``amount``, ``gold``; of a ``give`` ``to``, ``amount``; of a ``chat`` ``text``; of a ``thought``
            ``text`` and ``doing``.
    """

    entry_id: str
    at: dt.datetime
    tick: int
    kind: str
    chunk_id: str | None = None
    agent_id: str | None = None
    details: dict[str, Any] = {}

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


class HistoryPage(msgspec.Struct, frozen=True):
    """A page, newest first.  ``next``: the ``before`` of the page of what happened earlier; None: there is nothing."""

    entries: list[HistoryEntry]
    next: str | None = None


async def read_history(
    api: Api,
    agent_id: str,
    auth: tuple[str, str] | str,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    kinds: Sequence[str] = (),
    limit: int | None = None,
) -> AsyncGenerator[HistoryEntry, None]:
    """Yield what an agent did and was given, newest first, page after page.

    Args:
        api: The server.
        agent_id: Whose history.
        auth: The account's token, e-mail and password, an API key, or a session's token for this agent.
        since, until: From when on, and before when; without a zone they are UTC.
        kinds: Only these kinds; empty: all.
        limit: At most so many; None: all that is kept.

    Raises:
        NotFound: Nobody has played an agent of that id.
        ApiError, ServerUnreachable, ProtocolViolation: As every call of ``Api``.
    """
    before: str | None = None
    left = limit
    while left is None or left > 0:
        size = PAGE_MAX if left is None else min(left, PAGE_MAX)
        times = {"since": since, "until": until}
        query: list[tuple[str, str]] = [(name, _iso(at)) for name, at in times.items() if at is not None]
        query += [("kind", kind) for kind in kinds] + [("limit", str(size))]
        query += [] if before is None else [("before", before)]
        page = await api.get(f"/v1/agents/{quote(agent_id, safe='')}/history", HistoryPage, auth=auth, query=query)
        for entry in page.entries:
            yield entry
        before = page.next
        if before is None:
            return
        left = None if left is None else left - len(page.entries)


def _iso(at: dt.datetime) -> str:
    return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).isoformat()
