"""What a shard's runtime needs to know besides the rules of the game."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from config.settings import default
from recordings.source import Pace

RECORDED: Final = Pace(default("recording_digest_ticks"), default("recording_frame_ticks"))


@dataclass(frozen=True, slots=True)
class ShardConfig:
    """Times and bounds of a shard.  Seconds unless the name says otherwise."""

    tick_hz: float = default("tick_hz")
    back_to_back_most: int = default("late_ticks_max")
    replay_window_ticks: int = default("replay_window_ticks")
    reservation_ttl_s: float = 10.0
    grant_usable_s: float = 5.0
    reserve_timeout_s: float = 2.0
    presence_interval_s: float = 1.0
    adopt_interval_s: float = 1.0
    freeze_interval_s: float = 0.5
    presence_pause_after_stall_s: float = 20.0
    refuse_after_stall_s: float = 1.0
    record_dir: str = default("record_dir")
    #: None: nothing is recorded.
    recordings: Pace | None = RECORDED
