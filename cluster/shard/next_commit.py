"""What the next commit of a shard is going to hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from streaming.commit import AgentEvent, Batch, Prolonged
from streaming.encode import IssuedChallenge, encode_output
from world.outputs import Output
from world.shard import ShardWorld


@dataclass(frozen=True, slots=True)
class AgentNotice:
    """An event for the followers of an agent that the core knows nothing of; the commit's tick is added to it."""

    agent_id: str
    kind: str
    payload: dict[str, Any]


@dataclass(slots=True)
class NextCommit:
    """What goes into the next commit besides the core's output.  Parts add to it; the commit takes it all."""

    #: Operations and conditions, in the order in which they were added.
    additions: Batch = field(default_factory=Batch)
    #: Events that come after them.
    notices: list[AgentNotice] = field(default_factory=list)
    #: Challenges of the commands that it decides, by their ids; each goes before its ack.
    challenges: dict[str, IssuedChallenge] = field(default_factory=dict)
    #: The newest entry's id of each chunk's stream, to which the next delta of the chunk is chained.
    last_ids: dict[str, str] = field(default_factory=dict)
    prolonged: Prolonged = field(default_factory=Prolonged)

    def placed(self, agent_id: str, chunk_id: str, x: int, y: int) -> None:
        """Tell the followers of an agent where it has appeared."""
        place = {"agent_id": agent_id, "chunk_id": chunk_id, "x": x, "y": y}
        self.notices.append(AgentNotice(agent_id, "agent_placed", place))

    def removed(self, agent_id: str) -> None:
        """Tell the followers of an agent that it has left the world."""
        self.notices.append(AgentNotice(agent_id, "agent_removed", {"agent_id": agent_id}))

    def forget(self) -> None:
        """Drop everything: the world is being loaded anew, and nothing of the old one is to be written."""
        self._clear()
        self.last_ids.clear()
        self.prolonged.forget()

    def take(self, output: Output, world: ShardWorld, *, tick: int, ts_ms: int, window_ticks: int) -> Batch:
        """Make the batch of ``output`` and of what was added, which is forgotten.  ``world`` is the one it came from.

        The other arguments: see ``encode_output``.
        """
        batch = Batch(tick=tick)
        # One that was closed in the same turn as it changed has no static any more.
        output.statics = [chunk_id for chunk_id in output.statics if world.holds(chunk_id)]
        encode_output(
            batch,
            output,
            tick=tick,
            ts_ms=ts_ms,
            window_ticks=window_ticks,
            last_ids=self.last_ids,
            here=world.agent_ids,
            static=world.chunk_static,
            challenges=self.challenges,
            prolonged=self.prolonged,
        )
        batch.conditions += self.additions.conditions
        batch.ops += self.additions.ops
        for notice in self.notices:
            payload = orjson.dumps({**notice.payload, "tick": tick})
            event = AgentEvent(notice.kind, ts_ms, f"tick-{tick}", payload)
            batch.agent_events(notice.agent_id, [event], prolong=self.prolonged.is_due(notice.agent_id, ts_ms))
        self._clear()
        return batch

    def _clear(self) -> None:
        self.additions = Batch()
        self.notices = []
        self.challenges = {}
