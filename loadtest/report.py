"""The report of a run as one JSON object: what was asked for, what came of it, and whether it can be trusted.  Pure."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, Final

from loadtest.bottleneck import MeasuredLoad, name_bottleneck
from loadtest.figures import figures_of
from loadtest.limits import Checked, FigureLimit, check
from loadtest.losses import EventLogCounts, event_log_part, event_log_text, losses_text
from loadtest.plan import Plan
from loadtest.self_watch import BUSY_CPU, LATE_S
from loadtest.series import Point, Series
from loadtest.server_counts import Comparison
from loadtest.server_reading import Reading
from loadtest.server_side import measured_load, server_side
from loadtest.totals import GeneratorTotals, Totals

__all__ = ["SCHEMA", "Facts", "build", "differences_text", "verdict_text"]

SCHEMA: Final = 1
MB: Final = 1e6


@dataclass(slots=True)
class Facts:
    """What is known of a run beside its samples."""

    #: ISO 8601, with the zone.
    started_at: str
    address: str | None
    #: Whether somebody ended it before its time.
    interrupted: bool = False
    #: What ended generators that did not end in order.
    failures: list[str] = field(default_factory=list)
    #: The server's own counts beside ours, None where they can't be read.
    server: list[Comparison] | None = None
    #: What became of what happened in the world; None where the server does not say.
    event_log: EventLogCounts | None = None
    #: The server's load over time.
    readings: list[Reading] = field(default_factory=list)
    #: Why there are none of late.
    server_trouble: str = ""


def build(plan: Plan, totals: Totals, facts: Facts, limits: Sequence[FigureLimit]) -> dict[str, Any]:
    """Return the report; docs/load-testing.md describes its parts."""
    figures = figures_of(totals, generators_failed=len(facts.failures))
    checked = check(limits, figures)
    load = measured_load(facts.readings, *_measured_seconds(totals.series))
    return {
        "schema": SCHEMA,
        "run_id": plan.run_id,
        "started_at": facts.started_at,
        "base": plan.base,
        "asked": _asked(plan, totals, facts),
        "interrupted": facts.interrupted,
        "ok": not facts.interrupted and not facts.failures and not any(one.broken for one in checked),
        "limits": [_limit(one) for one in checked],
        "figures": figures,
        "refused": totals.measured.of_group("refused"),
        "completed": totals.measured.of_group("completed"),
        "failed": totals.measured.of_group("failed"),
        "closed": totals.measured.of_group("closed"),
        "errors": totals.measured.of_group("error"),
        "difficulty": totals.measured.of_group("difficulty"),
        "join_failed": totals.whole.of_group("join_failed"),
        "reconnect_failed": totals.whole.of_group("reconnect_failed"),
        "server": None if facts.server is None else [_compared(one) for one in facts.server],
        "generators": [_generator(task, one) for task, one in totals.generators.items()],
        "generator_failures": facts.failures,
        "verdict": verdict_text(totals),
        "bottleneck": _bottleneck(totals, facts, load),
        "server_side": server_side(facts.readings, load, _why_not(facts)),
        "event_log": event_log_part(facts.event_log),
        "event_log_text": event_log_text(facts.event_log),
        "losses": losses_text(totals, interrupted=facts.interrupted),
        "differences": differences_text(facts.server or []),
        "series": _series(totals.series),
        "versions": {name: version(name) for name in ("chunkcrawl", "ray")} | {"python": platform.python_version()},
    }


def _measured_seconds(series: Series) -> tuple[float, float]:
    """Return the first second that was measured, and the first after all of them."""
    measured = [second for second, point in series.in_order() if point.measured]
    return (measured[0], measured[-1] + series.step_s) if measured else (0.0, 0.0)


def _why_not(facts: Facts) -> str:
    """Return why the server's figures are missing or end early; empty if they do not."""
    if facts.server_trouble:
        return facts.server_trouble
    return "" if facts.readings else "the run was too short for two looks at its /metrics"


def _bottleneck(totals: Totals, facts: Facts, load: MeasuredLoad | None) -> dict[str, Any]:
    saturated = sum(generator.verdict == "saturated" for generator in totals.generators.values())
    why_not = _why_not(facts)
    found = name_bottleneck(load, why_not=why_not, saturated=saturated, generators=len(totals.generators))
    return asdict(found) | {"reasons": list(found.reasons)}


def verdict_text(totals: Totals) -> str:
    """Say in words whether the generators were the bottleneck."""
    generators = totals.generators.values()
    lags = [lag for lag in (generator.lag.quantile(0.99) for generator in generators) if lag is not None]
    if not lags:
        return "Nothing was measured, so nothing can be said about the generators."
    lag_ms, cpu = max(lags) * 1000, max(generator.cpu_share for generator in generators)
    saturated = sum(generator.verdict == "saturated" for generator in generators)
    starved = sum(generator.verdict == "starved" for generator in generators)
    measured = f"at most {cpu:.0%} of a processor used, event loop late by {lag_ms:.1f} ms (p99) at worst"
    if saturated:
        return (
            f"{saturated} of {len(lags)} generators used their whole processor (from {BUSY_CPU:.0%} on): they are the "
            "bottleneck, the server may be faster than this. Use more --tasks, or more machines. "
            f"{measured.capitalize()}."
        )
    if starved:
        return (
            f"{starved} of {len(lags)} generators had to wait for a processor (late by more than {LATE_S * 1000:g} ms "
            f"in 1 % of all cases): times contain up to {lag_ms:.0f} ms of their own. Something else uses the machine, "
            f"perhaps the server itself. {measured.capitalize()}."
        )
    return f"The generators had time to spare ({measured}): the figures are the server's."


def differences_text(server: Sequence[Comparison]) -> str:
    """Return why the server's own counts are not ours; empty when they are, or where there are none to compare."""
    more = [one.name for one in server if one.servers > one.ours]
    fewer = [one.name for one in server if one.servers < one.ours]
    parts = []
    if more:
        parts.append(
            f"The server counts more {_listed(more)}: whoever else was there meanwhile is counted too, demo agents "
            "(`chunkcrawl up --no-demo`) and people among them."
        )
    if fewer:
        parts.append(
            f"The server counts fewer {_listed(fewer)}: an actor that was started anew begins at 0, and the page is up "
            "to some seconds old."
        )
    return " ".join(parts)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _asked(plan: Plan, totals: Totals, facts: Facts) -> dict[str, Any]:
    return {
        "agents": plan.agents,
        "spectators": plan.spectators,
        "duration_s": plan.duration_s,
        "ramp_s": plan.ramp_s,
        "think_s": plan.think_s,
        "scenario": plan.scenario,
        "seed": plan.seed,
        "tasks": len(totals.generators),
        "address": facts.address,
    }


def _limit(one: Checked) -> dict[str, Any]:
    return {"fail_if": str(one.limit), "value": one.value, "broken": one.broken}


def _compared(one: Comparison) -> dict[str, Any]:
    return {"name": one.name, "ours": one.ours, "servers": one.servers}


def _generator(task: int, one: GeneratorTotals) -> dict[str, Any]:
    lag = one.lag.quantile(0.99)
    return {
        "task": task,
        "verdict": one.verdict,
        "cpu_share": round(one.cpu_share, 3),
        "proof_share": round(one.proof_s / one.measured_s, 3) if one.measured_s else 0.0,
        "loop_lag_p99_ms": None if lag is None else round(lag * 1000, 2),
        "loop_lag_max_ms": round(one.lag.max_s * 1000, 2),
        "machine_cpu": round(one.machine_cpu, 3),
        "memory_mb": round(one.memory_bytes / MB, 1),
    }


def _series(series: Series) -> dict[str, Any]:
    """Return the columns over time; ``second`` is the first of each step."""
    points = series.in_order()
    reasons = sorted({reason for _, point in points for reason in point.measures.of_group("refused")})
    return {
        "step_s": series.step_s,
        "second": [second for second, _ in points],
        "measured": [point.measured for _, point in points],
        "agents": [sum(point.agents.values()) for _, point in points],
        "spectators": [sum(point.spectators.values()) for _, point in points],
        **{
            f"{name}_{part}_ms": [_quantile_ms(point, name, share) for _, point in points]
            for name in ("rtt", "tick_gap", "lag")
            for part, share in (("p50", 0.5), ("p99", 0.99))
        },
        **{
            f"{name}_per_s": [round(point.per_s(name), 2) for _, point in points]
            for name in ("acks", "results", "agent_deliveries", "spectator_deliveries")
        },
        "refused_per_s": {
            reason: [round(point.per_s(f"refused:{reason}"), 2) for _, point in points] for reason in reasons
        },
        "cpu_share": {
            str(task): [_cpu_share(point, task) for _, point in points]
            for task in sorted({task for _, point in points for task in point.seconds})
        },
    }


def _quantile_ms(point: Point, name: str, share: float) -> float | None:
    seconds = point.measures.times[name].quantile(share)
    return None if seconds is None else round(seconds * 1000, 2)


def _cpu_share(point: Point, task: int) -> float | None:
    seconds = point.seconds.get(task)
    return round(point.cpu_s[task] / seconds, 3) if seconds else None
