"""``chunkcrawl operate``, ``freeze``, ``thaw``, ``announce``, ``disconnect``: steering a running world over HTTP."""

from __future__ import annotations

from typing import Annotated, Final

import orjson
import typer

from api.ids import is_agent_id, is_chunk_id
from chunkcrawl.commands.common import EXIT_USAGE
from cli.operator_api import TokenFileOption, UrlOption, call

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)

METHODS: Final = ("GET", "POST", "DELETE")

WhatArgument = Annotated[str, typer.Argument(metavar="CHUNK|world", help="chunk-7, or world for all of it.")]


@app.command()
def operate(
    method: Annotated[str, typer.Argument(metavar="GET|POST|DELETE")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="What is behind /v1/operator/, with its query.")],
    body: Annotated[str, typer.Argument(metavar="[JSON]", help="The body of a POST.")] = "{}",
    url: UrlOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Make any call of the operators' API and print the answer as JSON; `/docs` of the server lists all calls.

    Exit codes: 0 done, 1 refused, 2 wrong usage, 3 no server to be reached, or no good token.

    Examples: chunkcrawl operate get overview; chunkcrawl operate post scale '{"shards": 3}';
    chunkcrawl operate get "chunks?sort=cost&order=desc&limit=5" --url https://world.example
    """
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        given = None
    if method.upper() not in METHODS or not isinstance(given, dict):
        typer.echo("error: the first word is get, post or delete, and the body is a JSON object", err=True)
        raise typer.Exit(EXIT_USAGE)
    sent = given if method.upper() == "POST" else None
    found = call(method.upper(), "/" + path.lstrip("/"), url, token_file, sent)
    typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


@app.command()
def freeze(what: WhatArgument, url: UrlOption = None, token_file: TokenFileOption = None) -> None:
    """Let a chunk, or the world, stand still until `chunkcrawl thaw`; nothing that was accepted is lost.

    Exit codes: 0 done (also when it was frozen), 1 no such chunk, 3 no server to be reached, or no good token.

    Examples: chunkcrawl freeze chunk-7; chunkcrawl freeze world --url https://world.example
    """
    typer.echo(call("POST", f"{_path(what)}/freeze", url, token_file, {})["text"])


@app.command()
def thaw(what: WhatArgument, url: UrlOption = None, token_file: TokenFileOption = None) -> None:
    """Let what was frozen go on.

    Exit codes: 0 done (also when it was not frozen), 3 no server to be reached, or no good token.

    Examples: chunkcrawl thaw chunk-7; chunkcrawl thaw world
    """
    typer.echo(call("POST", f"{_path(what)}/thaw", url, token_file, {})["text"])


@app.command()
def announce(
    text: Annotated[str, typer.Argument(help="1..200 characters, one line.")],
    url: UrlOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Tell everybody who is connected a line.

    Example: chunkcrawl announce "The world stops at 20:00 for ten minutes"
    """
    typer.echo(call("POST", "/announce", url, token_file, {"text": text})["text"])


@app.command()
def disconnect(
    agent: Annotated[str, typer.Argument(metavar="AGENT")],
    url: UrlOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Close whatever plays or follows an agent, on all gateways; it may come back.

    Example: chunkcrawl disconnect scout-1
    """
    if not is_agent_id(agent):
        typer.echo("error: AGENT is 1..128 of A-Z a-z 0-9 _ . -", err=True)
        raise typer.Exit(EXIT_USAGE)
    typer.echo(call("POST", f"/agents/{agent}/disconnect", url, token_file, {})["text"])


def _path(what: str) -> str:
    if not is_chunk_id(what):
        typer.echo("error: name a chunk like chunk-7, or world", err=True)
        raise typer.Exit(EXIT_USAGE)
    return "/world" if what == "world" else f"/chunks/{what}"
