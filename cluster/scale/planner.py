"""How many shards there should be, by what they carry.  Pure: time is an argument.

Growing is quick and in steps: when the shards use more than their mark for some seconds, as many are added as bring
them back below it, half as many again as there are at most.  Shrinking is slow, one at a time, and only when those
that stay would be far below the mark.  After each change nothing is decided for a while, since chunks have to move
before the figures tell anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Growing aims at this share of the mark, and shrinking needs those that stay to be below that share of it.
AIM: Final = 0.75
SHRINK_BELOW: Final = 0.5
#: Ticks that take more than this share of their time are slow.  More shards help when most are, and it is the processor
#: that they wait for, not Redis: then they use this share of the mark at least.
SLOW_TICK: Final = 0.6
SLOW_CPU: Final = 0.5
GROW_AFTER_S: Final = 10.0
#: How long nothing is decided after a change.
REST_S: Final = 40.0
#: What a shard says that is younger is of too little time.
YOUNG_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class ScaleRules:
    """What an operator sets."""

    least: int
    most: int
    #: Share of a core that shards may use on average.
    cpu: float
    #: How long it must have been too much by one shard before one goes.
    shrink_after_s: float
    #: Milliseconds of a tick.
    tick_ms: float

    @property
    def fixed(self) -> bool:
        """Whether nothing is to be decided: the number is what it is, whatever the settings say."""
        return self.most <= self.least


@dataclass(frozen=True, slots=True)
class ShardUse:
    """What one shard uses."""

    #: Share of a core.
    cpu: float
    tick_p99_ms: float
    age_s: float


class ScalePlanner:
    """Remembers since when there have been too few or too many."""

    def __init__(self, rules: ScaleRules) -> None:
        self._rules = rules
        self._few_since: float | None = None
        self._many_since: float | None = None
        self._changed_at = float("-inf")
        self._last: int | None = None

    def wanted(self, present: int, uses: Sequence[ShardUse], now: float) -> int:
        """Return how many shards there should be from now on.

        Args:
            present: how many there are to be until now.
            uses: of those that answered; while one does not, or is young, nothing is decided by load.
        """
        rules = self._rules
        if rules.fixed:
            return present
        if present != self._last:  # we, or an operator, or the first look
            self._note(present, now)
        if present < rules.least:
            return rules.least
        if len(uses) < present or any(use.age_s < YOUNG_S for use in uses):
            self._few_since = self._many_since = None
            return present
        self._few_since = self._since(self._few_since, self._too_few(uses), now)
        self._many_since = self._since(self._many_since, self._too_many(uses), now)
        if now - self._changed_at < REST_S:
            return present
        if present < rules.most and _lasts(self._few_since, GROW_AFTER_S, now):
            return self._grown(present, uses)
        if present > rules.most or (present > rules.least and _lasts(self._many_since, rules.shrink_after_s, now)):
            return present - 1
        return present

    def _note(self, present: int, now: float) -> None:
        if self._last is not None:
            self._changed_at = now
        self._last = present
        self._few_since = self._many_since = None

    @staticmethod
    def _since(since: float | None, holds: bool, now: float) -> float | None:
        if not holds:
            return None
        return now if since is None else since

    def _too_few(self, uses: Sequence[ShardUse]) -> bool:
        mean = sum(use.cpu for use in uses) / len(uses)
        slow = sum(use.tick_p99_ms > SLOW_TICK * self._rules.tick_ms for use in uses)
        return mean > self._rules.cpu or (2 * slow > len(uses) and mean > SLOW_CPU * self._rules.cpu)

    def _too_many(self, uses: Sequence[ShardUse]) -> bool:
        staying = len(uses) - 1
        slow = any(use.tick_p99_ms > SLOW_TICK * self._rules.tick_ms for use in uses)
        return staying > 0 and not slow and sum(use.cpu for use in uses) < SHRINK_BELOW * self._rules.cpu * staying

    def _grown(self, present: int, uses: Sequence[ShardUse]) -> int:
        enough = math.ceil(sum(use.cpu for use in uses) / (AIM * self._rules.cpu))
        step = max(1, present // 2)
        return min(max(present + 1, enough), present + step, self._rules.most)


def _lasts(since: float | None, seconds: float, now: float) -> bool:
    return since is not None and now - since >= seconds
