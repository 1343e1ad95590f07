"""Walking inside a chunk.  Pitfall B14."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.world.harness import HALL, TinyCluster, refused
from tests.world.reach import distances
from world.grid import SIDE_OF, index_of
from world.rules import Rules
from world.terrain import make_terrain


def test_one_cell_a_tick(world: TinyCluster) -> None:
    """The first step is in the tick that the ack names, the result in the tick of the arrival."""
    world.join("a", 20, 25)
    decision = world.move("a", 24, 25)
    assert (decision.accepted, decision.started_tick) == (True, 1)
    places = []
    world.run(4, each=lambda: places.append(world.place("a")[1:]))
    assert places == [(21, 25), (22, 25), (23, 25), (24, 25)]
    (ack,) = world.told("a", "command_ack")
    assert ack == {
        "server_cmd_id": "cmd-1",
        "client_cmd_id": "c-cmd-1",
        "accepted": True,
        "started_tick": 1,
        "echo": {"type": "move_to", "x": 24, "y": 25},
    }
    assert world.results("a") == [
        {"server_cmd_id": "cmd-1", "client_cmd_id": "c-cmd-1", "status": "completed", "ended_tick": 4}
    ]
    assert {event.trace_id for event in world.private if event.kind.startswith("command")} == {"trace-cmd-1"}


def test_what_a_walk_shows(world: TinyCluster) -> None:
    """A delta for every tick in which something changed, none after that."""
    world.join("a", 20, 25)
    world.run()
    world.deltas.clear()
    world.move("a", 22, 25)
    world.run(5)
    shown = [(delta.tick, delta.payload["agents"]) for delta in world.deltas]
    assert shown == [
        (2, [{"id": "a", "x": 21, "y": 25, "activity_state": "moving"}]),
        (3, [{"id": "a", "x": 22, "y": 25, "activity_state": "idle"}]),
    ]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ((13, 40), "unreachable"),
        ((0, 0), "unreachable"),
        ((0, 22), "unreachable"),
        ((-1, 5), "out_of_bounds"),
        ((50, 25), "out_of_bounds"),
        ((10**9, 25), "out_of_bounds"),
        ((29, 25), "unreachable"),
    ],
    ids=["wall", "corner", "boundary-wall", "minus-one", "fifty", "far", "taken"],
)
def test_refused_at_once(world: TinyCluster, target: tuple[int, int], reason: str) -> None:
    """A typed refusal, and the agent is free for the next command."""
    world.join("a", 20, 25)
    world.join("idler", 29, 25)
    assert refused(world.move("a", *target)) == reason
    ack = world.told("a", "command_ack")[-1]
    assert (ack["accepted"], ack["reason"]) == (False, reason)
    assert "started_tick" not in ack
    assert world.move("a", 21, 25).accepted


def test_own_cell_completes(world: TinyCluster) -> None:
    """Being there already is success: accepted, and completed in the next tick."""
    world.join("a", 20, 25)
    assert world.move("a", 20, 25).accepted
    world.run()
    assert world.ending("a") == ("completed", None)
    assert world.place("a") == (HALL, 20, 25)


def test_enclosed_start_and_goal(world: TinyCluster) -> None:
    """Four idle agents around: no way out, and none in."""
    for number, cell in enumerate([(20, 26), (21, 25), (20, 24), (19, 25)]):
        world.join(f"idler-{number}", *cell)
    world.join("inside", 20, 25)
    world.join("outside", 30, 25)
    assert refused(world.move("inside", 30, 26)) == "unreachable"
    world.leave("inside")
    assert refused(world.move("outside", 20, 25)) == "unreachable"


def in_the_way(world: TinyCluster, agent_id: str) -> tuple[str, tuple[int, int], str | None]:
    """What an agent's last ack says about the obstacle: what, where, who."""
    ack = world.told(agent_id, "command_ack")[-1]
    assert ack["reason"] == "unreachable"
    blocker = ack["blocker"]
    assert blocker is None or (blocker["x"], blocker["y"]) == (ack["blocked_at"]["x"], ack["blocked_at"]["y"])
    return ack["detail"], (ack["blocked_at"]["x"], ack["blocked_at"]["y"]), blocker and blocker["id"]


@pytest.mark.parametrize(
    ("target", "what", "who"),
    [((13, 40), "wall", None), ((0, 22), "wall", None), ((29, 25), "occupied", "idler")],
    ids=["wall", "boundary-wall", "taken"],
)
def test_an_unreachable_target_is_named(world: TinyCluster, target: tuple[int, int], what: str, who: str) -> None:
    world.join("a", 20, 25)
    world.join("idler", 29, 25)
    world.move("a", *target)
    assert in_the_way(world, "a") == (what, target, who)


def test_whom_one_can_get_round_is_not_in_the_way(world: TinyCluster) -> None:
    """A door is entered from the one cell before it: who stands there is named, not the one met first."""
    world.join("a", 20, 24)
    world.join("idler", 29, 24)
    world.join("doorkeeper", 48, 24)
    world.move("a", 49, 24)
    assert in_the_way(world, "a") == ("no_way", (48, 24), "doorkeeper")


def test_who_stands_on_the_only_way_is_named(world: TinyCluster) -> None:
    """The corridor is shut: the first body on the way that there would be, not the cell asked for."""
    for y in range(23, 27):
        world.join(f"idler-{y}", 44, y)
    world.join("a", 40, 24)
    world.move("a", 49, 24)
    assert in_the_way(world, "a") == ("no_way", (44, 24), "idler-24")
    assert world.move("a", 43, 24).accepted, "looking for the obstacle changed nothing"
    world.run(10)
    world.leave("idler-24")
    assert world.move("a", 46, 24).accepted


def test_a_creature_in_the_way_is_named() -> None:
    world = TinyCluster(rules=Rules())
    npc = world.home[HALL].chunk_delta(HALL)["npcs"][0]
    world.join("a", 25, 20)
    world.move("a", npc["x"], npc["y"])
    assert in_the_way(world, "a") == ("occupied", (npc["x"], npc["y"]), npc["id"])


def test_obstacle_that_came_later(world: TinyCluster) -> None:
    """Never through it: the step before it is kept, the blocker is named, everyone sees it."""
    world.join("a", 20, 25)
    world.move("a", 24, 25)
    world.join("late", 22, 25)
    world.run(3)
    assert world.place("a") == (HALL, 21, 25)
    (result,) = world.results("a")
    assert (result["status"], result["reason"], result["ended_tick"]) == ("failed", "blocked", 2)
    assert result["blocked_at"] == {"x": 22, "y": 25}
    assert result["blocker"] == {"id": "late", "x": 22, "y": 25}
    assert world.events(kind="blocked") == [
        {"type": "blocked", "by": "late", "at": {"x": 22, "y": 25}, "agent_id": "a"}
    ]
    assert world.move("a", 24, 25).accepted


def test_walking_round_idlers(world: TinyCluster) -> None:
    """Others are obstacles where they stand when the walk is planned."""
    world.join("a", 20, 25)
    world.join("idler", 22, 25)
    world.move("a", 24, 25)
    world.run_until_idle()
    assert world.ending("a") == ("completed", None)
    assert world.place("a") == (HALL, 24, 25)


def test_nose_to_nose(world: TinyCluster) -> None:
    """Two in a passage one cell wide: both end blocked, where they met, and neither jumps."""
    for number, (x, y) in enumerate(itertools.product(range(4, 12), (23, 25, 26))):
        world.join(f"idler-{number}", x, y)
    world.join("west", 2, 24)
    world.join("east", 13, 24)
    assert world.move("west", 14, 24).accepted
    assert world.move("east", 1, 24).accepted
    world.run_until_idle(most=40)
    assert world.ending("west") == world.ending("east") == ("failed", "blocked")
    (west, east) = (world.place(name) for name in ("west", "east"))
    assert east[1] - west[1] == 1


def test_a_ring_is_refused(world: TinyCluster) -> None:
    """Each wants the cell of the next: all taken, all refused, whatever the order."""
    ring = {"a": (20, 25), "b": (21, 25), "c": (21, 26), "d": (20, 26)}
    for name, cell in ring.items():
        world.join(name, *cell)
    for name, goal in zip("dacb", ("a", "b", "d", "c"), strict=True):
        assert refused(world.move(name, *ring[goal])) == "unreachable"


def test_following_closely(world: TinyCluster) -> None:
    """A cell that was left earlier in the tick can be entered in the same tick."""
    for name, x in (("first", 22), ("second", 21), ("third", 20)):
        world.join(name, x, 25)
    for name, x in (("first", 26), ("second", 25), ("third", 24)):
        assert world.move(name, x, 25).accepted
    world.run_until_idle()
    assert {world.ending(name) for name in ("first", "second", "third")} == {("completed", None)}


def test_moving_up_within_a_tick(world: TinyCluster) -> None:
    """The leader was accepted first, so the follower's next cell is free when its turn comes."""
    world.join("leader", 21, 25)
    world.join("follower", 19, 25)
    world.move("leader", 24, 25)
    world.run()
    world.move("follower", 21, 25)
    world.run(2)
    assert world.place("leader")[1:] == (24, 25)
    assert world.place("follower")[1:] == (21, 25)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_the_first_accepted_wins(order: tuple[int, ...]) -> None:
    """Four at the same distance from one free cell: acceptance decides, neither names nor seats do."""
    world = TinyCluster()
    around = [(20, 26), (21, 25), (20, 24), (19, 25)]
    for number, cell in enumerate(around):
        world.join(f"agent-{number}", *cell)
    for number in order:
        assert world.move(f"agent-{number}", 20, 25).accepted
    world.run_until_idle()
    endings = {number: world.ending(f"agent-{number}") for number in order}
    assert endings.pop(order[0]) == ("completed", None)
    assert set(endings.values()) == {("failed", "blocked")}


def test_nobody_is_starved() -> None:
    """A thousand rounds with the same seats, the order going round: everyone wins an equal part."""
    wins = dict.fromkeys(range(4), 0)
    for lap in range(40):
        world = TinyCluster()
        for number, cell in enumerate([(20, 26), (21, 25), (20, 24), (19, 25)]):
            world.join(f"agent-{number}", *cell)
        for turn in range(4):
            world.move(f"agent-{(turn + lap) % 4}", 20, 25)
        world.run_until_idle()
        (winner,) = (number for number in range(4) if world.ending(f"agent-{number}")[0] == "completed")
        wins[winner] += 1
    assert set(wins.values()) == {10}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_plans_are_shortest(data: st.DataObject) -> None:
    """As long as a breadth-first search says, or refused where that finds no way; boundary cells are not passed."""
    number = data.draw(st.integers(1, 30))
    world = TinyCluster()
    world.chunks_made = number
    chunk = world.add_chunk("W")
    floor = make_terrain(world.seed, number, "W", Rules(demo=False)).floor
    inner = [cell for cell in range(2500) if floor.flat[cell] and SIDE_OF[cell] is None]
    cells = [index for index in range(2500) if floor.flat[index]]
    seats = data.draw(st.lists(st.sampled_from(inner), min_size=1, max_size=30, unique=True))
    for order, cell in enumerate(seats):
        world.join(f"agent-{order}", cell % 50, cell // 50, chunk)
    target = data.draw(st.sampled_from(cells))
    decision = world.move("agent-0", target % 50, target // 50)
    steps = distances(floor, seats[0], set(seats[1:])).get(target)
    assert decision.accepted == (steps is not None)
    if steps:
        record = world.shard_with("agent-0").agent("agent-0")  # type: ignore[arg-type]
        assert record is not None
        assert record.running is not None
        assert len(record.running.details["path"]) == steps
        letters = {"N": 50, "E": 1, "S": -50, "W": -1}
        here = index_of(record.x, record.y)
        for letter in record.running.details["path"][:-1]:
            here += letters[letter]
            assert floor.flat[here]
            assert SIDE_OF[here] is None
            assert here not in seats[1:]


def test_long_names_and_display_names(world: TinyCluster) -> None:
    """A name shows only where there is one."""
    world.join("a", 20, 25, name="Ann")
    world.join("b" * 128, 22, 25)
    world.run()
    agents = world.deltas[-1].payload["agents"]
    assert agents == [
        {"id": "a", "x": 20, "y": 25, "activity_state": "idle", "name": "Ann"},
        {"id": "b" * 128, "x": 22, "y": 25, "activity_state": "idle"},
    ]
