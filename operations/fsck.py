"""Checks that the world in Redis is whole: links, owners, agents, cells, reservations.

``read_dump`` takes what is there in one step, so a running world can be checked; ``check`` is pure and lists what is
wrong, each finding with a stable code.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from cluster.world_rules import rules_fault
from operations.fsck_dump import Dump, agents_in_world, read_dump
from world.ids import DIRECTIONS, OPPOSITE

__all__ = ["Dump", "Problem", "agents_here", "agents_in_world", "check", "read_dump"]

#: How long after its deadline a reservation may stand: its shard takes it back soon, unless nobody remembers it.
RESERVATION_OVER_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a stable code, what it is about, and a sentence."""

    code: str
    subject: str
    text: str


def agents_here(dump: Dump) -> int:
    """Return how many agents stand in the world."""
    return sum(agent.get("here") == "1" for agent in dump.agents.values())


def check(dump: Dump) -> list[Problem]:
    """Return all findings, in a stable order; empty means whole."""
    checks = (_world, _links, _reachable, _owners, _places, _records, _reservations, _cells, _counts)
    findings = [finding for look in checks for finding in look(dump)]
    return sorted(findings, key=lambda finding: (finding.code, finding.subject, finding.text))


def _world(dump: Dump) -> Iterator[Problem]:
    if fault := rules_fault(dump.world):
        yield Problem("bad_rules", "world", fault)


def _links(dump: Dump) -> Iterator[Problem]:
    for chunk_id, chunk in dump.chunks.items():
        fields = _mapping(chunk["fields"])
        if not fields:
            yield Problem("chunk_without_record", chunk_id, "named in `chunks`, but has no hash")
        for direction in DIRECTIONS:
            neighbor = fields.get(direction)
            if neighbor is None:
                continue
            back = _mapping(dump.chunks.get(neighbor, {}).get("fields")).get(OPPOSITE[direction])
            if back != chunk_id:
                yield Problem("one_sided_link", chunk_id, f"{direction} is {neighbor}, which says {back}")


def _reachable(dump: Dump) -> Iterator[Problem]:
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
            yield Problem("orphan_chunk", chunk_id, "no way from chunk-0")


def _owners(dump: Dump) -> Iterator[Problem]:
    """Check who owns what.  A shard beyond the count may own chunks, as long as it lives and hands them over."""
    count = _number(dump.world.get("shard_count")) or 0
    for chunk_id, chunk in dump.chunks.items():
        owner = _mapping(chunk["fields"]).get("shard", "nobody")
        number = _number(owner)
        known = number is not None and (0 <= number < count or bool(dump.shards.get(owner)))
        if _mapping(chunk["fields"]) and not known:
            yield Problem("no_owner", chunk_id, f"owned by shard {owner}, of {count}")


def _places(dump: Dump) -> Iterator[Problem]:
    at: dict[str, list[str]] = defaultdict(list)
    for chunk_id, chunk in dump.chunks.items():
        for agent_id in chunk["members"] or []:
            at[agent_id].append(chunk_id)
        for handoff, arrival in _arrivals(chunk):
            if arrival is None:
                yield Problem("unreadable_arrival", chunk_id, f"what {handoff} brings can't be read")
            else:
                at[arrival["record"]["agent_id"]].append(f"inbox of {chunk_id}")
    for agent_id in sorted({*dump.agents, *at}):
        agent = _mapping(dump.agents.get(agent_id))
        here = agent.get("here") == "1"
        places = at.get(agent_id, [])
        if len(places) > 1:
            yield Problem("agent_twice", agent_id, f"in {', '.join(sorted(places))}")
        if here and not places:
            yield Problem("agent_nowhere", agent_id, f"its record says {agent.get('chunk')}, which does not know it")
        if places and not here:
            yield Problem("agent_not_here", agent_id, f"in {places[0]}, but its record says that it has left")
        if here and len(places) == 1 and places[0].removeprefix("inbox of ") != agent.get("chunk"):
            yield Problem("agent_elsewhere", agent_id, f"in {places[0]}, its record says {agent.get('chunk')}")


def _records(dump: Dump) -> Iterator[Problem]:
    """Check the record that a shard would load of each agent that stands in the world."""
    for agent_id, fields in dump.agents.items():
        agent = _mapping(fields)
        if agent.get("here") != "1":
            continue
        record = _json(agent.get("rec"))
        running = _mapping(_mapping(record).get("running"))
        if record is None:
            yield Problem("unreadable_record", agent_id, "it stands in the world, but its record can't be read")
        elif record.get("chunk_id") != agent.get("chunk"):
            yield Problem("record_elsewhere", agent_id, f"in {agent.get('chunk')}, recorded in {record['chunk_id']}")
        elif running.get("kind", "") != agent.get("busy", ""):
            yield Problem("wrong_busy", agent_id, f"shown as {agent.get('busy')!r}, runs {running.get('kind', '')!r}")


def _reservations(dump: Dump) -> Iterator[Problem]:
    if not dump.now_ms:
        return  # a backup has no reservations: what is under way is seated when it is restored
    for chunk_id, chunk in dump.chunks.items():
        reserved = _mapping(chunk["resv"])
        for handoff, arrival in _arrivals(chunk):
            cell = None if arrival is None else f"{arrival['x']},{arrival['y']}"
            if cell is not None and reserved.get(cell, "").split(" ")[0] != handoff:
                yield Problem(
                    "arrival_without_reservation", chunk_id, f"{handoff} comes to {cell}, reserved for others"
                )
        coming = {handoff for handoff, _ in _arrivals(chunk)}
        for cell, reservation in reserved.items():
            handoff, _, deadline = reservation.partition(" ")
            over_ms = dump.now_ms - (_number(deadline) or 0)
            if handoff not in coming and over_ms > RESERVATION_OVER_MS:
                yield Problem("stale_reservation", chunk_id, f"{cell} is kept for {handoff}, whose time is long over")


def _cells(dump: Dump) -> Iterator[Problem]:
    for chunk_id, chunk in dump.chunks.items():
        if "\n" not in chunk["last"]:
            continue
        delta = _json(chunk["last"].split("\n", 1)[1])
        if delta is None:
            yield Problem("unreadable_delta", chunk_id, "the last entry of its stream can't be read")
            continue
        shown = [*delta.get("agents", []), *delta.get("npcs", [])]
        for cell, number in Counter((thing["x"], thing["y"]) for thing in shown).items():
            if number > 1:
                yield Problem("shared_cell", chunk_id, f"{number} stand at {cell[0]},{cell[1]}")
        for agent_id, number in Counter(agent["id"] for agent in delta.get("agents", [])).items():
            if number > 1:
                yield Problem("agent_shown_twice", agent_id, f"{number} times in {chunk_id}")


def _counts(dump: Dump) -> Iterator[Problem]:
    for chunk_id in sorted({*dump.chunks, *dump.population}):
        members = len(dump.chunks.get(chunk_id, {}).get("members") or [])
        counted = _number(dump.population.get(chunk_id, "0"))
        if counted != members:
            yield Problem("wrong_population", chunk_id, f"`population` says {counted}, members are {members}")


# -- reading what may be damaged --


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}  # Lua can't tell an empty table's kind


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _json(value: str | None) -> dict[str, Any] | None:
    try:
        found = orjson.loads(value or "")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _arrivals(chunk: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Yield (handoff, arrival) of an inbox; None for an arrival that can't be read."""
    for handoff, value in _mapping(chunk["inbox"]).items():
        arrival = _json(value)
        whole = arrival is not None and {"x", "y"} <= arrival.keys() and "agent_id" in _mapping(arrival.get("record"))
        yield handoff, arrival if whole else None
