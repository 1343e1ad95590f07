"""What recordings cost: bytes per agent-hour, CPU of the shard and of the recorder, seeking, verifying.

A world without servers is played faster than real time and recorded by the real source and writer; on each part it says
what of the CPU it took.  A day of 200 agents is twenty minutes; by default it is an hour of world time, and bytes are
scaled to a day.

    PYTHONPATH=. python tests/bench/bench_recordings.py [--agents 200] [--hours 1] [--shards 2]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

import orjson

from recordings.entry import Header, RecordedUpTo
from recordings.lane import Given
from recordings.names import read_name
from recordings.places import Directory
from recordings.replay import seek
from recordings.segment import Segment
from recordings.source import Pace, Source
from recordings.told_world import ToldWorld
from recordings.verify import verify
from recordings.writer import RecordingWriter
from tests.world.harness import TinyCluster, is_empty
from world.ids import AgentId
from world.outputs import Output
from world.rules import Rules

HZ = 5
FLUSH_TICKS = 15 * HZ
#: An agent gives a command every so many ticks: one in five seconds or so, as the load test's wanderers.
COMMAND_EVERY = 25
MOST_IN_CHUNK = 40


class Costs:
    """CPU seconds by part."""

    def __init__(self) -> None:
        self.source = self.encoding = self.writer = 0.0


class Recorded(ToldWorld):
    """A shard that makes entries, and counts what that takes."""

    costs = Costs()
    given: list[tuple[int, str, bytes]]

    def __init__(self, rules: Rules, seed: int, number: int) -> None:
        super().__init__(rules, seed, number)
        self.source = Source(Header(number, 1, seed, rules.to_json()), Pace(50, 300))
        self.given = []

    def take(self) -> Output:
        output = super().take()
        if not is_empty(output):
            # What the commit encodes anyway, for the comparison.
            began = time.process_time()
            for delta in output.deltas:
                orjson.dumps(delta.payload)
            for record in output.agents.values():
                orjson.dumps(record.to_json())
            for event in output.private:
                orjson.dumps(event.payload)
            now = time.process_time()
            self.costs.encoding += now - began
            message = self.source.entry(self, output)
            self.costs.source += time.process_time() - now
            if message is not None:
                self.given.append((self.shard, message.position, message.data))
        return output


class Cluster(TinyCluster):
    """Shards of that kind."""

    def make_shard(self, number: int) -> Recorded:
        return Recorded(self.rules, self.seed, number)

    def check(self) -> None:
        """Not here: the harness' checks would cost more than the world.  Nor is what was shown kept: a day is 20 GB."""
        for shown in (self.private, self.deltas, self.facts, self.requests, self.closed, self.statics):
            shown.clear()


def play(cluster: Cluster, names: list[str], dice: random.Random) -> None:
    """Let a share of the agents give a command."""
    for name in names:
        if dice.random() > 1 / COMMAND_EVERY:
            continue
        if AgentId(name) not in cluster.where:
            room = [chunk for chunk in sorted(cluster.home) if cluster.home[chunk].population_of(chunk) < MOST_IN_CHUNK]
            if room:
                cluster.join(name, dice.randrange(10, 40), dice.randrange(10, 40), dice.choice(room))
            continue
        draw, (_, x, y) = dice.random(), cluster.place(name)
        if draw < 0.05:
            gate = dice.randrange(23, 27)
            x, y = dice.choice([(0, gate), (49, gate), (gate, 0), (gate, 49)])
        elif draw < 0.1:
            cluster.submit(name, {"type": "say", "text": f"here I am at {x}, {y}"})
            continue
        else:
            x, y = min(48, max(1, x + dice.randint(-9, 9))), min(48, max(1, y + dice.randint(-9, 9)))
        cluster.submit(name, {"type": "move_to", "x": x, "y": y})


def record(directory: Path, agents: int, hours: float, shards: int) -> tuple[Costs, float]:
    """Play and record; return what the recording cost and what all of it did."""
    cluster = Cluster(shards, Rules(), 1)
    names, dice = [f"agent-{number:03d}" for number in range(agents)], random.Random(1)
    writer = RecordingWriter(directory, segment_s=600)
    costs = Recorded.costs
    began, seq = time.process_time(), 0
    for tick in range(int(hours * 3600 * HZ)):
        play(cluster, names, dice)
        cluster.run()
        given = []
        for shard in cluster.shards:
            assert isinstance(shard, Recorded)
            for number, text, data in shard.given:
                position = RecordedUpTo.read(text)
                assert position is not None
                given.append(Given(f"{1_700_000_000_000 + tick * 200}-{seq}", number, position, data))
                seq += 1
            shard.given = []
        now = time.process_time()
        writer.add(given)
        if tick % FLUSH_TICKS == 0:
            writer.flush()
        costs.writer += time.process_time() - now
    now = time.process_time()
    writer.close()
    costs.writer += time.process_time() - now
    return costs, time.process_time() - began


def seeks(directory: Path, count: int) -> list[float]:
    """Return how long it takes to reach random ticks, each from the opening of the file; milliseconds."""
    dice, took = random.Random(2), []
    paths = [path for path in directory.iterdir() if read_name(path.name)]
    for _ in range(count):
        with dice.choice(paths).open("rb") as file:
            began = time.perf_counter()
            segment = Segment(file)
            blocks = segment.blocks
            seek(segment, dice.randint(blocks[0].ticks[1], blocks[-1].ticks[1]))
            took.append((time.perf_counter() - began) * 1_000)
    return sorted(took)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--shards", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        costs, whole = record(directory, chosen.agents, chosen.hours, chosen.shards)
        size = sum(path.stat().st_size for path in directory.iterdir())
        real_s = chosen.hours * 3600
        print(f"{chosen.agents} agents, {chosen.hours} h of world time, {chosen.shards} shards")
        hourly = size / chosen.hours
        print(f"  {hourly / chosen.agents / 1000:.1f} KB per agent-hour, {hourly * 24 / 1e6:.0f} MB a day")
        print(
            f"  in shards: {costs.source:.1f} s of CPU ({costs.source / real_s:.2%} of a core); what a commit encodes"
        )
        print(
            f"    anyway: {costs.encoding:.1f} s; simulation and play here: {whole - costs.writer - costs.source:.1f} s"
        )
        print(f"  recorder: {costs.writer:.1f} s of CPU ({costs.writer / real_s:.2%} of a core)")
        took = seeks(directory, 60)
        print(f"  seeking: p50 {took[len(took) // 2]:.0f} ms, p99 {took[-1]:.0f} ms")
        began = time.perf_counter()
        verdict = verify(Directory(directory))
        took_s = time.perf_counter() - began
        assert verdict.same, [finding.line for finding in verdict.findings[:5]]
        print(
            f"  verify: {took_s:.1f} s, {real_s / took_s:.0f} times real time; {verdict.inputs} inputs, "
            f"{verdict.digests} digests, {verdict.frames} key frames, {verdict.crossings} comings"
        )


if __name__ == "__main__":
    main()
