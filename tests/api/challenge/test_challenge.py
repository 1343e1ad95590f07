from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from api.challenge.challenge import (
    Caller,
    Challenge,
    Verdict,
    canonical_json,
    check_claim,
    hash_of,
    is_expired,
    proof_hash,
    proof_holds,
    sign,
    signature_matches,
    signing_string,
)
from api.ids import TraceId
from api.sockets.frames import CommandAnswer, CommandReq, parse_frame
from tests.api.support import MOVE, canonical, challenge_to, solve, unsolved
from world.commands import parse_command
from world.inputs import Refusal

FOLDER = Path(__file__).parents[2] / "vectors"
DATA = json.loads((FOLDER / "signing.json").read_text())
VECTORS: list[dict[str, Any]] = DATA["vectors"]
REFUSED: list[dict[str, str]] = DATA["refused"]
NAMES = [vector["name"] for vector in VECTORS]

SECRET = "secret"
NOW_MS = 1_800_000_000_000
CALLER = Caller("a-1", "jti_1", "ws-1")


def challenge(**other: Any) -> Challenge:
    return replace(challenge_to(now_ms=NOW_MS), **{"nonce": "nonce", "difficulty": 2, **other})


def answer(to: Challenge, **other: Any) -> CommandAnswer:
    proof_nonce = solve(to.nonce, to.cmd_hash, to.difficulty)
    made = CommandAnswer(to.server_cmd_id, sign(SECRET, signing_string(to)), proof_nonce, TraceId("t-1"))
    return dataclasses.replace(made, **other)


def verdict(given: Challenge | None, said: CommandAnswer, caller: Caller = CALLER, now_ms: int = NOW_MS) -> Verdict:
    """What an answer comes to, the checks in the order in which a gateway makes them."""
    found = check_claim(given, said, caller, SECRET, now_ms)
    if given is None or found is not Verdict.VALID:
        return found
    return Verdict.VALID if proof_holds(given, said.proof_nonce) else Verdict.BAD_PROOF


def request_with(cmd_wire: str) -> str:
    return '{"type":"command_req","payload":{"client_cmd_id":"c","cmd":' + cmd_wire + "}}"


# -- the published vectors --


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_the_server_computes_what_the_vectors_say(vector: dict[str, Any]) -> None:
    """Canonical text, hash, signed text, signature and proof agree with an independent implementation."""
    cmd_json = canonical_json(json.loads(vector["cmd_wire"]))
    assert cmd_json == vector["canonical"]
    assert hash_of(cmd_json) == vector["cmd_hash"]
    names = ("server_cmd_id", "client_cmd_id", "agent_id", "session_jti", "channel_id", "nonce", "expires_at")
    given = challenge(
        cmd_json=cmd_json,
        cmd_hash=vector["cmd_hash"],
        difficulty=vector["difficulty"],
        **{name: vector[name] for name in names},
    )
    assert signing_string(given) == vector["signing_string"]
    assert sign(vector["cmd_secret"], vector["signing_string"]) == vector["sig"]
    assert proof_hash(vector["nonce"], vector["cmd_hash"], vector["proof_nonce"]) == vector["pow_hash"]
    assert proof_holds(given, vector["proof_nonce"])


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_a_frame_with_the_vectors_command_hashes_the_same(vector: dict[str, Any]) -> None:
    """What arrives over the wire, escapes and white space included, is hashed as published."""
    frame = parse_frame(request_with(vector["cmd_wire"]))
    assert isinstance(frame, CommandReq)
    assert frame.cmd_fault is None
    assert hash_of(canonical_json(frame.cmd)) == vector["cmd_hash"]


def test_there_are_enough_vectors_and_they_differ_where_they_should() -> None:
    by_name = {vector["name"]: vector["cmd_hash"] for vector in VECTORS}
    assert len(VECTORS) >= 12
    assert by_name["move_to"] == by_name["move_to, keys in another order"] == by_name["move_to, with white space"]
    assert by_name["say, accent and emoji"] == by_name["say, accent and emoji escaped"]
    assert by_name["say, accent and emoji"] != by_name["say, decomposed accent"]


@pytest.mark.parametrize("case", REFUSED, ids=[case["name"] for case in REFUSED])
def test_what_must_be_refused_is_refused_before_a_challenge(case: dict[str, str]) -> None:
    frame = parse_frame(request_with(case["cmd_wire"]))
    assert isinstance(frame, CommandReq)
    assert frame.cmd_fault is not None or parse_command(frame.cmd) == Refusal("invalid_cmd")


def test_the_reference_hashes_of_a_known_text() -> None:
    """ASCII-escaped is the one form that counts; raw UTF-8 and Python's default spacing hash differently."""
    cmd = {"client_cmd_id": "c-1", "text": "h\u00e9llo \U0001f600", "type": "say"}
    escaped = "9b68949cd83305654f9c42f76d5a32cc269f642a8d3697efc42922a471fed733"
    assert hash_of(canonical_json(cmd)) == escaped


# -- canonical form --

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53 - 1), 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_the_canonical_form_survives_being_read_again(value: object) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert canonical_json(json.loads(text)) == text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_have_no_canonical_form(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": number})


# -- the checks, in their order --


def test_a_right_answer_is_valid() -> None:
    given = challenge()
    assert verdict(given, answer(given)) is Verdict.VALID


def test_an_unknown_challenge_is_as_good_as_expired() -> None:
    assert verdict(None, answer(challenge())) is Verdict.UNKNOWN
    assert Verdict.UNKNOWN.reason == "expired_challenge"


def test_a_consumed_challenge_stays_consumed() -> None:
    assert verdict(challenge(state="CONSUMED"), answer(challenge())) is Verdict.CONSUMED


def test_a_stranger_does_not_learn_that_a_challenge_was_consumed() -> None:
    stranger = replace(CALLER, agent_id="a-2")
    assert verdict(challenge(state="CONSUMED"), answer(challenge()), stranger) is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("after_ms", "expected"),
    [
        (-1, Verdict.VALID),
        (0, Verdict.VALID),
        (999, Verdict.VALID),
        (1000, Verdict.EXPIRED),
        (2000, Verdict.EXPIRED),
    ],
)
def test_the_second_of_expires_at_still_counts_and_the_next_does_not(after_ms: int, expected: Verdict) -> None:
    given = challenge()
    assert verdict(given, answer(given), now_ms=given.expires_at * 1000 + after_ms) is expected
    assert is_expired(given, given.expires_at * 1000 + after_ms) is (expected is Verdict.EXPIRED)


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (replace(CALLER, channel_id="ws-2"), Verdict.CHANNEL_MISMATCH),
        (replace(CALLER, session_jti="jti_2"), Verdict.SESSION_MISMATCH),
        (replace(CALLER, agent_id="a-2"), Verdict.AGENT_MISMATCH),
    ],
)
def test_another_channel_session_or_agent_is_not_let_in(caller: Caller, expected: Verdict) -> None:
    given = challenge()
    assert verdict(given, answer(given), caller) is expected
    assert expected.reason == "auth_failed"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_jti", "jti_2"),
        ("channel_id", "ws-2"),
        ("agent_id", "a-2"),
        ("server_cmd_id", "cmd_2"),
        ("client_cmd_id", "c-2"),
        ("cmd_hash", hash_of(canonical(MOVE | {"x": 5}))),
        ("nonce", "other"),
        ("expires_at", 1_800_003_600),
        ("difficulty", 0),
    ],
)
def test_every_signed_part_counts_and_only_the_stored_one(field: str, value: object) -> None:
    """An answer signed over another value fails, whichever part it is (difficulty 0, one hour more)."""
    given = challenge()
    forged = answer(given, sig=sign(SECRET, signing_string(challenge(**{field: value}))))
    assert verdict(given, forged) is Verdict.BAD_SIGNATURE


def test_the_signature_is_checked_before_the_proof() -> None:
    given = challenge()
    wrong = answer(given, sig="A" * 43, proof_nonce=unsolved(given.nonce, given.cmd_hash, 2))
    assert verdict(given, wrong) is Verdict.BAD_SIGNATURE


def test_expiry_is_checked_before_who_asks() -> None:
    late = challenge().expires_at * 1000 + 1000
    assert verdict(challenge(), answer(challenge()), replace(CALLER, agent_id="a-2"), late) is Verdict.EXPIRED


# -- signatures --


def not_canonical(sig: str) -> str:
    """Another spelling of the same 32 bytes: the last character's two spare bits set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = sig[:-1] + alphabet[alphabet.index(sig[-1]) | 1]
    assert twin != sig
    assert base64.urlsafe_b64decode(twin + "=") == base64.urlsafe_b64decode(sig + "=")
    return twin


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda sig: "", id="empty"),
        pytest.param(lambda sig: sig[:-1], id="truncated"),
        pytest.param(lambda sig: sig + "=", id="padded"),
        pytest.param(lambda sig: sig + "A", id="longer"),
        pytest.param(lambda sig: " " + sig, id="leading space"),
        pytest.param(lambda sig: sig + "\n", id="newline"),
        pytest.param(lambda sig: sig.swapcase(), id="other case"),
        pytest.param(lambda sig: "!" * 43, id="no base64"),
        pytest.param(lambda sig: "\u00e9" * 43, id="beyond ASCII"),
        pytest.param(lambda sig: "\ud800" * 43, id="lone surrogates"),
        pytest.param(lambda sig: sig[:-1] + "\0", id="NUL"),
        pytest.param(not_canonical, id="same bytes spelled differently"),
    ],
)
def test_only_the_canonical_signature_passes(spoil: Any) -> None:
    given = challenge()
    sig = sign(SECRET, signing_string(given))
    assert signature_matches(SECRET, signing_string(given), sig)
    assert len(sig) == 43
    assert not signature_matches(SECRET, signing_string(given), spoil(sig))
    assert verdict(given, answer(given, sig=spoil(sig))) is Verdict.BAD_SIGNATURE


@given(st.text(max_size=60))
def test_no_text_breaks_the_comparison(sig: str) -> None:
    assert signature_matches(SECRET, "text", sig) is (sig == sign(SECRET, "text"))


# -- proofs --


@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_a_proof_needs_every_zero(difficulty: int) -> None:
    given = challenge(difficulty=difficulty)
    assert proof_holds(given, solve(given.nonce, given.cmd_hash, difficulty))
    assert not proof_holds(given, unsolved(given.nonce, given.cmd_hash, difficulty))


def test_one_zero_too_few_fails() -> None:
    given = challenge(difficulty=2)
    number = 0
    while True:
        found = proof_hash(given.nonce, given.cmd_hash, str(number))
        if found.startswith("0") and not found.startswith("00"):
            break
        number += 1
    assert not proof_holds(given, str(number))
    assert proof_holds(replace(given, difficulty=1), str(number))


@pytest.mark.parametrize("proof_nonce", [None, "", "\ud800"])
def test_no_usable_proof_fails(proof_nonce: str | None) -> None:
    given = challenge()
    assert verdict(given, answer(given, proof_nonce=proof_nonce)) is Verdict.BAD_PROOF


def test_a_proof_for_another_nonce_fails() -> None:
    """It is told from a chance hit by looking for a nonce whose proof does not fit here."""
    given = challenge()
    others = (solve(f"other-{n}", given.cmd_hash, 2) for n in range(50))
    misfit = next(proof for proof in others if not proof_hash(given.nonce, given.cmd_hash, proof).startswith("00"))
    assert verdict(given, answer(given, proof_nonce=misfit)) is Verdict.BAD_PROOF


def test_difficulty_zero_needs_no_proof() -> None:
    given = challenge(difficulty=0)
    assert verdict(given, answer(given, proof_nonce=None)) is Verdict.VALID
