"""How hard an agent's next proof of work is: the contract's rules, and the counts they need.

All gateways must agree, so the counts and the level of an agent lie in one Redis hash (``diff:{agent}``).  The gateway
to which the agent is connected knows them (``AgentDifficulty``) and adds to them now and then.  The p95 of the solve
time passes a limit exactly when more than 5 % of the solves took longer, so it is enough to count; no sample is kept,
and the hash stays below some 40 fields:

    level, changed   the level and when it was last moved (ms)
    a<n>, x<n>       answers and invalid ones of the n-th 5 s of Unix time
    v<n>, s<n>       valid answers and slow ones of the n-th 30 s
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

RATE_BUCKET_MS: Final = 5_000
SOLVE_BUCKET_MS: Final = 30_000
#: An agent that answers nothing for this long starts anew.
STATE_TTL_MS: Final = 600_000
EVALUATE_EVERY_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class DifficultyRules:
    """The numbers of the contract's rules.

    ``answers_max`` is what "they come too fast" means: more answers than that in ``rate_window_ms``.  No walk is so
    short that five commands a second, for half a minute, come from one; commands that are refused or that interrupt
    a harvest can.
    """

    start: int = 2
    least: int = 0
    most: int = 3
    step_every_ms: int = 10_000
    rate_window_ms: int = 30_000
    invalid_share_max: float = 0.20
    answers_max: int = 150
    solve_window_ms: int = 300_000
    slow_ms: int = 500
    slow_share_max: float = 0.05


@dataclass(frozen=True, slots=True)
class DifficultyState:
    """An agent's level and counts, as read from Redis.  ``changed_ms`` is 0 while the level never moved."""

    level: int
    changed_ms: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)


def next_level(state: DifficultyState, rules: DifficultyRules, now_ms: int) -> int:
    """Return the level that the rules ask for now: the present one, or one step beside it.

    Up when over 20 % of the answers of the last 30 s are invalid or there are too many of them; otherwise down when
    the p95 of the solve time over 5 minutes passes 500 ms.  The windows end with their bucket, so they reach up to
    one bucket further back.
    """
    if now_ms - state.changed_ms < rules.step_every_ms and state.changed_ms:
        return state.level
    answers = _sum(state, "a", RATE_BUCKET_MS, rules.rate_window_ms, now_ms)
    invalid = _sum(state, "x", RATE_BUCKET_MS, rules.rate_window_ms, now_ms)
    if invalid > answers * rules.invalid_share_max or answers > rules.answers_max:
        return min(state.level + 1, rules.most)
    solved = _sum(state, "v", SOLVE_BUCKET_MS, rules.solve_window_ms, now_ms)
    slow = _sum(state, "s", SOLVE_BUCKET_MS, rules.solve_window_ms, now_ms)
    if slow > solved * rules.slow_share_max:
        return max(state.level - 1, rules.least)
    return state.level


def stale_fields(state: DifficultyState, rules: DifficultyRules, now_ms: int) -> list[str]:
    """Return the names of the counts that no window reaches any more."""
    oldest = {
        "a": (now_ms - rules.rate_window_ms) // RATE_BUCKET_MS,
        "x": (now_ms - rules.rate_window_ms) // RATE_BUCKET_MS,
        "v": (now_ms - rules.solve_window_ms) // SOLVE_BUCKET_MS,
        "s": (now_ms - rules.solve_window_ms) // SOLVE_BUCKET_MS,
    }
    # A clock that was set back leaves counts of the future; they go too, rather than stay for ever.
    newest = {kind: now_ms // (RATE_BUCKET_MS if kind in "ax" else SOLVE_BUCKET_MS) for kind in oldest}
    return [name for name in state.counts if not oldest[name[0]] <= int(name[1:]) <= newest[name[0]] + 1]


def state_from_redis(flat: list[bytes], rules: DifficultyRules) -> DifficultyState:
    """Read names and values in turn, as ``HGETALL`` gives them."""
    fields = {name.decode(): int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
    level = fields.pop("level", rules.start)
    changed = fields.pop("changed", 0)
    fields.pop("evaluated", None)
    return DifficultyState(level, changed, fields)


def _sum(state: DifficultyState, kind: str, bucket_ms: int, window_ms: int, now_ms: int) -> int:
    first, last = (now_ms - window_ms) // bucket_ms, now_ms // bucket_ms
    return sum(state.counts.get(f"{kind}{number}", 0) for number in range(first, last + 1))


class AgentDifficulty:
    """An agent's level and counts as its gateway knows them: what Redis had at the last lease, and what came since.

    The connection counts here and hands its counts to Redis with its next lease (``unsent``); the level is moved by
    ``SET_LEVEL`` at once.  A gateway that dies takes the counts since its last lease with it, not the level.
    """

    def __init__(self, rules: DifficultyRules) -> None:
        self._rules = rules
        self._level = rules.start
        self._changed_ms = 0
        self._counts: dict[str, int] = {}
        self._unsent: dict[str, int] = {}
        self._counted_ms = 0
        self._evaluated_ms = 0
        #: The bucket in which counts that no window reaches any more were dropped last: until the next there are none.
        self._dropped_in = -1

    def level(self, now_ms: int) -> int:
        """Return the difficulty of the next challenge."""
        if self._counted_ms and now_ms - self._counted_ms > STATE_TTL_MS:
            self.read([])
        return self._level

    def count(self, now_ms: int, *, invalid: bool = False, slow: bool = False) -> None:
        """Count one answer."""
        self._counted_ms = now_ms
        names = [f"a{now_ms // RATE_BUCKET_MS}"]
        if invalid:
            names.append(f"x{now_ms // RATE_BUCKET_MS}")
        else:
            names.append(f"v{now_ms // SOLVE_BUCKET_MS}")
            if slow:
                names.append(f"s{now_ms // SOLVE_BUCKET_MS}")
        for name in names:
            self._counts[name] = self._counts.get(name, 0) + 1
            self._unsent[name] = self._unsent.get(name, 0) + 1

    def wanted(self, now_ms: int) -> int | None:
        """Return the level that the rules ask for, if it is another one; looked at once a second."""
        # A time in the future (a clock that was set back) must not stop the rules.
        if 0 <= now_ms - self._evaluated_ms < EVALUATE_EVERY_MS:
            return None
        self._evaluated_ms = now_ms
        self._drop_stale(now_ms)
        if self._is_quiet():
            return None
        level = next_level(self._state, self._rules, now_ms)
        return None if level == self._level else level

    def _drop_stale(self, now_ms: int) -> None:
        bucket = now_ms // RATE_BUCKET_MS
        if bucket != self._dropped_in:
            self._dropped_in = bucket
            for name in stale_fields(self._state, self._rules, now_ms):
                del self._counts[name]

    def _is_quiet(self) -> bool:
        """Return whether there is nothing that any rule could go by."""
        answers = 0
        for name, count in self._counts.items():
            if name[0] in "xs":
                return False
            if name[0] == "a":
                answers += count
        return answers <= self._rules.answers_max

    def moved(self, level: int, changed_ms: int) -> None:
        """Note the level as it is now."""
        self._level, self._changed_ms = level, changed_ms

    @property
    def changed_ms(self) -> int:
        """When the level was last moved; 0: never."""
        return self._changed_ms

    # -- with Redis --

    def unsent(self) -> dict[str, int]:
        """Take what Redis has not counted yet; ``resend`` it if it did not arrive."""
        unsent, self._unsent = self._unsent, {}
        return unsent

    def resend(self, counts: Mapping[str, int]) -> None:
        """Have these counted by Redis after all."""
        for name, count in counts.items():
            self._unsent[name] = self._unsent.get(name, 0) + count

    def read(self, flat: list[bytes]) -> list[str]:
        """Take over what Redis has (``HGETALL``), as if there had been nothing; return what is too old to count."""
        state = state_from_redis(flat, self._rules)
        self._level, self._changed_ms, self._counts = state.level, state.changed_ms, dict(state.counts)
        self._dropped_in = -1
        for name, count in self._unsent.items():
            self._counts[name] = self._counts.get(name, 0) + count
        return stale_fields(state, self._rules, self._counted_ms) if self._counted_ms else []

    @property
    def _state(self) -> DifficultyState:
        return DifficultyState(self._level, self._changed_ms, self._counts)
