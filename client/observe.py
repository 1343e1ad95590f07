"""What an agent sees, as a short text for a language model, never longer than a budget of tokens. Pure.

What matters most comes first, so that what a small budget cuts off is what matters least.
"""

from __future__ import annotations

from collections.abc import Sequence

from client.mirror import Mirror
from client.paths import Point, manhattan
from client.view import draw_chunk, window_around

__all__ = ["BUDGET_MIN_TOKENS", "CHARS_PER_TOKEN", "observe"]

CHARS_PER_TOKEN = 3
"""Careful: prose has about four characters to a token, maps and coordinates fewer."""

BUDGET_MIN_TOKENS = 60
MAP_CELLS = (31, 15)
AGENTS_MAX, NODES_MAX, CHAT_MAX = 12, 8, 8
CELLS_PER_EXIT = 2


def observe(mirror: Mirror, heard: Sequence[str] = (), *, budget_tokens: int = 600) -> str:
    """Where the agent is and what is around it.

    Args:
        mirror: What is known.
        heard: What was said lately, the newest last.
        budget_tokens: The text holds at most so many tokens, reckoned at ``CHARS_PER_TOKEN``; at least 60.
    """
    limit = max(budget_tokens, BUDGET_MIN_TOKENS) * CHARS_PER_TOKEN
    if not mirror.ready or mirror.position is None:
        return "You are not in the world at the moment; wait and observe again."
    parts = [_self(mirror), *_exits(mirror), *_gold(mirror), *_agents(mirror), *_heard(heard)]
    text = ""
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
        beyond = mirror.neighbors.get(side) or "unexplored"
        where = " or ".join(f"{x},{y}" for _, (x, y) in near) or "not reachable now"
        lines.append(f"Exit {side} to {beyond}: move_to {where}" + (f" ({near[0][0]} steps)" if near else ""))
    return lines


def _gold(mirror: Mirror) -> list[str]:
    steps = mirror.reachable()
    found = []
    for node in mirror.gold.values():
        cell = mirror.beside(node) if node.available else None
        if cell is not None:
            found.append((steps[cell], node.node_id, f"stand at {cell[0]},{cell[1]}, {node.remaining} left"))
    lines = [f"Gold {node_id}: {text} ({far} steps)" for far, node_id, text in sorted(found)[:NODES_MAX]]
    return lines or ["No gold in reach in this chunk now."]


def _agents(mirror: Mirror) -> list[str]:
    here = mirror.position or (0, 0)
    found = sorted((manhattan(here, (one.x, one.y)), one.id, one) for one in mirror.others.values())
    lines = [f"Agent {name} at {one.x},{one.y}, {one.activity_state}" for _, name, one in found[:AGENTS_MAX]]
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
