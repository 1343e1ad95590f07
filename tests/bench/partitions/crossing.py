"""Agents that cross from a chunk of one partition into a chunk of another, from whatever a killed process has left.

One process has both leases here, which two shards have in a world; the steps and their order are the design's:

| point | partition | what |
| --- | --- | --- |
| ``ask`` | source | a tick's commit notes the intent, with a deadline on its node's clock |
| ``reserve`` | target | the cell is reserved for this attempt |
| ``go`` | source | **the commit point**: if the intent stands, result, transition, record out, arrival in the outbox |
| ``deliver`` | target | the arrival is in the inbox, once |
| ``seat`` | target | the record is in, the cell taken; inbox and reservation are empty |
| ``forget`` | source | the outbox is empty |

``faults`` says what must hold in between, and in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from streaming import keys
from streaming.commit import AgentEvent
from tests.bench.partitions.journal import Journal, PartitionBatch
from tests.bench.partitions.partition import DELIVER, Partition

__all__ = ["HERE", "POINTS", "THERE", "Crossing", "faults", "fill"]

POINTS: Final = ("ask", "reserve", "go", "deliver", "seat", "forget")
HERE: Final = "chunk-a"
THERE: Final = "chunk-b"
TTL_MS: Final = 60_000
REPLAY_TICKS: Final = 300


@dataclass(frozen=True, slots=True)
class Arrival:
    """One agent on its way, as outbox and inbox hold it."""

    reservation: str
    chunk_id: str
    agent_id: str
    seq: int
    pieces: str
    refused: str
    record: dict[str, Any]

    @classmethod
    def parse(cls, entry: bytes) -> Arrival:
        """Read an entry."""
        head, _, record = entry.partition(b"\n")
        reservation, chunk_id, agent_id, seq, pieces, refused = head.decode().split(" ")
        return cls(reservation, chunk_id, agent_id, int(seq), pieces, refused, orjson.loads(record))


def show(batch: PartitionBatch, chunk_id: str, agents: Sequence[str], prev: str) -> None:
    """Add a chunk's delta."""
    tick = batch.tick
    payload = orjson.dumps({"chunk_id": chunk_id, "tick": tick, "agents": [{"id": agent} for agent in agents]})
    minid = str(max(0, tick - REPLAY_TICKS))
    batch.chunk_entry(chunk_id, f"{tick}-0", prev, "chunk_delta", 0, f"tick-{tick}", payload, minid)


def put_record(batch: PartitionBatch, agent_id: str, chunk_id: str, n: int, command: str, told: AgentEvent) -> None:
    """Add an agent's record and an event of it; ``command``: the one that it is at, or empty."""
    record = {"agent_id": agent_id, "chunk": chunk_id, "n": n, "running": command}
    busy = "move_to" if command else ""
    batch.agent_record(agent_id, chunk_id, here=True, busy=busy, record=orjson.dumps(record), events=[told])


def event(kind: str, payload: dict[str, Any]) -> AgentEvent:
    """An event for an agent's stream."""
    return AgentEvent(kind, 1, "t", orjson.dumps(payload))


async def fill(journal: Journal, agents: Sequence[str]) -> None:
    """Put agents into the source's chunk, each with a command that was accepted: out of it."""
    batch = journal.batch()
    for n, agent_id in enumerate(agents):
        command = f"cmd-{agent_id}"
        batch.bring(agent_id, 0, f"1:{journal.partition}", "-")
        told = event("command_ack", {"server_cmd_id": command, "accepted": True})
        put_record(batch, agent_id, HERE, n, command, told)
        batch.member(HERE, agent_id, joined=True)
    show(batch, HERE, agents, "0-0")
    await journal.commit("fill", batch)


class Crossing:
    """Lets every agent of the source's chunk that is at a command go, and brings all that are on their way in."""

    def __init__(self, source: Journal, target: Journal) -> None:
        self._source = source
        self._target = target

    async def run(self) -> None:
        """Do what is left to do.

        Raises:
            Refused: another epoch has one of the leases.
        """
        if going := await self._going():
            await self._go(going)
        await self._deliver()
        await self._seat()
        await self._forget()

    async def _going(self) -> dict[str, dict[str, Any]]:
        redis, key = self._source.redis, self._source.partition.key
        found = {}
        for member in sorted(await redis.smembers(key(keys.members(HERE)))):
            record = orjson.loads(await redis.hget(key(keys.agent(member.decode())), "rec"))
            if record["running"]:
                found[member.decode()] = record
        return found

    async def _go(self, going: dict[str, dict[str, Any]]) -> None:
        source, target = self._source, self._target
        attempt = source.next_number
        asking = source.batch()
        for agent_id in going:
            asking.intend(handoff_of(agent_id), attempt, TTL_MS)
        await source.commit("ask", asking)
        reserving = target.batch()
        for agent_id, record in going.items():
            reserving.reserve(THERE, (0, record["n"]), self._reservation(agent_id, attempt), TTL_MS)
        await target.commit("reserve", reserving)
        leaving = source.batch()
        for agent_id, record in going.items():
            self._leave(leaving, agent_id, attempt, record)
        show(leaving, HERE, [], await newest(source, HERE))
        await source.commit("go", leaving)

    def _reservation(self, agent_id: str, attempt: int) -> str:
        return reservation_of(agent_id, attempt, self._source.partition)

    def _leave(self, batch: PartitionBatch, agent_id: str, attempt: int, record: dict[str, Any]) -> None:
        command, handoff = record["running"], handoff_of(agent_id)
        batch.only_if_intended(handoff, attempt)
        batch.member(HERE, agent_id, joined=False)
        moved = {"from": HERE, "to": THERE, "partition": str(self._target.partition)}
        ended = {"server_cmd_id": command, "status": "completed"}
        batch.agent_events(agent_id, [event("chunk_transition", moved), event("command_result", ended)])
        batch.archive(orjson.dumps({"fact": "crossing", "agent_id": agent_id, **moved}))
        arrival = orjson.dumps({**record, "running": ""})
        batch.go(self._target.partition, handoff, self._reservation(agent_id, attempt), agent_id, THERE, arrival)

    async def _deliver(self) -> None:
        """Send what is in the outbox; in a world with replicas, once they have the source's commit."""
        source, target = self._source.partition, self._target.partition
        outbox = await self._source.redis.hgetall(source.key(f"outbox:{target}"))
        arrivals = []
        for number, entry in sorted(outbox.items(), key=lambda item: int(item[0])):
            arrival = Arrival.parse(entry)
            arrivals.append((int(number), arrival.chunk_id, arrival.reservation, entry))
        if arrivals:
            call = target.script(DELIVER)(taken=target.key("taken"), source=str(source), arrivals=arrivals)
            await self._target.stop.run("deliver", self._target.redis, call)

    async def _seat(self) -> None:
        target = self._target
        inbox = await target.redis.hgetall(target.partition.key(keys.inbox(THERE)))
        if not inbox:
            return
        batch = target.batch()
        for arrival in map(Arrival.parse, inbox.values()):
            agent_id, n = arrival.agent_id, arrival.record["n"]
            pieces = f"{arrival.pieces},{arrival.seq + 1}:{target.partition}"
            batch.bring(agent_id, arrival.seq, pieces, arrival.refused)
            put_record(batch, agent_id, THERE, n, "", event("agent_placed", {"chunk_id": THERE}))
            batch.member(THERE, agent_id, joined=True)
            batch.seated(THERE, (0, n), arrival.reservation)
        there = await target.redis.smembers(target.partition.key(keys.members(THERE)))
        agents = {member.decode() for member in there} | {Arrival.parse(one).agent_id for one in inbox.values()}
        show(batch, THERE, sorted(agents), await newest(target, THERE))
        await target.commit("seat", batch)

    async def _forget(self) -> None:
        """Forget what the target has; in a world with replicas, once those of the target have it."""
        source, target = self._source.partition, self._target.partition
        taken = await self._target.redis.hget(target.key("taken"), str(source))
        if taken and await self._source.redis.hlen(source.key(f"outbox:{target}")):
            batch = self._source.batch()
            batch.forget(target, int(taken))
            await self._source.commit("forget", batch)


def handoff_of(agent_id: str) -> str:
    """The name of the crossing of its one command."""
    return f"h-cmd-{agent_id}"


def reservation_of(agent_id: str, attempt: int, source: Partition) -> str:
    """The name of a cell's reservation: whose, which attempt, and whom to ask before it is freed."""
    return f"{handoff_of(agent_id)}/{attempt}/{source}"


async def newest(journal: Journal, chunk_id: str) -> str:
    """The id of the last entry of a chunk's stream."""
    found = await journal.redis.xrevrange(journal.partition.key(keys.chunk_stream(chunk_id)), count=1)
    return found[0][0].decode() if found else "0-0"


# -- what must hold --


@dataclass(frozen=True, slots=True)
class Side:
    """One partition and a client of its node."""

    #: A client of the node; redis-py's types do not know that ours give bytes.
    redis: Any
    partition: Partition

    async def hash(self, name: str) -> dict[str, str]:
        """A hash as text."""
        found = await self.redis.hgetall(self.partition.key(name))
        return {key.decode(): value.decode() for key, value in found.items()}

    async def members(self, chunk_id: str) -> set[str]:
        """Agents that stand in a chunk."""
        return {one.decode() for one in await self.redis.smembers(self.partition.key(keys.members(chunk_id)))}

    async def stream(self, name: str) -> list[tuple[str, str, list[str]]]:
        """Entries of a stream: id, id of the one before, kinds of the events."""
        found = []
        for id_, fields in await self.redis.xrange(self.partition.key(name)):
            prev, _, rest = fields[b"m"].decode().partition(" ")
            found.append((id_.decode(), prev, [head.split(" ")[0] for head in rest.split("\n")[::2]]))
        return found


async def faults(source: Side, target: Side, agents: Sequence[str], *, ended: bool) -> list[str]:
    """What is wrong: at any moment, and, when ``ended``, with the end."""
    found = []
    outbox = await source.hash(f"outbox:{target.partition}")
    taken = int((await target.hash("taken")).get(str(source.partition), "0"))
    inbox = await target.hash(keys.inbox(THERE))
    for agent_id in agents:
        found += await _agent_faults(source, target, agent_id, outbox, taken, inbox, ended=ended)
    for side, chunk_id in ((source, HERE), (target, THERE)):
        found += _chain_faults(chunk_id, await side.stream(keys.chunk_stream(chunk_id)))
    crossed = [
        orjson.loads(fields[b"m"])["agent_id"]
        for _, fields in await source.redis.xrange(source.partition.key(keys.ARCHIVE_STREAM))
    ]
    if len(crossed) != len(set(crossed)) or (ended and sorted(crossed) != sorted(agents)):
        found.append(f"facts of crossings: {crossed}")
    if ended:
        sent = (await source.hash("sent")).get(str(target.partition), "0")
        left = {"outbox": outbox, "inbox": inbox, "intents": await source.hash("intents")}
        left["reservations"] = await target.hash(keys.reservations(THERE))
        found += [f"{name} is left: {rest}" for name, rest in left.items() if rest]
        if int(sent) != taken or taken != len(agents):
            found.append(f"{sent} were sent, {taken} taken")
        if await source.members(HERE) or await target.members(THERE) != set(agents):
            found.append("members are not where their agents are")
    return found


async def _agent_faults(
    source: Side,
    target: Side,
    agent_id: str,
    outbox: dict[str, str],
    taken: int,
    inbox: dict[str, str],
    *,
    ended: bool,
) -> list[str]:
    places = {
        "source": bool(await source.redis.exists(source.partition.key(keys.agent(agent_id)))),
        "outbox": any(f" {agent_id} " in entry for number, entry in outbox.items() if int(number) > taken),
        "inbox": any(f" {agent_id} " in entry for entry in inbox.values()),
        "target": bool(await target.redis.exists(target.partition.key(keys.agent(agent_id)))),
    }
    found = []
    if sum(places.values()) != 1:
        found.append(f"{agent_id} is not in one place: {places}")
    if ended and not places["target"]:
        found.append(f"{agent_id} has not come: {places}")
    entries = [entry for side in (source, target) for entry in await side.stream(keys.agent_stream(agent_id))]
    found += _chain_faults(agent_id, entries)
    kinds = [kind for *_, some in entries for kind in some]
    if entries and entries[-1][0] != f"{len(kinds)}-0":
        found.append(f"numbers of {agent_id}: {[id_ for id_, *_ in entries]}")
    whole = ["command_ack", "chunk_transition", "command_result", "agent_placed"]
    if kinds != whole[: len(kinds)] or (ended and kinds != whole) or len(kinds) == 2:
        found.append(f"events of {agent_id}: {kinds}")
    return found


def _chain_faults(whose: str, entries: list[tuple[str, str, list[str]]]) -> list[str]:
    before = "0-0"
    for id_, prev, _ in entries:
        if prev != before:
            return [f"{whose}: {id_} follows {prev}, not {before}"]
        before = id_
    return []
