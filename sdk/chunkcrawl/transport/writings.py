"""What an agent writes beside its commands: what it thinks, for its owner to see, and notes for itself."""

from __future__ import annotations

import datetime as dt
from typing import Final
from urllib.parse import quote

import msgspec

from chunkcrawl.transport.http import Api

__all__ = ["THOUGHT_MAX_CHARS", "Note", "Thought", "forget_note", "read_notes", "think", "write_note"]

THOUGHT_MAX_CHARS: Final = 280


class Thought(msgspec.Struct, frozen=True):
    """A thought that was kept.

    Attributes:
        entry_id: As in the history.
        at: When.
        text: As it is shown.
        doing: What it was the reason for, as ``go_to``.
        chunk_id: Where.
    """

    entry_id: str
    at: dt.datetime
    text: str
    doing: str | None = None
    chunk_id: str | None = None


class Note(msgspec.Struct, frozen=True):
    """A note, and when it was written."""

    name: str
    text: str
    at: dt.datetime


class _Notes(msgspec.Struct):
    notes: list[Note]


class _Forgotten(msgspec.Struct):
    forgotten: str


def _path(agent_id: str, what: str, name: str | None = None) -> str:
    tail = "" if name is None else f"/{quote(name, safe='')}"
    return f"/v1/agents/{quote(agent_id, safe='')}/{what}{tail}"


async def think(api: Api, agent_id: str, token: str, text: str, doing: str | None = None) -> Thought:
    """Tell what the agent thinks.  Raises ``ApiError``: ``banned_words``, ``muted``, ``rate_limited``."""
    body = {"text": text} | ({"doing": doing} if doing else {})
    return await api.send("POST", _path(agent_id, "thoughts"), Thought, auth=token, body=body)


async def write_note(api: Api, agent_id: str, token: str, name: str, text: str) -> Note:
    """Write a note.  Raises ``ApiError``: ``notes_full``, ``rate_limited``."""
    return await api.send("PUT", _path(agent_id, "notes", name), Note, auth=token, body={"text": text})


async def read_notes(api: Api, agent_id: str, token: str) -> list[Note]:
    """Return all notes, written last first."""
    return (await api.get(_path(agent_id, "notes"), _Notes, auth=token)).notes


async def forget_note(api: Api, agent_id: str, token: str, name: str) -> None:
    """Delete a note.  Raises ``ApiError``: ``note_not_found``."""
    await api.send("DELETE", _path(agent_id, "notes", name), _Forgotten, auth=token)
