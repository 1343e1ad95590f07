"""A world keeps the rules it was made with: over other settings, starts at once, older versions and damage."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from cluster.balance.planner import BalanceRules
from cluster.configs import balance_rules, rules_of, shard_config
from cluster.graph import WorldMade, init_world, read_world
from cluster.local import LocalWorld
from cluster.world_rules import in_words, rules_fault, rules_in, stored, unused_settings
from config.settings import Settings
from streaming import keys
from world.ids import HALL
from world.rules import WORLD_RULES, Rules, WorldRules

RICH = WorldRules(tick_hz=10, gold_nodes_min=9, gold_nodes_max=12, gold_per_node_min=1, gold_per_node_max=2)


async def made_with(redis: Redis, rules: WorldRules) -> WorldMade:
    return await init_world(redis, seed=7, shard_count=1, rules=rules)


# -- making --


async def test_a_world_is_made_with_its_rules_and_keeps_them(redis: Redis) -> None:
    made = await made_with(redis, RICH)
    assert (made.rules, made.rules_added) == (RICH, False)
    again = await made_with(redis, WorldRules())
    assert (again.rules, again.rules_added) == (RICH, False)
    info = await read_world(redis)
    assert info == again.info
    assert info.rules == RICH


async def test_of_starts_at_once_one_gives_all_the_rules(redis: Redis) -> None:
    wishes = [
        WorldRules(tick_hz=n, gold_nodes_min=n, gold_nodes_max=n, gold_per_node_min=n, gold_per_node_max=n)
        for n in range(1, 21)
    ]
    made = await asyncio.gather(*(made_with(redis, wish) for wish in wishes))
    [kept] = {one.rules for one in made}
    assert kept in wishes
    assert not any(one.rules_added for one in made)


async def test_the_world_and_its_rules_are_one_step(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a start that is killed leaves both or neither."""
    await made_with(redis, RICH)  # the server knows the script now
    await redis.flushdb()
    sent: list[Any] = []
    execute: Any = redis.execute_command

    async def counted(*args: Any, **options: Any) -> Any:
        sent.append(args[0])
        return await execute(*args, **options)

    monkeypatch.setattr(redis, "execute_command", counted)
    await made_with(redis, RICH)
    assert sent == ["HGETALL", "EVALSHA"]  # it looks whether a newer release has written it, and writes once


async def test_a_world_of_an_older_version_takes_those_of_its_next_start_once(redis: Redis) -> None:
    await made_with(redis, WorldRules())
    await redis.hdel(keys.WORLD, *WORLD_RULES)
    before = await read_world(redis)
    assert before is not None
    assert before.rules is None
    first, second = await made_with(redis, RICH), await made_with(redis, WorldRules())
    assert (first.rules, first.rules_added) == (RICH, True)
    assert (second.rules, second.rules_added) == (RICH, False)


async def test_other_settings_at_a_restart_change_no_chunk(redis: Redis) -> None:
    ours = Rules(demo=False, gold_nodes_min=6, gold_nodes_max=6, harvest_ticks_per_unit=5)
    others = Rules(demo=False, gold_nodes_min=1, gold_nodes_max=1, gold_per_node_max=5, harvest_ticks_per_unit=9)

    async def nodes(rules: Rules) -> list[dict[str, Any]]:
        async with LocalWorld(redis, shards=1, rules=rules) as world:
            static = world.shards.runtimes[0].world.chunk_static(HALL)
            return list(static["resource_nodes"])

    before, after = await nodes(ours), await nodes(others)
    assert len(before) == 6
    # How fast one digs may change; what there is may not.
    assert after == [node | {"harvest_ticks_per_unit": 9} for node in before]


def test_a_shard_takes_the_worlds_rules_before_its_settings() -> None:
    settings = Settings(tick_hz=4, gold_nodes_max=64, regen_ticks=7, collect_idle_s=3)
    rules = rules_of(settings, RICH)
    assert rules.of_world == RICH
    assert (rules.regen_ticks, rules.collect_idle_ticks) == (7, 30)
    assert shard_config(settings, rules).tick_hz == 10
    assert rules_of(settings).of_world == WorldRules(tick_hz=4, gold_nodes_max=64)


# -- what is said --


def test_settings_that_were_given_and_differ_are_named_in_one_line() -> None:
    given = Settings(world_seed=8, tick_hz=5, gold_nodes_max=9)
    line = unused_settings(given, 7, WorldRules())
    assert line is not None
    assert "CHUNKCRAWL_WORLD_SEED=8 (here 7)" in line
    assert "CHUNKCRAWL_GOLD_NODES_MAX=9 (here 6)" in line
    assert "TICK_HZ" not in line
    assert "fresh data directory" in line
    assert "\n" not in line


def test_defaults_that_nobody_gave_are_not_held_against_a_world() -> None:
    assert unused_settings(Settings(), 7, RICH) is None


def test_words_name_every_rule() -> None:
    assert in_words(RICH) == "10 ticks a second, 9 to 12 gold nodes a chunk, 1 to 2 units a node"


# -- as fields of the hash --


def test_fields_give_the_same_rules_again() -> None:
    assert set(stored(RICH)) == set(WORLD_RULES) <= Settings.model_fields.keys()
    assert rules_in(stored(RICH) | {"seed": "1"}) == RICH
    assert rules_in({"seed": "1"}) is None
    assert rules_fault(stored(RICH)) is None
    assert rules_fault({"seed": "1"}) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tick_hz": "0"}, "tick_hz"),
        ({"tick_hz": "21"}, "tick_hz"),
        ({"gold_nodes_max": "65"}, "gold_nodes_max"),
        ({"gold_nodes_max": "1_0"}, "gold_nodes_max"),
        ({"gold_nodes_max": " 9"}, "gold_nodes_max"),
        ({"gold_nodes_max": "\uff19"}, "gold_nodes_max"),
        ({"gold_per_node_min": "9" * 5_000}, "gold_per_node_min"),
        ({"gold_per_node_min": "3"}, "gold_per_node_min"),
        ({"gold_nodes_min": "13"}, "gold_nodes_min"),
    ],
)
def test_rules_that_no_start_writes_are_named(wrong: dict[str, str], said: str) -> None:
    fault = rules_fault(stored(RICH) | wrong)
    assert fault is not None
    assert said in fault
    assert len(fault) < 200


def test_some_of_the_rules_alone_are_a_fault() -> None:
    assert rules_fault({"tick_hz": "5"}) == "of its rules there are tick_hz alone"


def test_balancing_is_as_it_is_set_and_can_be_off() -> None:
    assert balance_rules(Settings()) == BalanceRules(1.2, 60)
    assert balance_rules(Settings(balance_threshold=1.5, balance_moves_per_minute=5)) == BalanceRules(1.5, 5)
    assert balance_rules(Settings(balance=False)) is None
