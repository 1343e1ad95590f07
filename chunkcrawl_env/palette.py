"""The page's colours (``web/watch/css/tokens.css``, ``web/watch/js/state/looks.js``), for pictures.

A copy, since who trains agents has no page; a test holds the two against each other.
"""

from __future__ import annotations

from typing import Final, Literal

Theme = Literal["light", "dark"]

#: By theme and name of the token, ``--map-`` left out.
TOKENS: Final[dict[Theme, dict[str, str]]] = {
    "light": {
        "rock": "#d5d0c5",
        "floor": "#fbf9f4",
        "floor-line": "#efebe2",
        "door": "#3350c4",
        "gold": "#eba80e",
        "spent": "#7a6a40",
        "npc": "#6f6a80",
        "outline": "#2b2f3a",
        "ring": "#2740b0",
    },
    "dark": {
        "rock": "#11141c",
        "floor": "#2a3142",
        "floor-line": "#323a4d",
        "door": "#9db4ff",
        "gold": "#f0b429",
        "spent": "#a08f63",
        "npc": "#a7a1bd",
        "outline": "#e6eaf5",
        "ring": "#ffffff",
    },
}
#: An agent has one of them by its id.
AGENTS: Final = ("#56b4e9", "#d55e00", "#3350c4", "#babc80", "#923002", "#7af4fb", "#976586", "#603e68")

Colour = tuple[int, int, int]


def rgb(text: str) -> Colour:
    """Return ``#rrggbb`` as three numbers."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def agent_colour(agent_id: str) -> Colour:
    """Return the colour that an agent's id begins with on the page."""
    mixed = 0x811C9DC5
    for letter in agent_id:
        mixed = ((mixed ^ ord(letter)) * 0x01000193) & 0xFFFFFFFF
    mixed ^= mixed >> 15
    return rgb(AGENTS[((mixed * 0x2C1B3C6D & 0xFFFFFFFF) >> 8) % len(AGENTS)])
