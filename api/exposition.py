"""Metrics as plain data that can travel between processes, and the Prometheus text form of it.

A sample's key is how it is written: ``harvest_success_total{type="gold"}``.  So families of several processes are
summed by key, and rendering is joining lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from prometheus_client.core import Metric

Kind = Literal["counter", "gauge", "histogram", "summary"]

#: Our kinds by prometheus_client's name of them; anything else is shown as a gauge.
KINDS: Final[Mapping[str, Kind]] = {"counter": "counter", "histogram": "histogram", "summary": "summary"}
#: Families of these kinds only ever grow within a process.
GROWING: Final = frozenset({"counter", "histogram"})


@dataclass(slots=True)
class Family:
    """One metric.  ``name`` as in the text form, with ``_total`` for counters; ``samples`` by key."""

    name: str
    kind: Kind
    help: str
    samples: dict[str, float] = field(default_factory=dict)


def sample_key(name: str, labels: Mapping[str, str] | None = None) -> str:
    """Return ``name{label="value",...}`` with values escaped."""
    if not labels:
        return name
    return name + "{" + ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items()) + "}"


def family(name: str, kind: Kind, help_: str, samples: Iterable[tuple[Mapping[str, str] | None, float]]) -> Family:
    """Make a family whose samples all bear its own name."""
    return Family(name, kind, help_, {sample_key(name, labels): value for labels, value in samples})


def single(name: str, kind: Kind, help_: str, value: float) -> Family:
    """Make a family of one sample without labels."""
    return Family(name, kind, help_, {name: value})


def of_metrics(metrics: Iterable[Metric]) -> list[Family]:
    """Return what a registry's ``collect`` gives, without the samples that say when a counter was made."""
    found = []
    for metric in metrics:
        kind = KINDS.get(metric.type, "gauge")
        name = metric.name + "_total" if kind == "counter" else metric.name
        samples = {
            sample_key(sample.name, sample.labels): sample.value
            for sample in metric.samples
            if not sample.name.endswith("_created")
        }
        found.append(Family(name, kind, metric.documentation, samples))
    return found


def render(families: Iterable[Family]) -> bytes:
    """Return Prometheus text form 0.0.4."""
    lines = []
    for one in families:
        lines.append(f"# HELP {one.name} {one.help}".replace("\\", "\\\\").replace("\n", "\\n"))
        lines.append(f"# TYPE {one.name} {one.kind}")
        lines += [f"{key} {_number(value)}" for key, value in one.samples.items()]
    return ("\n".join(lines) + "\n").encode() if lines else b""


def _number(value: float) -> str:
    """Write whole numbers without a fraction; NaN and infinities as Prometheus spells them."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
