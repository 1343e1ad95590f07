"""``mcp``: let a language model play an agent."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import typer

from chunkcrawl.commands.common import DEFAULT_BASE, BaseOption, JsonOption, api_key_for, fail, perform

__all__ = ["mcp"]


def _host_and_port(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise typer.BadParameter("an address like 127.0.0.1:8765 is needed")
    return host, int(port)


def _only_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def mcp(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Its id: letters, digits, _ . -")],
    http: Annotated[
        str | None,
        typer.Option("--http", metavar="HOST:PORT", help="Serve streamable HTTP at /mcp there, in place of stdio."),
    ] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Listen at an address that others reach, all the same.")
    ] = False,
    base: BaseOption = DEFAULT_BASE,
    as_json: JsonOption = False,
) -> None:
    """Serve the tools to play with (go_to, explore, harvest_until, say, ...) for one agent over MCP.

    Over HTTP there is no authentication, and whoever reaches the port plays the agent: the address must be this
    machine's own, unless --allow-remote says that something in front lets in only whom it should. How to play:
    docs/SKILL.md.

    Examples:

        chunkcrawl mcp scout-1

        chunkcrawl mcp scout-1 --http 127.0.0.1:8765
    """
    address = _host_and_port(http)
    if address and not _only_here(address[0]) and not allow_remote:
        raise typer.BadParameter("whoever reaches that address would play the agent: take 127.0.0.1, or --allow-remote")
    try:
        from chunkcrawl.mcp import server
    except ModuleNotFoundError:
        fail("mcp_not_installed", 'the package mcp is missing: pip install "chunkcrawl[mcp]"', as_json=as_json)
    from chunkcrawl.agent import Agent

    key = api_key_for(base, as_json=as_json)

    async def work() -> None:
        if address:
            server.check_address(*address)
        # A model can wait for its server longer than a program should; each of its calls is bounded all the same.
        async with Agent.connect(base, agent_id=agent, api_key=key, away_timeout_s=None) as me:
            await (server.serve_http(me, *address) if address else server.serve_stdio(me))

    perform(work(), as_json=as_json)
