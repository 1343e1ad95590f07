"""Query parameters of streams that play the past."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from api.past.routes import MOMENT_MOST
from streaming.playback import SPEED_LEAST, SPEED_MOST

FromTick = Annotated[
    int | None,
    Query(ge=0, le=MOMENT_MOST, description="Play the past from here: a tick, or a Unix time in milliseconds."),
]
Speed = Annotated[
    float,
    Query(ge=SPEED_LEAST, le=SPEED_MOST, allow_inf_nan=False, description="How many times faster, with `from_tick`."),
]
