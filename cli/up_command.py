"""``chunkcrawl up``: its options, and what its errors mean."""

from __future__ import annotations

from typing import Annotated

import typer

from chunkcrawl.commands.common import EXIT_FAILED, EXIT_USAGE

app = typer.Typer(help="Start the world.", rich_markup_mode="markdown", pretty_exceptions_enable=False)


@app.command()
def up(
    demo: Annotated[
        bool | None, typer.Option("--demo/--no-demo", help="Demo actors and demo agents.", show_default="not in prod")
    ] = None,
    shards: Annotated[
        str | None,
        typer.Option(metavar="N|N..M", help="Shard actors of a new world, or between which numbers.", show_default="2"),
    ] = None,
    gateways: Annotated[
        str | None, typer.Option(metavar="N|N..M", help="Gateway actors, or between which numbers.", show_default="1")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8000")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the servers keep their data.", show_default=".data")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Ray cluster to run in; auto: the one of this machine.",
            show_default="local: one for this run",
        ),
    ] = None,
) -> None:
    """Start the world on this machine and keep it running until Ctrl-C.

    Starts PostgreSQL and Valkey unless CHUNKCRAWL_DATABASE_URL and CHUNKCRAWL_REDIS_URL name others, runs the
    migrations, then Ray with shards and gateways, then demo agents. Whatever is not given here comes from the
    environment: every setting is listed in README.md.

    Examples: chunkcrawl up --port 9000 --shards 4; chunkcrawl up --shards 2..8 --gateways 1..4;
    CHUNKCRAWL_LOG_LEVEL=debug chunkcrawl up --no-demo
    """
    from config.settings import SettingsError, load_settings

    try:
        settings = load_settings(
            demo=demo, shards=shards, gateways=gateways, port=port, data_dir=data, ray_address=address
        )
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from None

    from cli.up import run
    from config.errors import OperatorError

    try:
        code = run(settings)
    except OperatorError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    except TimeoutError:
        where = settings.log_dir or f"{settings.data_dir}/logs"
        typer.echo(f"error: not every actor was up in time; their logs in {where} say why", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    raise typer.Exit(code)
