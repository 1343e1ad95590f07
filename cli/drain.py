"""``chunkcrawl drain`` and ``chunkcrawl undrain``: emptying a node of the Ray cluster while agents play."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console

from chunkcrawl.commands.common import EXIT_FAILED
from cli.last_status import ReadStatus, at_server, first_status, in_redis
from cli.operator_api import Server, TokenFileOption, UrlOption, post, segment, server_of
from cluster.drain import drained
from cluster.drain.nodes import CantDrain, ClusterNode, find_node, nodes_in, refuse_drain, short
from operations.local_audit import audited
from operations.operator_redis import FoundRedis, find_redis, one_line_errors
from streaming.connect import connect

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)

POLL_S: Final = 0.5
#: How many names of actors a line of progress has.
SHOWN_MOST: Final = 6

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="Its id, as long as needed, or its name or address.")]
DataOption = Annotated[str | None, typer.Option("--data", metavar="DIR", help="Data directory of `chunkcrawl up`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def drain(
    node: NodeArgument,
    data: DataOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    wait_s: Annotated[float, typer.Option("--wait", metavar="SECONDS", help="How long to wait for the end.")] = 300.0,
    json: JsonOption = False,
) -> None:
    """Move shards, gateways, coordinator and archiver off a node while agents play, and keep them off.

    Shards give their chunks to the others first, gateways let their clients go on elsewhere. Then the node may be
    stopped. Refused when no other node could take what runs there. `chunkcrawl status` shows the nodes.

    Exit codes: 0 it is empty, 1 refused, or not empty within --wait (it goes on), 3 no world to be reached.

    Examples: chunkcrawl drain 3f2a9c1b && ssh node-2 ray stop; chunkcrawl drain 10.0.0.12 --wait 600 --json;
    chunkcrawl drain 3f2a9c1b --url https://world.example
    """
    console, server = Console(stderr=True), server_of(url, token_file, data)
    with one_line_errors(), _refusals():
        if server is not None:
            chosen, left = asyncio.run(_drain_over(server, console, node, wait_s))
        else:
            with find_redis(data, stopped_too=False, audit=True) as found:
                chosen, left = asyncio.run(_drain(found, console, node, wait_s))
    if json:
        typer.echo(orjson.dumps({"node": chosen.id, "empty": not left, "left": left}).decode())
    elif not left:
        typer.echo(f"{chosen} is empty, and stays so until `chunkcrawl undrain {short(chosen.id)}`.")
    if left:
        typer.echo(f"Not empty within {wait_s:g} s: {_named(left)}. It goes on: see `chunkcrawl status`.", err=True)
        raise typer.Exit(EXIT_FAILED)


@app.command()
def undrain(
    node: NodeArgument, data: DataOption = None, url: UrlOption = None, token_file: TokenFileOption = None
) -> None:
    """Let the world use a drained node again, for what is started from now on; nothing moves there by itself.

    Exit codes: 0 done, 1 it is not drained, 3 no world to be reached.

    Examples: chunkcrawl undrain 3f2a9c1b; chunkcrawl undrain 10.0.0.12 --url https://world.example
    """
    server = server_of(url, token_file, data)
    with one_line_errors(), _refusals():
        if server is not None:
            chosen = asyncio.run(_undrain_over(server, node))
        else:
            with find_redis(data, stopped_too=False, audit=True) as found:
                chosen = asyncio.run(_undrain(found, node))
    typer.echo(f"{chosen} may be used again.")


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except CantDrain as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None


async def _undrain(found: FoundRedis, word: str) -> ClusterNode:
    redis = connect(found.url)

    async def work() -> ClusterNode:
        chosen = find_node(nodes_in(await first_status(in_redis(redis))), word)
        if not await drained.undrain(redis, [chosen.id]):
            raise CantDrain(f"{chosen} is not drained")
        return chosen

    try:
        return await audited(found.database_url, "undrain", await _subject(in_redis(redis), word), {}, work)
    finally:
        await redis.aclose()


async def _subject(read: ReadStatus, word: str) -> str:
    """Return what the line in the audit log is about, as over HTTP: the node's whole id, or the word."""
    found = await read()
    try:
        return word if found is None else find_node(nodes_in(found), word).id
    except CantDrain:
        return word  # the action is refused for the same reason


async def _undrain_over(server: Server, word: str) -> ClusterNode:
    chosen = find_node(nodes_in(await first_status(at_server(server))), word)
    post(server, f"/nodes/{segment(chosen.id)}/undrain")
    return chosen


async def _drain(found: FoundRedis, console: Console, word: str, wait_s: float) -> tuple[ClusterNode, list[str]]:
    """Note the node as drained and wait; return it, and what is left there in the end."""
    redis = connect(found.url)
    read = in_redis(redis)

    async def work() -> ClusterNode:
        nodes = nodes_in(await first_status(read))
        chosen = find_node(nodes, word)
        if not chosen.drained:
            others = refuse_drain(chosen, nodes)
            if not await drained.drain(redis, chosen.id, [one.id for one in others], "operator"):
                raise CantDrain(f"{chosen} has become the last node that is not drained, a moment ago")
        return chosen

    try:
        chosen = await audited(found.database_url, "drain", await _subject(read, word), {}, work)
        return chosen, await _wait(read, console, chosen, wait_s)
    finally:
        await redis.aclose()


async def _drain_over(server: Server, console: Console, word: str, wait_s: float) -> tuple[ClusterNode, list[str]]:
    read = at_server(server)
    chosen = find_node(nodes_in(await first_status(read)), word)
    post(server, f"/nodes/{segment(chosen.id)}/drain")
    return chosen, await _wait(read, console, chosen, wait_s)


async def _wait(read: ReadStatus, console: Console, chosen: ClusterNode, wait_s: float) -> list[str]:
    with console.status(f"Draining {chosen} ...") as spinner:
        return await _until_empty(read, chosen, wait_s, spinner.update)


async def _until_empty(read: ReadStatus, chosen: ClusterNode, wait_s: float, tell: Any) -> list[str]:
    end = time.monotonic() + wait_s
    left = sorted(chosen.actors)
    while time.monotonic() < end:
        await asyncio.sleep(POLL_S)
        found = await read()
        now = next((one for one in nodes_in(found) if one.id == chosen.id), None) if found else None
        if found is None or (now is not None and not now.drained):
            continue  # the coordinator is being moved, or has not looked yet
        left = sorted(now.actors if now is not None else ()) + homeless(found)
        if not left:
            return []
        tell(f"{_named(left)} on {short(chosen.id)}, {found['misplaced']} chunks to move")
    return left


def homeless(status: dict[str, Any]) -> list[str]:
    """Return the actors of which nobody knows where they are: they are being started, or hang."""
    placed = {name for node in nodes_in(status) for name in node.actors}
    return sorted(f"{name} (gives no answer)" for name in status["actors"] if name not in placed)


def _named(names: list[str]) -> str:
    more = len(names) - SHOWN_MOST
    return ", ".join(names[:SHOWN_MOST]) + (f" and {more} more" if more > 0 else "")
