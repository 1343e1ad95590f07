"""``chunkcrawl operator``, ``audit``, ``ban`` and ``unban``: who may steer the world, what they did, who is kept out.

On a machine that reaches the database they go there, so they work on a stopped world too; with ``--url`` or a token
they go through a server, from anywhere.  ``operator create`` needs the database: nobody becomes one over HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar

import orjson
import typer
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.accounts.tokens import new_id, new_operator_token
from api.ids import is_agent_id
from api.operator.rows import audit_row, ban_row, operator_row
from chunkcrawl.commands.common import EXIT_FAILED, EXIT_USAGE, JsonOption
from cli.operator_api import TokenFileOption, UrlOption, call, wants_api
from config.errors import OperatorError
from config.settings import SettingsError
from operations.local_audit import at_the_keyboard, audit_line
from operations.operator_services import open_services
from store import audit as audit_log
from store import bans, operators
from store.bans import BanKind
from store.engine import make_engine

T = TypeVar("T")
Row = dict[str, Any]

operator_app = typer.Typer(help="Who may look at the world, or steer it.", no_args_is_help=True)
app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)
app.add_typer(operator_app, name="operator")

DataOption = Annotated[str | None, typer.Option("--data", metavar="DIR", help="Data directory of `chunkcrawl up`.")]
SubjectArgument = Annotated[str, typer.Argument(metavar="AGENT|ACCOUNT", help="scout-1, or acc_... for an account.")]


class NothingToEnd(OperatorError):
    """There is nothing of the kind that could be ended."""

    reason = "nothing"


@operator_app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, for the audit log.")],
    role: Annotated[str, typer.Option(help="`viewer` looks, `operator` acts too.")] = "viewer",
    days: Annotated[int, typer.Option(min=1, max=3650, help="After how many days it ends.")] = 90,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Make a token for `/v1/operator` and the console, and print it, once.

    Exit codes: 0 done, 1 failed, 2 wrong usage.

    Examples: chunkcrawl operator create alice --role operator; chunkcrawl operator create wall --days 365
    """
    if role not in ("viewer", "operator") or not (0 < len(name) <= 64 and name.isprintable()):
        typer.echo("error: --role is viewer or operator, NAME has 1..64 printable characters", err=True)
        raise typer.Exit(EXIT_USAGE)
    token, operator_id = new_operator_token(), new_id("opr")
    ends = datetime.now(UTC) + timedelta(days=days)

    async def work(engine: AsyncEngine) -> None:
        await operators.create(
            engine,
            operator_id=operator_id,
            name=name,
            role=role,
            prefix=token.prefix,
            token_hash=token.digest,
            expires_at=ends,
        )

    _audited(data, "create-operator", operator_id, {"name": name, "role": role, "days": days}, work)
    if json:
        typer.echo(orjson.dumps({"operator_id": operator_id, "name": name, "role": role, "token": token.plain}))
    else:
        typer.echo(token.plain)
        typer.echo(f"{operator_id}: {name}, {role}, until {ends:%Y-%m-%d}. The token is not shown again.", err=True)


@operator_app.command("list")
def list_operators(data: DataOption = None, json: JsonOption = False) -> None:
    """List operators, never with a token.

    Example: chunkcrawl operator list --json
    """
    rows = [operator_row(one) for one in _with_database(data, operators.list_all)]
    if json:
        typer.echo(orjson.dumps(rows).decode())
        return
    for row in rows:
        ends = "revoked" if row["revoked_at_ms"] else f"until {_when(row['expires_at_ms'])}"
        typer.echo(f"{row['operator_id']}  {row['role']:8}  {ends:24}  {row['name']}")


@operator_app.command()
def revoke(
    who: Annotated[str, typer.Argument(metavar="NAME|ID", help="All tokens of a name, or the one with this id.")],
    data: DataOption = None,
) -> None:
    """End tokens for good; on running gateways within seconds.

    Exit codes: 0 done, 1 there is none that lives.

    Examples: chunkcrawl operator revoke alice
    """

    async def work(engine: AsyncEngine) -> int:
        found = await operators.revoke(engine, who)
        if not found:
            raise NothingToEnd(f"{who} has no token that lives: see `chunkcrawl operator list`")
        return len(found)

    typer.echo(f"{_audited(data, 'revoke-operator', who, {}, work)} revoked.")


@app.command()
def audit(
    subject: Annotated[str | None, typer.Option(help="Only what was done to it: an agent, a chunk, a node.")] = None,
    operator: Annotated[str | None, typer.Option(help="Only what this one did.")] = None,
    outcome: Annotated[str | None, typer.Option(help="done, refused, failed or begun.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    data: DataOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """Show what operators did, the newest first, also what was refused or has failed.

    Examples: chunkcrawl audit; chunkcrawl audit --subject scout-1 --json; chunkcrawl audit --url https://world.example
    """
    if outcome is not None and outcome not in audit_log.OUTCOMES:
        typer.echo(f"error: --outcome is one of {', '.join(audit_log.OUTCOMES)}", err=True)
        raise typer.Exit(EXIT_USAGE)
    wanted: Row = {"subject": subject, "operator": operator, "outcome": outcome, "limit": limit}
    if wants_api(url, token_file, data):
        rows: list[Row] = call("GET", "/audit", url, token_file, **wanted)["rows"]
    else:
        rows = [audit_row(one) for one in _with_database(data, lambda engine: audit_log.lines(engine, **wanted))]
    if json:
        typer.echo(orjson.dumps(rows).decode())
        return
    for row in rows:
        why = f" ({row['reason']})" if row["reason"] else ""
        asked = f" {orjson.dumps(row['details']).decode()}" if row["details"] else ""
        what = f"{row['action']} {row['subject']}{asked}"
        typer.echo(f"{_when(row['at_ms'])}  {row['operator']} from {row['address']}: {what}: {row['outcome']}{why}")


@app.command()
def ban(
    who: SubjectArgument,
    reason: Annotated[str, typer.Option(help="Why, for other operators.")] = "",
    minutes: Annotated[float | None, typer.Option(min=0.1, max=525_600, help="For how long; else for good.")] = None,
    data: DataOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """Keep an agent, or an account with all of its agents, out; open connections are closed within seconds.

    Exit codes: 0 done, 1 no such agent or account, 3 no server to be reached.

    Examples: chunkcrawl ban scout-1 --reason spam; chunkcrawl ban acc_1f... --minutes 1440
    """
    kind = _kind(who)
    if wants_api(url, token_file, data):
        body = {"reason": reason, "minutes": minutes}
        row: Row = call("POST", f"/{kind}s/{who}/ban", url, token_file, body)["ban"]
    else:

        async def work(engine: AsyncEngine) -> bans.Ban:
            return await bans.ban(engine, kind, who, reason=reason[:200], by=at_the_keyboard(), minutes=minutes)

        row = ban_row(_audited(data, f"ban-{kind}", who, {"reason": reason[:200], "minutes": minutes}, work))
    ends = "until it is ended" if row["until_ms"] is None else f"until {_when(row['until_ms'])}"
    typer.echo(orjson.dumps(row).decode() if json else f"{who} is banned {ends}.")


@app.command()
def unban(
    who: SubjectArgument, data: DataOption = None, url: UrlOption = None, token_file: TokenFileOption = None
) -> None:
    """End a ban.

    Exit codes: 0 done, 1 it was not banned, 3 no server to be reached.

    Example: chunkcrawl unban scout-1
    """
    kind = _kind(who)
    if wants_api(url, token_file, data):
        call("POST", f"/{kind}s/{who}/unban", url, token_file, {})
    else:

        async def work(engine: AsyncEngine) -> None:
            if await bans.unban(engine, kind, who) is None:
                raise NothingToEnd(f"{who} is not banned: `chunkcrawl operate get bans` lists who is")

        _audited(data, f"unban-{kind}", who, {}, work)
    typer.echo(f"{who} may come in again.")


def _kind(who: str) -> BanKind:
    if not is_agent_id(who):
        typer.echo("error: an agent's or account's id is 1..128 of A-Z a-z 0-9 _ . -", err=True)
        raise typer.Exit(EXIT_USAGE)
    kind: Literal["agent", "account"] = "account" if who.startswith("acc_") else "agent"
    return kind


def _when(at_ms: int | None) -> str:
    return "for ever" if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _audited(
    data: str | None, action: str, subject: str, details: Row, work: Callable[[AsyncEngine], Awaitable[T]]
) -> T:
    """Run ``work`` on the database, with a line in the audit log before and the outcome after it."""

    async def written(engine: AsyncEngine) -> T:
        async with audit_line(engine, action, subject, details):
            return await work(engine)

    return _with_database(data, written)


def _with_database(data: str | None, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    async def connected(url: str) -> T:
        engine = make_engine(url)
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    try:
        with open_services(data) as settings:
            return asyncio.run(connected(settings.database_url))
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from None
    except (OperatorError, SQLAlchemyError, OSError) as error:
        words = " ".join(str(error).split())[:300]
        typer.echo(f"error: {words or type(error).__name__}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
