"""A seeded play of many agents over many chunks, for the tests of what must hold whatever happens.

Run as a script it prints digests of everything that came of it: the tests compare those of several processes.

    python -m tests.world.play SEED
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from tests.world.harness import HALL, TinyCluster
from world.ids import AgentId, ChunkId
from world.inputs import Drop, Dropped, Input, Load
from world.recording import RecordedWorld
from world.rules import Rules
from world.terrain import make_terrain

PLAY_RULES = Rules(
    demo=True,
    harvest_ticks_per_unit=2,
    regen_ticks=25,
    gold_nodes_min=6,
    gold_nodes_max=10,
    gold_per_node_min=1,
    gold_per_node_max=4,
    collect_idle_ticks=30,
    handoff_cap_ticks=8,
    handoff_retry_ticks=3,
)
ACTORS = 14
RUBBISH: list[Any] = [None, {}, {"type": "move_to", "x": True, "y": 1}, {"type": "say", "text": " "}, {"type": "nope"}]


def floor_beside(static: dict[str, Any], node: dict[str, Any]) -> list[tuple[int, int]]:
    """The cells from which a node can be dug."""
    beside = [(node["x"] + dx, node["y"] + dy) for dx, dy in ((0, 1), (1, 0), (0, -1), (-1, 0))]
    return [(x, y) for x, y in beside if 0 < x < 49 and 0 < y < 49 and static["tiles"][y][x] == "."]


@dataclass
class Play:
    """What a play left."""

    cluster: TinyCluster
    orders: list[Input]


class Script:
    """Draws what happens next from one seeded stream."""

    def __init__(self, cluster: TinyCluster, seed: int, hand_overs: bool) -> None:
        self.cluster = cluster
        self.random = random.Random(seed)
        self.hand_overs = hand_overs
        self.names = [f"agent-{number}" for number in range(ACTORS)]

    def turn(self) -> None:
        """A few commands, now and then a coming, a going, a hand-over or a pause in the answers; then a tick."""
        for name in self.random.sample(self.names, 6):
            self._act(name)
        if self.hand_overs and self.random.random() < 0.1:
            self._hand_over()
        if self.random.random() < 0.08:
            self._pause()
        self.cluster.run()

    def _act(self, name: str) -> None:
        cluster, dice = self.cluster, self.random
        if AgentId(name) not in cluster.where:
            record = cluster.away.get(AgentId(name))
            chunk = record.chunk_id if record and record.chunk_id in cluster.home else HALL
            cluster.join(name, dice.randrange(50), dice.randrange(50), chunk)
            return
        draw = dice.random()
        if draw < 0.03:
            cluster.leave(name)
        elif draw < 0.08:
            cluster.submit(name, dice.choice(RUBBISH))
        elif draw < 0.15:
            cluster.submit(name, {"type": "say", "text": f"hello {draw}"})
        elif draw < 0.2:
            cluster.submit(name, {"type": "give", "agent_id": self._beside(name), "amount": dice.randint(1, 2)})
        else:
            cluster.submit(name, self._background_task(name, draw))

    def _beside(self, name: str) -> str:
        """Somebody beside an agent, or else anybody."""
        chunk, x, y = self.cluster.place(name)
        agents = self.cluster.home[chunk].chunk_delta(chunk)["agents"]
        beside: list[str] = [one["id"] for one in agents if abs(one["x"] - x) + abs(one["y"] - y) == 1]
        return self.random.choice(beside or self.names)

    def _background_task(self, name: str, draw: float) -> dict[str, Any]:
        """To a door, to a node, digging there, or anywhere near."""
        dice = self.random
        chunk, x, y = self.cluster.place(name)
        static = self.cluster.home[chunk].chunk_static(chunk)
        nodes = static["resource_nodes"]
        beside = [node for node in nodes if abs(node["x"] - x) + abs(node["y"] - y) <= 1]
        if beside and draw < 0.8:
            return {"type": "harvest", "node_id": beside[0]["node_id"]}
        if draw < 0.3:
            gate = dice.randrange(24, 26)
            x, y = dice.choice([(0, gate), (49, gate), (gate, 0), (gate, 49)])
        elif draw < 0.85:
            # Where most can dig at once.
            x, y = dice.choice(max((floor_beside(static, node) for node in nodes), key=len))
        else:
            x, y = x + dice.randint(-8, 8), y + dice.randint(-8, 8)
        return {"type": "move_to", "x": x, "y": y}

    def _hand_over(self) -> None:
        cluster = self.cluster
        chunk = self.random.choice(sorted(cluster.home))
        # Reserved cells live with the cluster; this small one has nowhere to keep them, so it waits for them to go.
        source = cluster.home[chunk]
        if source._state.chunks[chunk].reserved or not cluster.answers:
            return
        dropped = source.apply(Drop(chunk))
        assert isinstance(dropped, Dropped)
        cluster.home[chunk] = self.random.choice(cluster.shards)
        cluster.home[chunk].apply(Load(dropped.record, dropped.agents))
        cluster.pump()

    def _pause(self) -> None:
        """Stop or start answering; what piled up is answered late, if whoever asked is still there."""
        cluster = self.cluster
        cluster.answers = not cluster.answers
        if cluster.answers:
            waiting, cluster.unanswered = cluster.unanswered, []
            for request in waiting:
                origin = getattr(request, "from_chunk", None) or getattr(request, "chunk_id", None)
                origin = origin or getattr(request, "to_chunk", HALL)
                if origin in cluster.home:
                    cluster.answer(cluster.home[ChunkId(origin)], request)
            cluster.pump()


def play_randomly(seed: int, shards: int, ticks: int, hand_overs: bool = False) -> Play:
    """Run a play; the harness checks after every tick what must always hold."""
    orders: list[Input] = []
    cluster = WatchedCluster(orders.append, shards, seed)
    script = Script(cluster, seed, hand_overs)
    for _ in range(ticks):
        script.turn()
    return Play(cluster, orders)


class WatchedCluster(TinyCluster):
    """A ``TinyCluster`` whose shards write down what they are told."""

    def __init__(self, watch: Callable[[Input], object], shards: int, seed: int) -> None:
        self.lines: list[list[str]] = [[] for _ in range(shards)]
        self._watch = watch
        super().__init__(shards, PLAY_RULES, seed)

    def make_shard(self, number: int) -> RecordedWorld:
        """A shard that records, and tells the test what it is told."""
        watch = self._watch

        class Watched(RecordedWorld):
            def apply(self, order: Any) -> Any:
                watch(order)
                return super().apply(order)

        return Watched(self.rules, self.seed, number, self.lines[number].append)


def recorded_play(seed: int, shards: int, ticks: int) -> list[tuple[list[str], str]]:
    """Each shard's recording of a play and its digest."""
    play = play_randomly(seed, shards, ticks, hand_overs=shards > 1)
    assert isinstance(play.cluster, WatchedCluster)
    recordings = []
    for number, shard in enumerate(play.cluster.shards):
        assert isinstance(shard, RecordedWorld)
        digest = shard.close()
        recordings.append((play.cluster.lines[number], digest))
    return recordings


def digests(seed: int) -> dict[str, str]:
    """Digests of a play on two shards and of some terrain."""
    terrain = [make_terrain(seed, number, side, PLAY_RULES) for number in range(1, 30) for side in ("N", "E", "S", "W")]
    text = json.dumps([[chunk.tiles, chunk.exits, str(chunk.nodes)] for chunk in terrain])
    result = {"terrain": blake2b(text.encode(), digest_size=16).hexdigest()}
    for number, (_, digest) in enumerate(recorded_play(seed, 2, 200)):
        result[f"shard-{number}"] = digest
    return result


if __name__ == "__main__":
    print(json.dumps(digests(int(sys.argv[1]))))
