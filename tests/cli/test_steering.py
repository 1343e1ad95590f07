"""``chunkcrawl operate``, ``freeze``, ... against a server of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from chunkcrawl.commands import main as cli

Answers = Callable[..., httpx.Response]


def run(*words: str, **environment: str) -> tuple[int, str]:
    found = CliRunner().invoke(cli.app, list(words), env=environment, prog_name="chunkcrawl")
    return found.exit_code, found.output


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str, Any]]:
    calls: list[tuple[str, str, str, Any]] = []

    def request(method: str, url: str, *, headers: dict[str, str], json: Any, **_: Any) -> httpx.Response:
        calls.append((method, url, headers["authorization"], json))
        return httpx.Response(200, json={"text": "done", "audit_id": 1})

    monkeypatch.setattr(httpx, "request", request)
    return calls


def test_the_token_comes_from_the_environment_or_a_file(asked: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("dco_file\n")
    url = ("--url", "http://far:8000")
    assert run("freeze", "chunk-7", *url, CHUNKCRAWL_OPERATOR_TOKEN="dco_env") == (0, "done\n")
    assert run("thaw", "world", *url, "--token-file", str(file)) == (0, "done\n")
    assert run("announce", "hello", *url)[0] == 0
    assert run("disconnect", "scout-1", *url)[0] == 0
    assert run("operate", "post", "scale", '{"shards": 3}', *url)[0] == 0
    base = "http://far:8000/v1/operator"
    assert asked == [
        ("POST", f"{base}/chunks/chunk-7/freeze", "Bearer dco_env", {}),
        ("POST", f"{base}/world/thaw", "Bearer dco_file", {}),
        ("POST", f"{base}/announce", "Bearer test-operator-token", {"text": "hello"}),
        ("POST", f"{base}/agents/scout-1/disconnect", "Bearer test-operator-token", {}),
        ("POST", f"{base}/scale", "Bearer test-operator-token", {"shards": 3}),
    ]


@pytest.mark.parametrize(
    ("status", "body", "code", "told"),
    [
        (401, {"detail": "invalid_token"}, 3, "operator create"),
        (403, {"detail": "invalid_scope"}, 1, "viewer"),
        (409, {"detail": "refused", "text": "add a node first"}, 1, "add a node first"),
        (503, {"detail": "unavailable"}, 3, "unavailable"),
    ],
)
def test_refusals_end_in_one_line(
    monkeypatch: pytest.MonkeyPatch, status: int, body: dict[str, str], code: int, told: str
) -> None:
    monkeypatch.setattr(httpx, "request", lambda *_, **__: httpx.Response(status, json=body))
    found, output = run("freeze", "chunk-7")
    assert (found, output.count("\n")) == (code, 1)
    assert told in output


def test_wrong_words_and_a_server_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("operate", "put", "x")[0] == 2
    assert run("operate", "post", "x", "[1]")[0] == 2
    assert run("freeze", "a/b")[0] == 2
    assert run("disconnect", "a b")[0] == 2
    code, told = run("operate", "get", "me", "--url", "http://127.0.0.1:9")
    assert (code, told.count("\n")) == (3, 1)
    monkeypatch.setattr(httpx, "request", lambda *_, **__: httpx.Response(200, text="<html>"))
    assert run("operate", "get", "me")[0] == 3
