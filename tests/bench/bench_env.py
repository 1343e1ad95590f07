"""How fast the environments are, beside PettingZoo's and Gymnasium's own in the same run, and how that grows.

    PYTHONPATH=. python tests/bench/bench_env.py [--seconds 2]

Agent-steps per second of CPU of one process (``process_time``), observations included; actions are drawn beforehand.
*All walk*: each agent steps to a side in every step, walls included; *any action*: it may also wait and dig.
"""

from __future__ import annotations

import argparse
import importlib
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

import gymnasium
import numpy as np

import chunkcrawl_env
from world.rules import Rules

ROOMY = Rules(spawn_chunk_capacity=64)
#: Steps for which actions are drawn; then they begin anew.
DRAWN = 512
TARGET = 100_000


def rate(seconds: float, step: Callable[[int], int]) -> float:
    """Agent-steps a second of CPU; ``step`` does one step, and returns for how many agents."""
    done, number, start = 0, 0, time.process_time()
    while (spent := time.process_time() - start) < seconds:
        done += step(number)
        number += 1
    return done / spent


def parallel_steps(env: Any, walk: bool) -> Callable[[int], int]:
    """Steps of a ParallelEnv; begins anew when the episode is over."""
    env.reset(seed=1)
    count = env.action_space(env.possible_agents[0]).n
    low, high = (1, 5) if walk else (0, count)
    drawn = np.random.default_rng(1).integers(low, high, size=(DRAWN, len(env.possible_agents))).tolist()
    actions = [dict(zip(env.possible_agents, row, strict=True)) for row in drawn]

    def step(number: int) -> int:
        if not env.agents:
            env.reset()
        agents = env.agents
        chosen = actions[number % DRAWN]
        env.step(chosen if len(agents) == len(chosen) else {agent: chosen[agent] for agent in agents})
        return len(agents)

    return step


def vector_steps(env: Any) -> Callable[[int], int]:
    """Steps of a VectorEnv."""
    env.reset(seed=1)
    actions = np.random.default_rng(1).integers(1, 5, size=(DRAWN, env.num_envs))

    def step(number: int) -> int:
        env.step(actions[number % DRAWN])
        return len(actions[0])

    return step


def ours(**options: Any) -> Any:
    """A ParallelEnv of ours."""
    return chunkcrawl_env.parallel_env(**{"agents": 64, "chunks": 4, "rules": ROOMY, **options})


def cases() -> Iterator[tuple[str, Callable[[int], int]]]:
    """What is measured, each with its name."""
    yield "64 agents, 4 chunks, windows: all walk", parallel_steps(ours(), walk=True)
    yield "the same: any action", parallel_steps(ours(), walk=False)
    yield "with action masks: all walk", parallel_steps(ours(masks=True), walk=True)
    yield "features: all walk", parallel_steps(ours(observation="features"), walk=True)
    yield "whole chunk (17,500 numbers): all walk", parallel_steps(ours(observation="chunk"), walk=True)
    yield "cells (`move_to`): any action", parallel_steps(ours(actions="cells"), walk=False)
    yield "private events too: all walk", parallel_steps(ours(private_events=True), walk=True)
    for agents, chunks in ((1, 1), (8, 1), (64, 1), (256, 8), (1_024, 32), (4_096, 128)):
        yield f"{agents} agents, {chunks} chunks: all walk", parallel_steps(ours(agents=agents, chunks=chunks), True)
    for chunks in (16, 64, 256):
        yield f"64 agents, {chunks} chunks: all walk", parallel_steps(ours(chunks=chunks), walk=True)
    for worlds in (1, 16, 256):
        env = chunkcrawl_env.vector_env(worlds * 8, agents=8, company=0)
        yield f"vector: {worlds} worlds of 8 agents: all walk", vector_steps(env)
    together = chunkcrawl_env.vector_env(64, company=0)
    yield "vector: 64 worlds of 1 agent: all walk", vector_steps(together)
    apart = gymnasium.make_vec("Chunkcrawl/Harvest-v0", num_envs=64, vectorization_mode="sync", company=0)
    yield "the same by SyncVectorEnv", vector_steps(apart)


#: Environments of PettingZoo; all but the first want pygame, which we do not install.
THEIRS: Final = (
    "pettingzoo.test.example_envs.generated_agents_parallel_v0",
    "pettingzoo.classic.rps_v2",
    "pettingzoo.butterfly.cooperative_pong_v6",
    "pettingzoo.sisl.pursuit_v5",
)


def theirs() -> Iterator[tuple[str, Callable[[int], int]]]:
    """Those of PettingZoo's environments that start here."""
    for name in THEIRS:
        try:
            env = importlib.import_module(name).parallel_env()
        except ImportError as error:
            print(f"{'-':>10}  {name}: {error}")
            continue
        yield f"PettingZoo's {name.rpartition('.')[2]}: any action", sampled_steps(env)


def sampled_steps(env: Any) -> Callable[[int], int]:
    """Steps of a ParallelEnv whose agents come and go; actions are drawn beforehand for all who may be there."""
    env.reset(seed=1)
    drawn: dict[str, list[Any]] = {}

    def step(number: int) -> int:
        if not env.agents:
            env.reset()
        for agent in env.agents:
            if agent not in drawn:
                drawn[agent] = [env.action_space(agent).sample() for _ in range(16)]
        count = len(env.agents)
        env.step({agent: drawn[agent][number % 16] for agent in env.agents})
        return count

    return step


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of CPU for each case")
    seconds = parser.parse_args().seconds
    warnings.simplefilter("ignore")
    print(f"agent-steps a second of CPU; the target is {TARGET:,} with 64 agents\n")
    for group in (cases, theirs):
        for name, step in group():
            print(f"{rate(seconds, step):10,.0f}  {name}", flush=True)


if __name__ == "__main__":
    main()
