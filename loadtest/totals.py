"""All samples of a run, added up as they come.  Pure; memory does not grow with the length of the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from loadtest.histogram import Histogram
from loadtest.mailbox import Orders
from loadtest.measures import Measures, Phase, Sample
from loadtest.self_watch import Verdict, judge
from loadtest.series import Series

__all__ = ["GeneratorTotals", "Totals"]

RECENT_S: Final = 5


@dataclass(slots=True)
class GeneratorTotals:
    """One generator: the last it said, and how it did while it was measured."""

    phase: Phase = "ramp"
    second: int = -1
    agents: int = 0
    spectators: int = 0
    running: int = 0
    measured_s: float = 0.0
    cpu_s: float = 0.0
    proof_s: float = 0.0
    joined_s: float = 0.0
    machine_cpu_s: float = 0.0
    memory_bytes: int = 0
    lag: Histogram = field(default_factory=Histogram)

    @property
    def cpu_share(self) -> float:
        """Of one processor, 0 before anything was measured."""
        return self.cpu_s / self.measured_s if self.measured_s else 0.0

    @property
    def machine_cpu(self) -> float:
        """Of all processors of its machine, by anybody."""
        return self.machine_cpu_s / self.measured_s if self.measured_s else 0.0

    @property
    def verdict(self) -> Verdict:
        """Whether it was the bottleneck itself."""
        return judge(self.cpu_share, self.lag.quantile(0.99))


class Totals:
    """What all samples of a run add up to."""

    def __init__(self, tasks: int) -> None:
        #: Everything from the first second on.
        self.whole = Measures()
        #: Only the seconds that count.
        self.measured = Measures()
        #: Everything over time.
        self.series = Series()
        #: Each generator's own totals, by its number.
        self.generators = {task: GeneratorTotals() for task in range(tasks)}
        self._recent: list[Sample] = []

    def add(self, sample: Sample, orders: Orders) -> None:
        """Take a sample; the orders say whether it counts."""
        counts = orders.counts(sample.second)
        self.whole.merge(sample.measures)
        self.series.add(sample, measured=counts)
        self._note(sample, counts)
        if counts:
            self.measured.merge(sample.measures)
        self._recent.append(sample)
        self._recent = [one for one in self._recent if one.second > sample.second - RECENT_S]

    def _note(self, sample: Sample, counts: bool) -> None:
        generator = self.generators[sample.task]
        generator.phase, generator.second = sample.phase, sample.second
        generator.agents, generator.spectators, generator.running = sample.agents, sample.spectators, sample.running
        generator.joined_s = sample.joined_s
        generator.memory_bytes = max(generator.memory_bytes, sample.memory_bytes)
        if counts:
            generator.measured_s += sample.seconds
            generator.cpu_s += sample.cpu_s
            generator.proof_s += sample.proof_s
            generator.machine_cpu_s += sample.machine_cpu * sample.seconds
            generator.lag.merge(sample.measures.times["lag"])

    def all_in(self, *phases: Phase) -> bool:
        """Return whether every generator is in one of these phases."""
        return all(generator.phase in phases for generator in self.generators.values())

    @property
    def second(self) -> int:
        """The newest second that anybody has reported, -1 before the first."""
        return max(generator.second for generator in self.generators.values())

    @property
    def measured_s(self) -> float:
        """How long was measured, by the generator that measured longest."""
        return max(generator.measured_s for generator in self.generators.values())

    @property
    def joined_s(self) -> float:
        """How long the ramp took, by the generator whose last one came last."""
        return max(generator.joined_s for generator in self.generators.values())

    @property
    def agents(self) -> int:
        """Agents that are connected now."""
        return sum(generator.agents for generator in self.generators.values())

    @property
    def spectators(self) -> int:
        """Spectators that are connected now."""
        return sum(generator.spectators for generator in self.generators.values())

    @property
    def running(self) -> int:
        """Commands that are not over."""
        return sum(generator.running for generator in self.generators.values())

    def recent(self) -> tuple[Measures, float]:
        """Return what the last seconds brought, and over how many seconds that is."""
        together = Measures()
        by_task: dict[int, float] = {}
        for sample in self._recent:
            together.merge(sample.measures)
            by_task[sample.task] = by_task.get(sample.task, 0.0) + sample.seconds
        return together, max(by_task.values(), default=0.0)
