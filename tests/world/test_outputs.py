"""What comes out: shared and private apart."""

from __future__ import annotations

from tests.world.play import play_randomly

PRIVATE_KINDS = {"command_ack", "command_result", "chunk_transition", "agent_private_delta"}
SHARED_KINDS = {
    "blocked",
    "chat",
    "resource_harvest",
    "resource_depleted",
    "resource_regenerated",
    "agent_joined",
    "agent_left",
    "neighbor_linked",
    "resource_given",
    "neighbor_unlinked",
}


def test_shared_and_private_never_mix() -> None:
    """Over a long play: deltas hold shared events only, private events go to the agent that they are about."""
    cluster = play_randomly(seed=4, shards=2, ticks=120).cluster
    assert {event.kind for event in cluster.private} == PRIVATE_KINDS
    shared = {event["type"] for delta in cluster.deltas for event in delta.payload["events"]}
    assert (
        {"blocked", "chat", "agent_joined", "agent_left", "resource_harvest", "resource_given"}
        <= shared
        <= SHARED_KINDS
    )
    for delta in cluster.deltas:
        assert set(delta.payload) == {"chunk_id", "tick", "agents", "npcs", "resources", "events"}
        # What was given is said to everyone; what anybody owns is not.
        assert "gold" not in str(delta.payload).replace("'resource': 'gold'", "")
    for event in cluster.private:
        assert event.trace_id
        if event.kind != "command_result":  # whose field ``agent_id`` says to whom gold was given
            assert event.payload.get("agent_id", event.agent_id) == event.agent_id
