"""Which chunks should move now.

Three reasons, in this order:

- *leaving*: a shard is to be empty; all of its chunks go, whatever else holds.
- *load*: a shard carries more than ``threshold`` times the mean, for a while.  Then chunks go from the busiest to idle
  ones until none is above a lower mark.  A move has to make the busier of the two less busy: so a chunk that is hotter
  than all else together comes to stand alone on a shard and stays there, the others are evened out among themselves.
- *traffic*: agents cross between two chunks of different shards all the time, which costs three times what it would
  within one.  One of them goes to the other, if its shard has room.

A chunk that has moved rests; what has moved is counted, so that in a minute no more than ``moves_per_minute`` do; and
after moves nothing is decided until what the shards say holds them.  Time is seconds of a clock that a restart does not
turn back (Unix time); what was moved earlier is handed in, so a restart forgets neither rests nor counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from cluster.balance.moves import BALANCING, ChunkMove, MoveRecord, Why
from cluster.balance.picture import CORE_US, REMOTE_EXTRA_US, Picture
from world.ids import DIRECTIONS, ChunkId

#: Below this nothing is moved for its load: everybody has room.
BUSY_US: Final = 0.01 * CORE_US
#: For how long a shard must have been too busy before anything moves; twice as long, at most so long, after each time
#: that it did not help: what is hot here now and there then is not to be run after.
BUSY_FOR_S: Final = 15.0
BUSY_FOR_MOST_S: Final = 600.0
#: For how long agents must have crossed between two chunks all the time.
TOGETHER_FOR_S: Final = 60.0
#: How long nothing is decided after moves: the shards need some seconds to say what has come of them.
SETTLE_S: Final = 12.0
#: How long a chunk that has moved stays where it is, unless its shard is to be empty.
REST_S: Final = 600.0
#: A move for load has to take so much off the busier of the two shards, as a share of the mean.
GAIN_LEAST: Final = 0.01
#: A move for traffic has to save so much.
SAVING_LEAST_US: Final = 0.005 * CORE_US
#: Crossings a second below which two chunks have nothing to do with each other: four such neighbours would not save it.
TOGETHER_LEAST_PER_S: Final = SAVING_LEAST_US / (2 * REMOTE_EXTRA_US) / len(DIRECTIONS)
#: Chunks and takers that are looked at for one move.
CHUNKS_TRIED: Final = 32
TAKERS_TRIED: Final = 4
#: Moves that are decided at once where it is not their loads that count.
ORDERED_MOST: Final = 64
MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class BalanceRules:
    """What an operator sets: how much busier than the mean a shard may be, and how many moves a minute there may be."""

    threshold: float
    moves_per_minute: int

    @property
    def goal(self) -> float:
        """Where moving ends once it has begun: half of the way to the mean."""
        return 1 + (self.threshold - 1) / 2


@dataclass(frozen=True, slots=True)
class Held:
    """What stays: pinned chunks; pinned shards, which neither give nor take; closed ones, which can do neither now.

    ``leaving``: shards that are to be empty, whatever is pinned.
    """

    chunks: Collection[ChunkId] = ()
    shards: Collection[int] = ()
    closed: Collection[int] = ()
    leaving: Collection[int] = ()


class Planner:
    """Remembers what was moved of late, and since when something has been wrong.

    Args:
        tried: moves that were tried earlier.
    """

    def __init__(self, rules: BalanceRules, tried: Iterable[MoveRecord] = ()) -> None:
        self._rules = rules
        self._moved: dict[ChunkId, float] = {}
        self._counted: deque[float] = deque()
        self._last = float("-inf")
        #: Whether moving for load has begun, so that it goes on to the lower mark.
        self._evening = False
        self._over_since: dict[int, float] = {}
        self._busy_for_s = BUSY_FOR_S
        self._calm_since = float("-inf")
        #: The imbalance that the last moves for load should have led to at most, to be held against what came of them.
        self._hoped: float | None = None
        self._together_since: dict[tuple[ChunkId, ChunkId], float] = {}
        self._hurried = False
        for record in sorted(tried, key=lambda one: one.at_ms):
            self.note(record)

    def note(self, record: MoveRecord) -> None:
        """Note a move that was tried.  One that a shard had to be emptied for counts for no bound."""
        at = record.at_ms / 1000
        self._last = max(self._last, at)
        if record.why not in BALANCING:
            return
        self._counted.append(at)
        if record.outcome == "failed":
            self._hoped = None  # that it did not help says nothing
        else:
            self._moved[ChunkId(record.chunk_id)] = at

    def hurry(self) -> None:
        """Balance with the next ``plan`` to the lower mark, however short it has been needed and what has moved."""
        self._hurried = True
        self._moved.clear()
        self._counted.clear()
        self._last = float("-inf")

    def plan(self, picture: Picture, held: Held, now: float) -> list[ChunkMove]:
        """Return moves to carry out now, in this order; ``picture`` is changed as if they had been.

        The caller notes (``note``) what it has tried before it plans again.
        """
        self._forget(now)
        leaving = self._leave(picture, held)
        if leaving:
            return leaving
        allowed = min(self._rules.moves_per_minute - len(self._counted), self._batch)
        if now - self._last < SETTLE_S or allowed <= 0:
            return []
        moves = self._for_load(picture, held, now, allowed)
        self._hurried = False
        return moves or self._for_traffic(picture, held, now, allowed)

    @property
    def _batch(self) -> int:
        return max(1, self._rules.moves_per_minute // 4)

    def _forget(self, now: float) -> None:
        self._moved = {chunk_id: min(at, now) for chunk_id, at in self._moved.items() if now - at < REST_S}
        self._counted = deque(min(at, now) for at in self._counted if now - at < MINUTE_S)
        self._last = min(self._last, now)

    def _may_move(self, chunk_id: ChunkId, held: Held) -> bool:
        return chunk_id not in held.chunks and chunk_id not in self._moved

    # -- shards that are to be empty --

    def _leave(self, picture: Picture, held: Held) -> list[ChunkMove]:
        if not held.leaving:
            return []
        giving = set(held.leaving).difference(held.closed)
        going = [chunk_id for chunk_id, owner in picture.owners.items() if owner in giving]
        going.sort(key=lambda chunk_id: (-picture.cost(chunk_id), chunk_id))
        # Better one that is pinned, or of which nothing is known yet, than none.
        open_ones = set(range(picture.shard_count)).difference(held.leaving, held.closed)
        takers = _takers(picture, held) or sorted(open_ones.difference(held.shards) or open_ones)
        for shard in takers:
            picture.loads.setdefault(shard, 0.0)
        moves = []
        for chunk_id in going[:ORDERED_MOST] if takers else ():
            to_shard = min(takers, key=lambda shard: (picture.after(chunk_id, shard)[1], shard))
            moves.append(_moved(picture, chunk_id, to_shard, "leaving"))
        return moves

    # -- load --

    def _for_load(self, picture: Picture, held: Held, now: float, allowed: int) -> list[ChunkMove]:
        out = {*held.shards, *held.closed}
        taking_part = {shard: load for shard, load in picture.loads.items() if shard not in out}
        before = imbalance(taking_part.values())
        self._judge(before)
        mark = self._rules.goal if self._evening or self._hurried else self._rules.threshold
        self._over_since = {shard: self._over_since.get(shard, now) for shard in too_busy(taking_part, mark)}
        if self._over_since:
            self._calm_since = now
        elif now - self._calm_since >= BUSY_FOR_MOST_S:
            self._busy_for_s = BUSY_FOR_S
        busy_for_s = 0.0 if self._hurried else self._busy_for_s
        ripe = {shard for shard, since in self._over_since.items() if now - since >= busy_for_s}
        chunks = _by_owner(picture) if ripe else {}
        moves: list[ChunkMove] = []
        while len(moves) < allowed and ripe.intersection(taking_part):
            busiest = max(taking_part, key=lambda shard: (taking_part[shard], shard))
            mean = sum(taking_part.values()) / len(taking_part)
            if taking_part[busiest] <= max(BUSY_US, self._rules.goal * mean):
                break
            found = self._best_from(busiest, chunks.get(busiest, []), picture, held, mean) if busiest in ripe else None
            if found is None:
                del taking_part[busiest]  # nothing makes it better: the others are looked at among themselves
                continue
            chunk_id, to_shard = found
            chunks[busiest].remove(chunk_id)
            moves.append(_moved(picture, chunk_id, to_shard, "load"))
            for shard in (busiest, to_shard):
                if shard in taking_part:
                    taking_part[shard] = picture.loads[shard]
        if moves:
            after = imbalance([load for shard, load in picture.loads.items() if shard not in out])
            self._hoped = max(self._rules.threshold, before - (before - after) / 4)
        else:
            self._evening = False
        return moves

    def _judge(self, found: float) -> None:
        """Hold what the last moves have come to against what they should have."""
        if self._hoped is None:
            return
        helped = found <= self._hoped
        self._evening, self._hoped = helped, None
        if helped:
            self._busy_for_s = BUSY_FOR_S
        else:
            self._busy_for_s = min(BUSY_FOR_MOST_S, self._busy_for_s * 2)
            self._over_since = {}

    def _best_from(
        self, busiest: int, chunks: list[ChunkId], picture: Picture, held: Held, mean: float
    ) -> tuple[ChunkId, int] | None:
        """Return the move that evens two shards out best; None when none takes enough off the busier one."""
        takers = [shard for shard in _takers(picture, held) if shard != busiest]
        if not takers:
            return None
        idlest = sorted(takers, key=lambda shard: (picture.loads[shard], shard))[:TAKERS_TRIED]
        load = picture.loads[busiest]
        ideal = (load - picture.loads[idlest[0]]) / 2
        movable = [chunk_id for chunk_id in chunks if self._may_move(chunk_id, held)]
        movable.sort(key=lambda chunk_id: (abs(picture.cost(chunk_id) - ideal), chunk_id))
        best, least = None, 0.0
        for chunk_id in movable[:CHUNKS_TRIED]:
            near = {picture.owners.get(neighbor, busiest) for neighbor in picture.traffic.get(chunk_id, ())}
            for shard in (*idlest, *sorted(near.intersection(takers).difference(idlest))):
                giving, taking = picture.after(chunk_id, shard)
                if max(giving, taking) > load - GAIN_LEAST * mean:
                    continue
                change = giving**2 + taking**2 - load**2 - picture.loads[shard] ** 2
                if change < least:
                    best, least = (chunk_id, shard), change
        return best

    # -- traffic --

    def _for_traffic(self, picture: Picture, held: Held, now: float, allowed: int) -> list[ChunkMove]:
        takers = set(_takers(picture, held))
        if not takers:
            return []
        room = max(BUSY_US, self._rules.goal * sum(picture.loads.values()) / len(picture.loads))
        wanted: dict[tuple[ChunkId, ChunkId], tuple[float, ChunkId, int]] = {}
        for one, row in picture.traffic.items():
            for other, rate in row.items():
                if one >= other or rate < TOGETHER_LEAST_PER_S:
                    continue
                if best := self._saving(picture, held, takers, room, one, other):
                    wanted[one, other] = best
        self._together_since = {pair: self._together_since.get(pair, now) for pair in wanted}
        moves: list[ChunkMove] = []
        touched: set[ChunkId] = set()
        for pair, (_, chunk_id, to_shard) in sorted(wanted.items(), key=lambda item: (-item[1][0], item[0])):
            if len(moves) < allowed and now - self._together_since[pair] >= TOGETHER_FOR_S and not touched & set(pair):
                touched |= set(pair)
                if picture.after(chunk_id, to_shard)[1] <= room:
                    moves.append(_moved(picture, chunk_id, to_shard, "traffic"))
        return moves

    def _saving(
        self, picture: Picture, held: Held, takers: Collection[int], room: float, one: ChunkId, other: ChunkId
    ) -> tuple[float, ChunkId, int] | None:
        """Return what bringing two chunks together would save, and by which move; None when nothing to speak of."""
        owners = picture.owners
        if one not in owners or other not in owners or owners[one] == owners[other]:
            return None
        found = [
            (saved, chunk_id, to_shard)
            for chunk_id, to_shard in ((one, owners[other]), (other, owners[one]))
            if to_shard in takers
            and owners[chunk_id] in picture.loads
            and owners[chunk_id] not in held.shards
            and owners[chunk_id] not in held.closed
            and self._may_move(chunk_id, held)
            and (saved := picture.saved(chunk_id, to_shard)) >= SAVING_LEAST_US
            and picture.after(chunk_id, to_shard)[1] <= room
        ]
        return max(found) if found else None


def imbalance(loads: Collection[float]) -> float:
    """Return how many times the mean the busiest carries; 1 where nobody carries anything."""
    mean = sum(loads) / len(loads) if loads else 0.0
    return max(loads) / mean if mean > 0 else 1.0


def too_busy(loads: dict[int, float], mark: float) -> set[int]:
    """Return the shards that are busy and carry more than ``mark`` times the mean of those that carry no more."""
    found, below = set(), 0.0
    for number, (load, shard) in enumerate(sorted((load, shard) for shard, load in loads.items()), start=1):
        below += load
        if load > BUSY_US and load > mark * below / number:
            found.add(shard)
    return found


def _takers(picture: Picture, held: Held) -> list[int]:
    """Return the shards that may be given something."""
    held_back = {*held.shards, *held.closed, *held.leaving}
    return [shard for shard in sorted(picture.loads) if shard < picture.shard_count and shard not in held_back]


def _by_owner(picture: Picture) -> dict[int, list[ChunkId]]:
    found: dict[int, list[ChunkId]] = {}
    for chunk_id, owner in picture.owners.items():
        found.setdefault(owner, []).append(chunk_id)
    return found


def _moved(picture: Picture, chunk_id: ChunkId, to_shard: int, why: Why) -> ChunkMove:
    from_shard = picture.owners[chunk_id]
    giving, taking = picture.loads.get(from_shard, 0.0), picture.loads.get(to_shard, 0.0)
    move = ChunkMove(chunk_id, from_shard, to_shard, why, giving, taking, picture.cost(chunk_id))
    picture.move(chunk_id, to_shard)
    return move
