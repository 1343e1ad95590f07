"""Lua scripts as values, and the fragments that several scripts share.

A script runs with the names of its world (``streaming.namespace``): its keys are the world's, and the name of a channel
comes after ``CHANNELS``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

#: Newest entries kept of one agent's stream.  An agent gets a few events a second at most, so this is minutes.
AGENT_STREAM_MAXLEN = 512

#: How long the stream of an agent that gets no events is kept.
AGENT_STREAM_TTL_S = 86_400

#: Defines ``append_agent_event(id, kind, ts_ms, trace, payload)``: gives the event the agent's next dense number,
#: appends it to ``stream:agent:{id}`` and publishes the same bytes.  Returns the number.
APPEND_AGENT_EVENT = f"""
local function append_agent_event(id, kind, ts_ms, trace, payload)
  local key = 'stream:agent:' .. id
  local n = redis.call('HINCRBY', 'agent:' .. id, 'seq', 1)
  local m = string.format('%d', n - 1) .. '-0 ' .. kind .. ' ' .. ts_ms .. ' ' .. trace .. '\\n' .. payload
  local entry = string.format('%d', n) .. '-0'
  redis.call('XADD', key, 'MAXLEN', '~', {AGENT_STREAM_MAXLEN}, entry, 'm', m)
  redis.call('EXPIRE', key, {AGENT_STREAM_TTL_S})
  redis.call('PUBLISH', CHANNELS .. key, entry .. ' ' .. m)
  return n
end
"""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script with the SHA-1 that EVALSHA wants."""

    name: str
    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)
