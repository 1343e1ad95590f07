"""What holds whatever happens: random play of many agents over many chunks and shards.

The harness checks after every tick: no shared cell, nobody in a wall, nobody twice or lost, one result for each
accepted command.  Pitfalls B11, B12.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.world.play import PLAY_RULES, play_randomly
from world.outputs import PrivateEvent


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), shards=st.sampled_from([1, 2, 3]), hand_overs=st.booleans())
def test_random_play(seed: int, shards: int, hand_overs: bool) -> None:
    """Gold is conserved, ticks rise in every chunk, versions rise at every node, and in the end everybody is idle."""
    cluster = play_randomly(seed, shards, ticks=70, hand_overs=hand_overs).cluster
    ticks: dict[str, int] = defaultdict(lambda: -1)
    versions: dict[str, int] = defaultdict(lambda: -1)
    for delta in cluster.deltas:
        assert delta.tick > ticks[delta.chunk_id]
        ticks[delta.chunk_id] = delta.tick
        assert [agent["id"] for agent in delta.payload["agents"]] == sorted(a["id"] for a in delta.payload["agents"])
        for node in delta.payload["resources"]:
            assert node["version"] >= versions[node["node_id"]]
            versions[node["node_id"]] = node["version"]
    cluster.answers = True
    cluster.run(PLAY_RULES.handoff_cap_ticks)
    cluster.run_until_idle(most=400)
    answered = {event.payload["server_cmd_id"] for event in cluster.private if event.kind == "command_result"}
    assert answered == cluster.accepted


@pytest.mark.parametrize("shards", [1, 3])
def test_gold_is_conserved(shards: int) -> None:
    """Inventories hold what was dug, nodes what was generated and has grown back less what was dug of them."""
    play = play_randomly(seed=8, shards=shards, ticks=250)
    cluster = play.cluster
    dug = sum(fact["amount"] for fact in cluster.facts if fact["fact"] == "harvest")
    owned = sum(record.gold for record in cluster.away.values())
    owned += sum(record.gold for chunk, shard in cluster.home.items() for record in shard.agents(chunk))
    assert owned == dug > 20
    for chunk, shard in cluster.home.items():
        nodes = {node["node_id"]: node["max_remaining"] for node in shard.chunk_static(chunk)["resource_nodes"]}
        for view in shard.chunk_delta(chunk)["resources"]:
            own = [fact for fact in cluster.facts if fact.get("node_id") == view["node_id"]]
            grown = sum(fact["amount"] for fact in own if fact["fact"] == "regenerated")
            taken = sum(fact["amount"] for fact in own if fact["fact"] == "harvest")
            assert view["remaining"] == nodes[view["node_id"]] + grown - taken
            assert (view["state"] == "available") == (view["remaining"] > 0)


def test_the_play_goes_everywhere() -> None:
    """The random play is worth its name: crossings, diggings, chats, collections, blocked and busy agents."""
    facts: Counter[str] = Counter()
    private: list[PrivateEvent] = []
    for seed in (8, 9):
        cluster = play_randomly(seed, shards=2, ticks=250, hand_overs=True).cluster
        facts.update(fact["fact"] for fact in cluster.facts)
        private += cluster.private
        assert cluster.closed
    assert min(facts[name] for name in ("crossing", "harvest", "chat", "regenerated")) > 10
    endings = {(e.payload["status"], e.payload.get("reason")) for e in private if e.kind == "command_result"}
    assert endings >= {
        ("completed", None),
        ("completed", "node_depleted"),
        ("failed", "blocked"),
        ("failed", "depleted"),
        ("failed", "disconnected"),
        ("failed", "interrupted_by_new_command"),
    }
    reasons = {e.payload.get("reason") for e in private if e.kind == "command_ack"}
    assert reasons >= {None, "busy", "invalid_cmd", "unreachable", "depleted", "out_of_bounds"}


@pytest.mark.parametrize("shards", [1, 2])
def test_harvests_account_for_every_unit(shards: int) -> None:
    """However a harvest ends, its result names its node and its amount; together they are what everybody saw."""
    cluster = play_randomly(seed=11, shards=shards, ticks=250, hand_overs=shards > 1).cluster
    acks = {e.payload["server_cmd_id"]: e.payload for e in cluster.private if e.kind == "command_ack"}
    taken: Counter[tuple[str, str]] = Counter()
    for event in cluster.private:
        if event.kind != "command_result":
            continue
        command, result = acks[event.payload["server_cmd_id"]]["echo"], event.payload
        assert ("node_id" in result) == (command["type"] == "harvest")
        assert ("amount" in result) == (command["type"] in ("harvest", "give"))
        if command["type"] == "harvest":
            assert result["node_id"] == command["node_id"]
            taken[event.agent_id, result["node_id"]] += result["amount"]
    for shard in cluster.shards:
        for chunk_id in shard.chunk_ids:
            for record in shard.agents(chunk_id):
                if record.running is not None and record.running.kind == "harvest":
                    details = record.running.details
                    taken[record.agent_id, details["node_id"]] += details["harvested"]
    shown = Counter(
        (event["by"], event["node_id"])
        for delta in cluster.deltas
        for event in delta.payload["events"]
        if event["type"] == "resource_harvest"
    )
    assert shown == +taken
    assert any(fact["fact"] == "give" for fact in cluster.facts)
    assert shown.total() > 20
