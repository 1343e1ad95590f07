-- One commit of a shard (streaming.journal says what is checked before anything is written, streaming.commit writes
-- what is in it).  Returns {'ok'}, {'dup'}, {'fenced', epoch}, {'behind', seq} or {'cond', what was lost...}.
-- keys: shard
-- args: epoch, seq, tick, answered, conditions, *words
-- include: streaming/redis_clock.lua
-- A call of the server's costs more than all that is done here between two of them, and a number that it has to write
-- out by itself as much as a small one: so there are few, and numbers are strings.
local stream_most, prolonged_s = tostring(AGENT_STREAM_MAXLEN), tostring(PROLONGED_S)
-- Appends to an agent's stream the entry of its events up to number n, which follow number before.
local function append_events(agent, before, n, prolong, events)
  local key, id = AGENT_STREAM .. agent, n .. '-0'
  local m = before .. '-0 ' .. events
  redis.call('XADD', key, 'MAXLEN', '~', stream_most, id, 'm', m)
  if prolong == '1' then redis.call('EXPIRE', key, prolonged_s) end
  redis.call('PUBLISH', CHANNELS .. key, id .. ' ' .. m)
end
local function take_back(chunk, cell, handoff)
  local held = redis.call('HGET', RESERVATIONS .. chunk, cell)
  if held and string.match(held, '^(%S+) ') == handoff then redis.call('HDEL', RESERVATIONS .. chunk, cell) end
end
local lease = redis.call('HMGET', shard, 'epoch', 'seq')
if lease[1] ~= epoch then return {'fenced', lease[1] or ''} end
local last = tonumber(lease[2] or '0')
if last >= tonumber(seq) then return {'dup'} end
if last < tonumber(answered) then return {'behind', lease[2] or '0'} end
local i = words
conditions = tonumber(conditions)
if conditions > 0 then
  local now = redis_now_ms()
  local lost = {'cond'}
  for _ = 1, conditions do
    local kind, ok = ARGV[i], false
    if kind == 'P' then -- a cell is reserved
      local handoff, chunk, cell = unpack(ARGV, i + 1, i + 3)
      local held = redis.call('HGET', RESERVATIONS .. chunk, cell)
      if held then
        local id, deadline = string.match(held, '^(%S+) (%d+)$')
        ok = id == handoff and tonumber(deadline) > now
      end
    elseif kind == 'A' then -- an agent is bound to a chunk
      local agent, chunk = unpack(ARGV, i + 1, i + 2)
      ok = redis.call('HGET', AGENT .. agent, 'chunk') == chunk
    elseif kind == 'C' then -- a command was not refused by its gateway
      local server_cmd_id, deadline = unpack(ARGV, i + 1, i + 2)
      ok = redis.call('HGET', CHALLENGE .. server_cmd_id, 'state') ~= 'REFUSED' and now < deadline + REFUSAL_KNOWN_MS
    end
    if not ok then lost[#lost + 1] = ARGV[i + 1] end
    i = i + 4
  end
  if #lost > 1 then return lost end
end
-- Id of the newest fact; each names the one before it, so that the archiver sees what a server that lost its end undid.
local fact
local archive_most = tostring(ARCHIVE_MAXLEN)
local function newest_fact()
  if redis.call('EXISTS', ARCHIVE_STREAM) == 0 then return '0-0' end
  local info = redis.call('XINFO', 'STREAM', ARCHIVE_STREAM)
  for k = 1, #info, 2 do if info[k] == 'last-generated-id' then return info[k + 1] end end
end
local recorded -- where the shard's recording has come to
local n = #ARGV
while i <= n do
  local op = ARGV[i]
  if op == 'D' then -- an entry of a chunk's stream
    local chunk, id, minid, message = unpack(ARGV, i + 1, i + 4)
    local key = CHUNK_STREAM .. chunk
    redis.call('XADD', key, 'MINID', '~', minid, id, 'm', message)
    redis.call('PUBLISH', CHANNELS .. key, id .. ' ' .. message)
    i = i + 5
  elseif op == 'U' then -- an agent's record, and events of it
    local agent, chunk, here, busy, record, count, prolong, events = unpack(ARGV, i + 1, i + 8)
    local key = AGENT .. agent
    local before = redis.call('HGET', key, 'seq') or '0'
    local now = string.format('%d', before + count)
    redis.call('HSET', key, 'chunk', chunk, 'here', here, 'busy', busy, 'rec', record, 'at', tick, 'seq', now)
    append_events(agent, before, now, prolong, events)
    i = i + 9
  elseif op == 'E' then -- events of an agent alone
    local agent, count, prolong, events = unpack(ARGV, i + 1, i + 4)
    local now = redis.call('HINCRBY', AGENT .. agent, 'seq', count)
    append_events(agent, string.format('%d', now - count), string.format('%d', now), prolong, events)
    i = i + 5
  elseif op == 'R' then -- a record alone
    local agent, chunk, here, busy, record = unpack(ARGV, i + 1, i + 5)
    redis.call('HSET', AGENT .. agent, 'chunk', chunk, 'here', here, 'busy', busy, 'rec', record, 'at', tick)
    i = i + 6
  elseif op == 'S' then -- a chunk's hidden state
    local chunk, state = unpack(ARGV, i + 1, i + 2)
    redis.call('HSET', CHUNK .. chunk, 'state', state)
    i = i + 3
  elseif op == 'T' then -- a chunk's static
    local chunk, payload = unpack(ARGV, i + 1, i + 2)
    redis.call('SET', CHUNK_STATIC .. chunk, payload)
    i = i + 3
  elseif op == '+' then -- an agent stands in a chunk
    local chunk, agent = unpack(ARGV, i + 1, i + 2)
    if redis.call('SADD', MEMBERS .. chunk, agent) == 1 then redis.call('HINCRBY', POPULATION, chunk, '1') end
    i = i + 3
  elseif op == '-' then -- and has left it
    local chunk, agent = unpack(ARGV, i + 1, i + 2)
    if redis.call('SREM', MEMBERS .. chunk, agent) == 1 then redis.call('HINCRBY', POPULATION, chunk, '-1') end
    i = i + 3
  elseif op == 'X' then -- a departure to another shard
    local chunk_there, handoff, arrival = unpack(ARGV, i + 1, i + 3)
    redis.call('HSET', INBOX .. chunk_there, handoff, arrival)
    i = i + 4
  elseif op == 'Z' then -- an arrival is seated
    local chunk, cell, handoff = unpack(ARGV, i + 1, i + 3)
    redis.call('HDEL', INBOX .. chunk, handoff)
    take_back(chunk, cell, handoff)
    i = i + 4
  elseif op == 'V' then -- a cell is reserved for some milliseconds
    local chunk, cell, handoff, ttl_ms = unpack(ARGV, i + 1, i + 4)
    local deadline = redis_now_ms() + ttl_ms
    redis.call('HSET', RESERVATIONS .. chunk, cell, handoff .. ' ' .. string.format('%d', deadline))
    i = i + 5
  elseif op == 'G' then -- a fact for the event log
    local payload = unpack(ARGV, i + 1, i + 1)
    local before = fact or newest_fact()
    fact = redis.call('XADD', ARCHIVE_STREAM, 'MAXLEN', '~', archive_most, '*', 'm', payload, 'p', before)
    i = i + 2
  elseif op == 'J' then -- what was done, for the recording
    local number, position, entry = unpack(ARGV, i + 1, i + 3)
    local most = tostring(RECORDING_MAXLEN)
    redis.call('XADD', RECORDING_STREAM, 'MAXLEN', '~', most, '*', 's', number, 'p', position, 'm', entry)
    recorded = position
    i = i + 4
  else
    return redis.error_reply('unknown op ' .. op)
  end
end
if recorded then
  redis.call('HSET', shard, 'seq', seq, 'tick', tick, 'recorded', recorded)
else
  redis.call('HSET', shard, 'seq', seq, 'tick', tick)
end
return {'ok'}
