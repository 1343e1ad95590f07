"""The challenge's arithmetic: canonical JSON, command hash, signature, proof of work.

Pure and synchronous but for ``solve_aside``.  The rules are the wire contract's ("Playing"); the same vectors
(tests/vectors/signing.json) hold the server and this file to the same bytes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["INLINE_DIFFICULTY_MAX", "canonical_json", "command_hash", "sign", "signing_text", "solve", "solve_aside"]

#: Up to here a proof takes about 256 hashes (0.2 ms) and is solved on the spot; above it, beside the event loop.
INLINE_DIFFICULTY_MAX: Final = 2

#: One slice is about 3 ms of hashing: how long a cancellation may have to wait.
HASHES_PER_SLICE: Final = 4_000


def canonical_json(cmd: Mapping[str, Any]) -> str:
    """Return ``cmd`` as JSON with sorted keys, no spaces, and everything beyond ASCII escaped.

    Raises:
        ValueError: NaN or an infinity is in it; the contract refuses both.
    """
    return json.dumps(cmd, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def command_hash(cmd: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 of the canonical JSON, 64 characters."""
    return hashlib.sha256(canonical_json(cmd).encode("ascii")).hexdigest()


def signing_text(
    *,
    session_jti: str,
    channel_id: str,
    agent_id: str,
    server_cmd_id: str,
    client_cmd_id: str,
    cmd_hash: str,
    nonce: str,
    expires_at: int | float | str,
    difficulty: int,
) -> str:
    """Return the ten fields that are signed, joined by ``|``.  ``expires_at`` goes in as the challenge gave it."""
    fields = ("v1", session_jti, channel_id, agent_id, server_cmd_id, client_cmd_id, cmd_hash, nonce)
    return "|".join((*fields, str(expires_at), str(difficulty)))


def sign(cmd_secret: str, text: str) -> str:
    """Return the HMAC-SHA256 of ``text`` by the UTF-8 bytes of ``cmd_secret``, base64url without padding."""
    digest = hmac.digest(cmd_secret.encode(), text.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")


def solve(nonce: str, cmd_hash: str, difficulty: int, *, start: int = 0, tries: int | None = None) -> str | None:
    """Find a proof nonce: hex SHA-256 of ``nonce|cmd_hash|proof`` starts with ``difficulty`` zeroes.

    Args:
        nonce: The challenge's nonce.
        cmd_hash: Of the command, see ``command_hash``.
        difficulty: Leading hex zeroes, 0..3 in the contract; the expected cost is 16 to that power hashes.
        start: The first candidate.
        tries: Give up after so many candidates; None goes on until one is found.

    Returns:
        The proof nonce (decimal digits), or None when ``tries`` were used up.
    """
    if difficulty <= 0:
        return str(start)
    wanted = "0" * difficulty
    head = hashlib.sha256(f"{nonce}|{cmd_hash}|".encode())
    candidate = start
    while tries is None or candidate < start + tries:
        attempt = head.copy()
        attempt.update(b"%d" % candidate)
        if attempt.hexdigest().startswith(wanted):
            return str(candidate)
        candidate += 1
    return None


async def solve_aside(nonce: str, cmd_hash: str, difficulty: int) -> str:
    """Solve as ``solve`` does without holding up the event loop: slices of milliseconds in a worker thread.

    Cancelling it ends the work after the slice that is running.
    """
    if difficulty <= INLINE_DIFFICULTY_MAX:
        return solve(nonce, cmd_hash, difficulty) or ""
    start = 0
    while True:
        proof = await asyncio.to_thread(solve, nonce, cmd_hash, difficulty, start=start, tries=HASHES_PER_SLICE)
        if proof is not None:
            return proof
        start += HASHES_PER_SLICE
