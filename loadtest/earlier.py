"""A report beside an earlier one (``--compare DIR``): figures side by side, and the earlier curves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from config.errors import OperatorError

__all__ = ["BadReport", "compared", "read_report"]

#: An hour's report has 400 kB.
REPORT_MOST_BYTES: Final = 20_000_000

#: The figures that are compared, and whether more of them is better (None: neither).
COMPARED: Final[dict[str, bool | None]] = {
    **{f"rtt_{part}_ms": False for part in ("p50", "p90", "p99", "max")},
    **{f"tick_gap_{part}_ms": False for part in ("p50", "p99", "max")},
    "decision_p99_ms": False,
    "join_p99_ms": False,
    "acks_per_s": True,
    "results_per_s": True,
    "deliveries_per_s": True,
    "refused_share": False,
    "failed_share": None,
    "disconnects": False,
    "resyncs": False,
    "given_up": False,
    "results_missing": False,
    "results_twice": False,
    "cpu_share_max": None,
}
#: Columns of the series that are drawn beside ours.
CURVES: Final = ("rtt_p50_ms", "rtt_p99_ms", "tick_gap_p99_ms", "acks_per_s")
#: Less of a change than this is within what single runs vary by.
SAME_PART: Final = 0.1


class BadReport(OperatorError, ValueError):
    """There is no report of this command there."""

    reason = "bad_report"


def read_report(directory: Path) -> dict[str, Any]:
    """Return the report in ``directory`` (or the file itself).

    Raises:
        BadReport: See there.
    """
    path = directory / "report.json" if directory.is_dir() else directory
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= REPORT_MOST_BYTES else ""
        found: Any = json.loads(text) if text else None
    except OSError as error:
        raise BadReport(f"{path} can't be read: {(error.strerror or 'error').lower()}") from error
    except (ValueError, RecursionError) as error:
        raise BadReport(f"{path} is no report of `chunkcrawl load`: not JSON") from error
    if size > REPORT_MOST_BYTES:
        raise BadReport(f"{path} is too large for a report")
    if not _is_report(found):
        raise BadReport(f"{path} is no report of `chunkcrawl load`")
    return dict(found)


def _is_report(found: Any) -> bool:
    parts = ("figures", "asked", "series")
    if not isinstance(found, dict) or not all(isinstance(found.get(part), dict) for part in parts):
        return False
    columns = [found["series"].get(name) for name in ("second", "measured", *CURVES)]
    if not all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns):
        return False
    numbers = [*columns[0], *(value for column in columns[2:] for value in column if value is not None)]
    return all(isinstance(value, int | float) for value in numbers)


def compared(report: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part ``compared``."""
    figures = [_row(name, report["figures"].get(name), earlier["figures"].get(name)) for name in COMPARED]
    return {
        "run_id": str(earlier.get("run_id", "")),
        "started_at": str(earlier.get("started_at", "")),
        "asked_otherwise": {
            name: [earlier["asked"].get(name), value]
            for name, value in report["asked"].items()
            if name != "seed" and earlier["asked"].get(name) != value
        },
        "figures": [row for row in figures if row["now"] is not None or row["then"] is not None],
        "cores": _cores(report, earlier),
        "series": _aligned(report["series"], earlier["series"]),
    }


def _row(name: str, now: Any, then: Any) -> dict[str, Any]:
    now, then = (value if isinstance(value, int | float) else None for value in (now, then))
    row: dict[str, Any] = {"name": name, "then": then, "now": now, "change": None, "word": ""}
    if now is None or then is None:
        return row
    row["change"] = round(now / then - 1, 4) if then else None
    better = COMPARED[name]
    if now == then or (then and abs(now / then - 1) < SAME_PART):
        row["word"] = "same"
    elif better is not None:
        row["word"] = "better" if (now > then) is better else "worse"
    return row


def _cores(report: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the processors used by each process then and now; None for one that was not there."""
    now, then = (_by_process(one) for one in (report, earlier))
    return [{"name": name, "then": then.get(name), "now": now.get(name)} for name in dict.fromkeys([*now, *then])]


def _by_process(report: Mapping[str, Any]) -> dict[str, float]:
    side = report.get("server_side")
    processes = side.get("processes") if isinstance(side, dict) else None
    return {
        str(one["name"]): float(one["cores"])
        for one in processes or []
        if isinstance(one, dict) and isinstance(one.get("cores"), int | float) and "name" in one
    }


def _aligned(now: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """Return the earlier columns, moved so that both begin to measure at the same time, at our points of time."""
    shift = _begins(now) - _begins(then)
    by_second = {second + shift: number for number, second in enumerate(then["second"])}
    step = max(1, int(then.get("step_s") or 1))
    places = [_place(by_second, second, step) for second in now["second"]]
    return {name: [None if place is None else then[name][place] for place in places] for name in CURVES if name in then}


def _begins(series: Mapping[str, Any]) -> int:
    measured = [second for second, counts in zip(series["second"], series["measured"], strict=True) if counts]
    return int(measured[0]) if measured else 0


def _place(by_second: Mapping[int, int], second: int, step: int) -> int | None:
    return next((by_second[at] for at in range(second, second - step, -1) if at in by_second), None)
