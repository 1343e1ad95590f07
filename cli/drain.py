"""``chunkcrawl drain`` and ``chunkcrawl undrain``: emptying a node of the Ray cluster while agents play."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Final

import orjson
import typer
from redis.asyncio import Redis
from rich.console import Console

from chunkcrawl.commands.common import EXIT_FAILED
from cluster.drain import drained
from cluster.drain.nodes import CantDrain, ClusterNode, find_node, nodes_in, refuse_drain, short
from operations.operator_redis import NoWorld, find_redis, one_line_errors
from streaming import keys
from streaming.connect import connect

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)

POLL_S: Final = 0.5
#: How long the coordinator's next status may take; while it is moved itself there is none.
STATUS_WAIT_S: Final = 15.0
#: How many names of actors a line of progress has.
SHOWN_MOST: Final = 6

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="Its id, as long as needed, or its name or address.")]
DataOption = Annotated[str | None, typer.Option("--data", metavar="DIR", help="Data directory of `chunkcrawl up`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def drain(
    node: NodeArgument,
    data: DataOption = None,
    wait_s: Annotated[float, typer.Option("--wait", metavar="SECONDS", help="How long to wait for the end.")] = 300.0,
    json: JsonOption = False,
) -> None:
    """Move shards, gateways, coordinator and archiver off a node while agents play, and keep them off.

    Shards give their chunks to the others first, gateways let their clients go on elsewhere. Then the node may be
    stopped. Refused when no other node could take what runs there. `chunkcrawl status` shows the nodes.

    Exit codes: 0 it is empty, 1 refused, or not empty within --wait (it goes on), 3 no world to be reached.

    Examples: chunkcrawl drain 3f2a9c1b && ssh node-2 ray stop; chunkcrawl drain 10.0.0.12 --wait 600 --json
    """
    console = Console(stderr=True)
    with one_line_errors(), find_redis(data, stopped_too=False) as redis:
        try:
            chosen, left = asyncio.run(_drain(console, redis.url, node, wait_s))
        except CantDrain as error:
            raise _refused(error) from None
    if json:
        typer.echo(orjson.dumps({"node": chosen.id, "empty": not left, "left": left}).decode())
    elif not left:
        typer.echo(f"{chosen} is empty, and stays so until `chunkcrawl undrain {short(chosen.id)}`.")
    if left:
        typer.echo(f"Not empty within {wait_s:g} s: {_named(left)}. It goes on: see `chunkcrawl status`.", err=True)
        raise typer.Exit(EXIT_FAILED)


@app.command()
def undrain(node: NodeArgument, data: DataOption = None) -> None:
    """Let the world use a drained node again, for what is started from now on; nothing moves there by itself.

    Exit codes: 0 done, 1 it is not drained, 3 no world to be reached.

    Examples: chunkcrawl undrain 3f2a9c1b; chunkcrawl undrain 10.0.0.12
    """
    with one_line_errors(), find_redis(data, stopped_too=False) as redis:
        try:
            chosen = asyncio.run(_undrain(redis.url, node))
        except CantDrain as error:
            raise _refused(error) from None
    typer.echo(f"{chosen} may be used again.")


def _refused(error: CantDrain) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(EXIT_FAILED)


async def _undrain(url: str, word: str) -> ClusterNode:
    redis = connect(url)
    try:
        chosen = find_node(nodes_in(await _status(redis)), word)
        if not await drained.undrain(redis, [chosen.id]):
            raise CantDrain(f"{chosen} is not drained")
        return chosen
    finally:
        await redis.aclose()


async def _drain(console: Console, url: str, word: str, wait_s: float) -> tuple[ClusterNode, list[str]]:
    """Note the node as drained and wait; return it, and what is left there in the end."""
    redis = connect(url)
    try:
        nodes = nodes_in(await _status(redis))
        chosen = find_node(nodes, word)
        if not chosen.drained:
            others = refuse_drain(chosen, nodes)
            if not await drained.drain(redis, chosen.id, [one.id for one in others], "operator"):
                raise CantDrain(f"{chosen} has become the last node that is not drained, a moment ago")
        with console.status(f"Draining {chosen} ...") as spinner:
            return chosen, await _until_empty(redis, chosen, wait_s, spinner.update)
    finally:
        await redis.aclose()


async def _until_empty(redis: Redis, chosen: ClusterNode, wait_s: float, tell: Any) -> list[str]:
    end = time.monotonic() + wait_s
    left = sorted(chosen.actors)
    while time.monotonic() < end:
        await asyncio.sleep(POLL_S)
        found = await _status_or_none(redis)
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


async def _status(redis: Redis) -> dict[str, Any]:
    end = time.monotonic() + STATUS_WAIT_S
    while (found := await _status_or_none(redis)) is None:
        if time.monotonic() > end:
            raise NoWorld("the coordinator has written no status in the last seconds: is the world up?")
        await asyncio.sleep(POLL_S)
    return found


async def _status_or_none(redis: Redis) -> dict[str, Any] | None:
    found = await redis.get(keys.STATUS)
    decoded: dict[str, Any] | None = orjson.loads(found) if found else None
    return decoded
