"""What the core costs: a step per moving agent, an accepted ``move_to``, idle chunks.

    python tests/bench/bench_world.py [--seconds 3]

Agents walk in generated chunks, 64 in each, and get a new target as soon as they stand.  A tick's cost is
``step``, ``take`` and the encoding with orjson of all that a runtime would commit (deltas, private events, records).
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from dataclasses import dataclass, field

import orjson

from world.genesis import new_chunk
from world.ids import AgentId, ServerCmdId, Tick
from world.inputs import Join, Load, Submit
from world.outputs import Output
from world.records import AgentRecord
from world.rules import Rules
from world.shard import ShardWorld
from world.terrain import make_terrain

AGENTS_PER_CHUNK = 64
SEED = 7
TARGET_US_PER_MOVING_AGENT = 10
TARGET_US_PER_MOVE = 100


@dataclass
class Figures:
    """Seconds and counts of one run."""

    ticks: int = 0
    moving: int = 0
    step_s: list[float] = field(default_factory=list)
    encode_s: list[float] = field(default_factory=list)
    accepted_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    bytes: int = 0


class Crowd:
    """A world full of walkers."""

    def __init__(self, agents: int, reach: int) -> None:
        self.rules = Rules(demo=False)
        self.world = ShardWorld(self.rules, SEED, 0)
        self.random = random.Random(agents)
        self.reach = reach
        self.serial = 0
        self.ids = [AgentId(f"agent-{number}") for number in range(agents)]
        self.floor: dict[str, list[tuple[int, int]]] = {}
        for number in range(1, -(-agents // AGENTS_PER_CHUNK) + 1):
            record = new_chunk(SEED, number, "W", self.rules)
            self.world.apply(Load(record, []))
            floor = make_terrain(SEED, number, "W", self.rules).floor
            self.floor[record.chunk_id] = [(x, y) for y in range(1, 49) for x in range(1, 49) if floor[y, x]]
            for agent_id in self.ids[(number - 1) * AGENTS_PER_CHUNK : number * AGENTS_PER_CHUNK]:
                cell = self.random.choice(self.floor[record.chunk_id])
                agent = AgentRecord(agent_id, record.chunk_id, *cell)
                self.world.apply(Join(agent, record.chunk_id, cell))
        self.world.take()

    def command_idle(self, figures: Figures) -> None:
        """Give everyone who stands a new target within ``reach`` cells."""
        for agent_id in self.ids:
            agent = self.world.agent(agent_id)
            assert agent is not None
            if agent.running is not None:
                continue
            cells = self.floor[agent.chunk_id]
            near = [self.random.choice(cells) for _ in range(24)]
            near.sort(key=lambda cell: abs(abs(cell[0] - agent.x) + abs(cell[1] - agent.y) - self.reach))
            self.serial += 1
            x, y = near[0]
            order = Submit(agent_id, ServerCmdId(f"cmd-{self.serial}"), "c", {"type": "move_to", "x": x, "y": y}, "t")
            start = time.perf_counter()
            decision = self.world.apply(order)
            taken = time.perf_counter() - start
            (figures.accepted_s if decision.accepted else figures.refused_s).append(taken)

    def run(self, seconds: float) -> Figures:
        """Ticks for so long."""
        figures = Figures()
        gc.collect()
        gc.disable()
        until = time.perf_counter() + seconds
        tick = 0
        while time.perf_counter() < until or figures.ticks < 20:
            self.command_idle(figures)
            figures.bytes += encode(self.world.take())
            moving = self.world.busy_agents
            tick += 1
            start = time.perf_counter()
            self.world.step(Tick(tick))
            output = self.world.take()
            stepped = time.perf_counter()
            figures.bytes += encode(output)
            figures.step_s.append(stepped - start)
            figures.encode_s.append(time.perf_counter() - stepped)
            figures.moving += moving
            figures.ticks += 1
        gc.enable()
        return figures


def encode(output: Output) -> int:
    """Bytes of everything that a runtime would write."""
    size = sum(len(orjson.dumps(delta.payload)) for delta in output.deltas)
    size += sum(len(orjson.dumps(event.payload)) for event in output.private)
    return size + sum(len(orjson.dumps(record.to_json())) for record in output.agents.values())


def middle(values: list[float]) -> float:
    """Median; 0 of nothing."""
    return sorted(values)[len(values) // 2] if values else 0.0


def walkers(seconds: float) -> None:
    """The table of moving agents."""
    print("agents  moving/tick  step+take ms  encode ms  us/moving agent  move_to us (p50)  refused us (p50)")
    for agents in (50, 500, 5_000):
        figures = Crowd(agents, reach=20).run(seconds)
        moving = figures.moving / figures.ticks
        step, encoding = middle(figures.step_s), middle(figures.encode_s)
        print(
            f"{agents:6}  {moving:11.0f}  {step * 1e3:12.3f}  {encoding * 1e3:9.3f}"
            f"  {(step + encoding) / moving * 1e6:15.2f}"
            f"  {middle(figures.accepted_s) * 1e6:16.1f}  {middle(figures.refused_s) * 1e6:16.1f}"
        )
    print(f"targets: under {TARGET_US_PER_MOVING_AGENT} us per moving agent, under {TARGET_US_PER_MOVE} us per move_to")


def idle_chunks() -> None:
    """A step over chunks in which nobody is."""
    rules = Rules(demo=False, collect_idle_ticks=10**6)
    for count in (10, 1_000):
        world = ShardWorld(rules, SEED, 0)
        for number in range(1, count + 1):
            world.apply(Load(new_chunk(SEED, number, "W", rules), []))
        world.step(1)
        world.take()
        start = time.perf_counter()
        for tick in range(2, 1_002):
            world.step(tick)
            world.take()
        print(f"step with {count:5} idle chunks: {(time.perf_counter() - start) * 1e3:.2f} us")


def terrain() -> None:
    """Making a chunk's terrain."""
    rules = Rules()
    start = time.perf_counter()
    for number in range(1, 201):
        make_terrain(SEED + 1, number, "N", rules)
    print(f"make_terrain: {(time.perf_counter() - start) / 200 * 1e3:.2f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each number of agents")
    walkers(parser.parse_args().seconds)
    idle_chunks()
    terrain()
