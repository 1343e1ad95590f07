"""Leaving a chunk, on one shard and between two.  Pitfall B11."""

from __future__ import annotations

from typing import Any

import pytest

from tests.world.harness import HALL, TinyCluster, refused
from world.ids import AgentId, ChunkId, Direction, ServerCmdId, handoff_name
from world.inputs import Arrive, Denied, Done, Granted, Joined, NoNeighbor, Occupant, Refusal, Reserve, Reserved
from world.outputs import NeighborWanted, ReleaseWanted, ReserveWanted

NEXT = ChunkId("chunk-1")
DOORS: dict[Direction, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    # side: where one stands, the boundary cell, where one arrives
    "N": ((24, 47), (24, 49), (24, 0)),
    "E": ((47, 24), (49, 24), (0, 24)),
    "S": ((24, 2), (24, 0), (24, 49)),
    "W": ((2, 24), (0, 24), (49, 24)),
}


@pytest.mark.parametrize("side", list(DOORS))
def test_through_each_side(cluster: TinyCluster, side: Direction) -> None:
    """Two steps and one is on the mirrored cell of a new chunk, at full speed."""
    start, door, arrival = DOORS[side]
    cluster.join("a", *start)
    assert cluster.move("a", *door).accepted
    cluster.run(2)
    assert cluster.place("a") == (NEXT, *arrival)
    transition, result = (event for event in cluster.private if event.kind in ("chunk_transition", "command_result"))
    assert (transition.kind, result.kind) == ("chunk_transition", "command_result")
    assert transition.payload == {
        "agent_id": "a",
        "from_chunk_id": "chunk-0",
        "to_chunk_id": "chunk-1",
        "from": {"x": door[0], "y": door[1]},
        "to": {"x": arrival[0], "y": arrival[1]},
        "direction": side,
        "tick": 2,
    }
    assert (result.payload["status"], result.payload["ended_tick"]) == ("completed", 2)
    assert transition.trace_id == result.trace_id == "trace-cmd-1"
    assert [event["type"] for event in cluster.events()] == ["agent_joined", "neighbor_linked", "agent_left"]
    cluster.run()
    assert [event["type"] for event in cluster.events(NEXT)] == ["agent_joined"]
    assert cluster.deltas[-1].payload["agents"][0]["id"] == "a"


def test_there_and_back(cluster: TinyCluster) -> None:
    """Told to go to the boundary cell it stands on, an agent steps back out: that cell leads there."""
    cluster.join("a", 47, 24)
    cluster.move("a", 49, 24)
    cluster.run_until_idle()
    assert cluster.place("a") == (NEXT, 0, 24)
    assert cluster.move("a", 0, 24).accepted
    cluster.run(1)
    assert cluster.place("a") == (HALL, 49, 24)
    assert [fact["to_chunk_id"] for fact in cluster.facts if fact["fact"] == "crossing"] == [NEXT, HALL]


def test_back_by_another_door_cell(cluster: TinyCluster) -> None:
    """From the arrival cell to another cell of the same side is one step, out again."""
    cluster.join("a", 47, 24)
    cluster.move("a", 49, 24)
    cluster.run_until_idle()
    assert cluster.move("a", 0, 25).accepted
    cluster.run_until_idle()
    assert cluster.place("a") == (HALL, 49, 25)


def test_walking_in_after_arriving(cluster: TinyCluster) -> None:
    cluster.join("a", 47, 24)
    cluster.move("a", 49, 24)
    cluster.run_until_idle()
    assert cluster.move("a", 3, 24).accepted
    cluster.run_until_idle()
    assert cluster.place("a") == (NEXT, 3, 24)


def test_one_neighbor_however_many_come(cluster: TinyCluster) -> None:
    """Three at the cells of a side, and more behind them: one request, one chunk; the later ones find them there."""
    for y in range(23, 26):
        cluster.join(f"a-{y}", 47, y)
        cluster.join(f"b-{y}", 44, y)
    for y in range(23, 26):
        cluster.move(f"a-{y}", 49, y)
        cluster.move(f"b-{y}", 49, y)
    cluster.run_until_idle()
    wanted = [request for request in cluster.requests if isinstance(request, NeighborWanted)]
    assert wanted == [NeighborWanted(HALL, "E")]
    assert {cluster.place(f"a-{y}") for y in range(23, 26)} == {(NEXT, 0, y) for y in range(23, 26)}
    assert {cluster.ending(f"b-{y}") for y in range(23, 26)} == {("failed", "blocked")}


def test_taken_arrival_cell(cluster: TinyCluster) -> None:
    """All or nothing: blocked, and the agent stands where it stood; the next command is free."""
    cluster.join("first", 47, 24)
    cluster.move("first", 49, 24)
    cluster.run_until_idle()
    cluster.join("second", 46, 24)
    cluster.move("second", 49, 24)
    cluster.run_until_idle()
    assert cluster.place("second") == (HALL, 48, 24)
    result = cluster.results("second")[-1]
    assert (result["status"], result["reason"]) == ("failed", "blocked")
    assert result["blocked_at"] == {"x": 49, "y": 24}
    assert result["blocker"] == {"id": "first", "x": 0, "y": 24}
    assert result["blocker_chunk_id"] == NEXT
    assert not cluster.told("second", "chunk_transition")
    assert cluster.move("second", 49, 25).accepted
    cluster.run_until_idle()
    assert cluster.place("second") == (NEXT, 0, 25)


def test_somebody_on_the_boundary_cell(cluster: TinyCluster) -> None:
    """A body on the doorway is an obstacle like any other: no way at planning, blocked when it came later."""
    cluster.join("far", 47, 24)
    cluster.move("far", 49, 24)
    cluster.run_until_idle()  # makes chunk-1
    cluster.join("out", 40, 24)
    assert cluster.move("out", 49, 24).accepted
    assert cluster.move("far", 0, 24).accepted  # comes back to (49, 24) before "out" is there
    cluster.run_until_idle()
    assert cluster.place("far") == (HALL, 49, 24)
    assert cluster.ending("out") == ("failed", "blocked")
    assert cluster.results("out")[-1]["blocker"]["id"] == "far"
    assert refused(cluster.move("out", 49, 24)) == "unreachable"


def test_swapping_through_one_door(cluster: TinyCluster) -> None:
    """One goes out while the other comes in by the same pair of cells: one result each, nobody lost."""
    cluster.join("in", 47, 24)
    cluster.move("in", 49, 24)
    cluster.run_until_idle()
    cluster.move("in", 1, 24)
    cluster.run_until_idle()
    cluster.join("out", 48, 24)
    cluster.move("out", 49, 24)
    cluster.move("in", 0, 24)
    cluster.run_until_idle()
    assert cluster.results("out")[-1]["status"] == "completed"
    assert cluster.place("out") == (NEXT, 0, 24)
    if len(cluster.shards) == 1:  # the first accepted stands in the other's doorway by then
        assert cluster.ending("in") == ("failed", "blocked")
        assert cluster.place("in") == (NEXT, 1, 24)
    else:  # both doorways were reserved to the arrivals, which keeps nobody from leaving through them
        assert cluster.ending("in") == ("completed", None)
        assert cluster.place("in") == (HALL, 49, 24)


def test_two_from_different_chunks_want_one_cell() -> None:
    """They come in the same tick to the same arrival cell: the first asked wins, the other is told who has it."""
    cluster = TinyCluster(shards=3)
    cluster.join("a", 47, 24)
    cluster.move("a", 49, 24)
    cluster.run_until_idle()
    home = cluster.home[NEXT]
    assert home.apply(Reserve(handoff_name(AgentId("b"), ServerCmdId("x")), AgentId("b"), NEXT, 0, 25)) == Reserved(
        True
    )
    cluster.join("c", 48, 25)
    cluster.move("c", 49, 25)
    cluster.run_until_idle()
    assert cluster.ending("c") == ("failed", "blocked")
    assert cluster.results("c")[-1]["blocker"] == {"id": "b", "x": 0, "y": 25}


# -- no neighbour --


def test_no_neighbor_can_be_made(cluster: TinyCluster) -> None:
    """The walk ends blocked before the boundary; the next try asks again."""
    cluster.makes_neighbors = False
    cluster.join("a", 47, 24)
    assert cluster.move("a", 49, 24).accepted
    cluster.run_until_idle()
    assert cluster.ending("a") == ("failed", "blocked")
    result = cluster.results("a")[-1]
    assert (result["blocked_at"], result["blocker"], result["detail"]) == ({"x": 49, "y": 24}, None, "no_more_chunks")
    assert cluster.place("a") == (HALL, 48, 24)
    cluster.makes_neighbors = True
    cluster.move("a", 49, 24)
    cluster.run_until_idle()
    assert cluster.place("a") == (NEXT, 0, 24)


def test_neighbor_comes_late(cluster: TinyCluster) -> None:
    """The agent waits, moving, and goes in the tick after the link."""
    cluster.answers = False
    cluster.join("a", 48, 24)
    cluster.move("a", 49, 24)
    cluster.run(5)
    assert cluster.place("a") == (HALL, 48, 24)
    assert cluster.home[HALL].chunk_delta(HALL)["agents"][0]["activity_state"] == "moving"
    assert refused(cluster.move("a", 20, 24)) == "busy"
    cluster.answers = True
    for request in cluster.unanswered:
        cluster.answer(cluster.home[HALL], request)
    cluster.pump()
    cluster.run()
    assert cluster.place("a") == (NEXT, 0, 24)


def test_unanswered_for_too_long(cluster: TinyCluster) -> None:
    """Pitfall B12: a stated cap (25 ticks), then blocked; whoever comes next asks anew."""
    cluster.answers = False
    cluster.join("a", 48, 24)
    cluster.move("a", 49, 24)
    assert cluster.run_until_idle() == 1 + cluster.rules.handoff_cap_ticks
    assert cluster.ending("a") == ("failed", "blocked")
    cluster.answers = True
    cluster.move("a", 49, 24)
    cluster.run_until_idle()
    assert cluster.place("a") == (NEXT, 0, 24)


# -- between two shards, one message at a time --


class Handoff:
    """An agent before chunk-1, which another shard has, and a test that answers by itself."""

    def __init__(self) -> None:
        self.cluster = TinyCluster(shards=2)
        self.cluster.join("pioneer", 47, 26)
        self.cluster.move("pioneer", 49, 26)
        self.cluster.run_until_idle()
        self.cluster.answers = False
        self.cluster.requests.clear()
        self.cluster.join("a", 46, 24)
        self.cluster.move("a", 49, 24)
        self.cluster.run(2)
        self.source, self.target = self.cluster.home[HALL], self.cluster.home[NEXT]
        self.id = handoff_name(AgentId("a"), ServerCmdId(f"cmd-{self.cluster.commands}"))

    def asked(self) -> list[Any]:
        """The requests since the last call."""
        requests, self.cluster.requests = self.cluster.requests, []
        return requests

    def reserve(self) -> Any:
        """Ask the target, as the cluster would."""
        return self.target.apply(Reserve(self.id, AgentId("a"), NEXT, 0, 24))


def test_asks_when_it_stands_before_the_boundary() -> None:
    handoff = Handoff()
    assert handoff.asked() == [ReserveWanted(handoff.id, AgentId("a"), HALL, NEXT, 0, 24)]
    assert handoff.cluster.place("a") == (HALL, 48, 24)


def test_asks_again_with_the_same_id_and_gives_up() -> None:
    handoff = Handoff()
    rules = handoff.cluster.rules
    ticks = handoff.cluster.run_until_idle()
    assert ticks == 1 + rules.handoff_cap_ticks
    *asked, last = handoff.asked()
    assert len(asked) == 1 + rules.handoff_cap_ticks // rules.handoff_retry_ticks
    assert set(asked) == {ReserveWanted(handoff.id, AgentId("a"), HALL, NEXT, 0, 24)}
    assert last == ReleaseWanted(handoff.id, NEXT)
    assert handoff.cluster.ending("a") == ("failed", "blocked")


def test_answer_twice_and_departure_once() -> None:
    """Reserving, granting and arriving may each be told twice: the agent goes once."""
    handoff = Handoff()
    assert handoff.reserve() == handoff.reserve() == Reserved(ok=True)
    for _ in range(2):
        assert handoff.source.apply(Granted(handoff.id, AgentId("a"))) == Done()
    assert handoff.source.step(100)
    (departure,) = handoff.source.take().departures
    assert handoff.source.apply(Granted(handoff.id, AgentId("a"))) == Refusal("agent_not_here")
    assert (departure.record.chunk_id, departure.record.x, departure.record.y) == (NEXT, 0, 24)
    assert departure.record.running is None
    arrival = Arrive(departure.handoff_id, departure.record, NEXT, 0, 24)
    assert handoff.target.apply(arrival) == handoff.target.apply(arrival) == Joined(0, 24)
    assert handoff.target.population == 2
    assert handoff.reserve() == Reserved(ok=True)  # a late retry is told what it was told before
    handoff.target.step(100)
    handoff.target.take()


def test_an_arrival_repeated_after_the_agent_went_on() -> None:
    """It has been here and left: it is not seated again."""
    handoff = Handoff()
    handoff.cluster.answers = True
    handoff.cluster.answer(handoff.source, handoff.asked()[0])
    handoff.cluster.run_until_idle()
    record = handoff.target.agent(AgentId("a"))
    assert record is not None
    handoff.cluster.leave("a")
    assert handoff.target.apply(Arrive(handoff.id, record, NEXT, 0, 24)) == Joined(0, 24)
    assert handoff.target.agent(AgentId("a")) is None


def test_denied_names_the_blocker() -> None:
    handoff = Handoff()
    handoff.source.apply(Denied(handoff.id, AgentId("a"), Occupant("b", 0, 24)))
    handoff.cluster.run()
    assert handoff.cluster.results("a")[-1]["blocker"] == {"id": "b", "x": 0, "y": 24}
    assert not [one for one in handoff.asked() if isinstance(one, ReleaseWanted)]


def test_a_grant_runs_out() -> None:
    """Past ``until_tick`` the cell is asked for again instead of used."""
    handoff = Handoff()
    handoff.asked()
    handoff.source.apply(Granted(handoff.id, AgentId("a"), until_tick=handoff.source.tick))
    handoff.cluster.run()
    assert handoff.cluster.place("a") == (HALL, 48, 24)
    assert handoff.asked() == [ReserveWanted(handoff.id, AgentId("a"), HALL, NEXT, 0, 24)]


def test_leaving_the_world_with_a_granted_cell() -> None:
    """The result comes first, and the cell is given back."""
    handoff = Handoff()
    handoff.asked()
    handoff.reserve()
    handoff.source.apply(Granted(handoff.id, AgentId("a")))
    handoff.cluster.leave("a")
    assert handoff.cluster.ending("a") == ("failed", "disconnected")
    assert handoff.asked() == [ReleaseWanted(handoff.id, NEXT)]
    handoff.cluster.run()


def test_answers_to_the_wrong_crossing_are_ignored() -> None:
    handoff = Handoff()
    other = handoff_name(AgentId("a"), ServerCmdId("older"))
    assert handoff.source.apply(Granted(other, AgentId("a"))) == Done()
    assert handoff.source.apply(Denied(other, AgentId("a"))) == Done()
    handoff.cluster.run()
    assert handoff.cluster.place("a") == (HALL, 48, 24)
    assert not handoff.cluster.results("a")


def test_no_neighbor_is_for_those_who_wait() -> None:
    """One who is still walking is not ended by it, and asks when it gets there."""
    cluster = TinyCluster()
    cluster.answers = False
    cluster.join("near", 48, 24)
    cluster.join("far", 40, 25)
    cluster.move("near", 49, 24)
    cluster.move("far", 49, 25)
    cluster.home[HALL].apply(NoNeighbor(HALL, "E", "full"))
    cluster.answers = True
    cluster.run_until_idle()
    assert cluster.ending("near") == ("failed", "blocked")
    assert cluster.place("far") == (NEXT, 0, 25)
