"""``chunkcrawl mute``, ``unmute`` and ``strikes``: an operator's say about agents that talk out of turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import Annotated, Any, Final, TypeVar

import orjson
import typer

from api.ids import is_agent_id
from api.limits.strikes import Standing, StrikeBook
from chunkcrawl.commands.common import EXIT_FAILED, EXIT_USAGE
from cli.operator_api import TokenFileOption, UrlOption, get, post, segment, server_of
from config.errors import OperatorError
from operations.local_audit import audited
from operations.operator_redis import FoundRedis, find_redis, one_line_errors
from streaming import keys
from streaming.batch import RedisBatch
from streaming.connect import connect

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)

MINUTES_MAX: Final = 525_600  # a year
MS_PER_MINUTE: Final = 60_000

AgentArgument = Annotated[str, typer.Argument(metavar="AGENT", help="Id of the agent.")]
DataOption = Annotated[str | None, typer.Option("--data", metavar="DIR", help="Data directory of `chunkcrawl up`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

T = TypeVar("T")


class UnknownAgent(OperatorError):
    """No agent of that id has ever been in this world."""

    reason = "unknown_agent"


@app.command()
def mute(
    agent: AgentArgument,
    minutes: Annotated[float, typer.Option(min=0.1, max=MINUTES_MAX, help="For how long.")] = 10,
    data: DataOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """Keep an agent from talking for a while, from now on; it goes on playing.

    What it says is then refused as `rate_limited`, with the time that is left. Muting again sets the time anew.

    Exit codes: 0 done, 1 no such agent, 3 no world to be reached.

    Examples: chunkcrawl mute scout-1; chunkcrawl mute scout-1 --minutes 1440 --json;
    chunkcrawl mute scout-1 --url https://world.example
    """

    async def work(book: StrikeBook) -> Standing:
        await book.mute(agent, round(minutes * MS_PER_MINUTE))
        return await book.standing(agent)

    _check(agent)
    server, details = server_of(url, token_file, data), {"minutes": minutes}
    if server is not None:
        standing = _standing(post(server, f"/agents/{segment(agent)}/mute", details)["standing"])
    else:
        standing = _run(agent, data, work, action="mute", details=details)
    _print(agent, standing, json)


@app.command()
def unmute(
    agent: AgentArgument,
    data: DataOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """Let an agent talk again, and forget its strikes.

    Exit codes: 0 done (also when it was not muted), 1 no such agent, 3 no world to be reached.

    Examples: chunkcrawl unmute scout-1; chunkcrawl unmute scout-1 --url https://world.example --json
    """

    async def work(book: StrikeBook) -> Standing:
        await book.unmute(agent)
        return await book.standing(agent)

    _check(agent)
    server = server_of(url, token_file, data)
    if server is not None:
        standing = _standing(post(server, f"/agents/{segment(agent)}/unmute")["standing"])
    else:
        standing = _run(agent, data, work, action="unmute")
    _print(agent, standing, json)


@app.command()
def strikes(
    agent: AgentArgument,
    data: DataOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """Show an agent's violations that still count, and whether it is muted, by whom and for how long.

    Exit codes: 0 done, 1 no such agent, 3 no world to be reached.

    Examples: chunkcrawl strikes scout-1; chunkcrawl strikes scout-1 --json | jq .muted_ms;
    chunkcrawl strikes scout-1 --url https://world.example
    """

    async def work(book: StrikeBook) -> Standing:
        return await book.standing(agent)

    _check(agent)
    server = server_of(url, token_file, data)
    if server is not None:
        standing = _standing(get(server, f"/agents/{segment(agent)}")["standing"])
    else:
        standing = _run(agent, data, work)
    _print(agent, standing, json)


def _check(agent: str) -> None:
    if not is_agent_id(agent):
        typer.echo("error: AGENT is 1..128 of A-Z a-z 0-9 _ . -", err=True)
        raise typer.Exit(EXIT_USAGE)


def _standing(row: dict[str, Any]) -> Standing:
    """Return what a server says of an agent."""
    return Standing(**{field.name: row[field.name] for field in fields(Standing)})


def _run(
    agent: str,
    data: str | None,
    work: Callable[[StrikeBook], Awaitable[T]],
    *,
    action: str | None = None,
    details: dict[str, Any] | None = None,
) -> T:
    """Do ``work`` in Redis; what is an ``action`` stands in the audit log."""

    async def done(found: FoundRedis) -> T:
        if action is None:
            return await _with_book(agent, found.url, work)
        return await audited(
            found.database_url, action, agent, details or {}, lambda: _with_book(agent, found.url, work)
        )

    with one_line_errors(), find_redis(data, stopped_too=True, audit=action is not None) as found:
        try:
            return asyncio.run(done(found))
        except UnknownAgent as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(EXIT_FAILED) from None


async def _with_book(agent: str, url: str, work: Callable[[StrikeBook], Awaitable[T]]) -> T:
    redis = connect(url)
    batch = RedisBatch(redis)
    try:
        if not await redis.exists(keys.agent(agent)):
            raise UnknownAgent(f"no agent {agent} has been in this world")
        return await work(StrikeBook(batch))
    finally:
        await batch.close()
        await redis.aclose()


def _print(agent: str, standing: Standing, json: bool) -> None:
    if json:
        shown: dict[str, Any] = {
            "agent_id": agent,
            "strikes": standing.strikes,
            "forgets_in_ms": standing.forgets_in_ms,
            "muted_by": standing.muted_by,
            "muted_ms": standing.muted_ms,
        }
        typer.echo(orjson.dumps(shown).decode())
        return
    if standing.muted_by is None:
        typer.echo(f"{agent} is not muted.")
    else:
        by = "an operator" if standing.muted_by == "operator" else "its strikes"
        typer.echo(f"{agent} is muted by {by} for another {_duration(standing.muted_ms)}.")
    if standing.strikes:
        forgets = _duration(standing.forgets_in_ms)
        typer.echo(f"Strikes: {standing.strikes}; the oldest is forgotten in {forgets}.")
    else:
        typer.echo("Strikes: none.")


def _duration(ms: int) -> str:
    minutes, seconds = divmod(-(-ms // 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} h" if hours else f"{minutes}:{seconds:02} min"
