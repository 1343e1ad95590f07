"""The client's commands as one Typer app; ``chunkcrawl.commands.main`` mounts them into ``chunkcrawl``.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the server can't be reached, 130 interrupted.
"""

from __future__ import annotations

from typing import Final

import typer

from chunkcrawl.commands.account import key_app, login, session, signup
from chunkcrawl.commands.agents import agent_app
from chunkcrawl.commands.history import history
from chunkcrawl.commands.mcp import mcp
from chunkcrawl.commands.playing import play, say, watch
from chunkcrawl.commands.scenario import scenario

__all__ = ["app"]

EXIT_CODES: Final = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the server can't be reached."

app = typer.Typer(
    name="chunkcrawl-client",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Play in a chunk world and watch it.",
    epilog=EXIT_CODES,
)
for command in (signup, login, session, play, say, watch, history, scenario, mcp):
    app.command(epilog=EXIT_CODES)(command)
app.add_typer(key_app, name="key", epilog=EXIT_CODES)
app.add_typer(agent_app, name="agent", epilog=EXIT_CODES)

if __name__ == "__main__":
    app()
