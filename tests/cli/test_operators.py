"""``chunkcrawl operator``, ``audit``, ``ban`` and ``unban`` on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from chunkcrawl.commands import main as cli

Invoke = Callable[..., tuple[int, str]]


@pytest.fixture
def invoke(fresh_postgres_url: str, valkey_url: str) -> Invoke:
    def run(*words: str) -> tuple[int, str]:
        environment = {"CHUNKCRAWL_DATABASE_URL": fresh_postgres_url, "CHUNKCRAWL_REDIS_URL": valkey_url}
        found = CliRunner().invoke(cli.app, list(words), env=environment, prog_name="chunkcrawl")
        return found.exit_code, found.output

    return run


def test_a_token_is_shown_once_and_everything_is_written_down(invoke: Invoke) -> None:
    code, made = invoke("operator", "create", "alice", "--role", "operator", "--json")
    assert code == 0, made
    token = json.loads(made)["token"]
    assert token.startswith("dco_")
    code, listed = invoke("operator", "list")
    assert "alice" in listed
    assert token not in listed
    assert invoke("operator", "revoke", "alice") == (0, "1 revoked.\n")
    assert invoke("operator", "revoke", "alice")[0] == 1
    assert invoke("ban", "scout-1", "--reason", "spam", "--minutes", "5")[0] == 0
    assert invoke("unban", "scout-1") == (0, "scout-1 may come in again.\n")
    assert invoke("unban", "scout-1")[0] == 1
    code, shown = invoke("audit", "--json")
    lines = json.loads(shown)
    actions = ["create-operator", "revoke-operator", "revoke-operator", "ban-agent", "unban-agent", "unban-agent"]
    assert [line["action"] for line in reversed(lines)] == actions
    outcomes = ["done", "done", "refused", "done", "done", "refused"]
    assert [line["outcome"] for line in reversed(lines)] == outcomes
    assert token not in shown
    assert "ban-agent scout-1" in invoke("audit", "--subject", "scout-1")[1]


@pytest.mark.parametrize(
    "words",
    [
        ("operator", "create", "x", "--role", "king"),
        ("operator", "create", "\n"),
        ("audit", "--outcome", "no"),
        ("ban", "a b"),
    ],
)
def test_wrong_usage_is_one_line(invoke: Invoke, words: tuple[str, ...]) -> None:
    code, told = invoke(*words)
    assert code == 2
    assert "Traceback" not in told
