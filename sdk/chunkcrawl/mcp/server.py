"""An MCP server that lets a language model play one agent: the tools of ``chunkcrawl.mcp.tools`` over stdio or HTTP.

    chunkcrawl mcp scout-1
    chunkcrawl mcp scout-1 --http 127.0.0.1:8765

Needs the package ``mcp`` (``pip install "chunkcrawl[mcp]"``).  How to play is in docs/SKILL.md.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from chunkcrawl.agent import Agent
from chunkcrawl.errors import ChunkcrawlError
from chunkcrawl.mcp.answer import Answer
from chunkcrawl.mcp.toolbox import Toolbox, ToolProgress
from chunkcrawl.mcp.tools import create_tool_server

__all__ = ["NotListening", "check_address", "create_server", "serve_http", "serve_stdio"]

PATH: Final = "/mcp"
POLL_S: Final = 0.05


class NotListening(ChunkcrawlError):
    """The address to serve at can't be listened on: it is taken, or not this machine's."""

    reason = "cannot_listen"


class _OneAgent:
    """The desk of a server that plays one agent."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox

    async def call(
        self, context: Context[Any, Any], tool: str, arguments: dict[str, Any], progress: ToolProgress
    ) -> Answer:
        """Call the agent's tool."""
        return await self._toolbox.call(tool, arguments, progress)


def create_server(agent: Agent) -> MCPServer:
    """Return a server for ``agent``, which must be connected for as long as the server runs."""
    toolbox = Toolbox(agent)

    @asynccontextmanager
    async def lifespan(_: MCPServer) -> AsyncIterator[None]:
        # Entered once for each client over HTTP; they share the toolbox.
        async with toolbox:
            yield

    return create_tool_server(_OneAgent(toolbox), lifespan=lifespan)


async def serve_stdio(agent: Agent) -> None:
    """Serve one client over stdin and stdout until it leaves."""
    await create_server(agent).run_stdio_async()


async def serve_http(agent: Agent, host: str, port: int) -> None:
    """Serve clients over streamable HTTP at ``/mcp`` until cancelled; says on stderr where, once it listens.

    There is no authentication: whoever reaches the port plays the agent, so listen on 127.0.0.1.  At an address of this
    machine alone, requests that a browser was made to send by somebody's page are refused (their ``Host``).
    """
    name, shown = _names(host, port)
    # The library guards 127.0.0.1, localhost and ::1; the other loopback addresses are as much this machine's own.
    guard = _guard(shown.rpartition(":")[0]) if name.startswith("127.") else None
    told = f"agent {agent.agent_id} is played over MCP at http://{shown}{PATH}"
    telling = asyncio.get_running_loop().create_task(_tell_once_listening(name, port, told))
    try:
        await create_server(agent).run_streamable_http_async(
            host=name, port=port, streamable_http_path=PATH, transport_security=guard
        )
    finally:
        telling.cancel()


def check_address(host: str, port: int) -> None:
    """See whether ``serve_http`` can listen there; to be asked before the agent is connected, which takes it over.

    Raises:
        NotListening: The address is taken, or none of ours.
    """
    name, shown = _names(host, port)
    try:
        socket.create_server((name, port), family=socket.AF_INET6 if ":" in name else socket.AF_INET).close()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and not isinstance(error, socket.gaierror) else str(error)
        raise NotListening(f"{shown} can't be listened on ({why}); take another address or port") from error


def _names(host: str, port: int) -> tuple[str, str]:
    """Return the host as the system wants it, and the address as it stands in a URL."""
    name = host.strip("[]")
    return name, f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


async def _tell_once_listening(host: str, port: int, line: str) -> None:
    """Print ``line`` once the port answers; the library does not say when it listens."""
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(POLL_S)
        else:
            writer.close()
            print(line, file=sys.stderr, flush=True)
            return


def _guard(host: str) -> TransportSecuritySettings:
    names = (host, "localhost")
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[f"{name}:*" for name in names],
        allowed_origins=[f"http://{name}:*" for name in names],
    )
