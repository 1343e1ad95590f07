"""A private world from the past: a data directory with a moment of a recorded world, which ``chunkcrawl up`` starts.

``make_fork`` writes one file into a new directory, beside it and then renamed: the directory is whole or not there.
``begin_fork`` writes that moment's world into Redis in one transaction, where ``up`` finds neither a world there nor
snapshots of one; killed before it, the next ``up`` does it, and after it there is a world.

See docs/decisions/0092-forks.md.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import secrets
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from cluster.chunk_dump import ChunkDump
from cluster.configs import rules_of
from cluster.world_rules import stored
from cluster.world_run import begin_run, new_run_id
from config.errors import OperatorError
from config.settings import ENV_PREFIX, Settings, default
from operations.fsck import check
from operations.rebuild import LOAD_TIMEOUT_S, mend_links, reachable, world_is_lost
from operations.world_bounds import WorldOutOfBounds, check_bounds
from operations.world_dump import WorldDump, checkable
from operations.world_load import WorldThere, write_world
from operations.world_settle import Beginning, settle, try_out
from store.pg_session import patient_engine
from streaming.connect import connect
from world.ids import DIRECTIONS, HALL, ChunkId, shard_of
from world.inputs import Load
from world.key_frame import BadKeyFrame
from world.moment import Moment
from world.records import AgentRecord
from world.rules import Rules
from world.shard import ShardWorld

#: The file with the moment, in the fork's data directory.
FORK_FILE: Final = "fork.json.gz"

#: How long agents of the past stand where they are without anybody playing them.
STAY_MS: Final = 10 * 365 * 86_400_000

#: Rules that a world does not keep, which are settings of the same name.
_SETTINGS: Final = ("harvest_ticks_per_unit", "regen_ticks", "spawn_chunk_capacity")


class ForkRefused(OperatorError):
    """There can be no fork, or not there; the text says why."""

    reason = "fork_refused"


@dataclass(frozen=True, slots=True)
class Forked:
    """What came into being."""

    tick: int
    chunks: int
    agents: int

    def __str__(self) -> str:
        return f"{self.chunks} chunks and {self.agents} agents as of tick {self.tick}"


# -- making the directory --


def part_of(moment: Moment, chunk_ids: Collection[str]) -> Moment:
    """Return the moment with these chunks and the hall alone.

    Raises:
        ForkRefused: there is no such chunk, or no way leads to one.
    """
    there = moment.chunk_ids
    unknown = [one for one in chunk_ids if one not in there]
    if unknown:
        raise ForkRefused(f"at tick {moment.tick} there was no {', '.join(unknown)}")
    part = moment.only({HALL, *chunk_ids})
    try:
        found = _dump_of(part, 1, 0).chunks
    except BadKeyFrame as error:
        raise ForkRefused(f"the world of tick {moment.tick} can't go on: {error}") from None
    lost = [one for one in chunk_ids if one not in found]
    if lost:
        raise ForkRefused(f"no way leads from {HALL} to {', '.join(lost)}: name the chunks between with --chunks")
    return part


def refuse_unless_new(directory: Path) -> None:
    """Refuse a place where something is.  Raises ``ForkRefused``."""
    try:
        if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
            return
    except OSError as error:
        raise ForkRefused(f"{directory} can't be looked at: {error.strerror}") from None
    raise ForkRefused(f"{directory} holds something already: name a directory that is new or empty")


def make_fork(moment: Moment, directory: Path) -> Forked:
    """Write a fork's data directory, whole or not at all.

    Raises:
        ForkRefused: something is there, or the moment's world is not one that could go on.
        OSError: it can't be written; nothing is left.
    """
    refuse_unless_new(directory)
    dump = world_of(moment, moment.rules, run_id=new_run_id(), shards=1, now_ms=0)
    target = directory.absolute().parent.resolve() / directory.absolute().name
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.parent / f".{target.name}.{secrets.token_hex(4)}.fork"
    try:
        beside.mkdir(mode=0o700)
        _write(beside / FORK_FILE, gzip.compress(orjson.dumps(moment.to_json()), mtime=0))
        beside.rename(target)  # onto an empty directory at most
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    _sync(target.parent)
    return _told(moment, dump)


def _told(moment: Moment, dump: WorldDump) -> Forked:
    return Forked(moment.tick, len(dump.chunks), len(dump.agents))


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


def _sync(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def read_fork(path: Path) -> Moment:
    """Return the moment in a fork's file.

    Raises:
        ForkRefused: it is damaged, or of another release.
    """
    try:
        return Moment.from_json(orjson.loads(gzip.decompress(path.read_bytes())))
    except (OSError, EOFError, ValueError) as error:  # BadKeyFrame and JSON errors among them
        raise ForkRefused(f"{path} can't be read: {error}") from None


def settings_for(rules: Rules) -> list[str]:
    """Return the variables with which a start goes by the recorded rules, where the defaults would not."""
    wanted = {name: getattr(rules, name) for name in _SETTINGS}
    wanted["collect_idle_s"] = rules.collect_idle_ticks // rules.tick_hz
    return [f"{ENV_PREFIX}{name.upper()}={value}" for name, value in wanted.items() if value != default(name)]


# -- the world of it --


def world_of(moment: Moment, rules: Rules, *, run_id: str, shards: int, now_ms: int) -> WorldDump:
    """Return the moment's world as it is written into an empty Redis: its next tick is the one after the moment.

    Raises:
        ForkRefused: it is not one that could go on.
    """
    if HALL not in moment.chunk_ids:
        raise ForkRefused(f"at tick {moment.tick} the world had no {HALL} yet: choose another moment")
    try:
        dump = _dump_of(moment, shards, now_ms)
        check_bounds(dump)
        settled = settle(dump, _beginning(moment, dump, run_id, now_ms), rules)
        try_out(settled, rules)
    except (BadKeyFrame, WorldOutOfBounds, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ForkRefused(f"the world of tick {moment.tick} can't go on: {error}") from None
    if found := check(checkable(settled)):
        raise ForkRefused(f"at tick {moment.tick} the world was not whole ({found[0].text}): choose another moment")
    return settled


def _dump_of(moment: Moment, shards: int, now_ms: int) -> WorldDump:
    """Return the world as Redis would hold it: chunks to which a way leads, and who stands in them.

    A link that one side alone knows, since shards don't tick in step, is mended or left out, as when a lost Redis is
    rebuilt (``operations.rebuild``).
    """
    world = moment.world()
    dump = WorldDump(
        {
            "seed": str(moment.seed),
            "shard_count": str(shards),
            # The clock goes on from the moment's tick.
            "epoch_ms": str(max(0, now_ms - moment.tick * 1000 // moment.rules.tick_hz)),
        }
        | stored(moment.rules.of_world)
    )
    for chunk_id in world.chunk_ids:
        record = world.chunk(chunk_id)
        fields = {
            "number": str(record.number),
            "entry": record.entry or "",
            "pinned": str(int(record.pinned)),
            "shard": str(shard_of(chunk_id, shards)),
            "state": orjson.dumps(record.to_json()).decode(),
        }
        fields |= {side: other for side in DIRECTIONS if (other := record.neighbors[side]) is not None}
        dump.chunks[chunk_id] = ChunkDump(fields)
    mend_links(dump.chunks)
    for lost in dump.chunks.keys() - reachable(dump.chunks):
        del dump.chunks[lost]
    mend_links(dump.chunks)
    for name, chunk in dump.chunks.items():
        # As a shard has them once it has loaded them, so that whoever loads them next is given the same.
        loaded = ShardWorld(moment.rules, moment.seed, 0)
        loaded.apply(Load(world.chunk(ChunkId(name)), world.agents(ChunkId(name))))
        for agent in loaded.agents(ChunkId(name)):
            chunk.members.append(agent.agent_id)
            dump.agents[agent.agent_id] = _agent_fields(agent)
    dump.world["next_chunk"] = str(1 + max(int(chunk.fields["number"]) for chunk in dump.chunks.values()))
    return dump


def _agent_fields(agent: AgentRecord) -> dict[str, str]:
    return {
        "chunk": agent.chunk_id,
        "here": "1",
        "busy": agent.running.kind if agent.running is not None else "",
        "rec": orjson.dumps(agent.to_json()).decode(),
    }


def _beginning(moment: Moment, dump: WorldDump, run_id: str, now_ms: int) -> Beginning:
    return Beginning(
        run_id=run_id,
        tick=moment.tick,
        epoch=max(1, now_ms // 1000),
        seq_gap=0,
        next_chunk=int(dump.world["next_chunk"]),
        ts_ms=now_ms,
    )


# -- making it real --


async def begin_fork(settings: Settings) -> Forked | None:
    """Write the world of the data directory's fork into Redis, as ``chunkcrawl up`` does; None: nothing is to be done.

    Raises:
        ForkRefused: the fork's file can't be used.
        RedisError, SQLAlchemyError, OSError: one of the two is away; it may be tried again.
    """
    path = Path(settings.data_dir) / FORK_FILE
    if not path.exists():
        return None
    redis = connect(settings.redis_url, socket_timeout_s=LOAD_TIMEOUT_S)
    engine = patient_engine(settings.database_url)
    try:
        if not await world_is_lost(redis):
            return None
        moment = await asyncio.to_thread(read_fork, path)
        rules = rules_of(settings, moment.rules.of_world)
        seconds, micros = await redis.time()
        now_ms = seconds * 1000 + micros // 1000
        dump = await asyncio.to_thread(
            world_of, moment, rules, run_id=new_run_id(), shards=settings.shards, now_ms=now_ms
        )
        await write_world(redis, dump, over=False, stay_until_ms=now_ms + STAY_MS)
        await begin_run(engine, dump.world["run"], dump.world)
    except WorldThere:
        return None
    finally:
        await redis.aclose()
        await engine.dispose()
    return _told(moment, dump)
