"""``play``, ``say`` and ``watch``: being in the world from a terminal."""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import typer

from chunkcrawl.commands.common import DEFAULT_BASE, BaseOption, JsonOption, api_key_for, emit, perform
from chunkcrawl.commands.history import parse_moment

__all__ = ["play", "say", "watch"]

AgentArgument = Annotated[str, typer.Argument(metavar="AGENT", help="Its id: letters, digits, _ . -")]
#: How long a server that does not answer is tried before the command ends.
OPEN_TIMEOUT_S: Final = 15.0

SAY_TIMEOUT_S: Final = 60.0
_TICK: Final = re.compile(r"[0-9]{1,15}")

FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="WHEN", help="Play the past: from `10m`, `2h` ago, an ISO time (UTC), or a tick."),
]
SpeedOption = Annotated[float, typer.Option(min=0.5, max=32.0, help="How many times faster the past is played.")]
SecondsOption = Annotated[float | None, typer.Option(min=0.1, metavar="S", help="Leave after so many seconds.")]


def play(
    agent: AgentArgument,
    base: BaseOption = DEFAULT_BASE,
    bot: Annotated[
        Literal["wander", "gold"] | None, typer.Option(help="Let a bot decide in place of the keys.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Makes the bot's decisions repeatable.")] = None,
    seconds: SecondsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play an agent in a view of the chunk that follows it.

    Keys: arrows, wasd or hjkl to walk, g to harvest, t to talk, q to quit.

    The agent comes into being, and becomes yours, when it is first played.

    Examples:

        chunkcrawl play scout-1

        chunkcrawl play scout-1 --bot gold --seconds 60

        chunkcrawl play scout-1 --bot wander --json | jq -c 'select(.type == "command_result")'
    """
    from chunkcrawl.agent import Agent
    from chunkcrawl.commands import screens

    keys = bot is None and sys.stdin.isatty() and not as_json
    if bot is None and not keys:
        raise typer.BadParameter("without a terminal to read keys from, --bot is needed")
    key = api_key_for(base, as_json=as_json)

    async def work() -> None:
        # Who sits before it decides how long a server that is away is worth waiting for.
        player = Agent.connect(base, agent_id=agent, api_key=key, open_timeout_s=OPEN_TIMEOUT_S, away_timeout_s=None)
        await _for(seconds, screens.play(player, bot=bot, seed=seed, as_json=as_json, keys=keys))

    perform(work(), as_json=as_json)


def say(
    agent: AgentArgument,
    text: Annotated[str, typer.Argument(help="One line, 1..200 characters.")],
    base: BaseOption = DEFAULT_BASE,
    as_json: JsonOption = False,
) -> None:
    """Let an agent say something to everybody in its chunk.

    Example: chunkcrawl say scout-1 "Anyone around?"
    """
    from chunkcrawl.agent import Agent
    from chunkcrawl.wire.protocol import Completed

    key = api_key_for(base, as_json=as_json)

    async def work() -> tuple[str | None, Completed]:
        async with Agent.connect(base, agent_id=agent, api_key=key, open_timeout_s=OPEN_TIMEOUT_S) as me:
            return me.chunk_id, await me.say(text, timeout_s=SAY_TIMEOUT_S)

    chunk_id, completed = perform(work(), as_json=as_json)
    fields = {"chunk_id": chunk_id, "status": "completed", "ended_tick": completed.ended_tick}
    emit(fields, f"said in {chunk_id}", as_json=as_json)


def watch(
    chunk: Annotated[str | None, typer.Argument(metavar="[CHUNK]", help="demo means chunk-0.")] = None,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="AGENT", help="Follow an agent of yours over all chunks.")
    ] = None,
    start: FromOption = None,
    speed: SpeedOption = 1.0,
    base: BaseOption = DEFAULT_BASE,
    seconds: SecondsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Watch a chunk, or follow an agent of yours with its commands and inventory.

    With --from its past is played first, and goes on with what happens now; without --from, --speed does nothing.

    Without an API key a development session is used, which servers in production refuse.

    Examples:

        chunkcrawl watch demo

        chunkcrawl watch --owner scout-1

        chunkcrawl watch chunk-3 --json --seconds 10

        chunkcrawl watch --owner scout-1 --from 10m --speed 8
    """
    from chunkcrawl.commands import screens
    from chunkcrawl.watcher import Watcher, WatcherOptions

    if chunk and owner:
        raise typer.BadParameter("either a chunk or --owner, not both")
    moment = None if start is None else _tick_or_moment(start)
    options = WatcherOptions(
        api_key=api_key_for(base, as_json=as_json, needed=False),
        open_timeout_s=OPEN_TIMEOUT_S,
        away_timeout_s=None,
        from_tick=moment,
        speed=speed,
    )

    async def work() -> None:
        of_agent = Watcher.owner(base, owner, **options) if owner else None
        watcher = of_agent or Watcher.chunk(base, chunk or "demo", **options)
        await _for(seconds, screens.show_json(watcher) if as_json else screens.watch(watcher))

    perform(work(), as_json=as_json)


def _tick_or_moment(words: str) -> int | datetime:
    return int(words) if _TICK.fullmatch(words) else parse_moment(words, datetime.now(UTC), "--from")


async def _for(seconds: float | None, work: Any) -> None:
    """Run ``work``, at most for so long; that the time is up is no failure."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
