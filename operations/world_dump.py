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

from cluster.chunk_dump import READ_CHUNK, SCAN_COUNT, ChunkDump, agent_ids_of, chunk_dump, pairs
from operations.fsck import Dump
from streaming import keys
from streaming.connect import text
from streaming.lua import Script

SHARDS_MOST: Final = 256

# ARGV: ids of agents that may not be in the world.  Those in it are found here, so nobody who walks or joins
# meanwhile is seen twice or missed.
DUMP: Final = Script(
    "dump_lasting",
    READ_CHUNK
    + f"""
local chunks, agents, shards, seen = {{}}, {{}}, {{}}, {{}}
local function agent(id)
  if seen[id] then return end
  seen[id] = true
  local hash = redis.call('HGETALL', 'agent:' .. id)
  if #hash > 0 then agents[#agents + 1] = {{id, hash}} end
end
for _, id in ipairs(redis.call('SMEMBERS', 'chunks')) do
  local chunk = chunk_of(id)
  chunks[#chunks + 1] = {{id, chunk}}
  for _, member in ipairs(chunk[2]) do agent(member) end
  for i = 2, #chunk[3], 2 do agent(cjson.decode(chunk[3][i]).record.agent_id) end
end
for _, id in ipairs(ARGV) do agent(id) end
for n = 0, {SHARDS_MOST - 1} do
  local hash = redis.call('HGETALL', 'shard:' .. n)
  if #hash > 0 then shards[#shards + 1] = {{tostring(n), hash}} end
end
local archived = '0-0'
if redis.call('EXISTS', 'stream:archive') == 1 then
  local info = redis.call('XINFO', 'STREAM', 'stream:archive')
  for i = 1, #info, 2 do if info[i] == 'last-generated-id' then archived = info[i + 1] end end
end
return {{redis.call('HGETALL', 'world'), shards, chunks, agents, archived}}
""",
)


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
    world, shards, chunks, agents, archived = await redis.eval(DUMP.source, 0, *names)
    if not world:
        return None
    dump = WorldDump(
        world=pairs(world),
        shards={text(number): pairs(flat) for number, flat in shards},
        chunks={text(id_): chunk_dump(raw) for id_, raw in sorted(chunks)},
        agents={text(id_): pairs(flat) for id_, flat in sorted(agents)},
        archived=text(archived),
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
        found |= {text(id_): text(fields[b"m"]) for id_, fields in page}
        start = f"({text(page[-1][0])}"


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
