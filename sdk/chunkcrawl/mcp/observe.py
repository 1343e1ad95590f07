"""What an agent sees, as a short text for a language model, never longer than a budget of tokens. Pure.

What matters most comes first, so that what a small budget cuts off is what matters least.
"""

from __future__ import annotations

from collections.abc import Sequence

from chunkcrawl.view.drawing import draw_chunk, names_of, window_around
from chunkcrawl.view.paths import Point, manhattan
from chunkcrawl.view.signs import Signs
from chunkcrawl.view.world_view import Mirror

__all__ = ["BUDGET_MIN_TOKENS", "CHARS_PER_TOKEN", "observe"]

CHARS_PER_TOKEN = 3
"""Careful: prose has about four characters to a token, maps and coordinates fewer."""

BUDGET_MIN_TOKENS = 60
MAP_CELLS = (31, 15)
AGENTS_MAX, NODES_MAX, CHAT_MAX = 12, 8, 8
CELLS_PER_EXIT = 2


def observe(mirror: Mirror, heard: Sequence[str] = (), *, budget_tokens: int = 600, notice: str = "") -> str:
    """Where the agent is and what is around it.

    Args:
        mirror: What is known.
        heard: What was said lately, the newest last.
        budget_tokens: The text holds at most so many tokens, reckoned at ``CHARS_PER_TOKEN``; at least 60.
        notice: What has to be known before anything else; it is the first line.
    """
    limit = max(budget_tokens, BUDGET_MIN_TOKENS) * CHARS_PER_TOKEN
    text = f"{notice}\n" if notice else ""
    if not mirror.ready or mirror.position is None:
        return (text + "You are not in the world at the moment; wait and observe again.")[:limit]
    parts = [_self(mirror), *_exits(mirror), *_gold(mirror), *_agents(mirror), *_heard(heard)]
    for line in parts:
        if len(text) + len(line) + 1 > limit:
            break
        text += line + "\n"
    return (text + _map(mirror, limit - len(text))).rstrip("\n")[:limit]


def _self(mirror: Mirror) -> str:
    assert mirror.me is not None
    gold = f", carrying {mirror.inventory_gold} gold" if mirror.inventory_gold is not None else ""
    place = f"{mirror.me.x},{mirror.me.y} in {mirror.chunk_id}"
    return f"You are {mirror.agent_id} at {place}, {mirror.me.activity_state}{gold}. Tick {mirror.tick}."


def _exits(mirror: Mirror) -> list[str]:
    steps = mirror.reachable()
    lines = []
    for side, cells in sorted(mirror.exits().items()):
        near = sorted((steps[cell], cell) for cell in cells if cell in steps)[:CELLS_PER_EXIT]
        beyond = mirror.neighbors.get(side) or _unexplored(mirror, side)
        if near:
            where = " or ".join(f"{x},{y}" for _, (x, y) in near)
            lines.append(f"Exit {side} to {beyond}: move_to {where} ({near[0][0]} steps)")
        else:
            lines.append(f"Exit {side} to {beyond}: not reachable now, {_obstacle(mirror, cells)}")
    return lines


def _unexplored(mirror: Mirror, side: str) -> str:
    gone = mirror.lost_neighbors.get(side)
    return f"unexplored ({gone} was there and is gone)" if gone else "unexplored"


def _obstacle(mirror: Mirror, cells: Sequence[Point]) -> str:
    """Why none of ``cells`` can be reached: who stands on them, else what is in the way to the nearest."""
    takers = [(mirror.who_is_at(*cell), cell) for cell in cells]
    if all(who is not None for who, _ in takers):
        return " and ".join(f"{who} stands on {x},{y}" for who, (x, y) in takers)
    here = mirror.position or (0, 0)
    near = min((cell for who, cell in takers if who is None), key=lambda cell: (manhattan(here, cell), cell))
    return mirror.obstacle(*near) or "no way leads there"


def _gold(mirror: Mirror) -> list[str]:
    steps = mirror.reachable()
    found: list[tuple[int, str, str]] = []
    shut: list[str] = []
    for node in sorted(mirror.gold.values(), key=lambda node: node.node_id):
        cell = mirror.beside(node) if node.available else None
        if cell is not None:
            found.append((steps[cell], node.node_id, f"stand at {cell[0]},{cell[1]}, {node.remaining} left"))
        elif node.available and (cells := mirror.around(node)) and len(shut) < NODES_MAX:
            shut.append(f"Gold {node.node_id}: {node.remaining} left, not reachable now, {_obstacle(mirror, cells)}")
    lines = [f"Gold {node_id}: {text} ({far} steps)" for far, node_id, text in sorted(found)[:NODES_MAX]]
    return [*(lines or ["No gold in reach in this chunk now."]), *shut[: NODES_MAX - len(lines)]]


def _agents(mirror: Mirror) -> list[str]:
    here = mirror.position or (0, 0)
    found = sorted((manhattan(here, (one.x, one.y)), one.id, one) for one in mirror.others.values())
    signs = Signs().of(names_of(mirror))
    lines = [
        f"Agent {name} at {one.x},{one.y}, {one.activity_state}, {signs[name]} on the map"
        for _, name, one in found[:AGENTS_MAX]
    ]
    if len(found) > AGENTS_MAX:
        lines.append(f"... and {len(found) - AGENTS_MAX} more agents")
    creatures = sorted((npc.id, npc) for npc in mirror.npcs.values())[:AGENTS_MAX]
    return lines + [f"Creature {npc.kind or name} at {npc.x},{npc.y}" for name, npc in creatures]


def _heard(heard: Sequence[str]) -> list[str]:
    return [f"Heard: {line}" for line in heard[-CHAT_MAX:]]


def _map(mirror: Mirror, room_chars: int) -> str:
    """As much of the surroundings as fits, with the coordinates of its corner; empty when that is nothing useful."""
    size: Point = (len(mirror.grid[0]), len(mirror.grid))
    for rows in range(MAP_CELLS[1], 4, -2):
        window = window_around(mirror.position or (0, 0), size, (MAP_CELLS[0], rows))
        top = window.bottom + window.height - 1
        head = f"Map, north up, top left cell {window.left},{top} (@ you, # wall, . floor, + exit, $ gold):\n"
        text = head + draw_chunk(mirror, window).plain
        if len(text) <= room_chars:
            return text
    return ""
