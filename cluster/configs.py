"""From settings (seconds, environment) to what the core and the shards take (ticks, plain values)."""

from __future__ import annotations

from api.settings import Settings
from cluster.shard.config import ShardConfig
from world.rules import Rules


def rules_of(settings: Settings) -> Rules:
    """The rules of the game of this installation."""
    return Rules(
        tick_hz=settings.tick_hz,
        spawn_chunk_capacity=settings.spawn_chunk_capacity,
        collect_idle_ticks=settings.collect_idle_s * settings.tick_hz,
        demo=settings.demo_enabled,
    )


def shard_config(settings: Settings) -> ShardConfig:
    """Times and bounds of a shard's runtime."""
    return ShardConfig(
        tick_hz=settings.tick_hz,
        back_to_back_most=settings.late_ticks_max,
        replay_window_ticks=settings.replay_window_ticks,
    )
