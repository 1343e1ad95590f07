"""Carrying out what the planner wants moved: a few chunks at once, each handed over by the shard that has it.

What lasts stands in Redis (``cluster.pins``, ``cluster.move_log``), so another coordinator goes on where this one has
ended.  When a move fails all others stop for a while, longer each time.  What a kill leaves: decisions/0070.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Final, Protocol

import structlog
from redis.asyncio import Redis

from api.exposition import Family, family, single
from cluster import graph, move_log
from cluster.balance.by_hash import HashPlanner
from cluster.balance.moves import OUTCOMES, WHYS, ChunkMove, MoveRecord
from cluster.balance.picture import CORE_US, Picture, picture_of
from cluster.balance.planner import BalanceRules, Held, Planner, imbalance
from cluster.messages import ShardLoad
from cluster.metrics_report import DurationWindow
from cluster.peers import ShardClient, ShardUnavailable, WorldReloaded
from cluster.pins import forget_collected, read_pins
from streaming import keys
from streaming.connect import as_text
from streaming.retry_pause import RetryPause
from streaming.shared_clock import now_ms
from world.ids import ChunkId

log = structlog.get_logger(__name__)

GIVE_TIMEOUT_S: Final = 10.0
#: Chunks that are handed over at the same time, each by another shard.
AT_ONCE: Final = 4
PAUSE_FIRST_S: Final = 10.0
PAUSE_MOST_S: Final = 300.0
RECENT_PAUSES: Final = 256


class AnyPlanner(Protocol):
    """Decides what moves: ``cluster.balance.planner.Planner``, or ``HashPlanner`` where nothing is balanced."""

    def note(self, record: MoveRecord) -> None:
        """Note a move that was tried."""
        ...

    def hurry(self) -> None:
        """Let the next ``plan`` wait for nothing."""
        ...

    def plan(self, picture: Picture, held: Held, now: float) -> list[ChunkMove]:
        """Return moves to carry out now."""
        ...


@dataclass(slots=True)
class Progress:
    """What the moving has done since the number of shards was last changed."""

    to_move: int = 0
    moved: int = 0
    refused: int = 0
    longest_pause_s: float = 0.0

    def describe(self) -> dict[str, float | int]:
        """Return plain values for status."""
        return {
            "to_move": self.to_move,
            "moved": self.moved,
            "refused": self.refused,
            "longest_pause_ms": round(self.longest_pause_s * 1000, 1),
        }


@dataclass(slots=True)
class _Counts:
    """What was tried since this process began, by reason and outcome, and how long chunks stood still."""

    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    pauses: int = 0
    pause_s: float = 0.0
    recent_s: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_PAUSES))


class Balancer:
    """Moves chunks between shards; ``run`` once in each pass of the coordinator.

    Args:
        rules: None: nothing is balanced, chunks go where the routing hash names.
    """

    def __init__(self, redis: Redis, shards: ShardClient, rules: BalanceRules | None) -> None:
        self._redis = redis
        self._shards = shards
        self._rules = rules
        self._planner: AnyPlanner | None = None
        self._pause = RetryPause(PAUSE_FIRST_S, PAUSE_MOST_S)
        self._paused_until = float("-inf")
        self._counts = _Counts()
        self._imbalance = 1.0
        #: What the chunks of each shard cost, in cores, when it was last looked at.
        self._loads: dict[int, float] = {}
        self.progress = Progress()
        #: Shards that are to be empty, besides those beyond the number of shards.
        self.emptied: Collection[int] = ()
        #: Shards that neither give nor take anything now.
        self.closed: Collection[int] = ()

    async def misplaced(self) -> int:
        """Return how many chunks are on a shard that is to be empty or, where nothing is balanced, off their hash."""
        return self._misplaced(*await self._look(()))

    def _misplaced(self, picture: Picture, held: Held) -> int:
        if self._rules is None:
            return len(HashPlanner().misplaced(picture, held))
        return sum(owner in held.leaving for owner in picture.owners.values())

    async def run(self, reports: Collection[ShardLoad]) -> None:
        """Decide and carry out one round of moves; ``reports`` are what the shards have last said.

        Raises:
            RedisError, OSError, TimeoutError: Redis is away; what is under way is looked at again by the next run.
        """
        overdue, going_on = await move_log.end_overdue(self._redis, now_ms())
        planner = await self._planner_of(overdue)
        if going_on:
            return
        if await self._redis.delete(keys.REBALANCE):  # an operator's word
            planner.hurry()
        elif monotonic() < self._paused_until:
            return
        picture, held = await self._look(reports)
        self._imbalance = imbalance([load for shard, load in picture.loads.items() if shard not in held.shards])
        self._loads = {shard: round(load / CORE_US, 4) for shard, load in sorted(picture.loads.items())}
        misplaced, moved = self._misplaced(picture, held), self.progress.moved
        self.progress.to_move = misplaced
        moves = planner.plan(picture, held, now_ms() / 1000)
        if moves:
            await self._carry_out(planner, moves)
            self.progress.to_move = max(0, misplaced - (self.progress.moved - moved))

    async def _planner_of(self, overdue: Sequence[MoveRecord]) -> AnyPlanner:
        """Return the planner, which knows what was tried by those before us."""
        if self._planner is None:
            tried = await move_log.read_moves(self._redis)  # those overdue among them
            self._planner = HashPlanner() if self._rules is None else Planner(self._rules, tried)
            for record in overdue:
                self._tell(record)
        else:
            for record in overdue:
                self._planner.note(record)
                self._tell(record)
        return self._planner

    async def _look(self, reports: Collection[ShardLoad]) -> tuple[Picture, Held]:
        pins = await read_pins(self._redis)
        owners = await graph.chunk_owners(self._redis)
        await forget_collected(self._redis, pins, owners)
        info = await graph.read_world(self._redis)
        count = info.shard_count if info is not None else 0
        leaving = {owner for owner in owners.values() if owner >= count}.union(self.emptied)
        return picture_of(owners, count, reports), Held(pins.chunks, pins.shards, frozenset(self.closed), leaving)

    # -- carrying out --

    async def _carry_out(self, planner: AnyPlanner, moves: Sequence[ChunkMove]) -> None:
        """Carry out moves, those of one shard one after the other; one that fails stops all that have not begun."""
        waiting: dict[int, list[ChunkMove]] = {}
        for move in moves:
            waiting.setdefault(move.from_shard, []).append(move)
        gate = asyncio.Semaphore(AT_ONCE)
        failed = asyncio.Event()

        async def of_one_shard(mine: list[ChunkMove]) -> None:
            async with gate:
                for move in mine:
                    if failed.is_set():
                        return
                    try:
                        done = await self._try(planner, move)
                    except BaseException:
                        failed.set()
                        raise
                    if not done:
                        failed.set()

        ended = await asyncio.gather(*map(of_one_shard, waiting.values()), return_exceptions=True)
        if failed.is_set():
            pause_s = self._pause.next_s()
            self._paused_until = monotonic() + pause_s
            log.warning("moves_paused", pause_s=pause_s)
        else:
            self._pause.reset()
        for error in ended:
            if error is not None:
                raise error

    async def _try(self, planner: AnyPlanner, move: ChunkMove) -> bool:
        """Have one chunk moved; return False when something is wrong with one of the two shards.

        A chunk that is not the shard's any more (it was collected) is no reason for others to wait.
        """
        record = MoveRecord(
            now_ms(), move.chunk_id, move.from_shard, move.to_shard, move.why, move.in_words(), "failed"
        )
        await move_log.begin(self._redis, record)
        done = True
        try:
            giver = self._shards.shard(move.from_shard, timeout_s=GIVE_TIMEOUT_S)
            pause_s = await giver.give(move.chunk_id, move.to_shard)
        except WorldReloaded:
            done = False
        except ShardUnavailable as error:
            if not await self._belongs_to(move.chunk_id, move.to_shard):
                # It may be given yet: looked at again when it is overdue.
                log.warning("move_unanswered", chunk_id=move.chunk_id, error=str(error))
                return False
            record, done = replace(record, outcome="moved"), False  # but whoever was given it does not answer
        else:
            if pause_s is not None:
                record = replace(record, outcome="moved", pause_ms=round(pause_s * 1000, 1))
        await move_log.end(self._redis, record)
        planner.note(record)
        self._tell(record)
        return done

    async def _belongs_to(self, chunk_id: ChunkId, shard: int) -> bool:
        owner = await self._redis.hget(keys.chunk(chunk_id), "shard")
        return owner is not None and as_text(owner) == str(shard)

    def _tell(self, record: MoveRecord) -> None:
        """Count a move that has ended, and write a line about it."""
        counts, progress = self._counts, self.progress
        counts.moves[record.why, record.outcome] += 1
        if record.outcome == "moved":
            progress.moved += 1
        else:
            progress.refused += 1
        if record.pause_ms is not None:
            pause_s = record.pause_ms / 1000
            progress.longest_pause_s = max(progress.longest_pause_s, pause_s)
            counts.pauses += 1
            counts.pause_s += pause_s
            counts.recent_s.append(pause_s)
        log.info(
            f"chunk_{'moved' if record.outcome == 'moved' else 'not_moved'}",
            chunk_id=record.chunk_id,
            shard=record.from_shard,
            to_shard=record.to_shard,
            why=record.why,
            because=record.words,
            pause_ms=record.pause_ms,
        )

    # -- telling --

    def describe(self) -> dict[str, Any]:
        """Return plain values for status."""
        return {
            "on": self._rules is not None,
            "imbalance": round(self._imbalance, 3),
            "loads": {str(shard): load for shard, load in self._loads.items()},
            "paused_s": round(max(0.0, self._paused_until - monotonic()), 1),
        }

    def families(self) -> list[Family]:
        """Return what is counted and measured, for the metrics page."""
        moves = self._counts.moves
        labels = [(why, outcome) for why in WHYS for outcome in OUTCOMES]
        return [
            family(
                "balance_moves_total",
                "counter",
                "Chunks that were to move to another shard, by why and what became of it.",
                [({"why": why, "outcome": outcome}, moves[why, outcome]) for why, outcome in labels],
            ),
            single(
                "balance_imbalance",
                "gauge",
                "How many times the mean the busiest shard carries.",
                round(self._imbalance, 3),
            ),
            family(
                "balance_load_cores",
                "gauge",
                "Share of a core that the chunks of a shard cost, by which they are balanced.",
                [({"shard": str(shard)}, load) for shard, load in self._loads.items()],
            ),
            single(
                "balance_paused",
                "gauge",
                "1 while nothing moves, for a move has failed.",
                float(monotonic() < self._paused_until),
            ),
        ]

    def window(self) -> DurationWindow:
        """Return for how long chunks that moved stood still."""
        counts = self._counts
        recent = [round(seconds * 1000, 3) for seconds in counts.recent_s]
        help_ = "How long a chunk stood still while it moved to another shard."
        return DurationWindow("balance_pause_ms", help_, counts.pauses, round(counts.pause_s * 1000, 3), recent)
