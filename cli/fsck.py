"""``chunkcrawl fsck``: is the world in Redis whole."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from operations.fsck import Dump, Problem, agents_in_world, check, read_dump
from operations.operator_redis import NoWorld, find_redis, one_line_errors
from streaming.connect import connect

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)

EXIT_FINDINGS: Final = 1


@app.command()
def fsck(
    data: Annotated[
        str | None, typer.Option("--data", metavar="DIR", help="Data directory of `chunkcrawl up`.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check that the world is whole: links, owners, agents, cells, reservations. Changes nothing; the world may run.

    Looks at everything in one step, so what moves meanwhile is never seen twice or missed. Redis does nothing else for
    that long: 0.2 to 0.5 s for 1,000 chunks with 20,000 agents, measured on 2 busy cores.

    A stopped world is looked at too: its Valkey is started for that long.

    Exit codes: 0 whole, 1 findings, 2 wrong usage or settings, 3 no world to be reached.

    Examples: chunkcrawl fsck; chunkcrawl fsck --data /srv/chunkcrawl; chunkcrawl fsck --json | jq -r .findings[].code
    """
    with one_line_errors(), find_redis(data, stopped_too=True) as found:
        dump = asyncio.run(_look(found.url))
    findings = check(dump)
    if json:
        typer.echo(orjson.dumps(_as_json(dump, findings)).decode())
    else:
        _print(Console(), dump, findings)
    if findings:
        raise typer.Exit(EXIT_FINDINGS)


async def _look(url: str) -> Dump:
    redis = connect(url)
    try:
        dump = await read_dump(redis, await agents_in_world(redis))
    finally:
        await redis.aclose()
    if not dump.world:
        raise NoWorld("this Redis holds no world")
    return dump


def _as_json(dump: Dump, findings: list[Problem]) -> dict[str, object]:
    return {
        "whole": not findings,
        "chunks": len(dump.chunks),
        "agents": _agents(dump),
        "findings": [asdict(finding) for finding in findings],
    }


def _agents(dump: Dump) -> int:
    return sum(agent.get("here") == "1" for agent in dump.agents.values())


def _print(console: Console, dump: Dump, findings: list[Problem]) -> None:
    seen = f"{len(dump.chunks)} chunks, {_agents(dump)} agents"
    if not findings:
        console.print(f"Whole: {seen}.")
        return
    table = Table(title=f"{len(findings)} findings in {seen}")
    for name in ("code", "subject", "what"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        table.add_row(finding.code, escape(finding.subject), escape(finding.text))
    console.print(table)
