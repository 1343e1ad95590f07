"""The contract's page names every code that this server uses."""

from __future__ import annotations

import re

import pytest

from api.errors import STATUS_OF_REASON
from api.middleware import TRACE_HEADER
from api.sockets import connections
from tests.docs.asyncapi import SCHEMAS
from tests.docs.blocks import ROOT

TEXT = (ROOT / "docs" / "protocol.md").read_text()
ADDED = TEXT.partition("## What this server adds")[2]
NAMED = {word for code in re.findall(r"`([^`\n]+)`", TEXT) for word in re.findall(r"[a-z][a-z0-9_]+", code)}


@pytest.mark.parametrize("reason", STATUS_OF_REASON)
def test_reasons_over_http(reason: str) -> None:
    assert reason in NAMED


def test_a_reason_stands_beside_its_status() -> None:
    table = ADDED.partition("| status | `detail`")[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        statuses, reasons = (re.findall(pattern, line) for pattern in (r"\b\d{3}\b", r"`([a-z_]{9,})`"))
        assert reasons
        assert {str(STATUS_OF_REASON[reason]) for reason in reasons} == set(statuses), line


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ("Error", "reason"),
        ("CommandAck", "reason"),
        ("CommandAck", "code"),
        ("CommandResult", "reason"),
        ("ResyncRequired", "reason"),
    ],
)
def test_codes_in_messages(schema: str, field: str) -> None:
    assert set(SCHEMAS[schema]["properties"][field]["enum"]) <= NAMED


def test_close_codes() -> None:
    used = {value for name, value in vars(connections).items() if name.startswith("CLOSE_")}
    table = ADDED.partition("### Close codes")[2]
    assert len(used) == 8
    assert used | {1009} == {int(code) for code in re.findall(r"^\| (\d{4}) \|", table, re.MULTILINE)}


def test_the_trace_header() -> None:
    assert f"`{TRACE_HEADER}`" in ADDED.lower()
