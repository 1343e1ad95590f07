"""``chunkcrawl status`` and ``chunkcrawl scale``: what runs where, and changing the number of shards while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Final

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from chunkcrawl.commands.common import EXIT_FAILED
from cli.last_status import ReadStatus, Status, at_server, in_redis
from cli.moves import moves_json, moves_of, moves_table, read_all
from cli.operator_api import TokenFileOption, UrlOption, get, get_or_none, post, server_of
from cluster.balance.moves import MoveRecord
from cluster.world_rules import in_words, rules_fault, rules_in
from config.errors import OperatorError
from operations.local_audit import audited
from operations.operator_redis import EXIT_UNREACHABLE, FoundRedis, NoWorld, find_redis, one_line_errors
from streaming import keys
from streaming.connect import as_text, connect
from streaming.shared_clock import SKEW_MOST_S
from world.rules import WorldRules

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)

REFRESH_S: Final = 1.0
#: How long a status may be away while one watches: its coordinator is being started elsewhere.
AWAY_MOST_S: Final = 60.0
SHARDS_MOST: Final = 256
COLUMNS: Final = (
    "actor",
    "state",
    "tick",
    "chunks",
    "agents",
    "sockets",
    "core %\nall / chunks",
    "tick ms\np50 / p99",
    "commit ms\np50 / p99",
)
#: Where there is no terminal to fit into, a file or a pipe, nothing is to be cut off.
PLAIN_WIDTH: Final = 200

DataOption = Annotated[str | None, typer.Option("--data", metavar="DIR", help="Data directory of `chunkcrawl up`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def status(
    data: DataOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
    moves: Annotated[bool, typer.Option("--moves", help="Show which chunks have moved of late, and why.")] = False,
) -> None:
    """Show nodes, shards, gateways, tick times, and what is moving.

    Of a stopped world: what its data holds; its Valkey is started for that long. With --watch a coordinator that moves
    to another process is waited for, up to a minute.

    Exit codes: 0 it runs, 2 wrong usage or settings, 3 it does not run, or can't be reached.

    Examples: chunkcrawl status; chunkcrawl status --watch; chunkcrawl status --url https://world.example;
    chunkcrawl status --moves; chunkcrawl status --json | jq .moving
    """
    server = server_of(url, token_file, data)
    if server is not None:
        with one_line_errors():
            _show(
                json,
                watch,
                lambda: get(server, "/status"),
                lambda: get_or_none(server, "/status"),
                (lambda: moves_of(server)) if moves else None,
            )
        return
    with one_line_errors(), find_redis(data, stopped_too=True) as redis:
        if redis.stopped and not moves:
            _tell_stopped(asyncio.run(_read_world(redis.url)), json)
            raise typer.Exit(EXIT_UNREACHABLE)
        read_moves = (lambda: asyncio.run(read_all(redis.url))) if moves else None

        def glance() -> Status | None:
            return asyncio.run(_read_status(redis.url))

        _show(json, watch, lambda: _there(glance()), glance, read_moves)


def _show(
    json: bool,
    watch: bool,
    read: Callable[[], Status],
    glance: Callable[[], Status | None],
    read_moves: Callable[[], tuple[list[MoveRecord], list[str]]] | None,
) -> None:
    """Print what is wanted.

    Args:
        read: Returns the status, or ends the command.
        glance: Returns None while there is none, for the coordinator is being moved.
    """
    console = _console()
    if read_moves is not None:
        found = read_moves()
        if json:
            console.print_json(orjson.dumps(moves_json(*found)).decode())
        else:
            console.print(moves_table(*found))
    elif json:
        console.print_json(orjson.dumps(read()).decode())
    elif watch:
        with contextlib.suppress(KeyboardInterrupt):
            _watch(console, read(), glance)
    else:
        console.print(_table(read()))


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=max(PLAIN_WIDTH, console.width))


def _watch(
    console: Console,
    found: Status,
    glance: Callable[[], Status | None],
    *,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Show the status again and again; while there is none, the last one with a line that says so.

    Raises:
        NoWorld: there was none for ``AWAY_MOST_S``.
    """
    with Live(_table(found), console=console, auto_refresh=False) as live:
        seen = clock()
        while True:
            pause(REFRESH_S)
            now = glance()
            if now is not None:
                found, seen = now, clock()
                live.update(_table(found), refresh=True)
                continue
            away_s = clock() - seen
            if away_s > AWAY_MOST_S:
                raise NoWorld(f"the coordinator has written no status for {away_s:.0f} s: is the world up?")
            words = f"No status for {away_s:.0f} s: the coordinator is moving, or out of reach. This is the last one."
            live.update(Group(_table(found), Text(words, "yellow")), refresh=True)


def _tell_stopped(world: dict[str, Any], json: bool) -> None:
    if json:
        typer.echo(orjson.dumps({"running": False, **world}).decode())
        return
    typer.echo(
        f"The world is stopped. It has {world['chunks']} chunks, {world['agents']} agents stand in it, for "
        f"{world['shards']} shards; `chunkcrawl up` starts it, `chunkcrawl fsck` checks it. "
        f"{_rules_line(world['rules'])}"
    )


def _rules_line(rules: dict[str, int]) -> str:
    """Return a sentence about what a world was made with; ``rules`` is empty for one of an older version."""
    return f"Made with {in_words(WorldRules(**rules))}." if rules else "Its rules are written at its next start."


@app.command()
def scale(
    shards: Annotated[int, typer.Option(min=1, max=SHARDS_MOST, help="How many shards there are to be.")],
    data: DataOption = None,
    url: UrlOption = None,
    token_file: TokenFileOption = None,
    wait_s: Annotated[float, typer.Option("--wait", metavar="SECONDS", help="How long to wait for the end.")] = 120.0,
    json: JsonOption = False,
) -> None:
    """Change the number of shards while agents play; chunks are handed over one by one.

    Of a world that scales by itself (`chunkcrawl up --shards 2..8`): within its bounds, and until the load asks for
    another number.

    Exit codes: 0 done, 1 out of bounds, or not done within --wait (it goes on), 3 no world to be reached.

    Examples: chunkcrawl scale --shards 5; chunkcrawl scale --shards 2 --wait 300 --json;
    chunkcrawl scale --shards 5 --url https://world.example
    """
    console, server = Console(stderr=json), server_of(url, token_file, data)
    with one_line_errors():
        if server is not None:
            post(server, "/scale", {"shards": shards})
            found = asyncio.run(_until_scaled(at_server(server), console, shards, wait_s))
        else:
            with find_redis(data, stopped_too=False, audit=True) as redis:
                found = asyncio.run(_scale(redis, console, shards, wait_s))
    if found is None:
        console.print(f"Not done within {wait_s:g} s; it goes on: see `chunkcrawl status`.")
        raise typer.Exit(EXIT_FAILED)
    moving = found["moving"]
    if json:
        typer.echo(orjson.dumps({"shards": shards, **moving}).decode())
    else:
        console.print(
            f"{shards} shards. {moving['moved']} chunks moved, longest pause {moving['longest_pause_ms']} ms."
        )


class ShardsOutOfBounds(OperatorError):
    """The world scales by itself, and not to that many shards."""

    reason = "out_of_bounds"


async def _scale(found: FoundRedis, console: Console, shards: int, wait_s: float) -> dict[str, Any] | None:
    redis = connect(found.url)
    read = in_redis(redis)

    async def work() -> None:
        bounds: list[int] = ((await read()) or {}).get("bounds") or []
        if bounds and not bounds[0] <= shards <= bounds[1]:
            raise ShardsOutOfBounds(f"this world scales by itself, between {bounds[0]} and {bounds[1]} shards")
        if not await redis.hexists(keys.WORLD, "shard_count"):
            raise NoWorld("this Redis holds no world")
        await redis.hset(keys.WORLD, keys.WANTED_SHARDS, str(shards))

    try:
        await audited(found.database_url, "scale", "", {"shards": shards}, work)
        return await _until_scaled(read, console, shards, wait_s)
    except ShardsOutOfBounds as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    finally:
        await redis.aclose()


async def _until_scaled(read: ReadStatus, console: Console, shards: int, wait_s: float) -> dict[str, Any] | None:
    """Return the status in which there are that many shards and every chunk is where it belongs, or None."""
    end = time.monotonic() + wait_s
    with console.status("Starting shards ...") as spinner:
        while time.monotonic() < end:
            await asyncio.sleep(REFRESH_S)
            found = await read()
            if found is None:
                continue
            spinner.update(f"{found['moving']['moved']} chunks moved, {found['moving']['to_move']} to go")
            if found["shards"] == shards and not found["misplaced"]:
                return found
    return None


async def _read_world(url: str) -> dict[str, Any]:
    """Return the status of a world that is stopped, from what its Redis holds."""
    redis = connect(url)
    try:
        world = {as_text(name): as_text(value) for name, value in (await redis.hgetall(keys.WORLD)).items()}
        if "shard_count" not in world:
            raise NoWorld("no world runs here, and the data holds none: start one with `chunkcrawl up`")
        if fault := rules_fault(world):
            raise NoWorld(f"the world here is damaged: {fault}; `chunkcrawl restore` brings a backup back")
        populations = await redis.hvals(keys.POPULATION)
    finally:
        await redis.aclose()
    rules = rules_in(world)
    return {
        "shards": int(world["shard_count"]),
        "chunks": len(populations),
        "agents": sum(int(count) for count in populations),
        "rules": asdict(rules) if rules is not None else {},
    }


async def _read_status(url: str) -> Status | None:
    redis = connect(url)
    try:
        return await in_redis(redis)()
    finally:
        await redis.aclose()


def _there(found: Status | None) -> Status:
    if found is None:
        raise NoWorld("the coordinator has written no status in the last seconds: is the world up?")
    return found


def _table(found: dict[str, Any]) -> Table:
    alive = sum(1 for node in found["nodes"] if node["alive"])
    moving = found["moving"]
    title = f"{found['shards']} shards on {alive} nodes, {moving['to_move']} chunks to move, {moving['moved']} moved"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in COLUMNS:
        # An actor is always named whole; what does not fit is folded elsewhere, never cut off.
        table.add_column(
            name,
            justify="left" if name in ("actor", "state") else "right",
            no_wrap=name == "actor",
            overflow="fold",
        )
    for name, actor in found["actors"].items():
        table.add_row(name, *_row(actor, _load(name, actor, found.get("balance", {}))))
    captions = [_rules_line(found.get("rules", {}))]
    if ahead := wrong_clocks(found["actors"]):
        captions.append(f"Clocks that differ from Redis': {', '.join(ahead)} (see chunkcrawl doctor).")
    captions += node_lines(found["nodes"]) + release_lines(found)
    table.caption = "\n".join(captions)
    return table


def wrong_clocks(actors: dict[str, Any]) -> list[str]:
    """Return a line for each actor on a machine whose clock is wrong, and by how much."""
    skews = {name: actor.get("clock_ahead_s") or 0.0 for name, actor in actors.items()}
    return [f"{name} {skew:+.1f} s" for name, skew in skews.items() if abs(skew) > SKEW_MOST_S]


def node_lines(nodes: list[dict[str, Any]]) -> list[str]:
    """Return a line for each node where there are several, with what is on it: by these ids it is drained."""
    alive = [node for node in nodes if node["alive"] and "actors" in node]
    if len(alive) < 2:
        return []
    return [
        f"Node {node['node']} ({escape(node['name'])}, {node['address']}){', drained' if node['drained'] else ''}: "
        f"{', '.join(sorted(node['actors'])) or 'empty'}"
        for node in alive
    ]


def release_lines(found: dict[str, Any]) -> list[str]:
    """Return a line for each release, where actors are of several: an upgrade is under way."""
    releases: dict[str, list[str]] = {}
    for name, actor in {"coordinator": found, **found["actors"]}.items():
        if "node" in actor:
            key = actor.get("release") or "an older one"
            releases.setdefault(f"{key}, messages {actor.get('messages', '?')}", []).append(name)
    if len(releases) < 2:
        return []
    return [f"Release {release}: {', '.join(sorted(names))}" for release, names in sorted(releases.items())]


def _load(name: str, actor: dict[str, Any], balance: dict[str, Any]) -> str:
    """Return what an actor uses of a core and, of a shard, what its chunks cost, by which they are balanced."""
    if "cpu" not in actor:
        return ""
    used = f"{actor['cpu'] * 100:.1f}"
    cost = balance.get("loads", {}).get(name.removeprefix("shard-"))
    return used if cost is None else f"{used} / {cost * 100:.1f}"


def _row(actor: dict[str, Any], load: str) -> tuple[str, ...]:
    if "error" in actor:
        return (f"[red]{escape(actor['error'])}[/red]", "", "", "", "", "", "", "")
    if "tick" not in actor:
        state = "draining" if actor.get("draining") else "up"
        return (state, "", "", "", str(actor.get("connections", "")), load, "", "")
    state = "[yellow]waits for Redis[/yellow]" if actor["stalled"] else "up"
    ticks, commits = actor["tick_ms"], actor["commit_ms"]
    return (
        state,
        str(actor["tick"]),
        str(actor["chunks"]),
        str(actor["agents"]),
        "",
        load,
        f"{ticks['p50']:.1f} / {ticks['p99']:.1f}",
        f"{commits['p50']:.1f} / {commits['p99']:.1f}",
    )
