"""What one commit of a shard holds: how ``Batch`` writes it and how the script reads it, in the same order.

The script is run by ``streaming.journal``, which says what it checks before it writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from streaming.lua import APPEND_AGENT_EVENT, Script

#: Upper bound of the archive stream; what the archiver has not read by then is lost to the event log (not to the game).
ARCHIVE_MAXLEN = 200_000

#: How long after its deadline a command may still be committed.  Until then it is surely known if its gateway has
#: refused it (the mark stays for ten minutes).
REFUSAL_KNOWN_MS = 300_000

COMMIT = Script(
    "commit",
    APPEND_AGENT_EVENT
    + """
local function take_back(chunk, cell, handoff)
  local held = redis.call('HGET', 'resv:' .. chunk, cell)
  if held and string.match(held, '^(%S+) ') == handoff then redis.call('HDEL', 'resv:' .. chunk, cell) end
end
local shard, epoch, seq = KEYS[1], ARGV[1], tonumber(ARGV[2])
local tick, now_ms, answered, conditions = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local lease = redis.call('HMGET', shard, 'epoch', 'seq')
if lease[1] ~= epoch then return {'fenced', lease[1] or ''} end
local last = tonumber(lease[2] or '0')
if last >= seq then return {'dup'} end
if last < answered then return {'behind', lease[2] or '0'} end
local i = 7
if conditions > 0 then
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  local lost = {'cond'}
  for _ = 1, conditions do
    local kind, ok = ARGV[i], false
    if kind == 'P' then -- a cell is reserved: handoff, chunk, cell
      local held = redis.call('HGET', 'resv:' .. ARGV[i + 2], ARGV[i + 3])
      if held then
        local id, deadline = string.match(held, '^(%S+) (%d+)$')
        ok = id == ARGV[i + 1] and tonumber(deadline) > now
      end
    elseif kind == 'A' then -- an agent is bound to a chunk: agent, chunk
      ok = redis.call('HGET', 'agent:' .. ARGV[i + 1], 'chunk') == ARGV[i + 2]
    elseif kind == 'C' then -- a command was not refused by its gateway: server_cmd_id, deadline
      ok = redis.call('HGET', 'chal:' .. ARGV[i + 1], 'state') ~= 'REFUSED' and now < ARGV[i + 2] + """
    + str(REFUSAL_KNOWN_MS)
    + """
    end
    if not ok then lost[#lost + 1] = ARGV[i + 1] end
    i = i + 4
  end
  if #lost > 1 then return lost end
end
-- Id of the newest fact; each names the one before it, so that the archiver sees what a server that lost its end undid.
local fact
local function newest_fact()
  if redis.call('EXISTS', 'stream:archive') == 0 then return '0-0' end
  local info = redis.call('XINFO', 'STREAM', 'stream:archive')
  for k = 1, #info, 2 do if info[k] == 'last-generated-id' then return info[k + 1] end end
end
local n = #ARGV
while i <= n do
  local op = ARGV[i]
  if op == 'D' then -- an entry of a chunk's stream: chunk, id, minid, message
    local key = 'stream:chunk:' .. ARGV[i + 1]
    redis.call('XADD', key, 'MINID', '~', ARGV[i + 3], ARGV[i + 2], 'm', ARGV[i + 4])
    redis.call('PUBLISH', CHANNELS .. key, ARGV[i + 2] .. ' ' .. ARGV[i + 4])
    i = i + 5
  elseif op == 'E' then -- an event of an agent: agent, kind, trace, payload
    append_agent_event(ARGV[i + 1], ARGV[i + 2], now_ms, ARGV[i + 3], ARGV[i + 4])
    i = i + 5
  elseif op == 'R' then -- an agent's record: agent, chunk, here, busy, record
    redis.call('HSET', 'agent:' .. ARGV[i + 1], 'chunk', ARGV[i + 2], 'here', ARGV[i + 3], 'busy', ARGV[i + 4],
      'rec', ARGV[i + 5], 'at', tick)
    i = i + 6
  elseif op == 'F' then -- a decided command frees its slot: agent, server_cmd_id
    local key = 'inflight:' .. ARGV[i + 1]
    if redis.call('GET', key) == ARGV[i + 2] then redis.call('DEL', key) end
    i = i + 3
  elseif op == 'S' then -- a chunk's hidden state: chunk, state
    redis.call('HSET', 'chunk:' .. ARGV[i + 1], 'state', ARGV[i + 2])
    i = i + 3
  elseif op == 'T' then -- a chunk's static: chunk, payload
    redis.call('SET', 'static:' .. ARGV[i + 1], ARGV[i + 2])
    i = i + 3
  elseif op == '+' then -- an agent stands in a chunk: chunk, agent
    if redis.call('SADD', 'members:' .. ARGV[i + 1], ARGV[i + 2]) == 1 then
      redis.call('HINCRBY', 'population', ARGV[i + 1], 1)
    end
    i = i + 3
  elseif op == '-' then -- and has left it: chunk, agent
    if redis.call('SREM', 'members:' .. ARGV[i + 1], ARGV[i + 2]) == 1 then
      redis.call('HINCRBY', 'population', ARGV[i + 1], -1)
    end
    i = i + 3
  elseif op == 'X' then -- a departure to another shard: chunk there, handoff, arrival
    redis.call('HSET', 'inbox:' .. ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
    i = i + 4
  elseif op == 'Z' then -- an arrival is seated: chunk, cell, handoff
    redis.call('HDEL', 'inbox:' .. ARGV[i + 1], ARGV[i + 3])
    take_back(ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
    i = i + 4
  elseif op == 'V' then -- a cell is reserved: chunk, cell, handoff, milliseconds
    local t = redis.call('TIME')
    local deadline = t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[i + 4]
    redis.call('HSET', 'resv:' .. ARGV[i + 1], ARGV[i + 2], ARGV[i + 3] .. ' ' .. string.format('%d', deadline))
    i = i + 5
  elseif op == 'G' then -- a fact for the event log: payload
    fact = redis.call('XADD', 'stream:archive', 'MAXLEN', '~', """
    + str(ARCHIVE_MAXLEN)
    + """, '*', 'm', ARGV[i + 1], 'p', fact or newest_fact())
    i = i + 2
  else
    return redis.error_reply('unknown op ' .. op)
  end
end
redis.call('HSET', shard, 'seq', ARGV[2], 'tick', tick)
return {'ok'}
""",
)


@dataclass(slots=True)
class Batch:
    """The operations of one commit, in order, as the script reads them."""

    tick: int = 0
    conditions: list[str] = field(default_factory=list)
    ops: list[str | bytes | int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.ops)

    def chunk_entry(
        self, chunk_id: str, entry_id: str, prev: str, kind: str, ts_ms: int, trace_id: str, payload: bytes, minid: str
    ) -> None:
        """Append to a chunk's stream and publish.  ``entry_id`` must be above every earlier one of the stream."""
        message = f"{prev} {kind} {ts_ms} {trace_id}\n".encode() + payload
        self.ops += ("D", chunk_id, entry_id, minid, message)

    def agent_event(self, agent_id: str, kind: str, trace_id: str, payload: bytes) -> None:
        """Append a private event to an agent's stream and publish it."""
        self.ops += ("E", agent_id, kind, trace_id, payload)

    def agent_record(self, agent_id: str, chunk_id: str, *, here: bool, busy: str, record: bytes) -> None:
        """Write where an agent is.  ``here``: it stands in the world; ``busy``: kind of its running command."""
        self.ops += ("R", agent_id, chunk_id, "1" if here else "0", busy, record)

    def free_inflight(self, agent_id: str, server_cmd_id: str) -> None:
        self.ops += ("F", agent_id, server_cmd_id)

    def chunk_state(self, chunk_id: str, state: bytes) -> None:
        self.ops += ("S", chunk_id, state)

    def chunk_static(self, chunk_id: str, payload: bytes) -> None:
        self.ops += ("T", chunk_id, payload)

    def member(self, chunk_id: str, agent_id: str, *, joined: bool) -> None:
        self.ops += ("+" if joined else "-", chunk_id, agent_id)

    def departure(self, chunk_id: str, cell: tuple[int, int], handoff_id: str, arrival: bytes) -> None:
        """Put an arrival into ``chunk_id``'s inbox, on condition that its cell is still reserved for ``handoff_id``."""
        self.conditions += ("P", handoff_id, chunk_id, f"{cell[0]},{cell[1]}")
        self.ops += ("X", chunk_id, handoff_id, arrival)

    def seated(self, chunk_id: str, cell: tuple[int, int], handoff_id: str) -> None:
        self.ops += ("Z", chunk_id, f"{cell[0]},{cell[1]}", handoff_id)

    def reserve(self, chunk_id: str, cell: tuple[int, int], handoff_id: str, ttl_ms: int) -> None:
        self.ops += ("V", chunk_id, f"{cell[0]},{cell[1]}", handoff_id, ttl_ms)

    def only_if_bound(self, agent_id: str, chunk_id: str) -> None:
        """On condition that the agent's record still names ``chunk_id``: nobody has claimed a seat elsewhere for it."""
        self.conditions += ("A", agent_id, chunk_id, "")

    def only_if_not_refused(self, server_cmd_id: str, deadline_ms: int) -> None:
        """On condition that no gateway has told the agent that this command was refused.

        A refusal is known for a while after the deadline; whoever commits later than that comes too late.
        """
        self.conditions += ("C", server_cmd_id, str(deadline_ms), "")

    def archive(self, payload: bytes) -> None:
        self.ops += ("G", payload)
