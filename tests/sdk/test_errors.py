"""Reasons of the contract as types: each has one, an unknown one is still an error of ours."""

from __future__ import annotations

import pytest

from chunkcrawl import errors
from chunkcrawl.errors import BannedWords, Blocked, CommandFailed, CommandRefused, Interrupted, Muted, RanDry
from tests.docs.asyncapi import SCHEMAS

REASONS: list[str] = SCHEMAS["CommandAck"]["properties"]["reason"]["enum"]


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_of_an_ack_has_a_type_of_its_own(reason: str) -> None:
    error = errors.refusal(reason, 250, "some_code")
    assert type(error) is not CommandRefused
    assert isinstance(error, CommandRefused)
    assert (error.reason, error.retry_after_ms, error.code) == (reason, 250, "some_code")


def test_types_and_reasons_are_one_to_one() -> None:
    assert len({type(errors.refusal(reason)) for reason in REASONS}) == len(REASONS)


def test_a_reason_of_a_newer_server_is_a_refusal() -> None:
    error = errors.refusal("tea_time")
    assert type(error) is CommandRefused
    assert "tea_time" in str(error)


def test_moderation_is_told_by_the_code() -> None:
    banned = errors.refusal("invalid_cmd", None, "banned_words", strikes_left=1, muted_ms=600_000)
    assert isinstance(banned, BannedWords)
    assert (banned.strikes_left, banned.muted_ms) == (1, 600_000)
    assert isinstance(errors.refusal("rate_limited", 5_000, "muted"), Muted)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("blocked", Blocked),
        ("interrupted_by_new_command", Interrupted),
        ("depleted", RanDry),
        ("disconnected", CommandFailed),
        ("tea_time", CommandFailed),
    ],
)
def test_reasons_of_results(reason: str, kind: type[CommandFailed]) -> None:
    error = errors.failure(reason, 7)
    assert type(error) is kind
    assert (error.reason, error.ended_tick) == (reason, 7)


def test_what_stood_in_the_way() -> None:
    error = errors.failure("blocked", 7, (3, 4), {"id": "bob", "x": 3, "y": 4})
    assert isinstance(error, Blocked)
    assert (error.blocked_at, error.blocker["id"]) == ((3, 4), "bob")
    nobody = errors.failure("blocked")
    assert isinstance(nobody, Blocked)
    assert nobody.blocker == {}
