"""Where the world listens: taken ports, addresses, readiness, and what a person is told."""

from __future__ import annotations

import errno
import re
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cli import world_address
from config.settings import load_settings
from embedded.children import ServiceError


class NotReady(BaseHTTPRequestHandler):
    """Ready from the third question on."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        ready = type(self).asked > 2 and self.path == "/readyz"
        self.send_response(200 if ready else 503)
        self.end_headers()
        if not ready:
            self.wfile.write(b'{"detail": "not_ready", "problems": ["shard 1: no tick"]}')

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def slow_starter() -> Iterator[str]:
    NotReady.asked = 0
    server = HTTPServer(("127.0.0.1", 0), NotReady)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_waits_until_the_world_is_ready(slow_starter: str) -> None:
    await world_address.wait_until_ready(slow_starter)
    assert NotReady.asked == 3


async def test_world_that_gets_not_ready_says_why(slow_starter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_address, "READY_WAIT_S", 0.0)
    with pytest.raises(ServiceError, match="not ready after 0 s: .*shard 1: no tick"):
        await world_address.wait_until_ready(slow_starter)


def test_taken_port_is_named_with_the_variable() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as our gateways listen
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=rf"Port {port} .*in use.*CHUNKCRAWL_PORT"):
            world_address.check_port("127.0.0.1", port)
    world_address.check_port("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("nohost.invalid", "CHUNKCRAWL_HOST: nohost.invalid can't be resolved"),
        ("a..b", "CHUNKCRAWL_HOST: a..b can't be resolved"),
        ("192.0.2.77", "CHUNKCRAWL_HOST must be an address of this machine"),
    ],
)
def test_an_address_that_is_not_ours_is_one_line(host: str, says: str) -> None:
    with pytest.raises(ServiceError, match=says) as caught:
        world_address.check_port(host, 8000)
    assert "\n" not in str(caught.value)


def test_a_port_of_the_systems_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(ServiceError, match=r"Port 80 .*permission denied.*below 1024.*CHUNKCRAWL_PORT"):
        world_address.check_port("127.0.0.1", 80)


async def test_this_machine_is_asked_without_a_proxy(slow_starter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setattr(world_address, "READY_WAIT_S", 5.0)
    await world_address.wait_until_ready(slow_starter)
    child = world_address.without_proxies({"HTTP_PROXY": "x", "all_proxy": "x", "no_proxy": "y", "HOME": "z"})
    assert child == {"no_proxy": "y", "HOME": "z"}


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("fd00::1", "http://[fd00::1]:8000"),
    ],
)
def test_local_url(host: str, url: str) -> None:
    assert world_address.local_url(load_settings(host=host, port=8000)) == url


@pytest.mark.parametrize("base", ["http://127.0.0.1:8000", "http://127.0.0.1:9001"])
def test_the_commands_to_play_work_as_they_are_printed(base: str) -> None:
    text = world_address.where_to_look(load_settings(), base)
    found = [line.split("chunkcrawl ", 1)[1] for line in text.splitlines() if re.search(r"chunkcrawl(?= [a-z])", line)]
    there = "" if base.endswith(":8000") else f" --base {base}"
    assert found == [
        f"signup{there} --email me@example.org",
        f"key create{there}",
        f"play scout-1{there}",
    ]


def test_the_command_is_called_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    command = tmp_path / ".venv" / "bin" / "chunkcrawl"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [".venv/bin/chunkcrawl", "up"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert world_address.own_command() == ".venv/bin/chunkcrawl"
    monkeypatch.setenv("PATH", str(command.parent))
    assert world_address.own_command() == "chunkcrawl"


def test_prod_is_told_no_development_token() -> None:
    prod = load_settings(environment="prod", secret_pepper="s" * 32)
    text = world_address.where_to_look(prod, "http://127.0.0.1:8000")
    assert world_address.DEV_TOKEN not in text
    assert "http://127.0.0.1:8000/watch" in text
