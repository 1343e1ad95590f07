"""Checks that the world in Redis is whole: links, owners, agents, cells, promises.

``read_dump`` takes what is there in one transaction, so a running world can be checked; ``check`` is pure and lists
what is wrong, each finding with a stable code.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from redis.asyncio import Redis

from streaming.lua import Script
from world.ids import OPPOSITE, Direction

DIRECTIONS: tuple[Direction, ...] = ("N", "E", "S", "W")

# One look at everything: a checker that reads piece by piece sees an agent that walks meanwhile twice or nowhere.
DUMP = Script(
    "dump_world",
    """
local out = {world = {}, chunks = {}, agents = {}, population = {}}
local function pairs_of(key)
  local flat, map = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end
out.world = pairs_of('world')
out.population = pairs_of('population')
local seen = {}
for _, id in ipairs(redis.call('SMEMBERS', 'chunks')) do
  local c = pairs_of('chunk:' .. id)
  c['state'] = nil
  local members = redis.call('SMEMBERS', 'members:' .. id)
  local last = redis.call('XREVRANGE', 'stream:chunk:' .. id, '+', '-', 'COUNT', 1)
  out.chunks[id] = {fields = c, members = members, inbox = pairs_of('inbox:' .. id), resv = pairs_of('resv:' .. id),
    last = last[1] and last[1][2][2] or ''}
  for _, a in ipairs(members) do seen[a] = true end
  for _, arrival in pairs(out.chunks[id].inbox) do seen[cjson.decode(arrival).record.agent_id] = true end
end
for a, _ in pairs(seen) do out.agents[a] = pairs_of('agent:' .. a) end
for _, a in ipairs(ARGV) do out.agents[a] = pairs_of('agent:' .. a) end
return cjson.encode(out)
""",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: a stable code, what it is about, and a sentence."""

    code: str
    subject: str
    text: str


@dataclass(slots=True)
class Dump:
    """The world's keys at one moment, as plain values."""

    world: dict[str, str] = field(default_factory=dict)
    population: dict[str, str] = field(default_factory=dict)
    chunks: dict[str, dict[str, Any]] = field(default_factory=dict)
    agents: dict[str, dict[str, str]] = field(default_factory=dict)


async def read_dump(redis: Redis, agent_ids: list[str] | None = None) -> Dump:
    """Everything in one look.  ``agent_ids``: agents to look at besides those that some chunk names."""
    data = orjson.loads(await redis.eval(DUMP.source, 0, *(agent_ids or [])))
    return Dump(*(_mapping(data[name]) for name in ("world", "population", "chunks", "agents")))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}  # Lua can't tell an empty table's kind


def check(dump: Dump) -> list[Finding]:
    """All findings, in a stable order; empty means whole."""
    findings = [*_links(dump), *_reachable(dump), *_places(dump), *_cells(dump), *_counts(dump)]
    return sorted(findings, key=lambda finding: (finding.code, finding.subject))


def _links(dump: Dump) -> Iterator[Finding]:
    count = int(dump.world.get("shard_count", 0))
    for chunk_id, chunk in dump.chunks.items():
        fields = chunk["fields"]
        if not fields:
            yield Finding("chunk_without_record", chunk_id, "named in `chunks`, but has no hash")
            continue
        if not 0 <= int(fields.get("shard", -1)) < count:
            yield Finding("no_owner", chunk_id, f"owned by shard {fields.get('shard')}, of {count}")
        for direction in DIRECTIONS:
            neighbor = fields.get(direction)
            if neighbor is None:
                continue
            back = _mapping(dump.chunks.get(neighbor, {}).get("fields")).get(OPPOSITE[direction])
            if back != chunk_id:
                yield Finding("one_sided_link", chunk_id, f"{direction} is {neighbor}, which says {back}")


def _reachable(dump: Dump) -> Iterator[Finding]:
    seen, todo = {"chunk-0"}, ["chunk-0"]
    while todo:
        fields = _mapping(dump.chunks.get(todo.pop(), {}).get("fields"))
        for direction in DIRECTIONS:
            neighbor = fields.get(direction)
            if neighbor in dump.chunks and neighbor not in seen:
                seen.add(neighbor)
                todo.append(neighbor)
    for chunk_id in dump.chunks:
        if chunk_id not in seen:
            yield Finding("orphan_chunk", chunk_id, "no way from chunk-0")


def _places(dump: Dump) -> Iterator[Finding]:
    at: dict[str, list[str]] = defaultdict(list)
    for chunk_id, chunk in dump.chunks.items():
        for agent_id in chunk["members"] or []:
            at[agent_id].append(chunk_id)
        for arrival in _mapping(chunk["inbox"]).values():
            at[orjson.loads(arrival)["record"]["agent_id"]].append(f"inbox of {chunk_id}")
    for agent_id, agent in dump.agents.items():
        here = _mapping(agent).get("here") == "1"
        places = at.get(agent_id, [])
        if len(places) > 1:
            yield Finding("agent_twice", agent_id, f"in {', '.join(sorted(places))}")
        if here and not places:
            yield Finding("agent_nowhere", agent_id, f"its record says {agent.get('chunk')}, which does not know it")
        if places and not here:
            yield Finding("agent_not_here", agent_id, f"in {places[0]}, but its record says that it has left")
        if here and len(places) == 1 and places[0].removeprefix("inbox of ") != agent.get("chunk"):
            yield Finding("agent_elsewhere", agent_id, f"in {places[0]}, its record says {agent.get('chunk')}")


def _cells(dump: Dump) -> Iterator[Finding]:
    for chunk_id, chunk in dump.chunks.items():
        if "\n" not in chunk["last"]:
            continue
        delta = orjson.loads(chunk["last"].split("\n", 1)[1])
        shown = [*delta.get("agents", []), *delta.get("npcs", [])]
        for cell, number in Counter((thing["x"], thing["y"]) for thing in shown).items():
            if number > 1:
                yield Finding("shared_cell", chunk_id, f"{number} stand at {cell[0]},{cell[1]}")
        for agent_id, number in Counter(agent["id"] for agent in delta.get("agents", [])).items():
            if number > 1:
                yield Finding("agent_shown_twice", agent_id, f"{number} times in {chunk_id}")


def _counts(dump: Dump) -> Iterator[Finding]:
    for chunk_id, chunk in dump.chunks.items():
        counted, members = int(dump.population.get(chunk_id, 0)), len(chunk["members"] or [])
        if counted != members:
            yield Finding("wrong_population", chunk_id, f"`population` says {counted}, members are {members}")
