"""Canonical JSON, hashes, signatures and proofs, by known values and by independent reckoning."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from chunkcrawl.wire import signing

VECTORS = Path(__file__).parents[2] / "vectors" / "signing.json"
FIELDS: dict[str, Any] = {
    "session_jti": "jti_1",
    "channel_id": "ch_1",
    "agent_id": "scout-1",
    "server_cmd_id": "s-1",
    "client_cmd_id": "c-1",
    "cmd_hash": "00" * 32,
    "nonce": "n-1",
    "expires_at": 1_700_000_000_123,
    "difficulty": 2,
}


@pytest.mark.parametrize(
    ("cmd", "text"),
    [
        ({"y": 2, "x": 1, "type": "move_to"}, '{"type":"move_to","x":1,"y":2}'),
        ({"type": "say", "text": "h\u00e9llo \U0001f600"}, '{"text":"h\\u00e9llo \\ud83d\\ude00","type":"say"}'),
        ({"type": "say", "text": 'a\u2028b\n"\\/\x7f'}, '{"text":"a\\u2028b\\n\\"\\\\/\\u007f","type":"say"}'),
        ({"b": {"d": 1, "c": [True, None]}}, '{"b":{"c":[true,null],"d":1}}'),
    ],
)
def test_canonical_form_is_sorted_compact_and_ascii(cmd: dict[str, Any], text: str) -> None:
    assert signing.canonical_json(cmd) == text


def test_composed_and_decomposed_letters_hash_differently() -> None:
    """What is hashed is what was sent; normalising is the server's later business."""
    composed, decomposed = {"type": "say", "text": "\u00e9"}, {"type": "say", "text": "e\u0301"}
    assert signing.command_hash(composed) != signing.command_hash(decomposed)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_does_not_have_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        signing.canonical_json({"type": "move_to", "x": number})


def test_hash_of_the_escaped_form_matches_the_published_value() -> None:
    cmd = {"client_cmd_id": "c-1", "text": "h\u00e9llo \U0001f600", "type": "say"}
    assert signing.command_hash(cmd) == "9b68949cd83305654f9c42f76d5a32cc269f642a8d3697efc42922a471fed733"


def test_signing_text_has_the_fields_in_the_order_of_the_contract() -> None:
    expected = f"v1|jti_1|ch_1|scout-1|s-1|c-1|{'00' * 32}|n-1|1700000000123|2"
    assert signing.signing_text(**FIELDS) == expected


def test_signature_is_unpadded_base64url_of_the_hmac() -> None:
    text = signing.signing_text(**FIELDS)
    signature = signing.sign("s\u00e9cret", text)
    expected = hmac.new("s\u00e9cret".encode(), text.encode(), hashlib.sha256).digest()
    assert len(signature) == 43
    assert base64.urlsafe_b64decode(signature + "=") == expected


@pytest.mark.parametrize("difficulty", [0, 1, 2, 3])
def test_proof_has_the_zeroes(difficulty: int) -> None:
    proof = signing.solve("nonce", "ab" * 32, difficulty)
    assert proof is not None
    digest = hashlib.sha256(f"nonce|{'ab' * 32}|{proof}".encode()).hexdigest()
    assert digest[:difficulty] == "0" * difficulty


def test_solving_gives_up_after_the_given_tries_and_goes_on_from_a_start() -> None:
    whole = signing.solve("nonce", "cd" * 32, 2)
    assert whole is not None
    assert signing.solve("nonce", "cd" * 32, 2, tries=int(whole)) is None
    assert signing.solve("nonce", "cd" * 32, 2, start=int(whole), tries=1) == whole


async def test_hard_proofs_leave_the_event_loop_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slice is a thread call, between which the loop runs."""
    slices: list[int] = []
    real = signing.solve

    def counted(nonce: str, cmd_hash: str, difficulty: int, *, start: int = 0, tries: int | None = None) -> str | None:
        slices.append(start)
        return real(nonce, cmd_hash, difficulty, start=start, tries=tries)

    monkeypatch.setattr(signing, "HASHES_PER_SLICE", 500)
    monkeypatch.setattr(signing, "solve", counted)
    proof = await signing.solve_aside("slow", "ef" * 32, 3)
    assert hashlib.sha256(f"slow|{'ef' * 32}|{proof}".encode()).hexdigest().startswith("000")
    assert slices == list(range(0, int(proof) + 1, 500))


async def test_cancelling_a_proof_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "HASHES_PER_SLICE", 100)
    task = asyncio.create_task(signing.solve_aside("never", "ef" * 32, 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def vectors() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(VECTORS.read_text())["vectors"]
    assert len(found) >= 10
    return found


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["name"])
def test_the_servers_vectors_hold_here_too(vector: dict[str, Any]) -> None:
    cmd_hash = signing.command_hash(vector["cmd"])
    assert signing.canonical_json(vector["cmd"]) == vector["canonical"]
    assert cmd_hash == vector["cmd_hash"]
    fields = {name: vector[name] for name in FIELDS if name != "cmd_hash"}
    text = signing.signing_text(**fields, cmd_hash=cmd_hash)
    assert text == vector["signing_string"]
    assert signing.sign(vector["cmd_secret"], text) == vector["sig"]
    assert signing.solve(vector["nonce"], cmd_hash, vector["difficulty"]) == vector["proof_nonce"]
