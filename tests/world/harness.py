"""An in-memory cluster for the tests: shards, the chunk graph, and somebody who answers their requests.

With one shard every crossing is local, with more all of them go by reservation: the same tests run on both.
It also checks, after each tick, what must always hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from world.genesis import new_chunk
from world.grid import SIDE_OF, index_of
from world.ids import OPPOSITE, AgentId, ChunkId, Direction, ServerCmdId, chunk_name
from world.inputs import (
    Arrive,
    Close,
    Decision,
    Denied,
    Done,
    Granted,
    Join,
    Joined,
    Keep,
    Leave,
    Linked,
    Load,
    NoNeighbor,
    Refusal,
    Release,
    Reserve,
    Reserved,
    Submit,
    Unlinked,
)
from world.outputs import (
    ChunkDelta,
    CollectWanted,
    Departure,
    NeighborWanted,
    Output,
    PrivateEvent,
    ReleaseWanted,
    Request,
    ReserveWanted,
)
from world.records import AgentRecord
from world.rules import Rules
from world.shard import ShardWorld

#: Without creatures and demo actors.
QUIET = Rules(demo=False)
HALL = chunk_name(0)


def is_empty(output: Output) -> bool:
    """Whether nothing in it needs a commit or an answer."""
    return not any(getattr(output, field.name) for field in fields(output) if field.name != "tick")


class TinyCluster:
    """Some shards with ``chunk-0`` on the first; new chunks go round the shards."""

    def __init__(self, shards: int = 1, rules: Rules = QUIET, seed: int = 1) -> None:
        self.rules = rules
        self.seed = seed
        self.shards = [self.make_shard(number) for number in range(shards)]
        self.home: dict[ChunkId, ShardWorld] = {}
        #: Members as the outputs told of them.
        self.where: dict[AgentId, ChunkId] = {}
        #: Records of agents that have left.
        self.away: dict[AgentId, AgentRecord] = {}
        self.travelling: list[Departure] = []
        self.graph: dict[ChunkId, dict[Direction, ChunkId]] = defaultdict(dict)
        self.chunks_made = 0
        self.tick = 0
        self.private: list[PrivateEvent] = []
        self.deltas: list[ChunkDelta] = []
        self.facts: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.closed: list[ChunkId] = []
        self.statics: list[ChunkId] = []
        self.records: dict[AgentId, AgentRecord] = {}
        #: Whether requests are answered; else they pile up in ``unanswered``.
        self.answers = True
        self.makes_neighbors = True
        self.unanswered: list[Request] = []
        self.commands = 0
        self.accepted: set[ServerCmdId] = set()
        self.add_chunk(None)
        self.pump()

    def make_shard(self, number: int) -> ShardWorld:
        """A shard's world."""
        return ShardWorld(self.rules, self.seed, number)

    # -- what a test does --

    def add_chunk(self, entry: Direction | None, neighbors: dict[Direction, ChunkId] | None = None) -> ChunkId:
        """Make the next chunk and load it on the next shard."""
        number = self.chunks_made
        self.chunks_made += 1
        shard = self.shards[number % len(self.shards)]
        record = new_chunk(self.seed, number, entry, self.rules, shard.tick, neighbors)
        self.home[record.chunk_id] = shard
        self.graph[record.chunk_id] = dict(neighbors or {})
        assert shard.apply(Load(record, [])) == Done()
        return record.chunk_id

    def join(
        self, agent_id: str, x: int | None = None, y: int | None = None, chunk: ChunkId = HALL, **fields: Any
    ) -> Joined:
        """Seat an agent near a cell."""
        record = self.away.pop(AgentId(agent_id), None) or AgentRecord(AgentId(agent_id), chunk, 0, 0, **fields)
        near = None if x is None or y is None else (x, y)
        reply = self.home[chunk].apply(Join(record, chunk, near))
        assert isinstance(reply, Joined)
        self.pump()
        return reply

    def leave(self, agent_id: str) -> AgentRecord:
        """Take an agent out."""
        shard = self.shard_with(agent_id)
        record = shard.apply(Leave(AgentId(agent_id)))
        assert isinstance(record, AgentRecord)
        self.away[record.agent_id] = record
        self.pump()
        return record

    def submit(self, agent_id: str, cmd: object, cmd_id: str | None = None) -> Decision:
        """Send a command to the shard that has the agent."""
        self.commands += 1
        name = ServerCmdId(cmd_id or f"cmd-{self.commands}")
        shard = self.shard_with(agent_id)
        decision = shard.apply(Submit(AgentId(agent_id), name, f"c-{name}", cmd, f"trace-{name}"))
        if decision.accepted and not decision.duplicate:
            self.accepted.add(name)
        self.pump()
        return decision

    def move(self, agent_id: str, x: int, y: int) -> Decision:
        """Tell an agent where to go."""
        return self.submit(agent_id, {"type": "move_to", "x": x, "y": y})

    def run(self, ticks: int = 1, each: Callable[[], object] = lambda: None) -> None:
        """Step all shards so often."""
        for _ in range(ticks):
            self.tick += 1
            for shard in self.shards:
                assert shard.step(self.tick)
            self.pump()
            self.check()
            each()

    def run_until_idle(self, most: int = 300) -> int:
        """Step until no command runs; returns the ticks that took."""
        for ticks in range(most):
            if not any(shard.busy_agents for shard in self.shards) and not self.travelling:
                return ticks
            self.run()
        raise AssertionError(f"still busy after {most} ticks")

    # -- looking --

    def shard_with(self, agent_id: str) -> ShardWorld:
        """The shard that holds an agent."""
        for shard in self.shards:
            if shard.agent(AgentId(agent_id)) is not None:
                return shard
        return self.shards[0]

    def place(self, agent_id: str) -> tuple[ChunkId, int, int]:
        """Where an agent is."""
        record = self.shard_with(agent_id).agent(AgentId(agent_id))
        assert record is not None, f"{agent_id} is nowhere"
        return record.chunk_id, record.x, record.y

    def gold(self, agent_id: str) -> int:
        """What an agent owns."""
        record = self.shard_with(agent_id).agent(AgentId(agent_id))
        assert record is not None
        return record.gold

    def told(self, agent_id: str, kind: str) -> list[dict[str, Any]]:
        """Payloads of an agent's private events of a kind, in order."""
        return [event.payload for event in self.private if event.agent_id == agent_id and event.kind == kind]

    def results(self, agent_id: str) -> list[dict[str, Any]]:
        """An agent's command results, in order."""
        return self.told(agent_id, "command_result")

    def ending(self, agent_id: str) -> tuple[str, str | None]:
        """Status and reason of an agent's last result."""
        last = self.results(agent_id)[-1]
        return last["status"], last.get("reason")

    def events(self, chunk: ChunkId = HALL, kind: str | None = None) -> list[dict[str, Any]]:
        """Shared events of a chunk so far."""
        return [
            event
            for delta in self.deltas
            if delta.chunk_id == chunk
            for event in delta.payload["events"]
            if kind is None or event["type"] == kind
        ]

    # -- the cluster's part --

    def pump(self) -> None:
        """Take all outputs and answer all requests until nothing more comes."""
        busy = True
        while busy:
            busy = False
            for shard in self.shards:
                output = shard.take()
                busy = busy or not is_empty(output)
                self._collect(output)
                for request in output.requests:
                    self.requests.append(request)
                    if self.answers:
                        self.answer(shard, request)
                    else:
                        self.unanswered.append(request)
            travellers, self.travelling = self.travelling, []
            for departure in travellers:
                self.deliver(departure)
                busy = True

    def deliver(self, departure: Departure) -> None:
        """Bring an arrival to its shard."""
        arrival = Arrive(departure.handoff_id, departure.record, departure.to_chunk, departure.x, departure.y)
        assert self.home[departure.to_chunk].apply(arrival) == Joined(departure.x, departure.y)

    def _collect(self, output: Output) -> None:
        self.deltas += output.deltas
        self.private += output.private
        self.facts += output.archive
        self.statics += output.statics
        self.travelling += output.departures
        self.records.update(output.agents)
        for chunk_id, agent_id, joined in output.members:
            if joined:
                assert agent_id not in self.where
                self.where[agent_id] = chunk_id
            else:
                assert self.where.pop(agent_id) == chunk_id
        for chunk_id in output.closed:
            self.closed.append(chunk_id)
            del self.home[chunk_id]
            for side, neighbor in self.graph.pop(chunk_id).items():
                del self.graph[neighbor][OPPOSITE[side]]
                self.home[neighbor].apply(Unlinked(neighbor, OPPOSITE[side]))

    def answer(self, shard: ShardWorld, request: Request) -> None:
        """Do what a request asks for."""
        if isinstance(request, NeighborWanted):
            self._make_neighbor(shard, request)
        elif isinstance(request, ReserveWanted):
            home = self.home.get(request.to_chunk, self.shards[0])
            kept = home.apply(Reserve(request.handoff_id, request.agent_id, request.to_chunk, request.x, request.y))
            if not isinstance(kept, Reserved):
                return  # collected meanwhile; the source hears of it by ``Unlinked``
            if kept.ok:
                shard.apply(Granted(request.handoff_id, request.agent_id))
            else:
                shard.apply(Denied(request.handoff_id, request.agent_id, kept.blocker))
        elif isinstance(request, ReleaseWanted):
            home = self.home.get(request.to_chunk, self.shards[0])
            home.apply(Release(request.handoff_id, request.to_chunk))
        else:
            assert isinstance(request, CollectWanted)
            if shard.apply(Close(request.chunk_id)) != Done():
                shard.apply(Keep(request.chunk_id))

    def _make_neighbor(self, shard: ShardWorld, request: NeighborWanted) -> None:
        if not self.makes_neighbors:
            shard.apply(NoNeighbor(request.chunk_id, request.direction, "no_more_chunks"))
            return
        side = request.direction
        known = self.graph[request.chunk_id].get(side)
        if known is None:
            known = self.add_chunk(OPPOSITE[side], {OPPOSITE[side]: request.chunk_id})
            self.graph[request.chunk_id][side] = known
        shard.apply(Linked(request.chunk_id, side, known))

    # -- what must always hold --

    def check(self) -> None:
        """No shared cell, nobody in a wall, nobody twice or lost; one result for each accepted command."""
        seen: dict[str, ChunkId] = {}
        for chunk_id, shard in self.home.items():
            delta, static = shard.chunk_delta(chunk_id), shard.chunk_static(chunk_id)
            bodies = delta["agents"] + delta["npcs"]
            cells = [(body["x"], body["y"]) for body in bodies]
            assert len(cells) == len(set(cells)), f"a shared cell in {chunk_id}: {bodies}"
            assert all(static["tiles"][y][x] == "." for x, y in cells)
            assert all(SIDE_OF[index_of(npc["x"], npc["y"])] is None for npc in delta["npcs"])
            for agent in delta["agents"]:
                assert agent["id"] not in seen, f"{agent['id']} is in two places"
                seen[agent["id"]] = chunk_id
        assert seen == self.where
        running = {
            record.running.server_cmd_id
            for chunk_id, shard in self.home.items()
            for record in shard.agents(chunk_id)
            if record.running
        }
        ended = [event.payload["server_cmd_id"] for event in self.private if event.kind == "command_result"]
        assert len(ended) == len(set(ended)), "two results for one command"
        assert set(ended) | running == self.accepted
        assert not set(ended) & running

    def gold_balance(self) -> tuple[int, int]:
        """Gold that there should be (as generated and grown back), and gold that there is."""
        should = sum(fact["amount"] for fact in self.facts if fact["fact"] == "regenerated")
        there = sum(record.gold for record in self.away.values())
        for chunk_id, shard in self.home.items():
            should += sum(node["max_remaining"] for node in shard.chunk_static(chunk_id)["resource_nodes"])
            there += sum(node["remaining"] for node in shard.chunk_delta(chunk_id)["resources"])
            there += sum(record.gold for record in shard.agents(chunk_id))
        return should, there


def refused(decision: Decision | Refusal) -> str | None:
    """The reason of a refusal; None for something accepted."""
    if isinstance(decision, Refusal):
        return decision.reason
    return None if decision.accepted else decision.reason
