"""Shapes of the ids that come from outside (contract, "Playing")."""

from __future__ import annotations

import re
import secrets
from typing import Final, NewType

from config.secret_forms import holds_secret

AgentId = NewType("AgentId", str)
ServerCmdId = NewType("ServerCmdId", str)
TraceId = NewType("TraceId", str)

AGENT_ID_PATTERN: Final = r"^[A-Za-z0-9_.\-]{1,128}$"
CLIENT_CMD_ID_PATTERN: Final = r"^[A-Za-z0-9_.:\-]{1,64}$"
CHUNK_ID_PATTERN: Final = r"^[A-Za-z0-9_\-]{1,64}$"

# `\Z`, not `$`: `$` also matches before a final newline, and a newline must not get into anything signed.
_AGENT_ID: Final = re.compile(AGENT_ID_PATTERN.removesuffix("$") + r"\Z")
_CMD_ID: Final = re.compile(CLIENT_CMD_ID_PATTERN.removesuffix("$") + r"\Z")
_CHUNK_ID: Final = re.compile(CHUNK_ID_PATTERN.removesuffix("$") + r"\Z")


def is_agent_id(text: str) -> bool:
    """Return whether ``text`` may be an agent's id."""
    return _AGENT_ID.match(text) is not None


def is_cmd_id(text: str) -> bool:
    """Return whether ``text`` may be a client or server command id, or a trace id (they share one alphabet)."""
    return _CMD_ID.match(text) is not None


def is_chunk_id(text: str) -> bool:
    """Return whether ``text`` may be a chunk's id."""
    return _CHUNK_ID.match(text) is not None


def new_trace_id() -> TraceId:
    """Make a trace id."""
    return TraceId(secrets.token_hex(8))


def trace_id_or_new(text: object) -> TraceId:
    """Return ``text`` if it is a usable trace id (1..64 of ``A-Za-z0-9_.:-``, no secret of ours), else a fresh one.

    A stranger's trace id goes into logs and stream entries, whose header line is split at spaces.
    """
    usable = isinstance(text, str) and is_cmd_id(text) and not holds_secret(text)
    return TraceId(str(text)) if usable else new_trace_id()
