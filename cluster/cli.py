"""The ``chunkcrawl`` command: ``up``, and the commands of other rooms, which are imported when they are used.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage or settings.  An error is a line; where it came from in the code
is shown with ``CHUNKCRAWL_LOG_LEVEL=debug``.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

from cluster.own_path import use_own_packages

__all__ = ["LAZY", "Lazy", "app", "main"]

EXIT_FAILED = 1
EXIT_USAGE = 2
ERROR_MAX_CHARS = 500
WHERE = "CHUNKCRAWL_LOG_LEVEL=debug shows where"
COMPLETE_VARIABLE = "_CHUNKCRAWL_COMPLETE"
SHELLS = ("bash", "zsh", "fish", "powershell")
#: Settings of the server that clients go by, too.
READ_BY_CLIENTS = frozenset({"CHUNKCRAWL_HOST", "CHUNKCRAWL_METRICS_TOKEN", "CHUNKCRAWL_PORT"})


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command that lives elsewhere: ``module:attribute`` of a Typer app, and its line in the help.

    Of an app with several commands the one of the same name is taken, of any other app the whole.
    """

    target: str
    help: str


#: Commands by name, in the order of the help.
LAZY = {
    "signup": Lazy("client.cli:app", "Make an account."),
    "login": Lazy("client.cli:app", "Log in with e-mail and password, on another machine or again."),
    "key": Lazy("client.cli:app", "Create, list and revoke API keys."),
    "session": Lazy("client.cli:app", "Open a session and print it."),
    "play": Lazy("client.cli:app", "Play in the terminal, by hand or with a bot."),
    "watch": Lazy("client.cli:app", "Watch a chunk, or follow an agent of yours."),
    "say": Lazy("client.cli:app", "Let an agent say something."),
    "scenario": Lazy("client.cli:app", "Run a scripted scenario and check what it expects."),
    "mcp": Lazy("client.cli:app", "Let a language model play an agent over MCP."),
    "load": Lazy("cluster.load.cli:app", "Load a server with simulated agents, and report."),
    "status": Lazy("cluster.ops_cli:app", "Show nodes, shards, gateways and tick times."),
    "scale": Lazy("cluster.ops_cli:app", "Change the number of shards while the world runs."),
    "mute": Lazy("cluster.moderation_cli:app", "Keep an agent from talking for a while."),
    "unmute": Lazy("cluster.moderation_cli:app", "Let an agent talk again, and forget its strikes."),
    "strikes": Lazy("cluster.moderation_cli:app", "Show an agent's violations and mute."),
    "doctor": Lazy("cluster.doctor_cli:app", "Check a deployment, with a remedy for each finding."),
    "fsck": Lazy("cluster.fsck_cli:app", "Check that the world in Redis is whole."),
    "history": Lazy("cluster.history_cli:app", "Show what an agent did or what happened in a chunk."),
    "backup": Lazy("cluster.backup_cli:app", "Write a backup while the game runs, or check one."),
    "restore": Lazy("cluster.backup_cli:app", "Restore a backup, or rebuild a lost Redis from the database."),
    "show-chunk": Lazy("cluster.world_tools:app", "Draw a chunk's terrain from its seed."),
    "replay": Lazy("cluster.world_tools:app", "Run a recording of a shard again."),
}


class LazyGroup(TyperGroup):
    """A group that lists the commands of ``LAZY`` by their help line and loads the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, lazy in LAZY.items():
            self.commands.setdefault(name, TyperCommand(name, help=lazy.help))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in LAZY:
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)


def load(name: str) -> Any:
    """The command that ``LAZY`` has under ``name``."""
    module_name, _, attribute = LAZY[name].target.partition(":")
    command = typer.main.get_command(getattr(importlib.import_module(module_name), attribute))
    return command.commands.get(name, command) if isinstance(command, TyperGroup) else command


app = typer.Typer(
    name="chunkcrawl",
    cls=LazyGroup,
    help="A persistent grid world for programs: start it, play in it, watch it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"chunkcrawl {version('chunkcrawl')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """A persistent grid world for programs: start it, play in it, watch it."""
    if "--help" not in sys.argv:
        _refuse_unknown_variables()


def _refuse_unknown_variables() -> None:
    """End with 2 and a line for each variable that begins as ours do and that nobody reads."""
    if not any(name.upper().startswith("CHUNKCRAWL_") for name in os.environ):
        return
    from api.variables import OTHERS, PREFIX, unknown_names

    ours = {name.upper() for name in os.environ if name.upper().startswith(PREFIX)}
    if ours <= OTHERS | READ_BY_CLIENTS:
        return  # Settings take a moment to import, which a client's command would spend for nothing.
    from api.settings import Settings

    lines = unknown_names(os.environ, Settings.model_fields)
    if lines:
        typer.echo("\n".join(lines), err=True)
        raise typer.Exit(EXIT_USAGE)


@app.command()
def up(
    demo: Annotated[
        bool | None, typer.Option("--demo/--no-demo", help="Demo actors and demo agents.", show_default="not in prod")
    ] = None,
    shards: Annotated[int | None, typer.Option(help="Shard actors of a new world.", show_default="2")] = None,
    gateways: Annotated[int | None, typer.Option(help="Gateway actors.", show_default="1")] = None,
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

    Examples: chunkcrawl up --port 9000 --shards 4; CHUNKCRAWL_LOG_LEVEL=debug chunkcrawl up --no-demo
    """
    from api.settings import SettingsError, load_settings

    try:
        settings = load_settings(
            demo=demo, shards=shards, gateways=gateways, port=port, data_dir=data, ray_address=address
        )
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from None

    from cluster.children import ServiceError
    from cluster.up import run

    try:
        code = run(settings)
    except ServiceError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    except TimeoutError:
        where = settings.log_dir or f"{settings.data_dir}/logs"
        typer.echo(f"error: not every actor was up in time; their logs in {where} say why", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    raise typer.Exit(code)


@app.command()
def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish", "powershell"] | None,
        typer.Argument(metavar="[SHELL]", help="bash, zsh, fish or powershell.", show_default="that of SHELL"),
    ] = None,
) -> None:
    """Print what makes a shell complete commands and options of `chunkcrawl`.

    Examples: eval "$(chunkcrawl completion bash)"; chunkcrawl completion fish | source
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    name = shell or os.path.basename(os.environ.get("SHELL", ""))
    if name not in SHELLS:
        raise typer.BadParameter(f"name the shell, one of {', '.join(SHELLS)}", param_hint="SHELL")
    typer.echo(get_completion_script(prog_name="chunkcrawl", complete_var=COMPLETE_VARIABLE, shell=name))


def main() -> None:
    """The command.  SIGTERM and SIGHUP end each subcommand as Ctrl-C does, unless it says otherwise.

    What no part of it foresaw ends it in a line, with 1.
    """
    use_own_packages()
    # After the path is in order.
    from client.interrupts import heed_like_ctrl_c

    heed_like_ctrl_c()
    if COMPLETE_VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
    try:
        app(prog_name="chunkcrawl")
    except Exception as error:
        if os.environ.get("CHUNKCRAWL_LOG_LEVEL") == "debug":
            traceback.print_exc()
        words = " ".join(str(error).split())[:ERROR_MAX_CHARS]
        said = "".join(letter if letter.isprintable() else "?" for letter in words)
        typer.echo(f"error: {type(error).__name__}{': ' if said else ''}{said} ({WHERE})", err=True)
        raise SystemExit(EXIT_FAILED) from None


if __name__ == "__main__":
    main()
