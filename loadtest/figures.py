"""The figures of a run by name, as ``report.json`` has them and ``--fail-if`` takes them.  Pure."""

from __future__ import annotations

from typing import Final

from chunkcrawl.errors import REFUSALS
from loadtest.histogram import Histogram
from loadtest.totals import Totals

__all__ = ["FAILURES", "FIGURES", "REFUSALS", "Figures", "figures_of"]

Figures = dict[str, float | None]

#: The contract's reasons in ``command_result``.
FAILURES: Final = ("blocked", "depleted", "interrupted_by_new_command")

_TIMED: Final = {
    "rtt": "from an agent's request to its ack, proof of work included",
    "challenge": "from the request to the challenge",
    "decision": "from the answer to the ack",
    "tick_gap": "between two deltas at one reader, somebody moving at the first",
    "join": "from asking for a session to the first state of the chunk, ramp included",
    "resume": "from connecting again to the state of the chunk",
}
_QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_WHOLE: Final = ("join",)

#: What each figure is.  Those of times are milliseconds; all are of the measured seconds unless they say so.
FIGURES: Final[dict[str, str]] = {
    **{f"{name}_{part}_ms": f"{part}, {what}" for name, what in _TIMED.items() for part in (*_QUANTILES, "max")},
    "measured_s": "seconds that were measured",
    "agents": "agents connected in the last second that was measured",
    "agents_min": "the fewest in any second that was measured",
    "spectators": "spectators connected in the last second that was measured",
    "spectators_min": "the fewest in any second that was measured",
    "joins_per_s": "agents and spectators that got in, from the start of the ramp to the last of them",
    "requests_per_s": "commands asked for",
    "acks_per_s": "commands accepted",
    "results_per_s": "commands ended",
    "deliveries_per_s": "deltas that arrived, at agents and spectators together",
    "mbytes_per_s": "bytes of messages that arrived, in millions",
    "refused_share": "refused of all decided commands, 0..1",
    **{f"refused_{reason}": f"commands refused with {reason}" for reason in REFUSALS},
    "failed_share": "failed of all ended commands, 0..1",
    **{f"failed_{reason}": f"accepted commands failed with {reason}" for reason in FAILURES},
    "timeouts": "commands without a decision after 15 s",
    "unanswered": "commands whose line broke before they were answered",
    "disconnects": "connections that ended and not by us",
    "cuts": "connections that we broke (scenario reconnect)",
    "resumes": "connections after the first",
    "resyncs": "readers that were told resync_required",
    "silences": "connections on which nothing came for 30 s",
    "ticks_skipped": "tick numbers left out after a delta with somebody moving, summed over readers",
    "errors": "messages of type error",
    "unusable": "messages that are none of the contract",
    "given_up": "agents and spectators that never got in, ramp included",
    "results_missing": "accepted commands without a result when all was over, ramp included",
    "results_twice": "second results of a command, ramp included",
    "loop_lag_p99_ms": "p99 of the lateness of a generator's event loop, the worst generator's",
    "cpu_share_max": "processor time of a generator, of one processor, the busiest generator's",
    "generators_bottleneck": "generators that were saturated or starved",
    "generators_failed": "generators that did not end in order",
}


def figures_of(totals: Totals, *, generators_failed: int) -> Figures:
    """Return the figures by name; None where nothing was measured."""
    found: Figures = {}
    for name in _TIMED:
        source = totals.whole if name in _WHOLE else totals.measured
        found |= _of_times(name, source.times[name])
    return found | _connections(totals) | _rates(totals) | _counts(totals) | _generators(totals, generators_failed)


def _of_times(name: str, histogram: Histogram) -> Figures:
    found: Figures = {f"{name}_{part}_ms": _ms(histogram.quantile(share)) for part, share in _QUANTILES.items()}
    return found | {f"{name}_max_ms": _ms(histogram.max_s if histogram.count else None)}


def _connections(totals: Totals) -> Figures:
    points = [point for _, point in totals.series.in_order() if point.measured]
    agents = [sum(point.agents.values()) for point in points]
    spectators = [sum(point.spectators.values()) for point in points]
    return {
        "agents": agents[-1] if agents else None,
        "agents_min": min(agents, default=None),
        "spectators": spectators[-1] if spectators else None,
        "spectators_min": min(spectators, default=None),
    }


def _rates(totals: Totals) -> Figures:
    counts, seconds = totals.measured.counts, totals.measured_s
    found: Figures = {"measured_s": round(seconds, 2)}
    joined = totals.whole.counts["joins"]
    found["joins_per_s"] = round(joined / totals.joined_s, 2) if totals.joined_s else None
    for name in ("requests", "acks", "results", "deliveries"):
        found[f"{name}_per_s"] = round(counts[name] / seconds, 2) if seconds else None
    found["mbytes_per_s"] = round(counts["bytes"] / seconds / 1e6, 3) if seconds else None
    return found


def _counts(totals: Totals) -> Figures:
    measured, whole = totals.measured, totals.whole
    counts, refused, failed = measured.counts, measured.of_group("refused"), measured.of_group("failed")
    plain = ("timeouts", "unanswered", "disconnects", "cuts", "resumes", "silences", "ticks_skipped", "unusable")
    return {
        "refused_share": _share(counts["refusals"], counts["refusals"] + counts["acks"]),
        **{f"refused_{reason}": refused.get(reason, 0) for reason in REFUSALS},
        "failed_share": _share(sum(failed.values()), counts["results"]),
        **{f"failed_{reason}": failed.get(reason, 0) for reason in FAILURES},
        **{name: counts[name] for name in plain},
        "resyncs": counts["agent_resyncs"] + counts["spectator_resyncs"],
        "errors": sum(measured.of_group("error").values()),
        "given_up": whole.counts["given_up"],
        "results_missing": whole.counts["acks"] - whole.counts["results"],
        "results_twice": whole.counts["results_twice"],
    }


def _generators(totals: Totals, failed: int) -> Figures:
    lags = [generator.lag.quantile(0.99) for generator in totals.generators.values()]
    known = [lag for lag in lags if lag is not None]
    verdicts = [generator.verdict for generator in totals.generators.values()]
    return {
        "loop_lag_p99_ms": _ms(max(known, default=None)),
        "cpu_share_max": round(max(generator.cpu_share for generator in totals.generators.values()), 3),
        "generators_bottleneck": sum(verdict in ("saturated", "starved") for verdict in verdicts),
        "generators_failed": failed,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
