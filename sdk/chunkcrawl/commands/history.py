"""``history AGENT``: what an agent of one's own has done, as the server has kept it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from chunkcrawl.commands.common import DEFAULT_BASE, BaseOption, JsonOption, api_key_for, one_line, perform

__all__ = ["KINDS", "entry_line", "history", "parse_moment", "show_history"]

KINDS: Final = ("join", "leave", "result", "crossing", "harvest", "give", "chat", "thought")
LIMIT_MOST: Final = 100_000
UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

_AGO: Final = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_PLAIN_WORD: Final = re.compile(r"[\w.:\-]+", re.ASCII)

SinceOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="From then on: `30m`, `2h`, `7d` ago, or an ISO time (UTC).")
]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only before then, said the same way.")]
KindOption = Annotated[
    list[str] | None, typer.Option("--kind", metavar="KIND", help=f"Only these; repeat it: {', '.join(KINDS)}.")
]
LimitOption = Annotated[int, typer.Option(min=1, max=LIMIT_MOST, help="The newest so many.")]


def history(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="An agent of yours.")],
    since: SinceOption = None,
    until: UntilOption = None,
    kind: KindOption = None,
    limit: LimitOption = 50,
    base: BaseOption = DEFAULT_BASE,
    as_json: JsonOption = False,
) -> None:
    """Show what an agent of yours did and was given: commands with their results, crossings, harvests, gifts, chat.

    Oldest first, times in UTC. The log is a second or so behind the game and is kept for days.

    Examples:

        chunkcrawl history scout-1 --since 2h

        chunkcrawl history scout-1 --kind harvest --kind give --json
    """
    show_history(agent, since=since, until=until, kinds=kind or [], limit=limit, base=base, as_json=as_json)


def show_history(
    agent: str, *, since: str | None, until: str | None, kinds: list[str], limit: int, base: str, as_json: bool
) -> None:
    """Print the newest ``limit`` entries of an agent's history, oldest first.  Exits as ``perform`` does."""
    from chunkcrawl.transport.history import HistoryEntry, read_history
    from chunkcrawl.transport.http import Api

    for name in kinds:
        if name not in KINDS:
            raise typer.BadParameter(f"{one_line(name)} is none; there are {', '.join(KINDS)}", param_hint="--kind")
    now = datetime.now(UTC)
    start = None if since is None else parse_moment(since, now, "--since")
    end = None if until is None else parse_moment(until, now, "--until")
    key = api_key_for(base, as_json=as_json)

    async def work() -> list[HistoryEntry]:
        async with Api(base) as api:
            pages = read_history(api, agent, key or "", since=start, until=end, kinds=kinds, limit=limit)
            return [entry async for entry in pages]

    found = perform(work(), as_json=as_json)
    for entry in reversed(found):
        shown = entry_line(entry.at, entry.tick, entry.chunk_id, entry.agent_id, entry.kind, entry.details)
        typer.echo(json.dumps(entry.to_json()) if as_json else shown)
    if not found and not as_json:
        typer.echo("Nothing.", err=True)


def entry_line(
    at: datetime, tick: int, chunk_id: str | None, agent_id: str | None, kind: str, details: Mapping[str, Any]
) -> str:
    """Return an entry as a line: time, tick, chunk, agent, kind and its own fields, without control characters."""
    fields = " ".join(f"{name}={_word(value)}" for name, value in sorted(details.items()) if value is not None)
    moment = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    place, who, what = one_line(chunk_id or "-"), one_line(agent_id or "-"), one_line(kind)
    return f"{moment} {tick:>9} {place:<10} {who:<16} {what:<11} {fields}".rstrip()


def parse_moment(words: str, now: datetime, option: str) -> datetime:
    """Return the time ``2h`` before ``now``, or an ISO time (UTC without a zone).

    Raises:
        typer.BadParameter: It is neither, or no time that there is.
    """
    ago = _AGO.fullmatch(words)
    try:
        if ago is not None:
            return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(words)
        return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter("must be like 30m, 2h, 7d or 2026-03-01T12:00", param_hint=option) from None


def _word(value: Any) -> str:
    if isinstance(value, str) and _PLAIN_WORD.fullmatch(value):
        return value
    escaped = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in escaped)
