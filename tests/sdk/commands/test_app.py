"""The client's commands: usage, exit codes, output, what is kept.  Accounts against a small HTTP server of the standard
library; playing and watching against the real one is in test_live.py."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from chunkcrawl.commands.app import app
from chunkcrawl.commands.common import perform
from chunkcrawl.errors import refusal
from chunkcrawl.watcher import Watcher

NOBODY = "http://127.0.0.1:9"
PASSWORD = "correct horse"
LOGIN = "Basic " + base64.b64encode(f"a@example.com:{PASSWORD}".encode()).decode()


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

    def logged_in(self) -> bool:
        return self.headers["Authorization"] in ("Bearer token_1", LOGIN)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/signup" and body["email"] in self.emails:
            self.answer(409, {"detail": "email_already_exists"})
        elif self.path == "/v1/signup" and body["password"] == PASSWORD:
            self.emails.add(body["email"])
            self.answer(201, {"account_id": "acc_1", "email": body["email"], "account_token": "token_1"})
        elif self.path == "/v1/signup":
            faults = [{"field": "password", "rule": "has 8 characters at least"}]
            self.answer(422, {"detail": "invalid_request", "fields": faults})
        elif self.path == "/v1/keys" and self.logged_in() and body.get("account_id", "acc_1") == "acc_1":
            key = {"key_id": "key_1", "key_prefix": "dcw_abc", "api_key": "dcw_secret", "account_id": "acc_1"}
            self.answer(201, key)
        elif self.path == "/v1/sessions" and body["api_key"] == "dcw_secret":
            session = {"session_token": "sess_1", "session_jti": "jti_1", "cmd_secret": "s", "expires_at": 9}
            self.answer(201, session | {"role": body["role"]})
        else:
            self.answer(401, {"detail": "invalid_credentials"})

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer dcw_secret":
            self.answer(401, {"detail": "invalid_api_key"})
        elif self.path == "/v1/agents/scout-1":
            self.answer(200, {"agent_id": "scout-1"} | body)
        else:
            self.answer(404, {"detail": "agent_not_found"})

    def do_GET(self) -> None:
        if self.path == "/v1/agents" and self.headers["Authorization"] == "Bearer dcw_secret":
            return self.answer(200, {"agents": [{"agent_id": "scout-1", "thoughts_public": False}], "next": None})
        if not self.logged_in():
            return self.answer(401, {"detail": "invalid_credentials"})
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
    for name in ("API_KEY", "BASE", "HOST", "PASSWORD", "PORT"):
        monkeypatch.delenv(f"CHUNKCRAWL_{name}", raising=False)
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


def test_the_environments_port_is_the_one_of_every_command(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHUNKCRAWL_PORT", base.rpartition(":")[2])
    monkeypatch.setenv("CHUNKCRAWL_API_KEY", "dcw_secret")
    assert run("session").stdout == "sess_1\n"
    monkeypatch.setenv("CHUNKCRAWL_PORT", "tcp://10.0.0.1:8000")  # as Kubernetes has it for a service of that name
    wrong = run("session")
    assert wrong.exit_code == 2
    assert "CHUNKCRAWL_PORT" in wrong.stderr


def login(base: str, password: str = PASSWORD) -> Result:
    arguments = ("login", "--email", "a@example.com", "--base", base, "--password-stdin", "--json")
    return run(*arguments, stdin=f"{password}\n")


def test_who_lost_the_credentials_file_logs_in_again(base: str, config: Path) -> None:
    signed_up(base)
    (config / "credentials.json").unlink()
    assert run("key", "create", "--base", base).exit_code == 1
    assert login(base, "not it at all").exit_code == 1
    assert json.loads(login(base).stdout) == {"account_id": "acc_1", "email": "a@example.com", "key_id": "key_1"}
    text = (config / "credentials.json").read_text()
    assert json.loads(text)[base]["api_key"] == "dcw_secret"
    assert PASSWORD not in text
    assert run("session", "--base", base).stdout == "sess_1\n"
    # Keys are managed with the password from then on, for the account's token is not to be had again.
    listed = run("key", "list", "--base", base, "--password-stdin", stdin=f"{PASSWORD}\n")
    assert listed.stdout == "key_1  dcw_abc  live  laptop\n"


def test_a_login_keeps_a_token_and_a_key_that_work(base: str, config: Path) -> None:
    signed_up(base)
    run("key", "create", "--base", base)
    before = (config / "credentials.json").read_text()
    assert login(base).exit_code == 0
    assert (config / "credentials.json").read_text() == before


def test_signing_up_again_says_how_to_log_in(base: str) -> None:
    signed_up(base)
    again = run("signup", "--email", "a@example.com", "--base", base, "--password-stdin", stdin=f"{PASSWORD}\n")
    assert again.exit_code == 1
    assert f"log in with: chunkcrawl login --email a@example.com --base {base}\n" in again.stderr
    assert len(again.stderr.splitlines()) == 1


def test_what_is_wrong_with_a_request_is_said_by_field_and_rule(base: str) -> None:
    result = run("signup", "--email", "a@example.com", "--base", base, "--password-stdin", stdin="short\n")
    assert result.exit_code == 1
    assert "password has 8 characters at least" in result.stderr
    assert "short" not in result.stderr


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
        ("watch", "--from", "yesterday"),
        ("watch", "--from", "5", "--speed", "33"),
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


@pytest.mark.parametrize(
    "words",
    ["session", "say scout-1 hi", "play scout-1 --bot gold", "watch", "watch --owner scout-1", "key list", "login"],
)
def test_no_server_is_exit_code_3(monkeypatch: pytest.MonkeyPatch, config: Path, words: str) -> None:
    monkeypatch.setattr("chunkcrawl.commands.playing.OPEN_TIMEOUT_S", 0.2)
    monkeypatch.setenv("CHUNKCRAWL_API_KEY", "dcw_x")
    monkeypatch.setenv("CHUNKCRAWL_PASSWORD", PASSWORD)
    kept = {NOBODY: {"email": "a@example.com", "account_token": "token_1"}}
    (config / "credentials.json").write_text(json.dumps(kept))
    more = ["--email", "a@example.com"] if words == "login" else []
    result = run(*words.split(), *more, "--base", NOBODY, "--json")
    assert result.exit_code == 3
    *before, last = result.stderr.splitlines()
    assert all(words.startswith("watch") and "no answer from the server yet" in line for line in before)
    told = json.loads(last)
    assert told["error"] == "server_unreachable"
    assert "chunkcrawl up" in told["detail"]
    assert "--base" in told["detail"]


def test_watching_from_a_moment_of_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []

    async def shown(watcher: Watcher) -> None:
        asked.append(watcher._query)

    monkeypatch.setattr("chunkcrawl.commands.screens.show_json", shown)
    words = (
        "watch chunk-7 --from 1234 --speed 8",
        "watch --owner scout-1 --from 2026-03-01T12:00",
        "watch demo --speed 4",
    )
    for one in words:
        assert run(*one.split(), "--json").exit_code == 0
    assert asked == [
        {"chunk_id": "chunk-7", "from_tick": "1234", "speed": "8"},
        {"agent_id": "scout-1", "from_tick": "1772366400000", "speed": "1"},
        {"chunk_id": "demo"},
    ]
    before = time.time() * 1000
    assert run("watch", "--from", "10m", "--json").exit_code == 0
    assert before - 600_001 <= int(asked[-1]["from_tick"]) <= time.time() * 1000 - 599_999


def test_a_proxy_that_can_not_be_used_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that the server may be down, or its address wrong: nobody has asked it."""
    monkeypatch.setenv("http_proxy", "gopher://proxy.example:70")
    monkeypatch.setenv("CHUNKCRAWL_API_KEY", "dcw_x")
    result = run("watch", "chunk-0", "--base", "http://world.example:8000")
    assert result.exit_code == 3
    assert "no_proxy=world.example" in result.stderr
    assert "chunkcrawl up" not in result.stderr


def test_a_credentials_file_that_is_none_is_no_traceback(config: Path) -> None:
    (config / "credentials.json").write_text("[]")
    result = run("key", "list")
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert "no credentials file" in result.stderr


def test_agents_are_listed_and_their_thoughts_shown(base: str) -> None:
    signed_up(base)
    assert run("key", "create", "--base", base).exit_code == 0
    assert run("agent", "list", "--base", base).stdout == "scout-1  thoughts private\n"
    shown = run("agent", "thoughts", "scout-1", "public", "--base", base)
    assert shown.stdout == "scout-1  thoughts public\n"
    hidden = run("agent", "thoughts", "scout-1", "private", "--base", base, "--json")
    assert json.loads(hidden.stdout) == {"agent_id": "scout-1", "thoughts_public": False}
    assert run("agent", "thoughts", "scout-1", "everybody", "--base", base).exit_code == 2
    unknown = run("agent", "thoughts", "nobody", "public", "--base", base)
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "agent_not_found" in unknown.stderr


@pytest.mark.parametrize(
    "command",
    [
        *("signup", "login", "key create", "key list", "key revoke", "agent list", "agent thoughts", "session"),
        *("play", "say", "watch"),
    ],
)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"chunkcrawl {command}" in result.stdout
    assert "--json" in result.stdout


def test_help_loads_neither_sockets_nor_http() -> None:
    heavy = ("httpx", "websockets", "msgspec", "rich.live")
    script = f"import sys, chunkcrawl.commands.app; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("as_json", [False, True])
def test_what_moderation_says_is_passed_on(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    async def refused() -> None:
        raise refusal("invalid_cmd", code="banned_words", strikes_left=1)

    with pytest.raises(typer.Exit):
        perform(refused(), as_json=as_json)
    line = capsys.readouterr().err
    if as_json:
        fields = json.loads(line)
        assert (fields["error"], fields["code"], fields["strikes_left"]) == ("invalid_cmd", "banned_words", 1)
        assert "retry_after_ms" not in fields
    else:
        assert "banned_words" in line
        assert "1 more such message mutes this agent" in line
        assert "malformed" not in line


def test_mcp_takes_no_agent_over_where_it_cannot_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mcp")
    monkeypatch.setenv("CHUNKCRAWL_API_KEY", "dcw_x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("mcp", "scout-1", "--http", f"127.0.0.1:{port}", "--base", NOBODY)
    assert done.exit_code == 1
    assert f"127.0.0.1:{port} can't be listened on" in done.stderr
