"""A run over time, second by second, in bounded memory: past a number of points, neighbours are merged.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from loadtest.measures import Measures, Sample

__all__ = ["POINTS_MAX", "Point", "Series"]

#: The most points there are: ten minutes by seconds, an hour by 8 s, a day by 256 s.  Some 10 kB each.
POINTS_MAX: Final = 600


@dataclass(slots=True)
class Point:
    """What happened in one step of time, in all generators."""

    measures: Measures = field(default_factory=Measures)
    #: Whether all of it counts for the figures.
    measured: bool = True
    #: Agents by generator, as last reported.
    agents: dict[int, int] = field(default_factory=dict)
    #: Spectators by generator, as last reported.
    spectators: dict[int, int] = field(default_factory=dict)
    #: Processor time by generator.
    cpu_s: dict[int, float] = field(default_factory=dict)
    #: How long the step was, by generator.
    seconds: dict[int, float] = field(default_factory=dict)

    def add(self, sample: Sample, *, measured: bool) -> None:
        """Take a sample of this step."""
        self.measures.merge(sample.measures)
        self.measured = self.measured and measured
        self.agents[sample.task], self.spectators[sample.task] = sample.agents, sample.spectators
        self.cpu_s[sample.task] = self.cpu_s.get(sample.task, 0.0) + sample.cpu_s
        self.seconds[sample.task] = self.seconds.get(sample.task, 0.0) + sample.seconds

    def follow(self, later: Point) -> None:
        """Take in the step that follows."""
        self.measures.merge(later.measures)
        self.measured = self.measured and later.measured
        self.agents |= later.agents
        self.spectators |= later.spectators
        for task, cpu_s in later.cpu_s.items():
            self.cpu_s[task] = self.cpu_s.get(task, 0.0) + cpu_s
        for task, seconds in later.seconds.items():
            self.seconds[task] = self.seconds.get(task, 0.0) + seconds

    def per_s(self, name: str) -> float:
        """Return a count as a rate, over all generators."""
        count = self.measures.counts[name]
        return count / max(self.seconds.values()) if self.seconds and max(self.seconds.values()) > 0 else 0.0


class Series:
    """Points by time."""

    def __init__(self) -> None:
        #: How many seconds a point stands for; a power of two.
        self.step_s = 1
        #: Points by ``second // step_s``.
        self.points: dict[int, Point] = {}

    def add(self, sample: Sample, *, measured: bool) -> None:
        """Take a sample where its second belongs."""
        number = sample.second // self.step_s
        if number not in self.points:
            self.points[number] = Point()
        self.points[number].add(sample, measured=measured)
        while len(self.points) > POINTS_MAX:
            self._halve()

    def in_order(self) -> list[tuple[int, Point]]:
        """Return pairs of (first second, point), by time."""
        return [(number * self.step_s, self.points[number]) for number in sorted(self.points)]

    def _halve(self) -> None:
        self.step_s *= 2
        halved: dict[int, Point] = {}
        for number in sorted(self.points):
            if number // 2 in halved:
                halved[number // 2].follow(self.points[number])
            else:
                halved[number // 2] = self.points[number]
        self.points = halved
