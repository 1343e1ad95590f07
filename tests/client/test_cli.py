"""The client's commands: usage, exit codes, output, what is kept. Accounts against a small HTTP server of the standard
library; playing and watching against the real one is in test_live.py."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from client.cli import app

NOBODY = "http://127.0.0.1:9"
PASSWORD = "correct horse"


class Accounts(BaseHTTPRequestHandler):
    """One account, its keys and its sessions."""

    emails: set[str]
    revoked: set[str]

    def answer(self, status: int, body: Any = None) -> None:
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/signup" and body["email"] in self.emails:
            self.answer(409, {"detail": "email_already_exists"})
        elif self.path == "/v1/signup" and body["password"] == PASSWORD:
            self.emails.add(body["email"])
            self.answer(201, {"account_id": "acc_1", "email": body["email"], "account_token": "token_1"})
        elif self.path == "/v1/keys" and self.headers["Authorization"] == "Bearer token_1":
            self.answer(201, {"key_id": "key_1", "key_prefix": "dcw_abc", "api_key": "dcw_secret"})
        elif self.path == "/v1/sessions" and body["api_key"] == "dcw_secret":
            session = {"session_token": "sess_1", "session_jti": "jti_1", "cmd_secret": "s", "expires_at": 9}
            self.answer(201, session | {"role": body["role"]})
        else:
            self.answer(401, {"detail": "invalid_credentials"})

    def do_GET(self) -> None:
        revoked_at = "2030-01-01T00:00:00Z" if "key_1" in self.revoked else None
        self.answer(200, [{"key_id": "key_1", "key_prefix": "dcw_abc", "label": "laptop", "revoked_at": revoked_at}])

    def do_DELETE(self) -> None:
        self.revoked.add(self.path.rpartition("/")[2])
        self.answer(204)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def base() -> Iterator[str]:
    handler = type("OwnAccounts", (Accounts,), {"emails": set(), "revoked": set()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("CHUNKCRAWL_CONFIG_DIR", str(tmp_path))
    for name in ("CHUNKCRAWL_API_KEY", "CHUNKCRAWL_BASE", "CHUNKCRAWL_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def signed_up(base: str) -> None:
    assert (
        run("signup", "--email", "a@example.com", "--base", base, "--password-stdin", stdin=f"{PASSWORD}\n").exit_code
        == 0
    )


def test_from_signup_to_a_session(base: str, config: Path) -> None:
    signed_up(base)
    assert run("key", "create", "--base", base, "--label", "laptop").exit_code == 0
    opened = run("session", "--base", base, "--role", "agent", "--agent", "scout-1", "--json")
    assert json.loads(opened.stdout)["session_token"] == "sess_1"
    assert run("session", "--base", base).stdout == "sess_1\n"
    kept = json.loads((config / "credentials.json").read_text())[base]
    assert (kept["api_key"], kept["account_token"]) == ("dcw_secret", "token_1")
    assert PASSWORD not in (config / "credentials.json").read_text()


def test_passwords_are_asked_for_without_being_shown(base: str) -> None:
    result = run("signup", "--base", base, stdin=f"a@example.com\n{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0
    assert PASSWORD not in result.output


def test_keys_are_listed_and_revoked_and_shown_only_when_asked(base: str, config: Path) -> None:
    signed_up(base)
    assert "dcw_secret" not in run("key", "create", "--base", base).output
    assert run("key", "create", "--base", base, "--show").stdout == "dcw_secret\n"
    assert run("key", "list", "--base", base).stdout == "key_1  dcw_abc  live  laptop\n"
    assert json.loads(run("key", "revoke", "key_1", "--base", base, "--json").stdout) == {"revoked": "key_1"}
    assert json.loads(run("key", "list", "--base", base, "--json").stdout)["revoked_at"]
    assert "dcw_secret" not in (config / "credentials.json").read_text()
    assert run("session", "--base", base).exit_code == 1


def test_the_environment_names_server_and_key(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHUNKCRAWL_BASE", base + "/")
    monkeypatch.setenv("CHUNKCRAWL_API_KEY", "dcw_secret")
    assert run("session").stdout == "sess_1\n"
    monkeypatch.setenv("CHUNKCRAWL_API_KEY", "dcw_other")
    assert run("session").exit_code == 1


def test_a_refusal_is_exit_code_1_with_the_reason(base: str) -> None:
    signed_up(base)
    arguments = ("signup", "--email", "a@example.com", "--base", base, "--password-stdin")
    again = run(*arguments, "--json", stdin=f"{PASSWORD}\n")
    assert again.exit_code == 1
    assert again.stdout == ""
    assert json.loads(again.stderr)["error"] == "email_already_exists"
    assert "email_already_exists" in run(*arguments, stdin=f"{PASSWORD}\n").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("play", "scout-1"),
        ("play", "scout-1", "--bot", "clever"),
        ("watch", "chunk-0", "--owner", "scout-1"),
        ("watch", "--seconds", "0"),
        ("session", "--role", "agent"),
        ("session", "--role", "king"),
        ("say", "scout-1"),
        ("say", "scout-1", "hi", "--base", "ftp://x"),
        ("mcp", "scout-1", "--http", "8765"),
        ("mcp", "scout-1", "--http", "0.0.0.0:8765"),
        ("mcp", "scout-1", "--http", "[::]:8765"),
        ("mcp", "scout-1", "--http", "world.example:8765"),
        ("nonsense",),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("arguments", [("say", "scout-1", "hi"), ("play", "scout-1", "--bot", "gold"), ("session",)])
def test_without_a_key_it_says_how_to_get_one(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert "chunkcrawl key create" in result.stderr


def test_no_server_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHUNKCRAWL_API_KEY", "dcw_x")
    result = run("session", "--base", NOBODY, "--json")
    assert result.exit_code == 3
    assert json.loads(result.stderr)["error"] == "server_unreachable"


def test_a_credentials_file_that_is_none_is_no_traceback(config: Path) -> None:
    (config / "credentials.json").write_text("[]")
    result = run("key", "list")
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert "no credentials file" in result.stderr


@pytest.mark.parametrize(
    "command", ["signup", "key create", "key list", "key revoke", "session", "play", "say", "watch"]
)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"chunkcrawl {command}" in result.stdout
    assert "--json" in result.stdout


def test_help_loads_neither_sockets_nor_http() -> None:
    heavy = ("httpx", "websockets", "msgspec", "rich.live")
    script = f"import sys, client.cli; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
