"""The commands of one simulated agent: what it knows, what it asks for next, and what is timed and counted of it.

The conversation is the SDK's ``AgentProtocol`` (30 us for a whole command, the proof of work aside) and what it knows
the SDK's ``WorldView``.  Other than the SDK it does not read every delta: ``TickWatch`` is enough for most (2 us where
parsing takes 25), and one is parsed when the next command is due, or every tenth time.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Final

from chunkcrawl.bots.rules import Action, Harvest, Move, Rest
from chunkcrawl.errors import CommandFailed, CommandRefused
from chunkcrawl.transport.http import Session
from chunkcrawl.view.world_view import WorldView
from chunkcrawl.wire import signing
from chunkcrawl.wire.codec import decode_ws
from chunkcrawl.wire.messages import (
    Challenge,
    ChunkStatic,
    CommandResult,
    ErrorEvent,
    Event,
    ResyncRequired,
    SessionReady,
    UnknownEvent,
)
from chunkcrawl.wire.protocol import (
    Accepted,
    AgentProtocol,
    Completed,
    NeedProof,
    Output,
    Send,
    SessionKeys,
    Settled,
    Show,
)
from loadtest.behaviour import Behaviour, stroll
from loadtest.connection import PicowsConnection
from loadtest.group import AgentGroup
from loadtest.ticks import TickWatch

__all__ = ["Commands"]

PARSE_EVERY: Final = 10
HEAD_BYTES: Final = 96
#: How long a command may wait for its decision; a challenge lives for 10 s at most.
ANSWER_TIMEOUT_S: Final = 15.0

#: An accepted command whose agent has stood idle for so long, over a connection that stands, has lost its result.
RESULT_TIMEOUT_S: Final = 30.0

RETRY_S: Final = 0.25
INTERRUPT_SHARE: Final = 0.5
INTERRUPT_AFTER_S: Final = (2.0, 6.0)


@dataclass(slots=True)
class AskedCommand:
    """A command that is not over: when its parts were sent, and on which connection."""

    harvest: bool
    connection: PicowsConnection
    sent_at: float
    answered_at: float = 0.0
    accepted: bool = False
    idle_since: float | None = None


class Commands:
    """The commands of one simulated agent."""

    def __init__(
        self, group: AgentGroup, agent_id: str, behaviour: Behaviour, rng: random.Random, *, timed: bool = True
    ) -> None:
        """Begin without a connection; ``timed`` is False for a slow agent, whose times say nothing about the server."""
        self._group, self._behaviour, self._rng, self._timed = group, behaviour, rng, timed
        #: The conversation.
        self.protocol = AgentProtocol(agent_id, id_prefix=f"{group.plan.run_id}-{rng.getrandbits(32):08x}")
        #: Commands that are not over, by their id.
        self.pending: dict[str, AskedCommand] = {}
        #: Whether the present connection has shown the state of the chunk.
        self.shown = False
        self._given_up: set[str] = set()
        self._result_lost: set[str] = set()
        self._view = WorldView(agent_id)
        self._watch = TickWatch()
        self._connection: PicowsConnection | None = None
        self._due: asyncio.TimerHandle | None = None
        self._unparsed = 0
        self._wants_state = True

    # -- for the connection --

    def opened(self, connection: PicowsConnection, session: Session) -> None:
        """Take a new connection."""
        self._connection, self.shown, self._wants_state = connection, False, True
        self._watch.restart()
        self.protocol.connected(SessionKeys(session.session_jti, session.cmd_secret or ""))

    def lost(self) -> None:
        """Note that the connection has ended."""
        self._connection, self.shown = None, False
        self.protocol.disconnected()
        self._carry_out(time.perf_counter())

    def heard(self, raw: bytes, now: float) -> None:
        """Take one message; ``now`` is of ``time.perf_counter``, since uvloop's own clock counts milliseconds."""
        counts = self._group.measures.counts
        counts["bytes"] += len(raw)
        if b'"chunk_delta"' in raw[:HEAD_BYTES]:
            self._delta(raw, now)
            return
        before = self.protocol.unusable_frames
        self.protocol.receive(raw)
        counts["unusable"] += self.protocol.unusable_frames - before
        self._carry_out(now)

    def sweep(self, now: float) -> None:
        """Give up commands that nobody answers, or whose result was lost; call it about once a second."""
        for client_cmd_id, pending in list(self.pending.items()):
            if pending.accepted:
                if self._has_stood_idle(pending, now):
                    self._result_lost.add(client_cmd_id)
                    self._give_up(client_cmd_id)
            elif now - pending.sent_at > ANSWER_TIMEOUT_S and self._connection is not None:
                self._group.measures.counts["timeouts"] += self._timed
                self._given_up.add(client_cmd_id)
                self._give_up(client_cmd_id)

    def _give_up(self, client_cmd_id: str) -> None:
        self.protocol.forget(client_cmd_id)
        del self.pending[client_cmd_id]
        self._later(RETRY_S)

    def _has_stood_idle(self, pending: AskedCommand, now: float) -> bool:
        me = self._view.me
        if not self.shown or (me is not None and me.activity_state != "idle"):
            pending.idle_since = None
        elif pending.idle_since is None:
            pending.idle_since = now
        self._wants_state = True
        return pending.idle_since is not None and now - pending.idle_since > RESULT_TIMEOUT_S

    # -- seeing --

    def _delta(self, raw: bytes, now: float) -> None:
        counts = self._group.measures.counts
        counts["deliveries"] += 1
        counts["agent_deliveries"] += 1
        if self._timed:
            self._watch.note(raw, now, self._group.measures)
        self._unparsed += 1
        if not self._wants_state and self._unparsed < PARSE_EVERY:
            return
        self._unparsed, self._wants_state = 0, False
        try:
            self._see(decode_ws(raw))
        except ValueError:
            counts["unusable"] += 1

    def _see(self, event: Event) -> None:
        """Take in a message that shows the world."""
        if isinstance(event, UnknownEvent) and event.problem:
            self._group.measures.counts["unusable"] += 1
        self._view.feed(self._group.shared(event))
        if self._view.chunk_id is not None:
            self._group.place_of[self.protocol.agent_id] = self._view.chunk_id
        if not self.shown and self._view.ready:
            self.shown = True
            self._later(self._rng.random() * self._group.plan.think_s)

    # -- deciding --

    def _later(self, seconds: float) -> None:
        """Decide on the next command after so long; the state it is decided on is parsed just before."""
        if self._due is not None:
            self._due.cancel()
        self._due = asyncio.get_running_loop().call_later(seconds, self._act)
        self._wants_state = True

    def _act(self) -> None:
        self._due = None
        connection = self._connection
        if connection is None or not self.shown or not self._group.going or not self._may_ask():
            return
        try:
            action = self._decided()
        except Exception as error:
            self._group.fail(error)
            return
        if isinstance(action, Rest):
            self._later(action.seconds)
            return
        now = time.perf_counter()
        client_cmd_id = self.protocol.request(_as_command(action))
        self.pending[client_cmd_id] = AskedCommand(isinstance(action, Harvest), connection, now)
        self._group.measures.counts["requests"] += 1
        self._carry_out(now)

    def _decided(self) -> Action:
        if self._view.me is None:
            return Rest(RETRY_S)
        # What runs now is a harvest: a walk interrupts it.
        return (stroll if self.pending else self._behaviour)(self._view, self._rng)

    def _may_ask(self) -> bool:
        """Return whether a command may be sent: one at a time, but a harvest that runs can be interrupted."""
        return all(pending.harvest and pending.accepted for pending in self.pending.values())

    def _thinking_s(self) -> float:
        return self._group.plan.think_s * (0.5 + self._rng.random())

    # -- carrying out what the protocol says --

    def _carry_out(self, now: float) -> None:
        outputs = self.protocol.take()
        settled = {output.client_cmd_id for output in outputs if isinstance(output, Settled)}
        for output in outputs:
            if isinstance(output, Send):
                if self._connection is not None:
                    self._connection.send(output.frame)
            elif isinstance(output, NeedProof):
                self._prove(output)
            elif isinstance(output, Accepted):
                self._accepted(output.client_cmd_id, now)
            elif isinstance(output, Settled):
                self._settled(output)
            else:
                self._shown(output, settled, now)

    def _prove(self, need: NeedProof) -> None:
        began = time.perf_counter()
        proof = signing.solve(need.nonce, need.cmd_hash, need.difficulty) or ""
        now = time.perf_counter()
        self._group.proof_s += now - began
        for pending in self.pending.values():
            if not pending.accepted:
                pending.answered_at = now
        self.protocol.prove(need.server_cmd_id, proof)
        self._carry_out(now)

    def _shown(self, show: Output, settled: set[str], now: float) -> None:
        event = show.event if isinstance(show, Show) else None
        if isinstance(event, Challenge):
            self._challenged(event, now)
        elif isinstance(event, CommandResult):
            # A repeat of a resumed stream is not shown; this is a second result of its own, or one that was given up.
            if event.client_cmd_id in self._result_lost:
                self._result_lost.discard(event.client_cmd_id)
                self._group.measures.counts["results"] += 1
            elif event.client_cmd_id not in settled | self._given_up:
                self._group.measures.counts["results_twice"] += 1
        elif isinstance(event, ErrorEvent):
            self._group.measures.count_as("error", event.reason)
        elif event is not None:
            if isinstance(event, SessionReady | ChunkStatic | ResyncRequired):
                self._watch.restart()
                self._wants_state = True
            if isinstance(event, ResyncRequired):
                self._group.measures.counts["agent_resyncs"] += 1
            self._see(event)

    def _challenged(self, challenge: Challenge, now: float) -> None:
        pending = self.pending.get(challenge.client_cmd_id)
        if pending is not None and pending.connection is self._connection and self._timed:
            self._group.measures.times["challenge"].record(now - pending.sent_at)
            self._group.measures.count_as("difficulty", challenge.difficulty)

    def _accepted(self, client_cmd_id: str, now: float) -> None:
        measures, pending = self._group.measures, self.pending.get(client_cmd_id)
        measures.counts["acks"] += 1
        if pending is None:
            return
        pending.accepted = True
        # An ack that came only after a reconnect says how long that took, not how fast the server is.
        if pending.connection is self._connection and self._timed:
            measures.times["rtt"].record(now - pending.sent_at)
            measures.times["decision"].record(now - pending.answered_at)
        if pending.harvest and self._rng.random() < INTERRUPT_SHARE:
            self._later(self._rng.uniform(*INTERRUPT_AFTER_S))

    def _settled(self, settled: Settled) -> None:
        measures, outcome = self._group.measures, settled.outcome
        self.pending.pop(settled.client_cmd_id, None)
        delay_s = self._thinking_s()
        if outcome == "retry":
            measures.counts["unanswered"] += 1
        elif isinstance(outcome, Completed):
            measures.counts["results"] += 1
            measures.count_as("completed", outcome.reason)
        elif isinstance(outcome, CommandRefused):
            measures.counts["refusals"] += 1
            measures.count_as("refused", outcome.reason)
            delay_s += (outcome.retry_after_ms or 0) / 1000
        elif isinstance(outcome, CommandFailed):
            measures.counts["results"] += 1
            measures.count_as("failed", outcome.reason)
        self._later(delay_s)


def _as_command(action: Action) -> dict[str, object]:
    if isinstance(action, Move):
        return {"type": "move_to", "x": action.x, "y": action.y}
    if isinstance(action, Harvest):
        return {"type": "harvest", "node_id": action.node_id}
    return {"type": "say", "text": getattr(action, "text", "")}
