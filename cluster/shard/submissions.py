"""Deciding agents' commands."""

from __future__ import annotations

import time
from collections.abc import Sequence

from cluster.messages import ShardCommand, ShardDecision
from cluster.peers import WorldReloaded
from cluster.shard.arrivals import Arrivals
from cluster.shard.commits import Commits
from cluster.shard.memory import ShardMemory
from cluster.shard.shard_epoch import ShardEpoch
from cluster.shard.stats import ShardStats
from streaming.shared_clock import now_ms
from world.inputs import Decision, Submit


class Submissions:
    """The commands that gateways submit to this shard."""

    def __init__(
        self, memory: ShardMemory, epoch: ShardEpoch, arrivals: Arrivals, commits: Commits, stats: ShardStats
    ) -> None:
        self._memory = memory
        self._epoch = epoch
        self._arrivals = arrivals
        self._commits = commits
        self._stats = stats

    async def submit(self, commands: Sequence[ShardCommand]) -> list[ShardDecision]:
        """Decide commands in the order given; answers when the decisions are in the journal.

        Raises:
            ShardUnavailable: the journal has been without Redis for too long; nothing was taken.
            WorldReloaded: nothing of it took effect.
        """
        self._epoch.check_open()
        generation = self._memory.generation
        began = time.perf_counter_ns()
        spans = self._commits.spans
        began_ns = 0 if spans is None else spans.now_ns()
        decisions = [self._decide(command) for command in commands]
        chunk_of = self._memory.world.chunk_of
        chunks = (chunk_of(command.agent_id) for command in commands)
        self._stats.costs.decided(chunks, time.perf_counter_ns() - began)
        if any(decision.moved for decision in decisions):
            # One that is told to have moved may stand in our inbox, not seated yet.
            await self._arrivals.seat()
            if self._memory.generation != generation:
                raise WorldReloaded  # what was decided above has been forgotten
            again = zip(commands, decisions, strict=True)
            decisions = [self._decide(command) if decision.moved else decision for command, decision in again]
        decided_ns = 0 if spans is None else spans.now_ns()
        await self._commits.gather(len(commands))
        if spans is not None:
            spans.decided(commands, decisions, began_ns, decided_ns)
        return [ShardDecision(d.accepted, d.reason, d.retry_after_ms, d.started_tick, d.moved) for d in decisions]

    def _decide(self, command: ShardCommand) -> Decision:
        server_cmd_id, deadline_ms = command.server_cmd_id, command.deadline_ms
        if deadline_ms and now_ms() > deadline_ms:
            return Decision(accepted=False, reason="busy", moved=True)  # its gateway has given it up by now
        decision = self._memory.world.apply(
            Submit(command.agent_id, server_cmd_id, command.client_cmd_id, command.cmd, command.trace_id)
        )
        if decision.moved or decision.duplicate:
            return decision
        if not decision.accepted:
            self._stats.refused(command.cmd, decision.reason)
        if command.challenge:
            self._commits.next.challenges[server_cmd_id] = (command.issued_ms, command.challenge)
        if deadline_ms:
            # The journal may stand still from now until after the deadline.
            self._commits.next.additions.only_if_not_refused(server_cmd_id, deadline_ms)
        return decision
