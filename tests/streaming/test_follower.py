"""The follower's order under every interleaving of its streams, without any server."""

from __future__ import annotations

import random

import orjson
import pytest

from streaming.cursor import Position
from streaming.entry import BEFORE_FIRST, Entry, PrivateEvent, SharedEvent, notice
from streaming.follower import MAX_HELD, Followed, Follower, effective_moves, move_of, shows
from tests.streaming.wanderer import AGENT, Wanderer, agent_ids, check_arrivals, check_order
from tests.streaming.writer import agent_event, delta


def private(n: int, kind: str, **fields: object) -> PrivateEvent:
    event = agent_event(AGENT, n, kind, **fields)
    assert isinstance(event, PrivateEvent)
    return event


def shared(chunk_id: str, tick: int, prev: int, *agents: str) -> SharedEvent:
    event = delta(chunk_id, (tick, 0), (prev, 0), agents)
    assert isinstance(event, SharedEvent)
    return event


def static(chunk_id: str) -> SharedEvent:
    return notice("chunk_static", {"chunk_id": chunk_id}, 1, "t-1")


def transition(n: int, to: str, tick: int) -> PrivateEvent:
    return private(n, "chunk_transition", from_chunk_id="chunk-0", to_chunk_id=to, tick=tick)


def following(chunk_id: str | None = "chunk-0", tick: int = 5, seq: int = 0, *, challenges: bool = True) -> Follower:
    at = (tick, 0) if chunk_id is not None else BEFORE_FIRST
    return Follower(AGENT, Position(chunk_id, at, seq), challenges=challenges)


def said(shown: list[Followed]) -> list[tuple[str, str | None]]:
    return [(event.kind, event_id) for event, event_id in shown]


def test_both_streams_are_shown_with_both_places() -> None:
    follower = following()
    follower.chunk_event(shared("chunk-0", 6, 5))
    follower.agent_event(private(1, "command_ack"))
    follower.chunk_event(shared("chunk-0", 7, 6))
    assert said(follower.take()) == [
        ("chunk_delta", "chunk-0:6:0:0"),
        ("command_ack", "chunk-0:6:0:1"),
        ("chunk_delta", "chunk-0:7:0:1"),
    ]
    assert follower.take() == []


def test_what_is_known_or_of_another_chunk_is_ignored() -> None:
    follower = following(seq=3)
    follower.chunk_event(shared("chunk-0", 5, 4))
    follower.chunk_event(shared("chunk-1", 9, 8))
    follower.agent_event(private(3, "command_ack"))
    assert follower.take() == []


def test_a_crossing_shows_transition_static_and_the_first_delta_with_the_agent() -> None:
    follower = following()
    follower.agent_event(transition(1, "chunk-1", 9))
    follower.agent_event(private(2, "command_result", tick=9))
    follower.chunk_event(shared("chunk-0", 9, 5))  # the old chunk is over
    assert said(follower.take()) == [("chunk_transition", "chunk-1:0:0:1")]
    assert follower.arriving_at == "chunk-1"
    follower.arrived(static("chunk-1"), [shared("chunk-1", 8, 7)])
    follower.chunk_event(shared("chunk-1", 9, 8, "bob"))
    assert said(follower.take()) == [("chunk_static", None)]
    follower.chunk_event(shared("chunk-1", 10, 9, "bob", AGENT))
    follower.chunk_event(shared("chunk-1", 11, 10, AGENT))
    assert said(follower.take()) == [
        ("chunk_delta", "chunk-1:10:0:1"),
        ("command_result", "chunk-1:10:0:2"),
        ("chunk_delta", "chunk-1:11:0:2"),
    ]


def test_an_earlier_visit_is_not_taken_for_this_one() -> None:
    follower = following()
    follower.agent_event(transition(1, "chunk-1", 12))
    earlier = [shared("chunk-1", 9, 8, AGENT), shared("chunk-1", 10, 9, AGENT), shared("chunk-1", 11, 10)]
    follower.arrived(static("chunk-1"), earlier)
    assert said(follower.take())[1:] == [("chunk_static", None)]
    again = following()
    again.agent_event(transition(1, "chunk-1", 12))
    again.arrived(static("chunk-1"), [*earlier, shared("chunk-1", 12, 11, AGENT), shared("chunk-1", 13, 12, AGENT)])
    assert [event_id for _, event_id in again.take()] == ["chunk-1:0:0:1", None, "chunk-1:12:0:1", "chunk-1:13:0:1"]


def test_a_destination_whose_clock_lags_still_shows_the_arrival() -> None:
    follower = following()
    follower.agent_event(transition(1, "chunk-1", 12))
    follower.arrived(static("chunk-1"), [shared("chunk-1", 10, 9), shared("chunk-1", 11, 10, AGENT)])
    assert said(follower.take())[-1] == ("chunk_delta", "chunk-1:11:0:1")


def test_moving_on_before_the_arrival_was_seen_lets_everything_through_in_order() -> None:
    follower = following()
    follower.agent_event(transition(1, "chunk-1", 9))
    follower.arrived(static("chunk-1"), [])
    follower.agent_event(private(2, "command_result"))
    assert [kind for kind, _ in said(follower.take())] == ["chunk_transition", "chunk_static"]
    follower.agent_event(transition(3, "chunk-2", 12))
    assert said(follower.take()) == [("command_result", "chunk-1:0:0:2"), ("chunk_transition", "chunk-2:0:0:3")]
    follower.arrived(static("chunk-2"), [shared("chunk-2", 12, 11, AGENT)])
    assert said(follower.take()) == [("chunk_static", None), ("chunk_delta", "chunk-2:12:0:3")]


def test_of_a_visit_that_is_over_only_its_own_deltas_are_shown() -> None:
    follower = following()
    follower.agent_events([transition(1, "chunk-1", 9), private(2, "command_ack"), transition(3, "chunk-2", 11)])
    assert said(follower.take()) == [("chunk_transition", "chunk-1:0:0:1")]
    history = [shared("chunk-1", tick, tick - 1, *((AGENT,) if tick in (9, 10) else ())) for tick in range(7, 15)]
    follower.arrived(static("chunk-1"), history)
    assert [event_id for _, event_id in follower.take()] == [
        None,
        "chunk-1:9:0:1",
        "chunk-1:10:0:1",
        "chunk-1:11:0:1",
        "chunk-1:11:0:2",
        "chunk-2:0:0:3",
    ]


def test_a_chunk_that_is_gone_again_stops_nothing() -> None:
    follower = following()
    follower.agent_events([transition(1, "chunk-1", 9), transition(2, "chunk-2", 11)])
    follower.arrived(None, [])
    assert [kind for kind, _ in said(follower.take())] == ["chunk_transition", "chunk_transition"]
    assert follower.arriving_at == "chunk-2"


def test_holding_back_has_an_end() -> None:
    follower = following()
    follower.agent_event(transition(1, "chunk-1", 9))
    follower.arrived(static("chunk-1"), [])
    for n in range(2, MAX_HELD + 3):
        follower.agent_event(private(n, "command_ack"))
    assert agent_ids(follower.take()) == list(range(1, MAX_HELD + 3))
    follower.chunk_event(shared("chunk-1", 10, 9, AGENT))
    assert said(follower.take()) == [("chunk_delta", f"chunk-1:10:0:{MAX_HELD + 2}")]


def test_leaving_and_coming_back() -> None:
    follower = following()
    follower.agent_event(private(1, "agent_removed", tick=7))
    assert (follower.online, follower.take()) == (False, [])
    follower.agent_event(private(2, "command_ack"))
    follower.chunk_event(shared("chunk-0", 8, 5))
    assert said(follower.take()) == [("command_ack", "-:0:0:2")]
    follower.agent_event(private(3, "agent_placed", chunk_id="chunk-2", x=1, y=1, tick=9))
    assert follower.arriving_at == "chunk-2"
    follower.arrived(static("chunk-2"), [shared("chunk-2", 9, 8, AGENT)])
    assert said(follower.take()) == [("chunk_static", None), ("chunk_delta", "chunk-2:9:0:3")]


def test_placed_where_it_is_shown_already_is_no_news() -> None:
    follower = following()
    follower.agent_events(
        [
            private(1, "command_result"),
            private(2, "agent_removed", tick=6),
            private(3, "agent_placed", chunk_id="chunk-0", tick=7),
        ]
    )
    follower.chunk_event(shared("chunk-0", 7, 5, AGENT))
    assert said(follower.take()) == [("command_result", "chunk-0:5:0:1"), ("chunk_delta", "chunk-0:7:0:3")]


def test_challenges_of_the_stream_are_kept_from_an_agent_and_counted() -> None:
    agent, owner = following(challenges=False), following()
    for follower in (agent, owner):
        follower.agent_event(private(1, "command_challenge"))
        follower.agent_event(private(2, "command_ack"))
    assert said(agent.take()) == [("command_ack", "chunk-0:5:0:2")]
    assert said(owner.take()) == [("command_challenge", "chunk-0:5:0:1"), ("command_ack", "chunk-0:5:0:2")]


def told() -> PrivateEvent:
    """A challenge as the gateway itself sends it."""
    return PrivateEvent("command_challenge", b"{}", 7, "t")


def test_what_the_gateway_says_has_its_place_and_no_number() -> None:
    follower = following(challenges=False)
    follower.agent_event(private(1, "command_result"))
    follower.agent_event(told())
    follower.agent_event(private(1, "command_result"))  # known, though what came last has no number
    follower.agent_event(private(2, "command_ack"))
    shown = [("command_result", "chunk-0:5:0:1"), ("command_challenge", None), ("command_ack", "chunk-0:5:0:2")]
    assert said(follower.take()) == shown
    assert follower.seq == 2


def test_what_the_gateway_says_does_not_come_between_a_transition_and_its_chunk() -> None:
    follower = following(challenges=False)
    follower.agent_event(transition(1, "chunk-1", 9))
    follower.agent_event(told())
    assert said(follower.take()) == [("chunk_transition", "chunk-1:0:0:1")]
    assert [event.kind for event in follower.held()] == ["command_challenge"]
    follower.arrived(static("chunk-1"), [shared("chunk-1", 9, 8, AGENT)])
    assert [kind for kind, _ in said(follower.take())] == ["chunk_static", "chunk_delta", "command_challenge"]
    assert follower.held() == []


def test_a_hole_in_the_chunk_is_noticed() -> None:
    follower = following()
    follower.chunk_event(shared("chunk-0", 9, 8))
    assert (follower.lost, follower.take()) == (True, [])
    follower.present(static("chunk-0"), shared("chunk-0", 9, 8, AGENT), 0)
    shown = said(follower.take())
    assert (follower.lost, shown) == (False, [("chunk_static", None), ("chunk_delta", "chunk-0:9:0:0")])


def awaiting_present(missed: int = 0) -> Follower:
    """A follower whose agent has been found in ``chunk-0``, where the newest delta is from before it came."""
    follower = following(tick=0)
    follower.present(static("chunk-0"), shared("chunk-0", 9, 8), missed)
    follower.agent_events([private(n, "command_result") for n in range(1, missed + 1)])
    assert said(follower.take()) == [("chunk_static", None)]
    return follower


@pytest.mark.parametrize("missed", [0, 3, 2 * MAX_HELD])
def test_the_first_delta_shows_the_agent_and_comes_before_what_was_missed(missed: int) -> None:
    follower = awaiting_present(missed)
    follower.chunk_event(shared("chunk-0", 9, 8, AGENT))  # of an earlier visit: the newest is without it
    follower.agent_event(private(missed + 1, "command_challenge"))
    assert follower.take() == []
    follower.chunk_event(shared("chunk-0", 10, 9, AGENT))
    kinds = [event.kind for event, _ in follower.take()]
    assert kinds == ["chunk_delta", *["command_result"] * missed, "command_challenge"]
    follower.chunk_event(shared("chunk-0", 11, 10, AGENT))
    assert (follower.lost, said(follower.take())) == (False, [("chunk_delta", f"chunk-0:11:0:{missed + 1}")])


def test_a_missed_move_does_not_come_before_the_present() -> None:
    """Only the agent's going on since it was found ends the waiting."""
    follower = following(tick=0)
    follower.present(static("chunk-0"), shared("chunk-0", 9, 8), 1)
    follower.agent_events([private(1, "agent_placed", chunk_id="chunk-0", tick=9)])
    follower.agent_events([transition(2, "chunk-1", 11)])
    assert said(follower.take()) == [("chunk_static", None), ("chunk_transition", "chunk-1:0:0:2")]
    assert (follower.arriving_at, follower.arrival_read) == ("chunk-1", False)


def test_waiting_for_the_present_has_an_end() -> None:
    follower = awaiting_present(missed=3)
    for n in range(4, MAX_HELD + 5):
        follower.agent_event(private(n, "command_ack"))
    assert agent_ids(follower.take()) == list(range(1, MAX_HELD + 5))


def test_who_stands_there_is_not_who_is_talked_about() -> None:
    event = delta("chunk-0", (1, 0), (0, 0), ("bob",))
    payload = orjson.loads(event.payload)
    payload["events"] = [
        {"type": "chat", "from": "bob", "text": f'"id":"{AGENT}"'},
        {"type": "blocked", "agent_id": AGENT},
    ]
    about = SharedEvent("chunk_delta", orjson.dumps(payload), 1, "t-1")
    assert not shows(about, AGENT)
    assert shows(about, "bob")
    assert not shows(about, "bo")


@pytest.mark.parametrize("kind", ["command_ack", "command_result", "command_challenge", "agent_private_delta"])
def test_only_moves_move(kind: str) -> None:
    assert move_of(private(1, kind, tick=4, chunk_id="chunk-1")) is None
    assert effective_moves("chunk-0", [private(1, kind)]) == []


class Interleaved:
    """A history and a follower of it, whose streams arrive whenever chance has it."""

    def __init__(self, seed: int, *, at_once: bool = False) -> None:
        self.rng = random.Random(seed)
        self.at_once = at_once
        self.direct = 0
        self.world = Wanderer(seed)
        self.chunks: dict[str, list[SharedEvent]] = {}
        self.events: list[PrivateEvent] = []
        self.commit(first=True)
        chunk = self.world.chunk_id
        assert chunk is not None
        self.follower = Follower(AGENT, Position(chunk, self.chunks[chunk][-1].id, 0))
        self.subscribed: str | None = chunk
        self.heard = len(self.chunks[chunk])
        self.told = 0
        self.shown: list[Followed] = [(static(chunk), None)]

    def commit(self, *, first: bool = False) -> None:
        commit = self.world.start() if first else self.world.step()
        for chunk_id in commit.deltas:
            stream = self.chunks.setdefault(chunk_id, [])
            prev = stream[-1].id if stream else BEFORE_FIRST
            agents = (AGENT,) if commit.chunk_id == chunk_id else ()
            entry = delta(chunk_id, (commit.tick, 0), prev, agents)
            assert isinstance(entry, SharedEvent)
            stream.append(entry)
        for kind, fields in commit.events:
            del fields["agent_id"]
            self.events.append(private(len(self.events) + 1, kind, **fields))

    def arrive(self) -> None:
        while (chunk_id := self.follower.arriving_at) is not None and not self.follower.arrival_read:
            stream = self.chunks[chunk_id]
            since = (self.follower.arrival_tick or 0) - 10
            self.follower.arrived(static(chunk_id), [e for e in stream if e.id[0] >= since])
            self.subscribed, self.heard = chunk_id, len(stream)

    def hear(self) -> None:
        if self.subscribed is not None and self.heard < len(self.chunks[self.subscribed]):
            entry = self.chunks[self.subscribed][self.heard]
            self.heard += 1
            if not self.shown_at_once(entry):
                self.follower.chunk_event(entry)

    def tell(self) -> None:
        if self.told < len(self.events):
            event = self.events[self.told]
            self.told += 1
            if not self.shown_at_once(event):
                self.follower.agent_event(event)
                self.arrive()

    def shown_at_once(self, entry: Entry) -> bool:
        if not self.at_once or (shown := self.follower.at_once(entry)) is None:
            return False
        if shown:
            self.shown.append(shown)
        self.direct += 1
        return True

    def run(self, commits: int) -> None:
        for _ in range(commits):
            self.commit()
            for _ in range(self.rng.randrange(6)):
                self.rng.choice((self.hear, self.tell))()
                if self.at_once:
                    self.shown += self.follower.take()
            self.shown += self.follower.take()
        while self.told < len(self.events):
            self.tell()
        while self.subscribed is not None and self.heard < len(self.chunks[self.subscribed]):
            self.hear()
        self.shown += self.follower.take()


@pytest.mark.parametrize("seed", range(150))
def test_every_interleaving_keeps_the_order_and_loses_nothing(seed: int) -> None:
    run = Interleaved(seed)
    run.run(80)
    visible = [event.id[0] for event in run.events if event.kind not in ("agent_placed", "agent_removed")]
    assert agent_ids(run.shown) == visible
    assert not run.follower.lost
    check_order(run.shown)
    check_arrivals(run.shown)
    if run.world.chunk_id is not None:
        newest = run.chunks[run.world.chunk_id][-1]
        assert run.follower.position == Position(run.world.chunk_id, newest.id, len(run.events))


@pytest.mark.parametrize("seed", range(150))
def test_at_once_shows_what_the_queue_would_have_shown(seed: int) -> None:
    queued, direct = Interleaved(seed), Interleaved(seed, at_once=True)
    queued.run(80)
    direct.run(80)
    assert direct.direct > 20
    assert said(direct.shown) == said(queued.shown)
    assert direct.follower.position == queued.follower.position


def test_at_once_leaves_what_needs_more_than_writing() -> None:
    follower = following(seq=3, challenges=False)
    position = follower.position
    left: list[Entry] = [
        shared("chunk-0", 5, 4),  # known
        shared("chunk-0", 9, 8),  # after a hole
        shared("chunk-1", 6, 5),
        private(3, "command_ack"),  # known
        transition(4, "chunk-1", 6),
        private(4, "agent_removed", tick=6),
    ]
    assert [follower.at_once(entry) for entry in left] == [None] * len(left)
    assert (follower.position, follower.take(), follower.lost) == (position, [], False)
    follower.agent_event(transition(4, "chunk-1", 6))
    follower.take()
    for event in (private(5, "command_ack"), told()):
        assert follower.at_once(event) is None, "the static of the other chunk comes first"


def test_a_hidden_challenge_is_passed_over_at_once() -> None:
    follower = following(seq=3, challenges=False)
    assert follower.at_once(private(4, "command_challenge")) == ()
    assert follower.at_once(private(4, "command_challenge")) is None, "known"
    ack = private(5, "command_ack")
    assert follower.at_once(ack) == (ack, "chunk-0:5:0:5")


def test_what_the_gateway_says_is_shown_at_once() -> None:
    follower = following(seq=3, challenges=False)
    said_now = told()
    assert follower.at_once(said_now) == (said_now, None)
    assert follower.seq == 3
