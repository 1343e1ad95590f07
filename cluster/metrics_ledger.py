"""Sums over all processes that never go back, whoever is restarted.

A process that is restarted counts from 0 again.  Were its figures just added to the others', the sum would fall, and
Prometheus, which takes every fall for a restart of the whole, would count the whole sum once more.  So the ledger
keeps, per process, what its former incarnations had counted when they were last heard (``carry``) and what the present
one said last (``last``); a sum is of both, over all processes ever heard, also of those that do not answer just now.

What an incarnation counted after it was last heard is lost: the sums may lag behind, never fall.  The ledger itself
outlives its process: whoever keeps it writes ``dump`` down before it shows any sum (``cluster.metrics_collector``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from api.exposition import GROWING, Family
from cluster.metrics_report import Report

#: Values by family, then by sample key.
Values = dict[str, dict[str, float]]

QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(slots=True)
class ProcessAccount:
    """One process.  ``incarnation`` is empty after an orderly end, and ``ended`` names the incarnation that had it."""

    incarnation: str = ""
    ended: str = ""
    last: Values = field(default_factory=dict)
    carry: Values = field(default_factory=dict)

    def end_incarnation(self) -> None:
        """Add what the incarnation counted to what the former ones had."""
        for name, samples in self.last.items():
            mine = self.carry.setdefault(name, {})
            for key, value in samples.items():
                mine[key] = mine.get(key, 0.0) + value
        self.last = {}
        self.ended, self.incarnation = self.incarnation or self.ended, ""


def _renamed(account: dict[str, Any]) -> dict[str, Any]:
    """Return an account as it is written now: the first worlds called an incarnation ``life``."""
    return {"incarnation" if name == "life" else name: value for name, value in account.items()}


class Ledger:
    """``take`` each report, then ``families`` of the same reports."""

    def __init__(self) -> None:
        self._accounts: dict[str, ProcessAccount] = {}
        self._restarts: Counter[str] = Counter()

    # -- writing down --

    def dump(self) -> bytes:
        """Return everything as JSON."""
        return orjson.dumps({"accounts": self._accounts, "restarts": dict(self._restarts)})

    @classmethod
    def load(cls, dumped: bytes | str) -> Ledger:
        """Read a ledger that was dumped.

        Raises:
            ValueError: it was not.
        """
        ledger = cls()
        try:
            found: Any = orjson.loads(dumped)
            ledger._accounts = {name: ProcessAccount(**_renamed(one)) for name, one in found["accounts"].items()}
            ledger._restarts = Counter(found["restarts"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"not a ledger: {error!r}") from None
        return ledger

    # -- hearing --

    def take(self, report: Report) -> None:
        """Note what a process says of itself; reports of one process must come in their order."""
        account = self._accounts.setdefault(report.process, ProcessAccount())
        if report.incarnation == account.ended:
            return  # what it still does while it ends is left out: it has been put to the former incarnations'
        if account.incarnation and account.incarnation != report.incarnation:
            self._restarts[kind_of(report.process)] += 1
            account.end_incarnation()
        account.incarnation = report.incarnation
        account.last = _growing(report)

    def ended(self, process: str) -> None:
        """Note that the process has ended in order: its next incarnation is no restart."""
        account = self._accounts.get(process)
        if account is not None:
            account.end_incarnation()

    def all_ended(self) -> None:
        """Note that the whole world has ended in order."""
        for name in self._accounts:
            self.ended(name)

    # -- showing --

    def restarts(self, kinds: Iterable[str]) -> dict[str, int]:
        """Return the number of incarnations that began without an orderly end before, by kind of actor."""
        return {kind: self._restarts[kind] for kind in kinds}

    def families(self, reports: Sequence[Report]) -> list[Family]:
        """Return the cluster's figures: growing ones from the ledger, gauges summed over ``reports``.

        A family that none of ``reports`` has is left out: a gap does no harm.
        """
        merged: dict[str, Family] = {}
        for report in reports:
            for one in report.families:
                whole = merged.setdefault(one.name, Family(one.name, one.kind, one.help))
                if one.kind in GROWING:
                    whole.samples.update(dict.fromkeys(one.samples, 0.0))
                    continue
                for key, value in one.samples.items():
                    whole.samples[key] = whole.samples.get(key, 0.0) + value
        for name, whole in merged.items():
            if whole.kind in GROWING:
                whole.samples.update(self._total(name))
        return [*merged.values(), *self._summaries(reports)]

    def _total(self, name: str) -> dict[str, float]:
        total: dict[str, float] = {}
        for account in self._accounts.values():
            for values in (account.carry, account.last):
                for key, value in values.get(name, {}).items():
                    total[key] = total.get(key, 0.0) + value
        return total

    def _summaries(self, reports: Sequence[Report]) -> list[Family]:
        """Return quantiles over the newest values of all processes together; count and sum from the ledger."""
        recent: dict[str, list[float]] = {}
        help_: dict[str, str] = {}
        for report in reports:
            for window in report.windows:
                recent.setdefault(window.name, []).extend(window.recent_ms)
                help_[window.name] = window.help
        families = []
        for name, values in recent.items():
            values.sort()
            samples = {f'{name}{{quantile="{q:g}"}}': quantile(values, q) for q in QUANTILES}
            families.append(Family(name, "summary", help_[name], samples | self._total(name)))
        return families


def kind_of(process: str) -> str:
    """Return the kind of a process: ``shard`` of ``shard-3``."""
    return process.partition("-")[0]


def quantile(ordered: Sequence[float], q: float) -> float:
    """Return the value that a share ``q`` of ``ordered`` does not pass; NaN of none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))] if ordered else float("nan")


def _growing(report: Report) -> Values:
    values: Values = {one.name: one.samples for one in report.families if one.kind in GROWING}
    for window in report.windows:
        values[window.name] = {f"{window.name}_sum": window.total_ms, f"{window.name}_count": float(window.count)}
    # Zeroes come back by themselves; leaving them out keeps the dump small.
    return {name: {key: value for key, value in samples.items() if value} for name, samples in values.items()}
