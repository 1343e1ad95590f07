"""``--find-limit``: run after run with more agents or fewer, until the largest number is found that still holds.

What a run is, the caller says; which number comes next, ``loadtest.capacity``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from config.errors import OperatorError
from loadtest.capacity import CapacitySearch, Measured
from loadtest.conditions import Condition
from loadtest.limits import Checked
from loadtest.plan import Plan

__all__ = ["Report", "find_limit", "outcome_of", "with_agents"]

Report = dict[str, Any]

#: A run counts only if at least this part of its agents was connected all the time.
CONNECTED_PART: Final = 0.99

INTERRUPTED: Final = "It was interrupted"


async def find_limit(
    plan: Plan,
    condition: Condition,
    most: int,
    run: Callable[[Plan], Awaitable[Report | None]],
    say: Callable[[str], None],
) -> Report:
    """Search, and return the report of a run with the number that was found, with all runs as its part ``search``.

    Of several runs with that number it is the last; where none held, that of the last run of all.

    Args:
        plan: With the number of agents to begin with; spectators grow with them.
        most: The largest number that may be tried.
        run: Carries a plan out; returns None when it was interrupted before it began.
        say: Prints a line.

    Raises:
        OperatorError: The first run could not be carried out; a later one that can't ends the search.
    """
    search = CapacitySearch(plan.agents, most)
    reports: list[Report] = []
    stopped = ""
    while not stopped and (agents := search.next_agents()) is not None:
        say(f"Run {len(reports) + 1}: {agents:,} agents ...")
        try:
            report = await run(with_agents(plan, agents, len(reports)))
        except OperatorError as error:
            if not reports:
                raise
            stopped = f"The next run could not be carried out: {error}"
            break
        if report is None:
            stopped = INTERRUPTED
            break
        reports.append(report)
        stopped = _must_stop(report, condition)
        if not stopped:
            measured = outcome_of(report, condition, agents)
            search.take(measured)
            say(f"Run {len(reports)}: {agents:,} agents: {'holds' if measured.held else measured.why}")
    answer = search.answer(stopped)
    say(answer.reason)
    shown = _shown(reports, search.measured, answer.agents)
    shown["interrupted"] = stopped == INTERRUPTED
    shown["search"] = {
        "condition": str(condition),
        "agents": answer.agents,
        "fails_at": answer.fails_at,
        "reason": answer.reason,
        "stopped": bool(stopped),
        "runs": [
            _run_row(report, condition, search.measured[number] if number < len(search.measured) else None)
            for number, report in enumerate(reports)
        ],
    }
    shown["ok"] = answer.agents > 0 and not stopped
    return shown


def with_agents(plan: Plan, agents: int, number: int) -> Plan:
    """Return the plan of one run: spectators in proportion, names and joining of its own."""
    spectators = round(plan.spectators * agents / plan.agents) if plan.agents else plan.spectators
    ramp_s = plan.ramp_s if plan.side_by_side else Plan.usual_ramp_s(agents + spectators)
    return replace(plan, agents=agents, spectators=spectators, ramp_s=ramp_s, run_id=f"{plan.run_id}{number:02d}")


def outcome_of(report: Mapping[str, Any], condition: Condition, agents: int) -> Measured:
    """Return whether the condition held in a run, and if not, by which figure."""
    broken = [one for one in condition.check(report["figures"]) if one.broken]
    there = report["figures"].get("agents_min")
    if there is None or there < agents * CONNECTED_PART:
        return Measured(agents, False, f"only {there or 0:,.0f} of {agents:,} agents were connected all the time")
    return Measured(agents, not broken, " and ".join(map(_broken, broken)))


def _broken(one: Checked) -> str:
    value = "was not measured" if one.value is None else f"was {one.value:g}"
    return f"{one.limit.figure} {value}, not {one.limit.comparison}{one.limit.bound:g}"


def _must_stop(report: Mapping[str, Any], condition: Condition) -> str:
    """Return why no further run is of use; empty if it is."""
    if report["interrupted"]:
        return INTERRUPTED
    if report["generator_failures"]:
        return f"A generator failed: {report['generator_failures'][0]}"
    saturated = any(one["verdict"] == "saturated" for one in report["generators"])
    if saturated and any(one.broken for one in condition.check(report["figures"])):
        return "The generators used their whole processor, so the server may carry more: use more --tasks, or machines"
    return ""


def _shown(reports: list[Report], measured: list[Measured], agents: int) -> Report:
    """Return the report that stands for the search."""
    good = [report for report, one in zip(reports, measured, strict=False) if one.agents == agents and one.held]
    return dict(good[-1] if good else reports[-1])


def _run_row(report: Mapping[str, Any], condition: Condition, measured: Measured | None) -> dict[str, Any]:
    names = dict.fromkeys(part.figure for part in condition.parts)
    return {
        "agents": report["asked"]["agents"],
        "held": None if measured is None else measured.held,
        "why": "" if measured is None else measured.why,
        "figures": {name: report["figures"].get(name) for name in names},
        "bottleneck": report["bottleneck"]["text"],
    }
