"""A shard's part of the traces of sampled commands: decide, step, and the commits of both.  See ``config.traces``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cluster.messages import ShardCommand
from config.traces import Tracing
from world.inputs import Decision
from world.outputs import PrivateEvent

__all__ = ["CommandSpans"]


class CommandSpans:
    """The spans of one shard.

    Args:
        shard: Its number.
    """

    def __init__(self, tracing: Tracing, shard: int) -> None:
        self._tracing = tracing
        self._about: dict[str, str | int] = {"chunkcrawl.shard": shard}
        self._step: tuple[int, int] | None = None

    def now_ns(self) -> int:
        """Return nanoseconds of Unix time, by the clock that all processes share."""
        return self._tracing.now_ns()

    def decided(
        self, commands: Sequence[ShardCommand], decisions: Sequence[Decision], began_ns: int, decided_ns: int
    ) -> None:
        """Make the spans of decisions that are committed now; those of a batch were made together."""
        now_ns = self.now_ns()
        for command, decision in zip(commands, decisions, strict=True):
            if decision.moved or not self._tracing.samples(command.server_cmd_id):
                continue
            ids, about = (command.trace_id, str(command.server_cmd_id)), {**self._about, "chunkcrawl.of": "decision"}
            self._tracing.span(*ids, "shard.decide", began_ns, decided_ns, self._about)
            self._tracing.span(*ids, "shard.commit", decided_ns, now_ns, about)

    def stepped(self, took_ns: int) -> None:
        """Note that a tick has just been run, whose output is committed next."""
        now_ns = self.now_ns()
        self._step = (now_ns - took_ns, now_ns)

    def committed(self, events: Iterable[PrivateEvent], began_ns: int) -> None:
        """Make the spans of the results in a commit that has ended now."""
        now_ns, step, self._step = self.now_ns(), self._step, None
        for event in events:
            if event.kind != "command_result":
                continue
            server_cmd_id = event.payload["server_cmd_id"]
            if not self._tracing.samples(server_cmd_id):
                continue
            ids, about = (event.trace_id, server_cmd_id), {**self._about, "chunkcrawl.of": "result"}
            if step is not None:
                self._tracing.span(
                    *ids, "shard.step", *step, {**self._about, "chunkcrawl.tick": event.payload["ended_tick"]}
                )
            self._tracing.span(*ids, "shard.commit", began_ns, now_ns, about)
