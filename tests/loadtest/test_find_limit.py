"""The search run by run, with runs that are made up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from loadtest.conditions import Condition
from loadtest.figures import FIGURES
from loadtest.find_limit import find_limit, outcome_of, with_agents
from loadtest.plan import Plan
from loadtest.ray_generators import GeneratorsError
from tests.loadtest.makers import plan

CONDITION = Condition.parse("rtt_p99_ms<100 and given_up==0", FIGURES)


def made_up(agents: int, **changes: Any) -> dict[str, Any]:
    """The report of a run on a server whose round trips take a quarter of a millisecond an agent."""
    figures = {"rtt_p99_ms": agents / 4, "given_up": 0, "agents_min": agents}
    usual: dict[str, Any] = {
        "asked": {"agents": agents},
        "figures": figures | changes.pop("figures", {}),
        "interrupted": False,
        "generator_failures": [],
        "generators": [{"verdict": "free"}],
        "bottleneck": {"text": "gateway-0: its processor is full."},
        "ok": True,
    }
    return usual | changes


def searched(
    run: Callable[[Plan], dict[str, Any] | None], **plans: Any
) -> tuple[dict[str, Any], list[Plan], list[str]]:
    asked: list[Plan] = []
    said: list[str] = []

    async def carry_out(one: Plan) -> dict[str, Any] | None:
        asked.append(one)
        return run(one)

    return asyncio.run(find_limit(plan(**plans), CONDITION, 20_000, carry_out, said.append)), asked, said


def test_the_report_is_of_a_run_with_the_number_that_was_found() -> None:
    report, asked, said = searched(lambda one: made_up(one.agents), agents=50, spectators=10)
    search = report["search"]
    assert 380 <= search["agents"] < 400 <= search["fails_at"]
    assert report["asked"]["agents"] == search["agents"]
    assert report["ok"]
    assert [run["agents"] for run in search["runs"]] == [one.agents for one in asked]
    assert search["runs"][0]["figures"] == {"rtt_p99_ms": 12.5, "given_up": 0}
    assert said[0] == "Run 1: 50 agents ..."
    assert "rtt_p99_ms was 100, not <100" in "".join(said)
    assert said[-1] == search["reason"]


def test_each_run_has_names_and_spectators_of_its_own() -> None:
    _, asked, _ = searched(lambda one: made_up(one.agents), agents=50, spectators=10)
    assert len({one.run_id for one in asked}) == len(asked)
    assert {one.spectators / one.agents for one in asked[:3]} == {0.2}
    assert with_agents(plan(agents=50, side_by_side=8, ramp_s=0.0), 1_000, 0).ramp_s == 0.0
    assert with_agents(plan(agents=50, spectators=0), 1_000, 0).ramp_s == 20.0


def test_agents_that_are_not_there_break_it() -> None:
    outcome = outcome_of(made_up(100, figures={"agents_min": 60, "rtt_p99_ms": 1.0}), CONDITION, 100)
    assert (outcome.held, outcome.why) == (False, "only 60 of 100 agents were connected all the time")
    unmeasured = outcome_of(made_up(100, figures={"rtt_p99_ms": None}), CONDITION, 100)
    assert unmeasured.why == "rtt_p99_ms was not measured, not <100"


def test_an_interrupt_ends_it_with_what_is_known() -> None:
    report, asked, _ = searched(lambda one: made_up(one.agents, interrupted=one.agents == 200), agents=50)
    assert [one.agents for one in asked] == [50, 100, 200]
    assert report["interrupted"]
    assert not report["ok"]
    assert report["asked"]["agents"] == report["search"]["agents"] == 100
    assert report["search"]["runs"][-1] | {"held": None, "agents": 200} == report["search"]["runs"][-1]
    assert report["search"]["reason"].endswith("It was interrupted.")


def test_an_interrupt_between_two_runs_ends_it_too() -> None:
    report, asked, _ = searched(lambda one: made_up(one.agents) if one.agents < 200 else None, agents=50)
    assert [one.agents for one in asked] == [50, 100, 200]
    assert report["interrupted"]
    assert [run["agents"] for run in report["search"]["runs"]] == [50, 100]


def test_a_run_that_cannot_be_carried_out_leaves_the_others_reports() -> None:
    def run(one: Plan) -> dict[str, Any]:
        if one.agents >= 200:
            raise GeneratorsError("no processors left")
        return made_up(one.agents)

    report, _, _ = searched(run, agents=50)
    assert report["search"]["agents"] == 100
    assert "no processors left" in report["search"]["reason"]
    assert not report["interrupted"]
    with pytest.raises(GeneratorsError):
        searched(run, agents=200)


def test_an_interrupt_of_the_first_run_leaves_its_report() -> None:
    report, _, _ = searched(lambda one: made_up(one.agents, interrupted=True), agents=50)
    assert (report["search"]["agents"], report["asked"]["agents"]) == (0, 50)


def test_generators_that_are_full_end_it_unless_the_condition_holds_all_the_same() -> None:
    full = [{"verdict": "saturated"}]
    report, _, _ = searched(lambda one: made_up(one.agents, generators=full), agents=50)
    assert report["search"]["agents"] == 200
    assert "The generators used their whole processor" in report["search"]["reason"]
    assert report["search"]["fails_at"] is None
    assert not report["ok"]


def test_a_generator_that_fails_ends_it() -> None:
    report, asked, _ = searched(lambda one: made_up(one.agents, generator_failures=["OSError: gone"]), agents=50)
    assert len(asked) == 1
    assert "A generator failed: OSError: gone." in report["search"]["reason"]
