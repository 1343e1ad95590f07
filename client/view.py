"""How a chunk looks in a terminal: pure functions from a mirror to rich renderables.

North is up, so rows are drawn from the highest ``y`` down. Signs differ in shape, not only in colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from client.messages import ChunkDelta, ChunkTransition, CommandResult, Event
from client.mirror import Mirror
from client.paths import Point

__all__ = ["Window", "chat_lines", "draw_chunk", "screen", "window_around"]

WALL, FLOOR, EXIT, ME, AGENT, NPC, GOLD, SPENT = "#", ".", "+", "@", "a", "n", "$", "-"
STYLES = {
    WALL: "bright_black",
    FLOOR: "grey35",
    EXIT: "blue",
    ME: "bold green reverse",
    AGENT: "bold cyan",
    NPC: "magenta",
    GOLD: "bold yellow",
    SPENT: "yellow",
}
LEGEND = f"{ME} you  {AGENT}/A-Z agents  {NPC} creatures  {GOLD} gold  {SPENT} spent  {EXIT} exit"
LINES_SHOWN = 6
TEXT_MAX_CHARS = 100
AROUND_MAP_ROWS = LINES_SHOWN + 6
AROUND_MAP_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a chunk that is drawn: from ``(left, bottom)``, both inclusive, ``width`` x ``height`` cells."""

    left: int
    bottom: int
    width: int
    height: int


def window_around(center: Point, size: Point, room: Point) -> Window:
    """The part of a chunk of ``size`` cells around ``center`` that fits into ``room`` cells, never beyond the edges."""
    width, height = max(1, min(size[0], room[0])), max(1, min(size[1], room[1]))
    left = min(max(0, center[0] - width // 2), size[0] - width)
    bottom = min(max(0, center[1] - height // 2), size[1] - height)
    return Window(left, bottom, width, height)


def signs(mirror: Mirror) -> dict[Point, str]:
    """One sign for each cell that has more on it than floor or wall; what stands higher wins."""
    found: dict[Point, str] = {cell: EXIT for cells in mirror.exits().values() for cell in cells}
    for node in mirror.gold.values():
        found[node.x, node.y] = GOLD if node.available else SPENT
    for npc in mirror.npcs.values():
        found[npc.x, npc.y] = NPC
    for agent in mirror.others.values():
        letter = (agent.name or agent.id).rpartition("-")[2][:1].upper()
        found[agent.x, agent.y] = letter if letter.isascii() and letter.isalnum() else AGENT
    if mirror.position is not None:
        found[mirror.position] = ME
    return found


def draw_chunk(mirror: Mirror, window: Window, *, columns_per_cell: int = 1) -> Text:
    """The window of the chunk as styled text, one line per row."""
    found = signs(mirror)
    text = Text(no_wrap=True)
    pad = " " * (columns_per_cell - 1)
    for y in range(window.bottom + window.height - 1, window.bottom - 1, -1):
        for x in range(window.left, window.left + window.width):
            sign = found.get((x, y)) or (WALL if mirror.grid[y][x] else FLOOR)
            text.append(sign + (sign if sign == WALL and pad else pad), STYLES.get(sign, STYLES[AGENT]))
        text.append("\n")
    text.rstrip()
    return text


def screen(mirror: Mirror, lines: Sequence[str], status: str, terminal: Point) -> RenderableType:
    """The whole view: map, facts, what was said last, and a status line.

    Args:
        mirror: What to draw.
        lines: The newest last; only the last few are shown.
        status: One line at the bottom.
        terminal: Columns and rows to fit into.
    """
    if not mirror.grid:
        return Panel("waiting for the chunk ...", title="chunkcrawl")
    size = (len(mirror.grid[0]), len(mirror.grid))
    columns, rows = terminal[0] - AROUND_MAP_COLUMNS, terminal[1] - AROUND_MAP_ROWS
    # Two columns make a cell about square; one is better than not seeing the chunk.
    wide = 2 if columns >= 2 * size[0] else 1
    center = mirror.position or (size[0] // 2, size[1] // 2)
    window = window_around(center, size, (columns // wide, rows))
    picture = Panel.fit(draw_chunk(mirror, window, columns_per_cell=wide), title=facts(mirror))
    said = Table.grid()
    for line in lines[-LINES_SHOWN:]:
        said.add_row(Text(line, no_wrap=True, overflow="ellipsis"))
    return Group(picture, Text(LEGEND, style="dim"), said, Text(status, style="bold"))


def facts(mirror: Mirror) -> str:
    """Chunk, tick, place, inventory and neighbours in one line."""
    parts = [f"{mirror.chunk_id}", f"tick {mirror.tick}", f"{len(mirror.agents)} agents"]
    if mirror.position is not None:
        parts.append(f"at {mirror.position[0]},{mirror.position[1]}")
    if mirror.inventory_gold is not None:
        parts.append(f"{mirror.inventory_gold} gold")
    linked = [f"{side}: {chunk_id}" for side, chunk_id in sorted(mirror.neighbors.items()) if chunk_id]
    return "  ".join(parts + linked)


def chat_lines(event: Event) -> list[str]:
    """What of an event is worth a line: chat, changes of chunk, and how commands ended."""
    if isinstance(event, ChunkTransition):
        return [f"{event.agent_id} goes from {event.from_chunk_id} to {event.to_chunk_id}"]
    if isinstance(event, CommandResult) and event.status != "completed":
        return [f"failed: {event.reason}"]
    if not isinstance(event, ChunkDelta):
        return []
    said = [happened for happened in event.events if happened.get("type") == "chat"]
    return [f"{_plain(happened.get('from'))}: {_plain(happened.get('text'))}" for happened in said]


def _plain(value: object) -> str:
    """Text of strangers, without what a terminal might obey."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value)[:TEXT_MAX_CHARS])
