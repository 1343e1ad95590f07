"""How a chunk looks in a terminal: pure functions from a view to rich renderables.

North is up, so rows are drawn from the highest ``y`` down.  Signs differ in shape, not only in colour; every agent has
one of its own, and a legend says whose it is.  What does not fit into a line goes on in the next one, or says that
there is more; what strangers wrote is shown as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from chunkcrawl.view.paths import Point
from chunkcrawl.view.plain import plain, short_names, shortened
from chunkcrawl.view.signs import FREE, MANY, Signs
from chunkcrawl.view.world_view import WorldView
from chunkcrawl.wire.messages import ChunkDelta, ChunkTransition, Event

__all__ = ["Window", "chat_lines", "draw_chunk", "facts", "names_of", "screen", "window_around"]

WALL, FLOOR, EXIT, ME, NPC, GOLD, SPENT = "#", ".", "+", "@", "n", "$", "-"
STYLES: Final = {
    WALL: "bright_black",
    FLOOR: "grey35",
    EXIT: "blue",
    ME: "bold green reverse",
    NPC: "magenta",
    GOLD: "bold yellow",
    SPENT: "yellow",
}
AGENT_STYLES: Final = ("bold cyan", "bold bright_white", "bold bright_green", "bold bright_red", "bold bright_blue")
KEY: Final = {ME: "you", NPC: "creature", GOLD: "gold", SPENT: "spent", EXIT: "exit"}
BORDER: Final = 2
#: Columns of what stands beside the map; with fewer it stands below.
SIDE_LEAST, SIDE_MOST = 24, 60
#: Columns that commands need to stand beside the map.
COMMANDS_LEAST: Final = 44
MAP_LEAST_ROWS: Final = 3
LINES_SHOWN, LINES_SHOWN_LOW, LOW_ROWS = 6, 3, 30
LEGEND_ROWS: Final = 3
COMMANDS_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a chunk that is drawn: from ``(left, bottom)``, both inclusive, ``width`` x ``height`` cells."""

    left: int
    bottom: int
    width: int
    height: int


def window_around(center: Point, size: Point, room: Point) -> Window:
    """Return the part of a chunk of ``size`` around ``center`` that fits into ``room`` cells, never over its edges."""
    width, height = max(1, min(size[0], room[0])), max(1, min(size[1], room[1]))
    left = min(max(0, center[0] - width // 2), size[0] - width)
    bottom = min(max(0, center[1] - height // 2), size[1] - height)
    return Window(left, bottom, width, height)


def names_of(view: WorldView) -> dict[str, str]:
    """Return what everybody else in the chunk is called, by id; with the id, where a name is not its own."""
    names = {one.id: plain(one.name or one.id) for one in view.others.values()}
    often = [*names.values()]
    return {one: name if often.count(name) == 1 else f"{name} ({plain(one)})" for one, name in names.items()}


def things(view: WorldView, signs: Mapping[str, str]) -> dict[Point, str]:
    """Return a sign for each cell that has more on it than floor or wall; what stands higher wins."""
    found: dict[Point, str] = {cell: EXIT for cells in view.exits().values() for cell in cells}
    for node in view.gold.values():
        found[node.x, node.y] = GOLD if node.available else SPENT
    for npc in view.npcs.values():
        found[npc.x, npc.y] = NPC
    for agent in view.others.values():
        found[agent.x, agent.y] = signs.get(agent.id, MANY)
    if view.position is not None:
        found[view.position] = ME
    return found


def draw_chunk(
    view: WorldView, window: Window, *, columns_per_cell: int = 1, signs: Mapping[str, str] | None = None
) -> Text:
    """Return the window of the chunk as styled text, one line per row.

    Args:
        view: What to draw.
        window: Which part of it.
        columns_per_cell: 1 or 2; two make a cell about square.
        signs: Of the others by id, as ``Signs`` gave them; None for new ones.
    """
    found = things(view, Signs().of(names_of(view)) if signs is None else signs)
    text = Text(no_wrap=True)
    pad = " " * (columns_per_cell - 1)
    for y in range(window.bottom + window.height - 1, window.bottom - 1, -1):
        for x in range(window.left, window.left + window.width):
            sign = found.get((x, y)) or (WALL if view.grid[y][x] else FLOOR)
            text.append(sign + (sign if sign == WALL and pad else pad), style_of(sign))
        text.append("\n")
    text.rstrip()
    return text


def style_of(sign: str) -> str:
    """Return the colour of a sign; agents' differ too."""
    return STYLES.get(sign) or AGENT_STYLES[max(0, FREE.find(sign)) % len(AGENT_STYLES)]


# -- the whole view --


def screen(
    view: WorldView,
    lines: Sequence[str],
    status: str,
    terminal: Point,
    *,
    signs: Mapping[str, str] | None = None,
    commands: Sequence[str] | None = None,
) -> RenderableType:
    """Return the whole view: facts, map, who is who, the agent's commands, what was said last, and a status line.

    Args:
        view: What to draw.
        lines: The newest last; only the last few are shown.
        status: One line at the bottom.
        terminal: Columns and rows to fit into.
        signs: Of the others by id, as ``Signs`` gave them; None for new ones.
        commands: The agent's, the newest last; None when nobody is followed.
    """
    columns, rows = terminal
    bottom = Text(shortened(plain(status, columns), columns), style="bold", no_wrap=True)
    if not view.grid:
        return Group(Panel(Text("waiting for the chunk ..."), title="chunkcrawl"), bottom)
    given = Signs().of(names_of(view)) if signs is None else signs
    size = (len(view.grid[0]), len(view.grid))
    head = [Text(line, style="bold", no_wrap=True) for line in filled(fact_parts(view), columns)]
    said = lines[-(LINES_SHOWN_LOW if rows < LOW_ROWS else LINES_SHOWN) :]
    foot = [_key(view, columns), *(_line(line, columns) for line in said), bottom]
    # Two columns make a cell about square; one is better than not seeing the chunk.
    wide = 2 if columns - BORDER >= 2 * size[0] else 1
    left = min(SIDE_MOST, columns - min(columns, wide * size[0] + BORDER) - 1)
    room = rows - len(head) - len(foot) - BORDER
    below: list[Text] = []
    if left < SIDE_LEAST:
        below += _legend(view, given, columns, min(LEGEND_ROWS, room - MAP_LEAST_ROWS))
    if commands is not None and left < COMMANDS_LEAST:
        below += _commands(commands, columns, min(COMMANDS_SHOWN // 2 + 1, room - MAP_LEAST_ROWS - len(below)))
        commands = None
    room -= len(below)
    window = window_around(view.position or (size[0] // 2, size[1] // 2), size, ((columns - BORDER) // wide, room))
    drawn = draw_chunk(view, window, columns_per_cell=wide, signs=given)
    picture: RenderableType = Panel.fit(drawn, padding=0)
    if left >= SIDE_LEAST:
        side = _side(view, given, commands, left, window.height + BORDER)
        picture = Table.grid(padding=(0, 1, 0, 0))
        picture.add_row(Panel.fit(drawn, padding=0), Group(*side))
    return Group(*head, picture, *below, *foot)


def facts(view: WorldView) -> str:
    """Return chunk, tick, place, inventory and neighbours in one line."""
    return "  ".join(fact_parts(view))


def fact_parts(view: WorldView) -> list[str]:
    """Return what ``facts`` is made of."""
    here = len(view.agents)
    parts = [plain(view.chunk_id), f"tick {view.tick}", f"{here} agent" + ("" if here == 1 else "s")]
    if view.position is not None:
        parts.append(f"at {view.position[0]},{view.position[1]}")
    if view.inventory_gold is not None:
        parts.append(f"{view.inventory_gold} gold")
    linked = sorted(view.neighbors.items())
    return parts + [f"{plain(side)}: {plain(chunk_id)}" for side, chunk_id in linked if chunk_id]


def filled(parts: Iterable[str], columns: int) -> list[str]:
    """Return parts, two spaces apart, in as few lines as they need; only one that is wider than a line is shortened."""
    lines: list[str] = []
    for part in (shortened(part, columns) for part in parts):
        if lines and cell_len(lines[-1]) + 2 + cell_len(part) <= columns:
            lines[-1] += "  " + part
        else:
            lines.append(part)
    return lines


def _key(view: WorldView, columns: int) -> Text:
    """Return what the signs of things mean."""
    key = Text(style="dim", no_wrap=True, overflow="ellipsis")
    for sign, meaning in KEY.items():
        if sign != ME or view.agent_id is not None:
            key.append(sign, style_of(sign)).append(f" {meaning}  ")
    key.truncate(columns)
    return key


def _line(line: str, columns: int) -> Text:
    return Text(plain(line, 4 * columns), no_wrap=True, overflow="ellipsis")


def _who(view: WorldView, signs: Mapping[str, str], width: int) -> list[Text]:
    """Return the legend: sign and name of everybody else, in the order of their names."""
    names = names_of(view)
    shorts = short_names(names, max(1, width - 2))
    found = []
    for one in sorted(names, key=lambda one: (names[one].casefold(), one)):
        sign = signs.get(one, MANY)
        found.append(Text(no_wrap=True).append(sign, style_of(sign)).append(f" {shorts[one]}"))
    return found


def _titled(title: str, rows: list[Text], most: int) -> list[Text]:
    """Return a heading and as many rows as there is room for; the last says how many others there are."""
    if most < 2 or not rows:
        return []
    fits = rows if len(rows) < most else [*rows[: most - 2], Text(f"and {len(rows) - most + 2} more", "dim")]
    return [Text(title, "bold dim"), *fits]


def _commands(commands: Sequence[str], width: int, most: int) -> list[Text]:
    rows = [Text(shortened(plain(line), width), no_wrap=True) for line in commands[-max(0, most - 1) :]]
    return _titled("Commands", rows or [Text("none yet", "dim")], most) if most > 1 else []


def _side(
    view: WorldView, signs: Mapping[str, str], commands: Sequence[str] | None, width: int, rows: int
) -> list[Text]:
    """Return what stands beside the map."""
    done = [] if commands is None else _commands(commands, width, min(COMMANDS_SHOWN + 1, max(2, rows // 2)))
    who = _titled("Agents", _who(view, signs, width), rows - len(done) - (1 if done else 0))
    return [*who, Text(""), *done] if who and done else [*who, *done]


def _legend(view: WorldView, signs: Mapping[str, str], columns: int, rows: int) -> list[Text]:
    """Return the same in a few lines, below a map that leaves no room beside it."""
    who = _who(view, signs, min(columns, SIDE_LEAST))
    for shown in range(len(who), 0, -1):
        more = [Text(f"and {len(who) - shown} more", "dim")] if shown < len(who) else []
        lines = _joined([*who[:shown], *more], columns)
        if len(lines) <= rows:
            return lines
    return []


def _joined(parts: Iterable[Text], columns: int) -> list[Text]:
    lines: list[Text] = []
    for part in parts:
        if lines and lines[-1].cell_len + 2 + part.cell_len <= columns:
            lines[-1].append("  ").append_text(part)
        else:
            lines.append(Text(no_wrap=True).append_text(part))
    return lines


# -- what happens --


def chat_lines(event: Event) -> list[str]:
    """Return what of an event is worth a line: chat, and changes of chunk."""
    if isinstance(event, ChunkTransition):
        return [plain(f"{event.agent_id} goes from {event.from_chunk_id} to {event.to_chunk_id}")]
    if not isinstance(event, ChunkDelta):
        return []
    said = [happened for happened in event.events if happened.get("type") == "chat"]
    return [f"{plain(happened.get('from'))}: {plain(happened.get('text'))}" for happened in said]
