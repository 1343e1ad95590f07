"""The ``chunkcrawl`` command: whatever ``chunkcrawl.commands.table`` finds, imported when it is used.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage or settings.  An error is a line; where it came from in the code
is shown with ``CHUNKCRAWL_LOG_LEVEL=debug``.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Final, Literal

try:
    import typer
except ImportError:  # the SDK alone, without its extra
    sys.exit("The commands need an extra: pip install 'chunkcrawl[cli]'")
from typer.core import TyperCommand, TyperGroup

from chunkcrawl.commands.common import EXIT_FAILED, one_line
from chunkcrawl.commands.interrupts import heed_like_ctrl_c
from chunkcrawl.commands.table import Lazy, begin, named, tables

__all__ = ["app", "commands", "main"]

ERROR_MAX_CHARS: Final = 500
WHERE: Final = "CHUNKCRAWL_LOG_LEVEL=debug shows where"
COMPLETE_VARIABLE: Final = "_CHUNKCRAWL_COMPLETE"
SHELLS: Final = ("bash", "zsh", "fish", "powershell")


def commands() -> dict[str, Lazy]:
    """Return all commands that are found, by name, in the order of the help."""
    return {name: lazy for table in tables() for name, lazy in table.commands.items()}


class LazyGroup(TyperGroup):
    """A group that lists the commands of all tables by their help line and loads the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, lazy in commands().items():
            self.commands.setdefault(name, TyperCommand(name, help=lazy.help))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in commands():
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)


def load(name: str) -> Any:
    """Return the command of that name, importing it."""
    command = typer.main.get_command(named(commands()[name].target))
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
    if not wanted:
        return
    for distribution in ("chunkcrawl", "chunkcrawl-server"):
        try:
            typer.echo(f"{distribution} {version(distribution)}")
        except PackageNotFoundError:
            continue
    raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Start a persistent grid world for programs, play in it, watch it."""
    if "--help" not in sys.argv:
        for table in tables():
            if table.check:
                named(table.check)()


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
    """Run the command.  SIGTERM and SIGHUP end each subcommand as Ctrl-C does, unless it says otherwise.

    What no part of it foresaw ends it in a line, with 1.
    """
    begin()  # first, so that the path is in order
    heed_like_ctrl_c()
    if COMPLETE_VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
    try:
        app(prog_name="chunkcrawl")
    except Exception as error:
        if os.environ.get("CHUNKCRAWL_LOG_LEVEL") == "debug":
            traceback.print_exc()
        said = one_line(str(error))[:ERROR_MAX_CHARS]
        typer.echo(f"error: {type(error).__name__}{': ' if said else ''}{said} ({WHERE})", err=True)
        raise SystemExit(EXIT_FAILED) from None


if __name__ == "__main__":
    main()
