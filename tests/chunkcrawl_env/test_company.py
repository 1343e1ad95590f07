"""The scripted company."""

from __future__ import annotations

from collections import Counter

from chunkcrawl_env.config import EnvConfig
from chunkcrawl_env.rewards import WorldEvent
from chunkcrawl_env.worlds import Worlds
from tests.chunkcrawl_env.play import QUICK


def test_it_digs_walks_and_crosses() -> None:
    seen: Counter[str] = Counter()

    def watch(event: WorldEvent) -> tuple[tuple[str, float], ...]:
        seen[event["type"]] += 1
        return ()

    worlds = Worlds(EnvConfig(agents=1, company=20, chunks=2, rules=QUICK, reward=watch, private_events=True))
    worlds.seed(0, 1)
    worlds.reset()
    for _ in range(200):
        worlds.step([0])
    assert seen["resource_harvest"] > 20
    assert seen["chunk_transition"] > 3
    assert seen["command_result"] > 100


def test_a_learner_gets_nothing_for_what_company_digs() -> None:
    worlds = Worlds(EnvConfig(agents=1, company=20, rules=QUICK))
    worlds.reset()
    assert sum(float(worlds.step([0])[0]) for _ in range(100)) == 0
