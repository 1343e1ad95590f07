"""Limits that a run has to keep, as ``--fail-if`` takes them: ``rtt_p99_ms>100``.  Pure."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from config.errors import OperatorError

__all__ = ["BadLimit", "Checked", "FigureLimit", "check", "holds"]

_FORM: Final = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(<=|>=|==|!=|<|>)\s*(-?\d{1,12}(?:\.\d{1,6})?)\s*")
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


class BadLimit(OperatorError, ValueError):
    """What was given is no limit; the text says what one looks like."""

    reason = "bad_limit"


@dataclass(frozen=True, slots=True)
class FigureLimit:
    """The run fails if ``figure`` compares like this with ``bound``."""

    figure: str
    comparison: str
    bound: float

    @classmethod
    def parse(cls, text: str, known: Collection[str]) -> FigureLimit:
        """Read ``figure<number``.

        Raises:
            BadLimit: It has another form, or there is no such figure.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise BadLimit(f"{text!r}: a limit looks like rtt_p99_ms>100")
        name, comparison, bound = found.groups()
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            meant = f"did you mean {' or '.join(near)}? " if near else ""
            raise BadLimit(f"there is no figure {name!r}; {meant}There are {', '.join(sorted(known))}")
        return cls(name, comparison, float(bound))

    def __str__(self) -> str:
        return f"{self.figure}{self.comparison}{self.bound:g}"


@dataclass(frozen=True, slots=True)
class Checked:
    """A limit and how the run did.  ``value`` is None when nothing was measured: then it is broken too."""

    limit: FigureLimit
    value: float | None
    broken: bool


def holds(limit: FigureLimit, value: float) -> bool:
    """Return whether a value compares with the bound as the limit says."""
    return _COMPARE[limit.comparison](value, limit.bound)


def check(limits: Collection[FigureLimit], figures: Mapping[str, float | None]) -> list[Checked]:
    """Hold the figures against the limits, in their order."""
    found = []
    for limit in limits:
        value = figures.get(limit.figure)
        found.append(Checked(limit, value, value is None or holds(limit, value)))
    return found
