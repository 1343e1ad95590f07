"""A lost Redis: the world comes back from the last snapshots in PostgreSQL.

Snapshots of different chunks are of different moments (within a minute), so some things don't fit together: an agent
that crossed between two of them is in both or in neither, a link may lead to a chunk that was made later.  ``fit``
decides, by the newest record, and leaves a world that the checker (``operations.fsck``) finds whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from cluster.chunk_dump import ChunkDump
from cluster.configs import rules_of
from cluster.world_rules import rules_in, rules_taken
from cluster.world_run import RUN_INFO, begin_run, new_run_id
from config.errors import OperatorError
from config.settings import Settings
from operations.fsck import Problem, check
from operations.world_bounds import WorldOutOfBounds, check_bounds
from operations.world_dump import WorldDump, checkable, read_world
from operations.world_load import WorldThere, write_world
from operations.world_settle import beginning, settle
from store import event_log, runs, snapshots
from store.pg_session import patient_engine
from store.runs import RunRecord
from store.snapshots import AgentState, ChunkState
from streaming import keys
from streaming.connect import connect
from world.ids import DIRECTIONS, HALL, OPPOSITE
from world.rules import Rules, WorldRules

#: For a transaction that writes a whole world.
LOAD_TIMEOUT_S: Final = 120.0


class NothingToRebuild(OperatorError):
    """PostgreSQL has no snapshots of a world."""

    reason = "nothing_to_rebuild"


class NotWhole(OperatorError):
    """The checker finds something wrong with the world that would be written."""

    reason = "not_whole"

    def __init__(self, found: list[Problem]) -> None:
        super().__init__("; ".join(f"{finding.code} {finding.subject}: {finding.text}" for finding in found))


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came back."""

    run_id: str
    #: As ``WorldDump.counts``.
    counts: Mapping[str, int]
    #: The rules it was given, where it had none of its own.
    rules_taken: WorldRules | None = None

    def __str__(self) -> str:
        said = (
            f"The world came back from the database's last snapshots: {self.counts['chunks']} chunks, "
            f"{self.counts['agents']} agents. What happened after them is lost; all sessions have ended."
        )
        return said if self.rules_taken is None else f"{said} {rules_taken(self.rules_taken)}"


async def world_is_lost(redis: Redis) -> bool:
    """Return whether Redis holds no world.  Raises ``RedisError``."""
    return not await redis.hexists(keys.WORLD, "seed")


async def bring_back(settings: Settings) -> Rebuilt | None:
    """Bring the last world back, as ``chunkcrawl up`` does when it finds none; None: there never was one.

    Raises as ``rebuild``.
    """
    redis = connect(settings.redis_url, socket_timeout_s=LOAD_TIMEOUT_S)
    engine = patient_engine(settings.database_url)
    try:
        return await rebuild(redis, engine, rules_of(settings), over=False) if await world_is_lost(redis) else None
    except (NothingToRebuild, WorldThere):
        return None
    finally:
        await redis.aclose()
        await engine.dispose()


async def rebuild(redis: Redis, engine: AsyncEngine, rules: Rules, *, over: bool) -> Rebuilt:
    """Write the world of the last snapshots into Redis, which is emptied first.

    ``rules``: the settings'; what the world has kept from its making goes before them.

    Raises:
        WorldThere: Redis holds a world, and not ``over``.
        NothingToRebuild: there is none; nothing has changed.
        NotWhole: what would come of them is not a whole world; nothing has changed.
        RedisError, SQLAlchemyError, OSError: one of the two is away; it may be tried again.
    """
    run = await runs.newest_with_snapshots(engine)
    chunks = [] if run is None else await snapshots.newest(engine, run.run_id)
    if run is None or not any(chunk.chunk_id == HALL for chunk in chunks):
        raise NothingToRebuild("the database has no snapshots of a world")
    agents, archived = await snapshots.agents(engine), await event_log.last_entry(engine)
    there = await read_world(redis, facts=False)
    seconds, micros = await redis.time()
    now_ms = seconds * 1000 + micros // 1000
    dump = _fitting(run, chunks, agents, archived, now_ms)
    kept = rules_in(dump.world)
    rules = rules if kept is None else rules.in_world(kept)
    begin = beginning(dump, new_run_id(), now_ms=now_ms, tick_hz=rules.tick_hz, there=there)
    settled = settle(dump, begin, rules)
    if found := check(checkable(settled)):
        raise NotWhole(found)
    await write_world(redis, settled, over=over)
    await begin_run(engine, begin.run_id, settled.world)
    return Rebuilt(begin.run_id, settled.counts(), rules.of_world if kept is None else None)


def _fitting(
    run: RunRecord, chunks: Iterable[ChunkState], agents: Iterable[AgentState], archived: str | None, now_ms: int
) -> WorldDump:
    """Run ``fit`` on snapshots that may have come with a backup from elsewhere.  Raises ``NotWhole``."""
    try:
        dump = fit(run, chunks, agents, archived)
        dump.world.setdefault("epoch_ms", str(now_ms))
        # One that is not in the world is looked at when it comes back; it must not keep everybody else away.
        check_bounds(replace(dump, agents={id_: f for id_, f in dump.agents.items() if f.get("here") == "1"}))
    except WorldOutOfBounds as error:
        raise NotWhole([Problem("out_of_bounds", "snapshots", str(error))]) from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise NotWhole([Problem("unreadable", "snapshots", repr(error))]) from None
    return dump


def fit(run: RunRecord, chunks: Iterable[ChunkState], agents: Iterable[AgentState], archived: str | None) -> WorldDump:
    """Make one world out of snapshots of different moments."""
    dumps = {chunk.chunk_id: _chunk(chunk) for chunk in chunks}
    mend_links(dumps)
    for chunk_id in dumps.keys() - reachable(dumps):
        del dumps[chunk_id]
    mend_links(dumps)
    hashes = {agent.agent_id: dict(agent.state) for agent in agents}
    for agent_id, fields in sorted(hashes.items()):
        there = dumps.get(fields.get("chunk", ""))
        if there is not None and fields.get("here") == "1":
            there.members.append(agent_id)
    numbers = [int(dump.fields["number"]) for dump in dumps.values()]
    # The run's info may be older than the last chunk that was made.
    next_chunk = max([int(run.info.get("next_chunk", 1)), *(number + 1 for number in numbers)])
    world = {name: str(run.info[name]) for name in RUN_INFO if name in run.info} | {
        "seed": str(run.seed),
        "shard_count": str(run.info.get("shard_count", 1)),
        "next_chunk": str(next_chunk),
    }
    return WorldDump(world, chunks=dumps, agents=hashes, archived=archived or "0-0")


def _chunk(chunk: ChunkState) -> ChunkDump:
    """Return a chunk without anybody in it: who is where, the agents' own records say."""
    state: Mapping[str, Any] = chunk.state
    return ChunkDump(fields=dict(state["fields"]), last_id=state["last_id"], last=state["last"])


def mend_links(chunks: Mapping[str, ChunkDump]) -> None:
    """Drop every link that does not lead to a chunk that is there and leads back."""
    for chunk_id, chunk in sorted(chunks.items()):
        for side in DIRECTIONS:
            neighbor = chunk.fields.get(side)
            if neighbor is None:
                continue
            there = chunks.get(neighbor)
            if there is not None and there.fields.setdefault(OPPOSITE[side], chunk_id) == chunk_id:
                continue
            del chunk.fields[side]


def reachable(chunks: Mapping[str, ChunkDump]) -> set[str]:
    """Return the chunks to which a way leads from the hall."""
    seen, todo = {str(HALL)}, [str(HALL)]
    while todo:
        fields = chunks[todo.pop()].fields
        for side in DIRECTIONS:
            neighbor = fields.get(side)
            if neighbor is not None and neighbor in chunks and neighbor not in seen:
                seen.add(neighbor)
                todo.append(neighbor)
    return seen
