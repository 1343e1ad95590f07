"""``chunkcrawl status --moves``, ``pin`` and ``unpin``: which chunks have moved, why, and what is to stay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import orjson
import typer
from redis.asyncio import Redis
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from chunkcrawl.commands.common import EXIT_FAILED
from cli.operator_api import Server, TokenFileOption, UrlOption, call, get, post, segment, server_of
from cluster import pins
from cluster.balance.moves import MoveRecord
from cluster.move_log import read_moves
from cluster.pins import SHARD_PREFIX, NothingToPin, Pins
from operations.local_audit import audited
from operations.operator_redis import FoundRedis, find_redis, one_line_errors
from streaming.connect import connect

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)

#: How many of the newest moves are shown.
SHOWN_MOST: Final = 50

WhatArgument = Annotated[str, typer.Argument(metavar="CHUNK|SHARD", help="chunk-7, or shard-1.")]
DataOption = Annotated[str | None, typer.Option("--data", metavar="DIR", help="Data directory of `chunkcrawl up`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

T = TypeVar("T")


@app.command()
def pin(
    what: WhatArgument,
    data: DataOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """Keep a chunk on the shard where it is, or all chunks of a shard there and others away from it.

    Balancing leaves it alone until `chunkcrawl unpin`. A shard that `chunkcrawl scale` takes away gives its chunks up
    all the same.

    Exit codes: 0 done (also when it was pinned), 1 no such chunk or shard, 3 no world to be reached.

    Examples: chunkcrawl pin chunk-7; chunkcrawl pin shard-1 --json; chunkcrawl pin chunk-7 --url https://world.example
    """
    server = server_of(url, token_file, data)
    if server is not None:
        was_free = bool(post(server, f"/pins/{segment(what)}")["changed"])
    else:
        was_free = _run(data, "pin", what, lambda redis: pins.pin(redis, what))
    _tell(json, what, f"{what} stays where it is." if was_free else f"{what} was pinned already.", pinned=True)


@app.command()
def unpin(
    what: WhatArgument,
    data: DataOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """Let a chunk or a shard be balanced again.

    Exit codes: 0 done (also when it was not pinned), 3 no world to be reached.

    Examples: chunkcrawl unpin chunk-7; chunkcrawl unpin shard-1 --url https://world.example --json
    """
    server = server_of(url, token_file, data)
    if server is not None:
        found = call("DELETE", f"/pins/{segment(what)}", server.url, server.token_file)
        was_pinned = bool(found["changed"])
    else:
        was_pinned = _run(data, "unpin", what, lambda redis: pins.unpin(redis, what))
    _tell(json, what, f"{what} may move again." if was_pinned else f"{what} was not pinned.", pinned=False)


def moves_of(server: Server) -> tuple[list[MoveRecord], list[str]]:
    """Return what ``read_all`` returns, from a server."""
    found = get(server, "/moves", limit=SHOWN_MOST)
    records = [
        MoveRecord(
            *(row["at_ms"], row["chunk_id"], row["from_shard"], row["to_shard"]),
            *(row["why"], row["reason"], row["outcome"], row["pause_ms"]),
        )
        for row in found["rows"]
    ]
    return records, found["pinned"]


async def read_all(url: str) -> tuple[list[MoveRecord], list[str]]:
    """Return the newest moves, the newest first, and the names of what is pinned."""
    redis = connect(url)
    try:
        return await read_moves(redis, SHOWN_MOST), pin_names(await pins.read_pins(redis))
    finally:
        await redis.aclose()


def moves_table(moves: Sequence[MoveRecord], pinned: Sequence[str]) -> Table:
    """Return the newest moves as a table, with what is pinned below it."""
    title = "Chunks that have moved, the newest first" if moves else "No chunk has moved"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("when (UTC)", "chunk", "from", "to", "why", "pause ms"):
        # Names and times are whole; what does not fit is folded in the words.
        justify: Literal["left", "right"] = "right" if name == "pause ms" else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name not in ("why", "pause ms"))
    for move in moves:
        at = datetime.fromtimestamp(move.at_ms / 1000, UTC)
        words = f"{move.why}: {move.words}" + ("" if move.outcome == "moved" else "; it did not move")
        pause = "" if move.pause_ms is None else f"{move.pause_ms:.1f}"
        shards = (f"{SHARD_PREFIX}{move.from_shard}", f"{SHARD_PREFIX}{move.to_shard}")
        table.add_row(f"{at:%m-%d %H:%M:%S}", escape(move.chunk_id), *shards, escape(words), pause)
    if pinned:
        table.caption = f"Pinned: {escape(', '.join(pinned))}"
    return table


def moves_json(moves: Sequence[MoveRecord], pinned: Sequence[str]) -> dict[str, Any]:
    """Return the same for programs."""
    return {"moves": [move.to_json() for move in moves], "pinned": list(pinned)}


def pin_names(pinned: Pins) -> list[str]:
    """Return what is pinned by the names that `chunkcrawl pin` takes."""
    return [*sorted(pinned.chunks), *(f"{SHARD_PREFIX}{shard}" for shard in sorted(pinned.shards))]


def _run(data: str | None, action: str, what: str, work: Callable[[Redis], Awaitable[T]]) -> T:
    async def connected(url: str) -> T:
        redis = connect(url)
        try:
            return await work(redis)
        finally:
            await redis.aclose()

    async def written(found: FoundRedis) -> T:
        return await audited(found.database_url, action, what, {}, lambda: connected(found.url))

    with one_line_errors(), find_redis(data, stopped_too=True, audit=True) as found:
        try:
            return asyncio.run(written(found))
        except NothingToPin as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(EXIT_FAILED) from None


def _tell(json: bool, what: str, words: str, *, pinned: bool) -> None:
    typer.echo(orjson.dumps({"what": what, "pinned": pinned}).decode() if json else words)
