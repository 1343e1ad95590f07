"""How hard an agent's next proof of work is: the contract's rules, and the counts they need.

All gateways must agree, so the counts and the level of an agent lie in one Redis hash (``diff:{agent}``), changed by
the same scripts that settle an answer.  The p95 of the solve time passes a limit exactly when more than 5 % of the
solves took longer, so it is enough to count; no sample is kept, and the hash stays below some 40 fields:

    level, changed   the level and when it was last moved (ms)
    evaluated        when the rules were last applied (ms); at most once a second an agent
    a<n>, x<n>       answers and invalid ones of the n-th 5 s of Unix time
    v<n>, s<n>       valid answers and slow ones of the n-th 30 s
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from streaming.lua import Script

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
    """The level that the rules ask for now: the present one, or one step beside it.

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
    """Names of the counts that no window reaches any more."""
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
    """From the flat list of names and values that ``count_answer`` gives."""
    fields = {name.decode(): int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
    level = fields.pop("level", rules.start)
    changed = fields.pop("changed", 0)
    fields.pop("evaluated", None)
    return DifficultyState(level, changed, fields)


def _sum(state: DifficultyState, kind: str, bucket_ms: int, window_ms: int, now_ms: int) -> int:
    first, last = (now_ms - window_ms) // bucket_ms, now_ms // bucket_ms
    return sum(state.counts.get(f"{kind}{number}", 0) for number in range(first, last + 1))


#: Defines ``count_answer(id, now_ms, invalid, slow)``: counts one answer; returns the whole hash as a flat list when
#: it is time to apply the rules, otherwise an empty one.
COUNT_ANSWER: Final = f"""
local function count_answer(id, now_ms, invalid, slow)
  local key = 'diff:' .. id
  local now = tonumber(now_ms)
  local short = string.format('%d', math.floor(now / {RATE_BUCKET_MS}))
  local long = string.format('%d', math.floor(now / {SOLVE_BUCKET_MS}))
  redis.call('HINCRBY', key, 'a' .. short, 1)
  if invalid then
    redis.call('HINCRBY', key, 'x' .. short, 1)
  else
    redis.call('HINCRBY', key, 'v' .. long, 1)
    if slow then redis.call('HINCRBY', key, 's' .. long, 1) end
  end
  redis.call('PEXPIRE', key, {STATE_TTL_MS})
  local evaluated = tonumber(redis.call('HGET', key, 'evaluated') or '0')
  -- A time in the future (a clock that was set back) must not stop the rules.
  if evaluated <= now and now - evaluated < {EVALUATE_EVERY_MS} then return {{}} end
  redis.call('HSET', key, 'evaluated', now_ms)
  return redis.call('HGETALL', key)
end
"""

#: Moves the level unless another gateway did meanwhile, and drops what is too old to count.
#: KEYS: the hash.  ARGV: level, changed before, now (ms), names of stale counts...
SET_LEVEL: Final = Script(
    "difficulty_set_level",
    """
if (redis.call('HGET', KEYS[1], 'changed') or '0') ~= ARGV[2] then return 0 end
local before = redis.call('HGET', KEYS[1], 'level')
for i = 4, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
if ARGV[1] == '' or before == ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'level', ARGV[1], 'changed', ARGV[3])
return 1
""",
)
