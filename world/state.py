"""A shard's whole game state, and the ways in which every rule reports what it did.

The rules are functions over a ``ShardState``, each file one rule; ``world.shard`` calls them in the order
of docs/decisions/0002-command-order.md.
"""

from __future__ import annotations

from heapq import heappush
from typing import Any, Final, Literal

from world.actors import ActivityState, Actor
from world.chunk import Chunk
from world.grid import X_OF, Y_OF
from world.ids import AgentId, ChunkId, HandoffId, Tick
from world.inputs import Occupant, Submit
from world.outputs import ChunkDelta, Output, PrivateEvent, PrivateKind
from world.rules import Rules
from world.running import Running, Ticket

Status = Literal["completed", "failed"]

#: Handoffs that stay known after their arrival, to recognise one told twice.
SEATED_REMEMBERED: Final = 4_096


def blocker_json(by: Occupant | None) -> dict[str, Any] | None:
    """Return the field ``blocker`` of acks and results."""
    return {"id": by.id, "x": by.x, "y": by.y} if by else None


class ShardState:
    """Everything that a shard knows of its chunks and agents."""

    def __init__(self, rules: Rules, world_seed: int, *, quiet: bool = False) -> None:
        self.rules = rules
        self.world_seed = world_seed
        #: Nobody is told what is private or kept: outputs have the chunks' events and the requests alone.
        self.quiet: Final = quiet
        self.tick = Tick(0)
        self.chunks: dict[ChunkId, Chunk] = {}
        #: The chunks with agents in them.
        self.inhabited: dict[ChunkId, Chunk] = {}
        self.agents: dict[AgentId, Actor] = {}
        #: Agents with a running command, in the order of acceptance.
        self.runners: dict[AgentId, Actor] = {}
        #: The next acceptance's number.
        self.accepted = 0
        #: Heap of (tick, chunk, node index): when a node's state may change by itself.
        self.regrowth: list[tuple[Tick, ChunkId, int]] = []
        #: Heap of (tick, chunk): when a chunk may have been idle for long enough.
        self.idle_checks: list[tuple[Tick, ChunkId]] = []
        self.seated: dict[HandoffId, None] = {}
        #: Chunks of which the next step shows a delta.
        self.changed: list[Chunk] = []
        #: Chunks that somebody has joined: their delta need not wait for the step.
        self._joined: list[Chunk] = []
        self._changed_agents: dict[AgentId, Actor] = {}
        self._changed_chunks: dict[ChunkId, Chunk] = {}
        self.out = Output(self.tick)

    @property
    def next_tick(self) -> Tick:
        """The least number of the next step; commands accepted now start then."""
        return Tick(self.tick + 1)

    def chunk_of(self, actor: Actor) -> Chunk:
        """Return the chunk in which an agent of this shard stands."""
        return self.chunks[actor.chunk_id]

    def ticket(self, submit: Submit) -> Ticket:
        """Take the next place in the order of acceptance for a command."""
        order = self.accepted
        self.accepted += 1
        return Ticket(submit.server_cmd_id, submit.client_cmd_id, submit.trace_id, self.next_tick, order)

    # -- what changed --

    def take(self) -> Output:
        """Hand over what came of everything since the last call, and forget it."""
        self._show_joined()
        out = self.out
        tick = out.tick = self.tick
        for agent_id, actor in self._changed_agents.items():
            out.agents[agent_id] = actor.to_record(tick)
        for chunk_id, chunk in self._changed_chunks.items():
            out.chunks[chunk_id] = chunk.to_record(tick)
        self._changed_agents = {}
        self._changed_chunks = {}
        self.out = Output(tick)
        return out

    def show(self, chunk: Chunk) -> None:
        """Mark the chunk: its next delta is due."""
        if not chunk.changed:
            chunk.changed = True
            self.changed.append(chunk)

    def show_soon(self, chunk: Chunk) -> None:
        """Mark the chunk: its delta is due with the next ``take`` already, unless the present tick has had one."""
        self.show(chunk)
        self._joined.append(chunk)

    def _show_joined(self) -> None:
        joined, self._joined = self._joined, []
        for chunk in joined:
            if chunk.changed and chunk.shown_at < self.tick and self.chunks.get(chunk.id) is chunk:
                self.changed.remove(chunk)
                self.publish(chunk)
                self.keep_chunk(chunk)  # the record's events have been shown

    def publish(self, chunk: Chunk) -> None:
        """Give out the chunk's delta of the present tick: one at most, for a chunk's ticks only rise."""
        events, chunk.events = chunk.events, []
        chunk.changed = False
        chunk.shown_at = self.tick
        if self.quiet:
            if events:
                self.out.deltas.append(ChunkDelta(chunk.id, self.tick, {"events": events}))
            return
        self.out.deltas.append(ChunkDelta(chunk.id, self.tick, chunk.payload(self.tick, events)))

    def event(self, chunk: Chunk, kind: str, **fields: Any) -> None:
        """Add a shared event to the chunk's next delta."""
        chunk.events.append({"type": kind, **fields})
        self.show(chunk)

    def keep(self, actor: Actor) -> None:
        """Mark the agent's record as changed."""
        if not self.quiet:
            self._changed_agents[actor.id] = actor

    def keep_chunk(self, chunk: Chunk) -> None:
        """Mark the chunk's record as changed."""
        if not self.quiet:
            self._changed_chunks[chunk.id] = chunk

    def forget(self, actor: Actor) -> None:
        """Drop the agent's record: it has left this shard, and others write it from here on."""
        self._changed_agents.pop(actor.id, None)
        self.out.agents.pop(actor.id, None)

    def forget_chunk(self, chunk: Chunk) -> None:
        """Drop the chunk's record: it has left this shard."""
        self._changed_chunks.pop(chunk.id, None)
        self.out.chunks.pop(chunk.id, None)

    def fact(self, fact: str, chunk_id: ChunkId, agent_id: AgentId | None, **fields: Any) -> None:
        """Add a line for the event log."""
        if self.quiet:
            return
        line = {"fact": fact, "tick": self.tick, "chunk_id": chunk_id, "agent_id": agent_id}
        self.out.archive.append({**line, **fields})

    def private(self, actor: Actor, kind: PrivateKind, payload: dict[str, Any], trace_id: str = "") -> None:
        """Add an event for an agent and its owner alone; what comes of no command has the tick for its trace."""
        if self.quiet:
            return
        self.out.private.append(PrivateEvent(actor.id, kind, payload, trace_id or f"tick-{self.tick}"))

    # -- the life of a command --

    def set_state(self, actor: Actor, state: ActivityState) -> None:
        """Change what everyone sees of an agent's activity."""
        if actor.state != state:
            actor.state = state
            actor.show()
            self.show(self.chunk_of(actor))

    def start(self, actor: Actor, running: Running, state: ActivityState) -> None:
        """Start an accepted command; it acts in the next step, behind all accepted before it."""
        actor.running = running
        self.runners[actor.id] = actor
        self.set_state(actor, state)

    def finish(self, actor: Actor, status: Status, reason: str | None = None, **details: Any) -> None:
        """End the running command with its one result."""
        running = actor.running
        if running is None:
            return
        actor.running = None
        self.runners.pop(actor.id, None)
        self.set_state(actor, "idle")
        if self.quiet:
            return
        ticket = running.ticket
        payload: dict[str, Any] = {
            "server_cmd_id": ticket.server_cmd_id,
            "client_cmd_id": ticket.client_cmd_id,
            "status": status,
            "ended_tick": self.tick,
        }
        if reason is not None:
            payload["reason"] = reason
        payload |= running.result_fields() | details
        self.private(actor, "command_result", payload, ticket.trace_id)
        self.keep(actor)
        self.fact(
            "result",
            actor.chunk_id,
            actor.id,
            server_cmd_id=ticket.server_cmd_id,
            client_cmd_id=ticket.client_cmd_id,
            command=running.kind,
            asked=running.asked(),
            status=status,
            reason=reason,
        )

    def blocked(self, actor: Actor, cell: int, by: Occupant | None, **details: Any) -> None:
        """End a move that met ``by`` (None: nobody to name) at ``cell`` of the agent's chunk."""
        at = {"x": X_OF[cell], "y": Y_OF[cell]}
        self.event(self.chunk_of(actor), "blocked", by=by.id if by else None, at=at, agent_id=actor.id)
        self.finish(actor, "failed", "blocked", blocked_at=at, blocker=blocker_json(by), **details)

    def inventory(self, actor: Actor, trace_id: str = "") -> None:
        """Tell an agent what it owns."""
        if self.quiet:
            return
        payload = {
            "agent_id": actor.id,
            "tick": self.tick,
            "inventory": {"gold": actor.gold},
            "activity_state": actor.state,
        }
        self.private(actor, "agent_private_delta", payload, trace_id)

    # -- seats --

    def enter(self, actor: Actor) -> None:
        """Write an agent that has been placed into the books of its chunk and of the shard."""
        chunk = self.chunk_of(actor)
        chunk.seat(actor)
        self.agents[actor.id] = actor
        self.out.members.append((chunk.id, actor.id, True))
        self.event(chunk, "agent_joined", agent_id=actor.id)
        self.keep(actor)
        if len(chunk.members) == 1:
            self.inhabited[chunk.id] = chunk
            chunk.idle_since = None
            self.keep_chunk(chunk)

    def exit(self, actor: Actor) -> None:
        """Take an agent out of the books; it keeps its place until ``enter`` or for good."""
        chunk = self.chunk_of(actor)
        chunk.unseat(actor)
        del self.agents[actor.id]
        self.out.members.append((chunk.id, actor.id, False))
        self.event(chunk, "agent_left", agent_id=actor.id)
        if not chunk.members:
            self.inhabited.pop(chunk.id, None)
            chunk.idle_since = self.tick
            chunk.forget_planner()
            self.keep_chunk(chunk)
            self.check_idle(chunk, self.tick)

    def check_idle(self, chunk: Chunk, since: Tick) -> None:
        """Look at the chunk once it has been idle since ``since`` for long enough."""
        if not chunk.pinned:
            heappush(self.idle_checks, (Tick(since + self.rules.collect_idle_ticks), chunk.id))
