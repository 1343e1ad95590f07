"""Where chunks are when nothing is balanced: on the shard that the routing hash names."""

from __future__ import annotations

from cluster.balance.moves import ChunkMove, MoveRecord
from cluster.balance.picture import Picture
from cluster.balance.planner import ORDERED_MOST, Held
from world.ids import shard_of


class HashPlanner:
    """Moves whatever is elsewhere; what is pinned stays, unless its shard is to be empty."""

    def note(self, record: MoveRecord) -> None:
        """Note a move that was tried; nothing follows from it."""

    def hurry(self) -> None:
        """Do nothing: it never waits."""

    def plan(self, picture: Picture, held: Held, now: float) -> list[ChunkMove]:
        """See ``Planner.plan``."""
        del now
        return self.misplaced(picture, held)[:ORDERED_MOST]

    def misplaced(self, picture: Picture, held: Held) -> list[ChunkMove]:
        """Return all that is to be done."""
        staying = [shard for shard in range(picture.shard_count) if shard not in held.leaving]
        moves: list[ChunkMove] = []
        for chunk_id, owner in sorted(picture.owners.items() if staying else ()):
            to_shard = shard_of(chunk_id, picture.shard_count)
            if to_shard in held.leaving:
                to_shard = staying[shard_of(chunk_id, len(staying))]
            stays = chunk_id in held.chunks or owner in held.shards or to_shard in held.shards
            closed = owner in held.closed or to_shard in held.closed
            if owner == to_shard or closed or (stays and owner not in held.leaving):
                continue
            moves.append(ChunkMove(chunk_id, owner, to_shard, "hash"))
        return moves
