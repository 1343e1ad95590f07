"""Runs with something and without it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.bench.cost.comparing import ALL, compare, shares
from tests.bench.cost.processes import ROLES


@dataclass
class Played:
    cores: dict[str, float]
    commands_per_s: float = 100.0


def played(*, commands_per_s: float = 100.0, **cores: float) -> Played:
    return Played(dict.fromkeys(ROLES, 0.0) | cores, commands_per_s)


def test_the_difference_of_each_role() -> None:
    without = [played(shards=1.0, archiver=0.1), played(shards=1.2, archiver=0.1)]
    beside = [played(shards=1.15, archiver=0.2), played(shards=1.15, archiver=0.2)]
    found = {one.role: one for one in compare(without, beside)}
    assert [*found] == [*ROLES, ALL]
    assert found["shards"].cores == pytest.approx(0.05)
    assert found["archiver"].cores == pytest.approx(0.1)
    assert found["gateways"].cores == 0.0
    assert found[ALL].without == pytest.approx(1.2)
    assert found[ALL].cores == pytest.approx(0.15)


def test_one_run_that_was_disturbed_does_not_count() -> None:
    found = compare([played(shards=1.0)] * 3, [played(shards=1.1), played(shards=1.1), played(shards=3.0)])
    assert found[-1].cores == pytest.approx(0.1)


def test_more_commands_are_no_price() -> None:
    found = compare([played(shards=1.0)], [played(commands_per_s=110.0, shards=1.1)])
    assert found[-1].cores == pytest.approx(0.0)


def test_each_pair_has_its_share() -> None:
    without = [played(shards=0.97), played(shards=1.0)]
    beside = [played(shards=1.0), played(shards=1.0)]
    assert shares(without, beside) == pytest.approx([0.03, 0.0])


def test_what_was_not_played_is_not_compared() -> None:
    with pytest.raises(ValueError, match="nothing was played"):
        compare([played(commands_per_s=0.0)], [played()])
    with pytest.raises(ValueError, match="nothing was played"):
        compare([], [played()])
