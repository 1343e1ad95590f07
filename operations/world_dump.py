"""Everything in Redis that must last, at one moment: the world without connections, sessions and limits.

Kept are the hashes ``world``, ``shard:``, ``chunk:`` and ``agent:``, the members, inboxes and reserved cells of chunks,
and of each chunk's stream its newest entry, which with the records is the whole state.  Not kept: sessions,
challenges, slots in flight, limits, mutes, presence, connections, locks, status, the rest of the streams, and
``static:``, which follows from the seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson
from redis.asyncio import Redis

from cluster.chunk_dump import SCAN_COUNT, ChunkDump, agent_ids_of, chunk_dump, pairs
from operations.fsck import Dump
from streaming import keys
from streaming.connect import as_text
from streaming.lua import load, run

SHARDS_MOST: Final = 256

DUMP: Final = load("operations/dump_world.lua", SHARDS_MOST=SHARDS_MOST)


@dataclass(slots=True)
class WorldDump:
    """The world.  ``archived``: id of the last entry that ``stream:archive`` was given; ``facts``: those that wait."""

    world: dict[str, str]
    shards: dict[str, dict[str, str]] = field(default_factory=dict)
    chunks: dict[str, ChunkDump] = field(default_factory=dict)
    agents: dict[str, dict[str, str]] = field(default_factory=dict)
    archived: str = "0-0"
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def tick(self) -> int:
        """The highest tick of any of its parts."""
        ticks = [int(shard.get("tick", "-1")) for shard in self.shards.values()]
        return max([0, *ticks, *(chunk.tick for chunk in self.chunks.values())])

    def counts(self) -> dict[str, int]:
        """Return how many chunks, agents and facts there are."""
        here = sum(agent.get("here") == "1" for agent in self.agents.values())
        return {
            "chunks": len(self.chunks),
            "agents": len(self.agents),
            "agents_in_world": here,
            "facts": len(self.facts),
        }


# -- from Redis --


async def read_world(redis: Redis, *, facts: bool = True) -> WorldDump | None:
    """Return the world in Redis at one moment; None when there is none.

    ``facts``: with what waits for the archiver.  An entry that is not among them any more was in PostgreSQL before
    this returned.
    """
    names = [agent_id async for agent_id in agent_ids_of(redis)]
    world, shards, chunks, agents, archived = await run(redis, DUMP(others=names))
    if not world:
        return None
    dump = WorldDump(
        world=pairs(world),
        shards={as_text(number): pairs(flat) for number, flat in shards},
        chunks={as_text(id_): chunk_dump(raw) for id_, raw in sorted(chunks)},
        agents={as_text(id_): pairs(flat) for id_, flat in sorted(agents)},
        archived=as_text(archived),
    )
    if facts and dump.archived != "0-0":
        dump.facts = await _facts(redis, dump.archived)
    return dump


async def _facts(redis: Redis, upto: str) -> dict[str, str]:
    found: dict[str, str] = {}
    start = "-"
    while True:
        page: Any = await redis.xrange(keys.ARCHIVE_STREAM, start, upto, count=SCAN_COUNT)
        if not page:
            return found
        found |= {as_text(id_): as_text(fields[b"m"]) for id_, fields in page}
        start = f"({as_text(page[-1][0])}"


def checkable(dump: WorldDump) -> Dump:
    """Return the dump as the checker wants it."""
    chunks = {
        id_: {"fields": c.fields, "members": c.members, "inbox": c.inbox, "resv": c.reserved, "last": c.last}
        for id_, c in dump.chunks.items()
    }
    population = {id_: str(len(chunk.members)) for id_, chunk in dump.chunks.items()}
    return Dump(dump.world, population, chunks, dump.agents)


# -- as lines of JSON --


def to_lines(dump: WorldDump) -> Iterator[bytes]:
    """Yield one JSON object a line: the world first, then chunks, agents and facts by id."""
    yield orjson.dumps({"world": dump.world, "shards": dump.shards, "archived": dump.archived})
    for id_, chunk in dump.chunks.items():
        yield orjson.dumps({"chunk": id_, **asdict(chunk)})
    for id_, fields in dump.agents.items():
        yield orjson.dumps({"agent": id_, "fields": fields})
    for id_, payload in dump.facts.items():
        yield orjson.dumps({"fact": id_, "payload": payload})


def from_lines(lines: Iterable[bytes]) -> WorldDump:
    """Read what ``to_lines`` wrote.

    Raises:
        ValueError: it is something else (``orjson.JSONDecodeError`` among it).
    """
    dump: WorldDump | None = None
    try:
        for line in lines:
            data: Mapping[str, Any] = orjson.loads(line)
            if dump is None:
                dump = WorldDump(data["world"], data["shards"], archived=data["archived"])
            elif "chunk" in data:
                dump.chunks[data["chunk"]] = ChunkDump(**{k: v for k, v in data.items() if k != "chunk"})
            elif "agent" in data:
                dump.agents[data["agent"]] = data["fields"]
            else:
                dump.facts[data["fact"]] = data["payload"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a dump of a world: {error!r}") from None
    if dump is None:
        raise ValueError("not a dump of a world: it is empty")
    return dump
