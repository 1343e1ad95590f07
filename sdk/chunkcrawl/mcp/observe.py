"""What an agent sees, as a short text for a language model, never longer than a budget of tokens.  Pure.

What matters most comes first, so that what a small budget cuts off is what matters least.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chunkcrawl.view.drawing import draw_chunk, names_of, window_around
from chunkcrawl.view.paths import Point, manhattan
from chunkcrawl.view.signs import Signs
from chunkcrawl.view.world_view import WorldView

__all__ = ["BUDGET_MIN_TOKENS", "CHARS_PER_TOKEN", "observe"]

#: Careful: prose has about four characters to a token, maps and coordinates fewer.
CHARS_PER_TOKEN: Final = 3

BUDGET_MIN_TOKENS: Final = 60
MAP_CELLS: Final = (31, 15)
AGENTS_MAX, NODES_MAX, CHAT_MAX = 12, 8, 8
CELLS_PER_EXIT: Final = 2


def observe(view: WorldView, heard: Sequence[str] = (), *, budget_tokens: int = 600, notice: str = "") -> str:
    """Return where the agent is and what is around it.

    Args:
        view: What is known.
        heard: What was said lately, the newest last.
        budget_tokens: The text holds at most so many tokens, reckoned at ``CHARS_PER_TOKEN``; at least 60.
        notice: What has to be known before anything else; it is the first line.
    """
    limit = max(budget_tokens, BUDGET_MIN_TOKENS) * CHARS_PER_TOKEN
    text = f"{notice}\n" if notice else ""
    if not view.ready or view.position is None:
        return (text + "You are not in the world at the moment; wait and observe again.")[:limit]
    parts = [_self(view), *_exits(view), *_gold(view), *_agents(view), *_heard(heard)]
    for line in parts:
        if len(text) + len(line) + 1 > limit:
            break
        text += line + "\n"
    return (text + _map(view, limit - len(text))).rstrip("\n")[:limit]


def _self(view: WorldView) -> str:
    assert view.me is not None
    gold = f", carrying {view.inventory_gold} gold" if view.inventory_gold is not None else ""
    place = f"{view.me.x},{view.me.y} in {view.chunk_id}"
    return f"You are {view.agent_id} at {place}, {view.me.activity_state}{gold}. Tick {view.tick}."


def _exits(view: WorldView) -> list[str]:
    steps = view.reachable()
    lines = []
    for side, cells in sorted(view.exits().items()):
        near = sorted((steps[cell], cell) for cell in cells if cell in steps)[:CELLS_PER_EXIT]
        beyond = view.neighbors.get(side) or _unexplored(view, side)
        if near:
            where = " or ".join(f"{x},{y}" for _, (x, y) in near)
            lines.append(f"Exit {side} to {beyond}: move_to {where} ({near[0][0]} steps)")
        else:
            lines.append(f"Exit {side} to {beyond}: not reachable now, {_obstacle(view, cells)}")
    return lines


def _unexplored(view: WorldView, side: str) -> str:
    gone = view.lost_neighbors.get(side)
    return f"unexplored ({gone} was there and is gone)" if gone else "unexplored"


def _obstacle(view: WorldView, cells: Sequence[Point]) -> str:
    """Return why none of ``cells`` can be reached: who stands on them, else what is in the way to the nearest."""
    takers = [(view.who_is_at(*cell), cell) for cell in cells]
    if all(who is not None for who, _ in takers):
        return " and ".join(f"{who} stands on {x},{y}" for who, (x, y) in takers)
    here = view.position or (0, 0)
    near = min((cell for who, cell in takers if who is None), key=lambda cell: (manhattan(here, cell), cell))
    return view.obstacle(*near) or "no way leads there"


def _gold(view: WorldView) -> list[str]:
    steps = view.reachable()
    found: list[tuple[int, str, str]] = []
    shut: list[str] = []
    for node in sorted(view.gold.values(), key=lambda node: node.node_id):
        cell = view.beside(node) if node.available else None
        if cell is not None:
            found.append((steps[cell], node.node_id, f"stand at {cell[0]},{cell[1]}, {node.remaining} left"))
        elif node.available and (cells := view.around(node)) and len(shut) < NODES_MAX:
            shut.append(f"Gold {node.node_id}: {node.remaining} left, not reachable now, {_obstacle(view, cells)}")
    lines = [f"Gold {node_id}: {text} ({far} steps)" for far, node_id, text in sorted(found)[:NODES_MAX]]
    return [*(lines or ["No gold in reach in this chunk now."]), *shut[: NODES_MAX - len(lines)]]


def _agents(view: WorldView) -> list[str]:
    here = view.position or (0, 0)
    found = sorted((manhattan(here, (one.x, one.y)), one.id, one) for one in view.others.values())
    signs = Signs().of(names_of(view))
    lines = [
        f"Agent {name} at {one.x},{one.y}, {one.activity_state}, {signs[name]} on the map"
        for _, name, one in found[:AGENTS_MAX]
    ]
    if len(found) > AGENTS_MAX:
        lines.append(f"... and {len(found) - AGENTS_MAX} more agents")
    creatures = sorted((npc.id, npc) for npc in view.npcs.values())[:AGENTS_MAX]
    return lines + [f"Creature {npc.kind or name} at {npc.x},{npc.y}" for name, npc in creatures]


def _heard(heard: Sequence[str]) -> list[str]:
    return [f"Heard: {line}" for line in heard[-CHAT_MAX:]]


def _map(view: WorldView, room_chars: int) -> str:
    """Return as much of the surroundings as fits, with its corner's coordinates; empty when that is nothing useful."""
    size: Point = (len(view.grid[0]), len(view.grid))
    for rows in range(MAP_CELLS[1], 4, -2):
        window = window_around(view.position or (0, 0), size, (MAP_CELLS[0], rows))
        top = window.bottom + window.height - 1
        head = f"Map, north up, top left cell {window.left},{top} (@ you, # wall, . floor, + exit, $ gold):\n"
        text = head + draw_chunk(view, window).plain
        if len(text) <= room_chars:
            return text
    return ""
