"""The address of a world: whether it can be listened on, whether it answers, what to tell a person about it."""

from __future__ import annotations

import asyncio
import errno
import os
import shlex
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from chunkcrawl.transport.address import USUAL_BASE
from config.settings import Settings
from embedded.children import ServiceError

READY_WAIT_S: Final = 60.0
READY_POLL_S: Final = 0.2
READY_REQUEST_S: Final = 2.0
COMMAND: Final = "chunkcrawl"
EXAMPLE_EMAIL: Final = "me@example.org"
EXAMPLE_AGENT: Final = "scout-1"
OTHER_PORT: Final = "choose another port with CHUNKCRAWL_PORT or --port."
PORT_REMEDIES: Final = {
    errno.EADDRINUSE: f"Stop what listens there, or {OTHER_PORT}",
    errno.EACCES: f"Ports below 1024 are the system's: put a proxy before it, or {OTHER_PORT}",
    errno.EADDRNOTAVAIL: "CHUNKCRAWL_HOST must be an address of this machine, or 0.0.0.0 for all.",
}
DEV_TOKEN: Final = "test-spectator-token"
#: It is this machine's own address: no proxy that the environment names leads there.
PROXY_VARIABLES: Final = frozenset({"http_proxy", "https_proxy", "all_proxy"})
DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def check_port(host: str, port: int) -> None:
    """Find out early, and in plain words, that nobody can listen on ``port``.

    Raises:
        ServiceError: It is taken, or may not be used; or ``host`` is no address of this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, ValueError) as error:  # the second for what is no name at all
        why = (getattr(error, "strerror", None) or "no name of a host").lower()
        raise ServiceError(
            f"CHUNKCRAWL_HOST: {host} can't be resolved ({why}). It must be an address of this machine, "
            "127.0.0.1 for this machine alone, 0.0.0.0 for all."
        ) from None
    with socket.socket(family, kind) as probe:
        # Past connections in TIME_WAIT do not count.  Without SO_REUSEPORT a second world's gateways do.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            remedy = PORT_REMEDIES.get(error.errno or 0, PORT_REMEDIES[errno.EADDRINUSE])
            raise ServiceError(
                f"Port {port} on {host} can't be used: {os.strerror(error.errno or 0).lower()}. {remedy}"
            ) from None


def local_url(settings: Settings) -> str:
    """Return the address at which this machine reaches the gateways."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host and '[' not in host else host}:{settings.port}"


def without_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a child that talks to this machine alone, by whatever address."""
    return {name: value for name, value in environment.items() if name.lower() not in PROXY_VARIABLES}


async def wait_until_ready(base_url: str) -> None:
    """Wait until ``/readyz`` answers 200.

    Raises:
        ServiceError: It has not within ``READY_WAIT_S``; the text has its last answer.
    """
    deadline = time.monotonic() + READY_WAIT_S
    while True:
        ready, answer = await asyncio.to_thread(_ask_ready, base_url)
        if ready:
            return
        if time.monotonic() > deadline:
            raise ServiceError(f"The world is not ready after {READY_WAIT_S:.0f} s: {answer}")
        await asyncio.sleep(READY_POLL_S)


def _ask_ready(base_url: str) -> tuple[bool, str]:
    try:
        with DIRECT.open(f"{base_url}/readyz", timeout=READY_REQUEST_S) as response:
            return response.status == 200, ""
    except urllib.error.HTTPError as error:
        return False, error.read(2000).decode(errors="replace")
    except (OSError, ValueError) as error:
        return False, str(error)


def where_to_look(settings: Settings, base_url: str) -> str:
    """Return the lines that say where to look, printed once the world runs."""
    lines = ["", "[bold green]Chunkcrawl runs.[/]", f"  API    {base_url}", f"  Watch  {base_url}/watch"]
    if not settings.is_prod:
        stream = f"{base_url}/v1/spectate/stream?chunk_id=demo"
        lines += [
            f"         curl -N -H 'Authorization: Bearer {DEV_TOKEN}' '{stream}'",
            f"  Docs   {base_url}/docs",
        ]
    command = own_command()
    there = "" if base_url == USUAL_BASE else f" --base {base_url}"
    lines += [
        f"  Play   {command} signup{there} --email {EXAMPLE_EMAIL}",
        f"         {command} key create{there}",
        f"         {command} play {EXAMPLE_AGENT}{there}",
    ]
    return "\n".join([*lines, "  Stop   Ctrl-C"])


def own_command() -> str:
    """Return how a person calls ``chunkcrawl`` from where they stand: as this run was called, if that is how."""
    called = Path(sys.argv[0])
    if called.name != COMMAND:
        called = Path(sys.executable).with_name(COMMAND)
    on_path = shutil.which(COMMAND)
    if on_path is not None and called.exists() and os.path.samefile(on_path, called):
        return COMMAND
    return shlex.quote(str(called)) if called.exists() else COMMAND
