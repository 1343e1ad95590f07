"""Agents play while shards, gateways, the coordinator and Valkey are killed or frozen: nothing lost, nothing twice.

The seed is printed; ``CHAOS_SEED=<n>`` runs the same choices again.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Collection
from pathlib import Path

import pytest

from recordings.entry import RecordedUpTo
from recordings.places import Directory
from recordings.verify import verify
from tests.chaos.recorded import held, recorded_ends
from tests.chaos.scene import scene, scratch, services_in


def seed_of_this_run() -> int:
    return int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))


async def run(seed: int, *, agents: int, shards: int, duration_s: float, hit_every_s: float) -> None:
    with scratch() as directory:
        services = services_in(directory)
        try:
            async with scene(services, seed, shards=shards, gateways=2) as stage:
                await stage.play(agents, duration_s, hit_every_s)
                findings, gold = await stage.findings(), await stage.gold()
                ledger = stage.ledger
                print(f"seed {seed}: {len(ledger.accepted)} commands accepted, gold {gold[1]} of {gold[0]}")
                print("\n".join(stage.log))
                url = stage.deployment.settings.redis_url
            ends = await recorded_ends(url, shards)
        finally:
            services.stop()
        check_recordings(Path(directory) / "recordings", ends, ledger.accepted)
    assert ledger.unsettled == [], f"seed {seed}"
    assert ledger.holes == [], f"seed {seed}"
    assert findings == [], f"seed {seed}"
    assert gold[0] == gold[1], f"seed {seed}: gold is conserved"
    assert len(ledger.accepted) > agents


def check_recordings(directory: Path, ends: dict[int, RecordedUpTo | None], accepted: Collection[str]) -> None:
    """Run what was recorded again: nothing is wrong, nothing is missing, and every accepted command is in it."""
    verdict = verify(Directory(directory))
    print("\n".join(verdict.notes))
    assert [finding.line for finding in verdict.findings] == []
    assert verdict.ends == ends
    assert verdict.digests > 0
    found = held(directory)
    assert found.entries_twice == []
    assert set(accepted) <= set(found.commands)


@pytest.mark.ray
def test_a_short_fire() -> None:
    asyncio.run(run(seed_of_this_run(), agents=12, shards=2, duration_s=20, hit_every_s=6))


@pytest.mark.ray
@pytest.mark.chaos
@pytest.mark.timeout(420)
def test_three_minutes_of_fire() -> None:
    asyncio.run(run(seed_of_this_run(), agents=60, shards=4, duration_s=180, hit_every_s=10))
