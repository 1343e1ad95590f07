"""``give``: gold from one inventory to another, whole or not at all."""

from __future__ import annotations

import pytest

from tests.world.harness import HALL, TinyCluster
from world.genesis import new_chunk
from world.ids import AgentId, ServerCmdId
from world.inputs import Decision, Load, Submit
from world.recovery import recover
from world.shard import ShardWorld


def give(world: TinyCluster, giver: str, to: str, amount: int) -> Decision:
    return world.submit(giver, {"type": "give", "agent_id": to, "amount": amount})


@pytest.fixture
def pair(world: TinyCluster) -> TinyCluster:
    """Ann with 5 gold at (20, 25), Bob with 1 north of her."""
    world.join("ann", 20, 25, gold=5)
    world.join("bob", 20, 26, gold=1)
    return world


def test_gold_changes_hands_at_once_and_the_result_follows(pair: TinyCluster) -> None:
    world = pair
    world.private.clear()
    assert give(world, "ann", "bob", 3).accepted
    assert (world.gold("ann"), world.gold("bob")) == (2, 4)
    kinds = [(event.agent_id, event.kind) for event in world.private]
    assert kinds == [("ann", "command_ack"), ("ann", "agent_private_delta"), ("bob", "agent_private_delta")]
    assert world.told("ann", "command_ack")[-1]["echo"] == {"type": "give", "agent_id": "bob", "amount": 3}
    assert [world.told(who, "agent_private_delta")[-1]["inventory"] for who in ("ann", "bob")] == [
        {"gold": 2},
        {"gold": 4},
    ]
    world.run()
    (result,) = world.results("ann")
    assert (result["status"], result["ended_tick"], result["to"], result["amount"]) == ("completed", 1, "bob", 3)
    assert world.results("bob") == []
    assert world.events(HALL, "resource_given") == [
        {"type": "resource_given", "from": "ann", "to": "bob", "amount": 3, "resource": "gold"}
    ]
    (fact,) = [fact for fact in world.facts if fact["fact"] == "give"]
    assert (fact["agent_id"], fact["to"], fact["amount"]) == ("ann", "bob", 3)


@pytest.mark.parametrize(
    ("to", "amount", "reason"),
    [
        ("nobody", 1, "agent_not_found"),
        ("ann", 1, "too_far"),
        ("far", 1, "too_far"),
        ("corner", 1, "too_far"),
        ("bob", 6, "insufficient"),
        ("bob", 10**9, "insufficient"),
        ("bob", 0, "invalid_cmd"),
        ("bob", 10**9 + 1, "invalid_cmd"),
    ],
)
def test_refused(pair: TinyCluster, to: str, amount: int, reason: str) -> None:
    """Nothing changes, nobody is told but the giver; a diagonal is two cells."""
    world = pair
    world.join("far", 22, 25)
    world.join("corner", 21, 26)
    world.private.clear()
    decision = give(world, "ann", to, amount)
    assert (decision.accepted, decision.reason) == (False, reason)
    assert [event.kind for event in world.private] == ["command_ack"]
    assert (world.gold("ann"), world.gold("bob")) == (5, 1)


def test_another_chunks_agent_is_not_found(pair: TinyCluster) -> None:
    """Whoever has crossed is not here any more, however near the cell."""
    pair.join("eve", 0, 24, pair.add_chunk("W", {"W": HALL}))
    assert give(pair, "ann", "eve", 1).reason == "agent_not_found"


def test_a_harvest_of_the_giver_ends_one_of_the_receiver_goes_on(world: TinyCluster) -> None:
    """Accepting a command interrupts the own harvest; being given gold interrupts nothing."""
    static = world.home[HALL].chunk_static(HALL)
    for node in static["resource_nodes"]:
        free = [
            (node["x"] + dx, node["y"] + dy)
            for dx, dy in ((0, 1), (1, 0), (0, -1), (-1, 0))
            if static["tiles"][node["y"] + dy][node["x"] + dx] == "."
        ]
        if free:
            break
    x, y = free[0]
    world.join("ann", x, y, gold=5)
    beside = next(
        (x + dx, y + dy) for dx, dy in ((0, 1), (1, 0), (0, -1), (-1, 0)) if static["tiles"][y + dy][x + dx] == "."
    )
    world.join("bob", *beside, gold=5)
    assert world.submit("ann", {"type": "harvest", "node_id": node["node_id"]}).accepted
    assert give(world, "bob", "ann", 2).accepted
    world.run()
    assert world.results("ann") == []
    assert give(world, "ann", "bob", 1).accepted
    assert world.results("ann")[-1]["reason"] == "interrupted_by_new_command"
    assert (world.gold("ann"), world.gold("bob")) == (6, 4)


def test_leaving_does_not_take_it_back(pair: TinyCluster) -> None:
    """The gold has changed hands, so its one result is completed, whatever ends the command."""
    assert give(pair, "ann", "bob", 3).accepted
    assert pair.leave("ann").gold == 2
    (result,) = pair.results("ann")
    assert (result["status"], "reason" in result) == ("completed", False)


def test_both_records_are_of_one_take(pair: TinyCluster) -> None:
    """One output is one commit: both inventories are in it, or neither is."""
    shard = pair.home[HALL]
    assert shard.apply(
        Submit(AgentId("ann"), ServerCmdId("g"), "c", {"type": "give", "agent_id": "bob", "amount": 4})
    ).accepted
    output = shard.take()
    assert (output.agents[AgentId("ann")].gold, output.agents[AgentId("bob")].gold) == (1, 5)
    pair.accepted.add(ServerCmdId("g"))


def test_a_crash_after_the_acceptance_gives_once(pair: TinyCluster) -> None:
    """A new epoch of the shard takes up the command from its record: the result comes, the gold does not move again."""
    assert give(pair, "ann", "bob", 3).accepted
    old = pair.home[HALL]
    chunk, agents = recover(new_chunk(1, 0, None, pair.rules), None, old.agents(HALL), old.tick)
    new = ShardWorld(pair.rules, 1, 0)
    new.apply(Load(chunk, agents))
    new.step(new.tick + 1)
    results = [event.payload for event in new.take().private if event.kind == "command_result"]
    assert [(one["status"], one["amount"]) for one in results] == [("completed", 3)]
    assert {one.agent_id: one.gold for one in new.agents(HALL)} == {"ann": 2, "bob": 4}


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("ticks", range(5))
def test_gold_is_conserved_while_the_other_crosses(shards: int, ticks: int) -> None:
    """Before the boundary it is given, in the other chunk nobody is there to get it; the sum stays."""
    world = TinyCluster(shards=shards)
    world.join("bob", 48, 24, gold=7)
    world.join("ann", 47, 24, gold=9)
    world.move("bob", 49, 24)
    world.run(ticks)
    gone = world.place("bob")[0] != HALL
    assert give(world, "ann", "bob", 4).reason == ("agent_not_found" if gone else None)
    assert give(world, "bob", "ann", 3).reason == ("agent_not_found" if gone else "busy")
    world.run_until_idle()
    assert (world.gold("ann"), world.gold("bob")) == ((9, 7) if gone else (5, 11))


def test_a_departure_takes_along_what_was_given_before_it() -> None:
    """The record that crosses to another shard has the gold of a gift in the same tick."""
    world = TinyCluster(shards=2)
    world.join("bob", 48, 24)
    world.join("ann", 47, 24, gold=9)
    world.move("bob", 49, 24)
    assert world.place("bob")[0] == HALL
    assert give(world, "ann", "bob", 4).accepted
    world.run_until_idle()
    assert world.place("bob")[0] != HALL
    assert (world.gold("ann"), world.gold("bob")) == (5, 4)
