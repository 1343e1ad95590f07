"""What the core and the shards take (ticks, plain values), made of settings (seconds, environment)."""

from __future__ import annotations

from cluster.balance.planner import BalanceRules
from cluster.shard.config import ShardConfig
from config.settings import Settings
from recordings.source import Pace
from world.rules import Rules, WorldRules


def rules_of(settings: Settings, kept: WorldRules | None = None) -> Rules:
    """Return the rules of the game of this installation.

    None: a new world's, all as they are set.
    """
    tick_hz = settings.tick_hz if kept is None else kept.tick_hz
    rules = Rules(
        tick_hz=settings.tick_hz,
        harvest_ticks_per_unit=settings.harvest_ticks_per_unit,
        regen_ticks=settings.regen_ticks,
        gold_nodes_min=settings.gold_nodes_min,
        gold_nodes_max=settings.gold_nodes_max,
        gold_per_node_min=settings.gold_per_node_min,
        gold_per_node_max=settings.gold_per_node_max,
        spawn_chunk_capacity=settings.spawn_chunk_capacity,
        collect_idle_ticks=settings.collect_idle_s * tick_hz,
        demo=settings.demo_enabled,
    )
    return rules if kept is None else rules.in_world(kept)


def shard_config(settings: Settings, rules: Rules) -> ShardConfig:
    """Return times and bounds of a shard's runtime."""
    return ShardConfig(
        tick_hz=rules.tick_hz,
        back_to_back_most=settings.late_ticks_max,
        replay_window_ticks=settings.replay_window_ticks,
        record_dir=settings.record_dir,
        recordings=Pace(settings.recording_digest_ticks, settings.recording_frame_ticks)
        if settings.recordings
        else None,
    )


def balance_rules(settings: Settings) -> BalanceRules | None:
    """Return how chunks are moved by their load; None: they are not."""
    return BalanceRules(settings.balance_threshold, settings.balance_moves_per_minute) if settings.balance else None
