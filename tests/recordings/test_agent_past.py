"""The past of agents: all that they were told and saw, in order, over chunks, shards, handovers and lives."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from recordings.agent_page import AgentPage
from recordings.agent_past import read_agent_past
from recordings.places import Directory
from recordings.track import Catalog
from tests.recordings.simulate import PACE, SourcedCluster, SourcedWorld, given_of, write
from tests.world.play import PLAY_RULES, Script
from world.outputs import Output

TICKS: Final = 100
#: How much earlier a page of an arrival begins, as players ask for it.
SLACK: Final = 10

Event = tuple[str, str, bytes]


@dataclass
class Played:
    """A recording, and what was sent."""

    catalog: Catalog
    cluster: SourcedCluster | None = None
    #: Of each agent, with the shard and the tick of the commit.
    private: dict[str, list[tuple[int, int, Event]]] = field(default_factory=lambda: defaultdict(list))
    deltas: dict[str, dict[int, bytes]] = field(default_factory=lambda: defaultdict(dict))
    last_tick: dict[int, int] = field(default_factory=dict)

    def moves(self, agent: str) -> list[dict[str, Any]]:
        assert self.cluster is not None
        kinds = ("join", "crossing", "leave")
        return [one for one in self.cluster.facts if one["agent_id"] == agent and one["fact"] in kinds]

    def told(self, agent: str) -> list[Event]:
        """What it was told, up to the first of which more may follow."""
        found = []
        for shard, tick, event in self.private[agent]:
            if tick >= self.last_tick[shard]:
                break
            found.append(event)
        return found


def play(directory: Path, shards: int) -> Played:
    result = Played(Catalog(Directory(directory)))

    class Sending(SourcedWorld):
        def take(self) -> Output:
            output = super().take()
            for event in output.private:
                sent = (event.kind, event.trace_id, orjson.dumps(event.payload))
                result.private[event.agent_id].append((self.shard, self.tick, sent))
            for delta in output.deltas:
                result.deltas[delta.chunk_id][delta.tick] = orjson.dumps(delta.payload)
            return output

    class Cluster(SourcedCluster):
        def make_shard(self, number: int) -> SourcedWorld:
            return Sending(self.rules, self.seed, number, pace=PACE)

    cluster = result.cluster = Cluster(shards, PLAY_RULES, 6)
    script = Script(cluster, 6, hand_overs=shards > 1)
    for _ in range(TICKS):
        script.turn()
    given = list(given_of(cluster))
    for shard in cluster.shards:
        assert isinstance(shard, SourcedWorld)
        result.last_tick[shard.shard] = max((tick for tick, _, _ in shard.messages), default=0)
    write(directory, given, segment_s=12)
    return result


@pytest.fixture(scope="module", params=[1, 3], ids=["one shard", "handed over"])
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(tmp_path_factory.mktemp("agents"), request.param)


def pages_of_stay(played: Played, agent: str, chunk: str, first: int, limit: int) -> list[AgentPage]:
    """The pages from where it comes to where it leaves, or to the end."""
    pages: list[AgentPage] = []
    while True:
        page = read_agent_past(played.catalog, agent, chunk, first, limit)
        pages.append(page)
        if page.left is not None or (page.chunk.ended and not page.told and not page.chunk.deltas):
            return pages
        assert page.chunk.last >= first, page
        first = page.chunk.last + 1


def followed(played: Played, agent: str, limit: int = 500) -> tuple[list[Event], list[tuple[str, int]]]:
    """All that an agent was told and which deltas it saw, stay by stay."""
    told: list[Event] = []
    seen: list[tuple[str, int]] = []
    left: dict[str, int] = {}
    for move in played.moves(agent):
        if move["fact"] == "leave":
            continue
        chunk = move["chunk_id"] if move["fact"] == "join" else move["to_chunk_id"]
        first = max(move["tick"] - SLACK, left.get(chunk, -1) + 1)
        pages = pages_of_stay(played, agent, chunk, first, limit)
        for page in pages:
            told += [(one.kind, one.trace_id, one.payload) for one in page.told]
            for delta in page.chunk.deltas:
                assert delta.payload == played.deltas[chunk][delta.tick]
                assert agent.encode() in delta.payload
                seen.append((chunk, delta.tick))
        if pages[-1].left is None:
            break
        left[chunk] = pages[-1].left
    return told, seen


def test_everything_that_agents_were_told_in_order(played: Played) -> None:
    assert len(played.private) > 5
    for agent in sorted(played.private)[:6]:
        told, _ = followed(played, agent)
        assert told == played.told(agent), agent


def test_every_delta_that_showed_it(played: Played) -> None:
    for agent in list(played.private)[:3]:
        _, seen = followed(played, agent)
        assert len(set(seen)) == len(seen)
        shown = {
            (chunk, tick)
            for chunk, deltas in played.deltas.items()
            for tick, payload in deltas.items()
            if any(one["id"] == agent for one in orjson.loads(payload)["agents"])
        }
        assert set(seen) <= shown
        end = max(tick for _, tick in seen)
        assert {one for one in shown if one[1] < end} <= set(seen)


@pytest.mark.parametrize("limit", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_small_pages_are_whole_together(played: Played, limit: int) -> None:
    agent = max(played.private, key=lambda one: len(played.private[one]))
    assert followed(played, agent, limit) == followed(played, agent)


def test_a_page_from_the_middle_of_a_stay(played: Played) -> None:
    agent = max(played.private, key=lambda one: len(played.private[one]))
    told, seen = followed(played, agent)
    chunk, tick = seen[len(seen) // 2]
    page = read_agent_past(played.catalog, agent, chunk, tick)
    assert page.present
    assert page.seen
    assert page.chunk.deltas[0].tick == tick
    assert page.gold is not None
    sent = [(one.kind, one.trace_id, one.payload) for one in page.told]
    at = told.index(sent[0]) if sent else 0
    assert told[at:][: len(sent)] == sent


def test_an_agent_that_is_elsewhere(played: Played) -> None:
    page = read_agent_past(played.catalog, "nobody", "chunk-0", 20)
    assert not page.seen
    assert page.left is None
    assert (page.told, page.chunk.deltas) == ([], [])
    assert page.chunk.last > 20


def test_of_the_last_tick_more_may_follow(played: Played) -> None:
    page = read_agent_past(played.catalog, "nobody", "chunk-0", TICKS + 20)
    assert page.chunk.ended
    assert page.chunk.last == TICKS + 19
