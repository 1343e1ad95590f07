"""The trace of one sampled command in the gateway that its agent is connected to.

    receive ─► challenge ─► answer ─► submit ─► deliver (ack) ─► run ─► deliver (result)

Times are noted as they come, and spans are made when the later one is known.  The shards' own spans (decide, step,
commit) come from ``cluster.shard.command_spans``.
"""

from __future__ import annotations

from typing import Final

from api.challenge.challenge import Challenge
from config.traces import Tracing

__all__ = ["CommandTrace"]

MS: Final = 1_000_000


class CommandTrace:
    """Made when a challenge has been issued for a command that is sampled; ``end`` it in any case."""

    def __init__(self, tracing: Tracing, challenge: Challenge, kind: str, began_ns: int) -> None:
        self._tracing, self._kind, self._began_ns = tracing, kind, began_ns
        self._trace_id, self._id = challenge.trace_id, challenge.server_cmd_id
        self._about = {"chunkcrawl.agent_id": challenge.agent_id, "chunkcrawl.command": kind}
        self._difficulty = challenge.difficulty
        self._issued_ns = tracing.now_ns()
        self._heard_ns = self._submitted_ns = self._acked_ns = 0
        self._ended = False
        self._span("gateway.receive", began_ns, self._issued_ns)

    @classmethod
    def begin(cls, tracing: Tracing, challenge: Challenge, kind: str, began_ns: int) -> CommandTrace | None:
        """Return the trace of a command whose challenge is on its way; None if it is not sampled."""
        return cls(tracing, challenge, kind, began_ns) if tracing.samples(challenge.server_cmd_id) else None

    def heard(self) -> None:
        """Note that an answer has come."""
        self._heard_ns = self._tracing.now_ns()

    def submitted(self) -> None:
        """Note that the answer was right, and the command is on its way to its shard."""
        self._submitted_ns = self._tracing.now_ns()
        self._span("challenge", self._issued_ns, self._heard_ns, {"chunkcrawl.difficulty": self._difficulty})
        self._span("gateway.answer", self._heard_ns, self._submitted_ns)

    def decided(self, server_cmd_id: str, *, accepted: bool) -> None:
        """Note that the shard's decision has come, or that it never did."""
        if server_cmd_id == self._id and self._submitted_ns:
            self._span("gateway.submit", self._submitted_ns, self._tracing.now_ns(), {"chunkcrawl.accepted": accepted})

    def saw(self, kind: str, payload: bytes, ts_ms: int) -> None:
        """Note that an event was handed to the agent's socket; ``ts_ms`` is from just before its commit."""
        if self._ended or f'"{self._id}"'.encode() not in payload:
            return
        event_ns = ts_ms * MS
        self._span("gateway.deliver", event_ns, self._tracing.now_ns(), {"chunkcrawl.event": kind})
        if kind == "command_ack":
            self._acked_ns = event_ns
            if b'"accepted":true' not in payload:
                self.end()
        elif kind == "command_result":
            if self._acked_ns:
                self._span("run", self._acked_ns, event_ns)
            self.end()

    def end(self) -> None:
        """Make the span of the whole command; what comes later is not noted."""
        if not self._ended:
            self._ended = True
            self._span(f"command {self._kind}", self._began_ns, self._tracing.now_ns(), whole=True)

    def _span(
        self,
        name: str,
        began_ns: int,
        ended_ns: int,
        more: dict[str, str | int] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        about = {**self._about, **(more or {})}
        self._tracing.span(self._trace_id, self._id, name, began_ns, ended_ns, about, whole=whole)
