"""The check that ends a command whose environment has a slip in the name of a setting."""

from __future__ import annotations

import os
from typing import Final

import typer

from chunkcrawl.commands.common import EXIT_USAGE

#: Settings of the server that clients go by, too.
READ_BY_CLIENTS: Final = frozenset({"CHUNKCRAWL_HOST", "CHUNKCRAWL_METRICS_TOKEN", "CHUNKCRAWL_PORT"})


def refuse_unknown_variables() -> None:
    """End with 2, and a line for each variable that begins as ours do but that nobody reads."""
    if not any(name.upper().startswith("CHUNKCRAWL_") for name in os.environ):
        return
    from config.variables import OTHERS, PREFIX, unknown_names

    ours = {name.upper() for name in os.environ if name.upper().startswith(PREFIX)}
    if ours <= OTHERS | READ_BY_CLIENTS:
        return  # Settings take a moment to import, which a client's command would spend for nothing.
    from config.settings import Settings

    lines = unknown_names(os.environ, Settings.model_fields)
    if lines:
        typer.echo("\n".join(lines), err=True)
        raise typer.Exit(EXIT_USAGE)
