"""A chunk as text and as a picture."""

from __future__ import annotations

from typing import get_args

import numpy as np

from chunkcrawl_env.config import EnvConfig
from chunkcrawl_env.palette import TOKENS, Theme, agent_colour, rgb
from chunkcrawl_env.rendering import draw_picture, draw_text
from chunkcrawl_env.worlds import Worlds
from world.chunk import Chunk
from world.grid import X_OF, Y_OF


def chunk() -> Chunk:
    worlds = Worlds(EnvConfig(agents=2, company=1))
    worlds.seed(0, 1)
    worlds.reset()
    return worlds.first_chunk()


def test_text_has_the_north_above() -> None:
    made = chunk()
    rows = draw_text(made).splitlines()
    assert [len(row) for row in rows] == [50] * 50
    for actor in made.ordered:
        assert rows[49 - Y_OF[actor.cell]][X_OF[actor.cell]] == ("@" if actor.id.startswith("agent_") else "a")
    assert "".join(rows).count("$") == len(made.nodes)
    assert "".join(rows).count("n") == len(made.npcs) == 2
    next(iter(made.nodes.values())).set(0, "depleted")
    assert draw_text(made).count("o") == 1


def test_a_picture_has_everything_in_its_colour() -> None:
    made = chunk()
    spent = next(iter(made.nodes.values()))
    spent.set(0, "depleted")
    for theme in get_args(Theme):
        picture = draw_picture(made, theme=theme, cell_px=9)
        assert picture.shape == (450, 450, 3)
        assert picture.dtype == np.uint8
        tokens = {name: rgb(text) for name, text in TOKENS[theme].items()}

        def at(cell: int, picture: np.ndarray = picture) -> tuple[int, ...]:
            return tuple(picture[(49 - Y_OF[cell]) * 9 + 4, X_OF[cell] * 9 + 4].tolist())

        assert at(spent.cell) == tokens["spent"]
        assert at(list(made.nodes.values())[1].cell) == tokens["gold"]
        assert at(made.npcs[0].cell) == tokens["npc"]
        for actor in made.ordered:
            assert at(actor.cell) == agent_colour(actor.id)
        assert at(0) == tokens["rock"]
        assert tuple(picture[-1, 24 * 9 + 4].tolist()) == tokens["door"]
        assert tuple(picture[0, 24 * 9 + 4].tolist()) == tokens["door"]
