"""What a shard has committed, as lines of the log: to follow one command or one agent through the processes.

At level debug (``CHUNKCRAWL_LOG_LEVELS=cluster.shard=debug``): in a busy world these are hundreds of lines a second.
"""

from __future__ import annotations

from typing import Final

import structlog

from world.outputs import Output

log = structlog.get_logger(__name__)

#: The fields of a fact that go into the log: never what somebody said.
FIELDS: Final = (
    *("agent_id", "chunk_id", "to_chunk_id", "tick"),
    *("server_cmd_id", "status", "reason", "node_id", "amount"),
)
DEBUG: Final = 10


def log_output(output: Output) -> None:
    """Write a line for each fact of a committed output."""
    if not output.archive or not log.is_enabled_for(DEBUG):
        return
    traces = {event.payload.get("server_cmd_id"): event.trace_id for event in output.private}
    shown = {delta.chunk_id: f"{delta.chunk_id}:{delta.tick}:0" for delta in output.deltas}
    for fact in output.archive:
        fields = {name: fact[name] for name in FIELDS if fact.get(name) is not None}
        trace_id, event_id = traces.get(fact.get("server_cmd_id", "")), shown.get(fact["chunk_id"])
        if trace_id:
            fields["trace_id"] = trace_id
        if event_id:
            fields["event_id"] = event_id
        log.debug(f"world_{fact['fact']}", **fields)
