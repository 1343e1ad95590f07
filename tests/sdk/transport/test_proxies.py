"""Proxies of the environment: none to this machine, and errors that name the one that was used."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import urllib.request
from collections.abc import AsyncIterator

import pytest

from chunkcrawl.agent import Agent
from chunkcrawl.errors import NotReady, ServerUnreachable
from chunkcrawl.transport.connection import AgentConnection
from chunkcrawl.transport.http import Api, Session
from chunkcrawl.transport.proxies import is_loopback, proxy_for
from chunkcrawl.transport.sessions import SessionKeeper
from chunkcrawl.watcher import Watcher
from tests.sdk.fake_server import FakeServer

FAR = "http://world.example:8000"
SECRET = "hunter2"


class BadProxy:
    """A proxy that refuses whatever it is asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        writer.close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def proxy() -> AsyncIterator[BadProxy]:
    bad = BadProxy()
    server = await asyncio.start_server(bad.answer, "127.0.0.1", 0)
    bad.url = f"http://me:{SECRET}@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield bad
    server.close()


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("game.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("localhost.example", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_is_loopback(host: str, here: bool) -> None:
    assert is_loopback(host) is here


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("value", ["http://127.0.0.1:1", "socks5://127.0.0.1:1", "socks4://x", "::"])
async def test_this_machine_is_reached_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    server = FakeServer()
    async with server.running():
        # A socket of the real library; HTTP of the fake server is handed in, so Api's own client is made beside it.
        async with Api(server.base) as real:
            assert real.proxy is None
        async with Agent.connect(server.base, agent_id="scout", api_key="dcw_good", api=server.api()) as me:
            assert me.position is not None


async def test_an_error_elsewhere_names_the_proxy_and_not_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: BadProxy
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    shown = proxy.url.replace(f"me:{SECRET}@", "")
    async with Api(FAR) as api:
        with pytest.raises(NotReady) as refused:
            await api.signup("a@example.com", "password")
        assert proxy.asked[0].startswith(f"POST {FAR}/v1/signup")
        link = _connection(api)
        with pytest.raises(ServerUnreachable) as broken:
            await link._opened(Session("sess_1"))
        assert proxy.asked[1].startswith("CONNECT world.example:8000")
        stream = Watcher.chunk(FAR, session=Session("sess_1"), api=api, open_timeout_s=0.0)
        with pytest.raises(NotReady) as unseen:
            await anext(aiter(stream.events()))
    for caught in (refused, broken, unseen):
        assert f"over the proxy {shown} of http_proxy" in str(caught.value)
        assert SECRET not in str(caught.value)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with Api(FAR) as api:
        with pytest.raises(ServerUnreachable, match=r"over the proxy http://127\.0\.0\.1:1 of http_proxy"):
            await api.signup("a@example.com", "password")


def test_no_proxy_makes_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "proxy.example:3128")
    found = proxy_for(FAR)
    assert found is not None
    assert (found.url, found.shown) == ("http://proxy.example:3128", "http://proxy.example:3128 of all_proxy")
    monkeypatch.setenv("no_proxy", "world.example")
    assert proxy_for(FAR) is None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (f"socks5://me:{SECRET}@127.0.0.1:1080", "pip install socksio"),
        (f"socks4://me:{SECRET}@127.0.0.1:1080", "no kind that can be used"),
        (f"http://me:{SECRET}@127.0.0.1:{SECRET}", "no usable proxy"),
        (f"http://:{SECRET}@", "no usable proxy"),
    ],
)
def test_a_proxy_that_can_not_be_used_is_one_line(monkeypatch: pytest.MonkeyPatch, value: str, says: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"all": value})
    with pytest.raises(ServerUnreachable, match=says) as caught:
        Api(FAR)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "no_proxy=world.example" in str(caught.value)


def _connection(api: Api) -> AgentConnection:
    async def ignore(frame: bytes) -> None:
        """No frame comes."""

    rng = random.Random(1)
    sessions = SessionKeeper(api, None, session=Session("sess_1"), rng=rng)
    return AgentConnection(
        FAR,
        "a",
        sessions,
        on_open=lambda session: None,
        on_frame=ignore,
        on_lost=lambda: None,
        last_event_id=lambda: None,
        rng=rng,
    )
