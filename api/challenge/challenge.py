"""The challenge: what is signed, what is proved, and in which order an answer is checked (contract, "Playing").

Pure: no clock, no Redis, no randomness of its own.  ``tests/vectors/signing.json`` fixes every byte of it for clients
in any language.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from enum import Enum
from typing import Final, Literal

import msgspec
import orjson

from api.sockets.frames import CommandAnswer

SIG_ALG: Final = "HMAC-SHA256"
POW_ALG: Final = "sha256-leading-hex-zeroes"
SIG_CHARS: Final = 43

State = Literal["ISSUED", "CONSUMED"]

_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


class Challenge(msgspec.Struct, frozen=True, gc=False):
    """A challenge as it was issued, and whether it is used up.

    ``cmd_json`` is the canonical text that was hashed, and what will be executed.  ``issued_ms`` is in milliseconds,
    ``expires_at`` in whole seconds of Unix time, as on the wire.
    """

    server_cmd_id: str
    client_cmd_id: str
    agent_id: str
    session_jti: str
    channel_id: str
    cmd_json: str
    cmd_hash: str
    nonce: str
    issued_ms: int
    expires_at: int
    difficulty: int
    trace_id: str
    state: State

    @property
    def cmd(self) -> object:
        """The command as JSON data."""
        return orjson.loads(self.cmd_json)

    @property
    def message(self) -> bytes:
        """The payload of ``command_challenge``, as JSON."""
        return orjson.dumps(
            {
                "client_cmd_id": self.client_cmd_id,
                "server_cmd_id": self.server_cmd_id,
                "nonce": self.nonce,
                "expires_at": self.expires_at,
                "difficulty": self.difficulty,
                "channel_id": self.channel_id,
                "sig_alg": SIG_ALG,
                "pow_alg": POW_ALG,
            }
        )


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who sent an answer, as the connection knows it."""

    agent_id: str
    session_jti: str
    channel_id: str


class Verdict(Enum):
    """Outcome of the checks, in their order; the value is the ``code`` beside an ack's ``reason``."""

    UNKNOWN = "unknown_challenge"
    CONSUMED = "already_consumed"
    EXPIRED = "expired"
    CHANNEL_MISMATCH = "channel_mismatch"
    SESSION_MISMATCH = "session_mismatch"
    AGENT_MISMATCH = "agent_mismatch"
    BAD_SIGNATURE = "bad_signature"
    BAD_PROOF = "bad_proof"
    VALID = "valid"

    @property
    def reason(self) -> str:
        """The contract's reason for it: everything that is not about the challenge's life is ``auth_failed``."""
        return "expired_challenge" if self in _ABOUT_ITS_LIFE else "auth_failed"


_ABOUT_ITS_LIFE: Final = frozenset({Verdict.UNKNOWN, Verdict.CONSUMED, Verdict.EXPIRED})


def canonical_json(cmd: object) -> str:
    """Return ``cmd`` as it is hashed: keys sorted by code point, no spaces, everything beyond ASCII escaped.

    Raises:
        ValueError: a number that is not finite.
        TypeError: something that is not JSON.
    """
    return _ENCODER.encode(cmd)


def hash_of(cmd_json: str) -> str:
    """Return ``cmd_hash``, the hex SHA-256 of the canonical text."""
    return hashlib.sha256(cmd_json.encode("ascii")).hexdigest()


def signing_string(challenge: Challenge) -> str:
    """Return what ``sig`` signs.  No part can hold a ``|``: their alphabets exclude it."""
    return (
        f"v1|{challenge.session_jti}|{challenge.channel_id}|{challenge.agent_id}|{challenge.server_cmd_id}"
        f"|{challenge.client_cmd_id}|{challenge.cmd_hash}|{challenge.nonce}|{challenge.expires_at}|{challenge.difficulty}"
    )


def sign(cmd_secret: str, text: str) -> str:
    """Return the HMAC-SHA256 of ``text``, base64url without padding; 43 characters."""
    digest = hmac.digest(cmd_secret.encode(), text.encode(), "sha256")
    return base64.urlsafe_b64encode(digest)[:SIG_CHARS].decode()


def signature_matches(cmd_secret: str, text: str, sig: str) -> bool:
    """Compare the encoded forms in constant time: of the four last characters that decode alike only one passes."""
    expected = sign(cmd_secret, text).encode()
    return hmac.compare_digest(expected, sig.encode("utf-8", "surrogatepass"))


def proof_hash(nonce: str, cmd_hash: str, proof_nonce: str) -> str:
    """Return the hex SHA-256 whose leading zeroes are the proof of work."""
    return hashlib.sha256(f"{nonce}|{cmd_hash}|{proof_nonce}".encode()).hexdigest()


def proof_holds(challenge: Challenge, proof_nonce: str | None) -> bool:
    """Return whether the proof of work has the challenge's difficulty, that many leading hex zeroes; 0 needs none."""
    if challenge.difficulty == 0:
        return True
    if not proof_nonce:
        return False
    try:
        digest = proof_hash(challenge.nonce, challenge.cmd_hash, proof_nonce)
    except UnicodeEncodeError:
        return False
    return digest.startswith("0" * challenge.difficulty)


def is_expired(challenge: Challenge, now_ms: int) -> bool:
    """Return whether the clock shows a later second than ``expires_at``; in that second itself an answer counts."""
    return now_ms // 1000 > challenge.expires_at


def check_bindings(challenge: Challenge | None, caller: Caller, now_ms: int) -> Verdict:
    """Make all checks before the signature; VALID when they pass."""
    if challenge is None:
        return Verdict.UNKNOWN
    if challenge.state != "ISSUED":
        # Whoever has no part in it need not learn that there is such a challenge.
        return Verdict.CONSUMED if challenge.agent_id == caller.agent_id else Verdict.UNKNOWN
    if is_expired(challenge, now_ms):
        return Verdict.EXPIRED
    if challenge.channel_id != caller.channel_id:
        return Verdict.CHANNEL_MISMATCH
    if challenge.session_jti != caller.session_jti:
        return Verdict.SESSION_MISMATCH
    if challenge.agent_id != caller.agent_id:
        return Verdict.AGENT_MISMATCH
    return Verdict.VALID


def check_claim(
    challenge: Challenge | None, answer: CommandAnswer, caller: Caller, cmd_secret: str, now_ms: int
) -> Verdict:
    """Make all checks before the proof; VALID when they pass.

    Args:
        challenge: as stored under the answer's ``server_cmd_id``; None when there is none.
        now_ms: the server's clock, milliseconds of Unix time.
    """
    verdict = check_bindings(challenge, caller, now_ms)
    if challenge is None or verdict is not Verdict.VALID:
        return verdict
    matches = signature_matches(cmd_secret, signing_string(challenge), answer.sig)
    return Verdict.VALID if matches else Verdict.BAD_SIGNATURE
