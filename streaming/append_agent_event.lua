-- Defines append_agent_event(id, kind, ts_ms, trace, payload): gives the event the agent's next dense number, appends
-- it to the agent's stream and publishes the same bytes.  Returns the number.
local function append_agent_event(id, kind, ts_ms, trace, payload)
  local key = AGENT_STREAM .. id
  local n = redis.call('HINCRBY', AGENT .. id, 'seq', 1)
  local m = string.format('%d', n - 1) .. '-0 ' .. kind .. ' ' .. ts_ms .. ' ' .. trace .. '\n' .. payload
  local entry = string.format('%d', n) .. '-0'
  redis.call('XADD', key, 'MAXLEN', '~', AGENT_STREAM_MAXLEN, entry, 'm', m)
  redis.call('EXPIRE', key, AGENT_STREAM_TTL_S)
  redis.call('PUBLISH', CHANNELS .. key, entry .. ' ' .. m)
  return n
end
